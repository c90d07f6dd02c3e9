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
# it, ask again. How is the token drawn, why is the loop slow, and is the text any
# good? This chapter is about the settings that everyone changes, about making the
# loop fast, and about judging and sharing what comes out.

# %% tags=["remove-input"]
from course_lib.showing import card, plots

plots.use_style()
card("05_sampling", needs="chapter 4",
     gives="text from your own model, and the model in a form that "
     "others can load",
     trains=True)

# %% [markdown]
# ## What did training change?
#
# The trainer kept the weights before the first step, after 1% of the steps,
# after 10%, and at the end. We give each the same beginning and the same random
# numbers, so that only the weights differ. Beside our model stands a larger one,
# the recorded run of [chapter 7](07_speaks.ipynb) on real books. Each text says
# after which share of its run's steps it was written.
#
# :::{admonition} Predict
# :class: hint
# What will be right first?
#
# - which tokens are common
# - the spelling of words
# - the thread of a sentence
# :::

# %%
from course_lib import stages
from course_lib.presets import load_preset
from course_lib.sampling import generate
from course_lib.showing import load_result, side_by_side, visible

preset = load_preset()  # the scale that $COURSE_SCALE names
run = stages.trained(preset)
tokenizer = run.tokenizer
prompt = tokenizer.encode("life is about")


def speak(model, prompt=prompt, tokens=60, **options):
    options = dict(temperature=0.8,  # the next section explains it
                   seed=0, stop_id=tokenizer.eot,
                   max_new_tokens=tokens) | options
    [ids] = generate(model, [prompt], **options)
    return visible(tokenizer.decode(prompt + ids))


# %% tags=["hide-input"]
beginning = "Once upon a time there was"
ours = [(step, speak(m, tokenizer.encode(beginning), 80))
        for step, m in run.snapshots()]
theirs = [(sample["step"], sample["texts"][beginning])
          for sample in load_result("long_run.json")["samples"]]
columns = {
    name: [f"({step / kept[-1][0]:.0%} of the steps) {text}"
           for step, text in (*kept[:3], kept[-1])]
    for name, kept in {"the built-in stories": ours,
                       "real books": theirs}.items()}
side_by_side("One prompt, two models, some moments of their training.",
             columns, ["nothing", "a little", "some", "all"])

# %% [markdown]
# Which tokens are common comes first, then whole words, and last what stretches
# over a sentence. Untrained, every token is about as likely as any other, so the
# first row is the vocabulary shaken in a bag. Where a model that can spell
# still invents a word, one draw was unlucky: many words are several tokens, and
# each of them is drawn.
#
# The model of real books has more of English in it. At laptop scale that of the
# stories makes more sense: a grammar made them up, and a small model can hold most
# of what that grammar can say.
#
# Left to start by itself, after end-of-text, our model tells a story.

# %%
from course_lib.showing import print_text

[ids] = generate(run.model(), [[tokenizer.eot]], 300, temperature=0.8,
                 seed=1, stop_id=tokenizer.eot)
print_text(visible(tokenizer.decode(ids)))
print(f"\n{len(ids)} tokens; the model sees at most "
      f"{preset.model.context_length} at a time")

# %% [markdown]
# Read it once for grammar and once for memory: is the child in the last
# sentence the one from the first? Grammar is learned early, because every
# sentence teaches it. Keeping track of who is who lowers the loss in few places,
# and comes late. And a story longer than the context ends out of sight of its
# beginning.
#
# ## What is there to choose from?
#
# Before a token is drawn there is a distribution, and it is worth looking at
# one. After "life is about", the prompt of 2023, our model considers:

# %% mystnb={"figure": {"caption": "The likeliest next tokens after the prompt (a dot stands for a space).", "name": "fig-next"}, "image": {"alt": "Horizontal bars of the ten likeliest next tokens and their probabilities."}}
import torch

from course_lib.sampling import probabilities

model = run.model()
with torch.no_grad():
    logits = model(torch.tensor([prompt]))[:, -1]  # (1, V)
top = probabilities(logits)[0].topk(10)
names = [tokenizer.decode([i]).replace(" ", "·")
         for i in top.indices.tolist()]
plots.plot_distribution(top.values, names);

