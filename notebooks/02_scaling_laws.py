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
# dial that you turn before the meter starts: it takes what you can spend, and
# gives the model to train, the text to read and the loss to expect. Then it makes
# a bet that a run can lose.

# %% tags=["remove-input"]
from course_lib.showing import card, plots

plots.use_style()
card("02_scaling_laws",
     needs="the primer (token, loss in nats); chapter 1 helps with "
           "what a parameter is",
     gives="a model size, a number of tokens and a learning rate for "
           "any budget, and a loss with an interval to bet on")

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker

from course_lib import scaling, stages
from course_lib.machine import GPUS
from course_lib.model import count_parameters, flops_per_token
from course_lib.presets import load_preset
from course_lib.recipes import find_recipe
from course_lib.showing import load_result, show_source, show_table

# %% [markdown]
# ## What does a budget buy?
#
# Three words first. A {term}`token` is a piece of text, about a word. The loss is
# the mean of $-\ln p$, in {term}`nats <nat>`, where $p$ is the probability that
# the model gave to the token that really came; lower is better. Work is counted
# in FLOPs: one {term}`FLOP` is one addition or multiplication.
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
# The 2023 run that this book rebuilds was *planned* with a budget of
# $3.2 \cdot 10^{17}$ FLOPs. (It spent more than four times that;
# [chapter 3](03_tokenizer.ipynb) finds on what.) Nothing in that number says how
# to split it. (In this chapter $C$ is compute and $L$ a loss; chapter 1's channels
# and layers have no letters here.)

# %%
C = 3.2e17
splits = {N: C / (6 * N) for N in (5e6, 50e6, 500e6)}
show_table([{"parameters": f"{N / 1e6:.0f}M",
             "tokens": f"{D / 1e9:.2f}B",
             "tokens per parameter": f"{D / N:,.1f}"}
            for N, D in splits.items()])

# %% tags=["remove-cell"]
spent_2023 = 74_004_228 * 64 * flops_per_token(
    load_preset("full").model, 64)
assert 4 < spent_2023 / C < 5

# %% [markdown]
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
from course_lib.scaling import PUBLISHED, ScalingLaw

show_source(ScalingLaw.loss)
law = PUBLISHED["hoffmann_2022"]
print(law)

# %% [markdown]
# Those are the constants as the paper prints them.
#
# :::{admonition} Predict
# :class: hint
# The three splits above cost the same. Which of them ends with the lowest loss?
#
# - 5M parameters
# - 50M parameters
# - 500M parameters
# :::

# %%
show_table([{"N": f"{N / 1e6:.0f}M", "E": f"{law.E}",
             "+ size": f"{law.A / N**law.alpha:.2f}",
             "+ data": f"{law.B / D**law.beta:.2f}",
             "= loss": f"{law.loss(N, D):.2f}"}
            for N, D in splits.items()])

# %% tags=["remove-cell"]
assert min(splits, key=lambda N: law.loss(N, splits[N])) == 50e6
paid = [law.A / 50e6**law.alpha, law.B / splits[50e6]**law.beta]
assert max(paid) < 1.3 * min(paid)

# %% [markdown]
# The middle one. The small model is short of parameters, the large one is short
# of text, and the middle one is short of both by about as much.
#
# That is the whole idea: *spend so that the two shortages cost about the same*.
#
# ## The valley
#
# Runs that share a budget are called {term}`IsoFLOP` runs. We walk along four
# budgets, the first a third of the one planned in 2023, and draw the loss for
# every size, now with the constants of a refit to the published runs ([the
# notes](notes_scaling.ipynb) say which). The constants are uncertain, so we
# draw that too: the band holds 90% of 400 fits to resampled runs, a method
# that we try ourselves below.

# %%
fits = scaling.published_fit()
budgets = [1e17, 1e18, 1e19, 1e20]
sizes = np.geomspace(4e6, 4e9, 120)


def band(C):
    """Loss by size along a budget: the fit, and 90% of resamples."""
    D = C / (6 * sizes)
    return fits.fit.law.loss(sizes, D), fits.loss(sizes, D)


