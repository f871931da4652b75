"""A reference of an image in a file: where its parts are, and what the configuration says of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pierhead.boot.settings import GroupSettings, HostedSettings, ProxySettings, RepositorySettings, Settings
from pierhead.cli.linting.findings import DOCKER_HUB, ERROR, WARNING, WRONG_NAME, WRONG_PORT, Finding
from pierhead.cli.linting.variables import is_open, only_open, shown
from pierhead.domain.lookup import Reserve
from pierhead.domain.names import ImageName, RepositoryName
from pierhead.domain.naming import Naming
from pierhead.domain.refusals import NameInvalid

_HUB: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_OF_VARIABLES: Final = ("NEXUS_REGISTRY", "NEXUS_REGISTRY_PUSH"), ("NEXUS_REGISTRY_PULL",)
"""What a common template sets for the two ports; taken for them where a file does not say otherwise."""


@dataclass(frozen=True, slots=True)
class Split:
    """``host`` is empty where none is said; ``rest`` is ``:TAG``, ``@DIGEST`` or nothing."""

    host: str
    image: str
    rest: str


def split(text: str) -> Split:
    """After distribution/reference: what stands before the first slash is a host if it looks like one."""
    text = text.removeprefix("docker://").strip()
    first, slash, behind = text.partition("/")
    host = first if slash and ("." in first or ":" in first or first == "localhost" or only_open(first)) else ""
    name = behind if host else text
    name, at, digest = name.partition("@")
    last = name.rpartition("/")[2]
    tag = last.partition(":")[2]
    image = name.removesuffix(f":{tag}") if ":" in last else name
    return Split(host, image, (f":{tag}" if ":" in last else "") + at + digest)


@dataclass(frozen=True, slots=True)
class Port:
    """A repository's own port, or the main one (None), reached at ``address``."""

    address: str
    repository: RepositorySettings | None


