"""Lesson 5: what softmax sees, a choice of gauge, a number that does not depend on it, and what makes the sink."""

import numpy as np
import torch

from headlab.contrast import below_first_key, below_row_mean, effective_tokens, row_contrast
from headlab.exercises.engine import Exercise, describe
from headlab.masking import causal_mask
from headlab.scores import attention_pattern


def _scores(*shape, mean=-1.0):
    """Scores whose future differs from their past, so that counting it shows."""
    values = mean + 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))
    return torch.where(causal_mask(shape[-1]), values, values + 2.5)


def _centred(raw):
    visible = causal_mask(raw.shape[-1])
    means = (raw * visible).sum(-1, keepdim=True) / visible.sum(-1, keepdim=True)
    return (raw - means).masked_fill(~visible, -torch.inf)


def _mean_with_future(raw):
    """the future is in the rows' means: average only over the keys that the query sees"""
    return (raw - raw.mean(-1, keepdim=True)).masked_fill(~causal_mask(raw.shape[-1]), -torch.inf)


def _one_mean(raw):
    """one mean is subtracted from the whole head: subtract from each row the mean of its own visible scores"""
    visible = causal_mask(raw.shape[-1])
    mean = raw[..., visible].mean(-1)[..., None, None]
    return (raw - mean).masked_fill(~visible, -torch.inf)


def _column_means(raw):
    """the columns are centred, which changes the differences that softmax sees: centre the rows"""
    visible = causal_mask(raw.shape[-1])
    means = (raw * visible).sum(-2, keepdim=True) / visible.sum(-2, keepdim=True)
    return (raw - means).masked_fill(~visible, -torch.inf)


def _not_masked(raw):
    """the future is not -inf: mask the centred scores"""
    visible = causal_mask(raw.shape[-1])
    return raw - (raw * visible).sum(-1, keepdim=True) / visible.sum(-1, keepdim=True)


def _never_masked(raw):
    """nothing is masked: leave the future out of the rows' means, and set it to -inf in the result"""
    return raw - raw.mean(-1, keepdim=True)


def _by_width(raw):
    """each row's sum is divided by T: row i has i + 1 visible keys, so divide by i + 1"""
    visible = causal_mask(raw.shape[-1])
    return (raw - (raw * visible).mean(-1, keepdim=True)).masked_fill(~visible, -torch.inf)


def _median_of_row(raw):
    """each row's median is subtracted: softmax does not mind, but the exercise asks for the mean"""
    visible = causal_mask(raw.shape[-1])
    middle = raw.double().masked_fill(~visible, torch.nan).nanquantile(0.5, dim=-1, keepdim=True)
    return (raw - middle).masked_fill(~visible, -torch.inf).to(raw.dtype)


def _highest_zero(raw):
    """each row's highest score is subtracted: softmax does not mind, but the exercise asks for the mean"""
    scores = raw.masked_fill(~causal_mask(raw.shape[-1]), -torch.inf)
    return scores - scores.amax(-1, keepdim=True)


def _first_zero(raw):
    """the first key's score is subtracted: softmax does not mind, but the exercise asks for the mean of the row"""
    return (raw - raw[..., :1]).masked_fill(~causal_mask(raw.shape[-1]), -torch.inf)


def _masked_first(raw):
    """the future is -inf before the mean is taken, so the means are -inf: average the visible scores, then mask"""
    scores = raw.masked_fill(~causal_mask(raw.shape[-1]), -torch.inf)
    return scores - scores.mean(-1, keepdim=True)


def _mean_of_all_heads(raw):
    """one mean is subtracted from all heads: subtract from each row the mean of its own visible scores"""
    visible = causal_mask(raw.shape[-1])
    return (raw - raw[..., visible].mean()).masked_fill(~visible, -torch.inf)


