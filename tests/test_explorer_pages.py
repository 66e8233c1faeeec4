"""The explorers in Chromium, in a page without a kernel: their numbers, colours, keys and words."""

import base64
import json
import os
import random
import re
from contextlib import contextmanager
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from jupyter import CHROMIUM, FRAMES, ROOT, chromium, words_and_numbers

from headlab.contrast import effective_tokens
from headlab.density import choose_bandwidth, kde
from headlab.explorers import (
    EXPLORERS,
    ContrastExplorer,
    HeadExplorer,
    InterventionExplorer,
    MaskExplorer,
    SplittingExplorer,
)
from headlab.explorers.shared import PAGE
from headlab.masking import mask_scores, softmax
from headlab.plots import MAPS
from headlab.shift import causal_scores

pytestmark = pytest.mark.browser
TEXT = "The old man looked at the little white house by the sea."
SCREENSHOTS = ROOT / "screenshots"
HEAD = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>An explorer</title>"
    "<meta name=viewport content='width=device-width'><style>:root { color-scheme: light dark }</style>"
)
every = pytest.mark.parametrize("make", EXPLORERS, ids=lambda make: make.__name__)
# The numbers as bytes: one by one, Playwright takes a second for those of the splitting explorer.
READ = """(explorer) => {
  const asText = (values) => {
    const bytes = new Uint8Array(Float64Array.from(values).buffer);
    let letters = "";
    for (const byte of bytes) letters += String.fromCharCode(byte);
    return btoa(letters);
  };
  return {
    numbers: Object.fromEntries(Object.entries(explorer.numbers).map(([name, values]) => [name, asText(values)])),
    facts: explorer.facts ?? {},
    lines: [...explorer.summary.children].map((line) => line.textContent),
  };
}"""
SET_AND_READ = f"async (explorer, settings) => {{ explorer.set(settings); {FRAMES} return ({READ})(explorer); }}"


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        reason = "no Chromium: install Debian's chromium, or set HEADLAB_CHROMIUM to a browser"
        (pytest.fail if os.environ.get("HEADLAB_REQUIRE_BROWSER") == "1" else pytest.skip)(reason)
    SCREENSHOTS.mkdir(exist_ok=True)
    with chromium() as browser:
        yield browser


@pytest.fixture
def opened(browser, tmp_path):
    """A function that opens the saved page of an explorer, which may ask for nothing and complain of nothing."""

    @contextmanager
    def open_page(explorer, **options):
        path = tmp_path / "page.html"
        path.write_text(HEAD + explorer.to_html(), encoding="utf-8")
        page = browser.new_page(**{"viewport": {"width": 1100, "height": 900}} | options)
        asked, complaints = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: line.type == "error" and complaints.append(line.text))
        page.goto(path.as_uri())
        page.locator(".headlab-page").wait_for(timeout=20_000)
        yield page
        page.close()
        assert not [url for url in asked if url != path.as_uri() and not url.startswith("data:")] and not complaints

    return open_page


def call(page, code, *arguments):
    """What a function of the explorer on the page gives."""
    given = "(root, all) => (" + code + ")(root.explorer, ...all)"
    return page.locator(".headlab-page").evaluate(given, list(arguments))


def set_and_read(page, settings):
    """The numbers, facts and lines after the page's controls were set."""
    return call(page, SET_AND_READ, settings)


def random_settings(explorer, draw):
    """A random value for each control."""
    settings = {}
    for name, control in explorer.controls.items():
        if choices := control.get("options", control.get("values")):
            settings[name] = draw.choice(choices)
        elif "min" not in control:
            settings[name] = draw.random() < 0.5
        elif isinstance(control["step"], int):
            settings[name] = draw.randint(control["min"], control["max"])
        else:
            settings[name] = draw.uniform(control["min"], control["max"])
    return settings


