"""`course plan`, and what `course prepare --hours` makes of it (chapter 2)."""

from course_lib.cli.arguments import SHAPE, TRAINING
from course_lib.machine.lines import quoted
from course_lib.machine.progress import say
from course_lib.scaling.budget import GPU_MFU

# Times a ladder's largest run: from there on its law is asked with a warning,
# and from there on no more.
WARNED, FAR = 30, 10_000


def plan(options) -> None:
    """What a budget of time or money buys: model, tokens, rate, loss."""
    if options.hours is None and options.dollars is None:
        raise ValueError("give a budget: --hours 3, or --dollars 1 --gpu "
                         "h100")
    if far(options):
        return published(options)
    unique = None
    if options.corpus:
        from course_lib.text.corpus import load_corpus
        corpus = load_corpus(*options.corpus)
        unique = different_tokens(corpus, ladder_of(options))
    choice = chosen(options, unique)
    print(*described(options, choice), sep="\n")


def prepare_dialled(options, corpus) -> None:
    """The run that a budget of time or money buys, with what is predicted of
    it."""
    from dataclasses import asdict, replace

    from course_lib.runs import prepare
    sets = {name: flag for name, (flag, _) in (SHAPE | TRAINING).items()
            if name not in ("tokens", "seed")}
    sets |= dict(schedule="--schedule", tokenizer="--tokenizer")
    fixed = [flag for name, flag in sets.items()
             if getattr(options, name) is not None]
    if options.preset or options.change or fixed:
        raise ValueError("a budget sets size and recipe's numbers: leave out "
                         + (" ".join(fixed) or "--preset and --change"))
    if far(options):
        raise ValueError("so large a budget is beyond the ladder: `course "
                         "plan` says what the published laws make of it")
    choice = chosen(options, different_tokens(corpus, ladder_of(options)))
    say("\n".join(described(options, choice)))
    preset = replace(choice.preset, **(
        {} if options.seed is None else dict(seed=options.seed)))
    run = prepare(options.out, preset, corpus, say, asdict(choice.forecast))
    say(f"ready: course train {quoted(run.folder)}")


def far(options) -> bool:
    """Whether a budget of money, or of hours on a GPU, is beyond what the
    ladder can speak of, or there is no ladder. Raises ValueError for a budget
    that is none."""
    from course_lib.machine.gpus import find_gpu
    from course_lib.scaling.budget import check
    given = dict(hours=options.hours, dollars=options.dollars,
                 mfu=options.mfu, largest=options.largest,
                 tokens=options.tokens)
    check(**{name: value for name, value in given.items()
             if value is not None})
    if options.hours is not None and options.dollars is not None:
        raise ValueError("give --hours or --dollars, not both")
    if options.dollars is None and not options.gpu:
        return False
    gpu = find_gpu(options.gpu or "A100")
    flop = hours_of(options, gpu) * 3600 * gpu.peak_at() * (
        options.mfu or GPU_MFU)
    try:
        return flop > FAR * ladder_of(options).budget.max()
    except FileNotFoundError:
        return True


def chosen(options, unique: int | None = None):
    """The dial's choice for --hours on this machine, or for hours or dollars
    on a GPU."""
    from course_lib.machine.device import choose_device
    from course_lib.machine.gpus import find_gpu
    from course_lib.presets import load_preset
    from course_lib.recipes import find_recipe
    from course_lib.scaling import dial
    from course_lib.stages import loss_floor
    ladder = ladder_of(options)
    scale = find_recipe(options.recipe).at(load_preset(scale_of(options)))
    bounds = dict(unique=unique, tokens=getattr(options, "tokens", None),
                  largest=options.largest, floor=loss_floor(scale, ladder))
    if options.dollars is not None or options.gpu:
        gpu = find_gpu(options.gpu or "A100")
        return dial.choose(scale, ladder, hours_of(options, gpu) * 3600,
                           dial.gpu_speed(gpu, options.mfu or GPU_MFU),
                           **bounds)
    seconds, device = options.hours * 3600, choose_device()
    speed_of = dial.machine_speed(scale, device)
    first = dial.choose(scale, ladder, seconds, speed_of, **bounds)
    faster = dial.compiled_speed(first.preset, speed_of, device)
    return first if faster is speed_of else dial.choose(
        scale, ladder, seconds, faster, **bounds)


