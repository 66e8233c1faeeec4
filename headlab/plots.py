"""One figure per function; each draws on the axes it is given, or on new ones, and returns them.

**One meaning, one colour.** `MAPS` has a colour map for each kind of number that fills cells, `COLOURS` and `MARKERS`
a colour and a marker for what a line or a group of points stands for. Lessons and explorers take theirs from here.

- "score", and what a change does to a loss or a logit: signed, orange below zero, white at zero, blue above.
- "share" of attention, and what is measured in such shares: from white, none, to dark green, all.
- "fraction" that turns at one half: purple below, grey at one half, yellow above; lighter is more.
- "amount", such as a density or a count: from white to black.
- "layer": from pink, the first, to nearly black, the last.
- What is masked is grey and hatched, in every figure.

Readers with any colour vision tell these maps and their ends apart; each but "score" gets steadily lighter or darker.

**The reader's settings.** A figure that a function makes itself is drawn in matplotlib's default style, whatever the
reader's rcParams, styles and themes: the same picture everywhere. Only a letter that DejaVu Sans lacks is taken from
the reader's `font.family`. On axes of the reader's own, their style rules what stands around the data (fonts, ground,
ticks, legend, colour bar), and the data are drawn the same as ever. `house_style` and `HouseFigure` do this.
"""

import html
import inspect
from contextlib import contextmanager
from functools import wraps
from types import MappingProxyType

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.cbook import normalize_kwargs
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.lines import Line2D

from headlab._expect import (
    LARGEST,
    expect,
    expect_finite,
    expect_float_tensor,
    expect_list,
    expect_number,
    expect_square,
    expect_tensor,
    expect_whole,
    finite_array,
    real_array,
    shown,
)
from headlab.histogram import ScoreHistogram
from headlab.profiles import bootstrap_mean

MAPS = MappingProxyType(
    {
        name: LinearSegmentedColormap.from_list(f"headlab_{name}", colours.split())
        for name, colours in {
            "score": "#a84b00 #d9761c #f3ab62 #fbd9b4 #fbfbfb #bcd6ee #6aa3d8 #2464ad #0a2a66",
            "share": "#ffffff #d3eddb #93d2aa #4db27f #13895a #046240 #013a27 #001c14",
            "fraction": "#330a45 #552069 #74437f #8a6592 #98938f #c2a03c #dcb92c #f4d64f #fff7b8",
            "amount": "#ffffff #000000",
            "layer": "#f7a8c4 #e0559a #b0127b #6b0155 #2c0026",
        }.items()
    }
)
SEEN = ListedColormap(["white"])  # of a mask's cells
MASKED, HATCH = "#d9d9d9", "#a6a6a6"  # the colours of a masked cell and of its hatching
# Okabe and Ito's colours, which readers with any colour vision tell apart, each with a marker of its own.
COLOURS = MappingProxyType(
    {
        "loaded model": "#0072B2",
        "random control": "#555555",
        "real GPT-2": "#D55E00",
        "first key": "#CC79A7",
        "other keys": "#009E73",
    }
)
MARKERS = MappingProxyType(dict(zip(COLOURS, "oxs^v", strict=True)))
IN_TURN = (("D", "#000000"), ("P", "#E69F00"), ("p", "#56B4E9"), ("*", "#7A4B12"))  # for what has no such name
VALUE_MAPS = ("score", "share", "fraction", "amount")  # of MAPS, those for a head's number
MIDDLES = {"score": 0.0, "fraction": 0.5}  # where a map turns
MOST_WORDS = 32  # tokens: in smaller cells of a mask a word could not be read, and a thousand tokens have a million
MOST_DRAWN = 4096  # points of a curve; a score far from all others makes a grid a hundred times as fine
MOST_LABELS = 64  # of the tokens of a heatmap; of more, every second, third and so on is named
LETTERS = 84  # of a text in a line of plot_tokens
ABOVE_0 = "a number above 0"
PAIRS = "(grid, density) pairs"
FEW_TEXTS = 8  # fewer are shown one by one: their interval of 95% would hold the mean in less than 89%
MEDIANS = "medians of layers"  # how plot_by_layer knows its own lines again
REFERENCE_LINE = {"color": "0.45", "lw": 1, "ls": "--"}  # seen on a light ground and on a dark one

# What of matplotlib's settings decides how data are drawn, also on axes of the reader's own.
DATA_GROUPS = ("image", "lines", "markers", "patch", "scatter", "hatch", "path", "pcolor", "pcolormesh")
DATA_SETTINGS = ("axes.prop_cycle", "text.usetex", "text.parse_math")
DATA_STYLE = {
    name: value
    for name, value in mpl.rcParamsDefault.items()
    if name.split(".")[0] in DATA_GROUPS or name in DATA_SETTINGS
}
ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}  # numpy's, as it starts
FONTS = tuple(name for name in mpl.rcParamsDefault if name in ("font.serif", "font.sans-serif", "font.monospace"))


@contextmanager
def house_style():
    """matplotlib's default style, as headlab's own figures are drawn, whatever the reader has set.

    The reader's fonts stay, behind matplotlib's own, so that scripts which this one lacks can be read.
    Introduced in lesson 1.

    >>> with house_style():
    ...     figure = plt.figure(figsize=(4, 3))
    """
    families = [name for name in plt.rcParams["font.family"] if name != "DejaVu Sans"]
    fonts = {"font.family": ["DejaVu Sans", *families]} | {name: plt.rcParams[name] for name in FONTS}
    with plt.style.context(["default", fonts]), np.errstate(**ERRORS):
        yield


class HouseFigure(Figure):
    """A figure that is drawn and saved in headlab's style, though the reader's settings may differ by then."""

    def __init__(self, *args, **kwargs):
        """As Figure."""
        with house_style():
            super().__init__(*args, **kwargs)

    def draw(self, renderer):
        """As Figure.draw."""
        with house_style():
            super().draw(renderer)

    def set_canvas(self, canvas):
        """As Figure.set_canvas; it is the canvas that notebooks have print."""
        canvas.print_figure = house_style()(canvas.print_figure)
        super().set_canvas(canvas)

    def savefig(self, *args, **kwargs):
        """As Figure.savefig."""
        with house_style():
            super().savefig(*args, **kwargs)


