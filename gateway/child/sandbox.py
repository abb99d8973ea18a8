"""What a process gives up before it touches a stranger's sample; Linux, by the kernel itself, never to be had back.

Two filters of system calls (seccomp, BPF), one above the other. The first is put on before an extractor is even loaded: no
network, no other program, nobody else's memory, no signal to anybody, no file opened for writing, and none made, renamed,
removed, cut or given other rights; search processes have this one alone. The second is put on by the process of one picture, after it has closed all files but
the pipe of its answer, and before it decodes: it can calculate, write that pipe, and end. It can open no file at all, so
it finds no key, no passphrase and no database. A call of another architecture's table ends the process.

Where the kernel refuses, SandboxUnavailable is raised, and no picture is decoded and no search process answers: there is no
way to go on without.
Sources: seccomp(2), prctl(2), and the kernel's tables of system calls for x86_64 and aarch64.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# prctl(2)
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
SECCOMP_MODE_FILTER = 2
OPEN_FILES = 64  # pipes, and the libraries while they are loaded
GRANT, REFUSE, KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
PROT_EXEC = 0x4
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

# Classic BPF: load a word of seccomp_data, jump where equal, at least, or where a bit is set; return.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in seccomp_data
_instruction = struct.Struct("=HBBI")
X32 = 0x40000000  # numbers of the x32 table, which the same processor understands


class SandboxUnavailable(RuntimeError):
    """The kernel, or the machine, cannot shut a process in; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class _Machine:
    architecture: int  # AUDIT_ARCH_…
    numbers: Mapping[str, int]


NETWORK = [
    "socket",
    "socketpair",
    "bind",
    "listen",
    "accept",
    "accept4",
    "connect",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
]  # io_uring does what sockets do, past a filter
OTHERS = [
    "execve",
    "execveat",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_open",
    "pidfd_getfd",
    "pidfd_send_signal",
    "kill",
    "tkill",
    "tgkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
]
FILES = [
    "creat", "truncate", "ftruncate", "fallocate", "rename", "renameat", "renameat2", "link", "linkat", "symlink",
    "symlinkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "mknod", "mknodat", "chmod", "fchmod", "fchmodat",
    "fchmodat2", "chown", "lchown", "fchown", "fchownat", "setxattr", "lsetxattr", "fsetxattr", "removexattr",
    "lremovexattr", "fremovexattr", "utime", "utimes", "futimesat", "utimensat",
]  # fmt: skip
KERNEL = [
    "bpf",
    "perf_event_open",
    "add_key",
    "request_key",
    "keyctl",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "setns",
    "unshare",
    "kexec_load",
    "init_module",
    "finit_module",
    "delete_module",
    "userfaultfd",
    "open_by_handle_at",
    "openat2",
]
CALCULATE = [
    "write",
    "close",
    "fstat",
    "lseek",
    "munmap",
    "mremap",
    "brk",
    "madvise",
    "futex",
    "clock_gettime",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "sched_yield",
    "sched_getaffinity",
    "getrandom",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "getpid",
    "gettid",
    "getrusage",
    "times",
    "restart_syscall",
    "exit",
    "exit_group",
]

_X86_64 = {
    "read": 0, "write": 1, "open": 2, "close": 3, "fstat": 5, "lseek": 8, "mmap": 9, "mprotect": 10,
    "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "sched_yield": 24,
    "mremap": 25, "madvise": 28, "nanosleep": 35, "getpid": 39, "socket": 41, "connect": 42, "accept": 43,
    "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47, "bind": 49, "listen": 50, "socketpair": 53,
    "execve": 59, "exit": 60, "kill": 62, "creat": 85, "gettimeofday": 96, "getrusage": 98, "times": 100,
    "ptrace": 101, "sigaltstack": 131, "pivot_root": 155, "chroot": 161, "mount": 165, "umount2": 166,
    "init_module": 175, "delete_module": 176, "gettid": 186, "tkill": 200, "futex": 202,
    "sched_getaffinity": 204, "restart_syscall": 219, "clock_gettime": 228, "clock_nanosleep": 230,
    "exit_group": 231, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "openat": 257,
    "unshare": 272, "accept4": 288, "perf_event_open": 298, "recvmmsg": 299, "open_by_handle_at": 304,
    "sendmmsg": 307, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "finit_module": 313,
    "getrandom": 318, "bpf": 321, "execveat": 322, "userfaultfd": 323, "pidfd_send_signal": 424,
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "pidfd_open": 434, "openat2": 437,
    "truncate": 76, "ftruncate": 77, "rename": 82, "mkdir": 83, "rmdir": 84, "link": 86, "unlink": 87, "symlink": 88,
    "chmod": 90, "fchmod": 91, "chown": 92, "fchown": 93, "lchown": 94, "rt_sigqueueinfo": 129, "utime": 132,
    "mknod": 133, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197, "lremovexattr": 198,
    "fremovexattr": 199, "tgkill": 234, "utimes": 235, "mkdirat": 258, "mknodat": 259, "fchownat": 260,
    "futimesat": 261, "unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266, "fchmodat": 268,
    "utimensat": 280, "fallocate": 285, "rt_tgsigqueueinfo": 297, "renameat2": 316, "fchmodat2": 452,
    "pidfd_getfd": 438,
}  # fmt: skip
_AARCH64 = {
    "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "openat": 56, "close": 57, "lseek": 62,
    "read": 63, "write": 64, "fstat": 80, "exit": 93, "exit_group": 94, "unshare": 97, "futex": 98,
    "nanosleep": 101, "kexec_load": 104, "init_module": 105, "delete_module": 106, "clock_gettime": 113,
    "clock_nanosleep": 115, "ptrace": 117, "sched_getaffinity": 123, "sched_yield": 124, "restart_syscall": 128,
    "kill": 129, "tkill": 130, "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135,
    "rt_sigreturn": 139, "times": 153, "getrusage": 165, "gettimeofday": 169, "getpid": 172, "gettid": 178,
    "socket": 198, "socketpair": 199, "bind": 200, "listen": 201, "accept": 202, "connect": 203, "sendto": 206,
    "recvfrom": 207, "sendmsg": 211, "recvmsg": 212, "brk": 214, "munmap": 215, "mremap": 216, "add_key": 217,
    "request_key": 218, "keyctl": 219, "execve": 221, "mmap": 222, "mprotect": 226, "madvise": 233,
    "perf_event_open": 241, "accept4": 242, "recvmmsg": 243, "open_by_handle_at": 265, "setns": 268,
    "sendmmsg": 269, "process_vm_readv": 270, "process_vm_writev": 271, "finit_module": 273, "getrandom": 278,
    "bpf": 280, "execveat": 281, "userfaultfd": 282, "pidfd_send_signal": 424, "io_uring_setup": 425,
    "io_uring_enter": 426, "io_uring_register": 427, "pidfd_open": 434, "openat2": 437, "pidfd_getfd": 438,
    "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15, "fremovexattr": 16,
    "mknodat": 33, "mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat": 37, "renameat": 38, "truncate": 45,
    "ftruncate": 46, "fallocate": 47, "fchmod": 52, "fchmodat": 53, "fchownat": 54, "fchown": 55, "utimensat": 88,
    "tgkill": 131, "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240, "renameat2": 276, "fchmodat2": 452,
}  # fmt: skip
MACHINES = {
    "x86_64": _Machine(0xC000003E, _X86_64),
    "aarch64": _Machine(0xC00000B7, _AARCH64),
}


