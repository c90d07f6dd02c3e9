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
# The recipe of 2023 cost about fifty dollars. What were they spent on, and why
# should the same number of parameters, shown the same number of tokens, cost one to
# three today? This chapter goes through the bill line by line: what was paid for
# nothing, what a better machine does for the same money, and what has been learned
# about training since. Each line has its own number, and says whether that number
# was counted, measured, or only projected.

# %% tags=["remove-input"]
from course_lib.presets import load_preset
from course_lib.showing import card, plots

preset = load_preset()  # $COURSE_SCALE: smoke, laptop or full
plots.use_style()
card("06_cheaper", needs="chapters 2 and 4",
     gives="the bill from $50 down, line by line, and a command that "
     "adds a line of your own")

# %% tags=["hide-input"]
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch

from course_lib import stages
from course_lib.model import count_parameters, flops_per_token
from course_lib.showing import load_result, show_source, show_table

# %% [markdown]
# ## What was bought in 2023?
#
# A V100 for about 20 hours. BookCorpus has 74,004,228 sentences, and each
# became a row of 64 positions, however short it was. All of them together held
# 1.1 billion real tokens. [Chapter 3](03_tokenizer.ipynb) asked what share of the
# money they got; here is the whole bill.

# %%
from course_lib.machine import GPUS
from course_lib.presets import load_preset
from course_lib.scaling import GPU_MFU, dollars

SENTENCES, ROW, REAL, HOURS = 74_004_228, 64, 1.1e9, 20  # of 2023
full, v100 = load_preset("full"), GPUS["V100"]
paid = HOURS * v100.dollars_per_hour
positions = SENTENCES * ROW
work = positions * flops_per_token(full.model, ROW)
real = REAL / positions
reached = work / (HOURS * 3600 * v100.peak_at())
show_table([{"in 2023": what, "how much": value} for what, value in (
    (f"{HOURS} hours of a V100", f"${paid:.2f}"),
    ("positions", f"{positions / 1e9:.2f}B"),
    ("of them real tokens", f"{real:.0%}"),
    ("paid for real tokens", f"${real * paid:.2f}"),
    ("work", f"{work:.2e} FLOPs"),
    ("share of the V100's peak", f"{reached:.0%}"),
    ("counting real tokens only", f"{real * reached:.0%}"))])

# %% tags=["remove-cell"]
assert 0.22 < real < 0.25 and 0.15 < reached < 0.17
for share in (GPU_MFU / 2, GPU_MFU):
    flop = flops_per_token(full.model) * REAL
    assert 1 < dollars(flop, "A100", share) < 3
    assert 1 < dollars(flop, "H100", share) < 3

# %% [markdown]
# Three quarters of the money went into padding, as chapter 3 counted. (The cents
# differ, since the price of the hours was rounded there.) To count that needs no
# experiment, and chapter 3 has the fix: rows without padding. What such rows do to
# the learning is another question, for below.
#
# The last two lines are the {term}`MFU`: the card did a sixth of what it could.
# Nobody has measured where the rest went. The usual causes are a loss that
# writes all logits of a batch to memory, products too small to fill the card,
# and waiting for data. The code of 2023 does the first, encodes each sentence in the
# training process between two steps, and waits for the loss after each;
# [chapter 4](04_training.ipynb) shows where the time goes in a step of ours. This
# book's trainer is written to waste less, but *it has not been measured on a rented
# GPU*; what follows assumes an MFU, the same as in the other chapters, and says
# what half of it would come to.
#
# On a processor it was measured. The table says how many times as fast a step of
# ours is as one of Hugging Face's `transformers`, of nanoGPT, which the recipe of
# 2023 followed, and of our own trainer with one of its
# {ref}`tricks <on-a-processor>` left out: the median of the rounds and, in
# brackets, the quartiles. bfloat16 gains most of all; what compiling and keeping
# memory gain is of the size of what the rounds differ. The two others run as their
# trainers do on a processor unless asked, in float32 and not compiled. The last two
# lines are of an older processor, which has no instructions for bfloat16, so that
# ours are steps in float32 as well.

# %% tags=["hide-input"]
step, plain = (load_result(f"training_step{name}.json")
               for name in ("", "_float32"))
sides = {
    "in float32": "itself without bfloat16",
    "not compiled": "itself without `torch.compile`",
    "memory given back": "itself without keeping memory",
    "first edition": "itself without all three",
    "transformers": "`transformers`", "nanoGPT": "nanoGPT"}


def faster(record, name):
    cells = {}
    for row in record["rows"]:
        side, ours = row["sides"][name], row["sides"]["course_lib"]
        same = name == "not compiled" and not ours["compiles"]
        cells[f"`{row['scale']}`"] = "it is not" if same else (
            "{:.1f} ({:.1f} to {:.1f})".format(side["first_is_faster"],
                                               *side["quartiles"]))
    return cells


show_table([{"faster than": label, **faster(step, name)}
            for name, label in sides.items()]
           + [{"faster than": f"{sides[name]}, without bfloat16",
               **faster(plain, name)} for name in ("transformers",
                                                   "nanoGPT")])
for name, record in ("with", step), ("without", plain):
    where = record["provenance"]
    print(f"{name} bfloat16: {where['threads']} threads of an "
          f"{where['device']} ({', '.join(where['instructions'])})")

# %% tags=["remove-cell"]
assert [row["scale"] for row in step["rows"]] == ["laptop", "evening",
                                                  "full"]
assert plain["provenance"]["instructions"] == ["avx2"]
for row in plain["rows"]:
    for name in ("nanoGPT", "transformers"):
        assert row["sides"][name]["first_is_faster"] > 1.1
