"""The catalogue of services, and how far two spellings are apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.domain.catalogue import Catalogue, Service
from pierhead.domain.names import ImageName
from pierhead.domain.spelling import distance

SERVER = Service(name="server", image=ImageName("orchestrator/server"), project_id="5")
UI = Service(name="ui", image=ImageName("orchestrator/ui"), project_id="4")
RUNNER = Service(name="agent-runner", image=ImageName("orchestrator/mcp"), project_id="8")
API = Service(name="runner-api", image=ImageName("orchestrator/runner-service"))
HOUSE = Catalogue([SERVER, UI, RUNNER, API])

WORDS = st.text("abc/-", max_size=9)


def plain_distance(one: str, other: str) -> int:
    """The definition, with the whole table and no bound."""
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i in range(len(one) + 1):
        for j in range(len(other) + 1):
            if not i or not j:
                table[i][j] = i + j
                continue
            changed = table[i - 1][j - 1] + (one[i - 1] != other[j - 1])
            table[i][j] = min(changed, table[i - 1][j] + 1, table[i][j - 1] + 1)
            if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


@given(WORDS, WORDS, st.integers(0, 12))
def test_the_bounded_distance_is_the_plain_one_as_far_as_the_bound_goes(one: str, other: str, most: int) -> None:
    plain = plain_distance(one, other)
    assert distance(one, other, most) == (plain if plain <= most else None)


@given(WORDS, WORDS)
def test_it_is_the_same_both_ways_and_nothing_only_for_equal_words(one: str, other: str) -> None:
    assert distance(one, other, 9) == distance(other, one, 9)
    assert (distance(one, other, 9) == 0) == (one == other)


@given(WORDS, st.integers(0, 8), st.sampled_from("abc/-"))
def test_one_slip_of_the_finger_is_one(word: str, at: int, letter: str) -> None:
    at = min(at, len(word))
    assert distance(word, word[:at] + letter + word[at:], 1) == 1
    swapped = word[:at] + word[at : at + 2][::-1] + word[at + 2 :]
    assert distance(word, swapped, 1) == (0 if swapped == word else 1)


def test_a_service_is_found_by_name_image_and_project() -> None:
    assert HOUSE["server"] is SERVER
    assert HOUSE.of_image("orchestrator/server") is SERVER
    assert HOUSE.of_project("5") is SERVER
    assert HOUSE.of_image("orchestrator/sever") is None
    assert HOUSE.of_project("") is None
    assert list(HOUSE) == ["server", "ui", "agent-runner", "runner-api"]


def test_a_word_means_the_service_whose_image_ends_so_or_whose_name_it_is() -> None:
    assert HOUSE.called("server") is SERVER
    assert HOUSE.called("mcp") is RUNNER
    assert HOUSE.called("agent-runner") is RUNNER
    assert HOUSE.called("runner-api") is API
    assert HOUSE.called("orchestrator") is None


def test_a_word_that_ends_the_images_of_two_means_neither() -> None:
    other = Service(name="other", image=ImageName("datastore/server"))
    assert Catalogue([SERVER, other]).called("server") is None
    assert Catalogue([SERVER, other]).called("other") is other


@pytest.mark.parametrize(
    "written", ["orchestrator/sever", "orchestrator/servre", "orchestrator/serverr", "orchestrtor/server",
                "orchestrator-server", "orchestrator/servers", "orchestrator/serxyr"],
)  # fmt: skip
def test_a_slip_is_near(written: str) -> None:
    assert HOUSE.near(written, 2)[0] is SERVER


@given(st.sampled_from(list(HOUSE.values())), st.text("xyzserv/", max_size=2), st.integers(12, 22), st.integers(0, 2))
def test_all_that_are_near_are_found_whatever_letters_they_have(service: Service, put: str, at: int, gone: int) -> None:
    written = service.image[:at] + put + service.image[at + gone :]
    for one in HOUSE.values():
        apart = plain_distance(written, one.image)
        same_folder = written.rpartition("/")[0] == "orchestrator"
        allowed = min(2, len(one.last) // 3) if same_folder else 2
        assert (one in HOUSE.near(written, 2)) == (0 < apart <= allowed)


@pytest.mark.parametrize("written", ["orchestrator/server", "orchestrator/ux", "orchestrator/mqq", "python", "server"])
def test_what_is_right_short_or_far_is_near_to_nothing(written: str) -> None:
    assert HOUSE.near(written, 2) == []


def test_the_nearest_comes_first() -> None:
    twin = Service(name="twin", image=ImageName("orchestrator/servers"))
    assert list(Catalogue([twin, SERVER]).near("orchestrator/sever", 2)) == [SERVER, twin]


def test_two_catalogues_of_the_same_services_are_equal() -> None:
    assert Catalogue([SERVER, UI]) == Catalogue([SERVER, UI])
    assert Catalogue([SERVER, UI]) != Catalogue([SERVER])
