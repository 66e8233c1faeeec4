# %% [markdown]
# # 4 · The negative shift
#
# *Most raw scores of GPT-2 are negative. How strong is this shift, and how sure can we be?*
#
# **You will be able to**
# - say what fraction of a head's scores is negative, and compare it with what chance gives;
# - choose the unit of resampling that fits a question, and recognise an interval that answers another one;
# - separate what depends on the length of a text from what describes a model;
# - say what no interval from one trained model can tell.
#
# **You need** lessons 1 to 3: mask, softmax, heads and raw scores.
#
# **Time** about {{minutes}} minutes, exercises included. The cells themselves run in {{seconds}}.
#
# **Three questions about earlier lessons**
#
# <details><summary>Lesson 1: how many of the pairs of T tokens are visible?</summary>
#
# T(T + 1)/2: query i sees i + 1 keys.
# </details>
#
# <details><summary>Lesson 2: what is the shape of the queries of one layer of GPT-2 small, for T tokens?</summary>
#
# (12, T, 64): heads, tokens, channels.
# </details>
#
# <details><summary>Lesson 3: what is the difference between raw scores and the pattern?</summary>
#
# Raw scores are the dot products $q \cdot k$. The pattern is what scaling, masking and softmax make of them: shares that sum
# to 1.
# </details>
#
# > **The report:** Raw scores "should" scatter symmetrically about zero. GPT-2's are shifted strongly to the negative.
#
# This lesson measures the shift. Its samples come from three sources, and each figure names its source: **real GPT-2,
# recorded** (short texts, whose statistics ship with headlab), the **loaded model**, and the untrained **random
# control**.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

from headlab.capture import capture_heads
from headlab.diagram import data_flow
from headlab.exercises import check
from headlab.explorers import ShiftExplorer, recorded_gpt2
from headlab.masking import causal_mask
from headlab.models import MINI, load_model
from headlab.plots import COLOURS, MAPS, plot_head_grid, plot_score_histogram, show_figure
from headlab.predict import predict, predict_number
from headlab.says import says, who
from headlab.scores import attention_pattern, raw_scores
from headlab.shift import bootstrap_fraction, causal_scores, count_negative, gpt2_reference, shift_stats

# %% [markdown]
# ## 1. What to expect
#
# Take random queries and keys: every channel an independent draw from one bell curve. A dot product is then a sum of
# 64 products, each as likely to be negative as positive.

# %%
guess = predict_number(
    "100 random queries and keys: what percentage of the causal scores are negative?",
    "%",
)

# %%
generator = torch.Generator().manual_seed(4)
random_raw = raw_scores(*torch.randn(2, 100, 64, generator=generator))
stats = shift_stats(random_raw)
low, high = bootstrap_fraction(*count_negative(random_raw))
print("Random queries and keys:")
print(
    f"{stats.n} causal scores: {stats.fraction_negative:.1%} negative, 95% interval over rows {low:.1%} to {high:.1%}"
)

# %%
guess.reveal(
    100 * stats.fraction_negative.item(),
    "close to a half, but not exactly: 5,050 scores are only a sample.",
    overlooked={0: "scores may have either sign.", 100: "nothing pushes the scores of random vectors down."},
    within=2,
)
assert low < 0.5 < high

# %% [markdown]
# `shift_stats` looks at the causal pairs only. The interval says how far chance could have moved the result. But 5,050 scores are
# not 5,050 independent observations: all scores of a row share their query. So we draw whole **rows** again and again, with
# replacement, and look at how the fraction varies (a **bootstrap**; Efron and Tibshirani 1993). If we repeated the whole
# experiment many times, about 95 of 100 such intervals would contain the true fraction. A single interval does not
# say that all values inside it are equally likely.
#
# Random vectors are one thing, a random **model** another. The control has GPT-2 small's shape and was never trained.

# %%
text = (
    "The old keeper climbed the stone stairs every evening to light the lamp. His daughter carried the oil and a small "
    "basket of bread, and the little boats came home before the morning."
)


def scores_of(model, tokenizer):
    """Raw scores (layer, head, query, key) of the text."""
    capture = capture_heads(model, tokenizer(text, return_tensors="pt").input_ids)
    return torch.stack([capture.scores(layer) for layer in capture.layers])


control_raw = scores_of(*load_model("random"))
control = shift_stats(control_raw)

