"""Prose holds no number that a measurement or the code might change."""

import json
import re
import subprocess
from itertools import groupby
from pathlib import Path

import computed
import pytest

REPO = Path(__file__).resolve().parents[2]
CHAPTERS = sorted(REPO.glob("notebooks/[0-9n]*.py"))
PAGES = [REPO / "README.md", REPO / "CONTRIBUTING.md",
         *sorted(page for page in (REPO / "book").glob("**/*.md")
                 if "models" not in page.parts)]  # a card is made from a run

# Phrases whose numbers may be typed. All others come from a substitution of
# book/_ext/computed.py, so that they follow the code and the recordings.
TYPED = (
    "for $50", "the $50", "In 2023", "of 2023", "the 2023",  # names
    "GPU of 2017",
    # What the post of 2023 and its code say.
    "perplexity 0.83", "cannot be 0.83", "50,304 {term}", "8 layers, 8 heads",
    "512 channels", "51 million {term}", "about 20 hours",
    "about 50 dollars", "about 15 tokens each", "to 64 positions",
    # Definitions, versions, advice and rules of the house.
    "always sure has 1", "in 32 bits", "products in 16 bits",
    "16-bit numbers", "32-bit numbers",
    "RTX 4090", "Python 3.11", "3.12 and 3.13", "capability 8.0",
    "CUDA 12.6", "checkpoints: 40 GB", "300 lines", "median 8 lines",
    "none over 40", "over 72 columns")

# The same for chapters. What a cell counted or measured it prints, and the
# prose does not repeat the digits; here stand numbers that nothing can change:
# of papers and of 2023, of a made-up example, of a definition.
GIVEN = {
    "00_primer": (
        "is 1 for that token and 0 for all", "Why the 0.01?", "We added 0.01",
        "within 200 steps"),
    "01_architecture": (
        "Token 2 is now", "tokens 1 and 3", "Row 2, row 0",
        "row 2", "mask is 0 where", "has scores 0,", ", 0, whose",
        "exponentials 1, 2, 1", "powers of 0.9 and of 1.1",
        "mean is 2 and the variance 4", "the 23 before it",
        "is 16 times", "of 256 entries", "has length 16", "deviation 0.02",
        "deviation 1", "over 32 rows", "full one, 50,304",
        "parameter takes 16 bytes", "with 64 bits",
        "place of 32", "in 64 bits", "has 48 layers, 25 heads, 1,600 channels",
        "vocabulary of 50,257", "context of 1,024"),
    "02_scaling_laws": (
        "have 50 dollars", "2 FLOPs", "4 more", "90% of 400 fits",
        "20 tokens per parameter", "and 70% of it", "invent 60 runs",
        "60 of the 60 runs", "90% of the answers", "155M different",
        "ours has 512 channels", "how firmly 240 published runs",
        "1.1B tokens through 51M", "And 50 dollars", "run paid 50",
        "90% of the refits", "from 5 to 50 and to 500", "10 billion"),
    "03_tokenizer": (
        "about 3 things", "of the 256 bytes", "all 256 bytes",
        "With 256 bytes", "is 256 entries",
        "leave id 0", "vocabulary of 512", "for 255 merges", "where 1 means",
        "average: 1 would", "why 50,304", "GPT-2's 50,257 (256 bytes, 50,000",
        "multiple of 64", "keeps 50,304", "11,038 novels",
        "than 20,000 words", "74,004,228 sentences and 984,846,357 words",
        "74,004,228 sentences", "7,185 different", "2,930 occur",
        "lowest 5%", "cut at 64 tokens", "found 1.1 billion",
        "the 64 positions", "end of 2046", "directive 2019/790, article 4",
        "into 16 bits", "step 1,000", "of 300 entries",
        "one of 400", "take 32 at"),
    "04_training": (
        "of 16 bits", "those of 32", "the 16, on", "Clipping at 1",
        "itself near 1", "cost 2023 the most", "60 steps with it and 60",
        "batch 500", "number 500", "20 hours and 50 dollars",
        'perplexity" of 0.83', "in 40 steps",
        "padding to 32 instead of 64"),
    "05_sampling": (
        "after 1% of the steps, after 10%", "-127 to 127",
        "instead of 32", "logits 2 and 0", "top-p 0.9", "temperature 0.25"),
    "notes_scaling": (
        "error up to 0.001", "at 4,500 points", "on 240 of the published",
        "245 points", "figure 4", "in 245", "*Approach 1*", "*Approach 2*",
        "*Approach 3*", "with the power 0.73", "factor of about 1.3",
        "models of 60 million"),
    "06_cheaper": (
        "about 20 hours", "74,004,228 sentences", "row of 64",
        "held 1.1 billion", "fixed 0.0005", "of size 1",
        "run of 20 hours", "code used 0.0005", "only 512 channels",
        "51 million parameters", "1.4 times as fast", "at 0.1 billion",
        "1.1 times at 1.2 billion", "cost at 10%, and at 55%"),
    "07_speaks": (
        "175 billion parameters", "300 billion tokens", "13,000 requests",
        "1.3 billion parameters", "the 175 billion that",
        "until about 2010", "novelist of 1900"),
}
EVERYWHERE = (
    "In 2023", "in 2023", "RTX 4090", "of 2023", "the 2023", "The 2023",
    "perplexity of 0.83", "50M parameters and 1.1B tokens")