# %% mystnb={"figure": {"caption": "The loss along four budgets, with 90% bands. Dots mark the bottom of each valley, the star the size and data chosen in 2023.", "name": "fig-isoflop"}, "image": {"alt": "Four U-shaped curves of predicted loss against parameters on a logarithmic axis, one for each budget from 1e17 to 1e20 FLOPs. Larger budgets lie lower and have their lowest point, marked by a dot, further right. A star at 50 million parameters lies between the bottoms of the first two."}} tags=["hide-input"]
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
plots.count_axis("parameters N")
plt.ylabel("predicted loss (nats per token)")
plt.legend(ncols=2, loc="upper left")
plt.show()

# %% [markdown]
# Every valley of {numref}`fig-isoflop` has one bottom, and the bottoms move to
# the right: more compute wants a larger model *and* more text. The bottom has a
# closed form. Set the derivative of {eq}`eq-law` along $D = C / 6N$ to zero:
#
# ```{math}
# :label: eq-optimum
# \begin{aligned}
# & N^* = G \left(\frac{C}{6}\right)^{\frac{\beta}{\alpha + \beta}}, \quad
# D^* = \frac{1}{G} \left(\frac{C}{6}\right)^{\frac{\alpha}{\alpha + \beta}}, \\
# & G = \left(\frac{\alpha A}{\beta B}\right)^{\frac{1}{\alpha + \beta}}.
# \end{aligned}
# ```
#
# For the planned budget, with the constants as the paper printed them:

# %%
N_star, D_star = law.optimum(C)
print(f"N* = {N_star / 1e6:.1f}M, D* = {D_star / 1e9:.2f}B tokens, "
      f"loss {law.loss(N_star, D_star):.2f}")
print(f"{D_star / N_star:.0f} tokens per parameter")

# %% tags=["remove-cell"]
walk = np.geomspace(1e7, 1e9, 100_001)
lowest = walk[law.isoflop(C, walk).argmin()]
assert abs(lowest / N_star - 1) < 1e-3
assert abs(N_star / 50e6 - 1) < 0.05
assert abs(D_star / 1.1e9 - 1) < 0.02
assert 18 < D_star / N_star < 24

# %% [markdown]
# This is where the 2023 post's 50M parameters and 1.1B tokens come from. At
# this budget the rule of thumb that people took from the paper, "20 tokens
# per parameter", is not far off.

# %% [markdown]
# ## What does it cost?
#
# Money buys hours, hours buy FLOPs. A GPU's data sheet gives its peak; training
# reaches a share of it, the {term}`MFU`. The numbers below are *projected*:
# they assume one MFU for every GPU, more than twice that of the 2023 run
# ([chapter 6](06_cheaper.ipynb) counts it). Prices are list prices, each of one
# provider and dated; elsewhere the same GPU may cost much less or much more.
#
# :::{admonition} Predict
# :class: hint
# Which of these GPUs gives the most training for 50 dollars?
#
# - the cheapest by the hour, a T4
# - the newest of them, an H200
# - something between
# :::

# %%
from course_lib.scaling import GPU_MFU, dollars, plan

MFU = GPU_MFU
print(f"assumed MFU {MFU:.0%}")
rows = []
for name, gpu in GPUS.items():
    one = plan(50, gpu, MFU)
    low, high = one.intervals["loss"]
    rows.append({"GPU": name, "$/h": f"{gpu.dollars_per_hour:.2f}",
                 "FLOPs": f"{one.flop:.1e}".replace("+", ""),
                 "best N": f"{one.N / 1e6:.0f}M",
                 "loss": f"{low:.3f} to {high:.3f}"})
show_table(rows)

# %% tags=["remove-cell"]
bought = {name: plan(50, name, MFU).flop for name in GPUS}
best_three = sorted(bought, key=bought.get, reverse=True)[:3]
assert best_three == ["H100", "RTX 4090", "H200"]
reached = spent_2023 / (20 * 3600 * GPUS["V100"].peak_at())
assert MFU > 2 * reached
assert bought["H200"] > 0.85 * bought["H100"]
hourly = {name: gpu.dollars_per_hour for name, gpu in GPUS.items()}
assert min(hourly, key=hourly.get) == "T4"
assert min(plan(50, name, MFU).N for name in GPUS) > 2.5 * 51e6

