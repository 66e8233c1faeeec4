"""Right answers in other styles, and wrong ones that are not among the planted mistakes: see test_answers.py."""

import numpy as np
import torch
from scipy.stats import gaussian_kde, norm

from headlab.density import kde


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


RIGHT = {
    "6.1": (sum_in_a_loop, sum_in_torch, sum_by_scipy, sum_point_by_point),
    "6.2": (
        lambda samples: samples.std(ddof=1) / len(samples) ** 0.2,
        lambda samples: torch.tensor(samples).std() * len(samples) ** (-1 / 5),
        lambda samples: (((samples - samples.mean()) ** 2).sum() / (len(samples) - 1)) ** 0.5 * len(samples) ** -0.2,
        lambda samples: gaussian_kde(samples).factor * np.std(samples, ddof=1),
        lambda samples: np.sqrt(np.cov(samples)) * np.exp(-np.log(len(samples)) / 5),
    ),
    "6.3": (smoothed_bin_by_bin, smoothed_by_repeating, smoothed_by_full, smoothed_by_a_table),
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
    "6.6": (
        validated_in_a_loop,
        validated_on_a_grid,
        validated_with_the_diagonal_taken_away,
        validated_in_torch,
    ),
}

WRONG = {
    "6.2": (
        lambda samples: np.std(samples, ddof=1) * len(samples) ** (-1 / 4),
        lambda samples: np.abs(samples - samples.mean()).mean() * len(samples) ** -0.2,
        lambda samples: np.ptp(samples) * len(samples) ** -0.2,
        lambda samples: np.sqrt((samples**2).mean()) * len(samples) ** -0.2,
    ),
    "6.6": (
        lambda samples, bandwidth: validated_in_a_loop(samples, 2 * bandwidth),
        lambda samples, bandwidth: validated_in_a_loop(samples, bandwidth) * len(samples),
        lambda samples, bandwidth: validated_in_a_loop(samples[1:], bandwidth),
        lambda samples, bandwidth: bandwidth,
    ),
}
