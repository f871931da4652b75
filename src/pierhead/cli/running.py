"""``pierhead running``: what clusters run, and how they say it."""

from __future__ import annotations

import json
import sys
from typing import Final

import click

from pierhead.cli.client import Fault, Json
from pierhead.cli.nouns import Noun
from pierhead.cli.tables import Column, Look, age, ago, clean, digest, plain
from pierhead.cli.talk import Talk, talks

_CHARACTERS_MAX: Final = 32 << 20


def reported(item: Json, how: Look) -> str:
    """``silent 3 h`` where the last report is too old."""
    text = ago(item["reported"], how)
    return f"silent {text}" if item["stale"] else text


_RUNNING = (
    Column("CLUSTER", plain("cluster")),
    Column("NAMESPACE", plain("namespace"), 3),
    Column("WORKLOAD", plain("workload"), 1),
    Column("IMAGE", lambda item, how: clean(item["image"] or item["reference"])),
    Column("TAG", plain("tag"), 1),
    Column("DIGEST", digest("digest"), 2),
    Column("RUN", plain("count"), 1, right=True),
    Column("STAGES", plain("stages"), 2),
    Column("REPORTED", reported, 4),
    Column("REFERENCE", plain("reference"), 6),
)
_CLUSTERS = (
    Column("CLUSTER", plain("cluster")),
    Column("STAGE", plain("stage")),
    Column("ENTRIES", plain("entries"), 2, right=True),
    Column("REPORTED", reported),
    Column("SINCE", age("reported"), 4),
    Column("BY", plain("by"), 3),
)


@click.group(cls=Noun)
def running() -> None:
    """What clusters run."""


@running.command("list")
@click.option("--cluster", help="Only this cluster.")
@click.option("--image", help="Only this image, without its repository.")
@talks
def list_running(talk: Talk, cluster: str | None, image: str | None) -> None:
    """List what clusters run, as far as you may pull it."""
    found = talk.client.pages("running", cluster=cluster or "", image=image or "")
    talk.list(found, _RUNNING, "No cluster reports that it runs anything that you may pull.")


@running.command()
@talks
def clusters(talk: Talk) -> None:
    """List the clusters that report, and when they did last."""
    talk.list(talk.client.items("running", "clusters"), _CLUSTERS, "No cluster has reported yet.")


@running.command()
@click.option("--cluster", required=True, metavar="NAME", help="What the cluster is called.")
@click.option("--stage", help="The stage that it runs for; the last one without it.")
@click.option("--nothing", is_flag=True, help="It runs nothing; standard input is not read.")
@talks
def report(talk: Talk, cluster: str, stage: str | None, nothing: bool) -> None:
    """Say what a cluster runs; its list is replaced. It is read from standard input: what `kubectl get pods -A -o json`
    prints, or a plain list of images, one a line."""
    if not nothing and sys.stdin.isatty():
        raise Fault("Nothing is piped in: kubectl get pods -A -o json | pierhead running report --cluster NAME")
    document = {"images": []} if nothing else document_of(sys.stdin.read(_CHARACTERS_MAX + 1))
    body = {**document, "cluster": cluster, **({} if stage is None else {"stage": stage})}
    found = talk.client.send("POST", "running", body=body)
    if talk.as_json:
        talk.print_json(found)
        return
    said = "was replaced" if found["changed"] else "says the same as before"
    entries = "1 entry" if found["entries"] == 1 else f"{found['entries']} entries"
    ours = "1 is an image" if found["ours"] == 1 else f"{found['ours']} are images"
    print(f"The list of {clean(found['cluster'])} {said}: {entries}, of which {ours} of this server.")


@running.command()
@click.argument("cluster")
@talks
def forget(talk: Talk, cluster: str) -> None:
    """Forget CLUSTER and what it ran: for one that is no more."""
    found = talk.client.delete("running", cluster)
    if talk.as_json:
        talk.print_json(found)
        return
    print(f"{clean(cluster)} is forgotten.")


def document_of(text: str) -> Json:
    """The body of a report, without cluster and stage. Raises Fault."""
    if len(text) > _CHARACTERS_MAX:
        raise Fault("Standard input has more than 32 MiB. Send fewer pods at once, such as those of one namespace.")
    if not text.lstrip().startswith(("{", "[")):
        lines = [line for line in (one.split("#")[0].strip() for one in text.splitlines()) if line]
        # What lists the images may have failed, and then everything that runs would lose its protection.
        if not lines:
            raise Fault("Standard input is empty, so the list stays as it was. If nothing runs there, say --nothing.")
        return {"images": lines}
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        raise Fault("Standard input begins like JSON and is none. Was it cut off?") from None
    if isinstance(found, list):
        return {"images": found}
    if not isinstance(found, dict) or ("items" not in found and "images" not in found):
        raise Fault("Standard input is neither what `kubectl get pods -A -o json` prints nor a list of images.")
    return found
