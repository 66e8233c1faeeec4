"""Right answers in other styles, and wrong ones that are not among the planted mistakes: see test_answers.py."""

import numpy as np
import torch
from torch.nn import functional as F


def loss_by_cross_entropy(logits, ids):
    return F.cross_entropy(logits[:-1], ids[1:], reduction="none")


def loss_in_a_loop(logits, ids):
    losses = []
    for t in range(len(ids) - 1):
        shifted = logits[t] - logits[t].max()
        losses.append(shifted.exp().sum().log() - shifted[ids[t + 1]])
    return torch.stack(losses)


def loss_in_numpy(logits, ids):
    rows, ids = logits.double().numpy()[:-1], ids.numpy()
    return np.logaddexp.reduce(rows, axis=1) - np.take_along_axis(rows, ids[1:, None], axis=1).squeeze(1)


def loss_by_a_distribution(logits, ids):
    return -torch.distributions.Categorical(logits=logits[:-1]).log_prob(ids[1:])


def loss_by_one_hot(logits, ids):
    wanted = F.one_hot(ids[1:], logits.shape[1]).bool()
    return -logits.log_softmax(-1)[:-1][wanted]


def change_by_where(layer, raw):
    position = torch.arange(raw.shape[-1])
    return torch.where((position[:, None] > 0) & (position == 0), -torch.inf, raw)


def change_in_a_loop(layer, raw):
    changed = raw.clone()
    for head in range(raw.shape[0]):
        for query in range(1, raw.shape[1]):
            changed[head, query, 0] = float("-inf")
    return changed


def change_in_numpy(layer, raw):
    changed = raw.numpy().copy()
    changed[..., 1:, 0] = -np.inf
    return changed


def change_by_a_mask(layer, raw):
    gone = torch.zeros(raw.shape[1:], dtype=torch.bool)
    gone[1:, 0] = True
    return raw.masked_fill(gone, -torch.inf)


def change_by_cat(layer, raw):
    first = torch.full_like(raw[..., :1], -torch.inf)
    first[:, 0] = raw[:, 0, :1]
    return torch.cat([first, raw[..., 1:]], dim=-1)


def change_by_a_sum(layer, raw):
    penalty = torch.zeros_like(raw)
    penalty[:, 1:, 0] = -torch.inf
    return raw + penalty


def ablated_by_where(outputs, head):
    here = torch.arange(len(outputs))[:, None, None] == head
    return torch.where(here, outputs.mean(dim=1, keepdim=True), outputs)


def ablated_in_a_loop(outputs, head):
    changed, n_tokens = outputs.clone(), outputs.shape[1]
    total = sum(outputs[head, t] for t in range(n_tokens))
    for t in range(n_tokens):
        changed[head, t] = total / n_tokens
    return changed


def ablated_in_numpy(outputs, head):
    changed = outputs.double().numpy().copy()
    changed[head] = changed[head].mean(axis=0)
    return changed


def ablated_by_stack(outputs, head):
    means = outputs[head].mean(0).expand(outputs.shape[1], -1)
    return torch.stack([means if h == head else one for h, one in enumerate(outputs)])


def ablated_by_a_product(outputs, head):
    changed, n_tokens = outputs.clone(), outputs.shape[1]
    changed[head] = torch.full((n_tokens, n_tokens), 1 / n_tokens) @ outputs[head]
    return changed


def place(values):
    return divmod(int(values.argmax()), values.shape[1])


def reliable_in_loops(costs):
    best, found = -float("inf"), None
    for layer in range(costs.shape[1]):
        for head in range(costs.shape[2]):
            smallest = min(costs[text, layer, head].item() for text in range(len(costs)))
            if smallest > best:
                best, found = smallest, (layer, head)
    return found


def reliable_in_numpy(costs):
    smallest = costs.numpy().min(axis=0)
    return np.unravel_index(smallest.argmax(), smallest.shape)


def reliable_as_list(costs):
    return list(place(costs.min(dim=0).values))


def reliable_by_where(costs):
    smallest = costs.amin(0)
    return (smallest == smallest.max()).nonzero()[0]