# %% [markdown]
# Something between: the H100, with the RTX 4090 and the H200 not far behind. That
# ranking is the assumption's: the faster a card multiplies, the longer it waits for
# its memory when a model is narrow, and ours has 512 channels. Which card wins,
# only a run can say.
#
# The intervals look too good to be true, and in a way they are: they say how
# firmly 240 published runs hold this formula, not what your text, your code and
# your luck will do. And 50 dollars would now buy a model far beyond the one
# this book is about. So turn the question around: this is what *our* full run
# costs, 1.1B tokens through 51M parameters, at the assumed MFU and at half of it.

# %%
full = load_preset("full")
work = flops_per_token(full.model) * full.tokens
show_table([{"GPU": name, **{
    f"MFU {share:.0%}": f"${dollars(work, gpu, share):.2f}"
    for share in (MFU, MFU / 2)}, "price of": gpu.price_source}
            for name, gpu in GPUS.items()])

# %% tags=["remove-cell"]
costs = [dollars(work, gpu, MFU) for gpu in GPUS.values()]
assert 4.5 < max(costs) == dollars(work, GPUS["V100"], MFU) < 5.5
assert 0.8 < dollars(work, GPUS["H100"], MFU) < 1.2
one, two, three = (plan(money, "V100", MFU).loss
                   for money in (5, 50, 500))
assert one - two > two - three > 0

# %% [markdown]
# On a V100, the card of 2023, five dollars, or ten; on an H100 one, or two. The
# 2023 run paid 50, and chapter 3 finds out what most of it was paid for.
#
# For your own budget, {numref}`fig-dollars` goes the whole way from dollars to
# loss. Below the curve stand what the money buys and, in brackets, where 90% of
# the refits lie.

# %% mystnb={"figure": {"caption": "What a budget buys: the valley that it pays for, with the band of 90% of the refits, and the dot at its bottom. Projected: the share of the peak (MFU) is an assumption, the prices are list prices.", "name": "fig-dollars"}} tags=["hide-input"]
from course_lib.showing import show_chart
from course_lib.showing.interactive_budget import dollars_chart

show_chart(dollars_chart(50, "V100"), "The curve of predicted loss "
           "against parameters that a budget pays for, with its lowest "
           "point, hours, tokens and loss, and controls for dollars, "
           "GPU and share of its peak.")

# %% [markdown]
# Move the dollars from 5 to 50 and to 500 and watch the loss: every factor of
# ten takes off less than the one before. Then leave the dollars and change the
# GPU. In a terminal, `course plan --dollars 50 --gpu v100` says the same:

# %%
print(*plan(50, "V100", MFU).lines(), sep="\n")

# %% [markdown]
# ## How flat is the bottom?
#
# Groups that fitted the law to other runs found other constants, and with them
# other best sizes ([the notes](notes_scaling.ipynb) compare them). That matters
# only as far as a wrong size costs something. Along the budget planned in 2023:

# %%
refit = fits.fit.law
fine = np.geomspace(10e6, 200e6, 2000)
loss = refit.isoflop(C, fine)
cheap = fine[loss < loss.min() + 0.01]
show_table([{"parameters": f"{N / 1e6:.0f}M", "nats above the best":
             f"{refit.isoflop(C, N) - loss.min():.3f}"}
            for N in (25e6, 50e6, 100e6)])
print(f"{cheap[0] / 1e6:.0f}M to {cheap[-1] / 1e6:.0f}M parameters "
      "are within 0.01 nats of the best")

# %% tags=["remove-cell"]
others = [one.optimum(C)[0] for one in PUBLISHED.values()][:4]
assert cheap[0] < min(others) and max(others) < cheap[-1]

