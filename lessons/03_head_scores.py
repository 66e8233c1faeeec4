# %% [markdown]
# # 3 · The scores of each head
#
# *Every head of a model looks at the same text. What does each of them look for, how do we know, and what does it do with
# what it finds?*
#
# **You will be able to**
# - compute the raw scores of any head, turn them into its pattern, and show that it is the model's own;
# - say why scores are divided by $\sqrt{d_\mathrm{head}}$, and measure what happens without;
# - find a model's previous-token, first-token, same-token and induction heads, with a fair baseline for each;
# - test a claim such as "this head links nouns to their adjectives" without fooling yourself;
# - follow a head's output to the residual stream and compare two heads.
#
# **You need** lessons 1 (mask, softmax) and 2 (how the heads' queries, keys and values are cut out of `c_attn`).
#
# **Time** about 45 minutes to read, try and answer. The cells themselves run in well under a minute on two cores.

# %%
import re

import matplotlib.pyplot as plt
import torch

from headlab.capture import capture_heads
from headlab.exercises import check
from headlab.explorers import HeadExplorer
from headlab.masking import causal_mask, mask_scores, softmax
from headlab.models import load_model, token_strings
from headlab.plots import COLOURS, MARKERS, plot_distances, plot_head_grid, plot_mask, plot_pattern, plot_scores
from headlab.scores import (
    attention_pattern,
    head_outputs,
    mean_share,
    pattern_distances,
    project_heads,
    raw_scores,
    token_pairs,
)

# %%
model, tokenizer = load_model()
n_layers, n_heads = model.config.n_layer, model.config.n_head
d_head = model.config.n_embd // n_heads
print(f"{n_layers} layers of {n_heads} heads with {d_head} channels each")

# %% [markdown]
# ## 1. Raw scores
#
# We take a short sentence, let `capture_heads` fetch the queries, keys and values of all heads, and look at one head.
# Heads are written **L5H1** for layer 5, head 1, both counted from 0.

# %%
text = "The old man looked at the little white house by the sea."
input_ids = tokenizer(text, return_tensors="pt").input_ids
labels = token_strings(tokenizer, input_ids)
capture = capture_heads(model, input_ids)

layer, head = 2, 5
q, k = capture.q[layer, head], capture.k[layer, head]
print("queries of one head:", tuple(q.shape), " keys:", tuple(k.shape))

# %% [markdown]
# A raw score is a dot product: multiply the two vectors channel by channel and add up. Here for query 2 and key 1, in
# the plainest way there is:

# %%
score = 0.0
for channel in range(d_head):
    score += q[2, channel] * k[1, channel]
print(f"{labels[2]} looking at {labels[1]}: raw score {score:.2f}")

# %% [markdown]
# All pairs at once are one matrix product, and all heads of a layer are one too, for `@` works on the last two axes and
# leaves those in front alone. `raw_scores` does this after checking its input.
#
# **Predict.** What shape do the raw scores of a layer have? How many numbers is that for this sentence?

# %%
one_head = q @ k.T  # (query, key)
all_heads = raw_scores(capture.q[layer], capture.k[layer])  # (head, query, key)
print(tuple(all_heads.shape), "=", all_heads.numel(), "numbers")
assert torch.isclose(one_head[2, 1], score, atol=1e-3)
assert torch.allclose(all_heads[head], one_head, atol=1e-3)

# %% [markdown]
# ## 2. Why the square root
#
# A dot product is a sum over channels. The more channels, the more terms, the larger the sums. How much larger? Take
# random vectors whose channels are independent with variance 1.
#
# **Predict.** By which factor does the *variance* of the dot product grow from 4 channels to 64? And its typical size?

# %%
generator = torch.Generator().manual_seed(0)
sizes = (1, 2, 4, 8, 16, 32, 64)
a, b = torch.randn(2, 20_000, 64, generator=generator)  # 20,000 pairs of random vectors
random_variance = [(a[:, :n] * b[:, :n]).sum(-1).var().item() for n in sizes]
for n, variance in zip(sizes, random_variance, strict=True):
    print(f"{n:3} channels: variance {variance:6.2f}, typical size {variance**0.5:5.2f}")
assert all(abs(variance / n - 1) < 0.1 for n, variance in zip(sizes, random_variance, strict=True))

