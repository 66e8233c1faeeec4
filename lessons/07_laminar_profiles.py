# %% [markdown]
# # 7 · Laminar profiles
#
# *From the first layer to the last: how do scores and attention change, and which of these changes would also appear in
# other texts?*
#
# **You will be able to**
# - read a heatmap and ridgelines of the scores of all layers;
# - find what an average over heads hides;
# - say what an interval over a few texts is worth, and test a difference in many layers at once;
# - say where the large weights lie, and whether a claim about layers survives without the first token;
# - split a statistic's variance into layer, head, text and rest.
#
# **You need** lessons 1 to 6: patterns, heads, the shift, the attention sink, densities.
#
# **Time** about {{minutes}} minutes, exercises included. The cells themselves run in {{seconds}}.
#
# **Three questions about earlier lessons**
#
# <details><summary>Lesson 1: what changes in a text's patterns when another sentence is added at its end?</summary>
#
# Nothing for the tokens that were there: the mask hides the future. There are only more rows.
# </details>
#
# <details><summary>Lesson 5: why is the share of the first key a fact about the model, and the sign of a score not?</summary>
#
# A vector added to the key bias moves all scores of a row together. It can change every sign, but no share.
# </details>
#
# <details><summary>Lesson 6: a density has two hills. What do you check before you call that a finding?</summary>
#
# Whether both are still there with other reasonable bandwidths, and in other texts.
# </details>
#
# > **The report** names the *laminar profile*, how the distribution changes by layer, as the next step.
#
# *Laminar* means arranged in layers, like rock or the brain's cortex. Every figure says whose data it shows: the
# **loaded model's**, **real GPT-2's** (recorded: five prompts of 6 or 7 tokens) or the untrained **random control's**.

# %%
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown
from scipy.cluster.hierarchy import fcluster, linkage

from headlab.capture import capture_heads
from headlab.diagram import data_flow
from headlab.exercises import check
from headlab.exercises.lesson7 import ridgeline_puzzle
from headlab.explorers import ProfileExplorer, recorded_gpt2
from headlab.masking import causal_mask
from headlab.models import load_model
from headlab.plots import (
    plot_by_layer,
    plot_head_clusters,
    plot_head_densities,
    plot_layer_densities,
    plot_ridgelines,
    show_figure,
)
from headlab.predict import predict
from headlab.profiles import (
    LargeWeights,
    Profile,
    bootstrap_mean,
    cluster_means,
    compare_groups,
    head_profile,
    laminar_profile,
    large_weights,
    layer_densities,
    share_above,
    variance_shares,
)
from headlab.says import says, who
from headlab.shift import causal_scores, gpt2_reference
from headlab.texts import TEXTS

model, tokenizer = load_model()
control, control_tokenizer = load_model("random")
gpt2 = gpt2_reference()
n_layers, n_heads = model.config.n_layer, model.config.n_head
n_tokens = 64  # all texts are cut to one length: longer texts have queries with more keys
data_flow("scores", "pattern", model=model)

# %% [markdown]
# ## 1. Seven numbers for each head
#
# headlab ships eighteen short texts of six kinds, three of each. `laminar_profile` measures, for each head on one text:
#
# | name | what | over |
# | --- | --- | --- |
# | `median` | the middle raw score, in units of q·k | all causal pairs |
# | `fraction_negative` | share of the raw scores below zero | all causal pairs |
# | `spread` | standard deviation of the scores of one row | queries from the third on |
# | `effective_tokens` | how many tokens a query attends to (lesson 5) | queries from the third on |
# | `first_share`, `previous_share` | attention on the first and on the previous token | queries from the third on |
# | `mean_step_back` | how many tokens back the attention lies | queries from the third on |
#
# The first two depend on the gauge (lesson 5); the others do not.


# %%
kinds = [kind for kind in TEXTS for _ in TEXTS[kind]]
texts = [text for several in TEXTS.values() for text in several]


def captures_of(model, tokenizer):
    """The heads of a model on the first n_tokens tokens of every text."""
    return [capture_heads(model, tokenizer(text, return_tensors="pt").input_ids[:, :n_tokens]) for text in texts]


def stacked(profiles):
    """Profiles of several texts as one, each statistic (text, layer, head)."""
    return Profile(*np.stack(profiles, axis=1))


captures, control_captures = captures_of(model, tokenizer), captures_of(control, control_tokenizer)
loaded = stacked([laminar_profile(capture) for capture in captures])
untrained = stacked([laminar_profile(capture) for capture in control_captures])
print("each statistic:", loaded.median.shape, "(text, layer, head)")

# %%
guess = predict(
    "Where do the heads of one layer differ less in how many tokens they attend to?",
    "in the loaded model: they were trained together",
    "in the untrained control",
    "there is no difference",
)

