"""What lm-evaluation-harness finds of a model, beside the course's own.

    python benchmarks/harness.py RUN --to FOLDER
    cd FOLDER
    lm_eval --model hf --include_path . --output_path results \\
        --model_args pretrained=MODEL,dtype=float32,max_length=256 \\
        --tasks books_cloze,books_pairs
    ... and the same with --tasks books_held_out --limit 4
    python benchmarks/harness.py RUN --to FOLDER --beside MODEL

MODEL is a folder that `course export` made. The harness (`pip install
"lm_eval[hf]"`, in an environment of its own) takes its tasks from
book/harness/; its windows are `max_length` long, and all 75 books would take
it an hour. Its figures are to be those of `course evaluate --by-document` and
of benchmarks/cloze.py: the last command computes these for what the harness
has read, and records both in book/results/harness.json.
"""

import argparse
import json
import shutil
from pathlib import Path
from statistics import mean

from course_lib.cli.arguments import number
from course_lib.machine.files import to_json, write_json
from course_lib.machine.origin import ROOT, provenance
from course_lib.measuring.cloze import answer, cloze_items, reader
from course_lib.measuring.evaluation import documents, evaluate_text
from course_lib.measuring.minimal_pairs import minimal_pairs, prefers
from course_lib.runs import open_run
from course_lib.sharing.hugging_face import load_hf
from course_lib.showing.page import RESULTS

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


def beside(run, folder: Path, model, tokenizer, count: int,
           pairs: int) -> dict:
    """What the harness found in its tasks, and what the course does of the
    first as many items of each."""
    theirs, sizes = {}, {}
    for path in sorted(folder.rglob("results_*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        theirs |= found["results"]
        sizes |= {task: size["effective"]
                  for task, size in found["n-samples"].items()}
        version = found["lm_eval_version"]
    if not theirs:
        raise FileNotFoundError(f"{folder} holds no results of the harness: "
                                "give lm_eval --output_path")
    texts, read = list(documents(run.val_tokens, run.tokenizer)), reader(model)
    items = cloze_items(texts, count)[:sizes["books_cloze"]]
    two = minimal_pairs(texts, pairs)[:sizes["books_pairs"]]
    texts = texts[:sizes["books_held_out"]]
    across, alone = (evaluate_text(model, tokenizer, texts, by_document=each)
                     for each in (False, True))
    rows = [
        ("books_held_out", "bits_per_byte", alone.bits_per_byte),
        ("books_cloze", "acc",
         mean(answer(read, tokenizer, item, True).right for item in items)),
        ("books_pairs", "acc",
         mean(prefers(read, tokenizer, pair) for pair in two))]
    return dict(
        provenance=provenance("cpu"), lm_eval=version,
        bytes=alone.bytes, bits_per_byte_across=across.bits_per_byte,
        tasks=[dict(task=task, figure=figure, count=sizes[task],
                    harness=theirs[task][f"{figure},none"], course=own)
               for task, figure, own in rows])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--to", metavar="FOLDER", type=Path, required=True)
    parser.add_argument("--count", type=number, default=400, help="items of "
                        "the cloze with a word seen before, and with a new "
                        "one")
    parser.add_argument("--pairs", type=number, default=100, help="minimal "
                        "pairs of each kind")
    parser.add_argument("--beside", metavar="MODEL", type=Path, help="record "
                        "what the harness found of it, beside the course")
    options = parser.parse_args()
    given = open_run(options.run), options.to
    if options.beside:
        model, tokenizer = load_hf(options.beside)
        both = beside(*given, model.float(), tokenizer, options.count,
                      options.pairs)
        write_json(RESULTS / "harness.json", both)
        print(to_json(both["tasks"]))
    else:
        write(*given, options.count, options.pairs)
