# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Cheaper: where the fifty dollars went
#
# The recipe of 2023 cost about fifty dollars. The same number of parameters,
# shown the same number of tokens, should cost one or two today. In this
# chapter we go through the bill line by line: what was paid for nothing, what
# a better machine does for the same money, and what has been learned about
# training since. Each line has its own number, and says whether that number
# was counted, measured, or only projected.

# %%
from dataclasses import replace

from course_lib import stages
from course_lib.presets import load_preset
from course_lib.showing import card, load_result, plots, show_source

preset = load_preset()  # $COURSE_SCALE: smoke, laptop or full
plots.use_style()
card("06_cheaper", needs="chapters 2 and 4",
     gives="the bill from $50 down, line by line, and a command that "
     "adds a line of your own")

# %% [markdown]
# ## What was bought in 2023?
#
# A V100 for about 20 hours. BookCorpus has 74,004,228 sentences, and each
# became a row of 64 positions, however short it was. In all there were 1.1
# billion real tokens in them.
#
# :::{admonition} Predict
# :class: hint
# Of the fifty dollars, how many were paid for work on real tokens? And what
# share of the V100's peak did the run reach?
# :::

# %%
from course_lib.scaling import GPU_MFU
from course_lib.machine import GPUS
from course_lib.model import count_parameters, flops_per_token

# %%
SENTENCES, ROW, REAL, HOURS = 74_004_228, 64, 1.1e9, 20  # of 2023
full = load_preset("full")
v100 = GPUS["V100"]
paid = HOURS * v100.dollars_per_hour
positions = SENTENCES * ROW
work = positions * flops_per_token(full.model, ROW)
real = REAL / positions
reached = work / (HOURS * 3600 * v100.peak_at())
print(f"paid         ${paid:.2f}: {HOURS} h at "
      f"${v100.dollars_per_hour}/h")
print(f"work         {work:.2e} FLOP, {positions / 1e9:.2f}B positions")
print(f"real tokens  {real:.0%} of them, ${real * paid:.2f} worth")
print(f"V100's peak  {reached:.0%} reached, {real * reached:.0%} "
      "counting real tokens")

# %% tags=["remove-cell"]
assert 0.22 < real < 0.25 and 0.15 < reached < 0.17

# %% [markdown]
# Three quarters of the money went into padding. To count that needs no
# experiment, and [chapter 3](03_tokenizer.ipynb) has the fix: rows without
# padding. What such rows do to the learning is another question, for below.
#
# The other number is the {term}`MFU`: the card did a sixth of what it could.
# Nobody has measured where the rest went. The usual causes are a loss that
# writes all logits of a batch to memory, products too small to fill the card,
# and waiting for data. This book's trainer is written to waste less, but *it
# has not been measured on a rented GPU*; what follows assumes an MFU, the same
# as in the other chapters. What has been measured is the same step on a
# processor, where the machine is the same for all: beside nanoGPT, the code
# that the recipe of 2023 followed, and Hugging Face's `transformers`. The peak
# is what the same processor reaches in large matrix products alone.

# %%
step = load_result("training_step.json")
where, peaks = step["provenance"], step["matmul_flop_per_second"]
print(f"{where['threads']} threads of an {where['device']} "
      f"({', '.join(where['instructions'])})")
for row in step["rows"][-2:]:
    print(f"\n{row['scale']} preset:")
    for name, side in row["sides"].items():
        kind = side.get("number_format", "float32")
        share = side["flop_per_second"] / peaks[kind]
        print(f"{name:18}{side['tokens_per_second']:5,.0f} tokens/s, "
              f"{share:.0%} of the peak in {kind}")

# %% [markdown]
# The first line of each is what `course train` does. This book's first edition had
# none of its means, and the three lines after it leave out one each. The largest is
# bfloat16, where the processor has instructions for it
# ([chapter 4](04_training.ipynb) tries). The next is not about computing at
# all. A step makes the same large tensors as the step before it, but `malloc`
# gives their memory back in between, and what the system hands out again it
# first fills with zeros, page by page. So the trainer asks `malloc` to keep it.
# The many small operations between the products `torch.compile` merges. These two
# speed up the `evening` scale by a fifth and more, and do nothing for the full one,
# where nearly all of the time goes into the products themselves. A fourth means is hidden in all lines with bfloat16: PyTorch's attention kernel
# for processors is slow in it, and plain matrix products, in blocks of queries,
# are faster.

# %% tags=["remove-cell"]
evening, whole = ({name: side["tokens_per_second"]
                   for name, side in row["sides"].items()}
                  for row in step["rows"][-2:])
for means in ("not compiled", "memory given back"):
    assert evening["course_lib"] > 1.2 * evening[means]
    assert whole["course_lib"] < whole[means]

