"""Chapter 1: embedding, attention, MLP, block, GPT, its first weights and
its loss."""

import math
import re

import torch
from torch.nn import functional as F

from course_lib.exercises.build import build, logits_of
from course_lib.exercises.place import (
    Misfit,
    located,
    numbered,
    own_loader,
    placements,
)
from course_lib.exercises.step import Raised, Step
from course_lib.exercises.steps.primer import loss_and_gradient
from course_lib.exercises.values import normal, plain, same
from course_lib.model.attention import attend
from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT, MLP, Attention, Block

CHAPTER = "01_architecture"
# (layers, heads, channels, rows, tokens), the smallest first
SIZES = [(1, 1, 2, 1, 1), (1, 1, 2, 1, 2), (1, 2, 4, 1, 2), (1, 2, 6, 2, 3),
         (2, 3, 12, 2, 5), (3, 2, 10, 3, 7)]
VOCABULARY = 11


def embed(ids, tokens, positions):
    """(B, T) ids -> (B, T, C), of (V, C) tokens and (T or more, C)
    positions."""
    return tokens[ids] + positions[:ids.shape[1]]


def causal_loss(logits, ids):
    """Mean nats of (B, T, V) logits at the ids (B, T) one place later."""
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def embed_cases():
    """Ids and two tables; there are more positions than places."""
    sizes = [(1, 1, 2, 1), (1, 2, 2, 1), (2, 2, 3, 2), (2, 3, 5, 4)]
    for seed, (B, T, V, C) in enumerate(sizes):
        ids = torch.randint(V, (B, T), generator=torch.Generator()
                            .manual_seed(seed))
        yield dict(ids=ids, tokens=normal(seed, V, C),
                   positions=normal(seed + 9, T + seed, C))


def attention_cases():
    """(B, H, T, D) queries, keys and values, the smallest first."""
    for T in (1, 2, 3):  # with these values the output is the weights
        q, k = normal(T, 2, 1, 1, T, 2)
        yield dict(q=q, k=k, v=torch.eye(T)[None, None])
    for seed, (B, H, T, D) in enumerate(
            [(1, 1, 3, 4), (1, 2, 2, 3), (2, 1, 4, 2), (2, 3, 6, 5),
             (1, 1, 40, 2)]):
        q, k, v = normal(seed, 3, B, H, T, D)
        yield dict(q=q, k=k, v=v)
    q, k, v = normal(5, 3, 1, 1, 4, 2)
    yield dict(q=60 * q, k=60 * k, v=v)  # scores too large for exp


def see_attention(candidate, case) -> dict:
    """The output, and the gradients of a sum of it."""
    given = {name: value.clone().requires_grad_()
             for name, value in case.items()}
    output = candidate(**given)
    seen = {"output": plain(output)}
    if not (torch.is_tensor(output) and output.requires_grad):
        return seen | {"gradient": "none: no tensor that remembers q, k, v"}
    (output * normal(1, *output.shape)).sum().backward()
    for name, value in given.items():
        seen[f"gradient of {name}"] = plain(
            torch.zeros_like(value) if value.grad is None else value.grad)
    return seen


def config_of(L, H, C, T) -> GPTConfig:
    """A small GPT-2 of L layers, H heads, C channels and context T."""
    return GPTConfig(VOCABULARY, T, L, H, C)


def module_cases(of):
    """Random weights and inputs for a module; the original stands in the
    case, so that what is loaded is plain to see."""
    for seed, (L, H, C, B, T) in enumerate(SIZES):
        config = config_of(L, H, C, T + 1)
        original = of(config)
        with torch.no_grad():
            for place, p in enumerate(original.parameters()):
                p.copy_(normal(99 * seed + place, *p.shape) * 0.7)
        x = normal(seed, B, T, C)
        if of is GPT:
            x = torch.randint(VOCABULARY, (B, T), generator=torch.Generator()
                              .manual_seed(seed))
        yield dict(config=config, weights={
            name: p.detach() for name, p in original.named_parameters()},
            x=x, right=plain(original(x)))


def see_module(candidate, case) -> dict:
    """What a module with GPT-2's weights makes of x, by the placement of
    the weights that makes it right, or else by the likeliest."""
    first = None
    config, weights = case["config"], case["weights"]
    module = build(candidate, config).eval()
    size = sum(p.numel() for p in module.parameters())
    for put in placements(module, weights, config, own_loader(candidate)):
        try:
            put()
        except Misfit as error:
            seen = dict(parameters=plain(size),
                        fits=Raised("Misfit", str(error)))
        else:
            seen = dict(parameters=plain(size), fits="yes", **run(
                module, case["x"]))
            if same(seen["output"], case["right"]):
                return seen
        first = first or seen
    return first


def run(module, x) -> dict:
    """The output of a module, and what reaches its input and weights."""
    floating = x.is_floating_point()
    start = x.clone().requires_grad_(floating)
    given = start + 0  # what is computed may be written over, unlike a leaf
    module.zero_grad()  # of the placement before
    output = module(given) if floating else logits_of(module, given)
    seen = {"output": plain(output)}
    if not output.requires_grad:
        return seen | {"gradient": "none reaches the weights"}
    (output * normal(1, *output.shape)).sum().backward()
    grads = [p.grad.flatten() for p in module.parameters()
             if p.grad is not None]
    seen["norm of the weights' gradients"] = plain(torch.cat(grads).norm())
    if floating:
        seen["gradient of x"] = plain(
            torch.zeros_like(x) if start.grad is None else start.grad)
        seen["x changed"] = not same(plain(x), plain(given))
    without = [name for name, p in module.named_parameters()
               if p.requires_grad and p.grad is None]
    return seen | {"weights without a gradient": ", ".join(without)}


