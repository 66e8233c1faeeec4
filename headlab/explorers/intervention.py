"""Lesson 8's explorer: take heads away, scale the scores or drop the first key, and see which tokens it costs."""

import threading
from io import BytesIO

import torch
import traitlets
from matplotlib.patches import Rectangle

from headlab._expect import expect
from headlab.explorers.shared import MAX_TOKENS, PageExplorer, in_house_style, one_line, page_side, still
from headlab.interventions import expect_heads, loss, loss_with_scores, loss_without_each_head, loss_without_heads
from headlab.plots import HouseFigure, plot_head_grid, plot_tokens

SCALES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)  # what the page can multiply all raw scores by
LEAST_SCALE = 0.01  # nats: a smaller change than that gets no strong colour
NAMED = 3  # heads that the summary names


class InterventionExplorer(PageExplorer):
    """Lesson 8: heads to remove, a scale of all raw scores, the first key; each token coloured by what that costs.

    model, tokenizer: as load_model gives them; text: what to show first, from 2 to MAX_TOKENS tokens; heads: a list of
    (layer, head) to be mean-ablated; scale: one of SCALES; first_key: whether later queries may see the first key. All
    four can be read and set from Python too; `error` is the line that the reader sees where something cannot be shown.
    What each single change costs is measured once for each text and works in a saved page without a kernel. Several
    changes together are measured when they are chosen; the page shows the sum of the single changes until then, and
    says so.
    Introduced in lesson 8.
    """

    _esm, _css = page_side("intervention.js"), page_side("intervention.css")
    title = "Intervention explorer"
    kept = ("heads", "scale", "first_key", "measured")
    heads = traitlets.List().tag(sync=True)
    scale = traitlets.Float(1.0).tag(sync=True)
    first_key = traitlets.Bool(True).tag(sync=True)
    measured = traitlets.Dict().tag(sync=True)  # the last answer to several changes together

    def __init__(self, model, tokenizer, text, heads=(), scale=1.0, first_key=True):
        self._model, self._lock = model, threading.Lock()
        super().__init__(model, tokenizer, text, single_changes, heads=list(heads), scale=scale, first_key=first_key)
        self._measure()
        self.observe(self._measure, ["heads", "scale", "first_key", "shown"])

    def prepare(self, text):
        """What the page needs to show any single change of this text."""
        (self._ids, self._rows), labels = self._read(text)
        return {
            "model_name": self._name,
            "text": text,
            "tokens": labels,
            "n_layers": self._model.config.n_layer,
            "n_heads": self._model.config.n_head,
            "scales": list(SCALES),
            "losses": self._rows.numpy().astype("<f4").tobytes(),
        }

    @traitlets.validate("heads")
    def _expect_heads(self, proposal):
        removed = expect_heads(self._model, proposal.value)  # for each layer
        return [[layer, head] for layer, heads in enumerate(removed) for head in heads]

    @traitlets.validate("scale")
    def _expect_scale(self, proposal):
        expect(proposal.value in SCALES, "scale", f"one of {list(SCALES)}", proposal.value)
        return proposal.value

    def losses(self):
        """The loss of each token but the first with the changes that are chosen, (T - 1,), in nats."""
        places = self._places()
        if len(places) < 2:
            return self._rows[places[0] if places else 0]
        expect(not self.measured["error"], "explorer", "changes that could be measured", self.measured["error"])
        return torch.tensor(self.measured["losses"])

    def _places(self):
        """The rows of the single changes that are chosen, as `single_changes` orders them."""
        n_heads = self._model.config.n_head
        places = [1 + layer * n_heads + head for layer, head in self.heads]
        if self.scale != 1:
            places.append(SCALES.index(self.scale) - len(SCALES) - 1)
        return places if self.first_key else [*places, -1]

    def _measure(self, change=None):
        """Answer the page where several changes are chosen; the last choice is answered last."""
        with self._lock:  # ipykernel may call from several threads
            choice = [self.shown["text"], self.heads, self.scale, self.first_key]
            if len(self._places()) < 2 or self.measured.get("choice") == choice:
                return
            losses, error = [], ""
            try:
                change = change_of_scores(self.scale, self.first_key)
                losses = loss_without_heads(self._model, self._ids, self.heads, change=change).tolist()
            except Exception as trouble:
                error = one_line(trouble)
            self.measured = {"choice": choice, "losses": losses, "error": error}

    def lines(self):
        """What is changed and what it costs, in words."""
        places, own, labels = self._places(), self._rows[0], self.shown["tokens"]
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
            single = (self._rows[places] - own).mean(-1).sum()
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

    @in_house_style
    def still(self):
        """The grid and the text as they stand as a picture, for a page that runs nothing, with the summary."""
        n_layers, n_heads = self.shown["n_layers"], self.shown["n_heads"]
        own = self._rows[0]
        each = (self._rows[1 : 1 + n_layers * n_heads] - own).mean(-1).unflatten(0, (n_layers, n_heads))
        rows = 1 + sum(map(len, self.shown["tokens"])) // 80  # lines of text, about
        height = 1.4 + 0.4 * n_layers, 1.4 + 0.36 * rows  # inches
        figure = HouseFigure(figsize=(11, sum(height)), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=height)
        plot_head_grid(each, above, "cost of its removal (nats)", meaning="score").set_title("each head by itself")
        for layer, head in self.heads:
            above.add_patch(Rectangle((head - 0.47, layer - 0.47), 0.94, 0.94, fill=False, lw=2.5))
        cost = self.losses() - own
        limit = max(cost.abs().max().item(), LEAST_SCALE)
        below.set_title("each token, all changes together" if len(self._places()) > 1 else "each token")
        plot_tokens(self.shown["tokens"][1:], cost, below, label="change (nats)", limit=limit)
        png = BytesIO()
        figure.savefig(png)
        return still(png.getvalue(), self._name, self.lines())


def single_changes(model, input_ids):
    """(input_ids (T,), losses (change, T - 1)): as it is, without each head, at each scale, without the first key."""
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
    """A function of (layer, raw scores) that scales them and, unless told to keep it, takes the first key away."""

    def change(layer, raw):
        changed = scale * raw
        if not first_key:
            changed[:, 1:, 0] = -torch.inf
        return changed

    return change


def signed(value):
    """A change in nats with its sign."""
    return f"{round(float(value), 3) + 0.0:+.3f}"  # -0.0 + 0.0 is 0.0
