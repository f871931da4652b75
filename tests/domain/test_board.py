"""The board, pure: which tag stands in a stage, how two stages relate, where moving tags point, what links are made."""

from __future__ import annotations

import pytest

from pierhead.domain.board import (
    BoardRules,
    Cell,
    Gate,
    GateState,
    Moving,
    Row,
    Standing,
    gate,
    moving_tags,
    newest,
)
from pierhead.domain.digest import Digest
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.patterns import Patterns
from pierhead.domain.provenance import Seen, compare_link, facts_of, platform_of, seen_of

A, B, C = (Digest.of(text) for text in (b"a", b"b", b"c"))


def standing(tag: str, digest: Digest, since: int = 1) -> Standing:
    return Standing(Tag(tag), digest, "application/vnd.oci.image.manifest.v1+json", since, "ann")


def test_the_newest_candidate_stands_and_nothing_stands_without_one() -> None:
    assert newest([standing("main-2", B, 2), standing("main-1", A, 1)]) == standing("main-2", B, 2)
    assert newest([]) is None


def test_of_several_tags_for_the_newest_bytes_the_version_is_what_people_call_it() -> None:
    found = newest([standing("main-2", B, 3), standing("1.4.0", B, 2), standing("1.3.0", A, 1)])
    assert found is not None
    assert found.tag == "1.4.0"
    assert newest([standing("main-2", B, 3), standing("nightly", B, 2), standing("1.4.0", A, 1)]) == standing(
        "main-2", B, 3
    )


@pytest.mark.parametrize("tag", ["latest", "stable", "branch-x-1", "sha256-" + "0" * 64, "sha256-" + "0" * 64 + ".sig"])
def test_tags_that_move_or_belong_to_branches_and_signatures_stand_nowhere(tag: str) -> None:
    assert Patterns(BoardRules().passed_over).meets(tag)


def test_other_patterns_may_be_passed_over() -> None:
    rules = BoardRules(moving=frozenset({"edge"}), skip=("pr-*",))
    passed_over = Patterns(rules.passed_over)
    tags = ("edge", "pr-7", "latest", "branch-1", "1.0")
    assert [tag for tag in tags if not passed_over.meets(tag)] == ["latest", "branch-1", "1.0"]


def test_a_gate_tells_how_a_stage_relates_to_the_one_before() -> None:
    one, two = standing("1.0", A), standing("1.1", B)
    assert gate(None, None, None, 0) == Gate(GateState.NOTHING)
    assert gate(one, None, None, 0) == Gate(GateState.FIRST, 1)
    assert gate(one, one, 5, 0) == Gate(GateState.EQUAL)
    assert gate(two, one, 5, 3) == Gate(GateState.NEWER, 3)
    assert gate(two, one, None, 0) == Gate(GateState.GONE)
    assert gate(None, one, None, 0) == Gate(GateState.GONE)
    # The stage held what the stage before holds, and went back.
    assert gate(two, one, 5, 3, B) == Gate(GateState.OLDER, 3)
    # What is left there came earlier than what stands here: somebody went back on purpose.
    assert gate(two, one, 5, 0) == Gate(GateState.OLDER)


def test_the_same_bytes_under_another_tag_are_equal() -> None:
    assert gate(standing("main-1", A), standing("1.0", A), 1, 0).state is GateState.EQUAL


def test_a_moving_tag_says_what_else_its_bytes_are_called() -> None:
    found = {Tag("latest"): (B, 3), Tag("edge"): (C, 4)}
    told = moving_tags(found, [standing("main-2", B, 2), standing("nightly", B, 1)], standing("1.1", B))
    assert told == (Moving(Tag("edge"), C, 4, None), Moving(Tag("latest"), B, 3, Tag("1.1")))
    assert moving_tags(found, [standing("main-2", B, 2), standing("x", B, 1)], None)[1].same_as == "main-2"


