"""The explorers in JupyterLab in Chromium, moved with the keyboard and the mouse as a reader moves them."""

import ast
import operator
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
from jupyter import (
    CHROMIUM,
    ENVIRONMENT,
    ROOT,
    NotebookPage,
    chromium,
    jupyter_lab,
    screencast,
    slide,
    steady,
    write_notebook,
)
from nbformat.v4 import new_code_cell, new_notebook, new_output

from headlab import explorers
from headlab.capture import capture_heads
from headlab.explorers import InterventionExplorer
from headlab.explorers.drawn import Explorer
from headlab.plots import MAPS
from headlab.predict import NumberPrediction, Prediction

sys.path.insert(0, str(ROOT / "tools"))
from build_notebooks import notebook_of
from lesson_cells import fold_predictions

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

TEXT = "The old man looked at the little white house by the sea."
LONG_TOKENS = "They understand everything themselves, sometimes."
SETUP = f"""from headlab import explorers
from headlab.models import load_model

model, tokenizer = load_model("mini")
text = {TEXT!r}"""
name_of = operator.attrgetter("__name__")
CORE = Explorer.__subclasses__()
# Lesson 4 measures, and has none.
EXPLORED = (
    "01_causal_masking",
    "02_splitting_qkv",
    "03_head_scores",
    "05_what_softmax_sees",
    "06_scatter_vs_kde",
    "07_laminar_profiles",
    "08_heads_at_work",
)
LESSONS = [ROOT / "lessons" / f"{name}.py" for name in EXPLORED]
SCREENSHOTS = ROOT / "screenshots"
N_LAYERS, N_HEADS = 4, 12
TRUTH = "truth.pt"
ROUNDING = 5.1e-5  # of numbers shown with four decimals


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A function that writes a notebook of some cells, opens it in JupyterLab and, unless told not to, runs it all."""
    if not CHROMIUM:
        reason = "no Chromium: install Debian's chromium, or set HEADLAB_CHROMIUM to a browser"
        (pytest.fail if os.environ.get("HEADLAB_REQUIRE_BROWSER") == "1" else pytest.skip)(reason)
    folder = tmp_path_factory.mktemp("lab")
    SCREENSHOTS.mkdir(exist_ok=True)
    open_ones = []
    with jupyter_lab(folder) as url, chromium() as browser:

        def open_and_run(name, cells, run=True, **options):
            write_notebook(folder / "work" / f"{name}.ipynb", cells)
            while open_ones:
                open_ones.pop().close()
            notebook = NotebookPage(browser, url, f"{name}.ipynb", **options)
            open_ones.append(notebook)
            if run:
                notebook.run_all()
            return notebook

        open_and_run.folder, open_and_run.browser = folder / "work", browser
        yield open_and_run


def wait_for(locator, text):
    """Wait until the element holds this text."""
    locator.filter(has_text=text).wait_for(timeout=20_000)


def picture(cell):
    """The widget's picture as pixels."""
    code = "async (image) => [...new Uint8Array(await (await fetch(image.src)).arrayBuffer())]"
    return plt.imread(BytesIO(bytes(cell.locator("img.widget-image").evaluate(code))))


def path_through_heads():
    """(slider, key, layer, head): one key press to each next head, layer by layer, back and forth."""
    for layer in range(N_LAYERS):
        right = layer % 2 == 0
        if layer:
            yield "Layer", "ArrowRight", layer, 0 if right else N_HEADS - 1
        for step in range(1, N_HEADS):
            yield "Head", "ArrowRight" if right else "ArrowLeft", layer, step if right else N_HEADS - 1 - step


def n_figures(notebook):
    return int(notebook.run_last("import matplotlib.pyplot as plt; print(len(plt.get_fignums()))"))


@pytest.mark.parametrize("make", [make for make in CORE if make is not explorers.ProfileExplorer], ids=name_of)
def test_an_explorer_follows_the_keyboard_through_every_layer_and_head(lab, mini, make):
    cells = [new_code_cell(SETUP), new_code_cell(f"explorers.{make.__name__}(model, tokenizer, text)")]
    notebook = lab(make.__name__, cells)
    cell, own = notebook.cell("explorers." + make.__name__), make(*mini, TEXT)
    cell.scroll_into_view_if_needed()
    summary, image = cell.locator('[role="status"]'), cell.locator("img.widget-image")
    with steady(cell):
        for step, (slider, key, layer, head) in enumerate(path_through_heads()):
            before = image.get_attribute("src")
            slide(cell, slider, key)
            wait_for(summary, f"L{layer}H{head}")
            assert image.get_attribute("src") != before
            if step % 9 == 0:
                own.controls["layer"].value, own.controls["head"].value = layer, head
                assert np.abs(picture(cell) - plt.imread(BytesIO(own.image.value))).mean() < 0.002
                assert summary.inner_text() == "\n".join(own.lines)
    notebook.page.screenshot(path=SCREENSHOTS / f"{make.__name__}.png")
    assert n_figures(notebook) <= 1
    assert notebook.errors() == []


