# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The model that speaks
#
# What you ran so far took minutes. This chapter is about one run that took hours: the `evening` model, by the recipe of chapter 6, on public-domain books.
# Here is what it says when it is given three words. It is the first text with
# the first {term}`seed`, not a chosen one.

# %% tags=["hide-input"]
import numpy as np
from matplotlib import pyplot as plt

from course_lib import stages
from course_lib.presets import Preset
from course_lib.scaling import forecast
from course_lib.showing import (
    card,
    load_result,
    plots,
    print_text,
    side_by_side,
)

plots.use_style()
long_run = load_result("long_run.json")
last = {prompt: text.removeprefix(prompt) for prompt, text
        in long_run["samples"][-1]["texts"].items()}
side_by_side("What the model says.", {
    "it goes on": [last["life is about"]]}, ["life is about"])

# %% tags=["hide-input"]
card("07_speaks", needs="nothing; earlier chapters explain the words",
     gives="a judgement of a real model: what it costs, what it can "
     "do, and what it cannot")

# %% [markdown]
# It is English, and it is nonsense by the end of the second line. Is that good, for
# a model of this size and this much text? Is it better than a program without a
# network? And was it worth the electricity? A sample cannot answer. The rest of
# this chapter is measurements, and each begins with a guess.
#
# ## The plan
#
# The size came from the dial of [chapter 2](02_scaling_laws.ipynb), turned to the
# hours there were, with `--largest 9e6` so that the model fits into a page. The
# text is public-domain books without their licences, tables of contents and page
# numbers. One book in twenty is held out, by a hash of its text.

# %%
preset = Preset.from_dict(long_run["run"]["preset"])
spent, files = long_run["training"], long_run["run"]["files"]
model = preset.model
print(f"{long_run['parameters'] / 1e6:.1f}M parameters: "
      f"{model.n_layer} layers, {model.n_head} heads, "
      f"{model.n_embd} channels, context {model.context_length}")
for name, side in files.items():
    print(f"{name:5} {side['documents']:5,} books, "
          f"{side['bytes'] / 1e6:5.0f} MB, "
          f"{side['tokens'] / 1e6:5.1f}M tokens")
print(f"trained on {spent['tokens'] / 1e6:.1f}M tokens in steps of "
      f"{preset.batch_tokens:,}, {spent['passes']:.2f} passes")

# %% [markdown]
# Then the bet of [chapter 2](02_scaling_laws.ipynb#the-bet), written down before
# the first step. That run is not at its end; `course train RUN --resume` goes on
# with it. Its learning rate comes down late
# ([chapter 4](04_training.ipynb)), and until then no step depends on where the run
# ends. So a copy of it was brought down early, and that is the model of this page.
# Only batch and rate were chosen for the long run; one planned for so few tokens
# would have smaller batches. What the same law says of the shorter run was not
# written down beforehand, and is a matter of arithmetic:

# %%
bet = load_result("long_run_bet.json")
ladder = stages.ladder(preset)
to_bits = ladder.bits_per_byte(1.0)


def in_words(says):
    """A forecast, in both currencies."""
    return (f"{says['loss']:.3f} nats per token ({says['low']:.3f} "
            f"to {says['high']:.3f}), {says['loss'] * to_bits:.3f} "
            "bits per byte")


shorter = vars(forecast(ladder, long_run["parameters"],
                        spent["tokens"]))
print(f"the bet, {bet['forecast']['D'] / 1e6:.0f}M tokens:",
      in_words(bet["forecast"]))
print(f"the same law, {spent['tokens'] / 1e6:.0f}M:  ",
      in_words(shorter))

# %% [markdown]
# :::{admonition} Predict
# :class: hint
# Chapters 2 and 4 tell of runs that ended outside their interval. Where will this
# one end: inside, above, or below?
# :::
#
# ## The run

# %% mystnb={"figure": {"caption": "The long run: training loss (thin, smoothed), held-out loss (dots; the last one on all the held-out text), and what the law predicted for its end (bar).", "name": "fig-long-run"}, "image": {"alt": "A loss that falls steeply, then slowly, and once more quickly where the learning rate comes down; its end stands beside a vertical bar."}}
log, held_out = long_run["log"], long_run["validation_log"]
seen = np.array([r["tokens"] for r in log])
loss = np.array([r["loss"] for r in log])
smooth = np.array([loss[max(0, i - 4):i + 5].mean()
                   for i in range(len(loss))])
