"""Lesson 3: patterns, induction pairs, the head that looks back farthest and what makes an induction head."""

import torch

from headlab.exercises.engine import Exercise, under_one_name
from headlab.masking import causal_mask, mask_scores, softmax
from headlab.scores import attention_pattern, mean_share, raw_scores, token_pairs


def _numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape) + seed))


def _two(*shape):
    return 2 * _numbers(*shape), 2 * _numbers(*shape, seed=1)


def _far_apart():
    """Queries and keys whose scores lie beyond any round number that readers use instead of -inf."""
    q, k = (1e6 * x for x in _two(4, 3))
    k[0] = -q[0]  # the first query's only score is far below 0
    return q, k


def _pattern(q, k):
    return attention_pattern(raw_scores(q, k), q.shape[-1])


def _unscaled(q, k):
    """nothing is scaled: divide the raw scores by the square root of d_head"""
    return attention_pattern(raw_scores(q, k), 1)


def _no_root(q, k):
    """the scores are divided by d_head: divide by its square root"""
    return attention_pattern(raw_scores(q, k), q.shape[-1] ** 2)


def _root_of_64(q, k):
    """divided by 8, which is right only for GPT-2's 64 channels: use the square root of q.shape[-1]"""
    return attention_pattern(raw_scores(q, k), 64)


def _root_of_tokens(q, k):
    """divided by the square root of the number of tokens: use the number of channels, q.shape[-1]"""
    return attention_pattern(raw_scores(q, k), q.shape[-2])


def _scaled(q, k):
    return raw_scores(q, k) / q.shape[-1] ** 0.5


def _scaled_last(q, k):
    """scaled after the softmax, so the rows no longer sum to 1: scale the scores first"""
    return _unscaled(q, k) / q.shape[-1] ** 0.5


def _unmasked(q, k):
    """nothing is masked, so the future gets a share: set its scores to -inf before the softmax"""
    return softmax(_scaled(q, k))


def _down_the_columns(q, k):
    """the softmax runs down the columns: each row has to sum to 1, so use the last axis"""
    return mask_scores(_scaled(q, k)).softmax(-2)


def _masked_afterwards(q, k):
    """the mask comes after the softmax: the future gets 0, but the rows no longer sum to 1. Mask the scores first"""
    return softmax(_scaled(q, k)) * causal_mask(q.shape[-2])


def _repaired_afterwards(q, k):
    """the mask comes too late: a very high future score leaves the past only zeros, and 0 / 0 is nan. Mask first"""
    late = _masked_afterwards(q, k)
    return late / late.sum(-1, keepdim=True)


def _swapped_roles(q, k):
    """queries and keys are swapped: row i belongs to query i, so multiply q by the transposed k"""
    return _pattern(k, q)


def _no_softmax(q, k):
    """these are the masked scores: take their softmax"""
    return mask_scores(_scaled(q, k))


def _times_the_root(q, k):
    """multiplied by the square root of d_head: divide by it"""
    return softmax(mask_scores(raw_scores(q, k) * q.shape[-1] ** 0.5))


def _finite_mask(q, k):
    """the future's scores are set to a finite number: where the past's are lower, the future wins. Use -inf"""
    return _scaled(q, k).masked_fill(~causal_mask(q.shape[-2]), -1e9).softmax(-1)


def _bare_exponentials(q, k):
    """exp is inf for high scores and 0 for low ones: use .softmax(-1), which subtracts the row's largest score first"""
    weights = mask_scores(_scaled(q, k)).exp()
    return weights / weights.sum(-1, keepdim=True)


def _past_masked(q, k):
    """the mask is inverted: it hides the past and keeps the future. Mask the keys j > i"""
    return _scaled(q, k).masked_fill(causal_mask(q.shape[-2]), -torch.inf).softmax(-1)


def _future_zero(q, k):
    """the future's scores are set to 0, but exp(0) = 1, so the future still gets a share: set them to -inf"""
    return softmax(_scaled(q, k).tril())


def _cosine(q, k):
    """the vectors are scaled to length 1 first, but a dot product counts lengths too: take q and k as they are"""
    return _pattern(q / q.norm(dim=-1, keepdim=True), k / k.norm(dim=-1, keepdim=True))


