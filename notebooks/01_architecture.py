# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Architecture: from tokens to logits
#
# *Anna hid the key under the mat. In the evening she looked under the ...* To
# finish the sentence one must remember a word from the one before. The
# {doc}`primer <00_primer>` predicted the next {term}`token` from the last one
# alone, by looking it up in a table. This chapter builds the function that
# replaces the table, GPT-2's {cite}`radford2019`, one part at a time. Most parts
# enter because without them something goes wrong, and you will see it go wrong
# first. (GPT stands for generative pre-trained transformer; a transformer is a
# model built around attention, which enters below.)

# %% tags=["remove-input"]
import matplotlib.pyplot as plt

from course_lib.showing import card, plots, show_source, show_table

plots.use_style()
card("01_architecture",
     needs="the primer: token, probability, loss, gradient",
     gives="a GPT that you have built, drawn, counted and checked "
           "against GPT-2",
     trains=True)

# %% [markdown]
# ## What goes in, and what comes out?
#
# From outside a GPT is one function. In go B rows of T token ids, a
# {term}`batch`. Out come rows of V numbers, the {term}`logits`:
# one for each token of the {term}`vocabulary`, larger meaning more likely to
# come next. A model's shape is five numbers: V, the {term}`context` T (the
# longest row that it takes), and L layers of H heads and C channels, which this
# chapter explains. The book has four such shapes, its {term}`presets <preset>`:
# `smoke` for tests, `laptop`, which trains in minutes, `evening`, which takes some
# hours on a CPU, and `full`, the model of the title. Demonstrations use a small
# one even where the main run is full.

# %%
import torch
from course_lib import stages
from course_lib.model import GPT, GPTConfig
from course_lib.presets import load_preset

preset = load_preset()    # the one that this page was built with
full = load_preset("full").model
small = load_preset("laptop") if preset.name == "full" else preset
tokenizer = stages.tokenizer(small)
torch.manual_seed(0)
model = GPT(small.model).eval()
print("V =", small.model.vocab_size, " T =", small.model.context_length,
      " L =", small.model.n_layer, " H =", small.model.n_head,
      " C =", small.model.n_embd)

# %% [markdown]
# :::{admonition} Predict
# :class: hint
# The next cell turns the prompt "life is about" into a row of token ids, the one
# after it feeds the row to the model. A row may be shorter than the context. How
# many different texts is the model asked to continue?
#
# - one, the prompt
# - as many as the row has tokens
# - V
# :::

# %%
ids = torch.tensor([tokenizer.encode("life is about")])
print(ids)

# %%
logits = model(ids)
print(tuple(ids.shape), "->", tuple(logits.shape))

# %% [markdown]
# As many texts as the row has tokens: the logits have the shape (B, T, V). The
# first V of them continue the first token alone, the next the first two, and so
# on. One pass answers all of them, which is why training is affordable.
#
# From here on the shapes in comments use the same letters everywhere: B batch,
# T time (the tokens in a row, at most the context), C channels, H heads, V
# vocabulary.
#
# ## How does a number become a vector?
#
# The model computes with a vector of C numbers for each position; its entries
# are the *channels* (elsewhere C is called the hidden size, or d_model). A token
# id is a name that happens to be a number. Suppose we forget that and multiply it
# by a weight for each of two channels.

# %%
weight = torch.tensor([0.5, -1.0])
for token in (1, 2, 3):
    print(token, (token * weight).tolist())

# %% [markdown]
# Token 2 is now exactly half-way between tokens 1 and 3, whatever the weights,
# although the three may be a comma, a name and half a word. So each token gets
# a vector of its own, a row of a table that training fills: its
# {term}`embedding`.
#
# :::{admonition} Predict
# :class: hint
# Three tokens and two channels: the table's rows 0, 1 and 2 are (1, 0), (0, 2)
# and (3, 3). What do the tokens 2, 0, 2 become?
# :::

# %%
table = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])  # (V, C)
three = torch.tensor([2, 0, 2])
print(table[three])                                         # (T, C)

# %% [markdown]
# Row 2, row 0, row 2: a matrix of T by C.
#
# Looking up is the same as multiplying by a matrix of *one-hot* rows, each all
# zeros but for a one at the token's place. That is why a {term}`gradient` can
# flow into the table, and why it reaches only the rows that were used.

# %%
from torch import nn
from torch.nn import functional as F

one_hot = F.one_hot(three, num_classes=3).float()
print(one_hot)
print(torch.equal(one_hot @ table, table[three]))

# %% tags=["remove-cell"]
assert torch.equal(nn.Embedding.from_pretrained(table)(three),
                   table[three])
assert model.transformer.wte.weight.shape == (
    small.model.vocab_size, small.model.n_embd)

# %% [markdown]
# ## How does a token hear of the others?
#
# So far each position knows its own token and nothing else. Whatever we
# compute from it, however deep, is again the primer's table. Information has
# to move between positions, and {term}`attention` {cite}`vaswani2017` is the
# only part of the model that moves it.
#
# Each position multiplies its vector by three matrices, learned like everything
# else, and gets a *query* (what am I looking for?), a *key* (what can I be found
# by?) and a *value* (what do I hand over?). The dot product of its query with
# each key, their *score*, decides how much of each value it takes:
#
# $$
# \operatorname{attention}(Q, K, V) =
# \operatorname{softmax}\!\Big(\frac{Q K^\top}{\sqrt{d}} + M\Big)\, V
# $$ (eq-attention)
#
# The rows of $Q$, $K$ and $V$ are the queries, keys and values. (This $V$ is not
# the vocabulary, but the name is too old to change.)
# Here $d$ is the length of a query, and the mask $M$ is 0 where the key stands
# at or before the query and $-\infty$ where it stands after: the
# {term}`softmax` turns $-\infty$ into a weight of zero. A model that predicts
# the next token must not look at it.

# %%
import math

