# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Scaling laws: how big, how long, how much
#
# You have 50 dollars and a GPU for rent, or a laptop and three hours. Do you
# train a small model on much text, or a large one on little? A wrong answer
# costs the whole budget, and you learn of it at the end. This chapter builds a
# dial that you turn before the meter starts: it takes what you can spend and
# gives the model that this buys, with the loss that it should end at. Then it
# bets, and later chapters train what was bet on.

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker

from course_lib import scaling, stages
from course_lib.machine import GPUS
from course_lib.model import count_parameters, flops_per_token
from course_lib.presets import load_preset
from course_lib.recipes import find_recipe
from course_lib.scaling import (
    GPU_MFU,
    PUBLISHED,
    ScalingLaw,
    bootstrap,
    choose,
    dollars,
    fit,
    forecast,
    hindcast,
    plan,
)
from course_lib.showing import (
    card,
    load_result,
    plots,
    show_source,
)

preset = load_preset()          # $COURSE_SCALE: smoke, laptop or full
plots.use_style()
card("02_scaling_laws",
     needs="the primer (token, loss in nats); chapter 1 helps with "
           "what a parameter is",
     gives="a model size, a number of tokens and a learning rate for "
           "any budget, and a loss with an interval to bet on")

# %% [markdown]
# ## What does a budget buy?
#
# Two words first. A {term}`token` is a piece of text, about a word; the loss
# is the mean of $-\ln p$ over the tokens that really came, in {term}`nats
# <nat>`, and lower is better. Work is counted in FLOPs: one {term}`FLOP` is
# one addition or multiplication.
#
# Each {term}`parameter` takes part in one multiplication and one addition for
# every token on the way forward, 2 FLOPs, and in two of each on the way back,
# 4 more. So N parameters trained on D tokens cost about
#
# ```{math}
# :label: eq-6nd
# C = 6 N D \quad \text{FLOPs}.
# ```
#
# The 2023 run that this book rebuilds had a budget of
# $3.2 \cdot 10^{17}$ FLOPs. Nothing in that number says how to split it.

# %%
C = 3.2e17
for N in (5e6, 50e6, 500e6):
    D = C / (6 * N)
    print(f"{N / 1e6:4.0f}M parameters: {D / 1e9:6.2f}B tokens, "
          f"{D / N:7.1f} tokens per parameter")

# %% [markdown]
# :::{admonition} Predict
# :class: hint
# All three cost the same money. Which of them ends with the lowest loss, and
# what goes wrong with the other two? Write your guess down.
# :::
#
# ## Where does the loss come from?
#
# A {term}`scaling law` is a formula for the final loss, fitted to many
# finished runs. The one used most is that of {cite:t}`hoffmann2022`, known
# as Chinchilla after the model it led to:
#
# ```{math}
# :label: eq-law
# L(N, D) = E + \frac{A}{N^{\alpha}} + \frac{B}{D^{\beta}}.
# ```
#
# Read it as a bill with three items. $E$ is what the text itself leaves
# open: even a perfect model cannot know the next word of a story. The second
# item is the price of a finite model, the third the price of finite data.
# Both shrink as a power: with $\alpha = 0.34$, ten times the parameters
# divide the second item by about $10^{0.34} = 2.2$.

# %%
show_source(ScalingLaw.loss)
law = PUBLISHED["hoffmann_2022"]
print(law)

# %% [markdown]
# Those are the constants as the paper prints them. Back to your guess: here
# is the bill for each of the three splits.

# %%
for N in (5e6, 50e6, 500e6):
    D = C / (6 * N)
    size, data = law.A / N**law.alpha, law.B / D**law.beta
    print(f"{N / 1e6:4.0f}M: {law.E} + {size:.2f} (size) + "
          f"{data:.2f} (data) = {law.loss(N, D):.2f} nats")

# %% [markdown]
# The small model is short of parameters, the large one is short of text, and
# the middle one is short of both by about as much. That is the answer in
# one line: *spend so that the two shortages cost about the same*.
#
# ## The valley
#
# Runs that share a budget are called {term}`IsoFLOP` runs. We walk along four
# budgets, the first a third of that of 2023, and draw the loss for every size,
# now with the constants of a refit to the published runs ([the
# notes](notes_scaling.ipynb) say which). The constants are uncertain, so we
# draw that too: the band holds 90% of 400 fits to resampled runs.

# %%
fits = scaling.published_fit()
budgets = [1e17, 1e18, 1e19, 1e20]
sizes = np.geomspace(4e6, 4e9, 120)


def band(C):
    """Loss by size along a budget: the fit, and 90% of resamples."""
    D = C / (6 * sizes)
    return fits.fit.law.loss(sizes, D), fits.loss(sizes, D)


# %% mystnb={"figure": {"caption": "The loss along four budgets, with 90% bands. Dots mark the bottom of each valley, the star the size and data chosen in 2023.", "name": "fig-isoflop"}, "image": {"alt": "Four U-shaped curves of predicted loss against parameters on a logarithmic axis, one for each budget from 1e17 to 1e20 FLOPs. Larger budgets lie lower and have their lowest point, marked by a dot, further right. A star at 50 million parameters lies between the bottoms of the first two."}}
for colour, style, C_i in zip(plots.PALETTE, plots.STYLES, budgets):
    best, (low, high) = band(C_i)
    plt.plot(sizes, best, style, color=colour,
             label=f"{C_i:.0e} FLOPs")
    plt.fill_between(sizes, low, high, color=colour, alpha=0.2)
    bottom = fits.fit.law.optimum(C_i)
    plt.plot(bottom[0], fits.fit.law.loss(*bottom), "o", color=colour)
