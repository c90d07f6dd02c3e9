# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Primer: a language model on one page
#
# *The dog ran awa*: which letter comes next? A language model answers this
# question with a probability for every letter. A GPT does the same with pieces
# of words, and remembers more of what came before. Before we build one, we
# train the smallest language model there is: one table of numbers, which
# learns in seconds. It brings in the words that everything later is built on:
# token, probability, loss, gradient, perplexity. If you know Python and can
# multiply matrices, you are ready.

# %% tags=["remove-input"]
from course_lib.showing import card, plots

plots.use_style()
card("00_primer", needs="Python and school mathematics",
     gives="a bigram model: trained, measured and sampled")

# %% [markdown]
# ## What are we modelling?
#
# Text, and here is some. The book carries its own endless supply of it: a
# program that makes up small stories, so that everything runs without a
# network. [Chapter 3](03_tokenizer.ipynb) says more about it, and about real
# books.

# %%
from course_lib.presets import load_preset
from course_lib.showing import print_text
from course_lib.stories import stories

tiny = load_preset().name == "smoke"  # a run that only tests the book
texts = list(stories(400 if tiny else 4000))
print_text(texts[0])

# %% [markdown]
# A model cannot read letters, so we give each distinct character a number. A
# piece of text with a number is called a {term}`token`, the number its *id*,
# and the set of all tokens the {term}`vocabulary`. Here a token is one
# character; in a real model it is a piece of a word.

# %%
vocabulary = sorted(set("".join(texts)))
id_of = {character: i for i, character in enumerate(vocabulary)}
V = len(vocabulary)
print(V, "tokens:", "".join(vocabulary).replace("\n", "\\n"))

# %% [markdown]
# The text becomes one long row of ids, in a *tensor*, as PyTorch calls its
# arrays. A new line ends each story.

# %%
import torch

ids = torch.tensor([id_of[c] for text in texts for c in text + "\n"])
print(f"{len(ids):,} tokens; the first ten: {ids[:10].tolist()}")

# %% [markdown]
# We put the last tenth aside, as {term}`held-out text`, and never learn from
# it. A model that repeats what it was shown has proved nothing; only text it
# has not seen can tell whether it learned English spelling or our particular
# stories.

# %%
cut = int(0.9 * len(ids))
train, held_out = ids[:cut], ids[cut:]

# %% [markdown]
# ## What does a language model say?
#
# One thing only: given the text so far, how likely is each token to come
# next? Our model looks at a single token, the last one. Pairs of neighbours
# are called bigrams, so it is a *bigram model*, and the simplest way to get
# one is to count. Row $a$, column $b$ of a table says how often $b$ came after
# $a$; a row divided by its sum says how likely each $b$ is.
#
# :::{admonition} Predict
# :class: hint
# How likely is the likeliest character after the letter `q`, and how likely
# the likeliest after a space?
#
# - nearly certain after both
# - nearly certain after `q`, less than one in five after a space
# - less than one in five after both
# :::

# %%
counts = torch.zeros(V, V)
counts.index_put_(  # 1 more at each (last, next), as numpy's np.add.at
    (train[:-1], train[1:]), torch.tensor(1.0), accumulate=True)
possible = counts + 0.01  # nothing is ruled out: see exercise 2
probability = possible / possible.sum(1, keepdim=True)


# %% mystnb={"figure": {"caption": "What comes next after three characters. After q there is nothing to guess; after a space almost everything is open.", "name": "fig-bigram"}, "image": {"alt": "Three bar charts of the likeliest next characters, after q, after h and after a space."}} tags=["hide-input"]
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 3, figsize=(8, 3), sharex=True)
for ax, last in zip(axes, "qh "):
    top = probability[id_of[last]].topk(6)
    names = [repr(vocabulary[i])[1:-1].replace(" ", "space")
             for i in top.indices]
    plots.plot_distribution(top.values, names, ax,
                            title=f"after {last!r}")

