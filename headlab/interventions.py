"""Lesson 8: change scores, biases or heads of a model while it reads a text, and see how much worse it predicts."""

from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from headlab._expect import expect, expect_tensor, expect_whole, shown
from headlab.capture import attention, checked_ids, expect_model, one_at_a_time
from headlab.masking import mask_scores, softmax
from headlab.scores import head_outputs, project_heads, raw_scores

WORDS_AT_ONCE = 2048  # of the vocabulary: all logits of a batch would not stay in the processor's cache
TOKENS_AT_ONCE = 512  # of all texts of a batch, or of all heads removed one by one: more are no faster


class LogitTerms(NamedTuple):
    """What each part of a model adds to one logit; the sum of all parts is the logit.

    Introduced in lesson 8.
    """

    token_embedding: torch.Tensor  # ()
    position_embedding: torch.Tensor  # ()
    heads: torch.Tensor  # (n_layers, head)
    attention_biases: torch.Tensor  # (n_layers,), of W_o: they belong to no head
    mlps: torch.Tensor  # (n_layers,)
    final_bias: torch.Tensor  # (), of the final layer norm

    def total(self):
        """The logit: the sum of all parts."""
        return sum(part.sum() for part in self)


def loss(model, input_ids):
    """Cross-entropy in nats of each token except the first, given those before it.

    model: a GPT2LMHeadModel in evaluation mode; input_ids (T,) or (1, T), whole numbers, at least two; returns (T -
    1,), entry t for token t + 1. A list of texts, of any lengths, gives a list of losses. Raises ValueError or
    TypeError on tokens that do not exist.
    Introduced in lesson 8. Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".

    >>> model, tokenizer = load_model("mini")
    >>> ids = tokenizer("The old man sat.", return_tensors="pt").input_ids
    >>> loss(model, ids).shape  # of each token but the first
    torch.Size([4])
    """
    return _losses(model, input_ids)


def loss_with_scores(model, input_ids, change):
    """The loss when `change(layer, raw)` replaces each layer's raw scores before they are scaled.

    model, input_ids and what is returned: as in `loss`. change gets a layer's number and its raw scores (head, query,
    key) of one text, including the future's, and returns scores of that shape; a score of -inf takes a key away. It may
    capture from the model, which runs unchanged meanwhile. Where it changes nothing, the loss equals that of eager
    attention to within 1e-5 nats and a millionth of its size, the rounding error of float32. Raises where it returns
    another shape or dtype, NaN, +inf, or a query without any key.
    Introduced in lesson 8. Source: the report, for the question.

    >>> model, tokenizer = load_model("mini")
    >>> ids = tokenizer("The old man sat.", return_tensors="pt").input_ids
    >>> change = loss_with_scores(model, ids, lambda layer, raw: raw + 50) - loss(model, ids)
    >>> round(change.abs().max().item(), 3)
    0.0
    """
    _expect_function(change)
    return _losses(model, input_ids, _attend_with_scores(change))


def loss_with_biases(model, input_ids, change):
    """The loss when `change(layer, bias)` replaces the biases of each layer's queries, keys and values.

    model, input_ids and what is returned: as in `loss`. change gets a layer's number and a copy of its biases (3, head,
    channel), in the order query, key, value, and returns biases of the same shape. Raises where it returns another
    shape or dtype, or a number that is not finite.
    Introduced in lesson 8. Source: Ran-Milo, Ofek and Mendel 2026, "A Mechanistic Account of Attention Sinks in GPT-2".

    >>> model, tokenizer = load_model("mini")
    >>> ids = tokenizer("The old man sat.", return_tensors="pt").input_ids
    >>> loss_with_biases(model, ids, lambda layer, bias: 0 * bias).shape
    torch.Size([4])
    """
    _expect_function(change)

    def attend(module, query, key, value, scaling, lengths):
        n_heads, d_head = query.shape[1], query.shape[3]
        bias = module.c_attn.bias.view(3, n_heads, 1, d_head)
        new = _changed(change, module.layer_idx, bias.squeeze(2).clone()).unsqueeze(2)
        # The projections hold the old biases already.
        query, key, value = (old + new[i] - bias[i] for i, old in enumerate((query, key, value)))
        return _own_outputs(query, key, value, scaling)

    return _losses(model, input_ids, attend)