@pytest.mark.parametrize("make", CORE, ids=name_of)
def test_every_other_control_changes_the_picture_and_the_summary(lab, mini, make):
    cells = [new_code_cell(SETUP), new_code_cell(f"explorers.{make.__name__}(model, tokenizer, text)")]
    notebook = lab(make.__name__, cells)
    cell, own = notebook.cell("explorers." + make.__name__), make(*mini, TEXT)
    summary, image = cell.locator('[role="status"]'), cell.locator("img.widget-image")
    with steady(cell):
        for name, control in own.controls.items():
            before, drawn = (image.get_attribute("src"), summary.inner_text()), own.image.value
            if isinstance(control.value, tuple):
                lower = slide(cell, control.description, "ArrowRight")
                control.value = (int(lower), control.value[1])
            elif hasattr(control, "step"):
                place = slide(cell, control.description, "ArrowLeft" if control.value > control.min else "ArrowRight")
                # The page tells the exponent of a logarithmic slider, rounded; one step below its value of 1 it is.
                control.value = control.base**-control.step if hasattr(control, "base") else place
            elif isinstance(control.value, bool):
                cell.get_by_label(control.description, exact=True).press("Space")
                control.value = not control.value
            elif hasattr(control, "options"):
                control.index = (control.index + 1) % len(control.options)
                cell.get_by_label(control.description, exact=True).press(control.value[0])
            else:
                continue  # the text box, which has a test of its own
            wait_for(summary, "\n".join(own.lines))  # the picture comes first, the summary just after
            if own.image.value != drawn:  # a tiny constant moves no colour
                changed = "([image, src]) => image.src !== src"
                notebook.page.wait_for_function(changed, arg=[image.element_handle(), before[0]], timeout=20_000)
            assert summary.inner_text() == "\n".join(own.lines) != before[1], name
            assert np.abs(picture(cell) - plt.imread(BytesIO(own.image.value))).mean() < 0.002, name
    assert notebook.errors() == []


@pytest.mark.parametrize("make", CORE, ids=name_of)
def test_a_text_is_typed_and_a_bad_one_is_told_in_one_line(lab, make):
    cells = [new_code_cell(SETUP), new_code_cell(f"explorers.{make.__name__}(model, tokenizer, text)")]
    notebook = lab(make.__name__, cells)
    cell = notebook.cell("explorers." + make.__name__)
    box, image = cell.get_by_label("Text", exact=True), cell.locator("img.widget-image")
    with steady(cell):
        first = image.get_attribute("src")
        box.fill("")
        box.press("Enter")
        wait_for(cell.locator('[role="alert"]'), "text: expected 1 to 64 tokens, got 0 tokens")
        assert image.get_attribute("src") != "" and np.ptp(picture(cell)) > 0.5
        box.fill("A boat & <b>nobody</b> saw $it$.")
        box.press("Enter")
        cell.locator('[role="alert"]').wait_for(state="detached", timeout=20_000)
        assert image.get_attribute("src") != first
    notebook.page.screenshot(path=SCREENSHOTS / f"{make.__name__}_text.png")
    assert notebook.errors() == []


