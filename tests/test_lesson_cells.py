"""What the build makes of a lesson's cells."""

import sys
from pathlib import Path

from nbformat.v4 import new_code_cell, new_markdown_cell

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from lesson_cells import fold_predictions  # noqa: E402


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
