# %% [markdown]
# # 5 · What softmax sees
#
# *Softmax does not see the level of a row of scores. What does it see, what makes attention sparse, and why does the
# first token get so much of the attention?*
#
# **You will be able to**
# - give a head's scores whichever sign you like without changing any prediction, and say what that proves;
# - distinguish a number that describes the model from one that we can choose;
# - split a score into four terms, and check whether a finding survives another way of splitting;
# - test a causal story about the first token by intervening in the model.
#
# **You need** lessons 1 to 4: mask, softmax, heads, raw scores, the negative shift.
#
# **Time** about {{minutes}} minutes, exercises included. The cells themselves run in {{seconds}}.
#
# **Three questions about earlier lessons**
#
# <details><summary>Lesson 1: what happens to a softmax row when 1 is added to each of its scores?</summary>
#
# Nothing. Numerator and denominator grow by the same factor.
# </details>
#
# <details><summary>Lesson 2: where in the bias of <code>c_attn</code> is the key bias of head 3?</summary>
#
# In its second third: from entry d_model + 3 · d_head up to, but not including, d_model + 4 · d_head.
# </details>
#
# <details><summary>Lesson 4: why is GPT-2's fraction of negative scores higher in longer texts?</summary>
#
# A smaller fraction of the first rows' scores is negative, and these rows count for less in a longer text.
# </details>
#
# > **The report:** GPT-2's raw scores are shifted strongly to the negative. This is a "sparsity mechanism": most past tokens
# > are suppressed, and a few links (an adjective and its noun) stand out. Softmax is clean and sharp because the model pushes
# > its raw scores down to drown the noise.

# %%
import copy

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown
from scipy.stats import rankdata, spearmanr

from headlab.capture import capture_heads, score_terms
from headlab.contrast import FOLDS, below_first_key, below_row_mean, effective_tokens, row_contrast
from headlab.diagram import data_flow
from headlab.exercises import check
from headlab.explorers import ContrastExplorer, recorded_gpt2
from headlab.masking import causal_mask
from headlab.models import load_model
from headlab.plots import COLOURS, plot_head_grid, plot_terms, show_figure
from headlab.predict import predict
from headlab.says import says, who
from headlab.scores import attention_pattern
from headlab.shift import gpt2_reference, shift_stats

text = (
    "The old keeper climbed the stone stairs every evening to light the lamp. His daughter carried the oil and a small "
    "basket of bread, and the little boats came home before the morning."
)
model, tokenizer = load_model()
n_layers, n_heads, d_model = model.config.n_layer, model.config.n_head, model.config.n_embd
d_head = d_model // n_heads
input_ids = tokenizer(text, return_tensors="pt").input_ids
n_tokens = input_ids.shape[1]


def look_at(model):
    """Queries (layer, head, token, channel), raw scores (layer, head, query, key) and patterns of the text."""
    capture = capture_heads(model, input_ids)
    scores, patterns = ([part(layer) for layer in capture.layers] for part in (capture.scores, capture.pattern))
    return capture.q, torch.stack(scores), torch.stack(patterns)


q, raw, pattern = look_at(model)
gpt2 = gpt2_reference()  # what was measured on recordings of GPT-2 small
data_flow("scores", "pattern", model=model)

# %% [markdown]
# ## 1. A knob that does nothing
#
# A key is $k_j = x_j W_k + b_k$. Add a vector $c$ to a head's key bias $b_k$, and every raw score becomes
#
# $$q_i \cdot (k_j + c) = q_i \cdot k_j + q_i \cdot c.$$
#
# The second part depends on the query $i$, but not on the key $j$: it is the same for the whole row.
#
# Now we choose $c$ so that $q_i \cdot c$ is large and negative for every query of the text. (For a text of at most
# d_head tokens such a vector nearly always exists; least squares finds it.) We do this in every head of a copy of the
# loaded model.

# %%
guess = predict(
    "We push all heads' scores far below zero through their key biases. What happens to the predictions?",
    "they change completely",
    "attention gets sparser, so they change a little",
    "they stay as they are",
)


# %%
def push(model, size):
    """A copy of the model whose key biases move the text's raw scores by about `size`."""
    moved = copy.deepcopy(model)
    for layer, block in enumerate(moved.transformer.h):
        ones = torch.ones(n_heads, n_tokens, 1)
        added = size * torch.linalg.lstsq(q[layer], ones, driver="gelsd").solution  # (head, channel, 1)
        block.attn.c_attn.bias.data[d_model : 2 * d_model] += added.flatten()
    return moved