# %% [markdown]
# Little, near the bottom: the size that any other published law of this form names
# is nearly as good by this one. So choose a size whose shapes suit the hardware,
# and lean to the small side, since a smaller model is cheaper every time it is
# used. To train such a model on more tokens than the best split would give it,
# until it is as good as the larger one, is called {term}`over-training`.
#
# :::{admonition} Predict
# :class: hint
# A model of half the best size is to reach the same loss. How much more
# compute does its training take?
#
# - 5% more
# - 25% more
# - twice as much
# :::

# %%
show_table([{"share of the best size": f"{share:.0%}",
             "times the FLOPs": f"{refit.overhead(share, C):.2f}",
             "times the tokens":
             f"{refit.overhead(share, C) / share:.1f}"}
            for share in (0.7, 0.5, 0.35, 0.25)])
best_N = refit.optimum(C)[0]
gap = refit.isoflop(C, best_N) - refit.E
wall = (refit.A / gap) ** (1 / refit.alpha) / best_N
print(f"with {wall:.0%} of the size: not with all the text there is")

# %% tags=["remove-cell"]
assert refit.overhead(0.7, C) < 1.06 and abs(wall * 7 - 1) < 0.1
assert abs(refit.overhead(0.5, C) - 1.25) < 0.05

# %% [markdown]
# Half the size costs a quarter more, and 70% of it is almost free. Then a wall
# comes. At a seventh of the size the price of a finite model alone has grown to
# what both prices together were at the best size, so no amount of text can make
# up for it.

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
# Which will be known better, relative to its size?
#
# - the constant B
# - the loss at a point within the range of the runs
# :::

# %%
from course_lib.scaling import bootstrap

draw = np.random.default_rng(0)
N = np.exp(draw.uniform(np.log(1e6), np.log(1e9), 60))
D = N * np.exp(draw.uniform(np.log(3), np.log(100), 60))
noisy = law.loss(N, D) * np.exp(draw.normal(0, 0.005, 60))

boot = bootstrap(N, D, noisy, resamples=1000)
found = {name: (getattr(law, name), boot.interval(name))
         for name in ("E", "A", "B", "alpha", "beta")}
found["loss inside"] = law.loss(1e8, 2e9), boot.loss(1e8, 2e9)
show_table([{"quantity": name, "truth": f"{truth:.4g}",
             "90% interval": f"{low:.4g} to {high:.4g}"}
            for name, (truth, (low, high)) in found.items()])

# %% tags=["remove-cell"]
truth, (low, high) = found["loss inside"]
assert low < truth < high and (high - low) / truth < 0.005
for name in "AB":
    low, high = boot.interval(name)
    assert high / low > 1.15
assert min(boot.interval(name)[1] / boot.interval(name)[0]
           for name in "AB") > 1.18

# %% [markdown]
# The loss, by far. Constants trade off against each other: a larger $A$ with a
# larger $\alpha$ draws almost the same curve. So $A$ and $B$ are open by a tenth and
# more, the loss by a fraction of a per cent.
#
# Trust what a law predicts inside its range more than the constants themselves,
# and say how far outside you are when you leave it.

# %% [markdown]
# ## A law of our own
#
# The published constants belong to another corpus and another tokenizer: their
# nats are not ours. For a prediction that can fail here, we need a
# *ladder*, whose rungs are small models with the text, the tokenizer, the
# {term}`context` and the recipe of the real run. The real run is the `evening`
# scale's, which a CPU can train in some hours, on public-domain books, by the
# `modern` recipe that chapter 6 explains. Five budgets are each spent on five to
# eight sizes. Each run takes at least a thousand steps, and its {term}`learning
# rate` falls to nearly zero at its own end. The runs took hours, so they are
# recorded.

# %%
scale = find_recipe("modern").at(load_preset("evening"))
everything = stages.ladder(scale)
# the last budget has a single run, far beyond the others: for later
ladder = everything[everything.budget < everything.budget.max()]
kept = ladder[ladder.rate == 1]
first = kept[kept.seed == scale.seed]
second_seed = kept[kept.seed != scale.seed]
valleys = [first[first.budget == spent]
           for spent in np.unique(first.budget)]
