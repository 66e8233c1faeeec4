# %% [markdown]
# # 9 · A project of your own
#
# *A question, a measurement, a control, an honest answer. This notebook is a template. It runs as it is, on a question that you
# replace with your own.*
#
# **You will be able to**
# - turn a hunch about attention heads into a question that a measurement can answer, with "no" as a possible answer;
# - compare groups of texts layer by layer, and say what the sample cannot decide;
# - test what else could explain a difference, instead of only naming it;
# - write two pages that somebody else can check, and review somebody else's.
#
# **You need** lessons 1 to 8.
#
# **Time** about {{minutes}} minutes to read and run this notebook; the cells run in {{seconds}}. The project itself takes two
# to six hours.
#
# Sections 1 to 5 are the template, section 6 has three questions to start from, and section 7 says what to hand in. The
# solutions contain a finished project, from the question to the report.
#
# **Three questions about earlier lessons**
#
# <details><summary>Lesson 1: a head gives the first token 0.3 on average. Is that a lot?</summary>
#
# It depends on the length: an even share is 0.42 in a text of 3 tokens and 0.12 in one of 24.
# </details>
#
# <details><summary>Lesson 7: why is an interval from three texts worth little?</summary>
#
# It is too narrow: an interval of 95% then contains the true mean only about three times in four.
# </details>
#
# <details><summary>Lesson 8: removing a head costs nothing. Does the model not need it?</summary>
#
# Other heads may do the same work, so each can be spared only while the others are there.
# </details>

# %%
import matplotlib.pyplot as plt
import numpy as np

from headlab.capture import capture_heads
from headlab.diagram import data_flow
from headlab.models import load_model
from headlab.plots import plot_by_layer, show_figure
from headlab.profiles import Profile, cluster_means, compare_groups, head_profile, laminar_profile
from headlab.says import says, who
from headlab.scores import attention_pattern
from headlab.texts import MORE, TEXTS, cut_texts

model, tokenizer = load_model()
control, control_tokenizer = load_model("random")
n_tokens = 64  # of every piece: longer texts have queries with more keys (lesson 7)
data_flow("pattern", model=model)  # what this template measures; mark the steps of your own question

# %% [markdown]
# ## 1. The question
#
# > **Question.** *Does the attention reach further back in dialogue than in prose?*
# >
# > **Prediction, written before any measurement.** *Further: an answer needs its question, which is a line back.*
# >
# > **What would prove me wrong.** *No difference, or one in the other direction.*
# >
# > **What else could give the same result.** *The length (so all pieces have one), line breaks, the first token.*
#
# Replace all four. A good question names **what** is compared, **in which statistic** and **in which texts**. "What do heads do
# with dialogue?" is not one yet. Choose the statistic now: if you try seven, one may well differ by chance.
#
# ## 2. The material
#
# Two or more groups of texts, **at least twelve in each**. Three against three cannot settle anything: there are only
# 20 ways to divide six texts, and two of them are the real division. `cut_texts` cuts a list of texts, a book or a
# folder of books into pieces of one length:
#
#     cut_texts("my-novel.txt", tokenizer)       # twelve pieces, spread over the book
#     cut_texts("folder-of-novels", tokenizer)   # twelve pieces from the folder's .txt files
#
# Pieces of one book resemble each other. For a claim about authors, the author's books are the units, not the pieces.

# %%
material = {
    "prose": [*TEXTS["prose"], *MORE["prose"]],  # or the path of a book or a folder
    "dialogue": [*TEXTS["dialogue"], *MORE["dialogue"]],
}
statistic, unit = "mean_step_back", "tokens"  # a field of Profile, and its unit
print("statistics to choose from:", ", ".join(Profile._fields))

for name, source in material.items():
    pieces = cut_texts(source, tokenizer, n_tokens)
    print(f"{name}: {len(pieces.ids)} pieces of {n_tokens} tokens, from {len(set(pieces.sources))} sources")

# %% [markdown]
# ## 3. The measurement, with the control beside it


# %%
def without_first(capture):
    """The Profile (layer, head) of what is left when no query may look at the first token."""
    raw = [capture.scores(layer)[:, 1:, 1:].double() for layer in capture.layers]  # each (head, query, key)
    d_head = capture.q.shape[-1]
    return Profile(*np.stack([head_profile(r, attention_pattern(r, d_head)) for r in raw], axis=1))


