"""The widgets: change text, layer and head, and the picture follows. One explorer for each lesson."""

import base64
import html
import json
import threading
from functools import lru_cache, wraps
from io import BytesIO
from pathlib import Path

import anywidget
import ipywidgets as widgets
import numpy as np
import torch
import traitlets
from IPython.display import Image
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.image import imsave
from matplotlib.patches import Rectangle

from headlab._expect import expect, expect_whole
from headlab.capture import capture_heads, score_divisor, score_terms
from headlab.contrast import ScoreTerms, effective_tokens
from headlab.density import EVERYWHERE, choose_bandwidth, kde
from headlab.masking import causal_mask, mask_scores, softmax
from headlab.models import model_name, token_strings
from headlab.plots import COLOURS, MAPS, HouseFigure, as_label, house_style, masked_future, plot_pattern, plot_scores
from headlab.profiles import laminar_profile, layer_densities
from headlab.scores import attention_pattern
from headlab.shift import shift_stats
from headlab.splitting import merge_heads, split_heads, split_qkv

MAX_TOKENS = 64  # more could not be told apart in a picture
HERE = Path(__file__).parent


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


class MaskExplorer(Explorer):
    """Lesson 1: how far a text is read, the mask on and off, and temperature: scores and pattern side by side.

    model, tokenizer: as load_model gives them; text: what to show first, at most MAX_TOKENS tokens.
    Introduced in lesson 1.
    """

    title = "Mask explorer"

    def __init__(self, model, tokenizer, text, layer=0, head=0):
        super().__init__(
            model,
            tokenizer,
            text,
            **place_controls(model, layer, head),
            n_tokens=widgets.IntSlider(MAX_TOKENS, 1, MAX_TOKENS, description="Tokens read"),
            mask=widgets.Checkbox(True, description="Causal mask"),
            temperature=widgets.FloatSlider(1.0, min=0.1, max=5.0, step=0.1, description="Temperature"),
        )

    def draw(self, capture, labels):
        """Scores and pattern, and what covers the tokens that are not read yet."""
        n_tokens = len(labels)
        self.controls["n_tokens"].max = n_tokens
        self.controls["n_tokens"].value = n_tokens
        left, right = self.figure.subplots(1, 2)
        nothing = torch.zeros(n_tokens, n_tokens, dtype=torch.float32, device="cpu")
        plot_scores(nothing, labels, left, label="scaled score over temperature (hatched: -inf)")
        plot_pattern(nothing, labels, right)
        for ax in (left, right):
            ax.autoscale(False)  # the axes stay as they are while fewer tokens are read
            fit_labels(ax.xaxis, ax.yaxis)
        right.set_title("pattern")
        self.name = left.set_title("scores")
        self.scores_image, self.pattern_image = left.images[0], right.images[0]
        self.covers = [ax.add_patch(Rectangle((0, 0), 1, 1, color="white")) for ax in (left, left, right, right)]
        return [self.scores_image, self.pattern_image, *self.covers, self.name, self.scores_image.colorbar.ax]

    def show(self, capture, labels, layer, head, n_tokens, mask, temperature):
        """The callback: raw scores, scaled, masked or not, and their softmax."""
        raw = capture.scores(layer, head)[:n_tokens, :n_tokens]  # later tokens change nothing before them
        scores = raw / (capture.divisors[layer] * temperature)
        masked = mask_scores(scores) if mask else scores
        pattern = softmax(masked)

        show_square(self.scores_image, masked, masked.isneginf())
        limit = scores.abs().max().item() or 1.0
        self.scores_image.set_clim(-limit, limit)
        show_square(self.pattern_image, pattern, masked_future(pattern))
        for cover, corner in zip(self.covers, [(n_tokens, 0), (0, n_tokens)] * 2, strict=True):
            cover.set(x=corner[0] - 0.5, y=corner[1] - 0.5, width=len(labels), height=len(labels))
        self.name.set_text(f"scores of L{layer}H{head}")
        future = pattern[~causal_mask(n_tokens)].sum() / n_tokens
        return [
            f"L{layer}H{head}, {n_tokens} of {len(labels)} tokens read, mask {'on' if mask else 'off'}, "
            f"temperature {temperature:.1f}.",
            f"The future gets {future:.0%} of the attention. The first token gives itself {pattern[0, 0]:.0%}.",
            f"A query's largest share is {pattern.amax(-1).mean():.0%} on average.",
        ]


