"""Hostile logins with a name and a password: rows 101 to 106 of the table, as far as there are accounts today."""

from __future__ import annotations

import base64
import re
import stat
import statistics
import time
from collections.abc import Iterator

import pytest

from tests.peers.images import image
from tests.peers.pierhead import Pierhead, variable_of
from tests.promises.ground import CONFIG, ENVIRONMENT, PASSWORD, Ground, Heard

ODD = {"system:scanner": "deployer", "admin-2": "deployer", "pierhead-2": "auditor"}


def login(ground: Ground, name: str, password: str) -> Heard:
    pair = base64.b64encode(f"{name}:{password}".encode()).decode()
    return ground.ask("GET", "/v2/", headers={"Authorization": f"Basic {pair}"}, who="")


def test_row_101_guessing_is_slowed_down_and_locks_nobody_out(unharmed: Ground) -> None:
    answers = [login(unharmed, "bob", f"wrong-{number}") for number in range(11)]
    assert answers[0].is_one_of("401 UNAUTHORIZED")
    assert answers[-1].is_one_of("429 TOOMANYREQUESTS")
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert unharmed.ask("GET", "/v2/").status == 200, "another account from the same address"


def test_row_102_unknown_accounts_and_wrong_passwords_look_alike(unharmed: Ground) -> None:
    """Both cost one hash: the medians differ by noise, not by the tens of milliseconds of a hash that is left out."""

    def timed(names: Iterator[str]) -> tuple[float, Heard]:
        times, heard = [], None
        for name in names:
            began = time.perf_counter()
            heard = login(unharmed, name, "wrong")
            times.append(time.perf_counter() - began)
        assert heard is not None
        return statistics.median(times), heard

    known, first = timed(iter(["reader"] * 7))
    unknown, second = timed(f"nobody-{number}" for number in range(7))
    assert (first.status, first.code) == (second.status, second.code) == (401, "UNAUTHORIZED")
    assert {*first.headers} == {*second.headers}
    assert 1 / 3 < known / unknown < 3


@pytest.mark.parametrize(
    "password",
    ["x" * 5_000, PASSWORD + "\0", PASSWORD + "\0tail", "\0", "", PASSWORD + "x" * 100, PASSWORD[:-1], "ü" * 99],
)
def test_row_103_no_part_or_extension_of_a_password_is_the_password(password: str, unharmed: Ground) -> None:
    assert login(unharmed, "outsider", password).status in (400, 401, 429)


def test_row_103_a_password_of_a_mebibyte_is_refused_as_a_header(unharmed: Ground) -> None:
    assert login(unharmed, "outsider", "x" * (1 << 20)).status == 431


def test_row_104_there_is_no_default_password(unharmed: Ground) -> None:
    path = unharmed.server.data / "admin.password"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    password = unharmed.server.admin_password
    assert re.fullmatch(r"\S{20,}", password)
    assert password not in unharmed.server.log
    for guess in ("admin", "admin123", "password", "pierhead", ""):
        assert login(unharmed, "admin", guess).status == 401


def test_row_106_no_right_comes_from_a_name() -> None:
    accounts = {name: {"password_env": f"P{n}", "roles": [role]} for n, (name, role) in enumerate(ODD.items())}
    environment = {**ENVIRONMENT, **{f"P{n}": PASSWORD for n in range(len(ODD))}}
    config = {**CONFIG, "accounts": {**CONFIG["accounts"], **accounts}}
    assert variable_of("alice") in environment
    try:
        server = Pierhead(config, environment=environment).start()
    except AssertionError as refused:
        assert "system:scanner" in str(refused), "such a name may be refused, but not understood as a right"
        del config["accounts"]["system:scanner"]
        server = Pierhead(config, environment=environment).start()
    try:
        for name in accounts:
            if name not in config["accounts"]:
                continue
            with server.wire("open", name, PASSWORD) as wire:
                assert wire.put_manifest("any/image", "1", image().manifest).status == 403
                assert wire.request("DELETE", "/v2/any/image/manifests/1").status == 403
    finally:
        server.remove()
