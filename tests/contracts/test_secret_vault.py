"""Passwords in Vault: a real OpenBao that is set up, rotated, sealed and killed, and one that misbehaves on demand."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import trustme

from pierhead.adapters.system import SystemClock
from pierhead.adapters.vault import AppRole, GivenToken, Jwt, Vault, VaultSecret, VaultSettings, Way
from pierhead.domain import limits
from pierhead.ports.secrets import SecretAway, SecretGone, SecretText
from tests.cli.odd_vault import OddVault, Script, said
from tests.contracts.secret_ground import Clock
from tests.peers.fixtures import made
from tests.peers.gitlab import gitlab
from tests.peers.openbao import OpenBao

pytestmark = pytest.mark.server

PATH = "secret/data/nexus/svc-orchestrator"
PASSWORD = "orchestrator-secret-1"
POLICY = "pierhead"
ROLE = {"token_policies": [POLICY], "token_ttl": "20m", "token_max_ttl": "0"}


@pytest.fixture(scope="module")
def started() -> Iterator[OpenBao]:
    """With a policy, an AppRole whose tokens live as long as each test says, and JWT logins."""
    with made(OpenBao) as server:
        server.policy(POLICY, "secret/data/nexus/*")
        server.call("POST", "sys/auth/approle", {"type": "approle"}).expect(204)
        server.enable_jwt(gitlab())
        server.role("pierhead", [gitlab().url], policies=[POLICY])
        yield server


@pytest.fixture
def bao(started: OpenBao) -> OpenBao:
    started.put_account("svc-orchestrator", PASSWORD)
    return started


def approle(bao: OpenBao, **role: object) -> AppRole:
    """A role of this test's own, with a new secret ID."""
    bao.call("POST", "auth/approle/role/pierhead", {**ROLE, **role}).expect(204)
    role_id = bao.call("GET", "auth/approle/role/pierhead/role-id").expect(200).body["data"]["role_id"]
    secret_id = bao.call("POST", "auth/approle/role/pierhead/secret-id", {}).expect(200).body["data"]["secret_id"]
    return AppRole(lambda: role_id, lambda: secret_id)


@contextlib.asynccontextmanager
async def opened(
    url: str, way: Way, clock: Clock | None = None, *, ca: Path | None = None, seconds: float = 5.0
) -> AsyncIterator[Vault]:
    vault = Vault(VaultSettings(url=url, way=way, ca=ca, seconds=seconds), clock or SystemClock())
    try:
        yield vault
    finally:
        await vault.aclose()


async def password(vault: Vault, path: str = PATH, field: str = "password") -> str:
    return (await VaultSecret(vault, path, field, 60.0).read()).text


async def away(vault: Vault, path: str = PATH) -> SecretAway:
    with pytest.raises(SecretAway) as caught:
        await password(vault, path)
    assert PASSWORD not in caught.value.why
    return caught.value


async def test_each_way_to_sign_in_reads_the_newest_version_and_gives_its_token_back(
    bao: OpenBao, tmp_path: Path
) -> None:
    token = bao.call("POST", "auth/token/create", {"policies": [POLICY], "ttl": "1h"}).expect(200).body["auth"]
    before = bao.live_tokens()
    ways: list[Way] = [
        GivenToken(lambda: str(token["client_token"])),
        approle(bao),
        Jwt("pierhead", lambda: gitlab().id_token(project_id=5)),
    ]
    for number, way in enumerate(ways):
        async with opened(bao.url, way) as vault:
            assert await password(vault) == PASSWORD if number == 0 else f"rotated-{number - 1}"
            bao.put_account("svc-orchestrator", f"rotated-{number}")
            found = await VaultSecret(vault, PATH, "password", 60.0).read()
            assert found.text == f"rotated-{number}"
            assert found.version > 1
            assert abs(found.written / 1_000_000 - time.time()) < 60
            assert await password(vault, field="username") == "svc-orchestrator"
        assert bao.live_tokens() == before


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda bao: bao.delete_secret("nexus/svc-orchestrator"), "the newest version of the secret {} is deleted"),
        (
            lambda bao: bao.call("PUT", "secret/destroy/nexus/svc-orchestrator", {"versions": list(range(1, 99))}),
            "the newest version of the secret {} is destroyed",
        ),
        (
            lambda bao: bao.call("DELETE", "secret/metadata/nexus/svc-orchestrator"),
            "Vault at http://",
        ),
        (
            lambda bao: bao.put_secret("nexus/svc-orchestrator", {"pasword": "x"}),
            "the secret {} has no field `password` with a text in it",
        ),
        (lambda bao: bao.put_secret("nexus/svc-orchestrator", {"password": 5}), "the secret {} has no field"),
        (lambda bao: bao.put_secret("nexus/svc-orchestrator", {"password": ""}), "the secret {} has no field"),
        (
            lambda bao: bao.put_secret("nexus/svc-orchestrator", {"password": "two\nlines"}),
            "the field `password` of {} is no password",
        ),
        (lambda bao: bao.put_secret("nexus/svc-orchestrator", {"password": "x" * 5_000}), "the field `password` of {}"),
    ],
)
async def test_what_vault_says_is_not_there_is_gone(bao: OpenBao, spoil: Callable[[OpenBao], object], why: str) -> None:
    spoil(bao)
    async with opened(bao.url, approle(bao)) as vault:
        with pytest.raises(SecretGone) as caught:
            await password(vault)
    assert caught.value.why.startswith(why.format(PATH))