plt.plot(50e6, fits.fit.law.loss(50e6, 1.1e9), "*", color="black",
         markersize=14, label="50M parameters, 1.1B tokens")
plt.xscale("log")
plt.ylim(2.2, 7)
plt.xlabel("parameters N")
plt.ylabel("predicted loss (nats per token)")
plt.legend(ncols=2, loc="upper left")
plt.show()

# %% [markdown]
# Every valley of {numref}`fig-isoflop` has one floor, and the floors march to
# the right: more compute wants a larger model *and* more text. The floor has a
# closed form. Set the derivative of {eq}`eq-law` along $D = C / 6N$ to zero:
#
# ```{math}
# :label: eq-optimum
# N^* = G \left(\frac{C}{6}\right)^{\frac{\beta}{\alpha + \beta}}, \qquad
# D^* = \frac{1}{G} \left(\frac{C}{6}\right)^{\frac{\alpha}{\alpha + \beta}},
# \qquad
# G = \left(\frac{\alpha A}{\beta B}\right)^{\frac{1}{\alpha + \beta}}.
# ```

# %%
N_star, D_star = law.optimum(C)
print(f"N* = {N_star / 1e6:.1f}M, D* = {D_star / 1e9:.2f}B tokens, "
      f"loss {law.loss(N_star, D_star):.2f}")
print(f"{D_star / N_star:.0f} tokens per parameter")

# %% tags=["remove-cell"]
walk = np.geomspace(1e7, 1e9, 100_001)
lowest = walk[law.isoflop(C, walk).argmin()]
assert abs(lowest / N_star - 1) < 1e-3

# %% [markdown]
# This is where the 2023 post's 50M parameters and 1.1B tokens come from. At
# this budget the rule of thumb that people took from the paper, "20 tokens
# per parameter", is not far off.

# %% [markdown]
# ## What does it cost?
#
# Money buys hours, hours buy FLOPs. A GPU's data sheet gives its peak; training
# reaches a share of it, the {term}`MFU`. The numbers below are *projected*:
# they assume one share for every GPU, more than twice what the 2023 run reached
# ([chapter 6](06_cheaper.ipynb) counts it). Prices are list prices, each of one
# provider and dated; elsewhere the same GPU may cost a third or three times as
# much.
#
# :::{admonition} Predict
# :class: hint
# Which of these GPUs gives the most training for 50 dollars: the cheapest
# by the hour, the newest, or something between?
# :::

# %%
MFU = GPU_MFU
print(f"assumed MFU {MFU:.0%}")
for name, gpu in GPUS.items():
    one = plan(50, gpu, MFU)
    low, high = one.intervals["loss"]
    print(f"{name:9} ${gpu.dollars_per_hour:.2f}/h {one.hours:4.0f} h "
          f"{one.flop:.1e} FLOPs  N* {one.N / 1e6:3.0f}M  "
          f"loss {low:.3f} to {high:.3f}")

# %% tags=["remove-cell"]
bought = {name: plan(50, name, MFU).flop for name in GPUS}
best_three = sorted(bought, key=bought.get, reverse=True)[:3]
assert best_three == ["H100", "RTX 4090", "H200"]

# %% [markdown]
# Neither the cheapest nor the newest: the H100, with the RTX 4090 and the H200
# not far behind. The intervals look too good to be true, and in a way they are:
# they say how firmly 240 published runs hold this formula, not what your text,
# your code and your luck will do. All of these GPUs would buy a model far
# beyond the one this book is about. Turn the question around: what does *our*
# full run cost, 1.1B tokens through 51M parameters?

# %%
full = load_preset("full")
work = flops_per_token(full.model) * full.tokens
for name, gpu in GPUS.items():
    print(f"{name:9} ${dollars(work, gpu, MFU):5.2f}   "
          f"{gpu.price_source}")

# %% [markdown]
# About five dollars at most. The 2023 run paid 50, and the later chapters look
# for the difference.
#
# ## Turn the dial
#
# Here is the whole road from dollars to loss, for your own budget. Below the
# curve stand what the money buys and, in brackets, where 90% of the refits lie.

# %% mystnb={"figure": {"caption": "What a budget buys: the valley that it pays for, with the band of 90% of the refits, and the dot at its floor. Projected: the share of the peak (MFU) is an assumption, the prices are list prices.", "name": "fig-dollars"}}
from course_lib.showing import show_chart
from course_lib.showing.interactive_budget import dollars_chart

show_chart(dollars_chart(50, "V100"), "The curve of predicted loss "
           "against parameters that a budget pays for, with its lowest "
           "point, hours, tokens and loss, and controls for dollars, "
           "GPU and share of its peak.")

