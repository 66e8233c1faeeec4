"""How fast the explorers are in Chromium, and how much each sends, at 64 tokens and GPT-2's shape of 12 layers by 12.

    python benchmarks/explorers.py [--presses 60] [--changes 10000]

In JupyterLab: the time from the key press on a slider to the frame that shows other pixels, beside what a notebook
usually does, `interact` with a new seaborn figure each time (a 64 x 64 heatmap beside a curve). In a saved page: the
time to the first picture once the numbers are there, the frames a second while a slider is dragged, and the memory of
the page after many changes. Needs Chromium, as the tests of the browser do. The model is the untrained control, which
has GPT-2 small's shape.
"""

import argparse
import base64
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from nbformat.v4 import new_code_cell

from headlab.explorers import EXPLORERS
from headlab.models import load_model

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from jupyter import NotebookPage, chromium, jupyter_lab, write_notebook
from measure import machine

N_TOKENS, N_RUNS = 64, 5  # of the text, and of the first picture
MOST = {"95 %, ms": 33, "first picture, ms": 300, "MB sent": 8.0}
LEAST_FRAMES = 55  # a second
SETUP = """import ipywidgets, matplotlib.pyplot as plt, seaborn
from headlab import explorers
from headlab.capture import capture_heads
from headlab.models import load_model, token_strings

model, tokenizer = load_model("random")
ids = tokenizer("The old man looked at the little white house by the sea. " * 8, return_tensors="pt").input_ids[:, :64]
text = tokenizer.decode(ids[0])
capture, labels = capture_heads(model, ids), token_strings(tokenizer, ids)"""
INTERACT = """def show(layer, head):
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 4.2), layout="constrained")
    seaborn.heatmap(capture.pattern(layer, head), xticklabels=labels, yticklabels=labels, ax=axes[0])
    axes[1].plot(capture.pattern(layer, head)[:, 0])
    plt.show()

_ = ipywidgets.interact(show, layer=(0, 11), head=ipywidgets.IntSlider(0, 0, 11))"""

