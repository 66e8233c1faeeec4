"""Grading without nbgrader: cases that nobody has seen, tasks of one's own, and what a notebook's function needs."""

import json
import math
import operator
import os
import re
import shutil
import statistics
import sys
import time
import unicodedata
from html import unescape
from io import BytesIO
from types import SimpleNamespace

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes

from headlab.cli import main
from headlab.exercises import EXERCISES, LESSONS, own_task
from headlab.exercises.engine import assess, observe
from headlab.exercises.own import QUESTIONS
from headlab.grading import grade, judge, report, sandbox
from headlab.grading.fresh import fresh_exercise
from headlab.grading.judge import judge_cells
from headlab.grading.lesson import Item, lesson_of
from headlab.grading.own_answers import is_right, right_answer
from headlab.grading.report import as_csv
from headlab.grading.slices import program_of
from headlab.grading.submissions import read_notebook

GRADED = range(1, len(LESSONS) + 1)


@pytest.mark.parametrize("number", EXERCISES)
def test_fresh_cases_are_others_and_the_answer_passes(number):
    for seed in (1, 2**30):
        exercise = fresh_exercise(number, seed)
        seen = observe(exercise.answer, exercise.cases, seconds=60)
        assert assess(exercise, seen, lambda: False) == ("passed", "right")
        if any(exercise.cases):  # a function without arguments answers a question that has one answer
            assert str(exercise.cases) != str(EXERCISES[number].cases)
            assert str(exercise.cases) != str(fresh_exercise(number, seed + 1).cases)


@pytest.mark.parametrize("number", GRADED)
def test_every_exercise_of_a_lesson_is_graded(number):
    lesson = lesson_of(number)
    numbers = [item.number for item in lesson.items]
    assert numbers == [*LESSONS[number - 1].EXERCISES, f"{number}.own"]
    assert all(item.points in range(1, 6) and item.title for item in lesson.items)


@pytest.mark.parametrize("number", [1, 3])
def test_the_lessons_own_solutions_pass_without_a_remark(number):
    lesson = lesson_of(number)
    marks = judge_cells(lesson, list(lesson.cells), "nobody", seed=7)
    assert [mark.status for mark in marks] == ["passed"] * (len(marks) - 1) + ["not attempted"]
    assert not any(mark.notes for mark in marks)


WRONG_AND_STUBS = ["def my_causal_mask(n):\n    return n", "def my_pattern(scores):\n    ..."]


def test_only_what_passes_earns_points():
    lesson = lesson_of(1)
    right = {mark.number: mark.points for mark in judge_cells(lesson, list(lesson.cells), "nobody", seed=7)}
    assert all(right[item.number] == (0 if item.own else item.points) for item in lesson.items)
    assert lesson.items[0].name == "my_causal_mask" and lesson.items[1].name == "my_pattern"
    marks = judge_cells(lesson, [*lesson.cells[:2], *WRONG_AND_STUBS], "nobody", seed=7)
    assert [mark.status for mark in marks[:2]] == ["not yet", "not attempted"]
    assert all(mark.points == 0 for mark in marks)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *((value, 2.5) for value in (2.5, np.float32(2.5), np.array([2.5]), torch.tensor(2.5), torch.tensor([[2.5]]))),
        *((value, None) for value in (True, "2.5", None, [2.5], np.array([2.5, 2.5]), torch.ones(2))),
        (3, 3.0),
    ],
)
def test_an_own_answer_is_one_number_of_whatever_kind(value, number):
    assert judge._number(value) == number


def test_an_own_answer_given_as_a_tensor_passes():
    lesson, right = lesson_of(1), right_answer(own_task(1, "nobody"), "mini")
    cells = ["import torch", f"{lesson.items[-1].name} = torch.tensor({right})"]
    mark = judge_cells(lesson, cells, "nobody", seed=7)[-1]
    assert (mark.status, mark.points) == ("passed", lesson.items[-1].points)


