"""Starts nginx."""

import os
import pwd

import processes as programs

MIME = """
    types {
        text/html html;
        image/svg+xml svg;
        image/png png;
        application/javascript js;
        application/wasm wasm;
    }"""


def start(processes, name, http, ports, core=None):
    """One worker and a master, with everything it writes in the run's own directory."""
    directory = processes.directory / f"{name}-nginx"
    directory.mkdir()
    temporary = "\n".join(
        f"    {kind}_temp_path {directory}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Started by root, the default user of workers could not read this directory.
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    # With less than a sixteenth of them free, nginx closes connections that wait for a request.
    connections = programs.descriptors() * 5 // 4
    config = directory / "nginx.conf"
    config.write_text(f"""
{user}
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log stderr error;
events {{ worker_connections {connections}; }}
http {{
{temporary}
    access_log off;
{MIME}
{http}
}}
""")
    command = ["nginx", "-e", "stderr", "-p", directory, "-c", config]
    program = processes.start(name, command, core)
    programs.until_accepts(program, *ports)
    return program