def _styled(plot):
    """A plot that is drawn in headlab's style on its own figures, and whose data are, on the reader's axes."""
    signature = inspect.signature(plot)

    @wraps(plot)
    def styled(*args, **kwargs):
        ax = signature.bind(*args, **kwargs).arguments.get("ax")
        of_the_reader = isinstance(ax, Axes) and not isinstance(ax.figure, HouseFigure)
        with plt.style.context(DATA_STYLE) if of_the_reader else house_style(), np.errstate(**ERRORS):
            return plot(*args, **kwargs)

    return styled


@_styled
def plot_mask(mask, tokens, ax=None):
    """Which keys (columns) each query (row) may see: bool (T, T) and its T token labels; the others look masked.

    Introduced in lesson 1.

    >>> plot_mask(torch.ones(2, 2, dtype=torch.bool).tril(), ["the", "·man"]).get_xlabel()
    'key (the token looked at)'
    """
    expect_tensor(mask, "mask", "of True and False (T, T)")
    if mask.dtype != torch.bool:
        raise TypeError(f"mask: expected True and False (T, T), got {mask.dtype}")
    _expect_one_square(mask.float(), "mask")
    ax = _heatmap(mask.float(), ~mask, tokens, ax, cmap=SEEN, vmin=0, vmax=1, colorbar=False)
    if len(mask) <= MOST_WORDS:
        for i, j in mask.nonzero().tolist():
            ax.text(j, i, "yes", ha="center", va="center", color="black")
    return ax


@_styled
def plot_scores(scores, tokens, ax=None, label="raw score q·k", limit=None):
    """Scores (query, key) on a diverging map centred on zero; masked entries (-inf) look masked.

    limit: the largest absolute score of the colour scale, by default that of these scores. Give the same limit to
    panels that are to be compared.
    Introduced in lesson 1.

    >>> plot_scores(torch.tensor([[1.0, -torch.inf], [-2.0, 3.0]]), ["the", "·man"]).get_ylabel()
    'query (the token that looks)'
    """
    _expect_one_square(scores, "scores")
    masked = scores.isneginf()
    visible = finite_array(scores.masked_fill(masked, 0.0), "scores")
    if limit is None:
        largest = np.abs(visible).max().item()
        limit = largest if largest >= 1 / LARGEST else 1.0  # a scale narrower than that cannot be drawn
    limit = _checked_number(limit, "limit", ABOVE_0, 1 / LARGEST)
    return _heatmap(scores, masked, tokens, ax, label, cmap=MAPS["score"], vmin=-limit, vmax=limit)


@_styled
def plot_pattern(pattern, tokens, ax=None):
    """An attention pattern (query, key): each row's shares of one, from 0 to 1; the future looks masked where it is.

    Introduced in lesson 1.

    >>> plot_pattern(torch.tensor([[1.0, 0.0], [0.3, 0.7]]), ["the", "·man"]).get_ylabel()
    'query (the token that looks)'
    """
    _expect_one_square(pattern, "pattern")
    expect_finite(pattern, "pattern")
    low, high = pattern.min().item(), pattern.max().item()
    expect(low >= 0 and high <= 1.01, "pattern", "shares from 0 to 1", f"{low:.3g} to {high:.3g}")
    label = "share of attention (row sums to 1)"
    return _heatmap(pattern, masked_future(pattern), tokens, ax, label, cmap=MAPS["share"], vmin=0, vmax=1)


def masked_future(pattern):
    """Which cells of a pattern (T, T) to draw as masked: the future's if all of its shares are exactly 0, else none.

    Introduced in lesson 1.

    >>> masked_future(torch.tensor([[1.0, 0.0], [0.3, 0.7]]))
    tensor([[False,  True],
            [False, False]])
    """
    _expect_one_square(pattern, "pattern")
    future = torch.ones_like(pattern, dtype=torch.bool).triu(1)
    return future & (pattern[future] == 0).all()


