"""JupyterLab on the loopback and Chromium in front of it, for the browser tests and the explorers' benchmark."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import nbformat
from playwright.sync_api import TimeoutError, sync_playwright

ROOT = Path(__file__).parents[1]
CHROMIUM = os.environ.get("HEADLAB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page, wherever one looks
}
ENVIRONMENT = {"HEADLAB_MODEL": "mini", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
DONE = "all cells have run"
FRAMES = (
    "await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));"  # what was set is drawn
)


@contextmanager
def jupyter_lab(folder):
    """A JupyterLab server that serves `folder/work`, and its address; its settings are its own."""
    (folder / "work").mkdir(exist_ok=True)
    for name, settings in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))
    environment = os.environ | ENVIRONMENT
    environment.pop("MPLBACKEND", None)  # kernels draw as they do for a reader
    for name in ("config", "data", "runtime"):
        environment[f"JUPYTER_{name.upper()}_DIR"] = str(folder / name)
    environment |= {
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    options = ["--no-browser", "--ip=127.0.0.1", "--port=0", f"--ServerApp.root_dir={folder / 'work'}"]
    options += ["--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True", "--allow-root"]
    with open(folder / "server.log", "w", encoding="utf-8") as log:
        command = [sys.executable, "-m", "jupyterlab", *options]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield _address(server, folder)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _address(server, folder):
    """Where the server listens, once it answers."""
    for _ in range(600):
        for info in (folder / "runtime").glob("jpserver-*.json"):
            try:
                url = json.loads(info.read_text())["url"]
                urlopen(url + "api", timeout=5).read()
                return url
            except (OSError, ValueError):
                pass
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start: {(folder / 'server.log').read_text()[-2000:]}")


@contextmanager
def chromium():
    """A Chromium of Playwright's interface; what is measured in it may ask it to collect garbage."""
    arguments = [*ARGUMENTS, "--js-flags=--expose-gc", "--enable-precise-memory-info"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def write_notebook(path, cells):
    """A notebook of these cells and a last one that says when all have run."""
    cells = [*cells, nbformat.v4.new_code_cell(f'print("{DONE[:9]}" + "{DONE[9:]}")')]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


class NotebookPage:
    """A notebook open in JupyterLab; `complaints` collects what the page writes to its console as errors."""

    def __init__(self, browser, url, name, width=1280, height=1000):
        self.page = browser.new_page(viewport={"width": width, "height": height})
        self.url, self.complaints, self.n_told = url, [], 0
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda line: line.type == "error" and self.complaints.append(line.text))
        # The session is there before the page: on a busy machine JupyterLab may ask for a kernel before it knows which
        # there are.
        session = {"path": name, "name": name, "type": "notebook", "kernel": {"name": "python3"}}
        urlopen(Request(f"{url}api/sessions", json.dumps(session).encode()), timeout=60).close()
        self.page.goto(f"{url}lab/tree/{name}?reset")
        self.page.locator(".jp-CodeCell").last.wait_for(timeout=60_000)
        self.wait_until_idle()

    def wait_until_idle(self):
        """Wait until the kernel has nothing to do."""
        # Said in the status bar only of a kernel that is connected; before that JupyterLab would ask for one.
        self.page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)

    def run_all(self, seconds=240):
        """Run all cells and wait for the last."""
        started = "() => [...document.querySelectorAll('.jp-InputPrompt')].some((p) => /\\[[*\\d]/.test(p.innerText))"
        for _ in range(3):  # JupyterLab loses the command now and then when it has just opened
            self.page.get_by_role("menuitem", name="Run", exact=True).click()
            self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            try:
                self.page.wait_for_function(started, timeout=2500)
                break
            except TimeoutError:
                continue
        self.page.get_by_text(DONE, exact=True).wait_for(timeout=seconds * 1000)
        self.wait_until_idle()

    def run_last(self, source):
        """Put `source` into the last cell, run it and return what it prints."""
        cell = self.page.locator(".jp-CodeCell").last
        cell.locator(".cm-content").click()
        self.page.keyboard.press("ControlOrMeta+A")
        self.n_told += 1  # an earlier answer may still stand above
        mark = f"{DONE[:4]}told {self.n_told}."
        self.page.keyboard.insert_text(f"{source}; print('{mark[:4]}' '{mark[4:]}')")
        self.page.keyboard.press("Shift+Enter")
        output = self.page.locator(".jp-OutputArea-output", has_text=mark).last
        output.wait_for(timeout=30_000)
        return output.inner_text().replace(mark, "").strip()

    def close(self):
        """Close the page and end its kernel."""
        self.page.close()
        for kernel in json.loads(urlopen(f"{self.url}api/kernels", timeout=20).read()):
            urlopen(Request(f"{self.url}api/kernels/{kernel['id']}", method="DELETE"), timeout=20).close()

    def errors(self):
        """What went wrong in any cell, and what the console complains of."""
        kinds = '[data-mime-type="application/vnd.jupyter.error"], [data-mime-type="application/vnd.jupyter.stderr"]'
        return [*self.page.locator(kinds).all_inner_texts(), *self.complaints]

    def cell(self, text):
        """The code cell whose source or output holds this text."""
        return self.page.locator(".jp-CodeCell", has_text=text).last


WATCH = """(cell) => {
  const seen = { heights: [], pictures: [], stop: false };
  const look = () => {
    seen.heights.push(cell.getBoundingClientRect().height);
    seen.pictures.push(cell.querySelectorAll(".headlab-page").length);
    if (!seen.stop) requestAnimationFrame(look);
  };
  look();
  return seen;
}"""


@contextmanager
def steady(cell):
    """Watch a cell at each animation frame: one picture, and a height constant to 2 pixels."""
    seen = cell.element_handle().evaluate_handle(WATCH)
    yield
    seen.evaluate("(seen) => { seen.stop = true; }")
    seen = seen.json_value()
    heights = seen["heights"]
    assert len(heights) > 3, f"only {len(heights)} frames seen"
    assert max(heights) - min(heights) <= 2, f"the cell's height went from {min(heights)} to {max(heights)}"
    assert set(seen["pictures"]) == {1}, f"pictures: {set(seen['pictures'])}"


def words_and_numbers(line):
    """A line's words without its numbers, and the numbers."""
    number, line = r"[-+]?\d+(?:\.\d+)?", line.replace("−", "-")
    return re.sub(number, "#", line), [float(text) for text in re.findall(number, line)]
