"""The built-in corpus: small stories whose entropy is known (chapter 2)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "generator": ["entropy_bits", "entropy_bits_per_byte", "hidden_bits",
                  "log2_probability", "mean_bytes", "stories", "story"],
})
