"""From a job's id_token to an image that is pushed and pulled: Vault's API, the program, a Docker engine and skopeo are
real, Vault is set up with the commands of docs/ci.md, and the jobs are those of the GitLab template."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.peers.clients import Skopeo
from tests.peers.engine import DockerEngine
from tests.peers.fixtures import made
from tests.peers.gitlab import GITLAB, ServedGitLab
from tests.peers.images import image, write_layout
from tests.peers.openbao import OpenBao
from tests.peers.pierhead import Pierhead, house
from tests.peers.processes import plain_environment, program, run
from tests.promises.houses import DEV, GROUP
from tests.promises.shop import pulled_digest, pushed_digest

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "examples/cwiq/ci-templates/.gitlab-ci-common.yml"
PROGRAMS = Path(sys.executable).parent
ACCOUNT = "svc-orchestrator"


@dataclass(frozen=True)
class Chain:
    """Everything that a job meets; `password` is what Vault was made to keep."""

    gitlab: ServedGitLab
    vault: OpenBao
    registry: Pierhead
    password: str

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """Of a job of orchestrator/server, as GitLab and the template's variables make it."""
        known = {
            "VAULT_ADDR": self.vault.url,
            "VAULT_ID_TOKEN": self.gitlab.id_token(project_id=5),
            "NEXUS_REGISTRY": self.registry.address(DEV),
            "NEXUS_REGISTRY_PULL": self.registry.address(GROUP),
            "NEXUS_ACCOUNT": template()["variables"]["NEXUS_ACCOUNT"],
            "DOCKER_CONFIG": str(home / "docker"),
        }
        made_up = plain_environment(home, {**known, **more})
        return {**made_up, "PATH": f"{PROGRAMS}:{made_up['PATH']}"}


def template() -> Any:
    return YAML(typ="safe").load(TEMPLATE)


