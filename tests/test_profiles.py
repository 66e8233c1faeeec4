"""Lesson 7's statistics, against loops on uneven sizes, and real GPT-2's profile, against the recordings."""

import importlib
import itertools
import math
import statistics
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import GPT2Tokenizer

from headlab.capture import capture_heads
from headlab.density import fast_kde
from headlab.masking import causal_mask
from headlab.plots import (
    IN_TURN,
    MAPS,
    plot_by_layer,
    plot_head_clusters,
    plot_head_densities,
    plot_layer_densities,
)
from headlab.profiles import (
    Profile,
    bootstrap_mean,
    cluster_means,
    compare_groups,
    head_profile,
    laminar_profile,
    large_weights,
    layer_densities,
    query_profile,
    share_above,
    variance_shares,
    without_first_key,
)
from headlab.scores import attention_pattern
from headlab.shift import causal_scores, gpt2_reference
from headlab.texts import MORE, TEXTS

TOOLS = Path(__file__).parents[1] / "tools"
MEDIANS = [-7.7, -8.8, -24.5, -28.7, -20.8, -13.2, -14.5, -10.9, -8.3, -6.6, -0.8, 5.4]


def scores_of(*shape, seed=0):
    """Scores whose future is far off, so that counting it shows."""
    scores = 4 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1
    return torch.where(causal_mask(shape[-1]), scores, 1000.0)


def slow_profile(raw, pattern):
    """The seven statistics of one head, from loops over plain numbers."""
    raw, pattern, n = raw.tolist(), pattern.tolist(), len(raw)
    scores = [raw[i][j] for i in range(n) for j in range(i + 1)]
    queries = range(2, n)
    means = {
        "spread": [statistics.pstdev(raw[i][: i + 1]) for i in queries],
        "effective_tokens": [math.exp(-sum(p * math.log(p) for p in pattern[i] if p > 0)) for i in queries],
        "first_share": [pattern[i][0] for i in queries],
        "previous_share": [pattern[i][i - 1] for i in queries],
        "mean_step_back": [sum(pattern[i][j] * (i - j) for j in range(i + 1)) for i in queries],
    }
    return Profile(
        median=statistics.median(scores),
        fraction_negative=sum(score < 0 for score in scores) / len(scores),
        **{name: sum(values) / len(values) for name, values in means.items()},
    )


# Statistics of a head


@given(heads=st.integers(1, 3), n=st.integers(3, 9), seed=st.integers(0, 99))
def test_the_seven_statistics_equal_loops(heads, n, seed):
    raw = scores_of(heads, n, n, seed=seed)
    pattern = attention_pattern(raw, 4)
    before = raw.clone(), pattern.clone()
    profile = head_profile(raw, pattern)
    for head in range(heads):
        expected = slow_profile(raw[head], pattern[head])
        for name in Profile._fields:
            assert getattr(profile, name)[head] == pytest.approx(getattr(expected, name), rel=1e-9, abs=1e-9), name
    assert torch.equal(raw, before[0]) and torch.equal(pattern, before[1])


@pytest.mark.parametrize("shape", [(5, 5), (2, 5, 5), (3, 2, 4, 4)])
def test_leading_axes_stay(shape):
    raw = scores_of(*shape)
    pattern = attention_pattern(raw, 4)
    whole = head_profile(raw, pattern)
    for values in whole:
        assert values.shape == shape[:-2]
    for values in query_profile(pattern):
        assert values.shape == (*shape[:-2], shape[-1] - 2)
    for place in np.ndindex(*shape[:-2]):
        for values, one in zip(whole, head_profile(raw[place], pattern[place]), strict=True):
            assert values[place] == pytest.approx(one, rel=1e-12)


