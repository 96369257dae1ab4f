"""A lock that keeps a file to one process."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from pathlib import Path

from runagent.errors import RunAgentError

_TAKEN = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)


class FileLock:
    """Holds a file for this process, by a file beside it that names the process.

    The lock ends with the process, however that ends.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Args:
            path: The file; it need not exist.

        Raises:
            RunAgentError: Another process has the lock; `in_use` says what it is told.
            OSError: A folder in which no file can be made, or a file system without locks.
        """
        self._path = path.with_name(path.name + ".lock")
        while True:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                _lock(self._file)
            except OSError as exc:
                holder = self._holder()
                os.close(self._file)
                if exc.errno not in _TAKEN:
                    raise
                raise self.in_use(path, holder or "another process") from None
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

    def in_use(self, path: Path, holder: str) -> RunAgentError:
        """Return the error for a file that another process holds.

        Args:
            path: The file.
            holder: The process, in words.
        """
        return RunAgentError(f"{str(path)!r} is in use by {holder}.", code="FILE_IN_USE")

    def release(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        with contextlib.suppress(OSError):
            os.close(self._file)

    def _holder(self) -> str:
        if not hasattr(os, "pread"):
            return ""
        return os.pread(self._file, 200, 0).decode(errors="replace").strip()

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._file))
        except OSError:
            return False


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