def assert_same(found, explorer):
    """Numbers, facts and words of the page are those that headlab computes for the same setting."""
    numbers, facts = explorer.compute()
    # The page of the splitting explorer has the activations in half precision.
    near = {"rtol": 1e-3, "atol": 1e-4} if isinstance(explorer, SplittingExplorer) else {"rtol": 1e-5, "atol": 1e-9}
    assert set(found["numbers"]) == set(numbers)
    for name, values in numbers.items():
        told = np.frombuffer(base64.b64decode(found["numbers"][name]))
        np.testing.assert_allclose(told, np.ravel(values), err_msg=name, **near)
    for name, value in facts.items():
        told = found["facts"][name]
        same = told == value if isinstance(value, str) else np.isclose(told, value, **near)
        assert same, name
    for line, own in zip(found["lines"], explorer.lines(), strict=True):
        (words, told), (own_words, own_told) = words_and_numbers(line), words_and_numbers(own)
        assert words == own_words and np.allclose(told, own_told, rtol=0, atol=1.01), (line, own)


# The arithmetic by itself

ROWS = """async ([script, rows, samples]) => {
  const own = await import(script);
  const [whole, wider] = [own.linspace(0, 1, 9), own.linspace(-0.1, 1.1, 9)];
  const pattern = (row) => own.softmax(Float64Array.from(row), row.length);
  return {
    softmax: rows.map((row) => Array.from(pattern(row))),
    tokens: rows.map((row) => Array.from(own.effectiveTokens(pattern(row), row.length))),
    median: samples.map((sample) => own.median(sample)),
    scott: samples.map((sample) => own.scott(Float64Array.from(sample))),
    kde: samples.map((sample) => Array.from(own.kde(Float64Array.from(sample), whole, 0.2))),
    mended: samples.map((sample) => Array.from(own.kde(Float64Array.from(sample), wider, 0.2, [0, 1]))),
    counts: samples.map((sample) => Array.from(own.histogram(sample, own.linspace(0, 1, 11)))),
  };
}"""
TABLES = """async ([script, tables, halves]) => {
  const own = await import(script);
  return {
    masked: tables.map(([n, table]) => Array.from(own.maskScores(table, n))),
    seen: tables.map(([n, table]) => [false, true].map((drop) => Array.from(own.causal(table, n, drop)))),
    halves: Array.from(own.fromHalf(halves)),
  };
}"""


@pytest.fixture(scope="module")
def arithmetic(browser):
    """A function that calls the page's arithmetic, which stands alone."""
    script = "data:text/javascript;base64," + base64.b64encode((PAGE / "arithmetic.js").read_bytes()).decode()
    page = browser.new_page()
    yield lambda code, *given: page.evaluate(code, [script, *given])
    page.close()


def test_the_pages_arithmetic_is_headlabs_on_a_thousand_random_rows(arithmetic):
    random = np.random.default_rng(0)
    rows, samples = [], []
    for place in range(1000):
        row = random.normal(0, 10.0 ** random.integers(-2, 4), random.integers(1, 33)).round(random.integers(0, 5))
        row[random.random(row.size) < (0.3 if place % 3 == 0 else 0)] = -np.inf
        row[random.integers(row.size)] = random.choice([0.0, -1e300, 700.0, row.max() if row.max() > -np.inf else 1.0])
        rows.append(row)
        samples.append(random.uniform(0, 1, random.integers(3, 30)).round(random.integers(1, 9)))
        samples[-1][:2] = 0, 1  # on both edges, and not all the same
    found = arithmetic(ROWS, [row.tolist() for row in rows], [sample.tolist() for sample in samples])
    near = {"rtol": 1e-10, "atol": 1e-300}
    for place, (row, sample) in enumerate(zip(rows, samples, strict=True)):
        pattern = softmax(torch.from_numpy(row))
        np.testing.assert_allclose(found["softmax"][place], pattern, **near)
        np.testing.assert_allclose(found["tokens"][place], [effective_tokens(pattern)], **near)
        assert found["median"][place] == np.median(sample)
        np.testing.assert_allclose(found["scott"][place], choose_bandwidth(sample), **near)
        np.testing.assert_allclose(found["kde"][place], kde(sample, np.linspace(0, 1, 9), 0.2), **near)
        grid = np.linspace(-0.1, 1.1, 9)
        np.testing.assert_allclose(found["mended"][place], kde(sample, grid, 0.2, bounds=(0, 1)), **near)
        assert found["counts"][place] == np.histogram(sample, np.linspace(0, 1, 11))[0].tolist()


