"""Starts nginx."""

import os
import pwd

import processes as programs

MIME = """
    types {
        text/html html;
        image/svg+xml svg;
        application/javascript js;
    }"""


def start(processes, name, http, ports, core=None):
    """One worker and a master, with everything it writes in the run's own directory."""
    directory = processes.directory / f"nginx-{name}"
    directory.mkdir()
    temporary = "\n".join(
        f"    {kind}_temp_path {directory}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Started by root, the default user of workers could not read this directory.
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    config = directory / "nginx.conf"
    config.write_text(f"""
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {directory}/pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
{temporary}
    access_log off;
{MIME}
{http}
}}
""")
    command = ["nginx", "-e", "stderr", "-p", directory, "-c", config]
    program = processes.start(f"nginx-{name}", command, core)
    programs.until_accepts(program, *ports)
    return program
