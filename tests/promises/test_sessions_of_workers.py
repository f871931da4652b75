"""A session holds for every worker, and is over for every worker at once."""

from __future__ import annotations

import http.client
import re
import urllib.parse

from tests.pages.house import ANNA, ANNA_PASSWORD, ENVIRONMENT, with_people
from tests.peers.pierhead import Pierhead
from tests.peers.processes import LOOPBACK

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}


def ask(server: Pierhead, method: str, target: str, cookie: str, **fields: str) -> tuple[int, str, str]:
    """Status, the first cookie that was set, and the token of the page; on a connection of its own, so that any worker
    may answer."""
    connection = http.client.HTTPConnection(LOOPBACK, server.port(), timeout=20)
    try:
        body = urllib.parse.urlencode(fields) if fields else None
        connection.request(method, target, body, {**FORM, "Cookie": cookie})
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    token = re.search(r'name="token" value="([0-9a-f]+)"', text)
    cookies = [line.partition(";")[0] for line in answer.headers.get_all("Set-Cookie", [])]
    return answer.status, next((one for one in cookies if not one.endswith("=")), ""), token[1] if token else ""


def test_a_session_begins_and_ends_for_all_workers_together() -> None:
    with Pierhead(with_people(workers=3), environment=ENVIRONMENT) as server:
        _, visit, token = ask(server, "GET", "/-/sign-in", "")
        status, session, _ = ask(
            server, "POST", "/-/sign-in", visit, token=token, name=ANNA, password=ANNA_PASSWORD, redirect="/-/me"
        )
        assert status == 303
        pages = [ask(server, "GET", "/-/me", session) for _ in range(30)]
        assert {page[0] for page in pages} == {200}
        assert len({page[2] for page in pages}) == 1, "one token for the forms of a session, whoever answers"
        assert ask(server, "POST", "/-/sign-out", session, token=pages[0][2])[0] == 303
        assert {ask(server, "GET", "/-/me", session)[0] for _ in range(30)} == {303}
