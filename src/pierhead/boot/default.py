"""What is served without a configuration file: the usual shape on loopback, ready for a push to 127.0.0.1:8443."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pierhead.boot.config import parse
from pierhead.boot.settings import Settings

DEFAULT_YAML: Final = """\
listen: 127.0.0.1:8081
data: ./data
stages: {dev: docker-hosted-dev, uat: docker-hosted-uat, prod: docker-hosted-prod}
repositories:
  docker-hosted-dev: {type: hosted, write_policy: ALLOW, listen: 127.0.0.1:8443}
  docker-hosted-uat: {type: hosted, write_policy: ALLOW_ONCE}
  docker-hosted-prod: {type: hosted, write_policy: ALLOW_ONCE}
  docker-proxy-dockerhub: {type: proxy, upstream: "https://registry-1.docker.io"}
  docker-group:
    type: group
    listen: 127.0.0.1:8444
    members: [docker-hosted-prod, docker-hosted-uat, docker-hosted-dev, docker-proxy-dockerhub]
"""


def default_settings(*, data: str | Path | None = None, listen: str | None = None) -> Settings:
    """The built-in configuration; ``data`` and ``listen`` override it. Raises ConfigFaults for what they name."""
    return parse(DEFAULT_YAML.encode(), "the built-in default", data=data, listen=listen)
