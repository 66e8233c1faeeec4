# %% [markdown]
# # 2 · Splitting the fused matrix
#
# *GPT-2 computes the queries, keys and values of twelve heads with one matrix product. Where in its columns does your
# head live, and how can you be sure that you cut in the right places?*
#
# **You will be able to**
# - read any layer's fused projection with a forward hook that you wrote yourself;
# - cut it into queries, keys and values, and these into heads, and put them together again;
# - recognise three wrong cuts whose shapes are right, by their values;
# - take the attention block's output apart into what each head adds to it.
#
# **You need** lesson 1, and from PyTorch `view`, `transpose` and slices. The first cells of lesson 1 show how a query
# and a key make a score; here we only ask where they come from.
#
# **Time** about 40 minutes to read, try and answer. The cells themselves run in well under a minute on two cores.

# %%
from itertools import permutations

import matplotlib.pyplot as plt
import torch

from headlab.capture import capture_heads
from headlab.exercises import check
from headlab.explorers import SplittingExplorer
from headlab.models import load_model, token_strings
from headlab.plots import plot_fused, plot_pattern
from headlab.scores import attention_pattern, raw_scores
from headlab.splitting import merge_heads, split_heads, split_qkv

# %%
model, tokenizer = load_model()
n_layers, n_heads, d_model = model.config.n_layer, model.config.n_head, model.config.n_embd
d_head = d_model // n_heads
print(f"{n_layers} layers of {n_heads} heads; d_model = {d_model} = {n_heads} heads x {d_head} channels")

# %% [markdown]
# ## 1. Two things called "the matrix"
#
# *The report says:* a hook on `h.attn.c_attn` yields Q, K and V fused in a matrix 2304 wide, and 2304 = 3 x 768.
#
# Two different things are 2304 wide, and it pays to keep them apart:
# - the **weight** of `c_attn`, (768, 2304): learned in training, the same for every text;
# - the **output** of `c_attn`, (tokens, 2304): one row for each token of *this* text. This is what a hook receives.

# %%
layer = 1
c_attn = model.transformer.h[layer].attn.c_attn
print("module:", c_attn)
print("weight:", tuple(c_attn.weight.shape))
print("bias:  ", tuple(c_attn.bias.shape))

# %% [markdown]
# **Predict.** PyTorch's `nn.Linear` keeps its weight as (out, in). What do the two numbers of this weight say: which
# is in, which is out?
#
# <details><summary>Answer</summary>
#
# (in, out). GPT-2 uses a `Conv1D`, whose weight lies the other way round: it computes $x W + b$, without a
# transpose. 768 channels come in, 2304 go out.
# </details>

# %% [markdown]
# ## 2. The hook
#
# A **forward hook** is a function that PyTorch calls whenever a module has run, with the module, what went in and what
# came out. We give it a dictionary to write into, run the model once, and take the hook off again. A hook that is left
# on runs with every later text as well.

# %%
text = "The old man looked at the little white house by the sea."
input_ids = tokenizer(text, return_tensors="pt").input_ids
labels = token_strings(tokenizer, input_ids)
print(len(labels), "tokens:", " ".join(labels))

# %%
kept = {}


def keep(module, arguments, output):
    kept["input"] = arguments[0][0].detach()  # [0]: the only text of the batch
    kept["fused"] = output[0].detach()


handle = c_attn.register_forward_hook(keep)
with torch.no_grad():
    model(input_ids)
handle.remove()

x, fused = kept["input"], kept["fused"]  # (token, d_model), (token, 3 * d_model)
print("into c_attn:  ", tuple(x.shape))
print("out of c_attn:", tuple(fused.shape))

# %% [markdown]
# Can we get the output from the input and the weight by hand? If so, we know exactly what this module does.

# %%
weight, bias = c_attn.weight.detach(), c_attn.bias.detach()
by_hand = x @ weight + bias
print("x @ W + b is the module's output:", torch.allclose(by_hand, fused, atol=1e-4))
assert torch.allclose(by_hand, fused, atol=1e-4)

