"""A sample of what headlab computes, draws and says, to be compared under the reader's settings."""

import contextlib
import io
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from headlab import contrast, density, interventions, plots, profiles, scores, shift
from headlab.capture import capture_heads, count_scores, score_divisor, score_terms
from headlab.diagram import data_flow
from headlab.exercises import EXERCISES, check
from headlab.exercises.lesson6 import made_up_heads
from headlab.exercises.lesson7 import ridgeline_puzzle
from headlab.explorers import EXPLORERS, HeadExplorer, recorded_gpt2
from headlab.masking import causal_mask, mask_scores, softmax
from headlab.models import load_model, token_strings
from headlab.predict import predict, predict_number
from headlab.says import says, who
from headlab.shading import shade_text
from headlab.splitting import merge_heads, split_heads, split_qkv
from headlab.streaming import profile_texts

TEXT = "The old man looked at the little white house by the sea."
OTHER = "A small boat came home,\nand nobody saw it, for the night was dark."


def ids_of(mini, text=TEXT):
    """The token ids of a text (1, T), on the CPU whatever the default device is."""
    return torch.tensor([mini[1](text).input_ids], device="cpu")


def loaded():
    """Some weights of the control, which is drawn anew, and of mini, as load_model gives them, and counts of a file."""
    control, mini = (load_model(name)[0] for name in ("random", "mini"))
    drawn = [control.transformer.h[3].attn.c_attn.weight[:9, :9], control.lm_head.weight[::999, 3]]
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "text.txt")
        text.write_text(OTHER, encoding="utf-8")
        counted = profile_texts("mini", [text], Path(folder, "counts"))
    found = {"control": drawn, "loaded": mini.lm_head.weight[::99, ::99], "counted": counted.quantile([0.1, 0.5])}
    return {name: _flat(value) for name, value in found.items()}


def numbers(model, ids):
    """What headlab computes of one text, by name: arrays."""
    capture = capture_heads(model, ids, layers=(0, 2))
    raw, visible = capture.scores(2), causal_mask(ids.shape[1])
    pattern = attention = capture.pattern(2)
    sample = raw[:, visible].detach().double().cpu().numpy()
    one, grid = sample[3], np.linspace(-60.0, 60.0, 33)
    q, k, v = split_qkv(merge_heads(torch.cat([capture.q[:1], capture.k[:1], capture.v[:1]], 1)))
    outputs = scores.head_outputs(pattern, capture.v[1])
    projection = model.transformer.h[2].attn.c_proj
    counted = count_scores(model, ids)
    first, last = counted.density(0, 3, bandwidth=3.0), counted.density(2, 5)
    terms = score_terms(model, ids)[1]
    found = {
        "mask": visible,
        "masked": mask_scores(raw),
        "softmax": softmax(mask_scores(raw / 3)),
        "q": split_heads(q, 12),
        "k": split_heads(k, 12),
        "v": split_heads(v, 12),
        "raw": raw,
        "product": scores.raw_scores(capture.q[1], capture.k[1]),
        "pattern": attention,
        "attention": scores.attention_pattern(raw, 64),
        "divisor": [score_divisor(model.config, 2)],
        "outputs": outputs,
        "projected": scores.project_heads(outputs, projection.weight, projection.bias),
        "shares": torch.stack([scores.mean_share(pattern, p) for p in scores.token_pairs(ids).values() if p.any()]),
        "distances": scores.pattern_distances(pattern),
        "stats": shift.shift_stats(raw),
        "described": shift.describe_scores(one),
        "table": shift.describe_scores(pd.DataFrame(sample[:2])),
        "causal": shift.causal_scores(raw),
        "square": shift.causal_square(raw),
        "negative": shift.count_negative(raw),
        "interval": shift.bootstrap_fraction(*shift.count_negative(raw)),
        "ratio": shift.bootstrap_ratio(sample[:, :9], np.arange(1.0, 10.0)),
        "reference": [shift.gpt2_reference()["fraction_negative"]],
        "recorded": [HeadExplorer(*recorded_gpt2()).compute()[0]["pattern"]],
        "contrast": contrast.row_contrast(raw),
        "tokens": contrast.effective_tokens(pattern),
        "centred": contrast.centre_rows(raw),
        "below": [contrast.below_first_key(raw), contrast.below_row_mean(raw)],
        "terms": terms,
        "kde": density.kde(pd.Series(one, dtype="Float64"), grid),
        "bandwidth": [density.choose_bandwidth(one, "cross-validation")],
        "fast": density.fast_kde(one),
        "bounded": density.fast_kde(softmax(mask_scores(raw))[3][visible], bounds=(0.0, 1.0)),
        "peaks": density.peaks(*first),
        "validation": density.cross_validation_scores(one, [2.0, 9.0]),
        "solved": density.choose_bandwidth(one, "sheather-jones"),
        "modes": density.mode_tree(one, [2.0, 9.0]),
        "ridges": list(made_up_heads().values()),
        "counts": [counted.counts.sum(-1), counted.fraction_negative(), counted.quantile([0.1, 0.5])[0]],
        "density": [*first, *last],
        "profile": profiles.laminar_profile(capture),
        "head profile": profiles.head_profile(raw, pattern),
        "no first key": profiles.without_first_key(pattern),
        "queries": profiles.query_profile(pattern),
        "layers": profiles.layer_densities([sample.ravel(), sample[:3].ravel()], n_grid=2048),
        "above": profiles.share_above(pattern, [0.1, 0.5]),
        "large": profiles.large_weights(pattern),
        "mean": profiles.bootstrap_mean(sample[:, :5]),
        "groups": profiles.compare_groups([sample[:4, :3], sample[4:9, :3]], n_resamples=99),
        "puzzle": ridgeline_puzzle(),
        "clusters": profiles.cluster_means(sample[:, :5], ["a", "b"] * 6),
        "variance": profiles.variance_shares(sample[:12].reshape(2, 6, -1)[..., :4].transpose(2, 0, 1)),
        "loss": interventions.loss(model, ids),
        "raised": interventions.loss_with_scores(model, ids, lambda layer, raw: raw + 50),
        "biases": interventions.loss_with_biases(model, ids, lambda layer, bias: bias / 2),
        "without": interventions.loss_without_heads(model, ids, [(0, 5)]),
        "without each": interventions.loss_without_each_head(model, ids[:, :3]),
        "terms of a logit": interventions.logit_terms(model, ids, 3, 5),
        "logit": interventions.logit_attribution(model, ids, 3, 5),
    }
    return {name: _flat(value) for name, value in found.items()}


