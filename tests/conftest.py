"""Fixtures that several test files share, and what a skip may mean."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from course_lib.runs import open_run

REPO = Path(__file__).resolve().parent.parent

# Read when a chapter loads its preset.
os.environ.setdefault("COURSE_SCALE", "smoke")

CHROMES = ("chromium", "chromium-browser", "google-chrome",
           "google-chrome-stable", "chrome")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the repository."""
    return REPO


@pytest.fixture(scope="module")
def quick():
    """Training without half a second for the machine's peak each time."""
    with tiny.quick_training():
        yield


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


def _find_chrome(playwright) -> str | None:
    """A browser already on this machine: the system's or Playwright's."""
    found = [shutil.which(name) for name in CHROMES]
    found += [str(MAC), playwright.chromium.executable_path]
    return next((f for f in found if f and Path(f).exists()), None)


def _install_chrome():
    """Try Playwright's own download, then the system's package."""
    yield [sys.executable, "-m", "playwright", "install", "chromium"]
    if shutil.which("apt-get") and os.geteuid() == 0:
        yield ["apt-get", "update", "-qq"]
        yield ["apt-get", "install", "-y", "-qq",
               "--no-install-recommends", "chromium"]


@pytest.fixture(scope="session")
def browser():
    """A real Chromium, found or installed; skipped only without either."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chrome = _find_chrome(playwright)
        for command in () if chrome else _install_chrome():
            try:
                subprocess.run(command, timeout=300, capture_output=True)
            except subprocess.TimeoutExpired:
                continue
            if chrome := _find_chrome(playwright):
                break
        if not chrome:
            pytest.skip("NO BROWSER: the pages were not looked at. Install "
                        "Chromium or Chrome and run `make pages` again.")
        chromium = playwright.chromium.launch(executable_path=chrome)
        yield chromium
        chromium.close()