# %%
guess = predict(
    "The control's 144 heads have random weights. Are their scores symmetric about zero?",
    "yes, every head's",
    "on average over heads, but not head by head",
    "no, the scores of random heads are mostly negative",
)

# %%
plot_head_grid(control.fraction_negative, label="fraction of the scores below zero", meaning="fraction").set_title(
    f"Random control: {control.n[0, 0]:,} causal scores in each head"
)
show_figure(
    f"Fractions from {control.fraction_negative.min():.2f} to {control.fraction_negative.max():.2f}; in layer 0 all near 0.5."
)
low, high = bootstrap_fraction(*count_negative(control_raw))
sure = ((low > 0.5) | (high < 0.5)).mean()
print(
    f"mean of the heads {control.fraction_negative.mean():.1%}; heads whose interval over rows excludes 50%: {sure:.0%}"
)

# %%
guess.reveal(
    (
        sure > 0.25,
        "on average over heads, but not head by head",
        "many single heads lie far from a half, on both sides.",
    ),
    (True, "yes, every head's", "no head strays far from a half."),
    overlooked={
        "yes, every head's": "the scores of one head share its weights, and these push most of them the same way.",
        "no, the scores of random heads are mostly negative": "plenty of heads lie above a half, too.",
        "on average over heads, but not head by head": "here no head strays far.",
    },
)
assert abs(control.fraction_negative.mean() - 0.5) < 0.1 and sure > 0.25

# %% [markdown]
# *What to see:* layer 0 is balanced. In later layers the vectors of a text share a common direction, above all because
# attention has mixed the tokens. A head multiplies this direction with itself through its own random weights, and that pushes
# all its scores the same way, up or down, as if by the toss of a coin.
#
# This is a trap even for careful readers. Most of these heads have an interval over rows that excludes 50%, and the interval is
# right: other rows **of this head** would give much the same. It cannot answer "does training push heads down?", because all
# the rows of a head share one draw of weights. **A single head with negative scores proves nothing.**

# %% [markdown]
# ## 2. What GPT-2 shows
#
# `gpt2_reference` holds what headlab measured on recordings of GPT-2 small. We start with the first five, of 6 or 7 tokens.

# %%
gpt2 = gpt2_reference()
for prompt, n in zip(gpt2["texts"], gpt2["text_n_tokens"], strict=True):
    print(f"{n:2} tokens: {prompt}")

# %%
edges, histogram = gpt2["edges"], gpt2["histogram"].sum((0, 1))
ax = plot_score_histogram(histogram, edges, label="real GPT-2, five prompts")
plot_score_histogram(np.histogram(causal_scores(control_raw), edges)[0], edges, ax, label="random control")
fraction = gpt2["fraction_negative"].mean()
ax.set(xlim=(-80, 60), title=f"All heads: {histogram.sum():,} scores of GPT-2, {control.n.sum():,} of the control")
show_figure(f"GPT-2's scores are several times as wide as the control's, and {fraction:.1%} of them are negative.")
print(
    f"real GPT-2, five prompts: {fraction:.1%} of {gpt2['n'].sum():,} causal scores are negative, mean {gpt2['mean'].mean():.1f}"
)
print(f"without the first key: {gpt2['fraction_negative_no_first_key'].mean():.1%}")

# %%
fig, axes = plt.subplots(1, 2, figsize=(15, 6), layout="constrained")
for ax, name, title in zip(axes, ("", "_no_first_key"), ("all keys", "without the first key"), strict=True):
    plot_head_grid(gpt2[f"fraction_negative{name}"], ax, "fraction of the scores below zero", meaning="fraction")
    ax.set_title(f"Real GPT-2, five prompts, {title}: {gpt2[f'n{name}'][0, 0]} scores in each head")
show_figure(
    "Left: 118 of 144 heads have a negative majority, but few in layer 11. Right: without the first key, 131 do."
)

# %% [markdown]
# *What to see:* in 118 of the 144 heads most scores are negative. The shift is strongest in layers 2 to 4; in layer 11 only
# 32% of the scores of these short prompts are negative. Without the first key, many heads have hardly a positive score left.
# The first key is special, and lesson 5 will ask why.
#
# Now the model on this machine, on a longer text:

# %%
model, tokenizer = load_model()
raw = scores_of(model, tokenizer)
d_head = model.config.n_embd // model.config.n_head
data_flow("scores", model=model)

