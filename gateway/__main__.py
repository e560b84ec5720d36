"""The ``gateway`` command, also as ``python -m gateway``."""

import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command line."""
    try:
        # Most of the start is this import: whoever presses Ctrl-C meanwhile wants the prompt back and no traceback.
        from gateway.cli.main import main as run  # noqa: PLC0415
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    run()


if __name__ == "__main__":
    main()
