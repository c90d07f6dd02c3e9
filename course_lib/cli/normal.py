"""Is my loss normal? Said while a run trains (chapter 4)."""

import sys

from tqdm import tqdm

from course_lib.machine.progress import Heedless
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
            tqdm.write("\n".join(lines), file=Heedless(sys.stderr))