def _over_heads(q, k):
    """the softmax runs along axis 0, which may be the heads: take it over the keys, the last axis"""
    return mask_scores(_scaled(q, k)).softmax(0)


def _induction_pairs(ids):
    return token_pairs(ids)["induction"]


def _same_pairs(ids):
    """these keys are the earlier copies themselves: mark the token right after each copy"""
    return (ids[:, None] == ids[None, :]).tril(-1)


def _same_pairs_without_key_0(ids):
    """these keys are the earlier copies themselves, without key 0: mark the token right after each copy"""
    return token_pairs(ids)["same"]


def _equal_tokens(ids):
    """these are all pairs of equal tokens: mark the token right after each copy, and keep only the past"""
    return ids[:, None] == ids[None, :]


def _column_0_kept(ids):
    """column 0 is marked, because `roll` moves the last column there: set it to False, since 0 < j"""
    return (ids[:, None] == ids[None, :]).roll(1, dims=1).tril(-1)


def _before_the_copy(ids):
    """these keys come right before an earlier copy: mark the token right after it"""
    return token_pairs(ids)["same"].roll(-1, dims=1) & torch.ones(len(ids), len(ids), dtype=torch.bool).tril(-1)


def _future_too(ids):
    """the token itself and keys of its future are marked: keep only j < i"""
    return (ids[:, None] == ids[None, :]).roll(1, dims=1) & (torch.arange(len(ids)) > 0)


def _itself_too(ids):
    """a token that repeats the one before it is marked as its own key: keep only j < i, after the shift"""
    return _future_too(ids).tril()


def _queries_across(ids):
    """rows and columns are swapped: row i belongs to query i, column j to key j"""
    return _induction_pairs(ids).T


def _last_copy_only(ids):
    """only what followed the latest copy is marked: mark what followed every earlier copy"""
    pairs = _induction_pairs(ids)
    return pairs & (pairs.flip(1).cumsum(1).flip(1) == 1)


def _rolled_left(ids):
    """the columns are shifted to the left, so these keys come before a copy: shift them to the right"""
    return (ids[:, None] == ids[None, :]).roll(-1, dims=1).tril(-1)


def _rows_rolled(ids):
    """the rows are shifted, but rows are queries: shift the columns, which are the keys"""
    return (ids[:, None] == ids[None, :]).roll(1, dims=0).tril(-1)


def _previous_pairs(ids):
    """these keys are the tokens just before: mark the token right after each earlier copy"""
    return token_pairs(ids)["previous"]


def _as_numbers(ids):
    """the pairs are right, but they are numbers: compare with == 1 or call .bool() to get True and False"""
    return _induction_pairs(ids).float()


def _distances(n_tokens):
    position = torch.arange(n_tokens)
    return position[:, None] - position[None, :]


def _mean_distances(patterns, kept=None):
    """The mean distance of each head over the pairs that are kept, (layer, head)."""
    distance = _distances(patterns.shape[-1])
    kept = torch.ones_like(distance) if kept is None else kept
    weights = patterns * kept
    return (weights * distance).sum((-2, -1)) / weights.sum((-2, -1))


def _head_of(values):
    return divmod(values.argmax().item(), values.shape[1])


def _without_key_0(patterns):
    return torch.arange(patterns.shape[-1]) > 0


def _farthest(patterns):
    return _head_of(_mean_distances(patterns, _without_key_0(patterns)))


def _key_0_counts(patterns):
    """key 0 is counted, which favours sink heads: leave column 0 out"""
    return _head_of(_mean_distances(patterns))


def _not_divided(patterns):
    """the sums are not divided: they are large wherever key 0 gets little. Divide by the sum of the shares"""
    return _head_of((patterns * _distances(patterns.shape[-1]) * _without_key_0(patterns)).sum((-2, -1)))


def _row_by_row(patterns):
    """each row is divided by its own sum and the rows are averaged: add up over all pairs first, then divide once"""
    kept = patterns * _without_key_0(patterns)
    rows = (kept * _distances(patterns.shape[-1])).sum(-1) / kept.sum(-1).clamp(min=1e-30)
    return _head_of(rows[..., 1:].mean(-1))