def bind_to_parent(parent: int) -> None:
    """Have the kernel end this process with the one that started it, and keep its memory from dumps and debuggers."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)
    _prctl(PR_SET_DUMPABLE, 0)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def limit(memory: int, seconds: int | None = None) -> None:
    """Bound bytes of address space and, where stated, seconds of processor time; no core file, no byte to any file.

    At the end of its time a process gets SIGXCPU, which says what ended it, and a second later it is killed.
    """
    bounds = [
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
    ]
    if seconds is not None:
        bounds.append((resource.RLIMIT_CPU, seconds, seconds + 1))
    for which, soft, hard in bounds:
        resource.setrlimit(which, (soft, hard))


def close_all_but(kept: int | None) -> None:
    """Close every file of this process but one: what is open is shared with its parent and with the processes of other pictures."""
    between = OPEN_FILES if kept is None else kept
    os.closerange(0, between)
    os.closerange(between + 1, OPEN_FILES)


def refuse_the_world() -> None:
    """Put on the first filter: no network, no other program or process, nothing of the kernel's, no change of any file."""
    machine = _machine()
    program = [*_refused(machine, (*NETWORK, *OTHERS, *KERNEL, *FILES))]
    for name, argument in (("open", 1), ("openat", 2)):
        if name in machine.numbers:
            program += _where(machine.numbers[name], argument, WRITING)
    _install(machine, [*program, (_RETURN, 0, 0, GRANT)])


def refuse_all_but_calculation() -> None:
    """Put on the second filter: calculate, write what is open, and end; no file is opened and no code is made any more."""
    machine, program = _machine(), []
    for name in ("mmap", "mprotect"):
        program += _where(machine.numbers[name], 2, PROT_EXEC, GRANT)
    for name in CALCULATE:
        program += [(_EQUAL, 0, 1, machine.numbers[name]), (_RETURN, 0, 0, GRANT)]
    _install(machine, [*program, (_RETURN, 0, 0, REFUSE)])


Instruction = tuple[int, int, int, int]


def _refused(machine: _Machine, names: Iterable[str]) -> Iterable[Instruction]:
    for name in names:
        if name in machine.numbers:  # some calls are of one table only
            yield (_EQUAL, 0, 1, machine.numbers[name])
            yield (_RETURN, 0, 0, REFUSE)


def _where(
    number: int, argument: int, bits: int, otherwise: int | None = None
) -> list[Instruction]:
    """Return what refuses a call where one of the bits is set in its argument; else what follows, or `otherwise`."""
    inner: list[Instruction] = [
        (_LOAD, 0, 0, _ARGUMENTS + 8 * argument),
        (_ANY_BIT, 0, 1, bits),
        (_RETURN, 0, 0, REFUSE),
    ]
    inner.append((_LOAD, 0, 0, _NUMBER) if otherwise is None else (_RETURN, 0, 0, otherwise))
    return [(_EQUAL, 0, len(inner), number), *inner]


def known_here() -> bool:
    """Return whether processes can be shut in on such a machine, if its kernel has seccomp."""
    return platform.system() == "Linux" and platform.machine() in MACHINES


def _machine() -> _Machine:
    if not known_here():
        raise SandboxUnavailable("processes are shut in on Linux on x86_64 or aarch64 only")
    return MACHINES[platform.machine()]


def _install(machine: _Machine, body: Sequence[Instruction]) -> None:
    head: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, machine.architecture),
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, X32),
        (_RETURN, 0, 0, KILL),
    ]
    program = [*head, *body]
    octets = b"".join(_instruction.pack(*each) for each in program)
    kept = ctypes.create_string_buffer(octets, len(octets))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(kept)))
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(header))


def _prctl(option: int, *values: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    longs = [ctypes.c_ulong(each) for each in (*values, 0, 0, 0, 0)[:4]]
    if libc.prctl(ctypes.c_int(option), *longs) != 0:
        why = os.strerror(ctypes.get_errno())
        raise SandboxUnavailable(
            f"the kernel refuses to shut a process in ({why}); seccomp is needed"
        )
