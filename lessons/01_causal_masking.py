# %% [markdown]
# # 1 · Causal masking
#
# *How is a language model kept from looking into the future, and what does that do to the very first token?*
#
# **You will be able to**
# - say what a query asks for and what a key offers, and read a table of their scores;
# - write the causal mask, and explain why the future gets $-\infty$ rather than 0 or a large negative number;
# - design a test that shows whether an attention function leaks the future;
# - measure how much attention the first token collects, and compare it with a fair baseline.
#
# **You need** Python with a little PyTorch (tensors, indexing, `@`). No earlier lesson.
#
# **Time** about {{minutes}} minutes, exercises included. Running all cells takes {{seconds}} on two cores.
#
# The course follows a short report in Vietnamese, *Cô lập và thăm dò khối chú ý* ("Isolating and probing attention
# heads"), which summarises a lecture on GPT-2. We quote its claims in our own translation, in indented paragraphs that
# begin with **The report**. Our verdict always stands apart from the quotation.

# %%
import matplotlib.pyplot as plt
import torch

from headlab.capture import capture_heads
from headlab.diagram import data_flow
from headlab.exercises import check
from headlab.explorers import MaskExplorer
from headlab.masking import causal_mask, mask_scores, softmax
from headlab.models import load_model, token_strings
from headlab.plots import (
    COLOURS,
    plot_head_grid,
    plot_mask,
    plot_pattern,
    plot_scores,
    plot_vectors,
    show_figure,
    write_numbers,
)
from headlab.predict import predict, predict_number
from headlab.says import says, who

# %% [markdown]
# ## 1. What a query asks for and a key offers
#
# An attention head gives every token three short vectors; two matter here. The **query** $q$ says what the token is
# looking for. The **key** $k$ says what the token offers to others. The dot product $q_i \cdot k_j$ is the **raw
# score**: it measures how well token $j$'s offer matches what token $i$ asks for.
#
# Here are four tokens whose vectors we made by hand. Channel 0 stands for "adjective", channel 1 for "noun". A positive
# number in a query asks for that property; a negative number asks for its absence.

# %%
tokens = ["the", "old", "stone", "house"]
q = torch.tensor([[1.0, -1.0], [-1.0, 2.0], [2.0, -1.0], [3.0, 1.0]])  # (token, channel): what each asks for
k = torch.tensor([[-1.0, -1.0], [2.0, 0.0], [1.0, 1.0], [0.0, 2.0]])  # (token, channel): what each offers

# %%
guess = predict(
    "The query of “house” is (3, 1). Which key gives it the highest score?",
    "old, with the key (2, 0)",
    "stone, with the key (1, 1)",
    "house itself, with the key (0, 2)",
)

# %%
raw = q @ k.T  # (query, key)
fig, axes = plt.subplots(1, 2, figsize=(12, 4.8), layout="constrained")
plot_vectors(k, [f"k: {token}" for token in tokens], axes[0], color=COLOURS["other keys"])
plot_vectors(q[3:], ["q: house"], axes[0], color="black")
axes[0].set(xlabel="channel 0: adjective", ylabel="channel 1: noun", title="One query and the four keys")
write_numbers(raw, plot_scores(raw, tokens, axes[1]))
axes[1].set_title("All dot products: rows ask, columns offer")
show_figure(
    "Left: arrows from the origin for the query of house, (3, 1), and for the keys of the, (-1, -1), old, (2, 0), stone, "
    f"(1, 1), and house, (0, 2). Right: the 4 by 4 table of dot products. The row of house holds {raw[3].int().tolist()}."
)

# %%
best = tokens[raw[3].argmax()]
guess.reveal(
    (best == "old", "old, with the key (2, 0)", "3 · 2 + 1 · 0 = 6 is the highest score in its row."),
    (True, None, f"it is {best}."),
    overlooked={
        "stone, with the key (1, 1)": "it offers both properties, but only half as much of the one that “house” wants most.",
        "house itself, with the key (0, 2)": "a query is compared with keys, not with itself. “house” offers no adjective.",
    },
)

