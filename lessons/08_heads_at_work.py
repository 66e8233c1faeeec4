# %% [markdown]
# # 8 · Heads at work
#
# *How much do each head, the shift and the sharpness matter for the prediction?*
#
# **You will be able to**
# - read a loss in nats, and say how many tokens a model hesitates between;
# - change the scores, biases or heads of a running model, and measure what the change costs;
# - distinguish zero, mean and resample ablation, and say what each of them assumes;
# - split a logit into the direct parts of the heads, and say where that misleads;
# - show that two heads work together, by removing one and watching the other.
#
# **You need** lessons 1 to 5.
#
# **Time** about {{minutes}} minutes, exercises included. Running all cells takes {{seconds}} on two cores.
#
# We have seen shifted scores, sparse attention and heads with habits. No picture can tell whether any of this *matters*
# for the prediction. In this lesson we reach in: we change one thing while the model reads a text, and measure how much
# worse it predicts. Such a change is called an **intervention**.
#
# The drawing below shows where: sections 2 and 3 change the raw scores, sections 4 to 6 what the heads write.
#
# **Three questions about earlier lessons**
#
# <details><summary>Lesson 2: we remove all heads of a layer. Does its attention block add nothing?</summary>
#
# It still adds the bias of <code>c_proj</code>, which belongs to no head.
# </details>
#
# <details><summary>Lesson 3: how can a head find what came after a copy?</summary>
#
# An earlier head has written into each position which token comes before it.
# </details>
#
# <details><summary>Lesson 4: why does a bootstrap draw whole texts?</summary>
#
# The scores of one text depend on one another.
# </details>

# %%
import matplotlib.pyplot as plt
import torch
from scipy.stats import spearmanr

from headlab.contrast import effective_tokens
from headlab.diagram import data_flow
from headlab.exercises import check
from headlab.explorers import InterventionExplorer
from headlab.interventions import (
    logit_attribution,
    logit_terms,
    loss,
    loss_with_biases,
    loss_with_scores,
    loss_without_each_head,
    loss_without_heads,
)
from headlab.models import load_model, token_strings
from headlab.plots import COLOURS, MAPS, plot_head_grid, plot_tokens, show_figure
from headlab.predict import predict, predict_number
from headlab.says import says, who
from headlab.scores import attention_pattern, mean_share, token_pairs
from headlab.texts import TEXTS

model, tokenizer = load_model()
n_layers, n_heads = model.config.n_layer, model.config.n_head
d_head = model.config.n_embd // n_heads
data_flow("scores", "outputs", model=model)

# %% [markdown]
# ## 1. How good is a prediction?
#
# At every position the model gives each token of its vocabulary a probability of coming next. The **loss** of a token is
# $-\ln p$, where $p$ is the probability that the model gave to the token that did come. Its unit is the **nat**: 0 nats
# for a token that was certain, 0.7 for one chance in two, 4.6 for one in a hundred.

# %%
n_tokens = 48  # of each text: whole texts would take twice as long on GPT-2's size
texts = TEXTS["prose"] + TEXTS["dialogue"]  # three of each, written for this course
input_ids = [tokenizer(text, return_tensors="pt").input_ids[0, :n_tokens] for text in texts]

with torch.no_grad():
    logits = model(input_ids[0][None]).logits[0]  # (token, vocabulary)
probability = logits[9].softmax(-1)[input_ids[0][10]]  # position 9 predicts token 10
plain = loss(model, input_ids)  # for each text (T - 1,)
print(f"by hand {-probability.log():.4f}, with headlab {plain[0][9]:.4f}")
assert torch.isclose(-probability.log(), plain[0][9], rtol=1e-4, atol=1e-4)

# %%
guess = predict_number(
    f"A model that knows nothing gives all {model.config.vocab_size:,} tokens of the vocabulary the same probability. "
    "What is its loss?",
    "nats",
)

# %%
ignorant = torch.tensor(float(model.config.vocab_size)).log().item()

# %%
guess.reveal(
    ignorant,
    "that is the logarithm of the size of the vocabulary, since every token has a probability of one over that size.",
    overlooked={
        1.0: "1 is the sum of all probabilities; each token has only a small part of it.",
        round(ignorant / 0.693, 1): "that is in bits, with a logarithm to base 2.",
    },
    within=0.06,
)


# %% [markdown]
# The exponential of a loss is easier to picture: a loss of $\ln n$ is what an even choice among $n$ tokens costs. So we may
# call $e^{\text{loss}}$ **the number of tokens that the model hesitates between**, its *perplexity*.


# %%
def nats(losses):
    """The mean over all tokens of all texts."""
    return torch.cat(losses).mean().item()


def by_text(losses):
    """The mean of each text, (text,)."""
    return torch.stack([one.mean() for one in losses])


base, control = nats(plain), load_model("random")
control_ids = [control[1](text, return_tensors="pt").input_ids[0, :n_tokens] for text in texts]
untrained = nats(loss(control[0], control_ids))
print(f"random control: {untrained:.3f} nats a token; {who(model)}: {base:.3f}")
print("text by text:", " ".join(f"{value:.2f}" for value in by_text(plain)))
says(
    (
        base < ignorant - 0.5,
        f"The {who(model)} hesitates between {torch.tensor(base).exp():.0f} tokens, out of {model.config.vocab_size:,}.",
    ),
    (base < ignorant + 0.5, f"The {who(model)} predicts about as well as a model that knows nothing."),
    (True, f"The {who(model)} predicts worse than a model that knows nothing: it is confident of wrong tokens."),
)