async def test_a_line_break_at_the_end_is_no_part_of_the_password(bao: OpenBao) -> None:
    bao.put_secret("nexus/svc-orchestrator", {"password": "from a file\n"})
    async with opened(bao.url, approle(bao)) as vault:
        assert await password(vault) == "from a file"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("secret/data/other/x", "does not let Pierhead read secret/data/other/x"),
        ("nowhere/data/nexus/x", "does not let Pierhead read nowhere/data/nexus/x"),
    ],
)
async def test_a_secret_that_pierhead_may_not_read_is_neither_there_nor_gone(bao: OpenBao, path: str, why: str) -> None:
    async with opened(bao.url, approle(bao)) as vault:
        found = await away(vault, path)
        assert why in found.why
        assert found.told == "Vault does not let Pierhead read it"
        assert await password(vault) == PASSWORD


async def test_a_mount_that_is_not_there_or_of_version_1_takes_nothing_back(bao: OpenBao) -> None:
    bao.policy(POLICY, "*")
    bao.mount("old", version=1)
    bao.call("POST", "old/data/x", {"password": "p"}).expect(204)
    try:
        async with opened(bao.url, approle(bao)) as vault:
            assert "lies in no KV store of version 2" in (await away(vault, "nowhere/data/x")).why
            assert "is no secret of a KV store of version 2" in (await away(vault, "old/data/x")).why
    finally:
        bao.policy(POLICY, "secret/data/nexus/*")
        bao.call("DELETE", "sys/mounts/old").expect(204)


async def test_sealed_is_said_and_unsealed_is_read_again(bao: OpenBao) -> None:
    async with opened(bao.url, approle(bao)) as vault:
        assert await password(vault) == PASSWORD
        bao.seal()
        try:
            found = await away(vault)
            assert found.why == f"Vault at {bao.url} is sealed: somebody has to unseal it"
            assert found.told == "Vault is sealed"
            async with opened(bao.url, approle_unread()) as another:
                assert (await away(another)).told == "Vault is sealed"
        finally:
            bao.unseal()
        assert await password(vault) == PASSWORD


def approle_unread() -> AppRole:
    return AppRole(lambda: "role", lambda: "secret")


async def test_killed_it_cannot_be_reached_and_one_that_starts_there_is_asked_again() -> None:
    with made(OpenBao) as own:
        own.put_account("svc-orchestrator", PASSWORD)
        async with opened(own.url, GivenToken(lambda: own.root_token)) as vault:
            assert await password(vault) == PASSWORD
            own.kill()
            found = await away(vault)
            assert found.why == f"Vault at {own.url} cannot be reached (connection refused)"
            assert found.told == "Vault cannot be reached"
            own.start()
            own.put_account("svc-orchestrator", "after the start")
            assert await password(vault) == "after the start"


async def test_a_wrong_secret_id_is_told_and_not_tried_again_and_again(bao: OpenBao) -> None:
    right = approle(bao)
    texts, clock = ["wrong-canary"], Clock()
    async with opened(bao.url, AppRole(right.role_id, lambda: texts[0]), clock) as vault:
        for _ in range(3):
            found = await away(vault)
            assert "does not accept, at auth/approle, the AppRole" in found.why
            assert "canary" not in found.why + found.told
        texts[0] = right.secret_id()
        assert await password(vault) == PASSWORD


async def test_a_token_is_renewed_before_it_ends_and_replaced_when_it_cannot_be(bao: OpenBao) -> None:
    clock = Clock()
    async with opened(bao.url, approle(bao, token_ttl="90s", token_max_ttl="10m"), clock) as vault:
        await password(vault)
        held = vault._sign_in._held
        assert held is not None
        first = held.text
        clock.seconds += 59
        await password(vault)
        assert clock.seconds > held.renew_at - 2
        clock.seconds += 2
        await password(vault)
        renewed = vault._sign_in._held
        assert renewed is not None
        assert renewed.text == first
        assert renewed.renew_at == pytest.approx(clock.seconds + 60, abs=5)
        clock.seconds += 600  # over: nothing is left to renew
        await password(vault)
        again = vault._sign_in._held
        assert again is not None
        assert again.text != first


async def test_a_token_that_somebody_revoked_is_replaced_at_once(bao: OpenBao) -> None:
    async with opened(bao.url, approle(bao)) as vault:
        await password(vault)
        held = vault._sign_in._held
        assert held is not None
        bao.call("POST", "auth/token/revoke", {"token": held.text}).expect(204)
        assert await password(vault) == PASSWORD


