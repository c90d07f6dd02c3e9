"""A GPT whose parts are declared in another order than they are used: the
last norm, as bare vectors, before the blocks, a block's second half before
its first. The config is read like a dictionary, by other names."""

import torch
from torch import nn
from torch.nn import functional as F


class LN(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.b = nn.Parameter(torch.zeros(width))
        self.g = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return F.layer_norm(x, self.g.shape, self.g, self.b)


class SelfAttention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        width = cfg["hidden_size"]
        self.heads = cfg["num_attention_heads"]
        self.mix = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        rows, places, width = x.shape
        parts = self.mix(x).view(rows, places, 3, self.heads, -1)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(x.shape))


class MLP(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        width = cfg["hidden_size"]
        self.w1 = nn.Parameter(0.02 * torch.randn(width, 4 * width))
        self.b1 = nn.Parameter(torch.zeros(4 * width))
        self.w2 = nn.Parameter(0.02 * torch.randn(4 * width, width))
        self.b2 = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        bent = F.gelu(x @ self.w1 + self.b1, approximate="tanh")
        return bent @ self.w2 + self.b2


class Block(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.second = MLP(cfg)
        self.before_second = LN(cfg["hidden_size"])
        self.first = SelfAttention(cfg)
        self.before_first = LN(cfg["hidden_size"])

    def forward(self, x):
        x = x + self.first(self.before_first(x))
        return x + self.second(self.before_second(x))


class GPT(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        width, depth = cfg["hidden_size"], cfg["num_hidden_layers"]
        places = cfg["max_position_embeddings"]
        self.tokens = nn.Parameter(0.02 * torch.randn(cfg["n_vocab"], width))
        self.places = nn.Parameter(0.02 * torch.randn(places, width))
        self.gain = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.blocks = nn.Sequential(*(Block(cfg) for _ in range(depth)))
        for block in self.blocks:
            for linear in (block.first.mix, block.first.out):
                nn.init.normal_(linear.weight, std=0.02)
                nn.init.zeros_(linear.bias)
            with torch.no_grad():
                for writes in (block.first.out.weight, block.second.w2):
                    writes /= (2 * depth) ** 0.5

    def forward(self, ids):
        x = self.tokens[ids] + self.places[:ids.shape[1]]
        x = F.layer_norm(self.blocks(x), self.gain.shape, self.gain,
                         self.bias)
        return x @ self.tokens.T