def look_at(model, tokenizer, change=None):
    """For each group the heads of a model on every piece, and the pieces' sources."""
    groups = {name: cut_texts(source, tokenizer, n_tokens, change=change) for name, source in material.items()}
    return {name: ([capture_heads(model, ids) for ids in p.ids], p.sources) for name, p in groups.items()}


def measure(groups, profile=laminar_profile):
    """For each group the chosen statistic, (source, layer, head): the mean over the pieces of each source."""
    return {
        name: cluster_means(np.stack([getattr(profile(capture), statistic) for capture in captures]), sources)
        for name, (captures, sources) in groups.items()
    }


looked = look_at(model, tokenizer)
planned, untrained = measure(looked), measure(look_at(control, control_tokenizer))

# %%
fig, axes = plt.subplots(1, 2, figsize=(15, 3.8), sharey=True, layout="constrained")
for ax, title, sample in ((axes[0], who(model), planned), (axes[1], who(control), untrained)):
    for name, values in sample.items():
        plot_by_layer(values, ax, label=name if ax is axes[1] else None)
    ax.set_title(f"{title}: {' and '.join(str(len(values)) for values in sample.values())} texts of {n_tokens} tokens")
axes[0].set(ylabel=f"{statistic.replace('_', ' ')} ({unit})")
show_figure(
    f"{statistic} by layer, of {' and '.join(material)}: the loaded model on the left, the control on the right."
)

# %% [markdown]
# Points are heads, lines are their medians, dashes are 95% intervals over texts. Below the figure, write one sentence
# of your own: its message.
#
# ## 4. Is it more than chance?
#
# We take the median over heads for each text and layer. `compare_groups` (lesson 7) asks how often groups dealt out at
# random differ as much in *some* layer. The layers are kept separate, because an average over them can hide two
# differences that go in opposite directions.


# %%
def compare(title, sample):
    """Print where the groups differ most, and p over all layers; returns the Comparison."""
    test = compare_groups([np.median(values, -1) for values in sample.values()])  # each (text, layer)
    layer = test.share.argmax()
    means = ", ".join(f"{name} {mean[layer]:.2f}" for name, mean in zip(sample, test.means, strict=True))
    print(f"{title}: most in layer {layer}, {means}; {test.share[layer]:.0%} of the variance, p = {test.p_any:.4f}")
    return test


test = compare(who(model), planned)
print(f"the smallest p that this number of texts allows: {test.least_p:.4f}")

# %%
says(
    (test.p_any <= 0.05, f"{who(model)}: the groups differ (layers: {(test.p <= 0.05).sum()} of {len(test.p)})."),
    (test.least_p > 0.05, "With so few texts no difference could have been found. Find more texts."),
    (
        True,
        f"{who(model)}: these texts do not show a difference. That is a result: report it, and say how large a "
        "difference you would have seen.",
    ),
)

# %% [markdown]
# ## 5. What else could explain it?
#
# It is not enough to name a confound. **Remove it and measure again.** If the difference stays, the confound was not
# its cause; if it goes, the confound may have been. Here are three tests for this question, one line each; yours will
# need others.


# %%
def join_lines(text):
    return text.replace("\n", " ")


tests = {"as planned": test}
one_line = measure(look_at(model, tokenizer, change=join_lines))
rest = measure(looked, profile=without_first)
for title, sample in (
    ("without line breaks", one_line),
    ("without the first token", rest),
    ("random control", untrained),
):
    tests[title] = compare(title, sample)

# %%
gap, untrained_gap = (np.ptp(tests[title].means, axis=0).max() for title in ("as planned", "random control"))
stays = [title for title in ("without line breaks", "without the first token") if tests[title].p_any <= 0.05]
says(
    (test.p_any > 0.05, "There is no difference to explain."),
    (
        tests["random control"].p_any <= 0.05 and untrained_gap > 0.25 * gap,
        "The untrained control differs by a comparable amount: part of the difference comes from the tokens and not from training.",
    ),
    (
        len(stays) == 2,
        "The difference survives without line breaks and without the first token, and the control shows none or a far "
        "smaller one.",
    ),
    (len(stays) == 1, f"The difference survives only {', '.join(stays)}: what the other test removed may explain it."),
    (True, "The difference disappears when line breaks or the first token are removed: either may explain it."),
)

