"""Lesson 1: the mask, the softmax and what the first token collects."""

import torch

from headlab.exercises.engine import Exercise, under_one_name
from headlab.masking import causal_mask, mask_scores, softmax


def _scores(*shape):
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def _scores_with_one_far_below():
    """Scores whose first row lies below any round number that readers use instead of -inf."""
    scores = _scores(4, 4)
    scores[0, 0] = -1e36
    return scores


def _scores_with_one_high():
    """Scores whose first query would give all of its attention to the future; two that the last one sees are high."""
    scores = _scores(4, 4)
    scores[0, 3] = 200.0
    scores[3, :2] = torch.tensor([150.0, 151.0])  # beyond any bound at which readers clip
    return scores


def _transposed(n_tokens):
    """the mask is transposed: row i belongs to query i, which sees the keys j <= i, on and below the diagonal"""
    return causal_mask(n_tokens).T


def _no_self(n_tokens):
    """the diagonal is masked, but a token may attend to itself: the condition is j <= i, not j < i"""
    return causal_mask(n_tokens).tril(-1)


def _swapped(n_tokens):
    """True and False are swapped: True marks what a query may see"""
    return ~causal_mask(n_tokens)


def _numbers(n_tokens):
    """the values are right, but they are numbers: compare with == 1 or call .bool() to get True and False"""
    return causal_mask(n_tokens).float()


def _one_ahead(n_tokens):
    """row i sees one key of its future: the condition is j <= i, not j <= i + 1"""
    return torch.ones(n_tokens, n_tokens, dtype=torch.bool).tril(1)


def _all_visible(n_tokens):
    """nothing is masked, so every query sees every key: the condition is j <= i"""
    return torch.ones(n_tokens, n_tokens, dtype=torch.bool)


def _added_to_scores(n_tokens):
    """this is a mask of 0 and -inf, to be added: return True where the query may see the key, and False elsewhere"""
    return torch.zeros(n_tokens, n_tokens).masked_fill(~causal_mask(n_tokens), -torch.inf)


def _only_itself(n_tokens):
    """only the diagonal is visible, but a query also sees all keys before it: the condition is j <= i"""
    return torch.eye(n_tokens, dtype=torch.bool)


def _only_the_one_before(n_tokens):
    """each query sees only itself and the key just before it: let it see all earlier keys, j <= i"""
    return causal_mask(n_tokens).triu(-1)


def _one_too_large(n_tokens):
    """the mask has one row and one column too many: its shape is (n_tokens, n_tokens)"""
    return causal_mask(n_tokens + 1)


def _one_axis(n_tokens):
    """this is a single row: the mask has a row for every query, so its shape is (n_tokens, n_tokens)"""
    return causal_mask(n_tokens)[-1]


def _pattern(scores):
    return softmax(mask_scores(scores))


def _future_zero(scores):
    """the future's scores are set to 0, but exp(0) = 1, so the future still gets a share: set them to -inf"""
    return softmax(scores * causal_mask(scores.shape[-1]))


def _mask_after(scores):
    """the mask comes after the softmax: the future gets 0, but the rows no longer sum to 1. Mask the scores first"""
    return softmax(scores) * causal_mask(scores.shape[-1])


def _unmasked(scores):
    """nothing is masked, so the future gets a share: set its scores to -inf before the softmax"""
    return softmax(scores)


def _times_infinity(scores):
    """multiplying by -inf turns a negative score into +inf, and the softmax into nan: use masked_fill instead"""
    return (scores * torch.where(causal_mask(scores.shape[-1]), 1.0, -torch.inf)).softmax(-1)


def _over_queries(scores):
    """the softmax runs down the columns: each row has to sum to 1, so use the last axis"""
    return mask_scores(scores).softmax(-2)


def _over_the_first_axis(scores):
    """the softmax runs along axis 0: each row has to sum to 1, so use the last axis, dim=-1"""
    return mask_scores(scores).softmax(0)


def _over_axis_one(scores):
    """the softmax runs along axis 1, which is the last axis only where there is no head axis: use dim=-1"""
    return mask_scores(scores).softmax(1)


def _finite_mask(scores):
    """the future's scores are set to a finite number: where the past's are lower, the future wins. Use -inf"""
    return scores.masked_fill(~causal_mask(scores.shape[-1]), -1e4).softmax(-1)


