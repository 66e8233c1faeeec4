"""Lesson 6: the density of many scores, exact and fast, of the scores or of their counts."""

import math
from typing import NamedTuple

import numpy as np
from scipy.fft import dct, idct, next_fast_len, rfft

from headlab._expect import (
    LARGEST,
    MOST_POINTS,
    expect,
    expect_list,
    expect_number,
    expect_points,
    finite_array,
    finite_range,
    real_array,
)

EVERYWHERE = (-math.inf, math.inf)
POINTS = 512  # of a grid, unless Gaussians so narrow need more
SPACING = 1.5  # bandwidths between two points of a grid, at most
MARGIN = 5  # bandwidths beyond the outermost scores; a Gaussian is 4e-6 of its peak there
CELLS = 16  # cells of the fine grid per bandwidth; linear binning is then within 1 / (8 * 16**2) of the peak
FINEST = 2000  # the samples' range over the narrowest bandwidth that is looked at in pairs of samples
WIDEST = 10  # the widest such bandwidth over that range: all are alike from there on, and the memory is not
EVEN = 1.5  # effective samples that a look at pairs needs
FAR = 9  # standard deviations from which on a Gaussian is nothing beside 1 in double precision
PROMINENT = 0.05  # of the highest peak: what rises less above its valleys is a ripple
LONE = 1 + 1e-9  # effective samples: so few have no spread
CHUNK = 2**17  # scores at a time: what a chunk needs stays in the processor's cache


class _Sample(NamedTuple):
    """Checked scores: values (n,) as they came, weights (n,) or None, and what every function asks of them."""

    values: np.ndarray
    weights: np.ndarray | None
    total: float  # the sum of the weights, n where there are none
    n_effective: float  # how many equally weighted scores vary as much: n where there are no weights
    low: float
    high: float


def kde(samples, grid, bandwidth="scott", weights=None, bounds=EVERYWHERE):
    """Kernel density estimate at each point of the grid, from its definition: one small Gaussian per sample, summed.

    samples: a tensor or an array of any shape, from which one density is made; all finite (take the causal entries
    first); grid: points of any shape; bandwidth: the Gaussians' standard deviation in units of the samples, or a rule
    of `choose_bandwidth`; weights: one per sample, none negative; bounds (low, high): the limits of the samples where
    they have any, such as (0, 1) for a pattern. What leaks over a limit is reflected back, and the density outside is
    0. Returns float64 of the grid's shape, in 1 / unit of the samples. Takes len(samples) * len(grid) steps. Raises
    ValueError on infinite or missing values, on constant or too few samples where a rule needs a spread.
    Introduced in lesson 6. Source: the report; Rosenblatt 1956; Parzen 1962; Silverman 1986, section 2.4; Schuster 1985
    on reflection.

    >>> kde([-1.0, 1.0], [0.0, 1.0], bandwidth=1.0).round(3)
    array([0.242, 0.226])
    """
    bounds = _checked_bounds(bounds)
    sample = _checked_sample(samples, weights, bounds)
    grid = finite_array(grid, "grid")
    width = _bandwidth(sample, bandwidth)
    _expect_room(width, bounds)
    density = _sum_of_gaussians(sample, grid, width)
    for edge in bounds:
        if math.isfinite(edge):
            density += _sum_of_gaussians(sample, 2 * edge - grid, width)
    return np.where((grid >= bounds[0]) & (grid <= bounds[1]), density, 0.0)


