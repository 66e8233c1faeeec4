# %% [markdown]
# # 6 · From scatter to density
#
# *A model has a hundred thousand scores for every short paragraph. How do you look at them without fooling yourself?*
#
# **You will be able to**
# - say when a scatter plot stops showing its data, and what its repairs really do;
# - build a kernel density estimate (KDE) by hand, and know that it equals the library's;
# - choose a bandwidth, and see what it hides or invents;
# - name five places where a KDE lies (the bandwidth, and the four of section 5), and what to do in each;
# - draw all heads of a model over as many texts as you like, and read the shapes.
#
# **You need** lessons 1 to 5: heads, raw scores, the attention sink, the negative shift.
#
# **Time** about 45 minutes to read, try and answer. The cells themselves run in well under a minute on two cores.
#
# *The report says:* scatter plots are useless for tens of layers of data. A kernel density estimate, each point a small Gaussian with a bandwidth, summed
# (a convolution), shows the distribution. We test both sentences.

# %%
import math
import statistics
import timeit

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from IPython.display import Markdown
from scipy.signal import find_peaks
from scipy.stats import gaussian_kde, norm

from headlab.capture import capture_heads, count_scores
from headlab.density import choose_bandwidth, cross_validation_scores, fast_kde, kde
from headlab.exercises import check
from headlab.explorers import DensityExplorer
from headlab.histogram import ScoreHistogram
from headlab.masking import causal_mask
from headlab.models import load_model
from headlab.plots import MAPS, plot_density, plot_layers, plot_ridgelines, plot_score_histogram, plot_strips
from headlab.shift import causal_scores, gpt2_reference

# %% [markdown]
# ## 1. When a scatter stops being readable
#
# One short paragraph, one model, and the raw scores of all its causal pairs. (The future is no part of a head's scores: lesson 4.)

# %%
model, tokenizer = load_model()
text = (
    "A young woman lived in a small white house by the deep river. Every cold morning an old man came down the long road "
    "with a black dog and a large book. One dark, wild night a strong wind struck the great tree, and the great tree fell "
    "across the long road. On the cold morning after, the old man and the black dog stood before the small white house. "
    "The young woman opened the green door."
)
capture = capture_heads(model, tokenizer(text, return_tensors="pt").input_ids)
raw = torch.stack([capture.scores(layer) for layer in capture.layers])  # (layer, head, query, key)
n_layers, n_heads, n_tokens = raw.shape[:3]
scores = causal_scores(raw)  # (layer, head, n), float64
print(f"{n_tokens} tokens: {scores.shape[-1]:,} scores in each of {n_layers} x {n_heads} heads, {scores.size:,} in all")

# %% [markdown]
# **Predict.** One head, then the 12 of a layer, then all layers: at which step can you no longer see where most of the scores lie?

# %%
layer, head = 1, 0
visible = causal_mask(n_tokens)
query = visible.nonzero()[:, 0].numpy()  # the query of each causal pair
fig, axes = plt.subplots(1, 3, figsize=(15, 4), layout="constrained")
axes[0].scatter(query, scores[layer, head], s=16, lw=0, color="#0072B2", rasterized=True)
axes[0].set(xlabel="query (position in the text)", ylabel="raw score q·k", title=f"{len(query):,} points")
plot_strips(scores[layer], range(n_heads), axes[1]).set_xlabel(f"head of layer {layer}")
plot_strips(scores, range(n_layers), axes[2]).set_xlabel("layer (all its heads)")
fig.suptitle(f"Loaded model: one head (L{layer}H{head}), one layer, all layers")
plt.show()

# %% [markdown]
# *The figure says:* on the left a cloud, dense in its middle; in the centre and on the right only **how far the scores reach**. Where most of them lie,
# the points cover each other.
#
# That can be counted. Give each panel 400 by 250 pixels: how many points have a pixel to themselves?


# %%
def alone(x, y):
    """Share of the points that share their pixel with no other."""
    counts = np.histogram2d(x, y, bins=(400, 250))[0]
    return (counts == 1).sum() / len(x)


one_layer = np.repeat(np.arange(n_heads), len(query)), scores[layer].ravel()
all_layers = np.repeat(np.arange(n_layers), n_heads * len(query)), scores.ravel()
for name, (x, y) in {
    "one head": (query, scores[layer, head]),
    "one layer": one_layer,
    "all layers": all_layers,
}.items():
    print(f"{name:>10}: {len(x):>9,} points, {alone(x, y):.1%} of them have a pixel to themselves")
assert alone(*all_layers) <= alone(*one_layer) < alone(query, scores[layer, head])

# %% [markdown]
# ### The repairs, fairly drawn
#
# A scatter has its remedies, and a fair comparison uses them: transparent points, jitter with small points, hexagons coloured by their count, and
# a picture with one column of pixels for each head.

# %%
strays = np.random.default_rng(0).uniform(-0.4, 0.4, scores.size)
edges = np.linspace(scores.min(), scores.max(), 121)
by_head = np.stack([np.histogram(s, edges)[0] for s in scores.reshape(-1, len(query))], -1)  # (bin, head)

fig, axes = plt.subplots(2, 2, figsize=(14, 8), layout="constrained")
plot_strips(scores, range(n_layers), axes[0, 0], alpha=0.01).set_xlabel("layer")
axes[0, 0].set_title(f"transparent (alpha 0.01): {scores.size:,} points")
plot_strips(scores, range(n_layers), axes[0, 1], size=0.8, alpha=0.1, jitter=0.4).set_xlabel("layer")
axes[0, 1].set_title(f"jitter and small points: {scores.size:,} points")
hexagons = axes[1, 0].hexbin(all_layers[0] + strays, all_layers[1], gridsize=(60, 40), bins="log", cmap=MAPS["amount"])
fig.colorbar(hexagons, ax=axes[1, 0], label="scores in a hexagon")
axes[1, 0].set(
    xlabel="layer", ylabel="raw score q·k", xticks=range(n_layers), title=f"hexagons: {scores.size:,} points"
)
extent = (-0.5, n_layers * n_heads - 0.5, edges[0], edges[-1])
pixels = axes[1, 1].imshow(
    by_head, cmap=MAPS["amount"], aspect="auto", origin="lower", extent=extent, interpolation="nearest"
)
fig.colorbar(pixels, ax=axes[1, 1], label="scores in a pixel")
ticks = np.arange(n_layers) * n_heads
axes[1, 1].set(xlabel="heads, layer after layer (ticks: head 0 of each)", ylabel="raw score q·k")
axes[1, 1].set_xticks(ticks, range(n_layers))
axes[1, 1].set_title(f"one column of pixels for each head: {scores.size:,} points")
plt.show()

