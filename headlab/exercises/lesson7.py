"""Lesson 7: reading ridgelines, what a mean hides, where weights lie, and whether a difference is real."""

import numpy as np
import torch

from headlab.exercises.engine import Exercise
from headlab.masking import causal_mask
from headlab.profiles import share_above, without_first_key
from headlab.scores import attention_pattern


def _pattern(*shape):
    scores = 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))
    return attention_pattern(scores, 1.0)


def _shared_pattern(*shape):
    """A pattern in which the first key never takes nearly all: one minus its share is then more than rounding."""
    return 0.9 * _pattern(*shape) + 0.1 * attention_pattern(torch.zeros(*shape), 1.0)


def _values(*shape):
    """Values with outliers, so that mean and median differ."""
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
    """only each query's top key is used: weight all steps by their shares"""
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
    """this is the share of the pairs below the level: subtract it from 1"""
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
    """the rows no longer sum to 1: divide each by its sum"""
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
    """the columns are made to sum to 1: a query's shares have to, so use dim=-1"""
    return pattern[..., 1:, 1:] / pattern[..., 1:, 1:].sum(-2, keepdim=True)


def _last_token_dropped(pattern):
    """the last token is dropped: drop the first, row 0 and column 0"""
    others = pattern[..., :-1, :-1]
    return others / others.sum(-1, keepdim=True)


def _row_only(pattern):
    """only row 0 is dropped: the others still look at the first token, so drop column 0 too and divide by the sum"""
    return pattern[..., 1:, :]


def ridgeline_puzzle():
    """Made-up raw scores of five layers for exercise 7.2: five arrays of 4,000.

    Introduced in lesson 7.

    >>> [len(layer) for layer in ridgeline_puzzle()]
    [4000, 4000, 4000, 4000, 4000]
    """
    rng = np.random.default_rng(72)
    far, near = rng.normal(-14, 3, 3200), rng.normal(6, 2, 800)
    layers = [(-5, 4), (-12, 1.5), None, (-6, 10), (-0.5, 2.5)]
    return [np.concatenate([far, near]) if layer is None else rng.normal(*layer, 4000) for layer in layers]


def _read():
    scores = ridgeline_puzzle()
    widest = int(np.argmax([layer.std() for layer in scores]))
    above = int(np.argmax([(layer > 0).mean() for layer in scores]))
    return widest, 2, above  # the one layer that is made of two


def _tallest():
    """a tall peak belongs to a narrow layer: all areas are the same, so wide layers are low. Look at the first again"""
    return 1, 2, 4


def _two_hills_are_wide():
    """two hills lie apart, but the scores of another layer reach farther on both sides: look at the first again"""
    return 2, 2, 4


def _wide_for_two():
    """a wide hill is still one: look for a layer whose curve falls and rises again. Look at the second again"""
    return 3, 3, 4


def _second_hill_above():
    """the second hill lies right of the dashed line, but it is small: compare areas. Look at the third again"""
    return 3, 2, 2


def _farthest_right():
    """that layer reaches farthest to the right, but most of its area lies left of zero. Look at the third again"""
    return 3, 2, 3


def _tall_for_many():
    """the tallest peak lies wholly left of the dashed line: compare the areas right of it. Look at the third again"""
    return 3, 2, 1


def _from_the_bottom():
    """you counted from the bottom: the first layer, 0, stands at the top"""
    return 1, 2, 0


def _from_one():
    """you counted from 1: the first layer is layer 0"""
    return 4, 3, 5


def _other_order():
    """the last two are swapped: first the widest, then the one with two hills, then the one with most above zero"""
    return 3, 4, 2


def _misread(results, cases):
    """What to say of a reading that is not a known mistake, without giving the answer away."""
    try:
        read = [int(layer) for layer in results[0]]
    except (TypeError, ValueError):
        return "return three layer numbers, such as (0, 1, 2)"
    if len(read) != 3:
        return f"return three layer numbers, such as (0, 1, 2), not {len(read)}"
    right = sum(a == b for a, b in zip(read, _read(), strict=True))
    return f"{right} of the three are right: width is how far a curve reaches, amount is area, and 0 is at the top"


def _misled(values):
    middles = np.median(values, 1)
    layer = np.abs(values.mean(1) - middles).argmax()
    return int(layer), int(np.abs(values[layer] - middles[layer]).argmax())