def test_heads_that_do_one_thing():
    n = 6
    previous = torch.zeros(n, n)
    previous[0, 0] = 1
    previous[torch.arange(1, n), torch.arange(n - 1)] = 1
    first = torch.zeros(n, n)
    first[:, 0] = 1
    queries = query_profile(torch.stack([previous, first, torch.eye(n)]))
    assert np.array_equal(queries.mean_step_back, [[1] * 4, [2, 3, 4, 5], [0] * 4])
    assert np.array_equal(queries.previous_share, [[1] * 4, [0] * 4, [0] * 4])
    assert np.array_equal(queries.first_share, [[0] * 4, [1] * 4, [0] * 4])
    assert np.array_equal(queries.top_share, np.ones((3, 4))) and np.allclose(queries.effective_tokens, 1)


def test_a_models_profile_is_that_of_its_layers(odd_gpt2):
    model, ids = odd_gpt2(scale_attn_by_inverse_layer_idx=True), torch.arange(7)
    capture = capture_heads(model, ids)
    profile = laminar_profile(capture)
    attentions = model(ids[None], output_attentions=True).attentions
    for layer in range(2):
        for head in range(3):
            expected = slow_profile(capture.scores(layer, head), attentions[layer][0, head].detach())
            for name in Profile._fields:
                assert getattr(profile, name)[layer, head] == pytest.approx(getattr(expected, name), rel=1e-4, abs=1e-5)
    only = laminar_profile(capture_heads(model, ids, layers=[1]))
    assert only.spread.shape == (1, 3) and np.allclose(only.spread[0], profile.spread[1])


def test_a_longer_text_leaves_its_first_queries_alone():
    raw = scores_of(2, 9, 9)
    whole = query_profile(attention_pattern(raw, 4))
    for values, cut in zip(whole, query_profile(attention_pattern(raw[:, :5, :5], 4)), strict=True):
        assert np.allclose(values[:, :3], cut)


# Without the first key, and pairs above a level


@given(heads=st.integers(1, 3), n=st.integers(2, 8), seed=st.integers(0, 99))
def test_the_pattern_without_the_first_key_is_that_of_the_other_scores(heads, n, seed):
    raw = scores_of(heads, n, n, seed=seed)
    expected = attention_pattern(raw[:, 1:, 1:], 4)
    assert torch.allclose(without_first_key(attention_pattern(raw, 4)), expected, rtol=1e-9, atol=1e-12)


@given(heads=st.integers(1, 3), n=st.integers(3, 8), seed=st.integers(0, 99), drop=st.booleans())
def test_pairs_above_a_level_equal_a_loop(heads, n, seed, drop):
    pattern, levels = attention_pattern(scores_of(heads, n, n, seed=seed), 4), [0.0, 0.05, 0.3, 1.0]
    shares = share_above(pattern, levels, drop_first_key=drop)
    assert shares.shape == (heads, 4)
    for head in range(heads):
        rows = pattern[head].tolist()
        left = [sum(row[int(drop) :]) for row in rows]  # what the keys that stay have together
        weights = [rows[i][j] / left[i] for i in range(2, n) for j in range(int(drop), i + 1)]
        for place, level in enumerate(levels):
            assert shares[head, place] == pytest.approx(sum(w >= level for w in weights) / len(weights))


def test_a_pair_at_the_level_itself_counts():
    even = (causal_mask(4) / torch.arange(1, 5)[:, None]).double()  # thirds in query 2, quarters in query 3
    assert share_above(even, [0.25, 0.26]) == pytest.approx([1, 3 / 7])


@given(heads=st.integers(1, 3), n=st.integers(3, 8), seed=st.integers(0, 99), level=st.sampled_from([0.2, 0.5, 0.9]))
def test_large_weights_equal_a_loop(heads, n, seed, level):
    pattern = attention_pattern(scores_of(heads, n, n, seed=seed), 4)
    found = np.stack(large_weights(pattern, level))  # (place, head)
    assert found.shape == (4, heads)
    for head in range(heads):
        counts = dict.fromkeys(("first", "previous", "itself", "elsewhere"), 0)
        for i, j in itertools.product(range(2, n), range(n)):
            if j <= i and pattern[head, i, j] >= level:
                where = {0: "first", i - 1: "previous", i: "itself"}.get(j, "elsewhere")
                counts[where] += 1
        assert found[:, head] == pytest.approx(np.array(list(counts.values())) / (n - 2))


