"""Lesson 7: steps back, pairs with high weights, life without the first token, a robust middle and its interval."""

import numpy as np
import torch

from headlab.exercises.engine import Exercise
from headlab.masking import causal_mask
from headlab.profiles import share_above, without_first_key
from headlab.scores import attention_pattern


def _pattern(*shape):
    scores = 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))
    return attention_pattern(scores, 1.0)


def _values(*shape):
    """Values with outliers, so that a mean is no median."""
    return np.random.default_rng(sum(shape)).standard_t(2, size=shape)


def _distance(pattern):
    position = torch.arange(pattern.shape[-1])
    return position[:, None] - position


def _mean_step(pattern):
    return (pattern * _distance(pattern)).sum(-1)[..., 2:].mean(-1)


def _forward(pattern):
    """this comes out negative: the step goes back from the query to the key, i - j"""
    return -_mean_step(pattern)


def _from_first_query(pattern):
    """queries 0 and 1 are averaged too: start with the third query, number 2"""
    return (pattern * _distance(pattern)).sum(-1).mean(-1)


def _key_position(pattern):
    """this is the mean position of the key: the step is the query's position minus the key's"""
    return (pattern * torch.arange(pattern.shape[-1])).sum(-1)[..., 2:].mean(-1)


def _top_key_only(pattern):
    """only each query's top key is looked at: weigh all steps by their shares"""
    top = pattern.argmax(-1)
    return (torch.arange(pattern.shape[-1]) - top).float()[..., 2:].mean(-1)


def _unweighted(pattern):
    """the shares play no part: multiply each step by its share before you add up"""
    return _distance(pattern).clamp(min=0).float().sum(-1)[..., 2:].mean(-1).expand(pattern.shape[:-2])


def _heads_together(pattern):
    """the heads are averaged too: keep every axis but the last two"""
    return _mean_step(pattern).mean()


def _rows_and_columns(pattern):
    """the sum runs over the queries: a query's shares are a row, so sum over the last axis"""
    return (pattern * _distance(pattern)).sum(-2)[..., 2:].mean(-1)


def _second_query_too(pattern):
    """query 1 is averaged too, which can only go back one step: start with the third query, number 2"""
    return (pattern * _distance(pattern)).sum(-1)[..., 1:].mean(-1)


def _summed_over_queries(pattern):
    """this is the sum over the queries: take their mean"""
    return (pattern * _distance(pattern)).sum(-1)[..., 2:].sum(-1)


def _share_high(pattern, level):
    return torch.from_numpy(share_above(pattern, [level])[..., 0])


def _of_the_square(pattern, level):
    """the future is counted among the pairs: query i has i + 1 keys, not T"""
    return (pattern[..., 2:, :] >= level).double().mean((-2, -1))


def _first_queries_too(pattern, level):
    """queries 0 and 1 are counted, whose weights are high without any choice: start with query 2"""
    return (pattern[..., causal_mask(pattern.shape[-1])] >= level).double().mean(-1)


def _queries_with(pattern, level):
    """this counts the queries that have such a pair: count the pairs, and divide by the number of pairs"""
    return (pattern[..., 2:, :].amax(-1) >= level).double().mean(-1)


def _weight_above(pattern, level):
    """this adds up the weights of these pairs: count the pairs instead"""
    visible = causal_mask(pattern.shape[-1])[2:]
    return (pattern[..., 2:, :] * (pattern[..., 2:, :] >= level)).double().sum((-2, -1)) / visible.sum()


def _share_low(pattern, level):
    """this is the share of the pairs below the level: 1 minus what was asked"""
    return 1 - _share_high(pattern, level)


def _count_high(pattern, level):
    """this is how many pairs there are: divide by the number of causal pairs"""
    return (pattern[..., 2:, :] >= level).double().sum((-2, -1))


def _more_than(pattern, level):
    """a weight that equals the level counts too: at least means >=, not >"""
    visible = causal_mask(pattern.shape[-1])[2:]
    return (pattern[..., 2:, :][..., visible] > level).double().mean(-1)


def _heads_counted_together(pattern, level):
    """the heads are counted together: keep every axis but the last two"""
    return _share_high(pattern, level).mean()


def _not_shared_out_again(pattern):
    """the rows no longer sum to 1: divide each by what is left of it"""
    return pattern[..., 1:, 1:]


def _column_only(pattern):
    """the first query is still there, with nothing to look at (0 / 0 gives nan): drop row 0 along with column 0"""
    others = pattern[..., :, 1:]
    return others / others.sum(-1, keepdim=True)


def _emptied(pattern):
    """column 0 is emptied but still there: cut it off, and row 0 with it"""
    others = pattern.clone()
    others[..., 0] = 0
    return (others / others.sum(-1, keepdim=True))[..., 1:, :]


