"""What may stand behind a key: each function takes what YAML gave and returns a value, or raises Wrong.

A sentence goes on after the key and the value, such as "`fresh_for: 30` has no unit. Did you mean 30s?".
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from argon2 import extract_parameters
from argon2.exceptions import InvalidHashError
from argon2.low_level import Type

from pierhead.boot.config_faults import Wrong, did_you_mean
from pierhead.boot.settings import Address, Network, is_host
from pierhead.domain import roles
from pierhead.domain.access import BUILT_IN_ROLES, Right
from pierhead.domain.limits import GIB, KIB, MIB
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.patterns import VERSION
from pierhead.domain.policy import WritePolicy
from pierhead.domain.refusals import NameInvalid

_DURATION: Final = re.compile(r"([0-9]{1,9})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE: Final = re.compile(r"([0-9]{1,9})(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_BYTES: Final = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": KIB, "MiB": MIB, "GiB": GIB, "TiB": 1024 * GIB,
}  # fmt: skip
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
_STAGE: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_HUB_PAGES: Final = frozenset({"docker.io", "www.docker.com", "hub.docker.com", "docker.com"})

DOCKER_HUB_HOSTS: Final = frozenset({"registry-1.docker.io", "index.docker.io", "registry.hub.docker.com"})
ARGON2_KIB_MAX: Final = 1024 * 1024
ARGON2_PASSES_MAX: Final = 64


def text(value: object) -> str:
    """A string on one line."""
    if isinstance(value, bool | int | float):
        raise Wrong("must be text. Put it in quotes.")
    if not isinstance(value, str):
        raise Wrong("must be text.")
    if not value or not value.isprintable():
        raise Wrong("must be text on one line, and not empty.")
    return value


def switch(value: object) -> bool:
    """``true`` or ``false``, and nothing that resembles it."""
    if not isinstance(value, bool):
        raise Wrong("must be true or false.")
    return value


def count(least: int, most: int) -> Callable[[object], int]:
    """A whole number within bounds."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Wrong(f"must be a whole number from {least} to {most}.")
        return value

    return parse


def choice(choices: Iterable[str]) -> Callable[[object], str]:
    """One word of a closed set."""
    known = tuple(choices)

    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in known:
            hint = did_you_mean(value, known) if isinstance(value, str) else ""
            raise Wrong(f"is unknown.{hint or ' Known: ' + ', '.join(known) + '.'}")
        return value

    return parse