def test_the_picture_never_goes_blank(lab):
    """In every frame on the screen while a slider moves, the picture's place holds a picture."""
    makes = [*CORE, explorers.HeadExplorer]
    sources = [SETUP, *(f"explorers.{make.__name__}(model, tokenizer, text)" for make in makes)]
    notebook = lab("all_explorers", [new_code_cell(source) for source in sources], height=1400)
    for make in makes:
        cell = notebook.cell(f"explorers.{make.__name__}(")
        slider = cell.locator("input[name=head], .widget-hslider:has-text('Head') .noUi-handle")
        slider.focus()
        cell.scroll_into_view_if_needed()
        box = cell.locator("img.widget-image, canvas.panels").bounding_box()
        with screencast(notebook.page) as frames:
            for press in range(44):
                slider.press("ArrowRight" if press // 11 % 2 == 0 else "ArrowLeft")
                notebook.page.wait_for_timeout(60)
            notebook.page.wait_for_timeout(1000)
        shown = [plt.imread(BytesIO(frame)) for frame in frames]
        scale = shown[0].shape[1] / 1280
        top, bottom, left, right = (
            round(scale * edge) for edge in (box["y"], box["y"] + box["height"], box["x"], box["x"] + box["width"])
        )
        spread = [frame[top:bottom, left:right, :3].std() for frame in shown]
        assert len(spread) > 20 and min(spread) > 0.6 * max(spread), (make.__name__, spread)


# The head explorer

READ_ALL = """(canvas, n) => {
  const root = canvas.closest(".headlab-heads");
  const [layer, head] = root.querySelectorAll("input[type=range]");
  const press = (target, key) => target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const choose = (slider, value) => {
    slider.value = value;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const told = [];
  for (let l = 0; l <= Number(layer.max); l++) {
    choose(layer, l);
    for (let h = 0; h <= Number(head.max); h++) {
      choose(head, h);
      for (let i = 0; i < n; i++) press(canvas, "ArrowUp"), press(canvas, "ArrowLeft");
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < n; j++) {
          const texts = [".pair", ".values", "output"].map((name) => root.querySelector(name).textContent);
          told.push([l, h, ...texts]);
          press(canvas, "ArrowRight");
        }
        press(canvas, "ArrowDown");
        for (let j = 0; j < n; j++) press(canvas, "ArrowLeft");
      }
    }
  }
  return told;
}"""


def number(text):
    return float(text.replace("−", "-").replace("∞", "inf"))


def assert_tells_what_headlab_tells(panels, folder):
    """Every cell of every head, read back from the page, against the four values that headlab has in its kernel."""
    scores, patterns, divisors = torch.load(folder / TRUTH)
    n_tokens = scores.shape[-1]
    told = panels.evaluate(READ_ALL, n_tokens)
    rest = iter(told)
    assert len(told) == N_LAYERS * N_HEADS * n_tokens**2
    for layer in range(N_LAYERS):
        for head in range(N_HEADS):
            raw, pattern = scores[layer, head], patterns[layer, head]
            for i in range(n_tokens):
                for j in range(n_tokens):
                    *place, pair, values, name = next(rest)
                    assert (place, name) == ([layer, head], f"L{layer}H{head}")
                    query, key = re.fullmatch(r"query (\d+) “.*” → key (\d+) “.*”", pair).groups()
                    assert (int(query), int(key)) == (i, j)
                    shown = [number(part.split()[-1]) for part in values.split(" · ")]
                    scaled = raw[i, j].item() / divisors[layer]
                    masked = scaled if j <= i else -np.inf
                    expected = [raw[i, j].item(), scaled, masked, pattern[i, j].item()]
                    assert np.allclose(shown, expected, rtol=0, atol=ROUNDING)


def head_cells(text):
    return [
        new_code_cell(SETUP),
        new_code_cell(f"explorer = explorers.HeadExplorer(model, tokenizer, {text!r})\nexplorer"),
    ]


def truth_cell(text):
    """What the explorer has to tell, from its own kernel: a process with other threads adds up in another order, and
    may round a fourth decimal the other way.
    """
    return new_code_cell(f"""import torch
from headlab.capture import capture_heads

capture = capture_heads(model, tokenizer({text!r}, return_tensors="pt").input_ids)
scores, patterns = (torch.stack([of(layer) for layer in capture.layers]) for of in (capture.scores, capture.pattern))
torch.save((scores, patterns, capture.divisors), {TRUTH!r})""")


def test_the_head_explorer_tells_the_numbers_of_every_cell_of_every_head(lab):
    text = "The old man saw it."
    notebook = lab("numbers", [*head_cells(text), truth_cell(text)])
    assert_tells_what_headlab_tells(notebook.page.locator("canvas.panels"), lab.folder)
    assert notebook.errors() == []


def colours_of(panels, points):
    """Colours (0 to 255) of a canvas at points in CSS pixels."""
    code = """(canvas, points) => points.map(([x, y]) => {
      const ratio = canvas.width / canvas.clientWidth;
      return [...canvas.getContext("2d").getImageData(Math.round(x * ratio), Math.round(y * ratio), 1, 1).data];
    })"""
    return np.array(panels.evaluate(code, points))[:, :3]


def test_the_head_explorer_follows_sliders_overview_pointer_and_arrows(lab, mini):
    notebook = lab("head_explorer", head_cells(TEXT), height=1300)
    page, cell = notebook.page, notebook.cell("HeadExplorer")
    panels, overview = cell.locator("canvas.panels"), cell.locator("canvas.overview")
    name, summary = cell.locator("output"), cell.locator(".summary")
    own = explorers.HeadExplorer(*mini, TEXT)
    n_tokens = len(own.shown["tokens"])
    hash_of = "(canvas) => canvas.toDataURL()"
    assert cell.locator(".heading").inner_text() == f"Model: mini, 4 layers of 12 heads. {n_tokens} tokens."
    with steady(cell):
        seen = {panels.evaluate(hash_of)}
        for slider, key, layer, head in path_through_heads():
            cell.get_by_label(slider, exact=True).press(key)
            assert name.inner_text() == f"L{layer}H{head}"
            assert summary.locator("p").all_inner_texts() == own.shown["summaries"][layer * N_HEADS + head]
            seen.add(panels.evaluate(hash_of))
        assert len(seen) == N_LAYERS * N_HEADS
        overview.focus()
        for key, place in (("ArrowUp", "L2H0"), ("ArrowRight", "L2H1"), ("ArrowLeft", "L2H0"), ("ArrowLeft", "L2H0")):
            page.keyboard.press(key)
            assert name.inner_text() == place
        overview.click(position={"x": 24 + 36 * 4 + 18, "y": 24 + 36 * 1 + 18})
        assert name.inner_text() == "L1H4"
        # The picture has the colours of the values, in all four panels.
        width, height = panels.evaluate("(canvas) => [canvas.clientWidth, canvas.clientHeight]")
        gap, top = 16, 46
        side = (width - height - 3 * gap + top) / 3
        label = height - top - side - 2
        raw, pattern = own._reading[0].scores(1, 4), own._reading[0].pattern(1, 4)
        limit = raw.abs().max()
        for i, j in ((5, 2), (2, 6), (9, 9)):
            at = [
                (label + panel * (side + gap) + (j + 0.5) * side / n_tokens, top + (i + 0.5) * side / n_tokens)
                for panel in range(4)
            ]
            signed = MAPS["score"](float((raw[i, j] / limit + 1) / 2))
            expected = [signed, signed, signed, MAPS["share"](float(pattern[i, j]))][: 4 if j <= i else 2]
            found = colours_of(panels, at) / 255
            assert np.abs(found[: len(expected)] - [colour[:3] for colour in expected]).max() < 0.03
            for masked in found[len(expected) :]:  # grey or on a line of the hatching
                assert np.ptp(masked) < 0.03 and 160 < 255 * masked.mean() < 220
        # Pointing at a cell of any panel names it.
        for panel, (i, j) in enumerate(((3, 1), (7, 7), (0, 5), (12, 0))):
            x = label + panel * (side + gap) + (j + 0.5) * side / n_tokens
            panels.hover(position={"x": x, "y": top + (i + 0.5) * side / n_tokens})
            labels = own.shown["tokens"]
            assert cell.locator(".pair").inner_text() == f"query {i} “{labels[i]}” → key {j} “{labels[j]}”"
            size = side / n_tokens
            for other in range(4):  # the mark's black frame stands in all four
                edge = label + other * (side + gap) + (j + 0.5) * size - max(size, 6) / 2
                near = colours_of(panels, [(edge + step, top + (i + 0.5) * size) for step in (-1, 0, 1)])
                assert near.sum(1).min() < 150
        panels.focus()
        page.keyboard.press("ArrowRight")
        assert cell.locator(".pair").inner_text().startswith(f"query 12 “{labels[12]}” → key 1 ")
    page.screenshot(path=SCREENSHOTS / "HeadExplorer.png")
    assert notebook.run_last("print(explorer.layer, explorer.head)") == "1 4"
    assert n_figures(notebook) <= 1
    assert notebook.errors() == []


def test_the_head_explorer_takes_a_text_and_tells_what_is_wrong_with_another(lab, mini):
    notebook = lab("head_text", head_cells(TEXT))
    cell = notebook.cell("HeadExplorer")
    box, panels, heading = cell.get_by_label("Text"), cell.locator("canvas.panels"), cell.locator(".heading")
    before = panels.evaluate("(canvas) => canvas.toDataURL()")
    with steady(cell):
        for text, n_tokens in (("", 0), ("a " * 300, len(mini[1]("a " * 300).input_ids))):
            box.fill(text)
            box.press("Enter")
            box.fill("A boat & <b>nobody</b>.")  # the next text, typed before the answer is there, stays
            wait_for(cell.locator(".error"), f"expected 1 to 64 tokens, got {n_tokens} tokens")
            assert panels.evaluate("(canvas) => canvas.toDataURL()") == before
            assert box.input_value() == "A boat & <b>nobody</b>."
    box.press("Enter")
    tokens = len(mini[1]("A boat & <b>nobody</b>.").input_ids)
    wait_for(heading, f" {tokens} tokens.")
    assert cell.locator(".error").inner_text() == ""
    assert panels.evaluate("(canvas) => canvas.toDataURL()") != before
    notebook.page.screenshot(path=SCREENSHOTS / "HeadExplorer_text.png")
    assert notebook.run_last("explorer.layer = 3; explorer.head = 5") == ""
    wait_for(cell.locator("output"), "L3H5")
    assert notebook.errors() == []


def export(path):
    """The notebook as nbconvert's HTML page."""
    command = [sys.executable, "-m", "nbconvert", "--to", "html", str(path), "--log-level=ERROR"]
    subprocess.run(command, check=True, env=os.environ | ENVIRONMENT, timeout=120)
    return path.with_suffix(".html")


@contextmanager
def offline_page(browser, path, ready=".headlab-page"):
    """A page of this file, to which nothing but the file itself is to be had, and which complains of nothing else."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    asked, complaints = [], []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    # nbconvert's own template asks for MathJax and require.js.
    page.route(
        "**/*",
        lambda route: route.continue_() if urlsplit(route.request.url).scheme in ("file", "data") else route.abort(),
    )
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.locator(ready).first.wait_for(timeout=20_000)
    yield page
    page.close()
    outside = [url for url in asked if url != path.as_uri() and urlsplit(url).scheme not in ("data", "blob")]
    assert not [url for url in outside if "mathjax" not in url.lower() and "require" not in url]
    assert not [line for line in complaints if "MathJax" not in line and "require" not in line]


def test_the_head_explorer_works_in_an_exported_page_without_kernel_or_network(lab):
    text = "The old man saw it."
    notebook = lab("exported", [*head_cells(text), truth_cell(text)])
    notebook.page.keyboard.press("ControlOrMeta+S")
    saved = lab.folder / "exported.ipynb"
    notebook.page.wait_for_function("() => !document.querySelector('.jp-mod-dirty')")
    for _ in range(100):
        if "headlab-heads" in saved.read_text():
            break
        notebook.page.wait_for_timeout(100)
    with offline_page(lab.browser, export(saved)) as page:
        assert page.get_by_label("Text").count() == 0  # without a kernel no text can be read
        assert_tells_what_headlab_tells(page.locator(".headlab-heads canvas.panels"), lab.folder)
        page.get_by_label("Head", exact=True).press("ArrowLeft")
        assert page.locator("output").inner_text() == "L3H10"
        page.locator("canvas.overview").click(position={"x": 24 + 18, "y": 24 + 36 + 18})
        assert page.locator("output").inner_text() == "L1H0"
        page.screenshot(path=SCREENSHOTS / "HeadExplorer_exported.png")


def test_in_a_narrow_page_no_colour_bar_covers_its_numbers(lab, mini, tmp_path):
    path = tmp_path / "narrow.html"
    path.write_text("<!doctype html><meta charset=utf-8>" + explorers.HeadExplorer(*mini, LONG_TOKENS).to_html())
    with offline_page(lab.browser, path) as page:
        panels = page.locator("canvas.panels")
        for width, bars in ((1280, True), (420, False)):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(300)
            n = int(panels.evaluate("(canvas) => canvas.clientWidth"))
            row = colours_of(panels, [[x, 32] for x in range(n)])  # where the numbers and the bars are
            assert (np.ptp(row, axis=1) > 40).any() == bars
            assert page.get_by_label("Layer", exact=True).bounding_box()["width"] > 100
        page.screenshot(path=SCREENSHOTS / "HeadExplorer_narrow.png")


def test_lesson_3_exported_as_it_is_saved_answers_without_kernel_or_network(lab, mini, tmp_path):
    saved = shutil.copy(ROOT / "notebooks" / "03_head_scores.ipynb", tmp_path)
    with offline_page(lab.browser, export(Path(saved))) as page:
        explorer = page.locator(".headlab-heads")
        explorer.scroll_into_view_if_needed()
        layer, head = (explorer.get_by_label(name, exact=True) for name in ("Layer", "Head"))
        layer.press("ArrowRight")
        head.press("ArrowRight")
        assert explorer.locator("output").inner_text() == "L1H6"
        assert explorer.locator(".summary").inner_text().startswith("L1H6: raw scores")
        panels = explorer.locator("canvas.panels")
        panels.press("ArrowUp")
        model, tokenizer = mini
        capture = capture_heads(model, tokenizer(TEXT, return_tensors="pt").input_ids)
        raw, share = capture.scores(1, 6)[-2, 0].item(), capture.pattern(1, 6)[-2, 0].item()
        told = [number(part.split()[-1]) for part in explorer.locator(".values").inner_text().split(" · ")]
        assert np.allclose(told, [raw, raw / 8, raw / 8, share], rtol=0, atol=6e-5)
        page.screenshot(path=SCREENSHOTS / "lesson_3_exported.png")


# The intervention explorer

CHOICE = {"heads": [[0, 5], [2, 4]], "scale": 0.5, "first_key": False}


def intervention_cells(**choice):
    make = f"InterventionExplorer(model, tokenizer, {TEXT!r}, **{choice})"
    return [
        new_code_cell(SETUP),
        new_code_cell(f"from headlab.explorers import InterventionExplorer\n\nexplorer = {make}\nexplorer"),
    ]


def told_losses(explorer):
    """What the page tells of every token: its loss as it is and as it is changed, (T - 1, 2)."""
    code = """(root) => [...root.querySelectorAll(".tokens button")].slice(1).map((token) => {
      token.click();
      return root.querySelector(".token").textContent;
    })"""
    return np.array([re.findall(r"(\d+\.\d+)(?: nats as it is| now)", told) for told in explorer.evaluate(code)], float)


def lines_of(explorer):
    return [line.replace("−", "-") for line in explorer.locator(".summary p").all_inner_texts()]


def test_the_intervention_explorer_follows_the_keyboard_and_tells_what_its_kernel_measures(lab):
    notebook = lab("interventions", intervention_cells(), height=1200)
    page, cell = notebook.page, notebook.cell("InterventionExplorer")
    explorer = cell.locator(".headlab-losses")
    heads, source = explorer.locator(".grid button"), explorer.locator(".source")

    def assert_tells_what_the_kernel_tells():
        code = "print(explorer.lines(), (explorer._rows[0].tolist(), explorer.losses().tolist()), sep='#')"
        lines, losses = map(ast.literal_eval, notebook.run_last(code).split("#"))
        assert lines_of(explorer) == lines
        np.testing.assert_allclose(told_losses(explorer).T, losses, rtol=0, atol=5.1e-4)

    with steady(cell):
        heads.first.focus()
        for key in [*["ArrowRight"] * 5, "Space"]:
            page.keyboard.press(key)
        assert lines_of(explorer)[0] == "Changed: without L0H5."
        assert source.inner_text() == ""  # sent beforehand
        for key in ("ArrowDown", "ArrowDown", "ArrowLeft", "Space"):
            page.keyboard.press(key)
        wait_for(source, "Measured: all changes together.")
    assert [place for place, head in enumerate(heads.all()) if head.get_attribute("aria-pressed") == "true"] == [5, 28]
    assert_tells_what_the_kernel_tells()
    slider = explorer.get_by_label("Scores times")
    for _ in range(2):
        slider.press("ArrowLeft")
    explorer.get_by_label("First key visible").press("Space")
    wait_for(source, "Measured: all changes together.")
    assert lines_of(explorer)[0] == "Changed: without L0H5, L2H4; scores times 0.5; without the first key."
    assert_tells_what_the_kernel_tells()
    page.screenshot(path=SCREENSHOTS / "InterventionExplorer.png")
    box = explorer.get_by_label("Text")
    box.fill("")
    box.press("Enter")
    wait_for(explorer.locator(".error"), "text: expected 1 to 64 tokens, got 0 tokens")
    assert lines_of(explorer)[0] == "Changed: without L0H5, L2H4; scores times 0.5; without the first key."
    box.fill("A boat & <b>nobody</b>.")
    box.press("Enter")
    wait_for(explorer.locator(".tokens"), "nobody")
    wait_for(source, "Measured: all changes together.")
    assert_tells_what_the_kernel_tells()
    assert notebook.run_last("explorer.heads, explorer.scale, explorer.first_key = [(1, 3)], 1.0, True") == ""
    wait_for(explorer.locator(".summary"), "Changed: without L1H3.")
    explorer.get_by_role("button", name="Undo all changes").click()
    assert lines_of(explorer)[0] == "Nothing is changed."
    assert notebook.run_last("print(explorer.heads)") == "[]"
    assert notebook.errors() == []


def test_without_a_kernel_the_intervention_explorer_tells_single_changes_and_calls_a_sum_an_estimate(
    lab, mini, tmp_path
):
    own = InterventionExplorer(*mini, TEXT, **CHOICE)
    path = tmp_path / "interventions.html"
    path.write_text("<!doctype html><meta charset=utf-8>" + own.to_html())
    with offline_page(lab.browser, path) as page:
        explorer = page.locator(".headlab-losses")
        heads, source = explorer.locator(".grid button"), explorer.locator(".source")
        assert source.inner_text() == "Measured: all changes together."  # and saved
        assert lines_of(explorer) == own.lines()
        first_key = explorer.get_by_label("First key visible")
        first_key.press("Space")
        assert "An estimate, not a measurement" in source.inner_text()
        assert lines_of(explorer)[1].count("an estimated ") == 1
        rows, n = own._rows, 1 + N_LAYERS * N_HEADS
        chosen = rows[[6, 29, n + 2]]  # L0H5, L2H4, half the scores
        np.testing.assert_allclose(
            told_losses(explorer).T, [rows[0], rows[0] + (chosen - rows[0]).sum(0)], rtol=0, atol=6e-4
        )
        explorer.get_by_role("button", name="Undo all changes").click()
        for place in (0, 5, 31, 47):
            heads.nth(place).click()
            np.testing.assert_allclose(told_losses(explorer).T, rows[[0, 1 + place]], rtol=0, atol=5.1e-4)
            assert source.inner_text() == ""
            heads.nth(place).click()
        slider = explorer.get_by_label("Scores times")
        for step in range(4):  # down from 1
            np.testing.assert_allclose(
                told_losses(explorer)[:, 1], rows[n + 4 - step] if step else rows[0], atol=5.1e-4
            )
            slider.press("ArrowLeft")
        explorer.get_by_role("button", name="Undo all changes").click()
        first_key.press("Space")
        np.testing.assert_allclose(told_losses(explorer)[:, 1], rows[-1], atol=5.1e-4)
        cost = rows[-1] - rows[0]
        for place, token in enumerate(explorer.locator(".tokens button").all()[1:]):
            colour = np.array(re.findall(r"\d+", token.evaluate("(t) => getComputedStyle(t).backgroundColor")), float)
            expected = MAPS["score"](float((cost[place] / cost.abs().max() + 1) / 2))[:3]
            assert np.abs(colour / 255 - expected).max() < 0.03
        page.set_viewport_size({"width": 360, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.get_by_label("Text").count() == 0
        page.screenshot(path=SCREENSHOTS / "InterventionExplorer_narrow.png")


# Outputs


def test_what_a_stranger_saved_among_the_outputs_runs_nothing(lab):
    trap = """<script>window.sprung = "script"</script><img src="x:" onerror="window.sprung = 'image'">
<button data-commandlinker-command="notebook:run-all-cells" data-commandlinker-args="{}">press</button>"""
    data = [{"text/html": trap}, {"application/javascript": "window.sprung = 'javascript'"}]
    cell = new_code_cell("print('r' 'an')", outputs=[new_output("display_data", saved) for saved in data])
    notebook = lab("stranger", [cell], run=False)
    page = notebook.page
    page.get_by_text("press", exact=True).click()
    page.wait_for_timeout(2000)
    if page.get_by_text("This document is not trusted").count():  # it asks before it runs a command
        page.get_by_role("button", name="Cancel").click()
    assert page.evaluate("window.sprung ?? 'nothing'") == "nothing"
    assert page.get_by_text("ran", exact=True).count() == 0
    notebook.run_last(f"from IPython.display import HTML, display; display(HTML({trap!r}))")  # the reader's own may act
    page.wait_for_function("window.sprung", timeout=20_000)


# The lessons


@pytest.mark.parametrize("master", LESSONS, ids=lambda path: path.stem)
def test_the_explorers_of_each_lesson_work_in_its_own_notebook(lab, master):
    notebook = lab(master.stem, notebook_of(master, solutions=False).cells, height=1400)
    page = notebook.page
    cells = page.locator(".jp-CodeCell", has=page.locator("img.widget-image, .headlab-page"))
    assert cells.count() >= 1, "no explorer in this lesson"
    for place in range(cells.count()):
        cell = cells.nth(place)
        cell.scroll_into_view_if_needed()
        picture_of = cell.locator("img.widget-image, canvas.panels, .headlab-losses .tokens")
        state = "(shown) => shown.src ?? shown.toDataURL?.() ?? shown.innerHTML"
        sliders = cell.locator("input[type=range]:not([disabled]), .noUi-handle")
        with steady(cell):
            for slider in sliders.all():
                before = picture_of.evaluate(state)
                start = slider.get_attribute("aria-valuenow") or slider.input_value()
                for key in ("ArrowRight", "ArrowLeft"):
                    slider.press(key)
                    if (slider.get_attribute("aria-valuenow") or slider.input_value()) != start:
                        break
                changed = f"([shown, before]) => ({state})(shown) !== before"
                page.wait_for_function(changed, arg=[picture_of.element_handle(), before], timeout=20_000)
        cell.screenshot(path=SCREENSHOTS / f"{master.stem}_{place}.png")
    assert n_figures(notebook) <= 1
    assert notebook.errors() == []


PREDICTION = [
    "from headlab.predict import predict, predict_number",
    'guess = predict("Which is even?", "one", "two", "three")\nnumber = predict_number("How many?", "pairs")',
    'print("measured")',
    """guess.reveal(
    (True, "two", "it is."), overlooked={"one": "it is odd.", "three": "it is odd, too."}
)
number.reveal(10, "a sum.", {6: "the diagonal."})""",
]


def test_a_prediction_is_made_with_the_keyboard_and_told_in_outputs_that_unfold(lab):
    cells = [new_code_cell(source) for source in PREDICTION]
    fold_predictions(cells)
    for cell in cells[2:]:
        cell.outputs = [new_output("stream", text="first line\nthe answer\n")]
    notebook = lab("predict", cells, run=False)
    page = notebook.page
    assert page.get_by_text("first line").count() == 2 and page.get_by_text("the answer").count() == 0
    notebook.run_all()
    radios = page.get_by_role("group", name="Predict. Which is even?").get_by_role("radio")
    radios.first.focus()
    for key in ("Space", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    assert [radio.is_checked() for radio in radios.all()] == [False, False, True]
    page.get_by_role("spinbutton", name="Your number").fill("6")
    notebook.page.screenshot(path=SCREENSHOTS / "predict.png")
    assert page.get_by_text("✗ one: it is odd.").is_visible() and page.get_by_text("measured", exact=True).is_visible()
    assert notebook.run_last("print(guess.answer, number.answer)") == "three 6"
    assert notebook.errors() == []


def test_where_no_script_runs_a_prediction_is_a_form(lab):
    forms = [Prediction("Which is even?", ("one", "two")), Prediction("Which is odd?", ("one", "two"))]
    page = lab.browser.new_page(java_script_enabled=False)
    page.set_content("".join(guess._repr_mimebundle_()[0]["text/html"] for guess in forms))
    for guess, choice in zip(forms, ("two", "one"), strict=True):
        group = page.get_by_role("group", name=guess.question)
        group.get_by_label(choice).check()
        assert [radio.is_checked() for radio in group.get_by_role("radio").all()] == [choice == "one", choice == "two"]
    page.close()


def test_in_a_saved_page_a_prediction_is_compared_with_what_was_measured(lab, tmp_path, capsys):
    """Without a kernel: the page finds the answers among the outputs that nbconvert wrote into it."""
    even = Prediction('Which is "even" & < 11?', ("1", "10", "100, since an even number of zeros may be even as well"))
    count, unread = NumberPrediction("How many?", "pairs"), Prediction("And now?", ("this", "that"))
    neither = Prediction("Which of the two?", ("one", "two"))
    even.answer = "1"  # what was chosen when the notebook was run
    even.reveal((True, "10", "half of it is 5."), overlooked={"1": "odd.", even.choices[2]: "more than 11. " * 9})
    print("1 is mentioned once more.")
    first = capsys.readouterr().out
    count.reveal(10, "a sum.", {6: "the diagonal."})
    neither.reveal((True, None, "it cannot be told."), overlooked={"one": "the first."})
    asked = (even, count, neither, unread)
    cells = [new_code_cell(outputs=[new_output("display_data", one._repr_mimebundle_()[0])]) for one in asked]
    for cell in cells:
        cell.outputs[0].data.pop("application/vnd.jupyter.widget-view+json", None)  # as the build saves it
    cells += [new_code_cell(outputs=[new_output("stream", text=text)]) for text in (first, capsys.readouterr().out)]
    path = tmp_path / "saved.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    with offline_page(lab.browser, export(path), ready="fieldset") as page:
        groups = [page.get_by_role("group", name=f"Predict. {one.question}") for one in asked]
        for group in groups:
            wait_for(group.locator("output"), "Answer, and the page says what was measured.")

        def told(place, choice):
            groups[place].get_by_label(choice, exact=True).check()
            return groups[place].locator("output").inner_text().splitlines()

        right = "✓ 10: half of it is 5."
        assert told(0, "1") == ["✗ 1 (your choice): odd.", right]
        assert told(0, "10") == [right]
        assert told(0, even.choices[2]) == [f"✗ {even.choices[2]}: {'more than 11. ' * 9}".strip(), right]
        assert told(2, "one") == ["✗ one: the first.", "None of the choices: it cannot be told."]
        assert told(2, "two") == ["✗ two", "None of the choices: it cannot be told."]
        assert told(3, "that") == ["The cells below have not been run."]
        number, measured = groups[1].get_by_label("Your number"), "✓ 10 pairs: a sum."
        for typed, lines in (
            ("6", ["Your number lies 4 below the measured one.", "✗ 6: the diagonal.", measured]),
            ("12.5", ["Your number lies 2.5 above the measured one.", measured]),
            ("10", ["Your number is the measured one.", measured]),
            ("", ["Answer, and the page says what was measured."]),
        ):
            number.fill(typed)
            number.press("Tab")
            assert groups[1].locator("output").inner_text().splitlines() == lines
        page.screenshot(path=SCREENSHOTS / "predict_saved.png")