for row in step["rows"][1:]:
    times = {name: row["sides"][name] for name in sides}
    assert times["in float32"]["quartiles"][0] > 1.5
    for name in ("not compiled", "memory given back"):
        one = times[name]
        assert one["first_is_faster"] - 1 < np.ptp(one["quartiles"])
        assert one["first_is_faster"] < times["in float32"][
            "first_is_faster"]

# %% tags=["remove-cell"]
laptop = step["rows"][0]["sides"]
assert laptop["in float32"]["quartiles"][0] > max(
    laptop["memory given back"]["quartiles"][1], 1.3)

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

old, modern = (RECIPES[name].at(preset).to_dict()
               for name in ("2023", "modern"))
for part in (old, modern):
    part.update(part.pop("model"))
show_table([{"field": f"`{field}`", "2023": "never" if value == 1e9
             else value, "modern": modern[field]}
            for field, value in old.items()
            if value != modern[field] and field != "recipe"])

# %% [markdown]
# The lines below lead from the one to the other. First come settings, until the
# recipe is that of this book's other chapters, `gpt2`. Most have a place in
# [chapter 4](04_training.ipynb): first weights as GPT-2 set them (its
# *initialization*), warm-up and decay, clipping, AdamW's settings. Four need a word.
# *Half the batch* takes twice as many steps for the same text. *No dropout* keeps
# all numbers that the recipe of 2023 would set to zero at random, a tenth of them in
# each step. *Twice the context* has rows twice as long, and half as many. *Late
# decay* is the schedule `wsd`. Settings stay in the table whatever they do; then
# come ideas, and those have to earn their place:
#
# :::{admonition} The ideas, a sentence or two each
# :class: dropdown
# - *{term}`Muon`* {cite}`jordan2024`: another optimizer for the matrices inside
#   the blocks, in AdamW's place; its formula stands below.
# - *Rotary positions* {cite}`su2021`: instead of adding a vector for each
#   position, turn queries and keys by an angle that grows with it. What two
#   tokens say to each other then depends on the distance between them.
# - *Normed queries and keys* ({term}`QK-norm`) {cite}`dehghani2023`: their length
#   no longer counts, so that attention cannot become too sure too early.
# - *RMSNorm* {cite}`zhang2019rms` divides a vector by its root mean square and
#   leaves its mean alone: one operation less than LayerNorm.
# - *SwiGLU* {cite}`shazeer2020`: an MLP with a third matrix, a gate that says
#   how much of each inner channel passes. Its inner width is two thirds of the
#   usual, so that the parameters stay as many.
# - *No biases*, in any linear map.
# - *The squared ReLU* {cite}`so2021` for the GELU.
# - *Projections from zero* (zero initialization) {cite}`zhang2019`: each block
#   begins as the identity, and adds something only when it has learned something.
# - *An untied head*: the output layer gets a matrix of its own instead of the
#   embedding's. So that the parameters stay as many, the model gets fewer channels.
# :::
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
# And this is what Muon does. It keeps a running mean $M$ of a matrix's gradients
# $G$, as AdamW does: $M \leftarrow \beta M + (1 - \beta) G$. With the singular
# value decomposition $M = U S V^\top$ it would like to step along $U V^\top$: the
# same directions, and every singular value one, so that no direction is favoured
# because its gradients are large. Products alone come near enough. Begin with
# $X = M / \lVert M \rVert$, divided by the root of the sum of all squares, and
# repeat five times
#
# $$
# A = X X^\top, \qquad X \leftarrow a X + (b A + c A^2) X.
# $$ (eq-muon)
#
# This *Newton-Schulz iteration* turns each singular value $s$ of $X$ into
# $a s + b s^3 + c s^5$ and leaves $U$ and $V$ as they are. With
# $a = 3.4445$, $b = -4.7750$ and $c = 2.0315$ small ones grow fast, and all but the
# smallest end near one. (A matrix with more rows than columns is transposed before
# and after.) Then $W \leftarrow W - 0.2\,\eta \sqrt{n}\,X$, where $n$ is the longer
# side: its numbers are about as large as those of AdamW's step {cite}`liu2025`, so
# that both share the learning rate $\eta$. (The package decays the weights as well,
# looks one gradient ahead, and takes queries, keys and values as three matrices.)

# %% tags=["remove-cell"]
from course_lib.training.optimizers import QUINTIC, orthogonal

assert QUINTIC == (3.4445, -4.7750, 2.0315)
G = torch.randn(6, 9, generator=torch.manual_seed(0))
sizes = torch.linalg.svdvals(orthogonal(G[None])[0])
assert 0.6 < sizes.min() and sizes.max() < 1.3
assert list(RECIPES) == ["2023", "gpt2", "modern"]

# %% [markdown]
# The comparison has to be fair, and that is more work than the changes are.
#
# *The same positions.* Every run works on equally many, padding included; what one of
# them costs differs by a tenth at most (with the untied head by a quarter), and the
# column of work counts that in.
# *The same size*, as far as a change allows. *The same text.* Every run
# is measured on the same held-out stories, in {term}`bits per byte`; the recipe
# that trains on single sentences is measured sentence by sentence, end-of-text
# included, padding left out. *The same care.* Each line gets its own learning
# rate, the best of three or more, looked for until the best lies between two that
# are worse. So does the line of 2023, although its code fixed 0.0005. (The rate is
# chosen by the first seed, on the text that is then reported. That flatters the first
# seed most: the second may have another best rate.) *Two seeds*, because one is an
# anecdote. And *the same trainer*: each run is one of
# chapter 4's, with another configuration.