def _above_only(values):
    """only layers whose mean lies above the median are found: a mean can be pulled down as well (np.abs)"""
    middles = np.median(values, 1)
    layer = (values.mean(1) - middles).argmax()
    return int(layer), int(np.abs(values[layer] - middles[layer]).argmax())


def _widest_layer(values):
    """this is the layer whose heads differ most: a mean can be right there, if they differ equally to both sides"""
    layer = values.std(1).argmax()
    return int(layer), int(np.abs(values[layer] - np.median(values[layer])).argmax())


def _highest_head(values):
    """the layer is right, but the head is the one with the highest value: the odd one may lie below the others"""
    layer = _misled(values)[0]
    return layer, int(values[layer].argmax())


def _lowest_head(values):
    """the layer is right, but the head is the one with the lowest value: the odd one may lie above the others"""
    layer = _misled(values)[0]
    return layer, int(values[layer].argmin())


def _most_agreeing(values):
    """this is the layer whose mean and median agree best: find where they lie farthest apart"""
    layer = np.abs(values.mean(1) - np.median(values, 1)).argmin()
    return int(layer), int(np.abs(values[layer] - np.median(values[layer])).argmax())


def _heads_for_layers(values):
    """mean and median are taken over the layers: heads are the last axis, so use axis=1"""
    middles = np.median(values, 0)
    head = np.abs(values.mean(0) - middles).argmax()
    return int(head), int(np.abs(values[:, head] - middles[head]).argmax())


def _head_first(values):
    """the two numbers are swapped: first the layer, then the head"""
    return _misled(values)[::-1]


def _oddest_of_all(values):
    """this is the head farthest from its layer's median in any layer: first find the layer whose mean misleads most"""
    place = np.abs(values - np.median(values, 1, keepdims=True)).argmax()
    return tuple(int(i) for i in np.unravel_index(place, values.shape))


def _middle_head(values):
    """the layer is right, but the head is the one nearest to the median: find the one farthest from it"""
    layer = _misled(values)[0]
    return layer, int(np.abs(values[layer] - np.median(values[layer])).argmin())


def _groups_case(seed, n_first, n_second, n_layers, n_draws):
    """Whole numbers, four or eight texts in a group, so that means are exact and some draws tie with the real ones."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(-3, 4, (n_first, n_layers)), rng.integers(-3, 4, (n_second, n_layers))
    first[:, 0] -= 2
    draws = np.stack([rng.permutation(n_first + n_second) for _ in range(n_draws - 2)])
    same = np.arange(n_first + n_second)  # two draws that give the real groups again, one of them in another order
    draws = np.concatenate([draws, [same, np.concatenate([same[:n_first][::-1], same[n_first:][::-1]])]])
    return first.astype(float), second.astype(float), draws


def _dealt(first, second, draws):
    """The differences of the groups' means, the real ones (layer,) and those of each draw (draw, layer)."""
    dealt = np.concatenate([first, second])[draws]  # (draw, text, layer)
    return first.mean(0) - second.mean(0), dealt[:, : len(first)].mean(1) - dealt[:, len(first) :].mean(1)


def _p(first, second, draws):
    real, others = _dealt(first, second, draws)
    return (1 + (np.abs(others).max(1) >= np.abs(real).max()).sum()) / (1 + len(draws))


def _each_layer_alone(first, second, draws):
    """each layer has a p of its own: compare the largest difference over the layers, one number for each draw"""
    real, others = _dealt(first, second, draws)
    return (1 + (np.abs(others) >= np.abs(real)).sum(0)) / (1 + len(draws))


def _best_layer(first, second, draws):
    """this is the smallest of the layers' p, and one of many is small by chance: take the largest of each draw"""
    return _each_layer_alone(first, second, draws).min()


def _real_one_missing(first, second, draws):
    """the real groups are not counted, so p could be 0: add 1 to both counts"""
    real, others = _dealt(first, second, draws)
    return (np.abs(others).max(1) >= np.abs(real).max()).mean()


def _strictly_larger(first, second, draws):
    """draws with exactly the real difference count too: at least as large means >=, not >"""
    real, others = _dealt(first, second, draws)
    return (1 + (np.abs(others).max(1) > np.abs(real).max()).sum()) / (1 + len(draws))


def _one_side(first, second, draws):
    """only differences in one direction are counted: take absolute values before the maximum"""
    real, others = _dealt(first, second, draws)
    return (1 + (others.max(1) >= real.max()).sum()) / (1 + len(draws))


