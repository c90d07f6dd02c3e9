"""Known mistakes of chapter 1 in modules: heads, MLP, block, GPT."""

import torch
from torch import nn
from torch.nn import functional as F

from course_lib.exercises.mistakes.architecture import attend
from course_lib.exercises.step import Bank
from course_lib.model.gpt import GPT, MLP, Attention, Block

mistake = Bank()


class Heads(Attention):
    """Attention in parts, each of which can go wrong."""

    order = "qkv"

    def forward(self, x):
        parts = dict(zip(self.order, self.c_attn(x).chunk(3, -1)))
        q, k, v = (self.split(parts[name]) for name in "qkv")
        return self.leave(self.join(self.attend(q, k, v)))

    def split(self, x):
        B, T, C = x.shape
        return x.view(B, T, self.n_head, -1).transpose(1, 2)

    def attend(self, q, k, v):
        return attend(q, k, v)

    def join(self, y):
        return y.transpose(1, 2).flatten(2)

    def leave(self, y):
        return self.c_proj(y)


@mistake("self_attention", "there is one head only",
         "The channels are to be cut into n_head slices with attention in "
         "each.")
class OneHead(Heads):
    def split(self, x):
        return x[:, None]


@mistake("self_attention", "heads and places are mixed when cutting",
         "view(B, H, T, D) reads (B, T, C) in the wrong order: view(B, T, H, "
         "D), then transpose(1, 2).")
class MixedCutting(Heads):
    def split(self, x):
        B, T, C = x.shape
        return x.reshape(B, self.n_head, T, -1)


@mistake("self_attention", "heads are not moved back before joining",
         "reshape(B, T, C) of (B, H, T, D) mixes places: transpose(1, 2) "
         "comes first.")
class MixedJoining(Heads):
    def join(self, y):
        B, H, T, D = y.shape
        return y.reshape(B, T, H * D)


@mistake("self_attention", "heads are cut with their channels apart",
         "view(B, T, D, H) gives each head every H-th channel: a head has D "
         "neighbours, view(B, T, H, D).")
class Striped(Heads):
    def split(self, x):
        B, T, C = x.shape
        return x.view(B, T, -1, self.n_head).permute(0, 3, 1, 2)


@mistake("self_attention", "c_proj is left out",
         "The second linear map mixes what the heads have brought.")
class NoProjection(Heads):
    def leave(self, y):
        return y + 0 * self.c_proj(y)


@mistake("self_attention", "queries and keys have changed places",
         "c_attn gives queries, keys, values, in that order.")
class Swapped(Heads):
    order = "kqv"


@mistake("self_attention", "values come first",
         "c_attn gives queries, keys, values, in that order.")
class ValuesFirst(Heads):
    order = "vqk"


@mistake("self_attention", "scores are divided by sqrt(C), not sqrt(D)",
         "The products are of D numbers: a head's width, not the model's.")
class ByModelWidth(Heads):
    def attend(self, q, k, v):
        return attend(q, k, v, width=q.size(-1) * self.n_head)


@mistake("self_attention", "scores are not divided",
         "Divide them by the root of the head's width.")
class Undivided(Heads):
    def attend(self, q, k, v):
        return attend(q, k, v, power=0)


@mistake("self_attention", "there is no mask",
         "Each position sees the whole row, and with it the answer.")
class Unmasked(Heads):
    def attend(self, q, k, v):
        return attend(q, k, v, diagonal=q.size(-2))


@mistake("self_attention", "the mask lets each position see one token ahead",
         "The diagonal is the last that may be seen.")
class OneAhead(Heads):
    def attend(self, q, k, v):
        return attend(q, k, v, diagonal=2)


@mistake("self_attention", "the linear maps have no biases",
         "GPT-2's have: bias=False is of later models.")
class NoBiases(Heads):
    def __init__(self, config):
        super().__init__(config)
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=False)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=False)


def bend(name, why, function):
    class Bent(MLP):
        def forward(self, x):
            return self.c_proj(function(self.c_fc(x)))
    mistake("mlp", name, why)(Bent)


bend("the exact GELU, not its tanh form",
     "GPT-2's weights expect approximate='tanh'; the difference is small "
     "here and seen in the logits.", F.gelu)
bend("ReLU, not GELU", "GPT-2 bends with the GELU in its tanh form.", F.relu)
bend("SiLU, not GELU", "GPT-2 bends with the GELU in its tanh form.", F.silu)
bend("there is no bend", "Two linear maps in a row are one.", lambda x: x)
bend("x sigmoid(1.702 x), not the tanh form",
     "A cheaper approximation of the GELU; GPT-2's is by tanh.",
     lambda x: x * torch.sigmoid(1.702 * x))


@mistake("mlp", "a bend after the second map as well",
         "What the MLP writes may be negative: it ends in a linear map.")
class BentTwice(MLP):
    def forward(self, x):
        return F.gelu(super().forward(x), approximate="tanh")


@mistake("mlp", "x is added in the MLP already",
         "The block adds it.")
class AddsAlready(MLP):
    def forward(self, x):
        return x + super().forward(x)


@mistake("mlp", "the linear maps have no biases",
         "GPT-2's have: bias=False is of later models.")
