"""An n-gram model with interpolated modified Kneser-Ney smoothing.

Sources: Kneser and Ney 1995; Chen and Goodman 1999, whose modified discounts
these are. Every n-gram of the training text has a number, its place in one
sorted array of (number of what stands before its last token, last token), so
that neither order nor vocabulary is bounded by what fits into 64 bits, and
the text is sorted CHUNK tokens at a time: a token that is counted takes some
forty bytes.
"""

import numpy as np

ORDER = 5
CHUNK = 2**24  # tokens sorted at a time


class KneserNey:
    """The model of order `order` of a text, an array of ids under
    `vocab_size`. The lowest order is mixed with 1 / vocab_size, so nothing
    is impossible."""

    def __init__(self, text, vocab_size: int, order: int = ORDER,
                 chunk: int = CHUNK):
        self.V, self.order = vocab_size, order
        before = np.asarray(text, np.int32)
        keys = np.arange(vocab_size)
        counts = np.bincount(before, minlength=vocab_size)
        self.levels = []
        for n in range(2, order + 1):
            after, parts = np.empty_like(before), []
            for start in range(n - 1, len(before), chunk):
                place = slice(start, min(start + chunk, len(before)))
                found, after[place], times = np.unique(
                    before[start - 1:place.stop - 1].astype(np.int64)
                    * vocab_size + text[place],
                    return_inverse=True, return_counts=True)
                parts.append((place, found, times))
            longer, longer_counts = merged(part[1:] for part in parts)
            last = np.empty(len(longer), np.int32)  # the gram without first
            for place, found, _ in parts:
                numbers = np.searchsorted(longer, found)
                after[place] = numbers[after[place]]
                last[after[place]] = before[place]
            # of shorter grams counts the number of different tokens before
            self._add(keys, np.bincount(last, minlength=len(keys)))
            keys, counts, before = longer, longer_counts, after
        self._add(keys, counts)

    def _add(self, keys, counts) -> None:
        """A level: of each gram the discounted share of what follows its
        context, and of each context what is left for the lower order."""
        off = discounts(counts)[np.minimum(counts, 3)]
        contexts = keys // self.V
        number = len(self.levels[-1][0]) if self.levels else 1
        total = np.bincount(contexts, counts, number)
        left = np.bincount(contexts, off, number)
        seen = total > 0
        left[seen] /= total[seen]
        left[~seen] = 1
        total[~seen] = 1
        share = ((counts - off) / total[contexts]).astype(np.float32)
        self.levels.append((keys, share, left.astype(np.float32)))

    def bits(self, ids) -> np.ndarray:
        """Bits of every token of `ids` but the first, given those before."""
        ids = np.asarray(ids, np.int64)
        here, prob = np.zeros(len(ids) - 1, np.int64), 1 / self.V
        for keys, share, left in self.levels:  # `here` are contexts
            known = here >= 0
            gram, found = find(keys, np.where(known, here, 0) * self.V
                               + ids[1:])
            prob = np.where(known, np.where(found, share[gram], 0)
                            + left[here] * prob, prob)
            # what ends one token earlier is the next level's context
            here = np.concatenate([
                [ids[0] if keys is self.levels[0][0] else -1],
                np.where(found & known, gram, -1)[:-1]])
        return -np.log2(prob, dtype=np.float64)

    def distribution(self, context) -> np.ndarray:
        """Probabilities (V,) of the token after a context of any length."""
        prob = np.full(self.V, 1 / self.V)
        for n, (keys, share, left) in enumerate(self.levels):
            number = self._number(context[len(context) - n:])
            if number < 0 or n > len(context):
                break
            first, end = np.searchsorted(
                keys, [number * self.V, (number + 1) * self.V])
            prob *= left[number]
            prob[keys[first:end] % self.V] += share[first:end]
        return prob

    def _number(self, gram) -> int:
        """Of an n-gram; -1 where the text has none. The empty one is 0."""
        number = 0
        for (keys, _, _), token in zip(self.levels, gram):
            place, found = find(keys, np.array([number * self.V + token]))
            if not found[0]:
                return -1
            number = int(place[0])
        return number

    def read(self, ids: list[int], start: int):
        """A `course_lib.measuring.cloze.Reader`."""
        rows = [self.distribution(ids[max(0, end - self.order + 1):end])
                for end in range(start, len(ids) + 1)]
        return ([-float(np.log(row[token])) for row, token
                 in zip(rows, ids[start:])],
                [int(row.argmax()) for row in rows])


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


def merged(parts):
    """(keys, counts) of all parts, which have sorted keys each; those of
    like size are merged with each other, so that each is copied seldom."""
    stack = []
    for part in parts:
        stack.append(part)
        while len(stack) > 1 and len(stack[-2][0]) < 2 * len(stack[-1][0]):
            stack.append(merge(stack.pop(), stack.pop()))
    while len(stack) > 1:
        stack.append(merge(stack.pop(), stack.pop()))
    return stack[0]


def merge(one, other):
    """The sum of two counts."""
    keys = np.concatenate([one[0], other[0]])
    order = np.argsort(keys, kind="stable")  # two sorted runs: one pass
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    counts = np.concatenate([one[1], other[1]])[order]
    return keys[first], np.add.reduceat(counts, first)
