"""What the prose pages say that a computation or a recorded run says.

Each function in SAID fills the substitution of its name: where a page has
`{{ bill }}` stands what `bill()` returns, as Markdown. So no page holds a
number that can go stale, and a name that is not here fails the strict build.
"""

import ast
import json
import re
import shlex
import textwrap
from functools import cache
from pathlib import Path

from outcomes import outcome

from course_lib.machine.gpus import GPUS
from course_lib.model.cost import count_parameters
from course_lib.presets import load_preset
from course_lib.scaling.budget import GPU_MFU, dollars, hours
from course_lib.showing.page import (
    RESULTS,
    about,
    full_flop,
    load_result,
    markdown_table,
)

REPO = Path(__file__).resolve().parent.parent.parent
# What the post of 2023 and its code state: words and numbers not of ours.
POST = dict(hours=20, dollars=50)
NOW = ("V100", "L4", "RTX 4090", "A100", "H100")
RENTED = "A100"
# Minutes that nobody measured, so the page calls them assumed.
SET_UP, BEFORE, AFTER = 15, 10, 5
COPY = 10e6  # bytes a second
NIGHT = 8  # hours
WORDS, LINES = 200, 10  # that one reads in a minute, of prose and of code
TITLES = {  # of records whose file names do not say what they are
    "browser": "Speed in the browser",
    "ladder_evening_gpt2": "The ladder on books, by gpt2",
    "ladder_evening_modern": "The ladder on books, by modern",
    "ladder_first_books": "The first edition's ladder on books",
    "ladder_first_stories": "The first edition's ladder on stories",
    "ladder_laptop_gpt2": "The ladder on stories, by gpt2",
    "ladder_laptop_modern": "The ladder on stories, by modern",
    "llmc": "Beside llm.c",
    "end_on_sample": "The long run's end, on its sample",
    "long_run_bet": "The first bet on the long run",
    "long_run_second_bet": "The second bet on the long run",
    "rates_books_gpt2": "Learning rates on books, by gpt2",
    "rates_books_modern": "Learning rates on books, by modern",
    "rates_stories_gpt2": "Learning rates on stories, by gpt2",
    "rates_stories_modern": "Learning rates on stories, by modern",
    "rung_threads": "Threads of a rung",
    "savings": "Savings on stories",
    "savings_books": "Savings on books",
    "savings_books_longer": "Savings on books, four times the work",
    "savings_books_wider": "Savings on books, a larger model",
    "training_step": "A training step",
    "training_step_float32": "A training step without bfloat16",
}
PROVENANCE = ("device", "threads", "precision", "torch", "python", "commit",
              "command", "date")
# What one script wrote more than once, told apart.
WHAT = {
    "ladder_evening_gpt2": "A ladder of small models on real books, by the "
                           "gpt2 recipe: its smallest budgets.",
    "ladder_evening_modern": "The same by the modern recipe, and the evening "
                             "model itself on few tokens.",
    "ladder_first_books": "The first edition's ladder on real books, whose "
                          "bet was lost.",
    "ladder_first_stories": "The first edition's ladder on the stories, whose "
                            "bet was lost too.",
    "ladder_laptop_gpt2": "A ladder of small models on the stories, by the "
                          "gpt2 recipe.",
    "ladder_laptop_modern": "The same by the modern recipe, and the laptop "
                            "preset's own run.",
    "long_run_bet": "What the dial said of the model of chapter 7, written "
                    "down before its run began.",
    "long_run_second_bet": "What the ladder says of the same run once a copy "
                           "of it has ended early, written down before its "
                           "own learning rate decayed.",
    "rates_books_gpt2": "The learning rate that is best for a model as large "
                        "as chapter 7's, on books, by the gpt2 recipe.",
    "rates_books_modern": "The learning rate that is best for a size and a "
                          "length, on books, by the modern recipe.",
    "rates_stories_gpt2": "The learning rate that is best for a size, a "
                          "length and a batch, on the stories, by the gpt2 "
                          "recipe.",
    "rates_stories_modern": "The same by the modern recipe.",
    "savings": "From the recipe of 2023 to a cheaper one, one change at a "
               "time, on the built-in stories.",
    "savings_books": "From the recipe of 2023 to a cheaper one, one change at "
                     "a time, on real books.",
    "savings_books_longer": "The recipe of 2023, the settings of gpt2 and the "
                            "modern recipe on real books again, for four "
                            "times the work.",
    "savings_books_wider": "The first two on real books again, with a larger "
                           "model (the modern line has its usual size).",
    "training_step": "A training step beside other GPT-2s, on a processor "
                     "with instructions for bfloat16.",
    "training_step_float32": "The same on a processor that has none."}
