"""docs/vault.md does what it says: its commands set up a real OpenBao, its file is taken, and a password is changed."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.peers.fixtures import StartOpenBao, StartPierhead
from tests.peers.processes import plain_environment, run
from tests.promises.houses import DEV, hosted_only

PAGE = (Path(__file__).parents[2] / "docs" / "vault.md").read_text()
FOLDER = "/etc/pierhead"
ADDRESS = "https://vault.shared.cwiq.io"
ACCOUNT = "svc-orchestrator"


def block(heading: str, kind: str) -> str:
    """The first block of this kind under a heading of the page."""
    _, _, section = PAGE.partition(f"\n## {heading}\n")
    found = re.search(rf"^```{kind}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.mark.server
def test_the_page_sets_vault_up_and_changes_a_password_without_an_outage(
    start_openbao: StartOpenBao, start_pierhead: StartPierhead, tmp_path: Path
) -> None:
    bao = start_openbao()
    (tmp_path / "vault").symlink_to(bao.program)
    known = plain_environment(tmp_path, {"VAULT_ADDR": bao.url, "VAULT_TOKEN": bao.root_token})
    known["PATH"] = f"{tmp_path}:{known['PATH']}"

    def shell(text: str) -> None:
        run(["sh", "-euc", text.replace(FOLDER, str(tmp_path))], environment=known)

    def password() -> str:
        show = ["vault", "kv", "get", "-field=password", f"secret/nexus/{ACCOUNT}"]
        return run([str(tmp_path / show[0]), *show[1:]], environment=known).stdout.strip()

    shell(block("Set up Vault", "sh"))
    assert stat.S_IMODE((tmp_path / "vault-secret-id").stat().st_mode) == 0o600
    written = YAML(typ="safe").load(block("Set up Vault", "yaml").replace(FOLDER, str(tmp_path)))
    written["vault"]["address"] = written["vault"]["address"].replace(ADDRESS, bao.url)
    written["vault"]["reread_every"] = "5s"
    server = start_pierhead({**hosted_only(), **written})

    def status(text: str) -> int:
        with server.wire(DEV, ACCOUNT, text) as wire:
            return wire.request("GET", "/v2/").status

    old = password()
    assert len(old) == 32
    assert status(old) == 200
    shell(block("Change a password", "sh"))
    new = password()
    assert new != old
    assert (status(new), status(old)) == (200, 200)
    _, told, _ = server.run_command("accounts", "show", ACCOUNT)
    shown = re.findall(r"^       (\S.*)$", PAGE, re.MULTILINE)
    assert len(shown) == 3
    for line in shown:
        words = re.sub(r"\\?\d{4}-\\?\d\d-\\?\d\d \d\d:\d\d:\d\d UTC|10\.0\.4\.17|66c0d6d0", "@", line)
        like = re.escape(words).replace("@", r"\S+(?: \S+ UTC)?")
        assert re.search(rf"^{like}$", told, re.MULTILINE), line
    shell("vault kv delete secret/nexus/svc-orchestrator")
    server.wait_for_log(f"Account {ACCOUNT} is disabled: the newest version of the secret", 30)
    assert (status(new), status(old)) == (401, 401)