# %% [markdown]
# *What to see:* a key scores high when its arrow is long and points in the same direction as the query. The last row of
# the table belongs to the query of "house". Now look at the row of "old": it asks for a noun, and its best key is
# "house", which comes two tokens **later**.

# %% [markdown]
# ## 2. Why no token may look ahead
#
# GPT-2 is **autoregressive**: at every position it predicts the next token from the tokens so far. During training it
# does this at all positions of a text at once. If "old" could see "stone", there would be nothing left to predict and
# nothing to learn. And when the model generates text, the future does not exist yet.
#
# So a query at position $i$ may see the keys at positions $j \le i$, including its own. This rule is the **causal mask**.

# %%
guess = predict_number(
    "A text has 4 tokens, so there are 16 query-key pairs. How many are visible?",
    "pairs",
)

# %%
mask = causal_mask(4)
plot_mask(mask, tokens).set_title("The causal mask: each row sees one more key")
show_figure(f"A 4 by 4 table of query by key. Number of visible keys, row by row: {mask.sum(1).tolist()}.")

# %%
guess.reveal(
    mask.sum().item(),
    "the rows see 1 + 2 + 3 + 4 keys. For T tokens it is T(T + 1)/2, a little more than half of all pairs.",
    overlooked={
        6: "that leaves out the diagonal, but every token may see itself.",
        8: "that is half of 16, which counts only half of the diagonal. All of the diagonal is visible.",
        16: "that is every pair, the future included.",
    },
)

# %% [markdown]
# ## 3. From scores to shares
#
# **Softmax** turns a row of scores into shares that sum to 1:
#
# $$p_{ij} = \frac{e^{s_{ij}}}{\sum_k e^{s_{ik}}}$$
#
# However low a finite score is, $e^s$ is positive, so every visible key gets something. The future should get nothing. That
# is why its scores are replaced by $-\infty$ **before** the softmax.
#
# > **The report:** The mask $M$ is laid over $QK^\top$: the past gets 1 and the future $-\infty$. Softmax turns $-\infty$
# > into exactly 0. So the first token, which has no past, gives itself 100% (an "outlier error").

# %%
guess = predict(
    "Computers round. What does softmax make of a score of -inf?",
    "exactly 0",
    "a tiny positive number",
    "nan, because infinity is not a number",
)

# %%
masked = mask_scores(raw)
pattern = softmax(masked)
future = pattern[~mask]
print("After the softmax:")
print("shares of the future:", future.tolist())
print("first row:           ", pattern[0].tolist())

# %%
guess.reveal(
    ((future == 0).all(), "exactly 0", "exp(-inf) is defined as 0 in floating-point arithmetic. Nothing is rounded."),
    (True, None, "some shares of the future are not 0."),
    overlooked={
        "a tiny positive number": "that is what a very low finite score gives, until it underflows.",
        "nan, because infinity is not a number": "inf - inf and 0 · inf are nan, but exp(x) has a limit as x goes to -inf: 0.",
    },
)
assert (future == 0).all() and pattern[0, 0] == 1

# %%
fig, axes = plt.subplots(1, 3, figsize=(15, 4.4), layout="constrained")
limit = raw.abs().max().item()  # one scale for both panels of scores
write_numbers(raw, plot_scores(raw, tokens, axes[0], limit=limit))
write_numbers(masked, plot_scores(masked, tokens, axes[1], label="masked score", limit=limit))
write_numbers(pattern, plot_pattern(pattern, tokens, axes[2]), digits=2)
for ax, title in zip(axes, ("raw scores", "masked scores (future: -inf)", "pattern"), strict=True):
    ax.set_title(title)
show_figure(
    "Three tables. Raw scores: all 16 numbers. Masked scores: the upper triangle is gone. Pattern: each row sums to 1; "
    "the first row is 1 and zeros; house gives old 0.87."
)

# %% [markdown]
# *What to see:* the mask removes the upper triangle, and softmax divides each query's attention among the keys that are
# left. "old" asks for "house" but may not see it, so it has to choose between "the" and itself.
#
# **Verdict.** Both statements about the softmax hold exactly. The first row is a softmax over one score,
# $e^s / e^s = 1$. It is not an error, though: the first token has only one key to choose from.

