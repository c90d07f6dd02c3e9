"""Right implementations in other styles than the solution's: loops, einsum,
in place, NumPy, built-in functions. None may be refused."""

import collections
import math

import numpy as np
import solution
import torch
from styles import like_a_lecture, like_mingpt, like_nanogpt, with_einsum
from torch import nn
from torch.nn import functional as F

RIGHT = collections.defaultdict(list)


def right(step):
    def add(made):
        RIGHT[step].append(made)
        return made
    return add


@right("bigram_counts")
def counts_by_loop(ids, vocab_size):
    counts = [[0] * vocab_size for _ in range(vocab_size)]
    for a, b in zip(ids.tolist(), ids.tolist()[1:]):
        counts[a][b] += 1
    return counts


@right("bigram_counts")
def counts_numpy(ids, vocab_size):
    counts = np.zeros((vocab_size, vocab_size), np.int32)
    np.add.at(counts, (ids[:-1].numpy(), ids[1:].numpy()), 1)
    return counts


@right("bigram_counts")
def counts_one_hot(ids, vocab_size):
    hot = F.one_hot(ids, vocab_size).float()
    return torch.einsum("na,nb->ab", hot[:-1], hot[1:])


@right("bigram_loss")
def loss_by_loop(counts, ids):
    total, V = 0.0, len(counts)
    for a, b in zip(ids.tolist(), ids.tolist()[1:]):
        row = counts[a].tolist()
        total -= math.log((row[b] + 0.01) / (sum(row) + 0.01 * V))
    return total / (len(ids) - 1)


@right("bigram_loss")
def loss_numpy(counts, ids):
    table = counts.numpy() + 0.01
    table /= table.sum(1, keepdims=True)
    return float(np.mean(-np.log(table[ids[:-1], ids[1:]])))


@right("bigram_loss")
def loss_by_entropy(counts, ids):
    return F.cross_entropy((counts + 0.01).log()[ids[:-1]], ids[1:])


@right("softmax")
def softmax_numpy(logits):
    z = np.asarray(logits)
    z = np.exp(z - z.max(-1, keepdims=True))
    return z / z.sum(-1, keepdims=True)


@right("softmax")
def softmax_by_rows(logits):
    rows = logits.reshape(-1, logits.shape[-1]).tolist()
    out = []
    for row in rows:
        power = [math.exp(z - max(row)) for z in row]
        out.append([p / sum(power) for p in power])
    return torch.tensor(out).reshape(logits.shape)


@right("softmax")
def softmax_in_place(logits):
    p = logits.clone().sub_(logits.max(-1, keepdim=True).values).exp_()
    return p.div_(p.sum(-1, keepdim=True))


@right("softmax")
def softmax_by_logs(logits):
    return (logits - torch.logsumexp(logits, -1, True)).exp()


@right("cross_entropy")
def entropy_gather(logits, targets):
    counts = (targets != -100).to(logits.dtype)
    picked = logits.log_softmax(-1).gather(
        1, targets.clamp(min=0)[:, None])[:, 0]
    return -(picked * counts).sum() / counts.sum()


@right("cross_entropy")
def entropy_by_loop(logits, targets):
    nats = [torch.logsumexp(row, 0) - row[t]
            for row, t in zip(logits, targets.tolist()) if t >= 0]
    return torch.stack(nats).mean()


@right("cross_entropy")
def entropy_nll(logits, targets):
    return F.nll_loss(F.log_softmax(logits, 1), targets, ignore_index=-100)


@right("embed")
def embed_functional(ids, tokens, positions):
    places = torch.arange(ids.size(1)).expand_as(ids)
    return F.embedding(ids, tokens) + F.embedding(places, positions)


@right("embed")
def embed_one_hot(ids, tokens, positions):
    hot = F.one_hot(ids, len(tokens)).to(tokens.dtype)
    return torch.einsum("btv,vc->btc", hot, tokens) \
        + positions[None, :ids.shape[-1]]