# %% [markdown]
# A few settings reshape the row of {numref}`fig-next` before we draw from it.
# {term}`Temperature` divides the logits: below one, the likely becomes
# likelier; above one, the row flattens; zero means that the top token is taken.
# The others cut off the tail. {term}`Top-k` keeps the $k$ likeliest tokens.
# {term}`Top-p` keeps the fewest that together reach probability $p$
# {cite}`holtzman2020`, so it keeps many when the model is unsure and one when
# it is certain. {term}`Min-p` keeps what is at least $p$ times as likely as the
# favourite {cite}`nguyen2024`. Their order matters, and for every temperature
# above zero the code is the definition:

# %%
def reshape(z, temperature=1.0, top_k=None, top_p=None, min_p=None):
    """(V,) logits -> (V,) probabilities."""
    p = (z.double() / temperature).softmax(-1)
    p, order = p.sort(descending=True)  # the favourite is now p[0]
    if top_k is not None:
        p[top_k:] = 0
    if top_p is not None:  # out goes what those before make needless
        p[p.cumsum(-1) - p >= top_p * p.sum()] = 0
    if min_p is not None:
        p[p < min_p * p[0]] = 0
    p = p / p.sum()
    return torch.zeros_like(p).scatter(0, order, p)  # in order of ids

# %% tags=["remove-cell"]
for options in (dict(), dict(temperature=0.3), dict(top_k=3),
                dict(top_p=0.5), dict(min_p=0.3),
                dict(temperature=1.7, top_k=40, top_p=0.9, min_p=0.05)):
    gap = reshape(logits[0], **options) - probabilities(
        logits, **options)[0]
    assert gap.abs().max() < 1e-9, options

# %% mystnb={"figure": {"caption": "The same row after each setting, on the tokens of the figure before.", "name": "fig-knobs"}, "image": {"alt": "Five panels of the same ten tokens: temperature one half sharpens, two flattens, top-k, top-p and min-p keep only the likeliest."}} tags=["hide-input"]
import matplotlib.pyplot as plt

settings = {"temperature 0.5": dict(temperature=0.5),
            "temperature 2": dict(temperature=2.0),
            "top-k 3": dict(top_k=3), "top-p 0.3": dict(top_p=0.3),
            "min-p 0.5": dict(min_p=0.5)}
figure, axes = plt.subplots(1, 5, figsize=(9, 3), sharex=True,
                            sharey=True)
for ax, (name, options) in zip(axes, settings.items()):
    row = reshape(logits[0], **options)[top.indices]
    plots.plot_distribution(row, names, ax, title=name)

# %% [markdown]
# What the second panel of {numref}`fig-knobs` has lost went to tokens that are
# not shown. The package's `probabilities` does the same for many rows at once.
#
# In {numref}`fig-sampling` temperature and top-p are sliders, over settings that
# were computed when the page was built. The outline is the model's own row, the
# filled bar what is left of it, and below stand four continuations, always with
# the same random numbers.
#
# :::{admonition} Predict
# :class: hint
# Before you drag: what will the lowest top-p do to the four texts?
#
# - they become alike
# - they become shorter
# - they lose the thread
# :::

# %% mystnb={"figure": {"caption": "The likeliest next tokens before and after both settings, and four texts drawn with them.", "name": "fig-sampling"}} tags=["hide-input"]
from course_lib.showing import show_chart
from course_lib.showing import sampling_chart, sampling_grid

grid = sampling_grid(model, tokenizer, "life is about")
show_chart(sampling_chart(grid), "Bars of the likeliest next tokens, "
           "before and after both settings, and texts drawn with them. "
           "Two sliders change the settings.")

# %% [markdown]
# They become alike: turned down, either slider leaves the same few sentences.
# Turned up, top-p can at most leave the row as it is, while temperature moves it
# to the last bar, that of all other tokens.
#
# Here is another beginning, drawn twice at each of three settings.
#
# :::{admonition} Predict
# :class: hint
# At temperature 2, how long will the text hold together?
#
# - for a sentence or two
# - for some words
# - for as long as at the other settings
# :::

# %%
start = tokenizer.encode("One morning")
for options in (dict(temperature=0), dict(temperature=0.8, top_p=0.9),
                dict(temperature=2.0)):
    print(f"--- {options}")
    for seed in (1, 2):
        text = speak(model, start, 50, seed=seed, **options)
        print_text(text + "\n")

