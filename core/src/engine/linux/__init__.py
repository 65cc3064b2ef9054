"""The Linux kernel, typed: system calls and the files of /proc and /sys. No policy, no plan, no state.

Every module here is imported by the shim and the stage of a container, under ``python -I -S``: standard library only,
no dataclasses, no pathlib, no subprocess, nothing imported inside a function. It is the only place that uses ctypes.

A failure is an ``OSError`` with its errno, and with the path or the subject of the call as ``filename``;
:func:`engine.linux.syscalls.explain` says in one clause what that errno means for that call.
Every descriptor returned is close-on-exec, and the caller's to close.
"""