@_styled
def plot_head_grid(values, ax=None, label="", vmin=None, vmax=None, meaning="amount"):
    """One number for each head, (layer, head), as a grid of layers by heads.

    meaning: "score", "share", "fraction" or "amount", which says in which of MAPS; vmin, vmax: the ends of the colour
    scale, by default 0 and 1 for shares and fractions, those of the values for others, and as far below zero as above
    for scores. Introduced in lesson 1.

    >>> plot_head_grid(np.zeros((4, 12)), label="share").get_ylabel()
    'layer'
    """
    values = _checked_heads(values)
    low, high = _checked_range(values, vmin, vmax, meaning)
    ax = _axes(ax, (6.4, 1.2 + 0.45 * len(values)))
    image = _image(ax, values, cmap=MAPS[meaning], vmin=low, vmax=high, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        text = f"{round(value, 2) + 0.0:.2f}"  # -0.0 + 0.0 is 0.0
        ax.text(j, i, text, ha="center", va="center", fontsize=8, color=ink(image.to_rgba(value)))
    ax.set(xlabel="head", ylabel="layer", xticks=range(values.shape[1]), yticks=range(values.shape[0]))
    _colour_bar(ax, image, label, meaning)
    return ax


@_styled
def plot_fused(matrix, n_heads, head, ax=None, ylabel="input channel", label="weight", limit=None):
    """A fused matrix (rows, 3 * d_model) with the three bands of columns that belong to one head in full colour.

    matrix: the weight of c_attn, or its output for a text (tokens, 3 * d_model); limit: where the colour scale ends, by
    default at the 99th percentile of the absolute values. Introduced in lesson 2.

    >>> plot_fused(torch.zeros(12, 36), n_heads=3, head=1).get_ylabel()
    'input channel'
    """
    expected = "(rows, 3 x d_model), d_model a multiple of n_heads"
    expect_float_tensor(matrix, "matrix", expected)
    n_heads = expect_whole(n_heads, "n_heads", "a whole number of heads >= 1")
    expect(n_heads >= 1, "n_heads", "a whole number of heads >= 1", n_heads)
    fits = matrix.ndim == 2 and matrix.numel() > 0 and matrix.shape[1] % (3 * n_heads) == 0
    expect(fits, "matrix", f"{expected} = {n_heads}", tuple(matrix.shape))
    head = expect_whole(head, "head", "a whole number")
    expect(0 <= head < n_heads, "head", f"a head from 0 to {n_heads - 1}", head)
    columns = matrix.shape[1]
    values = finite_array(matrix, "matrix")
    if limit is None:
        limit = np.quantile(np.abs(values), 0.99) or 1.0
    limit = _checked_number(limit, "limit", ABOVE_0, 1 / LARGEST)
    ax = _axes(ax, (11, 4))
    style = {"cmap": MAPS["score"], "vmin": -limit, "vmax": limit, "aspect": "auto", "interpolation": "nearest"}
    # Pixel edges at whole numbers, so that a band's edges are its column numbers.
    image = _image(ax, values, extent=(0, columns, len(values), 0), **style)
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


@_styled
def plot_bands(d_model, n_heads, head, ax=None):
    """The columns of a fused matrix as a strip: three thirds cut into heads, with the bands of one head marked.

    Introduced in lesson 2.

    >>> plot_bands(d_model=12, n_heads=3, head=1).get_xlabel()
    'column of the fused matrix; in full colour: the 4 columns of head 1 in each third'
    """
    d_model = expect_whole(d_model, "d_model", "a whole number of channels >= 1")
    n_heads = expect_whole(n_heads, "n_heads", "a whole number of heads >= 1")
    head = expect_whole(head, "head", "a whole number")
    expect(d_model >= 1, "d_model", "a whole number of channels >= 1", d_model)
    expect(n_heads >= 1 and d_model % n_heads == 0, "n_heads", f"a divisor of d_model = {d_model}", n_heads)
    expect(0 <= head < n_heads, "head", f"a head from 0 to {n_heads - 1}", head)
    d_head = d_model // n_heads
    ax = _axes(ax, (11, 1.9))
    for third, (name, (_, colour)) in enumerate(zip(("queries", "keys", "values"), IN_TURN[1:], strict=True)):
        for h in range(n_heads):
            start = third * d_model + h * d_head
            ax.barh(0, d_head, left=start, height=1, color=colour, alpha=1 if h == head else 0.25, edgecolor="white")
        start = third * d_model + head * d_head
        own = _text_colour(ax)
        ax.text(start + d_head / 2, 0.62, f"{start}–{start + d_head - 1}", ha="center", va="bottom", color=own)
        ax.text((third + 0.5) * d_model, 1.15, f"all {name}", ha="center", va="bottom", color=own, weight="bold")
    ax.set(xlim=(0, 3 * d_model), ylim=(-0.5, 1.7), yticks=[], xticks=range(0, 3 * d_model + 1, d_model))
    ax.set_xlabel(f"column of the fused matrix; in full colour: the {d_head} columns of head {head} in each third")
    ax.spines[["left", "right", "top"]].set_visible(False)
    return ax


def show_figure(alt):
    """Show the current figure in a notebook with `alt`, its message in words, as alternative text, and close it.

    The words also stand below the figure, folded, because JupyterLab gives an image no alternative text.
    Introduced in lesson 1.

    >>> figure = plt.figure()
    >>> show_figure("Nothing yet.")
    Figure(640x480)
    Nothing yet.
    """
    expect(isinstance(alt, str) and alt.strip(), "alt", "what the figure shows, in words", repr(alt))
    figure = plt.gcf()
    display(figure, metadata={"image/png": {"alt": alt}})
    display(_InWords(alt))
    plt.close(figure)


class _InWords(str):
    """What a figure shows, for a page to unfold."""

    def _repr_html_(self):
        return f"<details><summary>The figure in words</summary>{html.escape(self)}</details>"


@_styled
def write_numbers(values, ax, digits=0):
    """Write each of the values (row, column) into its cell of the heatmap on `ax`; cells that are not finite stay
    empty.

    Introduced in lesson 1.

    >>> ax = plot_pattern(torch.tensor([[1.0, 0.0], [0.3, 0.7]]), ["the", "·man"])
    >>> write_numbers(torch.tensor([[1.0, 0.0], [0.3, 0.7]]), ax, digits=1)
    <Axes: xlabel='key (the token looked at)', ylabel='query (the token that looks)'>
    """
    values = real_array(values, "values")
    digits = expect_whole(digits, "digits", "a whole number from 0 to 15")
    expect(0 <= digits <= 15, "digits", "a whole number from 0 to 15", digits)
    image = _axes(ax, None).images
    fits = len(image) == 1 and image[0].get_array().shape == values.shape
    expect(fits, "ax", f"axes with one heatmap of shape {values.shape}", [i.get_array().shape for i in image])
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = ink(image[0].to_rgba(value))
            text = f"{round(value, digits) + 0.0:.{digits}f}"  # -0.0 + 0.0 is 0.0
            ax.text(column, row, text, ha="center", va="center", color=colour)
    return ax


@_styled
def plot_vectors(vectors, tokens, ax=None, **style):
    """Vectors of two channels, (T, 2), as arrows from the origin, each labelled with its token; `style` is the arrows'.

    Call it again with the same `ax` to lay other vectors over them. Introduced in lesson 1.

    >>> ax = plot_vectors(torch.tensor([[1.0, 2.0], [2.0, 0.0]]), ["the", "·man"])
    >>> len(ax.texts)
    2
    """
    values = finite_array(vectors, "vectors")
    expect(values.ndim == 2 and values.shape[1] == 2, "vectors", "two channels each (T, 2)", f"shape {values.shape}")
    labels = _checked_labels(tokens, "tokens", len(values), "vector")
    ax = _axes(ax, (5.6, 4.6))
    ends = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.009, "zorder": 2}
    arrows = ax.quiver(*np.zeros_like(values).T, *values.T, **ends, **style)
    for (x, y), name in zip(values, labels, strict=True):
        across, up = np.array([x, y]) / (np.hypot(x, y) or 1.0)  # the name stands just beyond the arrow's tip
        ax.annotate(
            name,
            (x, y),
            (7 * across, 7 * up),
            textcoords="offset points",
            ha="left" if across > 0.4 else "right" if across < -0.4 else "center",
            va="bottom" if up > 0.4 else "top" if up < -0.4 else "center",
            color=arrows.get_facecolor()[0],
        )
    ax.update_datalim([(0, 0), *values])
    ax.margins(0.45)
    ax.set_aspect("equal", adjustable="datalim")
    return ax