class NoBias(MLP):
    def __init__(self, config):
        super().__init__(config)
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=False)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=False)


def halves(name, why):
    """A block by its `forward(self, x)`."""
    def add(forward):
        made = type(forward.__name__, (Block,), dict(forward=forward))
        mistake("block", name, why)(made)
        return forward
    return add


@halves("the norms come after attention and MLP",
        "As in the first Transformer; GPT-2's norms come before.")
def norms_after(self, x):
    x = self.ln_1(x + self.attn(x))
    return self.ln_2(x + self.mlp(x))


@halves("the first x is not added", "Each half is added to its own input.")
def first_replaced(self, x):
    x = self.attn(self.ln_1(x))
    return x + self.mlp(self.ln_2(x))


@halves("the second x is not added", "Each half is added to its own input.")
def second_replaced(self, x):
    x = x + self.attn(self.ln_1(x))
    return self.mlp(self.ln_2(x))


@halves("nothing is added", "Each half is added to its own input.")
def both_replaced(self, x):
    return self.mlp(self.ln_2(self.attn(self.ln_1(x))))


@halves("attention and MLP side by side",
        "The MLP starts from what attention has made, not from x.")
def parallel(self, x):
    return x + self.attn(self.ln_1(x)) + self.mlp(self.ln_2(x))


@halves("what is added is the norm, not x",
        "x = norm(x); x = x + part(x) adds the normed vector: the stream "
        "itself must stay.")
def normed_stream(self, x):
    x = self.ln_1(x)
    x = x + self.attn(x)
    x = self.ln_2(x)
    return x + self.mlp(x)


@halves("the MLP comes first", "Attention first, then the MLP.")
def mlp_first(self, x):
    x = x + self.mlp(self.ln_2(x))
    return x + self.attn(self.ln_1(x))


@halves("the first norm serves both halves",
        "ln_1 is used twice, and ln_2 never.")
def one_norm(self, x):
    x = x + self.attn(self.ln_1(x))
    return x + self.mlp(self.ln_1(x))


@halves("there are no norms", "Each half reads from x through a norm.")
def no_norms(self, x):
    x = x + self.attn(x)
    return x + self.mlp(x)


@halves("x is changed in place",
        "x += writes over what the norm still needs for its gradient: x = x "
        "+ ...")
def in_place(self, x):
    x += self.attn(self.ln_1(x))
    x += self.mlp(self.ln_2(x))
    return x


class Parts(GPT):
    """A GPT in parts, each of which can go wrong."""

    def places(self, T):
        return torch.arange(T)

    def enter(self, ids):
        return self.transformer.wte(ids) + self.transformer.wpe(
            self.places(ids.shape[1]))

    def middle(self, x):
        for block in self.transformer.h:
            x = block(x)
        return x

    def leave(self, x):
        return F.linear(self.transformer.ln_f(x), self.head)

    def forward(self, ids):
        return self.leave(self.middle(self.enter(ids)))


@mistake("gpt", "positions are left out",
         "x is the token's embedding plus its position's.")
class NoPositions(Parts):
    def enter(self, ids):
        return self.transformer.wte(ids)


@mistake("gpt", "positions are counted from 1", "The first place is 0.")
class FromOne(Parts):
    def places(self, T):
        return torch.arange(1, T + 1)


@mistake("gpt", "the last norm is left out",
         "ln_f stands between the last block and the head.")
class NoLastNorm(Parts):
    def leave(self, x):
        return F.linear(x, self.head)


@mistake("gpt", "only one block is run",
         "x goes through all n_layer blocks in turn.")
class OneBlock(Parts):
    def middle(self, x):
        return self.transformer.h[0](x)


@mistake("gpt", "every block reads the embeddings",
         "for block in blocks: y = block(x) forgets what the block before "
         "has made: x = block(x).")
class SameInput(Parts):
    def middle(self, x):
        for block in self.transformer.h:
            y = block(x)
        return y


@mistake("gpt", "blocks are run in reverse", "h[0] comes first.")
class Reversed(Parts):
    def middle(self, x):
        for block in reversed(self.transformer.h):
            x = block(x)
        return x


@mistake("gpt", "the head has weights of its own",
         "It is tied to the token embedding: lm_head.weight = wte.weight.")
class Untied(GPT):
    def __init__(self, config):
        super().__init__(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size,
                                 bias=False)

    def forward(self, ids):
        return self.lm_head(self.hidden(ids))


@mistake("gpt", "probabilities, not logits",
         "The softmax belongs to the loss and to sampling.")
class Probabilities(GPT):
    def forward(self, ids):
        return super().forward(ids).softmax(-1)


@mistake("gpt", "the token embedding is scaled by sqrt(C)",
         "The first Transformer did so; GPT-2 does not.")
class Scaled(Parts):
    def enter(self, ids):
        x = self.transformer.wte(ids) * self.config.n_embd ** 0.5
        return x + self.transformer.wpe(self.places(ids.shape[1]))


@mistake("gpt", "logits of the last place only",
         "Training needs those of every place.")
class LastOnly(GPT):
    def forward(self, ids):
        return super().forward(ids)[:, -1:]
