"""Every exercise of every lesson: the answer passes, and each planted mistake is named."""

import functools
import os
import re
import signal
import sys
import threading
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from headlab.contrast import below_first_key, effective_tokens, row_contrast
from headlab.density import choose_bandwidth
from headlab.exercises import EXERCISES, check, tell_syntax_error
from headlab.exercises.engine import AGAIN, Exercise, judge
from headlab.grading.fresh import fresh_exercise
from headlab.masking import causal_mask
from headlab.scores import attention_pattern

PLANTED = [(number, mistake) for number, exercise in EXERCISES.items() for mistake in exercise.mistakes]


@pytest.mark.parametrize("number", EXERCISES)
def test_the_answer_passes(number):
    verdict = check(number, EXERCISES[number].answer)
    assert (verdict.status, verdict.message) == ("passed", "right")


@pytest.mark.parametrize(("number", "mistake"), PLANTED, ids=lambda value: getattr(value, "__name__", value))
def test_a_planted_mistake_is_named(number, mistake):
    verdict = check(number, mistake)
    assert (verdict.status, verdict.message) == ("not yet", mistake.__doc__)


def widest(samples, factor=1.0):
    """A bandwidth, and nothing around it."""
    return (factor * choose_bandwidth(samples, "sheather-jones"),) * 3


def visible(raw):
    return raw[causal_mask(len(raw))]


# 7.2 has one right answer, and its `wrong` is asked about others alone.
@pytest.mark.parametrize("number", [n for n, exercise in EXERCISES.items() if exercise.wrong and n != "7.2"])
def test_nothing_is_wrong_with_the_answer_where_many_are_right(number):
    exercise = EXERCISES[number]
    assert exercise.wrong([exercise.answer(*case) for case in exercise.cases], exercise.cases) is None


def test_a_number_may_be_the_same_for_two_of_three_heads():
    assert check("5.3", lambda raw: float(row_contrast(raw).spread > 2.5)).status == "passed"
    assert check("5.3", lambda raw: float(row_contrast(raw).spread > 3.0)).status == "passed"


# Where no planted mistake gives the reader's results, the check finds words of its own.
WORDS = (
    (
        "5.2",
        lambda q, k: torch.zeros(k.shape[1]),
        r"with your vector \d+ of \d+ causal scores are not positive: the lowest is (-\d\S+), without it \1",
    ),
    ("5.2", lambda q, k: torch.full((k.shape[1],), torch.nan), r"your vector is not finite: it holds nan or inf"),
    ("5.2", lambda q, k: torch.zeros(k.shape[1] + 1), r"expected one vector of shape \(8,\), .*, got .* \(9,\)"),
    ("5.3", lambda raw: raw.mean(-1), r"expected one finite number for each head \(query, key\), got .* \(7,\)"),
    ("5.3", lambda raw: raw.mean() / 0, r"expected one finite number for each head \(query, key\), got -?inf"),
    (
        "5.3",
        lambda raw: visible(raw).median(),
        r".* when 50 is subtracted from every score: use differences within rows",
    ),
    (
        "5.3",
        lambda raw: visible(raw).std(),
        r".* when each row gets its own constant: use differences within rows",
    ),
    ("5.3", lambda raw: (raw.amax(-1) - raw.amin(-1)).max(), r"your number changes with the scores of the future, .*"),
    ("5.3", lambda raw: 3.0, r"your number is the same for three different heads: .*"),
    ("5.3", lambda raw: row_contrast(raw).gap, r".*, but it is section 2's gap: invent another one"),
    ("5.3", lambda raw: -row_contrast(raw).gap / 8, r".*, but it is section 2's gap: invent another one"),
    ("5.3", lambda raw: 1 - below_first_key(raw), r".*, but it is section 2's share below the first key: .*"),
    ("5.3", lambda raw: effective_tokens(attention_pattern(raw, 64)).mean(), r".* section 2's number of effective .*"),
    ("5.3", lambda raw: attention_pattern(raw, 1)[2:, 0].mean(), r".* section 2's share of the first key: .*"),
    ("5.3", lambda raw: row_contrast(raw).spread, r".*, but it is section 2's spread: invent another one"),
    ("6.2", lambda samples: widest(samples)[:2], r"return three numbers: your bandwidth, .*"),
    ("6.2", lambda samples: (1.0, 2.0, 3.0), r"sample 1: your range, 2 to 3, does not hold your bandwidth, 1. .*"),
    ("6.2", lambda samples: (1.0, 0.0, 3.0), r"sample 1: your range, 0 to 3, .* the highest, all above 0"),
    (
        "6.2",
        lambda samples: widest(samples, 8.0),
        r"sample 1: .* is too wide, its squared error is .*: choose a narrower one",
    ),
    (
        "6.2",
        lambda samples: widest(samples, 0.1),
        r"sample 1: .* is too narrow, its squared error is .*: choose a wider one",
    ),
    (
        "6.2",
        lambda samples: tuple(widest(samples)[0] * np.array([1, 0.98, 1.02])),
        r"sample 1: from \S+ the density keeps its 2 hills down to about \S+, but your lowest is \S+",
    ),
    ("6.7", lambda: "ABC", r"return four letters from A to F in one string, .*"),
    ("6.7", lambda: "ABCG", r"return four letters from A to F in one string, .*"),
    ("6.7", lambda: "DBBA", r"look again for: the highest median, .* spread, two .*, negative and close together"),
    ("6.7", lambda: "eacb".replace("b", "d").replace("a", "b"), r"look again for: the widest spread, negative .*"),
    ("7.2", lambda: "layer 3", r"return three layer numbers, such as \(0, 1, 2\)"),
    ("7.2", lambda: (3, 2), r"return three layer numbers, such as \(0, 1, 2\), not 2"),
    ("7.2", lambda: (np.int64(3), 2.0, 1000), r"2 of the three are right: .*"),
    ("7.2", lambda: (0, 0, 1000), r"0 of the three are right: .*"),
    ("7.2", lambda: (0, 2, 1000), r"1 of the three is right: .*"),
    ("7.2", lambda: ("3", "2", "4"), r"return three layer numbers, such as \(0, 1, 2\)"),
)


