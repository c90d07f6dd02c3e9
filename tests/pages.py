"""What holds for every page, whatever it shows."""

# How many pixels a page is wider than its window.
OVERFLOW = """document.scrollingElement.scrollWidth
  - document.documentElement.clientWidth"""
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


def barriers(page) -> list[tuple[str, str]]:
    """What axe finds: the rule, and the first piece of HTML that breaks it."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"runOnly": RULES})
    return [(v["id"], v["nodes"][0]["html"])
            for v in found.response["violations"]]