# %% [markdown]
# In {numref}`fig-dollars` move the dollars from 5 to 50 and to 500 and watch
# the loss: every factor of ten takes off less than the one before. Then leave
# the dollars and change the GPU. Without a mouse, and in a terminal, `course
# plan --dollars 50 --gpu v100` says the same:

# %%
print(*plan(50, "V100", MFU).lines(), sep="\n")
for money in (5, 50, 500):
    one = plan(money, "V100", MFU)
    print(f"${money:3}: loss {one.loss:.2f}")

# %% [markdown]
# ## How flat is the floor?
#
# The constants that several groups published disagree about the best size by up
# to a quarter ([the notes](notes_scaling.ipynb) compare them). That sounds bad.
# What does it cost?

# %%
fine = np.geomspace(10e6, 200e6, 2000)
near = fits.fit.law
loss = near.isoflop(C, fine)
cheap = fine[loss < loss.min() + 0.01]
print(f"{cheap[0] / 1e6:.0f}M to {cheap[-1] / 1e6:.0f}M parameters "
      "are within 0.01 nats of the best")
for N in (25e6, 50e6, 100e6):
    print(f"{N / 1e6:.0f}M: {near.isoflop(C, N) - loss.min():+.4f}")

# %% [markdown]
# Next to nothing. Near its floor the valley is so flat that no published law
# would have chosen badly. So choose a size whose shapes suit the hardware,
# and lean to the small side: a smaller model is cheaper every time it is
# used. Training it for longer than its budget's optimum, until it is as good,
# is called {term}`over-training`. What does it cost?
#
# :::{admonition} Predict
# :class: hint
# A model of half the best size is to reach the same loss. How much more
# compute does its training take: 5%, 25%, or twice as much? And a quarter
# of the size?
# :::

# %%
for share in (0.7, 0.5, 0.35, 0.25):
    extra = near.overhead(share, C)
    print(f"{share:4.0%} of the parameters: {extra:5.2f} times the "
          f"FLOPs, {extra / share:5.1f} times the tokens")
best_N = near.optimum(C)[0]
gap = near.isoflop(C, best_N) - near.E
wall = (near.A / gap) ** (1 / near.alpha) / best_N
print(f"{wall:4.0%} of the parameters: not with all the text there is")

# %% tags=["remove-cell"]
assert near.overhead(0.7, C) < 1.06 and abs(wall * 7 - 1) < 0.1
assert abs(near.overhead(0.5, C) - 1.25) < 0.05

# %% [markdown]
# A model of 70% of the size is almost free, half the size costs a quarter more,
# and then a wall comes. At a seventh of the size the price of a finite model
# alone has grown to what both prices together were at the best size, so no
# amount of text can make up for it.

# %% [markdown]
# ## How sure are the constants?
#
# Fitting means choosing five constants so that predictions and measured losses
# agree ([the notes](notes_scaling.ipynb) say how). To see whether a method can
# be trusted, give it a question whose answer you know: take a law, invent 60
# runs, add half a per cent of noise, and fit. Then imagine that the runs had
# been others. The {term}`bootstrap` imitates that: draw 60 of the 60 runs with
# replacement, fit again, and repeat. Where 90% of the answers fall is the
# interval.
#
# :::{admonition} Predict
# :class: hint
# Which will be known better, relative to its size: the constant $B$, or the
# loss at a point within the range of the data?
# :::

# %%
draw = np.random.default_rng(0)
N = np.exp(draw.uniform(np.log(1e6), np.log(1e9), 60))
D = N * np.exp(draw.uniform(np.log(3), np.log(100), 60))
noisy = law.loss(N, D) * np.exp(draw.normal(0, 0.005, 60))

boot = bootstrap(N, D, noisy, resamples=1000)
for name in ("E", "A", "B", "alpha", "beta"):
    low, high = boot.interval(name)
    print(f"{name:5} {low:8.2f} to {high:8.2f}   "
          f"truth {getattr(law, name):.2f}")
low, high = boot.loss(1e8, 2e9)
print(f"loss  {low:8.3f} to {high:8.3f}   "
      f"truth {law.loss(1e8, 2e9):.3f}")

# %% tags=["remove-cell"]
assert low < law.loss(1e8, 2e9) < high
assert high - low < 0.05

# %% [markdown]
# Constants trade off against each other: a larger $A$ with a larger $\alpha$
# draws almost the same curve. So $A$ and $B$ are open to a tenth and more
# either way, the loss to a fraction of a per cent. Trust what a law predicts
# inside its range more than the constants themselves, and say how far outside
# you are when you leave it.

# %% [markdown]
# ## What if the text runs out?
#
# The laws assume that every token is new. {cite:t}`muennighoff2023` measured
# what a second and a tenth reading are worth: a little less each time.
# Suppose we had 155M different tokens, some 700 megabytes of books, and read
# them 7.1 times, to make up the 1.1B of 2023.

# %%
many = PUBLISHED["muennighoff_2023"]
fresh = many.loss(50e6, 1.1e9)
again = scaling.repeated(many, 50e6, 1.1e9, unique=155e6)
print(f"1.1B new tokens: {fresh:.2f}; 155M read 7.1 times: {again:.2f}")
print(f"155M read once:  {many.loss(50e6, 155e6):.2f}")
same = many.tokens_for(again, 50e6)
print(f"as good as {same / 1e9:.2f}B new tokens")

