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
    """the steps are negative: subtract the key's position from the query's, i - j"""
    return -_mean_step(pattern)


def _from_first_query(pattern):
    """queries 0 and 1 are averaged too: start with the third query, number 2"""
    return (pattern * _distance(pattern)).sum(-1).mean(-1)


def _key_position(pattern):
    """this is the mean position of the key: subtract it from the query's position"""
    return (pattern * torch.arange(pattern.shape[-1])).sum(-1)[..., 2:].mean(-1)


def _top_key_only(pattern):
    """only each query's top key is used: weight all steps by their shares"""
    top = pattern.argmax(-1)
    return (torch.arange(pattern.shape[-1]) - top).float()[..., 2:].mean(-1)


def _unweighted(pattern):
    """the shares play no part: multiply each step by its share before you add up"""
    return _distance(pattern).clamp(min=0).float().sum(-1)[..., 2:].mean(-1).expand(pattern.shape[:-2])


def _heads_together(pattern):
    """the heads are averaged too: return one number for each head, so keep every axis but the last two"""
    return _mean_step(pattern).mean()


def _rows_and_columns(pattern):
    """keys 0 and 1 are left out: sum each row over all its keys, the last axis, and leave out queries 0 and 1"""
    return (pattern * _distance(pattern)).sum(-2)[..., 2:].mean(-1)


def _second_query_too(pattern):
    """query 1 is averaged too, which can only go back one step: start with the third query, number 2"""
    return (pattern * _distance(pattern)).sum(-1)[..., 1:].mean(-1)


def _from_fourth_query(pattern):
    """the third query is left out: it is number 2, so start there"""
    return (pattern * _distance(pattern)).sum(-1)[..., 3:].mean(-1)


def _summed_over_queries(pattern):
    """this is the sum over the queries: take their mean"""
    return (pattern * _distance(pattern)).sum(-1)[..., 2:].sum(-1)


def _mean_over_keys(pattern):
    """the mean over the keys divides each row by T: the shares are the weights, so sum over the keys"""
    return (pattern * _distance(pattern)).mean(-1)[..., 2:].mean(-1)


def _rows_numbered_anew(pattern):
    """the rows that are left count from 0 again: the first of them is query 2, so cut after you sum over the keys"""
    return _mean_step(pattern) - 2


def _share_high(pattern, level):
    return torch.from_numpy(share_above(pattern, [level])[..., 0])


def _of_the_square(pattern, level):
    """the future is counted among the pairs: divide by the number of causal pairs, which is i + 1 for query i"""
    return (pattern[..., 2:, :] >= level).double().mean((-2, -1))


def _first_queries_too(pattern, level):
    """queries 0 and 1 are counted too: start with the third query, number 2"""
    return (pattern[..., causal_mask(pattern.shape[-1])] >= level).double().mean(-1)


def _second_query_counted(pattern, level):
    """query 1 is counted too: start with the third query, number 2"""
    return (pattern[..., 1:, :][..., causal_mask(pattern.shape[-1])[1:]] >= level).double().mean(-1)


def _third_query_left_out(pattern, level):
    """the third query is left out: it is number 2, so start there"""
    return (pattern[..., 3:, :][..., causal_mask(pattern.shape[-1])[3:]] >= level).double().mean(-1)


def _of_all_pairs(pattern, level):
    """the count is divided by all causal pairs: leave out the three pairs of queries 0 and 1 there too"""
    return (pattern[..., 2:, :] >= level).double().sum((-2, -1)) / causal_mask(pattern.shape[-1]).sum()


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
    """the heads are counted together: return one number for each head, so keep every axis but the last two"""
    return _share_high(pattern, level).mean()


def _mean_of_rows(pattern, level):
    """the rows' shares are averaged, so a short row weighs as much as a long one: pool all pairs"""
    visible = causal_mask(pattern.shape[-1])[2:].sum(-1)
    return ((pattern[..., 2:, :] >= level).double().sum(-1) / visible).mean(-1)


def _not_shared_out_again(pattern):
    """the rows no longer sum to 1: divide each by the sum of the shares that are left"""
    return pattern[..., 1:, 1:]


def _column_only(pattern):
    """row 0 is still there, with no key left (0 / 0 gives nan): drop it along with column 0"""
    others = pattern[..., :, 1:]
    return others / others.sum(-1, keepdim=True)


