"""Reading the zones folder and compiling it, in a process of its own when a server is answering meanwhile.

Parsing 100,000 names keeps an interpreter busy for seconds; the child does that on another core and sends
back only what is flat or small. It stops half-way to ask for the SOA serials, which the parent keeps.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic

from geodns.config.checks import Powers
from geodns.config.load import Known, load
from geodns.config.schema.settings import Settings
from geodns.core.compile.build import Built, build
from geodns.core.compile.transfer import MAX_CONTENT, Content, content
from geodns.core.failover import MAX_EXAMPLES, Failover, failovers
from geodns.core.names import to_text
from geodns.errors import ConfigError, GeodnsError, Problem, Severity
from geodns.geo.lines import carriers, merged
from geodns.geo.mmdb import Identity, Kind, identity
from geodns.geo.needs import missing
from geodns.geo.reload import Databases
from geodns.model import Line, Model

TIME_LIMIT = 300.0  # seconds for a reading in a child; a million names take a fraction of it
NICE = 10  # who answers comes first where both want the same core

LOOK = 0.25  # seconds between looks whether a reading in a child is still wanted

Serials = Callable[[Mapping[str, str]], Mapping[str, int]]
Found = frozenset[tuple[str, Identity | None]]


@dataclass(frozen=True, slots=True)
class Request:
    """What to read: the zones folder, the operator's own carriers file, the databases there are.

    `transferred` are the apexes of the zones that somebody may transfer, None: all. `powers`: what checks
    may do, None: everything, where nothing is probed.
    """

    zones: Path
    lines: Path | None
    kinds: frozenset[Kind]
    zone_bytes: int
    transferred: frozenset[bytes] | None = frozenset()
    powers: Powers | None = None


@dataclass(frozen=True, slots=True)
class ZoneSummary:
    apex: str
    serial: int
    names: int


@dataclass(frozen=True, slots=True)
class Reading:
    """Files read and compiled. `model` has lost its zones' contents, which are in `built` now.

    `contents` is what each zone's transfer holds, by apex; None where nobody may have it, or it is too long.
    """

    model: Model
    lines: Mapping[str, Line]
    built: Built
    steered: Mapping[tuple[str, str], tuple[str, ...]]
    zones: tuple[ZoneSummary, ...]
    contents: Mapping[bytes, Content | None]
    failovers: tuple[Failover, ...]
    warnings: tuple[Problem, ...] = field(default=())


def databases_of(settings: Settings) -> Databases:
    """The geo databases that the settings name, opened. Raises GeodnsError, a line for each that is not."""
    paths = {kind: getattr(settings.databases, kind.value) for kind in Kind}
    named = {kind: path for kind, path in paths.items() if path is not None}
    return Databases(named, synthetic=settings.databases.synthetic)


def powers_of(settings: Settings) -> Powers:
    """What the settings let checks do."""
    return Powers(commands=settings.probes.exec)


def found(request: Request) -> Found:
    """Which files there are to read, and the identity of each: another when one of them changes."""
    paths = [*request.zones.glob("*.y*ml"), *([request.lines] if request.lines else [])]
    return frozenset((str(path), identity(path)) for path in paths)


def read_model(request: Request) -> tuple[Model, Mapping[str, Line]]:
    """The model of a zones folder with all its problems found. Raises ConfigError."""
    shipped = carriers(request.lines)
    known = Known(lines=frozenset(shipped), powers=request.powers)
    model = load(request.zones, known=known, zone_bytes=request.zone_bytes)
    lines = merged(shipped, model.lines)
    needed = missing(model, lines, request.kinds)
    if any(problem.severity == "error" for problem in needed):
        raise ConfigError((*model.problems, *needed))
    return replace(model, problems=(*model.problems, *needed)), lines


def read(request: Request, serials: Serials) -> Reading:
    """Read and compile in this process. Raises ConfigError with every problem."""
    model, lines = read_model(request)
    return _compile(model, lines, serials(_digests(model)), request.transferred)


def read_aside(request: Request, serials: Serials, given_up: Callable[[], bool] = lambda: False) -> Reading:
    """Read and compile in a child process; blocks the caller's thread, but not for long once `given_up`.

    Raises ConfigError, GeodnsError, and OSError where there is no child to be had.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=_child, args=(there, request), name="geodns-reading", daemon=True)
    child.start()
    there.close()
    try:
        until = monotonic() + TIME_LIMIT
        here.send(serials(_received(here, until, given_up)))
        reading: Reading = _received(here, until, given_up)
        return reading
    finally:
        if given_up():
            child.kill()
        here.close()
        child.join(1.0)
        if child.is_alive():
            child.kill()
            child.join()