# %% [markdown]
# ## 4. What $-\infty$ guarantees
#
# Many programs use a large negative number instead of $-\infty$. At first sight that works just as well:

# %%
print("softmax of (0, -110):", torch.tensor([0.0, -110.0]).softmax(-1).tolist())

# %% [markdown]
# In float32, $e^{-110}$ is too small to be stored, so it becomes exactly 0.

# %%
guess = predict(
    "Which number can replace the future's scores without ever leaking?",
    "-110: its share is exactly 0",
    "-100,000: no real score is as low as that",
    "only -inf",
)

# %% [markdown]
# The row below is real. It holds the scores that one query of the language model Pythia-70m gave its five visible keys.
# A user of the TransformerLens library reported it in 2023 (issue 385; issue 318 has another case). The library masked
# the three future keys with -100,000.

# %%
visible_scores = torch.tensor([-110208.05, -110189.81, -110206.52, -110208.45, -110192.60])
leaked = {}
print("Who gets the attention:")
for number in (-110.0, -1e5, -torch.inf):
    shares = torch.cat([visible_scores, torch.full((3,), number)]).softmax(-1)
    leaked[number] = shares[5:].sum().item()
    print(
        f"masked with {number:9.0f}: the five visible keys share {shares[:5].sum():.2f}, the future {leaked[number]:.2f}"
    )

# %%
guess.reveal(
    (leaked[-1e5] > 0, "only -inf", "no finite score lies below it, so the visible keys always get all the attention."),
    (True, None, "here even the finite numbers did not leak."),
    overlooked={
        "-110: its share is exactly 0": "that is so only if a visible score is far higher. Shares depend on differences within the row.",
        "-100,000: no real score is as low as that": "these five are lower still, so all of the attention went to the future.",
    },
)
assert leaked[-torch.inf] == 0 and leaked[-1e5] > 0.99

# %% [markdown]
# The transformers library, which runs GPT-2 here, is no exception. Until 2022 it masked with -10,000, and people who
# trained models with it reported the same leak (issues 3181 and 15199). Which number does your model mask with? We look
# at what its first attention block receives.

# %%
model, tokenizer = load_model()
n_layers, n_heads = model.config.n_layer, model.config.n_head
text = "The old man looked at the little white house by the sea. The old man looked at the little boat."
input_ids = tokenizer(text, return_tensors="pt").input_ids
labels = token_strings(tokenizer, input_ids)

received = {}
handle = model.transformer.h[0].attn.register_forward_pre_hook(
    lambda module, arguments, named: received.update(named), with_kwargs=True
)
with torch.no_grad():
    model(input_ids)
handle.remove()
model_mask = received.get("attention_mask")
lowest = model_mask.min() if isinstance(model_mask, torch.Tensor) else torch.tensor(torch.nan)
says(
    (lowest.isnan(), f"The {who(model)} receives no mask: its attention code applies its own."),
    (lowest == -float("inf"), f"The {who(model)} adds -inf to the future's scores."),
    (
        lowest == torch.finfo(model.dtype).min,
        f"The {who(model)} adds {lowest:.4g} to the future's scores: the lowest finite value of {model.dtype}.",
    ),
    (True, f"The {who(model)} adds {lowest:.4g} to the future's scores."),
)

# %% [markdown]
# The lowest finite number of float32 is safe in practice: no score comes near it. It has one advantage over $-\infty$.
# Where a whole row is masked, as can happen with padding, $-\infty$ gives 0/0, which is nan; equal finite numbers give
# equal shares. A causal row always has at least one visible key, so here $-\infty$ is safe, and it is the only number whose
# safety does not depend on the scores.

# %% [markdown]
# ## 5. Is the mask added or multiplied?
#
# The report's mask holds 1 for the past and $-\infty$ for the future, and it is "laid over" the scores. That can mean two
# things. Take **adding** first. Other texts add 0 for the past; does the report's 1 change anything?

