"""Lesson 7: how the scores and the attention of the heads change from the first layer to the last."""

import numbers
from math import factorial, prod
from typing import NamedTuple

import numpy as np
import torch

from headlab._expect import (
    MOST_POINTS,
    expect,
    expect_flag,
    expect_list,
    expect_number,
    expect_points,
    expect_square,
    expect_whole,
    finite_array,
    shown,
)
from headlab.contrast import effective_tokens, row_contrast
from headlab.density import POINTS, fine_kde
from headlab.masking import causal_mask
from headlab.shift import bootstrap_ratio, shift_stats


class QueryProfile(NamedTuple):
    """What each query from the third on does with its attention, numpy arrays (..., T - 2)."""

    effective_tokens: np.ndarray
    top_share: np.ndarray
    first_share: np.ndarray
    previous_share: np.ndarray
    mean_step_back: np.ndarray


class Profile(NamedTuple):
    """Seven statistics of heads, numpy arrays of the leading shape (...), such as (head,) or (layer, head)."""

    median: np.ndarray
    fraction_negative: np.ndarray
    spread: np.ndarray
    effective_tokens: np.ndarray
    first_share: np.ndarray
    previous_share: np.ndarray
    mean_step_back: np.ndarray


class VarianceShares(NamedTuple):
    """Where the variance of a statistic comes from: four shares that sum to 1."""

    layer: float
    head: float
    text: float
    rest: float


class LargeWeights(NamedTuple):
    """How many large weights a query has on each kind of key, numpy arrays (...); their sum is how many it has."""

    first: np.ndarray
    previous: np.ndarray
    itself: np.ndarray
    elsewhere: np.ndarray


class Comparison(NamedTuple):
    """What `compare_groups` finds: numpy arrays by group and layer, and two numbers."""

    means: np.ndarray  # (group, layer)
    share: np.ndarray  # (layer,), of the variance over texts, what lies between the groups
    p: np.ndarray  # (layer,), corrected for the number of layers
    p_any: float  # of the layer with the largest share
    least_p: float  # that no result of these sizes could go below


def query_profile(pattern):
    """What each query does with its attention, from the third on: the first two have hardly any choice.

    pattern (..., query, key), T >= 3. Returns QueryProfile, each (..., T - 2): the effective number of tokens; the
    share of the largest, of the first and of the previous key; and the mean step back, from query to key, in tokens.
    Raises where pattern is not square or its rows are not shares that sum to 1.
    Introduced in lesson 7.

    >>> pattern = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]])
    >>> query_profile(pattern).effective_tokens.round(2)
    array([2.83])
    """
    later = _from_third_query(pattern)
    position = torch.arange(pattern.shape[-1], device="cpu")
    steps = position[2:, None] - position  # (query, key)
    return QueryProfile(
        effective_tokens=effective_tokens(later),
        top_share=later.amax(-1).numpy(),
        first_share=later[..., 0].numpy(),
        previous_share=later.diagonal(1, -2, -1).numpy(),
        mean_step_back=(later * steps).sum(-1).numpy(),
    )


def head_profile(raw, pattern):
    """The seven statistics of each head on one text.

    raw (..., T, T), raw scores, and pattern (..., T, T), the attention that they give. Returns Profile of shape
    (...): over the causal scores, their median and the fraction below zero; over the queries from the third on, the
    mean spread (standard deviation) of a row's scores, effective tokens, shares on the first and the previous key, and
    step back in tokens. Scores are in units of q.k. Raises where the shapes differ or T < 3.
    Introduced in lesson 7. Source: the report, which names the laminar profile.

    >>> from headlab.scores import attention_pattern
    >>> raw = torch.zeros(3, 3)
    >>> head_profile(raw, attention_pattern(raw, d_head=64)).first_share.round(2)
    np.float64(0.33)
    """
    queries = query_profile(pattern)
    expect_square(raw, "raw")
    expect(raw.shape == pattern.shape, "raw", f"the shape of pattern {tuple(pattern.shape)}", tuple(raw.shape))
    stats = shift_stats(raw)
    means = {name: getattr(queries, name).mean(-1) for name in Profile._fields[3:]}
    return Profile(stats.median, stats.fraction_negative, row_contrast(raw).spread, **means)