@pytest.mark.parametrize(("number", "answer", "words"), WORDS, ids=lambda value: value if value in EXERCISES else "")
def test_a_check_finds_words_for_what_is_no_planted_mistake(number, answer, words):
    verdict = check(number, answer)
    assert verdict.status == "not yet" and re.fullmatch(words, verdict.message), verdict.message


@pytest.mark.parametrize("ids", [[7], [1, 2, 3, 1, 2, 3], [5, 5, 5, 5, 2, 5]])
def test_the_heads_that_exercise_3_4_hands_in_return_patterns(ids):
    ids = torch.tensor(ids)
    for (head,) in (*EXERCISES["3.4"].cases, *fresh_exercise("3.4", 3).cases):
        pattern = head(ids)
        assert pattern.shape == (len(ids), len(ids)) and (pattern.triu(1) == 0).all() and (pattern >= 0).all()
        assert torch.allclose(pattern.sum(-1), torch.ones(len(ids)))


@pytest.mark.parametrize(("number", "name"), [("1.5", "attend"), ("2.4", "cut"), ("3.4", "pattern_of")])
def test_no_name_tells_the_functions_that_are_handed_in_apart(number, name):
    functions = [f for (f,) in (*EXERCISES[number].cases, *fresh_exercise(number, 3).cases)]
    assert {(f.__name__, f.__qualname__, f.__doc__) for f in functions} == {(name, name, None)}
    with pytest.raises(TypeError, match=rf"^{name}\(\) missing"):
        functions[0]()


@pytest.mark.parametrize("number", EXERCISES)
def test_at_least_three_mistakes_and_their_words(number):
    mistakes = EXERCISES[number].mistakes
    assert len(mistakes) >= 3
    for mistake in mistakes:
        assert mistake.__doc__ and "\n" not in mistake.__doc__


@pytest.mark.parametrize("number", EXERCISES)
def test_a_stub_is_not_attempted(number):
    def stub(*arguments): ...

    assert repr(check(number, stub)) == f"… Exercise {number}: not attempted yet"


def double(x):
    """Stand-in answer."""
    return 2 * x


TOY = Exercise(answer=double, cases=((torch.ones(2, 3),), (torch.arange(4.0),)), mistakes=())


def in_place(x):
    x *= 2
    return x / 2


def endless(x):
    while True:
        pass