# %%
zero_past = torch.zeros(4, 4).masked_fill(~mask, -torch.inf)
one_past = torch.ones(4, 4).masked_fill(~mask, -torch.inf)
difference = (softmax(raw + one_past) - softmax(raw + zero_past)).abs().max().item()
print(f"largest difference between the two patterns: {difference:.1e}")
assert difference < 1e-6

# %% [markdown]
# Nothing changes beyond rounding. A constant that is added to every visible score of a row multiplies the numerator and the
# denominator by the same factor, here $e^1$. Remember this: in lesson 5 it decides whether the report's main claim holds.
#
# Now take **multiplying**: the past is multiplied by 1, the future by $-\infty$.

# %%
guess = predict(
    "The first row's future scores are 2, 0 and -2. What are they after multiplying by -inf?",
    "-inf, -inf, -inf",
    "-inf, 0, inf",
    "-inf, nan, inf",
)

# %%
multiplied = raw * torch.ones(4, 4).masked_fill(~mask, -torch.inf)
print("The first row:")
print("multiplied:   ", multiplied[0].tolist())
print("after softmax:", multiplied[0].softmax(-1).tolist())
found = multiplied[0, 1:].tolist()

# %%
guess.reveal(
    (
        found[0] == -torch.inf and found[1] != found[1] and found[2] == torch.inf,
        "-inf, nan, inf",
        "one nan spoils the whole row.",
    ),
    (True, None, f"they are {found}."),
    overlooked={
        "-inf, -inf, -inf": "the sign matters: a negative number times -inf is +inf, the opposite of a mask.",
        "-inf, 0, inf": "0 · inf is undefined, so the result is nan.",
    },
)

# %% [markdown]
# How often would this happen in a real model? *Real GPT-2, recorded* (five prompts of 6 or 7 tokens): 73% of all
# scores of future keys are negative, and 85% of the rows that have a future contain at least one negative score.

# %%
capture = capture_heads(model, input_ids)
all_raw = torch.stack([capture.scores(layer) for layer in range(n_layers)])  # (layer, head, query, key)
visible = causal_mask(len(labels))
negative = (all_raw < 0) & ~visible
share_negative = negative.sum().item() / (n_layers * n_heads * (~visible).sum().item())
broken_rows = negative.any(-1)[..., :-1].float().mean().item()  # the last query has no future
says(
    (
        share_negative > 0,
        f"In the {who(model)}, {share_negative:.0%} of the future's scores are negative. Multiplying by -inf would break "
        f"{broken_rows:.0%} of the rows that have a future.",
    ),
    (True, f"In the {who(model)} no score of the future is negative on this text."),
)

# %% [markdown]
# **Verdict.** If the mask is added, the report is right, and its 1 could be any other finite number. If the mask multiplies,
# it turns negative scores into $+\infty$. The report's text allows both readings; only the first gives a pattern.
#
# One more variant is tempting: multiply by 1 and **0**, as the picture of the mask suggests.

# %%
leaky = softmax(raw * mask)
print("first row:", [round(share, 2) for share in leaky[0].tolist()])
assert leaky[~mask].min() > 0

# %% [markdown]
# A score of 0 is an ordinary score: with $e^0 = 1$ it gets a share like any other. Adding 0 to the past does no harm,
# but a score of 0 in the future is a leak.
#
# OpenAI's own code for GPT-2 does both: it multiplies by a mask of 1 and 0, then adds $-10^{10}$ to the future (function
# `mask_attn_weights`). The multiplication alone would leak; the addition hides the future.

# %% [markdown]
# ## 6. The tempting mistake: mask after the softmax
#
# The future's shares should end up as 0. So why not take the softmax first, and set them to 0 afterwards?

# %%
guess = predict(
    "What do the rows of softmax(raw) * mask sum to?",
    "1 in every row",
    "less than 1 in every row but the last",
    "less than 1 in every row",
)

# %%
too_late = softmax(raw) * mask
sums = too_late.sum(-1)
print("Row sums:", [round(s, 3) for s in sums.tolist()], sep="\n")

