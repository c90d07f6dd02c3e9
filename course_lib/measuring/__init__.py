"""How good a model is: loss, surprisal, copies (chapters 4 and 5)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "copies": ["Copy", "longest_copies"],
    "evaluation": ["Evaluation", "documents", "evaluate", "evaluate_text"],
    "surprise": ["surprisal"],
})
