"""Cache fills on files: one leader among all processes, and followers who read along here and elsewhere."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from pierhead.adapters.files.fills import FileFills, FileLead, FileTail
from pierhead.adapters.files.store import FileBlobs
from pierhead.domain.digest import Digest
from pierhead.ports import blobs as port
from pierhead.ports import fills as fills_port
from tests.contracts.blobs import SMALL, fetch, pattern
from tests.contracts.files import Drawn, line, neighbour, nudge, stores

SIZE = 300_000
BODY = pattern(SIZE)
KEY = Digest.of(BODY)
SECONDS = 20


def _adapters_keep_to_the_ports(store: FileBlobs, fills: FileFills, lead: FileLead, tail: FileTail) -> None:
    """Never called: the type checker compares."""
    ports: tuple[port.BlobStore, fills_port.FillStore, fills_port.FillLead, fills_port.FillTail]
    ports = (store, fills, lead, tail)
    assert ports


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return Drawn(tmp_path_factory.mktemp("drawn") / "data")


@pytest.fixture
def root(drawn: Drawn) -> Iterator[Path]:
    yield drawn.root
    drawn.sweep()


Sets = Callable[[], Awaitable[FileFills]]


@pytest.fixture
async def another(root: Path) -> AsyncIterator[Sets]:
    """More instances over the same folder; instances know of one another what processes do. Nothing may be left."""
    with stores(root) as made:

        async def one() -> FileFills:
            return FileFills(await made())

        yield one
    assert os.listdir(root / "fills") == []


@pytest.fixture
async def fills(another: Sets) -> FileFills:
    return await another()


@pytest.fixture(params=["here", "elsewhere"])
async def beside(request: pytest.FixtureRequest, another: Sets, fills: FileFills) -> FileFills:
    """Where the followers are."""
    return fills if request.param == "here" else await another()


async def led(fills: FileFills, key: Digest = KEY, expected: int | None = None) -> FileLead:
    lead = await fills.lead(key, expected)
    assert lead is not None
    return lead


async def followed(fills: FileFills, key: Digest = KEY) -> FileTail:
    tail = await fills.follow(key)
    assert tail is not None
    return tail


async def rest(tail: FileTail, offset: int = 0, most: int = 40_000) -> bytes:
    """Everything that comes, as it comes."""
    found = bytearray()
    async with asyncio.timeout(SECONDS):
        while piece := await tail.read(offset + len(found), most):
            assert len(piece) <= most
            found += piece
    return bytes(found)


async def test_followers_get_the_bytes_while_they_come_in(fills: FileFills, beside: FileFills) -> None:
    lead = await led(fills, expected=SIZE)
    tail = await followed(beside)
    for start_ in range(0, SIZE, 50_000):
        await lead.append([BODY[start_ : start_ + 50_000]])
        async with asyncio.timeout(SECONDS):
            assert await tail.read(start_, 1_000_000) == BODY[start_ : start_ + 50_000]
        assert (tail.state, tail.present) == ("filling", start_ + 50_000)
    waiting = asyncio.create_task(tail.read(SIZE, 1))
    await asyncio.sleep(0)
    assert not waiting.done()
    landed = await lead.land(await lead.digest("sha256"))
    assert await asyncio.wait_for(waiting, SECONDS) == b""
    assert (tail.state, tail.present) == ("landed", SIZE)
    tail.close()
    await lead.close()
    assert (landed.digest, landed.size, landed.body) == (KEY, SIZE, None)


async def test_a_follower_who_waits_is_woken_by_the_next_bytes(fills: FileFills, beside: FileFills) -> None:
    lead = await led(fills)
    tail = await followed(beside)
    waiting = asyncio.create_task(tail.read(0, 100))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await lead.append([b"here they are"])
    assert await asyncio.wait_for(waiting, SECONDS) == b"here they are"
    tail.close()
    await lead.discard()
    await lead.close()


async def test_thirty_followers_all_get_the_same_bytes(fills: FileFills, beside: FileFills) -> None:
    lead = await led(fills)
    tails = [await followed(beside) for _ in range(30)]
    readers = [asyncio.create_task(rest(tail)) for tail in tails]
    for start_ in range(0, SIZE, 30_000):
        await lead.append([BODY[start_ : start_ + 30_000]])
    await lead.land(KEY)
    await lead.close()
    assert set(await asyncio.gather(*readers)) == {BODY}
    for tail in tails:
        tail.close()


@pytest.mark.parametrize("size", [0, 1, SMALL, SMALL + 1])
async def test_small_bodies_are_led_and_followed_too(fills: FileFills, beside: FileFills, size: int) -> None:
    key = Digest.of(pattern(size))
    lead = await led(fills, key, size)
    tail = await followed(beside, key)
    await lead.append([pattern(size)])
    landed = await lead.land(key)
    assert await rest(tail) == pattern(size)
    await lead.close()
    assert (landed.body is None) == (size > SMALL)
    tail.close()


async def test_a_landed_fill_is_a_stored_blob(root: Path) -> None:
    with stores(root) as made:
        store = await made()
        lead = await led(FileFills(store))
        await lead.append([BODY])
        landed = await lead.land(KEY)
        await lead.close()
        assert fetch(store, landed) == BODY


async def test_a_slow_follower_reads_the_rest_after_the_leader_has_let_go(fills: FileFills, beside: FileFills) -> None:
    lead = await led(fills)
    tail = await followed(beside)
    await lead.append([BODY])
    await lead.land(KEY)
    await lead.close()
    assert await beside.follow(KEY) is None
    assert await tail.end() == "landed"
    assert await rest(tail) == BODY
    tail.close()


async def test_between_landing_and_letting_go_nobody_leads_and_everybody_can_read(
    fills: FileFills, beside: FileFills
) -> None:
    lead = await led(fills)
    await lead.append([BODY])
    await lead.land(KEY)
    assert await beside.lead(KEY) is None
    tail = await followed(beside)
    assert await rest(tail) == BODY
    assert tail.state == "landed"
    tail.close()
    await lead.close()


async def test_a_fill_has_one_leader(fills: FileFills, beside: FileFills) -> None:
    lead = await led(fills)
    assert await beside.lead(KEY) is None
    other = await led(beside, Digest.of(b"another blob"))
    await lead.discard()
    await lead.close()
    again = await led(beside)
    assert again.size == 0
    for one in (again, other):
        await one.discard()
        await one.close()


async def test_of_many_who_ask_at_once_one_leads(another: Sets) -> None:
    sets = [await another() for _ in range(4)]
    answers = await asyncio.gather(*(sets[turn % 4].lead(KEY) for turn in range(24)))
    leads = [lead for lead in answers if lead is not None]
    assert len(leads) == 1
    await leads[0].close()


async def test_when_the_leader_fails_followers_learn_it_and_a_new_one_begins_from_nothing(
    fills: FileFills, beside: FileFills
) -> None:
    lead = await led(fills)
    tail = await followed(beside)
    await lead.append([BODY[:1000]])
    waiting = asyncio.create_task(tail.end())
    await lead.fail("the upstream sent other bytes")
    await lead.close()
    assert await asyncio.wait_for(waiting, SECONDS) == "failed"
    assert tail.reason in {"the upstream sent other bytes", ""}
    tail.close()
    assert await beside.follow(KEY) is None
    again = await led(beside)
    assert again.size == 0
    await again.close()


async def test_a_follower_here_is_told_why_a_fill_failed(fills: FileFills) -> None:
    lead = await led(fills)
    tail = await followed(fills)
    await lead.fail("the upstream sent other bytes")
    assert await tail.end() == "failed"
    assert tail.reason == "the upstream sent other bytes"
    tail.close()
    await lead.close()


async def test_a_lead_that_is_closed_without_a_word_is_abandoned(fills: FileFills, beside: FileFills) -> None:
    lead = await led(fills)
    tail = await followed(beside)
    await lead.append([BODY[:1000]])
    await lead.close()
    await lead.close()
    assert await asyncio.wait_for(tail.end(), SECONDS) == "abandoned"
    tail.close()


async def test_a_leader_who_is_cancelled_while_he_lets_go_blocks_nobody(fills: FileFills, beside: FileFills) -> None:
    lead = await led(fills)
    closing = asyncio.create_task(lead.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    for one in (fills, beside):
        await (await led(one)).close()


async def test_bytes_never_land_under_a_digest_that_is_not_theirs(fills: FileFills) -> None:
    lead = await led(fills)
    await lead.append([b"forged"])
    with pytest.raises(ValueError, match="other bytes"):
        await lead.land(KEY)
    await lead.fail("forged")
    with pytest.raises(port.StoreFailed):
        await lead.append([b"more"])
    await lead.close()


async def test_a_follower_who_is_cancelled_leaves_the_fill_alone(fills: FileFills, beside: FileFills) -> None:
    lead = await led(fills)
    tail = await followed(beside)
    waiting = asyncio.create_task(tail.read(0, 10))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    tail.close()
    await lead.append([BODY])
    await lead.land(KEY)
    await lead.close()


async def test_a_leader_who_is_killed_is_seen_by_its_followers_and_succeeded(root: Path, fills: FileFills) -> None:
    with neighbour(root, "fill", KEY, str(SIZE)) as process:
        assert await asyncio.to_thread(line, process) == "ready"
        assert await fills.lead(KEY) is None
        tail = await followed(fills)
        async with asyncio.timeout(SECONDS):
            assert await tail.read(0, 1000) == BODY[:1000]
        waiting = asyncio.create_task(tail.end())
        await asyncio.sleep(0)
        process.send_signal(signal.SIGKILL)
        assert await asyncio.wait_for(waiting, SECONDS) == "abandoned"
    lead = await led(fills)
    assert lead.size == 0
    assert await tail.read(SIZE, 1) == b""
    assert await tail.read(0, 1000) == BODY[:1000]
    tail.close()
    await lead.close()


@pytest.mark.parametrize(("then", "said", "state"), [("land", "landed", "landed"), ("fail", "failed", "failed")])
async def test_a_follower_sees_how_a_leader_in_another_process_ended(
    root: Path, fills: FileFills, then: str, said: str, state: str
) -> None:
    with neighbour(root, "fill", KEY, str(SIZE), then) as process:
        assert await asyncio.to_thread(line, process) == "ready"
        tail = await followed(fills)
        reader = asyncio.create_task(rest(tail))
        await asyncio.to_thread(nudge, process)
        assert await asyncio.to_thread(line, process) == said
        found = await reader
        assert tail.state == state
        assert found == BODY or state == "failed"
        tail.close()
        await asyncio.to_thread(nudge, process)
        await asyncio.to_thread(process.wait, SECONDS)


async def test_cleaning_takes_what_dead_leaders_left_and_nothing_else(root: Path, fills: FileFills) -> None:
    living = await led(fills, Digest.of(b"living"))
    with neighbour(root, "fill", KEY, str(SIZE)) as process:
        assert await asyncio.to_thread(line, process) == "ready"
        assert await fills.clean() == 0
        process.kill()
        await asyncio.to_thread(process.wait, SECONDS)
    (root / "fills" / "new-0123").write_bytes(b"from a claim that was cut short")
    assert await fills.clean() == 2
    tail = await followed(fills, Digest.of(b"living"))
    tail.close()
    await living.close()
