"""Wrong and odd arguments for every public function that draws, and odd texts for what shows or counts them.

Each plot shows the numbers that it was given, on its artists, or one line names an argument; as in test_fuzz.py.
"""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from fuzzing import FLOATS, ODD_TEXTS, REFUSED, TEXTS, arguments, array, outcome, tensors
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.cbook import is_math_text
from matplotlib.font_manager import FontProperties, findfont, get_font

from headlab.capture import count_scores
from headlab.explorers import (
    EXPLORERS,
    DensityExplorer,
    HeadExplorer,
    InterventionExplorer,
    ProfileExplorer,
    ShiftExplorer,
)
from headlab.explorers.shared import MAX_TOKENS
from headlab.histogram import ScoreHistogram
from headlab.masking import mask_scores
from headlab.plots import (
    as_label,
    masked_future,
    plot_by_layer,
    plot_density,
    plot_distances,
    plot_fused,
    plot_head_densities,
    plot_head_grid,
    plot_heads,
    plot_layer_densities,
    plot_layers,
    plot_mask,
    plot_mode_tree,
    plot_pattern,
    plot_ridgelines,
    plot_score_histogram,
    plot_scores,
    plot_strips,
    plot_terms,
    plot_tokens,
    plot_vectors,
    write_numbers,
)
from headlab.shading import shade_text
from headlab.streaming import profile_texts

# An overlong text makes an overlong report, of which hypothesis warns.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")

FEWEST = {ShiftExplorer: 2, DensityExplorer: 2, ProfileExplorer: 3, InterventionExplorer: 2}  # tokens
AX = st.none()
N = st.integers(1, 5)
ODD_LABELS = ["·the", "$x_1^2$", "\\frac{", "Việt", "🙂", "שלום", "の", "two\nlines", "\x00", "\ud800"]
LABEL = st.one_of(st.sampled_from(ODD_LABELS), st.text(max_size=4))
FONT = get_font(findfont(FontProperties(family=["DejaVu Sans"])))
IN_FONT = FONT.get_charmap()
ENDS = st.sampled_from([(None, None), (0.0, 1.0), (-3, 2.5), (None, 1e6)])
GRID = np.linspace(-3.0, 5.0, 9)


def labels(n):
    return st.lists(LABEL, min_size=n, max_size=n)


def drawn(function, values, also=()):
    """The axes, or REFUSED, in which case no figure may be left half drawn."""
    plt.close("all")
    ax = outcome(function, values, also)
    assert ax is not REFUSED or not plt.get_fignums()
    return ax


def heatmap(ax):
    """What a heatmap shows, NaN where it looks masked."""
    return np.ma.filled(ax.images[0].get_array().astype(float), np.nan)


def written(ticks):
    """The tick labels as a reader sees them, none of which is read as a formula."""
    texts = [label.get_text() for label in ticks]
    assert not any(is_math_text(text) for text in texts)
    return [text.replace(r"\$", "$") for text in texts]


def in_font(labels):
    """The labels as matplotlib's own font can show them: what it lacks is escaped as Python does."""
    return ["".join(c if ord(c) in IN_FONT else ascii(c)[1:-1] for c in str(label)) for label in labels]


@given(text=st.text())
def test_as_label(text):
    FONT.set_text(as_label(text), 0.0)  # warns of what it cannot draw
    assert not is_math_text(as_label(text))
    assert [as_label(text).replace(r"\$", "$")] == in_font([text])


@pytest.mark.parametrize("label", ODD_LABELS, ids=ascii)
def test_every_label_can_be_drawn(label):
    ax = plot_pattern(torch.eye(2), [label, "x"])
    ax.figure.canvas.draw()  # warns, or raises, where a letter cannot be drawn
    for first in (ax.get_xticklabels()[0], ax.get_yticklabels()[0]):
        assert written([first]) == in_font([label])
        assert first.get_window_extent().width > 1 and first.get_window_extent().height > 1


def test_a_label_is_shown_in_the_fonts_that_the_reader_has_named():
    assert as_label("\u20d2日") == r"\u20d2\u65e5"
    with plt.rc_context({"font.family": ["DejaVu Sans", "STIXGeneral"]}):
        assert as_label("\u20d2日") == "\u20d2\\u65e5"


def with_labels(name, make):
    """Arguments of a heatmap of tokens: the values under `name`, and as many labels."""
    return arguments(N.flatmap(lambda n: st.fixed_dictionaries({name: make(n), "tokens": labels(n), "ax": AX})))