def _divided(raw):
    """each row is also divided by its standard deviation: softmax does see how wide a row is. Only subtract"""
    visible = causal_mask(raw.shape[-1])
    centred = _centred(raw).masked_fill(~visible, 0.0)
    width = (centred.square().sum(-1, keepdim=True) / visible.sum(-1, keepdim=True)).sqrt()
    return (centred / width.clamp(min=1e-9)).masked_fill(~visible, -torch.inf)


def _head_case(seed, n_tokens, d_head):
    """Queries and keys of one head, with queries that point to all sides and scores on both sides of zero."""
    q, k = torch.randn(2, n_tokens, d_head, generator=torch.Generator().manual_seed(seed))
    return 3 * q, 2 * k - 1


def _lifted(q, k):
    lowest = (q @ k.T)[causal_mask(len(q))].min()
    return (1 + lowest.abs()) * _unit_lift(q)


def _unit_lift(q):
    """The shortest vector whose product with every query is 1."""
    return torch.linalg.lstsq(q, torch.ones(len(q), 1, dtype=q.dtype), driver="gelsd").solution[:, 0]


def _not_positive(results, cases):
    """What is wrong with vectors that should make all causal scores positive."""
    for result, (q, k) in zip(results, cases, strict=True):
        vector = _numbers(result)
        if vector is None or vector.shape != (q.shape[1],):
            return f"expected one vector of shape ({q.shape[1]},), a number for each channel, got {describe(result)}"
        if not np.isfinite(vector).all():
            return "your vector is not finite: it holds nan or inf"
        before, scores = (
            (q.double() @ keys.T)[causal_mask(len(q))] for keys in (k.double(), k + torch.from_numpy(vector))
        )
        if scores.min() <= 0:
            told = f"{int((scores <= 0).sum())} of {len(scores)} causal scores are not positive"
            return f"with your vector {told}: the lowest is {scores.min():.4g}, without it {before.min():.4g}"
    return None


def _numbers(result):
    """A result as float64 numpy, or None where it holds no real numbers."""
    try:
        array = np.asarray(result.detach().cpu() if isinstance(result, torch.Tensor) else result)
        return array.astype(np.float64) if array.dtype.kind in "iuf" else None
    except (TypeError, ValueError, RuntimeError, NotImplementedError):
        return None


def _pushed_down(q, k):
    """your vector moves the scores down, not up: change its sign"""
    return -_lifted(q, k)


def _mean_query(q, k):
    """your vector points along the mean query, so other queries can get lower scores: solve for all queries at once"""
    return 100 * q.mean(0)


def _lift_of_one(q, k):
    """all scores rise by only 1: multiply your vector so that the lowest score rises above 0"""
    return _unit_lift(q)


def _to_zero(q, k):
    """the lowest score rises to 0, which is not positive: lift it a little more"""
    return (q @ k.T)[causal_mask(len(q))].min().abs() * _unit_lift(q)


def _ones(q, k):
    """the same number in every channel lifts a query only if its channels sum to more than 0: solve for all queries"""
    return 100 * torch.ones(q.shape[1])


def _lifted_scores(q, k):
    """these are scores: return the vector (channel,) that is added to the key bias"""
    return q @ (k + _lifted(q, k)).T


def _lifted_keys(q, k):
    """these are the changed keys: return the vector (channel,) that is added to each of them"""
    return k + _lifted(q, k)


def _a_column(q, k):
    """the vector has an axis too many: return (channel,), not (channel, 1)"""
    return _lifted(q, k)[:, None]


def _along_keys(q, k):
    """your vector has the same product with every key, but the queries multiply it: solve for the queries"""
    return (1 + (q @ k.T).abs().max()) * _unit_lift(k)


def _by_the_mean(q, k):
    """the scores rise by the size of their mean, which is too little: lift the lowest one above 0"""
    return (1 + (q @ k.T)[causal_mask(len(q))].mean().abs()) * _unit_lift(q)


def _centred_keys(q, k):
    """the mean key is subtracted, which leaves scores on both sides of 0: lift the scores of all queries"""
    return -k.mean(0)


