# %% [markdown]
# # 4 · The negative shift
#
# *Most raw scores of GPT-2 are negative. How large is this shift, where does it come from, and is it what makes attention sparse?*
#
# **You will be able to**
# - say how far a head's scores lie below zero, and how sure you can be of it;
# - tell which part of a shift softmax sees and which it cannot see;
# - measure how sparse a pattern is, and test what makes it so;
# - take a score apart into four terms and find the one that makes the attention sink.
#
# **You need** lessons 1 to 3: mask, softmax, heads and raw scores.
#
# **Time** about 45 minutes to read, try and answer. The cells themselves run in well under a minute and a half on two cores.
#
# This lesson tests the report's main claim. *The report says:* raw scores "should" scatter symmetrically about zero; GPT-2's are shifted strongly
# to the negative; and this is how softmax gets sparse: most past tokens are suppressed, and a few links stand out.
#
# Three samples appear below, and every figure says which one it shows: **real GPT-2**, six recorded prompts whose measured
# statistics ship with headlab; the **loaded model**, the one that runs on this machine; and the **random control**, which was never trained.
# Section 3 adds a fourth: **mini** at several moments of its training, recorded as well.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown
from scipy.stats import binomtest, spearmanr

from headlab.capture import capture_heads
from headlab.contrast import ScoreTerms, decompose_scores, effective_tokens, row_contrast
from headlab.exercises import check
from headlab.explorers import ShiftExplorer
from headlab.masking import causal_mask
from headlab.models import MINI, load_model, token_strings
from headlab.plots import MAPS, plot_head_grid, plot_score_histogram, plot_scores, plot_terms
from headlab.scores import attention_pattern, raw_scores
from headlab.shift import (
    bootstrap_fraction,
    causal_scores,
    count_negative,
    gpt2_reference,
    shift_stats,
)

# %% [markdown]
# ## 1. What one should expect
#
# Take queries and keys at random, each channel from the same bell curve. A dot product is then a sum of 64 products, and
# each of these is as likely to be negative as positive.
#
# **Predict.** What fraction of the scores lies below zero? Exactly that, or nearly?

# %%
n_tokens, d_head = 100, 64
generator = torch.Generator().manual_seed(4)
q, k = torch.randn(2, n_tokens, d_head, generator=generator)
random_raw = raw_scores(q, k)
stats = shift_stats(random_raw)
print(f"{stats.n} causal scores: median {stats.median:+.2f}, standard deviation {stats.std:.2f}")
print(f"below zero: {stats.fraction_negative:.1%}")

# %% [markdown]
# `shift_stats` looks at the causal pairs only: the future is no part of a head's scores (in exercise 4.1 you pick
# them out yourself).
#
# How far from 50 % may chance alone take us? The 5,050 scores are not 5,050 independent observations: all scores of one row share
# their query. If that query happens to point away from most keys, most of its scores are negative at once. (Its length does not
# matter: it changes no sign.) With random vectors this hardly happens; in a trained model, whose keys have a common part, it does. So we draw whole **rows** again and again, with
# replacement, and look how the fraction scatters: a **bootstrap over rows**. The range that holds the middle 95 % of the drawn
# fractions is the **95 % interval**: with other rows of the same kind, the fraction could as well have come out anywhere in it.

# %%
low, high = bootstrap_fraction(*count_negative(random_raw))
print(f"below zero: {stats.fraction_negative:.1%}, 95 % interval over rows {low:.1%} to {high:.1%}")
assert low < 0.5 < high

# %% [markdown]
# <details><summary>Answer</summary>
#
# Nearly a half. The interval holds 50 %: these scores show no shift.
# </details>
#
# Random vectors are one thing, a random *model* another. The **control** has GPT-2 small's shape and starting weights,
# but was never trained. It reads the text that we use in this whole lesson.

# %%
text = (
    "The old keeper climbed the stone stairs every evening to light the lamp. His daughter carried the oil and a small "
    "basket of bread, and the little boats came home before the morning."
)


def scores_of(model, tokenizer):
    """Raw scores (layer, head, query, key) of the text, and its token ids."""
    input_ids = tokenizer(text, return_tensors="pt").input_ids
    capture = capture_heads(model, input_ids)
    return torch.stack([capture.scores(layer) for layer in capture.layers]), input_ids


control_model, control_tokenizer = load_model("random")
control_raw, control_ids = scores_of(control_model, control_tokenizer)
control = shift_stats(control_raw)
print(
    f"{control.n.size} heads of {control.n[0, 0]} scores each: median of all {np.median(causal_scores(control_raw)):+.2f}"
)
print(f"below zero: {control.fraction_negative.mean():.1%}")

# %% [markdown]
# **Predict.** Is every head of the control symmetric too?

# %%
ax = plot_head_grid(control.fraction_negative, label="fraction of the scores below zero", meaning="fraction")
ax.set_title(f"Random control: {control.n[0, 0]} causal scores in each head")
plt.show()
scatter = control.fraction_negative.std(1)
print("standard deviation over a layer's heads:", " ".join(f"{value:.2f}" for value in scatter))
assert scatter[0] < 0.05 and scatter[:4].argmin() == 0 and scatter[4:].min() > 0.15

# %% [markdown]
# *The figure says:* the control as a whole is balanced, its single heads are not. In layer 0 all lie close to a half; within the
# first few layers they scatter widely, and from then on they stay so.
#
# <details><summary>Why?</summary>
#
# Attention mixes the tokens. From layer to layer, the vectors of one text come to share a common part, even
# in a model that knows nothing. A head multiplies this common part with itself through its own random weights, and that gives all
# its scores the same push: up in one head, down in the next, by the toss of a coin.
# </details>
#
# The common part can be measured: the mean cosine between the vectors of two different tokens, in what enters a layer.

# %%
with torch.no_grad():
    control_states = torch.cat(
        control_model(control_ids, output_hidden_states=True).hidden_states
    )  # (layer, token, d_model)
unit = torch.nn.functional.normalize(control_states, dim=-1)
cosines = (unit @ unit.mT)[:, ~torch.eye(unit.shape[1], dtype=torch.bool)].mean(-1)
print(
    f"random control, mean cosine of two tokens: entering layer 0 {cosines[0]:.2f}, layer 6 {cosines[6]:.2f}, layer 11 {cosines[11]:.2f}"
)
assert (cosines[1:12] > cosines[:11]).all() and cosines[0] < 0.05

# %% [markdown]
# This is a trap for the careful too. Ask each head whether its own interval leaves 50 % out:

# %%
low, high = bootstrap_fraction(*count_negative(control_raw))
sure = (low > 0.5) | (high < 0.5)
print(f"single heads whose interval over rows leaves 50 % out: {sure.sum()} of {sure.size}")
assert sure.mean() > 0.25

