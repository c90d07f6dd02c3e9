"""A model as others find it: Hugging Face's format, GGUF, a page, a card
(chapter 5)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "gguf_file": ["write_gguf"],
    "hugging_face": ["from_hf", "load_hf", "save_hf"],
    "own_page": ["write_page"],
    "publish": ["export_folder", "export_run", "push"],
})