def _bare_exponentials(scores):
    """exp is inf for high scores and 0 for low ones: use .softmax(-1), which subtracts the row's largest score first"""
    weights = mask_scores(scores).exp()
    return weights / weights.sum(-1, keepdim=True)


def _mask_of_the_first_axis(scores):
    """the mask has the size of the first axis, which may be the heads: the number of tokens is scores.shape[-1]"""
    return softmax(scores.masked_fill(~causal_mask(scores.shape[0]), -torch.inf))


def _scaled(scores):
    """the scores are scaled first: this exercise takes them as they are (scaling comes in lesson 3)"""
    return softmax(mask_scores(scores / scores.shape[-1] ** 0.5))


def _past_masked(scores):
    """the mask is inverted: it hides the past and keeps the future. Mask the keys j > i"""
    return scores.masked_fill(causal_mask(scores.shape[-1]), -torch.inf).softmax(-1)


def _itself_masked(scores):
    """the diagonal is masked, so the first row has no key left: a query may see itself"""
    return scores.masked_fill(~causal_mask(scores.shape[-1]).tril(-1), -torch.inf).softmax(-1)


def _keys_by_queries(scores):
    """the mask is transposed: row i belongs to query i, which sees the keys on and below the diagonal"""
    return scores.masked_fill(~causal_mask(scores.shape[-1]).mT, -torch.inf).softmax(-1)


def _sees_the_next(scores):
    """each query sees one key of its future: mask everything above the diagonal"""
    return scores.masked_fill(torch.ones_like(scores).triu(2).bool(), -torch.inf).softmax(-1)


def _repaired_afterwards(scores):
    """the mask comes too late: a very high future score leaves the past only zeros, and 0 / 0 is nan. Mask first"""
    late = softmax(scores) * causal_mask(scores.shape[-1])
    return late / late.sum(-1, keepdim=True)


def _no_softmax(scores):
    """these are the masked scores: take their softmax"""
    return mask_scores(scores)


def _first_wins(pattern):
    return (pattern[..., 1:, :].argmax(-1) == 0).float().mean(-1)


def _first_query_too(pattern):
    """the first query is counted: key 0 always wins there, because it is the only key. Leave row 0 out"""
    return (pattern.argmax(-1) == 0).float().mean(-1)


def _mean_share(pattern):
    """this is the first key's mean share, as in section 9: ask for each query whether key 0 gets the largest share"""
    return pattern[..., 1:, 0].mean(-1)


def _more_than_half(pattern):
    """a share can be the largest of its row and still be less than a half: compare it with the other shares"""
    return (pattern[..., 1:, 0] > 0.5).float().mean(-1)


def _more_than_even(pattern):
    """a share above the even one need not be the largest: compare key 0 with the other keys of the row"""
    return (pattern[..., 1:, 0] > 1 / torch.arange(2.0, pattern.shape[-1] + 1)).float().mean(-1)


def _winning_query(pattern):
    """argmax runs down the columns, over the queries: take it over the keys, the last axis"""
    return (pattern[..., 1:, :].argmax(-2) == 0).float().mean(-1)


def _itself_wins(pattern):
    """this counts how often a query gives the most to itself: count how often it gives the most to key 0"""
    return (pattern.argmax(-1) == torch.arange(pattern.shape[-1]))[..., 1:].float().mean(-1)


def _number_of_wins(pattern):
    """this is a number of queries, not a fraction: divide by how many there are, or take the mean"""
    return (pattern[..., 1:, :].argmax(-1) == 0).float().sum(-1)


def _divided_by_all(pattern):
    """divided by the number of all queries: the first is not counted, so divide by one less"""
    return _number_of_wins(pattern) / pattern.shape[-1]


def _heads_too(pattern):
    """the heads are averaged as well: average over the queries alone and return one number for each head"""
    return _first_wins(pattern).mean()


def _which_win(pattern):
    """this is one True or False for each query: take their mean over the queries"""
    return pattern[..., 1:, :].argmax(-1) == 0


def _winners(pattern):
    """these are the winning keys themselves: count how often the winner is key 0"""
    return pattern[..., 1:, :].argmax(-1)