# %% [markdown]
# *The figure says:* transparent points saturate, and jitter shows where the mass lies but not how much of it. Hexagons and pixels do better, for they no longer
# draw points at all: **they count**.
#
# So *useless* is too hard a word: a scatter of one head is fine. But every repair that works is an estimate of **how many scores there are per unit
# of score**. That is a density; let us estimate it properly.

# %% [markdown]
# ## 2. The histogram and its edges
#
# The simplest estimate counts scores in bins. We take a head of **real GPT-2**, from the statistics that ship with headlab (five short prompts,
# 112 scores in each head). They are counts in bins one unit wide, so we spread each bin's scores evenly between its edges; against bandwidths of
# several units, this changes next to nothing. Bandwidths near one unit would draw the bins themselves: a count of peaks at such a bandwidth is not to be trusted.

# %%
gpt2 = gpt2_reference()


def spread_out(counts):
    """Scores that fit the shipped counts (bins,): those of a bin at even distances between its edges."""
    return np.concatenate([low + (np.arange(n) + 0.5) / n for low, n in zip(gpt2["edges"], counts, strict=False)])


gpt2_scores = np.apply_along_axis(spread_out, -1, gpt2["histogram"])  # (layer, head, n)
assert np.abs(gpt2_scores.mean(-1) - gpt2["mean"]).max() < 0.25 and (gpt2_scores.shape[-1] == gpt2["n"]).all()
example = gpt2_scores[1, 8]
print(f"real GPT-2, L1H8: {example.size} scores from {example.min():.0f} to {example.max():.0f}")

# %% [markdown]
# **Predict.** The same scores, the same bin width of 8; only the edges move, by 2 at a time. Does the shape stay?

# %%
fig, axes = plt.subplots(1, 4, figsize=(15, 3.4), sharex=True, sharey=True, layout="constrained")
for ax, shift in zip(axes, (0, 2, 4, 6), strict=True):
    bins = np.arange(-48 + shift, 40, 8)
    counts = np.histogram(example, bins)[0]
    assert counts.sum() == example.size
    plot_score_histogram(counts, bins, ax).set_title(f"edges at ..., {shift - 8}, {shift}, {shift + 8}, ...")
    ax.label_outer()
    print(
        f"edges moved by {shift}: {len(find_peaks(np.r_[0, counts, 0])[0])} peak(s), counts {counts[counts > 0].tolist()}"
    )
fig.suptitle(f"Real GPT-2, L1H8, {example.size} scores: four histograms of the same data, bins of 8")
plt.show()

# %% [markdown]
# *The figure says:* no. The number of peaks and their heights depend on where the edges fall, and nothing in the data says where they should. A histogram
# needs two choices, a width and a starting point; the second choice is arbitrary. Let us get rid of it.

# %% [markdown]
# ## 3. A KDE by hand
#
# Instead of dropping each score into a box, put a small bell over it, a **Gaussian** centred on the score itself, and add the bells up:
#
# $$\hat f(x) = \frac{1}{n} \sum_{i=1}^{n} \frac{1}{h \sqrt{2\pi}} \exp\left(-\frac{(x - x_i)^2}{2 h^2}\right)$$
#
# There are no edges any more. One choice is left, the **bandwidth** $h$: the standard deviation of the bells, which are also called **kernels**.
#
# **Predict.** Five scores: $-31, -24, -22, -8$ and $6$, and a bandwidth of 5. How many peaks will the sum have?

# %%
five = np.array([-31.0, -24.0, -22.0, -8.0, 6.0])
h = 5.0
grid = np.linspace(-50, 25, 301)
bells = np.exp(-0.5 * ((grid[:, None] - five) / h) ** 2) / (h * math.sqrt(2 * math.pi)) / len(five)  # (grid, score)
by_hand = bells.sum(axis=1)

ax = plt.subplots(figsize=(8, 3.6), layout="constrained")[1]
for place, bell in enumerate(bells.T):
    plot_density(
        grid, bell, ax, color="#E69F00", lw=1, label="one score's bell, 1/5 of the area" if place == 0 else None
    )
plot_density(grid, by_hand, ax, color="black", fill=False, label="their sum")
ax.plot(five, np.zeros(5), "|", color="#0072B2", ms=18, mew=2, clip_on=False)
ax.set(title="Five scores (blue), five bells, one density", ylim=(0, 1.25 * by_hand.max()))
ax.legend(frameon=False, loc="upper right")
plt.show()

# %% [markdown]
# *The figure says:* where scores lie close together, their bells pile up; a lonely score keeps a bell of its own.
#
# <details><summary>Answer</summary>
#
# Three: the left three scores melt into one peak, the other two stand alone.
# </details>

# %%
print("peaks:", len(find_peaks(by_hand)[0]))
print(f"area: {np.trapezoid(by_hand, grid):.4f}")
print("the same as headlab's kde:", np.allclose(by_hand, kde(five, grid, h), rtol=1e-12, atol=0))
assert len(find_peaks(by_hand)[0]) == 3 and abs(np.trapezoid(by_hand, grid) - 1) < 1e-3
assert np.allclose(by_hand, kde(five, grid, h), rtol=1e-12, atol=0)

# %% [markdown]
# Each bell has the area $1/n$, so the sum has the area 1: it is a density, and its unit is *one over the unit of the scores*.
#
# Is it the one that everybody uses? Compare a whole head with scipy's `gaussian_kde`, and with what seaborn's `kdeplot` draws.

