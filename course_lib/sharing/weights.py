"""A GPT's weights under the names and in the order of another format.

A format is a table of `Place`s (`gpt2_format.py`, `qwen3_format.py`); by the
same table weights are written, checked and read.
"""

from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import groupby
from typing import NamedTuple

import torch

from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT
from course_lib.sharing.stored import Stored


class Place(NamedTuple):
    """Where a parameter of ours stands in the format: under which name, in
    which shape, and whether rows and columns change places. Several places
    in a row with the same `ours` hold equal shares of its rows."""

    name: str
    ours: str
    shape: tuple[int, ...]
    turned: bool = False


def placed(model: GPT, places: Iterable[Place]) -> dict[str, torch.Tensor]:
    """Copies of the model's weights, named and laid out as the format has
    them. Raises ValueError when the model has others than the format."""
    state, found = model.state_dict(), {}
    for ours, group in _by_parameter(places):
        if ours not in state:
            raise ValueError(f"the model has no {ours}, which its "
                             "configuration promises")
        for place, part in zip(group, state.pop(ours).chunk(len(group))):
            part = part.T if place.turned else part
            found[place.name] = part.clone(
                memory_format=torch.contiguous_format)
    if state:
        raise ValueError(f"the model has {min(state)}, for which the format "
                         "has no place")
    return found


def check(stored: dict[str, Stored], places: Iterable[Place],
          ignored: tuple[str, ...] = ()) -> None:
    """Raise ValueError for a tensor that is missing, has another shape or no
    known number format, or that no place is for; names that end in one of
    `ignored` may be there."""
    known = set()
    for place in places:  # made one by one: a file may announce billions
        found = stored.get(place.name)
        if found is None:
            raise ValueError(f"the weights have no {place.name}, which the "
                             "configuration promises")
        if found.shape != place.shape:
            raise ValueError(f"{place.name} has the shape {found.shape}, and "
                             f"the configuration promises {place.shape}")
        if found.dtype is None:
            raise ValueError(f"{place.name} has a number format that is none "
                             "of float64, float32, float16, bfloat16")
        known.add(place.name)
    extra = [name for name in stored
             if name not in known and not name.endswith(ignored)]
    if extra:
        raise ValueError(f"the weights hold {min(extra)}, for which the "
                         "configuration has no place")


def filled(config: GPTConfig, places: list[Place],
           stored: dict[str, Stored]) -> GPT:
    """A GPT with the stored weights, in their number format, or in the
    widest where there are several. They must have passed `check`. Raises
    ValueError for a value that is NaN."""
    with torch.device("meta"):  # first weights would take time
        model = GPT(config)
    dtype = reduce(torch.promote_types,
                   (stored[place.name].dtype for place in places))
    model = model.to(dtype).to_empty(device="cpu")
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for ours, group in _by_parameter(places):
            parts = [stored[place.name].read() for place in group]
            parameters[ours].copy_(torch.cat(
                [part.T if place.turned else part
                 for place, part in zip(group, parts)]))
            if not parameters[ours].isfinite().all():
                raise ValueError(f"{group[0].name} holds a value that is NaN "
                                 "or infinite")
    return model


def _by_parameter(places) -> Iterator[tuple[str, list[Place]]]:
    for ours, group in groupby(places, lambda place: place.ours):
        yield ours, list(group)
