"""Write it yourself, and be checked (every chapter)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "graduation": ["graduate"],
    "judge": ["check"],
    "file": ["new"],
    "readers_gpt": ["ReadersGPT"],
    "verdict": ["Verdict"],
})
