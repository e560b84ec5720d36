"""Runs a command until it ends or whoever started this script is gone; run as a script, it imports nothing
of the package.

    guard.py FOLDER COMMAND…

The parent holds this script's standard input open: when the parent ends, however it ends, that reads as end
of file, the command is killed, and FOLDER (unless it is empty) is removed. The command's process id is the
first line on standard output.
"""

import shutil
import signal
import subprocess
import sys
import threading


def main(folder: str, command: list[str]) -> int:
    """Run ``command`` under guard; returns its exit code."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    print(child.pid, flush=True)
    orphaned = threading.Event()

    def watch() -> None:
        sys.stdin.buffer.read()
        orphaned.set()
        child.kill()

    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    if orphaned.is_set() and folder:
        shutil.rmtree(folder, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
