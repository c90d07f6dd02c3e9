"""`course new` and `course check`: the reader's own file."""

import time
from collections import Counter
from pathlib import Path


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
    """One check; the exit code."""
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
    return 0 if tally["right"] == len(names) else 1


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