def sometimes(x):
    return 2 * x if x.ndim == 2 else None


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (
            lambda x: x / 0 if x.sum() else 1 / 0,
            "the shape is right, a value is not: expected 2 at index (0, 0), got inf",
        ),
        (lambda x: {}["gone"], 'stopped with KeyError in the line `(lambda x: {}["gone"], "stopped'),
        (lambda x, y: x, "stopped with TypeError"),
        (in_place, "changed its input"),
        (sometimes, "returns nothing for some inputs"),
        (lambda x: 2 * x[..., :1], "expected numbers of shape (2, 3), got numbers of shape (2, 1)"),
        (lambda x: x > 0, "expected numbers of shape (2, 3), got True and False of shape (2, 3)"),
        (lambda x: "two", "expected numbers of shape (2, 3), got str"),
        (lambda x: x * float("nan"), "got nan"),
        (torch.ones(2), "give the function itself, without brackets after its name; got Tensor"),
    ],
)
def test_what_else_goes_wrong_is_said(function, said):
    status, message = judge(TOY, function)
    assert status == "not yet"
    assert said in message
    assert "\n" not in message


def forgets_return(x):
    y = 2 * x  # noqa: F841


def prints(x):
    print(2 * x)


def empty(x):
    """Its words."""
    pass


def test_a_forgotten_return_is_told_from_a_stub():
    for function in (forgets_return, prints, lambda x: [].append(x), functools.partial(lambda x: None)):
        said = "your function returns nothing: end it with return and its result"
        assert judge(TOY, function) == ("not yet", said)
    for stub in (empty, lambda x: None):
        assert judge(TOY, stub) == ("not attempted", "not attempted yet")


def wrong_name(x):
    y = 2 * x
    return y + z  # noqa: F821


def wrong_call(x):
    return torch.softmax(
        x,
        axes=1,
    )


def helped(x):
    return torch.stack([wrong_name(row) for row in x])


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (wrong_name, "NameError in the line `return y + z  # noqa: F821`: name 'z' is not defined"),
        (helped, "NameError in the line `return y + z  # noqa: F821`: name 'z' is not defined"),
        (wrong_call, "TypeError in the line `return torch.softmax(`: softmax() missing"),
        (functools.partial(wrong_name), "stopped with NameError: name 'z' is not defined"),
        (eval("lambda x: x + z"), "stopped with NameError: name 'z' is not defined"),
        (lambda x, y: x, "stopped with TypeError: "),
    ],
)
def test_an_error_names_the_line_of_the_readers_own_code(function, said):
    status, message = judge(TOY, function)
    assert status == "not yet" and said in message and "\n" not in message


def test_numbers_in_messages_have_four_digits():
    third = Exercise(answer=lambda x: 1 / 3, cases=((torch.ones(2),),), mistakes=())
    assert judge(third, lambda x: 2 / 3)[1] == "expected 0.3333, got 0.6667"
    assert judge(third, lambda x: 0.33345)[1] == "expected 0.3333, got 0.3335"
    assert judge(third, lambda x: 0.33331)[1] == "expected 0.3333, got 0.3333 (they differ by 2e-05)"
    assert judge(third, lambda x: int("1.2345678901"))[1].endswith("base 10: '1.235'")
    yes = Exercise(answer=lambda x: x > 0, cases=TOY.cases, mistakes=())
    said = "the shape is right, a value is not: expected True at index (0, 0), got False"
    assert judge(yes, lambda x: x < 0)[1] == said


def test_random_numbers_of_the_readers_own_are_named():
    status, message = judge(TOY, lambda x: 2 * x + torch.randn(x.shape, generator=GENERATOR))
    assert status == "not yet" and message.startswith("your function gives another result each time")
    assert judge(TOY, lambda x: 2 * x + 1e-9 * torch.randn(x.shape, generator=GENERATOR)) == ("passed", "right")


def test_a_right_result_that_comes_once_does_not_pass():
    given = iter([True])
    status, message = judge(TOY, lambda x: 2 * x if next(given, False) else x)
    assert status == "not yet" and message.startswith("your function gives another result each time")


def test_results_that_cannot_be_compared_are_told_by_their_kind():
    for strange, kind in (
        (lambda x: (row for row in x), "generator"),
        (lambda x: {"x": x}, "dict"),
        (lambda x: {x, x}, "set"),
        (lambda x: np.full(x.shape, None), r"object \(cannot be compared\) of shape"),
    ):
        status, message = judge(TOY, strange)
        assert status == "not yet" and re.fullmatch(rf"expected numbers of shape \(2, 3\), got {kind}.*", message)


