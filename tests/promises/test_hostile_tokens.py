"""Hostile bearer tokens against a running program: rows 56 and 82 to 94 of the table. Forgeries by the hundred are in
``contracts/test_tokens_jwt.py``; here is what the wire makes of the main ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from pierhead.actions.accept_token import Accepting
from pierhead.adapters.keys.jwt import JwtTokens
from pierhead.adapters.keys.jwt.keys import Keys
from pierhead.adapters.system import SystemClock, SystemEntropy
from pierhead.domain.access import Principal, Right, rules_of
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.scopes import Access
from pierhead.ports.identity import Lagging
from pierhead.ports.tokens import Claims
from pierhead.repositories.table import Entry, Table
from tests.peers.images import random_layer
from tests.peers.pierhead import Pierhead
from tests.peers.processes import LOOPBACK, wait_until
from tests.promises.bearers import Bearer, challenge_of, claims_of
from tests.promises.ground import ALICE, CONFIG, ENVIRONMENT, PASSWORD, READER, Ground, Heard

MANIFEST = "/v2/known/image/manifests/1.0.0"


def client(ground: Ground, who: str, port: str = "open") -> Bearer:
    return Bearer(ground.server, port, who, ground.server.admin_password if who == "admin" else PASSWORD)


def bearer(ground: Ground, token: str, target: str = MANIFEST, method: str = "GET", port: str = "open") -> Heard:
    return ground.ask(method, target, headers={"Authorization": f"Bearer {token}"}, who="", port=port)


def refused_as_invalid(heard: Heard) -> None:
    assert heard.is_one_of("401 UNAUTHORIZED"), heard
    (only,) = heard.headers.get_all("WWW-Authenticate") or [""]
    assert only.startswith("Bearer realm=")
    assert only.endswith(',error="invalid_token"')


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.fixture
def token(ground: Ground) -> Iterator[str]:
    with client(ground, READER) as reader:
        yield reader.take("repository:known/image:pull")


def test_row_82_without_credentials_the_challenge_is_exact(unharmed: Ground) -> None:
    address = f"{LOOPBACK}:{unharmed.server.port('open')}"
    for method, target, scope in (
        ("GET", "/v2/", ""),
        ("GET", MANIFEST, ',scope="repository:known/image:pull"'),
        ("HEAD", MANIFEST, ',scope="repository:known/image:pull"'),
        ("PUT", MANIFEST, ',scope="repository:known/image:pull,push"'),
        ("POST", "/v2/known/image/blobs/uploads/", ',scope="repository:known/image:pull,push"'),
        ("DELETE", MANIFEST, ',scope="repository:known/image:delete"'),
    ):
        heard = unharmed.ask(method, target, headers={"Host": address}, who="")
        assert heard.status == 401
        (only,) = heard.headers.get_all("WWW-Authenticate") or [""]
        service = only.partition('service="')[2].partition('"')[0]
        assert service.startswith("pierhead-")
        assert only == f'Bearer realm="http://{address}/token",service="{service}"{scope}'
    evil = unharmed.ask("GET", "/v2/", headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"}, who="")
    assert "evil" not in str(evil.headers)


def test_row_83_and_84_other_algorithms_are_no_signature(unharmed: Ground, token: str) -> None:
    assert bearer(unharmed, token).status == 200
    head, body, signature = token.split(".")
    fields = json.loads(base64.urlsafe_b64decode(head + "=="))
    for algorithm in ("none", "None", "nOnE", "", "HS256"):
        text = f"{b64(json.dumps({**fields, 'alg': algorithm}).encode())}.{body}"
        empty = b64(hmac.digest(b"", text.encode(), hashlib.sha256))
        for end in ("", signature, empty):
            refused_as_invalid(bearer(unharmed, f"{text}.{end}"))
    refused_as_invalid(bearer(unharmed, f"{head}.{body}."))
    refused_as_invalid(bearer(unharmed, f"{head}.{body}"))


def test_row_85_a_key_that_comes_along_is_not_fetched(unharmed: Ground, token: str) -> None:
    attacker = Ed25519PrivateKey.generate()
    fields = json.loads(base64.urlsafe_b64decode(token.split(".", maxsplit=1)[0] + "=="))
    with socket.create_server((LOOPBACK, 0)) as trap:
        url = f"http://{LOOPBACK}:{trap.getsockname()[1]}/jwks.json"
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(attacker.public_key().public_bytes_raw())}
        for more in ({"jku": url}, {"x5u": url}, {"jwk": jwk}, {"x5c": ["AAAA"]}, {"crit": ["exp"]}):
            text = f"{b64(json.dumps({**fields, **more}).encode())}.{token.split('.')[1]}"
            refused_as_invalid(bearer(unharmed, f"{text}.{b64(attacker.sign(text.encode()))}"))
        trap.setblocking(False)
        with pytest.raises(BlockingIOError):
            trap.accept()


@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1 --", "\0", "x" * 8_000, 7, None])
def test_row_86_a_kid_is_a_word_and_no_path(unharmed: Ground, token: str, kid: object) -> None:
    fields: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".", maxsplit=1)[0] + "=="))
    _, body, signature = token.split(".")
    refused_as_invalid(bearer(unharmed, f"{b64(json.dumps({**fields, 'kid': kid}).encode())}.{body}.{signature}"))


def test_row_90_a_token_of_any_size_and_depth_is_401_or_431(unharmed: Ground, token: str) -> None:
    refused_as_invalid(bearer(unharmed, f"{b64(b'[' * 5_000 + b']' * 5_000)}.e30.AA"))
    refused_as_invalid(bearer(unharmed, "x" * 15_000))
    refused_as_invalid(bearer(unharmed, "." * 10_000))
    assert bearer(unharmed, "x" * (1 << 20)).status == 431
    for odd in ("", " ", "a", "\x80", token + " ", token.replace(".", ","), token[:-4], token + "x"):
        heard = bearer(unharmed, odd)
        assert heard.status in (200, 400, 401), odd
        assert heard.status != 200 or odd.strip() == token


def test_row_91_a_token_for_one_thing_does_no_other(unharmed: Ground) -> None:
    """What the account might have asked for is 401, and asking again helps; what it may not do at all is 403."""
    with client(unharmed, ALICE) as alice, client(unharmed, READER) as reader:
        alice.take("repository:known/image:pull")
        for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/1.0.0")):
            refused = alice.request(method, f"/v2/known/image/{path}", b"").expect(401)
            challenge = challenge_of(refused)
            assert (challenge["error"], challenge["scope"]) == (
                "insufficient_scope",
                "repository:known/image:pull,push",
            )
        other = challenge_of(alice.request("GET", "/v2/known/index/manifests/multi").expect(401))
        assert (other["error"], other["scope"]) == ("insufficient_scope", "repository:known/index:pull")
        reader.take("repository:known/image:pull,push", "repository:known/image:*", "repository:known/a,known/b:*")
        for method, path, scope in (
            ("POST", "blobs/uploads/", "pull,push"),
            ("PUT", "manifests/1.0.0", "pull,push"),
            ("DELETE", "manifests/1.0.0", "delete"),
        ):
            refused = reader.request(method, f"/v2/known/image/{path}", b"").expect(403)
            assert refused.code == "DENIED"
            challenge = challenge_of(refused)
            assert challenge["error"] == "insufficient_scope"
            assert challenge["scope"] == f"repository:known/image:{scope}"
        alice.take("repository:known/image:pull,push")
        heard = alice.insist("DELETE", "/v2/known/image/manifests/1.0.0")
        assert (heard.status, heard.code) == (403, "DENIED")
        for port in ("once", "shut"):
            elsewhere = bearer(unharmed, alice.token, "/v2/known/image/manifests/1.0.0", port=port)
            assert elsewhere.is_one_of("401 UNAUTHORIZED"), "the same name in another repository is another image"


def test_row_92_asking_for_what_one_may_not_gives_a_token_that_does_nothing(unharmed: Ground) -> None:
    with client(unharmed, READER) as reader:
        answer = reader.ask_token("repository:known/image:push").expect(200)
        reader.token = answer.json()["token"]
        assert claims_of(reader.token)["access"] == []
        assert reader.request("POST", "/v2/known/image/blobs/uploads/", b"").status == 403
        assert reader.request("GET", MANIFEST).status == 401


def test_a_bad_token_is_not_a_way_round_a_good_password_and_counts_for_nobody(unharmed: Ground) -> None:
    for _ in range(30):
        refused_as_invalid(bearer(unharmed, "a.b.c"))
    assert unharmed.ask("GET", MANIFEST).status == 200


def test_guesses_at_the_token_endpoint_are_slowed_down(unharmed: Ground) -> None:
    with Bearer(unharmed.server, "open", "outsider", "wrong") as guesser:
        answers = []
        for number in range(6):
            guesser.password = f"wrong{number}"
            answers.append(guesser.ask_token())
            answers.append(guesser.post_token(grant_type="password", username="outsider", password=f"worse{number}"))
        assert [answer.status for answer in answers] == [401, 400] * 5 + [429, 429]
        assert int(answers[-1].headers["Retry-After"]) > 0


def test_no_token_comes_into_the_log(unharmed: Ground, token: str) -> None:
    bearer(unharmed, token)
    with client(unharmed, ALICE) as alice:
        alice.post_token(grant_type="password", username=ALICE, password=PASSWORD).expect(200)
        alice.post_token(grant_type="password", username=ALICE, password="canary-password")
    log = unharmed.server.log
    assert token.rpartition(".")[2] not in log
    assert token.split(".")[1] not in log
    assert PASSWORD not in log
    assert "canary-password" not in log


# --- what a token outlives, and what not -----------------------------------------------------------------------------


class _Kept:
    """A hosted repository as far as tokens look at one."""

    kind = "hosted"

    def __init__(self, name: str, row: int) -> None:
        self.name = RepositoryName(name)
        self.row_id = row

    def judged(self, image: ImageName) -> ImageName:
        return image

    async def manifest(self, *_: object, **__: object) -> None: ...
    async def blob(self, *_: object, **__: object) -> None: ...
    async def tags(self, *_: object, **__: object) -> None: ...
    async def images(self, *_: object, **__: object) -> None: ...
    async def referrers(self, *_: object, **__: object) -> None: ...


class _Accounts:
    def principal(self, name: str) -> Principal | None:
        return Principal(name, rules_of(["publisher"], ())) if name == "anna" else None

    def made(self, name: str) -> int:
        return 0

    def revoked(self, access_token: str) -> bool:
        return False


async def _caught_up() -> None:
    """There is no other process."""


@pytest.mark.parametrize("right", [Right.PULL, Right.PUSH])
def test_row_56_and_93_a_token_is_for_the_repository_that_it_was_made_for_and_for_no_later_one_of_its_name(
    right: Right, tmp_path: Any
) -> None:
    """Rows of repositories stay today, whatever the file says, so this is tried on the values that decide."""
    clock, dev, app = SystemClock(), RepositoryName("dev"), ImageName("team/app")
    tokens = JwtTokens(Keys(tmp_path / "keys", clock, SystemEntropy()), clock)
    now = clock.now() // 1_000_000
    claims = Claims("anna", now, now, now + 60, "1", (Access(dev, app, frozenset({Right.PULL, Right.PUSH}), 7),))
    for row, holds in ((7, True), (8, False)):
        table = Table((Entry(_Kept("dev", row)),), "")  # type: ignore[arg-type]
        read = Accepting(tokens, _Accounts(), table, clock, _caught_up)(tokens.sign(claims))
        assert isinstance(read, tuple)
        who, _ = read
        assert who.may(right, dev, app) is holds
        assert who.lacks_scope(right, dev, app) is not holds, "which is 401, and asking again helps"
    table = Table((), "")
    read = Accepting(tokens, _Accounts(), table, clock, _caught_up)(tokens.sign(claims))
    assert isinstance(read, tuple)
    assert not read[0].may(right, dev, app)


def test_nobody_becomes_an_account_by_bringing_rules_along(tmp_path: Any) -> None:
    clock = SystemClock()
    tokens = JwtTokens(Keys(tmp_path / "keys", clock, SystemEntropy()), clock)
    accept = Accepting(tokens, _Accounts(), Table((), ""), clock, _caught_up)
    now = clock.now() // 1_000_000
    rules = rules_of(["deployer"], ())
    job = Claims("job:group/project", now, now, now + 60, "1", rules=rules, through={"issuer": "https://ci.example"})
    read = accept(tokens.sign(job))
    assert isinstance(read, tuple)
    assert (read[0].name, read[0].rules, read[0].asked) == ("job:group/project", rules, ())
    assert read[0].through == {"issuer": "https://ci.example"}
    for odd in (replace(job, subject="anna"), replace(job, rules=None), replace(job, subject="bob", rules=None)):
        assert isinstance(accept(tokens.sign(odd)), str | Lagging)


def test_row_94_an_account_that_the_file_stops_naming_is_refused_at_once_with_its_token() -> None:
    accounts = CONFIG["accounts"]
    with Pierhead(CONFIG, environment=ENVIRONMENT) as server:
        with Bearer(server, "open", ALICE, PASSWORD) as alice:
            alice.take("repository:team/app:pull,push")
            location = alice.request("POST", "/v2/team/app/blobs/uploads/", b"").expect(202).headers["Location"]
            blob = random_layer(1_000, 1)
            alice.request("PATCH", location, blob.data).expect(202)
            server.reload({**CONFIG, "accounts": {**accounts, ALICE: {**accounts[ALICE], "roles": ["deployer"]}}})
            server.wait_for_log("The configuration was read again.")
            assert alice.request("PUT", f"{location}?digest={blob.digest}", b"").status == 403
            assert alice.request("GET", "/v2/").status == 200
            server.reload({**CONFIG, "accounts": {name: one for name, one in accounts.items() if name != ALICE}})
            wait_until(lambda: alice.request("GET", "/v2/").status == 401, 20, "the end of alice's token")
            assert challenge_of(alice.request("GET", "/v2/"))["error"] == "invalid_token"
            assert alice.ask_token().status == 401
