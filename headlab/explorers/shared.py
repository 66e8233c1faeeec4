"""What the explorers of all lessons share: a text is read once, drawn in the browser, and kept in a saved page."""

import base64
import html
import json
from functools import lru_cache, wraps
from io import BytesIO
from pathlib import Path

import anywidget
import numpy as np
import torch
import traitlets
from IPython.display import Image

from headlab._expect import expect, expect_flag, expect_number, expect_whole
from headlab.capture import capture_heads
from headlab.explorers.recorded import Recording
from headlab.models import model_name, token_strings
from headlab.plots import COLOURS, MAPS, HouseFigure, house_style

MAX_TOKENS = 64  # in a picture of more, the cells would be too small
PAGE = Path(__file__).parent / "page"


def text_reader(model, tokenizer, look=capture_heads):
    """A function from a text to (HeadCapture, token labels), with one forward pass for each text.

    look: a function of the model and the token ids that returns what is to be shown, by default capture_heads. The
    returned function raises ValueError if the text is empty, longer than MAX_TOKENS or than the model can read, or
    holds half a character. A model is refused at once if it is not on the CPU, where the pictures are drawn, or is in
    half precision, which the pictures would show as steps. A Recording can read one text only.
    """
    if isinstance(model, Recording):
        return model.reader(look)
    expect(model.device.type == "cpu", "model", "a model on the CPU (model.cpu() moves it)", f"one on {model.device}")
    whole = model.dtype in (torch.float32, torch.float64)
    expect(whole, "model", "a model in torch.float32 (model.float() makes it one)", f"one in {model.dtype}")
    limit = min(MAX_TOKENS, model.config.n_positions)

    @lru_cache(maxsize=8)
    def read(text):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("text: expected whole characters, got half of one (type that place again)") from None
        input_ids = torch.tensor([tokenizer(text, verbose=False).input_ids], device="cpu")
        n_tokens = input_ids.shape[1]
        expect(1 <= n_tokens <= limit, "text", f"1 to {limit} tokens", f"{n_tokens} tokens")
        return look(model, input_ids), token_strings(tokenizer, input_ids)

    return read


def still(png, model, lines):
    """A still picture, with its model's name and the summary printed above it and as its alternative text."""
    lines = [f"Model: {model}.", *lines]
    print("\n".join(lines))
    return Image(png, alt=" ".join(lines))


def in_house_style(method):
    """A method that draws in the style of headlab's figures, whatever the reader's settings."""

    @wraps(method)
    def styled(*args):
        with house_style():
            return method(*args)

    return styled


def one_line(error):
    """An exception as one line for the reader; headlab's own messages already are one."""
    name = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    return " ".join(f"{name}{error}".split())[:200]


