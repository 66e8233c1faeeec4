"""Questions that commit the reader: each is answered before the cell that measures it is run."""

import base64
import hashlib
import html
import json
from pathlib import Path

import anywidget
import traitlets
from IPython.display import display

from headlab._expect import expect, expect_number, shown
from headlab.says import as_lines, first_true


def predict(question, *choices):
    """Show a question with two to four answers to choose from; returns the Prediction, to be revealed afterwards.

    question: plain text; choices: the answers in plain text, each wrong one a misconception that readers have. The
    cell holds nothing else; the next cell measures; the one after that says which choice holds:

        guess = predict("Which key gets the highest score from “house”?", "old", "stone", "house itself")

        raw[3]

        best = tokens[raw[3].argmax()]
        guess.reveal(
            (best == "old", "old", f"its score is {raw[3].max():.0f}, the highest of the row."),
            (True, None, f"here it is “{best}”, which was not among the choices."),
            overlooked={
                "stone": "its key offers half as much of what “house” looks for.",
                "house itself": "a query is compared with keys, and this key offers no adjective.",
            },
        )

    The measurement and the reveal may be one cell. Works with the keyboard; nothing is forced and nothing is stored. In
    a saved page without a kernel, the form compares a choice with what the reveal printed there; where scripts do not
    run, it is only a form, and where forms are not shown, it is text. Raises ValueError or TypeError where there are
    fewer than two choices or more than four, or two alike.
    Introduced in lesson 1.

    >>> guess = predict("Which is larger?", "a query", "a key")  # shows the choices
    <headlab.predict.Prediction object at ...>
    >>> guess.answer  # what the reader has chosen
    ''
    """
    for text in (question, *choices):
        if not isinstance(text, str):
            raise TypeError(f"question and choices: expected plain text, got {shown(repr(text))}")
    expect(2 <= len(choices) <= 4, "choices", "two to four", len(choices))
    expect(len(set(choices)) == len(choices), "choices", "each once", choices)
    return _displayed(Prediction(question, choices))


def predict_number(question, unit=""):
    """Show a question that asks for a number; returns the NumberPrediction, to be revealed afterwards.

    question and unit: plain text. The cells are those of `predict`, and the last one says what was measured:

        guess = predict_number("How many of the 16 pairs are visible?", "pairs")

        visible = mask.sum().item()
        guess.reveal(
            visible,
            "row i sees i + 1 keys, 1 + 2 + 3 + 4 of them.",
            overlooked={6: "a token may see itself: the diagonal counts.", 16: "the future is masked."},
        )

    Introduced in lesson 1.

    >>> guess = predict_number("How many pairs does a mask of 4 tokens leave?", "pairs")
    <headlab.predict.NumberPrediction object at ...>
    >>> guess.answer  # what the reader has typed
    ''
    """
    for text in (question, unit):
        if not isinstance(text, str):
            raise TypeError(f"question and unit: expected plain text, got {shown(repr(text))}")
    return _displayed(NumberPrediction(question, unit))


def _displayed(prediction):
    display(prediction)
    return prediction


class _Question(anywidget.AnyWidget):
    """A question and the form below it; `answer` is what the reader gave, "" before that."""

    _esm = Path(__file__).parent / "predict.js"
    form = traitlets.Unicode().tag(sync=True)
    answer = traitlets.Unicode().tag(sync=True)

    def __init__(self, question, fields, lines):
        self.question, self._text = question, "\n".join([f"Predict. {question}", *lines])
        super().__init__(
            form=f'<fieldset style="border: 0; border-left: 4px solid #0072B2; margin: 0; padding: 0 0 0 12px">'
            f'<legend style="padding: 0"><b>Predict.</b> {html.escape(question)}</legend>{fields}'
            "<output>In JupyterLab, run this cell to answer.</output></fieldset>"
        )

    def _tell(self, *lines):
        for line in (f"Prediction: {self.question}", *lines):
            print(as_lines(line, subsequent_indent="  "))

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/html": self.to_html(), "text/plain": self._text}, metadata

    def to_html(self):
        """The form for a page without a kernel: it compares what is chosen with what the reveal printed below."""
        script = base64.b64encode(str(self._esm).encode()).decode()
        question = json.dumps(" ".join(self.question.split())).replace("<", "\\u003c")  # which cannot end the script
        return (
            f"{self.form}<script>{{const form = document.currentScript.previousElementSibling;"
            f'import("data:text/javascript;base64,{script}").then((page) => page.renderStill(form, {question}));'
            "}</script>"
        )