# %% [markdown]
# <details><summary>Answer</summary>
#
# Each channel adds a product of variance 1, and variances of independent terms add up: the variance is the number of
# channels, 16 times as large for 64 as for 4. The typical size is its square root, 4 times as large. So dividing the
# scores by $\sqrt{64} = 8$ brings them back to size 1, whatever the number of channels.
# </details>
#
# Real queries and keys are not independent noise. So measure it on the model: add up only the first 1, 2, 4, ... channels
# of each head's dot products, and take the variance over all visible pairs, averaged over all heads.


# %%
def variance_by_channels(capture):
    visible = causal_mask(capture.q.shape[-2])
    partial = (raw_scores(capture.q[..., :n], capture.k[..., :n])[..., visible] for n in sizes)
    return [scores.var(dim=-1).mean().item() for scores in partial]


random_model, random_tokenizer = load_model("random")
random_capture = capture_heads(random_model, random_tokenizer(text, return_tensors="pt").input_ids)
lines = {
    "random vectors": (random_variance, "o", "black"),
    "trained model": (variance_by_channels(capture), MARKERS["loaded model"], COLOURS["loaded model"]),
    "untrained control": (variance_by_channels(random_capture), MARKERS["random control"], COLOURS["random control"]),
}

# %%
fig, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for name, (variance, marker, color) in lines.items():
    ax.loglog(sizes, variance, marker=marker, color=color, label=name)
ax.set(xlabel="channels in the dot product", ylabel="variance of the raw scores", xticks=sizes, xticklabels=sizes)
ax.minorticks_off()
ax.set_title("More channels, more variance")
fig.legend(loc="outside right upper", frameon=False)
plt.show()
for name, (variance, *_) in lines.items():
    print(f"{name}: from {sizes[2]} to {sizes[-1]} channels the variance grows {variance[-1] / variance[2]:.1f} times")
control_variance = lines["untrained control"][0]
assert 13 < control_variance[-1] / control_variance[2] < 20

# %% [markdown]
# *The figure says:* on logarithmic axes random vectors give a straight line of slope 1, variance = channels. The untrained
# control runs beside it: 16 times the channels, about 16 times the variance. So the root of $d_\mathrm{head}$ fits a network
# at the start of its training. The trained model's scores grow with the channels as well, but at a level and a pace of their
# own: its channels have other variances and depend on each other. What training makes of the scale is its own affair.
#
# **Predict.** Large scores are not wrong in themselves. What do they do in the softmax?

# %%
print("channels   largest of 16 shares, unscaled   scaled")
for n in (4, 64, 1024):
    queries, keys = torch.randn(2, 200, 16, n, generator=generator)
    raw = raw_scores(queries, keys)
    unscaled, scaled = (softmax(scores).amax(-1).mean().item() for scores in (raw, raw / n**0.5))
    print(f"{n:8}   {unscaled:31.2f}   {scaled:6.2f}")

# %% [markdown]
# Unscaled, the largest share goes to 1 as channels are added: every query looks at one key, by chance, and hardly learns,
# since a softmax near 0 or 1 has almost no slope. Scaled, it does not depend on the number of channels. This is the
# reason that Vaswani et al. 2017 give (section 3.2.1).
#
# **Predict.** And in the heads of the two models? Will the trained ones, scaled, also spread their attention as chance does?


# %%
def largest_share(capture, divisor):
    """The largest share of each query but the first, (layer, head, query)."""
    raw = torch.stack([capture.scores(number) for number in capture.layers])
    return attention_pattern(raw, divisor).amax(-1)[..., 1:]


print("largest share, mean over all heads     unscaled   scaled     queries")
largest = {}
for name, captured in (("trained model", capture), ("untrained control", random_capture)):
    largest[name] = largest_share(captured, d_head)
    print(f"{name:37}{largest_share(captured, 1).mean():10.2f}{largest[name].mean():9.2f}{largest[name].numel():12}")
assert largest["trained model"].mean() > 1.5 * largest["untrained control"].mean()

# %% [markdown]
# <details><summary>Answer</summary>
#
# No. Scaling lowers their shares too, but they stay far above those of the control, which stands for chance here (the causal rows
# are shorter than the 16 keys above). A head that wants to single out a key can learn queries and keys long enough to do so in spite of
# the divisor. The root sets where training starts, not where it ends.
# </details>

# %% [markdown]
# ## 3. Four names, one head
#
# "Attention scores" means four different things in four different books. Here each has its own name:

# %%
raw = capture.scores(layer, head)
attn_scores = raw / d_head**0.5
masked_scores = mask_scores(attn_scores)
pattern = softmax(masked_scores)

