"""Prose pages hold no number that a measurement or the code might change."""

import re
from pathlib import Path

import computed
import pytest

REPO = Path(__file__).resolve().parent.parent
PAGES = [REPO / "README.md", REPO / "CONTRIBUTING.md",
         *sorted((REPO / "book").glob("**/*.md"))]

# Phrases whose numbers may be typed. All others come from a substitution of
# book/_ext/computed.py, so that they follow the code and the recordings.
TYPED = (
    "for $50", "the $50", "In 2023", "of 2023", "the 2023",  # names
    # What the post of 2023 and its code say.
    "perplexity 0.83", "cannot be 0.83", "50,304 {term}", "8 layers, 8 heads",
    "512 channels", "51 million {term}", "about 20 hours",
    "about 50 dollars", "about 15 tokens each", "to 64 positions",
    # Definitions, versions, advice and rules of the house.
    "always sure has 1", "in 32 bits", "16-bit numbers", "32-bit numbers",
    "RTX 4090", "Python 3.11", "3.12 and 3.13", "capability 8.0",
    "CUDA 12.6", "checkpoints: 40 GB", "300 lines", "median 8 lines",
    "none over 40", "over 72 columns")
NOT_PROSE = re.compile(
    r"^(`{3,}|:{3,}).*?^\1|"  # fenced code and directives
    r"^\$\$.*?^\$\$|`[^`]*`|"  # formulas, code and roles
    r"\]\([^)]*\)|\{\{.*?\}\}|"  # addresses, substitutions
    r"^#+ \d\.|^\d+\. |chapters? \d",  # what is counted
    re.M | re.S)
NUMBER = re.compile(r"(?<![\w.-])\$?\d(?:[\d,.]*\d)?%?(?![\w-])")


def typed(text: str) -> list[str]:
    """Numbers in prose that stand in no phrase above."""
    for phrase in TYPED:
        words = map(re.escape, phrase.split())
        text = re.sub(r"\s+".join(words), " ", text)
    return NUMBER.findall(NOT_PROSE.sub(" ", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_no_measurement_is_typed_by_hand(page):
    assert typed(page.read_text()) == []


@pytest.mark.parametrize("text, found", [
    ("It takes 7 minutes.", ["7"]), ("It costs $1.45 now.", ["$1.45"]),
    ("About 20 minutes.", ["20"]),
    ("A GPT-2 on an A100 with float16.", []), ("`seed=7` {{ bill }}", []),
    ("Faster by 12% and 1.3, so.", ["12%", "1.3"])])
def test_the_rule_finds_what_it_should(text, found):
    assert typed(text) == found


def test_the_bill_is_the_package_s():
    from course_lib.budget import GPUS, flops_per_token
    from course_lib.presets import load_preset
    full, gpu = load_preset("full"), GPUS["A100"]
    flop = flops_per_token(full.model) * full.tokens
    hours = flop / (312e12 * 0.4) / 3600
    bill = computed.bill()
    assert f"${hours * gpu.dollars_per_hour:.2f}" in bill
    assert f"{60 * hours:.0f} minutes" in bill
    assert "V100, 2023" in bill and "$50" in bill


def test_the_map_has_every_chapter_and_its_card():
    chapters = sorted((REPO / "notebooks").glob("[0-9]*.py"))
    text = computed.chapters()
    for chapter in chapters:
        assert f"../notebooks/{chapter.stem}`" in text
    assert text.count("\n") == len(chapters) + 1


def test_every_recorded_run_says_where_it_is_from():
    text = computed.recorded_runs()
    for path in (REPO / "book" / "results").glob("*.json"):
        [section] = [s for s in text.split("\n## ") if path.name in s]
        for row in ("device", "versions", "commit", "command", "date"):
            assert re.search(rf"^\| {row} \| .*\w.* \|$", section, re.M), row
        assert computed.UNKNOWN not in section


def test_the_steps_of_renting_add_up():
    rows = [line.split("|")[2:4] for line in
            computed.renting().replace("*", "").splitlines()[2:]]
    *steps, total = [(float(m), float(d.strip(" $"))) for m, d in rows]
    assert total[0] == pytest.approx(sum(m for m, _ in steps), abs=1)
    assert total[1] == pytest.approx(sum(d for _, d in steps), abs=0.05)