labels = token_strings(tokenizer, input_ids[0])
plot_tokens(labels[1:], plain[0], label="loss (nats)")
hardest = plain[0].argmax().item()
show_figure(
    f"A text whose tokens are coloured by their loss. The hardest token is {labels[hardest + 1]}, with "
    f"{plain[0][hardest]:.1f} nats; the easiest costs {plain[0].min():.2f}."
)

# %% [markdown]
# *How to read it:* a trained model's loss is not spread evenly. The end of a word or of a phrase usually costs little;
# a new noun or name costs much. Texts differ too, as the line "text by text" shows. Six texts are too few for
# an interval, so from here on we look at each text, and trust a change only where it has the same sign in all of them.

# %% [markdown]
# ## 2. The shift and the contrast
#
# > **The report:** Raw scores are shifted strongly to the negative. Softmax is clean and sharp because the model pushes
# > its raw scores down to drown the noise.
#
# `loss_with_scores(model, ids, change)` runs the model, and in each layer `change(layer, raw)` replaces the raw scores
# (head, query, key) before they are scaled. First we undo the shift, and more: we add 50 to every raw score.

# %%
guess = predict(
    "We add 50 to every raw score of every head. What happens to the loss?",
    "nothing",
    "it rises: scores above 0 no longer drown the noise",
    "it rises a little, since softmax gets less sharp",
)

# %%
lifted = loss_with_scores(model, input_ids, lambda layer, raw: raw + 50)
largest = max((a - b).abs().max().item() for a, b in zip(lifted, plain, strict=True))
print("All raw scores raised:")
print(f"mean loss {base:.4f} -> {nats(lifted):.4f}; largest change of any token: {largest:.4f} nats")

# %%
guess.reveal(
    (largest < 1e-2, "nothing", "softmax cancels a constant added to a row. What is left is rounding."),
    (True, None, f"a token has changed by {largest:.2g} nats, which is more than we expect from rounding."),
    overlooked={
        "it rises: scores above 0 no longer drown the noise": "a share depends on differences within the row, not on the sign.",
        "it rises a little, since softmax gets less sharp": "all scores of a row move together, so none of its shares changes.",
    },
)

# %% [markdown]
# The model itself could shift its scores in much the same way, through its key biases: a vector added to a head's key bias
# changes all scores of a row by the same amount. `loss_with_biases` lets us replace the biases (3, head, channel) of queries,
# keys and values.


# %%
def other_key_biases(layer, bias):
    changed = bias.clone()
    changed[1] += torch.randn(bias[1].shape, generator=torch.Generator().manual_seed(layer))
    return changed


def no_query_biases(layer, bias):
    changed = bias.clone()
    changed[0] = 0
    return changed


other_keys = loss_with_biases(model, input_ids, other_key_biases)
no_queries = loss_with_biases(model, input_ids, no_query_biases)
print(f"random numbers added to all key biases: {nats(other_keys) - base:+.4f} nats")
print(f"all query biases set to zero:           {nats(no_queries) - base:+.4f} nats")
assert abs(nats(other_keys) - base) < 1e-2

# %% [markdown]
# The key bias is free: it can put the scores on either side of zero, and this changes nothing. The query bias is
# different in principle, since it can favour some keys over others. The line above says how much it matters here.
#
# What counts, then? Not where the scores lie, but how far they lie **apart**. We multiply all raw scores by one number: above
# 1 the softmax gets sharper, below 1 it gets more even, at 0 every visible key gets the same share. The factor is the inverse
# of a *temperature*, in every head.

# %%
guess = predict(
    "With which factor does the model predict best?",
    "1: the model's own scale",
    "more than 1: sharper is cleaner",
    "less than 1: softer loses less",
    "it hardly matters",
)

# %%
factors = (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 4)
scaled, spread = [], []  # the loss of each text, and how many keys a query attends to
for factor in factors:
    counted = []

    def scale(layer, raw, factor=factor, counted=counted):
        counted.append(effective_tokens(attention_pattern(factor * raw, d_head)).mean())
        return factor * raw

    scaled.append(by_text(loss_with_scores(model, input_ids, scale)))
    spread.append(sum(counted) / len(counted))
scaled = torch.stack(scaled)  # (factor, text)
mean_scaled = scaled.mean(1)
best = factors[mean_scaled.argmin()]
own = factors.index(1)
halved, doubled = (mean_scaled[factors.index(f)] - mean_scaled[own] for f in (0.5, 2))
blurring = (scaled[factors.index(0.5)] > scaled[factors.index(2)]).sum().item()  # in how many texts halving is worse

# %%
fig, axes = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
axes[0].plot(factors, scaled, color="0.75", lw=1)
axes[0].plot(factors, mean_scaled, "o-", color=COLOURS["loaded model"], label="mean of the texts")
axes[0].plot(best, mean_scaled.min(), "D", color="black", ms=9, label=f"best of those tried: {best}")
axes[0].set(ylabel="loss (nats)", title="Each text a grey line")
axes[0].legend(frameon=False)
axes[1].plot(factors, spread, "o-", color=COLOURS["loaded model"])
axes[1].set(ylabel="keys that a query attends to", title="effective tokens")
for ax in axes:
    ax.set(xlabel="factor on all raw scores", xticks=(0, 0.5, 1, 1.5, 2, 3, 4))
    ax.axvline(1, color="0.5", ls="--", lw=1)
show_figure(
    f"Left: the loss against the factor on all raw scores, lowest at {best}; halving costs {halved:+.2f} nats, doubling "
    f"{doubled:+.2f}. Right: the effective number of keys falls from {spread[0]:.1f} at 0 to {spread[-1]:.1f} at 4."
)

