"""The first edition's model of real books, on the books held out today.

    git worktree add ../first 596855b
    (cd ../first; python -m course_lib prepare --corpus ../shared/corpus/sample
        --preset laptop --layers 4 --heads 6 --width 192 --context 256
        --tokens 12M --learning-rate 0.002 --out runs/books;
     python -m course_lib train runs/books;
     python -m course_lib export runs/books --to runs/exported)
    python benchmarks/first_edition.py ../first/runs/exported RUN
        --read ../shared/corpus/sample

Its weights were not kept, so its own code trains it once more, as its record
says. It had another tokenizer, and what both are measured in is bits per byte
of the same texts. Those of them that stand in its own (--read, of which it
held out one book in twenty) are counted. Writes
book/results/first_edition.json.
"""

import argparse
from dataclasses import asdict

from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.measuring.evaluation import documents, evaluate_text
from course_lib.model.cost import count_parameters
from course_lib.runs import open_run
from course_lib.sharing.hugging_face import load_hf
from course_lib.showing.page import RESULTS
from course_lib.text.corpus import load_corpus

PLACES, LENGTH = 20, 60  # characters, compared in a book


def read_before(text: str, known: str) -> bool:
    """Whether more than half of some lines of a book stand in `known`."""
    step = len(text) // (PLACES + 1)
    found = [text[at:at + LENGTH] in known
             for at in range(step, len(text) - LENGTH, step)]
    return sum(found) > len(found) / 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a folder that `course export` made")
    parser.add_argument("run", help="whose held-out texts are asked")
    parser.add_argument("--read", nargs="+", required=True,
                        help="the texts that the model was made from")
    options = parser.parse_args()
    model, tokenizer = load_hf(options.model)
    run = open_run(options.run)
    texts = list(documents(run.val_tokens, run.tokenizer))
    known = "\n".join(load_corpus(*options.read).texts())
    whole = evaluate_text(model, tokenizer, texts)
    result = dict(
        provenance=provenance("cpu"), documents=len(texts),
        read_before=sum(read_before(text, known) for text in texts),
        parameters=count_parameters(model.config).total,
        training_bytes=len(known.encode()),
        bits_per_byte=whole.bits_per_byte, **asdict(whole))
    print(result)
    write_json(RESULTS / "first_edition.json", result)


if __name__ == "__main__":
    main()
