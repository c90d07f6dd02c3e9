"""A training step beside llm.c's `train_gpt2`, on this machine's processor.

    python benchmarks/llmc.py CHECKOUT [--scales laptop evening full]

Karpathy's program in C takes 40 steps of 4 rows of 64 tokens, in float32,
with the model that its checkpoint describes. It is given one of ours, and
`course_lib` trains the same weights on the same tokens: the losses before
the first step must agree. The two take turns; a side's time is the median of
its steps. Needs a C compiler and OpenMP. Writes book/results/llmc.json.
"""

import argparse
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from training_step import first_model, ours

from course_lib.machine.device import autocast
from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.presets import load_preset
from course_lib.showing.page import RESULTS

# fixed in train_gpt2.c; it measures its loss on the first BATCHES
ROWS, T, STEPS, BATCHES = 4, 64, 40, 5
LAYERS = ("ln_1.weight", "ln_1.bias", "attn.c_attn.weight",
          "attn.c_attn.bias", "attn.c_proj.weight", "attn.c_proj.bias",
          "ln_2.weight", "ln_2.bias", "mlp.c_fc.weight", "mlp.c_fc.bias",
          "mlp.c_proj.weight", "mlp.c_proj.bias")


def write_checkpoint(path: Path, preset) -> None:
    """The first weights as llm.c reads them, version 3 of its format."""
    shape, state = preset.model, first_model(preset).state_dict()
    header = np.zeros(256, np.int32)
    header[:8] = (20240326, 3, shape.context_length, shape.vocab_size,
                  shape.n_layer, shape.n_head, shape.n_embd,
                  shape.vocab_size)
    names = ["transformer.wte.weight", "transformer.wpe.weight"]
    names += [f"transformer.h.{layer}.{name}" for name in LAYERS
              for layer in range(shape.n_layer)]
    names += ["transformer.ln_f.weight", "transformer.ln_f.bias"]
    with path.open("wb") as file:
        file.write(header.tobytes())
        for name in names:
            file.write(state[name].float().numpy().tobytes())


def write_tokens(path: Path, ids) -> None:
    """Token ids as llm.c reads them."""
    header = np.zeros(256, np.int32)
    header[:3] = 20240520, 1, len(ids)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header.tobytes() + ids.astype(np.uint16).tobytes())


def theirs(program: Path, folder: Path) -> tuple[float, float]:
    """(loss of the first batches untrained, median seconds of a step)."""
    said = subprocess.run([program], cwd=folder, check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    took = [float(ms) for ms in re.findall(r"\(took ([\d.]+) ms", said)]
    loss = float(re.search(r"val loss ([\d.]+)", said)[1])
    return loss, statistics.median(took[1:]) / 1000


def mine(preset, ids, number_format: str) -> tuple[float, float]:
    """The same of ours, not compiled."""
    with torch.no_grad(), autocast("cpu", number_format):
        first = torch.from_numpy(ids[:BATCHES * ROWS * T + 1].astype(int))
        loss = first_model(preset).loss(first[:-1].view(-1, T),
                                        first[1:].view(-1, T)).item()
    step, took = ours(preset, number_format), []
    for start in range(0, STEPS * ROWS * T, ROWS * T):
        part = torch.from_numpy(
            ids[start:start + ROWS * T + 1].astype(np.int64))
        begun = time.perf_counter()
        step(part[:-1].view(ROWS, T), part[1:].view(ROWS, T))
        took.append(time.perf_counter() - begun)
    return loss, statistics.median(took[1:])


def compare(scale: str, program: Path, rounds: int) -> dict:
    """Tokens per second of all sides, and how many times faster ours are."""
    preset = load_preset(scale)
    draw = np.random.default_rng(0)
    ids = draw.integers(preset.model.vocab_size, size=(STEPS + 2) * ROWS * T)
    sides = {"llm.c": [], "float32": [], "bfloat16": []}
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(Path(folder, "gpt2_124M.bin"), preset)
        for part in ("train", "val"):
            write_tokens(Path(folder, "dev/data/tinyshakespeare",
                              f"tiny_shakespeare_{part}.bin"), ids)
        for _ in range(rounds):
            losses = {}
            for side, taken in sides.items():
                losses[side], took = theirs(program, Path(folder)) \
                    if side == "llm.c" else mine(preset, ids, side)
                taken.append(took)
            assert abs(losses["float32"] - losses["llm.c"]) < 1e-3, losses
    return dict(scale=scale, tokens=ROWS * T, rounds=rounds, sides={
        side: dict(tokens_per_second=ROWS * T / statistics.median(taken),
                   faster_than_llmc=statistics.median(
                       other / one for other, one in zip(
                           sides["llm.c"], taken)))
        for side, taken in sides.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout")
    parser.add_argument("--scales", nargs="+",
                        default=["laptop", "evening", "full"])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    subprocess.run(["make", "-C", options.checkout, "train_gpt2"], check=True,
                   stdout=subprocess.DEVNULL)
    program = Path(options.checkout, "train_gpt2").resolve()
    rows = []
    for scale in options.scales:
        rows.append(compare(scale, program, options.rounds))
        print(rows[-1], flush=True)
    write_json(RESULTS / "llmc.json",
               dict(provenance=provenance("cpu"), rows=rows))


if __name__ == "__main__":
    main()
