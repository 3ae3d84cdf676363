"""Who can have written a file, and what it is: asked of the open file, so that nothing changes between question and use.

What decides which code runs, a project's settings and compiled code, must be *ours*: of the user or of root, as must be all its
folders, and none of them for others to write. Records, crashes and reports are data and may be anyone's. But all that is read is
a regular file of bounded size, for a pipe hangs and a device never ends, and no link that somebody else has planted is followed.

Where the system has no users (Windows), nothing is known of others, and every owner counts as ours.
"""

from __future__ import annotations

import errno
import os
import stat
from functools import cache
from pathlib import Path

MEGABYTE = 1 << 20
ROOT = 0
_READ = os.O_RDONLY | sum(getattr(os, f"O_{name}", 0) for name in ("NOFOLLOW", "NONBLOCK", "NOCTTY", "CLOEXEC", "BINARY"))
_WRITE = os.O_WRONLY | os.O_CREAT | sum(getattr(os, f"O_{name}", 0) for name in ("NONBLOCK", "NOCTTY", "CLOEXEC", "BINARY"))
_LINKS = 40


class Untrusted(OSError):
    """A file is not what it must be, or not from whom it must be."""

    def __init__(self, path: object, why: str) -> None:
        super().__init__(errno.EPERM, why, str(path))

    def __str__(self) -> str:
        return f"{self.filename} {self.strerror}"


def read(path: Path, most: int, *, ours: bool = False) -> bytes:
    """What a regular file of at most ``most`` bytes holds; with ``ours``, if none but the user and root can have written it.

    Raises Untrusted, and OSError where it cannot be opened.
    """
    descriptor = _opened(path, ours)
    try:
        status = os.fstat(descriptor)
        why = _unfit(status, most) or (_foreign(status, descriptor) if ours else "")
        data = b"" if why else os.read(descriptor, status.st_size + 1)
    finally:
        os.close(descriptor)
    if why or len(data) != status.st_size:
        raise Untrusted(path, why or "changed while it was read")
    return data


def _opened(path: Path, ours: bool) -> int:
    """A link is followed where it is the user's or root's, for those may be of an installer's making."""
    try:
        return os.open(_in_our_folder(path) if ours else path, _READ)
    except Untrusted:
        raise
    except OSError:
        if not os.path.islink(path):
            raise
    why = _of_another(os.lstat(path))
    if why:
        raise Untrusted(path, f"is a link that {why}")
    target = Path(os.path.realpath(path))
    return os.open(_in_our_folder(target) if ours else target, _READ)


def _in_our_folder(path: Path) -> Path:
    """The same file by a way without links, on which only the user and root can change anything."""
    why = fault(path.parent)
    if why:
        raise Untrusted(path, f"is not safe from others: {why}")
    return Path(os.path.realpath(path.parent), path.name)


def _unfit(status: os.stat_result, most: int) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    return f"is larger than {most / MEGABYTE:g} MB" if status.st_size > most else ""


def fault(folder: Path) -> str:
    """How others can write into a folder or put another in its place, in words; empty where only the user and root can.

    For one that is not there yet the folders above it count. These may be for all to write if they are sticky, as /tmp is:
    there nobody moves what is another's.
    """
    place = Path(os.path.realpath(folder))
    for one in (place, *place.parents):
        try:
            status = os.lstat(one)
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"{one} cannot be looked at ({error.strerror})"
        sticky = status.st_mode & stat.S_ISVTX and one != place
        why = _of_another(status) if sticky else _foreign(status, one)
        if why:
            return f"{one} {why}"
    return ""


def _of_another(status: os.stat_result) -> str:
    if not hasattr(os, "geteuid") or status.st_uid in (ROOT, os.geteuid()):
        return ""
    return f"belongs to another user (number {status.st_uid})"


def is_own(status: os.stat_result) -> bool:
    """Whether a file is the user's, and not root's."""
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()


def _foreign(status: os.stat_result, where: Path | int) -> str:
    """Why a file or folder is not ours alone."""
    writable = status.st_mode & (stat.S_IWOTH | stat.S_IWGRP) if hasattr(os, "geteuid") else 0
    if writable and (writable & stat.S_IWOTH or not _alone(os.geteuid(), status.st_gid) or _shared(where)):
        return _of_another(status) or "can be written by others"
    return _of_another(status)


@cache
def _alone(user: int, group: int) -> bool:
    """Whether a group is nobody's but the user's, or root's: then what it can write, others cannot.

    Systems that give each user a group of his own name let it write by default, so counting that as others would leave their
    users without kept code. The same condition as pam_umask's, and for root's group as sudo's. Any other group is others: who
    will be in it is decided elsewhere.
    """
    import grp
    import pwd

    if group == ROOT:
        return True
    try:
        person, members = pwd.getpwuid(user), grp.getgrgid(group)
    except KeyError:
        return False
    return person.pw_gid == group and members.gr_name == person.pw_name and {*members.gr_mem} <= {person.pw_name}


def _shared(where: Path | int) -> bool:
    """Whether a list of access rights names more than owner and group; what it lets them do shows as the group's rights."""
    try:
        return bool(os.getxattr(where, "system.posix_acl_access"))
    except (OSError, AttributeError):
        return False


def make(folder: Path, mode: int = 0o755) -> None:
    """Make a folder with these rights, and those above it that are not there, none for others to write. Raises OSError."""
    if folder.is_dir():
        return
    make(folder.parent)
    try:
        folder.mkdir(mode)
    except FileExistsError:
        if not folder.is_dir():
            raise


def open_through(path: Path) -> int:
    """A descriptor to write to a link's end, a device or a pipe. Raises Untrusted where any of them is another's.

    A pipe without a reader is an error, and not waited for.
    """
    _end(path)
    descriptor = os.open(path, _WRITE, 0o666)
    try:
        end, status = _end(path), os.fstat(descriptor)
        if end is None or not os.path.samestat(end, status):
            raise Untrusted(path, "changed while it was opened")
        if stat.S_ISREG(status.st_mode):
            os.ftruncate(descriptor, 0)
        if hasattr(os, "set_blocking"):
            os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _end(path: Path) -> os.stat_result | None:
    """What links lead to, each of them the user's or root's, and the end too unless it is a regular file; None for nothing."""
    place = str(path)
    for _ in range(_LINKS):
        try:
            status = os.lstat(place)
        except FileNotFoundError:
            return _unnamed(path)
        why = "" if stat.S_ISREG(status.st_mode) else _of_another(status)
        if why:
            raise Untrusted(place, why)
        if not stat.S_ISLNK(status.st_mode):
            return status
        place = os.path.join(os.path.dirname(place), os.readlink(place))
    raise Untrusted(path, "leads from link to link without end")


def _unnamed(path: Path) -> os.stat_result | None:
    """A pipe as /dev/stdout leads to it has no name."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
