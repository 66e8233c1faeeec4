"""Lesson 6: sums of Gaussians, their bandwidth, which hills to believe, where they leak, and counts that add up."""

import math
from functools import cache

import numpy as np

from headlab.density import choose_bandwidth, cross_validation_scores, fast_kde, kde, mode_tree, peaks
from headlab.exercises.engine import Exercise

ROOT = math.sqrt(2 * math.pi)


def _samples(n, seed=0):
    random = np.random.default_rng([n, seed])
    return np.where(random.random(n) < 0.3, 6.0, -2.0) + random.normal(size=n)


def _bumps(samples, grid, bandwidth):
    """One Gaussian per sample, (grid, sample), each of area 1."""
    return np.exp(-0.5 * ((grid[:, None] - samples) / bandwidth) ** 2) / (bandwidth * ROOT)


def _sum_not_mean(samples, grid, bandwidth):
    """the area is the number of samples, not 1: take the mean of the Gaussians, not their sum"""
    return _bumps(samples, grid, bandwidth).sum(1)


def _without_width(samples, grid, bandwidth):
    """the height does not fall as the Gaussians widen: divide by the bandwidth, or the area will not be 1"""
    return bandwidth * kde(samples, grid, bandwidth)


def _without_root(samples, grid, bandwidth):
    """the area is 2.5, not 1: divide by sqrt(2 pi) too"""
    return ROOT * kde(samples, grid, bandwidth)


def _without_half(samples, grid, bandwidth):
    """the half in the exponent is missing: use exp(-z**2 / 2), where z is the distance in bandwidths"""
    return np.exp(-(((grid[:, None] - samples) / bandwidth) ** 2)).mean(1) / (bandwidth * ROOT)


def _variance_for_width(samples, grid, bandwidth):
    """the exponent divides by the bandwidth and not by its square: divide the distance by the bandwidth, then square"""
    return np.exp(-0.5 * (grid[:, None] - samples) ** 2 / bandwidth).mean(1) / (bandwidth * ROOT)


def _one_per_sample(samples, grid, bandwidth):
    """this is one number for each sample: average over the samples, to get one for each point of the grid"""
    return _bumps(samples, grid, bandwidth).mean(0)


def _over_one_less(samples, grid, bandwidth):
    """the sum is divided by n - 1, so the area is above 1: divide it by n"""
    return _bumps(samples, grid, bandwidth).sum(1) / (len(samples) - 1)


def _nearest_only(samples, grid, bandwidth):
    """only the nearest sample counts at each point: take the mean of all the Gaussians, not the maximum"""
    return _bumps(samples, grid, bandwidth).max(1)


def _root_of_pi(samples, grid, bandwidth):
    """a 2 is missing under the root, so the area is 1.4: divide by bandwidth * sqrt(2 pi)"""
    return math.sqrt(2) * kde(samples, grid, bandwidth)


def _height_one(samples, grid, bandwidth):
    """each Gaussian has the height 1: divide by bandwidth * sqrt(2 pi) to make its area 1"""
    return bandwidth * ROOT * kde(samples, grid, bandwidth)


def _sum_of_height_one(samples, grid, bandwidth):
    """these Gaussians of height 1 are only added: take their mean, and divide it by bandwidth * sqrt(2 pi)"""
    return len(samples) * _height_one(samples, grid, bandwidth)


def _root_multiplied(samples, grid, bandwidth):
    """in a / b * c Python divides by b alone: put bandwidth * sqrt(2 pi) in brackets"""
    return 2 * math.pi * kde(samples, grid, bandwidth)


def _width_multiplied(samples, grid, bandwidth):
    """in a / 2 * b Python divides by 2 alone: put 2 * bandwidth**2 in brackets"""
    return kde(samples, grid, 1 / bandwidth) / bandwidth**2


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
    """the distances are counted in bins, the bandwidth is not: multiply the distances by the step"""
    return _binned(counts, 1.0, bandwidth)


def _not_smoothed(counts, step, bandwidth):
    """this is the histogram itself, not smoothed: let every bin reach the others through the Gaussian"""
    return counts / counts.sum() / step