UNKNOWN = "not noted"  # a test fails where this is shown
ROWS = {"device": "{device}, {precision}, threads: {threads}",
        "versions": "Python {python}, torch {torch}",
        "commit": "`{commit}`", "command": "`{command}`", "date": "{date}"}


def time(length: float) -> str:
    """A time in hours, in words."""
    return (f"{60 * length:.0f} minutes" if length < 1.5
            else f"{length:.1f} hours")


def bill() -> str:
    """The recipe's bill then, and the same model's on five GPUs now."""
    flop = full_flop()
    took = [time(hours(flop, gpu, GPU_MFU)) for gpu in NOW]
    cost = [f"${dollars(flop, gpu, GPU_MFU):.2f}" for gpu in NOW]
    return markdown_table(
        ["trained on", "V100, 2023", *NOW],
        [["**time**", f"{POST['hours']} hours", *took],
         ["**bill**", f"${POST['dollars']}", *cost]])


def mfu() -> str:
    """The utilisation that projections assume."""
    return f"{GPU_MFU:.0%}"


def full_parameters() -> str:
    """Parameters of the full model, in millions."""
    return f"{count_parameters(load_preset('full').model).total / 1e6:.0f}"


def full_tokens() -> str:
    """Tokens that the full model is trained on, in billions."""
    return f"{load_preset('full').tokens / 1e9:.1f}"


def cards() -> dict[str, dict]:
    """What each chapter's opening card says, read from its cell."""
    found = {}
    for script in sorted(REPO.glob("notebooks/[0-9]*.py")):
        for node in ast.walk(ast.parse(script.read_text())):
            if (isinstance(node, ast.Call)
                    and getattr(node.func, "id", "") == "card"):
                found[script.stem] = {k.arg: ast.literal_eval(k.value)
                                      for k in node.keywords}
    return found


def chapters() -> str:
    """The map of the chapters: what one needs and has, minutes, dollars."""
    seconds = load_result("timings.json")["chapters"]
    flop = full_flop()
    full = f"${dollars(flop, RENTED, GPU_MFU):.2f}"
    return markdown_table(
        ["chapter", "you need", "to read", "on a laptop", "at full size"],
        [[f"{int(name[:2])}. {{doc}}`../notebooks/{name}`: {card['gives']}",
          card["needs"], f"{{reading}}`notebooks/{name}`",
          about(seconds[name]) if name in seconds else "not yet measured",
          full if card.get("full_run") else "nothing more"]
         for name, card in cards().items()])


def chapters_note() -> str:
    """What the map's columns mean."""
    recorded = load_result("timings.json")
    device = _provenance(recorded)
    return (f"Reading times count {WORDS} words, or {LINES} lines of code, a "
            "minute, without what is folded. "
            f"Other times were measured on {device['threads']} CPU cores "
            f"({device['date']}); {about(recorded['training'])} come on top, "
            "once, to train the model that several chapters need. The dollars "
            f"are for one {RENTED}, projected at an assumed MFU of {mfu()}.")


def best_run() -> dict:
    """The recorded run with samples that most work went into."""
    runs = [load_result(p.name) for p in RESULTS.glob("*.json")]
    runs = [r for r in runs if isinstance(r, dict) and r.get("samples")
            and "training" in r]
    return max(runs, key=lambda run: run["training"]["flop"])