# Resolves to the milliseconds from the next key press to the frame that shows other pixels than now.
WAIT = """(cell) => new Promise((resolve) => {
  const small = new OffscreenCanvas(96, 48).getContext("2d", { willReadFrequently: true });
  const look = () => {
    const words = cell.querySelector(".headlab-losses");
    if (words) return words.querySelector(".summary").textContent;
    const picture = [...cell.querySelectorAll("canvas, .jp-RenderedImage img")].at(-1);
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

# Milliseconds from the numbers to the first picture, and the frames a second while the first slider moves.
RUN = """async ([state, script, frames, changes]) => {
  const { renderStill } = await import(script);
  const place = document.body.appendChild(document.createElement("div"));
  const frame = () => new Promise(requestAnimationFrame);
  const start = performance.now();
  renderStill(structuredClone(state), place);
  await frame();
  const first = performance.now() - start;
  const { explorer } = place.firstChild;
  const input = place.querySelector("input[type=range]");
  const move = (step) => {
    const [low, high] = [Number(input.min), Number(input.max)];
    input.value = low + (high - low) * Math.abs(((step / 12) % 2) - 1);
    input.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const began = performance.now();
  for (let step = 0; step < frames; step++) { move(step); await frame(); }
  const rate = (1000 * frames) / (performance.now() - began);
  globalThis.gc();
  const before = performance.memory.usedJSHeapSize;
  for (let step = 0; step < changes; step++) {
    move(step);
    explorer.update();
    explorer.draw();
    if (step % 50 === 0) await frame();
  }
  globalThis.gc();
  const grown = (performance.memory.usedJSHeapSize - before) / 1e6;
  place.remove();
  return [first, rate, grown];
}"""


def measure(notebook, cell, presses):
    """Milliseconds of so many presses of an arrow key on the slider for the head."""
    slider = cell.locator(
        "input[name=head], input[name=scale], "
        ".widget-hslider:has(.widget-label:text-matches('^head$', 'i')) .noUi-handle"
    ).first  # the head's comes before the scale's
    slider.scroll_into_view_if_needed()
    slider.focus()
    times = []
    for press in range(presses + 5):
        cell.evaluate("(cell) => { window.measured = (" + WAIT + ")(cell); }")
        notebook.page.keyboard.press("ArrowRight" if press // 3 % 2 == 0 else "ArrowLeft")
        times.append(notebook.page.evaluate("() => window.measured"))
        # No press is to wait for the one before, or to take its picture for its own.
        notebook.page.wait_for_timeout(150)
        notebook.wait_until_idle()
    return np.array(times[5:])  # the first ones warm up


def in_a_saved_page(page, explorer, changes):
    """Of one explorer: {column: number}, as a page without a kernel shows it."""
    script = "data:text/javascript;base64," + base64.b64encode(str(explorer._esm).encode()).decode()
    state = json.loads(explorer.state_text())
    runs = [page.evaluate(RUN, [state, script, 120, 0]) for _ in range(N_RUNS)]
    grown = page.evaluate(RUN, [state, script, 1, changes])[2]
    return {
        "first picture, ms": np.median([first for first, _, _ in runs]),
        "frames a second": np.median([rate for _, rate, _ in runs]),
        "MB grown": grown,
        "MB sent": sum(len(value) for value in explorer.shown.values() if isinstance(value, bytes)) / 1e6,
    }


def missed(row):
    """The columns in which a row is not what it should be."""
    late = [name for name, most in MOST.items() if row[name] > most]
    jerky = ["frames a second"] if row["frames a second"] < LEAST_FRAMES else []
    return late + jerky + (["MB grown"] if row["MB grown"] > 5 else [])


def main():
    """Measure, print a table, and exit with 1 where an explorer is slower or larger than it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presses", type=int, default=60)
    parser.add_argument("--changes", type=int, default=10_000)
    args = parser.parse_args()
    model, tokenizer = load_model("random")
    ids = tokenizer("The old man looked at the little white house by the sea. " * 8).input_ids[:N_TOKENS]
    text, slow = tokenizer.decode(ids), False
    print(f"Chromium, {N_TOKENS} tokens, 12 layers of 12 heads: {args.presses} key presses, {args.changes} changes.")
    print(machine("headlab", "jupyterlab", "ipywidgets", "anywidget", "matplotlib", "seaborn"))
    print("\n| | key to picture, median, ms | 95 %, ms | first picture, ms | frames a second | MB grown | MB sent | |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, jupyter_lab(Path(folder)) as url, chromium() as browser:
        sources = {"interact": INTERACT} | {
            make.__name__: f"explorers.{make.__name__}(model, tokenizer, text)" for make in EXPLORERS
        }
        makes = {make.__name__: make for make in EXPLORERS}
        for name, source in sources.items():
            write_notebook(Path(folder) / "work" / f"{name}.ipynb", [new_code_cell(SETUP), new_code_cell(source)])
            notebook = NotebookPage(browser, url, f"{name}.ipynb")
            notebook.run_all()
            times = measure(notebook, notebook.page.locator(".jp-CodeCell").nth(1), args.presses)
            notebook.close()
            row = {"median, ms": np.median(times), "95 %, ms": np.quantile(times, 0.95)}
            if name == "interact":
                print(f"| {name} | {row['median, ms']:.0f} | {row['95 %, ms']:.0f} | | | | | |", flush=True)
                continue
            page = browser.new_page()
            row |= in_a_saved_page(page, makes[name](model, tokenizer, text), args.changes)
            page.close()
            slow |= bool(missed(row))
            formats = dict(zip(row, ("{:.0f}", "{:.0f}", "{:.0f}", "{:.0f}", "{:.1f}", "{:.2f}"), strict=True))
            cells = " | ".join(formats[column].format(value) for column, value in row.items())
            print(
                f"| {name} | {cells} | {'MISSED: ' + ', '.join(missed(row)) if missed(row) else 'reached'} |",
                flush=True,
            )
    raise SystemExit(int(slow))


if __name__ == "__main__":
    main()