with torch.no_grad():
    logits = model(input_ids).logits
    size = 1.2 * raw[..., causal_mask(n_tokens)].abs().max().item()
    print("The signs of the scores, and the logits:")
    print(f"{who(model)}: {shift_stats(raw).fraction_negative.mean():.1%} of the causal scores are negative")
    change = 0.0
    for direction in (-size, size):
        moved = push(model, direction)
        change = max(change, (moved(input_ids).logits - logits).abs().max().item())
        negative = shift_stats(look_at(moved)[1]).fraction_negative
        print(
            f"after adding a vector to every b_k: {negative.mean():.1%} (single heads {negative.min():.0%} to {negative.max():.0%})"
        )
print(f"largest change of any logit: {change:.3f}; the logits range over {logits.max() - logits.min():.0f}")

# %%
guess.reveal(
    (change < 1e-3 * (logits.max() - logits.min()), "they stay as they are", "what changes is rounding error."),
    (True, None, "here the rounding errors of such large scores show."),
    overlooked={
        "they change completely": "every score of a row moves by the same amount, and softmax cancels it.",
        "attention gets sparser, so they change a little": "sparsity depends on the differences between the scores of a row, and none of these changed.",
        "they stay as they are": "in exact arithmetic they do. Large numbers leave fewer digits for the differences.",
    },
)

# %% [markdown]
# So there is a whole family of models, one for each choice of $c$ in each head, that compute **the same function**. In
# one of them all raw scores of this text are negative; in another none are. Physicists call such a freedom a choice of
# **gauge**, like the level from which altitudes are measured. A statement that is true in one gauge and false in
# another does not describe the model. *"Most raw scores are negative" is such a statement.*
#
# Training cannot see the gauge either: if no prediction depends on $b_k$, the loss has no gradient with respect to it.

# %%
loss = torch.nn.functional.cross_entropy(model(input_ids).logits[0, :-1], input_ids[0, 1:])
biases = [block.attn.c_attn.bias for block in model.transformer.h]
slopes = torch.stack(torch.autograd.grad(loss, biases)).reshape(n_layers, 3, d_model).norm(dim=-1).mean(0)
for name, slope in zip(("query", "key", "value"), slopes, strict=True):
    print(f"{who(model)}: gradient of the loss with respect to the {name} bias, mean length over layers {slope:.4f}")
says(
    (slopes[1] < 1e-3 * min(slopes[0], slopes[2]), "The key bias receives rounding errors and nothing else."),
    (True, "The key bias receives far less than the others."),
)

# %% [markdown]
# Namazifar, Hazarika and Hakkani-Tur (2023) proved that the key bias is redundant. Here are GPT-2's:

# %%
ax = plot_head_grid(gpt2["bias_length"][1], label="length of the key bias")
ax.set_title("Real GPT-2: the key biases of its 144 heads")
show_figure("Lengths of 144 key biases, between 0.4 and 1.1 except L4H11 9.5, L0H1 3.8, L0H5 2.1 and L0H3 1.5.")

# %% [markdown]
# *What to see:* the key biases are of similar length, 0.4 to 1.1, except in four heads. The query biases, which the loss does
# see, are between 0.5 and 4.4 long. We do not know why the four differ. The loss does not fix any of them.

# %% [markdown]
# ## 2. Numbers that do not depend on the gauge
#
# Softmax sees how the scores of one row **differ**. So evidence must come from differences within rows. For each head:
#
# - **below the first key**: the share of the other keys' scores that lie below the first key's score in the same row;
# - **below the row's mean**: the share of scores below the mean of their own row (from the third query on);
# - **spread** and **gap**: the standard deviation of a row, and the first key's score minus the mean of the others;
# - **effective tokens**: $\exp(-\sum_j p_j \ln p_j)$ of a row of shares. Five equal shares count as 5 tokens, one share of 100% as 1.
#
# GPT-2 was recorded on ten texts of 6 to 12 tokens.

# %%
guess = predict(
    "Which is steadier from text to text: the fraction of negative scores, or the share below the first key?",
    "the fraction of negative scores",
    "the share below the first key",
)

# %%
measured = {
    "negative": ("text_fraction_negative", "v", "0.5"),
    "below the first key": ("text_below_first_key", "o", "#0072B2"),
    "below the row's mean": ("text_below_row_mean", "s", "#D55E00"),
    "share of the first key": ("text_first_share", "^", "#009E73"),
}
ax = plt.subplots(figsize=(9, 3.8), layout="constrained")[1]
width = {}
for label, (name, marker, colour) in measured.items():
    values = gpt2[name].mean((1, 2))
    width[label] = values.max() - values.min()
    told = f"{label}: {values.min():.1%} to {values.max():.1%}"
    ax.plot(gpt2["text_n_tokens"], values, marker, color=colour, ls="none", label=told)
ax.set(xlabel="tokens of the text", ylabel="share", ylim=(0.5, 1))
ax.set_title("Real GPT-2: ten recorded texts, mean of 144 heads")
ax.legend(frameon=False, bbox_to_anchor=(1, 0.5), loc="center left")
show_figure("; ".join(text.get_text() for text in ax.get_legend().get_texts()))