def _softmax_again(pattern):
    """a second softmax evens the shares out: they have been through one; divide them by their sum"""
    return attention_pattern(pattern[..., 1:, 1:], 1.0)


def _shared_evenly(pattern):
    """the first key's share is given to the others in equal parts: they keep their proportions, so divide by the sum"""
    n = torch.arange(1, pattern.shape[-1])[:, None]
    return (pattern[..., 1:, 1:] + pattern[..., 1:, :1] / n).tril()


def _by_column(pattern):
    """the columns are made to sum to 1: it is a query's shares that do, so use dim=-1"""
    return pattern[..., 1:, 1:] / pattern[..., 1:, 1:].sum(-2, keepdim=True)


def _last_token_dropped(pattern):
    """the last token is dropped: it is the first that nobody may look at, row 0 and column 0"""
    others = pattern[..., :-1, :-1]
    return others / others.sum(-1, keepdim=True)


def _row_only(pattern):
    """only row 0 is dropped: the others still look at the first token, so drop column 0 too and divide by the sum"""
    return pattern[..., 1:, :]


def _middle_and_width(values):
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=-1)
    return middle, high - low


def _mean_and_width(values):
    """the mean follows a single odd head: take the median"""
    return values.mean(-1), _middle_and_width(values)[1]


def _middle_and_std(values):
    """the standard deviation follows a single odd head: take the distance between the quartiles"""
    return np.median(values, -1), values.std(-1)


def _middle_and_range(values):
    """from the least to the greatest is what the oddest two heads do: take the quartiles, at 0.25 and 0.75"""
    return np.median(values, -1), np.ptp(values, -1)


def _over_layers(values):
    """this is the middle of the layers, one for each head: heads are the last axis"""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    return middle, high - low


def _over_everything(values):
    """all layers are thrown together: one number for each layer"""
    return np.median(values), np.quantile(values, 0.75) - np.quantile(values, 0.25)


def _half_width(values):
    """this is half of it: the width is the upper quartile minus the lower"""
    return np.median(values, -1), _middle_and_width(values)[1] / 2


def _middle_and_quartile(values):
    """the second result is the upper quartile itself: the width is the upper quartile minus the lower"""
    return np.median(values, -1), np.quantile(values, 0.75, axis=-1)


def _middle_and_tenths(values):
    """these are the outer tenths, 0.1 and 0.9: the quartiles are at 0.25 and 0.75"""
    return np.median(values, -1), np.quantile(values, 0.9, axis=-1) - np.quantile(values, 0.1, axis=-1)


def _width_first(values):
    """the two results are swapped: first the median, then the width"""
    return _middle_and_width(values)[::-1]


def _interval_case(n_texts, n_layers, n_heads, n_resamples):
    draws = np.random.default_rng(n_texts).integers(n_texts, size=(n_resamples, n_texts))
    return 5 * _values(n_texts, n_layers, n_heads), draws


def _interval(values, draws):
    means = np.median(values, -1)[draws].mean(1)
    return tuple(np.quantile(means, [0.025, 0.975], axis=0))


def _not_drawn(values, draws):
    """the resamples are not used: this is where 95 % of single texts lie, much wider than an interval of their mean"""
    return tuple(np.quantile(np.median(values, -1), [0.025, 0.975], axis=0))


def _heads_pooled(values, draws):
    """the heads are averaged: take the median over heads within each text first"""
    return tuple(np.quantile(values.mean(-1)[draws].mean(1), [0.025, 0.975], axis=0))


def _median_of_means(values, draws):
    """the texts are averaged before the heads' median: first the median of each text, then the mean over texts"""
    return tuple(np.quantile(np.median(values[draws].mean(1), -1), [0.025, 0.975], axis=0))


def _ninety(values, draws):
    """this is a 90 % interval: 95 % leaves 2.5 % out on each side"""
    return tuple(np.quantile(np.median(values, -1)[draws].mean(1), [0.05, 0.95], axis=0))


def _over_draws(values, draws):
    """averaged over the resamples, not over the texts of each: after indexing, the axes are (resample, text, layer)"""
    return tuple(np.quantile(np.median(values, -1)[draws].mean(0), [0.025, 0.975], axis=0))


def _normal(values, draws):
    """this is the mean plus and minus 1.96 standard errors: read the quantiles of the resampled means instead"""
    means = np.median(values, -1)[draws].mean(1)
    return means.mean(0) - 1.96 * means.std(0), means.mean(0) + 1.96 * means.std(0)


def _layers_together(values, draws):
    """the quantiles are taken over all layers at once: give np.quantile axis=0, the resamples, to keep the layers"""
    return tuple(np.quantile(np.median(values, -1)[draws].mean(1), [0.025, 0.975]))


