"""Runs a command until it ends or whoever started this script is gone; run as a script, it imports nothing of the package.

The parent holds this script's standard input open: when the parent ends, however it ends, that reads as end of file, and
the command is killed. The command's process id is the first line on standard output.
"""

import subprocess
import sys
import threading


def main(command: list[str]) -> int:
    """Run ``command`` under guard; returns its exit code."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    print(child.pid, flush=True)

    def watch() -> None:
        sys.stdin.buffer.read()
        child.kill()

    threading.Thread(target=watch, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
