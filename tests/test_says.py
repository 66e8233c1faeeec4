"""Sentences that code chooses, and the predictions that are made before."""

import re

import numpy as np
import pytest
import torch

from headlab import predict as predict_module
from headlab.predict import predict, predict_number
from headlab.says import RECORDED, first_true, says, who


@pytest.mark.parametrize("yes", [True, np.True_, np.array(True), torch.tensor(True), torch.tensor(2) > 1])
@pytest.mark.parametrize("no", [False, np.False_, np.array(False), torch.tensor(False)])
def test_the_first_sentence_whose_condition_holds_is_printed(capsys, yes, no):
    assert says((no, "first"), (yes, "second"), (yes, "third")) is None
    assert capsys.readouterr().out == "second\n"
    says((yes, "first"), (no, "second"))
    assert capsys.readouterr().out == "first\n"


def test_a_long_sentence_breaks_between_words(capsys):
    sentence = "The scores of this head reach -12.5 to 3.4, " + "well-known " * 19 + "x" * 130
    says((True, sentence))
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines) == sentence and all(len(line) <= 95 for line in lines[:-1]) and len(lines) == 4


@pytest.mark.parametrize(
    "condition",
    [
        None,
        1,
        0.0,
        float("nan"),
        "yes",
        torch.tensor(1),
        torch.tensor([True]),
        torch.tensor(True, device="meta"),
        np.array([True]),
        torch.tensor(np.nan),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_condition_that_is_not_one_truth_is_refused_wherever_it_stands(condition, place, capsys):
    branches = [(True, "first"), (True, "second")]
    branches[place] = (condition, "sentence")
    with pytest.raises(TypeError, match=f"^condition {place}: expected True or False, got [^\n]*$"):
        says(*branches)
    assert capsys.readouterr().out == ""


def test_branches_without_a_true_one_or_without_a_sentence_are_refused():
    with pytest.raises(ValueError, match="^branches: expected a condition that holds, got 2 that do not [^\n]*$"):
        says((False, "first"), (np.nan > 1, "second"))
    with pytest.raises(ValueError, match="^branches: expected a condition that holds, got 0 "):
        says()
    for branch in (True, "True", (True,), (True, None)):
        given = re.escape(repr(branch))
        with pytest.raises(TypeError, match=f"^branch 0: expected .condition, sentence., got {given}$"):
            says(branch)
    with pytest.raises(ValueError, match="^branch 1: expected a sentence, got an empty one$"):
        says((True, "first"), (False, " "))


def test_the_place_of_the_branch():
    assert first_true([(False, "a"), (torch.tensor(True), "b")]) == 1


def test_who_is_shown(mini, control):
    assert who(mini[0]) == "loaded model (mini)"
    assert who(control[0]) == "random control"
    assert RECORDED == "real GPT-2, recorded"
    with pytest.raises(TypeError, match="^model: expected a GPT2LMHeadModel"):
        who("mini")


@pytest.fixture(autouse=True)
def shown(monkeypatch):
    """What predictions displayed."""
    displayed = []
    monkeypatch.setattr(predict_module, "display", displayed.append)
    return displayed


OVERLOOKED = {"6": "the diagonal.", "16": "the mask."}


def revealed(capsys, answer, *branches, overlooked=OVERLOOKED):
    guess = predict("How many?", "6", "10", "16")
    guess.answer = answer
    guess.reveal(*branches, overlooked=overlooked)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        ("", ["✓ 10: a sum.", "✗ 6: the diagonal.", "✗ 16: the mask."]),
        ("10", ["✓ 10 (your choice): a sum.", "✗ 6: the diagonal.", "✗ 16: the mask."]),
        ("16", ["✓ 10: a sum.", "✗ 16 (your choice): the mask.", "✗ 6: the diagonal."]),
    ],
)
def test_a_prediction_says_what_holds_and_what_each_other_choice_overlooked(capsys, answer, lines):
    branches = (False, "16", "never."), (torch.tensor(True), "10", "a sum."), (True, "6", "later.")
    assert revealed(capsys, answer, *branches) == ["Prediction: How many?", *lines]


def test_a_prediction_may_hold_for_none_of_the_choices(capsys):
    lines = revealed(capsys, "10", (True, None, "it is 12."), overlooked=OVERLOOKED | {"10": "two more."})
    assert lines[1:] == [
        "None of the choices: it is 12.",
        "✗ 10 (your choice): two more.",
        "✗ 6: the diagonal.",
        "✗ 16: the mask.",
    ]