# %%
sample = scores[layer, head]
fig, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
sns.kdeplot(x=sample, ax=ax, color="#E69F00", lw=6, label="seaborn.kdeplot")
seaborn_grid, seaborn_density = ax.lines[0].get_data()
plot_density(seaborn_grid, kde(sample, seaborn_grid), ax, color="black", fill=False, label="headlab.density.kde")
ax.set_title(
    f"Loaded model, L{layer}H{head}: {sample.size:,} scores, Scott's bandwidth (section 4) {choose_bandwidth(sample):.2f}"
)
plt.show()

# %%
theirs = gaussian_kde(sample)(seaborn_grid)
ours = kde(sample, seaborn_grid)
for name, other in (("scipy", theirs), ("seaborn", seaborn_density)):
    print(f"equal to {name}'s to 1e-10 of the peak: {np.abs(ours - other).max() < 1e-10 * theirs.max()}")
    assert np.abs(ours - other).max() < 1e-10 * theirs.max()

# %% [markdown]
# *The figure says:* one curve lies on the other. They agree to more than ten digits: the formula is all there is to it.
#
# ### The same as a convolution
#
# *The report says* "a convolution". Sliding a Gaussian over the scores and adding up is one, indeed: **KDE = data convolved with a Gaussian**. On a computer that suggests a shortcut. Count the scores
# in narrow bins, then smooth the *bins*.
#
# **Predict.** How narrow must the bins be for the result to be as good as the exact one: a tenth of the bandwidth? A thousandth?

# %%
h = choose_bandwidth(sample)
low = sample.min() - 6 * h
print("bins per bandwidth   difference from the exact KDE, as a share of the peak:   simple bins   linear bins")
errors = {}
for cells in (1, 2, 4, 8, 16, 32):
    step = h / cells
    place = (sample - low) / step
    n_bins = int(place.max()) + 6 * cells
    below = np.floor(place).astype(int)
    simple = np.bincount(np.rint(place).astype(int), minlength=n_bins)  # each score to its nearest bin
    linear = np.bincount(below, 1 - (place - below), n_bins) + np.bincount(below + 1, place - below, n_bins)
    middles = low + step * np.arange(n_bins)
    exact = kde(sample, middles, h)
    bell = norm.pdf(np.arange(-6 * cells, 6 * cells + 1) * step, scale=h)
    smooth = [np.convolve(counts / sample.size, bell, mode="same") for counts in (simple, linear)]
    errors[cells] = [np.abs(density - exact).max() / exact.max() for density in smooth]
    print(f"{cells:18}{errors[cells][0]:74.0e}{errors[cells][1]:14.0e}")
assert errors[16][1] < 1e-3 and errors[32][1] < errors[2][1] / 50

# %% [markdown]
# <details><summary>Answer</summary>
#
# A few bins per bandwidth are plenty for any picture: a smooth bell hides the bins that it is wider than. What error is left comes from moving each score to the middle of its bin. **Linear binning** shares a
# score between its two nearest bins instead, the nearer one getting more: then halving the bins makes the error four times smaller.
# </details>
#
# So the edges that spoiled the histogram do no harm *under* a bandwidth. `fast_kde` does just this, with linear bins, and smooths them by a Fourier transform. Section 7 measures what that saves.

# %%
fast_grid, fast_density = fast_kde(sample)
exact = kde(sample, fast_grid)
print(
    f"fast_kde, {len(fast_grid)} points: {np.abs(fast_density - exact).max() / exact.max():.0e} of the peak from the exact one"
)
assert np.abs(fast_density - exact).max() < 1e-3 * exact.max()
assert abs(np.trapezoid(fast_density, fast_grid) - 1) < 1e-3

# %% [markdown]
# ## 4. The bandwidth
#
# To see what a bandwidth does, one has to know the truth. So make one up: a head with a sink, 85 % of its scores around $-20$ and 15 % around $+15$, and draw 300
# scores from it.


# %%
def truth(x):
    return 0.85 * norm.pdf(x, -20, 8) + 0.15 * norm.pdf(x, 15, 3)


def draw(n, seed):
    """n independent scores from the truth."""
    random = np.random.default_rng(seed)
    return np.where(random.random(n) < 0.85, random.normal(-20, 8, n), random.normal(15, 3, n))


made_up = draw(300, seed=5)
grid = np.linspace(-60, 45, 1001)

# %% [markdown]
# **Predict.** What will the estimate look like with a bandwidth of 0.5? And with 15?

# %%
fig, axes = plt.subplots(1, 3, figsize=(15, 3.6), sharey=True, layout="constrained")
for ax, h in zip(axes, (0.5, 2.5, 15), strict=True):
    plot_density(grid, kde(made_up, grid, h), ax, color="#0072B2")
    ax.plot(grid, truth(grid), color="black", ls="--", lw=1.5)
    ax.set_title(f"bandwidth {h}: {len(find_peaks(kde(made_up, grid, h))[0])} peak(s)")
    ax.label_outer()
fig.suptitle("300 made-up scores; dashed: the density that they were drawn from")
plt.show()

# %% [markdown]
# *The figure says:* too narrow **invents** peaks, each a handful of scores that happened to fall together. Too wide **hides** them. In between lies a good one; but in real life nobody
# draws the dashed line.
#
# So one needs rules that look at the data alone:
#
# | rule | bandwidth | assumes |
# | --- | --- | --- |
# | Scott | $\hat\sigma\, n^{-1/5}$ | that the scores form *one* Gaussian |
# | Silverman | $\hat\sigma\, (3n/4)^{-1/5}$ | the same |
# | cross-validation | the lowest of a score computed for each $h$ | only that the scores are independent |
#
# Both formulas grow with the spread $\hat\sigma$ of *all* scores. **Predict:** what happens when the spread comes from two clusters that lie far apart?
#
# **Least-squares cross-validation** estimates, for each $h$, the squared error $\int (\hat f - f)^2$ without knowing $f$. Multiply out: $\int \hat f^2 - 2\int \hat f f + \int f^2$. The last term is the same for
# all $h$; the middle one is the mean of $\hat f$ at *new* scores, and one can play new scores by leaving out one score at a time.

# %%
widths = np.geomspace(0.5, 8, 60)
squared_error = [np.trapezoid((kde(made_up, grid, h) - truth(grid)) ** 2, grid) for h in widths]
estimated = cross_validation_scores(made_up, widths) + np.trapezoid(truth(grid) ** 2, grid)

fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
ax.plot(widths, squared_error, color="black", label="true squared error (nobody knows it)")
ax.plot(widths, estimated, color="#0072B2", ls="-.", label="cross-validation, plus its constant")
for (rule, colour), marker in zip(
    {"scott": "#D55E00", "silverman": "#CC79A7", "cross-validation": "#0072B2"}.items(), "osv", strict=True
):
    h = choose_bandwidth(made_up, rule)
    error = np.interp(h, widths, squared_error)
    ax.plot(h, error, marker, color=colour, ms=9, label=f"{rule}: {h:.1f}")
ax.set(xscale="log", xlabel="bandwidth (units of q·k)", ylabel="integrated squared error", xticks=(0.5, 1, 2, 4, 8))
ax.xaxis.set_major_formatter("{x:g}")
ax.minorticks_off()
ax.set_ylim(top=1.3 * max(squared_error))
ax.legend(loc="upper left", frameon=False)
ax.set_title("300 made-up scores")
plt.show()

# %%
best = min(squared_error)
for rule in ("scott", "silverman", "cross-validation"):
    h = choose_bandwidth(made_up, rule)
    print(
        f"{rule:>17}: bandwidth {h:.2f}, squared error {np.interp(h, widths, squared_error) / best:.1f} times the least possible"
    )
assert choose_bandwidth(made_up, "scott") > 1.5 * widths[np.argmin(squared_error)]
assert choose_bandwidth(made_up, "cross-validation") < choose_bandwidth(made_up, "scott")

# %% [markdown]
# *The figure says:* with two clusters, Scott's and Silverman's rules come out too wide, as they must: most of the spread is the way from one cluster to the other. Cross-validation comes close to the
# best. ("Silverman" is here what scipy calls so. His book has a second rule, with the quartiles, which clusters mislead less.)
#
# ### A head that Scott's rule smooths over
#
# Now the head of section 2, from real GPT-2. Lesson 5 found that its first key is set apart. (From the shipped means with and without the first key one can work out
# where the first key's scores lie.)

# %%
first_key = (gpt2["n"] * gpt2["mean"] - gpt2["n_no_first_key"] * gpt2["mean_no_first_key"]) / (
    gpt2["n"] - gpt2["n_no_first_key"]
)


def peaks(grid, density):
    """Where the density has its peaks, leaving out ripples of under 5 % of the highest."""
    return grid[find_peaks(density, prominence=0.05 * density.max())[0]]


STYLES = {  # a line for each choice, the same in every figure
    "too narrow": (":", "#555555"),
    "cross-validation": ("-", "#0072B2"),
    "Scott": ("--", "#D55E00"),
    "too wide": ("-.", "#009E73"),
}


def compare_bandwidths(sample, choices, ax):
    """Lay the densities of one sample for several bandwidths over each other, and say in words what each shows."""
    for name, bandwidth in choices.items():
        dash, colour = STYLES[name]
        width = choose_bandwidth(sample, bandwidth) if isinstance(bandwidth, str) else bandwidth
        curve = fast_kde(sample, 2048, width)
        plot_density(*curve, ax, fill=False, ls=dash, color=colour, label=f"{name}: {width:.1f}")
        found = peaks(*curve)
        print(f"{name}, bandwidth {width:.1f}: {len(found)} peak(s), at {', '.join(f'{at:.0f}' for at in found)}")


ax = plt.subplots(figsize=(9, 4), layout="constrained")[1]
choices = {"too narrow": 0.7, "cross-validation": "cross-validation", "Scott": "scott", "too wide": 10.0}
compare_bandwidths(example, choices, ax)
for at, name in ((gpt2["mean_no_first_key"][1, 8], "other keys"), (first_key[1, 8], "first key")):
    ax.axvline(at, color="black", lw=1, ls=":")
    ax.text(at, 1.01, name, transform=ax.get_xaxis_transform(), ha="center", fontsize=9)
ax.legend(frameon=False, title="bandwidth", loc="upper left")
ax.set(xlim=(-60, 30))
ax.set_title(
    f"Real GPT-2, L1H8: {example.size} scores of five prompts (dotted: the mean of these keys' scores)",
    y=1.06,
    fontsize=11,
)
plt.show()

# %% [markdown]
# *The figure says:* cross-validation draws two hills: the scores of the first key, and those of all the others. That is the sink of lesson 5. Scott's rule all but fills the valley between them: the second hill rises above what is left of it by
# hardly 5 % of the peak, a little less than our limit for a ripple, and few would dare to speak of it. **A default setting nearly hides the most important thing about this head.**

# %%
counted = {}
for rule in ("scott", "cross-validation"):
    counted[rule] = np.array([len(peaks(*fast_kde(s, 4096, rule))) for s in gpt2_scores.reshape(144, -1)])
    one, two, more = (counted[rule] == 1).sum(), (counted[rule] == 2).sum(), (counted[rule] > 2).sum()
    print(f"real GPT-2, {rule}: one peak in {one} heads, two in {two}, more in {more}; at most {counted[rule].max()}")
assert counted["scott"].reshape(12, 12)[1, 8] == 1 and counted["cross-validation"].reshape(12, 12)[1, 8] == 2
smoothed = fast_kde(example, 4096, "scott")[1]
rise = np.sort(find_peaks(smoothed, prominence=0)[1]["prominences"])[-2] / smoothed.max()
print(
    f"under Scott's rule L1H8's second hill rises {rise:.1%} of the peak above its valley; our limit for a ripple is 5 %"
)
assert 0.04 < rise < 0.05

# %% [markdown]
# But cross-validation is no oracle. In 112 scores it sees up to ten peaks, and nobody should believe all of them: its narrowest bandwidths come close to the width of the bins, it takes the scores to be independent, which they are not (section 5), and from sample to
# sample it varies far more than the formulas do. **What one should believe is a peak that stays over a range of bandwidths.** Ask for that, and say which bandwidth a picture has.
#
# On the loaded model, the head in which the two rules differ most:

# %%
scott = np.array([[choose_bandwidth(s) for s in row] for row in scores])
validated = np.array([[choose_bandwidth(s, "cross-validation") for s in row] for row in scores])
layer, head = divmod(int((scott / validated).argmax()), n_heads)
ax = plt.subplots(figsize=(9, 3.8), layout="constrained")[1]
compare_bandwidths(scores[layer, head], {"cross-validation": "cross-validation", "Scott": "scott"}, ax)
ax.set_title(f"Loaded model, L{layer}H{head}: {scores.shape[-1]:,} scores")
plt.show()
print(
    f"Scott's bandwidth is wider in {(scott > validated).sum()} of {scott.size} heads, by a factor of {np.median(scott / validated):.2f} (median)"
)

# %% [markdown]
# *The figure says:* what the wider bandwidth smooths over in this head. The larger the sample, the narrower both rules become, and the less they can differ in what they show.

# %% [markdown]
# ## 5. Where a KDE lies
#
# ### A boundary
#
# Shares of attention live between 0 and 1. A Gaussian knows nothing of that. Take the head that gives most to the first token (lesson 1).
#
# **Predict.** Nearly all other shares of this head are close to 0. What will the KDE show to the left of 0?

# %%
on_first = torch.stack([capture.pattern(number)[:, 1:, 0].mean(-1) for number in range(n_layers)])
layer, head = divmod(on_first.argmax().item(), n_heads)
pattern = capture.pattern(layer, head)
shares = pattern[10:][visible[10:]].double().numpy()  # queries from the 11th on, causal pairs
h = choose_bandwidth(shares)
near_zero = np.linspace(-4 * h, 12 * h, 801)
leaking, mended = kde(shares, near_zero, h), kde(shares, near_zero, h, bounds=(0, 1))
ax = plot_density(near_zero, leaking, color="#D55E00", ls="--", label="as it comes")
plot_density(near_zero, mended, ax, color="#0072B2", fill=False, label="reflected at 0 and 1")
ax.axvline(0, color="black", lw=1)
ax.set(xlabel="share of attention", ylabel="density (per unit of share)")
ax.set_title(f"Loaded model, L{layer}H{head}: {shares.size:,} shares, bandwidth {h:.3f}")
plt.show()
leak = (norm.cdf(-shares / h) + norm.sf((1 - shares) / h)).mean()
print(f"outside of 0 to 1, where no share can be, lie {leak:.0%} of the area")
print(f"{(shares < h / 5).mean():.0%} of the shares are smaller than a fifth of the bandwidth")

# %%
inside, density = fast_kde(shares, 4096, h, bounds=(0, 1))
print(f"after reflection: area {np.trapezoid(density, inside):.4f}, and none of it outside")
assert leak > 0 and abs(np.trapezoid(density, inside) - 1) < 1e-3 and (mended[near_zero < 0] == 0).all()

# %% [markdown]
# *The figure says:* a good part of the area leaks below 0 (how much is printed above), and just above 0 the density is too low. The remedy is **reflection**: what leaks over the bound is folded back. It repairs the area, not the width: nearly all shares lie
# far closer to 0 than the curve shows, for a few large ones have made Scott's bandwidth too wide (section 4), and what you see is mostly the half of one bell. And it makes the density flat at the bound, whatever the truth. Where that
# matters, take a smaller bandwidth, or the logarithm of the shares, or look at the scores: they have no bound.
#
# ### Too few points
#
# **Predict.** Ten samples of 20 scores each, ten of 200, ten of 2,000, all from the made-up truth of section 4. In which would you trust the small hill?

# %%
fig, axes = plt.subplots(1, 3, figsize=(15, 3.6), sharey=True, layout="constrained")
for ax, n in zip(axes, (20, 200, 2000), strict=True):
    curves = np.stack([kde(draw(n, seed), grid, "silverman") for seed in range(10)])
    ax.plot(grid, curves.T, color="#0072B2", lw=0.8)
    ax.plot(grid, truth(grid), color="black", ls="--", lw=1.5)
    ax.set(xlabel="score", title=f"ten samples of {n:,}")
    hill = curves[:, np.searchsorted(grid, 15)]
    assert hill.max() < truth(15)
    print(f"{n:5,} scores: height at +15 from {hill.min():.4f} to {hill.max():.4f}; the truth is {truth(15):.4f}")
axes[0].set_ylabel("density (per unit of score)")
plt.show()

# %% [markdown]
# *The figure says:* a KDE of 20 scores is as smooth as one of 2,000. **Smoothness is no sign of certainty.** So state the sample size, always. (All of them are also too low at the small hill, on average: that is the bandwidth.)
#
# ### What has no density at all
#
# Some input has none, and a curve would be a lie of its own. headlab's functions refuse it, each in one line:


# %%
def refused(call):
    try:
        call()
    except ValueError as error:
        return str(error)
    raise AssertionError("this was not refused")


masked = raw[layer, head].masked_fill(~visible, -torch.inf)
print("masked scores:     ", refused(lambda: fast_kde(masked)))
print("first rows' shares:", refused(lambda: fast_kde(np.ones(n_heads))))
print("one score:         ", refused(lambda: fast_kde([3.0])))
print("shares, mistaken:  ", refused(lambda: fast_kde(sample, bounds=(0, 1))))
print("too coarse a grid: ", refused(lambda: fast_kde(sample, n_grid=8)))

# %% [markdown]
# The mask's $-\infty$ is no score: take the causal entries. The first token gives itself 100 % in every head (lesson 1): constant data have no spread, and no rule can choose a bandwidth.
#
# ### Dependence
#
# All rules take the scores to be independent. Lesson 4 knew better: those of a row share their query. **Predict.** Resample the *scores* of a head, then resample whole *rows*, and look how the density
# scatters. Which band is wider?

# %%
layer, head = 1, 0
sample = scores[layer, head]
random = np.random.default_rng(5)
h = choose_bandwidth(sample)
single = random.multinomial(sample.size, np.full(sample.size, 1 / sample.size), size=200)
whole = random.multinomial(n_tokens, np.full(n_tokens, 1 / n_tokens), size=200)[
    :, query
]  # a row's scores come together
bands = {}
for name, drawn in (("scores", single), ("rows", whole)):
    bands[name] = np.stack([fast_kde(sample, 512, h, weights=weights)[1] for weights in drawn])
place = fast_kde(sample, 512, h)[0]

