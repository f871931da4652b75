"""Hostile reads and lists: rows 58 to 67 of the table."""

from __future__ import annotations

import json
import statistics
import time
from urllib.parse import quote

import pytest

from tests.peers.images import Blob, artifact, random_bytes
from tests.promises.ground import BOB, OUTSIDER, READER, Case, Ground

TAGS = "/v2/known/image/tags/list"
CATALOG = "/v2/_catalog"
BLOB = Blob(random_bytes(50_000, 58), "application/octet-stream")
THE_BLOB = f"/v2/known/image/blobs/{BLOB.digest}"
ABSENT = f"/v2/known/image/blobs/sha256:{'e' * 64}"
REFERRERS = "/v2/known/image/referrers/sha256:" + "e" * 64

CASES = [
    Case(58, "n of 2^31-1", "GET", CATALOG + "?n=2147483647", "200"),
    Case(58, "n of 5,000 digits", "GET", CATALOG + "?n=" + "9" * 5_000, "200"),
    Case(58, "a negative n", "GET", CATALOG + "?n=-1", "400 UNSUPPORTED"),
    Case(58, "no number", "GET", CATALOG + "?n=abc", "400 UNSUPPORTED"),
    Case(58, "an empty n", "GET", CATALOG + "?n=", "400 UNSUPPORTED"),
    Case(58, "a fraction", "GET", CATALOG + "?n=1.5", "400 UNSUPPORTED"),
    Case(58, "another script's digits", "GET", CATALOG + "?n=%D9%A1", "400 UNSUPPORTED"),
    Case(58, "n of tags", "GET", TAGS + "?n=-1", "400 UNSUPPORTED"),
    Case(59, "NUL", "GET", TAGS + "?last=%00", "200"),
    Case(59, "traversal", "GET", TAGS + "?last=../../etc", "200"),
    Case(59, "no UTF-8", "GET", TAGS + "?last=%ff", "400 UNSUPPORTED"),
    Case(59, "64 KiB", "GET", TAGS + "?last=" + "x" * 65_536, "414 or 400 or 431"),
    Case(59, "5 KiB", "GET", TAGS + "?last=" + "x" * 5_000, "400 UNSUPPORTED"),
    Case(59, "a quote", "GET", TAGS + "?last=" + quote("'; drop table tags; --"), "200"),
    Case(59, "in the catalogue", "GET", CATALOG + "?last=%00%27", "200"),
    Case(59, "in the whole catalogue", "GET", CATALOG + "?last=open/%00", "200", port="main"),
    Case(60, "the catalogue without a name", "GET", CATALOG, "401 UNAUTHORIZED", who=""),
    Case(60, "the whole catalogue", "GET", CATALOG, "401 UNAUTHORIZED", who="", port="main"),
    Case(60, "with a query", "GET", CATALOG + "?n=1", "401 UNAUTHORIZED", who=""),
    Case(60, "two slashes", "GET", "/v2//_catalog", "401 UNAUTHORIZED", who=""),
    Case(60, "an encoded letter", "GET", "/v2/%5fcatalog", "401 UNAUTHORIZED", who=""),
    Case(60, "a trailing slash", "GET", "/v2/_catalog/", "401 UNAUTHORIZED", who=""),
    Case(60, "HEAD", "HEAD", CATALOG, "401", who=""),
    Case(60, "every other route", "GET", TAGS, "401 UNAUTHORIZED", who=""),
    Case(62, "1,000 ranges", "GET", THE_BLOB, "200", headers=(("Range", "bytes=" + ",".join(["0-1"] * 1000)),)),
    Case(62, "1,000 open ranges", "GET", THE_BLOB, "200", headers=(("Range", "bytes=" + "0-," * 1000),)),
    Case(62, "64 equal ranges", "GET", THE_BLOB, "206", headers=(("Range", "bytes=" + ",".join(["0-"] * 64)),)),
    Case(63, "past the end", "GET", THE_BLOB, "416", headers=(("Range", "bytes=50000-"),)),
    Case(63, "a suffix of nothing", "GET", THE_BLOB, "416", headers=(("Range", "bytes=-0"),)),
    Case(63, "beyond 2^64", "GET", THE_BLOB, "416", headers=(("Range", f"bytes={2**64}-"),)),
    Case(63, "5,000 digits", "GET", THE_BLOB, "416", headers=(("Range", f"bytes={'9' * 5000}-"),)),
    Case(63, "an end before its start", "GET", THE_BLOB, "200", headers=(("Range", "bytes=5-4"),)),
    Case(63, "another unit", "GET", THE_BLOB, "200", headers=(("Range", "lines=0-1"),)),
    Case(63, "no range", "GET", THE_BLOB, "200", headers=(("Range", "bytes=a-b"),)),
    Case(63, "If-Range of other bytes", "GET", THE_BLOB, "200", headers=(("Range", "bytes=0-1"), ("If-Range", '"x"'))),
    Case(65, "500 types", "GET", "/v2/known/image/manifests/1.0.0", "200",
         headers=(("Accept", ",".join(f"application/x.{n};q=0.{n}" for n in range(300))),)),
    Case(65, "an Accept that excludes it", "GET", "/v2/known/index/manifests/multi", "200",
         headers=(("Accept", "application/vnd.docker.distribution.manifest.v2+json"),)),
    Case(66, "a quote", "GET", REFERRERS + "?artifactType=" + quote("a'b\"c"), "200"),
    Case(66, "percent signs", "GET", REFERRERS + "?artifactType=%25%25%5f", "200"),
    Case(66, "SQL", "GET", REFERRERS + "?artifactType=" + quote("' or 1=1; --"), "200"),
    Case(66, "NUL", "GET", REFERRERS + "?artifactType=%00", "200"),
    Case(66, "no UTF-8", "GET", REFERRERS + "?artifactType=%ff", "400"),
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def blob(ground: Ground) -> None:
    ground.push_blob(BLOB)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_hostile_read_is_answered_as_the_table_says(case: Case, unharmed: Ground) -> None:
    began = time.monotonic()
    heard = case.tried_on(unharmed)
    assert time.monotonic() - began < 2
    assert len(heard.body) < 150_000
    if case.row == 66 and heard.status == 200:
        assert heard.json()["manifests"] == []
    if case.row == 65:
        assert heard.body in (unharmed.image.manifest.data, unharmed.index.manifest.data)


def test_row_58_a_page_of_none_is_empty_and_leads_nowhere(unharmed: Ground) -> None:
    for target, key in ((CATALOG, "repositories"), (TAGS, "tags")):
        heard = unharmed.ask("GET", target + "?n=0")
        assert heard.json()[key] == []
        assert "Link" not in heard.headers


def test_row_59_a_list_goes_on_behind_whatever_last_says(unharmed: Ground) -> None:
    tags = unharmed.ask("GET", TAGS).json()["tags"]
    assert tags == sorted(tags)
    for last in ("1.0.0\x00", "\x00", "Latest~", "1", "zzz", "ü"):
        assert unharmed.ask("GET", f"{TAGS}?last={quote(last)}").json()["tags"] == [t for t in tags if t > last], last


def test_row_61_lists_tell_nothing_to_who_may_not_pull(unharmed: Ground) -> None:
    for port in ("open", "main"):
        heard = unharmed.ask("GET", CATALOG + "?n=1", who=OUTSIDER, port=port)
        assert heard.json() == {"repositories": []}
        assert "Link" not in heard.headers
        assert unharmed.ask("GET", CATALOG, who=READER, port=port).json()["repositories"]
    hidden = unharmed.ask("GET", TAGS, who=OUTSIDER)
    assert hidden.is_one_of("404 NAME_UNKNOWN")
    assert b"Latest" not in hidden.body
    assert unharmed.ask("GET", REFERRERS, who=OUTSIDER).json()["manifests"] == []


def test_row_64_nobody_can_tell_what_is_there_without_a_right_to_it(unharmed: Ground) -> None:
    there = [THE_BLOB, "/v2/known/image/manifests/1.0.0", TAGS]
    missing = [ABSENT, "/v2/no/such/manifests/1.0.0", "/v2/no/such/tags/list"]
    for who, status in (("", 401), (OUTSIDER, 404)):
        for one, other in zip(there, missing, strict=True):
            for method in ("HEAD", "GET"):
                first, second = (unharmed.ask(method, target, who=who) for target in (one, other))
                assert first.status == second.status == status
                assert {*first.headers} == {*second.headers}
                assert first.code == second.code


def test_row_64_answers_to_who_has_no_right_take_equally_long(unharmed: Ground) -> None:
    """Rights are asked before content, so that the times differ by noise alone."""
    wire = unharmed.wire(OUTSIDER)

    def middle(target: str) -> float:
        times = []
        for _ in range(200):
            began = time.perf_counter()
            wire.request("HEAD", target)
            times.append(time.perf_counter() - began)
        return statistics.median(times)

    ratio = min(middle(THE_BLOB) / middle(ABSENT) for _ in range(3))
    assert ratio < 2


def test_row_66_a_filter_compares_whole_types(unharmed: Ground) -> None:
    odd = "application/vnd.a%b_c'd\"e"
    one, other = (
        artifact(unharmed.image, artifact_type=odd),
        artifact(unharmed.image, artifact_type="application/axbyc"),
    )
    for pushed in (one, other):
        unharmed.wire().push("odd/types", pushed.digest, pushed)
    listed = unharmed.ask("GET", f"/v2/odd/types/referrers/{unharmed.image.digest}?artifactType={quote(odd)}")
    assert [entry["artifactType"] for entry in listed.json()["manifests"]] == [odd]
    assert listed.headers["OCI-Filters-Applied"] == "artifactType"
    for pattern in ("application/%", "application/a_b_c", "*"):
        asked = f"/v2/odd/types/referrers/{unharmed.image.digest}?artifactType={quote(pattern)}"
        assert unharmed.ask("GET", asked).json()["manifests"] == []


def test_row_67_pages_of_ten_thousand_tags_are_quick_and_lose_none(unharmed: Ground) -> None:
    wire, body = unharmed.wire(BOB), unharmed.image.manifest
    for blob in unharmed.image.blobs:
        wire.push_blob("many/tags", blob)
    # Names that are prefixes of each other: t, t0, t00 ... and 1.2, 1.2.3, 1.2-rc, 1.2_rc
    wanted = ["1.2", "1.2-rc", "1.2.3", "1.2_rc", *(f"t{n:04}"[: 1 + n % 5 or 5] for n in range(50))]
    wanted = sorted({*wanted, *(f"t{number:05}" for number in range(10_000 - 45))})
    for start in range(0, len(wanted), 20):
        query = "&".join(f"tag={tag}" for tag in wanted[start : start + 20])
        headers = {"Content-Type": body.media_type}
        wire.request("PUT", f"/v2/many/tags/manifests/{body.digest}?{query}", body.data, headers).expect(201)
    found: list[str] = []
    target, times = "/v2/many/tags/tags/list?n=100", []
    while target:
        began = time.perf_counter()
        answer = wire.request("GET", target).expect(200)
        times.append(time.perf_counter() - began)
        page = json.loads(answer.body)["tags"]
        assert len(page) <= 100
        found += page
        link = answer.headers.get("Link", "")
        target = link[1 : link.index(">")] if link else ""
        assert not target or target.startswith("/v2/many/tags/tags/list?")
    assert found == wanted
    assert statistics.median(times) < 0.02
    assert len(wire.request("GET", "/v2/many/tags/tags/list").json()["tags"]) == 1_000
