"""From a model and tokens to the queries, keys and values of every head, or straight to counts of their scores."""

from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from headlab._expect import expect, expect_full_precision, expect_tensor, expect_whole, shown
from headlab.contrast import decompose_scores
from headlab.histogram import ScoreHistogram
from headlab.masking import causal_mask
from headlab.scores import attention_pattern, raw_scores
from headlab.splitting import split_heads, split_qkv

# Hooks and settings sit on the model, which every thread of a process shares. An intervention's own function may
# capture, so one thread may enter twice.
one_at_a_time = RLock()


@dataclass(frozen=True)
class HeadCapture:
    """Queries, keys and values (captured layer, head, token, channel) of one text, with the scores they give.

    `layers` names the captured layers: `q[i]` belongs to layer `layers[i]`. `scores` and `pattern` take the
    model's own layer numbers.
    Introduced in lesson 1.
    """

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    layers: tuple[int, ...]
    divisors: tuple[float, ...]  # what each captured layer divides its raw scores by: sqrt(d_head) in GPT-2

    def scores(self, layer, head=None):
        """Raw scores (query, key) of one head, or (head, query, key) of all heads of a layer."""
        place = self._place(layer, head)
        return raw_scores(self.q[place], self.k[place])

    def pattern(self, layer, head=None):
        """Attention pattern (query, key) of one head, or (head, query, key) of all heads of a layer."""
        raw = self.scores(layer, head)
        return attention_pattern(raw, self.divisors[self.layers.index(layer)] ** 2)

    def _place(self, layer, head):
        layer = expect_whole(layer, "layer", "a whole number")
        expect(layer in self.layers, "layer", f"one of the captured layers {list(self.layers)}", layer)
        if head is None:
            return self.layers.index(layer)
        n_heads = self.q.shape[1]
        head = expect_whole(head, "head", "a whole number")
        expect(0 <= head < n_heads, "head", f"a head from 0 to {n_heads - 1}", head)
        return self.layers.index(layer), head


class _Enough(Exception):
    """Raised inside the last hook to end the forward pass; never leaves this module."""


def capture_heads(model, input_ids, layers=None):
    """Queries, keys and values of every head of the chosen layers, from one forward pass that then stops.

    model: a GPT2LMHeadModel; input_ids (T,) or (1, T), whole numbers; layers: the layers to capture (all by default).
    Returns a HeadCapture with q, k, v of shape (n_layers, head, token, channel). Works whatever the model's attention
    implementation, and honours `scale_attn_weights` and `scale_attn_by_inverse_layer_idx`; `reorder_and_upcast_attn`
    changes the order of the arithmetic, not the scores. A model in training mode drops channels at random here too, so
    call `model.eval()` first. Raises ValueError or TypeError on tokens or layers that do not exist.
    Introduced in lesson 1. Source: the report.

    >>> model, tokenizer = load_model("mini")
    >>> ids = tokenizer("The old man sat.", return_tensors="pt").input_ids
    >>> capture_heads(model, ids).q.shape  # (layer, head, token, channel)
    torch.Size([4, 12, 5, 64])
    """
    ids = checked_ids(model, input_ids)
    layers = _checked_layers(model, layers)
    config = model.config
    fused = {}
    _forward(model, ids, layers, fused.__setitem__)
    parts = [split_qkv(fused[layer]) for layer in layers]
    q, k, v = (torch.stack([split_heads(part[i], config.n_head) for part in parts]) for i in range(3))
    return HeadCapture(q, k, v, layers, tuple(score_divisor(config, layer) for layer in layers))


def count_scores(model, input_ids, layers=None):
    """Count the causal raw scores of every head of the chosen layers during the forward pass.

    model, input_ids and layers as in `capture_heads`. Returns a ScoreHistogram of this text. Holds only the scores of
    one layer at a time, so memory grows with the square of the number of tokens but not with the number of layers.
    Introduced in lesson 6. Source: the report.

    >>> model, tokenizer = load_model("mini")
    >>> ids = tokenizer("The old man sat.", return_tensors="pt").input_ids
    >>> int(count_scores(model, ids).counts.sum()), 4 * 12 * 15
    (720, 720)
    """
    ids = checked_ids(model, input_ids)
    layers = _checked_layers(model, layers)
    histogram = ScoreHistogram(layers, model.config.n_head)

    def count(layer, fused):
        q, k, _ = (split_heads(part, model.config.n_head) for part in split_qkv(fused))
        histogram.update(layer, _causal_scores(q, k))

    _forward(model, ids, layers, count)
    return histogram


def score_terms(model, input_ids, fold=None):
    """The four terms of the raw scores of every layer, from one forward pass: a list of ScoreTerms (head, query, key).

    model and input_ids as in `capture_heads`; fold: the convention of the split, as in `decompose_scores`.
    Introduced in lesson 5.

    >>> model, tokenizer = load_model("mini")
    >>> ids = tokenizer("The old man sat.", return_tensors="pt").input_ids
    >>> [terms.content.shape for terms in score_terms(model, ids)][:2]
    [torch.Size([12, 5, 5]), torch.Size([12, 5, 5])]
    """
    ids = checked_ids(model, input_ids)
    with one_at_a_time, torch.no_grad():
        states = model(ids, output_hidden_states=True).hidden_states
        terms = []
        for block, state in zip(model.transformer.h, states, strict=False):  # the last state is the output
            norm, attn = block.ln_1, block.attn.c_attn
            ln_bias = norm.bias if fold == "layer_norm" else None
            terms.append(decompose_scores(norm(state[0]), attn.weight, attn.bias, model.config.n_head, fold, ln_bias))
        return terms


