"""Draw the figure of README.md from the shipped statistics of real GPT-2.

python tools/draw_readme_figure.py
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from headlab.plots import plot_head_grid
from headlab.shift import gpt2_reference

PICTURE = Path(__file__).parents[1] / "lessons" / "gpt2_fraction_negative.png"

if __name__ == "__main__":
    gpt2 = gpt2_reference()
    ax = plot_head_grid(gpt2["fraction_negative"], label="fraction of the raw scores below zero", meaning="fraction")
    ax.set_title(f"Real GPT-2 small: {gpt2['n'].sum():,} causal raw scores of five recorded prompts")
    ax.figure.savefig(PICTURE, dpi=110, metadata={"Software": None})