# %% [markdown]
# An interval over rows answers "would other queries of this head give the same?" It cannot answer "does *training* shift heads?",
# because all rows of a head share its weights. For that question the unit is the **head**, so we draw whole heads instead of rows; and we count the heads. A count has an interval
# too (`binomtest(...).proportion_ci()`): all the chances of a negative majority with which such a count would be no surprise.


# %%
def over_heads(negative, n):
    """In words: the fraction below zero with its interval over heads, and the heads with a negative majority."""
    low, high = bootstrap_fraction((negative * n).round().ravel(), n.ravel())
    majority = int((negative > 0.5).sum())
    share = binomtest(majority, n.size).proportion_ci()
    return (
        f"{(negative * n).sum() / n.sum():.1%} below zero, 95 % interval over heads {low:.1%} to {high:.1%}; "
        f"negative majority in {majority} of {n.size} heads, 95 % interval {share.low:.0%} to {share.high:.0%}"
    )


print("random control:", over_heads(control.fraction_negative, control.n))
assert abs(control.fraction_negative.mean() - 0.5) < 0.1

# %% [markdown]
# Over its heads, the control comes out near a half. So the expectation holds, but only over many heads: **a single head with negative scores proves nothing.**

# %% [markdown]
# ## 2. What trained heads show
#
# Now real GPT-2. Its 548 MB are not needed: `gpt2_reference` holds what headlab's own functions measured on recordings of GPT-2 small. They
# come from six short prompts of 6 to 9 tokens, so read every figure as that of short texts. The figures below put the first **five** together.
# Of the **sixth** the layer inputs were recorded too: we keep it for the causes, in section 5.

# %%
gpt2 = gpt2_reference()
for prompt, n in zip(gpt2["prompts"], gpt2["n_tokens"], strict=True):
    print(f"{n} tokens: {prompt}")

# %% [markdown]
# **Predict.** How will the histogram of GPT-2's scores differ from the control's? In place, in width, or both?

# %%
edges = gpt2["edges"]
histogram = gpt2["histogram"].sum((0, 1))
ax = plot_score_histogram(histogram, edges, label="real GPT-2, five prompts")
plot_score_histogram(np.histogram(causal_scores(control_raw), edges)[0], edges, ax, label="random control")
ax.set(xlim=(-80, 60), title=f"All heads: {histogram.sum():,} scores of GPT-2, {control.n.sum():,} of the control")
plt.show()
control_std, gpt2_std = (
    control_raw[..., causal_mask(control_raw.shape[-1])].std().item(),
    np.sqrt((gpt2["std"] ** 2 + gpt2["mean"] ** 2).mean() - gpt2["mean"].mean() ** 2),
)
print(f"standard deviation: GPT-2 {gpt2_std:.1f}, control {control_std:.1f}")
outside = histogram[(edges[:-1] < -80) | (edges[:-1] >= 60)].sum()
print(f"{outside / histogram.sum():.1%} of GPT-2's scores lie outside the picture, between {edges[0]} and {edges[-1]}")

# %% [markdown]
# *The figure says:* in both. GPT-2's scores are spread several times as widely as the control's, and most lie below zero.

# %%
n_scores = gpt2["n"].sum()
fraction = gpt2["fraction_negative"].mean()
middle = edges[np.searchsorted(histogram.cumsum(), n_scores / 2)]
print(
    f"real GPT-2, five prompts: {n_scores:,} causal scores, mean {gpt2['mean'].mean():.2f}, median between {middle} and {middle + 1}"
)
print(f"below zero: {fraction:.1%}")
low, high = bootstrap_fraction(gpt2["n_negative"].sum((0, 1)), gpt2["n_scores"] * 144)
print(f"95 % interval over the {gpt2['n_scores'].size} rows: {low:.1%} to {high:.1%}")
assert (n_scores, round(fraction * 100, 1)) == (16128, 69.8)

# %% [markdown]
# Now head by head. The first key is a special one (lesson 1 met it as the sink), so we count twice: all keys, and all but the first.

# %%
fig, axes = plt.subplots(1, 2, figsize=(15, 6), layout="constrained")
for ax, name, title in zip(axes, ("", "_no_first_key"), ("all keys", "without the first key"), strict=True):
    plot_head_grid(gpt2[f"fraction_negative{name}"], ax, "fraction of the scores below zero", meaning="fraction")
    ax.set_title(f"Real GPT-2, five prompts, {title}: {gpt2[f'n{name}'][0, 0]} scores in each head")
plt.show()

# %% [markdown]
# *The figure says:* nearly everywhere most scores are negative. The last layer is the exception, with some heads here and there: L0H10 has not
# one negative score. Without the first key, many heads have hardly a positive score left.

# %%
for name, title in (("", "all keys"), ("_no_first_key", "without the first key")):
    print(
        f"real GPT-2, {title}, {gpt2[f'n{name}'].sum():,} scores: {over_heads(gpt2[f'fraction_negative{name}'], gpt2[f'n{name}'])}"
    )
print("below zero by layer:", " ".join(f"{share:.0%}" for share in gpt2["fraction_negative"].mean(1)))
no_majority = gpt2["fraction_negative"] <= 0.5
print(f"no negative majority: {no_majority.sum()} heads, {no_majority[11].sum()} of them in layer 11")
assert (
    (gpt2["fraction_negative"] > 0.5).sum() == 118
    and no_majority[11].sum() == 10
    and gpt2["n_negative"][0, 10].sum() == 0
)
assert gpt2["n_no_first_key"].sum() == 11664 and round(gpt2["fraction_negative_no_first_key"].mean() * 100, 1) == 84.6

# %% [markdown]
# This is no coin's toss. (The heads of one layer read the same vectors, so 144 is still generous. Count by layer instead:
# the fraction is above a half in all but the last.) And texts? Six prompts give six numbers:

# %%
by_prompt = gpt2["prompt_fraction_negative"].mean(1)
print("below zero, prompt by prompt:", " ".join(f"{share:.0%}" for share in by_prompt))
assert by_prompt.min() > 0.6
assert (gpt2["fraction_negative"].mean(1) > 0.5).sum() == 11 and gpt2["fraction_negative"].mean(1)[11] < 0.5

# %% [markdown]
# **So the shift is real**, in every one of the six texts. Look at single heads: choose one and run the cell again.

# %%
layer, head = 3, 7
ax = plot_score_histogram(gpt2["histogram"][layer, head], edges)
seen = edges[:-1][gpt2["histogram"][layer, head] > 0]
ax.set(xlim=(min(seen.min(), 0) - 5, max(seen.max(), 0) + 5))
ax.set_title(f"Real GPT-2, L{layer}H{head}: {gpt2['n'][layer, head]} causal scores of five prompts")
plt.show()
print(f"median {gpt2['median'][layer, head]:.1f}, below zero {gpt2['fraction_negative'][layer, head]:.0%}")