def score_divisor(config, layer):
    """What a layer of a model with this GPT2Config divides its raw scores by: the root of d_head by default.

    Raises on a layer that the model does not have.
    Introduced in lesson 3. Source: transformers' GPT2Config.

    >>> from transformers import GPT2Config
    >>> score_divisor(GPT2Config(), layer=0)
    8.0
    """
    if not isinstance(config, GPT2Config):
        raise TypeError(f"config: expected a GPT2Config, as model.config is, got {type(config).__name__}")
    layer = expect_whole(layer, "layer", "a whole number")
    expect(0 <= layer < config.n_layer, "layer", f"a layer from 0 to {config.n_layer - 1}", layer)
    scale = (config.n_embd // config.n_head) ** 0.5 if config.scale_attn_weights else 1.0
    return scale * (layer + 1) if config.scale_attn_by_inverse_layer_idx else scale


def _causal_scores(q, k, n_rows=256):
    """Raw scores of all heads but the future's, (head, n): by blocks of query rows, which need no key after theirs."""
    parts = []
    for start in range(0, q.shape[-2], n_rows):
        rows = q[:, start : start + n_rows]
        stop = start + rows.shape[1]
        block = rows @ k[:, :stop].transpose(-1, -2)
        past, own = block[:, :, :start], block[:, :, start:]
        visible = causal_mask(stop - start).flatten().nonzero().squeeze(1)
        parts += [past.flatten(1), own.flatten(1).index_select(1, visible.to(own.device))]
    return torch.cat(parts, dim=1)


def _forward(model, ids, layers, take):
    """Run the model as far as the last of the layers; `take(layer, fused)` gets each one's (T, 3 * d_model)."""
    # With sdpa, no (T, T) patterns are stored, which no capture reads.
    with one_at_a_time, attention(model, "sdpa"), _hooks(model, layers, take), torch.no_grad():
        try:
            model(ids, use_cache=False)
        except _Enough:
            pass


@contextmanager
def attention(model, implementation):
    """The model with another of transformers' attention implementations; as it was, afterwards."""
    before = model.config._attn_implementation
    model.set_attn_implementation(implementation)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@contextmanager
def _hooks(model, layers, take):
    """Hooks on c_attn that hand its output on, layer by layer; removed whatever happens."""

    def hook_of(layer):
        def hook(module, arguments, output):
            take(layer, output[0].detach())
            if layer == layers[-1]:
                raise _Enough

        return hook

    handles = [model.transformer.h[layer].attn.c_attn.register_forward_hook(hook_of(layer)) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def expect_model(model):
    """Raise unless the model is a GPT-2."""
    if not isinstance(model, GPT2LMHeadModel):
        raise TypeError(f"model: expected a GPT2LMHeadModel, as load_model gives, got {type(model).__name__}")


def checked_ids(model, input_ids, argument="input_ids"):
    """The token ids as (1, T) on the model's device, or one line on what is wrong with them or the model."""
    expect_model(model)
    expect_full_precision(model.device.type)
    expect_tensor(input_ids, argument, "of token ids (T,) or (1, T)")
    shape = tuple(input_ids.shape)
    expect(len(shape) == 1 or (len(shape) == 2 and shape[0] == 1), argument, "one text (T,) or (1, T)", shape)
    # An empty text comes from the tokenizer as floating-point numbers, so its length is looked at first.
    expect(shape[-1] >= 1, argument, "at least one token", "none (is the text empty?)")
    if input_ids.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"{argument}: expected whole numbers (torch.int64), got {input_ids.dtype}")
    limit, vocabulary = model.config.n_positions, model.config.vocab_size
    expect(shape[-1] <= limit, argument, f"at most {limit} tokens for this model (shorten the text)", shape[-1])
    low, high = input_ids.min().item(), input_ids.max().item()
    expect(
        low >= 0 and high < vocabulary,
        argument,
        f"ids from 0 to {vocabulary - 1} (does the tokenizer belong to this model?)",
        f"{low} to {high}",
    )
    return input_ids.reshape(1, -1).to(model.device)


def _checked_layers(model, layers):
    """The layers to capture in rising order, or one line on what is wrong with them."""
    n_layers = model.config.n_layer
    if layers is None:
        return tuple(range(n_layers))
    expected = f"layers from 0 to {n_layers - 1}, each once"
    try:
        numbers = [expect_whole(layer, "layers", expected) for layer in layers]
    except TypeError:
        raise TypeError(f"layers: expected {expected}, got {shown(repr(layers))}") from None
    expect(
        numbers and len(set(numbers)) == len(numbers) and all(0 <= n < n_layers for n in numbers),
        "layers",
        expected,
        numbers,
    )
    return tuple(sorted(numbers))
