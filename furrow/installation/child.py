"""What the processes that ``furrow up`` starts have in common: they end with it, however it ends.

``python -m furrow.installation.child MODULE [ARGUMENT…]`` runs a module like ``python -m MODULE`` does, and stops when its
standard input ends. The supervisor holds the other end of that pipe; the kernel closes it even after a ``kill -9``.
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
    """Watch standard input; at its end ask this process to stop (SIGTERM), and kill it if it does not."""

    def wait_for_parent_end() -> None:
        while os.read(pipe, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    # A copy: what runs here may close or replace standard input.
    pipe = os.dup(sys.stdin.fileno())
    threading.Thread(target=wait_for_parent_end, name="furrow-parent-watch", daemon=True).start()


if __name__ == "__main__":
    restrict_new_files()
    stop_with_parent()
    module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
