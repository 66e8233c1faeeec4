"""Right answers in other styles, and wrong ones that are not among the planted mistakes: see test_answers.py."""

import numpy as np
import torch
from scipy.stats import gaussian_kde, norm

from headlab.density import choose_bandwidth, cross_validation_scores, fast_kde, kde, mode_tree, peaks


def sum_in_a_loop(samples, grid, bandwidth):
    density = np.zeros(len(grid))
    for sample in samples:
        density += norm.pdf(grid, sample, bandwidth) / len(samples)
    return density


def sum_in_torch(samples, grid, bandwidth):
    normal = torch.distributions.Normal(torch.tensor(samples), bandwidth)
    return normal.log_prob(torch.tensor(grid)[:, None]).exp().mean(1)


def sum_by_scipy(samples, grid, bandwidth):
    return gaussian_kde(samples, bandwidth / samples.std(ddof=1))(grid)


def sum_point_by_point(samples, grid, bandwidth):
    return [norm.pdf((x - samples) / bandwidth).sum() / (len(samples) * bandwidth) for x in grid]


def smoothed_bin_by_bin(counts, step, bandwidth):
    density, middles = np.zeros(len(counts)), step * np.arange(len(counts))
    for middle, count in zip(middles, counts, strict=True):
        density += count * norm.pdf(middles, middle, bandwidth)
    return density / counts.sum()


def smoothed_by_repeating(counts, step, bandwidth):
    middles = step * np.arange(len(counts))
    return kde(np.repeat(middles, counts), middles, bandwidth)


def smoothed_by_full(counts, step, bandwidth):
    n = len(counts)
    kernel = norm.pdf(np.arange(-n, n + 1) * step, scale=bandwidth)
    return np.convolve(counts, kernel)[n : 2 * n] / counts.sum()


def smoothed_by_a_table(counts, step, bandwidth):
    places = np.arange(len(counts))
    return norm.pdf(step * (places[:, None] - places), scale=bandwidth) @ (counts / counts.sum())


def reflected_samples(samples, grid, bandwidth):
    return 2 * kde(np.concatenate([samples, -samples]), grid, bandwidth) * (grid >= 0)


def reflected_in_place(samples, grid, bandwidth):
    density = kde(samples, grid, bandwidth)
    density += kde(-samples, grid, bandwidth)
    density[grid < 0] = 0
    return density


def validated_in_a_loop(samples, bandwidth):
    n, total, others = len(samples), 0.0, 0.0
    for i in range(n):
        for j in range(n):
            total += norm.pdf(samples[i] - samples[j], scale=np.sqrt(2) * bandwidth) / n**2
        others += kde(np.delete(samples, i), samples[i : i + 1], bandwidth)[0] / n
    return total - 2 * others


def validated_on_a_grid(samples, bandwidth):
    grid = np.linspace(samples.min() - 8 * bandwidth, samples.max() + 8 * bandwidth, 4001)
    squared = np.trapezoid(kde(samples, grid, bandwidth) ** 2, grid)
    others = [kde(np.delete(samples, i), samples[[i]], bandwidth)[0] for i in range(len(samples))]
    return squared - 2 * np.mean(others)


def validated_with_the_diagonal_taken_away(samples, bandwidth):
    n, table = len(samples), samples[:, None] - samples
    others = norm.pdf(table, scale=bandwidth).sum() - n * norm.pdf(0, scale=bandwidth)
    return norm.pdf(table, scale=2**0.5 * bandwidth).mean() - 2 * others / n / (n - 1)


def validated_in_torch(samples, bandwidth):
    x, n = torch.tensor(samples), len(samples)
    table = (x[:, None] - x).double()
    wide = torch.distributions.Normal(0.0, 2**0.5 * bandwidth).log_prob(table).exp().mean()
    narrow = torch.distributions.Normal(0.0, bandwidth).log_prob(table).exp()
    return wide - 2 * narrow[~torch.eye(n, dtype=torch.bool)].sum() / (n * (n - 1))


def hills(samples, bandwidth):
    return len(peaks(*fast_kde(samples, bandwidth=bandwidth)))


def range_around(samples, h, step=1.05):
    """Walk down and up in steps, with one density for each."""
    low = high = h
    while low / step >= h / 4 and hills(samples, low / step) == hills(samples, h):
        low /= step
    while high * step <= 4 * h and hills(samples, high * step) == hills(samples, h):
        high *= step
    return low, high


