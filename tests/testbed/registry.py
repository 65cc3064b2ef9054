"""A real registry server (Debian's docker-registry) on the loopback: over HTTP or TLS, open or with accounts."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

USER, PASSWORD = "engine", "correct horse"
_ACCOUNT = f"{USER}:$2b$05$P6wyc/Td32BgukNdwX3X7.augCblFTuUWPRjv3b0.7sjPtajySdTu\n"
"""The line of an htpasswd file: that password under bcrypt, the only hash that the server takes."""
_PATIENCE = 20.0


class Registry(NamedTuple):
    """A running server: its domain ("127.0.0.1:PORT"), its files, and its authority's certificate, if it has TLS."""

    domain: str
    directory: Path
    process: subprocess.Popen[bytes]
    authority: Path | None = None

    def stop(self) -> None:
        """End the server."""
        self.process.kill()
        self.process.wait()

    def put_manifest(self, path: str, tag: str, document: dict[str, Any]) -> None:
        """Store a document under a tag, as a client would; the server is open and without TLS."""
        data = json.dumps(document).encode()
        request = urllib.request.Request(f"http://{self.domain}/v2/{path}/manifests/{tag}", data, method="PUT")
        request.add_header("Content-Type", document["mediaType"])
        with urllib.request.urlopen(request, timeout=_PATIENCE):
            pass


@contextmanager
def serve(directory: Path, *, tls: bool = False, auth: dict[str, Any] | None = None) -> Iterator[Registry]:
    """Run a server that keeps its files in a directory; ``auth`` is that section of its configuration."""
    port = free_port()
    http: dict[str, Any] = {"addr": f"127.0.0.1:{port}"}
    authority = None
    if tls:
        authority = certificate(directory, "server")
        http["tls"] = {"certificate": str(authority), "key": str(authority.with_suffix(".key"))}
    config = {
        "version": 0.1, "log": {"level": "error", "accesslog": {"disabled": True}}, "http": http,
        "storage": {"filesystem": {"rootdirectory": str(directory / "data")}, "delete": {"enabled": True}},
    }  # fmt: skip
    if auth:
        config["auth"] = auth
    (directory / "config.yml").write_text(json.dumps(config))
    with (directory / "log").open("wb") as log:
        command = ["docker-registry", "serve", str(directory / "config.yml")]
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _wait(port, process, directory / "log")
        yield Registry(f"127.0.0.1:{port}", directory, process, authority)
    finally:
        process.kill()
        process.wait()


def accounts(directory: Path) -> dict[str, Any]:
    """Return the section of a configuration in which `USER` has `PASSWORD`."""
    (directory / "accounts").write_text(_ACCOUNT)
    return {"htpasswd": {"realm": "test", "path": str(directory / "accounts")}}


def certificate(directory: Path, name: str) -> Path:
    """Make a certificate for 127.0.0.1 that is its own authority, its key beside it, and return it."""
    made = directory / f"{name}.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", made.with_suffix(".key"), "-out", made],
        check=True, capture_output=True,
    )  # fmt: skip
    return made


def free_port() -> int:
    """Return a port of the loopback that nobody has just now."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def copy(source: str, target: str) -> None:
    """Copy an image with skopeo, whatever the certificates."""
    flags = ["-q", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false"]
    subprocess.run(["skopeo", "copy", *flags, source, target], check=True, capture_output=True, timeout=60)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        else:
            return