show_table([{
    "FLOPs": f"{one.budget[0]:.1e}", "sizes": len(one.N),
    "N": f"{one.N.min() / 1e3:,.0f}k to {one.N.max() / 1e3:,.0f}k",
    "lowest loss": f"{one.loss.min():.2f}"} for one in valleys])

# %% tags=["remove-cell"]
assert {len(one.N) for one in valleys} <= {5, 6, 7, 8}
assert min(rung.preset.steps for rung in ladder.rungs) >= 1000
apart = [abs(loss - first.loss[(first.N == N) & (first.D == D)][0])
         for N, D, loss in zip(*second_seed.runs)]
assert 0.04 < apart[0] < 0.07 and max(apart[1:]) < 0.01
assert len(valleys) == 5
assert {5, 8} <= {len(one.N) for one in valleys}
budgets_own = np.array([one.budget[0] for one in valleys])
assert np.allclose(budgets_own[1:] / budgets_own[:-1], 3.16, rtol=.01)
assert np.array_equal(second_seed.budget, budgets_own)
assert 0.045 < apart[0] < 0.06

# %% [markdown]
# Such a ladder is fair only when every run has a learning rate that suits it,
# and none was tuned for longer than the others. So each rate comes from one
# rule, fitted beforehand to other small runs, each tried at several rates ([the
# notes](notes_scaling.ipynb) show and test it). Luck is small: in the middle of each
# valley a second run had another {term}`seed`, and ended within a hundredth of a
# nat of the first, except in the smallest budget, where a twentieth lies between
# them.
#
# Now one law, fitted to all of these runs at once:

# %%
law_fits = bootstrap(*ladder.runs)
ours = law_fits.fit.law
print(ours)

# %% mystnb={"figure": {"caption": "Our own IsoFLOP runs: a filled mark is a run, a hollow one a second seed, the curves one law fitted to all, crosses the bottoms that it sees.", "name": "fig-own-isoflop"}, "image": {"alt": "Held-out loss against parameters on a logarithmic axis, five groups of marks, one for each budget, with a curve through each group. Larger budgets lie lower and further right."}} tags=["hide-input"]
for colour, mark, valley in zip(plots.PALETTE, "os^Dv", valleys):
    spent = valley.budget[0]
    wide = np.geomspace(valley.N.min() / 1.5, valley.N.max() * 1.5, 50)
    twin = second_seed[second_seed.budget == spent]
    plt.plot(valley.N, valley.loss, mark, color=colour,
             label=f"{spent:.1e} FLOPs")
    plt.plot(twin.N, twin.loss, mark, color=colour, markersize=10,
             fillstyle="none")
    plt.plot(wide, ours.isoflop(spent, wide), color=colour)
    bottom = ours.optimum(spent)
    plt.plot(bottom[0], ours.loss(*bottom), "x", color=colour,
             markersize=9)
plt.xscale("log")
plt.gca().xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
plots.count_axis("parameters N")
plt.ylabel("held-out loss (nats per token)")
plt.legend()
plt.show()

# %% [markdown]
# In {numref}`fig-own-isoflop` the larger valleys have two walls and a bottom
# between them. The law passes through most runs, but not on the far right: below two
# tokens for each parameter most runs lie about a per cent above the curve. So the law's
# own bottoms, the crosses, lie too far to the right; keep that in mind. A
# parabola through the runs of a valley finds the bottom without the law. Here it
# is, with the tokens for each parameter there, and those that the paper's printed
# constants ask for at the same budget:

# %%
bottoms = {}
for one in valleys[1:]:  # the first has no bottom among its sizes
    low, _ = scaling.isoflop_parabola(one.N, one.loss)
    bottoms[one.budget[0]] = low
show_table([{
    "FLOPs": f"{spent:.1e}", "bottom at N": f"{N / 1e3:,.0f}k",
    "D / N": f"{spent / (6 * N**2):.1f}",
    "D / N by the paper":
    f"{spent / (6 * law.optimum(spent)[0]**2):.1f}"}
    for spent, N in bottoms.items()])

