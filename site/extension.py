"""What the site needs beside Sphinx's own extensions: mathematics without scripts, docstrings, and scripts in files."""

import hashlib
import re
from functools import partial
from pathlib import Path

from docutils.nodes import SkipNode
from latex2mathml.converter import convert
from PIL import Image

PICTURE = re.compile(r'<img (?=[^>]*?src="([^":]+\.png)")')
INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def setup(app):
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    app.connect("autodoc-process-docstring", as_restructured_text)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator, node):
    """A formula as MathML, which every browser draws without a script or a font of ours."""
    translator.body.append(convert(node.astext()))
    raise SkipNode


def _block(translator, node):
    translator.body.append(f'<div class="math" tabindex="0">{convert(node.astext(), display="block")}</div>')
    raise SkipNode


def as_restructured_text(app, what, name, obj, options, lines):
    """headlab's docstrings are plain text with code in it: mark the code, and escape what would be markup elsewhere."""
    marked, code = [], ""  # what kind of code the line before was
    for place, line in enumerate(lines):
        begins = place == 0 or not lines[place - 1].strip()
        if line.startswith(">>> ") and begins:
            code = "example"  # up to the next empty line, as reStructuredText has it
        elif line.startswith("    ") and begins and code != "block":
            code = "block"
            marked += [".. code-block:: python", ""]
        elif (code == "block" and line.strip() and not line.startswith("    ")) or (code == "example" and not line):
            code = ""
        marked.append(line if code else _plain(line))
    lines[:] = marked


def _plain(line):
    parts = re.split(r"`([^`]+)`", line)  # text, code, text, ...
    return "".join(
        f"``{part}``" if place % 2 else re.sub(r"([\\*_|])", r"\\\1", part) for place, part in enumerate(parts)
    )


def finish(app, exception):
    """Repair what the theme leaves undone in every page.

    Scripts that stand in a page go into files, for hosts whose policy refuses them where they stand. The captions of
    the list of pages, which are called headings, get a level; what scrolls sideways can be reached by keyboard. A
    lesson's pictures load shortly before they come into view, and have their place kept.
    """
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for page in out.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        up = "../" * (len(page.relative_to(out).parts) - 1)
        text = INLINE_SCRIPT.sub(partial(_moved, out=out, up=up), text)
        text = text.replace('class="caption" role="heading"', 'class="caption" role="heading" aria-level="2"')
        text = text.replace('<div class="highlight"><pre>', '<div class="highlight"><pre tabindex="0">')
        text = text.replace('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper')
        if page.parent.name == "lessons":
            text = PICTURE.sub(partial(_in_time, folder=page.parent), text)
        page.write_text(text, encoding="utf-8")


def _in_time(found, folder):
    with Image.open(folder / found[1]) as picture:
        width, height = picture.size
    return f'<img loading="lazy" width="{width}" height="{height}" '


def _moved(found, out, up):
    script = found[1]
    name = f"inline-{hashlib.sha256(script.encode()).hexdigest()[:12]}.js"
    (out / "_static" / name).write_text(script, encoding="utf-8")
    return f'<script src="{up}_static/{name}"></script>'
