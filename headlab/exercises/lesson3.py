"""Lesson 3: raw scores, patterns, what heads look for and what they write."""

import torch

from headlab.exercises.engine import Exercise
from headlab.masking import mask_scores, softmax
from headlab.scores import attention_pattern, head_outputs, raw_scores, token_pairs


def _numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape) + seed))


def _two(*shape):
    return 2 * _numbers(*shape), 2 * _numbers(*shape, seed=1)


def _keys_by_queries(q, k):
    """rows and columns are swapped: row i belongs to query i, so multiply q by the transposed k"""
    return raw_scores(k, q)


def _all_axes_turned(q, k):
    """`.T` turns all axes round, the heads' too: swap only the last two, with transpose(-1, -2) or .mT"""
    return q @ k.T


def _scaled(q, k):
    """already divided by the square root of d_head: raw scores are the bare dot products"""
    return raw_scores(q, k) / q.shape[-1] ** 0.5


def _queries_only(q, k):
    """the queries are multiplied with themselves: the keys are the second factor"""
    return raw_scores(q, q)


def _cosine(q, k):
    """the vectors are brought to length 1 first: a dot product keeps their lengths"""
    return raw_scores(q / q.norm(dim=-1, keepdim=True), k / k.norm(dim=-1, keepdim=True))


def _masked(q, k):
    """the future is masked already: raw scores hold every pair"""
    return mask_scores(raw_scores(q, k))


def _pattern(q, k):
    return attention_pattern(raw_scores(q, k), q.shape[-1])


def _unscaled(q, k):
    """nothing is scaled: divide the raw scores by the square root of d_head"""
    return attention_pattern(raw_scores(q, k), 1)


def _no_root(q, k):
    """divided by d_head: the divisor is its square root"""
    return attention_pattern(raw_scores(q, k), q.shape[-1] ** 2)


def _root_of_64(q, k):
    """divided by 8, which is right for GPT-2's 64 channels alone: d_head is the last axis of q"""
    return attention_pattern(raw_scores(q, k), 64)


def _root_of_tokens(q, k):
    """divided by the root of the number of tokens: it is the number of channels, the last axis of q"""
    return attention_pattern(raw_scores(q, k), q.shape[-2])


def _scaled_last(q, k):
    """scaled after the softmax, so that rows no longer sum to 1: scale the scores first"""
    return _unscaled(q, k) / q.shape[-1] ** 0.5


def _unmasked(q, k):
    """nothing is masked: the future gets a share"""
    return softmax(_scaled(q, k))


def _down_the_columns(q, k):
    """the softmax runs down the columns: each row has to sum to 1, so use the last axis"""
    return mask_scores(_scaled(q, k)).softmax(-2)


def _mixed_by_columns(pattern, v):
    """the pattern is transposed: a query's shares are its row, and the rows of pattern @ v are queries"""
    return pattern.mT @ v


def _strongest_only(pattern, v):
    """only the strongest key's value is taken: every key counts, by its share"""
    return torch.take_along_dim(v, pattern.argmax(-1, keepdim=True), dim=-2)


def _values_alone(pattern, v):
    """these are the values, not yet mixed: multiply the pattern with them"""
    return v.clone()


def _plain_mean(pattern, v):
    """every visible key counts the same here: weight it by its share"""
    return attention_pattern(torch.zeros_like(pattern), 1) @ v


def _heads_summed(pattern, v):
    """the heads are added up: each keeps its own outputs, the mix comes with W_o"""
    return (pattern @ v).sum(-3)


def _induction_pairs(ids):
    return token_pairs(ids)["induction"]


def _same_pairs(ids):
    """these are the earlier copies themselves: the key is the token right after one"""
    return (ids[:, None] == ids[None, :]).tril(-1)


def _same_pairs_without_key_0(ids):
    """these are the earlier copies (but key 0): the key is the token right after one"""
    return token_pairs(ids)["same"]


def _equal_tokens(ids):
    """these are all pairs of equal tokens: keep the past, and take the key right after each copy"""
    return ids[:, None] == ids[None, :]