def test_which_of_several_results_is_wrong_is_told():
    message = check("1.4", lambda p: (0, *EXERCISES["1.4"].answer(p)[1:3], 1.5)).message
    assert re.fullmatch(r"result \d of 4: expected \d, got [\d.]+", message)
    said = "result 2 of 3: expected numbers of shape (3, 5, 4), got numbers of shape (5, 4)"
    assert (
        check("2.2", lambda f, n: [p[0] if i else p for i, p in enumerate(EXERCISES["2.2"].answer(f, n))]).message
        == said
    )
    leaky = EXERCISES["1.5"].cases[4][0]
    message = check("1.5", lambda attend: torch.tensor(EXERCISES["1.5"].answer(attend) and attend is not leaky)).message
    assert message == "your function is wrong in 1 of the 8 cases where True is right"


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda n: n > 1, "2 of the 3 cases where False is right"),
        (lambda n: np.bool_(n > 4), "1 of the 2 cases where True is right"),
        (lambda n: n == 3, "2 of the 2 cases where True is right and in 1 of the 3 cases where False is right"),
        (
            lambda n: n > 2 if n < 5 else "yes",
            "1 of the 2 cases where True is right and in 1 of the 3 cases where False is right",
        ),
    ],
)
def test_wrong_answers_of_yes_and_no_are_counted_apart(function, told):
    above = Exercise(answer=lambda n: n > 3, cases=((1,), (2,), (3,), (4,), (5,)), mistakes=())
    assert judge(above, function) == ("not yet", f"your function is wrong in {told}")
    pair = replace(above, answer=lambda n: (n, n > 3))
    said = "result 2 of 2: expected False, got True (arguments: 3)"
    assert judge(pair, lambda n: (n, n > 2)) == ("not yet", said)


def test_whole_numbers_and_words_are_told_with_what_is_wrong():
    for case, shown in (((7,), "7"), ((37, "k"), "37, 'k'")):
        exercise = Exercise(answer=lambda *case: (1, "q"), cases=(case,), mistakes=())
        assert judge(exercise, lambda *case: (2, "q"))[1] == f"result 1 of 2: expected 1, got 2 (arguments: {shown})"
        assert judge(exercise, lambda *case: (1, "v"))[1] == f"result 2 of 2: 'v' is not right (arguments: {shown})"
    mixed = Exercise(answer=lambda x, n: 1, cases=((torch.ones(2), 3),), mistakes=())
    nothing = Exercise(answer=lambda: 1, cases=((),), mistakes=())
    assert judge(mixed, lambda x, n: 2)[1] == judge(nothing, lambda: 2)[1] == "expected 1, got 2"


GENERATOR = torch.Generator().manual_seed(0)
HOOKED = torch.nn.Linear(2, 2)
HOOKED.register_forward_hook(lambda *arguments: None)


def test_hooks_that_were_there_before_and_those_of_transformers_are_not_the_readers():
    here = Exercise(answer=lambda model: 1.0, cases=((HOOKED,),), mistakes=())
    assert judge(here, lambda model: 1.0)[0] == "passed"
    for kind in ("forward_hook", "forward_pre_hook", "full_backward_hook", "full_backward_pre_hook"):

        def leaves_one(model, kind=kind):
            getattr(model, f"register_{kind}")(lambda *arguments: None)
            return 1.0

        assert "your hook is still on the model" in judge(here, leaves_one)[1], kind

    def with_attentions(model, layer, input_ids):
        model.set_attn_implementation("eager")
        model(input_ids, output_attentions=True)  # leaves hooks of transformers' own
        return EXERCISES["2.1"].answer(model, layer, input_ids)

    assert check("2.1", with_attentions).status == "passed"


def test_a_syntax_error_in_an_exercise_gets_a_sentence(capsys):
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.events.register("post_run_cell", tell_syntax_error)
    shell.run_cell("def f(x)\n    return x\n\n\ncheck('1.2', f)")
    said = (
        "✗ Exercise 1.2: Python cannot read line 1 of this cell, `def f(x)`: expected ':'. Nothing of the cell was run"
    )
    assert capsys.readouterr().out.splitlines()[-1] == said
    for cell in ("def f(x)", "check = print\ncheck('1.2')", "check('1.2')"):
        shell.run_cell(cell)
        assert "Exercise" not in capsys.readouterr().out


