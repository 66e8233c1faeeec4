"""Wrong shapes, kinds, sizes, numbers and texts for every public function that calculates, against oracles.

Each call gives what an independent oracle gives, in loops or from scipy, or one line that names an argument. Nothing
else is raised, no warning is given, no NaN appears and no input changes. `make fuzz` tries 10,000 examples of each.
"""

import math
import re
import statistics

import numpy as np
import pytest
import torch
from fuzzing import FLOATS, JUNK, REFUSED, SIZES, TEXTS, arguments, array, assert_agree, outcome, precision, tensors
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.stats import gaussian_kde

from headlab.capture import capture_heads, count_scores
from headlab.contrast import (
    below_first_key,
    below_row_mean,
    centre_rows,
    decompose_scores,
    effective_tokens,
    row_contrast,
)
from headlab.density import choose_bandwidth, cross_validation_scores, fast_kde, kde, mode_tree, peaks
from headlab.download import SHORT_NAMES, repo_of
from headlab.exercises import EXERCISES, check
from headlab.histogram import ScoreHistogram
from headlab.masking import causal_mask, mask_scores, softmax
from headlab.models import load_model, model_name, token_strings
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
from headlab.scores import (
    attention_pattern,
    head_outputs,
    mean_share,
    pattern_distances,
    project_heads,
    raw_scores,
    token_pairs,
)
from headlab.shift import (
    bootstrap_fraction,
    bootstrap_ratio,
    causal_scores,
    causal_square,
    count_negative,
    describe_scores,
    shift_stats,
)
from headlab.splitting import merge_heads, split_heads, split_qkv


@pytest.fixture(scope="module")
def small_gpt2(odd_gpt2):
    """One GPT-2 of two layers for all examples."""
    return odd_gpt2()


# An overlong text makes an overlong report, of which hypothesis warns.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")

RESAMPLING = {"level": st.floats(0.1, 0.99), "n_resamples": st.integers(1, 300), "seed": st.integers(0, 9)}
LEADING = st.sampled_from([(), (), (2,), (1, 3), (0,)])


@st.composite
def squares(draw, scales=(1.0, 1.0, 30.0, 1e4, 0.0), at_least=1, leading=LEADING):
    """Scores (..., T, T)."""
    n = draw(st.integers(at_least, 6))
    return draw(tensors(*draw(leading), n, n, dtypes=FLOATS, scales=scales))


@st.composite
def patterns(draw, at_least=1, leading=LEADING):
    """Attention patterns (..., T, T)."""
    scores = draw(squares((0.5, 3.0, 60.0), at_least, leading))
    return mask_scores(scores.double()).softmax(-1).to(scores.dtype)


def visible_pairs(n):
    return [(i, j) for i in range(n) for j in range(i + 1)]


def rows_of(x):
    """The last axis of a tensor or array as rows of Python numbers."""
    x = array(x)
    return x.reshape(-1, x.shape[-1]).tolist()


def softmax_of(row):
    """The shares of a row of Python numbers."""
    largest = max(row)
    weights = [math.exp(s - largest) for s in row]
    return [w / math.fsum(weights) for w in weights]


@given(st.one_of(JUNK, st.integers(1, 12)).filter(lambda n: not (isinstance(n, int) and 100 < n < 10**9)))
def test_causal_mask(n):
    mask = outcome(causal_mask, {"n_tokens": n})
    if mask is not REFUSED:
        assert mask.tolist() == [[j <= i for j in range(n)] for i in range(n)]


@given(arguments(st.fixed_dictionaries({"scores": squares()})))
def test_mask_scores(values):
    masked = outcome(mask_scores, values)
    if masked is not REFUSED:
        scores = values["scores"]
        assert masked.dtype == scores.dtype and masked.shape == scores.shape
        n = scores.shape[-1]
        for ours, theirs in zip(array(masked).reshape(-1, n, n), array(scores).reshape(-1, n, n), strict=True):
            assert_same(ours, [[theirs[i, j] if j <= i else -math.inf for j in range(n)] for i in range(n)])


@given(arguments(st.fixed_dictionaries({"scores": st.one_of(squares(), squares().map(mask_scores))})))
def test_softmax(values):
    shares = outcome(softmax, values)
    if shares is not REFUSED:
        scores = values["scores"]
        assert shares.dtype == scores.dtype
        expected = [softmax_of(row) for row in rows_of(scores)]
        assert_agree(shares, np.reshape(expected, scores.shape), 16 * precision(scores))


@st.composite
def fused(draw):
    d_model = 3 * draw(SIZES)
    return draw(tensors(*draw(LEADING), draw(SIZES), d_model, dtypes=FLOATS))


@given(arguments(st.fixed_dictionaries({"fused": fused()})))
def test_split_qkv(values):
    parts = outcome(split_qkv, values)
    if parts is not REFUSED:
        width = values["fused"].shape[-1] // 3
        whole = array(values["fused"])
        assert len(parts) == 3
        for third, part in enumerate(parts):
            assert_same(part, whole[..., third * width : (third + 1) * width])


def assert_same(result, expected):
    """Nothing is calculated here: a NaN that was put in comes out, in its place."""
    np.testing.assert_array_equal(array(result), array(expected), strict=True)


@given(
    arguments(
        st.tuples(SIZES, SIZES, SIZES, LEADING).flatmap(
            lambda s: st.fixed_dictionaries(
                {"x": tensors(*s[3], s[0], s[1] * s[2], dtypes=FLOATS), "n_heads": st.just(s[1])}
            )
        )
    )
)
def test_split_heads_and_merge_heads(values):
    heads = outcome(split_heads, values)
    if heads is not REFUSED:
        x, n_heads = array(values["x"]), values["n_heads"]
        d_head = x.shape[-1] // n_heads
        assert heads.shape == (*x.shape[:-2], n_heads, x.shape[-2], d_head)
        for h in range(int(n_heads)):
            assert_same(heads[..., h, :, :], x[..., h * d_head : (h + 1) * d_head])
        assert_same(merge_heads(heads), x)


