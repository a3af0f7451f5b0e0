"""Scripts run as the processes of one training run, as torchrun would start them."""

import os
import socket
import subprocess
import sys

# gloo's threads sometimes end a process by std::terminate while the interpreter shuts down; wait for `files` of all
# processes, which is what the test reads, and leave before that.
LEAVE = """
import os
import time
def leave(folder, files, processes):
    deadline = time.monotonic() + 60
    while len(list(folder.glob(files))) < processes and time.monotonic() < deadline:
        time.sleep(0.01)
    os._exit(0)
"""


def run_processes(script: str, processes: int, *arguments: str) -> None:
    """Run `script` in so many processes that find each other; its arguments are their number and `arguments`.

    It may call `leave(folder, pattern of the files it wrote, processes)` at its end.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    paths = [path for path in sys.path if path]
    common = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
              "WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}  # fmt: skip
    if processes > 1:
        common["TORCHELASTIC_RUN_ID"] = "test"  # by which lightning-fabric knows torchrun
    command = [sys.executable, "-c", LEAVE + script, str(processes), *arguments]
    started = [
        subprocess.Popen(command, env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0"})
        for rank in range(processes)
    ]
    assert [process.wait(timeout=300) for process in started] == [0] * processes
