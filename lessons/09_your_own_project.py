# %% [markdown]
# # 9 · A project of your own
#
# *A question, a measurement, a control, an honest answer. This notebook is a template: it runs as it is, on a question that you replace with your own.*
#
# **You will be able to**
# - turn a hunch about attention heads into a question that a measurement can answer, with "no" as a possible answer;
# - compare texts, heads or models with an interval or a test, and say what the sample cannot decide;
# - write down a result that somebody else can run again.
#
# **You need** lessons 1 to 8.
#
# **Time** two to six hours. The cells as they are take well under a minute on two cores.
#
# Section 1 is the template. Section 2 has three questions, from easy to hard, with what a good answer shows; do one of them if you have no question yet. They are answered in
# `solutions/09_your_own_project.ipynb`: try first.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.stats import permutation_test

from headlab.capture import capture_heads
from headlab.models import load_model
from headlab.plots import plot_by_layer
from headlab.profiles import Profile, bootstrap_mean, laminar_profile, query_profile
from headlab.texts import TEXTS

model, tokenizer = load_model()
control, control_tokenizer = load_model("random")
n_layers, n_heads = model.config.n_layer, model.config.n_head
n_tokens = 64  # cut all texts to one length, or their profiles cannot be compared (lesson 7)

# %% [markdown]
# ## 1. The template
#
# ### 1.1 The question
#
# > **Question.** *Does the attention reach further back in dialogue than in prose?*
# >
# > **Prediction, written before any measurement.** *Further: an answer needs its question, which lies a line back.*
# >
# > **What would prove me wrong.** *No difference, or one in the other direction, over the texts.*
# >
# > **What else could give the same result.** *Other lengths (so all texts are cut alike); the first token (so look at the profile without it, too); line breaks.*
#
# Replace all four. A good question names **what** is compared, **in which statistic**, and **over which sample**. "What do heads do with dialogue?" is none yet.
#
# ### 1.2 The material
#
# Two groups of texts. headlab ships three texts of each kind; add your own as strings, of at least 64 tokens each. Three against three is little: section 1.4 shows how little.

# %%
my_texts = {
    "prose": [*TEXTS["prose"]],
    "dialogue": [*TEXTS["dialogue"]],
}
statistic, unit = "mean_step_back", "tokens"  # or another field of Profile, and its unit
print("statistics:", ", ".join(Profile._fields))

# %%
for name, texts in my_texts.items():
    lengths = [len(tokenizer(text).input_ids) for text in texts]
    assert min(lengths) >= n_tokens, f"{name}: a text has only {min(lengths)} tokens, make it longer"
    print(f"{name}: {len(texts)} texts of {min(lengths)} to {max(lengths)} tokens, cut to {n_tokens}")

# %% [markdown]
# ### 1.3 The measurement, with the control beside it


# %%
def measure(model, tokenizer, texts):
    """The Profile of a model on several texts, each statistic (text, layer, head)."""
    captures = (capture_heads(model, tokenizer(text, return_tensors="pt").input_ids[:, :n_tokens]) for text in texts)
    return Profile(*np.stack([laminar_profile(capture) for capture in captures], axis=1))


loaded = {name: getattr(measure(model, tokenizer, texts), statistic) for name, texts in my_texts.items()}
untrained = {name: getattr(measure(control, control_tokenizer, texts), statistic) for name, texts in my_texts.items()}

# %%
fig, axes = plt.subplots(1, 2, figsize=(15, 4), sharey=True, layout="constrained")
for ax, title, sample in ((axes[0], "Loaded model", loaded), (axes[1], "Random control", untrained)):
    for name, values in sample.items():
        plot_by_layer(values, ax, label=name if ax is axes[1] else None)
    ax.set_title(f"{title}: {' and '.join(str(len(values)) for values in sample.values())} texts of {n_tokens} tokens")
axes[0].set(ylabel=f"{statistic.replace('_', ' ')} ({unit})")
plt.show()

# %% [markdown]
# *The figure says:* one sentence of yours. Points are heads, lines their medians, dashes 95 % intervals over texts.
#
# ### 1.4 Is it more than chance?
#
# One number for each text: here the median over heads, averaged over layers. Then two questions. How large is the difference? And how often would it be as large if the two groups were made by shuffling
# the texts? `permutation_test` tries all ways to shuffle up to seven texts a group, and with more, 9,999 random ones.


# %%
def difference(first, second):
    """Mean of the first group less that of the second."""
    return first.mean() - second.mean()


def compare(sample):
    """One line: the two groups, their difference, and the share of shufflings with one as large."""
    (first, a), (second, b) = ((name, np.median(values, -1).mean(1)) for name, values in sample.items())
    test = permutation_test((a, b), difference, n_resamples=9999, random_state=0)
    spreads = [
        f"{name} {v.mean():.3f} ({', '.join(f'{value:.3f}' for value in v)})" for name, v in ((first, a), (second, b))
    ]
    return f"{'; '.join(spreads)}; difference {test.statistic:+.3f}, p = {test.pvalue:.2f}"


