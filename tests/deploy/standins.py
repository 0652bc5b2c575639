"""Stand-ins for the files of Secrets, valid for `jitsi-auth-gateway check`."""

import base64
import functools
import pathlib
import secrets
import tempfile

from suite import run


@functools.cache
def files():
    """The entries that the value files name, with contents."""
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = pathlib.Path(folder, "key"), pathlib.Path(folder, "certificate")
        code, text = run(
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"),
            *("-subj", "/CN=meet.example.org", "-addext", "subjectAltName=DNS:meet.example.org"),
            *("-keyout", key, "-out", certificate),
        )
        if code:
            raise RuntimeError(text)
        pair = {"tls.key": key.read_bytes(), "tls.crt": certificate.read_bytes()}
    return pair | {
        "jaas.key": pair["tls.key"],
        "client.key": pair["tls.key"],
        "client.crt": pair["tls.crt"],
        "session-key": base64.b64encode(secrets.token_bytes(32)),
        "client-secret": secrets.token_urlsafe(24).encode(),
        "firm-client-secret": secrets.token_urlsafe(24).encode(),
        "app-secret": secrets.token_hex(32).encode(),
        "store-url": f"redis://:{secrets.token_hex(16)}@redis:6379".encode(),
        "reservation-secret": secrets.token_hex(32).encode(),
        "secret": secrets.token_hex(32).encode(),
        "api-key": base64.b64encode(secrets.token_bytes(32)),
    }
