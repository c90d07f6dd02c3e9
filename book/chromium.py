"""A real Chromium, found on this machine or installed on it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome",
         "google-chrome-stable", "chrome")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def launch(playwright):
    """Start a browser: the system's, or Playwright's, or one installed for
    the purpose; None where nothing helps."""
    chrome = _find(playwright)
    for command in () if chrome else _installers():
        try:
            subprocess.run(command, timeout=300, capture_output=True)
        except subprocess.TimeoutExpired:
            continue
        if chrome := _find(playwright):
            break
    return chrome and playwright.chromium.launch(executable_path=chrome)


def _find(playwright) -> str | None:
    found = [shutil.which(name) for name in NAMES]
    found += [str(MAC), playwright.chromium.executable_path]
    return next((f for f in found if f and Path(f).exists()), None)


def _installers():
    """Playwright's own download, then the system's package."""
    yield [sys.executable, "-m", "playwright", "install", "chromium"]
    if shutil.which("apt-get") and os.geteuid() == 0:
        yield ["apt-get", "update", "-qq"]
        yield ["apt-get", "install", "-y", "-qq",
               "--no-install-recommends", "chromium"]
