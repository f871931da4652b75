"""The way of an image from an empty folder on: the templates of the example house, pipelines that gitlab-ci-local runs,
logins from OpenBao or by id_token, buildah and Pierhead, all real."""

from __future__ import annotations

import functools
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.peers.engine import DockerEngine
from tests.peers.fixtures import made
from tests.peers.gitlab import ServedGitLab
from tests.peers.gitlab_ci import Project, gitlab_ci_local
from tests.peers.images import image, layer
from tests.peers.openbao import OpenBao
from tests.peers.pierhead import Pierhead, house
from tests.peers.processes import program
from tests.peers.registry import DockerRegistry
from tests.peers.wire import Wire
from tests.promises.houses import DEV, GROUP, PROD, UAT

pytestmark = pytest.mark.timeout(400)  # a pipeline takes its time on a busy machine

ROOT = Path(__file__).parents[2]
SHARED = ROOT / "examples/cwiq/shared.yaml"
COMMON = ROOT / "examples/cwiq/ci-templates/.gitlab-ci-common.yml"
PASSWORD = "orchestrator-secret-1"
NAME = "orchestrator/server"
AUDIENCE = "https://nexus.shared.cwiq.io"
DOCKERFILE = "ARG NEXUS_REGISTRY_PULL\nFROM $NEXUS_REGISTRY_PULL/library/tiny:1\nCOPY app /app\n"
TAGS = {
    "main": {"branch": "main", "names": ["main-{short_sha}"], "moving": ["latest"], "once": [DEV]},
    "branch": {"branch": "*", "merge_request": "*", "names": ["branch-{slug}-{short_sha}"]},
    "release": {"tag": "v*", "names": ["{version}"], "moving": ["stable"], "once": [DEV]},
}
TRUST_RULES = [
    {"claims": {"project_id": "{service.project_id}"}, "rights": ["pull"]},
    {
        "claims": {"project_id": "{service.project_id}", "ref_type": "tag", "ref_protected": "true"},
        "rights": ["promote"],
        "repositories": [UAT, PROD],
        "images": ["{service.image}"],
    },
    {
        "claims": {"project_id": "{service.project_id}"},
        "rights": ["push"],
        "repositories": [DEV],
        "images": ["{service.image}"],
    },
]


@dataclass(frozen=True)
class Company:
    """Everything that a project of the house meets."""

    gitlab: ServedGitLab
    vault: OpenBao
    registry: Pierhead

    def project(self, home: Path, files: dict[str, str], **more: str) -> Project:
        """Of orchestrator/server, with the template and a Dockerfile."""
        registries = [self.registry.address(name) for name in (DEV, GROUP)]
        variables = {
            "NEXUS_REGISTRY": registries[0],
            "NEXUS_REGISTRY_PULL": registries[1],
            "PIERHEAD_SERVER": self.registry.url(),
            "VAULT_ADDR": self.vault.url,
            "VAULT_ID_TOKEN": self.gitlab.id_token(project_id=5),
            "PIERHEAD_ID_TOKEN": self.gitlab.id_token(project_id=5, aud=AUDIENCE),
            **more,
        }
        whole = {
            ".gitlab-ci-common.yml": COMMON.read_text(),
            "Dockerfile": DOCKERFILE,
            "app": "1\n",
            ".gitignore": "build.*\n",
            **files,
        }
        found = made(lambda: Project(home, NAME, whole, variables))
        found.trust_plain_http(registries)
        return found

    def tags(self) -> dict[str, str]:
        """What stands in the repository that is pushed to: digests by tag."""
        with self.registry.wire() as wire:
            path = f"/api/v1/repositories/{DEV}/images/{NAME}/-/tags?limit=1000"
            found = wire.request("GET", path).expect(200, 404)
            return {one["name"]: one["digest"] for one in found.json()["items"]} if found.status == 200 else {}

    def changed_since(self, before: dict[str, str]) -> set[str]:
        """Tags that are new or were moved."""
        return {tag for tag, digest in self.tags().items() if before.get(tag) != digest}

    def digest(self, tag: str) -> str:
        with self.registry.wire(GROUP) as wire:
            return str(wire.get_manifest(NAME, tag).expect(200).headers["Docker-Content-Digest"])

    def stands_in(self, repository: str, tag: str) -> str:
        """The digest under the tag there, "" if there is none."""
        with self.registry.wire() as wire:
            answer = wire.get_manifest(f"{repository}/{NAME}", tag).expect(200, 404)
            return str(answer.headers["Docker-Content-Digest"]) if answer.status == 200 else ""

    def file(self, tag: str, name: str) -> bytes:
        """What stands in a file of the image's last layer."""
        with self.registry.wire(GROUP) as wire:
            layers = wire.get_manifest(NAME, tag).expect(200).json()["layers"]
            return unpacked(wire.get_blob(NAME, layers[-1]["digest"]).expect(200).body)[name]