def test_a_wrong_own_answer_is_traced_to_another_name_or_model():
    lesson, task = lesson_of(1), own_task(1, "nobody")
    elsewhere = right_answer(own_task(1, "somebody"), "mini")

    def line(answer, name):
        cells = [f'student = "{name}"', f"{lesson.items[-1].name} = {answer}"]
        mark = judge_cells(lesson, cells, "nobody", seed=7)[-1]
        assert (mark.status, mark.points) == ("not yet", 0)
        return mark.message

    assert line(elsewhere, "somebody") == "this is the answer to another name's task: set student to your own name"
    wrong = f"this is {elsewhere:.4g}, which is not the answer to the task that your name draws"
    assert line(elsewhere, "nobody") == line(elsewhere, "anybody") == wrong
    on_random = right_answer(task, "random")
    assert line(on_random, "nobody") == "this is the answer on random: the class works on mini"


def test_the_chart_counts_who_solved_tried_or_left_out_each_exercise(monkeypatch):
    lesson, bars = lesson_of(1), {}

    def barh(ax, labels, counts, left, color, label):
        bars[label] = dict(zip(labels, zip(counts, left, strict=True), strict=True))
        return plain(ax, labels, counts, left=left, color=color, label=label)

    plain = Axes.barh
    monkeypatch.setattr(Axes, "barh", barh)
    outcomes = {
        "a": ["passed", "passed", "not yet"],
        "b": ["passed", "not yet", "not yet"],
        "c": ["passed", "not attempted", "not yet"],
    }
    results = []
    for student, statuses in outcomes.items():
        marks = [judge.Mark(i.number, 0, 1, s, "") for i, s in zip(lesson.items, statuses, strict=False)]
        results.append(SimpleNamespace(student=student, marks=marks))
    picture = plt.imread(BytesIO(report._bar_chart(lesson, results)))
    names = [item.title if item.own else f"{item.number} · {item.title}" for item in lesson.items]
    assert all(list(of) == names for of in bars.values())
    assert [bars["solved"][name] for name in names[:3]] == [(3, 0), (1, 0), (0, 0)]
    assert [bars["tried, not solved"][name] for name in names[:3]] == [(0, 3), (1, 1), (3, 0)]
    assert [bars["not attempted"][name] for name in names[:3]] == [(0, 3), (1, 2), (0, 3)]
    assert picture.shape[0] > 30 * len(names) and picture[..., :3].std() > 0.1


def page_text(page):
    """What a page says, a line for each row or paragraph."""
    page = re.sub(r"<(?:tr|p|h1|h2|li|br)\b[^>]*>", "\n", page.partition("<body>")[2])
    lines = (re.sub(r"<[^>]+>", "", re.sub(r"<t[dh]>", " | ", line)).strip(" |") for line in page.splitlines())
    return [unescape(line) for line in lines if line]


@pytest.fixture
def class_of_four():
    """A lesson of two exercises and an own task, and what four students got for it."""
    items = (
        Item("1.1", "Mask <one>", "mask", 1, ("2. Masks", "3. Rows")),
        Item("1.2", "Softmax", "softmax", 2),
        Item("1.own", "Your own task", "own_answer", 3),
    )
    lesson = SimpleNamespace(number=1, title="Causal masking", items=items)
    mark, future = judge.Mark, "the future is visible"
    rows = mark("1.2", 0, 2, "not yet", "rows")
    columns = mark("1.2", 0, 2, "not yet", "columns")
    ann = (mark("1.1", 1, 1, "passed", "right"), columns, mark("1.own", 3, 3, "passed", ""))
    left_out = mark("1.own", 0, 3, "not attempted", "not attempted")
    ben = (mark("1.1", 0, 1, "not yet", future, notes=("it imports os",)), rows, left_out)
    return lesson, [
        grade.Graded("ann", ann, "", (), ""),
        grade.Graded("=ben", ben, "", ("an older version",), ""),
        grade.Graded("cem", (), "two notebooks differ", (), ""),
        grade.Graded("dan", (rows,), "", (), ""),
    ]


