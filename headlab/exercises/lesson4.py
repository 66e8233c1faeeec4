"""Lesson 4: the size of the shift, query by query and text by text, and what an interval answers."""

from itertools import product

import numpy as np
import torch

from headlab.exercises.engine import Exercise
from headlab.masking import causal_mask


def _scores(*shape, mean=-1.0):
    """Scores whose future differs from their past, so that counting it shows."""
    values = mean + 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))
    return torch.where(causal_mask(shape[-1]), values, values + 2.5)


def _scores_with_a_zero():
    """Scores of which one, in the past, is exactly 0."""
    scores = _scores(5, 5)
    scores[3, 1] = 0.0
    return scores


def _fraction_negative(raw):
    return (raw[..., causal_mask(raw.shape[-1])] < 0).double().mean(-1)


def _future_too(raw):
    """the future is counted too: take only the pairs with j <= i, T(T+1)/2 of them"""
    return (raw < 0).double().mean((-2, -1))


def _future_as_zero(raw):
    """the future is left out of the count but not of the total: divide by T(T+1)/2, not by T * T"""
    return (raw * causal_mask(raw.shape[-1]) < 0).double().mean((-2, -1))


def _future_as_negative(raw):
    """masked with -inf and then counted: -inf is below zero as well. Pick the causal pairs instead of masking them"""
    return (raw.masked_fill(~causal_mask(raw.shape[-1]), -torch.inf) < 0).double().mean((-2, -1))


def _zero_too(raw):
    """a score of exactly 0 is counted: below zero is < 0, not <= 0"""
    return (raw[..., causal_mask(raw.shape[-1])] <= 0).double().mean(-1)


def _without_diagonal(raw):
    """the diagonal is left out: a query sees itself, so j <= i and not j < i"""
    return (raw[..., causal_mask(raw.shape[-1]).tril(-1)] < 0).double().mean(-1)


def _mean_of_rows(raw):
    """the rows are averaged, so the first row's one score weighs as much as the last row's T: pool all pairs"""
    visible = causal_mask(raw.shape[-1])
    return (((raw < 0) & visible).sum(-1) / visible.sum(-1)).double().mean(-1)


def _heads_too(raw):
    """the heads are counted together: return one number for each head, so keep every axis but the last two"""
    return (raw[..., causal_mask(raw.shape[-1])] < 0).double().mean()


def _positive(raw):
    """this is the fraction that is not negative: subtract it from 1"""
    return 1 - _fraction_negative(raw)


def _a_count(raw):
    """this is how many are negative: divide by the number of causal pairs"""
    return (raw[..., causal_mask(raw.shape[-1])] < 0).double().sum(-1)


def _by_query(raw):
    visible = causal_mask(raw.shape[-1])
    return ((raw < 0) & visible).sum(-1).double().mean(tuple(range(raw.ndim - 2))) / visible.sum(-1)


def _by_key(raw):
    """these are the columns, one number for each key: a query is a row, so count along the last axis"""
    visible = causal_mask(raw.shape[-1])
    return ((raw < 0) & visible).sum(-2).double().mean(tuple(range(raw.ndim - 2))) / visible.sum(-2)


def _by_query_with_future(raw):
    """the future is counted too: count only the i + 1 visible keys of row i"""
    return (raw < 0).double().mean(-1).mean(tuple(range(raw.ndim - 2)))


def _by_query_over_all(raw):
    """every row is divided by T: divide row i by i + 1, the number of its visible keys"""
    return ((raw < 0) & causal_mask(raw.shape[-1])).double().mean(-1).mean(tuple(range(raw.ndim - 2)))


def _by_query_each_head(raw):
    """the heads are still separate: average over every axis but the queries'"""
    visible = causal_mask(raw.shape[-1])
    return ((raw < 0) & visible).sum(-1).double() / visible.sum(-1)


def _by_query_counts(raw):
    """these are counts: divide each by the number of scores that its row has"""
    return ((raw < 0) & causal_mask(raw.shape[-1])).sum(-1).double().mean(tuple(range(raw.ndim - 2)))


def _by_query_positive(raw):
    """this is the fraction that is not negative: subtract it from 1"""
    return 1 - _by_query(raw)


def _by_query_no_self(raw):
    """the diagonal is left out: a query sees itself, so row i has i + 1 scores"""
    visible = causal_mask(raw.shape[-1]).tril(-1)
    return ((raw < 0) & visible).sum(-1).double().mean(tuple(range(raw.ndim - 2))) / visible.sum(-1).clamp(min=1)


def _by_query_one_layer(raw):
    """only the first head is counted: average over all heads of all layers"""
    return _by_query(raw[(0,) * (raw.ndim - 2)])


