# %% [markdown]
# # 2 · Splitting the fused matrix
#
# *GPT-2 computes the queries, keys and values of all heads of a layer with one matrix product. Which columns belong to
# which head, and how can you be sure that you cut in the right places?*
#
# **You will be able to**
# - read the fused projection of any layer with a forward hook of your own;
# - cut it into queries, keys and values, cut these into heads, and put them together again;
# - design a test that recognises a wrong cut even when its shapes are right;
# - split the attention block's output into what each head adds to it.
#
# **You need** lesson 1, and `view`, `transpose` and slices from PyTorch.
#
# **Time** about {{minutes}} minutes, exercises included. Running all cells takes {{seconds}} on two cores.

# %% [markdown]
# **Before you start:** three questions about lesson 1. Answer them aloud, then unfold the answers.
#
# <details><summary>1. A text has five tokens. Which keys may query 3 see?</summary>
#
# Keys 0, 1, 2 and 3: the past and itself.
# </details>
#
# <details><summary>2. Why does a score of 0 not mask a key?</summary>
#
# Softmax gives it a share, since $e^0 = 1$. Only $-\infty$ gets exactly 0, whatever the other scores are.
# </details>
#
# <details><summary>3. Over a text of 24 tokens a head gives the first token 0.13 on average. Is that a sink?</summary>
#
# No. A head that divides its attention evenly gives it 0.12 there.
# </details>

# %%
from itertools import permutations

import matplotlib.pyplot as plt
import torch

from headlab.capture import capture_heads
from headlab.diagram import data_flow
from headlab.exercises import check
from headlab.explorers import SplittingExplorer
from headlab.models import load_model, token_strings
from headlab.plots import COLOURS, plot_bands, plot_fused, plot_pattern, show_figure
from headlab.predict import predict, predict_number
from headlab.says import says, who
from headlab.scores import attention_pattern, raw_scores
from headlab.splitting import merge_heads, split_heads, split_qkv

# %%
model, tokenizer = load_model()
n_layers, n_heads, d_model = model.config.n_layer, model.config.n_head, model.config.n_embd
d_head = d_model // n_heads
print(f"{who(model)}: n_layers = {n_layers}, n_heads = {n_heads}; d_model = {d_model} = {n_heads} · {d_head}")

# %% [markdown]
# From here on, sizes have names, because models differ: **d_model** is the number of channels of a token, **d_head**
# that of a head's vectors, and d_model = n_heads · d_head. In GPT-2 small, d_model is 768, d_head is 64, and there are
# 12 heads.

# %%
data_flow("c_attn", "thirds", "heads", "W_o", model=model)

# %% [markdown]
# ## 1. Two things called "the matrix"
#
# > **The report:** A hook on `h.attn.c_attn` yields a "768 × 2304 block" that holds Q, K and V fused: 2304 = 3 × 768.
#
# Two different things are 3 · d_model wide. The **weight** of `c_attn`, (d_model, 3 · d_model), was learned in training and
# is the same for every text. The **output** of `c_attn`, (tokens, 3 · d_model), has a row for each token of *this* text.

# %%
layer = min(1, n_layers - 1)  # any layer will do
c_attn = model.transformer.h[layer].attn.c_attn
print("weight of c_attn:", tuple(c_attn.weight.shape), " bias:", tuple(c_attn.bias.shape))

# %%
guess = predict(
    "A hook on c_attn is called when the module has run on a text. What does it yield?",
    "the weight, as the report says",
    "the output, one row for each token",
    "the output, one row for each channel of the input",
)

# %% [markdown]
# ## 2. The hook
#
# A **forward hook** is a function that PyTorch calls whenever a module has run. It gets the module, what went in and what
# came out. Ours writes into a dictionary. We run the model once and remove the hook; a hook that is left in place runs on
# every later text as well.

# %%
text = "The old man looked at the little white house by the sea."
input_ids = tokenizer(text, return_tensors="pt").input_ids
labels = token_strings(tokenizer, input_ids)
n_tokens = len(labels)
kept = {}


def keep(module, arguments, output):
    kept["input"] = arguments[0][0].detach()  # [0]: the only text of the batch
    kept["fused"] = output[0].detach()