def _last_query_left_out(pattern):
    """the last query is left out instead of the first: the slice 1: leaves out the first"""
    return (pattern[..., :-1, :].argmax(-1) == 0).float().mean(-1)


def _others_win(pattern):
    """this is how often another key wins: return how often the first key wins"""
    return 1 - _first_wins(pattern)


def _place(shares):
    return tuple(int(index) for index in torch.unravel_index(shares.argmax(), shares.shape))


def _counted(patterns, itself=False, first=False):
    """The shares that count, the others 0."""
    kept = torch.ones(patterns.shape[-2:], dtype=torch.bool).tril(0 if itself else -1)
    kept[:, 0] &= first
    return patterns * kept


def _strongest_link(patterns):
    return _place(_counted(patterns))


def _anything(patterns):
    """this is the largest share of all, which may go to the query itself or to the first token: leave both out"""
    return _place(patterns)


def _first_key_counts(patterns):
    """the first token is counted as a key: leave column 0 out"""
    return _place(_counted(patterns, first=True))


def _itself_counts(patterns):
    """a query's share on itself is counted: leave the diagonal out"""
    return _place(_counted(patterns, itself=True))


def _key_then_query(patterns):
    """query and key are swapped: the order is (layer, head, query, key)"""
    layer, head, query, key = _strongest_link(patterns)
    return layer, head, key, query


def _head_then_layer(patterns):
    """layer and head are swapped: the order is (layer, head, query, key)"""
    layer, head, query, key = _strongest_link(patterns)
    return head, layer, query, key


def _from_one(patterns):
    """all four numbers count from 1: layers, heads and tokens count from 0"""
    return tuple(index + 1 for index in _strongest_link(patterns))


def _flat_place(patterns):
    """this is one number, the position in the flattened tensor: torch.unravel_index turns it into four indices"""
    return _counted(patterns).argmax()


def _the_share(patterns):
    """this is the share itself: return its position, (layer, head, query, key)"""
    return _counted(patterns).max()


def _first_head_only(patterns):
    """only layer 0, head 0 is searched: look through all heads of all layers"""
    return (0, 0, *_place(_counted(patterns)[0, 0]))


def _first_layer_only(patterns):
    """only layer 0 is searched: look through all heads of all layers"""
    return (0, *_place(_counted(patterns)[0]))


def _best_on_average(patterns):
    """this is where the mean over the heads is largest: look for the largest single share"""
    query, key = _place(_counted(patterns).mean((0, 1)))
    return (*_place(_counted(patterns)[..., query, key]), query, key)


def _no_first_row(patterns):
    """row 0 is cut off, so the queries' positions are one too low: add 1 to them"""
    layer, head, query, key = _strongest_link(patterns)
    return layer, head, query - 1, key


def _sliced_columns(patterns):
    """column 0 is cut off, so the keys' positions are one too low: add 1 to them"""
    layer, head, query, key = _strongest_link(patterns)
    return layer, head, query, key - 1


def _sliced_both(patterns):
    """row 0 and column 0 are cut off, so the positions of queries and keys are one too low: add 1 to both"""
    layer, head, query, key = _strongest_link(patterns)
    return layer, head, query - 1, key - 1


# What exercise 1.5 hands to a reader's test: functions from scores (query, key) to a pattern, and whether they leak.


def _hot(scores):
    """A temperature: other shares than usual, but no leak."""
    return softmax(mask_scores(scores / 3))


def _adds_one(scores):
    """The report's mask, added."""
    return (scores + torch.ones_like(scores).masked_fill(~causal_mask(scores.shape[-1]), -torch.inf)).softmax(-1)


def _even(scores):
    """Every visible key gets the same, whatever the scores."""
    return softmax(mask_scores(torch.zeros_like(scores)))


def _shifted_by_the_largest(scores):
    """Right, except that it subtracts the largest score of the whole text, the future included."""
    weights = (scores - scores.max()).exp() * causal_mask(scores.shape[-1])
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-30)


def _spares_the_first_rows(scores):
    """From the third query on, each sees one key ahead."""
    visible = causal_mask(len(scores))
    visible[2:] |= torch.ones_like(visible).tril(1)[2:]
    return scores.masked_fill(~visible, -torch.inf).softmax(-1)