# %%
recorded = load_result("savings.json")
lines, base = recorded["lines"], recorded["preset"]
where = recorded["provenance"]
of_size = [run["parameters"] for run in recorded["runs"]]
print(f"{len(recorded['runs'])} runs of {recorded['positions']:,} "
      f"positions, on a core of an {where['device']}, {where['date']}")
print(f"model: {base['model']['n_layer']} layers of "
      f"{base['model']['n_embd']} channels, {min(of_size):,} to "
      f"{max(of_size):,} parameters")
print(f"padded rows are {recorded['real_share']:.0%} real")

# %% [markdown]
# That is a very small model on very little text, and what it says about a large
# one is limited; we come back to that.
#
# Money asks another question too: how much work does a line need to become as good
# as the recipe of 2023 was at its end, with the worse of its two seeds? The model
# was measured along each run; we read off where it passed that.

# %% tags=["hide-input"]
from course_lib.showing import Axes, Trick, show_tricks


def runs_of(line, record=recorded):
    return [run for run in record["runs"]
            if run["recipe"] == line["recipe"]
            and run["rate"] == line["rate"]
            and run["asked"] == record["positions"]]


def ends(line, record=recorded):
    return [run["bits_per_byte"] for run in runs_of(line, record)]


def named(name, record=recorded):
    return next(line for line in record["lines"]
                if line["name"] == name)


def draw(record, text):
    whole = runs_of(record["lines"][0], record)[0]["flop"]
    tricks = []
    for line in record["lines"]:
        two = runs_of(line, record)
        curves = [[(p["tokens"] / run["positions"] * run["flop"]
                    / whole, p["bits_per_byte"])
                   for p in run["curve"]] for run in two]
        tricks.append(Trick(line["name"], curves, ends(line, record),
                            line["kept"]))
    axes = Axes("share of the work of 2023", "bits per byte",
                {.02: "2%", .1: "10%", .5: "50%", 1: "100%"})
    show_tricks(tricks, axes, "The lines from the recipe of 2023 to "
                "the modern one, each with where its runs end on "
                f"held-out {text} and, when chosen, their curves.",
                ladder=True)


# %% tags=["hide-input"]
def share_to(run, target):
    """The share of a run's work after which it was at `target`."""
    lowest = np.minimum.accumulate(
        [p["bits_per_byte"] for p in run["curve"]])
    tokens = np.log([p["tokens"] for p in run["curve"]])
    if lowest[-1] > target:
        return np.nan
    needed = np.exp(np.interp(-target, -lowest, tokens))
    return needed / run["positions"]


def work_to(line, record=recorded):
    """The share of the work of 2023 that each seed of the line needs to
    get where the recipe of 2023 ended, on the same text."""
    first = named("the recipe of 2023", record)
    whole, goal = runs_of(first, record)[0]["flop"], max(
        ends(first, record))
    return [share_to(run, goal) * run["flop"] / whole
            for run in runs_of(line, record)]


def shares(values):
    return ", ".join("–" if np.isnan(value) else f"{value:.1%}"
                     for value in values)


def table(record):
    show_table([{
        "line": line["name"], "kept": "yes" if line["kept"] else "no",
        "bits per byte": ", ".join(
            f"{end:.3f}" for end in ends(line, record)),
        "work needed": shares(work_to(line, record))}
        for line in record["lines"]])


# %% [markdown]
# Below, an idea is *kept* when it ends lower, with both seeds, than what was kept
# before it; the settings are kept in any case. *Work needed* is a share of the work
# of 2023, and a dash means that the run never got there.
#
# :::{admonition} Predict
# :class: hint
# Which of these changes lowers the bits per byte at the end most?
#
# - packed rows
# - GPT-2's first weights
# - no dropout
# - Muon
# - rotary positions
# :::

# %% mystnb={"figure": {"caption": "Choose a line: a tick stands at what is on, and the curves say what it is worth. Dots: where two seeds end at the line's best learning rate, filled if the change was kept for the lines below. Recorded.", "name": "fig-savings"}} tags=["hide-input"]
draw(recorded, "stories")

# %% tags=["hide-input"]
table(recorded)

# %% tags=["remove-cell"]
def of(name, record=recorded):
    return np.array(ends(named(name, record), record))


names = [line["name"] for line in lines]
steps = {name: (of(one) - of(name)).mean()
         for one, name in zip(names, names[1:])}
assert sorted(steps, key=steps.get)[-2:] == [
    "Muon", "GPT-2's first weights"]
assert np.ptp(of("GPT-2's first weights")) > 0.5
assert min(of("packed rows")) > max(of(names[0])) + 0.04
assert max(of("GPT-2's first weights")) < min(of(names[0])) - 0.5
for name in ("warm-up and decay", "clipping", "half the batch",
             "AdamW as in chapter 4"):
    assert np.ptp(of(name)) > 0.25
    assert min(of(name)) < max(of("GPT-2's first weights"))
assert max(of("no dropout")) < min(of("half the batch")) - 0.05
assert 0.56 < of("Muon").mean() / of("late decay").mean() < 0.64
assert 0.66 < of("rotary positions").mean() / of("Muon").mean() < 0.72
for name in ("RMSNorm", "SwiGLU", "projections from zero"):
    assert abs(of(name) - of("normed queries, keys")).max() < 0.007
for name in ("squared ReLU", "untied, fewer channels"):
    assert 0.005 < (of(name) - of("normed queries, keys")).min() < 0.02
for name in ("no biases", "the modern recipe"):
    assert (of(name) - of("normed queries, keys")).min() > 0.03