@given(arguments(st.fixed_dictionaries({"heads": st.tuples(SIZES, SIZES, SIZES).flatmap(lambda s: tensors(*s))})))
def test_merge_heads(values):
    merged = outcome(merge_heads, values)
    if merged is not REFUSED:
        heads = array(values["heads"])
        *lead, n_heads, n_tokens, d_head = heads.shape
        assert merged.shape == (*lead, n_tokens, n_heads * d_head)
        for h in range(n_heads):
            assert_same(merged[..., h * d_head : (h + 1) * d_head], heads[..., h, :, :])


@given(
    arguments(
        st.tuples(LEADING, SIZES, SIZES, st.sampled_from(FLOATS[2:])).flatmap(
            lambda s: st.fixed_dictionaries(
                {name: tensors(*s[0], s[1], s[2], dtypes=s[3:], scales=(1.0, 30.0, 1e4)) for name in "qk"}
            )
        )
    )
)
def test_raw_scores(values):
    raw = outcome(raw_scores, values)
    if raw is not REFUSED:
        q, k = array(values["q"]), array(values["k"])
        rounding = 4 * q.shape[-1] * precision(values["q"]) * (np.abs(q) @ np.abs(k).swapaxes(-1, -2))
        expected = np.zeros((*q.shape[:-1], q.shape[-2]))
        for place in np.ndindex(expected.shape):
            *lead, i, j = place
            expected[place] = math.fsum(a * b for a, b in zip(q[(*lead, i)], k[(*lead, j)], strict=True))
        assert_agree(raw, expected, rounding + 1e-37)


@given(
    arguments(
        st.fixed_dictionaries(
            {"raw": squares(), "d_head": st.one_of(st.integers(1, 64), st.floats(0.5, 64), st.just(np.float32(8)))}
        )
    )
)
def test_attention_pattern(values):
    pattern = outcome(attention_pattern, values)
    if pattern is not REFUSED:
        raw, n = values["raw"], values["raw"].shape[-1]
        scaled = array(raw / math.sqrt(values["d_head"])).reshape(-1, n, n)  # rounded as the scores' own kind rounds
        assert pattern.dtype == raw.dtype and pattern.shape == raw.shape
        for ours, scores in zip(array(pattern).reshape(-1, n, n), scaled, strict=True):
            expected = [softmax_of(scores[i, : i + 1].tolist()) + [0.0] * (n - i - 1) for i in range(n)]
            assert_agree(ours, expected, 16 * precision(raw))
            assert (ours[np.triu_indices(n, 1)] == 0).all()


@given(
    arguments(
        patterns().flatmap(
            lambda pattern: st.fixed_dictionaries(
                {
                    "pattern": st.just(pattern),
                    "v": SIZES.flatmap(lambda d: tensors(*pattern.shape[:-1], d, dtypes=(pattern.dtype,))),
                }
            )
        )
    )
)
def test_head_outputs(values):
    outputs = outcome(head_outputs, values)
    if outputs is not REFUSED:
        pattern, v = array(values["pattern"]), array(values["v"])
        expected = np.zeros(v.shape)
        for place in np.ndindex(v.shape):
            *lead, i, channel = place
            expected[place] = math.fsum(
                p * x for p, x in zip(pattern[(*lead, i)], v[(*lead, slice(None), channel)], strict=True)
            )
        rounding = 4 * pattern.shape[-1] * precision(values["v"]) * (np.abs(pattern) @ np.abs(v))
        assert_agree(outputs, expected, rounding + 1e-37)


@given(
    arguments(
        st.tuples(SIZES, SIZES, SIZES, SIZES, st.sampled_from(FLOATS[2:])).flatmap(
            lambda s: st.fixed_dictionaries(
                {
                    "outputs": tensors(*s[:3], dtypes=s[4:]),
                    "weight": tensors(s[0] * s[2], s[3], dtypes=s[4:]),
                    "bias": tensors(s[3], dtypes=s[4:]),
                }
            )
        )
    )
)
def test_project_heads(values):
    parts = outcome(project_heads, values)
    if parts is not REFUSED:
        outputs, weight = array(values["outputs"]), array(values["weight"])
        d_head = outputs.shape[-1]
        assert parts.shape == (*outputs.shape[:-1], weight.shape[1])
        for h in range(outputs.shape[-3]):
            ours, rows = outputs[..., h, :, :], weight[h * d_head : (h + 1) * d_head]
            rounding = 4 * (d_head + 1) * precision(values["outputs"]) * (np.abs(ours) @ np.abs(rows))
            assert_agree(parts[..., h, :, :], np.einsum("...td,dm->...tm", ours, rows), rounding + 1e-37)


TOKEN_IDS = st.lists(st.integers(0, 3), min_size=1, max_size=9).map(torch.tensor)


@given(arguments(st.fixed_dictionaries({"input_ids": TOKEN_IDS})))
def test_token_pairs(values):
    pairs = outcome(token_pairs, values)
    if pairs is not REFUSED:
        ids = values["input_ids"].flatten().tolist()
        n = len(ids)
        looks = {
            "previous": lambda i, j: j == i - 1,
            "first": lambda i, j: True,
            "same": lambda i, j: ids[j] == ids[i],
            "induction": lambda i, j: ids[j - 1] == ids[i],
        }
        for name, look in looks.items():
            keys = [0] if name == "first" else range(1, n)
            expected = [[j in keys and j < i and look(i, j) for j in range(n)] for i in range(n)]
            assert pairs[name].tolist() == expected, name