fig, axes = plt.subplots(2, 2, figsize=(12, 10.4), layout="constrained")
plot_scores(raw, labels, axes[0, 0]).set_title("raw_scores: q·k")
limit = attn_scores.abs().max().item()  # one scale for the scores before the mask and after it
plot_scores(attn_scores, labels, axes[0, 1], label="score", limit=limit).set_title(
    "attn_scores: over the root of d_head"
)
plot_scores(masked_scores, labels, axes[1, 0], label="score (hatched: -inf)", limit=limit).set_title(
    "masked_scores: the future at -inf"
)
plot_pattern(pattern, labels, axes[1, 1]).set_title("pattern: after softmax")
fig.suptitle(f"L{layer}H{head}")
plt.show()
negative_winners = (masked_scores.amax(-1) < 0).sum()
print(f"rows whose largest share goes to a negative score: {negative_winners} of {len(labels)}")
assert torch.equal(masked_scores.argmax(-1), pattern.argmax(-1))

# %% [markdown]
# *The figure says:* scaling changes the colour bar and nothing else; the mask takes the upper triangle away; the softmax
# compares the scores **within each row**. So a colour alone tells no share. Where a whole row is orange, its palest cell gets the
# largest share, negative as it is; where it has blue, the darkest blue does.
#
# `attention_pattern(raw, d_head)` does the last three steps in one.

# %% [markdown]
# **Is it the model's own?** Transformers can return its attentions. Compare all of them.

# %%
with torch.no_grad():
    attentions = model(input_ids, output_attentions=True).attentions
for number, theirs in enumerate(attentions):
    ours = attention_pattern(raw_scores(capture.q[number], capture.k[number]), d_head)
    equal = [torch.allclose(ours[h], theirs[0, h], rtol=0, atol=1e-5) for h in range(n_heads)]
    print(f"layer {number:2}: " + " ".join(f"H{h} {'=' if same else 'differs'}" for h, same in enumerate(equal)))
    assert all(equal)

# %% [markdown]
# Every head of every layer equals the model's own to within 0.00001. From here on we can trust what we measure.
#
# ### The head explorer
#
# The four names for **every** head of a text. Choose a head in the overview or with the sliders, point at a cell to see its
# token pair and its four values, or type a text of your own. It was sent to this page with all its numbers, so it answers at
# once, and it works in a saved page too (where only a text of your own needs the running notebook). First it stands still, with what it says in words:

# %%
explorer = HeadExplorer(model, tokenizer, text, layer=capture.layers[-1], head=0)
explorer.still()

# %% [markdown]
# **Predict.** The overview shows all patterns at once. Which kinds of picture will come back again and again: a line beside the diagonal, a
# dark first column, single dark cells?

# %%
explorer

# %% [markdown]
# <details><summary>Answer</summary>
#
# All three, and they have names: a line beside the diagonal is a previous-token head, a dark first column a head that sends its
# attention to the first token, single dark cells are links between particular tokens. The next section counts them.
# </details>

# %% [markdown]
# ## 4. What heads look for
#
# The report looks at one kind of link, from a noun to its adjective. Before we test it (section 5), let us look for the
# kinds of heads that others have found in GPT-2 and its relatives:
#
# | type | its query looks at |
# | --- | --- |
# | previous | the token just before |
# | first | the first token of the text, whatever it is: the attention sink of lesson 1 |
# | same | earlier copies of its own token |
# | induction | what came right *after* those copies: "last time this was said, what followed?" |
#
# Each type is a set of (query, key) pairs that follows from the text alone. `token_pairs` marks them.
#
# **Predict.** In "so the cat saw the cat", where are the same-token pairs, and where the induction pairs?

# %%
words = ["so", "the", "cat", "saw", "the", "cat"]
word_ids = torch.tensor([words.index(word) for word in words])
fig, axes = plt.subplots(1, 4, figsize=(15, 4), layout="constrained")
for (name, pairs), ax in zip(token_pairs(word_ids).items(), axes, strict=True):
    plot_mask(pairs, words, ax).set_title(name)
plt.show()

# %% [markdown]
# *The figure says:* the second "the" (row 4) has a copy at key 1, and what followed that is "cat", key 2; the second "cat"
# has a copy at 2, which "saw" followed.
#
# Two rules: no token counts for itself, and key 0 counts for "first" alone. A sink head looks at key 0 whatever stands there, and
# would otherwise pass for anything that the first token happens to be. The other types may still share a pair: in "a b c c", the last
# "c" finds its copy right before it, both previous and same.