# %%
guess.reveal(
    (
        (sums[:-1] < 0.999).all() and abs(sums[-1] - 1) < 1e-6,
        "less than 1 in every row but the last",
        "the last query has no future, so it loses nothing.",
    ),
    (True, None, "see the sums above."),
    overlooked={
        "1 in every row": "softmax made each row sum to 1 with the future included. The future's part is now missing.",
        "less than 1 in every row": "the last query sees every key, so its row still sums to 1.",
    },
)

# %% [markdown]
# Dividing each row by its sum repairs the pattern, because the common denominator cancels. But it needs a second
# normalisation, and it fails when a future score is large:

# %%
repaired = too_late / too_late.sum(-1, keepdim=True)
assert torch.allclose(repaired, pattern, atol=1e-6)
loud = raw.clone()
loud[0, 3] = 200.0
late = softmax(loud) * mask
print("masked after the softmax, row 0: ", (late[0] / late[0].sum()).tolist())
print("masked before the softmax, row 0:", softmax(mask_scores(loud))[0].tolist())
assert late[0].sum() == 0 and softmax(mask_scores(loud))[0, 0] == 1

# %% [markdown]
# The future had taken everything. The past was left with shares of 0, and dividing them by their sum gives 0/0. So mask
# first.

# %% [markdown]
# ## 7. A real head
#
# We loaded a model in section 4. Unless you chose one, `load_model` takes GPT-2 where this machine has it or can fetch it,
# and otherwise the small model "mini" that ships with headlab. **Whatever you see from here on was measured on the model
# named in the output.**
#
# `capture_heads` runs the model once and keeps the queries, keys and values of every head (lesson 2 shows how).
# `capture.pattern(layer, head)` scales the raw scores by $1/\sqrt{d_\mathrm{head}}$ (lesson 3), masks them and takes the
# softmax. The last two steps use the same functions as above.

# %%
data_flow("scores", "pattern", model=model)

# %%
print(f"{who(model)}: n_layers = {n_layers}, n_heads = {n_heads}; the text has {len(labels)} tokens")
layer, head = min(1, n_layers - 1), 0  # any head will do
explorer = MaskExplorer(model, tokenizer, text, layer=layer, head=head)
explorer.still()

# %%
guess = predict(
    "With the mask on, which control below changes the first row of the pattern?",
    "reading fewer tokens",
    "a temperature of 5, which evens out the shares",
    "neither",
)

# %%
explorer

# %%
patterns = torch.stack([capture.pattern(layer) for layer in range(n_layers)])  # (layer, head, query, key)
print("In all heads together:")
print("first rows that are not exactly 100%:", (patterns[..., 0, 0] != 1).sum().item(), "of", n_layers * n_heads)
print("shares of the future that are not exactly 0:", (patterns[..., ~visible] != 0).sum().item())

# %%
guess.reveal(
    ((patterns[..., 0, 0] == 1).all(), "neither", "a softmax over a single score is 1, at any temperature."),
    (True, None, "some first rows are not 1."),
    overlooked={
        "reading fewer tokens": "it removes the last rows and columns, and nothing that remains depends on them.",
        "a temperature of 5, which evens out the shares": "it evens out every other row, but a row with one key has nothing to even out.",
    },
)
assert (patterns[..., ~visible] == 0).all() and (patterns[..., 0, 0] == 1).all()

# %% [markdown]
# ## 8. The leak test
#
# If no query sees the future, then changing the last token changes nothing that is computed for the tokens before it.
# We can test that: run the model twice, with two different last tokens, and compare all hidden states.

# %%
guess = predict(
    "We change the last token. Which hidden states change?",
    "only the last token's",
    "the last token's and, layer by layer, its neighbours'",
    "all of them: attention connects every pair of tokens",
)

# %%
changed = input_ids.clone()
changed[0, -1] = (changed[0, -1] + 1) % model.config.vocab_size
with torch.no_grad():
    first = torch.stack(model(input_ids, output_hidden_states=True).hidden_states)[:, 0]  # (state, token, d_model)
    second = torch.stack(model(changed, output_hidden_states=True).hidden_states)[:, 0]
