"""Containers: create, start, exec, stop, remove, wait. Start with `engine.containers.engine`."""
