"""Chapter 0: bigrams, softmax, cross-entropy."""

import torch
from torch.nn import functional as F

from course_lib.exercises.step import Step
from course_lib.exercises.values import plain

CHAPTER = "00_primer"


def bigram_counts(ids, vocab_size):
    """(V, V) counts of pairs: row the first of (N,) ids, column the next."""
    counts = torch.zeros(vocab_size, vocab_size)
    one = torch.tensor(1.0)
    return counts.index_put_((ids[:-1], ids[1:]), one, accumulate=True)


def bigram_loss(counts, ids):
    """Mean nats a pair of (N,) ids, of (V, V) counts with 0.01 added."""
    table = counts + 0.01
    table = table / table.sum(1, keepdim=True)
    return -table[ids[:-1], ids[1:]].log().mean()


def softmax(logits):
    """Probabilities of (..., V) logits along the last axis."""
    return logits.softmax(-1)


def cross_entropy(logits, targets):
    """Mean nats of (N, V) logits at (N,) targets; those of -100 do not
    count."""
    return F.cross_entropy(logits, targets)


def texts():
    """Short rows of ids, then longer ones in which pairs repeat."""
    yield torch.tensor([0, 1]), 2
    yield torch.tensor([0, 1, 1]), 2
    yield torch.tensor([0, 0, 1, 0, 1]), 2
    for seed, (n, V) in enumerate([(4, 3), (8, 4), (40, 5), (300, 7)]):
        draw = torch.Generator().manual_seed(seed)
        yield torch.randint(V, (n,), generator=draw), V
    yield torch.tensor([0] * 300 + [1]), 2  # more than a byte can count


def count_cases():
    """Texts to count pairs in, the smallest first."""
    for ids, V in texts():
        yield dict(ids=ids, vocab_size=V)


def loss_cases():
    """Counts of a text, or of another one, and a text to measure."""
    for ids, V in texts():
        yield dict(counts=bigram_counts(ids, V), ids=ids)
    for ids, V in texts():  # counts of another text
        yield dict(counts=bigram_counts(ids.flip(0)[:9], V), ids=ids)


def softmax_cases():
    """Logits in rows, tables and blocks; then very large ones and -inf."""
    yield dict(logits=torch.tensor([0.0, 1.0]))
    yield dict(logits=torch.tensor([[0.0, 0.0], [0.0, 2.0]]))
    for seed, shape in enumerate([(3,), (2, 3), (3, 2), (2, 2, 3), (4, 50)]):
        draw = torch.Generator().manual_seed(seed)
        yield dict(logits=3 * torch.randn(shape, generator=draw))
    yield dict(logits=torch.tensor([[1000.0, 1001.0], [-1001.0, -1000.0]]))
    yield dict(logits=torch.tensor([[0.0, -torch.inf, 1.0]]))


def entropy_cases():
    """Logits and targets, some of which do not count; then logits that
    overflow."""
    yield dict(logits=torch.tensor([[0.0, 1.0]]), targets=torch.tensor([0]))
    for seed, (N, V) in enumerate([(1, 3), (2, 2), (3, 5), (40, 20)]):
        draw = torch.Generator().manual_seed(seed)
        logits = 2 * torch.randn(N, V, generator=draw)
        targets = torch.randint(V, (N,), generator=draw)
        yield dict(logits=logits, targets=targets)
        if N > 1:
            targets = targets.clone()
            targets[::2] = -100
            yield dict(logits=logits, targets=targets)
    yield dict(logits=torch.tensor([[1000.0, 0.0], [0.0, 1000.0]]),
               targets=torch.tensor([1, 1]))


def loss_and_gradient(candidate, case) -> dict:
    """A loss of `logits` and its gradient."""
    logits = case["logits"].clone().requires_grad_()
    rest = {name: value.clone() for name, value in case.items()
            if name != "logits"}
    loss = candidate(logits=logits, **rest)
    seen = {"output": plain(loss)}
    if not (torch.is_tensor(loss) and loss.requires_grad):
        return seen | {"gradient": "none: no tensor that remembers logits"}
    loss.sum().backward()
    return seen | {"gradient": plain(logits.grad)}


STEPS = [
    Step("bigram_counts", CHAPTER, "What does a language model say?",
         count_cases, (bigram_counts,), hints=(
             "The pairs are zip(ids, ids[1:]): N ids make N - 1 pairs.",
             "Start from zeros (V, V) and add 1 at [a, b] for each pair; "
             "counts[a, b] += 1 with whole tensors of a and b adds repeated "
             "pairs once only: see index_put_ with accumulate=True.")),
    Step("bigram_loss", CHAPTER, "How wrong is it?", loss_cases,
         (bigram_loss,), hints=(
             "Add 0.01 to each count, divide each row by its own sum, and "
             "look up the probability of each pair of the text.",
             "The loss is the mean of the logarithms, negated; not the "
             "logarithm of the mean.")),
    Step("softmax", CHAPTER, "Can it learn this without counting?",
         softmax_cases, (softmax,), hints=(
             "Exponentials over their sum along the last axis, which must "
             "stay there to be divided by: keepdim=True.",
             "e^1000 is infinite. Subtracting the largest logit of each row "
             "first changes nothing else.")),
    Step("cross_entropy", CHAPTER, "Can it learn this without counting?",
         entropy_cases, (cross_entropy,), loss_and_gradient, hints=(
             "Of each row take the logarithm of the softmax at the target, "
             "and leave out rows whose target is -100.",
             "log softmax(z) is z - logsumexp(z): written so, no number gets "
             "too large or too small. Divide by how many targets count.")),
]