@_styled
def plot_tokens(tokens, values, ax=None, label="", limit=None):
    """A text, each token on the colour of its value, such as the change of its loss; white is zero.

    tokens: T labels; values (T,); limit: the largest absolute value of the colour scale, by default that of these
    values. Introduced in lesson 8.

    >>> ax = plot_tokens(["the", "·man"], [0.5, -0.5], label="change of loss (nats)")
    """
    values = finite_array(values, "values").astype(float)
    expect(values.ndim == 1 and values.size >= 1, "values", "one number for each token (T,)", f"shape {values.shape}")
    labels = _checked_labels(tokens, "tokens", len(values), "value")
    if limit is None:
        limit = max(np.abs(values).max(), 1 / LARGEST)  # a scale narrower than that cannot be drawn
    limit = _checked_number(limit, "limit", ABOVE_0, 1 / LARGEST)
    colours = plt.cm.ScalarMappable(plt.Normalize(-limit, limit), MAPS["score"])
    places, across, line = [], 0, 0
    for name in labels:
        if across and across + len(name) > LETTERS:
            across, line = 0, line + 1
        places.append((across, line))
        across += len(name)
    ax = _axes(ax, (11, 0.7 + 0.36 * (line + 1)))
    for name, value, (across, row) in zip(labels, values, places, strict=True):
        colour = colours.to_rgba(value)
        ax.add_patch(plt.Rectangle((across, row - 0.42), len(name), 0.84, color=colour, lw=0))
        style = {"family": "monospace", "fontsize": 11, "color": ink(colour)}
        ax.text(across + len(name) / 2, row, name, ha="center", va="center", **style)
    ax.set(xlim=(0, LETTERS), ylim=(line + 0.6, -0.6))
    ax.set_axis_off()
    _colour_bar(ax, colours, label)
    return ax


@_styled
def plot_distances(distances, ax=None):
    """How far apart the patterns of every pair of heads are, (head, head), from 0 (the same) to 1 (no key in common).

    Introduced in lesson 3.

    >>> plot_distances(torch.tensor([[0.0, 0.4], [0.4, 0.0]])).get_xlabel()
    'head'
    """
    distances = finite_array(distances, "distances")
    square = distances.ndim == 2 and distances.shape[0] == distances.shape[1] >= 1
    expect(square, "distances", "(head, head)", f"shape {distances.shape}")
    heads = range(len(distances))
    ax = _axes(ax, (5.6, 4.6))
    image = _image(ax, distances, cmap=MAPS["amount"], vmin=0, vmax=1)
    ax.set(xlabel="head", ylabel="head", xticks=heads, yticks=heads)
    ax.figure.colorbar(image, ax=ax, label="share of attention that would have to move", shrink=0.85)
    return ax


@_styled
def plot_score_histogram(counts, edges, ax=None, label=None, meaning=None):
    """Scores counted in bins, counts (bins,) between edges (bins + 1,), as shares so that samples compare.

    Call it again with the same `ax` to lay another sample over it. meaning: one of COLOURS, by default the one that the
    label begins with; samples without any get other colours in turn. Introduced in lesson 4.

    >>> plot_score_histogram([1, 4, 2], edges=[-3, -1, 1, 3]).get_xlabel()
    'raw score q·k'
    """
    counts, edges = (finite_array(x, name) for x, name in ((counts, "counts"), (edges, "edges")))
    fits = counts.ndim == 1 and counts.size > 0 and counts.min() >= 0 and counts.max() > 0
    expect(fits, "counts", "(bins,), none negative and not all zero", f"{counts} of shape {counts.shape}")
    expect(edges.shape == (len(counts) + 1,), "edges", f"({len(counts) + 1},), one more than counts", edges.shape)
    expect((np.diff(edges) > 0).all(), "edges", "rising numbers", edges)
    _expect_meaning(meaning)
    ax = _axes(ax, (7, 3.4))
    if not ax.lines:
        ax.axvline(0, **REFERENCE_LINE)
    colour = _look(meaning, len(ax.patches), label)["color"]
    ax.stairs(counts / counts.sum() / np.diff(edges), edges, fill=True, alpha=0.45, color=colour, lw=0, label=label)
    ax.set(xlabel="raw score q·k", ylabel="share of the scores per unit")
    if label:
        ax.legend(frameon=False)
    return ax


@_styled
def plot_terms(means, names, ax=None):
    """The mean of each term of the raw scores, layer by layer: means (layer, 4) and the names of ScoreTerms.

    Introduced in lesson 5.

    >>> plot_terms(np.zeros((2, 4)), ["content", "query bias", "key bias", "constant"]).get_xlabel()
    'layer'
    """
    means = finite_array(means, "means")
    fits = means.ndim == 2 and means.shape[1] == 4 and len(means) >= 1
    expect(fits, "means", "(layer, 4), one column for each term", means.shape)
    names = _checked_labels(names, "names", 4, "term")
    kept = all(name and not name.startswith("_") for name in names)  # matplotlib leaves the others out of a legend
    expect(kept, "names", "names that are not empty and do not begin with _", names)
    ax = _axes(ax, (7, 3.8))
    ax.axhline(0, **REFERENCE_LINE)
    for column, name, (marker, colour) in zip(means.T, names, IN_TURN, strict=True):
        ax.plot(column, ls="-", marker=marker, color=colour, label=name.replace("_", " "))
    ax.set(xlabel="layer", ylabel="mean of the term (raw score, q·k)", xticks=range(len(means)))
    ax.legend(frameon=False)
    return ax


@_styled
def plot_strips(groups, names, ax=None, size=4.0, alpha=1.0, jitter=0.0, meaning="loaded model"):
    """Scores as points, one column for each group of them, such as a head or a layer; the title says how many.

    groups: arrays of any length; names: one for each; size: of a point, in points; jitter: how far, in columns, a point
    may be moved sideways at random, the same way on every call; meaning: whose scores they are, one of COLOURS.
    Introduced in lesson 6.

    >>> ax = plot_strips([[1.0, 2.0], [0.0]], ["layer 0", "layer 1"])
    """
    scores = [finite_array(group, "groups").ravel() for group in expect_list(groups, "groups", "arrays of scores")]
    names = _checked_labels(names, "names", len(scores), "group")
    size = _checked_number(size, "size", ABOVE_0, 1 / LARGEST)
    alpha = _checked_number(alpha, "alpha", "a number from 0 to 1", 0, 1)
    jitter = _checked_number(jitter, "jitter", "a number from 0 on", 0)
    columns = np.repeat(np.arange(len(scores)), [len(group) for group in scores])
    _expect_meaning(meaning)
    strays = np.random.default_rng(0).uniform(-jitter, jitter, len(columns))
    ax = _axes(ax, (7, 3.8))
    # As a picture, not as shapes: a saved figure with a million shapes takes minutes to open.
    points = {"s": size**2, "alpha": alpha, "lw": 0, "color": _look(meaning)["color"], "marker": "o"}
    ax.scatter(columns + strays, np.concatenate(scores), rasterized=True, **points)
    ax.set(xlim=(-0.6, len(scores) - 0.4), ylabel="raw score q·k", title=f"{len(columns):,} points")
    ax.set_xticks(range(len(scores)), names)
    return ax