# %%
shared = token_pairs(torch.tensor([0, 1, 2, 2]))
print("types of the pair (query 3, key 2):", [name for name, pairs in shared.items() if pairs[3, 2]])
assert shared["previous"][3, 2] and shared["same"][3, 2]

# %% [markdown]
# How much a head is of a type is then **the share that its queries give to their marked keys**, averaged over the queries that
# have any: `mean_share(pattern, pairs)`. We measure it on a passage with repetitions, on all heads at once.

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


encoded = tokenizer(passage, return_tensors="pt", return_offsets_mapping=True)
passage_ids, offsets = encoded.input_ids, encoded.offset_mapping[0].tolist()
passage_labels = token_strings(tokenizer, passage_ids)
patterns = patterns_of(model, passage_ids)
pairs = token_pairs(passage_ids)
n_tokens = len(passage_labels)
for name, marked in pairs.items():
    print(f"{name:10}{marked.any(-1).sum():4} of {n_tokens} queries have such a key")

# %% [markdown]
# **Predict.** A number alone says little. With what would you compare it?
#
# <details><summary>Answer</summary>
#
# With a head that looks everywhere alike, and with heads that never learned anything. The first gives the share that
# the marked keys get for their mere number. The second shows how high the *best of many* heads comes by luck: when you
# pick the largest of 48 or 144 numbers, you must compare it with the largest of as many, or more.
# </details>

# %%
even = softmax(mask_scores(torch.zeros(n_tokens, n_tokens)))
random_ids = random_tokenizer(passage, return_tensors="pt").input_ids
random_patterns, random_pairs = patterns_of(random_model, random_ids), token_pairs(random_ids)
shares = {name: mean_share(patterns, marked) for name, marked in pairs.items()}  # (layer, head)

# %%
fig, axes = plt.subplots(2, 2, figsize=(15, 2 * (1.2 + 0.45 * n_layers)), layout="constrained")
for (name, values), ax in zip(shares.items(), axes.flat, strict=True):
    plot_head_grid(values, ax, label="mean share", meaning="share").set_title(name)
plt.show()

# %% [markdown]
# *The figure says:* heads differ, and in kind. Read across the grids: a head that is dark in one of the upper two must be
# pale in the other, for its shares sum to 1. The first-token grid may be dark in many heads at once: to the sink a head
# sends the attention that it does not need.

# %% [markdown]
# The clearest head of each type, and the place in the text where it is clearest:


# %%
def where(values):
    """The (layer, head) of the largest value."""
    return divmod(values.argmax().item(), values.shape[1])


print(
    f"one passage of {n_tokens} tokens; {patterns[:, :, 0, 0].numel()} heads, {random_patterns[:, :, 0, 0].numel()} of the control"
)
print("type       clearest  share   even  control's best  queries  clearest place in the text")
for name, values in shares.items():
    layer, head = where(values)
    control = mean_share(random_patterns, random_pairs[name]).max().item()
    marked_shares = (patterns[layer, head] * pairs[name]).round(decimals=2)  # equal to two digits: take the first
    query, key = divmod(marked_shares.argmax().item(), n_tokens)
    print(
        f"{name:11}{f'L{layer}H{head}':8}{values.max():7.2f}{mean_share(even, pairs[name]):7.2f}{control:16.2f}"
        f"{pairs[name].any(-1).sum():9}  {passage_labels[query]} ({query}) looks at {passage_labels[key]} ({key}),"
        f" {patterns[layer, head, query, key]:.2f}"
    )

# %% [markdown]
# Read each line as: share against even, and against the control's best. A head that is far above both is of that type on
# this passage; one that is barely above the control's best is not, even if it is the clearest of its model. One passage is
# one sample: a name such as "induction head" asks for more texts than this.

# %%
name = "previous"
layer, head = where(shares[name])
ax = plot_pattern(patterns[layer, head, :16, :16], passage_labels[:16])
ax.set_title(f"L{layer}H{head}, the clearest {name}-token head: the first 16 tokens")
plt.show()

# %% [markdown]
# *The figure says:* how near your model's clearest head comes to a pure previous-token head, which would light up the line
# just below the diagonal and nothing else. Change `name` to "first" and run the cell again: now it is the first column.