def fit_labels(*axes, most=26):
    """Keep as many token labels of each Axis as can be read: up to `most` all, else every second or third."""
    for axis in axes:
        places, texts = axis.get_ticklocs(), [label.get_text() for label in axis.get_ticklabels()]
        every = -(-len(places) // most)
        axis.set_ticks(places[::every], texts[::every], fontsize=min(10, 190 / len(places[::every])))


def page_side(name):
    """(script, style) of one explorer: what all share and the module of this name, in one piece.

    In one piece, since a script that came from a blob or a data address can import no other file.
    """
    script = "".join((PAGE / f"{part}.js").read_text(encoding="utf-8") for part in ("arithmetic", "kit", "panel", name))
    return script, (PAGE / "kit.css").read_text(encoding="utf-8")


class Setting(traitlets.Any):
    """What a control of the page, or Python, can change; a value that the control does not offer is an error."""

    def __init__(self, default_value):
        """As traitlets.Any."""
        super().__init__(default_value)
        self.tag(sync=True)

    def validate(self, explorer, value):
        """The value as the page gets it, or one line on what is wrong with it."""
        control, name = explorer.controls[self.name], self.name
        if choices := control.get("options", control.get("values")):
            expect(value in choices, name, f"one of {choices}", repr(value))
            return value
        if "min" not in control:
            expect_flag(value, name)
            return bool(value)
        what = f"a {name}" if name in ("layer", "head") else "a number"
        expected = f"{what} from {control['min']} to {control['max']}"
        number = (expect_whole if isinstance(control["step"], int) else expect_number)(value, name, expected)
        expect(control["min"] <= number <= control["max"], name, expected, value)
        return number


def slider(label, low, high, step=1):
    """A control for a number from `low` to `high`; whole numbers where the step is one."""
    return {"label": label, "min": low, "max": high, "step": step}


class PageExplorer(anywidget.AnyWidget):
    """An explorer that is drawn in the browser, from numbers that are sent once for each text.

    A subclass has `make_controls`: what the page can change, each a Setting of its own; `prepare`: what the page needs
    to know of a text; `compute`: the numbers for the present settings, which the page computes too; `draw`: the still
    picture; and `words`: the sentences of the summary, with the names of facts in them.
    """

    title = ""
    words = ()
    kept = ()  # traits that a saved page starts from, besides the settings of the controls
    size = (9.2, 4.4)  # inches of the still picture
    look = staticmethod(capture_heads)
    text = traitlets.Unicode().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)
    palettes = traitlets.Bytes().tag(sync=True)
    colours = traitlets.Dict().tag(sync=True)

    def __init__(self, model, tokenizer, text, **settings):
        self._name, self._sizes = model_name(model), (model.config.n_layer, model.config.n_head)
        self._read, self._fixed = text_reader(model, tokenizer, self.look), isinstance(model, Recording)
        self.controls = self.make_controls(*self._sizes)
        palettes = b"".join(colours(range(256), bytes=True).tobytes() for colours in MAPS.values())
        super().__init__(text=text, shown=self._shown(text), palettes=palettes, colours=dict(COLOURS), **settings)
        self.observe(self._follow_text, "text")

    def make_controls(self, n_layers, n_heads):
        """{setting: its control}, in the order of the page."""
        return {"layer": slider("Layer", 0, n_layers - 1), "head": slider("Head", 0, n_heads - 1)}

    def prepare(self, reading, labels):
        """What the page needs to show this text, a dict."""
        raise NotImplementedError

    def compute(self):
        """(numbers, facts) of the present settings: the arrays to draw, and the values that the summary names."""
        raise NotImplementedError

    def draw(self, figure, numbers, facts):
        """Draw the present settings on an empty figure."""
        raise NotImplementedError

    def lines(self):
        """What is chosen and what it shows, in a few sentences."""
        _, facts = self.compute()
        return [sentence.format(**facts) for sentence in self.words]

    @in_house_style
    def still(self):
        """The present picture with its summary, for a page that runs no scripts."""
        figure = HouseFigure(figsize=self.size, layout="constrained")
        self.draw(figure, *self.compute())
        png = BytesIO()
        figure.savefig(png)
        return still(png.getvalue(), self._name, self.lines())

    def _shown(self, text):
        reading, labels = self._read(text)
        shown = {
            "make": type(self).__name__,
            "title": self.title,
            "model_name": self._name,
            "sizes": self._sizes,
            "text": text,
            "fixed": self._fixed,
            "tokens": labels,
            "controls": self.controls,
            "words": self.words,
            **self.prepare(reading, labels),
        }
        self._reading, self._labels = reading, labels
        return shown

    def _follow_text(self, change):
        try:
            shown = self._shown(self.text)
        except Exception as error:
            self.error = one_line(error)
        else:
            with self.hold_sync():
                self.shown, self.error = shown, ""

    def state_text(self):
        """The explorer's present state as JSON; with the script, it is all that a website needs to show it."""
        names = ("text", "error", "shown", "palettes", "colours", *self.controls, *self.kept)
        # Without "<", no text can end the script that holds it.
        return json.dumps({name: as_text(getattr(self, name)) for name in names}).replace("<", "\\u003c")

    def to_html(self):
        """The explorer in its present state, as a piece of HTML that needs no kernel, no network and no other file.

        Where scripts do not run, it shows its summary.
        """
        summary = "".join(f"<p>{html.escape(line)}</p>" for line in [self._description(), *self.lines()])
        script = base64.b64encode(str(self._esm).encode()).decode()
        return (
            f"<style>{self._css}</style><div>{summary}</div><script>{{"
            "const place = document.currentScript.previousElementSibling;"
            f"const state = {self.state_text()};"
            f'import("data:text/javascript;base64,{script}").then((explorer) => {{'
            "place.replaceChildren(); explorer.renderStill(state, place); });"
            "}</script>"
        )

    def _description(self):
        return f"{self.title} of {self._name}: run this cell to use it."

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/html": self.to_html(), "text/plain": self._description()}, metadata


def as_text(value):
    """A value as JSON can hold it: bytes, in dicts too, as {"base64": text}, and anything else as it is."""
    if isinstance(value, dict):
        return {name: as_text(each) for name, each in value.items()}
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


@np.errstate(under="ignore")  # what is too small for the page is 0 there
def as_bytes(values, dtype="<f4"):
    """A tensor or an array as the page gets it."""
    return np.ascontiguousarray(np.asarray(values), dtype).tobytes()


def all_scores(capture):
    """The raw scores of every head, (layer, head, query, key)."""
    return torch.stack([capture.scores(layer) for layer in capture.layers])
