# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Training: one step by hand, then all of them
#
# We have a model that maps tokens to logits and a file of tokens without a
# gap in it. Training joins the two: show the model a batch, measure how
# surprised it was, move every weight a little, repeat. This chapter does one
# such step in the open, adds what separates a loop that works from one that
# works by luck, runs it, kills it, and resumes it. Then it solves a small
# mystery: how a published run came to report a {term}`perplexity` that cannot exist.

# %%
from course_lib import stages
from course_lib.presets import load_preset
from course_lib.showing import card, plots, show_source

preset = load_preset()  # $COURSE_SCALE: smoke, laptop or full
plots.use_style()
card("04_training", needs="chapters 0, 1 and 3; chapter 2 for its bet",
     gives="a trained GPT, and a bill that you can check",
     full_run=True, trains=True)

# %% [markdown]
# ## What does one step look like?
#
# First the data. [Chapter 3](03_tokenizer.ipynb) packed all text into one
# file; a batch is a handful of windows cut from it anywhere, in mid-word too,
# and the *targets* are the same windows one token later. So every position is
# an exercise with its answer printed beside it.

# %%
from course_lib.showing import print_text

train_tokens, val_tokens = stages.tokens(preset)
tokenizer = stages.tokenizer(preset)
T = preset.model.context_length
ids, targets = train_tokens.batch(0, preset.rows, T)
print(f"{ids.shape[0]} rows of {ids.shape[1]} tokens; the first:")
print_text(tokenizer.decode(ids[0].tolist()))

# %%
for place in range(4):
    before = tokenizer.decode(ids[0, :place + 1].tolist())
    after = tokenizer.decode([targets[0, place].item()])
    print(f"{before!r} -> {after!r}")

# %%
import math

from course_lib.training.start import start

model, optimizer = start(preset, "cpu")
loss = model.loss(ids[:8], targets[:8])
print(f"loss {loss.item():.3f} nats; ln V = "
      f"{math.log(preset.model.vocab_size):.3f}")

# %% [markdown]
# Almost $\ln V$, as {doc}`chapter 1 <01_architecture>` found for a newborn
# model. If the first loss of a run is far from it, stop: something is wrong
# before anything was learned.
#
# Backwards now. One call fills `.grad` of every weight with the slope of the
# loss. For that it needs what the parts computed on the way: the forward pass
# leaves it in memory, and the backward pass uses it up ({numref}`fig-memory`).

# %% mystnb={"figure": {"caption": "A batch's way through memory, counted in the tensors that PyTorch keeps. Forward, each part leaves some behind; backward, the last is used first. The weights are not in it.", "name": "fig-memory"}, "image": {"alt": "Bars that climb from the embedding through each block to the head and loss, then descend in reverse order as the backward pass gives each part's memory back."}}
from course_lib.showing import draw_memory

draw_memory(model, ids[:2], targets[:2]);

# %% [markdown]
# The peak is at the loss, and it grows with the rows: a batch that does not fit
# is taken in parts. Then the optimizer takes a step downhill.
#
# :::{admonition} Predict
# :class: hint
# How much lower will the loss on these rows be after one step: a thousandth of
# a nat, a tenth, or more? And how far will one weight have moved?
# :::

# %%
loss.backward()
weight = model.transformer.h[0].mlp.c_fc.weight
before, slope = weight.detach().clone(), weight.grad[0, 0].item()
optimizer.step()
optimizer.zero_grad(set_to_none=True)
again = model.loss(ids[:8], targets[:8])
print(f"loss on the same rows: {loss:.3f} -> {again:.3f}")
print(f"one weight: gradient {slope:+.5f}, moved by "
      f"{(weight - before)[0, 0]:+.5f}")
print(f"the learning rate: {preset.learning_rate}")

# %% tags=["remove-cell"]
assert abs(loss.item() - math.log(preset.model.vocab_size)) < 0.3
assert again < loss - 0.15
moved = (weight - before)[0, 0].item()
assert moved * slope < 0
assert abs(abs(moved) / preset.learning_rate - 1) < 0.02

# %% [markdown]
# The loss on these eight rows fell by far more than a tenth, which promises
# nothing for other rows; and a real run does not begin with a step as long as
# this, as we will see. The weight went against its {term}`gradient`, but by the
# learning rate, however small the gradient was. That is the {term}`optimizer`'s
# doing, {term}`AdamW` {cite}`loshchilov2019`. For each weight it keeps two
# running averages, of the gradient and of its square, and steps along the first
# divided by the root of the second, which is the gradient's usual size. So a
# weight that rarely hears anything still learns when it does. After a single
# batch both averages know one gradient, and of the quotient only the sign is
# left. `betas` say how much of each average survives a step. The W stands for
# {term}`weight decay`: every matrix shrinks a little at each step, and what is
# not renewed by the data fades. Vectors (norms and biases) are left out. The
# function below makes this optimizer and two others, on which more in chapter 6.

# %%
from course_lib.training import make_optimizer

show_source(make_optimizer)

# %% [markdown]
# ## What makes a step safe?
#
# That is all of training. The rest of the chapter is about doing it hundreds
# or thousands of times without accidents. Here is the step of the package, and
# what is new in it we take in turn. (`loss_of` is `model.loss`, unless several
# GPUs share a step: then it also averages their gradients.)

# %%
from course_lib.training import train_step

show_source(train_step)

# %% [markdown]
# **{term}`Accumulation`.** The loop over parts is for machines with little
# memory. A batch that does not fit is done in turns, each weighted by its share
# of the rows, and the gradients of the turns add up to those of the whole. That
# is a claim, so here is its test, in double precision, where rounding cannot
# hide a mistake.

# %%
import copy

import torch

