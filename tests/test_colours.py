"""One meaning, one colour: the maps and colours can be told apart by every reader, and each figure uses them alike."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from headlab.masking import mask_scores, softmax
from headlab.plots import (
    COLOURS,
    IN_TURN,
    MAPS,
    MARKERS,
    MASKED,
    plot_by_layer,
    plot_density,
    plot_fused,
    plot_head_densities,
    plot_head_grid,
    plot_heads,
    plot_layer_densities,
    plot_mask,
    plot_pattern,
    plot_ridgelines,
    plot_score_histogram,
    plot_scores,
)

# What readers with each kind of colour vision see: Machado, Oliveira and Fernandes 2009, severity 1, of linear RGB.
VISIONS = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1, 1.08883])
STEPS = np.linspace(0, 1, 101)


def lab(colours, vision="all cones"):
    """CIE L*a*b* of sRGB colours (n, 3) as a reader sees them."""
    rgb = np.asarray(colours)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(VISIONS[vision]), 0, 1)
    x, y, z = np.moveaxis(np.cbrt(seen @ XYZ.T / WHITE), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def of_map(name, vision="all cones"):
    return lab((MAPS.get(name) or plt.get_cmap(name))(STEPS)[:, :3], vision)


def gaps(one, other):
    """How far each colour of the one lies from the nearest of the other."""
    return np.linalg.norm(one[:, None] - other[None], axis=-1).min(1)


def mistakable(one, other, vision):
    """How much of either map looks like some colour of the other."""
    a, b = of_map(one, vision), of_map(other, vision)
    return max((gaps(a, b) < 8).mean(), (gaps(b, a) < 8).mean())


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("name", ["share", "fraction", "amount", "layer"])
def test_a_map_gets_steadily_lighter_or_darker_for_every_reader(name, vision):
    steps = np.diff(of_map(name, vision)[:, 0])
    assert (steps > 0).all() or (steps < 0).all()


@pytest.mark.parametrize("vision", VISIONS)
def test_the_signs_of_scores_can_be_told_apart(vision):
    seen = of_map("score", vision)
    assert (np.diff(seen[:51, 0]) > 0).all() and (np.diff(seen[50:, 0]) < 0).all()  # zero is the lightest
    for share in (10, 25, 40, 50):  # of the way from zero to the ends, in hundredths of the scale
        assert np.linalg.norm(seen[50 - share] - seen[50 + share]) > share
    assert seen[0, 0] - seen[-1, 0] > 15  # and the ends in black and white


@pytest.mark.parametrize("vision", VISIONS)
def test_a_fraction_below_one_half_does_not_look_like_one_above(vision):
    seen = of_map("fraction", vision)
    assert gaps(seen[:46], seen[55:]).min() > 5 and gaps(seen[:26], seen[75:]).min() > 20


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("pair", list(combinations(["score", "share", "fraction"], 2)), ids="-".join)
def test_no_map_can_be_mistaken_for_another(pair, vision):
    assert mistakable(*pair, vision) < (0.1 if vision == "all cones" else 0.3)
    assert all(mistakable(name, "viridis", "all cones") < 0.1 for name in pair)


@pytest.mark.parametrize("vision", VISIONS)
def test_what_is_masked_has_a_grey_of_its_own(vision):
    grey = lab([to_rgb(MASKED)], vision)
    assert all(gaps(grey, of_map(name, vision)) > 5 for name in ("score", "share", "fraction"))


@pytest.mark.parametrize("vision", VISIONS)
def test_lines_can_be_told_apart_by_colour_and_by_marker(vision):
    in_turn = {f"number {place}": colour for place, (_, colour) in enumerate(IN_TURN)}
    for group in (COLOURS, in_turn):
        for one, other in combinations(group.values(), 2):
            assert gaps(lab([to_rgb(one)], vision), lab([to_rgb(other)], vision)) > 14
    markers = [*MARKERS.values(), *(marker for marker, _ in IN_TURN)]
    assert len(set(markers)) == len(markers) and set(MARKERS) == set(COLOURS)
    assert not set(COLOURS.values()) & set(in_turn.values())


def cell_of(ax, row, column):
    """The colours of one cell of a heatmap, as drawn, less its edges."""
    ax.figure.canvas.draw()
    picture = np.asarray(ax.figure.canvas.buffer_rgba())
    (left, bottom), (right, top) = ax.transData.transform([(column - 0.4, row + 0.4), (column + 0.4, row - 0.4)])
    rows = slice(len(picture) - int(top), len(picture) - int(bottom))
    return picture[rows, int(left) : int(right), :3].reshape(-1, 3).astype(int)


def test_masked_cells_look_masked_in_every_panel_and_small_shares_do_not():
    scores = torch.tensor([[5.0, 1.0, 1.0], [-5.0, 5.0, 1.0], [1.0, -30.0, 1.0]])
    masked = mask_scores(scores)
    for ax in (
        plot_mask(~masked.isneginf(), "abc"),
        plot_scores(masked, "abc"),
        plot_pattern(softmax(masked), "abc"),
    ):
        for place in ((0, 1), (0, 2), (1, 2)):
            cell = cell_of(ax, *place)
            assert (np.ptp(cell, axis=1) == 0).all()  # greys
            assert np.ptp(cell[:, 0]) > 30 and (cell[:, 0] == 0xD9).mean() > 0.4  # with lines on them
    nothing = cell_of(ax, 2, 1)  # a share of about 1e-14 is drawn as that
    assert (nothing == 255).all()


def test_a_pattern_without_a_mask_has_no_masked_cell():
    open_pattern = softmax(torch.tensor([[5.0, 1.0, -900.0], [-5.0, 5.0, 1.0], [1.0, -30.0, 1.0]]))
    assert open_pattern[0, 2] == 0
    ax = plot_pattern(open_pattern, "abc")
    assert not ax.images[0].get_array().mask.any() and (cell_of(ax, 0, 2) == 255).all()


def test_each_meaning_has_its_map_and_its_scale():
    values = np.array([[0.25, 0.5], [0.75, 1.0]])
    for meaning, ends in {"share": (0, 1), "fraction": (0, 1), "score": (-1, 1), "amount": (0.25, 1)}.items():
        image = plot_head_grid(values, meaning=meaning).images[0]
        assert image.get_clim() == ends and image.get_cmap().name == f"headlab_{meaning}"
    assert plot_head_grid(-3 * values, meaning="score").images[0].get_clim() == (-3, 3)
    assert plot_head_grid(values, meaning="score", vmin=-9, vmax=9).images[0].get_clim() == (-9, 9)
    halves = plot_head_grid(values, meaning="fraction").figure.axes[1].lines
    assert [list(line.get_ydata()) for line in halves] == [[0.5, 0.5]]  # the colour bar marks where it turns


def test_the_numbers_in_the_cells_can_be_read():
    values = np.linspace(0, 1, 12).reshape(1, 12)
    for meaning in ("share", "fraction", "score", "amount"):
        ax = plot_head_grid(values, meaning=meaning)
        for text, value in zip(ax.texts, values.ravel(), strict=True):
            ground, ink = (lab([to_rgb(c)])[0, 0] for c in (ax.images[0].to_rgba(value), text.get_color()))
            assert abs(ground - ink) > 45


def test_panels_that_are_compared_share_a_scale():
    small, large = torch.tensor([[0.03]]), torch.tensor([[250.0]])
    ends = [plot_scores(x, "a", limit=250).images[0].get_clim() for x in (small, large)]
    ends += [plot_fused(x.repeat(1, 3), 1, 0, limit=250).images[0].get_clim() for x in (small, large)]
    assert ends == [(-250, 250)] * 4
    grid, densities = np.arange(3.0), np.array([[0, 0.2, 0]])
    assert plot_layer_densities(grid, densities, vmax=0.8).collections[0].get_clim() == (0, 0.8)


def test_four_samples_have_colours_of_their_own_and_a_fifth_is_refused():
    ax = None
    for n in range(4):
        ax = plot_by_layer(np.ones((2, 2)), ax, label=f"text {n}")
    assert len({line.get_color() for line in ax.lines}) == 4
    with pytest.raises(ValueError, match="^ax: expected at most 4 samples, got 5$"):
        plot_by_layer(np.ones((2, 2)), ax, label="text 4")


def test_what_a_line_stands_for_decides_its_colour_whatever_comes_first():
    curve = np.arange(3.0), np.array([0, 0.5, 0])
    for names in (["loaded model", "real GPT-2"], ["real GPT-2", "loaded model"]):
        expected = [COLOURS[name] for name in names]
        ax = None
        for name in names:
            ax = plot_by_layer(np.ones((2, 2)), ax, label=f"{name}, recorded")
        assert [line.get_color() for line in ax.lines] == expected
        assert [line.get_marker() for line in ax.lines] == [MARKERS[name] for name in names]
        ax = None
        for name in names:
            ax = plot_density(*curve, ax, meaning=name)
        assert [line.get_color() for line in ax.lines] == expected
        ax = None
        for name in names:
            ax = plot_score_histogram([1, 2], [0, 1, 2], ax, meaning=name)
        assert [patch.get_facecolor()[:3] for patch in ax.patches] == [to_rgb(colour) for colour in expected]
    ridge = plot_ridgelines([curve], "a", meaning="random control").collections[0]
    assert tuple(ridge.get_facecolor()[0, :3]) == to_rgb(COLOURS["random control"])
    ax = plot_density(*curve, color="#123456")
    plot_density(*curve, ax)
    assert [line.get_color() for line in ax.lines] == ["#123456", IN_TURN[1][1]]


def test_discussed_heads_are_named_beside_their_points():
    x, y = np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(2, 3) ** 2
    ax = plot_heads(x, y, xlabel="x", ylabel="y", named=[(0, 2), (1, 0)])
    assert {text.get_text(): text.xy for text in ax.texts} == {"L0H2": (2, 4), "L1H0": (3, 9)}
    points = ax.collections[0]
    assert np.array_equal(points.get_offsets(), np.stack([x.ravel(), y.ravel()], -1))
    assert points.get_array().tolist() == [0, 0, 0, 1, 1, 1] and points.get_cmap() is MAPS["layer"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")


EYE = np.eye(2)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (
            lambda: plot_head_grid(EYE, meaning="shares"),
            "meaning: expected one of score, share, fraction, amount, got 'shares'",
        ),
        (lambda: plot_head_grid(2 * EYE, meaning="share"), "values: expected shares from 0 to 1, got 0 to 2"),
        (
            lambda: plot_head_grid(EYE - 0.5, meaning="fraction"),
            "values: expected fractions from 0 to 1, got -0.5 to 0.5",
        ),
        (
            lambda: plot_head_grid(EYE, meaning="fraction", vmax=0.8),
            "vmin: expected ends as far below 0.5 as above, where a fraction turns, got 0 and 0.8",
        ),
        (
            lambda: plot_head_densities(np.arange(3.0), np.ones((2, 2, 3)), EYE, vmin=-2, meaning="score"),
            "vmin: expected ends as far below 0.0 as above, where a score turns, got -2 and 1",
        ),
        (
            lambda: plot_by_layer(EYE, meaning="mini"),
            "meaning: expected one of loaded model, random control, real GPT-2, first key, other keys, got 'mini'",
        ),
        (lambda: plot_heads(EYE, np.ones((2, 3))), "y: expected one value for each of (2, 2) heads, as x, got (2, 3)"),
        (
            lambda: plot_heads(EYE, EYE, named=[(0, 2)]),
            "named: expected (layer, head) pairs of 2 layers and 2 heads, got [(0, 2)]",
        ),
    ],
)
def test_a_meaning_or_a_place_that_is_not_there_is_told_in_one_line(call, line):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == line and not plt.get_fignums()
