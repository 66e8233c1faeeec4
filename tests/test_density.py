"""Densities: the exact one against loops and scipy, the fast one against the exact one."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import gaussian_kde, norm

from headlab.density import choose_bandwidth, cross_validation_scores, fast_kde, kde, mode_tree, peaks

SHAPES = {
    "one Gaussian": lambda rng, n: rng.normal(-10, 3, n),
    "a sink and the rest": lambda rng, n: np.where(rng.random(n) < 0.2, rng.normal(8, 0.5, n), rng.normal(-20, 4, n)),
    "heavy tails": lambda rng, n: rng.standard_t(3, n),
    "one-sided": lambda rng, n: rng.exponential(2, n) - 5,
    "even": lambda rng, n: rng.uniform(-1, 1, n),
    "few values": lambda rng, n: rng.integers(-2, 3, n).astype(float),
}


RULES = ("scott", "silverman", "cross-validation", "sheather-jones", 0.05)


def scores_of(shape, n=501, seed=0):
    return SHAPES[shape](np.random.default_rng(seed), n)


def weights_of(n=501, seed=1):
    return np.random.default_rng(seed).gamma(1.0, size=n)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("weights", [None, weights_of()], ids=["even weights", "weights"])
@pytest.mark.parametrize("rule", ["scott", "silverman", 0.3])
def test_kde_equals_scipy(shape, weights, rule):
    scores = scores_of(shape)
    grid = np.linspace(scores.min() - 3, scores.max() + 3, 203)
    factor = rule if isinstance(rule, str) else rule / math.sqrt(np.cov(scores, aweights=weights))
    theirs = gaussian_kde(scores, factor, weights)
    np.testing.assert_allclose(kde(scores, grid, rule, weights), theirs(grid), rtol=1e-10, atol=1e-14)
    if isinstance(rule, str):
        assert choose_bandwidth(scores, rule, weights) == pytest.approx(math.sqrt(theirs.covariance.item()), rel=1e-10)


def test_kde_equals_its_definition():
    scores, grid, width = [-1.0, 0.5, 4.0, 4.0], [-2.0, 0.0, 3.9], 0.7
    for x, density in zip(grid, kde(scores, grid, width), strict=True):
        bumps = [math.exp(-(((x - s) / width) ** 2) / 2) / (width * math.sqrt(2 * math.pi)) for s in scores]
        assert density == pytest.approx(sum(bumps) / 4, rel=1e-12)


def test_kde_is_the_same_however_the_samples_are_cut(monkeypatch):
    scores, weights = scores_of("heavy tails"), weights_of()
    grid = np.linspace(-4, 4, 2**16)  # so many points that the samples are taken 64 at a time
    few = grid[::1000]
    np.testing.assert_allclose(kde(scores, grid, "scott", weights)[::1000], kde(scores, few, "scott", weights))


def test_a_grid_of_any_shape_gives_a_density_of_that_shape():
    scores = scores_of("even")
    grid = np.linspace(-1, 1, 6).reshape(2, 3)
    assert np.array_equal(kde(scores, grid), kde(scores, grid.ravel()).reshape(2, 3))
    assert kde(scores, 0.5).shape == ()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64])
def test_tensors_and_arrays_of_any_shape_and_dtype(dtype):
    tensor = (4 * torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))).to(dtype)
    before = tensor.clone()
    flat = tensor.double().flatten().numpy()
    grid, density = fast_kde(tensor.transpose(0, 2), 64)
    same_grid, same = fast_kde(flat, 64)
    np.testing.assert_allclose(grid, same_grid)
    np.testing.assert_allclose(density, same)
    np.testing.assert_allclose(kde(tensor, grid), kde(flat, grid))
    assert torch.equal(tensor, before) and density.dtype == np.float64


@pytest.mark.parametrize(
    ("shape", "rule"),
    # Repeated values have no cross-validated bandwidth, as test_bad_input_is_told_in_one_line says.
    sorted({(s, r) for s in SHAPES for r in RULES} - {("few values", "cross-validation")}, key=str),
)
@pytest.mark.parametrize("weights", [None, weights_of()], ids=["even weights", "weights"])
def test_the_integral_is_one(shape, rule, weights):
    grid, density = fast_kde(scores_of(shape), 1024, rule, weights)
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)
    assert np.trapezoid(kde(scores_of(shape), grid, rule, weights), grid) == pytest.approx(1, abs=1e-3)


mixtures = st.lists(
    st.tuples(st.floats(-50, 50), st.floats(0.01, 20), st.integers(1, 300)),  # centre, spread, samples
    min_size=1,
    max_size=4,
)


@given(mixture=mixtures, seed=st.integers(0, 99), n_grid=st.integers(300, 700), weighted=st.booleans())
def test_fast_is_within_a_thousandth_of_the_exact_peak(mixture, seed, n_grid, weighted):
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(centre, spread, n) for centre, spread, n in mixture])
    scores = np.append(scores, scores[0] + 1)  # at least two that differ
    weights = rng.gamma(1.0, size=scores.size) if weighted else None
    grid, density = fast_kde(scores, n_grid, weights=weights)
    exact = kde(scores, grid, weights=weights)
    assert np.abs(density - exact).max() <= 1e-3 * exact.max()
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)


@given(a=st.floats(0.2, 5), b=st.floats(0.2, 5), n=st.integers(20, 500), seed=st.integers(0, 99))
def test_fast_is_within_a_thousandth_of_the_exact_peak_between_bounds(a, b, n, seed):
    shares = np.random.default_rng(seed).beta(a, b, n)
    grid, density = fast_kde(shares, bounds=(0, 1))
    exact = kde(shares, grid, bounds=(0, 1))
    assert grid[0] == 0 and grid[-1] == 1
    assert np.abs(density - exact).max() <= 1e-3 * exact.max()
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_given_bandwidth_serves_a_single_sample(n):
    scores = np.full(n, 3.25)
    grid, density = fast_kde(scores, 401, 0.5)
    exact = kde(scores, grid, 0.5)
    assert grid[density.argmax()] == pytest.approx(3.25)
    assert np.abs(density - exact).max() <= 1e-3 * exact.max()


def test_nothing_that_is_given_is_overwritten():
    given_arrays = scores_of("even"), weights_of(), np.linspace(-1, 1, 9)
    before = [array.copy() for array in given_arrays]
    scores, weights, grid = given_arrays
    kde(scores, grid, weights=weights), fast_kde(scores, weights=weights, bounds=(-1, 1))
    choose_bandwidth(scores, "cross-validation", weights)
    assert all(np.array_equal(array, old) for array, old in zip(given_arrays, before, strict=True))


def test_samples_beyond_one_chunk_all_count():
    scores = scores_of("a sink and the rest", 200_001)
    grid, density = fast_kde(scores)
    exact = kde(scores, grid[::32])
    assert np.abs(density[::32] - exact).max() <= 1e-3 * exact.max()


def test_bounds_mend_the_leak():
    shares = np.random.default_rng(0).beta(0.6, 3, 2000)
    inside, around = np.linspace(0, 1, 2001), np.linspace(-1, 2, 6001)
    leaking = np.trapezoid(kde(shares, inside), inside)
    assert leaking < 0.97
    mended = kde(shares, around, bounds=(0, 1))
    assert np.trapezoid(kde(shares, inside, bounds=(0, 1)), inside) == pytest.approx(1, abs=1e-4)
    assert (mended[(around < 0) | (around > 1)] == 0).all()
    plain = kde(shares, around)
    # At the edge two halves meet: twice the plain density, but for what comes from the other end.
    assert mended[2000] == pytest.approx(2 * plain[2000], rel=1e-6)
    with_images = kde(np.concatenate([shares, -shares, 2 - shares]), inside, choose_bandwidth(shares)) * 3
    np.testing.assert_allclose(kde(shares, inside, bounds=(0, 1)), with_images, rtol=1e-10)


def test_one_bound_alone():
    waits = np.random.default_rng(0).exponential(1, 500)
    grid, density = fast_kde(waits, bounds=(0, math.inf))
    exact = kde(waits, grid, bounds=(0, math.inf))
    assert grid[0] == 0 and np.abs(density - exact).max() <= 1e-3 * exact.max()
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)


def pairwise_score(scores, width):
    """Least-squares cross-validation from its definition, over all pairs."""
    n = len(scores)

    def gaussian(distance, spread):
        return np.exp(-0.5 * (distance / spread) ** 2) / (spread * math.sqrt(2 * math.pi))

    distances = scores[:, None] - scores
    left_out = (gaussian(distances, width).sum() - n * gaussian(0, width)) / (n * (n - 1))
    return gaussian(distances, math.sqrt(2) * width).sum() / n**2 - 2 * left_out


@pytest.mark.parametrize("shape", ["one Gaussian", "a sink and the rest", "heavy tails", "one-sided"])
def test_cross_validation_equals_its_definition(shape):
    scores = scores_of(shape, 301)
    spread = scores.max() - scores.min()
    widths = spread * np.array([[0.002, 0.01, 0.05], [0.2, 1, 5]])
    ours = cross_validation_scores(scores, widths)
    theirs = np.array([pairwise_score(scores, width) for width in widths.ravel()]).reshape(2, 3)
    np.testing.assert_allclose(ours, theirs, rtol=2e-3)
    chosen = choose_bandwidth(scores, "cross-validation")
    around = pairwise_score(scores, chosen)
    assert all(around <= pairwise_score(scores, chosen * factor) + 1e-7 for factor in (0.5, 0.8, 0.95, 1.05, 1.25, 2))
    near = chosen * np.geomspace(0.95, 1.05, 201)
    assert near[cross_validation_scores(scores, near).argmin()] == pytest.approx(chosen, rel=2e-3)


def test_weights_in_cross_validation_count_as_they_do_elsewhere():
    scores = scores_of("a sink and the rest", 200)
    even = cross_validation_scores(scores, [0.5, 1.0], np.full(200, 3.0))
    np.testing.assert_allclose(even, cross_validation_scores(scores, [0.5, 1.0]), rtol=1e-9)
    weights = np.repeat([1.0, 0.0], 100)
    np.testing.assert_allclose(
        cross_validation_scores(scores, [0.5, 1.0], weights),
        cross_validation_scores(scores[:100], [0.5, 1.0]),
        rtol=1e-3,
    )


# Published: R's own test of bw.SJ (src/library/stats/tests/bandwidth.Rout.save), rainfall in 70 cities, "3.9318"; and
# Venables and Ripley, Modern Applied Statistics with S, width.SJ of 82 galaxies, "2.566423", four bandwidths there.
RAINFALL = """67 54.7 7 48.5 14 17.2 20.7 13 43.4 40.2 38.9 54.5 59.8 48.3 22.9 11.5 34.4 35.1 38.7 30.8 30.6
43.1 56.8 40.8 41.8 42.5 31 31.7 30.2 25.9 49.2 37 35.9 15 30.2 7.2 36.2 45.5 7.8 33.4 36.1 40.2 42.7 42.5
16.2 39 35 37 31.4 37.6 39.9 36.2 42.8 46.4 24.7 49.1 46 35.9 7.8 48.2 15.2 32.5 44.7 42.6 38.8 17.4 40.8 29.1
14.6 59.2"""
GALAXIES = """9172 9350 9483 9558 9775 10227 10406 16084 16170 18419 18552 18600 18927 19052 19070 19330 19343
19349 19440 19473 19529 19541 19547 19663 19846 19856 19863 19914 19918 19973 19989 20166 20175 20179 20196
20215 20221 20415 20629 20795 20821 20846 20875 20986 21137 21492 21701 21814 21921 21960 22185 22209 22242
22249 22314 22374 22495 22746 22747 22888 22914 23206 23241 23263 23484 23538 23542 23666 23706 23711 24129
24285 24289 24366 24717 24990 25633 26690 26995 32065 32789 34279"""


@pytest.mark.parametrize(("data", "published"), [(RAINFALL, 3.9318), (GALAXIES, 2.566423 * 1000 / 4)])
def test_sheather_jones_equals_what_r_publishes(data, published):
    # R counts in 1,000 bins and stops a hundredth of the widest bandwidth from the solution.
    assert choose_bandwidth(np.array(data.split(), float), "sheather-jones") == pytest.approx(published, rel=7e-3)


def sheather_jones(scores):
    """The solution of Sheather and Jones's equation 12, over a table of all pairs."""
    n, z = len(scores), scores[:, None] - scores
    scale = min(np.std(scores, ddof=1), np.subtract(*np.quantile(scores, [0.75, 0.25])) / 1.349)

    def fourth(g):
        u = z / g
        return ((u**4 - 6 * u**2 + 3) * np.exp(-(u**2) / 2)).sum() / (n * (n - 1) * g**5 * math.sqrt(2 * math.pi))

    def sixth(g):
        u = z / g
        hermite = u**6 - 15 * u**4 + 45 * u**2 - 15
        return (hermite * np.exp(-(u**2) / 2)).sum() / (n * (n - 1) * g**7 * math.sqrt(2 * math.pi))

    ratio = fourth(1.24 * scale * n ** (-1 / 7)) / -sixth(1.23 * scale * n ** (-1 / 9))

    def excess(h):
        return (1 / (2 * math.sqrt(math.pi) * n * fourth(1.357 * ratio ** (1 / 7) * h ** (5 / 7)))) ** 0.2 - h

    return brentq(excess, 0.02 * scale, 2 * scale)


