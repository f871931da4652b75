"""The record of what happened: complete, in order, whole after anything, and without a secret in it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from pierhead.boot.wire import DATABASE_FILE
from tests.peers.clients import Skopeo
from tests.peers.fixtures import StartPierhead
from tests.peers.images import image
from tests.peers.pierhead import PASSWORDS, Config, Pierhead, house
from tests.peers.wire import Wire
from tests.promises.follower import AS_AUDITOR, AUDITOR, Event, Follower
from tests.promises.houses import DEV, GROUP, PROD, hosted_only
from tests.promises.ledger import Ledger, push_until

APP = "audit/app"
CANARY = "canary-3f9a-secret"
FIELDS = ["seq", "at", "kind", "account", "repository", "image", "tags", "digest", "before", "address", "agent"]


def telling(**audit: object) -> Config:
    return house(audit={"pulls": "all", **audit})


@pytest.fixture(scope="module")
def server() -> Iterator[Pierhead]:
    with Pierhead(telling()) as started:
        yield started


def search(server: Pierhead, query: str = "", account: str = AUDITOR) -> list[Event]:
    with server.wire("main", account) as wire:
        found: list[Event] = wire.request("GET", f"/api/v1/audit{query}").expect(200).json()["items"]
    return found


def tagged(tag: str) -> Callable[[Event], bool]:
    return lambda event: event["tags"] == [tag]


def verified(server: Pierhead, *options: str) -> tuple[int, dict[str, Any]]:
    code, out, err = server.run_command("audit", "verify", "--data", str(server.data), "-o", "json", *options)
    assert out, err
    return code, json.loads(out)


def test_who_follows_sees_a_push_an_overwrite_a_pull_a_refusal_a_failed_login_and_a_deletion(
    start_pierhead: StartPierhead, skopeo: Skopeo, tmp_path: Path
) -> None:
    server = start_pierhead(telling())
    first, second = image(seed=11), image(seed=12)
    with server.wire(DEV) as wire:
        wire.push(APP, "kept", first)
    with Follower(server, tmp_path, "--after", "0") as follower:
        skopeo.login(server.address(DEV), "svc-orchestrator", PASSWORDS["svc-orchestrator"])
        skopeo("copy", f"docker://{server.address(DEV)}/{APP}:kept", f"docker://{server.address(DEV)}/{APP}:latest")
        with server.wire(DEV, "svc-orchestrator") as wire:
            wire.push(APP, "latest", second)
            wire.request("DELETE", f"/v2/{APP}/manifests/latest").expect(403)
        with server.wire("main", "svc-orchestrator") as wire:
            wire.put_manifest(f"{PROD}/{APP}", "1.0", first.manifest).expect(403)
        with server.wire(GROUP, "svc-deploy", "wrong-password") as wire:
            wire.get_manifest(APP, "latest").expect(401)
        with server.wire(GROUP, "svc-deploy") as wire:
            wire.get_manifest(APP, "latest").expect(200)
        with server.wire(DEV) as wire:
            wire.request("DELETE", f"/v2/{APP}/manifests/latest").expect(202)
        pushed = follower.wait_for(lambda e: e["kind"] == "push" and e["tags"] == ["latest"], "the push")
        moved = follower.wait_for(lambda e: e["kind"] == "push" and e["digest"] == second.digest, "the overwrite")
        forbidden = follower.wait_for(lambda e: e["kind"] == "refused" and e["method"] == "DELETE", "the deletion")
        refused = follower.wait_for(lambda e: e["kind"] == "refused" and e["method"] == "PUT", "the refused push")
        failed = follower.wait_for(lambda e: e["kind"] == "login failed", "the failed login")
        pulled = follower.wait_for(lambda e: e["kind"] == "pull" and e["account"] == "svc-deploy", "the pull")
        deleted = follower.wait_for(lambda e: e["kind"] == "delete tag", "the deletion")
    assert (pushed["account"], pushed["digest"], pushed["before"]) == ("svc-orchestrator", first.digest, {})
    assert "skopeo" in pushed["agent"] or "containers/image" in pushed["agent"]
    assert (moved["tags"], moved["before"]) == (["latest"], {"latest": first.digest})
    assert (forbidden["repository"], forbidden["image"], forbidden["tags"]) == (DEV, APP, ["latest"])
    assert (refused["refusal"], refused["repository"]) == ("StageFilledByPromotion", PROD)
    assert "promotion" in refused["message"]
    assert (failed["account"], failed["known"]) == ("svc-deploy", True)
    assert (pulled["repository"], pulled["member"], pulled["digest"]) == (GROUP, DEV, second.digest)
    assert (deleted["account"], deleted["digest"], deleted["before"]) == (
        "admin",
        second.digest,
        {"latest": second.digest},
    )
    for event in (pushed, moved, refused, failed, pulled, deleted):
        assert list(event)[: len(FIELDS)] == FIELDS
        assert event["address"] == "127.0.0.1"
        assert re.fullmatch(r"[a-z2-7]{8}-[0-9a-f]+", event["request_id"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["at"])
    assert pushed["through"]["how"] == "password"
    assert verified(server)[0] == 0


def test_an_id_that_the_client_gave_its_request_is_in_the_record(server: Pierhead) -> None:
    one = image(seed=13)
    with server.wire(DEV) as wire:
        wire.push_blob("audit/named", one.blobs[0])
        for blob in one.blobs[1:]:
            wire.push_blob("audit/named", blob)
        headers = {"Content-Type": one.manifest.media_type, "X-Request-Id": "job-4711/2"}
        wire.request("PUT", "/v2/audit/named/manifests/1", one.manifest.data, headers).expect(201)
    (found,) = search(server, "?image=audit/named&kind=push")
    assert found["request_id"] == "job-4711/2"


def test_a_record_is_searched_by_account_repository_image_kind_and_time_page_by_page(server: Pierhead) -> None:
    with server.wire(DEV) as wire:
        for number in range(7):
            wire.push("audit/pages", str(number), image(seed=20 + number))
    with server.wire("main", AUDITOR) as wire:
        page = wire.request("GET", "/api/v1/audit?image=audit/pages&limit=3").expect(200).json()
        tags = [item["tags"] for item in page["items"]]
        while page["next"]:
            more = f"/api/v1/audit?image=audit/pages&limit=3&cursor={page['next']}"
            page = wire.request("GET", more).expect(200).json()
            tags += [item["tags"] for item in page["items"]]
    assert tags == [[str(number)] for number in reversed(range(7))]
    third = search(server, "?image=audit/pages")[4]
    assert third["tags"] == ["2"]
    later = search(server, f"?image=audit/pages&since={third['at']}")
    assert [item["tags"] for item in later] in ([["6"], ["5"], ["4"], ["3"]], [["6"], ["5"], ["4"], ["3"], ["2"]])
    assert not search(server, f"?image=audit/pages&until={third['at']}&account=svc-deploy")
    assert not search(server, "?image=audit/pages&since=0s")
    assert len(search(server, "?image=audit/pages&since=2h&repository=docker-hosted-dev&account=admin&kind=push")) == 7
    assert not search(server, f"?image=audit/pages&repository={PROD}")


@pytest.mark.parametrize("query", ["since=yesterday", "until=2026-03-03T12:00:00", "since=5", "cursor=YWJj"])
def test_a_search_that_is_not_understood_says_which_parameter(server: Pierhead, query: str) -> None:
    with server.wire("main", AUDITOR) as wire:
        problem = wire.request("GET", f"/api/v1/audit?{query}").expect(400).json()
    assert query.partition("=")[0] in problem["message"]


@pytest.mark.parametrize("path", ["audit", "audit/stream"])
def test_only_auditors_and_administrators_read_the_record(server: Pierhead, path: str) -> None:
    with server.wire("main", "svc-orchestrator") as wire:
        problem = wire.request("GET", f"/api/v1/{path}").expect(403).json()
    assert "auditor" in problem["message"]
    assert search(server, "?limit=1", "admin")
    assert search(server, "?limit=1", AUDITOR)


def test_the_command_prints_a_table_newest_first_and_json_for_programs(server: Pierhead) -> None:
    with server.wire(DEV) as wire:
        wire.push("audit/table", "1.0", image(seed=30))
        wire.push("audit/table", "1.0", image(seed=31))
    asked = ("audit", "--image", "audit/table", "--kind", "push")
    code, out, err = server.run_command(*asked, environment=AS_AUDITOR)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split()[:6] == ["SEQ", "AT", "KIND", "ACCOUNT", "WHAT", "BEFORE"]
    assert f"{DEV}/audit/table:1.0" in lines[1]
    assert lines[1].index(image(seed=30).digest) < lines[1].index(image(seed=31).digest)
    code, out, _ = server.run_command(*asked, "-o", "json", "--limit", "1", environment=AS_AUDITOR)
    assert [item["digest"] for item in json.loads(out)["items"]] == [image(seed=31).digest]
    code, _, err = server.run_command(
        "audit", environment={"PIERHEAD_USER": "svc-deploy", "PIERHEAD_PASSWORD": PASSWORDS["svc-deploy"]}
    )
    assert code == 1
    assert "auditor" in err


def test_no_password_is_in_any_row_wherever_it_was_typed(start_pierhead: StartPierhead) -> None:
    config = telling()
    config["accounts"]["canary"] = {"password_env": "CANARY_PASSWORD", "roles": ["publisher"]}
    server = start_pierhead(config, environment={"CANARY_PASSWORD": CANARY})
    right = Wire(server.port(DEV), "canary", CANARY)
    right.push(APP, "1", image(seed=40))
    right.request("DELETE", f"/v2/{APP}/manifests/1").expect(403)
    Wire(server.port(DEV), "canary", f"{CANARY}-mistyped").get_manifest(APP, "1").expect(401)
    Wire(server.port(DEV), CANARY, "typed into the wrong field").get_manifest(APP, "1").expect(401)
    for header in (f"Bearer {CANARY}", "Basic " + base64.b64encode(CANARY.encode()).decode(), CANARY):
        Wire(server.port(DEV)).request("GET", f"/v2/{APP}/manifests/1", headers={"Authorization": header}).expect(401)
    right.request("GET", f"/v2/?password={CANARY}").expect(200)
    right.close()
    assert server.stop() == 0
    connection = apsw.Connection(str(server.data / DATABASE_FILE), flags=apsw.SQLITE_OPEN_READONLY)
    rows = [(str(kind), str(text)) for kind, text in connection.execute("SELECT kind, account || body FROM events")]
    connection.close()
    password = (server.data / "admin.password").read_text().strip()
    assert [kind for kind, _ in rows].count("login failed") == 2
    secrets = (CANARY, base64.b64encode(CANARY.encode()).decode(), password, *PASSWORDS.values())
    assert not [text for _, text in rows for secret in secrets if secret in text]


def test_a_flood_of_wrong_passwords_and_refusals_is_a_few_rows_that_count(start_pierhead: StartPierhead) -> None:
    server = start_pierhead()
    for number in range(30):
        Wire(server.port(DEV), f"nobody-{number}", "wrong").get_manifest(APP, "1").expect(401)
    with server.wire(DEV, "svc-deploy") as wire:
        for _ in range(200):
            wire.request("POST", f"/v2/{APP}/blobs/uploads/", b"").expect(403)
        for _ in range(50):
            wire.get_manifest(APP, "1").expect(404)
    assert server.stop() == 0
    server.start()
    failed, refused, logins = (search(server, f"?kind={kind}") for kind in ("login+failed", "refused", "login"))
    assert sorted(event.get("times", 1) for event in failed) == [1, 29]
    assert sorted(event.get("times", 1) for event in refused) == [1, 199]
    assert [event["account"] for event in logins].count("svc-deploy") == 1


def test_a_changed_configuration_is_told_with_its_keys_and_the_digest_of_the_file(
    start_pierhead: StartPierhead, tmp_path: Path
) -> None:
    server = start_pierhead(house())
    server.restart()
    (first,) = search(server, "?kind=settings")
    assert (first["account"], first["first"], first["source"]) == ("pierhead", True, "pierhead.yaml")
    with Follower(server, tmp_path, "--after", "0") as follower:
        config = house(audit={"pulls": "sampled", "sample": 2})
        config["accounts"]["new"] = {"password_env": "SVC_DEPLOY_PASSWORD", "roles": ["deployer"]}
        server.reload(config)
        told = follower.wait_for(lambda event: event["kind"] == "settings" and not event["first"], "the change")
    server.wait_for_log("The configuration was read again.")
    assert (told["changed"], told["first"]) == (["accounts", "audit"], False)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", told["digest"])
    with server.wire(DEV) as wire:
        wire.push(APP, "1", image(seed=50))
        for _ in range(5):
            wire.get_manifest(APP, "1").expect(200)
    assert server.stop() == 0
    server.start()
    pulls = search(server, "?kind=pull")
    assert [pull["sample"] for pull in pulls] == [2, 2]


def test_who_follows_goes_on_behind_what_he_has_when_the_server_was_away(
    start_pierhead: StartPierhead, tmp_path: Path
) -> None:
    server = start_pierhead(hosted_only(accounts=house()["accounts"]))
    with Follower(server, tmp_path, "--since", "1h", "--kind", "push") as follower:
        for number in range(6):
            with server.wire(DEV) as wire:
                wire.push(APP, str(number), image(seed=60 + number))
            follower.wait_for(tagged(str(number)), "this push", seconds=30)
            if number % 2:
                assert server.stop() == 0
                server.start()
        assert [event["tags"] for event in follower.events] == [[str(number)] for number in range(6)]


def test_a_record_that_several_workers_write_to_stays_whole_and_is_followed_across_them(
    start_pierhead: StartPierhead, tmp_path: Path
) -> None:
    server = start_pierhead(
        hosted_only(accounts=house()["accounts"], audit={"pulls": "all"}), arguments=["--workers", "3"]
    )
    ledgers = [Ledger(f"audit/worker-{number}") for number in range(4)]
    with Follower(server, tmp_path, "--after", "0") as follower:
        push_until(lambda: server.wire(DEV), ledgers, 150, seed=7, then=lambda: verified(server))
        (last,) = search(server, "?kind=push&limit=1")
        follower.wait_for(lambda event: event["seq"] == last["seq"], "the last push", seconds=30)
        numbers = [event["seq"] for event in follower.events]
    assert numbers == list(range(1, len(numbers) + 1)), "each event once, in order"
    code, verdict = verified(server)
    assert (code, verdict["whole"]) == (0, True)
    assert verdict["events"] >= last["seq"]


def test_a_record_is_whole_after_kills_in_the_midst_and_holds_every_push_that_was_acknowledged(
    start_pierhead: StartPierhead,
) -> None:
    server = start_pierhead(hosted_only(accounts=house()["accounts"], audit={"pulls": "all"}))
    ledgers = [Ledger(f"audit/killed-{number}") for number in range(3)]
    heads: list[str] = []
    for number in range(3):
        push_until(lambda: server.wire(DEV), ledgers, 40, seed=number, then=server.kill)
        code, verdict = verified(server, *(word for head in heads for word in ("--head", head)))
        assert (code, verdict["whole"], verdict["heads_held"]) == (0, True, number)
        heads.append(verdict["head"])
        server.start()
    connection = apsw.Connection(str(server.data / DATABASE_FILE), flags=apsw.SQLITE_OPEN_READONLY)
    told = {digest for (digest,) in connection.execute("SELECT body ->> '$.digest' FROM events WHERE kind='push'")}
    connection.close()
    assert {digest for ledger in ledgers for digest in ledger.manifests} <= told


def test_who_may_not_read_the_record_any_more_is_let_go_and_told(start_pierhead: StartPierhead, tmp_path: Path) -> None:
    server = start_pierhead(house())
    with Follower(server, tmp_path, "--after", "0") as follower:
        follower.wait_for(lambda event: event["kind"] == "settings", "the first start")
        config = house()
        del config["accounts"][AUDITOR]
        server.reload(config)
        server.wait_for_log("The configuration was read again.")
        with server.wire(DEV) as wire:
            wire.push(APP, "secret", image(seed=80))
        assert follower.ended() == 1
        assert "PIERHEAD_USER" in follower.said or "wrong" in follower.said
        assert not any(event["tags"] == ["secret"] for event in follower.events)


def test_a_new_password_of_the_administrator_is_in_the_record(start_pierhead: StartPierhead) -> None:
    server = start_pierhead(house())
    assert server.run_command("admin", "reset-password", "--data", str(server.data))[0] == 0
    told = search(server, "?kind=password")
    assert [(event["account"], event["subject"]) for event in told] == [("pierhead", "admin")] * 2


def test_a_follower_of_events_that_the_record_does_not_have_is_told_where_it_ends(server: Pierhead) -> None:
    with server.wire("main", AUDITOR) as wire:
        problem = wire.request("GET", "/api/v1/audit/stream?after=999999").expect(400).json()
        wire.request("HEAD", "/api/v1/audit/stream").expect(200)
    assert "the record ends with event" in problem["message"]


def test_the_log_of_the_server_holds_heads_that_verify_takes(start_pierhead: StartPierhead) -> None:
    server = start_pierhead(hosted_only())
    server.wait_for_log("the record of events stands at")
    with server.wire(DEV) as wire:
        wire.push(APP, "1", image(seed=70))
    assert server.stop() == 0
    code, verdict = verified(server, "--heads", str(server.log_path))
    assert (code, verdict["whole"]) == (0, True)
    assert verdict["heads_held"] >= 2
    code, out, _ = server.run_command("audit", "head", "--data", str(server.data))
    assert (code, out.strip()) == (0, verdict["head"])
    assert verdict["head"] in server.log, "what was written last is covered too"
    connection = apsw.Connection(str(server.data / DATABASE_FILE))
    connection.execute("DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)")
    connection.close()
    code, verdict = verified(server, "--heads", str(server.log_path))
    assert code == 1
    assert {one["what"] for one in verdict["items"]} == {"cut off"}