def duration(least: str, most: str) -> Callable[[object], int]:
    """``30s``, ``5m``, ``1h`` or ``14d`` within bounds -> seconds."""
    low, high = _seconds(least), _seconds(most)

    def parse(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            raise Wrong(f"has no unit. Did you mean {value}s?")
        if not isinstance(value, str) or _DURATION.fullmatch(value) is None:
            near = "".join(value.lower().split()) if isinstance(value, str) else ""
            hint = f" Did you mean {near}?" if _DURATION.fullmatch(near) else ""
            raise Wrong(f"is no duration: a number with s, m, h or d, such as 30s or 14d.{hint}")
        seconds = _seconds(value)
        if not low <= seconds <= high:
            raise Wrong(f"must be from {least} to {most}.")
        return seconds

    return parse


def _seconds(written: str) -> int:
    return int(written[:-1]) * _SECONDS[written[-1]]


def size(least: str, most: str) -> Callable[[object], int]:
    """``100GiB`` or ``500MB`` within bounds -> bytes."""
    low, high = _bytes(least), _bytes(most)

    def parse(value: object) -> int:
        if not isinstance(value, str) or _SIZE.fullmatch(value) is None:
            raise Wrong("is no size: a number with B, KB, MB, GB, TB or KiB, MiB, GiB, TiB, such as 100GiB.")
        if not low <= _bytes(value) <= high:
            raise Wrong(f"must be from {least} to {most}.")
        return _bytes(value)

    return parse


def _bytes(written: str) -> int:
    digits = written.rstrip("KMGTiB")
    return int(digits) * _BYTES[written[len(digits) :]]


def listen_address(value: object) -> Address:
    """``HOST:PORT`` to listen on. Nobody would be told a port that the system chooses, so 0 is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise Wrong(f"must be host:port. Did you mean 127.0.0.1:{value}?")
    if isinstance(value, str) and re.fullmatch(r"\*?:[0-9]{1,5}", value):
        raise Wrong(f"must be host:port. Every address of the machine is 0.0.0.0:{value.rpartition(':')[2]}.")
    if isinstance(value, str) and "://" in value:
        raise Wrong("must be host:port, without a scheme. TLS is switched on by `tls`.")
    try:
        address = Address.parse(text(value))
    except ValueError:
        raise Wrong("must be host:port, such as 127.0.0.1:8081 or [::1]:8081.") from None
    if address.port == 0:
        raise Wrong("must name a port, 1 to 65535: clients have to be told one.")
    return address


def external_address(value: object) -> Address:
    """``HOST:PORT`` as people write it into an image's name."""
    if isinstance(value, str) and "://" in value:
        raise Wrong("must be host:port, without a scheme: that is as in `external_url`.")
    if isinstance(value, str) and is_host(value) and ":" not in value:
        raise Wrong(f"must be host:port. Did you mean {value}:443?")
    try:
        address = Address.parse(text(value))
    except ValueError:
        raise Wrong("must be host:port, such as registry.example.com:8443.") from None
    if address.port == 0 or address.is_wildcard:
        raise Wrong("must be a host and port that people can reach.")
    return address


def origin(value: object, example: str) -> SplitResult:
    """``http(s)://host[:port]`` and perhaps a path; a password in it is never repeated."""
    written = text(value)
    if "@" in written:
        raise Wrong("must not hold a user or password.", secret=True)
    try:
        parts = urlsplit(written)
        reachable = is_host(parts.hostname or "") and parts.port != 0
        if reachable:
            (parts.hostname or "").encode().decode("idna")  # raises for xn-- and letters that stand for nothing
    except ValueError:
        raise Wrong(f"is no URL. Write it as {example}.") from None
    if parts.scheme not in ("http", "https"):
        raise Wrong(f"must begin with https:// or http://, such as {example}.")
    if not reachable:
        raise Wrong(f"names no host that could be reached. Write it as {example}.")
    if parts.query or parts.fragment or written.endswith(("?", "#")):
        raise Wrong(f"must end before ? and #: {parts.scheme}://{parts.netloc}{parts.path}.")
    return parts


def external_url(value: object) -> str:
    """The main port's address for people -> without a trailing slash."""
    parts = origin(value, "https://registry.example.com")
    if parts.path not in ("", "/"):
        raise Wrong(f"must end after the host and port: {parts.scheme}://{parts.netloc}.")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def upstream_url(value: object) -> str:
    """Another registry's address, perhaps with a path that its images begin with -> without a trailing slash."""
    parts = origin(value, "https://registry-1.docker.io")
    if parts.hostname in _HUB_PAGES:
        raise Wrong("is no registry. Docker Hub's is https://registry-1.docker.io.")
    path = parts.path.strip("/")
    if path.partition("/")[0] in ("v1", "v2"):
        raise Wrong(f"must be written without /{path.partition('/')[0]}: {parts.scheme}://{parts.netloc}.")
    if path.endswith("/v2"):
        raise Wrong(f"must be written without /v2 at its end: {parts.scheme}://{parts.netloc}/{path[:-3]}.")
    if path:
        try:
            path = f"/{ImageName.parse(path)}"
        except NameInvalid:
            raise Wrong(
                f"has a path that begins no image's name. Write it as {parts.scheme}://{parts.netloc}."
            ) from None
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def issuer_url(value: object) -> str:
    """What an OpenID provider calls itself: compared character by character, so a slash at the end counts."""
    parts = origin(value, "https://auth.example.com/application/o/pierhead/")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise Wrong("must begin with https://: whoever stands in between could sign in as anybody.")
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def scope(value: object) -> str:
    """One scope of OAuth 2.0 (RFC 6749, 3.3)."""
    written = text(value)
    if not written.isascii() or any(one in written for one in ' "\\'):
        raise Wrong("is no scope: one word each, without spaces.")
    return written


def file_path(value: object) -> Path:
    """A file that may be missing, made absolute from the working folder."""
    written = text(value)
    if len(written) > 4096:
        raise Wrong("is longer than any path.")
    if written.startswith("~"):
        raise Wrong("begins with ~, which only a shell understands. Write the whole path.")
    return Path(written).absolute()


def present_file(value: object) -> Path:
    """A file that exists and can be read."""
    path = file_path(value)
    try:
        if not path.is_file():
            raise Wrong("is no file that exists.")
        if not os.access(path, os.R_OK):
            raise Wrong("cannot be read by this user.")
    except (OSError, ValueError):
        raise Wrong("is no file that exists.") from None
    return path


def network(value: object) -> Network:
    """``10.0.0.0/8``, or one address."""
    try:
        return ip_network(text(value))
    except ValueError:
        pass
    try:
        loose = ip_network(text(value), strict=False)
    except ValueError:
        raise Wrong("is no network: write it as 10.0.0.0/8 or 192.0.2.7.") from None
    raise Wrong(f"has bits beyond its prefix. Did you mean {loose}?")


def network_or_place(value: object) -> str:
    """``10.0.0.0/8``, one address, or ``host:port`` -> canonical text."""
    written = text(value)
    try:
        return str(network(written))
    except Wrong as wrong:
        if "Did you mean" in wrong.sentence:
            raise
    try:
        return str(Address.parse(written))
    except ValueError:
        pass
    hint = f" Did you mean {written}:443?" if is_host(written) else ""
    raise Wrong(f"is neither a network such as 10.0.0.0/8 nor host:port.{hint}")


def repository_name(value: object) -> RepositoryName:
    """The name of a repository, in its grammar."""
    try:
        return RepositoryName.parse(text(value))
    except NameInvalid as refusal:
        raise Wrong(_reason(refusal)) from None


def _reason(refusal: NameInvalid) -> str:
    """ "`x` cannot be a name: why." -> "cannot be a name: why."."""
    _, found, why = refusal.message.partition("cannot be a name")
    return f"cannot be a name{why}" if found else refusal.message


def stage_name(value: str) -> str:
    """A word that can stand in ``--to STAGE``."""
    if len(value) > 64 or _STAGE.fullmatch(value) is None:
        raise Wrong("cannot be a stage: lower-case letters and digits, with . _ or - between them.")
    return value


def account_name(value: str) -> str:
    """A name that can stand before the colon of Basic authentication (RFC 7617)."""
    if value == "anonymous":
        raise Wrong("is no account: `anonymous: none` says what may be done without one.")
    if value == "pierhead":
        raise Wrong("is what the record of events calls the program itself. Give the account another name.")
    if not roles.is_account_name(value):
        raise Wrong(f"cannot be an account: {roles.ACCOUNT_GRAMMAR}.")
    return value


def variable(value: object) -> str:
    """The name of an environment variable; never repeated, as it may be the secret itself."""
    written = text(value)
    if _VARIABLE.fullmatch(written) is None:
        raise Wrong("must be the name of an environment variable, not what it holds.", secret=True)
    return written


def password_hash(value: object) -> str:
    """An argon2id hash in PHC form, within costs that a login may have."""
    written = text(value)
    try:
        costs = extract_parameters(written)
    except (InvalidHashError, ValueError, IndexError, KeyError):
        raise Wrong("must be an argon2id hash: $argon2id$v=19$…", secret=True) from None
    if costs.type is not Type.ID:
        raise Wrong("must be an argon2id hash: $argon2id$v=19$…", secret=True)
    if costs.memory_cost > ARGON2_KIB_MAX or costs.time_cost > ARGON2_PASSES_MAX or costs.parallelism > 64:
        raise Wrong("would cost more than 1 GiB or 64 passes at each sign-in. Make a cheaper hash.", secret=True)
    return written


def role_name(value: object) -> str:
    """The name of a role, built in or not."""
    written = text(value)
    if not roles.is_role_name(written):
        raise Wrong("is no name of a role: lower-case letters and digits, with . _ or - between them.")
    return written


def own_role_name(value: object) -> str:
    """The name of a role of one's own."""
    written = role_name(value)
    if written in BUILT_IN_ROLES:
        raise Wrong("is built in and cannot be defined anew. Give yours another name.")
    return written


def right(value: object) -> Right:
    """``pull``, ``push``, ``read audit`` …"""
    return Right(choice(one.value for one in Right)(value))


def repository_pattern(value: object) -> str:
    """A pattern of repository names; ``*`` stands for any characters."""
    written = text(value)
    if not roles.is_repository_pattern(written):
        raise Wrong("is no pattern of repository names: lower-case letters, digits, . _ - and * for any characters.")
    return written


def write_policy(value: object) -> WritePolicy:
    """``ALLOW``, ``ALLOW_ONCE`` or ``DENY``."""
    return WritePolicy(choice(policy.value for policy in WritePolicy)(value))


def reserve_pattern(value: object) -> str:
    """A pattern of image names; ``*`` stands for any characters, ``/`` too."""
    written = text(value)
    slashes = written.startswith("/") or written.endswith("/") or "//" in written
    if not slashes and not roles.is_image_pattern(written):
        raise Wrong("is no pattern of image names: lower-case letters, digits, . _ - / and * for any characters.")
    if slashes:
        raise Wrong(f"can never match an image's name. Did you mean {'/'.join(filter(None, written.split('/')))}/*?")
    return written


def tag_pattern(value: object) -> str:
    """A pattern of tags; ``*`` stands for any characters, ``{version}`` alone for a version."""
    written = text(value)
    if not roles.is_tag_pattern(written):
        raise Wrong(f"is no pattern of tags: letters, digits, . _ - and * for any characters, or {VERSION} alone.")
    return written


def later(what: str, today: str) -> Callable[[object], None]:
    """A key that this version knows and does not serve yet."""

    def refuse(_: object) -> None:
        raise Wrong(f"is not served yet: {what} comes in a later version. {today}", secret=True)

    return refuse
