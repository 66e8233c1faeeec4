"""What the explorers of all lessons share: a text is read once, drawn in the browser, and kept in a saved page."""

import base64
import html
import json
from functools import lru_cache, wraps
from pathlib import Path

import anywidget
import torch
import traitlets
from IPython.display import Image

from headlab._expect import expect
from headlab.capture import capture_heads
from headlab.models import model_name, token_strings
from headlab.plots import MAPS, house_style

MAX_TOKENS = 64  # more could not be told apart in a picture
PAGE = Path(__file__).parent / "page"


def text_reader(model, tokenizer, look=capture_heads):
    """A function from a text to (HeadCapture, token labels), with one forward pass for each text.

    look: what takes the model and the token ids and gives what is to be shown, by default capture_heads. The function
    raises ValueError where the text is empty, longer than MAX_TOKENS or than the model can read, or holds half a
    character. A model that is not on the CPU, where the pictures are drawn, or in half precision, which they would show
    as steps, is refused at once.
    """
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
    """A method that draws as headlab's figures are drawn, whatever the reader's settings."""

    @wraps(method)
    def styled(*args):
        with house_style():
            return method(*args)

    return styled


def one_line(error):
    """An exception as one line for the reader; headlab's own complaints already are one."""
    name = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    return " ".join(f"{name}{error}".split())[:200]


def fit_labels(*axes, most=26):
    """Keep as many token labels of each Axis as can be read: all of up to `most`, of more every second or third."""
    for axis in axes:
        places, texts = axis.get_ticklocs(), [label.get_text() for label in axis.get_ticklabels()]
        every = -(-len(places) // most)
        axis.set_ticks(places[::every], texts[::every], fontsize=min(10, 190 / len(places[::every])))


def page_side(name):
    """A file of the page's side, after the one with what all explorers in the browser share."""
    return "".join((PAGE / part).read_text(encoding="utf-8") for part in (f"kit{Path(name).suffix}", name))


class PageExplorer(anywidget.AnyWidget):
    """An explorer that is drawn in the browser: what those of lessons 3 and 8 share.

    A subclass says in `prepare` what the page needs to know of a text and in `lines` what it shows in words; `kept`
    names the traits, beside text and error, that a saved page starts from.
    """

    title = ""
    maps = ("score",)  # of MAPS, whose colours the page gets
    kept = ()
    text = traitlets.Unicode().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)
    palettes = traitlets.Bytes().tag(sync=True)

    def __init__(self, model, tokenizer, text, look=capture_heads, **choice):
        self._name = model_name(model)
        self._read = text_reader(model, tokenizer, look)
        palettes = b"".join(MAPS[name](range(256), bytes=True).tobytes() for name in self.maps)
        super().__init__(text=text, shown=self.prepare(text), palettes=palettes, **choice)
        self.observe(self._follow_text, "text")

    def prepare(self, text):
        """What the page needs to show this text, a dict."""
        raise NotImplementedError

    def lines(self):
        """What is chosen and what it shows, in a few lines of words."""
        raise NotImplementedError

    def _follow_text(self, change):
        try:
            shown = self.prepare(self.text)
        except Exception as error:
            self.error = one_line(error)
        else:
            with self.hold_sync():
                self.shown, self.error = shown, ""

    def state_text(self):
        """What a page without a kernel starts from, as JSON: the argument of the page side's `renderStill`."""
        shown = {name: as_text(value) for name, value in self.shown.items()}
        state = {name: getattr(self, name) for name in ("text", "error", *self.kept)}
        return json.dumps(state | {"shown": shown, "palettes": as_text(self.palettes)})

    def to_html(self):
        """The explorer as it stands as a piece of HTML that needs no kernel, no network and no other file.

        Where scripts do not run, it shows its summary.
        """
        still = "".join(f"<p>{html.escape(line)}</p>" for line in [self._description(), *self.lines()])
        data = self.state_text().replace("<", "\\u003c")  # so that no text can end the script
        return (
            f"<style>{self._css}</style><div>{still}</div><script>{{"
            "const place = document.currentScript.previousElementSibling;"
            f"const state = {data};"
            f'import("data:text/javascript;base64,{as_text(str(self._esm).encode())}").then((explorer) => {{'
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
    """Bytes in base64; anything else as it is."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
