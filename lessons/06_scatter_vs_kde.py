# %% [markdown]
# # 6 · From scatter to density
#
# *A model has hundreds of thousands of scores for one short paragraph. How do you draw them without fooling yourself?*
#
# **You will be able to**
# - say when a scatter plot stops showing its data, and draw the same scores in views that need no bandwidth;
# - build a kernel density estimate (KDE) by hand, and say what it is: one convolution, and not a probability;
# - choose a bandwidth and defend it;
# - test whether a hill is real, with other bandwidths and with other rows and keys;
# - draw all heads of a model over any number of texts, and read the ridges.
#
# **You need** lessons 1 to 5: heads, raw scores, dependent rows, the attention sink.
#
# **Time** about {{minutes}} minutes, exercises included. The cells themselves run in {{seconds}}. The *optional* part
# at the end is not counted.
#
# **Three questions about earlier lessons**
#
# <details><summary>Lesson 3: a raw score is 16 and d_head is 64. What does softmax see?</summary>
#
# 16 / √64 = 2.
# </details>
#
# <details><summary>Lesson 4: why is a bootstrap that draws single scores too sure of itself?</summary>
#
# The scores of one row share their query, so they vary together. Whole rows have to be drawn.
# </details>
#
# <details><summary>Lesson 5: what stands apart in most rows of GPT-2's raw scores?</summary>
#
# The score of the first key, the attention sink.
# </details>
#
# > **The report:** Scatter plots are useless for tens of layers of data. A kernel density estimate makes each point a small
# > Gaussian with a bandwidth and adds them up (a "repeated convolution"). It shows the distribution (a "probability curve").

# %%
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from IPython.display import Markdown
from scipy.stats import gaussian_kde, norm

from headlab.capture import capture_heads, count_scores
from headlab.density import choose_bandwidth, fast_kde, kde, mode_tree, peaks
from headlab.diagram import data_flow
from headlab.exercises import check
from headlab.exercises.lesson6 import made_up_heads
from headlab.explorers import DensityExplorer
from headlab.histogram import ScoreHistogram
from headlab.masking import causal_mask
from headlab.models import load_model
from headlab.plots import (
    COLOURS,
    MAPS,
    plot_density,
    plot_layers,
    plot_mode_tree,
    plot_ridgelines,
    plot_score_histogram,
    plot_strips,
    show_figure,
)
from headlab.predict import predict, predict_number
from headlab.says import says, who
from headlab.shift import causal_scores, gpt2_reference

text = (
    "A young woman lived in a small white house by the deep river. Every cold morning an old man came down the long road "
    "with a black dog and a large book. One dark, wild night a strong wind struck the great tree, and the great tree fell "
    "across the long road. On the cold morning after, the old man and the black dog stood before the small white house. "
    "The young woman opened the green door."
)
model, tokenizer = load_model()
capture = capture_heads(model, tokenizer(text, return_tensors="pt").input_ids)
raw = torch.stack([capture.scores(layer) for layer in capture.layers])  # (layer, head, query, key)
n_layers, n_heads, n_tokens = raw.shape[:3]
scores = causal_scores(raw)  # (layer, head, n)
query, key = causal_mask(n_tokens).nonzero().numpy().T  # of each of the n scores
print(f"{who(model)}, {n_tokens} tokens: {len(query):,} scores in each head, {scores.size:,} in all")
data_flow("scores", model=model)

# %% [markdown]
# ## 1. Points that cover each other
#
# We draw one head, one layer and all heads in the same way: each head is a column, and every point is moved sideways at
# random so that fewer points cover each other. Each panel is 400 pixels wide and 250 high. **A point can be seen if it
# has a pixel to itself.**

# %%
guess = predict(
    "At which step do fewer than half of the points have a pixel to themselves?",
    "with one head",
    "with the heads of one layer",
    "with all heads of all layers",
)

# %%
layer = some_layer = min(1, n_layers - 1)  # any layer will do
amounts = {"one head": scores[layer, :1], "one layer": scores[layer], "all heads": scores.reshape(-1, len(query))}


def alone(heads):
    """Share of the points that share their pixel with no other; heads (head, n), each a column of the panel."""
    columns = np.repeat(np.arange(len(heads)), heads.shape[-1])
    strays = np.random.default_rng(0).uniform(-0.4, 0.4, columns.size)
    return (np.histogram2d(columns + strays, heads.ravel(), bins=(400, 250))[0] == 1).sum() / columns.size


fig, axes = plt.subplots(1, 3, figsize=(15, 3.6), layout="constrained")
seen = {}
for ax, (name, heads) in zip(axes, amounts.items(), strict=True):
    seen[name] = alone(heads)
    labels = [number if number % n_heads == 0 or len(heads) <= n_heads else "" for number in range(len(heads))]
    plot_strips(heads, labels, ax, size=1, jitter=0.4).set(xlabel="head", ylabel="raw score q·k")
    ax.set_title(f"{name}: {heads.size:,} points, {seen[name]:.1%} alone")
show_figure(f"Three panels of points. Alone in their pixel: {', '.join(f'{n} {s:.0%}' for n, s in seen.items())}.")

# %%
guess.reveal(
    (seen["one head"] < 0.5, "with one head", f"{seen['one head']:.1%} are alone."),
    (
        seen["one layer"] < 0.5,
        "with the heads of one layer",
        f"{seen['one head']:.0%} are alone in the first panel, {seen['one layer']:.1%} in the second, {seen['all heads']:.1%} in the third.",
    ),
    (seen["all heads"] < 0.5, "with all heads of all layers", f"{seen['all heads']:.1%} are alone there."),
    (True, None, "this model has so few heads that most of its points can be seen."),
    overlooked={
        "with one head": "the points of one head have a whole panel to themselves.",
        "with the heads of one layer": "compare the number of points with the 100,000 pixels of a panel.",
        "with all heads of all layers": "a panel of 100,000 pixels is crowded long before the last head.",
    },
)

# %% [markdown]
# So *useless* is too harsh a word for one head. For many heads the report is right: the figure shows how far the scores
# reach, not where most of them lie.
#
# ### Four other views, in the same layout
#
# Each panel below has one column for each layer and the same axis of scores. None of them needs a bandwidth.

