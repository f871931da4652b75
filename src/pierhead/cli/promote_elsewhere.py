"""``pierhead promote … --to https://OTHER/REPOSITORY``: an image goes to another installation, digest unchanged."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from pierhead.cli.carry.cargo import Cargo, Remote, present
from pierhead.cli.carry.registry import Registry
from pierhead.cli.carry.sending import Sending
from pierhead.cli.carry.sessions import Sessions
from pierhead.cli.carry.taken import refuse_taken
from pierhead.cli.client import Client, Fault, Json
from pierhead.cli.credentials import kept_for
from pierhead.cli.tables import counted, human_size
from pierhead.cli.talk import Talk, named
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.refusals import Refusal

USER: Final = "PIERHEAD_TO_USER"
PASSWORD: Final = "PIERHEAD_TO_PASSWORD"


def promote_elsewhere(
    talk: Talk, parts: tuple[str, str, str], to: str, source: str | None, tags: tuple[str, ...], *, dry_run: bool
) -> None:
    """``parts`` are image, tag and digest as they were said. Raises Fault."""
    image, tag, digest = parts
    if not tag and not digest:
        raise Fault(f"Say which tag or digest of {image}, as in {image}:1.0.0.")
    server, repository = _address(to)
    there = _client(server, os.environ)
    origin, cargo, root = _gathered(talk, parts, source)
    cargo.tags |= dict.fromkeys(_tags(tags or ((tag,) if tag else ())), root)
    name = origin.name.partition("/")[2]
    registry = Registry(there)
    refuse_taken(there, registry, repository, name, cargo.tags, "--as TAG")
    sending = Sending(registry, f"{repository}/{name}", origin, Sessions(os.environ))
    told: Json = {
        "image": name,
        "from": {"server": talk.client.server, "repository": origin.name.partition("/")[0]},
        "to": {"server": server, "repository": repository},
        "tags": sorted(one for one in cargo.tags if not one.is_fallback),
        "digest": root,
        "manifests": len(cargo.items),
        "referrers": sum(1 for one in cargo.items if one.subject is not None)
        + sum(1 for one in cargo.tags if one.is_fallback),
    }
    if dry_run:
        missing = sending.missing(cargo)
        told |= {"blobs_to_send": len(missing), "bytes_to_send": sum(one.size for one in missing)}
    else:
        sending.carry(cargo, "promote")
        sent = sending.sent
        told |= {
            "blobs_sent": sent.blobs, "blobs_mounted": sent.mounted, "blobs_there": sent.there,
            "bytes_sent": sent.bytes, "bytes_resumed": sent.resumed_bytes,
        }  # fmt: skip
    if talk.as_json:
        talk.print_json(told)
    else:
        _say(told, dry_run)


def _gathered(talk: Talk, parts: tuple[str, str, str], source: str | None) -> tuple[Remote, Cargo, Digest]:
    """The image with all that refers to it, and its digest. Raises Fault."""
    image, tag, digest = parts
    where = named(talk, f"{image}@{digest}" if digest and not tag else f"{image}:{tag}", source)
    try:
        name = ImageName.parse(where.image)
    except Refusal as refusal:
        raise Fault(refusal.message) from None
    origin = Remote(Registry(talk.client), f"{where.repository}/{name}")
    root = origin.registry.manifest(origin.name, tag or digest)
    if root is None:
        raise Fault(f"{where} is not there. `pierhead tags {where.repository}/{name}` lists what is.")
    if digest and root.digest != digest:
        raise Fault(f"{where} is {root.digest} by now, and not {digest}. Nothing was sent.")
    cargo = origin.gather(root.digest, root.media_type, None, referrers=True)
    present(cargo, lambda one: origin.blob_size(one) is not None)
    return origin, cargo, root.digest


def _address(to: str) -> tuple[str, str]:
    """``https://HOST[/PREFIX]/REPOSITORY`` in its two parts. Raises Fault."""
    server, _, repository = to.rstrip("/").rpartition("/")
    parts = urlsplit(server)
    try:
        if parts.scheme in ("http", "https") and parts.hostname and not parts.username:
            return server, RepositoryName.parse(repository)
    except (Refusal, ValueError):
        pass
    raise Fault(f"`{to}` names no repository of another server: it looks like https://HOST/docker-hosted.")


def _client(server: str, environment: Mapping[str, str]) -> Client:
    """With the account of PIERHEAD_TO_USER, or else with what ``pierhead login`` keeps for that server. Raises
    Fault."""
    user = environment.get(USER)
    if user:
        return Client(server, user, environment.get(PASSWORD))
    kept = kept_for(server, environment)
    if kept is None:
        how = f"run `pierhead login --server {server}`, or set {USER} and {PASSWORD}"
        raise Fault(f"{server} wants a login of its own: {how}.")
    return Client(server, kept.account, kept.token)


def _tags(texts: tuple[str, ...]) -> list[Tag]:
    try:
        return [Tag.parse(text) for text in texts]
    except Refusal as refusal:
        raise Fault(refusal.message) from None


def _say(told: Json, dry_run: bool) -> None:
    there = told["to"]
    tags = ", ".join(told["tags"]) or "no tag"
    print(f"{told['image']} {tags}: {told['from']['repository']} -> {there['server']}/{there['repository']}")
    print(f"  digest   {told['digest']}")
    print(f"  with it  {counted(told['manifests'], 'manifest')}, {told['referrers']} of them signatures and the like")
    if dry_run:
        print(f"  to send  {human_size(told['bytes_to_send'])} in {counted(told['blobs_to_send'], 'blob')}")
        print("Nothing was sent. The other server judges names, tags and rights when it is.", file=sys.stderr)
        return
    words = [f"{human_size(told['bytes_sent'])} sent in {counted(told['blobs_sent'], 'blob')}"]
    if told["bytes_resumed"]:
        words.append(f"{human_size(told['bytes_resumed'])} were there from the last time")
    if told["blobs_there"] + told["blobs_mounted"]:
        words.append(f"{told['blobs_there'] + told['blobs_mounted']} blobs were there")
    print(f"  moved    {', '.join(words)}")
