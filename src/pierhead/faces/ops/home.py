"""The page at the root of the main port: what this is, the addresses, the commands to try. It needs no login and tells
nothing that a login would have to guard."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from pierhead.faces.door.ask import Answer


@dataclass(frozen=True, slots=True)
class Guide:
    """``addresses`` are (what for, host:port); ``commands`` are lines to copy; ``url`` is the main port's."""

    version: str
    url: str
    addresses: Sequence[tuple[str, str]]
    commands: Sequence[str]


_STYLE: Final = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.1rem;margin-top:2rem}
th{text-align:left;font-weight:normal;padding-right:2rem;white-space:nowrap}
pre{padding:1rem;overflow-x:auto;border:1px solid;border-radius:.4rem}
code,pre{font:14px/1.6 ui-monospace,monospace}
"""
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = (
    ("Content-Type", "text/html; charset=utf-8"),
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-cache"),
)


def home(guide: Guide) -> Answer:
    """The whole page, without scripts and without anything from elsewhere."""
    rows = "".join(
        f"<tr><th scope=row>{escape(what)}</th><td><code>{escape(where)}</code></td></tr>"
        for what, where in guide.addresses
    )
    commands = escape("\n".join(guide.commands))
    body = f"""<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content="width=device-width">
<title>Pierhead at {escape(guide.url)}</title>
<style>{_STYLE}</style>
<h1>Pierhead</h1>
<p>A registry for container images: push to one port, pull from another, everything by path on this one.</p>
<h2>Addresses</h2>
<table>{rows}</table>
<h2>Try it</h2>
<pre>{commands}</pre>
<h2>For programs</h2>
<table>
<tr><th scope=row>REST API</th><td><code>{escape(guide.url)}/api/v1/status</code></td></tr>
<tr><th scope=row>Health</th><td><code>{escape(guide.url)}/health</code></td></tr>
<tr><th scope=row>Metrics</th><td><code>{escape(guide.url)}/metrics</code></td></tr>
</table>
<p>Version {escape(guide.version)}. In a terminal: <code>pierhead status</code>.</p>
</html>
"""
    return Answer(200, _HEADERS, body.encode())
