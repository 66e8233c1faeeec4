"""Right answers in other styles, and wrong ones that are not among the planted mistakes: see test_answers.py."""

import numpy as np
import torch


def step_in_a_loop(pattern):
    n_tokens, total = pattern.shape[-1], 0.0
    for i in range(2, n_tokens):
        for j in range(i + 1):
            total = total + pattern[..., i, j] * (i - j)
    return total / (n_tokens - 2)


def step_in_numpy(pattern):
    position = np.arange(pattern.shape[-1])
    middle = pattern.numpy().astype(float) @ position
    return (position - middle)[..., 2:].mean(-1)


def share_in_a_loop(pattern, level):
    high = pairs = 0
    for i in range(2, pattern.shape[-1]):
        for j in range(i + 1):
            high, pairs = high + (pattern[..., i, j] >= level).double(), pairs + 1
    return high / pairs


def share_in_numpy(pattern, level):
    rows, columns = np.tril_indices(pattern.shape[-1])
    chosen = rows >= 2
    return (pattern.numpy()[..., rows[chosen], columns[chosen]] >= level).mean(-1)


def without_first_in_place(pattern):
    others = pattern[..., 1:, 1:].clone()
    others /= others.sum(-1, keepdim=True)
    return others


def interval_in_a_loop(values, draws):
    means = []
    for draw in draws:
        middles = [np.median(values[text], axis=1) for text in draw]
        means.append(np.mean(middles, axis=0))
    return np.percentile(means, 2.5, axis=0), np.percentile(means, 97.5, axis=0)


def shares_in_a_loop(values):
    n_texts, n_heads = values.shape
    mean, whole = values.sum() / values.size, 0.0
    for text in range(n_texts):
        for head in range(n_heads):
            whole += (values[text, head] - mean) ** 2 / values.size
    heads = sum((values[:, head].mean() - mean) ** 2 for head in range(n_heads)) / n_heads / whole
    texts = sum((values[text].mean() - mean) ** 2 for text in range(n_texts)) / n_texts / whole
    return [heads, texts, 1 - heads - texts]


def shares_from_residuals(values):
    heads, texts = values.mean(0, keepdims=True), values.mean(1, keepdims=True)
    rest = values - heads - texts + values.mean()
    return np.array([heads.var(), texts.var(), rest.var()]) / values.var()


RIGHT = {
    "7.1": (
        step_in_a_loop,
        step_in_numpy,
        lambda p: (torch.arange(p.shape[-1]) - p @ torch.arange(p.shape[-1]).float())[..., 2:].mean(-1),
        lambda p: torch.stack(
            [(p[..., i, : i + 1] * torch.arange(i, -1, -1)).sum(-1) for i in range(2, p.shape[-1])]
        ).mean(0),
    ),
    "7.2": (
        lambda v: (np.median(v, axis=1), np.percentile(v, 75, axis=1) - np.percentile(v, 25, axis=1)),
        lambda v: [
            np.array([np.median(row) for row in v]),
            np.array([np.ptp(np.quantile(row, [0.25, 0.75])) for row in v]),
        ],
        lambda v: (
            torch.tensor(v).quantile(0.5, 1),
            torch.tensor(v).quantile(0.75, 1) - torch.tensor(v).quantile(0.25, 1),
        ),
        lambda v: np.stack([np.median(v, -1), np.subtract(*np.percentile(v, [75, 25], axis=-1))]),
    ),
    "7.3": (
        without_first_in_place,
        lambda p: torch.nn.functional.normalize(p[..., 1:, 1:], p=1, dim=-1),
        lambda p: p[..., 1:, 1:] / (1 - p[..., 1:, :1]),
        lambda p: p[..., 1:, 1:].log().softmax(-1),
        lambda p: p.numpy()[..., 1:, 1:] / p.numpy()[..., 1:, 1:].sum(-1, keepdims=True),
    ),
    "7.4": (
        share_in_a_loop,
        share_in_numpy,
        lambda p, level: (~(p < level)).tril()[..., 2:, :].double().sum((-2, -1)) / sum(range(3, p.shape[-1] + 1)),
        lambda p, level: torch.cat([p[..., i, : i + 1] for i in range(2, p.shape[-1])], -1).ge(level).float().mean(-1),
    ),
    "7.5": (
        interval_in_a_loop,
        lambda values, draws: np.quantile(np.median(values, 2)[draws].mean(1), [0.025, 0.975], axis=0),
        lambda values, draws: torch.tensor(np.median(values, -1)[draws].mean(1)).quantile(
            torch.tensor([0.025, 0.975]).double(), dim=0
        ),
        lambda values, draws: [np.quantile(np.median(values, -1)[draws].mean(1), q, axis=0) for q in (0.025, 0.975)],
    ),
    "7.6": (
        shares_in_a_loop,
        shares_from_residuals,
        lambda v: torch.tensor(
            [v.mean(0).var() / v.var(), v.mean(1).var() / v.var(), 1 - (v.mean(0).var() + v.mean(1).var()) / v.var()]
        ),
        lambda v: (
            np.var(v.mean(0)) / v.var(),
            np.var(v.mean(1)) / v.var(),
            1 - (np.var(v.mean(0)) + np.var(v.mean(1))) / v.var(),
        ),
    ),
}

WRONG = {
    "7.5": (
        lambda values, draws: interval_in_a_loop(
            values, np.random.default_rng().integers(len(values), size=draws.shape)
        ),
        lambda values, draws: interval_in_a_loop(
            values, np.random.default_rng(0).integers(len(values), size=draws.shape)
        ),
        lambda values, draws: interval_in_a_loop(values, draws)[::-1],
        lambda values, draws: interval_in_a_loop(values, draws[:10]),
    ),
}