handle = c_attn.register_forward_hook(keep)
with torch.no_grad():
    model(input_ids)
handle.remove()

x, fused = kept["input"], kept["fused"]  # (token, d_model), (token, 3 * d_model)
print("tokens:       ", " ".join(labels))
print("into c_attn:  ", tuple(x.shape))
print("out of c_attn:", tuple(fused.shape))

# %%
guess.reveal(
    (len(fused) == n_tokens, "the output, one row for each token", f"{n_tokens} tokens, {n_tokens} rows."),
    (True, None, f"its shape is {tuple(fused.shape)}."),
    overlooked={
        "the weight, as the report says": "a hook yields what went in and what came out. The weight is neither.",
        "the output, one row for each channel of the input": "each token is a row; the channels are the columns.",
    },
)

# %% [markdown]
# **Verdict.** 2304 = 3 × 768 holds for GPT-2 small. But 768 × 2304 is the shape of the weight. What the hook yields is the
# output, (tokens, 2304).
#
# Can we compute the output from the input and the weight by hand? Then we know exactly what this module does.

# %%
weight, bias = c_attn.weight.detach(), c_attn.bias.detach()
print("x @ W + b is the module's output:", torch.allclose(x @ weight + bias, fused, atol=1e-3))
assert torch.allclose(x @ weight + bias, fused, atol=1e-3)

# %% [markdown]
# So the weight is stored as (in, out). The transformers library builds GPT-2 with a `Conv1D`; PyTorch's `nn.Linear`
# would store it the other way round. What if you forget that, and multiply by the transpose?

# %%
try:
    x @ weight.T
except RuntimeError as error:
    print("the whole weight, transposed:", error)
third = weight[:, :d_model]  # the first third of the columns is square
right, transposed = x @ third, x @ third.T
print("a third, transposed:", tuple(transposed.shape), "and no error")
print(f"largest difference from the right product: {(right - transposed).abs().max():.2f}")

# %% [markdown]
# Multiplying by the whole transposed weight raises an error. But each third is square, (d_model, d_model), so there
# **the product has the right shape and the wrong numbers**. Shapes do not reveal the mistake. That is why we compare
# values after every step.
#
# ## 3. Thirds: queries, keys, values
#
# > **The report:** The first third is Q, (tokens, 768).
#
# How do we know that the first third holds the queries, and not the keys? We take one third as the queries and another as
# the keys, in all six ways, and see which choice gives the model's own attention in head 0.

# %%
guess = predict(
    "Suppose you swap queries and keys. What happens to the raw scores, and to the first row of the pattern?",
    "nothing: q · k = k · q",
    "the scores are transposed; the first row stays (1, 0, 0, ...)",
    "the scores are transposed, and so is the first row",
)

# %%
with torch.no_grad():
    attentions = model(input_ids, output_attentions=True).attentions[layer][0]  # (head, query, key)
q_all, k_all, v_all = fused.split(d_model, dim=-1)  # three times (token, d_model)
divisor = capture_heads(model, input_ids, layers=[layer]).divisors[0]  # what the layer divides its scores by
thirds = {"first": q_all, "second": k_all, "third": v_all}
equal = {}
print("queries  keys     equal to the model's own")
for names in permutations(thirds, 2):
    queries, keys = (thirds[name][:, :d_head] for name in names)  # head 0's
    pattern = attention_pattern(raw_scores(queries, keys), divisor**2)
    equal[names] = torch.allclose(pattern, attentions[0], atol=1e-5)
    print("{:9}{:9}{}".format(*names, equal[names]))
assert equal["first", "second"]
swapped = attention_pattern(raw_scores(k_all[:, :d_head], q_all[:, :d_head]), divisor**2)

# %%
guess.reveal(
    (
        swapped[0, 0] == 1,
        "the scores are transposed; the first row stays (1, 0, 0, ...)",
        "softmax over a single score is 1, whatever the score is (lesson 1).",
    ),
    (True, None, "see the table above."),
    overlooked={
        "nothing: q · k = k · q": "q_i · k_j and q_j · k_i differ, because each token has its own query and its own key.",
        "the scores are transposed, and so is the first row": "the mask comes after the swap, and leaves the first row only key 0.",
    },
)
says(
    (sum(equal.values()) == 1, "Only one of the six choices gives the model's own attention."),
    (
        True,
        f"{sum(equal.values())} of the six choices give the model's own attention; this text cannot tell them apart.",
    ),
)

