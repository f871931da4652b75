"""Passwords that are changed in Vault or in a file while the program runs: both hold for a while, and who still uses
the old one can be seen. A Vault that is sealed, away or not there yet holds up nobody who does not need it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cli.odd_vault import OddVault, said
from tests.peers.engine import DockerEngine
from tests.peers.fixtures import StartOpenBao, StartPierhead
from tests.peers.images import image
from tests.peers.openbao import OpenBao
from tests.peers.pierhead import Config, Pierhead
from tests.peers.processes import free_port, wait_until
from tests.promises.houses import DEV, hosted_only

ACCOUNT = "svc-vault"
OLD, NEW = "canary-old-password-1", "canary-new-password-2"
SOON_SECONDS = 15.0


@dataclass
class House:
    """A running program and the Vault that it asks; its credentials for Vault are in its environment."""

    bao: OpenBao
    server: Pierhead
    secrets: list[str] = field(default_factory=list)

    def login(self, password: str, account: str = ACCOUNT) -> int:
        with self.server.wire(DEV, account, password) as wire:
            return wire.request("GET", "/v2/").status

    def until(self, password: str, status: int, seconds: float = SOON_SECONDS) -> None:
        wait_until(lambda: self.login(password) == status, seconds, f"{status} for the password")

    def told(self, account: str = ACCOUNT) -> Any:
        with self.server.wire("main") as wire:
            return json.loads(wire.request("GET", f"/api/v1/accounts/{account}").expect(200).body)


def set_up(bao: OpenBao) -> dict[str, str]:
    """An AppRole that may read the accounts' passwords; what the environment has to hold."""
    bao.policy("pierhead", "secret/data/nexus/*")
    bao.call("POST", "sys/auth/approle", {"type": "approle"}).expect(204)
    bao.call("POST", "auth/approle/role/pierhead", {"token_policies": ["pierhead"], "token_ttl": "20m"}).expect(204)
    role_id = bao.call("GET", "auth/approle/role/pierhead/role-id").expect(200).body["data"]["role_id"]
    secret_id = bao.call("POST", "auth/approle/role/pierhead/secret-id", {}).expect(200).body["data"]["secret_id"]
    return {"VAULT_ADDR": bao.url, "ROLE_ID": role_id, "SECRET_ID": secret_id}


def config(grace: str = "1h", **vault: object) -> Config:
    made = hosted_only()
    made["vault"] = {"approle": {"role_id_env": "ROLE_ID", "secret_id_env": "SECRET_ID"}, "reread_every": "5s", **vault}
    made["accounts"][ACCOUNT] = {
        "password_vault": {"path": f"secret/data/nexus/{ACCOUNT}"},
        "roles": ["publisher"],
        "grace": grace,
    }
    return made


@pytest.fixture(params=[1, 2], ids=["one-process", "two-workers"])
def house(
    request: pytest.FixtureRequest, start_openbao: StartOpenBao, start_pierhead: StartPierhead
) -> Iterator[House]:
    bao = start_openbao()
    environment = set_up(bao)
    bao.put_account(ACCOUNT, OLD)
    arguments = ["--workers", str(request.param)]
    server = start_pierhead(config(), environment=environment, arguments=arguments)
    made = House(bao, server, [OLD, NEW, environment["SECRET_ID"], bao.root_token])
    yield made
    for secret in made.secrets:
        assert secret not in server.log


def test_old_and_new_hold_through_a_rotation_and_who_uses_the_old_one_is_shown(house: House) -> None:
    assert house.login(OLD) == 200
    house.bao.put_account(ACCOUNT, NEW)
    assert house.login(NEW) == 200, "a failed login looks again, so the new one works at once"
    for _ in range(4):
        assert house.login(OLD) == 200
    house.server.wait_for_log(f"Account {ACCOUNT} signed in from 127.0.0.1 with its old password.", 90)
    wait_until(lambda: house.told()["kept"]["old"]["used_from"], 10, "the use of the old password is noted")
    found = house.told()
    assert [one["address"] for one in found["kept"]["old"]["used_from"]] == ["127.0.0.1"]
    assert found["kept"]["source"] == f"Vault secret/data/nexus/{ACCOUNT} (password)"
    _, out, _ = house.server.run_command("accounts", "show", ACCOUNT)
    assert "It was still used from 127.0.0.1, last " in out
    text = ""

    def counted() -> bool:
        nonlocal text
        with house.server.wire("main") as wire:
            text = wire.request("GET", "/metrics").body.decode()
        return float(text.partition("\npierhead_old_password_logins_total ")[2].split()[0]) >= 1

    wait_until(counted, 20, "whichever worker is asked has heard what the other one counted")
    assert not any(secret in out + json.dumps(found) + text for secret in house.secrets)


def test_without_a_grace_the_old_password_is_refused_within_a_minute(house: House) -> None:
    before = len(house.server.log)
    house.server.reload(config(grace="0s"))
    wait_until(lambda: "was read again" in house.server.log[before:], 30, "the file is taken over")
    house.until(OLD, 200)
    house.bao.put_account(ACCOUNT, NEW)
    house.until(OLD, 401)
    assert house.login(NEW) == 200
    house.bao.delete_secret(f"nexus/{ACCOUNT}")
    house.until(NEW, 401)
    house.server.wait_for_log(f"Account {ACCOUNT} is disabled: the newest version of the secret", 20)
    wait_until(lambda: house.told()["disabled"], SOON_SECONDS, "every worker has seen it")