# %%
columns = np.repeat(np.arange(n_layers), n_heads * len(query))
fig, axes = plt.subplots(1, 4, figsize=(16, 4), sharey=True, layout="constrained")
plot_strips(scores, range(n_layers), axes[0], alpha=0.01, jitter=0.4).set_title("transparent points")
edges = (np.arange(n_layers + 1) - 0.5, np.linspace(scores.min(), scores.max(), 101))
*_, cells = axes[1].hist2d(columns, scores.ravel(), bins=edges, cmap=MAPS["amount"])
fig.colorbar(cells, ax=axes[1], label="scores in a cell")
axes[1].set(title="counted in cells", xticks=range(n_layers))
sns.boxenplot(x=columns, y=scores.ravel(), ax=axes[2], color=COLOURS["loaded model"], showfliers=False)
axes[2].set_title("letter values (boxen)")
for number in range(n_layers):
    shade = MAPS["layer"](number / max(1, n_layers - 1))
    sns.ecdfplot(y=scores[number].ravel(), ax=axes[3], color=shade, label=f"layer {number}")
axes[3].set(xlabel="share of the scores below", title="ECDF")
axes[3].legend(frameon=False, fontsize=8)
for ax in axes[:3]:
    ax.set_xlabel("layer")
axes[0].set_ylabel("raw score q·k")
show_figure("The scores of each layer as transparent points, as counts in cells, as letter values and as an ECDF.")

# %% [markdown]
# *How to read them.* Transparent points saturate where there are many. Cells **count**. In **letter values** the widest
# box holds the middle half of the scores, the next ones half of what is left, and so on. The **ECDF** gives, for each
# score, the share of the scores below it, and loses nothing. These last two cannot invent features. But neither of them
# makes hills easy to see. For hills we want **how many scores there are per unit of score**: a density.
#
# ## 2. The histogram and its edges
#
# The simplest estimate counts scores in bins. Our example is a head of **real GPT-2, recorded**: L1H8 on five short prompts,
# 112 scores. (headlab ships them as counts in bins one unit wide; we spread each bin's scores evenly.)

# %%
gpt2 = gpt2_reference()


def spread_out(counts):
    """Scores that fit the shipped counts (bins,): those of a bin at even distances between its edges."""
    return np.concatenate([low + (np.arange(n) + 0.5) / n for low, n in zip(gpt2["edges"], counts, strict=False)])


counted = {"all": gpt2["histogram"], "other keys": gpt2["histogram_no_first_key"]}
counted["first key"] = counted["all"] - counted["other keys"]
recorded = {name: np.apply_along_axis(spread_out, -1, counts) for name, counts in counted.items()}  # (layer, head, n)
example = recorded["all"][1, 8]

# %%
guess = predict(
    "Bins of 8 units. We move their edges by 2, 4 and 6 units. Does the number of peaks stay the same?",
    "yes: the data are the same",
    "no",
)

# %%
fig, axes = plt.subplots(1, 4, figsize=(15, 3), sharex=True, sharey=True, layout="constrained")
found = []
for ax, move in zip(axes, (0, 2, 4, 6), strict=True):
    bins = np.arange(-56 + move, 48, 8)
    counts = np.histogram(example, bins)[0]
    found.append(len(peaks((bins[1:] + bins[:-1]) / 2, counts)))
    plot_score_histogram(counts, bins, ax, meaning="real GPT-2").set_title(f"moved by {move}: {found[-1]} peak(s)")
    ax.label_outer()
show_figure(f"Four histograms of the same 112 scores with the edges moved; they have {found} peaks.")

# %%
guess.reveal(
    (len(set(found)) > 1, "no", f"the histograms have {', '.join(map(str, found))} peaks."),
    (True, "yes: the data are the same", "these four histograms agree."),
    overlooked={
        "yes: the data are the same": "where an edge falls decides which scores are counted together.",
        "no": "here they agree, though their heights differ.",
    },
)

# %% [markdown]
# A histogram needs a width and a starting point, and the second choice is arbitrary. Let us do without it.
#
# ## 3. A KDE by hand
#
# Over each score put a small bell, a **Gaussian** centred on the score, and add the bells up:
#
# $$\hat f(x) = \frac{1}{n} \sum_{i=1}^{n} \frac{1}{h \sqrt{2\pi}} \exp\left(-\frac{(x - x_i)^2}{2 h^2}\right)$$
#
# One choice is left, the **bandwidth** $h$: the standard deviation of the bells, which are also called **kernels**.

# %%
guess = predict_number(
    "Five scores: -31, -24, -22, -8 and 6. The bandwidth is 5. How many peaks does the sum have?",
    "peaks",
)

# %%
five, h = np.array([-31.0, -24.0, -22.0, -8.0, 6.0]), 5.0
grid = np.linspace(-50, 25, 301)
bells = np.exp(-0.5 * ((grid[:, None] - five) / h) ** 2) / (h * np.sqrt(2 * np.pi)) / len(five)  # (grid, score)
by_hand = bells.sum(axis=1)
ax = plt.subplots(figsize=(8, 3.2), layout="constrained")[1]
for bell in bells.T:
    plot_density(grid, bell, ax, color="#E69F00", lw=1)
plot_density(grid, by_hand, ax, color="black", fill=False)
ax.plot(five, np.zeros(5), "|", color="#0072B2", ms=18, mew=2, clip_on=False)
ax.set_title("Five scores (blue), five bells of area 1/5 (orange), their sum (black)")
show_figure(f"Five bells, and their sum with its peaks at {peaks(grid, by_hand).round().tolist()}.")
assert np.allclose(by_hand, kde(five, grid, h)) and abs(np.trapezoid(by_hand, grid) - 1) < 1e-3
sample = scores[some_layer, 0]
assert np.allclose(kde(sample, grid), gaussian_kde(sample)(grid), atol=1e-12)
print("headlab.density.kde gives the same, and scipy's gaussian_kde (which seaborn draws) agrees with it.")

# %%
guess.reveal(
    len(peaks(grid, by_hand)),
    "the three scores on the left lie within two bandwidths of each other, so their bells merge.",
    overlooked={
        5: "bells that lie close together merge.",
        2: "the scores -8 and 6 are 14 apart, nearly three bandwidths.",
    },
)

# %% [markdown]
# ### “Repeated convolution”, “probability curve”
#
# Sliding a bell over the scores and adding up *is* a convolution, but only **one**. The bell is repeated for each
# score; the convolution is not. If we do repeat it, something else happens:

# %%
places, step = np.linspace(-80, 60, 1401, retstep=True)
curve, wider = kde(example, places, 3.0), kde(example, places, 3 * 2**0.5)
twice = np.convolve(curve, norm.pdf(np.arange(-400, 401) * step, scale=3.0), mode="same") * step
assert np.allclose(twice, wider, atol=1e-8)
print("convolved a second time, the KDE of bandwidth 3 becomes that of bandwidth 3√2")
highest = curve.max()
assert np.isclose(kde(example / 500, places / 500, 3 / 500).max(), 500 * highest)
print(f"highest point: {highest:.3f} per unit; in units 500 times as large: {500 * highest:.1f}")
share, area = ((example > -30) & (example < -20)).mean(), np.trapezoid(curve[500:601], places[500:601])
print(f"share of the scores from -30 to -20: {share:.2f}; area under the curve there: {area:.2f}")

# %% [markdown]
# Each repetition widens the bell: after $k$ convolutions the bandwidth is $h\sqrt k$, and in the end a single hump is
# left. And a **density is not a probability**: its unit is 1 over the unit of the scores, and it may well exceed 1.
# Probabilities are *areas* under it, or differences of two heights of the ECDF. Even these are shares of **these**
# scores only. To call them probabilities, we have to say how a text, a row and a key are drawn at random.
#
# ## 4. Choosing a bandwidth
#
# To see what a bandwidth does, we have to know the truth. So we invent it: a head with a sink, 85% of its scores around
# $-20$ and 15% around $+15$. Its scores can be drawn in two ways: independently or, as in a real head, with a part that
# the scores of one query share and a part that those of one key share.


# %%
def truth(x):
    return 0.85 * norm.pdf(x, -20, 8) + 0.15 * norm.pdf(x, 15, 3)


def draw(n_tokens, seed, shared=0.0):
    """The scores of all causal pairs, made of normal numbers that owe `shared` of their variance to query and key."""
    random = np.random.default_rng(seed)
    of_query, of_key = random.normal(size=(2, n_tokens))
    i, j = np.tril_indices(n_tokens)
    normal = np.sqrt(shared / 2) * (of_query[i] + of_key[j]) + np.sqrt(1 - shared) * random.normal(size=len(i))
    x = np.linspace(-80, 60, 4001)
    return np.interp(norm.cdf(normal), np.cumsum(truth(x)) * (x[1] - x[0]), x)  # each one has the density `truth`


grid = np.linspace(-60, 40, 251)
made_up = draw(24, seed=5)  # 300 scores
fig, axes = plt.subplots(1, 3, figsize=(15, 3), sharey=True, layout="constrained")
for ax, h in zip(axes, (0.5, 2.5, 15), strict=True):
    plot_density(grid, kde(made_up, grid, h), ax, color="#E69F00")
    ax.plot(grid, truth(grid), color="black", ls="--", lw=1.5)
    ax.set_title(f"bandwidth {h}: {len(peaks(grid, kde(made_up, grid, h)))} peak(s)")
    ax.label_outer()
show_figure("300 made-up scores. Bandwidth 0.5 shows many peaks, 2.5 two, 15 one; dashed, the true density has two.")

# %% [markdown]
# Too narrow **invents** hills, too wide **hides** them. Real data come without the dashed line, so we use rules:
#
# | rule | bandwidth | assumes |
# | --- | --- | --- |
# | Scott | $\hat\sigma\, n^{-1/5}$ | *one* Gaussian |
# | Silverman (scipy's version) | $\hat\sigma\, (3n/4)^{-1/5}$ | the same |
# | cross-validation | minimises an estimate of $\int (\hat f - f)^2$ that leaves out each score in turn | independent scores |
# | Sheather-Jones | solves an equation for the best $h$, with an estimate of how curved $f$ is | independent scores |
#
# We let them choose for 100 independent and for 100 dependent samples, and compare the squared error $\int (\hat f - f)^2$ with
# the least that any bandwidth reaches in the same sample.

# %%
guess = predict(
    "Two hills of scores, 100 samples. Which rule's squared error comes closest to the least possible one?",
    "Scott's: it is the default everywhere",
    "cross-validation: it assumes least",
    "Sheather-Jones: it estimates the curvature",
)

# %%
rules = ("scott", "silverman", "cross-validation", "sheather-jones")


def errors(shared):
    """Squared errors (sample, rule), the least possible ones (sample, 1) and the numbers of hills (sample, rule)."""
    made, hills = [], []
    for seed in range(100):
        drawn = draw(24, seed, shared)
        chosen = [choose_bandwidth(drawn, rule) for rule in rules]
        curves = [kde(drawn, grid, h) for h in (*chosen, *np.geomspace(1, 8, 12))]
        made.append([np.trapezoid((curve - truth(grid)) ** 2, grid) for curve in curves])
        hills.append([len(peaks(grid, curve)) for curve in curves[:4]])
    made = np.array(made)
    return made[:, :4], made.min(1, keepdims=True), np.array(hills)


print("The four rules compared:")
compared = {"independent": errors(0.0), "dependent": errors(0.8)}
fig, axes = plt.subplots(1, 2, figsize=(13, 3.4), sharex=True, layout="constrained")
for ax, (name, (made, least, hills)) in zip(axes, compared.items(), strict=True):
    sns.boxenplot(data=[*(made / least).T], ax=ax, orient="h", color="#E69F00")
    ax.set(xscale="log", xlabel="squared error / least possible", title=f"100 samples, {name} scores")
    ax.set_yticks(range(4), rules)
    ax.set_xticks((1, 2, 4, 8), "1248")
    print(
        f"{name}: mean squared error {', '.join(f'{r} {1e3 * e:.2f}' for r, e in zip(rules, made.mean(0), strict=True))} (thousandths)"
    )
    print(
        f"{'':>{len(name)}}  not two hills in {', '.join(f'{r} {n}' for r, n in zip(rules, (hills != 2).sum(0), strict=True))} samples"
    )
middle = {name: np.median(made / least, axis=0) for name, (made, least, _) in compared.items()}
closest = {name: rules[values.argmin()] for name, values in middle.items()}
show_figure(f"Letter values of the four rules' errors. Closest to the least possible: {closest}.")

