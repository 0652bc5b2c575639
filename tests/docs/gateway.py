"""A gateway for commands that need one: https://meet.example.org and the admin address connect to it."""

import re
import signal
import subprocess

import sandbox

# Long enough for a busy machine.
START_SECONDS = 30


class Gateway:
    """Runs with the sandbox's configuration; the provider and Jitsi are unreachable."""

    def __init__(self, folder, environment):
        sandbox.certificate(folder)
        config = (folder / "config" / "gateway.toml").read_text()
        config = re.sub(r"^http = .*$", 'https = "127.0.0.1:0"\nadmin = "127.0.0.1:0"', config, flags=re.M)
        config += '\n[tls]\ncertificate = "certs/tls.crt"\nkey = "certs/tls.key"\n' + sandbox.ODOO
        (folder / "running.toml").write_text(config)
        self.process = subprocess.Popen(
            ["jitsi-auth-gateway", "run", "--config", "running.toml"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = ""
        ports = None
        for line in self.process.stdout:
            said += line
            ports = re.search(r"https=\S*?:(\d+) .*admin=\S*?:(\d+)", line)
            if ports:
                break
        if not ports:
            raise RuntimeError(f"the gateway did not start:\n{said}")
        https, admin = ports.groups()
        home = folder / ".home"
        (home / ".curlrc").write_text(
            f'connect-to = "meet.example.org:443:127.0.0.1:{https}"\n'
            f'connect-to = "127.0.0.1:9090:127.0.0.1:{admin}"\n'
            f'cacert = "{folder}/certs/tls.crt"\n'
        )
        # The port that the program chose, as if the configuration named it.
        self.environment = {"CURL_HOME": str(home), "GATEWAY__LISTEN__ADMIN": f"127.0.0.1:{admin}"}

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=START_SECONDS)