@_styled
def plot_density(grid, density, ax=None, label=None, fill=True, meaning=None, **style):
    """A density (points,) over its grid (points,); `style` is that of the line.

    Call it again with the same `ax` to lay another density over it. meaning: one of COLOURS, by default the one that
    the label begins with; densities without any, and without a colour in `style`, get other colours in turn.
    Introduced in lesson 6.

    >>> plot_density([-1.0, 0.0, 1.0], [0.2, 0.5, 0.2]).get_ylabel()
    'density (per unit of q·k)'
    """
    grid, density = _checked_curve(grid, density)
    _expect_meaning(meaning)
    ax = _axes(ax, (7, 3.4))
    # All is said, since the cycle of the reader's axes may hold dashes and markers too.
    plain = {"color": _look(meaning, len(ax.lines), label)["color"], "linestyle": "-", "marker": ""}
    style = plain | normalize_kwargs(style, Line2D)
    (line,) = ax.plot(grid, density, label=label, **style)
    if fill:
        ax.fill_between(grid, density, color=line.get_color(), alpha=0.2, lw=0)
    line.sticky_edges.y.append(0)  # no margin below zero, where no density is
    ax.set(xlabel="raw score q·k", ylabel="density (per unit of q·k)")
    if label:
        ax.legend(frameon=False)
    return ax