# %% tags=["remove-cell"]
assert probability[id_of["q"]].max() > 0.9
assert probability[id_of["q"]].argmax() == id_of["u"]
assert probability[id_of[" "]].max() < 0.2
assert id_of["h"] in probability[id_of["t"]].topk(2).indices

# %% [markdown]
# After `q` comes `u`, nearly always; after a space no character has as much as
# one chance in five ({numref}`fig-bigram`).
#
# Each row of the table holds $V$ numbers that are positive and sum to one: a
# probability distribution over the vocabulary. Every language model in this
# book ends in such a row. A GPT differs in how it gets there: it looks at more
# than one token before it writes the row down.
#
# ## How wrong is it?
#
# Suppose the model gave the token that really came next the probability
# $p$. We charge it $-\ln p$. A sure and right answer, $p = 1$, costs nothing.
# The more the truth surprises the model, the higher the cost, without limit.
# The probability of a whole text is the product of those of its tokens; the
# logarithm turns it into a sum. The unit of cost is the {term}`nat`, and the
# average over a text is the *loss*, or {term}`cross-entropy`:
#
# $$
# L = -\frac{1}{n} \sum_{i=1}^{n} \ln p(x_i \mid x_{i-1}).
# $$ (eq-loss)
#
# Nats are hard to picture, so people report $e^L$, the {term}`perplexity`: the
# number of equally likely tokens that would be just as hard to guess.
# Perplexity is never below one. Keep that in mind: the recipe this book
# rebuilds once reported {ref}`a perplexity of 0.83 <case-083>`.
#
# :::{admonition} Predict
# :class: hint
# A model that knows nothing gives each of the $V$ tokens the same probability.
# What is its loss, and what its perplexity? How far down does counting pairs
# bring the perplexity?
# :::

# %%
import math
from course_lib.showing import show_table

def loss(table, tokens):
    return -table[tokens[:-1], tokens[1:]].log().mean().item()

uniform = loss(torch.full((V, V), 1 / V), held_out)
counted = loss(probability, held_out)
show_table([{"model": name, "nats per token": f"{value:.3f}",
             "perplexity": f"{math.exp(value):.1f}"}
            for name, value in [("knows nothing", uniform),
                                ("has counted pairs", counted)]])

# %% tags=["remove-cell"]
assert math.isclose(uniform, math.log(V), rel_tol=1e-5)
assert 9.5 < math.exp(counted) < 11.5 and V ** 20 > 1e28

# %% [markdown]
# The loss is $-\ln \frac{1}{V} = \ln V$ and the perplexity $V$, whatever the
# text: the model is torn between all tokens. The model that has counted pairs
# is torn between about ten.
#
# ## Can it learn this without counting?
#
# Counting works because the table is small. A table over the last twenty
# characters would have more rows than there are atoms in your laptop. So a
# real model computes its row instead of looking it up, and finds the numbers
# to compute with by {term}`gradient` descent. We learn the same table that way,
# because here the result can be checked.
#
# The table now holds any real numbers, called {term}`logits`. The
# {term}`softmax` makes a distribution $p$ of a row $z$ of them. Beside it
# stands the gradient: how the loss $-\ln p_t$ of one example, in which token
# $t$ came, changes when logit $j$ rises by a little.
#
# $$
# p_j = \frac{e^{z_j}}{\sum_k e^{z_k}},
# \qquad
# \frac{\partial (-\ln p_t)}{\partial z_j} = p_j - [j = t].
# $$ (eq-softmax)
#
# $[j = t]$ is 1 for that token and 0 for all others. Read it aloud: *what you
# said minus what was true*. PyTorch finds gradients by itself, going
# *backward* from the loss; here we check it once by hand.

# %%
z = torch.tensor([1.0, 2.0, 0.5], requires_grad=True)
truth = 0
p = z.softmax(0)
(-p[truth].log()).backward()
by_hand = p.detach() - torch.tensor([1.0, 0.0, 0.0])
print("PyTorch:", z.grad)
print("by hand:", by_hand)

# %% tags=["remove-cell"]
assert torch.allclose(z.grad, by_hand)

