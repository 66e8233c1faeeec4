# %% [markdown]
# # 1 · Causal masking
#
# *How does a language model keep its eyes off the future, and what does that do to the very first token?*
#
# **You will be able to**
# - say what a query asks for and what a key offers, and read a table of their scores;
# - write the causal mask and explain why the future gets $-\infty$ and not 0;
# - show, on a trained model, that a later token changes nothing before it;
# - measure what the first token collects from everyone else, and compare it with a fair baseline.
#
# **You need** Python with a little PyTorch (tensors, indexing, `@`). No earlier lesson.
#
# **Time** about 30 minutes to read, try and answer. The cells themselves run in well under a minute on two cores.
#
# The course follows a short report on GPT-2's attention heads and tests what it says. A line that begins with
# *The report says* quotes its claim; what follows is our evidence.

# %%
import matplotlib.pyplot as plt
import torch

from headlab.capture import capture_heads
from headlab.exercises import check
from headlab.explorers import MaskExplorer
from headlab.masking import causal_mask, mask_scores, softmax
from headlab.models import load_model, token_strings
from headlab.plots import plot_head_grid, plot_mask, plot_pattern, plot_scores

# %% [markdown]
# ## 1. What a query asks for and a key offers
#
# An attention head gives every token two short vectors. Its **query** $q$ says what this token looks for. Its
# **key** $k$ says what it offers to others. The dot product $q_i \cdot k_j$ is the **raw score**: how well what
# token $i$ looks for fits what token $j$ offers.
#
# Here are four tokens with vectors of two channels, made by hand so that you can check each product in your head.
# Read channel 0 as "is an adjective" and channel 1 as "is a noun".

# %%
tokens = ["the", "old", "stone", "house"]
q = torch.tensor([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [3.0, 0.0]])  # (token, channel): what each looks for
k = torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 1.0], [0.0, 2.0]])  # (token, channel): what each offers
raw = q @ k.T  # (query, key)

# %% [markdown]
# **Predict.** "house" is a noun and looks for adjectives. Which key gives it the highest score?

# %%
ax = plot_scores(raw, tokens)
ax.set_title("Raw scores: rows look, columns offer")
plt.show()
raw

# %% [markdown]
# *The figure says:* in its last row, "house" finds "old" the best fit. But look at row "old": it looks for a noun,
# and its best fit is "house", which comes two tokens **later**.
#
# <details><summary>Answer</summary>
#
# "old", with 3 · 2 + 0 · 0 = 6. "stone" offers half as much, 3 · 1 = 3.
# </details>

# %% [markdown]
# ## 2. Why nobody may look ahead
#
# GPT-2 is **autoregressive**: at each position it foretells the next token from this one and those before. In
# training it does so at all positions of a text at once. If "the old" could see "stone", there would be nothing
# left to foretell, and nothing learned: when the model later writes on its own, the future is not there to look at.
#
# So a query at position $i$ may see the keys at positions $j \le i$, itself included. That is the **causal mask**.

# %%
mask = causal_mask(4)
mask

# %% [markdown]
# **Predict.** How many of the 16 pairs are visible? And for $T$ tokens?

# %%
ax = plot_mask(mask, tokens)
ax.set_title("The causal mask: may this query see this key?")
plt.show()
print(f"{mask.sum().item()} of {mask.numel()} pairs are visible")

# %% [markdown]
# *The figure says:* each row sees one key more than the row above it; the first sees only itself.
#
# <details><summary>Answer</summary>
#
# The triangle with its diagonal, $T(T+1)/2$ pairs: 10 of 16 here, and a little more than half for a long text.
# </details>

# %% [markdown]
# ## 3. From scores to shares
#
# **Softmax** turns a row of scores into shares that add up to 1:
#
# $$p_{ij} = \frac{e^{s_{ij}}}{\sum_k e^{s_{ik}}}$$
#
# Every share is positive, however low the score. To give the future nothing at all, its score has to be $-\infty$
# **before** the softmax, for $e^{-\infty} = 0$.

# %%
masked = mask_scores(raw)
masked

# %% [markdown]
# **Predict.** That is mathematics; a computer rounds. Will the share of the future be very small there, or exactly zero?
# And what must the first row be, whatever its scores?

# %%
pattern = softmax(masked)
pattern

# %%
future = pattern[~causal_mask(4)]
print("largest share of the future:", future.max().item())
print("first row:", pattern[0].tolist())
assert (future == 0).all()
assert pattern[0, 0] == 1

