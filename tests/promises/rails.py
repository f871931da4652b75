"""Promotion as tests ask for it: people, stages with gates, images with all that hangs on them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.peers.images import Image, Index, artifact, image, index, json_blob
from tests.peers.pierhead import Config, Pierhead, house, variable_of
from tests.peers.wire import Answer, Wire
from tests.promises.houses import DEV

API = "/api/v1/promotions"
PASSWORD = "one-for-all-of-them-1"
PEOPLE = {"anna": "promoter", "ben": "promoter", "chidi": "promoter", "dora": "publisher"}
ENVIRONMENT = {variable_of(name): PASSWORD for name in PEOPLE}
IMAGE = "orchestrator/server"
SBOM = "application/spdx+json"


def staged(uat: Sequence[object] = (), prod: Sequence[object] = (), **more: Any) -> Config:
    """The house with gates, and people of their own."""
    config = house(**more)
    config["stages"] = {
        "dev": "docker-hosted-dev",
        "uat": {"repository": "docker-hosted-uat", "gates": list(uat)},
        "prod": {"repository": "docker-hosted-prod", "gates": list(prod)},
    }
    config["accounts"] |= {name: {"password_env": variable_of(name), "roles": [role]} for name, role in PEOPLE.items()}
    return config


def as_person(server: Pierhead, name: str, port: str = "main") -> Wire:
    return server.wire(port, name, PASSWORD if name in PEOPLE else None)


def ask(
    server: Pierhead,
    image: str,
    to: str,
    who: str = "anna",
    *,
    headers: Mapping[str, str] | None = None,
    **more: object,
) -> Answer:
    """POST /promotions; `image` is IMAGE[:TAG], `from_` and `as_` stand for words of Python."""
    name, _, tag = image.partition(":")
    body: dict[str, object] = {"image": name, "to": to, **({"tag": tag} if tag else {})}
    body |= {key.rstrip("_"): value for key, value in more.items()}
    with as_person(server, who) as wire:
        sent = {"Content-Type": "application/json", **(headers or {})}
        return wire.request("POST", API, json.dumps(body).encode(), sent)


def promoted(server: Pierhead, image: str, to: str, who: str = "anna", **more: Any) -> Any:
    found = ask(server, image, to, who, **more).expect(200).json()
    assert found["state"] == "done", found
    return found


def decide(server: Pierhead, number: int, verb: str, who: str, **body: object) -> Answer:
    with as_person(server, who) as wire:
        sent = {"Content-Type": "application/json"}
        return wire.request("POST", f"{API}/{number}/{verb}", json.dumps(body).encode(), sent)


def listed(server: Pierhead, query: str = "", who: str = "admin") -> list[Any]:
    with as_person(server, who) as wire:
        return list(wire.request("GET", f"{API}{query}").expect(200).json()["items"])


def digest_at(server: Pierhead, repository: str, name: str, reference: str) -> str | None:
    """What a tag is there; None if it is not."""
    with server.wire() as wire:
        answer = wire.get_manifest(f"{repository}/{name}", reference)
        return None if answer.status == 404 else str(answer.expect(200).headers["Docker-Content-Digest"])


def push(server: Pierhead, name: str, tag: str, what: Image | Index, who: str = "admin", port: str = DEV) -> None:
    with as_person(server, who, port) as wire:
        wire.push(name, tag, what)


def three_platforms(seed: int) -> Index:
    return index(
        {
            f"linux/{architecture}": image(seed=seed + n, architecture=architecture)
            for n, architecture in enumerate(("amd64", "arm64", "riscv64"))
        }
    )


def cosign_tag(digest: str, kind: str = "sig") -> str:
    return digest.replace(":", "-") + f".{kind}"


def signature_for_tag(seed: int) -> Image:
    """As cosign 2 keeps it under a tag: an image whose layer is the signed payload, without a subject."""
    payload = artifact(payload=b"simple signing %d" % seed)
    content = json.loads(payload.manifest.data)
    del content["artifactType"]
    content["layers"][0]["mediaType"] = "application/vnd.dev.cosign.simplesigning.v1+json"
    return Image(json_blob(content, payload.manifest.media_type), payload.config, payload.layers)
