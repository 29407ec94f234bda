"""What a pack in a process of its own may do, enforced by the Linux kernel: Landlock for files, seccomp for calls.

Where a part cannot be put in place the pack does not run. There is no way back out: the process and all it starts stay
confined.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.folders import PROJECT

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_SET_DUMPABLE, SECCOMP_MODE_FILTER = 1, 38, 22, 4, 2
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
READ = (1 << 0) | (1 << 2) | (1 << 3)  # execute (needed to map libraries), read files, read folders
WRITE = (1 << 1) | sum(1 << bit for bit in (4, 5, 7, 8, 12, 13, 14))  # write, remove, make folders, files and links, truncate
ALL = (1 << 15) - 1
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/opt", "/etc/ssl", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types",
          "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices", "/sys/fs/cgroup", "/dev/zero",
          "/dev/random", "/dev/urandom")  # fmt: skip
GRAPHICS = ("nvidia*", "dri", "kfd")
NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf")

# Numbers of system calls by machine: (x86_64, aarch64), None where there is none.
PROCESSES = {"fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281)}
OTHERS = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268), "init_module": (175, 105), "finit_module": (313, 273), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "keyctl": (250, 219),
    "add_key": (248, 217), "request_key": (249, 218), "reboot": (169, 142), "kexec_load": (246, 104), "swapon": (167, 224),
    "open_by_handle_at": (304, 265), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "setpriority": (141, 140),
}  # fmt: skip
SOCKET, CLONE, CLONE3, KILL, TGKILL, PRLIMIT = (41, 198), (56, 220), (435, 435), (62, 129), (234, 131), (302, 261)
TRUNCATE = (76, 45)
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
AF_UNIX, CLONE_THREAD = 1, 0x10000
ALLOW, FAIL, ENOSYS, EPERM = 0x7FFF0000, 0x00050000, 38, 1


@dataclass(frozen=True, slots=True)
class Permissions:
    """``read`` and ``write`` are folders; the pack's own, Python's and the system's may always be read. ``memory``: bytes."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    network: bool = False
    subprocesses: bool = False
    memory: int = 16 << 30

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> Permissions:
        """As JSON has them; TypeError for anything that is none."""
        found = cls(**{**written, **{name: tuple(map(str, written.get(name, ()))) for name in ("read", "write")}})
        if type(found.network) is not bool or type(found.subprocesses) is not bool or type(found.memory) is not int:
            raise TypeError(f"permissions {dict(written)}")
        return found

    def words(self) -> str:
        """What is allowed besides the usual, in a few words; nothing for nothing."""
        said = [f"reads {path}" for path in self.read] + [f"writes {path}" for path in self.write]
        said += ["network"] * self.network + ["subprocesses"] * self.subprocesses
        return ", ".join(said)


def supported() -> str | None:
    """Why a pack cannot be confined here; None if it can."""
    if sys.platform != "linux":
        return f"packs can be isolated on Linux only, and this is {platform.system()}"
    if platform.machine() not in ARCHITECTURES:
        return f"packs can be isolated on {' and '.join(ARCHITECTURES)} only, and this is {platform.machine()}"
    libc = _libc()
    if _landlock(libc) < 1:
        return "this kernel has no Landlock (Linux 5.13 or later, switched on), so files cannot be kept from a pack"
    libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, None, 0, 0)
    if ctypes.get_errno() != errno.EFAULT:  # the answer of a kernel that would have read the filter
        return "this kernel has no seccomp filters, so connections and programs cannot be kept from a pack"
    return None


def confine(permissions: Permissions) -> None:
    """Give up everything else, for good. OSError if the kernel does not play along: then nothing of the pack may run."""
    import resource  # which only Unix has

    libc = _libc()
    libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)
    _must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _must(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "dumpable")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (permissions.memory, permissions.memory))
    _restrict_files(libc, permissions)
    _restrict_calls(libc, permissions)