# %%
ax = plot_by_layer(loaded.effective_tokens[0], ylabel="effective number of tokens", label=who(model))
plot_by_layer(untrained.effective_tokens[0], ax, label=who(control))
ax.set_title(f"One text of {n_tokens} tokens: each point is one head, the line is their median")
show_figure("Effective tokens by layer, a point for each head, of the loaded model and of the control.")
# %%
quarters = [0.25, 0.75]
quartiles = (np.quantile(p.effective_tokens[0], quarters, axis=1) for p in (loaded, untrained))
apart, chance = ((high - low).mean() for low, high in quartiles)
told = f"on average over the layers, the quartiles lie {apart:.1f} tokens apart in the {who(model)} and {chance:.1f} in the control."
guess.reveal(
    (apart > 2 * chance, "in the untrained control", told),
    (n_heads == 1, None, f"a layer of the {who(model)} has a single head, so there is nothing to compare."),
    (apart < 0.5 * chance, "in the loaded model: they were trained together", told),
    (True, "there is no difference", told),
    overlooked={
        "in the loaded model: they were trained together": "training lets heads differ; before it they all attend almost evenly.",
        "in the untrained control": "untrained heads differ little, but here the loaded model's differ no more.",
        "there is no difference": "compare the scatter of the points within each layer.",
    },
)

# %% [markdown]
# The line is a **median** over heads. One odd head cannot move it. The points stay in the figure, because a layer is not one
# number.
#
# ## 2. The whole distribution in one figure
#
# A median says where scores lie, not how they spread. `layer_densities` puts the densities of all layers (lesson 6) on
# **one grid**, so that they can be compared.


# %%
def draw_layers(grid, densities, limits, title, meaning):
    """All layers twice: density as colour, and as height."""
    fig, axes = plt.subplots(1, 2, figsize=(14, 2 + 0.28 * len(densities)), layout="constrained")
    plot_layer_densities(grid, densities, axes[0])
    names = [f"layer {n}" for n in range(len(densities))]
    plot_ridgelines([(grid, density) for density in densities], names, axes[1], meaning=meaning)
    for ax in axes:
        ax.set(xlim=limits)
    fig.suptitle(title)
    show_figure(f"{title}: heat map on the left, ridgelines on the right.")


scores = [causal_scores(captures[0].scores(layer)) for layer in captures[0].layers]  # each (head, score)
limits = np.quantile(scores, [0.002, 0.998])
draw_layers(*layer_densities(scores), limits, f"{who(model)}, one text: causal scores of all heads", "loaded model")

# %%
centres = (gpt2["edges"][1:] + gpt2["edges"][:-1]) / 2  # GPT-2's scores were counted in bins one unit wide
grid, densities = layer_densities([np.repeat(centres, counts) for counts in gpt2["histogram"].sum(1)])
draw_layers(grid, densities, (-90, 60), "Real GPT-2, five prompts: causal scores of 12 heads", "real GPT-2")

# %% [markdown]
# **How to read them.** In the heat map a dark cell is a common score. In the ridgelines every curve has the same area: a wide
# layer is low, a narrow one tall. A second hill or a long tail shows only as a shape.
#
# *Real GPT-2, recorded, 6 or 7 tokens:* the scores fall until layer 3, come back, with one step down on the way, and
# cross zero in the last layer. Their position depends on the gauge; their shape within a row does not. Several layers
# show a second hill on the right; lesson 6 asks which hills survive another bandwidth.
#
# The curves can be compared because they share one grid and one scale. If each panel had its own, every layer would
# look alike: position and width, which a profile should show, would be gone.
#
# ## 3. What a layer's average hides
#
# One density for a layer mixes its heads. Here is each head of GPT-2 alone: the curve is the density of its scores,
# scaled to its own peak, and the colour is its share on the first token.

# %%
grid, curves = layer_densities([np.repeat(centres, counts) for counts in gpt2["histogram"].reshape(144, -1)])
inside = (grid >= -90) & (grid <= 60)
curves = curves[:, inside].reshape(12, 12, -1)  # (layer, head, point)
plot_head_densities(grid[inside], curves, gpt2["first_share"], label="share on the first token", meaning="share")
plt.gca().set_title("Real GPT-2, five prompts: 112 causal scores in each head")
show_figure(
    "144 densities. Colours darken downwards; in every layer some heads differ from the others in position and width."
)

# %%
guess = predict(
    "We leave out the oddest of the 12 heads in GPT-2's layer 0. What happens to the mean and the median of their "
    "medians?",
    "both hardly move: one head in twelve",
    "the mean moves far, the median hardly",
    "both move far",
)

# %%
heads = np.sort(gpt2["median"][0])
left = np.delete(heads, np.abs(heads - heads.mean()).argmax())
middle, middle_left = np.median(heads), np.median(left)
moved, median_moved = abs(left.mean() - heads.mean()), abs(middle_left - middle)
print("Medians of the heads in real GPT-2's first layer:", " ".join(f"{value:.0f}" for value in heads), sep="\n")
guess.reveal(
    (
        moved > 3 and median_moved < 0.5 * moved,
        "the mean moves far, the median hardly",
        f"from {heads.mean():.1f} to {left.mean():.1f}, and from {middle:.1f} to {middle_left:.1f}.",
    ),
    (moved <= 3, "both hardly move: one head in twelve", f"the mean moves by {moved:.1f}."),
    (True, "both move far", f"by {moved:.1f} and {median_moved:.1f}."),
    overlooked={
        "both hardly move: one head in twelve": "a mean follows one head as far as that head goes.",
        "the mean moves far, the median hardly": "look at the printed medians of the heads.",
        "both move far": "a median only counts how many heads lie on each side.",
    },
)