def _itself_left_out(patterns):
    """the query itself is left out: its distance is 0, but its share counts in the sum, so keep the diagonal"""
    return _head_of(_mean_distances(patterns, _without_key_0(patterns) & (_distances(patterns.shape[-1]) > 0)))


def _nearest(patterns):
    """this head looks back the least: find the largest mean distance, and take query - key, not key - query"""
    return _head_of(-_mean_distances(patterns, _without_key_0(patterns)))


def _last_query_only(patterns):
    """only the last query is used: add up over all queries"""
    return _head_of(
        _mean_distances(patterns[..., -1:, :].expand_as(patterns) * _last_row(patterns), _without_key_0(patterns))
    )


def _last_row(patterns):
    return (torch.arange(patterns.shape[-1]) == patterns.shape[-1] - 1)[:, None]


def _strongest_links(patterns):
    """only the largest share of each query is used: weight every distance by its share"""
    winner = (patterns * _without_key_0(patterns)).argmax(-1)  # (layer, head, query)
    return _head_of((torch.arange(patterns.shape[-1]) - winner).float()[..., 1:].mean(-1))


def _even_weights(patterns):
    """shares are compared, not distances: multiply each share by its distance, query - key"""
    return _head_of((patterns * _without_key_0(patterns)).sum((-2, -1)))


def _head_then_layer(patterns):
    """layer and head are swapped: the order is (layer, head)"""
    return _farthest(patterns)[::-1]


def _from_one(patterns):
    """layer and head are counted from 1: they count from 0"""
    layer, head = _farthest(patterns)
    return layer + 1, head + 1


def _flat_place(patterns):
    """this is one number, the position among all heads: divmod turns it into layer and head"""
    return _mean_distances(patterns, _without_key_0(patterns)).argmax().item()


def _the_distance(patterns):
    """this is the mean distance itself: return the (layer, head) that has it"""
    return _mean_distances(patterns, _without_key_0(patterns)).max().item()


def _all_the_distances(patterns):
    """these are the mean distances of all heads: return the (layer, head) of the largest"""
    return _mean_distances(patterns, _without_key_0(patterns))


def _first_layer_only(patterns):
    """only layer 0 is searched: look through all layers"""
    return _farthest(patterns[:1])


# What exercise 3.4 hands to a reader's test: heads, as functions from token ids to a pattern, and whether they do
# induction.


def _looks(pairs, share, rest="first"):
    """A causal pattern in which marked pairs get this much, and key 0 or all visible keys share the rest."""
    n_tokens = len(pairs)
    other = torch.zeros(n_tokens, n_tokens)
    other[:, 0] = 1
    other = even_shares(n_tokens) if rest == "even" else other
    marked = pairs / pairs.sum(-1, keepdim=True).clamp(min=1)
    return torch.where(pairs.any(-1, keepdim=True), share * marked + (1 - share) * other, other)


def even_shares(n_tokens):
    """Every key that a query sees gets the same share, (T, T)."""
    visible = causal_mask(n_tokens)
    return visible / visible.sum(-1, keepdim=True)


def _back(distance, n_tokens):
    """The pairs at one distance, except those of key 0."""
    return (_distances(n_tokens) == distance) & (torch.arange(n_tokens) > 0)


def _induction(ids):
    return _looks(_induction_pairs(ids), 0.95)


def _induction_and_more(ids):
    return _looks(_induction_pairs(ids), 0.6, rest="even")


def _induction_of_the_latest(ids):
    return _looks(_last_copy_only(ids), 0.8)


def _previous_token(ids):
    return _looks(token_pairs(ids)["previous"], 0.95)


def _sink(ids):
    return _looks(torch.zeros(len(ids), len(ids), dtype=torch.bool), 0.0)


def _same_token(ids):
    return _looks(token_pairs(ids)["same"], 0.9)


def _everywhere(ids):
    return even_shares(len(ids))


def _one_before_the_copy(ids):
    return _looks(_before_the_copy(ids), 0.9)