def test_where_no_choice_holds_one_without_a_sentence_is_named_alone(capsys):
    lines = revealed(capsys, "10", (True, None, "it is 12."))
    assert lines[1:] == [
        "None of the choices: it is 12.",
        "✗ 10 (your choice)",
        "✗ 6: the diagonal.",
        "✗ 16: the mask.",
    ]


def test_a_reveal_that_does_not_fit_its_prediction_is_refused(capsys):
    for branch in ((True, "7", "why."), (True, "10")):
        with pytest.raises(ValueError, match="^branch 0: expected [^\n]*, got [^\n]*$"):
            revealed(capsys, "", branch)
    with pytest.raises(ValueError, match="^overlooked: expected a sentence for .'16'., got only .'6'.$"):
        revealed(capsys, "", (True, "10", "why."), overlooked={"6": "x."})
    with pytest.raises(ValueError, match="^overlooked: expected one of the choices .*, got '7'$"):
        revealed(capsys, "", (True, "10", "why."), overlooked=OVERLOOKED | {"7": "x."})
    with pytest.raises(ValueError, match="^branches: expected a condition that holds"):
        revealed(capsys, "", (False, "10", "why."))


def test_what_is_no_question_is_refused():
    for choices in ((), ("a",), ("a", "b", "c", "d", "e"), ("a", "a")):
        with pytest.raises(ValueError, match="^choices: expected [^\n]*$"):
            predict("Which?", *choices)
    for texts in (("Which?", "a", 3), (3, "a", "b")):
        with pytest.raises(TypeError, match="^question and choices: expected plain text, got 3$"):
            predict(*texts)
    for texts in (("How many?", None), (None, "pairs")):
        with pytest.raises(TypeError, match="^question and unit: expected plain text, got None$"):
            predict_number(*texts)


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        ("", ["✓ 10 pairs: a sum.", "✗ 6: the diagonal.", "✗ 16: the mask."]),
        ("10.4", ["✓ 10 pairs: a sum.", "Your number, 10.4, is right.", "✗ 6: the diagonal.", "✗ 16: the mask."]),
        ("16", ["✓ 10 pairs: a sum.", "✗ 16 (your number): the mask.", "✗ 6: the diagonal."]),
        ("7", ["✓ 10 pairs: a sum.", "✗ Your number, 7, is too low.", "✗ 6: the diagonal.", "✗ 16: the mask."]),
        ("1e3", ["✓ 10 pairs: a sum.", "✗ Your number, 1000, is too high.", "✗ 6: the diagonal.", "✗ 16: the mask."]),
    ],
)
def test_a_number_is_compared_with_what_was_measured(capsys, answer, lines):
    guess = predict_number("How many?", "pairs")
    guess.answer = answer
    guess.reveal(torch.tensor(10).item(), "a sum.", {6: "the diagonal.", 10.2: "not wrong here.", 16: "the mask."}, 0.5)
    assert capsys.readouterr().out.splitlines() == ["Prediction: How many?", *lines]


def test_a_percent_sign_stands_right_after_its_number(capsys):
    predict_number("How much?", "%").reveal(50.06, "about a half.", {100.0: "not all."})
    assert capsys.readouterr().out.splitlines()[1:] == ["✓ 50.06%: about a half.", "✗ 100: not all."]


def test_the_first_line_of_a_reveal_gives_nothing_away(capsys):
    """JupyterLab shows the first line of a folded output."""
    assert revealed(capsys, "", (True, "10", "why."))[0] == "Prediction: How many?"


def test_a_page_without_a_kernel_gets_a_form_or_text(shown):
    guess = predict('Is "a < b"?', "a < b & c", "no")
    assert shown == [guess]
    data = guess._repr_mimebundle_()[0]
    assert data["text/plain"] == 'Predict. Is "a < b"?\n( ) a < b & c\n( ) no'
    form = data["text/html"]
    assert 'value="a &lt; b &amp; c"' in form and "> a &lt; b &amp; c</label>" in form
    assert form.count("<label ") == 2 and "<fieldset" in form and "Is &quot;a &lt; b&quot;?</legend>" in form
    assert len(set(re.findall(r'name="([^"]+)"', form))) == 1
    assert predict('Is "a < b"?', "a < b & c", "no").to_html() == form  # the same from build to build
    assert ">%<" in predict_number("How much?", "%").form
    number = predict_number("How many?", "pairs")._repr_mimebundle_()[0]
    assert number["text/plain"] == "Predict. How many?\n____ pairs" and 'type="number"' in number["text/html"]
