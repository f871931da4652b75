"""Why may X not do Y, and why did this come from there."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from pierhead.actions.explain_access import Explainer, Question
from pierhead.domain.access import Right
from pierhead.domain.explain import Explanation
from pierhead.domain.names import ImageName, RepositoryName, parse_reference
from pierhead.domain.refusals import QueryInvalid, RepositoryUnknown
from pierhead.domain.refusals_accounts import AccountUnknown
from pierhead.faces.rest.call import Call
from pierhead.faces.rest.problems import TABLE
from pierhead.faces.rest.shapes import Json
from pierhead.repositories.table import Entry

ACTIONS: Final = ("pull", "push", "promote")


async def explain(call: Call) -> Json:
    """Of oneself anybody; of others who administers, who is also told what the account may not see."""
    name = call.query.get("account", call.who.name)
    own = name == call.who.name
    if not own:
        call.need_administrator("ask about others")
    action = call.query.get("action", "pull")
    if action not in ACTIONS:
        raise QueryInvalid("action", f"it is one of {', '.join(ACTIONS)}")
    await call.desk.directory.fresh()
    account = call.desk.directory.account(name)
    if not own and ":" in name:
        raise QueryInvalid("account", "a job has none. Let the job itself ask, signed in as `oidc` with its id_token")
    if account is not None:
        who = replace(account.principal, limit=call.who.limit) if own else account.principal
    elif own and call.who.through.get("how") == "id_token":
        who = call.who
    else:
        raise AccountUnknown(name)
    told = call.query.get("reference")
    reference = None if told is None else parse_reference(told)
    tells = call.who.holds(Right.ADMINISTER)
    explainer = Explainer(call.table, call.desk.directory, call.parts.store)
    if action == "promote":
        source, target, image = _stages(call)
        found = await explainer.promote(Question(account, who, target, image, reference, tells), source)
    else:
        entry, image = _named(call, action)
        question = Question(account, who, entry, image, reference, tells)
        found = await (explainer.pull(question) if action == "pull" else explainer.push(question))
        target = entry
    return _shape(found, name, action, target, image, told)


def _named(call: Call, action: str) -> tuple[Entry, ImageName]:
    """The repository by its parameter, or as the first part of the image; without either, where people do such things:
    the first group for a pull, what a push to it would reach for a push. Raises QueryInvalid, RepositoryUnknown."""
    repository, text = call.query.get("repository"), _image(call)
    entries = call.table.entries
    if repository is not None:
        return _entry(call, repository), ImageName.parse(text)
    first, _, rest = text.partition("/")
    if rest and first in entries:
        return entries[RepositoryName(first)], ImageName.parse(rest)
    groups = [entry for entry in entries.values() if entry.kind == "group"]
    hosted = [entry for entry in entries.values() if entry.kind == "hosted"]
    if action == "pull" and (groups or hosted):
        return (groups or hosted)[0], ImageName.parse(text)
    image = ImageName.parse(text)
    for group in groups:
        below = [leaf.entry for leaf in call.table.leaves(group, call.who) if leaf.entry.kind == "hosted"]
        best = [entry for entry in below if entry.external is not None] or below
        if best:
            return best[0], image
    if not hosted:
        raise QueryInvalid("repository", "it has to be said here")
    return hosted[0], image


def _stages(call: Call) -> tuple[Entry, Entry, ImageName]:
    """Source, target and image. Raises QueryInvalid, RepositoryUnknown."""
    stages = dict(call.table.stages)
    order = [name for name, _ in call.table.stages]
    to = call.query.get("to") or next(iter(order[1:]), None)
    if to is None:
        raise QueryInvalid("to", "it has to be said, since the configuration has no stages: a repository")
    target = _hosted(call, "to", stages.get(to) or to)
    source = call.query.get("from")
    if source is None:
        at = next((at for at, name in enumerate(order) if stages[name] == target.name), 0)
        if at == 0:
            raise QueryInvalid("from", f"it has to be said: {to} is no stage behind another")
        source = order[at - 1]
    return _hosted(call, "from", stages.get(source) or source), target, ImageName.parse(_image(call))


def _hosted(call: Call, parameter: str, name: str) -> Entry:
    entry = _entry(call, name)
    if entry.kind != "hosted":
        raise QueryInvalid(parameter, f"{entry.name} is a {entry.kind}, and promotion goes between hosted repositories")
    return entry


def _entry(call: Call, name: str) -> Entry:
    known = [entry.name for entry in call.table.entries.values() if _concerns(call, entry)]
    parsed = RepositoryName.parse(name)
    if parsed not in known:
        raise RepositoryUnknown(parsed, known)
    return call.table.entry(parsed)


def _concerns(call: Call, entry: Entry) -> bool:
    return call.who.holds(Right.ADMINISTER) or call.reads(entry) or call.who.may_somewhere(Right.PUSH, entry.name)


def _image(call: Call) -> str:
    text = call.query.get("image")
    if not text:
        raise QueryInvalid("image", "it has to be said, such as orchestrator/server")
    return text


def _shape(
    found: Explanation, account: str, action: str, entry: Entry, image: ImageName, reference: str | None
) -> Json:
    problem = None if found.refusal is None else TABLE[type(found.refusal)]
    return {
        "account": account,
        "action": action,
        "repository": entry.name,
        "image": image,
        "reference": reference,
        "allowed": found.refusal is None,
        "answer": found.answer,
        "member": found.member,
        "upstream_decides": found.upstream,
        "code": None if problem is None else problem.code,
        "status": None if problem is None else problem.status,
        "steps": [{"what": one.what, "says": one.says, "verdict": one.verdict.value} for one in found.steps],
    }