def test_the_pages_tables_are_headlabs(arithmetic):
    random = np.random.default_rng(1)
    tables = [random.normal(0, 10, (n, n)) for n in range(1, 21)]
    numbers = np.concatenate([random.normal(0, 10.0 ** random.integers(-9, 5, 5000)), [0, -0.0, 65504, 6e-8, -6e-5]])
    halves = numbers[np.abs(numbers) <= 65504].astype("<f2")
    found = arithmetic(TABLES, [[len(t), t.ravel().tolist()] for t in tables], halves.view("<u2").tolist())
    for table, masked, (seen, without) in zip(tables, found["masked"], found["seen"], strict=True):
        table = torch.from_numpy(table)
        assert np.array_equal(masked, mask_scores(table).ravel()) and np.array_equal(seen, causal_scores(table))
        assert without == (causal_scores(table, drop_first_key=True).tolist() if len(table) > 1 else [])
    assert np.array_equal(found["halves"], halves.astype(float))


# Each explorer


@every
def test_for_random_settings_the_page_shows_the_numbers_and_words_of_headlab(mini, opened, make):
    explorer, draw = make(*mini, TEXT), random.Random(0)
    with opened(explorer) as page:
        assert_same(call(page, READ), explorer)
        for _ in range(25):
            settings = random_settings(explorer, draw)
            if make is InterventionExplorer:  # several changes need a kernel
                settings = {"heads": [], "scale": 1, "first_key": True} | dict([draw.choice(list(settings.items()))])
            found = set_and_read(page, settings)
            for name, value in settings.items():
                setattr(explorer, name, value)
            assert_same(found, explorer)
        page.screenshot(path=SCREENSHOTS / f"{make.__name__}.png", full_page=True)


DRAG = """async (explorer, name, n) => {
  const { input } = explorer.inputs[name];
  const pictures = () => explorer.panels.map(({ canvas }) => canvas.toDataURL()).join();
  const seen = [];
  for (let frame = 0; frame < n; frame++) {
    const [low, high] = [Number(input.min), Number(input.max)];
    input.value = low + (high - low) * Math.abs(((2 * frame) / 40) % 2 - 1);
    const last = explorer.get(name);
    input.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise(requestAnimationFrame);  // one frame, in which the explorer's turn comes first
    if (explorer.get(name) === last || frame < 20 * seen.length) continue;
    const before = pictures();
    explorer.draw();
    seen.push([explorer.get(name), (READ)(explorer), pictures() === before]);
  }
  return seen;
}""".replace("READ", READ)


@every
def test_while_a_slider_is_dragged_a_frame_shows_what_the_slider_says(mini, opened, make):
    explorer = make(*mini, TEXT)
    with opened(explorer) as page:
        sliders = [name for name, control in explorer.controls.items() if "min" in control or "values" in control]
        for name in sliders[-2:]:
            seen = call(page, DRAG, name, 60)
            assert len({setting for setting, _, _ in seen}) > 1
            for setting, found, is_drawn in seen:
                assert is_drawn
                before = getattr(explorer, name)
                setattr(explorer, name, setting)
                assert_same(found, explorer)
            setattr(explorer, name, before)
            set_and_read(page, {name: before})


COLOURS_OF = """(explorer, n) => explorer.panels.flatMap((panel) => {
  const { table, x, y } = panel.content;
  if (!table) return [];
  const [columns, rows] = [table.columns, table.values.length / table.columns];
  const context = panel.canvas.getContext("2d");
  const ratio = panel.canvas.width / panel.whole[0];
  const { across = x.high, down = y.low } = table;
  return Array.from({ length: n }, (_, i) => {
    const cell = Math.floor((table.values.length * (i + 0.5)) / n);
    const [row, column] = [Math.floor(cell / columns), cell % columns];
    const right = panel.atX(x.low + (across - x.low) * (column + 0.5) / columns);
    const below = panel.atY(y.high + (down - y.high) * (row + 0.5) / rows);
    const pixel = [...context.getImageData(Math.round(right * ratio), Math.round(below * ratio), 1, 1).data];
    const isNarrow = panel.width / columns < 3 || panel.height / rows < 3;
    const palette = Object.keys(explorer.palettes).find((name) => explorer.palettes[name] === table.palette);
    const { low, high } = table;
    const isMasked = Boolean(table.isMasked?.(cell));
    return { value: table.values[cell], low, high, isNarrow, isMasked, palette, pixel };
  });
})"""