@given(
    arguments(
        patterns().flatmap(
            lambda pattern: st.fixed_dictionaries(
                {
                    "pattern": st.just(pattern),
                    "pairs": tensors(*pattern.shape[-2:]).map(lambda x: (x > 0).tril()),
                }
            )
        )
    )
)
def test_mean_share(values):
    share = outcome(mean_share, values)
    if share is not REFUSED:
        pattern, pairs = array(values["pattern"]), values["pairs"].tolist()
        expected = np.zeros(pattern.shape[:-2])
        for place in np.ndindex(expected.shape):
            rows = zip(pattern[place], pairs, strict=True)
            expected[place] = statistics.fmean(sum(row[np.array(marked)]) for row, marked in rows if any(marked))
        assert_agree(share, expected, 16 * precision(values["pattern"]))


@given(arguments(st.fixed_dictionaries({"pattern": patterns(2, st.sampled_from([(1,), (3,), (2, 2)]))})))
def test_pattern_distances(values):
    distances = outcome(pattern_distances, values)
    if distances is not REFUSED:
        pattern = array(values["pattern"])
        n_heads = pattern.shape[-3]
        for a in range(n_heads):
            for b in range(n_heads):
                moved = np.maximum(pattern[..., a, 1:, :] - pattern[..., b, 1:, :], 0).sum(-1)  # what a has more of
                surplus = pattern[..., a, 1:, :].sum(-1) - pattern[..., b, 1:, :].sum(-1)  # 0 but for rounding
                assert_agree(distances[..., a, b], (moved - surplus / 2).mean(-1), 32 * precision(values["pattern"]))


def causal_lists(raw, drop_first_key):
    """For each head of raw, numpy (..., T, T), its rows of visible scores."""
    n = raw.shape[-1]
    for head in raw.reshape(-1, n, n):
        yield [head[i, bool(drop_first_key) : i + 1].tolist() for i in range(n)]


CAUSAL = arguments(st.fixed_dictionaries({"raw": squares(), "drop_first_key": st.booleans()}))


@given(CAUSAL)
def test_causal_scores(values):
    scores = outcome(causal_scores, values)
    if scores is not REFUSED:
        raw = array(values["raw"])
        expected = [sum(rows, []) for rows in causal_lists(raw, values["drop_first_key"])]
        assert scores.shape[:-1] == raw.shape[:-2]
        assert_agree(scores.reshape(len(expected), -1) if expected else [], expected, 0.0)


@given(CAUSAL)
def test_causal_square(values):
    square = outcome(causal_square, values)
    if square is not REFUSED:
        raw, first = array(values["raw"]), bool(values["drop_first_key"])
        counts = [[first <= j <= i for j in range(raw.shape[-1])] for i in range(raw.shape[-1])]
        assert square[1].tolist() == counts
        assert_agree(square[0], np.where(counts, raw, 0.0), 0.0)


@given(CAUSAL)
def test_shift_stats(values):
    stats = outcome(shift_stats, values)
    if stats is not REFUSED:
        for place, rows in zip(
            np.ndindex(stats.n.shape), causal_lists(array(values["raw"]), values["drop_first_key"]), strict=True
        ):
            scores = sum(rows, [])
            size = 1e-12 * max(map(abs, scores))
            assert stats.n[place] == len(scores)
            assert stats.fraction_negative[place] == sum(s < 0 for s in scores) / len(scores)
            assert_agree(stats.median[place], statistics.median(scores), size)
            assert_agree(stats.mean[place], statistics.fmean(scores), size)
            assert_agree(stats.std[place], statistics.pstdev(scores), size)


@given(arguments(st.fixed_dictionaries({"scores": tensors(2, 5).map(lambda x: x.double().numpy())})))
def test_describe_scores(values):
    stats = outcome(describe_scores, values)
    if stats is not REFUSED:
        scores = array(values["scores"])
        for place in np.ndindex(scores.shape[:-1]):
            row = scores[place].tolist()
            assert_agree(stats.mean[place], statistics.fmean(row), 1e-12 * max(map(abs, row)))
            assert_agree(stats.std[place], statistics.pstdev(row), 1e-12 * max(map(abs, row)))
            assert stats.fraction_negative[place] == sum(s < 0 for s in row) / len(row)


@given(CAUSAL)
def test_count_negative(values):
    counts = outcome(count_negative, values)
    if counts is not REFUSED:
        n_negative, n_scores = counts
        heads = list(causal_lists(array(values["raw"]), values["drop_first_key"]))
        first = bool(values["drop_first_key"])
        assert n_scores.tolist() == [i + 1 - first for i in range(first, values["raw"].shape[-1])]
        expected = [[sum(s < 0 for s in row) for row in rows[first:]] for rows in heads]
        assert n_negative.reshape(len(heads), len(n_scores)).tolist() == expected


@given(arguments(st.fixed_dictionaries({"raw": squares(at_least=3)})))
def test_row_contrast(values):
    contrast = outcome(row_contrast, values)
    if contrast is not REFUSED:
        heads = causal_lists(array(values["raw"]), False)
        for place, rows in zip(np.ndindex(contrast.gap.shape), heads, strict=True):
            size = 1e-12 * max(abs(s) for row in rows for s in row)
            spread = statistics.fmean(statistics.pstdev(row) for row in rows[2:])
            gap = statistics.fmean(row[0] - statistics.fmean(row[1:]) for row in rows[2:])
            assert_agree(contrast.spread[place], spread, size)
            assert_agree(contrast.gap[place], gap, size)


@given(arguments(st.fixed_dictionaries({"raw": squares(at_least=3)})))
def test_below_first_key_and_row_mean(values):
    below = outcome(below_first_key, values), outcome(below_row_mean, values)
    if below[0] is not REFUSED and below[1] is not REFUSED:
        for place, rows in zip(np.ndindex(below[0].shape), causal_lists(array(values["raw"]), False), strict=True):
            first = [s < row[0] for row in rows for s in row[1:]]
            assert_agree(below[0][place], sum(first) / len(first), 0.0)
            assert 0 <= below[1][place] < 1  # never all of a row