def left_hook(model, layer, input_ids):
    seen = []
    c_attn = model.transformer.h[layer].attn.c_attn
    c_attn.register_forward_hook(lambda module, arguments, output: seen.append(output[0].detach()))
    model(input_ids)
    return seen[0]


def spoiled_weight(model, layer, input_ids):
    result = EXERCISES["2.1"].answer(model, layer, input_ids)
    with torch.no_grad():
        model.transformer.h[layer].attn.c_attn.weight += 1
    return result


def left_in_training(model, layer, input_ids):
    result = EXERCISES["2.1"].answer(model, layer, input_ids)
    model.train()
    return result


def left_frozen(model, layer, input_ids):
    model.requires_grad_(False)
    return EXERCISES["2.1"].answer(model, layer, input_ids)


def left_with_another_forward(model, layer, input_ids):
    c_attn, seen = model.transformer.h[layer].attn.c_attn, []
    forward = c_attn.forward
    c_attn.forward = lambda x: seen.append(forward(x)) or seen[-1]
    model(input_ids)
    return seen[0][0].detach()


def test_a_hook_that_stays_and_a_spoiled_model_are_told_and_do_not_last():
    assert "your hook is still on the model" in check("2.1", left_hook).message
    for spoiled in (spoiled_weight, left_in_training, left_frozen, left_with_another_forward):
        assert "changed the model" in check("2.1", spoiled).message
    assert check("2.1", EXERCISES["2.1"].answer).status == "passed"


def endless_with_except(x):
    while True:
        try:
            x.no_such_thing  # noqa: B018
        except Exception:
            pass


def endless_that_catches_everything_once(x):
    try:
        endless(x)
    except:  # noqa: E722
        endless(x)


def slow_on_each_case(x):
    time.sleep(1.0)
    return 2 * x


@pytest.mark.parametrize(
    "function", [endless, endless_with_except, endless_that_catches_everything_once, slow_on_each_case]
)
def test_an_endless_loop_is_stopped_within_two_seconds(function):
    threads = threading.active_count()
    start = time.monotonic()
    status, message = judge(TOY, function)
    seconds = time.monotonic() - start
    assert (status, message) == ("not yet", "your function ran for more than 1.5 s; does a loop never end?")
    assert seconds < 2.6  # 1.5 s and what a busy machine adds; a sleep of 1 s ends before it is stopped
    time.sleep(2 * AGAIN)  # no second stop comes afterwards, to whatever runs then
    assert threading.active_count() == threads


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_a_reader_who_interrupts_the_check_stops_the_function_too():
    threads, before = threading.active_count(), signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupt = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt.start()
            judge(TOY, endless)
    finally:
        signal.signal(signal.SIGINT, before)
    time.sleep(2 * AGAIN)
    assert threading.active_count() == threads


@pytest.mark.parametrize("number", EXERCISES)
def test_no_check_takes_long(number):
    exercise = EXERCISES[number]
    for function in (exercise.answer, *exercise.mistakes, lambda *arguments: 0):
        wall, busy = time.monotonic(), time.process_time()
        check(number, function)
        assert min(time.monotonic() - wall, time.process_time() - busy) < 2.0


def test_leaving_is_no_answer():
    said = "your function stopped with SystemExit in the line `sys.exit(1)`: 1"
    assert judge(TOY, leaves) == ("not yet", said)
    with pytest.raises(KeyboardInterrupt):  # the reader's own wish
        judge(TOY, interrupted)


def leaves(x):
    sys.exit(1)


def interrupted(x):
    raise KeyboardInterrupt


ODD_RESULTS = {
    "words": np.array(["a", "b"]),
    "objects": np.array([None, {}], dtype=object),
    "sparse": torch.eye(2).to_sparse(),
    "meta": torch.ones(2, 3, device="meta"),
    "complex": torch.ones(2, 3) * 1j,
    "ragged": [[1.0], [2.0, 3.0]],
    "nested": ((torch.ones(2),),),
    "dictionary": {"x": torch.ones(2, 3)},
    "generator": (x for x in ()),
    "lazy": range(3),
    "class": torch.Tensor,
    "no numbers": torch.empty(0),
    "bytes": b"2",
    "model": torch.nn.Linear(2, 2),
    "nothing in it": (None, None, None),
}