# Densities on one grid


def test_the_densities_of_all_layers_are_on_one_grid():
    samples = [causal_scores(scores_of(2, 9, 9, seed=s)) * factor for s, factor in ((1, 1), (2, 3), (3, 0.5))]
    grid, densities = layer_densities(samples, n_grid=700)
    assert densities.shape == (3, 700) and np.allclose(np.diff(grid), grid[1] - grid[0])
    assert grid[0] < min(s.min() for s in samples) and grid[-1] > max(s.max() for s in samples)
    for sample, density in zip(samples, densities, strict=True):
        assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)
        exact = scipy.stats.gaussian_kde(sample.ravel(), "scott")
        # scipy divides the variance by n - 1, headlab says in `choose_bandwidth` what it does.
        expected = exact(grid)
        assert np.abs(density - expected).max() < 0.02 * expected.max()


def test_one_layer_alone_has_its_own_density():
    sample = np.random.default_rng(1).normal(size=(3, 50))
    grid, (density,) = layer_densities([sample], bandwidth=0.4)
    x, expected = fast_kde(sample, 4096, 0.4)
    assert np.allclose(density, np.interp(grid, x, expected)) and (grid[0], grid[-1]) == (x[0], x[-1])


# Texts: intervals and variance


def test_the_interval_of_a_mean_agrees_with_scipys():
    values = np.random.default_rng(0).exponential(size=(15, 2, 3))
    low, high = bootstrap_mean(values, level=0.9, n_resamples=20_000)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, axis=0, confidence_level=0.9, n_resamples=20_000, method="percentile", random_state=1
    ).confidence_interval
    assert low.shape == high.shape == (2, 3)
    width = high - low
    assert (np.abs(low - theirs.low) < 0.04 * width).all() and (np.abs(high - theirs.high) < 0.04 * width).all()


def test_the_interval_resamples_texts_and_not_what_is_in_them():
    values = np.tile(np.arange(40.0), (5, 1))  # five texts that agree, whatever their 40 heads do
    low, high = bootstrap_mean(values)
    assert np.allclose(low, np.arange(40)) and np.allclose(high, np.arange(40))


@pytest.mark.parametrize(("n", "coverage"), [(3, 0.75), (5, 0.84), (8, 0.89), (12, 0.91), (18, 0.93)])
def test_the_interval_holds_the_mean_as_often_as_its_docstring_says(n, coverage):
    samples = np.random.default_rng(n).normal(size=(n, 3000))  # the true mean is 0
    low, high = bootstrap_mean(samples, n_resamples=1000)
    assert abs(((low < 0) & (0 < high)).mean() - coverage) < 0.02
    assert f"{coverage:.0%}" in bootstrap_mean.__doc__


def test_clusters_are_averaged_in_the_order_in_which_they_come():
    values = np.arange(10.0).reshape(5, 2)
    assert cluster_means(values, ["b", "a", "b", "b", "a"]).tolist() == [[10 / 3, 13 / 3], [5, 6]]
    assert cluster_means(values[:, 0], list("vwxyz")).tolist() == values[:, 0].tolist()


def test_an_interval_over_clusters_is_wider_where_their_texts_agree():
    kinds = np.repeat(np.random.default_rng(0).normal(size=6), 3)  # three texts of each kind, all alike
    widths = [np.subtract(*bootstrap_mean(x)[::-1]) for x in (kinds, cluster_means(kinds, np.repeat(range(6), 3)))]
    assert widths[1] > 1.5 * widths[0]


