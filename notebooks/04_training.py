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
# How do random weights come to know English? By one operation, repeated: show
# the model a batch, measure how surprised it was, move every weight a little.
# This chapter takes one such step in the open, adds what separates a loop that
# works from one that works by luck, runs it, kills it, and resumes it. Then it
# solves a small mystery: how a published run came to report a
# {term}`perplexity` that cannot exist.

# %% tags=["remove-input"]
from course_lib.showing import card, plots

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
from course_lib import stages
from course_lib.presets import load_preset
from course_lib.showing import print_text

preset = load_preset()  # the scale that $COURSE_SCALE names
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
# Almost $\ln V$, as {doc}`chapter 1 <01_architecture>` found for an untrained
# model. If the first loss of a run is far from it, stop: something is wrong
# before anything was learned.
#
# Backwards now. `loss.backward()` fills `.grad` of every weight with the slope
# of the loss in that weight. For this it needs what each part computed on the
# way: the forward pass keeps it in memory, and the backward pass frees it again
# ({numref}`fig-memory`).

# %% mystnb={"figure": {"caption": "A batch's way through memory, counted in the tensors that PyTorch keeps. Forward, each part leaves some behind; backward, the last is used first. The weights are not in it.", "name": "fig-memory"}, "image": {"alt": "Bars that climb from the embedding through each block to the head and loss, then descend in reverse order as the backward pass gives each part's memory back."}} tags=["hide-input"]
from course_lib.showing import draw_memory

draw_memory(model, ids[:2], targets[:2]);

# %% [markdown]
# The peak is at the loss, and it grows with the rows: a batch that does not fit
# is taken in parts. Then the optimizer takes a step downhill.
#
# :::{admonition} Predict
# :class: hint
# How far will it move a weight?
#
# - by a thousandth of the learning rate
# - by the learning rate
# - by the learning rate times the gradient
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
# By the {term}`learning rate`, against its {term}`gradient` and however small
# that was.
#
# The loss on these eight rows fell by more than a tenth of a nat, which promises
# nothing for other rows; and a real run does not begin with a step as long as
# this, as we will see.
#
# What a step does to a weight is a matter of the {term}`optimizer`,
# {term}`AdamW` {cite}`loshchilov2019`. For each weight $w$ with gradient $g$ it
# keeps two running averages, and at step $t$ it does this:
#
# $$
# \begin{aligned}
# m &\leftarrow \beta_1 m + (1 - \beta_1)\, g \\
# v &\leftarrow \beta_2 v + (1 - \beta_2)\, g^2 \\
# \hat m &= m / (1 - \beta_1^t), \quad \hat v = v / (1 - \beta_2^t) \\
# w &\leftarrow w - \eta\,\Big(\frac{\hat m}{\sqrt{\hat v} + \epsilon}
# + \lambda w\Big)
# \end{aligned}
# $$ (eq-adamw)
#
# The betas say how much of an average survives a step. Both averages begin at
# zero, and so are too small at first; the divisions of the third line correct that.
# Then $\hat m$ is the mean gradient, $\sqrt{\hat v}$ its usual size, and a
# weight moves by the learning rate $\eta$ times their quotient. (The primer's
# rate was so large because it multiplied the gradient itself, which is small.) At
# the first step that is $g / |g|$, or $\pm 1$; later it is small where the
# gradient keeps changing its sign, and it stays the same where all gradients are
# twice as large. $\lambda$ is the {term}`weight decay`, the W of the name: every
# matrix shrinks a little at each step, and what the data does not renew fades.
# Vectors (norms and biases) are left out, and $\epsilon$ keeps the quotient finite.
# The function below makes this optimizer and two others, for chapter 6.

# %%
from course_lib.showing import show_source
from course_lib.training import make_optimizer

show_source(make_optimizer)

# %% [markdown]
# ## What makes a step safe?
#
# That is all of training. The rest of the chapter is about doing it hundreds or
# thousands of times without accidents. Here is the step of the package; we take
# what is new in it in turn.

# %%
from course_lib.training import train_step

show_source(train_step)

# %% [markdown]
# **{term}`Accumulation`.** The loop over parts is for machines with little
# memory. A batch that does not fit is done in parts (*micro-batches*), each
# weighted by its share of the rows, and their gradients add up to that of the
# whole. Here is the test of that, in double precision, where rounding cannot
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
# Several GPUs share a batch in the same way, side by side. In
# {term}`data parallelism` each has a copy of the model and rows of its own, and
# before the update all average their gradients (an *all-reduce*), so that every
# copy takes the same step: a mean over rows is the mean of means over equal
# shares of them. It pays while the work on its rows takes a GPU longer than the
# exchange, which grows with the model and not with the rows. `loss_of` does it,
# and {doc}`one command <../book/running>` starts it.
#
# **Sixteen bits.** A GPU multiplies numbers of 16 bits several times faster than
# those of 32, and twice as fast as with TF32, which rounds those of 32 before it
# multiplies. There are two ways to spend the 16, on digits or on range, and float16
# and bfloat16 differ in that. (The newest GPUs have floats of eight bits too; this
# book does without.)
#
# :::{admonition} Predict
# :class: hint
# Some gradients are as small as 0.00000001. Which formats can hold that?
#
# - only float32
# - float32 and bfloat16
# - float32 and float16
# - all three
# :::

# %%
from course_lib.showing import show_table

kinds = [torch.finfo(getattr(torch, name))
         for name in ("float32", "bfloat16", "float16")]
show_table([{"format": kind.dtype, "largest": f"{kind.max:.0e}",
             "smallest": f"{kind.smallest_normal * kind.eps:.0e}",
             "step at 1": f"{kind.eps:.0e}"} for kind in kinds])

# %% tags=["hide-input"]
small = torch.tensor(1e-8)
print("in float16:            ", small.half().item())
print("times 65,536, and back:",
      f"{(small * 65_536).half().float().item() / 65_536:.4g}")
