"""Lesson 6's plots: what is drawn is what was given, and nothing is left out unsaid."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from headlab import plots
from headlab.density import kde
from headlab.histogram import ScoreHistogram
from headlab.plots import (
    COLOURS,
    MAPS,
    plot_bands,
    plot_density,
    plot_head_densities,
    plot_layer_densities,
    plot_layers,
    plot_mode_tree,
    plot_ridgelines,
    plot_scores,
    plot_strips,
    plot_tokens,
    plot_vectors,
    show_figure,
    write_numbers,
)
from headlab.splitting import split_heads, split_qkv

GROUPS = [np.array([-2.0, 5.0]), np.array([[1.0, 7.0, 3.0]]), np.array([0.5])]
CURVES = [(np.linspace(-3, 3, 7), np.array([0, 0.1, 0.2, 0.4, 0.2, 0.1, 0])), (np.arange(3.0), np.array([0, 0.2, 0]))]


def histogram(n_layers=5, n_heads=3):
    """Heads that all differ: the more layers and heads before it, the higher its scores."""
    counted = ScoreHistogram(range(n_layers), n_heads)
    random = torch.Generator().manual_seed(0)
    for layer in range(n_layers):
        scores = torch.randn(n_heads, 200, generator=random) + 10 * layer
        counted.update(layer, scores + torch.arange(n_heads)[:, None])
    return counted


def points(ax):
    return np.asarray(ax.collections[0].get_offsets())


def test_each_group_has_its_column_and_the_title_counts_the_points():
    ax = plot_strips(GROUPS, ["a", "b", "c"])
    assert points(ax).tolist() == [[0, -2], [0, 5], [1, 1], [1, 7], [1, 3], [2, 0.5]]
    assert ax.get_title() == "6 points" and ax.get_xlim() == (-0.6, 2.6)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c"]


def test_jitter_strays_sideways_only_no_further_than_asked_and_the_same_each_time():
    still, first, again = (points(plot_strips(GROUPS, "abc", jitter=j)) for j in (0.0, 0.4, 0.4))
    strays = first[:, 0] - still[:, 0]
    assert np.array_equal(first[:, 1], still[:, 1]) and np.array_equal(first, again)
    assert (np.abs(strays) <= 0.4).all() and len(set(strays)) == 6


def test_a_scatter_is_saved_as_a_picture_with_the_size_and_strength_asked_for():
    dots = plot_strips(GROUPS, "abc", size=3.0, alpha=0.25).collections[0]
    assert dots.get_rasterized() and dots.get_sizes().tolist() == [9.0] and dots.get_alpha() == 0.25


def test_a_density_is_drawn_and_a_second_one_laid_over_it():
    grid, density = CURVES[0]
    ax = plot_density(grid, density, label="one")
    assert plot_density(grid, 2 * density, ax, label="two", fill=False, ls=":") is ax
    one, two = ax.lines
    assert np.array_equal(one.get_xdata(), grid) and np.array_equal(one.get_ydata(), density)
    assert np.array_equal(two.get_ydata(), 2 * density) and two.get_linestyle() == ":"
    assert len(ax.collections) == 1
    low, high = ax.get_ylim()
    assert low == 0 and high > 2 * density.max()  # the second one fits in
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]


def test_a_mode_tree_has_each_peak_at_the_height_of_its_bandwidth():
    widths, modes = np.array([4.0, 1.0, 0.5]), [np.array([0.0]), np.array([-2.0, 3.0]), np.array([])]
    ax = plot_mode_tree(widths, modes, marked={"a rule": 2.0}, meaning="real GPT-2")
    points, rule = ax.lines
    assert points.get_xydata().tolist() == [[0, 4], [-2, 1], [3, 1]] and points.get_color() == COLOURS["real GPT-2"]
    assert rule.get_ydata() == [2, 2] and [text.get_text() for text in ax.texts] == ["a rule"]
    assert ax.get_yscale() == "log" and "bandwidth" in ax.get_ylabel()


def test_ridgelines_are_on_one_scale_each_over_its_own_line():
    ax = plot_ridgelines(CURVES, ["first", "second"])
    zero, *ridges = ax.lines
    assert zero.get_xdata() == [0, 0]
    for row, (ridge, (grid, density)) in enumerate(zip(ridges, CURVES, strict=True)):
        assert np.array_equal(ridge.get_xdata(), grid)
        assert np.allclose(ridge.get_ydata() + row, 5 * density)  # the peak of 0.4 reaches over two rows
    assert {tick: label.get_text() for tick, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)} == {
        0: "first",
        -1: "second",
    }


def test_more_ridgelines_make_a_higher_figure():
    few, many = (plot_ridgelines(CURVES[:1] * n, list("abcdefgh"[:n])).figure.get_size_inches() for n in (2, 8))
    assert few[0] == many[0] and many[1] - few[1] == pytest.approx(6 * 0.4)


@pytest.mark.parametrize(
    ("ends", "drawn"), [((0.5, 1.5), (0, 3)), ((0.75, 1.25), (1, 3)), ((-9.0, 0.1), (0, 1)), ((2.9, 9.0), (5, 7))]
)
def test_of_a_fine_curve_the_part_in_sight_and_a_point_beyond_is_drawn(monkeypatch, ends, drawn):
    grid = np.arange(8) / 2
    assert plots._within(ends, grid, 2 * grid)[0] is grid  # few points: the whole curve
    monkeypatch.setattr(plots, "MOST_DRAWN", 7)
    part, density = plots._within(ends, grid, 2 * grid)
    assert np.array_equal(part, grid[drawn[0] : drawn[1] + 1]) and np.array_equal(density, 2 * part)


def test_every_cell_of_the_densities_has_its_place():
    ax = plot_head_densities(np.linspace(-1, 1, 5), np.ones((2, 3, 5)), np.zeros((2, 3)))
    assert ax.get_xlim() == (-0.6, 2.6) and ax.get_ylim() == (1.6, -0.6)
    assert ax.get_xticks().tolist() == [0, 1, 2] and ax.get_yticks().tolist() == [0, 1]
    ax = plot_layer_densities(np.linspace(-1, 1, 5), np.ones((2, 5)))
    assert not any(line.get_visible() for line in [*ax.get_xgridlines(), *ax.get_ygridlines()])


def test_every_head_of_every_layer_is_drawn_in_its_place():
    counted = histogram()
    axes = plot_layers(counted, bandwidth=0.5)
    assert [ax.get_title() for ax in axes] == [f"layer {layer}" for layer in range(5)]
    assert plt.gcf().axes == list(axes)  # no empty panel is left
    for layer, ax in enumerate(axes):
        heights = []
        for head, ridge in enumerate(ax.lines[1:]):
            grid, density = counted.density(layer, head, bandwidth=0.5)
            assert np.array_equal(ridge.get_xdata(), grid)
            heights.append((ridge.get_ydata() + head) / density.max())
            assert np.allclose(heights[-1] / heights[-1].max(), density / density.max())
        assert len(heights) == 3
    assert [bool(ax.get_xlabel()) for ax in axes] == [False, True, True, True, True]  # the lowest of each column
    low, high = axes[0].get_xlim()
    assert axes[4].get_xlim() == (low, high) and -4 < low < -1 and 43 < high < 46


def test_layers_that_were_not_all_counted_keep_their_numbers():
    counted = ScoreHistogram((3, 7), 2)
    for layer in (3, 7):
        counted.update(layer, torch.tensor([[0.0, layer], [1.0, 2.0]]))
    assert [ax.get_title() for ax in plot_layers(counted)] == ["layer 3", "layer 7"]


def test_the_bandwidth_reaches_the_curves():
    narrow, wide = (plot_layers(histogram(1, 1), bandwidth=width)[0].lines[1] for width in (0.2, 2.0))
    assert np.ptp(wide.get_xdata()) - np.ptp(narrow.get_xdata()) == pytest.approx(10 * (2.0 - 0.2), abs=0.01)


SQUARE = torch.tensor([[-6.0, 0.26], [-torch.inf, 6.0]])


def test_each_number_stands_in_its_own_cell_and_can_be_read():
    ax = write_numbers(SQUARE, plot_scores(SQUARE, "ab", limit=6.0), digits=1)
    assert {text.get_position(): text.get_text() for text in ax.texts} == {(0, 0): "-6.0", (1, 0): "0.3", (1, 1): "6.0"}
    image = ax.images[0]
    for text in ax.texts:
        column, row = text.get_position()
        ink, paper = (np.mean(to_rgb(c)) for c in (text.get_color(), image.to_rgba(SQUARE[row, column].item())))
        assert abs(ink - paper) > 0.4
    assert [t.get_text() for t in write_numbers(torch.tensor([[-0.2]]), plot_scores(-torch.ones(1, 1), "a")).texts] == [
        "0"
    ]


def test_a_text_stands_in_lines_each_token_on_the_colour_of_its_value():
    tokens, values = ["·word"] * 20 + ["last"], [0.0, *np.linspace(-2, 1, 20)]
    ax = plot_tokens(tokens, values, label="nats")
    assert [text.get_text() for text in ax.texts] == tokens
    for text, box, value in zip(ax.texts, ax.patches, values, strict=True):
        (x, y), middle = box.get_xy(), text.get_position()
        assert middle == pytest.approx((x + box.get_width() / 2, y + box.get_height() / 2))
        assert box.get_facecolor() == pytest.approx(MAPS["score"]((value / 2 + 1) / 2), abs=0.01)
    lines = [text.get_position()[1] for text in ax.texts]
    assert lines == [0] * 16 + [1] * 5  # 84 letters in a line
    assert [box.get_x() for box in ax.patches[:3]] == [0, 5, 10] and ax.patches[16].get_x() == 0
    zero = plot_tokens("ab", torch.zeros(2)).patches
    assert {box.get_facecolor() for box in zero} == {MAPS["score"](0.5)}
    half = plot_tokens("a", [1.0], limit=2).patches[0].get_facecolor()
    assert half == pytest.approx(MAPS["score"](0.75), abs=0.01)


def test_vectors_are_drawn_from_the_origin_and_named_beyond_their_tips():
    vectors = torch.tensor([[3.0, 1.0], [0.0, -2.0], [0.0, 0.0]])
    ax = plot_vectors(vectors, ["q", "k", "nought"], color="tab:blue")
    assert plot_vectors(vectors[:1] - 5, ["far"], ax, color="tab:orange") is ax
    arrows, others = ax.collections
    assert np.array_equal(np.stack([arrows.U, arrows.V], 1), vectors) and not arrows.get_offsets().any()
    assert [text.get_text() for text in ax.texts] == ["q", "k", "nought", "far"]
    assert [text.xy for text in ax.texts] == [(3, 1), (0, -2), (0, 0), (-2, -4)]
    assert np.dot(ax.texts[0].xyann, (3, 1)) > 0 and ax.texts[1].xyann == (0, -7)
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert left < -2 and right > 3 and low < -4 and high > 1 and ax.get_aspect() == 1


def test_the_strip_marks_one_head_in_each_third_at_the_columns_that_split_heads_cuts():
    ax = plot_bands(12, 3, head=1)
    columns = torch.arange(36.0)[None]  # one token, whose channels tell their columns
    owned = [split_heads(third, 3)[1, 0].tolist() for third in split_qkv(columns)]
    bands = sorted((patch.get_x(), patch.get_width(), patch.get_alpha() == 1) for patch in ax.patches)
    assert [(x, x + width - 1) for x, width, full in bands if full] == [(band[0], band[-1]) for band in owned]
    assert [x for x, *_ in bands] == list(range(0, 36, 4)) and sum(width for _, width, _ in bands) == 36
    assert [text.get_text() for text in ax.texts][::2] == ["4–7", "16–19", "28–31"]
    assert ax.get_xticks().tolist() == [0, 12, 24, 36] and ax.get_xlim() == (0, 36)


def test_a_shown_figure_says_what_it_shows_and_is_closed(monkeypatch):
    shown = []
    monkeypatch.setattr(plots, "display", lambda figure, **how: shown.append((figure, how)))
    figure = plot_scores(SQUARE, "ab").figure
    show_figure("Two scores < 3.")
    picture, words = shown
    assert picture == (figure, {"metadata": {"image/png": {"alt": "Two scores < 3."}}}) and not plt.get_fignums()
    assert words[0] == "Two scores < 3." and "</summary>Two scores &lt; 3.<" in words[0]._repr_html_()


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: plot_bands(12, 5, 0), "n_heads: expected a divisor of d_model = 12, got 5"),
        (lambda: plot_bands(12, 3, 3), "head: expected a head from 0 to 2, got 3"),
        (lambda: plot_bands(12, 3, 4), "head: expected a head from 0 to 2, got 4"),
        (lambda: show_figure(" "), "alt: expected what the figure shows, in words, got ' '"),
        (
            lambda: plot_vectors(SQUARE, "ab"),
            "vectors: expected finite numbers (take the causal entries only), got -inf at index (1, 0)",
        ),
        (lambda: plot_vectors(torch.ones(2, 3), "ab"), "vectors: expected two channels each (T, 2), got shape (2, 3)"),
        (
            lambda: write_numbers(SQUARE, plot_scores(torch.eye(3), "abc")),
            "ax: expected axes with one heatmap of shape (2, 2), got [(3, 3)]",
        ),
        (
            lambda: plot_mode_tree([[1.0]], [[0.0]]),
            "bandwidths: expected (n,), all above 0, got [[1.]] of shape (1, 1)",
        ),
        (lambda: plot_tokens("abc", torch.ones(2)), "tokens: expected 2 labels, one for each value, got 3"),
        (lambda: plot_tokens("ab", torch.eye(2)), "values: expected one number for each token (T,), got shape (2, 2)"),
        (lambda: plot_tokens("ab", torch.ones(2), limit=0), "limit: expected a number above 0, got 0"),
        (lambda: plot_strips(GROUPS, "ab"), "names: expected 3 labels, one for each group, got 2"),
        (lambda: plot_strips([], []), "groups: expected arrays of scores, at least one, got none"),
        (lambda: plot_ridgelines(CURVES, "a"), "names: expected 2 labels, one for each curve, got 1"),
        (
            lambda: plot_density(np.arange(3), kde(np.arange(3), np.arange(4))),
            "density: expected one value for each of 3 points, got shape (4,)",
        ),
        (
            lambda: plot_layer_densities(np.arange(3), np.arange(3.0)),
            "densities: expected rows of 3, one value for each point of the grid, got shape (3,)",
        ),
        (
            lambda: plot_layers(ScoreHistogram((0,), 1)),
            "L0H0: expected at least 1 score, got none; update the histogram first",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(call, line):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == line