def test_a_row_differs_where_a_gate_is_neither_equal_nor_empty() -> None:
    def row(*states: GateState | None) -> Row:
        cells = [Cell("s", RepositoryName("r"), None, gate=None if one is None else Gate(one)) for one in states]
        return Row(None, ImageName("orchestrator/server"), cells)

    assert not row(None, GateState.EQUAL, GateState.NOTHING).differs
    assert row(None, GateState.EQUAL, GateState.NEWER).differs
    assert row(None, GateState.GONE).differs


# --- where an image came from ----------------------------------------------------------------------------------------


def test_annotations_come_before_labels_that_a_base_image_may_have_left() -> None:
    config: dict[str, object] = {
        "created": "2026-11-01T00:00:00Z",
        "os": "linux",
        "architecture": "arm64",
        "variant": "v8",
        "config": {
            "Labels": {
                "org.opencontainers.image.revision": "b" * 40,
                "org.opencontainers.image.source": "https://base.example/x/y",
                "org.opencontainers.image.ref.name": "main",
            }
        },
    }
    found = facts_of({"org.opencontainers.image.revision": "a" * 40}, config, (platform_of(config),))
    assert (found.revision, found.source) == ("a" * 40, "https://base.example/x/y")
    assert (found.ref, found.created) == ("main", "2026-11-01T00:00:00Z")
    assert found.platforms == ("linux/arm64/v8",)


@pytest.mark.parametrize(
    "config", [None, {}, {"config": None}, {"config": []}, {"config": {"Labels": []}}, {"config": {"Labels": {"a": 1}}}]
)
def test_a_configuration_without_labels_says_nothing(config: dict[str, object] | None) -> None:
    assert facts_of({}, config) == facts_of({}, None)


def test_what_is_no_text_is_left_out_and_what_is_long_is_cut() -> None:
    key = "org.opencontainers.image.revision"
    assert facts_of({}, {"config": {"Labels": {key: 7}}}).revision == ""
    assert facts_of({key: "x" * 9_000}, None).revision == "x" * 512
    assert facts_of({key: "a\ud800"}, None).revision == "a?"


def test_what_the_server_saw_of_a_job_comes_from_its_login() -> None:
    found = seen_of({"how": "id_token", "job": "https://g/x/-/jobs/1", "commit": "abc", "ref": "main", "rules": ["r"]})
    assert found == Seen("id_token", "https://g/x/-/jobs/1", commit="abc", ref="main")
    assert seen_of(None) == seen_of([]) == seen_of({"job": 7}) == Seen()


OLD, NEW = "a" * 40, "b" * 40


@pytest.mark.parametrize(
    ("source", "link"),
    [
        ("https://gitlab.shared.cwiq.io/a/b.git", f"https://gitlab.shared.cwiq.io/a/b/-/compare/{OLD}...{NEW}"),
        ("git@gitlab.com:a/b/c.git", f"https://gitlab.com/a/b/c/-/compare/{OLD}...{NEW}"),
        ("https://github.com/a/b", f"https://github.com/a/b/compare/{OLD}...{NEW}"),
        ("https://user:secret@gitlab.com:8443/a/b", f"https://gitlab.com:8443/a/b/-/compare/{OLD}...{NEW}"),
        ("https://git.example.org/a/b", None),
        ("https://notgitlab.example.org/a/b", None),
        ("https://github.com/a", None),
        ("javascript:alert(1)//github.com/a/b", None),
        ("https://github.com:x/a/b", None),
        ("https://[/a/b", None),
        ("", None),
    ],
)
def test_a_page_of_commits_is_named_only_where_it_is_known(source: str, link: str | None) -> None:
    assert compare_link(source, OLD, NEW) == link


@pytest.mark.parametrize("revision", ["", "main", "a" * 6, "A" * 40, "a" * 65, f"{OLD}/../x", OLD])
def test_no_page_is_named_for_what_is_no_other_commit(revision: str) -> None:
    assert compare_link("https://github.com/a/b", OLD, revision) is None