# %%
for row in load_result("attention.json")["rows"]:
    took = row["milliseconds"]
    print(f"{row['scale']:8} {row['number_format']:9} kernel "
          f"{took['kernel']:6.1f} ms, blocks {took['blocks']:6.1f} ms")

# %% tags=["remove-cell"]
assert all(row["blocks_are_faster"][0] > 1
           for row in load_result("attention.json")["rows"]
           if row["number_format"] == "bfloat16")

# %% [markdown]
# The loss is a case of its own. Over 50,304 logits a token it can be had in
# three ways with the same result ([chapter 1](01_architecture.ipynb) has more
# about it). The trainer takes the chunks:

# %%
for way in load_result("loss_memory.json")["rows"]:
    print(f"{way['way']:18} {way['seconds']:5.1f} s, "
          f"{way['peak_bytes'] / 1e9:4.1f} GB")

# %% [markdown]
# ## What has been learned since?
#
# Now the science: changes that lower the loss for the same work. Each of them
# was published with a figure in which it helps. To see what they do *together*,
# in our own hands, we begin with the recipe of 2023 as its code has it and
# change one thing at a time. A `Recipe` is all that may be changed, and the
# package has three. Here are the first and the last, where they differ:

# %%
from course_lib.recipes import RECIPES

# %%
first_one, modern = (RECIPES[name].at(preset).to_dict()
                     for name in ("2023", "modern"))
for part in (first_one, modern):
    part.update(part.pop("model"))
for field, value in first_one.items():
    if value != modern[field] and field != "recipe":
        value = "never" if value == 1e9 else value
        print(f"{field:15} {value!s:15} {modern[field]}")

# %% [markdown]
# The lines below lead from the one to the other. The first of them are habits.
# They end at the recipe of this book's other chapters, `gpt2`, and most have a
# place in [chapter 4](04_training.ipynb): first weights as GPT-2 set them,
# warm-up and decay, clipping, AdamW's settings. Four need a word. *Half the batch*
# takes twice as many steps for the same text. *No dropout* keeps all numbers
# that the recipe of 2023 would set to zero at random, a tenth of them in each
# step. *Twice the context* has rows twice as long, and half as many. *A late
# fall* is the schedule `wsd`. Habits stay in the table whatever they do; then
# come ideas, and those have to earn their place:
#
# - *{term}`Muon`* {cite}`jordan2024`: another optimizer for the matrices inside
#   the blocks. It takes AdamW's place there and makes a step of the same length
#   in all directions of a matrix.
# - *Rotary positions* {cite}`su2021`: instead of adding a vector for each
#   position, turn queries and keys by an angle that grows with it. What two
#   tokens say to each other then depends on the distance between them.
# - *Normed queries and keys* {cite}`dehghani2023`: their length no longer
#   counts, so that attention cannot become too sure too early.
# - *RMSNorm* {cite}`zhang2019rms` divides a vector by its length and leaves its
#   mean alone: one operation less than LayerNorm.
# - *SwiGLU* {cite}`shazeer2020`: an MLP with a third matrix, a gate that says
#   how much of each inner channel passes. Its inner width is two thirds of the
#   usual, so that the parameters stay as many.
# - *No biases*, in any linear map.
# - *The squared ReLU* {cite}`so2021` for the GELU.
# - *Projections from zero* {cite}`zhang2019`: each block begins as the
#   identity, and adds something only when it has learned something.
# - *An untied head*: the output layer gets a matrix of its own, and pays for it
#   with channels, so that the whole is no larger.
#
# The last line is the recipe `modern`: Muon, rotary positions, normed queries
# and keys, RMSNorm, SwiGLU, no biases. It is not simply what was kept. Its parts
# together are an architecture that other tools know, that of the model family
# Qwen3, so that a model trained here can be read by `transformers` and by
# llama.cpp: `course export RUN --to DIR --gguf` writes it for both. Here is the
# part that looks least like GPT-2:

# %%
from course_lib.model import rotary_angles, rotate

show_source(rotary_angles)
show_source(rotate)

# %% [markdown]
# The comparison has to be fair, and that is more work than the changes are.
#
# *The same work.* Every run works on the same number of positions, and padding
# is work. *The same size*, as far as a change allows: where the parameters are
# fewer or more, the table says so. *The same text.* Every run is measured on
# the same held-out stories, in {term}`bits per byte`. A recipe that knows only
# sentences is asked for each of them and for where it ends; padding counts
# nothing. *The same care.* Each line gets its own learning rate, the best of
# three or more, looked for until the best lies between two that are worse. So
# does the recipe of 2023, whose code has 0.0001 in it. *Two seeds*, because one
# is an anecdote. And *the same trainer*: each run is one of chapter 4's, with
# another configuration.

# %%
recorded = load_result("savings.json")
lines, base = recorded["lines"], recorded["preset"]
where = recorded["provenance"]
print(f"{len(recorded['runs'])} runs of {recorded['positions']:,} "
      f"positions, on a core of an {where['device']}, {where['date']}")
