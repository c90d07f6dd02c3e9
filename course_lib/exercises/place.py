"""GPT-2's weights in a reader's module, whatever it calls them.

By name, where the names are GPT-2's, as in nanoGPT and minGPT. Else in the
order in which the module has its parameters, each taking the first weights
of GPT-2 that it can hold: whole, or the parts for queries, keys and values,
or those of a head. The axes may be in another order. What cannot be told
apart by shape, such as a square matrix and its transpose or the two norms
of a block, is tried.
"""

import inspect
import itertools
import math
import re
from dataclasses import dataclass, replace
from functools import partial

import torch

from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT

ROLES = {"q": "q wq query queries", "k": "k wk key keys",
         "v": "v wv value values"}
ROLE = {word: role for role, words in ROLES.items()
        for word in words.split()}


class Misfit(ValueError):
    """A module cannot hold the weights of GPT-2's."""


@dataclass(frozen=True, eq=False)
class Weight:
    """A tensor of GPT-2 with all its axes apart; the first `out` of them are
    of what it gives, the rest of what it takes. `role` is q, k or v."""

    name: str
    values: torch.Tensor
    out: int
    role: str | None = None

    @property
    def norm(self) -> bool:
        return ".ln_" in f".{self.name}"

    def shaped(self, shape, turned: bool = False):
        """The values with their axes in some order and joined to `shape`,
        or None. `turned` prefers (in, out) to (out, in)."""
        axes = range(self.values.dim())
        orders = list(itertools.permutations(axes))
        if turned:
            orders.insert(0, (*axes[self.out:], *axes[:self.out]))
        for order in orders:
            moved = self.values.permute(order)
            if joins(moved.shape, shape):
                return moved.reshape(shape)
        return None

    def parts(self, axis: int, roles=None) -> list["Weight"]:
        """Cut along an axis that what it gives has, or takes."""
        return [replace(self, values=part, role=roles[i] if roles
                        else self.role,
                        out=self.out - (axis < self.out))
                for i, part in enumerate(self.values.unbind(axis))]


def joins(sizes, shape) -> bool:
    """Whether neighbouring sizes multiply to a shape."""
    sizes = list(sizes)
    for wanted in shape:
        size = 1
        while sizes and (size < wanted or sizes[0] == 1):
            size *= sizes.pop(0)
        if size != wanted:
            return False
    return math.prod(sizes) == 1


def apart(weights: dict, config: GPTConfig) -> list[Weight]:
    """GPT-2's weights with the axes of heads and of q, k, v apart."""
    H, D = config.n_head, config.head_width
    found = []
    for name, values in weights.items():
        out = 1
        if name.endswith("c_attn.weight"):
            values, out = values.view(3, H, D, -1), 3
        elif name.endswith("c_attn.bias"):
            values, out = values.view(3, H, D), 3
        elif re.search(r"(?<!mlp\.)c_proj\.weight$", name) \
                and values.shape[0] == values.shape[1]:
            values = values.view(-1, H, D)
        found.append(Weight(name, values, out))
    return found


def placements(module, weights: dict, config: GPTConfig, load=None):
    """Ways to put the weights into the module, each a function to call;
    the likeliest first. `load` is the reader's own."""
    if load is not None:
        yield lambda: load(module, weights)
        return
    own = dict(module.named_parameters())
    surplus = own.keys() - weights.keys()
    if not weights.keys() - own.keys() and surplus <= {"lm_head.weight"} \
            or own.keys() == {"lm_head.weight" if name.endswith("wte.weight")
                              else name for name in weights}:
        turned = any(own[name].shape != weights[name].shape
                     for name in own if name.endswith("c_attn.weight"))
        yield lambda: by_name(own, weights, config, turned)
        return
    norms = norms_of(module)  # before there is anything else in them
    orders = [weights]
    if any("ln_1" in name for name in weights):
        orders.append({name: weights[re.sub("ln_[12]", lambda found: {
            "ln_1": "ln_2", "ln_2": "ln_1"}[found[0]], name)]
            for name in weights})
    for given, turned in itertools.product(orders, (False, True)):
        yield partial(by_order, module, given, config, norms, turned)


@torch.no_grad()
def by_name(own: dict, weights: dict, config, turned: bool) -> None:
    """Copy each tensor to the parameter of its name; a head of its own gets
    the token embedding."""
    for weight in apart(weights, config):
        name = weight.name
        if name not in own:  # tied, and known by the head's name
            name = "lm_head.weight"
        fill(name, own[name], weight, turned and weight.values.dim() > 1
             and "wte" not in name and "wpe" not in name)
    if "lm_head.weight" in own and "transformer.wte.weight" in own:
        own["lm_head.weight"].copy_(weights["transformer.wte.weight"])


