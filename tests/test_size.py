"""Sizes that no test text has: 10**12 scores a head, 10,000 pieces, a thousand tokens, all with default arguments."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

import headlab.shift
from headlab.density import choose_bandwidth, fast_kde
from headlab.histogram import _EDGES, ScoreHistogram
from headlab.masking import causal_mask
from headlab.plots import MOST_LABELS, plot_layers, plot_mask, plot_score_histogram, plot_scores
from headlab.profiles import bootstrap_mean, layer_densities
from headlab.shift import bootstrap_fraction, bootstrap_ratio, describe_scores


def normal_histogram(n, mean=-10.0, std=8.0, n_layers=1, n_heads=1, **names):
    """Counts of n normal scores of each head, rounded to whole numbers."""
    histogram = ScoreHistogram(range(n_layers), n_heads, **names)
    edges = np.concatenate([[-np.inf], _EDGES, [np.inf]])
    # The upper tail by its own function: 1 minus nearly 1 has no digits.
    lower, upper = np.diff(norm.cdf(edges, mean, std)), -np.diff(norm.sf(edges, mean, std))
    histogram.counts[:] = np.round(n * np.where(edges[1:] < mean, lower, upper))
    return histogram


@pytest.mark.parametrize("n", [1e8, 1.4e8, 1e10, 1e12])
@pytest.mark.parametrize(("mean", "std"), [(-10.0, 8.0), (0.0, 1.0), (-200.0, 8.0)])
def test_a_density_of_any_number_of_scores_is_the_scores_own(n, mean, std):
    histogram = normal_histogram(n, mean, std)
    grid, density = histogram.density(0, 0)
    peak = norm.pdf(0) / std
    assert np.abs(density - norm.pdf(grid, mean, std)).max() < 2e-3 * peak
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-6)
    assert len(grid) == 512 if n < 1e9 else len(grid) > 700
    bandwidth = std * n**-0.2
    assert grid[1] - grid[0] <= 1.5 * bandwidth * 1.001
    assert histogram.n.item() == pytest.approx(n, rel=1e-4)
    assert histogram.quantile(0.5).item() == pytest.approx(mean, abs=0.01)
    assert histogram.fraction_negative().item() == pytest.approx(norm.cdf(0, mean, std), abs=1e-4)


def with_one_at(score):
    """1e12 scores about -10 and one far away."""
    far = ScoreHistogram([0], 1)
    far.update(0, torch.tensor([[score]]))
    return normal_histogram(1e12) + far


def test_one_score_far_away_makes_the_grid_finer_until_it_cannot():
    grid, density = with_one_at(2000.0).density(0, 0)
    assert len(grid) > 40_000
    assert np.abs(density - norm.pdf(grid, -10, 8)).max() < 1e-4
    with pytest.raises(ValueError) as caught:
        with_one_at(1e6).density(0, 0)
    expected = "bandwidth: expected one that 1000000 points can show from -63.04 to 9.999e+05, got 0.0321"
    assert str(caught.value) == expected
    assert len(plot_layers(with_one_at(2000.0))[0].lines[-1].get_xdata()) < 3000  # what is shown of 40,000 points


def test_samples_get_the_grid_that_their_bandwidth_needs():
    samples = np.append(np.random.default_rng(0).normal(size=1000), 400.0)
    assert len(fast_kde(samples, bandwidth=1.0)[0]) == 512
    grid, density = fast_kde(samples, bandwidth=0.1)
    assert len(grid) > 2600 and np.trapezoid(density, grid) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("rule", ["cross-validation", "sheather-jones"])
def test_a_rule_says_where_it_cannot_see_the_bandwidths_that_count(rule):
    with pytest.raises(ValueError) as caught:
        with_one_at(2000.0).density(0, 0, bandwidth=rule)
    assert str(caught.value) == (
        "samples: expected a range in which bandwidths of about 0.0318 can be told apart, or the bandwidth as a "
        "number, got one 2.06e+03 wide"
    )


@pytest.mark.parametrize("n", [2_000, 200_000])
def test_sheather_jones_of_counts_is_that_of_the_scores(n):
    scores = torch.as_tensor(np.random.default_rng(0).normal(-10, 8, n))
    histogram = ScoreHistogram([0], 1)
    histogram.update(0, scores[None])
    grid, density = histogram.density(0, 0, bandwidth="sheather-jones")
    width = choose_bandwidth(scores, "sheather-jones")
    assert width == pytest.approx(1.06 * 8 * n**-0.2, rel=0.1)  # Silverman 1986, equation 3.28
    expected = np.interp(grid, *fast_kde(scores, bandwidth=width))
    assert np.abs(density - expected).max() < 2e-3 * density.max()


def test_all_heads_of_1e12_scores_are_drawn_with_default_arguments():
    axes = plot_layers(normal_histogram(1e12, n_layers=3, n_heads=4))
    left, right = axes[0].get_xlim()
    assert (left, right) == pytest.approx(norm.ppf([0.005, 0.995], -10, 8), abs=0.2)
    for ax in axes:
        curves = ax.lines[1:]  # the first is the dashed one at 0
        assert len(curves) == 4
        for row, curve in enumerate(curves):
            x, y = curve.get_data()
            assert x[0] <= left and x[-1] >= right
            assert x[y.argmax()] == pytest.approx(-10, abs=0.1) and y.max() == pytest.approx(2 - row)


def test_ten_thousand_pieces_add_up_and_fit_a_small_file(tmp_path):
    keys = range(0, 10_000 * 2**40, 2**40)
    total = ScoreHistogram([0], 1, "mini")
    for key in keys:
        piece = ScoreHistogram([0], 1, "mini", [key])
        piece.counts[0, 0, 40_000] = 10**8
        total = total + piece
    assert total.n.tolist() == [[10**12]] and total.counted == {*keys}
    total.save(tmp_path / "counts")
    assert (tmp_path / "counts").stat().st_size < 50_000
    again = ScoreHistogram.load(tmp_path / "counts")
    assert again.counted == total.counted and np.array_equal(again.counts, total.counts)


def test_a_layer_far_narrower_than_the_others_gets_its_points():
    random = np.random.default_rng(0)
    scores = [random.normal(size=2000), random.normal(scale=1e-3, size=2000)]
    grid, densities = layer_densities(scores)
    assert len(grid) == 512 * 2**3
    assert np.trapezoid(densities, grid) == pytest.approx([1, 1], abs=0.01)
    with pytest.raises(
        ValueError, match="^n_grid: expected enough points to show the narrowest layer, got 512, too few"
    ):
        layer_densities(scores, 512)


def test_resamples_are_the_same_in_batches(monkeypatch):
    """As many units as pieces of text are drawn some resamples at a time, so that their counts fit in memory."""
    sums, sizes = np.random.default_rng(0).uniform(0, 5, (2, 3, 40))[0], np.arange(1.0, 41)
    whole = bootstrap_ratio(sums, sizes)
    monkeypatch.setattr(headlab.shift, "MOST_DRAWN", 40 * 300)
    np.testing.assert_allclose(bootstrap_ratio(sums, sizes), whole, rtol=1e-12)


def test_intervals_of_counts_up_to_1e12():
    n_scores = np.array([4, 5, 6, 7, 8])
    small = bootstrap_fraction([1, 2, 5, 0, 3], n_scores)
    large = bootstrap_fraction(np.array([1, 2, 5, 0, 3]) * 10**11, n_scores * 10**11)
    np.testing.assert_allclose(large, small, rtol=1e-12)
    low, high = bootstrap_mean(np.tile([[1.0], [3.0]], (5000, 1)))
    assert 1.9 < low < 2 < high < 2.1


def test_statistics_of_millions_of_small_numbers_lose_none():
    """Sums in half precision would end at 65,504, and in single precision where the next score rounds to nothing."""
    for kind in (np.float16, np.float32, torch.float16, torch.bfloat16):
        ones = np.ones(3_000_001, kind) if isinstance(kind, type) else torch.ones(3_000_001, dtype=kind)
        ones[0] = 2
        stats = describe_scores(ones)
        assert stats.n == 3_000_001 and stats.mean == pytest.approx(1 + 1 / 3_000_001, rel=1e-12)


def test_a_histogram_of_large_counts_is_drawn_as_shares():
    (patch,) = plot_score_histogram(np.full(3, 10**12), np.arange(4)).patches
    assert patch.get_path().vertices[:, 1].max() == pytest.approx(1 / 3)


def test_a_thousand_tokens_are_drawn_with_labels_that_can_be_told_apart():
    tokens = [f"t{i}" for i in range(1024)]
    for ax in (plot_scores(torch.zeros(1024, 1024), tokens), plot_mask(causal_mask(1024), tokens)):
        for axis in (ax.xaxis, ax.yaxis):
            places, texts = axis.get_ticklocs(), [label.get_text() for label in axis.get_ticklabels()]
            assert len(places) <= MOST_LABELS and texts == [tokens[int(place)] for place in places]
        assert not ax.texts
    assert len(plot_mask(causal_mask(32), tokens[:32]).texts) == 32 * 33 / 2
    assert len(plot_scores(torch.zeros(64, 64), tokens[:64]).get_xticks()) == 64