def fast_kde(samples, n_grid=None, bandwidth="scott", weights=None, bounds=EVERYWHERE):
    """Kernel density estimate on an even grid: the samples binned finely, then the bins smoothed by a Gaussian.

    samples, bandwidth, weights and bounds as in `kde`. The grid goes from bound to bound, and where there is none from
    5 bandwidths before the first sample to 5 after the last. n_grid: its points, by default 512, or more where the
    bandwidth is narrow: points more than 1.5 bandwidths apart would miss peaks between them. Returns (grid, density),
    float64 of shape (n_grid,), which differ from `kde`'s by at most 1e-3 of its peak. Takes len(samples) steps and,
    apart from the samples, memory that does not grow with their number. Raises as `kde` does, and where n_grid points,
    or MOST_POINTS, are too few.
    Introduced in lesson 6. Source: Silverman 1982, algorithm AS 176; Wand 1994 on linear binning.

    >>> grid, density = fast_kde([-1.0, 1.0], bandwidth=1.0)
    >>> len(grid), round(float(np.trapezoid(density, grid)), 3)
    (512, 1.0)
    """
    bounds = _checked_bounds(bounds)
    sample = _checked_sample(samples, weights, bounds)
    return _smoothed(sample, n_grid, _bandwidth(sample, bandwidth), bounds, _linear_bins)


def choose_bandwidth(samples, rule="scott", weights=None):
    """The bandwidth that a rule gives, in units of the samples.

    rule: "scott", n**(-1/5) standard deviations, and "silverman", (3 n / 4)**(-1/5) of them, both best for one Gaussian
    and too wide for two; "cross-validation", the minimum of `cross_validation_scores`, which makes no such assumption
    but varies more from sample to sample; "sheather-jones", the solution of their equation, which estimates how curved
    the density is and varies less. All four assume independent samples, which the scores of one text are not. Raises
    ValueError on fewer than two or constant samples and where a rule finds no bandwidth.
    Introduced in lesson 6. Source: Scott 1992; Silverman 1986, section 3.4; scipy.stats.gaussian_kde's definitions;
    Sheather and Jones 1991, equation 12.

    >>> round(choose_bandwidth([-1.0, 0.0, 1.0]), 3)
    0.803
    """
    expect(isinstance(rule, str) and rule in RULES, "rule", f"one of {', '.join(RULES)}", repr(rule))
    return _bandwidth(_checked_sample(samples, weights, EVERYWHERE), rule)


def cross_validation_scores(samples, bandwidths, weights=None):
    """Least-squares cross-validation: for each bandwidth, the squared error of its KDE, up to a constant.

    It is the integral of the squared density minus twice the mean density that each sample has from all the others.
    bandwidths: an array, each from 1/2000 of the samples' range to 10 times that range; returns float64 of its shape;
    the lowest is best.
    Introduced in lesson 6. Source: Rudemo 1982; Bowman 1984; Silverman 1986, section 3.4.3.

    >>> int(cross_validation_scores([-9.0, -8.5, -8.0, 8.0, 8.5, 9.0], [0.1, 1.0, 10.0]).argmin())
    1
    """
    sample = _checked_sample(samples, weights, EVERYWHERE)
    widths = finite_array(bandwidths, "bandwidths")
    extent = sample.high - sample.low
    least, most = extent / FINEST, WIDEST * extent
    expect(_varied(sample), "samples", "at least 2 different scores", f"{sample.low:.6g} throughout")
    expect(widths.size >= 1, "bandwidths", "at least 1", "none")
    fits = ((widths >= least) & (widths <= most)).all()
    expect(fits, "bandwidths", f"each from {least:.3g} to {most:.3g}", f"{widths.min():.3g} to {widths.max():.3g}")
    return _cross_validation(sample, widths)


def peaks(grid, density, least=PROMINENT):
    """Where a density (points,) over its grid (points,) has its peaks, from left to right: (peaks,).

    least: how far a peak has to rise above the higher of the valleys beside it, as a share of the highest peak; what
    rises less is a ripple. An end of the grid is not a peak. Introduced in lesson 6.

    >>> peaks([0.0, 1.0, 2.0], [0.1, 0.5, 0.2])
    array([1.])
    """
    from scipy.signal import find_peaks  # which takes longer to import than all else that a lesson needs

    grid, density = finite_array(grid, "grid"), finite_array(density, "density")
    expect(grid.ndim == 1, "grid", "points (n,)", f"shape {grid.shape}")
    fits = density.shape == grid.shape
    expect(fits, "density", f"one value for each of {len(grid)} points", f"shape {density.shape}")
    least = expect_number(least, "least", "a share from 0 to 1")
    expect(0 <= least <= 1, "least", "a share from 0 to 1", least)
    return grid[find_peaks(density, prominence=least * density.max(initial=0.0))[0]]