# %% [markdown]
# ## 6. Three questions to start from
#
# Measurements of attention say what heads *look at*. Only an intervention can say whether the model *needs* it (lesson
# 8). Each of these questions can be answered with `headlab.interventions` and at least twelve texts.
#
# **A. Is the first token needed more in one kind of text?** Take the first key away (`loss_with_scores`), text by text,
# in prose and in dialogue. *A good answer* has a control intervention (the second key), the cost of each text, and a
# test over texts. The solutions contain a finished project on it; try first.
#
# **B. Does the prediction depend on the head that looks at the previous token?** Find the head with the largest
# `previous_share` on six texts. On six *others*, remove it, and then each other head of its layer
# (`loss_without_heads`). *A good answer* chooses and tests on different texts, gives the rank of the head among its
# neighbours, and looks at the tokens whose loss rises.
#
# **C. Does a sharper model lose less on repeated text?** Multiply all scores by 0.5, 1 and 2 (`loss_with_scores`), on
# 24 random tokens followed by the same 24, and on 24 followed by the same 24 shuffled. *A good answer* compares the two
# texts of a pair with each other, only in the second half, and says for how many of twelve pairs the difference has the
# same sign.

# %% [markdown] tags=["hint"]
# <details><summary>Hint 1: a nudge</summary>
#
# Which number does each text give, and what would that number be if your prediction were wrong?
# </details>
#
# <details><summary>Hint 2: the idea</summary>
#
# A text's cost is its mean loss with the change minus its mean loss without. You can compare costs with
# `compare_groups`, like statistics: give it an array (text,) for each group.
# </details>

# %% [markdown]
# ## 7. Handing it in
#
# ### The report
#
# **Two pages: 500 to 800 words, one or two figures**, in this order.
#
# 1. **Question and prediction**, as written before the measurement. What would have refuted it.
# 2. **Material and method**: which texts, how many, how long; which model; the statistic; the control. Somebody else
#    must be able to repeat it.
# 3. **Result**: one figure with its message in a sentence; the groups' numbers, p over all layers, how many things you tried.
# 4. **What else could explain it**: what you removed, and what was left.
# 5. **Answer and limits**: holds, does not hold, or cannot be told. What speaks against your answer.
#
# Before you hand it in: does *Restart and run all* work? Is every number in the text one that a cell prints? Does each figure
# name its axes, units, model and number of texts? Was each head chosen on texts other than those it is tested on?
#
# Hand in **two files**: this notebook, and the report. Write the report in a notebook of its own, `report.ipynb`, and export it
# in a terminal:
#
#     jupyter nbconvert --to html --no-input report.ipynb      # a page, without the code
#     jupyter nbconvert --to webpdf --no-input report.ipynb    # a PDF, where Playwright and its browser are installed
#
# Without that browser, open the page in any browser and print it to a PDF.
#
# ### How it is marked
#
# Twenty points. The verdict on your prediction does not count: a well-supported *no* or *cannot be told* earns as much
# as a *yes*.
#
# | | 4 points | 2 points | 0 points |
# | --- | --- | --- | --- |
# | **Question** | names what is compared, the statistic and the texts; prediction and what would refute it written first | a question, but "no" is not a possible answer | "I looked at some heads" |
# | **Measurement** | one length, causal pairs only, both sides treated alike; each choice has a reason | correct, but a choice that matters has no reason | future counted, lengths mixed, or scores and shares confused |
# | **Control and chance** | a control that could have shown the effect; a test with independent texts as units, for all layers together; confounds removed and measured again; says how many things were tried | one of these is missing | single examples, or scores or pieces of one book counted as texts |
# | **Figures and code** | axes, units, model and sample size on each figure; runs from top to bottom | runs, but a figure cannot be read alone | does not run, or numbers in the text that no cell prints |
# | **Answer** | finding, verdict and limits follow from the numbers; names what speaks against it | right, but broader than the evidence | a conclusion that the numbers do not support |
#
# ### A page for your reviewer
#
# Exchange reports with somebody. Fill this in, at most one page, and hand it in with your name.
#
# > **In one sentence, what did the author find?** (If you cannot tell, stop here and say why.)
# >
# > **Which number convinced you most? Which cell prints it?**
# >
# > **Run the notebook: is it the same number?**
# >
# > **What else could explain the result, and how could the author remove it?**
# >
# > **One claim that goes beyond the evidence, and how to word it instead.**
# >
# > **The points you would give in each row of the table, with a reason.**