print("loaded model:  ", compare(loaded))
print("random control:", compare(untrained))

# %% [markdown]
# Of six texts there are 20 ways to choose three, so no p can be below 2 / 20 = 0.10: **three against three cannot settle anything**, however large the difference. With six against six the least p is 0.002.
# And if you try seven statistics, one of them may well look special by chance: say how many you tried.
#
# ### 1.5 The answer
#
# > **Finding.** *One sentence, with the numbers and the sample size.*
# >
# > **Verdict on the prediction.** *Holds, does not hold, or cannot be told from this sample.*
# >
# > **What the control showed.** *...*
# >
# > **Limits.** *Which model, which texts, what else could explain it, what you tried and did not report.*
#
# ### 1.6 Before you hand it in
#
# - *Restart and run all*: does every cell run from top to bottom?
# - Does every figure say whose data it shows, from how many texts, heads and tokens, with units?
# - Is every number in your text one that a cell prints?
# - Was the head that you show chosen on other texts than those on which you test it?
# - Have you named one result that spoke against you?
#
# ## 2. Three questions
#
# ### Question A (easy): does the model rest on the first token when it cannot make sense of a text?
#
# Compare `first_share` in prose and in nonsense.
#
# **What a good answer shows:** both groups' numbers text by text; the control, in which a difference would be one of token counts or chance; the smallest p that the sample allows; and no "proved" where three
# texts stand against three.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# It is the template with two words changed. Then write three more texts of each kind.
# </details>

# %% tags=["solution"]
question_a = {kind: measure(model, tokenizer, TEXTS[kind]).first_share for kind in ("prose", "nonsense")}
control_a = {kind: measure(control, control_tokenizer, TEXTS[kind]).first_share for kind in ("prose", "nonsense")}
print("loaded model:  ", compare(question_a))
print("random control:", compare(control_a))

# %% tags=["solution"]
ax = plot_by_layer(question_a["prose"], ylabel="share on the first token", label="prose")
plot_by_layer(question_a["nonsense"], ax, label="nonsense")
ax.set_title(f"Loaded model: 3 and 3 texts of {n_tokens} tokens")
plt.show()

# %% [markdown] tags=["solution"]
# *The figure says:* how far the two lines lie apart, beside the dashes about them.
#
# **A good answer.** Whatever the difference printed above, p cannot be below 0.10 here, so the answer is *cannot be told from this sample*, with the difference and the six numbers given. The control's
# difference shows what the tokens alone do. It also says what would settle it: six texts of each kind, written before looking. And it asks whether "nonsense" is one thing: of the three texts, one is
# shuffled words, one invented words, one grammatical absurdity. If they differ from each other as much as from prose, the question was too coarse.

# %% [markdown]
# ### Question B (medium): does a previous-token head stay one, whatever it reads?
#
# Find the strongest previous-token head in prose, and see what it does in dialogue, lists, code, nonsense and repeated words.
#
# **What a good answer shows:** the head is **chosen on some texts and tested on others**, since the best of many is always too good on the texts that chose it; all heads beside it, not it alone; the best head
# of the control, chosen in the same way; an interval over the texts.

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `measure(...).previous_share` is (text, layer, head). `divmod(values.mean(0).argmax(), n_heads)` is the layer and the head.
# </details>


# %% tags=["solution"]
def held_out(model, tokenizer, name):
    """Choose the head on prose, and print its share, and the median of all heads, on the other kinds."""
    chosen = measure(model, tokenizer, TEXTS["prose"]).previous_share.mean(0)
    layer, head = np.unravel_index(chosen.argmax(), chosen.shape)
    others = {kind: measure(model, tokenizer, TEXTS[kind]).previous_share for kind in TEXTS if kind != "prose"}
    print(f"{name}: L{layer}H{head}, chosen on 3 prose texts: {chosen[layer, head]:.2f}")
    for kind, values in others.items():
        rank = (values.mean(0) > values[:, layer, head].mean()).sum() + 1
        print(
            f"    {kind:15} {values[:, layer, head].mean():.2f}, rank {rank} of {chosen.size}; median of all heads {np.median(values):.2f}"
        )
    tested = np.concatenate([values[:, layer, head] for values in others.values()])
    low, high = bootstrap_mean(tested)
    print(f"    15 other texts: {tested.mean():.2f}, 95 % interval {low:.2f} to {high:.2f}")


held_out(model, tokenizer, "loaded model")
held_out(control, control_tokenizer, "random control")

# %% [markdown] tags=["solution"]
# **A good answer.** It says of which head it speaks, that it was chosen on three texts and tested on fifteen others, and gives its rank in each kind. It looks at the *size*, not at the constancy alone: the control's best
# head keeps its share and nearly its rank as well, since random weights are the same for all texts too, but that share is next to the median of all heads. It notes the limits: fifteen texts by the same authors,
# five kinds, 64 tokens, and a head chosen on prose only.