class Prediction(_Question):
    """A question with two to four choices, as `predict` shows it."""

    def __init__(self, question, choices):
        self.choices = choices
        # One group of buttons for each question of a page, with a name that stays from build to build.
        group = "predict-" + hashlib.sha256(question.encode()).hexdigest()[:8]
        fields = "".join(
            f'<label style="display: flex; align-items: baseline; gap: 6px"><input type="radio" name="{group}" '
            f'value="{html.escape(choice)}" style="margin: 0"> {html.escape(choice)}</label>'
            for choice in choices
        )
        super().__init__(question, fields, [f"( ) {choice}" for choice in choices])

    def reveal(self, *branches, overlooked):
        """Print which choice holds and why, and what each of the others overlooked.

        branches: (condition, choice, why it holds), tried in order, as in `says`; the choice is None where none of them
        holds or the measurement cannot tell. overlooked: {choice: what a reader who chose it overlooked}, for every
        choice that is wrong where another holds; the sentence must be true whichever of the others holds. Where none
        holds, a choice without a sentence is printed alone.
        """
        for place, branch in enumerate(branches):
            fits = isinstance(branch, tuple | list) and len(branch) == 3
            expect(fits, f"branch {place}", "(condition, choice, why it holds)", repr(branch))
            expect(branch[1] is None or branch[1] in self.choices, f"branch {place}", self._known, repr(branch[1]))
        _, holds, because = branches[first_true(branches)]
        wrong = [choice for choice in self.choices if choice != holds]
        for choice in overlooked:
            expect(choice in self.choices, "overlooked", self._known, repr(choice))
        missing = [choice for choice in wrong if choice not in overlooked and holds is not None]
        expect(not missing, "overlooked", f"a sentence for {missing}", f"only {list(overlooked)}")
        wrong.sort(key=lambda choice: choice != self.answer)  # the reader's own first
        yours = {choice: " (your choice)" if choice == self.answer else "" for choice in self.choices}
        self._tell(
            f"None of the choices: {because}" if holds is None else f"✓ {holds}{yours[holds]}: {because}",
            *(
                f"✗ {choice}{yours[choice]}" + (f": {overlooked[choice]}" if choice in overlooked else "")
                for choice in wrong
            ),
        )

    @property
    def _known(self):
        return f"one of the choices {list(self.choices)}"


class NumberPrediction(_Question):
    """A question that asks for a number, as `predict_number` shows it."""

    def __init__(self, question, unit):
        self.unit = unit if unit in ("", "%") else f" {unit}"  # 5 tokens, but 5%
        box = '<input type="number" step="any" style="width: 8em" aria-label="Your number">'
        super().__init__(question, f"<div>{box}{html.escape(self.unit)}</div>", [f"____{self.unit}"])

    def reveal(self, measured, because, overlooked, within=0.0):
        """Print what was measured and why, and what a likely wrong number overlooked.

        measured: the number; because: a sentence; overlooked: {a likely wrong number: what it overlooked};
        within: how far off a prediction may be and still count as right.
        """
        measured = expect_number(measured, "measured", "a number")
        expect(overlooked, "overlooked", "at least one likely wrong number", "none")
        wrong = {number: why for number, why in overlooked.items() if abs(number - measured) > within}
        own = self._number()
        lines = [f"✓ {measured:.4g}{self.unit}: {because}"]
        if own is not None and abs(own - measured) <= within:
            lines.append(f"Your number, {own:.4g}, is right.")
        elif own is not None and own not in wrong:
            lines.append(f"✗ Your number, {own:.4g}, is too {'high' if own > measured else 'low'}.")
        for number, why in sorted(wrong.items(), key=lambda item: item[0] != own):
            lines.append(f"✗ {number:.4g}{' (your number)' if number == own else ''}: {why}")
        self._tell(*lines)

    def _number(self):
        """The reader's number, or None where there is none."""
        try:
            return float(self.answer)
        except ValueError:
            return None
