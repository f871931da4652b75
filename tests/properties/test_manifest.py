from __future__ import annotations

import json
from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from pierhead.domain import limits
from pierhead.domain.digest import Descriptor, Digest
from pierhead.domain.manifest import (
    IMAGE_TYPES,
    INDEX_TYPES,
    MANIFEST_TYPES,
    Index,
    Manifest,
    parse,
    referrer_descriptor,
)
from pierhead.domain.refusals import Refusal
from tests.domain.documents import Json, descriptor, digest, documents, encoded

DOCUMENTS = st.sampled_from(documents())
HEADERS = st.none() | st.sampled_from([*sorted(MANIFEST_TYPES), "application/json", ""]) | st.text(max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([2**63, -1, digest(1), "sha256:", "blake3:00", *sorted(MANIFEST_TYPES)])
    | st.just(descriptor(5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        "schemaVersion",
        "mediaType",
        "config",
        "layers",
        "manifests",
        "subject",
        "artifactType",
        "annotations",
        "size",
        "digest",
        "urls",
        "data",
        "platform",
        "os",
        "Config",
        "LAYERS",
        "fsLayers",
    ]
) | st.text(max_size=6)


def read(body: bytes, header: str | None) -> Manifest | Index | None:
    """What `parse` makes of it, or None if it refuses; anything else that it raises fails the test."""
    try:
        found = parse(body, header)
    except Refusal:
        return None
    check(found, body)
    return found


def check(found: Manifest | Index, body: bytes) -> None:
    """What holds for everything that is taken."""
    assert found.size == len(body)
    assert found.media_type in (IMAGE_TYPES if isinstance(found, Manifest) else INDEX_TYPES)
    named: Sequence[Descriptor]
    if isinstance(found, Manifest):
        named = [found.config, *found.layers]
        assert {one.digest for one in found.required + found.foreign} == {one.digest for one in named}
        assert not {one.digest for one in found.required} & {one.digest for one in found.foreign}
        assert found.artifact_type
    else:
        named = [*found.children, *found.required]
    assert len({one.digest for one in found.required}) == len(found.required)
    for one in [*named, *([found.subject] if found.subject else [])]:
        assert Digest.parse(one.digest) == one.digest
        assert 0 <= one.size <= limits.DESCRIPTOR_SIZE_MAX
        assert one.media_type.isprintable()
    json.dumps(referrer_descriptor(found, Digest.of(body)), ensure_ascii=False).encode()


@given(st.binary(), HEADERS)
def test_any_bytes_are_read_or_refused(body: bytes, header: str | None) -> None:
    read(body, header)


@given(st.text('{}[]",:\\u0d8e1-+. \n', max_size=60), HEADERS)
@example('{"a":"\\ud800"}', None)
@example("[" * 60, None)
def test_any_text_that_looks_like_json_is_read_or_refused(text: str, header: str | None) -> None:
    read(text.encode(), header)


@given(DOCUMENTS, st.data())
def test_a_good_manifest_with_bytes_changed_is_read_or_refused(document: Json, data: st.DataObject) -> None:
    body = bytearray(encoded(document))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        cut = data.draw(st.integers(0, 4))
        body[at : at + cut] = data.draw(st.binary(max_size=4) | st.sampled_from([b"[", b'"', b"\\", b"\x00", b"NaN"]))
    read(bytes(body), None)


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, str(key)))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            found += places(inner, (*path, at))
    return found


def with_change(value: object, path: tuple[str | int, ...], made: object, new_key: str | None) -> object:
    """`value` with what stands at `path` replaced by `made`, or given the name `new_key`."""
    step, rest = path[0], path[1:]
    if isinstance(value, list):
        return [
            with_change(one, rest, made, new_key) if at == step and rest else made if at == step else one
            for at, one in enumerate(value)
        ]
    assert isinstance(value, dict)
    changed: dict[object, object] = {}
    for key, one in value.items():
        if key != step:
            changed[key] = one
        elif rest:
            changed[key] = with_change(one, rest, made, new_key)
        elif new_key is not None:
            changed[new_key] = one
        else:
            changed[key] = made
    return changed


@given(DOCUMENTS, st.data(), HEADERS)
def test_a_good_manifest_with_fields_changed_is_read_or_refused(
    document: Json, data: st.DataObject, header: str | None
) -> None:
    changed: object = document
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(changed)))
        changed = with_change(changed, path, data.draw(VALUES), data.draw(st.none() | KEYS))
        if not places(changed):
            break
    body = json.dumps(changed).encode()
    read(body, header)
    read(body, None)


@given(DOCUMENTS, st.dictionaries(st.text(), st.text(), max_size=5))
def test_annotations_come_back_as_they_were_written(document: Json, texts: dict[str, str]) -> None:
    for body in (
        encoded(document | {"annotations": texts}),
        json.dumps(document | {"annotations": texts}, ensure_ascii=False).encode(),
    ):
        found = read(body, None)
        assert found is not None
        assert found.annotations == texts


@given(DOCUMENTS, st.integers(0, 40), st.sampled_from(["[{0}]", '{{"a":{0}}}', '[[],{0},"]"]']))
def test_nesting_is_counted_exactly(document: Json, levels: int, shape: str) -> None:
    inner = '"[{"'
    for _ in range(levels):
        inner = shape.format(inner)
    body = encoded(document | {"x": 0}).replace(b'"x": 0', b'"x": ' + inner.encode())
    # The empty list in the third shape stands one level deeper than what it stands in.
    deepest = 1 + levels + (1 if levels and "[]" in shape else 0)
    assert (read(body, None) is not None) == (deepest <= limits.MANIFEST_NESTING_MAX)
