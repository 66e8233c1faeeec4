"""Lesson 5's functions: against loops, in float64, under any change of gauge, and on recorded GPT-2."""

import math
import statistics

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from test_shift import pairs, scores_of

from headlab.capture import capture_heads, score_terms
from headlab.contrast import (
    FOLDS,
    ScoreTerms,
    below_first_key,
    below_row_mean,
    centre_rows,
    decompose_scores,
    effective_tokens,
    row_contrast,
)
from headlab.masking import causal_mask
from headlab.scores import attention_pattern, raw_scores
from headlab.shift import shift_stats
from headlab.splitting import split_heads, split_qkv

MINI_TEXT = "The old man looked at the little white house by the sea."


# Statistics of the rows


@given(heads=st.integers(1, 3), n=st.integers(3, 8), seed=st.integers(0, 99))
def test_contrast_equals_loops_over_the_rows(heads, n, seed):
    raw = scores_of(heads, n, n, seed=seed)
    spread, gap = row_contrast(raw)
    for h in range(heads):
        rows = [[raw[h, i, j].item() for j in range(i + 1)] for i in range(2, n)]
        assert spread[h] == pytest.approx(statistics.mean(statistics.pstdev(row) for row in rows), abs=1e-9)
        assert gap[h] == pytest.approx(statistics.mean(row[0] - statistics.mean(row[1:]) for row in rows), abs=1e-9)


@given(heads=st.integers(1, 3), n=st.integers(2, 8), seed=st.integers(0, 99))
def test_shares_below_equal_loops_over_the_pairs(heads, n, seed):
    raw = scores_of(heads, n, n, seed=seed)
    before = raw.clone()
    for h in range(heads):
        row = [[raw[h, i, j].item() for j in range(i + 1)] for i in range(n)]
        below = [row[i][j] < row[i][0] for i, j in pairs(n, drop_first_key=True)]
        assert below_first_key(raw)[h] == sum(below) / len(below)
        if n >= 3:
            below = [row[i][j] < sum(row[i]) / len(row[i]) for i, j in pairs(n) if i >= 2]
            assert below_row_mean(raw)[h] == sum(below) / len(below)
    assert torch.equal(raw, before)


@given(n=st.integers(1, 8), seed=st.integers(0, 99))
def test_centred_rows_equal_loops(n, seed):
    raw = scores_of(2, n, n, seed=seed, dtype=torch.float64)
    centred = centre_rows(raw)
    assert centred.shape == raw.shape and centred.dtype == raw.dtype
    for h, i, j in np.ndindex(2, n, n):
        mean = sum(raw[h, i, k].item() for k in range(i + 1)) / (i + 1)
        expected = raw[h, i, j].item() - mean if j <= i else -math.inf
        assert centred[h, i, j].item() == pytest.approx(expected, abs=1e-9)
    finite = raw.masked_fill(~causal_mask(n), 0.0)
    assert torch.allclose(centred.softmax(-1), (finite.masked_fill(~causal_mask(n), -math.inf)).softmax(-1), atol=1e-12)


@pytest.mark.parametrize("value", [0.1, -7.0, 1e-300, 3e5])
def test_a_row_of_equal_scores_has_none_below_its_mean(value):
    # The mean of three times 0.1 is not 0.1 in floating point.
    raw = torch.full((2, 9, 9), value, dtype=torch.float64)
    assert below_row_mean(raw).tolist() == below_first_key(raw).tolist() == [0, 0]
    assert row_contrast(raw).spread.tolist() == row_contrast(raw).gap.tolist() == [0, 0]
    assert (centre_rows(raw)[:, causal_mask(9)] == 0).all()


def test_leading_axes_and_the_future():
    raw = scores_of(4, 6, 6)
    functions = (below_first_key, below_row_mean, lambda r: row_contrast(r).spread, lambda r: row_contrast(r).gap)
    for function in functions:
        assert function(raw[0]).shape == () and function(raw.reshape(2, 2, 6, 6)).shape == (2, 2)
        assert np.array_equal(function(raw[[2, 0, 3, 1]]), function(raw)[[2, 0, 3, 1]])
        for future in (-math.inf, math.nan, 0.0):
            assert np.array_equal(function(raw.masked_fill(~causal_mask(6), future)), function(raw))


