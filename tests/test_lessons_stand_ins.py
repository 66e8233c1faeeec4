"""Every lesson runs on mini and on the control without a warning, and tells their readers what the table holds."""

import pytest
from lesson_runs import MASTERS, alike, differences, look_at, said

pytestmark = pytest.mark.timeout(1200)  # lesson 8 removes each of 144 heads: a minute, and the machine may be busy


@pytest.mark.parametrize("model", ["mini", "random"])
@pytest.mark.parametrize("name", MASTERS)
def test_a_lesson_runs_and_says_what_it_said(name, model, monkeypatch):
    assert not look_at(name, model, monkeypatch), "HEADLAB_UPDATE=1 takes the new sentences over"


def test_another_branch_and_other_words_are_told_from_other_digits():
    first = ("1 of 2", "The scores grow 12.31 times, from 1,204 to 3e-5, in L3H5.")
    assert alike(first, ("1 of 2", "The scores grow 12.32 times, from 1,205 to 4e-5, in L3H5."))
    for other in (
        ("2 of 2", first[1]),
        ("1 of 2", first[1].replace("grow", "shrink")),
        ("1 of 2", first[1].replace("12.31", "13.31")),
        ("1 of 2", first[1].replace("1,204", "1,304")),
        ("1 of 2", first[1].replace("12.31", "-12.31")),
        ("1 of 2", first[1].replace("L3H5", "L3H6")),
        None,
    ):
        assert not alike(first, other) and not alike(other, first)
    assert differences([first], [first]) == [] and differences([], []) == []
    assert differences([first, first], [first]) == [(1, first, None)]
    assert differences([], [first]) == [(0, None, first)]


def test_the_table_knows_every_model():
    for name in MASTERS:
        assert all(said(name, model) for model in ("mini", "random", "hybrid")), name