plt.plot(seen, smooth, linewidth=1, label="training")
plt.plot(*plots.curve(held_out[1:], "val_loss"), "o", markersize=4,
         label="held out")
plt.errorbar(1.03 * spent["tokens"], shorter["loss"],
             [[shorter["loss"] - shorter["low"]],
              [shorter["high"] - shorter["loss"]]],
             fmt="s", capsize=4, markersize=4, label="predicted")
plt.ylim(3.4, 6)
plt.xlabel("tokens seen")
plt.ylabel("nats per token")
plt.legend();

# %%
ended = long_run["validation"]
off = ended["loss"] - shorter["loss"]
inside = shorter["low"] <= ended["loss"] <= shorter["high"]
print(f"predicted {shorter['loss']:.3f}, measured "
      f"{ended['loss']:.3f}: {abs(off):.3f} "
      f"{'above' if off > 0 else 'below'}, "
      f"{'inside' if inside else 'outside'} the interval")
print(f"{ended['bits_per_byte']:.3f} bits per byte on "
      f"{ended['bytes'] / 1e6:.0f} MB of held-out books")
print(f"{spent['hours']:.1f} hours of wall clock, "
      f"{spent['seconds'] / 3600:.1f} of them in training steps, "
      f"{long_run['interruptions']} interruption;")
print(f"median {spent['tokens_per_second']:,.0f} tokens/s, "
      f"{spent['share_of_peak']:.0%} of the peak")

# %% tags=["remove-cell"]
assert inside and 0.02 < abs(off) < 0.08
points = [(r["tokens"] / spent["tokens"], r["val_bits_per_byte"])
          for r in (*held_out[1:-2], held_out[-1])]
before, at, end = np.interp((0.6, 0.8, 1), *zip(*points))
assert at - end > before - at and long_run["interruptions"] == 1

# %% [markdown]
# That is no bet won: the bet is on the long run, and is open. But the law was fitted
# before this run began, and it was right. Its interval is wide, so that to end inside
# is no great feat; its middle is a twentieth of a nat from the truth, which is more of
# one. {numref}`fig-long-run` shows what the late decay of the rate is for: such curves
# flatten, and yet the last fifth of this run gains more than the fifth before it. It
# was stopped once, to make the copy, and it shared its machine with other work.
#
# ## Is that good?
#
# A loss means something beside another one. So here are programs that predict
# the same held-out bytes without a network, each after reading the same training
# books, or as much of them as it can hold: `xz`, which looks for repetitions;
# PPMd, an old compressor that is good at text; and tables of five bytes and of
# five tokens with {term}`Kneser-Ney smoothing`, which were the language models
# before there were networks. The compressors go on learning while they read the
# held-out books, the tables and the model do not. The model is asked in windows that
# do not overlap, which costs it a little.
#
# :::{admonition} Predict
# :class: hint
# `xz` needs a little more than two bits for a byte. Order the others, and the
# model. By how much does the model beat the best of them?
# :::

# %%
rows = load_result("baselines.json")["rows"]
bits = {row["name"]: row["bits_per_byte"] for row in rows}
bits["this model"] = ended["bits_per_byte"]
for name, value in sorted(bits.items(), key=lambda item: -item[1]):
    print(f"{value:.3f} bits per byte  {name}")
best = min(value for name, value in bits.items()
           if name != "this model")
print(f"{1 - ended['bits_per_byte'] / best:.0%} below the best "
      "of the others")

# %% tags=["remove-cell"]
assert bits["Kneser-Ney, 5 tokens"] == best < 1.1 * bits["this model"]
assert 0.13 < spent["passes"] < 0.16

# %% [markdown]
# Only the table of five tokens comes near. It keeps a count of everything that it
# saw, in all of the training books, and the model has read a seventh of them, in pieces
# from every book. Give the table more text, and it gets better and larger; the model
# gets better and stays as large.
#
# ## Does it follow what it reads?
#
# Bits per byte are an average, and most bytes are easy. A harder question, which
# you can answer yourself: the last word of a passage is missing. The model is
# given the whole passage, or its last sentence alone. What it gains from the
# passage is what it has followed. The passages come from the held-out books by a
# rule (`course_lib/measuring/cloze.py` has it), and nobody has picked them
# {cite}`paperno2016`.

