"""Lesson 8: the loss, a change of the scores, an ablation, and what a head's number does and does not say."""

import math

import torch

from headlab.exercises.engine import Exercise


def _drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def _text(n_tokens, n_words, spread=3):
    """Logits (T, V) and ids (T,). exp of the logits overflows; where they lie far apart, softmax turns some into 0."""
    ids = torch.randint(n_words, (n_tokens,), generator=torch.Generator().manual_seed(n_tokens))
    return spread * _drawn(n_tokens, n_words) + 100, ids


def _at(values, ids):
    """The value of each row at its id."""
    return values.gather(-1, ids[:, None])[:, 0]


def _loss(logits, ids):
    return -_at(logits.log_softmax(-1)[:-1], ids[1:])


def _same_position(logits, ids):
    """row t is compared with token t, which the model has just read: compare it with token t + 1"""
    return -_at(logits.log_softmax(-1)[1:], ids[1:])


def _own_tokens(logits, ids):
    """each row is scored on the token that it has read, ids[:-1]: score it on the next one, ids[1:]"""
    return -_at(logits.log_softmax(-1)[:-1], ids[:-1])


def _backwards(logits, ids):
    """the shift goes the wrong way, so row t meets token t - 1: compare it with token t + 1"""
    return -_at(logits.log_softmax(-1)[1:], ids[:-1])


def _no_minus(logits, ids):
    """the losses are negative: take minus the logarithm of the probability"""
    return -_loss(logits, ids)


def _probabilities(logits, ids):
    """these are the probabilities themselves: take minus their logarithm"""
    return (-_loss(logits, ids)).exp()


def _surprise(logits, ids):
    """1 - p is nearly the same for one in a hundred and one in a million: take minus the logarithm of p"""
    return 1 - _probabilities(logits, ids)


def _inverse(logits, ids):
    """this is 1 / p: take its logarithm"""
    return _loss(logits, ids).exp()


def _bits(logits, ids):
    """these are bits: use the natural logarithm, torch.log, for nats"""
    return _loss(logits, ids) / math.log(2)


def _digits(logits, ids):
    """this is the logarithm to base 10: use the natural one, torch.log, for nats"""
    return _loss(logits, ids) / math.log(10)


def _mean_loss(logits, ids):
    """this is the mean: return one number for each token but the first, (T - 1,)"""
    return _loss(logits, ids).mean()


def _total_loss(logits, ids):
    """this is the sum: return one number for each token but the first, (T - 1,)"""
    return _loss(logits, ids).sum()


def _bare_logits(logits, ids):
    """these are minus the logits: turn each row into probabilities first"""
    return -_at(logits[:-1], ids[1:])


def _from_the_best(logits, ids):
    """this is how far the logit lies below the row's largest: turn the row into probabilities first"""
    return logits[:-1].amax(-1) - _at(logits[:-1], ids[1:])


def _of_the_best(logits, ids):
    """this is the loss of the model's favourite token: take the token that stands in the text, ids[1:]"""
    return -logits.log_softmax(-1)[:-1].amax(-1)


def _over_positions(logits, ids):
    """the softmax runs over the positions: take it over the last axis, so that each row sums to 1"""
    return -_at(logits.log_softmax(0)[:-1], ids[1:])


def _over_everything(logits, ids):
    """the softmax runs over the whole table: take it over the last axis, so that each row sums to 1"""
    return -_at(logits.flatten().log_softmax(0).view_as(logits)[:-1], ids[1:])


def _entropy(logits, ids):
    """this is the entropy, the loss that the model expects: take the token that came, ids[1:]"""
    chances = logits.softmax(-1)[:-1]
    return -(chances * chances.log()).sum(-1)


def _overflows(logits, ids):
    """exp of large logits overflows: use log_softmax, or subtract each row's largest logit first"""
    weights = logits.exp()
    return -_at((weights / weights.sum(-1, keepdim=True)).log()[:-1], ids[1:])


def _overflows_to_inf(logits, ids):
    """exp of large logits overflows to inf: use log_softmax, or subtract each row's largest logit first"""
    return logits.exp().sum(-1).log()[:-1] - _at(logits[:-1], ids[1:])


