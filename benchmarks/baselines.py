"""What a trained model must beat: two compressors and n-gram models.

    python benchmarks/baselines.py RUN [--most 200M]

On a run's validation text, in bits per byte, each after reading the run's
training text, or as much of it as `training_bytes` says. Writes
book/results/baselines.json.

A compressor is a predictor: what it can foresee, it need not store. Both
read training text and validation text as one stream, and what counts is what
the second adds; so, unlike a trained model, they go on learning from the
validation text. The n-gram models (kneser_ney.py) do not. End-of-text is a
zero byte, or a token, and costs what it costs; it counts as no byte.
"""

import argparse
import lzma
import time
from pathlib import Path

import numpy as np
from kneser_ney import KneserNey

from course_lib.cli.arguments import number
from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.runs import open_run
from course_lib.showing.page import RESULTS

ORDER = 5
MOST = 200_000_000  # tokens, or bytes, that an n-gram model counts
DICTIONARY = 2**26  # bytes that `xz -9` looks back
PPMD_ORDER = 8  # the best for books of 4, 5, 6, 8, 12, 16 and 32
PPMD_MEMORY = 2**31  # bytes; when it is full, the rarest contexts go
PIECE = 2**22


def as_bytes(ids, tokenizer) -> bytes:
    """The bytes of a token file's documents, joined by end-of-text (0)."""
    pieces = [tokenizer.token_bytes(i) or b"\0"
              for i in range(tokenizer.vocab_size)]
    return b"".join(
        b"".join(map(pieces.__getitem__, ids[start:start + PIECE].tolist()))
        for start in range(0, len(ids), PIECE))


def xz_size(data: bytes) -> int:
    """What `xz -9` makes of it."""
    return len(lzma.compress(data, preset=9))


def ppmd_size(known: bytes, text: bytes) -> int:
    """Bytes that a text takes in PPMd (variant I) after another one."""
    import pyppmd  # of the extra `test`, and for this alone
    encoder = pyppmd.Ppmd8Encoder(PPMD_ORDER, PPMD_MEMORY,
                                  pyppmd.PPMD8_RESTORE_METHOD_CUT_OFF)
    for start in range(0, len(known), PIECE):
        encoder.encode(known[start:start + PIECE])
    return sum(len(encoder.encode(text[start:start + PIECE]))
               for start in range(0, len(text), PIECE)) + len(encoder.flush())


def measure(run, most: int = MOST) -> list[dict]:
    """A row for each method: `name`, `bits_per_byte` of the run's validation
    text, `training_bytes` that it read before, `seconds`."""
    tokenizer, V = run.tokenizer, run.tokenizer.vocab_size
    train, val = run.train_tokens.ids, run.val_tokens.ids
    size = run.val_tokens.bytes
    known, text = as_bytes(train, tokenizer), as_bytes(val, tokenizer)
    near, rows = known[-DICTIONARY:], []

    def row(name, read, bits):
        start = time.time()
        rows.append(dict(name=name, bits_per_byte=float(bits()) / size,
                         training_bytes=read,
                         seconds=round(time.time() - start, 1)))
        print(rows[-1], flush=True)

    row("xz -9, the text alone", 0, lambda: 8 * xz_size(text))
    row("xz -9, after the training text", len(near),
        lambda: 8 * (xz_size(near + text) - xz_size(near)))
    row("PPMd, after the training text", len(known),
        lambda: 8 * ppmd_size(known, text))
    row(f"Kneser-Ney, {ORDER} bytes", len(known[:most]),
        lambda: KneserNey(np.frombuffer(known[:most], np.uint8), 256,
                          ORDER).bits(np.frombuffer(text, np.uint8)).sum())
    row(f"Kneser-Ney, {ORDER} tokens",
        len(known) if most >= len(train)
        else len(as_bytes(train[:most], tokenizer)),
        lambda: KneserNey(train[:most], V, ORDER).bits(val).sum())
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--most", type=number, default=MOST, help="tokens, "
                        "or bytes, that an n-gram model counts; each takes "
                        "some forty bytes of memory")
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=RESULTS,
                        help="another folder for the file")
    options = parser.parse_args()
    run = open_run(options.run)
    rows = measure(run, options.most)
    write_json(options.to / "baselines.json", dict(
        provenance=provenance("cpu"), corpus=run.record["corpus"],
        split=run.record["split"], vocab_size=run.tokenizer.vocab_size,
        validation_bytes=run.val_tokens.bytes,
        validation_documents=run.val_tokens.documents,
        training_bytes=run.train_tokens.bytes, rows=rows))


if __name__ == "__main__":
    main()