@given(with_labels("mask", lambda n: tensors(n, n).map(lambda x: x > 0)))
def test_plot_mask(values):
    ax = drawn(plot_mask, values)
    if ax is not REFUSED:
        mask = array(values["mask"])
        np.testing.assert_array_equal(heatmap(ax), np.where(mask, 1.0, np.nan))
        assert [(text.get_text(), *text.get_position()) for text in ax.texts] == [
            ("yes", j, i) for i, j in np.argwhere(mask)
        ]
        assert written(ax.get_xticklabels()) == written(ax.get_yticklabels()) == in_font(values["tokens"])


@given(
    with_labels(
        "scores", lambda n: tensors(n, n, dtypes=FLOATS).flatmap(lambda x: st.sampled_from([x, mask_scores(x)]))
    )
)
def test_plot_scores(values):
    ax = drawn(plot_scores, values)
    if ax is not REFUSED:
        scores = array(values["scores"])
        np.testing.assert_array_equal(heatmap(ax), np.where(np.isneginf(scores), np.nan, scores))
        low, high = ax.images[0].get_clim()
        assert -low == high >= np.abs(scores[np.isfinite(scores)]).max(initial=0.0) and high > 0


@pytest.mark.parametrize(("largest", "limit"), [(0.0, 1.0), (1e-120, 1.0), (3e-100, 3e-100), (2.0, 2.0)])
def test_the_colours_of_scores_reach_as_far_as_they_do(largest, limit):
    ax = plot_scores(torch.tensor([[-largest]], dtype=torch.float64), ["a"])
    assert ax.images[0].get_clim() == (-limit, limit)


@given(with_labels("pattern", lambda n: tensors(n, n, dtypes=FLOATS).map(lambda x: x.softmax(-1))))
def test_plot_pattern(values):
    ax = drawn(plot_pattern, values)
    if ax is not REFUSED:
        pattern = array(values["pattern"])
        future = np.triu(np.ones(pattern.shape, dtype=bool), 1)
        hidden = future & (pattern[future] == 0).all()
        np.testing.assert_array_equal(heatmap(ax), np.where(hidden, np.nan, pattern))
        assert ax.images[0].get_clim() == (0, 1)


@given(
    arguments(
        st.tuples(N, N, ENDS).flatmap(
            lambda s: st.fixed_dictionaries(
                {"values": tensors(*s[:2]), "vmin": st.just(s[2][0]), "vmax": st.just(s[2][1]), "ax": AX}
            )
        )
    )
)
def test_plot_head_grid(values):
    ax = drawn(plot_head_grid, values)
    if ax is not REFUSED:
        numbers = array(values["values"])
        np.testing.assert_array_equal(heatmap(ax), numbers)
        texts = [f"{x:.2f}" for x in numbers.ravel()]
        assert [text.get_text() for text in ax.texts] == ["0.00" if text == "-0.00" else text for text in texts]
        wanted = values["vmin"], values["vmax"]
        found = [end() if x is None else float(x) for x, end in zip(wanted, (numbers.min, numbers.max), strict=True)]
        low, high = ax.images[0].get_clim()  # matplotlib makes room where the ends are one
        assert [low, high] == found if found[0] < found[1] else low <= found[0] <= high


@given(
    arguments(
        st.tuples(N, N, N).flatmap(
            lambda s: st.fixed_dictionaries(
                {
                    "matrix": tensors(s[0], 3 * s[1] * s[2], dtypes=FLOATS),
                    "n_heads": st.just(s[1]),
                    "head": st.integers(0, s[1] - 1),
                    "ax": AX,
                }
            )
        )
    )
)
def test_plot_fused(values):
    ax = drawn(plot_fused, values)
    if ax is not REFUSED:
        matrix, d_head = array(values["matrix"]), values["matrix"].shape[1] // 3 // int(values["n_heads"])
        np.testing.assert_array_equal(heatmap(ax), matrix)
        third, start = matrix.shape[1] // 3, int(values["head"]) * d_head
        bands = ", ".join(f"{third * i + start}–{third * i + start + d_head - 1}" for i in range(3))
        assert bands in ax.get_xlabel()


@given(arguments(N.flatmap(lambda n: st.fixed_dictionaries({"distances": tensors(n, n), "ax": AX}))))
def test_plot_distances(values):
    ax = drawn(plot_distances, values)
    if ax is not REFUSED:
        np.testing.assert_array_equal(heatmap(ax), array(values["distances"]))