def test_two_groups_are_compared_as_all_their_dealings_do():
    first, second = np.random.default_rng(1).normal(size=(2, 4, 3)) + np.array([0, 2.0])[:, None, None]
    found, both = compare_groups([first, second]), np.concatenate([first, second])

    def share(chosen):
        a, b = both[list(chosen)], np.delete(both, list(chosen), 0)
        within = a.var(0) * len(a) + b.var(0) * len(b)
        return 1 - within / (both.var(0) * len(both))

    every = np.array([share(chosen).max() for chosen in itertools.combinations(range(8), 4)])
    assert np.allclose(found.share, share(range(4))) and np.allclose(found.means, [first.mean(0), second.mean(0)])
    exact = [(every >= layer - 1e-9).mean() for layer in found.share]
    assert found.p == pytest.approx(exact, abs=0.015) and found.p_any == found.p.min()
    assert found.least_p == pytest.approx(2 / 70)  # each dealing and the one that exchanges the groups


def test_three_groups_have_the_share_of_an_analysis_of_variance():
    rng = np.random.default_rng(2)
    groups = [rng.normal(mean, 1, size=(n, 1)) for mean, n in ((0, 4), (0.5, 6), (1, 5))]
    found = compare_groups(groups)
    f, p = scipy.stats.f_oneway(*(group[:, 0] for group in groups))
    assert found.share[0] == pytest.approx(f * 2 / (f * 2 + 12)) and found.p_any == pytest.approx(p, abs=0.03)
    assert found.p_any == found.p[0] and found.means.shape == (3, 1)
    assert compare_groups([group[:, 0] for group in groups]).p == pytest.approx(found.p)
    tiny = [1e-200 * group for group in groups]  # whose squares are 0
    assert compare_groups(tiny).share == pytest.approx(found.share)


def test_with_no_difference_some_layer_is_called_different_once_in_twenty():
    rng, any_p, single = np.random.default_rng(3), [], []
    for _ in range(200):
        groups = rng.normal(size=(2, 8, 12))  # twelve layers, none of which differs
        any_p.append(compare_groups(groups, n_resamples=99).p_any)
        single.append(scipy.stats.ttest_ind(*groups).pvalue.min())
    assert np.mean(np.array(any_p) <= 0.05) < 0.1 < 0.3 < np.mean(np.array(single) <= 0.05)


@pytest.mark.parametrize(
    ("sizes", "least"), [((3, 3), 0.1), ((12, 12), 1e-4), ((3, 4), 1 / 35), ((2, 2, 2), 6 / 90), ((2, 2, 3), 2 / 210)]
)
def test_the_least_p_that_a_sample_allows(sizes, least):
    groups = [np.full((n, 1), float(place)) + 1e-3 * np.arange(n)[:, None] for place, n in enumerate(sizes)]
    found = compare_groups(groups)
    assert found.least_p == pytest.approx(least) and found.p_any >= least * 0.8
    if least > 1e-3:
        assert found.p_any == pytest.approx(least, rel=0.25)


def test_a_layer_in_which_all_texts_agree_has_no_share():
    found = compare_groups([np.ones((3, 2)), np.column_stack([np.ones(3), [1, 2, 4]])])
    assert found.share[0] == 0 < found.share[1] and found.p[0] == 1


@given(n=st.integers(2, 5), layers=st.integers(1, 4), heads=st.integers(1, 5), seed=st.integers(0, 99))
def test_the_shares_of_variance_equal_sums_of_squares(n, layers, heads, seed):
    values = np.random.default_rng(seed).normal(3, 2, size=(n, layers, heads))
    shares = variance_shares(values)
    mean = values.mean()
    total = sum((v - mean) ** 2 for v in values.ravel())
    of_layers = sum(n * heads * (values[:, i].mean() - mean) ** 2 for i in range(layers))
    cells = [(i, j) for i in range(layers) for j in range(heads)]
    of_heads = sum(n * (values[:, i, j].mean() - values[:, i].mean()) ** 2 for i, j in cells)
    of_texts = sum(layers * heads * (values[t].mean() - mean) ** 2 for t in range(n))
    expected = np.array([of_layers, of_heads, of_texts]) / total
    assert shares[:3] == pytest.approx(expected, abs=1e-9) and sum(shares) == pytest.approx(1)