def _mean_over_layers(first, second, draws):
    """the differences are averaged over the layers, where they cancel: take the largest over the layers"""
    real, others = _dealt(first, second, draws)
    return (1 + (np.abs(others.mean(1)) >= np.abs(real.mean())).sum()) / (1 + len(draws))


def _other_share(first, second, draws):
    """this is the share of draws with a smaller difference: p is the share with one at least as large"""
    real, others = _dealt(first, second, draws)
    return (1 + (np.abs(others).max(1) < np.abs(real).max()).sum()) / (1 + len(draws))


def _any_layer_beats_its_own(first, second, draws):
    """each layer is compared with its own real difference, which is small somewhere: take the largest real one"""
    real, others = _dealt(first, second, draws)
    return (1 + (np.abs(others) >= np.abs(real)).any(1).sum()) / (1 + len(draws))


def _one_more_below(first, second, draws):
    """1 is added only to the number of draws: the real groups are one more draw, so add 1 to both counts"""
    real, others = _dealt(first, second, draws)
    return (np.abs(others).max(1) >= np.abs(real).max()).sum() / (1 + len(draws))


def _interval_case(n_texts, n_layers, n_heads, n_resamples):
    draws = np.random.default_rng(n_texts).integers(n_texts, size=(n_resamples, n_texts))
    return 5 * _values(n_texts, n_layers, n_heads), draws


def _interval(values, draws):
    means = np.median(values, -1)[draws].mean(1)
    return tuple(np.quantile(means, [0.025, 0.975], axis=0))


def _not_drawn(values, draws):
    """the resamples are not used: this is where 95% of single texts lie, much wider than an interval of their mean"""
    return tuple(np.quantile(np.median(values, -1), [0.025, 0.975], axis=0))


def _heads_pooled(values, draws):
    """the heads are averaged: take the median over heads within each text first"""
    return tuple(np.quantile(values.mean(-1)[draws].mean(1), [0.025, 0.975], axis=0))


def _median_of_means(values, draws):
    """the texts are averaged before the heads' median: first the median of each text, then the mean over texts"""
    return tuple(np.quantile(np.median(values[draws].mean(1), -1), [0.025, 0.975], axis=0))


def _ninety(values, draws):
    """this is a 90% interval: 95% leaves 2.5% out on each side"""
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
    """the rest still contains the texts' share: subtract both shares from 1"""
    heads, texts, _ = _head_share(values)
    return heads, texts, 1 - heads


def _against_the_rest(values):
    """the heads' and the texts' variances are divided by the rest: divide by the variance of all the values"""
    heads, texts, rest = _head_share(values)
    return heads / rest, texts / rest, 1.0


# Heads that lie far apart, but evenly, in layers 0 and 2, and an odd one below the others in layer 1.
EVEN_AND_ODD = np.array([[-9.0, -9.5, 9.0, 9.5, 0.5], [1.0, 1.1, 0.9, 1.05, -5.0], [-11.0, 0.1, 0.0, 0.0, 11.2]])
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
        answer=_read,
        cases=((),),
        mistakes=(
            _tallest,
            _two_hills_are_wide,
            _wide_for_two,
            _second_hill_above,
            _farthest_right,
            _tall_for_many,
            _from_the_bottom,
            _from_one,
            _other_order,
        ),
        wrong=_misread,
    ),
    "7.3": Exercise(
        answer=_misled,
        cases=(
            (_values(3, 6),),
            (_values(5, 4),),
            (_values(4, 9),),
            (-np.abs(_values(4, 7)),),
            (EVEN_AND_ODD,),
        ),
        mistakes=(
            _above_only,
            _widest_layer,
            _highest_head,
            _lowest_head,
            _most_agreeing,
            _heads_for_layers,
            _head_first,
            _oddest_of_all,
            _middle_head,
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
        answer=_p,
        cases=(_groups_case(1, 4, 4, 3, 40), _groups_case(2, 4, 8, 5, 60), _groups_case(3, 8, 4, 2, 50)),
        mistakes=(
            _each_layer_alone,
            _best_layer,
            _real_one_missing,
            _strictly_larger,
            _one_side,
            _mean_over_layers,
            _other_share,
            _any_layer_beats_its_own,
            _one_more_below,
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
    "7.7": Exercise(
        answer=without_first_key,
        cases=((_shared_pattern(3, 3),), (_shared_pattern(6, 6),), (_shared_pattern(3, 4, 4),)),
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
    "7.8": Exercise(
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
}
