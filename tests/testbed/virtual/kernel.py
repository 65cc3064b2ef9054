"""The uncompressed kernel out of Debian's: QEMU starts an ELF image with a PVH note without its decompressor."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

UNPACKERS = {b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"\x02\x21\x4c\x18": "lz4"}
ELF = b"\x7fELF"


def version(root: Path) -> str:
    """Return the version of the one kernel in a root file system."""
    (modules,) = (root / "lib/modules").iterdir()
    return modules.name


def extract(root: Path, target: Path) -> None:
    """Write the kernel of a root file system as an ELF image, and remove what only a boot loader would want."""
    packed = (root / "boot" / f"vmlinuz-{version(root)}").read_bytes()
    target.write_bytes(unpacked(packed))
    shutil.rmtree(root / "boot")
    (root / "boot").mkdir()


def unpacked(image: bytes) -> bytes:
    """Return the ELF image in a bzImage (Documentation/arch/x86/boot.rst: setup_sects, payload_offset and _length).

    Raises RuntimeError when it is packed in a way that none of `UNPACKERS` knows.
    """
    (setup_sectors,) = struct.unpack_from("<B", image, 0x1F1)
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = ((setup_sectors or 4) + 1) * 512 + offset
    payload = image[start : start + length]
    program = next((UNPACKERS[magic] for magic in UNPACKERS if payload.startswith(magic)), None)
    if program is None:
        raise RuntimeError(f"the kernel is packed in an unknown way: {payload[:8].hex()}")
    # The build appends four bytes, the unpacked size, of which the programs complain after having written the image.
    data = subprocess.run([program, "-dcq"], input=payload, capture_output=True, check=False).stdout
    if not data.startswith(ELF):
        raise RuntimeError(f"{program} finds no ELF image in the kernel")
    return data
