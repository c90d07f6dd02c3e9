"""Has it learned by heart? What a model writes, searched for in all that it
was trained on.

    python benchmarks/copies.py RUN [--most 300M]

For as many samples, held-out passages and training passages, all of the same
length: the longest run of tokens that also stands in the training text. The
held-out ones say what is shared by chance and custom, the training ones that
the search finds what is there. And the sharper test, after Carlini et al.
2023: begin passages that the run has read, and held-out ones, and count how
far the likeliest continuation keeps to the text. Writes
book/results/copies.json.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from course_lib.cli.arguments import number
from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.measuring.copies import longest_copies
from course_lib.runs import open_run
from course_lib.sampling.generation import generate
from course_lib.showing.page import RESULTS

TEXTS, TOKENS = 40, 200  # of each kind, and in each
BEGUN = 50  # tokens that the model is given of a passage
MOST = 300_000_000  # tokens that are searched; each takes 32 bytes of memory
SHOWN = 3  # copies of each kind that are recorded as text


def passages(ids) -> list[list[int]]:
    """TEXTS passages that lie evenly in a token file."""
    starts = np.linspace(0, max(0, len(ids) - TOKENS - 1), TEXTS).astype(int)
    return [ids[start:start + TOKENS].tolist() for start in starts]


def have_been_read(run) -> list[list[int]]:
    """TEXTS passages from steps all over the run: a run of less than one
    pass has not read all of its training text."""
    preset = run.preset
    return [run.train_tokens.batch(
        int(step), preset.rows, preset.model.context_length,
        preset.seed)[0][0, :TOKENS].tolist()
        for step in np.linspace(0, preset.steps - 1, TEXTS)]


def kept_to(model, texts: list[list[int]]) -> list[int]:
    """How many tokens of each text follow its first BEGUN in the model's
    likeliest continuation, before the first that differs."""
    ends = generate(model, [text[:BEGUN] for text in texts],
                    max(map(len, texts)) - BEGUN, temperature=0)
    return [next((place for place, (said, true) in enumerate(
        zip(end, text[BEGUN:])) if said != true), len(text) - BEGUN)
        for end, text in zip(ends, texts)]


def record(run, most: int) -> dict:
    """Lengths in tokens by kind of text, and the longest copies as text."""
    tokenizer, searched = run.tokenizer, run.train_tokens.ids[:most]
    model = run.model()
    texts = {
        "samples": generate(model, [[tokenizer.eot]] * TEXTS, TOKENS,
                            seed=0),
        "held-out passages": passages(run.val_tokens.ids),
        "training passages": passages(searched)}
    kept = {"passages it has read": kept_to(model, have_been_read(run)),
            "held-out passages": kept_to(model, texts["held-out passages"])}
    start = time.time()
    found = longest_copies([text for kind in texts.values()
                            for text in kind], searched)
    seconds, kinds = time.time() - start, {}
    for kind, those in texts.items():
        copies, found = found[:len(those)], found[len(those):]
        longest = sorted(zip(copies, those), key=lambda pair: -pair[0].length)
        kinds[kind] = dict(
            lengths=[copy.length for copy in copies],
            longest=[tokenizer.decode(text[copy.start:copy.start
                                           + copy.length])
                     for copy, text in longest[:SHOWN]])
    return dict(
        provenance=provenance("cpu"), run=run.record["corpus"],
        tokens=TOKENS, searched_tokens=len(searched),
        training_tokens=run.train_tokens.tokens, seconds=round(seconds, 1),
        passes=run.preset.tokens / run.train_tokens.tokens, kinds=kinds,
        begun=BEGUN, kept=kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a trained run folder")
    parser.add_argument("--most", type=number, default=MOST,
                        help="tokens of training text that are searched")
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=RESULTS,
                        help="another folder for the file")
    options = parser.parse_args()
    result = record(open_run(options.run), options.most)
    write_json(options.to / "copies.json", result)
    print(f"{result['searched_tokens']:,} of {result['training_tokens']:,} "
          f"tokens searched in {result['seconds']} s")
    for kind, found in result["kinds"].items():
        print(f"  {kind:<18} half share {np.median(found['lengths']):.0f} "
              f"tokens, the most is {max(found['lengths'])}")
    for kind, lengths in result["kept"].items():
        print(f"  begun: {kind:<20} keeps to {np.median(lengths):.0f} tokens, "
              f"at most {max(lengths)}")


if __name__ == "__main__":
    main()
