"""`pierhead lint`: what it finds in files of a project and in names, at which line, and what to write instead."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from pierhead.cli.lint import lint

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "examples" / "cwiq" / "shared.yaml").read_text()
HOST = "nexus.shared.cwiq.io"
PUSH, PULL = f"{HOST}:8443", f"{HOST}:8444"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as the house writes it: with the addresses that people use."""
    text = EXAMPLE.replace("external_url: http://127.0.0.1:8081", f"external_url: https://{HOST}")
    assert text.count("    # house: external: ") == 2
    path: Path = tmp_path_factory.mktemp("config") / "shared.yaml"
    path.write_text(text.replace("    # house: external: ", "    external: "))
    return path


def run(*args: object, **environment: str) -> Result:
    clean = {"GITLAB_CI": None, "PIERHEAD_CONFIG": None, **environment}
    return CliRunner().invoke(lint, [str(one) for one in args], env=clean)


def found(config: Path, name: str, text: str, tmp_path: Path, *more: str, **environment: str) -> list[dict[str, Any]]:
    """What one file has."""
    path = tmp_path / name
    path.write_text(text)
    done = run(path, "--config", config, "-o", "json", *more, **environment)
    items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    assert done.exit_code == (1 if any(one["severity"] == "error" for one in items) else 0)
    assert all(one["file"] == str(path) for one in items)
    return items


def places(items: Sequence[dict[str, Any]]) -> list[tuple[int, str, str | None]]:
    return [(one["line"], one["check"], one["correction"]) for one in items]


# --- a pipeline ------------------------------------------------------------------------------------------------------

PIPELINE = f"""\
variables:
  NEXUS_REGISTRY: {PUSH}
  NEXUS_REGISTRY_PULL: {PULL}
  NEXUS_IMAGE_NAME: orchestrator-$CI_PROJECT_NAME
  DB_PASSWORD: hunter2222
  OTHER_PASSWORD: $FROM_VAULT
  TOOL:
    value: node:20
    description: what it runs in

default:
  image: python:3.12

.setup: &setup
  before_script:
    - echo hello

build:
  <<: *setup
  image:
    name: $NEXUS_REGISTRY/library/python:3.12-slim
    entrypoint: [""]
  services:
    - postgres:16
    - name: ${{NEXUS_REGISTRY_PULL}}/library/redis:7
  script:
    - !reference [.setup, before_script]
    - docker build -t "$NEXUS_REGISTRY/orchestrator/server:$CI_COMMIT_SHORT_SHA" .
    - |
      set -e
      docker login -u svc-orchestrator -p hunter2222 $NEXUS_REGISTRY
      docker push \\
        {PULL}/orchestrator/server:1
    - docker push $NEXUS_REGISTRY/cwiq-server:1 && docker pull alpine
    - /kaniko/executor --context . --destination=$NEXUS_REGISTRY/orchestrator/sever:1
    - >
      skopeo copy
      docker://{PULL}/orchestrator/server:1 docker://{PUSH}/server:1

test:
  image: $TOOL
  script: !reference [build, script]
"""


def test_a_pipeline_is_read_with_its_lines_variables_and_tags(config: Path, tmp_path: Path) -> None:
    items = found(config, ".gitlab-ci.yml", PIPELINE, tmp_path)
    server = "orchestrator/server:1"
    assert places(items) == [
        (4, "wrong-name", "orchestrator/$CI_PROJECT_NAME"),
        (5, "plain-password", None),
        (12, "docker-hub", f"{PULL}/python:3.12"),
        (21, "wrong-port", f"{PULL}/library/python:3.12-slim"),
        (24, "docker-hub", f"{PULL}/postgres:16"),
        (31, "plain-password", None),
        (32, "wrong-port", f"{PUSH}/{server}"),
        (34, "wrong-name", f"{PUSH}/{server}"),
        (34, "docker-hub", f"{PULL}/alpine"),
        (35, "wrong-name", f"{PUSH}/{server}"),
        (37, "wrong-name", f"{PUSH}/{server}"),
        (41, "docker-hub", f"{PULL}/node:20"),
    ]
    assert "hunter2222" not in json.dumps(items)
    assert "DB_PASSWORD" in items[1]["message"]
    assert items[0]["message"].startswith("`orchestrator-$CI_PROJECT_NAME` is the old spelling.")