# %% [markdown] tags=["solution"]
# ## 8. A finished project: is the first token needed more in dialogue than in prose?
#
# This answers question A. First the work, then the report.

# %% tags=["solution"]
import torch

from headlab.interventions import loss, loss_with_scores


def without_key(key):
    """A change of the raw scores (head, query, key): later queries do not see this key."""

    def change(layer, raw):
        changed = raw.clone()
        changed[:, key + 1 :, key] = -torch.inf
        return changed

    return change


def mean_losses(change_text=None, key=None):
    """For each group the mean loss of every text, in nats a token, (text,); without a key where one is named."""
    ids = {name: list(cut_texts(source, tokenizer, 24, change=change_text).ids) for name, source in material.items()}
    losses = {
        name: loss(model, texts) if key is None else loss_with_scores(model, texts, without_key(key))
        for name, texts in ids.items()
    }
    return {name: np.array([values.mean().item() for values in several]) for name, several in losses.items()}


def rises(key, before, change_text=None):
    """For each group, what it costs every text to lose a key: the rise of its mean loss, (text,)."""
    return {name: after - before[name] for name, after in mean_losses(change_text, key).items()}


before = mean_losses()
costs = {key: rises(key, before) for key in (0, 1)}
ax = plt.subplots(figsize=(8, 3.4), layout="constrained")[1]
rows = [(key, name, values) for key, of in costs.items() for name, values in of.items()]
for row, (key, name, values) in enumerate(rows):
    label = f"{name}, without the {('first', 'second')[key]} key"
    ax.plot(values, np.full(len(values), row), "o", alpha=0.5, color="#0072B2")
    ax.plot(values.mean(), row, "|", ms=18, color="black")
    ax.text(1.01, row, label, transform=ax.get_yaxis_transform(), va="center")
ax.axvline(0, color="0.45", lw=1, ls="--")
ax.invert_yaxis()
ax.set(xlabel="rise of the loss (nats a token)", yticks=[], title=f"{who(model)}: 12 texts of each kind, 24 tokens")
show_figure(
    "Each point is a text, each bar the mean of a kind: the cost without the first key above, without the second below."
)

# %% tags=["solution"]
found = {key: compare_groups(list(costs[key].values())) for key in costs}
prose, dialogue = (costs[0][name] for name in ("prose", "dialogue"))
dialogue_more = dialogue.mean() - prose.mean()
error = 2 * np.sqrt(prose.var(ddof=1) / len(prose) + dialogue.var(ddof=1) / len(dialogue))
for key, name in ((0, "first"), (1, "second")):
    means = ", ".join(f"{kind} {values.mean():+.3f}" for kind, values in costs[key].items())
    print(f"without the {name} key: {means} nats a token; p = {found[key].p_any:.3f}")
print(f"dialogue minus prose, first key: {dialogue_more:+.3f}, plus or minus {error:.3f} (two standard errors)")

# %% [markdown] tags=["solution"]
# ### The report
#
# **Is the first token needed more in dialogue than in prose?**
#
# **Question and prediction.** Many heads of trained models look mostly at the first token (lesson 5). If they do so
# when nothing else in the text is worth looking at, the token should be needed more where lines are short and break
# off, as in dialogue. *Prediction, written first:* taking the first key away costs dialogue more than prose. *It would
# be refuted* by no difference, or by one in the other direction.
#
# **Material and method.** Twelve texts of prose and twelve of dialogue, written for headlab by the same authors, each
# cut to a piece of 24 tokens. The units are the texts. In every layer and head the first key's score was set to
# $-\infty$ for all later queries, which leaves the remaining shares in proportion. The cost of a text is the rise of
# its mean loss, in nats a token. *Control:* the same with the second key, which takes away an equally early key that is
# not a sink. The test deals the 24 texts out at random 9,999 times; the smallest p it can give is 0.0001.
#
# *What was tried and is not shown:* one statistic, no choice of heads, but two lengths. On mini, pieces of 40 tokens were
# tried first. There prose lost more, 1.50 nats a token against 1.18 (p = 0.04, but 0.89 without quotation marks and line
# breaks). With two tries, a p has to be doubled, and the second try did not confirm the difference.
#
# **Result.** The figure above has a point for each text.

