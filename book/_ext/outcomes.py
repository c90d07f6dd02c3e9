"""What came out of each recorded run, in a line or two: for the page that
lists them."""

from statistics import median


def outcome(name: str, record: dict) -> str:
    """The line of a record, by the name of its file."""
    _, says = max((len(start), says) for start, says in OUTCOMES.items()
                  if name.startswith(start))
    return says(record)


def _ablations(record):
    ends = {}
    for run in record["runs"]:
        ends.setdefault(run["name"], []).append(
            f"{run['validation_loss']:.2f}")
    return "nats per token, by seed: " + "; ".join(
        f"{name} {', '.join(both)}" for name, both in ends.items())


def _bands(record):
    return "the last loss: " + "; ".join(
        f"{band['preset']['name']}, {band['preset']['recipe']} "
        f"{min(ends):.2f} to {max(ends):.2f} ({len(ends)} seeds)"
        for band in record["bands"]
        for ends in [[losses[-1] for losses in band["losses"]]])


def _by_scale(rows, key):
    return ", ".join(f"{row['scale']} {key(row):.2f}" for row in rows)


def _attention(record):
    return ("blocks as fast as the kernel, times: " + "; ".join(
        f"{kind} " + _by_scale(
            [row for row in record["rows"] if row["number_format"] == kind],
            lambda row: row["blocks_are_faster"][1])
        for kind in ("float32", "bfloat16")))


def _formats(record):
    ends = {}
    for run in record["runs"]:
        ends.setdefault(run["number_format"], []).append(f"{run['loss']:.4f}")
    return "nats per token, by seed: " + "; ".join(
        f"{kind} {', '.join(both)}" for kind, both in ends.items())


def _ladder(record):
    loss = [run["loss"] for run in record["runs"]]
    line = f"{len(loss)} runs, {min(loss):.2f} to {max(loss):.2f} nats"
    if check := record.get("check"):
        says = check["prediction"]
        return (f"{line}; its scale's own run: predicted {says['low']:.2f} "
                f"to {says['high']:.2f}, ended at {check['loss']:.2f}")
    return line


def _loss_head(record):
    return "milliseconds: " + "; ".join(
        f"{row['scale']}, {row['number_format']} " + ", ".join(
            f"{way} {median(taken):,.0f}"
            for way, taken in row["milliseconds"].items())
        for row in record["rows"])


def _run(record):
    run, ended = record["training"], record["validation"]
    return (f"{record['parameters']:,} parameters, {run['tokens']:,} tokens, "
            f"{run['flop']:.3g} FLOP, {run['hours']:.1f} hours: "
            f"{ended['loss']:.3f} nats per token, "
            f"{ended['bits_per_byte']:.3f} bits per byte")


def _forecast(record):
    says = record["forecast"]
    return (f"predicted {says['loss']:.3f} nats per token "
            f"({says['low']:.3f} to {says['high']:.3f})")


def _profile(record):
    return "share of the step in products: " + _by_scale(
        record["rows"], lambda row: sum(
            part["seconds"] for name, part in row["parts"].items()
            if name.startswith("products")) / sum(
                part["seconds"] for part in row["parts"].values()))


def _rates(record):
    return "best rates: " + ", ".join(
        f"{point['rate']:.2g} (N = {point['N'] / 1e3:,.0f}k, "
        f"D = {point['point']['tokens'] / 1e6:.2g}M)"
        for point in record["points"])


def _savings(record):
    ends = {}
    for run in record["runs"]:
        for line in record["lines"]:
            if run["recipe"] == line["recipe"]:
                ends.setdefault(line["name"], []).append(run["bits_per_byte"])
    return (f"{len(record['runs'])} runs, bits per byte at best: "
            + ", ".join(f"{name} {min(ends[name]):.2f}" for name in (
                "the recipe of 2023", "late decay", "the modern recipe")
                if name in ends))


def _step(record):
    return "times as fast as nanoGPT: " + _by_scale(
        record["rows"], lambda row: row["sides"]["nanoGPT"][
            "first_is_faster"])


