"""Lesson 2: the hook, the thirds, the heads and the way back."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from headlab.exercises.engine import Exercise, under_one_name
from headlab.splitting import split_heads, split_qkv


def _numbers(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def _tiny_gpt2():
    """A GPT-2 of two layers with 3 heads of 4 channels, untrained; the caller's random state stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        sizes = {"vocab_size": 50, "n_positions": 20, "n_layer": 2, "n_embd": 12, "n_head": 3}
        model = GPT2LMHeadModel(GPT2Config(**sizes, initializer_range=1.0, bos_token_id=0, eos_token_id=0)).eval()
        for vector in (weight for weight in model.parameters() if weight.ndim == 1):
            vector.data += torch.randn(
                vector.shape
            )  # new biases are 0 and layer norms alike: mistakes would pass unseen
        return model


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
    """this is what goes into c_attn: put the hook on c_attn itself and keep its third argument, the output"""
    return _seen_at(model.transformer.h[layer].attn.c_attn, model, input_ids, lambda arguments, _: arguments[0][0])


def _whole_attention(model, layer, input_ids):
    """this is the output of the whole attention block: put the hook on its c_attn"""
    return _seen_at(model.transformer.h[layer].attn, model, input_ids, lambda _, output: output[0][0])


def _attention_with_batch(model, layer, input_ids):
    """the hook is on the whole attention block, which returns (output, weights): put it on its c_attn"""
    return _seen_at(model.transformer.h[layer].attn, model, input_ids, lambda _, output: output[0])


def _first_layer(model, layer, input_ids):
    """the result is always that of layer 0: put the hook on model.transformer.h[layer].attn.c_attn"""
    return _fused(model, 0, input_ids)


def _weight(model, layer, input_ids):
    """this is the weight, which is the same for every text: keep what comes out of c_attn while the model runs"""
    return model.transformer.h[layer].attn.c_attn.weight.detach()


def _what_c_proj_receives(model, layer, input_ids):
    """these are the merged outputs of the heads, which go into c_proj: the hook belongs on c_attn"""
    return _seen_at(model.transformer.h[layer].attn.c_proj, model, input_ids, lambda arguments, _: arguments[0][0])


def _last_layer(model, layer, input_ids):
    """the result is always that of the last layer: put the hook on model.transformer.h[layer].attn.c_attn"""
    return _fused(model, len(model.transformer.h) - 1, input_ids)


def _hidden_layer_of_the_mlp(model, layer, input_ids):
    """the hook is in the MLP: c_attn is in the attention block, model.transformer.h[layer].attn"""
    return _seen_at(model.transformer.h[layer].mlp.c_fc, model, input_ids, lambda _, output: output[0])


def _without_its_bias(model, layer, input_ids):
    """the bias is missing: c_attn adds it, so keep what comes out of the module"""
    return _fused(model, layer, input_ids) - model.transformer.h[layer].attn.c_attn.bias.detach()


def _first_third(model, layer, input_ids):
    """this is the first third, the queries: return the whole output, 3 * d_model wide"""
    return _fused(model, layer, input_ids).chunk(3, -1)[0]


def _last_token(model, layer, input_ids):
    """this is the last token's row alone: output[0] takes the text out of the batch and keeps the rows of all tokens"""
    return _fused(model, layer, input_ids)[-1]


def _heads(fused, n_heads):
    return tuple(split_heads(part, n_heads) for part in split_qkv(fused))


def _no_transpose(fused, n_heads):
    """a view as (n_heads, tokens, d_head) mixes tokens: view as (tokens, n_heads, d_head), then swap two axes"""
    return tuple(part.reshape(n_heads, len(fused), -1) for part in split_qkv(fused))


def _heads_before_thirds(fused, n_heads):
    """you cut into heads first, but the columns hold all of Q, then all of K, then all of V: cut into thirds first"""
    return tuple(fused.unflatten(-1, (n_heads, 3, -1)).permute(2, 1, 0, 3))


