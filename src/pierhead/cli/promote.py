"""``pierhead promote``: an image goes from one stage to the next, or a stage goes back."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import click

from pierhead.cli.client import Client, Fault, Json
from pierhead.cli.promotion_words import end_of, gate_lines, head_of, plan_lines, result_lines
from pierhead.cli.talk import Talk, talks

_PAUSE_SECONDS = 2.0


@click.command()
@click.argument("reference", metavar="IMAGE[:TAG][@DIGEST]")
@click.option(
    "--to",
    required=True,
    metavar="STAGE|REPOSITORY|URL",
    help="Where it goes; URL is https://OTHER/REPOSITORY of another server.",
)
@click.option("--from", "source", metavar="STAGE|REPOSITORY", help="Where it is; the stage before without it.")
@click.option("--as", "tags", multiple=True, metavar="TAG", help="The tag that it gets there; repeatable.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done, and what each gate says.")
@click.option("--back", is_flag=False, flag_value="", metavar="[TAG|DIGEST]",
              help="The stage goes back to what it was under TAG; to what it was before, without one.")  # fmt: skip
@click.option("--empty", is_flag=True, help="The stage holds nothing of IMAGE any more; its tags stay there.")
@click.option("--follow-referrers", is_flag=True, help="Signatures and reports that come later go there too.")
@click.option("--comment", metavar="TEXT", help="Why; kept in the record.")
@click.option("--wait", is_flag=True, help="Wait until it is approved or rejected.")
@talks
def promote(
    talk: Talk, reference: str, to: str, source: str | None, tags: tuple[str, ...], dry_run: bool, back: str | None,
    empty: bool, follow_referrers: bool, comment: str | None, wait: bool,
) -> None:  # fmt: skip
    """Promote an image, digest and all that belongs to it unchanged: every platform, signatures, SBOMs, attestations.

    No bytes are copied, whatever its size. With a digest behind the tag, it is refused if the tag is another by now.
    The same command again does nothing more. To go back, name the image alone and say --back; for a service that is no
    more, --empty.

    To a URL, what is missing there is copied, with the login that `pierhead login --server https://OTHER` keeps, or
    PIERHEAD_TO_USER and PIERHEAD_TO_PASSWORD; broken off, the same command goes on where it stopped.
    """
    image, tag, digest = parts_of(reference)
    if empty:
        if tag or digest or source or tags or dry_run or back is not None or follow_referrers or wait or "://" in to:
            raise Fault(f"With --empty go IMAGE, --to and --comment: pierhead promote {image} --to {to} --empty.")
        _empty(talk, image, to, comment)
        return
    if "://" in to:
        from pierhead.cli.promote_elsewhere import promote_elsewhere

        if back is not None or follow_referrers or comment or wait:
            raise Fault(
                "To another server go --from, --as and --dry-run alone; gates and approvals are asked for there."
            )
        promote_elsewhere(talk, (image, tag, digest), to, source, tags, dry_run=dry_run)
        return
    body: Json = {"image": image, "to": to}
    given = {"tag": tag, "digest": digest, "from": source, "comment": comment, "as": list(tags)}
    body |= {name: value for name, value in given.items() if value}
    if back is not None:
        if tag or digest:
            raise Fault(f"Name the image alone to go back: pierhead promote {image} --to {to} --back {tag or digest}.")
        body |= {"back": True, **({"back_to": back} if back else {})}
    elif not tag and not digest:
        raise Fault(f"Say which tag or digest of {image}, as in {image}:1.0.0.")
    body |= {"dry_run": True} if dry_run else {}
    body |= {"follow_referrers": True} if follow_referrers else {}
    try:
        found = _send(talk.client, body)
    except Fault as fault:
        if not talk.as_json and fault.problem is not None:
            for line in gate_lines((fault.problem.get("about") or {}).get("gates") or ()):
                print(line)
        raise
    if dry_run:
        _show_plan(talk, found)
        return
    if wait and found["state"] == "waiting":
        found = wait_for(talk.client, found, time.sleep)
    _show_result(talk, found)


def _send(client: Client, body: Json) -> Json:
    """``IMAGE`` may begin with the repository that it is in, as it does for other commands; nobody is asked for that
    until the image is not found under the whole name. Raises Fault."""
    try:
        return client.send("POST", "promotions", body=body)
    except Fault as fault:
        first, _, rest = body["image"].partition("/")
        unknown = (fault.problem or {}).get("code") in ("manifest_unknown", "name_refused")
        if not unknown or not rest or not any(one["name"] == first for one in client.items("repositories")):
            raise
        if body.get("from", first) != first:
            raise
        return client.send("POST", "promotions", body={**body, "image": rest, "from": first})


def _empty(talk: Talk, image: str, to: str, comment: str | None) -> None:
    body: Json = {"image": image, "to": to, "empty": True, **({"comment": comment} if comment else {})}
    found = talk.client.send("POST", "promotions", body=body)
    if talk.as_json:
        talk.print_json(found)
        return
    where, held = end_of(found["to"]), found["held"]
    if held is None:
        print(f"{where} holds nothing of {image}.")
        return
    print(f"{where} holds nothing of {image} any more; before {held['tag'] or held['digest']}. Its tags stay.")
    print(f"To put it back:  pierhead promote {image} --to {where} --back", file=sys.stderr)


def parts_of(reference: str) -> tuple[str, str, str]:
    """``IMAGE[:TAG][@DIGEST]`` in its three parts; empty for what is not said."""
    name, _, digest = reference.partition("@")
    tag = ""
    if ":" in name.rpartition("/")[2]:
        name, _, tag = name.rpartition(":")
    return name, tag, digest


def wait_for(client: Client, found: Json, sleep: Callable[[float], None]) -> Json:
    """Returns when it is decided. Raises Fault if it was rejected, or its time is over."""
    number = found["id"]
    print(f"Promotion {number} waits for approval:  pierhead approve {number}", file=sys.stderr)
    while found["state"] == "waiting":
        sleep(_PAUSE_SECONDS)
        found = client.get("promotions", str(number))
    if found["state"] == "rejected":
        last = [one for one in found["approvals"] if not one["approved"]]
        by = f" by {last[-1]['account']}" if last else ""
        why = f": {last[-1]['comment']}" if last and last[-1]["comment"] else ""
        raise Fault(f"Promotion {number} was rejected{by}{why}.")
    if found["state"] == "expired":
        raise Fault(f"Nobody approved promotion {number} in time. Ask again.")
    return found


def _show_plan(talk: Talk, found: Json) -> None:
    if talk.as_json:
        talk.print_json(found)
        return
    for line in plan_lines(found, talk.look):
        print(line)
    shut = [one for one in found["gates"] if one["state"] == "refuses"]
    if found["same_as"] is not None:
        print(f"Promotion {found['same_as']} is the same: asking again does nothing more.", file=sys.stderr)
    elif shut:
        many = "A gate is shut." if len(shut) == 1 else f"{len(shut)} gates are shut."
        print(f"{many} Open them, then run it without --dry-run.", file=sys.stderr)
    elif found["would_wait"]:
        print("It would wait for approvals. To ask for them, run it without --dry-run.", file=sys.stderr)


def _show_result(talk: Talk, found: Json) -> None:
    if talk.as_json:
        talk.print_json(found)
    else:
        print(head_of(found))
        for line in result_lines(found, talk.look):
            print(line)
    now = ((found.get("current") or {}).get("now") or {}).get("digest")
    between_stages = found["from"]["stage"] and found["to"]["stage"]
    if found["state"] == "done" and now != found["digest"] and (now or between_stages):
        where = end_of(found["to"])
        tag = (found["tags"] or [found["digest"]])[0]
        print(f"{where} holds {now or 'nothing of it'} by now. To go back to this one:  "
              f"pierhead promote {found['image']} --to {where} --back {tag}", file=sys.stderr)  # fmt: skip
    if found["state"] == "waiting":
        print(f"It waits for approval. Another person:  pierhead approve {found['id']}", file=sys.stderr)
