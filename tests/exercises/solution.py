"""A complete file: all steps, each written for its own sake."""

import math

import torch
from torch import nn
from torch.nn import functional as F


def bigram_counts(ids, vocab_size):
    pairs = ids[:-1] * vocab_size + ids[1:]
    counts = torch.bincount(pairs, minlength=vocab_size**2)
    return counts.view(vocab_size, vocab_size)


def bigram_loss(counts, ids):
    table = counts + 0.01
    table = table / table.sum(1, keepdim=True)
    return -table[ids[:-1], ids[1:]].log().mean()


def softmax(logits):
    power = (logits - logits.amax(-1, keepdim=True)).exp()
    return power / power.sum(-1, keepdim=True)


def cross_entropy(logits, targets):
    counts = targets != -100
    logits, targets = logits[counts], targets[counts]
    logs = logits - logits.logsumexp(-1, keepdim=True)
    return -logs[torch.arange(len(targets)), targets].mean()


def embed(ids, tokens, positions):
    return tokens[ids] + positions[:ids.shape[1]]


def attention(q, k, v):
    T = q.size(-2)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
    future = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(1)
    return softmax(scores.masked_fill(future, -torch.inf)) @ v


class SelfAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.n_head = config.n_head
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (part.view(B, T, self.n_head, -1).transpose(1, 2)
                   for part in self.c_attn(x).chunk(3, dim=-1))
        y = attention(q, k, v)  # (B, H, T, D)
        return self.c_proj(y.transpose(1, 2).reshape(B, T, C))


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd)
        self.attn = SelfAttention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd)
        self.mlp = MLP(config)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        V, T, C = config.vocab_size, config.context_length, config.n_embd
        self.transformer = nn.ModuleDict(dict(
            wte=nn.Embedding(V, C), wpe=nn.Embedding(T, C),
            h=nn.ModuleList(Block(config) for _ in range(config.n_layer)),
            ln_f=nn.LayerNorm(C)))
        for name, p in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(p)
            elif ".ln_" not in name:
                writes = name.endswith("c_proj.weight")
                nn.init.normal_(p, std=0.02 / (
                    math.sqrt(2 * config.n_layer) if writes else 1))

    def forward(self, ids):
        parts = self.transformer
        x = embed(ids, parts.wte.weight, parts.wpe.weight)
        for block in parts.h:
            x = block(x)
        return parts.ln_f(x) @ parts.wte.weight.T


def causal_loss(logits, ids):
    return cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def chinchilla(C, A, B, alpha, beta):
    both = alpha + beta
    N = (alpha * A / (beta * B)) ** (1 / both) * (C / 6) ** (beta / both)
    return N, C / (6 * N)


def merged(word, pair, token):
    out = []
    for each in word:
        if out and (out[-1], each) == pair:
            out[-1] = token
        else:
            out.append(each)
    return tuple(out)


def bpe_train(words, count):
    words, merges = {tuple(word): n for word, n in words.items()}, []
    while len(merges) < count:
        pairs = {}
        for word, n in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] = pairs.get(pair, 0) + n
        if not pairs:
            break
        best = max(pairs, key=lambda p: (pairs[p], -p[0], -p[1]))
        after = {}
        for word, n in words.items():
            word = merged(word, best, 256 + len(merges))
            after[word] = after.get(word, 0) + n
        words = after
        merges.append(best)
    return merges


def bpe_encode(word, merges):
    ids = tuple(word)
    for place, pair in enumerate(merges):
        ids = merged(ids, tuple(pair), 256 + place)
    return list(ids)


def bpe_decode(ids, merges):
    pieces = [bytes([b]) for b in range(256)]
    for a, b in merges:
        pieces.append(pieces[a] + pieces[b])
    return b"".join(pieces[i] for i in ids).decode(errors="replace")


def pack(documents, eot):
    row = [eot]
    for document in documents:
        row += [*document, eot]
    return row


def batch(ids, step, rows, context, seed):
    ids = torch.as_tensor(ids)
    count = (len(ids) - 1) // context
    windows = []
    for place in range(step * rows, (step + 1) * rows):
        epoch, number = divmod(place, count)
        draw = torch.Generator().manual_seed(10_007 * seed + epoch)
        start = torch.randperm(count, generator=draw)[number] * context
        windows.append(ids[start:start + context + 1])
    windows = torch.stack(windows)
    return windows[:, :-1], windows[:, 1:]


def adamw(weight, gradient, m, v, step, rate, decay=0.1):
    m = 0.9 * m + 0.1 * gradient
    v = 0.95 * v + 0.05 * gradient**2
    mean, size = m / (1 - 0.9**step), v / (1 - 0.95**step)
    weight = weight * (1 - rate * decay)
    return weight - rate * mean / (size.sqrt() + 1e-8), m, v


def clip(gradients, largest):
    norm = sum(g.square().sum() for g in gradients).sqrt()
    if norm <= largest:
        return gradients, norm
    return [g * (largest / norm) for g in gradients], norm


def learning_rate(step, steps, warmup, peak):
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * min(1, (steps - step) / max(1, round(steps / 5)))


def training_step(loss, optimizer, parameters, inputs, targets, micro_rows,
                  largest):
    total = 0.0
    for x, y in zip(inputs.split(micro_rows), targets.split(micro_rows)):
        piece = loss(x, y) * (len(x) / len(inputs))
        piece.backward()
        total += piece.item()
    held = [p for p in parameters if p.grad is not None]
    for p, gradient in zip(held, clip([p.grad for p in held], largest)[0]):
        p.grad = gradient
    optimizer.step()
    optimizer.zero_grad()
    return total


def probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    if temperature == 0:
        return F.one_hot(logits.argmax(), len(logits)).double()
    p = softmax(logits.double() / temperature)
    p, places = p.sort(descending=True)
    if top_k is not None:
        p[top_k:] = 0
    if top_p is not None:
        p[p.cumsum(0) - p >= top_p * p.sum()] = 0
    return torch.zeros_like(p).scatter(0, places, p / p.sum())


def cached_attention(q, k, v, cache=None):
    if cache is not None:
        k, v = torch.cat((cache[0], k), 2), torch.cat((cache[1], v), 2)
    T, S = q.size(2), k.size(2)
    seen = torch.ones(T, S, dtype=torch.bool).tril(S - T)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
    return softmax(scores.masked_fill(~seen, -torch.inf)) @ v, (k, v)


def generate(model, ids, count, context, temperature=1.0, top_k=None,
             top_p=None):
    row = list(ids)
    for _ in range(count):
        logits = model(torch.tensor([row[-context:]]))[0, -1]
        p = probabilities(logits, temperature, top_k, top_p)
        row.append(torch.multinomial(p, 1).item())
    return row[len(ids):]


def bits_per_byte(loss, tokens, bytes):
    return loss * tokens / math.log(2) / bytes


def rotary(x, start=0):
    T, D = x.shape[-2:]
    speeds = 10_000.0 ** (-torch.arange(D // 2) * 2 / D)
    angles = (start + torch.arange(T))[:, None] * speeds
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * angles.cos() - b * angles.sin(),
                      b * angles.cos() + a * angles.sin()), dim=-1)


def muon(gradient, iterations=5):
    tall = gradient.size(0) > gradient.size(1)
    X = gradient.T if tall else gradient
    X = X / X.norm()
    for _ in range(iterations):
        A = X @ X.T
        X = 3.4445 * X + (-4.7750 * A + 2.0315 * A @ A) @ X
    return X.T if tall else X
