"""Right answers in other styles, and wrong ones that are not among the planted mistakes: see test_answers.py."""

import numpy as np
import torch


def centred_in_loops(raw):
    centred = np.full(raw.shape, -np.inf)
    for place in np.ndindex(*raw.shape[:-1]):
        row = raw.double().numpy()[place][: place[-1] + 1]
        centred[place][: place[-1] + 1] = row - row.mean()
    return centred


def centred_with_nan(raw):
    future = torch.ones(raw.shape[-2:], dtype=torch.bool).triu(1)
    means = raw.masked_fill(future, torch.nan).nanmean(-1, keepdim=True)
    return torch.where(future, -torch.inf, raw - means)


def centred_by_a_product(raw):
    even = torch.ones(raw.shape[-2:]).tril() / torch.arange(1, raw.shape[-1] + 1)[:, None]
    means = (raw * even).sum(-1, keepdim=True)
    return raw - means + torch.full(raw.shape[-2:], -torch.inf).triu(1)


def centred_in_place(raw):
    left = raw.clone()
    for i in range(raw.shape[-1]):
        left[..., i, : i + 1] -= left[..., i, : i + 1].mean(-1, keepdim=True)
        left[..., i, i + 1 :] = -torch.inf
    return left


def lifted_by_pinv(q, k):
    return 10_000 * torch.linalg.pinv(q) @ torch.ones(len(q))


def lifted_in_numpy(q, k):
    one, *_ = np.linalg.lstsq(q.double().numpy(), np.ones(len(q)), rcond=None)
    return 1e4 * one


def lifted_row_by_row(q, k):
    """Each query gets just what its own row needs."""
    scores = (q @ k.T).tril()
    needed = 1 - scores.min(-1).values
    return torch.linalg.lstsq(q, needed[:, None], driver="gelsd").solution.squeeze(-1)


def lifted_by_gram(q, k):
    q = q.double()
    return 1e4 * q.T @ torch.linalg.solve(q @ q.T, torch.ones(len(q), dtype=q.dtype))


def scores_of(raw):
    """Scores with the future at -inf."""
    return raw.masked_fill(torch.ones_like(raw, dtype=torch.bool).triu(1), -torch.inf)


def largest_share(raw):
    return (scores_of(raw) / 8).softmax(-1).amax(-1).mean()


def entropy(raw):
    shares = (scores_of(raw) / 8).softmax(-1)
    return torch.special.entr(shares).sum(-1).mean().item()


def previous_over_self(raw):
    return float(np.mean([raw[i, i - 1] - raw[i, i] for i in range(1, len(raw))]))


def how_often_first_wins(raw):
    return (scores_of(raw)[2:].argmax(-1) == 0).double().mean() + raw[-1, 0] - raw[-1, 1]


def gap(raw, first=0):
    rows = [row[: i + 1] for i, row in enumerate(raw)][2:]
    return np.mean([row[0] - row[1:].mean() for row in rows])


def lead_in_loops(raw, query_bias):
    left = (raw - query_bias).double().numpy()
    places = list(np.ndindex(left.shape[:2]))
    return max(places, key=lambda place: gap(left[place]))


def lead_by_argmax(raw, query_bias):
    left = (raw - query_bias).double().numpy()
    gaps = np.array([[gap(head) for head in layer] for layer in left])
    return divmod(int(gaps.argmax()), gaps.shape[1])


def lead_as_tensor(raw, query_bias):
    return torch.tensor(lead_in_loops(raw, query_bias))


def lead_as_list(raw, query_bias):
    return [int(i) for i in lead_in_loops(raw, query_bias)]


def maker(measure, names=("content", "query_bias", "key_bias", "constant")):
    """The name of the term without which `measure` of the scores left is least."""

    def of(*terms):
        return names[int(np.argmin([float(measure(sum(terms) - term)) for term in terms]))]

    return of


def first_share(raw, scale=8, start=2):
    return (scores_of(raw) / scale).softmax(-1)[start:, 0].mean()


def first_share_by_hand(raw):
    rows = [row[: i + 1].double().numpy() / 8 for i, row in enumerate(raw)][2:]
    return np.mean([1 / np.exp(row - row[0]).sum() for row in rows])


