"""Which tags an image gets for what happened in Git, and which of the tags that there are may move.

A strategy is a list of rules. A job asks it for names; the server asks it what a tag is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

from msgspec import Struct

from pierhead.domain.names import Tag
from pierhead.domain.patterns import VERSION, Patterns, TagPatterns, is_version
from pierhead.domain.refusals import TagInvalid, shown

PLACEHOLDERS: Final = ("short_sha", "slug", "version")
PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
SLUG_BYTES_MAX: Final = 63
SHORT_SHA_CHARACTERS: Final = 8
"""Of GitLab's CI_COMMIT_SHORT_SHA."""
TAG_CHARACTERS_MAX: Final = 128
_NOT_IN_SLUGS: Final = re.compile(r"[^a-z0-9]")
_SHA: Final = re.compile(r"[0-9a-f]{4,64}")


class NoTags(Exception):
    """A job for which no tag can be named; ``line`` says why and what to do."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.line = line


_NONE: Final = Patterns(())


class TagRule(Struct, frozen=True):
    """What a pipeline has to be of (a branch, a merge request's source branch, a Git tag), and how its image is tagged.

    ``names`` hold placeholders, the most special first; ``moving`` are plain tags, which every later pipeline moves.
    In the repositories that ``once`` names, a tag after one of ``names`` is written once, whatever their policy.
    """

    name: str
    branch: Patterns = _NONE
    merge_request: Patterns = _NONE
    tag: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    moving: tuple[str, ...] = ()
    once: Patterns = _NONE

    @property
    def tags(self) -> TagPatterns:
        """Patterns of what ``names`` come to."""
        return TagPatterns(name if name == VERSION else PLACEHOLDER.sub("*", name) for name in self.names)


class TagClass(Struct, frozen=True):
    """What the strategy makes of a tag: by which rule, and whether it moves."""

    rule: str
    moving: bool


class Strategy(Struct, frozen=True, dict=True):
    """Rules in the order of asking: the first that fits a pipeline names its tags."""

    rules: tuple[TagRule, ...]

    @cached_property
    def _moving(self) -> Mapping[str, TagClass]:
        """Lists of thousands of tags are told by it, and by the next."""
        return {tag: TagClass(rule.name, moving=True) for rule in reversed(self.rules) for tag in rule.moving}

    @cached_property
    def _lasting(self) -> Sequence[tuple[TagPatterns, TagClass]]:
        return [(rule.tags, TagClass(rule.name, moving=False)) for rule in self.rules]

    @property
    def moving(self) -> frozenset[str]:
        """Tags that move; they count as such even where a pattern of another rule meets them."""
        return frozenset(self._moving)

    def class_of(self, tag: str) -> TagClass | None:
        """None for a tag that no rule makes."""
        found = self._moving.get(tag)
        return found or next((made for patterns, made in self._lasting if patterns.meets(tag)), None)


BUILT_IN: Final = Strategy(
    (
        TagRule("main", branch=Patterns(["main"]), names=("main-{short_sha}",), moving=("latest",)),
        TagRule(
            "branch",
            branch=Patterns(["*"]),
            merge_request=Patterns(["*"]),
            names=("branch-{slug}-{short_sha}",),
        ),
        TagRule("release", tag=("v*",), names=("{version}",), moving=("stable",)),
    )
)
"""Where nothing else is configured."""


class Pipeline(Struct, frozen=True):
    """What a job says of its pipeline. One of the three is set; ``short_sha`` and ``slug`` may be empty."""

    branch: str = ""
    merge_request: str = ""
    """The source branch of a merge request, which may be a fork's: its ``main`` is not ours."""
    tag: str = ""
    short_sha: str = ""

    @property
    def ref(self) -> str:
        """The name of the branch or Git tag."""
        return self.tag or self.merge_request or self.branch

    @property
    def said(self) -> str:
        """For sentences."""
        if self.tag:
            return f"The Git tag {shown(self.tag)}"
        if self.merge_request:
            return f"A merge request from {shown(self.merge_request)}"
        return f"The branch {shown(self.branch)}"


def pipeline_of(variables: Mapping[str, str]) -> Pipeline:
    """What GitLab's predefined variables say. Raises NoTags where they say of no branch and of no tag.

    Source: GitLab documentation, "Predefined CI/CD variables reference": CI_COMMIT_TAG is set for tags only,
    CI_COMMIT_BRANCH for branches only, and neither for merge requests, whose CI_COMMIT_REF_NAME is the source branch.
    """
    sha = variables.get("CI_COMMIT_SHORT_SHA", "")
    if tag := variables.get("CI_COMMIT_TAG", ""):
        return Pipeline(tag=tag, short_sha=sha)
    name = variables.get("CI_COMMIT_REF_NAME", "")
    source = variables.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "")
    of_merge_request = source or variables.get("CI_MERGE_REQUEST_IID") or variables.get("CI_MERGE_REQUEST_ID")
    if of_merge_request or variables.get("CI_PIPELINE_SOURCE") == "merge_request_event":
        source = source or name
        if not source:
            raise NoTags("The job is of a merge request, and CI_MERGE_REQUEST_SOURCE_BRANCH_NAME is not set.")
        return Pipeline(merge_request=source, short_sha=sha)
    branch = variables.get("CI_COMMIT_BRANCH") or name
    if not branch or branch == "HEAD":
        raise NoTags(
            "No branch and no Git tag is known: neither CI_COMMIT_BRANCH nor CI_COMMIT_TAG is set. GitLab sets one of "
            "them in each job; elsewhere, and on a detached HEAD, set it yourself."
        )
    return Pipeline(branch=branch, short_sha=sha)