@pytest.mark.parametrize(("axis", "name"), [(1, "layer"), (2, "head"), (0, "text")])
def test_what_varies_along_one_axis_alone_has_it_all(axis, name):
    values = np.zeros((3, 4, 5)) + np.moveaxis(np.arange(float((3, 4, 5)[axis]))[:, None, None], 0, axis)
    shares = variance_shares(values)._asdict()
    assert variance_shares(1e-30 * values) == pytest.approx(tuple(shares.values()))  # whatever the unit
    assert shares.pop(name) == pytest.approx(1) and np.allclose(list(shares.values()), 0)


# The texts


def test_the_texts_are_long_enough_for_every_tokenizer(mini, reference):
    folder = reference / "tokenizer"
    gpt2 = GPT2Tokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    every = [text for kinds in (TEXTS, MORE) for kind in kinds.values() for text in kind]
    assert len(TEXTS) == 6 and [len(kind) for kind in TEXTS.values()] == [3] * 6
    assert list(MORE) == ["prose", "dialogue"] and [len(kind) for kind in MORE.values()] == [9, 9]
    assert len(set(every)) == 36 and all(text.isascii() for text in every)
    for tokenizer in (mini[1], gpt2):
        assert min(len(tokenizer(text).input_ids) for text in every) >= 64


# Real GPT-2


@pytest.fixture(scope="module")
def prompts(reference):
    file = load_file(reference / "prompts.safetensors")
    return [(file[f"attn_scores.{i}"], file[f"pattern.{i}"]) for i in range(5)]


def test_gpt2s_medians_by_layer_are_the_known_ones(prompts):
    scores = np.concatenate([causal_scores(raw) for raw, _ in prompts], -1).reshape(12, -1)
    assert np.median(scores, -1).round(1).tolist() == MEDIANS
    assert gpt2_reference()["layer_quantiles"][:, 2].round(1) == pytest.approx(MEDIANS, abs=1e-4)


def test_gpt2s_profiles_from_its_own_patterns_are_the_shipped_ones(prompts):
    figures = gpt2_reference()
    assert list(figures["profile_names"]) == list(Profile._fields)
    for shipped, (raw, pattern) in zip(figures["prompt_profiles"], prompts, strict=False):
        for name, values, ours in zip(Profile._fields, shipped, head_profile(raw, pattern), strict=True):
            assert np.allclose(values, ours, rtol=1e-3, atol=1e-4), name
            expected = [getattr(slow_profile(raw[layer, 5], pattern[layer, 5]), name) for layer in (0, 7)]
            assert values[[0, 7], 5] == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_gpt2s_pairs_above_each_level_equal_a_loop(prompts):
    figures = gpt2_reference()
    for layer, head, drop in ((0, 1, 0), (5, 6, 1), (11, 11, 0)):
        weights = [
            (pattern[layer, head, i, j] / pattern[layer, head, i, drop:].sum()).item()
            for _, pattern in prompts
            for i in range(2, pattern.shape[-1])
            for j in range(drop, i + 1)
        ]
        shares = [sum(w >= level for w in weights) / len(weights) for level in figures["share_levels"].tolist()]
        assert figures["share_above" + "_no_first_key" * drop][layer, head] == pytest.approx(shares, abs=1e-5)


def test_gpt2s_large_weights_equal_a_loop(prompts):
    figures = gpt2_reference()
    assert list(figures["large_weight_names"]) == ["first", "previous", "itself", "elsewhere"]
    for layer, head in ((0, 1), (4, 11), (11, 3)):
        queries = [(pattern[layer, head, i] >= 0.5, i) for _, pattern in prompts for i in range(2, pattern.shape[-1])]
        counts = [(large[0], large[i - 1], large[i], large[1 : i - 1].sum()) for large, i in queries]
        expected = np.mean(np.array(counts, dtype=float), axis=0)
        assert figures["large_weights"][:, layer, head] == pytest.approx(expected, abs=1e-5)