def _invariant_cases():
    """Three heads; then the first one in three gauges, and with another future."""
    random = torch.Generator().manual_seed(54)
    heads = 4 * torch.randn(3, 7, 7, generator=random, dtype=torch.float64) - 1
    constants = 60 * torch.randn(2, 7, 1, generator=random, dtype=torch.float64)
    future = heads[0] + 40 * torch.randn(7, 7, generator=random, dtype=torch.float64).triu(1)
    return tuple((raw,) for raw in (*heads, heads[0] - 50, *(heads[0] + constants), future))


def _of_section_2(raw):
    """(name, value) of what section 2 measures in one head, with each choice of scaling and first query."""
    yield "share below the first key", below_first_key(raw)
    yield "share below the first key", 1 - below_first_key(raw)
    yield "share below the row's mean", below_row_mean(raw)
    rows = [row[: i + 1] for i, row in enumerate(raw)]
    for start in (1, 2):
        yield "spread", np.mean([row.std(correction=0) for row in rows[start:]])
        yield "spread", np.mean([row.std() for row in rows[start:]])
        yield "gap", np.mean([row[0] - row[1:].mean() for row in rows[start:]])
    for d_head in (1, 64):
        pattern = attention_pattern(raw, d_head)
        for start in (0, 1, 2):
            yield "number of effective tokens", effective_tokens(pattern)[start:].mean()
            yield "share of the first key", pattern[start:, 0].mean().item()


def _moved(results, cases):
    """What is wrong with a number that should not depend on the gauge."""
    numbers = [_numbers(result) for result in results]
    for result, number in zip(results, numbers, strict=True):
        if number is None or number.ndim != 0 or not np.isfinite(number):
            got = describe(result) if number is None or number.ndim else number
            return f"expected one finite number for each head (query, key), got {got}"
    numbers = np.stack(numbers)
    same = [np.isclose(number, numbers[0], rtol=1e-4, atol=1e-4) for number in numbers]
    changes = {
        3: "when 50 is subtracted from every score",
        4: "when each row gets its own constant",
        5: "in another gauge",
    }
    for place, change in changes.items():
        if not same[place]:
            moves = f"from {numbers[0]:.4g} to {numbers[place]:.4g} {change}"
            return f"your number goes {moves}: use differences within rows"
    if not same[6]:
        return "your number changes with the scores of the future, which no query sees: mask it"
    if same[1] and same[2]:
        return "your number is the same for three different heads: choose one that changes with the scores"
    for known in zip(*(_of_section_2(raw) for (raw,) in cases), strict=True):
        name, values = known[0][0], np.array([value for _, value in known])
        multiple = (numbers @ values) / (values @ values)
        if np.allclose(numbers, multiple * values, rtol=1e-4, atol=1e-6):
            return f"this number does not depend on the gauge, but it is section 2's {name}: invent another one"
    return None


def _range_of_rows(raw):
    visible = causal_mask(len(raw))
    high, low = (raw.masked_fill(~visible, s * torch.inf) for s in (-1, 1))
    return (high.amax(-1) - low.amin(-1)).mean()


def _negative_again(raw):
    """this is the fraction of negative scores, which a gauge can move from 0 to 1: use differences within rows"""
    return (raw[causal_mask(len(raw))] < 0).double().mean()


def _mean_again(raw):
    """this is the mean of the scores, which moves with the constant of each row: use differences within rows"""
    return raw[causal_mask(len(raw))].mean()


def _median_again(raw):
    """this is the median of the scores, which moves with the constants of the rows: use differences within rows"""
    return raw[causal_mask(len(raw))].quantile(0.5)


def _std_of_all(raw):
    """this is the deviation of all scores together, which changes if each row gets its own constant: go row by row"""
    return raw[causal_mask(len(raw))].std(correction=0)


def _highest(raw):
    """this is the highest score, which moves with the constant of its row: subtract another score of the same row"""
    return raw[causal_mask(len(raw))].max()