def attend(q, k, v):
    """(..., T, d) each -> weights (..., T, T), outputs (..., T, d)."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(k.size(-1))
    future = torch.ones(scores.shape[-2:]).triu(1).bool()
    scores = scores.masked_fill(future, -torch.inf)
    weights = scores.softmax(-1)
    return weights, weights @ v

# %% [markdown]
# An example has three tokens and two channels. The first two queries are zero:
# their scores are zero with every key. The third looks along the first channel,
# and its length is chosen so that its score with the second key, divided by
# $\sqrt 2$, is $\ln 2$.
#
# :::{admonition} Predict
# :class: hint
# The cell below holds the queries, keys and values, `q`, `k` and `v`. Work out
# the three rows of weights by hand, then the three outputs. All you need besides
# is that $e^0 = 1$ and $e^{\ln 2} = 2$.
# :::

# %%
q = torch.tensor([[0.0, 0], [0, 0], [math.sqrt(2) * math.log(2), 0]])
k = torch.tensor([[0.0, 1], [1, 0], [0, 1]])
v = torch.tensor([[4.0, 0], [0, 4], [4, 4]])
weights, output = attend(q, k, v)
print(weights)
print(output)

# %% tags=["remove-cell"]
torch.testing.assert_close(weights, torch.tensor(
    [[1.0, 0, 0], [0.5, 0.5, 0], [0.25, 0.5, 0.25]]))
torch.testing.assert_close(output, torch.tensor(
    [[4.0, 0], [2, 2], [2, 3]]))
torch.testing.assert_close(output, F.scaled_dot_product_attention(
    q[None], k[None], v[None], is_causal=True)[0])

# %% [markdown]
# The first token can see itself only. The second splits its attention evenly.
# The third has scores 0, $\ln 2$, 0, whose exponentials 1, 2, 1 make a
# quarter, a half and a quarter.
#
# Every output is a weighted mean of values: attention makes nothing up, it
# fetches.
#
# ### Why divide by the square root?
#
# Queries and keys here had two channels. Real ones have dozens, and the larger
# $d$, the larger a sum of $d$ random products.
#
# :::{admonition} Predict
# :class: hint
# Take random queries and keys with entries of size about one. How large is a
# typical score at $d = 4$, at 64, at 1,024? And if such scores go into a softmax
# over 16 keys, how much of the weight goes to the largest?
# :::

# %%
rows = []
for d in (4, 64, 1024):
    scores = torch.randn(1000, d) @ torch.randn(d, 16)
    raw = scores.softmax(-1).amax(-1).mean()
    divided = (scores / d ** 0.5).softmax(-1).amax(-1).mean()
    rows.append({"d": f"{d:,}", "typical score": f"{scores.std():.1f}",
                 "largest weight": f"{raw:.2f}",
                 "largest weight, divided": f"{divided:.2f}"})
show_table(rows)

# %% tags=["remove-cell"]
assert raw > 0.9 and divided < 0.5
typical = [float(row["typical score"]) for row in rows]
assert all(abs(size / d**0.5 - 1) < 0.4
           for size, d in zip(typical, (4, 64, 1024)))
flat = [float(row["largest weight, divided"]) for row in rows]
assert max(flat) < 1.6 * min(flat)
assert 24 <= full.n_embd // full.n_head < 100

# %% [markdown]
# The score grows like $\sqrt d$, and without the division a query of many channels
# puts nearly all its weight on one key before it has learned which. Divided by
# $\sqrt d$, the largest weight is about the same at any width. That matters for
# learning: a key with next to no weight gets next to no gradient.
#
# ## Does the order matter?
#
# Look at equation {eq}`eq-attention` again. The mask hides the keys that come
# after a query. Does anything tell it the order of those that come before?
# Below, the first three of four tokens change places. (`wte` is the table of
# tokens and `h[0]` the first layer; its `ln_1` brings the numbers to size one,
# and is explained later.)
#
# :::{admonition} Predict
# :class: hint
# How much does the output of attention at the fourth token change?
#
# - as much as if the three were other tokens
# - a little
# - not at all
# :::

# %%
block = model.transformer.h[0]
row = torch.tensor([[11, 22, 33, 44]])
shuffled = torch.tensor([[33, 11, 22, 44]])

def last(tokens, positions):
    x = model.transformer.wte(tokens) + positions     # (1, 4, C)
    return block.attn(block.ln_1(x))[0, -1]

change = last(row, 0) - last(shuffled, 0)
size = last(row, 0).abs().max()
print(f"largest output                   {size:.0e}")
print(f"largest change without positions {change.abs().max():.0e}")

# %% [markdown]
# Not at all, up to the rounding of a sum taken in another order. To a layer of
# attention, what stands before a token is a bag of words: at the full stop, "dog
# bites man." and "man bites dog." are the same.
#
# From the second layer on the mask gives order away, because earlier positions
# see less, and a deep model can learn it from that alone {cite}`haviv2022`. GPT-2
# tells it directly: a second table gives every position a vector too, and the two
# are added:
#
# $$ x_t = E_{i_t} + P_t $$ (eq-embed)
#
# with $E$ the table of tokens, $i_t$ the token at position $t$ and $P$ the
# table of positions.

# %%
places = model.transformer.wpe(torch.arange(4))   # (4, C)
change = last(row, places) - last(shuffled, places)
print(f"largest change with positions    {change.abs().max():.0e}")

# %% tags=["remove-cell"]
assert (last(row, 0) - last(shuffled, 0)).abs().max() < 1e-7
assert change.abs().max() > 1e-5

# %% [markdown]
# Adding looks careless: can the model still tell what was token and what was
# position? In many dimensions two random vectors are almost at right angles, so
# the sum has room for both. The price of a table is that it ends: the context,
# T, is its number of rows.

# %%
too_long = torch.zeros(1, small.model.context_length + 1).long()
try:
    model(too_long)
except ValueError as error:
    print(str(error).split(":")[0])

# %% [markdown]
# ## Why several heads?
#
# A weighted mean forgets who said what. Let one token hand over the value
# $(1, 0)$ and another $(0, 1)$, and let a third listen to both equally. Then
# let the two trade values.

# %%
values = torch.tensor([[1.0, 0], [0, 1]])
half = torch.tensor([0.5, 0.5])
print("one head: ", half @ values, half @ values.flip(0))
left, right = torch.tensor([[1.0, 0], [0, 1]])  # weights of two heads
for said in (values, values.flip(0)):
    print("two heads:", torch.cat([left @ said, right @ said]))

# %% [markdown]
# One head that listens to both equally cannot tell the two cases apart. With
# unequal weights it could, and would hear one of them less; two heads, one
# listening to each, keep both whole. So the channels are cut into H equal slices,
# each with queries, keys and values of its own, and attention runs in each
# {term}`head` separately. The cut costs nothing: the same matrices, read as H
# narrower ones.

# %%
def split_heads(attn, x):
    """(B, T, C) -> H triples of queries, keys, values (B, T, C/H)."""
    qkv = attn.c_attn(x).chunk(3, dim=-1)
    # (q, k, v) of H heads each -> H times (q, k, v)
    return zip(*(part.chunk(attn.n_head, dim=-1) for part in qkv),
               strict=True)

def many_heads(attn, x):
    """(B, T, C) -> (B, T, C)."""
    outputs = [attend(*qkv)[1] for qkv in split_heads(attn, x)]
    return attn.c_proj(torch.cat(outputs, dim=-1))

# %% [markdown]
# One linear map, `c_attn`, makes all queries, keys and values at once, and
# another, `c_proj`, mixes what the heads put out. (The names are those of the
# published GPT-2.) Here is our attention against the package's, on random
# numbers:

# %%
attention = model.transformer.h[0].attn
x = torch.randn(2, 10, small.model.n_embd)
difference = many_heads(attention, x) - attention(x)
print(f"largest difference {difference.abs().max():.0e}")

# %% tags=["remove-cell"]
torch.testing.assert_close(many_heads(attention, x), attention(x))

# %% [markdown]
# The package does not loop over heads; it makes them a dimension of their own
# and lets PyTorch do equation {eq}`eq-attention` in one call, which need not
# even store the T by T weights (FlashAttention {cite}`dao2022`). Three things in
# it can wait.
# The `cache` serves sampling in chapter 5. {term}`Dropout <dropout>` replaces
# some of the numbers by zero, at random, while a model trains; the presets
# leave it out, and chapter 6 says why. And `q_norm`, `k_norm` and `angles` belong
# to newer models than GPT-2, which the same class can be; here they do nothing.

# %%
from course_lib.model import Attention
show_source(Attention)

# %% [markdown]
# ## What does a position do with what it fetched?
#
# Once the weights are given, what a position fetches is linear in the values. What
# it does with it afterwards should not be linear too, or there are questions that
# it cannot answer. Is *exactly one* of two things true? (An opening quotation mark
# was seen, or a closing one, but not both.) These are the four cases, and the best
# that any linear map can do with them:

# %%
cases = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
wanted = torch.tensor([[0.0], [1], [1], [0]])
ones = torch.ones(4, 1)
best = torch.linalg.lstsq(torch.cat([cases, ones], 1), wanted).solution
print((torch.cat([cases, ones], 1) @ best).T)

# %% [markdown]
# It says one half for everything, which is no answer. A second linear map after
# the first does not help, because two of them in a row are one:
# $(x W_1) W_2 = x (W_1 W_2)$. What helps is a function between the two that is
# not linear, an {term}`activation function`. The simplest is the *ReLU*,
# $\max(0, x)$. With two hidden channels, one for $a + b$ and one for
# $a + b - 1$, check the four cases by hand:

# %%
W1 = torch.tensor([[1.0, 1], [1, 1]])
b1 = torch.tensor([0.0, -1])
W2 = torch.tensor([[1.0], [-2]])
print((F.relu(cases @ W1 + b1) @ W2).T)

# %% tags=["remove-cell"]
assert torch.equal(F.relu(cases @ W1 + b1) @ W2, wanted)

# %% [markdown]
# This is an {term}`MLP`, short for multi-layer perceptron: a linear map, an
# activation function, a linear map back. GPT-2's has four times as many hidden
# channels as it is given, and works on each position alone. Its activation
# function is the *GELU* ({numref}`fig-gelu`) {cite}`hendrycks2016`, a ReLU with a
# round corner: $x$ times the probability that a normal variable is below $x$.
# GPT-2 used an approximation by tanh, and its weights expect it.

# %%
line = torch.linspace(-4, 4, 401)
tanh_form = F.gelu(line, approximate="tanh")
difference = (tanh_form - F.gelu(line)).abs().max()
print(f"tanh form against exact: {difference:.1e}")

# %% mystnb={"figure": {"caption": "The activation function between the two linear maps. The GELU leaves some slope just left of zero, so that a channel nearly switched off can still learn its way back.", "name": "fig-gelu"}, "image": {"alt": "Two curves over x from -4 to 4. ReLU is zero left of zero and rises straight after it with a sharp corner. GELU follows it, dips slightly below zero left of the corner and has no corner."}} tags=["hide-input"]
plt.plot(line, F.relu(line), "--", color="black", label="ReLU")
plt.plot(line, tanh_form, label="GELU, tanh form")
plt.xlabel("x")
plt.legend()
plt.margins(x=0)

# %% [markdown]
# The difference looks too small to matter; at the end of the chapter you will
# see what it does to the logits. (Of the three kinds of MLP below, GPT-2's is
# the last; the others wait for chapter 6.)

# %%
from course_lib.model import MLP
show_source(MLP)

# %% tags=["remove-cell"]
mlp = model.transformer.h[0].mlp
torch.testing.assert_close(mlp(x), mlp.c_proj(
    F.gelu(mlp.c_fc(x), approximate="tanh")))

# %% [markdown]
# ## What keeps the numbers in range?
#
# A deep model is a long product.
#
# :::{admonition} Predict
# :class: hint
# A vector passes through 24 random linear maps. Each is built to keep its
# length, but is wrong by 10 per cent: too small in one stack, too large in
# another. By how much does each stack change the length?
# :::

# %%
def stack(gain, between=lambda x: x):
    """How long a vector of length about 1 is after 24 linear maps."""
    x = torch.randn(64, 256) / 16           # 16 is the root of 256
    for _ in range(24):
        x = between(x) @ torch.randn(256, 256) * gain / 16
    return x.norm(dim=-1).mean().item()

for gain in (0.5, 0.9, 1.0, 1.1, 2.0):
    print(f"gain {gain}: {stack(gain):.2g}")

# %% [markdown]
# By about ten either way, the powers of 0.9 and of 1.1. That is survivable. A
# factor of two is not, and no one can promise that training keeps every matrix
# within ten per cent.
#
# With {term}`layer norm` {cite}`ba2016` nobody has to promise it: before
# each attention and each MLP, shift the C channels of a position to mean zero,
# scale them to variance one, and let two learned vectors, $g$ and $b$, set scale
# and shift afterwards:
#
# $$
# \operatorname{norm}(x) =
# \frac{x - \operatorname{mean}(x)}{\sqrt{\operatorname{var}(x) + \epsilon}}
# \, g + b
# $$ (eq-norm)
#
# with $\epsilon = 10^{-5}$ against division by zero.
#
# :::{admonition} Predict
# :class: hint
# By hand, with $g = 1$ and $b = 0$: what does $(0, 0, 4, 4)$ become?
# :::

# %%
def norm(x, eps=1e-5):
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    return centred / torch.sqrt(variance + eps)

print(norm(torch.tensor([0.0, 0, 4, 4])))

# %% [markdown]
# The mean is 2 and the variance 4, so each entry is one standard deviation away
# from the mean.
#
# Here are the same stacks with a norm before each map:

# %%
for gain in (0.5, 1.0, 2.0):
    print(f"gain {gain}: {stack(gain, norm):.3g}")

# %% tags=["remove-cell"]
torch.testing.assert_close(norm(x), nn.LayerNorm(x.size(-1))(x))
assert 10 < stack(1.0, norm) < 24
assert 0.04 < stack(0.9) < 0.16 and 6 < stack(1.1) < 16
for gain in (0.5, 2.0):
    assert abs(stack(gain, norm) / (16 * gain) - 1) < 0.2

# %% [markdown]
# Only the last map's gain is left; the 23 before it have been forgotten. (The
# length is 16 times the gain because a vector of 256 entries of size one has
# length 16.)
#
# ## Why add, and not replace?
#
# Now attention, MLP and norm can be stacked. The obvious way is that each part
# replaces what it was given. The alternative is to *add* what a part computes to
# what it was given: a {term}`residual` connection {cite}`he2016`.
#
# :::{admonition} Predict
# :class: hint
# A row of 32 different tokens goes through 16 *blocks*, each an attention and an
# MLP. After each we compare the vectors at different positions by the cosine of
# the angle between them: 0 for unrelated, 1 for the same direction. Where do the
# two ways end?
#
# - both near 0
# - both near 1
# - replacing near 1, adding near 0
# - replacing near 0, adding near 1
# :::

# %%
def alike(x):
    """Mean cosine between vectors of different positions, x (T, C)."""
    unit = F.normalize(x, dim=-1)
    T = len(unit)
    return ((unit @ unit.T).sum() - T) / (T * (T - 1))

def replace(block, x):
    return block.mlp(block.ln_2(block.attn(block.ln_1(x))))

def add(block, x):
    x = x + block.attn(block.ln_1(x))
    return x + block.mlp(block.ln_2(x))

# %%
deep = GPT(GPTConfig(512, 64, n_layer=16, n_head=4, n_embd=64)).eval()
tokens = torch.randperm(512)[None, :32]
cosines = {}
for way in (replace, add):
    x = deep.transformer.wte(tokens)
    seen = cosines[way.__name__] = [alike(x[0]).item()]
    for block in deep.transformer.h:
        x = way(block, x)
        seen.append(alike(x[0]).item())

# %% mystnb={"figure": {"caption": "Depth without residual connections: the vectors of all positions come to point the same way. Lines are two ways to run the same random blocks.", "name": "fig-residual"}, "image": {"alt": "Mean cosine between positions after each of 16 blocks. Where blocks replace their input the cosine climbs to 1 within a few blocks; where they add to it, it stays near 0."}} tags=["hide-input"]
for (name, seen), style in zip(cosines.items(), ("--s", "-o")):
    plt.plot(seen, style, label=f"blocks {name}", markersize=4)
plt.xlabel("blocks passed")
plt.ylabel("mean cosine between positions")
plt.legend()
plt.margins(x=0.02)

# %% tags=["remove-cell"]
assert seen[-1] < 0.2 and cosines["replace"][-1] > 0.9
torch.testing.assert_close(add(deep.transformer.h[0], x),
                           deep.transformer.h[0](x))
assert min(cosines["replace"][6:]) > 0.85

# %% [markdown]
# In {numref}`fig-residual` the blocks that replace have soon made every
# position nearly the same, and little is left to tell which token stood where:
# attention in an untrained model is close to a plain mean over the past, and
# means of means grow alike. Adding keeps each token's own vector in the sum all
# the way up.
#
# What is passed from block to block in this way is called the *residual
# stream*: blocks read from it, through a norm, and write to it. Going backward
# part of the {term}`gradient` passes along the sum unchanged, so the first block
# hears of the loss as directly as the last.
#
# ## What is a block?
#
# All of the above, in two halves: norm, attention, add; norm, MLP, add. (With the
# norm in front, and not after the sum, it is called {term}`pre-norm`.) The two
# lines of `forward` are worth remembering.

# %%
from course_lib.model import Block
show_source(Block)

# %% [markdown]
# ## How does a vector become a prediction?
#
# After the last block, and one last norm, each position holds C numbers, and
# we want V. A linear map would do, of V times C weights. But we already own a
# table with a C-vector for every token. The logit of a token is the dot product
# of its own embedding with the vector that comes out of the last norm
# {cite}`press2017`.
#
# :::{admonition} Predict
# :class: hint
# The table of three tokens from above has the rows (1, 0), (0, 2) and (3, 3).
# What are the logits of the vector (1, 1)?
# :::

# %%
arrived = torch.tensor([1.0, 1.0])
scores = table @ arrived
print("logits       ", scores)
print("probabilities", scores.softmax(-1))

# %% [markdown]
# One, two and six.
#
# This last map is called a head too, the *output head*; it has nothing to do
# with the heads of attention. It is *tied* to the token embedding: one table,
# where on the way in a token picks its row, and on the way out the vector is
# compared with every row. Without the tie the full model would carry a second
# table:

# %%
print(f"{full.vocab_size * full.n_embd:,} more parameters")

# %% [markdown]
# ## Where to start from?
#
# Before training, weights are random, and how large these *first weights* are
# (the {term}`initialization`) matters. GPT-2 draws matrices from a normal
# distribution with standard deviation 0.02, and starts biases at zero. The exact
# number matters little, since norms stand before every part; but a norm adds a small
# constant to what it divides by, beside which weights much smaller would be lost.
# (OpenAI's code has half of it for positions; this book, like `transformers`, has
# not.) PyTorch's own default draws embeddings with standard deviation 1. (The
# recipe of 2023 had it for positions; what that did, [chapter 6](06_cheaper.ipynb)
# shows.)
#
# :::{admonition} Predict
# :class: hint
# An untrained model knows nothing, so each of V tokens should be equally likely.
# What {term}`cross-entropy`, in {term}`nats <nat>`, is that? And what will the
# default do, given that the head is the embedding?
# :::

# %%
@torch.no_grad()
def at_start(model):
    """Its loss, and the mean logit of the token that it just read."""
    tokens = torch.randint(small.model.vocab_size, (8, 33))
    now, after = tokens[:, :-1], tokens[:, 1:]
    own = model(now).gather(-1, now[..., None])
    return model.loss(now, after).item(), own.mean().item()

# %%
default = GPT(small.model).eval()
for module in default.modules():
    if hasattr(module, "reset_parameters"):
        module.reset_parameters()
rows = [{"first weights": "equally likely: ln V",
         "loss": f"{math.log(small.model.vocab_size):.2f}",
         "logit of the token just read": ""}]
for name, each in (("GPT-2's", model), ("PyTorch's default", default)):
    start, own = at_start(each)
    rows.append({"first weights": name, "loss": f"{start:.2f}",
                 "logit of the token just read": f"{own:.1f}"})
show_table(rows)

# %% tags=["remove-cell"]
assert abs(at_start(model)[0] - math.log(small.model.vocab_size)) < 0.5
assert start > 2 * at_start(model)[0] and own > start / 2

# %% [markdown]
# GPT-2's first weights give a loss near $\ln V$, PyTorch's one far above it,
# which means confidence without knowledge. The token's own embedding, still in
# the residual stream, meets itself in the head, and where embeddings are long
# the model is sure that every token will be repeated. The first part of training
# would go into unlearning that.
#
# One more detail. Each block writes to the stream twice, so 2L random terms
# add up and the stream grows with depth. GPT-2 divides the maps that write, both
# called `c_proj`, by the root of the number of residual layers; like
# `transformers`, we count 2L of them. This is how large the numbers in the stream
# are at the end, with and without:

# %%
def stream_size(L, shrink):
    model = GPT(GPTConfig(512, 64, L, n_head=4, n_embd=256)).eval()
    for name, weight in model.named_parameters():
        if name.endswith("c_proj.weight") and not shrink:
            weight.detach().mul_(math.sqrt(2 * L))
    x = model.transformer.wte(torch.randint(512, (4, 64)))
    for block in model.transformer.h:
        x = block(x)
    return x.std().item()

# %%
with torch.no_grad():
    show_table([{"layers": L,
                 "as in GPT-2": f"{stream_size(L, True):.3f}",
                 "not shrunk": f"{stream_size(L, False):.3f}"}
                for L in (2, 8, 32)])

# %% tags=["remove-cell"]
with torch.no_grad():
    assert stream_size(32, True) < 1.5 * stream_size(2, True)
    assert stream_size(32, False) > 2 * stream_size(2, False)

# %% [markdown]
# Shrunk, the stream has about the same size at any depth. Not shrunk, it grows,
# and the deeper a block stands, the less its own contribution counts.
#
# ## What does the whole model look like?
#
# You have now seen every part. This is the class that holds them, and there is
# nothing more to the model than this. Skip what `hidden` does for a cache and
# for rotary positions: without them it adds two tables, runs the blocks in a
# row and ends in a norm.

# %%
show_source(GPT)

# %% [markdown]
# The figure of it is not drawn by hand. The next cell sends a batch through the
# full model and notes which modules run, in which order, and what shape leaves
# each; {numref}`fig-model` is that record. A residual path is drawn only if the
# block's output was found to be its input plus what attention and MLP gave.

# %% mystnb={"figure": {"caption": "The whole model, drawn from a run of it: 2 rows of 16 tokens through the full preset. Each box gives the module's name, the shape that leaves it and the parameters in it; on the right the first block is opened.", "name": "fig-model"}, "image": {"alt": "The full model from top to bottom. Token ids enter a token embedding and a position embedding, which are added. Eight equal blocks follow, then a final norm, the head, which uses the token embedding's weights again, and a softmax. On the right one block is opened: norm, attention with its two linear maps, an addition with a path around both, then norm, MLP with two linear maps and a GELU between, and another addition with a path around."}}
from course_lib.showing import draw_model
big = GPT(full)
figure = draw_model(big, torch.zeros(2, 16, dtype=torch.long))

# %% [markdown]
# ## Does it look back only?
#
# The mask in equation {eq}`eq-attention` is one line, and a mistake in it is
# the classic one: the loss falls wonderfully, because the model copies the
# answer. So we test it from outside. By how much the prediction at position $t$
# changes when the input at position $s$ is nudged is a gradient, and it must be
# exactly zero for every $s$ after $t$. From here on we use a trained model, made
# once by the methods of chapter 4 and kept.

# %%
run = stages.trained(small)
trained = run.model()
story = tokenizer.decode(run.val_tokens.ids[1:90].tolist())
sentence = story.partition(".")[0] + "."
ids = torch.tensor([tokenizer.encode(sentence)[:20]])
labels = [tokenizer.decode([i]).replace(" ", "\u00b7")
          for i in ids[0].tolist()]
print(sentence)

# %%
def influence(model, ids):
    """(T, T): how strongly input s moves the top prediction at t."""
    parts, steps = model.transformer, torch.arange(ids.size(1))
    inputs = (parts.wte(ids) + parts.wpe(steps)).detach()
    x = inputs.requires_grad_()
    for block in parts.h:
        x = block(x)
    top = model.transformer.ln_f(x)[0] @ model.head.T   # (T, V)
    top = top.log_softmax(-1).amax(-1)
    rows = [torch.autograd.grad(one, inputs, retain_graph=True)[0][0]
            for one in top]
    return torch.stack(rows).norm(dim=-1)

reach = influence(trained, ids)
above = reach.triu(1)
T = ids.size(1)
print(f"{T * (T - 1) // 2} entries look ahead; "
      f"{int((above != 0).sum())} of them are not zero")

# %% mystnb={"figure": {"caption": "How strongly each input (column) moves the prediction at each position (row), on a logarithmic scale. Blank cells are exact zeros; a dot in a token is a space.", "name": "fig-causal"}, "image": {"alt": "A square heat map with the tokens of a sentence on both axes: rows are predictions, columns are inputs. Only the triangle on and below the diagonal is coloured; everything above the diagonal is blank.", "classes": "heat"}} tags=["hide-input"]
shown = reach.masked_fill(reach == 0, torch.nan).log10()
fig, ax = plt.subplots(figsize=(6, 5))
image = ax.imshow(shown, cmap="viridis_r")
ax.set_xticks(range(len(labels)), labels, rotation=90, fontsize=8.5)
ax.set_yticks(range(len(labels)), labels, fontsize=8.5)
ax.set(xlabel="input s", ylabel="prediction after t")
fig.colorbar(image, label="log10 of the gradient's length")
ax.grid(False)

# %% tags=["remove-cell"]
assert not above.any() and (reach.tril() > 0).sum() == T * (T + 1) // 2

# %% [markdown]
# {numref}`fig-causal` is blank above the diagonal, and the count confirms it.
# (Where all values of a row are low, nothing moves the prediction much: the
# model is sure of it.) There is a stricter test still: change the last token and
# see that no earlier logit changes, not even in its last bit.

# %%
changed = ids.clone()
changed[0, -1] = (changed[0, -1] + 1) % small.model.vocab_size
with torch.no_grad():
    before, after = trained(ids), trained(changed)
print("past the same to the bit:",
      torch.equal(before[:, :-1], after[:, :-1]))
print("last one changed:        ",
      not torch.equal(before[:, -1], after[:, -1]))

# %% tags=["remove-cell"]
assert torch.equal(before[:, :-1], after[:, :-1])
assert not torch.equal(before[:, -1], after[:, -1])

# %% [markdown]
# ## What does attention look at?
#
# At whatever helped in training: where a value would have lowered the loss, the
# gradient turned its key and the query towards each other. To see it, we catch
# what goes into each layer's attention and compute the weights with our own
# `attend`.

# %%
@torch.no_grad()
def attention_weights(model, ids):
    """(B, T) ids -> weights (L, H, B, T, T)."""
    layers = []

    def record(attn, inputs):
        heads = split_heads(attn, inputs[0])
        layers.append(torch.stack([attend(*h)[0] for h in heads]))

    # PyTorch calls `record` before each attention
    hooks = [block.attn.register_forward_pre_hook(record)
             for block in model.transformer.h]
    model(ids)
    for hook in hooks:
        hook.remove()
    return torch.stack(layers)

weights = attention_weights(trained, ids)[:, :, 0]  # (L, H, T, T)

# %% mystnb={"figure": {"caption": "Attention weights of two heads in the trained model. Each row says where that position looks and adds up to one.", "name": "fig-attention"}, "image": {"alt": "Two square heat maps of attention weights, one head of the first layer and one of the last, with the tokens of a sentence on both axes. All weight lies on and below the diagonal, distributed differently in the two."}} tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(9.4, 5))
for ax, layer in zip(axes, (0, -1), strict=True):
    ax.imshow(weights[layer, 0], cmap="Blues", vmin=0, vmax=1)
    ax.set_xticks(range(T), labels, rotation=90, fontsize=8.5)
    ax.set_yticks(range(T), labels, fontsize=8.5)
    ax.set_title(f"layer {layer % len(weights)}, head 0", fontsize=9)
    ax.grid(False)

# %% tags=["remove-cell"]
sums = weights.sum(-1)
torch.testing.assert_close(sums, torch.ones_like(sums))
assert not weights.triu(1).any()

# %% [markdown]
# {numref}`fig-attention` shows one sentence, which proves little. So we count,
# over 32 rows of {term}`held-out text`, which training never saw. The table says
# how much of each head's weight goes to the token itself, to the one before, to
# the first of the row, and to whichever token gets most. A head that treats all
# tokens alike would give each the share in the last line.

# %%
length = small.model.context_length
text = run.val_tokens.ids[:32 * length].astype("int64")
text = torch.from_numpy(text).view(32, length)
# the first token sees only itself: left out, so row r is token r + 1
every = attention_weights(trained, text)[:, :, :, 1:]
maps = every.mean(2)
itself = maps.diagonal(1, -2, -1).mean(-1)          # (L, H)
previous = maps.diagonal(0, -2, -1).mean(-1)
first = maps[..., 0].mean(-1)
most = every.amax(-1).mean((2, 3))

# %%
shares = {"itself": itself, "before": previous, "first": first,
          "most": most}
even = (1 / torch.arange(2, length + 1)).mean()
show_table([
    {"layer, head": f"{layer}, {head}",
     **{name: f"{part[layer, head]:.2f}"
        for name, part in shares.items()}}
    for layer in range(first.size(0)) for head in range(first.size(1))
] + [{"layer, head": "even"} | dict.fromkeys(shares, f"{even:.2f}")])

# %% [markdown]
# A head with much weight on the token before gives the next layer pairs of tokens
# to work with, where the primer knew one token. Where *most* is far above the other
# three columns together, a row's largest weight often goes elsewhere: to another
# place, or to a token chosen by what it is. A vertical stripe in
# {numref}`fig-attention` is such a token, one that many rows look at, wherever they
# stand.
#
# {numref}`fig-heads` runs this very model in your browser, on a sentence of
# yours. Choose a head, then a token. Write a sentence with a name in it twice, and
# look for a head in which the second looks back at the first: in a model as small
# as this there may be none.

# %% mystnb={"figure": {"caption": "Attention of every head. Each square is one: a row says where its token looks. Below stands the sentence as the chosen head sees it from the chosen token, most coloured where it looks most.", "name": "fig-heads"}} tags=["hide-input"]
from course_lib.showing import show_attention

show_attention(trained, tokenizer, sentence)

# %% tags=["remove-cell"]
from course_lib.showing.live import attention_weights as in_package
torch.testing.assert_close(in_package(trained, ids)[:, :, 0], weights)

# %% [markdown]
# ## What does each part add?
#
# Every part of the model writes to the residual stream, and the head reads the
# sum. So the sum can be read early: stop after any part, take the last norm and
# the head, and see which token would be likeliest. (Nobody trained the model for
# that; it works because all parts write into one space.)
#
# :::{admonition} Predict
# :class: hint
# Right after the embedding no block has added anything yet, and the head is the
# embedding's own table. Which token will be likeliest there?
# :::

# %% mystnb={"figure": {"caption": "The residual stream at one position, part by part. A bar is the length of what a part adds, the line that of the sum so far; above it stands the token that the head would name if the model ended there.", "name": "fig-stream"}, "image": {"alt": "Bars of the lengths of what the embedding, each attention and each MLP add at one position, and a line for the length of their sum, with the token that the head would name written over each point."}} tags=["hide-input"]
from course_lib.showing import draw_stream

draw_stream(trained, ids[:, :6], lambda token: tokenizer.decode(
    [token]).replace(" ", "\u00b7"));

# %%
with torch.no_grad():
    embedded = (trained.transformer.wte(text)
                + trained.transformer.wpe.weight)   # (32, T, C)
    named = (trained.transformer.ln_f(embedded)
             @ trained.head.T).argmax(-1)
print(f"the token just read, at {(named == text).float().mean():.0%} "
      f"of {text.numel():,} positions")

# %% tags=["remove-cell"]
assert (named == text).float().mean() > 0.5

# %% [markdown]
# The token that was just read: the head is the embedding's own table, and finds
# the row that was looked up.
#
# In {numref}`fig-stream` each part then moves the sum towards what may come
# next. The lengths do not add up to the sum's, because the vectors point in
# different directions.
#
# ## Where do the parameters sit?
#
# Count by hand once. Per layer, attention has $3C^2$ weights for queries, keys
# and values (`c_attn`) and $C^2$ for what it puts out (`c_proj`); the MLP has
# $4C^2$ each way. Their biases add $3C + C + 4C + C$ and two norms $2C$ each,
# $13C$ in all. The last norm has $2C$, and two tables stand in front:
#
# $$
# N = VC + TC + L\,(12 C^2 + 13 C) + 2C
# $$ (eq-parameters)
#
# :::{admonition} Predict
# :class: hint
# The full preset has V = 50,304, T = 512, L = 8 and C = 512. Without a
# calculator: which is the largest part, and roughly what share of the total?
# :::

# %%
from dataclasses import asdict
from course_lib.model import count_parameters

V, T = full.vocab_size, full.context_length
L, C = full.n_layer, full.n_embd
N = V * C + T * C + L * (12 * C**2 + 13 * C) + 2 * C
parts = count_parameters(full)
show_table([{"counted": how, "parameters": f"{count:,}"}
            for how, count in (
                ("by the equation", N),
                ("by `count_parameters`", parts.total),
                ("in the model", sum(p.numel() for p
                                     in big.parameters())))])

# %% tags=["remove-cell"]
assert N == parts.total == sum(p.numel() for p in big.parameters())
assert N == 51_237_888
shares_of = {name: count / N for name, count in vars(parts).items()}
assert 0.49 < shares_of["token_embedding"] < 0.52
assert 0.3 < shares_of["mlp"] < 0.36
assert 0.15 < shares_of["attention"] < 0.18

# %% mystnb={"figure": {"caption": "Where the full model keeps its parameters.", "name": "fig-parameters"}, "image": {"alt": "Horizontal bars of the full preset's parameters by part. The token embedding is about half of the total, the MLPs about a third, attention about a sixth; position embedding and norms hardly show."}} tags=["hide-input"]
names = [name.replace("_", " ") for name in asdict(parts)][::-1]
counts = list(asdict(parts).values())[::-1]
fig, ax = plt.subplots(figsize=(7, 2.8))
bars = ax.barh(names, [n / 1e6 for n in counts])
ax.bar_label(bars, [f"{n:,}  ({n / N:.1%})" for n in counts],
             padding=4)
ax.set(xlabel="million parameters", xlim=(0, 36))
ax.grid(axis="y", visible=False)

# %%
shapes = {name: load_preset(name).model
          for name in ("smoke", "laptop", "evening", "full")}
shapes["gpt2"] = GPTConfig(50_257, 1_024, 12, 12, 768)
shapes["gpt2-large"] = GPTConfig(50_257, 1_024, 36, 20, 1_280)
counted = {name: count_parameters(config)
           for name, config in shapes.items()}
show_table([{"model": name,
             "parameters": f"{count.total / 1e6:.1f}M",
             "in tables": f"{count.embedding / count.total:.0%}"}
            for name, count in counted.items()])

# %% [markdown]
# The vocabulary: its table is half of the full model ({numref}`fig-parameters`).
# That is not how a large GPT looks. The tables grow with C and the blocks with
# $L C^2$, so the wider and deeper the model, the smaller the tables' share.
#
# The smaller presets have small vocabularies. For the full one, 50,304 entries
# are a choice with a price, which chapter 3 looks at.
#
# ## What does a token cost?
#
# A linear map of $n$ weights costs $2n$ {term}`FLOPs <FLOP>` for a token going
# forward, a multiplication and an addition each. Going backward costs twice as
# much: one product for the gradient of the input, one for that of the weights.
# So six for each weight, and the rule of thumb is $6N$ a token.
#
# :::{admonition} Predict
# :class: hint
# What does $6N$ leave out, and what does it count that costs nothing? Name one
# of each.
# :::

# %%
from course_lib.model import flops_by_part, flops_per_token

exact = flops_per_token(full, full.context_length)
lines = flops_by_part(full) | {
    "exact total": exact, "6N": 6 * N,
    "6N, no embeddings": 6 * (N - parts.embedding)}
show_table([{"part": part, "MFLOP per token": f"{flop / 1e6:.1f}",
             "of the exact total": f"{flop / exact:.1%}"}
            for part, flop in lines.items()])

# %% tags=["remove-cell"]
assert 0.4 < flops_by_part(full)["head"] / exact < 0.5
assert 6 * N < exact
assert 6 * (N - parts.embedding) < exact / 2
large = counted["gpt2-large"]
assert large.embedding < 0.1 * large.total

# %% [markdown]
# It leaves out the attention scores, T by T of them, that belong to no weight. (Half
# of these are masked, and a good kernel skips them. Papers mostly count all, and
# so do we; [the notes](notes_scaling.ipynb) have both counts.)
# It counts the table of positions, the norms and the biases, which cost next to
# nothing.
#
# The token table it counts rightly, if by luck: as an embedding it is only
# looked up, but as the head it is a full matrix product, and nearly half of all
# the work. The paper that made the rule known left the embeddings out of N
# {cite}`kaplan2020`, because its curves came out cleaner that way. For a large
# model the difference is small. Here it would miss more than half. Chapter 2
# spends these FLOPs.
#
# ## What if the shape were another?
#
# {numref}`fig-shape` opens at the full preset and recomputes both counts as you
# change its shape. Channels are heads times channels a head, so another head
# here is a wider model, not a finer cut. Memory is for numbers of four bytes. In
# training a parameter takes 16 bytes: four each for the weight, its gradient,
# and the two running averages that the {term}`optimizer`, {term}`AdamW`, keeps
# (chapter 4 says why). What each layer must keep for the backward pass comes on
# top. A saved model, a {term}`checkpoint`, leaves out the gradients.
#
# :::{admonition} Predict
# :class: hint
# Leave the vocabulary alone. Which lowers the output head's share of the FLOPs
# more, twice the layers or twice the channels (as twice the attention heads)? And
# when the context grows eightfold, which of the two pictures changes, and which
# hardly does?
# :::

# %% mystnb={"figure": {"caption": "Parameters and training FLOPs by part, for a shape of your choice.", "name": "fig-shape"}} tags=["hide-input"]
from course_lib.showing import shape_chart, show_chart

show_chart(shape_chart(full), "Bars of a GPT's parameters and of its "
           "training FLOPs by part, with sliders for layers, heads, "
           "channels a head, vocabulary and context.")

# %% tags=["hide-input"]
from dataclasses import replace

def shares(name, **change):
    flop = flops_by_part(replace(full, **change))
    total = sum(flop.values())
    scores = flop["attention scores"] / total
    attention = flop["attention projections"] / total + scores
    return {"shape": name, "output head": f"{flop['head'] / total:.0%}",
            "attention": f"{attention:.0%}",
            "scores' share of all": f"{scores:.0%}"}

show_table([shares("full preset"),
            shares("twice the layers", n_layer=2 * full.n_layer),
            shares("twice the channels", n_embd=2 * full.n_embd,
                   n_head=2 * full.n_head),
            shares("8 times the context", context_length=8 * T)])

# %% tags=["remove-cell"]
def head_share(**change):
    flop = flops_by_part(replace(full, **change))
    return flop["head"] / sum(flop.values())

deeper = head_share(n_layer=2 * L)
wider = head_share(n_embd=2 * C, n_head=2 * full.n_head)
assert abs(deeper - wider) < 0.03 < head_share() - max(deeper, wider)
long = flops_by_part(replace(full, context_length=8 * T))
assert long["attention scores"] > 2 * long["attention projections"]
assert count_parameters(replace(
    full, context_length=8 * T)).total < 1.05 * N

# %% [markdown]
# Both lower it, and by nearly as much: twice the layers double the blocks and
# leave the head alone; twice the channels double the head, and the blocks' weights
# become four times as many. The longer context changes the FLOPs: each token looks
# back at more keys, and the scores become most of what attention costs. The
# parameters hardly move, since only a small table gets more rows.
#
# ## How much memory do the logits take?
#
# The output head makes V numbers for each position, and the loss needs them
# twice: going forward, for the cross-entropy, and going backward, for its
# gradient.
#
# :::{admonition} Predict
# :class: hint
# One step of the full preset trains on 262,144 tokens. How many gigabytes are
# their logits, at four bytes each?
#
# - 0.5
# - 5
# - 50
# :::

# %%
step = load_preset("full").batch_tokens
for tokens in step, step // 8:
    size = tokens * full.vocab_size * 4 / 1e9
    print(f"{tokens:,} tokens: {size:.1f} GB")

# %% tags=["remove-cell"]
assert 45 < 8 * size < 60

# %% [markdown]
# Some fifty. Training takes such a step in parts (chapter 4), but even an eighth
# of it fills gigabytes with numbers that no one will look at.
#
# Where the logits are many, `model.loss` computes them in chunks of positions. The
# loss is a sum, which can be taken chunk by chunk. Its gradient is the
# probabilities minus the truth, as in the primer, and can be computed while a
# chunk is there; then the chunk is thrown away. The folded cell has the code and
# the record.

# %% mystnb={"code_prompt_hide": "Hide the loss in chunks", "code_prompt_show": "Show the loss in chunks, and what it saves"} tags=["hide-cell"]
from course_lib.model import chunked_cross_entropy, loss as loss_module
from course_lib.showing import load_result

show_source(loss_module._ChunkedCrossEntropy)
memory, speed = load_result("loss_memory.json"), load_result(
    "loss_head.json")
times = {row["number_format"]: row["milliseconds"]
         for row in speed["rows"] if row["scale"] == "full"}
print(f"The full model's head: memory in GB with {memory['tokens']:,} "
      f"tokens on {memory['provenance']['device']},\nseconds in either "
      f"format with {speed['rows_of_logits']:,} on "
      f"{speed['provenance']['threads']} threads of "
      f"{speed['provenance']['device']}.")
# "fused", PyTorch's own operator (2.13 and later), takes the least
# memory, but is slow in bfloat16, in which the trainer computes
show_table([{"way": row["way"], "GB": f"{row['peak_bytes'] / 1e9:.2f}"}
            | {kind: f"{sorted(of[row['way']])[1] / 1e3:.1f}"
               for kind, of in times.items()}
            for row in memory["rows"]])

# %% tags=["remove-cell"]
at_once_, fused, chunked = (r["peak_bytes"] for r in memory["rows"])
assert fused < chunked < at_once_ / 5
slow, fast = (sorted(times["bfloat16"][way])[1]
              for way in ("fused", "chunked"))
assert slow > 1.3 * fast
x = torch.randn(2048, small.model.n_embd, requires_grad=True)
targets = torch.randint(small.model.vocab_size, (2048,))
one, other = (torch.autograd.grad(loss, (x, model.head)) for loss in (
    F.cross_entropy(x @ model.head.T, targets),
    chunked_cross_entropy(x, model.head, targets)))
for a, b in zip(one, other, strict=True):
    torch.testing.assert_close(a, b)

# %% [markdown]
# ## Is it GPT-2?
#
# Our model claims to be GPT-2, to the last digit, and there is a referee: the
# implementation in Hugging Face's `transformers`. We give both the same random
# weights and the same tokens. No download is needed. To make a mistake visible,
# every parameter is three times its usual size. Biases and norms start as zeros
# and ones, and two that had been swapped would still be equal; so they are made
# random too.

# %%
from transformers import GPT2Config, GPT2LMHeadModel
from course_lib.sharing import from_hf

referee = GPT2LMHeadModel(GPT2Config(
    vocab_size=1000, n_positions=128, n_layer=4, n_head=4, n_embd=128,
    bos_token_id=0, eos_token_id=0)).eval()
with torch.no_grad():
    for weight in referee.parameters():
        weight.mul_(3)
        if weight.ndim == 1:        # of biases and norms
            weight.add_(torch.randn_like(weight) / 4)
ours = from_hf(referee).eval()

# %%
rows = torch.randint(1000, (4, 128))
for dtype in (torch.float32, torch.float64):
    with torch.no_grad():
        theirs = referee.to(dtype)(rows).logits
        difference = (ours.to(dtype)(rows) - theirs).abs().max()
    print(f"{dtype}: logits up to {theirs.abs().max():.1f}, "
          f"largest difference {difference:.0e}")
    assert difference < (1e-4 if dtype == torch.float32 else 1e-10)

# %% [markdown]
# What is left is rounding: with 64 bits in the place of 32 it shrinks by about
# as much as the numbers got finer. A real difference would have stayed, and
# here is one. We give the referee the exact GELU, which looked the same:

# %%
for block in referee.transformer.h:
    block.mlp.act = nn.GELU()
with torch.no_grad():
    off = (ours(rows) - referee(rows).logits).abs().max()
print(f"largest difference with the wrong GELU {off:.0e}")

# %% tags=["remove-cell"]
assert off > 1e-5

# %% [markdown]
# Both models still compute in 64 bits, so this is no rounding: the check finds
# even so small a mistake. And `from_hf`, which filled our model, can be trusted
# with a published GPT-2. The names are the same already; all that it has to do
# is transpose four matrices a layer, which OpenAI stored the other way round.

# %%
show_source(from_hf)

# %% [markdown]
# :::{admonition} Takeaway
# :class: tip
# A GPT is a stream of vectors, one for each position. Embeddings start it;
# blocks read it through a norm and add to it; attention moves information from
# earlier positions to later ones, never back; the MLP computes at each position
# alone; the head compares the result with every token's embedding. You can count
# its parameters and its FLOPs on paper, and at the size of the full model the
# vocabulary is about half of both.
# :::
#
# ## Write it yourself
#
# In your file (`course new my_gpt.py`) this chapter's steps are `embed`,
# `attention`, `SelfAttention`, `MLP`, `Block`, `GPT` with its first weights, and
# `causal_loss`. Close the chapter and write equation {eq}`eq-attention` from
# memory. If the mask is off by one, the checker will say so.
#
# With `GPT` right, `course train RUN --model my_gpt.py` trains yours instead of
# the package's ({doc}`how <../book/running>`).

# %%
from course_lib.exercises import check

def attention(q, k, v):
    """(B, H, T, D) each -> (B, H, T, D): causal attention."""

print(check("attention", attention))

# %% [markdown]
# Solution (click to open):

# %% tags=["hide-cell"]
def attention(q, k, v):
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
    later = torch.ones(scores.shape[-2:]).triu(1).bool()
    return scores.masked_fill(later, -torch.inf).softmax(-1) @ v

print(check("attention", attention))

# %% tags=["remove-cell"]
assert check("attention", attention).right

# %% [markdown]
# ## Exercises
#
# ### 1. How large is GPT-2 XL?
#
# *Easy, 5 minutes.* The largest GPT-2 has 48 layers, 25 heads, 1,600 channels,
# a vocabulary of 50,257 and a context of 1,024. Compute its parameters from
# equation {eq}`eq-parameters`, without building it. What share are its
# embeddings, and why does the number of heads not matter?
#
# Solution (click to open):

# %% tags=["hide-cell"]
xl = GPTConfig(50_257, 1_024, n_layer=48, n_head=25, n_embd=1_600)
by_hand = (50_257 * 1_600 + 1_024 * 1_600
           + 48 * (12 * 1_600**2 + 13 * 1_600) + 2 * 1_600)
share = count_parameters(xl).embedding / by_hand
print(f"{by_hand:,} parameters, {share:.1%} of them embeddings")

with torch.device("meta"):      # shapes only: no memory is taken
    built = GPT(xl)
assert by_hand == count_parameters(xl).total
assert by_hand == sum(p.numel() for p in built.parameters())
# Heads cut the same C channels into slices: no matrix changes size.

# %% [markdown]
# ### 2. Break causality, and catch it
#
# *Medium, 15 minutes.* Make a copy of the trained model whose attention also
# sees the *next* token, a mask that is off by one, without editing the
# package. Show that its loss on held-out text changes, and write a test that
# catches the bug without looking at the loss.
#
# Solution (click to open):

# %% tags=["hide-cell"]
import copy

class Leaky(nn.Module):
    """The same attention, with a mask that is off by one."""

    def __init__(self, attn):
        super().__init__()
        self.attn = attn

    def forward(self, x, *cache):
        T = x.size(1)
        mask = torch.ones(T, T).tril(1).bool()      # 1 too many
        heads = [F.scaled_dot_product_attention(*qkv, attn_mask=mask)
                 for qkv in split_heads(self.attn, x)]
        return self.attn.c_proj(torch.cat(heads, dim=-1))

def sees_the_future(model, ids):
    """Whether a later token changes an earlier logit."""
    other = ids.clone()
    other[:, -1] = (other[:, -1] + 1) % model.config.vocab_size
    with torch.no_grad():
        same = torch.equal(model(ids)[:, :-1], model(other)[:, :-1])
    return not same

leaky = copy.deepcopy(trained)
for block in leaky.transformer.h:
    block.attn = Leaky(block.attn)
for name, each in (("trained", trained), ("leaky", leaky)):
    with torch.no_grad():
        nats = each.loss(text[:, :-1], text[:, 1:]).item()
    print(f"{name}: loss {nats:.3f}, sees the future: "
          f"{sees_the_future(each, ids)}")
assert sees_the_future(leaky, ids) and not sees_the_future(trained, ids)
# Weights trained with the right mask are disturbed by the wrong one. A
# model *trained* with it would learn to copy the answer instead.

# %% [markdown]
# ### 3. Untie the head
#
# *Medium, 15 minutes.* Give the model a head of its own: a table of V times C
# that starts as a copy of the token embedding. Show that the logits do not
# change, count what it costs, and find out which rows of each table receive a
# gradient from one batch. Why do the two tables not stay equal in training?
#
# Solution (click to open):

# %% tags=["hide-cell"]
class Untied(GPT):
    """A GPT with an output table of its own."""

    def __init__(self, config):
        super().__init__(config)
        self.lm_head = nn.Parameter(self.transformer.wte.weight.clone())

    @property
    def head(self):
        return self.lm_head

untied = Untied(small.model).eval()
untied.load_state_dict(trained.state_dict(), strict=False)
with torch.no_grad():
    untied.lm_head.copy_(trained.head)
    assert torch.equal(untied(ids), trained(ids))
extra = (sum(p.numel() for p in untied.parameters())
         - count_parameters(small.model).total)
assert extra == small.model.vocab_size * small.model.n_embd
untied.loss(ids[:, :-1], ids[:, 1:]).backward()
embedding = untied.transformer.wte.weight.grad.abs().sum(-1)
head = untied.lm_head.grad.abs().sum(-1)
print(f"{extra:,} more parameters; rows with a gradient: "
      f"embedding {int((embedding > 0).sum())}, "
      f"head {int((head > 0).sum())} of {len(head)}")
assert (embedding > 0).sum() == ids[:, :-1].unique().numel()
assert (head > 0).sum() > (embedding > 0).sum()
# The embedding hears only of tokens that were read. The head hears of
# all: each one's probability is pushed up or down at every position.

# %% [markdown]
# ### 4. Positions without a table
#
# *Hard, 20 minutes.* The first Transformer {cite}`vaswani2017` computed its
# position vectors: channel pairs $\sin(t \omega_j), \cos(t \omega_j)$ with
# $\omega_j = 10000^{-2j/C}$. Write them, put them into a new model in the
# table's place, and check three things: the model again tells orders apart,
# the dot product of two positions depends only on their distance, and there
# are TC parameters fewer to train.
#
# Solution (click to open):

# %% tags=["hide-cell"]
def sinusoids(T, C):
    """(T, C) position vectors of the first Transformer."""
    omega = 10_000.0 ** (-torch.arange(0, C, 2) / C)
    angles = torch.arange(T)[:, None] * omega
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)

waves = GPT(small.model).eval()
T, C = small.model.context_length, small.model.n_embd
waves.transformer.wpe = nn.Embedding.from_pretrained(
    0.02 * sinusoids(T, C), freeze=True)
with torch.no_grad():
    change = waves(row)[0, -1] - waves(shuffled)[0, -1]
products = sinusoids(T, C) @ sinusoids(T, C).T
trainable = sum(p.numel() for p in waves.parameters()
                if p.requires_grad)
print(f"largest change when shuffled {change.abs().max():.0e}")
print(f"{count_parameters(small.model).total - trainable:,} fewer")
assert change.abs().max() > 1e-5
for distance in (1, 5, 20):
    diagonal = products.diagonal(distance)
    assert diagonal.max() - diagonal.min() < 1e-3
assert count_parameters(small.model).total - trainable == T * C
# sin a sin b + cos a cos b = cos(a - b): only the distance is left. And
# the waves do not end at T, although nothing past T was ever trained.