def laminar_profile(capture):
    """The seven statistics of every captured head: Profile of shape (captured layer, head).

    capture: what `capture_heads` returns for one text of at least 3 tokens; raises where it is something else. Holds
    one layer's scores at a time.
    Introduced in lesson 7. Source: the report, which names the laminar profile.

    >>> from headlab.capture import capture_heads
    >>> model, tokenizer = load_model("mini")
    >>> ids = tokenizer("The old man sat.", return_tensors="pt").input_ids
    >>> laminar_profile(capture_heads(model, ids)).median.shape  # (layer, head)
    (4, 12)
    """
    if not all(hasattr(capture, name) for name in ("layers", "scores", "pattern")):
        raise TypeError(f"capture: expected a HeadCapture, as capture_heads gives, got {shown(repr(capture))}")
    layers = [head_profile(capture.scores(layer), capture.pattern(layer)) for layer in capture.layers]
    return Profile(*(np.stack(values) for values in zip(*layers, strict=True)))


def without_first_key(pattern):
    """The pattern that is left when no query may look at the first token: (..., T - 1, T - 1), rows summing to 1 again.

    pattern (..., T, T), T >= 2. The other shares keep their proportions, so it is also the pattern of the scores
    without the first key. Raises where a query looks only at the first token.
    Introduced in lesson 7.

    >>> pattern = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]])
    >>> without_first_key(pattern)
    tensor([[1.0000, 0.0000],
            [0.3333, 0.6667]])
    """
    _expect_shares(pattern, at_least=2)
    return _shared_out(pattern[..., 1:, 1:])


def share_above(pattern, levels, drop_first_key=False):
    """The share of all (query, key) pairs whose attention is at least as high as each level.

    pattern (..., T, T), T >= 3; levels (level,), shares of 1; pairs are causal, of the queries from the third on. Where
    drop_first_key is set, the pairs of the same queries without the first key, once its share has been given to the
    others in proportion (`without_first_key`). Returns numpy (..., level). At most one pair of a row can reach more
    than 0.5, so compare only texts of one length. Raises where rows are not shares that sum to 1, or where the first
    key is dropped and a query looks at nothing else.
    Introduced in lesson 7.

    >>> pattern = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]])
    >>> share_above(pattern, levels=[0.1, 0.5]).round(2)
    array([1.  , 0.33])
    """
    later = _from_third_query(pattern)
    levels = finite_array(levels, "levels")
    expect(levels.ndim == 1 and levels.size >= 1, "levels", "at least one share (level,)", f"shape {levels.shape}")
    expect_flag(drop_first_key, "drop_first_key")
    visible = causal_mask(pattern.shape[-1])[2:]
    if drop_first_key:
        later, visible = _shared_out(later[..., 1:]), visible[:, 1:]
    weights = later[..., visible]
    return np.stack([(weights >= level).double().mean(-1).numpy() for level in levels], -1)


def large_weights(pattern, level=0.5):
    """Where the large weights lie: how many a query has on the first key, the previous one, itself and elsewhere.

    pattern (..., T, T), T >= 3; level: the share from which a weight counts as large, above 0 and at most 1. Returns
    LargeWeights, each (...): means over the queries from the third on, for which these four kinds are distinct. Raises
    where rows are not shares that sum to 1.
    Introduced in lesson 7.

    >>> pattern = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]])
    >>> large_weights(pattern).itself
    array(1.)
    """
    level = expect_number(level, "level", "a share above 0, at most 1")
    expect(0 < level <= 1, "level", "a share above 0, at most 1", level)
    large = (_from_third_query(pattern) >= level).double()  # (..., T - 2, T)
    first, previous, itself = large[..., 0], large.diagonal(1, -2, -1), large.diagonal(2, -2, -1)  # (..., T - 2)
    elsewhere = large.sum(-1) - first - previous - itself
    return LargeWeights(*(kind.mean(-1).numpy() for kind in (first, previous, itself, elsewhere)))


def layer_densities(scores, n_grid=None, bandwidth="scott"):
    """The density of each layer's scores, all on one grid, so that layers can be compared.

    scores: for each layer the causal scores of all its heads, an array or tensor of any shape (or for each head its
    own, where heads are to be compared); bandwidth as in `fast_kde`, a rule chooses for each layer by itself; n_grid:
    points of the grid, by default 512, or twice as many again and again until the narrowest layer shows. Returns the
    grid (n_grid,), which holds the grids that `fast_kde` gives for each layer, in units of q.k, and numpy
    (layer, n_grid). Raises as `fast_kde` does, and where n_grid points, or MOST_POINTS, would lose the narrowest layer.
    Introduced in lesson 7. Source: the report; lesson 6 for the density.

    >>> grid, densities = layer_densities([[-1.0, 0.0, 1.0], [-5.0, 0.0, 5.0]])
    >>> grid.shape, densities.shape
    ((512,), (2, 512))
    """
    scores = expect_list(scores, "scores", "an array of scores for each layer")
    least, most = (POINTS, MOST_POINTS) if n_grid is None else (expect_points(n_grid),) * 2
    curves = [fine_kde(layer, max(least, 4096), bandwidth) for layer in scores]
    low, high = min(x[0] for x, _ in curves), max(x[-1] for x, _ in curves)
    for n in _doubling(least, most):
        grid = np.linspace(low, high, n)
        densities = np.stack([np.interp(grid, x, density, left=0.0, right=0.0) for x, density in curves])
        if np.abs(np.trapezoid(densities, grid) - 1).max() <= 0.01:
            return grid, densities
    raise ValueError(f"n_grid: expected enough points to show the narrowest layer, got {n}, too few")