def _range_of_all(raw):
    """the head's highest and lowest score may lie in different rows, whose constants do not cancel: go row by row"""
    scores = raw[causal_mask(len(raw))]
    return scores.max() - scores.min()


def _spread_with_future(raw):
    """the future is included: take the spread over each row's visible keys only"""
    return raw.std(-1, correction=0).mean()


def _how_many(raw):
    """this counts the pairs, so it is the same for every head of a text: use the scores"""
    return causal_mask(len(raw)).sum()


def _one_per_row(raw):
    """this is one number for each row: return one number for the head, such as their mean"""
    return torch.stack([raw[i, : i + 1].max() - raw[i, : i + 1].min() for i in range(len(raw))])


def _columns(raw):
    """these differences are between rows, whose constants do not cancel: subtract scores of the same row"""
    return (raw[:, 0] - raw[-1, 0]).mean()


def _lead_case(seed, n_layers, n_heads, n_tokens):
    """Raw scores and their query-bias term (layer, head, query, key) in which first keys stand out for two reasons.

    The future differs from head to head, so that counting it shows.
    """
    random = torch.Generator().manual_seed(seed)
    content = 5 * torch.randn(n_layers, n_heads, n_tokens, n_tokens, generator=random)
    bias = 5 * torch.randn(n_layers, n_heads, 1, n_tokens, generator=random).expand_as(content).clone()
    content[..., 0] += 20 * torch.randn(n_layers, n_heads, 1, generator=random)
    bias[..., 0] += 30 * torch.randn(n_layers, n_heads, 1, generator=random)
    level = 40 * torch.randn(n_layers, n_heads, n_tokens, 1, generator=random)
    future = 40 * torch.randn(n_layers, n_heads, 1, 1, generator=random).expand_as(content).triu(1)
    return content + bias + level + future, bias


def _place(values):
    values = np.asarray(values)
    return tuple(int(i) for i in np.unravel_index(values.argmax(), values.shape))


def _lead_without_bias(raw, query_bias):
    return _place(row_contrast(raw - query_bias).gap)


def _lead_as_it_is(raw, query_bias):
    """the query bias is still in the scores: subtract it first"""
    return _place(row_contrast(raw).gap)


def _lead_of_the_bias(raw, query_bias):
    """this is the head in which the query bias itself makes the largest gap: measure what is left without it"""
    return _place(row_contrast(query_bias).gap)


def _least_lead(raw, query_bias):
    """this is the smallest gap: look for the largest one of raw - query_bias"""
    return _place(-row_contrast(raw - query_bias).gap)


def _size_of_lead(raw, query_bias):
    """the sign of the gap is dropped, but a first key far below the others does not lead: keep the sign"""
    return _place(np.abs(row_contrast(raw - query_bias).gap))


def _widest(raw, query_bias):
    """this is the widest spread, but a row can be wide without a high first key: use the gap"""
    return _place(row_contrast(raw - query_bias).spread)


def _highest_first(raw, query_bias):
    """the first key's own score says nothing: compare it with the other keys of its row"""
    return _place((raw - query_bias)[..., 2:, 0].mean(-1))


def _head_first(raw, query_bias):
    """layer and head are swapped: return (layer, head)"""
    return _lead_without_bias(raw, query_bias)[::-1]


def _flat_place(raw, query_bias):
    """this is one number, counted through all heads: turn it into (layer, head) with divmod or unravel_index"""
    return int(row_contrast(raw - query_bias).gap.argmax())


def _all_gaps(raw, query_bias):
    """these are the gaps of all heads: return the (layer, head) of the largest"""
    return row_contrast(raw - query_bias).gap


def _added_again(raw, query_bias):
    """the query bias is added once more: subtract it"""
    return _place(row_contrast(raw + query_bias).gap)


def _with_the_future(raw, query_bias):
    """the future is in the means: average over the keys that each query sees"""
    left = (raw - query_bias)[..., 2:, :]
    return _place((left[..., 0] - left[..., 1:].mean(-1)).mean(-1))


