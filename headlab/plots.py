"""One figure per function; each draws on the axes it is given, or on new ones, and returns them."""

import matplotlib.pyplot as plt
import numpy as np
import torch

from headlab._expect import expect, expect_finite, expect_square

# Okabe and Ito's colours, which readers with any colour vision tell apart, each with a marker of its own.
TERM_STYLES = (("o", "#0072B2"), ("s", "#D55E00"), ("^", "#009E73"), ("x", "#555555"))


def plot_mask(mask, tokens, ax=None):
    """Which keys (columns) each query (row) may see: bool (T, T) and its T token labels.

    Introduced in lesson 1.
    """
    ax = _heatmap(mask.float(), tokens, ax, cmap="cividis", vmin=0, vmax=1, colorbar=False)
    for i, j in np.ndindex(*mask.shape):
        ax.text(j, i, "yes" if mask[i, j] else "no", ha="center", va="center", color="black" if mask[i, j] else "white")
    return ax


def plot_scores(scores, tokens, ax=None, label="raw score q·k", limit=None):
    """Scores (query, key) on a diverging map centred on zero; masked entries (-inf) are left grey.

    limit: the largest absolute score of the colour scale, by default that of these scores.
    Introduced in lesson 1.
    """
    expect_square(scores)
    visible = scores[scores.isfinite()]
    limit = limit or visible.abs().max().item() or 1.0
    values = scores.masked_fill(scores.isneginf(), torch.nan)
    return _heatmap(values, tokens, ax, cmap="PuOr", vmin=-limit, vmax=limit, label=label)


def plot_pattern(pattern, tokens, ax=None):
    """An attention pattern (query, key): each row's shares of one, from 0 to 1.

    Introduced in lesson 1.
    """
    expect_square(pattern, "pattern")
    expect_finite(pattern, "pattern")
    return _heatmap(pattern, tokens, ax, cmap="viridis", vmin=0, vmax=1, label="share of attention (row sums to 1)")


def plot_head_grid(values, ax=None, label="", vmin=None, vmax=None):
    """One number for each head, (layer, head), as a grid of layers by heads.

    Introduced in lesson 1.
    """
    values = np.asarray(values)
    expect(values.ndim == 2, "values", "(layer, head)", f"shape {values.shape}")
    ax = ax or plt.subplots(figsize=(6.4, 1.2 + 0.45 * len(values)), layout="constrained")[1]
    image = ax.imshow(values, cmap="viridis", vmin=vmin, vmax=vmax, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        dark = image.norm(value) < 0.6
        ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color="white" if dark else "black")
    ax.set(xlabel="head", ylabel="layer", xticks=range(values.shape[1]), yticks=range(values.shape[0]))
    ax.figure.colorbar(image, ax=ax, label=label)
    return ax


def plot_fused(matrix, n_heads, head, ax=None, ylabel="input channel", label="weight"):
    """A fused matrix (rows, 3 * d_model) with the three bands of columns that belong to one head in full colour.

    matrix: the weight of c_attn, or its output for a text (tokens, 3 * d_model). The colour scale ends at the 99th
    percentile of the absolute values. Introduced in lesson 2.
    """
    columns = matrix.shape[-1]
    expect(matrix.ndim == 2 and columns % (3 * n_heads) == 0, "matrix", "(rows, 3 x d_model)", tuple(matrix.shape))
    expect(0 <= head < n_heads, "head", f"a head from 0 to {n_heads - 1}", head)
    values = np.asarray(matrix.detach().float())
    limit = np.quantile(np.abs(values), 0.99) or 1.0
    ax = ax or plt.subplots(figsize=(11, 4), layout="constrained")[1]
    style = {"cmap": "PuOr", "vmin": -limit, "vmax": limit, "aspect": "auto", "interpolation": "nearest"}
    # Pixel edges at whole numbers, so that a band's edges are its column numbers.
    image = ax.imshow(values, extent=(0, columns, len(values), 0), **style)
    d_model, d_head = columns // 3, columns // 3 // n_heads
    starts = [third * d_model + head * d_head for third in range(3)]
    for left, right in zip([0, *(start + d_head for start in starts)], [*starts, columns], strict=True):
        ax.axvspan(left, right, color="white", alpha=0.6, lw=0)
    for start in starts:
        ax.axvline(start, color="black", lw=1)
        ax.axvline(start + d_head, color="black", lw=1)
    ax.vlines((d_model, 2 * d_model), 0, len(values), color="black", lw=1, ls=":")
    bands = ", ".join(f"{start}–{start + d_head - 1}" for start in starts)
    ax.set(xlabel=f"output column (in full colour: {bands}, head {head}'s)", ylabel=ylabel)
    ax.set_xticks(range(0, columns + 1, d_model))
    thirds = ax.secondary_xaxis("top")
    thirds.set_xticks([d_model * (third + 0.5) for third in range(3)], ["all queries", "all keys", "all values"])
    thirds.tick_params(length=0)
    ax.locator_params(axis="y", integer=True)
    ax.figure.colorbar(image, ax=ax, label=label, extend="both", pad=0.01)
    return ax


