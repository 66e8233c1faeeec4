"""Lesson 6's explorer: a sample's Gaussians and their sum."""

import ipywidgets as widgets
import numpy as np
from matplotlib.collections import LineCollection

from headlab.density import EVERYWHERE, choose_bandwidth, kde
from headlab.explorers.drawn import Explorer, place_controls
from headlab.masking import causal_mask
from headlab.plots import COLOURS


class DensityExplorer(Explorer):
    """Lesson 6: a sample's Gaussians and their sum, for raw scores and for shares, which end at 0 and at 1.

    model, tokenizer: as load_model gives them; text: what to show first, at most MAX_TOKENS tokens.
    Introduced in lesson 6.
    """

    title = "Density explorer"

    def __init__(self, model, tokenizer, text, layer=0, head=0):
        super().__init__(
            model,
            tokenizer,
            text,
            **place_controls(model, layer, head),
            n_samples=widgets.IntSlider(40, 3, 200, description="Samples"),
            width=widgets.FloatLogSlider(1.0, min=-1, max=0.5, step=0.05, description="Bandwidth"),
            kernels=widgets.Checkbox(True, description="Show each kernel"),
            mend=widgets.Checkbox(False, description="Mend the edges"),
        )

    def draw(self, capture, labels):
        """The density of the raw scores and of the shares."""
        n_scores = causal_mask(len(labels)).sum().item()
        # A sample of n scores is the first n of them in an order that is random, and the same each time.
        self.order = np.random.default_rng(0).permutation(n_scores)
        left, right = self.axes = self.figure.subplots(1, 2)
        # The layout is that of the first head; the numbers of the next may be longer, or end at an edge.
        self.figure.get_layout_engine().set(rect=(0.035, 0, 0.95, 1), wspace=0.08)
        left.set(xlabel="raw score q·k", ylabel="density")
        right.set(xlabel="share of attention")
        for edge in (0, 1):
            right.axvline(edge, color="0.6", ls=":", lw=1)
        for ax in self.axes:
            ax.locator_params(nbins=4)  # the axes are drawn at each change: fewer labels, faster
        self.sums = [ax.plot([], [], color=COLOURS["loaded model"], lw=2)[0] for ax in self.axes]
        self.rugs = [ax.plot([], [], "|", color="black", ms=9)[0] for ax in self.axes]
        self.kernels = [ax.add_collection(LineCollection([], color="#E69F00", lw=0.7)) for ax in self.axes]
        return list(self.axes)

    def show(self, capture, labels, layer, head, n_samples, width, kernels, mend):
        """The callback: a sample of the visible pairs, and the densities of their scores and of their shares."""
        visible = causal_mask(len(labels))
        chosen = self.order[:n_samples]
        raw = capture.scores(layer, head)[visible].numpy()[chosen]
        shares = capture.pattern(layer, head)[visible].numpy()[chosen]
        widths = [width * choose_bandwidth(sample, "scott") for sample in (raw, shares)]
        widths[1] = min(widths[1], 0.25)  # a wider Gaussian would leak over both edges at once

        of_raw = self._sum(0, raw, widths[0], EVERYWHERE, kernels)
        of_shares = self._sum(1, shares, widths[1], (0.0, 1.0) if mend else EVERYWHERE, kernels)
        self.axes[0].set_title(f"{len(chosen)} raw scores of L{layer}H{head}")
        self.axes[1].set_title(f"{len(chosen)} shares of L{layer}H{head}")
        return [
            f"L{layer}H{head}: {len(chosen)} of {len(self.order)} visible pairs, {width:.2f} times Scott's bandwidth, "
            f"kernels {'shown' if kernels else 'hidden'}, edges {'mended' if mend else 'left open'}.",
            f"Raw scores: bandwidth {widths[0]:.2f}, the density is highest at {of_raw[0][of_raw[1].argmax()]:.1f}.",
            f"Shares: bandwidth {widths[1]:.3f}, {leak(*of_shares):.1%} of the density lies below 0 or above 1.",
        ]

    def _sum(self, place, sample, width, bounds, kernels):
        """Draw the sum of a sample's kernels, and each of them where asked for; returns (grid, density)."""
        grid = np.linspace(sample.min() - 4 * width, sample.max() + 4 * width, 400)
        density = kde(sample, grid, width, bounds=bounds)
        each = [kde(one, grid, width, bounds=bounds) / len(sample) for one in sample] if kernels else []
        self.axes[place].set(xlim=(grid[0], grid[-1]), ylim=(0, 1.08 * density.max()))
        self.sums[place].set_data(grid, density)
        self.rugs[place].set_data(sample, np.zeros(len(sample)))
        self.kernels[place].set_segments([np.column_stack([grid, kernel]) for kernel in each])
        return grid, density


def leak(grid, density):
    """How much of a density on an even grid lies outside 0 to 1."""
    outside = (grid < 0) | (grid > 1)
    return density[outside].sum() / density.sum()