def _gap_by_hand(raw, first=2, self_too=False):
    """The first key's score minus the mean of the other visible ones, or of all, summed over queries from `first`."""
    left = range(first, raw.shape[-1])
    return sum(raw[..., i, 0] - raw[..., i, (0 if self_too else 1) : i + 1].mean(-1) for i in left)


def _from_the_second(raw, query_bias):
    """the second query is in the mean: average over the queries from the third on, as section 2 does"""
    return _place(_gap_by_hand(raw - query_bias, first=1))


def _last_query_alone(raw, query_bias):
    """only the last query is used: average over all queries from the third on"""
    return _place(_gap_by_hand(raw - query_bias, first=raw.shape[-1] - 1))


def _first_among_others(raw, query_bias):
    """the first key is in the mean of its row: subtract the mean of the other keys alone"""
    return _place(_gap_by_hand(raw - query_bias, self_too=True))


def _over_the_highest(raw, query_bias):
    """the highest of the other keys is subtracted: subtract their mean"""
    left = raw - query_bias
    leads = [left[..., i, 0] - left[..., i, 1 : i + 1].amax(-1) for i in range(2, left.shape[-1])]
    return _place(sum(leads))


def _largest_share(raw, query_bias):
    """here the first key gets the largest share of attention: compare the gaps of the raw scores"""
    return _place(attention_pattern((raw - query_bias).double(), 64)[..., 2:, 0].mean(-1))


def _fresh_leads(draw):
    """A case for each near miss that shows it."""
    near_misses = _from_the_second, _last_query_alone, _first_among_others, _over_the_highest, _largest_share
    return tuple(_lead_that_shows(near_miss, draw) for near_miss in near_misses)


def _lead_that_shows(near_miss, draw):
    while True:
        case = _lead_case(draw.randrange(10**6), draw.randint(2, 5), draw.randint(2, 5), draw.randint(5, 8))
        if near_miss(*case) != _lead_without_bias(*case):
            return case


NAMES = ("content", "query_bias", "key_bias", "constant")


def _sink_case(seed, n_tokens, content_gap, bias_gap, constant):
    """Four terms of one head whose first key stands out, by so much in each of the two terms that softmax sees."""
    random = torch.Generator().manual_seed(seed)
    content = 12 * torch.randn(n_tokens, n_tokens, generator=random)
    query_bias = 8 * torch.randn(1, n_tokens, generator=random).expand(n_tokens, -1).clone()
    content[:, 0] += content_gap
    query_bias[:, 0] += bias_gap
    key_bias = 20 * torch.randn(n_tokens, 1, generator=random).expand(-1, n_tokens) - 40
    return content, query_bias, key_bias, torch.full((n_tokens, n_tokens), constant)


def _least(values):
    return NAMES[int(np.argmin(values))]


def _left_without_each(terms, first_share):
    """`first_share` of the scores after the removal of each of the four terms."""
    return [float(first_share(sum(terms) - term)) for term in terms]


def _first_share(raw):
    return attention_pattern(raw, 64.0)[2:, 0].mean()


def _breaks_the_sink(content, query_bias, key_bias, constant):
    return _least(_left_without_each((content, query_bias, key_bias, constant), _first_share))


def _all_queries(content, query_bias, key_bias, constant):
    """the first two queries are in the mean: start from the third"""
    terms = (content, query_bias, key_bias, constant)
    return _least(_left_without_each(terms, lambda raw: attention_pattern(raw, 64.0)[:, 0].mean()))


def _no_mask(content, query_bias, key_bias, constant):
    """the future takes part in the softmax: mask the scores first"""
    terms = (content, query_bias, key_bias, constant)
    return _least(_left_without_each(terms, lambda raw: (raw / 8).softmax(-1)[2:, 0].mean()))