def new_cases():
    """A width and a depth at which no two first weights are alike."""
    yield dict(config=GPTConfig(256, 64, n_layer=2, n_head=4, n_embd=64))


def see_first_weights(candidate, case) -> dict:
    """The mean and the spread of each kind of weight in a new model, in
    words."""
    config = case["config"]
    torch.manual_seed(0)
    model = build(candidate, config)
    places, kinds = numbered(config), {}
    values = torch.zeros(sum(p.numel() for p in places.values()))
    for p, at in located(model, config, own_loader(candidate)).values():
        values[at] = p.detach().flatten()
    for name, place in places.items():
        kind = re.sub(r"transformer\.|h\.\d+\.", "", name)
        if ".ln_" in name:
            kind = "norms, " + name.split(".")[-1]
        kinds.setdefault(kind, []).append(values[place.long().flatten()])
    return {kind: spread(parts, config) for kind, parts in kinds.items()}


def spread(parts, config) -> str:
    """What samples were drawn from, as far as it can be told: the mean of
    the fourth powers, in deviations, is 3 for a normal distribution, 1.8 for
    a uniform one and 6 for Laplace's."""
    values = torch.cat(parts)
    C, L, std = config.n_embd, config.n_layer, values.std().item()
    known = {"0.02": 0.02, "0.02 / sqrt(2L)": 0.02 / math.sqrt(2 * L),
             "0.02 / sqrt(L)": 0.02 / math.sqrt(L), "1": 1.0,
             "0.02 / (2L)": 0.02 / (2 * L), "1 / sqrt(C)": C ** -0.5,
             "1 / sqrt(3C)": (3 * C) ** -0.5,
             "1 / sqrt(12C)": (12 * C) ** -0.5}
    if std == 0:
        return f"all {values[0].item():g}"
    name = min(known, key=lambda name: abs(math.log(std / known[name])))
    if abs(std / known[name] - 1) > 0.06:
        name = f"{std:.2g}"
    mean = values.mean().item()
    tails = ((values - mean) / std).pow(4).mean()
    kind = "uniform" if tails < 2.4 else \
        "normal" if tails < 3.6 else "with long tails"
    if abs(mean) > 5 * std / math.sqrt(len(values)):
        kind += f" around {mean:.2g}"
    if any(torch.equal(parts[0], part) for part in parts[1:]):
        kind += ", the same in two blocks,"
    return f"{kind} of standard deviation {name}"


def loss_cases():
    """(B, T, V) logits and (B, T) ids, the smallest first."""
    for seed, (B, T, V) in enumerate([(1, 2, 2), (1, 3, 3), (2, 2, 4),
                                      (3, 5, 6)]):
        draw = torch.Generator().manual_seed(seed)
        yield dict(logits=2 * torch.randn(B, T, V, generator=draw),
                   ids=torch.randint(V, (B, T), generator=draw))


def module_step(name, of, names, section, hints):
    """A step whose right answer is a module of the package's."""
    return Step(name, CHAPTER, section, lambda: module_cases(of), (of,),
                see_module, names, hints)


STEPS = [
    Step("embed", CHAPTER, "How does a number become a vector?", embed_cases,
         (embed,), hints=(
             "A tensor of ids is an index into the table of tokens.",
             "The first T rows of the positions are added to each row of "
             "the batch; shapes (B, T, C) and (T, C) go together.")),
    Step("attention", CHAPTER, "How does a token hear of the others?",
         attention_cases, (attend,), see_attention, hints=(
             "scores = q @ k.transpose(-2, -1) / sqrt(D), a softmax along "
             "the keys, times v.",
             "Before the softmax, put -inf where the key stands after the "
             "query: above the diagonal, triu(1).")),
    module_step("self_attention", Attention, (
        "SelfAttention", "CausalSelfAttention", "MultiHeadAttention",
        "Attention"), "Why several heads?", (
        "One linear map makes (B, T, 3C): cut it in three, then each into H "
        "slices of D channels, with heads before places: (B, H, T, D).",
        "Back: the heads must stand behind the places again before they are "
        "joined: transpose(1, 2), then reshape to (B, T, C). Then c_proj.")),
    module_step("mlp", MLP, ("MLP", "FeedForward", "FeedFoward"),
                "What does a position do with what it fetched?", (
        "Two linear maps, C to 4C and back, and a GELU between.",
        "F.gelu(x, approximate='tanh'), and no second GELU at the end.")),
    module_step("block", Block, ("Block", "TransformerBlock"),
                "What is a block?", (
        "Two halves, each x = x + part(norm(x)).",
        "The second half starts from what the first has made. Each half has "
        "a norm of its own.")),
    module_step("gpt", GPT, ("GPT", "Transformer"),
                "What does the whole model look like?", (
        "Embeddings, blocks, a last norm, and logits = x @ wte.weight.T.",
        "The head has no weights of its own: lm_head.weight = wte.weight, "
        "or F.linear(x, wte.weight).")),
    Step("first_weights", CHAPTER, "Where to start from?", new_cases, (GPT,),
         see_first_weights, ("GPT", "Transformer"), (
             "Go over self.modules() at the end of GPT's __init__: linear "
             "maps and embeddings normal of 0.02, biases zero.",
             "What writes to the residual stream, both c_proj, is 0.02 / "
             "sqrt(2 * n_layer): two for each block.")),
    Step("causal_loss", CHAPTER, "What goes in, and what comes out?",
         loss_cases, (causal_loss,), loss_and_gradient, hints=(
             "The logits at place t are about the token at place t + 1.",
             "logits[:, :-1] against ids[:, 1:], flattened for the "
             "cross-entropy.")),
]
