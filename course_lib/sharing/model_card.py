"""What a stranger must know about a model, made of its run (chapter 5).

Everything in the card stands in the run folder. Of paths only the last name
is shown: a card is published, and the rest is nobody's business.
"""

import re
import textwrap
from collections import defaultdict
from pathlib import PurePath

from course_lib.machine.lines import one_line, quoted
from course_lib.measuring.evaluation import Evaluation
from course_lib.model.cost import count_parameters, flops_per_token
from course_lib.runs import Run
from course_lib.sharing.hugging_face import format_of
from course_lib.text.listed_books import DATASET
from course_lib.training.sessions import in_words

HUB_CORPUS = re.compile(r"(?:hub|stream):([^@#]+)")
SPLITS = {"hash": "one document in twenty was held out",
          "tail": "the last twentieth of every document was held out"}
ARCHITECTURES = {
    "gpt2": "GPT-2's",
    "qwen3": "Qwen3's (rotary positions, RMSNorm, queries and keys normed "
             "too, SwiGLU)"}
# What becomes of a text that is longer than a training row.
PAST_CONTEXT = {
    "gpt2": "Prompt and continuation together may have {} tokens in "
            "Transformers and llama.cpp.",
    "qwen3": "Past {} tokens, the length of a training row, it stands at "
             "positions that it has never seen."}
FORGETS = ("It sees at most {} tokens at a time; in a longer text it forgets "
           "half of them at once.")  # as course_lib and a page sample
# Of a model that read a sentence a row, as the recipe of 2023 has it.
ALONE = ("It was trained on sentences one by one: it ends after one, and "
         "knows nothing of how another follows.")
MEASURED_ALONE = ("Each sentence was read alone, as in training: the figures "
                  "compare only with models that were measured so.")