def _underflows(logits, ids):
    """softmax rounds a very small probability to 0, and its logarithm is -inf: use log_softmax"""
    return -_at(logits.softmax(-1).log()[:-1], ids[1:])


def _one_too_many(logits, ids):
    """there is one number too many: nothing predicts the first token, so return T - 1 losses"""
    return -_at(logits.log_softmax(-1), ids.roll(-1))


def _one_too_few(logits, ids):
    """the loss of token 1 is missing: begin with row 0, which predicts it"""
    return _loss(logits, ids)[1:]


def _all_words(logits, ids):
    """these are the losses of all tokens: pick the loss of the token that came, one for each row"""
    return -logits.log_softmax(-1)[:-1]


def _without_first(layer, raw):
    changed = raw.clone()
    changed[:, 1:, 0] = -torch.inf
    return changed


def _first_row_too(layer, raw):
    """the first query has lost its only key, and its softmax is 0/0: leave row 0 as it is"""
    changed = raw.clone()
    changed[:, :, 0] = -torch.inf
    return changed


def _zero_score(layer, raw):
    """a score of 0 gets a share like any other: only -inf takes a key away"""
    changed = raw.clone()
    changed[:, 1:, 0] = 0
    return changed


def _ten_thousand(layer, raw):
    """-10,000 takes the key away only if no other score is as low (lesson 1): use -inf"""
    changed = raw.clone()
    changed[:, 1:, 0] = -1e4
    return changed


def _minus_a_billion(layer, raw):
    """-1e9 takes the key away only if no other score is as low (lesson 1): use -inf"""
    changed = raw.clone()
    changed[:, 1:, 0] = -1e9
    return changed


def _lowest_number(layer, raw):
    """the lowest finite number may overflow when the model goes on with it: use -torch.inf"""
    changed = raw.clone()
    changed[:, 1:, 0] = torch.finfo(raw.dtype).min
    return changed


def _plus_infinity(layer, raw):
    """+inf makes the softmax of its row nan: use -inf, which takes the key away"""
    changed = raw.clone()
    changed[:, 1:, 0] = torch.inf
    return changed


def _not_a_number(layer, raw):
    """nan makes the whole row nan: use -inf, which softmax turns into exactly 0"""
    changed = raw.clone()
    changed[:, 1:, 0] = torch.nan
    return changed


def _first_query(layer, raw):
    """this takes the first query's keys away: the queries are axis 1, the keys axis 2"""
    changed = raw.clone()
    changed[:, 0, 1:] = -torch.inf
    return changed


def _first_head(layer, raw):
    """this takes all keys of head 0 away: the heads are axis 0, the keys axis 2"""
    changed = raw.clone()
    changed[0] = -torch.inf
    return changed


def _one_head_only(layer, raw):
    """only head 0 loses the key: change all heads of the layer"""
    changed = raw.clone()
    changed[0, 1:, 0] = -torch.inf
    return changed


def _first_layer_only(layer, raw):
    """only layer 0 is changed: take the key away in every layer"""
    return _without_first(layer, raw) if layer == 0 else raw.clone()


def _not_layer_0(layer, raw):
    """layer 0 is left as it was: take the key away in every layer"""
    return _without_first(layer, raw) if layer else raw.clone()


def _last_key(layer, raw):
    """this takes the last key away: take away the first, number 0"""
    changed = raw.clone()
    changed[:, :-1, -1] = -torch.inf
    return changed


def _second_key(layer, raw):
    """this takes key 1 away: take away the first, number 0"""
    changed = raw.clone()
    changed[:, 2:, 1] = -torch.inf
    return changed


def _itself(layer, raw):
    """this takes away each query's own key: take away the first, column 0"""
    changed = raw.clone()
    changed.diagonal(dim1=-2, dim2=-1)[:, 1:] = -torch.inf
    return changed


def _two_rows_spared(layer, raw):
    """the second query keeps the first key: only row 0, which has no other, may keep it"""
    changed = raw.clone()
    changed[:, 2:, 0] = -torch.inf
    return changed


