"""Right or wrong? Sentences of books against the same with one mistake
(chapter 7).

A model that has learned some grammar finds the author's sentence likelier
than the one that a rule made of it. Half of the pairs are right by chance.
Source: after BLiMP (Warstadt et al. 2020), whose pairs are made by grammars;
agreement across a noun of the other number after Linzen et al. 2016.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from course_lib.measuring.cloze import Reader, digest, sentences
from course_lib.text.tokenizer import Tokenizer

WORDS = range(6, 26)  # of a sentence
PLAIN = re.compile(r"[A-Z][^\"\d()]*[a-z][.!?]")  # no quotation, no number


def _both_ways(pairs: str) -> dict[str, str]:
    """`a/b c/d` -> each word and the one that it is changed into."""
    words = dict(pair.split("/") for pair in pairs.split())
    return words | {b: a for a, b in words.items()}


NUMBER = _both_ways("was/were is/are has/have does/do")
CASE = {**_both_ways("him/he them/they us/we"), "me": "I",
        "He": "Him", "She": "Her", "They": "Them", "We": "Us", "I": "Me"}
DETERMINER = _both_ways("this/these that/those")
REFLEXIVE = _both_ways("himself/herself")
ARTICLE = _both_ways("a/an A/An")
PAST = dict(pair.split("/") for pair in (
    "be/was have/had go/went see/saw make/made take/took come/came "
    "know/knew think/thought find/found give/gave do/did say/said tell/told "
    "get/got keep/kept").split())
PARTICIPLE = dict(pair.split("/") for pair in (
    "gone/went seen/saw taken/took written/wrote given/gave known/knew "
    "done/did begun/began fallen/fell spoken/spoke risen/rose grown/grew "
    "broken/broke forgotten/forgot chosen/chose").split())
ONE = r"[a-z]+(?<!s)"  # a noun of one thing, as a rule
MANY = r"[a-z]+(?<!s)s"
THE = "(?:the|his|my|their|these|those)"
TO = "(?:to|with|for|from|of|by|at|upon)"

# What is looked for, and what each kind changes the last group of it into.
RULES = [
    ("agreement", r"^(?:He|She|It) (was|is|has|does)\b", NUMBER),
    ("agreement", r"^(?:They|We) (were|are|have|do)\b", NUMBER),
    ("agreement at a distance",
     rf"^The {ONE} of {THE} {MANY} (was|is|has)\b", NUMBER),
    ("agreement at a distance",
     rf"^The {MANY} of (?:the|his|my|their) {ONE} (were|are|have)\b",
     NUMBER),
    ("article", r"\b([Aa]n?)(?= [b-gi-tv-z][a-z]+| [aeio][a-z]+)", ARTICLE),
    ("number of this and these", rf"\b{TO} (this)(?= {ONE}[ ,.;])",
     DETERMINER),
    ("number of this and these", rf"\b(these|those)(?= {MANY}[ ,.;])",
     DETERMINER),
    ("pronoun's case", rf"\b{TO} (me|him|them|us)(?=[,.;:!?])", CASE),
    ("pronoun's case", r"^(He|She|They|We|I) (?=(?:was|had|did|could|would|"
     r"were|went|saw|knew|came|took)\b)", CASE),
    ("reflexive", r"^He (?:(?!she|her)[a-z]+ ){1,3}(himself)\b", REFLEXIVE),
    ("reflexive", r"^She (?:(?!he\b|his|him\b)[a-z]+ ){1,3}(herself)\b",
     REFLEXIVE),
    ("verb after an auxiliary", r"\b(?:could|would|should|must|might|did) "
     rf"(?:not )?({'|'.join(PAST)})\b", PAST),
    ("participle", rf"\bhad (?:not )?({'|'.join(PARTICIPLE)})\b",
     PARTICIPLE),
    ("word order", r"\b((?:the|my|his|their|our|your) [a-z]{3,})(?=[ ,.;])",
     None),
]
RULES = [(kind, re.compile(pattern), words)
         for kind, pattern, words in RULES]
KINDS = tuple(dict.fromkeys(kind for kind, _, _ in RULES))


@dataclass(frozen=True)
class Pair:
    """A sentence of a book, and the same with one change of a `kind`."""

    kind: str
    right: str
    wrong: str


def minimal_pairs(texts: Iterable[str], count: int) -> list[Pair]:
    """`count` pairs of each kind, or as many as there are.

    From every sentence of 6 to 25 words, without quotation marks and
    numbers, each kind makes a pair at the first place that its rule fits
    (the table RULES). Those count for which the sha256 of kind and sentence is
    smallest.
    A few of the changed sentences will be good English too: nobody looked.
    """
    found = defaultdict(set)
    for text in texts:
        for start, end in sentences(text):
            sentence = text[start:end]
            if PLAIN.fullmatch(sentence) and len(sentence.split()) in WORDS:
                for pair in pairs_of(sentence):
                    found[pair.kind].add(pair)
    return [pair for kind in KINDS for pair in sorted(
        found[kind], key=lambda pair: digest(kind + pair.right))[:count]]


def pairs_of(sentence: str) -> list[Pair]:
    """Every pair that the rules make of a sentence, one of a kind at most.
    """
    made = {}
    for kind, pattern, words in RULES:
        if kind not in made and (match := pattern.search(sentence)):
            start, end = match.span(1)
            new = words[match[1]] if words else " ".join(
                reversed(match[1].split()))
            made[kind] = Pair(kind, sentence,
                              sentence[:start] + new + sentence[end:])
    return list(made.values())


def prefers(read: Reader, tokenizer: Tokenizer, pair: Pair) -> bool:
    """Whether a model finds the book's own sentence the likelier of the
    two, each at the beginning of a document."""
    def nats(sentence):
        return sum(read([tokenizer.eot, *tokenizer.encode(sentence)], 1)[0])

    return nats(pair.right) < nats(pair.wrong)