def norms_of(module) -> dict:
    """Which parameters are of norms, and whether they are a "weight", a
    "bias" or cannot be told, "": by the name of a class, by its vectors
    alone, or one of ones with the next."""
    found = {}
    for part in module.modules():
        own = list(part.parameters(recurse=False))
        norm = "norm" in type(part).__name__.lower() or any(
            (p == 1).all() for p in own) and all(p.dim() == 1 for p in own)
        for before, p in zip([None, *own], own):
            kind = "weight" if (p == 1).all() else \
                "bias" if (p == 0).all() else ""
            if norm or p.dim() == 1 and (kind == "weight" or kind == "bias"
                                         and found.get(before) == "weight"):
                found[p] = kind
    return found


@torch.no_grad()
def by_order(module, weights: dict, config, norms: dict, turned: bool):
    """Give each parameter the first weights left that it can hold; a bias
    those next to the last. A norm that is in no list of blocks is the
    last."""
    own = sorted(module.named_parameters(), key=lambda pair: pair[
        1] in norms and not any(map(str.isdigit, pair[0].split("."))))
    pool, next_to_it = cut_to(apart(weights, config), own, config), ""
    for name, parameter in own:
        role = role_of(name)
        for weight in sorted(pool, key=lambda w: bool(
                role) or w.name != next_to_it):
            if weight.norm == (parameter in norms) \
                    and (not role or weight.role in (role, None)) \
                    and weight.name.endswith(norms.get(parameter, "")) \
                    and weight.shaped(parameter.shape) is not None:
                fill(name, parameter, weight, turned and not weight.name
                     .startswith(("transformer.wte", "transformer.wpe")))
                pool.remove(weight)
                next_to_it = weight.name.replace("weight", "bias")
                break
        else:
            raise Misfit(f"GPT-2 has no weights left for {name}, "
                         f"{tuple(parameter.shape)}")
    if pool:
        left = pool[0]
        raise Misfit(f"nothing holds GPT-2's {left.name}, "
                     f"{left.values.numel()} numbers")


def cut_to(pool, own, config) -> list[Weight]:
    """The pool with queries, keys and values, and heads, as far apart as
    the module has them."""
    C, H = config.n_embd, config.n_head
    roles = {p.numel() for name, p in own if role_of(name)}
    if roles or 3 * C * C not in {p.numel() for _, p in own}:
        pool = [part for w in pool for part in (
            w.parts(0, "qkv") if "c_attn" in w.name else [w])]
    if C * C // H in roles and H > 1:  # each head has its own
        pool = [part for w in pool for part in (
            w.parts(0) if "c_attn" in w.name else [w])]
    return pool


def role_of(name: str) -> str | None:
    """Whether a parameter's name says that it makes queries, keys or
    values."""
    words = re.split(r"[._]", name.lower())
    return next((ROLE[word] for word in words if word in ROLE), None)


def fill(name, parameter, weight: Weight, turned: bool) -> None:
    """Copy a weight into a reader's parameter, transposed where that is
    `turned`. Raises Misfit where it does not fit."""
    values = weight.shaped(parameter.shape, turned)
    if values is None:
        raise Misfit(f"{name} is {tuple(parameter.shape)}, and GPT-2 has "
                     f"{weight.values.numel()} numbers there")
    parameter.copy_(values)


def own_loader(candidate):
    """The reader's `load_gpt2`, from the file of a class, or None."""
    module = inspect.getmodule(candidate)
    return getattr(module, "load_gpt2", None)


def numbered(config) -> dict:
    """GPT-2's weights, each replaced by its number in a row of them all."""
    with torch.device("meta"):
        shapes = {n: p.shape for n, p in GPT(config).named_parameters()}
    sizes = torch.tensor([math.prod(s) for s in shapes.values()]).cumsum(0)
    starts = [0, *sizes.tolist()]
    return {name: torch.arange(start, start + math.prod(shape),
                               dtype=torch.float64).view(shape)
            for (name, shape), start in zip(shapes.items(), starts)}


def located(module, config, load=None, which: int = 0) -> dict:
    """(parameter, the numbers of its weights in that row) by its name, by
    one of the `placements`. The module keeps its weights."""
    own = dict(module.named_parameters())
    before = {name: p.detach().clone() for name, p in own.items()}
    kind = next(iter(own.values())).dtype
    module.double()  # whole numbers up to 2^53
    ways = placements(module, numbered(config), config, load)
    next(itertools.islice(ways, which, None))()
    places = {name: p.detach().long().flatten() for name, p in own.items()}
    module.to(kind)
    with torch.no_grad():
        for name, p in own.items():
            p.copy_(before[name])
    return {name: (own[name], at) for name, at in places.items()}
