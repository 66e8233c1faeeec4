"""What every figure draws, and where: DRAWN is the committed table, so that a changed figure shows in review.

With HEADLAB_UPDATE=1 the table is rewritten before it is compared. Look at the figure before you commit the table.
"""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import settings_sample as sample
from lesson_runs import kept, same_text
from matplotlib.colors import to_hex
from matplotlib.quiver import Quiver

from headlab.diagram import data_flow
from headlab.plots import HouseFigure

DRAWN = Path(__file__).with_name("drawn.csv")
TAKE_OVER = "HEADLAB_UPDATE=1 takes the new figure over"


def artists(ax):
    """What is drawn on axes, a line for each artist: its kind, its points in short, its look."""
    for image in ax.images:
        values = np.ma.masked_invalid(image.get_array())
        ends = f"from {numbers(image.get_clim())}, mean {numbers([np.ma.filled(values.mean(), np.nan)])}"
        yield f"image {values.shape} at {numbers(image.get_extent())}, {ends}"
    for line in ax.lines:
        look = f"{to_hex(line.get_color())} {line.get_linestyle()} {line.get_marker()}"
        sizes = numbers([line.get_linewidth(), line.get_markersize(), line.get_zorder()])
        yield f"line {places(line.get_xydata())}, {look} {sizes}"
    for some in ax.collections:
        corners = np.concatenate([path.vertices for path in some.get_paths()] or [np.zeros((0, 2))])
        sizes = numbers([*some.get_linewidths()[:1], *getattr(some, "_sizes", ())[:1], some.get_zorder()])
        yield f"collection {places(corners)}, {places(some.get_offsets())}, {sizes}"
        if isinstance(some, Quiver):
            yield f"arrows {places(np.column_stack([some.U, some.V]))}, {numbers([some.width, some.scale])}"
    for patch in ax.patches:
        corners = patch.get_path().vertices @ patch.get_patch_transform().get_matrix()[:2, :2].T
        corners = corners + patch.get_patch_transform().get_matrix()[:2, 2]
        look = f"{to_hex(patch.get_facecolor(), keep_alpha=True)} {numbers([patch.get_linewidth()])}"
        yield f"patch {places(corners)}, {look if patch.get_fill() else 'empty'}"
    if legend := ax.get_legend():
        look = f"frame {legend.get_frame_on()}, {numbers([text.get_size() for text in legend.get_texts()])}"
        yield f"legend {[text.get_text() for text in legend.get_texts()]}, {look}"
    for text in ax.texts:
        yield f"text {text.get_text()} at {numbers(text.get_position())}, {text.get_ha()} {numbers([text.get_size()])}"


def places(points):
    """Points (n, 2) in short: how many, the least and the largest of both axes, and their means."""
    points = np.asarray(np.ma.filled(points, np.nan), dtype=float).reshape(-1, 2)
    if not np.isfinite(points).any():
        return f"{len(points)} points"
    short = [summary(points, 0) for summary in (np.nanmin, np.nanmax, np.nanmean)]
    return f"{len(points)} points, {numbers(np.concatenate(short))}"


def numbers(values):
    return " ".join(f"{value + 0.0:.4g}" for value in np.ravel(values).astype(float))


def shown(ticks, ends):
    """The ticks that lie between the ends of an axis; matplotlib's versions differ in what they set beyond."""
    return numbers([tick for tick in ticks if min(ends) - 1e-9 <= tick <= max(ends) + 1e-9])


def described(figure):
    """The figure's size, and of each of its axes what it says, where it ends and what is drawn."""
    yield f"figure {numbers(figure.get_size_inches())}"
    for ax in figure.axes:
        ends = numbers([*ax.get_xlim(), *ax.get_ylim()])
        yield f"axes {ax.get_title()} | {ax.get_xlabel()} | {ax.get_ylabel()}: {ends}"
        grid = [line.get_visible() for line in [*ax.get_xgridlines()[:1], *ax.get_ygridlines()[:1]]]
        yield f"grid {grid}, ticks {shown(ax.get_xticks(), ax.get_xlim())}, {shown(ax.get_yticks(), ax.get_ylim())}"
        yield from artists(ax)


def states(explorer):
    """{in words: settings} of an explorer: as it starts, and with every control moved, twice."""
    moved = {"as it starts": {}, "all moved": {}, "moved again": {}}
    for name, control in explorer.controls.items():
        offered = control.get("options", control.get("values"))
        if offered:
            values = offered[-1], offered[1]
        elif "min" in control:
            low, high, step = control["min"], control["max"], control["step"]
            values = high, low + (high - low) // step // 3 * step
        else:
            values = not getattr(explorer, name), getattr(explorer, name)
        moved["all moved"][name], moved["moved again"][name] = values
    if hasattr(explorer, "heads"):
        moved["all moved"]["heads"], moved["moved again"]["heads"] = [(0, 5), (3, 2)], [(2, 11)]
    return moved


@pytest.fixture(scope="module")
def drawn(mini):
    """{figure: what it draws}, of each of headlab's plots, each explorer's still picture and the data-flow drawing."""
    found = {}
    for name, call in sample.plot_calls(mini).items():
        figure = call(None).figure
        found[name] = list(described(figure))
        plt.close(figure)
    for name, made in sample.explorers().items():
        explorer = made(*mini, f"{sample.TEXT} {sample.OTHER}")
        for how, settings in states(explorer).items():
            for setting, value in settings.items():
                setattr(explorer, setting, value)
            figure = HouseFigure(figsize=explorer.size, layout="constrained")
            explorer.draw(figure, *explorer.compute())
            found[f"{name}, {how}"] = [*explorer.lines(), *described(figure)]
    found["data_flow"] = re.findall(r"<[^>]+>[^<]*", data_flow("heads", model=mini[0]).svg)
    return found


def test_every_figure_draws_what_the_table_says(drawn):
    rows = kept(DRAWN, ("figure", "what is drawn"), ((name, line) for name in drawn for line in drawn[name]))
    assert {name for name, _ in rows} == set(drawn), TAKE_OVER
    for name, lines in drawn.items():
        expected = [line for figure, line in rows if figure == name]
        assert len(lines) == len(expected), f"{name}: {TAKE_OVER}"
        for line, other in zip(lines, expected, strict=True):
            assert same_text(line, other, 1e-2, 2e-3), f"{name}: {line}, not {other}; {TAKE_OVER}"