ax = plt.subplots(figsize=(8, 3.6), layout="constrained")[1]
for (name, band), colour in zip(reversed(bands.items()), ("#E69F00", "#0072B2"), strict=True):
    low, high = np.quantile(band, [0.025, 0.975], axis=0)
    ax.fill_between(place, low, high, color=colour, lw=0, label=f"{name} resampled")
ax.set(xlabel="raw score q·k", ylabel="density (per unit of q·k)")
ax.legend(frameon=False, title="95 % of 200 densities")
ax.set_title(f"Loaded model, L{layer}H{head}: {sample.size:,} scores of {n_tokens} rows, bandwidth {h:.2f}")
plt.show()
ratio = bands["rows"].std(0).sum() / bands["scores"].std(0).sum()
print(
    f"the band over rows is {ratio:.1f} times as wide: these {sample.size:,} scores tell as much as some {sample.size / ratio**2:,.0f} independent ones"
)

# %% [markdown]
# *The figure says:* how far one may trust the curve. The number of scores on a figure overstates what is known; the rows, and in the end the **texts**, are what one would have to draw anew.
#
# The **density explorer** has all of this in one place, for the first sentence of our text: sample size, bandwidth, each kernel and their
# sum, and reflection at the edges. First a still picture, with its message in words:

# %%
explorer = DensityExplorer(model, tokenizer, text.split(". ")[0] + ".", layer=layer, head=head)
explorer.still()

# %% [markdown]
# **Predict.** Which of the two curves does "Mend the edges" change? And where does a narrower bandwidth show first, in the hills or in the tails?

# %%
explorer

# %% [markdown]
# <details><summary>Answer</summary>
#
# Only the shares': raw scores have no edges. In the tails: a lone point there soon stands as a bump of its own, while in the hills many kernels still overlap.
# </details>

# %% [markdown]
# ## 6. All heads, any number of texts
#
# The densities of a layer, one below the other, are called **ridgelines**:

# %%
layer = n_layers // 2
curves = [fast_kde(s) for s in scores[layer]]
ax = plot_ridgelines(curves, [f"L{layer}H{number}" for number in range(n_heads)])
ax.set_title(f"Loaded model: {scores.shape[-1]:,} scores in each head")
plt.show()

# %% [markdown]
# *The figure says:* the heads of one layer differ in place, width and shape, and one sees it at a glance: no scatter showed that.
#
# But one text is one text. A hundred texts have a hundred times as many scores, and keeping them is out of the question. A histogram can do without: **counts add up.** A `ScoreHistogram` has bins so
# narrow that no bandwidth notices them (section 3), the same ones for every text; `count_scores` fills one during a forward pass and throws the scores away.
#
# **Predict.** Three texts instead of one: how much more memory do the counts take?

# %%
texts = [
    text,
    "The old keeper climbed the stone stairs every evening to light the lamp. His daughter carried the oil and a small "
    "basket of bread, and the little boats came home before the morning.",
    "In the spring the farmer sold his brown horse at the market and bought a cart, two goats and a new coat for his son. "
    "His wife laughed when she saw the goats, but the boy was happy, and the goats ate the flowers by the gate.",
]
histograms = [count_scores(model, tokenizer(t, return_tensors="pt").input_ids) for t in texts]
total = sum(histograms[1:], start=histograms[0])
for name, histogram in (("first text", histograms[0]), ("three texts", total)):
    print(f"{name}: {histogram.n.sum():,} scores in {histogram.counts.nbytes / 2**20:.0f} MiB of counts")
assert (histograms[0].n == scores.shape[-1]).all() and total.counts.nbytes == histograms[0].counts.nbytes
assert (total.n == sum(histogram.n for histogram in histograms)).all()

# %%
from_counts = histograms[0].density(1, 0)
from_scores = kde(scores[1, 0], from_counts[0])
difference = np.abs(from_counts[1] - from_scores).max() / from_scores.max()
print(f"L1H0, from counts and from the scores themselves: {difference:.0e} of the peak apart")
assert difference < 2e-3
again = histograms[2] + histograms[0] + histograms[1]
assert (again.counts == total.counts).all()  # in any order

# %% [markdown]
# None: the memory depends on the heads, not on the scores. (Add the **counts**, not the densities: exercise 6.5 says why.) And now everything at once, all heads of all layers over all texts, in one call:

# %%
axes = plot_layers(total)
axes[0].figure.suptitle(f"Loaded model, {len(texts)} texts: {total.n[0, 0]:,} scores in each head, Scott's bandwidth")
plt.show()

# %% [markdown]
# *The figure says:* one panel for each layer, one ridge for each head. Look for ridges that lie off zero, for broad and narrow ones, and for second hills to the right. (The axis shows the middle 99 % of all scores together: the widest heads are cut.)
#
# And real GPT-2, from the shipped statistics (five prompts of 6 or 7 tokens; another sample than the one above):

# %%
gpt2_histogram = ScoreHistogram(range(12), 12, model="gpt2")
for layer in range(12):
    gpt2_histogram.update(layer, torch.from_numpy(gpt2_scores[layer]))
axes = plot_layers(gpt2_histogram, meaning="real GPT-2")
axes[0].figure.suptitle("Real GPT-2, five short prompts: 112 scores in each head, Scott's bandwidth")
plt.show()

# %% [markdown]
# *The figure says:* in the first three layers mostly one hill, rather narrow, and left of zero. From layer 5 on, most heads have **two hills**, a large one for most keys and a small one far to the right. In the last layer they have moved to the right as a whole.


# %%
def describe(name, histogram):
    """By layer: where the heads' scores lie, how broadly, and in how many heads there is a second hill."""
    low, middle, high = histogram.quantile([0.25, 0.5, 0.75])
    hills = np.array(
        [[len(peaks(*histogram.density(i, head))) for head in range(histogram.n_heads)] for i in histogram.layers]
    )
    print(f"{name}\nlayer   median of medians   middle half, width   below zero   heads with 2 hills or more")
    for place, number in enumerate(histogram.layers):
        print(
            f"{number:5}{np.median(middle[place]):20.1f}{np.median((high - low)[place]):21.1f}"
            f"{histogram.fraction_negative()[place].mean():13.0%}{(hills[place] > 1).sum():29}"
        )
    return hills