needed = {one["name"]: max(work_to(one)) for one in lines}
assert min(needed, key=needed.get) == "untied, fewer channels"
costs = {one["name"]: runs_of(one)[0]["flop"] for one in lines}
assert 0.7 < costs["untied, fewer channels"] / costs[
    "normed queries, keys"] < 0.8
assert max(costs.values()) / min(
    cost for name, cost in costs.items() if "untied" not in name) < 1.1
assert 3 < 1 / recorded["real_share"] < 4

# %% tags=["remove-cell"]
restless = np.array([of(name) for name in (
    "warm-up and decay", "clipping", "AdamW as in chapter 4",
    "half the batch")])
assert np.ptp(restless.mean(1)) < min(np.ptp(restless, axis=1))
assert np.ptp(of("GPT-2's first weights")) < 0.6
assert of("rotary positions").mean() / of("Muon").mean() > 0.67

# %% tags=["remove-cell"]
def muon_work(model):
    """FLOPs of five iterations on the matrices of all blocks."""
    C = model["n_embd"]
    shapes = [(C, C)] * 4 + [(C, 4 * C)] * 2
    return model["n_layer"] * sum(
        5 * (4 * m * m * n + 2 * m**3) for m, n in shapes)


# %% tags=["remove-cell"]
of_muon = runs_of(named("Muon"))[0]
assert 0.2 < muon_work(base["model"]) / (
    of_muon["flop"] / of_muon["steps"]) < 0.3
assert muon_work(vars(full.model)) < 0.01 * (
    flops_per_token(full.model) * full.batch_tokens)

# %% [markdown]
# GPT-2's first weights, though one of their seeds ends half a bit above the other.
# Muon comes second.
#
# Packing *alone* ends higher on these stories, although the same work then goes
# over three times as much text. In the four lines after the first weights two seeds
# end further apart than the lines do: in runs as short as these it is luck when a model
# gets off its first plateau, where it predicts each token only by how common it is
# ({numref}`fig-no-clipping` shows one). But most lines with one seed read the
# same text in the same order, so compare seed by seed, each line with what was kept
# before it. *Late decay* then gains a sixth of a bit with either.
# *Half the batch* and *no dropout* gain with both, though not the same; *warm-up and
# decay*, *AdamW as in chapter 4* and *twice the context* lose with both. The second
# exercise asks which signs may be luck.
#
# Among the ideas *Muon* takes off two fifths, and *rotary positions* almost a
# third of what is left ({numref}`fig-savings`). (The column of work leaves out the
# products that Muon does by itself in each step. A batch has few tokens here, so they
# add a quarter to what is needed from that line on; with the far larger batch of the
# full preset they add less than a hundredth.) After these two nothing large is
# left: normed queries, RMSNorm, SwiGLU and the projections from zero change about
# as much as a seed does. Without biases this small model is worse, and with the
# squared ReLU or an untied head a little; `modern`, without biases too, pays for
# its shape.
#
# By the column of work the untied head is the cheapest line of all: with fewer
# channels a position costs it a quarter less, and it is soon as good as the recipe
# of 2023. It ends no lower than what was kept, so it is not. Which column counts
# depends on where you mean to stop.
#
# ## Where does a row begin?
#
# Why would rows full of text do worse than padded ones? There is a suspect.
# PyTorch fills an embedding with numbers of size 1. The token table of 2023 was
# tied to the output layer and had that layer's first numbers, much smaller ones. So
# the vector that says *where* a token stands was much larger than the one that says
# *which* token it is:

# %%
from course_lib.model import GPT

torch.manual_seed(0)
begun = GPT(RECIPES["2023"].at(preset).model).transformer
print(f"a token's numbers are of size    {begun.wte.weight.std():.3f}")
print(f"a position's numbers are of size {begun.wpe.weight.std():.3f}")

# %% [markdown]
# If that is the reason, then it should be enough to make the positions smaller,
# with all else as in 2023. Here are four runs, made while the page was built,
# on the stories of the smoke preset: the recipe of 2023 and the same with
# packed rows, each with its positions as they were and at a fiftieth of that.
#
# :::{admonition} Predict
# :class: hint
# Which runs gain more from smaller positions?
#
# - those on packed rows
# - those on padded rows
# - both, by about as much
# :::

# %% tags=["remove-stdout"]
from course_lib.training import train

smoke, rows, gained = load_preset("smoke"), [], {}
for layout, name in (("sentences", "padded"), ("packed", "packed")):
    recipe = RECIPES["2023"].but(layout=layout, batch_tokens=1024)
    run, here = stages.prepared(recipe.at(smoke)), []
    for size in (1.0, 0.02):
        short = recipe.at(replace(smoke, tokens=98_304))
        torch.manual_seed(short.seed)
        model = GPT(short.model)
        with torch.no_grad():
            model.transformer.wpe.weight *= size
        made = train(None, short, run.train_tokens, run.measured_tokens,
                     model=model, evaluate_at=(), progress=False)
        here.append(made.evaluation.bits_per_byte)
    gained[layout] = here[0] - here[1]
    rows.append({"rows": name, "as in 2023": f"{here[0]:.3f}",
                 "smaller positions": f"{here[1]:.3f}",
                 "gain, bits per byte": f"{gained[layout]:.3f}"})
show_table(rows)

# %% tags=["remove-cell"]
assert gained["packed"] > 2 * max(0, gained["sentences"])
assert begun.wpe.weight.std() > 5 * begun.wte.weight.std()

