"""Right answers in other styles, and wrong ones that are not among the planted mistakes: see test_answers.py."""

import numpy as np
import torch


def mask_in_a_loop(n_tokens):
    mask = torch.zeros(n_tokens, n_tokens, dtype=torch.bool)
    for i in range(n_tokens):
        for j in range(i + 1):
            mask[i, j] = True
    return mask


def mask_as_a_list(n_tokens):
    return [[j <= i for j in range(n_tokens)] for i in range(n_tokens)]


def pattern_by_hand(scores):
    scores = scores.clone()
    future = torch.triu(torch.ones(scores.shape[-2:]), diagonal=1) == 1
    scores[..., future] = float("-inf")
    scores -= scores.max(-1, keepdim=True).values
    weights = scores.exp_()
    weights /= weights.sum(-1, keepdim=True)
    return weights


def pattern_row_by_row(scores):
    pattern = torch.zeros_like(scores)
    for place in np.ndindex(*scores.shape[:-1]):
        i = place[-1]
        pattern[place][: i + 1] = torch.softmax(scores[place][: i + 1], dim=0)
    return pattern


def pattern_in_numpy(scores):
    masked = np.where(np.tri(scores.shape[-1], dtype=bool), scores.numpy().astype(np.float64), -np.inf)
    weights = np.exp(masked - masked.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def pattern_added_mask(scores):
    return (scores + torch.full(scores.shape[-2:], -torch.inf).triu(1)).softmax(-1)


def wins_in_a_loop(pattern):
    flat = pattern.reshape(-1, *pattern.shape[-2:])
    counted = []
    for head in flat:
        wins = 0
        for query in range(1, len(head)):
            if head[query, 0] == head[query, : query + 1].max():
                wins += 1
        counted.append(wins / (len(head) - 1))
    return torch.tensor(counted).reshape(pattern.shape[:-2])


def wins_in_numpy(pattern):
    return (np.argmax(pattern.numpy(), axis=-1)[..., 1:] == 0).mean(-1)


def wins_by_comparing(pattern):
    rows = pattern[..., 1:, :]
    return (rows[..., :1] > rows[..., 1:]).all(-1).double().mean(-1)


def wins_by_the_largest(pattern):
    first = pattern.max(dim=-1).indices[..., 1:]
    return 1 - (first != 0).sum(-1) / first.shape[-1]


def link_in_a_loop(patterns):
    best, place = -1.0, None
    for layer, head, query, key in np.ndindex(*patterns.shape):
        if key not in (0, query) and patterns[layer, head, query, key] > best:
            best, place = patterns[layer, head, query, key], (layer, head, query, key)
    return place


def link_in_numpy(patterns):
    kept = patterns.numpy().copy()
    kept[..., 0] = -1
    for query in range(kept.shape[-1]):
        kept[..., query, query] = -1
    return np.unravel_index(kept.argmax(), kept.shape)


def link_by_where(patterns):
    kept = patterns.clone()
    kept[..., 0] = 0
    kept.diagonal(dim1=-2, dim2=-1).zero_()
    return list(map(torch.Tensor.item, (kept == kept.max()).nonzero()[0]))


def link_among_the_inner_keys(patterns):
    inner = patterns[..., 2:, 1:] * torch.ones(patterns.shape[-1] - 2, patterns.shape[-1] - 1).tril()
    layer, head, query, key = torch.unravel_index(inner.argmax(), inner.shape)
    return layer, head, query + 2, key + 1


def leaks_by_changing_one_score_at_a_time(attend):
    torch.manual_seed(1)
    for low in (0.0, -1e6):
        scores = torch.randn(4, 4) + low
        before = attend(scores.clone())
        for i in range(4):
            for j in range(i + 1, 4):
                if before[i, j] > 0:
                    return True
                for value in (-100.0, 5.0, 500.0):
                    changed = scores.clone()
                    changed[i, j] = value
                    if not torch.equal(attend(changed)[i], before[i]):
                        return True
    return False


def leaks_at_the_last_key(attend):
    scores = torch.linspace(-1, 1, 36).view(6, 6)
    for past in (scores, scores - 1e8):
        patterns = []
        for future in (-3.0, 2.0, 1e4):
            ahead = torch.ones(6, 6).triu(1)
            patterns.append(attend(torch.where(ahead == 1, torch.tensor(future), past)).nan_to_num(nan=-1))
        if any(float(p.triu(1).abs().sum()) > 0 for p in patterns):
            return True
        if max((p - patterns[0]).abs().max() for p in patterns) > 1e-5:
            return True
    return False


def leaks_in_numpy(attend):
    rng = np.random.default_rng(0)
    ahead = ~np.tri(7, dtype=bool)
    for shift in (0, -1e7):
        base = rng.normal(size=(7, 7)) + shift
        seen = []
        for loud in (0.5, 300):
            changed = base.copy()
            changed[ahead] = loud
            seen.append(attend(torch.tensor(changed)).numpy())
        if (seen[0][ahead] != 0).any() or not np.allclose(*seen, atol=1e-7):
            return np.True_
    return np.False_


def leaks_if_a_longer_text_differs(attend):
    low = torch.full((6, 6), -1e12)
    if not torch.equal(attend(low).triu(1), torch.zeros(6, 6)):
        return True
    scores = torch.randn(6, 6, generator=torch.Generator().manual_seed(4))
    for future in (4.0, 150.0):
        loud = scores.masked_fill(torch.ones(6, 6).triu(1).bool(), future)
        for n in range(1, 6):
            if not torch.allclose(attend(loud)[:n, :n], attend(loud[:n, :n]), atol=1e-6):
                return True
    return False


RIGHT = {
    "1.1": (
        lambda n: torch.ones(n, n, dtype=torch.bool).tril(),
        lambda n: torch.tril(torch.ones(n, n)) == 1,
        lambda n: ~torch.ones(n, n, dtype=torch.bool).triu(1),
        lambda n: np.tri(n, dtype=bool),
        lambda n: np.arange(n)[:, None] >= np.arange(n),
        lambda n: torch.cumsum(torch.eye(n), 1).bool().T,
        mask_in_a_loop,
        mask_as_a_list,
        lambda n: torch.nn.Transformer.generate_square_subsequent_mask(n) == 0,
        lambda n: tuple(torch.arange(n) <= i for i in range(n)),
    ),
    "1.2": (
        pattern_by_hand,
        pattern_row_by_row,
        pattern_in_numpy,
        pattern_added_mask,
        lambda s: pattern_row_by_row(s).tolist(),
        lambda s: pattern_by_hand(s.double()),
    ),
    "1.3": (
        wins_in_a_loop,
        wins_in_numpy,
        wins_by_comparing,
        wins_by_the_largest,
        lambda p: ((p.argmax(-1) == 0).sum(-1) - 1) / (p.shape[-1] - 1),
        lambda p: (p[..., 1:, :].topk(1).indices[..., 0] == 0).double().mean(-1),
    ),
    "1.4": (
        link_in_a_loop,
        link_in_numpy,
        link_by_where,
        link_among_the_inner_keys,
        lambda p: np.array(link_in_numpy(p)),
        lambda p: torch.tensor([int(n) for n in link_in_numpy(p)]),
    ),
    "1.5": (
        leaks_by_changing_one_score_at_a_time,
        leaks_at_the_last_key,
        leaks_in_numpy,
        leaks_if_a_longer_text_differs,
    ),
}

WRONG = {
    "1.1": (
        lambda n: torch.eye(n, dtype=torch.bool).flip(0),
        lambda n: torch.ones(4, 4, dtype=torch.bool).tril(),
        lambda n: torch.ones(n, n, dtype=torch.bool).tril() if n < 5 else torch.ones(n, n, dtype=torch.bool),
        lambda n: (row for row in mask_in_a_loop(n)),
        lambda n: mask_in_a_loop(n).to(torch.int8),
        lambda n: mask_in_a_loop(n)[None],
        lambda n: mask_in_a_loop(n).triu(-4),
        lambda n: np.tri(n).astype(object),
        lambda n: True if n == 1 else mask_in_a_loop(n),
    ),
    "1.2": (
        lambda s: (
            s.masked_fill(torch.ones(s.shape[-2:]).triu(1) == 1, -torch.inf).double().softmax(-1).round(decimals=3)
        ),
        lambda s: s.tril().softmax(-1).tril(),
        lambda s: s.masked_fill(torch.ones(s.shape[-2:]).triu(1) == 1, -torch.inf).log_softmax(-1),
        lambda s: pattern_by_hand(s.clamp(-1e30, 50)),
        lambda s: pattern_by_hand(s.half()),
        lambda s: s.masked_fill(torch.ones(s.shape[-2:]).triu(1) == 1, -1e30).softmax(-1),
        lambda s: pattern_by_hand(s if s.ndim == 2 else s[:1].expand_as(s)),
        lambda s: s.masked_fill_(torch.ones(s.shape[-2:]).triu(1) == 1, -torch.inf).softmax(-1),
        lambda s: (row for row in pattern_by_hand(s)),
    ),
    "1.3": (
        lambda p: (p[..., 1:, 0] >= 0.4).float().mean(-1),
        lambda p: (p[..., 1:, :].argmin(-1) == 0).float().mean(-1),
        lambda p: (p[..., 1:, :].argmax(-1) <= 1).float().mean(-1),
        lambda p: (p[..., 1:, :].argmax(-1) == 1).float().mean(-1),
        lambda p: (p[..., 2:, :].argmax(-1) == 0).float().sum(-1) / (p.shape[-1] - 1),
        lambda p: (p[..., 1:, :].argmax(-1) == 0).float().mean(-1).mean(0),
        lambda p: (p[..., -1:, :].argmax(-1) == 0).float().mean(-1),
        lambda p: wins_in_a_loop(p) if p.ndim == 2 else wins_in_a_loop(p)[:1].expand(len(p)),
        lambda p: (p[..., 1:, 0] > p.diagonal(dim1=-2, dim2=-1)[..., 1:]).float().mean(-1),
        lambda p: (p[..., 1:, 0] > p[..., 1:, 1:].mean(-1)).float().mean(-1),
        lambda p: wins_in_a_loop(p).round(decimals=1),
    ),
    "1.4": (
        lambda p: link_in_numpy(p.mean(0, keepdim=True).expand_as(p)),
        lambda p: link_in_numpy(p.flip(0)),
        lambda p: link_in_numpy(p.flip(1)),
        lambda p: link_in_numpy(p**-1),
        lambda p: link_in_numpy(p)[2:],
        lambda p: (*link_in_numpy(p)[:2], link_in_numpy(p)[2]),
        lambda p: [*link_in_numpy(p)[:3], link_in_numpy(p)[3] + 1],
        lambda p: (*link_in_numpy(p)[:1], p.shape[1] - 1, *link_in_numpy(p)[2:]),
        lambda p: (p.shape[0] - 1, *link_in_numpy(p[-1:])[1:]),
        lambda p: link_in_numpy(p * torch.ones(p.shape[-2:]).tril(-2)),
        lambda p: (link_in_numpy(p)[0] - len(p), *link_in_numpy(p)[1:]),
        lambda p: (int(place) for place in link_in_numpy(p)),
    ),
    "1.5": (
        lambda attend: not torch.equal(attend(torch.zeros(4, 4)).triu(1), torch.zeros(4, 4)),
        lambda attend: not torch.allclose(attend(torch.zeros(4, 4)), attend(torch.ones(4, 4))),
        lambda attend: not torch.allclose(attend(torch.eye(4)).sum(-1), torch.ones(4)),
        lambda attend: bool(attend(torch.randn(4, 4)).isnan().any()),
        lambda attend: bool((attend(torch.full((4, 4), -1e9)).triu(1) != 0).any()),
        lambda attend: not torch.allclose(attend(torch.eye(4) * 300), attend(torch.eye(4) * 3)),
        lambda attend: "leak",
        lambda attend: 1,
        lambda attend: None if attend(torch.zeros(2, 2))[0, 1] == 0 else True,
        lambda attend, calls=[]: len(calls) > 4 or calls.append(attend),  # the first four are sound
        lambda attend: attend.__name__ not in ("_pattern", "_hot", "_adds_one", "_even"),
        lambda attend: str(leaks_in_numpy(attend)),
        lambda attend: float(leaks_in_numpy(attend)),
        lambda attend: np.array([leaks_in_numpy(attend)]),
    ),
}
