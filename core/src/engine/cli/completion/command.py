"""`engine completion`."""

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.output import write_bytes
from engine.errors import InvalidInput

app = typer.Typer()


@app.command("completion")
def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish")],
) -> None:
    """Print the script that completes commands in a shell. Load it where the shell starts.

    \b
    engine completion bash > /etc/bash_completion.d/engine
    engine completion zsh > /usr/local/share/zsh/site-functions/_engine
    engine completion fish > ~/.config/fish/completions/engine.fish
    """
    script = Path(__file__).with_name(f"engine.{shell}")
    if shell not in {"bash", "zsh", "fish"}:
        raise InvalidInput(f"there is no completion for the shell {shell!r}", fix="Choose among bash, zsh and fish.")
    write_bytes(script.read_bytes(), 1)
