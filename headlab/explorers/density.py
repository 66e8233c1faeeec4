"""Lesson 6's explorer: a sample's Gaussians and their sum."""

import numpy as np
from matplotlib.collections import LineCollection

from headlab._expect import expect
from headlab.density import EVERYWHERE, choose_bandwidth, kde
from headlab.explorers.shared import MAX_TOKENS, PageExplorer, Setting, all_scores, as_bytes, page_side, slider
from headlab.masking import causal_mask, mask_scores, softmax
from headlab.plots import COLOURS, IN_TURN

FEWEST, N_GRID = 3, 400  # scores in a sample; points of a curve
WIDEST = 0.25  # of the shares' Gaussians: a wider one would leak over both edges at once


class DensityExplorer(PageExplorer):
    """Lesson 6: a sample's Gaussians and their sum, for raw scores and for shares, which end at 0 and at 1.

    model, tokenizer: as load_model gives them; text: what to show first, from 2 to MAX_TOKENS tokens. Each setting can
    be read and set from Python too: layer, head, n_samples, width (in Scott's bandwidths), kernels (whether they are
    shown) and mend (whether the densities of the shares are reflected at the edges).
    Introduced in lesson 6.

    >>> from headlab.explorers import recorded_gpt2
    >>> DensityExplorer(*recorded_gpt2(), mend=True).lines()[2]
    'Shares: bandwidth 0.107, 0.0% of the density lies below 0 or above 1.'
    """

    _esm, _css = page_side("density")
    title = "Density explorer"
    words = (
        "L{layer}H{head}: {n} of {all} visible pairs, {width:.2f} times Scott's bandwidth, kernels {kernels}, edges "
        "{edges}.",
        "Raw scores: bandwidth {raw_width:.2f}, the density is highest at {peak:.1f}.",
        "Shares: bandwidth {share_width:.3f}, {leak:.1%} of the density lies below 0 or above 1.",
    )
    layer, head, n_samples, width = Setting(0), Setting(0), Setting(40), Setting(1.0)
    kernels, mend = Setting(True), Setting(False)

    def make_controls(self, n_layers, n_heads):
        """Layer, head, the size of the sample, the bandwidth, the kernels and the edges."""
        return {
            **super().make_controls(n_layers, n_heads),
            "n_samples": slider("Samples", FEWEST, 200),
            "width": slider("Bandwidth", 0.1, 10**0.5, 0.05) | {"log": True},
            "kernels": {"label": "Show each kernel"},
            "mend": {"label": "Reflect at the edges"},
        }

    def prepare(self, capture, labels):
        """The raw scores of every head, and the order in which its visible pairs are drawn."""
        expect(len(labels) >= 2, "text", f"2 to {MAX_TOKENS} tokens", f"{len(labels)} token")
        # A sample of n scores is the first n of them in an order that is random, and the same each time.
        self._order = np.random.default_rng(0).permutation(causal_mask(len(labels)).sum().item())
        return {
            "scores": as_bytes(all_scores(capture)),
            "divisors": list(capture.divisors),
            "order": as_bytes(self._order, "<u2"),
            "most": {"n_samples": len(self._order)},
        }

    def compute(self):
        """A sample of the visible pairs, and the densities of their scores and of their shares."""
        visible = causal_mask(len(self._labels))
        chosen = self._order[: self.n_samples]
        table = self._reading.scores(self.layer, self.head).double()
        pattern = softmax(mask_scores(table / self._reading.divisors[self.layer]))
        raw, shares = table[visible].numpy()[chosen], pattern[visible].numpy()[chosen]
        raw_width, share_width = (self.width * choose_bandwidth(sample, "scott") for sample in (raw, shares))
        share_width = min(share_width, WIDEST)

        raw_grid, raw_density = summed(raw, raw_width)
        share_grid, share_density = summed(shares, share_width, (0.0, 1.0) if self.mend else EVERYWHERE)
        outside = (share_grid < 0) | (share_grid > 1)
        facts = {
            **{"layer": self.layer, "head": self.head, "n": len(chosen), "all": len(self._order), "width": self.width},
            "kernels": "shown" if self.kernels else "hidden",
            "edges": "reflected" if self.mend else "left open",
            **{"raw_width": raw_width, "peak": raw_grid[raw_density.argmax()], "share_width": share_width},
            "leak": share_density[outside].sum() / share_density.sum(),
        }
        numbers = {"raw": raw, "raw_grid": raw_grid, "raw_density": raw_density}
        return {**numbers, "shares": shares, "share_grid": share_grid, "share_density": share_density}, facts

    def draw(self, figure, numbers, facts):
        """The density of the raw scores and of the shares, with each kernel if asked for."""
        left, right = figure.subplots(1, 2)
        bounds = (0.0, 1.0) if self.mend else EVERYWHERE
        for ax, sample, name, edges in ((left, "raw", "raw", EVERYWHERE), (right, "shares", "share", bounds)):
            sample, grid, density = (numbers[key] for key in (sample, f"{name}_grid", f"{name}_density"))
            width = facts[f"{name}_width"]
            if self.kernels:
                each = [kde(one, grid, width, bounds=edges) / len(sample) for one in sample]
                lines = [np.column_stack([grid, kernel]) for kernel in each]
                ax.add_collection(LineCollection(lines, color=IN_TURN[1][1], lw=0.7))
            ax.plot(grid, density, color=COLOURS["loaded model"], lw=2)
            ax.plot(sample, np.zeros(len(sample)), "|", color="black", ms=9)
            ax.set(xlim=(grid[0], grid[-1]), ylim=(0, 1.08 * density.max()))
        left.set(xlabel="raw score q·k", ylabel="density", title="{n} raw scores of L{layer}H{head}".format(**facts))
        right.set(xlabel="share of attention", title="{n} shares of L{layer}H{head}".format(**facts))
        for edge in (0, 1):
            right.axvline(edge, color="0.6", ls=":", lw=1)


def summed(sample, width, bounds=EVERYWHERE):
    """(grid, density) of a sample, as far as four bandwidths beyond its ends."""
    grid = np.linspace(sample.min() - 4 * width, sample.max() + 4 * width, N_GRID)
    return grid, kde(sample, grid, width, bounds=bounds)
