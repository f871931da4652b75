"""The page at the root of the main port, before there are others."""

from __future__ import annotations

import base64
import hashlib
import html
import re

from pierhead.faces.ops.home import Guide, home
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


def test_the_page_may_load_and_run_nothing_but_its_own_style(pierhead: Pierhead) -> None:
    with Wire(pierhead.port()) as wire:
        answer = wire.request("GET", "/").expect(200)
    policy = answer.headers["Content-Security-Policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", answer.body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert b"<script" not in answer.body


def test_what_stands_in_the_configuration_is_escaped() -> None:
    answer = home(Guide("<1>", 'http://h/"><script>', [("<b>", "&amp;")], ["a <IMAGE> && b"]))
    body = bytes(answer.body).decode()
    assert "<script>" not in body
    assert "a &lt;IMAGE&gt; &amp;&amp; b" in body
    assert "&amp;amp;" in body


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
        for target in ("/index.html", "/favicon.ico", "/apifoo", "/metrics/"):
            assert wire.request("GET", target).status == 404