# %%
guess.reveal(
    (
        width["below the first key"] < width["negative"],
        "the share below the first key",
        f"it varies by {100 * width['below the first key']:.0f} points, the fraction of negative scores by {100 * width['negative']:.0f}.",
    ),
    (True, "the fraction of negative scores", "it varies less."),
    overlooked={
        "the fraction of negative scores": "it grows with the length of the text, and a change of gauge could move it anywhere.",
        "the share below the first key": "it varies more here.",
    },
)

# %% [markdown]
# *Real GPT-2, recorded, 6 to 12 tokens:* in each of the ten texts, more than 90% of the other keys' scores lie below
# the first key's. By layer (five prompts): 76, 87, 88, 91, 90, 98, 98, 99, 98, 99, 100 and 90%. **This is the true core
# of the report's claim, and it does not depend on any gauge.** Its steadiness is partly due to the ceiling, since a
# share above 90% has little room to vary, and partly to length, since the fraction of negative scores grows with the
# text. And 55 to 60% of the scores lie below their row's mean. But this skew is due to the first key: without the first
# token it is 48 to 53%. (The share of the first key falls along a text: 0.75 to 0.81 at the third query, 0.44 to 0.56
# at the tenth. For longer texts we have only single layers and heads: 0.56 to 0.73 in layer 5 over four texts of 23 to
# 37 tokens, 0.59 in L10H7 over 41 texts of 101.)

# %%
control, control_tokenizer = load_model("random")
control_capture = capture_heads(control, control_tokenizer(text, return_tensors="pt").input_ids)
control_raw = torch.stack([control_capture.scores(layer) for layer in control_capture.layers])
first, chance = below_first_key(raw), below_first_key(control_raw)
for name, scores in ((who(model), raw), (who(control), control_raw)):
    print(
        f"{name}: below the first key {below_first_key(scores).mean():.0%}, below the row's mean {below_row_mean(scores).mean():.0%}"
    )
apart = first.mean() - 0.5 > 2 * chance.std() / np.sqrt(chance.size) + abs(chance.mean() - 0.5)
says(
    (not apart, f"{who(model)}: the first key stands out no more than by chance."),
    (first.mean(1).min() > 0.6, f"{who(model)}: in every layer most keys lie below the first one."),
    (
        True,
        f"{who(model)}: by layer, {' '.join(f'{share:.0%}' for share in first.mean(1))} of the other keys lie below the first one: not a clear majority everywhere.",
    ),
)

# %% [markdown]
# ### Does the shift make a head sparse?
#
# Over many heads we can ask whether two numbers go together. The **rank correlation** (Spearman's) is +1 if they put the heads
# in the same order and $-1$ if in the reverse order. The **partial** rank correlation leaves out what both share with a third
# number.


# %%
def partial(a, b, given):
    """Rank correlation of a and b, with the part removed that each shares with `given`."""
    r = np.corrcoef([rankdata(values) for values in (a, b, given)])
    return (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))


names = ("text_fraction_negative", "text_spread", "text_effective_tokens")
rows = [[values.ravel() for values in heads] for heads in zip(*(gpt2[name] for name in names), strict=True)]
found = np.array(
    [(spearmanr(n, e).statistic, spearmanr(s, e).statistic, partial(n, e, s), partial(s, e, n)) for n, s, e in rows]
)
print("real GPT-2, recorded: rank correlation with effective tokens over 144 heads, in ten texts")
for label, values in zip(
    ("fraction negative", "spread", "fraction negative, given the spread", "spread, given the fraction negative"),
    found.T,
    strict=True,
):
    print(f"{label:>36}: {values.min():+.2f} to {values.max():+.2f}")

# %% [markdown]
# Over GPT-2's 144 heads, **more** negative scores go with attention to **more** tokens, the opposite of what the report
# expects (within layer 11 it is the reverse). Given the spread, much less is left ($-0.01$ to $+0.27$). A wide spread goes
# with sparse attention in every text.
#
# And the first of these correlations is not even a fact about the model, because we can choose it. In the loaded model,
# we give a gauge with negative scores to all heads that are sparser than the median, and one with positive scores to all
# others; then the other way round:

# %%
tokens = effective_tokens(pattern)[..., 2:].mean(-1)  # (layer, head)
sparse = torch.from_numpy(tokens < np.median(tokens))[..., None, None]  # (layer, head, 1, 1)
for label, sign in (("as it is", 0.0), ("one gauge", 1.0), ("another gauge", -1.0)):
    scores = raw + sign * size * torch.where(sparse, -1.0, 1.0)
    rho = spearmanr(shift_stats(scores).fraction_negative.ravel(), tokens.ravel()).statistic
    told = f"{rho:+.2f}" if tokens.size > 1 else "none, as a single head has no rank"
    print(f"{who(model)}, {label}: rank correlation of fraction negative and effective tokens: {told}")