hills = describe(f"loaded model, {len(texts)} texts", total)
gpt2_hills = describe("real GPT-2, five short prompts", gpt2_histogram)

# %%
two = (gpt2_hills > 1).ravel()
apart = (gpt2["gap"] / gpt2["std"]).ravel()
print(f"real GPT-2: {two.sum()} of 144 heads have two hills under Scott's rule")
print(
    f"the first key stands above the others by {np.median(apart[two]):.1f} standard deviations in these heads, by {np.median(apart[~two]):.1f} in the rest"
)
assert ((gpt2_hills > 1).sum(1)[5:] >= 8).all() and ((gpt2_hills > 1).sum(1)[:5] < 8).all()
assert np.median(apart[two]) > np.median(apart[~two])
assert gpt2_histogram.fraction_negative()[11].mean() < 0.5

# %% [markdown]
# So the second hill is the **sink**, as the means of L1H8 showed in section 4: it is there where the first key stands far above the others. One number, *the fraction below zero*, could not show that: a head with two hills and a head
# with one may have the same fraction.
#
# **Mind the length of the text.** In a prompt of 7 tokens, the first key has 7 of the 28 scores; in a text of 100 tokens, 100 of 5,050, one score in 50. The same sink makes a hill in the one and a ripple in the other. Only compare
# densities of texts of like length.

# %% [markdown]
# ## 7. What it costs
#
# The exact KDE computes a Gaussian for every score *and* every point of the grid. The fast one touches each score once, and then works on the bins alone.
#
# **Predict.** At 100,000 scores and 512 points: how many Gaussians is that, and how many steps does the fast one take?

# %%
n = 2 ** np.arange(8, 25)
extent = np.ptp(sample) / sample.std()  # in standard deviations; under Scott's rule a bandwidth is n**(-1/5) of them
bins = np.maximum(512, 16 * extent * n**0.2)
exact_steps, fast_steps = 512.0 * n, n + bins * np.log2(bins)
ax = plt.subplots(figsize=(8, 4), layout="constrained")[1]
ax.loglog(n, exact_steps, color="#D55E00", ls="--", label="exact: one Gaussian for each score and grid point")
ax.loglog(n, fast_steps, color="#0072B2", label="fast: each score once, then the bins' transform")
ax.loglog(n, bins * np.log2(bins), color="black", ls=":", label="from counts: the transform alone")
ax.axvline(scores.size, color="0.5", lw=1)
ax.text(scores.size, 0.7 * exact_steps[-1], " the text of section 1,\n all heads", fontsize=9, va="top")
ax.set(xlabel="scores", ylabel="steps (counted, not timed)", title="512 grid points")
ax.legend(frameon=False, loc="upper left", fontsize=9)
ax.set_ylim(top=60 * exact_steps[-1])
plt.show()
at = np.searchsorted(n, 100_000)
print(
    f"{n[at]:,} scores: {exact_steps[at]:,.0f} Gaussians, or {fast_steps[at]:,.0f} steps: {exact_steps[at] / fast_steps[at]:.0f} times fewer"
)
times = exact_steps / fast_steps
print(f"at {n[0]:,} scores it is {times[0]:.0f} times fewer, at {n[-1]:,} {times[-1]:.0f}")
assert fast_steps[n == 8192] < 5 * fast_steps[0] and (times[n >= 65536] > 300).all()

# %% [markdown]
# *The figure says:* the exact one grows in proportion to the scores. The fast one hardly grows until some ten thousand scores, while the bins are most of its work, and then runs beside it, several hundred times lower. Once the scores are
# counted, their number hardly matters: only the bins become finer, as Scott's bandwidth narrows.
#
# Steps are not seconds. Measure on your machine (your figure will differ from the saved one, and from itself the next time; the shape will not):

# %% tags=["nbval-ignore-output"]
sizes = 2 ** np.arange(10, 18)


def seconds(function, *arguments):
    """Median of three runs."""
    return statistics.median(timeit.repeat(lambda: function(*arguments), number=1, repeat=3))


made = [draw(n, seed=7) for n in sizes]
exact_seconds = [seconds(kde, values, np.linspace(values.min(), values.max(), 512), 2.0) for values in made]
fast_seconds = [seconds(fast_kde, values, 512, 2.0) for values in made]
ax = plt.subplots(figsize=(8, 3.8), layout="constrained")[1]
ax.loglog(sizes, exact_seconds, "o--", color="#D55E00", label="kde, exact")
ax.loglog(sizes, fast_seconds, "s-", color="#0072B2", label="fast_kde")
ax.set(
    xlabel="scores", ylabel="seconds (median of 3 runs)", title="Measured where this notebook was run: 512 grid points"
)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# *The figure says:* the exact one rises in proportion to the scores from the start. The fast one is nearly flat as long as the bins' transform takes most of its time; only then do the scores count.

# %% [markdown]
# ## Exercises
#
# Each check runs your function on inputs of its own and says what is wrong. The solutions are in
# `solutions/06_scatter_vs_kde.ipynb`; try first. All input is numpy.
#
# ### Exercise 6.1 · A KDE from its definition (easy)
#
# Given `samples` (n,), `grid` (points,) and a `bandwidth`, return the density at each point of the grid: (points,).

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `(grid[:, None] - samples) / bandwidth` is every distance in bandwidths, (points, n). What has to be averaged, and over which axis?
# </details>


# %% tags=["exercise"]
def my_kde(samples, grid, bandwidth):
    ### BEGIN SOLUTION
    distances = (grid[:, None] - samples) / bandwidth
    return np.exp(-0.5 * distances**2).mean(axis=1) / (bandwidth * np.sqrt(2 * np.pi))
    ### END SOLUTION


check("6.1", my_kde)

# %% [markdown]
# ### Exercise 6.2 · Scott's rule (easy)
#
# Given `samples` (n,), return Scott's bandwidth, one number.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# The standard deviation that estimates the spread of *all* scores from a sample divides by $n - 1$: `ddof=1`.
# </details>