ATTENDS = (
    (_pattern, False),
    (_hot, False),
    (_adds_one, False),
    (_even, False),
    (_unmasked, True),
    (_future_zero, True),
    (_mask_after, True),
    (_sees_the_next, True),
    (_finite_mask, True),
    (_repaired_afterwards, True),
    (_shifted_by_the_largest, True),
    (_spares_the_first_rows, True),
)
LEAKS = under_one_name("attend", ATTENDS)


def _leaks(attend):
    return LEAKS[attend]


def _shows(attend, past=0.0):
    """Whether a key in the future gets a share, the scores being ordinary ones plus `past`."""
    return bool((attend(_scores(5, 5) + past)[~causal_mask(5)] != 0).any())


def _moves(attend, future, rows=slice(None)):
    """Whether other scores in the future change a row's shares."""
    scores = _scores(5, 5)
    before, after = attend(scores), attend(scores.masked_fill(~causal_mask(5), future))
    return not torch.allclose(before[rows], after[rows], atol=1e-6)


def _only_zeros(attend):
    """zeros above the diagonal prove too little: try unusual scores, and compare two runs with different futures"""
    return _shows(attend)


def _zeros_whatever_the_past(attend):
    """zeros above the diagonal prove too little: a future score may change the past's shares, so compare two runs"""
    return _shows(attend) or _shows(attend, -1e9)


def _ordinary_scores(attend):
    """ordinary scores do not show every leak: try a very low past (section 4) and a very high future (section 6)"""
    return _shows(attend) or _moves(attend, 7.0)


def _no_low_past(attend):
    """your test misses a leak: a mask of -10,000 leaks where the past's scores lie below it, as in section 4"""
    return _shows(attend) or _moves(attend, 200.0)


def _no_high_future(attend):
    """your test misses leaks: a very high future score (section 6) turns shares of the past into 0 or nan"""
    return _shows(attend) or _shows(attend, -1e9) or _moves(attend, 3.0)


def _only_moves(attend):
    """two runs can agree although the future gets a share (a finite mask, section 4): look above the diagonal too"""
    return _moves(attend, 3.0) or _moves(attend, 200.0)


def _first_row_only(attend):
    """a leak may spare the first rows: check every row that has a future, with four tokens or more"""
    low = attend(_scores(5, 5) - 1e9)[0, 1:]
    return bool((low != 0).any()) or _moves(attend, 3.0, slice(0, 1)) or _moves(attend, 200.0, slice(0, 1))


def _other_past(attend):
    """you change the past's scores too, and these may change a row: change the future's scores alone"""
    return not torch.allclose(attend(_scores(5, 5)), attend(_scores(5, 5) + 2 * _scores(5, 1)[:, 0]), atol=1e-6)


def _against_the_right_one(attend):
    """you compare with one correct pattern, but a sound function may give another: compare it with itself"""
    scores = torch.cat([_scores(5, 4), torch.full((5, 1), 300.0)], 1)
    low = _scores(5, 5) - 1e9
    return any(not torch.allclose(attend(s), _pattern(s), atol=1e-6) for s in (scores, low))


def _right_way_round(attend):
    """the answers are swapped: return True for a function that leaks"""
    return not _leaks(attend)


def _all_leak(attend):
    """your test says that every function leaks, even sound ones: change future scores only, and allow for rounding"""
    return True


def _none_leaks(attend):
    """your test says that no function leaks: change a future score and compare the rows before and after"""
    return False


def _nan_passes(attend):
    """a row that becomes nan goes unnoticed: nan > 0 is False, so use allclose, or look for nan first"""
    scores, ahead = _scores(5, 5), ~causal_mask(5)
    changes = (attend(scores) - attend(scores.masked_fill(ahead, future)) for future in (3.0, 200.0))
    return _shows(attend) or _shows(attend, -1e9) or any(bool((change.abs() > 1e-6).any()) for change in changes)


def _fresh_scores(draw):
    n = draw.randint(6, 10)
    plain = ((_scores(1, 1),), (_scores(n, n),), (_scores(draw.randint(2, 5), n - 3, n - 3),))
    return (*plain, (_scores_with_one_far_below(),), (_scores_with_one_high(),))


