"""Lesson 7's explorer: the density of the scores and one statistic of every head, layer by layer."""

import ipywidgets as widgets
import numpy as np

from headlab.explorers.drawn import Explorer, place_controls
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


class ProfileExplorer(Explorer):
    """Lesson 7: the density of the scores and one statistic of every head, layer by layer.

    model, tokenizer: as load_model gives them; text: what to show first, from 3 to MAX_TOKENS tokens.
    Introduced in lesson 7.
    """

    title = "Profile explorer"

    def __init__(self, model, tokenizer, text, head=0):
        last = model.config.n_layer - 1
        super().__init__(
            model,
            tokenizer,
            text,
            layers=widgets.IntRangeSlider(value=(0, last), min=0, max=last, description="Layers"),
            head=place_controls(model, 0, head)["head"],
            statistic=widgets.Dropdown(options=list(STATISTICS), value="median", description="Statistic"),
        )

    def draw(self, capture, labels):
        """The densities as a heatmap and the statistic as points, a layer a row in both."""
        visible = causal_mask(len(labels))
        self.profile = laminar_profile(capture)
        grid, densities = layer_densities([capture.scores(layer)[:, visible] for layer in capture.layers])
        left, right = self.axes = self.figure.subplots(1, 2, sharey=True)
        step = grid[1] - grid[0]
        n_layers, n_heads = self.profile.median.shape
        extent = (grid[0] - step / 2, grid[-1] + step / 2, n_layers - 0.5, -0.5)
        self.densities = left.imshow(
            densities, extent=extent, aspect="auto", cmap=MAPS["amount"], interpolation="nearest"
        )
        left.axvline(0, color="0.45", ls="--", lw=1)
        left.set(xlabel="raw score q·k", ylabel="layer", title="colour: density per unit of q·k")
        self.figure.colorbar(self.densities, ax=left)  # a label would be taken for that of the right panel
        right.set_ylabel("layer")
        right.tick_params(labelleft=True)
        rows = np.repeat(np.arange(n_layers), n_heads)
        self.points = right.scatter(np.zeros(rows.size), rows, s=14, color="0.6", label="each head")
        self.middle = right.plot(np.zeros(n_layers), range(n_layers), color="black", label="median of the heads")[0]
        track = {"color": COLOURS["loaded model"], "ms": 5, "lw": 1, "label": "chosen head"}
        self.track = right.plot(np.zeros(n_layers), range(n_layers), "o-", **track)[0]
        self.figure.legend(loc="outside lower center", ncols=3)
        return [self.densities, *left.lines, left.yaxis, right]

    def show(self, capture, labels, layers, head, statistic):
        """The callback: one statistic of laminar_profile, for the layers that are chosen."""
        values = getattr(self.profile, statistic)  # (layer, head)
        middle = np.median(values, axis=1)

        first, last = layers
        chosen = slice(first, last + 1)
        self.points.set_offsets(np.column_stack([values.ravel(), np.repeat(np.arange(len(values)), values.shape[1])]))
        self.middle.set_xdata(middle)
        self.track.set_xdata(values[:, head])
        low, high = values[chosen].min(), values[chosen].max()
        room = 0.05 * (high - low) or 1.0
        left, right = self.axes
        right.set(
            xlim=(low - room, high + room), xlabel=STATISTICS[statistic], title=f"{statistic}, head {head} in colour"
        )
        right.set(ylim=(last + 0.5, first - 0.5), yticks=range(first, last + 1))
        lowest, highest = first + middle[chosen].argmin(), first + middle[chosen].argmax()
        return [
            f"Layers {first} to {last}: {STATISTICS[statistic]}.",
            f"Median of the heads: lowest {middle[lowest]:.2f} in layer {lowest}, "
            f"highest {middle[highest]:.2f} in layer {highest}.",
            f"Head {head}: {values[first, head]:.2f} in layer {first}, {values[last, head]:.2f} in layer {last}.",
        ]