moved = (first - second).abs().amax(dim=(0, 2))  # (token,): the largest change in any layer and channel
print("Largest change of any hidden state:")
print(f"last token {moved[-1]:.3g}; the {len(labels) - 1} tokens before it {moved[:-1].max():.3g}")

# %%
guess.reveal(
    (
        moved[:-1].max() == 0,
        "only the last token's",
        "all earlier states are the same, down to the last bit. A share of exactly 0 times any finite value is exactly 0.",
    ),
    (moved[:-1].max() < 1e-3, "only the last token's", "the others differ only by rounding."),
    (True, None, "earlier states changed as well: this model leaks."),
    overlooked={
        "the last token's and, layer by layer, its neighbours'": "information flows from earlier tokens to later ones, never back.",
        "all of them: attention connects every pair of tokens": "it connects each token only with itself and with the past.",
    },
)

# %% [markdown]
# ## 9. What the first token collects
#
# The mask treats positions unequally. Every query sees the first key; only the last query sees the last key. So the first
# token could collect a lot of attention for that reason alone. A fair baseline is a head that divides its attention evenly:
# query $i$ then gives $1/(i+1)$ to each key that it sees. We leave out the first query, which has no choice.
#
# Our second baseline is the **control**: GPT-2 small's architecture with random weights, never trained.


# %%
def even_share(n_tokens):
    """The mean share that the first of n_tokens tokens gets from the others if each divides its attention evenly."""
    return (1 / torch.arange(2.0, n_tokens + 1)).mean().item()


control, control_tokenizer = load_model("random")
control_ids = control_tokenizer(text, return_tensors="pt").input_ids
control_capture = capture_heads(control, control_ids)
control_patterns = torch.stack([control_capture.pattern(layer) for layer in control_capture.layers])
control_even = even_share(control_ids.shape[1])  # its tokenizer may cut the text into another number of tokens
control_collected = control_patterns[..., 1:, 0].mean(-1)  # (layer, head)
even = even_share(len(labels))
print(f"an even share for the first token of {len(labels)}: {even:.3f}")

# %%
guess = predict(
    "What will the heads of the loaded model give the first token?",
    "about an even share, each of them",
    "some heads far more, others far less",
    "all heads more: the first token is the most important one",
)

# %%
collected = patterns[..., 1:, 0].mean(-1)  # (layer, head)
ax = plot_head_grid(collected, label="mean share on the first token", meaning="share")
ax.set_title(f"What the first token collects, {who(model)}")
show_figure(
    f"One number for each head: the mean share that it gives the first token, from {collected.min():.2f} to "
    f"{collected.max():.2f}; an even share is {even:.2f}."
)
for name, values, one in ((who(model), collected, even), ("random control", control_collected, control_even)):
    print(
        f"{name}: from {values.min():.3f} to {values.max():.3f}, mean {values.mean():.3f}; an even share is {one:.3f}"
    )

# %%
chance = (control_collected - control_even).abs().max().item()  # how far a head strays without any training
above = (collected > even + 2 * chance).sum().item()
below = (collected < even - 2 * chance).sum().item()
rest = collected.numel() - above - below

# %%
guess.reveal(
    (
        above > 0 and below > 0,
        "some heads far more, others far less",
        f"heads above an even share by more than twice the largest deviation among the control's heads: {above}; as far "
        f"below it: {below}; in between: {rest}.",
    ),
    (above == collected.numel(), "all heads more: the first token is the most important one", "all of them do here."),
    (rest == collected.numel(), "about an even share, each of them", "as in a model that never learned anything."),
    (True, None, f"heads that give far more: {above}; far less: {below}; about an even share: {rest}."),
    overlooked={
        "about an even share, each of them": "that is what random queries and keys give; here some heads stray further.",
        "some heads far more, others far less": "here heads stray to one side only, or not at all.",
        "all heads more: the first token is the most important one": "not all of them do: look at the smallest number above.",
    },
)

# %% [markdown]
# A head that sends most of its attention to the first token, whatever that token is, is said to use it as an **attention
# sink** (Xiao et al. 2023), a place for attention that is not needed elsewhere. We call such a head a **sink head**. *Real
# GPT-2, recorded* ("John Smith is also the son of Fred Smith", 9 tokens, even share 0.23): a head gives the first token
# between 0.00 and 0.99, 0.68 on average, and 109 of the 144 heads give it more than half. Lesson 5 asks why it is the
# first token.