# %%
range_of_scales = (mean_scaled.max() - mean_scaled.min()).item()
at_one = (scaled[own] <= scaled.min(0).values + 1e-6).sum().item()
near = (mean_scaled[own - 1 : own + 2].max() - mean_scaled[own]).item()
one_is_best = (
    f"the best of those tried on average, and in {at_one} of the {len(texts)} single texts. From "
    f"{factors[own - 1]} to {factors[own + 1]} the mean changes by {near:.2f} nats."
)
guess.reveal(
    (range_of_scales < 0.1, "it hardly matters", f"from best to worst it changes by {range_of_scales:.3f} nats."),
    (best == 1, "1: the model's own scale", one_is_best),
    (best > 1, "more than 1: sharper is cleaner", f"the best of those tried is {best}."),
    (True, "less than 1: softer loses less", f"the best of those tried is {best}."),
    overlooked={
        "1: the model's own scale": "that is where training left the scores, if it was training that put them there.",
        "more than 1: sharper is cleaner": "sharper also means that the second-best key gets hardly any weight.",
        "less than 1: softer loses less": "softer also gives more to the keys that the head ranks low.",
        "it hardly matters": "compare the ends of the curve with the spread of the grey lines.",
    },
)
says(
    (range_of_scales < 0.1, f"{who(model)}: the contrast of the scores hardly matters to this model."),
    (
        halved > 0 and doubled > 0,
        f"{who(model)}: half the contrast costs {halved:.2f} nats, twice the contrast {doubled:.2f}. Blurring hurts more "
        f"in {blurring} of the {len(texts)} texts.",
    ),
    (
        True,
        f"{who(model)}: the model's own scale is not the best here; halving changes {halved:+.2f}, doubling {doubled:+.2f}.",
    ),
)

# %% [markdown]
# *How to read it:* first find the minimum, then compare how steep its two sides are. Attending to few keys (right) is
# not an advantage in itself: the left panel shows what a factor of 4 costs.

# %% [markdown]
# ## 3. The sink
#
# In lessons 1 and 5 we met heads that give most of their attention to the first token. Is this sink of any use? We take
# the first key away from every query but the first: with a score of $-\infty$, its part goes to the other keys. As a
# baseline we take the second key away in the same way.


# %%
def without_key(key):
    def change(layer, raw):
        changed = raw.clone()
        changed[:, key + 1 :, key] = -torch.inf  # later queries only: each keeps at least itself
        return changed

    return change


guess = predict(
    "We take the first key away from all heads. What happens?",
    "the loss rises by more than without the second key",
    "about as much as without the second key",
    "the loss falls: attention is freed for other keys",
)

# %%
no_first = loss_with_scores(model, input_ids, without_key(0))
no_second = loss_with_scores(model, input_ids, without_key(1))
first_cost, second_cost = by_text(no_first) - by_text(plain), by_text(no_second) - by_text(plain)
print("What the removal costs, text by text, in nats:")
print("first key: ", " ".join(f"{cost:+.2f}" for cost in first_cost))
print("second key:", " ".join(f"{cost:+.2f}" for cost in second_cost))

# %%
guess.reveal(
    (
        ((first_cost > second_cost + 0.02) & (first_cost > 0)).all(),
        "the loss rises by more than without the second key",
        f"by {first_cost.mean():.2f} nats against {second_cost.mean():.2f}, and by more in every text.",
    ),
    (
        (first_cost < -0.02).all(),
        "the loss falls: attention is freed for other keys",
        f"by {-first_cost.mean():.2f} nats, in every text.",
    ),
    (
        (first_cost - second_cost).abs().max() < 0.05,
        "about as much as without the second key",
        f"{first_cost.mean():+.2f} and {second_cost.mean():+.2f} nats.",
    ),
    (
        True,
        None,
        f"without the first key {first_cost.min():+.2f} to {first_cost.max():+.2f} nats, without the second "
        f"{second_cost.min():+.2f} to {second_cost.max():+.2f}.",
    ),
    overlooked={
        "the loss rises by more than without the second key": "this happens where heads have learned to rely on the first key.",
        "about as much as without the second key": "this would be so if the model did not rely on the first key.",
        "the loss falls: attention is freed for other keys": "the freed attention goes to the other keys in proportion, and a head may have had no use for them.",
    },
)

# %% [markdown]
# Which layers, and which tokens? We take the first key away in one layer at a time. For comparison we even out one layer's
# attention, with a factor of 0. From here on the model reads three sentences, the first of each text of prose.


# %%
sentences = [text.split(". ")[0] + "." for text in TEXTS["prose"]]
short = [tokenizer(sentence, return_tensors="pt").input_ids[0] for sentence in sentences]
labels = token_strings(tokenizer, short[0])
short_losses = loss(model, short)
short_plain = by_text(short_losses)


def only_in(chosen, change):
    return lambda layer, raw: change(layer, raw) if layer == chosen else raw


def changes_of(change):
    """By how much each token's loss changes, in nats, for each sentence (T - 1,)."""
    changed = loss_with_scores(model, short, change)
    return [new - old for new, old in zip(changed, short_losses, strict=True)]


without_first = [changes_of(only_in(layer, without_key(0))) for layer in range(n_layers)]
sink_costs = [by_text(changes).mean().item() for changes in without_first]
even_costs = [by_text(changes_of(only_in(layer, lambda _, raw: 0 * raw))).mean().item() for layer in range(n_layers)]
all_layers = changes_of(without_key(0))
all_at_once = by_text(all_layers).mean().item()

