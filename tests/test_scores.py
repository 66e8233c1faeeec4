"""Scores, patterns and what heads do: against loops, torch, transformers' eager attention and recorded GPT-2."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file

from headlab.capture import capture_heads
from headlab.masking import mask_scores, softmax
from headlab.scores import (
    attention_pattern,
    head_outputs,
    mean_share,
    pattern_distances,
    project_heads,
    raw_scores,
    token_pairs,
)
from headlab.splitting import merge_heads, split_heads, split_qkv

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def numbers(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def random_pattern(*shape, seed=0, dtype=torch.float32):
    return attention_pattern(numbers(*shape, seed=seed, dtype=dtype) * 5, 4)


def even_pattern(n_tokens):
    return softmax(mask_scores(torch.zeros(n_tokens, n_tokens)))


# The ladder: a loop over single numbers, then torch, on uneven sizes.


@given(heads=st.integers(1, 4), tokens=st.integers(1, 6), d_head=st.integers(1, 6), seed=st.integers(0, 99))
def test_one_head_after_the_other_by_loops(heads, tokens, d_head, seed):
    q, k, v = (numbers(heads, tokens, d_head, seed=seed + i, dtype=torch.float64) for i in range(3))
    kept = [x.clone() for x in (q, k, v)]
    raw = raw_scores(q, k)
    raw_before = raw.clone()
    pattern = attention_pattern(raw, d_head)
    pattern_before = pattern.clone()
    outputs = head_outputs(pattern, v)
    assert raw.shape == pattern.shape == (heads, tokens, tokens) and outputs.shape == v.shape
    for h in range(heads):
        for i in range(tokens):
            for j in range(tokens):
                dot = sum(q[h, i, c].item() * k[h, j, c].item() for c in range(d_head))
                assert raw[h, i, j].item() == pytest.approx(dot, abs=1e-12)
            weights = [math.exp(raw[h, i, j].item() / d_head**0.5) if j <= i else 0.0 for j in range(tokens)]
            shares = [w / sum(weights) for w in weights]
            assert pattern[h, i].tolist() == pytest.approx(shares, abs=1e-12)
            for c in range(d_head):
                mixed = sum(shares[j] * v[h, j, c].item() for j in range(tokens))
                assert outputs[h, i, c].item() == pytest.approx(mixed, abs=1e-12)
    assert all(torch.equal(a, b) for a, b in zip((q, k, v), kept, strict=True))
    assert torch.equal(raw, raw_before) and torch.equal(pattern, pattern_before)


@given(
    batch=st.lists(st.integers(1, 3), min_size=1, max_size=2),
    tokens=st.integers(1, 9),
    d_head=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_torchs_attention_agrees(batch, tokens, d_head, seed):
    q, k, v = (3 * numbers(*batch, tokens, d_head, seed=seed + i) for i in range(3))
    ours = head_outputs(attention_pattern(raw_scores(q, k), d_head), v)
    theirs = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_stays_and_agrees_with_float64(dtype):
    q, k, v = (numbers(3, 5, 4, seed=i, dtype=dtype) for i in range(3))
    weight, bias = numbers(12, 7, seed=3, dtype=dtype), numbers(7, seed=4, dtype=dtype)

    def steps(q, k, v, weight, bias):
        raw = raw_scores(q, k)
        pattern = attention_pattern(raw, 4)
        outputs = head_outputs(pattern, v)
        pairs = token_pairs(torch.tensor([1, 2, 1, 2, 1]))["same"]
        return (
            raw,
            pattern,
            outputs,
            project_heads(outputs, weight, bias),
            mean_share(pattern, pairs),
            pattern_distances(pattern),
        )

    exact = steps(*(x.double() for x in (q, k, v, weight, bias)))
    tolerance = {torch.float16: 1e-2, torch.bfloat16: 6e-2}.get(dtype, 1e-5)
    for ours, right in zip(steps(q, k, v, weight, bias), exact, strict=True):
        assert ours.dtype == dtype
        assert torch.allclose(ours.double(), right, rtol=tolerance, atol=tolerance)


def test_gradients_pass_through():
    q, k, v = (numbers(2, 3, 4, seed=i, dtype=torch.float64).requires_grad_() for i in range(3))
    weight, bias = numbers(8, 5, dtype=torch.float64).requires_grad_(), torch.zeros(5, dtype=torch.float64)

    def contributions(q, k, v, weight):
        return project_heads(head_outputs(attention_pattern(raw_scores(q, k), 4), v), weight, bias)

    assert torch.autograd.gradcheck(contributions, (q, k, v, weight))
    assert torch.autograd.gradcheck(lambda q, k: pattern_distances(attention_pattern(raw_scores(q, k), 4)), (q, k))


def test_the_scale_is_the_root_of_the_channels():
    raw = torch.tensor([[0.0, 0.0], [0.0, 3 * math.log(2)]])
    assert torch.allclose(attention_pattern(raw, 9), torch.tensor([[1.0, 0.0], [1 / 3, 2 / 3]]))


# Head outputs and the mix.


@given(
    heads=st.integers(1, 4),
    tokens=st.integers(1, 5),
    d_head=st.integers(1, 5),
    d_model=st.integers(1, 9),
    n=st.integers(0, 9),
)
def test_contributions_sum_to_the_projection_of_the_merged_heads(heads, tokens, d_head, d_model, n):
    outputs = numbers(2, heads, tokens, d_head, seed=n, dtype=torch.float64)
    weight, bias = (numbers(*s, seed=n, dtype=torch.float64) for s in ((heads * d_head, d_model), (d_model,)))
    kept = [x.clone() for x in (outputs, weight, bias)]
    contributions = project_heads(outputs, weight, bias)
    assert contributions.shape == (2, heads, tokens, d_model)
    merged = torch.cat([outputs[:, h] for h in range(heads)], dim=-1)
    assert torch.allclose(contributions.sum(-3) + bias, F.linear(merged, weight.T, bias))
    for h in range(heads):
        alone = torch.zeros_like(outputs)
        alone[:, h] = outputs[:, h]
        assert torch.allclose(contributions[:, h], merge_heads(alone) @ weight)
    assert all(torch.equal(a, b) for a, b in zip((outputs, weight, bias), kept, strict=True))


def attention_outputs(model, ids):
    """What each attention block of the model returns, (layer, T, d_model)."""
    kept = []
    handles = [
        block.attn.register_forward_hook(lambda module, arguments, output: kept.append(output[0][0]))
        for block in model.transformer.h
    ]
    with torch.no_grad():
        model(ids)
    for handle in handles:
        handle.remove()
    return torch.stack(kept)


def assert_heads_add_up_to_the_models_attention(model, ids):
    capture = capture_heads(model, ids)
    for layer, right in enumerate(attention_outputs(model, ids)):
        projection = model.transformer.h[layer].attn.c_proj
        outputs = head_outputs(capture.pattern(layer), capture.v[layer])
        contributions = project_heads(outputs, projection.weight, projection.bias)
        assert contributions.shape == (model.config.n_head, *right.shape)
        assert torch.allclose(contributions.sum(0) + projection.bias, right, rtol=1e-4, atol=1e-4)


def test_heads_add_up_to_the_models_attention(mini, control):
    for model, tokenizer in (mini, control):
        ids = tokenizer("The old man looked at the little white house by the sea.", return_tensors="pt").input_ids
        assert_heads_add_up_to_the_models_attention(model, ids)


def test_heads_add_up_in_a_model_of_odd_sizes(odd_gpt2):
    assert_heads_add_up_to_the_models_attention(odd_gpt2(), torch.tensor([[3, 1, 4, 1, 5, 9, 2]]))


# What heads do.


@given(ids=st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_pairs_by_their_words(ids):
    pairs = token_pairs(torch.tensor(ids))
    assert list(pairs) == ["previous", "first", "same", "induction"]
    for i in range(len(ids)):
        for j in range(len(ids)):
            expected = {
                "previous": j == i - 1 and j > 0,
                "first": j == 0 and i > 0,
                "same": 0 < j < i and ids[j] == ids[i],
                "induction": 0 < j < i and ids[j - 1] == ids[i],
            }
            assert {name: bool(marked[i, j]) for name, marked in pairs.items()} == expected
    assert all(
        torch.equal(a, b) for a, b in zip(pairs.values(), token_pairs(torch.tensor([ids])).values(), strict=True)
    )


@given(heads=st.integers(1, 4), tokens=st.integers(2, 8), seed=st.integers(0, 99))
def test_mean_share_is_a_mean_over_the_queries_that_have_a_pair(heads, tokens, seed):
    pattern = random_pattern(heads, tokens, tokens, seed=seed)
    pairs = (numbers(tokens, tokens, seed=seed + 1) > 0.5).tril()
    pairs[tokens - 1, 0] = True
    before = pattern.clone(), pairs.clone()
    for h in range(heads):
        shares = [
            sum(pattern[h, i, j].item() for j in range(tokens) if pairs[i, j]) for i in range(tokens) if pairs[i].any()
        ]
        assert mean_share(pattern, pairs)[h].item() == pytest.approx(sum(shares) / len(shares), abs=1e-6)
    assert torch.equal(pattern, before[0]) and torch.equal(pairs, before[1])


def test_a_pure_head_of_each_type_gets_a_full_share():
    ids = torch.tensor([0, 1, 2, 3, 1, 2, 3])
    for pairs in token_pairs(ids).values():
        rows = pairs.any(-1)
        pattern = torch.where(rows[:, None], pairs.float(), torch.eye(7))
        assert mean_share(pattern, pairs) == 1
        assert mean_share(torch.eye(7), pairs) == 0


def test_the_share_of_even_attention():
    pairs = token_pairs(torch.tensor([0, 1, 2, 1]))
    assert mean_share(even_pattern(4), pairs["same"]).item() == pytest.approx(1 / 4)
    assert mean_share(even_pattern(4), pairs["first"]).item() == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)
    assert mean_share(even_pattern(4), pairs["previous"]).item() == pytest.approx((1 / 3 + 1 / 4) / 2)


@given(heads=st.integers(1, 4), tokens=st.integers(2, 6), seed=st.integers(0, 99))
def test_distances_by_loops(heads, tokens, seed):
    pattern = random_pattern(2, heads, tokens, tokens, seed=seed)
    distances = pattern_distances(pattern)
    assert distances.shape == (2, heads, heads)
    for a in range(heads):
        for b in range(heads):
            # What has to move in one row: all that the one has more of than the other.
            moved = [(pattern[1, a, i] - pattern[1, b, i]).clamp(min=0).sum().item() for i in range(1, tokens)]
            assert distances[1, a, b].item() == pytest.approx(sum(moved) / len(moved), abs=1e-6)
    assert torch.equal(distances, distances.mT) and (distances.diagonal(dim1=-2, dim2=-1) == 0).all()


def test_heads_that_share_no_key_are_at_distance_one():
    on_itself, on_the_first = torch.eye(4), torch.zeros(4, 4)
    on_the_first[:, 0] = 1
    assert pattern_distances(torch.stack([on_itself, on_the_first])).tolist() == [[0, 1], [1, 0]]


# Recorded GPT-2.


@pytest.fixture(scope="module")
def john_smith(reference):
    """The recorded prompt's tensors, and token ids that are equal where its tokens are."""
    with safe_open(reference / "john_smith.safetensors", "pt") as file:
        tokens = json.loads(file.metadata()["tokens"])
    assert tokens == ["John", " Smith", " is", " also", " the", " son", " of", " Fred", " Smith"]
    ids = torch.tensor([tokens.index(token) for token in tokens])
    return load_file(reference / "john_smith.safetensors"), ids