# %%
layer, head = divmod(collected.argmax().item(), n_heads)
ratio = collected.max().item() / even
says(
    (
        ratio > 1 + 2 * chance / even,
        f"{who(model)}: L{layer}H{head} (layer {layer}, head {head}) gives the first token the most, {collected.max():.2f}, "
        f"which is {ratio:.1f} times an even share.",
    ),
    (True, f"{who(model)}: no head gives the first token clearly more than an even share."),
)

# %% [markdown]
# ## Exercises
#
# Each check runs your function on inputs of its own and says what is wrong. Try first; the solutions are in
# `solutions/01_causal_masking.ipynb`.

# %% [markdown]
# ### Exercise 1.1 · The mask
#
# *Difficulty 1 of 5 · importance 5 of 5 · about 3 minutes*
#
# Write the causal mask for `n_tokens` tokens yourself: a bool tensor (query, key), True where the query may see the key.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Row $i$ and column $j$ are positions in the text. Which comparison of $i$ and $j$ says "not in the future"?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# `torch.arange` makes the positions. Shape them once as a column and once as a row, and compare the two; or look up
# `torch.tril`.
# </details>


# %% tags=["exercise"]
def my_causal_mask(n_tokens):
    ### BEGIN SOLUTION
    position = torch.arange(n_tokens)
    return position[:, None] >= position[None, :]
    ### END SOLUTION


check("1.1", my_causal_mask)

# %% [markdown]
# ### Exercise 1.2 · From scores to pattern
#
# *Difficulty 3 of 5 · importance 5 of 5 · about 5 minutes*
#
# Turn raw scores (..., query, key) into a causal pattern of the same shape, without scaling. There may be any
# number of leading axes, and the input must not change. Use plain torch, not headlab.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# There are two steps, and section 6 shows what goes wrong if you swap them.
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Which number did section 4 find safe? And along which axis must the shares sum to 1, however many axes there are?
# </details>


# %% tags=["exercise"]
def my_pattern(scores):
    ### BEGIN SOLUTION
    visible = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    return scores.masked_fill(~visible, -torch.inf).softmax(dim=-1)
    ### END SOLUTION


check("1.2", my_pattern)

# %% [markdown]
# ### Exercise 1.3 · How often does the first key win?
#
# *Difficulty 3 of 5 · importance 3 of 5 · about 4 minutes*
#
# Section 9 averaged shares. Here is another way to find sink heads. Given patterns (..., query, key), return for each head
# the fraction of queries, **without the first**, whose *largest* share goes to the first key: shape (...).

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# First find, for every query, the number of the key that gets the largest share.
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# A fraction is the mean of yes-or-no answers; `.float()` turns True and False into numbers. Which row has no choice?
# </details>


# %% tags=["exercise"]
def my_first_wins(pattern):
    ### BEGIN SOLUTION
    winner = pattern[..., 1:, :].argmax(dim=-1)  # (..., query): the key with the largest share
    return (winner == 0).float().mean(dim=-1)
    ### END SOLUTION


check("1.3", my_first_wins)

# %% [markdown] tags=["solution"]
# **Why leave out the first query?** Key 0 is its only key, so key 0 always wins there, in every head of every model.
# Counting that win would raise every fraction that is below 1, most of all in short texts.

# %% [markdown]
# ### Exercise 1.4 · Find the strongest link
#
# *Difficulty 3 of 5 · importance 5 of 5 · about 6 minutes*
#
# Attention often goes to the first token or to the query itself. Look for something else: over all heads, find the
# largest share that a query gives to a key that is **neither the first token nor the query itself**. Return its
# position as four integers: (layer, head, query, key). The check tries your function on made-up patterns and on those
# of the loaded model.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Make a copy in which the shares that do not count can never be the largest.
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# `argmax()` without an axis returns a position in the flattened tensor. `torch.unravel_index` turns it back into four
# indices.
# </details>