# %%
fig, (ax, grid) = plt.subplots(1, 2, figsize=(13, 4), layout="constrained", width_ratios=[2, 3])
ax.axhline(0, color="0.5", ls="--", lw=1)
ax.plot(sink_costs, "s-", color=COLOURS["first key"], label="no first key")
ax.plot(even_costs, "^-", color=COLOURS["other keys"], label="even shares for all keys")
ax.set(xlabel="the only layer that is changed", ylabel="cost (nats)", xticks=range(n_layers), title="Three sentences")
ax.legend(frameon=False)
by_layer = torch.stack([changes[0] for changes in without_first]).numpy()  # (layer, T - 1)
most = abs(by_layer).max()
image = grid.imshow(by_layer, cmap=MAPS["score"], vmin=-most, vmax=most, aspect="auto")
grid.set(ylabel="the only layer without the first key", yticks=range(n_layers))
grid.set_title("The first sentence, token by token")
grid.set_xticks(range(len(labels) - 1), labels[1:], rotation=60, ha="right")
fig.colorbar(image, label="change of loss (nats)")
dearest = sink_costs.index(max(sink_costs))
show_figure(
    f"Left: cost of a change in one layer only. No first key: from {min(sink_costs):+.2f} to {max(sink_costs):+.2f} nats, "
    f"most in layer {dearest}. Even shares: from {min(even_costs):+.2f} to {max(even_costs):+.2f}. Right: each token's loss "
    f"without the first key in one layer. In layer {dearest} {labels[by_layer[dearest].argmax() + 1]} suffers most."
)
plot_tokens(labels[1:], all_layers[0], label="change of loss (nats)")
worst = all_layers[0].argsort(descending=True)[:3].tolist()
show_figure(
    "The first sentence, its tokens coloured by how much their loss rises without the first key in all layers. It rises most "
    f"at {', '.join(labels[t + 1] for t in worst)}."
)
says(
    (
        all_at_once > 0.05 and sum(sink_costs) < 0.8 * all_at_once,
        f"{who(model)}: layer by layer the costs add up to {sum(sink_costs):.2f} nats; all layers at once cost "
        f"{all_at_once:.2f}. While one layer lacks the first key, the others may partly make up for it.",
    ),
    (
        all_at_once > 0.05,
        f"{who(model)}: layer by layer the costs add up to {sum(sink_costs):.2f} nats; all layers at once cost "
        f"{all_at_once:.2f}.",
    ),
    (True, f"{who(model)}: on these texts, losing the first key in all layers costs {all_at_once:+.2f} nats."),
)

# %% [markdown]
# ## 4. Heads, one by one
#
# To **ablate** a head is to replace its output. Three replacements are common. **Zero** removes everything, including
# the constant that the head writes at every token, which later layers may have come to expect. **Mean** keeps this
# constant: it puts the head's mean output over the text at every token, and removes only what differs between tokens.
# **Resample** uses what the head writes on another text: typical of the head, but about the wrong text.
#
# `loss_without_each_head` ablates all heads of a model in turn. The texts are the three sentences again.

# %%
guess = predict(
    "We mean-ablate each head separately. How many heads cost more than 0.05 nats in each of the three sentences?",
    "more than half of them",
    "some, but not more than half",
    "none",
)

# %%
without = torch.stack([losses.mean(-1) for losses in loss_without_each_head(model, short)])  # (text, layer, head)
costs = without - short_plain[:, None, None]
mean_cost = costs.mean(0)  # (layer, head)
dear = (costs > 0.05).all(0).sum().item()
plot_head_grid(mean_cost, label="cost of its removal (nats)", meaning="score").set_title(f"Mean ablation, {who(model)}")
top = mean_cost.flatten().topk(min(5, mean_cost.numel())).indices.tolist()
names = [f"L{place // n_heads}H{place % n_heads}" for place in top]
show_figure(
    f"One number for each head: how much the loss rises when it is mean-ablated, from {mean_cost.min():+.2f} to "
    f"{mean_cost.max():+.2f} nats. The costliest first: {', '.join(names)}."
)

# %%
guess.reveal(
    (dear > mean_cost.numel() / 2, "more than half of them", f"{dear} of {mean_cost.numel()} heads, in each sentence."),
    (dear > 0, "some, but not more than half", f"{dear} of {mean_cost.numel()} heads, in each sentence."),
    (True, "none", "no head does so in each of the three sentences."),
    overlooked={
        "more than half of them": "most heads seem dispensable. Wait for the next experiment before you call them useless.",
        "some, but not more than half": "count the cells above 0.05; a head counts if it does so in all three sentences.",
        "none": "look at the darkest blue cells.",
    },
)

# %% [markdown]
# Are the costliest heads those that lesson 3 found? Here are their costs with all three replacements, and beside them
# their habits, averaged over the six texts: the shares of attention that go to the previous token, the first token,
# earlier copies, and what followed those copies.

# %%
patterns = [[] for _ in range(n_layers)]  # of each layer, for each text (head, query, key)


def keep(layer, raw):
    patterns[layer].append(attention_pattern(raw, d_head))
    return raw


loss_with_scores(model, input_ids, keep)
pairs = [token_pairs(ids) for ids in input_ids]


def habit(layer, head, kind):
    """The share of attention that goes to such pairs, averaged over the texts that have any."""
    some = [(p, marked[kind]) for p, marked in zip(patterns[layer], pairs, strict=True) if marked[kind].any()]
    shares = [mean_share(pattern[head], marked).item() for pattern, marked in some]
    return sum(shares) / len(shares) if shares else float("nan")


def cost_of(heads, *how):
    """What it costs to ablate these heads together, in nats."""
    return (by_text(loss_without_heads(model, short, heads, *how)) - short_plain).mean().item()


