"""Known mistakes of chapter 3."""

from collections import Counter

import torch

from course_lib.exercises.step import Bank
from course_lib.exercises.steps import tokenizer as right

mistake = Bank()


def train(words, count, first=256, order=None, pairs_of=right.pair_counts,
          merge=right.merge):
    """Training with what people get wrong as arguments."""
    order = order or (lambda pairs: lambda p: (pairs[p], -p[0], -p[1]))
    texts = {tuple(word): n for word, n in words.items()}
    merges = []
    for token in range(first, first + count):
        pairs = pairs_of(texts)
        if not pairs:
            break
        best = max(pairs, key=order(pairs))
        merges.append(best)
        merged = Counter()
        for text, n in texts.items():
            merged[merge(text, best, token)] += n
        texts = merged
    return merges


@mistake("bpe_train", "words count once, however often they occur",
         "A pair counts as often as its word: pairs[pair] += n.")
def words_once(words, count):
    return train(dict.fromkeys(words, 1), count)


@mistake("bpe_train", "among equals the larger pair is merged",
         "max over (count, pair) takes the larger: negate the ids.")
def larger(words, count):
    return train(words, count, order=lambda pairs: lambda p: (pairs[p], p))


@mistake("bpe_train", "among equals the first that was met is merged",
         "Then the tokenizer depends on the order of the words: the rule is "
         "the smaller pair.")
def first_met(words, count):
    return train(words, count, order=lambda pairs: pairs.get)


@mistake("bpe_train", "pairs are counted once and never again",
         "A merge takes its halves from their other neighbours and makes new "
         "pairs: count again after each.")
def counted_once(words, count):
    pairs = right.pair_counts({tuple(w): n for w, n in words.items()})
    return sorted(pairs, key=lambda p: (-pairs[p], p))[:count]


@mistake("bpe_train", "new tokens begin at 257",
         "The bytes are 0 to 255; merge 0 makes token 256.")
def from_257(words, count):
    return train(words, count, first=257)


@mistake("bpe_train", "pairs are made across words",
         "Count inside each word only.")
def across(words, count):
    text = tuple(b for word, n in words.items() for b in word * n)
    return train({bytes(text): 1}, count)


@mistake("bpe_train", "no pair left is an error",
         "Where every word is one token, max() has nothing to choose from: "
         "stop there.")
def fails_at_the_end(words, count):
    merges = train(words, count)
    if len(merges) < count:
        raise ValueError("max() arg is an empty sequence")
    return merges


@mistake("bpe_train", "pairs that came once are not merged",
         "As with min_frequency=2; here it ends only where no pair is left.")
def twice_at_least(words, count):
    return train(words, count, pairs_of=lambda texts: {
        pair: n for pair, n in right.pair_counts(texts).items() if n > 1})


@mistake("bpe_train", "one merge too many", "`count` merges are asked for.")
def one_more(words, count):
    return train(words, count + 1)


@mistake("bpe_encode", "merges apply once, at the first place only",
         "Each merge replaces every occurrence of its pair in the word.")
def first_place(word, merges):
    ids = list(word)
    for place, pair in enumerate(merges):
        for i, two in enumerate(zip(ids, ids[1:])):
            if two == tuple(pair):
                ids[i:i + 2] = [256 + place]
                break
    return ids


@mistake("bpe_encode", "from the left, whichever merge fits",
         "The merges go in the order in which they were learned, not in the "
         "order of the text.")
def greedy_left(word, merges):
    token, ids = {tuple(p): 256 + i for i, p in enumerate(merges)}, []
    for byte in word:
        ids.append(byte)
        while tuple(ids[-2:]) in token:
            ids[-2:] = [token[tuple(ids[-2:])]]
    return ids


@mistake("bpe_encode", "the longest token that fits",
         "That is WordPiece's way; BPE replays its merges.")