# %% [markdown]
# *The figure says:* a head's scores need not form one bell. In L3H7 a handful lies far above the rest, just above zero. Whose are they?

# %%
positive = gpt2["n_scores"] - gpt2["n_negative"][3, 7]  # how many scores of L3H7 are not negative, row by row
print("scores in each row:       ", *gpt2["n_scores"])
print("not negative, L3H7:       ", *positive)
spared = gpt2["n_scores"] - gpt2["n_negative"]  # (layer, head, row)
others_negative = gpt2["fraction_negative_no_first_key"] == 1
first_key_only = (spared == 1).all(-1) & others_negative  # one in each row, and no other key's: 31 / 112 = 0.28
first_row_only = (spared == (gpt2["n_scores"] == 1)).all(-1)  # 5 / 112 = 0.04
print("heads where just the first key's scores are not negative, in every row:", first_key_only.sum())
print("heads like L3H7, where just the first rows' are not:", first_row_only.sum())
first_alone = others_negative & (gpt2["fraction_negative"] < 1)
print("heads where no other key than the first ever gets a score that is not negative:", first_alone.sum())
assert (positive == (gpt2["n_scores"] == 1)).all() and first_alone.mean() > 0.25

# %% [markdown]
# Each belongs to a row of one score: the first token's own, its query with its own key. All the rest is negative. Go back to the
# map: the many heads with 0.72 and 0.96 are no accident, for the first key has 31 of the 112 scores, the first rows have 5. In more than a quarter of GPT-2's heads **the
# first key is the only one that ever gets a score above zero.** Keep this in mind for section 5.
#
# ### The model on this machine
#
# The same measurements on the model that this notebook can run. If it is mini, it is far smaller and was trained far less than
# GPT-2: it need not show the same, and we shall take what it shows.

# %%
model, tokenizer = load_model()
raw, input_ids = scores_of(model, tokenizer)
labels = token_strings(tokenizer, input_ids)
n_layers, n_heads = raw.shape[:2]
loaded = shift_stats(raw)
print(
    f"loaded model: {n_layers} layers of {n_heads} heads, {len(labels)} tokens, {loaded.n[0, 0]:,} causal scores in each head"
)
for drop, title in ((False, "all keys"), (True, "without the first key")):
    stats = shift_stats(raw, drop_first_key=drop)
    print(f"loaded model, {title}: {over_heads(stats.fraction_negative, stats.n)}")

# %%
ax = plot_head_grid(loaded.fraction_negative, label="fraction of the scores below zero", meaning="fraction")
ax.set_title(f"Loaded model: {loaded.n[0, 0]:,} causal scores in each head")
plt.show()

# %% [markdown]
# *The figure says:* in which heads of the loaded model most scores are negative. Compare it with the control's: there, high and low
# fractions lie side by side without any preference.
#
# How *large* is the shift, beside the width of the scores? A median of $-5$ is much where scores scatter by 5, and next to nothing where they scatter by 500.

# %%
for name, median, std in (
    ("real GPT-2, five prompts", gpt2["median"], gpt2["std"]),
    ("loaded model", loaded.median, loaded.std),
    ("random control", control.median, control.std),
):
    print(f"{name}: median over heads of median / standard deviation {np.median(median / std):+.2f}")

# %% [markdown]
# ## 3. How it appears
#
# Nobody puts the shift in. At the start of its training a model is as untrained as the control; so somewhere on the way it must arise. We cannot
# watch GPT-2's training, but mini's was recorded: the raw scores of one fixed text at several moments, over the 12 heads of each layer.
#
# **Predict.** Which comes first: the width or the shift?

# %%
training = np.genfromtxt(MINI / "trajectory.csv", delimiter=",", names=True)
layers = np.unique(training["layer"]).astype(int)
fig, axes = plt.subplots(1, 3, figsize=(14, 3.8), layout="constrained")
columns = {
    "std": "standard deviation of the raw scores",
    "median": "median raw score",
    "fraction_negative": "fraction below zero",
}
for ax, (column, label) in zip(axes, columns.items(), strict=True):
    for layer, marker in zip(layers, "osv^", strict=True):
        rows = training[training["layer"] == layer]
        colour = MAPS["layer"](layer / layers.max())
        ax.plot(rows["tokens"] / 1e6, rows[column], marker=marker, ms=4, color=colour, label=f"layer {layer}")
    ax.set(xlabel="training text seen (million tokens)", ylabel=label)
axes[1].axhline(0, color="black", lw=1, ls="--")
axes[2].axhline(0.5, color="black", lw=1, ls="--")
axes[2].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
fig.suptitle(f"mini in training: {training['n_scores'][0]:,.0f} causal scores of one text in each layer")
plt.show()

# %%
moments = np.unique(training["step"])  # the training at each moment, mean over the layers
mean_of = {
    name: np.array([training[training["step"] == m][name].mean() for m in moments]) for name in training.dtype.names
}
for name, place in (("untrained", 0), ("trained", -1)):
    print(
        f"mini {name}: standard deviation {mean_of['std'][place]:.1f}, median {mean_of['median'][place]:+.2f}, "
        f"{mean_of['fraction_negative'][place]:.1%} below zero, "
        f"{mean_of['heads_mostly_negative'][place]:.1f} of 12 heads in a layer mostly negative"
    )
tokens = mean_of["tokens"] / 1e6
print(
    f"the width is three times the first from {tokens[mean_of['std'] > 3 * mean_of['std'][0]].min():.1f} million tokens on"
)
not_yet = tokens[mean_of["fraction_negative"] < 0.55]
print(f"the fraction below zero was last under 55 % at {not_yet.max():.1f} million tokens")
recorded = int((2 * training["n_scores"][0] / 12) ** 0.5)  # the 12 heads have T(T + 1) / 2 scores each
print(f"recorded on a text of {recorded} tokens; the text of this lesson has {len(labels)} on the loaded model")
late = training[training["tokens"] > 1e6]
assert (
    tokens[mean_of["std"] > 3 * mean_of["std"][0]].min() < not_yet.max() and mean_of["std"][-1] > 3 * mean_of["std"][0]
)
early = training[training["tokens"] < 1e6]
assert [bool((late["median"][late["layer"] == layer] > 0).any()) for layer in layers] == [False, True, True, True]
assert all((early["median"][early["layer"] == layer] < 0).any() for layer in layers) and (late["median"][-4:] < 0).all()