other = tokenizer(texts[3], return_tensors="pt").input_ids[0, : max(map(len, short))]  # not one of the three
print("            cost (nats)                  share of attention")
print("head      zero    mean  resample    " + "  ".join(f"{kind:>9}" for kind in pairs[0]))
for place in top:
    layer, head = divmod(place, n_heads)
    one = [(layer, head)]
    row = (cost_of(one, "zero"), mean_cost[layer, head].item(), cost_of(one, "resample", other))
    habits = "  ".join(f"{habit(layer, head, kind):9.2f}" for kind in pairs[0])
    print(f"L{layer}H{head:<4}" + "".join(f"{cost:8.3f}" for cost in row) + "      " + habits)

# %% [markdown]
# *How to read it:* where zero ablation costs much more than mean ablation, much of its work is a constant, a bias
# that later layers rely on. If resampling costs more than mean ablation, wrong information is worse than none. If a
# costly head shows none of the four habits, then our four names miss what matters. Conversely, a head with a clear
# habit may cost nothing.
#
# **Two heads together** need not cost the sum of their single costs. And what about all the cheap ones at once?

# %%
costliest = [divmod(place, n_heads) for place in top[:2]]  # a model may have a single head
first = costliest[0]
cheap = [tuple(place) for place in (mean_cost.abs() < 0.05).nonzero().tolist()]
pair_sum, cheap_sum = (sum(mean_cost[head].item() for head in heads) for heads in (costliest, cheap))
together, cheap_together = cost_of(costliest), cost_of(cheap)
print(f"{' and '.join(names[:2])}: one by one {pair_sum:+.3f} in sum, together {together:+.3f} nats")
print(f"heads within 0.05 of 0: {len(cheap)}; one by one {cheap_sum:+.3f} in sum, together {cheap_together:+.3f} nats")
says(
    (
        cheap_together > max(cheap_sum, 0) + 0.1,
        f"{who(model)}: one by one, the cheap heads cost {cheap_sum:+.2f} nats in sum, but together they cost "
        f"{cheap_together:.2f}. Each was dispensable while the others were there.",
    ),
    (len(cheap) < 2, f"{who(model)}: fewer than two heads are cheap, so there is nothing to add up."),
    (
        abs(cheap_together - cheap_sum) <= 0.1,
        f"{who(model)}: together the cheap heads cost about the sum of their single costs.",
    ),
    (True, f"{who(model)}: together the cheap heads do not cost the sum of their single costs."),
)

# %% [markdown]
# Where heads cost more together than the sum of their single costs, this suggests **redundancy**. *Published for GPT-2 small:*
# three "name mover" heads, L9H9, L9H6 and L10H0, supply the name at the end of sentences such as "When Mary and John went to
# the store, John gave a drink to". GPT-2 prefers the right name to the wrong one in 99.3% of 100,000 such sentences, by 3.56
# in the logit on average. Without the three heads this difference falls by only 5%: other heads, the "backup name movers",
# take over their work (Wang et al. 2022, sections 2 and 3.4). McGrath et al. 2023 found such self-repair in a much larger model and called it the Hydra effect.

# %% [markdown] tags=["optional"]
# ### Two changes at once (optional)
#
# What holds for two heads may hold for any two changes. We remove the costliest head and take the first key away: each
# separately, and then both at once, in each of the three sentences.

# %% tags=["optional"]
guess = predict(
    f"Without {names[0]} and without the first key: what do both cost together, in each of the three sentences?",
    "as much as the two single costs add up to",
    "more than that, in every sentence",
    "less than that, in every sentence",
    "more in one sentence, less in another",
)

# %% tags=["optional"]
head_cost, key_cost, both_cost = (
    by_text(loss_without_heads(model, short, heads, change=change)) - short_plain
    for heads, change in (([first], None), ([], without_key(0)), ([first], without_key(0)))
)
gap = both_cost - head_cost - key_cost
print("What the removals cost, sentence by sentence:")
for sentence, *row in zip(sentences, head_cost, key_cost, both_cost, strict=True):
    print("head {:+.2f}, key {:+.2f}, together {:+.2f}".format(*row), f"nats: {sentence[:44]}...")

# %% tags=["optional"]
guess.reveal(
    (
        (gap.abs() < 0.05).all(),
        "as much as the two single costs add up to",
        f"the largest difference is {gap.abs().max():.2f} nats a token.",
    ),
    ((gap >= 0.05).all(), "more than that, in every sentence", f"by {gap.min():.2f} nats a token or more."),
    ((gap <= -0.05).all(), "less than that, in every sentence", f"by {-gap.max():.2f} nats a token or more."),
    (
        gap.max() >= 0.05 and gap.min() <= -0.05,
        "more in one sentence, less in another",
        f"the difference goes from {gap.min():+.2f} to {gap.max():+.2f} nats a token.",
    ),
    (True, None, f"the difference goes from {gap.min():+.2f} to {gap.max():+.2f} nats a token, without a pattern."),
    overlooked={
        "as much as the two single costs add up to": "costs add up only where neither change affects what the other does.",
        "more than that, in every sentence": "this needs a head and a key that stand in for each other.",
        "less than that, in every sentence": "this needs two changes that do the same damage in every sentence.",
        "more in one sentence, less in another": "compare the three rows above, each with its own sum.",
    },
)

# %% [markdown]
# The **intervention explorer** lets you try any such combination: choose heads in the grid, a factor for all scores,
# and whether the first key can be seen. The tokens of the text are coloured by the change of their loss. Every single
# change was measured beforehand. Combinations are measured as you choose them; a page without a kernel can only add up
# the single changes, and says so.

# %%
explorer = InterventionExplorer(model, tokenizer, sentences[0], heads=[first], first_key=False)
explorer.still()

# %%
explorer

# %% [markdown]
# *Try:* is there a token that gets *easier* without the costliest head? Which token suffers most from the missing first
# key? And can you find two heads whose costs do not add up?

