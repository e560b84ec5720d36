"""How a command ends: every error is a line that says what to do, and an exit code; nobody is shown a
traceback.

What was not foreseen ends with exit code 70, and its details go to a file without values
(``error_details``); ``--debug`` shows all of it on the terminal instead. Only this is imported before the
command is: a package that is missing is reported here too.
"""

import errno
import os
import select
import sys
import threading
import traceback
from collections.abc import Callable

from gateway.adapters.error_details import describe, place_of, save_details
from gateway.adapters.terminal import prepare, say
from gateway.errors import BrokerUnreachableError, GatewayError, InternalError

_INTERRUPTED = 130
_READER_GONE = 141
"""As a shell says of a process that SIGPIPE ended: 128 + 13."""
_NOT_WRITTEN = 74
"""sysexits' EX_IOERR."""
_DEBUG = "--debug"


def run_to_the_end(command: Callable[[], object]) -> int:
    """Run ``command``, which may end by SystemExit; report what it raises; return the process's exit
    code."""
    prepare()
    watch = _OutputWatch()
    if not _is_debugging():
        # What a thread raises, and what nobody can catch any more, would be printed with its traceback.
        threading.excepthook = lambda raised: _report_of_thread(raised.exc_value, watch)
        sys.unraisablehook = lambda _: None
    code = _ending_of(command, watch)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError as error:
        code = _output_failed(error, watch)
    watch.silence()
    return code


def _ending_of(command: Callable[[], object], watch: "_OutputWatch") -> int:
    try:
        command()
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        # Typer makes of any broken pipe, a socket's too, a silent exit code 1.
        if isinstance(end.__context__, BrokenPipeError):
            code = _output_failed(end.__context__, watch)
    except GatewayError as error:
        say(f"gateway: {error}", err=True, lines=True)
        code = error.exit_code
    except OSError as error:
        code = _output_failed(error, watch)
    except Exception as error:  # noqa: BLE001 — this is the one place for what was not foreseen
        code = _report(error)
    else:
        code = 0
    return code


def _output_failed(error: OSError, watch: "_OutputWatch") -> int:
    """End quietly where nobody reads any more, with a line where the disk is full; any other error was not
    foreseen."""
    if isinstance(error, BrokenPipeError) and watch.is_reader_gone():
        return _READER_GONE
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} and error.filename is None:
        say(f"gateway: the output cannot be written ({error.strerror}): make room, then run this again", err=True)
        return _NOT_WRITTEN
    return _report(error)


def _is_passing(error: BaseException) -> bool:
    """Tell whether a broker says that it cannot do now what was asked, as one does that is starting, or has
    just lost another."""
    errors = sys.modules.get("aiokafka.errors")
    return errors is not None and isinstance(error, errors.KafkaError) and error.retriable


def _report(error: BaseException) -> int:
    """Say on stderr what to do about an error that was not foreseen; return its exit code."""
    kind, place = type(error).__name__, place_of(error)
    if _is_passing(error) and not _is_debugging():
        say(f"gateway: Kafka cannot do this now ({kind} at {place}). Run this again in a moment.", err=True)
        return BrokerUnreachableError.exit_code
    if _is_debugging():
        traceback.print_exception(error)
        say(f"gateway: internal error: {kind} at {place}; what stands above may hold personal data", err=True)
        return InternalError.exit_code
    file = save_details(describe(error))
    details = f"{file} has the details, places and types and no values; send it to" if file else "report this line to"
    say(
        f"gateway: internal error: {kind} at {place}. Run this again; if it ends so again, {details} whoever maintains the "
        f"gateway. `gateway {_DEBUG} …` shows all of the error, values of events too.",
        err=True,
    )
    return InternalError.exit_code


def _report_of_thread(error: BaseException | None, watch: "_OutputWatch") -> None:
    if error is not None and not isinstance(error, SystemExit) and not watch.is_reader_gone():
        _report(error)


def _is_debugging() -> bool:
    return _DEBUG in sys.argv[1:]


def debug_first(arguments: list[str]) -> list[str]:
    """Put ``--debug`` before the command, to which it belongs, wherever it stands."""
    return [_DEBUG, *(each for each in arguments if each != _DEBUG)] if _DEBUG in arguments else arguments


class _OutputWatch:
    """Tells whether somebody still reads stdout and stderr, as they were when the command began."""

    def __init__(self) -> None:
        self._streams: dict[int, os.stat_result] = {}
        for descriptor in (1, 2):
            try:
                self._streams[descriptor] = os.fstat(descriptor)
            except OSError:
                continue

    def is_reader_gone(self) -> bool:
        """Tell whether the reader of one of them has ended: of a pipe, as `head` does, or of a socket."""
        return any(map(self._is_gone, self._streams))

    def _is_gone(self, descriptor: int) -> bool:
        poll = select.poll()
        poll.register(descriptor, 0)
        is_hung_up = any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
        # Rich puts /dev/null in the place of a broken pipe.
        return is_hung_up or not os.path.samestat(os.fstat(descriptor), self._streams[descriptor])

    def silence(self) -> None:
        """Let what is still to be flushed go nowhere where nobody reads it: Python would complain at its
        end."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in filter(self._is_gone, self._streams):
            os.dup2(nowhere, descriptor)
        os.close(nowhere)