# %%
loaded = shift_stats(raw)
plot_head_grid(loaded.fraction_negative, label="fraction of the scores below zero", meaning="fraction").set_title(
    f"{who(model)}: {loaded.n[0, 0]:,} causal scores in each head"
)
show_figure(
    f"Fractions from {loaded.fraction_negative.min():.2f} to {loaded.fraction_negative.max():.2f}, mean {loaded.fraction_negative.mean():.2f}."
)
several = loaded.n.size > 1  # an interval over heads needs two
negative = (loaded.fraction_negative * loaded.n).round().ravel()
low, high = bootstrap_fraction(negative, loaded.n.ravel()) if several else (0.0, 1.0)
told = f"{who(model)}: {loaded.fraction_negative.mean():.1%} of the scores are negative"
both = f"{told}, 95% interval over heads {low:.1%} to {high:.1%}"
says(
    (low > 0.5, f"{both}: shifted to the negative."),
    (high < 0.5, f"{both}: shifted to the positive."),
    (several, f"{both}: this text shows no clear direction."),
    (True, f"{told}. A single head gives no interval over heads."),
)

# %% [markdown]
# ## 3. How sure? It depends on the question
#
# GPT-2's scores are grouped at several levels: scores lie in rows, rows in texts and heads, heads in layers, and all of them
# come from **one training run**. An interval answers only the question about the unit that it resamples.

# %%
counts, sizes = gpt2["n_negative"], gpt2["n_scores"]  # (layer, head, row), (row,)
units = {
    "rows": (counts.sum((0, 1)), 144 * sizes),
    "heads": (counts.sum(-1).ravel(), np.full(144, sizes.sum())),
    "layers": (counts.sum((1, 2)), np.full(12, 12 * sizes.sum())),
}
for unit, (negative, total) in units.items():
    low, high = bootstrap_fraction(negative, total)
    print(
        f"real GPT-2, five prompts, {fraction:.1%} negative: 95% interval over {len(total):3} {unit:6} {low:.0%} to {high:.0%}"
    )
by_text = gpt2["text_fraction_negative"].mean((1, 2))
print("single texts:", ", ".join(f"{share:.0%}" for share in by_text))

# %% [markdown]
# | question | unit | what the interval is worth |
# | --- | --- | --- |
# | Would other queries of these texts do the same? | rows | little: rows are not alike (section 4) |
# | Does the mean depend on a few heads? | heads | 66 to 74%, if heads were independent; but the heads of a layer read the same vectors |
# | Does it depend on a few layers? | layers | 60 to 78%: the more cautious unit for a similar question |
# | Would other texts do the same? | texts | there are only ten, of different lengths: look at each of them |
# | **Does training shift heads?** | training runs | **none**: there is one GPT-2 small, so there is no interval |
#
# For the last question a second model helps more than any resampling; but two runs are still only two.
#
# How misleading is the wrong unit? In a simulation we know the truth. Each text has its own level, and the mean over
# all possible texts is 70%. We measure five texts of 30 rows each.

# %%
guess = predict(
    "How many of the 95% intervals over rows will contain the true mean over texts?",
    "about 95%",
    "clearly fewer",
    "nearly all: there are 150 rows",
)

# %%
random = np.random.default_rng(0)
n_rows, covered = np.full((5, 30), 20), {"rows": [], "texts": []}
for _ in range(300):
    level = random.normal(0.7, 0.1, (5, 1)).clip(0, 1)  # one for each text
    negative = random.binomial(n_rows, level)
    for unit, sums, totals in (("rows", negative.ravel(), n_rows.ravel()), ("texts", negative.sum(1), n_rows.sum(1))):
        low, high = bootstrap_fraction(sums, totals, n_resamples=200)
        covered[unit].append(low <= 0.7 <= high)
coverage = {unit: np.mean(values) for unit, values in covered.items()}
print("How many of the intervals contain the truth:")
print(
    "300 simulated experiments:",
    ", ".join(f"{share:.0%} of the intervals over {unit} contain the truth" for unit, share in coverage.items()),
)

# %%
guess.reveal(
    (
        coverage["rows"] < 0.8,
        "clearly fewer",
        f"{coverage['rows']:.0%}. The rows of a text resemble each other, not those of other texts.",
    ),
    (True, "about 95%", "here the texts hardly differ."),
    overlooked={
        "about 95%": "that holds for other rows of the same five texts, not for other texts.",
        "nearly all: there are 150 rows": "150 rows from five texts describe only those five texts.",
        "clearly fewer": "here the texts hardly differ.",
    },
)

