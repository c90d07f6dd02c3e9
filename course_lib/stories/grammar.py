"""Text from a grammar of choices whose entropy is known exactly.

A grammar has one concept, the *choice*: a name with weighted options.
`{hero}` in a template stands for what the choice `hero` came out as; it
is drawn where it is first mentioned and remembered to the end of the
text, so that `{hero.he}` agrees and what was lost in the second sentence
is found in the seventh. An option is a record of fields (`place.at`,
`place.spot`), and a field may itself mention choices. A bracket
`[a|3:b]` is a choice without a name, here with weights 1 and 3. A field
asked for with a capital (`{hero.He}`, `{Elder}`) is written with one, and
`{he}` is short for `{hero.he}`. `{moral@share}` is the rule `moral@` with
`@share` written for every `@` in it: a subroutine with one argument.

One machine, `Grammar.advance`, writes text up to the next choice. Three
callers answer its choices: a random one samples texts, one that tries
every option finds the derivations of a text, and `states.py`, which merges
options on which no later probability depends, computes

    H(state) = h(p) + sum over options of p * H(next state)

exactly, in bits, and the expected number of bytes.
"""

import math
import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, eq=False)  # equal to itself only
class Atom:
    """A literal that differs between the options of one merged class."""

    key: tuple  # (pool, choice, class, field, position)
    texts: tuple[str, ...]
    size: float  # expected UTF-8 bytes


class Choice:
    """Weighted options; an option maps each field to reversed pieces.

    A piece is a literal string or a pair (choice name, field). Choices of
    one `pool` never take the same option in one text.
    """

    def __init__(self, name, pool, weights, options):
        self.name, self.pool, self.options = name, pool, options
        self.bounds = list(accumulate(weights))
        self.weights = [weight / self.bounds[-1] for weight in weights]
        self.mates = ()  # names of the other choices of the pool

    def _taken(self, memory):
        return [id(memory[mate]) for mate in self.mates if mate in memory]

    def live(self, memory):
        """(probability, option) for each option that is not taken."""
        taken = self._taken(memory)
        pairs = zip(self.weights, self.options, strict=True)
        live = [(p, option) for p, option in pairs if id(option) not in taken]
        total = sum(p for p, _ in live) if taken else 1.0
        return [(p / total, option) for p, option in live]

    def draw(self, uniform, memory):
        """One option, by a call of `uniform` for each try."""
        taken = self._taken(memory)
        while True:
            at = bisect_right(self.bounds, uniform() * self.bounds[-1])
            if id(self.options[at]) not in taken:
                return self.options[at]


