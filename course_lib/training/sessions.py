"""How often a run was interrupted, and when: sessions.json (chapter 4).

A session is one call of the trainer. Its record says where it began, when and
on what, and how it ended; how a process that was killed ended is written down
by the next one. Nothing here touches weights or log.
"""

import datetime
from pathlib import Path

import torch

from course_lib.machine.files import read_json, write_json
from course_lib.training.log import read_log

FILE = "sessions.json"
KILLED, TOLD, DONE = "killed", "told to stop", "done"
SHOWN = 5  # interruptions by their steps, in words
KNOWN = dict(step=int, date=str, elapsed=float, device=str,
             last_step=int, last_date=str, ended=str)


def read(folder) -> list[dict]:
    """The sessions of a run folder, oldest first; none where the file is
    missing or makes no sense, as in runs of older versions."""
    found = read_json(Path(folder, FILE), ["sessions"]).get("sessions")
    return found if isinstance(found, list) and all(
        map(_sensible, found)) else []


def _sensible(session) -> bool:
    return isinstance(session, dict) and {"step", "date"} <= session.keys() \
        and all(type(session[name]) is kind
                for name, kind in KNOWN.items() if name in session)


def begin(folder, step: int, writes: bool = True, **about) -> float:
    """Write down that a session begins after `step`; `about` is on what. One
    process of several `writes`.
    Returns the seconds that all before it took: also for steps that were
    lost, up to the last line that a killed one wrote."""
    folder, sessions = Path(folder), read(folder)
    elapsed = spent(folder)
    if not writes:
        return elapsed
    if sessions and "ended" not in sessions[-1]:
        log = folder / "log.jsonl"
        steps = [record["step"] for record in read_log(log)]
        sessions[-1].update(
            ended=KILLED, last_step=steps[-1] if steps else 0,
            last_date=_date(log.stat().st_mtime) if log.exists()
            else sessions[-1]["date"])
    sessions.append(dict(step=step, date=_date(), elapsed=elapsed, **about,
                         threads=torch.get_num_threads(),
                         torch=torch.__version__))
    write_json(folder / FILE, dict(sessions=sessions))
    return elapsed


def end(folder, step: int, done: bool) -> None:
    """Write down that the session ends after `step`, with what was asked of
    it done or not."""
    sessions = read(folder)
    if sessions:  # else somebody removed the file
        sessions[-1].update(last_step=step, last_date=_date(),
                            ended=DONE if done else TOLD)
        write_json(Path(folder, FILE), dict(sessions=sessions))


def spent(folder) -> float:
    """Seconds of wall clock that training took so far."""
    timing = read_log(Path(folder, "timing.jsonl"))
    return max([0.0, *(record.get("elapsed") or 0.0 for record
                       in (*timing[-1:], *read(folder)[-1:]))])


def interruptions(sessions: list[dict]) -> list[dict]:
    """The sessions that ended before they were done."""
    return [each for each in sessions if each.get("ended") in (KILLED, TOLD)]


def in_words(sessions: list[dict]) -> str:
    """How often a run was interrupted, and after which steps."""
    steps = [f"{each['last_step']:,}" for each in interruptions(sessions)]
    if not steps:
        return "not interrupted"
    more = f" and {len(steps) - SHOWN} more" if len(steps) > SHOWN else ""
    count = "once" if len(steps) == 1 else f"{len(steps)} times"
    return (f"interrupted {count}, after step{'s' * (len(steps) > 1)} "
            f"{', '.join(steps[:SHOWN])}{more}")


def _date(seconds: float | None = None) -> str:
    now = datetime.datetime.now() if seconds is None \
        else datetime.datetime.fromtimestamp(seconds)
    return now.astimezone().isoformat(timespec="seconds")