def hours_of(options, gpu) -> float:
    """Hours that the budget pays for."""
    if options.dollars is None:
        return options.hours
    return options.dollars / gpu.dollars_per_hour


def scale_of(options) -> str:
    """The scale whose text and tokenizer the law is of: stories or books."""
    stories = options.corpus and options.corpus[0].startswith("stories")
    return "laptop" if stories else "evening"


def ladder_of(options):
    """The recorded ladder that speaks of such text and such a recipe. Raises
    FileNotFoundError where none was recorded."""
    from course_lib.presets import load_preset
    from course_lib.recipes import find_recipe
    from course_lib.stages import ladder
    return ladder(find_recipe(options.recipe).at(
        load_preset(scale_of(options))))


def different_tokens(corpus, ladder) -> int:
    """Tokens of a corpus, by its bytes and those that a token of the
    ladder's tokenizer has, less what is held out."""
    from course_lib.text.split import VALIDATION
    size = sum(len(text.encode("utf-8", "surrogatepass"))
               for text in corpus.texts())
    each = ladder.held_out["bytes"] / ladder.held_out["tokens"]
    return int(size / each * (1 - VALIDATION))


def described(options, choice) -> list[str]:
    """A choice as lines of text: its cost, what it is, and how far it is from
    what is known."""
    return [*cost_lines(options, choice), *choice.lines(),
            *far_lines(choice, ladder_of(options))]


def cost_lines(options, choice) -> list[str]:
    """The budget, and what it is counted in."""
    from course_lib.machine.device import choose_device, device_name
    from course_lib.machine.gpus import find_gpu, hourly_price
    if options.dollars is not None or options.gpu:
        gpu = find_gpu(options.gpu or "A100")
        hours = choice.seconds / 3600
        return [f"budget   ${hours * gpu.dollars_per_hour:,.2f} on "
                f"{gpu.name} at ${gpu.dollars_per_hour}/h "
                f"({gpu.price_source}): {hours:.2g} hours at "
                f"{options.mfu or GPU_MFU:.0%} (assumed) of its peak"]
    name = device_name(choose_device())
    price = hourly_price(name)
    hours = choice.seconds / 3600
    return [f"budget   {hours:.2g} hours on {name}, its speed measured"
            + (f", ${hours * price:.2f} at ${price}/h" if price else "")]


def published(options) -> None:
    """What a sum of money buys by the published laws: beyond our ladders."""
    from course_lib.machine.gpus import find_gpu
    from course_lib.scaling import budget
    gpu = find_gpu(options.gpu or "A100")
    of = (hours_of(options, gpu) * gpu.dollars_per_hour, gpu.name,
          options.mfu or GPU_MFU)
    plan = budget.plan(*of)
    print(*plan.lines(), f"others   {others(plan.flop)}", sep="\n")


def others(flop: float) -> str:
    """Which sizes the published laws choose for so much compute."""
    from course_lib.scaling.budget import count
    from course_lib.scaling.laws import PUBLISHED, ScalingLaw
    sizes = [law.optimum(flop)[0] for law in PUBLISHED.values()
             if isinstance(law, ScalingLaw)]
    return (f"the published constants choose {count(min(sizes))} to "
            f"{count(max(sizes))} parameters")


def far_lines(choice, ladder) -> list[str]:
    """A warning, where a run is much larger than those that the law is of."""
    times = choice.flop / ladder.budget.max()
    return [] if times < WARNED else [
        f"far      {times:,.0f} times the compute of the law's largest run: "
        "a start, not a promise", f"         {others(choice.flop)}"]
