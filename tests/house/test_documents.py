"""Documents are under contract: what they point to is there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.house.tree import ROOT, at, listed, project_files, text_of

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|!\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


def anchors_of(text: str) -> set[str]:
    """The names that a forge gives to headings: small letters, spaces to hyphens, other marks dropped."""
    words = (re.sub(r"[`*]", "", heading).lower() for heading in _HEADING.findall(_CODE.sub("", text)))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in words}


def broken_links(path: Path, text: str) -> list[str]:
    """Links of a document to files or headings that do not exist; links to other sites are not followed."""
    found = []
    for first, second in _LINK.findall(_CODE.sub("", text)):
        link = first or second
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists():
            found.append(f"{at(path)}: {link}: no such file")
        elif anchor and target.suffix == ".md" and anchor not in anchors_of(target.read_text()):
            found.append(f"{at(path)}: {link}: no such heading")
    return found


def test_links_in_documents_lead_somewhere() -> None:
    found = []
    for path in project_files():
        if path.suffix == ".md":
            found += broken_links(path, text_of(path) or "")
    assert not found, listed(found, "a reader who meets a dead link trusts the next sentence less")


def test_a_dead_link_is_noticed() -> None:
    text = "# A `b` c\n[good](#a-b-c) [bad](#nowhere) [also bad](no/such.md) [far](https://example.org/x)\n"
    readme = ROOT / "pyproject.toml"  # any file that is there: its folder is what counts
    assert [line.split(": ")[1] for line in broken_links(readme, text) if "no such file" in line] == ["no/such.md"]
    assert anchors_of(text) == {"a-b-c"}


def test_the_project_has_a_readme_and_a_licence() -> None:
    missing = [name for name in ("README.md", "LICENSE") if not (ROOT / name).is_file()]
    assert not missing
