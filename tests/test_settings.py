"""Nothing that a reader sets globally changes a number or a picture of headlab, or it is refused in one line."""

import contextlib
import copy
import os
import random
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
import settings_sample as sample
import torch
from IPython.core.pylabtools import print_figure
from matplotlib.colors import to_hex
from public import public

from headlab.capture import capture_heads
from headlab.exercises import EXERCISES, check
from headlab.explorers.shared import text_reader
from headlab.masking import causal_mask, softmax
from headlab.plots import HouseFigure, house_style, plot_pattern
from headlab.scores import raw_scores

ROOT = Path(__file__).parents[1]


@contextlib.contextmanager
def changed(change, back, *value):
    """A global setting, changed for a while."""
    change(*value)
    try:
        yield
    finally:
        back()


def torch_is(name, new, old):
    change = getattr(torch, name)
    return lambda: changed(change, lambda: change(old), new)


TORCH_PRINT = lambda: changed(  # noqa: E731
    lambda: torch.set_printoptions(precision=1, sci_mode=True), lambda: torch.set_printoptions(profile="default")
)
PANDAS = {
    "display.precision": 1,
    "compute.use_bottleneck": False,
    "future.distinguish_nan_and_na": True,
    "future.python_scalars": True,
}


@contextlib.contextmanager
def pandas_options():
    with contextlib.ExitStack() as stack:
        for option in PANDAS.items():
            with contextlib.suppress(KeyError):  # an older pandas has fewer
                stack.enter_context(pd.option_context(*option))
        yield


def random_states():
    """What the reader's random numbers come from."""
    return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()  # noqa: NPY002


@contextlib.contextmanager
def seeds():
    """Other seeds; none of the random numbers that come of them is used up."""
    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    seeded = random_states()
    yield
    assert random_states() == seeded


# Several at once, so that each needs no run of its own.
SETTINGS = {
    "float64, inference_mode, deterministic algorithms, denormals flushed, seeds, print options, pandas' options": (
        torch_is("set_default_dtype", torch.float64, torch.float32),
        torch.inference_mode,
        torch_is("use_deterministic_algorithms", True, False),
        torch_is("set_flush_denormal", True, False),  # with it nothing underflows, so not beside numpy's errors
        TORCH_PRINT,
        seeds,
        lambda: np.printoptions(precision=1, threshold=2, legacy="1.13"),
        pandas_options,
    ),
    "bfloat16, the device meta, no_grad, anomaly mode, numpy's errors raised": (
        torch_is("set_default_dtype", torch.bfloat16, torch.float32),
        torch_is("set_default_device", "meta", None),
        torch.no_grad,
        lambda: torch.autograd.set_detect_anomaly(True),
        lambda: np.errstate(all="raise"),
    ),
}


@pytest.fixture(params=SETTINGS)
def settings(request):
    """A context in which several settings differ."""
    with contextlib.ExitStack() as stack:
        for setting in SETTINGS[request.param]:
            stack.enter_context(setting())
        yield request.param


@pytest.fixture(scope="module")
def ids(mini):
    return sample.ids_of(mini)


@pytest.fixture(scope="module")
def numbers(mini, ids):
    """What comes out where nothing is changed."""
    return sample.numbers(mini[0], ids) | sample.loaded()


@pytest.fixture(scope="module")
def calls(mini):
    """Plots by name, with what they draw ready."""
    return sample.plot_calls(mini)


@pytest.fixture(scope="module")
def pictures(calls):
    return sample.pictures(calls)


@pytest.fixture(scope="module")
def stills(mini):
    return sample.stills(mini)


@pytest.fixture(scope="module")
def words(mini):
    return sample.words(mini)


# Public names that the sample need not have: they hold no number and draw nothing, or another of them calls them.
NOT_SAMPLED = {
    *("HeadCapture", "ScoreHistogram", "LogitTerms"),  # what the functions of the sample return
    *("decompose_scores", "head_summary", "masked_future", "model_name"),  # of score_terms, the explorers, the plots
    *("house_style", "show_figure"),  # tested below
    "cut_texts",  # of words
}


