"""The plain proxies that the gateway is compared with: nginx and HAProxy, both tuned."""

import nginx
import processes as programs
from backend import XMPP_DOMAIN
from rows import CACHING, PLAIN, RULES, WEBSOCKET
from targets import Ports, Target

NGINX, HAPROXY = "nginx", "HAProxy"


def start_nginx(processes, backend, certificate, core):
    """One process, with a server for each configuration."""
    plain, caching = ports(2)
    directory = processes.directory / "nginx-files"
    config = f"""
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_header_buffer_size 8k;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_buffer_size 16k;
    proxy_buffers 8 16k;
    proxy_busy_buffers_size 64k;
    open_file_cache max=100;
    open_file_cache_valid 1h;
    sendfile on;
    proxy_cache_path {directory} keys_zone=files:1m;
    {upstream("web", backend.web)}
    {upstream("xmpp", backend.xmpp)}
    {nginx_server(plain, certificate, backend)}
    {nginx_server(caching, certificate, backend, "proxy_cache files;")}"""
    program = nginx.start(processes, "nginx", config, [*plain, *caching], core)
    return variants(NGINX, program, plain, caching, certificate)


def nginx_server(ports, certificate, backend, more=""):
    return f"""server {{
        listen 127.0.0.1:{ports.tcp} backlog=4096;
        listen 127.0.0.1:{ports.tls} ssl http2 backlog=4096;
        ssl_certificate {certificate.chain};
        ssl_certificate_key {certificate.key};
        ssl_protocols TLSv1.3;
        location / {{
            {more}
            proxy_pass http://web;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
        location = /http-bind {{
            proxy_pass http://xmpp;
            proxy_set_header Connection "";
            proxy_set_header Host {XMPP_DOMAIN};
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
        location = /xmpp-websocket {{
            proxy_pass http://127.0.0.1:{backend.websocket};
            proxy_set_header Connection upgrade;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Host {XMPP_DOMAIN};
            proxy_read_timeout 1h;
        }}
    }}"""


def upstream(name, port):
    return f"""upstream {name} {{
        server 127.0.0.1:{port};
        keepalive 64;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }}"""


def start_haproxy(processes, backend, certificate, core):
    """One process with one thread, with a frontend for each configuration."""
    plain, caching = ports(2)
    directory = processes.directory / "haproxy"
    directory.mkdir()
    # HAProxy reads certificate and key from one file.
    pair = directory / "tls.pem"
    pair.write_text(certificate.chain.read_text() + certificate.key.read_text())
    config = directory / "haproxy.cfg"
    config.write_text(f"""
global
    nbthread 1
    # Each connection takes two descriptors; some are for the rest.
    maxconn {programs.descriptors() // 2 - 50}
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
    http-reuse always
    option forwardfor
cache files
    total-max-size 64
    max-object-size 1000000
    max-age 86400
{frontend("plain", plain, pair)}
    use_backend xmpp if {{ path /http-bind }}
    use_backend websocket if {{ path /xmpp-websocket }}
    default_backend web
{frontend("caching", caching, pair)}
    http-request cache-use files
    http-response cache-store files
    default_backend web
backend web
    server web 127.0.0.1:{backend.web}
backend xmpp
    http-request set-header Host {XMPP_DOMAIN}
    server xmpp 127.0.0.1:{backend.xmpp}
backend websocket
    http-request set-header Host {XMPP_DOMAIN}
    server websocket 127.0.0.1:{backend.websocket}
""")
    program = processes.start("haproxy", ["haproxy", "-db", "-f", config], core)
    programs.until_accepts(program, *plain, *caching)
    return variants(HAPROXY, program, plain, caching, certificate)


def frontend(name, ports, pair):
    return f"""frontend {name}
    bind 127.0.0.1:{ports.tcp} backlog 4096
    bind 127.0.0.1:{ports.tls} backlog 4096 ssl crt {pair} alpn h2,http/1.1 ssl-min-ver TLSv1.3"""


def ports(count):
    found = programs.free_ports(2 * count)
    return [Ports(*found[at : at + 2]) for at in range(0, 2 * count, 2)]


def variants(name, program, plain, caching, certificate):
    """Rules are the gateway's own; all but the cache is one configuration."""
    chosen = {PLAIN: plain, CACHING: caching, RULES: plain, WEBSOCKET: plain}
    return {
        variant: Target(name, program, ports, certificate) for variant, ports in chosen.items()
    }