# %% tags=["solution"]
says(
    (
        prose.mean() < 0.02 and dialogue.mean() < 0.02,
        f"{who(model)}: taking the first key away costs these texts nothing ({prose.mean():+.3f} and "
        f"{dialogue.mean():+.3f} nats a token), so the question does not arise here.",
    ),
    (
        found[0].p_any <= 0.05 and dialogue_more > 0,
        f"{who(model)}: the first key is worth {dialogue.mean():.2f} nats a token in dialogue and {prose.mean():.2f} in prose (p = {found[0].p_any:.3f}). The prediction holds for these texts.",
    ),
    (
        found[0].p_any <= 0.05,
        f"{who(model)}: the first key is worth {prose.mean():.2f} nats a token in prose and {dialogue.mean():.2f} in dialogue (p = {found[0].p_any:.3f}). The prediction is refuted: the difference goes the other way.",
    ),
    (
        True,
        f"{who(model)}: {dialogue.mean():.2f} nats a token in dialogue, {prose.mean():.2f} in prose, p = {found[0].p_any:.2f}. No difference was found. At two standard errors the data exclude one larger than about {abs(dialogue_more) + error:.2f} nats, and say nothing about smaller ones.",
    ),
)
says(
    (
        found[1].p_any <= 0.05,
        f"The control differs between the kinds (p = {found[1].p_any:.3f}): losing any early key may matter more in one kind of text.",
    ),
    (True, f"The control shows no difference between the kinds (p = {found[1].p_any:.2f})."),
)

# %% [markdown] tags=["solution"]
# **What else could explain it.** Dialogue is full of quotation marks and line breaks, and a piece may begin with one.
# If the first token's content is needed, and not its position, that alone can make a difference, or hide one. Both can
# be removed, and the costs measured again:


# %% tags=["solution"]
def plain(text):
    return text.replace("\n", " ").replace('"', "")


plain_costs = rises(0, mean_losses(plain), plain)
plain_test = compare_groups(list(plain_costs.values()))
print("without quotation marks and line breaks: " + ", ".join(f"{n} {v.mean():+.3f}" for n, v in plain_costs.items()))
says(
    (
        found[0].p_any > 0.05 and plain_test.p_any > 0.05,
        f"Without them there is no difference either (p = {plain_test.p_any:.2f}).",
    ),
    (
        found[0].p_any > 0.05,
        f"Without them there is one (p = {plain_test.p_any:.3f}): they may have hidden it. This was not predicted, so it needs new texts.",
    ),
    (plain_test.p_any <= 0.05, f"Without them the difference stays (p = {plain_test.p_any:.3f})."),
    (
        True,
        f"Without them no difference is found (p = {plain_test.p_any:.2f}): quotation marks and line breaks may explain it.",
    ),
)

# %% [markdown] tags=["solution"]
# **Answer and limits.** The answer is the sentence under *Result*, for these 24 texts, this model and pieces of 24
# tokens. A *no difference* does not prove that there is none: twelve texts of each kind show only differences larger
# than the one given. A *difference* concerns these two sets of texts: they were written for a course, and dialogue
# differs from prose in more than its lines. The model was made to predict without a key that it was trained with, so
# the cost says how much it relies on the sink, not how well it would do if it had never had one. What we would do next:
# the same with dialogue cut from twelve novels, with the novel as the unit.
#
# ### Notes for teachers
#
# What makes this worth full marks is not its verdict: the prediction comes first, the control could have shown the
# effect, the confound was removed and not only named, and the answer says what the sample cannot decide. Ask every
# student two things in person: *which text spoke against you?* and *what does your interval leave out?*

# %% [markdown]
# **Where to read on.** Questions that others asked of GPT-2's heads: C. Olsson et al., 2022, *In-context Learning and Induction
# Heads*; K. Wang et al., 2022, *Interpretability in the Wild*; J. Vig and Y. Belinkov, 2019, *Analyzing the Structure of Attention
# in a Transformer Language Model*.