@pytest.mark.parametrize("shape", ["one Gaussian", "a sink and the rest", "heavy tails", "one-sided", "even"])
def test_sheather_jones_equals_its_definition(shape):
    scores = scores_of(shape, 301)
    found = choose_bandwidth(scores, "sheather-jones")
    assert found == pytest.approx(sheather_jones(scores), rel=2e-4)
    assert choose_bandwidth(1e60 * scores, "sheather-jones") == pytest.approx(1e60 * found, rel=1e-6)
    assert choose_bandwidth(scores, "sheather-jones", np.full(301, 3.0)) == pytest.approx(found, rel=0.01)


@pytest.mark.parametrize("shape", ["one Gaussian", "a sink and the rest", "even"])
def test_the_number_of_peaks_never_grows_with_the_bandwidth(shape):
    scores = scores_of(shape, 60)
    widths = np.ptp(scores) * np.geomspace(0.003, 0.4, 80)
    tree = mode_tree(scores, widths, 1e-9)
    numbers = [len(found) for found in tree]
    assert numbers[0] > 20 and numbers[-1] == 1 and (np.diff(numbers) <= 0).all()
    for width, found in list(zip(widths, tree, strict=True))[::16]:
        beside = kde(scores, found[:, None] + 0.4 * width * np.array([-1, 0, 1]), width)  # the grid is as fine as that
        assert (beside[:, 1] > beside[:, [0, 2]].max(1)).all()


