"""Histograms of scores: their counts and densities against the scores themselves, added, saved and loaded."""

import errno
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headlab import histogram
from headlab.density import choose_bandwidth, kde
from headlab.histogram import ScoreHistogram


def head_scores(n=4000, seed=0):
    """(head, n) raw scores: far below zero, around it, and in two heaps."""
    rng = np.random.default_rng(seed)
    heads = [
        rng.normal(-40, 6, n),
        rng.normal(0, 2, n),
        np.where(rng.random(n) < 0.2, rng.normal(8, 0.5, n), rng.normal(-20, 4, n)),
    ]
    return torch.tensor(np.array(heads), dtype=torch.float32)


def histogram_of(*parts, layers=(2, 5), model="", counted=()):
    histogram = ScoreHistogram(layers, len(parts[0]), model, counted)
    for part in parts:
        for layer in layers:
            histogram.update(layer, part + layer)
    return histogram


def test_a_histogram_counts_every_score_once():
    scores = head_scores()
    scores[1, :4] = torch.tensor([0.0, 0.0, -1e-9, 1e-9])
    before = scores.clone()
    histogram = ScoreHistogram([7], 3)
    histogram.update(7, scores.reshape(3, 40, 100))
    histogram.update(7, scores[:, :1])
    assert histogram.n.tolist() == [[4001] * 3] and histogram.counts.sum() == 3 * 4001
    both = np.concatenate([scores, scores[:, :1]], axis=1)
    np.testing.assert_array_equal(histogram.fraction_negative()[0], (both < 0).mean(axis=1))
    assert torch.equal(scores, before)


def test_the_bins_are_a_thousandth_of_their_score_wide():
    for size in 10.0 ** np.arange(-3, 6):
        for sign in (-1, 1):
            histogram = ScoreHistogram([0], 1)
            histogram.update(0, torch.tensor([[sign * size]], dtype=torch.float64))
            low, high = histogram.quantile([0, 1])[:, 0, 0]
            assert low <= sign * size <= high and high - low <= 1e-3 * size + 1e-6


@given(seed=st.integers(0, 99), q=st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_quantiles_are_those_of_the_scores_to_within_a_bin(seed, q):
    scores = head_scores(n=501, seed=seed)
    found = histogram_of(scores, layers=(0,)).quantile(q)
    assert found.shape == (len(q), 1, 3)
    # Between two scores any number is the quantile, so ours lies between the one below and the one above.
    low = np.quantile(scores.numpy(), q, axis=1, method="lower")
    high = np.quantile(scores.numpy(), np.minimum(np.array(q) + 1 / 500, 1), axis=1, method="higher")
    slack = 1e-3 * np.maximum(np.abs(low), np.abs(high)) + 1e-5
    below = np.quantile(scores.numpy(), np.maximum(np.array(q) - 1 / 500, 0), axis=1, method="lower")
    assert ((found[:, 0] >= below - slack) & (found[:, 0] <= high + slack)).all()


@pytest.mark.parametrize("rule", ["scott", "silverman", "cross-validation", 0.4])
def test_the_density_of_counts_is_that_of_the_scores(rule):
    scores = head_scores()
    histogram = histogram_of(scores, layers=(0,))
    for head in range(3):
        grid, density = histogram.density(0, head, 700, rule)
        exact = kde(scores[head], grid, choose_bandwidth(scores[head], rule) if isinstance(rule, str) else rule)
        assert np.abs(density - exact).max() <= 3e-3 * exact.max()  # a bin moves a score by 0.05 % at most
        assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)


def test_a_bandwidth_narrower_than_the_bins_shows_no_comb():
    scores = torch.linspace(1000, 1040, 40_001)[None]  # bins are 0.5 wide there
    histogram = histogram_of(scores, layers=(0,))
    grid, density = histogram.density(0, 0, 1024, 0.1)
    inside = (grid > 1001) & (grid < 1039)
    assert np.abs(density[inside] * 40 - 1).max() < 0.02


@given(order=st.permutations(range(5)), cuts=st.integers(1, 4))
def test_adding_histograms_equals_one_histogram_in_any_order(order, cuts):
    parts = [head_scores(n=50 + 10 * i, seed=i) for i in range(5)]
    whole = histogram_of(*parts)
    single = [histogram_of(part, counted=[i]) for i, part in enumerate(parts)]
    left, right = order[:cuts], order[cuts:]
    added = sum((single[i] for i in left[1:]), start=single[left[0]])
    added = added + sum((single[i] for i in right[1:]), start=single[right[0]])
    assert np.array_equal(added.counts, whole.counts)
    assert added.counted == frozenset(range(5)) and added.layers == (2, 5)
    assert np.array_equal(single[0].counts, histogram_of(parts[0]).counts)  # neither summand changed


def test_what_is_saved_is_what_is_loaded(tmp_path):
    histogram = histogram_of(head_scores(), model="some model", counted=[3, 2**64 - 1])
    histogram.update(2, torch.full((3, 2), -1e9))  # at the ends
    path = tmp_path / "counts"
    histogram.save(path)
    for again in (ScoreHistogram.load(path), pickle.loads(pickle.dumps(histogram))):
        assert np.array_equal(again.counts, histogram.counts)
        for what in ("layers", "n_heads", "model", "counted"):
            assert getattr(again, what) == getattr(histogram, what)
    assert [file.name for file in tmp_path.iterdir()] == ["counts"]
    assert path.stat().st_size < histogram.counts.nbytes / 20