# %% [markdown]
# **Predict.** What happens if you read the weight as `nn.Linear` would, and multiply by its transpose?

# %%
try:
    x @ weight.T
except RuntimeError as error:
    print("the whole weight:", error)

third = weight[:, :d_model]  # the first third of the columns is square
right, transposed = x @ third, x @ third.T
print("a square third:", tuple(transposed.shape), "and no complaint")
print("token 1, first channels, right:     ", [round(n, 2) for n in right[1, :5].tolist()])
print("token 1, first channels, transposed:", [round(n, 2) for n in transposed[1, :5].tolist()])
assert transposed.shape == right.shape and not torch.allclose(transposed, right, atol=0.1)

# %% [markdown]
# The whole weight refuses. But as soon as you cut it into thirds, each is square, 768 by 768, and **the transposed
# product has the right shape and the wrong numbers**. Shapes cannot tell you. Compare values: that is what the rest of
# this lesson does after every step.

# %% [markdown]
# ## 3. Thirds: queries, keys, values

# %%
q_all, k_all, v_all = fused.split(d_model, dim=-1)
print("queries, keys, values:", tuple(q_all.shape), tuple(k_all.shape), tuple(v_all.shape))

# %% [markdown]
# How do we know that the *first* third holds the queries, and not the keys? Not from the shapes. Take any two of the
# thirds for queries and keys, and see with which of the six choices the model's own attention of head 0 comes out.
#
# **Predict.** If you swap queries and keys, what happens to the table of raw scores $q_i \cdot k_j$? Would the first row
# of the pattern give it away?

# %%
with torch.no_grad():
    attentions = model(input_ids, output_attentions=True).attentions[layer][0]  # (head, query, key)
thirds = {"first": q_all, "second": k_all, "third": v_all}
equal = {}
for names in permutations(thirds, 2):
    queries, keys = (thirds[name][:, :d_head] for name in names)
    pattern = attention_pattern(raw_scores(queries, keys), d_head)
    equal[names] = torch.allclose(pattern, attentions[0], atol=1e-5)
    print("queries: {} third, keys: {} third; equal to the model's own:".format(*names), equal[names])

# %%
assert [names for names, same in equal.items() if same] == [("first", "second")]

# %% [markdown]
# <details><summary>Answer</summary>
#
# The table of raw scores is transposed. The first row of the pattern gives nothing away: it is (1, 0, 0, ...) whatever the
# scores are (lesson 1).
# </details>
#
# *The report says:* the first third is Q. **It holds**, checked against the model's own attention: Q is the first, K the
# second. So V should be the third; section 7 checks that too.

# %% [markdown]
# ## 4. From thirds to heads
#
# The 768 channels of the queries are twelve heads of 64 side by side: head $h$ owns the channels $64h$ to $64h + 63$. *The
# report says:* cut them with `torch.split`. So let us.

# %%
head_list = torch.split(q_all, d_head, dim=-1)
print(len(head_list), "pieces of", tuple(head_list[0].shape))

# %% [markdown]
# A list is awkward to compute with. Stacked, the heads are one tensor, **heads before tokens**: (head, token, channel). The
# same without a loop: view the last axis as (head, channel), then swap the axes of token and head. That is what
# `headlab.splitting.split_heads` does. It copies nothing.

# %%
stacked = torch.stack(head_list)  # (head, token, channel)
viewed = q_all.view(len(labels), n_heads, d_head).transpose(0, 1)  # (token, head, channel) -> (head, token, channel)
assert torch.equal(stacked, viewed)
assert torch.equal(stacked, split_heads(q_all, n_heads))
print("three ways, one result:", tuple(viewed.shape))

# %%
head = 5
fig, axes = plt.subplots(2, 1, figsize=(11, 6.6), layout="constrained", height_ratios=(2, 1))
plot_fused(weight, n_heads, head, axes[0]).set_title(f"The weight of c_attn in layer {layer}")
plot_fused(fused, n_heads, head, axes[1], ylabel="token", label="output").set_title("Its output for this text")
plt.show()

