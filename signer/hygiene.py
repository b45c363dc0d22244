"""What a process that holds keys does about itself, on Linux.

Not dumpable: no core file, and no reading of its memory by other processes of the same user
(prctl(2), PR_SET_DUMPABLE). Root on the machine is beyond what a process can do anything about.
"""

import ctypes
import os
import resource

_PR_SET_DUMPABLE = 4


def harden() -> None:
    """No core dumps, no ptrace by the same user, no file readable by others. OSError if refused."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the process can't be made undumpable")
