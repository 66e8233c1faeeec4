"""Right answers in other styles, and wrong ones that are not among the planted mistakes: see test_answers.py."""

import numpy as np
import torch


def fused_with_a_closure(model, layer, input_ids):
    kept = {}

    def keep(module, arguments, output):
        kept["fused"] = output.squeeze(0)

    hook = model.transformer.h[layer].attn.c_attn.register_forward_hook(keep)
    model(input_ids)
    hook.remove()
    return kept["fused"]


def fused_by_hand(model, layer, input_ids):
    seen = []
    block = model.transformer.h[layer]
    handle = block.ln_1.register_forward_hook(lambda module, arguments, output: seen.append(output[0]))
    try:
        model(input_ids)
    finally:
        handle.remove()
    return seen[0] @ block.attn.c_attn.weight + block.attn.c_attn.bias


def fused_from_hidden_states(model, layer, input_ids):
    with torch.no_grad():
        states = model(input_ids, output_hidden_states=True).hidden_states
        block = model.transformer.h[layer]
        return block.attn.c_attn(block.ln_1(states[layer]))[0]


def fused_with_a_pre_hook(model, layer, input_ids):
    c_attn, seen = model.transformer.h[layer].attn.c_attn, []
    handle = c_attn.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    with torch.inference_mode():
        model.eval()(input_ids)
        handle.remove()
        return c_attn(seen[-1])[0].numpy()


def heads_in_a_loop(fused, n_heads):
    n_tokens, d_model = fused.shape[0], fused.shape[1] // 3
    d_head = d_model // n_heads
    parts = []
    for third in range(3):
        heads = torch.zeros(n_heads, n_tokens, d_head)
        for h in range(n_heads):
            heads[h] = fused[:, third * d_model + h * d_head : third * d_model + (h + 1) * d_head]
        parts.append(heads)
    return parts


def heads_in_numpy(fused, n_heads):
    return fused.numpy().reshape(len(fused), 3, n_heads, -1).transpose(1, 2, 0, 3)


