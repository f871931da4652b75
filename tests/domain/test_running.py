"""What clusters run, pure: references as runtimes write them, which of them are ours, what they mean for a stage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.running import (
    Hosts,
    Reported,
    RunState,
    digest_of,
    gathered,
    is_cluster_name,
    read_reference,
    run_state,
    workload_of,
)

A, B, INDEX = (Digest.of(text) for text in (b"a", b"b", b"index"))


@pytest.mark.parametrize(
    ("text", "host", "path", "tag", "digest"),
    [
        ("nexus.example:8444/orchestrator/server:1.4.0", "nexus.example:8444", "orchestrator/server", "1.4.0", None),
        ("nexus.example/a/b", "nexus.example", "a/b", None, None),
        (f"nexus.example:8444/a@{A}", "nexus.example:8444", "a", None, A),
        (f"nexus.example:8444/a:1@{A}", "nexus.example:8444", "a", "1", A),
        (f"docker-pullable://nexus.example:8444/a@{A}", "nexus.example:8444", "a", None, A),
        ("localhost/a:1", "localhost", "a", "1", None),
        ("NEXUS.example:8444/a:1", "nexus.example:8444", "a", "1", None),
        ("[::1]:8444/a:1", "[::1]:8444", "a", "1", None),
        ("nginx:1.27", "", "nginx", "1.27", None),
        ("library/nginx", "", "library/nginx", None, None),
    ],
)
def test_a_reference_is_read_as_clients_read_it(
    text: str, host: str, path: str, tag: str | None, digest: Digest | None
) -> None:
    found = read_reference(text)
    assert found is not None
    assert (found.host, found.path, found.tag, found.digest) == (host, path, tag, digest)


@pytest.mark.parametrize(
    "text",
    [str(A), f"docker://{A}", "", ":", "@", "a b", "host:1/UPPER", "a@sha256:12", "a\x00b", "h.x/a:-1", "x" * 600],
)
def test_what_is_no_reference_is_none(text: str) -> None:
    assert read_reference(text) is None


@given(st.text(max_size=80))
def test_any_text_is_read_or_is_none(text: str) -> None:
    read_reference(text)


def test_the_digest_of_a_runtime_is_that_of_a_manifest_or_unknown() -> None:
    assert digest_of(f"nexus.example:8444/a@{A}") == A
    assert digest_of(str(A)) is None, "this is the configuration's"
    assert digest_of("") is None


@pytest.mark.parametrize(
    ("owner", "ending", "called"),
    [
        (None, "", "Pod/server-x"),
        (("ReplicaSet", "server-7d9c"), "7d9c", "Deployment/server"),
        (("ReplicaSet", "by-hand"), "", "ReplicaSet/by-hand"),
        (("ReplicaSet", "by-hand"), "7d9c", "ReplicaSet/by-hand"),
        (("StatefulSet", "db"), "", "StatefulSet/db"),
    ],
)
def test_a_pod_is_called_after_what_made_it(owner: tuple[str, str] | None, ending: str, called: str) -> None:
    assert workload_of("server-x", owner, ending) == called


def test_pods_of_one_workload_with_one_image_are_one_entry() -> None:
    one = Reported("h:1/a:1", A, "prod", "Deployment/a", "app")
    other = Reported("h:1/a:1", B, "prod", "Deployment/a", "app")
    assert gathered([one, other, one]) == tuple(
        sorted((Reported("h:1/a:1", A, "prod", "Deployment/a", "app", 2), other), key=lambda x: -x.count)
    )


HOSTS = Hosts(
    [
        ("127.0.0.1:8081", None),
        ("nexus.example:443", None),
        ("127.0.0.1:8444", RepositoryName("group")),
        ("nexus.example:8444", RepositoryName("group")),
    ]
)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("nexus.example:8444/a/b:1", ("group", "a/b")),
        ("127.0.0.1:8444/a/b:1", ("group", "a/b")),
        ("nexus.example/dev/a/b:1", ("dev", "a/b")),
        ("nexus.example:443/dev/a", ("dev", "a")),
        ("127.0.0.1:8081/dev/a", ("dev", "a")),
        ("nexus.example/other/a:1", None),
        ("nexus.example/dev", None),
        ("nexus.example:8443/a", None),
        ("quay.io/dev/a", None),
        ("dev/a:1", None),
    ],
)
def test_a_reference_is_ours_by_host_and_port_or_by_path(text: str, place: tuple[str, str] | None) -> None:
    written = read_reference(text)
    assert written is not None
    found = HOSTS.place(written, ["dev", "group"])
    assert found == (None if place is None else (RepositoryName(place[0]), ImageName(place[1])))


def test_what_runs_is_what_the_stage_holds_or_held_or_never_had() -> None:
    assert run_state(A, [A], A) is RunState.CURRENT
    assert run_state(A, [A, INDEX], INDEX) is RunState.CURRENT, "one platform of the index that stands there"
    assert run_state(A, [A], B) is RunState.OTHER
    assert run_state(A, [], B) is RunState.ABSENT
    assert run_state(A, [], None) is RunState.ABSENT
    assert run_state(None, [], A) is RunState.UNKNOWN


CLUSTERS = {"prod-eu": True, "a" * 63: True, "": False, "a" * 64: False, "-a": False, "a/b": False, "a\n": False}


@pytest.mark.parametrize(("name", "good"), CLUSTERS.items())
def test_clusters_have_plain_names(name: str, good: bool) -> None:
    assert is_cluster_name(name) is good