def test_gpt2s_large_weights_are_those_of_the_first_token(prompts):
    figures = gpt2_reference()
    every, others = (figures[name][..., 5].mean(1) for name in ("share_above", "share_above_no_first_key"))
    assert every[6:].mean() > 1.1 * every[:6].mean()
    assert abs(others[6:].mean() - others[:6].mean()) < 0.003  # 17.7 % and 17.5 %: nothing turns round
    by_place = figures["large_weights"].mean((1, 2))
    assert by_place[0] / by_place.sum() == pytest.approx(0.89, abs=0.005)


def test_the_tool_measures_with_these_functions(reference, monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    tool = importlib.import_module("measure_gpt2_reference")
    assert tool.large_weights is large_weights
    assert (tool.query_profile, tool.head_profile, tool.share_above) == (query_profile, head_profile, share_above)


# The plots


def curves():
    return layer_densities([np.random.default_rng(i).normal(3 * i, 1 + i, 80) for i in range(6)])


@pytest.mark.parametrize("n_layers", [6, 1])
def test_the_heatmap_has_a_row_for_each_layer_from_the_first_down(n_layers):
    grid, densities = curves()
    ax = plot_layer_densities(grid, densities[:n_layers])
    (mesh,) = ax.collections
    assert np.array_equal(mesh.get_array().reshape(n_layers, -1), densities[:n_layers])
    corners = mesh.get_coordinates()  # (layer + 1, point + 1, 2)
    assert np.array_equal(corners[:, 0, 1], np.arange(n_layers + 1) - 0.5)  # each layer is as high as the next
    assert np.allclose((corners[0, 1:, 0] + corners[0, :-1, 0]) / 2, grid)
    assert ax.yaxis_inverted() and ax.get_xlabel() and ax.get_ylabel()


def test_each_head_has_its_curve_and_its_colour():
    grid, densities = curves()
    values = np.array([[0.0, 0.5, 1.0], [0.2, 0.4, 0.6]])
    ax = plot_head_densities(grid, densities.reshape(2, 3, -1), values, label="share", meaning="share")
    fills = ax.collections[::2]
    assert len(fills) == 6
    for place, fill in enumerate(fills):
        layer, head = divmod(place, 3)
        points = fill.get_paths()[0].vertices
        assert points[:, 1].max() == pytest.approx(layer + 0.4) and points[:, 1].min() == pytest.approx(layer - 0.4)
        assert head - 0.46 < points[:, 0].min() and points[:, 0].max() < head + 0.46
        peak = points[points[:, 1].argmin(), 0]
        assert peak == pytest.approx(
            head - 0.45 + 0.9 * (grid[densities[place].argmax()] - grid[0]) / (grid[-1] - grid[0]), abs=1e-6
        )
        assert fill.get_facecolor()[0] == pytest.approx(MAPS["share"](values[layer, head]), abs=1e-6)


def test_a_statistic_by_layer_shows_heads_their_median_and_the_interval_over_texts():
    values = np.random.default_rng(0).normal(size=(8, 3, 5)) ** 3
    ax = plot_by_layer(values, ylabel="y", label="one")
    assert plot_by_layer(values[0, :2], ax, label="two") is ax
    assert [line.get_marker() for line in ax.lines] == ["D", "P"]
    middles = np.median(values, -1)
    assert np.allclose(ax.lines[0].get_ydata(), middles.mean(0))
    assert np.allclose(ax.lines[1].get_ydata(), np.median(values[0, :2], -1))
    points, low, high, others = ax.collections
    assert np.allclose(points.get_offsets()[:, 1], values.mean(0).ravel())
    for drawn, end in zip((low, high), bootstrap_mean(middles), strict=True):
        assert np.allclose(drawn.get_offsets()[:, 1], end)
    assert len(others.get_offsets()) == 10 and ax.get_ylabel() == "y" and len(ax.get_xticks()) == 3


def test_of_few_texts_each_is_shown_and_no_interval():
    values = np.random.default_rng(0).normal(size=(7, 3, 5))
    ax = plot_by_layer(values, label="few")
    middle, *single = ax.lines
    assert np.allclose([line.get_ydata() for line in single], np.median(values, -1))
    assert np.allclose(middle.get_ydata(), np.median(values, -1).mean(0)) and len(ax.collections) == 1
    assert len({line.get_color() for line in ax.lines}) == 1
    plot_by_layer(values, ax, label="more")  # the single texts are no samples
    assert ax.get_legend_handles_labels()[1] == ["few", "more"]


def test_heads_that_do_the_same_stand_side_by_side():
    kinds = np.array([[0, 1, 0, 1], [1, 0, 2, 2]])  # (layer, head)
    values = np.stack([np.choose(kinds, (0.0, 5, 9)), np.choose(kinds, (1.0, -3, 0)), np.choose(kinds, (2, 2.5, 0))])
    ax = plot_head_clusters(values + 0.01 * np.arange(8).reshape(2, 4), ["a", "b", "c"])
    colours = ax.collections[0].get_array().reshape(8, 3)  # rows and columns in the order of the trees
    table = values.reshape(3, -1).T
    assert np.allclose(
        np.sort(colours, axis=None), np.sort((table - table.mean(0)) / table.std(0), axis=None), atol=0.05
    )
    changes = (np.abs(np.diff(colours, axis=0)) > 0.1).any(1).sum()
    assert changes == 2  # three kinds, each in one block
    strip = next(other for other in ax.figure.axes if [t.get_text() for t in other.get_xticklabels()] == ["layer"])
    shades = np.unique(strip.collections[0].get_facecolor(), axis=0)
    np.testing.assert_allclose(shades, np.unique(MAPS["layer"](np.array([0.0, 1.0])), axis=0), atol=0.01)
    assert {label.get_text() for label in ax.get_xticklabels()} == {"a", "b", "c"} and "8 heads" in ax.get_ylabel()


def test_a_reader_s_own_line_is_no_sample():
    _, ax = plt.subplots()
    ax.axhline(0.5)
    plot_by_layer(np.ones((3, 5)), ax)
    assert ax.lines[1].get_marker() == IN_TURN[0][0] and ax.lines[1].get_xdata().tolist() == [0, 1, 2]


# Bad input


UNEVEN = torch.full((2, 4, 4), 0.25).tril()


@pytest.mark.parametrize(
    ("call", "error", "line"),
    [
        (
            lambda: query_profile([[1.0]]),
            TypeError,
            "pattern: expected a torch tensor (..., T, T) (torch.as_tensor(x) makes one), got list",
        ),
        (
            lambda: query_profile(torch.eye(2)),
            ValueError,
            "pattern: expected at least 3 tokens (..., T, T), got (2, 2)",
        ),
        (
            lambda: query_profile(UNEVEN),
            ValueError,
            "pattern: expected rows that sum to 1 (take the softmax first), got a sum of 0.25",
        ),
        (
            lambda: share_above(torch.full((4, 4), 0.25), [0.5]),
            ValueError,
            "pattern: expected shares of 0 in the future (mask the scores first), got others",
        ),
        (
            lambda: head_profile(torch.ones(3, 3), torch.eye(4)),
            ValueError,
            "raw: expected the shape of pattern (4, 4), got (3, 3)",
        ),
        (
            lambda: without_first_key(torch.tensor([[1.0, 0.0], [1.0, 0.0]])),
            ValueError,
            "pattern: expected queries that look at some other key too, got one with all on the first",
        ),
        (
            lambda: layer_densities([]),
            ValueError,
            "scores: expected an array of scores for each layer, at least one, got none",
        ),
        (
            lambda: layer_densities([[1.0, 2.0]], n_grid=1),
            ValueError,
            "n_grid: expected a whole number of points from 2 to 1000000, got 1",
        ),
        (
            lambda: bootstrap_mean([[1.0, 2.0]]),
            ValueError,
            "values: expected at least two texts (text, ...), got shape (1, 2)",
        ),
        (
            lambda: bootstrap_mean([1.0, math.nan]),
            ValueError,
            "values: expected finite numbers, got nan at index (1,)",
        ),
        (
            lambda: bootstrap_mean([1.0, 2.0], level=95),
            ValueError,
            "level: expected a confidence level between 0 and 1, got 95",
        ),
        (
            lambda: share_above(torch.eye(3)[[0, 0, 0]], [0.5], drop_first_key=True),
            ValueError,
            "pattern: expected queries that look at some other key too, got one with all on the first",
        ),
        (lambda: large_weights(torch.eye(3), 0), ValueError, "level: expected a share above 0, at most 1, got 0"),
        (
            lambda: cluster_means(np.ones((3, 2)), ["a", "b"]),
            ValueError,
            "clusters: expected one name for each text of values, shape (3, 2), got 2",
        ),
        (
            lambda: compare_groups([np.ones((3, 2))]),
            ValueError,
            "groups: expected two or more arrays (text, layer), of at least two texts each, got [(3, 2)]",
        ),
        (
            lambda: compare_groups([np.ones((3, 2)), np.ones((1, 2))]),
            ValueError,
            "groups: expected two or more arrays (text, layer), of at least two texts each, got [(3, 2), (1, 2)]",
        ),
        (
            lambda: compare_groups([np.ones((3, 2)), np.ones((3, 4))]),
            ValueError,
            "groups: expected the same layers in each, got [(3, 2), (3, 4)]",
        ),
        (
            lambda: compare_groups([[1.0, 2.0], [2.0, 4.0]], n_resamples=0),
            ValueError,
            "n_resamples: expected a whole number from 1 to 100000, got 0",
        ),
        (
            lambda: plot_head_clusters(np.ones((3, 2)), ["a", "b", "c"]),
            ValueError,
            "values: expected (statistic, layer, head), two statistics and two heads or more, got shape (3, 2)",
        ),
        (
            lambda: plot_head_clusters(np.ones((2, 2, 2)), ["a", "b"]),
            ValueError,
            "values: expected statistics that differ between heads, got one that does not",
        ),
        (
            lambda: variance_shares(np.ones((3, 2))),
            ValueError,
            "values: expected (text, layer, head), at least two texts, got shape (3, 2)",
        ),
        (
            lambda: variance_shares(np.full((3, 2, 2), 0.1)),
            ValueError,
            "values: expected numbers that differ, got all the same",
        ),
        (
            lambda: plot_layer_densities([0, 1, 2], np.ones((2, 4))),
            ValueError,
            "densities: expected rows of 3, one value for each point of the grid, got shape (2, 4)",
        ),
        (
            lambda: plot_head_densities([0, 1], np.ones((2, 3, 2)), np.ones((3, 2))),
            ValueError,
            "densities: expected (3, 2) heads, as values, got (2, 3)",
        ),
        (
            lambda: plot_by_layer(np.ones(3)),
            ValueError,
            "values: expected (layer, head) or (text, layer, head), got (3,)",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(call, error, line):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == line


def test_a_layer_that_would_be_lost_between_two_points_is_told():
    rng = np.random.default_rng(0)
    layers = [rng.normal(0, 0.3, 2000), rng.normal(0, 40, 2000)]
    grid, densities = layer_densities(layers)
    np.testing.assert_allclose(np.trapezoid(densities, grid), 1, atol=0.01)
    with pytest.raises(ValueError) as caught:
        layer_densities(layers, n_grid=64)
    assert str(caught.value) == "n_grid: expected enough points to show the narrowest layer, got 64, too few"


def test_the_lesson_modules_need_no_model():
    code = """
import sys
from headlab import density, masking, profiles, scores, shift, splitting
above = {"transformers", *(f"headlab.{name}" for name in ("capture", "models", "plots", "explorers"))}
assert not above & set(sys.modules), above & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