def test_a_pipeline_as_it_should_be_has_nothing(config: Path, tmp_path: Path) -> None:
    text = f"""\
variables:
  NEXUS_REGISTRY: {PUSH}
  IMAGE_NAME: orchestrator/server
build:
  image: $NEXUS_REGISTRY_PULL/python:3.12-slim
  id_tokens: {{VAULT_ID_TOKEN: {{aud: "https://gitlab.shared.cwiq.io"}}}}
  script:
    - pierhead ci login
    - docker push $NEXUS_REGISTRY/$IMAGE_NAME:$(pierhead ci tags)
    - docker pull {PULL}/orchestrator/ui:latest
    - docker pull {PUSH}/orchestrator/ui:latest
    - docker push registry.example.com/cwiq-server:1
    - skopeo copy docker://$NEXUS_REGISTRY/$IMAGE_NAME:1 docker://$NEXUS_REGISTRY/$IMAGE_NAME:1-uat
"""
    assert found(config, ".gitlab-ci.yml", text, tmp_path) == []


def test_in_a_job_what_gitlab_sets_counts(config: Path, tmp_path: Path) -> None:
    text = "variables: {NEXUS_IMAGE_NAME: orchestrator-$CI_PROJECT_NAME}\n"
    job = {"GITLAB_CI": "true", "CI_PROJECT_NAME": "server"}
    (one,) = found(config, "a.yml", text, tmp_path, **job)
    told = "`orchestrator-server` is the old spelling. Set NEXUS_IMAGE_NAME to orchestrator/server (GitLab project 5)."
    assert one["message"] == told
    (two,) = found(config, "a.yml", text, tmp_path, "--variable", "CI_PROJECT_NAME=ui")
    assert two["correction"] == "orchestrator/ui"


@pytest.mark.parametrize("text", ["a: [", "a: b\n c: d\n", "\t- x", "a: &a [*a]\n", "!!", "a: *nothing\n"])
def test_what_is_no_yaml_is_told_with_its_line_or_has_nothing(config: Path, tmp_path: Path, text: str) -> None:
    assert {one["check"] for one in found(config, "a.yml", text, tmp_path)} <= {"unreadable"}


@given(st.text("abc:-[]{}&*!|>#\n '\"$\\", max_size=60))
def test_no_file_breaks_it(text: str) -> None:
    from pierhead.boot.config import load_names
    from pierhead.cli.linting.ci_file import ci_file
    from pierhead.cli.linting.reference import House
    from pierhead.cli.linting.scripts import dockerfile, shell

    house = House(load_names(None))
    for read in (ci_file, dockerfile, shell):
        for one in read(text, house, {}):
            assert 1 <= one.line <= text.count("\n") + 2


def test_what_cannot_be_a_name_is_no_name_in_a_variable_and_what_no_job_pushes_is_free(
    config: Path, tmp_path: Path
) -> None:
    text = f"""\
variables:
  DISK_IMAGE: "Fedora 40 (cloud).qcow2"
  BASE_IMAGE: python:3.12
  OTHER_IMAGE: registry.example.com/cwiq-server
  DESCRIPTION: cwiq-server
deploy:
  script:
    - docker run {PULL}/orchestrator/server:1
    - docker tag cwiq-server:dev $CI_REGISTRY/$CI_PROJECT_PATH
    - docker pull $CI_REGISTRY_IMAGE
    - docker build -t local-name .
"""
    assert found(config, "ci.yml", text, tmp_path) == []


@pytest.mark.parametrize(
    "line",
    [
        "password: $PASSWORD", "password: '{{ .Values.password }}'", "password_file: /run/secrets/x", "token: ''",
        "secret: false", "password: <here>", "url: http://user:$PASSWORD@h/x", "db_password_env: DB_PASSWORD",
        "token: vault:secret/data/x", "script: export TOKEN=$(cat x)", "script: curl -u $USER:$PASS https://h",
        "script: echo $X | docker login -u me --password-stdin h:1", "script: docker run -p 8080:80 x/y",
    ],
)  # fmt: skip
def test_what_is_no_secret_itself_is_left_alone(config: Path, tmp_path: Path, line: str) -> None:
    assert found(config, "ci.yml", f"job: {{x: y}}\njob2:\n  {line}\n", tmp_path) == []