# %% [markdown]
# ### Real GPT-2
#
# On a recorded run of real GPT-2 small (one prompt, 9 tokens: "John Smith is also the son of Fred Smith"), the same
# functions find:
# - **L4H11**, previous token: 0.999 on average over 7 queries;
# - **L0H5**, same token: the second " Smith" gives the first 0.670;
# - **L5H5**, induction: the second " Smith" gives 0.739 to " is", which followed the first;
# - **L7H2**, first token: 0.989 on average over 8 queries.
#
# These are GPT-2's figures and say nothing about another model. They are not computed in this notebook, but by
# `tests/test_scores.py` on the recording. Here is your model on the same prompt; if it is GPT-2, you see the same heads. Another
# tokenizer, such as mini's, may cut the prompt into more tokens; then there are more queries too.

# %%
prompt_ids = tokenizer("John Smith is also the son of Fred Smith", return_tensors="pt").input_ids
print(f"{prompt_ids.shape[1]} tokens: {' '.join(token_strings(tokenizer, prompt_ids))}")
prompt_patterns = patterns_of(model, prompt_ids)
for name, marked in token_pairs(prompt_ids).items():
    values = mean_share(prompt_patterns, marked)
    layer, head = where(values)
    print(f"{name:10} L{layer}H{head}: {values.max():.3f} over {marked.any(-1).sum()} queries")

# %% [markdown]
# ## 5. Does a head link a noun to its adjective?
#
# *The report says:* most past tokens are suppressed, and a few links stand out, as from a noun to its adjective. Our
# passage has many such pairs, among them "dark, wild night" with two adjectives and a comma between them. We mark each
# noun (its last token is the query) and each of its adjectives (its last token is the key).

# %%
phrases = [
    "young woman",
    "small white house",
    "deep river",
    "cold morning",
    "old man",
    "long road",
    "black dog",
    "large book",
    "dark, wild night",
    "strong wind",
    "great tree",
    "green door",
    "warm fire",
    "strange sad story",
    "bright blue eyes",
]


def token_at(place):
    """The number of the token that holds the character at this place of the passage."""
    return next(i for i, (start, end) in enumerate(offsets) if start <= place < end)


links, phrase_of = [], []  # (query, key) of each link, and the number of its phrase
for phrase in re.finditer("|".join(phrases), passage):
    *adjectives, noun = [token_at(phrase.start() + word.end() - 1) for word in re.finditer(r"\w+", phrase.group())]
    links += [(noun, adjective) for adjective in adjectives]
    phrase_of += [phrases.index(phrase.group()) for _ in adjectives]
marked = torch.zeros(n_tokens, n_tokens, dtype=torch.bool)
marked[tuple(zip(*links, strict=True))] = True
print(len(links), "links:", ", ".join(f"{passage_labels[i]} → {passage_labels[j]}" for i, j in links[:5]), "...")

# %% [markdown]
# **The tempting mistake** is to take the head with the largest share and call it a noun-adjective head.
#
# **Predict.** An adjective mostly stands right before its noun. Which other type of head will therefore come out on top?

# %%
to_adjective = torch.stack([patterns[..., i, j] for i, j in links], dim=-1)  # (layer, head, link)
layer, head = where(to_adjective.mean(-1))
print(
    f"largest share on the adjective: L{layer}H{head}, {to_adjective[layer, head].mean():.2f} over {len(links)} links"
)
print(f"its share on the previous token, whatever that is: {shares['previous'][layer, head]:.2f}")
layer, head = where(shares["previous"])
print(f"the clearest previous-token head: L{layer}H{head}, {to_adjective[layer, head].mean():.2f} on the adjective")

# %% [markdown]
# <details><summary>Answer</summary>
#
# A previous-token head. It gives the adjective a large share, but it gives as much to a verb or a comma in that place.
# </details>
#
# So the fair question is: does the head give the adjective **more than it gives to other tokens at the same distance**? For each
# link we take the head's mean share at that distance over all other queries, and subtract it.

# %%
position = torch.arange(n_tokens)
distance = position[:, None] - position[None, :]


def elsewhere(query, key):
    """Pairs at the same distance as this link that are no link themselves; without key 0, the sink."""
    return (distance == query - key) & ~marked & (position > 0)


usual = torch.stack([mean_share(patterns, elsewhere(i, j)) for i, j in links], dim=-1)
excess = to_adjective - usual  # (layer, head, link)

