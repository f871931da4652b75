"""The board from outside: a job and skopeo push with labels, accounts see what they may pull, every worker says the
same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peers.clients import Skopeo
from tests.peers.images import OCI_CONFIG, Image, Index, image, index, json_blob, random_layer
from tests.peers.issuer import Issuer
from tests.peers.pierhead import Config, Pierhead
from tests.peers.processes import wait_until
from tests.peers.wire import Wire
from tests.promises.desk import PASSWORD, make, tell
from tests.promises.houses import DEV, PROD, UAT
from tests.promises.jobs import SERVER, Place, trusting

OTHER = "team/tool"


def labelled(seed: int, **labels: str) -> Image:
    """An image whose configuration has labels of the OCI image specification; `_` stands for `.` in their names."""
    made = image([random_layer(500, seed)], seed=seed)
    config = json.loads(made.config.data)
    config["config"]["Labels"] = {f"org.opencontainers.image.{key.replace('_', '.')}": v for key, v in labels.items()}
    blob = json_blob(config, OCI_CONFIG)
    manifest = {**json.loads(made.manifest.data), "config": blob.descriptor()}
    return Image(json_blob(manifest, made.manifest.media_type), blob, made.layers)


SOURCE = "https://gitlab.example.org/platform/server"
OLD = labelled(1, revision="a" * 40, source=SOURCE, version="1.4.0", ref_name="v1.4.0")
NEW: Index = index({"linux/amd64": labelled(2, revision="b" * 40), "linux/arm64": labelled(3, revision="b" * 40)})


def config(issuer: str) -> Config:
    return {**trusting(issuer), "workers": 3}


def gated(issuer: str) -> Config:
    """Prod wants an approval, of copies as well."""
    made = config(issuer)
    prod = {"repository": PROD, "gates": [{"approvals": {"count": 1, "roles": ["admin"]}}]}
    return {**made, "stages": {**made["stages"], "prod": prod}}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Issuer() as issuer, Pierhead(config(issuer.url)) as server:
        here = Place(server, issuer)
        push_the_train(here, tmp_path_factory.mktemp("skopeo"))
        for name, rules in (
            ("dev-only", {"rights": ["pull"], "repositories": [DEV]}),
            ("uat-only", {"rights": ["pull"], "repositories": [UAT], "images": ["orchestrator/*"]}),
        ):
            tell(server, "PUT", f"/roles/{name}", {"rules": [rules]})
            make(server, name, name)
        yield here


def push_the_train(place: Place, folder: Path) -> None:
    """1.4.0 came from a job and went to prod by skopeo, as is done today; then main went on."""
    server = place.server
    with Wire(server.port(DEV), "oidc", place.token(ref="v1.4.0", ref_type="tag", sha="a" * 40, job_id="81102")) as job:
        job.push(SERVER, "1.4.0", OLD)
        job.push(SERVER, "stable", OLD)
    skopeo, main = Skopeo(folder), server.address()
    skopeo.login(main, "admin", server.admin_password)
    for source, target in ((DEV, UAT), (UAT, PROD)):
        skopeo("copy", f"docker://{main}/{source}/{SERVER}:1.4.0", f"docker://{main}/{target}/{SERVER}:1.4.0")
    with server.wire(DEV) as dev:
        dev.push(SERVER, "main-b1b2c3d", NEW)
        dev.push(SERVER, "latest", NEW)
        dev.push(SERVER, "branch-login-a1b2c3d", image(seed=9))
        dev.push(OTHER, "7", image(seed=4))


def board(server: Pierhead, query: str = "", who: str = "admin") -> list[dict[str, Any]]:
    password = None if who == "admin" else PASSWORD
    found: list[dict[str, Any]] = tell(server, "GET", f"/board{query}", who=who, password=password)["items"]
    return found


def cells(row: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {cell["stage"]: cell for cell in row["stages"]}


# --- what stands where -----------------------------------------------------------------------------------------------


def test_the_board_says_what_stands_in_each_stage_and_what_is_newer_before_it(place: Place) -> None:
    rows = board(place.server)
    assert [row["service"] for row in rows][:2] == ["server", "ui"], "services come in the order of the file"
    assert [(row["service"], row["image"]) for row in rows][-1] == (None, OTHER), (
        "what belongs to none comes after them"
    )
    row = rows[0]
    held = {name: (cell["holds"]["tag"], cell["holds"]["digest"]) for name, cell in cells(row).items()}
    assert held == {
        "dev": ("main-b1b2c3d", NEW.digest),
        "uat": ("1.4.0", OLD.digest),
        "prod": ("1.4.0", OLD.digest),
    }
    gates = {name: cell["gate"] for name, cell in cells(row).items()}
    assert gates == {
        "dev": None,
        "uat": {"state": "newer", "newer": 1, "promotion": None, "approvals": None},
        "prod": {"state": "equal", "newer": 0, "promotion": None, "approvals": None},
    }
    assert row["differs"]
    moving = {one["tag"]: one["same_as"] for one in cells(row)["dev"]["moving"]}
    assert moving == {"latest": "main-b1b2c3d", "stable": "1.4.0"}


def test_the_job_that_built_an_image_is_known_in_every_stage_it_went_to(place: Place) -> None:
    """skopeo took it on as admin; the commit and the job are those of the login that pushed it first."""
    prod = cells(board(place.server, "?service=server")[0])["prod"]["holds"]
    assert (prod["by"], prod["through"]) == ("admin", None)
    assert (prod["commit"], prod["branch"], prod["witness"]) == ("a" * 40, "v1.4.0", "login")
    assert prod["built_by"]["job"].endswith("/-/jobs/81102")
    assert prod["labels"] == {
        "revision": "a" * 40,
        "source": SOURCE,
        "version": "1.4.0",
        "ref_name": "v1.4.0",
        "created": "1970-01-01T00:00:00Z",
    }


def test_an_index_is_known_by_what_its_images_say_and_only_labels_bear_witness(place: Place) -> None:
    dev = cells(board(place.server, "?service=server")[0])["dev"]["holds"]
    assert (dev["commit"], dev["witness"], dev["built_by"]) == ("b" * 40, "label", None)
    assert dev["platforms"] == ["linux/amd64", "linux/arm64"]


def test_services_and_stages_are_chosen_and_pages_hold_every_row_once(place: Place) -> None:
    server = place.server
    assert [row["image"] for row in board(server, f"?service=ui,{OTHER}")] == ["orchestrator/ui", OTHER]
    assert list(cells(board(server, "?service=server&stage=prod")[0])) == ["prod"]
    assert [row["image"] for row in board(server, "?differs=true")] == [SERVER, OTHER]
    every = [row["image"] for row in board(server)]
    assert every == [row["image"] for row in walk(server, 1)] == [row["image"] for row in walk(server, 4)]
    assert [row["image"] for row in walk(server, 1, "&differs=true")] == [SERVER, OTHER]
    names = f"&service=server,ui,{OTHER}"
    assert [row["image"] for row in walk(server, 2, names)] == [SERVER, "orchestrator/ui", OTHER]


def walk(server: Pierhead, size: int, more: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = tell(server, "GET", f"/board?limit={size}{more}{cursor}")
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


@pytest.mark.parametrize(
    "query", ["?stage=qa", "?service=UPPER", "?differs=yes", "?cursor=bm9uc2Vuc2U", "?cursor=%FF", "?what=1"]
)
def test_a_question_that_is_not_understood_is_answered_with_what_would_be(place: Place, query: str) -> None:
    told = tell(place.server, "GET", f"/board{query}", status=(400,))
    assert told["code"] == "query_invalid"


def test_a_service_that_was_never_pushed_and_an_image_that_is_not_there_show_nothing(place: Place) -> None:
    (row,) = board(place.server, "?service=ui")
    assert [cell["holds"] for cell in row["stages"]] == [None, None, None]
    assert board(place.server, "?service=no/such-image") == []


# --- who sees it -----------------------------------------------------------------------------------------------------


def test_what_an_account_may_not_pull_does_not_stand_on_its_board(place: Place) -> None:
    server = place.server
    mine = board(server, who="dev-only")
    assert {cell["stage"] for row in mine for cell in row["stages"]} == {"dev"}
    assert mine[-1]["image"] == OTHER
    theirs = board(server, who="uat-only")
    assert OTHER not in [row["image"] for row in theirs]
    assert [cell["stage"] for cell in theirs[0]["stages"]] == ["uat"]
    assert theirs[0]["stages"][0]["gate"] is None, "how many are newer in dev is not theirs to know"
    assert board(server, f"?service={OTHER}", who="uat-only") == []
    tell(server, "GET", "/board", who="", status=(401,))


def test_an_account_that_may_pull_nothing_has_an_empty_board(place: Place) -> None:
    make(place.server, "keeper-of-records", "auditor")
    assert board(place.server, who="keeper-of-records") == []


# --- what a push changes ---------------------------------------------------------------------------------------------


def test_every_worker_shows_a_push_at_once(place: Place) -> None:
    server = place.server
    with server.wire(DEV) as dev:
        for number in range(12):
            dev.push("orchestrator/agent", f"0.{number}", image(seed=100 + number))
            # A connection of its own each time: the system gives it to any of the workers.
            (row,) = board(server, "?service=agent")
            assert cells(row)["dev"]["holds"]["tag"] == f"0.{number}"


def test_a_stage_that_goes_back_and_one_whose_image_left_the_stage_before_say_so(place: Place) -> None:
    server, name = place.server, "orchestrator/runner-service"
    first, second = image(seed=201), image(seed=202)
    with server.wire(DEV) as dev, server.wire() as main:
        for tag, what in (("1.0", first), ("1.1", second)):
            dev.push(name, tag, what)
            main.push(f"{UAT}/{name}", tag, what)
        assert cells(board(server, "?service=runner-api")[0])["uat"]["gate"]["state"] == "equal"
        tell(server, "DELETE", f"/repositories/{DEV}/images/{name}/-/tags/1.1")
        assert cells(board(server, "?service=runner-api")[0])["uat"]["gate"]["state"] == "gone"
        main.push(f"{UAT}/{name}", "1.2", first)
        assert cells(board(server, "?service=runner-api")[0])["uat"]["gate"]["state"] == "equal"


def test_what_a_promotion_says_stands_in_a_stage_also_when_it_goes_back(place: Place) -> None:
    """Both images went there; the stage is what the last promotion says, whichever was pushed last."""
    server, name = place.server, "orchestrator/audit-service"
    old, new = labelled(301, revision="c" * 40), labelled(302, revision="d" * 40)
    with server.wire(DEV) as dev:
        for tag, what in (("2.0", old), ("2.1", new)):
            dev.push(name, tag, what)
            tell(server, "POST", "/promotions", {"image": name, "tag": tag, "to": "uat"})

    def uat() -> dict[str, Any]:
        return cells(board(server, "?service=audit-api")[0])["uat"]

    now = uat()
    assert (now["holds"]["tag"], now["holds"]["by"]) == ("2.1", "admin")
    assert (now["holds"]["pointed"], now["gate"]["state"]) == (True, "equal")
    tell(server, "POST", "/promotions", {"image": name, "to": "uat", "back": True})
    back = uat()
    assert (back["holds"]["tag"], back["holds"]["digest"], back["holds"]["commit"]) == ("2.0", old.digest, "c" * 40)
    assert back["gate"]["state"] == "older", "somebody went back on purpose: that is no image that waits"
    assert back["holds"]["since"] > now["holds"]["since"]


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_prints_a_table_for_people_and_the_answer_for_programs(place: Place) -> None:
    code, out, err = place.server.run_command("board", "--service", "server", "--service", OTHER)
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].split()[:3] == ["SERVICE", "DEV", "AGE"]
    words = lines[1].split()
    assert words[:2] == ["server", "main-b1b2c3d"]
    assert {"->1", "=", "1.4.0", "a" * 40, "b" * 40 + "*", OLD.digest, NEW.digest} <= set(words)
    assert lines[2].startswith(f"({OTHER})")
    code, out, err = place.server.run_command("board", "--stage", "uat", "--differs", "-o", "json")
    document = json.loads(out)
    assert (code, err, document["next"]) == (0, "", None)
    assert document["items"][0]["stages"][0]["holds"]["digest"] == OLD.digest
    code, out, err = place.server.run_command("board", "--stage", "qa")
    assert (code, out) == (1, "")
    assert "dev, uat, prod" in err


# --- with gates: the last, since the configuration stays changed -----------------------------------------------------


def test_a_promotion_that_waits_for_approvals_stands_between_its_stages(place: Place) -> None:
    server, name = place.server, "orchestrator/mcp"
    server.reload(gated(place.issuer.url))
    asked: list[dict[str, Any]] = []

    def waits() -> bool:
        """Each try may meet a worker that has not read the file yet, and then simply promotes."""
        tag = f"1.{len(asked)}"
        with server.wire(DEV) as dev:
            dev.push(name, tag, image(seed=401 + len(asked)))
        tell(server, "POST", "/promotions", {"image": name, "tag": tag, "to": "uat"})
        wanted = {"image": name, "tag": tag, "to": "prod"}
        asked.append(tell(server, "POST", "/promotions", wanted, status=(200, 201, 202)))
        return bool(asked[-1]["state"] == "waiting")

    wait_until(waits, 30, "a promotion waits for approvals")
    gate = cells(board(server, "?service=agent-runner")[0])["prod"]["gate"]
    assert (gate["state"], gate["promotion"], gate["approvals"]) == ("waits", asked[-1]["id"], "0 of 1")
    code, out, err = server.run_command("board", "--service", "agent-runner")
    assert code == 0, err
    assert f"(0/1) #{asked[-1]['id']}" in out