def test_a_grace_goes_on_through_sighup_and_restart_and_is_what_the_file_says_now(house: House) -> None:
    house.until(OLD, 200)
    house.bao.put_account(ACCOUNT, NEW)
    house.until(NEW, 200)
    house.bao.seal()
    before = len(house.server.log)
    house.server.reload()
    wait_until(lambda: "was read again" in house.server.log[before:], 30, "the file is taken over")
    assert (house.login(NEW), house.login(OLD)) == (200, 200)
    house.server.stop()
    house.server.write_config(config(grace="1s"))
    house.server.start()
    assert (house.login(NEW), house.login(OLD)) == (200, 401)


def test_a_sealed_and_a_killed_vault_hold_up_nobody_whose_password_is_known(house: House) -> None:
    house.until(OLD, 200)
    house.bao.seal()
    house.server.wait_for_log("is sealed: somebody has to unseal it", 20)
    with house.server.wire(DEV, ACCOUNT, OLD) as wire:
        wire.push("vault/sealed", "1", image(seed=1))
    house.bao.kill()
    house.server.wait_for_log("cannot be reached", 20)
    for account, password in ((ACCOUNT, OLD), ("svc-orchestrator", None)):
        with house.server.wire(DEV, account, password) as wire:
            wire.push("vault/killed", account, image(seed=2))
    assert house.login("canary-wrong") == 401
    assert house.server.health() == 200


def test_docker_pushes_and_pulls_with_both_passwords_while_one_replaces_the_other(
    docker_engine: DockerEngine,
    start_openbao: StartOpenBao,
    start_pierhead: StartPierhead,
    tmp_path: Path,
) -> None:
    bao = start_openbao()
    environment = set_up(bao)
    bao.put_account(ACCOUNT, OLD)
    server = start_pierhead(config(), environment=environment)
    name = f"{server.address(DEV)}/orchestrator/server:1"
    docker_engine.make_tiny_image(name, b"rotated")
    for step, password in enumerate((OLD, NEW, OLD)):
        if step == 1:
            bao.put_account(ACCOUNT, NEW)
        folder = tmp_path / str(step)
        docker_engine.login(server.address(DEV), ACCOUNT, password, config_dir=folder)
        docker_engine.docker("push", name, config_dir=folder)
        docker_engine.docker("pull", name, config_dir=folder)
    assert NEW not in server.log
    assert OLD not in server.log


def test_a_start_with_vault_away_is_ready_and_the_account_comes_with_vault(
    start_openbao: StartOpenBao, start_pierhead: StartPierhead
) -> None:
    bao = start_openbao()
    environment = set_up(bao)
    bao.put_account(ACCOUNT, OLD)
    bao.seal()
    server = start_pierhead(config(), environment=environment)
    there = House(bao, server)
    server.wait_for_log(f"Account {ACCOUNT} is disabled: Vault at {bao.url} is sealed", 20)
    with server.wire(DEV, ACCOUNT, OLD) as wire:
        refused = wire.request("GET", "/v2/")
    assert refused.status == 503
    assert b"UNAVAILABLE" in refused.body
    assert b"Vault is sealed" in refused.body
    assert bao.url.encode() not in refused.body
    assert int(refused.headers["Retry-After"]) > 0
    assert there.login("orchestrator-secret-1", "svc-orchestrator") == 200
    bao.unseal()
    there.until(OLD, 200)
    server.wait_for_log(f"The password of account {ACCOUNT} can be read again.")


@pytest.mark.parametrize("trouble", ["500", "hangs", "no address", "nobody there", "wrong authority"])
def test_row_99_a_vault_that_cannot_say_is_503_and_takes_nobody_else_along(
    trouble: str, start_openbao: StartOpenBao, start_pierhead: StartPierhead
) -> None:
    with OddVault({"auth/token/lookup-self": said({"data": {"ttl": 0}})}) as odd:
        path = f"secret/data/nexus/{ACCOUNT}"
        odd.script[path] = said({"errors": ["internal"]}, 500) if trouble == "500" else OddVault.keep_waiting
        address = {"nobody there": f"http://127.0.0.1:{free_port()}", "no address": ""}.get(trouble, odd.url)
        if trouble == "wrong authority":
            address = start_openbao(tls=True).url
        made = config()
        made["vault"] = {"token_env": "TOKEN", "timeout": "10s"}
        began = time.monotonic()
        server = start_pierhead(made, environment={"TOKEN": "s.canaryToken", "VAULT_ADDR": address})
        with server.wire(DEV, ACCOUNT, OLD) as wire:
            refused = wire.request("GET", "/v2/")
        assert time.monotonic() - began < 25
        assert refused.status == 503
        assert b"UNAVAILABLE" in refused.body
        assert int(refused.headers["Retry-After"]) > 0
        with server.wire(DEV, "svc-orchestrator", None) as wire:
            wire.push("others/go-on", "1", image(seed=3))
        assert "canary" not in server.log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_file_that_is_replaced_holds_at_once_without_a_signal(
    workers: str, start_pierhead: StartPierhead, tmp_path: Path
) -> None:
    secret = tmp_path / "svc-file"
    secret.write_text(f"{OLD}\n")
    made = hosted_only()
    made["passwords"] = {"grace": "0s"}
    made["accounts"][ACCOUNT] = {"password_file": str(secret), "roles": ["publisher"]}
    server = start_pierhead(made, arguments=["--workers", workers])
    there = House(None, server)  # type: ignore[arg-type]
    assert there.login(OLD) == 200
    scratch = tmp_path / "scratch"
    scratch.write_text(NEW)
    scratch.replace(secret)
    # On a machine that is too busy to read it in time the answer is "try again" (503), and never "wrong".
    first = there.login(NEW)
    assert first in {200, 503}
    there.until(NEW, 200)
    there.until(OLD, 401)
    secret.unlink()
    there.until(NEW, 401)
    secret.write_text(NEW)
    assert there.login(NEW) == 200
    assert "canary" not in server.log