# %%
guess.reveal(
    (
        set(closest.values()) == {"sheather-jones"},
        "Sheather-Jones: it estimates the curvature",
        f"its error is {middle['independent'][3]:.2f} times the least possible one (median), cross-validation's {middle['independent'][2]:.2f}, Scott's {middle['independent'][0]:.1f}.",
    ),
    (
        set(closest.values()) == {"cross-validation"},
        "cross-validation: it assumes least",
        f"its error is {middle['independent'][2]:.2f} times the least possible one (median).",
    ),
    (True, None, "the rules change places between the two panels."),
    overlooked={
        "Scott's: it is the default everywhere": "most of the spread is the distance between the two hills, so Scott's bandwidth is too wide.",
        "cross-validation: it assumes least": "it varies most from sample to sample, and now and then it sees many hills.",
        "Sheather-Jones: it estimates the curvature": "another rule does better here.",
    },
)

# %%
worse = np.mean(compared["dependent"][0][:, 3]) / np.mean(compared["independent"][0][:, 3])
print(f"dependent scores: the mean squared error of sheather-jones is {worse:.1f} times as large")
assert worse > 2 and (middle["dependent"][3] < middle["dependent"][[0, 1]]).all()

# %% [markdown]
# Here dependence hardly changes *which* bandwidth is best (on time series see Hall, Lahiri and Truong 1995). It changes **how much
# any curve can be trusted**: the error is several times as large.
#
# ## 5. Which hill is real?
#
# A **mode tree** shows the peaks for every bandwidth at once. A hill is a branch; the longer the branch, the less the hill
# depends on our choice. Here is GPT-2's L1H8, and beside it the density split by key.

# %%
widths = np.geomspace(1, 12, 60)
marked = {rule: choose_bandwidth(example, rule) for rule in ("scott", "sheather-jones")}
fig, axes = plt.subplots(1, 2, figsize=(14, 3.8), layout="constrained")
plot_mode_tree(widths, mode_tree(example, widths), axes[0], marked, "real GPT-2").set_title("mode tree")
h, places = marked["sheather-jones"], np.linspace(-60, 20, 401)
for name in ("other keys", "first key"):
    part = recorded[name][1, 8]
    assert (part > -6).sum() == {"first key": 31, "other keys": 1}[name]
    plot_density(places, kde(part, places, h) * part.size / example.size, axes[1], f"{name}: {part.size} scores")
plot_density(places, kde(example, places, h), axes[1], "real GPT-2, all scores", fill=False)
axes[1].set_title(f"bandwidth {h:.1f} (sheather-jones)")
fig.suptitle(f"Real GPT-2, recorded: L1H8, {example.size} scores of five short prompts")
show_figure("Left: one branch splits in two below a bandwidth of 4. Right: the right hill is made of first-key scores.")

# %% [markdown]
# *What to see.* Under Scott's rule L1H8 has one hill, under Sheather-Jones two, and the second one is the **sink**: all 31 scores of
# the first key lie above $-6$, and only one of the 81 others does. A default setting hides it. But be careful: L1H8 was
# *picked*. What about all 144 heads?

# %%
guess = predict_number(
    "Under Scott's rule 95 of GPT-2's 144 heads have two hills or more. How many do at 1.5 times its bandwidth?",
    "heads",
)

# %%
factors = np.geomspace(0.5, 2, 25)
everyone = recorded["all"].reshape(144, -1)
hills = np.array([[len(p) for p in mode_tree(s, choose_bandwidth(s) * factors)] for s in everyone])  # (head, factor)
with_two = (hills > 1).sum(0)
ax = plt.subplots(figsize=(8, 3.2), layout="constrained")[1]
ax.plot(factors, with_two, color=COLOURS["real GPT-2"])
ax.set(xlabel="bandwidth / Scott's bandwidth", ylabel="heads with 2 hills or more", ylim=(0, 144), xlim=(0.5, 2))
ax.set_title("Real GPT-2, recorded: 144 heads, 112 scores each")
two = {f: sum(len(p) > 1 for s in everyone for p in mode_tree(s, [f * choose_bandwidth(s)])) for f in (0.6, 1.0, 1.5)}
show_figure("The number of heads with two hills falls steadily as the bandwidth grows, without a plateau.")

# %%
guess.reveal(
    two[1.5],
    f"the count falls from {two[0.6]} at 0.6 times Scott's bandwidth to {two[1.0]} and {two[1.5]}: there is no plateau.",
    overlooked={95: "the second hill rises only a little above its valley in most heads.", 0: "a few heads keep it."},
    within=5,
)

# %% [markdown]
# The curve has no plateau. **A hill that depends on the bandwidth is not a finding**, and neither is "95 of 144 heads
# have two hills". What can we find, then? Ask a question that needs no bandwidth: of all pairs of a first-key score and
# another score of the same head, in what share does the first key win?

# %%
first, others = (recorded[name].reshape(144, -1) for name in ("first key", "other keys"))
wins = np.mean(first[:, :, None] > others[:, None], axis=(1, 2))  # (144,)
scott_two = np.array([len(peaks(*fast_kde(s))) > 1 for s in everyone])
print(f"real GPT-2, recorded: the first key wins more than 90% of the pairs in {(wins > 0.9).sum()} of 144 heads")
for name, some in (("with two hills", scott_two), ("with one hill", ~scott_two)):
    print(f"of the {some.sum()} heads {name} under Scott's rule, it does so in {(wins > 0.9)[some].sum()}")
assert (wins > 0.9).sum() == 115 and (wins > 0.9)[~scott_two].sum() == 31

# %% [markdown]
# *This* is a finding: in four heads out of five the first key stands apart, even in most of those where a default KDE
# shows one hill. The number of hills is a bad way to count sinks.
#
# For the loaded model we take the head with the most hills at half of the Sheather-Jones bandwidth, and test its hills
# twice: at twice that rule's bandwidth, and with other rows and keys. If rows and keys are resampled, a score's weight
# is how often its query was drawn times how often its key was.

# %%
chosen = np.array([[choose_bandwidth(s, "sheather-jones") for s in row] for row in scores])  # (layer, head)
each = zip(scores.reshape(-1, len(query)), chosen.ravel(), strict=True)  # the scores of a head and its bandwidth
narrow = np.array([len(peaks(*fast_kde(s, bandwidth=h / 2))) for s, h in each])
layer, head = divmod(int(narrow.argmax()), n_heads)
sample, h = scores[layer, head], chosen[layer, head]
widths = h * np.geomspace(0.25, 4, 40)
ax = plot_mode_tree(widths, mode_tree(sample, widths), marked={"sheather-jones": h, "twice that": 2 * h})
ax.set_title(f"{who(model)}, L{layer}H{head}: {sample.size:,} scores")
show_figure(
    f"Mode tree of L{layer}H{head}: where its density has peaks, for bandwidths from {widths[0]:.2f} to {widths[-1]:.1f}."
)