def heads_by_split(fused, n_heads):
    thirds = torch.split(fused, fused.shape[-1] // 3, dim=-1)
    return tuple(torch.stack(torch.split(t, t.shape[-1] // n_heads, dim=-1)) for t in thirds)


def heads_by_permute(fused, n_heads):
    q, k, v = fused.view(fused.size(0), 3, n_heads, fused.size(1) // 3 // n_heads).permute(1, 2, 0, 3)
    return q, k, v


def owner_by_comparing(column, d_model, n_heads):
    letter = "q" if column < d_model else "k" if column < 2 * d_model else "v"
    width = d_model // n_heads
    return letter, column % d_model // width, column % width


def owner_by_counting(column, d_model, n_heads):
    owners = [(x, h, c) for x in "qkv" for h in range(n_heads) for c in range(d_model // n_heads)]
    return owners[column]


def owner_in_numpy(column, d_model, n_heads):
    third, head, channel = np.unravel_index(column, (3, n_heads, d_model // n_heads))
    return ["q", "k", "v"][third], head, channel


def owner_as_a_list(column, d_model, n_heads):
    return [("q", "k", "v")[column // d_model], (column % d_model) * n_heads // d_model, column % (d_model // n_heads)]


def right_cut(fused, n_heads):
    return fused.unflatten(-1, (3, n_heads, -1)).permute(1, 2, 0, 3)


def tests_with_random_numbers(cut):
    torch.manual_seed(5)
    for sizes in ((6, 4, 3), (2, 3, 5)):
        fused = torch.randn(sizes[0], 3 * sizes[1] * sizes[2])
        for ours, theirs in zip(right_cut(fused, sizes[1]), cut(fused, sizes[1]), strict=True):
            if ours.shape != theirs.shape or not torch.allclose(ours, theirs):
                return False
    return True


def tests_entry_by_entry(cut):
    n_tokens, n_heads, d_head = 4, 5, 3
    fused = torch.arange(n_tokens * 3 * n_heads * d_head, dtype=torch.float32).view(n_tokens, -1)
    q, k, v = cut(fused, n_heads)
    for third, part in enumerate((q, k, v)):
        if part.shape != (n_heads, n_tokens, d_head):
            return False
        for h in range(n_heads):
            for t in range(n_tokens):
                for c in range(d_head):
                    if part[h, t, c] != fused[t, third * n_heads * d_head + h * d_head + c]:
                        return False
    return True


def tests_in_numpy(cut):
    fused = np.add.outer(1000 * np.arange(7), np.arange(36)).astype(float)
    found = np.stack([np.asarray(part) for part in cut(torch.tensor(fused), 3)])
    expected = fused.reshape(7, 3, 3, 4).transpose(1, 2, 0, 3)
    return found.shape == expected.shape and np.array_equal(found, expected)


def tests_by_putting_it_together_again(cut):
    fused = torch.randn(3, 40 * 3, generator=torch.Generator().manual_seed(9))
    parts = [part for part in cut(fused, 8)]
    if any(part.shape != (8, 3, 5) for part in parts):
        return False
    return torch.equal(torch.cat([part.transpose(0, 1).flatten(1) for part in parts], -1), fused)


def opponent_in_a_loop(contributions):
    n_heads, n_tokens, _ = contributions.shape
    means = []
    for h in range(n_heads):
        others = sum(contributions[i] for i in range(n_heads) if i != h)
        cosines = [
            torch.dot(contributions[h, t], others[t]) / (contributions[h, t].norm() * others[t].norm())
            for t in range(n_tokens)
        ]
        means.append(sum(cosines) / n_tokens)
    return min(range(n_heads), key=lambda h: means[h])


def opponent_in_numpy(contributions):
    x = contributions.numpy().astype(np.float64)
    y = x.sum(0, keepdims=True) - x
    cosine = (x * y).sum(-1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)
    return np.argmin(cosine.mean(1))


def opponent_with_unit_vectors(contributions):
    normed = torch.nn.functional.normalize
    others = contributions.sum(dim=0) - contributions
    return (normed(contributions, dim=-1) * normed(others, dim=-1)).sum((1, 2)).argmin()


def opponent_by_einsum(contributions):
    apart = 1 - torch.eye(len(contributions))
    others = torch.einsum("gh,htd->gtd", apart, contributions)
    return torch.cosine_similarity(contributions, others, 2).sum(1).sort().indices[0].item()


def compares(cut, heads=(0, 1, 2), parts=(0, 1, 2), seen=lambda part: part):
    fused = 100.0 * torch.arange(5)[:, None] + torch.arange(36)
    found, expected = list(cut(fused, 3)), right_cut(fused, 3)
    if any(found[i].shape != expected[i].shape for i in range(3)):
        return False
    return all(torch.equal(seen(found[i][list(heads)]), seen(expected[i][list(heads)])) for i in parts)


def fused_by_stopping_the_run(model, layer, input_ids):
    seen = []

    def stop(module, arguments, output):
        seen.append(output[0])
        raise StopIteration

    handle = model.transformer.h[layer].attn.c_attn.register_forward_hook(stop)
    try:
        model(input_ids)
    except StopIteration:
        handle.remove()
    return seen[0]


def fused_and_left_in_training(model, layer, input_ids):
    fused = fused_by_hand(model, layer, input_ids)
    model.train()
    return fused


def fused_by_another_forward(model, layer, input_ids):
    c_attn, seen = model.transformer.h[layer].attn.c_attn, []
    forward = c_attn.forward
    c_attn.forward = lambda x: seen.append(forward(x)) or seen[-1]
    model(input_ids)
    return seen[0][0]


def fused_after_the_second_layer_norm(model, layer, input_ids):
    block = model.transformer.h[layer]
    states = model(input_ids, output_hidden_states=True).hidden_states
    return block.attn.c_attn(block.ln_2(states[layer]))[0]


RIGHT = {
    "2.1": (
        fused_with_a_closure,
        fused_by_hand,
        fused_from_hidden_states,
        fused_with_a_pre_hook,
        fused_by_stopping_the_run,
    ),
    "2.2": (
        heads_in_a_loop,
        heads_in_numpy,
        heads_by_split,
        heads_by_permute,
        lambda f, n: [part.tolist() for part in heads_in_a_loop(f, n)],
        lambda f, n: np.stack([part.numpy() for part in heads_in_a_loop(f, n)]),
    ),
    "2.3": (
        owner_by_comparing,
        owner_by_counting,
        owner_in_numpy,
        owner_as_a_list,
        lambda c, d, n: ("qkv"[c // d], torch.tensor(c % d // (d // n)), np.int64(c % (d // n))),
    ),
    "2.4": (
        tests_with_random_numbers,
        tests_entry_by_entry,
        tests_in_numpy,
        tests_by_putting_it_together_again,
        lambda cut: torch.tensor(compares(cut)),
        lambda cut: np.bool_(compares(cut)),
    ),
    "2.5": (
        opponent_in_a_loop,
        opponent_in_numpy,
        opponent_with_unit_vectors,
        opponent_by_einsum,
        lambda x: float(opponent_in_a_loop(x)),
        lambda x: opponent_in_numpy(x * 1.0),
    ),
}

WRONG = {
    "2.1": (
        lambda m, layer, ids: fused_by_hand(m, layer, ids) @ torch.eye(36).flip(0),
        lambda m, layer, ids: fused_from_hidden_states(m, layer, ids.flip(1)),
        lambda m, layer, ids: fused_from_hidden_states(m, layer, ids[:, :3]),
        lambda m, layer, ids: m(ids, output_hidden_states=True).hidden_states[layer][0],
        lambda m, layer, ids: m.transformer.h[layer].attn.c_attn(m.transformer.wte(ids))[0],
        lambda m, layer, ids: fused_from_hidden_states(m, layer, ids + 1),
        fused_and_left_in_training,
        fused_by_another_forward,
        fused_after_the_second_layer_norm,
        lambda m, layer, ids: fused_from_hidden_states(m, 1 - layer, ids),
        lambda m, layer, ids: fused_from_hidden_states(m.requires_grad_(False), layer, ids),
        lambda m, layer, ids: fused_from_hidden_states(m, layer, ids).T,
    ),
    "2.2": (
        lambda f, n: [part.flip(0) for part in heads_in_a_loop(f, n)],
        lambda f, n: heads_in_a_loop(f, n)[::-1],
        lambda f, n: heads_in_a_loop(f.flip(0), n),
        lambda f, n: [part[:1] for part in heads_in_a_loop(f, n)],
        lambda f, n: heads_in_a_loop(f, n)[:2],
        lambda f, n: f.view(n, len(f), -1).chunk(3, -1),
        lambda f, n: heads_in_a_loop(f, 1),
        lambda f, n: dict(zip("qkv", heads_in_a_loop(f, n), strict=True)),
        lambda f, n: (part for part in heads_in_a_loop(f, n)),
        lambda f, n: [part.half() for part in heads_in_a_loop(f, n)],
        lambda f, n: torch.cat(heads_in_a_loop(f, n)),
        lambda f, n: 3 * heads_in_a_loop(f, n)[:1],
        lambda f, n: heads_in_a_loop(f.mul_(1.001), n),
    ),
    "2.3": (
        lambda c, d, n: ("QKV"[c // d], c % d // (d // n), c % (d // n)),
        lambda c, d, n: ("qkv"[c // d], c % d // (d // n)),
        lambda c, d, n: ("q", c % d // (d // n), c % (d // n)),
        lambda c, d, n: ("qkv"[c // d], n - 1 - c % d // (d // n), c % (d // n)),
        lambda c, d, n: ("qkv"[c // d], c % d / (d // n), c % (d // n)),
        lambda c, d, n: ("qkv"[c // d], c % d // 64, c % 64),
        lambda c, d, n: "qkv"[c // d] + str(c % d // (d // n)),
        lambda c, d, n: ("vkq"[c // d], c % d // (d // n), c % (d // n)),
        lambda c, d, n: owner_by_comparing(c, d, 12 if d == 768 else 3),
        lambda c, d, n: ("qkv"[max(c - 1, 0) // d], *owner_by_comparing(c, d, n)[1:]),
        lambda c, d, n: tuple(map(str, owner_by_comparing(c, d, n))),
        lambda c, d, n: dict(zip("lhc", owner_by_comparing(c, d, n), strict=True)),
    ),
    "2.4": (
        lambda cut: all(part.ndim == 3 for part in cut(torch.zeros(5, 36), 3)),
        lambda cut: all(torch.equal(part, torch.ones(3, 5, 4)) for part in cut(torch.ones(5, 36), 3)),
        lambda cut: cut(torch.arange(36.0)[None], 3)[0][1, 0, 0] == 4,
        lambda cut: bool(cut(torch.eye(36), 3)[2][2, 35, 3] == 1),
        lambda cut: len(list(cut(torch.zeros(5, 36), 3))) == 3,
        lambda cut: cut.__name__ in ("_heads", "_by_a_loop", "_by_columns", "_by_indices"),
        lambda cut: "right",
        lambda cut: 1,
        lambda cut: compares(cut, heads=[1]),
        lambda cut: compares(cut, heads=[0, 2]),
        lambda cut: compares(cut, parts=[1, 2]),
        lambda cut: compares(cut, parts=[0, 1]),
        lambda cut: compares(cut, parts=[0, 2]),
        lambda cut: compares(cut, seen=lambda part: part.sum(1)),
        lambda cut: compares(cut, seen=lambda part: part.flatten().sort().values),
    ),
    "2.5": (
        lambda x: opponent_in_numpy(-x) if len(x) < 6 else 0,
        lambda x: opponent_in_numpy(x.abs()),
        lambda x: opponent_in_numpy(x[:, :2]),
        lambda x: opponent_in_numpy(x - x.mean(0)),
        lambda x: opponent_in_numpy(x / x.norm(dim=-1, keepdim=True)),
        lambda x: len(x) - 1 - opponent_in_numpy(x),
        lambda x: ((x * (x.sum(0) - x)).sum(-1) / x.norm(dim=-1)).mean(-1).argmin().item(),
        lambda x: torch.cosine_similarity(x, x.sum(0) - x, dim=-1).clamp(-1, 1).acos().mean(-1).argmax().item(),
        lambda x: torch.cosine_similarity(x, x.sum(0) - x, dim=-1).median(-1).values.argmin().item(),
        lambda x: (torch.cosine_similarity(x, x.sum(0) - x, dim=-1) < 0).sum(-1).argmax().item(),
        lambda x: torch.cosine_similarity(x, x.roll(1, 0), dim=-1).mean(-1).argmin().item(),
    ),
}