def samples() -> str:
    """What the recorded model wrote before and after its training."""
    run = best_run()
    first, last = run["samples"][0], run["samples"][-1]
    return "\n".join([
        "::::{grid} 1 1 2 2", ":gutter: 3", "", *_sample("Before", first),
        *_sample("After", last), "::::"])


def _sample(when: str, sample: dict, length: int = 120) -> list[str]:
    text = "".join(c if c.isprintable() else " "
                   for c in sample["texts"]["life is about"])
    text = text[:length].rsplit(" ", 1)[0]
    text = re.sub(r"([\\`*_{}\[\]<>#$~|])", r"\\\1", " ".join(text.split()))
    return [f":::{{grid-item-card}} {when}, at step {sample['step']:,}",
            text + " …", ":::"]


def samples_note() -> str:
    """Which model it was, what it cost."""
    run = best_run()
    books = run["run"]["files"]["train"]["documents"]
    threads = run["training"]["threads"]
    return (f"A model of {run['parameters'] / 1e6:.1f} million parameters, "
            f"trained for {about(3600 * run['training']['hours'])} on "
            f"{threads} CPU {'core' if threads == 1 else 'cores'}, "
            f"on {run['training']['passes']:.0%} of the text of {books:,} "
            "books: {doc}`chapter 7 "
            "<../notebooks/07_speaks>` is about it.")


def _provenance(record: dict) -> dict:
    return record.get("provenance", record)


def recorded_runs() -> str:
    """A section for every file in book/results, with where it comes from."""
    return "\n\n".join(map(_recorded, sorted(RESULTS.glob("*.json"))))


@cache
def _shown() -> dict[Path, list[str]]:
    """By chapter, patterns of the records that it names, some with a field."""
    return {script: [re.sub(r"{\w+}", r"\\w*", written) for written in
                     re.findall(r'"([\w{}]+\.json)"', script.read_text())]
            for script in sorted(REPO.glob("notebooks/[0-9n]*.py"))}


def _recorded(path: Path) -> str:
    record = json.loads(path.read_text())
    source = _provenance(record)
    title = TITLES.get(path.stem) or path.stem.replace("_", " ").capitalize()
    noted = {key: source.get(key) or UNKNOWN for key in PROVENANCE}
    rows = [[name, text.format(**noted)] for name, text in ROWS.items()]
    if record.get("commands"):
        rows.append(["made by", "<br>".join(f"`{line}`" for line
                                            in record["commands"])])
    shown = [f"{{doc}}`../notebooks/{script.stem}`"
             for script, patterns in _shown().items()
             if any(re.fullmatch(one, path.name) for one in patterns)]
    if shown:
        rows.append(["shown in", ", ".join(shown)])
    rows.append(["came out", outcome(path.stem, record)])
    size = max(1, round(path.stat().st_size / 1000))
    rows.append(["data and log",
                 f"{{download}}`{path.name} <results/{path.name}>` "
                 f"({size} kB)"])
    what = (WHAT.get(path.stem) or record.get("what")
            or _purpose(source.get("command", "")))
    return (f"## {title}\n\n{what}\n\n"
            + markdown_table(["noted", "value"], rows))


def _purpose(command: str) -> str:
    """The first paragraph of the docstring of the script that ran."""
    for word in shlex.split(command)[1:3]:
        script = REPO / word
        if word.startswith("course_lib."):
            script = REPO / (word.replace(".", "/") + ".py")
        if script.suffix == ".py" and script.is_file():
            text = ast.get_docstring(ast.parse(script.read_text()))
            return " ".join(text.split("\n\n")[0].split())
    return ""