random = np.random.default_rng(5)
rows_drawn, keys_drawn = random.multinomial(n_tokens, np.full(n_tokens, 1 / n_tokens), size=(2, 200))  # how often each
resampled = [fast_kde(sample, bandwidth=h, weights=w) for w in rows_drawn[:, query] * keys_drawn[:, key]]
steady = np.mean([len(peaks(*curve)) > 1 for curve in resampled])
at = {factor: len(peaks(*fast_kde(sample, bandwidth=factor * h))) for factor in (0.5, 1, 2)}
says(
    (at[0.5] < 2, f"{who(model)}: no head has a second hill, not even at half of the Sheather-Jones bandwidth."),
    (
        at[2] > 1 and steady > 0.95,
        f"{who(model)}, L{layer}H{head}: a second hill is there at twice the bandwidth too, and in {steady:.0%} of the resamples. In this text it is a finding.",
    ),
    (
        at[2] > 1,
        f"{who(model)}, L{layer}H{head}: a second hill is there at twice the bandwidth too, but only in {steady:.0%} of the resamples. Another text may not show it.",
    ),
    (
        True,
        f"{who(model)}, L{layer}H{head}: {at[0.5]} hills at half the bandwidth, {at[1]} at the bandwidth itself, "
        f"{at[2]} at twice: what depends on it is not a finding.",
    ),
)

# %% [markdown]
# ## 6. How much do dependent scores tell?
#
# The scores of a row share their query, and those of a column share their key. We resample single scores, whole rows,
# or rows *and* keys, and see how much the density varies.

# %%
guess = predict(
    f"{len(query):,} scores of one head: how many independent scores tell as much, if rows and keys are resampled?",
    "nearly as many",
    "about half as many",
    "fewer than a quarter",
)

# %%
sample = scores[some_layer, 0]  # any head will do
units = {
    "single scores": random.multinomial(sample.size, np.full(sample.size, 1 / sample.size), size=200),
    "rows": rows_drawn[:, query],
    "rows and keys": rows_drawn[:, query] * keys_drawn[:, key],
}
h = choose_bandwidth(sample, "sheather-jones")
bands = {name: np.stack([fast_kde(sample, 512, h, weights=w)[1] for w in drawn]) for name, drawn in units.items()}
worth = {
    name: sample.size * (bands["single scores"].std(0).sum() / band.std(0).sum()) ** 2 for name, band in bands.items()
}
places = fast_kde(sample, 512, h)[0]
ax = plt.subplots(figsize=(8, 3.4), layout="constrained")[1]
for (name, band), colour in zip(reversed(bands.items()), ("#56B4E9", "#E69F00", "#000000"), strict=True):
    low, high = np.quantile(band, [0.025, 0.975], axis=0)
    ax.fill_between(places, low, high, color=colour, lw=0, label=f"{name}: as {worth[name]:,.0f} independent ones")
ax.set(xlabel="raw score q·k", ylabel="density (per unit of q·k)")
ax.set_title(f"{who(model)}, L{some_layer}H0: {sample.size:,} scores")
ax.legend(frameon=False, title="95% of 200 resampled densities:")
show_figure(
    f"Three bands, wider from single scores to rows to rows and keys: {', '.join(f'{n} {w:,.0f}' for n, w in worth.items())}."
)

# %%
effective = worth["rows and keys"] / sample.size
guess.reveal(
    (
        effective < 0.25,
        "fewer than a quarter",
        f"{sample.size:,} scores tell as much as some {worth['rows and keys']:,.0f}; drawing rows alone would say {worth['rows']:,.0f}.",
    ),
    (effective < 0.75, "about half as many", f"as much as some {worth['rows and keys']:,.0f}."),
    (
        True,
        "nearly as many",
        f"as much as some {worth['rows and keys']:,.0f}: here queries and keys have little in common.",
    ),
    overlooked={
        "nearly as many": "each query is in a whole row of scores, each key in a whole column.",
        "about half as many": "rows and keys both count, so the two effects add up.",
        "fewer than a quarter": "here the scores of a row or a column differ nearly as much as any others.",
    },
)

# %% [markdown]
# So the number of scores on a figure says little. State the number of tokens and above all of **texts**: to see the
# real uncertainty, one would have to draw other texts. A KDE of 20 scores is as smooth as one of 20,000: **smoothness
# is not a sign of certainty.**
#
# ### At a boundary
#
# Shares of attention live between 0 and 1. A Gaussian does not know that. We take the head that gives most to the first
# token: its other shares are near 0.

# %%
guess = predict(
    "What will the KDE of these shares show to the left of 0?",
    "nothing: no share is negative",
    "a thin tail, under 5% of the area",
    "a good part of the area",
)

# %%
on_first = torch.stack([capture.pattern(number)[:, 1:, 0].mean(-1) for number in range(n_layers)])  # (layer, head)
layer, head = divmod(on_first.argmax().item(), n_heads)
shares = capture.pattern(layer, head)[10:][causal_mask(n_tokens)[10:]].double().numpy()  # queries from the 11th on
h = choose_bandwidth(shares)
near_zero = np.linspace(-4 * h, 12 * h, 801)
ax = plot_density(near_zero, kde(shares, near_zero, h), color="#E69F00", ls="--", label="plain")
plot_density(near_zero, kde(shares, near_zero, h, bounds=(0, 1)), ax, color="black", fill=False, label="reflected")
ax.axvline(0, color="0.45", lw=1)
ax.set(xlabel="share of attention", ylabel="density (per unit of share)")
ax.set_title(f"{who(model)}, L{layer}H{head}: {shares.size:,} shares, Scott's bandwidth {h:.3f}")
leak = norm.cdf(-shares / h).mean()
show_figure(f"The plain density puts {leak:.0%} of its area below 0; the reflected one puts none there.")

# %%
guess.reveal(
    (leak > 0.05, "a good part of the area", f"{leak:.0%} of it, and just above 0 the plain density is too low."),
    (leak > 5e-4, "a thin tail, under 5% of the area", f"{leak:.1%} of it."),
    (True, "nothing: no share is negative", "here hardly any share lies within two bandwidths of 0."),
    overlooked={
        "nothing: no share is negative": "each bell reaches beyond its score on both sides.",
        "a thin tail, under 5% of the area": "half of each bell at 0 lies below 0.",
        "a good part of the area": "few shares lie within a bandwidth of 0 here.",
    },
)

