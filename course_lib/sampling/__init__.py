"""From ids to text: generation, its settings, eight bits (chapter 5)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "drawing": ["Sampling", "penalize", "probabilities"],
    "generation": ["generate", "stream"],
    "quantization": ["quantize_int8"],
})