class SplittingExplorer(Explorer):
    """Lesson 2: the columns of the fused matrix that belong to one head, and the q, k and v that they are.

    model, tokenizer: as load_model gives them; text: what to show first, at most MAX_TOKENS tokens.
    Introduced in lesson 2.
    """

    title = "Splitting explorer"
    size = (9.2, 5.4)

    def __init__(self, model, tokenizer, text, layer=0, head=0):
        super().__init__(model, tokenizer, text, **place_controls(model, layer, head))

    def draw(self, capture, labels):
        """The fused matrix above, q, k and v below."""
        n_heads, n_tokens, d_head = capture.q.shape[1:]
        d_model = n_heads * d_head
        axes = self.figure.subplot_mosaic([["fused"] * 3, ["query", "key", "value"]])
        # One scale for all layers, so that they can be compared.
        limit = np.quantile(np.abs([capture.q.numpy(), capture.k.numpy(), capture.v.numpy()]), 0.99)
        style = {"cmap": MAPS["score"], "vmin": -limit, "vmax": limit, "aspect": "auto", "interpolation": "nearest"}
        self.images = {
            # Edges at whole numbers, so that a band's edges are its column numbers.
            name: ax.imshow(np.zeros((n_tokens, width)), extent=(0, width, n_tokens, 0), **style)
            for (name, ax), width in zip(axes.items(), (3 * d_model, d_head, d_head, d_head), strict=True)
        }
        bands = {"color": "black", "fill": False, "lw": 2}
        self.bands = [axes["fused"].add_patch(Rectangle((0, 0), d_head, n_tokens, **bands)) for _ in range(3)]
        axes["fused"].set(
            xticks=range(0, 3 * d_model + 1, d_model), xlabel="column of the fused matrix", ylabel="token"
        )
        for ax in axes.values():
            ax.set_yticks([])
        rows = [place + 0.5 for place in range(n_tokens)]
        axes["query"].set_yticks(rows, [as_label(label) for label in labels])
        fit_labels(axes["query"].yaxis, most=15)
        for name in ("query", "key", "value"):
            axes[name].set(title=name, xlabel="channel of the head")
        self.name = axes["fused"].set_title("fused")
        self.figure.colorbar(self.images["fused"], ax=list(axes.values()), label="activation", extend="both")
        return [*self.images.values(), *self.bands, self.name]

    def show(self, capture, labels, layer, head):
        """The callback: the fused matrix as c_attn gave it, cut into thirds and these into heads."""
        parts = (capture.q[layer], capture.k[layer], capture.v[layer])
        fused = torch.cat([merge_heads(part) for part in parts], dim=-1)  # (token, 3 * d_model)
        thirds = split_qkv(fused)
        n_heads = capture.q.shape[1]
        q, k, v = (split_heads(third, n_heads)[head] for third in thirds)  # each (token, channel)

        for image, values in zip(self.images.values(), (fused, q, k, v), strict=True):
            image.set_data(values.numpy())
        d_model, d_head = thirds[0].shape[-1], q.shape[-1]
        starts = [third * d_model + head * d_head for third in range(3)]
        for band, start in zip(self.bands, starts, strict=True):
            band.set_x(start)
        self.name.set_text(f"fused matrix of layer {layer}, the bands of head {head} framed")
        columns = ", ".join(
            f"{start} to {start + d_head - 1} {name}" for name, start in zip(("q", "k", "v"), starts, strict=True)
        )
        lengths = [part.norm(dim=-1).mean() for part in (q, k, v)]
        return [
            f"L{layer}H{head}: the fused matrix is {len(fused)} tokens by {fused.shape[1]} = 3 x {d_model} columns.",
            f"Of these, columns {columns}, each {d_head} channels.",
            "Mean length of a vector: q {:.1f}, k {:.1f}, v {:.1f}.".format(*lengths),
        ]


