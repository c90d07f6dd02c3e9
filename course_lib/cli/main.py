"""The book's verbs from a terminal: `course --help`.

Every user's mistake ends in one line on stderr and exit code 2.
"""

import functools
import math
import sys
from dataclasses import replace

from course_lib.cli.arguments import SHAPE, TRAINING, parser
from course_lib.cli.export import export
from course_lib.cli.planning import plan, prepare_dialled
from course_lib.cli.reading import (
    begun,
    is_hugging_face,
    read_model,
    texts_to_evaluate,
)
from course_lib.cli.streams import (
    mistake,
    reader_gone,
    silence_unwritable,
    standing_streams,
)
from course_lib.cli.writing import beginning, check, new
from course_lib.machine.files import to_json
from course_lib.machine.lines import quoted
from course_lib.machine.progress import say, silence, warn
from course_lib.scaling.budget import GPU_MFU

MOST_ROWS = 10_000  # of one prompt, side by side


def main(arguments=None) -> int:
    """Run one command; returns the exit code."""
    with standing_streams():
        options = parser(doctor, plan, prepare, train, evaluate, sample,
                         export, new, check).parse_args(arguments)
        try:
            code = options.run(options) or 0
            print(end="", flush=True)  # a full disk or a closed pipe shows
            return code
        except KeyboardInterrupt:
            warn("course: interrupted")
            return 130
        except Exception as error:
            if isinstance(error, BrokenPipeError) and reader_gone():
                silence(sys.stdout)  # `course sample ... | head`
                return 0
            reason = mistake(error, options.command)
            if not reason:
                raise
            warn(f"course {options.command}: {reason}")
            silence_unwritable()
            return 2


def doctor(options) -> None:
    """What this machine is and what each preset would take on it."""
    import torch

    from course_lib.machine import device as machine
    from course_lib.presets import PRESETS
    from course_lib.recipes import RECIPES
    device = machine.choose_device()
    peak = functools.cache(
        functools.partial(machine.matmul_peak, device))
    print(f"device     {machine.device_name(device)} ({device})")
    print(f"memory     {machine.memory(device) / 2**30:.1f} GiB")
    print(f"torch      {torch.__version__}, {torch.get_num_threads()} threads")
    for name in ("float32", *{"cuda": ["bfloat16", "float16"]}.get(
            device, [])):
        print(f"matmul     {peak(name) / 1e12:.3g} TFLOP/s in {name}, "
              "measured")
    if device == "cpu":
        evening = RECIPES["modern"].at(PRESETS["evening"])
        for line in processor_lines(evening, peak):
            print(line, flush=True)
    else:
        print(f"precision  {machine.precision(device)}")
    for preset in PRESETS.values():
        print(scale_line(preset, device, peak), flush=True)


def processor_lines(preset, peak):
    """What the processor does best and why, tried anew; `peak(format)` is
    the FLOP/s of large products."""
    from course_lib.machine.device import instructions
    from course_lib.training import processor
    yield "processor  " + ", ".join(instructions())
    found = processor.speeds(refresh=True)
    if "died" in found:
        yield ("precision  float32: a process that tried bfloat16 ended with "
               f"{found['died']}")
    else:
        yield (f"matmul     {peak('bfloat16') / 1e12:.3g} TFLOP/s in "
               "bfloat16, measured")
        for scale, speed in found.items():
            if "bfloat16" in speed:
                gain = speed["bfloat16"] / speed["float32"]
                yield (f"precision  {scale}: in bfloat16 a training step is "
                       f"{gain:.2f} times as fast as in float32")
    number_format = processor.number_format("cpu", preset.model)
    found = processor.compiling(preset, number_format, refresh=True)
    if "compiled" not in found:
        yield f"compile    no: {found.get('died', 'it failed')}"
        return
    gain = found["compiled"] / found["eager"]
    line = (f"compile    {preset.name}, {preset.recipe}: {gain:.2f} times as "
            f"fast, after {found['seconds']:.0f} seconds")
    if gain > 1:
        repaid = found["seconds"] / (1 - 1 / gain) / 3600
        line += f"; pays in runs of more than {duration(repaid)}"
    yield line