assert torch.allclose(attention_pattern(scores.double(), d_head), attention_pattern(raw.double(), d_head), atol=1e-3)

# %% [markdown]
# ## 3. Where the differences come from
#
# With $q_i = x_i W_q + b_q$ and $k_j = x_j W_k + b_k$, where $x$ is what enters `c_attn`:
#
# $$q_i \cdot k_j \;=\; \underbrace{x_i W_q \cdot x_j W_k}_\text{content} \;+\; \underbrace{b_q \cdot x_j W_k}_\text{query bias}
# \;+\; \underbrace{x_i W_q \cdot b_k}_\text{key bias} \;+\; \underbrace{b_q \cdot b_k}_\text{constant}$$
#
# It is tempting to ask which term is most negative. But two of them are the same for all keys of a row, and the split itself
# is a **convention**. A vector $m$, the same for all tokens, can be counted as part of $x$, or moved into the biases:
# $b_q + m W_q$ and $b_k + m W_k$ with $x - m$ give exactly the same scores. Three conventions are in use:
#
# - `fold=None`: the weights as Hugging Face stores them;
# - `fold="layer_norm"`: the bias of `ln_1` moves, as TransformerLens does;
# - `fold="mean"`: the mean of $x$ over the text moves. The query-bias term is then what the *average* query sees in each key.
#
# A finding about terms has to hold in all three. And because only differences count, we measure each term's **gap**: its value
# for the first key minus its mean over the other keys of the row.

# %%
guess = predict(
    "Which term gives GPT-2's first key its lead, in all three conventions?",
    "the content",
    "the query bias",
    "the key bias",
    "it depends on the convention",
)

# %%
gaps = gpt2["term_gap"].mean(2)  # (convention, layer, term)
fig, axes = plt.subplots(1, 3, figsize=(15, 3.8), sharey=True, layout="constrained")
for ax, name, values in zip(axes, gpt2["fold_names"], gaps, strict=True):
    plot_terms(values, gpt2["term_names"], ax).set_title(f"convention: {name}")
    ax.set_ylabel("gap of the term (q·k)")
    ax.legend(frameon=False, bbox_to_anchor=(1, 0.5), loc="center left").set_visible(ax is axes[-1])
fig.suptitle("Real GPT-2, nine-token prompt: how far the first key stands above the others, mean of 12 heads")
told = (
    f"{fold}: " + ", ".join(f"{term} {gap:+.0f}" for term, gap in zip(gpt2["term_names"], means, strict=True))
    for fold, means in zip(gpt2["fold_names"], gaps.mean(1), strict=True)
)
show_figure(f"Three panels, the gap of four terms by layer. Means over the layers, by convention: {'; '.join(told)}.")

# %%
query_bias, content = gaps[..., 1], gaps[..., 0]  # (convention, layer)
guess.reveal(
    (
        (query_bias.mean(1) > 2 * content.mean(1)).all(),
        "the query bias",
        f"averaged over the layers its gap is {', '.join(f'{gap:.0f}' for gap in query_bias.mean(1))} in the three conventions, the content's {', '.join(f'{gap:.0f}' for gap in content.mean(1))}.",
    ),
    (True, "it depends on the convention", "no term leads in all three."),
    overlooked={
        "the content": "it lifts the first key in some layers and lowers it in others, and which ones depends on the convention.",
        "the query bias": "it does not lead in all three.",
        "the key bias": "it is the same for all keys of a row, so its gap is exactly zero.",
        "it depends on the convention": "many numbers do, but one term leads in all three.",
    },
)

# %% [markdown]
# Other numbers from such a split, in all three conventions:

# %%
share, left = (gpt2[name].mean((2, 3)) for name in ("first_share_without", "effective_tokens_without"))
means = gpt2["term_mean"]  # (convention, layer, term)
lines = {
    "mean score of key bias + constant": means[..., 2:].sum(-1).mean(1).round(1),
    "layers where the mean query bias is below the content's": (means[..., 1] < means[..., 0]).sum(1),
    f"effective tokens (as it is {left[0, 0]:.2f}) without content": left[:, 1].round(2),
    f"effective tokens (as it is {left[0, 0]:.2f}) without query bias": left[:, 2].round(2),
    f"share of the first key (as it is {share[0, 0]:.2f}) without query bias": share[:, 2].round(2),
    "layers where the query bias's gap is above 0": (query_bias > 0).sum(1),
}
Markdown(
    f"| real GPT-2, nine tokens | {' | '.join(gpt2['fold_names'])} |\n| --- | --- | --- | --- |\n"
    + "\n".join(f"| {name} | {' | '.join(map(str, values))} |" for name, values in lines.items())
)

# %% [markdown]
# The first two lines depend on the convention, and so does the answer to "which term makes attention sparser, content
# or query bias?" in the next two: these are not findings. In the last two lines all conventions agree on the direction:
# **the query bias lifts the first key in every layer, and without it the sink weakens**, in at least 138 of the 144
# heads in each convention. And the loaded model?

