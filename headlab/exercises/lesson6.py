"""Lesson 6: sums of Gaussians, how wide they should be, where they leak, and counts that add up."""

import math

import numpy as np

from headlab.density import choose_bandwidth, cross_validation_scores, kde
from headlab.exercises.engine import Exercise

ROOT = math.sqrt(2 * math.pi)


def _samples(n, seed=0):
    random = np.random.default_rng([n, seed])
    return np.where(random.random(n) < 0.3, 6.0, -2.0) + random.normal(size=n)


def _bumps(samples, grid, bandwidth):
    """One Gaussian per sample, (grid, sample), each of area 1."""
    return np.exp(-0.5 * ((grid[:, None] - samples) / bandwidth) ** 2) / (bandwidth * ROOT)


def _sum_not_mean(samples, grid, bandwidth):
    """the area is the number of samples, not 1: each Gaussian counts 1/n, so take the mean of them and not the sum"""
    return _bumps(samples, grid, bandwidth).sum(1)


def _without_width(samples, grid, bandwidth):
    """the height does not fall as the Gaussians widen: divide by the bandwidth, or the area will not be 1"""
    return bandwidth * kde(samples, grid, bandwidth)


def _without_root(samples, grid, bandwidth):
    """the area is 2.5 and not 1: a Gaussian's height is 1 / (bandwidth * sqrt(2 pi))"""
    return ROOT * kde(samples, grid, bandwidth)


def _without_half(samples, grid, bandwidth):
    """the half in the exponent is missing: exp(-z**2 / 2), with z the distance in bandwidths"""
    return np.exp(-(((grid[:, None] - samples) / bandwidth) ** 2)).mean(1) / (bandwidth * ROOT)


def _variance_for_width(samples, grid, bandwidth):
    """the exponent divides by the bandwidth and not by its square: divide the distance by the bandwidth, then square"""
    return np.exp(-0.5 * (grid[:, None] - samples) ** 2 / bandwidth).mean(1) / (bandwidth * ROOT)


def _one_per_sample(samples, grid, bandwidth):
    """one number for each sample: average over the samples, so that one is left for each point of the grid"""
    return _bumps(samples, grid, bandwidth).mean(0)


def _over_one_less(samples, grid, bandwidth):
    """the sum is divided by n - 1, so that the area is above 1: each of the n Gaussians counts 1/n"""
    return _bumps(samples, grid, bandwidth).sum(1) / (len(samples) - 1)


def _nearest_only(samples, grid, bandwidth):
    """only the nearest sample counts at each point: take the mean of all the Gaussians, not the maximum"""
    return _bumps(samples, grid, bandwidth).max(1)


def _root_of_pi(samples, grid, bandwidth):
    """a 2 is missing below the root, so the area is 1.4: a Gaussian's height is 1 / (bandwidth * sqrt(2 pi))"""
    return math.sqrt(2) * kde(samples, grid, bandwidth)


def _scott(samples):
    return choose_bandwidth(samples, "scott")


def _silverman(samples):
    """this is Silverman's rule: Scott's has no factor (3/4)**(-1/5)"""
    return choose_bandwidth(samples, "silverman")


def _population(samples):
    """the standard deviation divides by n: by n - 1 here (ddof=1), as scipy's"""
    return np.std(samples) * len(samples) ** -0.2


def _power_alone(samples):
    """this is n**(-1/5) alone, which has no unit: multiply by the standard deviation of the samples"""
    return len(samples) ** -0.2


def _variance(samples):
    """this has the variance in it: use its root, the standard deviation, which is in the unit of the samples"""
    return np.var(samples, ddof=1) * len(samples) ** -0.2


def _without_brackets(samples):
    """n**-1/5 is (1/n)/5: put the exponent in brackets, n ** (-1 / 5)"""
    return np.std(samples, ddof=1) * len(samples) ** -1 / 5


def _growing(samples):
    """more samples make this wider: the exponent is -1/5"""
    return np.std(samples, ddof=1) * len(samples) ** 0.2


def _standard_error(samples):
    """this is the standard error, with n**(-1/2): the exponent is -1/5, so that enough samples lie under a Gaussian"""
    return np.std(samples, ddof=1) * len(samples) ** -0.5