def mode_tree(samples, bandwidths, least=PROMINENT):
    """The peaks of a sample's density for each of many bandwidths: a list of arrays, as `peaks` gives them.

    samples and bandwidths as in `fast_kde`, bandwidths (n,). Drawn above each other, the peaks form a tree whose
    branches are hills: the longer a branch, the less its hill depends on the bandwidth.
    Introduced in lesson 6. Source: Minnotte and Scott 1993. If peaks of any height count, a wider bandwidth never has
    more of them (Silverman 1981).

    >>> [len(found) for found in mode_tree([-4.0, 4.0], [1.0, 8.0])]
    [2, 1]
    """
    widths = finite_array(bandwidths, "bandwidths")
    expect(widths.ndim == 1, "bandwidths", "(n,)", f"shape {widths.shape}")
    # A peak is at least two bandwidths wide: with five points each, no top falls between two of them.
    return [peaks(*fine_kde(samples, POINTS, float(width), 0.4), least) for width in widths]


@np.errstate(under="ignore")  # far out a Gaussian is 0
def _sum_of_gaussians(sample, grid, width):
    """The definition, in chunks of samples so that no (grid, sample) table outgrows the memory."""
    density = np.zeros(grid.size)
    chunk = max(1, 2**22 // max(1, grid.size))
    for values, weights in _chunks(sample, chunk):
        distances = (grid.reshape(-1, 1) - values) / width
        gaussians = np.exp(-0.5 * distances**2)
        density += gaussians.sum(axis=1) if weights is None else gaussians @ weights
    return density.reshape(grid.shape) / (sample.total * width * math.sqrt(2 * math.pi))


def fine_kde(samples, at_least, bandwidth, spacing=SPACING):
    """As `fast_kde`, on a grid of at least so many points, at most `spacing` bandwidths apart."""
    sample = _checked_sample(samples, None, EVERYWHERE)
    return _smoothed(sample, None, _bandwidth(sample, bandwidth), EVERYWHERE, _linear_bins, at_least, spacing)


def binned_kde(edges, below, n_grid, bandwidth):
    """As `fast_kde`, of scores counted in bins: edges (bin + 1,) of the bins, and the number of scores below each."""
    counts, n = np.diff(below), float(below[-1])
    middles = (edges[1:] + edges[:-1]) / 2
    integral = np.append(0.0, np.cumsum(np.diff(edges) * (below[1:] + below[:-1]) / 2))
    sample = _Sample(middles[counts > 0], counts[counts > 0], n, n, middles[0], middles[-1])

    def bins(_, low, high, n_bins):
        # A bin's scores are taken to lie evenly between its edges, so that no bandwidth shows the bins as a comb.
        # Their cumulative counts are then straight between the edges, and the integral of these, differenced twice,
        # is the linear binning of them all.
        step = (high - low) / (n_bins - 1)
        points = np.linspace(low - step, high + step, n_bins + 2)
        place = np.maximum(np.searchsorted(edges, points, "right") - 1, 0)
        means = (below[place] + np.interp(points, edges, below)) / 2
        slopes = np.diff(integral[place] + (points - edges[place]) * means) / step
        slopes[0], slopes[-1] = 0.0, n  # nothing is lost beyond the ends
        return np.diff(slopes)

    return _smoothed(sample, n_grid, _bandwidth(sample, bandwidth), EVERYWHERE, bins)


@np.errstate(under="ignore")  # far out a Gaussian is 0
def _smoothed(sample, n_grid, width, bounds, bins, at_least=POINTS, spacing=SPACING):
    """(grid, density) of a sample: its bins times a Gaussian's transform, mirrored at both ends."""
    n_grid = n_grid if n_grid is None else expect_points(n_grid)
    _expect_room(width, bounds)
    low = bounds[0] if math.isfinite(bounds[0]) else sample.low - MARGIN * width
    high = bounds[1] if math.isfinite(bounds[1]) else sample.high + MARGIN * width
    needed = math.ceil((high - low) / (spacing * width)) + 1
    if n_grid is None:
        n_grid = at_least if needed <= at_least else next_fast_len(needed - 1, real=True) + 1
        expected = f"one that {MOST_POINTS} points can show from {low:.4g} to {high:.4g}"
        expect(n_grid <= MOST_POINTS, "bandwidth", expected, f"{width:.3g}")
    grid, step = np.linspace(low, high, n_grid, retstep=True)
    expect(n_grid >= needed, "n_grid", f"at least {needed} points for a bandwidth of {width:.3g}", n_grid)
    cells = next_fast_len(math.ceil(CELLS * step / width), real=True)
    counts = bins(sample, low, high, cells * (n_grid - 1) + 1)
    # The cosine transform sees the bins mirrored at both ends. So a bound reflects what would leak over it, and where
    # there is none the mirror is too far away to matter. An end bin is its own mirror image: it counts twice.
    counts[[0, -1]] *= 2
    frequencies = np.pi * np.arange(len(counts)) / (high - low)
    smooth = idct(dct(counts, type=1) * np.exp(-0.5 * (width * frequencies) ** 2), type=1)
    return grid, np.maximum(smooth[::cells], 0.0) * cells / (sample.total * step)


def _linear_bins(sample, low, high, n_bins):
    """Weight of the samples at n_bins even points: each sample shared between its two neighbours by nearness."""
    scale = (n_bins - 1) / (high - low)
    weight, moment = np.zeros(n_bins + 1), np.zeros(n_bins + 1)
    for values, weights in _chunks(sample, max(CHUNK, n_bins)):
        position = values - low
        position *= scale
        index = position.astype(np.intp)
        if weights is not None:
            position *= weights
        weight += np.bincount(index, weights, minlength=n_bins + 1)
        moment += np.bincount(index, position, minlength=n_bins + 1)
    upper = moment - np.arange(n_bins + 1) * weight  # of a sample 0.3 of the way from a point to the next, 0.3
    weight -= upper
    weight[1:] += upper[:-1]
    return weight[:-1]


def _bandwidth(sample, bandwidth):
    """The bandwidth as a number, or one line on why there is none."""
    if isinstance(bandwidth, str):
        expect(bandwidth in RULES, "bandwidth", f"a number > 0 or one of {', '.join(RULES)}", repr(bandwidth))
        n = sample.n_effective
        remedy = "or the bandwidth as a number"
        expect(n > LONE, "samples", f"at least 2 for the rule {bandwidth}, {remedy}", f"{n:.3g}")
        received = f"{sample.low:.6g} throughout"
        expect(_varied(sample), "samples", f"different values for the rule {bandwidth}, {remedy}", received)
        return RULES[bandwidth](sample)
    expected = f"a number > 0 or one of {', '.join(RULES)}"
    width = expect_number(bandwidth, "bandwidth", expected)
    expect(0 < width <= LARGEST, "bandwidth", expected, bandwidth)
    width = float(width)
    least = 1e-12 * max(abs(sample.low), abs(sample.high))
    expect(width > least, "bandwidth", f"more than {least:.3g}, the rounding of samples so large", bandwidth)
    return width


def _varied(sample):
    """True where scores differ by more than their last bits, or the smallest numbers there are."""
    return sample.high - sample.low > max(1e-12 * max(abs(sample.low), abs(sample.high)), 1 / LARGEST)


def _scott(sample):
    return _standard_deviation(sample) * sample.n_effective**-0.2


def _silverman(sample):
    return _standard_deviation(sample) * (0.75 * sample.n_effective) ** -0.2


def _cross_validated(sample):
    """The bandwidth of the lowest score, first among widths 5% apart, then between that one's neighbours."""
    least, most = _searched(sample)
    widths = np.geomspace(least, most, 120)
    best = int(np.argmin(_cross_validation(sample, widths)))
    expect(
        best > 0,
        "samples",
        "cross-validation to find a minimum, or the bandwidth as a number",
        f"the lowest score at the narrowest bandwidth tried, {least:.3g} (values repeated, or counted in bins?)",
    )
    near = np.geomspace(widths[best - 1], widths[min(best + 1, 119)], 41)
    return float(near[np.argmin(_cross_validation(sample, near))])


def _sheather_jones(sample):
    """The solution h of h**5 = 1 / (2 sqrt(pi) n curvature), where a bandwidth that follows h tells the curvature.

    The curvature is the integral of the squared second derivative. All numbers are in units of the samples' range.
    """
    from scipy.optimize import brentq

    n, extent = sample.n_effective, sample.high - sample.low
    least, most = (width / extent for width in _searched(sample))
    scale = min(_standard_deviation(sample), _quartile_range(sample) / 1.349) / extent
    solution = "a solution of the equation of sheather-jones, or the bandwidth as a number"
    repeated = "(values repeated, or counted in bins?)"
    expect(scale > least, "samples", solution, f"half of them within {1.349 * scale * extent:.3g} {repeated}")
    spectrum = _spectrum(sample, max(most, 1.3 * scale))

    def curvature(width):
        return _over_pairs(spectrum, width, 4) / (1 - 1 / n)

    slope = -_over_pairs(spectrum, 1.23 * scale * n ** (-1 / 9), 6) / (1 - 1 / n)
    pilot = 1.357 * (curvature(1.24 * scale * n ** (-1 / 7)) / slope) ** (1 / 7)

    def excess(width):
        return (2 * math.sqrt(math.pi) * n * curvature(pilot * width ** (5 / 7))) ** -0.2 - width

    found = excess(least) > 0 > excess(most)
    expect(found, "samples", solution, f"none from {least * extent:.3g} to {most * extent:.3g} {repeated}")
    return extent * brentq(excess, least, most, rtol=1e-6)


def _searched(sample):
    """The narrowest and the widest bandwidth between which a rule that looks at pairs of samples searches."""
    most, finest = 3 * _scott(sample), (sample.high - sample.low) / FINEST
    expected = f"a range in which bandwidths of about {most / 3:.3g} can be told apart, or the bandwidth as a number"
    expect(finest < most, "samples", expected, f"one {sample.high - sample.low:.3g} wide")
    return max(finest, most / 300), most


RULES = {
    "scott": _scott,
    "silverman": _silverman,
    "cross-validation": _cross_validated,
    "sheather-jones": _sheather_jones,
}


def _quartile_range(sample):
    """From the first quartile to the third."""
    weights = sample.weights
    method = "linear" if weights is None else "inverted_cdf"  # the one that numpy has with weights
    values = sample.values.astype(np.float64, copy=False)
    low, high = np.quantile(values, [0.25, 0.75], weights=weights, method=method)
    return float(high - low)


def _standard_deviation(sample):
    """With n - 1 in the denominator, or its like where there are weights."""
    mean = sample.low + _weighted_sum(sample, lambda values: values - sample.low) / sample.total
    square = _weighted_sum(sample, lambda values: (values - mean) ** 2) / sample.total
    deviation = math.sqrt(square / (1 - 1 / sample.n_effective))
    least = 1e-12 * max(abs(sample.low), abs(sample.high))
    received = f"a standard deviation of {deviation:.3g}"
    expect(deviation > least, "samples", "scores that differ by more than their rounding", received)
    return deviation


def _weighted_sum(sample, function):
    total = 0.0
    for values, weights in _chunks(sample, CHUNK):
        terms = function(values)
        # A product and a sum, not a dot product, for which BLAS would wake its threads chunk by chunk.
        total += float((terms if weights is None else terms * weights).sum())
    return total


def _cross_validation(sample, widths):
    """The score of each width (...): the squared density's integral minus twice the density at samples left out."""
    extent, itself = sample.high - sample.low, 1 / sample.n_effective  # itself: the share of pairs with itself
    spectrum = _spectrum(sample, widths.max() / extent)

    def score(width):
        others = _over_pairs(spectrum, width) - itself / (width * math.sqrt(2 * math.pi))
        return _over_pairs(spectrum, math.sqrt(2) * width) - 2 * others / (1 - itself)

    return np.array([score(width / extent) / extent for width in widths.ravel()]).reshape(widths.shape)


def _spectrum(sample, widest):
    """(frequencies, squared transform) of the samples' bins, for Gaussians up to this width, in units of their range.

    The mean of a Gaussian over all pairs of samples is one sum over the frequencies, as `_over_pairs` takes it.
    """
    n = sample.n_effective
    # With nearly all weight on one score, its pair with itself would drown the others.
    expect(n >= EVEN, "weights", f"weights that count for at least {EVEN} equal ones", f"some that do for {n:.3g}")
    n_bins = CELLS * FINEST + 1
    bins = _linear_bins(sample, sample.low, sample.high, n_bins) / sample.total
    # Room for the widest Gaussian between the last bin and the first one's next turn.
    length = next_fast_len(math.ceil((2 + 12 * widest) * n_bins), real=True)
    period = length / (n_bins - 1)
    power = np.abs(rfft(bins, length)) ** 2 / period
    power[1:] *= 2  # each frequency but zero stands for its negative too
    return 2 * np.pi * np.arange(len(power)) / period, power


def _over_pairs(spectrum, width, derivative=0):
    """The mean over all pairs of samples of a Gaussian of this width, or of an even derivative, at their difference."""
    frequencies, power = spectrum
    last = np.searchsorted(frequencies, FAR / width)
    frequencies = frequencies[:last]
    terms = power[:last] * np.exp(-0.5 * (width * frequencies) ** 2)
    return (-1) ** (derivative // 2) * float((terms * frequencies**derivative if derivative else terms).sum())


def _chunks(sample, size):
    """Values and weights in float64, so many at a time; they may be the caller's own, so nothing writes into them."""
    for start in range(0, len(sample.values), size):
        part = slice(start, start + size)
        weights = None if sample.weights is None else sample.weights[part].astype(np.float64, copy=False)
        yield sample.values[part].astype(np.float64, copy=False), weights


def _checked_sample(samples, weights, bounds):
    values = real_array(samples, "samples")
    expect(values.size >= 1, "samples", "at least 1 score", "none")
    low, high = finite_range(values, "samples", samples)
    values = values.ravel()
    inside = bounds[0] <= low and high <= bounds[1]
    expect(inside, "samples", f"numbers within the bounds {bounds}", f"{low:.6g} to {high:.6g}")
    if weights is None:
        return _Sample(values, None, float(values.size), float(values.size), low, high)
    given, weights = weights, real_array(weights, "weights")
    expect(weights.size == values.size, "weights", f"one per sample, {values.size}", weights.size)
    least, _ = finite_range(weights, "weights", given)
    expect(least >= 0, "weights", "numbers >= 0", least)
    weights = weights.ravel()
    total = float(weights.sum(dtype=np.float64))
    expect(total >= 1 / LARGEST, "weights", f"a sum of at least {1 / LARGEST:.0e}", f"{total:.3g}")
    n_effective = total**2 / float(np.square(weights, dtype=np.float64).sum())
    return _Sample(values, weights, total, n_effective, low, high)


def _checked_bounds(bounds):
    expected = "two numbers (low, high)"
    edges = [expect_number(edge, "bounds", expected) for edge in expect_list(bounds, "bounds", expected)]
    expect(len(edges) == 2, "bounds", expected, bounds)
    low, high = edges
    fits = low < high and all(abs(edge) <= LARGEST or edge in EVERYWHERE for edge in edges)
    expect(fits, "bounds", f"{expected}, low < high", bounds)
    return float(low), float(high)


def _expect_room(width, bounds):
    """A Gaussian wide enough to leak over both bounds at once would have to be reflected again and again."""
    most = (bounds[1] - bounds[0]) / 4
    expect(width <= most, "bandwidth", f"at most {most:.3g}, a quarter of the way between the bounds", f"{width:.3g}")