class House:
    """What the configuration says that concerns names and ports."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._naming = Naming(settings.naming, settings.services)
        self._loose = settings.external.host in _LOOPBACK
        """The file is one to try out, so that a port says more than a host."""
        self._ports = [Port(str(settings.external), None)]
        for one in settings.repositories.values():
            external = settings.external_of(one)
            if external is not None:
                self._ports.append(Port(str(external), one))
        hosted = [port for port in self._ports if isinstance(port.repository, HostedSettings)]
        groups = [port for port in self._ports if isinstance(port.repository, GroupSettings)]
        self._push = self._first_push(groups) or next(iter(hosted), None)
        self._pull = next((port for port in groups if self._has_proxy(port.repository)), None)

    def bare_name(self, text: str) -> Iterator[Finding]:
        """A name as somebody would type it behind ``docker push``, with or without a port; what can be no name is
        found too."""
        parts = split(text)
        port = self._port(parts.host)
        if parts.host and port is None:
            return
        repository, image = self._inside(port, parts.image)
        yield from self._named(text, Split(parts.host, image, parts.rest), repository or self._pushed_to())

    def pushed(self, text: str) -> Iterator[Finding]:
        """What a job pushes."""
        parts = split(text)
        port = self._port(parts.host)
        if port is None:
            return
        host = self._host(parts.host, port)
        repository, image = self._inside(port, parts.image)
        found = self._settings.repositories.get(RepositoryName(repository)) if repository else port.repository
        name = self._right(image, repository or self._pushed_to())
        if isinstance(found, ProxySettings) or (isinstance(found, GroupSettings) and found.writable is None):
            right = f"{self._near(self._push, parts.host)}/{name}" if self._push is not None else ""
            wrong = (
                f"The port {host.rpartition(':')[2]} is for pulling"
                if not repository
                else f"{repository} takes no pushes"
            )
            told = f"{wrong}. Push to {shown(right)}." if right else f"{wrong}."
            yield Finding(WRONG_PORT, told, correction=shown(right + parts.rest) if right else "")
        elif port.repository is None and not repository and self._push is not None:
            right = f"{self._near(self._push, parts.host)}/{name}"
            yield Finding(
                WRONG_PORT, f"{_no_port(parts)} Push to {shown(right)}.", correction=shown(right + parts.rest)
            )
        yield from self._named(text, Split(parts.host, image, parts.rest), repository or self._pushed_to())

    def pulled(self, text: str) -> Iterator[Finding]:
        """What a job or a build begins from."""
        parts = split(text)
        if not parts.host or parts.host in _HUB:
            if parts.image and parts.image != "scratch" and not is_open(parts.image.partition("/")[0]):
                yield from self._from_hub(text, parts)
            return
        port = self._port(parts.host)
        if port is None:
            return
        repository, image = self._inside(port, parts.image)
        found = self._settings.repositories.get(RepositoryName(repository)) if repository else port.repository
        if isinstance(found, HostedSettings) and self._pull is not None and not self._own(image):
            right = shown(f"{self._near(self._pull, parts.host)}/{image}{parts.rest}")
            yield Finding(
                WRONG_PORT, f"{shown(image)} does not come from the port for pushing. Pull {right}.", correction=right
            )
        elif port.repository is None and not repository and self._pull is not None:
            right = shown(f"{self._near(self._pull, parts.host)}/{image}{parts.rest}")
            yield Finding(WRONG_PORT, f"{_no_port(parts)} Pull {right}.", correction=right)
        yield from self._named(text, Split(parts.host, image, parts.rest), repository or self._pushed_to())

    # --- what they have in common ------------------------------------------------------------------------------------

    def _from_hub(self, text: str, parts: Split) -> Iterator[Finding]:
        if self._pull is None:
            return
        right = shown(f"{self._pull.address}/{parts.image}{parts.rest}")
        told = f"{shown(text)} comes from Docker Hub directly, whose limits are soon met. Pull {right}."
        if self._own(parts.image):
            told = f"{shown(text)} is asked of Docker Hub, where anybody may have pushed it. Pull {right}."
        yield Finding(DOCKER_HUB, told, correction=right)

    def _named(self, text: str, parts: Split, repository: str) -> Iterator[Finding]:
        try:
            image = ImageName.parse(parts.image)
        except NameInvalid as refusal:
            if not is_open(text):
                yield Finding(WRONG_NAME, refusal.message)
            return
        found = self._naming.judge(RepositoryName(repository), image)
        if found is None or (is_open(image) and not found.refuses):
            return
        prefix = f"{parts.host}/" if parts.host else ""
        right = "" if found.right is None else shown(f"{prefix}{found.right}{parts.rest}")
        severity = ERROR if found.refuses else WARNING
        yield Finding(WRONG_NAME, shown(found.sentence), correction=right, severity=severity, rule=found.rule)

    def _right(self, image: str, repository: str) -> str:
        try:
            return self._naming.meant(RepositoryName(repository), ImageName.parse(image))
        except NameInvalid:
            return image

    def _own(self, image: str) -> bool:
        """Whether it is one of the house's images: in the catalogue, reserved in a group, or under a name of a rule."""
        if self._naming.catalogue.of_image(image) is not None:
            return True
        try:
            name = ImageName.parse(image)
        except NameInvalid:
            return True
        groups = (one for one in self._settings.repositories.values() if isinstance(one, GroupSettings))
        return any(Reserve(one.reserve).holds(name) for one in groups) or self._right(image, self._pushed_to()) != image

    def _port(self, host: str) -> Port | None:
        """Whose address this is; None for another registry's."""
        name = only_open(host)
        if name:
            push, pull = _OF_VARIABLES
            return self._push if name in push else self._pull if name in pull else None
        for port in self._ports:
            if port.address in (host, f"{host}:443", f"{host}:80"):
                return port
        if self._loose:
            asked = host.rpartition(":")[2]
            return next((port for port in self._ports if port.address.rpartition(":")[2] == asked), None)
        return None

    def _inside(self, port: Port | None, image: str) -> tuple[str, str]:
        """On the main port the repository stands first: (repository, image). It is empty elsewhere, and where it was
        left out."""
        first, _, rest = image.partition("/")
        if port is None or port.repository is not None or not rest:
            return "", image
        known = is_open(first) or RepositoryName(first) in self._settings.repositories
        return (first, rest) if known else ("", image)

    @staticmethod
    def _host(written: str, port: Port) -> str:
        return port.address if only_open(written) else written

    def _near(self, port: Port | None, written: str) -> str:
        """The address of a port, at the host that the file names."""
        assert port is not None
        if only_open(written):
            push, pull = _OF_VARIABLES
            return f"${push[0] if port is self._push else pull[0]}"
        host = written.rpartition(":")[0]
        return f"{host}:{port.address.rpartition(':')[2]}" if self._loose and host else port.address

    def _pushed_to(self) -> str:
        """The hosted repository whose rules hold for what is pushed to the port for pushing."""
        found = None if self._push is None else self._push.repository
        if isinstance(found, GroupSettings):
            return found.writable or ""
        return found.name if found is not None else ""

    def _first_push(self, groups: list[Port]) -> Port | None:
        """The port of the first hosted member of the first group that has one."""
        for group in groups:
            assert isinstance(group.repository, GroupSettings)
            for member in group.repository.members:
                for port in self._ports:
                    if isinstance(port.repository, HostedSettings) and port.repository.name == member:
                        return port
        return None

    def _has_proxy(self, group: RepositorySettings | None) -> bool:
        if not isinstance(group, GroupSettings):
            return False
        members = [self._settings.repositories.get(name) for name in group.members]
        return any(isinstance(one, ProxySettings) or self._has_proxy(one) for one in members)


def _no_port(parts: Split) -> str:
    return f"At {shown(parts.host)} a repository's name stands before the image."
