# %% [markdown]
# # 3 · The scores of each head
#
# *Every head of a model reads the same text. What does each of them look for, how can you tell, and how do two heads work
# together?*
#
# **You will be able to**
# - build causal attention yourself, step by step, until it equals the model's own;
# - say why scores are divided by $\sqrt{d_\mathrm{head}}$, and what that does and does not explain;
# - find previous-token, first-token, same-token and induction heads, with a fair baseline for each;
# - design a control that separates an induction head from a head that only looks like one;
# - test a claim such as "this head links nouns to their adjectives" without fooling yourself.
#
# **You need** lessons 1 and 2.
#
# **Time** about {{minutes}} minutes, exercises included. Running all cells takes {{seconds}} on two cores.

# %% [markdown]
# **Before you start:** three questions about lessons 1 and 2. Answer them aloud, then unfold the answers.
#
# <details><summary>1. Lesson 1: a row has one visible score, -40. What is its share?</summary>
#
# Exactly 1: softmax compares scores within a row, and here there is nothing to compare with.
# </details>
#
# <details><summary>2. Lesson 2: d_model is 768 and there are 12 heads. Which columns of the fused output are the keys of head 2?</summary>
#
# Columns 896 to 959: the keys begin at 768, and 768 + 2 · 64 = 896.
# </details>
#
# <details><summary>3. Lesson 2: two cuts give tensors of the same shape. How do you find the wrong one?</summary>
#
# By comparing values with the model's own, or by cutting a table whose entries show where they come from.
# </details>

# %%
import re

import matplotlib.pyplot as plt
import torch

from headlab.capture import capture_heads
from headlab.diagram import data_flow
from headlab.exercises import check
from headlab.explorers import HeadExplorer, recorded_gpt2
from headlab.masking import causal_mask, mask_scores, softmax
from headlab.models import load_model, token_strings
from headlab.plots import plot_distances, plot_head_grid, plot_mask, plot_pattern, plot_scores, show_figure
from headlab.predict import predict, predict_number
from headlab.says import says, who
from headlab.scores import attention_pattern, mean_share, pattern_distances, raw_scores, token_pairs
from headlab.shading import shade_text

# %%
model, tokenizer = load_model()
n_layers, n_heads, d_model = model.config.n_layer, model.config.n_head, model.config.n_embd
d_head = d_model // n_heads
print(f"{who(model)}: n_layers = {n_layers}, n_heads = {n_heads}, d_head = {d_head}")
data_flow("scores", "pattern", "outputs", "W_o", model=model)

# %% [markdown]
# ## 1. Why the square root
#
# > **The report:** Attention is $\mathrm{softmax}(QK^\top / \sqrt{d_k})\, V$. Q is what the current token looks for, K what
# > earlier tokens offer.
#
# $d_k$ is our d_head. Why divide at all? A dot product is a sum over channels: the more channels, the larger it tends to be.
# Take random vectors whose channels are independent, with mean 0 and variance 1.

# %%
guess = predict_number(
    "From 4 channels to 64: by what factor does the variance of the dot product grow?",
)

# %%
generator = torch.Generator().manual_seed(0)
a, b = torch.randn(2, 20_000, 64, generator=generator)  # 20,000 pairs of random vectors
variance = {n: (a[:, :n] * b[:, :n]).sum(-1).var().item() for n in (4, 16, 64)}
print("Variance of the dot product by number of channels:")
print({n: round(value, 1) for n, value in variance.items()})
print("channels   largest of 16 shares, unscaled   scaled")
for n in (4, 64, 1024):
    queries, keys = torch.randn(2, 200, 16, n, generator=generator)
    raw = raw_scores(queries, keys)
    unscaled, scaled = (softmax(scores).amax(-1).mean().item() for scores in (raw, raw / n**0.5))
    print(f"{n:8}   {unscaled:31.2f}   {scaled:6.2f}")

# %%
guess.reveal(
    round(variance[64] / variance[4], 1),
    "each channel adds a term of variance 1, and variances of independent terms add up. The typical size, its square root, grows by a factor of 4.",
    overlooked={
        4: "that is the growth of the typical size, the square root of the variance.",
        8: "that is the square root of 64, by which scores of 64 channels are divided.",
        64: "that compares with one channel, not with 4.",
    },
    within=1.0,
)
assert abs(variance[64] / variance[4] - 16) < 2

# %% [markdown]
# Without the divisor the largest share approaches 1 as channels are added: every query looks at one key, by chance.
# There the softmax is almost flat, so its gradients are tiny. With the divisor, the number of channels no longer
# matters. This is the reason that Vaswani et al. give (2017, section 3.2.1).
#
# But does it apply to GPT-2? Its weights start small, so its channels do not have variance 1. Our control shows this
# start: GPT-2 small with untrained weights.

# %%
text = "The old man looked at the little white house by the sea."
input_ids = tokenizer(text, return_tensors="pt").input_ids
labels = token_strings(tokenizer, input_ids)
capture = capture_heads(model, input_ids)
control, control_tokenizer = load_model("random")
control_capture = capture_heads(control, control_tokenizer(text, return_tensors="pt").input_ids)