# %% [markdown]
# One more trap. If we pick the best of all heads on these links and report its excess on the *same* links, luck is in
# the number. So choose the head on every other phrase, and measure it on the rest, whose words it was not chosen for; then the
# other way round. We say yes only if both halves choose the same head, and if both times its excess on the rest is more than twice its standard error, the
# number after ±. Where the next head comes close, a single other word in the passage could have decided the choice.

# %%
assert not set(re.findall(r"\w+", " ".join(phrases[::2]))) & set(re.findall(r"\w+", " ".join(phrases[1::2])))
odd = torch.tensor(phrase_of) % 2 == 1
found = []
for held_out in (odd, ~odd):
    choice = excess[..., ~held_out].mean(-1)  # (layer, head)
    layer, head = where(choice)
    rest = excess[layer, head, held_out]
    error = rest.std() / len(rest) ** 0.5  # standard error of the mean
    second = choice.flatten().sort().values[-2]
    print(
        f"chosen on {(~held_out).sum()} links: L{layer}H{head}, excess {choice.max():.2f} (the next head {second:.2f})"
    )
    print(f"    measured on the other {len(rest)}: excess {rest.mean():.2f} ± {error:.2f}")
    found.append((layer, head, (rest.mean() > 2 * error).item()))
agree = found[0] == found[1] and found[0][-1]
print("One head, and it singles the adjective out." if agree else "That is no clear sign of one noun-adjective head.")

# %%
query, key = links[held_out.nonzero().flatten()[rest.argmax()]]
shown = slice(max(0, query - 11), query + 1)
ax = plot_pattern(patterns[layer, head, shown, shown], passage_labels[shown])
share = patterns[layer, head, query, key]
ax.set_title(f"L{layer}H{head}: {passage_labels[query]} gives {passage_labels[key]} {share:.2f}")
ax.images[0].colorbar.set_label("share of attention")
plt.show()

# %% [markdown]
# *The figure says:* this is the held-out link on which the head of the second choice exceeds its habit most; the last row is the noun. The picture is cut out of the
# passage: what is missing from a row's sum goes to earlier tokens, left of it.
# It is an illustration, picked because it is the best. The evidence is the numbers above it, and even they are generous:
# some phrases come more than once, so the links are not independent and the true error is larger.
#
# So the report's example is a fair hypothesis, and whether a head of *your* model bears it out is printed above. Mind
# what such a result means: the head gives the adjective an unusual share. *Why* (because it is an adjective, or because
# the two words often go together) it does not say.

# %% [markdown]
# ## 6. What a head writes
#
# A head's output at a query is the sum of the **values** of the keys, each by its share: `pattern @ v`. Its 64 channels
# then go through the head's own rows of $W_O$ (lesson 2) into the residual stream.
#
# **Predict.** What is the output of every head at the first token?

# %%
layer = 2
outputs = head_outputs(capture.pattern(layer), capture.v[layer])  # (head, token, channel)
print("head outputs:", tuple(outputs.shape))
print("at the first token they are its value vectors:", torch.equal(outputs[:, 0], capture.v[layer][:, 0]))
assert torch.allclose(outputs[:, 0], capture.v[layer][:, 0])

# %% [markdown]
# <details><summary>Answer</summary>
#
# Its own value vector: it gives itself 100 % (lesson 1).
# </details>
#
# Now the whole way, for all layers: from the captured q, k, v to the attention block's output, compared with what the model's
# own block returns.

# %%
blocks = {}
handles = [
    block.attn.register_forward_hook(
        lambda module, arguments, output, number=number: blocks.update({number: output[0][0]})
    )
    for number, block in enumerate(model.transformer.h)
]
with torch.no_grad():
    model(input_ids)
for handle in handles:
    handle.remove()


def contributions_of(number):
    """What each head of a layer adds to the residual stream, (head, token, d_model)."""
    c_proj = model.transformer.h[number].attn.c_proj
    outputs = head_outputs(capture.pattern(number), capture.v[number])
    return project_heads(outputs, c_proj.weight.detach(), c_proj.bias.detach())


for number in range(n_layers):
    total = contributions_of(number).sum(0) + model.transformer.h[number].attn.c_proj.bias.detach()
    assert torch.allclose(total, blocks[number], rtol=1e-3, atol=1e-3)
print(f"in all {n_layers} layers the heads' contributions plus the bias are the block's output")

# %% [markdown]
# Raw scores, pattern, output, contribution: that is all that a head does, and you have now done it yourself, with the
# model's own numbers at both ends.