def _doubling(n, most):
    while n <= most:
        yield n
        n *= 2


def bootstrap_mean(values, level=0.95, n_resamples=2000, seed=0):
    """Confidence interval of the mean over texts, from resampled texts.

    values (text, ...), one number for each text, of at least two. Returns (low, high), numpy of shape (...): the
    percentile interval when whole texts are drawn with replacement. It holds for texts like these, and with few of them
    it is too narrow: for normally distributed values, a nominal 95% interval contains the mean in 75% of the cases for
    3 texts, 84% for 5, 89% for 8, 91% for 12 and 93% for 18. Where texts come in clusters, give it `cluster_means`.
    Introduced in lesson 7. Source: Efron and Tibshirani 1993, chapter 13; Hesterberg 2015, for the coverage.

    >>> low, high = bootstrap_mean([1.0, 2.0, 3.0, 6.0])
    >>> round(low.item(), 2), round(high.item(), 2)
    (1.5, 5.0)
    """
    values = finite_array(values, "values")
    expect(values.ndim >= 1 and len(values) >= 2, "values", "at least two texts (text, ...)", f"shape {values.shape}")
    return bootstrap_ratio(np.moveaxis(values, 0, -1), np.ones(len(values)), level, n_resamples, seed)


def cluster_means(values, clusters):
    """The mean over the texts of each cluster, such as a kind of text or a book: numpy (cluster, ...).

    values (text, ...); clusters: the name of each text's cluster. The clusters come in the order of their first texts.
    Texts of one cluster resemble each other, so clusters, not texts, are the units of an interval or a test.
    Introduced in lesson 7. Source: Davison and Hinkley 1997, section 3.8.

    >>> cluster_means(np.array([1.0, 3.0, 8.0]), ["prose", "prose", "list"])
    array([2., 8.])
    """
    values = finite_array(values, "values")
    names = expect_list(clusters, "clusters", "the name of each text's cluster")
    for name in names:  # two missing names would be no cluster, or one
        if not isinstance(name, str | numbers.Integral):
            expected = "a name for each text's cluster, letters or a whole number"
            raise TypeError(f"clusters: expected {expected}, got {shown(repr(name))}")
    fits = values.ndim >= 1 and len(names) == len(values)
    expect(fits, "clusters", f"one name for each text of values, shape {values.shape}", len(names))
    return np.stack([values[[other == name for other in names]].mean(0) for name in dict.fromkeys(names)])