def test_centred_rows_keep_half_precision_from_overflowing_unsaid():
    raw = torch.tensor([[0.0, 0.0], [6e4, -6e4]], dtype=torch.float16)
    assert centre_rows(raw)[1].tolist() == [60_000, -60_000]
    raw = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [6e4, 6e4, -6e4]], dtype=torch.float16)
    with pytest.raises(ValueError, match="^raw: expected numbers whose products and sums fit torch.float16"):
        centre_rows(raw)


@given(n=st.integers(1, 9), seed=st.integers(0, 99), scale=st.sampled_from([0.1, 1.0, 1e5]))
def test_effective_tokens_equal_their_definition(n, seed, scale):
    pattern = attention_pattern((scale * scores_of(2, n, n, seed=seed, dtype=torch.float64)), 64)
    tokens = effective_tokens(pattern)
    assert tokens.shape == (2, n)
    for h, i in np.ndindex(2, n):
        entropy = -sum(p * math.log(p) for p in pattern[h, i].tolist() if p > 0)
        assert tokens[h, i] == pytest.approx(math.exp(entropy), rel=1e-9)
        assert 1 - 1e-9 <= tokens[h, i] <= i + 1 + 1e-9


def test_effective_tokens_of_even_shares_and_of_one_key():
    assert effective_tokens(torch.full((2, 8), 1 / 8)) == pytest.approx([8, 8])
    assert effective_tokens(torch.eye(3)).tolist() == [1, 1, 1]
    half = torch.full((1, 100), 1 / 100, dtype=torch.bfloat16)
    assert effective_tokens(half / half.sum()) == pytest.approx([100], rel=0.02)


# The gauge


def seen_by_softmax(raw, d_head):
    """All that no gauge may move, as one list of arrays."""
    pattern = attention_pattern(raw, d_head)
    measured = [pattern.numpy(), effective_tokens(pattern), *row_contrast(raw), below_first_key(raw)]
    return [*measured, below_row_mean(raw), centre_rows(raw).masked_fill(~causal_mask(raw.shape[-1]), 0.0).numpy()]


@given(n=st.integers(3, 8), seed=st.integers(0, 99), size=st.floats(-1e5, 1e5))
def test_a_row_constant_moves_the_scores_and_nothing_that_softmax_sees(n, seed, size):
    raw = scores_of(2, n, n, seed=seed, dtype=torch.float64)
    constants = size * torch.linspace(0.5, 1, n, dtype=torch.float64)[:, None]
    moved = raw + constants
    weights = torch.arange(1, n + 1)
    mean_constant = (constants[:, 0] * weights).sum() / weights.sum()
    assert np.allclose(shift_stats(moved).mean - shift_stats(raw).mean, mean_constant, atol=1e-6)
    for ours, theirs in zip(row_contrast(moved), row_contrast(raw), strict=True):
        assert np.allclose(ours, theirs, atol=1e-6)
    assert torch.allclose(attention_pattern(moved, 64), attention_pattern(raw, 64), rtol=0, atol=1e-9)


@given(n=st.integers(3, 8), seed=st.integers(0, 10**6), size=st.floats(0, 1e4))
def test_any_vector_on_the_keys_moves_nothing_that_softmax_sees(n, seed, size):
    random = torch.Generator().manual_seed(seed)
    q, k = torch.randn(2, 3, n, 4, generator=random, dtype=torch.float64)  # (head, token, channel)
    added = size * torch.randn(3, 1, 4, generator=random, dtype=torch.float64)
    for before, after in zip(seen_by_softmax(q @ k.mT, 4), seen_by_softmax(q @ (k + added).mT, 4), strict=True):
        assert np.allclose(before, after, rtol=0, atol=1e-9 * (1 + size))


def test_a_vector_on_the_queries_is_no_gauge():
    # The same property must fail where it should: the query bias is seen.
    random = torch.Generator().manual_seed(3)
    q, k = torch.randn(2, 3, 6, 4, generator=random, dtype=torch.float64)
    added = torch.randn(3, 1, 4, generator=random, dtype=torch.float64)
    for before, after in zip(seen_by_softmax(q @ k.mT, 4), seen_by_softmax((q + added) @ k.mT, 4), strict=True):
        assert not np.allclose(before, after, rtol=0, atol=1e-3)


