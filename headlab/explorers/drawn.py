"""The explorers whose pictures are drawn in Python, by matplotlib, and sent to the page as PNG."""

import html
import threading
from io import BytesIO

import ipywidgets as widgets
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imsave

from headlab._expect import expect, expect_whole
from headlab.capture import capture_heads
from headlab.explorers.shared import in_house_style, one_line, still, text_reader
from headlab.models import model_name
from headlab.plots import HouseFigure


def show_square(image, values, masked):
    """Let a heatmap of tokens by tokens show these values, which may be of fewer tokens than its axes have."""
    image.set_data(np.ma.masked_array(values.numpy(), masked.numpy()))
    image.set_extent((-0.5, len(values) - 0.5, len(values) - 0.5, -0.5))


def _as_html(lines, role="note"):
    """Lines of text that keep to a line each, so that the height stays."""
    text = html.escape("\n".join(lines))
    return f'<div role="{role}" style="white-space: pre; line-height: 1.6; overflow: hidden">{text}</div>'


def place_controls(model, layer, head):
    """Sliders for a layer and a head of a model; raises where it has no such layer or head."""
    for name, value, n in (("layer", layer, model.config.n_layer), ("head", head, model.config.n_head)):
        expected = f"a {name} from 0 to {n - 1}"
        expect(0 <= expect_whole(value, name, expected) < n, name, expected, value)
    return {
        "layer": widgets.IntSlider(layer, 0, model.config.n_layer - 1, description="Layer"),
        "head": widgets.IntSlider(head, 0, model.config.n_head - 1, description="Head"),
    }


class Explorer(widgets.VBox):
    """Controls, one picture and its summary in words: what the explorers of lessons 1, 2, 5, 6 and 7 share.

    A subclass says in `draw` how the picture of a new text is made, and in `show` how its artists follow the
    controls; both take the HeadCapture of the text (or what else `look` makes of it) and its labels. What goes wrong
    there is told in `error`, and the last good picture stays.
    """

    title = ""
    size = (9.2, 4.2)  # inches at 100 dots each
    look = staticmethod(capture_heads)

    def __init__(self, model, tokenizer, text, **controls):
        text_box = widgets.Text(text, description="Text", continuous_update=False, layout={"width": "95%"})
        self.controls = {"text": text_box, **controls}
        for control in self.controls.values():
            control.style.description_width = "90px"
        self.figure = HouseFigure(figsize=self.size, dpi=100, layout="constrained")
        FigureCanvasAgg(self.figure)
        width, height = (f"{100 * side:.0f}px" for side in self.size)
        self.image = widgets.Image(layout={"width": width, "height": height, "max_width": "100%"})
        self.image.layout.object_fit = "contain"
        self.heading, self.error, self.summary = (widgets.HTML(layout={"margin": "0 8px"}) for _ in range(3))
        self.error.layout.height = "1.8em"
        self._model, self._read = model, text_reader(model, tokenizer, self.look)
        self._drawn = self._good = None  # the text whose artists are on the figure, the last text that could be shown
        self._lock, self._busy = threading.RLock(), False
        self._follow()
        for control in self.controls.values():
            control.observe(self._answer, "value")
        row = widgets.Box(list(controls.values()), layout={"flex_flow": "row wrap"})
        super().__init__([self.heading, text_box, row, self.error, self.image, self.summary])

    def draw(self, capture, labels):
        """Make the picture of a new text on the empty `figure`; returns the artists that `show` will change."""
        raise NotImplementedError

    def show(self, capture, labels, **values):
        """Set the artists to what the controls say; returns the summary, a list of lines."""
        raise NotImplementedError

    def _answer(self, change):
        """What a control that was moved brings about: the picture follows, or a line says why not."""
        with self._lock:  # ipykernel may call from several threads
            if self._busy:  # `draw` changed a control, and `show` comes next in any case
                return
            trouble = ""
            try:
                self._follow()
            except Exception as error:
                trouble = f'<b role="alert">{html.escape(one_line(error))}</b>'
            self.error.value = trouble

    def _follow(self):
        try:
            self._present(self._read(self.controls["text"].value))
        except Exception:
            if self._good is not None:
                self._present(self._good)  # so that it still follows the other controls
            raise

    @in_house_style
    def _present(self, reading):
        if reading is not self._drawn:
            self._drawn = None
            self._start(*reading)
            self._drawn = reading
        lines = self.show(*reading, **{name: c.value for name, c in self.controls.items() if name != "text"})
        self.image.value = self._png()
        self.lines, self._good = lines, reading
        self.summary.value = _as_html(lines, "status")

    def _start(self, capture, labels):
        """A new text: a new picture on the same figure."""
        self._busy = True
        try:
            self.figure.clear()
            self._live = self.draw(capture, labels)
        finally:
            self._busy = False
        for artist in self._live:
            artist.set_animated(True)
        self._background = None
        n_layers, n_heads = self._model.config.n_layer, self._model.config.n_head
        self.heading.value = _as_html(
            [
                f"{self.title}. Model: {model_name(self._model)}, {n_layers} layers of {n_heads} heads. "
                f"{len(labels)} tokens."
            ]
        )

    def _png(self):
        """The picture as PNG bytes: the artists that change are drawn over a background that is drawn once a text."""
        canvas = self.figure.canvas
        if self._background is None:
            canvas.draw()
            self._background = canvas.copy_from_bbox(self.figure.bbox)
        canvas.restore_region(self._background)
        for artist in self._live:
            self.figure.draw_artist(artist)
        png = BytesIO()
        # A higher level takes half as long again, for a picture that is hardly smaller.
        imsave(png, canvas.buffer_rgba(), format="png", pil_kwargs={"compress_level": 1})
        return png.getvalue()

    def still(self):
        """The picture as it stands, for a page that runs nothing, with its summary."""
        return still(self.image.value, model_name(self._model), self.lines)

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        return {**bundle, "text/plain": f"{self.title}: run this cell to use it."}
