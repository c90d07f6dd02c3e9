"""What holds for every page, whatever it shows."""

# How many pixels a page is wider than its window.
OVERFLOW = """document.scrollingElement.scrollWidth
  - document.documentElement.clientWidth"""
# Boxes to predict whose answer a reader sees before having guessed. What
# follows a box is cells, their outputs gone into a fold but for figures with
# controls; then that fold, closed, with a paragraph in it.
SPOILT = """[...document.querySelectorAll('.predict')].filter(box => {
    let part = box.nextElementSibling;
    for (; part?.matches('.cell:not(.answer)'); part = part.nextElementSibling)
      if ([...part.querySelectorAll('.cell_output')].some(
          o => !o.querySelector('.interactive, .gpt')))
        return true;
    return !part?.matches('.answer') ||
      !part.querySelector(':scope > details:not([open]) > p');
  }).map(box => box.innerText)"""
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


def barriers(page) -> list[tuple[str, str]]:
    """What axe finds: the rule, and the first piece of HTML that breaks it."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"runOnly": RULES})
    return [(v["id"], v["nodes"][0]["html"])
            for v in found.response["violations"]]
