"""Lesson 4: the size of the shift, what softmax sees of it, and which term makes the sink."""

import math

import numpy as np
import torch

from headlab.contrast import effective_tokens
from headlab.exercises.engine import Exercise
from headlab.masking import causal_mask
from headlab.scores import attention_pattern


def _scores(*shape, mean=-1.0):
    """Scores whose future differs from their past, so that counting it shows."""
    values = mean + 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))
    return torch.where(causal_mask(shape[-1]), values, values + 2.5)


def _scores_with_a_zero():
    """Scores of which one, in the past, is exactly 0."""
    scores = _scores(5, 5)
    scores[3, 1] = 0.0
    return scores


def _pattern(*shape):
    return attention_pattern(_scores(*shape), 1.0)


def _fraction_negative(raw):
    return (raw[..., causal_mask(raw.shape[-1])] < 0).double().mean(-1)


def _future_too(raw):
    """the future is counted too: take only the pairs with j <= i, T(T+1)/2 of them"""
    return (raw < 0).double().mean((-2, -1))


def _future_as_zero(raw):
    """the future is set to 0 and still counted: divide by the number of causal pairs, T(T+1)/2, not by T * T"""
    return (raw * causal_mask(raw.shape[-1]) < 0).double().mean((-2, -1))


def _future_as_negative(raw):
    """masked with -inf and then counted: -inf is below zero as well. Pick the causal pairs instead of masking them"""
    return (raw.masked_fill(~causal_mask(raw.shape[-1]), -torch.inf) < 0).double().mean((-2, -1))


def _zero_too(raw):
    """a score of exactly 0 is counted: below zero is < 0, not <= 0"""
    return (raw[..., causal_mask(raw.shape[-1])] <= 0).double().mean(-1)


def _without_diagonal(raw):
    """the diagonal is left out: a query sees itself, so j <= i and not j < i"""
    return (raw[..., causal_mask(raw.shape[-1]).tril(-1)] < 0).double().mean(-1)


def _mean_of_rows(raw):
    """the rows are averaged, and the first row's one score weighs as much as the last row's T: count all pairs alike"""
    visible = causal_mask(raw.shape[-1])
    return (((raw < 0) & visible).sum(-1) / visible.sum(-1)).double().mean(-1)


def _heads_too(raw):
    """the heads are counted together: keep every axis but the last two"""
    return (raw[..., causal_mask(raw.shape[-1])] < 0).double().mean()


def _a_count(raw):
    """this is how many are negative: divide by the number of causal pairs"""
    return (raw[..., causal_mask(raw.shape[-1])] < 0).double().sum(-1)


def _effective(pattern):
    return torch.from_numpy(effective_tokens(pattern))


def _zero_log_zero(pattern):
    """0 * log 0 gives nan in every row with a masked key: count it as 0, for example with torch.where or nansum"""
    return torch.exp(-(pattern * pattern.log()).sum(-1))


def _the_entropy(pattern):
    """this is the entropy: its exponential is the number of tokens"""
    return _effective(pattern).log()


def _in_bits(pattern):
    """the entropy is in bits (log2) and the exponential in e: use the natural logarithm, or raise 2 to it"""
    return torch.exp(_effective(pattern).log() / math.log(2))


def _no_minus(pattern):
    """the minus sign is missing: the logarithm of a share is negative, so this is 1 over the right number"""
    return 1 / _effective(pattern)


def _simpson(pattern):
    """this is 1 / sum of p squared, another count of tokens (Hill's order 2): use exp of the entropy (order 1)"""
    return 1 / (pattern.double() ** 2).sum(-1)


def _averaged(pattern):
    """the queries are averaged: keep one number for each query"""
    return _effective(pattern).mean(-1)


def _down_columns(pattern):
    """the sum runs over the queries: a query's shares are a row, so use the last axis"""
    return torch.exp(torch.special.entr(pattern).sum(-2))


def _centred(raw):
    visible = causal_mask(raw.shape[-1])
    means = (raw * visible).sum(-1, keepdim=True) / visible.sum(-1, keepdim=True)
    return (raw - means).masked_fill(~visible, -torch.inf)


def _mean_with_future(raw):
    """the future is in the rows' means: average only over the keys that the query sees"""
    return (raw - raw.mean(-1, keepdim=True)).masked_fill(~causal_mask(raw.shape[-1]), -torch.inf)