def _one_row_only(layer, raw):
    """only query 1 loses the key: take it away from every query but the first"""
    changed = raw.clone()
    changed[:, 1, 0] = -torch.inf
    return changed


def _lowered(layer, raw):
    """a key whose score is lowered by a constant still gets a share: take it away with -inf"""
    changed = raw.clone()
    changed[:, 1:, 0] -= 10
    return changed


def _times_infinity(layer, raw):
    """a negative score times -inf becomes +inf: replace the score, do not multiply it"""
    changed = raw.clone()
    changed[:, 1:, 0] *= -torch.inf
    return changed


def _cut_off(layer, raw):
    """the column is cut off: return the same shape, with -inf in place of the scores"""
    return raw[..., 1:]


def _masked_as_well(layer, raw):
    """the future is masked as well: leave it, the model masks it after your change"""
    return _without_first(layer, raw).masked_fill(torch.ones_like(raw).triu(1).bool(), -torch.inf)


def _softmaxed(layer, raw):
    """these are shares: return raw scores; the model scales them and takes the softmax"""
    return _without_first(layer, raw).softmax(-1)


def _unchanged(layer, raw):
    """the scores come back as they were: put -inf into the copy, and return that copy"""
    return raw.clone()


def _mean_ablated(outputs, head):
    changed = outputs.clone()
    changed[head] = outputs[head].mean(0)
    return changed


def _zeroed(outputs, head):
    """this is zero ablation: put the head's mean over the tokens in its place"""
    changed = outputs.clone()
    changed[head] = 0
    return changed


def _every_head(outputs, head):
    """all heads are replaced: change outputs[head] and leave the others"""
    return outputs.mean(1, keepdim=True).expand_as(outputs)


def _all_others(outputs, head):
    """the other heads are replaced and this one is kept: replace this one and keep the others"""
    changed = _every_head(outputs, head).clone()
    changed[head] = outputs[head]
    return changed


def _over_channels(outputs, head):
    """the mean runs over the channels: average over the tokens, axis 0 of outputs[head]"""
    changed = outputs.clone()
    changed[head] = outputs[head].mean(-1, keepdim=True)
    return changed


def _over_heads(outputs, head):
    """this is the mean of all heads at each token: average the head's own output over the tokens"""
    changed = outputs.clone()
    changed[head] = outputs.mean(0)
    return changed


def _one_number(outputs, head):
    """this is one number for all channels: average over the tokens only, axis 0 of outputs[head]"""
    changed = outputs.clone()
    changed[head] = outputs[head].mean()
    return changed


def _mean_of_everything(outputs, head):
    """this is the mean of all heads, tokens and channels: average the head's own output over the tokens"""
    changed = outputs.clone()
    changed[head] = outputs.mean()
    return changed


def _token_for_head(outputs, head):
    """this replaces one token of every head: the heads are axis 0, the tokens axis 1"""
    changed = outputs.clone()
    changed[:, head % outputs.shape[1]] = outputs.mean(1)
    return changed


def _last_token(outputs, head):
    """this repeats the last token's output: take the mean over all tokens"""
    changed = outputs.clone()
    changed[head] = outputs[head, -1]
    return changed


def _first_token(outputs, head):
    """this repeats the first token's output: take the mean over all tokens"""
    changed = outputs.clone()
    changed[head] = outputs[head, 0]
    return changed


def _median(outputs, head):
    """this is the median: use the mean"""
    changed = outputs.clone()
    changed[head] = outputs[head].median(0).values
    return changed


def _sum(outputs, head):
    """this is the sum over the tokens: divide by their number, or use mean"""
    changed = outputs.clone()
    changed[head] = outputs[head].sum(0)
    return changed


def _running_mean(outputs, head):
    """this is the mean of the tokens so far: put the same mean, over all tokens, at every token"""
    changed = outputs.clone()
    steps = torch.arange(1.0, outputs.shape[1] + 1)[:, None]
    changed[head] = outputs[head].cumsum(0) / steps
    return changed


def _mean_taken_away(outputs, head):
    """the mean is removed and the rest is kept: keep the mean and remove the rest"""
    changed = outputs.clone()
    changed[head] = outputs[head] - outputs[head].mean(0)
    return changed