# %% [markdown]
# For some words: it draws from the tail, where hundreds of unlikely tokens together
# weigh a lot, and one of them derails everything after it. Temperature zero writes
# the same text twice, since nothing is left to chance. Cutting the tail and keeping
# the rest, as the middle setting does, is what most people settle on.
#
# A model that goes in circles is often helped by a
# {term}`repetition penalty`, a factor that makes tokens already in the text less
# likely {cite}`keskar2019`. It is a crude tool: a story
# needs its hero's name, and its full stops, more than once. Where a model does not
# go in circles, only the harm is left.

# %%
for penalty in (1.0, 1.3, 2.0):
    text = speak(model, start, 50, temperature=0,
                 repetition_penalty=penalty)
    print_text(f"--- {penalty}: {text}\n")

# %% [markdown]
# ## Why is it slow, and what is the KV cache?
#
# To append one token, the plain loop runs the whole text through the model
# again, although nothing about the earlier tokens has changed: attention is
# causal, so their keys and values are what they were. Keep them, and each
# new token costs one token's work. That is the {term}`KV cache`.
#
# :::{admonition} Predict
# :class: hint
# For 96 new tokens, or as many as the context holds, how many times faster is it
# with the cache?
#
# - less than twice
# - two to five times
# - more than five times
# :::

# %%
import time

lengths = [T for T in (8, 16, 32, 64, 96) if
           T + len(prompt) <= preset.model.context_length]
seconds = {True: [], False: []}
for use_cache in seconds:
    for length in lengths:
        begin = time.perf_counter()
        generate(model, [prompt], length, seed=0, use_cache=use_cache)
        seconds[use_cache].append(time.perf_counter() - begin)

# %% mystnb={"figure": {"caption": "Time to generate, with and without the cache, for growing lengths. Both give the same tokens.", "name": "fig-cache"}, "image": {"alt": "Time against tokens generated: both curves climb, the one without a cache more steeply."}} tags=["hide-input"]
plt.plot(lengths, seconds[False], "s-", label="without cache")
plt.plot(lengths, seconds[True], "o-", label="with cache")
plt.xlabel("tokens generated")
plt.ylabel("seconds")
plt.legend();

# %%
from bisect import bisect

exact = run.model().double()  # no rounding to blame
with_cache = generate(exact, [prompt], 80, seed=1)
without = generate(exact, [prompt], 80, seed=1, use_cache=False)
ratio = seconds[False][-1] / seconds[True][-1]
said = ("less than twice", "two to five times",
        "more than five times")[bisect((2, 5), ratio)]
print(f"{lengths[-1]} tokens with the cache: {said} as fast "
      f"({ratio:.1f} times)")
print("same tokens:", with_cache == without)
recorded = load_result("generation.json")
speed, at_once = ({name: side["tokens_per_second"]
                   for name, side in recorded[f"batch {rows}"].items()}
                  for rows in (1, 16))
print("recorded at full size, tokens/s: "
      f"{speed['course_lib']:.0f} with the cache, "
      f"{speed['course_lib without cache']:.0f} without;\n"
      f"{speed['nanoGPT']:.0f} in nanoGPT, which has none, "
      f"{speed['transformers']:.0f} in transformers, which has one")

# %% tags=["remove-cell"]
assert with_cache == without
assert speed["course_lib"] > 10 * speed["nanoGPT"]
assert 0.8 < (speed["course_lib without cache"]
              / speed["nanoGPT"]) < 1.25
assert 0.6 < speed["transformers"] / speed["course_lib"] < 0.7
assert 1.25 < recorded["batch 1"]["transformers"][
    "ours_is_faster"] < 1.45

# %% [markdown]
# A small model gains less: much of each step is then overhead, as in
# {numref}`fig-cache`, and no cache saves that. At full size it is worth more than a
# factor of ten: without it this package takes as long as nanoGPT. `transformers`, which
# has one too, takes about a third longer by the median
# of the rounds. The tokens are the same.
#
# The cache takes memory: $2 L T C$ numbers for each text, a key and a value of
# $C$ channels in each of $L$ layers for each of $T$ tokens. For a large model that
# serves many long texts at once it outweighs the parameters, so today's large models
# let several heads of queries share one of keys and values
# ({term}`grouped-query attention` {cite}`ainslie2023`).
#
# Past the context the window has to move. With a table of positions the tokens
# that stay get new ones, to which their stored keys and values do not belong, so
# the cache must be filled again. (Rotary positions, in
# [chapter 6](06_cheaper.ipynb), count distances only; with them one could keep
# it.) We move the window by half a context at a time: one refill, then many cheap
# steps. {numref}`fig-filling` has both, for a context far smaller than ours.