print(f"model: {base['model']['n_layer']} layers of "
      f"{base['model']['n_embd']} channels; padded rows are "
      f"{recorded['real_share']:.0%} real")

# %% [markdown]
# That is a very small model on very little text, and what it says about a large
# one is limited; we come back to that.
#
# :::{admonition} Predict
# :class: hint
# Which of the lines below helps most? And does any do harm?
# :::

# %% mystnb={"figure": {"caption": "Choose a line: a tick stands at what is on, and the curves say what it is worth. Dots: where two seeds end at the line's best learning rate, filled if the change was kept for the lines below. Recorded.", "name": "fig-savings"}}
from course_lib.showing import Axes, Trick, show_tricks


def runs_of(line, record=recorded):
    return [run for run in record["runs"]
            if run["recipe"] == line["recipe"]
            and run["rate"] == line["rate"]
            and run["asked"] == record["positions"]]


def draw(record, text):
    whole = runs_of(record["lines"][0], record)[0]["flop"]
    tricks = []
    for line in record["lines"]:
        two = runs_of(line, record)
        curves = [[(p["tokens"] / run["positions"] * run["flop"]
                    / whole, p["bits_per_byte"])
                   for p in run["curve"]] for run in two]
        tricks.append(Trick(line["name"], curves,
                            [run["bits_per_byte"] for run in two],
                            line["kept"]))
    axes = Axes("share of the work of 2023", "bits per byte",
                {.02: "2%", .1: "10%", .5: "50%", 1: "100%"})
    show_tricks(tricks, axes, "The lines from the recipe of 2023 to "
                "the modern one, each with where its runs end on "
                f"held-out {text} and, when chosen, their curves.",
                ladder=True)


draw(recorded, "stories")

# %% [markdown]
# Now the question that money asks: how much work does each line need to become
# as good as the recipe of 2023 was at its end, with the worse of its two seeds?
# The model was measured along each run; we read off where it passed that. (A run that is planned to
# be longer is higher on its way than one that ends there, since its learning
# rate has not yet come down. So these shares are rather too large.)

# %%
import numpy as np


def share_to(run, target):
    """The share of a run's work after which it was at `target`."""
    lowest = np.minimum.accumulate(
        [p["bits_per_byte"] for p in run["curve"]])
    tokens = np.log([p["tokens"] for p in run["curve"]])
    if lowest[-1] > target:
        return np.nan
    needed = np.exp(np.interp(-target, -lowest, tokens))
    return needed / run["positions"]


def ends(line, record=recorded):
    return [run["bits_per_byte"] for run in runs_of(line, record)]


def named(name, record=recorded):
    return next(line for line in record["lines"]
                if line["name"] == name)


def work_for(line, record, goal, unit):
    """The work in which each seed of the line gets to `goal`, in units
    of so many FLOP."""
    return [share_to(run, goal) * run["flop"] / unit
            for run in runs_of(line, record)]


def work_to(line, record=recorded):
    """The share of the work of 2023 that each seed of the line needs to
    get where the recipe of 2023 ended, on the same text."""
    first = named("the recipe of 2023", record)
    whole = runs_of(first, record)[0]["flop"]
    return work_for(line, record, max(ends(first, record)), whole)


def table(record):
    print(f"{'line, + if it helps':24}parameters  bits per byte"
          "     rate   work needed")
    for line in record["lines"]:
        two, needed = runs_of(line, record), work_to(line, record)
        mark = "+" if line["helps"] else "-"
        print(f"{line['name']:22} "
              f"{' ' if line is record['lines'][0] else mark}"
              f"{two[0]['parameters']:11,} "
              + "".join(f"{run['bits_per_byte']:7.3f}" for run in two)
              + f"  {line['rate']:.4f}"
              + "".join("      -" if np.isnan(share)
                        else f"{share:7.1%}" for share in needed))


table(recorded)

# %% [markdown]
# A plus stands where a line is better than what was kept before it with both
# seeds. "Work needed" is a share of the work of 2023, for each seed; a stroke
# means that the run never got there.
#
# The way down in {numref}`fig-savings` has a few large steps, and packing is
# none of them. Packing *alone* does harm: the same work goes over three times
# as much text, and the end is higher. Then the first weights are set as GPT-2
# set them, and that is the first large step. About the lines after it the table
# says little: the two seeds of one line end further apart than the lines do. In
# runs as short as these it is luck when a model gets off its first plateau. *No
# dropout* brings both seeds down. Dropout guards against learning a text by
# heart, and in one pass over fresh text there is nothing to guard against.
#
# Then *Muon* takes off two fifths, and *rotary positions* almost a third of
# what is left. (Muon does some work of its own in each step, outside the model,
# which the column of work leaves out; with the far larger batch of the full
# preset it is a small share.) After these two nothing large is left. Normed
# queries, RMSNorm, SwiGLU and the projections from zero change about as much as
# a seed does. Without biases this small model is worse, and with the squared
# ReLU or an untied head a little. The recipe `modern` has no biases either and
# pays for that; what it gets is a shape that everyone's tools know.
#
# ## Why would packing do harm?
#
# :::{admonition} Predict
# :class: hint
# A row full of text teaches less than one that is three quarters padding. What
# could the first weights have to do with it?
# :::
#
# PyTorch fills an embedding with numbers of size 1, unless it is tied to the
# output layer, whose numbers are much smaller. So in 2023 the vector that says
# *where* a token stands was much louder than the one that says *which* token
# it is:

# %%
import torch

from course_lib.model import GPT

torch.manual_seed(0)
old = GPT(RECIPES["2023"].at(preset).model).transformer
print(f"a token's numbers are of size    {old.wte.weight.std():.3f}")
print(f"a position's numbers are of size {old.wpe.weight.std():.3f}")

# %% [markdown]
# In a row that begins where a sentence begins, *where* says a good deal. In a
# window cut from packed text anywhere, it says nothing and drowns out the rest.
# If that is the reason, then it should be enough to turn the positions down,
# with all else as in 2023. Here are four runs, made while the page was built,
# on the stories of the smoke preset: the recipe of 2023 and the same with
# packed rows, each with its positions loud and quiet.

# %%
from course_lib.training import train

smoke = load_preset("smoke")
here = {}
for layout in ("sentences", "packed"):
    recipe = RECIPES["2023"].but(layout=layout, batch_tokens=1024)
    run = stages.prepared(recipe.at(smoke))
    for size in (1.0, 0.02):
        short = recipe.at(replace(smoke, tokens=98_304))
        torch.manual_seed(short.seed)
        model = GPT(short.model)
        model.transformer.wpe.weight.data *= size
        made = train(None, short, run.train_tokens, run.measured_tokens,
                     model=model, evaluate_at=(), progress=False)
        here[layout, size] = made.evaluation.bits_per_byte
        print(f"{layout:10} positions x {size:4}: "
              f"{here[layout, size]:.3f} bits per byte")

# %% tags=["remove-cell"]
loud, quiet = ({layout: here[layout, size] for layout in
                ("sentences", "packed")} for size in (1.0, 0.02))
assert quiet["packed"] < loud["packed"] - 0.3
assert quiet["sentences"] > loud["sentences"] - 0.2

# %% [markdown]
# It was the positions, as far as one seed can tell: quieter ones do little for
# padded rows and much for packed ones. What a change is worth depends on what
# stands beside it. Had we tried packing first and kept only what helps, we
# would have thrown it away. That is why habits are kept whatever they do, and
# only ideas must earn their place.
#
# ## How short can the run be?
#
# Shares read off a curve can be checked by running to the end. The last recipe
# that was kept is also trained on a half, a quarter and so on of the work, each
# time with its own schedule, warm-up and fall included.

# %%
last = [line for line in lines if line["kept"]][-1]
goal = max(ends(lines[0]))
print(f"the recipe of 2023, at its end: {goal:.3f}")
for part in (2, 4, 8, 16):
    short = [run["bits_per_byte"] for run in recorded["runs"]
             if run["asked"] == recorded["positions"] // part
             and run["rate"] == last["rate"]
             and run["recipe"] == last["recipe"]]
    on_the_way = [next(p["bits_per_byte"] for p in run["curve"]
                       if p["tokens"] >= run["positions"] / part)
                  for run in runs_of(last)]
    print(f"the last one, 1/{part:<2} of the work:"
          + "".join(f"{end:7.3f}" for end in short)
          + "   the long run there:"
          + "".join(f"{loss:7.3f}" for loss in on_the_way))

# %% tags=["remove-cell"]
def of(name, record=recorded):
    return np.array(ends(named(name, record), record))


assert min(of("packed rows")) > max(of(lines[0]["name"])) + 0.04
assert max(of("GPT-2's first weights")) < min(
    of(lines[0]["name"])) - 0.5
for name in ("warm-up and decay", "clipping", "half the batch",
             "AdamW as in chapter 4"):
    assert np.ptp(of(name)) > 0.25
    assert min(of(name)) < max(of("GPT-2's first weights"))
assert max(of("no dropout")) < min(of("half the batch")) - 0.05
assert 0.56 < of("Muon").mean() / of("a late fall").mean() < 0.64
assert 0.66 < of("rotary positions").mean() / of("Muon").mean() < 0.72
for name in ("RMSNorm", "SwiGLU", "projections from zero"):
    assert abs(of(name) - of("normed queries, keys")).max() < 0.007