def _halved(outputs, head):
    """this halves the output: replace it by its mean over the tokens"""
    changed = outputs.clone()
    changed[head] = outputs[head] / 2
    return changed


def _only_the_head(outputs, head):
    """only the changed head is returned: return all heads, in the same shape"""
    return _mean_ablated(outputs, head)[head]


def _one_token_only(outputs, head):
    """the mean stands at only one token: put it at every token"""
    changed = outputs.clone()
    changed[head, 0] = outputs[head].mean(0)
    return changed


def _first_token_left_out(outputs, head):
    """the first token is left out of the mean: average over all tokens"""
    changed = outputs.clone()
    changed[head] = outputs[head, -max(1, outputs.shape[1] - 1) :].mean(0)
    return changed


def _other_heads_mean(outputs, head):
    """the mean is that of outputs[head - 1]: average outputs[head], for heads count from 0"""
    changed = outputs.clone()
    changed[head] = outputs[head - 1].mean(0)
    return changed


def _wrong_head(outputs, head):
    """outputs[head - 1] is replaced: replace outputs[head], for heads count from 0"""
    return _mean_ablated(outputs, head - 1)


def _shuffled(outputs, head):
    """the head's outputs change places: put their mean at every token"""
    changed = outputs.clone()
    changed[head] = outputs[head].flip(0)
    return changed


def _kept(outputs, head):
    """nothing has changed: put the mean into the copy, at the head's number, and return the copy"""
    return outputs.clone()


def _place(values):
    return tuple(int(index) for index in torch.unravel_index(values.argmax(), values.shape))


def _costs(n_texts, n_layers, n_heads):
    """Costs (text, layer, head), many small and a few large, so that almost every rule chooses another head."""
    return _drawn(n_texts, n_layers, n_heads) ** 3


def _reliable(costs):
    return _place(costs.amin(0))


def _best_mean(costs):
    """this is the largest mean, which may come from one text: take each head's smallest cost over the texts first"""
    return _place(costs.mean(0))


def _best_median(costs):
    """this is the largest median, and half of the texts may lie far below it: take the smallest over the texts"""
    return _place(costs.median(0).values)


def _best_in_some_text(costs):
    """this is the largest cost in any one text: take each head's smallest cost over the texts first"""
    return _place(costs.amax(0))


def _first_text_only(costs):
    """only the first text is used: take each head's smallest cost over all texts"""
    return _place(costs[0])


def _last_text_only(costs):
    """only the last text is used: take each head's smallest cost over all texts"""
    return _place(costs[-1])


def _in_size(costs):
    """a negative cost means a lower loss without the head: do not use abs"""
    return _place(costs.abs().amin(0))


def _steadiest(costs):
    """this is the head whose cost varies least, and it may be near 0: take the largest of the smallest costs"""
    return _place(-costs.std(0))


def _smallest_of_all(costs):
    """this is the smallest of the smallest costs: take the largest of them"""
    return _place(-costs.amin(0))


def _smallest_of_largest(costs):
    """smallest and largest are swapped: first the smallest over the texts, then the largest over the heads"""
    return _place(-costs.amax(0))


def _most_often_first(costs):
    """this head wins in most texts but may cost nothing in another: take the smallest over the texts"""
    winners = costs.flatten(1).argmax(1).mode().values
    return tuple(int(index) for index in torch.unravel_index(winners, costs.shape[1:]))


def _in_standard_errors(costs):
    """this is the largest mean in standard errors, where a small, steady cost wins: take the smallest over the texts"""
    return _place(costs.mean(0) / (costs.std(0) + 1e-6))


def _head_then_layer(costs):
    """layer and head are swapped: the order is (layer, head)"""
    return _reliable(costs)[::-1]


def _from_one(costs):
    """these are counted from 1: layers and heads count from 0"""
    return tuple(index + 1 for index in _reliable(costs))


def _with_the_text(costs):
    """there are three numbers: return (layer, head) only"""
    return (int(costs.amax((1, 2)).argmin()), *_reliable(costs))