def test_the_sample_has_every_public_function_every_plot_and_every_explorer():
    called = {*re.findall(r"\b(\w+)\(", Path(sample.__file__).read_text(encoding="utf-8"))}
    assert public().keys() - called - sample.explorers().keys() == NOT_SAMPLED


def assert_same(found, expected):
    """Not one digit and not one pixel differs."""
    assert found.keys() <= expected.keys() and found
    different = [name for name in found if not np.array_equal(found[name], expected[name], equal_nan=True)]
    assert not different


def assert_same_stills(found, expected):
    assert_same({name: still[0] for name, still in found.items()}, {name: still[0] for name, still in expected.items()})
    assert {name: still[1] for name, still in found.items()} == {name: expected[name][1] for name in found}


def test_no_setting_of_torch_or_numpy_changes_a_number(numbers, mini, ids, settings):
    assert_same(sample.numbers(mini[0], ids), numbers)


def test_no_setting_of_torch_or_numpy_changes_a_picture(pictures, stills, mini, calls, settings):
    assert_same(sample.pictures(calls, saved=False), pictures)
    assert_same_stills(sample.stills(mini), stills)


def test_no_setting_of_torch_or_numpy_changes_a_word(words, mini, settings):
    assert sample.words(mini) == words
    assert sample.verdicts("13") == {name: line for name, line in told().items() if name[0] in "13"}


def told():
    """What the checks have to say."""
    found = {}
    for number, exercise in EXERCISES.items():
        found[f"{number} {exercise.answer.__name__}"] = "right"
        found |= {f"{number} {mistake.__name__}": mistake.__doc__ for mistake in exercise.mistakes}
    return found


@pytest.mark.parametrize(
    "setting", [("set_default_dtype", torch.float64, torch.float32), ("set_default_device", "meta", None)]
)
def test_models_are_loaded_the_same_whatever_the_default_dtype_and_device(numbers, setting):
    with torch_is(*setting)(), seeds():
        found = sample.loaded()
    assert_same(found, numbers)


def test_another_number_of_threads_changes_no_more_than_the_order_of_sums_does(mini, ids, numbers):
    threads = torch.get_num_threads()
    with changed(torch.set_num_threads, lambda: torch.set_num_threads(threads), 3 if threads == 1 else 1):
        found = sample.numbers(mini[0], ids)
    for name, values in found.items():
        np.testing.assert_allclose(values, numbers[name], rtol=1e-3, atol=1e-3, err_msg=name)


@contextlib.contextmanager
def rounding_of_a_backend():
    """Products rounded as torch 2.9 and later are told to, for one kind of device."""
    if not hasattr(torch.backends, "fp32_precision"):
        pytest.skip("this torch has no such setting")
    matmul = torch.backends.mkldnn.matmul
    with changed(lambda: setattr(matmul, "fp32_precision", "bf16"), lambda: setattr(matmul, "fp32_precision", "none")):
        yield


ROUNDING = {
    "autocast": (lambda: torch.autocast("cpu", dtype=torch.bfloat16), "torch.autocast: expected off for cpu"),
    "matmul precision": (
        torch_is("set_float32_matmul_precision", "medium", "highest"),
        r"torch.get_float32_matmul_precision\(\): expected 'highest'",
    ),
    "a backend's precision": (rounding_of_a_backend, "torch.backends.mkldnn.matmul.fp32_precision: expected 'ieee'"),
}


@pytest.mark.parametrize("setting", ROUNDING)
def test_what_rounds_products_is_refused_in_one_line(mini, ids, setting):
    around, line = ROUNDING[setting]
    q = torch.ones(2, 3)
    calls = lambda: raw_scores(q, q), lambda: softmax(q), lambda: capture_heads(mini[0], ids), lambda: check("1.1", len)
    for call in calls:
        with around(), pytest.raises(ValueError, match=f"^{line}") as caught:
            call()
        assert "\n" not in str(caught.value)


