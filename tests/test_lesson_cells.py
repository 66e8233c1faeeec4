"""What the build makes of a lesson's cells."""

import re
import sys
from pathlib import Path

import jupytext
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import lesson_cells  # noqa: E402
from build_notebooks import notebook_of  # noqa: E402
from lesson_cells import fold_predictions, format_faults, given_away, minutes, rounded, state_time  # noqa: E402

# Lessons whose exercises, hints and times have the form that lesson_cells describes.
IN_FORM = ("01", "02", "03", "04", "05", "06", "07", "08", "09")


def folded(*sources):
    """What is folded of each cell: "s" its source, "o" its outputs."""
    cells = [new_markdown_cell(s[1:]) if s.startswith("#") else new_code_cell(s) for s in sources]
    fold_predictions(cells)
    return [
        "".join(kind[0] for kind in ("source_hidden", "outputs_hidden") if c.metadata.get("jupyter", {}).get(kind))
        for c in cells
    ]


def test_from_a_prediction_to_its_reveal_outputs_are_folded():
    predict, reveal = 'g = predict("?", "a", "b")', 'g.reveal((True, "a", "!"), overlooked={"b": "."})'
    assert folded("x = 1", predict, "#text", "x = 2", reveal, "x") == ["", "s", "", "o", "so", ""]
    assert folded(predict, f"x = 2\n{reveal}", "x") == ["s", "o", ""]
    assert folded('n = predict_number("?")', "x", "if x:\n    y = f(x)", "n.reveal(2, '!', {})", "x") == [
        "s",
        "o",
        "o",
        "so",
        "",
    ]
    assert folded(predict, reveal, predict, "x", reveal) == ["s", "o", "s", "o", "so"]
    assert folded("predict = 2", "predict", "unpredict(2)", "# reveal(2)") == [""] * 4


def test_what_else_stands_in_a_cells_metadata_stays():
    cell = new_code_cell("predict('?', 'a', 'b')", metadata={"tags": ["x"], "jupyter": {"other": 1}})
    fold_predictions([cell])
    assert cell.metadata == {"tags": ["x"], "jupyter": {"other": 1, "source_hidden": True}}


@pytest.mark.parametrize(
    ("line", "tells"),
    [
        ("row sums: [0.105, 1.0]", True),
        ("f(2x) / f(x) = 8.0", True),
        ("-110", True),
        ("62% are negative", True),
        ("equal: True", True),
        ("the first row: nan", True),
        ("\n\n12 heads", True),
        ("Row sums:\n0.1", False),
        ("Medians of L0H5 in real GPT-2:\n3", False),
        ("Prediction: which of (3, 1)?\n✓ 3", False),
    ],
)
def test_a_folded_output_whose_first_line_tells_a_value_is_found(line, tells):
    shown = line.strip().splitlines()[0]
    for output in (
        new_output("stream", text=line),
        new_output("execute_result", {"text/plain": line}),
    ):
        cell = new_code_cell(outputs=[output], metadata={"jupyter": {"outputs_hidden": True}})
        assert given_away(cell) == (shown if tells else None)
        cell.metadata = {}
        assert given_away(cell) is None


def test_a_figure_and_an_empty_output_give_nothing_away():
    figure = new_output("display_data", {"text/plain": "<Figure size 1200x480 with 3 Axes>"})
    for outputs in ([], [figure]):
        assert given_away(new_code_cell(outputs=outputs, metadata={"jupyter": {"outputs_hidden": True}})) is None


FORM = lesson_cells.__doc__.partition("have this form")[2].partition("**Cells tagged")[0].partition(":\n")[2]
MASTER = f"""# %% [markdown]
# # A lesson of {{{{minutes}}}} minutes, {{{{seconds}}}}
#
# Five words more, [not this](address), <b>and</b> --- | two.

# %%
guess = predict(
    "Which?", "a", "b"
)

# %%
# no line
x = 2

y = 3

# %%
guess.reveal(
    (x == 2, "a", "!"), overlooked={{"b": "."}}
)

# %% [markdown]
# ## Exercises

{re.sub("^    ", "", FORM.lstrip(chr(10)), flags=re.MULTILINE)}
# %% [markdown] tags=["solution"]
# {"why " * 2000}

# %% [markdown]
# ## What we found

# %% tags=["optional"]
x = 2

# %% [markdown] tags=["optional"]
# ### Exercise 1.3 · An optional one
#
# *Difficulty 2 of 5 · importance 5 of 5 · about 50 minutes*
"""


