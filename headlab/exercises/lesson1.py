"""Lesson 1: the mask, the softmax and what the first token collects."""

import torch

from headlab.exercises.engine import Exercise
from headlab.masking import causal_mask, mask_scores, softmax


def _scores(*shape):
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def _scores_with_one_far_below():
    """Scores whose first row lies below any finite number that readers put in the place of -inf."""
    scores = _scores(4, 4)
    scores[0, 0] = -3e9
    return scores


def _transposed(n_tokens):
    """the mask is transposed: row i is the query, and it sees the keys j <= i, on and below the diagonal"""
    return causal_mask(n_tokens).T


def _no_self(n_tokens):
    """the diagonal is masked: a token may attend to itself"""
    return causal_mask(n_tokens).tril(-1)


def _swapped(n_tokens):
    """True and False are swapped: True marks what a query may see"""
    return ~causal_mask(n_tokens)


def _numbers(n_tokens):
    """the values are right but they are numbers: compare with >= or end with .bool() to get True and False"""
    return causal_mask(n_tokens).float()


def _one_ahead(n_tokens):
    """row i sees one token of its future: the condition is j <= i, not j <= i + 1"""
    return torch.ones(n_tokens, n_tokens, dtype=torch.bool).tril(1)


def _all_visible(n_tokens):
    """every key is visible: nothing is masked"""
    return torch.ones(n_tokens, n_tokens, dtype=torch.bool)


def _pattern(scores):
    return softmax(mask_scores(scores))


def _future_zero(scores):
    """the future's scores are set to 0, and exp(0) = 1 is a share: set them to -inf"""
    return softmax(scores * causal_mask(scores.shape[-1]))


def _mask_after(scores):
    """masked after the softmax: the future is 0, but the rows no longer sum to 1. Mask the scores first"""
    return softmax(scores) * causal_mask(scores.shape[-1])


def _unmasked(scores):
    """nothing is masked: the future gets a share"""
    return softmax(scores)


def _times_infinity(scores):
    """multiplied by -inf: a negative score then turns into +inf, and that into nan. Replace it, as masked_fill does"""
    return (scores * torch.where(causal_mask(scores.shape[-1]), 1.0, -torch.inf)).softmax(-1)


def _over_queries(scores):
    """the softmax runs down the columns: each row has to sum to 1, so use the last axis"""
    return mask_scores(scores).softmax(-2)


def _over_the_first_axis(scores):
    """the softmax runs along axis 0: each row has to sum to 1, so use the last axis, dim=-1"""
    return mask_scores(scores).softmax(0)


def _over_axis_one(scores):
    """the softmax runs along axis 1, the last one only where no head axis is in front: use dim=-1"""
    return mask_scores(scores).softmax(1)


def _finite_mask(scores):
    """the future gets a large negative number: where the past lies lower still, the future wins. Only -inf is safe"""
    return scores.masked_fill(~causal_mask(scores.shape[-1]), -1e4).softmax(-1)


def _bare_exponentials(scores):
    """exp of a very low score is 0, and 0 / 0 is nan: take the row's largest score away first, as .softmax(-1) does"""
    weights = mask_scores(scores).exp()
    return weights / weights.sum(-1, keepdim=True)


def _mask_of_the_first_axis(scores):
    """the mask has the size of the first axis, which may be the heads: the number of tokens is scores.shape[-1]"""
    return softmax(scores.masked_fill(~causal_mask(scores.shape[0]), -torch.inf))


def _no_softmax(scores):
    """these are the masked scores: the softmax is still to come"""
    return mask_scores(scores)


def _collected(pattern):
    return pattern[..., 1:, 0].mean(-1)


def _first_query_too(pattern):
    """the first query is counted: it gives itself 100 % whatever the head does. Leave row 0 out"""
    return pattern[..., 0].mean(-1)


def _first_row(pattern):
    """this is the first row, what the first query gives: take the first column, key 0"""
    return pattern[..., 0, 1:].mean(-1)


def _total(pattern):
    """this is the sum over the queries: take the mean"""
    return pattern[..., 1:, 0].sum(-1)


def _diagonal(pattern):
    """this is the diagonal, what each token gives to itself: take the first column, key 0"""
    return pattern.diagonal(dim1=-2, dim2=-1)[..., 1:].mean(-1)


def _heads_too(pattern):
    """the heads are averaged as well: keep every axis but the last two"""
    return pattern[..., 1:, 0].mean()


EXERCISES = {
    "1.1": Exercise(
        answer=causal_mask,
        cases=((1,), (4,), (7,)),
        mistakes=(_transposed, _no_self, _swapped, _numbers, _one_ahead, _all_visible),
    ),
    "1.2": Exercise(
        answer=_pattern,
        cases=((_scores(1, 1),), (_scores(5, 5),), (_scores_with_one_far_below(),), (_scores(3, 4, 4),)),
        mistakes=(
            _future_zero,
            _mask_after,
            _unmasked,
            _times_infinity,
            _over_queries,
            _over_the_first_axis,
            _over_axis_one,
            _finite_mask,
            _bare_exponentials,
            _mask_of_the_first_axis,
            _no_softmax,
        ),
    ),
    "1.3": Exercise(
        answer=_collected,
        cases=((_pattern(_scores(2, 2)),), (_pattern(_scores(6, 6)),), (_pattern(_scores(3, 5, 5)),)),
        mistakes=(_first_query_too, _first_row, _total, _diagonal, _heads_too),
    ),
}
