"""Where the author's plain functions run: threads for `def`, processes where a task asks for one.

It only gathers the names; an `async def` needs none of them. Read `thread_executor` and
`process_executor` for what each promises when a call hangs, is broken off or dies.
"""

from __future__ import annotations

from asyncflow.runtime.process_executor import ProcessExecutor, ProcessStatistics
from asyncflow.runtime.thread_executor import HungCall, ThreadExecutor, ThreadStatistics

__all__ = ["HungCall", "ProcessExecutor", "ProcessStatistics", "ThreadExecutor", "ThreadStatistics"]