def scale_line(preset, device: str, peak) -> str:
    """What a scale takes on this machine, and what it would cost."""
    from course_lib.machine.device import matmul_peak
    from course_lib.machine.gpus import hourly_price
    from course_lib.model.cost import flops_per_token
    from course_lib.scaling.budget import dollars, hours
    from course_lib.training.processor import number_format
    from course_lib.training.start import measure_speed
    kind = number_format(device, preset.model)
    speed = measure_speed(preset, device, number_format=kind)
    work = flops_per_token(preset.model, preset.model.context_length)
    mine = preset.tokens / speed / 3600
    # once more, for the machine may have been busier then
    share = work * speed / max(peak(kind), matmul_peak(device, kind))
    of_peak = f"{share:.0%} of the matmul peak" if share <= 1 else (
        "more than the matmul peak: the machine was busy when that was "
        "measured")
    line = (f"{preset.name:<10} {speed:,.0f} tokens/s in {kind} ({of_peak}): "
            f"{duration(mine)}")
    price = hourly_price(device)
    if price:
        return line + f", ${mine * price:.2f} at ${price}/h"
    flop = work * preset.tokens
    return line + (f"; projected on an A100 at {GPU_MFU:.0%} MFU: "
                   f"{duration(hours(flop, 'A100', GPU_MFU))}, "
                   f"${dollars(flop, 'A100', GPU_MFU):.2f}")


def duration(hours: float) -> str:
    """Hours as a person would say them."""
    if hours < 1 / 60:
        return f"{hours * 3600:.0f} seconds"
    if hours < 1.5 / 60:
        return "1 minute"
    if hours < 1.5:
        return f"{hours * 60:.0f} minutes"
    return f"{hours:.1f} hours" if hours < 72 else f"{hours / 24:.1f} days"


def prepare(options) -> None:
    """Make a run folder with tokenizer and token files."""
    from course_lib.presets import PROSE_TOKENS, for_prose, load_preset
    from course_lib.recipes import find_recipe
    from course_lib.runs import first_bytes, prepare
    from course_lib.text.corpus import load_corpus
    dialled = options.hours is not None or options.dollars is not None
    options.recipe = options.recipe or ("modern" if dialled else "gpt2")
    corpus = load_corpus(*(options.corpus or [
        load_preset(options.preset).corpus]))
    if corpus.note:
        say(corpus.note)
    if dialled:
        return prepare_dialled(options, corpus)
    if idle := [f"--{name}" for name in ("largest", "gpu", "mfu")
                if getattr(options, name) is not None]:
        raise ValueError(f"{' '.join(idle)} says what a budget buys: add "
                         "--hours or --dollars")
    preset, recipe = load_preset(options.preset), find_recipe(options.recipe)
    if options.change:
        said = ", ".join(f"{name}={value}" for name, value in options.change)
        recipe = recipe.but(name=f"{recipe.name} with {said}",
                            **dict(options.change))
    if not corpus.name.startswith("stories"):
        texts = first_bytes(corpus.texts(), PROSE_TOKENS)
        preset = for_prose(preset, sum(map(len, texts)))
    if options.tokenizer is not None and options.vocab_size is not None:
        raise ValueError("--tokenizer sets the size of the vocabulary: leave "
                         "out --vocab")
    model = {name: getattr(options, name) for name in SHAPE
             if getattr(options, name) is not None}
    run = {name: getattr(options, name) for name in (*TRAINING, "schedule")
           if getattr(options, name) is not None}
    preset = recipe.at(preset)
    preset = replace(preset, model=replace(preset.model, **model), **run)
    run = prepare(options.out, preset, corpus, say,
                  tokenizer=options.tokenizer)
    say(f"ready: course train {quoted(run.folder)}")
    return None


def train(options) -> None:
    """Train a prepared run."""
    from course_lib.cli.normal import (
        Listener,
        before_and_after,
        outcome,
        verdict,
    )
    from course_lib.machine.distributed import first_process
    from course_lib.runs import open_run
    run = open_run(options.folder)
    if run.started and not options.resume:
        raise ValueError(f"{run.folder} already has checkpoints: add "
                         "--resume to go on from the newest")
    if options.tokens is not None:
        run = run.over(options.tokens)
    run = begun(options, run)
    if run.finished:
        say(f"{run.folder} is trained: course sample {quoted(run.folder)}")
        return say(history(run))
    result = run.train(
        **beginning(options, run),
        micro_rows=options.micro_rows, number_format=options.precision,
        save_seconds=options.save_seconds, tensorboard=options.tensorboard,
        **(dict(heard=Listener(run)) if first_process() else {}))
    if not first_process():
        return None
    if result.step < run.preset.steps:
        say(f"stopped and saved at step {result.step:,} of "
            f"{run.preset.steps:,}: course train {quoted(run.folder)} "
            "--resume")
        return 130
    say(figures(result.evaluation))
    say(history(run))
    loss = result.evaluation.loss
    if said := before_and_after(run, loss):
        say(said)
    for line in verdict(run, result.step, loss):
        say(line)
    if run.forecast and not run.begun_from:
        say(outcome(run.forecast, loss))


