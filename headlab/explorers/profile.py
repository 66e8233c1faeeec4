"""Lesson 7's explorer: the density of the scores and one statistic of every head, layer by layer."""

import numpy as np

from headlab._expect import expect
from headlab.explorers.shared import MAX_TOKENS, PageExplorer, Setting, as_bytes, page_side, slider
from headlab.masking import causal_mask
from headlab.plots import COLOURS, MAPS
from headlab.profiles import laminar_profile, layer_densities

STATISTICS = {
    "median": "median of a head's raw scores (q·k)",
    "fraction_negative": "share of a head's raw scores below zero",
    "spread": "spread of a query's raw scores (q·k)",
    "effective_tokens": "effective tokens of a query",
    "first_share": "share on the first token",
    "previous_share": "share on the previous token",
    "mean_step_back": "mean step back (tokens)",
}


class ProfileExplorer(PageExplorer):
    """Lesson 7: the density of the scores and one statistic of every head, layer by layer.

    model, tokenizer: as load_model gives them; text: what to show first, from 3 to MAX_TOKENS tokens. Each setting can
    be read and set from Python too: first and last (the layers to show), head, and statistic (a field of Profile).
    Introduced in lesson 7.

    >>> from headlab.explorers import recorded_gpt2
    >>> ProfileExplorer(*recorded_gpt2(), statistic="first_share").lines()[1]
    'Median of the heads: lowest 0.27 in layer 0, highest 0.92 in layer 9.'
    """

    _esm, _css = page_side("profile")
    title = "Profile explorer"
    words = (
        "Layers {first} to {last}: {meaning}.",
        "Median of the heads: lowest {low:.2f} in layer {lowest}, highest {high:.2f} in layer {highest}.",
        "Head {head}: {at_first:.2f} in layer {first}, {at_last:.2f} in layer {last}.",
    )
    first, last, head, statistic = Setting(0), Setting(None), Setting(0), Setting("median")

    def __init__(self, model, tokenizer, text, **settings):
        super().__init__(model, tokenizer, text, **{"last": model.config.n_layer - 1} | settings)

    def make_controls(self, n_layers, n_heads):
        """The first and the last layer, the head, and the statistic."""
        return {
            "first": slider("First layer", 0, n_layers - 1),
            "last": slider("Last layer", 0, n_layers - 1),
            "head": slider("Head", 0, n_heads - 1),
            "statistic": {"label": "Statistic", "options": list(STATISTICS)},
        }

    def prepare(self, capture, labels):
        """The densities of the layers and the seven statistics of the heads."""
        expect(len(labels) >= 3, "text", f"3 to {MAX_TOKENS} tokens", f"{len(labels)} tokens")
        visible = causal_mask(len(labels))
        profile = laminar_profile(capture)
        grid, densities = layer_densities([capture.scores(layer)[:, visible] for layer in capture.layers])
        return {
            "densities": as_bytes(densities),  # (layer, grid)
            "ends": [grid[0], grid[-1]],
            "profile": as_bytes(profile, "<f8"),  # (statistic, layer, head)
            "meanings": STATISTICS,
        }

    def compute(self):
        """One statistic of laminar_profile, for the chosen layers."""
        values = getattr(laminar_profile(self._reading), self.statistic)  # (layer, head)
        middle = np.median(values, axis=1)

        first, last = sorted((self.first, self.last))
        chosen = slice(first, last + 1)
        lowest, highest = first + middle[chosen].argmin(), first + middle[chosen].argmax()
        facts = {
            **{"first": first, "last": last, "head": self.head, "meaning": STATISTICS[self.statistic]},
            **{"low": middle[lowest], "lowest": int(lowest), "high": middle[highest], "highest": int(highest)},
            **{"at_first": values[first, self.head], "at_last": values[last, self.head]},
        }
        return {"values": values, "middle": middle}, facts

    def draw(self, figure, numbers, facts):
        """The densities as a heatmap and the statistic as points, with one row for each layer in both."""
        left, right = figure.subplots(1, 2, sharey=True)
        densities = np.frombuffer(self.shown["densities"], "<f4").reshape(self._sizes[0], -1)
        low, high = self.shown["ends"]
        step = (high - low) / (densities.shape[1] - 1)
        extent = (low - step / 2, high + step / 2, self._sizes[0] - 0.5, -0.5)
        image = left.imshow(densities, extent=extent, aspect="auto", cmap=MAPS["amount"], interpolation="nearest")
        figure.colorbar(image, ax=left)
        left.axvline(0, color="0.45", ls="--", lw=1)
        left.set(xlabel="raw score q·k", ylabel="layer", title="colour: density per unit of q·k")
        values, layers = numbers["values"], np.arange(self._sizes[0])
        right.scatter(values.ravel(), np.repeat(layers, values.shape[1]), s=14, color="0.6", label="each head")
        right.plot(numbers["middle"], layers, color="black", label="median of the heads")
        right.plot(values[:, self.head], layers, "o-", color=COLOURS["loaded model"], ms=5, lw=1, label="chosen head")
        right.set(xlabel=facts["meaning"], title=f"{self.statistic}, head {self.head} in colour")
        first, last = facts["first"], facts["last"]
        right.set(xlim=room_around(values[first : last + 1]), ylim=(last + 0.5, first - 0.5))
        right.set_yticks(range(first, last + 1))
        figure.legend(loc="outside lower center", ncols=3)


def room_around(values):
    """The ends of an axis on which these values do not touch the frame."""
    low, high = values.min(), values.max()
    room = 0.05 * (high - low) or 1.0
    return low - room, high + room
