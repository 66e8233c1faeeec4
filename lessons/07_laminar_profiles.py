# %% [markdown]
# # 7 · Laminar profiles
#
# *From the first layer to the last: how do the scores change, how does the attention, and how much of that is the model and not the text?*
#
# **You will be able to**
# - measure seven statistics of every head, and show all layers in one figure;
# - read a heatmap and ridgelines of densities, and spot what averaging over heads hides;
# - put an interval over *texts* on a profile, and say what one text can and cannot tell;
# - test three claims about layers, and find the one that turns round when the first token is left out;
# - split a statistic's variance into layer, head, text and rest.
#
# **You need** lessons 1 to 6: patterns, heads, the shift, the attention sink, densities.
#
# **Time** about 45 minutes to read, try and answer. The cells themselves run in under a minute on two cores.
#
# *Laminar* means in layers, as of rock or of the brain's cortex. *The report names* the laminar profile, how the distribution changes by layer, as the
# step to which its methods lead. Every figure below says whose it is: the **loaded model**, **real GPT-2** (recorded prompts of 6 or 7 tokens) or the untrained **random control**.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown

from headlab.capture import capture_heads
from headlab.exercises import check
from headlab.explorers import ProfileExplorer, recorded_gpt2
from headlab.masking import causal_mask
from headlab.models import load_model, token_strings
from headlab.plots import MAPS, plot_by_layer, plot_head_densities, plot_layer_densities, plot_ridgelines
from headlab.profiles import (
    Profile,
    bootstrap_mean,
    head_profile,
    laminar_profile,
    layer_densities,
    query_profile,
    share_above,
    variance_shares,
    without_first_key,
)
from headlab.scores import attention_pattern
from headlab.shift import causal_scores, gpt2_reference
from headlab.texts import TEXTS

# %%
model, tokenizer = load_model()
control, control_tokenizer = load_model("random")
gpt2 = gpt2_reference()
n_layers, n_heads = model.config.n_layer, model.config.n_head
n_tokens = 64  # every text is cut to this length: section 6 says why
print(
    f"loaded model: {n_layers} layers of {n_heads} heads; control: {control.config.n_layer} layers of {control.config.n_head}"
)

# %% [markdown]
# ## 1. One text, seven numbers for each head
#
# headlab brings eighteen short texts, written for this course: six kinds, three of each. We start with one.

# %%
print(TEXTS["prose"][0])


def capture_of(model, tokenizer, text):
    """The heads of a model on the first tokens of a text."""
    return capture_heads(model, tokenizer(text, return_tensors="pt").input_ids[:, :n_tokens])


capture = capture_of(model, tokenizer, TEXTS["prose"][0])
one = laminar_profile(capture)
print("each statistic:", one.median.shape, "(layer, head)")

# %% [markdown]
# `laminar_profile` measures, for each head:
#
# | name | what | over |
# | --- | --- | --- |
# | `median` | the middle raw score, in units of q·k | all causal pairs |
# | `fraction_negative` | share of the raw scores below zero | all causal pairs |
# | `spread` | standard deviation of the scores of one row: what softmax can see (lesson 5) | queries from the third on |
# | `effective_tokens` | exp of the entropy: how many tokens a query attends to (lesson 5) | queries from the third on |
# | `first_share`, `previous_share` | attention on the first token, on the token just before | queries from the third on |
# | `mean_step_back` | how many tokens back the attention lies, on average | queries from the third on |
#
# A layer has many heads. Its **robust middle** is their *median*, which one odd head cannot move.


# %%
def print_table(profile):
    """The heads' median by layer, one column for each statistic."""
    print(" " * 6 + "".join(f"{name:>19}" for name in profile._fields))
    for layer in range(len(profile.median)):
        print(f"{layer:>6}" + "".join(f"{np.median(values[layer]):>19.2f}" for values in profile))


print(f"loaded model, one text of {n_tokens} tokens: median over {n_heads} heads, by layer")
print_table(one)

# %% [markdown]
# **Predict.** Where will the heads of one layer lie closer together: in the trained model or in the control?

# %%
control_one = laminar_profile(capture_of(control, control_tokenizer, TEXTS["prose"][0]))
ax = plot_by_layer(one.effective_tokens, ylabel="effective number of tokens", label="loaded model")
plot_by_layer(control_one.effective_tokens, ax, label="random control")
ax.set_title(f"One text of {n_tokens} tokens: each point is one head, the line is their median")
plt.show()

# %%
for name, profile in (("loaded model", one), ("random control", control_one)):
    low, high = np.quantile(profile.effective_tokens, [0.25, 0.75], axis=1)
    print(f"{name}: quartiles of a layer's heads lie {np.min(high - low):.2f} to {np.max(high - low):.2f} tokens apart")

# %% [markdown]
# *The figure says:* the untrained heads all do the same, next to even attention, in all layers. In a trained model the heads of one layer differ from each other; how much, and how
# much the layers differ, is what this lesson measures.
#
# <details><summary>Answer</summary>
#
# In the control. Heads that have learned nothing have nothing to differ in. So wherever a layer is summed up in one number, keep the points beside it.
# </details>
#
# ## 2. The distribution in one figure
#
# A median says where the scores lie, not how they lie. Lesson 6 gave us densities; `layer_densities` puts those of all layers on **one grid**. First the loaded model.
#
# **Predict.** From the first layer to the last: will the scores move, widen, or both?