@pytest.fixture(scope="module")
def weights(reference):
    return load_file(reference / "attention_weights.safetensors")


def test_recorded_gpt2_from_the_layers_input_to_all_144_patterns(john_smith, weights):
    recorded, _ = john_smith
    for layer in range(12):
        weight, bias = (weights[f"h.{layer}.attn.c_attn.{name}"] for name in ("weight", "bias"))
        q, k, _ = (split_heads(part, 12) for part in split_qkv(recorded["ln_1"][layer] @ weight + bias))
        assert torch.allclose(q, recorded["queries"][layer], rtol=0, atol=2e-4)
        assert torch.allclose(k, recorded["keys"][layer], rtol=0, atol=2e-4)
        pattern = attention_pattern(raw_scores(q, k), 64)
        assert pattern.shape == (12, 9, 9)
        assert torch.allclose(pattern, recorded["pattern"][layer], rtol=0, atol=1e-5)


def test_recorded_gpt2_five_prompts_from_raw_scores_to_patterns(reference):
    recorded = load_file(reference / "prompts.safetensors")
    for i in range(5):
        raw, pattern = recorded[f"attn_scores.{i}"], recorded[f"pattern.{i}"]
        assert raw.shape[:2] == (12, 12)
        assert torch.allclose(attention_pattern(raw, 64), pattern, rtol=0, atol=1e-5)