wide = copy.deepcopy(model).double()
parts = copy.deepcopy(wide)
wide.loss(ids[:8], targets[:8]).backward()
for i in range(0, 8, 2):
    (parts.loss(ids[i:i + 2], targets[i:i + 2]) / 4).backward()
worst = max((a.grad - b.grad).abs().max().item() for a, b in
            zip(wide.parameters(), parts.parameters()))
print(f"largest difference of a gradient: {worst:.1e}")

# %% tags=["remove-cell"]
assert worst < 1e-12

# %% [markdown]
# **Sixteen bits.** A GPU multiplies numbers of 16 bits many times faster than
# those of 32. There are two ways to spend the 16: for digits, or for range.
#
# :::{admonition} Predict
# :class: hint
# Some gradients are as small as 0.00000001. Which of the three formats below
# can hold that?
# :::

# %%
for name in ("float32", "bfloat16", "float16"):
    kind = torch.finfo(getattr(torch, name))
    least = kind.smallest_normal * kind.eps  # with one digit left
    print(f"{name:8}  largest {kind.max:.0e}, smallest {least:.0e}, "
          f"after 1 comes 1 + {kind.eps:.0e}")
small = torch.tensor(1e-8)
print("in float16:            ", small.half().item())
print("times 65,536, and back:",
      (small * 65_536).half().float().item() / 65_536)
sizes = torch.cat([p.grad.flatten() for p in wide.parameters()])
sizes = sizes[sizes != 0].abs()
print(f"{(sizes.half() == 0).double().mean():.2%} of the gradients "
      f"above would be zero in float16")

# %% tags=["remove-cell"]
assert small.half() == 0 and (small * 65_536).half() > 0
assert sizes.half().min() == 0

# %% [markdown]
# bfloat16 keeps the range of float32 and gives up digits. Only the products
# are done in it: the weights and AdamW's averages stay in float32, and so do
# the sums inside a softmax, a norm or the loss, which makes it
# {term}`mixed precision`. GPUs have units for it since the A100. Many
# processors have instructions for it too, but some only imitate it, and some
# virtual machines name instructions that end the process. So the course does
# not ask the machine what it can do. A child process takes a few steps in
# either format, and if it dies, only the child does:

# %% tags=["remove-cell"]
from course_lib.machine import autocast, instructions
from course_lib.training.processor import speeds

# %%
found = speeds()  # tried once on a machine, then read from a file
print("instructions:", *instructions())
for scale in ("laptop", "evening"):
    for name, speed in found.get(scale, {}).items():
        print(f"{scale:8} {name:9}{speed:8,.0f} tokens/s")
if "died" in found:
    print("bfloat16 ended the child with", found["died"])

# %% [markdown]
# That is the evidence by which the trainer chooses on this machine: bfloat16
# where a step of the nearest scale is faster with it. What it chose is stored
# in the run, and a resume keeps to it.
#
# The digits are gone all the same. Here is one gradient in both formats, and
# how far apart they are:

# %%
formats = ["float32"] + ["bfloat16"] * ("died" not in found)
one, sums = copy.deepcopy(model), {}
for name in formats:
    one.zero_grad()
    with autocast("cpu", name):
        loss = one.loss(ids[:8], targets[:8])
    loss.backward()
    sums[name] = torch.cat([p.grad.flatten() for p in one.parameters()])
off = (sums[formats[-1]] - sums["float32"]).norm()
print(f"the gradient in {formats[-1]} is off by "
      f"{off / sums['float32'].norm():.1%} of its length")

# %% [markdown]
# The V100 and the T4 have float16 only, where
# small gradients become zero. They are few here, but there are models that do
# not train without them {cite}`micikevicius2018`. So the `scaler` multiplies
# the loss by a large number before the backward pass, and divides the
# gradients by it before the update. If that was too much, and some gradient
# came out as infinity, the step is skipped and the number halved. Without a
# scaler a gradient with a NaN changes no weight either (`found_inf`),
# and at the next line of the log the run stops and names its last good
# checkpoint.
#
# **Clipping.** Now and then a batch is strange and its gradient, as one vector
# over all weights, much longer than usual. {term}`Gradient clipping` shortens
# it to a fixed length and keeps its direction, so that one odd page does no
# lasting harm. What harm that would be, and how often clipping acts, we will
# measure.
#
# **The learning rate** is not constant. It climbs for the first steps, the
# {term}`warm-up`, while AdamW's averages rest on a handful of batches; it stays
# at its peak; and it falls in a straight line over the last fifth of the run,
# because large steps find the valley and small ones its floor. The package
# calls this {term}`schedule` `wsd`, for warm-up, stable, decay. Older recipes
# fall along a cosine from the first step to the last {cite}`loshchilov2017`.
# Either way the fall must end where the run ends {cite}`hoffmann2022`.

# %%
from course_lib.training import learning_rate

show_source(learning_rate)

# %% mystnb={"figure": {"caption": "The learning rate of this run, and the cosine of older recipes.", "name": "fig-schedule"}, "image": {"alt": "The learning rate rises in a short straight line, stays level for most of the run and falls in a straight line to zero. A dashed half-cosine begins to fall at once and ends at a tenth."}}
from dataclasses import replace

import matplotlib.pyplot as plt

older = replace(preset, schedule="cosine")
for plan, style in (preset, "-"), (older, "--"):
    rates = [learning_rate(s, plan) for s in range(plan.steps)]
    plt.plot(rates, style, label=plan.schedule)
plt.xlabel("step")
plt.ylabel("learning rate")
plt.legend();

# %% [markdown]
# ## What is around the step?
#
# A loop, and it is short. The trainer is an object with one method for each
# thing that has to happen, and the loop is their table of contents.

# %%
from course_lib.training import Trainer, train

show_source(train)

# %% [markdown]
# A step is taken like this. It gets its batch and its rate from the step's
# number, and its randomness too: `manual_seed` decides what {term}`dropout`
# drops. Should the memory not suffice, the step is tried again with half as
# many rows at a time.

