"""A real browser without a window: Debian's chromium, driven by playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, sync_playwright

PATIENCE_SECONDS = 60


@contextmanager
def browsing() -> Iterator[Page]:
    """An empty page; at the end, a script of a page that had ended in an error fails the test.

    What is waited for may take ``PATIENCE_SECONDS``: pages draw slowly on a busy machine without a GPU.
    """
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("this test opens pages in a browser: install the Debian package chromium", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(1000 * PATIENCE_SECONDS)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        browser.close()
    assert errors == []