@pytest.mark.parametrize(
    "line",
    [
        "password: hunter2222", "DB_PASSWORD: 'hunter2222'", "api_key: hunter2222", "url: https://me:hunter2222@h/x",
        "script: export TOKEN=hunter2222", "script: skopeo copy --dest-creds me:hunter2222 oci:x docker://h:1/x",
        "script: helm upgrade x --set db.password=hunter2222", "x: glpat-hunter2222hunter2222",
        "script: docker build --build-arg NPM_TOKEN=hunter2222 .", "script: podman login -u me --password=hunter2222 h",
        "x: '-----BEGIN RSA PRIVATE KEY-----'",
    ],
)  # fmt: skip
def test_a_secret_is_found_and_not_repeated(config: Path, tmp_path: Path, line: str) -> None:
    items = found(config, "ci.yml", f"job: {{x: y}}\njob2:\n  {line}\n", tmp_path)
    assert [(one["line"], one["check"]) for one in items] == [(3, "plain-password")]
    assert "hunter" not in json.dumps(items)


def test_an_image_of_ones_own_without_a_port_is_told_to_be_anybodys(config: Path, tmp_path: Path) -> None:
    (one,) = found(config, "ci.yml", "job: {image: orchestrator/server:1}\n", tmp_path)
    assert one["message"] == (
        f"orchestrator/server:1 is asked of Docker Hub, where anybody may have pushed it. "
        f"Pull {PULL}/orchestrator/server:1."
    )


@pytest.mark.parametrize("folder", ["examples", "tests/peers", "scripts"])
def test_nothing_of_this_project_is_wrong(folder: str) -> None:
    done = run(ROOT / folder, "--config", ROOT / "examples" / "cwiq" / "shared.yaml")
    assert (done.exit_code, done.stdout) == (0, "")


# --- a Dockerfile, a script ------------------------------------------------------------------------------------------


def test_a_dockerfile_is_read_with_its_stages_and_arguments(config: Path, tmp_path: Path) -> None:
    text = f"""\
# syntax=docker/dockerfile:1
ARG BASE=python:3.12-slim
ARG REGISTRY
FROM ${{BASE}} AS build
ENV API_TOKEN=abcdefgh OTHER=1
RUN apt-get update && \\
    curl -u me:secretpw https://example.com
FROM --platform=linux/amd64 {PUSH}/node:20 AS web
COPY --from=build /x /x
COPY --from=nginx:1 /y /y
FROM $REGISTRY/library/node:20
FROM {PULL}/library/node:20
FROM build
FROM scratch
"""
    assert places(found(config, "Dockerfile", text, tmp_path)) == [
        (4, "docker-hub", f"{PULL}/python:3.12-slim"),
        (5, "plain-password", None),
        (6, "plain-password", None),
        (8, "wrong-port", f"{PULL}/node:20"),
        (10, "docker-hub", f"{PULL}/nginx:1"),
    ]


def test_a_script_is_read_line_by_line(config: Path, tmp_path: Path) -> None:
    text = f"""\
#!/bin/sh
# docker push {PUSH}/cwiq-server
export REGISTRY_PASSWORD='hunter2222'
PASSWORD=$(cat /run/secret)
IMAGE={PUSH}/orchestrator/cwiq-ui
docker tag ui:dev "$IMAGE:1"; docker push "$IMAGE:1"
sudo podman login --username me --password "$REGISTRY_PASSWORD" {PUSH}
git clone https://me:hunter2222@example.com/x.git
echo '{{"auths": {{"{PUSH}": {{"auth": "bWU6aHVudGVyMjIyMg=="}}}}}}' > ~/.docker/config.json
buildah push localhost/ui docker://{HOST}/docker-group/orchestrator/ui:1
docker push {HOST}/orchestrator/ui:1
skopeo copy docker://{HOST}:443/library/node:20 docker://{HOST}/docker-hosted-dev/orchestrator/ui:2
"""
    assert places(found(config, "push.sh", text, tmp_path)) == [
        (3, "plain-password", None),
        (6, "wrong-name", f"{PUSH}/orchestrator/ui:1"),
        (8, "plain-password", None),
        (9, "plain-password", None),
        (10, "wrong-port", f"{PUSH}/orchestrator/ui:1"),
        (11, "wrong-port", f"{PUSH}/orchestrator/ui:1"),
        (12, "wrong-port", f"{PULL}/library/node:20"),
    ]