def loss_without_heads(model, input_ids, heads, replace="mean", other=None, change=None):
    """The loss when the outputs of some heads are replaced, all at once.

    model, input_ids and what is returned: as in `loss`. heads: a list of (layer, head), in any order. replace: "zero";
    "mean", the head's mean output over the text's own tokens; or "resample", its output at the same positions of
    another text, `other` (T,) or (1, T), which is at least as long. change: replaces the raw scores at the same time,
    as in `loss_with_scores`; `other` is read without it. Raises on heads that do not exist.
    Introduced in lesson 8. Source: Wang et al. 2022, "Interpretability in the Wild" (mean); Chan et al. 2022, "Causal
    Scrubbing" (resample).

    >>> model, tokenizer = load_model("mini")
    >>> ids = tokenizer("The old man sat.", return_tensors="pt").input_ids
    >>> cost = loss_without_heads(model, ids, [(0, 5)]) - loss(model, ids)
    >>> cost.shape
    torch.Size([4])
    """
    replacement = _replacement(model, input_ids, replace, other)
    removed, with_scores = expect_heads(model, heads), None
    if change is not None:
        _expect_function(change)
        with_scores = _attend_with_scores(change)

    def attend(module, query, key, value, scaling, lengths):
        if with_scores:
            outputs = with_scores(module, query, key, value, scaling, lengths)  # (text, H, T, D)
        else:
            outputs = _own_outputs(query, key, value, scaling)
        here = removed[module.layer_idx]
        for text, n in enumerate(lengths):
            outputs[text, here, :n] = replacement(module.layer_idx, outputs[text, :, :n])[here]
        return outputs

    return _losses(model, input_ids, attend)


def loss_without_each_head(model, input_ids, replace="mean", other=None):
    """The loss without each head of the model in turn, (n_layers, head, T - 1).

    Equal to `loss_without_heads(model, input_ids, [(layer, head)], replace, other)` for each of them, but several times
    faster: the layers below a head are run once, and the heads of a layer together. One text, or a list of them.
    Introduced in lesson 8.

    >>> model, tokenizer = load_model("mini")
    >>> ids = tokenizer("The old man sat.", return_tensors="pt").input_ids
    >>> loss_without_each_head(model, ids).shape  # (layer, head, token but the first)
    torch.Size([4, 12, 4])
    """
    replacement = _replacement(model, input_ids, replace, other)
    texts = _checked_texts(model, input_ids)
    with one_at_a_time, torch.no_grad():
        losses = [_losses_without_each_head(model, ids, replacement) for ids in texts]
    return losses if isinstance(input_ids, list | tuple) else losses[0]


def logit_attribution(model, input_ids, query, token):
    """Each head's direct part of a logit, (n_layers, head): what it writes, read through the final layer norm.

    query: the position that predicts; token: the id whose logit it is. The scale of the final layer norm is held at its
    value in this text, and what later layers make of the head's output is not counted. See `logit_terms` for the other
    parts of the logit. Raises on a position or a token that does not exist.
    Introduced in lesson 8. Source: nostalgebraist 2020, "interpreting GPT: the logit lens"; Elhage et al. 2021.

    >>> model, tokenizer = load_model("mini")
    >>> ids = tokenizer("The old man sat.", return_tensors="pt").input_ids
    >>> logit_attribution(model, ids, query=3, token=ids[0, 4]).shape  # (layer, head)
    torch.Size([4, 12])
    """
    return logit_terms(model, input_ids, query, token).heads