class ShiftExplorer(Explorer):
    """Lesson 5: multiply a head's key bias, scale the scores, drop any of their four terms, and see what softmax sees.

    model, tokenizer: as load_model gives them; text: what to show first, at most MAX_TOKENS tokens.
    Introduced in lesson 5.
    """

    title = "Shift explorer"
    look = staticmethod(score_terms)

    def __init__(self, model, tokenizer, text, layer=0, head=0):
        self.divisors = [score_divisor(model.config, layer) for layer in range(model.config.n_layer)]
        terms = {name: widgets.Checkbox(True, description=name.replace("_", " ")) for name in ScoreTerms._fields}
        super().__init__(
            model,
            tokenizer,
            text,
            **place_controls(model, layer, head),
            times=widgets.IntSlider(1, -100, 100, description="b_k times"),
            scale=widgets.FloatSlider(1.0, min=0.0, max=3.0, step=0.1, description="Scale by"),
            **terms,
        )

    def draw(self, terms, labels):
        """Scores and pattern, and query by query the effective tokens and the first token's share."""
        n_tokens = len(labels)
        axes = self.figure.subplot_mosaic(
            [["scores", "pattern", "tokens"], ["scores", "pattern", "share"]], width_ratios=(3, 3, 2)
        )
        nothing = torch.zeros(n_tokens, n_tokens, dtype=torch.float32, device="cpu")
        plot_scores(nothing, labels, axes["scores"], label="raw score (hatched: masked)")
        plot_pattern(nothing, labels, axes["pattern"])
        for name in ("scores", "pattern"):
            fit_labels(axes[name].xaxis, axes[name].yaxis)
            axes[name].images[0].colorbar.remove()
        axes["pattern"].set(title="pattern\n(white: 0, dark green: 1)", ylabel="")
        axes["tokens"].set(ylim=(0, n_tokens + 1), ylabel="effective tokens", xticklabels=[])
        axes["share"].set(ylim=(0, 1.05), ylabel="first token's share", xlabel="query")
        self.curves = {}
        for name in ("tokens", "share"):
            axes[name].set_xlim(-0.5, n_tokens - 0.5)
            style = {
                "unchanged": {"color": "0.6", "lw": 4},
                "changed": {"color": COLOURS["loaded model"], "marker": "o", "ms": 3},
            }
            for state, look in style.items():
                self.curves[name, state] = axes[name].plot(range(n_tokens), np.zeros(n_tokens), label=state, **look)[0]
        axes["tokens"].legend(loc="upper left", fontsize=8, frameon=False)
        self.name = axes["scores"].set_title("raw scores")
        self.scores_image, self.pattern_image = axes["scores"].images[0], axes["pattern"].images[0]
        return [self.scores_image, self.pattern_image, self.name, *self.curves.values()]

    def show(self, terms, labels, layer, head, times, scale, **kept):
        """The callback: the sum of the terms that are kept, with the key bias so many times, and its pattern."""
        four = {name: term[head] for name, term in terms[layer]._asdict().items()}
        whole = sum(four.values())
        weights = {"content": 1, "query_bias": 1, "key_bias": times, "constant": times}  # b_k is in the last two
        raw = scale * sum((weights[name] * four[name] for name in four if kept[name]), torch.zeros_like(whole))
        divided_by = self.divisors[layer] ** 2  # attention_pattern takes the root of it: d_head in GPT-2
        patterns = {"unchanged": attention_pattern(whole, divided_by), "changed": attention_pattern(raw, divided_by)}

        for state, pattern in patterns.items():
            self.curves["tokens", state].set_ydata(effective_tokens(pattern))
            self.curves["share", state].set_ydata(pattern[:, 0].numpy())
        future = ~causal_mask(len(labels))
        show_square(self.scores_image, raw, future)
        limit = raw[~future].abs().max().item() or 1.0
        self.scores_image.set_clim(-limit, limit)
        show_square(self.pattern_image, patterns["changed"], future)
        self.name.set_text(f"raw scores of L{layer}H{head}\n(colours from −{limit:.0f} to {limit:.0f})")
        dropped = " and ".join(name.replace("_", " ") for name in four if not kept[name])
        left = f"without {dropped}" if dropped else "all four terms"
        stats = shift_stats(raw)
        tokens = {state: effective_tokens(pattern).mean() for state, pattern in patterns.items()}
        share = {state: pattern[:, 0].mean() for state, pattern in patterns.items()}
        change = (patterns["changed"] - patterns["unchanged"]).abs().max()
        return [
            f"L{layer}H{head}, {left}, scaled by {scale:.1f}, b_k times {times}: "
            f"{stats.fraction_negative:.0%} of the visible scores are negative, median {stats.median:.1f}.",
            f"Over all queries {tokens['changed']:.1f} effective tokens (unchanged: {tokens['unchanged']:.1f}), "
            f"first token's share {share['changed']:.0%} (unchanged: {share['unchanged']:.0%}).",
            f"Largest change of any share: {change:.3f}.",
        ]