# --- names, forms, ends ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cwiq-server", "Images have no `cwiq-` prefix here. Push to orchestrator/server."),
        (f"{PUSH}/server:1.0.0", "Images are called orchestrator/ and the project here. Push to orchestrator/server."),
        ("Server", "`Server` cannot be a name: a name is lower-case letters and digits"),
    ],
)
def test_a_wrong_name_ends_with_1(config: Path, name: str, message: str) -> None:
    done = run(name, "--config", config)
    assert done.exit_code == 1
    assert message in done.stdout


@pytest.mark.parametrize("name", ["orchestrator/server", f"{PUSH}/orchestrator/ui:1", "datastore/postgres:16"])
def test_a_right_name_ends_with_0(config: Path, name: str) -> None:
    done = run(name, "--config", config)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "Nothing was found.\n")


def test_a_name_that_is_only_warned_about_is_told_and_ends_with_0(config: Path) -> None:
    done = run("orchestrator/brand-new", "--config", config)
    assert done.exit_code == 0
    assert "warning" in done.stdout


def test_without_a_configuration_names_are_free_and_ports_are_the_built_in_ones(tmp_path: Path) -> None:
    (tmp_path / "x.sh").write_text("docker push 127.0.0.1:8444/cwiq-server:1\ndocker pull nginx\n")
    done = run(tmp_path / "x.sh", "-o", "json")
    assert places(json.loads(done.stdout)["items"]) == [
        (1, "wrong-port", "127.0.0.1:8443/cwiq-server:1"),
        (2, "docker-hub", "127.0.0.1:8444/nginx"),
    ]


def test_the_example_as_it_is_knows_its_ports_on_any_host(tmp_path: Path) -> None:
    (tmp_path / "x.sh").write_text(f"docker push {PULL}/orchestrator/server:1\n")
    done = run(tmp_path / "x.sh", "--config", ROOT / "examples" / "cwiq" / "shared.yaml", "-o", "json")
    assert places(json.loads(done.stdout)["items"]) == [(1, "wrong-port", f"{PUSH}/orchestrator/server:1")]


def test_the_report_is_what_gitlab_reads(config: Path, tmp_path: Path) -> None:
    (tmp_path / "ci.yml").write_text(PIPELINE + PIPELINE.replace("build:", "build2:").replace("variables", "other"))
    report = tmp_path / "gl.json"
    done = run(tmp_path / "ci.yml", "--config", config, "-o", "gitlab", "--code-quality", report)
    printed = json.loads(done.stdout)
    assert json.loads(report.read_text()) == printed
    assert len({one["fingerprint"] for one in printed}) == len(printed) > 12
    for one in printed:
        assert set(one) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert one["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert one["location"]["path"] == str(tmp_path / "ci.yml")
        assert one["location"]["lines"]["begin"] >= 1


def test_a_folder_is_searched_for_what_is_known_by_name(config: Path, tmp_path: Path) -> None:
    for name in ("Dockerfile", "app/Dockerfile.web", "ci/push.sh", "node_modules/x/Dockerfile", ".git/x.sh", "a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("FROM nginx\ndocker pull nginx\n")
    items = json.loads(run(tmp_path, "--config", config, "-o", "json").stdout)["items"]
    assert [Path(one["file"]).relative_to(tmp_path).as_posix() for one in items] == [
        "Dockerfile",
        "app/Dockerfile.web",
        "ci/push.sh",
    ]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["no-such.yml"], "no-such.yml: there is no such file."),
        (["--variable", "x"], "--variable x: write NAME=VALUE."),
        (["--config", "/no/such.yaml"], "/no/such.yaml: cannot be read"),
        (["x", "--code-quality", "/no/such/folder/x.json"], "/no/such/folder/x.json: cannot be written"),
    ],
)
def test_what_cannot_be_understood_ends_with_2(args: list[str], said: str) -> None:
    done = run(*args)
    assert done.exit_code == 2
    assert said in done.stderr
