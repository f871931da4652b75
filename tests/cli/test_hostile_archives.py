"""Archives made to do harm: each is refused with a sentence, before anything is sent, and nothing is ever unpacked."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pierhead.cli.carry.archive import Archive
from pierhead.cli.carry.layout import split
from pierhead.cli.carry.progress import Progress
from pierhead.cli.client import Fault
from pierhead.cli.image_import import _called, _groups
from pierhead.domain.digest import Digest
from tests.peers.images import OCI_INDEX, Image, image, index, json_blob

Entry = tuple[tarfile.TarInfo, bytes]


def file(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> Entry:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.linkname = len(data), kind, link
    return entry, data


def layout(
    *images: Image, version: str = "1.0.0", more: tuple[Entry, ...] = (), notes: Mapping[str, str] | None = None
) -> list[Entry]:
    """A good one, to be spoilt."""
    said = {"org.opencontainers.image.ref.name": "1", **(notes or {})}
    named = [one.manifest.descriptor(annotations=said) for one in images]
    entries = [
        file("oci-layout", json.dumps({"imageLayoutVersion": version}).encode()),
        file("index.json", json.dumps({"schemaVersion": 2, "manifests": named}).encode()),
    ]
    for one in images:
        entries += [file(f"blobs/sha256/{each.digest[7:]}", each.data) for each in (*one.blobs, one.manifest)]
    return [*entries, *more]


def tar(entries: list[Entry], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for entry, data in entries:
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[bytes], Archive]:
    def make(data: bytes) -> Archive:
        path = tmp_path / "image.tar"
        path.write_bytes(data)
        return Archive(path.open("rb"), "image.tar")

    return make


def whole(archive: Archive) -> int:
    """How many manifests it has, when it is read as an import reads it."""
    return len(archive.cargo(archive.roots).items)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_form_of_tar_is_read(opened: Callable[[bytes], Archive], form: int) -> None:
    one = image()
    long_name = (file("x" * 90 + "/" + "y" * 60, b"not of the layout"),)
    archive = opened(tar([file("blobs/", kind=tarfile.DIRTYPE), *layout(one, more=long_name)], form))
    assert whole(archive) == 1
    layer = Digest.parse(one.layers[0].digest)
    assert archive.blob_size(layer) == one.layers[0].size
    assert b"".join(archive.pieces(layer, 5, 9)) == one.layers[0].data[5:9]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (file("../outside", b"x"), "leads out"),
        (file("blobs/../../outside", b"x"), "leads out"),
        (file("/etc/cron.d/x", b"x"), "leads out"),
        (file("blobs\\..\\x", b"x"), "leads out"),
        (file("blobs/sha256/" + "0" * 64, kind=tarfile.SYMTYPE, link="/etc/passwd"), "a link"),
        (file("blobs/sha256/" + "0" * 64, kind=tarfile.LNKTYPE, link="oci-layout"), "a link"),
        (file("disk", kind=tarfile.BLKTYPE), "a device"),
        (file("pipe", kind=tarfile.FIFOTYPE), "a pipe"),
        (file("index.json", b'{"schemaVersion": 2, "manifests": []}'), "twice"),
        (file("./index.json", b"{}"), "twice"),
        (file("odd", kind=b"S"), "kind of file"),
    ],
    ids=lambda value: value[0].name if isinstance(value, tuple) else None,
)
def test_what_would_harm_whoever_unpacks_it_is_refused(
    opened: Callable[[bytes], Archive], entry: Entry, said: str
) -> None:
    with pytest.raises(Fault, match=said):
        opened(tar(layout(image(), more=(entry,))))


def spoilt_size(data: bytes, name: bytes, field: bytes) -> bytes:
    """The same with another size in the header of ``name``, and a checksum that fits."""
    at = data.index(name)
    head = bytearray(data[at : at + 512])
    head[124:136] = field
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return data[:at] + bytes(head) + data[at + 512 :]


def test_sizes_that_lie_are_refused(opened: Callable[[bytes], Archive]) -> None:
    one = image()
    name = f"blobs/sha256/{one.layers[0].digest[7:]}".encode()
    good = tar(layout(one))
    for field in (
        b"77777777777\0",
        b"\x80" + struct.pack(">3xQ", 1 << 60),
        b"\xff" * 12,
        b"-0000000001\0",
        b"99999999999\0",
    ):
        with pytest.raises(Fault, match=r"lies|no number"):
            opened(spoilt_size(good, name, field))
    with pytest.raises(Fault, match="cut off"):
        opened(good[: good.index(name) + 700])


def test_an_extended_header_that_lies_is_refused(opened: Callable[[bytes], Archive]) -> None:
    for record in (
        b"99 path=x\n",
        b"x",
        b"11 size=-1\n\n",
        b"9 size=a\n",
        b"0 path=x\n",
        b"30 size=99999999999999999999\n\n",
    ):
        entry, data = file("extended", record, kind=b"x")
        with pytest.raises(Fault, match=r"damaged|lies"):
            opened(tar([(entry, data), *layout(image())], tarfile.USTAR_FORMAT))
    entry, data = file("extended", bytes(2 << 20), kind=b"x")
    with pytest.raises(Fault, match="damaged"):
        opened(tar([(entry, data), *layout(image())], tarfile.USTAR_FORMAT))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no OCI image layout"),
        (b"no tar at all" * 100, "no tar file"),
        (gzip.compress(b"x" * 4_096), "compressed"),
        (b"\x28\xb5\x2f\xfd" + bytes(range(256)) * 4, "compressed"),
        (tar([file("readme", b"x")]), "no OCI image layout"),
        (tar([file("manifest.json", b"[]"), file("x/layer.tar", kind=tarfile.SYMTYPE, link="../y")]), "older format"),
        (tar(layout(image(), version="2.0.0")), "does not say version"),
        (tar([file("oci-layout", b"\xff"), file("index.json", b"{}")]), "does not say version"),
        (tar([file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')]), "no index.json"),
        (tar([file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), file("index.json", b"[]")]), "is no index"),
        (tar(layout()), "lists no image"),
        (tar([file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), file("index.json", bytes(5 << 20))]), "at most"),
    ],
    ids=["empty", "text", "gzip", "zstd", "other", "docker", "version", "garbage", "no index", "list", "none", "huge"],
)
def test_what_is_no_layout_is_said_to_be_none(opened: Callable[[bytes], Archive], data: bytes, said: str) -> None:
    with pytest.raises(Fault, match=said):
        opened(data)


def test_a_manifest_that_is_another_or_none_or_missing_is_refused(opened: Callable[[bytes], Archive]) -> None:
    one = image()
    entries = layout(one)
    manifest = f"blobs/sha256/{one.digest[7:]}"
    changed = [file(manifest, one.manifest.data + b" ") if entry.name == manifest else (entry, data)
               for entry, data in entries]  # fmt: skip
    with pytest.raises(Fault, match="are others"):
        whole(opened(tar(changed)))
    with pytest.raises(Fault, match="not whole"):
        whole(opened(tar([one for one in entries if one[0].name != manifest])))
    bad = json_blob({"schemaVersion": 2, "manifests": [{"digest": "x"}]}, OCI_INDEX)
    with pytest.raises(Fault, match="no manifest that can be carried"):
        whole(opened(tar(layout(Image(bad, one.config, one.layers)))))


def test_indexes_that_stand_in_each_other_without_end_are_refused(opened: Callable[[bytes], Archive]) -> None:
    one = image()
    inner, entries = one.manifest, [file(f"blobs/sha256/{one.digest[7:]}", one.manifest.data)]
    for _ in range(12):
        inner = json_blob({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [inner.descriptor()]}, OCI_INDEX)
        entries.append(file(f"blobs/sha256/{inner.digest[7:]}", inner.data))
    nested = layout(Image(inner, one.config, one.layers), more=tuple(entries[:-1]))
    with pytest.raises(Fault, match="deep"):
        whole(opened(tar(nested)))


def test_names_in_an_archive_are_read_as_tag_as_name_or_as_whole_reference() -> None:
    assert split("1.0.0") == (None, "1.0.0")
    assert split("orchestrator/server:1.0.0") == ("orchestrator/server", "1.0.0")
    assert split("localhost:5000/a/b:2") == ("a/b", "2")
    assert split("docker.io/library/python:3.12") == ("python", "3.12")
    assert split("example.org/a/b") == ("a/b", None)
    assert split("../../etc:1") == (None, "1")
    assert split("Not A Name") == (None, None)


def test_what_an_image_is_called_comes_from_the_archive_or_from_the_command(
    opened: Callable[[bytes], Archive],
) -> None:
    two = opened(tar(layout(image(seed=1), image(seed=2))))
    with pytest.raises(Fault, match="--as NAME:TAG"):
        _groups(two.roots, None, "image.tar")
    with pytest.raises(Fault, match="several images"):
        _groups(two.roots, "x:1", "image.tar")
    saved = opened(tar(layout(image(seed=1), notes={"io.containerd.image.name": "docker.io/team/app:1"})))
    (group,) = _groups(saved.roots, None, "image.tar")
    assert (group.image, list(group.tags)) == ("team/app", ["1"])
    (group,) = _groups(saved.roots, "other/app:2", "image.tar")
    assert (group.image, list(group.tags)) == ("other/app", ["2"])
    for wrong in ("", ":1", "UPPER:1", "x:y:z", "host:5000/x:1", "x:"):
        with pytest.raises(Fault, match="no name of an image"):
            _called(wrong)


def test_an_index_with_platforms_is_carried_whole(opened: Callable[[bytes], Archive]) -> None:
    both = index({"linux/amd64": image(seed=1), "linux/arm64": image(seed=2)})
    more = tuple(file(f"blobs/sha256/{one.digest[7:]}", one.manifest.data) for one in both.images)
    archive = opened(tar(layout(Image(both.manifest, both.images[0].config, ()), more=more)))
    cargo = archive.cargo(archive.roots)
    assert [one.digest for one in cargo.items] == [*(one.digest for one in both.images), both.digest]


def test_progress_says_how_much_how_fast_and_how_long_still() -> None:
    out, now = io.StringIO(), [0.0]
    with Progress("import", 40_000_000, out=out, monotonic=lambda: now[0]) as progress:
        progress.skip(10_000_000)
        now[0] = 9.0
        progress.reach(15_000_000)
        assert out.getvalue() == ""
        now[0] = 10.0
        progress.reach(20_000_000)
    assert out.getvalue() == "import  20.0 MB of 40.0 MB  [##########..........]  1.00 MB/s  20 s left\n"
