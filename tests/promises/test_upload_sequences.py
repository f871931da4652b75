"""Any sequence of begin, append, status, finish, cancel and retry does what a small model of it says.

The program runs for real; Hypothesis chooses what is sent, shrinks what fails, and compares every answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.peers.pierhead import Pierhead
from tests.peers.wire import Answer, Wire
from tests.promises.ground import CONFIG, ENVIRONMENT, PASSWORD

# Around the size from which an upload gets a file, and beyond one piece of the socket.
SIZES = st.sampled_from([0, 1, 5, 1_000, 16_384, 16_385, 70_000])
NAMES = ("seq/one", "seq/two")


@dataclass
class Session:
    """What the model knows of an upload; ``ended`` is the digest that it ended with."""

    location: str
    data: bytes = b""
    open: bool = True
    ended: str = ""


class Uploads(RuleBasedStateMachine):
    wires: ClassVar[dict[str, Wire]] = {}
    serial: ClassVar[int] = 0
    sessions = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.blobs: set[tuple[str, str]] = set()
        self.all: list[Session] = []

    @initialize()
    def fresh_names(self) -> None:
        Uploads.serial += 1
        self.names = [f"{name}/{Uploads.serial}" for name in NAMES]

    def say(self, method: str, target: str, body: bytes | None = None, who: str = "alice", **headers: str) -> Answer:
        answer = self.wires[who].request(method, target, body, {k.replace("_", "-"): v for k, v in headers.items()})
        assert answer.status < 500, answer.body
        return answer

    @rule(target=sessions, which=st.integers(0, 1), algorithm=st.sampled_from(["", "?digest-algorithm=sha512"]))
    def begin(self, which: int, algorithm: str) -> Session:
        answer = self.say("POST", f"/v2/{self.names[which]}/blobs/uploads/{algorithm}", b"")
        assert answer.status == 202
        made = Session(str(answer.headers["Location"]))
        self.all.append(made)
        return made

    @rule(
        session=sessions,
        size=SIZES,
        fill=st.integers(0, 255),
        start=st.sampled_from(["right", "none", "again", "gap", "overlap", "negative"]),
        lie=st.sampled_from([0, 0, 0, 1, -1]),
    )
    def append(self, session: Session, size: int, fill: int, start: str, lie: int) -> None:
        held = len(session.data)
        body = bytes([fill]) * size
        begins = {"right": held, "none": held, "again": 0, "gap": held + 3, "overlap": held - 1, "negative": -1}[start]
        headers = {} if start == "none" else {"Content_Range": f"{begins}-{begins + size - 1 + lie}"}
        answer = self.say("PATCH", session.location, body, **headers)
        if not session.open:
            assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")
        elif headers and (begins < 0 or size + lie < 1):
            assert (answer.status, answer.code) == (400, "BLOB_UPLOAD_INVALID")
        elif headers and lie:
            assert (answer.status, answer.code) == (400, "SIZE_INVALID")
        elif headers and begins != held:
            assert (answer.status, answer.code) == (416, "BLOB_UPLOAD_INVALID")
            assert answer.headers["Range"] == f"0-{max(held - 1, 0)}"
            assert answer.headers["Location"] == session.location
        else:
            assert answer.status == 202
            session.data += body
            assert answer.headers["Range"] == f"0-{max(len(session.data) - 1, 0)}"

    @rule(session=sessions)
    def status(self, session: Session) -> None:
        answer = self.say("GET", session.location)
        if session.open:
            assert answer.status == 204
            assert answer.headers["Range"] == f"0-{max(len(session.data) - 1, 0)}"
        else:
            assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")

    @rule(session=sessions, method=st.sampled_from(["GET", "PATCH", "PUT", "DELETE"]))
    def somebody_else(self, session: Session, method: str) -> None:
        target = session.location + (f"?digest={session.ended or digest_of(session.data)}" if method == "PUT" else "")
        answer = self.say(method, target, b"", who="bob")
        assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")

    @rule(
        session=sessions,
        size=SIZES,
        algorithm=st.sampled_from(["sha256", "sha512"]),
        right=st.sampled_from([True, True, True, False]),
    )
    def finish(self, session: Session, size: int, algorithm: str, right: bool) -> None:
        last = b"z" * size
        digest = digest_of(session.data + last, algorithm) if right else digest_of(b"something else", algorithm)
        answer = self.say("PUT", f"{session.location}?digest={digest}", last)
        if not session.open:
            wanted = 201 if session.ended == digest else 404
            assert answer.status == wanted
        elif right:
            assert answer.status == 201
            session.data += last
            session.open, session.ended = False, digest
            self.blobs.add((name_of(session), digest))
        else:
            assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
            session.open = False

    @rule(session=sessions)
    def retry(self, session: Session) -> None:
        """The answer was lost: the same request again."""
        if session.ended:
            assert self.say("PUT", f"{session.location}?digest={session.ended}", b"").status == 201

    @rule(session=consumes(sessions))
    def cancel(self, session: Session) -> None:
        answer = self.say("DELETE", session.location)
        assert answer.status == (204 if session.open else 404)
        session.open = False

    @invariant()
    def what_was_acknowledged_reads_back(self) -> None:
        data = {session.ended: session.data for session in self.all if session.ended}
        for name, digest in self.blobs:
            assert self.say("GET", f"/v2/{name}/blobs/{digest}").body == data[digest]

    def teardown(self) -> None:
        for session in self.all:
            if session.open:
                self.say("DELETE", session.location)


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def name_of(session: Session) -> str:
    return session.location.removeprefix("/v2/").partition("/blobs/")[0]


@contextmanager
def running() -> Iterator[Pierhead]:
    with Pierhead(CONFIG, environment=ENVIRONMENT) as server:
        Uploads.wires = {who: server.wire("open", who, PASSWORD) for who in ("alice", "bob")}
        yield server


def test_any_sequence_of_requests_to_uploads_does_what_the_model_says() -> None:
    with running() as server:
        run_state_machine_as_test(
            Uploads,
            settings=settings(
                max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
        assert "Traceback" not in server.log