def longest(word, merges):
    known = {piece: i for i, piece in
             reversed([*enumerate(right.pieces(merges))])}
    ids, rest = [], bytes(word)
    while rest:
        size = max(n for n in range(1, len(rest) + 1) if rest[:n] in known)
        ids.append(known[rest[:size]])
        rest = rest[size:]
    return ids


@mistake("bpe_encode", "merges in reverse",
         "The earliest learned comes first: later ones build on it.")
def reverse(word, merges):
    ids = tuple(word)
    for place, pair in reversed([*enumerate(merges)]):
        ids = right.merge(ids, tuple(pair), 256 + place)
    return list(ids)


@mistake("bpe_encode", "new tokens begin at 257",
         "Merge i makes the token 256 + i.")
def encode_257(word, merges):
    return [i + (i > 255) for i in right.bpe_encode(word, merges)]


@mistake("bpe_encode", "pairs are taken from the right",
         "In aaa the first two merge, not the last two.")
def from_the_right(word, merges):
    ids = tuple(word)[::-1]
    for place, pair in enumerate(merges):
        ids = right.merge(ids, tuple(pair)[::-1], 256 + place)
    return list(ids[::-1])


@mistake("bpe_encode", "overlapping pairs are merged twice",
         "In aaa the middle byte is used up by the first pair.")
def overlapping(word, merges):
    ids = list(word)
    for place, pair in enumerate(merges):
        hits = [i for i, two in enumerate(zip(ids, ids[1:]))
                if two == tuple(pair)]
        covered = {i + 1 for i in hits}
        ids = [256 + place if i in hits else each
               for i, each in enumerate(ids)
               if i in hits or i not in covered]
    return ids


@mistake("bpe_decode", "bytes that are no UTF-8 are left out",
         "errors='ignore' loses them without a sign: 'replace' shows U+FFFD.")
def ignored(ids, merges):
    known = right.pieces(merges)
    return b"".join(known[i] for i in ids).decode(errors="ignore")


@mistake("bpe_decode", "bytes that are no UTF-8 are an error",
         "A model can write half a character: errors='replace'.")
def strict(ids, merges):
    known = right.pieces(merges)
    return b"".join(known[i] for i in ids).decode()


@mistake("bpe_decode", "each token is decoded by itself",
         "A character of several bytes may lie in several tokens: join the "
         "bytes, then decode.")
def one_by_one(ids, merges):
    known = right.pieces(merges)
    return "".join(known[i].decode(errors="replace") for i in ids)


@mistake("bpe_decode", "bytes are taken as Latin-1",
         "Text is UTF-8: chr(byte) is right below 128 only.")
def latin(ids, merges):
    known = right.pieces(merges)
    return b"".join(known[i] for i in ids).decode("latin-1")


@mistake("bpe_decode", "merges of merges are not taken apart",
         "The halves of a token can be tokens: build the bytes of 256 + i "
         "in the order of the merges.")
def one_deep(ids, merges):
    out = b""
    for i in ids:
        halves = merges[i - 256] if i > 255 else [i]
        out += bytes(half % 256 for half in halves)
    return out.decode(errors="replace")


@mistake("bpe_decode", "the halves are in the wrong order",
         "The left half's bytes come first.")
def turned(ids, merges):
    return right.bpe_decode(ids, [pair[::-1] for pair in merges])


@mistake("pack", "no end-of-text at the beginning",
         "A model is asked to begin a document, too: eot stands before the "
         "first.")
def no_first(documents, eot):
    return right.pack(documents, eot)[1:]


@mistake("pack", "no end-of-text at the end",
         "The end of the last document is to be learned as well.")
def no_last(documents, eot):
    return [i for document in documents for i in [eot, *document]]


@mistake("pack", "two end-of-texts between documents",
         "One ends a document and begins the next.")
def doubled(documents, eot):
    return [i for document in documents for i in [eot, *document, eot]]


@mistake("pack", "no end-of-text between documents",
         "Without it one document goes on in the next.")
def joined(documents, eot):
    return [eot, *(i for document in documents for i in document), eot]


@mistake("pack", "repeated documents are left out",
         "Every document is packed, also one that came before.")