def cells_of(text):
    return jupytext.reads(text, fmt="py:percent").cells


def test_the_form_that_is_described_is_in_form():
    assert format_faults(cells_of(MASTER)[:-2]) == []


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("From scores to pattern", "From scores to pattern (easy)", "without brackets"),
        ("### Exercise 1.2 ·", "### Exercise 1.2:", "expected '### Exercise"),
        ("## Exercises", "## Exercises\n#\n# ### Exercise 1.1 · A buried one", "heading to begin a cell"),
        ("importance 5 of 5", "importance 6 of 5", "expected a line"),
        ("about 5 minutes*", "5 minutes*", "expected a line"),
        ("Hint 2: the idea", "Hint", "one cell tagged hint"),
        ('tags=["hint"]', "", "one cell tagged hint"),
        ("guess.reveal(", "guess.tell(", "a reveal for each prediction, got 0 for 1"),
        ("predict(", "predicted(", "a reveal for each prediction, got 1 for 0"),
        ("guess.reveal(\n   ", "guess.reveal(", "of at most 90 letters"),
        ("predict(\n   ", "predict(" + 90 * " ", "of at most 90 letters"),
    ],
)
def test_what_is_out_of_form_is_named(right, wrong, said):
    assert right in MASTER
    text = MASTER.replace(right, wrong, 1).replace('(x == 2, "a", "!")', f'(x == 2, "a", "{90 * "!"}")')
    faults = format_faults(cells_of(text)[:-2])
    assert len(faults) == 1 and said in faults[0]


def test_minutes_count_each_part_once():
    cells = cells_of(MASTER)
    # The words of the title and of the paragraph below it, "Exercises" and "What we found".
    parts = minutes(cells, {"mini": 30, "gpt2": 90})
    assert parts == {"words": (6 + 7 + 1 + 3) / 180, "code": 2 / 15, "predictions": 1, "exercises": 5, "cells": 1.5}
    assert rounded(parts) == 10 and rounded({"words": 5.0}) == 5 and rounded({"words": 5.01}) == 10


def test_the_time_is_written_where_the_master_leaves_room(monkeypatch, tmp_path):
    table = tmp_path / "seconds.csv"
    table.write_text("lesson,model,seconds\n01_lesson,mini,10\n01_lesson,gpt2,90\n02_other,mini,5\n")
    monkeypatch.setattr(lesson_cells, "SECONDS", table)
    cells = cells_of(MASTER)
    state_time(cells, "01_lesson")
    assert cells[0].source.splitlines()[0] == "# A lesson of 10 minutes, 10 s with mini and 90 s with gpt2"


@pytest.mark.parametrize("lesson", IN_FORM)
def test_a_lesson_is_in_form_and_takes_an_hour_at_most(lesson):
    (master,) = (ROOT / "lessons").glob(f"{lesson}_*.py")
    cells = jupytext.read(master).cells
    assert format_faults(cells) == []
    parts = minutes(cells, lesson_cells.seconds_of(master.stem))
    assert rounded(parts) <= lesson_cells.MOST_MINUTES, {part: round(value) for part, value in parts.items()}
    assert "{{minutes}}" in master.read_text() and "{{seconds}}" in master.read_text()
    row = re.search(
        rf"\]\(notebooks/{master.stem}.ipynb\).*\| (\d+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert row and int(row[1]) == rounded(parts)
    title = notebook_of(master, solutions=False).cells[0].source
    assert f"**Time** about {row[1]} minutes" in title