def _by_query_running(raw):
    """this is the fraction over all rows up to each query: take each row alone"""
    visible = causal_mask(raw.shape[-1])
    counts = ((raw < 0) & visible).sum(-1).double().mean(tuple(range(raw.ndim - 2)))
    return counts.cumsum(-1) / visible.sum(-1).cumsum(-1)


def _bootstrap_case(seed, n_rows, n_resamples):
    random = np.random.default_rng(seed)
    n_scores = np.arange(1, n_rows + 1)
    return (
        random.binomial(n_scores, 0.4 + 0.5 * n_scores / n_rows),
        n_scores,
        random.integers(n_rows, size=(n_resamples, n_rows)),
    )


def _resampled(n_negative, n_scores, rows):
    return n_negative[rows].sum(-1) / n_scores[rows].sum(-1)


def _mean_of_fractions(n_negative, n_scores, rows):
    """the rows' fractions are averaged, so a row of one score weighs as much as a long one: divide sum by sum"""
    return (n_negative / n_scores)[rows].mean(-1)


def _same_denominator(n_negative, n_scores, rows):
    """divided by the number of scores in the original rows: a resample has other rows, so add up its own n_scores"""
    return n_negative[rows].sum(-1) / n_scores.sum()


def _not_resampled(n_negative, n_scores, rows):
    """the rows are not resampled, so every result is the same: pick them with n_negative[rows]"""
    return np.full(len(rows), n_negative.sum() / n_scores.sum())


def _one_number(n_negative, n_scores, rows):
    """the resamples are added up into one number: sum over the last axis only, one fraction for each resample"""
    return n_negative[rows].sum() / n_scores[rows].sum()


def _positives(n_negative, n_scores, rows):
    """this is the fraction that is not negative: subtract it from 1"""
    return 1 - n_negative[rows].sum(-1) / n_scores[rows].sum(-1)


def _column_resampled(n_negative, n_scores, rows):
    """the sums run over the resamples: each line of `rows` is one resample, so sum along the last axis"""
    return n_negative[rows].sum(0) / n_scores[rows].sum(0)


def _counts_only(n_negative, n_scores, rows):
    """these are counts: divide by the number of scores of the rows that were drawn"""
    return n_negative[rows].sum(-1)


def _drawn_once(n_negative, n_scores, rows):
    """a row that was drawn twice counts once: a resample with replacement counts it as often as it was drawn"""
    return np.array([n_negative[np.unique(r)].sum() / n_scores[np.unique(r)].sum() for r in rows])


UNITS = ("rows", "heads", "texts", "runs")
QUESTIONS = tuple(product(UNITS, UNITS))  # what was resampled, and what one wants to know


def _answers(resampled, question):
    return resampled == question


def _always_yes(resampled, question):
    """your answer is always True: an interval over rows, for example, cannot tell what other texts would give"""
    return True


def _always_no(resampled, question):
    """your answer is always False: some of these intervals do answer the question"""
    return False


def _larger_answers_smaller(resampled, question):
    """a larger unit does not answer for a smaller one: resampling runs leaves the texts as they are"""
    return UNITS.index(resampled) >= UNITS.index(question)


def _smaller_answers_larger(resampled, question):
    """many small units do not answer for a larger one: 10,000 rows of one text are still one text"""
    return UNITS.index(resampled) <= UNITS.index(question)


def _rows_answer_all(resampled, question):
    """rows answer only for other rows: the texts and the heads were not drawn again"""
    return resampled == "rows" or resampled == question


def _heads_answer_runs(resampled, question):
    """144 heads of one model come from one training run: they say nothing about another run"""
    return resampled == question or (resampled, question) == ("heads", "runs")


def _texts_answer_runs(resampled, question):
    """other texts are read by the same weights: only other runs have other weights"""
    return resampled == question or (resampled, question) == ("texts", "runs")


def _rows_answer_texts(resampled, question):
    """the rows of a text share that text: their scatter does not show how texts differ"""
    return resampled == question or (resampled, question) == ("rows", "texts")


def _turned(resampled, question):
    """the answers are swapped: return True where the interval answers the question"""
    return resampled != question


def _lengths_case(seed, *lengths):
    """For each text, the number of negative scores in each of its rows; longer texts have fewer in the same row."""
    random = np.random.default_rng(seed)
    counts = []
    for level, n in enumerate(lengths):
        size = np.arange(1, n + 1)
        counts.append(random.binomial(size, np.clip(0.9 - 0.6 / size - 0.1 * level, 0, 1)))
    return (counts,)


def _alike(counts):
    common = min(len(rows) for rows in counts)
    return np.array([rows[:common].sum() for rows in counts]) / (common * (common + 1) / 2)


