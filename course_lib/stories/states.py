"""All states of a grammar, and what can be computed over them.

A state is what is left to write with the classes, not the identities, of the
choices that it may still ask for; so a few thousand states stand for all
texts.
"""

import math
from collections import Counter
from functools import cache
from typing import NamedTuple

from course_lib.stories.grammar import Atom, Grammar


class Step(NamedTuple):
    """By one class of a choice's options to the next choice."""

    p: float
    memory: dict  # name -> fields, of the choices that are known by then
    written: tuple  # pieces
    end: tuple | None  # the next state, if any


class States:
    """The states of a grammar and the steps between them.

    `steps` maps a state to its steps, and those that come later in a text
    to theirs first.
    """

    def __init__(self, grammar: Grammar):
        self.grammar, self.steps = grammar, {}
        self._classes, self._reach = cache(grammar.classes), cache(self._reach)
        _, self.first = self._visit([("story", "name")], {})

    def expected(self) -> tuple[float, float]:
        """Exact expected (bits, bytes) of a text, by the recursion of
        grammar.py's docstring."""
        known = {None: (0.0, 0.0)}
        for state, steps in self.steps.items():
            choice = self._choice(state)
            bits = (math.log2(len(choice.options) - self._taken(state))
                    if choice.mates else
                    -sum(p * math.log2(p) for p in choice.weights))
            known[state] = (
                bits + sum(s.p * known[s.end][0] for s in steps),
                sum(s.p * (_size(s.written) + known[s.end][1])
                    for s in steps))
        return known[self.first]

    def hidden(self) -> float:
        """What the text before a byte chosen at random tells of the text
        from there on, in bits: an upper bound on the mutual information.

        All that matters of the past is where in a step the byte lies and
        who those are that will be named again: the entropy of the first,
        and the expected information of the second. Where a pool is used
        twice, whoever does not know the first draw pays more for the next.
        """
        reached = Counter({self.first: 1.0})
        for state in reversed(self.steps):
            for step in self.steps[state]:
                reached[step.end] += reached[state] * step.p
        again, (_, total) = self._named_again(), self.expected()
        places, bits = Counter(), 0.0
        for state, steps in self.steps.items():
            for p, memory, written, end in steps:
                for at, piece in enumerate(written):
                    rest = written[at:]
                    share = reached[state] * p * _size([piece]) / total
                    places[_same(rest), end, _size([piece])] += share
                    bits += share * sum(_named(
                        memory, rest, again[end]).values())
        return bits + sum(share * math.log2(size / share)
                          for (_, _, size), share in places.items() if share)

    def _named_again(self) -> dict:
        """By state: the bits, expected, of each known choice that the rest
        names, and under None what the draws from used pools cost more."""
        again = {None: Counter()}
        for state, steps in self.steps.items():
            options = len(self._choice(state).options)
            again[state] = bits = Counter({None: math.log2(
                options / (options - self._taken(state)))})
            for p, memory, written, end in steps:
                for name, value in _named(memory, written,
                                          again[end]).items():
                    bits[name] += p * value
        return again

    def _choice(self, state):
        (*_, (name, _)), _ = state
        return self.grammar.choices[name]

    def _taken(self, state) -> int:
        """How many options the choice's mates have taken."""
        return sum(name in self._choice(state).mates for name, _ in state[1])

    def _reach(self, name) -> set:
        """The choices that this one may ask for."""
        choice = self.grammar.choices[name]
        return {name, *choice.mates}.union(*(
            self._reach(piece[0]) for option in choice.options
            for pieces in option.values() for piece in pieces
            if type(piece) is tuple))

    def _visit(self, stack, memory) -> tuple:
        """What is written before the next choice, and the state there."""
        written = tuple(self.grammar.advance(stack, memory))
        if not stack:
            return written, None
        names = set().union(*(self._reach(piece[0]) for piece in stack
                              if type(piece) is tuple))
        memory = {name: fields for name, fields in memory.items()
                  if name in names}
        state = (tuple(stack), frozenset(
            (name, id(fields)) for name, fields in memory.items()))
        if state not in self.steps:
            choice = self._choice(state)
            self.steps[state] = [
                Step(p, known, *self._visit(stack[:], known))
                for p, fields in self._classes(choice)
                for known in [memory | {choice.name: fields}]]
        return written, state


def _size(pieces) -> float:
    """Bytes, expected."""
    return sum(piece.size if type(piece) is Atom else len(piece.encode())
               for piece in pieces)


def _same(pieces) -> tuple:
    return tuple(piece.key if type(piece) is Atom else piece
                 for piece in pieces)


def _named(memory, written, later) -> Counter:
    """The bits of the choices in memory that are named: surely those in
    `written`, the others as `later` has it."""
    now = {piece.key[1]: math.log2(len(piece.texts))
           for piece in written if type(piece) is Atom}
    return Counter({name: now.get(name, later[name])
                    for name in [*memory, None]})