# %%
show_source(Trainer.take_step)

# %% [markdown]
# After it come the books: which step this was, how fast, and what it cost. The
# loss is still on the device, where it was computed, and to ask for it means to
# wait. So the numbers are kept, and written ten steps at a time.

# %%
show_source(Trainer.report)

# %% [markdown]
# And now and then, twenty times in a run, the model is asked about text that it
# is not trained on. On the way a sample of that text will do, taken evenly from
# all of it; after the last step it is the whole.

# %%
show_source(Trainer.evaluate_if_due)

# %% [markdown]
# What is kept on the disk, and how a run goes on from there, is a story of its
# own, further down.
#
# ## Does it learn?
#
# Now the whole run. If the trained model is already on your disk, the next cell
# only loads it.
#
# :::{admonition} Predict
# :class: hint
# The stories were written by a program whose exact entropy we know. How near
# can this model come to that floor in {term}`bits per byte`: twice the floor? Ten
# times?
# :::

# %%
run = stages.trained(preset)
log = run.log
print(f"{preset.steps:,} steps of {preset.batch_tokens:,} tokens")

# %% mystnb={"figure": {"caption": "Loss over tokens seen, on training batches and on held-out text. The last point is measured on all held-out text, those before it on an even sample. The dashed line is the entropy of the stories, which no model can beat.", "name": "fig-loss-curve"}, "image": {"alt": "Training and validation loss fall together, steeply and then slowly, towards the entropy of the stories."}}
from course_lib.stories import entropy_bits_per_byte

# what turns bits per byte into nats per token
nats_per = math.log(2) * val_tokens.bytes / (val_tokens.tokens - 1)
plots.plot_loss(log, label=preset.name)
if run.record["corpus"]["name"].startswith("stories"):
    plt.axhline(entropy_bits_per_byte() * nats_per, color="black",
                linestyle="--", label="entropy of the stories")
plt.ylim(bottom=0)
plt.legend();

# %%
final = log[-1]
print(f"validation loss   {final['val_loss']:.3f} nats per token")
print(f"perplexity        {math.exp(final['val_loss']):.2f}")
print(f"bits per byte     {final['val_bits_per_byte']:.3f}")
if run.record["corpus"]["name"].startswith("stories"):
    above = final["val_bits_per_byte"] / entropy_bits_per_byte()
    print(f"the floor         {entropy_bits_per_byte():.3f}; "
          f"the model is at {above:.1f} times that")

# %% [markdown]
# What was learned when? For milestones, count: how low can a model get that
# knows only how common each token is? One that sees the token before, or two?
# The {term}`entropy` of pairs, less that of single tokens, is what the second
# token costs when the first is known. (The counts are measured on the text that
# was counted. With a large vocabulary that makes the later ones too low.)

# %%
import numpy as np

piece = np.array(train_tokens.ids[:2_000_000], np.int64)
groups, known = 0, 0.0
for n, name in enumerate(("single tokens", "pairs", "triples")):
    # each run of n + 1 tokens as one number
    groups = groups * preset.model.vocab_size + piece[n:n - 3]
    share = np.unique(groups, return_counts=True)[1] / len(groups)
    level = -(share * np.log(share)).sum() - known
    known += level
    first = next((r["step"] for r in log if r.get("loss", 99) < level),
                 "never")
    print(f"{name:14} {level:.2f} nats, first passed at step {first}")

# %% tags=["remove-cell"]
if preset.name == "laptop":
    assert level < 1.2 and log[-1]["val_loss"] < level
    curve = {r["step"] / preset.steps: r["val_loss"] for r in log
             if "val_loss" in r}
    half, late, end = (curve[min(curve, key=lambda x: abs(x - at))]
                       for at in (0.5, 0.8, 1))
    assert late - end > half - late > 0

# %% [markdown]
# So the cliff of {numref}`fig-loss-curve` is common tokens and pairs, its bend
# ends near the triples, and the long slope is everything else, such as
# remembering in the last sentence who lost what in the second. A short run may
# end before that. At laptop scale the curve turns down once more in the last
# fifth: the rate falls, and small steps find what large ones went past.
# Training and held-out loss fall together. If the first went on and the second
# turned up, the model would be learning its text by heart; on the built-in
# stories it cannot, since it sees no window twice.
#
# The gradient's length tells you about the run's health
# ({numref}`fig-grad-norm`). Look for spikes, and for a level that keeps
# climbing: either can end in a loss that is NaN. Clipping at 1 cuts the
# spikes off. Where the usual length is itself near 1, it acts often and gently,
# and that is no illness.

# %% mystnb={"figure": {"caption": "Length of the gradient before clipping. Steps above the dashed line were shortened.", "name": "fig-grad-norm"}, "image": {"alt": "The gradient norm over the run, on a logarithmic axis, with a dashed line where clipping begins."}}
plt.plot(*plots.curve(log, "grad_norm"), linewidth=0.8)
plt.axhline(preset.clip, color="black", linestyle="--")
plt.yscale("log")
plt.xlabel("tokens seen")
plt.ylabel("gradient norm");

# %%
steps = [record for record in log if "grad_norm" in record]
clipped = sum(r["grad_norm"] > preset.clip for r in steps)
print(f"{clipped} of {len(steps)} steps were clipped")

# %% [markdown]
# [Chapter 2](02_scaling_laws.ipynb) predicts the final loss without any of these
# steps. Its *ladder* is a series of smaller models trained on
# the same text; its *law* is a curve fitted to where they ended, in the number
# of parameters and of tokens, above a floor that no size gets below, here the
# stories' own entropy. Two of the laptop scale's whole runs were recorded, and
# one by the `modern` recipe of [chapter 6](06_cheaper.ipynb). Who won?