def _received(pipe: Connection, until: float, given_up: Callable[[], bool]):  # type: ignore[no-untyped-def]
    """Whatever the child sends at this point."""
    try:
        while not pipe.poll(LOOK):
            if given_up():
                raise GeodnsError("reading the zones was given up")
            if monotonic() > until:
                raise GeodnsError(f"reading the zones took longer than {TIME_LIMIT:.0f} s and was given up")
        outcome = pipe.recv()
    except EOFError:
        raise GeodnsError("the process that read the zones ended without a result") from None
    if isinstance(outcome, _Failure):
        raise ConfigError(outcome.problems) if outcome.problems else GeodnsError(outcome.message)
    return outcome


@dataclass(frozen=True, slots=True)
class _Failure:
    message: str
    problems: tuple[Problem, ...] = ()


def _child(pipe: Connection, request: Request) -> None:
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on, who kills this one
    try:
        model, lines = read_model(request)
        pipe.send(_digests(model))
        pipe.send(_compile(model, lines, pipe.recv(), request.transferred))
    except ConfigError as error:
        pipe.send(_Failure(str(error), error.problems))
    except GeodnsError as error:
        pipe.send(_Failure(str(error)))
    except (EOFError, BrokenPipeError):  # the parent is gone, and nobody wants the result
        return


def _digests(model: Model) -> dict[str, str]:
    return {to_text(zone.apex): zone.digest for zone in model.zones}


def _compile(
    model: Model, lines: Mapping[str, Line], kept: Mapping[str, int], transferred: frozenset[bytes] | None
) -> Reading:
    serials = {
        zone.apex: kept[to_text(zone.apex)] if zone.soa.serial is None else zone.soa.serial
        for zone in model.zones
    }
    built = build(model.zones, model.pools, serials)
    summaries = tuple(
        ZoneSummary(
            to_text(z.apex), serials[z.apex], len({r.owner for r in z.rrsets} | {s.owner for s in z.steers})
        )
        for z in model.zones
    )
    contents = {
        z.apex: content(z, model, serials[z.apex]) if transferred is None or z.apex in transferred else None
        for z in model.zones
    }
    light = replace(model, zones=tuple(replace(zone, rrsets=(), steers=()) for zone in model.zones))
    warnings = (*model.problems, *_too_long(model, contents, transferred))
    return Reading(light, lines, built, _steered(model), summaries, contents, failovers(model), warnings)


def _too_long(
    model: Model, contents: Mapping[bytes, Content | None], transferred: frozenset[bytes] | None
) -> list[Problem]:
    """A warning for each zone that is to be transferred but cannot be."""
    message = f"the zone is not transferred: with its steered names it is longer than {MAX_CONTENT >> 20} MiB"
    return [
        Problem("too-large", message, zone.position, severity=Severity.WARNING)
        for zone in model.zones
        if contents[zone.apex] is None and (transferred is None or zone.apex in transferred)
    ]


def _steered(model: Model) -> dict[tuple[str, str], tuple[str, ...]]:
    """Some names for every pool and policy that are used together: whom a pause would hit."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for zone in model.zones:
        for steer in zone.steers:
            key = (steer.pool, steer.policy)
            names = found.get(key, ())
            if len(names) < MAX_EXAMPLES:
                found[key] = (*names, to_text(steer.owner).rstrip("."))
    return found