# %% [markdown]
# Those on packed rows, by more than twice as much. In a row that begins where a
# sentence begins, *where* says a good deal; in a window cut from packed text anywhere
# it says nothing, and drowns out the rest.
#
# It is one seed of a tiny model, so no more is claimed. But it shows that what a
# change is worth depends on what stands beside it. Had we tried packing first and
# kept only what helps, we would have thrown it away. That is why settings are
# kept whatever they do, and only ideas must earn their place.
#
# ## How short can the run be?
#
# Shares read off a curve can mislead: while learning rates decay, two curves may
# still cross {cite}`wen2025`. So the last recipe that was kept is also trained to
# its end on a half, a quarter and so on of the work, each time with its own
# schedule, warm-up and decay included.

# %%
last = [line for line in lines if line["kept"]][-1]
goal = max(ends(lines[0]))
print(f"the recipe of 2023, at its end: {goal:.3f} bits per byte")
rows = []
for part in (2, 4, 8, 16):
    short = [run["bits_per_byte"] for run in recorded["runs"]
             if run["asked"] == recorded["positions"] // part
             and run["rate"] == last["rate"]
             and run["recipe"] == last["recipe"]]
    on_the_way = [next(p["bits_per_byte"] for p in run["curve"]
                       if p["tokens"] >= run["positions"] / part)
                  for run in runs_of(last)]
    rows.append({"work": f"1/{part}", **{
        what: ", ".join(f"{bits:.3f}" for bits in two)
        for what, two in (("trained for that much", short),
                          ("the long run there", on_the_way))}})
show_table(rows)

# %% tags=["remove-cell"]
assert part == 16 and len(short) == 2 and max(short) < goal - 0.4
assert max(short) < min(on_the_way)
assert max(work_to(last)) < 1 / 20

# %% tags=["remove-cell"]
for row in rows:
    ran, passed = (
        [float(bits) for bits in row[what].split(", ")]
        for what in ("trained for that much", "the long run there"))
    assert max(ran) < min(passed)

# %% [markdown]
# A sixteenth of the work is enough, and to spare ({numref}`fig-work`). A short
# run ends below the place where a long one is after the same work, so the
# column *work needed* is on the cautious side.

# %% mystnb={"figure": {"caption": "Bits per byte of held-out stories over the work of training, for some of the lines, one seed each. Dashed: where the recipe of 2023 ends. Recorded.", "name": "fig-work"}, "image": {"alt": "Falling curves over work. Packed rows alone end highest; the last recipe crosses the final value of the 2023 recipe early and ends far below it."}} tags=["hide-input"]
names = [lines[0]["name"], "packed rows", "late decay"]
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
plt.xlabel("FLOPs")
plt.ylabel("bits per byte")
plt.legend();

# %% [markdown]
# ## Is it the stories?
#
# A grammar is no prose. So the whole campaign was run again on public-domain books,
# with the same model, positions and care, and a tokenizer of the same size made for
# them. It is measured on windows from all over the books that were held out.
#
# :::{admonition} Predict
# :class: hint
# What will Muon and rotary positions take off on books?
#
# - less than on the stories
# - about as much
# - more
# :::

# %% mystnb={"figure": {"caption": "The same lines on real books. Recorded.", "name": "fig-savings-books"}} tags=["hide-input"]
on_books = load_result("savings_books.json")
draw(on_books, "books")

# %% tags=["hide-input"]
table(on_books)
print(f"{len(on_books['runs'])} runs; padded rows are "
      f"{on_books['real_share']:.0%} real")

# %% tags=["remove-cell"]
names = [line["name"] for line in on_books["lines"]]
assert names == [line["name"] for line in lines]
steps = {name: of(one, on_books).mean() - of(name, on_books).mean()
         for one, name in zip(names, names[1:])}
assert max(steps, key=steps.get) == "GPT-2's first weights"
assert min(of("packed rows", on_books)) < max(of(names[0], on_books))
for name, before in (("Muon", "late decay"),
                     ("rotary positions", "Muon")):
    assert 0.04 < steps[name] / of(before, on_books).mean() < 0.06
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
assert max(of("late decay", on_books)) < min(begun)
assert (of("SwiGLU", on_books) - kept).min() > 0.01
assert abs(of("no dropout", on_books).mean() - begun.mean()) < 0.02

# %% tags=["remove-cell"]
for record in (recorded, on_books):
    for line in record["lines"]:
        rates = {run["rate"] for run in record["runs"]
                 if run["recipe"] == line["recipe"]
                 and run["asked"] == record["positions"]}
        assert len(rates) >= 3
        assert min(rates) < line["rate"] < max(rates)
worse = [(of("no biases", record) - of(best, record)).mean()
         for record, best in ((recorded, "normed queries, keys"),
                              (on_books, "RMSNorm"))]
assert worse[1] < 0.8 * worse[0]
assert min(names, key=lambda name: of(name, on_books).mean()) == \
    "RMSNorm"
assert max(of("late decay", on_books)) < min(begun) - 0.02
between = names[names.index("GPT-2's first weights") + 1:
                names.index("late decay")]
assert all(min(of(name, on_books)) > min(begun) - 0.01
           for name in between)