# %%
led, cut = [], []
print(f"{who(model)}: gap of content and query bias; share of the first key, as it is and without the query bias")
for fold in FOLDS:
    terms = score_terms(model, input_ids, fold)
    parts = [np.mean([row_contrast(getattr(t, name)).gap.mean() for t in terms]) for name in ("content", "query_bias")]
    without = [attention_pattern((sum(t) - t.query_bias).double(), d_head)[:, 2:, 0].mean().item() for t in terms]
    led.append(parts[1] > max(parts[0], 0))
    cut.append(np.mean(without) / pattern[..., 2:, 0].mean().item())
    print(
        f"{fold or 'none':>10}: gap {parts[0]:+6.1f} {parts[1]:+6.1f}; share {pattern[..., 2:, 0].mean():.2f} -> {np.mean(without):.2f}"
    )
says(
    (
        all(led) and max(cut) < 0.8,
        f"{who(model)}: in all conventions the query bias leads, and without it the first key loses more than a fifth of its share.",
    ),
    (not apart, f"{who(model)}: there is no sink here for the terms to explain."),
    (not any(led), f"{who(model)}: the query bias leads in no convention."),
    (
        min(cut) < 0.8 < max(cut),
        f"{who(model)}: whether the query bias carries the sink depends on the convention, so it is not a finding.",
    ),
    (
        min(cut) >= 0.8,
        f"{who(model)}: in all conventions the first key keeps four fifths of its share or more without the query bias.",
    ),
    (True, f"{who(model)}: the conventions do not agree on which term leads."),
)

# %% [markdown]
# ## 4. Why the first token?
#
# In GPT-2 the query bias lifts the first key. But how can it tell the first key from the others? The layers' input must
# differ at that position.

# %%
length, cosine = gpt2["input_length"], gpt2["input_cosine"]  # (layer, token), (layer, token, token)
fig, axes = plt.subplots(1, 2, figsize=(13, 3.6), layout="constrained")
low, high = length[:, 1:].min(1), length[:, 1:].max(1)
axes[0].fill_between(range(12), low, high, color=COLOURS["other keys"], alpha=0.4, label="the eight others")
axes[0].plot(length[:, 0], "o-", color=COLOURS["first key"], label="the first token")
axes[1].plot(cosine[:, 0, 1:].mean(-1), "o-", color=COLOURS["first key"], label="the first with the others")
axes[1].plot(
    (cosine[:, 1:, 1:].sum((1, 2)) - 8) / 56, "s-", color=COLOURS["other keys"], label="the others among themselves"
)
axes[1].axhline(0, color="black", lw=1, ls="--")
for ax, label in zip(axes, ("length of what enters c_attn", "cosine"), strict=True):
    ax.set(xlabel="layer", ylabel=label, xticks=range(12))
    ax.legend(frameon=False)
fig.suptitle("Real GPT-2, nine-token prompt: the output of ln_1")
show_figure(
    "Left: the first token's vector is short, 2 to 3, in layers 1 to 10; from layer 2 to 10 the others' are 7 to 11 long. Right: its cosine with them is negative in layers 1 to 10."
)

# %% [markdown]
# *What to see:* from layer 2 to 10 the first token's vector is 2.0 to 2.9 long, the others' 6.9 to 11.3; and it points
# away from them (cosine $-0.15$ to $-0.41$). One prompt cannot say whether this comes from the word or from its
# position. But the positions do differ: the **position embedding** of position 0 is 9.9 long, that of position 1 is
# 5.2, the others' about 3.4.
#
# Ran-Milo, Ofek and Mendel (2026) put the parts together. In GPT-2:
# 1. the position embedding of position 0 differs from all others;
# 2. the **first block's MLP** turns it into a large vector that stays in the residual stream;
# 3. the **key projection** turns that into a key unlike the others';
# 4. the **query bias** is the same for every query, and it scores this key above the rest.
#
# They also show that each part is dispensable: architectures without it have sinks too. So this is
# GPT-2's circuit, not a law.
#
# Our recordings show links 1 and 4, and the input of link 3; GPT-2's MLPs were not recorded. On the
# loaded model we can intervene.

# %%
guess = predict(
    "We swap the position embeddings of positions 0 and 1. Where do the heads look then?",
    "still at the first token: only it is seen by every query",
    "at the second token: it now has the first one's position",
    "at both, or at neither",
)


# %%
def without_query_bias(model):
    """A copy of the model whose query biases are zero in every layer."""
    changed = copy.deepcopy(model)
    for block in changed.transformer.h:
        block.attn.c_attn.bias.data[:d_model] = 0
    return changed


def silence_first(module, arguments, output):
    """A hook: the first token gets nothing from this MLP."""
    return torch.cat([torch.zeros_like(output[:, :1]), output[:, 1:]], dim=1)