def _restrict_files(libc: ctypes.CDLL, permissions: Permissions) -> None:
    """Landlock: whatever is not named cannot be opened, and no rights can be added later."""
    known = _known_rights(libc)
    attributes = struct.pack("Q", known)
    ruleset = _must(libc.syscall(LANDLOCK_CREATE, attributes, len(attributes), 0), "landlock_create_ruleset")
    system = (*SYSTEM, *(NETWORK if permissions.network else ()), *_python())
    for path in (*system, *permissions.read):
        _allow(libc, ruleset, path, READ & known)
    graphics = [str(path) for pattern in GRAPHICS for path in Path("/dev").glob(pattern)]
    for path in (*permissions.write, "/dev/null", *graphics):
        _allow(libc, ruleset, path, (READ | WRITE) & known)
    _must(libc.syscall(LANDLOCK_RESTRICT, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not os.path.isdir(path):
        rights &= (1 << 0) | (1 << 1) | (1 << 2) | (1 << 14)
    rule = struct.pack("=Qi", rights, handle)
    _must(libc.syscall(LANDLOCK_ADD, ruleset, 1, rule, 0), f"landlock_add_rule for {path}")
    if not path.startswith("/proc/"):  # which forgets its files when nobody holds them, and the rule with them
        os.close(handle)


def _python() -> Iterable[str]:
    """Where this Python and its packages are; not this program's folder, which may hold its users' files too."""
    prefixes = [f"{prefix}/{part}" for prefix in (sys.prefix, sys.base_prefix) for part in ("bin", "lib", "lib64")]
    entries = {*prefixes, f"{sys.prefix}/pyvenv.cfg", *(entry for entry in sys.path if entry)}
    return [entry for entry in entries if not PROJECT.is_relative_to(Path(entry).resolve())]


def _landlock(libc: ctypes.CDLL) -> int:
    """The version of Landlock's interface, below 1 where there is none."""
    version: int = libc.syscall(LANDLOCK_CREATE, None, 0, 1)
    return version


def _known_rights(libc: ctypes.CDLL) -> int:
    """The rights this kernel knows: 1 has no moving between folders (and so denies it), 2 no truncating (seccomp then does)."""
    version = _landlock(libc)
    return ALL & ~((1 << 13) * (version < 2)) & ~((1 << 14) * (version < 3))


def _restrict_calls(libc: ctypes.CDLL, permissions: Permissions) -> None:
    """seccomp: a list of system calls fails with "not permitted"."""
    column, architecture = ARCHITECTURES[platform.machine()]
    # A program for the kernel's filter: (code, true, false, value). Loads are offsets in (call number, architecture, -, -, args).
    load, equal, any_bit, end = 0x20, 0x15, 0x45, 0x06
    program = [(load, 0, 0, 4), (equal, 1, 0, architecture), (end, 0, 0, FAIL | ENOSYS), (load, 0, 0, 0)]
    if column == 0:
        program += [(0x35, 0, 1, 0x40000000), (end, 0, 0, FAIL | ENOSYS)]  # the x32 calls have other numbers
    denied: list[int | None] = [numbers[column] for numbers in OTHERS.values()]
    if not permissions.subprocesses:
        denied += [numbers[column] for numbers in PROCESSES.values()]
    if _landlock(libc) < 3:
        denied.append(TRUNCATE[column])
    for number in denied:
        if number is not None:
            program += [(equal, 0, 1, number), (end, 0, 0, FAIL | EPERM)]
    if not permissions.subprocesses:
        program += [(equal, 0, 1, CLONE3[column]), (end, 0, 0, FAIL | ENOSYS)]
        program += [(equal, 0, 4, CLONE[column]), (load, 0, 0, 16), (any_bit, 1, 0, CLONE_THREAD), (end, 0, 0, FAIL | EPERM),
                    (end, 0, 0, ALLOW)]  # fmt: skip
    if permissions.network:  # but no sockets of this machine's: they lead to its services
        program += [(equal, 0, 4, SOCKET[column]), (load, 0, 0, 16), (equal, 0, 1, AF_UNIX), (end, 0, 0, FAIL | EPERM),
                    (end, 0, 0, ALLOW)]  # fmt: skip
    else:
        program += [(equal, 0, 1, SOCKET[column]), (end, 0, 0, FAIL | EPERM)]
    for number in (KILL[column], TGKILL[column]):
        program += [(equal, 0, 4, number), (load, 0, 0, 16), (equal, 1, 0, os.getpid()), (end, 0, 0, FAIL | EPERM),
                    (end, 0, 0, ALLOW)]  # fmt: skip
    if not permissions.subprocesses:  # of itself (0) alone; another process's limits would be a way to hurt it
        program += [(equal, 0, 5, PRLIMIT[column]), (load, 0, 0, 16), (equal, 2, 0, 0), (equal, 1, 0, os.getpid()),
                    (end, 0, 0, FAIL | EPERM), (end, 0, 0, ALLOW)]  # fmt: skip
    program.append((end, 0, 0, ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    filters = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    _must(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filters, 0, 0), "seccomp")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _must(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