def _emptied(pattern):
    """column 0 is set to 0 but still there: cut it off"""
    others = pattern.clone()
    others[..., 0] = 0
    return (others / others.sum(-1, keepdim=True))[..., 1:, :]


def _softmax_again(pattern):
    """a second softmax makes the shares more even: divide each row by its sum instead"""
    return attention_pattern(pattern[..., 1:, 1:], 1.0)


def _shared_evenly(pattern):
    """the first key's share goes to the others in equal parts: keep their proportions, so divide each row by its sum"""
    n = torch.arange(1, pattern.shape[-1])[:, None]
    return (pattern[..., 1:, 1:] + pattern[..., 1:, :1] / n).tril()


def _by_column(pattern):
    """each column sums to 1: divide each row by its own sum, with dim=-1"""
    return pattern[..., 1:, 1:] / pattern[..., 1:, 1:].sum(-2, keepdim=True)


def _last_token_dropped(pattern):
    """the last token is dropped: drop the first, row 0 and column 0"""
    others = pattern[..., :-1, :-1]
    return others / others.sum(-1, keepdim=True)


def _row_only(pattern):
    """only row 0 is dropped: drop column 0 too, and divide each row by its sum"""
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
    """all areas are the same, so the layer with the tallest peak is the narrowest: look at your first number again"""
    return 1, 2, 4


def _two_hills_are_wide():
    """another layer reaches farther on both sides than the one with two hills: look at your first number again"""
    return 2, 2, 4


def _wide_for_two():
    """a wide hill is still one hill: for your second number, find the curve that falls and rises again"""
    return 3, 3, 4


def _second_hill_above():
    """the hill right of the dashed line is small: for your third number, compare areas"""
    return 3, 2, 2


def _farthest_right():
    """the layer that reaches farthest right has most of its area left of zero: for your third number, compare areas"""
    return 3, 2, 3


def _tall_for_many():
    """the tallest peak lies left of the dashed line: for your third number, compare the areas right of it"""
    return 3, 2, 1


def _from_the_bottom():
    """you counted from the bottom: count from the top, where layer 0 is"""
    return 1, 2, 0


def _from_one():
    """you counted from 1: count from 0, as the labels do"""
    return 4, 3, 5


def _other_order():
    """the last two are swapped: return the layer with two hills second, and the one with most above zero third"""
    return 3, 4, 2


def _misread(results, cases):
    """What to say of a reading that is not a known mistake, without giving the answer away."""
    wanted = "return three layer numbers, such as (0, 1, 2)"
    try:
        read = [int(layer) for layer in results[0]]
    except (TypeError, ValueError):
        return wanted
    if len(read) != 3:
        return f"{wanted}, not {len(read)}"
    right = sum(a == b for a, b in zip(read, _read(), strict=True))
    if right == 3:  # in words, or not whole
        return wanted
    told = f"{right} of the three {'is' if right == 1 else 'are'} right"
    return f"{told}: compare how far curves reach, their hills, their areas right of zero; layer 0 is at the top"


def _misled(values):
    middles = np.median(values, 1)
    layer = np.abs(values.mean(1) - middles).argmax()
    return int(layer), int(np.abs(values[layer] - middles[layer]).argmax())


def _above_only(values):
    """only means above their median count: a mean can be pulled down as well, so take np.abs of the difference"""
    middles = np.median(values, 1)
    layer = (values.mean(1) - middles).argmax()
    return int(layer), int(np.abs(values[layer] - middles[layer]).argmax())


def _widest_layer(values):
    """this is the layer whose heads differ most, but its mean may be right: compare mean and median"""
    layer = values.std(1).argmax()
    return int(layer), int(np.abs(values[layer] - np.median(values[layer])).argmax())


def _highest_head(values):
    """the layer is right, but the head has the highest value: find the one farthest from the median, above or below"""
    layer = _misled(values)[0]
    return layer, int(values[layer].argmax())


def _lowest_head(values):
    """the layer is right, but the head has the lowest value: find the one farthest from the median, above or below"""
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


def _farthest_from_mean(values):
    """the layer is right, but the head is the one farthest from the mean: find the one farthest from the median"""
    layer = _misled(values)[0]
    return layer, int(np.abs(values[layer] - values[layer].mean()).argmax())


def _largest_in_size(values):
    """the layer is right, but the head is the one with the largest absolute value: subtract the median first"""
    layer = _misled(values)[0]
    return layer, int(np.abs(values[layer]).argmax())