def move_the_gauge(model, ids, direction):
    """Add to every head's key bias the vector whose product with the head's queries is nearest to `direction`."""
    capture, config = capture_heads(model, ids), model.config
    d_head = config.n_embd // config.n_head
    for layer, block in enumerate(model.transformer.h):
        for head in range(config.n_head):
            q = capture.q[layer, head].double()
            vector = torch.linalg.lstsq(q, torch.ones(len(q), 1, dtype=q.dtype), driver="gelsd").solution[:, 0]
            first = config.n_embd + head * d_head
            block.attn.c_attn.bias.data[first : first + d_head] += direction * vector.to(block.attn.c_attn.bias)


@pytest.mark.parametrize(("direction", "expected"), [(-3000.0, 1.0), (3000.0, 0.0)])
def test_the_models_signs_go_where_one_likes_and_its_logits_stay(mini, direction, expected):
    from copy import deepcopy

    model, tokenizer = deepcopy(mini[0]).double(), mini[1]
    ids = tokenizer(MINI_TEXT, return_tensors="pt").input_ids
    with torch.no_grad():
        logits = model(ids).logits
        before = capture_heads(model, ids)
        move_the_gauge(model, ids, direction)
        after = capture_heads(model, ids)
        assert torch.allclose(model(ids).logits, logits, rtol=0, atol=1e-6)
    d_head = model.config.n_embd // model.config.n_head
    for layer in before.layers:
        old, new = before.scores(layer), after.scores(layer)
        assert 0.05 < shift_stats(old).fraction_negative.mean() < 0.95
        assert shift_stats(new).fraction_negative == pytest.approx(expected)
        for ours, theirs in zip(seen_by_softmax(old, d_head), seen_by_softmax(new, d_head), strict=True):
            assert np.allclose(ours, theirs, rtol=0, atol=1e-6)


@given(seed=st.integers(0, 10**6))
def test_any_model_any_vector(odd_gpt2, seed):
    model = odd_gpt2().double()
    random = torch.Generator().manual_seed(seed)
    ids = torch.randint(50, (7,), generator=random)
    with torch.no_grad():
        logits, before = model(ids[None]).logits, capture_heads(model, ids)
        for block in model.transformer.h:
            block.attn.c_attn.bias[12:24] += 30 * torch.randn(12, generator=random, dtype=torch.float64)
        after = capture_heads(model, ids)
        assert torch.allclose(model(ids[None]).logits, logits, rtol=0, atol=1e-9)
    moved = [shift_stats(c.scores(layer)).fraction_negative for layer in (0, 1) for c in (before, after)]
    assert any(not np.array_equal(moved[i], moved[i + 1]) for i in (0, 2))
    for layer in (0, 1):
        for ours, theirs in zip(*(seen_by_softmax(c.scores(layer), 4) for c in (before, after)), strict=True):
            assert np.allclose(ours, theirs, rtol=0, atol=1e-9)


def test_the_loss_has_no_gradient_with_respect_to_the_key_bias(odd_gpt2):
    model = odd_gpt2().double()
    ids = torch.arange(10)[None]
    model(ids, labels=ids).loss.backward()
    for block in model.transformer.h:
        query, key, value = block.attn.c_attn.bias.grad.split(12)
        assert key.norm() < 1e-12 < 1e-6 < min(query.norm(), value.norm())


# The four terms


def odd_layer(seed=0, dtype=torch.float64, n_tokens=5):
    """x (5, 12), weight (12, 36), bias (36,) of 3 heads with 4 channels."""
    random = torch.Generator().manual_seed(seed)
    sizes = ((n_tokens, 12), (12, 36), (36,))
    return [torch.randn(*size, generator=random, dtype=torch.float64).to(dtype) for size in sizes]


