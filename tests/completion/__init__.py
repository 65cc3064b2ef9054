"""Completion as people have it: in bash, zsh and fish, each on a terminal."""
