"""A trained run as others find it: a folder, and a page on the Hugging Face
Hub (chapter 5)."""

import re
from pathlib import Path

import torch

from course_lib.machine.hub_client import be_careful
from course_lib.machine.lines import one_line
from course_lib.model.gpt import GPT
from course_lib.runs import Run
from course_lib.sharing.gguf_file import GGUF, require_gguf, write_gguf
from course_lib.sharing.hugging_face import holds, load_hf, save_hf
from course_lib.sharing.model_card import model_card, rounding
from course_lib.text.tokenizer import Tokenizer

FILES = ("README.md", "config.json", "model.safetensors", "tokenizer.json",
         "tokenizer_config.json")


def export_run(run: Run, folder, licence: str | None = None,
               name: str | None = None, gguf: bool = False,
               number_format: str = "float32") -> bool:
    """`save_hf` for a trained run, with a model card made of its record, and
    with `gguf` the same as one file for llama.cpp. The weights are rounded
    to the `number_format`: bfloat16 halves the file.

    Returns False, and leaves everything as it is, where the folder already
    holds this very model: its card may have been edited. Only a GGUF file
    that is asked for and not there is added. Raises FileExistsError when
    there is anything else in it, and ValueError for a model that no format
    holds.
    """
    name = name or Path(folder).resolve().name
    model = rounded(run.model(), number_format)
    card = model_card(run, licence, name, gguf, number_format)
    return _export(model, run.tokenizer, card, Path(folder), name, gguf)


def export_folder(source, folder, name: str | None = None,
                  gguf: bool = False, number_format: str | None = None,
                  ) -> bool:
    """`export_run` for a folder in Hugging Face's format, whose README.md is
    the card; without `number_format` the weights keep theirs."""
    source, folder = Path(source), Path(folder)
    model, tokenizer = load_hf(source)
    card = source / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    before = model.head.dtype
    if number_format:
        model = rounded(model, number_format)
    if number_format and model.head.dtype.itemsize < before.itemsize:
        text += rounding(number_format)
    return _export(model, tokenizer, text, folder,
                   name or folder.resolve().name, gguf)


def rounded(model: GPT, number_format: str) -> GPT:
    """The model with its weights in another number format. Raises ValueError
    for a weight that becomes infinite in it."""
    model = model.to(getattr(torch, number_format))
    for name, value in model.named_parameters():
        if not value.isfinite().all():
            raise ValueError(f"{name} holds a weight that is too large for "
                             f"{number_format}: export it in another")
    return model


def _export(model: GPT, tokenizer: Tokenizer, card: str, folder: Path,
            name: str, gguf: bool) -> bool:
    if gguf:  # may refuse
        require_gguf(tokenizer)
    new = not (folder.exists() and (not folder.is_dir()
                                    or any(folder.iterdir())))
    if not new and not holds(folder, model, tokenizer):
        raise FileExistsError(f"{folder} is not empty: choose a new folder")
    if new:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "README.md").write_text(card, encoding="utf-8")
    if gguf and not (folder / GGUF).exists():
        write_gguf(model, tokenizer, folder / GGUF, name)
    if new:  # last: with these weights in it the folder is whole
        save_hf(model, tokenizer, folder)
    return new


def exported_files(folder) -> list[Path]:
    """What stands in an exported folder and goes to the Hub."""
    paths = [Path(folder, name) for name in (*FILES, GGUF)]
    return [path for path in paths if path.name != GGUF or path.exists()]


def push(folder, name: str, private: bool = False,
         dry_run: bool = False) -> str:
    """Upload an exported folder as one commit to the model OWNER/NAME, which
    is made where there is none; returns the address of its page.

    The token is the one of `hf auth login` or $HF_TOKEN. With `dry_run` the
    files are looked at and nothing is sent. Raises ValueError for a name of
    another form and for a public page where a private one was asked for,
    and OSError when the Hub refuses or cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, constants
    check_name(name)
    files = exported_files(folder)
    for path in files:
        if not path.is_file():
            raise FileNotFoundError(f"no {path.name} in {folder}: export the "
                                    "run again, into a new folder")
    if dry_run:
        return f"{constants.ENDPOINT}/{name}"
    be_careful()
    api = HfApi()
    try:
        page = api.create_repo(name, private=private or None, exist_ok=True)
        hidden = not private or api.model_info(name).private
        if hidden:
            api.create_commit(
                name, [CommitOperationAdd(path.name, path) for path in files],
                commit_message="A model trained with course_lib")
    except Exception as error:  # the client has many kinds
        raise OSError(f"cannot publish {name} on the Hugging Face Hub "
                      f"({_reason(error)}); {folder} is whole: {_help(error)}"
                      ) from error
    if not hidden:
        raise ValueError(f"{name} is a public page already: nothing was sent;"
                         " choose another name, or leave out --private")
    return str(page)


def check_name(name: str) -> None:
    """Raise ValueError when a name is not of the form OWNER/NAME."""
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name, re.ASCII):
        raise ValueError(f"{name!r} is no place on the Hub: write OWNER/NAME,"
                         " your user name there and a name for the model")


def _reason(error: Exception) -> str:
    while error.__cause__:
        error = error.__cause__
    first, *_ = str(error).split("\n")
    return f"{type(error).__name__}: {one_line(first)}"


def _help(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return ("run `hf auth login` with a token that may write there, and "
                "the same command again")
    return "run the same command again"