# %% mystnb={"figure": {"caption": "The cache as a text grows: a row is a step, a column a token. Fully coloured is read in that step, faint was kept. Where the window moves, what is left of it is read again.", "name": "fig-filling"}, "image": {"alt": "A staircase of cells: in each step one dark cell at the right of a growing pale row. Twice the row starts anew further right, and is then dark over its whole length."}} tags=["hide-input"]
from course_lib.showing import draw_cache

draw_cache(context=16, prompt=5, tokens=28);

# %% [markdown]
# Time is noisy and depends on the machine; multiplications can be counted.
# {numref}`fig-cache-work` has those of each new token, and your browser can write
# with this model both ways.

# %% mystnb={"figure": {"caption": "Multiplications for each token that the model writes. A whole bar: the text is read again. Its foot: only what is new is read, since keys and values were kept.", "name": "fig-cache-work"}} tags=["hide-input"]
from course_lib.showing import show_cache

own = run if preset.name != "full" else stages.trained(
    load_preset("laptop"))
show_cache(own.model(), own.tokenizer, "life is about")

# %% [markdown]
# With a cache, one token needs every weight once and does almost nothing with
# it, so on a CPU the time goes into fetching the weights from memory. Fewer
# bytes should then mean more speed. `quantize_int8` stores each weight in eight
# bits instead of 32, as a whole number from -127 to 127; each row of a matrix
# has one factor that turns its numbers back. What is multiplied with them is
# rounded in the same way, anew at every step. (In models of billions of
# parameters a few channels are so large that this fails; there
# {cite:t}`dettmers2022` keep them in two bytes.) We time a model of the full
# size, with random weights, since they take as long as any others.

# %%
from course_lib.model import GPT
from course_lib.sampling import quantize_int8
from course_lib.showing import show_table

has_int8 = torch.backends.mkldnn.is_available()  # not on every CPU
large = GPT(load_preset("full").model).eval()
both = [large, quantize_int8(large)] if has_int8 else [large]
here = []
for one in both:
    generate(one, [[1]], 4, seed=0)  # the first calls take longer
    begin = time.perf_counter()
    generate(one, [[1]], 32, seed=0)
    here.append(32 / (time.perf_counter() - begin))
rows = {f"recorded, {name}": (of["course_lib"], of["course_lib int8"])
        for name, of in (("one text", speed), ("sixteen", at_once))}
if has_int8:
    rows["this machine, one text"] = here
show_table([{"tokens a second": where, "float32": f"{slow:.0f}",
             "int8": f"{fast:.0f}", "times": f"{fast / slow:.1f}"}
            for where, (slow, fast) in rows.items()])
print("recorded on one core with",
      *recorded["provenance"]["instructions"])

# %% [markdown]
# A quarter of the bytes did not make four times the speed where it was recorded, not
# by far. Rounding what is multiplied takes time of its own, and whatever is not a
# matrix product takes as long as before. Nor is every processor quick at products of
# eight bits: the recorded one has no instructions for them, and there a single text
# is no faster, while sixteen at once are.
#
# What int8 costs is measured on our own model, in {term}`bits per byte` of text
# that it never saw.

# %%
from course_lib.measuring import evaluate

result = evaluate(model, run.val_tokens)
print(f"float32: {result.bits_per_byte:.4f} bits per byte")
if has_int8:
    small = evaluate(quantize_int8(model), run.val_tokens)
    print(f"int8: {small.bits_per_byte:.4f} bits per byte")

# %% tags=["remove-cell"]
assert not has_int8 or abs(
    small.bits_per_byte - result.bits_per_byte) < 0.01
assert recorded["provenance"]["instructions"] == ["avx2"]
assert 0.7 < speed["course_lib int8"] / speed["course_lib"] < 1
assert 1.4 < at_once["course_lib int8"] / at_once["course_lib"] < 2