# %%
grid, densities = layer_densities([causal_scores(capture.scores(layer)) for layer in capture.layers])
fig, axes = plt.subplots(1, 2, figsize=(14, 2.4 + 0.28 * n_layers), layout="constrained")
plot_layer_densities(grid, densities, axes[0])
plot_ridgelines([(grid, density) for density in densities], [f"layer {n}" for n in capture.layers], axes[1])
limits = np.quantile(causal_scores(torch.stack([capture.scores(layer) for layer in capture.layers])), [0.002, 0.998])
for ax in axes:
    ax.set(xlim=limits)
n_scores = n_heads * n_tokens * (n_tokens + 1) // 2
fig.suptitle(f"Loaded model, one text: {n_scores:,} causal scores of {n_heads} heads in each layer")
plt.show()

# %%
middle = [np.median(causal_scores(capture.scores(layer))) for layer in capture.layers]
width = [causal_scores(capture.scores(layer)).std() for layer in capture.layers]
for name, values in (("median", middle), ("standard deviation", width)):
    print(f"loaded model, {name} by layer:", " ".join(f"{value:+.1f}" for value in values))

# %% [markdown]
# *The figure says:* left, colour is density; right, height is. Both show the same numbers. The heatmap holds any number of layers, the ridgelines show shapes: a second hill, a long
# tail. (The outermost 0.4 % of the scores lie outside the pictures.)
#
# Now real GPT-2. Its recordings ship as counts in bins one unit wide, so we put each score in the middle of its bin.

# %%
centres = (gpt2["edges"][1:] + gpt2["edges"][:-1]) / 2
gpt2_grid, gpt2_densities = layer_densities([np.repeat(centres, counts) for counts in gpt2["histogram"].sum(1)])
fig, axes = plt.subplots(1, 2, figsize=(14, 5.5), layout="constrained")
plot_layer_densities(gpt2_grid, gpt2_densities, axes[0])
names = [f"layer {n}" for n in range(12)]
plot_ridgelines([(gpt2_grid, density) for density in gpt2_densities], names, axes[1], meaning="real GPT-2")
for ax in axes:
    ax.set(xlim=(-90, 60))
fig.suptitle(f"Real GPT-2, five prompts: {gpt2['n'][0].sum():,} causal scores of 12 heads in each layer")
plt.show()

# %%
gpt2_middle = gpt2["layer_quantiles"][:, 2]
print("real GPT-2, median by layer:", " ".join(f"{value:.1f}" for value in gpt2_middle))
known = [-7.7, -8.8, -24.5, -28.7, -20.8, -13.2, -14.5, -10.9, -8.3, -6.6, -0.8, 5.4]
assert np.array_equal(gpt2_middle.round(1), np.float32(known)) and (np.diff(gpt2_middle[3:]) < 0).sum() == 1

# %% [markdown]
# *The figure says:* GPT-2's scores fall from layer 0 to layer 3, and then come back, with one step down on the way, to cross zero in the last. Many layers have a second hill on the right:
# lesson 5 says which key it belongs to.
#
# ### A tempting mistake
#
# Draw every layer to its own scale, and each panel looks fine by itself:

# %%
shown = (0, 3, 11)
fig, axes = plt.subplots(2, 3, figsize=(13, 5), layout="constrained")
for column, layer in enumerate(shown):
    inside = gpt2_densities[layer] > 1e-4
    axes[0, column].plot(gpt2_grid[inside], gpt2_densities[layer][inside])
    axes[0, column].set(title=f"layer {layer}, own scale", yticks=[])
    axes[1, column].plot(gpt2_grid, gpt2_densities[layer])
    axes[1, column].axvline(0, color="black", lw=1, ls="--")
    axes[1, column].set(
        title=f"layer {layer}, one scale for all",
        xlim=(-150, 100),
        ylim=(0, 1.1 * gpt2_densities[list(shown)].max()),
        xlabel="raw score q·k",
    )
axes[1, 0].set(ylabel="share of the scores per unit")
fig.suptitle(f"Real GPT-2, five prompts: {gpt2['n'][0].sum():,} causal scores in each layer")
plt.show()

# %% [markdown]
# *The figure says:* the upper row hides just what a profile is there to show, where the layers lie and how wide they are. One grid, one scale, or no comparison.
#
# ## 3. What a layer's average hides
#
# One density for a layer is a mixture of its heads. Here they are, all at once: each cell is a head, the curve the density of its raw scores (each to its own
# peak), the colour its share on the first token.

# %%
head_scores = causal_scores(torch.stack([capture.scores(layer) for layer in capture.layers]))
head_grid, head_curves = layer_densities(head_scores.reshape(n_layers * n_heads, -1))
inside = (head_grid >= limits[0]) & (head_grid <= limits[1])
head_curves = head_curves[:, inside].reshape(n_layers, n_heads, -1)
ax = plot_head_densities(
    head_grid[inside], head_curves, one.first_share, label="share on the first token", meaning="share"
)
ax.set_title(f"Loaded model, one text: {head_scores.shape[-1]:,} causal scores in each head")
plt.show()