for name in ("squared ReLU", "untied, fewer channels"):
    assert 0.005 < (of(name) - of("normed queries, keys")).min() < 0.02
for name in ("no biases", "the modern recipe"):
    assert (of(name) - of("normed queries, keys")).min() > 0.03
assert part == 16 and len(short) == 2 and max(short) < goal - 0.4
assert max(short) < min(on_the_way)
assert max(work_to(last)) < 1 / 20

# %% [markdown]
# A sixteenth of the work is enough, and to spare ({numref}`fig-work`). A short
# run ends below the place where a long one is after the same work, so the
# shares in the table are on the cautious side.

# %% mystnb={"figure": {"caption": "Bits per byte of held-out stories over the work of training, for some of the lines, one seed each. Dashed: where the recipe of 2023 ends. Recorded.", "name": "fig-work"}, "image": {"alt": "Falling curves over work. Packed rows alone stay highest; the last recipe crosses the final value of the 2023 recipe early and ends far below it."}}
import matplotlib.pyplot as plt

names = [lines[0]["name"], "packed rows", "a late fall"]
shown = [line for line in lines
         if line["name"] in names or line is last]
for line, color, style in zip(shown, plots.PALETTE, plots.STYLES):
    run = runs_of(line)[0]
    flop = [p["tokens"] / run["positions"] * run["flop"]
            for p in run["curve"]]
    plt.plot(flop, [p["bits_per_byte"] for p in run["curve"]], style,
             color=color, label=line["name"])
plt.axhline(goal, color="black", linestyle="--", linewidth=0.8)
plt.xscale("log")
plt.xlabel("FLOP")
plt.ylabel("bits per byte")
plt.legend();

# %% [markdown]
# ## Is it the stories?
#
# The stories reward a recipe that reads past the end of a sentence, more than
# books may: a name in the first sentence returns in the last. So the whole
# campaign was run again on public-domain books, with the same model, positions
# and care, and a tokenizer of the same size made for them. It is measured on
# windows from all over the books that were held out.
#
# :::{admonition} Predict
# :class: hint
# Which lines will be worth less on books, and which more?
# :::

# %% mystnb={"figure": {"caption": "The same lines on real books. Recorded.", "name": "fig-savings-books"}}
on_books = load_result("savings_books.json")
draw(on_books, "books")

# %%
print(f"{len(on_books['runs'])} runs; padded rows are "
      f"{on_books['real_share']:.0%} real")
table(on_books)

# %% tags=["remove-cell"]
names = [line["name"] for line in on_books["lines"]]
assert names == [line["name"] for line in lines]
steps = {name: of(one, on_books).mean() - of(name, on_books).mean()
         for one, name in zip(names, names[1:])}
assert max(steps, key=steps.get) == "GPT-2's first weights"
assert steps["packed rows"] < -0.02 and steps["Muon"] > 0.1
assert steps["rotary positions"] > 0.1
ideas = names[names.index("Muon"):]
helps = [{line["name"] for line in one if line["helps"]} & {*ideas}
         for one in (lines, on_books["lines"])]
both = {"Muon", "rotary positions"}
assert helps == [both | {"normed queries, keys"}, both | {"RMSNorm"}]
assert 0 < of("rotary positions").mean() - of(
    "normed queries, keys").mean() < 0.008
assert 0 < of("rotary positions", on_books).mean() - of(
    "RMSNorm", on_books).mean() < 0.008
kept = of("RMSNorm", on_books)
assert 0.02 < (of("no biases", on_books) - kept).mean() < 0.04
assert 0.01 < (of("the modern recipe", on_books) - kept).mean() < 0.03
begun = of("GPT-2's first weights", on_books)
assert min(of("warm-up and decay", on_books)) > max(begun) + 0.05
assert max(of("a late fall", on_books)) < min(begun)

# %% [markdown]
# In {numref}`fig-savings-books` the order is the same where it matters. The first
# weights are the largest step; Muon and rotary positions take theirs; and after
# them nothing does. Normed queries help with the stories and RMSNorm with the
# books, by less than a hundredth of a bit. Without biases the model is worse
# here too, though by less, and so `modern` ends somewhat above the best line.
# What differs is the middle. The cosine gives back part of what the first weights
# had gained, and only the late fall is clearly below them again. So it was not
# the stories.
#
# ## Do longer runs and larger models save as much?
#
# Part of what the habits do is to get a run off its first plateau sooner, and a
# run of 20 hours gets off it anyway. So the savings should shrink as runs grow
# longer, and perhaps as models grow larger. The full model has 51 million
# parameters, which is beyond us here. But the direction can be tried on books:
# the recipe of 2023 against the habits of this book (all lines down to *a late
# fall*) and against the recipe `modern`, with four times the work; and against
# the habits with a model of five times the parameters. Each has its learning
# rate tuned again. At the end of each line stands the work needed, as above.
#
# :::{admonition} Predict
# :class: hint
# With four times the work, do the habits save a larger or a smaller share of
# it? And `modern`? And what does the larger model change?
# :::

