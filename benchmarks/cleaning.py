"""What is taken out of books before a model reads them, in bytes.

    python benchmarks/cleaning.py PATH...    # not books:PATH, which is cleaned

Counts, part by part, what `course_lib.text.books.clean` removes. Writes
book/results/cleaning.json, which chapter 7 shows.
"""

import sys
from collections import Counter

from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.showing.page import RESULTS
from course_lib.text.books import PARTS, clean
from course_lib.text.corpus import load_corpus


def size(text: str) -> int:
    """Bytes of UTF-8."""
    return len(text.encode())


def removed(text: str) -> Counter:
    """Bytes that each part takes out of a book."""
    lost, rest = Counter(), text
    for name, part in PARTS.items():
        shorter = part(rest)
        lost[name], rest = size(rest) - size(shorter), shorter
    lost["empty lines"] = size(rest) - size(clean(text))
    return lost


def main():
    books = total = 0
    lost = Counter(dict.fromkeys(PARTS, 0))
    touched = Counter(lost)
    for text in load_corpus(*sys.argv[1:]).texts():
        books, total = books + 1, total + size(text)
        found = removed(text)
        lost.update(found)
        touched.update(name for name, count in found.items() if count > 0)
    rows = [dict(part=name, bytes=lost[name], books=touched[name])
            for name in lost]
    for row in rows:
        print(f"{row['part']:40}{row['bytes']:12,} bytes of "
              f"{row['books']:,} books")
    print(f"{sum(lost.values()) / total:.2%} of {total:,} bytes")
    write_json(RESULTS / "cleaning.json", dict(
        provenance=provenance("cpu"), books=books, bytes=total, rows=rows))


if __name__ == "__main__":
    main()