def _every_third(fused, n_heads):
    """you take every third column: Q is the first third, one block of d_model columns"""
    return tuple(split_heads(fused[..., start::3], n_heads) for start in range(3))


def _tokens_before_heads(fused, n_heads):
    """the axes are (tokens, n_heads, d_head): heads come before tokens, so swap the first two"""
    return tuple(heads.transpose(0, 1) for heads in _heads(fused, n_heads))


def _every_nth_channel(fused, n_heads):
    """head 0 gets every n_heads-th channel: the d_head channels of a head lie side by side"""
    return tuple(part.unflatten(-1, (-1, n_heads)).permute(2, 0, 1) for part in split_qkv(fused))


def _keys_first(fused, n_heads):
    """queries and keys are swapped: the order is Q, K, V"""
    q, k, v = _heads(fused, n_heads)
    return k, q, v


def _values_before_keys(fused, n_heads):
    """keys and values are swapped: the order is Q, K, V"""
    q, k, v = _heads(fused, n_heads)
    return q, v, k


def _thirds_only(fused, n_heads):
    """these are the thirds, (tokens, d_model): each still has to be cut into heads"""
    return tuple(split_qkv(fused))


def _channels_before_tokens(fused, n_heads):
    """the axes are (n_heads, d_head, tokens): tokens come before channels, so swap the last two"""
    return tuple(heads.mT for heads in _heads(fused, n_heads))


def _bands_not_cut(fused, n_heads):
    """each head's q, k and v are still one tensor of 3 * d_head channels: return q, k and v separately"""
    return torch.cat(_heads(fused, n_heads), -1)


def _queries_only(fused, n_heads):
    """this is one tensor, the queries: return keys and values too"""
    return _heads(fused, n_heads)[0]