def _from_overall_median(values):
    """the layer is right, but the head is the one farthest from the median of all values: take its layer's median"""
    layer = _misled(values)[0]
    return layer, int(np.abs(values[layer] - np.median(values)).argmax())


def _sizes_compared(values):
    """the signs of mean and median are lost, and they may differ: subtract first, then take np.abs"""
    middles = np.median(values, 1)
    layer = np.abs(np.abs(values.mean(1)) - np.abs(middles)).argmax()
    return int(layer), int(np.abs(values[layer] - middles[layer]).argmax())


def _lower_middle(values):
    """with an even number of heads, the median lies halfway between the middle two: use np.median"""
    middles = np.sort(values, 1)[:, (values.shape[1] - 1) // 2]
    layer = np.abs(values.mean(1) - middles).argmax()
    return int(layer), int(np.abs(values[layer] - middles[layer]).argmax())


def _groups_case(seed, n_first, n_second, n_layers, n_draws):
    """Whole numbers, four or eight texts in a group, so that means are exact and some draws tie with the real ones."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(-3, 4, (n_first, n_layers)), rng.integers(-3, 4, (n_second, n_layers))
    first[:, 0] -= 2
    for group in (first, second):  # where scores spread, differences are large by chance
        group[:, -1] *= 2
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
    """this is the p of the best layer, and the best of many is small by chance: take each draw's largest difference"""
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
    """each layer is compared with its own real difference: compare each draw's largest with the largest real one"""
    real, others = _dealt(first, second, draws)
    return (1 + (np.abs(others) >= np.abs(real)).any(1).sum()) / (1 + len(draws))


def _layer_chosen_first(first, second, draws):
    """only the layer with the largest real difference is looked at: take the largest over all layers in each draw"""
    real, others = np.abs(_dealt(first, second, draws)[0]), np.abs(_dealt(first, second, draws)[1])
    return (1 + (others[:, real.argmax()] >= real.max()).sum()) / (1 + len(draws))


def _one_more_below(first, second, draws):
    """1 is added only to the number of draws: the real groups are one more draw, so add 1 to both counts"""
    real, others = _dealt(first, second, draws)
    return (np.abs(others).max(1) >= np.abs(real).max()).sum() / (1 + len(draws))


def _one_more_above(first, second, draws):
    """1 is added only to the number of draws that reach the real difference: divide by one draw more, too"""
    real, others = _dealt(first, second, draws)
    return (1 + (np.abs(others).max(1) >= np.abs(real).max()).sum()) / len(draws)


def _interval_case(n_texts, n_layers, n_heads, n_resamples):
    draws = np.random.default_rng(n_texts).integers(n_texts, size=(n_resamples, n_texts))
    return 5 * _values(n_texts, n_layers, n_heads), draws


def _interval(values, draws):
    means = np.median(values, -1)[draws].mean(1)
    return tuple(np.quantile(means, [0.025, 0.975], axis=0))


def _not_drawn(values, draws):
    """the resamples are not used, so this is where 95% of single texts lie: average the texts of each resample first"""
    return tuple(np.quantile(np.median(values, -1), [0.025, 0.975], axis=0))


def _heads_pooled(values, draws):
    """the heads are averaged: take the median over heads within each text first"""
    return tuple(np.quantile(values.mean(-1)[draws].mean(1), [0.025, 0.975], axis=0))


def _median_of_means(values, draws):
    """the texts are averaged before the heads' median: first the median of each text, then the mean over texts"""
    return tuple(np.quantile(np.median(values[draws].mean(1), -1), [0.025, 0.975], axis=0))


def _ninety(values, draws):
    """this is a 90% interval: take the quantiles 0.025 and 0.975"""
    return tuple(np.quantile(np.median(values, -1)[draws].mean(1), [0.05, 0.95], axis=0))


def _over_draws(values, draws):
    """the mean runs over the resamples: take it over the texts, axis 1 of (resample, text, layer)"""
    return tuple(np.quantile(np.median(values, -1)[draws].mean(0), [0.025, 0.975], axis=0))


def _normal(values, draws):
    """this is the mean plus and minus 1.96 standard errors: read the quantiles of the resampled means instead"""
    means = np.median(values, -1)[draws].mean(1)
    return means.mean(0) - 1.96 * means.std(0), means.mean(0) + 1.96 * means.std(0)


def _layers_together(values, draws):
    """the quantiles are taken over all layers at once: pass axis=0, the resamples, to np.quantile"""
    return tuple(np.quantile(np.median(values, -1)[draws].mean(1), [0.025, 0.975]))


def _median_over_texts(values, draws):
    """the median over the drawn texts is taken: take the median over heads, but the mean over texts"""
    return tuple(np.quantile(np.median(np.median(values, -1)[draws], 1), [0.025, 0.975], axis=0))


def _in_percent(values, draws):
    """np.percentile counts in percent: pass it 2.5 and 97.5, or use np.quantile"""
    return tuple(np.quantile(np.median(values, -1)[draws].mean(1), [0.00025, 0.00975], axis=0))


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
    """these are variances within heads and within texts: take the variance of their means"""
    total = values.var()
    heads, texts = values.var(0).mean() / total, values.var(1).mean() / total
    return heads, texts, 1 - heads - texts


def _of_a_sample(values):
    """these variances divide by n - 1: divide by n, as np.var does"""
    heads, texts = (values.mean(axis).var(ddof=1) / values.var(ddof=1) for axis in (0, 1))
    return heads, texts, 1 - heads - texts


def _not_divided(values):
    """these are variances: divide each by the variance of all the values"""
    return tuple(share * values.var() for share in _head_share(values))


def _not_centred(values):
    """the squares are taken about 0: subtract the mean first, as np.var does"""
    heads, texts, total = ((v**2).mean() for v in (values.mean(0), values.mean(1), values))
    return heads / total, texts / total, 1 - (heads + texts) / total


def _rest_with_texts(values):
    """the rest still contains the texts' share: subtract both shares from 1"""
    heads, texts, _ = _head_share(values)
    return heads, texts, 1 - heads


def _texts_with_the_rest(values):
    """the second number holds the rest too: divide the variance of the texts' means by the variance of all values"""
    heads = _head_share(values)[0]
    return heads, 1 - heads, 0.0


def _against_the_rest(values):
    """the heads' and the texts' variances are divided by the rest: divide by the variance of all the values"""
    heads, texts, rest = _head_share(values)
    return heads / rest, texts / rest, 1.0


# Heads that lie far apart, but evenly, in layers 0 and 2, and an odd one below the others in layer 1.
EVEN_AND_ODD = np.array([[-9.0, -9.5, 9.0, 9.5, 0.5], [1.0, 1.1, 0.9, 1.05, -5.0], [-11.0, 0.1, 0.0, 0.0, 11.2]])
# Layer 1 is right in both. In the first its mean and median have opposite signs, and another head than the one farthest
# from the median lies farthest from the mean; in the second one of the two middle heads would make layer 0 the answer.
ACROSS_ZERO = np.array([[23.0, 23.1, 22.9, 23.2, 21.3], [5.0, 1.0, 0.5, -4.5, -4.4], [0.8, 0.9, 1.0, 1.1, 1.2]])
TWO_MIDDLES = np.array([[38.6, 38.62, 38.8, 41.2, 41.25, 44.6], [-10.0, -9.9, -9.8, -9.7, -9.6, -5.9]])
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
            _from_fourth_query,
            _summed_over_queries,
            _mean_over_keys,
            _rows_numbered_anew,
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
            (ACROSS_ZERO,),
            (TWO_MIDDLES,),
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
            _farthest_from_mean,
            _largest_in_size,
            _from_overall_median,
            _sizes_compared,
            _lower_middle,
        ),
    ),
    "7.4": Exercise(
        answer=_share_high,
        cases=((_pattern(4, 4), 0.1), (_pattern(7, 7), 0.3), (_pattern(3, 5, 5), 0.2), (EVEN, 0.25)),
        mistakes=(
            _of_the_square,
            _first_queries_too,
            _second_query_counted,
            _third_query_left_out,
            _of_all_pairs,
            _queries_with,
            _weight_above,
            _share_low,
            _count_high,
            _more_than,
            _heads_counted_together,
            _mean_of_rows,
        ),
    ),
    "7.5": Exercise(
        answer=_p,
        cases=(
            _groups_case(1, 4, 4, 3, 40),
            _groups_case(2, 4, 8, 5, 240),
            _groups_case(3, 8, 4, 2, 200),
            _groups_case(4, 4, 4, 6, 100),
            _groups_case(5, 8, 4, 4, 160),
        ),
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
            _one_more_above,
            _layer_chosen_first,
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
            _texts_with_the_rest,
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
            _in_percent,
        ),
    ),
}
