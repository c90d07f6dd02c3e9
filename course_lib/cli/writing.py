"""`course new` and `course check`: the reader's own file."""

import hashlib
import json
import subprocess
import time
from collections import Counter
from pathlib import Path

from course_lib.machine.lines import quoted

LONGEST = 1800  # seconds of a graduation
MARK = "readers_gpt.json"  # in a run that a reader's GPT was trained in


def new(options) -> None:
    """Write an empty file to write a GPT in."""
    from course_lib.exercises.file import new
    new(options.file)
    print(f"{options.file}: write a body, then `course check "
          f"{options.file}`")


def check(options) -> int:
    """Say of each step of your file whether it is right."""
    if options.hint:
        return hint(options)
    if not options.watch:
        return once(options)
    before = None
    while True:  # until Ctrl-C
        now = stamp(options.file)
        if now != before:
            before = now
            print(f"--- {time.strftime('%H:%M:%S')}")
            try:
                once(options)
            except (ValueError, OSError) as error:  # save again
                print(error)
            print(flush=True)
        time.sleep(0.3)


def stamp(file):
    """What changes when a file is saved."""
    try:
        status = Path(file).stat()
    except FileNotFoundError:  # for a moment, in some editors
        return None
    return status.st_mtime_ns, status.st_size


def once(options) -> int:
    """One check, and with --graduate what follows; the exit code."""
    from course_lib.exercises.names import chosen
    from course_lib.exercises.process import check_file
    names = chosen(options.step)
    tally = Counter()
    for verdict in check_file(options.file, names, options.seconds):
        tally[verdict.status] += 1
        if verdict.status == "not begun" and not options.step:
            continue
        print(verdict, flush=True)
    print(", ".join(f"{count} {status}" for status, count in tally.items()))
    if tally["right"] < len(names):
        return 1
    return graduation(options.file) if options.graduate else 0


def graduation(file) -> int:
    """Train the smoke scale with nothing but the file's own parts, in a
    process of its own; the exit code."""
    from course_lib.exercises.process import child_of
    try:
        return subprocess.run(child_of("graduation", file),
                              timeout=LONGEST).returncode
    except subprocess.TimeoutExpired:
        print(f"graduation ended: more than {LONGEST // 60} minutes")
        return 1


def hint(options) -> int:
    """Print the hint for the steps named, or the first that is not right."""
    from course_lib.exercises.bank import find
    from course_lib.exercises.names import chosen
    from course_lib.exercises.process import check_file
    names = chosen(options.step)
    if not options.step:
        verdicts = check_file(options.file, names, options.seconds)
        first = next((v.step for v in verdicts if not v.right), None)
        names = [first] if first else []
    if not names:
        print("every step is right")
    for name in names:
        print(f"{name}: {find(name).all_hints[options.hint - 1]}")
    if names and options.hint < 3:
        print(f"(--hint {options.hint + 1} says more)")
    return 0


def beginning(options, run) -> dict:
    """What the trainer is to begin with: options `model` and `compiles`.
    Raises ValueError where the file's GPT is not right, or a run goes on
    with another one than it began with."""
    from course_lib.machine.files import read_object, write_json
    mark = run.folder / MARK
    kept = read_object(mark) if mark.is_file() else {}
    if kept and not all(isinstance(kept.get(name), str)
                        for name in ("file", "parameters")):
        raise ValueError(f"{mark} is damaged: it does not say whose GPT is "
                         "trained here")
    if not options.model:
        if kept:
            raise ValueError(f"{run.folder} is trained with the GPT in "
                             f"{kept['file']}: add --model "
                             f"{quoted(kept['file'])}")
        return dict(compiles=options.compile)
    if run.begun_from:
        raise ValueError(f"{run.folder} begins with the weights of "
                         f"{run.begun_from['path']}: prepare a new run for "
                         "--model")
    from course_lib.exercises.process import check_file
    from course_lib.exercises.readers_gpt import from_file
    for verdict in check_file(options.model, ["gpt", "first_weights"]):
        if not verdict.right:
            raise ValueError(f"{verdict.step} in {options.model} is not "
                             f"right: course check {options.model}")
    model = from_file(options.model, run.preset.model)
    names = json.dumps({name: tuple(p.shape) for name, p
                        in model.named_parameters()})
    digest = hashlib.sha256(names.encode()).hexdigest()
    if run.started and kept.get("parameters") != digest:
        raise ValueError(f"{run.folder} was begun with another GPT than that "
                         f"in {options.model}: prepare a new run")
    write_json(mark, dict(file=str(options.model), parameters=digest))
    return dict(model=model, compiles=options.compile or False)
