"""Lesson 4's statistics, against numpy written the slow way, and real GPT-2's figures, against the recordings."""

import importlib
import json
import math
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file

from headlab.contrast import ScoreTerms, decompose_scores, effective_tokens, row_contrast
from headlab.masking import causal_mask
from headlab.plots import plot_score_histogram, plot_terms
from headlab.scores import attention_pattern
from headlab.shift import (
    bootstrap_fraction,
    bootstrap_ratio,
    causal_scores,
    count_negative,
    describe_scores,
    gpt2_reference,
    shift_stats,
)

TOOLS = Path(__file__).parents[1] / "tools"


def scores_of(*shape, seed=0, dtype=torch.float32):
    """Scores whose future is far off, so that counting it shows."""
    scores = 4 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1
    return torch.where(causal_mask(shape[-1]), scores, 1000.0).to(dtype)


def pairs(n, drop_first_key=False):
    return [(i, j) for i in range(n) for j in range(int(drop_first_key), i + 1)]


# Statistics of the scores


@given(heads=st.integers(1, 3), n=st.integers(2, 9), seed=st.integers(0, 99), drop=st.booleans())
def test_statistics_equal_loops_over_the_causal_pairs(heads, n, seed, drop):
    raw = scores_of(heads, n, n, seed=seed)
    before = raw.clone()
    stats = shift_stats(raw, drop_first_key=drop)
    for h in range(heads):
        values = [raw[h, i, j].item() for i, j in pairs(n, drop)]
        assert stats.n[h] == len(values)
        assert stats.mean[h] == pytest.approx(sum(values) / len(values), abs=1e-9)
        assert stats.median[h] == pytest.approx(statistics.median(values), abs=1e-9)
        assert stats.std[h] == pytest.approx(statistics.pstdev(values), abs=1e-9)
        assert stats.fraction_negative[h] == sum(v < 0 for v in values) / len(values)
        assert sorted(causal_scores(raw, drop)[h]) == sorted(values)
    assert torch.equal(raw, before)


@given(shape=st.sampled_from([(), (2,), (3, 2)]), seed=st.integers(0, 99))
def test_leading_axes_stay_and_heads_keep_to_themselves(shape, seed):
    raw = scores_of(*shape, 5, 5, seed=seed)
    every = shift_stats(raw)
    for values in every:
        assert values.shape == shape
    for place in np.ndindex(*shape):
        for whole, one in zip(every, shift_stats(raw[place]), strict=True):
            assert whole[place] == pytest.approx(one, rel=1e-12, abs=1e-12)


def test_permuted_heads_give_permuted_results():
    raw, order = scores_of(4, 6, 6), [2, 0, 3, 1]
    pattern = attention_pattern(scores_of(4, 6, 6).clamp(max=9), 4)
    for function, value in ((shift_stats, raw), (row_contrast, raw), (lambda p: (effective_tokens(p),), pattern)):
        for before, after in zip(function(value), function(value[order]), strict=True):
            assert np.array_equal(before[order], after)


def test_one_token():
    stats = shift_stats(torch.tensor([[-3.0]]))
    assert [float(v) for v in stats] == [1, -3, -3, 0, 1]
    assert effective_tokens(torch.tensor([[1.0]])).tolist() == [1]