# %% [markdown]
# **Verdict.** It holds: Q is the first third and K is the second. Section 7 checks that V is the third.
#
# ## 4. From thirds to heads
#
# > **The report:** `torch.split` along that dimension gives 12 heads of (tokens, 64). The dot products of each head are its
# > raw scores.
#
# The d_model channels of the queries are the heads' channels side by side: head $h$ owns channels $h \cdot d_\mathrm{head}$
# to $(h + 1) \cdot d_\mathrm{head} - 1$. The same holds for the keys and the values.

# %%
head = n_heads // 2  # any head will do
plot_bands(d_model, n_heads, head)
show_figure(
    f"The {3 * d_model} columns as a strip: a third of queries, a third of keys, a third of values, each cut into {n_heads} "
    f"x {d_head} columns, a band for each head. The three bands of head {head} are marked."
)

# %% [markdown]
# *What to see:* a head owns three bands of columns, one in each third, always in the same place within the third.

# %%
guess = predict_number(
    "How many columns further to the right do the next head's bands lie?",
    "columns",
)

# %%
head_list = torch.split(q_all, d_head, dim=-1)
print("What torch.split returns:")
print(len(head_list), "x", tuple(head_list[0].shape))
stacked = torch.stack(head_list)  # (head, token, channel)
viewed = q_all.view(n_tokens, n_heads, d_head).transpose(0, 1)  # (token, head, channel) -> (head, token, channel)
assert torch.equal(stacked, viewed) and torch.equal(stacked, split_heads(q_all, n_heads))

# %%
guess.reveal(
    d_head,
    "a head is d_head columns wide, in each of the thirds.",
    overlooked={
        d_model: "that is the step from one third to the next.",
        n_heads: "that is the number of heads.",
        3 * d_head: "the bands of one head do not stand side by side: all queries come first.",
    },
)

# %% [markdown]
# A list of heads is awkward to compute with. Stacked, they are one tensor with **heads before tokens**: (head, token,
# channel). The line with `view` in the cell above makes it without a list: view the last axis as (head, channel), then swap
# the axes of token and head. `split_heads` does the same. It copies nothing.
#
# Here are the real weight (above) and its output for our text (below):

# %%
fig, axes = plt.subplots(2, 1, figsize=(11, 6.6), layout="constrained", height_ratios=(2, 1))
plot_fused(weight, n_heads, head, axes[0]).set_title(f"The weight of c_attn in layer {layer}: rows are input channels")
plot_fused(fused, n_heads, head, axes[1], ylabel="token", label="output").set_title("Its output: rows are tokens")
show_figure(
    f"Two heat maps {3 * d_model} columns wide, the weight of c_attn and its output for {n_tokens} tokens. The bands of head "
    f"{head} lie in the same columns in both; the other heads' columns are deliberately faded."
)

# %% [markdown]
# *What to see:* the same columns belong to the head in the weight and in the output. The rows differ: input channels above,
# tokens below. The other heads' columns are deliberately faded, so do not compare their colours with the head's.
#
# Since each output column depends on its own weight column only, there are two ways to get the queries of one head: project
# with the whole weight and cut the output, or cut the weight and project with the band alone. They agree, for q, k and v of all
# heads:

# %%
for third, part in enumerate(split_qkv(fused)):
    w = split_heads(split_qkv(weight)[third], n_heads)  # (head, d_model, d_head)
    b = split_heads(split_qkv(bias[None])[third], n_heads)  # (head, 1, d_head)
    assert torch.allclose(x @ w + b, split_heads(part, n_heads), atol=1e-3)
print(f"{3 * n_heads} small projections, (d_model, d_head) each, give what one large projection gives")

# %% [markdown]
# So **the heads do not need a common matrix**. Each has its own small $W_Q$, $W_K$ and $W_V$; the fused matrix is all
# of them side by side. One large product is merely faster.
#
# The **splitting explorer** shows the bands of any head, and the q, k and v that they hold:

# %%
explorer = SplittingExplorer(model, tokenizer, text, layer=layer, head=head)
explorer.still()

# %%
explorer

# %% [markdown]
# ## 5. Three tempting mistakes
#
# Each of these gives tensors of the right shape. To see what they do, cut a table whose entries show where they come from:
# 100 · token + column, for 3 tokens and 2 heads of 2 channels.

# %%
small = 100 * torch.arange(3)[:, None] + torch.arange(12)  # (3 tokens, 3 * 4 columns)
small_q = small[:, :4].contiguous()
print(small)
print("head 0's queries, right:                    ", small_q.view(3, 2, 2).transpose(0, 1)[0].tolist())
print("head 0's queries, view without transpose:   ", small_q.view(2, 3, 2)[0].tolist())
print("head 1's queries, right:                    ", small_q.view(3, 2, 2).transpose(0, 1)[1].tolist())
print("head 1's queries, cut into heads first:     ", small.view(3, 2, 3, 2)[:, 1, 0].tolist())

# %% [markdown]
# - **`view` without `transpose`.** `view` reads numbers in the order in which they lie in memory, token by token. "Head 0"
#   gets all channels of token 0 and half of token 1: its rows are no longer tokens.
# - **Heads before thirds.** Some models store q, k and v of one head side by side. GPT-2 does not. Columns 6 and 7 lie in
#   the second third: this "query" is head 1's key.
# - **Forgetting the bias.** Every number is in the right place, but it is wrong wherever the bias is not 0.
#
# Now all three on the real output, all the way to the pattern.


# %%
def right_cut(fused):
    return [split_heads(part, n_heads) for part in split_qkv(fused)]


def view_without_transpose(fused):
    return [part.reshape(n_heads, n_tokens, d_head) for part in split_qkv(fused)]


def heads_before_thirds(fused):
    return fused.view(n_tokens, n_heads, 3, d_head).permute(2, 1, 0, 3)


def bias_forgotten(fused):
    return right_cut(x @ weight)


# %%
guess = predict(
    "How do wrong patterns give themselves away?",
    "their rows do not sum to 1",
    "some future keys get a share",
    "neither: they are valid patterns",
)

# %%
cuts = (right_cut, view_without_transpose, heads_before_thirds, bias_forgotten)
fig, axes = plt.subplots(2, 2, figsize=(12, 10.4), layout="constrained")
patterns, gaps = {}, {}
for cut, ax in zip(cuts, axes.flat, strict=True):
    q, k, _ = cut(fused)
    patterns[cut] = attention_pattern(raw_scores(q, k), divisor**2)  # (head, query, key)
    gaps[cut] = (patterns[cut] - attentions).abs().amax(dim=(-2, -1))  # (head,): the largest deviation of a share
    name = cut.__name__.replace("_", " ")
    plot_pattern(patterns[cut][head], labels, ax).set_title(f"{name}: off by up to {gaps[cut][head]:.2f}")
fig.suptitle(f"{who(model)}, L{layer}H{head}")
show_figure(
    f"Four patterns of L{layer}H{head}. They deviate from the model's own by up to "
    + ", ".join(f"{gaps[cut][head]:.2f} ({cut.__name__.replace('_', ' ')})" for cut in cuts)
)

# %%
ahead = torch.ones(n_tokens, n_tokens, dtype=torch.bool).triu(1)
sums_to_one = all(torch.allclose(p.sum(-1), torch.ones(n_heads, n_tokens), atol=1e-5) for p in patterns.values())
causal = all((p[..., ahead] == 0).all().item() for p in patterns.values())
guess.reveal(
    (
        sums_to_one and causal,
        "neither: they are valid patterns",
        "the mask and the softmax turn any table of scores into a valid pattern, so that proves nothing.",
    ),
    (True, None, "see above."),
    overlooked={
        "their rows do not sum to 1": "the softmax makes every row sum to 1.",
        "some future keys get a share": "the mask removes the future, whatever the scores are.",
    },
)
for cut in cuts:
    print(f"{cut.__name__:24}heads that equal the model's own: {(gaps[cut] < 1e-5).sum().item()} of {n_heads}")