# %% [markdown]
# ## How good is it, really?
#
# Samples convince people, and they mislead: a model that copied its
# training text would write beautifully. So measure: the bits per byte above are
# of text that it never saw. Whether they are good, the stories' floor says
# ([chapter 4](04_training.ipynb)); of real books nobody knows it, and
# [chapter 7](07_speaks.ipynb) holds a model of them against compressors and tables of
# counts.
#
# One number for a whole split hides where the bits go. A token that a model
# gave probability $p$ costs $-\log_2 p$ bits, its {term}`surprisal`, and
# the loss is their mean (in nats). (It can be stored in about as many, which makes
# a compressor a predictor in disguise.) So we can print a story and see where our
# own model is surprised. It has never read this one.
#
# :::{admonition} Predict
# :class: hint
# Where will the surprises be?
#
# - where a word begins
# - inside a word
# - at the second mention of a name
# :::

# %%
import numpy as np

from course_lib.measuring import documents
from course_lib.showing import show_surprisal


def bits_of(ids):
    row = torch.tensor([tokenizer.eot, *ids])
    with torch.no_grad():
        z = model(row[None, :-1])[0].double()
    taken = z.log_softmax(-1).gather(1, row[1:, None])[:, 0]
    return (-taken / np.log(2)).tolist()


# %% tags=["remove-cell"]
from course_lib.measuring import surprisal

assert np.allclose(bits_of(prompt), np.array(surprisal(
    model, [tokenizer.eot, *prompt])) / np.log(2), atol=1e-4)

# %%
held_out = next(documents(run.val_tokens, tokenizer))
story = tokenizer.encode(held_out)[:preset.model.context_length]
bits = bits_of(story)
begins = [tokenizer.decode([i]).startswith(" ") for i in story]
print(f"{np.mean(begins):.0%} of the tokens begin with a space, and "
      f"cost {np.dot(bits, begins) / sum(bits):.0%} of the bits")
show_surprisal(tokenizer, story, bits)

# %% tags=["remove-cell"]
assert (preset.name != "laptop"
        or np.dot(bits, begins) / sum(bits) > np.mean(begins))

# %% [markdown]
# Where a word begins, for a model that knows its words, as at laptop scale: the
# bits go where the story makes a choice, a name, a thing, a turn, and the rest of
# the word is nearly free. (At smoke scale spelling has to be paid for too.)
#
# The stronger the colour, the less a token was expected, and the worst carry
# their bits as a number.
#
# Here are the five costliest tokens, each with what the model would rather have
# bet on.

# %%
with torch.no_grad():
    rows = model(torch.tensor([[tokenizer.eot, *story[:-1]]]))[0]
best = rows.softmax(-1).max(-1)
costliest = sorted(range(len(story)), key=lambda i: -bits[i])[:5]
show_table([{
    "after": repr(tokenizer.decode(story[max(0, at - 8):at])[-24:]),
    "came": repr(tokenizer.decode([story[at]])),
    "bits": f"{bits[at]:.1f}",
    "likeliest": repr(tokenizer.decode([best.indices[at].item()])),
    "at": f"{best.values[at]:.0%}"} for at in costliest])

# %% [markdown]
# Ask of each: could anyone have known? Which child comes,
# and what it likes, nobody can: those bits are the story's own, and the best
# model pays them too. But a name that stood in the first line is for a reader
# the likeliest one to come back. Where that costs many bits, the model is wrong.
#
# It is wrong in another way about text it was never meant for, such as the
# first sentence of *Pride and Prejudice*.

# %%
austen = ("It is a truth universally acknowledged, that a single "
          "man in possession of a good fortune, must be in want of a "
          "wife.")
sentence = tokenizer.encode(austen)[:preset.model.context_length]
show_surprisal(tokenizer, sentence, bits_of(sentence))

# %%
for name, ids in (("the story", story), ("Jane Austen", sentence)):
    size, cost = len(tokenizer.decode(ids).encode()), sum(bits_of(ids))
    print(f"{name}: {cost / size:.2f} bits per byte, "
          f"{cost / len(ids):.1f} bits a token")
print(f"the same bet on every token: {np.log2(logits.size(-1)):.1f} "
      "bits a token")

# %% tags=["remove-cell"]
assert (sum(bits_of(sentence)) / len(austen.encode())
        > result.bits_per_byte)