# %% tags=["exercise"]
def my_strongest_link(patterns):
    ### BEGIN SOLUTION
    n_tokens = patterns.shape[-1]
    counted = torch.ones(n_tokens, n_tokens, dtype=torch.bool).tril(-1)  # not the query itself
    counted[:, 0] = False  # not the first key
    place = (patterns * counted).argmax()
    return tuple(int(index) for index in torch.unravel_index(place, patterns.shape))
    ### END SOLUTION


check("1.4", my_strongest_link, patterns)

# %% [markdown]
# Your function finds, in the loaded model:

# %%
link = my_strongest_link(patterns)
if link is not None:
    layer, head, query, key = link
    print(
        f"{who(model)}, L{layer}H{head}: {labels[query]} ({query}) gives {labels[key]} ({key}) "
        f"a share of {patterns[layer, head, query, key]:.2f}"
    )

# %% [markdown]
# ### Exercise 1.5 · Design a leak test
#
# *Difficulty 4 of 5 · importance 5 of 5 · about 10 minutes*
#
# A colleague hands you a function `attend` that turns raw scores (query, key) into a pattern. You cannot see its code.
# We say that it **leaks** if, for some scores, a key in the future of a query gets any share at all, or if a future
# score changes the shares of the past. Write a test that calls `attend` on scores of your own and returns True if it
# leaks, False if not.
#
# Some leaks show only with unusual scores, such as those of sections 4 and 6. The check hands your test twelve functions,
# four sound ones and eight that leak. A sound one may divide the attention in another way than softmax does.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Section 8 tested a whole model: change something in the future, and compare. Is it enough to look for zeros above the
# diagonal? Is it enough to compare two runs?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Which past scores would expose a mask of -10,000? Which future score would expose a mask that comes after the softmax?
# And remember that nan never equals nan.
# </details>


# %% tags=["exercise"]
def my_leak_test(attend):
    ### BEGIN SOLUTION
    future = torch.ones(5, 5, dtype=torch.bool).triu(1)
    scores = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    for past in (0.0, -1e9):  # ordinary scores, and scores below any finite mask
        before = attend(scores + past)
        for other in (-50.0, 3.0, 200.0):  # the future's scores
            after = attend((scores + past).masked_fill(future, other))
            if (after[future] != 0).any() or not torch.allclose(before, after, atol=1e-6):  # nan is never close
                return True
    return False
    ### END SOLUTION


check("1.5", my_leak_test)

# %% [markdown]
# ## What we found
#
# | the report's claim | evidence | verdict |
# | --- | --- | --- |
# | the mask gives the past 1 and the future $-\infty$, laid over $QK^\top$ | section 5: added, 1 and 0 give the same pattern; multiplied, negative scores become $+\infty$ | right if "laid over" means added |
# | softmax turns $-\infty$ into exactly 0 | sections 3 and 7: no share of the future differs from 0 | holds |
# | the first token gives itself 100%, an "outlier error" | sections 3 and 7: exactly 1 in every head | holds; it is not an error but the only possible share |
#
# Beyond the report: a large negative number is safe only while a visible score lies far above it (section 4); masking
# after the softmax loses shares (section 6); later tokens change no earlier state (section 8). Before you call a head a
# sink head, compare what it gives the first token with an even share (section 9).
#
# **Where to read on**
# - A. Vaswani and others, 2017, *Attention Is All You Need*, arXiv 1706.03762, section 3.2.3 (the mask).
# - G. Xiao, Y. Tian, B. Chen, S. Han and M. Lewis, 2023, *Efficient Streaming Language Models with Attention Sinks*, arXiv
#   2309.17453.
# - On finite masks: github.com/TransformerLensOrg/TransformerLens, issues 318 and 385 (2023);
#   github.com/huggingface/transformers, issues 3181 (2020) and 15199 (2022), and pull request 17306, which replaced the number.
# - OpenAI, 2019, *gpt-2*, github.com/openai/gpt-2, src/model.py (the mask of the original code).
#
# The functions are in `headlab/masking.py`, their tests in `tests/test_masking.py`.