# %% [markdown]
# Even the intervals over texts fall short of 95%: a bootstrap of only five values gives intervals that are too narrow. With
# fewer than about eight values, show every one of them.

# %% [markdown]
# ## 4. The number depends on the length
#
# Now all ten recorded texts, of 6 to 12 tokens. (The four longest ones share some of their words, so they are not four
# independent texts.)

# %%
rows = 144 * np.arange(1, 13)
by_query = gpt2["text_n_negative"].sum(1) / rows  # (text, query)
fig, axes = plt.subplots(1, 2, figsize=(13, 3.8), layout="constrained")
for shares, n in zip(by_query, gpt2["text_n_tokens"], strict=True):
    axes[0].plot(range(n), shares[:n], ".-", color=COLOURS["real GPT-2"], alpha=0.6)
for label, layers, marker in (
    ("all layers", slice(None), "s"),
    ("layers 2 to 4", slice(2, 5), "^"),
    ("layer 11", slice(11, 12), "o"),
):
    values = gpt2["text_fraction_negative"][:, layers].mean((1, 2))
    axes[1].plot(
        gpt2["text_n_tokens"],
        values,
        marker,
        ls="none",
        label=label,
        color=MAPS["layer"]({"s": 0.3, "^": 0.6, "o": 0.95}[marker]),
    )
axes[0].set(
    xlabel="query (0: the first token)", ylabel="fraction of its scores below zero", title="one line for each text"
)
axes[1].set(xlabel="tokens of the text", ylabel="fraction of all scores below zero", title="one point for each text")
axes[1].legend(frameon=False, bbox_to_anchor=(1, 0.5), loc="center left")
for ax in axes:
    ax.set_ylim(0, 1)
    ax.axhline(0.5, color="0.45", lw=1, ls="--")
fig.suptitle("Real GPT-2, recorded: mean of all heads")
last = gpt2["text_fraction_negative"][:, 11].mean(1)
show_figure(
    f"Left: all lines rise in the same way, from 0.14 to 0.17 in the first row to 0.75 and more in the last. Right: the fraction grows with the length; layer 11 from {last.min():.2f} to {last.max():.2f}."
)

# %% [markdown]
# *What to see:* query by query the ten texts agree. The first row's single score is negative in only 14 to 17% of the heads;
# the second row is at 49 to 59%; from the sixth on, 75% and more are negative. **A longer text has more of these late rows,
# so its total is higher**: 67 to 73% at 6 or 7 tokens, 78 to 80% at 11 or 12. Layer 11 goes from 25 to 42% at 6 or 7
# tokens to 39 to 46% at 11 or 12.
#
# So "70% of GPT-2's scores are negative" is a fact about short prompts, and "layer 11 is the exception" may not hold for a
# long text. We have no recorded scores of texts longer than 12 tokens.

# %% [markdown]
# ## 5. How the shift appears
#
# We cannot watch GPT-2's training, but mini's was recorded: the scores of one text, 12 heads in each of 4 layers. At the start
# it was as untrained as the control.

# %%
guess = predict(
    "In mini's training, which comes first?",
    "the scores spread out",
    "the scores move below zero",
    "both at the same time",
)

# %%
training = np.genfromtxt(MINI / "trajectory.csv", delimiter=",", names=True)
fig, axes = plt.subplots(1, 2, figsize=(12, 3.6), layout="constrained")
for ax, name, label in zip(
    axes, ("std", "fraction_negative"), ("standard deviation of the scores", "fraction below zero"), strict=True
):
    for layer in range(4):
        one = training[training["layer"] == layer]
        ax.plot(one["tokens"] / 1e6, one[name], ".-", color=MAPS["layer"](0.2 + layer / 4), label=f"layer {layer}")
    ax.set(xlabel="training text seen (million tokens)", ylabel=label)
axes[1].axhline(0.5, color="0.45", lw=1, ls="--")
axes[1].legend(frameon=False, bbox_to_anchor=(1, 0.5), loc="center left")
fig.suptitle(f"mini's training: {training['n_scores'][0]:,.0f} causal scores in each layer")
tokens, std, negative = (training[name].reshape(-1, 4).mean(1) for name in ("tokens", "std", "fraction_negative"))
wide = tokens[std > 3 * std[0]].min() / 1e6
low_until = tokens[negative < 0.55].max() / 1e6
show_figure(
    f"Left: the spread, averaged over the layers three times as wide from {wide:.1f} million tokens on. Right: the fraction "
    f"below zero, last below 55% at {low_until:.1f} million."
)
print(
    f"mini: three times as wide from {wide:.1f} million tokens on; last below 55% negative at {low_until:.1f} million"
)

