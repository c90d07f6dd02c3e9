"""The figure of the whole model, drawn from a running one (chapter 1).

A batch goes through the model while hooks write down which module ran, in
which order, and what shape came out. Boxes, names, shapes and counts come
from that record, and a residual path is drawn only where a block's output
was found to be its input plus what its two halves gave.
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import ConnectionPatch, FancyBboxPatch

from course_lib.showing.plots import PALETTE

BLUE, ORANGE, GREEN, PINK = PALETTE[:4]
KINDS = {"Embedding": ("embedding", BLUE), "LayerNorm": ("norm", GREEN),
         "Attention": ("attention", ORANGE), "MLP": ("MLP", PINK),
         "Linear": ("linear", "#666666"), "Block": ("block", "#666666")}
TITLES = {"wte": "token embedding", "wpe": "position embedding",
          "ln_f": "final norm"}


@dataclass(frozen=True)
class Step:
    """One module that ran: its path, its kind, what came out of it."""

    path: str
    kind: str
    shape: tuple[int, ...]
    parameters: int

    @property
    def label(self) -> str:
        """The lines in a box: a name for people, one for code, a count."""
        name = self.path.rsplit(".", 1)[-1]
        title = TITLES.get(name, KINDS[self.kind][0])
        return f"{title}\n{self.code}\n{self.parameters:,} parameters"

    @property
    def code(self) -> str:
        """Name and shape, as in `ln_1 (2, 16, 512)`."""
        sizes = " \u00d7 ".join(map(str, self.shape))
        return f"{self.path.rsplit('.', 1)[-1]}: {sizes}"


@torch.no_grad()
def trace(model, ids) -> tuple[list[Step], bool]:
    """Run (B, T) ids through the model. Returns its modules in the order
    in which they began, and whether every block adds to its input."""
    started, values, hooks = [], {}, []
    for path, module in model.named_modules():
        if type(module).__name__ not in KINDS:
            continue

        def begin(module, inputs, path=path):
            started.append(path)
            values[path] = (inputs[0], None)

        def end(module, inputs, output, path=path):
            values[path] = (inputs[0], output)

        hooks += [module.register_forward_pre_hook(begin),
                  module.register_forward_hook(end)]
    try:
        model(ids)
    finally:
        for hook in hooks:
            hook.remove()
    modules = dict(model.named_modules())
    steps = [Step(path, type(modules[path]).__name__,
                  tuple(values[path][1].shape),
                  sum(p.numel() for p in modules[path].parameters()))
             for path in started]
    adds = all(
        torch.allclose(values[s.path][1], values[s.path][0]
                       + values[f"{s.path}.attn"][1]
                       + values[f"{s.path}.mlp"][1], atol=1e-5)
        for s in steps if s.kind == "Block")
    return steps, adds


def draw_model(model, ids):
    """The model as a figure: the road on the left, one block opened on the
    right. `ids` is any (B, T) batch; its shape is what the boxes show."""
    steps, adds = trace(model.eval(), ids)
    depth = {step.path: step.path.count(".") for step in steps}
    road = [s for s in steps if depth[s.path] < 3]
    inside = [s for s in steps if s.path.startswith("transformer.h.0.")]
    blocks = [s for s in road if s.kind == "Block"]
    figure, ax = plt.subplots(figsize=(7.6, 8.6))
    ax.set(xlim=(0, 16), ylim=(0, 17.2))
    ax.axis("off")

    B, T = ids.shape
    _text(ax, 3.6, 16.8, f"token ids: {B} \u00d7 {T}")
    for x, step in zip((1.9, 5.3), road[:2], strict=True):
        _box(ax, x, 15.0, 3.2, 1.3, step)
        _arrow(ax, (3.6, 16.6), (x, 15.65))
        _arrow(ax, (x, 14.35), (3.6, 13.85), shrink=6)
    _plus(ax, 3.6, 13.7)
    _arrow(ax, (3.6, 13.5), (3.6, 12.9))
    pitch = min(1.0, 7.4 / len(blocks))
    for place, step in enumerate(blocks):
        y = 12.9 - pitch * (place + 0.5)
        name = step.path.removeprefix("transformer.")
        _box(ax, 3.6, y, 5.2, 0.8 * pitch, step,
             f"{name}: {step.parameters:,} parameters", bold=place == 0)
    last = 12.9 - pitch * len(blocks)
    _arrow(ax, (3.6, last + 0.1 * pitch), (3.6, 5.0))
    _box(ax, 3.6, 4.35, 5.2, 1.3, road[-1])
    _arrow(ax, (3.6, 3.7), (3.6, 3.1))
    V = model.head.size(0)
    tied = model.head is model.transformer.wte.weight
    _box(ax, 3.6, 2.45, 5.2, 1.3, None, "head (linear)\n"
         f"logits: {B} \u00d7 {T} \u00d7 {V:,}\n"
         + ("weights of wte, used again" if tied else "weights of its own"),
         color=BLUE)
    _arrow(ax, (3.6, 1.8), (3.6, 1.2))
    _text(ax, 3.6, 0.8, "softmax: a probability for each\n"
                        "of the tokens that may come next")
    _draw_block(ax, inside, adds, 12.9 - pitch * 0.5)
    return figure


def _draw_block(ax, inside, adds, from_y):
    """One block on the right: its parts in the order in which they ran."""
    ax.add_patch(FancyBboxPatch((8.0, 1.4), 7.7, 14.7, fc="#f6f6f6",
                                ec="#666666", boxstyle="round,pad=0.1"))
    for y in (1.4, 16.1):
        ax.add_patch(ConnectionPatch((6.2, from_y), (7.9, y), "data",
                                     linestyle=":", color="#666666"))
    x, y = 12.2, 15.6
    _text(ax, 9.6, 15.75, "inside h.0", weight="bold")
    start = (x, y)
    parts = [s for s in inside if s.path.count(".") == 3]
    for norm, part in zip(parts[::2], parts[1::2], strict=True):
        _arrow(ax, start, (x, y - 0.7))
        _box(ax, x, y - 1.3, 4.6, 1.2, norm)
        _arrow(ax, (x, y - 1.9), (x, y - 2.4))
        inner = [s for s in inside if s.path.startswith(part.path + ".")]
        between = {"MLP": "GELU", "Attention":
                   r"softmax$(q k^\top\!/\sqrt{d}\,)\,v$ in each head"
                   }[part.kind]
        _box(ax, x, y - 4.0, 5.4, 3.2, None, "", color=KINDS[part.kind][1])
        _text(ax, x, y - 2.75, KINDS[part.kind][0], weight="bold")
        for step, height in zip(inner, (3.4, 5.05), strict=True):
            _box(ax, x, y - height, 4.8, 0.8, step,
                 f"{step.code}\n{step.parameters:,} parameters")
        _text(ax, x, y - 4.22, between)
        _arrow(ax, (x, y - 5.6), (x, y - 6.1))
        if adds:
            ax.plot([x, 8.8, 8.8, x - 0.25],
                    [y - 0.35, y - 0.35, y - 6.3, y - 6.3],
                    color="black", lw=1.3)
            _plus(ax, x, y - 6.3)
        start, y = (x, y - 6.5), y - 6.75
    _arrow(ax, start, (x, y - 0.35))


def _box(ax, x, y, width, height, step, text=None, color=None, bold=False):
    color = color or KINDS[step.kind][1]
    ax.add_patch(FancyBboxPatch(
        (x - width / 2, y - height / 2), width, height, ec=color,
        fc=(*to_rgb(color), 0.13),
        lw=2.2 if bold else 1.3, boxstyle="round,pad=0,rounding_size=0.12"))
    _text(ax, x, y, step.label if text is None else text)


def _text(ax, x, y, text, **style):
    ax.text(x, y, text, ha="center", va="center", fontsize=8.5, color="black",
            linespacing=1.25, **style)


def _arrow(ax, start, end, shrink=0):
    ax.annotate("", end, start, arrowprops=dict(
        arrowstyle="-|>", color="black", lw=1.2, shrinkA=0, shrinkB=shrink))


def _plus(ax, x, y):
    ax.text(x, y, "+", ha="center", va="center", fontsize=11, color="black",
            bbox=dict(boxstyle="circle,pad=0.12", fc="white", ec="black"))
