"""Draw the figures of README.md: GPT-2's shares of negative scores, and the head explorer as it opens.

    python tools/draw_readme_figure.py

The first comes from the statistics that ship with headlab; the second is a screenshot, taken with Chromium.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from headlab.explorers import HeadExplorer
from headlab.models import load_model
from headlab.plots import plot_head_grid
from headlab.shift import gpt2_reference

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from jupyter import chromium  # noqa: E402

SENTENCE = "When the old man opened the door of the little white house, the old dog ran out of the house."


def draw_fractions(path):
    """One number for each of real GPT-2's heads."""
    gpt2 = gpt2_reference()
    ax = plot_head_grid(gpt2["fraction_negative"], label="fraction of the raw scores below zero", meaning="fraction")
    ax.set_title(f"Real GPT-2 small: {gpt2['n'].sum():,} causal raw scores of five recorded prompts")
    ax.figure.savefig(path, dpi=110, metadata={"Software": None})


def draw_explorer(path):
    """The head explorer as a page without a kernel shows it, on mini's previous-token head."""
    explorer = HeadExplorer(*load_model("mini"), SENTENCE, layer=0, head=5)
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 860, "height": 600}, device_scale_factor=1.5)
        page.set_content(f"<body>{explorer.to_html()}</body>")
        page.locator("input").first.wait_for()
        page.locator("body").screenshot(path=path)


if __name__ == "__main__":
    draw_fractions(ROOT / "lessons" / "gpt2_fraction_negative.png")
    draw_explorer(ROOT / "lessons" / "head_explorer.png")