def slug_of(ref: str) -> str:
    """A name of Git's as CI_COMMIT_REF_SLUG has it: lower case, everything but ``a-z`` and ``0-9`` a hyphen, cut to 63
    bytes, no hyphen at either end. Empty if nothing is left.

    Source: GitLab, ``lib/gitlab/utils.rb``, ``slugify``.
    """
    return _NOT_IN_SLUGS.sub("-", ref.lower())[:SLUG_BYTES_MAX].strip("-")


def tags_for(strategy: Strategy, pipeline: Pipeline) -> tuple[TagRule, tuple[Tag, ...]]:
    """The rule that fits, and its tags: the most special first, those that move last.

    Raises NoTags if no rule fits, something that a name needs is missing, or what comes out cannot be a tag.
    """
    rule, prefix = _fitting(strategy, pipeline)
    made = [_tag(_filled(name, pipeline, prefix), pipeline) for name in rule.names]
    return rule, tuple(dict.fromkeys([*made, *map(Tag.parse, rule.moving)]))


def _fitting(strategy: Strategy, pipeline: Pipeline) -> tuple[TagRule, str]:
    """The first rule that fits, and what stands before the star of the pattern of a Git tag."""
    for rule in strategy.rules:
        if pipeline.tag:
            for pattern in rule.tag:
                if Patterns([pattern]).meets(pipeline.tag):
                    return rule, pattern.partition("*")[0]
        elif (rule.merge_request if pipeline.merge_request else rule.branch).meets(pipeline.ref):
            return rule, ""
    kind = "tag" if pipeline.tag else "merge_request" if pipeline.merge_request else "branch"
    known = [f"{rule.name} takes {', '.join(found)}" for rule in strategy.rules if (found := _patterns(rule, kind))]
    told = f"{kind.replace('_', ' ')}: {'; '.join(known)}" if known else f"no rule is about a {kind.replace('_', ' ')}"
    raise NoTags(f"{pipeline.said} fits no rule of the tag strategy ({told}).")


def _patterns(rule: TagRule, kind: str) -> Sequence[str]:
    if kind == "tag":
        return rule.tag
    return (rule.merge_request if kind == "merge_request" else rule.branch).texts


def _filled(template: str, pipeline: Pipeline, prefix: str) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] == "short_sha":
            return _short_sha(pipeline)
        if found[1] == "version":
            return _version(pipeline, prefix)
        return slug_of(pipeline.ref)

    return PLACEHOLDER.sub(value, template)


def _short_sha(pipeline: Pipeline) -> str:
    if not pipeline.short_sha:
        raise NoTags("CI_COMMIT_SHORT_SHA is not set. GitLab sets it in each job: the first characters of the commit.")
    if _SHA.fullmatch(pipeline.short_sha) is None:
        raise NoTags(
            f"CI_COMMIT_SHORT_SHA is `{shown(pipeline.short_sha)}`, which is no commit: it is hexadecimal digits, such "
            "as a1b2c3d4."
        )
    return pipeline.short_sha


def _version(pipeline: Pipeline, prefix: str) -> str:
    version = pipeline.tag.removeprefix(prefix)
    if "+" in version:
        without = shown(pipeline.tag.partition("+")[0])
        raise NoTags(
            f"{pipeline.said} has build metadata behind a `+`, which cannot stand in an image's tag, and two builds of "
            f"one version would get the same one. Name the release without it, such as {without}, or as a "
            "pre-release with a `-`."
        )
    if not is_version(version):
        raise NoTags(f"{pipeline.said} names no version. One looks like {prefix}1.4.0 or {prefix}1.4.0-rc.1.")
    return version


def _tag(text: str, pipeline: Pipeline) -> Tag:
    try:
        return Tag.parse(text)
    except TagInvalid:
        pass
    if len(text) > TAG_CHARACTERS_MAX:
        raise NoTags(
            f"{pipeline.said} gives a tag of {len(text)} characters, and a tag has at most {TAG_CHARACTERS_MAX}. "
            "Shorten it."
        )
    raise NoTags(f"{pipeline.said} gives `{shown(text)}`, which cannot be a tag. Rename it, or change the rule.")


# --- the strategy as data --------------------------------------------------------------------------------------------


def longest(template: str) -> int:
    """How many characters a name can come to, versions aside, whose length is only known when there is one."""
    widest = {"slug": SLUG_BYTES_MAX, "short_sha": SHORT_SHA_CHARACTERS}
    return len(PLACEHOLDER.sub("", template)) + sum(widest.get(found, 0) for found in placeholders(template))


def placeholders(template: str) -> Iterator[str]:
    """What stands in braces, whether it is known or not."""
    return (found[1] for found in PLACEHOLDER.finditer(template))