sizes = torch.cat([p.grad.flatten() for p in wide.parameters()])
sizes = sizes[sizes != 0].abs()
print(f"{(sizes.half() == 0).double().mean():.2%} of the gradients "
      f"above would be zero in float16")

# %% tags=["remove-cell"]
assert small.half() == 0 and (small * 65_536).half() > 0
assert small.bfloat16() > 0 and sizes.half().min() == 0

# %% [markdown]
# float32 and bfloat16, which keeps the range and gives up digits. In float16 the
# number becomes zero, unless it is multiplied by a large one first.
#
# Only the products are done with so few bits. The weights and AdamW's averages
# stay in float32, and so do the sums inside a softmax, a norm or the loss, which
# makes it {term}`mixed precision`. What bfloat16 costs we measure
# [below](bfloat16-costs). The V100 and the T4 do not have it, and there are
# models that do not train where small gradients become zero
# {cite}`micikevicius2018`. So for float16 the `scaler` multiplies the loss by a
# large number before the backward pass and divides the gradients by it before
# the update; if one of them came out as infinity, the step is skipped and the
# number halved. In any format a gradient with a NaN changes no weight
# (`found_inf`), and at the next line of the log the run stops and names its last
# good checkpoint.
#
# **Clipping.** Now and then a batch is strange and its gradient, as one vector
# over all weights, much longer than usual. {term}`Gradient clipping` shortens
# it to a fixed length and keeps its direction, so that one odd page does no
# lasting harm. What harm that would be, and how often clipping acts, we will
# measure.
#
# **The learning rate** is not constant. It climbs for the first steps, the
# {term}`warm-up`, while AdamW's averages rest on a handful of batches; it stays
# at its peak; and over the last fifth of the run it decays in a straight line,
# because large steps lead down fast and then to and fro across the bottom, and
# small ones settle there. This {term}`schedule` is called WSD, for warm-up,
# stable, decay {cite}`hu2024`. Many recipes, large ones among them, lower the
# rate along a cosine from the first step to the last, to a tenth of its peak
# {cite}`loshchilov2017`.
# Either way the decay must end where the run ends {cite}`hoffmann2022`.

# %%
from course_lib.training import learning_rate

show_source(learning_rate)

# %% mystnb={"figure": {"caption": "The learning rate of this run, and a cosine.", "name": "fig-schedule"}, "image": {"alt": "The learning rate rises in a short straight line, stays level for most of the run and falls in a straight line to zero. A dashed half-cosine begins to fall at once and ends at a tenth."}} tags=["hide-input"]
from dataclasses import replace

import matplotlib.pyplot as plt

cosine = replace(preset, schedule="cosine")
for plan, style in (preset, "-"), (cosine, "--"):
    rates = [learning_rate(s, plan) for s in range(plan.steps)]
    plt.plot(rates, style, label=plan.schedule)
plt.xlabel("step")
plt.ylabel("learning rate")
plt.legend();

# %% [markdown]
# ## What is around the step?
#
# A loop, and it is short. The trainer is an object with a method for each thing
# that has to happen, and the loop is their table of contents.

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
# After the step comes the bookkeeping: which step this was, how fast, and what it
# cost. The loss is still on the device that computed it, and to ask for it means
# to wait. So the numbers are kept there, and written ten steps at a time. And twenty
# times in a run the model is measured on text that it is not trained on. On the way
# a sample of that text will do, taken evenly from all of it; after the last step it
# is the whole. (Click to open both.)

# %% tags=["hide-cell"]
show_source(Trainer.report)
show_source(Trainer.evaluate_if_due)

# %% [markdown]
# What is kept on the disk, and how a run goes on from there, is further down.
#
# ## Does it learn?
#
# Now the whole run. (If the trained model is already on your disk, the next cell
# only loads it.) The stories were written by a program whose exact entropy we
# know, so there is a floor that no model gets below.
#
# :::{admonition} Predict
# :class: hint
# In {term}`bits per byte`, how near will this model come to the floor?
#
# - within a tenth of it
# - less than twice the floor
# - two to ten times
# - more than ten times
# :::

# %%
run = stages.trained(preset)
log = run.log
print(f"{preset.steps:,} steps of {preset.batch_tokens:,} tokens")

# %% mystnb={"figure": {"caption": "Loss over tokens seen, on training batches and on held-out text. The diamond is measured on all held-out text, the dots on a sample of it, which may be easier or harder. The dashed line is the entropy of the stories, which no model can beat.", "name": "fig-loss-curve"}, "image": {"alt": "Training and validation loss fall together, steeply and then slowly, towards the entropy of the stories."}} tags=["hide-input"]
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
from bisect import bisect

final = log[-1]
bits = final["val_bits_per_byte"]
print(f"held-out loss {final['val_loss']:.3f} nats per token, "
      f"perplexity {math.exp(final['val_loss']):.2f}")
print(f"{bits:.3f} bits per byte", end="")
if run.record["corpus"]["name"].startswith("stories"):
    times = bits / entropy_bits_per_byte()
    said = ("within a tenth of it", "less than twice the floor",
            "two to ten times", "more than ten times")[
                bisect((1.1, 2, 10), times)]
    print(f", {times:.1f} times the floor: {said}")

# %% [markdown]
# What is left above the floor is mostly what so short a run has not learned. A
# longer one comes nearer, and none gets below it.
#
# What was learned when? Counts give milestones: the loss of a model that knows
# only how common each token is, of one that sees the token before, and of one
# that sees two. The {term}`entropy` of pairs, less that of single tokens, is what
# the second token costs when the first is known. (The counts are measured on the
# text that was counted. With a large vocabulary that makes the later ones too
# low.)

# %%
import numpy as np

