"""Lesson 5: what softmax sees of the raw scores, how sparse it makes attention, and where the contrast comes from."""

from typing import NamedTuple

import numpy as np
import torch

from headlab._expect import expect, expect_finite, expect_float_tensor, expect_square, without_overflow
from headlab.masking import causal_mask
from headlab.shift import causal_square
from headlab.splitting import split_heads, split_qkv

FOLDS = (None, "layer_norm", "mean")


class RowContrast(NamedTuple):
    """How much the keys of one query differ, for each head, numpy arrays of the leading shape (...)."""

    spread: np.ndarray
    gap: np.ndarray


class ScoreTerms(NamedTuple):
    """The four parts of the raw scores, each (head, query, key); their sum is the raw scores."""

    content: torch.Tensor
    query_bias: torch.Tensor
    key_bias: torch.Tensor
    constant: torch.Tensor


def row_contrast(raw):
    """How much the keys of one query differ, averaged over queries: the spread of a row and the first key's lead.

    raw (..., T, T) with T >= 3. Returns RowContrast of shape (...), in units of q.k, means over the queries from the
    third on, which is the first that can choose between the first key, the previous one and itself: `spread`, the
    (population) standard deviation of a row's scores; `gap`, the first key's score minus the mean of the row's other
    scores. A constant added to a row changes neither. Raises as shift_stats does.
    Introduced in lesson 5.

    >>> raw = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [4.0, 1.0, 1.0]])
    >>> row_contrast(raw).gap
    np.float64(3.0)
    """
    lead, visible = _over_first_key(raw, n_tokens=3)
    lead = np.where(visible, lead, np.nan)[..., 2:, :]  # (..., query, key)
    return RowContrast(spread=np.nanstd(lead, -1).mean(-1), gap=-np.nanmean(lead[..., 1:], -1).mean(-1))


def effective_tokens(pattern):
    """How many keys a query attends to: exp of the entropy of its row, 1 (one key has it all) to T (even shares).

    pattern (..., query, key), rows that sum to 1. Returns numpy (..., query). Raises where a row is not made of shares.
    Introduced in lesson 5. Source: Hill 1973, diversity number of order 1.

    >>> effective_tokens(torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    array([1., 2.])
    """
    expect_float_tensor(pattern, "pattern", "(..., query, key)")
    expect(pattern.ndim >= 1 and pattern.shape[-1] >= 1, "pattern", "at least one key", f"shape {tuple(pattern.shape)}")
    expect_finite(pattern.detach(), "pattern")
    shares = pattern.detach().cpu().double().numpy()
    least = shares.min(initial=0.0)
    expect(least >= 0, "pattern", "shares >= 0 (take the softmax first)", f"{least:.4g}")
    sums = shares.sum(-1)
    # Half precision keeps three digits of a share.
    worst = np.ravel(sums)[np.abs(sums - 1).argmax()] if sums.size else 1.0
    expect(abs(worst - 1) < 1e-2, "pattern", "rows that sum to 1 (take the softmax first)", f"a sum of {worst:.4g}")
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)  # 0 log 0 counts as 0, its limit.
    return np.exp(-(shares * logs).sum(-1))


def centre_rows(raw):
    """The raw scores without what softmax cannot see: each row minus the mean of its causal scores, the future -inf.

    raw (..., T, T), neither scaled nor masked; returns the same shape and dtype. Raises as shift_stats does, or where
    a difference overflows.
    Introduced in lesson 5.

    >>> centre_rows(torch.tensor([[5.0, 9.0], [1.0, 3.0]]))
    tensor([[ 0., -inf],
            [-1.,  1.]])
    """
    expect_square(raw, "raw")
    visible = causal_mask(raw.shape[-1]).to(raw.device)
    scores = raw.double().masked_fill(~visible, 0.0)
    expect_finite(scores.detach(), "raw")
    lead = (scores - scores[..., :1]).masked_fill(~visible, 0.0)  # equal scores stay equal, in their mean too
    centred = lead - lead.sum(-1, keepdim=True) / visible.sum(-1, keepdim=True)
    return without_overflow(centred.masked_fill(~visible, 0.0).to(raw.dtype), "raw").masked_fill(~visible, -torch.inf)


def below_first_key(raw):
    """The share of the other keys' causal scores that lie below the first key's score in the same row.

    raw (..., T, T) with T >= 2. Returns numpy, shares of shape (...); all pairs count alike. A constant added to a row
    changes nothing. Raises as shift_stats does.
    Introduced in lesson 5.

    >>> below_first_key(torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [4.0, 1.0, 5.0]])).round(2)
    np.float64(0.67)
    """
    lead, visible = _over_first_key(raw, n_tokens=2)
    visible[:, 0] = False
    return (lead[..., visible] < 0).mean(-1)