def _whole_texts(counts):
    """whole texts are compared, and longer ones have more late rows: cut all of them to the shortest one's length"""
    return np.array([rows.sum() / (len(rows) * (len(rows) + 1) / 2) for rows in counts])


def _last_rows(counts):
    """these are the last rows of each text, which have more scores in a longer text: take the first rows"""
    common = min(len(rows) for rows in counts)
    return np.array([rows[-common:].sum() / (np.arange(1, len(rows) + 1)[-common:].sum()) for rows in counts])


def _one_row_short(counts):
    """one row is missing: the shortest text's last row counts too"""
    common = min(len(rows) for rows in counts) - 1
    return np.array([rows[:common].sum() for rows in counts]) / (common * (common + 1) / 2)


def _rows_alike(counts):
    """the rows' fractions are averaged, so a row of one score weighs as much as a long one: divide sum by sum"""
    common = min(len(rows) for rows in counts)
    return np.array([(rows[:common] / np.arange(1, common + 1)).mean() for rows in counts])


def _square(counts):
    """divided by T * T: the first T rows have T(T + 1)/2 visible scores"""
    common = min(len(rows) for rows in counts)
    return np.array([rows[:common].sum() for rows in counts]) / common**2


def _own_denominator(counts):
    """the counts are cut, but the divisor is that of the whole text: count the scores of the same rows"""
    common = min(len(rows) for rows in counts)
    return np.array([rows[:common].sum() / (len(rows) * (len(rows) + 1) / 2) for rows in counts])


def _first_text_rules(counts):
    """all texts are cut to the first one's length: cut them to the shortest one's"""
    common = len(counts[0])
    return np.array([rows[:common].sum() / (len(rows[:common]) * (len(rows[:common]) + 1) / 2) for rows in counts])


def _together(counts):
    """the texts are pooled: keep one number for each"""
    common = min(len(rows) for rows in counts)
    return sum(rows[:common].sum() for rows in counts) / (len(counts) * common * (common + 1) / 2)


def _not_negative(counts):
    """this is the fraction that is not negative: subtract it from 1"""
    return 1 - _alike(counts)


EXERCISES = {
    "4.1": Exercise(
        answer=_fraction_negative,
        cases=((_scores(1, 1),), (_scores_with_a_zero(),), (_scores(3, 4, 4),)),
        fresh=lambda draw: tuple(
            (_scores(*heads, n, n),) for heads in ((), (2,), (3, 2)) for n in (draw.randint(2, 9),)
        ),
        mistakes=(
            _zero_too,
            _future_too,
            _future_as_zero,
            _future_as_negative,
            _without_diagonal,
            _mean_of_rows,
            _heads_too,
            _a_count,
            _positive,
        ),
    ),
    "4.2": Exercise(
        answer=_by_query,
        cases=((_scores(2, 3, 5, 5),), (_scores(4, 6, 6),)),
        fresh=lambda draw: tuple((_scores(*heads, n, n),) for heads in ((5,), (2, 4)) for n in (draw.randint(3, 9),)),
        mistakes=(
            _by_key,
            _by_query_with_future,
            _by_query_over_all,
            _by_query_each_head,
            _by_query_counts,
            _by_query_positive,
            _by_query_no_self,
            _by_query_one_layer,
            _by_query_running,
        ),
    ),
    "4.3": Exercise(
        answer=_resampled,
        cases=(_bootstrap_case(1, 5, 3), _bootstrap_case(2, 9, 4)),
        fresh=lambda draw: tuple(_bootstrap_case(seed, draw.randint(4, 12), draw.randint(2, 7)) for seed in (3, 4, 5)),
        mistakes=(
            _mean_of_fractions,
            _same_denominator,
            _not_resampled,
            _one_number,
            _positives,
            _column_resampled,
            _counts_only,
            _drawn_once,
        ),
    ),
    "4.4": Exercise(
        answer=_answers,
        cases=QUESTIONS,
        fresh=lambda draw: tuple(draw.sample(QUESTIONS, len(QUESTIONS))),
        mistakes=(
            _always_yes,
            _always_no,
            _larger_answers_smaller,
            _smaller_answers_larger,
            _rows_answer_all,
            _heads_answer_runs,
            _texts_answer_runs,
            _rows_answer_texts,
            _turned,
        ),
    ),
    "4.5": Exercise(
        answer=_alike,
        cases=(_lengths_case(1, 7, 5, 9), _lengths_case(2, 4, 11, 6, 8)),
        fresh=lambda draw: tuple(_lengths_case(seed, *draw.sample(range(3, 13), 4)) for seed in (3, 4)),
        mistakes=(
            _whole_texts,
            _last_rows,
            _one_row_short,
            _rows_alike,
            _square,
            _own_denominator,
            _first_text_rules,
            _together,
            _not_negative,
        ),
    ),
}
