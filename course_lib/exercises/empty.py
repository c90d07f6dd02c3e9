"""My GPT, from an empty file.

Each function and class below has a docstring that says what it takes and
what it gives, and no body yet. Write the bodies, in any order and style:

    course check my_gpt.py                  all steps
    course check my_gpt.py attention        one step
    course check my_gpt.py --watch          again whenever you save
    course check my_gpt.py gpt --hint       a hint; --hint 2 and 3 say more

You may add helpers and imports, and use PyTorch or NumPy, but not the very
function that a step asks for. Numbers are checked in 64 bits, so keep the
number format of what you are given: no .float(). Nothing changes its
arguments unless it says so.

Letters in shapes: B batch, T time (tokens in a row), C channels, H heads,
D = C / H channels of a head, V vocabulary. A loss is in nats a token.

A class may take `config` or any of its fields by name: vocab_size,
context_length (or block_size), n_layer, n_head, n_embd, dropout, bias.
With the parameter names of GPT-2 weights find their places by themselves,
and mostly with other names too. If not, say in a function where they go:

    def load_gpt2(module, weights): ...  # copy `weights`, a dict of tensors
"""

import torch  # noqa: F401
from torch import nn

# Chapter 0


def bigram_counts(ids, vocab_size):
    """How often each token b came right after each token a.

    ids: (N,) int64. Returns (V, V): row a, column b.
    """


def bigram_loss(counts, ids):
    """Mean of -ln p(next | last) over the pairs of neighbours in a text.

    counts: (V, V) as above; 0.01 is added to each, so that nothing is ruled
    out. ids: (N,) int64, N at least 2. Returns nats a pair.
    """


def softmax(logits):
    """Probabilities along the last axis: e^z over the sum of e^z.

    logits: (..., V), of any size, 1,000 and -inf too. Returns (..., V).
    """


def cross_entropy(logits, targets):
    """Mean of -ln softmax(logits)[target] over the targets that count.

    logits: (N, V) of any size; targets: (N,) int64, where -100 does not
    count. Returns a scalar tensor in nats, with a gradient.
    """


# Chapter 1


def embed(ids, tokens, positions):
    """The vector of each token plus the vector of the place it stands at.

    ids: (B, T) int64; tokens: (V, C); positions: (T or more, C).
    Returns (B, T, C).
    """


def attention(q, k, v):
    """Causal attention: each query's mean of the values up to its own
    place, weighed by softmax(q k / sqrt(D)).

    q, k: (B, H, T, D), v: the same or of another width. Returns v's shape,
    with a gradient.
    """


class SelfAttention(nn.Module):
    """x (B, T, C) -> (B, T, C): one linear map to queries, keys and values,
    in that order, `attention` in H heads, and a second linear map.

    GPT-2's names: c_attn (C to 3C) and c_proj (C to C), both with biases.
    """


class MLP(nn.Module):
    """x (B, T, C) -> (B, T, C): a linear map to 4C, the GELU in its tanh
    form, and a linear map back.

    GPT-2's names: c_fc (C to 4C) and c_proj (4C to C), both with biases.
    """


class Block(nn.Module):
    """x (B, T, C) -> (B, T, C): norm, attention, added to x; norm, MLP,
    added to that. The norm is LayerNorm, with 1e-5 under the root.

    GPT-2's names: ln_1, attn, ln_2, mlp.
    """


class GPT(nn.Module):
    """ids (B, T) int64 -> logits (B, T, V), T up to the context: token and
    position embeddings added, the blocks, a norm, and as the last map the
    token embedding once more. `(logits, loss)` will do too.

    GPT-2's names: transformer.wte, transformer.wpe, transformer.h,
    transformer.ln_f. A new one has GPT-2's first weights (the step
    first_weights): normal of standard deviation 0.02, the two maps of each
    block that end in C divided by sqrt(2 * n_layer) more; biases 0, norms
    1 and 0.
    """


def causal_loss(logits, ids):
    """Mean cross-entropy of each token given the ones before it.

    logits: (B, T, V), of a model that has read ids: (B, T) int64. The last
    logits of a row and its first token have no partner. Returns a scalar
    tensor in nats, with a gradient.
    """


# Chapter 2


def chinchilla(C, A, B, alpha, beta):
    """(N, D), parameters and tokens, where A / N^alpha + B / D^beta is least
    for a budget of C = 6 N D FLOP.
    """