# %%
longer, wider = (load_result(f"savings_books_{name}.json")
                 for name in ("longer", "wider"))
needed = []
for what, record, line in (
        ("habits, as above", on_books, "a late fall"),
        ("habits, four times the work", longer, "a late fall"),
        ("habits, a larger model", wider, "a late fall"),
        ("modern, as above", on_books, "the modern recipe"),
        ("modern, four times the work", longer, "the modern recipe")):
    line = named(line, record)
    needed.append(work_to(line, record))
    print(f"{what:28}{runs_of(line, record)[0]['parameters']:8,} "
          "parameters" + "".join(f"{share:7.1%}"
                                 for share in needed[-1]))
longest = runs_of(named("a late fall", longer), longer)[0]["flop"]
whole = flops_per_token(full.model) * REAL
print(f"the full run is {whole / longest:,.0f} times the longest "
      "of these")

# %% tags=["remove-cell"]
means = [np.mean(shares) for shares in needed]
assert 0.11 < means[1] < 0.14 and abs(means[1] - means[0]) < 0.02
assert max(needed[2]) < 0.7 * min(needed[0])
assert 0.9 < means[4] / means[3] < 1 and 0.06 < means[4] < 0.075

# %% [markdown]
# Nothing shrank. With four times the work the habits need an eighth of it, about
# as before, and `modern` a fifteenth, a little less than before. With the larger
# model the habits need a smaller share, not a larger one.
#
# That is a direction and no proof, as the last line says.

# %% [markdown]
# ## The bill
#
# Now the whole of it, for the full model. Padding is arithmetic. Longer rows
# *cost* a little: attention looks further back. A better share of the V100's
# peak and a newer card are engineering; both stand at the assumed MFU, so their
# dollars are *projected*. What the science saves at full size nobody has
# measured here: the last bar shows what it would be if the factor of the recipe
# `modern`, from the small model on books, held.

# %%
MFU, CARD = GPU_MFU, "A100"
longer = flops_per_token(full.model) / flops_per_token(full.model, ROW)


def price(gpu):
    return gpu.dollars_per_hour / gpu.peak_at()


by_modern = named("the modern recipe", on_books)
beyond = [share / on_books["real_share"] for share
          in work_to(by_modern, on_books)]  # padding is counted already
science = float(np.mean(beyond))
bars = [("padding left out", real, "arithmetic"),
        ("rows of 512", longer, "arithmetic"),
        (f"{reached:.0%} to {MFU:.0%} of the peak", reached / MFU,
         "engineering"),
        (f"V100 to {CARD}", price(GPUS[CARD]) / price(v100),
         "engineering"),
        ("the modern recipe", science, "science")]
factors = [factor for _, factor, _ in bars]
dollars_left = paid * np.cumprod([1] + factors)
for (name, factor, kind), left in zip(bars, dollars_left[1:]):
    print(f"{name:22} x {factor:4.2f}  ${left:6.2f}  {kind}")
print(f"by the two seeds, the last is {min(beyond):.2f} to "
      f"{max(beyond):.2f}")

# %% tags=["remove-cell"]
from course_lib.scaling import dollars

again = dollars(flops_per_token(full.model) * REAL, CARD, MFU)
assert abs(dollars_left[-2] / again - 1) < 1e-9

# %% mystnb={"figure": {"caption": "The bill for 51M parameters and 1.1B tokens. Each bar goes from what was paid before a saving to what is left after it, on a logarithmic axis: equal lengths are equal factors. Bars with lines or dots are projected.", "name": "fig-bill"}, "image": {"alt": "A waterfall from fifty dollars down: leaving out padding and using more of the card are the longest bars, a newer card follows, longer rows cost a little, and the projected saving by science comes last."}}
kinds = "arithmetic", "engineering", "science"
hatches = dict(zip(kinds, ("", "///", "...")))
figure, ax = plt.subplots(figsize=(7, 3.4))
ax.barh(0, paid - 0.05, left=0.05, color="#777777")
ax.text(paid * 1.06, 0, f"${paid:.2f}", va="center")
for place, (name, factor, kind) in enumerate(bars, 1):
    before, after = dollars_left[place - 1:place + 1]
    ax.barh(place, before - after, left=after, edgecolor="white",
            color=plots.PALETTE[kinds.index(kind)],
            hatch=hatches[kind])
    saves = after < before  # what is left stands where the bar ends
    ax.text(after * (0.94 if saves else 1.06), place, f"${after:.2f}",
            va="center", ha="right" if saves else "left")
for kind, color in zip(kinds, plots.PALETTE):
    ax.fill_between([], [], facecolor=color, edgecolor="white",
                    hatch=hatches[kind], label=kind)