def test_the_summary_counts_each_mistake_and_names_what_to_look_at(class_of_four):
    assert page_text(report.summary(*class_of_four)) == [
        "Causal masking",
        "4 handed in, 3 graded.",
        "Mistakes",
        "exercise | students | mistake",
        "1.1 | 1 | the future is visible",
        "1.2 | 2 | rows",
        "1.2 | 1 | columns",
        "To look at",
        "=ben: an older version; 1.1: it imports os",
        "cem: two notebooks differ",
    ]


def test_a_students_page_has_points_mistakes_and_where_to_read_on(class_of_four):
    lesson, (ann, ben, cem, _) = class_of_four
    assert page_text(report.feedback(lesson, ann)) == [
        "Causal masking",
        "ann",
        "4 of 6 points",
        "exercise | points | what the grader found",
        "1.1 · Mask <one> | 1 of 1 | ✓ right",
        "1.2 · Softmax | 0 of 2 | ✗ columns",
        "Read on: the hints of exercise 1.2.",
        "Your own task | 3 of 3 | ✓",
    ]
    assert page_text(report.feedback(lesson, ben))[2:] == [
        "0 of 6 points",
        "Note: an older version.",
        "exercise | points | what the grader found",
        "1.1 · Mask <one> | 0 of 1 | ✗ the future is visible",
        "Read on: 2. Masks, 3. Rows; the hints of exercise 1.1.",
        "Note: it imports os.",
        "1.2 · Softmax | 0 of 2 | ✗ rows",
        "Read on: the hints of exercise 1.2.",
        "Your own task | 0 of 3 | … not attempted",
        "Read on: what print(own_task(...)) says; work on the class's model, with your own name.",
    ]
    assert page_text(report.feedback(lesson, cem))[2:] == ["Not graded: two notebooks differ."]