# %% [markdown]
# Less: Muon takes off a twentieth and rotary positions another, where on the
# stories they took two fifths and almost a third. (The stories reward whoever reads
# past the end of a sentence: a name in the first returns in the last.)
#
# The first weights are the largest step here too ({numref}`fig-savings-books`).
# Packed rows alone are worse with one seed and a little better with the other.
# Normed queries end lower on the stories and RMSNorm on the books, each by less
# than a hundredth of a bit, and not on the other text. Without biases the model is
# worse here too, though by less, and here with SwiGLU as well; `modern`, which has
# both, ends somewhat above the best line. What differs is the middle. *Warm-up and
# decay* gives back part of what the first weights had gained, *no dropout* is level
# with them again, and the late decay is the first line clearly below. Seed by seed,
# most changes have the sign that they had on the stories.
#
# ## Do longer runs and larger models save as much?
#
# Part of what the settings do is to get a run off its first plateau sooner, and a
# run of 20 hours gets off it anyway. So the savings should shrink as runs grow
# longer, and perhaps as models grow larger. The full model has 51 million
# parameters, which is beyond us here. But the direction can be tried on books:
# the recipe of 2023 against the settings of `gpt2` (all lines down to *late
# decay*) and against `modern`, with four times the work; and against the settings
# with a model of more than five times the parameters. Each has its learning rate tuned
# again. As above, the settings needed about an eighth of the work of 2023.
#
# :::{admonition} Predict
# :class: hint
# With four times the work for both, which share of it do they need to become as
# good as the recipe of 2023?
#
# - a larger one
# - about the same
# - a smaller one
# :::

# %%
longer, wider = (load_result(f"savings_books_{name}.json")
                 for name in ("longer", "wider"))
needed, rows = [], []
for what, record, name in (
        ("`gpt2`, as above", on_books, "late decay"),
        ("`gpt2`, four times the work", longer, "late decay"),
        ("`gpt2`, a larger model", wider, "late decay"),
        ("`modern`, as above", on_books, "the modern recipe"),
        ("`modern`, four times the work", longer, "the modern recipe")):
    line = named(name, record)
    needed.append(work_to(line, record))
    rows.append({"settings": what, "parameters":
                 f"{runs_of(line, record)[0]['parameters']:,}",
                 "work needed": shares(needed[-1])})
show_table(rows)
longest = runs_of(named("late decay", longer), longer)[0]["flop"]
whole = flops_per_token(full.model) * REAL
print(f"the full run is {whole / longest:,.0f} times the longest "
      "of these")

# %% tags=["remove-cell"]
means = [np.mean(values) for values in needed]
assert 0.11 < means[0] < 0.14 and 0.11 < means[1] < 0.14
assert abs(means[1] - means[0]) < 0.02
assert max(needed[2]) < 0.7 * min(needed[0])
assert 0.9 < means[4] / means[3] < 1 and 0.06 < means[4] < 0.075
one = runs_of(named("the modern recipe", longer), longer)[0]
own_products = muon_work(longer["preset"]["model"])
assert 0.08 < means[4] * (
    1 + own_products / (one["flop"] / one["steps"])) < 0.1
of_2023 = [np.mean(ends(named("the recipe of 2023", record), record))
           for record in (on_books, wider)]
assert of_2023[0] < of_2023[1]
assert 1.8e5 < whole / longest < 2.2e5
assert longer["positions"] == 4 * on_books["positions"]
of_size = [runs_of(named("late decay", record), record)[0]["parameters"]
           for record in (on_books, wider)]
assert 5 < of_size[1] / of_size[0] < 6

# %% [markdown]
# About the same, an eighth, and `modern` about a fourteenth, as before (with Muon's own
# products, which the column leaves out, less than a tenth). Which way
# they moved depends on which of the two seeds of 2023 is the goal. With the larger
# model the settings need a smaller share, but there the recipe of 2023 ended no lower
# than with the small one, so the goal was an easier one. So over a factor of four in
# work these savings did not shrink by more than luck. Of size this says little, and of
# the full run too, which is some two hundred thousand times the longest of these.

# %% [markdown]
# ## The bill
#
# Now the whole of it, for the full model. Padding is counted. Longer rows *cost*
# a little: attention looks further back. A better share of the V100's peak and a
# newer card are engineering; both stand at the assumed MFU, and beside it at half
# of that, so their dollars are *projected*. What the science saves at full size
# nobody has measured. So its bar is open: from nothing saved to what `modern` saved
# on books, with the small model.

# %%
MFU, CARD = GPU_MFU, "A100"
longer = flops_per_token(full.model) / flops_per_token(full.model, ROW)


def price(gpu):
    return gpu.dollars_per_hour / gpu.peak_at()


def bill(mfu):
    """The steps, (name, factor, kind), and what is left after each."""
    steps = [
        ("padding left out", real, "arithmetic"),
        ("rows of 512", longer, "arithmetic"),
        (f"{reached:.0%} to {mfu:.0%} of the peak", reached / mfu,
         "engineering"),
        (f"V100 to {CARD}", price(GPUS[CARD]) / price(v100),
         "engineering")]
    return steps, paid * np.cumprod([factor for _, factor, _ in steps])


by_modern = named("the modern recipe", on_books)
beyond = [share / on_books["real_share"] for share
          in work_to(by_modern, on_books)]  # padding is counted already
science = float(np.mean(beyond))
guess = "the modern recipe", science, "science"
(steps, left), (_, slower) = bill(MFU), bill(MFU / 2)

# %% tags=["hide-input"]
show_table([{"step": name, "factor": f"{factor:.2f}",
             "left": f"${after:.2f}",
             f"left at {MFU / 2:.0%}": f"${late:.2f}"}
            for (name, factor, _), after, late in zip(
                steps, left, slower)]
           + [{"step": guess[0], "factor": f"{science:.2f} to 1",
               "left": "not measured",
               f"left at {MFU / 2:.0%}": "not measured"}])
tried, full_size = (runs_of(by_modern, on_books)[0],
                    count_parameters(full.model).total)
