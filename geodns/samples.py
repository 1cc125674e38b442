"""What the metrics show: the numbers of all rooms brought together at the moment of a scrape."""

from __future__ import annotations

import platform
import time
from collections import Counter, defaultdict
from importlib.metadata import version
from typing import TYPE_CHECKING

from geodns.core.health import Verdict
from geodns.core.limit import OUTCOMES
from geodns.core.overrides import KINDS
from geodns.core.steer.odds import available, failing_open
from geodns.core.world import World, families
from geodns.observe.metrics import Samples

if TYPE_CHECKING:
    from geodns.app import Server

Numbers = dict[tuple[str, ...], float]

RCODES = {0: "NOERROR", 3: "NXDOMAIN", 6: "YXDOMAIN"}


class Totals:
    """Counts of answers since the start; those of a table that is in service are added when asked for."""

    def __init__(self) -> None:
        self._queries: Counter[tuple[str, ...]] = Counter()
        self._answers: defaultdict[tuple[str, ...], float] = defaultdict(float)
        self._open: Counter[tuple[str, ...]] = Counter()

    def book(self, server: Server) -> None:
        """Keep the counts of a table that goes out of service."""
        queries, answers, opened = self.now(server)
        self._queries, self._answers, self._open = (
            Counter(queries),
            defaultdict(float, answers),
            Counter(opened),
        )

    def now(self, server: Server) -> tuple[Numbers, Numbers, Numbers]:
        """Queries by (zone, type, rcode), steered answers by (pool, region), fail-open ones by (pool,)."""
        sheets = server.sheets
        server.replay.collect()
        sheets.settle()
        queries: Numbers = dict(self._queries)
        for slot, meaning in enumerate(server.reading.built.slots):
            if sheets.tally[slot]:
                key = (meaning.zone, meaning.rtype, RCODES.get(meaning.rcode, str(meaning.rcode)))
                queries[key] = queries.get(key, 0) + sheets.tally[slot]
        answers: Numbers = dict(self._answers)
        for where, count in sheets.regions.items():
            answers[where] = answers.get(where, 0) + count
        opened: Numbers = dict(self._open)
        for pool, count in sheets.open_answers.items():
            opened[pool,] = opened.get((pool,), 0) + count
        return queries, answers, opened


def samples(server: Server, totals: Totals) -> Samples:
    """Everything that a scrape shows."""
    queries, answers, opened = totals.now(server)
    world, replay, monitor, limiter = server.world, server.replay, server.monitor, server.lane.limiter
    databases = server.geography.describe(time.time())
    return Samples(
        build={(version("geodns"), server.lane.name, platform.python_version()): 1},
        ready={(): server.readiness.ready},
        queries=queries,
        answers=answers,
        fail_open=opened,
        aside={(cause,): count for cause, count in replay.reception.aside.items()},
        cookies={(state,): count for state, count in replay.reception.cookies.items()},
        **_listeners(server),
        classes=_classes(server),
        places={(): len(replay.tails.young) + len(replay.tails.old) + len(replay.sources.young)},
        overflow={
            ("clients",): replay.tails.forgotten + replay.sources.forgotten,
            ("classes",): sum(c.overflows for c in server.sheets.classes),
            ("state rows",): server.store.dropped,
            ("audit rows",): server.store.audit_dropped,
            ("audit entries",): server.journal.lost,
            ("rate blocks",): limiter.displaced if limiter else 0,
            ("logged queries",): server.query_log.left_out + sum(udp.stats.unshown for udp in server.udp),
            ("log lines",): server.lines_lost(),
            ("recent queries",): server.operations.predictor.recent.left_out,
        },
        limited={(outcome,): limiter.outcomes[outcome] for outcome in OUTCOMES} if limiter else {},
        rate_blocks={(): limiter.watched} if limiter else {},
        probes={
            ("all", "ok"): monitor.stats.rounds - monitor.stats.failed,
            ("all", "failed"): monitor.stats.failed,
            ("all", "error"): monitor.stats.errors,
        },
        probes_late={(): monitor.stats.late},
        probes_running={(): monitor.running},
        heartbeats={(result,): count for result, count in server.heartbeats.results.items()},
        prober_suspected={(): monitor.suspected},
        **_health(world),
        used={where: gauge.used / 100 for where, gauge in world.gauges.items()},
        kept={where: gauge.keep / 100 for where, gauge in world.gauges.items()},
        paused={(region,): world.paused(region) is not None for region in world.regions},
        overrides={(kind,): sum(k == kind for k, _ in world.overrides) for kind in KINDS},
        unwritten={
            ("overrides",): len(server.journal.unwritten),
            ("audit rows",): server.journal.waiting,
        },
        worst_case={(f.pool,): f.seconds for f in reversed(server.reading.failovers)},
        database_age={(d.kind.value,): d.age_days * 86400 for d in databases},
        database_synthetic={(d.kind.value,): d.synthetic for d in databases},
        **_alarms(server),
        reloads={(result,): count for result, count in server.reloads.items()},
        loaded={(): server.loaded_at},
        names={(zone.apex,): zone.names for zone in server.reading.zones},
        serial={(zone.apex,): zone.serial for zone in server.reading.zones},
        **_secondaries(server),
        state_errors={(): server.verdicts.errors + server.journal.errors + server.returns.errors},
        admin_requests={(str(status),): n for status, n in server.admin.stats.requests.items()},
        admin_cut={
            ("bound",): server.admin.stats.refused,
            ("slow",): server.admin.stats.cut,
            ("slow reader",): server.journal.feed.slow,
        },
    )