# Chapter 3: a token below 256 is the byte of that number.


def bpe_train(words, count):
    """The `count` merges that byte-pair encoding learns.

    words: a dict from a word (bytes) to how often it occurs. Returns a list
    of pairs of ids, in the order of learning: merge i makes the token
    256 + i. The most frequent pair is merged, among equals the smaller one
    (by its first id, then its second). Pairs do not cross words, and
    learning ends early where no pair is left.
    """


def bpe_encode(word, merges):
    """Token ids of a word (bytes): the merges that apply, earliest learned
    first. Returns a list of ids.
    """


def bpe_decode(ids, merges):
    """The text of token ids, as a str. Bytes that are no UTF-8 become
    U+FFFD.
    """


def pack(documents, eot):
    """One flat row of ids: `eot`, a document, `eot`, a document, ..., `eot`.

    documents: a list of lists of ids. Returns a list or (N,) array.
    """


def batch(ids, step, rows, context, seed):
    """(inputs, targets) of a step, each (rows, context): windows of `ids`
    (N,), the targets one token later than the inputs.

    The same arguments give the same batch. Steps count on through the
    epochs: epoch after epoch each of the (N - 1) // context windows that
    begin at a multiple of the context comes exactly once, in an order that
    depends on seed and epoch.
    """


# Chapter 4


def adamw(weight, gradient, m, v, step, rate, decay=0.1):
    """One update of AdamW, with betas 0.9 and 0.95 and epsilon 1e-8.

    weight, gradient, and the averages m (of the gradient) and v (of its
    square) have one shape; step counts from 1. The decay takes rate * decay
    of the weight. Returns the new (weight, m, v); they may be the old ones,
    written over.
    """


def clip(gradients, largest):
    """Scale gradients down together so that the norm over all of them is at
    most `largest`.

    gradients: a list of tensors, which may be written over. Returns (a list
    of them, clipped; the norm before, a scalar).
    """


def learning_rate(step, steps, warmup, peak):
    """The rate of a step, counted from 0: up in a line, at step 0 to
    peak / warmup and at step warmup - 1 to the peak; level; and over the
    last fifth of the steps, round(steps / 5), down in a line, to what would
    be 0 one step after the last.
    """


def training_step(loss, optimizer, parameters, inputs, targets, micro_rows,
                  largest):
    """One update, the rows in turns of at most `micro_rows`, whose
    gradients add up to those of the whole batch.

    loss(inputs, targets) is the mean over some rows; optimizer has step()
    and zero_grad(); parameters is a list. The gradients are clipped to
    `largest` before the step and cleared for the next one. Returns the mean
    loss of the whole batch, a float.
    """


# Chapter 5


def probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    """What to draw the next token from: logits divided by the temperature
    (0 puts everything on the largest); then only the top_k likeliest; of
    these the fewest that together reach top_p of what is left.

    logits: (V,). Returns (V,), which sum to 1.
    """


def cached_attention(q, k, v, cache=None):
    """Causal attention of new tokens, which also see those in the cache.

    q, k, v: (B, H, T, D) of the T new tokens. Returns (the output
    (B, H, T, D), the cache for the next call); None is an empty one.
    """


def generate(model, ids, count, context, temperature=1.0, top_k=None,
             top_p=None):
    """`count` new tokens after the prompt `ids`, a list. Returns the new
    ones only, as a list.

    model(ids) takes (1, T) int64 with T up to the context and gives logits
    (1, T, V). Past the context the oldest tokens are left out, and at least
    half of a context is kept.
    """


def bits_per_byte(loss, tokens, bytes):
    """What a text costs in bits for each of its bytes.

    loss: mean nats a token; tokens and bytes: how many the text has.
    """


# Chapter 6, for the brave


def rotary(x, start=0):
    """Rotary positions: turn pairs of channels by an angle that grows with
    the place.

    x: (B, H, T, D), its first token at place `start`. Channel i and channel
    i + D/2 are a pair, turned by place * 10000^(-2i/D) radians, from the
    first towards the second. Returns x's shape.
    """


def muon(gradient, iterations=5):
    """A matrix with the directions of `gradient`, all of about one length.

    Divide by the norm of all entries. Then, in turns,
    X = a X + (b A + c A A) X with A = X X^T, (a, b, c) = (3.4445, -4.7750,
    2.0315). X has no more rows than columns: a tall matrix is turned
    before and after. Returns the gradient's shape.
    """
