"""What a check ends with, without torch."""

from dataclasses import dataclass

SECONDS = 20.0  # of the processor, for one step
LONGEST = 300  # characters of what an exception says
PATIENCE = 6  # times as long it may take where the machine is busy


def message(error: BaseException) -> str:
    """What an exception says, in one line, also where saying it fails."""
    try:
        said = " ".join(str(error).split())
    except Exception:
        return ""
    return said if len(said) <= LONGEST else said[:LONGEST] + " ..."


@dataclass(frozen=True)
class Verdict:
    """What was found out about a step: `status` is right, wrong, not begun,
    waits or stopped; `mistake` is the name of a known one; `lines` say the
    rest; `uses` are the steps that the code of this one uses."""

    step: str
    status: str
    mistake: str | None = None
    lines: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        return self.status == "right"

    def __str__(self):
        head = f"{self.step}: {self.status}"
        if self.mistake:
            head += f": {self.mistake}"
        return "\n".join([head, *(f"  {line}" for line in self.lines)])

    __repr__ = __str__


def stopped(step: str, seconds: float) -> Verdict:
    """The verdict on what did not end."""
    return Verdict(step, "stopped", None, (
        f"it took more than {seconds:g} seconds: is there a loop without "
        "end?",))