ax.set_yticks(range(len(bars) + 1),
              ["paid in 2023"] + [name for name, *_ in bars])
ax.set(xscale="log", xlim=(0.05, 200))
ax.set_xticks([0.1, 1, 10, 100], ["$0.10", "$1", "$10", "$100"])
ax.invert_yaxis()
ax.legend(loc="lower right");

# %% [markdown]
# Where each bar of {numref}`fig-bill` comes from: the first two from the cells of
# this page. The share of the peak reached in 2023 from the first cell too, and the MFU from
# nowhere: it is the assumption. The price of a FLOP from the table in
# `course_lib/machine/gpus.py`, which names its sources. The last from the runs of
# the table, which {doc}`../book/recorded` has with their command and their curves.
#
# What you doubt you can move in {numref}`fig-your-bill`: the assumed MFU, the
# card, what it costs where you rent, and whether the recipe saves anything at
# all.

# %% mystnb={"figure": {"caption": "The same bill under your own assumptions. Each sum stands at the end of its bar, where the next begins.", "name": "fig-your-bill"}}
from course_lib.showing import bill_chart, show_chart

recipes = {"modern": science, "as in 2023": 1.0}
show_chart(bill_chart(paid, real, longer, reached, recipes,
                      round(100 * MFU), CARD),
           "Bars of what is left of the bill after each step, with "
           "controls for the MFU, the card, its price and the recipe.")

# %% [markdown]
# ## Which of these savings last?
#
# *Arithmetic* lasts. Padding is a share of the positions, whatever the model;
# on BookCorpus it was three quarters, on these stories it is a little less.
#
# *Engineering* lasts as far as the machine goes. If the trainer reaches half of
# the assumed MFU, every dollar figure from that bar on doubles; exercise 1
# tries other shares.
#
# *Science* is the bar to doubt. Part of it is a run that leaves its first plateau
# sooner, which a long run does anyway. Yet nothing shrank over the stretch that
# could be tried here, which ends far below the full run. And the
# learning rate was tuned here for the recipe of 2023 as
# well: if 0.0001 was not its best, the real gap was larger than ours. The ideas are
# used in models thousands of times as large, and for Muon the saving itself was
# measured there {cite}`liu2025`. So the last bar is a guess with a small experiment
# behind it, and the dollars of the bar before it are the ones to plan with.
#
# ## What would fifty dollars buy now?
#
# Chapter 2's law can be read forwards: from dollars to the model that they buy.
#
# :::{admonition} Predict
# :class: hint
# The same fifty dollars, spent on one of today's cards without waste: how many
# times larger a model would they train?
# :::

# %%
from course_lib.scaling import plan, published_fit

# %%
now = plan(50, CARD, MFU)
law = published_fit().fit.law
N = count_parameters(full.model).total
print(f"in 2023: {N / 1e6:.0f}M parameters, {REAL / 1e9:.1f}B tokens, "
      f"loss {law.loss(N, REAL):.2f} by the law")
print(f"now:     {now.N / 1e6:.0f}M parameters, {now.D / 1e9:.1f}B "
      f"tokens, loss {now.loss:.2f}, in {now.hours:.0f} hours")

# %% [markdown]
# Not a cheaper model of the same size, but a much larger one. Both losses are
# the law's, on the text and tokenizer of its own paper
# ([chapter 2](02_scaling_laws.ipynb)).
#
# ## And what does it say?
#
# In 2023 the trained model said, as the post has it: "life is about romance ,
# and love and adrenaline , at the same time ." The full model of this book has
# not been trained on a recorded machine, so there is nothing of its size to put
# beside that. What there is: a model of a sixth of the parameters, on a CPU, on
# real books, the one of [chapter 7](07_speaks.ipynb).

# %%
books = load_result("long_run.json")
spent = books["training"]
print(f"{books['parameters'] / 1e6:.1f}M parameters, "
      f"{spent['tokens'] / 1e6:.0f}M tokens, "
      f"{spent['hours']:.1f} hours on {spent['threads']} cores, "
      f"${spent['dollars']:.2f}")
print(f"{books['validation']['bits_per_byte']:.2f} bits per byte")
print(books["samples"][-1]["texts"]["life is about"])