class DensityExplorer(Explorer):
    """Lesson 6: a sample's Gaussians and their sum, for raw scores and for shares, which end at 0 and at 1.

    model, tokenizer: as load_model gives them; text: what to show first, at most MAX_TOKENS tokens.
    Introduced in lesson 6.
    """

    title = "Density explorer"

    def __init__(self, model, tokenizer, text, layer=0, head=0):
        super().__init__(
            model,
            tokenizer,
            text,
            **place_controls(model, layer, head),
            n_samples=widgets.IntSlider(40, 3, 200, description="Samples"),
            width=widgets.FloatLogSlider(1.0, min=-1, max=0.5, step=0.05, description="Bandwidth"),
            kernels=widgets.Checkbox(True, description="Show each kernel"),
            mend=widgets.Checkbox(False, description="Mend the edges"),
        )

    def draw(self, capture, labels):
        """The density of the raw scores and of the shares."""
        n_scores = causal_mask(len(labels)).sum().item()
        # A sample of n scores is the first n of them in an order that is random, and the same each time.
        self.order = np.random.default_rng(0).permutation(n_scores)
        left, right = self.axes = self.figure.subplots(1, 2)
        # The layout is that of the first head; the numbers of the next may be longer, or end at an edge.
        self.figure.get_layout_engine().set(rect=(0.035, 0, 0.95, 1), wspace=0.08)
        left.set(xlabel="raw score q·k", ylabel="density")
        right.set(xlabel="share of attention")
        for edge in (0, 1):
            right.axvline(edge, color="0.6", ls=":", lw=1)
        for ax in self.axes:
            ax.locator_params(nbins=4)  # the axes are drawn at each change: fewer labels, faster
        self.sums = [ax.plot([], [], color=COLOURS["loaded model"], lw=2)[0] for ax in self.axes]
        self.rugs = [ax.plot([], [], "|", color="black", ms=9)[0] for ax in self.axes]
        self.kernels = [ax.add_collection(LineCollection([], color="#E69F00", lw=0.7)) for ax in self.axes]
        return list(self.axes)

    def show(self, capture, labels, layer, head, n_samples, width, kernels, mend):
        """The callback: a sample of the visible pairs, and the densities of their scores and of their shares."""
        visible = causal_mask(len(labels))
        chosen = self.order[:n_samples]
        raw = capture.scores(layer, head)[visible].numpy()[chosen]
        shares = capture.pattern(layer, head)[visible].numpy()[chosen]
        widths = [width * choose_bandwidth(sample, "scott") for sample in (raw, shares)]
        widths[1] = min(widths[1], 0.25)  # a wider Gaussian would leak over both edges at once

        of_raw = self._sum(0, raw, widths[0], EVERYWHERE, kernels)
        of_shares = self._sum(1, shares, widths[1], (0.0, 1.0) if mend else EVERYWHERE, kernels)
        self.axes[0].set_title(f"{len(chosen)} raw scores of L{layer}H{head}")
        self.axes[1].set_title(f"{len(chosen)} shares of L{layer}H{head}")
        return [
            f"L{layer}H{head}: {len(chosen)} of {len(self.order)} visible pairs, {width:.2f} times Scott's bandwidth, "
            f"kernels {'shown' if kernels else 'hidden'}, edges {'mended' if mend else 'left open'}.",
            f"Raw scores: bandwidth {widths[0]:.2f}, the density is highest at {of_raw[0][of_raw[1].argmax()]:.1f}.",
            f"Shares: bandwidth {widths[1]:.3f}, {leak(*of_shares):.1%} of the density lies below 0 or above 1.",
        ]

    def _sum(self, place, sample, width, bounds, kernels):
        """Draw the sum of a sample's kernels, and each of them where asked for; returns (grid, density)."""
        grid = np.linspace(sample.min() - 4 * width, sample.max() + 4 * width, 400)
        density = kde(sample, grid, width, bounds=bounds)
        each = [kde(one, grid, width, bounds=bounds) / len(sample) for one in sample] if kernels else []
        self.axes[place].set(xlim=(grid[0], grid[-1]), ylim=(0, 1.08 * density.max()))
        self.sums[place].set_data(grid, density)
        self.rugs[place].set_data(sample, np.zeros(len(sample)))
        self.kernels[place].set_segments([np.column_stack([grid, kernel]) for kernel in each])
        return grid, density


