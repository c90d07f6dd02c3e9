# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Tokenizer: from text to batches
#
# *Zoë said: "Life is about 3 things."* How does a model read that? The GPT of
# chapter 1 reads integers. This chapter makes them: it takes text apart into
# {term}`tokens <token>`, checks that not one byte is lost on the way, and lays
# the result out so that training spends nothing on filler. The recipe of 2023
# fell short of both, and you will measure by how much.

# %% tags=["remove-input"]
from course_lib.showing import card, plots, show_source, show_table

plots.use_style()
card("03_tokenizer",
     needs="Python strings and dictionaries; tokens and nats from the "
           "primer; from chapter 1, what an entry costs",
     gives="a byte-pair tokenizer written by hand and equal to the "
           "library's, the real one, and the token files that "
           "chapter 4 trains on")

# %% [markdown]
# ## What is there to read?
#
# The package reads three kinds of text: its own stories, which need no download;
# text files of yours; and datasets of the Hugging Face Hub, among them
# BookCorpus, which the 2023 recipe used and which gets a section of its own
# below. `load_corpus` gives each of them the same form, a sequence of
# *documents*: a story, a file, a thousand sentences.

# %%
from course_lib import stages
from course_lib.presets import load_preset
from course_lib.text import load_corpus
from course_lib.text.documents import first_bytes

preset = load_preset()      # how large this page was built: chapter 1
corpus = load_corpus(stages.corpus_name(preset))
texts = list(first_bytes(corpus.texts(), 2_000_000))
size = sum(len(text.encode()) for text in texts)
print(f"{corpus.name}: {len(texts):,} documents, {size:,} bytes")

# %% [markdown]
# Two million bytes are plenty to measure on. Here is a story, whatever corpus
# you run with.

# %%
from course_lib import stories
from course_lib.showing import print_text

print_text(stories.story(seed=0, index=1))

# %% [markdown]
# Stories like this one are drawn from a grammar in which every choice has a
# known probability. That makes them dull to read in quantity and good to measure
# with, because the {term}`entropy` of the text, the {term}`bits per byte` that
# the best of all possible models would still need, is known exactly. No real
# text can offer that.

# %%
print(f"{stories.entropy_bits_per_byte():.4f} bits per byte, of the "
      "8 that a byte can hold")

# %% [markdown]
# ## What must a tokenizer never do?
#
# Give back another text than it was given. A model is trained to predict what the
# tokenizer lets through, and knows of nothing else.
#
# The tokenizer of 2023 was a byte-level {term}`BPE` (how that works comes
# next) from the Tokenizers library, trained on BookCorpus. Here are its
# settings, with a smaller {term}`vocabulary` and one special token in place of its
# three (a start, an end and a filler): `<|endoftext|>`, which is {term}`end-of-text`
# and will stand between documents, never inside one.

# %%
from tokenizers import (Tokenizer, decoders, models, pre_tokenizers,
                        trainers)


def train_2023(rows, **more):
    library = Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.train_from_iterator(rows, trainers.BpeTrainer(
        vocab_size=512, special_tokens=["<|endoftext|>"],
        show_progress=False, **more))
    return library


# %% [markdown]
# BookCorpus arrives in lower case, a sentence a row, its signs set apart by
# spaces and its quotation marks written as two backticks or two apostrophes. What
# matters here are case and quotation marks: we change those in our text, make a
# row of each paragraph, and train.


# %%
def as_bookcorpus(text):
    return text.lower().replace('"', "''").split("\n")


rows = [row for text in texts for row in as_bookcorpus(text)]
of_2023 = train_2023(rows)

# %% [markdown]
# :::{admonition} Predict
# :class: hint
# The line below goes in, is encoded, and is decoded again. Not all characters
# come back. What happens to the others?
#
# - an error is raised
# - each becomes a token for "unknown"
# - they vanish
# :::

# %%
line = ('Zoë said: "Life is about 3 things."\n'
        '\tLove, 愛, and a roof (€900).')

print(of_2023.decode(of_2023.encode(line).ids))

# %% [markdown]
# They are left out: no error is raised, and no warning given. The library
# builds its alphabet from the bytes that it meets in training. A byte that did
# not occur there has no token, these settings name no token for "unknown" either,
# and so the byte is skipped.
#
# The next cell counts how many of the 256 bytes have no token, what share of our
# text, capitals and all, is lost for it, and what share of the rows that the
# tokenizer was trained on.


# %%
def share_lost(library, texts):
    back = library.decode_batch(
        [encoding.ids for encoding in library.encode_batch(texts)])
    kept = sum(len(text.encode()) for text in back)
    return 1 - kept / sum(len(text.encode()) for text in texts)


letters = {token for token in of_2023.get_vocab() if len(token) == 1}
print(f"bytes without a token: {256 - len(letters)} of 256")
print(f"lost of our text: {share_lost(of_2023, texts[:200]):.1%}")
print(f"lost of the rows: {share_lost(of_2023, rows[:200]):.1%}")

# %% [markdown]
# A few per cent sounds harmless. But they are every capital letter, every
# quotation mark and every line break: a model behind this tokenizer can
# neither read one nor write one. Training does not show it, because the
# training text itself loses nothing: what a tokenizer drops is neither learned nor
# missed, and the loss looks better for it.
#
# The fix is one argument. `initial_alphabet` puts all 256 bytes into the
# vocabulary before training starts, whether they occur or not.

# %%
alphabet = pre_tokenizers.ByteLevel.alphabet()
fixed = train_2023(rows, initial_alphabet=sorted(alphabet))

print(fixed.decode(fixed.encode(line).ids))
print(f"lost of our text: {share_lost(fixed, texts[:200]):.1%}")

# %% [markdown]
# With 256 bytes in the alphabet every string can be written, because every
# string *is* bytes, in the encoding called UTF-8. The price is 256 entries,
# most of which English never uses. Of a vocabulary of fifty thousand that is
# half a per cent.