piece = np.array(train_tokens.ids[:2_000_000], np.int64)
groups, known, rows = 0, 0.0, []
for n, name in enumerate(("single tokens", "pairs", "triples")):
    # each run of n + 1 tokens as one number
    groups = groups * preset.model.vocab_size + piece[n:n - 3]
    share = np.unique(groups, return_counts=True)[1] / len(groups)
    level = -(share * np.log(share)).sum() - known
    known += level
    first = next((r["step"] for r in log if r.get("loss", 99) < level),
                 "never")
    rows.append({"a model that counts": name,
                 "nats per token": f"{level:.2f}",
                 "first passed at step": first})
show_table(rows)

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
# fifth: the rate decays, and small steps find what large ones went past.
# Training and held-out loss fall together, since this run sees no window twice;
# [below](learning-by-heart) is one that does.
#
# The gradient's length tells you about the run's health
# ({numref}`fig-grad-norm`). Look for spikes, and for a level that keeps
# climbing: either can end in a loss that is NaN. Clipping at 1 cuts the
# spikes off. Where the usual length is itself near 1, it acts often and gently,
# which does no harm.

# %% mystnb={"figure": {"caption": "Length of the gradient before clipping. Steps above the dashed line were shortened.", "name": "fig-grad-norm"}, "image": {"alt": "The gradient norm over the run, on a logarithmic axis, with a dashed line where clipping begins."}} tags=["hide-input"]
plt.plot(*plots.curve(log, "grad_norm"), linewidth=0.8)
plt.axhline(preset.clip, color="black", linestyle="--")
plt.yscale("log")
plots.count_axis("tokens seen")
plt.ylabel("gradient norm");

# %%
steps = [record for record in log if "grad_norm" in record]
clipped = sum(r["grad_norm"] > preset.clip for r in steps)
print(f"{clipped} of {len(steps)} steps were clipped")

# %% [markdown]
# ## Was it predicted?
#
# [Chapter 2](02_scaling_laws.ipynb) predicts the final loss without any of these
# steps. Its *ladder* is a series of smaller models trained on the same text; its
# *law* is a curve fitted to where they ended, in the number of parameters and of
# tokens, above a floor that no size gets below, here the stories' own entropy.
# Whole runs of the laptop scale were recorded, several seeds of this chapter's
# recipe, `gpt2`, and of `modern`, that of [chapter 6](06_cheaper.ipynb); and one by
# `modern` whose end had been predicted before it began. (A {term}`recipe` is how a
# model is made and trained.)

# %%
from course_lib.measuring.bands import find_band
from course_lib.recipes import find_recipe

laptop = load_preset("laptop")
rows, bets, ends = [], {}, {}
for name in ("gpt2", "modern"):
    whole = find_recipe(name).at(laptop)
    says = bets[name] = stages.prediction(whole)
    ends[name] = find_band(whole).losses[:, -1]
    bet = stages.ladder(whole).check
    rows.append({
        "recipe": name, "predicted": f"{says.loss:.2f} "
        f"({says.low:.2f} to {says.high:.2f})",
        "the bet's run": f"{bet['loss']:.3f}" if bet else "–",
        f"{len(ends[name])} seeds":
        f"{ends[name].min():.3f} to {ends[name].max():.3f}"})
show_table(rows)

# %% [markdown]
# The `gpt2` runs end inside an interval so wide that they could hardly miss it. The bet
# on `modern` is lost: its run ends above its interval. It had the learning rate and the
# batch of the ladder's rule, and the seeds beside it, with those of the preset, end no
# lower. The floor was wrong for certain: a
# row that begins in the middle of a story hides some of what a reader would know, so
# that what is within reach lies above the exact entropy.
# [The notes to chapter 2](notes_scaling.ipynb) work out by how much, and with that
# the interval would have held the run.
#
# A law may miss. Other runs of the same recipe do not: what they got at the same
# place is the best answer to the question that everybody asks of a first run, *is my
# loss normal?* `course train` compares each held-out loss with theirs, and says so
# when it lies outside; `judge` does it here. (The seed of our presets is one of those
# that were recorded.)

# %%
from course_lib.measuring.bands import judge

print(*judge(preset, preset.steps, log[-1]["val_loss"]), sep="\n")

# %% tags=["remove-cell"]
assert all(bets["gpt2"].low < end < bets["gpt2"].high
           for end in ends["gpt2"])
assert bets["gpt2"].high - bets["gpt2"].low > 0.5
assert min(ends["modern"]) > bets["modern"].high
if preset.name in ("smoke", "laptop"):
    [said] = judge(preset, preset.steps, log[-1]["val_loss"])
    assert said.startswith("normal")
assert len(ends["gpt2"]) == len(ends["modern"]) == 5 and bet
assert bets["modern"].high < bet["loss"] < min(ends["modern"])

# %% [markdown]
# Where no seeds of a scale were recorded, runs of the ladder stand in for them,
# scaled by the law. Outside the band `course train` names the usual causes, the
# likeliest first ({ref}`bad-curves` has them too).

# %% [markdown]
# ## And on real books?
#
# Stories of a grammar are easy on purpose. What does the same trainer do with
# real prose? Here is the recorded run of [chapter 7](07_speaks.ipynb), on
# public-domain books. Its tokenizer is another one, so its nats per token are
# another unit, and only bits per byte can be compared.

# %%
from course_lib.showing import load_result

books = load_result("long_run.json")
shape = books["run"]["preset"]["model"]
print(f"{books['parameters']:,} parameters, {shape['n_layer']} layers, "
      f"on {books['training']['threads']} cores")

# %% mystnb={"figure": {"caption": "Held-out bits per byte on real books (recorded) and on the stories (this run). Diamonds are measured on all held-out text, the points before them on a sample.", "name": "fig-books-curve"}, "image": {"alt": "Two falling curves of bits per byte against tokens on a logarithmic axis. The one for books falls ever more slowly."}} tags=["hide-input"]
curves = {"books": (books["validation_log"], "o-"),
          "stories": (log, "s-")}
