"""Lesson 2: the hook, the thirds, the heads and the way back."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from headlab.exercises.engine import Exercise
from headlab.splitting import merge_heads, split_heads, split_qkv


def _numbers(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def _tiny_gpt2():
    """A GPT-2 of two layers with 3 heads of 4 channels, untrained; the caller's random state stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        sizes = {"vocab_size": 50, "n_positions": 20, "n_layer": 2, "n_embd": 12, "n_head": 3}
        return GPT2LMHeadModel(GPT2Config(**sizes, initializer_range=1.0, bos_token_id=0, eos_token_id=0)).eval()


def _seen_at(module, model, input_ids, look):
    """What `look(arguments, output)` sees in a hook on a module while the model runs."""
    seen = []
    handle = module.register_forward_hook(lambda module, arguments, output: seen.append(look(arguments, output)))
    with torch.no_grad():
        model(input_ids)
    handle.remove()
    return seen[0]


def _fused(model, layer, input_ids):
    return _seen_at(model.transformer.h[layer].attn.c_attn, model, input_ids, lambda _, output: output[0])


def _batch_left(model, layer, input_ids):
    """the batch axis of length 1 is still in front: keep output[0]"""
    return _fused(model, layer, input_ids)[None]


def _argument(model, layer, input_ids):
    """this is what goes into c_attn, (tokens, d_model): keep the hook's third argument, the output"""
    return _seen_at(model.transformer.h[layer].attn.c_attn, model, input_ids, lambda arguments, _: arguments[0][0])


def _whole_attention(model, layer, input_ids):
    """this is the output of the whole attention block: put the hook on its c_attn"""
    return _seen_at(model.transformer.h[layer].attn, model, input_ids, lambda _, output: output[0][0])


def _attention_with_batch(model, layer, input_ids):
    """the hook is on the whole attention block, which returns (output, weights): put it on its c_attn"""
    return _seen_at(model.transformer.h[layer].attn, model, input_ids, lambda _, output: output[0])


def _first_layer(model, layer, input_ids):
    """this is layer 0 whichever layer is asked for: the hook belongs on model.transformer.h[layer]"""
    return _fused(model, 0, input_ids)


def _weight(model, layer, input_ids):
    """this is the weight, which knows nothing of the text: keep what comes out of c_attn while the model runs"""
    return model.transformer.h[layer].attn.c_attn.weight.detach()


def _heads(fused, n_heads):
    return tuple(split_heads(part, n_heads) for part in split_qkv(fused))


def _no_transpose(fused, n_heads):
    """viewed as (n_heads, T, d_head) at once, which cuts up tokens: view as (T, n_heads, d_head), then swap two axes"""
    return tuple(part.reshape(n_heads, len(fused), -1) for part in split_qkv(fused))


def _heads_before_thirds(fused, n_heads):
    """cut into heads before thirds: the columns hold all of Q, then all of K, then all of V"""
    return tuple(fused.unflatten(-1, (n_heads, 3, -1)).permute(2, 1, 0, 3))


def _every_third(fused, n_heads):
    """every third column is taken: Q is the first third, one block of d_model columns"""
    return tuple(split_heads(fused[..., start::3], n_heads) for start in range(3))


def _tokens_before_heads(fused, n_heads):
    """the axes are (T, n_heads, d_head): heads go before tokens, so swap the first two"""
    return tuple(heads.transpose(0, 1) for heads in _heads(fused, n_heads))


def _every_nth_channel(fused, n_heads):
    """head 0 got every n_heads-th channel: each head owns d_head channels side by side"""
    return tuple(part.unflatten(-1, (-1, n_heads)).permute(2, 0, 1) for part in split_qkv(fused))


def _keys_first(fused, n_heads):
    """queries and keys are swapped: the order is Q, K, V"""
    q, k, v = _heads(fused, n_heads)
    return k, q, v


def _query_of_head(x, weight, bias, n_heads, head):
    return _heads(x @ weight + bias, n_heads)[0][head]


def _no_bias(x, weight, bias, n_heads, head):
    """the bias is forgotten: the same columns of it belong to this head"""
    return _query_of_head(x, weight, 0 * bias, n_heads, head)