@given(
    arguments(
        st.lists(st.integers(0, 9), min_size=1, max_size=6).flatmap(
            lambda counts: st.fixed_dictionaries(
                {
                    "counts": st.just(np.array(counts)),
                    "edges": st.sampled_from([np.arange(len(counts) + 1), np.linspace(-9, 9, len(counts) + 1) ** 3]),
                    "ax": AX,
                }
            )
        )
    )
)
def test_plot_score_histogram(values):
    ax = drawn(plot_score_histogram, values)
    if ax is not REFUSED:
        shares, edges, _ = ax.patches[0].get_data()
        counts = array(values["counts"])
        np.testing.assert_array_equal(edges, array(values["edges"]))
        np.testing.assert_allclose(shares * np.diff(edges), counts / counts.sum(), rtol=1e-9)


@given(arguments(N.flatmap(lambda n: st.fixed_dictionaries({"means": tensors(n, 4), "names": labels(4), "ax": AX}))))
def test_plot_terms(values):
    ax = drawn(plot_terms, values)
    if ax is not REFUSED:
        _, *lines = ax.lines
        np.testing.assert_array_equal([line.get_ydata() for line in lines], array(values["means"]).T)
        assert written(ax.get_legend().get_texts()) == [name.replace("_", " ") for name in in_font(values["names"])]


@given(
    arguments(
        st.lists(st.integers(0, 4).flatmap(lambda n: tensors(n)), min_size=1, max_size=4).flatmap(
            lambda groups: st.fixed_dictionaries(
                {
                    "groups": st.just(groups),
                    "names": labels(len(groups)),
                    "size": st.floats(0.1, 9),
                    "alpha": st.floats(0, 1),
                    "jitter": st.floats(0, 0.4),
                    "ax": AX,
                }
            )
        )
    )
)
def test_plot_strips(values):
    ax = drawn(plot_strips, values)
    if ax is not REFUSED:
        points = np.asarray(ax.collections[0].get_offsets())
        groups = [array(group).ravel() for group in values["groups"]]
        np.testing.assert_array_equal(points[:, 1], np.concatenate(groups))
        columns = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        assert (np.abs(points[:, 0] - columns) <= values["jitter"] + np.spacing(columns + 1.0)).all()
        assert ax.get_title() == f"{len(points):,} points"
        assert written(ax.get_xticklabels()) == in_font(values["names"])


DENSITY = tensors(9).map(lambda x: x.double().abs().numpy())


@given(arguments(st.fixed_dictionaries({"grid": st.just(GRID), "density": DENSITY, "ax": AX})))
def test_plot_density(values):
    ax = drawn(plot_density, values)
    if ax is not REFUSED:
        assert np.array_equal(ax.lines[0].get_xdata(), array(values["grid"]))
        assert np.array_equal(ax.lines[0].get_ydata(), array(values["density"]))


@given(
    arguments(
        st.lists(DENSITY, min_size=3, max_size=3).flatmap(
            lambda modes: st.fixed_dictionaries(
                {
                    "bandwidths": st.just(np.array([0.5, 2.0, 9.0])),
                    "modes": st.just(modes),
                    "marked": TEXTS.map(lambda name: {name: 1.5}),
                    "ax": AX,
                }
            )
        )
    )
)
def test_plot_mode_tree(values):
    ax = drawn(plot_mode_tree, values)
    if ax is not REFUSED:
        assert np.array_equal(ax.lines[0].get_xdata(), np.concatenate([array(m).ravel() for m in values["modes"]]))
        assert written(ax.texts) == in_font(values["marked"] or {})


@given(
    arguments(
        st.lists(DENSITY, min_size=1, max_size=4).flatmap(
            lambda curves: st.fixed_dictionaries(
                {"curves": st.just([(GRID, curve) for curve in curves]), "names": labels(len(curves)), "ax": AX}
            )
        )
    )
)
def test_plot_ridgelines(values):
    ax = drawn(plot_ridgelines, values, also=("grid", "density"))
    if ax is not REFUSED:
        ridges = ax.lines[1:]
        highest = max(array(density).max() for _, density in values["curves"])
        for row, (ridge, (grid, density)) in enumerate(zip(ridges, values["curves"], strict=True)):
            assert np.array_equal(ridge.get_xdata(), array(grid))
            np.testing.assert_allclose(ridge.get_ydata() + row, 2 * array(density) / highest, atol=1e-9)
        assert written(ax.get_yticklabels()) == in_font(values["names"])