def only_two(content, query_bias, key_bias, constant):
    without_content, without_bias = first_share(query_bias), first_share(content)
    return "content" if without_content < without_bias else "query_bias"


def by_loss(content, query_bias, key_bias, constant):
    terms = {"content": content, "query_bias": query_bias, "key_bias": key_bias, "constant": constant}
    whole = sum(terms.values())
    return max(terms, key=lambda name: first_share(whole) - first_share(whole - terms[name]))


RIGHT = {
    "5.1": (centred_in_loops, centred_with_nan, centred_by_a_product, centred_in_place),
    "5.2": (lifted_by_pinv, lifted_in_numpy, lifted_row_by_row, lifted_by_gram),
    "5.3": (largest_share, entropy, previous_over_self, how_often_first_wins),
    "5.4": (lead_in_loops, lead_by_argmax, lead_as_tensor, lead_as_list),
    "5.5": (maker(first_share), maker(first_share_by_hand), only_two, by_loss),
}
WRONG = {
    "5.1": (
        lambda raw: scores_of(raw[..., :, :] - raw[..., :1]),
        lambda raw: raw.tril() - raw.tril().mean(-1, keepdim=True),
        lambda raw: centred_in_place(raw).nan_to_num(neginf=-1e9),
    ),
    "5.2": (
        lambda q, k: torch.zeros(q.shape[1]),
        lambda q, k: lifted_by_pinv(q, k) / 1e5,
        lambda q, k: -lifted_by_pinv(q, k),
        lambda q, k: lifted_by_pinv(q, k) * torch.nan,
        lambda q, k: lifted_by_pinv(q, k)[:-1],
        lambda q, k: lifted_by_pinv(q, k)[None],
        lambda q, k: 1e4 * q[0],
        lambda q, k: 1e4 * q[-1],
        lambda q, k: 1e4 * q.sum(0).sign(),
        lambda q, k: -k[0],
        lambda q, k: -(q @ k.T).min(),
        lambda q, k: "positive",
    ),
    "5.3": (
        lambda raw: raw.tril().sum(),
        lambda raw: raw[-1].mean(),
        lambda raw: raw[0, 0],
        lambda raw: (raw.tril() > 0).double().mean(),
        lambda raw: raw.tril().abs().mean(),
        lambda raw: torch.linalg.matrix_norm(raw.tril()),
        lambda raw: (raw.softmax(-1)[2:, 0]).mean(),  # the future takes part
        lambda raw: 1.0,
        lambda raw: torch.nan,
        lambda raw: scores_of(raw),
        lambda raw: np.mean([(raw[i, 1 : i + 1] < raw[i, 0]).double().sum() for i in range(1, 7)]) * 6 / 21,
        lambda raw: gap(raw),
        lambda raw: -2 * gap(raw),
        lambda raw: np.exp(torch.special.entr((scores_of(raw) / 8).softmax(-1)).sum(-1)).mean(),
        lambda raw: np.mean([row[: i + 1].std() for i, row in enumerate(raw)][1:]),
        lambda raw: first_share(raw, start=0),
        lambda raw: "gap",
    ),
    "5.4": (
        lambda raw, bias: (0, 0),
        lambda raw, bias: lead_in_loops(raw, 2 * bias),
        lambda raw, bias: lead_in_loops(raw.mT, bias.mT),
        lambda raw, bias: lead_in_loops(raw, bias)[:1],
        lambda raw, bias: [i + 1 for i in lead_in_loops(raw, bias)],
    ),
    "5.5": (
        maker(lambda raw: -first_share(raw)),
        maker(first_share, names=("Content", "Query bias", "Key bias", "Constant")),
        maker(lambda raw: first_share(raw, scale=1)),
        maker(lambda raw: first_share(raw, scale=64)),
        maker(lambda raw: first_share(raw, start=0)),
        maker(lambda raw: (raw / 8).softmax(-1)[2:, 0].mean()),
        maker(lambda raw: first_share(raw)[None] * 0),
        maker(lambda raw: gap(raw.double().numpy())),
        maker(lambda raw: (scores_of(raw) / 8).softmax(-1)[-1, 0]),
        maker(lambda raw: raw[2:, 0].mean()),
        maker(lambda raw: raw.tril().mean()),
        lambda *terms: "the sink",
        lambda *terms: 1,
    ),
}