@given(arguments(st.fixed_dictionaries({"raw": squares()})))
def test_centre_rows(values):
    centred = outcome(centre_rows, values)
    if centred is not REFUSED:
        raw = values["raw"]
        assert centred.dtype == raw.dtype and centred.shape == raw.shape
        for ours, rows in zip(causal_lists(array(centred), False), causal_lists(array(raw), False), strict=True):
            size = max(abs(s) for row in rows for s in row)
            expected = [s - statistics.fmean(row) for row in rows for s in row]
            assert_agree(sum(ours, []), expected, 4 * precision(raw) * size + 1e-44)


@given(arguments(st.fixed_dictionaries({"pattern": patterns()})))
def test_effective_tokens(values):
    tokens = outcome(effective_tokens, values)
    if tokens is not REFUSED:
        entropies = [-math.fsum(p * math.log(p) for p in row if p > 0) for row in rows_of(values["pattern"])]
        assert_agree(tokens, np.exp(np.reshape(entropies, values["pattern"].shape[:-1])), 1e-9)


@given(
    arguments(
        st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=2, max_size=6).flatmap(
            lambda rows: st.fixed_dictionaries(
                {
                    "n_negative": st.just(np.array([min(row) for row in rows])),
                    "n_scores": st.just(np.array([n for _, n in rows])),
                    **RESAMPLING,
                }
            )
        )
    )
)
def test_bootstrap_fraction(values):
    interval = outcome(bootstrap_fraction, values)
    if interval is not REFUSED:
        low, high = interval
        n_negative, n_scores = array(values["n_negative"]), array(values["n_scores"])
        shares = n_negative / n_scores
        assert low.shape == high.shape == n_negative.shape[:-1]
        # Whatever is drawn, a ratio of sums lies between the rows' own ratios.
        assert (shares.min(-1) - 1e-12 <= low).all() and (low <= high).all()
        assert (high <= shares.max(-1) + 1e-12).all()


@given(
    arguments(
        st.tuples(SIZES, SIZES, SIZES, st.sampled_from(FLOATS[2:])).flatmap(
            lambda s: st.fixed_dictionaries(
                {
                    "x": tensors(s[0], s[1] * s[2], dtypes=s[3:]),
                    "weight": tensors(s[1] * s[2], 3 * s[1] * s[2], dtypes=s[3:], scales=(0.3, 1.0)),
                    "bias": tensors(3 * s[1] * s[2], dtypes=s[3:]),
                    "n_heads": st.just(s[1]),
                }
            )
        )
    )
)
def test_decompose_scores(values):
    terms = outcome(decompose_scores, values)
    if terms is not REFUSED:
        x, weight, bias = (array(values[name]) for name in ("x", "weight", "bias"))
        n_heads, d_model = int(values["n_heads"]), x.shape[1]
        d_head = d_model // n_heads
        for h in range(n_heads):
            q, k = (slice(third * d_model + h * d_head, third * d_model + (h + 1) * d_head) for third in (0, 1))
            queries, keys = x @ weight[:, q], x @ weight[:, k]
            large = np.abs(x) @ np.abs(weight)
            large = (large[:, q].max() + np.abs(bias[q]).max()) * (large[:, k].max() + np.abs(bias[k]).max())
            rounding = 8 * (d_model + d_head) * precision(values["x"]) * large + 1e-37
            n = len(x)
            assert_agree(terms.content[h], queries @ keys.T, rounding)
            assert_agree(terms.query_bias[h], np.tile(keys @ bias[q], (n, 1)), rounding)
            assert_agree(terms.key_bias[h], np.tile(queries @ bias[k], (n, 1)).T, rounding)
            assert_agree(terms.constant[h], np.full((n, n), bias[q] @ bias[k]), rounding)


@given(
    arguments(
        st.fixed_dictionaries(
            {
                "sums": tensors(2, 3).map(lambda x: x.numpy()),
                "sizes": st.lists(st.floats(0.1, 9), min_size=3, max_size=3).map(np.array),
                **RESAMPLING,
            }
        )
    )
)
def test_bootstrap_ratio(values):
    interval = outcome(bootstrap_ratio, values)
    if interval is not REFUSED:
        low, high = interval
        ratios = array(values["sums"]) / array(values["sizes"])
        slack = 1e-9 * np.abs(ratios).max(-1)
        assert (ratios.min(-1) - slack <= low).all() and (low <= high).all() and (high <= ratios.max(-1) + slack).all()


def shares_of(row, query):
    """What one query does with its attention, statistic by statistic, from Python numbers."""
    return {
        "effective_tokens": math.exp(-math.fsum(p * math.log(p) for p in row if p > 0)),
        "top_share": max(row),
        "first_share": row[0],
        "previous_share": row[query - 1],
        "mean_step_back": math.fsum(p * (query - key) for key, p in enumerate(row)),
    }


def each_query(pattern):
    """(place, shares_of) of every row of a pattern from the third on."""
    rows = array(pattern)
    for place in np.ndindex(rows.shape[:-1]):
        if place[-1] >= 2:
            yield (*place[:-1], place[-1] - 2), shares_of(rows[place].tolist(), place[-1])


@given(arguments(st.fixed_dictionaries({"pattern": patterns(3)})))
def test_query_profile(values):
    profile = outcome(query_profile, values)
    if profile is not REFUSED:
        for place, expected in each_query(values["pattern"]):
            for name, number in expected.items():
                assert_agree(getattr(profile, name)[place], number, 1e-9)


@given(
    arguments(
        squares((1.0, 30.0), at_least=3).flatmap(
            lambda raw: st.fixed_dictionaries(
                {"raw": st.just(raw), "pattern": st.just(mask_scores(raw.double()).softmax(-1).to(raw.dtype))}
            )
        )
    )
)
def test_head_profile(values):
    profile = outcome(head_profile, values)
    if profile is not REFUSED:
        raw = array(values["raw"])
        queries = dict(each_query(values["pattern"]))
        for place in np.ndindex(raw.shape[:-2]):
            (rows,) = causal_lists(raw[place], False)
            scores = sum(rows, [])
            size = 1e-12 * max(map(abs, scores))
            assert_agree(profile.median[place], statistics.median(scores), size)
            assert_agree(profile.fraction_negative[place], sum(s < 0 for s in scores) / len(scores), 1e-12)
            assert_agree(profile.spread[place], statistics.fmean(map(statistics.pstdev, rows[2:])), size)
            for name in Profile._fields[3:]:
                mean = statistics.fmean(shares[name] for at, shares in queries.items() if at[:-1] == place)
                assert_agree(getattr(profile, name)[place], mean, 1e-9)