# Models in other dtypes


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-5), (torch.float16, 0.02), (torch.bfloat16, 0.1)], ids=str
)
def test_a_model_in_another_dtype_gives_the_numbers_that_its_digits_allow(mini, ids, numbers, dtype, tolerance):
    found = sample.numbers(copy.deepcopy(mini[0]).to(dtype), ids)
    for name, values in found.items():
        expected = np.where(np.isfinite(numbers[name]), numbers[name], 0.0)
        assert np.array_equal(np.isfinite(values), np.isfinite(numbers[name])), name
        assert np.abs(np.where(np.isfinite(values), values, 0.0) - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_an_explorer_refuses_a_model_in_half_precision(mini, dtype):
    model = copy.deepcopy(mini[0]).to(dtype)
    line = rf"^model: expected a model in torch.float32 \(model.float\(\) makes it one\), got one in {dtype}$"
    with pytest.raises(ValueError, match=line):
        text_reader(model, mini[1])
    for made in sample.explorers().values():
        with pytest.raises(ValueError, match=line):
            made(model, mini[1], sample.TEXT)


# matplotlib and seaborn


def another(name, value):
    """Some other value that matplotlib takes for an rcParam, or None where there is none to try."""
    tries = [not value] if isinstance(value, bool) else []
    if isinstance(value, int | float) and not isinstance(value, bool):
        tries = [1.7 * value + 0.3, 2 * value + 1, 0.5]
    tries += [
        "magenta",
        "lower",
        "bilinear",
        "x-large",
        "bold",
        "right",
        "data",
        "equal",
        "top",
        "--",
        "x",
        "x",
        "both",
    ]
    tries += ["round", "out", 1.5, 3, [2.0, 1.0], ["magenta"], (0.2, 0.2), "auto", "tight", "stix", "nearest", "sRGB"]
    for new in tries:
        try:
            if mpl.RcParams({name: new})[name] != value:
                return new
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return None


def everything_changed():
    """A style in which every rcParam that could touch a drawing differs from matplotlib's."""
    kept = ("backend", "interactive", "timezone", "toolbar", "date.", "webagg", "tk.", "savefig.directory", "animation")
    kept += (
        "text.hinting_factor",
        "docstring",
        "figure.max_open",
        "figure.raise",
        "figure.hooks",
        "keymap",
        "savefig.format",
        "macosx",
    )
    style = {
        name: another(name, value)
        for name, value in mpl.rcParamsDefault.items()
        if not name.startswith((*kept, "font.", "svg.", "pdf.", "ps.", "pgf."))
    }
    style |= {
        "axes.prop_cycle": plt.cycler(color=["magenta", "lime"], linestyle=["--", ":"]),
        "axes.formatter.limits": [0, 1],
        "image.cmap": "jet",
        "image.interpolation": "bilinear",
        "image.origin": "lower",
        "lines.marker": "x",
        "path.sketch": (9, 90, 9),
        "text.usetex": True,
        "font.family": ["STIXGeneral"],
        "font.size": 19,
        "savefig.bbox": "tight",
        "legend.framealpha": 0.3,
        "grid.alpha": 0.3,
    }
    return {name: value for name, value in style.items() if value is not None and not is_deprecated(name, value)}


def is_deprecated(name, value):
    with mpl.rc_context(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mpl.rcParams[name] = value
    return bool(caught)


EVERYTHING = everything_changed()


def test_nearly_every_rcparam_is_changed():
    rest = {name for name in mpl.rcParamsDefault if name.split(".")[0] in ("axes", "lines", "image", "patch", "figure")}
    assert len(rest) > 70 and len(rest - EVERYTHING.keys()) < 16 and len(EVERYTHING) > 220


def test_no_rcparam_changes_a_picture(calls, pictures):
    with plt.style.context(EVERYTHING):
        assert_same(sample.pictures(calls), pictures)


def test_no_rcparam_changes_the_picture_of_an_explorer(mini, stills):
    with plt.style.context(EVERYTHING):
        assert_same_stills(sample.stills(mini), stills)


def test_a_figure_drawn_under_settings_that_came_later_is_the_same(calls, pictures):
    for name in ("pattern", "by layer"):
        figure = calls[name](None).figure
        with plt.style.context(EVERYTHING):
            assert_same({name: sample.pixels(figure), f"{name}, saved": sample.saved_pixels(figure)}, pictures)


def test_what_a_notebook_shows_of_a_figure_is_the_same(calls):
    def shown():
        return {
            name: np.frombuffer(print_figure(calls[name](None).figure), np.uint8) for name in ("pattern", "by layer")
        }

    expected = shown()
    with plt.style.context(EVERYTHING):
        assert_same(shown(), expected)


@pytest.mark.parametrize("style", [*plt.style.available, "theme whitegrid", "theme dark"])
def test_no_style_and_no_theme_changes_a_picture(calls, pictures, style):
    with mpl.rc_context():
        if style.startswith("theme"):
            sns.set_theme(context="poster", style=style.split()[1], palette="husl", font_scale=2, font="serif")
        else:
            plt.style.use(style)
        found = {name: sample.pixels(calls[name](None).figure) for name in ("masked", "by layer")}
    assert_same(found, pictures)


def test_only_a_letter_that_the_font_lacks_comes_from_the_readers_fonts():
    with plt.rc_context({"font.family": ["STIXGeneral"]}), house_style():
        assert plt.rcParams["font.family"] == ["DejaVu Sans", "STIXGeneral"]
    with plt.rc_context({"font.family": "sans-serif", "font.sans-serif": ["STIXGeneral"]}), house_style():
        assert plt.rcParams["font.sans-serif"] == ["STIXGeneral"]


def drawn(ax):
    """What is drawn of the data on axes, artist by artist: places, colours, widths and markers."""
    for image in ax.images:
        colours = image.to_rgba(image.get_array()).tolist()
        yield "image", colours, image.get_clim(), image.origin, image.get_interpolation(), image.get_extent()
    for line in ax.lines:
        look = to_hex(line.get_color()), line.get_linewidth(), line.get_linestyle(), line.get_marker()
        yield (
            "line",
            line.get_xydata().tolist(),
            *look,
            line.get_markersize(),
            line.get_alpha(),
            line.get_path_effects(),
        )
    for some in ax.collections:
        look = some.get_facecolor().tolist(), some.get_edgecolor().tolist(), list(some.get_linewidths())
        paths = [path.vertices.tolist() for path in some.get_paths()]
        yield "collection", *look, paths, some.get_offsets().tolist(), some.get_hatch(), some.get_sketch_params()
    for patch in ax.patches:
        look = patch.get_facecolor(), patch.get_edgecolor(), patch.get_linewidth(), patch.get_linestyle()
        yield "patch", *look, patch.get_path().vertices.tolist(), patch.get_hatch(), patch.get_alpha()
    for text in ax.texts:
        yield "text", text.get_text(), text.get_position(), text.get_usetex(), text.get_parse_math()


def test_on_axes_of_the_readers_own_the_data_look_the_same_and_the_style_stays_theirs(calls):
    groups = ("image", "lines", "markers", "patch", "scatter", "hatch", "path", "pcolor", "pcolormesh", "axes", "text")
    theirs = {name: value for name, value in EVERYTHING.items() if name.split(".")[0] in groups}
    for name in sorted(calls.keys() - {"layers", "head clusters"}):  # which make their own
        plain = list(drawn(calls[name](sample.own_axes())))
        with plt.style.context([theirs, {"text.color": "lime", "axes.labelcolor": "lime"}]):
            ax = sample.own_axes()
            assert calls[name](ax) is ax and not isinstance(ax.figure, HouseFigure)
            assert list(drawn(ax)) == plain, name
            assert ax.xaxis.label.get_color() == "lime"
        ground = ax.get_facecolor() if name not in ("mask", "scores", "masked", "pattern") else None
        assert ground is None or to_hex(ground) == to_hex(EVERYTHING["axes.facecolor"])


def test_what_is_written_on_dark_axes_can_be_read(calls):
    with plt.style.context("dark_background"):
        for name in ("by layer", "heads", "bands"):
            ax = calls[name](sample.own_axes())
            texts = [*ax.texts, *(ax.get_legend().get_texts() if ax.get_legend() else [])]
            assert texts and all(to_hex(text.get_color()) == "#ffffff" for text in texts), name


def test_a_figure_that_a_reader_styles_stays_styled(mini):
    """What a reader says of one figure, after it was made, is theirs."""
    ax = plot_pattern(softmax(torch.zeros(2, 2).masked_fill(~causal_mask(2), -torch.inf)), "ab")
    ax.set_title("mine", color="magenta")
    assert (sample.pixels(ax.figure)[..., :3] == (255, 0, 255)).all(-1).any()


# The process: console, locale, time zone, optimisation, warnings, hash seed, Hugging Face's variables


@pytest.fixture(scope="module")
def locales(tmp_path_factory):
    """A folder with a locale whose decimal sign is a comma, where this machine can make one."""
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef"):
        command = ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", str(folder / "de_DE")]
        subprocess.run(command, capture_output=True, timeout=60)
    return folder


PROCESS = {
    "LC_ALL": "de_DE",
    "PYTHONIOENCODING": "cp1252",
    "PYTHONUTF8": "0",
    "TZ": "Asia/Kathmandu",
    "PYTHONOPTIMIZE": "1",
    "PYTHONHASHSEED": "7",
    "PYTHONWARNINGS": "error",
    "TRANSFORMERS_VERBOSITY": "debug",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "MPLBACKEND": "svg",
    "COLUMNS": "20",
}
# What a reader's first cell may set, before any of headlab is there.
FIRST_CELL = """
import sys, numpy, torch
torch.set_default_dtype(torch.float64), torch.set_default_device("meta"), numpy.seterr(all="raise")
sys.path.insert(0, sys.argv[1])
import settings_sample
settings_sample.main(sys.argv[2])
"""


def in_process(command, **settings):
    """A finished process of Python with these environment variables and none that would undo them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    command = [sys.executable, *command]
    return subprocess.run(command, env=kept | settings, cwd=ROOT, capture_output=True, timeout=280)


def test_a_process_with_other_settings_computes_draws_and_says_the_same(
    tmp_path, locales, numbers, pictures, stills, words
):
    own_style = tmp_path / "matplotlibrc"
    own_style.write_text("figure.dpi: 37\naxes.facecolor: black\nlines.linewidth: 9\nfont.size: 19\n")
    settings = PROCESS | {"PYTHONPATH": str(ROOT), "LOCPATH": str(locales), "MATPLOTLIBRC": str(own_style)}
    settings["OMP_NUM_THREADS"] = str(torch.get_num_threads())  # on which the last bits of sums depend
    done = in_process(["-c", FIRST_CELL, ROOT / "tests", tmp_path / "found.npz"], **settings)
    assert done.returncode == 0, done.stderr.decode("latin-1")[-2000:]
    with np.load(tmp_path / "found.npz") as found:
        said = {name.removesuffix(", words"): bytes(found[name]).decode() for name in found if name.endswith(", words")}
        still = {name: (found[name], said.pop(name)) for name in stills}
        rest = {name: found[name] for name in found if name not in still and not name.endswith(", words")}
        del rest["head clusters"]  # which seaborn lays out with the backend's own measures of text
        assert_same(rest, numbers | pictures)
    assert_same_stills(still, stills)
    assert said == words | told()
    console = done.stdout.decode("cp1252")
    assert "·small" in console and r"\u23ce" in console


@pytest.mark.parametrize(("encoding", "said"), [("cp1252", r"·a\u23ce −\U0001f642"), ("ascii", r"\xb7a\u23ce")])
def test_a_console_shows_the_number_of_a_letter_that_it_lacks(encoding, said):
    code = "import headlab; print('\\xb7a\\u23ce \\u2212\\U0001f642')"
    done = in_process(["-c", code], PYTHONIOENCODING=encoding, PYTHONUTF8="0", LC_ALL="C", PYTHONCOERCECLOCALE="0")
    assert done.stdout.decode(encoding).startswith(said.replace("−", r"\u2212")), done.stderr


def test_python_without_docstrings_is_refused_in_one_line():
    line = in_process(["-OO", "-c", "import headlab"]).stderr.decode().splitlines()[-1]
    assert line.startswith("ImportError: PYTHONOPTIMIZE: expected 0 or 1, since transformers reads docstrings, got 2")
