"""Written text on a page: continuations side by side, and surprisal as
colour (chapter 5)."""

import html

from IPython.display import HTML

from course_lib.sharing.colored import colored, legend, visible
from course_lib.showing.page import styled
from course_lib.text.tokenizer import Tokenizer


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
    return styled(f'<div class="surprisal"><p>{legend()}</p>'
                  f"<p>{colored(tokenizer, ids, bits)}</p></div>")
