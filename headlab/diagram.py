"""One drawing for all lessons: how data flow from a text through an attention block, with the shape of each step."""

import base64
import html

from headlab._expect import expect, shown

WIDTH, HEIGHT = 900, 330
BOX, GAP, TALL = 132, 16, 84  # a step's box and the gap before the next
TOP, BOTTOM = 46, 196  # where the two rows begin
INK, QUIET, MARK, MARKED = "#1a1a1a", "#555555", "#D55E00", "#FFF0DC"

# name: (row, column, title, what happens there, shape with the sizes' names)
STEPS = {
    "text": (0, 0, "text", "a string", ""),
    "ids": (0, 1, "token ids", "tokenizer", "(T,)"),
    "residual": (0, 2, "residual stream", "the block reads it", "(T, d_model)"),
    "c_attn": (0, 3, "c_attn", "ln_1, then x W + b", "(T, 3·d_model)"),
    "thirds": (0, 4, "q, k, v", "thirds of the columns", "each (T, d_model)"),
    "heads": (1, 0, "heads of q, k, v", "each third cut up", "(n_heads, T, d_head)"),
    "scores": (1, 1, "raw scores", "q · k", "(n_heads, T, T)"),
    "pattern": (1, 2, "pattern", "scale, mask, softmax", "(n_heads, T, T)"),
    "outputs": (1, 3, "outputs", "pattern times v", "(n_heads, T, d_head)"),
    "W_o": (1, 4, "W_o", "merged, x W + b", "(T, d_model)"),
    "sum": (1, 5, "residual stream", "plus the output", "(T, d_model)"),
}


class Drawing:
    """An SVG as notebooks show it: `svg` is its source, `text` says in words what it shows."""

    def __init__(self, svg, text):
        self.svg, self.text = svg, text

    def _repr_mimebundle_(self, **kwargs):
        # As an image inside HTML it keeps its alternative text, and JupyterLab shows it before the cell has been run.
        data = base64.b64encode(self.svg.encode()).decode()
        image = f'<img alt="{html.escape(self.text)}" src="data:image/svg+xml;base64,{data}" width="{WIDTH}">'
        return {"text/html": image, "text/plain": self.text}


def data_flow(*highlight, model=None):
    """The path from a text through one attention block, with the shape of each step; returns a Drawing.

    highlight: the steps to mark as this lesson's, of STEPS: "text", "ids", "residual", "c_attn", "thirds", "heads",
    "scores", "pattern", "outputs", "W_o", "sum". model: a GPT2LMHeadModel whose sizes are added as numbers, such as
    the loaded one. T is the number of tokens. Raises ValueError where a step does not exist.
    Introduced in lesson 1.

    >>> drawing = data_flow("scores", "pattern")
    >>> drawing.svg[:4]
    '<svg'
    """
    for name in highlight:
        expect(isinstance(name, str) and name in STEPS, "highlight", f"steps of {list(STEPS)}", repr(name))
    shapes = {name: [shape, _numbers(shape, model)] for name, (*_, shape) in STEPS.items()}
    boxes = "".join(_box(name, [line for line in shapes[name] if line], name in highlight) for name in STEPS)
    steps = "; ".join(f"{STEPS[name][2]} {', here '.join(filter(None, shapes[name]))}".strip() for name in STEPS)
    text = (
        f"How data flow through one attention block: {steps}. v goes straight to the outputs. The residual stream "
        "goes past the block, whose output is added to it."
    )
    if highlight:
        text += f" This lesson: {', '.join(STEPS[name][2] for name in highlight)}."
    return Drawing(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12" text-anchor="middle" role="img">'
        f"<title>{html.escape(text)}</title>"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{QUIET}"/></marker></defs>'
        # A ground of its own, so that it can be read on a dark page.
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="white"/>{_arrows()}{boxes}</svg>',
        text,
    )


def _numbers(shape, model):
    """A shape with the model's sizes in place of their names; "" where there are none."""
    if model is None:
        return ""
    config = getattr(model, "config", None)
    if not hasattr(config, "n_embd"):
        raise TypeError(f"model: expected a GPT2LMHeadModel, as load_model gives, got {shown(repr(model))}")
    sizes = {"3·d_model": 3 * config.n_embd, "d_model": config.n_embd, "n_heads": config.n_head}
    sizes["d_head"] = config.n_embd // config.n_head
    numbers = shape
    for name, size in sizes.items():
        numbers = numbers.replace(name, str(size))
    return numbers if numbers != shape else ""


def _corner(row, column):
    return 14 + column * (BOX + GAP), (TOP, BOTTOM)[row]


def _box(name, shapes, marked):
    row, column, title, action, _ = STEPS[name]
    x, y = _corner(row, column)
    middle = x + BOX / 2
    fill, stroke, width = (MARKED, MARK, 3) if marked else ("white", QUIET, 1)
    parts = [f'<rect x="{x}" y="{y}" width="{BOX}" height="{TALL}" rx="5" {_style(fill, stroke, width)}/>']
    if marked:  # in words too, not by colour alone
        parts.append(
            f'<text x="{x}" y="{y - 6}" text-anchor="start" font-weight="bold" fill="{MARK}">this lesson</text>'
        )
    lines = [(title, f'font-weight="bold" font-size="14" fill="{INK}"'), (action, f'fill="{QUIET}" font-size="11.5"')]
    lines += [(shape, f'fill="{INK}" ') for shape in shapes]
    for place, (line, style) in enumerate(lines):
        parts.append(f'<text x="{middle}" y="{y + 21 + 18 * place}" {style}>{html.escape(line)}</text>')
    return "".join(parts)


def _style(fill, stroke, width):
    return f'fill="{fill}" stroke="{stroke}" stroke-width="{width}"'


def _arrows():
    """From each box to the next; v's way to the outputs; and the residual stream's, past the block."""
    paths = []
    for row, columns in ((0, range(4)), (1, range(5))):
        for column in columns:
            x, y = _corner(row, column)
            paths.append(f"M{x + BOX} {y + TALL / 2}h{GAP - 1}")
    end, start = _corner(0, 4), _corner(1, 0)
    lane = TOP + TALL + 20  # from the thirds back to the second row
    paths.append(f"M{end[0] + BOX / 2} {end[1] + TALL}V{lane}H{start[0] + 0.8 * BOX}V{start[1] - 1}")
    outputs, floor = _corner(1, 3), BOTTOM + TALL
    paths.append(f"M{start[0] + BOX / 2} {floor}v22H{outputs[0] + BOX / 2}V{floor + 1}")
    residual, last = _corner(0, 2), _corner(1, 5)
    paths.append(f"M{residual[0] + 0.8 * BOX} {TOP}V18H{last[0] + 0.8 * BOX}V{last[1] - 1}")
    labels = [
        (outputs[0] - BOX, floor + 37, "v goes straight to the outputs"),
        (last[0] + BOX / 2 - 96, 13, "the residual stream goes past the block"),
    ]
    lines = "".join(f'<path d="{path}" fill="none" stroke="{QUIET}" marker-end="url(#tip)"/>' for path in paths)
    return lines + "".join(f'<text x="{x}" y="{y}" fill="{QUIET}">{text}</text>' for x, y, text in labels)