def commands_of_the_manual() -> str:
    """The shell block under "Set up Vault"."""
    _, _, section = (ROOT / "docs/ci.md").read_text().partition("\n## Set up Vault\n")
    found = re.search(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    home = tmp_path_factory.mktemp("operator")
    with ServedGitLab() as gitlab, made(OpenBao) as vault:
        (home / "vault").symlink_to(vault.program)
        known = plain_environment(home, {"VAULT_ADDR": vault.url, "VAULT_TOKEN": vault.root_token})
        known["PATH"] = f"{home}:{known['PATH']}"
        commands = commands_of_the_manual()
        assert commands.startswith(f"GITLAB={GITLAB}\n")
        run(["sh", "-euc", commands.replace(GITLAB, gitlab.url)], environment=known)
        show = ["vault", "kv", "get", "-field=password", f"secret/nexus/{ACCOUNT}"]
        password = run([str(home / show[0]), *show[1:]], environment=known).stdout.strip()
        assert len(password) == 32
        with Pierhead(house(), environment={"SVC_ORCHESTRATOR_PASSWORD": password}) as registry:
            yield Chain(gitlab, vault, registry, password)


def job_script(name: str) -> str:
    """What a runner makes of a job's before_script: one shell, which ends at the first line that fails."""
    return "\n".join(["set -e", *template()[name]["before_script"]])


def travels(engine: DockerEngine, chain: Chain, config: Path, name: str) -> None:
    """An image is pushed to one port with the logins in `config`, and pulled from the other."""
    push, pull = f"{chain.registry.address(DEV)}/{name}", f"{chain.registry.address(GROUP)}/{name}"
    engine.make_tiny_image(push, name.encode())
    digest = pushed_digest(engine.docker("push", push, config_dir=config).stdout)
    engine.docker("image", "rm", push)
    engine.docker("pull", pull, config_dir=config)
    assert pulled_digest(engine, pull) == digest
    engine.docker("image", "rm", pull)


def test_one_command_is_enough_to_push_and_to_pull(docker_engine: DockerEngine, chain: Chain, tmp_path: Path) -> None:
    assert template()[".nexus-login"]["before_script"] == ["pierhead ci login"]
    environment = chain.environment(tmp_path)
    done = run(["sh", "-c", job_script(".nexus-login")], environment=environment)
    assert done.stdout.startswith("Logged in to ")
    assert f" as {ACCOUNT}, in {tmp_path}/docker/config.json." in done.stdout
    assert chain.vault.live_tokens() == 1
    travels(docker_engine, chain, tmp_path / "docker", "orchestrator/server:main-a1b2c3d")


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_steps_in_shell_do_the_same(shell: str, docker_engine: DockerEngine, chain: Chain, tmp_path: Path) -> None:
    for needed in ("curl", "jq", shell):
        made(functools.partial(program, needed))
    environment = chain.environment(tmp_path, DOCKER_HOST=f"unix://{docker_engine.socket}")
    done = run([shell, "-c", job_script(".nexus-login-shell")], environment=environment)
    assert done.stdout.count("Login Succeeded") == 2
    assert chain.password not in done.stdout + done.stderr
    assert chain.vault.live_tokens() == 1
    travels(docker_engine, chain, tmp_path / "docker", f"orchestrator/server:main-{shell}")
    end = template()[".nexus-login-shell"]["after_script"]
    run([shell, "-c", "\n".join(["set -e", *end])], environment=environment)
    assert not (tmp_path / "docker/config.json").exists()


@pytest.mark.parametrize(
    ("claims", "account"), [({"project_id": 99}, ACCOUNT), ({"lives": -3600}, ACCOUNT), ({}, "svc-admin")]
)
def test_the_steps_in_shell_end_the_job_when_vault_refuses(
    claims: dict[str, Any], account: str, docker_engine: DockerEngine, chain: Chain, tmp_path: Path
) -> None:
    more = {"VAULT_ID_TOKEN": chain.gitlab.id_token(**claims), "NEXUS_ACCOUNT": account}
    environment = chain.environment(tmp_path, DOCKER_HOST=f"unix://{docker_engine.socket}", **more)
    done = run(["sh", "-c", job_script(".nexus-login-shell")], environment=environment, check=False)
    assert done.returncode != 0
    assert "The requested URL returned error: 40" in done.stderr
    assert not (tmp_path / "docker").exists()
    assert chain.vault.live_tokens() == 1


def test_the_manual_lets_no_job_read_the_password_of_the_administrator(chain: Chain, tmp_path: Path) -> None:
    chain.vault.put_account("svc-admin", "admin-secret-1")
    environment = chain.environment(tmp_path)
    done = run(["pierhead", "ci", "login", "--account", "svc-admin"], environment=environment, check=False)
    assert done.returncode == 1
    assert "may not read secret/data/nexus/svc-admin" in done.stderr


def test_docker_asks_the_helper_and_no_file_holds_the_password(
    docker_engine: DockerEngine, chain: Chain, tmp_path: Path
) -> None:
    environment = chain.environment(tmp_path)
    run(["pierhead", "ci", "login", "--helper"], environment=environment)
    name = f"{chain.registry.address(DEV)}/orchestrator/server:helped"
    docker_engine.make_tiny_image(name, b"helped")
    docker = ["docker", "--config", str(tmp_path / "docker"), "-H", f"unix://{docker_engine.socket}"]
    pushed_digest(run([*docker, "push", name], environment=environment).stdout)
    for path in (tmp_path / "docker").iterdir():
        assert chain.password not in path.read_text()
        assert '"auths"' not in path.read_text()
    refused = run([*docker, "push", name], environment={**environment, "VAULT_ADDR": ""}, check=False)
    assert "VAULT_ADDR is not set" in refused.stderr
    assert chain.vault.live_tokens() == 1


def test_docker_takes_the_login_and_not_the_store_that_is_turned_off(
    docker_engine: DockerEngine, chain: Chain, tmp_path: Path
) -> None:
    store = tmp_path / "docker-credential-full"
    old = json.dumps({"ServerURL": "any", "Username": ACCOUNT, "Secret": "of last year"})
    store.write_text(f"#!/bin/sh\necho asked >>{tmp_path}/asked\necho '{old}'\n")
    store.chmod(0o755)
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/config.json").write_text(json.dumps({"credsStore": "full"}))
    environment = chain.environment(tmp_path)
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    name = f"{chain.registry.address(DEV)}/orchestrator/server:stored"
    docker_engine.make_tiny_image(name, b"stored")
    push = ["docker", "--config", str(tmp_path / "docker"), "-H", f"unix://{docker_engine.socket}", "push", name]
    assert run(push, environment=environment, check=False).returncode != 0
    assert (tmp_path / "asked").exists()
    done = run(["pierhead", "ci", "login"], environment=environment)
    assert "credsStore full is turned off for " in done.stderr
    pushed_digest(run(push, environment=environment).stdout)


@pytest.mark.parametrize("way", ["docker's file", "a file of its own", "an older file", "helper", "helper and a store"])
def test_skopeo_finds_the_login(way: str, skopeo: Skopeo, chain: Chain, tmp_path: Path) -> None:
    environment = chain.environment(tmp_path, XDG_RUNTIME_DIR=str(tmp_path / "run"))
    options = ["--helper"] if "helper" in way else []
    if way == "a file of its own":
        environment["REGISTRY_AUTH_FILE"] = str(tmp_path / "auth.json")
    if way == "an older file":
        older = tmp_path / "run/containers/auth.json"
        older.parent.mkdir(parents=True)
        old = {chain.registry.address(name): {"auth": "b2xkOm9sZA=="} for name in (DEV, GROUP)}
        older.write_text(json.dumps({"auths": old}))
    if way == "helper and a store":
        (tmp_path / "docker").mkdir()
        (tmp_path / "docker/config.json").write_text(json.dumps({"credsStore": "that-is-not-installed"}))
    run(["pierhead", "ci", "login", *options], environment=environment)
    write_layout(tmp_path / "layout", {"1": image(seed=7)})
    target = f"{chain.registry.address(DEV)}/orchestrator/agent:1"
    without_tls = ["--insecure-policy", "copy", "--dest-tls-verify=false"]
    copied = [program("skopeo"), *without_tls, f"oci:{tmp_path}/layout:1", f"docker://{target}"]
    run(copied, environment=environment)
    pulled = [program("skopeo"), "inspect", "--tls-verify=false", f"docker://{chain.registry.address(GROUP)}"]
    told = run([*pulled[:-1], f"{pulled[-1]}/orchestrator/agent:1"], environment=environment).stdout
    assert json.loads(told)["Digest"] == image(seed=7).digest


def test_no_secret_of_a_job_stands_on_a_command_line(chain: Chain, tmp_path: Path) -> None:
    """The steps run with a shell that shows each command with its arguments; the shell's own words are no processes."""
    recorder = tmp_path / "bin"
    recorder.mkdir()
    for name in ("curl", "jq", "docker"):
        real = program(name) if name != "docker" else "/bin/true"
        (recorder / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{tmp_path}/commands\nexec {real} "$@"\n')
        (recorder / name).chmod(0o755)
    environment = chain.environment(tmp_path)
    environment["PATH"] = f"{recorder}:{environment['PATH']}"
    subprocess.run(["sh", "-c", job_script(".nexus-login-shell")], env=environment, check=True, capture_output=True)
    said = (tmp_path / "commands").read_text()
    assert said.count("\n") == 3 + 4 + 2
    assert not re.search(rf"{re.escape(chain.password)}|eyJ|\bs\.\w{{20}}", said)


def test_the_template_asks_for_the_audiences_that_the_manual_sets_up() -> None:
    jobs = {name: job for name, job in template().items() if name.startswith(".nexus-login")}
    audiences = {name: {one["aud"] for one in job["id_tokens"].values()} for name, job in jobs.items()}
    assert audiences == {
        ".nexus-login": {GITLAB},
        ".nexus-login-shell": {GITLAB},
        ".nexus-login-oidc": {"https://nexus.shared.cwiq.io"},
    }
    assert jobs[".nexus-login-oidc"]["before_script"] == ["pierhead ci login --oidc"]
    assert list(jobs[".nexus-login-oidc"]["id_tokens"]) == ["PIERHEAD_ID_TOKEN"]
