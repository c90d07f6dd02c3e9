"""`course export`: a trained run in the forms that others read."""

from pathlib import Path


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
    if (options.gguf or options.push) and not options.to:
        raise ValueError("--gguf and --push go with --to DIR")
    run = open_run(options.folder)
    if options.to:
        export_folder(run, options)
    if options.page:
        path = write_page(run, Path(options.to or options.folder, NAME),
                          licence=options.license)
        print(f"{path}: {path.stat().st_size:,} bytes, open it with a "
              "browser")


def export_folder(run, options) -> None:
    """What `export` does with a folder: write it, publish it."""
    from course_lib.sharing.gguf_file import GGUF
    from course_lib.sharing.publish import (
        check_name,
        export_run,
        exported_files,
        push,
    )
    target = Path(options.to)
    if options.push:
        check_name(options.push)
    if export_run(run, target, options.license, options.push, options.gguf):
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
    if not options.push:
        return
    page = push(target, options.push, options.private, options.dry_run)
    for path in exported_files(target) if options.dry_run else ():
        print(f"would upload {path.name}: {path.stat().st_size:,} bytes")
    print(f"{'would publish at' if options.dry_run else 'published'} {page}")
