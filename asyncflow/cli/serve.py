"""`asyncflow serve`: an engine with its REST surface, from the first signal of readiness to a clean stop.

Options and configuration become settings here; the order of opening and of stopping is here too.
Requests are answered in `http`, attempts performed in the engine.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import click

from asyncflow.app.config import Config
from asyncflow.app.config_sources import Configured, configure
from asyncflow.app.local import register_all
from asyncflow.app.log_lines import Format
from asyncflow.app.logging_setup import LogOutlet, LogSettings
from asyncflow.app.process import raise_open_files
from asyncflow.app.services import Services, open_services
from asyncflow.app.systemd import Systemd
from asyncflow.cli.exits import DONE, FORCED
from asyncflow.cli.journal import journal_option
from asyncflow.cli.last_resort import SLOW_S
from asyncflow.cli.loading import Bundle, read_bundle
from asyncflow.cli.loop import Stop, in_loop, with_signals
from asyncflow.cli.paths import FilePath, lock_wait_option
from asyncflow.cli.payloads import payloads_option
from asyncflow.errors import ConfigurationError
from asyncflow.http.server import HttpLimits, HttpServer, HttpSettings, is_loopback

log = logging.getLogger("asyncflow.serve")

_OTHER_FILES = 128  # the database, pipes of commands, calls to outside
_LAST_ANSWERS_S = 1.0
_STARTING_S = 4.0  # for a start that is told to stop: it leaves what it was at to the next one


@click.command(short_help="Serve Conductor's REST API on one database file.")
@click.option("--db", "database", type=FilePath(), metavar="FILE", help="The database file.  [asyncflow.db]")
@click.option("--host", metavar="ADDRESS", help="Where to listen.  [127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), metavar="PORT", help="0 picks a free one.  [8080]")
@click.option(
    "--load",
    "modules",
    multiple=True,
    metavar="MODULE|FILE.py",
    help="Python with @task functions or workflows; may be given several times.",
)
@click.option(
    "--config",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Settings; by default asyncflow.toml in the current folder, if it is there.",
)
@click.option(
    "--http-allow",
    multiple=True,
    metavar="HOST|CIDR",
    help="An address that HTTP tasks may reach although it is not public.",
)
@click.option(
    "--insecure-no-auth",
    is_flag=True,
    default=None,
    help="Listen beyond this machine although no keys are asked for.",
)
@click.option(
    "--log-format",
    type=click.Choice(["console", "json"]),
    default="console",
    show_default=True,
    help="How lines of the log look, on stderr.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="From which level on there are any.",
)
@lock_wait_option
@payloads_option
@journal_option
def serve(  # noqa: PLR0913 - one parameter per option
    *,
    database: Path | None,
    host: str | None,
    port: int | None,
    modules: tuple[str, ...],
    file: Path | None,
    http_allow: tuple[str, ...],
    payloads: Path | None,
    journal: Path | None,
    lock_wait: float | None,
    insecure_no_auth: bool | None,
    log_format: Format,
    log_level: str,
) -> int:
    """Serve Conductor's REST API, until SIGTERM or SIGINT.

    Once it is ready, the first line on stdout is `asyncflow ready on http://ADDRESS:PORT`. A signal
    stops it in order: attempts under way get some time to end, everything accepted is in the
    database, and the exit code is 0. After a second signal it waits for nothing, a third one ends it at
    once; the exit code is 130 then.
    """
    given = {
        "store.db": database,
        "store.payloads": payloads,
        "store.journal": journal,
        "store.takeover_wait_s": lock_wait,
        "server.host": host,
        "server.port": port,
        "server.insecure_no_auth": insecure_no_auth,
        "http.allow": http_allow or None,
    }
    options = {name: value for name, value in given.items() if value is not None}
    configured = configure(file, os.environ, options)
    with LogOutlet(sys.stderr, LogSettings(log_format, log_level)) as outlet:
        plan = Plan(configured, read_bundle((), modules), outlet)
        return in_loop(partial(with_signals, partial(run_server, plan)))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be served: the configuration, what was loaded, and the log if it is ours."""

    configured: Configured
    bundle: Bundle
    outlet: LogOutlet | None = None

    @property
    def config(self) -> Config:
        """The configuration."""
        return self.configured.config

    def http_settings(self) -> HttpSettings:
        """The settings of the REST surface; no more connections than this process may have files."""
        server = self.config.server
        connections = min(server.connections, max(raise_open_files() - _OTHER_FILES, 1))
        if connections < server.connections:
            log.info("connections: at most %d, for more files may not be open", connections)
        return HttpSettings(
            host=server.host,
            port=server.port,
            hosts=server.hosts,
            origins=server.origins,
            audit_workers=server.audit_workers,
            limits=HttpLimits(
                request_bytes=self.config.limits.request_bytes,
                bodies_bytes=server.bodies_bytes,
                header_timeout_s=server.header_timeout_s,
                body_timeout_s=server.body_timeout_s,
                write_timeout_s=server.write_timeout_s,
                idle_timeout_s=server.idle_timeout_s,
                connections=connections,
                in_flight=server.in_flight,
                held=server.held,
            ),
        )