@given(arguments(st.fixed_dictionaries({"pattern": patterns(2)})))
def test_without_first_key(values):
    rest = outcome(without_first_key, values)
    if rest is not REFUSED:
        others = array(values["pattern"])[..., 1:, 1:]
        expected = np.array(
            [[p / math.fsum(row) for p in row] for row in others.reshape(-1, others.shape[-1]).tolist()]
        )
        assert_agree(rest, expected.reshape(others.shape), 16 * precision(values["pattern"]))


@given(
    arguments(
        st.fixed_dictionaries(
            {
                "pattern": patterns(3),
                "levels": st.lists(st.floats(0, 1), min_size=1, max_size=3),
                "drop_first_key": st.booleans(),
            }
        )
    )
)
def test_share_above(values):
    shares = outcome(share_above, values)
    if shares is not REFUSED:
        pattern, levels, first = array(values["pattern"]), array(values["levels"]), bool(values["drop_first_key"])
        pairs = [(i, j) for i, j in visible_pairs(pattern.shape[-1]) if i >= 2 and j >= first]
        assert shares.shape == (*pattern.shape[:-2], *levels.shape)
        for place in np.ndindex(shares.shape):
            rows = pattern[place[:-1]]
            weights = [rows[i, j] / (rows[i, first:].sum() if first else 1) for i, j in pairs]
            assert_agree(shares[place], sum(w >= levels[place[-1]] for w in weights) / len(pairs), 1e-12)


@given(
    arguments(
        st.fixed_dictionaries(
            {
                "scores": st.lists(tensors(2, 9, scales=(1.0, 5.0)), min_size=1, max_size=3),
                "n_grid": st.sampled_from([2, 64, 512]),
                "bandwidth": st.one_of(st.sampled_from(["scott", "silverman"]), st.floats(0.2, 3)),
            }
        )
    )
)
def test_layer_densities(values):
    result = outcome(layer_densities, values, also=("samples",))
    if result is not REFUSED:
        grid, densities = result
        for layer, density in zip(values["scores"], densities, strict=True):
            alike = {"samples": layer, "weights": None, "bounds": (-math.inf, math.inf)}
            expected = density_at(grid[::8], alike, width_of(alike, values["bandwidth"]))
            assert_agree(density[::8], expected, 2e-3 * max(density.max(), expected.max()) + 1e-5)


@given(
    arguments(
        st.fixed_dictionaries(
            {
                "values": tensors(4, 2, scales=(1.0, 1e4)),
                **RESAMPLING,
            }
        )
    )
)
def test_bootstrap_mean(values):
    interval = outcome(bootstrap_mean, values)
    if interval is not REFUSED:
        low, high = interval
        texts = array(values["values"])
        slack = 1e-12 * np.abs(texts).max(0)
        assert (texts.min(0) - slack <= low).all() and (low <= high).all() and (high <= texts.max(0) + slack).all()


@given(arguments(st.fixed_dictionaries({"pattern": patterns(3), "level": st.floats(0.01, 1)})))
def test_large_weights(values):
    found = outcome(large_weights, values)
    if found is not REFUSED:
        pattern = array(values["pattern"])
        for place in np.ndindex(pattern.shape[:-2]):
            rows = enumerate((pattern[place] >= float(values["level"])).tolist())
            rows = [(row[0], row[i - 1], row[i], sum(row[1 : i - 1])) for i, row in rows if i >= 2]
            assert_agree([kind[place] for kind in found], np.mean(rows, 0), 1e-12)


@given(
    arguments(
        st.fixed_dictionaries(
            {
                "values": tensors(4, 2, scales=(1.0, 1e4)),
                "clusters": st.lists(st.sampled_from(["a", "b", 3]), min_size=4, max_size=4),
            }
        )
    )
)
def test_cluster_means(values):
    means = outcome(cluster_means, values)
    if means is not REFUSED:
        texts, clusters = array(values["values"]), list(values["clusters"])
        texts = texts.reshape(len(clusters), -1)
        names = sorted(set(clusters), key=clusters.index)
        for ours, name in zip(means.reshape(len(names), -1), names, strict=True):
            columns = zip(*(text for text, other in zip(texts, clusters, strict=True) if other == name), strict=True)
            assert_agree(ours, [statistics.fmean(column) for column in columns], 1e-15 * np.abs(texts).max(initial=0))


@given(
    arguments(
        st.fixed_dictionaries(
            {
                "groups": st.lists(SIZES.flatmap(lambda n: tensors(n + 1, 2)), min_size=2, max_size=3),
                "n_resamples": st.integers(1, 60),
                "seed": st.integers(0, 9),
            }
        )
    )
)
@example({"groups": [[0.1] * 2, [0.1] * 4], "n_resamples": 9, "seed": 0})  # their mean is not exactly 0.1
@example({"groups": [[1e300, -1e300], [1e300, 0.0]], "n_resamples": 9, "seed": 0})
def test_compare_groups(values):
    found = outcome(compare_groups, values)
    if found is not REFUSED:
        groups = [array(group).reshape(len(group), -1) for group in values["groups"]]
        texts, n = np.concatenate(groups), int(values["n_resamples"])
        for layer, column in enumerate(texts.T.tolist()):
            of_groups = [group[:, layer].tolist() for group in groups]
            size = max(map(abs, column))
            means = [statistics.fmean(x / size for x in group) if size else 0.0 for group in of_groups]
            mean = statistics.fmean(x / size for x in column) if size else 0.0
            total = math.fsum((x / size - mean) ** 2 for x in column) if size else 0.0
            between = math.fsum(len(group) * (m - mean) ** 2 for group, m in zip(of_groups, means, strict=True))
            assert_agree(found.means[:, layer] / (size or 1.0), means, 1e-12)
            if total == 0 or max(column) == min(column):
                assert found.share[layer] == 0
            elif total > 1e-12:  # or the numbers differ by little more than their rounding
                assert_agree(found.share[layer], between / total, 1e-6)
        assert ((found.share >= 0) & (found.share <= 1 + 1e-9)).all()
        dealings = found.p * (n + 1)
        assert_agree(dealings, dealings.round(), 1e-9)
        assert (dealings >= 1 - 1e-9).all() and found.p_any == found.p.min() <= 1
        assert 1 / (n + 1) <= found.least_p <= 1


