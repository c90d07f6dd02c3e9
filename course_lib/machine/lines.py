"""Words of others, such as a server or a damaged file, in one short line."""

import shlex

LONGEST = 300  # characters


def one_line(words, longest: int = LONGEST) -> str:
    """What can be printed of the words, cut in the middle where they are
    too many. Control characters could rewrite what a terminal shows."""
    text = "".join(c if c.isprintable() else " " for c in str(words))
    text = " ".join(text.split())
    if len(text) <= longest:
        return text
    half = (longest - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def quoted(path) -> str:
    """A path as a shell reads it, for a command that is to be typed."""
    return shlex.quote(str(path))
