"""The ``gateway`` command, also as ``python -m gateway``."""

import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command line; exit with its code."""
    try:
        from gateway.cli.ending import run_to_the_end  # noqa: PLC0415

        code = run_to_the_end(_run)
    except KeyboardInterrupt:
        # Most of the start is imports: whoever presses Ctrl-C meanwhile wants the prompt back and no
        # traceback.
        code = _INTERRUPTED
    sys.exit(code)


def _run() -> None:
    from gateway.cli.main import main as run  # noqa: PLC0415 — what cannot be imported is reported as any error

    run()


if __name__ == "__main__":
    main()