def _flat(costs):
    """this is the position in the flattened table: torch.unravel_index turns it into (layer, head)"""
    return costs.amin(0).argmax()


def _divided_by_layers(costs):
    """the flattened position is divided by the number of layers: divide by the number of heads, the length of a row"""
    return divmod(int(costs.amin(0).argmax()), costs.shape[1])


def _the_cost(costs):
    """this is the cost itself: return its position, (layer, head)"""
    return costs.amin(0).max()


def _head_alone(costs):
    """this is the head's number within its layer: return (layer, head)"""
    return _reliable(costs)[1]


def _layer_alone(costs):
    """this is the layer's number: return (layer, head)"""
    return _reliable(costs)[0]


def _best_layer_first(costs):
    """this takes the best layer on average and then its best head: compare all heads of all layers at once"""
    layer = int(costs.amin(0).mean(1).argmax())
    return layer, int(costs.amin(0)[layer].argmax())


def _over_the_layers(costs):
    """the smallest is taken over the layers: the texts are axis 0"""
    return _place(costs.amin(1))


def _over_the_heads(costs):
    """the smallest is taken over the heads: the texts are axis 0"""
    return _place(costs.amin(2))


def _parts(n_layers, n_heads):
    """Direct parts and costs (layer, head): a large direct part, a large cost, and a head with only the second."""
    direct, cost = 0.3 * _drawn(n_layers, n_heads), 0.05 * _drawn(n_heads, n_layers).T.clone()
    direct[-1, 0], cost[-1, 0] = 4.0, 2.0  # speaks to the logit and matters: the largest of both
    direct[0, 1], cost[0, 1] = 0.05, 1.2  # works through later layers
    direct[0, 0], cost[0, 0] = -5.0, 1.5  # speaks against the token
    direct[-1, 1], cost[-1, 1] = 0.001, 0.001  # does nothing
    return direct, cost


def _indirect(direct, cost):
    quiet = direct.abs() <= direct.abs().median()
    return _place(cost.masked_fill(~quiet, -torch.inf))


def _signed_parts(direct, cost):
    """a large negative part is large too: compare the sizes, direct.abs()"""
    return _place(cost.masked_fill(direct > direct.median(), -torch.inf))


def _loud_half(direct, cost):
    """the half with the larger direct parts is searched: search the half with the smaller ones"""
    return _place(cost.masked_fill(direct.abs() <= direct.abs().median(), -torch.inf))


def _costliest(direct, cost):
    """all heads are searched: keep the half with the smaller direct parts"""
    return _place(cost)


def _quietest(direct, cost):
    """this is the smallest direct part: look for the largest cost in the half with the smaller direct parts"""
    return _place(-direct.abs())


def _cheapest(direct, cost):
    """this is the smallest cost among the kept heads: look for the largest"""
    return _place((-cost).masked_fill(direct.abs() > direct.abs().median(), -torch.inf))


def _largest_part(direct, cost):
    """this is the largest direct part: look for the largest cost in the half with the smaller direct parts"""
    return _place(direct.abs())


def _quotient(direct, cost):
    """cost over direct part is largest where the part is nearly 0, whatever the cost: keep half of the heads instead"""
    return _place(cost / direct.abs())


def _difference_of_both(direct, cost):
    """nats and logits cannot be subtracted: keep the half with the smaller direct parts, then compare costs"""
    return _place(cost - direct.abs())


def _swapped_tables(direct, cost):
    """the tables are swapped: direct parts come first, costs second"""
    return _indirect(cost, direct)


def _cost_in_size(direct, cost):
    """a negative cost means a lower loss without the head: do not use abs for the costs"""
    return _place(cost.abs().masked_fill(direct.abs() > direct.abs().median(), -torch.inf))


def _half_of_each_layer(direct, cost):
    """the half is taken within each layer: compare with the median of all heads"""
    median = direct.abs().median(1, keepdim=True).values
    return _place(cost.masked_fill(direct.abs() > median, -torch.inf))


def _median_left_out(direct, cost):
    """the head whose direct part is the median is left out: keep all that are at most the median"""
    return _place(cost.masked_fill(direct.abs() >= direct.abs().median(), -torch.inf))