# %%
from course_lib import stages
from course_lib.recipes import find_recipe
from course_lib.showing import load_result

laptop = load_preset("laptop")
whole = load_result("laptop_whole.json")
ends = {}
for one in whole["runs"]:
    ends.setdefault(one["name"], []).append(one["validation_loss"])
bet = stages.prediction(laptop)
modern_preset = find_recipe("modern").at(laptop)
modern_bet = stages.prediction(modern_preset)
modern_end = stages.ladder(modern_preset).check["loss"]
print(f"gpt2    predicted {bet.loss:.2f} ({bet.low:.2f} to "
      f"{bet.high:.2f}), measured",
      *(f"{end:.2f}" for end in ends["baseline"]))
print(f"modern  predicted {modern_bet.loss:.2f} "
      f"({modern_bet.low:.2f} to {modern_bet.high:.2f}), measured "
      f"{modern_end:.2f}")

# %% [markdown]
# The first run is older than its ladder, so that was a test and no bet; it ends
# inside, in an interval so wide that it could hardly fail. The second was a bet,
# recorded before the run began. It names its loss more closely, and it is lost: the
# run ends above the interval. Where was the
# mistake? There are two suspects. The learning rate may have been wrong for a
# run of this size, or the law is wrong out here. The first can be tried: the
# first run again at half the rate, with two seeds, recorded.

# %%
for name, both in ends.items():
    print(f"{name:14}", "  ".join(f"{end:.3f}" for end in both))
means = {name: sum(both) / len(both) for name, both in ends.items()}
gain = means["baseline"] - means["half the rate"]
print(f"half the rate gains {gain:.3f} nats")

# %% tags=["remove-cell"]
assert all(bet.low < end < bet.high for end in ends["baseline"])
assert bet.high - bet.low > 0.5 and modern_end > modern_bet.high
assert 0 < gain < (modern_end - modern_bet.loss) / 4
if preset.name == "laptop":
    assert bet.low < log[-1]["val_loss"] < bet.high

# %% [markdown]
# That is a gain, and far less than what the second bet missed by, so the rate is
# not the main cause. The law is the likelier one: a grammar can be learned
# outright, the loss then stops falling, and a row that begins in the middle of a
# story hides some of what a reader would know, so that the floor within reach
# lies above the exact entropy. The small runs were too far above it to see that.
# A law knows the stretch that it was fitted to.
#
# Stories of a grammar are easy on purpose. What does the same trainer do with
# real prose? Here is a recorded run on public-domain books. Its tokenizer is
# another one, so its nats per token are another currency, and only bits per
# byte can be held against each other.
#
# :::{admonition} Predict
# :class: hint
# Two lines below belong to programs without a neural network: the compressor
# `xz`, which has read the training text first, and a table of five-token
# sequences with {term}`Kneser-Ney smoothing`. Will a small GPT beat them, and
# by how much?
# :::

# %%
books = load_result("long_run.json")
others = {row["name"]: row["bits_per_byte"]
          for row in load_result("baselines.json")["rows"]}
shape = books["run"]["preset"]["model"]
print(f"{books['parameters']:,} parameters, {shape['n_layer']} layers, "
      f"{books['training']['tokens'] / 1e6:.0f}M tokens, "
      f"{books['training']['hours']:.1f} hours on "
      f"{books['training']['threads']} cores")
bits = books["validation"]["bits_per_byte"]
print(f"held-out books: {bits:.3f} bits per byte")

# %% mystnb={"figure": {"caption": "Held-out bits per byte on real books (recorded) and on the stories (this run). The last point of each is measured on all held-out text, those before it on a part. Dashed and dotted: what two programs without a network need for the books.", "name": "fig-books-curve"}, "image": {"alt": "Two falling curves of bits per byte against tokens on a logarithmic axis. The one for books falls ever more slowly and ends just under a dashed line; the one for stories falls far below it."}}
curves = {"books": (books["validation_log"], "o-"),
          "stories": (log, "s-")}
for name, (records, style) in curves.items():
    plt.plot(*plots.curve(records[1:], "val_bits_per_byte"), style,
             markersize=3, label=name)
for name, style in (("xz -9, after the training text", ":"),
                    ("Kneser-Ney, 5 tokens", "--")):
    plt.axhline(others[name], linestyle=style,
                color="black", linewidth=1, label=name)
plt.xscale("log")
plt.ylim(bottom=0)
plt.xlabel("tokens seen")
plt.ylabel("bits per byte")
plt.legend();

# %%
best = others["Kneser-Ney, 5 tokens"]
print(f"the books' run is {1 - bits / best:.0%} below the table "
      "of five tokens")

# %% tags=["remove-cell"]
assert bits < best < others["xz -9, after the training text"]
*_, late, end = [r["val_bits_per_byte"]
                for r in books["validation_log"][:-1]]
assert end < late and books["training"]["passes"] < 1

# %% [markdown]
# In {numref}`fig-books-curve` it beats them both. Nobody knows the exact entropy of
# prose, but this is not it: the run ended before it had read all its books once,
# and its curve was still falling. [Chapter 7](07_speaks.ipynb) is about this run.

# %% [markdown]
# ## What is each trick for?
#
# To find out, leave one out, keep all else, and train again. Here are such
# runs, recorded: the laptop model on a million tokens of its own stories, by a
# textbook recipe (a cosine, and large batches), with two {term}`seeds <seed>`.
# A seed draws the first weights and the order of the text. How far apart the
# two of a line end tells how much of a difference is luck.
#
# - *No warm-up*: the first step has the full rate.
# - *No clipping*: a gradient ten times as long as usual enters AdamW's two
#   averages at its full length, and the second one takes some twenty steps to
#   forget it.
# - *Constant rate*: warm-up, and no fall after it. *Late fall* is `wsd`, the
#   straight line of {numref}`fig-schedule`.
#
# What packing is worth, the trick that cost 2023 the most, has a ladder of its
# own in {doc}`chapter 6 <06_cheaper>`.
#
# :::{admonition} Predict
# :class: hint
# Which of these is missed most? And would any run do *better* without one?
# :::