for name, (records, style) in curves.items():
    plots.plot_held_out(records[1:], style, "val_bits_per_byte",
                        markersize=3, label=name)
plt.xscale("log")
plt.ylim(bottom=0)
plots.count_axis("tokens seen")
plt.ylabel("bits per byte")
plt.legend();

# %% tags=["remove-cell"]
*_, late, end = [r["val_bits_per_byte"]
                for r in books["validation_log"][:-1]]
assert end < late and books["training"]["passes"] < 1
of_stories = stages.ladder(laptop).bits_per_byte(max(ends["gpt2"]))
assert of_stories < end / 4

# %% [markdown]
# A whole run on the stories, such as that of the laptop scale, ends far below the
# books of {numref}`fig-books-curve`: prose is harder than a grammar. Nobody knows its
# exact entropy, but the end of the curve is not it. The run had not yet read all its
# books once, and still got better. Whether such a loss is good, chapter 7 asks you.

# %% [markdown]
# ## What is each trick for?
#
# To find out, leave one out, keep all else, and train again. Here are such
# runs, recorded: the laptop model on a million tokens of its own stories, by a
# textbook recipe (a cosine, and large batches), all at one learning rate and with
# two {term}`seeds <seed>`. A seed draws the first weights and the order of the
# text. How far apart the two of a line end tells how much of a difference is luck
# (*seed variance*).
#
# - *No warm-up*: the first step has the full rate.
# - *No clipping*: a gradient far longer than usual enters AdamW's two averages at
#   its full length, and the second one takes a hundred steps to forget it.
# - *Constant rate*: warm-up, and no decay after it. *Late decay* is `wsd`, the
#   straight line of {numref}`fig-schedule`.
#
# What packing is worth, the trick that cost 2023 the most,
# {doc}`chapter 6 <06_cheaper>` measures.
#
# :::{admonition} Predict
# :class: hint
# Which is missed most: warm-up, clipping, or the decay (here a cosine)? And does
# any run end *lower* than the recipe itself?
#
# - warm-up and clipping, far more than the decay
# - the decay, far more than the others
# - all three about alike
# :::

# %%
recorded = load_result("ablations.json")
lines = {}
for one in recorded["runs"]:
    lines.setdefault(one["name"], []).append(one)
base = lines["baseline"]
print(f"{base[0]['steps']} steps of {base[0]['batch_tokens']:,} tokens")

# %% mystnb={"figure": {"caption": "Training loss with one trick left out. Thick: the mean of two seeds; thin: each of them. Recorded.", "name": "fig-ablations"}, "image": {"alt": "Loss over a million tokens. Without warm-up or clipping the curve slows down early and stays far above the baseline; with a constant rate or a late decay it ends below the baseline."}} tags=["hide-input"]
for name, color, style in zip(lines, plots.PALETTE, plots.STYLES):
    curves = [plots.curve(one["log"]) for one in lines[name]]
    for tokens, losses in curves:
        plt.plot(tokens, losses, color=color, alpha=0.4, linewidth=0.7)
    mean = [sum(both) / len(both) for both in
            zip(*(losses for _, losses in curves))]
    plt.plot(tokens[:len(mean)], mean, color=color, linestyle=style,
             label=name)
plots.count_axis("tokens seen")
plt.ylabel("loss (nats per token)")
plt.legend();

# %%
show_table([{"held-out loss": name,
             **{f"seed {seed}": f"{one['validation_loss']:.3f}"
                for seed, one in enumerate(both)},
             "steps clipped": " and ".join(str(one["clipped"])
                                           for one in both)}
            for name, both in lines.items()])

# %% mystnb={"figure": {"caption": "The same runs, one trick at a time: validation loss of two seeds, against the baseline's. Dots: where they end. Recorded.", "name": "fig-tricks"}} tags=["hide-input"]
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
    assert min(ends_of(trick)) > max(ours) + 3 * luck
    assert all(loss_at(one, 40) > 4.8 for one in lines[trick])
assert all(loss_at(one, 40) < 4.6 for one in base)
assert max(ends_of("constant rate")) < min(ours) - 3 * luck
assert all(one["diverged"] is None for one in recorded["runs"])
drops = {name: [loss_at(one, 200) - loss_at(one, 244)
                for one in lines[name]] for name in lines}
assert min(drops["constant rate"]) > 1.5 * max(drops["baseline"])
assert all(one["clipped"] < one["steps"] / 7 for one in base)
for late, flat in zip(ends_of("late decay"), ends_of("constant rate")):
    assert abs(late - flat) < 0.05
assert len({one["learning_rate"] for one in recorded["runs"]}) == 1
assert abs(base[0]["steps"] * base[0]["batch_tokens"] / 1e6 - 1) < .05
assert {len(both) for both in lines.values()} == {2}

# %% tags=["remove-cell"]
def tuned(record, name):
    """Where a line's two seeds end, at its own best rate."""
    line = next(one for one in record["lines"] if one["name"] == name)
    return [run["bits_per_byte"] for run in record["runs"]
            if run["asked"] == record["positions"]
            and (run["recipe"], run["rate"])
            == (line["recipe"], line["rate"])]


for record in map(load_result, ("savings.json", "savings_books.json")):
    first, warm, clip = (tuned(record, name) for name in (
        "GPT-2's first weights", "warm-up and decay", "clipping"))
    for before, after in (first, warm), (warm, clip):
        assert (sum(before) - sum(after)) / 2 < max(
            max(two) - min(two) for two in (before, after))