@right("embed")
def embed_numpy(ids, tokens, positions):
    out = np.zeros((*ids.shape, tokens.shape[1]))
    for b, row in enumerate(ids.tolist()):
        for t, i in enumerate(row):
            out[b, t] = tokens.numpy()[i] + positions.numpy()[t]
    return out


@right("attention")
def attention_einsum(q, k, v):
    scores = torch.einsum("bhtd,bhsd->bhts", q, k) / q.shape[-1] ** 0.5
    seen = torch.tril(torch.ones(scores.shape[-2:])) == 1
    scores = torch.where(seen, scores, torch.tensor(float("-inf")))
    return torch.einsum("bhts,bhsd->bhtd", torch.softmax(scores, -1), v)


@right("attention")
def attention_by_loop(q, k, v):
    B, H, T, D = q.shape
    out = torch.zeros(B, H, T, v.shape[-1])
    for b in range(B):
        for h in range(H):
            for t in range(T):
                s = k[b, h, :t + 1] @ q[b, h, t] / math.sqrt(D)
                out[b, h, t] = s.softmax(0) @ v[b, h, :t + 1]
    return out


@right("attention")
def attention_large_negative(q, k, v):
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    scores.masked_fill_(torch.ones_like(scores).triu_(1).bool(), -1e30)
    return scores.softmax(-1) @ v


@right("attention")
def attention_added_mask(q, k, v):
    mask = torch.full((q.size(-2), q.size(-2)), -torch.inf).triu(1)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


for step, names in dict(
        self_attention=("CausalSelfAttention", "CausalSelfAttention",
                        "Attention", "MultiHeadAttention"),
        mlp=("MLP", None, "FeedForward", "FeedFoward"),
        block=("Block", "Block", "TransformerBlock", "Block"),
        gpt=("GPT", "GPT", "Transformer", "GPT"),
        first_weights=("GPT", "GPT", "Transformer", "GPT")).items():
    for style, name in zip((like_nanogpt, like_mingpt, with_einsum,
                            like_a_lecture), names):
        if name:
            RIGHT[step].append(getattr(style, name))


class Conv1D(nn.Module):
    """Weights as (in, out), as GPT-2's own code has them."""

    def __init__(self, rows, columns):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(rows, columns))
        self.bias = nn.Parameter(torch.zeros(columns))

    def forward(self, x):
        return torch.addmm(self.bias, x.flatten(0, -2), self.weight).view(
            *x.shape[:-1], -1)


