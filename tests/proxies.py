"""HAProxy and nginx on loopback, in front of a server: real limiters and real trouble.

Each is started in the foreground from a configuration that is written here, with ports that were free a
moment ago, and ends with its `with`. What reached it stands in its access log, one status a line.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
HAPROXY, NGINX = shutil.which("haproxy", path=PATH), shutil.which("nginx", path=PATH)
DEADLINE_S = 20.0
PLACES = 6
"""Connections that HAProxy opens to the server behind it; what is more waits there for its turn."""


class Proxy:
    """One that runs: its address for clients, and what it saw."""

    def __init__(self, port: int, log: Path) -> None:
        self.port, self.log = port, log
        self.url = f"http://127.0.0.1:{port}/v1"

    def statuses(self) -> Counter[str]:
        """Requests that reached it so far, by the status it answered with."""
        return Counter(self.log.read_text(encoding="utf-8").split())


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def haproxy(folder: Path, upstream: str, rules: str) -> Iterator[Proxy]:
    """`rules`: lines of its frontend; `up` is the name of what stands behind it."""
    port, log = free_port(), folder / "haproxy.log"
    folder.mkdir(exist_ok=True)
    text = f"""
global
    log stdout format raw local0 info
defaults
    mode http
    log global
    log-format "%ST"
    option dontlognull
    option http-server-close
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout queue 60s
frontend front
    bind 127.0.0.1:{port}
{rules}
    default_backend up
backend up
    server up {upstream} maxconn {PLACES}
"""
    path = folder / "haproxy.cfg"
    path.write_text(text, encoding="utf-8")
    assert HAPROXY is not None
    with running([HAPROXY, "-db", "-f", str(path)], port, log, folder / "haproxy.err"):
        yield Proxy(port, log)


@contextmanager
def nginx(
    folder: Path, upstream: str, *, around: str = "", inside: str = "", port: int = 0
) -> Iterator[Proxy]:
    """`around`: lines of its http block (zones, maps). `inside`: of the location that is asked."""
    port, log = port or free_port(), folder / "nginx.log"
    folder.mkdir(exist_ok=True)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = f"""
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/nginx.err;
events {{ worker_connections 512; }}
http {{
    log_format status $status;
    access_log {log} status;
    {temporary}
    {around}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            {inside}
            proxy_pass http://{upstream};
            proxy_read_timeout 60s;
        }}
    }}
}}
"""
    path = folder / "nginx.conf"
    path.write_text(text, encoding="utf-8")
    assert NGINX is not None
    command = [NGINX, "-p", str(folder), "-c", str(path), "-e", str(folder / "nginx.err")]
    with running(command, port, folder / "nginx.out", folder / "nginx.err"):
        yield Proxy(port, log)


@contextmanager
def running(command: list[str], port: int, out: Path, err: Path) -> Iterator[None]:
    """A server in the foreground, from the moment it listens until it is ended."""
    with out.open("ab") as to_out, err.open("ab") as to_err:
        process = subprocess.Popen(command, stdout=to_out, stderr=to_err, stdin=subprocess.DEVNULL)
        try:
            wait_until_open(port, process, err)
            yield
        finally:
            process.terminate()
            try:
                process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_open(port: int, process: subprocess.Popen[bytes], err: Path) -> None:
    """Until somebody listens; the server's own words if nobody ever will."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        assert process.poll() is None, err.read_text(errors="replace")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"nobody listens: {err.read_text(errors='replace')}")