# %% [markdown]
# A token that costs more than the last line would have been cheaper for a model
# that knows nothing: ours was sure, and wrong. A model is good at its own kind
# of text and at nothing else. So two models are compared on the same text, and
# in bits per byte unless they share a tokenizer.
#
# ## Has it learned by heart?
#
# Large models can be made to recite passages of what they were trained on
# {cite}`carlini2021`. So we look for copies: the longest run of tokens in a
# sample that stands in the training text as well. The length alone says
# little: two stories that know nothing of each other share runs too, since
# there are only so many ways to say that it rained. What helps are texts that
# cannot be copies: the held-out stories.
#
# :::{admonition} Predict
# :class: hint
# Which will share longer runs with the training text?
#
# - twenty stories of the model
# - twenty that it never saw
# - neither, by much
# :::

# %%
from course_lib.measuring import longest_copies

eot = tokenizer.eot
known = run.train_tokens.ids[:10_000_000]  # plenty; full has more
samples = generate(model, [[eot]] * 20, 100, seed=0, stop_id=eot)
val = run.val_tokens.ids
starts = np.flatnonzero(val == eot)[:20] + 1
held = [val[start:start + 100].tolist() for start in starts]

copies = longest_copies(samples, known)
shared = {"samples": [copy.length for copy in copies],
          "held-out stories": [copy.length for copy
                               in longest_copies(held, known)]}

# %% mystnb={"figure": {"caption": "A dot is a text: the longest run of its tokens that also stands in the training text.", "name": "fig-copies"}, "image": {"alt": "Two rows of dots, the longest shared runs of twenty samples and of twenty held-out stories."}} tags=["hide-input"]
for row, lengths in enumerate(shared.values()):
    height = row + np.linspace(-0.2, 0.2, len(lengths))
    plt.plot(lengths, height, "o", alpha=0.6)
plt.yticks(range(len(shared)), shared)
plt.ylim(-0.5, len(shared) - 0.5)
plt.xlabel("tokens in the longest run shared");

# %%
for name, lengths in shared.items():
    print(f"{name}: half of them share {np.median(lengths):.0f} tokens"
          " or more")
most = max(copies, key=lambda copy: copy.length)
copied = known[most.place:most.place + most.length].tolist()
print(f"the longest: {tokenizer.decode(copied)!r}")
written, unseen = map(np.median, shared.values())
said = ("twenty that it never saw", "neither, by much",
        "twenty stories of the model")[
            bisect((0.8, 1.25), written / unseen)]
print(f"longer runs: {said}")

# %% tags=["remove-cell"]
assert preset.name != "laptop" or preset.tokens < len(known) / 2
assert len(copies) == 20 and min(shared["held-out stories"]) > 0
assert copied == samples[copies.index(most)][
    most.start:most.start + most.length]

# %% [markdown]
# The last line above says whose. Had the model's own stories clearly the longer
# runs, it would be reciting. A long run in {numref}`fig-copies` alone proves nothing,
# since held-out stories have them too; nor do short ones prove that it has learned how
# such stories go: nonsense shares least of all.
#
# Reciting comes with many passes over little text, such as those of
# {ref}`chapter 4's overfitting <learning-by-heart>`. At laptop scale our model has
# read less than half of what is searched, and nothing twice. But free samples can
# hide copies: the sharper test begins a text of the training set and sees whether
# the model ends it {cite}`carlini2023`, which exercise 4 does.
#
# ## How do others use it?
#
# In the form that everyone's tools read. `export_run` writes the weights as
# safetensors (a file that holds numbers and no code), the configuration, the
# tokenizer, and a card. The card is filled from the run's own record, so that
# whoever finds your model knows what it was trained on and what it is good
# for.

# %%
import tempfile
from pathlib import Path

from course_lib.sharing import export_run, push

folder = Path(tempfile.mkdtemp(), "stories-gpt")
export_run(run, folder)
show_table([{"file": f"`{path.name}`",
             "bytes": f"{path.stat().st_size:,}"}
            for path in sorted(folder.iterdir())])

# %% tags=["hide-output"]
print((folder / "README.md").read_text())

# %% [markdown]
# The Transformers library loads the folder without our package and without a
# network. We check that it agrees: the same ids, the same logits, and the
# same continuation when both always take the likeliest token.