def _half_rounded_down(direct, cost):
    """with an odd number of heads, the one at the median is left out: keep all that are at most the median"""
    kept = direct.abs().flatten().argsort()[: direct.numel() // 2]
    return divmod(int(kept[cost.flatten()[kept].argmax()]), cost.shape[1])


def _median_of_signed(direct, cost):
    """the bound is the median of the signed direct parts: take the median of their sizes, direct.abs()"""
    return _place(cost.masked_fill(direct.abs() > direct.median(), -torch.inf))


def _below_the_mean(direct, cost):
    """the bound is the mean, which a single large part moves: use the median, which leaves half of the heads"""
    return _place(cost.masked_fill(direct.abs() > direct.abs().mean(), -torch.inf))


def _swapped_place(direct, cost):
    """layer and head are swapped: the order is (layer, head)"""
    return _indirect(direct, cost)[::-1]


def _place_from_one(direct, cost):
    """these are counted from 1: layers and heads count from 0"""
    return tuple(index + 1 for index in _indirect(direct, cost))


def _flat_place(direct, cost):
    """this is the position in the flattened table: torch.unravel_index turns it into (layer, head)"""
    layer, head = _indirect(direct, cost)
    return layer * cost.shape[1] + head


def _flat_by_layers(direct, cost):
    """the flattened position is divided by the number of layers: divide by the number of heads, the length of a row"""
    return divmod(_flat_place(direct, cost), cost.shape[0])


def _its_cost(direct, cost):
    """this is the cost itself: return its position, (layer, head)"""
    return cost[_indirect(direct, cost)]


def _within_the_kept(direct, cost):
    """this is a position among the kept heads only: boolean indexing loses the positions, so fill with -inf instead"""
    kept = cost[direct.abs() <= direct.abs().median()].argmax()
    return divmod(int(kept), cost.shape[1])


def _zeros_for_the_rest(direct, cost):
    """the other half gets 0 or another number that can be the largest: fill it with -inf"""
    return _place(cost.masked_fill(direct.abs() > direct.abs().median(), 0.0))


def _first_layer(direct, cost):
    """only layer 0 is searched: search all layers"""
    return 0, int(cost[0].masked_fill(direct[0].abs() > direct.abs().median(), -torch.inf).argmax())


def _all_costs_negative():
    """A case in which every quiet head has a cost far below 0, and the costliest of them is not in layer 0."""
    direct, cost = _parts(3, 4)
    cost = cost - 5
    cost[1, 2], direct[1, 2] = -2.5, 0.01
    return direct, cost


def _by_rows():
    """A case in which layer 0 holds only loud heads, layer 2 only quiet ones, and one part outweighs all others."""
    direct = torch.tensor([[9.0, 2.0, -2.2, 2.4], [0.3, -0.4, 1.1, 1.2], [0.1, 0.05, -0.2, 0.15]])
    cost = torch.tensor([[0.9, 0.8, 0.7, 0.6], [0.2, -4.0, 0.5, 0.4], [0.1, 0.15, 0.12, 0.35]])
    return direct, cost


def _median_head():
    """A case with an odd number of heads, of which the one at the median is right."""
    direct = torch.tensor([[0.5, -0.2, 3.0], [1.0, -1.1, 0.1], [2.0, -2.5, 0.3]])
    cost = torch.tensor([[0.8, 0.6, 0.1], [0.9, 1.5, 0.35], [2.0, -0.3, 0.2]])
    return direct, cost


EXERCISES = {
    "8.1": Exercise(
        answer=_loss,
        cases=(_text(2, 5), _text(6, 9), _text(5, 7, spread=100)),
        fresh=lambda draw: tuple(_text(n, draw.randint(6, 12), spread) for n, spread in ((2, 3), (5, 3), (9, 100))),
        mistakes=(
            _same_position,
            _own_tokens,
            _backwards,
            _no_minus,
            _probabilities,
            _surprise,
            _inverse,
            _bits,
            _digits,
            _mean_loss,
            _total_loss,
            _bare_logits,
            _from_the_best,
            _of_the_best,
            _over_positions,
            _over_everything,
            _entropy,
            _overflows,
            _overflows_to_inf,
            _underflows,
            _one_too_many,
            _one_too_few,
            _all_words,
        ),
    ),
    "8.2": Exercise(
        answer=_without_first,
        cases=tuple((layer, 20 * _drawn(layer + 3, layer + 5, layer + 5) + layer) for layer in (0, 1, 3)),
        fresh=lambda draw: tuple(
            (layer, 20 * _drawn(draw.randint(2, 5), n, n)) for layer, n in ((0, 4), (2, 6), (5, 7))
        ),
        mistakes=(
            _first_row_too,
            _zero_score,
            _ten_thousand,
            _minus_a_billion,
            _lowest_number,
            _plus_infinity,
            _not_a_number,
            _first_query,
            _first_head,
            _one_head_only,
            _first_layer_only,
            _not_layer_0,
            _last_key,
            _second_key,
            _itself,
            _two_rows_spared,
            _one_row_only,
            _lowered,
            _times_infinity,
            _cut_off,
            _masked_as_well,
            _softmaxed,
            _unchanged,
        ),
    ),
    "8.3": Exercise(
        answer=_mean_ablated,
        cases=((_drawn(3, 5, 4), 2), (_drawn(2, 7, 3) + 1, 1), (_drawn(4, 4, 2), 1), (_drawn(3, 6, 2), 0)),
        fresh=lambda draw: tuple((_drawn(n, draw.randint(2, 6), 3), draw.randrange(n)) for n in (3, 5, 6)),
        mistakes=(
            _zeroed,
            _every_head,
            _all_others,
            _over_channels,
            _over_heads,
            _one_number,
            _mean_of_everything,
            _token_for_head,
            _last_token,
            _first_token,
            _median,
            _sum,
            _running_mean,
            _mean_taken_away,
            _halved,
            _only_the_head,
            _one_token_only,
            _first_token_left_out,
            _other_heads_mean,
            _wrong_head,
            _shuffled,
            _kept,
        ),
    ),
    "8.4": Exercise(
        answer=_reliable,
        cases=(
            *((_costs(*shape),) for shape in ((4, 3, 5), (6, 4, 6), (5, 4, 3), (7, 2, 9))),
            (torch.arange(1.0, 7)[:, None, None] * _costs(6, 3, 7),),  # the later a text, the larger its costs
        ),
        fresh=lambda draw: tuple((_costs(draw.randint(4, 8), n, draw.randint(2, 9)),) for n in (2, 3, 5, 6)),
        mistakes=(
            _best_mean,
            _best_median,
            _best_in_some_text,
            _first_text_only,
            _last_text_only,
            _in_size,
            _steadiest,
            _smallest_of_all,
            _smallest_of_largest,
            _most_often_first,
            _in_standard_errors,
            _head_then_layer,
            _from_one,
            _with_the_text,
            _flat,
            _divided_by_layers,
            _the_cost,
            _head_alone,
            _layer_alone,
            _best_layer_first,
            _over_the_layers,
            _over_the_heads,
        ),
    ),
    "8.5": Exercise(
        answer=_indirect,
        cases=(
            _parts(3, 4),
            _parts(2, 5),
            _all_costs_negative(),
            _by_rows(),
            (2 * _drawn(4, 3), _drawn(3, 4).T),
            _median_head(),
        ),
        fresh=lambda draw: (
            _parts(4, 5),
            _parts(3, 6),
            _all_costs_negative(),
            _median_head(),
            (2 * _drawn(n := draw.randint(3, 6), 3), _drawn(n, 3)),
        ),
        mistakes=(
            _signed_parts,
            _loud_half,
            _costliest,
            _quietest,
            _cheapest,
            _largest_part,
            _quotient,
            _difference_of_both,
            _swapped_tables,
            _cost_in_size,
            _half_of_each_layer,
            _median_left_out,
            _half_rounded_down,
            _median_of_signed,
            _below_the_mean,
            _swapped_place,
            _place_from_one,
            _flat_place,
            _flat_by_layers,
            _its_cost,
            _within_the_kept,
            _zeros_for_the_rest,
            _first_layer,
        ),
    ),
}
