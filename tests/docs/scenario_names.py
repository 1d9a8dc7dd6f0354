"""What the numbered scenarios of reliability ask, in few words, and which of them cannot be shown here.

The numbers are those of the reference that the project was given. Which test shows which is said by the tests
themselves; `scenario_table` puts both together.
"""

from __future__ import annotations

from collections.abc import Mapping

GROUPS: Mapping[str, Mapping[str, str]] = {
    "Stopping": {
        "R1": "SIGTERM with thousands of jobs handed in",
        "R2": "SIGTERM while a job is handed in and the answer is yet to come",
        "R3": "the same, and the answer never comes",
        "R4": "a second SIGTERM while it drains",
        "R5": "a third signal; a loop that is held by foreign code while it drains",
        "R6": "SIGINT is SIGTERM, SIGHUP ends nothing",
        "R7": "SIGTERM while it starts",
        "R8": "SIGTERM while a function runs that ends in time, and one that does not",
        "R9": "SIGTERM with clients on streams",
        "R10": "SIGTERM while the disk is full",
        "R11": "what a user paused is paused after a restart, and nothing else",
        "R12": "stop of the last of three engines",
        "R13": "a new process starts while the old one drains",
        "R14": "SIGTERM while a job is being cancelled",
        "R15": "a start request at the moment of SIGTERM",
    },
    "Killed at each point of a task's life": {
        "R16": "a start was received and not committed",
        "R17": "a start was committed and not answered",
        "R18": "the first task is scheduled",
        "R19": "the intent is committed and nothing sent",
        "R20": "the request is half written",
        "R21": "the service made the job and its answer is lost",
        "R22": "the answer was read and not recorded",
        "R23": "the handle is recorded and nothing polled",
        "R24": "while polling",
        "R25": "the job ended while no engine ran",
        "R26": "the job ended and was forgotten by its service meanwhile",
        "R27": "an end was seen and not stored",
        "R28": "during the commit of an end and what follows it",
        "R29": "an execution ended and nobody was told",
        "R30": "around the call that cancels",
        "R31": "the last branches of a fork end at one instant",
        "R32": "between the last iterations of 5,000",
        "R33": "a child was started and its parent not told",
        "R34": "a timer came due while no engine ran",
        "R35": "a signal was received, answered or not",
        "R36": "during the delay before a retry",
        "R37": "while ended executions are deleted",
        "R38": "at each statement of each migration",
        "R39": "at each statement of a first start",
        "R40": "an execution that kills process after process",
        "R41": "random kills, 200 of them in each run of the tests",
    },
    "Exclusive resources": {
        "R53": "whoever gives an idle cluster back against whoever hands in, in thousands of orders",
        "R54": "killed while an instance drains",
        "R55": "killed behind the intent of a job on an instance",
        "R56": "a cluster dies by itself",
        "R57": "somebody else's work appears before an instance is destroyed",
        "R58": "fifty executions want the shared cluster at once",
        "R59": "the holder of an exclusive resource stalls past its time",
    },
    "Clocks": {
        "R60": "the wall clock is set back, while it runs and across a restart",
        "R61": "the wall clock is set forward",
        "R62": "the machine sleeps",
        "R63": "hours that do not exist, and those that come twice",
    },
    "Storage": {
        "R64": "the disk is full",
        "R65": "the disk is full when a handle is to be recorded",
        "R66": "a write or an fsync fails",
        "R67": "another process holds a write lock",
        "R68": "the last record is torn",
        "R69": "a bit is flipped",
        "R70": "an older backup is restored while jobs went on",
        "R71": "the folder is removed or takes no writes",
        "R72": "the schema is newer than the engine",
        "R73": "a file of 10 GB",
        "R74": "a power cut",
    },
    "Services": {
        "R75": "every poll is throttled for half an hour",
        "R76": "a submit fails although the job was made",
        "R77": "a listing that is stale, in pages, and breaks off",
        "R78": "credentials expire for an hour",
        "R79": "answers that are garbage, endless or slow",
        "R80": "unknown words, states that go backward, ends that change",
        "R81": "one handle for two jobs",
        "R82": "a job vanishes",
        "R83": "a service that hangs",
        "R84": "a cancel is refused or ignored",
        "R85": "an SDK that repeats requests by itself",
        "R86": "a callback never, twice, or before the answer",
        "R87": "a mail server drops the connection behind the last dot",
    },
    "Definitions and payloads": {
        "R88": "bad definitions, written and fuzzed",
        "R89": "definitions at their limits and past them",
        "R90": "loops and recursion without end",
        "R91": "an output past its limit",
        "R92": "a fork past its limit",
        "R93": "scripts and expressions that are bombs",
        "R94": "a definition is changed while it runs",
        "R95": "texts of every kind",
        "R96": "a history past its limit",
    },
    "Bad clients": {
        "R97": "a thousand slow connections",
        "R98": "bodies without end",
        "R99": "compressed bombs",
        "R100": "JSON that is hostile",
        "R101": "clients that go in the middle of a request",
        "R102": "a client of a stream that does not read",
        "R103": "more starts than can be done",
        "R104": "the same idempotency key again",
    },
}

NOT_HERE: Mapping[str, str] = {
    "R12": "There is one engine on a file; several engines on one database are not built.",
    "R73": "Nobody waits for 10 GB and 10,000,000 tasks in a test. `bench` measures smaller files.",
}
"""Why no test shows a scenario; where one does, it counts."""

SMALLER: Mapping[str, str] = {
    "R1": "the suite with fewer; `python -m tests.crash.stop_load` with 5,000 executions and 10,000 jobs",
    "R41": "`python -m tests.crash.kill_loop --kills 2000` for more",
    "R53": "10,000 in the suite in virtual time",
    "R75": "400 jobs in virtual time",
    "R78": "five minutes in virtual time",
    "R103": "what one test machine can send",
}
"""Where a test shows less than the reference asks, or a command shows more."""
