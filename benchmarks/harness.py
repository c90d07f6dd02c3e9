"""A run's held-out text, for lm-evaluation-harness to read offline.

    python benchmarks/harness.py RUN --to FOLDER
    cd FOLDER
    lm_eval --model hf --model_args pretrained=MODEL,dtype=float32 \\
        --include_path . --tasks books_held_out,books_cloze,books_pairs

MODEL is a folder that `course export` made. The harness (`pip install
"lm_eval[hf]"`, in an environment of its own) takes its tasks from
book/harness/, and its figures are to be those of `course evaluate
--by-document` and of benchmarks/cloze.py.
"""

import argparse
import shutil
from pathlib import Path

from course_lib.cli.arguments import number
from course_lib.machine.files import to_json
from course_lib.machine.origin import ROOT
from course_lib.measuring.cloze import cloze_items
from course_lib.measuring.evaluation import documents
from course_lib.measuring.minimal_pairs import minimal_pairs
from course_lib.runs import open_run

TASKS = ROOT / "book" / "harness"


def write(run, folder: Path, count: int, pairs: int) -> None:
    """The tasks, and a file of JSON lines for each."""
    texts = list(documents(run.val_tokens, run.tokenizer))
    rows = dict(
        held_out=[dict(text=text) for text in texts],
        cloze=[dict(passage=item.prompt(True), word=item.word)
               for item in cloze_items(texts, count)],
        pairs=[vars(pair) for pair in minimal_pairs(texts, pairs)])
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(
            to_json(line, ensure_ascii=False) + "\n" for line in lines),
            encoding="utf-8")
    for task in TASKS.glob("*.yaml"):
        shutil.copy(task, folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--to", metavar="FOLDER", type=Path, required=True)
    parser.add_argument("--count", type=number, default=400, help="items of "
                        "the cloze with a word seen before, and with a new "
                        "one")
    parser.add_argument("--pairs", type=number, default=100, help="minimal "
                        "pairs of each kind")
    options = parser.parse_args()
    write(open_run(options.run), options.to, options.count, options.pairs)
