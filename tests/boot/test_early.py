"""Starting does not read the authorities of the machine; whoever needs them finds them afterwards."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pierhead.boot.early import without_authorities

_STORES = """
import ssl
from pierhead.boot.early import without_authorities
with without_authorities():
    import aiohttp.connector
    made = aiohttp.connector._SSL_CONTEXT_VERIFIED
later = ssl.create_default_context(cafile=None)
print(made.verify_mode == ssl.CERT_REQUIRED, made.cert_store_stats()["x509_ca"], later.cert_store_stats()["x509_ca"])
"""


def test_what_is_made_early_trusts_nobody_and_what_is_made_later_trusts_whom_the_machine_does() -> None:
    usual = "import ssl; print(ssl.create_default_context().cert_store_stats()['x509_ca'])"
    known = subprocess.run([sys.executable, "-c", usual], capture_output=True, text=True, check=True).stdout.strip()
    told = subprocess.run([sys.executable, "-c", _STORES], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["True", "0", known]


@pytest.mark.parametrize("given", [None, "/somewhere/ca.pem"])
def test_the_environment_is_as_it_was(given: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if given is None:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    else:
        monkeypatch.setenv("SSL_CERT_FILE", given)
    with without_authorities():
        assert os.environ["SSL_CERT_FILE"] == os.devnull
    assert os.environ.get("SSL_CERT_FILE") == given
