"""Pictures that teach, drawn from what really runs: the residual stream, rows
of tokens, the cache as it fills, a batch's way through memory (chapters 1, 3,
4 and 5)."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import ListedColormap

from course_lib.model.cache import window_start
from course_lib.model.gpt import GPT
from course_lib.showing.plots import PALETTE

PALE = "#e4e6e9"


@torch.no_grad()
def stream(model: GPT, ids) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    """What the residual stream is made of, in order: (what adds, what it
    adds, the stream afterwards), both (T, C), for one row of ids (1, T)."""
    added, hooks = [], []

    def note(name):
        return lambda module, inputs, output: added.append((name, output[0]))

    parts = model.transformer
    for layer, block in enumerate(parts.h):
        hooks += [block.attn.register_forward_hook(note(f"attention {layer}")),
                  block.mlp.register_forward_hook(note(f"MLP {layer}"))]
    hooks.append(parts.h[0].register_forward_pre_hook(
        lambda module, inputs: added.append(("embedding", inputs[0][0]))))
    try:
        model(ids)
    finally:
        for hook in hooks:
            hook.remove()
    found, total = [], 0
    for name, part in added:
        total = total + part
        found.append((name, part, total))
    return found


@torch.no_grad()
def draw_stream(model: GPT, ids, name_of):
    """The last position's residual stream, from the embedding to the last
    block: how long what each part adds is, how long the sum, and the token
    that the head would name if the model ended there (nostalgebraist 2020).
    `name_of` gives a token's text."""
    parts = stream(model, ids)
    lengths = [part[-1].norm().item() for _, part, _ in parts]
    sums = [total[-1].norm().item() for _, _, total in parts]
    guesses = [int((model.transformer.ln_f(total[-1:]) @ model.head.T
                    ).argmax()) for _, _, total in parts]
    figure, ax = plt.subplots(figsize=(7.4, 3.6))
    colors = [PALETTE[("embedding", "attention", "MLP").index(
        name.split()[0])] for name, *_ in parts]
    places = range(len(parts))
    for kind, color in zip(("embedding", "attention", "MLP"), PALETTE):
        ax.bar(0, 0, color=color, label=f"{kind} adds")
    ax.bar(places, lengths, color=colors)
    ax.plot(places, sums, "k.-", label="the stream")
    for place, (guess, height) in enumerate(zip(guesses, sums)):
        ax.annotate(name_of(guess), (place, max(height, lengths[place])),
                    (0, 6), textcoords="offset points", ha="center",
                    fontsize=9, family="monospace", rotation=35)
    ax.set_xticks(places, [name for name, *_ in parts], rotation=35,
                  ha="right", fontsize=9)
    ax.set(ylabel="length of the vector",
           ylim=(0, 1.35 * max(*sums, *lengths)))
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper left")
    return figure