def _no_scaling(content, query_bias, key_bias, constant):
    """the scores are not scaled: divide them by the square root of d_head, 8, before the softmax"""
    terms = (content, query_bias, key_bias, constant)
    return _least(_left_without_each(terms, lambda raw: attention_pattern(raw, 1.0)[2:, 0].mean()))


def _by_d_head(content, query_bias, key_bias, constant):
    """the scores are divided by d_head: divide by its square root, 8"""
    terms = (content, query_bias, key_bias, constant)
    return _least(_left_without_each(terms, lambda raw: attention_pattern(raw, 64.0**2)[2:, 0].mean()))


def _each_alone(content, query_bias, key_bias, constant):
    """each term is tried alone: remove one term at a time and keep the other three"""
    return _least([-float(_first_share(term)) for term in (content, query_bias, key_bias, constant)])


def _largest_gap(content, query_bias, key_bias, constant):
    """this term has the largest gap, but another may cost more share: remove each in turn and take the softmax"""
    return _least([-float(row_contrast(term).gap) for term in (content, query_bias, key_bias, constant)])


def _last_query(content, query_bias, key_bias, constant):
    """only the last query is used: average over all queries from the third on"""
    terms = (content, query_bias, key_bias, constant)
    return _least(_left_without_each(terms, lambda raw: attention_pattern(raw, 64.0)[-1, 0]))


def _sparsity(content, query_bias, key_bias, constant):
    """this removal costs the most sparsity: measure the first key's share instead"""
    terms = (content, query_bias, key_bias, constant)
    tokens = [effective_tokens(attention_pattern(sum(terms) - term, 64.0))[2:].mean() for term in terms]
    return _least([-value for value in tokens])


def _most_negative(content, query_bias, key_bias, constant):
    """this term has the lowest mean, but softmax sees only differences within rows: remove each term in turn"""
    return _least([t[causal_mask(len(t))].mean().item() for t in (content, query_bias, key_bias, constant)])


def _strengthens_the_sink(content, query_bias, key_bias, constant):
    """after this removal the first key keeps the most: look for the removal after which it keeps the least"""
    left = _left_without_each((content, query_bias, key_bias, constant), _first_share)
    return _least([-share for share in left])


def _highest_at_first(content, query_bias, key_bias, constant):
    """this term is the largest at the first key, but only differences within rows count: remove each term in turn"""
    return _least([-t[:, 0].mean().item() for t in (content, query_bias, key_bias, constant)])


def _number_of_the_term(content, query_bias, key_bias, constant):
    """this is a number: return the name of the term, one of four words"""
    return NAMES.index(_breaks_the_sink(content, query_bias, key_bias, constant))


def _with_a_blank(content, query_bias, key_bias, constant):
    """the right terms, but write their names with an underscore, like the function's arguments"""
    return _breaks_the_sink(content, query_bias, key_bias, constant).replace("_", " ")


def _always_query_bias(content, query_bias, key_bias, constant):
    """always the query bias: in some of these heads it is another term. Measure each head"""
    return "query_bias"


def _always_content(content, query_bias, key_bias, constant):
    """always the content: in some of these heads it is another term. Measure each head"""
    return "content"


# Chosen so that each of the mistakes, and each pair of them, gives itself away in at least one case.
SINK_CASES = tuple(
    _sink_case(*case)
    for case in (
        (514, 8, 3.0, 29.0, 30.0),
        (746, 6, 5.0, -2.0, -30.0),
        (1254, 8, -0.0, 1.0, 90.0),
        (65, 7, 28.0, -7.0, 90.0),
        (16, 5, 24.0, 12.0, -90.0),
        (57, 5, 9.0, 19.0, -90.0),
        (96, 6, 0.0, 17.0, -30.0),
        (126, 6, 17.0, 11.0, 90.0),
        (90, 6, 41.0, 20.0, 90.0),
        (78, 8, -7.0, -6.0, -30.0),
        (108, 7, 19.0, 7.0, 90.0),
        (110, 5, 12.0, -10.0, 90.0),
        (127, 5, -5.0, -10.0, -30.0),
        (89, 6, 6.0, -9.0, 90.0),
        (8, 6, 9.0, -1.0, 30.0),
        (21, 7, 12.0, 5.0, 30.0),
        (1, 5, 2.0, 12.0, -90.0),
        (3, 7, 1.0, 8.0, 90.0),
    )
)