def test_recorded_gpt2_contributions_add_up_in_all_layers(john_smith, weights):
    recorded, _ = john_smith
    for layer in range(12):
        names = {f"c_{part}.{kind}" for part in ("attn", "proj") for kind in ("weight", "bias")}
        w = {name: weights[f"h.{layer}.attn.{name}"] for name in names}
        _, _, v = split_qkv(recorded["ln_1"][layer] @ w["c_attn.weight"] + w["c_attn.bias"])
        pattern = recorded["pattern"][layer]
        outputs = head_outputs(pattern, split_heads(v, 12))
        total = project_heads(outputs, w["c_proj.weight"], w["c_proj.bias"]).sum(0) + w["c_proj.bias"]
        # The other way round: values through W_o first, then mixed by the pattern.
        per_head = zip(pattern, v.split(64, dim=-1), w["c_proj.weight"].split(64), strict=True)
        other = sum(shares @ (values @ rows) for shares, values, rows in per_head) + w["c_proj.bias"]
        assert torch.allclose(total, other, rtol=1e-4, atol=1e-3)


def test_recorded_gpt2_known_heads(john_smith):
    recorded, ids = john_smith
    pairs = token_pairs(ids)
    assert pairs["induction"].nonzero().tolist() == [[8, 2]] and pairs["same"].nonzero().tolist() == [[8, 1]]
    clearest = {}
    for name, marked in pairs.items():
        shares = mean_share(recorded["pattern"], marked)
        layer, head = divmod(shares.argmax().item(), 12)
        clearest[name] = (f"L{layer}H{head}", round(shares.max().item(), 3))
    assert clearest["induction"] == ("L5H5", 0.739)  # " Smith" 8 to " is" 2
    assert clearest["same"] == ("L0H5", 0.67)  # " Smith" 8 to " Smith" 1
    assert clearest["previous"] == ("L4H11", 0.999)
    assert clearest["first"] == ("L7H2", 0.989)