# %%
judged = load_result("cloze.json")
ours, table = judged["models"][0], judged["models"][-1]
one = next(e for e in ours["examples"] if e["seen"])
print_text("..." + one["passage"][-220:] + " ____")
print(f"\nthe author: {one['word']}; the model: {one['said']}")

# %% [markdown]
# :::{admonition} Predict
# :class: hint
# The word stands once more in the passage: how often will the model find it, in
# a hundred times? And the table of five tokens, which cannot look further back?
# :::

# %%
def share(row):
    """A share with its interval."""
    return (f"{row['share']:6.1%} ({row['low']:.1%} to "
            f"{row['high']:.1%})")


for who in (ours, table):
    print(who["name"] if who is table else "this model")
    for row in who["cloze"]:
        print(f"  word {'in' if row['word_seen'] else 'not in'} the "
              f"passage, given the {row['given']}: "
              f"{share(row['right'])}, {row['nats']['mean']:.1f} nats")
print(f"here the table has counted {table['tokens'] / 1e6:.0f}M tokens")

# %% tags=["remove-cell"]
whole, alone, new, new_alone = (
    row["right"]["share"] for row in ours["cloze"])
assert whole > 2 * alone and 0.17 < whole < 0.26
assert abs(new - new_alone) < 0.03
assert len({row["right"]["share"] for row in table["cloze"][:2]}) == 1

# %% [markdown]
# Where the passage has the word, it takes nearly three nats off its price, and the
# model gets it right about twice as often; it does nothing for the table, whose view
# ends four tokens back. So the model uses what stands further back. Where the passage
# has not the word, it is worth less than these questions can tell from nothing, and
# there the model is no better than the table. How often a reader would be right, on
# passages that no reader has selected, was not measured; try the one above.
#
# ## Does it know grammar?
#
# Take a sentence of a held-out book, and break one thing in it by a rule: *was*
# for *were*, *himself* for *herself*, a word out of order. Whoever knows the
# language finds the author's likelier {cite}`warstadt2020`. By chance half of the
# answers are right.

# %%
print(f"{'':26} {'this model':26} five tokens")
for kind, row in ours["pairs"].items():
    print(f"{kind:26} {share(row):26} {share(table['pairs'][kind])}")

# %% tags=["remove-cell"]
assert ours["pairs"]["all pairs"]["low"] > 0.98
assert table["pairs"]["agreement at a distance"]["high"] < 0.5

# %% [markdown]
# In these pairs nearly all of it is there. They are easy ones, mistakes made by rules,
# and nobody has checked each of them. The table, which has counted a part of the books here, gets
# right what shows in two neighbours, *a apple*. What it gets wrong is a verb whose noun
# is not the nearest one. In *The houses of the man were* it has hardly ever seen those
# five together, so it goes by the last one or two, and after *man* comes *was*. The
# test is made so: the nearer noun always has the other number, and whoever goes by it
# does worse than guessing. The model was told nothing but the next token, and has
# learned that a verb agrees with a noun, and with which.
#
# ## Has it learned by heart?
#
# A model that repeats its books would be a poor kind of library. The longest
# piece that a text shares with the training text is easy to find. For the model's
# own samples, for passages of held-out books, and, to see whether the search
# works, for passages of the training books themselves:

# %%
copies = load_result("copies.json")
for kind, found in copies["kinds"].items():
    lengths = found["lengths"]
    print(f"{kind:18} half share {np.median(lengths):3.0f} tokens in "
          f"a row, the most is {max(lengths)} of {copies['tokens']}")
print(f"{copies['searched_tokens'] / 1e6:.0f}M tokens searched")

# %% tags=["remove-cell"]
most = {kind: max(found["lengths"])
        for kind, found in copies["kinds"].items()}
assert most["samples"] < most["held-out passages"] < 30

# %% [markdown]
# In these samples nothing was copied: they share no longer pieces with the books than
# held-out books do. That is what one would expect of a seventh of one pass. It is no
# proof, since nobody has begun a passage of a training book and looked whether the
# model goes on with it; and a model that had read its books ten times would be another
# matter.
#
# ## What it says
#
# One beginning on the way, and then ten at the end, the first seed of each.

# %%
samples = long_run["samples"]
chosen = [samples[1], samples[2], samples[-1]]
names = [f"after {s['step'] / samples[-1]['step']:.0%} of the steps"
         for s in chosen]
begin = "It was a dark and stormy night"
side_by_side("One beginning, as the model learned.", {
    "it goes on": [s["texts"][begin] for s in chosen]}, names)

