"""Proxies under test: their addresses, their certificate and their BOSH sessions."""

import subprocess
from collections import namedtuple
from dataclasses import dataclass, field

import backend

Ports = namedtuple("Ports", "tcp tls")
BackendPorts = namedtuple("BackendPorts", "web xmpp websocket")
Certificate = namedtuple("Certificate", "chain key")


@dataclass
class Target:
    """A proxy in one configuration."""

    name: str
    program: subprocess.Popen
    ports: Ports
    certificate: Certificate
    # One for each connection of a load; those of a plain proxy may be equal.
    sids: list = field(default_factory=lambda: [backend.SID])

    @property
    def sid(self):
        return self.sids[0]

    def port(self, transport):
        return self.ports.tcp if transport == "tcp" else self.ports.tls


def make_certificate(directory):
    certificate = Certificate(directory / "tls.crt", directory / "tls.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", certificate.key, "-out", certificate.chain],
        check=True, capture_output=True,
    )
    return certificate