# %% [markdown]
# *The report says:* softmax turns $-\infty$ into exactly 0, and the first token, having no past, gives itself 100 %.
# **Both hold**, and exactly so: `exp(-inf)` is 0 in floating-point numbers too, not a rounding of something small.
# The first row is a softmax over a single score, $e^s / e^s = 1$.

# %%
fig, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
plot_scores(raw, tokens, axes[0]).set_title("raw scores")
plot_scores(masked, tokens, axes[1], label="masked score (grey: -inf)").set_title("masked scores")
plot_pattern(pattern, tokens, axes[2]).set_title("pattern")
plt.show()

# %% [markdown]
# *The figure says:* the mask cuts the upper triangle away; softmax then shares out each row among what is left. "old"
# wanted "house", cannot have it, and has to make do with "the" and itself.

# %% [markdown]
# ## 4. Is it 1 for the past, or 0?
#
# *The report says:* the mask gives the past 1 and the future $-\infty$. Other texts say 0 for the past. Who is right?
#
# **Predict.** Write a mask that is *added* to the scores. What changes if the past gets 1 instead of 0?

# %%
zero_past = torch.zeros(4, 4).masked_fill(~mask, -torch.inf)
one_past = torch.ones(4, 4).masked_fill(~mask, -torch.inf)
difference = (softmax(raw + one_past) - softmax(raw + zero_past)).abs().max().item()
print(f"largest difference between the two patterns: {difference:.1e}")
assert difference < 1e-6

# %% [markdown]
# Nothing changes. The same constant on every visible score of a row multiplies the numerator and the denominator of
# the softmax by the same factor, $e^1$. **So 1 and 0 are both right.** (Keep this in mind: in lesson 4 it decides
# the report's main claim.)
#
# **Predict.** And what if the *future* gets 0 instead of $-\infty$, by multiplying with the mask?

# %%
leaky = softmax(raw * mask)
shares = leaky[~mask]
print(f"the future's shares: {shares.min().item():.3f} to {shares.max().item():.3f}")
assert shares.min() > 0

# %% [markdown]
# A score of 0 is an ordinary score, and $e^0 = 1$ buys a share like any other. **Adding 0 to the past is harmless; a score
# of 0 in the future is a leak.**

# %% [markdown]
# ## 5. The tempting mistake: mask after the softmax
#
# The future should end at 0. Why not take the softmax first and set the future to 0 afterwards?

# %%
too_late = softmax(raw) * mask
print("row sums:", [round(s, 3) for s in too_late.sum(-1).tolist()])

# %% [markdown]
# The shapes are right and the upper triangle is 0, but the rows no longer add up to 1: what the future had taken is
# lost. The first token keeps only a part of itself.
#
# **Predict.** Can it be repaired by dividing each row by its sum?

# %%
repaired = too_late / too_late.sum(-1, keepdim=True)
print(f"largest difference from the pattern: {(repaired - pattern).abs().max().item():.1e}")
assert torch.allclose(repaired, pattern)

# %% [markdown]
# Here it can: the common denominator cancels. But it costs a second normalisation, and it breaks when a future score
# is large. Give the future a score of 200 and look at the first row:

# %%
loud = raw.clone()
loud[0, 3] = 200.0
late = softmax(loud) * mask
print("masked after the softmax, row 0:", (late[0] / late[0].sum()).tolist())
print("masked before the softmax, row 0:", softmax(mask_scores(loud))[0].tolist())
assert late[0].sum() == 0 and softmax(mask_scores(loud))[0, 0] == 1

# %% [markdown]
# The future took everything, so nothing was left to share out: 0 / 0. Mask first.

# %% [markdown]
# ## 6. A real head
#
# Now the same on a trained model. `load_model` takes GPT-2 where this machine has it and the small model that ships
# with headlab where not; it says which. **Whatever you see below was measured on the model named here.**

# %%
model, tokenizer = load_model()
n_layers, n_heads = model.config.n_layer, model.config.n_head
print(f"{n_layers} layers of {n_heads} heads")

# %%
text = "The old man looked at the little white house by the sea. The old man looked at the little boat."
input_ids = tokenizer(text, return_tensors="pt").input_ids
labels = token_strings(tokenizer, input_ids)
print(len(labels), "tokens:", " ".join(labels))

# %% [markdown]
# `capture_heads` runs the model once and keeps the queries, keys and values of every head. (How it gets at them is
# lesson 2.) `capture.pattern(layer, head)` scales the raw scores by $1/\sqrt{d_\mathrm{head}}$ (lesson 3), masks them
# and takes the softmax, with the very functions that you saw above.

