"""How long a reader waits in JupyterLab, from the key press on a slider to the changed picture in the page.

    python benchmarks/explorers.py [--presses 60]

Each explorer of headlab on a text of 64 tokens, beside what a notebook usually does: `interact` with a new seaborn
figure each time, a 64 x 64 heatmap beside a curve, of the same size and with the tokens as labels. Needs Chromium, as
tests/test_browser.py does. A key press is timed in the page, from its event to the first animation frame in which the
picture's pixels differ.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from nbformat.v4 import new_code_cell

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from jupyter import NotebookPage, chromium, jupyter_lab, write_notebook
from measure import machine

SETUP = """import ipywidgets, matplotlib.pyplot as plt, seaborn
from headlab import explorers
from headlab.capture import capture_heads
from headlab.models import load_model, token_strings

model, tokenizer = load_model("mini")
ids = tokenizer("The old man looked at the little white house by the sea. " * 8, return_tensors="pt").input_ids[:, :64]
text = tokenizer.decode(ids[0])
capture, labels = capture_heads(model, ids), token_strings(tokenizer, ids)"""
INTERACT = """def show(layer, head):
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 4.2), layout="constrained")
    seaborn.heatmap(capture.pattern(layer, head), xticklabels=labels, yticklabels=labels, ax=axes[0])
    axes[1].plot(capture.pattern(layer, head)[:, 0])
    plt.show()

_ = ipywidgets.interact(show, layer=(0, 3), head=ipywidgets.IntSlider(0, 0, 11))"""
REACH = {"HeadExplorer": 33}  # ms at the 95th percentile
REACH_OF_THE_OTHERS, SHARE_OF_INTERACT = 150, 0.25

# Resolves to the milliseconds from the next key press to the frame that shows other pixels than now.
WAIT = """(cell) => new Promise((resolve) => {
  const small = new OffscreenCanvas(96, 48).getContext("2d", { willReadFrequently: true });
  const look = () => {
    const picture = cell.querySelector("canvas.panels, img.widget-image, .jp-RenderedImage img");
    if (!picture || picture.complete === false || picture.naturalWidth === 0) return null;
    small.clearRect(0, 0, 96, 48);
    small.drawImage(picture, 0, 0, 96, 48);
    return small.getImageData(0, 0, 96, 48).data.join();
  };
  const before = look();
  const start = (event) => {
    const frame = () => {
      const now = look();
      if (now && now !== before) resolve(performance.now() - event.timeStamp);
      else requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  };
  document.addEventListener("keydown", start, { capture: true, once: true });
})"""


def measure(notebook, cell, presses):
    """Milliseconds of so many presses of an arrow key on the slider for the head."""
    slider = cell.locator(
        "input[name=head], .widget-hslider:has(.widget-label:text-matches('^head$', 'i')) .noUi-handle"
    )
    slider.scroll_into_view_if_needed()
    slider.focus()
    times = []
    for press in range(presses + 5):
        cell.evaluate("(cell) => { window.measured = (" + WAIT + ")(cell); }")
        notebook.page.keyboard.press("ArrowRight" if press // 11 % 2 == 0 else "ArrowLeft")
        times.append(notebook.page.evaluate("() => window.measured"))
        # No press is to wait for the one before, or to take its picture for its own.
        notebook.page.wait_for_timeout(150)
        notebook.wait_until_idle()
    return np.array(times[5:])  # the first ones warm up


def report(name, times):
    """Print one line of the table; True where this explorer is slower than it should be."""
    median, late = np.median(times[name]), np.quantile(times[name], 0.95)
    if name == "interact":
        print(f"| {name} | {median:.0f} | {late:.0f} | | | |", flush=True)
        return False
    share, reach = median / np.median(times["interact"]), REACH.get(name, REACH_OF_THE_OTHERS)
    slow = late > reach or share > SHARE_OF_INTERACT
    verdict = "MISSED" if slow else "reached"
    print(f"| {name} | {median:.0f} | {late:.0f} | {reach} | {share:.2f} | {verdict} |", flush=True)
    return slow


def main():
    """Measure, print a table, and exit with 1 where an explorer is slower than it should be."""
    from headlab.explorers.drawn import Explorer

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presses", type=int, default=60)
    presses = parser.parse_args().presses
    names = ["HeadExplorer", *(make.__name__ for make in Explorer.__subclasses__())]
    sources = {"interact": INTERACT} | {n: f"explorers.{n}(model, tokenizer, text)" for n in names}
    times, slow = {}, False
    print(f"From key press to changed picture, JupyterLab in Chromium: {presses} presses of an arrow key, 64 tokens.")
    print(machine("headlab", "jupyterlab", "ipywidgets", "anywidget", "matplotlib", "seaborn"))
    print("\n| | median, ms | 95 %, ms | reach | median / interact's (reach 0.25) | |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, jupyter_lab(Path(folder)) as url, chromium() as browser:
        for name, source in sources.items():
            cells = [new_code_cell(SETUP), new_code_cell(source)]
            write_notebook(Path(folder) / "work" / f"{name}.ipynb", cells)
            notebook = NotebookPage(browser, url, f"{name}.ipynb")
            notebook.run_all()
            times[name] = measure(notebook, notebook.page.locator(".jp-CodeCell").nth(1), presses)
            notebook.close()
            slow |= report(name, times)
    raise SystemExit(int(slow))


if __name__ == "__main__":
    main()