OUTCOMES = {
    "ablations": _ablations, "attention": _attention, "bands": _bands,
    "baselines": lambda r: "bits per byte: " + ", ".join(
        f"{row['name']} {row['bits_per_byte']:.3f}" for row in r["rows"]),
    "browser": lambda r: "tokens a second: " + ", ".join(
        f"{row['case']} {row['tokens_per_second']:.0f}" for row in r["rows"]),
    "cleaning": lambda r: "{:.2%} of the bytes".format(
        sum(row["bytes"] for row in r["rows"]) / r["bytes"]),
    "cloze": lambda r: "words right: " + "; ".join(
        f"{model['name']} " + ", ".join(
            f"{row['right']['share']:.1%}" for row in model["cloze"])
        + f"; pairs {model['pairs']['all pairs']['share']:.1%}"
        for model in r["models"]),
    "copies": lambda r: "longest shared with the training text: " + ", ".join(
        f"{kind} {max(found['lengths'])} tokens"
        for kind, found in r["kinds"].items()),
    "fine_tuning": lambda r: "bits per byte: " + "; ".join(
        f"{row['name']} {row['before']:.2f} before, {row['after']:.2f} after"
        for row in r["rows"]),
    "end_on_sample": lambda r: (f"{r['bits_per_byte']:.3f} bits per byte "
                                f"on {r['tokens']:,} tokens"),
    "first_edition": lambda r: f"{r['bits_per_byte']:.3f} bits per byte",
    "formats": _formats,
    "generation": lambda r: "tokens a second, one text: " + ", ".join(
        f"{name} {side['tokens_per_second']:.0f}"
        for name, side in r["batch 1"].items()),
    "graduation": lambda r: "nats per token: {:.2f} to {:.2f}".format(
        min(r["losses"]), max(r["losses"])),
    "harness": lambda r: ", ".join(
        f"{row['task']} {row['harness']:.4f} (this book {row['course']:.4f})"
        for row in r["tasks"]),
    "ladder": _ladder,
    "llmc": lambda r: "times as fast as llm.c in float32: " + _by_scale(
        r["rows"], lambda row: row["sides"]["float32"]["faster_than_llmc"]),
    "long_run": _run, "long_run_bet": _forecast,
    "long_run_second_bet": _forecast, "loss_head": _loss_head,
    "loss_memory": lambda r: "peak of a step: " + ", ".join(
        f"{row['way']} {row['peak_bytes'] / 1e9:.1f} GB"
        for row in r["rows"]),
    "packing": lambda r: "megabytes a second on one core: " + ", ".join(
        f"{name} {way['megabytes_per_second']:.1f}"
        for name, way in r["speeds_by_cores"]["1"].items()),
    "profile": _profile,
    "published_points": lambda r: "; ".join(
        f"{one['points']}: alpha {one['alpha']:.3f}, beta {one['beta']:.3f}"
        for one in r["fits"]),
    "rates": _rates,
    "rung_threads": lambda r: "two of one thread, times as fast as one of "
    "two: " + ", ".join(
        f"N = {row['parameters'] / 1e3:.0f}k {row['apart_is_faster']:.2f}"
        for row in r["rows"]),
    "savings": _savings,
    "scaling_fit": lambda r: "seconds for one fit: " + ", ".join(
        f"{row['way']} {row['seconds']:.2f}" for row in r["fit"]),
    "start_up": lambda r: ", ".join(
        f"`{row['command']}` {row['seconds']:.2f} seconds"
        for row in r["rows"]),
    "timings": lambda r: f"training {r['training']:.0f} seconds, all chapters "
    f"{sum(r['chapters'].values()):.0f}",
    "trainer": lambda r: "the trainer's share of a run: " + ", ".join(
        f"{row['scale']} {row['share']:+.1%}" for row in r["overhead"]),
    "training_step": _step,
    "vocabulary": lambda r: "tokens a word: " + ", ".join(
        f"{row['vocab_size']:,} entries {row['tokens_per_word']:.2f}"
        for row in r["rows"]),
}