# %% [markdown]
# Warm-up and clipping, at this learning rate, the baseline's: without either the
# loss slows down early and never makes up for it, although clipping acts on few
# steps. The cosine is not missed at all: with a constant rate both seeds end far
# *below* the baseline, whose steps became small when large ones still paid
# ({numref}`fig-ablations`). A late decay keeps that gain.
#
# At other rates this was not tried. In [chapter 6](06_cheaper.ipynb), with a
# smaller model and for each line its own best rate, neither warm-up nor clipping
# lowers the loss by more than two seeds differ. And a long run is better off with
# a decay: these stop before large steps have found what they can, and what a
# decay is worth after that, the end of {numref}`fig-long-run` shows. So our
# presets warm up, clip, and decay late.
#
# ({numref}`fig-tricks` has the runs one at a time.) Clipping you can leave out
# yourself, with the smoke model on its own stories: 60 steps with it and 60
# without, from the same weights on the same batches. We also ask AdamW for the
# gradient's usual size, the root of its second average. (Where there is no smoke
# text yet, it is made first.)

# %%
smoke = load_preset("smoke")
short = replace(smoke, tokens=60 * smoke.batch_tokens)
smoke_tokens, smoke_val = stages.tokens(smoke)


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

# %% mystnb={"figure": {"caption": "Sixty steps of the smoke model, run here. Dotted: the entropy of single tokens.", "name": "fig-no-clipping"}, "image": {"alt": "Two loss curves fall to a dotted line and stay there for a while. The one with clipping ends lower."}} tags=["hide-input"]
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
print(f"longest gradient: {freed[spike, 1]:.1f} at step {spike}; the "
      "usual size before it, after it, and later:")
table = []
for name, two in ("with clipping", kept), ("without", freed):
    before, at, later = (f"{two[min(spike + wait, 59), 2]:.2f}"
                         for wait in (-1, 0, 20))
    table.append({"run": name, "before": before, "after": at,
                  "20 steps on": later,
                  "last losses": f"{two[-10:, 0].mean():.2f}"})
show_table(table)

# %% tags=["remove-cell"]
assert freed[:, 1].max() > 3 * freed[:, 1].median()
assert freed[-10:, 0].mean() > kept[-10:, 0].mean()
assert freed[spike, 2] > kept[spike, 2]

# %% [markdown]
# The two runs are nearly one until a gradient comes that is far longer than
# usual. It does not throw the model far, since AdamW divides by the usual size.
# But its square goes into the second average. Unclipped, that average jumps, and
# its root loses only a fortieth of the jump at each step ($\beta_2 = 0.95$). Until it
# has come down, AdamW divides by a number that is too large, and its steps are too
# small. So the run without clipping stays at the dotted line for longer, and ends
# higher.
#
# (learning-by-heart)=
# ## Overfitting: when does a model learn its text by heart?
#
# All runs so far had text enough. Your own text may be short, and a short text is
# read again and again. We take the first stories of the smoke scale and let its
# model read them many times. On the way its loss is measured on these stories and
# on as many tokens of others, which are held out.

# %%
few, fresh = (torch.tensor(side.ids[:10_010].astype(int)).view(-1, 65)
              for side in (smoke_tokens, smoke_val))
size = smoke_tokens.bytes / smoke_tokens.tokens * few.numel()
print(f"{len(few)} rows, {few.numel():,} tokens, {size / 1e3:.0f} kB "
      "of stories")


def loss_on(model, rows):
    with torch.no_grad():
        return model.loss(rows[:, :-1], rows[:, 1:]).item()

# %% [markdown]
# :::{admonition} Predict
# :class: hint
# The loss on its own stories will go on falling. What will the held-out loss do?
#
# - fall as long as the other, from further above
# - level out
# - fall, and then rise
# :::

# %%
model, optimizer = start(smoke, "cpu")
measured, draw = [], torch.Generator().manual_seed(0)
for step in range(11 * 30 + 1):  # 11 steps of 14 rows are a pass
    if step % 11 == 0:
        order = torch.randperm(len(few), generator=draw).view(11, 14)
    if step % 22 == 0:
        measured.append((step / 11, loss_on(model, few),
                         loss_on(model, fresh)))
    rows = few[order[step % 11]]
    train_step(model, optimizer, (rows[:, :-1], rows[:, 1:]), 4e-3, 1.0)
passes, own, others = torch.tensor(measured).T

# %% mystnb={"figure": {"caption": "One small text read many times, run here. Dotted: where the held-out loss is lowest.", "name": "fig-overfitting"}, "image": {"alt": "Two loss curves fall together, then part: the one on the text that is trained on goes on falling, the held-out one turns and rises."}} tags=["hide-input"]
lowest = int(others.argmin())
plt.plot(passes, own, label="the text that it reads")
plt.plot(passes, others, "--", label="held out")
plt.axvline(passes[lowest], color="black", linestyle=":", linewidth=1)
plt.xlabel("passes over the text")
plt.ylabel("loss (nats per token)")
plt.legend();

# %%
show_table([{"after": f"{passes[at]:.0f} passes",
             "its own text": f"{own[at]:.2f} nats",
             "held out": f"{others[at]:.2f} nats"}
            for at in (1, lowest, -1)])

# %% tags=["remove-cell"]
assert 2 < lowest < len(others) - 4
assert others[-1] > others[lowest] + 0.3
assert own[-1] < own[lowest] - 0.5

