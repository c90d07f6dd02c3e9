"""Written text on a page: continuations side by side, and surprisal as
colour (chapter 5)."""

import html

from IPython.display import HTML

from course_lib.showing.page import styled
from course_lib.text.tokenizer import EOT, Tokenizer

# Bits from which a token gets the next ground, and from which its bits stand
# beside it, so that colour is never the only sign.
STEPS, NUMBERED = (1, 3, 6, 10), 6


def visible(text: str) -> str:
    """Control characters, which no page can hold, as U+FFFD."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd"
                   for c in text)


def side_by_side(caption: str, columns: dict[str, list[str]],
                 rows: list[str]) -> HTML:
    """A table of texts; on a narrow screen the columns stand below each
    other, each cell with its column's name."""
    head = "".join(f'<th scope="col">{html.escape(name)}</th>'
                   for name in columns)
    body = ""
    for row, texts in zip(rows, zip(*columns.values(), strict=True),
                          strict=True):
        cells = "".join(
            f'<td data-column="{html.escape(name, quote=True)}">'
            + html.escape(visible(text)).replace("\n", "<br>") + "</td>"
            for name, text in zip(columns, texts))
        body += f'<tr><th scope="row">{html.escape(row)}</th>{cells}</tr>'
    return styled(
        f'<table class="side-by-side"><caption>{html.escape(caption)}'
        f"</caption><thead><tr><th scope=\"col\">after</th>{head}</tr>"
        f"</thead><tbody>{body}</tbody></table>")


def show_surprisal(tokenizer: Tokenizer, ids: list[int], bits: list[float],
              ) -> HTML:
    """Tokens on a ground that is darker the less the model expected them,
    with a legend; `bits` is -log2 of each token's probability."""
    names = ["under 1 bit", *(f"{low} to {high}" for low, high
                              in zip(STEPS, STEPS[1:])),
             f"{STEPS[-1]} bits or more"]
    legend = " ".join(f'<span class="sur sur{level}">{name}</span>'
                      for level, name in enumerate(names))
    spans, held, cost = [], b"", 0.0
    for token, value in zip(ids, bits, strict=True):
        held, cost = held + tokenizer.token_bytes(token), cost + value
        text = held.decode("utf-8", "replace")
        if text.endswith("\ufffd") and len(held) < 4:
            continue  # a character may stand in several tokens
        level = sum(cost >= step for step in STEPS)
        number = f"<sub>{cost:.0f}</sub>" if cost >= NUMBERED else ""
        spans.append(
            f'<span class="sur sur{level}" title="{cost:.1f} bits">'
            f"{html.escape(visible(text or EOT))}</span>{number}")
        held, cost = b"", 0.0
    text = "".join(spans).replace("\n", "<br>")
    return styled(f'<div class="surprisal"><p>{legend}</p><p>{text}</p></div>')