def test_peaks_are_told_from_ripples_and_ends():
    grid = np.arange(9.0)
    density = np.array([9, 0, 4, 3.8, 5, 0, 1, 0.9, 2])
    assert peaks(grid, density, 0).tolist() == [2, 4, 6] and peaks(grid, density).tolist() == [4]
    assert peaks(grid, density, 0.02).tolist() == [2, 4] and peaks(grid, np.zeros(9)).size == 0


@pytest.mark.parametrize("rule", ["scott", "silverman", "cross-validation", "sheather-jones"])
def test_a_score_that_weighs_nothing_is_as_if_it_were_not_there(rule):
    scores, weights = scores_of("even"), weights_of()
    more, with_0 = np.append(scores, 2.0), np.append(weights, 0.0)
    assert choose_bandwidth(more, rule, with_0) == pytest.approx(choose_bandwidth(scores, rule, weights), rel=1e-3)
    for weight in (0.0, 1e-60):
        line = "^samples: expected scores that differ by more than their rounding, got a standard deviation of "
        with pytest.raises(ValueError, match=line):
            choose_bandwidth([2.0, 2.0, 9.0], rule, [1.0, 3.0, weight])


def test_resampled_densities_share_the_grid_of_the_whole_sample():
    scores = scores_of("even")
    whole = fast_kde(scores, 512, 0.5)[0]
    weights = np.ones(len(scores))
    weights[[scores.argmin(), scores.argmax()]] = 0.0
    np.testing.assert_array_equal(fast_kde(scores, 512, 0.5, weights)[0], whole)


