"""A run folder: how it is made; `run_folder` opens it.

What stands in it:

    run.json         preset, corpus, split rule, provenance (written last);
                     where its tokenizer and first weights came from, if they
                     were there before
    tokenizer.json   the vocabulary and its merges
    train.bin val.bin, each with a .json header: the token files; where the
                     recipe reads sentences, val-rows.bin has the validation
                     text once more, as the model is to be measured on it
    log.jsonl timing.jsonl settings.json sessions.json checkpoints/
    snapshots/:      written by the trainer
    beginning.safetensors
                     the weights that it begins with, if those are another
                     model's
"""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from course_lib.machine.device import choose_device
from course_lib.machine.files import read_json, write_json
from course_lib.machine.lock import LOCK, locked
from course_lib.machine.origin import provenance
from course_lib.machine.progress import bar
from course_lib.presets import Preset
from course_lib.run_folder import Run, open_run, row_of, token_files
from course_lib.text.documents import Corpus, first_bytes, separators
from course_lib.text.given_tokenizer import find_tokenizer
from course_lib.text.rows import sentences
from course_lib.text.split import choose_split, side
from course_lib.text.token_files import COUNTS, pack
from course_lib.text.tokenizer import (
    EOT,
    Tokenizer,
    load_tokenizer,
    train_tokenizer,
)

# Merges settle long before this much text, and counting pairs costs memory.
TOKENIZER_BYTES = 100_000_000
# Repeated text is worth ever less (Muennighoff et al. 2023); a small model
# without dropout gains nothing from this many passes.
MANY_PASSES = 16


def prepare(folder, preset: Preset, corpus: Corpus,
            report: Callable[[str], None] = lambda line: None,
            forecast: dict | None = None, tokenizer=None) -> Run:
    """Make a run folder ready for training: tokenizer and token files, and
    the `forecast` that was made for it. `tokenizer` is a file or a folder
    that holds one to be taken, and the model's vocabulary is then its own.

    Doing it again with the same preset and corpus makes again what is
    damaged, and changes nothing else. Raises FileExistsError when the folder
    holds anything else, and ValueError when the text is too little for the
    preset.
    """
    if not str(folder):
        raise ValueError("the run folder needs a name, not an empty one")
    folder = Path(folder)
    try:
        str(folder).encode()
    except UnicodeEncodeError:  # safetensors could not open it again
        raise ValueError(f"{ascii(str(folder))} is not UTF-8: choose another "
                         "name for the run folder") from None
    given = None if tokenizer is None else find_tokenizer(tokenizer)
    if given:
        preset = replace(preset, model=replace(
            preset.model, vocab_size=given.vocab_size))
    preset.model.check_size()
    wanted = dict(preset=preset.to_dict(),
                  corpus=dict(name=corpus.name,
                              fingerprint=corpus.fingerprint,
                              revision=corpus.revision),
                  **(dict(forecast=forecast) if forecast else {}),
                  **(dict(tokenizer_from=dict(
                      path=str(tokenizer), fingerprint=given.fingerprint))
                     if given else {}))
    if (folder / "run.json").exists():
        return _prepared(folder, wanted, preset, corpus, report, given)
    if folder.exists() and not folder.is_dir() or not _ours(folder):
        raise FileExistsError(f"{folder} exists and is no run folder: "
                              "choose a new one with --out")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        if (folder / "run.json").exists():  # by who was first
            return _prepared(folder, wanted, preset, corpus, report, given)
        return _prepare(folder, wanted, preset, corpus, report, given)


def _prepare(folder: Path, wanted: dict, preset: Preset, corpus: Corpus,
             report, given: Tokenizer | None) -> Run:
    if found := sum(map(separators, corpus.files)):
        report(f"{found:,} {EOT} in the text separate documents")
    rule = choose_split(corpus.texts())
    tokenizer = _tokenizer(folder, wanted, report, lambda: (
        given or _train_tokenizer(preset, corpus, rule)))
    files = {name: _token_file(folder, name, preset, corpus, rule, tokenizer,
                               report) for name in token_files(preset)}
    passes = preset.tokens / files["train"]["tokens"]
    if passes > MANY_PASSES:
        report(f"{preset.tokens:,} tokens are {passes:.0f} passes over this "
               "text: it will be learned by heart; add text, or train on "
               f"less with --tokens {MANY_PASSES * files['train']['tokens']}")
    write_json(folder / "run.json", dict(
        **wanted, split=rule, files=files, tokenizer_bytes=TOKENIZER_BYTES,
        tokenizer=tokenizer.fingerprint, prepared=provenance(choose_device())))
    (folder / UNFINISHED).unlink()
    return open_run(folder)