# %% [markdown]
# It falls, and then it rises: the curves of {numref}`fig-overfitting` part, and
# from the dotted line on what the model learns is this text and no longer the
# language. That is {term}`overfitting`. The second line of the table is the model to
# keep.
#
# What to do about overfitting, the best first:
#
# - *More text.* Nothing else helps as much. A text can be read about four times
#   before another pass is worth clearly less than new text
#   {cite}`muennighoff2023`, and `course prepare` warns where a run plans far more.
# - *Stop at the dotted line.* The trainer keeps its last weights and not its best,
#   so plan the run to end there (`--tokens`), with its decay.
# - *Begin with a model that has read much else* and train it on: that is
#   {ref}`fine-tuning <fine-tuning>`.
# - *A smaller model, or {term}`dropout`*: both leave less room to learn by heart. The
#   training loss is higher with either. So is the held-out loss in a single pass; in
#   many passes it may be lower. (More weight decay is tried too. In a single pass it can
#   even lower the training loss {cite}`dangelo2024`.)
#
# Where the training and the held-out loss lie on each other there is nothing to
# cure. A model that sees nothing twice has nothing to learn by heart, and dropout
# takes away what it could learn with ([chapter 6](06_cheaper.ipynb) leaves it out).
#
# (bad-curves)=
# ## How to read a bad loss curve
#
# From the symptom to what you should suspect first. Chapter 1 showed the first
# one, runs of this chapter show the others.
#
# - *The first loss is far from $\ln V$.* Nothing has been learned yet, so it is
#   the weights the model began with, or the way the loss is counted.
# - *A {term}`plateau` near the entropy of single tokens.* Early steps were too large, or
#   a long gradient has made the next ones too small. Look at the norms in the
#   log before the plateau, then at warm-up and clipping ({numref}`fig-ablations`,
#   {numref}`fig-no-clipping`).
# - *It levels out as the rate runs out.* That may be the schedule and not the
#   model's limit. Let the decay begin later, or train longer, and see whether the
#   loss goes on down.
# - *Training loss falls, held-out loss rises.* The model overfits: see
#   {numref}`fig-overfitting` and the list below it.
# - *Far lower than it ever was.* The answer stands in the input (exercise 2),
#   or positions that cost nothing are counted ([below](case-083)).
# - *A little better or worse than the last run.* Train both with another seed
#   before you explain it, and look how far our two baselines lie apart.
#
# ## Which hyperparameter first?
#
# Nothing is broken, and the model should be better: which
# {term}`hyperparameters <hyperparameter>` do you change, in which order? Recorded
# sweeps of the `gpt2` recipe on the stories tried several learning rates for each
# model, text and batch. Here is what one change at a time costs at its own best
# rate, with one seed each:

# %%
points = {tuple(one["point"][what] for what in
                ("width", "tokens", "batch")): one for one in
          load_result("rates_stories_gpt2.json")["points"]}
best, small = points[64, 1_600_000, 1_024], points[12, 1_600_000, 1_024]
changes = {  # the factor, and the loss
    "half or twice the learning rate": (2, best["loss"] + best["cost"]),
    "fewer tokens, and a batch to suit":
        (1.6 / 0.3, points[64, 300_000, 256]["loss"]),
    "fewer parameters": (best["N"] / small["N"], small["loss"]),
    "half the batch": (2, points[64, 1_600_000, 512]["loss"])}
costs = {name: (loss - best["loss"]) / math.log2(factor)
         for name, (factor, loss) in changes.items()}
print(f"the best run: {best['loss']:.2f} nats per token")
show_table([{"changed": name, "by a factor of": f"{factor:.1f}",
             "costs": f"{loss - best['loss']:.2f} nats",
             "for each factor of two": f"{costs[name]:.2f} nats"}
            for name, (factor, loss) in changes.items()])

# %% tags=["remove-cell"]
rate, tokens, size, batch = costs.values()
assert 0.7 < size < 0.8 and 0.7 < tokens < 0.8 and batch < rate / 3

# %% [markdown]
# 1. *The learning rate*, by factors of two, until the best lies between two that
#    are worse. The run costs the same with any rate, and every other comparison is
#    unfair without it: another size, batch or length has another best rate.
# 2. *More tokens*, if there is text, and the held-out curve still falls.
# 3. *The size*, to fit the tokens: a factor of two in either cost three quarters of
#    a nat here on average, and a model too large for its tokens loses as well.
#    `course plan --hours 3` is [chapter 2](02_scaling_laws.ipynb)'s answer.
# 4. *The batch*, within a factor of two, with the rate found anew. Up to a
#    {term}`critical batch size`, which grows as the loss falls, twice the batch
#    needs about half the steps; beyond it hardly fewer, so that tokens are
#    wasted {cite}`mccandlish2018`. A large batch is there to keep a GPU busy,
#    or several. That of the full preset is a usual one, which no sweep has
#    tested.
# 5. *The rest last, or never*: leave warm-up, clipping, betas and weight decay at
#    their usual values. What differs less than two seeds do, no sweep can find.

# %% [markdown]
# ## What if the machine dies?
#
# A rented machine can vanish with half a minute's notice, and a cheap one
# will. So a {term}`checkpoint` must hold everything that decides the next
# step. Whatever is missing in it lets the run go on a little differently, and
# then nobody can tell a bug from bad luck.
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
# can catch or delay: it may be in the middle of a step, or of a save. It saved a
# checkpoint every second.

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
# save that the kill cut short. Now the same command once more:

# %%
subprocess.run(command, check=True, **quiet)
print("resumed, and trained to step", doomed.log[-1]["step"])

# %% [markdown]
# :::{admonition} Predict
# :class: hint
# Where will its loss lie, beside that of the run that nothing disturbed?
#
# - on it, to the last digit
# - near it
# - with a visible seam where it was resumed
# :::

# %% mystnb={"figure": {"caption": "The loss of a run that nothing disturbed, and of one that was killed at the dotted line and resumed.", "name": "fig-killed"}, "image": {"alt": "Two falling loss curves, one solid and one dashed, lie exactly on each other, before and after a vertical dotted line in the middle."}} tags=["hide-input"]
killed_at = interrupted[-1]["tokens"]
plt.plot(*plots.curve(undisturbed.log), label="undisturbed",
         linewidth=3, alpha=0.4)
plt.plot(*plots.curve(doomed.log), "--", label="killed and resumed")
plt.axvline(killed_at, color="black", linestyle=":", linewidth=1)
plots.count_axis("tokens seen")
plt.ylabel("loss (nats per token)")
plt.legend();