def draw_rows(sentences: list[list[int]], width: int):
    """The same sentences, a row each with padding to `width` tokens, and
    packed; a colour is a sentence and a pale cell is padding."""
    padded = np.full((len(sentences), width), -1)
    for row, sentence in enumerate(sentences):
        padded[row, :len(sentence)] = row
    flat = [row for row, sentence in enumerate(sentences)
            for _ in sentence[:width]]
    packed = np.full((-(-len(flat) // width), width), -1)
    packed.ravel()[:len(flat)] = flat
    figure, axes = plt.subplots(2, 1, figsize=(7.4, 3.4), sharex=True,
                                height_ratios=[len(padded), len(packed)])
    for ax, cells, name in zip(axes, (padded, packed), ("padded", "packed")):
        shown = np.where(cells < 0, 0, 1 + cells % len(PALETTE))
        ax.pcolormesh(shown, cmap=ListedColormap([PALE, *PALETTE]), vmin=0,
                      vmax=len(PALETTE), edgecolor="white", linewidth=0.4)
        ax.set_title(f"{name}: {len(cells)} rows, {(cells >= 0).mean():.0%} "
                     "of the positions are text", fontsize=9, loc="left")
        ax.invert_yaxis()
        ax.set_yticks([])
        ax.grid(False)
        for spine in ax.spines.values():
            spine.set_visible(False)
    axes[1].set_xlabel("position in the row")
    return figure


def draw_cache(context: int, prompt: int, tokens: int):
    """The cache as a text grows by `tokens` after a prompt: a row is one
    step of generation, a column a token of the text. Dark is read in that
    step, pale was kept; past the context the window moves and what is left
    is read again."""
    length = prompt + tokens - 1  # the last token is not read any more
    cells, before = np.zeros((tokens, length), int), None
    for step in range(tokens):
        n = prompt + step
        start = window_start(n, context)
        cells[step, start:n] = 1
        read = start if start != before else n - 1
        cells[step, read:n] = 2
        before = start
    figure, ax = plt.subplots(figsize=(7.4, 3.6))
    ax.pcolormesh(cells, cmap=ListedColormap(["white", "#a9cde8",
                                              PALETTE[0]]),
                  edgecolor="#c9ccd1", linewidth=0.4)
    for value, color, name in ((2, PALETTE[0], "read in this step"),
                               (1, "#a9cde8", "kept in the cache")):
        ax.bar(0, 0, color=color, label=f"{name}: {(cells == value).sum()}")
    ax.set(xlabel="token of the text", ylabel="step", xlim=(0, length),
           ylim=(tokens, 0))
    ax.grid(False)
    ax.legend(loc="upper right")
    return figure


def memory_kept(model: GPT, ids, targets) -> list[tuple[str, int]]:
    """(part, bytes that it leaves in memory for the backward pass) in the
    order of the forward pass; weights, which are there anyway, excluded."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    seen, parts = set(weights), [["embedding", 0]]

    def keep(tensor):
        memory = tensor.untyped_storage()
        if memory.data_ptr() not in seen:
            seen.add(memory.data_ptr())
            alive.append(tensor)  # or its address would be given out again
            parts[-1][1] += memory.nbytes()
        return tensor

    alive, hooks = [], [
        block.register_forward_pre_hook(
            lambda module, inputs, at=at: parts.append([f"block {at}", 0]))
        for at, block in enumerate(model.transformer.h)]
    hooks.append(model.transformer.ln_f.register_forward_pre_hook(
        lambda module, inputs: parts.append(["head and loss", 0])))
    try:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            torch.nn.functional.cross_entropy(
                model(ids).flatten(0, 1), targets.flatten())
    finally:
        for hook in hooks:
            hook.remove()
    return [(name, size) for name, size in parts]


def draw_memory(model: GPT, ids, targets):
    """A batch's way through memory: what each part of the forward pass
    leaves behind, piled up to the loss and given back in the backward pass
    (float32, all logits at once, without the weights)."""
    kept = memory_kept(model, ids, targets)
    sizes = np.array([size for _, size in kept]) / 1e6
    names = [name for name, _ in kept]
    ends = sizes.cumsum()
    figure, ax = plt.subplots(figsize=(7.4, 3.4))
    places = np.arange(2 * len(sizes))
    ax.bar(places, [*(ends - sizes), *(ends - sizes)[::-1]], color=PALE,
           label="kept from before")
    ax.bar(places[:len(sizes)], sizes, bottom=ends - sizes,
           color=PALETTE[0], label="forward: left behind")
    ax.bar(places[len(sizes):], sizes[::-1], bottom=(ends - sizes)[::-1],
           color=PALETTE[1], hatch="//", edgecolor="white",
           label="backward: given back")
    ax.set_xticks(places, names + names[::-1], rotation=45, ha="right",
                  fontsize=9)
    ax.set_ylabel("MB for the backward pass")
    ax.grid(axis="x", visible=False)
    ax.legend()
    return figure

