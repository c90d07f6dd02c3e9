"""What a reader can judge: the last word of a passage, and plain grammar.

    python benchmarks/cloze.py MODEL... [--run RUN] [--count 400]

MODEL is a run folder or one in Hugging Face's format. The tests are made
from the validation text of RUN, by default the first MODEL, and so is their
baseline, Kneser-Ney over the tokens of its training text. Writes
book/results/cloze.json.
"""

import argparse
import re
from collections import Counter
from pathlib import Path

from baselines import MOST, ORDER
from kneser_ney import KneserNey

from course_lib.cli.arguments import number
from course_lib.cli.reading import read_model
from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.measuring.cloze import (
    answer,
    average,
    cloze_items,
    reader,
    share,
)
from course_lib.measuring.evaluation import documents
from course_lib.measuring.minimal_pairs import KINDS, minimal_pairs, prefers
from course_lib.model.cost import count_parameters
from course_lib.runs import open_run
from course_lib.sampling.generation import generate
from course_lib.showing.page import RESULTS

EXAMPLES = 10  # items of each kind that are recorded in full


def judge(read, tokenizer, items, pairs) -> dict:
    """Every figure of one model, as plain values. Of the cloze, by whether
    the passage has the word: accuracy and mean nats of the word."""
    cloze = []
    for seen in (True, False):
        asked = [item for item in items if item.seen == seen]
        for whole in (True, False) if asked else ():
            answers = [answer(read, tokenizer, item, whole)
                       for item in asked]
            cloze.append(dict(
                word_seen=seen, given="passage" if whole else "sentence",
                right=share([a.right for a in answers]),
                nats=average([a.nats for a in answers])))
    right = {kind: [prefers(read, tokenizer, pair) for pair in pairs
                    if pair.kind == kind] for kind in KINDS}
    right["all pairs"] = sum(right.values(), [])
    return dict(cloze=cloze, pairs={
        kind: share(of) for kind, of in right.items() if of})


def said(model, tokenizer, item) -> dict:
    """An item, and the word that the model would go on with."""
    [new] = generate(model, [tokenizer.encode(item.prompt(True))], 8, 0,
                     stop_id=tokenizer.eot)
    word = re.match(r"\s*([\w'-]*)", tokenizer.decode(new))[1]
    return dict(passage=item.prompt(True), word=item.word, seen=item.seen,
                said=word)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", metavar="MODEL", nargs="+")
    parser.add_argument("--run", help="whose validation text is read")
    parser.add_argument("--count", type=number, default=400, help="items "
                        "with a word seen before, and as many with a new one")
    parser.add_argument("--pairs", type=number, default=100, help="minimal "
                        "pairs of each kind")
    parser.add_argument("--most", type=number, default=MOST, help="tokens "
                        "that the n-gram model counts")
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=RESULTS,
                        help="another folder for the file")
    options = parser.parse_args()
    run = open_run(options.run or options.models[0])
    texts = list(documents(run.val_tokens, run.tokenizer))
    items = cloze_items(texts, options.count)
    pairs = minimal_pairs(texts, options.pairs)
    shown = [item for seen in (True, False) for item in
             [i for i in items if i.seen == seen][:EXAMPLES]]
    judged = []
    for folder in options.models:
        model, tokenizer, _ = read_model(folder)
        model.eval()
        judged.append(dict(
            name=Path(folder).name,
            parameters=count_parameters(model.config).total,
            **judge(reader(model), tokenizer, items, pairs),
            examples=[said(model, tokenizer, item) for item in shown]))
    train = run.train_tokens.ids[:options.most]
    grams = KneserNey(train, run.tokenizer.vocab_size, ORDER)
    judged.append(dict(name=f"Kneser-Ney, {ORDER} tokens", tokens=len(train),
                       **judge(grams.read, run.tokenizer, items, pairs)))
    write_json(options.to / "cloze.json", dict(
        provenance=provenance("cpu"), corpus=run.record["corpus"],
        documents=len(texts), items=len(items),
        pairs=dict(Counter(pair.kind for pair in pairs)), models=judged))
    for one in judged:
        print(one["name"])
        for row in one["cloze"]:
            print(f"  word {'seen' if row['word_seen'] else 'new':>4}, given "
                  f"the {row['given']:<8}  {in_words(row['right'])}, "
                  f"{row['nats']['mean']:.2f} nats")
        for kind, row in one["pairs"].items():
            print(f"  {kind:<26} {in_words(row)}")


def in_words(row: dict) -> str:
    """A share with its interval."""
    return (f"{row['share']:6.1%} ({row['low']:.1%} to {row['high']:.1%}, "
            f"n = {row['count']})")


if __name__ == "__main__":
    main()