# %% [markdown]
# <details><summary>Answer</summary>
#
# The width. It has tripled before the fraction below zero leaves the neighbourhood of a half for good. Layer 0 goes its own way: its median
# sinks below zero early and stays there, while those of the other layers waver about zero, rise above it after the first million tokens, and sink only then.
# </details>
#
# (Section 2 measures the loaded model on the text of this lesson. The training was recorded on another, longer one, so even a fully
# trained mini has two fractions, here and there.)
#
# *The figure says:* at the left end, untrained, every layer's median lies near zero. Training spreads the scores; how far it also
# moves them is printed above, and how far in GPT-2 in section 2. mini and GPT-2 are two different models: that a shift is
# weak or strong in the one says nothing about the other. What the shift of a model depends on, size, data or length of training,
# two models cannot tell.

# %% [markdown]
# ## 4. Does a negative score make attention sparse?
#
# *The report says* it does. Before we look at trained heads, we can ask softmax itself. First we need a measure of sparsity.
#
# The **effective number of tokens** of a query is $\exp(H)$, with $H = -\sum_j p_j \ln p_j$ the entropy of its row. Five
# keys with a fifth each count as 5 tokens; one key with everything counts as 1. The second measure is the share of the row's **top key**.

# %%
for row in ([0.2, 0.2, 0.2, 0.2, 0.2], [0.9, 0.1, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]):
    print(row, "->", round(float(effective_tokens(torch.tensor(row))), 2), "tokens")

# %% [markdown]
# Now take a head of the loaded model, the one whose share on the first key comes nearest to a half, and tamper with its scores.
#
# **Predict** for each change: does the fraction below zero move? Does the pattern?
# 1. take 1,000 from every score; 2. add 1,000 to every score; 3. take another number from each row;
# 4. take 50 from every score but the first key's; 5. add 50 to every score but the first key's; 6. multiply every score by 3.

# %%
patterns = attention_pattern(raw.double(), 64)
first_share = patterns[..., 2:, 0].mean(-1)  # (layer, head), queries from the third on
layer, head = divmod((first_share - 0.5).abs().argmin().item(), n_heads)
scores = raw[layer, head].double()
rows = 200 * torch.cos(torch.arange(len(scores)).double())[:, None]  # one number for each query, none of them 0
others = (torch.arange(len(scores)) > 0).double()  # 0 for the first key, 1 for the rest
changes = {
    "as it is": scores,
    "1: less 1,000": scores - 1000,
    "2: plus 1,000": scores + 1000,
    "3: a number for each row": scores + rows,
    "4: less 50 but for the first key": scores - 50 * others,
    "5: plus 50 but for the first key": scores + 50 * others,
    "6: times 3": 3 * scores,
}
print(
    f"loaded model, L{layer}H{head}; below zero: of all causal scores; the rest: mean over the queries from the third on"
)
print(f"{'':34}{'below zero':>12}{'tokens':>9}{'top share':>11}{'first share':>13}")
for name, changed in changes.items():
    pattern = attention_pattern(changed, 64)[2:]
    measures = effective_tokens(pattern).mean(), pattern.amax(-1).mean(), pattern[:, 0].mean()
    print(
        f"{name:34}{shift_stats(changed).fraction_negative:>12.0%}{measures[0]:>9.2f}{measures[1]:>11.2f}{measures[2]:>13.2f}"
    )

# %%
unchanged = attention_pattern(scores, 64)
below = [shift_stats(changed).fraction_negative for changed in changes.values()]
assert below[1] == 1 and below[2] == 0 < below[3] < 1
for name in list(changes)[1:4]:
    assert torch.allclose(attention_pattern(changes[name], 64), unchanged, rtol=0, atol=1e-9), name
assert effective_tokens(attention_pattern(changes["6: times 3"], 64)).mean() < effective_tokens(unchanged).mean()
first = {name: attention_pattern(changed, 64)[2:, 0].mean() for name, changed in changes.items()}
assert first["4: less 50 but for the first key"] > 0.9 and first["5: plus 50 but for the first key"] < 0.1
for name in list(changes)[4:]:
    assert not torch.allclose(attention_pattern(changes[name], 64), unchanged, rtol=0, atol=1e-3), name

# %% [markdown]
# <details><summary>Answer</summary>
#
# Changes 1 to 3 move *every* score: 1 makes all of them negative, 2 none, 3 some. All three leave the pattern as it was. Changes 4 and 5
# move the scores by far less, but not all keys of a row alike: the pattern is another. In 4 the first key is left high above all others and takes nearly everything; in 5
# the others are lifted over it, and it is left with hardly anything. Change 6 leaves the sign of every score alone, and yet
# makes the pattern sparser.
# </details>
#
# The reason is one line. Add $c$ to all scores of a row, and the factor $e^c$ cancels:
#
# $$\frac{e^{s_{ij} + c}}{\sum_k e^{s_{ik} + c}} = \frac{e^c\, e^{s_{ij}}}{e^c \sum_k e^{s_{ik}}} = \frac{e^{s_{ij}}}{\sum_k e^{s_{ik}}}$$
#
# **Softmax does not see where a row lies. It sees only how the keys of the row differ.** A score of $-30$ suppresses nothing if its neighbours have $-30$ too;
# a score of $+5$ is suppressed if another key has $+40$. So a shift that is the same for all keys cannot make
# anything sparse, however large.
#
# That leaves two measures of a head that softmax can see: the **spread** of the scores within a row (their standard deviation), and the
# **gap** between the first key's score and the mean of the other keys'. Both stay when a constant is added to the row.
#
# To see whether two measures go together over many heads, we put the heads in order by the one and by the other and compare their places: the
# **rank correlation** (Spearman's) is +1 for the same order, $-1$ for the reverse, near 0 for orders that have nothing to do with each other.
#
# **Predict.** Over GPT-2's 144 heads, which goes with sparsity: the fraction below zero, the spread or the gap? In which direction?

# %%
measures = {
    "fraction below zero": gpt2["fraction_negative"],
    "spread within a row (q·k)": gpt2["spread"],
    "gap to the first key (q·k)": gpt2["gap"],
}
fig, axes = plt.subplots(1, 3, figsize=(14, 4), sharey=True, layout="constrained")
for ax, (name, values) in zip(axes, measures.items(), strict=True):
    for_colour = np.repeat(np.arange(12), 12)
    points = ax.scatter(
        values.ravel(),
        gpt2["effective_tokens"].ravel(),
        c=for_colour,
        cmap=MAPS["layer"],
        s=22,
        edgecolor="black",
        lw=0.3,
    )
    ax.set(
        xlabel=name,
        title=f"rank correlation {spearmanr(values.ravel(), gpt2['effective_tokens'].ravel()).statistic:+.2f}",
    )
axes[0].set_ylabel("effective number of tokens")
fig.colorbar(points, ax=axes, label="layer")
fig.suptitle(
    "Real GPT-2, five prompts: each point is one of 144 heads\n"
    "(fraction below zero: of all causal scores; the rest: mean over the queries from the third on)"
)
plt.show()