# %% tags=["remove-cell"]
each = [spent / (6 * N * N) for spent, N in bottoms.items()]
assert len(each) == 4 and min(each) > 3.9 and max(each) < 9.5
asked = [spent / (6 * law.optimum(spent)[0] ** 2) for spent in bottoms]
assert each == sorted(each, reverse=True) and asked == sorted(asked)
assert 6.5 < min(asked) and max(asked) < 10
for one in valleys[1:]:
    right = one.N.argmax()
    assert one.N.min() < bottoms[one.budget[0]] < one.N.max()
    assert one.loss[right] > ours.isoflop(one.budget[0], one.N[right])
    assert ours.optimum(one.budget[0])[0] > bottoms[one.budget[0]]
over = kept.loss / ours.loss(kept.N, kept.D) - 1
assert np.mean(np.abs(over) < 0.01) > 0.7
assert 3.9 < each[-1] < 4.5 and 8.5 < each[0] < 9.5 and each[1] < 5.5
assert 6.5 < asked[0] < 7.5 and 9.5 < asked[-1] < 10
took = [rung.preset.batch_tokens for rung in valleys[1].rungs]
assert took[-1] == took[-3] == took[-4] / 2
table = np.array([count_parameters(rung.preset.model).token_embedding
                  for rung in kept.rungs]) / kept.N
assert table.min() > 0.5
assert table[kept.budget == kept.budget.min()].min() > 0.95

# %% [markdown]
# Four to nine tokens for each parameter. Do not count on the nine: by the rule for the
# batch, the three largest models of that valley took steps of two rows, half of their
# neighbour's, which may be why they end higher; that would move the bottom. The three
# other valleys say four to five. The rule of
# thumb, twenty, is for the budgets of large models. The paper's law, carried down
# to budgets far below its runs, asks for seven to ten, and for more with more
# compute. But most of N is the embedding table in models as small as these, nearly
# all of it at the smallest budget, so the ratios are hardly of one kind. Do not take
# *twenty* from a paper to a small model. ([The notes](notes_scaling.ipynb) count
# without the table too, and read the trend in three ways.)
#
# ## Would it have known?
#
# A law that fits its own runs proves little: with five constants, many curves
# can be made to fit. The test is a run that it has not seen. So hold back the
# largest budget, fit on the smaller ones, and predict; then hold back the two
# largest. Each prediction comes with an interval that should hold nine runs in
# ten. It is made of four parts: what the bootstrap says, what another seed does,
# what a missed learning rate costs, and how far off the law was when smaller
# budgets were held back.
#
# :::{admonition} Predict
# :class: hint
# Each budget is about three times the one before. How far off will the
# predictions be, with one budget held back?
#
# - up to 1%
# - up to 5%
# - up to 20%
# :::

# %%
from course_lib.scaling import fit, forecast, hindcast

def held_back(ladder, held, floor=0.0):
    """A row of the table; (inside or not, share off) of each run."""
    losses, says = hindcast(ladder, held, floor)
    inside = [one.low <= loss <= one.high
              for one, loss in zip(says, losses)]
    off = [loss / one.loss - 1 for one, loss in zip(says, losses)]
    wide = np.mean([one.high - one.loss for one in says])
    row = {"held back": held,
           "inside": f"{sum(inside)} of {len(inside)} runs",
           "interval": f"± {wide:.2f}",
           "off by": f"{min(off):+.1%} to {max(off):+.1%}"}
    return row, inside, off


tried = [held_back(ladder, held) for held in (1, 2)]
show_table([row for row, *_ in tried])

# %% tags=["remove-cell"]
(_, inside, near), (_, inside_two, off) = tried
assert all(inside + inside_two) and -0.05 < min(off) and max(off) < 0
assert max(map(abs, near)) < 0.01

# %% [markdown]
# Within one per cent, and every run lies inside its interval. With two budgets
# held back all of them ended below what was predicted.
#
# The other chapters use stories instead of books. Their grammar has a floor that can
# be computed, so the law is told it. Does it then know as much of larger runs?

# %%
small = find_recipe("modern").at(load_preset("laptop"))
steps = stages.ladder(small)
tried += [held_back(steps, held, stages.loss_floor(small, steps))
          for held in (1, 2)]