def _one_mean(raw):
    """one mean is taken from the whole head: each row has its own constant that softmax does not see"""
    visible = causal_mask(raw.shape[-1])
    mean = raw[..., visible].mean(-1)[..., None, None]
    return (raw - mean).masked_fill(~visible, -torch.inf)


def _column_means(raw):
    """the columns are centred: what a key gets in every row is just what softmax does see. Centre the rows"""
    visible = causal_mask(raw.shape[-1])
    means = (raw * visible).sum(-2, keepdim=True) / visible.sum(-2, keepdim=True)
    return (raw - means).masked_fill(~visible, -torch.inf)


def _not_masked(raw):
    """the future is not -inf: mask the centred scores"""
    visible = causal_mask(raw.shape[-1])
    return raw - (raw * visible).sum(-1, keepdim=True) / visible.sum(-1, keepdim=True)


def _never_masked(raw):
    """nothing is masked: the future is in the rows' means and still in the result. Leave it out of both"""
    return raw - raw.mean(-1, keepdim=True)


def _by_width(raw):
    """the sum of a row is divided by T: row i has i + 1 visible keys"""
    visible = causal_mask(raw.shape[-1])
    return (raw - (raw * visible).mean(-1, keepdim=True)).masked_fill(~visible, -torch.inf)


def _bootstrap_case(seed, n_rows, n_resamples):
    random = np.random.default_rng(seed)
    n_scores = np.arange(1, n_rows + 1)
    return (
        random.binomial(n_scores, 0.4 + 0.5 * n_scores / n_rows),
        n_scores,
        random.integers(n_rows, size=(n_resamples, n_rows)),
    )


def _resampled(n_negative, n_scores, rows):
    return n_negative[rows].sum(-1) / n_scores[rows].sum(-1)


def _mean_of_fractions(n_negative, n_scores, rows):
    """the rows' fractions are averaged, so that a row of one score weighs as much as a long one: divide sum by sum"""
    return (n_negative / n_scores)[rows].mean(-1)


def _same_denominator(n_negative, n_scores, rows):
    """divided by the scores of the original rows: a resample has other rows, so it has another number of scores"""
    return n_negative[rows].sum(-1) / n_scores.sum()


def _not_resampled(n_negative, n_scores, rows):
    """the rows are not resampled, so every result is the same: pick them with n_negative[rows]"""
    return np.full(len(rows), n_negative.sum() / n_scores.sum())


def _one_number(n_negative, n_scores, rows):
    """the resamples are added up into one number: sum over the last axis only, one fraction for each resample"""
    return n_negative[rows].sum() / n_scores[rows].sum()


def _positives(n_negative, n_scores, rows):
    """this is the fraction that is not negative: 1 less what was asked"""
    return 1 - n_negative[rows].sum(-1) / n_scores[rows].sum(-1)


def _term_case(n_tokens, d_model, d_head):
    random = torch.Generator().manual_seed(n_tokens)
    sizes = ((n_tokens, d_model), (d_model, d_head), (d_model, d_head), (d_head,), (d_head,))
    return tuple(torch.randn(*size, generator=random) for size in sizes)


def _query_bias_term(x, weight_q, weight_k, bias_q, bias_k):
    return (bias_q @ (x @ weight_k).T).expand(len(x), len(x))


def _key_bias_term(x, weight_q, weight_k, bias_q, bias_k):
    """this is the key-bias term, (x Wq).bk, constant along a row: the query's bias meets the keys, bq.(x Wk)"""
    return ((x @ weight_q) @ bias_k)[:, None].expand(len(x), len(x))


def _down_the_rows(x, weight_q, weight_k, bias_q, bias_k):
    """it is transposed: bq.(x_j Wk) depends on the key j, so each column holds one value"""
    return _query_bias_term(x, weight_q, weight_k, bias_q, bias_k).T


def _with_key_bias(x, weight_q, weight_k, bias_q, bias_k):
    """bq.bk is in it, the constant term: the keys are x Wk here, without their bias"""
    return (bias_q @ (x @ weight_k + bias_k).T).expand(len(x), len(x))


def _with_content(x, weight_q, weight_k, bias_q, bias_k):
    """the content term is in it: the query is bq alone, without x Wq"""
    return (x @ weight_q + bias_q) @ (x @ weight_k).T


def _one_row(x, weight_q, weight_k, bias_q, bias_k):
    """the values are right, one for each key: repeat them for every query, (T, T), for example with expand"""
    return bias_q @ (x @ weight_k).T


def _wrong_weight(x, weight_q, weight_k, bias_q, bias_k):
    """the keys are made with the queries' weight: k = x Wk"""
    return (bias_q @ (x @ weight_q).T).expand(len(x), len(x))


