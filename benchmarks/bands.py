"""What is normal: the validation losses of several seeds, for `judge`.

    python benchmarks/bands.py [--scales smoke laptop]
        [--recipes gpt2 modern] [--seeds 10] [--workers 2]

The runs share the processors, one thread each. Writes book/results/bands.json
after every run, each band with its machine, command and date, and those of the
latest for the whole; what it holds is not done again, unless the preset has
changed.
"""

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch

from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.measuring.bands import BANDS
from course_lib.presets import Preset, load_preset
from course_lib.recipes import find_recipe
from course_lib.runs import open_run
from course_lib.stages import prepared
from course_lib.training.processor import number_format
from course_lib.training.trainer import train


def curve(folder: Path, preset: Preset) -> list[tuple[float, float]]:
    """(share of the steps, validation loss) along a run of its own."""
    torch.set_num_threads(1)
    run = open_run(folder)
    log = train(None, preset, run.train_tokens, run.measured_tokens,
                progress=False).log
    return [(record["step"] / preset.steps, record["val_loss"])
            for record in log if record.get("val_loss") and record["step"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scales", nargs="+", default=["smoke", "laptop"])
    parser.add_argument("--recipes", nargs="+", default=["gpt2", "modern"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    presets = [find_recipe(recipe).at(load_preset(scale))
               for scale in options.scales for recipe in options.recipes]
    held = {}
    for band in (json.loads(BANDS.read_text())["bands"]
                 if BANDS.is_file() else []):
        of = band["preset"]
        held[of["name"], of["recipe"]] = band
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        jobs = {}
        for preset in presets:
            name = preset.name, preset.recipe
            if held.get(name, {}).get("preset") != preset.to_dict():
                held[name] = dict(preset=preset.to_dict(), losses=[])
            folder = prepared(preset).folder
            for seed in range(len(held[name]["losses"]), options.seeds):
                jobs[pool.submit(curve, folder, replace(
                    preset, seed=seed))] = preset
        for job, preset in jobs.items():  # by seed, for one who goes on
            found = job.result()
            name = preset.name, preset.recipe
            held[name]["shares"] = [share for share, _ in found]
            held[name]["losses"].append([loss for _, loss in found])
            print(*name, found[-1], flush=True)
            made = dict(provenance("cpu", number_format(
                "cpu", preset.model)), threads=1)  # of a worker
            held[name]["provenance"] = made
            write_json(BANDS, dict(
                bands=[band for band in held.values() if band["losses"]],
                provenance=made))


if __name__ == "__main__":
    main()