def _flat(value):
    """Whatever a function returned as one row of numbers."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().double().numpy().ravel()
    if isinstance(value, tuple | list):
        return np.concatenate([_flat(part) for part in value])
    return np.asarray(value, dtype=float).ravel()


def plot_calls(mini):
    """Every plot with something to draw, by name: functions of the axes, or of None for a figure of its own."""
    model, ids = mini[0], ids_of(mini)[:, :7]
    capture, labels = capture_heads(model, ids), token_strings(mini[1], ids)
    raw, visible, pattern = capture.scores(1, 3), causal_mask(7), capture.pattern(1, 3)
    gpt2, grid = shift.gpt2_reference(), np.linspace(-4.0, 4.0, 80)
    bell, heads = np.exp(-(grid**2)), gpt2["fraction_negative"][:3, :4]
    made_up = np.random.default_rng(0).normal(size=(4, 3, 5))
    counts = count_scores(model, ids, layers=(0, 1))

    def samples(ax):
        ax = plots.plot_by_layer(made_up, ax, ylabel="median", label="real GPT-2")
        return plots.plot_by_layer(made_up[0] - 3, ax, label="another")

    def numbered(ax):
        return plots.write_numbers(raw, plots.plot_scores(raw, labels, ax), digits=1)

    return {
        "mask": lambda ax: plots.plot_mask(visible, labels, ax),
        "scores": numbered,
        "masked": lambda ax: plots.plot_scores(mask_scores(raw), labels, ax),
        "pattern": lambda ax: plots.plot_pattern(pattern, labels, ax),
        "grid": lambda ax: plots.plot_head_grid(heads, ax, "fraction", meaning="fraction"),
        "fused": lambda ax: plots.plot_fused(model.transformer.h[0].attn.c_attn.weight[:20], 12, 3, ax),
        "bands": lambda ax: plots.plot_bands(12, 3, 1, ax),
        "tokens": lambda ax: plots.plot_tokens(labels, made_up[0].ravel()[:7], ax, "change"),
        "vectors": lambda ax: plots.plot_vectors(made_up[0, :, :2], "abc", ax),
        "distances": lambda ax: plots.plot_distances(scores.pattern_distances(capture.pattern(1)), ax),
        "histogram": lambda ax: plots.plot_score_histogram([1, 5, 2], [-9.0, -1.0, 2.5, 4.0], ax, label="sample"),
        "terms": lambda ax: plots.plot_terms(-made_up[0, 0, :4] * np.ones((3, 1)), contrast.ScoreTerms._fields, ax),
        "strips": lambda ax: plots.plot_strips([made_up[0], made_up[1]], "ab", ax, jitter=0.3),
        "density": lambda ax: plots.plot_density(grid, bell, ax, label="bell"),
        "ridgelines": lambda ax: plots.plot_ridgelines([(grid, bell), (grid, bell**2)], "ab", ax),
        "mode tree": lambda ax: plots.plot_mode_tree([2.0, 9.0], [grid[:2], grid[1:2]], ax, {"a rule": 3.0}),
        "layers": lambda ax: plots.plot_layers(counts, bandwidth=9.0)[0],
        "layer densities": lambda ax: plots.plot_layer_densities(grid, np.stack([bell, bell**2]), ax),
        "head densities": lambda ax: plots.plot_head_densities(
            grid, np.stack([bell] * 12).reshape(3, 4, -1), heads, ax, meaning="fraction"
        ),
        "by layer": samples,
        "head clusters": lambda ax: plots.plot_head_clusters(
            np.stack([gpt2["median"], gpt2["effective_tokens"]]), "ab"
        ),
        "heads": lambda ax: plots.plot_heads(gpt2["median"], gpt2["effective_tokens"], ax, named=[(0, 1), (11, 3)]),
    }


def pixels(figure):
    """A figure as drawn on the screen."""
    canvas = figure.canvas if hasattr(figure.canvas, "buffer_rgba") else FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


def saved_pixels(figure):
    """A figure as `savefig` writes it."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return plt.imread(io.BytesIO(file.getvalue()))