assert gaps[right_cut].max() < 1e-5
says(
    (n_heads == 1, "A single head needs no cut, so the first two mistakes change nothing here."),
    (bias.abs().max() == 0, "The bias of c_attn is 0 in this layer, so forgetting it changes nothing."),
    (gaps[bias_forgotten].max() < 1e-5, "Forgetting the bias happens to change no share in this layer on this text."),
    (True, f"Forgetting the bias changes shares in this layer by up to {gaps[bias_forgotten].max():.2f}."),
)

# %% [markdown]
# Only values show that a cut is right; shapes never do. `capture_heads` uses the same hook and the same cut, for every
# layer in one run. From here on we use it.

# %%
capture = capture_heads(model, input_ids)
for ours, theirs in zip(right_cut(fused), (capture.q, capture.k, capture.v), strict=True):
    assert torch.allclose(ours, theirs[layer], atol=1e-3)
print("capture_heads gives the same q, k and v; shape (layer, head, token, channel):", tuple(capture.q.shape))

# %% [markdown]
# ## 6. Merging the heads again
#
# After attention each head has an output, (token, d_head). The outputs are put side by side again, (token, d_model). To
# merge, undo the two steps of the split in reverse order: swap the axes of head and token, then flatten the last two.

# %%
heads = split_heads(q_all, n_heads)
merged = heads.transpose(0, 1).flatten(1)  # (head, token, channel) -> (token, head, channel) -> (token, d_model)
print("swap, then flatten gives back what we cut:", torch.equal(merged, q_all))
print("reshape alone gives it back:              ", torch.equal(heads.reshape(n_tokens, d_model), q_all))
assert torch.equal(merged, q_all) and torch.equal(merge_heads(heads), q_all)

# %% [markdown]
# ## 7. What each head adds
#
# > **The report:** The heads are mixed again by $W_O$.
#
# $W_O$ is the weight of `c_proj`. What comes out of it is the attention block's contribution to the **residual stream**,
# the running sum (token, d_model) to which every block adds. Two hooks catch what goes in and what comes out.

# %%
c_proj = model.transformer.h[layer].attn.c_proj
handles = [
    c_proj.register_forward_pre_hook(lambda module, arguments: kept.update(merged=arguments[0][0])),
    c_proj.register_forward_hook(lambda module, arguments, output: kept.update(block=output[0])),
]
with torch.no_grad():
    model(input_ids)
for handle in handles:
    handle.remove()
outputs = split_heads(kept["merged"], n_heads)  # (head, token, d_head)
w_o, b_o = c_proj.weight.detach(), c_proj.bias.detach()
by_hand = attentions @ capture.v[layer]  # (head, query, key) @ (head, key, d_head)
print("pattern @ values is what goes into c_proj:", torch.allclose(by_hand, outputs, atol=1e-3))
assert torch.allclose(by_hand, outputs, atol=1e-3)  # so the last third holds the values

# %% [markdown]
# "Mixed" sounds as if the heads could no longer be told apart. But look at the product: row $r$ of $W_O$ is multiplied only
# by channel $r$ of the merged outputs, and channel $r$ belongs to one head. So the product is a sum over heads, **each with
# its own d_head rows**:
#
# $$\mathrm{merged}\, W_O + b = \sum_h \mathrm{output}_h\, W_O[h\, d_\mathrm{head} : (h + 1)\, d_\mathrm{head}] + b$$

# %%
guess = predict(
    "To which head does the bias b belong?",
    "to each head, an equal part",
    "to each head, all of it",
    "to none",
)

# %%
contributions = torch.stack([outputs[h] @ w_o[h * d_head : (h + 1) * d_head] for h in range(n_heads)])
print("Contributions (head, token, d_model):", tuple(contributions.shape), sep="\n")
scale = kept["block"].abs().max().item()
off = {times: (contributions.sum(0) + times * b_o - kept["block"]).abs().max().item() for times in (1, n_heads)}
print(f"sum + bias is off by {off[1]:.4f}; sum + {n_heads} · bias by {off[n_heads]:.4f} (largest entry: {scale:.1f})")