@given(st.data())
def test_plot_layers(data):
    histogram = ScoreHistogram((1, 4), 2)
    for layer in data.draw(st.sampled_from([(1, 4), (1, 4), (4,), ()])):
        histogram.update(layer, data.draw(tensors(2, 6, scales=(1.0, 30.0))))
    right = st.fixed_dictionaries(
        {"histogram": st.just(histogram), "bandwidth": st.sampled_from(["scott", "silverman", 2.0])}
    )
    values = data.draw(arguments(right))
    axes = drawn(plot_layers, values, also=("L1H0", "L4H0", "L1H1", "L4H1", "samples", "n_grid"))
    if axes is not REFUSED:
        assert [ax.get_title() for ax in axes] == ["layer 1", "layer 4"]
        grid, density = histogram.density(4, 1, bandwidth=values["bandwidth"])
        ridge = axes[1].lines[2]
        assert np.array_equal(ridge.get_xdata(), grid)
        heights = ridge.get_ydata() + 1
        np.testing.assert_allclose(heights / heights.max(), density / density.max(), atol=1e-9)


@given(
    arguments(N.flatmap(lambda n: st.fixed_dictionaries({"grid": st.just(GRID), "densities": tensors(n, 9), "ax": AX})))
)
def test_plot_layer_densities(values):
    ax = drawn(plot_layer_densities, values)
    if ax is not REFUSED:
        shown = ax.collections[0].get_array()
        np.testing.assert_array_equal(np.ma.getdata(shown).reshape(-1, 9), array(values["densities"]))


@given(
    arguments(
        st.tuples(N, N, ENDS).flatmap(
            lambda s: st.fixed_dictionaries(
                {
                    "grid": st.just(GRID),
                    "densities": tensors(*s[:2], 9).map(torch.abs),
                    "values": tensors(*s[:2]),
                    "vmin": st.just(s[2][0]),
                    "vmax": st.just(s[2][1]),
                    "ax": AX,
                }
            )
        )
    )
)
def test_plot_head_densities(values):
    ax = drawn(plot_head_densities, values)
    if ax is not REFUSED:
        densities = array(values["densities"])
        grid = array(values["grid"])
        across = 0.9 * (grid - grid[0]) / (grid[-1] - grid[0]) - 0.45
        cells = iter(ax.collections[::2])  # a filled curve and its tick for each head
        for layer, head in np.ndindex(densities.shape[:2]):
            corners = next(cells).get_paths()[0].vertices
            curve = densities[layer, head]
            points = np.stack([head + across, layer + 0.4 - 0.8 * curve / curve.max()], -1)  # each to its own peak
            assert np.isclose(corners[:, None], points, atol=1e-9).all(-1).any(0).all()


@given(
    arguments(
        st.sampled_from([(3, 2), (1, 1), (2, 3, 4), (4, 1, 2)]).flatmap(
            lambda shape: st.fixed_dictionaries({"values": tensors(*shape), "ax": AX})
        )
    )
)
def test_plot_by_layer(values):
    ax = drawn(plot_by_layer, values)
    if ax is not REFUSED:
        numbers = array(values["values"])
        texts = numbers if numbers.ndim == 3 else numbers[None]
        points = np.asarray(ax.collections[0].get_offsets())[:, 1]
        np.testing.assert_allclose(points, texts.mean(0).ravel(), rtol=1e-6, atol=1e-30)
        np.testing.assert_allclose(ax.lines[0].get_ydata(), np.median(texts, -1).mean(0), rtol=1e-6, atol=1e-30)


@given(arguments(N.flatmap(lambda n: st.fixed_dictionaries({"pattern": tensors(n, n).map(torch.tril)}))))
def test_masked_future(values):
    masked = outcome(masked_future, values)
    if masked is not REFUSED:
        pattern = array(values["pattern"])
        future = [[j > i for j in range(len(pattern))] for i in range(len(pattern))]
        empty = not any(pattern[i, j] for i, j in np.argwhere(future))
        assert masked.tolist() == (future if empty else np.zeros_like(future).tolist())


@given(
    arguments(st.tuples(N, N).flatmap(lambda s: st.fixed_dictionaries({"x": tensors(*s), "y": tensors(*s), "ax": AX})))
)
def test_plot_heads(values):
    ax = drawn(plot_heads, values)
    if ax is not REFUSED:
        expected = np.stack([array(values["x"]).ravel(), array(values["y"]).ravel()], -1)
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), expected)