# %% [markdown]
# *The figure says:* the wider the scores of a row spread, and the further the first key stands above the others, the fewer tokens a head attends
# to. With the fraction below zero it is the other way round from what the report expects: heads with *more* negative scores attend to *more* tokens.
#
# Five points of the last panel lie left of zero: heads whose first key stands *below* the others. Which are they?

# %%
for layer, head in np.argwhere(gpt2["gap"] < 0):
    print(
        f"L{layer}H{head}: gap {gpt2['gap'][layer, head]:.0f}, {gpt2['effective_tokens'][layer, head]:.1f} effective tokens, "
        f"share on the first token {gpt2['first_share'][layer, head]:.2f}, on the previous {gpt2['previous_share'][layer, head]:.2f}, "
        f"{gpt2['mean_step_back'][layer, head]:.1f} steps back on average"
    )
assert (gpt2["gap"] < 0).sum() == 5 and gpt2["effective_tokens"][4, 11] < 1.05 and gpt2["previous_share"][4, 11] > 0.9
assert gpt2["effective_tokens"][0, 1] < 1.2 and gpt2["mean_step_back"][0, 1] < 0.2

# %% [markdown]
# Heads that leave the first token out can be sparse too: L4H11 attends to the previous token alone (lesson 3), L0H1 to hardly anything but the token itself, zero steps
# back. The gap tells of one way to be sparse, by the sink.
#
# How sure are the correlations? We resample the heads.


# %%
def rank_correlation(values, tokens):
    """Spearman's rank correlation over heads, with its 95 % interval over resampled heads."""
    values, tokens = np.ravel(values), np.ravel(tokens)
    draws = np.random.default_rng(4).integers(values.size, size=(400, values.size))
    low, high = np.quantile([spearmanr(values[d], tokens[d]).statistic for d in draws], [0.025, 0.975])
    return spearmanr(values, tokens).statistic, low, high


contrast = row_contrast(raw)
loaded_tokens = effective_tokens(patterns)[..., 2:].mean(-1)
correlations = {name: rank_correlation(values, gpt2["effective_tokens"]) for name, values in measures.items()}
print("Rank correlation with the effective number of tokens (a negative one means: the larger, the sparser)")
for name, values in zip(measures, (loaded.fraction_negative, contrast.spread, contrast.gap), strict=True):
    both = *correlations[name], *rank_correlation(values, loaded_tokens)
    print("{}: real GPT-2 {:+.2f} ({:+.2f} to {:+.2f}), loaded model {:+.2f} ({:+.2f} to {:+.2f})".format(name, *both))
print("In the loaded model the gap", "goes with sparsity." if both[-1] < 0 else "does not clearly go with sparsity.")

# %%
others = rank_correlation(gpt2["fraction_negative_no_first_key"], gpt2["effective_tokens"])
print("fraction below zero without the first key, real GPT-2: {:+.2f} ({:+.2f} to {:+.2f})".format(*others))
print(
    f"size of the gap and spread, real GPT-2: {spearmanr(np.abs(gpt2['gap']).ravel(), gpt2['spread'].ravel()).statistic:+.2f}"
)
assert correlations["spread within a row (q·k)"][2] < -0.8 and correlations["gap to the first key (q·k)"][2] < -0.7
assert correlations["fraction below zero"][1] > 0 and others[1] > 0

# %% [markdown]
# So it is the spread that predicts sparsity, as it must, for it measures what softmax sees; and in GPT-2 the spread goes hand in hand with the gap to the first
# key. (In the loaded model it may be otherwise: see its line above.) The sign of the scores does not make a head sparse. That GPT-2's heads with *fewer* negative scores are the sparser ones has
# *in part* to do with the first key: where it stands high, its own scores are positive, and they are a good part of all scores in a short text. But a part of the correlation remains without the
# first key, and we do not explain it here. (A correlation over heads is no proof of a cause. The proof of what softmax sees is in the table of changes
# above; the correlation tells what the heads make of it.)
#
# **But then, is the report wrong?** Not so fast. Suppose a shift that is *not* the same for all keys: one that pushes all keys
# down *but one*.

# %% [markdown]
# ## 5. The cause: four terms
#
# A query is not only a product of the token's vector $x_i$ with a matrix. It has a bias: $q_i = x_i W_q + b_q$, and so has the key,
# $k_j = x_j W_k + b_k$. Multiply out:
#
# $$q_i \cdot k_j \;=\; \underbrace{x_i W_q \cdot x_j W_k}_\text{content} \;+\; \underbrace{b_q \cdot x_j W_k}_\text{query bias}
# \;+\; \underbrace{x_i W_q \cdot b_k}_\text{key bias} \;+\; \underbrace{b_q \cdot b_k}_\text{constant}$$
#
# **Predict.** Which of the four does softmax not see? (Ask of each: does it differ between the keys $j$ of one row?)

# %%
with torch.no_grad():
    states = model(input_ids, output_hidden_states=True).hidden_states


def terms_of(layer):
    """The four terms (head, query, key) of a layer of the loaded model, in float64."""
    block = model.transformer.h[layer]
    with torch.no_grad():
        x = block.ln_1(states[layer][0])  # what enters c_attn
        return decompose_scores(x.double(), block.attn.c_attn.weight.double(), block.attn.c_attn.bias.double(), n_heads)


# Each term: (layer, head, query, key)
terms = ScoreTerms(*(torch.stack(parts) for parts in zip(*map(terms_of, range(n_layers)), strict=True)))
print("each term:", tuple(terms.content.shape), "(layer, head, query, key); their sum equals the raw scores")
assert torch.allclose(sum(terms), raw.double(), rtol=0, atol=1e-2)

# %%
shown = 9
layer, head = divmod(first_share.argmax().item(), n_heads)  # the strongest sink head
fig, axes = plt.subplots(1, 4, figsize=(17, 3.9), layout="constrained")
for ax, name, term in zip(axes, terms._fields, terms, strict=True):
    masked = term[layer, head, :shown, :shown].masked_fill(~causal_mask(shown), -torch.inf)
    plot_scores(masked, labels[:shown], ax, label="part of q·k").set_title(name.replace("_", " "))
fig.suptitle(
    f"Loaded model, L{layer}H{head}, its strongest sink head ({first_share[layer, head]:.0%} on the first token): "
    f"the four terms of the first {shown} tokens' scores"
)
plt.show()

# %% [markdown]
# *The figure says:* the content differs from pair to pair. The query-bias term has one value in each **column**: it is a bonus or a malus that a *key* carries,
# whoever asks. The key-bias term has one value in each **row**, and the constant is the same number everywhere. (Each panel has a colour scale of its own: how large a term is, its bar tells.)
#
# The last two are the same for all keys of a row: softmax cannot see them. Test it, by taking one term after the other away.

