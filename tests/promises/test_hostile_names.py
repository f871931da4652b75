"""Hostile names, paths and routes: rows 1 to 12 of the table, each answered as listed, with nothing harmed by it."""

from __future__ import annotations

import pytest

from tests.peers.images import image
from tests.promises.ground import OUTSIDER, Case, Ground

HEX = "a" * 64
MANIFEST = "/v2/known/image/manifests/"

CASES = [
    Case(1, "encoded slashes and dots", "GET", "/v2/%2F%2F..%2F..%2Fetc/passwd/manifests/x", "400 NAME_INVALID"),
    Case(1, "an encoded slash after dots", "GET", "/v2/..%2f..%2fetc/manifests/x", "400 NAME_INVALID"),
    Case(1, "encoded dots", "GET", "/v2/%2e%2e/%2e%2e/etc/manifests/passwd", "400 NAME_INVALID"),
    Case(1, "dots encoded twice", "GET", "/v2/%252e%252e/manifests/x", "400 NAME_INVALID"),
    Case(1, "plain dots", "GET", "/v2/../../etc/manifests/passwd", "400 NAME_INVALID"),
    Case(1, "dots behind a good name", "GET", "/v2/known/image/../other/manifests/1.0.0", "400 NAME_INVALID"),
    Case(1, "back slashes", "GET", "/v2/\\..\\manifests/x", "400 NAME_INVALID or 404"),
    Case(1, "back slashes in a name", "GET", "/v2/a\\..\\b/manifests/x", "400 NAME_INVALID"),
    Case(1, "an encoded zero byte", "GET", "/v2/a%00b/manifests/x", "400 NAME_INVALID"),
    Case(1, "half an escape", "GET", "/v2/a%2/manifests/x", "400 NAME_INVALID"),
    Case(1, "dots outside the API", "GET", "/../../etc/passwd", "404", port="main"),
    Case(1, "encoded dots outside the API", "GET", "/static/..%2f..%2fetc/passwd", "404", port="main"),
    Case(1, "dots in front of the API", "GET", "/x/../v2/_catalog", "404", port="main"),
    Case(1, "by path: a repository of dots", "GET", "/v2/../image/manifests/x", "400 NAME_INVALID", port="main"),
    Case(1, "a file of the data folder", "GET", "/v2/open/..%2f..%2fadmin.password/blobs/x", "400", port="main"),
    Case(2, "upper case", "GET", "/v2/Known/image/manifests/x", "400 NAME_INVALID"),
    Case(2, "two slashes", "GET", "/v2/a//b/manifests/x", "400 NAME_INVALID"),
    Case(2, "a leading slash", "GET", "/v2//a/manifests/x", "400 NAME_INVALID"),
    Case(2, "no name at all", "GET", "/v2//manifests/x", "400 NAME_INVALID"),
    Case(2, "a leading hyphen", "GET", "/v2/-a/manifests/x", "400 NAME_INVALID"),
    Case(2, "a trailing hyphen", "GET", "/v2/a-/manifests/x", "400 NAME_INVALID"),
    Case(2, "two dots", "GET", "/v2/a..b/manifests/x", "400 NAME_INVALID"),
    Case(2, "three underscores", "GET", "/v2/a___b/manifests/x", "400 NAME_INVALID"),
    Case(2, "256 characters", "GET", f"/v2/{'a' * 256}/manifests/x", "400 NAME_INVALID"),
    Case(2, "255 characters", "GET", f"/v2/{'a' * 255}/manifests/x", "404 MANIFEST_UNKNOWN"),
    Case(2, "a homoglyph, encoded", "GET", "/v2/kn%D0%BEwn/image/manifests/1.0.0", "400 NAME_INVALID"),
    Case(2, "a homoglyph, raw", "GET", "/v2/knоwn/image/manifests/1.0.0".encode(), "400"),
    Case(2, "on a push", "POST", "/v2/A/blobs/uploads/", "400 NAME_INVALID"),
    Case(2, "by path: an unknown repository", "GET", "/v2/nosuch/a/manifests/x", "404 NAME_UNKNOWN", port="main"),
    Case(2, "by path: no image", "GET", "/v2/open/manifests/x", "400 NAME_INVALID", port="main"),
    Case(2, "by path: an upper-case repository", "GET", "/v2/Open/a/manifests/x", "400 NAME_INVALID", port="main"),
    Case(3, "manifests in a name", "GET", "/v2/foo/manifests/bar/manifests/latest", "404 MANIFEST_UNKNOWN"),
    Case(3, "blobs and uploads in a name", "GET", "/v2/foo/blobs/uploads/x/manifests/1", "404 MANIFEST_UNKNOWN"),
    Case(3, "an upload that is none", "GET", "/v2/foo/blobs/uploads/x", "404 BLOB_UPLOAD_UNKNOWN"),
    Case(3, "_catalog below a name", "GET", "/v2/foo/_catalog", "404"),
    Case(3, "_catalog as a name", "GET", "/v2/_catalog/manifests/x", "400 NAME_INVALID"),
    Case(3, "tags/list of tags/list", "GET", "/v2/tags/list/tags/list", "404 NAME_UNKNOWN"),
    Case(3, "no route word", "GET", "/v2/foo/bar", "404"),
    Case(3, "rights are asked of the parsed name", "GET", "/v2/foo/manifests/bar/manifests/x", "404", who=OUTSIDER),
    Case(4, "GET of a tag with a leading dot", "GET", MANIFEST + ".x", "404 MANIFEST_UNKNOWN"),
    Case(4, "GET of a tag with a leading hyphen", "GET", MANIFEST + "-x", "404 MANIFEST_UNKNOWN"),
    Case(4, "GET of a tag of 129 characters", "GET", MANIFEST + "x" * 129, "404 MANIFEST_UNKNOWN"),
    Case(4, "GET of a tag with a space", "GET", MANIFEST + "a%20b", "404 MANIFEST_UNKNOWN"),
    Case(4, "GET of a tag with a line break", "GET", MANIFEST + "a%0d%0aX:1", "404 MANIFEST_UNKNOWN or 400"),
    Case(4, "HEAD of a tag with a leading dot", "HEAD", MANIFEST + ".x", "404"),
    Case(4, "PUT of a tag with a leading dot", "PUT", MANIFEST + ".x", "400 MANIFEST_INVALID", b"{}"),
    Case(4, "PUT of a tag with a leading hyphen", "PUT", MANIFEST + "-x", "400 MANIFEST_INVALID", b"{}"),
    Case(4, "PUT of a tag of 129 characters", "PUT", MANIFEST + "x" * 129, "400 MANIFEST_INVALID", b"{}"),
    Case(4, "PUT of a tag with a space", "PUT", MANIFEST + "a%20b", "400 MANIFEST_INVALID", b"{}"),
    Case(4, "PUT of a tag with a line break", "PUT", MANIFEST + "a%0d%0aX:1", "400", b"{}"),
    Case(4, "PUT with a bad tag in the query", "PUT", MANIFEST + "good?tag=.x", "400 MANIFEST_INVALID", b"{}"),
    Case(4, "DELETE of a tag with a leading dot", "DELETE", MANIFEST + ".x", "404 MANIFEST_UNKNOWN", who="admin"),
    Case(5, "a digest of dots", "GET", "/v2/known/image/blobs/sha256:../../x", "400 or 404"),
    Case(5, "a digest of encoded dots", "GET", "/v2/known/image/blobs/sha256:..%2f..%2fx", "400"),
    Case(5, "upper-case digits", "GET", f"/v2/known/image/blobs/sha256:{'A' * 64}", "400 DIGEST_INVALID"),
    Case(5, "63 digits", "GET", f"/v2/known/image/blobs/sha256:{'a' * 63}", "400 DIGEST_INVALID"),
    Case(5, "65 digits", "GET", f"/v2/known/image/blobs/sha256:{'a' * 65}", "400 DIGEST_INVALID"),
    Case(5, "no digits", "GET", "/v2/known/image/blobs/sha256:", "400 DIGEST_INVALID"),
    Case(5, "no algorithm", "GET", f"/v2/known/image/blobs/{HEX}", "400 DIGEST_INVALID"),
    Case(5, "md5", "GET", f"/v2/known/image/blobs/md5:{'a' * 32}", "400 UNSUPPORTED"),
    Case(5, "an unknown algorithm", "GET", f"/v2/known/image/blobs/sha3:{HEX}", "400 UNSUPPORTED"),
    Case(5, "of a manifest", "GET", MANIFEST + f"sha256:{'A' * 64}", "400 DIGEST_INVALID"),
    Case(5, "of a manifest, unknown algorithm", "GET", MANIFEST + f"md5:{'a' * 32}", "400 UNSUPPORTED"),
    Case(5, "of referrers", "GET", "/v2/known/image/referrers/sha256:12", "400 DIGEST_INVALID"),
    Case(5, "of a deletion", "DELETE", "/v2/known/image/blobs/sha256:12", "400 DIGEST_INVALID", who="admin"),
    Case(5, "of a mount", "POST", "/v2/known/image/blobs/uploads/?mount=sha256:12&from=a", "400 DIGEST_INVALID"),
    Case(5, "digest-algorithm", "POST", "/v2/known/image/blobs/uploads/?digest-algorithm=md5", "400 UNSUPPORTED"),
    Case(6, "an upload id of dots", "GET", f"/v2/known/image/blobs/uploads/../../blobs/sha256/aa/{HEX}", "400 or 404"),
    Case(6, "encoded dots", "GET", "/v2/known/image/blobs/uploads/..%2f..%2fpierhead.db", "400 or 404"),
    Case(6, "no UUID", "GET", "/v2/known/image/blobs/uploads/hello", "404 BLOB_UPLOAD_UNKNOWN"),
    Case(6, "a UUID of version 1", "GET", f"/v2/known/image/blobs/uploads/{'0' * 12}11{'0' * 18}", "404"),
    Case(6, "a hyphenated UUID", "PATCH", "/v2/known/image/blobs/uploads/6a3f0b7e-0d5e-4c39-9d1a-1b1f6c1d2e3f", "404"),
    Case(6, "PUT", "PUT", f"/v2/known/image/blobs/uploads/zz?digest=sha256:{HEX}", "404 BLOB_UPLOAD_UNKNOWN"),
    Case(6, "DELETE", "DELETE", "/v2/known/image/blobs/uploads/admin.password", "404 BLOB_UPLOAD_UNKNOWN"),
    Case(6, "an upper-case id", "GET", f"/v2/known/image/blobs/uploads/{'A' * 32}", "404 BLOB_UPLOAD_UNKNOWN"),
    Case(7, "a host with a path", "GET", "/v2/", "400", headers=(("Host", "registry/../admin"),)),
    Case(7, "a host with a query", "GET", "/v2/", "400", headers=(("Host", "x/y?z"),)),
    Case(7, "an absolute target", "GET", "http://127.0.0.1/v2/", "400"),
    Case(7, "two hosts", "GET", "/v2/", "400", headers=(("host", "second"),)),
    Case(9, "method override", "POST", MANIFEST + "1.0.0", "405", headers=(("X-HTTP-Method-Override", "DELETE"),)),
    Case(9, "method override in the query", "GET", MANIFEST + "1.0.0?_method=DELETE", "200", who="admin"),
    Case(10, "TRACE", "TRACE", "/v2/", "405 UNSUPPORTED"),
    Case(10, "CONNECT", "CONNECT", "127.0.0.1:1", "405 UNSUPPORTED"),
    Case(10, "a verb of WebDAV", "PROPFIND", "/v2/", "405 UNSUPPORTED"),
    Case(10, "a verb of nobody's", "BREW", "/v2/", "405 UNSUPPORTED or 400 UNSUPPORTED"),
    Case(10, "a verb of another route", "PATCH", MANIFEST + "1.0.0", "405 UNSUPPORTED"),
    Case(10, "a write to the ping", "PUT", "/v2/", "405 UNSUPPORTED"),
    Case(10, "GET with a body", "GET", MANIFEST + "1.0.0", "200", b"x" * 60_000, (("Content-Length", "60000"),)),
    Case(12, "an address of 16 KiB", "GET", MANIFEST + "x" * 16_384, "414"),
    Case(12, "1,000 parameters", "GET", MANIFEST + "1.0.0?" + "a=1&" * 1_000, "414 or 431 or 400"),
    Case(12, "70 parameters", "PUT", MANIFEST + "1.0.0?" + "a=1&" * 70, "400 UNSUPPORTED", b"{}"),
    Case(12, "50 tags", "PUT", MANIFEST + "x?" + "&".join(f"tag=t{n}" for n in range(50)), "400", b"{}"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_hostile_name_or_path_is_answered_as_the_table_says(case: Case, unharmed: Ground) -> None:
    heard = case.tried_on(unharmed)
    assert heard.status not in (301, 302, 307, 308)
    assert "X" not in heard.headers
    if isinstance(case.target, str) and case.target.startswith("/v2"):
        assert heard.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert b"root:" not in heard.body


def test_row_8_forwarded_headers_of_a_stranger_change_nothing(unharmed: Ground) -> None:
    spoofed = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "host=evil.example",
    }
    begun = unharmed.ask("POST", "/v2/known/image/blobs/uploads/", headers=spoofed)
    assert begun.headers["Location"].startswith("/v2/known/image/blobs/uploads/")
    assert unharmed.ask("DELETE", begun.headers["Location"]).status == 204
    anonymous = unharmed.ask("GET", "/v2/", headers=spoofed, who="")
    assert anonymous.status == 401
    assert "evil" not in str(anonymous.headers)
    assert b"evil" not in anonymous.body


def test_row_9_a_read_only_repository_takes_no_write_from_admin_either(unharmed: Ground) -> None:
    for method, target in (
        ("POST", "/v2/a/blobs/uploads/"),
        ("PUT", "/v2/a/manifests/1"),
    ):
        heard = unharmed.ask(method, target, unharmed.image.manifest.data, who="admin", port="shut")
        assert heard.is_one_of("403 DENIED"), heard
        assert "write policy is DENY" in heard.message


def test_row_10_a_refused_method_names_those_that_are_answered(unharmed: Ground) -> None:
    assert unharmed.ask("PATCH", "/v2/known/image/manifests/1").headers["Allow"] == "GET, HEAD, PUT, DELETE"


def test_row_11_upper_and_lower_case_tags_are_two_tags(unharmed: Ground) -> None:
    first, second = image(seed=31), image(seed=32)
    alice = unharmed.wire()
    alice.push("case/image", "Latest", first)
    alice.push("case/image", "latest", second)
    assert alice.get_manifest("case/image", "Latest").body == first.manifest.data
    assert alice.get_manifest("case/image", "latest").body == second.manifest.data
    assert alice.tags("case/image") == ["Latest", "latest"]


def test_row_12_twenty_tags_at_once_are_taken(unharmed: Ground) -> None:
    tags = [f"many-{number:02}" for number in range(20)]
    target = f"/v2/known/image/manifests/{unharmed.image.digest}?" + "&".join(f"tag={tag}" for tag in tags)
    heard = unharmed.ask(
        "PUT", target, unharmed.image.manifest.data, {"Content-Type": unharmed.image.manifest.media_type}
    )
    assert heard.status == 201
    assert heard.headers.get_all("OCI-Tag") == tags
    assert set(tags) <= set(unharmed.wire().tags("known/image"))
