"""What a virtual machine runs for whoever started it: commands that come through a virtio-serial port.

Both ways a message is two lengths (32 bits, big endian), a JSON object and bytes. Asked: ``id``, ``argv``,
``environment``, and standard input as bytes. Answered: ``id``, ``status``, and how many of the bytes are standard
output (``output``), the rest being standard error. The first message says ``id`` 0: it is up. Standard library only;
``/run`` holds what a command writes, so that a command's children that live on hold up nothing.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

PORT = "agent"
LENGTHS = struct.Struct(">II")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def open_port() -> int:
    """Open the port, once the kernel has it."""
    while True:
        for names in Path("/sys/class/virtio-ports").glob("*/name"):
            if names.read_text().strip() == PORT:
                return os.open(f"/dev/{names.parent.name}", os.O_RDWR)
        time.sleep(0.05)


class Agent:
    """Answers messages of one port, each in a thread of its own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writing = threading.Lock()

    def serve(self) -> None:
        """Answer until the machine ends."""
        self._send({"id": 0}, b"")
        while True:
            header, body = LENGTHS.unpack(self._read(LENGTHS.size))
            message = json.loads(self._read(header))
            threading.Thread(target=self._run, args=(message, self._read(body)), daemon=True).start()

    def _run(self, message: dict[str, Any], given: bytes) -> None:
        environment = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **message["environment"]}
        with tempfile.TemporaryFile(dir="/run") as output, tempfile.TemporaryFile(dir="/run") as errors:
            try:
                process = subprocess.Popen(
                    message["argv"], stdin=subprocess.PIPE, stdout=output, stderr=errors, cwd="/root", env=environment,
                    start_new_session=True,
                )  # fmt: skip
                process.communicate(given)
                status = process.returncode
            except OSError as error:
                status = 127
                errors.write(str(error).encode())
            output.seek(0)
            errors.seek(0)
            written, complained = output.read(), errors.read()
        self._send({"id": message["id"], "status": status, "output": len(written)}, written + complained)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = os.read(self._port, size - len(data))
            if not more:  # nobody has the other end open
                time.sleep(0.05)
            data += more
        return data

    def _send(self, header: dict[str, Any], body: bytes) -> None:
        text = json.dumps(header).encode()
        data = memoryview(LENGTHS.pack(len(text), len(body)) + text + body)
        with self._writing:
            while data:
                data = data[os.write(self._port, data[:65536]) :]


if __name__ == "__main__":
    Agent(open_port()).serve()