def _column_0_kept(ids):
    """column 0 is marked: `roll` brings the last column there, round the end. Clear it, since 0 < j"""
    return (ids[:, None] == ids[None, :]).roll(1, dims=1).tril(-1)


def _before_the_copy(ids):
    """these keys come right before an earlier copy: induction looks at what came after it"""
    return token_pairs(ids)["same"].roll(-1, dims=1) & torch.ones(len(ids), len(ids), dtype=torch.bool).tril(-1)


def _future_too(ids):
    """keys in the future and the token itself are marked: keep only j < i"""
    return (ids[:, None] == ids[None, :]).roll(1, dims=1) & (torch.arange(len(ids)) > 0)


def _itself_too(ids):
    """a token that repeats the one before it is marked as its own key: keep j < i, not j <= i"""
    return _future_too(ids).tril()


def _queries_across(ids):
    """rows and columns are swapped: row i is the query"""
    return _induction_pairs(ids).T


def _last_copy_only(ids):
    """only the latest earlier copy counts here: mark what followed any of them"""
    pairs = _induction_pairs(ids)
    return pairs & (pairs.flip(1).cumsum(1).flip(1) == 1)


def _previous_share(pattern):
    return pattern[..., 2:, :].diagonal(1, -2, -1).mean(-1)


def _itself_share(pattern):
    """this is the diagonal, what each token gives to itself: the previous key is one to the left"""
    return pattern[..., 2:, :].diagonal(2, -2, -1).mean(-1)


def _second_query_too(pattern):
    """query 1 is counted, whose previous token is the first, so that a sink gains by it: begin with query 2"""
    return pattern.diagonal(-1, -2, -1).mean(-1)


def _over_all_queries(pattern):
    """divided by the number of all queries: only those from 2 on count"""
    return pattern[..., 2:, :].diagonal(1, -2, -1).sum(-1) / pattern.shape[-1]


def _heads_averaged(pattern):
    """the heads are averaged as well: keep every axis but the last two"""
    return _previous_share(pattern).mean()


def _in_the_future(pattern):
    """these are the shares of the next token, all 0: the previous key lies below the diagonal, offset -1"""
    return pattern.diagonal(1, -2, -1).mean(-1)


EXERCISES = {
    "3.1": Exercise(
        answer=raw_scores,
        cases=(_two(1, 3), _two(5, 4), _two(3, 6, 2)),
        mistakes=(_keys_by_queries, _all_axes_turned, _scaled, _queries_only, _cosine, _masked),
    ),
    "3.2": Exercise(
        answer=_pattern,
        cases=(_two(1, 3), _two(5, 7), _two(3, 6, 2)),
        mistakes=(_unscaled, _no_root, _root_of_64, _root_of_tokens, _scaled_last, _unmasked, _down_the_columns),
    ),
    "3.3": Exercise(
        answer=_previous_share,
        cases=((_pattern(*_two(3, 4)),), (_pattern(*_two(7, 2)),), (_pattern(*_two(2, 5, 3)),)),
        mistakes=(_itself_share, _second_query_too, _over_all_queries, _heads_averaged, _in_the_future),
    ),
    "3.4": Exercise(
        answer=_induction_pairs,
        cases=(
            (torch.tensor([4]),),
            (torch.tensor([5, 1, 2, 3, 1, 2, 3, 1]),),
            (torch.tensor([7, 7, 7, 2, 7]),),
        ),
        mistakes=(
            _same_pairs,
            _same_pairs_without_key_0,
            _equal_tokens,
            _column_0_kept,
            _before_the_copy,
            _future_too,
            _itself_too,
            _queries_across,
            _last_copy_only,
        ),
    ),
    "3.5": Exercise(
        answer=head_outputs,
        cases=tuple((_pattern(*_two(heads, t, 3)), _numbers(heads, t, d)) for heads, t, d in ((1, 4, 2), (3, 5, 4))),
        mistakes=(_mixed_by_columns, _strongest_only, _values_alone, _plain_mean, _heads_summed),
    ),
}