# %%
import transformers

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
their_tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
inputs = their_tokenizer("life is about", return_tensors="pt")
with torch.no_grad():
    gap = (theirs(**inputs).logits[:, -1] - logits).abs().max()
print(f"largest difference of a logit: {gap:.1e}")

# %%
[theirs_says] = theirs.generate(**inputs, do_sample=False,
                                max_new_tokens=30)
[ours] = generate(model, [prompt], 30, temperature=0,
                  stop_id=tokenizer.eot)
print(tokenizer.decode(prompt + ours))
print("the same in Transformers:",
      theirs_says.tolist()[:len(prompt + ours)] == prompt + ours)

# %% tags=["remove-cell"]
assert gap < 1e-4
assert inputs.input_ids[0].tolist() == prompt
assert theirs_says.tolist()[:len(prompt + ours)] == prompt + ours

# %% [markdown]
# The way back works too, and not only for our own models: `load_hf` reads
# any GPT-2 in this format, with its tokenizer. So a downloaded one can be
# measured on the text that your run held out, in bits per byte. Ours comes
# back with the number that it had.

# %%
from course_lib.measuring import evaluate_text
from course_lib.sharing import load_hf

back, its_tokenizer = load_hf(folder)
texts = documents(run.val_tokens, tokenizer)
again = evaluate_text(back, its_tokenizer, texts)
print(f"{again.bits_per_byte:.3f} bits per byte")

# %% tags=["remove-cell"]
assert abs(again.bits_per_byte - result.bits_per_byte) < 1e-6

# %% [markdown]
# Publishing is one more call. It uploads the folder as one commit to a page
# of yours on the Hugging Face Hub, after you have signed in with
# `hf auth login`; with `dry_run` it looks and sends nothing. Think about the
# licence first: the card states none until you name one.

# %%
print("would be published at",
      push(folder, "you/stories-gpt", dry_run=True))

# %% [markdown]
# From a terminal all of this is three lines:
#
# ```bash
# course sample RUN --prompt "life is about" --temperature 0.8 --top-p 0.9
# course evaluate RUN         # or: course evaluate GPT2_FOLDER --text RUN
# course export RUN --to DIR --push you/stories-gpt --license cc-by-4.0
# ```
#
# ## Where else can it run?
#
# Wherever numbers can be multiplied. The package has the same GPT once more, in
# JavaScript, for a page in a browser: tokenizer, forward pass with a cache and
# sampling in one file, without a library, on the weights in eight bits. What
# PyTorch does for all tokens and heads at once stands there as loops. Here is
# attention, whose Python is in [chapter 1](01_architecture.ipynb) (click to
# open):

# %% tags=["hide-cell"]
from course_lib.showing import show_script

show_script("attention")

# %% [markdown]
# Rounding is the only difference: a test runs both on the same eight-bit weights
# and compares ids, probabilities and texts. {doc}`On its page <../book/talk>`
# you can talk to it, and your own run gets such a page, one file that opens
# with a double click, by `course export RUN --page`:

# %%
from course_lib.sharing import write_page

page = write_page(own, folder.parent / "page.html")
print(f"{page.name}: {page.stat().st_size:,} bytes")

# %% tags=["remove-cell"]
assert page.stat().st_size < 3_000_000

# %% [markdown]
# Is JavaScript fast enough for that? Recorded, on one thread of a browser, with
# a model of a size that ships with the book:

# %%
browser = load_result("browser.json")
print(f"{browser['parameters'] / 1e6:.1f}M parameters, on a core of an "
      f"{browser['provenance']['device']}")
show_table([{"in one thread of a browser": row["case"],
             "tokens a second": f"{row['tokens_per_second']:.0f}"}
            for row in browser["rows"]])

# %% tags=["remove-cell"]
assert all(row["tokens_per_second"] > 30 for row in browser["rows"])
assert browser["parameters"] == load_result(
    "long_run.json")["parameters"]

# %% [markdown]
# :::{admonition} Takeaway
# :class: tip
# A model gives probabilities; sampling makes text of them. Temperature,
# top-k and top-p reshape one row before a token is drawn from it. The cache
# changes the time and not the tokens. Judge a model by held-out bits per
# byte against something simple, never by its best sample; look where the bits
# go, and compare what it copies with what cannot be a copy.
# :::
#
# ## Write it yourself
#
# In your file (`course new my_gpt.py`) this chapter's steps are
# `probabilities`, `cached_attention`, `generate` and `bits_per_byte`. The cache
# in one function: new tokens look at all that were kept, and at one another as
# far as the mask allows. Where does that mask begin when several tokens are new?

