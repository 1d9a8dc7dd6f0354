"""The child process that runs scripts one after the other, started by its file name.

It must not import asyncflow: the stub packages below let it load its three siblings alone, so
that it is ready in a few hundredths of a second. It ends by itself when the engine goes away
(end of its input) and, in the midst of a script that never ends, by the alarm. `processes` is
the other end of the line.

Frames, both ways, are a header and its parts. Engine to child: language (0 JavaScript, 1 jq),
length of source, length of input. Child to engine: kind of outcome, length of text; the first
one says that the child is ready.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
import types

REQUEST = struct.Struct("!BII")
ANSWER = struct.Struct("!BI")
JAVASCRIPT, JQ = 0, 1

_PACKAGES = ("asyncflow", "asyncflow.runtime", "asyncflow.runtime.scripts")
_ALARM_GRACE_SECONDS = 1.0
_OUT_OF_MEMORY = 77


def main() -> None:
    """Serve until the input ends. Arguments: seconds, bytes of memory, of output, then sys.path."""
    wall, memory, output = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    sys.path[:] = sys.argv[4:]
    os.environ.clear()  # jq shows the environment to its programs
    _stub_packages()
    # not before the stubs: the real packages would bring the whole engine in
    from asyncflow.runtime.scripts import javascript, jq  # noqa: PLC0415
    from asyncflow.runtime.scripts.outcome import KINDS, MEMORY, Limits  # noqa: PLC0415

    for library in ("_quickjs", "jq"):
        _preload(library)
    _confine(memory)
    limits = Limits(wall, memory, output)
    evaluate = {JAVASCRIPT: javascript.evaluate_javascript, JQ: jq.evaluate_jq}
    _write(ANSWER.pack(0, 0))
    while (header := _read(REQUEST.size)) is not None:
        language, source_size, input_size = REQUEST.unpack(header)
        body = _read(source_size + input_size)
        if body is None:
            return
        _alarm(wall + _ALARM_GRACE_SECONDS)
        try:
            outcome = evaluate[language](body[:source_size].decode(), body[source_size:].decode(), limits)
        except MemoryError:
            _write(ANSWER.pack(KINDS.index(MEMORY), 0))
            os._exit(_OUT_OF_MEMORY)
        _alarm(0)
        text = outcome.text.encode("utf-8", "replace")
        _write(ANSWER.pack(KINDS.index(outcome.kind), len(text)) + text)


def _stub_packages() -> None:
    """Make the siblings importable under their names without running any package's code."""
    for name in _PACKAGES:
        module = types.ModuleType(name)
        module.__path__ = []
        sys.modules[name] = module
    sys.modules[_PACKAGES[-1]].__path__ = [__file__.rpartition(os.sep)[0]]


def _preload(library: str) -> None:
    """Import it while files can still be opened; a missing one fails the scripts that need it."""
    try:
        __import__(library)
    except ImportError:
        return


def _confine(memory: int) -> None:
    """No new file or socket, no core file, and not much more memory than the script may have."""
    try:
        import resource  # noqa: PLC0415  # absent on some systems
    except ImportError:  # a system without resource limits: the parent's kill timer is left
        return
    size = _address_space()  # read before no file can be opened
    for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(which, (0, 0))
    if size:
        resource.setrlimit(resource.RLIMIT_AS, (size + 2 * memory, size + 2 * memory))


def _address_space() -> int:
    """Bytes of address space in use, 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123  # pathlib costs 10 ms
            return int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _alarm(seconds: float) -> None:
    """Let the kernel end this process after the time; no Python code has to run for that."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _read(size: int) -> bytes | None:
    """Exactly so many bytes of input, or None at its end."""
    parts = []
    while size:
        part = os.read(0, size)
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(0, view) :]


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, ConnectionResetError):  # the engine has gone: nobody to tell
        sys.exit(0)
