"""Redis, with every write on disk before it is acknowledged, and as much of its protocol as that takes (RESP2)."""

from __future__ import annotations

from tests.workloads.database import Client, Line, Lost, Server, Write


class RedisClient(Client):
    """Requests are arrays of bulk strings; replies a status, an error, or a bulk string."""

    def __init__(self, port: int) -> None:
        self._line = Line(port)

    def ask(self, *words: str) -> str | None:
        """Send a command and return what is answered."""
        parts = [word.encode() for word in words]
        request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        self._line.send(request)
        head = self._line.line()
        if head.startswith(b"-"):
            raise Lost(head.decode())
        if not head.startswith(b"$"):
            return head[1:].decode()
        length = int(head[1:])
        return None if length < 0 else self._line.bytes(length + 2)[:-2].decode()

    def write(self, row: Write) -> None:
        """Answered only after fsync(2) of the log: ``appendfsync always``."""
        answer = self.ask("SET", f"{row.writer}:{row.number}", row.value)
        assert answer == "OK"

    def read(self, row: Write) -> str | None:
        """Return the value."""
        return self.ask("GET", f"{row.writer}:{row.number}")

    def close(self) -> None:
        """End the connection."""
        self._line.close()


class Redis(Server):
    """It keeps a log of every write, which is all that it starts from."""

    user = "redis"

    def command(self) -> list[str]:
        """The log is not rewritten: that would fork a second process into the memory limit."""
        options = {
            "port": str(self.port), "bind": "127.0.0.1", "dir": "/data", "save": "", "appendonly": "yes",
            "appendfsync": "always", "auto-aof-rewrite-percentage": "0",
        }  # fmt: skip
        return ["redis-server", *(word for key, value in options.items() for word in (f"--{key}", value))]

    def connect(self) -> RedisClient:
        """Refused while it still loads the log."""
        client = RedisClient(self.port)
        try:
            client.ask("PING")
        except Lost:
            client.close()
            raise
        return client