def sizes_of(capture):
    """Over all heads: standard deviation of the scaled scores, and the largest share of a row, undivided and divided."""
    raw = torch.stack([capture.scores(layer) for layer in capture.layers])  # (layer, head, query, key)
    divisors = torch.tensor(capture.divisors)[:, None, None, None]
    spread = (raw / divisors)[..., causal_mask(raw.shape[-1])].std(-1).mean().item()
    largest = [attention_pattern(raw / by, 1).amax(-1)[..., 1:].mean().item() for by in (1.0, divisors)]
    return spread, *largest


print("                        std. dev. when divided   largest share: undivided   divided")
sizes = {}
for name, captured in (("random control", control_capture), (who(model), capture)):
    sizes[name] = sizes_of(captured)
    print(f"{name:24}{sizes[name][0]:22.2f}{sizes[name][1]:27.2f}{sizes[name][2]:10.2f}")
_, undivided, divided = sizes["random control"]
assert undivided < 0.75
trained = sizes[who(model)][2]
says(
    (who(model) == "random control", "The loaded model is the control itself, so there is nothing to compare."),
    (
        trained > 1.5 * divided,
        f"In the {who(model)} the largest share of a row is still {trained:.2f} on average after dividing, far above the "
        f"control's {divided:.2f}. Dividing alone does not prevent sharp attention.",
    ),
    (True, f"In the {who(model)} the mean largest share is {trained:.2f}, not far above the control's {divided:.2f}."),
)

# %% [markdown]
# **Verdict.** The formula is what the model computes (section 3 shows it). The reason that Vaswani et al. give holds
# for channels of variance 1. GPT-2 starts with smaller variances, and its softmax would not saturate either way. What
# the root does achieve: at the start of training, the typical size of the scores does not depend on d_head.

# %% [markdown]
# ## 2. Four names
#
# "Attention scores" can mean any of four different things. Here each has its own name. Heads are written **L5H1** for layer
# 5, head 1, both counted from 0.

# %%
# The head with the largest number of rows that are won by a negative score.
wins = torch.stack([(mask_scores(capture.scores(n)).amax(-1) < 0).sum(-1) for n in capture.layers])  # (layer, head)
layer, head = divmod(wins.argmax().item(), n_heads)
raw = capture.scores(layer, head)
attn_scores = raw / capture.divisors[layer]
masked_scores = mask_scores(attn_scores)
pattern = softmax(masked_scores)

# %%
fig, axes = plt.subplots(2, 2, figsize=(12, 10.4), layout="constrained")
limit = attn_scores.abs().max().item()  # one scale for the same numbers
plot_scores(raw, labels, axes[0, 0]).set_title("raw_scores: q · k")
plot_scores(attn_scores, labels, axes[0, 1], label="score", limit=limit).set_title("attn_scores: divided by the root")
plot_scores(masked_scores, labels, axes[1, 0], label="score", limit=limit).set_title("masked_scores: no future")
plot_pattern(pattern, labels, axes[1, 1]).set_title("pattern: after softmax")
fig.suptitle(f"{who(model)}, L{layer}H{head}")
show_figure(
    f"The four stages of L{layer}H{head}: raw scores from {raw.min():.1f} to {raw.max():.1f}, the same divided by "
    f"{capture.divisors[layer]:.0f}, the same without the future, and the pattern, whose rows sum to 1."
)

# %% [markdown]
# *What to see:* dividing changes the colour bar and nothing else. The mask removes the upper triangle. The softmax compares
# scores **within each row**, so a colour alone does not tell you the share. In a row of negative scores, the least negative
# cell wins.

# %% [markdown]
# ## 3. Build it yourself
#
# Now we write causal attention as a PyTorch module, in three steps, and compare each step with the model. We copy the
# model's weights into ordinary `nn.Linear` layers, which store them the other way round (lesson 2).