# %% [markdown]
# The remedy is **reflection** at the bound (Schuster 1985): what leaks is folded back. It repairs the area, not the width: where a few
# large shares widen Scott's bandwidth, the many small ones are drawn too broad.
#
# The **density explorer** shows all this in one place: sample, bandwidth, each kernel and their sum, reflection.

# %%
explorer = DensityExplorer(model, tokenizer, text.split(". ")[0] + ".", layer=layer, head=head)
explorer.still()

# %%
explorer

# %% [markdown]
# ## 7. All heads, any number of texts
#
# Densities one below the other are called **ridgelines**. A hundred texts have a hundred times as many scores, but
# **counts add up**: a `ScoreHistogram` has bins far narrower than any useful bandwidth, and takes half a megabyte per
# head for any number of texts. `count_scores` fills one during a forward pass and discards the scores.

# %%
texts = [
    text,
    "In the spring the farmer sold his brown horse at the market and bought a cart, two goats and a new coat for his son. "
    "His wife laughed when she saw the goats, but the boy was happy, and the goats ate the flowers by the gate.",
]
histograms = [count_scores(model, tokenizer(t, return_tensors="pt").input_ids) for t in texts]
total = sum(histograms[1:], start=histograms[0])
assert total.counts.nbytes == histograms[0].counts.nbytes and (histograms[0].n == scores.shape[-1]).all()
axes = plot_layers(total, bandwidth="sheather-jones")
axes[0].figure.suptitle(f"{who(model)}, {len(texts)} texts: {total.n[0, 0]:,} scores in each head, sheather-jones")
show_figure("One panel for each layer, one ridge for each head.")

# %%
gpt2_histogram = ScoreHistogram(range(12), 12, model="gpt2")
for number, heads in enumerate(recorded["all"]):
    gpt2_histogram.update(number, torch.from_numpy(heads))
axes = plot_layers(gpt2_histogram, "sheather-jones", meaning="real GPT-2")
axes[0].figure.suptitle("Real GPT-2, recorded, five short prompts: 112 scores in each head, sheather-jones")
show_figure(
    "Ridges of GPT-2's 144 heads. Most lie left of zero in the first layers; in the last they extend to its right."
)

# %% [markdown]
# *How to read them.* Within a panel all ridges have the same area and one scale of heights: a low ridge is a wide one.
# Look for position, width and shape, in this order, and trust the shape least.
#
# **Mind the length of the text.** In a prompt of 7 tokens the first key has 7 of the 28 scores; in a text of 100
# tokens, 100 of 5,050. The same sink makes a hill in the one and a ripple in the other. Compare densities only between
# texts of similar length.

# %% [markdown]
# ## Exercises
#
# Each check says what is wrong. Try first; the solutions are in `solutions/06_scatter_vs_kde.ipynb`. All inputs are
# numpy arrays.

# %% [markdown]
# ### Exercise 6.1 · A KDE from its definition
#
# *Difficulty 2 of 5 · importance 4 of 5 · about 3 minutes*
#
# Given `samples` (n,), `grid` (points,) and a `bandwidth`, return the density at each point of the grid, (points,),
# using only numpy.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# What is the shape of a table of all distances between points and samples?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Every sample counts $1/n$, so the bells are averaged, over the axis of the samples.
# </details>


# %% tags=["exercise"]
def my_kde(samples, grid, bandwidth):
    ### BEGIN SOLUTION
    distances = (grid[:, None] - samples) / bandwidth
    return np.exp(-0.5 * distances**2).mean(axis=1) / (bandwidth * np.sqrt(2 * np.pi))
    ### END SOLUTION


check("6.1", my_kde)

# %% [markdown]
# ### Exercise 6.2 · Choose a bandwidth and defend it
#
# *Difficulty 4 of 5 · importance 5 of 5 · about 5 minutes*
#
# Given `samples` (n,), return three bandwidths: the one you would draw with, and the lowest and the highest bandwidth
# of the range around it in which the density keeps its number of hills. Count hills with `peaks`, and search only from
# a quarter of your bandwidth to four times it. The samples of the check come from known densities: your squared error
# may be up to twice the least possible, and your range 15% off.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Which rule of section 4 came closest to the best bandwidth? And what shows the number of hills for many bandwidths?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Walk along `mode_tree` from your bandwidth, down and up, until the number of peaks changes. It may change back later:
# stop at the first change.
# </details>


# %% tags=["exercise"]
def my_bandwidth(samples):
    ### BEGIN SOLUTION
    h = choose_bandwidth(samples, "sheather-jones")
    widths = h * np.geomspace(1 / 4, 4, 81)  # h is number 40
    hills = [len(found) for found in mode_tree(samples, widths)]
    low = high = 40
    while low > 0 and hills[low - 1] == hills[40]:
        low -= 1
    while high < 80 and hills[high + 1] == hills[40]:
        high += 1
    return h, widths[low], widths[high]
    ### END SOLUTION


check("6.2", my_bandwidth)

# %% [markdown]
# ### Exercise 6.3 · Which hill is real?
#
# *Difficulty 4 of 5 · importance 5 of 5 · about 5 minutes*
#
# `samples` (texts, n) holds the scores of one head in several texts. Return True if you would publish its second hill,
# False if not. The made-up heads of the check are clear cases: do not believe a hill that other bandwidths or other
# texts do not show.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Two things could make a false hill: your bandwidth, and one odd text. Test both.
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Ask for two peaks at the Sheather-Jones bandwidth of all scores and at 1.5 times that. Then draw whole texts with replacement,
# many times, and ask for two peaks in nearly all of the draws.
# </details>


# %% tags=["exercise"]
def my_verdict(samples):
    ### BEGIN SOLUTION
    h = choose_bandwidth(samples, "sheather-jones")
    if min(len(found) for found in mode_tree(samples, [h, 1.5 * h])) < 2:
        return False
    random = np.random.default_rng(0)
    draws = random.integers(len(samples), size=(50, len(samples)))
    return np.mean([len(peaks(*fast_kde(samples[drawn], bandwidth=h))) > 1 for drawn in draws]) > 0.9
    ### END SOLUTION


check("6.3", my_verdict)