# %%
pattern = attention_pattern(sum(terms), 64)
gpt2_change = gpt2["pattern_change_without"][1:].max((1, 2))
print("largest change of any share")
for name, term, recorded in zip(terms._fields, terms, gpt2_change, strict=True):
    change = (attention_pattern(sum(terms) - term, 64) - pattern).abs().max().item()
    shown_changes = (f"{c:.2f}" if c > 1e-6 else "below 0.000001" for c in (change, recorded))
    print("without {}: loaded model {}, real GPT-2 (sixth prompt) {}".format(name, *shown_changes))

# %%
invisible = terms.key_bias + terms.constant
assert torch.allclose(attention_pattern(sum(terms) - invisible, 64), pattern, rtol=0, atol=1e-6)
assert (gpt2_change[2:] < 1e-6).all() and (gpt2_change[:2] > 0.5).all()

# %% [markdown]
# Now who carries the shift? The layer inputs of one prompt were recorded with GPT-2, so its scores can be taken apart:
# 45 causal pairs in each head, means over the 12 heads of a layer.

# %%
means = gpt2["terms"].mean(1)  # (layer, term)
print("real GPT-2, nine tokens:", gpt2["prompts"][5])
print(f"{'layer':>5}" + "".join(f"{name.replace('_', ' '):>12}" for name in gpt2["term_names"]) + f"{'sum':>12}")
for layer, row in enumerate(means):
    print(f"{layer:>5}" + "".join(f"{value:>+12.2f}" for value in (*row, row.sum())))

# %%
content, query_bias, key_bias, constant = means.T
unseen = np.abs(key_bias + constant)
print(
    f"the two invisible terms together: largest in layer {unseen.argmax()}, {unseen.max():.1f}; elsewhere at most {np.sort(unseen)[-2]:.2f}"
)
by_head = gpt2["terms"][..., 2:].sum(-1)  # (layer, head)
largest = [divmod(place, 12) for place in np.abs(by_head).ravel().argsort()[::-1]]
told = ", ".join(f"L{layer}H{head} {by_head[layer, head]:+.1f}" for layer, head in largest[:3])
print(f"the same, head by head: {told}; in every other head at most {abs(by_head[largest[3]]):.1f}")
print(
    "layers where the query-bias term is more negative than the content:", np.flatnonzero(query_bias < content).tolist()
)
assert unseen.argmax() == 4 and np.sort(unseen)[-2] < 1.1
assert set(np.flatnonzero(query_bias >= content)) == {2, 5}

# %% [markdown]
# Two findings. The two terms that softmax can *never* see are small on the mean of a layer, and in nearly every head. The great exception is the previous-token head of layer
# 4, which alone makes the mean of its layer: there they lift the scores far up, and softmax sees nothing of it. How much of the other two terms differs between the keys of a row, and so can be seen, comes next. And in
# ten of twelve layers the largest push downwards comes from the **query bias**: not from what this token looks for, but from what the head looks for whatever the token.
#
# A term that pushed down all keys alike would still do nothing. So look at the first key apart from the others.
#
# **Predict.** Where does the query-bias term stand for the first key?

# %%
fig, axes = plt.subplots(1, 2, figsize=(14, 4.2), sharey=True, layout="constrained")
first_key, other_keys = gpt2["terms_by_key"][:, :, 0].mean(1), gpt2["terms_other_keys"].mean(1)  # (layer, term)
for ax, values, title in zip(axes, (other_keys, first_key), ("all keys but the first", "the first key"), strict=True):
    plot_terms(values, gpt2["term_names"], ax).set_title(f"Real GPT-2, nine-token prompt, mean of 12 heads: {title}")
plt.show()

# %%
bias_first, bias_others = first_key[:, 1], other_keys[:, 1]
print("query-bias term by layer, first key: ", " ".join(f"{value:+.0f}" for value in bias_first))
print("query-bias term by layer, other keys:", " ".join(f"{value:+.0f}" for value in bias_others))
lifted = (gpt2["terms_by_key"][:, :, 1:, 1] > 0).mean((1, 2))
print("how many of the other keys it lifts, over heads and keys:", " ".join(f"{share:.0%}" for share in lifted))
harder = np.flatnonzero(other_keys[:, 0] < bias_others)
print("layers where the content pushes the other keys down harder than the bias:", harder.tolist())
assert lifted.argmax() == 11 and lifted.max() < 0.25 and set(harder) == {2, 5} and (bias_first[:2] < 0).all()
assert (bias_first > bias_others).all() and (bias_first[2:] > 0).all() and (bias_others < 0).all()

# %% [markdown]
# *The figure says:* on average the query bias pushes the other keys down in every layer; the first key less so in layers 0 and 1, and **from layer 2 on it lifts that one**. It does not push
# every single key: in the last layer, where it is weakest, it lifts some of the others too. Its push is a large part of the shift that we saw in section 2 (on other prompts); in two layers the
# content pushes harder.
#
# Key by key, in a single head (choose another and run the cell again):

# %%
layer, head = 3, 10
ax = plot_terms(gpt2["terms_by_key"][layer, head], gpt2["term_names"])
ax.set_title(f"Real GPT-2, L{layer}H{head}, nine tokens: mean over the queries that see the key")
ax.set_xticks(range(9), gpt2["tokens"])
ax.set_xlabel("key")
plt.show()
kept, cut = gpt2["first_share_without"][[0, 2], layer, head]
print(f"L{layer}H{head}: share on the first token {kept:.2f}, without the query bias {cut:.2f}")
first, *rest = gpt2["terms_by_key"][layer, head, :, 1]
print(f"query bias: first key {first:+.0f}, other keys {min(rest):+.0f} to {max(rest):+.0f}")
content, bias = gpt2["terms_by_key"][3, 10, :, :2].T
assert bias[0] > 0 > bias[1:].max() and content[1:].min() < content[0] < content[1:].max()
assert gpt2["first_share_without"][0, 3, 7] < 0.5 < gpt2["first_share_without"][0, 3, 10]

# %% [markdown]
# *The figure says:* how the four terms of one head treat each of the nine keys. In L3H10 the query bias (squares) lifts the first key and holds all others
# down; the content (circles) gives it no such lead, it is higher for some keys and lower for others. (L3H7, the head of section 2, is of the same kind, with a share
# below a half.)
#
# This is a **sink head**, and its bias makes it one. Where such a head finds nothing worth looking at, it falls back on the first token, since all other keys
# start with a handicap. To be attended to, another key's content has to make up for it: then a link stands out.
#
# ### Take it away
#
# **Predict.** Remove the query-bias term. What becomes of the first token's share? And what if the content goes instead?

