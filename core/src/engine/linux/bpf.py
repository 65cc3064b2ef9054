"""bpf(2), as far as a device filter of a cgroup v2 directory needs it (the v1 devices controller is gone there).

The program decides about each open or mknod of a device by a process in the cgroup or below: the type, the numbers and
the accesses (bpf_cgroup_dev_ctx of linux/bpf.h). Attached, it lives as long as the directory; nothing has to be undone.
Needs CAP_SYS_ADMIN, or CAP_BPF and CAP_NET_ADMIN, in the first user namespace.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence

from engine.linux.syscalls import check, system_call

DeviceRow = tuple[str, int, int, str]
"""Type ``c`` or ``b``, major and minor (-1: any), accesses out of ``rwm``."""

_PROG_LOAD, _PROG_ATTACH, _PROG_DETACH, _PROG_GET_FD_BY_ID, _PROG_QUERY = 5, 8, 9, 13, 16
_TYPE_CGROUP_DEVICE, _ATTACH_CGROUP_DEVICE = 15, 6
_F_ALLOW_MULTI, _F_REPLACE = 2, 4
_ACCESS = {"m": 1, "r": 2, "w": 4}
_TYPE = {"b": 1, "c": 2}
_LICENSE = b"Apache-2.0\0"

_LOAD_WORD, _AND, _SHIFT_RIGHT, _COPY, _SET, _JUMP_UNEQUAL, _EXIT = 0x61, 0x54, 0x74, 0xBC, 0xB4, 0x56, 0x95
"""Opcodes, all of 32 bits: ldxw, and, rsh, mov register, mov constant, jne32, exit (instruction-set.rst)."""
_R0, _R1, _TYPE_REGISTER, _ACCESS_REGISTER, _MAJOR, _MINOR = 0, 1, 2, 3, 4, 5

_bpf = system_call("bpf", ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)


def device_program(allow: bool, exceptions: Sequence[DeviceRow]) -> bytes:
    """Return the program: an access that lies within one exception gets ``not allow``, every other one ``allow``."""
    program = [
        _instruction(_LOAD_WORD, _TYPE_REGISTER, _R1, offset=0),
        _instruction(_COPY, _ACCESS_REGISTER, _TYPE_REGISTER),
        _instruction(_AND, _TYPE_REGISTER, constant=0xFFFF),
        _instruction(_SHIFT_RIGHT, _ACCESS_REGISTER, constant=16),
        _instruction(_LOAD_WORD, _MAJOR, _R1, offset=4),
        _instruction(_LOAD_WORD, _MINOR, _R1, offset=8),
    ]
    for row in exceptions:
        program += _exception(row, int(not allow))
    return b"".join(program + _answer(int(allow)))


def _exception(row: DeviceRow, answer: int) -> list[bytes]:
    kind, major, minor, access = row
    conditions = [(_TYPE_REGISTER, _TYPE[kind])]
    conditions += [(register, number) for register, number in ((_MAJOR, major), (_MINOR, minor)) if number != -1]
    outside = 7 & ~sum(_ACCESS[letter] for letter in access)
    length = len(conditions) + (3 if outside else 0) + 2
    block = [
        _instruction(_JUMP_UNEQUAL, register, offset=length - 1 - at, constant=number)
        for at, (register, number) in enumerate(conditions)
    ]
    if outside:
        block += [
            _instruction(_COPY, _R0, _ACCESS_REGISTER),
            _instruction(_AND, _R0, constant=outside),
            _instruction(_JUMP_UNEQUAL, _R0, offset=2),
        ]
    return block + _answer(answer)


def _answer(value: int) -> list[bytes]:
    return [_instruction(_SET, _R0, constant=value), _instruction(_EXIT)]


def _instruction(code: int, to: int = 0, source: int = 0, *, offset: int = 0, constant: int = 0) -> bytes:
    return struct.pack("=BBhI", code, to | source << 4, offset, constant & 0xFFFFFFFF)


def restrict_devices(directory_fd: int, allow: bool, exceptions: Sequence[DeviceRow]) -> None:
    """Put the filter onto a cgroup v2 directory, in place of the ones that are there, without a moment of none.

    Raises OSError: EPERM without the capabilities, EINVAL on a kernel without CONFIG_CGROUP_BPF.
    """
    present = attached(directory_fd)
    program_fd = _load(device_program(allow, exceptions))
    try:
        if len(present) == 1:
            _replace(directory_fd, program_fd, present[0])
        else:
            _attach(directory_fd, program_fd)
            for number in present:
                _detach(directory_fd, number)
    finally:
        os.close(program_fd)


def attached(directory_fd: int) -> list[int]:
    """Return the ids of the device filters on this cgroup v2 directory itself. Raises OSError."""
    room = 64
    ids = ctypes.create_string_buffer(4 * room)
    attribute = struct.pack("=IIIIQI4x", directory_fd, _ATTACH_CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), room)
    buffer = ctypes.create_string_buffer(attribute.ljust(72, b"\0"), 72)
    check(_bpf(_PROG_QUERY, buffer, 72), "device filters of a cgroup")
    count = struct.unpack_from("=I", buffer, 24)[0]
    return list(struct.unpack_from(f"={count}I", ids))


def _load(program: bytes) -> int:
    instructions = ctypes.create_string_buffer(program, len(program))
    license_text = ctypes.create_string_buffer(_LICENSE)
    attribute = struct.pack(
        "=IIQQIIQII16s",
        _TYPE_CGROUP_DEVICE, len(program) // 8, ctypes.addressof(instructions), ctypes.addressof(license_text),
        0, 0, 0, 0, 0, b"engine_devices",
    )  # fmt: skip
    return _call(_PROG_LOAD, attribute)


def _attach(directory_fd: int, program_fd: int) -> None:
    _call(_PROG_ATTACH, struct.pack("=IIIII", directory_fd, program_fd, _ATTACH_CGROUP_DEVICE, _F_ALLOW_MULTI, 0))


def _replace(directory_fd: int, program_fd: int, present: int) -> None:
    present_fd = _call(_PROG_GET_FD_BY_ID, struct.pack("=III", present, 0, 0))
    try:
        flags = _F_ALLOW_MULTI | _F_REPLACE
        _call(_PROG_ATTACH, struct.pack("=IIIII", directory_fd, program_fd, _ATTACH_CGROUP_DEVICE, flags, present_fd))
    finally:
        os.close(present_fd)


def _detach(directory_fd: int, present: int) -> None:
    present_fd = _call(_PROG_GET_FD_BY_ID, struct.pack("=III", present, 0, 0))
    try:
        _call(_PROG_DETACH, struct.pack("=IIII", directory_fd, present_fd, _ATTACH_CGROUP_DEVICE, 0))
    finally:
        os.close(present_fd)


def _call(command: int, attribute: bytes) -> int:
    return check(_bpf(command, attribute, len(attribute)), "bpf")
