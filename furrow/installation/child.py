"""Wrapper of the processes that ``furrow up`` starts: they stop when ``furrow up`` ends, also after a crash.

``python -m furrow.installation.child MODULE [ARGUMENT…]`` runs a module like ``python -m MODULE`` and stops at the end of its
standard input, a pipe from ``furrow up``. The kernel closes that pipe even after ``kill -9``.
"""

import os
import runpy
import signal
import sys
import threading
import time

from core.private_files import restrict_new_files

_GRACE_SECONDS = 10.0


def stop_with_parent() -> None:
    """Wait in a thread for the end of standard input, then send SIGTERM to this process, and SIGKILL 10 s later."""

    def wait_for_parent_end() -> None:
        while os.read(pipe, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    # A copy, because the module may close or replace standard input.
    pipe = os.dup(sys.stdin.fileno())
    threading.Thread(target=wait_for_parent_end, name="furrow-parent-watch", daemon=True).start()


if __name__ == "__main__":
    restrict_new_files()
    stop_with_parent()
    module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
