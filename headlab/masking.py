"""Lesson 1: which keys a query may see, and what softmax makes of them."""

import torch

from headlab._expect import expect, expect_finite, expect_float_tensor, expect_square, expect_whole

MOST_TOKENS = 2**15  # a mask of 1 GiB: far more tokens than any GPT-2 reads


def causal_mask(n_tokens):
    """True where query row i may see key column j, that is where j <= i.

    Returns bool (query, key) of shape (n_tokens, n_tokens). Raises where n_tokens is not a whole number from 1 to
    MOST_TOKENS.
    Introduced in lesson 1. Source: the report; Vaswani et al. 2017, section 3.2.3.

    >>> causal_mask(3)
    tensor([[ True, False, False],
            [ True,  True, False],
            [ True,  True,  True]])
    """
    expected = f"a whole number of tokens from 1 to {MOST_TOKENS}"
    n_tokens = expect_whole(n_tokens, "n_tokens", expected)
    expect(1 <= n_tokens <= MOST_TOKENS, "n_tokens", expected, n_tokens)
    position = torch.arange(n_tokens, device="cpu")
    return position[:, None] >= position[None, :]


def mask_scores(scores):
    """Scores (..., query, key) with -inf wherever the key lies in the query's future; the input stays as it is.

    Returns the same shape (..., T, T) and dtype. Raises where the scores are not square or not floating point,
    since whole numbers cannot hold -inf.
    Introduced in lesson 1. Source: the report; Vaswani et al. 2017, section 3.2.3.

    >>> mask_scores(torch.ones(2, 2))
    tensor([[1., -inf],
            [1., 1.]])
    """
    expect_square(scores)
    visible = causal_mask(scores.shape[-1]).to(scores.device)
    return scores.masked_fill(~visible, -torch.inf)


def softmax(scores):
    """Each row (last axis) as shares that sum to 1: exp(s_j) / sum_k exp(s_k); -inf becomes exactly 0.

    Returns the same shape (..., keys) and dtype; half precision is computed in float32. Raises where a score is
    NaN or +inf, or where a whole row is -inf and there is nothing to share.
    Introduced in lesson 1. Source: the report; checked against torch.softmax.

    >>> softmax(torch.tensor([0.0, 0.0, -torch.inf]))
    tensor([0.5000, 0.5000, 0.0000])
    """
    expect_float_tensor(scores, "scores", "(..., keys)")
    expect(scores.ndim >= 1 and scores.shape[-1] >= 1, "scores", "at least one key (..., keys)", tuple(scores.shape))
    expect_finite(scores.detach(), "scores", allow_minus_infinity=True)
    wide = scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
    largest = wide.amax(dim=-1, keepdim=True)
    expect(not largest.isneginf().any(), "scores", "at least one key in every row that is not -inf", "a row of -inf")
    # Subtracting the row's largest score changes nothing (lesson 5 asks why) and keeps exp from overflowing.
    weights = torch.exp(wide - largest.detach())
    return (weights / weights.sum(dim=-1, keepdim=True)).to(scores.dtype)
