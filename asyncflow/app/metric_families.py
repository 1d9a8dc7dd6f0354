"""Every family of series that `/metrics` shows: the names are a promise, listed in docs/metrics.md.

A name never changes its meaning; what is no longer measured goes with a note in the changelog. Values are
gathered in `meters`; authors' own metrics are in `author_metrics`.
"""

from __future__ import annotations

from asyncflow.app.exposition import Family

_TASK = ("task_type",)

FAMILIES: tuple[Family, ...] = (
    # --- the process
    Family(
        "asyncflow_build_info", "gauge", "Always 1; the labels tell what.", ("version", "python", "sqlite")
    ),
    Family("process_cpu_seconds_total", "counter", "User and system time of the process."),
    Family("process_resident_memory_bytes", "gauge", "Memory of the process that is not swapped out."),
    Family("process_open_fds", "gauge", "Open files and sockets."),
    Family("process_start_time_seconds", "gauge", "When the process began, seconds since 1970."),
    # --- the loop and the turns
    Family("asyncflow_loop_lag_seconds", "histogram", "How late the event loop was, twice a second."),
    Family("asyncflow_loop_stalls_total", "counter", "How often the event loop was held for over a second."),
    Family("asyncflow_faults_total", "counter", "How often a part of the engine ended by itself.", ("part",)),
    Family("asyncflow_turns_total", "counter", "Turns made durable since the start."),
    Family("asyncflow_turn_seconds", "histogram", "From the first input of a turn until it was durable."),
    Family("asyncflow_turn_inputs", "histogram", "Inputs decided in a turn."),
    Family("asyncflow_turn_events", "histogram", "Events recorded in a turn."),
    Family("asyncflow_turn_bytes", "histogram", "Bytes of the payloads that came in with a turn."),
    Family("asyncflow_inbox_inputs", "gauge", "Inputs that have arrived and are not decided."),
    # --- the store
    Family("asyncflow_commit_seconds", "histogram", "How long a commit took, waits for room included."),
    Family("asyncflow_store_bytes", "gauge", "Sizes of the database and its write-ahead log.", ("file",)),
    Family("asyncflow_store_trouble", "gauge", "1 while nothing can be committed."),
    Family("asyncflow_views_lag_turns", "gauge", "How many turns lists and searches are behind."),
    Family("asyncflow_journal_turns", "gauge", "The number of the newest turn."),
    # --- executions
    Family(
        "asyncflow_executions_started_total", "counter", "Executions started.", ("workflow", "version")
    ),
    Family(
        "asyncflow_executions_ended_total",
        "counter",
        "Executions that ended, each time they did.",
        ("workflow", "version", "status"),
    ),
    Family("asyncflow_executions_in_flight", "gauge", "Executions that have not ended."),
    Family("asyncflow_executions_in_memory", "gauge", "Executions in memory, those that just ended too."),
    Family("asyncflow_executions_quarantined", "gauge", "Executions set aside because they cannot be read."),
    # --- tasks
    Family("asyncflow_attempts_started_total", "counter", "Attempts that began, here or at a worker.", _TASK),
    Family("asyncflow_tasks_ended_total", "counter", "Attempts and operators ended.", (*_TASK, "status")),
    Family("asyncflow_attempts_retried_total", "counter", "Attempts that ended and are tried again.", _TASK),
    Family("asyncflow_attempt_seconds", "histogram", "From the beginning of an attempt to its end.", _TASK),
    Family("asyncflow_queue_wait_seconds", "histogram", "From when a task was ready until it began.", _TASK),
    Family("asyncflow_attempts_under_way", "gauge", "Attempts and scripts at work in this process."),
    Family("asyncflow_thread_calls", "gauge", "Calls in threads: busy, waiting, hung.", ("state",)),
    Family("asyncflow_thread_calls_given_up_total", "counter", "Calls in threads that nobody waits for."),
    Family("asyncflow_attempts_admitted", "gauge", "Attempts admitted that have not begun."),
    Family("asyncflow_tasks_without_function", "gauge", "Tasks that wait for functions that are not loaded."),
    Family("asyncflow_script_seconds", "histogram", "How long scripts took, waits for room included."),
    Family("asyncflow_task_bytes_total", "counter", "Bytes of inputs and outputs.", (*_TASK, "direction")),
    Family("asyncflow_task_io_bytes_total", "counter", "Bytes told by ctx.record_io.", (*_TASK, "direction")),
    Family("asyncflow_task_io_rows_total", "counter", "Rows told by ctx.record_io.", (*_TASK, "direction")),
    Family("asyncflow_task_io_unusual_total", "counter", "Data volumes beyond the usual.", ("workflow",)),
    # --- resources
    Family("asyncflow_resource_in_use", "gauge", "Weight in use.", ("resource",)),
    Family("asyncflow_resource_limit", "gauge", "Weight that may be in use; left out if any.", ("resource",)),
    Family("asyncflow_resource_holders", "gauge", "Attempts that hold some of it.", ("resource",)),
    Family("asyncflow_resource_waiting", "gauge", "Attempts that wait for it.", ("resource",)),
    Family("asyncflow_resource_is_open", "gauge", "1 while tasks may begin there.", ("resource",)),
    Family("asyncflow_resource_instances", "gauge", "Instances, by phase.", ("resource", "phase")),
    Family("asyncflow_resource_events_total", "counter", "What became of it.", ("resource", "event")),
    Family("asyncflow_resource_calls_total", "counter", "Calls about instances.", ("resource", "call")),
    Family(
        "asyncflow_resource_call_failures_total", "counter", "Those that failed.", ("resource", "failure")
    ),
    # --- jobs
    Family("asyncflow_jobs", "gauge", "Open jobs, by phase.", ("resource", "phase")),
    Family("asyncflow_job_calls_total", "counter", "Calls to a service.", ("resource", "call")),
    Family("asyncflow_job_polls_total", "counter", "Jobs asked for in polls.", ("resource",)),
    Family("asyncflow_job_findings_total", "counter", "Findings about jobs.", ("resource", "finding")),
    Family("asyncflow_job_calls_held", "gauge", "1 while no call is made.", ("resource", "by")),
    Family("asyncflow_job_poll_lag_seconds", "histogram", "How late polls are.", ("resource",)),
    # --- listeners
    Family("asyncflow_listener_lag_turns", "gauge", "How many turns a listener is behind.", ("listener",)),
    Family("asyncflow_listener_events_total", "counter", "What became of events.", ("listener", "outcome")),
    # --- workers elsewhere
    Family("asyncflow_queue_tasks", "gauge", "Tasks that wait for a worker.", ("queue",)),
    Family("asyncflow_queue_polls", "gauge", "Polls that are held.", ("queue",)),
    Family("asyncflow_queue_poll_age_seconds", "gauge", "Since the last poll of the queue.", ("queue",)),
    Family("asyncflow_leases", "gauge", "Tasks that workers have."),
    Family("asyncflow_workers", "gauge", "Workers that were seen since the start.", ("state",)),
    Family("asyncflow_workers_lost_total", "counter", "How often a worker was lost."),
    # --- REST
    Family(
        "asyncflow_http_requests_total", "counter", "Requests answered.", ("method", "route", "status")
    ),
    Family(
        "asyncflow_http_request_seconds",
        "histogram",
        "From the headers of a request to its answer; long polls and streams are left out.",
        ("method", "route"),
    ),
    Family("asyncflow_http_at_work", "gauge", "Requests being answered."),
    Family("asyncflow_http_held", "gauge", "Long polls and streams."),
    Family("asyncflow_http_connections", "gauge", "Open connections."),
    Family("asyncflow_http_connections_refused_total", "counter", "Connections beyond the bound."),
    Family("asyncflow_http_connections_cut_total", "counter", "Connections cut because they were too slow."),
    Family("asyncflow_event_streams", "gauge", "Streams of server-sent events."),
    Family("asyncflow_event_streams_cut_total", "counter", "Streams ended because they were too far behind."),
    # --- the rest
    Family("asyncflow_documents", "gauge", "Schedules, event handlers and the like.", ("kind",)),
    Family("asyncflow_author_metrics_dropped_total", "counter", "Values of ctx.metric beyond the bounds."),
)  # fmt: skip