def leak(grid, density):
    """How much of a density on an even grid lies outside 0 to 1."""
    outside = (grid < 0) | (grid > 1)
    return density[outside].sum() / density.sum()


class ProfileExplorer(Explorer):
    """Lesson 7: the density of the scores and one statistic of every head, layer by layer.

    model, tokenizer: as load_model gives them; text: what to show first, from 3 to MAX_TOKENS tokens.
    Introduced in lesson 7.
    """

    title = "Profile explorer"

    def __init__(self, model, tokenizer, text, head=0):
        last = model.config.n_layer - 1
        super().__init__(
            model,
            tokenizer,
            text,
            layers=widgets.IntRangeSlider(value=(0, last), min=0, max=last, description="Layers"),
            head=place_controls(model, 0, head)["head"],
            statistic=widgets.Dropdown(options=list(STATISTICS), value="median", description="Statistic"),
        )

    def draw(self, capture, labels):
        """The densities as a heatmap and the statistic as points, a layer a row in both."""
        visible = causal_mask(len(labels))
        self.profile = laminar_profile(capture)
        grid, densities = layer_densities([capture.scores(layer)[:, visible] for layer in capture.layers])
        left, right = self.axes = self.figure.subplots(1, 2, sharey=True)
        step = grid[1] - grid[0]
        n_layers, n_heads = self.profile.median.shape
        extent = (grid[0] - step / 2, grid[-1] + step / 2, n_layers - 0.5, -0.5)
        self.densities = left.imshow(
            densities, extent=extent, aspect="auto", cmap=MAPS["amount"], interpolation="nearest"
        )
        left.axvline(0, color="0.45", ls="--", lw=1)
        left.set(xlabel="raw score q·k", ylabel="layer", title="colour: density per unit of q·k")
        self.figure.colorbar(self.densities, ax=left)  # a label would be taken for that of the right panel
        right.set_ylabel("layer")
        right.tick_params(labelleft=True)
        rows = np.repeat(np.arange(n_layers), n_heads)
        self.points = right.scatter(np.zeros(rows.size), rows, s=14, color="0.6", label="each head")
        self.middle = right.plot(np.zeros(n_layers), range(n_layers), color="black", label="median of the heads")[0]
        track = {"color": COLOURS["loaded model"], "ms": 5, "lw": 1, "label": "chosen head"}
        self.track = right.plot(np.zeros(n_layers), range(n_layers), "o-", **track)[0]
        self.figure.legend(loc="outside lower center", ncols=3)
        return [self.densities, *left.lines, left.yaxis, right]

    def show(self, capture, labels, layers, head, statistic):
        """The callback: one statistic of laminar_profile, for the layers that are chosen."""
        values = getattr(self.profile, statistic)  # (layer, head)
        middle = np.median(values, axis=1)

        first, last = layers
        chosen = slice(first, last + 1)
        self.points.set_offsets(np.column_stack([values.ravel(), np.repeat(np.arange(len(values)), values.shape[1])]))
        self.middle.set_xdata(middle)
        self.track.set_xdata(values[:, head])
        low, high = values[chosen].min(), values[chosen].max()
        room = 0.05 * (high - low) or 1.0
        left, right = self.axes
        right.set(
            xlim=(low - room, high + room), xlabel=STATISTICS[statistic], title=f"{statistic}, head {head} in colour"
        )
        right.set(ylim=(last + 0.5, first - 0.5), yticks=range(first, last + 1))
        lowest, highest = first + middle[chosen].argmin(), first + middle[chosen].argmax()
        return [
            f"Layers {first} to {last}: {STATISTICS[statistic]}.",
            f"Median of the heads: lowest {middle[lowest]:.2f} in layer {lowest}, "
            f"highest {middle[highest]:.2f} in layer {highest}.",
            f"Head {head}: {values[first, head]:.2f} in layer {first}, {values[last, head]:.2f} in layer {last}.",
        ]