# %% [markdown]
# *The figure says:* one head has three bands of columns, one in each third (dotted lines part them), always 768 columns apart; they are the same
# columns in the weight (above) and in the output (below). The other heads' columns are paled on purpose, so the picture does not tell whose weights are larger. The rows differ: channels that come in above, tokens below.
#
# The **splitting explorer** frames the bands of any head in the output, and shows the q, k and v that they are. Here it
# stands still, with what it says in words:

# %%
explorer = SplittingExplorer(model, tokenizer, text, layer=layer, head=head)
explorer.still()

# %% [markdown]
# **Predict.** Move the head slider by one: by how many columns does each band move? And which of the three bands ever
# reaches column 2303?

# %%
explorer

# %% [markdown]
# <details><summary>Answer</summary>
#
# By 64, the width of a head, all three alike. Only the third band gets there: the values of the last head.
# </details>

# %% [markdown]
# **Predict.** The figure suggests two ways to the queries of one head: project with the whole weight and then cut the output,
# or cut the weight and project with the band alone. Do they give the same numbers?

# %%
band = slice(head * d_head, (head + 1) * d_head)
cut_output = (x @ weight + bias)[:, band]
cut_weight = x @ weight[:, band] + bias[band]
print("the same numbers:", torch.allclose(cut_output, cut_weight, atol=1e-4))
assert torch.allclose(cut_output, cut_weight, atol=1e-4)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Yes. Each output column depends on its own weight column and nothing else. So **the twelve heads never needed one
# matrix**: each has its own small $W_Q$, $W_K$, $W_V$ of 768 by 64, and the fused matrix is the 36 of them side by
# side. One large product is merely faster than 36 small ones.
# </details>
#
# `split_qkv` and `split_heads` cut weights as well as outputs. So here are all heads at once, both ways:

# %%
for third, part in enumerate(split_qkv(fused)):
    w = split_heads(split_qkv(weight)[third], n_heads)  # (head, d_model, d_head)
    b = split_heads(split_qkv(bias[None])[third], n_heads)  # (head, 1, d_head)
    assert torch.allclose(x @ w + b, split_heads(part, n_heads), atol=1e-4)
print(f"all {3 * n_heads} projections: split weights give split outputs")

# %% [markdown]
# ## 5. Three tempting mistakes
#
# Each of these gives tensors of the right shape. To see what they do, cut a table whose entries tell where they are from:
# 100 x token + column, for 3 tokens and 2 heads of 2 channels.

# %%
small = 100 * torch.arange(3)[:, None] + torch.arange(12)  # (3 tokens, 3 * 4 columns)
print(small)

# %% [markdown]
# **Mistake 1: `view` without `transpose`.** The heads come first in the result, so why not ask for them first?
#
# **Predict.** Head 0's queries should be columns 0 and 1 of all three tokens. What does `view(2, 3, 2)` put there?

# %%
small_q = small[:, :4].contiguous()
print("right: head 0 =", small_q.view(3, 2, 2).transpose(0, 1)[0].tolist())
print("wrong: head 0 =", small_q.view(2, 3, 2)[0].tolist())

# %% [markdown]
# `view` reads the numbers in the order in which they lie in memory, and that order is by token. So "head 0" gets *all*
# channels of token 0 and then the first half of token 1: its rows are no longer tokens.
#
# **Mistake 2: heads before thirds.** First cut the 12 columns into 2 heads, then each head into q, k and v: "(heads, 3,
# channels)". Some models are laid out so. GPT-2 is not.

# %%
print("right: head 1, queries =", small_q.view(3, 2, 2).transpose(0, 1)[1].tolist())
print("wrong: head 1, queries =", small.view(3, 2, 3, 2)[:, 1, 0].tolist())

# %% [markdown]
# Columns 6 and 7 lie in the second third: this "query" is one of the *keys* of head 1.
#
# **Mistake 3: the bias forgotten.** Here nothing is moved; the numbers are only off. Let us make all three on the real
# thing and look at token 3's query of head 5.