def test_all_scores_equal():
    stats = shift_stats(torch.zeros(5, 5))
    assert (stats.mean, stats.median, stats.std, stats.fraction_negative) == (0, 0, 0, 0)  # zero is not negative
    assert row_contrast(torch.full((5, 5), -7.0)) == (0, 0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_half_precision_neither_overflows_nor_loses_digits(dtype):
    raw = torch.full((40, 40), -6e4 if dtype == torch.float16 else -1e5).to(dtype)
    stats = shift_stats(raw)
    assert stats.mean == pytest.approx(raw[0, 0].item()) and stats.std == 0 and stats.mean.dtype == np.float64


def test_what_is_above_the_diagonal_does_not_matter():
    raw = scores_of(3, 5, 5)
    for future in (-math.inf, math.nan, 0.0):
        other = raw.masked_fill(~causal_mask(5), future)
        for ours, theirs in zip(shift_stats(raw), shift_stats(other), strict=True):
            assert np.array_equal(ours, theirs)


@given(n=st.integers(2, 9), seed=st.integers(0, 99), drop=st.booleans())
def test_counts_by_row_equal_loops(n, seed, drop):
    raw = scores_of(2, n, n, seed=seed)
    negative, total = count_negative(raw, drop)
    rows = range(int(drop), n)
    for place, i in enumerate(rows):
        keys = range(int(drop), i + 1)
        assert total[place] == len(keys)
        for h in range(2):
            assert negative[h, place] == sum(raw[h, i, j] < 0 for j in keys)
    assert len(total) == len(rows)
    assert np.allclose(negative.sum(-1) / total.sum(), shift_stats(raw, drop).fraction_negative)


# The interval


def test_the_interval_equals_resampling_row_by_row():
    negative, total = count_negative(scores_of(3, 30, 30))
    low, high = bootstrap_fraction(negative, total, n_resamples=4000)
    random = np.random.default_rng(5)
    for h in range(3):
        fractions = []
        for _ in range(4000):
            rows = random.integers(30, size=30)
            fractions.append(sum(negative[h, r] for r in rows) / sum(total[r] for r in rows))
        expected = np.quantile(fractions, [0.025, 0.975])
        assert np.allclose([low[h], high[h]], expected, atol=0.01)
        assert low[h] < negative[h].sum() / total.sum() < high[h]


def test_the_interval_covers_the_truth_and_one_from_single_scores_does_not():
    # Rows that agree within themselves: row i is all negative or all positive, half of the rows each way.
    random = np.random.default_rng(0)
    total = np.full(40, 20)
    rows, scores = [], []
    for _ in range(200):
        negative = 20 * random.integers(2, size=40)
        low, high = bootstrap_fraction(negative, total, n_resamples=400)
        rows.append(low <= 0.5 <= high)
        share = negative.sum() / 800
        scores.append(abs(share - 0.5) <= 1.96 * math.sqrt(share * (1 - share) / 800))
    assert np.mean(rows) > 0.88
    assert np.mean(scores) < 0.5


def test_the_interval_is_the_same_every_time_and_narrows_with_the_level():
    negative, total = count_negative(scores_of(12, 12))
    wide = bootstrap_fraction(negative, total)
    assert wide == bootstrap_fraction(negative, total)
    narrow = bootstrap_fraction(negative, total, level=0.5)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


# Recorded GPT-2


@pytest.fixture(scope="module")
def prompts(reference):
    """Raw scores (layer, head, query, key) of the five recorded prompts."""
    recorded = load_file(reference / "prompts.safetensors")
    return [recorded[f"attn_scores.{i}"] for i in range(5)]


@pytest.fixture(scope="module")
def terms(reference):
    """The terms (layer, head, query, key) of the recorded nine-token prompt, in float32 as a model gives them."""
    recorded = load_file(reference / "john_smith.safetensors")
    weights = load_file(reference / "attention_weights.safetensors")
    layers = [
        decompose_scores(x, weights[f"h.{layer}.attn.c_attn.weight"], weights[f"h.{layer}.attn.c_attn.bias"], 12)
        for layer, x in enumerate(recorded["ln_1"])
    ]
    return ScoreTerms(*(torch.stack(parts) for parts in zip(*layers, strict=True)))


def test_the_known_totals_of_the_five_prompts(prompts):
    scores = np.concatenate([causal_scores(raw) for raw in prompts], -1)
    every = describe_scores(scores.ravel())
    assert every.n == 16_128
    assert every.fraction_negative == pytest.approx(0.698, abs=5e-4)
    assert every.median == pytest.approx(-10.378, abs=5e-4)
    assert every.mean == pytest.approx(-9.346, abs=5e-4)
    heads = describe_scores(scores).fraction_negative
    assert heads.shape == (12, 12) and (heads > 0.5).sum() == 118
    others = describe_scores(np.concatenate([causal_scores(raw, True) for raw in prompts], -1).ravel())
    assert others.n == 11_664
    assert others.fraction_negative == pytest.approx(0.846, abs=5e-4)


def test_the_shift_is_strongest_in_layers_2_to_4_and_gone_in_11(prompts):
    scores = np.concatenate([causal_scores(raw).reshape(12, -1) for raw in prompts], -1)
    layers = describe_scores(scores)
    assert set(np.argsort(layers.median)[:3]) == set(np.argsort(-layers.fraction_negative)[:3]) == {2, 3, 4}
    assert layers.fraction_negative[11] == pytest.approx(0.32, abs=0.005)


# The file that ships


def test_the_shipped_figures_match_the_known_totals():
    figures = gpt2_reference()
    assert figures["n"].shape == (12, 12) and figures["n"].sum() == figures["histogram"].sum() == 16_128
    assert (figures["n"] * figures["fraction_negative"]).sum() / 16_128 == pytest.approx(0.698, abs=5e-4)
    assert (figures["n"] * figures["mean"]).sum() / 16_128 == pytest.approx(-9.346, abs=5e-4)
    assert figures["n_negative"].sum() / (144 * figures["n_scores"].sum()) == pytest.approx(0.698, abs=5e-4)
    assert (figures["fraction_negative"] > 0.5).sum() == 118
    assert figures["n_no_first_key"].sum() == 11_664
    assert figures["fraction_negative_no_first_key"].mean() == pytest.approx(0.846, abs=5e-4)
    others = figures["histogram_no_first_key"]
    assert (others.sum(-1) == figures["n_no_first_key"]).all() and (others <= figures["histogram"]).all()
    np.testing.assert_allclose(
        others @ (figures["edges"][:-1] < 0) / 81, figures["fraction_negative_no_first_key"], 1e-6
    )
    negative = figures["histogram"][..., figures["edges"][:-1] < 0].sum()
    assert negative / 16_128 == pytest.approx(0.698, abs=5e-4)
    assert list(figures["term_names"]) == list(ScoreTerms._fields)
    assert figures["term_mean"][0, 4] == pytest.approx([-7.07, -20.24, 3.95, 1.62], abs=0.01)


def test_the_shipped_figures_are_small_and_described():
    from headlab import shift

    assert shift.REFERENCE.stat().st_size < 160_000
    for name in gpt2_reference():
        assert f"`{name.removesuffix('_no_first_key')}`" in gpt2_reference.__doc__, name


def test_the_shipped_figures_of_single_heads_equal_loops(prompts):
    figures = gpt2_reference()
    for layer, head in ((0, 0), (3, 7), (11, 5)):
        raws = [raw[layer, head].double() for raw in prompts]
        values = [raw[i, j].item() for raw in raws for i, j in pairs(len(raw))]
        assert figures["n"][layer, head] == len(values) == 112
        assert figures["std"][layer, head] == pytest.approx(statistics.pstdev(values), rel=1e-5)
        assert figures["median"][layer, head] == pytest.approx(statistics.median(values), rel=1e-5)
        assert figures["quantiles"][layer, head] == pytest.approx(np.quantile(values, figures["quantile_levels"]))
        for left, count in zip(figures["edges"], figures["histogram"][layer, head], strict=False):
            assert count == sum(left <= value < left + 1 for value in values)
        shares = [attention_pattern(raw, 64)[i] for raw in raws for i in range(2, len(raw))]
        queries = [i for raw in raws for i in range(2, len(raw))]
        means = {
            "first_share": [share[0] for share in shares],
            "top_share": [max(share) for share in shares],
            "previous_share": [share[i - 1] for share, i in zip(shares, queries, strict=True)],
            "mean_step_back": [
                sum(share[j] * (i - j) for j in range(i + 1)) for share, i in zip(shares, queries, strict=True)
            ],
            "effective_tokens": [math.exp(-sum(p * math.log(p) for p in s.tolist() if p > 0)) for s in shares],
        }
        for name, each in means.items():
            assert figures[name][layer, head] == pytest.approx(float(sum(each) / len(each)), rel=1e-5)
        rows = [raw[i, : i + 1].tolist() for raw in raws for i in range(2, len(raw))]
        spread = statistics.mean(statistics.pstdev(row) for row in rows)
        gap = statistics.mean(row[0] - statistics.mean(row[1:]) for row in rows)
        assert (figures["spread"][layer, head], figures["gap"][layer, head]) == pytest.approx((spread, gap), rel=1e-5)


def test_the_shipped_figures_are_what_the_tool_measures(reference, monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    measured, shipped = importlib.import_module("measure_gpt2_reference").measure(reference), gpt2_reference()
    assert measured.keys() == shipped.keys()
    for name, value in measured.items():
        assert (value.dtype, value.shape) == (shipped[name].dtype, shipped[name].shape), name
        if value.dtype.kind == "f":
            assert np.allclose(value, shipped[name], rtol=1e-5, atol=1e-6, equal_nan=True), name
        else:
            assert np.array_equal(value, shipped[name]), name


def test_the_shipped_terms_equal_loops(terms):
    figures = gpt2_reference()
    assert list(figures["fold_names"]) == ["none", "layer_norm", "mean"]
    rows = [[(i, j) for j in range(i + 1)] for i in range(2, 9)]
    for layer, head, name in ((0, 3, "content"), (4, 0, "query_bias"), (11, 11, "key_bias")):
        term, column = getattr(terms, name)[layer, head].double(), ScoreTerms._fields.index(name)
        gap = statistics.mean(term[i, 0].item() - term[i, 1 : i + 1].mean().item() for i in range(2, 9))
        assert figures["term_gap"][0, layer, head, column] == pytest.approx(gap, rel=1e-4, abs=1e-4)
        spread = statistics.mean(statistics.pstdev(term[place].item() for place in row) for row in rows)
        assert figures["term_spread"][0, layer, head, column] == pytest.approx(spread, rel=1e-4, abs=1e-4)
        every = [getattr(terms, name)[layer, h, i, j].item() for h in range(12) for i, j in pairs(9)]
        assert figures["term_mean"][0, layer, column] == pytest.approx(statistics.mean(every), rel=1e-4, abs=1e-4)
        if column < 2:
            over = [statistics.mean((term[i, j] - term[i, 0]).item() for i in range(j, 9)) for j in range(9)]
            assert figures["term_of_key"][0, layer, head, :, column] == pytest.approx(over, rel=1e-4, abs=1e-4)
    raw = sum(terms).double()
    for place, other in enumerate([raw, *(raw - term for term in terms)]):
        pattern = attention_pattern(other[6, 2], 64)
        share = statistics.mean(pattern[i, 0].item() for i in range(2, 9))
        assert figures["first_share_without"][0, place, 6, 2] == pytest.approx(share, abs=1e-4)
        tokens = statistics.mean(effective_tokens(pattern)[2:])
        assert figures["effective_tokens_without"][0, place, 6, 2] == pytest.approx(tokens, abs=1e-3)
        change = (attention_pattern(other, 64) - attention_pattern(raw, 64)).abs().max().item()
        assert figures["pattern_change_without"][0, place] == pytest.approx(change, abs=1e-3)


def test_the_shipped_conventions_differ_where_they_may_and_agree_where_they_must():
    figures = gpt2_reference()
    total = figures["term_gap"].sum(-1)
    assert np.allclose(total, total[0], atol=1e-3)
    assert np.abs(figures["term_gap"][..., 2:]).max() < 1e-4  # softmax sees neither
    assert (figures["pattern_change_without"][:, 3:] < 1e-6).all()
    for name in ("first_share_without", "effective_tokens_without"):
        assert np.allclose(figures[name][:, 0], figures[name][0, 0], atol=1e-5)
        assert not np.allclose(figures[name][0, 2], figures[name][2, 2], atol=0.1)


def test_the_shipped_figures_of_each_text_equal_loops(reference, prompts):
    figures = gpt2_reference()
    longer = load_file(reference / "llm_visualized.safetensors")
    assert list(figures["text_n_tokens"]) == [6, 6, 6, 7, 6, 9, 11, 12, 12, 12]
    assert figures["texts"][6] == "Vectors are the soul of a neural network."
    for place, raw in ((3, prompts[3]), (6, longer["attn_scores.vectors"])):
        n = raw.shape[-1]
        for layer, head in ((0, 1), (11, 4)):
            one = raw[layer, head].double()
            below = [one[i, j] < one[i, 0] for i, j in pairs(n, drop_first_key=True)]
            assert figures["text_below_first_key"][place, layer, head] == pytest.approx(np.mean(below))
            below = [one[i, j] < one[i, : i + 1].mean() for i, j in pairs(n) if i >= 2]
            assert figures["text_below_row_mean"][place, layer, head] == pytest.approx(np.mean(below))
            negative = [one[i, j].item() < 0 for i, j in pairs(n)]
            assert figures["text_fraction_negative"][place, layer, head] == pytest.approx(np.mean(negative))
            shares = [(one[i, : i + 1] / 8).softmax(-1) for i in range(n)]
            first = statistics.mean(share[0].item() for share in shares[2:])
            assert figures["text_first_share"][place, layer, head] == pytest.approx(first, rel=1e-5)
        for i in range(12):
            counted = (raw[5, :, i, : i + 1] < 0).sum() if i < n else 0
            assert figures["text_n_negative"][place, 5, i] == counted
        first = [(raw[..., i, : i + 1].double() / 8).softmax(-1)[..., 0].mean().item() for i in range(n)]
        assert figures["query_first_share"][place, :n] == pytest.approx(first, rel=1e-5)
        assert np.isnan(figures["query_first_share"][place, n:]).all()


def test_the_shipped_patterns_are_the_recorded_ones_and_say_of_what(reference):
    figures, recorded = gpt2_reference(), load_file(reference / "patterns.safetensors")
    names = list(figures["query_names"])
    longest = figures["query_first_share"][names.index("dog_on_ship")]
    assert longest == pytest.approx(recorded["pattern.dog_on_ship"][..., 0].mean((0, 1)).numpy(), abs=1e-5)
    assert np.isfinite(longest).sum() == 17 and not figures["query_bos"][names.index("dog_on_ship")]
    assert [name for name, bos in zip(names, figures["query_bos"], strict=True) if bos] == ["fair_in_love"]
    single = dict(zip(figures["single_names"], figures["single_first_share"], strict=True))
    assert len(single) == 13 and np.isfinite(single["l10h7"]).sum() == 101
    assert single["l10h7"] == pytest.approx(recorded["l10h7.pattern"][..., 0].mean(0).numpy(), abs=5e-3)
    layer_5 = [np.nanmean(share[2:]) for name, share in single.items() if name.endswith(".l5")]
    assert (len(layer_5), round(min(layer_5), 2), round(max(layer_5), 2)) == (4, 0.56, 0.73)
    assert round(np.nanmean(single["l10h7"][2:]), 2) == 0.59


def test_the_shipped_lengths_and_directions(reference):
    figures, x = gpt2_reference(), load_file(reference / "john_smith.safetensors")["ln_1"].double()
    assert figures["input_length"][3, 0] == pytest.approx(x[3, 0].norm().item(), rel=1e-5)
    cosine = torch.nn.functional.cosine_similarity(x[3, 0], x[3, 5], dim=0).item()
    assert figures["input_cosine"][3, 0, 5] == figures["input_cosine"][3, 5, 0] == pytest.approx(cosine, rel=1e-5)
    weights = load_file(reference / "attention_weights.safetensors")
    assert figures["position_length"][:2] == pytest.approx(weights["wpe.weight"][:2].norm(dim=-1).numpy(), rel=1e-5)
    for third, layer, head in ((0, 2, 3), (1, 4, 11), (2, 11, 0)):
        bias = weights[f"h.{layer}.attn.c_attn.bias"][768 * third + 64 * head :][:64]
        assert figures["bias_length"][third, layer, head] == pytest.approx(bias.norm().item(), rel=1e-5)


def test_what_lesson_4_tells_of_length():
    figures = gpt2_reference()
    n_tokens = figures["text_n_tokens"]
    by_query = figures["text_n_negative"].sum(1) / (144 * np.arange(1, 13))
    assert 0.135 < by_query[:, 0].min() and by_query[:, 0].max() < 0.175  # 14 to 17 %
    assert 0.485 < by_query[:, 1].min() and by_query[:, 1].max() < 0.595  # 49 to 59 %
    late = [by_query[place, 5:n] for place, n in enumerate(n_tokens)]
    assert np.concatenate(late).min() > 0.745
    short, long = n_tokens <= 7, n_tokens >= 11
    for layers, told in ((slice(None), (67, 73, 78, 80)), (slice(11, 12), (25, 42, 39, 46))):
        share = 100 * figures["text_fraction_negative"][:, layers].mean((1, 2))
        ends = [f(share[group]) for group in (short, long) for f in (np.min, np.max)]
        assert np.round(ends).tolist() == list(told)
    first_six = figures["text_n_negative"][..., :6].sum((1, 2)) / (144 * 21)
    assert 0.665 < first_six.min() and first_six.max() < 0.715  # cut to one length, the ten texts agree


def test_what_lesson_5_tells_of_shares_and_sparsity():
    from scipy.stats import spearmanr

    figures = gpt2_reference()
    share = figures["query_first_share"]
    told = [(round(np.nanmin(share[:, i]), 2), round(np.nanmax(share[:, i]), 2)) for i in (2, 9)]
    assert told == [(0.75, 0.81), (0.44, 0.56)]
    assert figures["text_below_first_key"].mean((1, 2)).min() > 0.9
    mean = figures["text_below_row_mean"].mean((1, 2))
    assert 0.55 < mean.min() < mean.max() < 0.6
    for place in range(10):
        negative, spread, tokens = (
            figures[f"text_{name}"][place].ravel() for name in ("fraction_negative", "spread", "effective_tokens")
        )
        with_tokens = [spearmanr(values, tokens).statistic for values in (negative, spread)]
        assert 0.35 < with_tokens[0] < 0.53 and -0.93 < with_tokens[1] < -0.82
        last_layer = (figures[f"text_{name}"][place, 11] for name in ("fraction_negative", "effective_tokens"))
        assert spearmanr(*last_layer).statistic < -0.2


def test_the_shipped_figures_of_each_prompt_equal_loops(prompts, terms):
    figures = gpt2_reference()
    for place, raw in enumerate([*prompts, sum(terms)]):
        values = [v for i, j in pairs(raw.shape[-1]) for v in raw[7, :, i, j].tolist()]
        assert figures["prompt_median"][place, 7] == pytest.approx(statistics.median(values), rel=1e-4)
        assert figures["prompt_fraction_negative"][place, 7] == pytest.approx(np.mean(np.array(values) < 0), rel=1e-6)


def test_the_shipped_texts_are_the_recorded_ones(reference):
    with safe_open(reference / "prompts.safetensors", "pt") as file:
        recorded = json.loads(file.metadata()["prompts"])
    figures = gpt2_reference()
    assert list(figures["prompts"][:5]) == [prompt["text"] for prompt in recorded]
    assert list(figures["n_tokens"]) == [len(prompt["tokens"]) for prompt in recorded] + [9]
    assert "".join(figures["tokens"]).replace("·", " ") == figures["prompts"][5]


# The plots


def test_the_histogram_shows_shares_and_a_second_sample_beside_the_first():
    counts, edges = np.array([1, 3, 0, 4]), np.array([-4, -2, 0, 2, 4])
    ax = plot_score_histogram(counts, edges, label="one")
    assert plot_score_histogram(2 * counts, edges, ax, label="two") is ax
    for patch in ax.patches:
        values, drawn_edges, _ = patch.get_data()
        assert np.allclose(values, [1 / 16, 3 / 16, 0, 4 / 16]) and np.array_equal(drawn_edges, edges)
    assert len(ax.patches) == 2 and len(ax.lines) == 1 and ax.get_xlabel() and ax.get_ylabel()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]


def test_each_term_is_a_line_of_its_own():
    means = np.arange(12.0).reshape(3, 4)
    ax = plot_terms(means, ScoreTerms._fields)
    lines = {line.get_label(): line for line in ax.lines}
    for column, name in enumerate(ScoreTerms._fields):
        assert np.array_equal(lines[name.replace("_", " ")].get_ydata(), means[:, column])
    assert len({(lines[n.replace("_", " ")].get_color(), n) for n in ScoreTerms._fields}) == 4


# Bad input


@pytest.mark.parametrize(
    ("call", "error", "line"),
    [
        (
            lambda: shift_stats([[1.0]]),
            TypeError,
            "raw: expected a torch tensor (..., T, T) (torch.as_tensor(x) makes one), got list",
        ),
        (
            lambda: shift_stats(torch.ones(2, 3)),
            ValueError,
            "raw: expected a square (..., T, T) with T >= 1, got (2, 3)",
        ),
        (
            lambda: shift_stats(torch.ones(3, 1, 1), drop_first_key=True),
            ValueError,
            "raw: expected at least two tokens where the first key is dropped, got shape (3, 1, 1)",
        ),
        (
            lambda: shift_stats(torch.tensor([[1.0, 0.0], [math.nan, 0.0]])),
            ValueError,
            "raw: expected finite numbers, got nan at index (1, 0)",
        ),
        (lambda: describe_scores([]), ValueError, "scores: expected at least one score (..., n), got shape (0,)"),
        (lambda: describe_scores([1.0, np.nan]), ValueError, "scores: expected finite numbers, got nan at index (1,)"),
        (
            lambda: bootstrap_fraction([1, 2], [2, 2, 2]),
            ValueError,
            "n_negative: expected (..., 3) rows, got shape (2,)",
        ),
        (
            lambda: plot_score_histogram([1, 2], [0, 1]),
            ValueError,
            "edges: expected (3,), one more than counts, got (2,)",
        ),
        (
            lambda: plot_terms(np.ones((3, 3)), ScoreTerms._fields),
            ValueError,
            "means: expected (layer, 4), one column for each term, got (3, 3)",
        ),
        (lambda: bootstrap_ratio([1, 2], [2, 2, 2]), ValueError, "sums: expected (..., 3) units, got shape (2,)"),
        (
            lambda: bootstrap_ratio([1, 2], [2, 0]),
            ValueError,
            "sizes: expected at least two numbers above 0 (units,), got [2. 0.] of shape (2,)",
        ),
        (
            lambda: bootstrap_fraction([1], [2]),
            ValueError,
            "n_scores: expected at least two rows (rows,), got shape (1,)",
        ),
        (
            lambda: bootstrap_fraction([3, 1], [2, 2]),
            ValueError,
            "n_negative: expected counts from 0 to n_scores, and n_scores >= 1, got others",
        ),
        (
            lambda: bootstrap_fraction([1, 1], [2, 2], level=95),
            ValueError,
            "level: expected a confidence level between 0 and 1, got 95",
        ),
        (
            lambda: bootstrap_fraction([1, 1], [2, 2], n_resamples=0),
            ValueError,
            "n_resamples: expected a whole number from 1 to 100000, got 0",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(call, error, line):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == line


def test_a_seed_gives_one_interval_and_another_seed_another():
    sums, sizes = np.arange(20.0), np.ones(20)
    first, again, other = (bootstrap_ratio(sums, sizes, n_resamples=200, seed=seed) for seed in (1, 1, 2))
    assert first == again and first[0] != other[0]