STATISTICS = {
    "median": "median of a head's raw scores (q·k)",
    "fraction_negative": "share of a head's raw scores below zero",
    "spread": "spread of a query's raw scores (q·k)",
    "effective_tokens": "effective tokens of a query",
    "first_share": "share on the first token",
    "previous_share": "share on the previous token",
    "mean_step_back": "mean step back (tokens)",
}


def page_side(name):
    """A file of the page's side, after the one with what all explorers in the browser share."""
    return "".join((HERE / part).read_text(encoding="utf-8") for part in (f"page{Path(name).suffix}", name))


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

    def to_html(self):
        """The explorer as it stands as a piece of HTML that needs no kernel, no network and no other file.

        Where scripts do not run, it shows its summary.
        """
        shown = {name: as_text(value) for name, value in self.shown.items()}
        state = {name: getattr(self, name) for name in ("text", "error", *self.kept)}
        state |= {"shown": shown, "palettes": as_text(self.palettes)}
        still = "".join(f"<p>{html.escape(line)}</p>" for line in [self._description(), *self.lines()])
        data = json.dumps(state).replace("<", "\\u003c")  # so that no text can end the script
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


class HeadExplorer(PageExplorer):
    """Lesson 3: every head of a text from raw score to pattern, drawn in the browser from scores that are sent once.

    model, tokenizer: as load_model gives them; text: what to show first, at most MAX_TOKENS tokens. `layer`, `head`
    and `text` can be read and set from Python too; `error` is the line that the reader sees where a text cannot be
    shown. Works in a saved page without a kernel: see `to_html`.
    Introduced in lesson 3.
    """

    _esm, _css = page_side("head_explorer.js"), page_side("head_explorer.css")
    title = "Head explorer"
    maps = ("score", "share")
    kept = ("layer", "head")
    layer = traitlets.Int(0).tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)

    def __init__(self, model, tokenizer, text, layer=0, head=0):
        super().__init__(model, tokenizer, text, layer=layer, head=head)

    def prepare(self, text):
        """What the page needs to draw any head of this text."""
        self._reading = capture, labels = self._read(text)
        scores = torch.stack([capture.scores(layer) for layer in capture.layers])  # (layer, head, query, key)
        n_layers, n_heads = scores.shape[:2]
        places = np.ndindex(n_layers, n_heads)
        return {
            "model_name": self._name,
            "tokens": labels,
            "n_layers": n_layers,
            "n_heads": n_heads,
            "divisors": list(capture.divisors),
            "summaries": [head_summary(capture, labels, layer, head) for layer, head in places],
            "scores": scores.numpy().astype("<f4").tobytes(),
        }

    def lines(self):
        """The summary of the chosen head."""
        return self.shown["summaries"][self.layer * self.shown["n_heads"] + self.head]

    @traitlets.validate("layer", "head")
    def _expect_place(self, proposal):
        name, value = proposal.trait.name, proposal.value
        last = self.shown[f"n_{name}s"] - 1
        expect(0 <= value <= last, name, f"a {name} from 0 to {last}", value)
        return value

    @in_house_style
    def still(self):
        """The chosen head's four stages as a picture, for a page that runs nothing, with the summary of the head."""
        capture, labels = self._reading
        raw = capture.scores(self.layer, self.head)
        scaled = raw / capture.divisors[self.layer]
        figure = HouseFigure(figsize=(9.6, 8.4), layout="constrained")
        axes = figure.subplots(2, 2).flat
        limit = scaled.abs().max().item() or None  # one scale for the scaled scores, masked or not
        plot_scores(raw, labels, axes[0], label="raw score q·k").set_title(f"raw scores of L{self.layer}H{self.head}")
        plot_scores(scaled, labels, axes[1], "scaled score", limit).set_title("scaled")
        plot_scores(mask_scores(scaled), labels, axes[2], "masked score (hatched: -inf)", limit).set_title("masked")
        plot_pattern(capture.pattern(self.layer, self.head), labels, axes[3]).set_title("pattern")
        for ax in axes:
            fit_labels(ax.xaxis, ax.yaxis)
        png = BytesIO()
        figure.savefig(png)
        return still(png.getvalue(), self._name, self.lines())