def test_the_tables_of_a_class(class_of_four):
    tables = report.tables(*class_of_four)
    assert tables["grades.csv"] == [
        ["student", "points", "possible", "1.1", "1.2", "1.own", "remarks"],
        ["ann", 4, 6, 1, 0, 3, ""],
        ["=ben", 0, 6, 0, 0, 0, "an older version; 1.1: it imports os"],
        ["cem", "", 6, "", "", "", "two notebooks differ"],
        ["dan", 0, 6, "", 0, "", ""],
    ]
    name = "headlab lesson 1"
    assert tables["moodle.csv"] == [["Username", name], ("ann", 4), ("=ben", 0), ("cem", ""), ("dan", 0)]
    assert tables["canvas.csv"][0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", name]
    assert tables["canvas.csv"][1:3] == [["    Points Possible", "", "", "", "", 6], ["ann", "", "", "ann", "", 4]]
    assert tables["blackboard.csv"][:2] == [["Username", f"{name} [Total Pts: 6 Score]"], ("ann", 4)]


def test_only_the_same_solved_functions_are_told_as_alike():
    def handed_in(student, *statuses):
        marks = [judge.Mark(f"1.{n}", 0, 1, status, "", code=f"f{n}") for n, status in enumerate(statuses, 1)]
        return SimpleNamespace(student=student, marks=marks)

    solved, tried = ("passed",) * 3, ("passed", "passed", "not yet")
    assert report.alike([handed_in("a", *tried), handed_in("b", *tried)]) == []  # two solved functions are often alike
    assert report.alike([handed_in("a", *solved), handed_in("b", *tried), handed_in("c", *solved)]) == [
        "the same code in every solved exercise: a, c"
    ]


@pytest.mark.parametrize("lesson", QUESTIONS)
def test_every_question_has_an_answer_that_depends_on_the_task(lesson, mini):
    for question in QUESTIONS[lesson]:
        names = (f"student {n}" for n in range(1000))
        tasks = [task for task in (own_task(lesson, name) for name in names) if task.question == question][:2]
        first, second = (right_answer(task, "mini") for task in tasks)
        assert np.isfinite(first) and not is_right(first, second)
        assert is_right(float(f"{first:.3g}"), first) and not is_right(1.05 * first + 0.001, first)
        assert str(tasks[0]) != str(tasks[1])


def head_by_hand(model, ids, layer, head):
    """A head's (query, key and value vectors, raw scores, pattern) of one text, as lists, without headlab."""
    block, d_head = model.transformer.h[layer], 64
    with torch.no_grad():
        states = model(ids, output_hidden_states=True).hidden_states[layer]
        thirds = block.attn.c_attn(block.ln_1(states))[0].double().split(768, dim=-1)
    q, k, v = (third[:, d_head * head : d_head * (head + 1)].tolist() for third in thirds)
    raw = [[sum(map(operator.mul, a, b)) for b in k[: i + 1]] for i, a in enumerate(q)]
    pattern = []
    for row in raw:
        weights = [math.exp((score - max(row)) / 8) for score in row]
        pattern.append([weight / sum(weights) for weight in weights])
    return q, k, v, raw, pattern


def loss_by_hand(model, ids, layer, head, replace):
    """Nats of each token but the first, with a head's output replaced by `replace(outputs)`, (T, d_head) each."""
    band = slice(64 * head, 64 * (head + 1))

    def change(module, inputs):
        outputs = inputs[0].clone()
        outputs[0, :, band] = replace(outputs[0, :, band])
        return (outputs,)

    handle = model.transformer.h[layer].attn.c_proj.register_forward_pre_hook(change)
    with torch.no_grad():
        logits = model(ids).logits[0, :-1].double()
    handle.remove()
    return [-row.log_softmax(-1)[token].item() for row, token in zip(logits, ids[0, 1:], strict=True)]


def own_answers_by_hand(task, model, tokenizer):
    """{question: answer} of all questions of the task's lesson, from their definitions."""
    ids = tokenizer(task.text, return_tensors="pt").input_ids[:, : task.n_tokens]
    q, k, v, raw, pattern = head_by_hand(model, ids, task.layer, task.head)
    query, key, mean = task.query, task.key, statistics.fmean
    row, shares, scores = raw[query], pattern[query], sum(raw, [])
    width = statistics.stdev(scores) * len(scores) ** -0.2  # Scott's

    def density(x):
        return mean(math.exp(-(((x - s) / width) ** 2) / 2) for s in scores) / (width * math.sqrt(2 * math.pi))

    def losses(replace):
        return loss_by_hand(model, ids, task.layer, task.head, replace)

    def far(i):
        return sum(share * (i - j) for j, share in enumerate(pattern[i]))

    return {
        1: lambda: {
            "first share": mean(shares[0] for shares in pattern[1:]),
            "strongest link": max(share for i, shares in enumerate(pattern) for share in shares[1:i]),
            "one share": shares[key],
        },
        2: lambda: {f"{name} length": math.hypot(*x[query]) for name, x in {"query": q, "key": k, "value": v}.items()},
        3: lambda: {"raw score": row[key], "scaled score": row[key] / 8, "looks back": far(query)},
        4: lambda: {
            "negative": mean(score < 0 for score in scores),
            "median": statistics.median(scores),
            "row mean": mean(row),
        },
        5: lambda: {
            "gap": row[0] - mean(row[1:]),
            "effective tokens": math.exp(-sum(share * math.log(share) for share in shares)),
            "centred": row[key] - mean(row),
        },
        6: lambda: {"density": density(0.0), "bandwidth": width, "density at its mean": density(mean(scores))},
        7: lambda: {
            "step back": mean(map(far, range(2, len(raw)))),
            "share high": mean(share >= 0.1 for shares in pattern[2:] for share in shares),
            "without first": shares[key] / sum(shares[1:]),
        },
        8: lambda: {
            "mean": mean(losses(lambda x: x.mean(0).expand_as(x))) - mean(losses(lambda x: x)),
            "zero": mean(losses(torch.zeros_like)) - mean(losses(lambda x: x)),
            "token": losses(lambda x: x.mean(0).expand_as(x))[query - 1],
        },
    }[task.lesson]()


@pytest.mark.parametrize(("lesson", "question"), [(lesson, name) for lesson in QUESTIONS for name in QUESTIONS[lesson]])
def test_an_own_answer_is_what_the_question_defines(lesson, question, mini):
    tasks = (own_task(lesson, f"s{n}") for n in range(100))
    for task in [task for task in tasks if task.question == question][:3]:
        expected = own_answers_by_hand(task, *mini)[question]
        assert right_answer(task, "mini") == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_two_students_rarely_have_the_same_task_and_a_name_has_one():
    tasks = {str(own_task(5, f"student {n}")) + own_task(5, f"student {n}").text for n in range(300)}
    assert len(tasks) >= 297
    assert own_task(1, "Ada") != own_task(2, "Ada")
    for lesson, student, said in ((9, "Ada", "lesson: expected one of 1, 2"), (1, " ", "student: expected your name")):
        with pytest.raises(ValueError, match=f"^{said}"):
            own_task(lesson, student)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Nguyễn Thị Ánh", unicodedata.normalize("NFD", "  nguyễn  thị ánh ")),
        ("Ada", "Ａｄａ"),  # the wide letters of Chinese and Japanese keyboards
        ("Ραΐλα", "ΡΑΪ́ΛΑ"),  # no single character is the capital of ΐ, so its two marks stand apart
    ],
)
def test_a_name_is_the_same_however_it_is_typed(one, other):
    assert one != other and own_task(1, one) == own_task(1, other)


