"""The lock that keeps a journal to one process, and the check that its disk is a local one."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path

from runagent.errors import ValidationError

NETWORK = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "afs",
    "ceph",
    "gluster",
    "lustre",
    "gpfs",
    "beegfs",
    "ncpfs",
)
"""The beginnings of the names of file systems that are on another machine."""

NETWORK_FUSE = ("fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.ceph", "fuse.glus")


def check_is_local(path: Path, mounts: Path = Path("/proc/self/mounts")) -> None:
    """Refuse a journal on a network file system, where SQLite can lose what it has written.

    Raises:
        ValidationError: A path on a file system of another machine.
    """
    kind = file_system(path, mounts)
    if kind.startswith((*NETWORK, *NETWORK_FUSE)):
        raise ValidationError(
            f"The journal {str(path)!r} is on a network file system ({kind}), on which a journal "
            "cannot be kept safely.",
            code="INVALID_SETTING",
            hint="Put it on a disk of this machine, and copy it when the batch has ended.",
        )


def file_system(path: Path, mounts: Path) -> str:
    """Return the kind of file system that a path is on, an empty string if that is unknown."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    folder = path.resolve().parent
    found = (0, "")
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:  # noqa: PLR2004 - the device, the place and the kind
            continue
        place = Path(fields[1].encode().decode("unicode_escape"))
        if place == folder or place in folder.parents:
            found = max(found, (len(place.parts), fields[2]), key=lambda item: item[0])
    return found[1]


class JournalLock:
    """Holds a journal for this process, by a file beside it that names the process."""

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Raises:
            ValidationError: A journal that another batch uses.
            OSError: A folder in which no file can be made.
        """
        self._path = path.with_name(path.name + ".lock")
        while True:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                _lock(self._file)
            except OSError:
                holder = (
                    os.pread(self._file, 200, 0).decode(errors="replace").strip()
                    if hasattr(os, "pread")
                    else ""
                )
                os.close(self._file)
                raise ValidationError(
                    f"The journal {str(path)!r} is in use by {holder or 'another process'}.",
                    code="JOURNAL_IN_USE",
                    hint="Wait for that batch to end, or give this one a journal of its own.",
                ) from None
            if self._is_current():
                break
            os.close(self._file)  # whoever held it has removed it meanwhile
        command = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
        holder = f"process {os.getpid()} ({command}) on {socket.gethostname()}"
        try:
            os.ftruncate(self._file, 0)
            os.write(self._file, holder.encode())
        except OSError:  # the disk is full
            self.release()
            raise

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._file))
        except OSError:
            return False

    def release(self) -> None:
        """Let go of the journal."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        with contextlib.suppress(OSError):
            os.close(self._file)


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, 1 << 30, os.SEEK_SET)  # the text at the beginning stays readable
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
