"""Chapter 3: byte-pair encoding, packing, batches."""

from collections import Counter

import torch

from course_lib.exercises.step import Step
from course_lib.exercises.values import plain

CHAPTER = "03_tokenizer"


def bpe_train(words, count):
    """At most `count` pairs of ids, learned from words (bytes) and how often
    they occur. Source: Sennrich et al. (2016)."""
    texts = {tuple(word): n for word, n in words.items()}
    merges = []
    for token in range(256, 256 + count):
        pairs = pair_counts(texts)
        if not pairs:
            break
        best = max(pairs, key=lambda p: (pairs[p], -p[0], -p[1]))
        merges.append(best)
        merged = Counter()
        for text, n in texts.items():
            merged[merge(text, best, token)] += n
        texts = merged
    return merges


def pair_counts(texts) -> Counter:
    """How often each pair of neighbours occurs in texts (tuples of ids)."""
    pairs = Counter()
    for text, n in texts.items():
        for pair in zip(text, text[1:]):
            pairs[pair] += n
    return pairs


def merge(text, pair, token):
    """The text with each pair, from the left, made one token."""
    out = []
    for each in text:
        if out and (out[-1], each) == pair:
            out[-1] = token
        else:
            out.append(each)
    return tuple(out)


def bpe_encode(word, merges):
    """The ids of a word (bytes)."""
    ids = tuple(word)
    for place, pair in enumerate(merges):
        ids = merge(ids, tuple(pair), 256 + place)
    return list(ids)


def bpe_decode(ids, merges):
    """The text of ids; bytes that are no UTF-8 become U+FFFD."""
    return b"".join(pieces(merges)[i] for i in ids).decode(errors="replace")


def pieces(merges) -> list[bytes]:
    """The bytes of every token."""
    known = [bytes([b]) for b in range(256)]
    for a, b in merges:
        known.append(known[a] + known[b])
    return known


def pack(documents, eot):
    """Lists of ids in one list, `eot` around each."""
    row = [eot]
    for document in documents:
        row += [*document, eot]
    return row


def batch(ids, step, rows, context, seed):
    """(rows, context) inputs and targets of a step, of (N,) ids."""
    ids = torch.as_tensor(ids)
    count = (len(ids) - 1) // context
    starts = []
    for place in range(step * rows, (step + 1) * rows):
        epoch, number = divmod(place, count)
        draw = torch.Generator().manual_seed(1_000_003 * seed + epoch)
        order = torch.randperm(count, generator=draw)
        starts.append(int(order[number]) * context)
    inputs = torch.stack([ids[s:s + context] for s in starts])
    return inputs, torch.stack([ids[s + 1:s + context + 1] for s in starts])


TEXTS = [{b"ab": 1}, {b"ab": 2, b"bc": 3}, {b"aaa": 1, b"ba": 1},
         {b"aab": 5, b"ab": 1}, {b"zb": 1, b"ca": 1},
         {b"hug": 10, b"pug": 5, b"pun": 12, b"bun": 4, b"hugs": 5},
         {b"low": 5, b" lower": 2, b" newest": 6, b" widest": 3},
         {" \u00e9t\u00e9".encode(): 3, " \u611b".encode(): 2, b"aaaaa": 2},
         {b"she": 1, b" sells": 2, b" sea": 3, b" shells": 3, b" by": 1,
          b" the": 2, b" shore": 1, b";": 1, b" are": 1}]


def train_cases():
    """Words and their counts, with ties, overlaps and other alphabets."""
    yield dict(words=TEXTS[0], count=1)
    for words in TEXTS:
        yield dict(words=words, count=2)
    for words in TEXTS[2:]:
        yield dict(words=words, count=12)


def encode_cases():
    """Words and merges: written by hand, then learned."""
    yield dict(word=b"a", merges=[])
    yield dict(word=b"ab", merges=[(97, 98)])
    yield dict(word=b"aaa", merges=[(97, 97)])
    yield dict(word=b"abc", merges=[(98, 99), (97, 98)])
    yield dict(word=b"abab", merges=[(97, 98), (256, 256)])
    yield dict(word=b"aaaaa", merges=[(97, 97), (256, 256), (256, 97)])
    yield dict(word=b"abcabc", merges=[(97, 98), (98, 99), (256, 99)])
    yield dict(word=b"", merges=[(97, 98)])
    for words in TEXTS[2:]:
        merges = bpe_train(words, 12)
        for word in [*words, b" shells", " \u611b\u00e9".encode()]:
            yield dict(word=word, merges=merges)


