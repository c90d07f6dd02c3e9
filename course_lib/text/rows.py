"""Text as sentences, one a row, as the recipe of 2023 read it (chapter 3)."""

import re
from collections.abc import Iterable, Iterator


def sentences(texts: Iterable[str]) -> Iterator[str]:
    """The sentences of each text, with the space or line break after them:
    joined again, they are the text."""
    for text in texts:
        held = ""
        for piece in re.split(r"(?<=[.!?] )|(?<=\n)", text):
            if held.strip() and piece.strip():
                yield held
                held = ""
            held += piece
        if held.strip():
            yield held
