# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Sampling: the model speaks
#
# A trained model is a function from text to a probability for every token.
# It does not write. Writing is something we do with it: draw a token, append
# it, ask again. This chapter is about that loop, about the three knobs that
# everyone turns, about making it fast, and about judging and sharing what
# comes out.

# %%
from course_lib import plots, stages
from course_lib.presets import load_preset
from course_lib.show import card, load_result, show_source

preset = load_preset()  # $COURSE_SCALE: smoke, laptop or full
plots.use_style()
card("05_sampling", needs="chapter 4",
     gives="text from your own model, in a form that others can load",
     trains=True)

# %% [markdown]
# ## What did training change?
#
# The trainer kept the weights at the start, at 1%, at 10% and at the end of
# the run. We give each the same beginning, "life is about", and the same
# random numbers, so that only the weights differ.
#
# **Predict.** What will be right first: which tokens are common, the
# spelling of words, or the thread of a sentence?

# %%
from course_lib.sample import generate

run = stages.trained(preset)
tokenizer = run.tokenizer
prompt = tokenizer.encode("life is about")


def speak(model, prompt=prompt, tokens=60, **options):
    options = dict(temperature=0.8, seed=3, stop_id=tokenizer.eot,
                   max_new_tokens=tokens) | options
    [ids] = generate(model, [prompt], **options)
    return visible(tokenizer.decode(prompt + ids))


