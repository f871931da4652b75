"""Tokens as JSON web tokens: the contract, forgeries, and keys that change under way. Rows 83 to 90 of the table."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from joserfc import jws

from pierhead.adapters.keys.jwt import JwtTokens
from pierhead.adapters.keys.jwt.keys import Keys
from pierhead.adapters.keys.jwt.signatures import ALGORITHM
from pierhead.adapters.system import SystemEntropy
from pierhead.domain import limits
from pierhead.ports.tokens import Bad, Claims, Tokens
from tests.contracts.tokens import NOW, Clock, TokensContract, claims


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def part(document: object) -> str:
    return b64(json.dumps(document).encode())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path, clock: Clock) -> Keys:
    return used(tmp_path / "keys", clock)


def used(folder: Path, clock: Clock) -> Keys:
    """Keys that have signed something, so that there is one."""
    made = Keys(folder, clock, SystemEntropy())
    made.signing()
    return made


@pytest.fixture
def tokens(keys: Keys, clock: Clock) -> JwtTokens:
    return JwtTokens(keys, clock)


class TestJwtTokens(TokensContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def tokens(self, tmp_path: Path, clock: Clock) -> Tokens:
        return JwtTokens(Keys(tmp_path / "ours", clock, SystemEntropy()), clock)

    @pytest.fixture
    def stranger(self, tmp_path: Path, clock: Clock) -> Tokens:
        return JwtTokens(Keys(tmp_path / "theirs", clock, SystemEntropy()), clock)


# --- forged ----------------------------------------------------------------------------------------------------------


def payload_of(tokens: JwtTokens, **more: object) -> dict[str, Any]:
    """What a good token says, changed; a claim that is given None is left out."""
    body = tokens.sign(claims()).split(".")[1]
    document = json.loads(base64.urlsafe_b64decode(body + "=="))
    return {name: value for name, value in {**document, **more}.items() if value is not None}


def signed(keys: Keys, document: object, **header: object) -> str:
    """A token that one of our own keys has signed, whatever it says."""
    key = keys.signing()
    fields = {"alg": ALGORITHM, "kid": key.kid, "typ": "JWT", **header}
    head = part(fields) if header else key.head
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    body = b64(raw)
    private = key.pair.private.get_op_key("sign")
    assert isinstance(private, Ed25519PrivateKey)
    return f"{head}.{body}.{b64(private.sign(f'{head}.{body}'.encode()))}"


def test_the_forger_of_these_tests_can_make_a_good_token(tokens: JwtTokens, keys: Keys) -> None:
    assert tokens.verify(signed(keys, payload_of(tokens))) == claims()


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "NONE", "", None, "HS256", "EdDSA", "RS256", "ES256", 5])
def test_row_83_no_other_algorithm_is_taken(tokens: JwtTokens, keys: Keys, algorithm: object) -> None:
    head, body = part({"alg": algorithm, "kid": keys.signing().kid, "typ": "JWT"}), part(payload_of(tokens))
    empty = b64(hmac.digest(b"", f"{head}.{body}".encode(), hashlib.sha256))
    good = signed(keys, payload_of(tokens)).rpartition(".")[2]
    for signature in ("", empty, good, "AA"):
        assert isinstance(tokens.verify(f"{head}.{body}.{signature}"), Bad)
    assert isinstance(tokens.verify(signed(keys, payload_of(tokens), alg=algorithm)), Bad)
    assert isinstance(tokens.verify(f"{keys.signing().head}.{body}."), Bad)


def test_row_84_the_public_key_is_no_shared_secret_in_any_spelling(tokens: JwtTokens, keys: Keys) -> None:
    key = keys.signing()
    public = key.pair.public.get_op_key("verify")
    assert isinstance(public, Ed25519PublicKey)
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    jwk = json.dumps(dict(key.pair.public.as_dict(private=False)))
    spellings = [pem, pem.strip(), pem.replace(b"\n", b"\r\n"), b" " + pem + b"\n", der, public.public_bytes_raw()]
    spellings += [jwk.encode(), json.dumps({"keys": [json.loads(jwk)]}).encode(), b64(der).encode(), b""]
    for algorithm, digest in (("HS256", hashlib.sha256), ("HS384", hashlib.sha384), ("HS512", hashlib.sha512)):
        for header in ({"alg": algorithm, "kid": key.kid, "typ": "JWT"}, {"alg": algorithm}):
            text = f"{part(header)}.{part(payload_of(tokens))}"
            for secret in spellings:
                assert isinstance(tokens.verify(f"{text}.{b64(hmac.digest(secret, text.encode(), digest))}"), Bad)
    text = f"{key.head}.{part(payload_of(tokens))}"
    assert isinstance(tokens.verify(f"{text}.{b64(hmac.digest(pem, text.encode(), hashlib.sha256))}"), Bad)


def test_row_85_no_key_of_a_header_is_used_and_no_address_in_it_is_met(tokens: JwtTokens, keys: Keys) -> None:
    attacker = Ed25519PrivateKey.generate()
    public = b64(attacker.public_key().public_bytes_raw())
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": public, "kid": keys.signing().kid}
    with socket.create_server(("127.0.0.1", 0)) as trap:
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/keys.json"
        for more in ({"jwk": jwk}, {"jku": url}, {"x5u": url}, {"x5c": [b64(b"x" * 50)]}, {"x5t": public}):
            header = {"alg": ALGORITHM, "kid": keys.signing().kid, "typ": "JWT", **more}
            text = f"{part(header)}.{part(payload_of(tokens))}"
            assert isinstance(tokens.verify(f"{text}.{b64(attacker.sign(text.encode()))}"), Bad)
            assert isinstance(tokens.verify(signed(keys, payload_of(tokens), **more)), Bad), "even signed by ourselves"
        trap.setblocking(False)
        with pytest.raises(BlockingIOError):
            trap.accept()


KIDS = [
    "../../dev/null", "/dev/null", "..\\..\\x", "' OR '1'='1", "x'; DROP TABLE keys; --", "\0", "", "x" * 65_536, None,
    7, ["a"], {"a": 1}, "lock", "installation",
]  # fmt: skip


@pytest.mark.parametrize("kid", KIDS, ids=range(len(KIDS)))
def test_row_86_a_kid_opens_no_file(tokens: JwtTokens, keys: Keys, kid: object, tmp_path: Path) -> None:
    before = sorted(os.listdir(tmp_path / "keys"))
    assert isinstance(tokens.verify(signed(keys, payload_of(tokens), kid=kid)), Bad)
    assert sorted(os.listdir(tmp_path / "keys")) == before


def test_row_86_ten_thousand_unknown_kids_read_the_folder_once_a_second(
    tokens: JwtTokens, keys: Keys, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    read = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: [looks.append(str(path)), *read(path)][1:])  # type: ignore[func-returns-value]
    for number in range(10_000):
        clock.seconds = NOW + number / 5_000
        assert isinstance(tokens.verify(f"{part({'alg': ALGORITHM, 'kid': f'{number:016x}'})}.e30.AA"), Bad)
    assert len(looks) <= 2


@pytest.mark.parametrize("critical", [["exp"], ["b64"], [], ["unknown"], "b64", None])
def test_row_87_crit_is_never_taken(tokens: JwtTokens, keys: Keys, critical: object) -> None:
    more: dict[str, object] = {"crit": critical, "b64": True, "unknown": 1}
    assert isinstance(tokens.verify(signed(keys, payload_of(tokens), **more)), Bad)


def test_row_88_audience_and_issuer_are_this_installation_to_the_letter(tokens: JwtTokens, keys: Keys) -> None:
    name = tokens.service
    odd: list[object] = [
        None,
        "",
        [name],
        [name, "x"],
        name[:-1],
        name + "/",
        name.upper(),
        {"a": name},
        5,
        True,
        f" {name}",
    ]
    for claim in ("aud", "iss"):
        for value in odd:
            assert isinstance(tokens.verify(signed(keys, payload_of(tokens, **{claim: value}))), Bad), (claim, value)


def test_row_89_instants_of_odd_types_are_refused(tokens: JwtTokens, keys: Keys) -> None:
    odd: list[object] = [None, str(NOW + 60), float(NOW + 60), NOW + 60.5, 10**30, -1, True, [], {}, "never"]
    for claim in ("exp", "nbf", "iat"):
        for value in odd:
            assert isinstance(tokens.verify(signed(keys, payload_of(tokens, **{claim: value}))), Bad), (claim, value)
    for raw in (b"NaN", b"Infinity", b"1e999", b"1e3"):
        body = json.dumps(payload_of(tokens)).encode().replace(b'"exp": %d' % (NOW + 300), b'"exp": ' + raw)
        assert raw in body
        assert isinstance(tokens.verify(signed(keys, body)), Bad)


def test_row_90_neither_depth_nor_length_is_parsed(tokens: JwtTokens, keys: Keys) -> None:
    deep = b64(b"[" * 2_000 + b"]" * 2_000)
    deeper = b64(b'{"a":' * 10_000)
    good = signed(keys, payload_of(tokens)).split(".")
    for head in (deep, deeper, "A" * (1 << 20)):
        assert isinstance(tokens.verify(f"{head}.{good[1]}.{good[2]}"), Bad)
    for body in (b"[" * 1_500, b'{"a":' * 800, b"null", b"[]", b'"x"', b"1", b"", b"\xff", b"{}", b'{"iss":1}'):
        assert isinstance(tokens.verify(signed(keys, body)), Bad)
    assert isinstance(tokens.verify(signed(keys, payload_of(tokens, jti="x" * (1 << 20)))), Bad)


def test_claims_that_this_version_does_not_know_are_not_passed_over(tokens: JwtTokens, keys: Keys) -> None:
    """Another version of ours may narrow a token down by one."""
    assert isinstance(tokens.verify(signed(keys, payload_of(tokens, only_from="192.0.2.1"))), Bad)
    odd_access = [{"type": "repository", "name": "dev/a", "actions": ["fly"], "id": 1}]
    assert isinstance(tokens.verify(signed(keys, payload_of(tokens, access=odd_access))), Bad)


# --- keys ------------------------------------------------------------------------------------------------------------


def test_keys_are_open_to_their_owner_only_and_stay_from_start_to_start(tmp_path: Path, clock: Clock) -> None:
    folder = tmp_path / "keys"
    os.umask(os.umask(0))
    first = Keys(folder, clock, SystemEntropy())
    token = JwtTokens(first, clock).sign(claims())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    (key,) = folder.glob("*.json")
    key.chmod(0o644)
    folder.chmod(0o755)
    second = Keys(folder, clock, SystemEntropy())
    assert second.installation == first.installation
    assert JwtTokens(second, clock).verify(token) == claims()
    assert (stat.S_IMODE(key.stat().st_mode), stat.S_IMODE(folder.stat().st_mode)) == (0o600, 0o700)
    (secret,) = [json.loads(path.read_text())["d"] for path in folder.glob("*.json")]
    assert secret not in repr(second.all())


def test_a_new_key_signs_when_every_process_knows_it(tmp_path: Path, clock: Clock) -> None:
    ours, theirs = (used(tmp_path / "keys", clock) for _ in range(2))
    here, there = JwtTokens(ours, clock), JwtTokens(theirs, clock)
    before = here.sign(claims())
    new = ours.rotate()
    assert ours.signing().kid != new.kid
    assert there.verify(here.sign(claims())) == claims()
    clock.seconds += limits.KEY_LOOK_SECONDS
    assert theirs.refresh()
    assert not theirs.refresh()
    clock.seconds = NOW + limits.KEY_REST_SECONDS + 1
    assert ours.signing().kid == theirs.signing().kid == new.kid
    for maker, reader in ((here, there), (there, here)):
        assert reader.verify(maker.sign(claims())) == claims()
        assert reader.verify(before) == claims()


def test_a_process_that_has_not_looked_yet_looks_when_it_meets_a_new_key(tmp_path: Path, clock: Clock) -> None:
    ours, theirs = (used(tmp_path / "keys", clock) for _ in range(2))
    ours.rotate(drop_old=True)
    token = JwtTokens(ours, clock).sign(claims())
    assert isinstance(JwtTokens(theirs, clock).verify(token), Bad), "it has looked within the last second"
    clock.seconds += 1
    assert JwtTokens(theirs, clock).verify(token) == claims()


def test_keys_are_made_anew_after_a_month_and_go_when_no_token_of_theirs_is_left(keys: Keys, clock: Clock) -> None:
    (first,) = keys.all()
    clock.seconds = NOW + limits.KEY_SECONDS - 1
    assert not keys.wants_tending()
    assert keys.tend() == []
    clock.seconds += 1
    assert keys.wants_tending()
    assert len(keys.tend()) == 1
    assert next(iter(keys.all())).kid == first.kid
    last = clock.seconds + limits.KEY_REST_SECONDS + limits.TOKEN_SECONDS_MAX
    clock.seconds = last
    assert keys.tend() == []
    clock.seconds = last + 61
    assert keys.tend() == [f"removed the key {first.kid}"]
    assert len(keys.all()) == 1
    assert keys.tend() == []


def test_two_processes_that_find_a_key_old_make_one_new_key(tmp_path: Path, clock: Clock) -> None:
    ours, theirs = (used(tmp_path / "keys", clock) for _ in range(2))
    clock.seconds += limits.KEY_SECONDS
    assert len(ours.tend()) == 1
    assert theirs.tend() == []
    assert [key.kid for key in ours.all()] == [key.kid for key in theirs.all()]


def test_keys_that_are_dropped_hold_no_more(keys: Keys, tokens: JwtTokens) -> None:
    before = tokens.sign(claims())
    keys.rotate(drop_old=True)
    assert isinstance(tokens.verify(before), Bad)
    assert isinstance(tokens.verify(tokens.sign(claims())), Claims)


@pytest.mark.parametrize("content", [b"", b"{}", b"\0" * 200, b'{"kid":"aa","created":1}', b"[" * 3_000])
def test_a_file_that_holds_no_key_is_left_out_and_named(tmp_path: Path, clock: Clock, content: bytes) -> None:
    folder = tmp_path / "keys"
    keys = Keys(folder, clock, SystemEntropy())
    (folder / "aa.json").write_bytes(content)
    assert not keys.refresh()
    assert keys.damaged == ("aa",)
    (folder / f"{keys.signing().kid}.json").unlink()
    again = Keys(folder, clock, SystemEntropy())
    assert not again.all()
    again.signing()
    assert len(again.all()) == 1, "the first token with nothing usable makes a key"


def test_halves_that_do_not_belong_together_are_no_key_and_are_told_when_they_are_used(
    tmp_path: Path, clock: Clock
) -> None:
    one, other = used(tmp_path / "keys", clock), used(tmp_path / "others", clock)
    (path,) = (tmp_path / "keys").glob("*.json")
    (foreign,) = (tmp_path / "others").glob("*.json")
    mixed = {**json.loads(path.read_text()), "x": json.loads(foreign.read_text())["x"]}
    path.write_text(json.dumps(mixed))
    keys = Keys(tmp_path / "keys", clock, SystemEntropy())
    token = JwtTokens(keys, clock).sign(claims())
    assert keys.damaged == (path.stem,)
    assert JwtTokens(keys, clock).verify(token) == claims()
    assert one.signing().kid == path.stem != other.signing().kid


def test_the_first_token_of_one_process_is_known_to_another_at_once(tmp_path: Path, clock: Clock) -> None:
    here, there = (JwtTokens(Keys(tmp_path / "keys", clock, SystemEntropy()), clock) for _ in range(2))
    assert there.verify(here.sign(claims())) == claims()


def test_keys_that_somebody_takes_away_hold_no_more_and_another_is_made(
    tmp_path: Path, keys: Keys, tokens: JwtTokens, clock: Clock
) -> None:
    before = tokens.sign(claims())
    for path in (tmp_path / "keys").glob("*.json"):
        path.unlink()
    assert keys.refresh()
    assert isinstance(tokens.verify(before), Bad)
    assert tokens.verify(tokens.sign(claims())) == claims()
    shutil.rmtree(tmp_path / "keys")
    assert tokens.verify(tokens.sign(claims())) == claims(), "what is known goes on"
    with pytest.raises(OSError):
        keys.refresh()
    assert isinstance(tokens.verify("eyJ9.e30.AA"), Bad)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_makes_belongs_to_the_owner_of_the_folder(tmp_path: Path, keys: Keys) -> None:
    os.chown(tmp_path / "keys", 12_345, 12_345)
    made = tmp_path / "keys" / f"{keys.rotate().kid}.json"
    assert (made.stat().st_uid, stat.S_IMODE(made.stat().st_mode)) == (12_345, 0o600)


def test_a_link_is_no_key(tmp_path: Path, clock: Clock) -> None:
    keys = Keys(tmp_path / "keys", clock, SystemEntropy())
    (tmp_path / "keys" / "bb.json").symlink_to(tmp_path / "keys" / f"{keys.signing().kid}.json")
    keys.refresh()
    assert keys.damaged == ("bb",)


def test_the_token_of_the_standard_library_of_others_reads_the_same(tokens: JwtTokens, keys: Keys) -> None:
    """It is a JSON web token like any other, for whoever has the public key."""
    found = jws.deserialize_compact(tokens.sign(claims()), keys.signing().pair.public, algorithms=[ALGORITHM])
    assert found.headers() == {"alg": ALGORITHM, "kid": keys.signing().kid, "typ": "JWT"}
    assert json.loads(found.payload)["access"] == [
        {"type": "repository", "name": "dev/team/app", "actions": ["pull", "push"], "id": 7}
    ]
