"""Which file of this machine a path leads to, whatever the path: its inode and the moment when that was made.

The device and the inode alone would not do: numbers of devices change when a machine starts anew, and the inode of a
file that is removed soon serves another one. An inode and its time of birth, to the nanosecond, stay with a file
through renaming, linking, mounting and writing, and no other file has both. Where a file system does not tell the
time of birth, device and inode have to do.
"""

import ctypes
import os
import struct

_HERE = -100  # AT_FDCWD: a relative path begins in the current folder
_INODE, _BIRTH = 0x100, 0x800  # STATX_INO, STATX_BTIME
_SIZE = 256  # of struct statx
_call = getattr(ctypes.CDLL(None), "statx", None)


def identity(path: str) -> str | None:
    """Return a text that is the same for every path to one file or folder; None where nothing is.

    Links are followed.
    """
    inode, born = _statx(path)
    if inode and born:
        return f"{inode}@{born}"
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return f"{status.st_dev}:{status.st_ino}"


def _statx(path: str) -> tuple[int, int]:
    """The inode and the time of birth in nanoseconds, which Python's own stat does not tell; 0 where unknown."""
    if _call is None or "\0" in path:
        return 0, 0
    status = ctypes.create_string_buffer(_SIZE)
    if _call(_HERE, os.fsencode(path), 0, _INODE | _BIRTH, status) != 0:
        return 0, 0
    [mask] = struct.unpack_from("=I", status, 0)
    [inode] = struct.unpack_from("=Q", status, 32)
    seconds, nanoseconds = struct.unpack_from("=qI", status, 80)
    if not mask & _BIRTH or not mask & _INODE:
        return 0, 0
    return inode, seconds * 10**9 + nanoseconds