# %%
recorded = load_result("ablations.json")
lines = {}
for one in recorded["runs"]:
    lines.setdefault(one["name"], []).append(one)
base = lines["baseline"]
print(f"{base[0]['steps']} steps of {base[0]['batch_tokens']:,} tokens")

# %% mystnb={"figure": {"caption": "Training loss with one trick left out. Thick: the mean of two seeds; thin: each of them. Recorded.", "name": "fig-ablations"}, "image": {"alt": "Loss over a million tokens. Without warm-up or clipping the curve slows down early and stays far above the baseline; with a constant rate or a late fall it ends below the baseline."}}
shown = [name for name in lines if not name.startswith("3x")]
for name, color, style in zip(shown, plots.PALETTE, plots.STYLES):
    curves = [plots.curve(one["log"]) for one in lines[name]]
    for tokens, losses in curves:
        plt.plot(tokens, losses, color=color, alpha=0.4, linewidth=0.7)
    mean = [sum(both) / len(both) for both in
            zip(*(losses for _, losses in curves))]
    plt.plot(tokens[:len(mean)], mean, color=color, linestyle=style,
             label=name)
plt.xlabel("tokens seen")
plt.ylabel("loss (nats per token)")
plt.legend();

# %%
print(f"{'validation loss':21} seed 0  seed 1    mean")
means = {}
for name, both in lines.items():
    ends = [r["validation_loss"] or math.inf for r in both]
    means[name] = sum(ends) / len(ends)
    print(f"{name:21}", "".join(f"{end:6.3f}  " for end in ends)
          + f"{means[name]:6.3f}")
print("steps of the baseline that were clipped:",
      " and ".join(str(one["clipped"]) for one in base))

# %% mystnb={"figure": {"caption": "The same runs, one trick at a time: validation loss of two seeds, against the baseline's. Dots: where they end. Recorded.", "name": "fig-tricks"}}
from course_lib.showing import Axes, Trick, show_tricks

tricks = [Trick(name,
                [list(zip(*plots.curve(one["validation_log"][1:],
                                       "val_loss"))) for one in both],
                [one["validation_loss"] for one in both])
          for name, both in lines.items()]
show_tricks(tricks, Axes("tokens seen", "nats per token",
                         {5e4: "50k", 2e5: "200k", 1e6: "1M"}),
            "A recipe with one trick left out at a time, with where "
            "its runs end and, when chosen, their curves.",
            chosen=list(lines).index("no clipping"))

# %% tags=["remove-cell"]
def ends_of(name):
    return [one["validation_loss"] for one in lines[name]]


def loss_at(one, step):
    return next(r["loss"] for r in one["log"]
                if r["tokens"] >= step * one["batch_tokens"])


ours = ends_of("baseline")
luck = max(ours) - min(ours)
for trick in "no warm-up", "no clipping":
    assert min(ends_of(trick)) > max(ours) + 5 * luck
    assert max(ends_of(trick)) - min(ends_of(trick)) > 1
    assert all(loss_at(one, 40) > 4.8 for one in lines[trick])
assert all(loss_at(one, 40) < 4.3 for one in base)
assert max(ends_of("constant rate")) < min(ours) - 5 * luck
assert all(one["diverged"] is None for one in recorded["runs"])
drops = {name: [loss_at(one, 200) - loss_at(one, 244)
                for one in lines[name]] for name in lines}
assert min(drops["constant rate"]) > 1.5 * max(drops["baseline"])
assert all(one["clipped"] < one["steps"] / 7 for one in base)
for late, flat in zip(ends_of("late fall"), ends_of("constant rate")):
    assert abs(late - flat) < 0.05

# %% [markdown]
# **Warm-up and clipping** are both missed badly. Without either, the loss slows
# down early, while the baseline's falls on, and never makes up for it. Which of
# them is missed more, two seeds that end more than a nat apart cannot say. And
# clipping does this by acting on a few steps, as the table's last line says.
# ({numref}`fig-tricks` has the runs one at a time.)
#
# **The cosine** is not missed at all. With a constant rate both seeds end far
# *below* the baseline, by many times what the seeds differ. Look at the end of
# {numref}`fig-ablations`: the constant runs are still falling, while the
# baseline has almost levelled out above them. Its steps became small when large
# ones still paid.
#
# **The late fall** keeps that gain: with either seed it ends within a twentieth
# of a nat of the constant rate. So what costs here is not the fall but where
# it begins, and that is why our presets fall late. Nor do these runs say that a
# long run is better off without a fall: they stop before large steps have found
# what they can. What a fall is worth after that, the end of
# {numref}`fig-loss-curve` shows.
#
# Clipping you can leave out yourself, with the smoke model on its own stories:
# 60 steps with it and 60 without, from the same weights on the same batches.
# We also ask AdamW which size it takes to be usual, the root of its second
# average. (Where there is no smoke text yet, it is made first.)

# %%
smoke = load_preset("smoke")
short = replace(smoke, tokens=60 * smoke.batch_tokens)
smoke_tokens, _ = stages.tokens(smoke)


def attempt(preset):
    model, optimizer = start(preset, "cpu")
    for step in range(preset.steps):
        batch = smoke_tokens.batch(step, preset.rows, 64, preset.seed)
        rate = learning_rate(step, preset)
        loss, norm = train_step(model, optimizer, batch, rate,
                                preset.clip)
        squares = sum(memory["exp_avg_sq"].sum()
                      for memory in optimizer.state.values())
        yield loss.item(), norm.item(), squares.sqrt().item()