# %%
gpt2_head_grid, gpt2_curves = layer_densities([np.repeat(centres, c) for c in gpt2["histogram"].reshape(144, -1)])
inside = (gpt2_head_grid >= -90) & (gpt2_head_grid <= 60)
ax = plot_head_densities(
    gpt2_head_grid[inside],
    gpt2_curves[:, inside].reshape(12, 12, -1),
    gpt2["first_share"],
    label="share on the first token",
    meaning="share",
)
ax.set_title("Real GPT-2, five prompts: 112 causal scores in each head")
plt.show()

# %% [markdown]
# *The figure says:* in GPT-2 the colours darken downwards, and heads with a second hill, to the right of zero, are the dark ones: the sink. But no layer is of one kind. Some
# heads stand quite apart, with scores far wider than their neighbours'.
#
# **Predict.** Such heads are few. Can they move the *mean* of a layer? Take the medians of GPT-2's heads in layer 0.

# %%
layer_zero = np.sort(gpt2["median"][0])
print("real GPT-2, layer 0, medians of the 12 heads:", " ".join(f"{value:.0f}" for value in layer_zero))
print(f"mean of the heads {layer_zero.mean():.1f}, median of the heads {np.median(layer_zero):.1f}")
without = np.abs(layer_zero - layer_zero.mean()).argsort()[:-1]
print(f"without the oddest head: mean {layer_zero[without].mean():.1f}, median {np.median(layer_zero[without]):.1f}")
moved = abs(layer_zero[without].mean() - layer_zero.mean())
assert moved > 3 and moved > 2 * abs(np.median(layer_zero[without]) - np.median(layer_zero))

# %% [markdown]
# <details><summary>Answer</summary>
#
# Three of the twelve heads lie far above zero and pull the mean up to -3, where only few heads are. Leave one of them out: the mean moves by more than 3, the median by less than half of that. And
# make that head as odd as you like: the mean follows, the median stays. That is why the line in our figures is a median.
# </details>
#
# The **profile explorer** draws the loaded model's densities layer by layer and any of the seven numbers beside them, with every head as a
# point, for the first sentence of our text. Here it stands still, with what it says in words:

# %%
explorer = ProfileExplorer(model, tokenizer, TEXTS["prose"][0].split(". ")[0] + ".")
explorer.still()

# %% [markdown]
# **Predict.** Choose "spread", then "first_share". Must the layer with the widest rows give most to the first token?

# %%
explorer

# %% [markdown]
# <details><summary>Answer</summary>
#
# It need not: wide rows make *some* key stand out, and that may be the previous token or the same word as well. "previous_share" shows where. And
# compare single heads: the chosen one need not follow its layer.
# </details>
#
# *Real GPT-2, recorded:* the same on one sentence of nine tokens, all 12 layers.

# %%
ProfileExplorer(*recorded_gpt2(), statistic="first_share")

# %% [markdown]
# ## 4. Three claims, three samples
#
# Now all eighteen texts, for the loaded model and for the control. GPT-2's five prompts shipped their profiles prompt by prompt.


# %%
texts = [text for kind in TEXTS.values() for text in kind]
captures = [capture_of(model, tokenizer, text) for text in texts]
control_captures = [capture_of(control, control_tokenizer, text) for text in texts]


def profiles_of(captures):
    """The Profile on several texts, each statistic (text, layer, head)."""
    return Profile(*np.stack([laminar_profile(capture) for capture in captures], axis=1))


samples = {
    "loaded model": profiles_of(captures),
    "real GPT-2": Profile(*gpt2["prompt_profiles"][:5].swapaxes(0, 1)),
    "random control": profiles_of(control_captures),
}
sizes = {"loaded model": f"18 texts of {n_tokens} tokens", "real GPT-2": "5 prompts of 6 or 7 tokens"}
sizes["random control"] = sizes["loaded model"]
loaded = samples["loaded model"]
assert loaded.median.shape == (18, n_layers, n_heads)

# %% [markdown]
# ### The shift is deepest in the early middle and gone at the end
#
# The unit of our intervals is the **text**, for the question is "would other texts give the same?" `bootstrap_mean` draws whole texts again and again, with replacement, and
# looks how the mean scatters. The dashes above and below a line's points are such intervals (95 %).
#
# **Predict.** Does the claim hold for all three?

# %%
fig, axes = plt.subplots(1, 3, figsize=(15, 3.8), sharey=True, layout="constrained")
for ax, (name, profile) in zip(axes, samples.items(), strict=True):
    plot_by_layer(profile.median, ax)
    ax.axhline(0, color="black", lw=1, ls="--")
    ax.set_title(f"{name[0].upper()}{name[1:]}: {sizes[name]}")
axes[0].set(ylabel="median raw score (q·k)")
plt.show()

# %%
for name, profile in samples.items():
    middles = np.median(profile.median, -1)  # (text, layer)
    low, high = bootstrap_mean(middles)
    deepest = middles.argmin(1)
    layer = np.bincount(deepest).argmax()
    print(f"{name}, {len(middles)} texts: deepest in layer {layer} in {(deepest == layer).sum()} of them")
    print(f"    there {middles[:, layer].mean():+.1f} ({low[layer]:+.1f} to {high[layer]:+.1f});", end=" ")
    print(f"in the last layer {middles[:, -1].mean():+.1f} ({low[-1]:+.1f} to {high[-1]:+.1f})")

