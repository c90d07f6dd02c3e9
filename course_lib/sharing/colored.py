"""Text as a page shows it: on a ground that says what each token cost, and
with its spaces seen (chapter 5)."""

import html

from course_lib.measuring.surprise import pieces
from course_lib.text.tokenizer import Tokenizer

# Bits from which a token gets the next ground, and from which its bits stand
# beside it, so that colour is never the only sign.
STEPS, NUMBERED = (1, 3, 6, 10), 6


def visible(text: str) -> str:
    """Control characters, which no page can hold, as U+FFFD."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd"
                   for c in text)


def token_name(tokenizer: Tokenizer, token: int) -> str:
    """A token in one line, so that its spaces can be seen."""
    text = tokenizer.decode([token])
    return visible(text.replace(" ", "\u00b7").replace("\n", "\u21b5"))


def colored(tokenizer: Tokenizer, ids: list[int], bits: list[float]) -> str:
    """Tokens on a ground that is darker the less the model expected them, as
    HTML; `bits` is -log2 of each token's probability."""
    spans = []
    for text, cost in pieces(tokenizer, ids, bits):
        level = sum(cost >= step for step in STEPS)
        number = f"<sub>{cost:.0f}</sub>" if cost >= NUMBERED else ""
        spans.append(
            f'<span class="sur sur{level}" title="{cost:.1f} bits">'
            f"{html.escape(visible(text))}</span>{number}")
    return "".join(spans).replace("\n", "<br>")


def legend() -> str:
    """What the grounds mean, as HTML."""
    names = ["under 1 bit", *(f"{low} to {high}" for low, high
                              in zip(STEPS, STEPS[1:])),
             f"{STEPS[-1]} bits or more"]
    return " ".join(f'<span class="sur sur{level}">{name}</span>'
                    for level, name in enumerate(names))