def decode_cases():
    """Ids and merges; some ids are no UTF-8."""
    yield dict(ids=[97], merges=[])
    yield dict(ids=[256], merges=[(97, 98)])
    yield dict(ids=[257], merges=[(97, 98), (256, 99)])
    yield dict(ids=[97, 255, 98], merges=[])
    yield dict(ids=list("\u00e9t\u00e9 \u611b".encode()), merges=[])
    yield dict(ids=[], merges=[])
    for words in TEXTS[2:]:
        merges = bpe_train(words, 12)
        for word in words:
            yield dict(ids=bpe_encode(word, merges), merges=merges)
        yield dict(ids=list(range(256 + len(merges)))[-20:], merges=merges)


def pack_cases():
    """No document, one, an empty one, one that comes twice."""
    for documents in ([], [[1]], [[1, 2], [3]], [[5], [], [6, 7]],
                      [[1, 2, 3], [1, 2, 3], [4]]):
        yield dict(documents=documents, eot=9)


def batch_cases():
    """With so many windows an order is hardly met by chance."""
    yield dict(size=21, rows=3, context=2)
    yield dict(size=41, rows=3, context=4)
    yield dict(size=64, rows=5, context=5)


def see_batch(candidate, case) -> dict:
    """What holds of the batches of two epochs of a row in which each token
    is its own place."""
    size, rows, T = case["size"], case["rows"], case["context"]
    ids, count = torch.arange(size), (size - 1) // case["context"]

    def pair(step, seed=7):
        inputs, targets = map(plain, candidate(
            ids=ids.clone(), step=step, rows=rows, context=T, seed=seed))
        return inputs.long(), targets.long()

    inputs, targets = pair(0)
    seen = {"shape of the inputs": list(inputs.shape),
            "shape of the targets": list(targets.shape)}
    if seen != {name: [rows, T] for name in seen}:
        return seen
    shift = (targets - inputs).unique().tolist()
    seen["targets are so many places later"] = str(shift)
    steps = -(-2 * count // rows)
    read = torch.cat([pair(step)[0] for step in range(steps)])
    seen["windows are neighbours in the text"] = bool(
        (read.diff(dim=1) == 1).all())
    firsts = read[:, 0].tolist()
    windows = [n * T for n in range(count)]
    for epoch in (1, 2):
        came = sorted(firsts[(epoch - 1) * count:epoch * count])
        seen[f"the windows come, in epoch {epoch}"] = (
            "each once" if came == windows else
            "some twice and some never" if set(came) <= set(windows) else
            "at other places than multiples of the context")
    seen["the same again"] = torch.equal(pair(0)[0], inputs)
    seen["another step has other rows"] = not torch.equal(pair(1)[0], inputs)
    orders = [firsts[:count], firsts[count:2 * count],
              [p for s in range(steps) for p in
               pair(s, 8)[0][:, 0].tolist()][:count]]
    seen["the order is not the text's"] = orders[0] != windows
    seen["another order in the next epoch"] = orders[0] != orders[1]
    seen["another order with another seed"] = orders[0] != orders[2]
    return seen


STEPS = [
    Step("bpe_train", CHAPTER, "The whole of training", train_cases,
         (bpe_train,), hints=(
             "Each word is a tuple of ids; count all pairs of neighbours, "
             "each as often as its word occurs.",
             "max(pairs, key=lambda p: (pairs[p], -p[0], -p[1])), merge it "
             "in every word from the left, and count again.")),
    Step("bpe_encode", CHAPTER, "Encode and decode", encode_cases,
         (bpe_encode,), hints=(
             "Begin with list(word), the bytes, and replay the merges in "
             "the order in which they were learned.",
             "Each merge takes its pairs from the left, and a token that was "
             "just made can be half of the next merge.")),
    Step("bpe_decode", CHAPTER, "Encode and decode", decode_cases,
         (bpe_decode,), hints=(
             "Token 256 + i is the bytes of its two halves, one behind the "
             "other; the halves may be merges themselves.",
             "Join the bytes first and decode once, with errors='replace': a "
             "token can hold half a character.")),
    Step("pack", CHAPTER, "Padding or packing?", pack_cases, (pack,), hints=(
        "One token more than the documents have, and one for each.",
        "Start with [eot]; each document adds its ids and an eot.")),
    Step("batch", CHAPTER, "Which windows make a batch?", batch_cases,
         (batch,), see_batch, hints=(
             "Row r of a step is the window number step * rows + r, counted "
             "through all epochs: divmod by the windows of an epoch.",
             "An epoch's order is a permutation drawn from the seed and the "
             "number of the epoch, made anew at each call.")),
]
