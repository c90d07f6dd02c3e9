"""Known mistakes of chapter 1 in functions and in the first weights;
`modules.py` has those in modules."""

import torch
from torch import nn
from torch.nn import functional as F

from course_lib.exercises.step import Bank
from course_lib.exercises.steps import architecture as right
from course_lib.model.gpt import GPT

mistake = Bank()


@mistake("embed", "positions are left out",
         "Without them attention cannot tell orders apart.")
def no_positions(ids, tokens, positions):
    return tokens[ids]


@mistake("embed", "positions are looked up by token id",
         "The place in the row decides, not the token: positions[:T].")
def position_of_id(ids, tokens, positions):
    return tokens[ids] + positions[ids.clamp(max=len(positions) - 1)]


@mistake("embed", "positions are counted from 1",
         "The first token stands at place 0.")
def from_one(ids, tokens, positions):
    places = torch.arange(1, ids.shape[1] + 1) % len(positions)
    return tokens[ids] + positions[places]


@mistake("embed", "positions are counted from the end",
         "A token's place must not depend on how long the row is.")
def from_end(ids, tokens, positions):
    return tokens[ids] + positions[:ids.shape[1]].flip(0)


@mistake("embed", "multiplied, not added",
         "The two vectors are summed.")
def multiplied(ids, tokens, positions):
    return tokens[ids] * positions[:ids.shape[1]]


@mistake("embed", "token vectors are scaled by sqrt(C)",
         "The first Transformer did so; GPT-2 does not.")
def scaled(ids, tokens, positions):
    return tokens.shape[1] ** 0.5 * tokens[ids] + positions[:ids.shape[1]]


def attend(q, k, v, diagonal=1, power=-0.5, width=None, hidden=-torch.inf,
           axis=-1):
    """Attention with what people get wrong as arguments."""
    scores = q @ k.mT * (width or q.size(-1)) ** power
    later = torch.ones(scores.shape[-2:]).triu(diagonal).bool()
    weights = scores.masked_fill(later, hidden).softmax(axis)
    return weights @ v


@mistake("attention", "the mask lets each position see one token ahead",
         "tril(diagonal=1), or triu(2): the diagonal itself, place t seeing "
         "place t, is the last that may be seen.")
def one_ahead(q, k, v):
    return attend(q, k, v, diagonal=2)


@mistake("attention", "there is no mask",
         "Each position sees the whole row, and with it the answer.")
def no_mask(q, k, v):
    return attend(q, k, v, diagonal=q.size(-2))


@mistake("attention", "a position does not see itself",
         "The diagonal belongs to what may be seen; without it the first "
         "row has nothing to look at.")
def not_itself(q, k, v):
    return attend(q, k, v, diagonal=0)


@mistake("attention", "the mask is upside down",
         "Each position sees itself and what comes later.")
def upside_down(q, k, v):
    scores = q @ k.mT * q.size(-1) ** -0.5
    earlier = torch.ones(scores.shape[-2:]).tril(-1).bool()
    return scores.masked_fill(earlier, -torch.inf).softmax(-1) @ v


@mistake("attention",
         "scores are not divided by the square root of the head's width",
         "They grow like sqrt(D), and the softmax puts all on one key.")
def undivided(q, k, v):
    return attend(q, k, v, power=0)


@mistake("attention", "scores are divided by the width, not by its root",
         "The scores of random vectors spread like sqrt(D), not like D.")
def by_width(q, k, v):
    return attend(q, k, v, power=-1)


@mistake("attention", "scores are multiplied by the root of the width",
         "They are to be divided by it.")
def times_root(q, k, v):
    return attend(q, k, v, power=0.5)


@mistake("attention", "masked scores are 0, not -infinity",
         "e^0 is 1, so what comes later still gets weight. triu or tril of "
         "the scores does that too.")
def masked_by_zero(q, k, v):
    return attend(q, k, v, hidden=0.0)


@mistake("attention", "the mask is applied after the softmax",
         "What was hidden took part in the sum: the weights left no longer "
         "sum to 1.")
def masked_late(q, k, v):
    return (q @ k.mT * q.size(-1) ** -0.5).softmax(-1).tril() @ v


@mistake("attention", "the softmax runs along the queries",
         "Each query divides its attention among the keys: the last axis.")
def along_queries(q, k, v):
    return attend(q, k, v, axis=-2)


@mistake("attention", "there is no softmax",
         "Scores can be negative and sum to anything; weights cannot.")
def no_softmax(q, k, v):
    return (q @ k.mT * q.size(-1) ** -0.5).tril() @ v


@mistake("attention", "the output has no gradient",
         "detach() or NumPy cut it off from q, k and v: training needs it.")
def without_gradient(q, k, v):
    return attend(q.detach(), k.detach(), v.detach())


@mistake("attention", "scores overflow",
         "exp of a large score is infinite: use softmax, or subtract each "
         "row's largest score first.")
def overflows(q, k, v):
    power = (q @ k.mT * q.size(-1) ** -0.5).exp().tril()
    return power / power.sum(-1, keepdim=True) @ v


