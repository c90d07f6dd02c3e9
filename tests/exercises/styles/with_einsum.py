"""A GPT of einsums: a weight for each of queries, keys, values and output
with its heads apart, stored in (in, out) order, and names of its own."""

import math

import torch
from torch import einsum, nn


def weight(*shape, std=0.02):
    return nn.Parameter(torch.randn(shape) * std)


class Norm(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        self.w = nn.Parameter(torch.ones(n_embd))
        self.b = nn.Parameter(torch.zeros(n_embd))

    def forward(self, x):
        x = x - x.mean(-1, keepdim=True)
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() \
            * self.w + self.b


class Attention(nn.Module):
    def __init__(self, n_embd, n_head, n_layer):
        super().__init__()
        d = n_embd // n_head
        self.W_Q = weight(n_head, n_embd, d)
        self.W_K = weight(n_head, n_embd, d)
        self.W_V = weight(n_head, n_embd, d)
        self.W_O = weight(n_head, d, n_embd,
                          std=0.02 / math.sqrt(2 * n_layer))
        self.b_Q = nn.Parameter(torch.zeros(n_head, d))
        self.b_K = nn.Parameter(torch.zeros(n_head, d))
        self.b_V = nn.Parameter(torch.zeros(n_head, d))
        self.b_O = nn.Parameter(torch.zeros(n_embd))

    def forward(self, x):
        q = einsum("btc,hcd->bthd", x, self.W_Q) + self.b_Q
        k = einsum("btc,hcd->bthd", x, self.W_K) + self.b_K
        v = einsum("btc,hcd->bthd", x, self.W_V) + self.b_V
        scores = einsum("bthd,bshd->bhts", q, k) / q.shape[-1] ** 0.5
        mask = torch.tril(torch.ones_like(scores))
        scores = torch.where(mask > 0, scores, -torch.inf)
        z = einsum("bhts,bshd->bthd", scores.softmax(-1), v)
        return einsum("bthd,hdc->btc", z, self.W_O) + self.b_O


class FeedForward(nn.Module):
    def __init__(self, n_embd, n_layer):
        super().__init__()
        self.W_in = weight(n_embd, 4 * n_embd)
        self.b_in = nn.Parameter(torch.zeros(4 * n_embd))
        self.W_out = weight(4 * n_embd, n_embd,
                            std=0.02 / math.sqrt(2 * n_layer))
        self.b_out = nn.Parameter(torch.zeros(n_embd))

    def forward(self, x):
        x = einsum("btc,cf->btf", x, self.W_in) + self.b_in
        x = x / 2 * (1 + torch.tanh(
            (2 / math.pi) ** 0.5 * (x + 0.044715 * x**3)))
        return einsum("btf,fc->btc", x, self.W_out) + self.b_out


class TransformerBlock(nn.Module):
    def __init__(self, n_embd, n_head, n_layer):
        super().__init__()
        self.norm1, self.norm2 = Norm(n_embd), Norm(n_embd)
        self.attention = Attention(n_embd, n_head, n_layer)
        self.feed_forward = FeedForward(n_embd, n_layer)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))


class Transformer(nn.Module):
    def __init__(self, vocab_size, block_size, n_embd, n_head, n_layer):
        super().__init__()
        self.embed = weight(vocab_size, n_embd)
        self.where = weight(block_size, n_embd)
        self.blocks = nn.ModuleList(
            TransformerBlock(n_embd, n_head, n_layer)
            for _ in range(n_layer))
        self.norm = Norm(n_embd)

    def forward(self, ids):
        x = self.embed[ids] + self.where[:ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return einsum("btc,vc->btv", self.norm(x), self.embed)