# %% [markdown]
# ## 7. How different are two heads?
#
# Two heads of one layer see the same input. Do they look at the same things? Compare their patterns: how much of its
# attention would the one head have to move to look like the other? For one query that is the **total variation distance**
# $\frac{1}{2} \sum_j |p_j - p'_j|$, from 0 (the same) to 1 (no key in common). `pattern_distances` averages it over the queries,
# leaving out the first, which has no choice.

# %%
distances = pattern_distances(capture.pattern(layer))  # (head, head)
ax = plot_distances(distances)
ax.set_title(f"Layer {layer}: how far apart its heads' patterns are")
plt.show()

# %%
rows, columns = torch.triu_indices(n_heads, n_heads, offset=1)
pairwise = distances[rows, columns]
near, far = pairwise.argmin(), pairwise.argmax()
print(f"closest:  H{rows[near]} and H{columns[near]}, {pairwise[near]:.2f}")
print(f"farthest: H{rows[far]} and H{columns[far]}, {pairwise[far]:.2f}")
print(f"mean over {len(pairwise)} pairs: {pairwise.mean():.2f}")

# %%
fig, axes = plt.subplots(1, 2, figsize=(12, 5.2), layout="constrained")
for h, ax in zip((rows[far], columns[far]), axes, strict=True):
    plot_pattern(capture.pattern(layer, h), labels, ax).set_title(f"L{layer}H{h}")
fig.suptitle("The two heads of this layer that are farthest apart")
plt.show()

# %% [markdown]
# *The figures say:* the distances within one layer differ widely (first figure); the farthest two heads spread the same sentence's
# attention in clearly different ways (second figure). Measured on one sentence: which heads are far apart may change with the text.

# %% [markdown]
# ### Compare contributions, not outputs
#
# Patterns say where heads look. To compare what they *write*, it is tempting to take the angle between their outputs: two
# vectors of 64 channels. Take the two heads whose patterns are closest.
#
# **Predict.** Turn the channels of one head by a random rotation $R$: outputs become $oR$ and its rows of $W_O$ become
# $R^\top W_O$. What changes for the rest of the model?

# %%
first, second = rows[near].item(), columns[near].item()
w_o = model.transformer.h[layer].attn.c_proj.weight.detach().unflatten(0, (n_heads, d_head))  # (head, channel, d_model)
rotation = torch.linalg.qr(torch.randn(d_head, d_head, generator=generator)).Q
turned_output, turned_w_o = outputs[first] @ rotation, rotation.T @ w_o[first]


def cosine(x, y):
    """Mean cosine of the angle between two heads' vectors, over the tokens."""
    return torch.cosine_similarity(x, y, dim=-1).mean().item()


added, other = outputs[first] @ w_o[first], outputs[second] @ w_o[second]
turned_added = turned_output @ turned_w_o
print("cosine of                   outputs   contributions")
for name, (x, y), (u, v) in (
    (f"H{first} and H{second}", (outputs[first], outputs[second]), (added, other)),
    (f"H{first} turned and H{second}", (turned_output, outputs[second]), (turned_added, other)),
    (f"H{first} and H{first} turned", (outputs[first], turned_output), (added, turned_added)),
):
    print(f"{name:25}{cosine(x, y):10.2f}{cosine(u, v):16.2f}")
assert torch.allclose(turned_added, added, atol=1e-3) and abs(cosine(outputs[first], turned_output)) < 0.5

# %% [markdown]
# <details><summary>Answer</summary>
#
# Nothing: $oR\,R^\top W_O = o\,W_O$. The rotated model is the same model. But the angle between the two heads' *outputs* has
# changed (the head is no longer even like itself), so it never meant anything: channel 7 of one head has nothing to do with channel 7 of another. All heads write to the
# residual stream in the same 768 channels, and **there** they can be compared.
# </details>

# %% [markdown]
# ## Exercises
#
# Each check runs your function on inputs of its own and says what is wrong. The solutions are in
# `solutions/03_head_scores.ipynb`; try first.
#
# ### Exercise 3.1 · Raw scores (easy)
#
# From q and k (..., tokens, d_head), with any number of axes in front, compute the raw scores (..., query, key).

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `.T` turns all axes round. Swap only the last two: `.transpose(-1, -2)` or `.mT`.
# </details>


# %% tags=["exercise"]
def my_raw_scores(q, k):
    ### BEGIN SOLUTION
    return q @ k.transpose(-1, -2)
    ### END SOLUTION


check("3.1", my_raw_scores)