def test_a_program_holds_only_what_a_name_needs():
    cells = [
        "%matplotlib inline\nimport torch, numpy as np\nfrom math import *",
        "while True:\n    pass",
        "size = 3\nother = size + 1\nplt.show()",
        "table = {}\ntable['a'] = size\ntable.update(b=2)\nnp.seterr(all='raise')",
        "def helper(x):\n    size_of = np.abs(other)\n    return table, x",
        "!rm -rf here\nx = 1",
        "def mine(x):\n    return [helper(y) for y in x]",
        "def broken(:",
    ]
    program = program_of(cells)
    kept = [program.sources[s.file].splitlines()[s.node.lineno - 1] for s in program.needed("mine")]
    assert kept == [
        "import torch, numpy as np",
        "from math import *", "size = 3", "other = size + 1", "table = {}", "table['a'] = size", "table.update(b=2)",
        "def helper(x):", "def mine(x):",
    ]  # fmt: skip
    assert [why for _, why in program.broken] == [
        "Python cannot read line 1 of this cell, `def broken(:`: invalid syntax"
    ]
    assert [s.file for s in program.needed("x")][-1] == "<code cell 6>"


RESULTS = [
    None, True, 3, 2.5, "q", (1, [2.0, "k"]), np.float64(0.5), np.arange(4), torch.ones(2, 3, dtype=torch.bool),
    torch.tensor(1.5), np.array([np.nan, np.inf]),
]  # fmt: skip


@pytest.mark.parametrize("value", RESULTS, ids=repr)
def test_a_result_comes_back_as_it_went(value):
    from headlab.exercises.engine import _same, describe

    found = sandbox.decode(json.loads(json.dumps(sandbox.encode(value))))
    assert _same(found, value, 0.0) and describe(found) == describe(value) and type(found) is type(value)


def test_what_is_no_result_comes_back_as_its_type_alone():
    class Odd:
        def __reduce__(self):
            return os.abort, ()

    assert type(sandbox.decode(sandbox.encode({"a": Odd()}))).__name__ == "dict"
    assert type(sandbox.decode(sandbox.encode([Odd()]))[0]).__name__ == "Odd"
    lazy = torch.ones(2, dtype=torch.complex64).conj()  # numpy cannot take it as it is
    assert type(sandbox.decode(sandbox.encode(lazy))).__name__ == "Tensor"
    for forged in ({"array": {"dtype": "O", "shape": [1], "content": ""}}, {"pickle": "x"}, 5, {"plain": [1]}):
        with pytest.raises(ValueError, match="^result: expected"):
            sandbox.decode(forged)
    with pytest.raises(ValueError, match="^result: expected one kind and a value, got x{80}$"):
        sandbox.decode("x" * 99)