def _too_long(counts, step, bandwidth):
    """the convolution is longer than the counts: keep one value for each bin, as mode="valid" does"""
    return np.convolve(counts / counts.sum(), _kernel(len(counts), step, bandwidth))


def _cut_off(counts, step, bandwidth):
    """the convolution starts too early: entry i belongs to bin i, so start where the kernel's middle meets bin 0"""
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


def _step_divided_too(counts, step, bandwidth):
    """the shares are divided by the step, but a sum of Gaussians of area 1 is a density already: leave the step out"""
    return _binned(counts, step, bandwidth) / step


def _bounded_case(n, bandwidth):
    samples = np.random.default_rng(n).exponential(0.3, n)
    # No point of the grid is 0, where the density jumps: both its values would be right there.
    return samples, np.linspace(-1.03, 3.0, 2 * n + 1), bandwidth


def _reflected(samples, grid, bandwidth):
    return kde(samples, grid, bandwidth, bounds=(0.0, math.inf))


def _leaking(samples, grid, bandwidth):
    """there is density below 0: add it, mirrored, to what lies above, and set it to 0"""
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
    """what leaked is spread over the whole density: add it near 0, where it leaked, as a mirror image"""
    leaked = np.array([math.erfc(x / bandwidth / math.sqrt(2)) / 2 for x in samples]).mean()
    return _chopped(samples, grid, bandwidth) / (1 - leaked)


def _rescaled_on_the_grid(samples, grid, bandwidth):
    """the density is divided by its area: add what leaked near 0, where it leaked, as a mirror image"""
    chopped = _chopped(samples, grid, bandwidth)
    return chopped / np.trapezoid(chopped, grid)


def _doubled(samples, grid, bandwidth):
    """everything above 0 is doubled, but only samples near 0 leak: add the mirror image instead"""
    return 2 * _chopped(samples, grid, bandwidth)


def _mirrored_grid(samples, grid, bandwidth):
    """the density above 0 is repeated below it: set it to 0 there, and add what leaked to what lies above"""
    return kde(samples, np.abs(grid), bandwidth)


def _level_below(samples, grid, bandwidth):
    """below 0 the density keeps its value at 0: set it to 0 there, and add what leaked to what lies above"""
    return kde(samples, np.maximum(grid, 0.0), bandwidth)


def _merge_case(n_texts, n_bins, step):
    random = np.random.default_rng(n_texts)
    sizes = np.arange(1, n_texts + 1) ** 3
    return random.poisson(2.0 * sizes[:, None] * random.random((n_texts, n_bins)) + 0.5), step


def _merged(counts, step):
    return counts.sum(0) / counts.sum() / step


def _mean_of_densities(counts, step):
    """the texts' densities are averaged, so a short text weighs as much as a long one: sum the counts first"""
    return (counts / counts.sum(1, keepdims=True) / step).mean(0)


def _share_of_each_bin(counts, step):
    """these are shares, one for each bin: divide by the step to make the area 1"""
    return counts.sum(0) / counts.sum()


def _counts_only(counts, step):
    """these are counts, and the area is the number of scores: divide by their sum and by the step"""
    return counts.sum(0)


def _by_step_alone(counts, step):
    """the counts are divided by the step alone, so the area is the number of scores: divide by their sum too"""
    return counts.sum(0) / step


def _sum_of_densities(counts, step):
    """the texts' densities are added, so the area is the number of texts: sum the counts first"""
    return (counts / counts.sum(1, keepdims=True) / step).sum(0)


def _one_per_text(counts, step):
    """this is one density for each text: sum the texts' counts over axis 0, then divide"""
    return counts / counts.sum(1, keepdims=True) / step


def _divided_by_texts(counts, step):
    """the sum of the counts is divided by the number of texts: divide by the number of scores in all of them"""
    return counts.sum(0) / len(counts) / step


def _sum_for_each_text(counts, step):
    """this is one number for each text: sum over axis 0, the texts, and keep the bins"""
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
    """each sample counts itself among the others: set the diagonal of the second term's Gaussians to 0"""
    square, bumps, _ = _parts(samples, bandwidth)
    return square - 2 * bumps.mean()


