"""The model: a GPT, its loss, its cache, what it costs (chapters 1 and 6)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "attention": ["attend", "attend_in_blocks"],
    "cache": ["KVCache", "window_start"],
    "config": ["GPTConfig"],
    "cost": ["Parameters", "count_parameters", "flops_by_part",
             "flops_per_token"],
    "gpt": ["GPT", "MLP", "Attention", "Block", "rotary_angles", "rotate"],
    "loss": ["IGNORE", "chunked_cross_entropy", "linear_cross_entropy"],
})