def test_only_as_much_of_a_result_comes_back_as_an_answer_needs():
    def back(value):
        return sandbox.decode(json.loads(json.dumps(sandbox.encode(value))))

    assert back("x" * 3000) == "x" * 2000
    assert back([0] * 10_000) == [0] * 10_000 and back([0] * 10_001) != [0] * 10_001
    assert back([[[[[1]]]]]) == [[[[[1]]]]] and back([[[[[[1]]]]]]) != [[[[[[1]]]]]]
    assert back(2**999 - 1) == 2**999 - 1 and back(2**999) != 2**999


def test_a_function_that_takes_too_much_memory_is_told_how_much_there_is():
    cells = ["import torch\ndef my_causal_mask(n):\n    return torch.ones(2**31)"]  # 8 GB
    told = sandbox.run_function(cells, "my_causal_mask", "1.1", 1)
    assert told["visible"].fault == "your function needs more than 3 GB of memory"


def test_a_function_that_needs_a_name_is_told_of_the_line_that_failed():
    cells = ["import nothing", "scale = 1 / 0", "def my_causal_mask(n):\n    return scale"]
    told = sandbox.run_function(cells, "my_causal_mask", "1.1", 1)
    assert told["visible"].fault == (
        "your function needs a line that failed: `scale = 1 / 0`: ZeroDivisionError: division by zero"
    )


def test_a_function_in_two_broken_cells_is_told_of_the_last():
    cells = ["def mask(:\n    return 1", "def mask(n):\n    return ]"]
    missing = sandbox.run_function(cells, "mask", "1.1", 1)["missing"]
    assert missing.startswith("Python cannot read line 2 of this cell, `return ]`: ")


@pytest.mark.timeout(60)  # without the limit, the grader would wait for ever
def test_nothing_starts_programs_or_outlives_its_time():
    cells = ["import os\ndef my_causal_mask(n):\n    os.system('touch gone')"]
    said = sandbox.run_function(cells, "my_causal_mask", "1.1", 1)["visible"].fault
    assert sandbox.REFUSED in said
    limits = sandbox.Limits(whole=2)
    cells = ["my_causal_mask = 0\nwhile True:\n    my_causal_mask += 1"]
    start = time.monotonic()
    endless = sandbox.run_function(cells, "my_causal_mask", "1.1", 1, limits)
    assert time.monotonic() - start < 20
    assert endless == {"ended": "your notebook ran for more than 2 s; does a loop never end?"}


def test_nothing_that_a_function_prints_reaches_the_teacher(capfd):
    printing = (
        "    import os, sys\n    print('one'), print('two', file=sys.stderr)\n    os.write(1, b'3'), os.write(2, b'4')"
    )
    sandbox.run_function([f"def my_causal_mask(n):\n{printing}\n    return n"], "my_causal_mask", "1.1", 1)
    assert capfd.readouterr() == ("", "")


def test_a_function_may_write_a_file_that_is_not_too_large():
    write = "    import os\n    open('kept', 'wb').write(bytes({size}))\n    return os.path.getsize('kept')"
    for size, error in ((10**6, None), (2 * 10**8, "OSError")):
        cells = ["def my_causal_mask(n):\n" + write.format(size=size)]
        seen = sandbox.run_function(cells, "my_causal_mask", "1.1", 1)["visible"]
        assert (seen.error[0] if seen.error else None) == error, seen
        assert error or seen.results[0] == size


