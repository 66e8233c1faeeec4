"""Right answers in other styles, and wrong ones that are not among the planted mistakes: see test_answers.py."""

import numpy as np
import torch


def fraction_in_loops(raw):
    flat = raw.reshape(-1, *raw.shape[-2:])
    n = raw.shape[-1]
    found = [sum(float(h[i, j] < 0) for i in range(n) for j in range(i + 1)) / (n * (n + 1) / 2) for h in flat]
    return np.reshape(found, raw.shape[:-2])


def fraction_in_numpy(raw):
    visible = np.tri(raw.shape[-1], dtype=bool)
    return (raw.numpy()[..., visible] < 0).mean(-1)


def fraction_by_sums(raw):
    visible = torch.ones(raw.shape[-2:]).tril()
    return ((raw < 0) * visible).sum((-2, -1)) / visible.sum()


def fraction_by_indices(raw):
    i, j = torch.tril_indices(*raw.shape[-2:])
    return torch.signbit(raw[..., i, j] + 0.0).double().mean(-1)


def rows_in_loops(raw):
    flat = raw.reshape(-1, *raw.shape[-2:])
    return [float((flat[:, i, : i + 1] < 0).double().mean()) for i in range(raw.shape[-1])]


def rows_in_numpy(raw):
    flat = raw.numpy().reshape(-1, *raw.shape[-2:])
    visible = np.tri(flat.shape[-1], dtype=bool)
    return ((flat < 0) & visible).mean(0).sum(-1) / visible.sum(-1)


def rows_with_nan(raw):
    visible = torch.ones(raw.shape[-2:], dtype=torch.bool).tril()
    negative = torch.where(visible, (raw < 0).double(), torch.nan)
    return negative.nanmean(-1).reshape(-1, raw.shape[-1]).mean(0)


def rows_pooled(raw):
    visible = torch.ones(raw.shape[-2:], dtype=torch.bool).tril()
    counts = ((raw < 0) & visible).flatten(0, -3).sum((0, 2))
    return counts / (visible.sum(-1) * raw.flatten(0, -3).shape[0])


def resampled_in_loops(n_negative, n_scores, rows):
    return [sum(n_negative[r] for r in line) / sum(n_scores[r] for r in line) for line in rows]


def resampled_by_counts(n_negative, n_scores, rows):
    drawn = np.stack([np.bincount(line, minlength=len(n_scores)) for line in rows])
    return drawn @ n_negative / (drawn @ n_scores)


def resampled_in_torch(n_negative, n_scores, rows):
    negative, total, rows = map(torch.as_tensor, (n_negative, n_scores, rows))
    return negative[rows].sum(-1) / total[rows].sum(-1)


def resampled_as_weighted_mean(n_negative, n_scores, rows):
    return np.average(n_negative[rows] / n_scores[rows], weights=n_scores[rows], axis=-1)


def cut_in_loops(counts):
    n = min(map(len, counts))
    return [sum(rows[i] for i in range(n)) / sum(i + 1 for i in range(n)) for rows in counts]


def cut_in_torch(counts):
    n = min(len(rows) for rows in counts)
    return torch.stack([torch.as_tensor(rows[:n]).sum() for rows in counts]) / torch.arange(1, n + 1).sum()


def cut_with_zip(counts):
    rows = list(zip(*counts, strict=False))
    return np.sum(rows, axis=0) / (len(rows) * (len(rows) + 1) // 2)


def cut_weighted(counts):
    n = min(len(rows) for rows in counts)
    sizes = np.arange(1, n + 1)
    return [np.average(rows[:n] / sizes, weights=sizes) for rows in counts]


def table(resampled, question):
    units = ["rows", "heads", "texts", "runs"]
    return np.eye(4, dtype=bool)[units.index(resampled), units.index(question)]


def by_cases(resampled, question):
    if resampled == "rows":
        return question == "rows"
    if resampled == "heads":
        return question == "heads"
    if resampled == "texts":
        return question == "texts"
    return question == "runs"


def of_groups(*groups):
    """True within each group of units."""
    return lambda resampled, question: any({resampled, question} <= set(group.split()) for group in groups)


RIGHT = {
    "4.1": (fraction_in_loops, fraction_in_numpy, fraction_by_sums, fraction_by_indices),
    "4.2": (rows_in_loops, rows_in_numpy, rows_with_nan, rows_pooled),
    "4.3": (resampled_in_loops, resampled_by_counts, resampled_in_torch, resampled_as_weighted_mean),
    "4.4": (table, by_cases, lambda a, b: {a} == {b}, lambda a, b: not a != b),
    "4.5": (cut_in_loops, cut_in_torch, cut_with_zip, cut_weighted),
}
WRONG = {
    "4.1": (
        lambda raw: (raw.mT[..., torch.ones(raw.shape[-2:], dtype=torch.bool).tril()] < 0).double().mean(-1),
        lambda raw: (raw.diagonal(dim1=-2, dim2=-1) < 0).double().mean(-1),
        lambda raw: (raw[..., -1, :] < 0).double().mean(-1),
        lambda raw: (raw.tril().sum((-2, -1)) < 0).double(),
    ),
    "4.2": (
        lambda raw: fraction_in_numpy(raw),
        lambda raw: np.array(rows_in_loops(raw)).round(1),
        lambda raw: rows_in_numpy(raw)[::-1].copy(),
        lambda raw: rows_in_numpy(raw.mT),
    ),
    "4.3": (
        lambda n, total, rows: np.median(n[rows] / total[rows], axis=-1),
        lambda n, total, rows: n[rows].mean(-1) / total.mean(),
        lambda n, total, rows: n[rows].sum(-1) / rows.shape[1],
        lambda n, total, rows: n[rows].sum(-1) / total[rows[::-1]].sum(-1),
    ),
    "4.4": (
        of_groups("rows", "heads", "texts"),  # never for runs
        of_groups("heads", "texts", "runs"),
        of_groups("rows texts", "heads", "runs"),
        of_groups("rows heads", "texts", "runs"),
        of_groups("rows", "heads texts", "runs"),
        of_groups("rows", "heads runs", "texts"),
        of_groups("rows", "heads", "texts runs"),
        of_groups("rows heads texts runs"),
        lambda resampled, question: resampled == "runs",
        lambda resampled, question: question == "rows",
        lambda resampled, question: resampled == "texts",
        lambda resampled, question: resampled == question or resampled == "texts" and question in ("heads", "rows"),
        lambda resampled, question: str(resampled == question),
        lambda resampled, question: len(resampled) == len(question),
    ),
    "4.5": (
        lambda counts: [rows[: min(map(len, counts))].mean() for rows in counts],
        lambda counts: cut_in_loops([rows[::-1] for rows in counts]),
        lambda counts: cut_in_loops(sorted(counts, key=len)),
        lambda counts: cut_in_loops(counts)[:-1],
    ),
}