print(f"{science:.2f} is of {tried['parameters']:,} parameters on "
      f"{tried['positions']:,} tokens ({min(beyond):.2f} and "
      f"{max(beyond):.2f} by seed);\nthe full model has "
      f"{full_size / tried['parameters']:,.0f} times the parameters "
      f"and {REAL / tried['positions']:,.0f} times the tokens")

# %% tags=["remove-cell"]
again = dollars(flops_per_token(full.model) * REAL, CARD, MFU)
assert abs(left[-1] / again - 1) < 1e-9 and longer > 1
assert 1.4 < left[-1] < 1.6 and 2.8 < slower[-1] < 3.2
assert steps[0][1] < steps[3][1] < steps[2][1]
assert longer < 1.1

# %% mystnb={"figure": {"caption": "The bill for 51M parameters and 1.1B tokens. Each bar goes from what was paid before a saving to what is left after it, on a logarithmic axis: equal lengths are equal factors. Bars with lines are projected, at the assumed MFU. The last bar is open, from nothing saved to what the small model saved.", "name": "fig-bill"}, "image": {"alt": "A waterfall from fifty dollars down: leaving out padding and the newer card are the longest bars with a sum, using more of the card follows, and longer rows cost a little. The last bar, the saving by science, is only an outline without a sum."}} tags=["hide-input"]
plots.plot_bill(paid, steps, guess);

# %% [markdown]
# A dollar and a half is left, or three where the card does half as well. In
# {numref}`fig-bill` the first two bars are counted on this page, and so is the share
# of the peak reached in 2023; the MFU is assumed. The price of a FLOP comes from
# `course_lib/machine/gpus.py`, which names its sources, and the last bar from the
# runs on books ({doc}`../book/recorded`). Two seeds say how far luck moves it, and
# nothing here says how far the distance to the full model does.
#
# What you doubt you can move in {numref}`fig-your-bill`: the assumed MFU, the
# card, what it costs where you rent, and whether the recipe saves anything at
# all. One MFU for every card is generous to those whose arithmetic is fastest beside
# their memory, the H100 and the L4: a model only 512 channels wide has little to
# compute with each number that it reads, and there its products wait for memory.
# Which card comes out cheapest follows from that assumption, and nobody measured it.

# %% mystnb={"figure": {"caption": "The same bill under your own assumptions; it opens with a recipe that saves nothing. Each sum stands at the end of its bar, where the next begins.", "name": "fig-your-bill"}} tags=["hide-input"]
from course_lib.showing import bill_chart, show_chart

recipes = {"saves nothing": 1.0, "as the small model": science}
show_chart(bill_chart(paid, real, longer, reached, recipes,
                      round(100 * MFU), CARD),
           "Bars of what is left of the bill after each step, with "
           "controls for the MFU, the card, its price and the recipe.")

# %% [markdown]
# ## Which of these savings last?
#
# *Arithmetic* lasts, as far as it goes: it counts tokens that were processed, not
# what was learned from them. On BookCorpus three quarters of the positions were
# padding, whatever the model. That as many tokens in packed rows make as good a
# model is another claim, and in our small runs it did not hold until the first
# weights were changed.
#
# *Engineering* lasts as far as the machine goes, and a share of the peak depends
# on the model's width; exercise 1 tries other shares.
#
# *Science* is the bar to doubt. Part of it is a run that leaves its first plateau
# sooner, which a long run does anyway, and what could be tried here ends far below
# the full run. The recipe of 2023 was tuned here too; its code used 0.0005, and if
# another rate would have been better, the real run was worse than ours and the gap
# larger. The ideas are used in models thousands of times as large. For Muon the
# saving was measured there: those who scaled it up needed half the work
# {cite}`liu2025`; a study that tuned both sides found Muon and its like 1.4 times as
# fast as AdamW at 0.1 billion parameters and only 1.1 times at 1.2 billion
# {cite}`wen2025`. The dollars to plan with are those of the bar before it.
#
# ## What would fifty dollars buy now?
#
# Chapter 2's law can be read forwards: from dollars to the model that they buy.
#
# :::{admonition} Predict
# :class: hint
# The same fifty dollars, spent on an A100 without waste: how many times larger a
# model would they train?
#
# - twice as large
# - four to six times
# - thirty times
# :::

# %%
from course_lib.scaling import plan, published_fit

law = published_fit().fit.law
loss_then, grown = law.loss(full_size, REAL), []
rows = [("in 2023", full_size, REAL, loss_then)]
for share in (MFU / 2, MFU):
    now = plan(50, CARD, share)
    rows.append((f"now, at {share:.0%}", now.N, now.D, now.loss))
    grown.append(now.N / full_size)
show_table([{"for $50": when, "parameters": f"{N / 1e6:.0f}M",
             "times those of 2023": f"{N / full_size:.1f}",
             "tokens": f"{D / 1e9:.1f}B",
             "loss, by the law": f"{loss:.2f}"}
            for when, N, D, loss in rows])

# %% tags=["remove-cell"]
assert 3.7 < grown[0] < 4.5 and 5.5 < grown[1] < 6.3

# %% [markdown]
# Four to six times, by how well the card is used. All three losses are the law's,
# on the text and tokenizer of its own paper ([chapter 2](02_scaling_laws.ipynb)).
#
# ## And what does it say?
#
# In 2023 the trained model said, as the post has it: "life is about romance ,
# and love and adrenaline , at the same time ." The full model of this book has
# not been trained on a recorded machine, so there is nothing of its size to put
# beside that. What the largest model that we trained says, with a sixth of the
# parameters, stands in [chapter 7](07_speaks.ipynb). The two cannot be compared:
# other text, another tokenizer, and one sentence was chosen by its author.

