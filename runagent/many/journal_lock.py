"""The lock that keeps a journal to one process, and the check that its disk is a local one."""

from __future__ import annotations

from pathlib import Path

from runagent.errors import ValidationError
from runagent.file_lock import FileLock

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


class JournalLock(FileLock):
    """Holds a journal for this process."""

    def in_use(self, path: Path, holder: str) -> ValidationError:
        """Return the error for a journal that another batch uses."""
        return ValidationError(
            f"The journal {str(path)!r} is in use by {holder}.",
            code="JOURNAL_IN_USE",
            hint="Wait for that batch to end, or give this one a journal of its own.",
        )