# %%
guess.reveal(
    (off[1] < 1e-4 * max(scale, 1), "to none", "it is added once, whatever the heads do."),
    (True, None, "the sum is not the block's output."),
    overlooked={
        "to each head, an equal part": "it could be divided that way, but no head computes it, and removing a head would not remove its part.",
        "to each head, all of it": "then it would be counted once for every head.",
    },
)
assert off[1] < 1e-4 * max(scale, 1)

# %% [markdown]
# **Verdict.** It holds, with one addition: the mix is a plain sum, so each head's part can be computed separately. Within a
# layer the heads do not act on one another (Elhage et al. 2021).
#
# How long is the vector that each head adds, on average over the tokens?

# %%
lengths = contributions.norm(dim=-1).mean(dim=-1)  # (head,)
most, least = lengths.argmax().item(), lengths.argmin().item()
fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.bar(range(n_heads), lengths.numpy(), color=COLOURS["loaded model"])
ax.set(xlabel="head", ylabel="mean length of its contribution", xticks=range(n_heads))
ax.set_title(f"{who(model)}, layer {layer}: what each head adds to the residual stream")
show_figure(f"Bars: the mean length of each head's contribution, from {lengths.min():.2f} to {lengths.max():.2f}.")
ratio = (lengths[most] / lengths[least]).item()
says(
    (ratio > 2, f"On this text, head {most} adds vectors {ratio:.1f} times as long as head {least}'s."),
    (n_heads == 1, "This layer has a single head, so there is nothing to compare."),
    (
        True,
        "On this text, the heads of this layer add vectors of similar length (the longest is "
        f"{ratio:.1f} times as long as the shortest).",
    ),
)

# %% [markdown]
# A long contribution is not necessarily an important one: two heads may write opposite vectors, which cancel. Exercise
# 2.5 looks for such a head.
#
# ## Exercises
#
# Each check uses inputs whose sizes differ (first 3 heads, 5 tokens, 4 channels, then others), so that a swapped axis
# is noticed. Try first; the solutions are in `solutions/02_splitting_qkv.ipynb`.

# %% [markdown]
# ### Exercise 2.1 · The hook
#
# *Difficulty 3 of 5 · importance 5 of 5 · about 5 minutes*
#
# Return the output of `c_attn` in the given layer, (tokens, 3 * d_model), for `input_ids` of shape (1, tokens). Leave the
# model as you found it. (The check uses a tiny GPT-2 of its own.)

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# How do you get rid of a hook once it has done its work?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# `register_forward_hook` returns a handle. The hook receives (module, arguments, output); the output still has the batch
# axis in front.
# </details>


# %% tags=["exercise"]
def my_fused(model, layer, input_ids):
    ### BEGIN SOLUTION
    kept = []
    c_attn = model.transformer.h[layer].attn.c_attn
    handle = c_attn.register_forward_hook(lambda module, arguments, output: kept.append(output[0].detach()))
    with torch.no_grad():
        model(input_ids)
    handle.remove()
    return kept[0]
    ### END SOLUTION


check("2.1", my_fused)

# %% [markdown]
# ### Exercise 2.2 · Queries, keys and values of every head
#
# *Difficulty 3 of 5 · importance 5 of 5 · about 5 minutes*
#
# Cut `fused` (tokens, 3 * d_model) into q, k and v, each (n_heads, tokens, d_head). Use plain torch, not headlab.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Which comes first, the thirds or the heads? Section 5 shows the wrong order.
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# When you split one axis into two, the two new axes take its place. Move the heads to the front afterwards.
# </details>


# %% tags=["exercise"]
def my_heads(fused, n_heads):
    ### BEGIN SOLUTION
    thirds = fused.chunk(3, dim=-1)
    return tuple(third.reshape(len(fused), n_heads, -1).transpose(0, 1) for third in thirds)
    ### END SOLUTION


check("2.2", my_heads)

# %% [markdown]
# ### Exercise 2.3 · Whose column is this?
#
# *Difficulty 2 of 5 · importance 3 of 5 · about 4 minutes*
#
# You look at one column of the fused output, counted from 0. Say whose it is: return the letter "q", "k" or "v", the head,
# and the channel within the head.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Look at the strip in section 4. How many columns come before the keys? How many before head 1's queries?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# `divmod(a, b)` returns how many times b goes into a, and the remainder. Use it twice.
# </details>


