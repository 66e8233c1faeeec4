"""Lesson 2's explorer: the columns of the fused matrix that belong to one head."""

import numpy as np
import torch
from matplotlib.patches import Rectangle

from headlab._expect import expect
from headlab.capture import capture_heads
from headlab.explorers.shared import PageExplorer, Setting, as_bytes, fit_labels, page_side
from headlab.plots import MAPS, as_label
from headlab.splitting import merge_heads, split_heads, split_qkv

PARTS = ("query", "key", "value")


class SplittingExplorer(PageExplorer):
    """Lesson 2: the columns of the fused matrix that belong to one head, which are its q, k and v.

    model, tokenizer: as load_model gives them; text: what to show first, at most MAX_TOKENS tokens. layer and head can
    be read and set from Python too. The page gets the activations in half precision, that is, to three digits.
    Introduced in lesson 2.

    >>> from headlab.models import load_model
    >>> SplittingExplorer(*load_model("mini"), "The old man saw it.", head=2).lines()[1]
    'Of these, columns 128 to 191 are its q, 896 to 959 its k and 1664 to 1727 its v: 64 channels each.'
    """

    _esm, _css = page_side("split")
    title = "Splitting explorer"
    words = (
        "L{layer}H{head}: the fused matrix is {n_tokens} tokens by {width} = 3 x {d_model} columns.",
        "Of these, columns {q_first} to {q_last} are its q, {k_first} to {k_last} its k and {v_first} to {v_last} its "
        "v: {d_head} channels each.",
        "Mean length of a vector: q {q_length:.1f}, k {k_length:.1f}, v {v_length:.1f}.",
    )
    size = (9.2, 5.4)
    look = staticmethod(lambda model, input_ids: fused_matrices(model, input_ids))
    layer, head = Setting(0), Setting(0)

    def prepare(self, fused, labels):
        """The fused matrix of every layer, and the largest value of the colour scale, the same for all layers."""
        largest = fused.abs().max().item()
        expect(largest <= 65504, "model", "activations that half precision holds, up to 65504", f"{largest:.6g}")
        self._limit = np.quantile(np.abs(fused.numpy()), 0.99).item()
        return {"fused": as_bytes(fused, "<f2"), "limit": self._limit}

    def compute(self):
        """The fused matrix as c_attn gave it, cut into thirds, and these cut into heads."""
        layer, fused = self.layer, self._reading[self.layer]  # (token, 3 * d_model)
        thirds = split_qkv(fused)  # each (token, d_model)
        q, k, v = (split_heads(third, self._sizes[1])[self.head] for third in thirds)  # each (token, d_head)

        (n_tokens, width), d_head = fused.shape, q.shape[-1]
        facts = {"layer": layer, "head": self.head, "n_tokens": n_tokens, "width": width, "d_model": width // 3}
        facts["d_head"] = d_head
        for third, (name, part) in enumerate(zip("qkv", (q, k, v), strict=True)):
            first = third * width // 3 + self.head * d_head
            facts |= {f"{name}_first": first, f"{name}_last": first + d_head - 1}
            facts[f"{name}_length"] = part.norm(dim=-1).mean().item()
        return {"fused": fused, "query": q, "key": k, "value": v}, facts

    def draw(self, figure, numbers, facts):
        """The fused matrix above, q, k and v below."""
        axes = figure.subplot_mosaic([["fused"] * 3, list(PARTS)])
        style = {"cmap": MAPS["score"], "vmin": -self._limit, "vmax": self._limit, "aspect": "auto"}
        for name, ax in axes.items():
            n_tokens, width = numbers[name].shape
            # Edges at whole numbers, so that a band's edges are its column numbers.
            image = ax.imshow(numbers[name].numpy(), extent=(0, width, n_tokens, 0), interpolation="nearest", **style)
            ax.set(yticks=[], title=name, xlabel="channel of the head")
        for name in "qkv":
            corner = facts[f"{name}_first"], 0
            band = Rectangle(corner, facts["d_head"], facts["n_tokens"], color="black", fill=False, lw=2)
            axes["fused"].add_patch(band)
        axes["fused"].set(xlabel="column of the fused matrix", ylabel="token")
        axes["fused"].set_xticks(range(0, facts["width"] + 1, facts["d_model"]))
        axes["fused"].set_title("fused matrix of layer {layer}, the bands of head {head} framed".format(**facts))
        rows = [place + 0.5 for place in range(facts["n_tokens"])]
        axes["query"].set_yticks(rows, [as_label(label) for label in self._labels])
        fit_labels(axes["query"].yaxis, most=15)
        figure.colorbar(image, ax=list(axes.values()), label="activation", extend="both")


def fused_matrices(model, input_ids):
    """What c_attn gives in every layer, (layer, token, 3 * d_model)."""
    capture = capture_heads(model, input_ids)
    return torch.cat([merge_heads(part) for part in (capture.q, capture.k, capture.v)], dim=-1)
