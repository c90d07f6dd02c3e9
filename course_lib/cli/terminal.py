"""Generated text in a terminal: whole, as it is drawn, or on demand."""

import codecs
import sys
from collections.abc import Iterable, Iterator
from itertools import chain

from course_lib.text.tokenizer import Tokenizer


def in_order(drawn: Iterable[tuple[int, int]], count: int) -> Iterator:
    """The (row, token) pairs of `sampling.stream` for `count` rows, row after
    row, each as early as that allows."""
    held, current = [[] for _ in range(count)], 0
    for row, token in drawn:
        held[row].append(token)
        if row == current:
            yield row, token
        # in each step the rows come in order: that row has ended which a
        # later one has overtaken
        while row > current and len(held[row]) > len(held[current]):
            current += 1
            yield from ((current, token) for token in held[current])
    for row in range(current + 1, count):
        yield from ((row, token) for token in held[row])


def written(drawn, tokenizer: Tokenizer, prompt: str, count: int,
            ) -> Iterator[str]:
    """The text of `count` continuations of a prompt, in pieces to print as
    they come. A character of several tokens comes when it is whole."""
    current, decoder = -1, None
    for row, token in chain(in_order(drawn, count), [(count, None)]):
        while current < row:
            if decoder:
                yield decoder.decode(b"", final=True) + "\n"
            current += 1
            if current < count:
                decoder = codecs.getincrementaldecoder("utf-8")("replace")
                yield ("\n" if current else "") + prompt
        if token is not None:
            yield decoder.decode(tokenizer.token_bytes(token))


def ask(respond) -> None:
    """Read lines until the end of the input; call `respond` with each.

    Ctrl-C ends a response, or at the prompt everything. What is no text is
    said in one line and asked again.
    """
    if sys.stdin is None:  # it was closed
        return
    person = sys.stdin.isatty()
    if person:
        import readline  # noqa: F401  (the line can be edited)
        print("Type a beginning and press Enter; Ctrl-D ends.")
    while True:
        try:
            line = input("> " if person else "")
        except EOFError:
            if person:
                print()
            return
        try:
            respond(line)
        except KeyboardInterrupt:
            print()
        except ValueError as error:
            print(error, file=sys.stderr)