# %%
gpt2_middles = np.median(samples["real GPT-2"].median, -1)
gpt2_low, gpt2_high = bootstrap_mean(gpt2_middles)
assert set(gpt2_middles.argmin(1)) <= {2, 3, 4} and gpt2_high[2:5].max() < -15 and gpt2_low[11] > 0
assert (gpt2["prompt_median"].argmin(1) == 3).all()
control_deepest = np.median(samples["random control"].median, -1).argmin(1)
assert np.bincount(control_deepest).max() >= 4

# %% [markdown]
# *The figure says:* for GPT-2 it holds, in every one of the prompts. The control says what a profile looks like without any training: its middle wanders about zero. Look at the printed
# lines: the control too has a deepest layer, and it is the *same* one in far more texts than one in twelve, with an interval that excludes zero, since a model's random weights are the same for all texts. **An interval over texts tells whether other texts would
# give the same; it cannot tell whether training did it.** For that, look at the size.
#
# Whether the loaded model has GPT-2's profile, the first panel says. Two models with other numbers of layers need not agree.
#
# ### Attention is sparse: many small weights and a few large
#
# A weight is one (query, key) pair's share of attention. "Many are small" is no finding by itself.
#
# **Predict.** A query that looks at 64 keys evenly gives each of them how much?

# %%
levels = gpt2["share_levels"]


def above_of(captures, drop_first_key=False):
    """Share of the pairs at or above each level, (text, layer, head, level)."""
    return np.stack(
        [
            np.stack([share_above(capture.pattern(layer), levels, drop_first_key) for layer in capture.layers])
            for capture in captures
        ]
    )


even = {n: (causal_mask(n) / torch.arange(1, n + 1)[:, None]).double() for n in (7, n_tokens)}
above = above_of(captures)
control_above = above_of(control_captures)
print("share of the pairs whose attention is ...       " + "below 0.01     0.5 or more")
for name, shares in (
    ("loaded model, 64 tokens", above.mean((0, 1, 2))),
    ("random control, 64 tokens", control_above.mean((0, 1, 2))),
    ("even attention, 64 tokens", share_above(even[n_tokens], levels)),
    ("real GPT-2, 6 or 7 tokens", gpt2["share_above"].mean((0, 1))),
    ("even attention, 7 tokens", share_above(even[7], levels)),
):
    print(f"{name:45}{1 - shares[0]:>13.1%}{shares[5]:>16.1%}")
assert np.allclose(levels[[0, 5]], [0.01, 0.5])

# %% [markdown]
# <details><summary>Answer</summary>
#
# A sixty-fourth, 0.016. Many small weights are a matter of course in a long text. So compare with even attention of the same length, which has **none** below 0.01 and none
# of 0.5 or more.
# </details>
#
# By that comparison GPT-2 is sparse: in seven tokens an even weight is 0.14 or more, and yet nearly a fifth of the pairs have less than 0.01, and as many have half or more. The control is
# near to even.

# %%
gpt2_small, gpt2_large = 1 - gpt2["share_above"][..., 0].mean(), gpt2["share_above"][..., 5].mean()
print(f"real GPT-2: {gpt2_small:.1%} of the pairs below 0.01, {gpt2_large:.1%} with 0.5 or more")
assert 0.17 < gpt2_small < 0.2 and 0.17 < gpt2_large < 0.2
assert share_above(even[7], [0.01, 0.5]).tolist() == share_above(even[n_tokens], [0.01, 0.5]).tolist() == [1, 0]

# %% [markdown]
# ### Later layers have more pairs with high weights
#
# **Predict.** Do they, in GPT-2? And if the pairs with the first token are left out?

# %%
above_without = above_of(captures, drop_first_key=True)
fig, axes = plt.subplots(1, 2, figsize=(15, 4), layout="constrained")
for ax, name, all_pairs, other_pairs in (
    (axes[0], "Loaded model", above[..., 5], above_without[..., 5]),
    (axes[1], "Real GPT-2", gpt2["share_above"][..., 5], gpt2["share_above_no_first_key"][..., 5]),
):
    plot_by_layer(all_pairs, ax, ylabel="share of the pairs with 0.5 or more", label="all pairs")
    plot_by_layer(other_pairs, ax, label="pairs without\nthe first token")
    ax.set_title(f"{name}: {sizes[name.replace('Loaded', 'loaded').replace('Real', 'real')]}")
plt.show()

# %%
high_all, high_others = (np.median(gpt2[name][..., 5], 1) for name in ("share_above", "share_above_no_first_key"))
for name, values in (("all pairs", high_all), ("without the first token", high_others)):
    print(f"real GPT-2, {name}: layers 0 to 5 {values[:6].mean():.3f}, layers 6 to 11 {values[6:].mean():.3f}")
