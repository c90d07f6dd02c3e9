"""Models and texts by the names that are typed: a run's folder, or one in
Hugging Face's format."""

from pathlib import Path


def is_run(folder) -> bool:
    """Whether a run was prepared in a folder."""
    return Path(folder, "run.json").is_file()


def is_hugging_face(folder) -> bool:
    """Whether a folder that is no run holds a model in that format."""
    return not is_run(folder) and Path(folder, "config.json").is_file()


def read_model(folder, device: str | None = None):
    """(model, tokenizer, run) of a run's folder, or of a folder in Hugging
    Face's format, where the run is None; the model is on the device, by
    default the best there is. Weights that were stored in 16 bits are not
    computed with in 16 bits."""
    from course_lib.machine.device import choose_device
    from course_lib.runs import open_run
    from course_lib.sharing.hugging_face import load_hf
    device = device or choose_device()
    if is_hugging_face(folder):
        model, tokenizer = load_hf(folder)
        if model.head.dtype.itemsize < 4:
            model = model.float()
        return model.to(device), tokenizer, None
    run = open_run(folder)
    return run.model(device), run.tokenizer, run


def begun(options, run):
    """The run, to begin with the weights of --from where that is given.
    Raises ValueError where they do not fit."""
    if options.begin is None:
        return run
    if options.model:
        raise ValueError("--from and --model both say what to begin with: "
                         "leave one out")
    model, tokenizer, _ = read_model(options.begin, "cpu")
    return run.begin_from(model, tokenizer, options.begin)


def texts_to_evaluate(paths: list[str], held_out: bool = False):
    """The documents of files and folders, or of any corpus; a run's held-out
    ones where a run is named. With `held_out` only those that their hash
    holds out of any training."""
    from course_lib.measuring.evaluation import documents
    from course_lib.runs import open_run
    from course_lib.text.corpus import load_corpus
    from course_lib.text.split import is_validation
    if len(paths) == 1 and is_run(paths[0]):
        run = open_run(paths[0])
        return documents(run.val_tokens, run.tokenizer)
    texts = load_corpus(*paths).texts()
    return filter(is_validation, texts) if held_out else texts