def test_cross_validation_sees_the_sink_that_scotts_rule_smooths_over():
    scores = scores_of("a sink and the rest", 4000)
    wide, narrow = choose_bandwidth(scores), choose_bandwidth(scores, "cross-validation")
    assert narrow < wide / 2
    truth = 0.2 / (0.5 * math.sqrt(2 * math.pi))  # the sink's peak
    assert kde(scores, 8.0, wide) < 0.5 * truth < 0.8 * truth < kde(scores, 8.0, narrow)


def test_ten_million_scores_take_under_200_megabytes_more():
    # In a process of its own, where nothing else comes and goes.
    script = """
import threading, psutil, torch
from headlab.density import fast_kde
scores = torch.randn(10_000_000, generator=torch.Generator().manual_seed(0))
fast_kde(scores[:100_000])
memory = lambda: psutil.Process().memory_info().rss
before, sizes, done = memory(), [], threading.Event()
def watch():
    while not done.wait(0.001):
        sizes.append(memory())
watcher = threading.Thread(target=watch)
watcher.start()
grid, density = fast_kde(scores)
done.set()
watcher.join()
assert abs(density.max() - 0.3989) < 0.01
print(max(sizes) - before, len(sizes))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    grown, looks = map(int, run.stdout.split())
    assert grown < 200e6 and looks >= 10


GRID = [0.0, 1.0]


@pytest.mark.parametrize(
    ("call", "error", "line"),
    [
        (
            lambda: kde([1.0, -math.inf, 2.0], GRID),
            ValueError,
            "samples: expected finite numbers (take the causal entries only), got -inf at index (1,)",
        ),
        (
            lambda: fast_kde(torch.tensor([[0.0, 1.0], [math.nan, 2.0]])),
            ValueError,
            "samples: expected finite numbers, got nan at index (1, 0)",
        ),
        (lambda: fast_kde([]), ValueError, "samples: expected at least 1 score, got none"),
        (
            lambda: fast_kde(["a"]),
            TypeError,
            "samples: expected real numbers (np.asarray(x, float) makes them so), got <U1",
        ),
        (
            lambda: fast_kde(torch.tensor([True, False])),
            TypeError,
            "samples: expected real numbers (np.asarray(x, float) makes them so), got bool",
        ),
        (
            lambda: fast_kde([2.0]),
            ValueError,
            "samples: expected at least 2 for the rule scott, or the bandwidth as a number, got 1",
        ),
        (
            lambda: kde([2.0, 2.0, 2.0], GRID, "silverman"),
            ValueError,
            "samples: expected different values for the rule silverman, or the bandwidth as a number, got 2 throughout",
        ),
        (
            lambda: fast_kde([2.0, 2.0 + 1e-15]),
            ValueError,
            "samples: expected different values for the rule scott, or the bandwidth as a number, got 2 throughout",
        ),
        (
            lambda: fast_kde([1.0, 2.0], weights=[1.0, 0.0]),
            ValueError,
            "samples: expected at least 2 for the rule scott, or the bandwidth as a number, got 1",
        ),
        (
            lambda: choose_bandwidth(np.repeat([1.0, 2.0, 4.0], 400), "cross-validation"),
            ValueError,
            "samples: expected cross-validation to find a minimum, or the bandwidth as a number, got the lowest score "
            "at the narrowest bandwidth tried, 0.00302 (values repeated, or counted in bins?)",
        ),
        (
            lambda: choose_bandwidth(np.repeat([1.0, 2.0], [900, 9]), "sheather-jones"),
            ValueError,
            "samples: expected a solution of the equation of sheather-jones, or the bandwidth as a number, got half of "
            "them within 0 (values repeated, or counted in bins?)",
        ),
        (
            lambda: choose_bandwidth(np.repeat([1.0, 2.0, 4.0], 4000), "sheather-jones"),
            ValueError,
            "samples: expected a solution of the equation of sheather-jones, or the bandwidth as a number, got none "
            "from 0.00191 to 0.572 (values repeated, or counted in bins?)",
        ),
        (lambda: peaks(GRID, [1.0]), ValueError, "density: expected one value for each of 2 points, got shape (1,)"),
        (lambda: peaks([GRID], [GRID]), ValueError, "grid: expected points (n,), got shape (1, 2)"),
        (lambda: peaks(GRID, GRID, 5), ValueError, "least: expected a share from 0 to 1, got 5"),
        (lambda: mode_tree([1.0, 2.0], 3.0), ValueError, "bandwidths: expected (n,), got shape ()"),
        (
            lambda: kde([1.0, 2.0], GRID, "scot"),
            ValueError,
            "bandwidth: expected a number > 0 or one of scott, silverman, cross-validation, sheather-jones, got 'scot'",
        ),
        (
            lambda: kde([1.0, 2.0], GRID, 0.0),
            ValueError,
            "bandwidth: expected a number > 0 or one of scott, silverman, cross-validation, sheather-jones, got 0.0",
        ),
        (
            lambda: kde([1.0, 2.0], GRID, math.inf),
            ValueError,
            "bandwidth: expected a number > 0 or one of scott, silverman, cross-validation, sheather-jones, got inf",
        ),
        (
            lambda: kde([1.0, 2.0], GRID, True),
            TypeError,
            "bandwidth: expected a number > 0 or one of scott, silverman, cross-validation, sheather-jones, got True",
        ),
        (
            lambda: fast_kde([1e9, 1e9 + 1], bandwidth=1e-5),
            ValueError,
            "bandwidth: expected more than 0.001, the rounding of samples so large, got 1e-05",
        ),
        (
            lambda: choose_bandwidth([1.0, 2.0], "hand"),
            ValueError,
            "rule: expected one of scott, silverman, cross-validation, sheather-jones, got 'hand'",
        ),
        (
            lambda: fast_kde([1.0, 2.0], 1),
            ValueError,
            "n_grid: expected a whole number of points from 2 to 1000000, got 1",
        ),
        (
            lambda: fast_kde([1.0, 2.0], 9.0),
            TypeError,
            "n_grid: expected a whole number of points from 2 to 1000000, got 9.0",
        ),
        (
            lambda: fast_kde([0.0, 100.0], 512, 0.1),
            ValueError,
            "n_grid: expected at least 675 points for a bandwidth of 0.1, got 512",
        ),
        (lambda: fast_kde([1.0, 2.0], weights=[1.0]), ValueError, "weights: expected one per sample, 2, got 1"),
        (lambda: kde([1.0, 2.0], GRID, weights=[1.0, -2.0]), ValueError, "weights: expected numbers >= 0, got -2.0"),
        (
            lambda: fast_kde([1.0, 2.0], weights=[0.0, 0.0]),
            ValueError,
            "weights: expected a sum of at least 1e-100, got 0",
        ),
        (lambda: kde([1.0, 2.0], [0.0, math.inf]), ValueError, "grid: expected finite numbers, got inf at index (1,)"),
        (
            lambda: fast_kde([0.5, 1.5], bounds=(0, 1)),
            ValueError,
            "samples: expected numbers within the bounds (0.0, 1.0), got 0.5 to 1.5",
        ),
        (
            lambda: kde([-0.5, 0.5], GRID, bounds=(0, 1)),
            ValueError,
            "samples: expected numbers within the bounds (0.0, 1.0), got -0.5 to 0.5",
        ),
        (
            lambda: kde([0.5, 0.6], GRID, bounds=(1, 0)),
            ValueError,
            "bounds: expected two numbers (low, high), low < high, got (1, 0)",
        ),
        (lambda: kde([0.5, 0.6], GRID, bounds=1), TypeError, "bounds: expected two numbers (low, high), got 1"),
        (
            lambda: fast_kde([0.1, 0.9], bandwidth=0.3, bounds=(0, 1)),
            ValueError,
            "bandwidth: expected at most 0.25, a quarter of the way between the bounds, got 0.3",
        ),
        (
            lambda: cross_validation_scores([3.0, 3.0], [1.0]),
            ValueError,
            "samples: expected at least 2 different scores, got 3 throughout",
        ),
        (
            lambda: cross_validation_scores([0.0, 4.0], [1.0, 0.0019]),
            ValueError,
            "bandwidths: expected each from 0.002 to 40, got 0.0019 to 1",
        ),
        (
            lambda: cross_validation_scores([0.0, 2000.0], [3.0, 0.5]),
            ValueError,
            "bandwidths: expected each from 1 to 2e+04, got 0.5 to 3",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(call, error, line):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == line


@pytest.mark.parametrize("rule", ["scott", "silverman", "cross-validation", "sheather-jones"])
def test_scores_that_hardly_differ_count_as_equal(rule):
    steps = np.arange(9.0)
    assert choose_bandwidth(1e-99 * steps, rule) == pytest.approx(1e-99 * choose_bandwidth(steps, rule))
    with pytest.raises(ValueError, match=f"samples: expected different values for the rule {rule}, .* got 0 through"):
        choose_bandwidth(1e-101 * steps, rule)


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_bandwidths_wider_than_the_sample_are_scored_alike_in_every_unit(unit):
    samples, bandwidths = np.random.default_rng(0).normal(size=200), np.array([0.2, 1.0, 20.0])
    scores = cross_validation_scores(unit * samples, unit * bandwidths)
    assert unit * scores == pytest.approx(cross_validation_scores(samples, bandwidths))


@pytest.mark.parametrize(("share", "rounding"), [(1 / 2000, 2e-3), (1 / 200, 1e-4), (1 / 10, 1e-6), (10, 1e-6)])
def test_cross_validation_is_that_of_all_pairs(share, rounding):
    samples = np.random.default_rng(0).normal(size=60)
    n, width, steps = len(samples), share * np.ptp(samples), samples[:, None] - samples  # (sample, sample)
    squared = norm.pdf(steps, scale=math.sqrt(2) * width).mean()  # the integral of the squared density
    others = norm.pdf(steps, scale=width)[~np.eye(n, dtype=bool)].mean()
    assert cross_validation_scores(samples, [width]) == pytest.approx([squared - 2 * others], rel=rounding)
