"""Lesson 3: raw scores of each head and the pattern they become."""

import math
import numbers

from headlab._expect import expect, expect_finite, expect_float_tensor, expect_square
from headlab.masking import mask_scores, softmax


def raw_scores(q, k):
    """Dot product of every query with every key of the same head, neither scaled nor masked.

    q and k (..., T, d_head) of one dtype; returns (..., query, key) of shape (..., T, T). Raises where their
    shapes or dtypes differ or where an entry is NaN or infinite.
    Introduced in lesson 3. Source: the report; Vaswani et al. 2017, equation 1.
    """
    for name, x in (("q", q), ("k", k)):
        expect_float_tensor(x, name, "(..., T, D)")
        expect(x.ndim >= 2 and 0 not in x.shape, name, "(..., T, D) with T, D >= 1", f"shape {tuple(x.shape)}")
        expect_finite(x.detach(), name)
    expect(q.shape == k.shape, "k", f"the shape of q {tuple(q.shape)}", tuple(k.shape))
    expect(q.dtype == k.dtype, "k", f"the dtype of q {q.dtype}", k.dtype)
    return q @ k.transpose(-1, -2)


def attention_pattern(raw, d_head):
    """Raw scores (..., query, key) scaled by 1 / sqrt(d_head), masked and normalised: each row sums to 1.

    Returns (..., T, T), exactly 0 above the diagonal. Raises where raw is not square, not finite, or d_head is
    not positive.
    Introduced in lesson 3. Source: the report; Vaswani et al. 2017, equation 1.
    """
    expect_square(raw, "raw")
    expect_finite(raw.detach(), "raw")
    if not isinstance(d_head, numbers.Real) or isinstance(d_head, bool):
        raise TypeError(f"d_head: expected a number of channels > 0, got {d_head!r:.60}")
    expect(d_head > 0, "d_head", "a number of channels > 0", d_head)
    return softmax(mask_scores(raw / math.sqrt(d_head)))