# %% tags=["remove-cell"]
assert abs((same - 155e6) / (1.1e9 - 155e6) - 0.5) < 0.1

# %% [markdown]
# Reading again is far better than stopping, and not as good as more text:
# six more readings were worth about half of their number in new tokens.

# %% [markdown]
# ## A law of our own
#
# The published constants belong to another corpus and another tokenizer. Their
# nats are not ours. For a prediction that a run of ours can lose, we need a
# *ladder* of small models, with the text, the tokenizer, the {term}`context`
# and the recipe of the real run. The real run is the `evening` scale's: a model
# that one evening on a few cores can train, on public-domain books, by the
# `modern` recipe that chapter 6 explains. Five budgets over two decades of
# compute are each spent on five to eight sizes. Every run has its own batch and
# {term}`learning rate`, which comes down to its end as the run does, and takes
# a thousand steps or more. The runs took hours, so they are recorded.

# %%
scale = find_recipe("modern").at(load_preset("evening"))
everything = stages.ladder(scale)
ladder = everything[everything.budget < everything.budget.max()]
kept = ladder[ladder.rate == 1]
budgets = np.unique(kept.budget)
valleys = [kept[(kept.budget == spent) & (kept.seed == scale.seed)]
           for spent in budgets]
for spent, valley in zip(budgets, valleys):
    print(f"{spent:.1e} FLOPs: " + "  ".join(
        f"{size / 1e3:.0f}k {loss:.3f}"
        for size, loss in zip(valley.N, valley.loss)))

# %% [markdown]
# ### At which learning rate?
#
# A ladder is fair only when each rung learns at its own best rate, and no rung
# may be tuned for longer than the others. So a rule is fitted first. At five
# points, pairs of a size and a number of tokens, the rate went up and down by
# factors of two until the best lay between two others. {cite:t}`li2025` found
# for models of 60 million parameters and more that the best rate follows
# $\eta = k\,N^{-a} D^{b}$. Do ours?

# %%
from course_lib.scaling.hyperparameters import PUBLISHED as STEP_LAW
from course_lib.scaling.hyperparameters import RULES

sweeps = load_result("rates_books_modern.json")["points"]
rate_rule, step_law = RULES[scale.recipe], STEP_LAW["li_2025"]
for one in sweeps:
    of, D = one["point"], one["point"]["tokens"]
    body = count_parameters(replace(
        scale.model, n_layer=of["layers"], n_embd=of["width"],
        n_head=of["heads"])).without_embedding
    said = rate_rule.rate(body, D)
    costs = one["cost"] * np.log2(said / one["rate"]) ** 2
    print(f"{body / 1e3:3.0f}k ({one['N'] / 1e3:.0f}k) parameters, "
          f"{D / 1e6:.1f}M tokens: best {one['rate']:.4f}, rule "
          f"{said:.4f}, which costs {costs:.4f}; step law "
          f"{step_law.rate(body, D):.2f}")

# %% [markdown]
# The number in brackets counts all parameters, the one before it leaves the
# {term}`embeddings <embedding>` out, and that is the $N$ of the rule. A larger
# vocabulary adds parameters and hardly moves the best rate, so only without
# them does one rule hold on books and on the stories of the other chapters,
# whose vocabulary is an eighth of this one's. It costs next to nothing wherever
# a run has more tokens than parameters; the last line has fewer, and there it
# is twice too high. The published step law does not reach down here: carried to
# a thousandth of the size and to another optimizer, it asks for rates that no
# model survives. The batch is theirs, $0.58\,D^{0.571}$ tokens, or less where a
# run would have fewer than a thousand steps: in the sweeps the larger of two
# batches was the better one, down to there.
#
# Before a small difference is read as a result, two more questions. Was the
# rule right for the ladder itself? In its smallest budget half the rate and
# twice as much were tried; the third line above stands near its largest. And
# how much is luck? In the middle of every valley a second run had other initial
# weights and another order of the text.

# %%
for spent in np.unique(ladder.budget[ladder.rate != 1]):
    tried = ladder[(ladder.budget == spent)
                   & (ladder.seed == scale.seed)]
    tried = tried[tried.N == tried.N[tried.rate != 1][0]]
    print(f"{spent:.1e} FLOPs, learning rate times " + "  ".join(
        f"{times:g}: {loss:.3f}" for times, loss in sorted(
            zip(tried.rate, tried.loss))))
again = kept[kept.seed != scale.seed]
for N, D, loss in zip(*again.runs):
    [first] = kept.loss[(kept.N == N) & (kept.D == D)
                        & (kept.seed == scale.seed)]
    print(f"{N / 1e3:.0f}k parameters, two seeds: {loss - first:+.4f}")

# %% tags=["remove-cell"]
origin = kept[kept.seed == scale.seed]
assert np.abs(again.loss[1:] - [
    origin.loss[(origin.N == N) & (origin.D == D)][0]
    for N, D in zip(again.N[1:], again.D[1:])]).max() < 0.01