# %% tags=["remove-cell"]
books = load_result("long_run.json")
assert 5.5 < full_size / books["parameters"] < 6.5

# %% [markdown]
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
# same way, a stop and a resume included, with the model at its full width, for
# four steps. A test runs it on a CPU.
#
# :::{admonition} Takeaway
# :class: tip
# Most of the fifty dollars went into padding and into a card used at a sixth of
# its peak. The first is counted; the second is a matter of the machine and of the
# model's width. Packing alone, in our small runs, made no better model until the
# first weights changed too. What lowers the loss for the same work has to be
# measured: with both sides tuned, on the same text, for the same work, with more
# than one seed, and with the lines that did not help left in the table.
# :::
#
# ## Write it yourself
#
# In your file (`course new my_gpt.py`) the last two steps are for the brave.
# `rotary` turns channel $i$ and channel $i + D/2$ as a pair, by $10000^{-2i/D}$
# radians a place; `muon` is {eq}`eq-muon`, from a gradient to $X$.

# %%
from course_lib.exercises import check

def rotary(x, start=0):
    """(B, H, T, D) whose first token stands at place `start` -> the
    same, its pairs of channels turned."""

def muon(gradient, iterations=5):
    """A matrix -> the same directions, all of about one length."""

print(check("rotary", rotary))
print(check("muon", muon))

# %% [markdown]
# Solution (click to open):

# %% tags=["hide-cell"]
def rotary(x, start=0):
    T, D = x.shape[-2:]
    speeds = 10_000.0 ** (-torch.arange(D // 2) * 2 / D)
    angles = (start + torch.arange(T))[:, None] * speeds
    cos, sin = angles.cos(), angles.sin()
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)

def muon(gradient, iterations=5):
    tall = gradient.size(0) > gradient.size(1)
    X = gradient.T if tall else gradient
    X = X / X.norm()
    for _ in range(iterations):
        A = X @ X.T
        X = 3.4445 * X + (-4.7750 * A + 2.0315 * A @ A) @ X
    return X.T if tall else X

print(check("rotary", rotary))
print(check("muon", muon))

# %% tags=["remove-cell"]
assert check("rotary", rotary).right and check("muon", muon).right

# %% [markdown]
# ## Exercises
#
# ### 1. If the assumption is wrong
#
# *Easy, 5 minutes.* The dollars stand on an assumed MFU. What would the same
# training cost at 10%, and at 55%? From which MFU on does it cost less than a
# dollar on an A100?
#
# Solution (click to open):

# %% tags=["hide-cell"]
flop = flops_per_token(full.model) * REAL
for share in (0.10, 0.55):
    print(f"{share:.0%}: ${dollars(flop, CARD, share):.2f}")
enough = dollars(flop, CARD, 1.0) / 1.00
print(f"under a dollar from {enough:.0%} on")
assert abs(dollars(flop, CARD, enough) - 1) < 1e-9

# %% [markdown]
# ### 2. What is luck?
#
# *Medium, 15 minutes.* Two runs of a line differ in nothing but the seed, and some
# end far apart (the *seed variance*). But runs of one seed read the same text in
# the same order, except where packing, the batch or the context changes it. So take
# each run's bits from those of the kept line before it *with the same seed*, on
# stories and on books: four gains for each line. For which lines do all four have
# one sign? And for how many would they, if no change did anything?
#
# Solution (click to open):

# %% tags=["hide-cell"]
def gains(record):
    """By line: what each seed gained against the last line kept."""
    kept, found = np.array(ends(record["lines"][0], record)), {}
    for line in record["lines"][1:]:
        here = np.array(ends(line, record))
        found[line["name"]] = kept - here
        kept = here if line["kept"] else kept
    return found


here, there = gains(recorded), gains(on_books)
one_sign = {name: len({gain > 0 for gain in (*two, *there[name])}) == 1
            for name, two in here.items()}
show_table([{"gain in bits per byte": name,
             "stories": ", ".join(f"{gain:+.3f}" for gain in two),
             "books": ", ".join(f"{gain:+.3f}" for gain in there[name]),
             "one sign": "yes" if one_sign[name] else "no"}
            for name, two in here.items()])
print(f"one sign in {sum(one_sign.values())} of {len(one_sign)} lines; "
      f"by chance in {len(one_sign) / 8:.1f}, as four coins fall alike "
      "once in eight")

# %% tags=["remove-cell"]
assert {name for name, same in one_sign.items() if same} == {
    "GPT-2's first weights", "warm-up and decay", "half the batch",
    "AdamW as in chapter 4", "no dropout", "twice the context",
    "late decay", "Muon", "rotary positions", "no biases",
    "squared ReLU", "untied, fewer channels", "the modern recipe"}
assert all(0.14 < gain < 0.17 for gain in here["late decay"])
for name in ("half the batch", "no dropout"):
    assert max(here[name]) > 3 * min(here[name]) > 0
assert min(there["packed rows"]) < 0 < max(there["packed rows"]) < 0.03
for name, better, other in (("normed queries, keys", here, there),
                            ("RMSNorm", there, here)):
    assert 0 < better[name].mean() < 0.008
    assert other[name].mean() < 0.001
assert [run["seed"] for line in lines for run in runs_of(line)] == [
    0, 1] * len(lines)

# %% tags=["remove-cell"]
for name in ("warm-up and decay", "AdamW as in chapter 4",
             "twice the context"):
    assert max(here[name]) < 0 and max(there[name]) < 0
assert sum(one_sign.values()) > len(one_sign) / 2

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