# %%
from course_lib.exercises import check

def cached_attention(q, k, v, cache=None):
    """q, k, v (B, H, T, D) of T new tokens -> (output, the cache for
    the next call); no cache is an empty one."""

print(check("cached_attention", cached_attention))

# %% [markdown]
# Solution (click to open):

# %% tags=["hide-cell"]
def cached_attention(q, k, v, cache=None):
    if cache is not None:
        k = torch.cat((cache[0], k), dim=2)
        v = torch.cat((cache[1], v), dim=2)
    T, S = q.size(2), k.size(2)
    seen = torch.ones(T, S).tril(S - T).bool()  # from the right corner
    scores = q @ k.transpose(-2, -1) / q.size(-1) ** 0.5
    weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
    return weights @ v, (k, v)

print(check("cached_attention", cached_attention))

# %% tags=["remove-cell"]
assert check("cached_attention", cached_attention).right

# %% [markdown]
# ## Exercises
#
# ### 1. Temperature by hand
#
# *Easy, 5 minutes.* Two tokens have logits 2 and 0. At which temperature is
# the first exactly nine times as likely?
#
# Solution (click to open):

# %% tags=["hide-cell"]
import math

temperature = 2 / math.log(9)  # exp(2 / t) = 9
row = probabilities(torch.tensor([[2.0, 0.0]]), temperature)[0]
print(f"{temperature:.3f}: {row[0]:.2f} and {row[1]:.2f}")
assert abs(row[0] / row[1] - 9) < 1e-9

# %% [markdown]
# ### 2. Does top-p adapt?
#
# *Medium, 10 minutes.* For each position of a held-out passage, count how
# many tokens top-p 0.9 keeps. Find where it keeps fewest, and where most.
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
# ### 3. The cost of being sure
#
# *Medium, 10 minutes.* Sharpen the model to temperature 0.25 and measure its
# loss on held-out tokens. Does tidier writing make it a better model of text?
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

# %% [markdown]
# ### 4. Can it end what it has read?
#
# *Medium, 10 minutes.* Begin twenty stories of the training text, let the model go
# on with the likeliest tokens, and count how many of them agree with the story
# before the first that does not. Then do it with twenty held-out stories. What
# would betray learning by heart?
#
# Solution (click to open):

# %% tags=["hide-cell"]
def agreement(ids, length=30):
    starts = np.flatnonzero(ids[:200_000] == eot)[:20]
    texts = [ids[at:at + 2 * length].tolist() for at in starts]
    ends = generate(model, [text[:length] for text in texts], length,
                    temperature=0)
    return [int(np.cumprod(np.equal(end, text[length:])).sum())
            for end, text in zip(ends, texts)]

both = {"training": agreement(known), "held out": agreement(val)}
for name, counts in both.items():
    print(f"{name}: median {np.median(counts):.0f}, most {max(counts)}")
# A higher median in the training text, or a single story that the
# model knows to its end: so look at the largest number too.
assert abs(np.median(both["training"])
           - np.median(both["held out"])) < 10

# %% [markdown]
# ### 5. A price for a wrong word
#
# *Easy, 10 minutes.* Take the first two sentences of the held-out story and
# exchange the last word of the first for one that fits the grammar and not
# the story. Where do the bits rise: at the word, or also after it?
#
# Solution (click to open):

# %% tags=["hide-cell"]
end = held_out.index(".")
before, _, word = held_out[:end].rpartition(" ")
rest = held_out[end:held_out.index(".", end + 1) + 1]
paid = {}
for last in (word, "umbrella"):
    text = f"{before} {last}"
    start, stop = len(tokenizer.encode(before)), len(
        tokenizer.encode(text))
    ids = tokenizer.encode(text + rest)[:preset.model.context_length]
    bits = bits_of(ids)
    paid[last] = sum(bits[start:stop])
    print(f"{last!r}: {paid[last]:.1f} bits,",
          f"{sum(bits[stop:]):.1f} after it")
# The bill comes at the word; what follows depended on it little.
assert paid["umbrella"] > paid[word]
show_surprisal(tokenizer, ids, bits)