first = kept.loss[(kept.N == again.N[0]) & (kept.D == again.D[0])]
assert 0.04 < np.ptp(first) < 0.07
for spent in np.unique(ladder.budget[ladder.rate != 1]):
    tried = ladder[(ladder.budget == spent) & (ladder.N == ladder.N[
        (ladder.rate != 1) & (ladder.budget == spent)][0])
                   & (ladder.seed == scale.seed)]
    assert tried.loss.argmin() == np.flatnonzero(tried.rate == 1)[0]

# %% [markdown]
# Neither half the rate nor twice as much is better. And luck is less than a
# hundredth of a nat, but for the smallest budget, where a step sees a single
# row of text: there two seeds are a twentieth of a nat apart.
#
# ## Valleys of our own
#
# One law, fitted to all runs of the ladder at once, against the runs:

# %% mystnb={"figure": {"caption": "Our own IsoFLOP runs: a filled mark is a run, the hollow one around it its second seed, the curves one law fitted to all, crosses the bottoms that it sees.", "name": "fig-own-isoflop"}, "image": {"alt": "Held-out loss against parameters on a logarithmic axis, five groups of five marks, one for each budget, with a curve through each group. Larger budgets lie lower and further right."}}
law_fits = bootstrap(*ladder.runs)
ours = law_fits.fit.law
for colour, mark, valley in zip(plots.PALETTE, "os^Dv", valleys):
    spent = valley.budget[0]
    wide = np.geomspace(valley.N.min() / 1.5, valley.N.max() * 1.5, 50)
    twin = kept[(kept.budget == spent) & (kept.seed != scale.seed)]
    plt.plot(valley.N, valley.loss, mark, color=colour,
             label=f"{spent:.1e} FLOPs")
    plt.plot(twin.N, twin.loss, mark, color=colour, markersize=10,
             fillstyle="none")
    plt.plot(wide, ours.isoflop(spent, wide), color=colour)
    bottom = ours.optimum(spent)
    plt.plot(bottom[0], ours.loss(*bottom), "x", color=colour,
             markersize=9)
plt.xscale("log")
axis = plt.gca().xaxis
axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
axis.set_major_formatter(ticker.EngFormatter(sep=""))
axis.set_minor_formatter(ticker.NullFormatter())
plt.xlabel("parameters N")
plt.ylabel("held-out loss (nats per token)")
plt.legend(fontsize=8)
plt.show()

# %% [markdown]
# In {numref}`fig-own-isoflop` the larger valleys have two walls and a bottom
# between them. The law passes through most runs, but not on the right: where a
# model has few tokens for its size the runs rise sooner than the curve, most of
# all at the second budget. So the law's own bottoms, the crosses, lie too far
# to the right. Keep that in mind. Where do the runs themselves have their
# bottoms, and how fast do those move? {cite:t}`hoffmann2022` asked in three
# ways, of which the [notes](notes_scaling.ipynb) say more: the envelope of all
# training curves, a parabola through each valley, and the law.

# %%
bottoms = []
for valley in valleys:
    try:
        low = scaling.isoflop_parabola(valley.N, valley.loss)
    except ValueError:  # no lowest point among these sizes
        continue
    if valley.N.min() < low[0] < valley.N.max():
        bottoms.append((valley.budget[0], low[0]))
        print(f"{valley.budget[0]:.1e} FLOPs: bottom at "
              f"{low[0] / 1e3:.0f}k parameters, "
              f"{valley.budget[0] / (6 * low[0]**2):.1f} "
              "tokens for each")
own_curves = [curve.T for curve in kept.curves]
goal = 6 * count_parameters(scale.model).total * scale.tokens
a = ours.beta / (ours.alpha + ours.beta)
answers = {
    "1, envelope": scaling.growth(*scaling.envelope(
        kept.N, own_curves)[:2]),
    "2, parabolas": scaling.growth(*np.transpose(bottoms)),
    "3, the law": (ours.optimum(1)[0], a)}
print(ours)
for name, (k, a) in answers.items():
    print(f"approach {name:13} N* grows with C to the {a:.2f}; for "
          f"{goal:.1e} FLOPs {k * goal**a / 1e6:.1f}M")
low, high = law_fits.interval(
    lambda law: law.beta / (law.alpha + law.beta))
print(f"approach 3, 90% of resamples: {low:.2f} to {high:.2f}")

# %% [markdown]
# Four to nine tokens for each parameter. Twenty is the rule of thumb at the budgets
# of large models; carried down to ours, the constants that Hoffmann's paper prints
# ask for seven to ten, so there is little to explain. The three answers agree on a
# growth that is faster than the square root of the compute, as small models with
# large vocabularies should {cite}`pearce2024`, and on little else: carried two
# decades further they choose sizes that lie a factor of five apart. Exponents are
# constants too.

# %% tags=["remove-cell"]
growths = sorted(a for _, a in answers.values())
sizes_far = sorted(k * goal**a for k, a in answers.values())
assert growths[0] > 0.5 and 4 < sizes_far[-1] / sizes_far[0] < 6
each = [spent / (6 * N * N) for spent, N in bottoms]
assert len(each) == 4 and min(each) > 3.9 and max(each) < 9.5
asked = [spent / (6 * PUBLISHED["hoffmann_2022"].optimum(spent)[0] ** 2)
         for spent, _ in bottoms]
assert 6.5 < min(asked) and max(asked) < 10
for valley in valleys[1:]:
    right = valley.N.argmax()
    assert valley.loss[right] > ours.isoflop(valley.budget[0],
                                             valley.N[right])