def _nine_back(ids):
    return _looks(_back(9, len(ids)), 0.95)


def _nineteen_back(ids):
    return _looks(_back(19, len(ids)), 0.95)


def _twenty_four_back(ids):
    return _looks(_back(24, len(ids)), 0.95)


def _half_the_text_back(ids):
    return _looks(_back(max(1, len(ids) // 2 - 1), len(ids)), 0.95)


HEADS = (
    (_induction, True),
    (_induction_and_more, True),
    (_induction_of_the_latest, True),
    (_previous_token, False),
    (_sink, False),
    (_same_token, False),
    (_everywhere, False),
    (_one_before_the_copy, False),
    (_nine_back, False),
    (_nineteen_back, False),
    (_twenty_four_back, False),
    (_half_the_text_back, False),
)
DOES_INDUCTION = under_one_name("pattern_of", HEADS)


def _does_induction(pattern_of):
    return DOES_INDUCTION[pattern_of]


def _twice(n, between=0, front=0):
    """Token ids: n different ones, others between, the same n again; and some in front."""
    once, filler, start = torch.randperm(1000, generator=torch.Generator().manual_seed(n))[: n + between + front].split(
        (n, between, front)
    )
    return torch.cat([start, once, filler, once])


def _measured(pattern_of, ids, kind="induction", least=0.4):
    return bool(mean_share(pattern_of(ids), token_pairs(ids)[kind]) > least)


def _repeated_once(pattern_of):
    """on a text repeated once, looking half the text back looks like induction: put something between the copies"""
    return all(_measured(pattern_of, _twice(n)) for n in (7, 15, 30))


def _one_length(pattern_of):
    """if all copies are 25 tokens apart, heads that look 24 tokens or half the text back pass: vary the distance"""
    return _measured(pattern_of, _twice(25, front=1))


def _one_length_of_ten(pattern_of):
    """if all copies are 10 tokens apart, heads that look 9 tokens or half the text back pass: vary the distance"""
    return _measured(pattern_of, _twice(10))


def _one_length_of_twenty(pattern_of):
    """if all copies are 20 tokens apart, heads that look 19 tokens or half the text back pass: vary the distance"""
    return _measured(pattern_of, _twice(20))


def _at_the_copy(pattern_of):
    """you measure the earlier copy itself: measure the token right after it"""
    return all(_measured(pattern_of, _twice(12, between), "same") for between in (3, 8))


def _just_before(pattern_of):
    """you measure the token just before, which says nothing about copies: measure the token right after a copy"""
    return _measured(pattern_of, _twice(12, 5), "previous")


def _at_the_first(pattern_of):
    """you measure the first token, which finds sink heads: measure the token right after a copy"""
    return _measured(pattern_of, _twice(12, 5), "first")


def _too_much(pattern_of):
    """your test rejects a real head that gives 0.6 to the tokens after a copy: 0.5 is enough"""
    return all(_measured(pattern_of, _twice(12, between), least=0.7) for between in (3, 8))


def _far_too_much(pattern_of):
    """your test rejects real heads that give 0.6 or 0.8 to the tokens after a copy: 0.5 is enough"""
    return all(_measured(pattern_of, _twice(12, between), least=0.9) for between in (3, 8))


def _too_little(pattern_of):
    """a head that attends evenly also gives a little to the tokens after a copy: require clearly more"""
    return all(_measured(pattern_of, _twice(12, between), least=0.01) for between in (3, 8))


def _any_large_share(pattern_of):
    """a large share somewhere is no sign of induction: measure the keys right after a copy"""
    return bool(pattern_of(_twice(12, 5))[1:, 1:].max() > 0.5)


def _one_word_only(pattern_of):
    """in a text of one token repeated, every key comes after a copy: use different tokens"""
    ids = torch.zeros(30, dtype=torch.long)
    return bool(mean_share(pattern_of(ids), token_pairs(ids)["induction"]) > 0.4)


def _turned_round(pattern_of):
    """the answers are swapped: return True for an induction head"""
    return not _does_induction(pattern_of)


def _all_of_them(pattern_of):
    """your test accepts every head: measure how much a head gives to the tokens after a copy"""
    return True


def _none_of_them(pattern_of):
    """your test rejects every head, even the real ones: check on a short text which pairs it measures"""
    return False


def _fresh_patterns(draw):
    shapes = ((draw.randint(2, 5), draw.randint(4, 7), n, 3) for n in (5, 6, 8, 9))
    return tuple((_pattern(1.4 * _numbers(*shape), 1.4 * _numbers(*shape, seed=1)),) for shape in shapes)


def _fresh_heads(draw):
    """The heads in another order, with more of each kind."""
    share, back = draw.uniform(0.6, 0.95), draw.randint(3, 6)

    def induction(ids):
        return _looks(_induction_pairs(ids), share)

    def looks_back(ids):
        return _looks(_back(back, len(ids)), share)

    DOES_INDUCTION.update(under_one_name("pattern_of", ((induction, True), (looks_back, False))))
    return tuple((head,) for head in draw.sample([*DOES_INDUCTION], len(DOES_INDUCTION)))


EXERCISES = {
    "3.1": Exercise(
        answer=_pattern,
        cases=(_two(1, 3), _two(5, 7), _two(3, 6, 2), _far_apart()),
        fresh=lambda draw: (_two(1, 2), _two(draw.randint(6, 9), 5), _two(draw.randint(2, 4), 7, 3), _far_apart()),
        mistakes=(
            _unscaled,
            _no_root,
            _root_of_64,
            _root_of_tokens,
            _scaled_last,
            _unmasked,
            _down_the_columns,
            _masked_afterwards,
            _repaired_afterwards,
            _swapped_roles,
            _no_softmax,
            _times_the_root,
            _finite_mask,
            _bare_exponentials,
            _past_masked,
            _future_zero,
            _cosine,
            _over_heads,
        ),
    ),
    "3.2": Exercise(
        answer=_induction_pairs,
        cases=(
            (torch.tensor([4]),),
            (torch.tensor([5, 1, 2, 3, 1, 2, 3, 1]),),
            (torch.tensor([7, 7, 7, 2, 7]),),
            (torch.tensor([262, 50256, 11, 262, 1000, 11, 262]),),  # as large as a vocabulary
        ),
        fresh=lambda draw: tuple((torch.tensor(draw.choices(range(n // 2), k=n)),) for n in (6, 9, 14, 20)),
        mistakes=(
            _same_pairs,
            _same_pairs_without_key_0,
            _equal_tokens,
            _column_0_kept,
            _before_the_copy,
            _future_too,
            _itself_too,
            _queries_across,
            _last_copy_only,
            _rolled_left,
            _rows_rolled,
            _previous_pairs,
            _as_numbers,
        ),
    ),
    "3.3": Exercise(
        answer=_farthest,
        cases=tuple(
            (_pattern(1.4 * _numbers(*shape), 1.4 * _numbers(*shape, seed=1)),)
            for shape in (
                (2, 7, 7, 2),
                (4, 7, 6, 3),
                (5, 4, 9, 3),
                (3, 4, 6, 3),
                (2, 7, 9, 3),
                (4, 7, 5, 3),
                (5, 4, 7, 2),
            )
        ),
        fresh=_fresh_patterns,
        mistakes=(
            _key_0_counts,
            _not_divided,
            _row_by_row,
            _itself_left_out,
            _nearest,
            _last_query_only,
            _strongest_links,
            _even_weights,
            _head_then_layer,
            _from_one,
            _flat_place,
            _the_distance,
            _all_the_distances,
            _first_layer_only,
        ),
    ),
    "3.4": Exercise(
        answer=_does_induction,
        cases=tuple((head,) for head in DOES_INDUCTION),
        fresh=_fresh_heads,
        mistakes=(
            _repeated_once,
            _one_length,
            _one_length_of_ten,
            _one_length_of_twenty,
            _at_the_copy,
            _just_before,
            _at_the_first,
            _too_much,
            _far_too_much,
            _too_little,
            _any_large_share,
            _one_word_only,
            _turned_round,
            _all_of_them,
            _none_of_them,
        ),
    ),
}