NAMES = ("content", "query_bias", "key_bias", "constant")


def _sink_case(seed, n_tokens, content_gap, bias_gap, constant):
    """Four terms of one head whose first key stands out, by so much in each of the two terms that softmax sees."""
    random = torch.Generator().manual_seed(seed)
    content = 4 * torch.randn(n_tokens, n_tokens, generator=random)
    query_bias = 4 * torch.randn(1, n_tokens, generator=random).expand(n_tokens, -1).clone()
    content[:, 0] += content_gap
    query_bias[:, 0] += bias_gap
    key_bias = 5 * torch.randn(n_tokens, 1, generator=random).expand(-1, n_tokens) - 60
    return content, query_bias, key_bias, torch.full((n_tokens, n_tokens), constant)


def _first_share(raw):
    return attention_pattern(raw, 64.0)[2:, 0].mean().item()


def _breaks_the_sink(content, query_bias, key_bias, constant):
    terms = (content, query_bias, key_bias, constant)
    return NAMES[int(np.argmin([_first_share(sum(terms) - term) for term in terms]))]


def _most_negative(content, query_bias, key_bias, constant):
    """the term with the lowest mean: that says nothing about what softmax sees of it. Remove each in turn and look"""
    terms = (content, query_bias, key_bias, constant)
    return NAMES[int(np.argmin([t[causal_mask(len(t))].mean().item() for t in terms]))]


def _strengthens_the_sink(content, query_bias, key_bias, constant):
    """the removal after which the first key gets most: look for the least"""
    terms = (content, query_bias, key_bias, constant)
    return NAMES[int(np.argmax([_first_share(sum(terms) - term) for term in terms]))]


def _highest_at_first(content, query_bias, key_bias, constant):
    """the term that is largest at the first key: what counts is how far it stands above the other keys of its row"""
    return NAMES[int(np.argmax([t[:, 0].mean().item() for t in (content, query_bias, key_bias, constant)]))]


def _with_a_blank(content, query_bias, key_bias, constant):
    """the right terms, but their names are written with an underscore, as the function's arguments are"""
    return _breaks_the_sink(content, query_bias, key_bias, constant).replace("_", " ")


def _always_query_bias(content, query_bias, key_bias, constant):
    """always the query bias: in some of these heads it is another term. Measure each head"""
    return "query_bias"


EXERCISES = {
    "4.1": Exercise(
        answer=_fraction_negative,
        cases=((_scores(1, 1),), (_scores_with_a_zero(),), (_scores(3, 4, 4),)),
        mistakes=(
            _zero_too,
            _future_too,
            _future_as_zero,
            _future_as_negative,
            _without_diagonal,
            _mean_of_rows,
            _heads_too,
            _a_count,
        ),
    ),
    "4.2": Exercise(
        answer=_effective,
        cases=((_pattern(2, 2),), (_pattern(6, 6),), (_pattern(3, 4, 4),)),
        mistakes=(_zero_log_zero, _the_entropy, _in_bits, _no_minus, _simpson, _averaged, _down_columns),
    ),
    "4.3": Exercise(
        answer=_centred,
        cases=((_scores(2, 2),), (_scores(6, 6),), (_scores(3, 4, 4),)),
        mistakes=(_mean_with_future, _one_mean, _column_means, _not_masked, _never_masked, _by_width),
    ),
    "4.4": Exercise(
        answer=_resampled,
        cases=(_bootstrap_case(1, 5, 3), _bootstrap_case(2, 9, 4)),
        mistakes=(_mean_of_fractions, _same_denominator, _not_resampled, _one_number, _positives),
    ),
    "4.5": Exercise(
        answer=_query_bias_term,
        cases=(_term_case(2, 5, 3), _term_case(6, 7, 4)),
        mistakes=(_key_bias_term, _down_the_rows, _with_key_bias, _with_content, _one_row, _wrong_weight),
    ),
    "4.6": Exercise(
        answer=_breaks_the_sink,
        cases=(
            _sink_case(1, 6, -9.0, 35.0, -30.0),
            _sink_case(2, 7, 30.0, -9.0, 90.0),
            _sink_case(3, 5, -8.0, 40.0, 70.0),
            _sink_case(4, 6, 40.0, -12.0, -90.0),
        ),
        mistakes=(_most_negative, _strengthens_the_sink, _highest_at_first, _with_a_blank, _always_query_bias),
    ),
}