@right("self_attention")
class AttentionOfConv1D(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.c_attn = Conv1D(config.n_embd, 3 * config.n_embd)
        self.c_proj = Conv1D(config.n_embd, config.n_embd)
        self.heads = config.n_head

    def forward(self, x):
        q, k, v = self.c_attn(x).unflatten(-1, (3, self.heads, -1)).permute(
            2, 0, 3, 1, 4)
        return self.c_proj(solution.attention(q, k, v).transpose(
            1, 2).flatten(2))


@right("mlp")
class MLPOfConv1D(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        self.c_fc = Conv1D(n_embd, 4 * n_embd)
        self.c_proj = Conv1D(4 * n_embd, n_embd)

    def forward(self, x):
        x = self.c_fc(x)
        return self.c_proj(0.5 * x * (1 + torch.tanh(
            math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))))


@right("causal_loss")
def causal_by_rows(logits, ids):
    return torch.stack([F.cross_entropy(a[:-1], b[1:])
                        for a, b in zip(logits, ids)]).mean()


@right("causal_loss")
def causal_ignoring(logits, ids):
    targets = torch.full_like(ids, -100)
    targets[:, :-1] = ids[:, 1:]
    return F.cross_entropy(logits.transpose(1, 2), targets)


@right("causal_loss")
def causal_gather(logits, ids):
    logs = torch.log_softmax(logits[:, :-1], -1)
    return -logs.gather(-1, ids[:, 1:, None]).mean()


@right("chinchilla")
def chinchilla_closed(C, A, B, alpha, beta):
    a, b = beta / (alpha + beta), alpha / (alpha + beta)
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    return [G * (C / 6) ** a, (C / 6) ** b / G]


@right("chinchilla")
def chinchilla_numpy(C, A, B, alpha, beta):
    slope = (np.log(alpha * A) - np.log(beta * B) + beta * np.log(C / 6))
    N = np.exp(slope / (alpha + beta))
    return np.array([N, C / (6 * N)])


@right("chinchilla")
def chinchilla_by_bisection(C, A, B, alpha, beta):
    low, high = -100.0, 100.0
    for _ in range(200):
        x = (low + high) / 2
        slope = beta * B * math.exp(beta * (x - math.log(C / 6))) \
            - alpha * A * math.exp(-alpha * x)
        low, high = (x, high) if slope < 0 else (low, x)
    return math.exp(x), C / 6 / math.exp(x)


@right("bpe_train")
def train_on_strings(words, count):
    """Words as lists, pairs in a Counter, sorted rather than max."""
    rows, merges = [([*word], n) for word, n in words.items()], []
    for i in range(count):
        pairs = collections.Counter()
        for ids, n in rows:
            for j in range(len(ids) - 1):
                pairs[ids[j], ids[j + 1]] += n
        if not pairs:
            return merges
        pair = sorted(pairs, key=lambda p: (-pairs[p], p))[0]
        merges.append([*pair])
        for ids, _ in rows:
            j = 0
            while j < len(ids) - 1:
                if (ids[j], ids[j + 1]) == pair:
                    ids[j:j + 2] = [256 + i]
                j += 1
    return merges


@right("bpe_train")
def train_incrementally(words, count):
    """Counts kept up to date where a merge changed something."""
    texts = {word: tuple(word) for word in words}
    pairs, merges = collections.Counter(), []
    for word, n in words.items():
        for pair in zip(texts[word], texts[word][1:]):
            pairs[pair] += n
    while len(merges) < count and (+pairs):
        top = max(pairs.values())
        best = min(p for p in pairs if pairs[p] == top)
        for word, n in words.items():
            old = texts[word]
            new = solution.merged(old, best, 256 + len(merges))
            if new != old:
                for pair in zip(old, old[1:]):
                    pairs[pair] -= n
                for pair in zip(new, new[1:]):
                    pairs[pair] += n
                texts[word] = new
        merges.append(best)
    return merges


@right("bpe_train")
def train_numpy(words, count):
    merges = solution.bpe_train(words, count)
    return np.array(merges, dtype=np.int64).reshape(-1, 2)


@right("bpe_encode")
def encode_earliest(word, merges):
    rank = {tuple(pair): i for i, pair in enumerate(merges)}
    ids = list(word)
    while len(ids) > 1:
        pair = min(zip(ids, ids[1:]), key=lambda p: rank.get(p, math.inf))
        if pair not in rank:
            break
        ids = list(solution.merged(ids, pair, 256 + rank[pair]))
    return ids


@right("bpe_encode")
def encode_one_at_a_time(word, merges):
    ids, rank = [*word], {tuple(p): i for i, p in enumerate(merges)}
    while True:
        known = [(rank[p], i) for i, p in enumerate(zip(ids, ids[1:]))
                 if p in rank]
        if not known:
            return ids
        merge, i = min(known)
        ids[i:i + 2] = [256 + merge]


@right("bpe_encode")
def encode_array(word, merges):
    return torch.tensor(solution.bpe_encode(word, merges), dtype=torch.int32)


@right("bpe_decode")
def decode_recursive(ids, merges):
    def spell(i):
        if i < 256:
            return bytes([i])
        return spell(merges[i - 256][0]) + spell(merges[i - 256][1])
    return b"".join(map(spell, ids)).decode("utf-8", errors="replace")


@right("bpe_decode")
def decode_by_dict(ids, merges):
    vocab = {i: bytes([i]) for i in range(256)}
    for i, (a, b) in enumerate(merges):
        vocab[256 + i] = vocab[a] + vocab[b]
    text = bytearray()
    for i in ids:
        text.extend(vocab[int(i)])
    return str(text, "utf-8", "replace")


@right("bpe_decode")
def decode_by_stack(ids, merges):
    left, out = [*ids][::-1], []
    while left:
        i = left.pop()
        if i < 256:
            out.append(i)
        else:
            left += [merges[i - 256][1], merges[i - 256][0]]
    return bytes(out).decode(errors="replace")


@right("pack")
def pack_joined(documents, eot):
    return [eot] + sum(([*d, eot] for d in documents), [])


@right("pack")
def pack_numpy(documents, eot):
    parts = [np.array([eot])]
    for document in documents:
        parts.append(np.array([*document, eot], dtype=np.uint16))
    return np.concatenate(parts)


@right("pack")
def pack_tensor(documents, eot):
    row = torch.full((1 + sum(len(d) + 1 for d in documents),), eot)
    start = 1
    for document in documents:
        row[start:start + len(document)] = torch.tensor(document)
        start += len(document) + 1
    return row


@right("batch")
def batch_numpy(ids, step, rows, context, seed):
    count = (len(ids) - 1) // context
    out = np.empty((rows, context + 1), np.int64)
    for row in range(rows):
        epoch, place = divmod(step * rows + row, count)
        order = np.random.default_rng([seed, epoch]).permutation(count)
        start = order[place] * context
        out[row] = ids[start:start + context + 1]
    return torch.from_numpy(out[:, :-1]), torch.from_numpy(out[:, 1:])


@right("batch")
def batch_unfolded(ids, step, rows, context, seed):
    windows = torch.as_tensor(ids).unfold(0, context + 1, context)
    places = torch.arange(step * rows, step * rows + rows)
    orders = {}
    for epoch in (places // len(windows)).tolist():
        draw = torch.Generator().manual_seed(hash((seed, epoch)) % 2**31)
        orders[epoch] = torch.randperm(len(windows), generator=draw)
    picked = torch.stack([windows[orders[p // len(windows)][p % len(windows)]]
                          for p in places.tolist()])
    return picked[:, :-1], picked[:, 1:]


@right("batch")
def batch_of_lists(ids, step, rows, context, seed):
    import random
    count, x, y = (len(ids) - 1) // context, [], []
    for place in range(step * rows, (step + 1) * rows):
        order = list(range(count))
        random.Random(f"{seed} {place // count}").shuffle(order)
        at = order[place % count] * context
        x.append([int(i) for i in ids[at:at + context]])
        y.append([int(i) for i in ids[at + 1:at + context + 1]])
    return torch.tensor(x), torch.tensor(y)


@right("adamw")
def adamw_in_place(weight, gradient, m, v, step, rate, decay=0.1):
    m.lerp_(gradient, 0.1)
    v.mul_(0.95).addcmul_(gradient, gradient, value=0.05)
    low = (v / (1 - 0.95**step)).sqrt_().add_(1e-8)
    weight.mul_(1 - rate * decay)
    weight.addcdiv_(m, low, value=-rate / (1 - 0.9**step))
    return weight, m, v


@right("adamw")
def adamw_numpy(weight, gradient, m, v, step, rate, decay=0.1):
    w, g, m, v = (x.numpy() for x in (weight, gradient, m, v))
    m = m + 0.1 * (g - m)
    v = 0.95 * v + (1 - 0.95) * g * g
    update = (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.95**step)) + 1e-8)
    return w - rate * (update + decay * w), m, v


@right("adamw")
def adamw_root_apart(weight, gradient, m, v, step, rate, decay=0.1):
    m, v = 0.9 * m + 0.1 * gradient, 0.95 * v + 0.05 * gradient.pow(2)
    first, second = 1 - 0.9**step, math.sqrt(1 - 0.95**step)
    low = v.sqrt() / second + 1e-8
    return weight - rate * decay * weight - rate / first * m / low, m, v


@right("clip")
def clip_in_place(gradients, largest):
    norm = torch.sqrt(sum((g * g).sum() for g in gradients))
    if norm > largest:
        for g in gradients:
            g.mul_(largest / norm)
    return gradients, norm


@right("clip")
def clip_with_a_millionth(gradients, largest):
    norm = torch.stack([torch.linalg.vector_norm(g) for g in gradients]
                       ).norm()
    scale = torch.clamp(largest / (norm + 1e-6), max=1.0)
    return [g * scale for g in gradients], norm.item()


@right("clip")
def clip_numpy(gradients, largest):
    arrays = [g.numpy() for g in gradients]
    norm = float(np.linalg.norm(np.concatenate([a.ravel() for a in arrays])))
    return [a * min(1, largest / max(norm, 1e-300)) for a in arrays], norm


@right("learning_rate")
def rate_by_cases(step, steps, warmup, peak):
    last = max(1, round(0.2 * steps))
    if step + 1 <= warmup:
        return (step + 1) / warmup * peak
    if step <= steps - last:
        return peak
    return (steps - step) / last * peak


@right("learning_rate")
def rate_numpy(step, steps, warmup, peak):
    last = max(1, round(steps / 5))
    if step < warmup:
        return np.linspace(0, peak, warmup + 1)[step + 1]
    return peak * np.clip((steps - step) / last, 0, 1)


@right("learning_rate")
def rate_interpolated(step, steps, warmup, peak):
    if step < warmup:
        return torch.tensor(peak * (step + 1) / warmup)
    down = steps - max(1, round(steps / 5))
    return float(np.interp(step, [down, steps], [peak, 0]))


@right("training_step")
def step_by_torch(loss, optimizer, parameters, inputs, targets, micro_rows,
                  largest):
    optimizer.zero_grad(set_to_none=True)
    total = torch.zeros(())
    for i in range(0, len(inputs), micro_rows):
        x, y = inputs[i:i + micro_rows], targets[i:i + micro_rows]
        part = loss(x, y) * len(x) / len(inputs)
        part.backward()
        total += part.detach()
    nn.utils.clip_grad_norm_(parameters, largest)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total


@right("training_step")
def step_summed(loss, optimizer, parameters, inputs, targets, micro_rows,
                largest):
    """Sums over rows, divided at the end."""
    nats = 0.0
    for i in range(0, len(inputs), micro_rows):
        x, y = inputs[i:i + micro_rows], targets[i:i + micro_rows]
        part = loss(x, y) * len(x)
        part.backward()
        nats += part.item()
    with torch.no_grad():
        for p in parameters:
            p.grad /= len(inputs)
        norm = torch.cat([p.grad.flatten() for p in parameters]).norm()
        for p in parameters:
            p.grad *= min(1.0, largest / norm.item())
    optimizer.step()
    optimizer.zero_grad()
    return nats / len(inputs)


@right("training_step")
def step_with_grad(loss, optimizer, parameters, inputs, targets, micro_rows,
                   largest):
    gradients, total = [0] * len(parameters), 0.0
    for x, y in zip(inputs.split(micro_rows), targets.split(micro_rows)):
        share = len(x) / len(inputs)
        part = loss(x, y)
        for i, g in enumerate(torch.autograd.grad(part, parameters)):
            gradients[i] = gradients[i] + share * g
        total += share * float(part)
    for p, g in zip(parameters, solution.clip(gradients, largest)[0]):
        p.grad = g
    optimizer.step()
    optimizer.zero_grad()
    return total


@right("probabilities")
def probabilities_masked(logits, temperature=1.0, top_k=None, top_p=None):
    if temperature == 0:
        p = torch.zeros_like(logits)
        p[logits.argmax()] = 1
        return p
    logits = logits / temperature
    if top_k is not None:
        least = torch.topk(logits, min(top_k, logits.size(-1))).values[-1]
        logits = torch.where(logits < least, -torch.inf, logits)
    if top_p is not None and top_p < 1:
        values, places = torch.sort(logits, descending=True)
        before = values.softmax(-1).cumsum(-1).roll(1)
        before[0] = 0
        logits[places[before >= top_p]] = -torch.inf
    return F.softmax(logits, dim=-1)


@right("probabilities")
def probabilities_numpy(logits, temperature=1.0, top_k=None, top_p=None):
    z = np.array(logits, dtype=np.float64)
    if temperature == 0:
        return np.eye(len(z))[z.argmax()]
    p = np.exp((z - z.max()) / temperature)
    order = np.argsort(-p)
    if top_k:
        p[order[top_k:]] = 0
    if top_p:
        total, reached = p.sum(), 0.0
        for i in order:
            if reached >= top_p * total:
                p[i] = 0
            reached += p[i]
    return p / p.sum()


@right("probabilities")
def probabilities_by_list(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits.tolist()
    order = sorted(range(len(z)), key=lambda i: -z[i])
    if temperature == 0:
        return [float(i == order[0]) for i in range(len(z))]
    power = [math.exp((x - max(z)) / temperature) for x in z]
    kept, order, total = [], order[:top_k], 0.0
    whole = sum(power[i] for i in order)
    for i in order:
        if top_p and total >= top_p * whole:
            break
        kept.append(i)
        total += power[i]
    return [power[i] / total if i in kept else 0.0 for i in range(len(z))]


@right("cached_attention")
def cached_row_by_row(q, k, v, cache=None):
    K, V = (cache if cache else (k[:, :, :0], v[:, :, :0]))
    out = []
    for t in range(q.size(2)):
        K = torch.cat((K, k[:, :, t:t + 1]), 2)
        V = torch.cat((V, v[:, :, t:t + 1]), 2)
        out.append(F.scaled_dot_product_attention(q[:, :, t:t + 1], K, V))
    return torch.cat(out, 2), (K, V)


@right("cached_attention")
def cached_dict(q, k, v, cache=None):
    """A cache that is one object, changed in place."""
    cache = cache or dict(k=[], v=[])
    cache["k"].append(k.clone())
    cache["v"].append(v.clone())
    K, V = torch.cat(cache["k"], 2), torch.cat(cache["v"], 2)
    T, S = q.size(2), K.size(2)
    late = torch.arange(S) > torch.arange(S - T, S)[:, None]
    scores = torch.einsum("bhtd,bhsd->bhts", q, K) / math.sqrt(q.size(-1))
    return scores.masked_fill(late, -1e30).softmax(-1) @ V, cache


@right("cached_attention")
def cached_whole(q, k, v, cache=None):
    """The whole row once more, and the end of it."""
    if cache is not None:
        Q, k, v = (torch.cat((old, new), 2) for old, new in
                   zip(cache, (q, k, v)))
    else:
        Q = q
    y = F.scaled_dot_product_attention(Q, k, v, is_causal=True)
    return y[:, :, -q.size(2):], (Q, k, v)


@right("generate")
def generate_tensor(model, ids, count, context, temperature=1.0, top_k=None,
                    top_p=None):
    row = torch.tensor([ids])
    for _ in range(count):
        logits = model(row[:, -context:])[:, -1]
        p = solution.probabilities(logits[0], temperature, top_k, top_p)
        row = torch.cat((row, torch.multinomial(p, 1)[None]), 1)
    return row[0, len(ids):].tolist()


@right("generate")
def generate_half_a_context(model, ids, count, context, temperature=1.0,
                            top_k=None, top_p=None):
    """The window of the course: it moves by half a context at a time."""
    text, half = [*ids], max(1, context // 2)
    for _ in range(count):
        start = half * max(0, -(-(len(text) - context) // half))
        logits = model(torch.tensor(text[start:])[None])[0, -1]
        p = solution.probabilities(logits, temperature, top_k, top_p)
        text.append(int(torch.multinomial(p, 1)))
    return text[len(ids):]


@right("generate")
def generate_by_cumsum(model, ids, count, context, temperature=1.0,
                       top_k=None, top_p=None):
    new = []
    while len(new) < count:
        row = ([*ids] + new)[-context:]
        p = solution.probabilities(model(torch.tensor([row]))[0][-1],
                                   temperature, top_k, top_p)
        new.append(int((p.cumsum(0) < torch.rand(()) * p.sum()).sum()))
    return new


right("bits_per_byte")(lambda loss, tokens, bytes:
                       loss / math.log(2) * (tokens / bytes))
right("bits_per_byte")(lambda loss, tokens, bytes:
                       torch.tensor(loss * tokens / bytes) / np.log(2))
right("bits_per_byte")(lambda loss, tokens, bytes:
                       tokens * math.log2(math.exp(loss)) / bytes)


@right("rotary")
def rotary_half(x, start=0):
    D, T = x.size(-1), x.size(-2)
    frequency = 1.0 / (10000 ** (torch.arange(0, D, 2) / D))
    angle = torch.outer(torch.arange(start, start + T), frequency)
    angle = torch.cat((angle, angle), -1)
    a, b = x[..., :D // 2], x[..., D // 2:]
    return x * angle.cos() + torch.cat((-b, a), -1) * angle.sin()


@right("rotary")
def rotary_complex(x, start=0):
    D, T = x.size(-1), x.size(-2)
    z = torch.complex(*x.chunk(2, -1))
    speed = 10000 ** (-torch.arange(D // 2) / (D // 2))
    angle = (torch.arange(T) + start)[:, None] * speed
    z = z * torch.polar(torch.ones_like(angle), angle)
    return torch.cat((z.real, z.imag), -1)


@right("rotary")
def rotary_by_loop(x, start=0):
    out, D = x.clone(), x.size(-1)
    for t in range(x.size(-2)):
        for i in range(D // 2):
            w = (start + t) * 10000 ** (-2 * i / D)
            a, b = x[..., t, i], x[..., t, i + D // 2]
            out[..., t, i] = a * math.cos(w) - b * math.sin(w)
            out[..., t, i + D // 2] = b * math.cos(w) + a * math.sin(w)
    return out


@right("muon")
def muon_with_epsilon(gradient, iterations=5):
    a, b, c = 3.4445, -4.7750, 2.0315
    X = gradient / (gradient.norm() + 1e-7)
    if X.size(0) > X.size(1):
        X = X.T
    for _ in range(iterations):
        A = X @ X.T
        X = a * X + (b * A + c * A @ A) @ X
    return X.T if gradient.size(0) > gradient.size(1) else X


@right("muon")
def muon_numpy(gradient, iterations=5):
    X = gradient.numpy() / np.linalg.norm(gradient.numpy())
    turned = X.shape[0] > X.shape[1]
    X = X.T if turned else X
    for _ in range(iterations):
        A = X @ X.T
        X = 3.4445 * X + (-4.7750 * A + 2.0315 * A @ A) @ X
    return X.T.copy() if turned else X


@right("muon")
def muon_by_singular_values(gradient, iterations=5):
    U, S, V = torch.linalg.svd(gradient, full_matrices=False)
    S = S / S.norm()
    for _ in range(iterations):
        S = 3.4445 * S - 4.7750 * S**3 + 2.0315 * S**5
    return U @ torch.diag(S) @ V
