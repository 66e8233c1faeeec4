"""The right answers to students' own tasks, computed on the class's model when they are graded."""

from functools import cache

import torch

from headlab.capture import capture_heads
from headlab.contrast import centre_rows, effective_tokens
from headlab.density import choose_bandwidth, kde
from headlab.interventions import loss, loss_without_heads
from headlab.masking import causal_mask
from headlab.models import load_model
from headlab.shift import causal_scores, shift_stats

TOLERANCE = 0.01  # of the right answer, and 0.0001 at least: enough for three significant digits


def is_right(value, right):
    """Whether a number is the answer, or the answer rounded to three digits."""
    return abs(value - right) <= max(1e-4, TOLERANCE * abs(right))


@cache
def right_answer(task, model_name):
    """The number that an OwnTask asks for, on a model named as in load_model."""
    model, tokenizer = _loaded(model_name)
    ids = tokenizer(task.text, return_tensors="pt").input_ids[:, : task.n_tokens]
    if task.lesson == 8:
        return _of_the_loss(task, model, ids)
    capture = capture_heads(model, ids)
    place = (task.layer, task.head)
    raw, pattern = capture.scores(*place), capture.pattern(*place)  # (query, key) each
    return float(_of_a_head(task, capture, raw, pattern))


@cache
def _loaded(name):
    return load_model(name)


def _of_the_loss(task, model, ids):
    replace = "zero" if task.question == "zero" else "mean"
    without = loss_without_heads(model, ids, [(task.layer, task.head)], replace=replace)  # (T - 1,)
    if task.question == "token":
        return float(without[task.query - 1])  # of token `query`: the first has none
    return float(without.mean() - loss(model, ids).mean())


def _of_a_head(task, capture, raw, pattern):
    query, key, place = task.query, task.key, (task.layer, task.head)
    match task.lesson, task.question:
        case 1, "first share":
            return pattern[1:, 0].mean()
        case 1, "strongest link":
            return (pattern * torch.ones_like(pattern).tril(-1))[:, 1:].max()
        case 1, "one share":
            return pattern[query, key]
        case 2, vector:
            part = {"query length": capture.q, "key length": capture.k, "value length": capture.v}[vector]
            return part[place][query].norm()
        case 3, "raw score":
            return raw[query, key]
        case 3, "scaled score":
            return raw[query, key] / capture.q.shape[-1] ** 0.5
        case 3, "looks back":
            return (pattern[query, : query + 1] * (query - torch.arange(query + 1))).sum()
        case 4, "negative":
            return shift_stats(raw).fraction_negative
        case 4, "median":
            return shift_stats(raw).median
        case 4, "row mean":
            return raw[query, : query + 1].mean()
        case 5, "gap":
            return raw[query, 0] - raw[query, 1 : query + 1].mean()
        case 5, "effective tokens":
            return effective_tokens(pattern)[query]
        case 5, "centred":
            return centre_rows(raw)[query, key]
        case 6, question:
            scores = causal_scores(raw).reshape(-1)
            at = {"density": 0.0, "density at its mean": scores.mean()}
            return kde(scores, [float(at[question])])[0] if question in at else choose_bandwidth(scores)
        case 7, "step back":
            distances = torch.arange(len(pattern))[:, None] - torch.arange(len(pattern))
            return (pattern * distances).sum(-1)[2:].mean()
        case 7, "share high":
            return (pattern[2:][causal_mask(len(pattern))[2:]] >= 0.1).float().mean()
        case 7, "without first":
            return pattern[query, key] / pattern[query, 1:].sum()
    raise ValueError(f"task: expected a question of headlab.exercises.own, got {task.lesson}, {task.question!r}")