# %%
class Projections(torch.nn.Module):
    """Step 1: from x (token, d_model) to q, k and v, each (head, token, d_head)."""

    def __init__(self, d_model, n_heads):
        super().__init__()
        self.n_heads, self.divisor = n_heads, (d_model // n_heads) ** 0.5
        self.qkv = torch.nn.Linear(d_model, 3 * d_model)

    def project(self, x):
        thirds = self.qkv(x).chunk(3, dim=-1)  # each (token, d_model)
        return [third.unflatten(-1, (self.n_heads, -1)).transpose(0, 1) for third in thirds]  # (head, token, d_head)


class Patterns(Projections):
    """Step 2: from x to the patterns (head, query, key)."""

    def pattern(self, q, k):
        scores = q @ k.mT / self.divisor  # (head, query, key)
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        return scores.masked_fill(future, -torch.inf).softmax(dim=-1)


class CausalAttention(Patterns):
    """Step 3: from x to what the attention block adds to the residual stream, (token, d_model)."""

    def __init__(self, d_model, n_heads):
        super().__init__(d_model, n_heads)
        self.out = torch.nn.Linear(d_model, d_model)

    def forward(self, x):
        q, k, v = self.project(x)
        outputs = self.pattern(q, k) @ v  # (head, query, key) @ (head, key, d_head): values, weighted by their shares
        return self.out(outputs.transpose(0, 1).flatten(1))  # merged: (token, d_model)


# %%
def ours_from(layer):
    """Our module with the weights of one layer of the loaded model."""
    theirs, ours = model.transformer.h[layer].attn, CausalAttention(d_model, n_heads)
    ours.divisor = capture.divisors[layer]  # the root of d_head, unless the model's settings say otherwise
    for linear, conv in ((ours.qkv, theirs.c_attn), (ours.out, theirs.c_proj)):
        linear.load_state_dict({"weight": conv.weight.T, "bias": conv.bias})
    return ours


blocks = {}  # layer: what its attention block adds to the residual stream
handles = [
    block.attn.c_proj.register_forward_hook(lambda module, arguments, output, n=n: blocks.update({n: output[0]}))
    for n, block in enumerate(model.transformer.h)
]
with torch.no_grad():
    run = model(input_ids, output_attentions=True, output_hidden_states=True)
for handle in handles:
    handle.remove()

# %%
with torch.no_grad():
    for number in range(n_layers):
        ours, block = ours_from(number), blocks[number]
        x = model.transformer.h[number].ln_1(run.hidden_states[number][0])  # what goes into the block
        q, k, v = ours.project(x)
        same_q = torch.allclose(q, capture.q[number], rtol=1e-3, atol=1e-3)
        share_gap = (ours.pattern(q, k) - run.attentions[number][0]).abs().max().item()
        gap = (ours(x) - block).abs().max().item() / block.abs().max().item()
        print(
            f"layer {number:2}: q equal: {same_q}; shares off by {share_gap:.5f} at most; output by {gap:.5f} of its size"
        )
        assert same_q and share_gap < 1e-4 and gap < 1e-3

# %% [markdown]
# Project, score, mask, softmax, sum, merge, project: that is all that an attention block does, and ours equals the model's
# own in every layer.
#
# What is the softmax good for? If we leave it out, each head computes $(QK^\top) V$.

# %%
guess = predict_number(
    "Without softmax, mask and biases: if we double the input x, by what factor does (Q K^T) V grow?",
)

# %%
bare = CausalAttention(12, 3)
torch.nn.init.normal_(bare.qkv.weight, generator=generator)
torch.nn.init.zeros_(bare.qkv.bias)


def without_softmax(x):
    q, k, v = bare.project(x)
    return (q @ k.mT) @ v


with torch.no_grad():
    x = torch.randn(5, 12, generator=generator)
    growth = (without_softmax(2 * x) / without_softmax(x)).mean().item()
print(f"The growth when x is doubled:\n{growth:.1f}")

# %%
guess.reveal(
    round(growth, 3),
    "q, k and v each double, so their product grows 2 · 2 · 2 times.",
    overlooked={
        1: "only a normalisation of x, such as layer norm, would keep the size.",
        2: "each factor is linear in x, but the product of three of them is cubic.",
        4: "that counts q and k; the values double as well.",
    },
)
assert abs(growth - 8) < 1e-3

# %% [markdown]
# So even without softmax, attention is not a fixed mix: the weights $q \cdot k$ still depend on the text. It is the
# simplest linear attention (linear in the number of tokens: Katharopoulos et al. 2020). The softmax makes the weights
# positive and makes them sum to 1. So an output is a weighted average of the values, and a large score takes attention
# *away* from other keys.

# %% [markdown]
# ## 4. What heads look for
#
# In trained models, researchers have found several kinds of heads: in translation models, positional and syntactic ones
# (Voita et al. 2019); in BERT, heads that look at neighbours, at separators, or at the objects of verbs (Clark et al.
# 2019); in GPT-2 small, attention that targets different parts of speech at different depths (Vig and Belinkov 2019), and
# previous-token, duplicate-token and induction heads (Wang et al. 2022). We look for four kinds:
#
# | type | its query looks at |
# | --- | --- |
# | previous | the token just before |
# | first | the first token of the text, whatever it is: the attention sink of lesson 1 |
# | same | earlier copies of its own token |
# | induction | what came right *after* those copies: "last time, what followed?" (Elhage et al. 2021; Olsson et al. 2022) |
#
# Each type is a set of (query, key) pairs that follows from the text alone. `token_pairs` marks them.

# %%
guess = predict(
    "“so the cat saw the cat”: where does an induction head look from the second “the”?",
    "at the first “the”",
    "at the first “cat”",
    "at “saw”, the token just before",
)

# %%
words = ["so", "the", "cat", "saw", "the", "cat"]
word_ids = torch.tensor([words.index(word) for word in words])
fig, axes = plt.subplots(1, 4, figsize=(15, 4), layout="constrained")
for (name, pairs), ax in zip(token_pairs(word_ids).items(), axes, strict=True):
    plot_mask(pairs, words, ax).set_title(name)
marked = {name: [tuple(pair) for pair in pairs.nonzero().tolist()] for name, pairs in token_pairs(word_ids).items()}
show_figure("The pairs (query, key) of each type: " + "; ".join(f"{name} {pairs}" for name, pairs in marked.items()))

# %%
guess.reveal(
    ((4, 2) in marked["induction"], "at the first “cat”", "it followed the first “the”."),
    (True, None, f"the induction pairs are {marked['induction']}."),
    overlooked={
        "at the first “the”": "that is the copy itself: a same-token head looks there.",
        "at “saw”, the token just before": "a previous-token head looks there, whatever was said before.",
    },
)

# %% [markdown]
# Two rules: no token counts as its own key, and key 0 counts only for "first", since a sink head looks at key 0
# whatever token it is. How strongly a head belongs to a type is **the share that its queries give to their marked
# keys**, averaged over the queries that have such keys: `mean_share(pattern, pairs)`. We measure all heads on a passage
# with repetitions.

# %%
passage = (
    "A young woman lived in a small white house by the deep river. Every cold morning an old man came down the long road "
    "with a black dog and a large book. One dark, wild night a strong wind struck the great tree, and the great tree fell "
    "across the long road. On the cold morning after, the old man and the black dog stood before the small white house. "
    "The young woman opened the green door. The old man sat down by the warm fire and read a strange sad story from the "
    "large book, and the young woman looked at him with her bright blue eyes."
)


def patterns_of(model, ids):
    """The patterns of all heads, (layer, head, query, key)."""
    capture = capture_heads(model, ids)
    return torch.stack([capture.pattern(number) for number in capture.layers])


def where(values):
    """The (layer, head) of the largest value."""
    return divmod(values.argmax().item(), values.shape[1])


encoded = tokenizer(passage, return_tensors="pt", return_offsets_mapping=True)
passage_ids, offsets = encoded.input_ids, encoded.offset_mapping[0].tolist()
passage_labels = token_strings(tokenizer, passage_ids)
n_tokens = len(passage_labels)
patterns, pairs = patterns_of(model, passage_ids), token_pairs(passage_ids)
shares = {name: mean_share(patterns, marked) for name, marked in pairs.items()}  # (layer, head)

# %%
fig, axes = plt.subplots(2, 2, figsize=(12, 2 * (1.2 + 0.45 * n_layers)), layout="constrained")
for (name, values), ax in zip(shares.items(), axes.flat, strict=True):
    plot_head_grid(values, ax, label="mean share", meaning="share").set_title(name)
fig.suptitle(f"{who(model)}: how much of its attention each head gives to the pairs of each type")
largest = (f"{name} {values.max():.2f} in L{where(values)[0]}H{where(values)[1]}" for name, values in shares.items())
show_figure("Four grids, one number for each head. The largest: " + ", ".join(largest))

# %% [markdown]
# A number alone says little. We compare it with a head that looks at all its keys equally, and with the **best of the
# control's heads**: if you pick the largest of many numbers, compare it with the largest of many.

# %%
even = softmax(mask_scores(torch.zeros(n_tokens, n_tokens)))
control_ids = control_tokenizer(passage, return_tensors="pt").input_ids
control_patterns, control_pairs = patterns_of(control, control_ids), token_pairs(control_ids)
print("type       clearest  share   even  control's best  queries")
for name, values in shares.items():
    layer, head = where(values)
    best = mean_share(control_patterns, control_pairs[name]).max().item()
    evenly, queries = mean_share(even, pairs[name]), pairs[name].any(-1).sum()
    print(f"{name:11}{f'L{layer}H{head}':8}{values.max():7.2f}{evenly:7.2f}{best:16.2f}{queries:9}")
    says(
        (values.max() > max(0.5, 3 * best), f"           L{layer}H{head} is clearly of this type on this passage."),
        (values.max() > 2 * best, f"           L{layer}H{head} leans this way: more than twice the control's best."),
        (True, "           No head exceeds twice the control's best."),
    )

# %% [markdown]
# The **head explorer** shows the four stages of every head on a text. Choose a head in the overview or with the sliders,
# point at a cell, or type a text of your own. It opens on the head with the largest previous-token share.

# %%
layer, head = where(shares["previous"])
explorer = HeadExplorer(model, tokenizer, text, layer=layer, head=head)
explorer.still()

# %%
explorer

# %% [markdown]
# *Real GPT-2, recorded:* the same for all 144 heads on one sentence of nine tokens. Nothing is run here; the scores
# ship with headlab. It opens on a previous-token head.

# %%
HeadExplorer(*recorded_gpt2(), layer=4, head=11)

# %% [markdown]
# Links across a passage are easier to see in the text itself, with every token shaded by the share that one query gives
# it. Here is the head with the largest induction share, at the query where it is clearest (framed):

# %%
far_layer, far_head = where(shares["induction"])
query = (patterns[far_layer, far_head] * pairs["induction"]).sum(-1).argmax().item()
print(f"{who(model)}, L{far_layer}H{far_head}")
shade_text(patterns[far_layer, far_head], passage_labels, query)

# %% [markdown]
# *Real GPT-2, recorded* ("John Smith is also the son of Fred Smith", 9 tokens). The same functions find **L4H11**,
# previous token: 0.999 on average over 7 queries; **L0H5**, same token: the second " Smith" gives the first 0.670; **L5H5**,
# induction: the second " Smith" gives 0.739 to " is", which followed the first; **L7H2**, first token: 0.989 over 8 queries.

# %% [markdown]
# ## 5. Two heads that work together
#
# In prose the four types overlap: what follows a copy is often also nearby, frequent, or the same word. So Olsson et al.
# measure induction on **random tokens that are repeated**. Nothing in them can be predicted, except that the second half
# repeats the first.

# %%
n = 25
once = torch.randint(len(tokenizer), (n,), generator=generator)
repeated_ids = torch.cat([once[:1], once, once])[None]  # one token in front, for the sinks
position = torch.arange(2 * n + 1)
after_copy = (position[:, None] - position[None, :] == n - 1) & (position[:, None] > n)  # (query, key)
repeated = patterns_of(model, repeated_ids)
induction = mean_share(repeated, after_copy)  # (layer, head)
previous = mean_share(repeated, token_pairs(repeated_ids)["previous"])
once = torch.randint(len(control_tokenizer), (n,), generator=generator)
control_best = mean_share(patterns_of(control, torch.cat([once[:1], once, once])[None]), after_copy).max().item()
layer, head = where(induction)
share = induction[layer, head].item()
found = share > 0.3 and share > 3 * control_best
says(
    (
        found,
        f"{who(model)}: L{layer}H{head} gives {share:.2f} to the token after the copy (control's best: {control_best:.2f}). "
        "It behaves like an induction head on these tokens.",
    ),
    (True, f"{who(model)}: no clear induction head on these tokens; the best is L{layer}H{head} with {share:.2f}."),
)

# %% [markdown]
# How can a head find what came *after* a copy? On its own, a token's key knows that token, not the one before it.
# Elhage et al. (2021) explain it with two heads. A **previous-token head** in an earlier layer writes into each
# position of the residual stream which token stands before it. The induction head's *key* reads this: "before me stood
# X". Its *query* asks: "I am X; what comes after an X?" This is called **K-composition**.
#
# If that is right, the induction head should lose its target when the previous-token head is silenced. We can test it:
# we replace the previous-token head's output by its mean over the tokens, so that it writes the same everywhere, and
# measure again.

# %%
guess = predict(
    "We silence the earlier head that looks most at the previous token. What happens to the induction head?",
    "little: each head reads the text independently",
    "it loses most of its target",
)


# %%
def induction_without(silent_layer, silent_head):
    """The induction head's share while another head writes its mean at every token."""

    def silence(module, arguments):
        merged = arguments[0].clone()  # (1, token, d_model)
        band = slice(silent_head * d_head, (silent_head + 1) * d_head)
        merged[..., band] = merged[..., band].mean(dim=1, keepdim=True)
        return (merged,)

    handle = model.transformer.h[silent_layer].attn.c_proj.register_forward_pre_hook(silence)
    try:
        return mean_share(capture_heads(model, repeated_ids, [layer]).pattern(layer, head), after_copy).item()
    finally:
        handle.remove()


without, others, partner, compared = share, share, None, "That layer has no other head to compare with."
if found and layer > 0:
    partner = where(previous[:layer])  # the clearest previous-token head of the earlier layers
    without = induction_without(*partner)
    rest = [induction_without(partner[0], h) for h in range(n_heads) if h != partner[1]]
    if rest:
        others = sorted(rest)[len(rest) // 2]
        compared = f"With another head of that layer silenced it is {others:.2f} (median of {len(rest)})."
    print("The induction head's share:")
    print(f"L{layer}H{head}: {share:.2f}; without L{partner[0]}H{partner[1]}: {without:.2f}", compared, sep="\n")

# %%
guess.reveal(
    (
        partner is None,
        None,
        "there is no clear induction head above layer 0 here, so there is nothing to take apart.",
    ),
    (
        without < share / 2 < others,
        "it loses most of its target",
        f"its share falls from {share:.2f} to {without:.2f}. {compared}",
    ),
    (
        without > 0.8 * share,
        "little: each head reads the text independently",
        f"its share goes from {share:.2f} to {without:.2f}, so it depends little on this one head; several may do the job.",
    ),
    (
        True,
        None,
        f"its share goes from {share:.2f} to {without:.2f}: no clear answer. {compared}",
    ),
    overlooked={
        "little: each head reads the text independently": "a head reads the residual stream, into which earlier heads have written.",
        "it loses most of its target": "the information can come by several routes; one head may not be needed.",
    },
)

# %% [markdown]
# *Real GPT-2's weights* let us ask the same question without a text. How strongly does what one head writes ($W_V W_O$)
# enter what another reads with its keys ($W_Q W_K^\top$)? The composition score of Elhage et al. is the Frobenius norm
# of the product of the two, divided by the product of their norms (with the weights of ln_1 folded in). Among the 60
# heads of layers 0 to 4, **L4H11**, the previous-token head, has the highest score with the induction head **L5H5**:
# 0.10, against a median of 0.04.

# %% [markdown]
# ## 6. Does a head link a noun to its adjective?
#
# > **The report:** Most past tokens are suppressed; a few links, such as an adjective and its noun, stand out (a "sparsity
# > mechanism").
#
# Our passage has many such pairs. The query is the noun, the key its adjective.

# %%
phrases = (
    "young woman|small white house|deep river|cold morning|old man|long road|black dog|large book|dark, wild night|"
    "strong wind|great tree|green door|warm fire|strange sad story|bright blue eyes"
).split("|")
function_words = "a after across an and at before by down every from her him in on one the with".split()


def last_token(place):
    """The position of the token that contains this character of the passage."""
    return next(i for i, (start, end) in enumerate(offsets) if start <= place < end)


links = {}  # (query, key): the number of its phrase
for phrase in re.finditer("|".join(phrases), passage):
    *adjectives, noun = [last_token(phrase.start() + word.end() - 1) for word in re.finditer(r"\w+", phrase.group())]
    links |= {(noun, adjective): phrases.index(phrase.group()) for adjective in adjectives}
content = [last_token(w.end() - 1) for w in re.finditer(r"\w+", passage) if w.group().lower() not in function_words]
print(f"{len(links)} links in {len(phrases)} phrases, such as", end=" ")
print(", ".join(f"{passage_labels[i]} → {passage_labels[j]}" for i, j in list(links)[:4]))

# %%
guess = predict(
    "We take the head with the largest mean share from nouns to their adjectives. What will it probably be?",
    "a head that links nouns to adjectives",
    "a previous-token head",
    "a sink head",
)

# %%
to_adjective = torch.stack([patterns[..., i, j] for i, j in links], dim=-1)  # (layer, head, link)
layer, head = where(to_adjective.mean(-1))
habits = {name: values[layer, head].item() for name, values in shares.items()}
evenly = torch.stack([even[i, j] for i, j in links]).mean().item()
print("The head with the largest mean share:")
print(f"L{layer}H{head} gives the adjective {to_adjective[layer, head].mean():.2f} on average;", end=" ")
print(f"the token before, whatever it is, {habits['previous']:.2f}; the first token {habits['first']:.2f}")

# %%
guess.reveal(
    (
        to_adjective[layer, head].mean() < 2 * evenly,
        None,
        f"it gives adjectives hardly more than even attention does, {evenly:.2f}.",
    ),
    (
        habits["previous"] > 0.5 * to_adjective[layer, head].mean(),
        "a previous-token head",
        "on average, it gives more than half as much to the token before, whatever that is.",
    ),
    (True, None, "it is not simply a previous-token head; the fairer comparison below says more."),
    overlooked={
        "a head that links nouns to adjectives": "an adjective mostly stands right before its noun, so other habits look the same.",
        "a previous-token head": "in this model, the share on the token before does not explain it.",
        "a sink head": "the first token of this text is not an adjective.",
    },
)

# %% [markdown]
# The fair question is: does the head give the adjective **more than it gives other content words at the same distance**?
# Function words such as "the" are left out of the comparison, because heads treat them differently. There is one more trap:
# if we choose the best of all heads on these phrases and report its excess on the *same* phrases, luck inflates the number.
# So we choose the head on every other phrase and measure it on the rest, and then the other way round.

# %%
at_distance = {}  # distance: pairs of content words that are not links; without key 0, the sink
for i in content:
    for j in content:
        if 0 < j < i and (i, j) not in links:
            at_distance.setdefault(i - j, []).append(patterns[..., i, j])
usual = torch.stack([torch.stack(at_distance[i - j], -1).mean(-1) for i, j in links], dim=-1)  # (layer, head, link)
phrase_of = torch.tensor(list(links.values()))
excess = torch.stack([(to_adjective - usual)[..., phrase_of == n].mean(-1) for n in range(len(phrases))], dim=-1)
even_phrases = torch.arange(len(phrases)) % 2 == 0
chosen = []
for half in (even_phrases, ~even_phrases):
    choice = excess[..., half].mean(-1)  # (layer, head)
    layer, head = where(choice)
    rest = excess[layer, head, ~half]
    error = (rest.std() / len(rest) ** 0.5).item()  # standard error of the mean; the phrases are the units
    print(f"chosen on {half.sum()} phrases: L{layer}H{head}, excess {choice.max():.2f};", end=" ")
    print(f"on the other {len(rest)}: {rest.mean():.2f} ± {error:.2f}")
    chosen.append((layer, head, rest.mean().item() > 2 * error))
says(
    (
        chosen[0] == chosen[1] and chosen[0][-1],
        f"{who(model)}: both halves choose L{layer}H{head}, and on the other half its excess is more than twice its "
        "standard error. On this passage the head favours adjectives.",
    ),
    (
        chosen[0][:2] == chosen[1][:2],
        f"{who(model)}: both halves choose L{layer}H{head}, but on the other half its excess is not more than twice "
        "its standard error both times. This passage shows no noun-adjective head.",
    ),
    (
        True,
        f"{who(model)}: the two halves choose different heads, so neither choice is confirmed. This passage shows no "
        "noun-adjective head.",
    ),
)

# %% [markdown]
# Even a yes would only say that a head favours the adjective. It would not say *why*: because it is an adjective, or because
# the two words often go together.
#
# **Verdict: open.** *Real GPT-2, recorded:* six phrases have an adjective right before its noun (deserted planet,
# neural network, human beings, brown fox, lazy dogs, Artificial Intelligence). The two halves choose different heads,
# L0H7 and L0H4, and on the other half they exceed their usual share at that distance by 0.25 ± 0.18 and 0.11 ± 0.23
# (standard errors). Six phrases are too few to tell.

# %% [markdown]
# ## Exercises
#
# Each check runs your function on inputs of its own and says what is wrong. Try first; the solutions are in
# `solutions/03_head_scores.ipynb`.

# %% [markdown]
# ### Exercise 3.1 · The whole way to the pattern
#
# *Difficulty 2 of 5 · importance 5 of 5 · about 4 minutes*
#
# From q and k (..., tokens, d_head), with any number of leading axes, compute the causal attention pattern. Use plain torch.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Four steps, one for each of the four names of section 2. Which axis of q is d_head?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# `.T` reverses all axes. Swap only the last two. Then divide, mask, and take the softmax over the keys.
# </details>


# %% tags=["exercise"]
def my_attention(q, k):
    ### BEGIN SOLUTION
    scores = q @ k.mT / q.shape[-1] ** 0.5
    future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return scores.masked_fill(future, -torch.inf).softmax(dim=-1)
    ### END SOLUTION


check("3.1", my_attention)

# %% [markdown]
# ### Exercise 3.2 · Induction pairs
#
# *Difficulty 4 of 5 · importance 4 of 5 · about 6 minutes*
#
# From token ids (tokens,), mark the induction pairs yourself: a bool tensor (query i, key j), True where token j - 1 is a copy
# of token i and 0 < j < i.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# First mark all pairs of equal tokens. How does the table of induction pairs differ from it?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Shift the columns one to the right. `roll` does it, but think about what it puts into column 0; `tril` removes a triangle.
# </details>


# %% tags=["exercise"]
def my_induction_pairs(ids):
    ### BEGIN SOLUTION
    copies = ids[:, None] == ids[None, :]
    after = copies.roll(1, dims=1)
    after[:, 0] = False
    return after.tril(-1)
    ### END SOLUTION


check("3.2", my_induction_pairs)

# %% [markdown]
# ### Exercise 3.3 · Find the head that looks back farthest
#
# *Difficulty 3 of 5 · importance 3 of 5 · about 5 minutes*
#
# How far back does a head look, once the sink is left out? Take all pairs of the head whose key is not key 0. Their mean
# distance (query - key), weighted by the shares, is the sum of share times distance over the sum of the shares. Return the
# (layer, head) with the largest mean distance. `patterns` is (layer, head, query, key). The check tries made-up patterns and those of
# the loaded model.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# The distances are one table for all heads. What must its column 0 contribute?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Two sums over the last two axes, then one division. `divmod` turns the index of the largest value into layer and head.
# </details>


# %% tags=["exercise"]
def my_farthest(patterns):
    ### BEGIN SOLUTION
    position = torch.arange(patterns.shape[-1])
    distance = position[:, None] - position[None, :]
    kept = patterns[..., 1:]  # without key 0
    mean = (kept * distance[:, 1:]).sum((-2, -1)) / kept.sum((-2, -1))  # (layer, head)
    return divmod(mean.argmax().item(), patterns.shape[1])
    ### END SOLUTION


check("3.3", my_farthest, patterns)

# %% [markdown]
# ### Exercise 3.4 · Design the control: is it an induction head?
#
# *Difficulty 5 of 5 · importance 5 of 5 · about 9 minutes*
#
# You get a function `pattern_of` that takes token ids (tokens,), whole numbers below 1,000, and returns the pattern of one
# head, (query, key). Is it an induction head? Write a test that chooses the token ids and returns True or False. The check hands
# it twelve heads. Some only look like induction heads on a text that is repeated once: they look back by a fixed distance, or by
# half the text. A real one gives at least 0.5 to the tokens after a copy, wherever the copy stands.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# In section 5 the copy follows the original at once. Which other heads would give large shares to exactly the same cells?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Choose texts in which "after the copy" and "a fixed number of tokens back" are different cells: put something between
# the two copies, and change the length. `mean_share` and `token_pairs` do the measuring.
# </details>


# %% tags=["exercise"]
def my_induction_test(pattern_of):
    ### BEGIN SOLUTION
    generator = torch.Generator().manual_seed(0)
    for n, between in ((12, 7), (9, 20)):
        once, filler = torch.randperm(1000, generator=generator)[: n + between].split((n, between))
        ids = torch.cat([once, filler, once])  # every token of `once` has a copy n + between tokens back
        if mean_share(pattern_of(ids), token_pairs(ids)["induction"]) < 0.4:
            return False
    return True
    ### END SOLUTION


check("3.4", my_induction_test)

# %% [markdown]
# ## What we found
#
# | claim | evidence | verdict |
# | --- | --- | --- |
# | attention is $\mathrm{softmax}(QK^\top / \sqrt{d_k})\, V$ (the report) | section 3: our own module equals the model's block in every layer | holds |
# | the root keeps the softmax from saturating (Vaswani et al.) | section 1: true for channels with variance 1; the untrained control does not saturate without it | holds for such channels; GPT-2 starts with smaller variance |
# | an adjective and its noun stand out (the report) | section 6: against other content words at the same distance, on phrases not used for the choice | open: the recordings of GPT-2 hold too few such pairs |
#
# Beyond the report: heads of known types are found by marking pairs in the text and comparing with even attention and with
# the best untrained head (section 4); silencing a previous-token head tests whether an induction head depends on it
# (section 5).
#
# **Where to read on**
# - A. Vaswani and others, 2017, *Attention Is All You Need*, arXiv 1706.03762.
# - A. Katharopoulos, A. Vyas, N. Pappas and F. Fleuret, 2020, *Transformers are RNNs: Fast Autoregressive Transformers with
#   Linear Attention*, ICML, arXiv 2006.16236.
# - E. Voita, D. Talbot, F. Moiseev, R. Sennrich and I. Titov, 2019, *Analyzing Multi-Head Self-Attention: Specialized Heads Do
#   the Heavy Lifting, the Rest Can Be Pruned*, ACL, arXiv 1905.09418.
# - K. Clark, U. Khandelwal, O. Levy and C. D. Manning, 2019, *What Does BERT Look At? An Analysis of BERT's Attention*,
#   BlackboxNLP, arXiv 1906.04341.
# - J. Vig and Y. Belinkov, 2019, *Analyzing the Structure of Attention in a Transformer Language Model*, BlackboxNLP, arXiv
#   1906.04284.
# - N. Elhage and others, 2021, *A Mathematical Framework for Transformer Circuits*, transformer-circuits.pub/2021/framework.
# - C. Olsson and others, 2022, *In-context Learning and Induction Heads*, arXiv 2209.11895.
# - K. Wang, A. Variengien, A. Conmy, B. Shlegeris and J. Steinhardt, 2022, *Interpretability in the Wild: a Circuit for
#   Indirect Object Identification in GPT-2 small*, arXiv 2211.00593.
#
# The functions are in `headlab/scores.py`; `tests/test_scores.py` compares them with loops, with torch, with transformers and
# with recorded real GPT-2 in all 144 heads.

# %% [markdown] tags=["optional"]
# ## Appendix (optional): how different are two heads?
#
# Two heads of one layer see the same input. How much of its attention would one have to move to look like the other? For one
# query that is the **total variation distance** $\frac{1}{2} \sum_j |p_j - p'_j|$, from 0 (the same) to 1 (no key in common).
# `pattern_distances` averages it over all queries but the first, which has no choice.

# %% tags=["optional"]
layer = n_layers // 2  # any layer will do
distances = pattern_distances(capture.pattern(layer))  # (head, head)
plot_distances(distances).set_title(f"{who(model)}, layer {layer}: how far apart its heads' patterns are")
rows, columns = torch.triu_indices(n_heads, n_heads, offset=min(1, n_heads - 1))  # a single head: with itself
pairwise = distances[rows, columns]
show_figure(
    f"Distances between all pairs of heads of layer {layer}, from {pairwise.min():.2f} to {pairwise.max():.2f}."
)
near, far = pairwise.argmin(), pairwise.argmax()
print(
    f"closest: H{rows[near]} and H{columns[near]}, {pairwise[near]:.2f}; farthest: H{rows[far]} and H{columns[far]}, {pairwise[far]:.2f}"
)

# %% [markdown] tags=["optional"]
# To compare what two heads *write*, it is tempting to take the angle between their outputs. But turn the channels of one head by
# a random rotation $R$: outputs become $oR$, its rows of $W_O$ become $R^\top W_O$, and since $oR\,R^\top W_O = o\,W_O$ the model
# stays the same. Does the angle stay the same, too?

# %% tags=["optional"]
one, two = rows[near].item(), columns[near].item()
outputs = capture.pattern(layer) @ capture.v[layer]  # (head, token, d_head)
w_o = model.transformer.h[layer].attn.c_proj.weight.detach().unflatten(0, (n_heads, d_head))  # (head, d_head, d_model)
rotation = torch.linalg.qr(torch.randn(d_head, d_head, generator=generator)).Q
rotation[:, 0] *= rotation.det().sign()  # where it has mirrored the space as well, mirror it back
turned_output, turned_w_o = outputs[one] @ rotation, rotation.T @ w_o[one]


def cosine(x, y):
    """Mean cosine of the angle between two heads' vectors, over the tokens."""
    return torch.cosine_similarity(x, y, dim=-1).mean().item()


before, after = cosine(outputs[one], outputs[two]), cosine(turned_output, outputs[two])
added, turned_added, other = outputs[one] @ w_o[one], turned_output @ turned_w_o, outputs[two] @ w_o[two]
print(f"outputs of H{one} and H{two}:       {before:.2f}, with H{one} turned {after:.2f}")
print(
    f"contributions of H{one} and H{two}: {cosine(added, other):.2f}, with H{one} turned {cosine(turned_added, other):.2f}"
)
assert torch.allclose(turned_added, added, rtol=1e-3, atol=1e-3)

# %% [markdown] tags=["optional"]
# The angle between outputs is arbitrary: channel 7 of one head has nothing to do with channel 7 of another. All heads write into
# the same d_model channels of the residual stream, and there they can be compared.