def mean_loss(logits, targets, **how):
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), **how)


@mistake("causal_loss", "targets are not shifted",
         "Each position is asked for the token that it has just read.")
def not_shifted(logits, ids):
    return mean_loss(logits, ids)


@mistake("causal_loss", "targets are shifted the wrong way",
         "logits[:, 1:] against ids[:, :-1] asks for the token before the "
         "one that was read.")
def shifted_back(logits, ids):
    return mean_loss(logits[:, 1:], ids[:, :-1])


@mistake("causal_loss", "the last position must guess the first token",
         "torch.roll wraps around; the last logits have no target here.")
def rolled(logits, ids):
    return mean_loss(logits, ids.roll(-1, 1))


@mistake("causal_loss", "targets are shifted by two",
         "The logits at place t are about the token at t + 1.")
def by_two(logits, ids):
    return mean_loss(logits[:, :-2], ids[:, 2:])


@mistake("causal_loss", "a sum, not a mean",
         "The loss is per token: B (T - 1) of them.")
def summed(logits, ids):
    return mean_loss(logits[:, :-1], ids[:, 1:], reduction="sum")


@mistake("causal_loss", "the sum is divided by B T, not by B (T - 1)",
         "The last position of each row has no target.")
def by_all(logits, ids):
    return summed(logits, ids) / ids.numel()


@mistake("causal_loss", "rows are joined before the shift",
         "Flattened first, the last position of a row is asked for the "
         "first token of the next row.")
def joined(logits, ids):
    return mean_loss(logits.flatten(0, 1)[:-1], ids.flatten()[1:])


@mistake("causal_loss", "the loss has no gradient",
         "detach(), item() or torch.tensor(...) cut it off from the logits.")
def no_gradient(logits, ids):
    return right.causal_loss(logits, ids).detach()


def reborn(change):
    """A GPT class whose new models are changed by a function."""
    class Reborn(GPT):
        def __init__(self, config):
            super().__init__(config)
            with torch.no_grad():
                change(self, config)
    return Reborn


def drawn(name, std):
    """A change: weights whose name ends so get this deviation."""
    def change(model, config):
        for key, p in model.named_parameters():
            if key.endswith(name):
                p.normal_(std=std(config))
    return change


def weights(name, why):
    def add(change):
        mistake("first_weights", name, why)(reborn(change))
        return change
    return add


weights("c_proj is not shrunk",
        "Each block writes to the residual stream twice: divide the first "
        "weights of both c_proj by sqrt(2 * n_layer).")(
    drawn("c_proj.weight", lambda config: 0.02))
weights("c_proj is shrunk by sqrt(n_layer)",
        "Each block writes to the residual stream twice: sqrt(2 * n_layer).")(
    drawn("c_proj.weight", lambda config: 0.02 / config.n_layer ** 0.5))
weights("c_proj is shrunk by 2 n_layer, without a root",
        "Random terms add up like the root of their number.")(
    drawn("c_proj.weight", lambda config: 0.01 / config.n_layer))
weights("c_proj starts at zero",
        "That is a later recipe; GPT-2's are small and random.")(
    drawn("c_proj.weight", lambda config: 0))
weights("only attention's c_proj is shrunk",
        "The MLP's c_proj writes to the residual stream as well.")(
    drawn("mlp.c_proj.weight", lambda config: 0.02))
weights("positions are drawn with deviation 1",
        "nn.Embedding's own start, 50 times GPT-2's.")(
    drawn("wpe.weight", lambda config: 1))
weights("token embeddings are drawn with deviation 1",
        "nn.Embedding's own start: the tied head makes a new model sure "
        "that every token will be repeated.")(
    drawn("wte.weight", lambda config: 1))


@weights("both embeddings are drawn with deviation 1",
         "nn.Embedding's own start: the tied head makes a new model sure "
         "that every token will be repeated.")
def embeddings(model, config):
    model.transformer.wte.weight.normal_()
    model.transformer.wpe.weight.normal_()


@weights("biases are not zero",
         "nn.Linear draws them; GPT-2 starts them at 0.")
def biases(model, config):
    for part in model.modules():
        if isinstance(part, nn.Linear):
            bound = part.in_features ** -0.5
            part.bias.uniform_(-bound, bound)


@weights("PyTorch's own first weights",
         "nn.Linear and nn.Embedding have drawn them, and nothing changed "
         "that: see `first_weights` in GPT's docstring.")
def untouched(model, config):
    for part in model.modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()


@weights("every block begins with the same weights",
         "A seed set inside the block, or copies of one block: each draws its "
         "own.")
def copies(model, config):
    for block in model.transformer.h[1:]:
        block.load_state_dict(model.transformer.h[0].state_dict())


@weights("uniform, not normal",
         "uniform_ within 0.02 * sqrt(3) has the deviation and not the "
         "shape.")
def uniform(model, config):
    for p in model.parameters():
        if p.dim() == 2:
            bound = p.std().item() * 3 ** 0.5
            p.uniform_(-bound, bound)