@pytest.fixture
def handed_in(tmp_path):
    """A folder with two students of lesson 1 who have done nothing; a notebook each."""
    cells = [nbformat.v4.new_code_cell("def my_causal_mask(n):\n    ...")]
    for student in ("a", "b"):
        (tmp_path / "in" / student).mkdir(parents=True)
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "in" / student / "01_causal_masking.ipynb")
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("spoil", "options", "said"),
    [
        (lambda f: None, ["--lesson", "12"], "--lesson: expected one of 1, 2, 3, 4, 5, 6, 7, 8, 9, got 12"),
        (lambda f: None, ["--lesson", "9"], "--lesson: expected a lesson with exercises"),
        (lambda f: None, ["--lesson", "1", "--workers", "0"], "--workers: expected a whole number from 1"),
        (shutil.rmtree, ["--lesson", "1"], "FOLDER: expected a folder with a folder or a notebook for each student"),
        (lambda f: [shutil.rmtree(p) for p in f.iterdir()], ["--lesson", "1"], "FOLDER: expected a folder or"),
        (lambda f: (f / "a.ipynb").write_text("{}"), ["--lesson", "1"], "FOLDER: expected each student once"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(handed_in, tmp_path, capsys, spoil, options, said):
    spoil(handed_in)
    assert main(["grade", str(handed_in), *options, "--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(said) and printed.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_two_notebooks_that_differ_are_not_graded_and_stop_nobody(handed_in, tmp_path, capsys):
    other = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("def my_causal_mask(n):\n    return n")])
    (handed_in / "a" / "old").mkdir()
    nbformat.write(other, handed_in / "a" / "old" / "01_causal_masking.ipynb")
    (handed_in / "c").mkdir()
    lesson, results = grade.grade_folder(handed_in, 1, tmp_path / "out", told=lambda line: None)
    faults = {result.student: result.fault for result in results}
    assert "there are 2 notebooks of this lesson that differ" in faults["a"] and faults["b"] == ""
    assert faults["c"] == "there is no notebook of lesson 1 among what you handed in"


@pytest.mark.parametrize(
    ("megabytes", "said"),
    [(199, "cannot be read as a notebook: open it in"), (201, "is larger than 200 MB: clear its")],
)
def test_a_file_that_is_too_large_is_not_read(tmp_path, megabytes, said):
    with open(tmp_path / "lesson.ipynb", "wb") as file:
        file.truncate(megabytes * 2**20)
    notebook, fault = read_notebook(tmp_path / "lesson.ipynb")
    assert fault.startswith(f"lesson.ipynb {said}") and notebook == {"metadata": {}, "cells": []}


def test_an_interrupted_grading_keeps_what_it_has(handed_in, tmp_path, monkeypatch, capsys):
    real, seen = grade.judge_cells, []

    def interrupted(*arguments):
        seen.append(arguments[2])
        if len(seen) > 1:
            raise KeyboardInterrupt
        return real(*arguments)

    command = ["grade", str(handed_in), "--lesson", "1", "--out", str(tmp_path / "out"), "--workers", "1"]
    monkeypatch.setattr(grade, "judge_cells", interrupted)
    assert main(command) == 130
    assert "what was graded is kept" in capsys.readouterr().err
    assert len(list((tmp_path / "out" / "results").glob("*.json"))) == 1
    monkeypatch.setattr(grade, "judge_cells", real)
    assert main(command) == 0
    assert "1 of 2 were graded before" in capsys.readouterr().out


def test_what_was_graded_by_other_rules_is_graded_anew(tmp_path):
    kept = tmp_path / "ann.json"
    kept.write_text(json.dumps({"rules": "b", "student": "ann", "marks": [], "fault": "", "notes": [], "digest": "d"}))
    assert grade._read(kept, "b") == grade.Graded("ann", (), "", (), "d")
    assert grade._read(kept, "a") is grade._read(kept, "c") is grade._read(tmp_path / "ben.json", "b") is None


def test_no_cell_of_a_table_is_a_formula():
    found = as_csv([["=cmd()", "+1", "Ada", 5]]).decode("utf-8-sig")
    assert found == "'=cmd(),'+1,Ada,5\n"


def test_the_students_copy_says_that_it_cannot_grade(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "headlab.grading.grade")
    monkeypatch.setitem(sys.modules, "headlab.grading", None)
    assert main(["grade", "x", "--lesson", "1"]) == 1
    assert capsys.readouterr().err == "headlab grade: only the teacher's copy of the course has it\n"