# %% [markdown]
# The **profile explorer** draws the loaded model's densities layer by layer, and any of the seven numbers beside them with
# every head as a point.

# %%
explorer = ProfileExplorer(model, tokenizer, TEXTS["prose"][0].split(". ")[0] + ".")
explorer.still()

# %%
explorer

# %% [markdown]
# *Real GPT-2, recorded:* the same on one sentence of nine tokens, all 12 layers.

# %%
ProfileExplorer(*recorded_gpt2(), statistic="first_share")

# %% [markdown]
# Which heads are alike? The **cluster map** has a row for each head, with its seven statistics as colours, and puts
# similar rows side by side. The strip shows the layer.

# %%
profile = np.stack(loaded).mean(1)  # (statistic, layer, head), mean over the texts
if profile[0].size > 1:  # a single head has no other to be like
    ax = plot_head_clusters(profile, [name.replace("_", " ") for name in Profile._fields])
    ax.figure.suptitle(f"{who(model)}: mean of {len(texts)} texts of {n_tokens} tokens", y=1.02)
    show_figure("Heads as rows, seven statistics as columns, ordered by a tree, with a strip for the layer.")

# %% [markdown]
# Any numbers give a tree, even noise. So we cut it into four groups, ask how much of the variance lies between
# them, and do the same after shuffling each statistic over the heads.


# %%
def explained(rows):
    """Share of the variance of rows (head, statistic) that lies between four groups of heads."""
    groups = fcluster(linkage(rows, "ward"), 4, "maxclust") if len(rows) > 4 else np.arange(len(rows))
    return 1 - sum(((rows[groups == g] - rows[groups == g].mean(0)) ** 2).sum() for g in set(groups)) / rows.size


rows = profile.reshape(7, -1).T
rows = (rows - rows.mean(0)) / rows.std(0).clip(1e-9)  # (head of all layers, statistic)
rng = np.random.default_rng(0)
shuffled = np.array([explained(rng.permuted(rows, axis=0)) for _ in range(99)])
found, p_groups = explained(rows), (1 + (shuffled >= explained(rows)).sum()) / 100
says(
    (
        p_groups <= 0.05,
        f"{who(model)}: four groups explain {found:.0%} of the variance, {shuffled.mean():.0%} after shuffling (p = {p_groups:.2f}). The statistics of a head go together.",
    ),
    (len(rows) <= 4, f"{who(model)}: four groups need more than four heads, or each head is a group."),
    (
        True,
        f"{who(model)}: four groups explain {found:.0%} of the variance, after shuffling {shuffled.mean():.0%} (p = {p_groups:.2f}). These groups may be chance.",
    ),
)

# %% [markdown]
# Part of this is arithmetic: a head with a low median has many negative scores, and one that attends to the first token
# looks far back. What is left is a reason to look at a group's heads, but no proof of a new kind of head.
#
# ## 4. What an interval is worth
#
# Would other texts give the same profile? `bootstrap_mean` draws the texts again and again, with replacement, and takes the
# range in which 95% of the means fall. With few texts that range is too narrow. We can see by how much on made-up texts,
# whose true mean we know.

# %%
guess = predict(
    "Two groups of three texts that do NOT differ, in 12 layers. How often do their 95% intervals fail to overlap in "
    "some layer?",
    "in 5% of the cases: that is what 95% means",
    "in about a third of them: 12 layers, each a new chance",
    "in well over half of them",
)

# %%
rng = np.random.default_rng(0)
sizes = (3, 5, 8, 18)
cover = {}
for n in sizes:
    low, high = bootstrap_mean(rng.normal(size=(n, 2000)), n_resamples=1000)
    cover[n] = ((low < 0) & (high > 0)).mean()
print("How often an interval contains the true mean:", *(f"{n} texts {cover[n]:.0%}" for n in sizes), sep="\n")
a, b = rng.normal(size=(2, 3, 12, 500))  # (group, text, layer, study)
(low_a, high_a), (low_b, high_b) = (bootstrap_mean(group, n_resamples=1000) for group in (a, b))  # (layer, study)
false = ((low_a > high_b) | (low_b > high_a)).any(0).mean()
eight = rng.normal(size=(100, 2, 8, 12))  # (study, group, text, layer)
tested = np.mean([compare_groups(groups, n_resamples=99).p_any <= 0.05 for groups in eight])
print(f"of 100 studies with eight texts a group and no difference, compare_groups finds one in {100 * tested:.0f}")
guess.reveal(
    (false > 0.5, "in well over half of them", f"in {false:.0%} of 500 made-up studies."),
    (false > 0.15, "in about a third of them: 12 layers, each a new chance", f"in {false:.0%}."),
    (True, "in 5% of the cases: that is what 95% means", f"in {false:.0%}."),
    overlooked={
        "in 5% of the cases: that is what 95% means": "that would hold for one layer, and for an interval that keeps its promise.",
        "in about a third of them: 12 layers, each a new chance": "the many layers are one part; intervals of three texts also fail far more often than in 5%.",
        "in well over half of them": "count the layers, and how often an interval of so few texts fails.",
    },
)