kept = torch.tensor(list(attempt(short)))
freed = torch.tensor(list(attempt(replace(short, clip=1e9))))

# %% mystnb={"figure": {"caption": "Sixty steps of the smoke model, run here. Dotted: the entropy of single tokens.", "name": "fig-no-clipping"}, "image": {"alt": "Two loss curves fall to a dotted line and stay there for a while. The one with clipping leaves it first and ends lower."}}
counts = torch.bincount(torch.tensor(smoke_tokens.ids[:].astype(int)))
alone = torch.special.entr(counts / counts.sum()).sum().item()
plt.plot(kept[:, 0], label="with clipping")
plt.plot(freed[:, 0], "--", label="without")
plt.axhline(alone, color="black", linestyle=":", linewidth=1)
plt.xlabel("step")
plt.ylabel("loss (nats per token)")
plt.legend();

# %%
spike = int(freed[:, 1].argmax())
for name, two in ("with clipping", kept), ("without", freed):
    below = (two[:, 0] < alone - 0.2).nonzero().flatten().tolist()
    left = f"off it at step {below[0]}" if below else "never off it"
    print(f"{name:14} gradient {two[spike, 1]:5.1f} at step {spike}, "
          f"{left}, last ten steps {two[-10:, 0].mean():.2f}")
    usual = [f"{two[spike + wait, 2]:.2f}" for wait in (-1, 0, 20)]
    print(f"{'':14} usual size before and after it and 20 steps on:",
          *usual)

# %% tags=["remove-cell"]
first = int((kept[:, 1] > 3).nonzero()[0])
assert (kept[:first, 0] - freed[:first, 0]).abs().max() < 0.05
assert freed[:, 1].max() > 10 * freed[:, 1].median()
assert freed[-10:, 0].mean() > kept[-10:, 0].mean() + 0.1
assert freed[spike, 2] > 3 * kept[spike, 2]
assert freed[spike + 20, 2] > 1.5 * kept[spike + 20, 2]

# %% [markdown]
# The two runs are one until a gradient comes that is more than ten times as
# long as usual. AdamW does not let it throw the model far, since it divides by
# the usual size. But unclipped, its square makes that size jump, and fades by a
# twentieth a step ($\beta_2 = 0.95$). Until it has faded, every step is divided
# by a number that is too large. So the run without clipping goes on in small
# steps, and leaves the line later, or not within these sixty.
#
# ## How to read a bad loss curve
#
# From the symptom to what you should suspect first. Chapter 1 showed the first
# one, runs of this chapter show the others.
#
# - *The first loss is far from $\ln V$.* Nothing has been learned yet, so it is
#   the weights the model began with, or the way the loss is counted.
# - *A plateau near the entropy of single tokens.* Early steps were too large, or
#   a long gradient has made the next ones too small. Look at the norms in the
#   log before the plateau, then at warm-up and clipping ({numref}`fig-ablations`,
#   {numref}`fig-no-clipping`).
# - *It levels out as the rate runs out.* That may be the schedule and not the
#   model's limit. Let the rate fall later, or train longer, and see whether the
#   loss goes on down.
# - *Far lower than it ever was.* The answer stands in the input (exercise 2),
#   or positions that cost nothing are counted ([below](case-083)).
# - *A little better or worse than the last run.* Train both with another seed
#   before you explain it, and look how far our two baselines lie apart.

# %% [markdown]
# ## What if the machine dies?
#
# A rented machine can vanish with half a minute's notice, and a cheap one
# will. So a {term}`checkpoint` must hold everything that decides the next
# step, and a resumed run should end in the *same bits* as one that was never
# interrupted. Anything less and you cannot tell a bug from bad luck.
#
# The trick is to have little to save. Which windows make up batch 500 is a
# pure function of the seed and the number 500; so is the randomness of
# dropout, for models that use it. What remains is the weights and the
# optimizer's averages.
#
# Saving is one method, and going on another:

# %%
show_source(Trainer.save_if_due)
show_source(Trainer.resume)

# %% [markdown]
# Before anything is loaded, its checksum is verified. Then the fingerprint must
# be the same: the tokenizer, the token files, and every number that decides the
# weights. What was found out on the first machine, the number format, how many
# rows fit at once and whether to compile, stands in the run's `settings.json`
# and is kept to.
#
# So let a machine die. We train a small model once without trouble. Then a
# process of its own trains another one from the same seed, and as soon as its
# log has passed half of the steps we end it with `SIGKILL`, which no program
# can catch or delay: it may be in the middle of a step, or of a save.
#
# :::{admonition} Predict
# :class: hint
# The process saved a checkpoint every second. After the resume, will its curve
# lie on the other one, near it, or with a visible seam?
# :::

# %%
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from course_lib.text import load_corpus
from course_lib.runs import prepare

tiny = replace(smoke, tokens=400 * 1024, batch_tokens=1024)
folder, stories = Path(tempfile.mkdtemp()), load_corpus(tiny.corpus)
undisturbed, doomed = (prepare(folder / name, tiny, stories)
                       for name in ("undisturbed", "doomed"))
undisturbed.train(device="cpu", progress=False);

# %%
command = [sys.executable, "-m", "course_lib", "train", doomed.folder,
           "--resume", "--save-seconds", "1"]
quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
             env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
process = subprocess.Popen(command, **quiet)
while process.poll() is None and len(doomed.log) < tiny.steps / 2:
    time.sleep(0.05)
process.kill()
print("exit code", process.wait(), "of a process that was at step",
      doomed.log[-1]["step"])
interrupted = doomed.log
left = sorted(p.name for p in (doomed.folder / "checkpoints").iterdir())
print("on the disk:", ", ".join(left))

# %% [markdown]
# The log runs ahead of the newest `step-` on the disk, by the steps that are
# lost. They will be cut off and taken again. A `partial-`, if there is one, is a
# save that the kill cut short.

