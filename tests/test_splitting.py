"""Cutting the fused projection into heads: against slices and loops, the model's own modules and recorded GPT-2."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file

from headlab.splitting import merge_heads, split_heads, split_qkv

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def numbers(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@given(
    batch=st.lists(st.integers(1, 3), max_size=2),
    tokens=st.integers(1, 6),
    n_heads=st.integers(1, 5),
    d_head=st.integers(1, 5),
)
def test_each_number_lands_where_a_slice_finds_it(batch, tokens, n_heads, d_head):
    d_model = n_heads * d_head
    fused = torch.arange(3.0 * d_model * tokens * torch.tensor(batch).prod().item()).view(*batch, tokens, 3 * d_model)
    before = fused.clone()
    for third, part in enumerate(split_qkv(fused)):
        assert torch.equal(part, fused[..., third * d_model : (third + 1) * d_model])
        heads = split_heads(part, n_heads)
        assert heads.shape == (*batch, n_heads, tokens, d_head)
        for head in range(n_heads):
            first = third * d_model + head * d_head
            assert torch.equal(heads[..., head, :, :], fused[..., first : first + d_head])
        assert torch.equal(merge_heads(heads), part)
    assert torch.equal(fused, before)


def test_merging_undoes_splitting_and_splitting_undoes_merging():
    heads = numbers(2, 3, 5, 4)
    assert torch.equal(split_heads(merge_heads(heads), 3), heads)


def test_a_loop_over_single_numbers_agrees():
    x = numbers(5, 12)
    heads = split_heads(x, 3)
    for head in range(3):
        for token in range(5):
            for channel in range(4):
                assert heads[head, token, channel] == x[token, 4 * head + channel]


def test_torch_split_gives_the_same_heads():
    x = numbers(5, 12)
    assert torch.equal(split_heads(x, 3), torch.stack(x.split(4, dim=-1)))


def test_they_are_views():
    fused = numbers(5, 36)
    before = fused.clone()
    q, k, v = split_qkv(fused)
    heads = split_heads(k, 3)
    assert {x.untyped_storage().data_ptr() for x in (q, k, v, heads)} == {fused.untyped_storage().data_ptr()}
    merge_heads(heads)
    assert torch.equal(fused, before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_stays(dtype):
    fused = numbers(5, 36, dtype=dtype)
    parts = split_qkv(fused)
    merged = torch.cat([merge_heads(split_heads(part, 3)) for part in parts], dim=-1)
    assert merged.dtype == dtype and torch.equal(merged, fused)


def test_gradients_pass_through():
    fused = numbers(3, 18, dtype=torch.float64).requires_grad_()

    def products(x):
        q, k, v = (split_heads(part, 2) for part in split_qkv(x))
        return merge_heads(q * k * v)

    assert torch.autograd.gradcheck(products, fused)


@given(tokens=st.integers(1, 5), n_heads=st.integers(1, 4), d_head=st.integers(1, 4), seed=st.integers(0, 99))
def test_split_weights_project_to_split_projections(tokens, n_heads, d_head, seed):
    d_model = n_heads * d_head
    x = numbers(tokens, d_model, seed=seed, dtype=torch.float64)
    weight = numbers(d_model, 3 * d_model, seed=seed + 1, dtype=torch.float64)
    bias = numbers(1, 3 * d_model, seed=seed + 2, dtype=torch.float64)
    projected = split_qkv(x @ weight + bias)
    for part, w, b in zip(projected, split_qkv(weight), split_qkv(bias), strict=True):
        assert torch.allclose(x @ split_heads(w, n_heads) + split_heads(b, n_heads), split_heads(part, n_heads))


def test_it_is_the_models_own_split(odd_gpt2, monkeypatch):
    """The heads that transformers hands to its attention function, and the merge of what that returns."""
    from transformers.models.gpt2 import modeling_gpt2

    seen = []
    eager = modeling_gpt2.eager_attention_forward

    def spy(module, query, key, value, *arguments, **settings):
        result = eager(module, query, key, value, *arguments, **settings)
        seen.append((query, key, value, result[0]))
        return result

    monkeypatch.setattr(modeling_gpt2, "eager_attention_forward", spy)
    model = odd_gpt2()
    fused, merged = [], []
    for block in model.transformer.h:
        block.attn.c_attn.register_forward_hook(lambda module, arguments, output: fused.append(output))
        block.attn.c_proj.register_forward_pre_hook(lambda module, arguments: merged.append(arguments[0]))
    with torch.no_grad():
        model(torch.tensor([[3, 1, 4, 1, 5, 9, 2]]))
    assert len(seen) == len(fused) == len(merged) == 2
    for layer in range(2):
        for ours, theirs in zip(split_qkv(fused[layer]), seen[layer][:3], strict=True):
            assert torch.equal(split_heads(ours, 3), theirs)
        mixed = seen[layer][3]  # (1, T, H, D): transformers has moved the heads back already
        assert torch.equal(merge_heads(mixed.transpose(1, 2)), merged[layer])


def test_recorded_gpt2_all_layers_and_heads(reference):
    weights = load_file(reference / "attention_weights.safetensors")
    recorded = load_file(reference / "john_smith.safetensors")
    with safe_open(reference / "john_smith.safetensors", "pt") as file:
        assert len(json.loads(file.metadata()["tokens"])) == recorded["queries"].shape[2] == 9
    for layer in range(12):
        weight, bias = (weights[f"h.{layer}.attn.c_attn.{name}"] for name in ("weight", "bias"))
        q, k, _ = split_qkv(recorded["ln_1"][layer] @ weight + bias)
        assert torch.allclose(split_heads(q, 12), recorded["queries"][layer], rtol=0, atol=2e-4)
        assert torch.allclose(split_heads(k, 12), recorded["keys"][layer], rtol=0, atol=2e-4)


@pytest.mark.parametrize(
    ("call", "error", "line"),
    [
        (lambda: split_qkv(torch.ones(4, 770)), ValueError, "fused: expected a last axis of 3 x d_model, got 770"),
        (lambda: split_qkv(torch.ones(4, 0)), ValueError, "fused: expected a last axis of 3 x d_model, got 0"),
        (lambda: split_qkv(torch.tensor(1.0)), ValueError, "fused: expected a last axis of 3 x d_model, got 0"),
        (
            lambda: split_qkv([1.0, 2.0, 3.0]),
            TypeError,
            "fused: expected a torch tensor (..., 3 * d_model) (torch.as_tensor(x) makes one), got list",
        ),
        (
            lambda: split_qkv(torch.ones(4, 6, dtype=torch.int32)),
            TypeError,
            "fused: expected floating-point numbers (..., 3 * d_model) (x.float() makes them so), got torch.int32",
        ),
        (
            lambda: split_heads(torch.ones(5, 768), 7),
            ValueError,
            "n_heads: expected a divisor of d_model = 768, got 7",
        ),
        (lambda: split_heads(torch.ones(5, 0), 2**63), ValueError, "x: expected (..., T, d_model), got shape (5, 0)"),
        (lambda: split_heads(torch.ones(5, 12), 0), ValueError, "n_heads: expected a divisor of d_model = 12, got 0"),
        (lambda: split_heads(torch.ones(5, 12), -3), ValueError, "n_heads: expected a divisor of d_model = 12, got -3"),
        (
            lambda: split_heads(torch.ones(5, 12), 3.0),
            TypeError,
            "n_heads: expected a whole number of heads >= 1, got 3.0",
        ),
        (lambda: split_heads(torch.ones(12), 3), ValueError, "x: expected (..., T, d_model), got shape (12,)"),
        (lambda: merge_heads(torch.ones(5, 12)), ValueError, "heads: expected (..., H, T, D), got shape (5, 12)"),
    ],
)
def test_bad_input_is_told_in_one_line(call, error, line):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == line