@pytest.mark.parametrize("number", EXERCISES)
@pytest.mark.parametrize("result", ODD_RESULTS.values(), ids=ODD_RESULTS)
def test_an_odd_result_is_told_and_breaks_nothing(number, result):
    verdict = check(number, lambda *arguments: result)
    assert verdict.status == "not yet" and verdict.message and "\n" not in verdict.message


def test_numpy_and_torch_answers_count_alike():
    assert judge(TOY, lambda x: 2 * x.numpy()) == ("passed", "right")
    numbers = Exercise(answer=lambda x: float(np.mean(x)), cases=((np.arange(3.0),),), mistakes=())
    assert judge(numbers, lambda x: torch.tensor(1.0)) == ("passed", "right")
    assert judge(numbers, lambda x: 1.1) == ("not yet", "expected 1, got 1.1")


def dies_of_flat_input(x):
    """a named death"""
    return 2 * x.reshape(2, 3) if x.ndim == 2 else x.reshape(2, 3)


def test_a_stop_is_named_where_a_planted_mistake_stops_alike():
    known = Exercise(answer=double, cases=TOY.cases, mistakes=(dies_of_flat_input,))
    assert judge(known, dies_of_flat_input) == ("not yet", "a named death")
    assert judge(known, lambda x: 2 * x.reshape(2, 3)) == ("not yet", "a named death")
    for other in (
        lambda x: 3 * x.reshape(2, 3),  # another result before it
        lambda x: 2 * x if x.ndim == 2 else x.reshape(3, 2),  # another error
        lambda x: x.reshape(9),  # another case
    ):
        assert "your function stopped with RuntimeError" in judge(known, other)[1]


def test_a_warning_does_not_stand_beside_the_verdict(recwarn):
    def warns(x):
        warnings.warn("beside the point", stacklevel=1)
        return 2 * x

    assert judge(TOY, warns) == ("passed", "right")
    assert not recwarn


def test_several_results_may_come_stacked():
    pair = Exercise(answer=lambda x: (x, 2 * x), cases=TOY.cases, mistakes=())
    assert judge(pair, lambda x: torch.stack([x, 2 * x])) == ("passed", "right")
    assert "a value is not" in judge(pair, lambda x: torch.stack([2 * x, x]))[1]
    assert judge(pair, lambda x: (x, 2 * x, x))[1] == "expected 2 results, got a tuple of 3"
    assert judge(pair, lambda x: torch.stack([x, x, x]))[1] == "expected 2 results, got numbers of shape (3, 2, 3)"
    assert judge(pair, lambda x: x.sum())[1] == "expected 2 results, got a number"


def test_where_many_answers_are_right_a_rule_decides():
    def wrong(results, cases):
        fits = all((result >= x).all() for result, (x,) in zip(results, cases, strict=True))
        return None if fits else "too small"

    larger = Exercise(answer=lambda x: x + 1, cases=TOY.cases, mistakes=(double,), wrong=wrong)
    assert judge(larger, lambda x: x + 1) == judge(larger, lambda x: x + 5) == ("passed", "right")
    assert judge(larger, double) == ("not yet", "Stand-in answer.")  # a known mistake is named first
    assert judge(larger, lambda x: x - 1) == ("not yet", "too small")


def test_a_wrong_name_does_not_give_the_right_one_away():
    assert check("5.5", lambda *terms: "constant").message == "'constant' is not right in one of the cases"


def test_an_exercise_that_is_not_there():
    with pytest.raises(ValueError, match="^number: expected one of 1.1, .*, got '9.9'$"):
        check("9.9", double)


def test_what_the_lesson_measured_is_one_more_case_with_an_answer_of_its_own():
    patterns = torch.zeros(2, 3, 5, 5)
    patterns[1, 2, 4, 3] = 0.7
    made_up = [EXERCISES["1.4"].answer(*case) for case in EXERCISES["1.4"].cases]
    by_heart = iter(made_up)
    assert check("1.4", lambda patterns: next(by_heart), patterns).status == "not yet"
    assert check("1.4", EXERCISES["1.4"].answer, patterns).status == "passed"
    by_heart = iter([*made_up, (1, 2, 4, 3)])
    assert check("1.4", lambda patterns: next(by_heart), patterns).status == "passed"
