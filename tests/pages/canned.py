"""Each page with data that a house could have: what is long, what is hostile, and what is missing."""

from __future__ import annotations

from pierhead.faces.web.pages.account import Account, RoleLine, SessionLine, TokenForm, TokenLine
from pierhead.faces.web.pages.device import Device
from pierhead.faces.web.pages.error import Trouble
from pierhead.faces.web.pages.home import Home
from pierhead.faces.web.pages.sign_in import SignedOut, SignIn
from pierhead.faces.web.render import Frame
from pierhead.faces.web.words import instant

NOW = 1_796_000_000_000_000
HOUR = 3_600_000_000
HOSTILE = '<script>alert("1")</script>\' \u202e & {{ 7*7 }}'

FRAME = Frame(
    title="A page",
    person="anna",
    token="0123456789abcdef0123456789abcdef",
    theme="",
    host="registry.example:8081",
    version="0.1.0",
    now=NOW,
    here="/-/page",
    request_id="abc-1",
    twin="/api/v1/page",
    notice="Something was done.",
)
STRANGER = Frame("Sign in", "", "f" * 32, "dark", "registry.example", "0.1.0", NOW, "/-/sign-in", "abc-2")


def session(this: bool = False, agent: str = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0") -> SessionLine:
    return SessionLine(
        handle="ab" * 16,
        this=this,
        browser="Firefox on Linux",
        agent=agent,
        address="2001:db8::7",
        through="password" if this else HOSTILE,
        created=NOW - 30 * HOUR,
        seen=NOW - HOUR,
        expires=NOW + 100 * HOUR,
    )


Case = tuple[str, Frame, object, frozenset[str]]
NOTHING: frozenset[str] = frozenset()
FIRST = SignIn("/-/me", "", "", ended=False, trouble="", button="", single="", first=True)
AGAIN = SignIn(
    "/a?b=c", HOSTILE, "Wrong <b>", ended=False, trouble="", button="Go to Ä", single="/-/sign-in/single", first=False
)
ENDED = SignIn("/", "", "", ended=True, trouble="", button="", single="", first=False)
DOWN = SignIn(
    "/", "", "", ended=False, trouble="Authentik <is> away.", button="Go", single="/-/sign-in/single", first=False
)
ROLES = (RoleLine("publisher", ("pull on every image in every repository", HOSTILE)), RoleLine("gone", ()))
TOKENS = (
    TokenLine("aa11", "laptop", (), NOW - HOUR, None, expired=False, used=NOW - HOUR, address="192.0.2.7"),
    TokenLine(
        "bb22", HOSTILE, ("pull on a/*", HOSTILE), NOW - 99 * HOUR, NOW - HOUR, expired=True, used=None, address=""
    ),
)
FULL = Account(
    name="anna",
    through="password",
    kept="",
    roles=ROLES,
    tokens=TOKENS,
    sessions=(session(True), session(agent=HOSTILE)),
    idle="12 hours",
    theme="light",
    host="registry.example:8081",
    form=TokenForm(HOSTILE, "30", "push", "The name is taken."),
    secret="ph_" + "x" * 49,
    secret_name="new " + HOSTILE,
    password_fault="The old password is wrong.",
)
BARE = Account(
    "x" * 128, "Authentik", "It is kept elsewhere.", (), (), (session(True),), "1 day", "", "registry.example"
)

WAITS = Device(
    account="anna",
    typed="",
    fault="",
    code="BCDF-GHJK",
    machine=HOSTILE,
    address="192.0.2.7",
    agent="pierhead " + HOSTILE,
    asked=NOW - HOUR,
    elsewhere=True,
    holds="90 days",
    done="",
)
TYPED = Device(
    "anna", HOSTILE, "No command line waits <b>.", "", "", "", "", 0, elsewhere=False, holds="90 days", done=""
)
DONE = Device("anna", "", "", "", "", "", "", 0, elsewhere=False, holds="90 days", done="approve")

# Name of the template, page data, and values that stand for something else than themselves in it.
PAGES: tuple[Case, ...] = (
    ("home", STRANGER, Home((("push to", "h:8443/IMAGE:TAG"),), ("docker login h:8443",), (("REST", "u"),)), NOTHING),
    ("home", FRAME, Home(((HOSTILE, HOSTILE),), (), ()), NOTHING),
    ("sign_in", STRANGER, FIRST, NOTHING),
    ("sign_in", STRANGER, AGAIN, NOTHING),
    ("sign_in", STRANGER, ENDED, NOTHING),
    ("sign_in", STRANGER, DOWN, NOTHING),
    ("signed_out", STRANGER, SignedOut("", ""), NOTHING),
    ("signed_out", STRANGER, SignedOut(HOSTILE, 'https://auth.example/end?client_id=x&y="z"'), NOTHING),
    ("error", FRAME, Trouble("There is nothing here", HOSTILE, "abc-3", "/-/sign-in"), NOTHING),
    ("device", FRAME, WAITS, NOTHING),
    ("device", FRAME, TYPED, frozenset({instant(0), "90 days", "anna"})),
    ("device", FRAME, DONE, frozenset({instant(0), "90 days", "approve"})),
    ("account", FRAME, FULL, frozenset({"password"})),
    ("account", FRAME, BARE, frozenset({"Authentik", "password", "h.example"})),
)
