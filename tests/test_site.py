"""The website: every page in Chromium, under a strict policy, with nothing asked of any other host."""

import os
import re
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urldefrag

import axe_playwright_python
import pytest
from jupyter import CHROMIUM, ROOT, chromium

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

POLICY = "default-src 'self'; script-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
VIEWS = {"wide and light": (1400, "light"), "narrow and dark": (360, "dark")}
LESSONS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the pages."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, str(ROOT / "tools" / "build_site.py"), str(out)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return out / "html"


class Handler(SimpleHTTPRequestHandler):
    """A static host with a strict policy."""

    def end_headers(self):
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address(site):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(site))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        reason = "no Chromium: install Debian's chromium, or set HEADLAB_CHROMIUM to a browser"
        (pytest.fail if os.environ.get("HEADLAB_REQUIRE_BROWSER") == "1" else pytest.skip)(reason)
    with chromium() as one:
        yield one


class Visit:
    """A page of the site, with all that went wrong on it, and the bytes that came."""

    def __init__(self, browser, address, view="wide and light"):
        width, scheme = VIEWS[view]
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page, self.address, self.faults, self.n_bytes = self.context.new_page(), address, [], 0
        self.context.route(lambda url: not url.startswith(address), self._refuse)
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("requestfailed", lambda request: self.faults.append(f"failed: {request.url}"))
        self.page.on("response", self._count)

    def _refuse(self, route):
        self.faults.append(f"asked of another host: {route.request.url}")
        route.abort()

    def _listen(self, message):
        if message.type == "error":
            self.faults.append(message.text)

    def _count(self, response):
        self.n_bytes += int(response.headers.get("content-length", 0))
        if response.status >= 400:
            self.faults.append(f"{response.status}: {response.url}")

    def open(self, name):
        self.page.goto(f"{self.address}/{name}", wait_until="load")
        for place in self.page.locator("[data-explorer]").all():
            place.scroll_into_view_if_needed()
            place.locator("img").first.wait_for(state="detached")
        return self.page

    def __enter__(self):
        return self

    def __exit__(self, *trouble):
        self.context.close()


class Page(HTMLParser):
    """The links, the anchors and the pictures of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors, self.pictures = [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.add(attributes.get("id"))
        if tag in ("a", "link", "script", "img") and (target := attributes.get("href") or attributes.get("src")):
            self.links.append(target)
        if tag == "img":
            self.pictures.append(attributes.get("alt", ""))


@pytest.fixture(scope="module")
def pages(site):
    """{name: Page}"""
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


def test_no_link_is_broken(site, pages):
    broken = []
    for name, page in pages.items():
        for target in page.links:
            path, anchor = urldefrag(unquote(target))
            if re.match(r"(https?|mailto|data):", path):
                continue
            found = (site / name).parent.joinpath(path.partition("?")[0]).resolve() if path else site / name
            other = pages.get(found.relative_to(site).as_posix())
            if not found.exists() or (anchor and other and anchor not in other.anchors):
                broken.append(f"{name}: {target}")
    assert len(pages) > 20 and not broken


def test_every_picture_says_in_words_what_it_shows(pages):
    for name in LESSONS:
        pictures = pages[f"lessons/{name}.html"].pictures
        assert pictures or name.startswith("09")
        assert [len(words) > 20 for words in pictures] == [True] * len(pictures), name


def test_there_is_a_page_for_each_lesson_with_both_notebooks(site, pages):
    assert len(LESSONS) == 9
    for name in LESSONS:
        links = pages[f"lessons/{name}.html"].links
        assert any(link.endswith(f"/{name}.ipynb") for link in links), name
        assert any(link.endswith(f"/{name}-solutions.ipynb") for link in links), name
        assert f"lessons/{name}.html" in pages["index.html"].links


def faults_of(browser, address, view, name):
    """What is wrong with a page: requests, errors, sideways scroll, weight, and what axe-core calls serious."""
    with Visit(browser, address, view) as visit:
        page = visit.open(name)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        found = page.evaluate(f"{AXE}; axe.run({{exclude: ['.highlight span']}}, {{resultTypes: ['violations']}})")
        serious = [
            f"{rule['id']}: {node['html'][:120]}"
            for rule in found["violations"]
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"]
        ]
        heavy = [f"{visit.n_bytes} bytes"] if visit.n_bytes > (1e6 if name == "index.html" else 8e6) else []
        assert visit.n_bytes > 10e3
        return [*visit.faults, *serious, *heavy, *([f"{wide} pixels too wide"] if wide > 0 else [])]


@pytest.mark.parametrize("view", VIEWS)
def test_every_page_is_sound(address, browser, view, pages):
    # The pages of the package are all alike: a narrow one is enough.
    names = [name for name in pages if not name.startswith("api/") or view == "wide and light" or "plots" in name]
    found = {name: faults_of(browser, address, view, name) for name in names}
    assert len(names) > 15 and not {name: faults for name, faults in found.items() if faults}


def test_a_search_finds_a_lesson(address, browser):
    with Visit(browser, address) as visit:
        page = visit.open("search.html?q=bandwidth")
        page.locator("#search-results li a", has_text="density").first.wait_for()
        assert not visit.faults


def test_a_prediction_is_answered_from_what_was_measured(address, browser):
    with Visit(browser, address) as visit:
        page = visit.open("lessons/01_causal_masking.html")
        form = page.locator("fieldset", has_text="Which key gives it the highest score?")
        form.get_by_label("old").check()
        assert form.locator("output").inner_text().startswith("✓ old")
        form.get_by_label("stone").check()
        assert form.locator("output").inner_text().startswith("✗ stone")


def test_every_explorer_answers(address, browser):
    asked = 0
    for name in LESSONS:
        with Visit(browser, address) as visit:
            for place in visit.open(f"lessons/{name}.html").locator("[data-explorer]").all():
                before = place.locator(".summary").inner_text()
                place.locator("input[type=range]").first.press("ArrowRight")
                place.locator(".summary").filter(has_not_text=before).wait_for(timeout=10_000)
                asked += 1
    assert asked == 12  # one in each of lessons 1 to 8, and one of real GPT-2 in four of them