# %%
n_tokens = len(labels)


def right_cut(fused):
    return [split_heads(part, n_heads) for part in split_qkv(fused)]


def view_without_transpose(fused):
    return [part.reshape(n_heads, n_tokens, d_head) for part in split_qkv(fused)]


def heads_before_thirds(fused):
    return fused.view(n_tokens, n_heads, 3, d_head).permute(2, 1, 0, 3)


def bias_forgotten(fused):
    return right_cut(x @ weight)


# %%
cuts = (right_cut, view_without_transpose, heads_before_thirds, bias_forgotten)
for cut in cuts:
    q = cut(fused)[0]
    print(f"{cut.__name__:24}{tuple(q.shape)}  {[round(n, 2) for n in q[head, 3, :5].tolist()]}")

# %% [markdown]
# Four times the same shape, four times different numbers. And it gets worse: go on to the attention pattern, and nothing
# breaks either. (How scores become a pattern is lesson 3.)
#
# **Predict.** Will the wrong patterns be causal? Will their rows sum to 1? Could you tell by eye?

# %%
fig, axes = plt.subplots(2, 2, figsize=(12, 10.4), layout="constrained")
for cut, ax in zip(cuts, axes.flat, strict=True):
    q, k, _ = cut(fused)
    pattern = attention_pattern(raw_scores(q[head], k[head]), d_head)
    gap = (pattern - attentions[head]).abs().max().item()
    plot_pattern(pattern, labels, ax).set_title(f"{cut.__name__.replace('_', ' ')}: off by up to {gap:.2f}")
plt.show()

# %% [markdown]
# *The figure says:* all four look like attention: causal, with rows that sum to 1. Only the first is the model's; the number
# above each is its largest deviation from the model's own share.
#
# <details><summary>Answer</summary>
#
# The mask and the softmax repair the *form* of any table of scores, so the form proves nothing. The only safe check
# is a comparison of values with the model's own.
# </details>

# %%
for cut in cuts:
    q, k, _ = cut(fused)
    gap = (attention_pattern(raw_scores(q, k), d_head) - attentions).abs().amax(dim=(-2, -1))  # (head,)
    print(f"{cut.__name__:24}heads that equal the model's own: {(gap < 1e-5).sum().item()} of {n_heads}")
q, k, v = right_cut(fused)
assert torch.allclose(attention_pattern(raw_scores(q, k), d_head), attentions, atol=1e-5)

# %% [markdown]
# This hook and this cut are all that `capture_heads` does, for every layer in one run. From here on we let it work for us.

# %%
capture = capture_heads(model, input_ids)
for ours, theirs in ((q, capture.q), (k, capture.k), (v, capture.v)):
    assert torch.allclose(ours, theirs[layer], atol=1e-4)
print("capture_heads gives the same q, k and v; shape (layer, head, token, channel):", tuple(capture.q.shape))

# %% [markdown]
# ## 6. And back
#
# After attention each head has an output of (tokens, 64). They are put side by side again, 12 x 64 = 768, and **mixed**:
# multiplied by one more weight, $W_O$, of `c_proj`. *The report says:* the heads are mixed again by $W_O$.
#
# To merge, undo the two steps of the split in reverse order: swap the axes of head and token, then flatten the last two.
#
# **Predict.** What would `flatten` without the swap do?

# %%
heads = split_heads(q_all, n_heads)
merged = heads.transpose(0, 1).flatten(1)  # (head, token, channel) -> (token, head, channel) -> (token, d_model)
unswapped = heads.reshape(len(labels), d_model)
print("swap, then flatten gives back what we cut:", torch.equal(merged, q_all))
print("reshape alone gives it back:              ", torch.equal(unswapped, q_all))
assert torch.equal(merged, q_all) and torch.equal(merge_heads(heads), q_all) and not torch.equal(unswapped, q_all)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Mistake 1 once more, in reverse: the right shape, (tokens, 768), with the tokens of one head spread over the rows.
# </details>