def _alarms(server: Server) -> dict[str, Numbers]:
    alarms = server.alarms
    messages: Counter[tuple[str, ...]] = Counter()
    waiting: Counter[tuple[str, ...]] = Counter()
    for hook in alarms.hooks:  # two webhooks of one host are one here
        waiting[hook.name,] += hook.waiting
        for result, count in hook.results.items():
            messages[hook.name, result] += count
    return {
        "alarms": {(severity,): count for severity, count in alarms.counts().items()},
        "alarms_left_out": {(): alarms.left_out},
        "alarms_raised": {(kind,): count for kind, count in alarms.raised.items()},
        "alarm_messages": dict(messages),
        "alarm_messages_waiting": dict(waiting),
    }


def _secondaries(server: Server) -> dict[str, Numbers]:
    transfers, queries = server.secondaries.transfers, server.secondaries.queries
    notifier = server.secondaries.notifier
    return {
        "transfers": {(result,): count for result, count in transfers.results.items()},
        "transfers_refused": {(why,): n for why, n in (transfers.refusals + queries.refusals).items()},
        "transfers_running": {(): transfers.running},
        "notifies": {(result,): count for result, count in notifier.results.items()},
        "notifies_pending": {(): notifier.pending},
    }


def _classes(server: Server) -> Numbers:
    found: Numbers = {}
    for classes in server.sheets.classes:
        key = (classes.plan.policy.id,)
        found[key] = found.get(key, 0) + len(classes.orders)
    return found


def _listeners(server: Server) -> dict[str, Numbers]:
    received: Numbers = {}
    silent: Numbers = {}
    faults: Numbers = {}
    events: Numbers = {}
    passed: Numbers = {}
    for transport, listeners in (("udp", server.udp), ("tcp", server.tcp)):
        for listener in listeners:
            key = (transport, f"{listener.address}:{listener.port}")
            stats = listener.stats
            received[key], silent[key], faults[key] = stats.received, stats.silent, stats.faults
    for udp in server.udp:
        key = ("udp", f"{udp.address}:{udp.port}")
        events[*key, "receive error"] = udp.stats.errors
        events[*key, "unsent"] = udp.stats.unsent
        events[*key, "receive buffer full"] = udp.overflowed
        events[*key, "no room to pass it on"] = udp.stats.unpassed
        passed[key[1:]] = udp.stats.passed
    for tcp in server.tcp:
        key = ("tcp", f"{tcp.address}:{tcp.port}")
        events[*key, "malformed"] = tcp.stats.malformed
        events[*key, "idle"] = tcp.stats.idle_closed
        events[*key, "evicted"] = tcp.stats.evicted_total
        events[*key, "evicted by its own address"] = tcp.stats.evicted_address
    connections: Numbers = {(f"{tcp.address}:{tcp.port}",): tcp.open for tcp in server.tcp}
    return {
        "received": received,
        "silent": silent,
        "faults": faults,
        "dropped": events,
        "passed": passed,
        "connections": connections,
    }


def _health(world: World) -> dict[str, Numbers]:
    up: Numbers = {}
    counts: Counter[tuple[str, ...]] = Counter()
    usable: Numbers = {}
    for pool in world.pools.values():
        for region in pool.regions:
            usable[pool.id, region.region] = available(pool, region, world)
            for endpoint in region.endpoints:
                for family in families(endpoint):
                    verdict = world.health_of(endpoint, family).verdict
                    counts[pool.id, region.region, verdict.value] += 1
                    if verdict is not Verdict.UNKNOWN:
                        key = (pool.id, region.region, endpoint.name, str(family))
                        up[key] = verdict is Verdict.UP
    opened: Numbers = {(pool.id,): failing_open(pool, world) for pool in world.pools.values()}
    return {"endpoint_up": up, "endpoints": dict(counts), "available": usable, "failing_open": opened}
