"""Does a model learn as well in bfloat16? Curves in both number formats.

    python benchmarks/formats.py BOOKS [--steps 2000] [--batch 512]

The `evening` scale's model by the `gpt2` recipe, trained on text in float32
and in bfloat16 with two seeds each. A seed decides the first weights and the
order of the text, so what two seeds differ by is what luck does; the formats
should differ by less. Writes book/results/formats.json after every run; what
it holds is not done again.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace

from course_lib.cli.arguments import number
from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.presets import load_preset
from course_lib.recipes import find_recipe
from course_lib.runs import prepare
from course_lib.showing.page import RESULTS
from course_lib.text.corpus import load_corpus
from course_lib.training.trainer import train

PATH = RESULTS / "formats.json"
RUNS = [(name, seed) for seed in (0, 1) for name in ("bfloat16", "float32")]
CURVE_TOKENS, FINAL_TOKENS = 16_384, 131_072


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", nargs="+", help="files or folders")
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--batch", type=number, default=512)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    options = parser.parse_args()
    preset = replace(
        find_recipe("gpt2").at(load_preset("evening")), corpus="books",
        tokens=options.steps * options.batch, batch_tokens=options.batch,
        learning_rate=options.learning_rate, warmup_steps=100)
    runs = json.loads(PATH.read_text())["runs"] if PATH.is_file() else []
    done = {(run["number_format"], run["seed"]) for run in runs}
    with tempfile.TemporaryDirectory() as folder:
        text = prepare(folder, preset, load_corpus(*options.text), print)
        for number_format, seed in RUNS:
            if (number_format, seed) in done:
                continue
            began = time.monotonic()
            result = train(
                None, replace(preset, seed=seed), text.train_tokens,
                text.val_tokens, number_format=number_format,
                curve_tokens=CURVE_TOKENS, final_tokens=FINAL_TOKENS)
            runs.append(dict(
                number_format=number_format, seed=seed,
                loss=result.evaluation.loss,
                curve=[[record["step"], record["val_loss"]]
                       for record in result.log if "val_loss" in record],
                seconds=time.monotonic() - began,
                provenance=provenance("cpu", number_format)))
            print(number_format, seed, result.evaluation.loss, flush=True)
            write_json(PATH, dict(
                preset=preset.to_dict(), runs=runs, provenance=provenance(
                    "cpu", "float32 and bfloat16")))


if __name__ == "__main__":
    main()