@_styled
def plot_mode_tree(bandwidths, modes, ax=None, marked=None, meaning="loaded model"):
    """Where a density has its peaks, for each bandwidth: a hill is a branch, as tall as its range of bandwidths.

    bandwidths (n,), above 0; modes: the peaks (peaks,) of each, as `mode_tree` gives them; marked: {name: bandwidth},
    dashed lines, such as those of the rules; meaning: whose scores they are, one of COLOURS. Introduced in lesson 6.

    >>> plot_mode_tree([0.5, 1.0], [[-1.0, 1.0], [0.0]]).get_ylabel()
    'bandwidth (units of q·k)'
    """
    bandwidths = finite_array(bandwidths, "bandwidths")
    fits = bandwidths.ndim == 1 and bandwidths.size > 0 and bandwidths.min() > 0
    expect(fits, "bandwidths", "(n,), all above 0", f"{bandwidths} of shape {bandwidths.shape}")
    modes = [finite_array(peaks, "modes").ravel() for peaks in expect_list(modes, "modes", "arrays of peaks")]
    expect(len(modes) == len(bandwidths), "modes", f"peaks for each of {len(bandwidths)} bandwidths", len(modes))
    if not isinstance(marked, dict | None):
        raise TypeError(f"marked: expected {{name: bandwidth}}, got {shown(repr(marked))}")
    marked = {
        as_label(name): _checked_number(at, "marked", ABOVE_0, 1 / LARGEST) for name, at in (marked or {}).items()
    }
    _expect_meaning(meaning)
    ax = _axes(ax, (7, 3.8))
    heights = np.repeat(bandwidths, [len(peaks) for peaks in modes])
    ax.plot(np.concatenate(modes), heights, ls="", marker="o", ms=3.5, color=_look(meaning)["color"])
    for name, at in marked.items():
        ax.axhline(at, **REFERENCE_LINE)
        beside = {"xycoords": ("axes fraction", "data"), "va": "center", "color": _text_colour(ax)}
        ax.annotate(as_label(name), (1.01, at), annotation_clip=False, **beside)
    ax.set(xlabel="place of a peak (raw score q·k)", ylabel="bandwidth (units of q·k)", yscale="log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("")
    return ax


@_styled
def plot_ridgelines(curves, names, ax=None, meaning="loaded model"):
    """Densities one below the other, each above its own base line, with a dashed line at zero.

    curves: (grid, density) pairs, the first at the top; names: one for each; meaning: whose they are, one of COLOURS.
    All heights are on one scale, so equal areas are equal shares; a peak may reach into the rows above.
    Introduced in lesson 6.

    >>> curves = [(np.array([-1.0, 0.0, 1.0]), np.array([0.2, 0.5, 0.2]))] * 2
    >>> plot_ridgelines(curves, ["layer 0", "layer 1"]).get_xlabel()
    'raw score q·k'
    """
    pairs = [expect_list(curve, "curves", PAIRS) for curve in expect_list(curves, "curves", PAIRS)]
    expect(all(len(pair) == 2 for pair in pairs), "curves", PAIRS, f"lengths {[len(pair) for pair in pairs]}")
    curves = [_checked_curve(*pair) for pair in pairs]
    names = _checked_labels(names, "names", len(curves), "curve")
    _expect_meaning(meaning)
    highest = max(density.max() for _, density in curves)
    expect(highest > 0, "curves", "densities above 0", highest)
    height = 2.0 / highest  # the highest peak reaches over two rows
    ax = _axes(ax, (6.4, 1.4 + 0.4 * len(curves)))
    ax.axvline(0, **REFERENCE_LINE)
    colour = _look(meaning)["color"]
    for row, (grid, density) in enumerate(curves):
        top = height * density - row
        ax.fill_between(grid, -row, top, color=colour, alpha=0.75, lw=0, zorder=2 + row)
        ax.plot(grid, top, color="white", lw=1, ls="-", marker="", zorder=2 + row)
    ax.set_yticks(-np.arange(len(curves)), names)
    ax.set(xlabel="raw score q·k", ylim=(0.2 - len(curves), 2.2))
    ax.spines[["left", "right", "top"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


@_styled
def plot_layers(histogram, bandwidth="scott", n_grid=None, meaning="loaded model"):
    """The density of every head of a ScoreHistogram: one panel of ridgelines for each layer. Returns its Axes (layer,).

    The panels share one axis of scores, which covers the middle 99% of all heads' together; each panel has its own
    scale of heights. bandwidth and n_grid as in `fast_kde`; meaning as in `plot_ridgelines`. Introduced in lesson 6.

    >>> from headlab.histogram import ScoreHistogram
    >>> histogram = ScoreHistogram([0], n_heads=2)
    >>> histogram.update(0, torch.linspace(-1, 1, 100).expand(2, 100))
    >>> len(plot_layers(histogram))
    1
    """
    if not isinstance(histogram, ScoreHistogram):
        raise TypeError(f"histogram: expected a ScoreHistogram, got {shown(repr(histogram))}")
    n_layers, heads = len(histogram.layers), range(histogram.n_heads)
    curves = [[histogram.density(layer, head, n_grid, bandwidth) for head in heads] for layer in histogram.layers]
    expect(curves, "histogram", "at least one layer", "none")
    _expect_meaning(meaning)
    columns = min(4, n_layers)
    rows = -(-n_layers // columns)
    size = (3.7 * columns, rows * (1.0 + 0.22 * len(heads)))
    axes = _figure(size).subplots(rows, columns, sharex=True, squeeze=False).ravel()
    for ax in axes[n_layers:]:
        ax.remove()
    axes = axes[:n_layers]
    shown_range = np.quantile(histogram.quantile(np.linspace(0, 1, 201)), [0.005, 0.995])
    for place, (ax, layer) in enumerate(zip(axes, histogram.layers, strict=True)):
        plot_ridgelines([_within(shown_range, *curve) for curve in curves[place]], heads, ax, meaning)
        lowest = place + columns >= n_layers
        ax.set(title=f"layer {layer}", ylabel="" if place % columns else "head")
        ax.set_xlabel(ax.get_xlabel() if lowest else "")
        ax.tick_params(labelbottom=lowest)
    axes[0].set_xlim(shown_range)
    return axes


def _within(ends, grid, density):
    """Of a curve on a very fine grid the part between two ends, and a point beyond each; any other curve whole."""
    if len(grid) <= MOST_DRAWN:
        return grid, density
    first, last = np.searchsorted(grid, ends)
    part = slice(max(0, first - 1), max(2, last + 1))
    return grid[part], density[part]


@_styled
def plot_layer_densities(grid, densities, ax=None, vmax=None):
    """The density of each layer's raw scores as a heatmap: grid (n,), densities (layer, n), as `layer_densities` gives.

    vmax: where the colour scale ends, by default at the highest density; give panels that are to be compared the same.
    Introduced in lesson 7.

    >>> plot_layer_densities(np.linspace(-1, 1, 5), np.ones((2, 5))).get_ylabel()
    'layer'
    """
    grid, densities = _checked_densities(grid, densities)
    n_layers = len(densities)
    top = None if vmax is None else _checked_number(vmax, "vmax", ABOVE_0, 1 / LARGEST)
    ax = _axes(ax, (7, 1.4 + 0.3 * n_layers))
    ax.grid(False)
    middles = (grid[1:] + grid[:-1]) / 2
    edges = [2 * grid[0] - middles[0], *middles, 2 * grid[-1] - middles[-1]]
    rows = np.arange(n_layers + 1) - 0.5  # named, for Matplotlib would give a single layer no height
    image = ax.pcolormesh(edges, rows, densities, cmap=MAPS["amount"], vmin=0, vmax=top)
    ax.axvline(0, **REFERENCE_LINE)
    ax.set(xlabel="raw score q·k", ylabel="layer", yticks=range(n_layers))
    ax.invert_yaxis()
    ax.figure.colorbar(image, ax=ax, label="share of the scores per unit")
    return ax


@_styled
def plot_head_densities(grid, densities, values, ax=None, label="", vmin=None, vmax=None, meaning="amount"):
    """All heads at a glance: in each cell (layer, head) the density of its scores, in the colour of its value.

    grid (n,); densities (layer, head, n), each scaled to its own peak; values (layer, head) for the colour, with
    meaning and ends as in `plot_head_grid`. A tick under each curve marks the score 0.
    Introduced in lesson 7.

    >>> axes = plot_head_densities(np.linspace(-1, 1, 5), np.ones((2, 3, 5)), np.zeros((2, 3)))
    """
    values = _checked_heads(values)
    low, high = _checked_range(values, vmin, vmax, meaning)
    densities = finite_array(densities, "densities")
    heads = densities.shape[:-1]
    expect(heads == values.shape, "densities", f"{values.shape} heads, as values", heads)
    n_layers, n_heads = values.shape
    grid, curves = _checked_densities(grid, densities.reshape(n_layers * n_heads, -1))
    expect((curves.max(1) > 0).all(), "densities", "each above 0 somewhere", "one that is nowhere")
    ax = _axes(ax, (1.8 + 0.75 * n_heads, 1 + 0.55 * n_layers))
    colours = plt.cm.ScalarMappable(plt.Normalize(low, high), MAPS[meaning])
    across = np.interp(np.append(grid, 0.0), grid[[0, -1]], [-0.45, 0.45])  # from scores to places in a cell; last, 0
    for (layer, head), value in np.ndenumerate(values):
        curve = curves[layer * n_heads + head]
        foot = layer + 0.4
        colour = colours.to_rgba(value)
        outline = {"facecolor": colour, "edgecolor": "0.45", "lw": 0.5}  # a curve may be as white as the ground
        ax.fill_between(head + across[:-1], foot, foot - 0.8 * curve / curve.max(), **outline)
        ax.vlines(head + across[-1], foot, foot + 0.1, color="0.45", lw=1)
    ax.set(xlabel=f"head (each cell: raw scores from {grid[0]:.0f} to {grid[-1]:.0f}, tick at 0)", ylabel="layer")
    ax.set(xticks=range(n_heads), yticks=range(n_layers), xlim=(-0.6, n_heads - 0.4), ylim=(n_layers - 0.4, -0.6))
    _colour_bar(ax, colours, label, meaning)
    return ax


@_styled
def plot_by_layer(values, ax=None, ylabel="", label=None, meaning=None):
    """A statistic by layer: every head a point, and their median, the robust middle, as a line.

    values (layer, head) of one text or (text, layer, head) of several: then the points and the line are means over the
    texts. With FEW_TEXTS texts or more, two dashes show the line's 95% interval over texts (`bootstrap_mean` says what
    it is worth). With fewer, no interval can be trusted, and thin lines show the single texts. Call it again with the
    same `ax` to lay up to three more samples beside it. meaning: one of COLOURS, by default the one that the label
    begins with; samples without any get other colours in turn.
    Introduced in lesson 7.

    >>> plot_by_layer(np.zeros((4, 12)), ylabel="median score (q·k)").get_xlabel()
    'layer'
    """
    values = finite_array(values, "values")
    fits = values.ndim in (2, 3) and values.size > 0
    expect(fits, "values", "(layer, head) or (text, layer, head)", values.shape)
    _expect_meaning(meaning)
    ax = _axes(ax, (8, 3.6))
    texts = values if values.ndim == 3 else values[None]
    place = len(_samples_of(ax))
    expect(place < len(IN_TURN), "ax", f"at most {len(IN_TURN)} samples", place + 1)
    look = _look(meaning, place, label)
    layers = np.arange(texts.shape[1]) + 0.15 * place
    points = np.repeat(layers, texts.shape[2]), texts.mean(0)
    ax.scatter(*points, s=14, alpha=0.35, linewidths=0.6, **look)
    middles = np.median(texts, -1)  # (text, layer)
    ax.plot(layers, middles.mean(0), ls="-", label=label, gid=MEDIANS, **look)
    if 1 < len(texts) < FEW_TEXTS:
        ax.plot(layers, middles.T, ls="-", lw=0.8, alpha=0.5, marker="", color=look["color"])
    elif len(texts) > 1:
        for end in bootstrap_mean(middles):
            ax.scatter(layers, end, color=look["color"], marker="_", s=110, zorder=3)
    ax.set(xlabel="layer", ylabel=ylabel or ax.get_ylabel())
    ax.set_xticks(range(max(len(line.get_xdata()) for line in _samples_of(ax))))
    if label:
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return ax


@_styled
def plot_head_clusters(values, names):
    """Heads clustered by their statistics: a heat map with a row for each head, similar heads side by side, and the
    trees.

    values (statistic, layer, head) and a name for each statistic, all of which differ between heads. Colour: how many
    standard deviations of all heads a head lies above or below their mean; beside the rows, the head's layer. Heads and
    statistics are joined by Ward's method. Returns the Axes of the heat map.
    Introduced in lesson 7. Source: seaborn's clustermap; Ward 1963.

    >>> values = np.random.default_rng(0).normal(size=(2, 3, 4))  # (statistic, layer, head)
    >>> ax = plot_head_clusters(values, ["spread", "gap"])
    """
    values = finite_array(values, "values")
    fits = values.ndim == 3 and len(values) >= 2 and values[0].size >= 2
    expect(fits, "values", "(statistic, layer, head), two statistics and two heads or more", f"shape {values.shape}")
    names = _checked_labels(names, "names", len(values), "statistic")
    rows = values.reshape(len(values), -1).T  # (head of all, statistic)
    expect((np.ptp(rows, 0) > 0).all(), "values", "statistics that differ between heads", "one that does not")
    rows = (rows - rows.mean(0)) / rows.std(0)
    differ = np.ptp(rows, 1).max() > 1e-9
    expect(differ, "values", "statistics that differ from one another", "the same one in other units")
    n_layers, n_heads = values.shape[1:]
    grid = sns.clustermap(
        rows,
        method="ward",
        row_colors=MAPS["layer"](np.repeat(np.arange(n_layers) / max(1, n_layers - 1), n_heads)),
        cmap=MAPS["score"],
        vmin=-3,
        vmax=3,
        xticklabels=names,
        yticklabels=False,
        figsize=(7, 7),
        dendrogram_ratio=(0.18, 0.1),
        cbar_pos=(0.02, 0.9, 0.03, 0.09),
        cbar_kws={"label": "standard\ndeviations"},
    )
    # seaborn makes the figure itself; as a HouseFigure it keeps headlab's style when it is drawn later.
    grid.figure.__class__ = HouseFigure
    grid.figure.set_canvas(grid.figure.canvas)
    ax = grid.ax_heatmap
    ax.set_ylabel(f"the {len(rows)} heads, in the order of the tree")
    grid.ax_row_colors.set_xticks([0.5], ["layer"], rotation=90)
    return ax


@_styled
def plot_heads(x, y, ax=None, xlabel="", ylabel="", named=()):
    """One statistic of every head against another: a point for each head, in the colour of its layer.

    x and y (layer, head); named: the heads (layer, head) whose names stand beside their points.
    Introduced in lesson 5.

    >>> plot_heads(np.zeros((4, 12)), np.ones((4, 12)), xlabel="spread", ylabel="gap").get_xlabel()
    'spread'
    """
    x, y = (_checked_heads(values, name) for values, name in ((x, "x"), (y, "y")))
    expect(x.shape == y.shape, "y", f"one value for each of {x.shape} heads, as x", y.shape)
    named = _checked_places(named, *x.shape)
    ax = _axes(ax, (6, 4.4))
    layers = np.repeat(np.arange(len(x)), x.shape[1])
    style = {"c": layers, "cmap": MAPS["layer"], "vmin": 0, "vmax": max(1, len(x) - 1)}
    points = ax.scatter(x.ravel(), y.ravel(), s=22, marker="o", edgecolor="0.45", lw=0.3, **style)
    for place in named:
        beside = {"xytext": (8, 8), "textcoords": "offset points", "arrowprops": {"arrowstyle": "-", "color": "0.45"}}
        ax.annotate("L{}H{}".format(*place), (x[place], y[place]), fontsize=9, color=_text_colour(ax), **beside)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    bar = ax.figure.colorbar(points, ax=ax, label="layer")
    bar.locator = mpl.ticker.MaxNLocator(integer=True)
    bar.update_ticks()
    return ax


def _samples_of(ax):
    """The lines that `plot_by_layer` drew on these axes, among any others."""
    return [line for line in ax.lines if line.get_gid() == MEDIANS]


def _figure(size):
    """A new figure of this size in inches, drawn in headlab's style."""
    return plt.figure(figsize=size, layout="constrained", FigureClass=HouseFigure)


def _axes(ax, size):
    """The axes to draw on: those given, or new ones on a figure of this size in inches."""
    if ax is None:
        return _figure(size).subplots()
    if not isinstance(ax, Axes):
        raise TypeError(f"ax: expected Axes of matplotlib, or None for new ones, got {shown(repr(ax))}")
    return ax


def _checked_grid(grid):
    """The grid (n,) as a rising array of numbers."""
    grid = finite_array(grid, "grid")
    expect(grid.ndim == 1 and grid.size >= 2, "grid", "at least two points (n,)", f"shape {grid.shape}")
    expect((np.diff(grid) > 0).all(), "grid", "rising points", grid)
    return grid


def _checked_curve(grid, density):
    """The grid (n,) and the density (n,) as arrays that belong together."""
    grid, density = _checked_grid(grid), finite_array(density, "density")
    fits = density.shape == grid.shape
    expect(fits, "density", f"one value for each of {len(grid)} points", f"shape {density.shape}")
    return grid, density


def _checked_densities(grid, densities):
    """The grid (n,) and the densities (row, n) as arrays that belong together."""
    grid, densities = _checked_grid(grid), finite_array(densities, "densities")
    fits = densities.ndim == 2 and densities.shape[1] == len(grid) and len(densities) >= 1
    expect(fits, "densities", f"rows of {len(grid)}, one value for each point of the grid", f"shape {densities.shape}")
    return grid, densities


def _checked_heads(values, argument="values"):
    """One number for each head as an array (layer, head)."""
    values = finite_array(values, argument)
    expect(values.ndim == 2 and values.size > 0, argument, "(layer, head)", f"shape {values.shape}")
    return values


def _checked_places(named, n_layers, n_heads):
    """The heads to be named as a list of (layer, head), or one line on one that is not there."""
    expected = f"(layer, head) pairs of {n_layers} layers and {n_heads} heads"
    try:
        pairs = [tuple(expect_whole(number, "named", expected) for number in pair) for pair in named]
    except TypeError:
        raise TypeError(f"named: expected {expected}, got {shown(repr(named))}") from None
    there = all(len(pair) == 2 and 0 <= pair[0] < n_layers and 0 <= pair[1] < n_heads for pair in pairs)
    expect(there, "named", expected, pairs)
    return pairs


def _checked_range(values, vmin, vmax, meaning):
    """The ends of a colour scale: those given, or those that numbers of this meaning have."""
    expect(meaning in VALUE_MAPS, "meaning", f"one of {', '.join(VALUE_MAPS)}", repr(meaning))
    low, high = float(values.min()), float(values.max())
    if meaning in ("share", "fraction"):
        expect(low >= -0.01 and high <= 1.01, "values", f"{meaning}s from 0 to 1", f"{low:.3g} to {high:.3g}")
        low, high = 0.0, 1.0
    elif meaning == "score":
        low, high = -max(-low, high), max(-low, high)
    low = low if vmin is None else _checked_number(vmin, "vmin", "a number")
    high = high if vmax is None else _checked_number(vmax, "vmax", "a number")
    expect(low <= high, "vmin", "an end of the scale that is not above the other", f"{low:.3g} and {high:.3g}")
    if meaning in MIDDLES:
        even = np.isclose(low + high, 2 * MIDDLES[meaning])
        ends = f"ends as far below {MIDDLES[meaning]} as above, where a {meaning} turns"
        expect(even, "vmin", ends, f"{low:.3g} and {high:.3g}")
    return low, high


def _checked_number(value, argument, expected, low=-LARGEST, high=LARGEST):
    """The value as a float, or one line where it is no number from low to high."""
    number = expect_number(value, argument, expected)
    expect(low <= number <= high, argument, expected, value)
    return float(number)


def as_label(text):
    """Any text as a figure can show it: "$" starts no formula, and what the fonts lack is escaped, such as "\\u306e".

    The fonts are those of matplotlib's `font.family`: name one there that knows the script, and it is used.
    Introduced in lesson 1.

    >>> as_label("$5").startswith("$")
    False
    """
    fonts = [get_font(findfont(FontProperties(family=[family]))) for family in plt.rcParams["font.family"]]
    kept = [
        c if any(font.get_char_index(ord(c)) for font in fonts) else c.encode("unicode_escape").decode()
        for c in str(text)
    ]
    return "".join(kept).replace("$", r"\$")


def _checked_labels(labels, argument, n, each):
    expected = f"{n} labels, one for each {each}"
    labels = expect_list(labels, argument, expected)
    expect(len(labels) == n, argument, expected, len(labels))
    return [as_label(label) for label in labels]


def _expect_one_square(values, argument):
    """Raise unless these are the floating-point numbers of one head, (T, T)."""
    expect_square(values, argument)
    expect(values.ndim == 2, argument, "one head's (T, T)", tuple(values.shape))


def _expect_meaning(meaning):
    """Raise unless this is one of COLOURS, or None."""
    known = meaning is None or (isinstance(meaning, str) and meaning in COLOURS)
    expect(known, "meaning", f"one of {', '.join(COLOURS)}", repr(meaning))


def _look(meaning, place=0, label=None):
    """The colour and marker of a meaning, or of that which the label begins with, or else of a place among samples."""
    if meaning is None:
        meaning = next((name for name in COLOURS if str(label).startswith(name)), None)
    if meaning is None:
        marker, colour = IN_TURN[place % len(IN_TURN)]
        return {"color": colour, "marker": marker}
    return {"color": COLOURS[meaning], "marker": MARKERS[meaning]}


def ink(colour):
    """Black or white, whichever can be read on this colour."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return "black" if np.dot(linear, (0.2126, 0.7152, 0.0722)) > 0.18 else "white"  # equal contrast (WCAG 2)


def _text_colour(ax):
    """The colour of text on these axes, which is the reader's where the axes are."""
    return ax.xaxis.label.get_color()


def _image(ax, values, **style):
    """A picture of the values, the first row at the top, without a grid over it."""
    ax.grid(False)
    return ax.imshow(values, **style)


def _colour_bar(ax, image, label, meaning=None):
    """A colour bar, with the half marked where the colours turn there."""
    bar = ax.figure.colorbar(image, ax=ax, label=label)
    if meaning == "fraction":
        bar.ax.axhline(0.5, color="black", lw=1)


def _heatmap(values, masked, tokens, ax, label="", colorbar=True, **style):
    """Queries down, keys across, with MOST_LABELS of their tokens; what is masked (T, T) shows the hatched ground."""
    n_tokens = len(values)
    labels = _checked_labels(tokens, "tokens", n_tokens, "token")
    ax = _axes(ax, (5.6, 4.6))
    ax.set_facecolor(MASKED)
    ax.patch.set(hatch="////", edgecolor=HATCH, linewidth=0)
    values, masked = (x.detach().cpu().numpy() for x in (values.double(), masked))
    image = _image(ax, np.ma.masked_array(values, masked), **style)
    every = -(-n_tokens // MOST_LABELS)
    ax.set_xticks(range(0, n_tokens, every), labels[::every], rotation=90 if n_tokens > 6 else 0)
    ax.set_yticks(range(0, n_tokens, every), labels[::every])
    ax.set(xlabel="key (the token looked at)", ylabel="query (the token that looks)")
    if colorbar:
        ax.figure.colorbar(image, ax=ax, label=label, shrink=0.85)
    return ax
