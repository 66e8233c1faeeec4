"""The explorers in JupyterLab in Chromium, moved with the keyboard and the mouse as a reader moves them."""

import ast
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import numpy as np
import pytest
from jupyter import (
    CHROMIUM,
    ENVIRONMENT,
    FRAMES,
    ROOT,
    NotebookPage,
    chromium,
    jupyter_lab,
    steady,
    words_and_numbers,
    write_notebook,
)
from nbformat.v4 import new_code_cell, new_notebook, new_output

from headlab.capture import capture_heads
from headlab.explorers import EXPLORERS, InterventionExplorer
from headlab.plots import MAPS
from headlab.predict import NumberPrediction, Prediction

sys.path.insert(0, str(ROOT / "tools"))
from lesson_cells import fold_predictions

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

TEXT = "The old man looked at the little white house by the sea."
SETUP = f"""from headlab import explorers
from headlab.models import load_model

model, tokenizer = load_model("mini")
text = {TEXT!r}"""
NAMES = [make.__name__ for make in EXPLORERS]
SCREENSHOTS = ROOT / "screenshots"
N_LAYERS, N_HEADS = 4, 12


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


def n_figures(notebook):
    return int(notebook.run_last("import matplotlib.pyplot as plt; print(len(plt.get_fignums()))"))


def each(name, source):
    """A cell with an explorer of its own name."""
    return new_code_cell(f"{name} = {source}\n{name}")


def told(notebook, name):
    """The explorer's settings and lines as its kernel has them."""
    code = f"print([{{n: getattr({name}, n) for n in {name}.controls}}, {name}.lines()])"
    return ast.literal_eval(notebook.run_last(code))


def shown(page):
    """The settings and lines on the page, once it has drawn them."""
    code = f"""async (root) => {{
      {FRAMES}
      const {{ explorer }} = root;
      const names = Object.keys(explorer.inputs);
      return [Object.fromEntries(names.map((name) => [name, explorer.model.get(name)])), explorer.lines()];
    }}"""
    return page.evaluate(code)


def assert_alike(found, own):
    """Settings that are the same, and lines whose words are and whose numbers are to the last digit."""
    assert found[0] == pytest.approx(own[0])
    for line, its in zip(found[1], own[1], strict=True):
        (words, numbers), (its_words, its_numbers) = words_and_numbers(line), words_and_numbers(its)
        assert words == its_words and np.allclose(numbers, its_numbers, rtol=0, atol=1.01)


def move(control):
    """Move a control by one step with the keyboard."""
    kind = control.evaluate("(control) => control.type")
    if kind == "checkbox":
        control.press("Space")
    elif kind == "range":
        before = control.input_value()
        control.press("ArrowRight")
        if control.input_value() == before:
            control.press("ArrowLeft")
    else:
        control.select_option(index=1)


