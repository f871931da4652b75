"""``pierhead ci tags``: which tags the image of this job gets. Starts fast, and asks nobody."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from pierhead.cli.replacing import replaceable
from pierhead.domain.names import ImageName
from pierhead.domain.refusals import NameInvalid, shown
from pierhead.domain.tagging import BUILT_IN, NoTags, Strategy, pipeline_of, tags_for

IMAGE_TAG: Final = "IMAGE_TAG"
"""What later jobs read from the dotenv artifact."""
FLAGS: Final[Mapping[str, str]] = {"kaniko": "--destination", "buildah": "--tag", "docker": "--tag"}


@click.command()
@click.option("--dotenv", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help=f"Also write {IMAGE_TAG} into this file, for later jobs: its other lines stay.")  # fmt: skip
@click.option("--kaniko", is_flag=True, help="Print --destination flags for Kaniko, one a line.")
@click.option("--buildah", is_flag=True, help="Print --tag flags for buildah, one a line.")
@click.option("--docker", is_flag=True, help="Print --tag flags for docker, one a line.")
@click.option("--image", metavar="IMAGE",
              help="With these flags, the image, instead of what the CI variables say: REGISTRY/NAME.")  # fmt: skip
@click.option("--config", envvar="PIERHEAD_CONFIG", show_envvar=True, metavar="FILE",
              type=click.Path(path_type=Path), help="The file with `tags`, instead of the built-in ones.")  # fmt: skip
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), default="table", show_default=True,
              help="One tag a line, or JSON for programs.")  # fmt: skip
def tags(
    dotenv: Path | None,
    kaniko: bool,
    buildah: bool,
    docker: bool,
    image: str | None,
    config: Path | None,
    form: str,
) -> None:
    """Print the tags for the job that this runs in, one a line, the most special first.

    The job says of its branch, Git tag or merge request and of its commit in GitLab's own variables.
    """
    builders = [name for name, wanted in (("kaniko", kaniko), ("buildah", buildah), ("docker", docker)) if wanted]
    if len(builders) > 1:
        raise click.UsageError(f"--{builders[0]} and --{builders[1]} print different flags: name one of them.")
    if builders and form == "json":
        raise click.UsageError(f"-o json prints no flags: leave out --{builders[0]}.")
    try:
        strategy = _strategy(config)
        rule, made = tags_for(strategy, pipeline_of(os.environ))
        lines = list(map(str, made))
        if builders:
            where = _checked(image or image_of(os.environ))
            lines = [f"{FLAGS[builders[0]]}={where}:{tag}" for tag in made]
        if dotenv is not None:
            note(dotenv, made[0])
    except NoTags as none:
        print(none.line, file=sys.stderr)
        sys.exit(1)
    if form == "json":
        import json

        print(json.dumps({"tags": made, "moving": list(rule.moving), "rule": rule.name, IMAGE_TAG.lower(): made[0]}))
        return
    print("\n".join(lines))


def _strategy(config: Path | None) -> Strategy:
    if config is None:
        return BUILT_IN
    from pierhead.boot.config_faults import ConfigFaults
    from pierhead.boot.config_tags import load_release

    try:
        return load_release(config).tags
    except ConfigFaults as faults:
        for line in faults.lines:
            print(line, file=sys.stderr)
        sys.exit(2)


def image_of(variables: Mapping[str, str]) -> str:
    """REGISTRY/NAME from a project's CI variables. Raises NoTags where they do not say it.

    IMAGE_NAME is the project's own; NEXUS_IMAGE is what all projects inherit.
    """

    def first(*names: str) -> str:
        return next((found for name in names if (found := variables.get(name, "").strip("/"))), "")

    registry = first("NEXUS_REGISTRY_PUSH", "NEXUS_REGISTRY")
    name = variables.get("IMAGE_NAME", "").strip("/")
    if registry and name:
        return f"{registry}/{name}"
    if image := first("NEXUS_IMAGE"):
        return image
    name = name or first("NEXUS_IMAGE_NAME")
    if registry and name:
        return f"{registry}/{name}"
    missing = "NEXUS_REGISTRY, the registry's host and port" if name else "IMAGE_NAME, such as orchestrator/server"
    if not registry and not name:
        missing = "NEXUS_IMAGE, or NEXUS_REGISTRY and IMAGE_NAME"
    raise NoTags(f"Where the image goes is not known: set {missing}, or give --image.")


def _checked(image: str) -> str:
    registry, slash, name = image.partition("/")
    try:
        ImageName.parse(name)
    except NameInvalid as refusal:
        if slash and registry:
            raise NoTags(refusal.message) from None
    if not slash or not registry or not registry.isprintable() or " " in registry:
        raise NoTags(f"`{shown(image)}` is no image of a registry: write HOST:PORT/NAME.")
    return image


def note(path: Path, tag: str) -> None:
    """Puts IMAGE_TAG into a dotenv file, or makes the file. What else stands in it stays as it is, and nobody sees half
    of it. Raises NoTags."""
    target = Path(os.path.realpath(path))  # a link stays one
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        replaceable(target)
        text = _text_of(target)
        # GitLab takes no empty line.
        kept = [line for line in text.split("\n") if line.strip() and line.partition("=")[0].strip() != IMAGE_TAG]
        with beside.open("x", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            file.write("\n".join([*kept, f"{IMAGE_TAG}={tag}"]) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(beside, target.stat().st_mode & 0o7777)
        os.replace(beside, target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise NoTags(f"{path} cannot be written: {error.strerror}. Name another file with --dotenv.") from None


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