# %% [markdown]
# ### Question C (hard): which heads notice that a text repeats?
#
# Give the model 30 random tokens and then the same 30 again (order kept), or the same 30 shuffled. Both texts hold the same tokens; only the order of the second half differs. Which heads attend more narrowly, with fewer
# effective tokens, in the second half of the *repeated* text than in that of the *shuffled* one?
#
# **What a good answer shows:** the two texts of a **pair** are compared with each other; there are many heads, so the head is chosen on one half of the pairs and tested on the other; the effect has an interval over pairs;
# the control shows none; and the answer does not call a head an "induction head" on this evidence alone (lesson 3 has the test for that).

# %% [markdown] tags=["hint"]
# <details><summary>Hint</summary>
#
# `query_profile(pattern).effective_tokens` is (head, T - 2): the queries of the second half are `[:, 28:]`. Draw the tokens from those of the prose texts, so that they are real words.
# </details>


# %% tags=["solution"]
def narrowing(model, tokenizer, n_pairs=24, n_words=30):
    """Effective tokens in the second half, shuffled less repeated: (pair, layer, head), positive where it narrows."""
    vocabulary = torch.cat([tokenizer(text, return_tensors="pt").input_ids[0] for text in TEXTS["prose"]]).unique()
    generator = torch.Generator().manual_seed(7)

    def second_half(ids):
        capture = capture_heads(model, ids)
        patterns = (capture.pattern(layer) for layer in capture.layers)
        return np.stack([query_profile(p).effective_tokens[:, n_words - 2 :].mean(1) for p in patterns])

    differences = []
    for _ in range(n_pairs):
        words = vocabulary[torch.randperm(len(vocabulary), generator=generator)[:n_words]]
        shuffled = words[torch.randperm(n_words, generator=generator)]
        differences.append(second_half(torch.cat([words, shuffled])) - second_half(torch.cat([words, words])))
    return np.stack(differences)


for name, sample in (
    ("loaded model", narrowing(model, tokenizer)),
    ("random control", narrowing(control, control_tokenizer)),
):
    layer, head = np.unravel_index(sample[:12].mean(0).argmax(), sample.shape[1:])
    effect = sample[12:, layer, head]
    low, high = bootstrap_mean(effect)
    print(f"{name}: L{layer}H{head}, chosen on 12 pairs, narrows by {sample[:12, layer, head].mean():.2f} tokens there")
    print(f"    on the 12 other pairs by {effect.mean():.2f} tokens, 95 % interval {low:.2f} to {high:.2f}")
    mean = sample.mean(0)
    most = "L{}H{}".format(*np.unravel_index(mean.argmin(), mean.shape))
    print(f"    all {mean.size} heads, 24 pairs: median {np.median(mean):+.2f}, largest {mean.max():+.2f};")
    print(f"    {(mean < 0).sum()} heads go the other way, {most} farthest: {mean.min():+.2f}")

# %% [markdown] tags=["solution"]
# **A good answer.** It gives the effect on the pairs that did *not* choose the head, and says whether the interval excludes zero. It sets it beside the control: there, too, some head looked best on the pairs that chose it, and that effect
# is chance. It warns that twelve pairs are few, and that a narrower attention is not yet a copy: the next step is where this head looks, `token_pairs(ids)["induction"]` of lesson 3, and whether the model predicts the
# repeated token better. And it reports the heads that go the other way.

# %% [markdown] tags=["solution"]
# ## A rubric for teachers
#
# Twenty points. The verdict on the prediction does not count: a well-shown *no* or *cannot be told* earns as much as a *yes*.
#
# | | 4 points | 2 points | 0 points |
# | --- | --- | --- | --- |
# | **Question** | names what is compared, the statistic and the sample; the prediction and what would refute it were written first | a question, but "no" is no possible answer or the prediction fits any result | "I looked at some heads" |
# | **Measurement** | one length for all, causal pairs only, same treatment for both sides; each choice has a reason | correct, but a choice that matters (length, first token, head) has no reason | future counted, lengths mixed, or scores and shares confused |
# | **Control and chance** | a control that could have shown the effect; interval or test with texts as the unit; heads chosen on other texts than those tested; says how many things were tried | one of these is missing | single examples, or an interval over scores taken for one over texts |
# | **Figures and code** | axes, units, model and sample size on each figure; runs from top to bottom; others can repeat it | runs, but a figure cannot be read alone | does not run, or numbers in the text that no cell prints |
# | **Answer** | finding, verdict and limits follow from the numbers; names what speaks against it; claims no more than the sample | right, but broader than the evidence or without limits | a conclusion that the numbers do not support |
#
# 18 or more: could be shown to others as it is. 12 to 17: sound, with a gap that the student can name. Under 12: hand back with one question: *what would have changed your mind?*
#
# Expect question A in two hours, B in three, C in five. Ask every student two things in person: *which head or text spoke against you?* and *what does your interval leave out?*

# %% [markdown]
# **Where to read on.** Questions that others asked of GPT-2's heads: Olsson et al. 2022, *In-context Learning and Induction Heads*; Xiao et al. 2023, *Efficient Streaming Language Models with Attention Sinks*; Vig and Belinkov 2019,
# *Analyzing the Structure of Attention in a Transformer Language Model*.