# %%
subprocess.run(command, check=True, **quiet)
print("resumed, and trained to step", doomed.log[-1]["step"])

# %% mystnb={"figure": {"caption": "The loss of a run that nothing disturbed, and of one that was killed at the dotted line and resumed.", "name": "fig-killed"}, "image": {"alt": "Two falling loss curves, one solid and one dashed, lie exactly on each other, before and after a vertical dotted line in the middle."}}
killed_at = interrupted[-1]["tokens"]
plt.plot(*plots.curve(undisturbed.log), label="undisturbed",
         linewidth=3, alpha=0.4)
plt.plot(*plots.curve(doomed.log), "--", label="killed and resumed")
plt.axvline(killed_at, color="black", linestyle=":", linewidth=1)
plt.xlabel("tokens seen")
plt.ylabel("loss (nats per token)")
plt.legend();

# %%
same = all(torch.equal(a, b) for a, b in
           zip(undisturbed.model().parameters(),
               doomed.model().parameters()))
logs = [(each.folder / "log.jsonl").read_bytes()
        for each in (undisturbed, doomed)]
print("weights equal to the bit:", same)
print("logs equal to the byte: ", logs[0] == logs[1])

# %% tags=["remove-cell"]
assert same and logs[0] == logs[1] and process.returncode == -9
assert interrupted[-1]["step"] < tiny.steps

# %% [markdown]
# The curves of {numref}`fig-killed` are one, to the bit. A gentler end loses
# nothing. Ctrl-C, or the signal that a rented machine sends
# before it vanishes, asks the trainer to finish its step, save and leave, and
# `course train RUN --resume` goes on. A checkpoint is written
# under another name and renamed when it is complete, and its checksum is
# verified when it is read, so a machine that dies *while saving* leaves the
# one before intact.
#
# ## What does it cost?
#
# Work divided by speed is time, and time multiplied by price is the bill. The
# work is exact: [chapter 1](01_architecture.ipynb) counted the {term}`FLOP`s
# of one token. The speed is a share of what the device could do at best,
# called {term}`MFU` {cite}`chowdhery2022`. On a GPU the data sheet says what
# is best; on a shared CPU nobody does, so here is the plain speed of this run.
# The time is that of the training steps; what a rented machine would be paid for
# is longer, by all evaluating, saving and waiting for a compiler.

# %%
from course_lib.model import flops_per_token

work = flops_per_token(preset.model, T)
seconds = run.timing[-1]["seconds"]
paid_for = run.timing[-1]["elapsed"]
speed = preset.steps * preset.batch_tokens / seconds
print(f"work per token  {work / 1e6:,.1f} MFLOP")
print(f"mean speed      {speed:,.0f} tokens/s = "
      f"{work * speed / 1e9:,.0f} GFLOP/s")
print(f"time            {seconds / 60:.1f} minutes, "
      f"{paid_for / 60:.1f} with all that is around it")

# %% [markdown]
# For the full model we can *project* the bill on rented GPUs, at chapter 2's
# prices. It assumes the same MFU on every card, that of the first line below,
# and the dollars scale with it.

# %%
from course_lib.scaling import GPU_MFU
from course_lib.machine import GPUS
from course_lib.scaling import dollars, hours

full = load_preset("full")
flop = flops_per_token(full.model) * full.tokens
print(f"projected, assuming an MFU of {GPU_MFU:.0%}")
for name, gpu in GPUS.items():
    print(f"{name:9} {hours(flop, name, GPU_MFU):6.1f} h  "
          f"${dollars(flop, name, GPU_MFU):6.2f}")

# %% [markdown]
# Find the V100 and hold it against the 20 hours and 50 dollars of 2023. Part
# of the gap is the assumed MFU; a large part is the next section.

# %% [markdown]
# (case-083)=
# ## The case of the perplexity of 0.83
#
# The 2023 recipe that this book rebuilds {cite}`honda2023` ended with a "final
# perplexity" of 0.83. Perplexity is $e^L$ with $L \ge 0$: it cannot be below
# one. Before we look, what could produce such a number? Take a minute; you know
# enough.
#
# Its code holds three clues. Each sentence was a row of its own, filled up
# to 64 tokens with padding. The padding counted in the loss. And what was
# printed was the mean cross-entropy itself, in nats. Let us do as it did,
# on sentences of our own text.

# %%
import re

text = tokenizer.decode(train_tokens.ids[:200_000].tolist())
text = text.replace("<|endoftext|>", "\n")
sentences = [s for s in re.split(r"(?<=[.!?]) |\n", text) if s.strip()]
rows = [tokenizer.encode(s)[:63] for s in sentences]
length = sum(map(len, rows)) / len(rows)
print(f"{len(rows):,} sentences of {length:.1f} tokens on average")

# %%
PAD, ROW = tokenizer.eot, 64
padded = torch.full((len(rows), ROW + 1), PAD)
real = torch.zeros(len(rows), ROW, dtype=torch.bool)
for i, row in enumerate(rows):
    padded[i, 1:len(row) + 1] = torch.tensor(row)
    real[i, :len(row) + 1] = True  # the tokens and one end-of-text
x, y = padded[:, :-1], padded[:, 1:]
print(f"{1 - real.float().mean():.0%} of all positions are padding")

# %% [markdown]
# Train a small model on such rows, with a loss that counts every position.
# Then ask what it pays on average, for a real token, and for a padded one.

# %%
from course_lib.model import GPT
from torch.nn import functional as F

shape = replace(smoke.model, n_embd=32,
                vocab_size=tokenizer.vocab_size)
torch.manual_seed(0)
padder = GPT(shape)
optimizer = make_optimizer(padder, tiny)
held = len(x) // 10
for step in range(150):
    pick = torch.randint(held, len(x), (32,))
    train_step(padder, optimizer, (x[pick], y[pick]), 2e-3, 1.0)