def _fresh_sinks(draw):
    """Eight cases in which one removal takes clearly more than any other: a tie has no right answer."""
    cases, seed = [], 0
    while len(cases) < 8:
        gaps = draw.uniform(-10, 40), draw.uniform(-10, 40)
        case = _sink_case(seed, draw.randint(5, 9), *gaps, draw.choice((-90.0, 30.0)))
        least, next_least, *_ = sorted(_left_without_each(case, _first_share))
        cases += [case] * (next_least - least > 0.01)
        seed += 1
    return tuple(cases)


EXERCISES = {
    "5.1": Exercise(
        answer=_centred,
        cases=((_scores(2, 2),), (_scores(6, 6),), (_scores(3, 4, 4),)),
        fresh=lambda draw: tuple(
            (_scores(*heads, n, n),) for heads in ((), (2,), (3, 2)) for n in (draw.randint(3, 9),)
        ),
        mistakes=(
            _mean_with_future,
            _one_mean,
            _column_means,
            _not_masked,
            _never_masked,
            _by_width,
            _median_of_row,
            _highest_zero,
            _first_zero,
            _masked_first,
            _mean_of_all_heads,
            _divided,
        ),
    ),
    "5.2": Exercise(
        answer=_lifted,
        cases=(_head_case(1, 6, 8), _head_case(2, 1, 3), _head_case(3, 5, 5)),
        fresh=lambda draw: tuple(_head_case(seed, n, n + draw.randint(0, 4)) for seed, n in ((4, 2), (5, 5), (6, 7))),
        mistakes=(
            _pushed_down,
            _mean_query,
            _lift_of_one,
            _to_zero,
            _ones,
            _lifted_scores,
            _lifted_keys,
            _a_column,
            _along_keys,
            _by_the_mean,
            _centred_keys,
        ),
        wrong=_not_positive,
    ),
    "5.3": Exercise(
        answer=_range_of_rows,
        cases=_invariant_cases(),
        mistakes=(
            _negative_again,
            _mean_again,
            _median_again,
            _std_of_all,
            _highest,
            _range_of_all,
            _spread_with_future,
            _how_many,
            _one_per_row,
            _columns,
        ),
        wrong=_moved,
    ),
    "5.4": Exercise(
        answer=_lead_without_bias,
        # Chosen so that each of the mistakes, and each pair of them, gives itself away in at least one case.
        cases=tuple(_lead_case(*case) for case in ((220, 5, 3, 7), (398, 4, 4, 6), (458, 4, 4, 6), (99, 2, 5, 7))),
        fresh=_fresh_leads,
        mistakes=(
            _lead_as_it_is,
            _lead_of_the_bias,
            _least_lead,
            _size_of_lead,
            _widest,
            _highest_first,
            _head_first,
            _flat_place,
            _all_gaps,
            _added_again,
            _from_the_second,
            _last_query_alone,
            _first_among_others,
            _over_the_highest,
            _largest_share,
            _with_the_future,
        ),
    ),
    "5.5": Exercise(
        answer=_breaks_the_sink,
        cases=SINK_CASES,
        fresh=_fresh_sinks,
        mistakes=(
            _all_queries,
            _no_mask,
            _no_scaling,
            _by_d_head,
            _each_alone,
            _largest_gap,
            _last_query,
            _sparsity,
            _most_negative,
            _strengthens_the_sink,
            _highest_at_first,
            _number_of_the_term,
            _with_a_blank,
            _always_query_bias,
            _always_content,
        ),
    ),
}
