"""etcd and kube-apiserver on loopback, with certificates and data in a temporary directory."""

import http.client
import pathlib
import socket
import ssl
import subprocess
import tempfile
import time

from suite import run

# Seconds in which the API server has to be ready. It needs about ten on an idle machine.
START = 180

# Seconds in which a server has to stop, before it is killed.
STOP = 30

# The networks of Services; both families, for `ipFamilyPolicy: PreferDualStack`.
SERVICES = "10.96.0.0/16,fd00:96::/112"


class ControlPlane:
    """The two servers; a context manager that stops them."""

    def __init__(self, programs):
        self.programs = programs
        self.processes = []

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="cluster-")
        self.directory = pathlib.Path(self.temporary.name)
        try:
            self._certificates()
            self._etcd()
            self._api_server()
            self._await_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.temporary.cleanup()

    def connection(self):
        """An authenticated connection of a cluster administrator."""
        context = ssl.create_default_context(cafile=self.directory / "ca.crt")
        context.load_cert_chain(self.directory / "admin.crt", self.directory / "admin.key")
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=START)

    def _certificates(self):
        """A certificate authority, and what it issues for the server and for an administrator."""
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-subj", "/CN=cluster", "-keyout", "ca.key", "-out", "ca.crt")
        for name, subject, extensions in [
            ("server", "/CN=kube-apiserver", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth"),
            ("admin", "/O=system:masters/CN=admin", "extendedKeyUsage=clientAuth"),
        ]:
            (self.directory / "extensions").write_text(extensions)
            self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject,
                          "-keyout", f"{name}.key", "-out", f"{name}.csr")
            self._openssl("x509", "-req", "-days", "2", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                          "-CAcreateserial", "-extfile", "extensions", "-out", f"{name}.crt")
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "accounts.key")

    def _openssl(self, *words):
        code, text = run("openssl", *words, cwd=self.directory)
        if code:
            raise RuntimeError(text)

    def _etcd(self):
        # Socket files of these names in the directory, which need no free port.
        self.etcd, peers = "unix://localhost:1", "unix://localhost:2"
        self._start(
            "etcd", "--data-dir", "etcd-data", "--log-level", "error", "--unsafe-no-fsync",
            "--listen-client-urls", self.etcd, "--advertise-client-urls", self.etcd,
            "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}",
        )

    def _api_server(self):
        # The server refuses port 0. This socket reserves a port and never listens; the server shares it.
        self.reserved = socket.socket()
        self.reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.reserved.bind(("127.0.0.1", 0))
        self.port = self.reserved.getsockname()[1]
        self._start(
            "kube-apiserver", "--etcd-servers", self.etcd, "--cert-dir", "certificates",
            "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", self.port, "--permit-port-sharing",
            "--endpoint-reconciler-type", "none", "--service-cluster-ip-range", SERVICES,
            "--tls-cert-file", "server.crt", "--tls-private-key-file", "server.key", "--client-ca-file", "ca.crt",
            "--service-account-issuer", "https://127.0.0.1", "--service-account-key-file", "accounts.key",
            "--service-account-signing-key-file", "accounts.key",
            # Pod Security alone decides about privileged pods.
            "--authorization-mode", "Node,RBAC", "--allow-privileged",
        )

    def _start(self, program, *words):
        with open(self.directory / f"{program}.log", "wb") as log:
            command = [self.programs / program, *map(str, words)]
            self.processes.append(subprocess.Popen(command, cwd=self.directory, stdout=log, stderr=log))

    def _await_ready(self):
        """Waits until all hooks after the start have run, which create the objects of an empty cluster."""
        until = time.monotonic() + START
        text = ""
        while time.monotonic() < until and all(process.poll() is None for process in self.processes):
            try:
                connection = self.connection()
                connection.request("GET", "/readyz?verbose")
                response = connection.getresponse()
                text = response.read().decode()
                if response.status == 200:
                    return
            except OSError as error:
                text = str(error)
            time.sleep(0.1)
        logs = "\n".join((self.directory / f"{name}.log").read_text()[-3000:] for name in ("etcd", "kube-apiserver"))
        raise RuntimeError(f"the API server is not ready:\n{text}\n{logs}")
