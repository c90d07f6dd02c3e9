"""How fast text becomes tokens, and what memory that takes.

    python benchmarks/packing.py FOLDER     # with 100 MB of text or more

Three things, written to book/results/packing.json. The speed of four ways to
encode the same sentences with the same 50,304 merges: one sentence at a time,
as the 2023 recipe's `__getitem__` did; `datasets.map` with this tokenizer;
tiktoken in one thread; and `course_lib`, as it packs: to a file, with counts
and checksum. The ways alternate within one process; one core is this process
bound to one. And the whole road of 100 MB, a point every few MB: seconds,
and the memory of the process (Linux only).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.presets import load_preset
from course_lib.runs import first_bytes
from course_lib.showing.page import RESULTS
from course_lib.text.corpus import load_corpus
from course_lib.text.token_files import pack
from course_lib.text.tokenizer import load_tokenizer, train_tokenizer

SPEED_BYTES, CURVE_BYTES, ROUNDS = 20_000_000, 100_000_000, 5


def sentences(texts) -> list[str]:
    """Rows about as long as BookCorpus's: a line at each full stop."""
    return [row.strip() for text in texts
            for row in text.replace("\n", " ").split(". ") if row.strip()]


def one_by_one(tokenizer, rows, folder):
    """The 2023 way, without its padding."""
    return [tokenizer.library.encode(row).ids for row in rows]


def datasets_map(tokenizer, rows, folder):
    """`datasets.map` in batches, with a worker for each core."""
    import datasets
    datasets.disable_progress_bars()
    cores = len(os.sched_getaffinity(0))
    datasets.Dataset.from_dict({"text": rows}).map(
        lambda batch: {"ids": tokenizer.encode_batch(batch["text"])},
        batched=True, remove_columns="text", load_from_cache_file=False,
        num_proc=cores if cores > 1 else None)


def tiktoken_alone(tokenizer, rows, folder):
    """The bare encoder over the same rows, in one thread."""
    for row in rows:
        tokenizer._tiktoken.encode_ordinary(row)


def documents(rows) -> list[str]:
    """1,000 rows a document, as the corpus module makes of BookCorpus."""
    return ["\n".join(rows[at:at + 1000]) for at in range(0, len(rows), 1000)]


def packing(tokenizer, rows, folder):
    """What `course prepare` does."""
    pack(documents(rows), tokenizer, Path(folder, "speed.bin"))


WAYS = {"one sentence at a time": one_by_one, "datasets.map": datasets_map,
        "tiktoken, one thread": tiktoken_alone, "course_lib": packing}


def speeds(tokenizer_path: str, rows_path: str) -> dict:
    """MB/s of each way on the cores that this process may use: medians,
    and the median of the rounds' ratios to the first way."""
    tokenizer = load_tokenizer(tokenizer_path)
    rows = json.loads(Path(rows_path).read_text())
    size = sum(len(row.encode()) for row in rows) / 1e6
    taken = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(ROUNDS + 1):  # the first only warms up
            for way, encode in WAYS.items():
                begun = time.perf_counter()
                encode(tokenizer, rows, folder)
                if turn:
                    taken[way].append(time.perf_counter() - begun)
    slow = taken["one sentence at a time"]
    return {way: dict(
        megabytes_per_second=size / statistics.median(seconds),
        slowest=size / max(seconds), fastest=size / min(seconds),
        times_the_first=statistics.median(
            a / b for a, b in zip(slow, seconds)))
        for way, seconds in taken.items()}


def in_its_own_process(cores: int, *paths) -> dict:
    """`speeds` on so many cores."""
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    done = subprocess.run(
        [sys.executable, __file__, "--speeds", *map(str, paths)],
        stdout=subprocess.PIPE, text=True, check=True,
        env={**os.environ, "TOKENIZERS_PARALLELISM": "true",
             "RAYON_NUM_THREADS": str(cores)},
        preexec_fn=lambda: os.sched_setaffinity(0, allowed))
    return json.loads(done.stdout.splitlines()[-1])


def curve(texts, tokenizer, folder) -> list[dict]:
    """Bytes done, seconds and resident bytes, as packing goes on."""
    points, begun, done = [], time.perf_counter(), 0

    def note(size):
        nonlocal done
        done += size
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        points.append(dict(
            bytes=done, seconds=round(time.perf_counter() - begun, 3),
            resident=pages * os.sysconf("SC_PAGE_SIZE")))

    pack(texts, tokenizer, Path(folder, "curve.bin"), note, "curve")
    return points


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--speeds", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.speeds:
        print(json.dumps(speeds(*options.speeds)))
        return
    texts = load_corpus(options.folder).texts
    vocab_size = load_preset("full").model.vocab_size
    with tempfile.TemporaryDirectory() as folder:
        sample = list(first_bytes(texts(), SPEED_BYTES))
        tokenizer = train_tokenizer(sample, vocab_size)
        where = Path(folder, "tokenizer.json"), Path(folder, "rows.json")
        tokenizer.save(where[0])
        rows = sentences(sample)
        where[1].write_text(json.dumps(rows))
        del sample
        points = curve(first_bytes(texts(), CURVE_BYTES), tokenizer, folder)
        print(points[-1])
        cores = {str(n): in_its_own_process(n, *where)
                 for n in {1, min(2, os.cpu_count())}}
    print(json.dumps(cores, indent=1))
    write_json(RESULTS / "packing.json", dict(
        provenance=provenance("cpu"), vocab_size=vocab_size,
        rows=len(rows), speeds_by_cores=cores, curve=points))


if __name__ == "__main__":
    main()