def without_copies(documents, eot):
    seen = dict.fromkeys(map(tuple, documents))
    return right.pack(seen, eot)


@mistake("pack", "empty documents are left out",
         "An empty document is an eot of its own.")
def without_empty(documents, eot):
    return right.pack([d for d in documents if d], eot)


def windows(starts, ids, context, shift=1):
    ids = torch.as_tensor(ids)
    pick = [ids[s:s + context] for s in starts]
    late = [ids[s + shift:s + shift + context] for s in starts]
    return torch.stack(pick), torch.stack(late)


def starts(ids, step, rows, context, seed, by_epoch=True):
    """Where the right windows start."""
    count, found = (len(ids) - 1) // context, []
    for place in range(step * rows, (step + 1) * rows):
        epoch, number = divmod(place, count)
        draw = torch.Generator().manual_seed(
            1_000_003 * seed + epoch * by_epoch)
        order = torch.randperm(count, generator=draw)
        found.append(int(order[number]) * context)
    return found


@mistake("batch", "targets are not shifted",
         "The target at each place is the next token, one place later.")
def not_shifted(ids, step, rows, context, seed):
    return windows(starts(ids, step, rows, context, seed), ids, context, 0)


@mistake("batch", "windows start anywhere, drawn anew",
         "Over an epoch some text comes twice and some never: permute the "
         "windows instead.")
def anywhere(ids, step, rows, context, seed):
    draw = torch.Generator().manual_seed(1_000_003 * seed + step)
    at = torch.randint(len(ids) - context, (rows,), generator=draw)
    return windows(at.tolist(), ids, context)


@mistake("batch", "windows start anywhere, and not the same again",
         "torch.randint, as in many a training loop: over an epoch some "
         "text comes twice and some never, and a step cannot be repeated.")
def anywhere_anew(ids, step, rows, context, seed):
    at = torch.randint(len(ids) - context, (rows,))
    return windows(at.tolist(), ids, context)


@mistake("batch", "not the same again",
         "The global random state changes from call to call: draw from a "
         "generator made of seed and epoch.")
def forgets(ids, step, rows, context, seed):
    count = (len(ids) - 1) // context
    at = torch.randperm(count).repeat(rows)[:rows] * context
    return windows(at.tolist(), ids, context)


@mistake("batch", "windows are not shuffled",
         "In the text's own order neighbouring batches are of one piece.")
def in_order(ids, step, rows, context, seed):
    count = (len(ids) - 1) // context
    at = [(step * rows + row) % count * context for row in range(rows)]
    return windows(at, ids, context)


@mistake("batch", "every epoch has the same order",
         "The order depends on the seed and on the epoch.")
def same_order(ids, step, rows, context, seed):
    return windows(starts(ids, step, rows, context, seed, False), ids,
                   context)


@mistake("batch", "the seed is not used",
         "Another seed gives another order.")
def no_seed(ids, step, rows, context, seed):
    return windows(starts(ids, step, rows, context, 0), ids, context)


@mistake("batch", "the step is not used",
         "Every step has the same rows.")
def no_step(ids, step, rows, context, seed):
    return windows(starts(ids, 0, rows, context, seed), ids, context)


@mistake("batch", "the last windows of an epoch are dropped",
         "As with drop_last=True; here a batch goes on into the next epoch.")
def dropped(ids, step, rows, context, seed):
    count = (len(ids) - 1) // context
    epoch, number = divmod(step, count // rows)
    draw = torch.Generator().manual_seed(1_000_003 * seed + epoch)
    starts = context * torch.randperm(count, generator=draw)[
        number * rows:][:rows]
    places = starts[:, None] + torch.arange(context)
    return ids[places], ids[places + 1]


@mistake("batch", "the window with the last token is left out",
         "There are (N - 1) // context windows: the last target may be the "
         "last token.")
def last_left_out(ids, step, rows, context, seed):
    short = ids[:len(ids) - 1]
    return windows(starts(short, step, rows, context, seed), ids, context)
