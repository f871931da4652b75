"""Services and trust: what the file means, and that its documents and its example say so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pierhead.boot.config import load, parse
from pierhead.boot.settings import Settings, TrustSettings
from pierhead.domain.access import Principal, Right
from pierhead.domain.names import ImageName, RepositoryName, Tag
from pierhead.domain.trust import Claims, holding

ROOT = Path(__file__).parents[2]
HEAD = "trust: {g: {issuer: 'https://g', audience: a, rules: ["
TAIL = "]}}\nrepositories: {h: {type: hosted}}\n"
CATALOGUE = "services: {a: {image: x/a, project_id: 5}, b: {image: x/b}, c: {image: x/c, project_id: '7'}}\n"


def read(text: str) -> Settings:
    return parse(text.encode(), "c.yaml")


def rules(written: str, catalogue: str = CATALOGUE) -> TrustSettings:
    return read(catalogue + HEAD + written + TAIL).trust["g"]


def job(trust: TrustSettings, claims: Claims) -> Principal:
    return Principal("job", tuple(rule.rule for rule in holding(trust.rules, claims)))


def test_a_rule_about_services_is_one_for_each_that_has_what_it_says() -> None:
    found = rules(
        "{claims: {project_id: '{service.project_id}'}, rights: [push], repositories: [h], images: ['{service.image}']}"
    )
    assert [rule.name for rule in found.rules] == ["trust.g.rules[0] (a)", "trust.g.rules[0] (c)"]
    assert [rule.wanted[0].values for rule in found.rules] == [("5",), ("7",)]
    assert [rule.rule.images.texts for rule in found.rules] == [("x/a",), ("x/c",)]


def test_a_rule_that_says_nothing_of_services_is_one_and_may_have_a_name() -> None:
    (only,) = rules("{name: people, claims: {sub: s}, rights: [pull]}", "").rules
    assert only.name == "people"


def test_claims_are_text_however_they_are_written_and_may_stand_inside_each_other() -> None:
    (only,) = rules(
        "{claims: {project_id: [5, '6'], ref_protected: true, kubernetes.io: {namespace: n, pod: {uid: u}}},"
        " like: {ref: 'v*'}, rights: [pull]}"
    ).rules
    assert {one.path: one.values for one in only.wanted if one.like is None} == {
        ("project_id",): ("5", "6"),
        ("ref_protected",): ("true",),
        ("kubernetes.io", "namespace"): ("n",),
        ("kubernetes.io", "pod", "uid"): ("u",),
    }
    fits = {"project_id": "6", "ref_protected": "true", "ref": "v1"}
    assert only.unmet(fits | {"kubernetes.io": {"namespace": "n", "pod": {"uid": "u"}}}) == ()
    assert only.unmet(fits | {"kubernetes.io": "n"})


def test_what_is_left_out_is_closed_or_careful() -> None:
    found = rules("{claims: {sub: s}, rights: [pull]}", "")
    assert (found.jwks, found.ca, found.leeway_seconds, found.fresh_for_seconds) == (None, None, 60, 300)
    assert found.algorithms == ("RS256", "ES256", "EdDSA")
    assert read("listen: 127.0.0.1:1\n").trust == {}


@pytest.mark.parametrize("service", ["server", "ui", "runner-worker"])
def test_the_example_lets_each_project_push_its_image_by_what_happened_in_git(service: str) -> None:
    shared = load(ROOT / "examples" / "cwiq" / "shared.yaml")
    mine = shared.services[service]
    branch = {"project_id": mine.project_id, "ref": "x", "ref_type": "branch", "ref_protected": "false"}
    main = {**branch, "ref": "main", "ref_protected": "true"}
    tag = {**main, "ref": "v1.2.3", "ref_type": "tag"}
    dev, uat = RepositoryName("docker-hosted-dev"), RepositoryName("docker-hosted-uat")
    for claims, tags in (
        (branch, {"branch-x-1"}),
        (main, {"branch-x-1", "main-a1b2c3d", "latest"}),
        (tag, {"branch-x-1", "1.2.3", "stable"}),
        ({**tag, "ref_protected": "false"}, {"branch-x-1"}),
        ({**main, "project_id": "99"}, set[str]()),
    ):
        who = job(shared.trust["gitlab"], claims)
        asked = ("branch-x-1", "main-a1b2c3d", "latest", "1.2.3", "stable", "v1.2.3", "other")
        assert {one for one in asked if who.may_tag(dev, mine.image, Tag(one))} == tags
        assert who.may(Right.PUSH, dev, mine.image) is bool(tags)
        assert not who.may(Right.PUSH, dev, ImageName("orchestrator/other"))
        assert not who.may(Right.PUSH, uat, mine.image)
        assert not any(who.holds(right) for right in (Right.ADMINISTER, Right.DELETE, Right.PROMOTE))


def test_the_catalogue_of_the_example_has_every_service_once() -> None:
    services = load(ROOT / "examples" / "cwiq" / "shared.yaml").services.values()
    assert len({one.image for one in services}) == len({one.project_id for one in services}) == 14


def test_every_configuration_in_the_page_about_trust_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "cluster-keys.json").write_text("{}")
    written = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "ci-trust.md").read_text(), re.MULTILINE | re.DOTALL)
    files = [text.replace("/etc/pierhead", str(tmp_path)) for text in written if "trust:\n" in text]
    assert len(files) == 3
    for text in files:
        repositories = "".join(f"  docker-hosted-{stage}: {{type: hosted}}\n" for stage in ("dev", "uat", "prod"))
        assert read(f"{text}repositories:\n{repositories}").trust
