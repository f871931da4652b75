"""What faces tell the record of requests that write nothing by themselves: logins, refusals, pulls."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from pierhead.domain import limits
from pierhead.domain.access import Principal
from pierhead.domain.refusals import MethodUnsupported, Refusal, TooManyLogins
from pierhead.domain.refusals_id_tokens import TokenNotAccepted, TokenNotTrusted
from pierhead.faces.door.ask import Ask
from pierhead.faces.door.circumstances import circumstances
from pierhead.faces.door.connectors import address_of
from pierhead.faces.door.ids import RequestIds
from pierhead.jobs.keep_record import Recorder
from pierhead.ports.clock import Clock

_TELLING: Final = frozenset({403, 405, 409})
_MANIFESTS: Final = "/manifests/"
_REFERENCE_CHARACTERS_MAX: Final = 200


class Told:
    """``knows`` says whether there is an account of a name; only names of accounts are written down, since people type
    passwords into the field before, and some clients send tokens as names."""

    def __init__(self, recorder: Recorder, clock: Clock, ids: RequestIds) -> None:
        self.knows: Callable[[str], bool] = lambda name: False
        self._recorder = recorder
        self._clock = clock
        self._ids = ids
        self._logins: OrderedDict[tuple[str, str], dict[str, float]] = OrderedDict()

    # --- for the guard -----------------------------------------------------------------------------------------------

    def right(self, ask: Ask, place: str, who: Principal) -> None:
        """A credential was checked and holds. Told once an hour for an account, a place and a way, so that a client
        that is always there does not fill the record; after a failed login at once."""
        now = self._clock.monotonic()
        ways = self._logins.setdefault((who.name, place), {})
        self._logins.move_to_end((who.name, place))
        way = str(who.through.get("how", ""))
        if ways.get(way, now) > now:
            return
        ways[way] = now + limits.AUDIT_LOGIN_SECONDS
        while len(self._logins) > limits.AUDIT_LOGINS_REMEMBERED_MAX:
            self._logins.popitem(last=False)
        self._recorder.put("login", who.name, circumstances(ask, who, self._ids))

    def wrong(self, ask: Ask, place: str, name: str, refusal: Refusal) -> None:
        """A credential does not hold, or was not looked at since too many came.

        Of a token of a job, what is wrong with it is a key by one word: the sentence may quote the token, and whoever
        sends one could otherwise make every event of a minute another one.
        """
        if isinstance(refusal, TokenNotTrusted):
            self._untrusted(ask, refusal)
            return
        known = self.knows(name)
        account = name if known else ""
        self._logins.pop((account, place), None)
        many = isinstance(refusal, TooManyLogins)
        reason = "There were too many failed logins before." if many else refusal.message
        body = {"reason": reason, "known": known, **circumstances(ask, None, self._ids)}
        key: tuple[object, ...] = (account, place, reason)
        if isinstance(refusal, TokenNotAccepted):
            body["through"] = dict(refusal.through)
            key = (account, place, refusal.about, refusal.through.get("issuer"))
        self._recorder.put_repeated(key, "login failed", account, body)

    def _untrusted(self, ask: Ask, refusal: TokenNotTrusted) -> None:
        """A token of a job is genuine, and no rule is about it: that is a failed login too."""
        through = dict(refusal.through)
        body = {"reason": refusal.message, "known": False, **circumstances(ask, None, self._ids), "through": through}
        key = (address_of(ask), "trust", through.get("name"))
        self._recorder.put_repeated(key, "login failed", "", body)

    # --- for faces ---------------------------------------------------------------------------------------------------

    def refused(self, ask: Ask, who: Principal | None, refusal: Refusal, status: int) -> None:
        """An account was told that it may not: 403, 405 and 409, whatever it was."""
        if who is None or status not in _TELLING or isinstance(refusal, MethodUnsupported) or refusal.told:
            return
        note = ask.note
        what: dict[str, object] = {
            "refusal": type(refusal).__name__,
            "message": refusal.message,
            "method": ask.method,
        }
        for name in ("repository", "image"):
            if name in note:
                what[name] = str(note[name])
        what |= _reference(ask)
        key = (who.name, str(what))
        body = {**what, **circumstances(ask, who, self._ids)}
        self._recorder.put_repeated(key, "refused", who.name, body)

    def pulled(self, ask: Ask, who: Principal, digest: str, every: int) -> None:
        """A manifest was handed out; ``every`` says of how many pulls this is one."""
        note = ask.note
        what: dict[str, object] = {name: str(note[name]) for name in ("repository", "member", "image") if name in note}
        what |= {**_reference(ask), "digest": digest}
        if every > 1:
            what["sample"] = every
        self._recorder.put("pull", who.name, {**what, **circumstances(ask, who, self._ids)})


def _reference(ask: Ask) -> dict[str, object]:
    """The tag or digest that a path of the distribution API names, as it was sent, if it is a plain word."""
    before, found, reference = ask.target.rpartition(_MANIFESTS)
    if not found or not before.startswith("/v2/") or "/" in reference or len(reference) > _REFERENCE_CHARACTERS_MAX:
        return {}
    if not reference.isascii() or not reference.isprintable():
        return {}
    return {"digest": reference} if ":" in reference else {"tags": [reference]}
