"""``pierhead ci init``: a project's .gitlab-ci.yml, from the catalogue of services. Asks no server."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from pierhead.cli.client import Fault
from pierhead.cli.replacing import replaceable
from pierhead.cli.tables import clean
from pierhead.domain.catalogue import NEAR_MAX, Catalogue, Service
from pierhead.domain.names import ImageName
from pierhead.domain.refusals import NameInvalid, shown
from pierhead.domain.tagging import BUILT_IN, Strategy, TagRule

BUILDERS: Final = ("buildah", "docker", "kaniko")
_SHOWN_MAX: Final = 30


@click.command()
@click.argument("service", required=False)
@click.option("--builder", type=click.Choice(BUILDERS), default="buildah", show_default=True,
              help="What builds the image.")  # fmt: skip
@click.option("--templates", envvar="PIERHEAD_CI_TEMPLATES", show_envvar=True, default="platform/ci-templates",
              show_default=True, metavar="PROJECT",
              help="The project with .gitlab-ci-common.yml, or a file of this project: ci/common.yml.")  # fmt: skip
@click.option("--config", envvar="PIERHEAD_CONFIG", show_envvar=True, metavar="FILE", type=click.Path(path_type=Path),
              help="The file with `services` and `tags`.")  # fmt: skip
@click.option("--file", "path", type=click.Path(path_type=Path, dir_okay=False), default=Path(".gitlab-ci.yml"),
              show_default=True, metavar="FILE", help="What is written.")  # fmt: skip
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="A line for people, or JSON for programs.")  # fmt: skip
def init(
    service: str | None, builder: str, templates: str, config: Path | None, path: Path, force: bool, form: str
) -> None:
    """Write .gitlab-ci.yml for SERVICE: its name, its image, or the number of its project, which is CI_PROJECT_ID if
    none is given.

    What stands in the catalogue is known by any of these; without a catalogue, give the image.
    """
    try:
        tags, services = _read(config)
        found = chosen(services, service or os.environ.get("CI_PROJECT_ID", ""))
        _write(path, pipeline(found, builder, templates, tags), force)
    except Fault as fault:
        print(fault.line, file=sys.stderr)
        sys.exit(1)
    done = {
        "file": str(path),
        "service": found.name or None,
        "image": found.image,
        "project_id": found.project_id or None,
        "builder": builder,
        "templates": templates,
    }
    if form == "json":
        print(json.dumps(done, ensure_ascii=False))
        return
    whose = f" of {found.name}" if found.name else ""
    project = f", GitLab project {found.project_id}" if found.project_id else ""
    print(f"Wrote {clean(path)}: builds {found.image}{whose} with {builder}{project}; jobs from {clean(templates)}.")


def _read(config: Path | None) -> tuple[Strategy, Catalogue]:
    if config is None:
        return BUILT_IN, Catalogue()
    from pierhead.boot.config_faults import ConfigFaults
    from pierhead.boot.config_tags import load_release

    try:
        found = load_release(config)
    except ConfigFaults as faults:
        for line in faults.lines:
            print(line, file=sys.stderr)
        sys.exit(2)
    return found.tags, found.services


def chosen(services: Catalogue, word: str) -> Service:
    """The service that ``word`` names: by name, image or project. Raises Fault, naming those that may be meant."""
    known = ", ".join([*services][:_SHOWN_MAX]) + (", …" if len(services) > _SHOWN_MAX else "")
    if not word:
        there = f"one of {known}" if services else "the image, such as orchestrator/server"
        raise Fault(f"Which service is not known: name {there}.")
    found = services.get(word) or services.of_image(word) or services.of_project(word) or services.called(word)
    if found is not None:
        return found
    if services:
        from pierhead.boot.config_faults import did_you_mean

        near = [f" Did you mean {one.image}?" for one in services.near(word, NEAR_MAX)][:1]
        hint = "".join(near) or did_you_mean(word, services) or f" There are {known}."
        raise Fault(f"`{shown(word)}` is no service, image or project of the catalogue.{hint}")
    if "/" not in word:
        raise Fault(f"`{shown(word)}` is looked up in a catalogue: name the file that has `services` with --config.")
    try:
        return Service(name="", image=ImageName.parse(word))
    except NameInvalid as refusal:
        raise Fault(refusal.message) from None


def pipeline(service: Service, builder: str, templates: str, tags: Strategy) -> str:
    """The text of the file."""
    head = [
        f"# Written by `pierhead ci init {service.name or service.image}`: change it as you like.",
        "#",
        "# What it builds is tagged by what happens in Git:",
        *(f"#   {told}" for told in map(_in_words, tags.rules)),
        "",
        "include:",
    ]
    local = templates.endswith((".yml", ".yaml"))
    head += [f"  - local: {templates}"] if local else [f"  - project: {templates}", "    file: .gitlab-ci-common.yml"]
    about = f"  # service {service.name}" if service.name else ""
    about += f", GitLab project {service.project_id}" if service.project_id else ""
    return "\n".join(
        [
            *head,
            "",
            "variables:",
            f"  IMAGE_NAME: {service.image}{about}",
            f"  NEXUS_IMAGE_NAME: {service.image}",
            "",
            "# The image that jobs run in; it has pierhead and the builder.",
            "# default:",
            "#   image: $NEXUS_REGISTRY_PULL/…",
            "",
            "stages: [build, scan, promote, deploy]",
            "",
            *_JOBS[builder],
            *_AFTER,
        ]
    )


def _in_words(rule: TagRule) -> str:
    about = [f"branch {one}" for one in rule.branch.texts] + [
        f"merge request from {one}" for one in rule.merge_request.texts
    ]
    about += [f"Git tag {one}" for one in rule.tag]
    return f"{', '.join(about)}: {', '.join([*rule.names, *rule.moving])}"


_JOBS: Final[Mapping[str, tuple[str, ...]]] = {
    "buildah": ("build:", "  extends: .pierhead-build-buildah", "  stage: build", ""),
    "docker": ("build:", "  extends: .pierhead-build-docker", "  stage: build", ""),
    "kaniko": (
        "tags:",
        "  extends: .pierhead-tags-kaniko",
        "  stage: .pre",
        "",
        "build:",
        "  extends: .pierhead-build-kaniko",
        "  stage: build",
        "",
    ),
}
_AFTER: Final = (
    "scan:",
    "  extends: .pierhead-scan",
    "  stage: scan",
    "",
    "# Versions only.",
    "promote:",
    "  extends: .pierhead-promote",
    "  stage: promote",
    "  rules:",
    "    - if: $CI_COMMIT_TAG",
    "      when: manual",
    "",
    "# What rolls it out goes into DEPLOY, with the image in $$IMAGE.",
    "deploy:",
    "  extends: .pierhead-deploy",
    "  stage: deploy",
    "  rules:",
    "    - if: $CI_COMMIT_TAG",
    "      when: manual",
    "",
)


def _write(path: Path, text: str, force: bool) -> None:
    """Whole or not at all. Raises Fault."""
    try:
        replaceable(path)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(name, 0o644)
            if force:
                os.replace(name, path)
            else:
                os.link(name, path)  # refused if it is there, by whomever and whenever it was made
        finally:
            Path(name).unlink(missing_ok=True)
    except FileExistsError:
        raise Fault(
            f"{clean(path)} is there and stays as it is. Write over it with --force, or name another --file."
        ) from None
    except OSError as error:
        raise Fault(f"{clean(path)} cannot be written: {error.strerror}. Name another with --file.") from None