def _normal_reference(samples):
    """this is 1.06 times Scott's bandwidth, the normal reference rule: Scott's rule here has no factor"""
    return 1.06 * _scott(samples)


def _with_quartiles(samples):
    """this is Silverman's robust rule, with 0.9 and quartiles: Scott's takes the standard deviation alone"""
    width = np.subtract(*np.quantile(samples, [0.75, 0.25])) / 1.34
    return 0.9 * min(np.std(samples, ddof=1), width) * len(samples) ** -0.2


def _counts_case(n_bins, step, bandwidth):
    counts = np.random.default_rng(n_bins).poisson(3.0, n_bins)
    counts[: n_bins // 3] = 0
    return counts, step, bandwidth


def _kernel(n_bins, step, bandwidth):
    """The Gaussian at every distance between two bins, from -(n_bins - 1) to n_bins - 1 steps."""
    return np.exp(-0.5 * (np.arange(1 - n_bins, n_bins) * step / bandwidth) ** 2) / (bandwidth * ROOT)


def _binned(counts, step, bandwidth):
    middles = step * np.arange(len(counts))
    return (counts / counts.sum()) @ _bumps(middles, middles, bandwidth)


def _not_shared_out(counts, step, bandwidth):
    """the area is the number of scores, not 1: divide the counts by their sum"""
    return counts.sum() * _binned(counts, step, bandwidth)


def _kernel_of_sum_one(counts, step, bandwidth):
    """the kernel adds up to 1, so this is a share for each bin: divide by the step for a density"""
    return step * _binned(counts, step, bandwidth)


def _width_in_bins(counts, step, bandwidth):
    """the distances are counted in bins, the bandwidth is not: multiply them by the step"""
    return _binned(counts, 1.0, bandwidth)


def _not_smoothed(counts, step, bandwidth):
    """this is the histogram itself, not smoothed: let every bin reach the others through the Gaussian"""
    return counts / counts.sum() / step


def _too_long(counts, step, bandwidth):
    """the convolution is longer than the counts: keep the part whose middle is the bins' own, one value for each bin"""
    return np.convolve(counts / counts.sum(), _kernel(len(counts), step, bandwidth))


def _cut_off(counts, step, bandwidth):
    """the convolution begins too early: entry i belongs to bin i, so start where the kernel's middle meets bin 0"""
    return _too_long(counts, step, bandwidth)[: len(counts)]


def _same(counts, step, bandwidth):
    """mode="same" gives as many values as the longer of the two, the kernel: mode="valid" gives one for each bin"""
    return np.convolve(counts / counts.sum(), _kernel(len(counts), step, bandwidth), mode="same")


def _kernel_of_height_one(counts, step, bandwidth):
    """the kernel's height is 1, so the area is not: divide it by bandwidth * sqrt(2 pi)"""
    return _binned(counts, step, bandwidth) * bandwidth * ROOT


def _divided_by_bins(counts, step, bandwidth):
    """the counts are divided by the number of bins: divide by the number of scores, their sum"""
    return _binned(counts, step, bandwidth) * counts.sum() / len(counts)


def _bounded_case(n, bandwidth):
    samples = np.random.default_rng(n).exponential(0.3, n)
    # No point of the grid is 0, where the density jumps: both its values would be right there.
    return samples, np.linspace(-1.03, 3.0, 2 * n + 1), bandwidth


def _reflected(samples, grid, bandwidth):
    return kde(samples, grid, bandwidth, bounds=(0.0, math.inf))


def _leaking(samples, grid, bandwidth):
    """there is density below 0: what leaked there has to be added to what lies above"""
    return kde(samples, grid, bandwidth)


def _chopped(samples, grid, bandwidth):
    """what leaked is cut off and lost, so the area is below 1: add the density of the mirrored samples"""
    return np.where(grid >= 0, kde(samples, grid, bandwidth), 0.0)


def _mirrored_and_halved(samples, grid, bandwidth):
    """samples and mirror images share one density, so half of the area went below 0: double what is above"""
    return _reflected(samples, grid, bandwidth) / 2


def _mirrored_not_chopped(samples, grid, bandwidth):
    """the mirror image is added, but what lies below 0 is still there: set it to 0"""
    return kde(samples, grid, bandwidth) + kde(-samples, grid, bandwidth)


def _rescaled(samples, grid, bandwidth):
    """what leaked is spread over the whole density, too little of it near 0: put it back where it leaked, mirrored"""
    leaked = np.array([math.erfc(x / bandwidth / math.sqrt(2)) / 2 for x in samples]).mean()
    return _chopped(samples, grid, bandwidth) / (1 - leaked)


def _doubled(samples, grid, bandwidth):
    """everything above 0 is doubled, but each sample leaks by its own distance from 0: add the mirror image instead"""
    return 2 * _chopped(samples, grid, bandwidth)


def _mirrored_grid(samples, grid, bandwidth):
    """the density above 0 is drawn once more below it: nothing may be left there, and what leaked belongs above"""
    return kde(samples, np.abs(grid), bandwidth)


def _level_below(samples, grid, bandwidth):
    """below 0 the density keeps its value at 0: it has to be 0 there, and what leaked belongs above"""
    return kde(samples, np.maximum(grid, 0.0), bandwidth)


def _merge_case(n_texts, n_bins, step):
    random = np.random.default_rng(n_texts)
    sizes = np.arange(1, n_texts + 1) ** 3
    return random.poisson(2.0 * sizes[:, None] * random.random((n_texts, n_bins)) + 0.5), step


def _merged(counts, step):
    return counts.sum(0) / counts.sum() / step


def _mean_of_densities(counts, step):
    """the texts' densities are averaged, so that a short text weighs as much as a long one: add up the counts first"""
    return (counts / counts.sum(1, keepdims=True) / step).mean(0)


def _share_of_each_bin(counts, step):
    """these are shares, one for each bin: divide by the step, so that the area is 1"""
    return counts.sum(0) / counts.sum()


def _counts_only(counts, step):
    """these are counts, and the area is the number of scores: divide by their sum and by the step"""
    return counts.sum(0)


def _one_per_text(counts, step):
    """one density for each text: add the texts' counts up over axis 0, then divide"""
    return counts / counts.sum(1, keepdims=True) / step


def _divided_by_texts(counts, step):
    """the sum of the counts is divided by the number of texts: divide by the number of scores in all of them"""
    return counts.sum(0) / len(counts) / step


def _sum_for_each_text(counts, step):
    """one number for each text: add up over axis 0, the texts, and keep the bins"""
    return counts.sum(1) / counts.sum() / step


def _times_step(counts, step):
    """the shares are multiplied by the step: a density is the share divided by the width of its bin"""
    return counts.sum(0) / counts.sum() * step


def _peak_of_one(counts, step):
    """the highest bin is set to 1: it is the area, the sum times the step, that has to be 1"""
    return counts.sum(0) / counts.sum(0).max()


def _cumulated(counts, step):
    """these are the shares up to each bin, which grow to 1: leave the cumulative sum out, and divide by the step"""
    return counts.sum(0).cumsum() / counts.sum()


def _score(samples, bandwidth):
    return float(cross_validation_scores(samples, np.array(bandwidth)))


def _parts(samples, bandwidth):
    """The integral of the squared density, the Gaussians (sample, sample), and the number of samples."""
    square = _bumps(samples, samples, bandwidth * math.sqrt(2)).mean()
    return square, _bumps(samples, samples, bandwidth), len(samples)


def _with_itself(samples, bandwidth):
    """each sample counts itself among the others, so the narrowest bandwidth always wins: leave the diagonal out"""
    square, bumps, _ = _parts(samples, bandwidth)
    return square - 2 * bumps.mean()


def _others_over_n(samples, bandwidth):
    """the others of a sample are n - 1, not n: divide the sum without the diagonal by n (n - 1)"""
    square, bumps, n = _parts(samples, bandwidth)
    return square - 2 * (bumps.sum() - np.trace(bumps)) / n**2


def _once(samples, bandwidth):
    """the mean density from the others counts twice: (f - g)**2 has the middle term -2 f g"""
    square, bumps, n = _parts(samples, bandwidth)
    return square - (bumps.sum() - np.trace(bumps)) / (n * (n - 1))


def _same_width(samples, bandwidth):
    """the squared density's integral: two Gaussians, multiplied and integrated, give one sqrt(2) times as wide"""
    _, bumps, n = _parts(samples, bandwidth)
    return bumps.mean() - 2 * (bumps.sum() - np.trace(bumps)) / (n * (n - 1))


def _upside_down(samples, bandwidth):
    """the sign is turned round: the lowest score has to be the best"""
    return -_score(samples, bandwidth)


def _of_the_logarithm(samples, bandwidth):
    """this is the cross-validated likelihood, with logarithms: the formula asks for squared distances"""
    _, bumps, n = _parts(samples, bandwidth)
    return -np.log((bumps.sum(1) - np.diag(bumps)) / (n - 1)).mean()


def _second_term_alone(samples, bandwidth):
    """the integral of the squared density is missing, so the narrowest bandwidth is not held back: add it"""
    square, _, _ = _parts(samples, bandwidth)
    return _score(samples, bandwidth) - square


def _added(samples, bandwidth):
    """the two terms are added: what the others predict at a sample lowers the score, so subtract it"""
    square, _, _ = _parts(samples, bandwidth)
    return 2 * square - _score(samples, bandwidth)


def _pairs_with_others_only(samples, bandwidth):
    """the first term leaves a sample's pair with itself out: there i = j counts, only in the second term it does not"""
    square, _, n = _parts(samples, bandwidth)
    others = (n * square - 1 / (bandwidth * math.sqrt(2) * ROOT)) / (n - 1)
    return _score(samples, bandwidth) - square + others


EXERCISES = {
    "6.1": Exercise(
        answer=kde,
        cases=((_samples(5), np.linspace(-6, 10, 7), 0.8), (_samples(12), np.linspace(-8, 12, 9), 2.5)),
        mistakes=(
            _sum_not_mean,
            _without_width,
            _without_root,
            _without_half,
            _variance_for_width,
            _one_per_sample,
            _over_one_less,
            _nearest_only,
            _root_of_pi,
        ),
    ),
    "6.2": Exercise(
        answer=_scott,
        cases=((_samples(2),), (_samples(7),), (40 * _samples(60),)),
        mistakes=(
            _silverman,
            _population,
            _power_alone,
            _without_brackets,
            _variance,
            _growing,
            _standard_error,
            _normal_reference,
            _with_quartiles,
        ),
    ),
    "6.3": Exercise(
        answer=_binned,
        cases=(_counts_case(9, 0.5, 0.7), _counts_case(14, 2.0, 3.0)),
        mistakes=(
            _not_shared_out,
            _kernel_of_sum_one,
            _width_in_bins,
            _not_smoothed,
            _too_long,
            _cut_off,
            _same,
            _kernel_of_height_one,
            _divided_by_bins,
        ),
    ),
    "6.4": Exercise(
        answer=_reflected,
        cases=(_bounded_case(4, 0.1), _bounded_case(9, 0.3)),
        mistakes=(
            _leaking,
            _chopped,
            _mirrored_and_halved,
            _mirrored_not_chopped,
            _rescaled,
            _doubled,
            _mirrored_grid,
            _level_below,
        ),
    ),
    "6.5": Exercise(
        answer=_merged,
        cases=(_merge_case(2, 5, 0.5), _merge_case(3, 4, 4.0)),
        mistakes=(
            _mean_of_densities,
            _share_of_each_bin,
            _counts_only,
            _one_per_text,
            _divided_by_texts,
            _sum_for_each_text,
            _times_step,
            _peak_of_one,
            _cumulated,
        ),
    ),
    "6.6": Exercise(
        answer=_score,
        cases=((_samples(4), 0.5), (_samples(11), 1.2), (_samples(30), 3.0)),
        mistakes=(
            _with_itself,
            _others_over_n,
            _once,
            _same_width,
            _upside_down,
            _of_the_logarithm,
            _second_term_alone,
            _added,
            _pairs_with_others_only,
        ),
        tolerance=1e-4,
    ),
}