def test_recorded_gpt2_composition_of_l4h11_with_l5h5(weights):
    """How strongly what an earlier head writes enters L5H5's keys (Elhage et al. 2021); ln_1's weights folded in."""

    def parts(layer, head):
        w = weights[f"h.{layer}.attn.c_attn.weight"].double() * weights[f"h.{layer}.ln_1.weight"].double()[:, None]
        w = w - w.mean(0)  # the layer norm takes the mean over the channels away
        q, k, v = (split_heads(part, 12)[head] for part in split_qkv(w))  # each (d_model, d_head)
        rows = weights[f"h.{layer}.attn.c_proj.weight"].double()[64 * head : 64 * head + 64]
        return q @ k.T, v @ rows  # what the head compares, what it writes: (d_model, d_model)

    compares, _ = parts(5, 5)
    scores = torch.empty(5, 12)
    for layer, head in np.ndindex(5, 12):
        _, writes = parts(layer, head)
        scores[layer, head] = (writes @ compares.T).norm() / writes.norm() / compares.norm()
    assert divmod(scores.argmax().item(), 12) == (4, 11)
    assert f"{scores.max():.2f} {scores.median():.2f}" == "0.10 0.04"


ADJECTIVES = (  # file, its pattern, tokens that must stand there, the adjective's place
    ("prompts", "pattern.3", (" deserted", " planet"), 2),
    ("llm_visualized", "pattern.vectors", (" neural", " network"), 8),
    ("llm_visualized", "pattern.machines_human_beings", (" human", " beings"), 9),
    ("patterns", "pattern.quick_brown_fox", (" brown", " fox"), 2),
    ("patterns", "pattern.quick_brown_fox", (" lazy", " dogs"), 7),
    ("prompts", "pattern.1", ("ificial", " Intelligence"), 1),
)