show_table([row for row, *_ in tried[2:]])
sure = [one for _, inside, _ in tried for one in inside]
print(f"both texts: {sum(sure)} of {len(sure)} runs inside")

# %% tags=["remove-cell"]
assert all(sure) and max(map(abs, tried[2][2])) > 0.25
leftover = {}
for name, one, floor in (
        ("books", ladder, 0.0),
        ("stories", steps, stages.loss_floor(small, steps))):
    usual = one[one.rate == 1]
    there = scaling.fit(*one.runs, floor=floor).law
    leftover[name] = np.sqrt(np.mean((usual.loss / there.loss(
        usual.N, usual.D) - 1) ** 2))
assert leftover["books"] < 0.011 and 0.11 < leftover["stories"] < 0.14
few = kept[kept.D < 2 * kept.N]
assert 0.007 < np.median(
    few.loss / ours.loss(few.N, few.D) - 1) < 0.015
assert len(tried) == 4

# %% [markdown]
# Hardly: it is off by a quarter and more. On the stories this formula misses even the
# runs that it was fitted to, by an eighth of their loss, so it cannot do better
# beyond them. The intervals held all the same, on both texts. But the runs of one
# forecast miss together, so these are four forecasts and no more, too few to say
# how wide an interval should be.
#
# The ladder has one more run, far beyond the others: the `evening` model itself,
# on a few million tokens. This is what the ladder says of it, and what came out:

# %%
N_own = count_parameters(scale.model).total
itself = everything[everything.N == N_own]
says = forecast(ladder, N_own, itself.D[0])
print(f"{N_own:,} parameters on {itself.D[0]:,.0f} tokens, "
      f"{itself.budget[0] / ladder.budget.max():.0f} times the largest "
      "budget:")
print(f"predicted {says}, measured {itself.loss[0]:.3f}")

# %% tags=["remove-cell"]
assert says.high < itself.loss[0] < says.high + 0.1
assert itself.D[0] < N_own < 1.5 * itself.D[0]
assert (kept.D / kept.N).min() > 1.5
assert 0.2 < itself.loss[0] - says.loss < 0.23
assert itself.budget[0] > 5 * ladder.budget.max()
assert 3e6 < itself.D[0] < 9e6

# %% [markdown]
# It ends above its interval. This run has fewer tokens than parameters, and no
# other run of the ladder had: it lies outside their range not only in compute,
# but also in the number of tokens for each parameter. There are two suspects
# besides bad luck. The two prices may no longer simply add up there, as the runs
# above the curve in {numref}`fig-own-isoflop` had warned. And its learning rate came
# from the rule, unchecked: of the sweeps that made the rule one had fewer tokens than
# parameters, and there the rule gives twice the best rate. That cost two or three
# hundredths of a nat, though, and the miss is two tenths. A law is safe inside its
# range, in every direction. The run goes into the fit all the same, as the one
# nearest to what we want to know. If its rate was too high, its loss is too, and so
# is every prediction from here on:

# %%
rows = []
for name, runs in {"without it": ladder, "with it": everything}.items():
    says, found = forecast(runs, N_own, 100e6), fit(*runs.runs).law
    rows.append({"fit": name, "E": f"{found.E:.2f}",
                 "loss on 100M tokens": f"{says.loss:.2f} "
                 f"({says.low:.2f} to {says.high:.2f})"})
show_table(rows)

# %% [markdown]
# The constants move a long way, $E$ most of all, and the prediction for a whole
# run by a good part of its interval. That stays wide: small models do not say
# more about a run of a hundred times their compute. Larger runs would narrow it,
# and each of them costs hours.
#
# The stories of the other chapters are another kind of text: a grammar, which
# can be learned outright. [Chapter 4](04_training.ipynb) holds a law of their
# own against whole runs, and [the notes](notes_scaling.ipynb) show what a known
# floor does to the fit.