# %% [markdown]
# Two remedies, which headlab uses from here on:
#
# - **Fewer than eight texts are shown one by one**, as thin lines, without an interval. From eight on, two dashes show
#   the interval; with 18 texts, a "95%" interval contains the true mean in about 92% of the cases.
# - **One test for all layers.** `compare_groups` takes, in each layer, the share of the variance that lies between the groups,
#   and asks how often shuffled texts give *some* layer as large a share. It works for any number of groups.
#
# ## 5. Three claims, at equal lengths
#
# GPT-2's prompts have 6 or 7 tokens. A profile depends on the length, so we cut the texts of the loaded model and of the
# control to the same 6 or 7. No new run is needed: the first rows of a pattern are those of the shorter text.


# %%
lengths = [n for n, _ in zip(cycle(gpt2["n_tokens"][:5].tolist()), texts, strict=False)]


def short(capture, n):
    """Raw scores and pattern of the first n tokens, each (layer, head, n, n)."""
    parts = (torch.stack([part(layer) for layer in capture.layers]) for part in (capture.scores, capture.pattern))
    return tuple(part[..., :n, :n] for part in parts)


samples, patterns = {"real GPT-2": Profile(*gpt2["prompt_profiles"][:5].swapaxes(0, 1))}, {}
for name, several in (("loaded model", captures), ("random control", control_captures)):
    cut = [short(capture, n) for capture, n in zip(several, lengths, strict=True)]
    samples[name], patterns[name] = stacked([head_profile(*both) for both in cut]), [pattern for _, pattern in cut]

fig, axes = plt.subplots(1, 3, figsize=(15, 3.6), sharey=True, layout="constrained")
for ax, (name, sample) in zip(axes, samples.items(), strict=True):
    plot_by_layer(sample.median, ax, meaning=name)
    ax.axhline(0, color="black", lw=1, ls="--")
    ax.set_title(f"{name}: {len(sample.median)} texts of 6 or 7 tokens")
axes[0].set(ylabel="median raw score (q·k)")
show_figure("Median raw score by layer of GPT-2, of the loaded model and of the control.")

# %%
deepest = {name: np.bincount(np.median(s.median, -1).argmin(1), minlength=2) for name, s in samples.items()}
for name, counts in deepest.items():
    print(f"{name}: deepest in layer {counts.argmax()}, in {counts.max()} of {counts.sum()} texts")
says(
    (
        deepest["random control"].max() >= 0.5 * len(texts),
        "The control's deepest layer is the same in most texts, though it was never trained: its random weights are "
        "the same for all texts. Agreement between texts does not show an effect of training. The size of the shift "
        "does.",
    ),
    (True, "The control's deepest layer changes from text to text."),
)

# %% [markdown]
# **"The shift is deepest in the early middle."** *Real GPT-2, recorded:* in each of the five prompts the deepest layer
# is 2, 3 or 4. But the position of scores depends on the gauge (lesson 5), so this describes GPT-2's weights, not what
# it computes.
#
# **"Attention is sparse: many small weights and a few large."** Compare with even attention of the same length.

# %%
guess = predict(
    "Of GPT-2's weights of 0.5 and more, how many lie on the first token?",
    "about a third",
    "about half",
    "nearly nine in ten",
)

# %%
levels = gpt2["share_levels"]
even = [(causal_mask(n) / torch.arange(1, n + 1)[:, None]).double()[None, None] for n in lengths]
measured = {name: [share_above(p, levels).mean((0, 1)) for p in several] for name, several in patterns.items()}
measured |= {"real GPT-2": [gpt2["share_above"].mean((0, 1))]}
measured |= {"even attention": [share_above(p, levels).mean((0, 1)) for p in even]}
large = {name: np.mean([np.stack(large_weights(p)).mean((1, 2)) for p in s], 0) for name, s in patterns.items()}
large |= {"real GPT-2": gpt2["large_weights"].mean((1, 2)), "even attention": np.zeros(4)}
print("How large the weights are, and where the large ones lie:")
for name, places in large.items():
    below, above = 1 - np.mean(measured[name], 0)[0], np.mean(measured[name], 0)[5]
    parts = zip(LargeWeights._fields, places / max(places.sum(), 1e-9), strict=True)
    told = ", ".join(f"{field} {part:.0%}" for field, part in parts)
    print(f"{name}: below 0.01 {below:.1%}, 0.5 or more {above:.1%}" + (f", of these {told}" if places.any() else ""))
on_first = large["real GPT-2"][0] / large["real GPT-2"].sum()
guess.reveal(
    (
        on_first > 0.8,
        "nearly nine in ten",
        f"{on_first:.0%}; of the others most are on the previous token or on the query itself.",
    ),
    (on_first > 0.42, "about half", f"{on_first:.0%}."),
    (True, "about a third", f"{on_first:.0%}."),
    overlooked={
        "about a third": "the first token's share is above one half in most of GPT-2's heads.",
        "about half": "in most layers hardly any large weight lies elsewhere.",
        "nearly nine in ten": "count the printed shares.",
    },
)