def recorded_tokens(reference, file, name):
    with safe_open(reference / f"{file}.safetensors", "pt") as opened:
        texts = json.loads(opened.metadata()["texts" if file == "patterns" else "prompts"])
    label = name.removeprefix("pattern.")
    return next(text for i, text in enumerate(texts) if text.get("name", str(i)) == label)["tokens"]


def test_what_lesson_3_says_of_nouns_and_adjectives_in_recorded_gpt2(reference):
    excess = []
    for file, name, words, place in ADJECTIVES:
        pattern = load_file(reference / f"{file}.safetensors")[name]
        assert tuple(recorded_tokens(reference, file, name)[place : place + 2]) == words
        links = {p + 1 for f, n, _, p in ADJECTIVES if (f, n) == (file, name)}
        before = pattern.diagonal(-1, -2, -1)  # entry i is query i + 1 looking at key i
        others = [i for i in range(1, before.shape[-1]) if i + 1 not in links]
        excess.append(before[..., place] - before[..., others].mean(-1))
    excess = torch.stack(excess, -1)  # (layer, head, phrase)
    found = []
    for half in ([0, 2, 4], [1, 3, 5]):
        layer, head = divmod(excess[..., half].mean(-1).argmax().item(), 12)
        rest = excess[layer, head, [i for i in range(6) if i not in half]]
        found.append(f"L{layer}H{head} {rest.mean():.2f} ± {rest.std() / 3**0.5:.2f}")
    assert found == ["L0H4 0.11 ± 0.23", "L0H7 0.25 ± 0.18"]


# Bad input.

NAN_PATTERN = torch.tensor([[1.0, 0.0], [math.nan, 0.5]])