# %% [markdown]
# ## The dial
#
# Now the law can be asked. `course plan --hours 3` measures for some seconds
# how fast this machine trains, tries every size on the tokens that three hours
# leave it, and answers with a size, a batch and a learning rate by the rule, and
# the loss. Of the sizes within a hundredth of a nat of the lowest loss it takes the
# smallest: the valley is flat, and on its right, where the crosses lay too far, the
# law is least to be trusted. Here is the answer for a machine whose speed is
# recorded, two cores with instructions for bfloat16:

# %%
from course_lib.scaling import choose

[step] = [row["sides"]["course_lib"]
          for row in load_result("training_step.json")["rows"]
          if row["scale"] == "evening"]


def speed_of(model):
    """Tokens per second of a model on that machine."""
    return step["flop_per_second"] / flops_per_token(model)


print(*choose(scale, everything, 3 * 3600, speed_of).lines(), sep="\n")

# %%
answers = {hours: choose(scale, everything, hours * 3600,
                         speed_of).forecast for hours in (0.3, 3, 30)}
show_table([{
    "hours": hours, "N": f"{says.N / 1e6:.1f}M",
    "D": f"{says.D / 1e6:.0f}M",
    "loss": f"{says.loss:.2f} ({says.low:.2f} to {says.high:.2f})"}
    for hours, says in answers.items()])

# %% tags=["remove-cell"]
short, long_one = answers[3], answers[30]
assert long_one.high - long_one.loss > short.loss - long_one.loss
grew = {name: getattr(found, name) / getattr(ours, name)
        for name in ("E", "A", "B", "alpha", "beta")}
assert max(grew, key=grew.get) == "E" and grew["E"] > 2
without, having = (forecast(runs, N_own, 100e6)
                   for runs in (ladder, everything))
assert 0.2 < (having.loss - without.loss) / (
    without.high - without.low) < 0.4
assert 100 < 6 * N_own * 100e6 / ladder.budget.max() < 150
assert 90 < 6 * long_one.N * long_one.D / everything.budget.max() < 130
where = load_result("training_step.json")["provenance"]
assert where["threads"] == 2
assert {"avx512_bf16", "amx_bf16"} & {*where["instructions"]}

# %% [markdown]
# At thirty hours the interval is wider than the gain that ten times the hours
# would bring. `--largest 9e6` bounds the size, for a model that is to fit into a web
# page. The laws assume that every token is new; with `--corpus` the dial counts the
# text that there is, and what it costs to read it again
# ([chapter 3](03_tokenizer.ipynb)).

# %% [markdown]
# (the-bet)=
# ## The bet
#
# One run is worth a bet that can be lost: the `evening` model on as many books as
# it can read in some hours of training. With everything that was measured, the
# last rung included, the dial said this, and it was written into a file of the
# repository before the run began:

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
assert says["parts"][parts[2]] > 5 * says["parts"][parts[1]]

# %% [markdown]
# That is a wide bet. Two parts of it are large, the resamples of the fit and what
# held-back budgets say of extrapolation. What luck adds is small where it was
# measured, at the ladder's own sizes; what a missed rate adds was measured only
# there, among differences as small as luck's. [Chapter 7](07_speaks.ipynb) tells
# how the bet was narrowed while the run went on, and how it ended.

# %% [markdown]
# :::{admonition} Takeaway
# :class: tip
# A loss is a floor plus a price for finite size plus a price for finite
# data. For a budget C the best split makes those prices balance; by the paper's
# law N and D then both grow with roughly the square root of C, and the valley is
# so flat that the exact N hardly matters. Among its own runs a law of books is good
# to about a per cent; its constants are not. (On the stories it misses its runs by an
# eighth: look at what a fit leaves over.) A hundred times beyond the runs
# its interval is wider than the gain from ten times the compute. And nats of
# another tokenizer are another unit.
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
# endless text? Guess, then use `repeated` ([chapter 3](03_tokenizer.ipynb) says
# what it counts) with Muennighoff's
# constants along the budget.
#
# Solution (click to open):

# %% tags=["hide-cell"]
N_try = np.geomspace(5e6, 5e8, 2000)
many = PUBLISHED["muennighoff_2023"]
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