# %% [markdown]
# ### Exercise 3.2 · The whole way to the pattern (medium)
#
# From q and k (..., tokens, d_head), compute the causal attention pattern.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Four steps, one for each of the four names of section 3. Which axis of q is d_head?
# </details>


# %% tags=["exercise"]
def my_attention(q, k):
    ### BEGIN SOLUTION
    raw = q @ k.transpose(-1, -2)
    attn_scores = raw / q.shape[-1] ** 0.5
    return softmax(mask_scores(attn_scores))
    ### END SOLUTION


check("3.2", my_attention)

# %% [markdown]
# ### Exercise 3.3 · Previous-token heads (medium)
#
# Given patterns (..., query, key), return the mean share that queries 2, 3, ... give to the token just before them, one number for each
# head: shape (...). (Query 1 is left out: its previous token is the first.)

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `pattern.diagonal(offset, dim1=-2, dim2=-1)` with an offset of -1 is the line below the diagonal. Which of its entries is
# query 1's?
# </details>


# %% tags=["exercise"]
def my_previous_share(pattern):
    ### BEGIN SOLUTION
    below = pattern.diagonal(-1, dim1=-2, dim2=-1)  # entry i is query i + 1 looking at key i
    return below[..., 1:].mean(dim=-1)
    ### END SOLUTION


check("3.3", my_previous_share)

# %% [markdown]
# ### Exercise 3.4 · Induction pairs (hard)
#
# From token ids (tokens,), mark the induction pairs: a bool tensor (query i, key j), True where token j - 1 is a copy of token i and
# 0 < j < i.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Compare `ids[:, None]` with `ids[None, :]` for all copies. Then the columns have to move one to the right; `roll` moves them, and
# `tril(-1)` keeps j < i. What does `roll` put into column 0?
# </details>


# %% tags=["exercise"]
def my_induction_pairs(ids):
    ### BEGIN SOLUTION
    copies = ids[:, None] == ids[None, :]
    after = copies.roll(1, dims=1)
    after[:, 0] = False
    return after.tril(-1)
    ### END SOLUTION


check("3.4", my_induction_pairs)

# %% [markdown]
# ### Exercise 3.5 · Head outputs (easy)
#
# From patterns (heads, tokens, tokens) and values (heads, tokens, d_head), compute what each head writes: (heads, tokens, d_head).

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# Row i of the pattern holds the shares with which query i adds up the rows of v. That is what a matrix product does.
# </details>


# %% tags=["exercise"]
def my_outputs(pattern, v):
    ### BEGIN SOLUTION
    return pattern @ v
    ### END SOLUTION


check("3.5", my_outputs)

# %% [markdown] tags=["solution"]
# **Why are there two products, `q @ k.T` and `pattern @ v`, and no third?** The first makes scores out of channels, the second
# channels out of shares. Between them stands the softmax, the only step that is not linear: without it, the two products would
# collapse into one fixed mix, and no head could choose.

# %% [markdown]
# ## What we found
#
# | claim | evidence | verdict |
# | --- | --- | --- |
# | attention is $\mathrm{softmax}(QK^\top / \sqrt{d_k})\, V$ (the report) | sections 3 and 6: the model's own patterns and block outputs, in all heads and layers | holds |
# | each head's dot products are its raw scores (the report) | section 1: loop, one product, all heads at once agree | holds |
# | the root of $d_\mathrm{head}$ keeps the softmax from saturating (Vaswani et al.) | section 2: with random vectors the largest share stays low with the root, however many channels, and goes to 1 without it; the control's variance grows with the channels likewise; the trained model's scale is its own | holds where training starts |
# | a noun looks at its adjective (the report) | section 5: against the head's own habit at that distance, on links not used to choose the head | printed there for the loaded model; the claim is about GPT-2, and is tested only where that is the one loaded |
#
# Beyond the report: heads of known types are found by marking pairs in the text and comparing with even attention and with the best
# untrained head (section 4); a large share on the adjective may be no more than a previous-token head (section 5); outputs of two
# heads cannot be compared, their contributions can (section 7).
#
# **Where to read on.** Vaswani et al. 2017, *Attention Is All You Need*; Elhage et al. 2021, *A Mathematical Framework for
# Transformer Circuits*; Olsson et al. 2022, *In-context Learning and Induction Heads*. The functions are in
# `headlab/scores.py`; `tests/test_scores.py` compares them with loops, with torch, with transformers and with recorded real
# GPT-2 in all 144 heads.
