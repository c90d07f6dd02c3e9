"""What is normal: the validation losses of ten seeds, for `judge`.

    python benchmarks/bands.py [--scales smoke laptop]
        [--recipes gpt2 modern] [--seeds 10]

Writes book/results/bands.json after every run; what it holds is not done
again, unless the preset has changed.
"""

import argparse
import json
from dataclasses import replace

from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.measuring.bands import BANDS
from course_lib.presets import load_preset
from course_lib.recipes import find_recipe
from course_lib.stages import prepared
from course_lib.training.processor import number_format
from course_lib.training.trainer import train


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scales", nargs="+", default=["smoke", "laptop"])
    parser.add_argument("--recipes", nargs="+", default=["gpt2", "modern"])
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    held = json.loads(BANDS.read_text())["bands"] if BANDS.is_file() else []
    for scale in options.scales:
        for recipe in options.recipes:
            preset = find_recipe(recipe).at(load_preset(scale))
            same = [band for band in held
                    if band["preset"] == preset.to_dict()]
            band = same[0] if same else dict(
                preset=preset.to_dict(), shares=[], losses=[])
            held = [other for other in held if (
                other["preset"]["name"], other["preset"]["recipe"]) != (
                    scale, recipe)] + [band]
            run = prepared(preset)
            for seed in range(len(band["losses"]), options.seeds):
                result = train(None, replace(preset, seed=seed),
                               run.train_tokens, run.measured_tokens)
                curve = [(record["step"] / preset.steps, record["val_loss"])
                         for record in result.log
                         if record.get("val_loss") and record["step"]]
                band["shares"] = [share for share, _ in curve]
                band["losses"].append([loss for _, loss in curve])
                print(scale, recipe, seed, curve[-1], flush=True)
                write_json(BANDS, dict(bands=held, provenance=provenance(
                    "cpu", number_format("cpu", preset.model))))


if __name__ == "__main__":
    main()