# %%
mine, by_chance = large["loaded model"], large["random control"]
mine_first = mine[0] / max(mine.sum(), 1e-9)  # of a query's large weights, the share on the first token
says(
    (
        mine.sum() < 2 * by_chance.sum() + 0.01,
        f"{who(model)}: a query has {mine.sum():.2f} large weights, hardly more than in the control ({by_chance.sum():.2f}).",
    ),
    (
        mine_first > 0.5,
        f"{who(model)}: attention is sparse, and {mine_first:.0%} of the large weights lie on the first token.",
    ),
    (
        True,
        f"{who(model)}: attention is sparse, and {1 - mine_first:.0%} of the large weights lie on other keys than the first.",
    ),
)

# %% [markdown]
# So GPT-2's attention is sparse, but what stands out is hardly ever the link between an adjective and its noun: it is the sink.
#
# **"Later layers have more pairs with high weights."** We test this with and without the first token. If we only
# dropped its column, the other weights would be small wherever the first is large, and arithmetic alone would reverse
# the claim. So what is left of a row is **renormalised**: each weight is divided by the sum of the row without the
# first key.

# %%
every = np.stack([share_above(p, [0.5])[..., 0] for p in patterns["loaded model"]])  # (text, layer, head)
rest = np.stack([share_above(p, [0.5], drop_first_key=True)[..., 0] for p in patterns["loaded model"]])
fig, axes = plt.subplots(1, 2, figsize=(15, 3.6), layout="constrained")
for ax, name, all_pairs, others in (
    (axes[0], "Real GPT-2, five prompts", gpt2["share_above"][..., 5], gpt2["share_above_no_first_key"][..., 5]),
    (axes[1], f"{who(model)}, {len(texts)} texts of 6 or 7 tokens", every, rest),
):
    plot_by_layer(all_pairs, ax, ylabel="share of the pairs with 0.5 or more", label="all keys")
    plot_by_layer(others, ax, label="without the first,\nrenormalised")
    ax.set_title(name)
show_figure("Share of high weights by layer, of all keys and without the first; GPT-2 left, the loaded model right.")

# %%
for name in ("share_above", "share_above_no_first_key"):
    halves = gpt2[name][..., 5].mean(1).reshape(2, 6).mean(1)
    print(f"real GPT-2, {name}, mean of the heads: first six layers {halves[0]:.1%}, last six {halves[1]:.1%}")