def _prepared(folder: Path, wanted: dict, preset: Preset, corpus: Corpus,
              report, given: Tokenizer | None) -> Run:
    """A run that was made before: what is damaged of it is made again."""
    run = open_run(folder)
    taken = run.record.get("tokenizer_from", {}).get("fingerprint")
    # the corpus that a scale has by itself says nothing of this one
    if (run.record["preset"] != wanted["preset"] | dict(
            corpus=run.preset.corpus) or corpus.fingerprint
            != run.record["corpus"]["fingerprint"]
            or taken != (given and given.fingerprint)):
        raise FileExistsError(f"{folder} holds another run: choose a new "
                              "folder with --out")
    known = {run.record["tokenizer"]} if "tokenizer" in run.record else {
        read_json(folder / f"{name}.json", ["tokenizer"]).get("tokenizer")
        for name in run.record["files"]} - {None}  # of the first edition
    (folder / UNFINISHED).unlink(missing_ok=True)  # killed at the last moment
    broken = run.damaged(known)
    if not broken:
        report(f"{folder} is already prepared")
        return run
    with locked(folder):
        rule = run.record["split"]
        if "tokenizer" in broken:
            report("tokenizer.json is damaged: it is made again")
            tokenizer = given or _train_tokenizer(preset, corpus, rule)
            _same(not known or any(map(tokenizer.known_as, known)), folder)
            tokenizer.save(folder / "tokenizer.json")
        for name in [name for name in token_files(preset) if name in broken]:
            report(f"{name}.bin is damaged: it is made again")
            (folder / f"{name}.json").unlink(missing_ok=True)
            found = _token_file(folder, name, preset, corpus, rule,
                                run.tokenizer, report)
            _same(run.record["files"][name].items() <= found.items(), folder)
    return open_run(folder)


def _same(same: bool, folder: Path) -> None:
    if not same:
        raise ValueError(f"what is damaged in {folder} cannot be made as it "
                         "was, by other versions than made it: prepare the "
                         "run in a new folder")


def _token_file(folder: Path, name: str, preset: Preset, corpus: Corpus,
                rule: str, tokenizer: Tokenizer, report) -> dict:
    """Pack one side of the corpus; returns its counts and checksum."""
    T, rows = preset.model.context_length, row_of(preset, name)
    layout = dict(row=rows, cut_long=name == "train") if rows else {}
    texts = side(corpus.texts(), rule, validation=name != "train")
    with bar(desc=f"{name}.bin", unit="B", unit_scale=True,
             delay=2) as shown:
        tokens = pack(sentences(texts) if rows else texts, tokenizer,
                      folder / f"{name}.bin", shown.update,
                      f"{corpus.fingerprint} {rule} {name}", **layout)
    tokens.windows(T)
    report(f"{name}.bin: {tokens.tokens:,} tokens of {tokens.bytes:,} "
           f"bytes in {tokens.documents:,} "
           f"{'rows' if rows else 'documents'}"
           + (f", {tokens.targets / tokens.windows(T) / T:.0%} of them "
              "no padding" if rows else ""))
    return {what: tokens.header[what] for what
            in (*COUNTS, "sha256", *(("targets",) if rows else ()))}


def _train_tokenizer(preset: Preset, corpus: Corpus, rule: str) -> Tokenizer:
    texts = side(corpus.texts(), rule, validation=False)
    return train_tokenizer(first_bytes(texts, TOKENIZER_BYTES),
                           preset.model.vocab_size)


def _tokenizer(folder: Path, wanted: dict, report, make) -> Tokenizer:
    """The folder's tokenizer, made anew unless an interrupted `prepare` of
    the same run has left it. The mark says that it is one of ours."""
    path, mark = folder / "tokenizer.json", folder / UNFINISHED
    left = read_json(mark, ("wanted", "tokenizer"))
    if left.get("wanted") == wanted and path.is_file():
        with contextlib.suppress(ValueError):  # damaged: make it again
            return load_tokenizer(path)
    path.unlink(missing_ok=True)
    write_json(mark, dict(wanted=wanted, tokenizer=None))
    report("training a tokenizer" if "tokenizer_from" not in wanted else
           f"taking the tokenizer of {wanted['tokenizer_from']['path']}")
    tokenizer = make()
    write_json(mark, dict(wanted=wanted, tokenizer=tokenizer.fingerprint))
    tokenizer.save(path)
    return tokenizer


UNFINISHED = "unfinished.json"


def _ours(folder: Path) -> bool:
    """Whether a folder is empty, or was left so by an earlier `prepare`,
    whose mark comes before any file that a user could have as well."""
    inside = {path.name for path in folder.iterdir()} \
        if folder.is_dir() else set()
    if inside <= {LOCK, f"{UNFINISHED}.partial"}:
        return True
    mark = read_json(folder / UNFINISHED, ("wanted", "tokenizer"))
    return bool(mark) and ("tokenizer.json" not in inside
                           or mark["tokenizer"] is not None)
