"""The page at the root of the main port, and what is not there."""

from __future__ import annotations

import html

from tests.peers.fixtures import StartPierhead
from tests.peers.pierhead import Pierhead, house
from tests.peers.wire import Wire


def test_the_page_tells_addresses_and_commands_without_a_login(pierhead: Pierhead) -> None:
    with Wire(pierhead.port()) as wire:
        answer = wire.request("GET", "/").expect(200)
    text = html.unescape(answer.body.decode())
    push, pull = pierhead.address("docker-hosted-dev"), pierhead.address("docker-group")
    for wanted in (f"{push}/IMAGE:TAG", f"{pull}/IMAGE:TAG", f"docker login {push} -u admin", f"docker push {push}/"):
        assert wanted in text
    assert str(pierhead.data) not in text
    assert "admin.password" not in text
    assert "Sign in" in text


def test_the_page_may_load_and_run_nothing_but_its_own_files(pierhead: Pierhead) -> None:
    with Wire(pierhead.port()) as wire:
        answer = wire.request("GET", "/").expect(200)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    text = answer.body.decode()
    assert " style=" not in text
    assert "<style" not in text
    assert " on" not in text.replace(" one", "").replace(" on this", "")


def test_the_page_follows_the_configuration_when_that_is_read_again(start_pierhead: StartPierhead) -> None:
    server = start_pierhead()
    config = house()
    config["external_url"] = "http://registry.example:8081"
    server.reload(config)
    server.wait_for_log("read again")
    with Wire(server.port()) as wire:
        assert b"http://registry.example:8081/api/v1/status" in wire.request("GET", "/").expect(200).body


def test_other_addresses_are_404_and_name_nothing(pierhead: Pierhead) -> None:
    with Wire(pierhead.port()) as wire:
        for target in (
            "/index.html",
            "/favicon.ico",
            "/apifoo",
            "/metrics/",
            "/-/static/style.css",
        ):
            assert wire.request("GET", target).status == 404


def test_static_files_have_their_hash_in_their_name_and_are_kept_for_ever(pierhead: Pierhead) -> None:
    with Wire(pierhead.port()) as wire:
        text = wire.request("GET", "/").expect(200).body.decode()
        (style,) = [part for part in text.split('"') if part.startswith("/-/static/style.")]
        answer = wire.request("GET", style).expect(200)
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
        assert wire.request("POST", style).status == 405


def test_a_page_that_is_not_there_is_a_page_for_people_and_a_line_for_programs(pierhead: Pierhead) -> None:
    with Wire(pierhead.port()) as wire:
        page = wire.request("GET", "/nowhere", headers={"Accept": "text/html"})
        line = wire.request("GET", "/nowhere")
    assert (page.status, line.status) == (404, 404)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"<h1>There is nothing here</h1>" in page.body
    assert line.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert line.body.startswith(b"There is nothing at this address.")
