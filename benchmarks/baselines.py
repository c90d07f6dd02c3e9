"""What a trained model must beat: xz, and an order-5 n-gram model.

Interpolated modified Kneser-Ney smoothing (Kneser and Ney 1995; Chen and
Goodman 1999), over a run's own tokens or over plain bytes, trained on the
run's training text and measured on its validation text, in bits per byte.

    python benchmarks/baselines.py RUN
"""

import argparse
import json
import lzma

import numpy as np

from course_lib.runs import open_run

ORDER = 5
TRAINING = 50_000_000  # tokens that are counted: each takes 100 bytes or so


def kneser_ney(train, val, vocab_size: int, order: int = ORDER) -> float:
    """Total bits of `val` (all but its first token) under an n-gram model
    of `train`, both arrays of ids. Every id must be under vocab_size, and
    vocab_size ** order under 2 ** 64."""
    if vocab_size ** order >= 2**64:
        raise ValueError(f"{order}-grams of {vocab_size} entries do not fit "
                         "64 bits: take a lower order")
    V = np.uint64(vocab_size)
    prob = np.full(len(val) - 1, 1 / vocab_size)
    highest, counts = np.unique(grams(train, order, V), return_counts=True)
    levels = [(highest, counts)]
    for n in range(order - 1, 0, -1):  # how many tokens precede each gram
        longer = highest if n == order - 1 else np.unique(
            grams(train, n + 1, V))
        levels.append(np.unique(longer % V**np.uint64(n),
                                return_counts=True))
    for n, (keys, counts) in enumerate(reversed(levels), 1):
        prob = interpolate(keys, counts, grams(val, n, V), V, prob)
    return float(-np.log2(prob).sum())


def grams(ids, n: int, V):
    """Every n-gram as one number, its last token in the lowest digit. For
    text shorter than n - 1 tokens so far, tokens before it read as 0."""
    ids = np.concatenate([np.zeros(n - 1, np.uint64),
                          np.asarray(ids, np.uint64)])
    keys = np.zeros(len(ids) - n + 1, np.uint64)
    for k in range(n):
        keys = keys * V + ids[k:len(ids) - n + 1 + k]
    return keys


def interpolate(keys, counts, wanted, V, lower):
    """One order's probabilities of the grams `wanted[1:]`, given the next
    lower order's; contexts never seen pass it on unchanged."""
    discount = discounts(counts)[np.minimum(counts, 3)]
    contexts, first = np.unique(keys // V, return_index=True)
    total = np.add.reduceat(counts, first)
    backoff = np.add.reduceat(discount, first) / total
    wanted = wanted[1:]
    at, seen = find(contexts, wanted // V)
    gram, known = find(keys, wanted)
    kept = np.where(known, counts[gram] - discount[gram], 0) / total[at]
    return np.where(seen, kept + backoff[at] * lower, lower)


def discounts(counts):
    """What is taken off a count of 0, 1, 2, and 3 or more, estimated from
    how many grams were counted once to four times (Chen and Goodman). Too
    few grams for that give Kneser and Ney's single discount of 3/4."""
    n1, n2, n3, n4 = ((counts == c).sum() for c in (1, 2, 3, 4))
    if not min(n1, n2, n3, n4):
        return np.array([0, 0.75, 0.75, 0.75])
    y = n1 / (n1 + 2 * n2)
    return np.clip([0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2,
                    3 - 4 * y * n4 / n3], 0, [0, 1, 2, 3])


def find(keys, wanted):
    """(index, found) of each wanted key in the sorted keys."""
    at = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return at, keys[at] == wanted


def text(ids, run) -> bytes:
    """The bytes of a token file's documents, joined by end-of-text (0)."""
    pieces = [run.tokenizer.token_bytes(i) or b"\0"
              for i in range(run.tokenizer.vocab_size)]
    return b"".join(pieces[i] for i in ids)


def longest(vocab_size: int) -> int:
    """The order of n-gram that still fits 64 bits, ORDER at most."""
    return max(n for n in range(1, ORDER + 1) if vocab_size**n < 2**64)


def baselines(run) -> dict[str, float]:
    """Bits per byte of the run's validation text, by method. Of a longer
    training text only the first TRAINING tokens are used."""
    val, V = run.val_tokens, run.tokenizer.vocab_size
    train, order = run.train_tokens.ids[:TRAINING], longest(V)
    raw_train, raw_val = text(train, run), text(val.ids, run)
    alone = len(lzma.compress(raw_val, preset=9))
    known = len(lzma.compress(raw_train, preset=9))
    both = len(lzma.compress(raw_train + raw_val, preset=9))
    read = [np.frombuffer(raw, np.uint8) for raw in (raw_train, raw_val)]
    return {
        "xz -9, the text alone": 8 * alone / val.bytes,
        "xz -9, after the training text": 8 * (both - known) / val.bytes,
        "Kneser-Ney, 5 bytes": kneser_ney(*read, 256) / val.bytes,
        f"Kneser-Ney, {order} tokens": kneser_ney(
            train, val.ids, V, order) / val.bytes}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a run folder")
    print(json.dumps(baselines(open_run(parser.parse_args().run)), indent=1))
