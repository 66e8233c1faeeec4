"""The figures of lessons 2 and 3: what is drawn is what was handed in, and where it says it is."""

import numpy as np
import pytest
import torch

from headlab.plots import plot_distances, plot_fused, plot_head_grid


def test_the_fused_matrix_shows_a_heads_bands_and_nothing_else_in_full_colour():
    matrix = torch.arange(5.0 * 36).view(5, 36) - 90
    ax = plot_fused(matrix, 3, 1)
    image = ax.images[0]
    assert np.array_equal(image.get_array(), matrix) and image.get_extent() == [0, 36, 5, 0]
    low, high = image.get_clim()
    assert low == -high < 0
    covered = np.zeros(36, dtype=bool)
    for patch in ax.patches:
        covered[int(patch.get_x()) : int(patch.get_x() + patch.get_width())] = True
    # 3 thirds of 12 columns, 3 heads of 4: head 1 owns 4-7, 16-19 and 28-31.
    assert np.flatnonzero(~covered).tolist() == [4, 5, 6, 7, 16, 17, 18, 19, 28, 29, 30, 31]
    assert "4–7, 16–19, 28–31, head 1" in ax.get_xlabel()
    assert ax.get_ylabel() == "input channel"
    (thirds,) = ax.child_axes
    assert [label.get_text() for label in thirds.get_xticklabels()] == ["all queries", "all keys", "all values"]
    assert thirds.get_xticks().tolist() == [6, 18, 30]


@pytest.mark.parametrize("head", [0, 2])
def test_the_first_and_the_last_heads_bands(head):
    ax = plot_fused(torch.ones(2, 27), 3, head, ylabel="token", label="output")
    free = set(range(27))
    for patch in ax.patches:
        free -= set(range(int(patch.get_x()), int(patch.get_x() + patch.get_width())))
    starts = [9 * third + 3 * head for third in range(3)]
    assert sorted(free) == [start + channel for start in starts for channel in range(3)]
    assert ", ".join(f"{start}–{start + 2}" for start in starts) in ax.get_xlabel()


def test_distances_are_drawn_head_by_head():
    distances = torch.tensor([[0.0, 0.3], [0.3, 0.0]])
    ax = plot_distances(distances)
    assert np.allclose(ax.images[0].get_array(), distances) and ax.images[0].get_clim() == (0, 1)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("head", "head")


def test_an_end_of_the_scale_may_be_of_single_precision():
    ax = plot_head_grid(np.eye(2), vmin=np.float32(-1.0), vmax=np.float32(2.0))
    assert ax.images[0].get_clim() == (-1.0, 2.0)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (
            lambda: plot_fused(torch.ones(2, 19), 3, 0),
            "matrix: expected (rows, 3 x d_model), d_model a multiple of n_heads = 3, got (2, 19)",
        ),
        (lambda: plot_fused(torch.ones(2, 18), 3, 3), "head: expected a head from 0 to 2, got 3"),
        (lambda: plot_fused(torch.ones(2, 18), 3, -1), "head: expected a head from 0 to 2, got -1"),
        (lambda: plot_distances(torch.ones(2, 3, 3)), "distances: expected (head, head), got shape (2, 3, 3)"),
    ],
)
def test_bad_input_is_told_in_one_line(call, line):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == line