# %% tags=["hide-input"]
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
# On it, to the last digit: the curves of {numref}`fig-killed` are one, and the
# weights and the logs are the same to the bit.
#
# A gentler end does not even lose steps. Ctrl-C, or the signal that a rented
# machine sends before it vanishes, asks the trainer to finish its step, save and
# leave, and `course train RUN --resume` goes on. A checkpoint is written under
# another name and renamed when it is complete, and its checksum is verified when
# it is read, so a machine that dies *while saving* leaves the one before intact.
#
# ## What does it cost?
#
# Work divided by speed is time, and time multiplied by price is the bill. The
# work is exact: [chapter 1](01_architecture.ipynb) counted the {term}`FLOP`s
# of one token. The speed is a share of what the device could do at best,
# called {term}`MFU` {cite}`chowdhery2022`. On a GPU the data sheet says what
# is best; on a shared CPU nobody does, so here is the plain speed of this run.
# The time is that of the training steps; a rented machine would be paid for
# longer, for evaluating, saving and waiting for a compiler too.

# %%
from course_lib.model import flops_per_token

work = flops_per_token(preset.model, T)
seconds = run.timing[-1]["seconds"]
paid_for = run.timing[-1]["elapsed"]
speed = preset.steps * preset.batch_tokens / seconds
print(f"work per token: {work / 1e6:,.1f} MFLOP")
print(f"mean speed: {speed:,.0f} tokens/s = "
      f"{work * speed / 1e9:,.0f} GFLOP/s")
print(f"time: {seconds / 60:.1f} minutes, "
      f"{paid_for / 60:.1f} with all that is around it")

# %% [markdown]
# For the full model we can *project* the bill on rented GPUs, at chapter 2's
# prices and at one assumed MFU for every card ({doc}`../book/renting`).

# %%
from course_lib.scaling import GPU_MFU
from course_lib.machine import GPUS
from course_lib.scaling import dollars, hours

full = load_preset("full")
flop = flops_per_token(full.model) * full.tokens
print(f"projected, assuming an MFU of {GPU_MFU:.0%}")
show_table([{"GPU": name, "hours": f"{hours(flop, name, GPU_MFU):.1f}",
             "US$": f"{dollars(flop, name, GPU_MFU):.2f}"}
            for name in GPUS])

# %% [markdown]
# Find the V100 and hold it against the 20 hours and 50 dollars of 2023. Part
# of the gap is the assumed MFU; a large part is [the case below](case-083).

# %% [markdown]
# (case-083)=
# ## The case of the perplexity of 0.83
#
# The 2023 recipe that this book rebuilds {cite}`honda2023` ended with a "final
# perplexity" of 0.83. Perplexity is $e^L$ with $L \ge 0$: it cannot be below
# one. Before we look, what could produce such a number? Take a minute; you know
# enough.
#
# :::{admonition} Three clues, from its code
# :class: dropdown
# Each sentence was a row of its own, filled up to 64 tokens with padding. The
# padding counted in the loss. And what was printed was the mean cross-entropy
# itself, in nats.
# :::
#
# Let us do as the code did, on sentences of our own text.

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
    pick = torch.randint(held, len(x), (32,), generator=draw)
    train_step(padder, optimizer, (x[pick], y[pick]), 2e-3, 1.0)

# %%
with torch.no_grad():
    paid = F.cross_entropy(padder(x[:held][:512]).flatten(0, 1),
                           y[:held][:512].flatten(), reduction="none")
mask = real[:held][:512].flatten()
everything, honest, padding = (
    paid.mean(), paid[mask].mean(), paid[~mask].mean())
show_table([{"mean over": name, "nats": f"{nats:.3f}",
             "perplexity": f"{nats.exp():.1f}"} for name, nats in (
                 ("all positions", everything),
                 ("real tokens", honest), ("padding", padding))])
print(f"printed as 'perplexity': {everything:.2f}")

# %% tags=["remove-cell"]
assert everything < honest and padding < 0.1
share = mask.float().mean()
assert torch.allclose(share * honest + (1 - share) * padding,
                      everything, atol=1e-4)

# %% [markdown]
# It was no perplexity. What the code of 2023 printed under that name is the first
# line's mean: the cross-entropy itself, in nats, over all positions of a row. After
# end-of-text comes padding, and after padding comes padding: nothing is easier to
# predict, so those positions cost next to nothing and drag the mean down. It is, near
# enough, the loss on real tokens *times the share of real tokens*. Chapter 3's counts
# of BookCorpus undo that:

# %%
share = (1.1e9 / 74_004_228 + 1) / 64  # a sentence and its end-of-text
print(f"{share:.0%} of a row are real tokens")
print(f"0.83 / {share:.2f} is about {0.83 / share:.1f} nats per real "
      f"token, a perplexity of about {math.exp(0.83 / share):.0f}")

# %% tags=["remove-cell"]
assert 0.245 < share < 0.255

# %% [markdown]
# That is a possible perplexity. Nothing had been held out, and nothing was measured at
# the end: the code makes one pass, and the post's figure shows a moving average of the
# loss on each batch. So each row was new when it was counted, which is as fair as
# held-out text, and {term}`dropout` was on, so the number is too high if anything. The
# expensive part is the other one:
# three of every four FLOPs were spent on learning that padding follows padding.
# Packing, as in [chapter 3](03_tokenizer.ipynb), makes the same dollars buy four
# times the text; whether the model gets better by that, chapter 6 tries.

# %% [markdown]
# ## Where does the time of a step go?
#
# FLOP are counted in matrix products, and a step is more than those. A profiler
# notes how long every operation takes. Here it watches this chapter's model on
# this machine, on its GPU if it has one; beside it stand the two larger scales,
# recorded on a CPU, in bfloat16 and compiled.
#
# :::{admonition} Predict
# :class: hint
# All FLOP that we count are in matrix products. What share of the time of a step
# at full size do the products take?
#
# - nearly all of it
# - half to three quarters
# - a quarter
# :::

# %%
from course_lib.training.processor import number_format
from course_lib.training.profiling import PARTS, profile_step