swapped, silenced = copy.deepcopy(model), copy.deepcopy(model)
swapped.transformer.wpe.weight.data[[0, 1]] = model.transformer.wpe.weight.data[[1, 0]]
silenced.transformer.h[0].mlp.register_forward_hook(silence_first)
changes = {
    "as it is": model,
    "positions swapped": swapped,
    "no first MLP at position 0": silenced,
    "no query bias": without_query_bias(model),
}
shares = {}
print("Shares of the first two keys, layer by layer:")
for name, changed in changes.items():
    shares[name] = look_at(changed)[2][..., 2:, :2].mean((1, 2)).numpy()  # (layer, first or second key)
    print(
        f"{who(model)}, {name:>26}: share of the first key by layer {shares[name][:, 0].round(2)}, of the second {shares[name][:, 1].round(2)}"
    )
even = np.mean([1 / (i + 1) for i in range(2, n_tokens)])
sinks = shares["as it is"][:, 0] > 2 * even
before = shares["as it is"][sinks].mean(0) if sinks.any() else np.full(2, np.nan)
after = {name: share[sinks].mean(0) if sinks.any() else np.full(2, np.nan) for name, share in shares.items()}

# %%
moved = after["positions swapped"] - before
guess.reveal(
    (
        not sinks.any(),
        None,
        f"no layer of the {who(model)} has a sink, so nothing can move (an even share is {even:.2f}).",
    ),
    (
        moved[0] < -0.25 * before[0]
        and moved[1] > 0.25 * before[0]
        and after["positions swapped"][1] > after["positions swapped"][0],
        "at the second token: it now has the first one's position",
        f"in the layers with a sink the first key falls from {before[0]:.2f} to {after['positions swapped'][0]:.2f}, the second rises from {before[1]:.2f} to {after['positions swapped'][1]:.2f}.",
    ),
    (
        moved[0] > -0.25 * before[0],
        "still at the first token: only it is seen by every query",
        f"its share goes from {before[0]:.2f} to {after['positions swapped'][0]:.2f}.",
    ),
    (
        True,
        "at both, or at neither",
        f"the first key gets {after['positions swapped'][0]:.2f} (before {before[0]:.2f}), the second {after['positions swapped'][1]:.2f}.",
    ),
    overlooked={
        "still at the first token: only it is seen by every query": "being visible to every query is not enough; the vector at that position counts too.",
        "at the second token: it now has the first one's position": "the position is not everything; text and other parameters count too.",
        "at both, or at neither": "compare the two shares in the layers with a sink.",
    },
)
for name, part in (
    ("no first MLP at position 0", "the first MLP's output at position 0"),
    ("no query bias", "the query bias"),
):
    says(
        (not sinks.any(), f"{who(model)}: there is no sink that could depend on {part}."),
        (
            after[name][0] < 0.5 * before[0],
            f"{who(model)}: without {part} the sink loses more than half ({before[0]:.2f} to {after[name][0]:.2f}).",
        ),
        (
            after[name][0] < 0.85 * before[0],
            f"{who(model)}: without {part} the sink weakens ({before[0]:.2f} to {after[name][0]:.2f}).",
        ),
        (
            True,
            f"{who(model)}: without {part} the sink keeps at least 85% of its share ({before[0]:.2f} to {after[name][0]:.2f}).",
        ),
    )

# %% [markdown]
# <details><summary>Why can models differ here?</summary>
#
# A sink needs a first key that differs from the others, and scores that rank it above them for most queries. A query bias can
# do the ranking alone. So can the content, if all queries share a direction: then the *average query* acts like a bias, and the
# third convention of section 3 counts it as one. In the untrained control the first key does not stand out.
# </details>
#
# | link | recorded GPT-2 | loaded model |
# | --- | --- | --- |
# | 1. position 0 is special | shown: length of `wpe[0]` | tested: positions swapped |
# | 2. the first MLP makes it large | **not shown**: no MLPs recorded | tested: first MLP off at position 0 |
# | 3. keys differ | input shown: length and cosine | not tested alone |
# | 4. the query bias sees it | shown, layer by layer, in three conventions | tested: no query bias |
#
# In the recordings each layer is changed separately. They cannot say what GPT-2 would predict without its query biases.

# %% [markdown]
# ## 5. The explorer
#
# It opens on the head with the largest product of three numbers: the share that it gives the first key, the fraction of
# its scores that are negative, and how strongly its queries agree on the sign of $q \cdot b_k$. Move **b_k times** to
# add multiples of the head's own key bias, and watch the first line. Then drop the query bias, or scale the scores.

