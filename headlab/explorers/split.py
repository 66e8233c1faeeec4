"""Lesson 2's explorer: the columns of the fused matrix that belong to one head."""

import numpy as np
import torch
from matplotlib.patches import Rectangle

from headlab.explorers.drawn import Explorer, place_controls
from headlab.explorers.shared import fit_labels
from headlab.plots import MAPS, as_label
from headlab.splitting import merge_heads, split_heads, split_qkv


class SplittingExplorer(Explorer):
    """Lesson 2: the columns of the fused matrix that belong to one head, and the q, k and v that they are.

    model, tokenizer: as load_model gives them; text: what to show first, at most MAX_TOKENS tokens.
    Introduced in lesson 2.
    """

    title = "Splitting explorer"
    size = (9.2, 5.4)

    def __init__(self, model, tokenizer, text, layer=0, head=0):
        super().__init__(model, tokenizer, text, **place_controls(model, layer, head))

    def draw(self, capture, labels):
        """The fused matrix above, q, k and v below."""
        n_heads, n_tokens, d_head = capture.q.shape[1:]
        d_model = n_heads * d_head
        axes = self.figure.subplot_mosaic([["fused"] * 3, ["query", "key", "value"]])
        # One scale for all layers, so that they can be compared.
        limit = np.quantile(np.abs([capture.q.numpy(), capture.k.numpy(), capture.v.numpy()]), 0.99)
        style = {"cmap": MAPS["score"], "vmin": -limit, "vmax": limit, "aspect": "auto", "interpolation": "nearest"}
        self.images = {
            # Edges at whole numbers, so that a band's edges are its column numbers.
            name: ax.imshow(np.zeros((n_tokens, width)), extent=(0, width, n_tokens, 0), **style)
            for (name, ax), width in zip(axes.items(), (3 * d_model, d_head, d_head, d_head), strict=True)
        }
        bands = {"color": "black", "fill": False, "lw": 2}
        self.bands = [axes["fused"].add_patch(Rectangle((0, 0), d_head, n_tokens, **bands)) for _ in range(3)]
        axes["fused"].set(
            xticks=range(0, 3 * d_model + 1, d_model), xlabel="column of the fused matrix", ylabel="token"
        )
        for ax in axes.values():
            ax.set_yticks([])
        rows = [place + 0.5 for place in range(n_tokens)]
        axes["query"].set_yticks(rows, [as_label(label) for label in labels])
        fit_labels(axes["query"].yaxis, most=15)
        for name in ("query", "key", "value"):
            axes[name].set(title=name, xlabel="channel of the head")
        self.name = axes["fused"].set_title("fused")
        self.figure.colorbar(self.images["fused"], ax=list(axes.values()), label="activation", extend="both")
        return [*self.images.values(), *self.bands, self.name]

    def show(self, capture, labels, layer, head):
        """The callback: the fused matrix as c_attn gave it, cut into thirds and these into heads."""
        parts = (capture.q[layer], capture.k[layer], capture.v[layer])
        fused = torch.cat([merge_heads(part) for part in parts], dim=-1)  # (token, 3 * d_model)
        thirds = split_qkv(fused)
        n_heads = capture.q.shape[1]
        q, k, v = (split_heads(third, n_heads)[head] for third in thirds)  # each (token, channel)

        for image, values in zip(self.images.values(), (fused, q, k, v), strict=True):
            image.set_data(values.numpy())
        d_model, d_head = thirds[0].shape[-1], q.shape[-1]
        starts = [third * d_model + head * d_head for third in range(3)]
        for band, start in zip(self.bands, starts, strict=True):
            band.set_x(start)
        self.name.set_text(f"fused matrix of layer {layer}, the bands of head {head} framed")
        columns = ", ".join(
            f"{start} to {start + d_head - 1} {name}" for name, start in zip(("q", "k", "v"), starts, strict=True)
        )
        lengths = [part.norm(dim=-1).mean() for part in (q, k, v)]
        return [
            f"L{layer}H{head}: the fused matrix is {len(fused)} tokens by {fused.shape[1]} = 3 x {d_model} columns.",
            f"Of these, columns {columns}, each {d_head} channels.",
            "Mean length of a vector: q {:.1f}, k {:.1f}, v {:.1f}.".format(*lengths),
        ]