@given(seed=st.integers(0, 99), n_tokens=st.integers(1, 6))
def test_each_term_equals_its_formula_and_the_sum_the_raw_scores(seed, n_tokens):
    x, weight, bias = odd_layer(seed, n_tokens=n_tokens)
    before = x.clone(), weight.clone(), bias.clone()
    terms = decompose_scores(x, weight, bias, 3)
    fused = x @ weight + bias
    for h in range(3):
        place_q, place_k = slice(4 * h, 4 * h + 4), slice(12 + 4 * h, 12 + 4 * h + 4)
        bq, bk = bias[place_q], bias[place_k]
        for i, j in np.ndindex(n_tokens, n_tokens):
            q, k = x[i] @ weight[:, place_q], x[j] @ weight[:, place_k]
            expected = ScoreTerms(q @ k, bq @ k, q @ bk, bq @ bk)
            for term, value in zip(terms, expected, strict=True):
                assert term[h, i, j].item() == pytest.approx(value.item(), abs=1e-9)
        raw = fused[:, place_q] @ fused[:, place_k].T
        assert torch.allclose(sum(terms)[h], raw, rtol=0, atol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(before, (x, weight, bias), strict=True))


def test_which_terms_are_the_same_in_every_row_and_which_along_one():
    terms = decompose_scores(*odd_layer(), 3)
    assert (terms.query_bias == terms.query_bias[:, :1]).all()
    assert (terms.key_bias == terms.key_bias[..., :1]).all()
    assert (terms.constant == terms.constant[:, :1, :1]).all()
    for varying in (terms.content, terms.query_bias):
        assert varying.std(-1).min() > 0.1