def below_row_mean(raw):
    """The share of the causal scores, from the third query on, that lie below the mean of their own row.

    raw (..., T, T) with T >= 3. Returns numpy, shares of shape (...); all pairs count alike. If it is more than a half,
    rows are skewed, with many keys a little below the mean and a few far above it. A constant added to a row changes
    nothing. Raises as shift_stats does.
    Introduced in lesson 5.

    >>> below_row_mean(torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [4.0, 1.0, 1.0]])).round(2)
    np.float64(0.67)
    """
    lead, visible = _over_first_key(raw, n_tokens=3)
    means = lead.sum(-1, keepdims=True) / visible.sum(-1, keepdims=True)
    return (lead < means)[..., 2:, :][..., visible[2:]].mean(-1)


def decompose_scores(x, weight, bias, n_heads, fold=None, ln_bias=None):
    """The raw scores of one layer as the sum of four terms, because the projection has a weight and a bias.

    x (T, d_model), what enters c_attn (ln_1's output); weight (d_model, 3 * d_model) and bias (3 * d_model,), those of
    c_attn, as Hugging Face lays them out. With q = x Wq + bq and k = x Wk + bk, returns ScoreTerms, each (H, T, T),
    axes (head, query i, key j): content (x_i Wq).(x_j Wk); query_bias bq.(x_j Wk), the same in every row; key_bias
    (x_i Wq).bk, constant along a row; constant bq.bk. Softmax sees neither of the last two.

    The split is a convention: a vector c that all tokens share can move from x into the biases, b + c W, without
    changing any score. fold names the convention. None: nothing moves. "layer_norm": ln_bias (d_model,), the bias of
    ln_1, moves. "mean": the mean of x over the tokens moves. In each of them the four terms sum to the raw scores.
    Raises where shapes or dtypes do not fit, an entry is not finite, or ln_bias is missing or given without need.
    Introduced in lesson 5. Source: Nanda and Bloom 2022 (TransformerLens' fold_ln) for "layer_norm".

    >>> terms = decompose_scores(torch.ones(3, 4), torch.ones(4, 12), torch.ones(12), n_heads=2)
    >>> [(term[0, 0, 0].item(), name) for name, term in terms._asdict().items()]
    [(32.0, 'content'), (8.0, 'query_bias'), (8.0, 'key_bias'), (2.0, 'constant')]
    """
    expect_float_tensor(x, "x", "(T, d_model)")
    expect(x.ndim == 2 and 0 not in x.shape, "x", "(T, d_model) with T >= 1", f"shape {tuple(x.shape)}")
    expect(isinstance(fold, str | None) and fold in FOLDS, "fold", " or ".join(map(repr, FOLDS)), repr(fold))
    d_model = x.shape[1]
    given = {"weight": (weight, (d_model, 3 * d_model)), "bias": (bias, (3 * d_model,))}
    if fold == "layer_norm":
        given["ln_bias"] = ln_bias, (d_model,)
    else:
        expect(ln_bias is None, "ln_bias", f"nothing with fold={fold!r} (fold='layer_norm' moves it)", ln_bias)
    for name, (value, shape) in given.items():
        expect_float_tensor(value, name, str(shape))
        expect(value.shape == shape, name, f"shape {shape} to fit x", tuple(value.shape))
        expect(value.dtype == x.dtype, name, f"the dtype of x {x.dtype}", value.dtype)
    for name, value in (("x", x), *((name, value) for name, (value, _) in given.items())):
        expect_finite(value.detach(), name)
    if fold is not None:
        shared = ln_bias if fold == "layer_norm" else x.mean(0)  # (d_model,)
        x, bias = x - shared, bias + shared @ weight
    (weight_q, weight_k, _), (bias_q, bias_k, _) = split_qkv(weight), split_qkv(bias)
    q, k = split_heads(x @ weight_q, n_heads), split_heads(x @ weight_k, n_heads)  # (head, token, channel)
    bias_q, bias_k = split_heads(bias_q[None], n_heads), split_heads(bias_k[None], n_heads)  # (head, 1, channel)
    content = without_overflow(q @ k.mT, "x")
    others = (bias_q @ k.mT, q @ bias_k.mT, bias_q @ bias_k.mT)  # (head, 1, key), (head, query, 1), (head, 1, 1)
    return ScoreTerms(content, *(without_overflow(term, "bias").expand_as(content) for term in others))


def _over_first_key(raw, n_tokens):
    """How far each causal score lies over the first key's of its row, 0 elsewhere, and which entries are causal.

    Differences first: whatever is added to a row cancels before anything is summed, and equal scores stay equal.
    """
    scores, visible = causal_square(raw)
    expect(len(visible) >= n_tokens, "raw", f"at least {n_tokens} tokens (..., T, T)", f"shape {tuple(raw.shape)}")
    return np.where(visible, scores - scores[..., :1], 0.0), visible