def _owner(column, d_model, n_heads):
    third, place = divmod(column, d_model)
    return "qkv"[third], *divmod(place, d_model // n_heads)


def _heads_before_the_thirds(column, d_model, n_heads):
    """a head's q, k and v do not stand side by side: all queries come first, then all keys, then all values"""
    d_head = d_model // n_heads
    head, place = divmod(column, 3 * d_head)
    return "qkv"[place // d_head], head, place % d_head


def _channel_of_the_third(column, d_model, n_heads):
    """the channel is counted from the beginning of the third: count it from the beginning of its head"""
    letter, head, _ = _owner(column, d_model, n_heads)
    return letter, head, column % d_model


def _head_of_the_whole(column, d_model, n_heads):
    """the heads are counted across all three thirds: each third starts again with head 0"""
    letter, _, channel = _owner(column, d_model, n_heads)
    return letter, column // (d_model // n_heads), channel


def _every_third_column(column, d_model, n_heads):
    """q, k and v do not alternate from column to column: the first d_model columns are all queries"""
    return "qkv"[column % 3], *divmod(column // 3, d_model // n_heads)


def _channels_in_turn(column, d_model, n_heads):
    """the heads do not alternate from column to column: head 0 has the first d_head columns of each third"""
    third, place = divmod(column, d_model)
    channel, head = divmod(place, n_heads)
    return "qkv"[third], head, channel


def _divided_by_heads(column, d_model, n_heads):
    """divided by the number of heads: a head is d_model // n_heads columns wide"""
    third, place = divmod(column, d_model)
    return "qkv"[third], *divmod(place, n_heads)


def _from_one(column, d_model, n_heads):
    """the head is counted from 1: heads count from 0"""
    letter, head, channel = _owner(column, d_model, n_heads)
    return letter, head + 1, channel


def _channel_from_one(column, d_model, n_heads):
    """the channel is counted from 1: channels count from 0"""
    letter, head, channel = _owner(column, d_model, n_heads)
    return letter, head, channel + 1


def _channel_then_head(column, d_model, n_heads):
    """channel and head are swapped: the order is letter, head, channel"""
    letter, head, channel = _owner(column, d_model, n_heads)
    return letter, channel, head


def _letter_last(column, d_model, n_heads):
    """the letter comes first: the order is letter, head, channel"""
    letter, head, channel = _owner(column, d_model, n_heads)
    return head, channel, letter


def _number_of_the_third(column, d_model, n_heads):
    """the third is given as a number: return one of the letters q, k and v"""
    letter, head, channel = _owner(column, d_model, n_heads)
    return "qkv".index(letter), head, channel


def _keys_in_front(column, d_model, n_heads):
    """queries and keys are swapped: the first third holds the queries, the second the keys"""
    letter, head, channel = _owner(column, d_model, n_heads)
    return {"q": "k", "k": "q", "v": "v"}[letter], head, channel


def _values_in_the_middle(column, d_model, n_heads):
    """keys and values are swapped: the second third holds the keys"""
    letter, head, channel = _owner(column, d_model, n_heads)
    return {"q": "q", "k": "v", "v": "k"}[letter], head, channel


# What exercise 2.4 hands to a reader's test: functions from (fused, n_heads) to q, k and v, and whether they are right.


def _by_a_loop(fused, n_heads):
    """Right, head by head."""
    return [torch.stack(third.chunk(n_heads, -1)) for third in fused.chunk(3, -1)]


def _by_columns(fused, n_heads):
    """Right, as one tensor that holds q, k and v along its first axis."""
    return torch.stack([heads.contiguous() for heads in _heads(fused, n_heads)])


def _by_indices(fused, n_heads):
    """Right, with the columns of each head listed."""
    columns = torch.arange(fused.shape[-1]).view(3, n_heads, -1)
    return tuple(torch.stack([fused[:, band] for band in third]) for third in columns)


def _later_heads_turned(fused, n_heads):
    """Wrong from three heads on: head 0 is right, the others come in reverse order."""
    return tuple(torch.cat([heads[:1], heads[1:].flip(0)]) for heads in _heads(fused, n_heads))


def _earlier_heads_turned(fused, n_heads):
    """Wrong from three heads on: the last head is right, the others come in reverse order."""
    return tuple(torch.cat([heads[:-1].flip(0), heads[-1:]]) for heads in _heads(fused, n_heads))


def _ends_exchanged(fused, n_heads):
    """Wrong in the first and the last head, which stand in each other's place."""
    order = [n_heads - 1, *range(1, n_heads - 1), 0][:n_heads]
    return tuple(heads[order] for heads in _heads(fused, n_heads))


def _second_head_turned(fused, n_heads):
    """Wrong in head 1 alone: its channels come in reverse order."""
    second = (torch.arange(n_heads) == 1)[:, None, None]
    return tuple(torch.where(second, heads.flip(-1), heads) for heads in _heads(fused, n_heads))


def _tokens_turned(fused, n_heads):
    """Wrong: every head is right but for the order of its tokens."""
    return tuple(heads.flip(1) for heads in _heads(fused, n_heads))


def _queries_turned(fused, n_heads):
    """Wrong in the queries alone."""
    q, k, v = _heads(fused, n_heads)
    return q.flip(0), k, v


def _keys_turned(fused, n_heads):
    """Wrong in the keys alone."""
    q, k, v = _heads(fused, n_heads)
    return q, k.flip(0), v


def _values_turned(fused, n_heads):
    """Wrong in the values alone."""
    q, k, v = _heads(fused, n_heads)
    return q, k, v.flip(0)


CUTS = (
    (_heads, True),
    (_by_a_loop, True),
    (_by_columns, True),
    (_by_indices, True),
    (_no_transpose, False),
    (_heads_before_thirds, False),
    (_every_third, False),
    (_every_nth_channel, False),
    (_keys_first, False),
    (_values_before_keys, False),
    (_tokens_before_heads, False),
    (_later_heads_turned, False),
    (_earlier_heads_turned, False),
    (_ends_exchanged, False),
    (_second_head_turned, False),
    (_tokens_turned, False),
    (_queries_turned, False),
    (_keys_turned, False),
    (_values_turned, False),
)
RIGHT = under_one_name("cut", CUTS)


def _is_right(cut):
    return RIGHT[cut]


def _agrees(cut, n_tokens=5, n_heads=3, d_head=4, parts=slice(None), heads=slice(None), table=None):
    """Whether a cut gives what `_heads` gives for a table of these sizes, in the parts and heads that are looked at."""
    fused = torch.arange(n_tokens)[:, None] * 100.0 + torch.arange(3.0 * n_heads * d_head)
    fused = fused if table is None else table(fused)
    found, right = (list(each(fused, n_heads))[parts] for each in (cut, _heads))
    found, right = [f[heads] for f in found], [r[heads] for r in right]
    return all(f.shape == r.shape and torch.equal(f, r) for f, r in zip(found, right, strict=True))


def _shapes_alone(cut):
    """your test notices only wrong shapes: let each entry show token and column, and compare every entry"""
    return all(part.shape == (3, 5, 4) for part in cut(_numbers(5, 36), 3))


def _queries_alone(cut):
    """only q is compared: look at k and v too"""
    return _agrees(cut, parts=slice(1))


def _no_values(cut):
    """v is not compared: look at q, k and v"""
    return _agrees(cut, parts=slice(2))


def _first_head_alone(cut):
    """only head 0 is compared: look at every head"""
    return _agrees(cut, heads=slice(1))


def _last_head_alone(cut):
    """only the last head is compared: look at every head"""
    return _agrees(cut, heads=slice(-1, None))


def _one_token(cut):
    """with one token, mixed-up tokens go unnoticed: take several, but not as many as there are heads or channels"""
    return _agrees(cut, n_tokens=1)


def _one_head(cut):
    """with one head, most wrong cuts look right: take at least three heads"""
    return _agrees(cut, n_heads=1)


def _two_heads(cut):
    """with two heads, some wrong cuts look right: take at least three"""
    return _agrees(cut, n_heads=2)


def _one_channel(cut):
    """with one channel per head, a wrong order of the channels goes unnoticed: take several"""
    return _agrees(cut, d_head=1)


def _rows_alike(cut):
    """the entries show only the token, so mixed-up columns go unnoticed: let each entry show token and column"""
    return _agrees(cut, table=lambda fused: fused - torch.arange(fused.shape[-1]))


def _columns_alike(cut):
    """the entries show only the column, so mixed-up tokens go unnoticed: let each entry show token and column"""
    return _agrees(cut, table=lambda fused: fused - 100 * torch.arange(len(fused))[:, None])


def _sums_alone(cut):
    """a sum does not depend on the order of its entries: compare entry by entry"""
    fused = _numbers(5, 36)
    pairs = zip(cut(fused, 3), split_qkv(fused), strict=True)
    return all(torch.isclose(part.sum(), third.sum(), atol=1e-4) for part, third in pairs)


def _turned_round(cut):
    """the answers are swapped: return True for a cut that is right"""
    return not _is_right(cut)


def _all_right(cut):
    """your test says that every cut is right: compare the entries with those that belong there"""
    return True


def _all_wrong(cut):
    """your test says that every cut is wrong, even the right ones: check the entries that it expects"""
    return False


def _contributions(n_heads, n_tokens, d_model):
    """Vectors of heads whose lengths differ widely, so that their sum is not that of their directions."""
    return _numbers(n_heads, n_tokens, d_model) * (1 + torch.arange(n_heads) % 3)[:, None, None] ** 2


def _opponent(contributions):
    others = contributions.sum(0) - contributions
    return torch.cosine_similarity(contributions, others, dim=-1).mean(-1).argmin().item()


def _cosine_with_the_sum(contributions):
    """the sum includes the head itself: subtract it, and compare the head with the sum of the others"""
    return torch.cosine_similarity(contributions, contributions.sum(0), dim=-1).mean(-1).argmin().item()


def _ally(contributions):
    """this is the head that agrees most with the others: find the lowest cosine"""
    others = contributions.sum(0) - contributions
    return torch.cosine_similarity(contributions, others, dim=-1).mean(-1).argmax().item()


def _dot_product(contributions):
    """these are dot products, which grow with the lengths: divide by both lengths to get the cosine"""
    return (contributions * (contributions.sum(0) - contributions)).sum(-1).mean(-1).argmin().item()


def _head_by_head(contributions):
    """you average the cosines with each other head: take the cosine with the sum of the others"""
    unit = contributions / contributions.norm(dim=-1, keepdim=True)
    return (unit * (unit.sum(0) - unit)).sum(-1).mean(-1).argmin().item()


def _tokens_added_first(contributions):
    """the tokens are summed or averaged first: take a cosine for each token, then average"""
    over_tokens = contributions.sum(1)
    return torch.cosine_similarity(over_tokens, over_tokens.sum(0) - over_tokens, dim=-1).argmin().item()


def _tokens_in_a_row(contributions):
    """all tokens are joined into one long vector: take a cosine for each token, then average"""
    return _opponent(contributions.flatten(1)[:, None])


def _along_the_tokens(contributions):
    """the cosine is taken over the tokens: take it over the channels, the last axis"""
    others = contributions.sum(0) - contributions
    return torch.cosine_similarity(contributions, others, dim=1).mean(-1).argmin().item()


def _last_token_only(contributions):
    """only the last token is used: average over all tokens"""
    return _opponent(contributions[:, -1:])


def _first_token_only(contributions):
    """only the first token is used: average over all tokens"""
    return _opponent(contributions[:, :1])


def _shortest(contributions):
    """this is the head with the shortest contributions: compare directions, not lengths"""
    return contributions.norm(dim=-1).mean(-1).argmin().item()


def _longest(contributions):
    """this is the head with the longest contributions: compare directions, not lengths"""
    return contributions.norm(dim=-1).mean(-1).argmax().item()


def _at_right_angles(contributions):
    """this is the head whose cosine is nearest to 0: find the lowest cosine, which may be negative"""
    others = contributions.sum(0) - contributions
    return torch.cosine_similarity(contributions, others, dim=-1).mean(-1).abs().argmin().item()


def _the_cosine(contributions):
    """this is the lowest cosine itself: return the head that has it"""
    others = contributions.sum(0) - contributions
    return torch.cosine_similarity(contributions, others, dim=-1).mean(-1).min().item()


def _head_from_one(contributions):
    """the head is counted from 1: heads count from 0"""
    return _opponent(contributions) + 1


def _at_its_lowest_token(contributions):
    """this is the lowest cosine at a single token: average over the tokens first"""
    others = contributions.sum(0) - contributions
    return torch.cosine_similarity(contributions, others, dim=-1).amin(-1).argmin().item()


def _fresh_runs(draw):
    ids = [torch.tensor([draw.choices(range(50), k=n)]) for n in (4, 9)]
    return ((_TINY, 0, ids[0]), (_TINY, 1, ids[1]))


def _fresh_fused(draw):
    sizes = ((draw.randint(1, 9), draw.randint(2, 6), draw.randint(2, 5)) for _ in range(3))
    return tuple((_numbers(n_tokens, 3 * n_heads * d_head), n_heads) for n_tokens, n_heads, d_head in sizes)


def _fresh_columns(draw):
    sizes = [(n_heads * draw.randint(2, 64), n_heads) for n_heads in (2, 3, 5, 8, 12, 16)]
    return tuple((draw.randrange(3 * d_model), d_model, n_heads) for d_model, n_heads in sizes for _ in range(2))


def _fresh_cuts(draw):
    """The functions in another order, with one more of each kind."""
    third = draw.randrange(3)

    def by_view(fused, n_heads):
        return [part.unflatten(-1, (n_heads, -1)).movedim(-2, 0) for part in fused.tensor_split(3, dim=-1)]

    def one_third_turned(fused, n_heads):
        return tuple(heads.flip(0) if i == third else heads for i, heads in enumerate(_heads(fused, n_heads)))

    RIGHT.update(under_one_name("cut", ((by_view, True), (one_third_turned, False))))
    return tuple((cut,) for cut in draw.sample([*RIGHT], len(RIGHT)))


_TINY = _tiny_gpt2()

EXERCISES = {
    "2.1": Exercise(
        answer=_fused,
        cases=((_TINY, 1, torch.tensor([[3, 1, 4, 1, 5]])), (_TINY, 0, torch.tensor([[9, 2, 6, 5, 3, 5, 8]]))),
        fresh=_fresh_runs,
        mistakes=(
            _batch_left,
            _argument,
            _whole_attention,
            _attention_with_batch,
            _first_layer,
            _weight,
            _what_c_proj_receives,
            _last_layer,
            _hidden_layer_of_the_mlp,
            _without_its_bias,
            _first_third,
            _last_token,
        ),
    ),
    "2.2": Exercise(
        answer=_heads,
        cases=((_numbers(5, 36), 3), (_numbers(1, 12), 2), (_numbers(4, 30), 5)),
        fresh=_fresh_fused,
        mistakes=(
            _no_transpose,
            _heads_before_thirds,
            _every_third,
            _tokens_before_heads,
            _every_nth_channel,
            _keys_first,
            _values_before_keys,
            _thirds_only,
            _channels_before_tokens,
            _bands_not_cut,
            _queries_only,
        ),
    ),
    "2.3": Exercise(
        answer=_owner,
        cases=((0, 12, 3), (11, 12, 3), (12, 12, 3), (29, 12, 3), (37, 20, 5), (1000, 768, 12), (2303, 768, 12)),
        fresh=_fresh_columns,
        mistakes=(
            _heads_before_the_thirds,
            _channel_of_the_third,
            _head_of_the_whole,
            _every_third_column,
            _channels_in_turn,
            _divided_by_heads,
            _from_one,
            _channel_from_one,
            _channel_then_head,
            _letter_last,
            _number_of_the_third,
            _keys_in_front,
            _values_in_the_middle,
        ),
    ),
    "2.4": Exercise(
        answer=_is_right,
        cases=tuple((cut,) for cut in RIGHT),
        fresh=_fresh_cuts,
        mistakes=(
            _shapes_alone,
            _queries_alone,
            _no_values,
            _first_head_alone,
            _last_head_alone,
            _one_token,
            _one_head,
            _two_heads,
            _one_channel,
            _rows_alike,
            _columns_alike,
            _sums_alone,
            _turned_round,
            _all_right,
            _all_wrong,
        ),
    ),
    "2.5": Exercise(
        answer=_opponent,
        cases=tuple(
            (_contributions(*shape),)
            for shape in ((5, 3, 3), (7, 4, 3), (6, 2, 3), (8, 5, 3), (9, 3, 2), (10, 4, 6), (10, 3, 5))
        ),
        fresh=lambda draw: tuple((_contributions(n, draw.randint(2, 5), draw.randint(3, 6)),) for n in (4, 6, 7, 11)),
        mistakes=(
            _cosine_with_the_sum,
            _ally,
            _dot_product,
            _head_by_head,
            _tokens_added_first,
            _tokens_in_a_row,
            _along_the_tokens,
            _last_token_only,
            _first_token_only,
            _shortest,
            _longest,
            _at_right_angles,
            _the_cosine,
            _head_from_one,
            _at_its_lowest_token,
        ),
    ),
}