def compare_groups(groups, n_resamples=9999, seed=0):
    """Do groups of texts differ in any layer? A permutation test of the largest difference over the layers.

    groups: for each group of texts an array (text, layer) or (text,), with two texts or more; two groups or more. In
    each layer the difference is the share of the texts' variance that lies between the groups' means: 0 where these
    agree, 1 where the texts of each group do. The texts are then dealt out to the groups anew, n_resamples times; p of
    a layer is the share of these groupings, the real one included, in which *some* layer has as large a difference. So
    p holds for all layers together: if there is no difference at all, some p is at most 0.05 in only one study of
    twenty. Returns Comparison. Texts must be independent: where they come in clusters, give `cluster_means`. Raises
    where the groups' layers differ in number.
    Introduced in lesson 7. Source: Fisher 1935 (shuffling), Westfall and Young 1993 (the largest over many).

    >>> groups = [np.array([1.0, 2.0, 1.5, 1.8]), np.array([5.0, 6.0, 5.5, 6.1])]
    >>> compare_groups(groups, n_resamples=99).p
    array([0.05])
    """
    groups = [finite_array(group, "groups") for group in expect_list(groups, "groups", "arrays (text, layer)")]
    groups = [group[:, None] if group.ndim == 1 else group for group in groups]
    shapes = [group.shape for group in groups]
    fits = len(groups) >= 2 and all(len(shape) == 2 and shape[0] >= 2 and shape[1] >= 1 for shape in shapes)
    expect(fits, "groups", "two or more arrays (text, layer), of at least two texts each", shapes)
    expect(len({shape[1] for shape in shapes}) == 1, "groups", "the same layers in each", shapes)
    n_resamples = expect_whole(n_resamples, "n_resamples", "a whole number from 1 to 100000")
    expect(1 <= n_resamples <= 100_000, "n_resamples", "a whole number from 1 to 100000", n_resamples)
    seed = expect_whole(seed, "seed", "a whole number >= 0")
    expect(seed >= 0, "seed", "a whole number >= 0", seed)

    texts, sizes = np.concatenate(groups), [len(group) for group in groups]
    means, spread = np.stack([group.mean(0) for group in groups]), np.ptp(texts, 0)
    # From 0 to 1 in each layer: so rounding makes no difference out of equal numbers, and no square is too small.
    texts = (texts - texts.min(0)) / np.where(spread > 0, spread, 1.0)
    centred = texts - texts.mean(0)  # (text, layer)
    member = np.repeat(np.eye(len(groups)), sizes, axis=0)  # (text, group), 1 where the text belongs to the group
    share = _share_between(centred, member)
    rng = np.random.default_rng(seed)
    largest = [_share_between(centred, rng.permutation(member)).max() for _ in range(n_resamples)]
    # Dealings that only exchange the groups give the same share but for rounding.
    reached = np.array(largest)[:, None] >= share - 1e-9  # (resample, layer)
    p = (1 + reached.sum(0)) / (1 + n_resamples)
    alike = prod(factorial(sizes.count(size)) for size in set(sizes))  # dealings that only exchange groups
    n_dealings = factorial(sum(sizes)) // prod(map(factorial, sizes))
    least = max(alike / n_dealings, 1 / (1 + n_resamples))
    return Comparison(means, share, p, float(p.min()), least)


def _share_between(centred, member):
    """Of the variance of texts (text, layer), centred, the share between groups, member (text, group): (layer,)."""
    between = ((member.T @ centred) ** 2 / member.sum(0)[:, None]).sum(0)  # (group, layer) summed over the groups
    total = (centred**2).sum(0)
    return np.divide(between, total, out=np.zeros_like(total), where=total > 0)


def variance_shares(values):
    """How much of a statistic's variance the layer, the head within it and the text explain, and how much is left.

    values (text, layer, head), at least two texts and not all equal. Returns VarianceShares, which sum to 1: the
    shares of the layers' means, of the heads' means about their layer's and of the texts' means, and the rest, which is
    what a head does on one text but not on another (and chance).
    Introduced in lesson 7. Source: Fisher 1925, analysis of variance (a layout with one value in each cell).

    >>> values = np.arange(8.0).reshape(2, 2, 2)  # (text, layer, head)
    >>> round(variance_shares(values).text, 2)
    0.76
    """
    values = finite_array(values, "values")
    fits = values.ndim == 3 and len(values) >= 2 and values.size > 0
    expect(fits, "values", "(text, layer, head), at least two texts", f"shape {values.shape}")
    centred = values - values.mean()
    total = (centred**2).mean()
    expect(total > 1e-20 * np.abs(values).max() ** 2, "values", "numbers that differ", "all the same")
    heads = centred.mean(0)  # (layer, head)
    layers = heads.mean(1)
    layer, text = (layers**2).mean() / total, (centred.mean((1, 2)) ** 2).mean() / total
    head = ((heads - layers[:, None]) ** 2).mean() / total
    return VarianceShares(float(layer), float(head), float(text), max(0.0, float(1 - layer - head - text)))


def _shared_out(others):
    """Rows of shares (..., query, key) without the first key, each divided by what is left of it."""
    sums = others.sum(-1, keepdim=True)
    expect((sums > 0).all(), "pattern", "queries that look at some other key too", "one with all on the first")
    return others / sums


def _from_third_query(pattern):
    """The checked rows of a pattern from the third on, float64 (..., T - 2, T)."""
    _expect_shares(pattern, at_least=3)
    return pattern.detach().cpu().double()[..., 2:, :]


def _expect_shares(pattern, at_least):
    """Raise unless pattern (..., T, T) holds causal rows of shares that sum to 1 (effective_tokens looks at these)."""
    expect_square(pattern, "pattern")
    expect(pattern.shape[-1] >= at_least, "pattern", f"at least {at_least} tokens (..., T, T)", tuple(pattern.shape))
    effective_tokens(pattern)
    expect(not pattern.triu(1).any(), "pattern", "shares of 0 in the future (mask the scores first)", "others")