@every
def test_cells_have_the_colours_of_the_figures(mini, opened, make):
    explorer = make(*mini, TEXT)
    if make is InterventionExplorer:
        pytest.skip("its colours are those of buttons, which tests/test_browser.py looks at")
    with opened(explorer) as page:
        seen = [cell for cell in call(page, COLOURS_OF, 60) if not cell["isNarrow"]]
    off, n_masked = [], 0
    for cell in seen:
        shown = np.array(cell["pixel"][:3]) / 255
        if cell["isMasked"]:
            n_masked += 1
            off.append(np.ptp(shown) > 0.03)  # grey
        else:
            expected = MAPS[cell["palette"]](float((cell["value"] - cell["low"]) / (cell["high"] - cell["low"])))[:3]
            off.append(np.abs(shown - expected).max() > 0.03)
    # A frame, a dashed line or the smoothed edge of a small picture may cover a cell or two.
    assert not seen or np.mean(off) < 0.12
    assert (n_masked > 10) == (make in (MaskExplorer, HeadExplorer, ContrastExplorer))


SETTINGS = "({ settings, model }) => Object.fromEntries(settings.map((name) => [name, model.get(name)]))"


@every
def test_it_is_used_with_the_keyboard_alone(mini, opened, make):
    explorer = make(*mini, TEXT)
    with opened(explorer) as page:
        n_stops, seen = 0, set()
        while n_stops < 40:
            page.keyboard.press("Tab")
            n_stops += 1
            here = page.evaluate("""() => {
              const { tagName, type, name } = document.activeElement;
              const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
              return [tagName, name || "", outlineStyle, outlineWidth];
            }""")
            if here[0] == "BODY":
                break
            assert here[2] != "none" and here[3] != "0px", here  # the focus can be seen
            seen.add(here[1])
            if here[0] == "CANVAS":
                told = set()
                for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
                    page.keyboard.press(key)
                    page.wait_for_timeout(40)
                    told.add(page.locator(".reading").inner_text() + json.dumps(call(page, READ)["facts"]))
                assert len(told) > 1
        assert set(explorer.controls) <= seen
        page.get_by_role("button", name="Copy as Python").focus()
        page.keyboard.press("Enter")
        line = page.locator(".line").inner_text()
        again = eval(line, {make.__name__: make, "model": mini[0], "tokenizer": mini[1]})
        settings = call(
            page, "(explorer) => Object.fromEntries(explorer.settings.map((name) => [name, explorer.model.get(name)]))"
        )
        assert {name: getattr(again, name) for name in settings} == settings and again.text == TEXT


def test_pointing_at_a_cell_names_it_with_its_numbers_in_all_panels(mini, opened):
    explorer = MaskExplorer(*mini, TEXT, layer=2, head=3)
    with opened(explorer) as page:
        numbers, labels = explorer.compute()[0], explorer.shown["tokens"]
        for panel, (query, key) in enumerate([(9, 4), (13, 0)]):
            at = call(
                page, "({ panels }, i, q, k) => [panels[i].atX(k + 0.5), panels[i].atY(q + 0.5)]", panel, query, key
            )
            page.locator("canvas").nth(panel).hover(position={"x": at[0], "y": at[1]})
            score, share = numbers["masked"][query, key], numbers["pattern"][query, key]
            assert page.locator(".reading").inner_text() == (
                f"Query {query} “{labels[query]}” → key {key} “{labels[key]}”: "
                f"score {score:.3f}, share {share:.1%}.".replace("score -", "score −")
            )
            assert (
                call(page, "({ panels }) => panels.map((panel) => panel.marks)")
                == [[[key, query, key + 1, query + 1]]] * 2
            )


COUNT_WORDS = """(root) => {
  root.told = 0;
  const changes = { childList: true, subtree: true };
  new MutationObserver(() => root.told++).observe(root.querySelector("[role=status]"), changes);
}"""


@every
def test_a_screen_reader_is_told_once_when_all_is_quiet(mini, opened, make):
    explorer = make(*mini, TEXT)
    with opened(explorer) as page:
        page.wait_for_timeout(900)
        page.locator(".headlab-page").evaluate(COUNT_WORDS)
        slider = page.locator("input[type=range]").last
        for key in ("ArrowLeft", "ArrowLeft", "ArrowRight", "ArrowLeft"):
            slider.press(key)
        page.wait_for_timeout(1100)
        assert page.locator(".headlab-page").evaluate("(root) => root.told") == 1
        assert page.locator("[role=status]").inner_text() == " ".join(call(page, READ)["lines"])
        assert page.locator("[aria-live]").count() == 0


