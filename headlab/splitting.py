"""Lesson 2: the fused projection becomes queries, keys and values, and these become heads."""

from headlab._expect import expect, expect_float_tensor, expect_whole


def split_qkv(fused):
    """Thirds of the fused projection's last axis: queries, keys, values, in that order.

    fused (..., 3 * d_model): what a hook on `h[layer].attn.c_attn` receives, or the weight (d_model, 3 * d_model), or
    the bias (3 * d_model,). Returns three views (..., d_model). Raises where the last axis is not a multiple of 3.
    Introduced in lesson 2. Source: the report.

    >>> q, k, v = split_qkv(torch.zeros(5, 2304))
    >>> q.shape
    torch.Size([5, 768])
    """
    expect_float_tensor(fused, "fused", "(..., 3 * d_model)")
    width = fused.shape[-1] if fused.ndim else 0
    expect(width > 0 and width % 3 == 0, "fused", "a last axis of 3 x d_model", width)
    return fused.split(width // 3, dim=-1)


def split_heads(x, n_heads):
    """Cut channels into heads, with heads before tokens: (..., tokens, d_model) -> (..., head, tokens, d_head).

    Head h owns the channels h * d_head to (h + 1) * d_head. A view, not a copy. Raises where n_heads does not
    divide d_model.
    Introduced in lesson 2. Source: the report.

    >>> split_heads(torch.zeros(5, 768), n_heads=12).shape
    torch.Size([12, 5, 64])
    """
    expect_float_tensor(x, "x", "(..., T, d_model)")
    expect(x.ndim >= 2 and x.shape[-1] >= 1, "x", "(..., T, d_model)", f"shape {tuple(x.shape)}")
    n_heads = expect_whole(n_heads, "n_heads", "a whole number of heads >= 1")
    d_model = x.shape[-1]
    expect(n_heads >= 1 and d_model % n_heads == 0, "n_heads", f"a divisor of d_model = {d_model}", n_heads)
    return x.unflatten(-1, (n_heads, d_model // n_heads)).transpose(-3, -2)


def merge_heads(heads):
    """Undo split_heads: (..., head, tokens, d_head) -> (..., tokens, d_model).

    Introduced in lesson 2. Source: the report.

    >>> merge_heads(torch.zeros(12, 5, 64)).shape
    torch.Size([5, 768])
    """
    expect_float_tensor(heads, "heads", "(..., H, T, D)")
    expect(heads.ndim >= 3, "heads", "(..., H, T, D)", f"shape {tuple(heads.shape)}")
    return heads.transpose(-3, -2).flatten(-2)