# %% [markdown]
# ### Exercise 6.4 · Reflect at the bound
#
# *Difficulty 3 of 5 · importance 4 of 5 · about 3 minutes*
#
# `samples` (n,) are never below 0; `grid` (points,) reaches below. Return the density that is reflected at 0: nothing below, and
# nothing lost. You may use `kde(samples, grid, bandwidth)`, without its bounds.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# What leaks to $-x$ belongs at $+x$.
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# What is the density of the samples at `-grid`?
# </details>


# %% tags=["exercise"]
def my_bounded_kde(samples, grid, bandwidth):
    ### BEGIN SOLUTION
    both = kde(samples, grid, bandwidth) + kde(samples, -grid, bandwidth)
    return np.where(grid >= 0, both, 0.0)
    ### END SOLUTION


check("6.4", my_bounded_kde)

# %% [markdown]
# ### Exercise 6.5 · Many texts, one density
#
# *Difficulty 2 of 5 · importance 4 of 5 · about 2 minutes*
#
# `counts` (texts, bins) holds one head's histogram of each text, all with the same bins, `step` wide. Return the density of all
# scores together, (bins,), not smoothed.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# A text of 200 tokens has 20,100 causal scores, one of 20 tokens has 210. Should they weigh the same?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# The area of the result, the sum of its bins times `step`, is 1.
# </details>


# %% tags=["exercise"]
def my_density_of_all(counts, step):
    ### BEGIN SOLUTION
    together = counts.sum(axis=0)
    return together / together.sum() / step
    ### END SOLUTION


check("6.5", my_density_of_all)

# %% [markdown]
# ### Exercise 6.6 · What a mean hides
#
# *Difficulty 3 of 5 · importance 4 of 5 · about 3 minutes*
#
# Given the `scores` (head, n) of several heads, return the number of the head whose mean misleads most: hardly any score lies
# near it. Measure by the density at the mean as a share of the highest density of the same head, with the Sheather-Jones
# bandwidth. The check tries the loaded model too.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Where does the mean of two clusters lie?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# `kde` takes a grid of a single point. The highest density is that of `fast_kde`.
# </details>


# %% tags=["exercise"]
def my_misleading_mean(scores):
    ### BEGIN SOLUTION
    shares = []
    for sample in scores:
        h = choose_bandwidth(sample, "sheather-jones")
        shares.append(kde(sample, sample.mean(), h) / fast_kde(sample, bandwidth=h)[1].max())
    return int(np.argmin(shares))
    ### END SOLUTION


check("6.6", my_misleading_mean, scores[-1])

# %% [markdown]
# ### Exercise 6.7 · Read a ridgeline
#
# *Difficulty 1 of 5 · importance 5 of 5 · about 2 minutes*
#
# Six made-up heads of 400 scores each. Read from the figure, without computing: which one has the **highest median**, which one is
# **spread most widely**, which one has **two clear hills**, and in which are **nearly all scores negative and close together**? Return
# the four letters in this order, such as `"ABCD"`.

# %%
heads = made_up_heads()
axes = plot_ridgelines(
    [fast_kde(s, bandwidth="sheather-jones") for s in heads.values()], list(heads), meaning=None
).set_title("Six made-up heads")
show_figure("Six ridges, A to F, that differ in position, width and shape.")

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# All ridges have the same area. What does a high one tell you about its width?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Half of the area lies left of the median. A long thin tail adds little area.
# </details>


# %% tags=["exercise"]
def my_reading():
    ### BEGIN SOLUTION
    return "EACF"
    ### END SOLUTION


check("6.7", my_reading)

# %% [markdown]
# ## What we found

# %%
Markdown(f"""
| the report | evidence | verdict |
| --- | --- | --- |
| “scatter plots are useless for tens of layers of data” | {who(model)}: {seen["one head"]:.0%} of one head's points have a pixel to themselves, {seen["all heads"]:.1%} of all heads' | true for many heads, not for one; counts, letter values and the ECDF show them all |
| each point a small Gaussian, added up | equal to scipy's gaussian_kde to 1e-12 | true |
| “repeated convolution” | convolving twice gives the bandwidth h√2 | no: one convolution; repeating it smooths everything away |
| “probability curve” | the same density is {highest:.3f} high in one unit and {500 * highest:.0f} in another | no: areas are shares of the scores drawn, and the ECDF shows them directly |
| “shows the distribution” | real GPT-2, recorded: {two[0.6]}, {two[1.0]} or {two[1.5]} of 144 heads have two hills at 0.6, 1 and 1.5 times Scott's bandwidth | only if the bandwidth is defended and the number of independent scores stated |
| (ours) the first key stands apart | real GPT-2, recorded: it wins over 90% of the pairs in {(wins > 0.9).sum()} of 144 heads | holds for these short prompts, without any bandwidth |
""")

# %% [markdown]
# **Limits.** GPT-2's shapes are those of five short prompts, 112 scores in each head, known to within one unit. The rules were compared
# on one made-up density.
#
# **Where to read on**
# - M. Rosenblatt, 1956, *Remarks on Some Nonparametric Estimates of a Density Function*; E. Parzen, 1962, *On Estimation of a Probability
#   Density Function and Mode*: the estimate. B. W. Silverman, 1986, *Density Estimation for Statistics and Data Analysis*, and M. P. Wand
#   and M. C. Jones, 1995, *Kernel Smoothing*: the books.
# - D. W. Scott, 1992, *Multivariate Density Estimation*; M. Rudemo, 1982, and A. W. Bowman, 1984: cross-validation; S. J. Sheather and M. C.
#   Jones, 1991, *A Reliable Data-Based Bandwidth Selection Method for Kernel Density Estimation*; P. Hall, S. N. Lahiri and Y. K.
#   Truong, 1995, *On Bandwidth Choice for Density Estimation with Dependent Data*.
# - B. W. Silverman, 1981, *Using Kernel Density Estimates to Investigate Multimodality*; M. C. Minnotte and D. W. Scott, 1993, *The Mode Tree*.
# - E. F. Schuster, 1985, *Incorporating Support Constraints into Nonparametric Estimators of Densities*: reflection.
# - H. Hofmann, H. Wickham and K. Kafadar, 2017, *Letter-Value Plots: Boxplots for Large Data*; A. B. Owen, 2007, *The Pigeonhole
#   Bootstrap*: resampling rows and columns.
#
# The densities are in `headlab/density.py`, the histogram in `headlab/histogram.py`; the tests compare them with scipy and with the values
# that R publishes. Lesson 7 follows the densities from layer to layer.