# %% [markdown]
# The two sentences cannot be compared: other text, another tokenizer, a
# sixth of the size, and one was chosen by its author. What could be
# compared, bits per byte on the same held-out books, has not been measured for
# the model of 2023.
#
# ## Two commands
#
# The run that would turn *projected* into *measured* is two commands on a
# machine with a GPU, and `cloud/train.sky.yaml` gives both to a rented one:
#
# ```
# course prepare --corpus bookcorpus --preset full --recipe modern --out runs/full
# course train runs/full --resume
# ```
#
# With `--recipe 2023` or `gpt2` the same two commands train by the recipes that
# this chapter came from; any scale takes any of them.
#
# So that an hour is not paid for a typing error, `cloud/dry_run.sh` goes the
# same way with the model at its full width, but for four steps: it prepares,
# starts, is told to stop in the first step, goes on, evaluates, samples,
# exports and records. A test runs it on a CPU.
#
# :::{admonition} Takeaway
# :class: tip
# Most of the fifty dollars went into padding and into a card used at a sixth of
# its peak. That is counted, or a matter of machines, and holds at any size.
# What lowers the loss for the same work has to be measured: with both sides
# tuned, on the same text, for the same work, with more than one seed, and with
# the lines that did not help left in the table.
# :::
#
# ## Write it yourself
#
# In your file (`course new my_gpt.py`) the last two steps are for the brave:
# `rotary` and `muon`. Rotary positions turn channel $i$ and channel $i + D/2$ as
# a pair, by $10000^{-2i/D}$ radians a place.

# %%
from course_lib.exercises import check

def rotary(x, start=0):
    """(B, H, T, D) whose first token stands at place `start` -> the
    same, its pairs of channels turned."""

print(check("rotary", rotary))

# %% [markdown]
# Solution (click to open):

# %% tags=["hide-cell"]
import torch


def rotary(x, start=0):
    T, D = x.shape[-2:]
    speeds = 10_000.0 ** (-torch.arange(D // 2) * 2 / D)
    angles = (start + torch.arange(T))[:, None] * speeds
    cos, sin = angles.cos(), angles.sin()
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)

print(check("rotary", rotary))

# %% tags=["remove-cell"]
assert check("rotary", rotary).right

# %% [markdown]
# ## Exercises
#
# ### 1. If the assumption is wrong
#
# *Easy, 5 minutes.* The dollars stand on an
# assumed MFU. What would the same training cost at 20%, and at 55%? From which
# MFU on does it cost less than a dollar on an A100?
#
# Solution (click to open):

# %% tags=["hide-cell"]
flop = flops_per_token(full.model) * REAL
for share in (0.20, 0.55):
    print(f"{share:.0%}: ${dollars(flop, CARD, share):.2f}")
enough = dollars(flop, CARD, 1.0) / 1.00
print(f"under a dollar from {enough:.0%} on")
assert abs(dollars(flop, CARD, enough) - 1) < 1e-9

# %% [markdown]
# ### 2. What is luck?
#
# *Medium, 15 minutes.* Two runs of a line differ in nothing but the seed.
# Estimate the standard deviation of a run from such pairs. The first lines are
# far more restless than the last: how would you take that into account? Mark
# the lines whose mean is nearer to that of the kept line before them than luck
# would explain.
#
# Solution (click to open):

# %% tags=["hide-cell"]
pairs = np.array([ends(line) for line in lines])
apart = (pairs[:, 0] - pairs[:, 1]) ** 2 / 2
kept, uncertain = 0, []  # the place of the last line that was kept
for place in range(1, len(lines)):
    # of a run, and as it happens of the difference of two means of two;
    # from the seven pairs nearest in the table
    luck = np.sqrt(apart[max(0, place - 3):place + 4].mean())
    gain = pairs[kept].mean() - pairs[place].mean()
    if abs(gain) < 2 * luck:
        uncertain.append(lines[place]["name"])
    print(f"{lines[place]['name']:23} {gain:+.3f}  luck {luck:.3f}"
          + ("  may be luck" if abs(gain) < 2 * luck else ""))
    kept = place if lines[place]["kept"] else kept

# %% tags=["remove-cell"]
assert "RMSNorm" in uncertain and "Muon" not in uncertain

# %% [markdown]
# ### 3. A line of your own
#
# *Medium, 10 minutes.* `python benchmarks/savings.py` trains all lines of the
# table, and goes on where it was stopped. Any field of a `Recipe` or of a
# `GPTConfig` can be changed in a line of your own. One command tunes the learning
# rate of your line and of the last recipe, trains each with two seeds, and says
# whether it helps:
#
# ```
# python benchmarks/savings.py --line dropout=0.05
# ```
#
# Try it with a change that you believe in. (`--positions` makes it shorter, and
# then less is to be learned from it.)
#
# Solution (click to open):

# %% tags=["hide-cell"]
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from course_lib.machine import ROOT

own = Path(tempfile.mkdtemp(), "own.json")
subprocess.run(
    [sys.executable, ROOT / "benchmarks" / "savings.py",
     "--line", "dropout=0.05", "--preset", "smoke",
     "--positions", "4096", "--out", own],
    check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    env={**os.environ, "PYTHONPATH": str(ROOT)})
kept, line = json.loads(own.read_text())["lines"]
print(f"{line['name']}, at a rate of {line['rate']:.4f},",
      "helps" if line["helps"] else "does not help")
assert line["changes"] == {"dropout": 0.05}