async def test_a_given_token_is_read_anew_when_it_does_not_hold_any_more(bao: OpenBao) -> None:
    tokens = [
        str(bao.call("POST", "auth/token/create", {"policies": [POLICY]}).expect(200).body["auth"]["client_token"])
        for _ in range(2)
    ]
    at_hand = [tokens[0]]
    async with opened(bao.url, GivenToken(lambda: at_hand[0])) as vault:
        await password(vault)
        bao.call("POST", "auth/token/revoke", {"token": tokens[0]}).expect(204)
        found = await away(vault)
        assert tokens[0] not in found.why
        at_hand[0] = tokens[1]
        assert await password(vault) == PASSWORD
    assert bao.call("GET", "auth/token/lookup-self", token=tokens[1]).status == 200, "it is somebody else's"


async def test_its_certificate_is_checked_against_the_authority_that_is_named(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    with made(lambda: OpenBao(tls=True)) as safe:
        safe.put_account("svc-orchestrator", PASSWORD)
        async with opened(safe.url, GivenToken(lambda: safe.root_token), ca=safe.authority) as vault:
            assert await password(vault) == PASSWORD
        for ca in (None, tmp_path / "other.pem"):
            async with opened(safe.url, GivenToken(lambda: safe.root_token), ca=ca) as vault:
                found = await away(vault)
                assert found.why.startswith(f"the certificate of Vault at {safe.url} is not trusted (")
                assert found.told == "the certificate of Vault is not trusted"


# --- what a real one does not do on demand ---------------------------------------------------------------------------

LOOKUP = "auth/token/lookup-self"
GIVEN: Script = {LOOKUP: said({"data": {"ttl": 0}}), "sys/health": said({"sealed": False, "standby": True}, 429)}


@contextlib.asynccontextmanager
async def odd(script: Script, *, drips: bool = False, seconds: float = 5.0) -> AsyncIterator[tuple[OddVault, Vault]]:
    with OddVault({**GIVEN, **script}, drips=drips) as server:
        async with opened(server.url, GivenToken(lambda: "s.canaryTokenOfPierhead"), seconds=seconds) as vault:
            yield server, vault


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (said({"errors": ["internal error"]}, 500), "Vault does not answer as it should"),
        (said({"errors": ["not active"]}, 503), "Vault has no active node"),
        (said({}, 429), "Vault is asked too often"),
        ((200, {}, "<html>"), "Vault does not answer as it should"),
        ((200, {}, "[" * 100_000), "Vault does not answer as it should"),
        ((200, {}, "[1]"), "Vault does not answer as it should"),
        ((200, {}, " " * (limits.VAULT_ANSWER_BYTES_MAX + 1)), "Vault does not answer as it should"),
        (said({"data": None}), "Vault does not have it there"),
        (said({"data": {"data": "text", "metadata": {}}}), "Vault does not have it there"),
    ],
)
async def test_an_answer_that_is_neither_yes_nor_no_takes_nothing_back(
    answer: tuple[int, dict[str, str], str], told: str
) -> None:
    async with odd({PATH: answer}) as (_, vault):
        found = await away(vault)
        assert found.told == told
        assert "canary" not in found.why


async def test_a_redirect_is_not_followed_and_the_token_goes_nowhere() -> None:
    with OddVault({}) as elsewhere:
        async with odd({PATH: (307, {"Location": f"{elsewhere.url}/v1/{PATH}"}, "")}) as (_, vault):
            found = await away(vault)
            assert "where no token is sent" in found.why
        assert elsewhere.seen == []


@pytest.mark.parametrize("drips", [False, True])
async def test_a_vault_that_hangs_or_drips_is_given_up_in_time_and_others_do_not_queue_behind_it(drips: bool) -> None:
    script: Script = {} if drips else {PATH: OddVault.keep_waiting}
    async with odd(script, drips=drips, seconds=0.3) as (server, vault):
        began = time.monotonic()
        paths = [PATH, *(f"secret/data/x{number}" for number in range(40))]
        server.script.update({path: OddVault.keep_waiting for path in paths if not drips})
        found = await asyncio.gather(*(away(vault, path) for path in paths))
        assert {one.told for one in found} == {"Vault does not answer in time"}
        assert time.monotonic() - began < 10
        assert len(server.seen) <= 2 * limits.SECRETS_READ_AT_ONCE


async def test_one_path_is_read_once_for_all_who_ask_at_the_same_time(bao: OpenBao) -> None:
    async with odd({}) as (server, vault):
        found = await asyncio.gather(*(password(vault) for _ in range(20)))
        assert set(found) == {"the-password-1"}
        assert [path for path, _ in server.seen].count(PATH) == 1


async def test_nothing_that_is_shown_holds_a_token_or_a_password() -> None:
    async with odd({}) as (_, vault):
        answer = await vault.read(PATH)
        shown = f"{answer!r} {answer} {vault._sign_in._held!r} {SecretText('the-password-1')!r}"
        assert "canary" not in shown
        assert "the-password-1" not in shown