# %% [markdown]
# ## 7. What each head adds
#
# What goes into `c_proj` are the merged outputs of all heads, what comes out is the attention block's contribution to the
# **residual stream**, the running sum (token, d_model) that each block adds to. Two hooks catch both: one before the module
# and one after it.

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

outputs = split_heads(kept["merged"], n_heads)  # (head, token, channel)
w_o, b_o = c_proj.weight.detach(), c_proj.bias.detach()
print("head outputs:", tuple(outputs.shape), " W_o:", tuple(w_o.shape), " block output:", tuple(kept["block"].shape))

# %% [markdown]
# What came in is, for each query, the sum of the values by its shares: the model's own pattern times **the last third**. This
# is the check of V that section 3 left open.

# %%
by_hand = attentions @ v  # (head, query, key) @ (head, key, channel)
print("pattern @ values is what goes into c_proj:", torch.allclose(by_hand, outputs, atol=1e-4))
assert torch.allclose(by_hand, outputs, atol=1e-4) and not torch.allclose(attentions @ k, outputs, atol=1e-1)

# %% [markdown]
# The word "mixed" sounds as if the heads could not be told apart any more. But look at the product. Row $r$ of $W_O$ is
# multiplied only with channel $r$ of the merged outputs, and channel $r$ belongs to one head. So the product is a sum over
# heads, **each with its own 64 rows**:
#
# $$\mathrm{merged}\, W_O + b = \sum_h \mathrm{output}_h\, W_O[64h : 64h + 64] + b$$
#
# **Predict.** To which head does the bias $b$ belong?

# %%
contributions = torch.stack([outputs[h] @ w_o[h * d_head : (h + 1) * d_head] for h in range(n_heads)])
total = contributions.sum(0) + b_o
print("contributions:", tuple(contributions.shape), "(head, token, d_model)")
print("their sum plus the bias is the block's output:", torch.allclose(total, kept["block"], atol=1e-3))
assert torch.allclose(total, kept["block"], atol=1e-3)

# %% [markdown]
# <details><summary>Answer</summary>
#
# To none. It is added once, whatever the heads do. Adding it for every head would count it twelve times.
# </details>
#
# *The report says:* $W_O$ mixes the heads. **It holds, with one addition:** the mix is a plain sum, so each head's part
# can be had for itself. The heads do not act on one another within a layer. (Elhage et al. 2021 build on this view.)
#
# Now compare the parts. How long is the vector that each head adds, on average over the tokens?

# %%
lengths = contributions.norm(dim=-1).mean(dim=-1)  # (head,)
fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
ax.bar(range(n_heads), lengths, color="tab:blue")
ax.set(xlabel="head", ylabel="mean length of what it adds", xticks=range(n_heads))
ax.set_title(f"Layer {layer}: what each head adds to the residual stream")
plt.show()
print(f"L{layer}H{lengths.argmax()} adds most, L{layer}H{lengths.argmin()} least;", end=" ")
print(f"the sum over all heads has length {contributions.sum(0).norm(dim=-1).mean():.1f}")

# %% [markdown]
# *The figure says:* heads of one layer do not contribute alike on this text of some dozen tokens. A long contribution is
# not yet an important one: two heads may write opposite things and cancel.

# %% [markdown]
# ## Exercises
#
# Each check runs your function on inputs of its own, of uneven sizes (first 3 heads, 5 tokens, 4 channels, then others), so that
# a swapped axis cannot hide. The solutions are in `solutions/02_splitting_qkv.ipynb`; try first.
#
# ### Exercise 2.1 · The hook (medium)
#
# Return the output of `c_attn` in the given layer, (tokens, 3 * d_model), for `input_ids` of shape (1, tokens). Leave the
# model as you found it. (The check uses a tiny GPT-2 of its own.)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `register_forward_hook` returns a handle. The hook is called with (module, arguments, output), and the output still has
# the batch axis in front.
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
# ### Exercise 2.2 · Queries, keys and values of every head (medium)
#
# Cut `fused` (tokens, 3 * d_model) into q, k and v, each (n_heads, tokens, d_head). Use plain torch, not headlab.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Thirds first. Then, for each third, `view` the last axis as (n_heads, d_head) and only then move the heads to the front. (If
# `view` complains, you have asked for the heads before the tokens: that is `view_without_transpose` of section 5, and `reshape` would only hide it.)
# </details>