def _others_over_n(samples, bandwidth):
    """each sample has n - 1 others, not n: divide the sum without the diagonal by n (n - 1)"""
    square, bumps, n = _parts(samples, bandwidth)
    return square - 2 * (bumps.sum() - np.trace(bumps)) / n**2


def _counted_once(samples, bandwidth):
    """the second term is half as large as it should be: it has a factor of 2, and i, j and j, i both count"""
    square, bumps, n = _parts(samples, bandwidth)
    return square - (bumps.sum() - np.trace(bumps)) / (n * (n - 1))


def _same_width(samples, bandwidth):
    """the first term's Gaussians are too narrow: use the standard deviation sqrt(2) * bandwidth"""
    _, bumps, n = _parts(samples, bandwidth)
    return bumps.mean() - 2 * (bumps.sum() - np.trace(bumps)) / (n * (n - 1))


def _twice_the_width(samples, bandwidth):
    """the first term's Gaussians are too wide: use the standard deviation sqrt(2) * bandwidth"""
    square, _, _ = _parts(samples, bandwidth)
    return _score(samples, bandwidth) - square + _bumps(samples, samples, 2 * bandwidth).mean()


def _zero_distances(samples, bandwidth):
    """each sample counts itself among the others: set the diagonal of the Gaussians to 0, not that of the distances"""
    square, bumps, n = _parts(samples, bandwidth)
    return square - 2 * bumps.sum() / (n * (n - 1))


def _sums_over_others(samples, bandwidth):
    """the density from the others is their sum, not their mean: divide by n - 1 too"""
    square, _, n = _parts(samples, bandwidth)
    return square - (n - 1) * (square - _score(samples, bandwidth))


def _upside_down(samples, bandwidth):
    """the sign is reversed: take the first term minus the second, so that the lowest score is the best"""
    return -_score(samples, bandwidth)


def _of_the_logarithm(samples, bandwidth):
    """this is the cross-validated likelihood, with logarithms: use the formula of the exercise, which has none"""
    _, bumps, n = _parts(samples, bandwidth)
    return -np.log((bumps.sum(1) - np.diag(bumps)) / (n - 1)).mean()


def _second_term_alone(samples, bandwidth):
    """the integral of the squared density is missing, so nothing penalises the narrowest bandwidth: add it"""
    square, _, _ = _parts(samples, bandwidth)
    return _score(samples, bandwidth) - square


def _added(samples, bandwidth):
    """the two terms are added: what the others predict at a sample lowers the score, so subtract it"""
    square, _, _ = _parts(samples, bandwidth)
    return 2 * square - _score(samples, bandwidth)


def _pairs_with_others_only(samples, bandwidth):
    """the first term leaves out the pairs i = j: they count there, but not in the second term"""
    square, _, n = _parts(samples, bandwidth)
    others = (n * square - 1 / (bandwidth * math.sqrt(2) * ROOT)) / (n - 1)
    return _score(samples, bandwidth) - square + others


# 6.2: a bandwidth, and the range in which the density keeps its hills


def _normal(x, mean, std):
    return np.exp(-0.5 * ((x - mean) / std) ** 2) / (std * ROOT)


# What the samples were drawn from: (share, mean, standard deviation) of each cluster.
TRUTHS = (((0.85, -20, 8), (0.15, 15, 3)), ((1.0, -6, 4),), ((0.75, -4.5, 1.25), (0.25, 1.0, 0.375)))
STEPS = 80  # from a quarter of a bandwidth to four times it
EXCUSED = 2.0  # times the least possible squared error
OFF = 0.15  # of an end of the range


def _drawn_from(clusters, n):
    random = np.random.default_rng([n, len(clusters)])
    shares, means, stds = np.array(clusters).T
    of = random.choice(len(clusters), n, p=shares)
    return (random.normal(means[of], stds[of]),)


def _squared_error(samples, clusters, bandwidth):
    _, means, stds = np.array(clusters).T
    grid = np.linspace((means - 6 * stds).min(), (means + 6 * stds).max(), 441)
    truth = sum(share * _normal(grid, mean, std) for share, mean, std in clusters)
    return np.trapezoid((kde(samples, grid, bandwidth) - truth) ** 2, grid)


def _n_hills(samples, bandwidth):
    return len(peaks(*fast_kde(samples, bandwidth=bandwidth)))