assert all(ours.optimum(spent)[0] > N for spent, N in bottoms)

# %% [markdown]
# ## Would it have known?
#
# A law that fits its own runs proves little: five constants bend to much. The
# test is a run that it has not seen. So hold back the largest budget, fit on
# the smaller ones, and predict; then hold back the two largest. Each prediction
# comes with an interval that should hold nine runs in ten. It is made of four
# parts: what the bootstrap says, what another seed does, what a missed learning
# rate costs, and what the law was off by when smaller budgets were held back,
# for each decade beyond the runs.
#
# :::{admonition} Predict
# :class: hint
# Each budget is about three times the one before. How far off will the
# predicted losses be for the largest: 1%, 5% or 20%? How many of the runs lie
# inside their intervals?
# :::

# %%
for held in (1, 2):
    losses, says = hindcast(ladder, held)
    inside = [one.low <= loss <= one.high
              for one, loss in zip(says, losses)]
    off = [one.loss / loss - 1 for one, loss in zip(says, losses)]
    wide = np.mean([one.high - one.loss for one in says])
    print(f"{held} held back: {sum(inside)} of {len(inside)} runs "
          f"inside, intervals {wide:.3f} nats each way, off by "
          f"{min(off):+.1%} to {max(off):+.1%}")

# %% [markdown]
# Every one of them, and with room to spare. Most came out a little lower than
# the smaller budgets had promised: what the smallest models teach about size,
# they teach badly. An interval made from a handful of such misses is a careful
# one.
#
# The ladder has one more rung, far beyond the others: the `evening` model
# itself, on a few million tokens. What does the ladder say of it?

# %%
N_own = count_parameters(scale.model).total
itself = everything[everything.N == N_own]
says = forecast(ladder, N_own, itself.D[0])
print(f"{N_own:,} parameters on {itself.D[0]:,.0f} tokens, "
      f"{itself.budget[0] / ladder.budget.max():.0f} times the largest "
      "budget:")
print(f"predicted {says}, measured {itself.loss[0]:.3f}")

# %% tags=["remove-cell"]
assert off[-1] < 0.05 and all(inside)
more, last = forecast(ladder, N_own, itself.D[0]), itself.loss[0]
assert last > more.high and last - more.high < 0.1
assert itself.D[0] < N_own < 1.5 * itself.D[0]
assert (kept.D / kept.N).min() > 1.5

# %% [markdown]
# It ends above its interval, and the bet is lost. Nine in ten are to be won,
# and there is a reason beside bad luck, of which the right walls had warned.
# This run has fewer tokens than parameters, and no rung of the ladder had: it
# lies outside the range of the runs not only in compute but also in the number
# of tokens for each parameter, and there the two prices no longer simply add
# up. A law is safe inside its range, in every direction. So the run goes into
# the fit, as the rung that lies nearest to what we want to know:

# %%
both = {"without it": ladder, "with it": everything}
run = count_parameters(scale.model).total, 100e6
for name, runs in both.items():
    says = forecast(runs, *run)
    print(f"{name:11} {fit(*runs.runs).law}")
    print(f"{'':11} {run[0] / 1e6:.1f}M parameters on "
          f"{run[1] / 1e6:.0f}M tokens: {says}")

# %% [markdown]
# The constants move a long way, $E$ most of all, and the prediction for a whole
# run by a good part of its interval, which stays wide: two decades of small
# models do not say more about a run a hundred times as large. What would narrow
# it is larger rungs, each of which costs hours.

# %% [markdown]
# ## The dial
#
# Now the law is worth asking. `course plan --hours 3` measures for some seconds
# how fast this machine trains, tries every size on the tokens that three hours
# leave it, and answers with the size that the law expects to end lowest, a
# batch and a learning rate by the rule, and the loss. Here is its answer for a
# machine whose speed is recorded, two cores with instructions for
# bfloat16:

# %%
[step] = [row["sides"]["course_lib"]
          for row in load_result("training_step.json")["rows"]
          if row["scale"] == "evening"]

def speed_of(model):
    """Tokens per second of a model on that machine."""
    return step["flop_per_second"] / flops_per_token(model)

print(*choose(scale, everything, 3 * 3600, speed_of).lines(), sep="\n")

# %%
for hours in (0.3, 3, 30):
    one = choose(scale, everything, hours * 3600, speed_of)
    says = one.forecast
    print(f"{hours:4} hours: {says.N / 1e6:5.2f}M parameters, "
          f"{one.preset.tokens / 1e6:6.1f}M tokens, loss "
          f"{says.loss:.2f} ({says.low:.2f} to {says.high:.2f})")

# %% [markdown]
# The law sees its bottoms too far to the right, so the dial asks for large
# models on little text, larger than one would want to keep in a page;
# `--largest 9e6` bounds them. And look at the intervals: at thirty hours the
# loss is open by more than ten times the hours would gain. The dial is honest
# about how far it sees.

# %% tags=["remove-cell"]
short, long_one = (choose(scale, everything, hours * 3600,
                          speed_of).forecast for hours in (3, 30))
assert long_one.high - long_one.loss > short.loss - long_one.loss
assert short.N > 9e6

