"""Tokens per word and bytes per token against vocabulary size, on books.

    python benchmarks/vocabulary.py PATH...    # text, as for `course prepare`

Writes book/results/vocabulary.json, which chapter 3 plots. One tokenizer of
the full preset's size is trained and then cut: BPE's choices do not depend
on how many are still to come, so the first V entries are the tokenizer of
size V (an exercise of chapter 3).
"""

import json
import sys
from itertools import islice

import tokenizers

from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.presets import load_preset
from course_lib.runs import first_bytes
from course_lib.showing.page import RESULTS
from course_lib.text.corpus import load_corpus
from course_lib.text.split import side
from course_lib.text.tokenizer import Tokenizer, train_tokenizer

TRAIN_BYTES, TEST_BYTES = 60_000_000, 2_000_000
SIZES = [512, 1024, 2048, 4096, 8192, 16_384, 32_768]


def cut(tokenizer: Tokenizer, size: int) -> Tokenizer:
    """The first `size` entries, with the merges that make them."""
    state = json.loads(tokenizer.library.to_str())
    vocab = state["model"]["vocab"]
    keep = {token: i for token, i in vocab.items() if i < size}
    state["model"]["merges"] = [
        pair for pair in state["model"]["merges"] if "".join(pair) in keep]
    state["model"]["vocab"] = keep
    return Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(state)))


def main(paths: list[str]) -> None:
    texts = load_corpus(*paths).texts
    full = load_preset("full").model.vocab_size
    train = list(first_bytes(side(texts(), "hash", False), TRAIN_BYTES))
    test = [text[:200_000] for text in islice(
        side(texts(), "hash", True), TEST_BYTES // 200_000)]
    tokenizer = train_tokenizer(train, full)
    words = sum(len(text.split()) for text in test)
    size = sum(len(text.encode()) for text in test)
    rows = []
    for entries in [*SIZES, full]:
        tokens = sum(map(len, cut(tokenizer, entries).encode_batch(test)))
        rows.append(dict(vocab_size=entries, tokens=tokens,
                         tokens_per_word=tokens / words,
                         bytes_per_token=size / tokens))
        print(rows[-1])
    write_json(RESULTS / "vocabulary.json", dict(
        provenance=provenance("cpu"),
        text="English books in the public domain, split by book",
        training_bytes=sum(len(text.encode()) for text in train),
        test_bytes=size, test_words=words, test_documents=len(test),
        rows=rows))


if __name__ == "__main__":
    main(sys.argv[1:])
