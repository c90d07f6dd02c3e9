"""Training: step, optimizers, schedule, trainer, checkpoints, logs (chapter
4)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "checkpoint": ["Damaged", "load_checkpoint", "load_newest",
                   "save_checkpoint"],
    "log": ["Diverged", "Log", "read_log"],
    "options": ["Options", "Result"],
    "optimizers": ["Muon", "make_optimizer", "orthogonal"],
    "schedule": ["learning_rate"],
    "start": ["measure_speed"],
    "step": ["train_step"],
    "trainer": ["Trainer", "train"],
})