# %% [markdown]
# (the-bet)=
# ## The bet
#
# One run is worth a bet that can be lost: the `evening` model on as many books as
# it can read in some hours of training. With
# everything that was measured, the last rung included, the dial said this, and it
# was written into a file of the repository before the run began:

# %%
bet = load_result("long_run_bet.json")
says, to_bits = bet["forecast"], ladder.bits_per_byte(1.0)
apart = 6 * says["N"] * says["D"] / np.array(
    [everything.budget.max(), ladder.budget.max()])
print(f"{says['N']:,} parameters, {says['D']:,} tokens: "
      "{:.0f} times the compute of the last rung, {:.0f} times\n"
      "that of the last valley".format(*apart))
for unit, of in (("nats per token", 1), ("bits per byte", to_bits)):
    print(f"predicted {says['loss'] * of:.3f} {unit} "
          f"({says['low'] * of:.3f} to {says['high'] * of:.3f})")
print("standard deviations, in nats:", ", ".join(
    f"{name} {part:.3f}" for name, part in says["parts"].items()))

# %% tags=["remove-cell"]
parts = sorted(says["parts"], key=says["parts"].get)
assert set(parts[2:]) == {"fit", "extrapolation"}

# %% [markdown]
# That is a wide bet. Two parts of it are large, the resamples of the fit and what
# held-back budgets say of extrapolation. What luck and a missed rate would add is
# small where it was measured, at the ladder's own sizes.
#
# It gets narrower once the same model's end after *fewer* tokens is known. A copy
# of the run was brought down early; [chapter 7](07_speaks.ipynb) is about it. Where
# the law as a whole lies, too high or too low for this model, then no longer
# matters: only the factor by which the further tokens lower the loss does. So
# while the run itself went on at its full learning rate, a second bet was
# written down:

# %%
second = load_result("long_run_second_bet.json")
closer, known = second["forecast"], second["known"]
print(f"known: {known['loss']:.3f} nats per token after "
      f"{known['tokens']:,} tokens")
for unit, of in (("nats per token", 1), ("bits per byte", to_bits)):
    print(f"after {closer['D']:,}: {closer['loss'] * of:.3f} {unit} "
          f"({closer['low'] * of:.3f} to {closer['high'] * of:.3f})")
held = [rung["forecast"]["low"] < rung["loss"] < rung["forecast"]["high"]
        for rung in second["tried"]]
print(f"the ladder's own models, each from its end in a lower valley: "
      f"{sum(held)} of {len(held)} inside")

# %% tags=["remove-cell"]
assert closer["high"] - closer["loss"] < 0.1
assert closer["high"] - closer["low"] < (says["high"] - says["low"]) / 2
assert says["low"] < closer["low"] and closer["high"] < says["high"]
assert 0.8 * len(held) < sum(held)

# %% [markdown]
# Less than a tenth of a nat each way, less than half of the first. Both bets stand
# in the repository, and neither will be changed: the run ends outside of them, or
# inside.

# %% [markdown]
# ## A text without a slope
#
# The stories of the other chapters come from a grammar whose exact
# {term}`entropy` is known: a loss that no model gets below. So here a fit can
# be told its floor, and has four constants to find instead of five. The same
# ladder was measured on them, at the `laptop` scale, by both recipes, and at
# its end the laptop run itself, eight times the largest budget.
#
# :::{admonition} Predict
# :class: hint
# Does knowing the floor make the prediction of the laptop run better? Will its
# interval be narrower than on books, or wider?
# :::

# %%
ended = {"gpt2": np.mean([
    run["validation_loss"]
    for run in load_result("laptop_whole.json")["runs"]
    if run["name"] == "baseline"])}
for recipe in ("gpt2", "modern"):
    small = find_recipe(recipe).at(load_preset("laptop"))
    steps = stages.ladder(small)
    if steps.check:
        ended[recipe] = steps.check["loss"]
    entropy = stages.loss_floor(small, steps)
    run = (count_parameters(small.model).total,
           small.steps * small.batch_tokens)
    for floor in (0.0, entropy):
        says = forecast(steps, *run, floor)
        print(f"{recipe:6} E at least {floor:.2f}: predicted "
              f"{says.loss:.2f} ({says.low:.2f} to {says.high:.2f}), "
              f"measured {ended[recipe]:.2f}")

# %% tags=["remove-cell"]
says = forecast(steps, *run, entropy)
assert ended["modern"] > says.high > says.loss > entropy
assert forecast(steps, *run).loss < entropy < ended["gpt2"] < 0.9
assert says.high - says.loss > 0.05

# %% [markdown]
# Without the floor the law of the `modern` recipe promises less than the
# entropy, which is impossible. With it the prediction moves up, towards what
# came out, and still not far enough. A grammar is a finite source: once a model
# has learned it outright, more of anything buys nothing, and the loss falls off
# a cliff where real prose has a long slope. And rows begin in mid-story, which
# hides from every model some of what would tell the next word, so the floor
# that a run can reach lies above the exact one. The law has the wrong shape for
# such a text, and the honest part of its answer is the interval: budgets held
# back have shown it how wrong it can be, so it is wide. Even so the `modern`
# run ended above it. This bet is lost, and chapter 4 shows the run. On books,
# where the loss is a slope, every run of the two budgets that were held back lay
# inside its interval; only the one with fewer tokens than parameters did not.