@given(arguments(st.fixed_dictionaries({"values": tensors(3, 2, 4)})))
def test_variance_shares(values):
    shares = outcome(variance_shares, values)
    if shares is not REFUSED:
        numbers = array(values["values"])
        mean = statistics.fmean(numbers.ravel().tolist())
        total = statistics.pvariance(numbers.ravel().tolist())
        by_layer = [statistics.fmean(numbers[:, layer].ravel().tolist()) for layer in range(numbers.shape[1])]
        heads = [
            (statistics.fmean(numbers[:, i, j].tolist()) - by_layer[i]) ** 2 for i, j in np.ndindex(numbers.shape[1:])
        ]
        texts = [statistics.fmean(text.ravel().tolist()) for text in numbers]
        assert_agree(shares.layer, statistics.fmean((m - mean) ** 2 for m in by_layer) / total, 1e-6)
        assert_agree(shares.head, statistics.fmean(heads) / total, 1e-6)
        assert_agree(shares.text, statistics.fmean((m - mean) ** 2 for m in texts) / total, 1e-6)
        assert_agree(sum(shares), 1.0, 1e-9)


SAMPLES = st.one_of(
    tensors(7, scales=(1.0, 30.0, 1e4)).map(lambda x: x.double().numpy()),
    tensors(3, 4, dtypes=FLOATS),
    tensors(1),
    tensors(40, scales=(1.0, 1e-3)).map(lambda x: x.double().numpy() ** 3),
)
BANDWIDTHS = st.one_of(st.sampled_from(["scott", "silverman", "cross-validation"]), st.floats(0.01, 10))
BOUNDS = st.sampled_from([(-math.inf, math.inf), (-math.inf, math.inf), (0.0, 1.0), (-1e6, math.inf), (-math.inf, 1e6)])


@st.composite
def density_arguments(draw, **others):
    """samples, with or without weights, and what else a function of the densities takes."""
    samples = draw(SAMPLES)
    size = array(samples).size
    weights = draw(st.sampled_from([None, None, np.ones(size), np.arange(1.0, size + 1), np.arange(size) % 3.0]))
    return {"samples": samples, "weights": weights, **{name: draw(strategy) for name, strategy in others.items()}}


def width_of(values, bandwidth):
    """The bandwidth of a rule, from scipy for the two that it has."""
    samples, weights = values["samples"], values["weights"]
    if not isinstance(bandwidth, str):
        return float(bandwidth)
    if bandwidth == "cross-validation":
        return choose_bandwidth(samples, bandwidth, weights)
    flat = None if weights is None else array(weights).ravel()
    estimate = gaussian_kde(array(samples).ravel(), bandwidth, flat)
    return math.sqrt(estimate.covariance.item())


def density_at(points, values, width):
    """Sum of the samples' Gaussians at some points, reflected at the bounds, in a loop."""
    samples = array(values["samples"]).ravel()
    weights = np.ones(len(samples)) if values["weights"] is None else array(values["weights"]).ravel()
    low, high = (float(bound) for bound in values["bounds"])

    def bump(x):
        return math.fsum(w * math.exp(-(((x - s) / width) ** 2) / 2) for s, w in zip(samples, weights, strict=True))

    def density(x):
        mirrors = [2 * bound - x for bound in (low, high) if math.isfinite(bound)]
        return bump(x) + sum(map(bump, mirrors)) if low <= x <= high else 0.0

    return np.array([density(x) for x in points]) / (math.fsum(weights) * width * math.sqrt(2 * math.pi))


@given(
    arguments(
        density_arguments(
            grid=tensors(5, scales=(1.0, 30.0)).map(lambda x: x.double().numpy()), bandwidth=BANDWIDTHS, bounds=BOUNDS
        )
    )
)
def test_kde(values):
    density = outcome(kde, values)
    if density is not REFUSED:
        grid = array(values["grid"])
        width = width_of(values, values["bandwidth"])
        expected = density_at(grid.ravel(), values, width).reshape(grid.shape)
        assert_agree(density, expected, 1e-6 / width)
        assert (density >= 0).all()