def reliable_by_sort(costs):
    return place(costs.sort(0).values[0])


def indirect_in_loops(direct, cost):
    bound = direct.abs().flatten().sort().values[(direct.numel() - 1) // 2]
    places = [(i, j) for i in range(len(direct)) for j in range(direct.shape[1]) if abs(direct[i, j]) <= bound]
    return max(places, key=lambda at: cost[at])


def indirect_in_numpy(direct, cost):
    size, cost = np.abs(direct.numpy()), cost.numpy()
    left = np.where(size <= np.median(size), cost, -np.inf)
    return np.unravel_index(left.argmax(), left.shape)


def indirect_by_rank(direct, cost):
    quiet = direct.abs().flatten().argsort()[: (direct.numel() + 1) // 2]
    return divmod(int(quiet[cost.flatten()[quiet].argmax()]), cost.shape[1])


def indirect_by_nonzero(direct, cost):
    kept = (direct.abs() <= direct.abs().quantile(0.5)).nonzero()
    return kept[cost[tuple(kept.T)].argmax()]


def among(quiet, cost):
    """Where the cost is largest among the heads that are kept."""
    return place(cost.masked_fill(~quiet, -torch.inf))


RIGHT = {
    "8.1": (loss_by_cross_entropy, loss_in_a_loop, loss_in_numpy, loss_by_a_distribution, loss_by_one_hot),
    "8.2": (
        change_by_where,
        change_in_a_loop,
        change_in_numpy,
        change_by_a_mask,
        change_by_cat,
        change_by_a_sum,
    ),
    "8.3": (ablated_by_where, ablated_in_a_loop, ablated_in_numpy, ablated_by_stack, ablated_by_a_product),
    "8.4": (reliable_in_loops, reliable_in_numpy, reliable_as_list, reliable_by_where, reliable_by_sort),
    "8.5": (indirect_in_loops, indirect_in_numpy, indirect_by_rank, indirect_by_nonzero),
}
WRONG = {
    "8.1": (
        lambda logits, ids: -logits.softmax(-1).log()[:-1][range(len(ids) - 1), ids[1:]],
        lambda logits, ids: -logits.softmax(-1).clamp(min=1e-9).log()[:-1][range(len(ids) - 1), ids[1:]],
        lambda logits, ids: -(logits.softmax(-1) + 1e-12).log()[:-1][range(len(ids) - 1), ids[1:]],
        lambda logits, ids: F.cross_entropy(logits[:-1], ids[1:], reduction="none", ignore_index=0),
        lambda logits, ids: F.cross_entropy(logits[:-1], ids[1:], reduction="none", label_smoothing=0.1),
        lambda logits, ids: F.cross_entropy(logits[:-1], ids[1:]),
        lambda logits, ids: loss_by_cross_entropy(logits / 2, ids),
        lambda logits, ids: loss_by_cross_entropy(logits.clamp(max=88), ids),
        lambda logits, ids: loss_by_cross_entropy(logits.half().float(), ids),
        lambda logits, ids: F.pad(loss_by_cross_entropy(logits, ids), (1, 0)),
        lambda logits, ids: F.pad(loss_by_cross_entropy(logits, ids), (0, 1)),
        lambda logits, ids: loss_by_cross_entropy(logits, ids)[:, None],
        lambda logits, ids: loss_by_cross_entropy(logits, ids).cumsum(0),
        lambda logits, ids: loss_by_cross_entropy(logits, ids) / (len(ids) - 1),
        lambda logits, ids: logits.softmax(-1)[:-1].argmax(-1) - ids[1:],
        lambda logits, ids: (logits.argmax(-1)[:-1] != ids[1:]).float(),
        lambda logits, ids: F.cross_entropy(logits[:-1], ids[1:].sort().values, reduction="none"),
        lambda logits, ids: F.cross_entropy(logits[:-1], logits[1:].argmax(-1), reduction="none"),
        lambda logits, ids: -logits[:, ids].log_softmax(-1)[:-1].diagonal(1),
        lambda logits, ids: -logits[:, :5].log_softmax(-1)[:-1][range(len(ids) - 1), ids[1:] % 5],
    ),
    "8.2": (
        lambda layer, raw: change_by_a_mask(layer, raw[:3]),
        lambda layer, raw: torch.cat([change_by_a_mask(layer, raw[:3]), raw[3:]]),
        lambda layer, raw: torch.cat([change_by_a_mask(layer, raw)[:, :5], raw[:, 5:]], 1),
        lambda layer, raw: change_by_a_mask(layer, raw) if layer < 2 else raw.clone(),
        lambda layer, raw: change_by_a_mask(layer, raw) if layer % 2 else raw.clone(),
        lambda layer, raw: change_by_a_mask(layer, raw).nan_to_num(neginf=-1e30),
        lambda layer, raw: change_by_a_mask(layer, raw).nan_to_num(neginf=-1e5),
        lambda layer, raw: change_by_a_mask(layer, raw) - layer,
        lambda layer, raw: change_by_a_mask(layer, raw - raw.mean(-1, keepdim=True)),
        lambda layer, raw: change_by_a_mask(layer, raw).log_softmax(-1),
        lambda layer, raw: change_by_a_mask(layer, raw.mT).mT,
        lambda layer, raw: change_by_a_mask(layer, raw.flip(-1)).flip(-1),
        lambda layer, raw: change_by_a_mask(layer, raw) == -torch.inf,
        lambda layer, raw: change_by_a_mask(layer, raw).sum(-1),
        lambda layer, raw: change_by_a_mask(layer, raw)[..., 1:],
        lambda layer, raw: change_by_a_mask(layer, raw)[0],
        lambda layer, raw: raw.masked_fill(raw == raw.amax(-1, keepdim=True), -torch.inf),
        lambda layer, raw: raw.masked_fill(raw == raw[:, :1], -torch.inf),
        lambda layer, raw: raw.index_fill(-1, torch.tensor([0]), -torch.inf),
        lambda layer, raw: raw.roll(-1, -1),
        lambda layer, raw: raw * (raw != raw[..., :1]),
    ),
    "8.3": (
        lambda outputs, head: ablated_by_where(outputs, len(outputs) - 1),
        lambda outputs, head: ablated_by_where(outputs, 1),
        lambda outputs, head: ablated_by_where(outputs, max(head, 1)),
        lambda outputs, head: ablated_by_where(ablated_by_where(outputs, head), head - 1),
        lambda outputs, head: ablated_by_where(outputs, head) - outputs,
        lambda outputs, head: ablated_by_where(outputs, head) + outputs,
        lambda outputs, head: ablated_by_where(outputs, head).transpose(0, 1),
        lambda outputs, head: ablated_by_where(outputs.abs(), head),
        lambda outputs, head: ablated_by_where(outputs, head).roll(1, 1),
        lambda outputs, head: ablated_by_where(outputs, head).half().float(),
        lambda outputs, head: ablated_by_where(outputs, head)[:, :1],
        lambda outputs, head: torch.cat([outputs[:head], outputs[head + 1 :]]),
        lambda outputs, head: outputs.index_fill(0, torch.tensor([head]), outputs[head].mean().item()),
        lambda outputs, head: torch.where(
            torch.arange(len(outputs))[:, None, None] == head, outputs[:, :-1].mean(1, keepdim=True), outputs
        ),
        lambda outputs, head: torch.where(
            torch.arange(len(outputs))[:, None, None] == head, outputs.square().mean(1, keepdim=True).sqrt(), outputs
        ),
        lambda outputs, head: torch.where(
            torch.arange(len(outputs))[:, None, None] == head, (outputs[:, :1] + outputs[:, -1:]) / 2, outputs
        ),
        lambda outputs, head: torch.where(
            torch.arange(len(outputs))[:, None, None] >= head, outputs.mean(1, keepdim=True), outputs
        ),
        lambda outputs, head: torch.where(
            torch.arange(len(outputs))[:, None, None] == head, outputs.sum(1, keepdim=True) / 5, outputs
        ),
        lambda outputs, head: torch.where(
            torch.arange(len(outputs))[:, None, None] == head, outputs.amax(1, keepdim=True), outputs
        ),
        lambda outputs, head: outputs[head].mean(0),
    ),
    "8.4": (
        lambda costs: place(costs.mean(0) - costs.std(0)),
        lambda costs: place(costs.mean(0) - 2 * costs.std(0)),
        lambda costs: place(costs.quantile(0.25, dim=0)),
        lambda costs: place(costs.quantile(0.1, dim=0)),
        lambda costs: place(costs.sort(0).values[1]),
        lambda costs: place(costs.sort(0).values[:2].mean(0)),
        lambda costs: place((costs > 0).sum(0) + costs.mean(0).sigmoid()),
        lambda costs: place(costs.masked_fill(costs.amin(0) < 0, -torch.inf).mean(0)),
        lambda costs: place(costs.prod(0)),
        lambda costs: place(costs[:4].amin(0)),
        lambda costs: place(costs[1:].amin(0)),
        lambda costs: place(costs[:-1].amin(0)),
        lambda costs: place(costs.sum(0)),
        lambda costs: place(costs.flatten(1).argsort(-1).argsort(-1).float().mean(0).view(costs.shape[1:])),
        lambda costs: place(costs.flatten(1).argsort(-1).argsort(-1).amin(0).view(costs.shape[1:])),
        lambda costs: place((costs / costs.std((1, 2), keepdim=True)).amin(0)),
        lambda costs: place((costs / costs.abs().amax((1, 2), keepdim=True)).amin(0)),
        lambda costs: place(costs.amin(0) * (costs.amin(0) > 0) - costs.std(0)),
        lambda costs: place(1 / (1 / costs).mean(0)),
        lambda costs: (0, 0),
        lambda costs: f"L{reliable_in_loops(costs)[0]}H{reliable_in_loops(costs)[1]}",
        lambda costs: costs.amin(0),
    ),
    "8.5": (
        lambda direct, cost: among(direct.abs() < direct.abs().median(), cost),
        lambda direct, cost: among(direct.abs() < direct.abs().quantile(0.25), cost),
        lambda direct, cost: among(direct.abs() <= direct.abs().quantile(1 / 3), cost),
        lambda direct, cost: among(direct.abs() <= direct.abs().quantile(2 / 3), cost),
        lambda direct, cost: among(direct.abs() <= direct.abs().quantile(0.75), cost),
        lambda direct, cost: among(direct.abs() < direct.abs().flatten().sort().values[direct.numel() // 2], cost),
        lambda direct, cost: place(cost.masked_fill(direct.abs() > direct.abs().median(), -1.0)),
        lambda direct, cost: among(direct.abs() <= 0.5, cost),
        lambda direct, cost: among(direct.abs() <= 0.3, cost),
        lambda direct, cost: among(direct.abs() <= direct.abs().max() / 2, cost),
        lambda direct, cost: among(direct.square() <= direct.square().mean(), cost),
        lambda direct, cost: among(direct <= direct.abs().median(), cost),
        lambda direct, cost: among(direct.abs() <= direct.median(), cost),
        lambda direct, cost: among(cost >= cost.median(), -direct.abs()),
        lambda direct, cost: among(cost.abs() <= cost.abs().median(), cost),
        lambda direct, cost: place(
            cost.flatten().argsort().argsort().view_as(cost) - direct.abs().flatten().argsort().argsort().view_as(cost)
        ),
        lambda direct, cost: place(cost * (direct.abs() <= direct.abs().median()) + 1e-9),
        lambda direct, cost: place(cost.mT.masked_fill(direct.mT.abs() > direct.abs().median(), -torch.inf)),
        lambda direct, cost: place(cost / (1 + direct.abs())),
        lambda direct, cost: place(cost - 0.1 * direct.abs()),
        lambda direct, cost: (0, 1),
        lambda direct, cost: direct.abs() <= direct.abs().median(),
    ),
}