def _ranged(samples, bandwidth, least=0.05):
    """Lowest and highest bandwidth up to which the number of hills stays; least: the height of a hill, not a ripple."""
    return _cached_range(np.asarray(samples).tobytes(), float(bandwidth), least)


@cache
def _cached_range(samples, bandwidth, least):
    widths = bandwidth * np.geomspace(1 / 4, 4, STEPS + 1)
    hills = [len(found) for found in mode_tree(np.frombuffer(samples), widths, least)]
    changes = [place for place, number in enumerate(hills) if number != hills[STEPS // 2]]
    low = max((place for place in changes if place < STEPS // 2), default=-1) + 1
    high = min((place for place in changes if place > STEPS // 2), default=STEPS + 1) - 1
    return widths[low], widths[high]


def _defended(samples):
    bandwidth = choose_bandwidth(samples, "sheather-jones")
    return bandwidth, *_ranged(samples, bandwidth)


def _defended_scott(samples):
    """Scott's bandwidth is far too wide where scores form two clusters: take another rule of section 4"""
    bandwidth = choose_bandwidth(samples)
    return bandwidth, *_ranged(samples, bandwidth)


def _defended_silverman(samples):
    """Silverman's bandwidth is far too wide where scores form two clusters: take another rule of section 4"""
    bandwidth = choose_bandwidth(samples, "silverman")
    return bandwidth, *_ranged(samples, bandwidth)


def _defended_fixed(samples):
    """this is one bandwidth for every sample: let the sample decide"""
    return 2.5, *_ranged(samples, 2.5)


def _low_first(samples):
    """the order is your bandwidth, then the lowest, then the highest of the range"""
    bandwidth, low, high = _defended(samples)
    return low, bandwidth, high


def _high_before_low(samples):
    """the highest comes before the lowest: return your bandwidth, the lowest, the highest"""
    bandwidth, low, high = _defended(samples)
    return bandwidth, high, low


def _factors(samples):
    """these are factors, not bandwidths: multiply the ends of the range by your bandwidth"""
    bandwidth, low, high = _defended(samples)
    return bandwidth, low / bandwidth, high / bandwidth


def _no_range(samples):
    """the range has no width: walk from your bandwidth, down and up, until the number of hills changes"""
    return (choose_bandwidth(samples, "sheather-jones"),) * 3


def _all_looked_at(samples):
    """this is the whole range that was searched: stop where the number of hills changes"""
    bandwidth = choose_bandwidth(samples, "sheather-jones")
    return bandwidth, bandwidth / 4, 4 * bandwidth


def _with_ripples(samples):
    """every ripple counts as a hill: count with `peaks`, which leaves out what rises by less than 5% of the highest"""
    bandwidth = choose_bandwidth(samples, "sheather-jones")
    return bandwidth, *_ranged(samples, bandwidth, 1e-6)


def _undefended(results, cases):
    """What is wrong with (bandwidth, lowest, highest) for each sample, or None."""
    for number, (result, (samples,), clusters) in enumerate(zip(results, cases, TRUTHS, strict=True), 1):
        try:
            bandwidth, low, high = (float(value) for value in result)
        except (TypeError, ValueError):
            return "return three numbers: your bandwidth, the lowest and the highest of the range"
        if not 0 < low <= bandwidth <= high < math.inf:
            told = f"your range, {low:.3g} to {high:.3g}, does not hold your bandwidth, {bandwidth:.3g}"
            return f"sample {number}: {told}. Return the bandwidth, the lowest and the highest, all above 0"
        tried = choose_bandwidth(samples, "sheather-jones") * np.geomspace(1 / 4, 4, 33)
        errors = [_squared_error(samples, clusters, width) for width in tried]
        ratio = _squared_error(samples, clusters, bandwidth) / min(errors)
        if not ratio <= EXCUSED:
            side, other = ("wide", "narrower") if bandwidth > tried[np.argmin(errors)] else ("narrow", "wider")
            told = f"{bandwidth:.3g} is too {side}, its squared error is {ratio:.3g} times the least possible"
            return f"sample {number}: {told}: choose a {other} one"
        ends = zip(("down", "up"), ("lowest", "highest"), (low, high), _ranged(samples, bandwidth), strict=True)
        for way, name, end, right in ends:
            if abs(math.log(end / right)) > math.log(1 + OFF):
                hills = _n_hills(samples, bandwidth)
                found = f"the density keeps its {hills} hill{'s' * (hills > 1)} {way} to about {right:.2g}"
                return f"sample {number}: from {bandwidth:.3g} {found}, but your {name} is {end:.3g}"
    return None


# 6.3: which hill is real


def _head(kind, seed):
    """Made-up scores (text, n) of a head."""
    random, size = np.random.default_rng([seed, 6]), (10, 40)
    second = random.random(size)
    scores = {
        "two hills": np.where(second < 0.3, random.normal(12, 3, size), random.normal(-15, 6, size)),
        "sharp": np.where(second < 0.2, random.normal(4, 1, size), random.normal(-14, 6, size)),
        "close": np.where(second < 0.5, random.normal(-2, 2, size), random.normal(-11, 2, size)),
        "one": random.normal(-8, 5, size),
        "skewed": random.exponential(6, size) - 10,
    }[kind]
    if kind == "close":  # and a few far away, which make the spread large
        scores = np.where(random.random(size) < 0.06, random.uniform(-90, 90, size), scores)
    return scores


def _odd_text():
    scores = np.random.default_rng([2, 6]).normal(-15, 4, (10, 40))
    scores[3] += 25
    return scores


@cache
def _cached_verdict(samples, factors, with_texts):
    """Whether there are two hills at all these multiples of Sheather and Jones's bandwidth and in most resamples."""
    samples = np.frombuffer(samples).reshape(10, 40)
    bandwidth = choose_bandwidth(samples, "sheather-jones")
    there = all(_n_hills(samples, factor * bandwidth) > 1 for factor in factors)
    if not (there and with_texts):
        return there
    draws = np.random.default_rng(0).integers(10, size=(50, 10))
    return bool(np.mean([_n_hills(samples[drawn], bandwidth) > 1 for drawn in draws]) > 0.9)


def _real_hill(samples):
    return _cached_verdict(samples.tobytes(), (1.0, 1.5), True)


def _under_scott(samples):
    """a few far scores widen Scott's bandwidth, and one odd text fools it: use Sheather-Jones, and draw texts anew"""
    return _n_hills(samples, "scott") > 1


def _once(samples):
    """hills pass that one narrow bandwidth or one text makes: test a wider bandwidth, and draw whole texts anew"""
    return _cached_verdict(samples.tobytes(), (1.0,), False)


def _under_cross_validation(samples):
    """cross-validation may see many hills where there is one: use Sheather-Jones, and test a wider bandwidth too"""
    return _n_hills(samples, "cross-validation") > 1


def _too_narrow(samples):
    """half of the Sheather-Jones bandwidth turns single scores into hills: test the whole and 1.5 times it"""
    return _cached_verdict(samples.tobytes(), (0.5,), False)


def _one_odd_text(samples):
    """a hill made by a single text passes: draw whole texts, not scores, and ask for it in nearly all of the draws"""
    return _cached_verdict(samples.tobytes(), (1.0, 1.5), False)


def _one_bandwidth(samples):
    """a hill passes that only narrow bandwidths show: ask for it at 1.5 times the Sheather-Jones bandwidth too"""
    return _cached_verdict(samples.tobytes(), (1.0,), True)


def _too_wide(samples):
    """four times the Sheather-Jones bandwidth hides real hills: test up to 1.5 times it"""
    return _cached_verdict(samples.tobytes(), (4.0,), True)


def _always(samples):
    """you believe every hill: test each one with other bandwidths and other texts"""
    return True


def _never(samples):
    """you believe none: return True for a hill that wider bandwidths and other texts show too"""
    return False


def _doubted(samples):
    """the answers are swapped: return True for a hill that you would publish"""
    return not _real_hill(samples)


# 6.6: the mean that misleads most


def _heads_case(seed):
    """Scores (head, n): one with two far hills, and others that are wide, skewed, far from zero or have close hills."""
    random = np.random.default_rng([seed, 66])
    kinds = [
        np.repeat([-20.0, 5.0], [195, 105]) + random.normal(0, 4.5, 300),  # the answer: its median lies in a hill
        random.normal(-4, 120, 300),  # the widest
        random.exponential(45, 300) - 14,  # mean and median differ
        np.where(random.random(300) < 0.4, random.normal(-20, 3, 300), random.normal(-9, 3, 300)),
        random.normal(40, 2, 300),  # far from zero
        np.concatenate([random.normal(-6, 4, 298), [-600, 600]]),  # the longest range
        np.repeat([-30.0, -18.0, -6.0, 6.0, 18.0], 60) + random.normal(0, 1.5, 300),  # the most hills
        random.normal(-5, 1, 300),  # the highest peak
    ]
    return (np.stack([kinds[place] for place in random.permutation(len(kinds))]),)


def _at(points, scores):
    """The density of each head at its point, as a share of its highest."""
    return np.array([kde(s, x, _solved(s)[0]) / _solved(s)[1] for s, x in zip(scores, points, strict=True)])


def _solved(sample):
    """Sheather and Jones's bandwidth of a sample, its highest density and its number of hills."""
    return _cached_solution(sample.tobytes())


@cache
def _cached_solution(sample):
    sample = np.frombuffer(sample)
    bandwidth = choose_bandwidth(sample, "sheather-jones")
    curve = fast_kde(sample, bandwidth=bandwidth)
    return bandwidth, curve[1].max(), len(peaks(*curve))


def _misleading(scores):
    return int(_at(scores.mean(-1), scores).argmin())


def _best_mean(scores):
    """this head's mean describes it best: you want the lowest density at the mean, not the highest"""
    return int(_at(scores.mean(-1), scores).argmax())


def _widest(scores):
    """a wide head has a low density everywhere: divide the density at the mean by the highest of the same head"""
    return int(scores.std(-1).argmax())


def _lowest_share(scores):
    """this is the lowest share itself: return the number of its head"""
    return _at(scores.mean(-1), scores).min()


def _skewed(scores):
    """this head is skewed, but many scores lie near its mean: compute the density there"""
    return int(np.abs(scores.mean(-1) - np.median(scores, -1)).argmax())


def _from_one(scores):
    """you count the heads from 1: the first is number 0"""
    return 1 + _misleading(scores)


def _at_zero(scores):
    """all densities are taken at the same score: compute each at its head's own mean"""
    return int(_at(np.zeros(len(scores)), scores).argmin())


def _most_hills(scores):
    """this head has the most hills, but one of them lies at its mean: compute the density there"""
    return int(np.argmax([_solved(sample)[2] for sample in scores]))


def _highest_peak(scores):
    """this head has the highest density: compare the density at the mean with the highest of the same head"""
    return int(np.argmax([_solved(sample)[1] for sample in scores]))


def _the_density(scores):
    """this is one number for each head: return the number of the head that has the lowest"""
    return _at(scores.mean(-1), scores)


# 6.7: a ridgeline


def made_up_heads():
    """The scores of six made-up heads, {letter: (400,)}, for the ridgeline of exercise 6.7.

    Introduced in lesson 6.

    >>> list(made_up_heads())
    ['A', 'B', 'C', 'D', 'E', 'F']
    """
    random = np.random.default_rng(67)
    two = np.where(random.random(400) < 0.6, random.normal(-22, 3, 400), random.normal(8, 3, 400))
    return {
        "A": random.normal(-5, 14, 400),
        "B": random.exponential(9, 400) - 18,
        "C": two,
        "D": random.normal(2, 1.2, 400),
        "E": random.normal(14, 5, 400),
        "F": random.normal(-12, 1.8, 400),
    }


def _reading():
    return "EACF"


def _highest_ridge():
    """the highest ridge is the narrowest: for the highest median, look for the ridge that lies farthest right"""
    return "DACF"


def _median_of_two():
    """most of C's area is in its left hill, and so is its median: look for the ridge whose middle is farthest right"""
    return "CACF"


def _tail_as_median():
    """B's tail reaches far right, but little area lies in it: look for the ridge whose middle is farthest right"""
    return "BACF"


def _gap_as_spread():
    """C's hills lie apart, but another ridge reaches farther to both sides: look for the lowest one"""
    return "ECCF"


def _tail_as_spread():
    """B has one long tail, but most of its area is close together: look for the lowest ridge"""
    return "EBCF"


def _high_as_wide():
    """all ridges have the same area, so a high one is narrow: look for the lowest ridge"""
    return "EDCF"


def _ripples():
    """A has only ripples with shallow valleys: look for two hills with a deep valley between them"""
    return "EAAF"


def _tail_as_hill():
    """B has one hill that falls off in a tail: look for two hills with a deep valley between them"""
    return "EABF"


def _close_but_positive():
    """D is narrow, but it lies right of the dashed line at zero: look for a narrow ridge left of it"""
    return "EACD"


def _negative_but_wide():
    """much of B is negative, but a tail crosses zero: look for a narrow ridge left of the dashed line"""
    return "EACB"


def _misread(results, cases):
    """Which of the four letters is wrong, or None."""
    given = results[0]
    letters = "".join(given) if isinstance(given, tuple | list) and all(isinstance(x, str) for x in given) else given
    if not isinstance(letters, str) or len(letters) != 4 or not set(letters.upper()) <= set("ABCDEF"):
        return 'return four letters from A to F in one string, such as "ABCD"'
    questions = ("the highest median", "the widest spread", "two clear hills", "negative and close together")
    wrong = [q for q, x, right in zip(questions, letters.upper(), _reading(), strict=True) if x != right]
    return f"look again for: {', '.join(wrong)}" if wrong else None


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
            _height_one,
            _sum_of_height_one,
            _root_multiplied,
            _width_multiplied,
        ),
    ),
    "6.2": Exercise(
        answer=_defended,
        cases=tuple(_drawn_from(clusters, 250) for clusters in TRUTHS),
        mistakes=(
            _defended_scott,
            _defended_silverman,
            _defended_fixed,
            _low_first,
            _high_before_low,
            _factors,
            _no_range,
            _all_looked_at,
            _with_ripples,
        ),
        wrong=_undefended,
    ),
    "6.3": Exercise(
        answer=_real_hill,
        cases=(
            (_head("two hills", 0),),
            (_head("one", 6),),
            (_odd_text(),),
            (_head("skewed", 0),),
            (_head("sharp", 4),),
            (_head("close", 0),),
            (_head("one", 0),),
        ),
        mistakes=(
            _under_scott,
            _once,
            _under_cross_validation,
            _too_narrow,
            _one_odd_text,
            _one_bandwidth,
            _too_wide,
            _always,
            _never,
            _doubted,
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
            _rescaled_on_the_grid,
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
            _by_step_alone,
            _sum_of_densities,
            _one_per_text,
            _divided_by_texts,
            _sum_for_each_text,
            _times_step,
            _peak_of_one,
            _cumulated,
        ),
    ),
    "6.6": Exercise(
        answer=_misleading,
        cases=tuple(_heads_case(seed) for seed in range(2)),
        mistakes=(
            _best_mean,
            _widest,
            _skewed,
            _from_one,
            _at_zero,
            _lowest_share,
            _most_hills,
            _highest_peak,
            _the_density,
        ),
    ),
    "6.7": Exercise(
        answer=_reading,
        cases=((),),
        mistakes=(
            _highest_ridge,
            _median_of_two,
            _tail_as_median,
            _gap_as_spread,
            _tail_as_spread,
            _high_as_wide,
            _ripples,
            _tail_as_hill,
            _close_but_positive,
            _negative_but_wide,
        ),
        wrong=_misread,
    ),
    "6.8": Exercise(
        answer=_score,
        cases=((_samples(4), 0.5), (_samples(11), 1.2), (_samples(30), 3.0)),
        mistakes=(
            _with_itself,
            _others_over_n,
            _counted_once,
            _same_width,
            _twice_the_width,
            _zero_distances,
            _sums_over_others,
            _upside_down,
            _of_the_logarithm,
            _second_term_alone,
            _added,
            _pairs_with_others_only,
        ),
        tolerance=1e-4,
    ),
    "6.9": Exercise(
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
            _step_divided_too,
        ),
    ),
}