# %%
guess.reveal(
    (
        wide < low_until,
        "the scores spread out",
        "they are three times as widely spread while the mean fraction is still near a half.",
    ),
    (True, None, "the recording does not tell them apart."),
    overlooked={
        "the scores move below zero": "the fraction still hovers around a half when the scores have long spread out.",
        "both at the same time": "the two curves do not rise at the same time.",
    },
)

# %% [markdown]
# mini is one run of a much smaller model with other training data. It cannot tell us what caused GPT-2's shift.

# %% [markdown]
# ## 6. Does the sign mean anything?
#
# The report's explanation of sparsity rests on the sign. Before we follow it, one experiment with the loaded model: we
# subtract 1,000 from every score, or add 1,000.

# %%
for label, moved in (("as they are", raw), ("minus 1,000", raw - 1000), ("plus 1,000", raw + 1000)):
    changed = attention_pattern(moved.double(), d_head) - attention_pattern(raw.double(), d_head)
    print(
        f"{label:>12}: {shift_stats(moved).fraction_negative.mean():6.1%} negative; largest change of any share {changed.abs().max():.4f}"
    )
    assert changed.abs().max() < 1e-3

# %% [markdown]
# The fraction can take any value from 0% to 100%, and attention does not change.
#
# The **shift explorer** shows this lesson's numbers for the first sentence of our text: the fraction in every head, one head's
# scores, and the fraction query by query. You can read fewer tokens, leave out the first key, and add a number to every
# score. It opens on the head with the most negative scores.

# %%
layer, head = divmod(int(loaded.fraction_negative.argmax()), model.config.n_head)
explorer = ShiftExplorer(model, tokenizer, text.split(". ")[0] + ".", layer=layer, head=head)
explorer.still()

# %% [markdown]
# **Predict.** Read fewer and fewer tokens: must the fraction fall? And how much must you add until half of the head's scores
# are positive?

# %%
explorer

# %% [markdown]
# <details><summary>Answer</summary>
#
# It need not fall. It falls where late rows are more negative than early ones, as they are over all of GPT-2's heads;
# in a single head it may be the other way round. To bring half of the scores above zero, add the distance from their
# median to zero: the first line gives the median.
# </details>
#
# *Real GPT-2, recorded:* all 144 heads on one of the ten texts. The row of layer 11 stands apart:

# %%
ShiftExplorer(*recorded_gpt2(), layer=2, head=0)

# %% [markdown]
# **Verdict so far:** "shifted strongly to the negative" describes every recorded text. Whether this shift *means*
# anything is the question of lesson 5.

# %% [markdown]
# ## Exercises
#
# Each check runs your function on inputs of its own and says what is wrong. Try first; the solutions are in
# `solutions/04_negative_shift.ipynb`.

# %% [markdown]
# ### Exercise 4.1 · Fraction negative
#
# *Difficulty 1 of 5 · importance 4 of 5 · about 3 minutes*
#
# Given raw scores (..., query, key), not masked, return the fraction of the **causal** scores that are below zero: one number
# for each head, shape (...). Every causal pair counts equally.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Is $-\infty$ below zero?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Do not mask; pick. A mask of True and False can take the place of the last two indices.
# </details>


# %% tags=["exercise"]
def my_fraction_negative(raw):
    ### BEGIN SOLUTION
    visible = causal_mask(raw.shape[-1])
    return (raw[..., visible] < 0).float().mean(dim=-1)
    ### END SOLUTION


check("4.1", my_fraction_negative)

# %% [markdown]
# ### Exercise 4.2 · Query by query
#
# *Difficulty 3 of 5 · importance 4 of 5 · about 5 minutes*
#
# Make the left panel of section 4 for any model: given raw scores (..., query, key), return for each **query** the fraction
# of its visible scores that are negative, all heads together: shape (query,). The check tries the loaded model too. Do the
# first rows differ there as well?

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# How many scores does row $i$ have in one head, and how many heads are there?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# `flatten` can join all the leading axes. Count, average over the heads, and divide by a vector.
# </details>


# %% tags=["exercise"]
def my_by_query(raw):
    ### BEGIN SOLUTION
    visible = causal_mask(raw.shape[-1])
    negative = ((raw < 0) & visible).sum(-1).float()  # (..., query)
    return negative.flatten(0, -2).mean(0) / visible.sum(-1)
    ### END SOLUTION


