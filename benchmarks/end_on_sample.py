"""The shipped model on the sample of held-out books that the long run was
measured on along its way.

    python benchmarks/end_on_sample.py books:../shared/corpus/books

After its last step a run is measured on all held-out text, before that on
windows that lie evenly in it. What the last steps gained can be told only on
the same windows. Writes book/results/end_on_sample.json.
"""

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path

from course_lib.cli.reading import texts_to_evaluate
from course_lib.machine.files import write_json
from course_lib.machine.origin import ROOT, provenance
from course_lib.measuring.evaluation import evaluate
from course_lib.presets import Preset
from course_lib.sharing.hugging_face import load_hf
from course_lib.showing.page import RESULTS, load_result
from course_lib.text.token_files import pack
from course_lib.training.options import curve_tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", help="that of the long run")
    options = parser.parse_args()
    long_run = load_result("long_run.json")
    asked = curve_tokens(Preset.from_dict(long_run["run"]["preset"]))
    model, tokenizer = load_hf(ROOT / "book" / "models" / "books")
    texts = texts_to_evaluate([options.corpus], held_out=True)
    with tempfile.TemporaryDirectory() as folder:
        tokens = pack(texts, tokenizer, Path(folder, "val.bin"))
        result = evaluate(model.float(), tokens, max_tokens=asked)
    result = dict(asdict(result), bits_per_byte=result.bits_per_byte,
                  of_tokens=tokens.targets, provenance=provenance("cpu"))
    print(result)
    write_json(RESULTS / "end_on_sample.json", result)


if __name__ == "__main__":
    main()
