"""Socket activation and notifications of the service manager."""

import contextlib
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import standins
from suite import GATEWAY

NAMES = ["http", "https", "admin"]
CONFIG = """
public_url = "https://meet.example.org"
[listen]
# Ports that cannot be bound: the inherited sockets replace them.
http = "192.0.2.1:80"
https = "192.0.2.1:443"
admin = "192.0.2.1:9090"
drain_window = "0s"
[tls]
certificate = "{folder}/tls.crt"
key = "{folder}/tls.key"
[upstream]
web = "http://127.0.0.1:9"
xmpp = "http://127.0.0.1:9"
xmpp_domain = "meet.jitsi"
[oidc]
issuer = "https://127.0.0.1:9"
client_id = "jitsi"
[session]
key_file = "{folder}/session-key"
[token]
app_id = "gateway"
secret_file = "{folder}/app-secret"
[[room]]
match = "*"
enter = "member"
"""


def check(suite):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, content in standins.files().items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o600)
        config = folder / "gateway.toml"
        config.write_text(CONFIG.format(folder=folder))
        config.chmod(0o600)
        suite.check("activation: systemd-socket-activate hands sockets over", lambda: activated(config))
        suite.check("activation: a restart loses no connection attempt", lambda: restarted(config))
        suite.check("activation: every step is notified", lambda: notifies(config, folder))
        suite.check("activation: an unused socket is refused by name", lambda: unknown_socket(config))
        suite.check("activation: a Unix socket is served, and its file stays", lambda: unix_socket(config, folder))
        suite.check("activation: a Unix socket for https is refused", lambda: unix_socket_for_https(config, folder))


def connect(address):
    """Connects to a port, or to the file of a Unix socket."""
    if isinstance(address, int):
        return socket.create_connection(("127.0.0.1", address), timeout=20)
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(20)
    stream.connect(str(address))
    return stream


def get(address, path="/readyz", tls=False):
    """The status of a response."""
    with connect(address) as plain:
        context = ssl._create_unverified_context()
        stream = context.wrap_socket(plain) if tls else plain
        stream.sendall(f"GET {path} HTTP/1.1\r\nhost: meet.example.org\r\nconnection: close\r\n\r\n".encode())
        return int(stream.makefile("rb").readline().split()[1])


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def running(command, **options):
    program = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options
    )
    try:
        yield program
    finally:
        if program.poll() is None:
            program.kill()
        program.communicate()


@contextlib.contextmanager
def start_with_sockets(config, sockets, names, **env):
    """Starts the program with inherited sockets, as systemd does."""
    def arrange():
        # Moves the descriptors out of the target range first.
        copies = [os.dup2(thing.fileno(), 100 + n) for n, thing in enumerate(sockets)]
        for n, copy in enumerate(copies):
            os.dup2(copy, 3 + n)

    env = {**os.environ, "LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": ":".join(names), **env}
    # exec keeps the process id.
    command = ["sh", "-c", 'LISTEN_PID=$$ exec "$0" run --config "$1"', GATEWAY, config]
    with running(command, env=env, preexec_fn=arrange, close_fds=False) as program:
        yield program


def listeners(count):
    return [socket.create_server(("127.0.0.1", 0), backlog=16) for _ in range(count)]


def port(server):
    return server.getsockname()[1]


def serves(http, https, admin):
    """A public listener answers when the gateway is open, and then it is ready."""
    found = {"http": get(http, "/x"), "https": get(https, "/x", tls=True), "admin": get(admin)}
    wanted = {"http": 308, "https": 401, "admin": 200}
    return [] if found == wanted else [f"{found}, wanted {wanted}"]


def activated(config):
    ports = [free_port() for _ in NAMES]
    listen = [word for number in ports for word in ("-l", f"127.0.0.1:{number}")]
    command = ["systemd-socket-activate", *listen, f"--fdname={':'.join(NAMES)}", GATEWAY, "run", "--config", config]
    with running(command):
        deadline = time.monotonic() + 20
        while True:
            try:
                return serves(*ports)
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def restarted(config):
    servers = listeners(3)
    http, https, admin = map(port, servers)
    complaints = []
    with start_with_sockets(config, servers, NAMES) as first:
        complaints += serves(http, https, admin)
        first.terminate()
        # During and after the stop no connection is refused; the next process answers them.
        answers = []
        waiting = [threading.Thread(target=lambda: answers.append(get(https, "/x", tls=True))) for _ in range(8)]
        for number, thread in enumerate(waiting):
            if number == 4 and first.wait(30) != 0:
                complaints.append(f"exit {first.returncode}")
            thread.start()
    with start_with_sockets(config, servers, NAMES):
        for thread in waiting:
            thread.join(20)
        if answers != [401] * 8:
            complaints.append(f"answers {answers}")
    for server in servers:
        server.close()
    return complaints


def notifies(config, folder):
    servers = listeners(3)
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(folder / "notify"))
    manager.settimeout(15)

    def wait_for(*wanted):
        for _ in range(50):
            lines = manager.recv(4096).decode().splitlines()
            if any(line in lines for line in wanted):
                return lines
        raise TimeoutError(wanted)

    env = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "400000"}
    with start_with_sockets(config, servers, NAMES, **env) as program:
        wait_for("READY=1")
        wait_for("WATCHDOG=1")
        program.send_signal(signal.SIGHUP)
        if not any(line.startswith("MONOTONIC_USEC=") for line in wait_for("RELOADING=1")):
            return ["no time with RELOADING=1"]
        wait_for("READY=1")
        program.terminate()
        wait_for("STOPPING=1")
        return [] if program.wait(30) == 0 else [f"exit {program.returncode}"]


def unknown_socket(config):
    servers = listeners(1)
    text = config.read_text().replace("192.0.2.1:443", "127.0.0.1:0").replace("192.0.2.1:9090", "127.0.0.1:0")
    wrong = config.with_name("unknown.toml")
    wrong.write_text(text.replace("192.0.2.1:80", "127.0.0.1:0"))
    wrong.chmod(0o600)
    with start_with_sockets(wrong, servers, ["htttp"]) as program:
        text = program.communicate(timeout=20)[1]
    wanted = "a socket named `htttp` was handed over"
    return [] if program.returncode == 1 and wanted in text else [f"exit {program.returncode}: {text}"]


def unix_listener(path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(16)
    return server


def unix_socket(config, folder):
    paths = {"http": folder / "http.sock", "admin": folder / "admin.sock"}
    tcp = listeners(1)
    servers = [unix_listener(paths["http"]), *tcp, unix_listener(paths["admin"])]
    with start_with_sockets(config, servers, NAMES) as program:
        complaints = serves(paths["http"], port(tcp[0]), paths["admin"])
        program.terminate()
        if program.wait(30) != 0:
            complaints.append(f"exit {program.returncode}")
    complaints += [f"{path} is gone" for path in paths.values() if not path.exists()]
    for server in servers:
        server.close()
    return complaints


def unix_socket_for_https(config, folder):
    server = unix_listener(folder / "https.sock")
    tcp = listeners(2)
    with start_with_sockets(config, [tcp[0], server, tcp[1]], NAMES) as program:
        text = program.communicate(timeout=20)[1]
    wanted = "the socket named `https` is a Unix socket"
    return [] if program.returncode == 1 and wanted in text else [f"exit {program.returncode}: {text}"]