@given(arguments(N.flatmap(lambda n: st.fixed_dictionaries({"tokens": labels(n), "values": tensors(n), "ax": AX}))))
def test_plot_tokens(values):
    ax = drawn(plot_tokens, values)
    if ax is not REFUSED:
        assert written(ax.texts) == in_font(values["tokens"])
        numbers, colours = array(values["values"]), [patch.get_facecolor() for patch in ax.patches]
        assert len(colours) == len(numbers)
        assert all(
            a == b
            for (x, a) in zip(numbers, colours, strict=True)
            for y, b in zip(numbers, colours, strict=True)
            if x == y
        )


@given(arguments(N.flatmap(lambda n: st.fixed_dictionaries({"vectors": tensors(n, 2), "tokens": labels(n), "ax": AX}))))
def test_plot_vectors(values):
    ax = drawn(plot_vectors, values)
    if ax is not REFUSED:
        arrows = ax.collections[0]
        np.testing.assert_array_equal(np.stack([arrows.U, arrows.V], -1), array(values["vectors"]))
        assert written(ax.texts) == in_font(values["tokens"])


@given(data=st.data())
def test_write_numbers(data):
    plt.close("all")
    shape = data.draw(st.tuples(N, N))
    heatmap_of = plot_distances(np.eye(3)) if shape == (3, 3) else plot_head_grid(np.zeros(shape))
    before = len(heatmap_of.texts)
    right = {"values": tensors(*shape), "ax": st.just(heatmap_of), "digits": st.integers(0, 3)}
    values = data.draw(arguments(st.fixed_dictionaries(right)))
    if outcome(write_numbers, values) is not REFUSED:
        numbers = array(values["values"])
        numbers = numbers[np.isfinite(numbers)]
        texts = [text.get_text() for text in values["ax"].texts[before:]]
        np.testing.assert_allclose(
            [float(text) for text in texts], numbers, rtol=1e-9, atol=0.6 * 0.1 ** values["digits"]
        )


@given(
    arguments(
        N.flatmap(
            lambda n: st.fixed_dictionaries(
                {
                    "pattern": tensors(n, n, dtypes=FLOATS).map(lambda x: mask_scores(x).softmax(-1)),
                    "tokens": labels(n),
                    "query": st.integers(0, n - 1),
                }
            )
        )
    )
)
def test_shade_text(values):
    shaded = outcome(shade_text, values)
    if shaded is not REFUSED:
        shares = array(values["pattern"])[int(values["query"])]
        titles = re.findall('<span title="([^"]*)"', shaded.html)
        assert titles == [f"{share:.2f}" for share in shares]
        largest = max(shares[: int(values["query"]) + 1])
        assert f" {largest:.2f}" in shaded.text


def length_of(tokenizer, text):
    """Its number of tokens, 0 for a text that holds half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return 0
    return len(tokenizer(text, verbose=False).input_ids)


@pytest.fixture(scope="module")
def head_explorer(mini):
    """One for all examples, as a reader goes on typing into it."""
    return HeadExplorer(*mini, "A first text.")


@given(text=TEXTS)
def test_the_head_explorer_takes_any_text(mini, head_explorer, text):
    assert_takes(head_explorer, mini, text, 1)


@pytest.mark.parametrize("make", EXPLORERS)
def test_an_explorer_takes_odd_texts(mini, make):
    explorer = make(*mini, "A first text.")
    for text in [*ODD_TEXTS, "é🙂 " * 5000]:
        assert_takes(explorer, mini, text, FEWEST.get(make, 1))


def assert_takes(explorer, mini, text, fewest):
    """The explorer shows the text, or says in one line why not and shows what it showed."""
    before, explorer.text = explorer.shown, text
    n_tokens = length_of(mini[1], text)
    if fewest <= n_tokens <= MAX_TOKENS:
        assert explorer.error == "" and len(explorer.shown["tokens"]) == n_tokens
    else:
        assert re.fullmatch("text: expected .+, got .+", explorer.error)
        assert explorer.shown is before


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_profile_texts_counts_an_odd_text_or_says_why_not(mini, tmp_path, text):
    model, tokenizer = mini
    path = tmp_path / "text.txt"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    values = {"name": "mini", "texts": [path], "out": tmp_path / "counts.npz"}
    total = outcome(profile_texts, values, also=(str(path),))
    text = text.removeprefix("\ufeff")  # a byte order mark, which is no part of the text
    if not text.strip() or not length_of(tokenizer, text):
        assert total is REFUSED and not values["out"].exists()
    else:
        ids = tokenizer(text, return_tensors="pt").input_ids
        assert np.array_equal(total.counts, count_scores(model, ids).counts)