def defended_by_validation(samples):
    h = choose_bandwidth(samples, "cross-validation")
    return h, *range_around(samples, h)


def defended_by_a_table_of_scores(samples):
    widths = np.ptp(samples) * np.geomspace(0.003, 0.3, 90)
    h = widths[cross_validation_scores(samples, widths).argmin()]
    return np.array([h, *range_around(samples, h)])


def defended_by_two_thirds_of_the_quartiles(samples):
    """Silverman's robust rule, narrowed: good enough for two clusters that are not too sharp."""
    width = min(samples.std(ddof=1), np.subtract(*np.quantile(samples, [0.75, 0.25])) / 1.34)
    h = 0.6 * width * len(samples) ** -0.2
    return [h, *range_around(samples, h)]


def defended_by_halving(samples):
    h = choose_bandwidth(samples, "sheather-jones")
    ends = []
    for far in (h / 4, 4 * h):
        widths = np.geomspace(h, far, 60)
        same = [len(p) == hills(samples, h) for p in mode_tree(samples, widths)]
        ends.append(widths[same.index(False) - 1] if False in same else far)
    return torch.tensor([h, *ends])


def published(samples, wider=1.5, draws=40, least=0.9, seed=3):
    h = choose_bandwidth(samples, "sheather-jones")
    if hills(samples, h) < 2 or hills(samples, wider * h) < 2:
        return False
    random = np.random.default_rng(seed)
    some = [samples[random.choice(len(samples), len(samples))] for _ in range(draws)]
    return bool(sum(hills(x, h) > 1 for x in some) >= least * draws)


def published_without_any_text(samples):
    """Leave out each text in turn, at two bandwidths."""
    h = choose_bandwidth(samples, "sheather-jones")
    left = [np.delete(samples, text, axis=0) for text in range(len(samples))]
    return min(hills(x, f * h) for x in left for f in (1, 1.5)) > 1


def misleading_in_a_loop(scores):
    best, least = None, 2.0
    for number in range(len(scores)):
        h = choose_bandwidth(scores[number], "sheather-jones")
        grid = np.linspace(scores[number].min(), scores[number].max(), 501)
        curve = kde(scores[number], grid, h)
        share = np.interp(scores[number].mean(), grid, curve) / curve.max()
        if share < least:
            best, least = number, share
    return best


def misleading_by_counting(scores):
    """How many scores lie within three units of the mean, beside the most within three units of any score."""
    near = [(np.abs(x - x.mean()) < 3).sum() / max((np.abs(x - y) < 3).sum() for y in x[::5]) for x in scores]
    return np.argmin(near)


RIGHT = {
    "6.1": (sum_in_a_loop, sum_in_torch, sum_by_scipy, sum_point_by_point),
    "6.9": (smoothed_bin_by_bin, smoothed_by_repeating, smoothed_by_full, smoothed_by_a_table),
    "6.2": (
        defended_by_validation,
        defended_by_a_table_of_scores,
        defended_by_two_thirds_of_the_quartiles,
        defended_by_halving,
    ),
    "6.3": (
        published,
        lambda samples: published(samples, 1.6, 100, 0.95, 8),
        lambda samples: np.bool_(published(samples, draws=20)),
        published_without_any_text,
    ),
    "6.4": (
        reflected_samples,
        reflected_in_place,
        lambda samples, grid, bandwidth: np.where(
            grid > 0, kde(samples, grid, bandwidth) + kde(samples, -grid, bandwidth), 0
        ),
        lambda samples, grid, bandwidth: [
            kde(samples, np.array([x, -x]), bandwidth).sum() if x > 0 else 0.0 for x in grid
        ],
    ),
    "6.5": (
        lambda counts, step: counts.sum(axis=0) / (counts.sum() * step),
        lambda counts, step: [sum(column) / sum(map(sum, counts)) / step for column in counts.T],
        lambda counts, step: (counts / step).sum(0) / counts.sum(),
        lambda counts, step: torch.tensor(counts).sum(0) / torch.tensor(counts).sum() / step,
        lambda counts, step: np.average(counts / counts.sum(1, keepdims=True) / step, axis=0, weights=counts.sum(1)),
    ),
    "6.8": (
        validated_in_a_loop,
        validated_on_a_grid,
        validated_with_the_diagonal_taken_away,
        validated_in_torch,
    ),
    "6.6": (
        misleading_in_a_loop,
        misleading_by_counting,
        lambda scores: torch.tensor(misleading_in_a_loop(scores)),
        lambda scores: np.array([kde(x, x.mean()) / kde(x, x).max() for x in scores]).argmin(),
    ),
    "6.7": (
        lambda: "EACF",
        lambda: "eacf",
        lambda: ("E", "A", "C", "F"),
        lambda: ["E", "a", "C", "F"],
    ),
}


