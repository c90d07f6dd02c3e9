"""What in a tokenizer's file would change a text (chapter 3).

A probe shows what becomes of the characters that it has, and nothing of the
others: these are found by reading how the file says that text is treated.
"""

import reprlib
from collections.abc import Iterator

# They cut a text, or show its bytes as letters, and leave nothing out, but
# for a cut whose `behavior` is to remove what it finds.
KEEPING = ("ByteLevel", "Digits", "Punctuation", "Split")


def losses(state: dict, alphabet: set[str]) -> Iterator[str]:
    """Why a text may not come back, in words; nothing when it always does.

    `state` is a byte-level BPE as the Tokenizers library writes it, and
    `alphabet` the letters that stand for the 256 bytes.
    """
    for part in _parts(state["normalizer"]):
        yield f"its normalizer is {part['type']}"
    for part in _parts(state["pre_tokenizer"]):
        if part["type"] not in KEEPING or part.get("behavior") == "Removed":
            yield f"its pre_tokenizer {part['type']} may leave something out"
    for part in _parts(state["decoder"]):
        if part["type"] != "ByteLevel":
            yield f"its decoder is {part['type']}"
    if missing := alphabet - state["model"]["vocab"].keys():
        yield (f"it has tokens for {256 - len(missing)} of the 256 bytes, and "
               f"none for {reprlib.repr(min(missing))}")


def _parts(part: dict | None) -> Iterator[dict]:
    """The steps of a sequence, one after the other; a single one; none."""
    if part is None:
        return
    if part["type"] != "Sequence":
        yield part
        return
    for inside in part.values():
        for each in inside if isinstance(inside, list) else ():
            yield from _parts(each)


def ordered(state: dict) -> bool:
    """Whether each token but the single bytes is made by one merge, and the
    ids have the order of the merges, as training leaves them."""
    vocab = state["model"]["vocab"]
    made = [vocab.get(left + right) for left, right
            in state["model"]["merges"]]
    added = {token["id"] for token in state["added_tokens"]}
    others = {i for token, i in vocab.items() if len(token) > 1} - added
    return made == sorted({*made} - {None}) and {*made} >= others