# %% [markdown]
# ## 5. What a head adds to a logit
#
# The residual stream is a sum, and the logit of a token is the dot product of that sum, normalised, with the token's vector. So,
# if we hold the scale of the final layer norm fixed, **every part of the model contributes its own part of the logit**, and these
# parts add up. This is called *direct logit attribution*. We try it where the loaded model predicts the first text best.

# %%
query = plain[0][8:].argmin().item() + 8  # the easiest token, except for the first ones
ids, labels = input_ids[0], token_strings(tokenizer, input_ids[0])
right = ids[query + 1].item()
with torch.no_grad():
    row = model(ids[None]).logits[0, query]
rival = row.clone().index_fill(0, torch.tensor([right]), -torch.inf).argmax().item()  # the best of the other tokens
terms = logit_terms(model, ids, query, right)
print(f"after {''.join(labels[max(0, query - 5) : query + 1])} comes {labels[query + 1]}")
for name, part in zip(terms._fields, terms, strict=True):
    print(f"{name.replace('_', ' '):20}{part.sum().item():9.3f}")
print(f"{'sum of all parts':20}{terms.total().item():9.3f}\n{'logit':20}{row[right].item():9.3f}")
assert torch.isclose(terms.total(), row[right], rtol=1e-3, atol=1e-2)

# %% [markdown]
# A logit by itself says little: adding 10 to all of them changes no probability. So we ask which heads favour the right
# token **over** its closest rival, and take the difference of the two attributions.

# %%
direct = terms.heads - logit_attribution(model, ids, query, rival)  # (layer, head)
fig, axes = plt.subplots(1, 2, figsize=(14, 1.8 + 0.4 * n_layers), layout="constrained")
plot_head_grid(direct, axes[0], "part of the logit difference", meaning="score").set_title("direct part")
plot_head_grid(mean_cost, axes[1], "cost of its removal (nats)", meaning="score").set_title("cost (section 4)")
loudest = divmod(direct.abs().argmax().item(), n_heads)
show_figure(
    f"Two grids of heads. Left, the direct parts of one logit difference, the largest from L{loudest[0]}H{loudest[1]}: "
    f"{direct[loudest]:+.2f}. Right, the costs of section 4."
)
agreement = spearmanr(direct.abs().flatten(), mean_cost.flatten()).statistic
middle = n_layers // 2  # the layers below it have these shares of the costs and of the direct parts:
shares = [(x[:middle].sum() / x.sum().clamp(min=1e-9)).item() for x in (mean_cost.clamp(min=0), direct.abs())]
says(
    (n_layers == 1 or mean_cost.max() < 0.05, f"{who(model)}: the comparison needs two layers and a costly head."),
    (
        shares[0] > shares[1] + 0.05,
        f"{who(model)}: the layers below layer {middle} have {shares[0]:.0%} of the costs, but only {shares[1]:.0%} of the "
        f"direct parts. Rank correlation over heads: {agreement:.2f}.",
    ),
    (
        True,
        f"{who(model)}: the layers below layer {middle} have {shares[0]:.0%} of the costs and {shares[1]:.0%} of the direct "
        f"parts. Rank correlation over heads: {agreement:.2f}.",
    ),
)

# %% [markdown]
# *Where it misleads:* the attribution looks at one position only, and only at what a head adds to the logit directly.
# A head in a lower layer may work through what later layers make of its output. The scale of the final layer norm is
# held fixed, though every head has a part in it. And a head that strongly favours the right token may be cancelled by
# one that favours another.

# %% [markdown]
# ## 6. Induction, a circuit of two heads
#
# Lesson 3 described *induction* heads: on "A B ... A" they look at the B. How do they know where it is? On their own
# they cannot: the key of B would have to say "the token before me is an A". Elhage et al. 2021 found the answer in
# small models: a **previous-token head** in a lower layer writes at B's position which token comes before it, and the
# induction head looks for that. If the upper head depends only on one lower head, it must go blind without it.
#
# The four test texts have no meaning, so that little else can help: each is 24 random tokens and then the same 24
# again.

# %%
half = torch.randint(model.config.vocab_size, (4, 24), generator=torch.Generator().manual_seed(0))
repeated = [torch.cat([tokens, tokens]) for tokens in half]
marked = token_pairs(repeated[0])  # all four have the same structure, up to chance repetitions


def halves(losses):
    """Mean loss in the first and in the second half, from the second token of each on."""
    stacked = torch.stack(losses)
    return stacked[:, :23].mean().item(), stacked[:, 24:].mean().item()


def watch(change=lambda layer, raw: raw):
    """The two halves' losses, and the patterns (layer, head, query, key) of the first text."""
    seen = {}

    def watching(layer, raw):
        changed = change(layer, raw)
        seen.setdefault(layer, attention_pattern(changed.clamp(min=-1e9), d_head))
        return changed

    losses = halves(loss_with_scores(model, repeated, watching))
    return losses, torch.stack([seen[layer] for layer in range(n_layers)])


(first_half, second_half), seen = watch()
previous, induction = (mean_share(seen, marked[kind]) for kind in ("previous", "induction"))
# The lower head is not in the last layer, for something must read it; the upper head is in a later layer.
lower = divmod(previous[: max(1, n_layers - 1)].argmax().item(), n_heads)
upper = divmod((induction * (torch.arange(n_layers)[:, None] > lower[0])).argmax().item(), n_heads)
print(f"loss in the first half {first_half:.2f}, in the second {second_half:.2f} nats")
print(f"previous-token head: L{lower[0]}H{lower[1]}, share {previous[lower]:.2f}")
print(f"induction head:      L{upper[0]}H{upper[1]}, share {induction[upper]:.2f}")