# %% [markdown] tags=["optional"]
# ## Appendix (optional): what a KDE costs
#
# The exact KDE computes a Gaussian for every score *and* every point of the grid. `fast_kde` counts the scores in narrow bins, each
# score shared between its two nearest ones (**linear binning**), and then convolves the bins once. How narrow must they be?

# %% tags=["optional"]
sample = scores[some_layer, 0]
h = choose_bandwidth(sample)
low = sample.min() - 6 * h
errors_of_bins = {}
for cells in (1, 2, 4, 8, 16, 32):
    step = h / cells
    place = (sample - low) / step
    n_bins = int(place.max()) + 6 * cells
    below = np.floor(place).astype(int)
    simple = np.bincount(np.rint(place).astype(int), minlength=n_bins)  # each score to its nearest bin
    linear = np.bincount(below, 1 - (place - below), n_bins) + np.bincount(below + 1, place - below, n_bins)
    exact = kde(sample, low + step * np.arange(n_bins), h)
    bell = norm.pdf(np.arange(-6 * cells, 6 * cells + 1) * step, scale=h)
    smooth = [np.convolve(counts / sample.size, bell, mode="same") for counts in (simple, linear)]
    errors_of_bins[cells] = [np.abs(density - exact).max() / exact.max() for density in smooth]
    print(
        f"{cells:2} bins per bandwidth: off by {errors_of_bins[cells][0]:.4%} of the peak, with linear binning {errors_of_bins[cells][1]:.4%}"
    )
assert errors_of_bins[16][1] < 1e-3 and errors_of_bins[32][1] < errors_of_bins[2][1] / 50

# %% [markdown] tags=["optional"]
# With linear binning, halving the bins makes the error four times smaller. Now the steps, counted, not timed:

# %% tags=["optional"]
n = 2 ** np.arange(8, 25)
extent = np.ptp(sample) / sample.std()  # in standard deviations; under Scott's rule a bandwidth is n**(-1/5) of them
bins = np.maximum(512, 16 * extent * n**0.2)
exact_steps, fast_steps = 512.0 * n, n + bins * np.log2(bins)
ax = plt.subplots(figsize=(8, 3.6), layout="constrained")[1]
ax.loglog(n, exact_steps, color="#E69F00", ls="--", label="exact: one Gaussian for each score and grid point")
ax.loglog(n, fast_steps, color="black", label="fast: each score once, then the bins' transform")
ax.loglog(n, bins * np.log2(bins), color="#56B4E9", ls=":", label="from counts: the transform alone")
ax.set(xlabel="scores", ylabel="steps", title="512 grid points")
ax.legend(frameon=False, fontsize=9)
show_figure(
    "Steps against scores. The exact KDE grows in proportion; the fast one hardly grows until some ten thousand scores."
)

# %% [markdown] tags=["optional"]
# Once the scores are counted, their number hardly matters: more scores only mean a narrower bandwidth, and so finer bins.
#
# ### Samples without a density
#
# headlab's functions refuse such input in one line each.


# %% tags=["optional"]
def refused(call):
    try:
        call()
    except ValueError as error:
        return str(error)
    raise AssertionError("this was not refused")


masked = raw[some_layer, 0].masked_fill(~causal_mask(n_tokens), -torch.inf)
print("masked scores:     ", refused(lambda: fast_kde(masked)))
print("first rows' shares:", refused(lambda: fast_kde(np.ones(12))))
print("one score:         ", refused(lambda: fast_kde([3.0])))
print("too coarse a grid: ", refused(lambda: fast_kde(made_up, n_grid=4)))

# %% [markdown] tags=["optional"]
# ### Exercise 6.8 · Cross-validation
#
# *Difficulty 5 of 5 · importance 3 of 5 · about 8 minutes*
#
# Multiply out $\int (\hat f - f)^2$: $\int \hat f^2 - 2 \int \hat f f + \int f^2$. The last term is the same for every bandwidth. The
# middle one is the mean of $\hat f$ at *new* scores, and leaving out one score at a time makes each of them new. Given `samples` (n,) and
# a `bandwidth` $h$, return
#
# $$\int \hat f^2 \;-\; \frac{2}{n} \sum_i \hat f_{-i}(x_i)$$
#
# where $\hat f_{-i}$ is the KDE of all samples except the $i$-th. The integral is the mean, over all pairs $i, j$ (also $i = j$), of a
# Gaussian of standard deviation $h\sqrt 2$ at $x_i - x_j$.

# %% [markdown] tags=["hint", "optional"]
# <details><summary>Hint 1: a nudge</summary>
#
# Make the table of all differences once, (n, n). `norm.pdf(table, scale=...)` accepts the whole table.
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# For the second term leave out the diagonal. How many others does each sample have?
# </details>


# %% tags=["exercise", "optional"]
def my_validation_score(samples, bandwidth):
    ### BEGIN SOLUTION
    n = len(samples)
    differences = samples[:, None] - samples
    squared = norm.pdf(differences, scale=bandwidth * np.sqrt(2)).mean()
    gaussians = norm.pdf(differences, scale=bandwidth)
    np.fill_diagonal(gaussians, 0.0)
    return squared - 2 * gaussians.sum() / (n * (n - 1))
    ### END SOLUTION


check("6.8", my_validation_score)

# %% [markdown] tags=["optional"]
# ### Exercise 6.9 · Smooth the bins
#
# *Difficulty 3 of 5 · importance 2 of 5 · about 5 minutes*
#
# Given `counts` (bins,) of scores in bins that are `step` wide, and a `bandwidth` in the scores' unit, return the density at the bins'
# middles: (bins,). Take all scores of a bin to lie in its middle.

# %% [markdown] tags=["hint", "optional"]
# <details><summary>Hint 1: a nudge</summary>
#
# Two bins that are $m$ places apart have middles $m \cdot$ `step` apart.
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Either make the whole (bins, bins) table of Gaussians, or use `np.convolve` with a kernel that has an entry for every distance between two
# bins; think about which part of its result belongs to the bins.
# </details>


# %% tags=["exercise", "optional"]
def my_smoothed_counts(counts, step, bandwidth):
    ### BEGIN SOLUTION
    distances = np.arange(1 - len(counts), len(counts)) * step
    kernel = np.exp(-0.5 * (distances / bandwidth) ** 2) / (bandwidth * np.sqrt(2 * np.pi))
    return np.convolve(kernel, counts / counts.sum(), mode="valid")
    ### END SOLUTION


check("6.9", my_smoothed_counts)