@given(seed=st.integers(0, 99), n_tokens=st.integers(1, 6), fold=st.sampled_from(FOLDS[1:]))
def test_a_convention_moves_a_shared_vector_and_no_score(seed, n_tokens, fold):
    x, weight, bias = odd_layer(seed, n_tokens=n_tokens)
    given = torch.randn(12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    terms = decompose_scores(x, weight, bias, 3, fold, given if fold == "layer_norm" else None)
    shared = given if fold == "layer_norm" else x.mean(0)
    q, k, _ = (split_heads(part, 3) for part in split_qkv(x @ weight + bias))
    assert torch.allclose(sum(terms), raw_scores(q, k), rtol=0, atol=1e-9)
    for h in range(3):
        weights = [weight[:, start + 4 * h : start + 4 * h + 4] for start in (0, 12)]
        biases = [bias[start + 4 * h : start + 4 * h + 4] for start in (0, 12)]
        own = [[(row - shared) @ w for row in x] for w in weights]
        common = [b + shared @ w for w, b in zip(weights, biases, strict=True)]
        for i, j in np.ndindex(n_tokens, n_tokens):
            expected = (own[0][i] @ own[1][j], common[0] @ own[1][j], own[0][i] @ common[1], common[0] @ common[1])
            for term, value in zip(terms, expected, strict=True):
                assert term[h, i, j].item() == pytest.approx(value.item(), abs=1e-9)


def test_centred_over_tokens_the_biases_hold_the_mean_query_and_key():
    x, weight, bias = odd_layer()
    terms = decompose_scores(x, weight, bias, 3, "mean")
    q, k, _ = (split_heads(part, 3) for part in split_qkv(x @ weight + bias))
    assert torch.allclose(terms.constant[:, 0, 0], (q.mean(1) * k.mean(1)).sum(-1))
    assert torch.allclose(terms.query_bias.sum(-1), torch.zeros(3, 5, dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize("fold", FOLDS)
def test_the_models_own_scores_are_the_sum_of_their_terms(mini, fold):
    model, tokenizer = mini
    ids = tokenizer(MINI_TEXT, return_tensors="pt").input_ids
    capture = capture_heads(model, ids)
    for layer, terms in enumerate(score_terms(model, ids, fold)):
        assert torch.allclose(sum(terms), capture.scores(layer), rtol=0, atol=2e-3)


# Recorded GPT-2


@pytest.fixture(scope="module")
def texts(reference):
    """{name: raw scores (layer, head, query, key)} of the ten recorded texts."""
    prompts, longer = (load_file(reference / f"{name}.safetensors") for name in ("prompts", "llm_visualized"))
    one = load_file(reference / "john_smith.safetensors")
    raws = {f"prompt {i}": prompts[f"attn_scores.{i}"] for i in range(5)}
    raws["john_smith"] = one["queries"].double() @ one["keys"].double().mT
    raws |= {name.split(".")[1]: scores for name, scores in longer.items() if name.startswith("attn_scores.")}
    return {name: raw.double().masked_fill(~causal_mask(raw.shape[-1]), 0.0) for name, raw in raws.items()}


def pooled(texts, function, n_pairs):
    """A share by layer and head over the pairs of the five prompts together."""
    raws = [texts[f"prompt {i}"] for i in range(5)]
    return np.average([function(raw) for raw in raws], axis=0, weights=[n_pairs(raw.shape[-1]) for raw in raws])


def test_nearly_every_key_lies_below_the_first_one(texts):
    below = pooled(texts, below_first_key, lambda n: n * (n - 1) / 2)
    assert below.mean() == pytest.approx(0.928, abs=5e-4)
    by_layer = [76, 87, 88, 91, 90, 98, 98, 99, 98, 99, 100, 90]
    assert np.round(100 * below.mean(1)).tolist() == by_layer


def test_rows_are_skewed(texts):
    below = pooled(texts, below_row_mean, lambda n: n * (n + 1) / 2 - 3)
    assert below.mean() == pytest.approx(0.584, abs=5e-4)


def test_the_skew_is_the_first_keys_work(texts):
    without = [100 * below_row_mean(raw[..., 1:, 1:]).mean() for raw in texts.values()]
    assert (min(without), max(without)) == pytest.approx((48, 53), abs=0.6)


@pytest.mark.parametrize(
    ("start", "n_texts", "first", "mean", "share", "negative"),
    [
        ("prompt", 5, (92.2, 93.5), (57, 60), (0.67, 0.70), (67, 73)),
        ("john_smith", 1, (93.7, 93.7), (59.6, 59.6), (0.65, 0.65), (74.0, 74.0)),
        ("", 4, (90.6, 92.7), (55, 57), (0.57, 0.62), (78, 80)),
    ],
)
def test_steady_from_text_to_text_where_the_sign_is_not(texts, start, n_texts, first, mean, share, negative):
    """Each group's least and greatest, to the last digit that is given."""
    known = ("prompt", "john_smith")
    chosen = [raw for name, raw in texts.items() if (name.startswith(start) if start else not name.startswith(known))]
    assert len(chosen) == n_texts
    measured = {
        first: [100 * below_first_key(raw).mean() for raw in chosen],
        mean: [100 * below_row_mean(raw).mean() for raw in chosen],
        share: [attention_pattern(raw, 64)[..., 2:, 0].mean().item() for raw in chosen],
        negative: [100 * shift_stats(raw).fraction_negative.mean() for raw in chosen],
    }
    for told, values in measured.items():
        last_digit = 10.0 ** -max(len(str(bound).partition(".")[2]) for bound in told)
        assert (min(values), max(values)) == pytest.approx(told, abs=0.6 * last_digit)


@pytest.fixture(scope="module")
def conventions(reference):
    """{fold: terms (layer, head, query, key) of the recorded nine-token prompt}, in float64."""
    recorded = load_file(reference / "john_smith.safetensors")
    weights = load_file(reference / "attention_weights.safetensors")
    folds = {}
    for fold in FOLDS:
        layers = []
        for layer, x in enumerate(recorded["ln_1"].double()):
            names = ("attn.c_attn.weight", "attn.c_attn.bias", "ln_1.bias")
            weight, bias, ln_bias = (weights[f"h.{layer}.{name}"].double() for name in names)
            layers.append(decompose_scores(x, weight, bias, 12, fold, ln_bias if fold == "layer_norm" else None))
        folds[fold] = ScoreTerms(*(torch.stack(parts) for parts in zip(*layers, strict=True)))
    return folds


@pytest.mark.parametrize("fold", FOLDS)
def test_the_terms_sum_to_the_recorded_scores(conventions, fold, reference):
    recorded = load_file(reference / "john_smith.safetensors")
    raw = (recorded["queries"] @ recorded["keys"].mT).double()
    assert raw.shape == (12, 12, 9, 9)
    terms = conventions[fold]
    assert torch.allclose(sum(terms), raw, rtol=0, atol=1e-3)
    assert torch.allclose(attention_pattern(sum(terms), 64).float(), recorded["pattern"], rtol=0, atol=1e-4)
    seen = attention_pattern(terms.content + terms.query_bias, 64)
    assert torch.allclose(seen, attention_pattern(sum(terms), 64), rtol=0, atol=1e-6)


def test_what_a_convention_changes(conventions):
    """Means of terms, and what the content is worth, are of the convention's making."""
    found = {}
    for fold, terms in conventions.items():
        raw = sum(terms)
        unseen = shift_stats(terms.key_bias + terms.constant).mean.mean()
        layers = (shift_stats(terms.query_bias).mean.mean(1) < shift_stats(terms.content).mean.mean(1)).sum()
        left = [attention_pattern(raw - term, 64) for term in (terms.content, terms.query_bias)]
        tokens = [round(effective_tokens(pattern)[..., 2:].mean(), 2) for pattern in left]
        share = round(left[1][..., 2:, 0].mean().item(), 2)
        found[fold] = (round(unseen, 1), int(layers), *tokens, share)
    assert found == {
        None: (0.8, 10, 3.63, 3.60, 0.35),
        "layer_norm": (-7.1, 12, 3.45, 3.67, 0.30),
        "mean": (-13.1, 3, 2.97, 4.67, 0.21),
    }


def test_what_no_convention_changes(conventions):
    """The query bias lifts the first key over the others, and without it the sink weakens, in every layer."""
    for terms in conventions.values():
        raw = sum(terms)
        assert row_contrast(raw).gap == pytest.approx(
            row_contrast(terms.content).gap + row_contrast(terms.query_bias).gap, abs=1e-9
        )
        gap, content_gap = row_contrast(terms.query_bias).gap, row_contrast(terms.content).gap
        assert 18.6 < gap.mean() < 21 and content_gap.mean() < 4.4 and (gap > 0).sum() >= 137
        assert (gap.mean(1) > 0).all()
        share = attention_pattern(raw, 64)[..., 2:, 0].mean(-1)
        without = attention_pattern(raw - terms.query_bias, 64)[..., 2:, 0].mean(-1)
        assert (without.mean(1) < share.mean(1)).all() and (without < share).sum() >= 138
        assert share.mean() == pytest.approx(0.65, abs=5e-3) and without.mean() < 0.36


def test_what_enters_the_layers_is_short_at_the_first_token_and_points_elsewhere(reference):
    x = load_file(reference / "john_smith.safetensors")["ln_1"]
    length = x.norm(dim=-1)
    assert round(length[1:11, 0].min().item(), 1) == 2.0 and round(length[1:11, 0].max().item(), 1) == 2.9
    unit = torch.nn.functional.normalize(x, dim=-1)
    cosine = (unit[:, :1] * unit[:, 1:]).sum(-1).mean(-1)
    assert round(cosine[1:11].max().item(), 2) == -0.07 and round(cosine[1:11].min().item(), 2) == -0.41
    assert 8.55 < length[3, 1:].min() and length[3, 1:].max() < 10.35 and round(length[3, 0].item(), 1) == 2.4
    wpe = load_file(reference / "attention_weights.safetensors")["wpe.weight"].norm(dim=-1)
    assert [round(v.item(), 1) for v in (wpe[0], wpe[1], wpe.median())] == [9.9, 5.2, 3.4]


def test_the_key_biases_are_alike_but_for_four_heads(reference):
    weights = load_file(reference / "attention_weights.safetensors")
    biases = torch.stack([weights[f"h.{layer}.attn.c_attn.bias"] for layer in range(12)])
    length = biases[:, 768:1536].reshape(12, 12, 64).norm(dim=-1)
    known = {(0, 1): 3.8, (0, 5): 2.1, (0, 3): 1.5, (4, 11): 9.5}
    for place, value in known.items():
        assert round(length[place].item(), 1) == value
        length[place] = 0.7
    assert round(length.min().item(), 1) == 0.4 and round(length.max().item(), 1) == 1.1


# Bad input


X, WEIGHT, BIAS = odd_layer()


@pytest.mark.parametrize(
    ("call", "error", "line"),
    [
        (
            lambda: row_contrast(torch.ones(2, 2)),
            ValueError,
            "raw: expected at least 3 tokens (..., T, T), got shape (2, 2)",
        ),
        (
            lambda: effective_tokens(torch.ones(2, 2, dtype=torch.int64)),
            TypeError,
            "pattern: expected floating-point numbers (..., query, key) (x.float() makes them so), got torch.int64",
        ),
        (
            lambda: effective_tokens(torch.tensor([[2.0, -1.0]])),
            ValueError,
            "pattern: expected shares >= 0 (take the softmax first), got -1",
        ),
        (
            lambda: effective_tokens(torch.tensor([[0.5, 0.5], [0.5, 0.25]])),
            ValueError,
            "pattern: expected rows that sum to 1 (take the softmax first), got a sum of 0.75",
        ),
        (
            lambda: effective_tokens(torch.tensor([math.inf, 0.0])),
            ValueError,
            "pattern: expected finite numbers, got inf at index (0,)",
        ),
        (
            lambda: decompose_scores(X[0], WEIGHT, BIAS, 3),
            ValueError,
            "x: expected (T, d_model) with T >= 1, got shape (12,)",
        ),
        (
            lambda: decompose_scores(X, WEIGHT.T, BIAS, 3),
            ValueError,
            "weight: expected shape (12, 36) to fit x, got (36, 12)",
        ),
        (
            lambda: decompose_scores(X, WEIGHT, BIAS[:12], 3),
            ValueError,
            "bias: expected shape (36,) to fit x, got (12,)",
        ),
        (
            lambda: decompose_scores(X, WEIGHT.float(), BIAS, 3),
            ValueError,
            "weight: expected the dtype of x torch.float64, got torch.float32",
        ),
        (
            lambda: decompose_scores(X, WEIGHT, BIAS, 5),
            ValueError,
            "n_heads: expected a divisor of d_model = 12, got 5",
        ),
        (
            lambda: decompose_scores(X * math.nan, WEIGHT, BIAS, 3),
            ValueError,
            "x: expected finite numbers, got nan at index (0, 0)",
        ),
        (
            lambda: decompose_scores(X, WEIGHT, BIAS, 3, "ln"),
            ValueError,
            "fold: expected None or 'layer_norm' or 'mean', got 'ln'",
        ),
        (
            lambda: decompose_scores(X, WEIGHT, BIAS, 3, X),
            ValueError,
            None,
        ),
        (
            lambda: decompose_scores(X, WEIGHT, BIAS, 3, "layer_norm"),
            TypeError,
            "ln_bias: expected a torch tensor (12,), got None",
        ),
        (
            lambda: decompose_scores(X, WEIGHT, BIAS, 3, "layer_norm", BIAS),
            ValueError,
            "ln_bias: expected shape (12,) to fit x, got (36,)",
        ),
        (
            lambda: decompose_scores(X, WEIGHT, BIAS, 3, "mean", torch.zeros(12, dtype=torch.float64)),
            ValueError,
            None,
        ),
        (
            lambda: below_first_key(torch.ones(3, 1, 1)),
            ValueError,
            "raw: expected at least 2 tokens (..., T, T), got shape (3, 1, 1)",
        ),
        (
            lambda: below_row_mean(torch.ones(2, 2)),
            ValueError,
            "raw: expected at least 3 tokens (..., T, T), got shape (2, 2)",
        ),
        (
            lambda: centre_rows(torch.tensor([[1.0, 0.0], [math.nan, 0.0]])),
            ValueError,
            "raw: expected finite numbers, got nan at index (1, 0)",
        ),
        (
            lambda: centre_rows([[1.0]]),
            TypeError,
            "raw: expected a torch tensor (..., T, T) (torch.as_tensor(x) makes one), got list",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(call, error, line):
    with pytest.raises(error) as caught:
        call()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    assert line is None or str(caught.value) == line
