"""``pierhead lint``: wrong names, wrong ports, Docker Hub without the cache, plain passwords, before they are pushed.

No server is asked; the configuration file says what is right.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from pierhead.cli.linting.findings import ERROR, Finding, code_quality, document, once_each
from pierhead.cli.linting.reference import House
from pierhead.cli.tables import Column, Look, clean, counted, look, plain, show

_FILE_BYTES_MAX: Final = 4 * 1024 * 1024
_FILES_MAX: Final = 10_000
_SHELL: Final = (".sh", ".bash", ".env")
_YAML: Final = (".yml", ".yaml")
_LEFT_OUT: Final = frozenset({"node_modules", "vendor", "venv", "__pycache__", "build", "dist"})
_COLUMNS: Final = (
    Column("PLACE", lambda item, how: _place(item)),
    Column("CHECK", plain("check")),
    Column("SEVERITY", plain("severity"), 1),
    Column("MESSAGE", plain("message")),
)


def _place(item: dict[str, object]) -> str:
    return f"{clean(item['file'])}:{item['line']}" if item["file"] else ""


@click.command()
@click.argument("names", metavar="[NAME|FILE|FOLDER]...", nargs=-1)
@click.option("--config", envvar="PIERHEAD_CONFIG", show_envvar=True, metavar="FILE", type=click.Path(path_type=Path),
              help="The server's configuration file; without it the built-in one, which has no `naming`.")  # fmt: skip
@click.option("--variable", "variables", multiple=True, metavar="NAME=VALUE",
              help="What a variable is that the files do not set. Can be given several times.")  # fmt: skip
@click.option("-o", "--output", "form", type=click.Choice(["table", "json", "gitlab"]), default="table",
              show_default=True, help="A table, JSON for programs, or GitLab's report of code quality.")  # fmt: skip
@click.option("--code-quality", "report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Also write GitLab's report of code quality into this file.")  # fmt: skip
@click.option("--no-color", "color", is_flag=True, flag_value=False, default=True, help="Plain text.")
def lint(
    names: tuple[str, ...],
    config: Path | None,
    variables: tuple[str, ...],
    form: str,
    report: Path | None,
    color: bool,
) -> None:
    """Look for wrong names, wrong ports, images straight from Docker Hub, and plain passwords.

    Files are those of GitLab CI, Dockerfiles and shell scripts; a FOLDER is searched for them, the one that you are in
    without anything. What is no file is taken as an image's NAME. Ends with 1 if something is wrong; what is only
    warned about does not count.
    """
    from pierhead.boot.config import ConfigFaults, load_names

    known = _known(variables, os.environ)
    try:
        house = House(load_names(config))
    except ConfigFaults as faults:
        for line in faults.lines:
            print(line, file=sys.stderr)
        sys.exit(2)
    files = 0
    found: list[Finding] = []
    for name in names or (".",):
        path = Path(name)
        if not path.exists():
            if _like_a_file(path):
                raise click.UsageError(f"{name}: there is no such file.")
            found += house.bare_name(name)
            continue
        for file in _files(path):
            files += 1
            found += in_file(file, house, known)
    listed = once_each(found)
    _tell(listed, form, color, files)
    if report is not None:
        try:
            report.write_text(json.dumps(code_quality(listed), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise click.UsageError(f"{report}: cannot be written: {(error.strerror or 'unknown').lower()}.") from None
    sys.exit(1 if any(one.severity == ERROR for one in listed) else 0)


def _known(given: tuple[str, ...], environment: Mapping[str, str]) -> dict[str, str]:
    """In a job, what GitLab set for it counts as well."""
    known = {name: value for name, value in environment.items() if name.startswith(("CI_", "NEXUS_"))}
    known = known if "GITLAB_CI" in environment else {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name.isidentifier():
            raise click.UsageError(f"--variable {one}: write NAME=VALUE.")
        known[name] = value
    return known


def _like_a_file(path: Path) -> bool:
    return (
        path.suffix in (*_YAML, *_SHELL)
        or path.name.startswith(("Dockerfile", "Containerfile", "."))
        or path.is_absolute()
    )


def _files(path: Path) -> Iterator[Path]:
    """The file itself; of a folder those that are known by their names, in their order."""
    if not path.is_dir():
        yield path
        return
    count = 0
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(
            one for one in folders if one not in _LEFT_OUT and (not one.startswith(".") or one == ".gitlab")
        )
        for name in sorted(files):
            if _kind(name, "") is not None:
                count += 1
                if count > _FILES_MAX:
                    raise click.UsageError(f"{path} holds more than {_FILES_MAX} files. Name a folder inside.")
                yield Path(os.path.normpath(Path(folder) / name))


def _kind(name: str, text: str) -> str | None:
    """``yaml``, ``dockerfile`` or ``shell``; None for what is known neither by its name nor by how it begins."""
    if name.endswith(_YAML):
        return "yaml"
    if name.startswith(("Dockerfile", "Containerfile")) or name.lower().endswith(".dockerfile"):
        return "dockerfile"
    if name.endswith(_SHELL) or name == ".env" or (text.startswith("#!") and "sh" in text.partition("\n")[0]):
        return "shell"
    return None


def in_file(path: Path, house: House, known: Mapping[str, str]) -> Iterator[Finding]:
    """What is found in one file, whose bytes need not be text. Raises UsageError if it cannot be read."""
    from pierhead.cli.linting.ci_file import ci_file
    from pierhead.cli.linting.scripts import dockerfile, shell

    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise click.UsageError(f"{path}: cannot be read: {(error.strerror or 'unknown error').lower()}.") from None
    if len(content) > _FILE_BYTES_MAX or b"\0" in content:
        return
    text = content.decode("utf-8-sig", "replace")
    kind = _kind(path.name, text) or "shell"
    read = {"yaml": ci_file, "dockerfile": dockerfile, "shell": shell}[kind]
    for one in read(text, house, dict(known)):
        yield replace(one, file=path.as_posix())


def _tell(found: Sequence[Finding], form: str, color: bool, files: int) -> None:
    if form == "json":
        print(json.dumps(document(found), ensure_ascii=False))
    elif form == "gitlab":
        print(json.dumps(code_quality(found), indent=1))
    else:
        how: Look = look(color, None)
        where = f" in {counted(files, 'file')}" if files else ""
        show(_COLUMNS, document(found)["items"], how, f"Nothing was found{where}.")
