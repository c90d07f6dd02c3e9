"""The machine: device, number formats, processes, GPUs and their prices."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "device": ["autocast", "choose_device", "device_name", "instructions",
               "matmul_peak", "precision", "synchronize"],
    "distributed": ["World", "first_process", "join"],
    "files": ["read_json", "write_json"],
    "lock": ["locked"],
    "gpus": ["GPU", "GPUS", "find_gpu"],
    "memory": ["keep_memory"],
    "origin": ["ROOT", "provenance"],
})