means_all, means_others = (gpt2[name][..., 5].mean(1) for name in ("share_above", "share_above_no_first_key"))
print(f"mean instead of median over heads: {means_all[:6].mean():.3f} to {means_all[6:].mean():.3f};", end=" ")
print(f"without the first token {means_others[:6].mean():.3f} to {means_others[6:].mean():.3f}")
resting = (gpt2["first_share"] > 0.5).sum(1)
print("heads of 12 that give the first token more than half, by layer:", *resting)
assert means_all[6:].mean() > means_all[:6].mean() and means_others[6:].mean() < means_others[:6].mean()
for name, values in (("all pairs", above), ("without the first token", above_without)):
    by_layer = np.median(values[..., 5], -1)  # (text, layer)
    low, high = bootstrap_mean(by_layer[:, -1] - by_layer[:, 0])
    print(f"loaded model, {name}: last layer less first layer, 95 % interval over texts {low:+.3f} to {high:+.3f}")

# %% [markdown]
# *The figure says:* in GPT-2 the claim holds for all pairs, and **turns round** without the first token. The later layers do not look sharply at more words; more of their heads rest on the first
# token. Part of this is arithmetic: the weights are taken as they are, not shared out again, so where the first token has over half, no other key can have half. (Only one pair of a row can have more than half: the curve of all pairs
# has a ceiling, and in some layers it lies at it.) A figure of "high weights by layer" that does not say where the weights lie would mislead.
#
# ## 5. How much depends on the text?
#
# Six kinds of text, three texts of each. Colour is the kind; a line is the mean of its three texts' robust middles.
#
# **Predict.** Which kind will stand apart, and in which statistic?

# %%
colours = ("#0072B2", "#D55E00", "#009E73", "#555555", "#E69F00", "#CC79A7")
styles = dict(zip(TEXTS, zip("os^xDv", colours, strict=True), strict=True))


def plot_kinds(profile, name, ax):
    """The heads' median by layer, a line for each kind of text."""
    by_kind = np.median(getattr(profile, name), -1).reshape(6, 3, -1).mean(1)
    for values, (kind, (marker, colour)) in zip(by_kind, styles.items(), strict=True):
        ax.plot(values, marker=marker, color=colour, label=kind)
    ax.set(xlabel="layer", ylabel=name.replace("_", " "), xticks=range(len(by_kind[0])))


fig, axes = plt.subplots(1, 3, figsize=(16, 4), layout="constrained")
for ax, name in zip(axes, ("median", "effective_tokens", "previous_share"), strict=True):
    plot_kinds(loaded, name, ax)
axes[0].set(ylabel="median raw score (q·k)")
axes[1].set(ylabel="effective number of tokens")
axes[2].set(ylabel="share on the previous token")
axes[2].legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
fig.suptitle(f"Loaded model: median of {n_heads} heads, mean of 3 texts of {n_tokens} tokens for each kind")
plt.show()

# %% [markdown]
# *The figure says:* how far the kinds lie apart, beside how far the layers do. Do not yet believe that a kind is special: three texts differ from three others by chance as well. So ask:
# are two texts of one kind more alike than two of different kinds?


# %%
def differences(values):
    """Root mean square difference over heads of each two texts: of the same kind, and of different kinds."""
    kind = np.arange(len(values)) // 3
    flat = values.reshape(len(values), -1)
    distance = np.sqrt(((flat[:, None] - flat) ** 2).mean(-1))
    pairs = np.triu(np.ones_like(distance, dtype=bool), 1)
    same = kind[:, None] == kind
    return distance[pairs & same], distance[pairs & ~same]


print("loaded model: difference of two texts, over all heads")
print(f"{'':20}{'same kind':>12}{'other kinds':>14}{'ratio':>8}")
for name, values in zip(loaded._fields, loaded, strict=True):
    same, other = (d.mean() for d in differences(values))
    print(f"{name:20}{same:>12.3f}{other:>14.3f}{other / same:>8.2f}")

# %% [markdown]
# A ratio near 1 means that the kind adds nothing beyond what any two texts differ. How much of it is the work of one kind alone? Leave out the one that stands apart in mini's figure, the repeated words:

# %%
not_repeated = np.repeat([kind != "repeated words" for kind in TEXTS], 3)
for name in ("median", "fraction_negative"):
    same, other = (d.mean() for d in differences(getattr(loaded, name)[not_repeated]))
    print(f"{name:20} without the repeated words: ratio {other / same:.2f}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# In mini it is the kind with the repeated words, most of all in the last layer's scores; the rest of the ratio is what the other kinds have.
# </details>
#
# ### Where does the variance come from?
#
# We have a value for each text, layer and head. Its variance can be split, without a remainder, into that of the **layers'** means, of the **heads'** means about their layer's, of the
# **texts'** means, and a **rest**: what a head does on one text and not on another. The four shares sum to 1.
#
# **Predict.** Which is largest: layer, head, text or rest?

# %%
for name, profile in samples.items():
    print(f"{name}, {sizes[name]}")
    print(f"{'':20}" + "".join(f"{part:>8}" for part in ("layer", "head", "text", "rest")))
    for statistic, values in zip(profile._fields, profile, strict=True):
        print(f"{statistic:20}" + "".join(f"{share:>8.0%}" for share in variance_shares(values)))

# %%
shares = {statistic: variance_shares(values) for statistic, values in samples["real GPT-2"]._asdict().items()}
assert all(share.layer + share.head > 0.9 for share in shares.values())
assert all(share.text < 0.05 for share in shares.values())
assert all(share.layer < min(0.5, share.head) for share in shares.values()) and 0.12 < shares["spread"].layer < 0.17

# %% [markdown]
# <details><summary>What it says of GPT-2</summary>
#
# More than nine tenths of the variance are explained by the layer and the head, in every statistic: on these prompts a head is what it is, whatever it reads. The layer alone explains
# less than half of it, in the spread only a seventh. So a laminar profile is real, and it is *not* the whole story: in every statistic the heads of one layer differ more than the layers do.
#
# A small text share does not mean that texts do nothing. A text that moves some heads up and others down leaves the mean of all where it was: that counts as rest.
#
# But all five prompts are plain English of 6 or 7 tokens. Code and nonsense are not among them; for those, only the loaded model speaks.
# </details>
#
# ### What one text can say
#
# Take one text alone, and ask how far its profile may lie from that of all texts.

# %%
print("loaded model: the heads' median in a layer, half-width of its 95 % interval, mean over layers")
for statistic, values in zip(loaded._fields, loaded, strict=True):
    middles = np.median(values, -1)
    low, high = bootstrap_mean(middles)
    between = np.ptp(middles.mean(0))
    print(
        f"{statistic:20} one text ±{1.96 * middles.std(0, ddof=1).mean():.3f}, 18 texts ±{((high - low) / 2).mean():.3f}; the layers range over {between:.3f}"
    )

# %% [markdown]
# Where the layers' range is several times what one text scatters, a single text shows the profile's shape. Where it is not, a profile from one text is a picture of that text.
#
# ## 6. Length and the first token
#
# **Predict.** We give the model a text twice as long. What happens to the patterns of its first half?

# %%
long_text = " ".join(TEXTS["prose"])
input_ids = tokenizer(long_text, return_tensors="pt", truncation=True, max_length=192).input_ids
long_capture = capture_heads(model, input_ids)
half = capture_heads(model, input_ids[:, :96])
change = max(
    (long_capture.pattern(layer)[:, :96, :96] - half.pattern(layer)).abs().max().item() for layer in half.layers
)
assert change < 1e-4
print("the first 96 tokens' patterns, read alone or with 96 more after them: the same, to 4 digits")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Nothing at all. The mask hides the future (lesson 1). A longer text does not change its queries, it only **adds queries that have more keys**. So the effect of length can be read from one long text, query by query.
# </details>

# %%
queries = [query_profile(long_capture.pattern(layer)) for layer in long_capture.layers]
n_long = input_ids.shape[1]
position = np.arange(2, n_long)
fig, axes = plt.subplots(1, 2, figsize=(14, 4), layout="constrained")
for ax, name in zip(axes, ("effective_tokens", "first_share"), strict=True):
    for layer, query in enumerate(queries):
        # Averaged over eight neighbouring queries, since single ones jump.
        values = getattr(query, name).mean(0)
        smooth = np.convolve(values, np.ones(8) / 8, "valid")
        colour = MAPS["layer"](layer / max(1, n_layers - 1))
        ax.plot(np.convolve(position, np.ones(8) / 8, "valid"), smooth, color=colour, label=f"layer {layer}")
axes[0].plot(position, position + 1, color="black", ls=":", label="even shares")
axes[1].plot(position, 1 / (position + 1), color="black", ls=":")
axes[0].set(xlabel="query position (tokens before it)", ylabel="effective number of tokens", xscale="log", yscale="log")
axes[1].set(xlabel="query position (tokens before it)", ylabel="share on the first token", xscale="log", ylim=(0, 1))
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
fig.suptitle(
    f"Loaded model, one prose text of {n_long} tokens: mean of {n_heads} heads, 8 neighbouring queries together"
)
plt.show()

# %%
for layer, query in enumerate(queries):
    early, late = (query.effective_tokens[:, part].mean() for part in (position < 16, position >= n_long - 32))
    print(f"loaded model, layer {layer}: effective tokens {early:.1f} before position 16, {late:.1f} in the last 32")

# %% [markdown]
# *The figure says:* both statistics move with the position of the query. The dotted line is what even attention does. So a mean over all queries depends on the length of the text, and
# **profiles of texts of different lengths cannot be compared**: that is why all eighteen are cut to 64 tokens, and why GPT-2's 6 or 7 recorded tokens must not be set beside them, number by number.
#
# ### The first token
#
# Its share is large in many heads. What is the profile of the rest? `without_first_key` shares out among the others what is left.
#
# **Predict.** Is the pattern without the first token the same as if its *score* had never been there?

# %%
raw, pattern = capture.scores(0), capture.pattern(0)
d_head = capture.q.shape[-1]
same = attention_pattern(raw[..., 1:, 1:].double(), d_head)
assert torch.allclose(without_first_key(pattern.double()), same, rtol=1e-3, atol=1e-6)
print("largest difference:", f"{(without_first_key(pattern.double()) - same).abs().max().item():.0e}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Yes. Softmax keeps the proportions of all others when one key goes.
# </details>

# %%
later_scores = [capture.scores(layer)[:, 1:, 1:].double() for layer in capture.layers]
rest = [head_profile(raw, attention_pattern(raw, d_head)) for raw in later_scores]
rest = Profile(*(np.stack(values) for values in zip(*rest, strict=True)))
fig, axes = plt.subplots(1, 3, figsize=(16, 4), layout="constrained")
for ax, name, label in zip(
    axes,
    ("fraction_negative", "effective_tokens", "previous_share"),
    ("fraction of the scores below zero", "effective number of tokens", "share on the previous token"),
    strict=True,
):
    last = ax is axes[2]
    plot_by_layer(getattr(one, name), ax, label, label="all keys" if last else None)
    plot_by_layer(getattr(rest, name), ax, label="without the\nfirst token" if last else None)
fig.suptitle(f"Loaded model, one text of {n_tokens} tokens")
plt.show()

# %%
print("real GPT-2, five prompts, fraction below zero by layer (mean of 12 heads)")
for name, title in (("", "all keys"), ("_no_first_key", "without the first key")):
    print(f"{title:>24}:", " ".join(f"{share:.0%}" for share in gpt2[f"fraction_negative{name}"].mean(1)))
assert (gpt2["fraction_negative_no_first_key"].mean(1) > gpt2["fraction_negative"].mean(1)).all()

# %% [markdown]
# *The figure says:* how much of each profile was the first token's doing. In GPT-2, every layer's shift is deeper without it.
#
# And is it the *position* or the *word* that draws the attention? Put other words first.

# %%
body = tokenizer(TEXTS["prose"][0], return_tensors="pt").input_ids[:, 1:n_tokens]
print("loaded model, one text, share on the first token by layer (mean of the heads), when it is")
by_word = []
for word in ("The", " house", ",", "\n", " when"):
    start = tokenizer(word, return_tensors="pt").input_ids[:, :1]
    profile = laminar_profile(capture_heads(model, torch.cat([start, body], dim=1)))
    by_word.append(profile.first_share.mean(1))
    print(f"{token_strings(tokenizer, start)[0]:>10}:", " ".join(f"{share:.2f}" for share in by_word[-1]))
even_share = np.mean(1 / np.arange(3, n_tokens + 1))
print(f"   an even share is {even_share:.2f}")

# %% [markdown]
# If a layer's numbers agree from word to word and lie well above the even share, the layer looks at the *position*; if they differ, at the word; if they agree below the even share, it looks at neither.
#
# ## Exercises
#
# Each check runs your function on inputs of its own and says what is wrong. The solutions are in
# `solutions/07_laminar_profiles.ipynb`; try first. In 7.1, 7.3 and 7.4 the inputs are torch tensors, in the others numpy arrays.
#
# ### Exercise 7.1 · Mean step back (easy)
#
# Given patterns (..., query, key), return how many tokens the attention of a query goes back on average, weighted by its shares, as the mean over the queries **from the third on**: shape (...).

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `position[:, None] - position` is the step from each query (row) back to each key (column).
# </details>


# %% tags=["exercise"]
def my_mean_step_back(pattern):
    ### BEGIN SOLUTION
    position = torch.arange(pattern.shape[-1])
    steps = position[:, None] - position
    return (pattern * steps).sum(dim=-1)[..., 2:].mean(dim=-1)
    ### END SOLUTION


check("7.1", my_mean_step_back)

# %% [markdown]
# ### Exercise 7.2 · A robust middle (easy)
#
# Given a statistic (layer, head), return two arrays (layer,): the median over heads, and the distance between their quartiles.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `np.quantile` takes a list of levels and an axis.
# </details>


# %% tags=["exercise"]
def my_robust_middle(values):
    ### BEGIN SOLUTION
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=1)
    return middle, high - low
    ### END SOLUTION


check("7.2", my_robust_middle)

# %% [markdown]
# ### Exercise 7.3 · Without the first token (medium)
#
# Given patterns (..., T, T), return the patterns (..., T - 1, T - 1) that are left when nobody may look at the first token and the others keep their proportions. Rows sum to 1 again.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# What is the only key that query 0 could see? Its row has to go as well.
# </details>


# %% tags=["exercise"]
def my_without_first_key(pattern):
    ### BEGIN SOLUTION
    others = pattern[..., 1:, 1:]
    return others / others.sum(dim=-1, keepdim=True)
    ### END SOLUTION


check("7.3", my_without_first_key)

# %% [markdown]
# ### Exercise 7.4 · Pairs with high weights (medium)
#
# Given patterns (..., query, key) and a level, return the share of the causal pairs, of the queries **from the third on**, whose weight is at least the level: shape (...).

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `causal_mask(T)[2:]` marks these pairs. What does `pattern[..., 2:, :][..., mask]` give?
# </details>


# %% tags=["exercise"]
def my_share_high(pattern, level):
    ### BEGIN SOLUTION
    visible = causal_mask(pattern.shape[-1])[2:]
    return (pattern[..., 2:, :][..., visible] >= level).double().mean(dim=-1)
    ### END SOLUTION


check("7.4", my_share_high)

# %% [markdown]
# ### Exercise 7.5 · An interval over texts (hard)
#
# `values` (text, layer, head) holds a statistic; each line of `draws` (resample, text) names the texts that one resample draws. Each text's profile is the *median over heads*, a resample's is the
# *mean over its texts*. Return the 2.5 % and the 97.5 % quantile over resamples: two arrays (layer,).

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `middles = np.median(values, axis=2)` is (text, layer). What are the axes of `middles[draws]`?
# </details>


# %% tags=["exercise"]
def my_interval(values, draws):
    ### BEGIN SOLUTION
    middles = np.median(values, axis=2)
    means = middles[draws].mean(axis=1)  # (resample, layer)
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return low, high
    ### END SOLUTION


check("7.5", my_interval)

# %% [markdown]
# ### Exercise 7.6 · Head, text or neither (hard)
#
# `values` (text, head) holds a statistic of the heads of one layer. Return three numbers that sum to 1: the share of the variance that belongs to the heads' means, to the texts' means, and
# the rest.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `values.mean(axis=0)` has one number for each head. Compare its variance with that of all the values (variances that divide by $n$, as `np.var` does).
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
# **What is in the rest?** A head that reacts to one text in its own way, and chance, which would go away with longer texts. One value for each head and text cannot tell the two apart; two texts of each
# kind could.

# %% [markdown]
# ## What we found
#
# The table is made from the values measured above. GPT-2's are those of five recorded prompts of 6 or 7 tokens.

# %%
last_less_first = np.median(above[..., 5], -1)[:, [-1, 0]] @ [1, -1]
low, high = bootstrap_mean(last_less_first)
loaded_middles = np.median(loaded.median, -1)
loaded_low, loaded_high = bootstrap_mean(loaded_middles)
deepest = int(loaded_middles.mean(0).argmin())
robust = sum(share.layer + share.head > 0.8 for share in (variance_shares(values) for values in loaded))
findings = [
    (
        "the shift is deepest in the early middle",
        f"GPT-2: layers 2 to 4, in 5 of 5 prompts; loaded model: layer {deepest} of {n_layers}, {loaded_middles[:, deepest].mean():+.1f} ({loaded_low[deepest]:+.1f} to {loaded_high[deepest]:+.1f})",
        "holds for GPT-2",
    ),
    (
        "the shift is gone at the end",
        f"GPT-2: layer 11 {gpt2_middles[:, 11].mean():+.1f} ({gpt2_low[11]:+.1f} to {gpt2_high[11]:+.1f}); loaded model: {loaded_middles[:, -1].mean():+.1f} ({loaded_low[-1]:+.1f} to {loaded_high[-1]:+.1f})",
        "holds for GPT-2; loaded model: " + ("none there" if loaded_high[-1] >= 0 else "still there"),
    ),
    (
        "weights are sparse: many small, a few large",
        f"below 0.01 and at 0.5 or more: GPT-2 {gpt2_small:.0%} and {gpt2_large:.0%}, loaded model {1 - above[..., 0].mean():.0%} and {above[..., 5].mean():.1%}, control {1 - control_above[..., 0].mean():.0%} and {control_above[..., 5].mean():.1%}, even attention 0 and 0",
        "holds for GPT-2; loaded model: "
        + (
            "holds"
            if above[..., 5].mean() > 2 * control_above[..., 5].mean()
            and above[..., 0].mean() < control_above[..., 0].mean()
            else "does not"
        ),
    ),
    (
        "later layers have more pairs with high weights",
        f"GPT-2, first to second half: {means_all[:6].mean():.0%} to {means_all[6:].mean():.0%}; without the first token {means_others[:6].mean():.1%} to {means_others[6:].mean():.1%}; loaded model, last layer less first {low:+.1%} to {high:+.1%}",
        "GPT-2: only because of the first token",
    ),
    (
        "a profile belongs to the model, not to the text",
        f"layer and head carry {min(s.layer + s.head for s in shares.values()):.0%} or more of the variance in GPT-2; over 80 % in {robust} of 7 statistics in the loaded model",
        "holds on GPT-2's prompts; on the loaded model for " + ("all" if robust == 7 else f"{robust} of 7 statistics"),
    ),
]
Markdown(
    "| claim | evidence (95 % intervals over texts) | verdict |\n| --- | --- | --- |\n"
    + "\n".join(f"| {' | '.join(row)} |" for row in findings)
)

# %% [markdown]
# **Robust** are: medians over heads, one length for all texts, one scale for all layers, a statement that survives without the first token. **Not robust** are: means over heads, numbers from texts of
# different length, a profile from one text where texts scatter as much as layers, and the kind of a text judged from three.
#
# **Limits.** Eighteen short texts, written by the same hands, are a sample of texts like these. GPT-2's five prompts are fewer and shorter, and a bootstrap over five texts comes out too narrow.
#
# **Now it is your turn.** `09_your_own_project.ipynb` is a template for a question of your own.
#
# **Where to read on.** Vig and Belinkov 2019, *Analyzing the Structure of Attention in a Transformer Language Model*, looks at GPT-2 small layer by layer; Clark et al. 2019, *What Does BERT Look At?*, does
# it for BERT. The functions are in `headlab/profiles.py`, their tests in `tests/test_profiles.py`; the texts in `headlab/texts.py`.
