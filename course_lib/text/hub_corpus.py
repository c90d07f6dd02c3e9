"""Text from the Hugging Face Hub, read by its own client.

    bookcorpus                              1,000 sentences are a document
    hub:OWNER/NAME[@REVISION][#COLUMN]      a row is a document
    stream:OWNER/NAME[@REVISION][#COLUMN]   the same, never kept on disk

The split is `train`, the revision `main` and the column `text` unless said
otherwise. The first two are downloaded once, into the client's cache, and
mapped into memory from there; a stream is downloaded again at every pass.
"""

import hashlib
import json
import re
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager

from course_lib.machine.hub_client import COMMIT, be_careful
from course_lib.machine.lines import one_line
from course_lib.text.documents import Corpus, make_dataset

BOOKCORPUS = "bookcorpus/bookcorpus"
# The Hub's own conversion: `datasets` 4 and later run no loading scripts.
CONVERTED = "refs/convert/parquet"
SENTENCES_A_DOCUMENT = 1000
ROWS = 100  # read at a time: rows may be long
SPEC = re.compile(r"(hub|stream):([\w.-]+/[\w.-]+)(?:@([^#]+))?(?:#(.+))?")


def load_hub_corpus(spec: str) -> Corpus:
    """The corpus that `bookcorpus`, `hub:...` or `stream:...` names.

    Raises ValueError for a spec of another form and for a dataset without
    such text, FileNotFoundError where the Hub shows no such dataset or
    revision, and OSError when the network or the disk fails, here or while
    the text is read.
    """
    if spec == "bookcorpus":
        return _load(spec, BOOKCORPUS, CONVERTED,
                     sentences=SENTENCES_A_DOCUMENT)
    parts = SPEC.fullmatch(spec)
    if not parts:
        raise ValueError(
            f"{spec!r} names no dataset: write hub:OWNER/NAME, then "
            "@REVISION or #COLUMN where they are not main and text, for "
            "example hub:roneneldan/TinyStories")
    kind, name, revision, column = parts.groups()
    revision, column = revision or "main", column or "text"
    asked = f"{kind}:{name}@{revision}"
    return _load(asked if column == "text" else f"{asked}#{column}", name,
                 revision, column, streaming=kind == "stream")


def open_dataset(asked: str, name: str, revision: str, streaming: bool):
    """(rows of the split `train`, commit) of a dataset on the Hub. Raises as
    `load_hub_corpus` does."""
    import datasets
    from huggingface_hub import HfApi
    be_careful()
    with _one_line(asked):
        commit = HfApi().dataset_info(name, revision=revision).sha
        if not COMMIT.fullmatch(commit or ""):  # it becomes a folder's name
            raise OSError(f"{name} is at no commit: the server's answer is "
                          f"{reprlib.repr(commit)}")
        # `load_dataset` in its steps, to look before anything is downloaded
        builder = datasets.load_dataset_builder(name, revision=commit)
    if builder.hash != commit:
        raise OSError(
            f"{asked} is commit {commit[:7]}, and the client would read "
            "another copy: an older download, as the network failed, or a "
            f"folder {name} here; try again, or in another folder")
    splits = builder.config.data_files
    if "train" not in splits:
        raise ValueError(f"{asked} has no split train, only "
                         + ", ".join(map(str, splits)))
    with _one_line(asked):
        if streaming:
            data = builder.as_streaming_dataset(split="train")
        else:
            builder.download_and_prepare()
            data = builder.as_dataset(split="train")
    return data, commit


def _load(asked: str, name: str, revision: str, column: str = "text",
          streaming: bool = False, sentences: int | None = None) -> Corpus:
    data, commit = open_dataset(asked, name, revision, streaming)
    with _one_line(asked):
        first = next(data.iter(batch_size=1), {column: []})
    _strings(first, column, asked)
    fingerprint = json.dumps([name, commit, column, sentences])

    def rows(data, column, asked, sentences):
        for batch in batches(data, sentences or ROWS, asked):
            texts = _strings(batch, column, asked)
            if sentences:
                texts = ["\n".join(text or "" for text in texts)]
            for text in texts:
                if text and text.strip():
                    yield {"text": text}

    return Corpus(asked, hashlib.sha256(fingerprint.encode()).hexdigest()[:16],
                  make_dataset(rows, data=data.select_columns([column]),
                               column=column, asked=asked,
                               sentences=sentences), commit)


def batches(data, size: int, asked: str) -> Iterator[dict]:
    """The rows, so many at a time, as lists by column."""
    with _one_line(asked):
        yield from data.iter(batch_size=size)


def _strings(batch: dict, column: str, asked: str) -> list[str | None]:
    if column not in batch:
        raise ValueError(f"{asked} has no column {column}: add one of "
                         + ", ".join(f"#{name}" for name in batch))
    for text in batch[column]:
        if not isinstance(text, str | None):
            raise ValueError(f"column {column} of {asked} is no text but "
                             f"{type(text).__name__}: name another #COLUMN")
    return batch[column]


@contextmanager
def _one_line(asked: str):
    """Say in one line what went wrong in the client, and what would help."""
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub import errors
    try:
        yield
    except Exception as error:
        causes = [error]
        while causes[-1].__cause__:
            causes.append(causes[-1].__cause__)

        def is_one(*kinds):
            return any(isinstance(cause, kinds) for cause in causes)

        lines = str(causes[-1]).split("\n")  # the first two say it
        said = one_line(" ".join(lines[:2]))
        reason = f"{type(causes[-1]).__name__}: {said}"
        if is_one(errors.RevisionNotFoundError):
            raise FileNotFoundError(
                f"{asked}: the dataset is there, but has no such branch, tag "
                "or commit") from error
        if is_one(errors.RepositoryNotFoundError, errors.DisabledRepoError,
                  DatasetNotFoundError):
            raise FileNotFoundError(
                f"{asked} is not on the Hugging Face Hub, or not for you: "
                "check the spelling; for a gated or private dataset ask for "
                "access on its page and run `hf auth login`") from error
        if "scripts are no longer" in reason:
            raise ValueError(
                f"{asked} is made by a script, which the client does not "
                f"run: add @{CONVERTED}, the Hub's own copy") from error
        if not is_one(errors.HTTPError, ConnectionError, TimeoutError):
            if isinstance(causes[-1], OSError) and causes[-1].errno:
                raise causes[-1] from None  # of the disk: it says what
            if is_one(DatasetsError, ValueError):
                raise ValueError(
                    f"{asked} cannot be read as text ({reason}): expected "
                    "one set of data files") from error
        raise OSError(
            f"cannot load {asked} from the Hugging Face Hub ({reason}): "
            "check network and disk and try again, what is downloaded is "
            "kept; or name text files instead") from error