# %% tags=["exercise"]
def my_heads(fused, n_heads):
    ### BEGIN SOLUTION
    thirds = fused.chunk(3, dim=-1)
    return tuple(third.reshape(len(fused), n_heads, -1).transpose(0, 1) for third in thirds)
    ### END SOLUTION


check("2.2", my_heads)

# %% [markdown]
# ### Exercise 2.3 · The queries of one head from its own columns (medium)
#
# Compute the queries (tokens, d_head) of one head from x (tokens, d_model), the whole weight (d_model, 3 * d_model) and the whole
# bias (3 * d_model,), without computing anything for the other heads.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# One slice of columns, for the weight and for the bias. d_head is d_model // n_heads.
# </details>


# %% tags=["exercise"]
def my_queries(x, weight, bias, n_heads, head):
    ### BEGIN SOLUTION
    d_head = x.shape[-1] // n_heads
    band = slice(head * d_head, (head + 1) * d_head)
    return x @ weight[:, band] + bias[band]
    ### END SOLUTION


check("2.3", my_queries)

# %% [markdown]
# ### Exercise 2.4 · Merge (easy)
#
# Put heads (n_heads, tokens, d_head) side by side again: (tokens, n_heads * d_head).

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Which axis must come first before you may flatten the other two?
# </details>


# %% tags=["exercise"]
def my_merge(heads):
    ### BEGIN SOLUTION
    return heads.transpose(0, 1).flatten(1)
    ### END SOLUTION


check("2.4", my_merge)

# %% [markdown]
# ### Exercise 2.5 · What one head adds (hard)
#
# Given all head outputs (n_heads, tokens, d_head) and the weight of `c_proj` (n_heads * d_head, d_model), return what one head
# adds to the residual stream, (tokens, d_model). Without the bias, which belongs to no head.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# A Conv1D's weight is (in, out), and the head's channels come *in*. So is its part a band of rows or of columns?
# </details>


# %% tags=["exercise"]
def my_contribution(outputs, weight, head):
    ### BEGIN SOLUTION
    d_head = outputs.shape[-1]
    return outputs[head] @ weight[head * d_head : (head + 1) * d_head]
    ### END SOLUTION


check("2.5", my_contribution)

# %% [markdown] tags=["solution"]
# **Why rows here and columns in 2.3?** `c_attn` *makes* the head's channels, so they are among its outputs: columns. `c_proj`
# *reads* them, so they are among its inputs: rows. In both, the head's number picks the same 64 positions.

# %% [markdown]
# ## What we found
#
# | the report's claim | evidence | verdict |
# | --- | --- | --- |
# | a hook on `c_attn` yields Q, K and V fused, 2304 = 3 x 768 | section 2: the hook receives (tokens, 2304), and it equals $xW + b$ with the weight (768, 2304) | holds, for the output; the weight is another matrix |
# | the first third is Q | sections 3 and 5: of six choices, only Q first and K second gives the model's own attention, in all heads; section 7: V is the third | holds |
# | `torch.split` gives 12 heads of (tokens, 64) | section 4: equal to a view and to the projection by each head's own columns | holds |
# | the heads are mixed by $W_O$ | section 7: the sum of twelve separate contributions plus the bias is the block's output | holds; the mix is a sum |
#
# Beyond the report: each third is square, so a transposed weight passes unseen (section 2); three wrong cuts give the right shapes
# and patterns that look like attention (section 5). Compare values with the model's own, always.
#
# **Where to read on.** Elhage et al. 2021, *A Mathematical Framework for Transformer Circuits* (heads as independent,
# additive parts). The functions are in `headlab/splitting.py`; `tests/test_splitting.py` compares them with loops, with the
# heads that transformers computes and with recorded queries and keys of real GPT-2 in all 12 layers.