# %%
collected = pattern[..., 2:, 0].mean(-1).numpy()  # (layer, head)
fused_biases = torch.stack([block.attn.c_attn.bias.detach() for block in model.transformer.h])
key_biases = fused_biases[:, d_model : 2 * d_model].reshape(n_layers, n_heads, d_head, 1)
agree = (q @ key_biases).sign().mean((-2, -1)).abs().numpy()  # (layer, head): 1 if all queries agree
product = collected * shift_stats(raw).fraction_negative * agree
layer, head = divmod(int(product.argmax()), n_heads)
explorer = ContrastExplorer(model, tokenizer, text, layer=layer, head=head)
explorer.still()

# %%
explorer

# %% [markdown]
# *Real GPT-2, recorded:* the four terms of all 144 heads on one sentence of nine tokens. L4H11 has the longest key
# bias.

# %%
ContrastExplorer(*recorded_gpt2(), layer=4, head=11)

# %%
says(
    (
        not key_biases.any(),
        f"{who(model)}: all key biases are zero, as before any training, so multiples of them do nothing.",
    ),
    (
        agree[layer, head] == 1,
        f"{who(model)}, L{layer}H{head}: all queries agree, so a large multiple moves every score in the same direction.",
    ),
    (
        True,
        f"{who(model)}, L{layer}H{head}: the queries disagree, so a multiple of b_k moves some rows up and others down.",
    ),
)

# %% [markdown]
# ## Exercises
#
# Each check says what is wrong. Try first; the solutions are in `solutions/05_what_softmax_sees.ipynb`.

# %% [markdown]
# ### Exercise 5.1 · What is left
#
# *Difficulty 3 of 5 · importance 5 of 5 · about 4 minutes*
#
# Remove from raw scores (..., query, key) all that softmax cannot see: subtract from each row the mean of its **visible**
# scores. Return the same shape, with the future at $-\infty$.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# How many keys does row $i$ see?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Make the future harmless before you sum, divide by the number of visible keys, and keep the summed axis so that the
# subtraction broadcasts.
# </details>


# %% tags=["exercise"]
def my_centred(raw):
    ### BEGIN SOLUTION
    visible = causal_mask(raw.shape[-1])
    means = raw.masked_fill(~visible, 0.0).sum(-1, keepdim=True) / visible.sum(-1, keepdim=True)
    return (raw - means).masked_fill(~visible, -torch.inf)
    ### END SOLUTION


check("5.1", my_centred)

# %% [markdown]
# ### Exercise 5.2 · All positive
#
# *Difficulty 4 of 5 · importance 5 of 5 · about 5 minutes*
#
# Given the queries and keys of one head, each (token, channel), return a vector (channel,) for its key bias that makes **all
# causal scores positive**. The number of tokens is at most the number of channels. The check tries the strongest sink head of
# the loaded model too, and checks that the pattern is unchanged.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# First find a vector whose product with every query is 1. What does a multiple of it do?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Section 1 solved "all queries times c equal one" by least squares. How far down does the lowest causal score lie?
# </details>


# %% tags=["exercise"]
def my_key_bias(q, k):
    ### BEGIN SOLUTION
    lowest = (q @ k.T)[causal_mask(len(q))].min()
    one = torch.linalg.lstsq(q, torch.ones(len(q), 1, dtype=q.dtype), driver="gelsd").solution[:, 0]
    return (1 + abs(lowest)) * one
    ### END SOLUTION


strongest = divmod(int(collected.argmax()), n_heads)
some = min(n_tokens, d_head)
keys = capture_heads(model, input_ids).k[strongest]
check("5.2", my_key_bias, q[strongest][:some], keys[:some])

# %% [markdown]
# ### Exercise 5.3 · A quantity of your own
#
# *Difficulty 4 of 5 · importance 5 of 5 · about 6 minutes*
#
# Invent a number that describes the raw scores (query, key) of one head and that **does not depend on the gauge**:
# return one number. It must not be one of section 2's, it must ignore the future, and it must not be the same for all
# heads. The check adds constants to the rows, and it also compares three heads to see whether your number notices
# anything at all. Then write down in one line *why* it does not depend on the gauge.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# What would you like to know about a row, apart from its level?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Any function of differences within rows will do. So will any function of the pattern.
# </details>


# %% tags=["exercise"]
def my_invariant(raw):
    ### BEGIN SOLUTION
    visible = causal_mask(len(raw))
    highest = raw.masked_fill(~visible, -torch.inf).amax(-1)
    lowest = raw.masked_fill(~visible, torch.inf).amin(-1)
    return (highest - lowest).mean()
    ### END SOLUTION


check("5.3", my_invariant)

# %% [markdown] tags=["solution"]
# **Why?** $(s_{ij} + c_i) - (s_{ik} + c_i) = s_{ij} - s_{ik}$: the constant of a row cancels in every difference within the
# row, so it cancels in the highest minus the lowest score, and in their mean over the rows.

