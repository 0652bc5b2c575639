"""The two plain proxies that the gateway is compared with."""

import nginx
from backend import XMPP_DOMAIN


def start(processes, name, config, ports, core):
    return nginx.start(processes, name, config, [ports.tcp, ports.tls], core)


def tuned(backend, ports, certificate):
    """A tuned configuration."""
    return f"""
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_header_buffer_size 8k;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_buffer_size 16k;
    proxy_buffers 8 16k;
    proxy_busy_buffers_size 64k;
    {upstream("web", backend.web)}
    {upstream("xmpp", backend.xmpp)}
    server {{
        {listen(ports, certificate)}
        location / {{
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
    }}"""


def jitsi(backend, ports, certificate):
    """Jitsi's configuration for BOSH, on all paths: HTTP/1.0, one connection per request, default buffers."""
    return f"""
    server {{
        {listen(ports, certificate)}
        client_max_body_size 0;
        location / {{
            proxy_pass http://127.0.0.1:{backend.web};
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
        location = /http-bind {{
            proxy_pass http://127.0.0.1:{backend.xmpp}/http-bind?prefix=&$args;
            proxy_set_header Host {XMPP_DOMAIN};
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
    }}"""


def upstream(name, port):
    return f"""upstream {name} {{
        server 127.0.0.1:{port};
        keepalive 64;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }}"""


def listen(ports, certificate):
    return f"""listen 127.0.0.1:{ports.tcp} backlog=4096;
        listen 127.0.0.1:{ports.tls} ssl backlog=4096;
        ssl_certificate {certificate.chain};
        ssl_certificate_key {certificate.key};
        ssl_protocols TLSv1.3;"""