# %% [markdown]
# Training is a loop of three moves. Take some pairs, a {term}`batch`; compute
# the loss; move every number in the table a little against its gradient. The
# {term}`learning rate` says how far. Too small and you wait; too large and you
# overshoot. All logits start at zero.

# %%
table = torch.zeros(V, V, requires_grad=True)
steps, batch = 600, 4096
rate = 30.0  # large: a character's row learns from its few pairs only
generator = torch.Generator().manual_seed(0)
losses = []
for step in range(steps):
    i = torch.randint(cut - 1, (batch,), generator=generator)
    value = torch.nn.functional.cross_entropy(  # softmax inside
        table[train[i]], train[i + 1])
    value.backward()
    with torch.no_grad():
        table -= rate * table.grad
        table.grad = None
    losses.append(value.item())

# %% mystnb={"figure": {"caption": "Loss over training steps. The dashed lines are the model that knows nothing and the table made by counting.", "name": "fig-primer-loss"}, "image": {"alt": "The loss of the learned table falls from the loss of the uniform model towards the loss that counting reaches."}} tags=["hide-input"]
plt.plot(losses, label="learned by gradient descent")
plt.axhline(uniform, color="gray", linestyle="--")
plt.axhline(counted, color="black", linestyle="--")
plt.text(steps, uniform, "uniform", ha="right", va="bottom")
plt.text(0, counted, "counted", va="top")
plt.xlabel("step")
plt.ylabel("loss (nats per token)")
plt.legend();

# %% [markdown]
# The curve of {numref}`fig-primer-loss` starts at $\ln V$, because the softmax
# of equal logits gives equal probabilities. It falls fast and then slowly. Common
# pairs are learned first, because they are most of every batch; the rare ones wait.
# You will see this shape again for every model in the book. This is the loss on the
# text that we put aside:

# %%
learned = table.detach().softmax(1)
print(f"counted {counted:.3f}, learned {loss(learned, held_out):.3f}")

# %% tags=["remove-cell"]
assert abs(losses[0] - uniform) < 1e-3
assert losses[0] - losses[60] > 4 * (losses[60] - losses[-1]) > 0
assert abs(loss(learned, held_out) - counted) < 0.05

# %% [markdown]
# That is nearly the loss of the table that counting gave, found without
# counting.
#
# ## What does it write?
#
# To sample, draw a token from the row of the last one, append it, repeat. The
# first text below comes from the table before training, where every token is as
# likely as any other, the second from the trained one.


# %%
def sample(table, start, length=120, seed=0):
    generator = torch.Generator().manual_seed(seed)
    text = start
    for _ in range(length):
        row = table[id_of[text[-1]]]
        i = torch.multinomial(row, 1, generator=generator).item()
        text += vocabulary[i]
    return text


print("BEFORE", sample(torch.full((V, V), 1 / V), "life is about"))
print("AFTER ", sample(learned, "life is about", seed=1))

# %% [markdown]
# The trained table knows which letters end a word, and that `h` likes to
# follow `t`. Where a real word appears it is luck: a word does not fit into
# one character of memory. The next chapter is about looking further back.
#
# How much better could a model be? The stories come from a program whose every
# random choice has a known probability, so for once we know the loss that no
# model, however large, can beat: the {term}`entropy` of the text. It is given
# in another unit. Dividing nats by $\ln 2$ gives bits, and dividing by the
# bytes of the text rather than its tokens gives {term}`bits per byte`: the one
# measure that does not change when we change what a token is.

# %%
from course_lib.stories import entropy_bits_per_byte

bits = loss(learned, held_out) / math.log(2)  # a character is a byte
print(f"this model:  {bits:.2f} bits per byte")
print(f"the entropy: {entropy_bits_per_byte():.2f} bits per byte")