NOT_PROSE = re.compile(
    r"^(`{3,}|:{3,}).*?^\1|"  # fenced code and directives
    r"\$\$.*?\$\$|`[^`]*`|"  # formulas, code and roles
    r"\]\([^)]*\)|\{\{.*?\}\}|"  # addresses, substitutions
    r"^#+ \d\.|^(\*\*)?\d+\. |[Cc]hapters? \d|exercise \d|"  # counted
    r"\*?\(?\w+, \d+ minutes",  # how hard an exercise is
    re.M | re.S)
NUMBER = re.compile(r"(?<![\w.-])\$?\d(?:[\d,.]*\d)?[%kMB]?(?![\w-])")
FORMULA = re.compile(r"(?<!\d)\$(?!\s)[^$]*(?<!\s)\$(?!\d)")


def typed(text: str, phrases=TYPED) -> list[str]:
    """Numbers in prose that stand in none of the phrases."""
    for phrase in phrases:
        words = map(re.escape, phrase.split())
        text = re.sub(r"\s+".join(words), " ", text)
    return NUMBER.findall(NOT_PROSE.sub(" ", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_no_measurement_is_typed_by_hand(page):
    assert typed(page.read_text()) == []


def blocks(source: str) -> list[tuple[bool, str]]:
    """(whether it is Markdown, text) of neighbouring cells of one kind."""
    cells = [cell.partition("\n")
             for cell in re.split(r"^# %%", source, flags=re.M)[1:]]
    return [(told, "\n".join(body for *_, body in group))
            for told, group in groupby(
                cells, lambda cell: cell[0].startswith(" [markdown]"))]


def words(chapter: Path) -> str:
    """The Markdown of a chapter, without its questions and formulas."""
    lines = "\n".join(text for told, text in blocks(chapter.read_text())
                      if told)
    text = NOT_PROSE.sub(" ", re.sub(r"^# ?", "", lines, flags=re.M))
    return FORMULA.sub(" ", text)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_no_chapter_types_what_it_measured(chapter):
    assert typed(words(chapter),
                 GIVEN[chapter.stem] + EVERYWHERE) == []


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_every_given_phrase_is_used(chapter):
    text = " ".join(words(chapter).split())
    assert [phrase for phrase in GIVEN[chapter.stem]
            if phrase not in text] == []


# Ratios in words that nothing measured: definitions, what is done, what is
# asked. All others stand beside a cell that asserts something.
SPELLED = {
    "00_primer": ("the last tenth aside",),
    "01_architecture": (
        "exactly half-way", "half a word", "let a third listen",
        "A factor of two is not", "vocabulary is about half of both"),
    "02_scaling_laws": ("every factor of ten takes off less",),
    "03_tokenizer": (
        "takes its two halves away", "the third chart", "In the third",
        "more than twice as large as ours", "and half of the parameters"),
    "04_training": (
        "with half as many rows", "twenty times in a run",
        "has passed half of the steps"),
    "05_sampling": ("drawn twice at each", "writes the same text twice"),
    "06_cheaper": (
        "*Half the batch* takes twice as many steps", "a tenth of them",
        "*Twice the context*", "twice as long, and half as many",
        "with a third matrix", "two thirds of the usual"),
}
RATIO = re.compile(
    r"\b(?:half|halves|thirds?|quarters?|fifths?|sixths?|sevenths?|eighths?|"
    r"ninths?|tenths?|twentieths?|hundredths?|thousandths?|twice|thrice|"
    r"doubl\w+|factor of [a-z]+|(?:two|three|four|five|six|seven|eight|nine|"
    r"ten|twelve|fifteen|twenty|thirty|forty|fifty|hundred|thousand)"
    r" times)\b", re.I)


def unheld(chapter: str, spelled) -> list[str]:
    """Ratios in the prose of a chapter's source that stand in none of the
    phrases and beside no cell with an assertion."""
    found, cells = [], blocks(chapter)
    for i, (told, text) in enumerate(cells):
        beside = cells[max(0, i - 1)][1], cells[i + 1:i + 2]
        if not told or "assert" in str(beside):
            continue
        text = re.sub(r"^# ?", "", text, flags=re.M)
        text = " ".join(re.sub(r"^:::.*?^:::", "", text,
                               flags=re.M | re.S).split())
        for phrase in spelled:
            text = text.replace(phrase, "")
        found += RATIO.findall(text)
    return found


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_a_ratio_in_words_stands_beside_an_assertion(chapter):
    assert unheld(chapter.read_text(), SPELLED.get(chapter.stem, ())) == []


@pytest.mark.parametrize("chapter", SPELLED)
def test_every_spelled_phrase_is_used(chapter):
    source = (REPO / "notebooks" / f"{chapter}.py").read_text()
    text = " ".join(re.sub(r"^# ?", "", source, flags=re.M).split())
    assert [phrase for phrase in SPELLED[chapter] if phrase not in text] == []


def test_a_ratio_far_from_assertions_is_found():
    told, held = "# %% [markdown]\n# It takes {}.\n", "# %%\nassert x < {}\n"
    text = (told.format("twice as long") + "# %%\nx = 1\n"
            + told.format("a third") + held.format(1)
            + told.format("half") + held.format(2))
    assert unheld(text, ()) == ["twice"]
    assert unheld(text, ("twice as long",)) == []


@pytest.mark.parametrize("text, found", [
    ("It takes 7 minutes.", ["7"]), ("It costs $1.45 now.", ["$1.45"]),
    ("About 20 minutes.", ["20"]),
    ("A GPT-2 on an A100 with float16.", []), ("`seed=7` {{ bill }}", []),
    ("Faster by 12% and 1.3, so.", ["12%", "1.3"])])
def test_the_rule_finds_what_it_should(text, found):
    assert typed(text) == found


def test_the_bill_is_the_package_s():
    from course_lib.machine.gpus import GPUS
    from course_lib.model.cost import flops_per_token
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
        [section] = [s for s in text.split("\n## ") if f"`{path.name} <" in s]
        for row in ("device", "versions", "commit", "command", "date",
                    "came out"):
            assert re.search(rf"^\| {row} \| .*\w.* \|$", section, re.M), row
        assert computed.UNKNOWN not in section


@pytest.mark.parametrize("path", sorted(
    (REPO / "book" / "results").glob("*.json")), ids=lambda p: p.stem)
def test_a_record_is_of_a_commit_that_is_here_and_had_its_script(path):
    """But the two of the first edition's bets, which cannot be made again
    without being other bets."""
    if path.stem in ("ladder_first_books", "ladder_first_stories"):
        return
    source = computed._provenance(json.loads(path.read_text()))
    assert re.fullmatch("[0-9a-f]{7,40}", source["commit"]), source["commit"]
    script = source["command"].split()[1]
    assert (REPO / script).is_file()
    git = ["git", "-C", str(REPO)]
    if subprocess.run([*git, "rev-parse", "--is-shallow-repository"],
                      capture_output=True, text=True).stdout != "false\n":
        return  # a checkout without history, or none at all
    for what in (["merge-base", "--is-ancestor", source["commit"], "HEAD"],
                 ["cat-file", "-e", f"{source['commit']}:{script}"]):
        assert subprocess.run([*git, *what]).returncode == 0, what


def test_the_steps_of_renting_add_up():
    rows = [line.split("|")[2:4] for line in
            computed.renting().replace("*", "").splitlines()[2:]]
    *steps, total = [(float(m), float(d.strip(" $"))) for m, d in rows]
    assert total[0] == pytest.approx(sum(m for m, _ in steps), abs=1)
    assert total[1] == pytest.approx(sum(d for _, d in steps), abs=0.05)


def test_every_figure_is_spoken_of():
    text = "".join(page.read_text() for page in [
        *(REPO / "notebooks").glob("[0-9n]*.py"),
        *(REPO / "book").glob("*.md")])
    named = set(re.findall(r'(?:"name": "|:name: )(fig-[\w-]+)', text))
    spoken = set(re.findall(r"{numref}`(fig-[\w-]+)`", text))
    assert len(named) > 30 and named - spoken - {"fig-road"} == set()
