"""Completion in bash, zsh and fish: the scripts ask ``engine __complete WORD...`` what could stand for the last word.

The answer's first line holds what the shell itself is to add (``files``, ``directories``) and whether no space follows
(``nospace``); each other line is a word, a tab, and what it is. All of it is meant to take no longer than a person
notices: typer is imported once for each command and version (`engine.cli.completion.table`), no plugin ever is.
"""
