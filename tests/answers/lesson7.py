"""Right answers in other styles, and wrong ones that are not among the planted mistakes: see test_answers.py."""

import numpy as np
import torch

from headlab.exercises.lesson7 import ridgeline_puzzle


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


def read_by_measuring():
    layers = ridgeline_puzzle()
    hills = [((counts[1:-1] > counts[:-2]) & (counts[1:-1] > counts[2:])).sum() for counts in map(coarse, layers)]
    return np.argmax([np.ptp(layer) for layer in layers]), np.argmax(hills), np.argmin([(x < 0).sum() for x in layers])


def coarse(layer):
    return np.histogram(layer, np.arange(-60, 60, 5))[0]


def misled_in_a_loop(values):
    found, gap = None, -1.0
    for layer, heads in enumerate(values):
        middle = sorted(heads)[len(heads) // 2]
        if len(heads) % 2 == 0:
            middle = (middle + sorted(heads)[len(heads) // 2 - 1]) / 2
        if abs(sum(heads) / len(heads) - middle) > gap:
            gap = abs(sum(heads) / len(heads) - middle)
            found = layer, max(range(len(heads)), key=lambda head: abs(heads[head] - middle))
    return found


def misled_by(values, middle):
    """The layer whose mean lies farthest from what middle returns for it, and the head farthest from that."""
    layer = max(range(len(values)), key=lambda i: abs(values[i].mean() - middle(values[i])))
    return layer, np.abs(values[layer] - middle(values[layer])).argmax()


def misled_in_torch(values):
    values = torch.tensor(values)
    middles = values.quantile(0.5, dim=1)
    layer = (values.mean(1) - middles).abs().argmax()
    return torch.stack([layer, (values[layer] - middles[layer]).abs().argmax()])


def p_in_a_loop(first, second, draws):
    both, reached = np.vstack([first, second]), 1
    for draw in draws:
        a, b = both[draw[: len(first)]], both[draw[len(first) :]]
        reached += max(abs(a.mean(0) - b.mean(0))) >= max(abs(first.mean(0) - second.mean(0)))
    return reached / (len(draws) + 1)


def p_from_sums(first, second, draws):
    both = torch.tensor(np.concatenate([first, second]))
    member = torch.zeros(len(draws), len(both), dtype=both.dtype)
    member.scatter_(1, torch.tensor(draws)[:, : len(first)], 1.0)
    sums = member @ both
    gaps = (sums / len(first) - (both.sum(0) - sums) / len(second)).abs().amax(1)
    return ((gaps >= gaps[-2] - 1e-9).sum() + 1) / (len(draws) + 1)  # the last draw but one is the real dealing


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
        lambda: (3, 2, 4),
        lambda: [3, 2, 4],
        lambda: np.array([3, 2, 4]),
        lambda: torch.tensor([3, 2, 4]),
        read_by_measuring,
    ),
    "7.3": (
        misled_in_a_loop,
        misled_in_torch,
        lambda v: (
            (layer := int(np.abs(np.mean(v, 1) - np.quantile(v, 0.5, axis=1)).argmax())),
            int(((v[layer] - np.median(v[layer])) ** 2).argmax()),
        ),
        lambda v: [
            layer := max(range(len(v)), key=lambda i: abs(v[i].mean() - np.median(v[i]))),
            np.abs(v - np.median(v, axis=1)[:, None])[layer].argmax(),
        ],
    ),
    "7.4": (
        share_in_a_loop,
        share_in_numpy,
        lambda p, level: (~(p < level)).tril()[..., 2:, :].double().sum((-2, -1)) / sum(range(3, p.shape[-1] + 1)),
        lambda p, level: torch.cat([p[..., i, : i + 1] for i in range(2, p.shape[-1])], -1).ge(level).float().mean(-1),
    ),
    "7.5": (
        p_in_a_loop,
        p_from_sums,
        lambda a, b, draws: np.mean(
            [1.0]
            + [
                np.abs(np.concatenate([a, b])[d][: len(a)].mean(0) - np.concatenate([a, b])[d][len(a) :].mean(0)).max()
                >= np.abs(a.mean(0) - b.mean(0)).max()
                for d in draws
            ]
        ),
        lambda a, b, draws: float(p_in_a_loop(a, b, draws)),
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
    "7.7": (
        without_first_in_place,
        lambda p: torch.nn.functional.normalize(p[..., 1:, 1:], p=1, dim=-1),
        lambda p: p[..., 1:, 1:] / (1 - p[..., 1:, :1]),
        lambda p: p[..., 1:, 1:].log().softmax(-1),
        lambda p: p.numpy()[..., 1:, 1:] / p.numpy()[..., 1:, 1:].sum(-1, keepdims=True),
    ),
    "7.8": (
        interval_in_a_loop,
        lambda values, draws: np.quantile(np.median(values, 2)[draws].mean(1), [0.025, 0.975], axis=0),
        lambda values, draws: torch.tensor(np.median(values, -1)[draws].mean(1)).quantile(
            torch.tensor([0.025, 0.975]).double(), dim=0
        ),
        lambda values, draws: [np.quantile(np.median(values, -1)[draws].mean(1), q, axis=0) for q in (0.025, 0.975)],
    ),
}

WRONG = {
    "7.2": (
        lambda: (0, 2, 4),
        lambda: (3, 0, 4),
        lambda: (3, 2, 0),
        lambda: (3, 2),
        lambda: 3,
        lambda: "layer 3",
        lambda: {3, 2, 4},
        lambda: ("3", "2", "4"),
        lambda: (3.5, 2, 4),
        lambda: ([3], [2], [4, 1]),
    ),
    "7.3": (
        lambda v: (0, 0),
        lambda v: misled_in_a_loop(v)[0],
        lambda v: misled_in_a_loop(np.abs(v)),
        lambda v: misled_in_a_loop(v - v.mean(0)),
        lambda v: misled_by(v, lambda heads: sorted(heads)[len(heads) // 2]),
        lambda v: misled_by(v, lambda heads: torch.tensor(heads).median().item()),
        lambda v: (at := misled_in_a_loop(v)[0], np.abs(v[at] - v[at].mean()).argmax()),
        lambda v: (at := misled_in_a_loop(v)[0], np.abs(v[at] - v.mean()).argmax()),
        lambda v: (at := misled_in_a_loop(v)[0], np.abs(v[at] - np.median(v)).argmax()),
        lambda v: (at := misled_in_a_loop(v)[0], np.abs(v[at]).argmax()),
    ),
    "7.5": (
        lambda a, b, draws: 1.0,
        lambda a, b, draws: p_in_a_loop(a - a.mean(0), b - b.mean(0), draws),
        lambda a, b, draws: p_in_a_loop(a, b, draws[:-2]),
        lambda a, b, draws: p_in_a_loop(a[:, :1], b[:, :1], draws),
        lambda a, b, draws: p_in_a_loop(a, b, np.sort(draws, 1)),
        lambda a, b, draws: p_in_a_loop(a, b, draws) * (len(draws) + 1),
    ),
    "7.8": (
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