def _fresh_attends(draw):
    """The twelve functions and four more, in another order. A test that is right for the twelve is right for these."""
    temperature, finite, first = draw.uniform(0.5, 2.0), -draw.uniform(2e3, 1e4), draw.randint(1, 2)

    def even_and_learned(scores):
        return 0.5 * _even(scores) + 0.5 * _pattern(scores)

    def warm(scores):
        return _pattern(scores * temperature)

    def finite_mask(scores):
        return scores.masked_fill(~causal_mask(len(scores)), finite).softmax(-1)

    def sees_ahead(scores):
        ahead = torch.ones_like(scores).tril(1).bool()
        ahead[:first] = causal_mask(len(scores))[:first]
        return scores.masked_fill(~ahead, -torch.inf).softmax(-1)

    more = ((even_and_learned, False), (warm, False), (finite_mask, True), (sees_ahead, True))
    LEAKS.update(under_one_name("attend", more))
    return tuple((attend,) for attend in draw.sample([*LEAKS], len(LEAKS)))


EXERCISES = {
    "1.1": Exercise(
        answer=causal_mask,
        cases=((1,), (4,), (7,)),
        fresh=lambda draw: tuple((n,) for n in (1, *draw.sample((2, 3, 5, 6, 8, 9, 10), 3))),
        mistakes=(
            _transposed,
            _no_self,
            _swapped,
            _numbers,
            _one_ahead,
            _all_visible,
            _added_to_scores,
            _only_itself,
            _only_the_one_before,
            _one_too_large,
            _one_axis,
        ),
    ),
    "1.2": Exercise(
        answer=_pattern,
        cases=(
            (_scores(1, 1),),
            (_scores(5, 5),),
            (_scores_with_one_far_below(),),
            (_scores_with_one_high(),),
            (_scores(3, 4, 4),),
        ),
        fresh=_fresh_scores,
        mistakes=(
            _future_zero,
            _mask_after,
            _unmasked,
            _times_infinity,
            _over_queries,
            _over_the_first_axis,
            _over_axis_one,
            _finite_mask,
            _bare_exponentials,
            _mask_of_the_first_axis,
            _no_softmax,
            _scaled,
            _past_masked,
            _itself_masked,
            _keys_by_queries,
            _sees_the_next,
            _repaired_afterwards,
        ),
    ),
    "1.3": Exercise(
        answer=_first_wins,
        cases=((_pattern(_scores(2, 2)),), (_pattern(_scores(6, 6)),), (_pattern(_scores(3, 7, 7) / 2),)),
        fresh=lambda draw: tuple((_pattern(scores),) for (scores,) in _fresh_scores(draw) if scores.shape[-1] > 1),
        mistakes=(
            _first_query_too,
            _mean_share,
            _more_than_half,
            _more_than_even,
            _winning_query,
            _itself_wins,
            _number_of_wins,
            _divided_by_all,
            _heads_too,
            _which_win,
            _winners,
            _last_query_left_out,
            _others_win,
        ),
    ),
    "1.4": Exercise(
        answer=_strongest_link,
        cases=tuple(  # the link is in heads 2 of 3, 0 of 1, 1 of 2, 1 of 3 and 0 of 2
            (_pattern(_scores(*shape)),)
            for shape in ((2, 3, 6, 6), (1, 1, 3, 3), (4, 2, 5, 5), (3, 3, 6, 6), (4, 2, 6, 6))
        ),
        fresh=lambda draw: tuple((_pattern(_scores(draw.randint(1, 4), draw.randint(2, 5), n, n)),) for n in (4, 7, 8)),
        mistakes=(
            _anything,
            _first_key_counts,
            _itself_counts,
            _key_then_query,
            _head_then_layer,
            _from_one,
            _flat_place,
            _the_share,
            _first_head_only,
            _first_layer_only,
            _best_on_average,
            _no_first_row,
            _sliced_columns,
            _sliced_both,
        ),
    ),
    "1.5": Exercise(
        answer=_leaks,
        cases=tuple((attend,) for attend in LEAKS),
        fresh=_fresh_attends,
        mistakes=(
            _only_zeros,
            _zeros_whatever_the_past,
            _ordinary_scores,
            _no_low_past,
            _no_high_future,
            _only_moves,
            _first_row_only,
            _other_past,
            _against_the_right_one,
            _right_way_round,
            _all_leak,
            _none_leaks,
            _nan_passes,
        ),
    ),
}
