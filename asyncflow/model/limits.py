"""Every default limit of asyncflow in one record, so that no number hides in the code that holds it.

It carries numbers and nothing else: whoever enforces a limit raises `LimitExceeded` with the field's name.
Read `model/documents.py` and `model/validation.py` next, which hold the limits on what comes in.
"""

from __future__ import annotations

from dataclasses import dataclass

_KIB = 1024
_MIB = 1024 * _KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """What asyncflow takes at most; each field is a named limit, exact at its value and refused one past it.

    Attributes:
        request_bytes: size of one request body, in bytes as received.
        definition_bytes: size of one definition, in bytes of its text, and of its canonical form.
        definition_tasks: tasks in one definition, over the whole tree and its inline sub-workflows.
        definition_nesting: levels of tasks within tasks, the outermost list being level 1.
        definition_depth: levels of JSON within a document that holds a definition.
        document_depth: levels of JSON within any other document.
        fork_width: branches of one fork, written down or made at run time.
        loop_iterations: iterations of one loop.
        payload_bytes: size of one task's input or output, in bytes of JSON.
        stored_payload_bytes: size of one value in the payload folder, and of all stored values that
            one task is handed, in bytes of JSON.
        payload_depth: levels of JSON in what expressions build; a journal record can hold 249.
        text_characters: one id, reason or the like that comes with a command.
        variables_bytes: size of an execution's variables, in bytes of JSON.
        history_events: events of one execution; a warning is given at a tenth.
        integer_digits: decimal digits of one integer in a document.
        reported_violations: violations listed for one definition; the rest are counted.
        script_seconds: wall time of one script, in seconds.
        script_memory_bytes: memory of one script, in bytes.
        script_output_bytes: size of one script's result, in bytes of JSON.
    """

    request_bytes: int = 8 * _MIB
    definition_bytes: int = 4 * _MIB
    definition_tasks: int = 10_000
    definition_nesting: int = 20
    definition_depth: int = 256
    document_depth: int = 64
    fork_width: int = 100_000
    loop_iterations: int = 100_000
    payload_bytes: int = 2 * _MIB
    stored_payload_bytes: int = 256 * _MIB
    payload_depth: int = 128
    text_characters: int = 4_096
    variables_bytes: int = 256 * _KIB
    history_events: int = 1_000_000
    integer_digits: int = 4_300
    reported_violations: int = 100
    script_seconds: float = 4.0
    script_memory_bytes: int = 64 * _MIB
    script_output_bytes: int = _MIB


DEFAULT_LIMITS = Limits()
"""The limits that hold unless the configuration says otherwise."""