# %% [markdown]
# The entropy is so low because a story is a series of choices: a name, a place,
# an event. Once a choice is made, its letters follow.
#
# :::{admonition} Takeaway
# :class: tip
# A language model maps the text so far to a probability for every token. Its
# loss is the average of $-\ln p$ of what really came, in nats; $e$ to that is
# the perplexity. Training moves numbers against the gradient of the loss,
# and the gradient is *what you said minus what was true*.
# :::
#
# ## Write it yourself
#
# `course new my_gpt.py`, typed in a terminal, writes a file in which everything
# that this book builds has a name, a description and no body.
# `course check my_gpt.py` then says of each part whether it is right. Where one
# is wrong it shows the smallest example that fails, and names the mistake if it
# is a known one. When all is right, your file trains a model with nothing but
# its own parts: `course check my_gpt.py --graduate`.
#
# This chapter's steps are `bigram_counts`, `bigram_loss`, `softmax` and
# `cross_entropy`. A cell can be checked too. Begin with this one, by equation
# {eq}`eq-softmax`, and without PyTorch's own softmax:

# %%
from course_lib.exercises import check

def softmax(logits):
    """(..., V) logits of any size -> probabilities, (..., V)."""

print(check("softmax", softmax))

# %% [markdown]
# Solution (click to open):

# %% tags=["hide-cell"]
def softmax(logits):
    # the largest becomes 0: no exponential overflows, nothing changes
    power = (logits - logits.amax(-1, keepdim=True)).exp()
    return power / power.sum(-1, keepdim=True)

print(check("softmax", softmax))

# %% tags=["remove-cell"]
assert check("softmax", softmax).right
assert entropy_bits_per_byte() < bits / 10

# %% [markdown]
# ## Exercises
#
# ### 1. Look back two characters
#
# *Easy, 10 minutes.* Count triples instead of pairs. How much does the loss on
# held-out text fall?
#
# Solution (click to open):

# %% tags=["hide-cell"]
triples = torch.full((V * V, V), 0.01)
context = train[:-2] * V + train[1:-1]
triples.index_put_((context, train[2:]), torch.tensor(1.0),
                   accumulate=True)
triples /= triples.sum(1, keepdim=True)
seen = held_out[:-2] * V + held_out[1:-1]
third = -triples[seen, held_out[2:]].log().mean().item()
print(f"pairs {counted:.3f}, triples {third:.3f} nats per token")
assert third < counted

# %% [markdown]
# ### 2. Why the 0.01?
#
# *Easy, 5 minutes.* We added 0.01 to every count. Count again, on the first few
# stories only, with it and without. What happens to the loss, and why does the
# model deserve it?
#
# Solution (click to open):

# %% tags=["hide-cell"]
few = train[:5000]
pairs = torch.zeros(V, V)
pairs.index_put_((few[:-1], few[1:]), torch.tensor(1.0),
                 accumulate=True)
new = (pairs[held_out[:-1], held_out[1:]] == 0).float().mean()
print(f"{new:.1%} of the held-out pairs are new to it")
for extra in (0.01, 0.0):
    row = pairs + extra
    row = row / row.sum(1, keepdim=True).clamp(min=1e-9)
    print(f"adding {extra}: {loss(row, held_out):.3f} nats per token")
# One pair that was ruled out and comes makes the mean infinite: a model
# that says "never" and is wrong has earned an unbounded bill.
assert new > 0 and math.isinf(loss(row, held_out))

# %% [markdown]
# ### 3. Overshoot
#
# *Medium, 10 minutes.* Find a learning rate at which the loss no longer settles
# near the counted one within 200 steps. Which way does it fail?
#
# Solution (click to open):


# %% tags=["hide-cell"]
def train_with(rate, steps=200):
    table = torch.zeros(V, V, requires_grad=True)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        i = torch.randint(cut - 1, (batch,), generator=generator)
        value = torch.nn.functional.cross_entropy(
            table[train[i]], train[i + 1])
        (gradient,) = torch.autograd.grad(value, table)
        with torch.no_grad():
            table -= rate * gradient
    return loss(table.detach().softmax(1), held_out)


results = {rate: train_with(rate) for rate in (1, 30, 1000)}
print({rate: round(value, 3) for rate, value in results.items()})
# Too small is slow. Too large overshoots until some p rounds to 0, and
# one such token that does come costs -ln 0, which is infinite.
assert results[30] < results[1] and results[30] < results[1000]