def history(run) -> str:
    """How long a run was trained and how often that was interrupted."""
    from course_lib.training.sessions import in_words
    words = f", {in_words(run.sessions)}" if run.sessions else ""
    return f"trained for {duration(run.hours)} of wall clock{words}"


def figures(evaluation) -> str:
    """An evaluation in one line."""
    return (f"loss {evaluation.loss:.4f} nats per token, perplexity "
            f"{evaluation.perplexity:.2f}, {evaluation.bits_per_byte:.4f} "
            f"bits per byte ({evaluation.tokens:,} tokens, "
            f"{evaluation.bytes:,} bytes)")


def evaluate(options) -> None:
    """Loss, perplexity and bits per byte."""
    from course_lib.machine.device import autocast
    from course_lib.machine.progress import bar
    from course_lib.measuring.evaluation import evaluate, evaluate_text
    from course_lib.training.processor import usable
    if options.held_out and not options.text:
        raise ValueError("--held-out goes with --text")
    if not options.text and is_hugging_face(options.folder):
        raise ValueError(f"{options.folder} has no validation text: add "
                         "--text, with files or with a run's folder")
    model, tokenizer, run = read_model(options.folder)
    # as it was measured in training, so that the numbers are the same
    device = model.head.device.type
    precision = run and autocast(device, usable(run.number_format, device))
    with bar(unit=" tokens", delay=2, leave=False) as shown:
        if options.text:
            texts = texts_to_evaluate(options.text, options.held_out)
            result = evaluate_text(
                model, tokenizer, texts, shown.update, precision=precision,
                layout=run.preset.layout if run else "packed",
                by_document=options.by_document)
        else:
            data = run.val_tokens if options.by_document \
                else run.measured_tokens
            shown.total = data.targets
            result = evaluate(model, data, precision=precision,
                              progress=shown.update,
                              by_document=options.by_document)
    if math.isnan(result.loss):  # though all weights are numbers
        raise ValueError(f"the loss of {options.folder} is NaN: its "
                         "weights are too large to compute with")
    if options.json:
        print(to_json(dict(
            loss=result.loss, perplexity=result.perplexity,
            bits_per_byte=result.bits_per_byte, tokens=result.tokens,
            bytes=result.bytes)))
    else:
        print(figures(result))
        if run and not options.text and not options.by_document:
            from course_lib.cli.normal import verdict
            for line in verdict(run, run.step, result.loss):
                print(line)


def sample(options) -> None:
    """Continue a prompt."""
    from course_lib.cli.terminal import ask, written
    from course_lib.sampling.drawing import Sampling
    from course_lib.sampling.generation import stream
    from course_lib.sampling.quantization import quantize_int8
    if not 1 <= options.n <= MOST_ROWS:
        raise ValueError(f"-n must be 1 or more, up to {MOST_ROWS:,}, not "
                         f"{options.n}")
    if options.tokens < 0:
        raise ValueError("max_new_tokens must be 0 or more, not "
                         f"{options.tokens}")
    Sampling(options.temperature, options.top_k, options.top_p,
             options.min_p, options.repetition_penalty)
    model, tokenizer, _ = read_model(options.folder,
                                     "cpu" if options.int8 else None)
    if options.int8:
        model = quantize_int8(model)

    def respond(prompt):
        ids = tokenizer.encode(prompt) or [tokenizer.eot]
        text = written(
            stream(model, [ids] * options.n, options.tokens,
                   options.temperature, options.top_k, options.top_p,
                   tokenizer.eot, options.seed, min_p=options.min_p,
                   repetition_penalty=options.repetition_penalty),
            tokenizer, prompt, options.n)
        if not (options.stream or options.interactive):
            text = ["".join(text)]  # nothing where it fails on the way
        for piece in text:
            print(piece, end="", flush=True)

    if options.interactive:
        ask(respond)
    else:
        respond(options.prompt)