def growth(values):
    """Mean share of the later half of the layers minus that of the earlier half, (text,)."""
    half = max(1, n_layers // 2)
    return values[:, -half:].mean((1, 2)) - values[:, :half].mean((1, 2))


(low, high), (rest_low, rest_high) = (bootstrap_mean(growth(values)) for values in (every, rest))
both = f"{low:+.1%} to {high:+.1%} with all keys, {rest_low:+.1%} to {rest_high:+.1%} without the first"
says(
    (
        low > 0 and rest_low > 0,
        f"{who(model)}: the share grows from the earlier to the later layers, even without the first token ({both}).",
    ),
    (
        low > 0,
        f"{who(model)}: the share grows, but not without the first token: the growth comes from the sink ({both}).",
    ),
    (n_layers == 1, f"{who(model)}: there is a single layer, so nothing can grow from layer to layer."),
    (high < 0, f"{who(model)}: the share falls from the earlier to the later layers ({both})."),
    (True, f"{who(model)}: these texts cannot tell whether the share grows ({both})."),
)

# %% [markdown]
# *Real GPT-2, recorded:* with all keys the share grows from 16.3% to 20.1%; without the first token it hardly changes,
# 17.7% and 17.5%. **The growth comes from the first token.** Attention to the other keys is no sharper in late layers than
# in early ones.
#
# ## 6. Is it the model or the text?
#
# A statistic's values on several texts, (text, layer, head), vary for four reasons: the **layers'** means differ; the **heads'**
# means differ within their layer; the **texts'** means differ; and a **rest**, what a head does on one text but not on another.
# This is an analysis of variance (Fisher 1925); the four shares add up to 1.

# %%
guess = predict(
    "Which part is largest for GPT-2's effective tokens?",
    "the layer",
    "the head within its layer",
    "the text",
    "the rest",
)

# %%
shares = {name: {f: variance_shares(v) for f, v in sample._asdict().items()} for name, sample in samples.items()}
for name, sample in samples.items():
    print(f"{name}: share of the variance (and standard deviation) of layer, head, text, rest")
    for field, split in shares[name].items():
        deviation = getattr(sample, field).std()
        print(f"{field:>19}: " + "   ".join(f"{share:4.0%} ({np.sqrt(share) * deviation:.2f})" for share in split))
split = shares["real GPT-2"]["effective_tokens"]
told = f"it has {max(split):.0%} of the variance, the layers' means have {split.layer:.0%}."
guess.reveal(
    (split.head == max(split), "the head within its layer", told),
    (split.layer == max(split), "the layer", told),
    (split.text == max(split), "the text", told),
    (True, "the rest", told),
    overlooked={
        "the layer": "the heads of one layer differ more than the layers' means do.",
        "the head within its layer": "another part is larger here.",
        "the text": "the five prompts are all short plain English.",
        "the rest": "on these prompts a head does nearly the same whatever it reads.",
    },
)

# %% [markdown]
# Shares have no scale: where nothing varies, something still has the largest share. That is why the deviations stand beside
# them. The control's layers may have a large share of almost no deviation.
#
# *Real GPT-2, recorded:* layer and head together account for more than nine tenths of the variance in all seven statistics.
# On these prompts a head behaves the same whatever it reads. But the five prompts are plain English; the eighteen texts
# are of six kinds.

# %%
robust = [name for name, split in shares["loaded model"].items() if split.layer + split.head > 0.8]
names = ", ".join(robust).replace("_", " ")
says(
    (len(robust) == 7, f"{who(model)}: layer and head explain over 80% of the variance of all seven statistics."),
    (
        len(robust) > 0,
        f"{who(model)}: layer and head explain over 80% of the variance of {len(robust)} of 7 statistics: {names}.",
    ),
    (True, f"{who(model)}: in no statistic do layer and head explain over 80% of the variance."),
)

# %% [markdown]
# ### Is this difference real?
#
# Do the six **kinds** of text differ? Now we use all 64 tokens of each text. `compare_groups` already allows for the many
# layers. But we try seven statistics, so each p is multiplied by 7 (Bonferroni's correction).

# %%
middles = {name: np.median(values, -1) for name, values in loaded._asdict().items()}  # each (text, layer)
tests = {name: compare_groups(np.split(values, 6), n_resamples=999) for name, values in middles.items()}
for name, test in tests.items():
    layer, p = test.share.argmax(), min(1, 7 * test.p_any)
    print(f"{name:>19}: between kinds up to {test.share[layer]:.0%} of the variance, in layer {layer}; 7 p = {p:.3f}")
different = [name for name, test in tests.items() if 7 * test.p_any <= 0.05]
says(
    (len(different) == 7, f"{who(model)}: the kinds differ in all seven statistics."),
    (
        len(different) > 0,
        f"{who(model)}: the kinds differ in {len(different)} of 7 statistics: {', '.join(different).replace('_', ' ')}.",
    ),
    (True, f"{who(model)}: these texts do not show that the kinds differ."),
)

# %% [markdown]
# If kinds differ, then texts of one kind are more alike than texts of different kinds, and eighteen texts do not count
# as eighteen. For texts of *these six kinds* the text is the unit. For texts of *any* kind, the unit is the kind, and
# we have six.

# %%
ratios = {}
for name, values in middles.items():
    (low, high), (kind_low, kind_high) = (bootstrap_mean(v) for v in (values, cluster_means(values, kinds)))
    ratios[name] = ((kind_high - kind_low) / (high - low)).mean()
told = ", ".join(f"{name.replace('_', ' ')} {ratio:.1f}" for name, ratio in ratios.items())
print(f"{who(model)}: interval over 6 kinds, in units of the one over 18 texts, mean of the layers: {told}")

# %% [markdown]
# And an interval of six is itself too narrow (section 4). **What varies together counts once.**

# %% [markdown]
# ## Exercises
#
# Each check says what is wrong. Try first; the solutions are in `solutions/07_laminar_profiles.ipynb`.

# %% [markdown]
# ### Exercise 7.1 · Mean step back
#
# *Difficulty 2 of 5 · importance 3 of 5 · about 3 minutes*
#
# Given patterns (..., query, key), torch tensors, return how many tokens the attention of a query goes back on average,
# weighted by its shares, as the mean over the queries **from the third on**: shape (...).

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# How far is it from query 5 back to key 2, and what is that for every query and key?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Weight a table of steps (query, key) with the shares, and sum each row.
# </details>


# %% tags=["exercise"]
def my_mean_step_back(pattern):
    ### BEGIN SOLUTION
    position = torch.arange(pattern.shape[-1])
    steps = position[:, None] - position  # (query, key)
    return (pattern * steps).sum(dim=-1)[..., 2:].mean(dim=-1)
    ### END SOLUTION


check("7.1", my_mean_step_back)

# %% [markdown]
# ### Exercise 7.2 · Read a ridgeline
#
# *Difficulty 2 of 5 · importance 5 of 5 · about 3 minutes*
#
# The figure shows made-up scores of five layers. By eye: which layer's scores are **spread most**, which has a **second hill**,
# and which has the **largest share above zero**? Return the three layer numbers in this order.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Every curve has the same area. What must a wide one look like?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# For the last question, compare the area right of the dashed line with the area left of it, layer by layer. A hill may be far to the
# right and small.
# </details>

# %%
curves = layer_densities(ridgeline_puzzle())
plot_ridgelines([(curves[0], density) for density in curves[1]], [f"layer {n}" for n in range(5)])
plt.gca().set_title("Made-up scores: 4,000 in each of five layers")
show_figure("Five ridgelines of made-up scores, to be read by eye.")


# %% tags=["exercise"]
def my_reading():
    ### BEGIN SOLUTION
    return 3, 2, 4
    ### END SOLUTION


check("7.2", my_reading)

# %% [markdown]
# ### Exercise 7.3 · What a mean hides
#
# *Difficulty 3 of 5 · importance 5 of 5 · about 4 minutes*
#
# `values` (layer, head) holds a statistic, as a numpy array. In which layer does the **mean** over heads mislead most, that is,
# where do mean and median lie farthest apart? And which head of that layer lies farthest from its median? Return two whole
# numbers, (layer, head). The check tries the loaded model's medians too.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# A mean can be pulled up, and it can be pulled down.
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# First find a distance for each layer, and the position of the largest. Then find a distance for each head of that
# layer.
# </details>


# %% tags=["exercise"]
def my_misleading_mean(values):
    ### BEGIN SOLUTION
    middles = np.median(values, axis=1)
    layer = np.abs(values.mean(axis=1) - middles).argmax()
    head = np.abs(values[layer] - middles[layer]).argmax()
    return int(layer), int(head)
    ### END SOLUTION


check("7.3", my_misleading_mean, loaded.median[0])

# %% [markdown]
# ### Exercise 7.4 · Pairs with high weights
#
# *Difficulty 3 of 5 · importance 4 of 5 · about 3 minutes*
#
# Given patterns (..., query, key), torch tensors, and a level, look at the causal pairs of the queries **from the third
# on**. Return the share of them whose weight is at least the level: shape (...).

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# How many pairs does query $i$ have? The future is not among them.
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Pick the visible pairs of these queries with a mask (query, key). Comparing gives True and False, and their mean is a share.
# </details>


# %% tags=["exercise"]
def my_share_high(pattern, level):
    ### BEGIN SOLUTION
    visible = causal_mask(pattern.shape[-1])[2:]
    return (pattern[..., 2:, :][..., visible] >= level).double().mean(dim=-1)
    ### END SOLUTION


check("7.4", my_share_high)

# %% [markdown]
# ### Exercise 7.5 · Is this difference real?
#
# *Difficulty 4 of 5 · importance 5 of 5 · about 6 minutes*
#
# `first` and `second` are two groups of texts, numpy arrays (text, layer) with one number for each text and layer.
# Number the texts of both groups together, from 0, beginning with the first group. Each line of `draws` (resample,
# text) deals out all the texts again: its first `len(first)` entries are the numbers of the texts in the new first
# group. In each layer, take the absolute difference of the two groups' means; what counts is the **largest over the
# layers**. Return p: in what share of the draws it is at least as large as in reality. Count the real dealing as one
# more draw.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# What single number does one dealing give, with all its layers?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Join the groups and index them with `draws`: the axes are then (resample, text, layer).
# </details>


# %% tags=["exercise"]
def my_p(first, second, draws):
    ### BEGIN SOLUTION
    real = np.abs(first.mean(axis=0) - second.mean(axis=0)).max()
    dealt = np.concatenate([first, second])[draws]  # (resample, text, layer)
    n = len(first)
    largest = np.abs(dealt[:, :n].mean(axis=1) - dealt[:, n:].mean(axis=1)).max(axis=1)  # (resample,)
    return (1 + (largest >= real).sum()) / (1 + len(draws))
    ### END SOLUTION


check("7.5", my_p)

# %% [markdown] tags=["solution"]
# `compare_groups` does the same with another measure of difference, a share of the variance, so that layers with large
# scores do not dominate, and so that more than two groups can be compared.

# %% [markdown]
# ### Exercise 7.6 · Head, text or neither
#
# *Difficulty 4 of 5 · importance 4 of 5 · about 4 minutes*
#
# `values` (text, head), a numpy array, holds a statistic of the heads of one layer. Return three numbers that sum to 1: the
# shares of the variance that belong to the heads' means, to the texts' means, and to the rest.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# If texts did not matter at all, how would the heads' means vary compared with all values?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Compare variances (dividing by $n$, as `np.var` does): that of the heads' means, and that of all the values.
# </details>


# %% tags=["exercise"]
def my_variance_shares(values):
    ### BEGIN SOLUTION
    heads = values.mean(axis=0).var() / values.var()
    texts = values.mean(axis=1).var() / values.var()
    return heads, texts, 1 - heads - texts
    ### END SOLUTION


check("7.6", my_variance_shares)

# %% [markdown] tags=["solution"]
# **What is in the rest?** A head that reacts to one text in its own way, and chance. One value for each head and text cannot
# tell the two apart; several pieces of each text could.

# %% [markdown]
# ## What we found

# %%
claims = [
    (
        "the shift is deepest in the early middle",
        f"GPT-2, 5 prompts: layer 2, 3 or 4 in each; loaded model: layer {deepest['loaded model'].argmax()} of {n_layers} in {deepest['loaded model'].max()} of {len(texts)} texts",
        "holds for GPT-2, but the position of scores depends on the gauge",
    ),
    (
        "attention is sparse, with a few large weights",
        f"large weights of a query: GPT-2 {large['real GPT-2'].sum():.2f}, loaded model {mine.sum():.2f}, control {by_chance.sum():.2f}",
        f"holds for GPT-2; {on_first:.0%} of them lie on the first token",
    ),
    (
        "later layers have more pairs with high weights",
        f"GPT-2 16.3% to 20.1%, without the first token 17.7% to 17.5%; loaded model {both}",
        "GPT-2: only because of the first token",
    ),
    (
        "a profile belongs to the model, not to the text",
        f"layer and head have {min(s.layer + s.head for s in shares['real GPT-2'].values()):.0%} or more of the variance in GPT-2; over 80% for {len(robust)} of 7 statistics in the loaded model",
        "holds on GPT-2's five prompts of one kind",
    ),
]
Markdown(
    "| claim | evidence, texts of 6 or 7 tokens | verdict |\n| --- | --- | --- |\n"
    + "\n".join(f"| {' | '.join(c)} |" for c in claims)
)

# %% [markdown]
# **Limits.** Eighteen short texts by the same authors represent only texts like these. GPT-2's five prompts are fewer
# and shorter, and of one kind. Heads of one model are heads of one training run.
#
# **Where to read on**
# - J. Vig and Y. Belinkov, 2019, *Analyzing the Structure of Attention in a Transformer Language Model*: GPT-2, layer by layer.
# - K. Clark, U. Khandelwal, O. Levy and C. D. Manning, 2019, *What Does BERT Look At?*: heads clustered by what they do.
# - T. C. Hesterberg, 2015, *What Teachers Should Know About the Bootstrap*: why intervals of few values are too narrow.
# - P. H. Westfall and S. S. Young, 1993, *Resampling-Based Multiple Testing*: the largest difference over many.
# - R. A. Fisher, 1925, *Statistical Methods for Research Workers*, and 1935, *The Design of Experiments*.
#
# The functions are in `headlab/profiles.py`, their tests in `tests/test_profiles.py`; the texts in `headlab/texts.py`.
# `09_your_own_project.ipynb` is a template for a question of your own.

# %% [markdown] tags=["optional"]
# ## Appendix: length and the first word (optional)
#
# A longer text adds queries that have more keys. So the effect of length can be read from one long text, query by query.

# %% tags=["optional"]
long_ids = tokenizer(" ".join(TEXTS["prose"]), return_tensors="pt", verbose=False).input_ids[:, :192]
tokens = laminar_profile(capture_heads(model, long_ids[:, :32])).effective_tokens
ax = plot_by_layer(tokens, ylabel="effective number of tokens", label="32 tokens")
for n in (96, 192):
    plot_by_layer(laminar_profile(capture_heads(model, long_ids[:, :n])).effective_tokens, ax, label=f"{n} tokens")
ax.set_title(f"{who(model)}: the same text, cut to three lengths")
show_figure("Effective tokens by layer, for three lengths of one text: longer texts lie higher or equal.")

# %% [markdown] tags=["optional"]
# Is it the *position* or the *word* that draws attention to the first token? Put other words first. If a layer's numbers agree
# from word to word and lie well above the even share, it is the position.

# %% tags=["optional"]
body = long_ids[:, 1:n_tokens]
print(
    f"{who(model)}: share on the first token by layer; an even share is {np.mean(1 / np.arange(3, n_tokens + 1)):.2f}"
)
for word in ("The", " house", ",", " when"):
    ids = torch.cat([tokenizer(word, return_tensors="pt").input_ids[:, :1], body], dim=1)
    share = laminar_profile(capture_heads(model, ids)).first_share.mean(1)
    print(f"{word!r:>9}: " + " ".join(f"{value:.2f}" for value in share))

# %% [markdown] tags=["optional"]
# ### Exercise 7.7 · Without the first token
#
# *Difficulty 3 of 5 · importance 4 of 5 · about 4 minutes*
#
# Given patterns (..., T, T), torch tensors, return the patterns (..., T - 1, T - 1) that are left when no query may
# look at the first token and the others keep their proportions. Rows sum to 1 again.

# %% [markdown] tags=["hint", "optional"]
# <details><summary>Hint 1: a nudge</summary>
#
# What is the only key that query 0 could see?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Proportions stay the same when all shares of a row are divided by the same number.
# </details>


# %% tags=["exercise", "optional"]
def my_without_first_key(pattern):
    ### BEGIN SOLUTION
    others = pattern[..., 1:, 1:]
    return others / others.sum(dim=-1, keepdim=True)
    ### END SOLUTION


check("7.7", my_without_first_key)

# %% [markdown] tags=["optional"]
# ### Exercise 7.8 · An interval over texts
#
# *Difficulty 4 of 5 · importance 3 of 5 · about 5 minutes*
#
# `values` (text, layer, head) holds a statistic; each line of `draws` (resample, text) names the texts that one resample draws.
# Each text's profile is the *median over heads*, a resample's the *mean over its texts*. Return the 2.5% and the 97.5%
# quantile over resamples: two arrays (layer,).

# %% [markdown] tags=["hint", "optional"]
# <details><summary>Hint 1: a nudge</summary>
#
# In which order: median over heads, mean over texts, quantile over resamples?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Index the texts' profiles with `draws`: the axes are then (resample, text, layer).
# </details>


# %% tags=["exercise", "optional"]
def my_interval(values, draws):
    ### BEGIN SOLUTION
    middles = np.median(values, axis=2)  # (text, layer)
    means = middles[draws].mean(axis=1)  # (resample, layer)
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return low, high
    ### END SOLUTION


check("7.8", my_interval)