def _median_over_texts(values, draws):
    """the median over the drawn texts is taken: median over heads, but mean over texts"""
    return tuple(np.quantile(np.median(np.median(values, -1)[draws], 1), [0.025, 0.975], axis=0))


def _head_share(values):
    heads, texts, total = values.mean(0).var(), values.mean(1).var(), values.var()
    return heads / total, texts / total, 1 - (heads + texts) / total


def _of_deviations(values):
    """standard deviations do not add up to the whole: use variances"""
    heads, texts, total = values.mean(0).std(), values.mean(1).std(), values.std()
    return heads / total, texts / total, 1 - (heads + texts) / total


def _swapped(values):
    """heads and texts are swapped: the mean over texts, axis 0, leaves one number for each head"""
    head, text, rest = _head_share(values)
    return text, head, rest


def _inner_variance(values):
    """this is the variance within each head, across texts: the heads' share is the variance of the heads' means"""
    total = values.var()
    heads, texts = values.var(0).mean() / total, values.var(1).mean() / total
    return heads, texts, 1 - heads - texts


def _of_a_sample(values):
    """these variances divide by n - 1: here the values are all there are, so divide by n (np.var does)"""
    heads, texts = (values.mean(axis).var(ddof=1) / values.var(ddof=1) for axis in (0, 1))
    return heads, texts, 1 - heads - texts


def _not_divided(values):
    """these are variances: divide each by the variance of all the values"""
    return tuple(share * values.var() for share in _head_share(values))


def _not_centred(values):
    """the squares are taken about 0: take them about the mean of all (np.var does)"""
    heads, texts, total = ((v**2).mean() for v in (values.mean(0), values.mean(1), values))
    return heads / total, texts / total, 1 - (heads + texts) / total


def _rest_with_texts(values):
    """the rest still holds the texts' share: take both shares from 1"""
    heads, texts, _ = _head_share(values)
    return heads, texts, 1 - heads


def _against_the_rest(values):
    """the heads and the texts are divided by the rest: divide by the variance of all the values"""
    heads, texts, rest = _head_share(values)
    return heads / rest, texts / rest, 1.0


EVEN = attention_pattern(torch.zeros(4, 4), 1.0)  # the last row is a quarter for each key, exactly

EXERCISES = {
    "7.1": Exercise(
        answer=_mean_step,
        cases=((_pattern(4, 4),), (_pattern(7, 7),), (_pattern(3, 5, 5),)),
        mistakes=(
            _forward,
            _from_first_query,
            _key_position,
            _top_key_only,
            _unweighted,
            _heads_together,
            _rows_and_columns,
            _second_query_too,
            _summed_over_queries,
        ),
    ),
    "7.2": Exercise(
        answer=_middle_and_width,
        cases=((_values(2, 5),), (_values(5, 3),), (_values(4, 6),)),
        mistakes=(
            _mean_and_width,
            _middle_and_std,
            _middle_and_range,
            _over_layers,
            _over_everything,
            _half_width,
            _middle_and_quartile,
            _middle_and_tenths,
            _width_first,
        ),
    ),
    "7.3": Exercise(
        answer=without_first_key,
        cases=((_pattern(3, 3),), (_pattern(6, 6),), (_pattern(3, 4, 4),)),
        mistakes=(
            _not_shared_out_again,
            _column_only,
            _emptied,
            _softmax_again,
            _shared_evenly,
            _by_column,
            _last_token_dropped,
            _row_only,
        ),
    ),
    "7.4": Exercise(
        answer=_share_high,
        cases=((_pattern(4, 4), 0.1), (_pattern(7, 7), 0.3), (_pattern(3, 5, 5), 0.2), (EVEN, 0.25)),
        mistakes=(
            _of_the_square,
            _first_queries_too,
            _queries_with,
            _weight_above,
            _share_low,
            _count_high,
            _more_than,
            _heads_counted_together,
        ),
    ),
    "7.5": Exercise(
        answer=_interval,
        cases=(_interval_case(4, 2, 5, 30), _interval_case(6, 3, 4, 41)),
        mistakes=(
            _not_drawn,
            _heads_pooled,
            _median_of_means,
            _ninety,
            _over_draws,
            _normal,
            _layers_together,
            _median_over_texts,
        ),
    ),
    "7.6": Exercise(
        answer=_head_share,
        cases=((3 + _values(4, 3),), (3 + _values(5, 7),)),
        mistakes=(
            _of_deviations,
            _swapped,
            _inner_variance,
            _of_a_sample,
            _not_divided,
            _not_centred,
            _rest_with_texts,
            _against_the_rest,
        ),
    ),
}
