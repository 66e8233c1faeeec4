"""Lesson 3: raw scores of each head, the pattern they become, and what a head does with it."""

import math

import torch

from headlab._expect import (
    LARGEST,
    WHOLE,
    expect,
    expect_finite,
    expect_float_tensor,
    expect_number,
    expect_square,
    expect_tensor,
    without_overflow,
)
from headlab.masking import mask_scores, softmax

ROUNDING = 1e-3  # how far a share may lie outside 0 to 1


def raw_scores(q, k):
    """Dot product of every query with every key of the same head, neither scaled nor masked.

    q and k (..., T, d_head) of one dtype; returns (..., query, key) of shape (..., T, T). Raises where their
    shapes or dtypes differ, an entry is NaN or infinite, or a product overflows.
    Introduced in lesson 3. Source: the report; Vaswani et al. 2017, equation 1.

    >>> q = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> raw_scores(q, k=q)
    tensor([[1., 0.],
            [0., 4.]])
    """
    for name, x in (("q", q), ("k", k)):
        expect_float_tensor(x, name, "(..., T, D)")
        expect(x.ndim >= 2 and 0 not in x.shape, name, "(..., T, D) with T, D >= 1", f"shape {tuple(x.shape)}")
        expect_finite(x.detach(), name)
    expect(q.shape == k.shape, "k", f"the shape of q {tuple(q.shape)}", tuple(k.shape))
    expect(q.dtype == k.dtype, "k", f"the dtype of q {q.dtype}", k.dtype)
    return without_overflow(q @ k.transpose(-1, -2), "q")


def attention_pattern(raw, d_head):
    """Raw scores (..., query, key) scaled by 1 / sqrt(d_head), masked and normalised: each row sums to 1.

    Returns (..., T, T), exactly 0 above the diagonal. Raises where raw is not square, not finite, or d_head is
    not positive.
    Introduced in lesson 3. Source: the report; Vaswani et al. 2017, equation 1.

    >>> attention_pattern(torch.zeros(3, 3), d_head=64)
    tensor([[1.0000, 0.0000, 0.0000],
            [0.5000, 0.5000, 0.0000],
            [0.3333, 0.3333, 0.3333]])
    """
    expect_square(raw, "raw")
    expect_finite(raw.detach(), "raw")
    d_head = expect_number(d_head, "d_head", "a number of channels > 0")
    expect(0 < d_head <= LARGEST, "d_head", "a number of channels > 0", d_head)
    return softmax(mask_scores(raw / math.sqrt(d_head)))


def head_outputs(pattern, v):
    """What each head writes at each query: the values of the keys it looks at, weighted by their shares.

    pattern (..., query, key) and v (..., T, d_head) of one dtype; returns (..., query, d_head), in the head's own
    channels. Raises where their shapes or dtypes differ, where pattern holds anything but shares from 0 to 1, or
    where v is not finite.
    Introduced in lesson 3. Source: Vaswani et al. 2017, equation 1.

    >>> pattern = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    >>> head_outputs(pattern, v=torch.tensor([[4.0], [8.0]]))
    tensor([[4.],
            [7.]])
    """
    _expect_pattern(pattern)
    expect_float_tensor(v, "v", "(..., T, D)")
    expected = f"({', '.join(map(str, pattern.shape[:-1]))}, D)"
    expect(v.ndim >= 2 and v.shape[:-1] == pattern.shape[:-1], "v", expected, tuple(v.shape))
    expect(v.dtype == pattern.dtype, "v", f"the dtype of pattern {pattern.dtype}", v.dtype)
    expect_finite(v.detach(), "v")
    return without_overflow(pattern @ v, "v")


def project_heads(outputs, weight, bias):
    """What each head adds to the residual stream: its outputs times its own rows of the output matrix W_o.

    outputs (..., head, T, d_head); weight (n_heads * d_head, d_model) and bias (d_model,) as in GPT-2's `attn.c_proj`.
    Returns (..., head, T, d_model); their sum over heads plus the bias is the attention block's output. The bias
    belongs to no head: it is only checked here, and the caller adds it to the sum. Raises where sizes or dtypes do not
    fit or an output is not finite.
    Introduced in lesson 3. Source: the report; Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits".

    >>> outputs, weight, bias = torch.ones(12, 5, 64), torch.zeros(768, 768), torch.zeros(768)
    >>> project_heads(outputs, weight, bias).shape
    torch.Size([12, 5, 768])
    """
    expect_float_tensor(outputs, "outputs", "(..., H, T, D)")
    expect(outputs.ndim >= 3, "outputs", "(..., H, T, D)", f"shape {tuple(outputs.shape)}")
    n_heads, _, d_head = outputs.shape[-3:]
    width = n_heads * d_head
    for name, x in (("weight", weight), ("bias", bias)):
        expect_float_tensor(x, name, "as in c_proj")
        expect(x.dtype == outputs.dtype, name, f"the dtype of outputs {outputs.dtype}", x.dtype)
    fits = weight.ndim == 2 and weight.shape[0] == width
    expect(fits, "weight", f"({n_heads} x {d_head} = {width}, d_model)", tuple(weight.shape))
    expect(bias.shape == weight.shape[1:], "bias", f"({weight.shape[1]},)", tuple(bias.shape))
    for name, x in (("outputs", outputs), ("weight", weight)):
        expect_finite(x.detach(), name)
    return without_overflow(outputs @ weight.unflatten(0, (n_heads, d_head)), "outputs")