# %%
capture = capture_heads(model, input_ids)
layer, head = 1, 0
ax = plot_pattern(capture.pattern(layer, head)[:12, :12], labels[:12])
ax.set_title(f"L{layer}H{head}: the first 12 tokens")
plt.show()

# %% [markdown]
# *The figure says:* nothing stands above the diagonal, and the first row is a single full share.
#
# The **mask explorer** shows the same for any head and any text: its scores, scaled and divided by a *temperature*, and
# the pattern that softmax makes of them. Here it stands still, with what it says in words:

# %%
explorer = MaskExplorer(model, tokenizer, text, layer=layer, head=head)
explorer.still()

# %% [markdown]
# **Predict.** What does each control do to the first row: reading fewer tokens, taking the mask off, a temperature of 5?

# %%
explorer

# %% [markdown]
# <details><summary>Answer</summary>
#
# With the mask on, nothing at all: a softmax over a single score is 1, at any temperature. Fewer tokens cut the
# picture off and change nothing in what is left. Take the mask off, and the first row shares itself out over the whole
# text; now the number of tokens read does change it. A high temperature evens out every row, a low one leaves each
# to its largest score.
# </details>
#
# **Predict.** So far this was one head. Over all the heads: is a share of the future ever anything but exactly 0? And the
# sum of a row, is it always exactly 1?

# %%
patterns = torch.stack([capture.pattern(layer) for layer in range(n_layers)])  # (layer, head, query, key)
visible = causal_mask(len(labels))
print("shares of the future that are not exactly 0:", (patterns[..., ~visible] != 0).sum().item())
print("first rows that are not exactly 100 %:", (patterns[..., 0, 0] != 1).sum().item())
print(f"largest deviation of a row's sum from 1: {(patterns.sum(-1) - 1).abs().max().item():.0e}")
assert (patterns[..., ~visible] == 0).all() and (patterns[..., 0, 0] == 1).all()
assert 0 < (patterns.sum(-1) - 1).abs().max() < 1e-5

# %% [markdown]
# <details><summary>Answer</summary>
#
# The zeros are exact, in every head. The sums are not: each share of the past is rounded in its last digit, and so is
# their sum.
# </details>

# %% [markdown]
# ## 7. The leak test
#
# If no query sees the future, then changing the last token cannot change anything computed for the tokens before it,
# in any layer, in any bit. That is a strong claim, and easy to test: run the model twice.

# %%
changed = input_ids.clone()
changed[0, -1] = (changed[0, -1] + 1) % model.config.vocab_size
with torch.no_grad():
    first = model(input_ids, output_hidden_states=True).hidden_states
    second = model(changed, output_hidden_states=True).hidden_states
for place in (-1, -2):
    same = all(torch.equal(a[0, place], b[0, place]) for a, b in zip(first, second, strict=True))
    print(f"token {place}: {'the same bit for bit' if same else 'different'} in all {len(first)} hidden states")

# %%
assert all(torch.equal(a[0, :-1], b[0, :-1]) for a, b in zip(first, second, strict=True))
print("all earlier tokens: the same bit for bit")

# %% [markdown]
# This holds because a share of *exactly* 0 times any value is exactly 0. With shares that were only tiny, the last
# digits would move.

# %% [markdown]
# ## 8. What the first token collects
#
# The mask is not fair. The first key is visible to every query, the last one only to itself. So the first token could
# collect more attention for that reason alone. How much?
#
# **Predict.** If every query shared evenly among the keys it sees, what would the first token get from query $i$?


# %%
def even_share(n_tokens):
    """What the first of so many tokens gets on average from the others, if each shares evenly."""
    visible = causal_mask(n_tokens)
    return (visible / visible.sum(-1, keepdim=True))[1:, 0].mean().item()


even = even_share(len(labels))
print(f"even shares: the first token gets {even:.3f} on average from the others")

# %% [markdown]
# <details><summary>Answer</summary>
#
# $1/(i+1)$: a half from the second token, a third from the third, and so on. We leave out the first query, which
# has no choice.
# </details>
#
# That is the baseline. Now every head of the trained model, and every head of the **control**: a GPT-2 of the same
# head size whose weights were never trained.

# %%
collected = patterns[..., 1:, 0].mean(-1)  # (layer, head)
random_model, random_tokenizer = load_model("random")
random_ids = random_tokenizer(text, return_tensors="pt").input_ids
random_capture = capture_heads(random_model, random_ids)
random_patterns = torch.stack([random_capture.pattern(layer) for layer in range(random_model.config.n_layer)])
random_collected = random_patterns[..., 1:, 0].mean(-1)
random_even = even_share(random_ids.shape[1])  # its tokenizer may cut the text into another number of tokens