@pytest.mark.parametrize("name", ["no folder/counts.npz", "a file/counts.npz", "n" * 300])
def test_a_path_that_cannot_be_written_is_one_line(tmp_path, name):
    (tmp_path / "a file").write_text("")
    with pytest.raises(OSError) as caught:
        histogram_of(head_scores()).save(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: expected room and the right to write, got: ")


def test_a_zero_with_a_sign_is_not_below_zero():
    histogram = ScoreHistogram([0], 1)
    histogram.update(0, torch.tensor([[-0.0, 1.0, -1e-9, 0.0]]))
    assert histogram.fraction_negative().item() == 0.25


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "counts.npz"
    old = histogram_of(head_scores())
    old.save(path)

    def full_disk(file, **arrays):
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(OSError) as caught:
        (old + old).save(path)
    assert str(caught.value) == f"{path}: expected room and the right to write, got: No space left on device"
    assert np.array_equal(ScoreHistogram.load(path).counts, old.counts)
    assert [file.name for file in tmp_path.iterdir()] == ["counts.npz"]


@pytest.mark.parametrize("content", [b"", b"not a histogram", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_histogram(tmp_path, content):
    path = tmp_path / "counts.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        ScoreHistogram.load(path)
    assert str(caught.value) == f"{path}: expected a file that ScoreHistogram.save wrote, got something else"
    np.savez(path, layers=[1])
    with pytest.raises(ValueError, match="expected a file that ScoreHistogram.save wrote"):
        ScoreHistogram.load(path)


@pytest.mark.parametrize("bad", [-math.inf, math.inf, math.nan])
def test_scores_that_are_no_numbers_are_refused_and_none_of_their_like_counted(bad):
    histogram = histogram_of(head_scores())
    before = histogram.counts.copy()
    scores = head_scores(n=5)
    scores[1, 3] = bad
    with pytest.raises(ValueError) as caught:
        histogram.update(5, scores)
    assert str(caught.value) == f"scores: expected finite numbers, got {bad} at index (1, 3)"
    assert np.array_equal(histogram.counts, before)


def test_scores_beyond_the_bins_are_counted_and_told():
    histogram = ScoreHistogram([3], 2)
    histogram.update(3, torch.tensor([[1.0, 2e6, -3.0, -1e30], [1.0, 2.0, -3.0, 4.0]]))
    assert histogram.n.tolist() == [[4, 4]]
    assert histogram.fraction_negative().tolist() == [[0.5, 0.25]]
    for ask in (lambda: histogram.density(3, 0), lambda: histogram.quantile(0.5)):
        with pytest.raises(ValueError) as caught:
            ask()
        assert str(caught.value) == "L3H0: expected scores within +-1,048,320, got 2 beyond"
    assert histogram.density(3, 1)[0].shape == (512,)


def test_a_head_without_scores():
    histogram = ScoreHistogram([3], 2)
    assert np.isnan(histogram.fraction_negative()).all()
    with pytest.raises(ValueError) as caught:
        histogram.density(3, 1)
    assert str(caught.value) == "L3H1: expected at least 1 score, got none; update the histogram first"


@pytest.mark.parametrize(
    ("call", "error", "line"),
    [
        (
            lambda: histogram_of(torch.full((1, 9), 2.5)).density(2, 0),
            ValueError,
            "samples: expected different values for the rule scott, or the bandwidth as a number, got 4.5 throughout",
        ),
        (
            lambda: histogram_of(torch.ones(3, 2)).density(3, 0),
            ValueError,
            "layer: expected one of the counted layers [2, 5], got 3",
        ),
        (lambda: histogram_of(torch.ones(3, 2)).density(2, 3), ValueError, "head: expected a head from 0 to 2, got 3"),
        (lambda: histogram_of(torch.ones(4, 2)).density(2, 4), ValueError, "head: expected a head from 0 to 3, got 4"),
        (
            lambda: histogram_of(torch.ones(3, 2)).update(2, torch.ones(2, 3)),
            ValueError,
            "scores: expected (3 heads, ...), got (2, 3)",
        ),
        (
            lambda: histogram_of(torch.ones(3, 2)).update(2, [1.0]),
            TypeError,
            "scores: expected a torch tensor (head, ...) (torch.as_tensor(x) makes one), got list",
        ),
        (lambda: histogram_of(torch.ones(1, 2)).quantile(50), ValueError, "q: expected shares from 0 to 1, got 50.0"),
        (
            lambda: histogram_of(torch.ones(1, 2)) + histogram_of(torch.ones(1, 2), layers=(2,)),
            ValueError,
            "layers: expected (2, 5) in both histograms, got (2,)",
        ),
        (
            lambda: histogram_of(torch.ones(1, 2), model="a") + histogram_of(torch.ones(1, 2), model="b"),
            ValueError,
            "model: expected 'a' in both histograms, got 'b'",
        ),
        (
            lambda: histogram_of(torch.ones(1, 2), counted=[1, 2]) + histogram_of(torch.ones(1, 2), counted=[2]),
            ValueError,
            "counted: expected each piece of text in one histogram only, got 1 in both",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(call, error, line):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == line


def test_all_layers_together_have_at_most_10_000_heads(monkeypatch):
    monkeypatch.setattr(histogram, "_VALUES", histogram._VALUES[:1])  # so that the counts stay small
    for layers, n_heads in (((0,), 10_000), (range(3), 3333), (range(10_000), 1)):
        assert len(ScoreHistogram(layers, n_heads).layers) == len(layers)
        with pytest.raises(ValueError, match="n_heads: expected 1 to 10000 heads in all layers together, got "):
            ScoreHistogram(layers, n_heads + 1)
    for n_heads in (0, -1):
        with pytest.raises(ValueError, match="n_heads: expected 1 to 10000 heads"):
            ScoreHistogram([0], n_heads)
