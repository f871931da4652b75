"""Projects whose pipelines really run: a Git repository with a remote, and gitlab-ci-local with this machine's shell.

gitlab-ci-local comes from npm by requirements/npm/package-lock.json (scripts/peers installs it), rsync from Debian.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.peers.processes import PeerFailed, PeerMissing, plain_environment, program, run

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
_ENTRY = ROOT / "requirements/npm/node_modules/.bin/gitlab-ci-local"


def gitlab_ci_local() -> str:
    """The path of the program. Raises PeerMissing."""
    for needed in ("node", "git", "rsync"):
        program(needed)
    if not _ENTRY.exists():
        raise PeerMissing("gitlab-ci-local is not installed (make peers installs it, where there is npm)")
    return str(_ENTRY)


class Project:
    """`files` are committed to `main`. `variables` are what GitLab and its group would give each job."""

    def __init__(self, home: Path, path: str, files: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self.program = gitlab_ci_local()
        self.home = home
        self.folder = home / path.rpartition("/")[2]
        self.folder.mkdir()
        self.variables = dict(variables)
        self.without_images = False
        """Whether jobs that name an image run in this machine's shell as well."""
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", f"git@gitlab.example.org:{path}.git")
        self.write(files)
        self.commit("Begin")

    def environment(self) -> dict[str, str]:
        known = plain_environment(self.home, {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"})
        return {
            **known,
            "PATH": f"{self.home}/bin:{PROGRAMS}:{known['PATH']}",
            "CONTAINERS_STORAGE_CONF": str(self._storage()),
        }

    def _storage(self) -> Path:
        """Where buildah keeps what it builds: this project's own."""
        conf = self.home / "storage.conf"
        if not conf.exists():
            store = self.home / "storage"
            conf.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{store}/graph"\nrunroot = "{store}/run"\n')
        return conf

    def trust_plain_http(self, registries: Sequence[str]) -> None:
        """For programs of the containers/image family, which ask for TLS on loopback too."""
        conf = self.home / ".config/containers/registries.conf"
        conf.parent.mkdir(parents=True)
        conf.write_text("".join(f'[[registry]]\nlocation = "{one}"\ninsecure = true\n' for one in registries))

    def install(self, name: str, script: str) -> None:
        """A program of the job's image."""
        path = self.home / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(script)
        path.chmod(0o755)

    def git(self, *args: str) -> str:
        who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
        command = ["git", "-C", str(self.folder), *who, *args]
        return run(command, environment=plain_environment(self.home)).stdout.strip()

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            (self.folder / name).write_text(text)

    def commit(self, message: str) -> str:
        """The short SHA, as GitLab has it: eight characters."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.git("rev-parse", "HEAD")[:8]

    def pipeline(
        self,
        *jobs: str,
        tag: str = "",
        check: bool = True,
        variables: Mapping[str, str] | None = None,
        as_gitlab_checks: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run the pipeline of what is checked out, or of the Git tag; or these jobs alone, after one that made what
        they read. Which job failed is told in what it prints. `as_gitlab_checks` has the file held against GitLab's
        schema before, which takes longer than the rest.

        gitlab-ci-local knows of no tags, so it is told what GitLab would say.
        """
        known = {**self.variables, **(variables or {})}
        command = [self.program, "--shell-executor-no-image"]
        command += ["--force-shell-executor"] if self.without_images else []
        command += [] if as_gitlab_checks else ["--no-json-schema-validation"]
        if tag:
            known |= {"CI_COMMIT_TAG": tag, "CI_COMMIT_REF_NAME": tag}
            command += ["--unset-variable", "CI_COMMIT_BRANCH"]
        command += jobs
        kept = self.home / ".gitlab-ci-local/variables.yml"
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(json.dumps({"global": known}))  # YAML includes JSON
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=240
        )
        if check and done.returncode != 0:
            raise PeerFailed(f"{' '.join(command)}\nended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done
