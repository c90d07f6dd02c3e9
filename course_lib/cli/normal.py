"""Is my loss normal? Said while a run trains, and at its end (chapter 4)."""

import sys

from tqdm import tqdm

from course_lib.measuring.bands import judge
from course_lib.presets import Preset


class Listener:
    """Hears each validation loss of a run, and says on stderr, once for each
    kind, when it leaves the band of what others got."""

    def __init__(self, preset: Preset):
        self.preset, self.said = preset, set()

    def __call__(self, step: int, loss: float) -> None:
        lines = judge(self.preset, step, loss)
        kind = lines[0].split(":")[0] if lines else "normal"
        if step < self.preset.steps and kind not in {"normal", *self.said}:
            self.said.add(kind)
            tqdm.write("\n".join(lines), file=sys.stderr)


def verdict(preset: Preset, step: int, loss: float) -> str:
    """What is to be said of a measured loss, a line each; nothing where no
    band was recorded."""
    return "".join(f"{line}\n" for line in judge(preset, step, loss))