def own_axes():
    """Axes of a figure of the reader's."""
    return Figure(figsize=(6, 4)).subplots()


def pictures(calls, saved=True):
    """Plots on figures of headlab's own, by name: as drawn and, if asked for, as saved."""
    found = {}
    for name, call in calls.items():
        figure = call(None).figure
        found[name] = pixels(figure)
        if saved:
            found[f"{name}, saved"] = saved_pixels(figure)
        plt.close(figure)
    return found


def verdicts(lessons="12345678"):
    """What the checks say to the right answers and to the planted mistakes, {exercise and function: words}."""
    exercises = {number: exercise for number, exercise in EXERCISES.items() if number[0] in lessons}
    handed_in = [(number, function) for number, e in exercises.items() for function in (e.answer, *e.mistakes)]
    return {f"{number} {function.__name__}": check(number, function).message for number, function in handed_in}


def words(mini):
    """What headlab says and shows as HTML, {what: words}."""
    said, ids = io.StringIO(), ids_of(mini)
    labels = token_strings(mini[1], ids)
    with contextlib.redirect_stdout(io.StringIO()):  # outside a notebook `display` prints an address
        choice, number = predict("Which?", "the −1st", "another"), predict_number("How many?", "tokens")
    with contextlib.redirect_stdout(said):
        says((torch.tensor(3, device="cpu") > 2, f"In the {who(mini[0])} “{plots.as_label(labels[1])}” comes second."))
        choice.reveal((True, "another", "it is"), overlooked={"the −1st": "⏎"})
        number.reveal(np.float32(1e6), "they were counted", {1 / 3: "a third"})
    shaded, drawing = (
        shade_text(capture_heads(mini[0], ids).pattern(1, 3), labels, 5),
        data_flow("heads", model=mini[0]),
    )
    pages = {"shaded": shaded.html, "drawing": drawing.svg, "choice": choice.form, "number": number.form}
    return pages | {"shaded, in words": shaded.text, "drawing, in words": drawing.text, "said": said.getvalue()}


def explorers():
    """The explorers' classes by name."""
    return {made.__name__: made for made in EXPLORERS}


def stills(mini, names=None):
    """The still picture of every explorer, and what it says and shows in a saved page, or those of these names."""
    found = {}
    for name, made in explorers().items():
        if names is None or name in names:
            said, explorer = io.StringIO(), made(*mini, OTHER)
            with contextlib.redirect_stdout(said):
                still = explorer.still()
            page = explorer.to_html()
            found[name] = plt.imread(io.BytesIO(still.data)), said.getvalue() + page
    return found


def main(file):
    """Everything, saved in a file, and some of the words on whatever console this is."""
    mini = load_model("mini")
    found = numbers(mini[0], ids_of(mini)) | loaded() | pictures(plot_calls(mini), saved=False)
    said = words(mini) | verdicts()
    for name, (picture, of_explorer) in stills(mini).items():
        found[name], said[name] = picture, of_explorer
        print(of_explorer[:500])
    print("".join(token_strings(mini[1], mini[1](OTHER).input_ids)), "“⏎ · −”")
    found |= {f"{name}, words": np.frombuffer(text.encode(), np.uint8) for name, text in said.items()}
    np.savez_compressed(file, **found)