@given(arguments(density_arguments(n_grid=st.sampled_from([64, 512, 2000]), bandwidth=BANDWIDTHS, bounds=BOUNDS)))
def test_fast_kde(values):
    result = outcome(fast_kde, values)
    if result is not REFUSED:
        grid, density = result
        width = width_of(values, values["bandwidth"])
        some = slice(None, None, max(1, len(grid) // 40))
        expected = density_at(grid[some], values, width)
        assert len(grid) == len(density) == (values["n_grid"] or len(grid)) and (np.diff(grid) > 0).all()
        peak = max(density.max(), expected.max())
        assert_agree(density[some], expected, 2e-3 * peak)


@given(arguments(density_arguments(rule=st.sampled_from(["scott", "silverman", "cross-validation", "sheather-jones"]))))
def test_choose_bandwidth(values):
    width = outcome(choose_bandwidth, values)
    if width is not REFUSED:
        assert width > 0
        if values["rule"] in ("scott", "silverman"):
            expected = width_of(values, values["rule"])
            assert_agree(width, expected, 1e-6 * expected)


@given(arguments(density_arguments(bandwidths=tensors(3).map(lambda x: x.double().abs().numpy() + 0.1))))
def test_cross_validation_scores(values):
    scores = outcome(cross_validation_scores, values)
    if scores is not REFUSED:
        samples = array(values["samples"]).ravel()
        weights = np.ones(len(samples)) if values["weights"] is None else array(values["weights"]).ravel()
        weights = weights / weights.sum()
        gaps = samples[:, None] - samples
        pairs = weights[:, None] * weights
        others = pairs * ~np.eye(len(samples), dtype=bool)
        widths = array(values["bandwidths"])
        expected = np.zeros(widths.shape)
        for place in np.ndindex(widths.shape):
            h = widths[place]
            wide, narrow = (np.exp(-((gaps / s) ** 2) / 2) / (s * math.sqrt(2 * math.pi)) for s in (h * 2**0.5, h))
            expected[place] = (pairs * wide).sum() - 2 * (others * narrow).sum() / others.sum()
        assert_agree(scores, expected, 2e-3 / widths)


@given(arguments(st.fixed_dictionaries({"samples": SAMPLES, "bandwidths": st.just(np.array([0.7, 2.0, 9.0]))})))
def test_mode_tree(values):
    tree = outcome(mode_tree, values, also=("bandwidth",))
    if tree is not REFUSED:
        assert len(tree) == len(values["bandwidths"])
        for width, found in zip(array(values["bandwidths"]), tree, strict=True):
            beside = kde(values["samples"], found[:, None] + 0.5 * width * np.array([-1, 0, 1]), float(width))
            assert (beside[:, 1] >= beside[:, [0, 2]].max(1)).all()


@given(arguments(st.fixed_dictionaries({"grid": st.just(np.arange(9.0)), "density": tensors(9).map(array)})))
def test_peaks(values):
    found = outcome(peaks, values)
    if found is not REFUSED:
        density = array(values["density"])
        inner = [x for x in range(1, 8) if density[x - 1] < density[x] > density[x + 1]]
        assert set(found) <= {array(values["grid"])[x] for x in inner} or (np.diff(density) == 0).any()


HISTOGRAM_SCORES = tensors(2, 6, dtypes=FLOATS, scales=(1.0, 30.0, 1e4))


@given(arguments(st.fixed_dictionaries({"layer": st.sampled_from([1, 4]), "scores": HISTOGRAM_SCORES})))
def test_a_histogram_counts(values):
    histogram = ScoreHistogram((1, 4), 2)
    if outcome(histogram.update, values) is REFUSED:
        assert not histogram.counts.any()
    else:
        scores = array(values["scores"].float()).reshape(2, -1)
        place = [1, 4].index(values["layer"])
        assert histogram.n[place].tolist() == [scores.shape[1]] * 2
        if scores.size:
            negative = (scores < 0).mean(-1)
            tiny = (np.abs(scores) < 1e-6).mean(-1)  # half precision has no smaller numbers
            assert_agree(histogram.fraction_negative()[place], negative, tiny + 1e-9)


@given(
    arguments(
        st.fixed_dictionaries(
            {
                "layers": st.lists(st.integers(0, 9), max_size=3, unique=True),
                "n_heads": SIZES,
                "model": TEXTS,
                "counted": st.sets(st.integers(0, 2**64 - 1), max_size=3),
            }
        )
    )
)
@example({"layers": range(3), "n_heads": 2, "model": "mini", "counted": ()})
def test_a_histogram_is_made(values):
    histogram = outcome(ScoreHistogram, values)
    if histogram is not REFUSED:
        assert histogram.n.tolist() == [[0] * values["n_heads"] for _ in values["layers"]]


@given(arguments(st.fixed_dictionaries({"q": st.floats(0, 1)})))
def test_a_histograms_quantile(values):
    histogram = ScoreHistogram((1,), 2)
    samples = torch.linspace(-7.0, 9.0, 34).reshape(2, 17)
    histogram.update(1, samples)
    quantiles = outcome(histogram.quantile, values)
    if quantiles is not REFUSED:
        q = array(values["q"])
        assert quantiles.shape == (*q.shape, 1, 2)
        ordered = np.sort(array(samples), axis=1)
        for place in np.ndindex(q.shape):
            for head in range(2):
                rank = q[place] * 17
                low, high = ordered[head, max(0, math.ceil(rank) - 1)], ordered[head, min(16, math.floor(rank))]
                assert low - 0.02 <= quantiles[(*place, 0, head)] <= high + 0.02


@given(
    arguments(
        st.fixed_dictionaries(
            {"layer": st.just(1), "head": st.integers(0, 1), "n_grid": st.just(256), "bandwidth": BANDWIDTHS}
        )
    )
)
def test_a_histograms_density(values):
    histogram = ScoreHistogram((1,), 2)
    samples = torch.linspace(-7.0, 9.0, 34).reshape(2, 17)
    histogram.update(1, samples)
    result = outcome(histogram.density, values, also=("L1H0", "L1H1", "samples"))
    if result is not REFUSED:
        grid, density = result
        alike = {"samples": samples[int(values["head"])], "weights": None, "bounds": (-math.inf, math.inf)}
        width = width_of(alike, values["bandwidth"])
        expected = density_at(grid[::8], alike, width)
        assert_agree(density[::8], expected, (0.005 + 0.01 / width) * expected.max())  # scores are counted in bins


@given(flipped=st.booleans(), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_damaged_file_of_counts_is_refused_or_makes_no_difference(tmp_path_factory, flipped, place, bit):
    path = tmp_path_factory.getbasetemp() / "counts.npz"
    histogram = ScoreHistogram((1,), 2, "mini", [3])
    histogram.update(1, torch.linspace(-7.0, 9.0, 34).reshape(2, 17))
    histogram.save(path)
    content = bytearray(path.read_bytes())
    if flipped:
        content[int(place * len(content))] ^= 1 << bit
    else:
        content = content[: int(place * len(content))]
    path.write_bytes(content)
    loaded = outcome(ScoreHistogram.load, {"path": path}, also=(str(path),))
    if loaded is not REFUSED:
        assert (loaded.counts == histogram.counts).all()
        assert (loaded.layers, loaded.model, loaded.counted) == ((1,), "mini", {3})


@st.composite
def calls_of_a_model(draw, model):
    ids = draw(st.lists(st.integers(0, 49), min_size=1, max_size=20))
    layers = draw(st.sampled_from([None, [0], [1], (1, 0), range(2)]))
    return {"model": model, "input_ids": torch.tensor(ids), "layers": layers}


@given(data=st.data())
def test_capture_heads_and_count_scores(small_gpt2, data):
    model = small_gpt2
    values = data.draw(arguments(calls_of_a_model(model)))
    states = {}  # what enters c_attn in the very pass that is captured: in another, rounding grows from layer to layer
    hooks = [
        block.ln_1.register_forward_hook(lambda _, __, state, layer=layer: states.update({layer: array(state[0])}))
        for layer, block in enumerate(model.transformer.h)
    ]
    capture = outcome(capture_heads, values)
    for hook in hooks:
        hook.remove()
    histogram = outcome(count_scores, values)
    assert (capture is REFUSED) == (histogram is REFUSED)
    assert not any(block.attn.c_attn._forward_hooks for block in model.transformer.h)
    if capture is REFUSED:
        return
    n_tokens = values["input_ids"].numel()
    chosen = sorted(range(2) if values["layers"] is None else map(int, values["layers"]))
    assert capture.layers == histogram.layers == tuple(chosen)
    for place, layer in enumerate(chosen):
        c_attn = model.transformer.h[layer].attn.c_attn
        fused = states[layer] @ array(c_attn.weight) + array(c_attn.bias)
        q, k, v = fused.reshape(-1, 3, 3, 4).transpose(1, 2, 0, 3)
        pattern = np.zeros((3, n_tokens, n_tokens))
        for i in range(n_tokens):
            scores = np.einsum("hc,hkc->hk", q[:, i], k[:, : i + 1]) / 2
            pattern[:, i, : i + 1] = [softmax_of(row) for row in scores]
        assert_agree(capture.pattern(layer), pattern, 1e-5)
        assert_agree(capture.v[place], v, 1e-4)
        assert histogram.n[place].tolist() == [len(visible_pairs(n_tokens))] * 3


@given(data=st.data(), which=st.sampled_from(["scores", "pattern"]))
def test_a_captures_scores_and_patterns(small_gpt2, data, which):
    capture = capture_heads(small_gpt2, torch.arange(6), layers=[1])
    right = st.fixed_dictionaries({"layer": st.just(1), "head": st.sampled_from([None, 0, 1, 2])})
    values = data.draw(arguments(right))
    result = outcome({"scores": capture.scores, "pattern": capture.pattern}[which], values)
    if result is not REFUSED:
        assert values["layer"] == 1
        whole = getattr(capture, which)(1)
        assert_agree(result, whole if values["head"] is None else whole[int(values["head"])], 1e-4)


@given(data=st.data())
def test_laminar_profile(small_gpt2, data):
    capture = capture_heads(small_gpt2, torch.arange(data.draw(st.integers(1, 12))))
    values = data.draw(arguments(st.just({"capture": capture})))
    profile = outcome(laminar_profile, values, also=("pattern",))
    if profile is not REFUSED:
        capture = values["capture"]
        for place, layer in enumerate(capture.layers):
            one = head_profile(capture.scores(layer), capture.pattern(layer))
            for name in Profile._fields:
                assert_agree(getattr(profile, name)[place], getattr(one, name), 0.0)


@given(text=TEXTS, ids=st.one_of(JUNK, st.lists(st.integers(-2, 60_000), max_size=5).map(torch.tensor)))
def test_any_text_and_any_ids_have_printable_labels(mini, text, ids):
    model, tokenizer = mini
    if not any("\ud800" <= character <= "\udfff" for character in text):
        encoded = tokenizer(text[:1000], return_tensors="pt", verbose=False).input_ids
        labels = token_strings(tokenizer, encoded)
        assert len(labels) == encoded.shape[1]
        assert all(label and label.isprintable() and " " not in label for label in labels)
    labels = outcome(token_strings, {"tokenizer": tokenizer, "input_ids": ids})
    if labels is not REFUSED:
        assert len(labels) == array(ids).size


@given(name=st.one_of(JUNK, TEXTS))
@example("../mini")
@example("con\x00/x")
def test_a_models_name(name):
    an_id = isinstance(name, str) and (
        name in ("auto", "mini", "random", *SHORT_NAMES) or re.fullmatch(r"[\w.-]+/[\w.-]+", name)
    )
    assume(not an_id)  # the hub would be asked
    assert outcome(load_model, {"name": name}, also=(str(name),)) is REFUSED


@given(name=st.one_of(JUNK, TEXTS, st.from_regex(r"[a-z-]{1,9}/[a-z.]{1,9}", fullmatch=True), st.just("gpt2")))
def test_a_models_id(name):
    repo = outcome(repo_of, {"name": name})
    if repo is not REFUSED:
        owner, short = repo.split("/")
        assert repo == f"openai-community/{name}" or repo == name
        assert owner and short and re.fullmatch(r"[A-Za-z0-9_./-]+", repo) and not repo.startswith((".", "-", "/"))


@given(st.fixed_dictionaries({"model": JUNK}))
def test_a_model_that_is_none_has_no_name(values):
    assert outcome(model_name, values) is REFUSED


@given(arguments(st.fixed_dictionaries({"number": st.sampled_from(sorted(EXERCISES)), "function": JUNK})))
def test_a_check_takes_anything(values):
    verdict = outcome(check, values)
    if verdict is not REFUSED:
        assert verdict.status in ("not yet", "not attempted") and len(repr(verdict).splitlines()) == 1