check("4.2", my_by_query, raw)

# %% [markdown]
# ### Exercise 4.3 · Resampled rows
#
# *Difficulty 3 of 5 · importance 4 of 5 · about 5 minutes*
#
# Two numpy arrays, `n_negative` (rows,) and `n_scores` (rows,), say how many scores of each row are negative and how many it has.
# `rows` (resamples, rows) holds whole numbers: each line names the rows that one resample draws. Return the fraction
# negative of each resample: shape (resamples,).

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# A resample has its own number of scores.
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# An array of whole numbers can be an index: what shape does it give? Then pool all scores of a resample.
# </details>


# %% tags=["exercise"]
def my_resampled_fractions(n_negative, n_scores, rows):
    ### BEGIN SOLUTION
    return n_negative[rows].sum(axis=-1) / n_scores[rows].sum(axis=-1)
    ### END SOLUTION


check("4.3", my_resampled_fractions)

# %% [markdown]
# ### Exercise 4.4 · Is this interval an answer to that question?
#
# *Difficulty 3 of 5 · importance 5 of 5 · about 5 minutes*
#
# Somebody has resampled one unit, `resampled`, and asks about another, `question`: would *other* rows (or heads, texts, runs)
# give the same, with everything else held fixed? Each argument is `"rows"`, `"heads"`, `"texts"` or `"runs"`. Return True if
# the interval answers the question, else False. For instance, ("rows", "texts") is the simulation of section 3.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# A unit that was not resampled cannot show how much it varies.
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Is there any pair of *different* units for which the answer is yes? Go through the table of section 3.
# </details>


# %% tags=["exercise"]
def my_answers(resampled, question):
    ### BEGIN SOLUTION
    return resampled == question
    ### END SOLUTION


check("4.4", my_answers)

# %% [markdown] tags=["solution"]
# **That simple?** The rule is simple; keeping to it is not. The five prompts give 16,128 scores, all from one training
# run.

# %% [markdown]
# ### Exercise 4.5 · Compare like with like
#
# *Difficulty 3 of 5 · importance 5 of 5 · about 6 minutes*
#
# You want to compare texts of different lengths. `counts` is a list with one numpy array for each text: entry $i$ is
# the number of negative scores in row $i$, which has $i + 1$ scores. Return for each text the fraction negative over
# **the rows that all texts have**: shape (texts,).

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Which text decides how many rows can be compared?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Cut all arrays to one length. How many scores do the first n rows have together? Lesson 1 counted them.
# </details>


# %% tags=["exercise"]
def my_comparable_fractions(counts):
    ### BEGIN SOLUTION
    n = min(len(rows) for rows in counts)
    return np.array([rows[:n].sum() for rows in counts]) / (n * (n + 1) / 2)
    ### END SOLUTION


check("4.5", my_comparable_fractions)

# %%
# Your function on the ten recorded texts, all cut to six tokens:
longest = [counts[:n] / 144 for counts, n in zip(gpt2["text_n_negative"].sum(1), gpt2["text_n_tokens"], strict=True)]
cut = my_comparable_fractions(longest)
if cut is not None:
    print("real GPT-2, first six tokens of each text:", ", ".join(f"{share:.0%}" for share in np.ravel(cut)))

# %% [markdown]
# ## What we found
#
# - Random vectors give a half; random heads give about a half on average, but a single one may lie far from it.
# - *Real GPT-2, recorded:* 67 to 80% of the causal scores are negative in texts of 6 to 12 tokens, and the share grows with the
#   length because late rows are more negative than early ones.
# - An interval answers only the question about the unit that it resamples. Whether *training* shifts heads needs training runs.
# - Adding a constant to all scores can move the fraction anywhere and leaves attention as it is.
#
# **Limits.** Ten short texts read by one model, one seed of the control, one run of mini.
#
# **Where to read on**
# - B. Efron and R. Tibshirani, 1993, *An Introduction to the Bootstrap*, chapters 8 and 13.
# - S. Hurlbert, 1984, *Pseudoreplication and the Design of Ecological Field Experiments*, Ecological Monographs 54: what
#   happens when the wrong unit is counted.
#
# The functions are in `headlab/shift.py`, their tests in `tests/test_shift.py`; `tools/measure_gpt2_reference.py` measured the
# recordings.