def logit_terms(model, input_ids, query, token):
    """Every part of one logit, as LogitTerms: embeddings, heads, biases and MLPs, whose sum is the logit.

    Arguments as in `logit_attribution`.
    Introduced in lesson 8. Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits".

    >>> model, tokenizer = load_model("mini")
    >>> ids = tokenizer("The old man sat.", return_tensors="pt").input_ids
    >>> logit_terms(model, ids, query=3, token=ids[0, 4])._fields
    ('token_embedding', 'position_embedding', 'heads', 'attention_biases', 'mlps', 'final_bias')
    """
    ids = checked_ids(model, input_ids)
    _expect_evaluation(model)
    query = _expect_place(query, "query", ids.shape[1], "a token's position")
    token = _expect_place(token, "token", model.config.vocab_size, "a token's id")
    body = model.transformer
    parts = [body.wte, body.wpe, body.ln_f, *(p for block in body.h for p in (block.attn.c_proj, block.mlp))]
    with one_at_a_time, torch.no_grad(), _watched(parts) as seen:
        body(ids, use_cache=False)
        final, _ = seen[body.ln_f]  # (1, T, d_model)
        direction = _reading_direction(body.ln_f, final[0, query], model.lm_head.weight[token])
        return LogitTerms(
            seen[body.wte][1][0, query] @ direction,
            seen[body.wpe][1][0, query] @ direction,
            torch.stack([_head_parts(block.attn, seen, query) @ direction for block in body.h]),
            torch.stack([block.attn.c_proj.bias @ direction for block in body.h]),
            torch.stack([seen[block.mlp][1][0, query] @ direction for block in body.h]),
            body.ln_f.bias @ model.lm_head.weight[token],
        )


def _losses(model, input_ids, attend=None):
    """The loss of one text, or of each text of a list; with `attend` in place of the model's attention, if given."""
    texts, losses = _checked_texts(model, input_ids), []
    with one_at_a_time, torch.no_grad():
        for batch in _batches(texts):
            lengths = [len(ids) for ids in batch]
            # What stands behind a text's end is the future of all its tokens, so any id will do.
            padded = nn.utils.rnn.pad_sequence(batch, batch_first=True)  # (text, T)
            with _attention(model, attend, lengths) if attend else ExitStack():
                states = model.transformer(padded, use_cache=False).last_hidden_state  # (text, T, d_model)
            losses += [_cross_entropy(model, states[i, :n][None], padded[i, :n])[0] for i, n in enumerate(lengths)]
    return losses if isinstance(input_ids, list | tuple) else losses[0]