def test_all_explorers_follow_the_keyboard_a_text_and_their_kernel(lab, mini):
    names = [name.lower() for name in NAMES]
    cells = [each(short, f"explorers.{name}(model, tokenizer, text)") for short, name in zip(names, NAMES, strict=True)]
    notebook = lab("all", [new_code_cell(SETUP), *cells], height=1400)
    page = notebook.page
    for short in names:
        cell = notebook.cell(f"{short} = ")
        explorer = cell.locator(".headlab-page")
        explorer.scroll_into_view_if_needed()
        with steady(cell):
            for control in explorer.locator(".controls :is(input, select)").all():
                move(control)
        own = told(notebook, short)
        found = shown(explorer)
        assert_alike(found, own)
        assert notebook.run_last(f"{short}.{list(found[0])[-1]} = {list(found[0].values())[-1]!r}") == ""
        box = explorer.get_by_label("Text", exact=True)
        with steady(cell):
            box.fill("")
            box.press("Enter")
            box.fill("A boat & <b>nobody</b>.")  # the next text, typed before the answer is there, stays
            wait_for(explorer.get_by_role("alert"), "text: expected 1 to 64 tokens, got 0 tokens")
            assert box.input_value() == "A boat & <b>nobody</b>." and shown(explorer) == found
        undo = explorer.get_by_role("button", name="Back to the last text")
        undo.click()
        undo.wait_for(state="hidden", timeout=20_000)
        assert box.input_value() == TEXT and explorer.get_by_role("alert").inner_text() == ""
        box.fill("A boat & <b>nobody</b>.")
        box.press("Enter")
        wait_for(explorer.locator(".heading"), "mini, 4 layers of 12 heads.")
        page.wait_for_function(
            "([root, n]) => root.explorer.tokens.length === n",
            arg=[explorer.element_handle(), int(notebook.run_last(f"print(len({short}.shown['tokens']))"))],
            timeout=20_000,
        )
        own = told(notebook, short)
        assert_alike(shown(explorer), own)
        cell.screenshot(path=SCREENSHOTS / f"{short}_jupyterlab.png")
    assert notebook.run_last("maskexplorer.layer, maskexplorer.head = 3, 5") == ""
    wait_for(notebook.cell("maskexplorer = ").locator(".summary"), "L3H5")
    assert n_figures(notebook) == 0 and notebook.errors() == []
    page.keyboard.press("ControlOrMeta+S")
    page.wait_for_function("() => !document.querySelector('.jp-mod-dirty')")
    path = lab.folder / "all.ipynb"
    for _ in range(100):
        if path.read_text().count("renderStill(state, place)") == len(NAMES):
            break
        page.wait_for_timeout(100)
    with offline_page(lab.browser, export(path)) as saved:
        alive = saved.locator(".headlab-page")
        assert alive.count() == len(NAMES)
        assert saved.get_by_label("Text", exact=True).count() == 0  # without a kernel no text can be read
        for explorer, make in zip(alive.all(), EXPLORERS, strict=True):  # as they first stood
            own = make(*mini, TEXT)
            settings = {name: getattr(own, name) for name in own.controls}
            assert_alike(shown(explorer), [settings, own.lines()])
            move(explorer.locator("input[type=range]").first)
            assert shown(explorer)[1] != own.lines()
        saved.screenshot(path=SCREENSHOTS / "all_exported.png", full_page=True)


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


def test_lesson_3_exported_as_it_is_saved_answers_without_kernel_or_network(lab, mini, tmp_path):
    saved = shutil.copy(ROOT / "notebooks" / "03_head_scores.ipynb", tmp_path)
    with offline_page(lab.browser, export(Path(saved))) as page:
        explorer = page.locator(".headlab-page").first  # the second one shows real GPT-2
        explorer.scroll_into_view_if_needed()
        for name in ("layer", "head"):
            explorer.locator(f"input[name={name}]").press("ArrowRight")
        wait_for(explorer.locator(".summary"), "L1H6: raw scores")
        explorer.locator("canvas").nth(4).press("ArrowLeft")
        capture = capture_heads(mini[0], mini[1](TEXT, return_tensors="pt").input_ids)
        raw, share = capture.scores(1, 6)[-1, 0].item(), capture.pattern(1, 6)[-1, 0].item()
        line = explorer.locator(".reading").inner_text().replace("−", "-").rstrip(".")
        found = [float(part) for part in re.findall(r"(?:score|scaled|masked|share) (-?\d+\.\d+)", line)]
        assert np.allclose(found, [raw, raw / 8, raw / 8, share], rtol=0, atol=6e-5)
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
    explorer.evaluate(f"async () => {{ {FRAMES} }}")
    code = """(root) => [...root.querySelectorAll(".tokens button")].slice(1).map((token) => {
      token.click();
      return root.querySelector(".reading").textContent;
    })"""
    return np.array([re.findall(r"(\d+\.\d+)(?: nats as it is| now)", told) for told in explorer.evaluate(code)], float)


def lines_of(explorer):
    explorer.evaluate(f"async () => {{ {FRAMES} }}")
    return [line.replace("−", "-") for line in explorer.locator(".summary p").all_inner_texts()]


def test_the_intervention_explorer_follows_the_keyboard_and_tells_what_its_kernel_measures(lab):
    notebook = lab("interventions", intervention_cells(), height=1200)
    page, cell = notebook.page, notebook.cell("InterventionExplorer")
    explorer = cell.locator(".headlab-losses")
    heads, source = explorer.locator(".grid button"), explorer.locator(".source")

    def assert_tells_what_the_kernel_tells():
        code = "print(explorer.lines(), (explorer._losses[0].tolist(), explorer.losses().tolist()), sep='#')"
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
        wait_for(source, "An estimate, not a measurement")
        assert lines_of(explorer)[1].count("an estimated ") == 1
        rows, n = own._losses, 1 + N_LAYERS * N_HEADS
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


# Predictions

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