# %%
guess = predict(
    "In the lower head, no query may see the token before it. What happens in the second half?",
    "the upper head goes blind and the loss rises",
    "only the loss rises",
    "little: other heads know the order of the tokens",
)


# %%
def blind(head):
    """Take the previous token from every query of one head of the lower layer."""

    def change(layer, raw):
        changed = raw.clone()
        if layer == lower[0]:
            changed[head].diagonal(-1).fill_(-torch.inf)
        return changed

    return change


(_, cut_loss), cut_seen = watch(blind(lower[1]))
baseline = previous[lower[0]].argmin().item()  # the head of the same layer that looks there least
(_, other_loss), other_seen = watch(blind(baseline)) if n_heads > 1 else ((first_half, second_half), seen)
shares = [mean_share(one, marked["induction"])[upper].item() for one in (seen, cut_seen, other_seen)]
print("                        induction share   loss of the second half")
for name, share, nats_there in (
    ("as it is", shares[0], second_half),
    (f"L{lower[0]}H{lower[1]} blinded", shares[1], cut_loss),
    (f"L{lower[0]}H{baseline} blinded" if n_heads > 1 else "no other head", shares[2], other_loss),
):
    print(f"{name:24}{share:15.2f}{nats_there:26.2f}")

# %%
learned = first_half - second_half > 0.5
compared = "The same cut in another head of the layer does neither." if n_heads > 1 else "Its layer has no other head."
gone_blind = shares[1] < 0.5 * shares[0] and shares[2] > 0.7 * shares[0] and shares[0] > 0.1
costly = cut_loss - second_half > 0.5 and cut_loss - second_half > 2 * (other_loss - second_half)
guess.reveal(
    (n_layers == 1, None, "with a single layer, no head can read what another has written."),
    (
        learned and gone_blind and costly,
        "the upper head goes blind and the loss rises",
        f"its share falls from {shares[0]:.2f} to {shares[1]:.2f}, the loss rises by {cut_loss - second_half:.1f} nats. {compared}",
    ),
    (
        learned and costly and shares[1] >= 0.5 * shares[0],
        "only the loss rises",
        f"by {cut_loss - second_half:.1f} nats; the share is {shares[1]:.2f}.",
    ),
    (
        learned and cut_loss - second_half <= 0.5,
        "little: other heads know the order of the tokens",
        f"the loss changes by {cut_loss - second_half:+.1f} nats; the share is {shares[1]:.2f}.",
    ),
    (learned, None, "compare the rows above, in both columns."),
    (True, None, "this model hardly predicts the second half better than the first: it has no induction to lose."),
    overlooked={
        "the upper head goes blind and the loss rises": "for this, the upper head would have to rely on this one lower head.",
        "only the loss rises": "watch the column of the induction share as well.",
        "little: other heads know the order of the tokens": "knowing the order is not enough: some head has to carry the previous token's identity.",
    },
)

# %% [markdown]
# Where the upper head goes blind and the loss rises, this is more than a correlation between two pictures: the upper head
# needs the lower one, and so does the prediction. Heads that work together like this form a **circuit**. *Published for GPT-2
# small:* Wang et al. 2022 name L5H5 and L6H9 among the induction heads of their circuit, and L2H2 and L4H11 as previous-token
# heads.

# %% [markdown]
# ## Exercises
#
# Each check runs your function on inputs of its own and says what is wrong. Try first; the solutions are in
# `solutions/08_heads_at_work.ipynb`.

# %% [markdown]
# ### Exercise 8.1 · The loss
#
# *Difficulty 2 of 5 · importance 5 of 5 · about 4 minutes*
#
# Given the logits (T, V) of a text and its `ids` (T,), return the loss in nats of each token but the first: (T - 1,). Use
# plain torch. The logits may be large.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Which row of the logits predicts token 1? Which row predicts a token that is not in the text?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# `log_softmax` does not overflow where `softmax` and `log` would. To pick one number from each row, index with two lists,
# of rows and of tokens, or use `gather`.
# </details>


# %% tags=["exercise"]
def my_loss(logits, ids):
    ### BEGIN SOLUTION
    logarithms = logits[:-1].log_softmax(dim=-1)  # (T - 1, V): row t predicts token t + 1
    return -logarithms[torch.arange(len(ids) - 1), ids[1:]]
    ### END SOLUTION


check("8.1", my_loss)

# %% [markdown]
# ### Exercise 8.2 · A change of your own
#
# *Difficulty 2 of 5 · importance 4 of 5 · about 3 minutes*
#
# Write the intervention of section 3: a function of a layer's number and its raw scores (head, query, key) that takes the
# **first key** away from every query but the first, in every head. Work on a copy.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Which score gets a share of exactly 0, whatever the others are? Which row must keep its first key?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# `clone()` makes the copy. Then one assignment is enough; it needs an index for each of the three axes.
# </details>


# %% tags=["exercise"]
def my_change(layer, raw):
    ### BEGIN SOLUTION
    changed = raw.clone()
    changed[:, 1:, 0] = -torch.inf
    return changed
    ### END SOLUTION


check("8.2", my_change)

# %% [markdown]
# ### Exercise 8.3 · Mean ablation
#
# *Difficulty 2 of 5 · importance 5 of 5 · about 3 minutes*
#
# Given what all heads of a layer write, `outputs` (head, token, channel), and the number of one head, return a copy in which
# that head writes its mean over the tokens at every token. The others stay as they are.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# The mean is a vector, one number for each channel. Which axis has to go?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# Torch broadcasts a row (channel,) to all tokens when you assign it to a table (token, channel).
# </details>