def _losses_without_each_head(model, ids, replacement):
    """(n_layers, head, T - 1) of one text (T,): each layer's heads removed side by side, from that layer upwards."""
    body, n_heads = model.transformer, model.config.n_head
    state = body.wte(ids) + body.wpe(torch.arange(len(ids), device=ids.device))  # (T, d_model)
    state, losses = state[None], []
    chosen = torch.eye(n_heads, dtype=torch.bool, device=ids.device)[:, :, None, None]  # (without head, head, 1, 1)
    for layer, block in enumerate(body.h):

        def attend(module, query, key, value, scaling, lengths, layer=layer):
            outputs = _own_outputs(query, key, value, scaling)  # (variant, H, T, D)
            if module.layer_idx != layer:
                return outputs
            without = torch.where(chosen, replacement(layer, outputs[0]), outputs)  # (H, H, T, D)
            return torch.cat([without, outputs])

        with _attention(model, attend, [len(ids)]):
            states = block(state)  # (H + 1, T, d_model): without each head, and as it was
            state, states = states[-1:], states[:-1]
            for part in states.split(max(1, TOKENS_AT_ONCE // len(ids))):
                for above in body.h[layer + 1 :]:
                    part = above(part)
                losses.append(_cross_entropy(model, body.ln_f(part), ids))
    return torch.cat(losses).unflatten(0, (-1, n_heads))


def _attend_with_scores(change):
    """An `attend` for `_attention` in which `change(layer, raw)` replaces the raw scores before scaling."""

    def attend(module, query, key, value, scaling, lengths):
        outputs = torch.zeros_like(value)  # (text, H, T, D)
        for text, n in enumerate(lengths):
            raw = raw_scores(query[text, :, :n], key[text, :, :n])  # (H, n, n)
            scores = mask_scores(_changed(change, module.layer_idx, raw, allow_minus_infinity=True))
            _expect_some_key(scores, module.layer_idx)
            outputs[text, :, :n] = head_outputs(softmax(scores * scaling), value[text, :, :n])
        return outputs

    return attend


def _own_outputs(query, key, value, scaling):
    """What the heads write when nothing is changed, (text, head, T, d_head)."""
    return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling)


def _cross_entropy(model, states, ids):
    """Nats (text, T - 1) of the tokens ids (T,) after the final states (text, T, d_model) of texts that read alike."""
    before = states[:, :-1].flatten(0, 1)
    targets = ids[1:].long().repeat(len(states))
    sums, right = [], before.new_zeros(len(before), dtype=torch.float32)
    for part, words in enumerate(model.lm_head.weight.split(WORDS_AT_ONCE)):
        logits = F.linear(before, words).float()
        sums.append(logits.logsumexp(-1))
        place = targets - part * WORDS_AT_ONCE
        here = (place >= 0) & (place < len(words))
        right[here] = logits[here, place[here]]
    return (torch.stack(sums).logsumexp(0) - right).unflatten(0, (len(states), -1))


def _batches(texts):
    """Neighbouring texts together, as long as they fit, padded, into TOKENS_AT_ONCE."""
    batch = []
    for ids in texts:
        longest = max(len(one) for one in [*batch, ids])
        if batch and (len(batch) + 1) * longest > TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(ids)
    yield batch


@contextmanager
def _attention(model, attend, lengths):
    """The model with `attend(module, query, key, value, scaling, lengths) -> outputs (text, H, T, D)` as attention.

    It is registered with transformers under a name of its own and removed whatever happens; while it runs, the
    model has its own attention back.
    """
    own, name = model.config._attn_implementation, f"headlab-{id(attend)}"

    def interface(module, query, key, value, mask, scaling, **_):
        with attention(model, own):
            return attend(module, query, key, value, scaling, lengths).transpose(1, 2), None

    ALL_ATTENTION_FUNCTIONS[name] = interface
    try:
        with attention(model, name):
            yield
    finally:
        del ALL_ATTENTION_FUNCTIONS[name]


@contextmanager
def _watched(modules):
    """A dict that gets each module's first input and its output as the model runs; the hooks go whatever happens."""
    seen = {}

    def hook(module, inputs, output):
        seen[module] = inputs[0], output

    with ExitStack() as hooks:
        for module in modules:
            hooks.callback(module.register_forward_hook(hook).remove)
        yield seen


def _reading_direction(layer_norm, final, unembedding):
    """The vector (d_model,) whose product with a part of the final state is that part's share of a logit.

    A layer norm with its scale held is linear: centre, divide by the scale, multiply by the weight.
    """
    scale = (final.var(correction=0) + layer_norm.eps).sqrt()
    weighted = layer_norm.weight * unembedding / scale
    return weighted - weighted.mean()  # the same as to centre the part


def _head_parts(attn, seen, query):
    """What each head of a layer adds to the residual stream at one position, (head, d_model)."""
    merged, _ = seen[attn.c_proj]  # (1, T, d_model)
    outputs = merged[0, query].view(attn.num_heads, 1, attn.head_dim)
    return project_heads(outputs, attn.c_proj.weight, attn.c_proj.bias).squeeze(1)


def _replacement(model, input_ids, replace, other):
    """A function (layer, outputs (H, n, D)) -> what stands in for these outputs, of their shape."""
    expect(replace in ("zero", "mean", "resample"), "replace", "'zero', 'mean' or 'resample'", repr(replace))
    if replace != "resample":
        expect(other is None, "other", "none, unless replace is 'resample'", "a text")
        zero = replace == "zero"
        return lambda layer, outputs: (0 * outputs if zero else outputs.mean(-2, keepdim=True)).expand_as(outputs)
    ids = checked_ids(model, other, "other")
    longest = max(len(one) for one in _checked_texts(model, input_ids))
    expect(ids.shape[1] >= longest, "other", f"at least as many tokens as the text, {longest}", ids.shape[1])
    kept = {}

    def keep(module, query, key, value, scaling, lengths):
        kept[module.layer_idx] = _own_outputs(query, key, value, scaling)
        return kept[module.layer_idx]

    with one_at_a_time, torch.no_grad(), _attention(model, keep, [ids.shape[1]]):
        model.transformer(ids, use_cache=False)
    return lambda layer, outputs: kept[layer][0, :, : outputs.shape[1]]


def _changed(change, layer, before, allow_minus_infinity=False):
    """What `change` makes of the scores or biases of a layer, or one line on what is wrong with it."""
    kind, shape, device = before.dtype, tuple(before.shape), before.device
    after = change(layer, before)
    where = f"in layer {layer}"
    if not isinstance(after, torch.Tensor):
        hint = " (is a `return` missing?)" if after is None else ""
        raise TypeError(f"change: expected a tensor {shape} in return, got {shown(repr(after))} {where}{hint}")
    expect(after.device == device, "change", f"a tensor on {device} in return", f"one on {after.device} {where}")
    expect_tensor(after, "change", f"{shape} in return {where}")  # a nested one has no shape to ask for
    expect(after.shape == shape, "change", f"the shape {shape} in return", f"{tuple(after.shape)} {where}")
    if after.dtype != kind:
        raise TypeError(f"change: expected {kind} in return, got {after.dtype} {where}")
    allowed = after.isfinite() | after.isneginf() if allow_minus_infinity else after.isfinite()
    if not allowed.all():
        expected = "finite numbers or -inf" if allow_minus_infinity else "finite numbers"
        place = tuple((~allowed).nonzero()[0].tolist())
        raise ValueError(f"change: expected {expected} in return, got {after[place].item()} at index {place} {where}")
    return after


def _expect_some_key(scores, layer):
    """Raise where masked scores (H, T, T) leave a query nothing to look at."""
    empty = scores.amax(-1).isneginf().nonzero()
    if len(empty):
        head, query = empty[0].tolist()
        expected = "a key that is not -inf for each query"
        raise ValueError(f"change: expected {expected}, got none for query {query} of head {head} in layer {layer}")


def _expect_function(change):
    if not callable(change):
        raise TypeError(f"change: expected a function of (layer, tensor), got {shown(repr(change))}")


def _expect_evaluation(model):
    """Raise where a model would drop channels by chance, so that no two of its losses could be compared."""
    drops = any(part.training and part.p > 0 for part in model.modules() if isinstance(part, nn.Dropout))
    expect(not drops, "model", "a model in evaluation mode (call model.eval())", "one in training mode")


def _expect_place(value, argument, n, what):
    expected = f"{what} from 0 to {n - 1}"
    value = expect_whole(value, argument, expected)
    expect(0 <= value < n, argument, expected, value)
    return value


def _checked_texts(model, input_ids):
    """One text, or each text of a list, as a list of ids (T,) with T >= 2."""
    texts = list(input_ids) if isinstance(input_ids, list | tuple) else [input_ids]
    expect(texts, "input_ids", "a text or a list of texts", "an empty list")
    if texts[0] is input_ids:
        expect_tensor(input_ids, "input_ids", "of token ids (T,) or (1, T), or a list of such texts")
        shape = tuple(input_ids.shape)
        expect(len(shape) < 2 or shape[0] == 1, "input_ids", "one text (T,) or (1, T), or a list of such texts", shape)
    texts = [checked_ids(model, ids)[0] for ids in texts]
    shortest = min(map(len, texts))
    expect(shortest >= 2, "input_ids", "at least two tokens (nothing predicts the first)", shortest)
    _expect_evaluation(model)
    return texts


def expect_heads(model, heads):
    """The heads to remove, as one list for each layer."""
    expect_model(model)
    n_layers, n_heads = model.config.n_layer, model.config.n_head
    expected = f"a list of (layer, head), layers from 0 to {n_layers - 1}, heads from 0 to {n_heads - 1}"
    try:
        pairs = [tuple(expect_whole(number, "heads", expected) for number in pair) for pair in heads]
    except TypeError:
        raise TypeError(f"heads: expected {expected}, got {shown(repr(heads))}") from None
    for pair in pairs:
        fits = len(pair) == 2 and 0 <= pair[0] < n_layers and 0 <= pair[1] < n_heads
        expect(fits, "heads", expected, pair)
    return [sorted({head for at, head in pairs if at == layer}) for layer in range(n_layers)]