# %%
even = np.mean([1 / (i + 1) for i in range(2, 9)])
share = gpt2["first_share_without"].mean(2)  # (nothing removed or one of the terms, layer)
tokens_left = gpt2["effective_tokens_without"].mean((1, 2))
ax = plt.subplots(figsize=(9, 4), layout="constrained")[1]
for row, label, marker, colour in (
    (0, "as it is", "o", "black"),
    (2, "without query bias", "s", "#D55E00"),
    (1, "without content", "^", "#0072B2"),
):
    ax.plot(share[row], marker=marker, color=colour, label=label)
ax.axhline(even, color="0.5", ls=":", label="even shares")
ax.set(xlabel="layer", ylabel="share on the first token", xticks=range(12), ylim=(0, 1))
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
ax.set_title("Real GPT-2, nine-token prompt: mean of 12 heads, queries from the third on")
plt.show()
for row, label in enumerate(("as it is", *(f"without {name}" for name in gpt2["term_names"]))):
    print(f"{label:>20}: share on the first token {share[row].mean():.2f}, effective tokens {tokens_left[row]:.2f}")

# %%
lost = (share[0] - share[2]).mean() / (share[0] - even).mean()
print(f"without the query bias the first token loses {lost:.0%} of what it gets beyond an even share ({even:.2f})")
print("layers where it then gets less than an even share:", np.flatnonzero(share[2] < even).tolist())
print("layers where it gets more when the content goes:", np.flatnonzero(share[1] > share[0]).tolist())
print(
    "layers where it loses more when the content goes than when the bias goes:",
    np.flatnonzero(share[1] < share[2]).tolist(),
)
assert (share[2] < share[0]).all() and lost > 0.5 and set(np.flatnonzero(share[1] < share[2])) == {5, 11}
assert set(np.flatnonzero(share[2] < even)) == {0, 2, 3} and set(np.flatnonzero(share[1] > share[0])) == {0, 2, 3, 4}

# %% [markdown]
# *The figure says:* without its query bias, GPT-2 gives the first token less in every layer, in layers 0, 2 and 3 even less than an even share.
# The content has no such simple part: in layers 0 and 2 to 4 it works *against* the sink; in layer 1 and from layer 5 on it holds up a part of it, in 5 and 11 more than the bias does.
#
# **So the bias carries the sink. Does it carry the sparsity too?** Look at the last column of the table above, and layer by layer:

# %%
by_layer = gpt2["effective_tokens_without"].mean(2)  # (nothing removed or one of the terms, layer)
for row, label in ((0, "as it is"), (2, "without query bias"), (1, "without content")):
    print(f"effective tokens, {label:>18}: " + " ".join(f"{value:.1f}" for value in by_layer[row]))
content_more = np.flatnonzero(by_layer[1] > by_layer[2])
print("layers where taking the content away costs more sparsity than taking the bias:", content_more.tolist())
assert abs(tokens_left[1] - tokens_left[2]) < 0.1 and min(tokens_left[1:3]) > tokens_left[0] + 0.5
assert len(content_more) == 6 and {5, 11} <= set(content_more) and not {2, 3, 4} & set(content_more)

# %% [markdown]
# No: on average, taking the content away costs GPT-2 **as much sparsity** as taking the bias away. Which of the two costs more differs by layer, six to six: in layers 2 to 4 it is the bias (there
# the patterns even get sparser without their content), in layers 5 and 11 clearly the content.
#
# (Each layer is changed alone here, with the inputs that it had in the whole model. What GPT-2 would *write* without these biases is another question.)
#
# And the loaded model? A model may have a sink from its content, from its bias, or hardly any.

# %%
start = pattern[..., 2:, 0].mean((-2, -1))
without_bias, without_content = (
    attention_pattern(sum(terms) - t, 64)[..., 2:, 0].mean((-2, -1)) for t in (terms.query_bias, terms.content)
)
loaded_even = np.mean([1 / (i + 1) for i in range(2, len(labels))])
print(
    f"loaded model, {len(labels)} tokens: share on the first token, mean of {n_heads} heads; an even share is {loaded_even:.2f}"
)
for layer in range(n_layers):
    print(
        f"layer {layer}: as it is {start[layer]:.2f}, without query bias {without_bias[layer]:.2f}, "
        f"without content {without_content[layer]:.2f}"
    )
names = [name.replace("_", " ") for name in terms._fields]
loaded_means = np.stack([shift_stats(term).mean.mean(1) for term in terms], -1)
carrier = names[loaded_means.mean(0).argmin()]
print(f"what pushes its scores down most: {carrier} ({loaded_means.mean(0).min():+.2f} on average)")

# %% [markdown]
# ### All of it by hand
#
# The **shift explorer** takes the loaded model's scores apart: add a constant, scale, drop any of the four terms, and see what
# becomes of the pattern, the effective tokens and the first token's share. It starts with the head that gives the first token most.
# Here it stands still, with what it says in words:

# %%
layer, head = divmod(first_share.argmax().item(), n_heads)
explorer = ShiftExplorer(model, tokenizer, text, layer=layer, head=head)
explorer.still()

# %% [markdown]
# **Predict.** Which controls leave the pattern as it is, whatever you do with them?

# %%
explorer

# %% [markdown]
# <details><summary>Answer</summary>
#
# "Add", and the boxes of the key bias and the constant: what they change is the same for all keys of a row. Scaling changes the differences
# between the keys, and so the pattern; the content and the query bias are those differences.
# </details>

# %% [markdown]
# ## Exercises
#
# Each check runs your function on inputs of its own and says what is wrong. The solutions are in
# `solutions/04_negative_shift.ipynb`; try first.
#
# ### Exercise 4.1 · Fraction negative (easy)
#
# Given raw scores (..., query, key), not masked, return the fraction of the **causal** scores that are below zero: one number for each
# head, shape (...). Every causal pair counts alike.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `causal_mask(T)` is a tensor of True and False. What does `raw[..., mask]` give?
# </details>


# %% tags=["exercise"]
def my_fraction_negative(raw):
    ### BEGIN SOLUTION
    visible = causal_mask(raw.shape[-1])
    return (raw[..., visible] < 0).float().mean(dim=-1)
    ### END SOLUTION


check("4.1", my_fraction_negative)

# %% [markdown] tags=["solution"]
# **Why not count the whole square?** Half of it is the future, which no query ever looks at, and whose scores can be quite different. Setting it to 0 is no
# better: zero is not negative, so the fraction comes out at about half.

# %% [markdown]
# ### Exercise 4.2 · Effective number of tokens (medium)
#
# Given patterns (..., query, key), whose rows sum to 1, return $\exp(-\sum_j p_j \ln p_j)$ for each query: shape (..., query). A share of 0 adds nothing.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `0 * log(0)` is `0 * -inf`, and that is `nan`. Look up `torch.special.entr`, or replace the `nan`.
# </details>


