"""`services` in a file of its own, and what `lint` reads of a configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pierhead.boot.config import ConfigFaults, load_names, parse
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.naming import Action, Naming

TOP = "repositories: {h: {type: hosted}}\n"


def test_services_may_stand_in_a_file_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "services.yaml"
    file.write_text("server: {image: a/server, project_id: 5}\nui: {image: a/ui}\n")
    text = f"{TOP}services: {json.dumps(str(file))}\nnaming: [{{near: 1}}]\n"
    found = parse(text.encode(), "c.yaml")
    assert {name: one.image for name, one in found.services.items()} == {"server": "a/server", "ui": "a/ui"}
    file.write_text("server: {image: a/server, project_id: 6}\n")
    again = parse(text.encode(), "c.yaml")
    assert again.services.of_project("6") is not None
    assert again.digest != found.digest


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        (
            "server: {image: a/b}\nui:\n  image: a/b\n",
            ["services.yaml line 3: `image: a/b` is already that of the service `server`. (ui.image)"],
        ),
        ("a: [", ["services.yaml line 1: not YAML: "]),
        ("", ["services.yaml: holds nothing. "]),
        ("- x", ["services.yaml line 1: a configuration is a mapping: "]),
        (
            "A: {image: a/b}\nb: {}\n",
            ["services.yaml line 1: `A` cannot be a service: ", "services.yaml line 2: `b` lacks `image`."],
        ),
    ],
)
def test_faults_of_that_file_name_it_and_its_lines(tmp_path: Path, content: str, faults: list[str]) -> None:
    file = tmp_path / "services.yaml"
    file.write_text(content)
    with pytest.raises(ConfigFaults) as caught:
        parse(f"{TOP}services: {json.dumps(str(file))}\nworkers: 0\n".encode(), "c.yaml")
    lines = caught.value.lines
    assert lines[-1].startswith("c.yaml line 3: ")
    for line, fault in zip(lines[:-1], faults, strict=True):
        assert line.startswith(fault)


def test_rules_are_what_the_file_says() -> None:
    text = (
        "services: {server: {image: a/server}}\n" + TOP + "naming:\n"
        '  - {name: old, pattern: ["old-{x}"], action: warn, message: "No {x}.",\n'
        '     suggestion: "a/{x}", repositories: [h]}\n'
        "  - {near: 2, action: off}\n"
    )
    found = parse(text.encode(), "c.yaml")
    assert [(rule.name, rule.action) for rule in found.naming] == [("old", Action.WARN), ("naming[1]", Action.OFF)]
    judged = Naming(found.naming, found.services).judge(RepositoryName("h"), ImageName("old-server"))
    assert judged is not None
    assert judged.sentence == "No server. Push to a/server."


def test_lint_reads_names_and_ports_and_nothing_of_another_machine(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "tls: {certificate: /no/such.crt, key: /no/such.key}\n"
        "accounts: {a: {password_file: /no/such, roles: [nobody-has-it]}}\n"
        "external_url: https://r.example.com\n"
        "vault: {address: not an address}\n"
        "repositories:\n"
        "  h: {type: hosted, listen: 127.0.0.1:8443}\n"
        "  p: {type: proxy, upstream: https://up.example.com, ca: /no/such.pem}\n"
        "services: {server: {image: a/server}}\n"
    )
    found = load_names(path)
    assert str(found.external_of(found.repositories[RepositoryName("h")])) == "r.example.com:8443"
    assert list(found.services) == ["server"]
    path.write_text("repositories: {h: {type: hosted, color: red}}\n")
    with pytest.raises(ConfigFaults):
        load_names(path)
    assert load_names(None).naming == ()
