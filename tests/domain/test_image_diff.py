"""What differs between two images, pure: layers, steps, settings, packages, and what is not shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.domain.digest import Digest
from pierhead.domain.image_diff import (
    Change,
    Layer,
    PackageChange,
    diff_layers,
    diff_packages,
    diff_values,
    looks_secret,
    settings_of,
    steps_of,
)

A, B, C, D = (Layer(Digest.of(text), size) for size, text in enumerate((b"a", b"b", b"c", b"d"), 1))


def test_layers_are_shared_added_and_removed_in_their_order() -> None:
    found = diff_layers([A, B, C], [A, D, C])
    assert (found.shared, found.added, found.removed) == ([A, C], [D], [B])


def test_a_layer_that_one_image_has_twice_counts_twice() -> None:
    found = diff_layers([A, A], [A])
    assert (found.shared, found.added, found.removed) == ([A], [], [A])
    found = diff_layers([A], [A, A])
    assert (found.shared, found.added, found.removed) == ([A], [A], [])


@given(st.lists(st.sampled_from([A, B, C, D])), st.lists(st.sampled_from([A, B, C, D])))
def test_every_layer_of_either_side_is_told_once(before: list[Layer], after: list[Layer]) -> None:
    found = diff_layers(before, after)
    assert len(found.shared) + len(found.added) == len(after)
    assert len(found.shared) + len(found.removed) == len(before)
    back = diff_layers(after, before)
    assert len(back.shared) == len(found.shared)


def test_steps_belong_to_layers_and_are_left_out_where_they_do_not_come_out_even() -> None:
    history = [{"created_by": "ADD base"}, {"created_by": "ENV x=1", "empty_layer": True}, {"created_by": "RUN make"}]
    assert steps_of({"history": history}, 2) == ["ADD base", "RUN make"]
    assert steps_of({"history": history}, 3) == ["", "", ""]
    assert steps_of(None, 1) == [""]
    assert steps_of({"history": "x"}, 1) == [""]


def test_settings_are_read_as_far_as_they_are_of_the_right_form() -> None:
    config = {
        "Env": ["PATH=/bin", "EMPTY=", "BARE", 7],
        "Labels": {"a": "1", "b": 2},
        "User": "app",
        "Entrypoint": ["/app/start", "--name", "a b"],
        "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
    }
    found = settings_of({"config": config})
    assert found.env == {"PATH": "/bin", "EMPTY": "", "BARE": "", "": ""}
    assert found.labels == {"a": "1", "b": ""}
    assert found.single["entrypoint"] == '/app/start --name "a b"'
    assert found.single["ports"] == "53/udp 8080/tcp"
    assert (found.single["user"], found.single["cmd"]) == ("app", "")
    odds: list[dict[str, object] | None] = [None, {}, {"config": None}, {"config": {"Env": {}, "Labels": []}}]
    for odd in odds:
        assert settings_of(odd).env == {}


def test_values_that_changed_are_told_and_secret_ones_only_that_they_did() -> None:
    before = {"PORT": "80", "DB_PASSWORD": "old-secret", "GONE": "1", "SAME": "1"}
    after = {"PORT": "8080", "DB_PASSWORD": "new-secret", "NEW": "1", "SAME": "1"}
    found = diff_values(before, after, mask=True)
    assert found == [
        Change("DB_PASSWORD", "", "", masked=True),
        Change("GONE", "1", None),
        Change("NEW", None, "1"),
        Change("PORT", "80", "8080"),
    ]
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD", "x"),
        ("PASS", "x"),
        ("db_passwd", "x"),
        ("SECRET_KEY_BASE", "x"),
        ("GITHUB_TOKEN", "x"),
        ("API_KEY", "x"),
        ("APIKEY", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("SIGNING_KEY", "x"),
        ("SENTRY_DSN", "x"),
        ("BASIC_AUTH", "x"),
        ("DBPASS", "x"),
        ("sshkey", "x"),
        ("com.example.registry-token", "x"),
        ("PLAIN", "postgres://app:hunter2@db/x"),
        ("PLAIN", "ghp_" + "a" * 36),
        ("PLAIN", "glpat-" + "a" * 20),
        ("PLAIN", "AKIAIOSFODNN7EXAMPLE"),
        ("PLAIN", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x"),
        ("PLAIN", "-----BEGIN RSA PRIVATE KEY-----"),
    ],
)
def test_what_looks_secret_is_known_by_its_name_or_its_value(name: str, value: str) -> None:
    assert looks_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PATH", "/usr/bin"),
        ("KEYBOARD", "us"),
        ("GPG_KEY", "A035C8C19219BA821ECEA86B64E628F8D684696D"),
        ("PASSWORD", ""),
        ("AUTHOR", "anna"),
        ("HOME_PAGE", "https://example.org:8443/a@b"),
    ],
)
def test_what_does_not_look_secret_is_shown(name: str, value: str) -> None:
    assert not looks_secret(name, value)


def test_packages_are_added_removed_and_changed_by_name() -> None:
    before = {"deb/openssl": frozenset({"3.0.18"}), "deb/old": frozenset({"1"}), "same": frozenset({"1"})}
    after = {"deb/openssl": frozenset({"3.0.19", "1.1"}), "deb/new": frozenset({"2"}), "same": frozenset({"1"})}
    assert diff_packages(before, after) == [
        PackageChange("deb/new", (), ("2",)),
        PackageChange("deb/old", ("1",), ()),
        PackageChange("deb/openssl", ("3.0.18",), ("1.1", "3.0.19")),
    ]
