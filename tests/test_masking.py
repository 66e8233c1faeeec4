"""The mask and the softmax of lesson 1, against loops and against torch."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from headlab.masking import causal_mask, mask_scores, softmax


def scores_of(*shape, seed=0, dtype=torch.float32):
    return (4 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))).to(dtype)


@pytest.mark.parametrize("n", [1, 2, 5, 64])
def test_a_query_sees_itself_and_the_past(n):
    mask = causal_mask(n)
    assert mask.dtype == torch.bool
    assert mask.tolist() == [[j <= i for j in range(n)] for i in range(n)]


@given(heads=st.integers(1, 3), n=st.integers(1, 9), seed=st.integers(0, 99))
def test_only_the_future_is_masked(heads, n, seed):
    scores = scores_of(heads, n, n, seed=seed)
    before = scores.clone()
    masked = mask_scores(scores)
    for h in range(heads):
        for i in range(n):
            for j in range(n):
                assert masked[h, i, j] == (scores[h, i, j] if j <= i else -math.inf)
    assert torch.equal(scores, before)


def test_scores_below_any_finite_stand_in_for_infinity_survive():
    scores = torch.full((3, 3), -2e9)
    pattern = softmax(mask_scores(scores))
    assert torch.equal(pattern[0], torch.tensor([1.0, 0.0, 0.0]))
    assert (pattern[~causal_mask(3)] == 0).all()


@given(rows=st.integers(1, 4), keys=st.integers(1, 9), seed=st.integers(0, 99), shift=st.floats(-1e4, 1e4))
def test_softmax_equals_its_definition_and_torch(rows, keys, seed, shift):
    scores = scores_of(rows, keys, seed=seed, dtype=torch.float64)
    shares = softmax(scores + shift)
    for i in range(rows):
        weights = [math.exp(s) for s in scores[i].tolist()]
        for j in range(keys):
            assert shares[i, j].item() == pytest.approx(weights[j] / sum(weights), rel=1e-8)
    assert torch.allclose(shares, scores.softmax(-1), rtol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_dtype_stays_and_agrees_with_torch(dtype):
    masked = mask_scores(scores_of(3, 5, 5, dtype=dtype))
    shares = softmax(masked)
    assert masked.dtype == shares.dtype == dtype
    assert torch.allclose(shares, masked.softmax(-1), rtol=1e-2 if dtype.itemsize == 2 else 1e-6, atol=1e-7)
    assert (shares[:, ~causal_mask(5)] == 0).all()
    assert (shares[:, 0, 0] == 1).all()


def test_huge_scores_do_not_overflow():
    assert softmax(torch.tensor([1e30, -1e30, 1e30])).tolist() == [0.5, 0.0, 0.5]


def test_gradients_pass_through():
    scores = scores_of(4, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: softmax(mask_scores(s)), scores)


@pytest.mark.parametrize(
    ("call", "error", "line"),
    [
        (lambda: causal_mask(0), ValueError, "n_tokens: expected a whole number of tokens from 1 to 32768, got 0"),
        (
            lambda: causal_mask(10**30),
            ValueError,
            f"n_tokens: expected a whole number of tokens from 1 to 32768, got {10**30}",
        ),
        (lambda: causal_mask(-3), ValueError, "n_tokens: expected a whole number of tokens from 1 to 32768, got -3"),
        (lambda: causal_mask(2.0), TypeError, "n_tokens: expected a whole number of tokens from 1 to 32768, got 2.0"),
        (lambda: causal_mask(True), TypeError, "n_tokens: expected a whole number of tokens from 1 to 32768, got True"),
        (
            lambda: mask_scores([[1.0]]),
            TypeError,
            "scores: expected a torch tensor (..., T, T) (torch.as_tensor(x) makes one), got list",
        ),
        (
            lambda: mask_scores(torch.ones(2, 2, dtype=torch.int64)),
            TypeError,
            "scores: expected floating-point numbers (..., T, T) (x.float() makes them so), got torch.int64",
        ),
        (
            lambda: mask_scores(torch.ones(2, 3)),
            ValueError,
            "scores: expected a square (..., T, T) with T >= 1, got (2, 3)",
        ),
        (lambda: mask_scores(torch.ones(3)), ValueError, "scores: expected a square (..., T, T) with T >= 1, got (3,)"),
        (
            lambda: mask_scores(torch.ones(0, 0)),
            ValueError,
            "scores: expected a square (..., T, T) with T >= 1, got (0, 0)",
        ),
        (
            lambda: softmax(torch.tensor([[0.0, 1.0], [math.nan, 0.0]])),
            ValueError,
            "scores: expected finite numbers, got nan at index (1, 0)",
        ),
        (
            lambda: softmax(torch.tensor([0.0, math.inf])),
            ValueError,
            "scores: expected finite numbers, got inf at index (1,)",
        ),
        (
            lambda: softmax(torch.full((2, 2), -math.inf)),
            ValueError,
            "scores: expected at least one key in every row that is not -inf, got a row of -inf",
        ),
        (lambda: softmax(torch.ones(3, 0)), ValueError, "scores: expected at least one key (..., keys), got (3, 0)"),
    ],
)
def test_bad_input_is_told_in_one_line(call, error, line):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == line


def recorded(reference, name, kind):
    return [x for key, x in load_file(reference / f"{name}.safetensors").items() if key.startswith(kind)]


def test_what_lesson_1_says_of_real_gpt2s_future_scores(reference):
    negative = future = broken = rows = 0
    for raw in recorded(reference, "prompts", "attn_scores"):
        ahead = ~causal_mask(raw.shape[-1])
        negative += (raw[..., ahead] < 0).sum().item()
        future += raw[..., ahead].numel()
        with_a_future = ((raw < 0) & ahead).any(-1)[..., :-1]
        broken += with_a_future.sum().item()
        rows += with_a_future.numel()
    assert (negative, future) == (8468, 11664) and f"{negative / future:.0%}" == "73%"
    assert f"{broken / rows:.0%}" == "85%"


def test_what_lesson_1_says_of_real_gpt2s_first_token(reference):
    collected = recorded(reference, "john_smith", "pattern")[0][..., 1:, 0].mean(-1)  # (layer, head)
    assert f"{collected.min():.2f} {collected.max():.2f} {collected.mean():.2f}" == "0.00 0.99 0.68"
    assert (collected > 0.5).sum() == 109
