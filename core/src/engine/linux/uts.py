"""The two names of a UTS namespace (uts_namespaces(7)); setting them needs CAP_SYS_ADMIN in its user namespace."""

from __future__ import annotations

import ctypes
import os

from engine.linux.syscalls import check, function

MAX_NAME = 64
"""Bytes that the kernel keeps of each (__NEW_UTS_LEN)."""

_sethostname = function("sethostname", ctypes.c_char_p, ctypes.c_size_t)
_setdomainname = function("setdomainname", ctypes.c_char_p, ctypes.c_size_t)


def set_hostname(name: str) -> None:
    """Set what uname(2) calls the node, in the caller's UTS namespace. EINVAL when it is longer than MAX_NAME."""
    encoded = os.fsencode(name)
    check(_sethostname(encoded, len(encoded)), name)


def set_domainname(name: str) -> None:
    """Set the NIS domain name of the caller's UTS namespace. EINVAL when it is longer than MAX_NAME."""
    encoded = os.fsencode(name)
    check(_setdomainname(encoded, len(encoded)), name)
