"""Right answers in other styles, and wrong ones that are not among the planted mistakes: see test_answers.py."""

import math

import numpy as np
import torch

from headlab.scores import mean_share, token_pairs


def attention_in_numpy(q, k):
    q, k = q.numpy().astype(np.float64), k.numpy().astype(np.float64)
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    scores = np.where(np.tri(scores.shape[-1], dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def attention_by_einsum(q, k):
    scores = torch.einsum("...id,...jd->...ij", q, k) * q.size(-1) ** -0.5
    return (scores + torch.full(scores.shape[-2:], -math.inf).triu(1)).softmax(-1)


def attention_row_by_row(q, k):
    pattern = torch.zeros(*q.shape[:-1], q.shape[-2])
    for place in np.ndindex(*q.shape[:-1]):
        i = place[-1]
        row = (k[place[:-1]][: i + 1] @ q[place]) / math.sqrt(q.shape[-1])
        pattern[place][: i + 1] = torch.softmax(row, 0)
    return pattern


def attention_by_torch(q, k):
    eye = torch.eye(q.shape[-2]).expand(*q.shape[:-1], q.shape[-2])  # its outputs are then the shares
    return torch.nn.functional.scaled_dot_product_attention(q, k, eye, is_causal=True)


def attention_scaled_beforehand(q, k):
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)
    hidden = torch.arange(q.shape[-2])[None, :] > torch.arange(q.shape[-2])[:, None]
    scores[..., hidden] = torch.finfo(scores.dtype).min
    return torch.nn.functional.softmax(scores, dim=-1)


def induction_in_a_loop(ids):
    n = len(ids)
    pairs = torch.zeros(n, n, dtype=torch.bool)
    for i in range(n):
        for j in range(1, i):
            if ids[j - 1] == ids[i]:
                pairs[i, j] = True
    return pairs


def induction_in_numpy(ids):
    x = ids.numpy()
    before = np.concatenate([[-1], x[:-1]])
    return (x[:, None] == before[None, :]) & np.tri(len(x), k=-1, dtype=bool)


def induction_by_shifting(ids):
    pairs = torch.zeros(len(ids), len(ids), dtype=torch.bool)
    pairs[:, 1:] = ids[:, None] == ids[None, :-1]
    return pairs & torch.ones_like(pairs).tril(-1)


def induction_as_a_list(ids):
    x = ids.tolist()
    return [[0 < j < i and x[j - 1] == x[i] for j in range(len(x))] for i in range(len(x))]


def farthest_in_a_loop(patterns):
    best, place = -1.0, None
    n_layers, n_heads, n_tokens, _ = patterns.shape
    for layer in range(n_layers):
        for head in range(n_heads):
            above = below = 0.0
            for i in range(n_tokens):
                for j in range(1, n_tokens):
                    above += patterns[layer, head, i, j] * (i - j)
                    below += patterns[layer, head, i, j]
            if above / below > best:
                best, place = above / below, (layer, head)
    return place


def farthest_in_numpy(patterns):
    x = patterns.numpy().astype(np.float64).copy()
    x[..., 0] = 0
    i, j = np.indices(x.shape[-2:])
    mean = (x * (i - j)).sum((-1, -2)) / x.sum((-1, -2))
    return np.unravel_index(mean.argmax(), mean.shape)


def farthest_by_einsum(patterns):
    position = torch.arange(patterns.shape[-1], dtype=torch.float32)
    back = (position[:, None] - position)[:, 1:]
    mean = torch.einsum("lhij,ij->lh", patterns[..., 1:], back) / torch.einsum("lhij->lh", patterns[..., 1:])
    return (mean == mean.max()).nonzero()[0]


def farthest_by_diagonals(patterns):
    kept = patterns[..., 1:, 1:]
    of_distance = torch.stack([kept.diagonal(-d, -2, -1).sum(-1) for d in range(kept.shape[-1])])
    mean = (of_distance * torch.arange(len(of_distance))[:, None, None]).sum(0) / of_distance.sum(0)
    return [int(n) for n in torch.unravel_index(mean.argmax(), mean.shape)]


def finds_it_with_a_gap(pattern_of):
    ids = torch.cat([torch.arange(15), torch.arange(500, 511), torch.arange(15)])
    return mean_share(pattern_of(ids), token_pairs(ids)["induction"]).item() > 0.45


def finds_it_in_a_loop(pattern_of):
    torch.manual_seed(3)
    shares = []
    for gap in (4, 7, 13):
        once = torch.randperm(900)[:8]
        ids = torch.cat([once, torch.arange(900, 900 + gap), once])
        pattern = pattern_of(ids)
        for t in range(1, 8):
            shares.append(pattern[8 + gap + t, t + 1].item())
    return sum(shares) / len(shares) > 0.3


def finds_it_at_the_last_token(pattern_of):
    right = []
    for place in (3, 6, 10):
        ids = torch.arange(100, 120)
        ids[-1] = ids[place]  # the last token has one copy
        right.append(pattern_of(ids)[-1].argmax().item() == place + 1)
    return all(right)


def finds_it_against_a_control(pattern_of):
    once = torch.randperm(1000, generator=torch.Generator().manual_seed(1))[:20]
    others = torch.randperm(1000, generator=torch.Generator().manual_seed(2))[:20]
    repeated, fresh = torch.cat([once, others[:6], once]), torch.cat([once, others[:6], others])
    cells = token_pairs(repeated)["induction"]
    with_copies = (pattern_of(repeated) * cells).sum() / cells.any(-1).sum()
    without = (pattern_of(fresh) * cells).sum() / cells.any(-1).sum()
    return bool(with_copies > 0.4 and without < with_copies / 2)


def farthest_of(patterns, measure):
    position = torch.arange(patterns.shape[-1])
    distance = measure((position[:, None] - position).clamp(min=0).float())[:, 1:]
    kept = patterns[..., 1:]
    return divmod(((kept * distance).sum((-2, -1)) / kept.sum((-2, -1))).argmax().item(), patterns.shape[1])


RIGHT = {
    "3.1": (
        attention_in_numpy,
        attention_by_einsum,
        attention_row_by_row,
        attention_by_torch,
        attention_scaled_beforehand,
        lambda q, k: attention_row_by_row(q, k).tolist(),
        lambda q, k: attention_by_einsum(q.double(), k.double()),
    ),
    "3.2": (
        induction_in_a_loop,
        induction_in_numpy,
        induction_by_shifting,
        induction_as_a_list,
        lambda ids: torch.nn.functional.pad(ids[:, None] == ids[None, :-1], (1, 0)).tril(-1),
    ),
    "3.3": (
        farthest_in_a_loop,
        farthest_in_numpy,
        farthest_by_einsum,
        farthest_by_diagonals,
        lambda p: farthest_of(p, torch.abs),
        lambda p: torch.tensor(farthest_in_a_loop(p)),
    ),
    "3.4": (
        finds_it_with_a_gap,
        finds_it_in_a_loop,
        finds_it_at_the_last_token,
        finds_it_against_a_control,
        lambda f: torch.tensor(finds_it_in_a_loop(f)),
        lambda f: np.bool_(finds_it_at_the_last_token(f)),
    ),
}

WRONG = {
    "3.1": (
        lambda q, k: attention_in_numpy(q, q),
        lambda q, k: attention_in_numpy(q, -k),
        lambda q, k: attention_in_numpy(q * q.shape[-1], k),
        lambda q, k: attention_in_numpy(q, k).round(2),
        lambda q, k: attention_in_numpy(q if q.ndim == 2 else q[:1].expand_as(q), k),
        lambda q, k: attention_by_einsum(q.bfloat16(), k.bfloat16()),
        lambda q, k: attention_in_numpy(q, k)[None],
        lambda q, k: attention_by_einsum(q, k) @ k,
        lambda q, k: attention_by_einsum(q, k) ** 1.001,
        lambda q, k: attention_by_einsum(q, k.mul_(1.001)),
    ),
    "3.2": (
        lambda ids: induction_in_a_loop(ids).roll(1, 1),
        lambda ids: induction_in_a_loop(ids.flip(0)),
        lambda ids: induction_in_a_loop(ids) | token_pairs(ids)["same"],
        lambda ids: induction_in_a_loop(ids) & ~token_pairs(ids)["previous"],
        lambda ids: induction_in_a_loop(ids)[:, 1:],
        lambda ids: induction_in_a_loop(ids).nonzero(),
        lambda ids: induction_in_a_loop(ids.clamp(max=7)),
        lambda ids: induction_in_a_loop(ids) & (torch.arange(len(ids)) > 1),
        lambda ids: induction_in_a_loop(ids) & (torch.arange(len(ids)) == len(ids) - 1)[:, None],
        lambda ids: induction_in_a_loop(ids) & (induction_in_a_loop(ids).cumsum(1) == 1),
        lambda ids: induction_in_a_loop(ids).int(),
        lambda ids: (row for row in induction_in_a_loop(ids)),
    ),
    "3.3": (
        lambda p: farthest_in_numpy(p.flip(-1)),
        lambda p: farthest_in_numpy(p.mT),
        lambda p: farthest_in_numpy(p**2),
        lambda p: farthest_in_numpy(p[..., :-1, :-1]),
        lambda p: farthest_in_numpy(p.flip(1)),
        lambda p: farthest_in_numpy(p)[:1],
        lambda p: (0, 0),
        lambda p: farthest_of(p, torch.sqrt),
        lambda p: farthest_of(p, torch.square),
        lambda p: farthest_of(p, torch.log1p),
        lambda p: divmod(farthest_in_a_loop(p)[0] * p.shape[1] + farthest_in_a_loop(p)[1], 12),
        lambda p: (len(p) - 1, farthest_in_a_loop(p[-1:])[1]),
    ),
    "3.4": (
        lambda f: bool(f(torch.arange(20))[-1, -2] < 0.5),
        lambda f: bool(f(torch.arange(20))[1:, 0].mean() > 0.5),
        lambda f: bool(f(torch.arange(10).repeat(3))[-1].max() > 0.3),
        lambda f: bool(f(torch.arange(25).repeat(2))[25:].diagonal(1).mean() > 0.4),
        lambda f: f.__name__.startswith("_induction"),
        lambda f: "induction",
        lambda f: 1,
        lambda f: not torch.equal(f(torch.arange(30)), f(torch.arange(15).repeat(2))),
        lambda f: float(finds_it_with_a_gap(f)),
        lambda f: str(finds_it_with_a_gap(f)),
    ),
}