@every
def test_it_fits_a_narrow_page_in_the_dark_and_at_twice_the_size(mini, opened, make):
    with opened(make(*mini, TEXT), color_scheme="dark") as page:
        for width in (1100, 640, 360):  # 640: a page of 1280 at 200 %
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(120)
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.locator(".headlab-page").evaluate("(root) => root.scrollWidth === root.clientWidth")
        page.screenshot(path=SCREENSHOTS / f"{make.__name__}_narrow_dark.png", full_page=True)
        ink = page.locator(".headlab-page").evaluate("(root) => getComputedStyle(root).color")
        assert min(int(part) for part in re.findall(r"\d+", ink)[:3]) > 200, ink
        if make is not InterventionExplorer:
            dark = plt.imread(BytesIO(page.locator("canvas").first.screenshot()))
            page.emulate_media(color_scheme="light")
            page.wait_for_timeout(150)
            light = plt.imread(BytesIO(page.locator("canvas").first.screenshot()))
            assert dark[:8, :, :3].mean() < 0.5 < light[:8, :, :3].mean()  # the ground
            assert dark[:20, :, :3].max() > 0.8 and light[:20, :, :3].min() < 0.3  # the title's ink went along


def test_what_cannot_be_computed_is_told_in_a_line_and_the_picture_stays(mini, opened):
    explorer = MaskExplorer(*mini, TEXT)
    with opened(explorer) as page:
        before = call(page, "({ panels }) => panels[1].canvas.toDataURL()")
        call(
            page,
            "(explorer) => { explorer.compute = () => { throw new Error('layer: expected another, got this'); }; }",
        )
        page.get_by_label("Layer").press("ArrowRight")
        page.wait_for_timeout(60)
        assert page.get_by_role("alert").inner_text() == "layer: expected another, got this"
        assert call(page, "({ panels }) => panels[1].canvas.toDataURL()") == before
        call(page, "(explorer) => { delete explorer.compute; }")
        page.get_by_label("Layer").press("ArrowRight")
        page.wait_for_timeout(60)
        assert page.get_by_role("alert").inner_text() == ""
        assert call(page, "({ panels }) => panels[1].canvas.toDataURL()") != before


SHOW = """for (const name of NAMES) {
  const place = document.body.appendChild(document.createElement("div"));
  const state = await (await fetch(`${name}.json`)).json();
  const { renderStill } = await import(`./${name}.js`);
  renderStill(state, place);
}"""


def test_a_website_that_allows_only_its_own_scripts_can_show_them(mini, browser, tmp_path):
    """The same script as a file, the same state as JSON, under a policy without inline scripts and styles."""
    folder = tmp_path / "site"
    folder.mkdir()
    for make in EXPLORERS:
        explorer = make(*mini, TEXT)
        (folder / f"{make.__name__}.js").write_text(str(explorer._esm), encoding="utf-8")
        (folder / f"{make.__name__}.json").write_text(explorer.state_text(), encoding="utf-8")
    (folder / "kit.css").write_text(str(explorer._css), encoding="utf-8")
    (folder / "show.js").write_text(SHOW.replace("NAMES", json.dumps([make.__name__ for make in EXPLORERS])))
    script = "<link rel=stylesheet href=kit.css><script type=module src=show.js></script><body>"
    (folder / "index.html").write_text(HEAD.partition("<style>")[0] + script)
    page = browser.new_page()
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: line.type == "error" and complaints.append(line.text))
    kinds = {".js": "text/javascript", ".json": "application/json", ".css": "text/css", ".html": "text/html"}
    policy = {"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"}

    def answer(route):
        path = folder / route.request.url.rpartition("/")[2]
        kind = kinds.get(path.suffix)
        route.fulfill(body=path.read_bytes(), headers=policy | {"Content-Type": kind}) if kind else route.abort()

    page.route("**/*", answer)
    page.goto("https://site.test/index.html")
    page.locator(".headlab-page .summary p").nth(2 * len(EXPLORERS)).wait_for(timeout=20_000)
    page.wait_for_timeout(300)
    assert page.locator(".headlab-page").count() == len(EXPLORERS)
    assert not [line for line in complaints if "favicon" not in line and "ERR_FAILED" not in line]
    page.close()