def plot_distances(distances, ax=None):
    """How far apart each two heads' patterns are, (head, head), from 0 (the same) to 1 (no key in common).

    Introduced in lesson 3.
    """
    expect(distances.ndim == 2, "distances", "(head, head)", f"shape {tuple(distances.shape)}")
    heads = range(len(distances))
    ax = ax or plt.subplots(figsize=(5.6, 4.6), layout="constrained")[1]
    image = ax.imshow(np.asarray(distances.detach().float()), cmap="cividis", vmin=0, vmax=1)
    ax.set(xlabel="head", ylabel="head", xticks=heads, yticks=heads)
    ax.figure.colorbar(image, ax=ax, label="share of attention that would have to move", shrink=0.85)
    return ax


def plot_score_histogram(counts, edges, ax=None, label=None):
    """Scores counted in bins, counts (bins,) between edges (bins + 1,), as shares so that samples compare.

    Call it again with the same `ax` to lay another sample over it. Introduced in lesson 4.
    """
    counts, edges = np.asarray(counts), np.asarray(edges)
    expect(counts.ndim == 1 and counts.sum() > 0, "counts", "(bins,), not all zero", f"shape {counts.shape}")
    expect(edges.shape == (len(counts) + 1,), "edges", f"({len(counts) + 1},), one more than counts", edges.shape)
    ax = ax or plt.subplots(figsize=(7, 3.4), layout="constrained")[1]
    ax.stairs(counts / counts.sum() / np.diff(edges), edges, fill=True, alpha=0.45, label=label)
    if not ax.lines:
        ax.axvline(0, color="black", lw=1, ls="--")
    ax.set(xlabel="raw score q·k", ylabel="share of the scores per unit")
    if label:
        ax.legend(frameon=False)
    return ax


def plot_terms(means, names, ax=None):
    """The mean of each term of the raw scores, layer by layer: means (layer, 4) and the names of ScoreTerms.

    Introduced in lesson 4.
    """
    means = np.asarray(means)
    expect(means.ndim == 2 and means.shape[1] == 4, "means", "(layer, 4), one column for each term", means.shape)
    ax = ax or plt.subplots(figsize=(7, 3.8), layout="constrained")[1]
    ax.axhline(0, color="black", lw=1, ls="--")
    for column, name, (marker, colour) in zip(means.T, names, TERM_STYLES, strict=True):
        ax.plot(column, marker=marker, color=colour, label=name.replace("_", " "))
    ax.set(xlabel="layer", ylabel="mean of the term (raw score, q·k)", xticks=range(len(means)))
    ax.legend(frameon=False)
    return ax


def _heatmap(values, tokens, ax, label="", colorbar=True, **style):
    """Queries down, keys across, both labelled with their tokens."""
    n_tokens = len(values)
    expect(len(tokens) == n_tokens, "tokens", f"{n_tokens} labels, one for each token", len(tokens))
    ax = ax or plt.subplots(figsize=(5.6, 4.6), layout="constrained")[1]
    ax.set_facecolor("0.85")
    image = ax.imshow(np.asarray(values.detach().float()), **style)
    # "$" would start a formula in a label.
    labels = [token.replace("$", r"\$") for token in tokens]
    ax.set_xticks(range(n_tokens), labels, rotation=90 if n_tokens > 6 else 0)
    ax.set_yticks(range(n_tokens), labels)
    ax.set(xlabel="key (the token looked at)", ylabel="query (the token that looks)")
    if colorbar:
        ax.figure.colorbar(image, ax=ax, label=label, shrink=0.85)
    return ax