# %% tags=["exercise"]
def my_owner(column, d_model, n_heads):
    ### BEGIN SOLUTION
    third, place = divmod(column, d_model)
    head, channel = divmod(place, d_model // n_heads)
    return "qkv"[third], head, channel
    ### END SOLUTION


check("2.3", my_owner)

# %% [markdown]
# ### Exercise 2.4 · Design a test for a cut
#
# *Difficulty 4 of 5 · importance 5 of 5 · about 8 minutes*
#
# A colleague's function `cut(fused, n_heads)` should return q, k and v, each (n_heads, tokens, d_head). You cannot see its
# code. Write a test that calls it on a table of your own and returns True if the cut is right, False if not. The check hands
# your test nineteen functions, four right and fifteen wrong. Some of the wrong ones are right for certain sizes, some are wrong
# in one head or one third alone, and one returns a wrong shape.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Section 5 cut a table whose entries show where they come from. What must the entry at (head, token, channel) be?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Compute the expected entry from token and column, by a loop if you like. Choose sizes that all differ, and try more than
# one: with 2 heads of 2 channels, some wrong cuts look right.
# </details>


# %% tags=["exercise"]
def my_cut_test(cut):
    ### BEGIN SOLUTION
    for n_tokens, n_heads, d_head in ((5, 3, 4), (4, 5, 2), (1, 2, 3)):
        d_model = n_heads * d_head
        fused = 100.0 * torch.arange(n_tokens)[:, None] + torch.arange(3 * d_model)
        for third, part in enumerate(cut(fused, n_heads)):
            for h in range(n_heads):
                start = third * d_model + h * d_head
                if not torch.equal(part[h], fused[:, start : start + d_head]):
                    return False
    return True
    ### END SOLUTION


check("2.4", my_cut_test)

# %% [markdown]
# ### Exercise 2.5 · Which head works against the others?
#
# *Difficulty 3 of 5 · importance 3 of 5 · about 6 minutes*
#
# Given contributions (head, token, d_model), compare each head with the **sum of all other heads**, by the cosine of the angle
# between the two vectors, averaged over the tokens. Return the head with the lowest average. The check tries your function
# on made-up contributions and on those of the loaded model, from section 7.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# How do you get the sum of all other heads from the sum of all heads?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Give `torch.cosine_similarity` the axis of the channels. It handles all heads and tokens at once.
# </details>


# %% tags=["exercise"]
def my_opponent(contributions):
    ### BEGIN SOLUTION
    others = contributions.sum(0) - contributions  # (head, token, d_model)
    cosine = torch.cosine_similarity(contributions, others, dim=-1)  # (head, token)
    return cosine.mean(-1).argmin().item()
    ### END SOLUTION


check("2.5", my_opponent, contributions)

# %% [markdown]
# ## What we found
#
# | the report's claim | evidence | verdict |
# | --- | --- | --- |
# | a hook on `c_attn` yields a "768 × 2304 block", Q, K and V fused | section 2: the hook receives (tokens, 2304), and this equals $xW + b$ with a weight of (768, 2304) | half right: 768 × 2304 is the weight, not what a hook yields |
# | the first third is Q | sections 3, 5 and 7: with Q first, K second and V third, everything equals the model's own in all heads | holds |
# | `torch.split` gives 12 heads of (tokens, 64) | section 4: equal to a view and to the projection by each head's own columns | holds for GPT-2 small; in general n_heads of (tokens, d_head) |
# | the heads are mixed again by $W_O$ | section 7: separate contributions and the bias sum to the block's output | holds; the mix is a sum |
#
# Beyond the report: each third is square, so a transposed weight goes unnoticed (section 2); three wrong cuts give the right
# shapes and patterns that look like attention (section 5). Always compare values.
#
# **Where to read on**
# - N. Elhage, N. Nanda, C. Olsson and others, 2021, *A Mathematical Framework for Transformer Circuits*,
#   transformer-circuits.pub/2021/framework (heads as independent, additive parts).
#
# The functions are in `headlab/splitting.py`. `tests/test_splitting.py` compares them with loops, with the heads that
# transformers computes, and with recorded queries and keys of real GPT-2 in all 12 layers.