# %% tags=["exercise"]
def my_mean_ablation(outputs, head):
    ### BEGIN SOLUTION
    changed = outputs.clone()
    changed[head] = outputs[head].mean(dim=0)
    return changed
    ### END SOLUTION


check("8.3", my_mean_ablation)

# %% [markdown]
# ### Exercise 8.4 · A head that matters everywhere
#
# *Difficulty 3 of 5 · importance 4 of 5 · about 5 minutes*
#
# A large mean over texts can come from a single text. Given costs (text, layer, head), find the head that matters **in
# every text**: the one whose *smallest* cost over the texts is the largest. Return (layer, head). The check tries your
# function on made-up costs and on those of section 4. Before you run it, look at the heat map of section 4 and point at
# the head that you expect.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Two steps, one over the texts and one over the heads. One of them asks for the smallest, the other for the largest.
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# `amin` takes the axis that it removes. `argmax` returns a position in the flattened table; `torch.unravel_index` or
# `divmod` turns it into two numbers.
# </details>


# %% tags=["exercise"]
def my_reliable_head(costs):
    ### BEGIN SOLUTION
    smallest = costs.amin(dim=0)  # (layer, head)
    return divmod(smallest.argmax().item(), smallest.shape[1])
    ### END SOLUTION


check("8.4", my_reliable_head, costs)

# %%
reliable = my_reliable_head(costs)
if reliable is not None:
    layer, head = reliable
    print(
        f"{who(model)}, L{layer}H{head}: {' '.join(f'{cost:+.2f}' for cost in costs[:, layer, head])} nats, sentence by sentence"
    )

# %% [markdown] tags=["solution"]
# **Does this hold for other texts?** We know it only for these three sentences. Removing a head that handles only dates or brackets
# would cost nothing on a text without them. And where even the largest of the smallest costs is near zero, as in the
# control, chance picks the head: look at its row of numbers before you give it a name.

# %% [markdown]
# ### Exercise 8.5 · High cost, small direct part
#
# *Difficulty 3 of 5 · importance 4 of 5 · about 6 minutes*
#
# Which head works most through others? Given the direct parts and the costs, both (layer, head), keep the half of all heads
# whose direct parts are smallest **in size** (at most the median). Among these, return the one with the largest cost, as
# (layer, head). The check tries your function on made-up tables and on those of section 5.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Is a direct part of -5 large or small here? And can you leave heads out without losing their positions?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# `masked_fill` with a number that can never be the largest leaves heads out and keeps the positions.
# </details>


# %% tags=["exercise"]
def my_indirect_head(direct, cost):
    ### BEGIN SOLUTION
    size = direct.abs()
    candidates = cost.masked_fill(size > size.median(), -torch.inf)
    return divmod(candidates.argmax().item(), cost.shape[1])
    ### END SOLUTION


check("8.5", my_indirect_head, direct, mean_cost)

# %%
indirect = my_indirect_head(direct, mean_cost)
if indirect is not None:
    layer, head = indirect
    print(
        f"{who(model)}, L{layer}H{head}: its direct part is {direct[layer, head]:+.3f}, its removal costs {mean_cost[layer, head]:+.3f} nats"
    )

# %% [markdown] tags=["solution"]
# **What does it do, then?** The two numbers do not say. If it is the lower head of section 6, you know one answer: it tells
# a later head where to look. Otherwise, ask `habit` of section 4, and remember that the direct part was
# measured at one position, and the cost over three sentences.

# %% [markdown]
# ## What we found
#
# | the report's conclusion | evidence | verdict |
# | --- | --- | --- |
# | the model pushes its raw scores down | section 2: any constant, and any key bias, leaves every loss as it is | describes GPT-2's numbers (lesson 4), but does not affect its predictions |
# | this makes softmax clean and sharp | section 2: the loss depends on how far the scores lie apart | the contrast does it, not the shift |
# | sharpness drowns the noise | section 2: the curve of loss against contrast | *mini, 48 tokens of six texts:* on average its own contrast is the best of eight; half of it costs 0.10 nats, twice as much 0.02, none at all 4.0 |
# | most links are suppressed | *GPT-2 in short texts* (lesson 5): most attention goes to the first key; section 3 removes it | *mini, 48 tokens of six texts:* without this key the loss rises by 1.4 nats |
#
# **What an ablation does not tell.** A changed model meets inputs that it has never seen: part of the cost may be
# confusion, not the loss of what the head did. A mean over tokens hides heads that matter much, but at few tokens. Other
# heads may step in, so a small cost does not prove that a head does nothing. And cost is not purpose: it says *that* a
# head is needed, not *for what*.
#
# *Published elsewhere:* Xiao et al. 2023 let Llama-2-13B read a book through a window of 1,024 tokens. Its perplexity was 5.40
# with the first four tokens of the text kept in the window, and 5,158 without them.
#
# **Where to read on**
# - K. Wang, A. Variengien, A. Conmy, B. Shlegeris and J. Steinhardt, 2022, *Interpretability in the Wild: a Circuit for
#   Indirect Object Identification in GPT-2 Small*, arXiv 2211.00593.
# - T. McGrath, M. Rahtz, J. Kramár, V. Mikulik and S. Legg, 2023, *The Hydra Effect: Emergent Self-repair in Language Model
#   Computations*, arXiv 2307.15771.
# - C. Olsson and others, 2022, *In-context Learning and Induction Heads*, arXiv 2209.11895.
# - G. Xiao, Y. Tian, B. Chen, S. Han and M. Lewis, 2023, *Efficient Streaming Language Models with Attention Sinks*, arXiv
#   2309.17453.
# - N. Elhage and others, 2021, *A Mathematical Framework for Transformer Circuits*.
#
# The functions are in `headlab/interventions.py`, their tests in `tests/test_interventions.py`.