device = "cuda" if torch.cuda.is_available() else "cpu"
here = profile_step(preset, device,
                    number_format(device, preset.model))
times = {f"{preset.name}, here": {
    part: spent.seconds for part, spent in here.items()}}
profiles = {row["scale"]: row
            for row in load_result("profile.json")["rows"]}
for scale in ("evening", "full"):
    times[scale] = {part: spent["seconds"] for part, spent in
                    profiles[scale]["parts"].items()}
show_table([{"part of a step": part} | {
    name: f"{parts[part] / sum(parts.values()):.0%}"
    for name, parts in times.items()} for part in PARTS])

# %% tags=["remove-cell"]
products = {name: sum(parts[part] for part in PARTS[:3])
            / sum(parts.values()) for name, parts in times.items()}
assert 0.5 < products["full"] < 0.75
between = times["full"][PARTS[3]] / sum(times["full"].values())
assert between > 0.75 * (1 - products["full"])

# %% [markdown]
# Half to three quarters. Most of the rest goes to what stands between the
# products: softmax, norms, activations, and copies from one number format to the
# other. They do little arithmetic and read and write much memory, and memory is
# what they wait for.
#
# The products themselves are not as fast as the processor can be, either:

# %%
full_step = profiles["full"]
speeds_of = {part: spent["flop"] / spent["seconds"]
             for part, spent in full_step["parts"].items()
             if part in PARTS[:3]}
best = max(one["peak"] for one in profiles.values()
           if one["number_format"] == full_step["number_format"])
show_table([{"at full size": part, "GFLOP/s": f"{speed / 1e9:,.0f}",
             "of the best": f"{speed / best:.0%}"}
            for part, speed in speeds_of.items()])

# %% tags=["remove-cell"]
assert max(speeds_of.values()) < 0.7 * best
timed = load_result("training_step.json")
peaks = timed["matmul_flop_per_second"]
[gain] = [row["sides"]["in float32"]["first_is_faster"]
          for row in timed["rows"] if row["scale"] == "full"]
assert gain < 0.5 * peaks["bfloat16"] / peaks["float32"]

# %% [markdown]
# The best is that of the fastest square product seen on this processor, whose
# numbers stay in the caches while it is done again and again. None of these gets
# near it: their numbers come from memory, and each sum in them is short. So a
# processor's peak is not the speed of training. And bfloat16 gains less here than
# its instructions promise: the faster the products, the more weighs what is not in
# them ([chapter 6](06_cheaper.ipynb) has what it gains).
#
# (bfloat16-costs)=
# ## What does bfloat16 cost?
#
# Digits, so that each step errs a little. Do the errors add up? A recorded run took
# the `evening` scale's model through the same million tokens in both formats,
# with two seeds each.
#
# :::{admonition} Predict
# :class: hint
# How far apart do the two formats end, measured by how far apart two seeds end?
#
# - further
# - about as far
# - less far
# :::

# %%
record = load_result("formats.json")
reached = {(run["number_format"], run["seed"]): run["loss"]
           for run in record["runs"]}
table = {name: [reached[name, seed] for seed in (0, 1)]
         for name in ("float32", "bfloat16")}
differs = [b - a for a, b in zip(*table.values())]
show_table([{"number format": name, "seed 0": f"{first:.4f}",
             "seed 1": f"{second:.4f}",
             "apart": f"{second - first:+.4f}"}
            for name, (first, second) in table.items()]
           + [{"number format": "apart", "seed 0": f"{differs[0]:+.4f}",
               "seed 1": f"{differs[1]:+.4f}", "apart": ""}])

# %% tags=["remove-cell"]
assert abs(record["preset"]["tokens"] / 1e6 - 1) < 0.05
seeds_off = [abs(second - first) for first, second in table.values()]
assert max(map(abs, differs)) < min(seeds_off)
assert min(reached.values()) > 5

# %% [markdown]
# Less far: rounding is noise, and of noise a gradient has plenty already.
#
# But after a million tokens, at more than five nats per token, these runs have
# hardly begun. Of a long one, whose gradients are small beside their noise, they
# say nothing.
#
# What bfloat16 gains depends on the processor: some have instructions for it, some
# imitate it, and some virtual machines claim instructions that then crash the
# process. So the trainer lets a child process take a few steps in either format,
# and stores the faster in the run, where a resume finds it. Here is what was found on
# the machine that made this page:

# %%
from course_lib.machine import instructions
from course_lib.training.processor import speeds

found = speeds()  # tried once on a machine, then read from a file
show_table([{"scale": f"`{scale}`", **{
    f"tokens/s in {name}": f"{found[scale][name]:,.0f}"
    if name in found[scale] else "not tried"
    for name in ("float32", "bfloat16")}}
    for scale in ("laptop", "evening") if scale in found])
print("instructions:", *instructions())
if "died" in found:
    print("bfloat16 ended the child with", found["died"])

# %% [markdown]
# :::{admonition} Takeaway
# :class: tip
# A training step is forward, loss, backward, update. What makes it reliable
# is around it: a first loss near $\ln V$, warm-up, a decay that ends with
# the run, clipping, a held-out loss beside the training loss, and checkpoints
# that resume to the bit. And a metric is only worth what it counts: ask of any
# loss *which positions* and *which unit*.
# :::
#
# ## Write it yourself
#
# In your file (`course new my_gpt.py`) this chapter's steps are `adamw`, `clip`,
# `learning_rate` and `training_step`. The optimizer is the one that everybody
# imports and hardly anybody could write down. Try without looking at
# {eq}`eq-adamw`.

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
for plan in preset, cosine:
    half = learning_rate(plan.steps // 2, plan) / plan.learning_rate
    print(f"{plan.schedule}: {half:.0%} of the peak")
    assert 0.4 < half <= 1
# Missed: the small steps, which settle what large ones overshoot.
# With the late decay: what comes before it is the same for a run of any
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