# %% tags=["remove-cell"]
assert of_2023.decode(of_2023.encode(line).ids) != line
assert fixed.decode(fixed.encode(line).ids) == line
assert 0 < share_lost(of_2023, texts[:200]) < 0.2
assert share_lost(fixed, texts[:200]) == 0
assert share_lost(of_2023, rows[:200]) == 0
if corpus.name.startswith("stories"):
    assert 0.02 < share_lost(of_2023, texts[:200]) < 0.06
    assert not letters & {*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", '"', "\u010a"}

# %% [markdown]
# ## How does BPE learn its tokens?
#
# Bytes alone would do, but they make long sequences: a word would cost five
# or six predictions where one might be enough. Byte-pair encoding starts from
# the bytes and shortens the text greedily: count all pairs of neighbouring
# tokens, turn the most frequent pair into a new token, repeat. It began as a
# way to compress files {cite}`gage1994`, came to language by way of
# translation {cite}`sennrich2016`, and to bytes with GPT-2
# {cite}`radford2019`.
#
# ### Cut into words first
#
# Left alone, BPE would learn "of the" as one token, and glue full stops to
# words. GPT-2 forbids merges across word borders by cutting the text first,
# with one regular expression: contractions, letters (`\p{L}`), digits
# (`\p{N}`), other signs, and white space, where a word takes the space before
# it along.

# %%
import regex

GPT2 = regex.compile(
    r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+"
    r"|\s+(?!\S)|\s+")

print(*GPT2.findall("It's 12 o'clock,   and all's well!"), sep="|")

# %% [markdown]
# Joined again, the pieces give the text back: the pattern cuts and never
# drops. From here on we count words, each a tuple of token ids.
# At the start every token is a byte. Which byte gets which id does not matter; we
# take the library's order, because at the end we want to compare, and leave id 0
# to end-of-text.

# %% tags=["remove-cell"]
for text in [*texts[:50], line, "a\t b \n\n c  d'll 'S ½²x_y"]:
    assert "".join(GPT2.findall(text)) == text
    cut = pre_tokenizers.ByteLevel(
        add_prefix_space=False).pre_tokenize_str(text)
    assert [text[a:b] for _, (a, b) in cut] == GPT2.findall(text)

# %%
from collections import Counter

# GPT-2's order: first the bytes that can be seen when printed
printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
order = printable + [b for b in range(256) if b not in printable]
BYTES = [b""] + [bytes([b]) for b in order]      # id -> bytes
ID = {token: i for i, token in enumerate(BYTES)}


def count_words(texts):
    found = Counter(word for t in texts for word in GPT2.findall(t))
    return {tuple(ID[bytes([b])] for b in word.encode()): n
            for word, n in found.items()}


# %% [markdown]
# A tongue twister makes a good first corpus. A pair inside a word that occurs
# five times counts five times.


# %%
def count_pairs(words):
    pairs = Counter()
    for word, n in words.items():
        for pair in zip(word, word[1:]):
            pairs[pair] += n
    return pairs


twister = ("she sells sea shells by the sea shore; "
           "the shells she sells are sea shells")
words = count_words([twister])
for (a, b), n in count_pairs(words).most_common(4):
    print(n, BYTES[a], BYTES[b])

# %% [markdown]
# ### Merge the most frequent pair
#
# Where two pairs are equally frequent, any rule will do, but one must be fixed,
# or the same text gives a different tokenizer each time. The library's rule: the
# highest count wins, and among equals the pair with the smaller ids, compared
# left first.


# %%
def most_frequent(pairs):
    return max(pairs, key=lambda p: (pairs[p], -p[0], -p[1]))


def merge(word, pair, new):
    """merge((1, 2, 1, 2, 3), (1, 2), 9) -> (9, 9, 3)"""
    out = []
    for token in word:
        if out and (out[-1], token) == pair:
            out[-1] = new
        else:
            out.append(token)
    return tuple(out)


# %% tags=["remove-cell"]
assert merge((1, 2, 1, 2, 3), (1, 2), 9) == (9, 9, 3)
assert merge((1, 1, 1), (1, 1), 9) == (9, 1)
assert (4, 7) == most_frequent(
    {(5, 1): 2, (4, 9): 2, (4, 7): 2, (0, 0): 1})

# %% [markdown]
# Those are all the parts. {numref}`fig-pairs` runs them four times on the
# tongue twister.
#
# :::{admonition} Predict
# :class: hint
# The first merge can be read off the counts above. What happens to the counts of
# the pairs that overlapped with it?
#
# - they rise
# - they stay
# - they fall
# :::

# %% mystnb={"figure": {"caption": "Pair counts as BPE learns from the tongue twister. The starred pair is merged into a token; the next chart counts again. A dot stands for the space before a word.", "name": "fig-pairs"}, "image": {"alt": "Four bar charts of pair counts, one for each of the first four merges of the tongue twister. The highest bar of each, marked by a star, is merged, and the counts of pairs that overlapped with it fall in the next chart."}} tags=["hide-input"]
import matplotlib.pyplot as plt

vocab = list(BYTES)
fig, axes = plt.subplots(1, 4, figsize=(9, 2.9), sharex=True)
for step, ax in enumerate(axes, 1):
    pairs = count_pairs(words)
    best = most_frequent(pairs)
    top = sorted(pairs, key=lambda p: (-pairs[p], p))[:7]
    names = [" + ".join(vocab[i].decode().replace(" ", "·")
                        for i in pair) for pair in top]
    names[0] += " ★"
    plots.plot_distribution([pairs[p] for p in top], names, ax,
                            title=f"merge {step}")
    ax.patches[0].set(facecolor=plots.PALETTE[1], hatch="//",
                      edgecolor="white")
    ax.set_xlabel("count")
    vocab.append(vocab[best[0]] + vocab[best[1]])
    words = {merge(word, best, len(vocab) - 1): n
             for word, n in words.items()}

# %% [markdown]
# They fall: a merge takes its two halves away from their other neighbours.
#
# In the third chart and the fourth more than one pair leads, and the rule for
# ties decides. Since every merge changes its surroundings, the pairs must be
# counted again each time, or, as the library does it, kept up to date where
# something changed.
#
# ### The whole of training
#
# The loop that does this until the vocabulary is full fits into one cell. It
# also notes how often the rule for ties had to decide. One detail: two different
# pairs can spell the same token; the second then reuses the id of the first.


# %%
def learn(texts, vocab_size, choose=most_frequent):
    vocab, merges, counts, ties = list(BYTES), {}, [], 0
    id_of, words = dict(ID), count_words(texts)
    while len(vocab) < vocab_size:
        pairs = count_pairs(words)
        pair = choose(pairs)
        counts.append(pairs[pair])
        ties += list(pairs.values()).count(pairs[pair]) > 1
        token = vocab[pair[0]] + vocab[pair[1]]
        if token not in id_of:
            id_of[token] = len(vocab)
            vocab.append(token)
        merges[pair] = id_of[token]
        words = {merge(word, pair, merges[pair]): n
                 for word, n in words.items()}
    return vocab, merges, counts, ties


# %% [markdown]
# We give it a slice of the corpus and a vocabulary of 512, which leaves room
# for 255 merges after the bytes and end-of-text.

# %%
import time

few = list(first_bytes(texts, 200_000))
start = time.perf_counter()
vocab, merges, counts, ties = learn(few, 512)
print(f"{len(merges)} merges in {time.perf_counter() - start:.1f} s, "
      f"{ties} of them decided by the tie rule")
print("first:", *vocab[257:265])
print("last: ", *vocab[-5:])

# %% mystnb={"figure": {"caption": "How often the merged pair occurred, merge by merge. Early merges are used many times over, late ones in few words.", "name": "fig-merges"}, "image": {"alt": "The count of the merged pair against the number of the merge, on logarithmic axes. It falls steadily over more than one power of ten; a few of the tokens made on the way are named, fragments early, whole words late."}} tags=["hide-input"]
steps, made = range(1, len(counts) + 1), list(merges.values())
plt.loglog(steps, counts)
for step in (1, 2, 4, 8, 16, 32, 64, 128, 255):
    name = repr(vocab[made[step - 1]].decode(errors="replace"))
    plt.plot(step, counts[step - 1], "o", color=plots.PALETTE[1])
    plt.annotate(name, (step, counts[step - 1]), (4, 5),
                 textcoords="offset points", fontsize=9)
plt.xlabel("merge")
plt.ylabel("count of the merged pair")
plt.show()

# %% [markdown]
# The curve of {numref}`fig-merges` falls all the way: a few pairs are very
# frequent, most are rare. The first merges catch fragments that occur
# everywhere, and soon whole words appear, with their space in front. A further
# token saves less than those before it, which will matter when we ask how many
# to learn.
#
# ### Encode and decode
#
# To encode new text, replay history: cut into words, then apply the merges in
# the order in which they were learned, earliest first. To decode, look up
# bytes and join them.

# %%
def encode(text, merges):
    rank = {pair: n for n, pair in enumerate(merges)}
    ids = []
    for piece in GPT2.findall(text):
        word = tuple(ID[bytes([b])] for b in piece.encode())
        while known := [p for p in zip(word, word[1:]) if p in rank]:
            pair = min(known, key=rank.get)
            word = merge(word, pair, merges[pair])
        ids += word
    return ids


def decode(ids, vocab):
    return b"".join(vocab[i] for i in ids).decode(errors="replace")


# %%
ids = encode("Life is about merging", merges)
print(ids)
print(*(vocab[i] for i in ids))
assert decode(encode(line, merges), vocab) == line

# %% [markdown]
# The decoder may not be strict. A token may hold only some of a character's
# bytes, so a model can put out half a character, and bytes that are not UTF-8
# are then shown as �.
#
# ### Is it the same as the library's?
#
# These few cells should be the real algorithm, and that is easy to test. We give
# the library, which `train_tokenizer` calls, the same text and the same size,
# and compare each merge, each entry, and the ids of text that neither has seen.

# %%
import json

from course_lib.text import train_tokenizer

start = time.perf_counter()
theirs = train_tokenizer(few, 512)
print(f"the library: {time.perf_counter() - start:.2f} s")
to_id = theirs.library.token_to_id
model = json.loads(theirs.library.to_str())["model"]
their_merges = [(to_id(a), to_id(b)) for a, b in model["merges"]]
print("same merges: ", their_merges == list(merges))
print("same entries:", vocab == [theirs.token_bytes(i)
                                 for i in range(512)])
unseen = [line, *(text[:2000] for text in texts[len(few):][:100])]
print("same ids:    ", all(encode(t, merges) == theirs.encode(t)
                           for t in unseen))

# %% tags=["remove-cell"]
assert their_merges == list(merges)
assert vocab == [theirs.token_bytes(i) for i in range(512)]
assert all(encode(t, merges) == theirs.encode(t) for t in unseen)
assert ties > 0, "no tie: the comparison would not test the tie rule"
assert counts[0] > 10 * counts[-1]

# %% [markdown]
# They are equal, ties included. The library is faster, because it updates counts
# where a merge changed something instead of counting all over again, and because
# it is written in Rust. So we use the library, and we know what it does.
#
# ## The real one
#
# The package's tokenizer is the fixed one from above, with an error for a text
# that has too little variety to fill the vocabulary. (`_short_words` passes a
# long text on in pieces, and cuts what goes on for very long without a space:
# both would cost the library much memory or time.)

# %%
show_source(train_tokenizer)

# %% [markdown]
# It is made once and then loaded, like everything that chapters share. The
# digits after its size are a fingerprint, which every file written with it
# will carry. Each coloured box below is one token; a dot is a space and an
# arrow a line break.

# %%
from course_lib.showing import colored_tokens

tokenizer = stages.tokenizer(preset)
print(f"{tokenizer.vocab_size:,} entries, {tokenizer.fingerprint}")
colored_tokens(tokenizer, tokenizer.encode(stories.story(0, 1)))

# %% [markdown]
# {numref}`fig-steps` shows how it comes to these boxes: its merges are done one
# at a time, in the order in which they were learned, on a text that you may
# change.

# %% mystnb={"figure": {"caption": "A text as it is merged. Each box is a token; the coloured one was made last, out of the two that the line below names.", "name": "fig-steps"}} tags=["hide-input"]
from course_lib.showing import show_merges

show_merges(tokenizer, "Once there was a girl who liked the rain.")

# %% [markdown]
# Frequent words are one token, space included; rarer ones fall into pieces
# that need not be syllables. The vocabulary has no idea of grammar. It is a
# list of what was worth abbreviating in this corpus.

# %%
entries = [tokenizer.token_bytes(i)
           for i in range(tokenizer.vocab_size)]
text_like = [e.decode(errors="replace") for e in entries[257:]]
print("first:  ", *map(repr, text_like[:10]))
print("last:   ", *map(repr, text_like[-4:]))
print("longest:", *map(repr, sorted(text_like, key=len)[-3:]))
spaced = sum(entry.startswith(" ") for entry in text_like)
print(f"{spaced / len(text_like):.0%} begin with a space")

# %% [markdown]
# Now the line of which the 2023 tokenizer lost parts, and after it some other
# kinds of text, in tokens per byte, where 1 means that the tokenizer saves
# nothing at all.
#
# :::{admonition} Predict
# :class: hint
# Which words of the line are one token, and how many tokens does the Chinese
# character take? Of the other kinds, which comes closest to the text of the
# corpus: capitals, digits, forty spaces, French or Greek?
# :::

# %%
colored_tokens(tokenizer, tokenizer.encode(line))

# %%
start = texts[0][:1000]
kinds = {"a document": start, "in capitals": start.upper(),
         "digits": "3.14159 26535 89793",
         "code": "for i in range(9):\n    print(i)\n",
         "spaces": " " * 40, "French": "Où êtes-vous né, garçon ?",
         "Greek": "Μῆνιν ἄειδε θεά", "Chinese": "道可道，非常道。",
         "emoji": "🙂🚀🎈"}
rows = []
for kind, text in kinds.items():
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    rows.append({"text": kind, "tokens per byte":
                 f"{len(ids) / len(text.encode()):.2f}"})
show_table(rows)

# %% tags=["remove-cell"]
per_byte = {row["text"]: float(row["tokens per byte"]) for row in rows}
assert per_byte["French"] < per_byte["in capitals"] < 1
assert {per_byte[one] for one in ("digits", "spaces", "Greek")} == {1}
assert max(len(tokenizer.encode(one)) for one in kinds["Chinese"]) == 3

# %% [markdown]
# French comes closest of the five, since it shares most letters with English, then
# capitals, letters that the corpus has; the other three save nothing. What the
# corpus does not contain falls apart into bytes, a token each: a Chinese character
# takes up to three, and a byte that is no character by itself shows as �. That is
# costly, but nothing is lost. A tokenizer carries its training text with it: who
# writes like the corpus gets short sequences, and everyone else pays more for the
# same content.
#
# One last trap. End-of-text is written `<|endoftext|>`, and a user can type
# those characters. They must come in as plain text, or anyone could end the
# document from inside; the same holds for a row of a dataset. In a text *file*,
# however, these characters are read as a separator of documents, because that is
# how many collections are published; `course prepare` says how many it found.

# %%
typed = tokenizer.encode("<|endoftext|>")
print(typed, "contains", tokenizer.eot, ":", tokenizer.eot in typed)
assert tokenizer.decode(typed) == "<|endoftext|>"

# %% [markdown]
# ## How large should the vocabulary be?
#
# A larger vocabulary writes the same text with fewer tokens. How many fewer is
# measured by *fertility*, the tokens that a word costs on average: 1 would be
# one token a word. The first table below is of this corpus: tokenizers are
# trained on most of it, and tokens are counted on the rest. The stories have few
# words to offer, so the same was done, and recorded, with books in the public
# domain: one tokenizer was trained at full size and cut back (exercise 2 shows
# why it may be).
#
# :::{admonition} Predict
# :class: hint
# The vocabulary doubles, again and again. What does each doubling do to the
# number of tokens?
#
# - it halves it
# - it takes off about as much each time
# - it takes off less each time
# :::

# %%
held_out, learned_on = texts[::10], [
    text for i, text in enumerate(texts) if i % 10]
n_words = sum(len(text.split()) for text in held_out)
n_bytes = sum(len(text.encode()) for text in held_out)
here = []
for V in (264, 320, 384, 512, 768, 1024, 1536, 2048):
    trial = train_tokenizer(learned_on, V)
    n_tokens = sum(map(len, trial.encode_batch(held_out)))
    here.append((V, n_tokens / n_words, n_bytes / n_tokens))

def show_fertility(rows):
    show_table([{"V": f"{V:,}", "tokens per word": f"{words:.2f}",
                 "bytes per token": f"{size:.2f}"}
                for V, words, size in rows])

show_fertility(here)

# %%
from course_lib.showing import load_result

books = load_result("vocabulary.json")
print(f"Books: {books['training_bytes']:,} bytes to learn from,",
      f"{books['test_documents']} other books to count on.")
show_fertility([(row["vocab_size"], row["tokens_per_word"],
                 row["bytes_per_token"]) for row in books["rows"]])

# %% mystnb={"figure": {"caption": "Fertility against vocabulary size. No curve can go below the dotted line, one token a word, and none quite reaches it: a full stop after a word is a token too.", "name": "fig-fertility"}, "image": {"alt": "Tokens per word against vocabulary size on a logarithmic axis, for the corpus at hand and for books. Both curves fall steeply at first and then flatten; the books' curve falls slightly even at 50,304."}} tags=["hide-input"]
plt.semilogx(*zip(*[row[:2] for row in here]), "o-", base=2,
             label=f"this corpus ({corpus.name.split('/')[-1]})")
plt.semilogx([row["vocab_size"] for row in books["rows"]],
             [row["tokens_per_word"] for row in books["rows"]], "s-",
             base=2, label="books")
plt.axhline(1, color="gray", linestyle=":")
plt.xlabel("vocabulary size V")
plt.ylabel("tokens per word")
plt.legend()
plt.show()

# %% [markdown]
# The first merges do most of the work, and then each doubling takes off less:
# the curves of {numref}`fig-fertility` flatten.
#
# ### What an entry costs
#
# Every entry of the vocabulary is a row of C numbers in the table of
# {term}`embeddings <embedding>`, which serves as the output head as well.
# Chapter 1 counted them.
#
# :::{admonition} Predict
# :class: hint
# Take the full model and change nothing but V, from the smallest to the largest
# of these vocabularies. How do the share of the table in the model's parameters
# and the {term}`FLOPs <FLOP>` that a token costs change?
# :::

# %%
from dataclasses import replace

from course_lib.model import count_parameters, flops_per_token

full = load_preset("full").model
rows = []
for row in books["rows"]:
    config = replace(full, vocab_size=row["vocab_size"])
    parts = count_parameters(config)
    row["flop_per_token"] = flops_per_token(config)
    share = parts.token_embedding / parts.total
    rows.append({
        "V": f"{row['vocab_size']:,}",
        "model": f"{parts.total / 1e6:.1f}M",
        "table's share": f"{share:.0%}",
        "MFLOP per token": f"{row['flop_per_token'] / 1e6:.0f}"})
show_table(rows)

# %% tags=["remove-cell"]
assert 0.49 < share < 0.51
assert 1.7 < (books["rows"][-1]["flop_per_token"]
              / books["rows"][0]["flop_per_token"]) < 2
tokens = [row["tokens_per_word"] for row in books["rows"]]
fell = [a - b for a, b in zip(tokens, tokens[1:])]
assert fell == sorted(fell, reverse=True) and min(tokens) > 1
by_byte = books["test_bytes"] / books["test_words"]
assert by_byte - tokens[0] > tokens[0] - tokens[-1]
assert 5 < by_byte < 6
few_entries = count_parameters(replace(full, vocab_size=512))
assert few_entries.token_embedding < 0.02 * few_entries.total

# %% [markdown]
# The share of the table grows from next to nothing to half, and the FLOPs of a
# token nearly double: there are fewer tokens, but costlier ones.
#
# A budget pays for text, however it is cut. So costs are compared per byte,
#
# $$
# \frac{\text{FLOP}}{\text{byte}} =
# \frac{\text{FLOP}}{\text{token}} \bigg/ \frac{\text{bytes}}{\text{token}}.
# $$ (eq-flop-per-byte)
#
# Both terms grow with V, and their quotient has a minimum: small
# vocabularies pay with more tokens, large ones with a costlier head.

# %% mystnb={"figure": {"caption": "What a byte of books costs in training, for the full model with different vocabularies. The circle marks the cheapest of those tried, the star 50,304.", "name": "fig-flop-per-byte"}, "image": {"alt": "FLOP per byte of text for the full model against vocabulary size on a logarithmic axis. The curve falls to a minimum at medium sizes, marked by a circle, and rises again towards 50,304, marked by a star."}} tags=["hide-input"]
cost = [row["flop_per_token"] / row["bytes_per_token"] / 1e6
        for row in books["rows"]]
sizes = [row["vocab_size"] for row in books["rows"]]
best = cost.index(min(cost))
plt.semilogx(sizes, cost, "s-", base=2)
plt.plot(sizes[best], cost[best], "o", markersize=14, fillstyle="none",
         color=plots.PALETTE[1])
plt.plot(sizes[-1], cost[-1], "*", markersize=16,
         color=plots.PALETTE[1])
plt.xlabel("vocabulary size V")
plt.ylabel("MFLOP per byte of text")
plt.show()
print(f"cheapest: V = {sizes[best]:,}; 50,304 costs "
      f"{cost[-1] / cost[best]:.2f} times as much")

# %% [markdown]
# So why 50,304? It is GPT-2's 50,257 (256 bytes, 50,000 merges, end-of-text)
# rounded up to a multiple of 64. GPT-2's number is odd, so a row of as many 16-bit
# numbers often begins at an address for which the fast routines of a GPU are not
# made; they want multiples of eight at least.

# %%
gpt2 = 256 + 50_000 + 1
print(gpt2, "->", -(-gpt2 // 64) * 64, "=", -(-gpt2 // 64), "x 64")

# %% [markdown]
# GPT-2's smallest model is more than twice as large as ours {cite}`radford2019`,
# so the same table is a smaller part of it. For ours
# {numref}`fig-flop-per-byte` argues against so many entries: a byte becomes
# costlier to read, and half of the parameters sit in a table of which a token,
# on its way in, uses one row. What the figure leaves out is that a context that
# spans more text, and a larger table, may also predict better. Only training can
# settle that; a study of models of many sizes found that the best vocabulary
# grows with the model {cite}`tao2024`. This book keeps 50,304 at full size,
# because it rebuilds a recipe and wants to be compared with it. The smaller
# presets have fewer.
#
# ## What is kept back?
#
# The loss on text that was trained on says how well a model remembers. So a
# part of the documents is never shown to it: the *validation* or
# {term}`held-out text`. Which part that is must depend on neither chance nor
# order, or adding a file next month would move documents from one side to the
# other.

# %%
from course_lib.text import choose_split, is_validation, split_document

show_source(is_validation)
show_source(split_document)

# %% [markdown]
# A hash is a fingerprint of the text, a number spread evenly over its range. A
# text is held out if its hash falls in the lowest 5% (`VALIDATION` in the code),
# so the answer for one text is always the same. Whole documents are held out,
# because the sentence after one that was trained on is too easy a question. For
# the same reason a document of BookCorpus, whose rows are single sentences, is a
# thousand rows.

# %%
held = [text for text in texts if is_validation(text)]
print(f"{len(held) / len(texts):.1%} of {len(texts):,} documents")
print("rule for this corpus:", choose_split(texts))
print("rule for three texts:", choose_split(
    [text for text in texts if text not in held][:3]))

# %% [markdown]
# Three documents may well leave nothing to validate on. The second rule,
# `tail`, then keeps back the end of every document. It is second best, since the
# held-out text continues what was trained on, so the run records which rule it
# used.
#
# ## Padding or packing?
#
# The 2023 recipe made a row of each sentence: cut at 64 tokens, and filled up
# with {term}`padding` where it was shorter. BookCorpus has 74,004,228 sentences,
# and the recipe found 1.1 billion tokens in them. The GPU, which cost fifty
# dollars, multiplies filler like anything else.
#
# :::{admonition} Predict
# :class: hint
# Of the fifty dollars, how many were paid for work on real tokens?
#
# - about 45
# - about 25
# - about 12
# :::

# %%
N_SENTENCES, N_TOKENS, R = 74_004_228, 1.1e9, 64   # R: a row's length
n = N_TOKENS / N_SENTENCES
flop = flops_per_token(full, T=R)
print(f"{n:.1f} of {R} positions: ${50 * n / R:.2f} of the $50")
print(f"{flop * N_SENTENCES * R:.2g} FLOPs spent, "
      f"{flop * N_TOKENS:.2g} of them on real tokens")

# %%
import numpy as np

sentences = [s for text in texts[:300]
             for s in regex.split(r'(?<=[.!?]"?)\s+', text) if s]
length = np.array(list(map(len, tokenizer.encode_batch(sentences))))
padded = 1 - np.minimum(length, R).mean() / R
print(f"our text: {len(length):,} sentences of {length.mean():.1f} "
      f"tokens, {padded:.0%} of all positions padding")

# %% mystnb={"figure": {"caption": "Sentence lengths in the corpus at hand, in tokens. A row of 64 positions is filled up to the dashed line, whatever the sentence needs.", "name": "fig-padding"}, "image": {"alt": "Histogram of sentence lengths in tokens. Most sentences lie far below 64, the fixed row length, which is drawn as a vertical line; the area between them is padding."}} tags=["hide-input"]
plt.hist(length, bins=np.arange(0, 100, 2), color=plots.PALETTE[0])
plt.axvline(R, color=plots.PALETTE[1], linestyle="--")
plt.annotate("row length\nof 2023", (R, plt.ylim()[1] * 0.8), (5, 0),
             textcoords="offset points")
plt.xlabel("tokens in the sentence")
plt.ylabel("sentences")
plt.show()

# %% tags=["remove-cell"]
assert round(n) == 15 and round(50 * n / R) == 12
assert N_SENTENCES * R > 4 * N_TOKENS
assert np.median(length) < R / 2
if preset.name in ("smoke", "laptop"):
    assert 0.6 < padded < 1 - n / R
assert 0 < best and sizes[best] < 50_304 / 3
assert abs(flop * N_TOKENS / 3.2e17 - 1) < 0.1

# %% [markdown]
# About twelve: of the 64 positions of a row fifteen held text. The FLOPs on real
# tokens are the plan of [chapter 2](02_scaling_laws.ipynb), give or take its
# rounding; what was spent is more than four times that. Our text would fare
# little better: most of its sentences are far shorter than a row of 2023
# ({numref}`fig-padding`).
#
# {term}`Packing <packing>` spends nothing on filler: it lays all documents end to
# end, with one end-of-text token in front of the first and one after each.
# {numref}`fig-rows` shows some sentences both ways; the GPU computes every cell of
# both pictures.

# %%
strip = [tokenizer.eot]
for text in texts[:50]:
    strip += tokenizer.encode(text) + [tokenizer.eot]
print(f"{len(strip):,} tokens in one strip")

# %% mystnb={"figure": {"caption": "The same sentences in rows of one length, padded and packed. Where the colour changes, a sentence begins; a grey cell is a position without text.", "name": "fig-rows"}, "image": {"alt": "Above, a row for each sentence, most of each row pale; below, the same sentences one after another in a few rows with hardly a pale cell."}} tags=["hide-input"]
from course_lib.showing import draw_rows

few_rows = [tokenizer.encode(sentence) + [tokenizer.eot]
            for sentence in stories.story(0, 1).split(". ")[:12]]
draw_rows(few_rows, width=64);

# %% [markdown]
# That is all of packing. {term}`Windows <window>`, rows as long as the context, are
# cut later, when a batch is asked for, wherever the cut falls. The package writes the
# same numbers to a file and adds three things. It encodes a long document in
# *pieces*, so that no book fills the memory; a piece ends only where no token
# could reach across, and `whole` marks a document's last piece. It takes the
# fastest encoder that agrees with the library. And with a `source`, the name
# of what is read, an interrupted packing goes on from its last save.

# %%
from course_lib.text import pack

show_source(pack)

# %% tags=["remove-cell"]
from pathlib import Path
from tempfile import TemporaryDirectory

with TemporaryDirectory() as folder:
    same = pack(texts[:50], tokenizer, Path(folder, "same.bin"))
    assert same.ids.tolist() == strip

# %% [markdown]
# A window may now begin in the middle of one story and end in the middle of the
# next. Attention can look across the border; end-of-text tells it that there is
# one, and the model has to learn to ignore what lies before. So packing wastes
# something too: what attention spends across borders, and what a cut hides. Many
# large runs therefore mask attention at the borders; the trainer of this book does
# not. Sampling will use the same token to know when a story is over.

# %%
train, val = stages.tokens(preset)
show_table([{"header": name, "value": train.header[name]}
            for name in ("tokenizer", "vocab_size", "dtype",
                         "documents", "tokens", "bytes")])
colored_tokens(tokenizer, train.ids[:60].tolist())

# %% [markdown]
# The file is nothing but these numbers, two bytes each as long as the
# vocabulary fits into 16 bits, beside a header that says which tokenizer wrote
# it. Decode it, drop the end-of-text tokens, and the bytes of the text are all
# there: no padding, and nothing lost.

# %%
used = np.array([len(entry) for entry in entries])[val.ids].sum()
print(f"{val.tokens:,} tokens, {val.ids.dtype}, {val.path.name}")
print(f"{used:,} bytes decoded, {val.bytes:,} bytes of text went in")
print("end-of-text:", int((val.ids == tokenizer.eot).sum()),
      "for", val.documents, "documents")

# %% tags=["remove-cell"]
assert used == val.bytes
assert (val.ids == tokenizer.eot).sum() == val.documents + 1

# %% [markdown]
# ### How long does it take?
#
# The 2023 recipe encoded a sentence whenever a row was asked for. Packing
# encodes everything once.
#
# :::{admonition} Predict
# :class: hint
# The full model trains on 1.1 billion tokens of four to five bytes each. One
# sentence at a time on one core, how long does encoding them take?
#
# - minutes
# - hours
# - days
# :::

# %% tags=["hide-input"]
bookcorpus_size = N_TOKENS * books["rows"][-1]["bytes_per_token"]
recorded = load_result("packing.json")
one, two = (recorded["speeds_by_cores"][cores] for cores in ("1", "2"))
print(f"{bookcorpus_size / 1e9:.1f} GB, by the speed on "
      f"{recorded['rows']:,} sentences,\n"
      f"V = {recorded['vocab_size']:,}, on",
      recorded["provenance"]["device"])

def took(speed):
    """Minutes that the whole text takes."""
    return bookcorpus_size / speed["megabytes_per_second"] / 6e7

show_table([{"way": way, "minutes, 1 core": f"{took(one[way]):.0f}",
             "2 cores": f"{took(two[way]):.0f}"} for way in one])

# %% mystnb={"figure": {"caption": "Packing 100 MB of books on two cores, reading the files included (the table above starts from text in memory, and is faster for it). Recorded.", "name": "fig-packing"}, "image": {"alt": "Two charts over megabytes packed, from 0 to 100. Left, seconds: nearly a straight line through the origin. Right, gigabytes of memory: a line that begins far above zero and rises little."}} tags=["hide-input"]
done = [point["bytes"] / 1e6 for point in recorded["curve"]]
fig, axes = plt.subplots(1, 2, figsize=(8, 2.8))
for ax, key, unit, label in zip(
        axes, ("seconds", "resident"), (1, 1e9),
        ("seconds", "memory of the process (GB)"), strict=True):
    ax.plot(done, [point[key] / unit for point in recorded["curve"]])
    ax.set(xlabel="megabytes packed", ylabel=label,
           xlim=(0, None), ylim=(0, None))
plt.show()

# %% tags=["remove-cell"]
assert 10 < took(one["one sentence at a time"]) < 60
curve = recorded["curve"]
middle = curve[len(curve) // 2]
share = middle["bytes"] / curve[-1]["bytes"]
assert abs(middle["seconds"] / curve[-1]["seconds"] - share) < 0.15
levels = [point["resident"] for point in curve]
assert max(levels) - min(levels) < 0.15e9
assert max(levels) - levels[2 * len(levels) // 3] < 0.02e9
here, there = (part["course_lib"]["megabytes_per_second"] / part[
    "tiktoken, one thread"]["megabytes_per_second"]
    for part in (one, two))
assert 0.5 < here < 1 < there
for part in (one, two):
    assert part["course_lib"]["times_the_first"] > 2.5
assert 4 < books["rows"][-1]["bytes_per_token"] < 5
assert two["course_lib"]["megabytes_per_second"] > (
    curve[-1]["bytes"] / 1e6 / curve[-1]["seconds"])

# %% [markdown]
# Minutes. That is little beside a day of training, but the 2023 way takes them
# in every {term}`epoch`, that is, every pass over the text, and again in every
# run. Packing takes them once, and its memory hardly grows with the text
# ({numref}`fig-packing`), which comes in and goes out a few megabytes at a time.
#
# :::{admonition} How packing is made faster
# :class: dropdown
# `pack` uses a second library, tiktoken. It is given our tokens with their ids,
# and joins whichever neighbours spell the token with the smallest id. Ids were
# handed out merge by merge, so that is BPE again, except where two pairs spell
# one token. So a sample of the text is encoded with both first, and if one id
# differs, the first library does the work.
#
# In the table, *one sentence at a time* and *tiktoken, one thread* use one core
# in either column. `datasets.map`, the usual tool of Hugging Face's library
# `datasets`, shares the rows out to processes that still call the first library.
# The package also joins, counts, checks and writes, which costs time on one core;
# a second core makes up for it.
# :::
#
# ## Which windows make a batch?
#
# What is left is the order. Training reads the windows shuffled, each once
# per epoch. The usual way keeps a shuffled iterator and must save its
# state to be resumed. There is a simpler one: make the {term}`batch` a *pure
# function* of the seed and the step. Ask for step 1,000 and you get the batch
# of step 1,000, whatever happened before.

# %%
from course_lib.text import Tokens

show_source(Tokens.batch)

# %% [markdown]
# The shuffle is made anew from the seed and the number of the epoch, so nothing
# has to be saved. `shift` starts each epoch's windows elsewhere, so that
# the cuts do not always fall on the same words. With several processes, one
# for each GPU, `world` is how many there are and `rank` which one asks. The
# targets are the inputs shifted by one: at each position the right answer is
# the next token.

# %%
ids, targets = train.batch(step=7, rows=4, context=12, seed=0)
print(repr(tokenizer.decode(ids[0].tolist())))
print(repr(tokenizer.decode(targets[0].tolist())))

# %% [markdown]
# Three properties are worth a check, and chapter 4 leans on each. The same
# call gives the same batch; two processes that share the work get the two
# halves of it; and an epoch visits every window exactly once.

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

again, _ = train.batch(step=7, rows=4, context=12, seed=0)
halves = [train.batch(7, 4, 12, seed=0, rank=rank, world=2)[0]
          for rank in (0, 1)]
print("same again: ", torch.equal(again, ids))
print("two halves: ", torch.equal(torch.cat(halves), ids))
with TemporaryDirectory() as folder:
    small = pack(texts[:50], tokenizer, Path(folder, "small.bin"))
    epoch = torch.cat([small.batch(step, 1, 64)[0]
                       for step in range(small.windows(64))])
print("windows in an epoch:", len(epoch), "of which different:",
      len(epoch.unique(dim=0)))

# %% tags=["remove-cell"]
assert torch.equal(again, ids) and torch.equal(torch.cat(halves), ids)
assert len(epoch.unique(dim=0)) == len(epoch)
assert (targets[:, :-1] == ids[:, 1:]).all()

# %% [markdown]
# ## Whose words are these?
#
# BookCorpus was collected for a paper that aligned books with films
# {cite}`zhu2015`: 11,038 novels that their authors had put on Smashwords, a
# shop for self-published books, all free of charge and longer than 20,000
# words. The paper counts 74,004,228 sentences and 984,846,357 words. BERT and
# the first GPT were trained on it, and it became a name that one cites without
# looking inside.
#
# Six years later two researchers looked {cite}`bandy2021`. They found 7,185
# different books, of which 2,930 occur more than once. Free of charge had been
# taken for free to use: two stock notices that forbid passing a book on stand
# in the text more than two hundred times, and others license it for the
# reader's personal enjoyment only. The authors were very probably never told
# and did not consent; hundreds of the books have since been given a price, and
# nobody could take theirs out. The collectors no longer offer the dataset. The
# copy on the Hugging Face Hub gives its licence as unknown.
#
# This book names BookCorpus because the recipe that it rebuilds used it. It passes
# on not a line of it and needs it nowhere: the default text is the stories, and
# `COURSE_CORPUS` takes a folder of anything. If you would not feel free to publish
# a text, think twice before you publish a model that has learned from it.
#
# One consequence is technical. A book that occurs twice can end up on both
# sides of the split between training and validation text, so a validation loss
# on BookCorpus is somewhat too good.
#
# ## Which text would you take today?
#
# These are texts that `course prepare --corpus ...` takes. Sizes are those of our
# copies or of the dataset's page, licences as the page states them.

# %% tags=["hide-input"]
from course_lib.text.listed_books import listed_books

our_books = load_result("long_run.json")["run"]["files"].values()
books_size = sum(side["bytes"] for side in our_books)
columns = "`--corpus`", "size, licence"
show_table([dict(zip(columns, row)) for row in (
    ("`stories:100000`, made-up stories: plain words, no facts",
     "any size, MIT as this package"),
    (f"`books`, {len(listed_books()):,} books, mostly old novels",
     f"{books_size / 1e9:.1f} GB, public domain in the US"),
    ("`hub:roneneldan/TinyStories`, stories for children, written by "
     "GPT-3.5 and GPT-4", "1.9 GB, CDLA-Sharing 1.0"),
    ("`bookcorpus`, novels of living authors, in lower case",
     f"{bookcorpus_size / 1e9:.0f} GB, unknown"),
    ("`my-texts/`, your files: .txt, .jsonl, .parquet",
     "yours to find out"))])

# %% [markdown]
# (`hub:` reads the whole of a dataset.) Two questions come before the size. The
# first is: *may I?* This is no legal advice.
#
# - Copyright runs out country by country. That `books` are in the public domain in
#   the US is said by Project Gutenberg, whose texts these are; its name is a
#   trademark, and its licence binds whoever passes files on under that name.
#   Elsewhere a book may be protected: five of these are Agatha Christie's, in the EU
#   and the UK protected until the end of 2046, and a translation has a term of its
#   own.
# - A licence on a dataset's page is what the uploader says, and holds only if it
#   was theirs to give. The page of `hub:sedthh/gutenberg_english#TEXT`, a far
#   larger collection of books, says MIT, which neither frees a book nor binds a
#   free one.
# - A licence may bind what you pass on: TinyStories' lets you use the text, and
#   asks that copies of it keep the licence.
# - Text that another model wrote was made under the terms of that model's maker,
#   which often forbid training a rival. Whether they bind you, who only have the
#   text, is open.
# - Pages from the web are usually licensed as a collection; each page still
#   belongs to its author.
# - Whether training on protected text needs leave is in dispute. In the US it is
#   argued as fair use, case by case; in the EU text that is lawfully accessible may
#   be mined unless its owner has reserved that (directive 2019/790, article 4).
#
# The second is: *what will it say?* A model goes on as its text would. Old novels
# give it long sentences and the prejudices of their time, TinyStories small words
# and small plots, mail and chats the names and addresses of people, which a model
# can repeat word for word {cite}`carlini2021`. So read some documents drawn at
# random before you train. What you find twenty times in them, a licence, a page
# header, a menu, the model will write too; `books:my-texts/` instead of
# `my-texts/` takes the usual additions out of books. On simple text a small model
# becomes fluent soonest {cite}`eldan2023`: for a first run take the stories, and
# `books` for real prose.
#
# Large models read mostly pages from the web, and cleaning those is a large part of
# the work. Near-duplicates go, found by comparing short hashes of their phrases
# (*MinHash*): a model of what is left copies less {cite}`lee2022`. Filters, often
# small models themselves, keep what teaches; one made FineWeb-Edu
# {cite}`penedo2024`. This package does neither.
#
# ## How much text is enough?
#
# Ideally training reads nothing twice. {cite:t}`muennighoff2023` measured what is
# lost where it does. Their formula puts two smaller numbers into a law such as
# that of [chapter 2](02_scaling_laws.ipynb): fewer tokens, since each further
# reading of one is worth less than the reading before, and fewer parameters, since
# little text cannot fill many. With their own law, fitted to text from the web, it
# says what the full model loses if its tokens come from less text, read several
# times.
#
# :::{admonition} Predict
# :class: hint
# How often, by this formula, can the text be read before the loss is worse by a
# tenth of a nat, compared with as many tokens of new text?
#
# - twice
# - about four times
# - about sixteen times
# :::

# %%
from course_lib.scaling.laws import PUBLISHED, repeated

law = PUBLISHED["muennighoff_2023"]
N, D = count_parameters(full).total, N_TOKENS

def nats_lost(passes, **how):
    loss = repeated(law, N, D, unique=D / passes, **how)
    return float(loss - law.loss(N, D))

lost = {passes: nats_lost(passes) for passes in (1, 2, 4, 8, 16)}
again = {passes: nats_lost(passes, parameters=False)
         for passes in lost}
show_table([{"text": f"{bookcorpus_size / passes / 1e9:.1f} GB",
             "passes": passes,
             "nats lost by reading again": f"{again[passes]:.2f}",
             "by parameters that so little text cannot fill":
             f"{both - again[passes]:.2f}", "both": f"{both:.2f}"}
            for passes, both in lost.items()])
print("passes over `books` for as many tokens: "
      f"{bookcorpus_size / books_size:.1f}")

# %% tags=["remove-cell"]
from course_lib.runs import MANY_PASSES

assert lost[1] == 0 and lost[2] < 0.02 and 0.07 < lost[4] < 0.11
assert lost[16] > 2 * lost[8] > 4 * lost[4] and MANY_PASSES == 16
for passes in (2, 4, 8, 16):
    assert 2 * again[passes] < lost[passes] - again[passes]
assert 7 < bookcorpus_size / books_size < 8
christie = [book for book in listed_books()
            if book["author"] == "Agatha Christie"]
assert len(christie) == 5
assert 1e9 < bookcorpus_size / 4 < 1.5e9

# %% [markdown]
# About four times. After that what is lost more than doubles with each doubling of
# the passes. Most of it falls to the parameters, and that part of the formula is
# the least tested at our size.
#
# So what a run reads in about four passes is enough, more than a gigabyte for the
# full model; `books` it would read seven times and more. With less text, take a
# smaller model and fewer tokens, or {term}`fine-tune <fine-tuning>` a model that
# is trained already ({doc}`how <../book/running>`). The figures are a guide: most
# models behind the formula were larger. And the formula knows
# no {ref}`overfitting <learning-by-heart>`, of which chapter 4 asks you. `course
# prepare` warns where a plan has more than sixteen passes.
#
# ```{admonition} Takeaway
# :class: tip
# A tokenizer is trained, and what it has not seen it must still be able to
# write: put all 256 bytes into the alphabet, and check that decoding returns
# the text. BPE is counting and merging; a page of Python gives the library's
# tokenizer to the last id. More entries mean fewer and costlier tokens, and a
# byte is cheapest to train on with far fewer of them than 50,304. Whole documents
# are held out by a hash of their text. Packing spends nothing on filler, where
# padding spent three quarters of the compute of 2023, and a batch that is a pure
# function of seed and step needs no memory. Choose a text by what you may do with
# it and by what you want to hear again; a few passes over it are nearly as good as
# new text, many are not.
# ```
#
# ## Write it yourself
#
# In your file (`course new my_gpt.py`) this chapter's steps are `bpe_train`,
# `bpe_encode`, `bpe_decode`, `pack` and `batch`. There the first tokens are the
# bytes themselves, and the merge with index $i$ makes token $256 + i$. What a
# word becomes:

# %%
from course_lib.exercises import check

def bpe_encode(word, merges):
    """bytes, a list of pairs of ids -> a list of ids."""

print(check("bpe_encode", bpe_encode))

# %% [markdown]
# Solution (click to open):

# %% tags=["hide-cell"]
def bpe_encode(word, merges):
    ids = list(word)
    for i, pair in enumerate(merges):
        out = []
        for token in ids:
            if out and (out[-1], token) == tuple(pair):
                out[-1] = 256 + i
            else:
                out.append(token)
        ids = out
    return ids

print(check("bpe_encode", bpe_encode))

# %% tags=["remove-cell"]
assert check("bpe_encode", bpe_encode).right

# %% [markdown]
# ## Exercises
#
# ### 1. The worst case
#
# *Easy, 5 minutes.* What is the largest number of tokens that one Unicode
# character can cost, with any byte-level tokenizer? Find a character that
# costs as many with this one.
#
# Solution (click to open):

# %% tags=["hide-cell"]
characters = [chr(c) for c in range(0x110000)
              if not 0xD800 <= c < 0xE000]     # surrogates are none
longest = max(len(c.encode()) for c in characters)
print(f"UTF-8 takes {longest} bytes at most, a byte a token at most")
alembic = "\U0001f76a"                         # from alchemy
print(alembic, tokenizer.encode(alembic))
assert len(tokenizer.encode(alembic)) == longest == 4

# %% [markdown]
# ### 2. Small inside large
#
# *Medium, 15 minutes.* The books' curve was made with one tokenizer, trained
# at full size and cut back. Why is that allowed? Show with `learn` that a
# tokenizer of 300 entries is the beginning of one of 400, and that its ids are
# what you get by encoding with the first merges only.
#
# Solution (click to open):

# %% tags=["hide-cell"]
small_vocab, small_merges, *_ = learn(few[:40], 300)
large_vocab, large_merges, *_ = learn(few[:40], 400)
cut_back = {pair: new for pair, new in large_merges.items()
            if new < 300}
assert large_vocab[:300] == small_vocab
assert list(cut_back.items()) == list(small_merges.items())
small = train_tokenizer(few[:40], 300)
assert all(small.encode(t) == encode(t, cut_back) for t in unseen)
print("A merge depends on the counts so far, not on how many are to",
      "come.\nEncoding applies the earliest merges first, so cutting",
      "the late\nones leaves the early ones as they were.")

# %% [markdown]
# ### 3. Break ties the other way
#
# *Medium, 15 minutes.* Let the pair with the *larger* ids win a tie. How many
# of the entries change? Guess first whether the tokenizer gets worse, then
# count the tokens.
#
# Solution (click to open):


# %% tags=["hide-cell"]
def larger_ids(pairs):
    return max(pairs, key=lambda p: (pairs[p], p))


other_vocab, other_merges, *_ = learn(few, 512, larger_ids)
changed = len(set(vocab) - set(other_vocab))
lengths = [sum(len(encode(text, m)) for text in unseen)
           for m in (merges, other_merges)]
print(f"{changed} entries differ; {lengths[0]:,} tokens against "
      f"{lengths[1]:,}")
assert list(other_merges) != list(merges)
assert abs(lengths[0] / lengths[1] - 1) < 0.02
print("A tie is a tie: either choice saves equally much. The rule is",
      "for\ngetting the same tokenizer twice, not for a good one.")

# %% [markdown]
# ### 4. Padding, but cleverly
#
# *Hard, 20 minutes.* Before giving padding up, sort the sentences by length,
# take 32 at a time, and pad each batch only to its own longest sentence. How
# much waste is left? And what is lost that this share does not show?
#
# Solution (click to open):

# %% tags=["hide-cell"]
ordered = np.sort(length)
batches = [ordered[i:i + 32] for i in range(0, len(ordered), 32)]
positions = sum(batch.max() * len(batch) for batch in batches)
waste = 1 - length.sum() / positions
print(f"{waste:.1%} of the positions, against {padded:.0%}")
assert 0 <= waste < 0.2 < padded
print("What is lost: the context. Each sentence is still alone, and",
      "no\nmodel learns from it how one sentence leads to the next.")
