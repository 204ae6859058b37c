"""A real browser for tests of pages: Debian's headless Chromium, which opens files and has no
network."""

import base64
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Browser", "find_browser", "open_browser"]

_PAGE_LOAD_S = 120
_COLOURS = {"light": "light", "dark": "dark"}


class Browser:
    """One browser window. `driver`: selenium's."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path) -> None:
        """Show a file, and wait until its script is ready."""
        self.driver.get(page.resolve().as_uri())
        self.wait_until("return document.documentElement.dataset.ready === 'true'")

    def run(self, script: str, *arguments: Any) -> Any:
        """The value that a script returns."""
        return self.driver.execute_script(script, *arguments)

    def wait_until(self, script: str, *arguments: Any) -> None:
        """Until a script returns something true; fails with the page's messages."""
        from selenium.common.exceptions import TimeoutException
        from selenium.webdriver.support.ui import WebDriverWait

        try:
            WebDriverWait(self.driver, 60).until(lambda _driver: self.run(script, *arguments))
        except TimeoutException:
            raise AssertionError(f"never: {script}; the page says: {self.messages()}") from None

    def messages(self) -> list[str]:
        """What the page complained of since it was last asked: errors, and what its policy
        refused."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def choose_colours(self, scheme: str) -> None:
        """`light` or `dark`, as the user's system asks for."""
        features = [{"name": "prefers-color-scheme", "value": _COLOURS[scheme]}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def draw_all(self) -> None:
        """Scroll to each chart, so that it is drawn."""
        for figure in self.driver.find_elements("css selector", "figure.chart"):
            self.run("arguments[0].scrollIntoView({block: 'center'})", figure)
            drawn = "return arguments[0].querySelector('.numbers').childElementCount > 0"
            self.wait_until(drawn, figure)

    def capture(self, target: Path, *, top: int = 0, height: int | None = None) -> None:
        """A picture as PNG: of the whole page, or of so many pixels below `top`."""
        whole = (
            "return [document.documentElement.clientWidth, document.documentElement.scrollHeight]"
        )
        width, most = self.run(whole)
        clip = {"x": 0, "y": top, "width": width, "height": height or most - top, "scale": 1}
        options = {"captureBeyondViewport": True, "format": "png", "clip": clip}
        taken = self.driver.execute_cdp_cmd("Page.captureScreenshot", options)
        target.write_bytes(base64.b64decode(taken["data"]))

    def print_page(self, target: Path) -> None:
        """The page as it is printed, as PDF."""
        printed = self.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
        target.write_bytes(base64.b64decode(printed["data"]))


def find_browser() -> tuple[str, str] | None:
    """Chromium and its driver; None where they are not installed."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    return (chromium, chromedriver) if chromium and chromedriver else None


@contextmanager
def open_browser(*, width: int = 1280, height: int = 900) -> Iterator[Browser]:
    """A browser, until the context ends. Skips where there is none: scripts/setup.sh test installs
    it."""
    if (programs := find_browser()) is None:
        pytest.skip("needs Debian's chromium and chromium-driver: scripts/setup.sh test")
    chromium, chromedriver = programs
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = chromium
    for word in (
        "--headless=new",
        "--no-sandbox",  # tests run as root, for which Chromium has no sandbox
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--window-size={width},{height}",
    ):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # Chromium leaves files behind where it thinks that temporary ones belong.
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as folder:
        service = Service(chromedriver, env={**os.environ, "TMPDIR": folder})
        driver = Chrome(options=options, service=service)
        try:
            driver.set_page_load_timeout(_PAGE_LOAD_S)
            yield Browser(driver)
        finally:
            driver.quit()