def head_summary(capture, labels, layer, head):
    """What one head does with a text, in a few lines of words.

    capture: a HeadCapture of the text; labels: its tokens as token_strings gives them. Returns a list of lines, as
    many for each head of the text. Introduced in lesson 3.
    """
    raw, pattern = capture.scores(layer, head), capture.pattern(layer, head)
    n_tokens = len(labels)
    seen = raw[causal_mask(n_tokens)]
    lines = [
        f"L{layer}H{head}: raw scores of the visible pairs from {seen.min():.1f} to {seen.max():.1f}, "
        f"{(seen < 0).float().mean():.0%} of them negative."
    ]
    if n_tokens > 1:
        even = (1 / np.arange(2, n_tokens + 1)).mean()
        lines.append(
            f"The first token gets {pattern[1:, 0].mean():.0%} of the others' attention on average "
            f"(if each shared evenly: {even:.0%})."
        )
    # The first token is told apart above; a token's link to itself is none.
    links = pattern.tril(-1)[:, 1:]
    for place in links.flatten().argsort(descending=True, stable=True)[: min(3, (n_tokens - 1) * (n_tokens - 2) // 2)]:
        query, key = place.item() // (n_tokens - 1), place.item() % (n_tokens - 1) + 1
        distance = query - key
        before = "just before it" if distance == 1 else f"{distance} tokens before it"
        share = links[query, key - 1]
        lines.append(f"“{labels[query]}” gives {share:.0%} of its attention to “{labels[key]}”, {before}.")
    return lines