def token_pairs(input_ids):
    """The (query, key) pairs that each known type of head looks at in a text, as {name of the type: pairs}.

    input_ids (T,) or (1, T), whole numbers. Returns bool (T, T) for each of "previous" (the token just before), "first"
    (the first token), "same" (earlier copies of the query's token) and "induction" (what came right after those
    copies). No token is paired with itself, and key 0 counts only as "first", since sink heads look there whatever
    token it is.
    Introduced in lesson 3. Source: Elhage et al. 2021; Olsson et al. 2022, "In-context Learning and Induction Heads".

    >>> token_pairs(torch.tensor([5, 7, 9, 7]))["induction"].nonzero()
    tensor([[3, 2]])
    """
    expected = "token ids (T,) or (1, T) with T >= 1"
    expect_tensor(input_ids, "input_ids", f"of {expected}")
    if input_ids.dtype not in WHOLE:
        raise TypeError(f"input_ids: expected whole numbers, {expected}, got {input_ids.dtype}")
    shape = tuple(input_ids.shape)
    expect(len(shape) in (1, 2) and shape[:-1] in ((), (1,)) and shape[-1] >= 1, "input_ids", expected, shape)
    ids = input_ids.flatten()
    position = torch.arange(len(ids), device=ids.device)
    distance = position[:, None] - position[None, :]  # (query, key): how far back the key lies
    equal = ids[:, None] == ids[None, :]
    past = (distance > 0) & (position > 0)  # without key 0
    return {
        "previous": past & (distance == 1),
        "first": (distance > 0) & (position == 0),
        "same": past & equal,
        "induction": past & equal.roll(1, dims=1),  # column j now tells whether the query equals token j - 1
    }


def mean_share(pattern, pairs):
    """How much of its attention a query gives to its marked keys, averaged over the queries that have any.

    pattern (..., query, key); pairs bool (T, T), such as one of `token_pairs`. Returns shares of 1 (...), one for
    each head. Raises where no pair is marked or one lies in the future.
    Introduced in lesson 3. Source: Olsson et al. 2022 ("prefix matching score" for the induction pairs).

    >>> pattern = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    >>> mean_share(pattern, torch.tensor([[False, False], [True, False]]))
    tensor(0.2500)
    """
    _expect_pattern(pattern)
    expect_tensor(pairs, "pairs", "of True and False (T, T)")
    if pairs.dtype != torch.bool:
        raise TypeError(f"pairs: expected True and False (T, T), got {pairs.dtype}")
    expect(pairs.shape == pattern.shape[-2:], "pairs", tuple(pattern.shape[-2:]), tuple(pairs.shape))
    expect(not pairs.triu(1).any(), "pairs", "no pair whose key lies in the query's future", "some")
    counted = pairs.any(-1)
    expect(counted.any(), "pairs", "at least one marked pair", "none (does the text hold what you look for?)")
    return (pattern * pairs).sum(-1)[..., counted].mean(-1)


def pattern_distances(pattern):
    """How far apart the patterns of every pair of heads are: the share of attention that would have to move.

    pattern (..., head, T, T); returns (..., head, head), the total variation distance averaged over all queries except
    the first, which has no choice: 0 for the same pattern, 1 for heads that never look at the same key. Raises where
    there is only one token.
    Introduced in lesson 3. Source: total variation distance, half the sum of absolute differences.

    >>> patterns = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[1.0, 0.0], [1.0, 0.0]]])
    >>> pattern_distances(patterns)
    tensor([[0.0000, 0.5000],
            [0.5000, 0.0000]])
    """
    _expect_pattern(pattern)
    expect(pattern.ndim >= 3 and pattern.shape[-1] >= 2, "pattern", "(..., H, T, T) with T >= 2", tuple(pattern.shape))
    rows = pattern[..., 1:, :].flatten(-2)  # (..., head, what it does with every query and key)
    kind = torch.promote_types(rows.dtype, torch.float32)  # cdist knows no half precision
    n_queries = pattern.shape[-1] - 1
    return (torch.cdist(rows.to(kind), rows.to(kind), p=1) / n_queries / 2).to(rows.dtype)


def _expect_pattern(pattern):
    """Raise unless pattern (..., T, T) holds shares: scores in its place would go unnoticed."""
    expect_square(pattern, "pattern")
    values = pattern.detach()
    expect_finite(values, "pattern")
    wrong = ((values < -ROUNDING) | (values > 1 + ROUNDING)).nonzero()
    if len(wrong):
        place = tuple(wrong[0].tolist())
        received = f"{values[place].item():.4g} at index {place}"
        raise ValueError(f"pattern: expected shares from 0 to 1 (are these scores?), got {received}")