# %%
ax = plot_head_grid(collected, label="mean share on the first token", vmin=0, vmax=1)
ax.set_title("What the first token collects, head by head (trained)")
plt.show()
for name, values, even_one in (("trained", collected, even), ("random control", random_collected, random_even)):
    print(
        f"{name}: mean {values.mean():.3f}, from {values.min():.3f} to {values.max():.3f} over {values.numel()} heads; "
        f"an even share is {even_one:.3f}"
    )
assert (random_collected - random_even).abs().max() < 0.1 < collected.max() - even

# %% [markdown]
# *The figure says:* the heads of a trained model differ widely. Some leave the first token almost nothing, some give
# it far more than its even share. The control's heads all stay near the even share, because untrained
# queries and keys fit each other no better and no worse than chance.
#
# Some heads send most of their attention to the first token, whatever the text. The token is then called an **attention
# sink**: a place to put attention that is not needed. Such a head we call a **sink head**. Lesson 4 finds out how it does it.

# %%
layer, head = divmod(collected.argmax().item(), n_heads)
spread = (collected.max() - collected.min()) / (random_collected.max() - random_collected.min())
print(f"the strongest is L{layer}H{head}: {collected.max():.2f}, {collected.max() / even:.1f} times the even share")
print(f"the trained heads spread {spread:.0f} times as widely as the control's")

# %% [markdown]
# ## Exercises
#
# Each check runs your function on inputs of its own and says what is wrong. The solutions are in
# `solutions/01_causal_masking.ipynb`; try first.
#
# ### Exercise 1.1 · The mask (easy)
#
# Write the causal mask of `n_tokens` tokens yourself: a bool tensor (query, key), True where the query may see the key.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Make the positions with `torch.arange`, once as a column and once as a row, and compare them; or look up `torch.tril`.
# </details>


# %% tags=["exercise"]
def my_causal_mask(n_tokens):
    ### BEGIN SOLUTION
    position = torch.arange(n_tokens)
    return position[:, None] >= position[None, :]
    ### END SOLUTION


check("1.1", my_causal_mask)

# %% [markdown]
# ### Exercise 1.2 · From scores to pattern (medium)
#
# Turn raw scores (..., query, key) into a causal pattern of the same shape. They are not to be scaled. The input must not
# change, and there may be a head axis in front.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Three steps in this order: the mask, `masked_fill` with `-torch.inf`, softmax over the **last** axis.
# </details>


# %% tags=["exercise"]
def my_pattern(scores):
    ### BEGIN SOLUTION
    visible = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    return scores.masked_fill(~visible, -torch.inf).softmax(dim=-1)
    ### END SOLUTION


check("1.2", my_pattern)

# %% [markdown]
# ### Exercise 1.3 · What the first token collects (medium)
#
# Given patterns (..., query, key), return the mean share that the first key gets from all queries **but the first**, one
# number for each head: shape (...).

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# The first key is a column. Which index picks column 0, and which slice leaves out row 0?
# </details>


# %% tags=["exercise"]
def my_collected(pattern):
    ### BEGIN SOLUTION
    return pattern[..., 1:, 0].mean(dim=-1)
    ### END SOLUTION


check("1.3", my_collected)

# %% [markdown] tags=["solution"]
# **Why leave out the first query?** It gives itself 100 % in every head of every model, trained or not. Counting it adds
# $1/T$ to every head: the shorter the text, the stronger a sink would seem.

# %% [markdown]
# ## What we found
#
# | the report's claim | evidence | verdict |
# | --- | --- | --- |
# | the future gets $-\infty$, which softmax turns into exactly 0 | sections 3 and 6: no share of the future differs from 0 | holds |
# | the first token gives itself 100 % | sections 3 and 6: exactly 1 in every head | holds |
# | the mask gives the past 1 | section 4: 1 and 0 give the same pattern | holds, as any constant would |
#
# Beyond the report: a score of 0 in the *future* is a leak (section 4); masking after the softmax loses shares (section 5); later
# tokens change nothing earlier, bit for bit (section 7); and trained heads treat the first token as untrained ones never
# do (section 8).
#
# **Where to read on.** Vaswani et al. 2017, *Attention Is All You Need*, section 3.2.3 (the mask); Xiao et al. 2023,
# *Efficient Streaming Language Models with Attention Sinks*, arXiv 2309.17453. The functions are in `headlab/masking.py`, their
# tests in `tests/test_masking.py`.