# %% tags=["exercise"]
def my_effective_tokens(pattern):
    ### BEGIN SOLUTION
    return torch.special.entr(pattern).sum(dim=-1).exp()
    ### END SOLUTION


check("4.2", my_effective_tokens)

# %% [markdown]
# ### Exercise 4.3 · What softmax sees (medium)
#
# Take from raw scores (..., query, key) what softmax cannot see: subtract from each row the mean of its visible scores. Return the centred scores with the future at
# $-\infty$, of the same shape. (Softmax of them is the pattern of before: try it.)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Set the future to 0, sum along the last axis with `keepdim=True`, and divide by the number of *visible* keys of each row.
# </details>


# %% tags=["exercise"]
def my_centred(raw):
    ### BEGIN SOLUTION
    visible = causal_mask(raw.shape[-1])
    means = raw.masked_fill(~visible, 0.0).sum(-1, keepdim=True) / visible.sum(-1, keepdim=True)
    return (raw - means).masked_fill(~visible, -torch.inf)
    ### END SOLUTION


check("4.3", my_centred)

# %% [markdown]
# ### Exercise 4.4 · Resampled rows (medium)
#
# `n_negative` (rows,) says how many scores of each row are negative, `n_scores` (rows,) how many the row has, both numpy arrays. `rows` (resamples, rows) holds whole numbers:
# each line names the rows that one resample draws. Return the fraction negative of each resample: shape (resamples,).

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `n_negative[rows]` has the shape of `rows`. A fraction of all the scores is sum over sum, not the mean of the rows' fractions.
# </details>


# %% tags=["exercise"]
def my_resampled_fractions(n_negative, n_scores, rows):
    ### BEGIN SOLUTION
    return n_negative[rows].sum(axis=-1) / n_scores[rows].sum(axis=-1)
    ### END SOLUTION


check("4.4", my_resampled_fractions)

# %% [markdown]
# ### Exercise 4.5 · The query-bias term (medium)
#
# For one head, given `x` (tokens, d_model), `weight_q` and `weight_k` (d_model, d_head), `bias_q` and `bias_k` (d_head,), return the query-bias term of its raw
# scores: (query, key).

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# $b_q \cdot x_j W_k$ does not depend on the query $i$: find one number for each key, then repeat it in every row.
# </details>


# %% tags=["exercise"]
def my_query_bias_term(x, weight_q, weight_k, bias_q, bias_k):
    ### BEGIN SOLUTION
    per_key = x @ weight_k @ bias_q
    return per_key.expand(len(x), len(x))
    ### END SOLUTION


check("4.5", my_query_bias_term)

# %% [markdown]
# ### Exercise 4.6 · Who makes the sink? (hard)
#
# Given the four terms of one head, each (query, key), return the **name** of the term whose removal takes most from the first key: `"content"`, `"query_bias"`, `"key_bias"` or
# `"constant"`. Measure by the mean share of the first key, queries from the third on; d_head is 64.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Remove one term after another from the sum, and pass the rest to `attention_pattern`. Do not look at how negative a term is: section 4 says why.
# </details>


# %% tags=["exercise"]
def my_sink_maker(content, query_bias, key_bias, constant):
    ### BEGIN SOLUTION
    terms = {"content": content, "query_bias": query_bias, "key_bias": key_bias, "constant": constant}
    total = sum(terms.values())
    left = {name: attention_pattern(total - term, 64)[2:, 0].mean().item() for name, term in terms.items()}
    return min(left, key=left.get)
    ### END SOLUTION


check("4.6", my_sink_maker)

# %% [markdown]
# ## What we found
#
# The table is made from the values measured above. GPT-2's are those of the shipped recordings: five prompts of 6 or 7 tokens, and one of 9 for
# the causes.

# %%
spread_rho, gap_rho, negative_rho = (correlations[name][0] for name in list(measures)[1:] + list(measures)[:1])
sinks = (gpt2["first_share"] > 0.5).mean()
findings = [
    (
        "raw scores should scatter symmetrically about zero",
        f"section 1: the control's heads are a coin's toss ({control.fraction_negative.mean():.0%} below zero), single heads go from {control.fraction_negative.min():.0%} to {control.fraction_negative.max():.0%}",
        "holds over many heads, not for each",
    ),
    (
        "GPT-2's are shifted strongly to the negative",
        f"section 2: {fraction:.1%} of {n_scores:,} scores and {(gpt2['fraction_negative'] > 0.5).sum()} of 144 heads; layer 11 only {gpt2['fraction_negative'][11].mean():.0%}",
        "holds" if fraction > 0.5 and by_prompt.min() > 0.5 else "does not hold",
    ),
    (
        "a negative shift makes softmax sparse",
        f"section 4: a row's constant changes nothing; fraction negative and effective tokens correlate by {negative_rho:+.2f}, spread {spread_rho:+.2f}, gap {gap_rho:+.2f}",
        "holds" if negative_rho < -0.5 else "does not hold: what counts is the difference between keys",
    ),
    (
        "most past tokens are suppressed",
        f"section 5: {tokens_left[0]:.2f} effective tokens; {tokens_left[2]:.2f} without the query bias, which on average pushes down the other keys, {tokens_left[1]:.2f} without the content; the first token's share falls from {share[0].mean():.2f} to {share[2].mean():.2f} without the bias, to {share[1].mean():.2f} without the content",
        "holds, for other reasons: the bias carries the sink, bias and content alike the sparsity",
    ),
    (
        "a few links stand out",
        f"real GPT-2: the top key takes {gpt2['top_share'].mean():.0%} on average, and the first key more than half in {sinks:.0%} of the heads",
        "one stands out, but most often it is the first token" if sinks > 0.5 else "holds",
    ),
]
Markdown(
    "| the report's claim | evidence | verdict |\n| --- | --- | --- |\n"
    + "\n".join(f"| {' | '.join(row)} |" for row in findings)
)

# %% [markdown]
# In one sentence: **the shift is real and softmax cannot see it as such; what suppresses is that keys differ, and in GPT-2 a large part of the shift comes from a bias that does differ: it spares
# the first key and so makes the sink, while the content does as much for the sparsity.** A model whose sink comes from its content tells another story; which one the loaded model tells, section 5 has printed.
#
# **Limits.** Six short prompts of one model; the causes from one of them. In so short a text no query can attend to more than 9 tokens; how sparse long texts make GPT-2 is not measured here. On mini the cells above
# measure mini.
#
# **Where to read on.** arXiv [2604.14722](https://arxiv.org/abs/2604.14722), on attention sinks in GPT-2; Xiao et al. 2023, *Efficient Streaming Language Models with
# Attention Sinks*, arXiv 2309.17453. The functions are in `headlab/shift.py`, their tests in `tests/test_shift.py`; `tools/measure_gpt2_reference.py`
# measured the recordings.
