"""Text: corpora, the tokenizer, token files and batches (chapter 3)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "corpus": ["find_files", "load_corpus"],
    "documents": ["Corpus", "make_dataset", "read_documents"],
    "rows": ["sentences"],
    "split": ["choose_split", "is_validation", "side", "split_document"],
    "token_files": ["Tokens", "pack"],
    "tokenizer": ["EOT", "Tokenizer", "load_tokenizer", "train_tokenizer"],
})