def rent() -> dict[str, float]:
    """Hours of each step on the rented machine, from the first minute that
    is billed to the last."""
    full = load_preset("full")
    rows = load_result("vocabulary.json")["rows"]
    size = full.tokens * min(
        rows, key=lambda r: abs(r["vocab_size"] - full.model.vocab_size)
    )["bytes_per_token"]
    # reading the files is in it, unlike in the speeds by cores
    packed = load_result("packing.json")["curve"][-1]
    weights = 4 * count_parameters(full.model).total
    return {
        "start, clone, `make env` (assumed)": SET_UP / 60,
        "download the text, train the tokenizer (assumed)": BEFORE / 60,
        "encode and pack the text (projected)":
            size * packed["seconds"] / packed["bytes"] / 3600,
        "`course train` (projected)": hours(full_flop(), RENTED, GPU_MFU),
        "evaluate, sample, export (assumed)": AFTER / 60,
        "copy the model home (assumed)": weights / COPY / 3600}


def renting() -> str:
    """The bill of a full run, step by step."""
    price = GPUS[RENTED].dollars_per_hour
    steps = rent()
    rows = [[step, f"{60 * length:.1f}", f"${length * price:.2f}"]
            for step, length in steps.items()]
    total = sum(steps.values())
    return markdown_table(["step", "minutes", "US$"], [
        ["account, credit, key", "0", "$0.00"], *rows,
        ["shut down, look at the bill", "0", "$0.00"],
        ["**all of it**", f"**{60 * total:.0f}**",
         f"**${total * price:.2f}**"]])


def fine_tuning() -> str:
    """What fine-tuning the book's own model gained, and how it was done."""
    record = load_result("fine_tuning.json")
    tuned, fresh = record["rows"]
    lines = "\n".join(
        " \\\n  ".join(textwrap.wrap(line, 70, break_on_hyphens=False))
        for line in tuned["commands"])
    return (f"```bash\n{lines}\n```\n\n"
            "On held-out stories, of a kind that it had never read, the "
            f"book's model needed {tuned['before']:.2f} bits per byte before, "
            f"and {tuned['after']:.2f} after these {record['tokens']:,} "
            "tokens. The same shape, begun with random weights and given the "
            f"same tokens, ended at {fresh['after']:.2f}.")


def renting_note() -> str:
    """What the bill assumes."""
    gpu = GPUS[RENTED]
    cores = load_result("packing.json")["provenance"]["threads"]
    return (f"One {gpu.name} at ${gpu.dollars_per_hour:g} an hour "
            f"({gpu.price_source}). Training is projected at an assumed MFU "
            f"of {mfu()}, and at half of that takes twice as long, for "
            f"${dollars(full_flop(), RENTED, GPU_MFU / 2):.2f}; encoding, at "
            f"the speed measured on {cores} CPU cores, and a rented machine "
            f"has more of them; copying, at {COPY / 1e6:.0f} MB/s.")


def forgotten() -> str:
    """What a machine costs that nobody shuts down over night."""
    return f"${NIGHT * GPUS[RENTED].dollars_per_hour:.2f}"


def prices() -> str:
    """Every GPU of the table: memory, peak, price, and where it is from."""
    flop = full_flop()
    return markdown_table(
        ["GPU", "memory", "TFLOP/s", "an hour", "the full run", "price from"],
        [[gpu.name, f"{gpu.memory / 2**30:.0f} GiB",
          f"{gpu.peak_at() / 1e12:g}", f"${gpu.dollars_per_hour:g}",
          f"{time(hours(flop, gpu, GPU_MFU))}, "
          f"${dollars(flop, gpu, GPU_MFU):.2f} to "
          f"${dollars(flop, gpu, GPU_MFU / 2):.2f}", gpu.price_source]
         for gpu in GPUS.values()])


SAID = (bill, mfu, full_parameters, full_tokens, chapters,
        chapters_note, samples, samples_note, recorded_runs, fine_tuning,
        renting, renting_note, forgotten, prices)


def fill(app, config):
    """Give the pages their substitutions."""
    config.myst_substitutions = {
        **config.myst_substitutions, **{f.__name__: f() for f in SAID}}


def setup(app):
    """Register the hook."""
    app.connect("config-inited", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