def letters(word):
    return lambda: word


def ranged(factor_low, factor_high, factor=1.0):
    """The range of Sheather and Jones's bandwidth, or of a multiple of it, with its ends moved."""

    def answer(samples):
        h = factor * choose_bandwidth(samples, "sheather-jones")
        low, high = range_around(samples, h)
        return h, low * factor_low, high * factor_high

    return answer


def by_hills(condition):
    """A verdict from the number of hills at multiples of Sheather and Jones's bandwidth."""

    def answer(samples):
        h = choose_bandwidth(samples, "sheather-jones")
        return bool(condition(lambda factor: hills(samples, factor * h)))

    return answer


WRONG = {
    "6.2": (
        ranged(1.4, 1.0),
        ranged(0.7, 1.0),
        ranged(1.0, 1.3),
        ranged(1.0, 0.7),
        ranged(1.0, 1.0, 3.0),
        ranged(1.0, 1.0, 0.3),
        lambda samples: choose_bandwidth(samples, "sheather-jones"),
        lambda samples: range_around(samples, choose_bandwidth(samples, "sheather-jones")),
        lambda samples: "narrow",
        lambda samples: (np.nan,) * 3,
        lambda samples: (-1.0, -2.0, 3.0),
        lambda samples: (1.0, 1.0, np.inf),
        lambda samples: (1.5, *range_around(samples, 1.5)),
        lambda samples: (2.0, *range_around(samples, 2.0)),
    ),
    "6.3": (
        by_hills(lambda at: at(1) == 2),
        by_hills(lambda at: at(2) > 1),
        by_hills(lambda at: at(3) > 1),
        by_hills(lambda at: at(0.5) == 2),
        by_hills(lambda at: at(1) > at(1.5)),
        by_hills(lambda at: at(1) == at(1.5)),
        lambda samples: samples.mean() < 0,
        lambda samples: bool(hills(samples.mean(1), "scott") > 1),
        lambda samples: bool(np.mean([hills(x, "scott") for x in samples]) > 1.2),
        lambda samples: hills(samples, "sheather-jones"),
    ),
    "6.6": (
        lambda scores: 0,
        lambda scores: int(scores.mean(-1).argmax()),
        lambda scores: int(scores.mean(-1).argmin()),
        lambda scores: int(scores.std(-1).argmin()),
        lambda scores: int((scores < 0).mean(-1).argmax()),
        lambda scores: int(np.ptp(scores, axis=-1).argmax()),
        lambda scores: int(np.ptp(scores, axis=-1).argmin()),
        lambda scores: len(scores) - 1,
        lambda scores: scores.mean(-1),
        lambda scores: -misleading_in_a_loop(scores) - 1,
        lambda scores: int(np.argmin([kde(x, np.median(x)) / kde(x, x).max() for x in scores])),
        lambda scores: int(np.argmin([kde(x, x.mean(), choose_bandwidth(x, "sheather-jones")) for x in scores])),
        lambda scores: int(np.argmax([abs(x.mean() - x[kde(x, x).argmax()]) / x.std() for x in scores])),
    ),
    "6.7": (
        *map(letters, ("FCAE", "ACFE", "EAC", "EACFB", "", "EEEE", "EACE", "FACF", "EFCF", "EADF", "XACF")),
        letters(("E", "A", "C", 6)),
        letters(4),
        letters(True),
        letters([["E", "A", "C", "F"]]),
    ),
    "6.8": (
        lambda samples, bandwidth: validated_in_a_loop(samples, 2 * bandwidth),
        lambda samples, bandwidth: validated_in_a_loop(samples, bandwidth) * len(samples),
        lambda samples, bandwidth: validated_in_a_loop(samples[1:], bandwidth),
        lambda samples, bandwidth: bandwidth,
    ),
}
