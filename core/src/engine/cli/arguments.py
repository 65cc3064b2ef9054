"""The arguments and options that several commands take: one name and one line of help for each."""

from typing import Annotated

from typer import Argument, Option

Container = Annotated[str, Argument(metavar="CONTAINER", help="A name, or an ID or its beginning")]
Containers = Annotated[list[str], Argument(metavar="CONTAINER", help="Names, or IDs or their beginnings")]
Image = Annotated[str, Argument(metavar="IMAGE", help="A name, or an ID or its beginning")]
Images = Annotated[list[str], Argument(metavar="IMAGE", help="Names, or IDs or their beginnings")]

StopTime = Annotated[
    str | None, Option("--time", "--timeout", "-t", metavar="SECONDS", help="Wait before killing; -1: no end")
]
StopSignal = Annotated[str | None, Option("--signal", "-s", metavar="SIGNAL", help="Ask with this signal")]

Unasked = Annotated[bool, Option("--force", "-f", help="Do not ask")]
NamedToo = Annotated[bool, Option("--all", "-a", help="Images that have a name, too")]
