"""What the build makes of a lesson's cells: predictions whose answers are folded."""

import ast


def fold_predictions(cells):
    """Fold what would give a prediction away, until the reader runs it, in a student's cells.

    From a cell that calls predict or predict_number up to the one that calls reveal, code cells have their outputs
    folded; JupyterLab unfolds them when they are run. The source of both is folded too, for it is no part of the
    lesson and names the answer: that of a reveal only where the measurement stands in a cell of its own before it.
    """
    waiting = measured = False
    for cell in (cell for cell in cells if cell.cell_type == "code"):
        called = _called(cell.source)
        if called & {"predict", "predict_number"}:
            _fold(cell, source=True)
            waiting, measured = True, False
        elif waiting:
            _fold(cell, outputs=True)
            if "reveal" in called:
                waiting = False
                _fold(cell, source=measured)
            measured = True


def _fold(cell, source=False, outputs=False):
    folded = {name: True for name, wanted in (("source_hidden", source), ("outputs_hidden", outputs)) if wanted}
    cell.metadata["jupyter"] = {**cell.metadata.get("jupyter", {}), **folded}


def _called(source):
    """The names of the functions and methods that a cell calls."""
    functions = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {getattr(function, "attr", getattr(function, "id", None)) for function in functions}
