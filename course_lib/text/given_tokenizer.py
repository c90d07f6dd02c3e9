"""A tokenizer that is there already, wherever it stands (chapter 3)."""

from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from course_lib.machine.lines import one_line
from course_lib.text.tokenizer import EOT, Tokenizer, checked, load_tokenizer


def find_tokenizer(path) -> Tokenizer:
    """The tokenizer of a file, or of a folder, such as a run's or one in
    Hugging Face's format: tokenizer.json, or GPT-2's own vocab.json and
    merges.txt. Raises FileNotFoundError, or ValueError for what is none and
    for one that changes the text."""
    path = Path(path)
    pair = path / "vocab.json", path / "merges.txt"
    if (path / "tokenizer.json").is_file() \
            or not all(file.is_file() for file in pair):
        return load_tokenizer(path if path.is_file()
                              else path / "tokenizer.json")
    try:
        bpe = models.BPE.from_file(*map(str, pair))
    except Exception as error:  # the library raises bare Exception
        raise ValueError(f"{pair[0]} and {pair[1].name} are no tokenizer: "
                         f"{one_line(error)}") from None
    library = tokenizers.Tokenizer(bpe)
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    if library.token_to_id(EOT) is None:  # a new one would be no model's
        raise ValueError(f"{pair[0]} has no {EOT}, which must stand between "
                         "documents")
    library.add_special_tokens([EOT])
    return checked(Tokenizer(library), path)
