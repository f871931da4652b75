"""A certificate authority of the test's own, and certificates that clients can check."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import trustme

from tests.peers.processes import LOOPBACK


class Certificates:
    """`certificate` and `key` are files for a server, `folder` is what clients of the containers family and docker
    call a certificate folder: the authority's certificate as ca.crt."""

    def __init__(self, folder: Path, host: str = LOOPBACK) -> None:
        self._host = host
        self._authority = trustme.CA()
        self.folder = folder / "clients"
        self.folder.mkdir(parents=True)
        self.ca = self.folder / "ca.crt"
        self._authority.cert_pem.write_to_path(str(self.ca))
        self.certificate, self.key = folder / "server.crt", folder / "server.key"
        self.renew()

    def renew(self) -> None:
        """Write another certificate with another key, the way renewal tools do: under another name, then renamed."""
        issued = self._authority.issue_cert(self._host)
        chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
        for path, content in ((self.key, issued.private_key_pem.bytes()), (self.certificate, chain)):
            path.with_suffix(".new").write_bytes(content)
            path.with_suffix(".new").rename(path)

    @property
    def settings(self) -> dict[str, str]:
        """The key `tls` of a configuration."""
        return {"certificate": str(self.certificate), "key": str(self.key)}

    @property
    def context(self) -> ssl.SSLContext:
        """For a server of the test's own."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def served(self, port: int) -> bytes:
        """The certificate that a new handshake is answered with, checked against the authority (DER)."""
        context = ssl.create_default_context(cafile=str(self.ca))
        with socket.create_connection((self._host, port), 10) as plain:
            with context.wrap_socket(plain, server_hostname=self._host) as secure:
                found = secure.getpeercert(binary_form=True)
        assert found is not None
        return found

    @property
    def on_disk(self) -> bytes:
        """The certificate that lies on the disk now (DER)."""
        first = self.certificate.read_text().partition("-----END CERTIFICATE-----")
        return ssl.PEM_cert_to_DER_cert(first[0] + first[1] + "\n")
