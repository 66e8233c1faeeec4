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
    ),
    "1.2": (pattern_by_hand, pattern_row_by_row, pattern_in_numpy, pattern_added_mask),
}

WRONG = {
    "1.1": (
        lambda n: torch.eye(n, dtype=torch.bool).flip(0),
        lambda n: torch.ones(4, 4, dtype=torch.bool).tril(),
        lambda n: torch.ones(n, n, dtype=torch.bool).tril() if n < 5 else torch.ones(n, n, dtype=torch.bool),
    ),
    "1.2": (
        lambda s: (
            s.masked_fill(torch.ones(s.shape[-2:]).triu(1) == 1, -torch.inf).double().softmax(-1).round(decimals=3)
        ),
        lambda s: s.tril().softmax(-1).tril(),
        lambda s: s.masked_fill(torch.ones(s.shape[-2:]).triu(1) == 1, -torch.inf).log_softmax(-1),
    ),
}