class Grammar:
    """A grammar; see the top of the module for its notation.

    `rules` maps a name to a list of weighted templates, `tables` maps a
    pool to a list of records (field -> template), `cast` maps the name of
    a choice to its pool where the two differ.
    """

    def __init__(self, rules, tables, cast=(), pronouns=()):
        self.rules, self.tables, self.pronouns = rules, tables, pronouns
        self.cast = {pool: pool for pool in tables} | dict(cast)
        both = sorted(set(rules) & set(self.cast))
        if both:
            raise ValueError(f"{both} name rules and tables: rename one")
        self.choices, self.pools = {}, {}
        self._declare("story")
        for choice in self.choices.values():
            choice.mates = tuple(
                other.name for other in self.choices.values()
                if other.pool == choice.pool and other is not choice)
            if choice.mates and (len(set(choice.weights)) > 1
                                 or len(self.classes(choice)) > 1):
                raise ValueError(f"{choice.name}: choices that share a pool "
                                 "need equal weights and like records")

    def _declare(self, name):
        if name in self.choices:
            return
        self.choices[name] = None  # holds the place while it is compiled
        base, at, argument = name.partition("@")
        if name in self.cast:
            pool = self.cast[name]
            if pool not in self.pools:  # one identity for each record
                self.pools[pool] = self._options(self.tables[pool])
            options = self.pools[pool]
            weights = [1] * len(options)
            self.choices[name] = Choice(name, pool, weights, options)
        elif name in self.rules or base + at in self.rules:
            self._add(name, self.rules.get(name) or [
                (weight, text.replace("@", at + argument))
                for weight, text in self.rules[base + at]])
        else:
            raise ValueError(f"{{{name}}} names no rule and no table")

    def _add(self, name, rule):
        """A choice between templates of its own: (weight, template)."""
        weights, templates = zip(*rule, strict=True)
        options = self._options({"name": text} for text in templates)
        self.choices[name] = Choice(name, name, weights, options)

    def _options(self, records):
        """Compile records; each field also gets its capital twin."""
        options = []
        for record in records:
            fields = {key: self._compile(value) if isinstance(value, str)
                      else value for key, value in record.items()}
            fields |= {_capital(key): _capitalised(pieces)
                       for key, pieces in fields.items()}
            options.append({key: pieces[::-1]
                            for key, pieces in fields.items()})
        return options

    def _compile(self, template):
        """Template -> tuple of pieces; brackets become choices."""
        levels = [[[1]]]  # open brackets > their options > weight, pieces
        for token in re.findall(r"(?<=[\[|])\d+:|\{[^}]*\}|[\[\]|]|"
                                r"[^\[\]|{}]+", template):
            if token == "[":
                levels.append([[1]])
            elif token == "|":
                levels[-1].append([1])
            elif token == "]":
                name = f"[{len(self.choices)}"
                self._add(name, [(weight, tuple(pieces))
                                 for weight, *pieces in levels.pop()])
                levels[-1][-1].append((name, "name"))
            elif token[0] == "{":
                levels[-1][-1].append(self._mention(token[1:-1]))
            elif re.fullmatch(r"\d+:", token):
                levels[-1][-1][0] = int(token[:-1])
            else:
                levels[-1][-1].append(token)
        (_, *pieces), = levels.pop()
        return tuple(pieces)

    def _mention(self, text):
        """`hero.He` -> ("hero", "He"); declares the choice if new."""
        name, _, field = text.partition(".")
        if name.lower() in self.pronouns:
            name, field = "hero", name
        elif name[0].isupper():
            name, field = name.lower(), _capital(field or "name")
        self._declare(name)
        return name, field or "name"

    def advance(self, stack, memory):
        """Pop and return the literals before the next choice, if any.

        The mention that needs the choice is left on top of the stack; an
        empty stack is the end of the story.
        """
        written = []
        while stack:
            piece = stack.pop()
            if type(piece) is not tuple:
                written.append(piece)
            elif piece[0] in memory:
                stack += memory[piece[0]][piece[1]]
            else:
                stack.append(piece)
                break
        return written

    def sample(self, uniform):
        """One text; `uniform()` gives random floats in [0, 1)."""
        stack, memory, written = [("story", "name")], {}, []
        while stack:
            written += self.advance(stack, memory)
            if stack:
                name = stack[-1][0]
                memory[name] = self.choices[name].draw(uniform, memory)
        return "".join(written)

    def derivations(self, text=None):
        """Yield (text, log2 probability) of every derivation.

        Given a text, of those only that write it.
        """
        def walk(stack, memory, done, bits):
            new = "".join(self.advance(stack, memory))
            if text is not None and not text.startswith(new, len(done)):
                return
            done += new
            if not stack:
                if text is None or done == text:
                    yield done, -math.fsum(bits)
                return
            name = stack[-1][0]
            for p, option in self.choices[name].live(memory):
                yield from walk(stack[:], memory | {name: option}, done,
                                bits + (-math.log2(p),))

        return walk([("story", "name")], {}, "", ())

    def classes(self, choice):
        """Merge options that mention the same choices in the same places.

        Returns (probability, fields) pairs; literals that differ between
        the merged options become an `Atom`.
        """
        groups = {}
        for weight, option in zip(choice.weights, choice.options,
                                  strict=True):
            shape = tuple((field, tuple(isinstance(piece, str) or piece
                                        for piece in pieces))
                          for field, pieces in option.items())
            groups.setdefault(shape, []).append((weight, option))
        merged = []
        for shape, members in groups.items():
            total = math.fsum(weight for weight, _ in members)
            fields = {}
            for field, pieces in shape:
                fields[field] = list(pieces)
                for at in (i for i, p in enumerate(pieces) if p is True):
                    texts = tuple(o[field][at] for _, o in members)
                    size = math.fsum(weight * len(o[field][at].encode())
                                     for weight, o in members) / total
                    key = (choice.pool, choice.name, len(merged), field, at)
                    fields[field][at] = (
                        texts[0] if len(set(texts)) == 1
                        else Atom(key, texts, size))
            merged.append((total, fields))
        return merged


def _capital(text):
    return text[:1].upper() + text[1:]


def _capitalised(pieces):
    """The same pieces, the first letter they write in upper case."""
    return tuple(
        piece if at else _capital(piece) if isinstance(piece, str)
        else (piece[0], _capital(piece[1])) for at, piece in enumerate(pieces))