# %% tags=["hide-output"]
side_by_side("Ten beginnings, the first seed of each.",
             {"it goes on": list(last.values())}, list(last))

# %% [markdown]
# Read three of them aloud. Most sentences have a subject and a verb, quotation marks
# that open close, somebody who speaks is answered. But no two sentences are about the
# same thing for long: a ship is taken out of the village, and then is in her house.
#
# ## What it cannot do
#
# Do not ask it for facts: it has read each of its sentences once at most, and its
# parameters are fewer than the letters of a shelf of books. It loses the thread,
# since keeping to a subject saves few bits in a sentence, so the loss hardly notices,
# and what stands before its context it cannot see. It was not taught to answer: ask it
# something, and it goes on as a novel would. And it has the century of its books and
# their prejudices; it was shown nothing else.
#
# ## The bill

# %%
from course_lib.model.cost import flops_per_token
from course_lib.presets import load_preset
from course_lib.scaling.budget import GPU_MFU, dollars, hours

price = spent["price"]
print(f"measured: {spent['hours']:.1f} hours; at "
      f"${price['dollars_per_hour']:.4f} an hour ({price['instance']}, "
      f"{price['date']}) ${spent['dollars']:.2f}")
full = load_preset("full")
work = flops_per_token(full.model) * full.tokens
for what, flop in (("this run", spent["flop"]),
                   ("the full model", work)):
    print(f"projected on one H100 at {GPU_MFU:.0%} MFU: {what}, "
          f"{60 * hours(flop, 'H100', GPU_MFU):.1f} minutes, "
          f"${dollars(flop, 'H100', GPU_MFU):.2f}")

# %% [markdown]
# The hours of the first line are measured; the price is that of such a machine, rented.
# The other lines are projected, as everywhere in this book: no run on a GPU is recorded
# here. A GPU would not make this model better, only sooner. What makes it better is
# what the law says, more parameters and more text: the model of the title has six
# times the parameters and ten times the tokens of the bet.
#
# ## How far is that from a chatbot?
#
# Three steps. The first is nearly all of the work and nothing new: a thousand times the
# parameters, and a hundred thousand times the tokens. The second is *instruction
# tuning* {cite}`ouyang2022`: the same loss, on conversations in which somebody
# answers, counted on the answers alone. Given such text, `course train RUN --from
# FOLDER` does the like here. The third learns from judgements which of two answers is
# the better one. Neither adds a part to the architecture of chapter 1.
#
# :::{admonition} Takeaway
# :class: tip
# Say beforehand what a run will end with, and in which currency. Then hold it
# against something that is not a network, ask it questions whose answers you can
# judge, and look for what it copied. A sample shows none of that, and is what
# everybody remembers.
# :::
#
# ## Where to go next
#
# The weights are in the repository, in `book/models/books`. {doc}`Talk to it
# <../book/talk>`; `course evaluate book/models/books --text FILE` measures it on
# a text of yours, and `course train RUN --from book/models/books` lets it go on
# learning there. Then turn the dial for your own hours, make your own bet, and
# run it overnight. {cite:t}`radford2019` is the model that this one imitates, and
# {cite:t}`hoffmann2022` the paper that the dial comes from; both can be read now.
#
# ## Exercises
#
# ### 1. A bet of your own
#
# *Medium, 10 minutes, and as long as the run.* Of public-domain books in a folder make
# a run for an hour, `course prepare --corpus books:FOLDER --hours 1 --out runs/bet`;
# write down what it predicts, and what you believe. Then train. Who was closer? (On
# another kind of text the law's nats are another currency.)
#
# ### 2. Another author
#
# *Easy, 5 minutes.* Take a chapter of a book written after 1950 and measure the
# model on it. Is it worse than on its own held-out books, and at which words?
# {doc}`../book/talk` colours them.
#
# ### 3. What does a nat buy?
#
# *Easy, 5 minutes.* After which share of the run did the model pass the table of five
# tokens? And how much of its lead came in the last fifth?

# %% [markdown]
# Solution (click to open):

# %% tags=["hide-cell"]
# the last but one was measured on a part of the text, at the end too
for r in (*held_out[1:-2], held_out[-1]):
    print(f"{r['tokens'] / spent['tokens']:5.0%} of the tokens: "
          f"{r['val_bits_per_byte']:.3f} bits per byte, "
          f"{1 - r['val_bits_per_byte'] / best:+.1%} below the table")