# %% tags=["exercise"]
def my_scott(samples):
    ### BEGIN SOLUTION
    return np.std(samples, ddof=1) * len(samples) ** (-1 / 5)
    ### END SOLUTION


check("6.2", my_scott)

# %% [markdown]
# ### Exercise 6.3 · Smooth the bins (medium)
#
# Given `counts` (bins,) of scores in bins that are `step` wide, and a `bandwidth` in the scores' unit, return the density at the bins' middles: (bins,). Take all scores of a bin to lie in its middle.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Two bins that are $m$ places apart have middles $m \cdot$ `step` apart. Either make the whole (bins, bins) table of Gaussians, or use `np.convolve` with a
# kernel that reaches from $-(\text{bins} - 1)$ to $+(\text{bins} - 1)$ places; think about which part of its result belongs to the bins.
# </details>


# %% tags=["exercise"]
def my_smoothed_counts(counts, step, bandwidth):
    ### BEGIN SOLUTION
    distances = np.arange(1 - len(counts), len(counts)) * step
    kernel = np.exp(-0.5 * (distances / bandwidth) ** 2) / (bandwidth * np.sqrt(2 * np.pi))
    return np.convolve(kernel, counts / counts.sum(), mode="valid")
    ### END SOLUTION


check("6.3", my_smoothed_counts)

# %% [markdown] tags=["solution"]
# **Why "valid"?** The kernel has an entry for each distance between two bins, and "valid" keeps the places where it covers all of the counts: just one for each bin.

# %% [markdown]
# ### Exercise 6.4 · Mend the leak (medium)
#
# `samples` (n,) are never below 0; `grid` (points,) reaches below. Return the density that is reflected at 0: nothing below, and nothing lost. You may use `kde(samples, grid, bandwidth)`.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# What leaks to $-x$ belongs at $+x$. So what is the density of the samples at `-grid`?
# </details>


# %% tags=["exercise"]
def my_bounded_kde(samples, grid, bandwidth):
    ### BEGIN SOLUTION
    both = kde(samples, grid, bandwidth) + kde(samples, -grid, bandwidth)
    return np.where(grid >= 0, both, 0.0)
    ### END SOLUTION


check("6.4", my_bounded_kde)

# %% [markdown]
# ### Exercise 6.5 · Many texts, one density (medium)
#
# `counts` (texts, bins) holds one head's histogram of each text, all with the same bins, `step` wide. Return the density of all scores together, (bins,), not smoothed.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# A text of 200 tokens has 20,100 causal scores, one of 20 tokens has 210. Should they weigh the same?
# </details>


# %% tags=["exercise"]
def my_density_of_all(counts, step):
    ### BEGIN SOLUTION
    together = counts.sum(axis=0)
    return together / together.sum() / step
    ### END SOLUTION


check("6.5", my_density_of_all)

# %% [markdown]
# ### Exercise 6.6 · Cross-validation (hard)
#
# Given `samples` (n,) and a `bandwidth` $h$, return the cross-validation score
#
# $$\int \hat f^2 \;-\; \frac{2}{n} \sum_i \hat f_{-i}(x_i)$$
#
# where $\hat f_{-i}$ is the KDE of all samples but the $i$-th. The integral has a closed form: it is the mean, over all pairs $i, j$ (also $i = j$), of a Gaussian of standard deviation $h\sqrt 2$ at
# $x_i - x_j$.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Make the table of all differences once, (n, n). `scipy.stats.norm` is imported: `norm.pdf(table, scale=...)`. For the second term leave out the diagonal; how many others does each sample have?
# </details>


# %% tags=["exercise"]
def my_validation_score(samples, bandwidth):
    ### BEGIN SOLUTION
    n = len(samples)
    differences = samples[:, None] - samples
    squared = norm.pdf(differences, scale=bandwidth * np.sqrt(2)).mean()
    gaussians = norm.pdf(differences, scale=bandwidth)
    np.fill_diagonal(gaussians, 0.0)
    return squared - 2 * gaussians.sum() / (n * (n - 1))
    ### END SOLUTION


check("6.6", my_validation_score)

# %% [markdown]
# ## What we found
#
# The table is made from the values measured above.

# %%
findings = [
    (
        "scatter plots are useless for tens of layers of data",
        f"section 1: with {scores.size:,} points, {alone(*all_layers):.1%} have a pixel to themselves; of one head's {len(query):,}, {alone(query, scores[1, 0]):.0%}",
        "holds for many heads, not for one; the repairs that work count",
    ),
    (
        "a KDE is a sum of small Gaussians, a convolution",
        f"section 3: equal to scipy's to 1e-10; bins of a sixteenth of the bandwidth, smoothed, to {errors[16][1]:.0e} of the peak",
        "holds",
    ),
    (
        "a KDE shows the distribution",
        f"section 4: real GPT-2's L1H8 has {counted['scott'].reshape(12, 12)[1, 8]} hill under Scott's rule and {counted['cross-validation'].reshape(12, 12)[1, 8]} under cross-validation; section 5: {leak:.0%} of the area of the shares of one head of the loaded model lies outside of 0 to 1",
        "holds with a bandwidth looked at, bounds, and the sample size stated",
    ),
    (
        "(ours) the sink is a second hill",
        f"section 6: two hills in {two.sum()} of GPT-2's 144 heads, where the first key stands {np.median(apart[two]):.1f} standard deviations above the others, against {np.median(apart[~two]):.1f}",
        "holds in short prompts; in long texts the hill is small",
    ),
]
Markdown(
    "| claim | evidence | verdict |\n| --- | --- | --- |\n" + "\n".join(f"| {' | '.join(row)} |" for row in findings)
)

# %% [markdown]
# **Limits.** GPT-2's shapes are those of five short prompts, 112 scores in each head, known to within one unit. A hill that depends on the bandwidth is no finding. Where the cells measured the loaded model, they say so.
#
# **Where to read on.** Silverman 1986, *Density Estimation for Statistics and Data Analysis*; Wand and Jones 1995, *Kernel Smoothing*; Parzen 1962, *On Estimation of a Probability Density Function and
# Mode*. The densities are in `headlab/density.py`, the histogram in `headlab/histogram.py`; `tests/test_density.py` compares the densities with scipy. Lesson 7 follows the densities from layer to layer.
