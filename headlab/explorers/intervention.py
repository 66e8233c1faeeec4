"""Lesson 8's explorer: take heads away, scale the scores or drop the first key, and see what it costs each token."""

import threading

import torch
import traitlets
from matplotlib.patches import Rectangle

from headlab._expect import expect
from headlab.explorers.shared import MAX_TOKENS, PageExplorer, Setting, as_bytes, one_line, page_side
from headlab.interventions import expect_heads, loss, loss_with_scores, loss_without_each_head, loss_without_heads
from headlab.plots import plot_head_grid, plot_tokens

SCALES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)  # what the page can multiply all raw scores by
LEAST_SCALE = 0.01  # nats: changes smaller than this get no strong colour
NAMED = 3  # heads that the summary names


class InterventionExplorer(PageExplorer):
    """Lesson 8: remove heads, scale all raw scores, hide the first key; each token is coloured by what that costs.

    model, tokenizer: as load_model gives them; text: what to show first, from 2 to MAX_TOKENS tokens; heads: a list of
    (layer, head) to be mean-ablated; scale: one of SCALES; first_key: whether later queries may see the first key. All
    four can be read and set from Python too; `error` is the line that the reader sees when something cannot be shown.
    The cost of each single change is measured once for each text, so a saved page shows it without a kernel. Several
    changes together are measured when they are chosen; until then the page shows the sum of the single changes, and
    says so.
    Introduced in lesson 8.

    >>> from headlab.models import load_model
    >>> InterventionExplorer(*load_model("mini"), "The old man saw it.", heads=[(0, 5)]).lines()[0]
    'Changed: without L0H5.'
    """

    _esm, _css = page_side("intervention")
    title = "Intervention explorer"
    kept = ("heads", "measured")
    look = staticmethod(lambda model, input_ids: single_changes(model, input_ids))
    heads = traitlets.List().tag(sync=True)
    scale, first_key = Setting(1.0), Setting(True)
    measured = traitlets.Dict().tag(sync=True)  # the last answer to several changes together

    def __init__(self, model, tokenizer, text, heads=(), **settings):
        self._model, self._lock = model, threading.Lock()
        super().__init__(model, tokenizer, text, heads=list(heads), **settings)
        self._measure()
        self.observe(self._measure, ["heads", "scale", "first_key", "shown"])

    def make_controls(self, n_layers, n_heads):
        """The factor of all scores, and the first key; the heads are chosen in a grid of their own."""
        return {
            "scale": {"label": "Scores times", "values": list(SCALES)},
            "first_key": {"label": "First key visible"},
        }

    def prepare(self, changes, labels):
        """What each single change costs."""
        _, losses = changes
        return {"losses": as_bytes(losses)}  # (change, token)

    def compute(self):
        """The losses with the changes that are chosen."""
        return {"losses": self.losses()}, {}

    @traitlets.validate("heads")
    def _expect_heads(self, proposal):
        removed = expect_heads(self._model, proposal.value)  # for each layer
        return [[layer, head] for layer, heads in enumerate(removed) for head in heads]

    @property
    def _losses(self):
        return self._reading[1]  # (change, token)

    def losses(self):
        """The loss of each token but the first with the changes that are chosen, (T - 1,), in nats."""
        places = self._places()
        if len(places) < 2:
            return self._losses[places[0] if places else 0]
        expect(not self.measured["error"], "explorer", "changes that could be measured", self.measured["error"])
        return torch.tensor(self.measured["losses"])

    def _places(self):
        """The rows of the single changes that are chosen, as `single_changes` orders them."""
        n_heads = self._sizes[1]
        places = [1 + layer * n_heads + head for layer, head in self.heads]
        if self.scale != 1:
            places.append(SCALES.index(self.scale) - len(SCALES) - 1)
        return places if self.first_key else [*places, -1]

    def _measure(self, change=None):
        """If several changes are chosen, measure them for the page; the last choice is answered last."""
        with self._lock:  # ipykernel may call from several threads
            choice = [self.shown["text"], self.heads, self.scale, self.first_key]
            if len(self._places()) < 2 or self.measured.get("choice") == choice:
                return
            losses, error = [], ""
            try:
                change = change_of_scores(self.scale, self.first_key)
                losses = loss_without_heads(self._model, self._reading[0], self.heads, change=change).tolist()
            except Exception as trouble:
                error = one_line(trouble)
            self.measured = {"choice": choice, "losses": losses, "error": error}

    def lines(self):
        """What is changed and what that costs, in words."""
        places, own, labels = self._places(), self._losses[0], self._labels
        if not places:
            return ["Nothing is changed.", f"Mean loss {own.mean():.3f} nats a token."]
        cost = self.losses() - own
        low, high = cost.argmin().item(), cost.argmax().item()
        lines = [
            f"Changed: {self._choice_in_words()}.",
            f"Mean loss {own.mean():.3f} nats a token as it is, {self.losses().mean():.3f} with the change "
            f"({signed(cost.mean())}).",
            f"A token's loss changes by {signed(cost[low])} (“{labels[low + 1]}”) to {signed(cost[high])} "
            f"(“{labels[high + 1]}”).",
        ]
        if len(places) > 1:
            single = (self._losses[places] - own).mean(-1).sum()
            lines.append(f"The single changes add up to {signed(single)}.")
        return lines

    def _choice_in_words(self):
        names = [f"L{layer}H{head}" for layer, head in self.heads]
        if len(names) > NAMED:
            names = [*names[:NAMED], f"{len(names) - NAMED} more"]
        parts = [f"without {', '.join(names)}"] if names else []
        if self.scale != 1:
            parts.append(f"scores times {self.scale:g}")
        if not self.first_key:
            parts.append("without the first key")
        return "; ".join(parts)

    def draw(self, figure, numbers, facts):
        """The grid and the text as they stand."""
        n_layers, n_heads = self._sizes
        own = self._losses[0]
        each = (self._losses[1 : 1 + n_layers * n_heads] - own).mean(-1).unflatten(0, (n_layers, n_heads))
        rows = 1 + sum(map(len, self._labels)) // 80  # lines of text, about
        height = 1.4 + 0.4 * n_layers, 1.4 + 0.36 * rows  # inches
        figure.set_size_inches(11, sum(height))
        above, below = figure.subplots(2, 1, height_ratios=height)
        plot_head_grid(each, above, "cost of its removal (nats)", meaning="score").set_title("each head by itself")
        for layer, head in self.heads:
            above.add_patch(Rectangle((head - 0.47, layer - 0.47), 0.94, 0.94, fill=False, lw=2.5))
        cost = numbers["losses"] - own
        limit = max(cost.abs().max().item(), LEAST_SCALE)
        below.set_title("each token, all changes together" if len(self._places()) > 1 else "each token")
        plot_tokens(self._labels[1:], cost, below, label="change (nats)", limit=limit)


def single_changes(model, input_ids):
    """(input_ids (T,), losses (change, T - 1)): unchanged, without each head, at each scale, without the first key."""
    expect(input_ids.shape[1] >= 2, "text", f"2 to {MAX_TOKENS} tokens", f"{input_ids.shape[1]} token")
    own = loss(model, input_ids)
    changes = [change_of_scores(scale, True) for scale in SCALES] + [change_of_scores(1.0, False)]
    return input_ids[0], torch.cat(
        [
            own[None],
            loss_without_each_head(model, input_ids).flatten(0, 1),
            torch.stack([loss_with_scores(model, input_ids, change) for change in changes]),
        ]
    )


def change_of_scores(scale, first_key):
    """A function of (layer, raw scores) that scales them and, unless first_key, hides the first key."""

    def change(layer, raw):
        changed = scale * raw
        if not first_key:
            changed[:, 1:, 0] = -torch.inf
        return changed

    return change


def signed(value):
    """A change in nats with its sign."""
    return f"{round(float(value), 3) + 0.0:+.3f}"  # -0.0 + 0.0 is 0.0