# %% [markdown]
# ### Exercise 5.4 · A lead without the query bias
#
# *Difficulty 3 of 5 · importance 4 of 5 · about 5 minutes*
#
# Given `raw` and its query-bias term (`fold=None`), both (layer, head, query, key), find the head whose first key
# stands highest above the others **once the query bias is removed**: the largest gap, as section 2 defines it. Return
# two whole numbers, (layer, head). You may use headlab. The check tries the loaded model too.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# What is left of a score without one of its four terms?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# `row_contrast` gives every head's gap. Lesson 1 found the position of a table's largest entry.
# </details>


# %% tags=["exercise"]
def my_head_without_bias(raw, query_bias):
    ### BEGIN SOLUTION
    gap = row_contrast(raw - query_bias).gap
    return tuple(int(i) for i in np.unravel_index(gap.argmax(), gap.shape))
    ### END SOLUTION


bias_terms = torch.stack([terms.query_bias for terms in score_terms(model, input_ids)])
check("5.4", my_head_without_bias, raw, bias_terms)

# %% [markdown]
# ### Exercise 5.5 · Who makes the sink?
#
# *Difficulty 4 of 5 · importance 4 of 5 · about 5 minutes*
#
# Given the four terms of one head, each (query, key), return the **name** of the term whose removal takes most from the first
# key: `"content"`, `"query_bias"`, `"key_bias"` or `"constant"`. Measure by the first key's mean share, queries from the third
# on; d_head is 64.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Do not judge by how negative a term is, or by how large it is at the first key: both are traps.
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Do the experiment: for each term, compute the pattern of the sum of the others.
# </details>


# %% tags=["exercise"]
def my_sink_maker(content, query_bias, key_bias, constant):
    ### BEGIN SOLUTION
    terms = {"content": content, "query_bias": query_bias, "key_bias": key_bias, "constant": constant}
    total = sum(terms.values())
    left = {name: attention_pattern(total - term, 64)[2:, 0].mean().item() for name, term in terms.items()}
    return min(left, key=left.get)
    ### END SOLUTION


check("5.5", my_sink_maker)

# %% [markdown]
# ## What we found
#
# The report's words, and what the recordings say about them (GPT-2 small, ten short texts; the largest share from five of
# them, the terms from one):

# %%
below, mean_below, negative = (
    gpt2[f"text_{name}"].mean((1, 2)) for name in ("below_first_key", "below_row_mean", "fraction_negative")
)
verdicts = [
    (
        "“shifted strongly to the negative”",
        f"{negative.min():.0%} to {negative.max():.0%} of the causal scores are negative",
        "true as recorded, but not a fact about the model: a vector added to b_k makes it 0 or 100%",
    ),
    (
        "“sparsity mechanism”",
        f"fraction negative and effective tokens: {found[:, 0].min():+.2f} to {found[:, 0].max():+.2f}; given the spread {found[:, 2].min():+.2f} to {found[:, 2].max():+.2f}",
        "no: sparsity goes with the spread within rows, and softmax cannot see the shift",
    ),
    (
        "“most past tokens are suppressed”",
        f"{below.min():.0%} to {below.max():.0%} of the other keys lie below the first; {mean_below.min():.0%} to {mean_below.max():.0%} of the scores below their row's mean",
        "true in every gauge, but only relative to the first key",
    ),
    (
        "“a few links stand out”",
        f"the largest share is {gpt2['top_share'].mean():.2f} on average, the first key's {gpt2['first_share'].mean():.2f}",
        "true, but the link that stands out is mostly the first token",
    ),
    (
        "“pushes its raw scores down to drown the noise”",
        f"without the query bias the first share falls from {share[0, 0]:.2f} to {share[:, 2].min():.2f}-{share[:, 2].max():.2f}",
        "no: only what treats keys differently counts, above all the query bias",
    ),
]
Markdown(
    "| the report | evidence | verdict |\n| --- | --- | --- |\n"
    + "\n".join(f"| {' | '.join(row)} |" for row in verdicts)
)

# %% [markdown]
# To measure how much the contrast, the sink and the shift **matter** for the prediction, we have to intervene in the whole
# model: lesson 8.
#
# **Limits.** One model, short texts, terms from a single prompt. The correlations are over the heads of one training run.
#
# **Where to read on**
# - M. Namazifar, D. Hazarika and D. Hakkani-Tur, 2023, *Role of Bias Terms in Dot-Product Attention*, arXiv 2302.08626.
# - Y. Ran-Milo, H. Ofek and S. Mendel, 2026, *A Mechanistic Account of Attention Sinks in GPT-2: One Circuit, Broader
#   Implications for Mitigation*, arXiv 2604.14722.
# - G. Xiao, Y. Tian, B. Chen, S. Han and M. Lewis, 2023, *Efficient Streaming Language Models with Attention Sinks*, arXiv
#   2309.17453.
# - M. O. Hill, 1973, *Diversity and Evenness: A Unifying Notation and Its Consequences*, Ecology 54 (effective numbers).
#
# The functions are in `headlab/contrast.py`, their tests in `tests/test_contrast.py`.
