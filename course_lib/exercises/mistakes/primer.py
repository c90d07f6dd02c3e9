"""Known mistakes of chapter 0."""

import torch
from torch.nn import functional as F

from course_lib.exercises.step import Bank
from course_lib.exercises.steps import primer as right

mistake = Bank()


@mistake("bigram_counts", "repeated pairs are counted once",
         "counts[a, b] += 1 with tensors a and b reads all places, adds, and "
         "then writes: a pair that repeats is written twice, as 1. Use "
         "index_put_(..., accumulate=True), bincount, or a loop.")
def counted_once(ids, vocab_size):
    counts = torch.zeros(vocab_size, vocab_size)
    counts[ids[:-1], ids[1:]] += 1
    return counts


@mistake("bigram_counts", "rows and columns are swapped",
         "Row a, column b is for b right after a; here it is the other way "
         "round.")
def swapped(ids, vocab_size):
    return right.bigram_counts(ids, vocab_size).T


@mistake("bigram_counts", "single tokens are counted, not pairs",
         "Each pair of a token with itself holds the token's own count: the "
         "second of a pair is the next token, ids[1:].")
def singles(ids, vocab_size):
    return torch.bincount(ids, minlength=vocab_size).diag()


@mistake("bigram_counts", "the last pair is missing",
         "N ids make N - 1 pairs; range(len(ids) - 2) leaves the last out.")
def last_missing(ids, vocab_size):
    return right.bigram_counts(ids[:-1], vocab_size)


@mistake("bigram_counts", "the text is joined end to start",
         "ids[i - 1] at i = 0 is the last token (and torch.roll wraps "
         "around): a pair that is not in the text.")
def wrapped(ids, vocab_size):
    return right.bigram_counts(torch.cat([ids[-1:], ids]), vocab_size)


@mistake("bigram_counts", "rows are divided by their sums",
         "These are probabilities; the counts themselves are asked for.")
def divided(ids, vocab_size):
    counts = right.bigram_counts(ids, vocab_size)
    return counts / counts.sum(1, keepdim=True).clamp(min=1)


def bigram(counts, ids, extra=0.01, axis=1, total=torch.mean):
    table = counts + extra
    table = table / table.sum(axis, keepdim=True)
    return total(-table[ids[:-1], ids[1:]].log())


@mistake("bigram_loss", "nothing is added to the counts",
         "A pair that never came has probability 0, and costs infinity: add "
         "0.01 to each count.")
def nothing_added(counts, ids):
    return bigram(counts, ids, extra=0)


@mistake("bigram_loss", "the sums are of the counts without the 0.01",
         "Add 0.01 first and sum then: the row is to sum to one.")
def sums_before(counts, ids):
    table = (counts + 0.01) / counts.sum(1, keepdim=True)
    return -table[ids[:-1], ids[1:]].log().mean()


@mistake("bigram_loss", "columns are divided by their sums",
         "Each row is a distribution over what comes next, so the sums run "
         "along the row: sum(1, keepdim=True).")
def columns(counts, ids):
    return bigram(counts, ids, axis=0)


@mistake("bigram_loss", "rows are divided by the sums of other rows",
         "counts.sum(1) has shape (V,), and dividing (V, V) by it divides "
         "the columns: keepdim=True makes it (V, 1).")
def no_keepdim(counts, ids):
    table = counts + 0.01
    table = table / table.sum(1)
    return -table[ids[:-1], ids[1:]].log().mean()


@mistake("bigram_loss", "a sum, not a mean",
         "The loss is per pair: divide by the N - 1 pairs.")
def summed(counts, ids):
    return bigram(counts, ids, total=torch.sum)


@mistake("bigram_loss", "the sum is divided by N, not by N - 1",
         "N tokens make N - 1 pairs.")
def by_tokens(counts, ids):
    return bigram(counts, ids, total=torch.sum) / len(ids)


@mistake("bigram_loss", "in bits, not in nats",
         "log2 gives bits; nats take the natural logarithm.")