def visible(text):
    """Control characters, which a page cannot show, as \ufffd."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd"
                   for c in text)


# %%
for step, model in run.snapshots():
    print(f"--- after {step:,} steps\n{speak(model)}\n")

# %% [markdown]
# Untrained, every token is as likely as any other, so what you see is the
# vocabulary shaken in a bag. Then come the common tokens, then words in
# plausible order, and last what stretches over a sentence.
#
# Left to start by itself, after end-of-text, the trained model tells a story.

# %%
import textwrap

[ids] = generate(run.model(), [[tokenizer.eot]], 300, 0.8, seed=1,
                 stop_id=tokenizer.eot)
for paragraph in visible(tokenizer.decode(ids)).split("\n"):
    print(textwrap.fill(paragraph, 72))

# %% [markdown]
# Read it once for grammar and once for memory: is the child in the last
# sentence the one from the first? Grammar is learned early, because every
# sentence teaches it. Keeping track of who is who pays in few places and
# comes late; a longer run or a larger model is what it takes.
#
# The built-in stories are a small world. For comparison, here is the same
# architecture in another size, trained on old books in the public domain. It
# is a recorded run: nothing is computed here but the sentence around the
# numbers.

# %%
books = load_result("books.json")
files = books["run"]["files"]
hours = books["training"]["seconds"] / 3600
print(f"{files['train']['documents']} books to learn from, "
      f"{files['val']['documents']} held out; {hours:.1f} hours on "
      f"{books['provenance']['threads']} CPU core, "
      f"{books['provenance']['date']}")
for name, value in books["run"]["preset"]["model"].items():
    print(f"  {name:15} {value}")

# %%
for sample in books["samples"]:
    print(f"--- after {sample['step']:,} steps")
    print(visible(sample["text"]), end="\n\n")

# %% [markdown]
# A model this small has the tone of an old novel and none of its sense. To
# know whether that is good, hold it against something that is not a neural
# network. A compressor such as `xz` is a predictor in disguise: whatever it
# can foresee, it need not store. An n-gram model counts what follows the
# last four tokens (or bytes), with {term}`Kneser-Ney smoothing` for what it never saw
# {cite}`kneser1995`. All are measured in bits per byte of the same held-out
# book, having seen the same training text where they can use it.

# %% mystnb={"figure": {"caption": "Bits per byte of a held-out book; shorter is better. The GPT and the n-gram models learned from the same books.", "name": "fig-baselines"}, "image": {"alt": "Horizontal bars of bits per byte for xz, two Kneser-Ney models and the GPT; the GPT's bar is the shortest."}}
import matplotlib.pyplot as plt

bits = dict(books["baselines_bits_per_byte"])
bits["this book's GPT"] = books["validation"]["bits_per_byte"]
colors = [plots.PALETTE[5]] * (len(bits) - 1) + [plots.PALETTE[1]]
bars = plt.barh(list(bits), list(bits.values()), color=colors)
plt.bar_label(bars, fmt="%.2f", padding=3)
plt.gca().invert_yaxis()
plt.xlabel("bits per byte");

# %%
seen, training = books["validation"], books["training"]
print(f"{books['parameters']:,} parameters,",
      f"{training['tokens']:,} tokens",
      f"({training['passes']:.1f} passes over the text)")
print(f"loss {seen['loss']:.3f} nats per token,",
      f"perplexity {seen['perplexity']:.1f},",
      f"{seen['bits_per_byte']:.3f} bits per byte")

# %% tags=["remove-cell"]
assert seen["bits_per_byte"] < min(
    books["baselines_bits_per_byte"].values())

# %% [markdown]
# ## What is there to choose from?
#
# Back to our own model. Before a token is drawn there is a distribution,
# and it is worth looking at one. After "life is about" this model considers:

# %% mystnb={"figure": {"caption": "The likeliest next tokens after the prompt (a dot stands for a space).", "name": "fig-next"}, "image": {"alt": "Horizontal bars of the ten likeliest next tokens and their probabilities."}}
import torch

from course_lib.sample import probabilities

model = run.model()
with torch.no_grad():
    logits = model(torch.tensor([prompt]))[:, -1]  # (1, V)
top = probabilities(logits)[0].topk(10)
names = [tokenizer.decode([i]).replace(" ", "·")
         for i in top.indices.tolist()]
plots.plot_distribution(top.values, names);

# %% [markdown]
# Three knobs reshape this row before we draw from it. {term}`Temperature`
# divides the logits: below one, the likely becomes likelier; above one, the
# row flattens; at zero only the top token is left. {term}`Top-k` keeps the
# $k$ likeliest tokens. {term}`Top-p` keeps the fewest that together reach
# probability $p$ {cite}`holtzman2020`, so it keeps many when the model is
# unsure and one when it is certain. The order matters, and the code is the
# definition:

# %%
show_source(probabilities)

# %% mystnb={"figure": {"caption": "The same row after each knob, on the tokens of the figure before.", "name": "fig-knobs"}, "image": {"alt": "Four panels of the same ten tokens: temperature one half sharpens, two flattens, top-k keeps three, top-p cuts the tail."}}
settings = {"temperature 0.5": dict(temperature=0.5),
            "temperature 2": dict(temperature=2.0),
            "top-k 3": dict(top_k=3), "top-p 0.5": dict(top_p=0.5)}
figure, axes = plt.subplots(1, 4, figsize=(9, 3), sharey=True)
for ax, (name, options) in zip(axes, settings.items()):
    row = probabilities(logits, **options)[0, top.indices]
    plots.plot_distribution(row, names, ax, title=name)

# %% [markdown]
# **Predict.** Which of the settings below will repeat itself? Which will
# lose the thread?

# %%
for options in (dict(temperature=0), dict(temperature=0.8, top_p=0.9),
                dict(temperature=2.0)):
    print(f"--- {options}\n{speak(model, **options)}\n")

# %% [markdown]
# Greedy text is safe and dull, and on a small model it often circles. High
# temperature draws from the tail, where hundreds of unlikely tokens
# together weigh a lot, and one of them derails everything after it.
# Cutting the tail and keeping the rest is what most people settle on.
#
# ## Why is it slow, and what is the KV cache?
#
# To append one token, the plain loop runs the whole text through the model
# again, although nothing about the earlier tokens has changed: attention is
# causal, so their keys and values are what they were. Keep them, and each
# new token costs one token's work. That is the {term}`KV cache`.
#
# **Predict.** For the longest text in the figure, how many times faster is
# the cache?

# %% mystnb={"figure": {"caption": "Time to generate, with and without the cache, for growing lengths. Both give the same tokens.", "name": "fig-cache"}, "image": {"alt": "Time against tokens generated: the curve without a cache bends upwards, the one with a cache stays nearly straight."}}
import time

lengths = [T for T in (8, 16, 32, 64, 96) if
           T + len(prompt) <= preset.model.context_length]
seconds = {True: [], False: []}
for use_cache in seconds:
    for length in lengths:
        begin = time.perf_counter()
        generate(model, [prompt], length, seed=0, use_cache=use_cache)
        seconds[use_cache].append(time.perf_counter() - begin)
plt.plot(lengths, seconds[False], "s-", label="without cache")
plt.plot(lengths, seconds[True], "o-", label="with cache")
plt.xlabel("tokens generated")
plt.ylabel("seconds")
plt.legend();

# %%
exact = run.model().double()  # no rounding to blame
with_cache = generate(exact, [prompt], 80, seed=1)
without = generate(exact, [prompt], 80, seed=1, use_cache=False)
ratio = seconds[False][-1] / seconds[True][-1]
print(f"{lengths[-1]} tokens: {ratio:.1f} times faster with the cache")
print("same tokens:", with_cache == without)

# %% tags=["remove-cell"]
assert with_cache == without

# %% [markdown]
# On a small model much of each step is overhead, which no cache saves; the
# gain grows with the model and with the context. What happens past
# the context? The window has to move, and positions with it, so the cache
# must be refilled. We move it by half a context at a time: one refill, then
# many cheap steps.
#
# ## How good is it, really?
#
# Samples convince people, and they mislead: a model that copied its
# training text would write beautifully. Two checks. The first is the loss
# on text it never saw, in {term}`bits per byte`, so that models with other
# vocabularies can be compared.

# %%
from course_lib.evaluate import evaluate

result = evaluate(model, run.val_tokens)
print(f"loss           {result.loss:.3f} nats per token")
print(f"perplexity     {result.perplexity:.2f}")
print(f"bits per byte  {result.bits_per_byte:.3f}")

# %% [markdown]
# The second is to look for copies: the longest run of tokens in a sample
# that also stands in the training text. In a
# small world expect a long one: there are only so many ways to say that it
# rained.

# %%
import numpy as np

ids = generate(model, [prompt], 100, seed=5, stop_id=tokenizer.eot)[0]
known = run.train_tokens.ids
corpus = known.tobytes()


def stands_in_corpus(piece):
    raw = np.array(piece, known.dtype).tobytes()
    place = corpus.find(raw)
    while place >= 0 and place % known.itemsize:  # between two tokens
        place = corpus.find(raw, place + 1)
    return place >= 0


longest = []
for start in range(len(ids)):
    while (start + len(longest) < len(ids) and stands_in_corpus(
            ids[start:start + len(longest) + 1])):
        longest = ids[start:start + len(longest) + 1]
print(f"{len(longest)} tokens: {tokenizer.decode(longest)!r}")

# %% [markdown]
# ## How do others use it?
#
# In the form that everyone's tools read. `save_hf` writes the weights as
# safetensors, the configuration, and the tokenizer; the Transformers library
# loads the folder without our package. We check that it agrees.

# %%
import tempfile

from course_lib.hub import save_hf

folder = tempfile.mkdtemp()
save_hf(model, tokenizer, folder)

# %%
import transformers

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
their_tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
with torch.no_grad():
    gap = (theirs(torch.tensor([prompt])).logits[:, -1] - logits).abs()
print(f"largest difference of a logit: {gap.max():.1e}")
print("same ids:", their_tokenizer("life is about").input_ids == prompt)

# %% tags=["remove-cell"]
assert gap.max() < 1e-4
assert their_tokenizer("life is about").input_ids == prompt

# %% [markdown]
# From a terminal the same is `course sample RUN`, `course evaluate RUN` and
# `course export RUN --to DIR`; the last one also writes a model card from
# the run's record, so that whoever finds your model knows what it was
# trained on.
#
# :::{admonition} Takeaway
# :class: tip
# A model gives probabilities; sampling makes text of them. Temperature,
# top-k and top-p reshape one row before a token is drawn from it. The cache
# changes the time and not the tokens. Judge a model by held-out bits per
# byte against something simple, never by its best sample.
# :::
#
# ## Exercises
#
# **1. Temperature by hand** (easy, 5 minutes). Two tokens have logits 2 and
# 0. At which temperature is the first exactly nine times as likely?
#
# Solution (click to open):

# %% tags=["hide-cell"]
import math

temperature = 2 / math.log(9)  # exp(2 / t) = 9
row = probabilities(torch.tensor([[2.0, 0.0]]), temperature)[0]
print(f"{temperature:.3f}: {row.tolist()}")
assert abs(row[0] / row[1] - 9) < 1e-9

# %% [markdown]
# **2. Does top-p adapt?** (medium, 10 minutes). For each position of a held-
# out passage, count how many tokens top-p 0.9 keeps. Find where it keeps
# one, and where it keeps most.
#
# Solution (click to open):

# %% tags=["hide-cell"]
passage = torch.tensor(run.val_tokens.ids[1:41].astype("int64"))
with torch.no_grad():
    rows = probabilities(model(passage[None])[0], top_p=0.9)
kept = (rows > 0).sum(1)
for name, place in (("fewest", kept.argmin()), ("most", kept.argmax())):
    before = tokenizer.decode(passage[:place + 1].tolist())[-30:]
    print(f"{name}: {kept[place]} tokens after {before!r}")
assert kept.min() < kept.max()

# %% [markdown]
# **3. The cost of being sure** (medium, 10 minutes). Sharpen the model to
# temperature 0.25 and measure its loss on held-out tokens. Is sharper text
# also a better model of text?
#
# Solution (click to open):

# %% tags=["hide-cell"]
with torch.no_grad():
    z = model(passage[None, :-1])[0]
target = passage[1:]
loss = {t: torch.nn.functional.cross_entropy(z / t, target).item()
        for t in (0.25, 1.0)}
print({t: round(value, 3) for t, value in loss.items()})
# Sampling sharper can please the ear; as a forecast it is too sure.
assert loss[0.25] > loss[1.0]