def _transposed(x, weight, bias, n_heads, head):
    """the weight is transposed: a Conv1D's is (in, out), so choose columns and multiply without .T"""
    d_model = len(weight)
    return _query_of_head(x, torch.cat([part.T for part in weight.split(d_model, dim=1)], 1), bias, n_heads, head)


def _key_of_head(x, weight, bias, n_heads, head):
    """these are the head's keys, the second third: its queries are in the first"""
    return _heads(x @ weight + bias, n_heads)[1][head]


def _whole_heads_in_a_row(x, weight, bias, n_heads, head):
    """cut as if each head's q, k and v stood side by side: all of Q comes first, head after head"""
    return _heads_before_thirds(x @ weight + bias, n_heads)[0][head]


def _next_head(x, weight, bias, n_heads, head):
    """these are another head's queries: heads count from 0"""
    return _query_of_head(x, weight, bias, n_heads, head - 1)


def _only_reshaped(heads):
    """reshaped without swapping first: that mixes tokens. Bring the token axis to the front, then flatten"""
    return heads.reshape(heads.shape[1], -1)


def _interleaved(heads):
    """the channels of the heads alternate: keep each head's channels side by side"""
    return heads.permute(1, 2, 0).flatten(1)


def _stacked(heads):
    """the heads stand below each other, as more tokens: put them side by side along the last axis"""
    return heads.flatten(0, 1)


def _added(heads):
    """the heads are added up: put them side by side along the last axis"""
    return heads.sum(0)


def _contribution(outputs, weight, head):
    d_head = outputs.shape[-1]
    return outputs[head] @ weight[head * d_head : (head + 1) * d_head]


def _columns(outputs, weight, head):
    """these are columns of W_o: the head's channels come in, and the weight is (in, out), so take its rows"""
    return _contribution(outputs, weight.T, head)


def _all_heads(outputs, weight, head):
    """this is the sum over all heads: take this head's outputs and this head's rows alone"""
    return merge_heads(outputs) @ weight


def _every_nth_row(outputs, weight, head):
    """every n_heads-th row is taken: the head's rows stand side by side, from head * d_head on"""
    return outputs[head] @ weight[head :: len(outputs)]


def _first_rows(outputs, weight, head):
    """these are head 0's rows whichever head is asked for: begin at row head * d_head"""
    return outputs[head] @ weight[: outputs.shape[-1]]


_TINY = _tiny_gpt2()

EXERCISES = {
    "2.1": Exercise(
        answer=_fused,
        cases=((_TINY, 1, torch.tensor([[3, 1, 4, 1, 5]])), (_TINY, 0, torch.tensor([[9, 2, 6, 5, 3, 5, 8]]))),
        mistakes=(_batch_left, _argument, _whole_attention, _attention_with_batch, _first_layer, _weight),
    ),
    "2.2": Exercise(
        answer=_heads,
        cases=((_numbers(5, 36), 3), (_numbers(1, 12), 2), (_numbers(4, 30), 5)),
        mistakes=(
            _no_transpose,
            _heads_before_thirds,
            _every_third,
            _tokens_before_heads,
            _every_nth_channel,
            _keys_first,
        ),
    ),
    "2.3": Exercise(
        answer=_query_of_head,
        cases=(
            (_numbers(5, 12), _numbers(12, 36), _numbers(36), 3, 1),
            (_numbers(4, 10), _numbers(10, 30), _numbers(30), 5, 4),
        ),
        mistakes=(_no_bias, _transposed, _key_of_head, _whole_heads_in_a_row, _next_head),
    ),
    "2.4": Exercise(
        answer=merge_heads,
        cases=((_numbers(3, 5, 4),), (_numbers(2, 1, 3),), (_numbers(4, 6, 2),)),
        mistakes=(_only_reshaped, _interleaved, _stacked, _added),
    ),
    "2.5": Exercise(
        answer=_contribution,
        cases=((_numbers(3, 5, 4), _numbers(12, 12), 1), (_numbers(5, 4, 2), _numbers(10, 10), 4)),
        mistakes=(_columns, _all_heads, _every_nth_row, _first_rows),
    ),
}