def in_bits(counts, ids):
    return bigram(counts, ids) / torch.tensor(2.0).log()


@mistake("bigram_loss", "the logarithm of the mean",
         "The mean of the logarithms is asked for: it is never less than "
         "minus the logarithm of the mean.")
def log_of_mean(counts, ids):
    return bigram(counts, ids, total=lambda nats: -(-nats).exp().mean().log())


@mistake("bigram_loss", "the sign is missing",
         "ln p is negative; the loss is -ln p.")
def negative(counts, ids):
    return -bigram(counts, ids)


@mistake("softmax", "the largest is not subtracted first",
         "e^1000 is infinite, and infinity over infinity is NaN. Subtract "
         "each row's largest logit; the result is the same.")
def overflows(logits):
    return logits.exp() / logits.exp().sum(-1, keepdim=True)


@mistake("softmax", "along the first axis, not the last",
         "Each row is one distribution: dim=-1.")
def first_axis(logits):
    return logits.softmax(0)


@mistake("softmax", "over all numbers at once",
         "sum() without dim adds all rows together: each row by itself sums "
         "to 1.")
def over_all(logits):
    return logits.flatten().softmax(0).view(logits.shape)


@mistake("softmax", "a small number is added below the line",
         "The sum of exponentials, with the largest subtracted, is at least "
         "1: nothing need be added, and the rows would no longer sum to 1.")
def epsilon(logits):
    power = (logits - logits.amax(-1, keepdim=True)).exp()
    return power / (power.sum(-1, keepdim=True) + 1e-6)


@mistake("softmax", "the logarithm of it",
         "This is log_softmax.")
def logarithm(logits):
    return logits.log_softmax(-1)


@mistake("softmax", "the largest of all rows is subtracted from each",
         "A row far below it is all zeros after exp, and 0 / 0 is NaN: "
         "take the largest along the last axis.")
def one_largest(logits):
    power = (logits - logits.max()).exp()
    return power / power.sum(-1, keepdim=True)


@mistake("cross_entropy", "a target of -100 counts",
         "-100 as an index is counted from the end, or fails: leave those "
         "rows out of the sum and of the count.")
def counts_ignored(logits, targets):
    return -logits.log_softmax(-1)[range(len(targets)), targets].mean()


@mistake("cross_entropy", "divided by all rows, not by those that count",
         "The mean is over the targets that are not -100.")
def by_rows(logits, targets):
    return F.cross_entropy(logits, targets, reduction="sum") / len(targets)


@mistake("cross_entropy", "a sum, not a mean",
         "Divide by how many targets count.")
def entropy_sum(logits, targets):
    return F.cross_entropy(logits, targets, reduction="sum")


@mistake("cross_entropy", "softmax is taken twice",
         "What comes in are logits. F.cross_entropy takes the softmax "
         "itself, and so does log_softmax.")
def twice(logits, targets):
    return F.cross_entropy(logits.softmax(-1), targets)


@mistake("cross_entropy", "the logarithm of a rounded softmax",
         "A softmax can be exactly 0, and its logarithm is -infinity: z - "
         "logsumexp(z) never gets there.")
def log_of_softmax(logits, targets):
    kept = targets != -100
    rows, places = logits[kept], targets[kept]
    return -rows.softmax(-1)[range(len(rows)), places].log().mean()


@mistake("cross_entropy", "the sign is missing",
         "ln p is negative; the loss is -ln p.")
def entropy_sign(logits, targets):
    return -F.cross_entropy(logits, targets)


@mistake("cross_entropy", "in bits, not in nats",
         "log2 gives bits; nats take the natural logarithm.")
def entropy_bits(logits, targets):
    return F.cross_entropy(logits, targets) / torch.tensor(2.0).log()


@mistake("cross_entropy", "the loss has no gradient",
         "detach(), item(), torch.tensor(...) or NumPy cut it off from the "
         "logits: nothing could be learned from it.")
def detached(logits, targets):
    return F.cross_entropy(logits, targets).detach()