def unpacked(layer: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                found[member.name] = file.read()
    return found


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    made(gitlab_ci_local)
    made(lambda: program("buildah"))
    services = YAML(typ="safe").load(SHARED)["services"]
    with ServedGitLab() as gitlab, made(OpenBao) as vault, made(DockerRegistry) as upstream:
        vault.furnish(gitlab, {"svc-orchestrator": PASSWORD})
        with Wire(upstream.port) as wire:
            wire.push("library/tiny", "1", image([layer({"etc/os-release": b"tiny\n"})], seed=7))
        trust = {"gitlab": {"issuer": gitlab.url, "audience": AUDIENCE, "rules": TRUST_RULES}}
        config = house(upstream.url, tags=TAGS, services=services, trust=trust)
        with Pierhead(config, environment={"SVC_ORCHESTRATOR_PASSWORD": PASSWORD}) as registry:
            yield Company(gitlab, vault, registry)


def pipeline_file(company: Company, home: Path, *options: str) -> str:
    """What `pierhead ci init` writes for the project, with the template in the project itself."""
    written = home / "written.yml"
    command = ["ci", "init", "5", "--config", str(SHARED), "--templates", ".gitlab-ci-common.yml"]
    code, out, err = company.registry.run_command(*command, "--file", str(written), *options)
    assert (code, err) == (0, "")
    assert "builds orchestrator/server of server" in out
    return written.read_text()


def test_from_an_empty_folder_to_a_promoted_image(company: Company, tmp_path: Path) -> None:
    """The whole way at once, to be read."""
    # Ann begins a project: a program, a Dockerfile on a base from Docker Hub, and the pipeline that one command writes.
    project = company.project(tmp_path, {".gitlab-ci.yml": pipeline_file(company, tmp_path), "app": "story 0\n"})

    # She tries something on a branch. It is built, tagged by the branch, and leaves `latest` alone.
    project.git("checkout", "--quiet", "-b", "story/first-try")
    project.write({"app": "story 1\n"})
    tried = project.commit("Try it")
    before = company.tags()
    project.pipeline(as_gitlab_checks=True)
    assert company.changed_since(before) == {f"branch-story-first-try-{tried}"}
    assert company.file(f"branch-story-first-try-{tried}", "app") == b"story 1\n"

    # It is merged. The job gets its password from OpenBao for its id_token; nothing of it is left behind.
    project.git("checkout", "--quiet", "main")
    project.git("merge", "--quiet", "--no-ff", "--message=Merge", "story/first-try")
    merged = project.git("rev-parse", "HEAD")[:8]
    before = company.tags()
    done = project.pipeline()
    assert "as svc-orchestrator" in done.stdout
    image_name = f"{company.registry.address(GROUP)}/{NAME}:main-{merged}"
    assert f"Nothing was scanned: neither trivy nor grype is in this job's image. {image_name}" in done.stderr
    assert "WARN 77" in done.stderr
    assert "PASS  scan" not in done.stdout
    assert company.changed_since(before) == {f"main-{merged}", "latest"}
    assert company.digest("latest") == company.digest(f"main-{merged}")
    assert company.vault.live_tokens() == 1  # the root's
    assert not list(tmp_path.rglob("config.json"))

    # It is good. A version tag in Git makes the release, which nobody can replace. Somebody starts its promotion at
    # once; a branch's job may not promote, whatever its pipeline says.
    project.git("tag", "v3.0.0")
    before = company.tags()
    hasty = project.pipeline("build", "promote", tag="v3.0.0", check=False)
    assert (hasty.returncode, "PASS  build" in hasty.stdout, "FAIL  promote" in hasty.stdout) == (1, True, True)
    assert company.stands_in(UAT, "3.0.0") == ""
    assert company.changed_since(before) == {"3.0.0", "stable"}
    release = company.digest("3.0.0")
    assert company.digest("stable") == release
    assert (project.folder / "build.env").read_text() == "IMAGE_TAG=3.0.0\n"

    # The job of the protected tag may, and to prod only by way of uat, each time the very bytes that were tested.
    project.variables["PIERHEAD_ID_TOKEN"] = company.gitlab.id_token(
        project_id=5, aud=AUDIENCE, ref="v3.0.0", ref_type="tag", ref_protected="true"
    )

    past_uat = project.pipeline("promote", tag="v3.0.0", variables={"PROMOTE_TO": "prod"}, check=False)
    assert past_uat.returncode == 1
    assert company.stands_in(PROD, "3.0.0") == ""
    # For uat nobody has said how it is rolled out, so no tick says that it was.
    nothing = project.pipeline("promote", "deploy", tag="v3.0.0", variables={"PROMOTE_TO": "uat"})
    assert company.stands_in(UAT, "3.0.0") == release
    assert "Nothing was deployed: DEPLOY is not set." in nothing.stdout + nothing.stderr
    assert [f"PASS  {job}" in nothing.stdout for job in ("promote", "deploy")] == [True, False]

    # Whoever deploys pulls it by name from the pull port, and gets that digest, and its file.
    wanted = {"PROMOTE_TO": "prod", "DEPLOY": 'echo "rolls out $$IMAGE"'}
    rolled_out = project.pipeline("promote", "deploy", tag="v3.0.0", variables=wanted)
    assert company.stands_in(PROD, "3.0.0") == release
    assert f"rolls out {company.registry.address(GROUP)}/{NAME}:3.0.0" in rolled_out.stdout
    assert company.digest("3.0.0") == release
    assert company.file("3.0.0", "app") == b"story 1\n"

    # The record tells of all of it: who pushed, and which job promoted.
    with company.registry.wire() as wire:
        events = wire.request("GET", f"/api/v1/audit?image={NAME}&limit=200").expect(200).json()["items"]
    told = [(one["kind"], one["account"]) for one in events]
    assert ("push", "svc-orchestrator") in told
    assert len([kind for kind, account in told if kind == "promoted" and account == "gitlab:project/5"]) == 2


@dataclass(frozen=True)
class Later:
    """A project whose image was built from `main` and scanned, and what its pipeline said."""

    project: Project
    sha: str
    said: str


@pytest.fixture(scope="module")
def later(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Later:
    home = tmp_path_factory.mktemp("later")
    project = company.project(home, {".gitlab-ci.yml": pipeline_file(company, home)})
    # A job's image that has a scanner has it called, and what that finds ends the job.
    project.install("trivy", '#!/bin/sh\necho "trivy $@"\nexit "${FOUND:-0}"\n')
    project.write({"app": "later\n"})
    sha = project.commit("Later")
    return Later(project, sha, project.pipeline().stdout)


def test_later_jobs_mean_the_image_that_was_built_and_pretend_nothing(company: Company, later: Later) -> None:
    image_name = f"{company.registry.address(GROUP)}/{NAME}:main-{later.sha}"
    assert f"trivy image --exit-code 1 --ignore-unfixed --severity CRITICAL {image_name}" in later.said
    assert "PASS  scan" in later.said
    assert "FAIL  scan" in later.project.pipeline("scan", variables={"FOUND": "1"}, check=False).stdout


def test_a_commit_that_is_built_anew_does_not_take_the_place_of_what_was_tested(company: Company, later: Later) -> None:
    tag = f"main-{later.sha}"
    tested, latest = company.digest(tag), company.digest("latest")
    later.project.write({"app": "other bytes\n"})  # under the same commit
    done = later.project.pipeline("build", check=False)
    assert done.returncode == 1
    assert "cannot be overwritten because the repository is immutable" in done.stderr
    assert "tags.main (pierhead.yaml line " in done.stderr
    assert (company.digest(tag), company.digest("latest")) == (tested, latest)


def test_a_git_tag_that_names_no_version_ends_the_pipeline_before_anything_is_built(
    company: Company, later: Later
) -> None:
    before = company.tags()
    done = later.project.pipeline(tag="1.2.4", check=False)
    assert done.returncode == 1
    assert "The Git tag 1.2.4 fits no rule of the tag strategy (tag: release takes v*)." in done.stderr
    assert "Trying to pull" not in done.stderr
    assert company.tags() == before


# Kaniko cannot be had here. What stands in its place takes its flags, refuses others, and pushes with buildah.
IN_PLACE_OF_KANIKO = """#!/bin/bash
set -eu
names=() build=()
while [ $# -gt 0 ]; do
  case "$1" in
    --context) context=${2#dir://}; shift 2 ;;
    --dockerfile) dockerfile=$2; shift 2 ;;
    --build-arg) build+=(--build-arg "$2"); shift 2 ;;
    --destination=*) names+=("${1#--destination=}"); shift ;;
    *) echo "no flag of Kaniko's: $1" >&2; exit 1 ;;
  esac
done
for name in "${names[@]}"; do build+=(--tag "$name"); done
buildah build --file "$context/$dockerfile" "${build[@]}" "$context"
for name in "${names[@]}"; do buildah push "$name"; done
"""


def test_kaniko_gets_its_flags_from_a_job_before_it_and_its_login_from_the_id_token(
    company: Company, tmp_path: Path
) -> None:
    written = pipeline_file(company, tmp_path, "--builder", "kaniko")
    variables = {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot", "VAULT_ADDR": "http://127.0.0.1:9"}
    variables["DOCKER_CONFIG"] = "../docker"  # a path from the root would be taken for a file's
    project = company.project(tmp_path, {".gitlab-ci.yml": written}, **variables)
    project.without_images = True
    project.install("executor", IN_PLACE_OF_KANIKO)
    project.variables["KANIKO_EXECUTOR"] = str(tmp_path / "bin/executor")
    project.write({"app": "kaniko\n"})
    sha = project.commit("Build with Kaniko")
    project.pipeline("tags", "build")
    assert {f"main-{sha}", "latest"} <= set(company.tags())
    assert company.file(f"main-{sha}", "app") == b"kaniko\n"
    assert company.digest("latest") == company.digest(f"main-{sha}")
    assert not list(tmp_path.glob("**/docker/config.json"))


def test_docker_builds_and_pushes_after_a_login_in_plain_shell(
    company: Company, docker_engine: DockerEngine, tmp_path: Path
) -> None:
    for needed in ("curl", "jq"):
        made(functools.partial(program, needed))
    written = pipeline_file(company, tmp_path, "--builder", "docker")
    both = written.replace("extends: .pierhead-build-docker", "extends: [.pierhead-build-docker, .nexus-login-shell]")
    assert both != written
    project = company.project(tmp_path, {".gitlab-ci.yml": both}, DOCKER_HOST=f"unix://{docker_engine.socket}")
    project.write({"app": "docker\n"})
    sha = project.commit("Build with docker")
    done = project.pipeline("build")
    assert done.stdout.count("Login Succeeded") == 2
    assert PASSWORD not in done.stdout + done.stderr
    assert company.file(f"main-{sha}", "app") == b"docker\n"
    assert company.digest("latest") == company.digest(f"main-{sha}")
    assert company.vault.live_tokens() == 1