# %% [markdown]
# :::{admonition} Takeaway
# :class: tip
# A loss is a floor plus a price for finite size plus a price for finite
# data. For a budget C the best split makes those prices balance, N and D
# both grow with roughly the square root of C, and the valley is so flat
# that the exact N hardly matters. Inside the range of its runs a law is good to
# about a per cent; its constants are not, and a hundred times beyond the runs
# it knows little more than the next factor of ten in compute would change. Nats
# of another tokenizer are another currency.
# :::
#
# ## Write it yourself
#
# In your file (`course new my_gpt.py`) this chapter has one step, the optimum.
# Put $D = C / 6N$ into the two prices and find where the slope in $N$ is zero.

# %%
from course_lib.exercises import check

def chinchilla(C, A, B, alpha, beta):
    """FLOP and the law's constants -> (parameters, tokens)."""

print(check("chinchilla", chinchilla))

# %% [markdown]
# Solution (click to open):

# %% tags=["hide-cell"]
def chinchilla(C, A, B, alpha, beta):
    both = alpha + beta
    slopes = alpha * A / (beta * B)
    N = slopes ** (1 / both) * (C / 6) ** (beta / both)
    return N, C / (6 * N)

print(check("chinchilla", chinchilla))

# %% tags=["remove-cell"]
assert check("chinchilla", chinchilla).right

# %% [markdown]
# ## Exercises
#
# ### 1. Ten times the money
#
# *Easy, 5 minutes.* With ten times the compute, by which factors should N
# and D grow, under the printed constants of Hoffmann et al.? Answer from
# {eq}`eq-optimum` before you compute.
#
# Solution (click to open):

# %% tags=["hide-cell"]
both = law.alpha + law.beta
by_N, by_D = 10 ** (law.beta / both), 10 ** (law.alpha / both)
print(f"N times {by_N:.2f}, D times {by_D:.2f}")
ten = law.optimum(10 * C)
assert np.isclose(ten[0] / N_star, by_N)
assert np.isclose(by_N * by_D, 10)
# Less than the square root for N, more for D: alpha is above beta.

# %% [markdown]
# ### 2. A model for a million users
#
# *Medium, 10 minutes.* Answering costs about $2N$ FLOPs a token. You will
# serve 10 billion tokens and want the loss of the best model for
# $3.2 \cdot 10^{17}$ training FLOPs. Which N makes training plus serving
# cheapest? Use `law.tokens_for(loss, N)`.
#
# Solution (click to open):

# %% tags=["hide-cell"]
target = law.loss(N_star, D_star)
tries = np.geomspace(0.3, 1.5, 400) * N_star
total = 6 * tries * law.tokens_for(target, tries) + 2 * tries * 10e9
best_N = tries[total.argmin()]
print(f"{best_N / 1e6:.0f}M instead of {N_star / 1e6:.0f}M, trained on "
      f"{law.tokens_for(target, best_N) / 1e9:.1f}B tokens")
assert best_N < N_star
assert total.min() < 6 * N_star * D_star + 2 * N_star * 10e9

# %% [markdown]
# ### 3. When the books run out
#
# *Medium, 15 minutes.* You have 155M different tokens and
# $3.2 \cdot 10^{17}$ FLOPs. Should the model be larger or smaller than with
# endless text? Guess, then use `repeated` with Muennighoff's
# constants along the budget.
#
# Solution (click to open):

# %% tags=["hide-cell"]
N_try = np.geomspace(5e6, 5e8, 2000)
few = scaling.repeated(many, N_try, C / (6 * N_try), unique=155e6)
N_few = N_try[few.argmin()]
N_new = many.optimum(C)[0]
print(f"{N_few / 1e6:.0f}M, {C / 6 / N_few / 155e6:.1f} readings, loss "
      f"{few.min():.3f}; with new text {N_new / 1e6:.0f}M, loss "
      f"{many.isoflop(C, N_new):.3f}")
assert N_few < N_new
# Smaller, with more readings: in this law a parameter beyond those that
# the unique tokens call for loses its worth faster than a token seen
# again.

# %% [markdown]
# ### 4. Data that cannot answer
#
# *Easy, 10 minutes.* Someone trained ten sizes, each on exactly 20 tokens
# per parameter. Why can no method tell $A, \alpha$ from $B, \beta$? Check
# what `fit` says, then add the fewest runs that make it answer.
#
# Solution (click to open):

# %% tags=["hide-cell"]
N_ten = np.geomspace(1e7, 1e9, 10)
D_ten = 20 * N_ten
try:
    fit(N_ten, D_ten, law.loss(N_ten, D_ten))
    raise AssertionError("this should have been refused")
except ValueError as error:
    print(error)
# With D = 20 N both prices are powers of N, and they can swap names.
N_more = np.append(N_ten, [1e7, 1e9])
D_more = np.append(D_ten, [2e10, 2e9])
rescued = fit(N_more, D_more, law.loss(N_more, D_more)).law
assert abs(rescued.alpha - law.alpha) < 1e-3
print(f"two runs off the line: alpha {rescued.alpha:.3f}")
