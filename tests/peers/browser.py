"""A real Chromium, driven over its own protocol. The package of the system holds it; nothing is downloaded."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright

from tests.peers.processes import PeerMissing

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
WIDE = {"width": 1200, "height": 800}
NARROW = {"width": 390, "height": 844}

# Not every version writes violations of the policy to the console, so they are also asked of the page itself.
_WATCH = """
window.__violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.__violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""


@dataclass
class Visitor:
    """One person's browser: its cookies, its page, and everything that went wrong there."""

    context: BrowserContext
    page: Page
    faults: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def note(self, kind: str, text: str) -> None:
        """A message of the console; a page that is refused is no fault of the page."""
        if kind == "error" and not text.startswith("Failed to load resource"):
            self.faults.append(f"console: {text}")

    def violations(self) -> list[str]:
        """What the policy of the page that is shown has blocked."""
        return [str(one) for one in self.page.evaluate("window.__violations || []")]

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window; 0 if it fits."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))

    def text(self) -> str:
        """What is shown of the page, as a reader has it."""
        return self.page.inner_text("body")


class Browser:
    """Starts Chromium with a profile of its own. Raises PeerMissing."""

    def __init__(self) -> None:
        program = shutil.which("chromium")
        if program is None:
            raise PeerMissing("chromium is not installed (scripts/peers installs it)")
        self._folder = tempfile.TemporaryDirectory(prefix="ph-chromium-", ignore_cleanup_errors=True)
        self._playwright: Playwright = sync_playwright().start()
        self._chromium: Chromium = self._playwright.chromium.launch(
            executable_path=program, args=_FLAGS, headless=True, env={"HOME": self._folder.name, "TZ": "UTC"}
        )

    def visitor(
        self,
        *,
        viewport: Mapping[str, int] = WIDE,
        dark: bool = False,
        script: bool = True,
        ca: Path | None = None,
    ) -> Visitor:
        """Another person, with no cookie yet. With ``ca`` certificates are not compared: the test has its own."""
        context = self._chromium.new_context(
            viewport={"width": viewport["width"], "height": viewport["height"]},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            ignore_https_errors=ca is not None,
            locale="en-GB",
        )
        context.set_default_timeout(20_000)
        if script:
            context.add_init_script(_WATCH)
        page = context.new_page()
        visitor = Visitor(context, page)
        page.on("pageerror", lambda error: visitor.faults.append(f"error: {error}"))
        page.on("console", lambda said: visitor.note(said.type, said.text))
        page.on("request", lambda request: visitor.asked.append(request.url))
        return visitor

    def close(self) -> None:
        """Ends the browser and forgets its profile."""
        self._chromium.close()
        self._playwright.stop()
        self._folder.cleanup()
