"""Fixtures that several test files share, and what a skip may mean."""

import os
import shutil
import sys
from pathlib import Path

import pytest
import tiny

from course_lib.runs import open_run

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO / place) for place in
                ("book", "book/_ext", "benchmarks", "tests/training",
                 "tests/cloud")]

# Read when a chapter loads its preset.
os.environ.setdefault("COURSE_SCALE", "smoke")


def pytest_configure(config):
    """Have nbmake keep the chapters that it runs, for the build."""
    if config.option.nbmake:
        import book_builder
        from nbmake import pytest_items

        pytest_items.NotebookRun = book_builder.Kept
        if not hasattr(config, "workerinput"):  # before the workers start
            shutil.rmtree(book_builder.EXECUTED, ignore_errors=True)


def pytest_collection_modifyitems(items):
    """Long files first, so that two workers end together: the chapters, files
    with slow tests, the book, whose build wants all chapters run, the rest."""
    def rank(item):
        marks = {mark.name for mark in item.iter_markers()}
        return (0 if item.path.suffix == ".ipynb" else
                1 if "slow" in marks else 2 if "book" in marks else 3)

    ranks = {}
    for item in items:
        ranks[item.path] = min(rank(item), ranks.get(item.path, 3))
    items.sort(key=lambda item: ranks[item.path])


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the repository."""
    return REPO


@pytest.fixture(scope="module")
def quick():
    """Training without half a second for the machine's peak each time."""
    with tiny.quick_training():
        yield


@pytest.fixture
def course(capsys):
    """Run `course ...`; returns (exit code, stdout, stderr)."""
    from course_lib.cli import main as cli

    def run(*arguments):
        capsys.readouterr()
        try:
            code = cli.main([str(part) for part in arguments])
        except SystemExit as stop:  # argparse
            code = stop.code
        return code, *capsys.readouterr()
    return run


@pytest.fixture
def refuses(course):
    """Assert that a command ends in one line that says `what`."""
    def run(*arguments, what):
        code, out, err = course(*arguments)
        assert code == 2, (out, err)
        assert err.startswith("course") and err.count("\n") == 1, err
        assert what in err, err
        assert "Traceback" not in out + err
    return run


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """The folder of a tiny prepared run; not to be trained in."""
    return tiny.make_run(tmp_path_factory.mktemp("tiny")).folder


@pytest.fixture
def run(prepared, tmp_path):
    """A tiny prepared run of one's own."""
    return open_run(shutil.copytree(prepared, tmp_path / "run"))


def _excused(reason: str) -> bool:
    """Whether a skip is right where it happens: no GPU, no ../shared."""
    no_shared = not (REPO.parent / "shared").is_dir()
    return "CUDA" in reason or ("../shared" in reason and no_shared)


def _refuse_skip(report):
    """Under COURSE_NO_SKIP a test skipped without excuse has failed."""
    if not os.environ.get("COURSE_NO_SKIP"):
        return
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = str(report.longrepr[-1] if isinstance(report.longrepr, tuple)
                 else report.longrepr)
    if not _excused(reason):
        report.outcome = "failed"
        report.longrepr = f"unexpected skip: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    _refuse_skip(report)
    return report


@pytest.fixture(scope="session")
def browser():
    """A real Chromium, found or installed; skipped only without either."""
    from chromium import launch
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = launch(playwright)
        if not browser:
            pytest.skip("NO BROWSER: the pages were not looked at. Install "
                        "Chromium or Chrome and run `make pages` again.")
        yield browser
        browser.close()