@pytest.mark.parametrize(
    ("call", "error", "line"),
    [
        (
            lambda: raw_scores(torch.ones(3, 5, 4), torch.ones(3, 6, 4)),
            ValueError,
            "k: expected the shape of q (3, 5, 4), got (3, 6, 4)",
        ),
        (
            lambda: raw_scores(torch.ones(5, 4), torch.ones(5, 4, dtype=torch.float64)),
            ValueError,
            "k: expected the dtype of q torch.float32, got torch.float64",
        ),
        (
            lambda: raw_scores(torch.ones(5, 4), torch.tensor([[1.0, math.inf]])),
            ValueError,
            "k: expected finite numbers, got inf at index (0, 1)",
        ),
        (
            lambda: raw_scores(torch.ones(4), torch.ones(4)),
            ValueError,
            "q: expected (..., T, D) with T, D >= 1, got shape (4,)",
        ),
        (
            lambda: raw_scores(torch.ones(5, 0), torch.ones(5, 0)),
            ValueError,
            "q: expected (..., T, D) with T, D >= 1, got shape (5, 0)",
        ),
        (
            lambda: raw_scores([[1.0]], [[1.0]]),
            TypeError,
            "q: expected a torch tensor (..., T, D) (torch.as_tensor(x) makes one), got list",
        ),
        (
            lambda: attention_pattern(torch.tensor([[0.0, 0.0], [math.nan, 0.0]]), 4),
            ValueError,
            "raw: expected finite numbers, got nan at index (1, 0)",
        ),
        (
            lambda: attention_pattern(torch.tensor([[0.0, -math.inf], [0.0, 0.0]]), 4),
            ValueError,
            "raw: expected finite numbers, got -inf at index (0, 1)",
        ),
        (
            lambda: attention_pattern(torch.ones(3, 2), 4),
            ValueError,
            "raw: expected a square (..., T, T) with T >= 1, got (3, 2)",
        ),
        (
            lambda: attention_pattern(torch.ones(2, 2), 0),
            ValueError,
            "d_head: expected a number of channels > 0, got 0",
        ),
        (
            lambda: attention_pattern(torch.ones(2, 2), "64"),
            TypeError,
            "d_head: expected a number of channels > 0, got '64'",
        ),
        (
            lambda: head_outputs(-torch.ones(2, 2), torch.ones(2, 4)),
            ValueError,
            "pattern: expected shares from 0 to 1 (are these scores?), got -1 at index (0, 0)",
        ),
        (
            lambda: head_outputs(NAN_PATTERN, torch.ones(2, 4)),
            ValueError,
            "pattern: expected finite numbers, got nan at index (1, 0)",
        ),
        (
            lambda: head_outputs(random_pattern(3, 5, 5), torch.ones(3, 6, 4)),
            ValueError,
            "v: expected (3, 5, D), got (3, 6, 4)",
        ),
        (
            lambda: head_outputs(even_pattern(5), torch.ones(5, 4, dtype=torch.float64)),
            ValueError,
            "v: expected the dtype of pattern torch.float32, got torch.float64",
        ),
        (
            lambda: head_outputs(even_pattern(1), torch.tensor([[0.0, math.nan]])),
            ValueError,
            "v: expected finite numbers, got nan at index (0, 1)",
        ),
        (
            lambda: project_heads(torch.ones(5, 4), torch.ones(4, 4), torch.ones(4)),
            ValueError,
            "outputs: expected (..., H, T, D), got shape (5, 4)",
        ),
        (
            lambda: project_heads(torch.ones(3, 5, 4), torch.ones(4, 12), torch.ones(12)),
            ValueError,
            "weight: expected (3 x 4 = 12, d_model), got (4, 12)",
        ),
        (
            lambda: project_heads(torch.ones(3, 5, 4), torch.ones(12, 7, 2), torch.ones(7, 2)),
            ValueError,
            "weight: expected (3 x 4 = 12, d_model), got (12, 7, 2)",
        ),
        (
            lambda: project_heads(torch.ones(3, 5, 4), torch.ones(12, 7), torch.ones(12)),
            ValueError,
            "bias: expected (7,), got (12,)",
        ),
        (
            lambda: project_heads(torch.ones(3, 5, 4), torch.ones(12, 7).half(), torch.ones(7)),
            ValueError,
            "weight: expected the dtype of outputs torch.float32, got torch.float16",
        ),
        (
            lambda: project_heads(torch.full((3, 5, 4), math.inf), torch.ones(12, 7), torch.ones(7)),
            ValueError,
            "outputs: expected finite numbers, got inf at index (0, 0, 0)",
        ),
        (
            lambda: token_pairs(torch.ones(3)),
            TypeError,
            "input_ids: expected whole numbers, token ids (T,) or (1, T) with T >= 1, got torch.float32",
        ),
        (
            lambda: token_pairs(torch.ones(2, 3, dtype=torch.int64)),
            ValueError,
            "input_ids: expected token ids (T,) or (1, T) with T >= 1, got (2, 3)",
        ),
        (
            lambda: token_pairs(torch.ones(1, 0, dtype=torch.int64)),
            ValueError,
            "input_ids: expected token ids (T,) or (1, T) with T >= 1, got (1, 0)",
        ),
        (
            lambda: mean_share(even_pattern(3), torch.ones(3, 3)),
            TypeError,
            "pairs: expected True and False (T, T), got torch.float32",
        ),
        (
            lambda: mean_share(even_pattern(3), torch.ones(2, 3, dtype=torch.bool)),
            ValueError,
            "pairs: expected (3, 3), got (2, 3)",
        ),
        (
            lambda: mean_share(even_pattern(3), torch.ones(3, 3, dtype=torch.bool)),
            ValueError,
            "pairs: expected no pair whose key lies in the query's future, got some",
        ),
        (
            lambda: mean_share(even_pattern(3), token_pairs(torch.tensor([1, 2, 3]))["same"]),
            ValueError,
            "pairs: expected at least one marked pair, got none (does the text hold what you look for?)",
        ),
        (
            lambda: pattern_distances(even_pattern(3)),
            ValueError,
            "pattern: expected (..., H, T, T) with T >= 2, got (3, 3)",
        ),
        (
            lambda: pattern_distances(torch.ones(3, 1, 1)),
            ValueError,
            "pattern: expected (..., H, T, T) with T >= 2, got (3, 1, 1)",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(call, error, line):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == line
