"""PostgreSQL, with synchronous commits, and as much of its protocol (version 3) as simple queries take."""

from __future__ import annotations

import struct
from pathlib import Path

from tests.e2e.box import Box
from tests.workloads.database import Client, Line, Lost, Server, Write

PROTOCOL = 3 << 16
BINARIES = "/usr/lib/postgresql/*/bin"
CREATE = "CREATE TABLE IF NOT EXISTS rows (writer int, number int, value text, PRIMARY KEY (writer, number))"


class PostgresClient(Client):
    """A session of the user postgres, whom the server trusts."""

    def __init__(self, port: int) -> None:
        self._line = Line(port)
        start = struct.pack("!I", PROTOCOL) + b"user\0postgres\0\0"
        self._line.send(struct.pack("!I", len(start) + 4) + start)
        try:
            self._answer()
        except Lost:
            self.close()
            raise

    def ask(self, query: str) -> list[str]:
        """Return the first column of each row that a query answers with; it has been committed then."""
        body = query.encode() + b"\0"
        self._line.send(b"Q" + struct.pack("!I", len(body) + 4) + body)
        return self._answer()

    def _answer(self) -> list[str]:
        """Read messages until the server is ready for the next query. An error ends the session: `Lost` says it."""
        rows: list[str] = []
        while True:
            kind, length = struct.unpack("!cI", self._line.bytes(5))
            body = self._line.bytes(length - 4)
            if kind == b"E":
                raise Lost(body.replace(b"\0", b" ").decode())
            if kind == b"D":
                size = struct.unpack("!i", body[2:6])[0]
                rows.append(body[6 : 6 + size].decode())
            elif kind == b"Z":
                return rows

    def write(self, row: Write) -> None:
        """Answered only when its commit is on disk: ``synchronous_commit = on``, the default."""
        self.ask(f"INSERT INTO rows VALUES ({row.writer}, {row.number}, '{row.value}')")

    def read(self, row: Write) -> str | None:
        """Return the value."""
        found = self.ask(f"SELECT value FROM rows WHERE writer = {row.writer} AND number = {row.number}")
        return found[0] if found else None

    def close(self) -> None:
        """End the connection."""
        self._line.close()


class Postgres(Server):
    """Its directory is made by its own initdb, in a container of its own."""

    user = "postgres"

    def __init__(self, box: Box, data: Path) -> None:
        super().__init__(box, data)
        make = f"{BINARIES}/initdb --pgdata=/data/db --username=postgres --auth=trust --no-sync"
        box.run("--user", self.user, "--volume", f"{data}:/data", script=make)

    def command(self) -> list[str]:
        """Each commit waits for the log on disk, and so it is by default."""
        return ["sh", "-c", f"exec {BINARIES}/postgres -D /data/db -k /tmp -h 127.0.0.1 -p {self.port}"]

    def connect(self) -> PostgresClient:
        """Refused while it still replays the log."""
        client = PostgresClient(self.port)
        client.ask(CREATE)
        return client