# %%
with torch.no_grad():
    paid = F.cross_entropy(padder(x[:held][:512]).flatten(0, 1),
                           y[:held][:512].flatten(), reduction="none")
mask = real[:held][:512].flatten()
everything, honest, padding = (
    paid.mean(), paid[mask].mean(), paid[~mask].mean())
print(f"mean over all positions  {everything:.2f}   <- 'perplexity'")
print(f"mean over real tokens    {honest:.2f} nats: "
      f"perplexity {honest.exp():.1f}")
print(f"mean over padding        {padding:.4f} nats")

# %% tags=["remove-cell"]
assert everything < honest and padding < 0.1
share = mask.float().mean()
assert torch.allclose(share * honest + (1 - share) * padding,
                      everything, atol=1e-4)

# %% [markdown]
# That explains the number. After end-of-text comes padding, and after
# padding comes padding: nothing is easier to predict, so those positions cost
# next to nothing and drag the mean down. The number that was printed is, near
# enough, the loss on real tokens *times the share of real tokens*. Apply that
# to what was published. BookCorpus has 14.9 tokens to a sentence, so with its
# end-of-text a row of 64 holds:

# %%
share = (14.9 + 1) / 64
print(f"{share:.0%} real tokens")
print(f"0.83 / {share:.3f} = {0.83 / share:.2f} nats per real token, "
      f"a perplexity of {math.exp(0.83 / share):.0f}")

# %% [markdown]
# That is a possible perplexity, if a flattering one: nothing had been held out,
# so it is of text that the model was trained on. The expensive part is the other
# one: three of every four FLOPs were spent on learning that padding follows
# padding. Packing, as in
# [chapter 3](03_tokenizer.ipynb), makes the same dollars buy four times the
# text.
#
# :::{admonition} Takeaway
# :class: tip
# A training step is forward, loss, backward, update. What makes it reliable
# is around it: a first loss near $\ln V$, warm-up, a decay that ends with
# the run, clipping, and checkpoints that resume to the bit. And a metric is
# only worth what it counts: ask of any loss *which positions* and *which
# unit*.
# :::
#
# ## Write it yourself
#
# In your file (`course new my_gpt.py`) this chapter's steps are `adamw`, `clip`,
# `learning_rate` and `training_step`. The optimizer is the one that everybody
# imports and hardly anybody could write down. Its averages begin at zero, and
# what that needs is easily forgotten.

# %%
from course_lib.exercises import check

def adamw(weight, gradient, m, v, step, rate, decay=0.1):
    """One update; step counts from 1, the betas are 0.9 and 0.95,
    epsilon is 1e-8. Returns the new (weight, m, v)."""

print(check("adamw", adamw))

# %% [markdown]
# Solution (click to open):

# %% tags=["hide-cell"]
def adamw(weight, gradient, m, v, step, rate, decay=0.1):
    m = 0.9 * m + 0.1 * gradient
    v = 0.95 * v + 0.05 * gradient ** 2
    mean = m / (1 - 0.9 ** step)    # they began at zero
    size = v / (1 - 0.95 ** step)
    weight = weight * (1 - rate * decay)
    return weight - rate * mean / (size.sqrt() + 1e-8), m, v

print(check("adamw", adamw))

# %% tags=["remove-cell"]
assert check("adamw", adamw).right

# %% [markdown]
# ## Exercises
#
# ### 1. Stopped half-way
#
# *Easy, 5 minutes.* A run is planned for its full length and stopped in the
# middle. What share of the peak learning rate did its last step have, with
# either schedule of {numref}`fig-schedule`? What has the run missed? And if it
# may then become longer than planned, with which schedule can you simply go on?
#
# Solution (click to open):

# %% tags=["hide-cell"]
for plan in preset, older:
    half = learning_rate(plan.steps // 2, plan) / plan.learning_rate
    print(f"{plan.schedule}: {half:.0%} of the peak")
    assert 0.4 < half <= 1
# Missed: the small steps, which settle the model on the valley's floor.
# With the late fall: what comes before it is the same for a run of any
# length, so the run can be planned anew, longer or shorter.

# %% [markdown]
# ### 2. Break the targets
#
# *Medium, 10 minutes.* Forget to shift the targets by one, so that each
# position must predict itself. What does the loss do in 40 steps, and how would
# you notice in a real run?
#
# Solution (click to open):

# %% tags=["hide-cell"]
torch.manual_seed(0)
cheat = GPT(shape)
optimizer = make_optimizer(cheat, tiny)
for step in range(40):
    a, _ = train_tokens.batch(step, 32, 64)
    loss, _ = train_step(cheat, optimizer, (a, a), 4e-3, 1.0)
torch.manual_seed(0)
honest_twin = GPT(shape)
optimizer = make_optimizer(honest_twin, tiny)
for step in range(40):
    batch = train_tokens.batch(step, 32, 64)
    fair, _ = train_step(honest_twin, optimizer, batch, 4e-3, 1.0)
print(f"copying {loss:.2f}, predicting {fair:.2f} after 40 steps")
# In a real run: a loss that falls far faster than it ever did, and
# samples that repeat one token for ever.
assert loss < fair - 1

# %% [markdown]
# ### 3. How long is a row?
#
# *Medium, 10 minutes.* What share of 2023's compute would padding to 32 instead
# of 64 have saved on our sentences, if longer ones were cut? And how much text
# would have been lost?
#
# Solution (click to open):

# %% tags=["hide-cell"]
lengths = torch.tensor([len(row) + 1 for row in rows])
lost = (lengths - 32).clamp(min=0).sum() / lengths.sum()
print(f"half of the compute, and {lost:.1%} of the tokens lost;",
      "packing saves more and loses none")
assert 0 <= lost < 0.5