def model_card(run: Run, licence: str | None = None,
               name: str = "FOLDER", gguf: bool = False,
               number_format: str = "float32") -> str:
    """A card in Markdown, with the Hub's fields in front. `licence` is one
    of the Hub's identifiers, such as mit; `name` is what to load it by;
    `gguf` says that model.gguf stands beside it; `number_format` is that of
    the weights.

    Raises ValueError before the run has finished, for a licence that is no
    identifier, and for a model that no format holds.
    """
    try:
        card = _card(run, licence, name, gguf)
    except (KeyError, TypeError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(f"log.jsonl or timing.jsonl in {run.folder} is "
                         f"damaged ({one_line(error)}): the card is made of "
                         "them") from None
    return card + ("" if number_format == "float32"
                   else rounding(number_format))


def rounding(number_format: str) -> str:
    """What a card must say of weights that were rounded after the card's
    figures had been measured."""
    return (f"\n## Number format\n\nThe figures above were measured before "
            f"the weights were rounded to {number_format}.\n")


def _card(run: Run, licence: str | None, name: str, gguf: bool) -> str:
    config = run.preset.model
    sections = facts(run, licence,
                     PAST_CONTEXT[format_of(config).MODEL_TYPE])
    count = min(60, config.context_length // 4)  # leaves room for the prompt
    also = "\n`model.gguf` is the same model for llama.cpp.\n" if gguf else ""
    return f"""---
{front(run, licence)}
---
# A GPT of {count_parameters(config).total:,} parameters

{_what(run)}

```python
from transformers import pipeline

write = pipeline("text-generation", "{name}")
print(write("life is about", max_new_tokens={count})[0]["generated_text"])
```
{also}
{sections}"""


def facts(run: Run, licence: str | None = None, past: str = FORGETS) -> str:
    """The part of the card that holds wherever the model is shown: how it was
    trained, how good it is, its limits, its licence. `past` says what becomes
    of texts longer than the context.

    Raises ValueError before the run has finished, and for a licence that is
    no identifier.
    """
    if not run.finished:
        raise ValueError(f"{run.folder} has not finished training: run "
                         f"`course train {quoted(run.folder)} "
                         "--resume`")
    if licence and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", licence):
        raise ValueError(f"{licence!r} is no licence that the Hub knows by "
                         "name: write for example mit, apache-2.0 or cc0-1.0")
    return f"""## Training

{_training(run)}

## How good it is

{_quality(run)}

## Limits

{_limits(run, past)}

## Licence

{_licence(licence)}
"""


def _what(run: Run) -> str:
    config = run.preset.model
    return _filled(f"""
        It continues text. The architecture is
        {ARCHITECTURES[format_of(config).MODEL_TYPE]}, with {config.n_layer}
        layers, {config.n_head} heads and {config.n_embd} channels, a context
        of {config.context_length} tokens and a byte-level vocabulary of
        {config.vocab_size:,}. It was trained from {_beginning(run)} with
        course_lib.""")


def _beginning(run: Run) -> str:
    if not run.begun_from:
        return "random weights"
    name = PurePath(run.begun_from["path"]).name
    return f"the weights of `{one_line(name)}`"


def _training(run: Run) -> str:
    config, seen = run.preset.model, run.log[-1]["tokens"]
    text, corpus = run.record["files"]["train"], run.record["corpus"]["name"]
    flop = flops_per_token(config, config.context_length) * seen
    padding, pieces = (" with padding", "sentences") if _alone(run) \
        else ("", "documents")
    interrupted = f"\n| interruptions | {in_words(run.sessions)} |" \
        if run.sessions else ""
    return f"""| | |
|---|---|
| recipe | `{run.preset.recipe}` of course_lib |
| began with | {_beginning(run)} |
| text | {corpus_name(corpus)} |
| size of the text | {text["bytes"]:,} bytes, {text["tokens"]:,} tokens\
{padding}, {text["documents"]:,} {pieces} |
| tokens seen | {seen:,}, or {_number(seen / text["tokens"])} passes over \
the text |
| compute | {flop:.3g} FLOP |
{hardware(run.timing)}{interrupted}"""


def _quality(run: Run) -> str:
    text, final = run.record["files"]["val"], run.log[-1]
    how = f"Measured on text it never saw: {SPLITS[run.record['split']]}."
    tokens = text["tokens"]
    if _alone(run):
        how, tokens = f"{how} {MEASURED_ALONE}", run.measured_tokens.targets
    return f"""{_filled(how)}

| | |
|---|---|
| text | {text["bytes"]:,} bytes, {tokens:,} tokens |
| loss | {final["val_loss"]:.4f} nats per token |
| perplexity | {Evaluation(final["val_loss"], 1, 1).perplexity:.2f} |
| bits per byte | {final["val_bits_per_byte"]:.4f} |

Only the last line compares with models that have another vocabulary."""


def _limits(run: Run, past: str) -> str:
    return _filled(f"""
        It models its training text and nothing more. What sounds like a fact
        is a likely sequence of words: do not ask it for advice. It repeats
        the text's prejudices, it may repeat the text itself, and it was
        neither taught to follow instructions nor checked for harm.
        {past.format(run.preset.model.context_length)}
        {ALONE if _alone(run) else ""} On text unlike its own it is worse
        than the figures above.""")


def _alone(run: Run) -> bool:
    """Whether it read a sentence a row, with padding to the end."""
    return run.preset.layout == "sentences"


def front(run: Run, licence: str | None) -> str:
    """The fields that the Hub reads, as lines of YAML."""
    lines = ["library_name: transformers", "pipeline_tag: text-generation",
             "tags:", f"- {format_of(run.preset.model).MODEL_TYPE}"]
    if licence:
        lines.append(f"license: {licence}")
    corpus = run.record["corpus"]["name"]
    found = HUB_CORPUS.match(corpus)
    named = {"bookcorpus": "bookcorpus/bookcorpus", "books": DATASET}
    if found or corpus in named:
        name = found[1] if found else named[corpus]
        lines += ["datasets:", f"- {name}"]
    return "\n".join(lines)


def corpus_name(name: str) -> str:
    """A corpus as it may be published: paths without their folders."""
    if name.startswith("stories:"):
        return (f"{int(name.partition(':')[2]):,} short stories made up by "
                "a grammar in course_lib")
    if name == "books":
        return f"public-domain books of `{DATASET}` of the Hugging Face Hub"
    if name.startswith("books:"):
        return f"public-domain books, {corpus_name(name[6:])}"
    if name == "bookcorpus" or HUB_CORPUS.match(name):
        return f"`{name}` of the Hugging Face Hub"
    parts = [f"`{PurePath(part).name}`" for part in name.split(", ")]
    return f"files in {', '.join(sorted(set(parts)))}"


def hardware(timing: list[dict]) -> str:
    """Rows on machines, hours and dollars, of a run's timing.jsonl. A run
    that moved to another machine names both, with the hours of each. The
    hours are all that were paid for: `elapsed`, or where an old line has
    none the `seconds` of the steps alone."""
    hours, before, dollars = defaultdict(float), defaultdict(float), 0.0
    for record in timing:
        count = record.get("processes", 1)
        machine = record.get("device", "not recorded")
        machine = machine if count == 1 else f"{count} x {machine}"
        clock = "elapsed" if "elapsed" in record else "seconds"
        spent = record[clock] - before[clock]
        before[clock] = record[clock]
        hours[machine] += spent / 3600
        if record["dollars"]:  # since the beginning, at this machine's price
            dollars += record["dollars"] * spent / record[clock]
    each = ", ".join(f"{name}: {_number(spent)} hours" if len(hours) > 1
                     else name for name, spent in hours.items())
    price = f"US${dollars:.2f}" if dollars else \
        "none by the book's table: the machine was not a rented GPU"
    return (f"| hardware | {each or 'not recorded'} |\n"
            f"| hours | {_number(sum(hours.values()))} |\n"
            f"| cost | {price} |")


def _number(value: float) -> str:
    """Two digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _filled(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 76)


def _licence(licence: str | None) -> str:
    if licence:
        return f"The weights are published under `{licence}`."
    return ("None is stated: ask their owner before you use these weights. "
            "Which one is\npossible depends on the training text.")
