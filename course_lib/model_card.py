"""What a stranger must know about a model, made of its run (chapter 5).

Everything in the card stands in the run folder. Of paths only the last name
is shown: a card is published, and the rest is nobody's business.
"""

import math
import re
import textwrap
from collections import defaultdict
from pathlib import PurePath

from course_lib.budget import count_parameters, flops_per_token
from course_lib.runs import Run

HUB_CORPUS = re.compile(r"(?:hub|stream):([^@#]+)")
SPLITS = {"hash": "one document in twenty was held out",
          "tail": "the last twentieth of every document was held out"}


def model_card(run: Run, licence: str | None = None,
               name: str = "FOLDER") -> str:
    """A card in Markdown, with the Hub's fields in front. `licence` is one
    of the Hub's identifiers, such as mit; `name` is what to load it by.

    Raises ValueError before the run has finished, or for a licence that is
    no identifier.
    """
    if not run.finished:
        raise ValueError(f"{run.folder} has not finished training: run "
                         f"`course train {run.folder} --resume`")
    if licence and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", licence):
        raise ValueError(f"{licence!r} is no licence that the Hub knows by "
                         "name: write for example mit, apache-2.0 or cc0-1.0")
    record, config = run.record, run.preset.model
    final = run.log[-1]
    files, corpus = record["files"], corpus_name(record["corpus"]["name"])
    total = count_parameters(config).total
    flop = flops_per_token(config, config.context_length) * final["tokens"]
    passes = final["tokens"] / files["train"]["tokens"]
    bits = final["val_bits_per_byte"]
    what = _filled(f"""
        It continues text. The architecture is GPT-2's, with {config.n_layer}
        layers, {config.n_head} heads and {config.n_embd} channels, a context
        of {config.context_length} tokens and a byte-level vocabulary of
        {config.vocab_size:,}. It was trained from random weights with
        course_lib.""")
    limits = _filled(f"""
        It models its training text and nothing more. What sounds like a fact
        is a likely sequence of words: do not ask it for advice. It repeats
        the text's prejudices, it may repeat the text itself, and it was
        neither taught to follow instructions nor checked for harm. Prompt
        and continuation together may have {config.context_length} tokens in
        Transformers. On text unlike its own it is worse than the figures
        above.""")
    count = min(60, config.context_length // 4)  # leaves room for the prompt
    return f"""---
{front(record, licence)}
---
# A GPT of {total:,} parameters

{what}

```python
from transformers import pipeline

write = pipeline("text-generation", "{name}")
print(write("life is about", max_new_tokens={count})[0]["generated_text"])
```

## Training

| | |
|---|---|
| text | {corpus} |
| size of the text | {files["train"]["bytes"]:,} bytes, \
{files["train"]["tokens"]:,} tokens, \
{files["train"]["documents"]:,} documents |
| tokens seen | {final["tokens"]:,}, or {passes:.2g} passes over the text |
| compute | {flop:.3g} FLOP |
{hardware(run.timing)}

## How good it is

Measured on text it never saw: {SPLITS[record["split"]]}.

| | |
|---|---|
| text | {files["val"]["bytes"]:,} bytes, \
{files["val"]["tokens"]:,} tokens |
| loss | {final["val_loss"]:.4f} nats per token |
| perplexity | {math.exp(final["val_loss"]):.2f} |
| bits per byte | {bits:.4f} |

Only the last line compares with models that have another vocabulary.

## Limits

{limits}

## Licence

{_licence(licence)}
"""


def front(record: dict, licence: str | None) -> str:
    """The fields that the Hub reads, as lines of YAML."""
    lines = ["library_name: transformers", "pipeline_tag: text-generation",
             "tags:", "- gpt2"]
    if licence:
        lines.append(f"license: {licence}")
    corpus = record["corpus"]["name"]
    found = HUB_CORPUS.match(corpus)
    if found or corpus == "bookcorpus":
        name = found[1] if found else "bookcorpus/bookcorpus"
        lines += ["datasets:", f"- {name}"]
    return "\n".join(lines)


def corpus_name(name: str) -> str:
    """A corpus as it may be published: paths without their folders."""
    if name.startswith("stories:"):
        return (f"{int(name.partition(':')[2]):,} short stories made up by "
                "a grammar in course_lib")
    if name == "bookcorpus" or HUB_CORPUS.match(name):
        return f"`{name}` of the Hugging Face Hub"
    parts = [f"`{PurePath(part).name}`" for part in name.split(", ")]
    return f"files in {', '.join(sorted(set(parts)))}"


def hardware(timing: list[dict]) -> str:
    """Rows on machines, hours and dollars, of a run's timing.jsonl. A run
    that moved to another machine names both, with the hours of each."""
    hours, before, dollars = defaultdict(float), 0.0, 0.0
    for record in timing:
        count = record.get("processes", 1)
        machine = record.get("device", "not recorded")
        machine = machine if count == 1 else f"{count} x {machine}"
        spent = (record["seconds"] - before) / 3600
        hours[machine] += spent
        before = record["seconds"]
        dollars += spent * record["dollars"] / record["seconds"] * 3600
    each = ", ".join(f"{name}: {spent:.2g} hours" if len(hours) > 1 else name
                     for name, spent in hours.items())
    price = f"US${dollars:.2f}" if dollars else \
        "none by the book's table: the machine was not a rented GPU"
    return (f"| hardware | {each or 'not recorded'} |\n"
            f"| hours | {before / 3600:.2g} |\n| cost | {price} |")


def _filled(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 76)


def _licence(licence: str | None) -> str:
    if licence:
        return f"The weights are published under `{licence}`."
    return ("None is stated, so nobody but their owner may use these weights. "
            "Which one is\npossible depends on the training text.")