async def run_server(plan: Plan, stop: Stop) -> int:
    """Serve until a signal comes or the engine has stopped by itself.

    Raises:
        StoreLocked, StoreError: the database cannot be used, or failed while it was.
        ConfigurationError: it may not listen where it is told to.
        OSError: the port is taken.
    """
    systemd, drain_timeout_s = Systemd.of(os.environ), plan.config.server.drain_timeout_s
    async with HttpServer(plan.http_settings()) as http, anyio.create_task_group() as group:
        ready = anyio.Event()
        stop.last_resort.expect(0.0, _STARTING_S)
        with anyio.CancelScope() as starting, _ignoring_hangups():
            group.start_soon(_give_up, stop, ready, starting)
            log.info("listening on %s, opening %s", http.url, plan.config.store.db)
            group.start_soon(systemd.live, f"opening {plan.config.store.db}")
            async with _opened(plan) as services:
                http.open_for(services)
                ready.set()
                stop.last_resort.expect(drain_timeout_s)
                systemd.ready(f"serving on {http.url}")
                click.echo(f"asyncflow ready on {http.url}")
                if await _until_stopped(stop, services):
                    drain_timeout_s = 0.0
                    stop.last_resort.expect(0.0)
                stop.last_resort.begin()
                systemd.stopping("stopping", drain_timeout_s + SLOW_S)
                await stop_in_order(http, services, drain_timeout_s, hurried=stop.hurried)
        group.cancel_scope.cancel()
    return FORCED if stop.hurried.is_set() else DONE


@asynccontextmanager
async def _opened(plan: Plan) -> AsyncIterator[Services]:
    """The engine, with what was loaded registered in it."""
    config, bundle = plan.config, plan.bundle
    settings = config.engine_settings(os.environ)
    if plan.outlet is not None:
        plan.outlet.hide(settings.secrets)
    async with open_services(
        config.store.db,
        functions=bundle.functions,  # type: ignore[arg-type]  # checked by shape when loaded
        settings=settings,
        store=config.store_settings(),
    ) as services:
        check_exposure(config, services)
        await register_all(services.executions, bundle.workflows, bundle.tasks)
        yield services


def check_exposure(config: Config, services: Services) -> None:
    """Return if it may listen where it is told to.

    Raises:
        ConfigurationError: other machines could call, and nobody asks them for keys.
    """
    server = config.server
    if is_loopback(server.host) or services.keys.is_required:
        return
    if not server.insecure_no_auth:
        raise ConfigurationError(
            f"server.host {server.host}: other machines can reach it, and no API keys are set up; make some, "
            "or say --insecure-no-auth"
        )
    log.warning("everybody who can reach %s may do everything: --insecure-no-auth was given", server.host)


# --- stopping -----------------------------------------------------------------------------------


async def _give_up(stop: Stop, ready: anyio.Event, starting: anyio.CancelScope) -> None:
    """A signal before it is ready ends the start at once: whatever it found is found again."""
    await stop.asked.wait()
    if not ready.is_set():
        starting.cancel()


async def _until_stopped(stop: Stop, services: Services) -> bool:
    """Wait for a signal, or for the engine to stop by itself, and say whether it did."""
    has_failed = False
    async with anyio.create_task_group() as race:

        async def watch() -> None:
            nonlocal has_failed
            error = await services.failed()
            has_failed = True
            log.critical("the engine stopped by itself: %s", error)
            race.cancel_scope.cancel()

        race.start_soon(watch)
        await stop.asked.wait()
        race.cancel_scope.cancel()
    return has_failed


async def stop_in_order(
    http: HttpServer, services: Services, drain_timeout_s: float, *, hurried: anyio.Event | None = None
) -> None:
    """Take nothing new, let attempts end, answer what is under way; the engine closes after this.

    What workers have to say is taken until the end: a result that was turned away is work lost. Once
    `hurried` is set nothing is waited for any more.
    """
    http.close_for_new()
    async with anyio.create_task_group() as waiting:
        if hurried is not None:
            waiting.start_soon(_cut_short, hurried, waiting.cancel_scope)
        if not await services.drain(drain_timeout_s):
            log.warning(
                "attempts under way did not end within %g s; the next start takes them up", drain_timeout_s
            )
        if not await http.answered(_LAST_ANSWERS_S):
            log.warning("some requests had no answer yet; what they asked for is done or not, as always")
        waiting.cancel_scope.cancel()
    unanswered = services.unanswered()
    if unanswered:
        log.warning("%d jobs were on their way to their service; the next start sees to them", unanswered)
    http.close_for_all()


async def _cut_short(hurried: anyio.Event, waiting: anyio.CancelScope) -> None:
    await hurried.wait()
    waiting.cancel()


@contextmanager
def _ignoring_hangups() -> Iterator[None]:
    """The end of a terminal is no reason to stop; children get the default back when they start."""
    if not hasattr(signal, "SIGHUP"):
        yield
        return
    before = signal.signal(signal.SIGHUP, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
