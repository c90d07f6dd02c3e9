"""`course export`: a trained model in the forms that others read."""

from pathlib import Path

from course_lib.cli.reading import is_hugging_face


def export(options) -> None:
    """Write the model in Hugging Face's format or as a page, and publish it.
    """
    from course_lib.runs import open_run
    from course_lib.sharing.own_page import NAME, write_page
    if options.to == "":
        raise ValueError("--to needs the name of a folder, not an empty one")
    if not options.to and not options.page:
        raise ValueError("say what to write: --to DIR, --page or both")
    if (options.private or options.dry_run) and not options.push:
        raise ValueError("--private and --dry-run go with --push OWNER/NAME")
    if (options.gguf or options.push or options.precision) \
            and not options.to:
        raise ValueError("--gguf, --push and --precision go with --to DIR")
    source = options.folder
    if not is_hugging_face(source):
        source = open_run(source)
    elif options.license:
        raise ValueError(f"{source} has its licence in its README.md: name "
                         "it there, and leave out --license")
    if options.to:
        export_folder(source, options)
    if options.page:
        path = write_page(source, Path(options.to or options.folder, NAME),
                          licence=options.license)
        print(f"{path}: {path.stat().st_size:,} bytes, open it with a "
              "browser")


def export_folder(source, options) -> None:
    """What `export` does with a folder: write it, publish it."""
    from course_lib.runs import Run
    from course_lib.sharing import publish
    from course_lib.sharing.gguf_file import GGUF
    target = Path(options.to)
    if options.push:
        publish.check_name(options.push)
    new = publish.export_run(
        source, target, options.license, options.push, options.gguf,
        options.precision or "float32") if isinstance(source, Run) else \
        publish.export_folder(source, target, options.push, options.gguf,
                              options.precision)
    if new:
        print(f"{target}: load it with transformers' AutoModelForCausalLM "
              "and AutoTokenizer")
    elif options.license:
        raise ValueError(f"{target} holds this model already: name the "
                         "licence in its README.md, or choose a new folder")
    else:
        print(f"{target} holds this model already"
              + (", and was left as it is" if not options.gguf else ""))
    if options.gguf:
        print(f"{target / GGUF}: load it with llama.cpp")
    if options.push:
        publish_folder(target, options)


def publish_folder(target: Path, options) -> None:
    """Push a folder that was written, or say what would be pushed."""
    from course_lib.sharing.publish import exported_files, push
    page = push(target, options.push, options.private, options.dry_run)
    for path in exported_files(target) if options.dry_run else ():
        print(f"would upload {path.name}: {path.stat().st_size:,} bytes")
    print(f"{'would publish at' if options.dry_run else 'published'} {page}")
