"""Every metric: its name once, its kind, its help. The counting happens elsewhere, in plain numbers.

Nothing here is touched by a query. A scrape takes `Samples` from app and turns them into the text format.
"""

# ruff: noqa: RUF009 - the calls below give a dataclass field each, with its metadata

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

Values = Mapping[tuple[str, ...], float]
"""One number for each combination of label values, in the order of the metric's labels."""


def _counter(name: str, says: str, *labels: str) -> Any:
    return _metric(CounterMetricFamily, name, says, labels)


def _gauge(name: str, says: str, *labels: str) -> Any:
    return _metric(GaugeMetricFamily, name, says, labels)


def _metric(family: type[Metric], name: str, says: str, labels: tuple[str, ...]) -> Any:
    about = {"family": family, "name": f"geodns_{name}", "says": says, "labels": labels}
    return field(default_factory=dict, metadata=about)


@dataclass(frozen=True, slots=True)
class Samples:
    """What a scrape shows. A metric without labels has the one key `()`; what is left out is not shown."""

    build: Values = _gauge("build_info", "Always 1: what is running.", "version", "lane", "python")
    ready: Values = _gauge("ready", "1 when answers rest on verdicts.")

    queries: Values = _counter("queries", "Queries answered.", "zone", "type", "rcode")
    answers: Values = _counter("steered_answers", "Steered answers, by where they led.", "pool", "region")
    fail_open: Values = _counter("fail_open_answers", "Answers from a pool with too little healthy.", "pool")
    aside: Values = _counter("packets_aside", "Packets that no data answered.", "cause")
    cookies: Values = _counter("cookies_examined", "DNS Cookies that were not known yet.", "state")
    limited: Values = _counter("rate_limited_queries", "UDP queries over the rate, by outcome.", "outcome")
    rate_blocks: Values = _gauge("rate_blocks", "Networks whose rate is watched.")
    received: Values = _counter("received_messages", "Messages received.", "transport", "address")
    silent: Values = _counter("silent_messages", "Messages left without a reply.", "transport", "address")
    faults: Values = _counter("faults", "Exceptions caught on the query's way: bugs.", "transport", "address")
    dropped: Values = _counter(
        "listener_events", "What listeners dropped, evicted or closed.", "transport", "address", "event"
    )
    passed: Values = _counter("passed_queries", "UDP queries that threads left to Python.", "address")
    connections: Values = _gauge("tcp_connections", "Open TCP connections.", "address")

    classes: Values = _gauge("classes", "Classes of clients met, by policy.", "policy")
    places: Values = _gauge("remembered_clients", "Clients whose class is remembered.")
    overflow: Values = _counter("overflow", "What fell over the bound of a cache, table or queue.", "what")

    probes: Values = _counter("probes", "Finished probes.", "kind", "result")
    probes_late: Values = _counter("probes_late", "Rounds of probes begun too late or left out.")
    probes_running: Values = _gauge("probes_running", "Probes that are running.")
    heartbeats: Values = _counter("heartbeats", "Heartbeats, by what became of them.", "result")
    prober_suspected: Values = _gauge("prober_suspected", "1 while verdicts are frozen: most fail at once.")
    endpoint_up: Values = _gauge(
        "endpoint_up",
        "1 up, 0 down; not shown while unknown. Family 0 is a target's.",
        "pool",
        "region",
        "endpoint",
        "family",
    )
    endpoints: Values = _gauge("endpoints", "Endpoint addresses by verdict.", "pool", "region", "verdict")
    available: Values = _gauge("region_available", "1 where a pool's region may serve.", "pool", "region")
    failing_open: Values = _gauge("pool_failing_open", "1 while health is of no account in it.", "pool")
    used: Values = _gauge("region_used_ratio", "Share of its capacity in use, in steps.", "pool", "region")
    kept: Values = _gauge("region_kept_ratio", "Share of its clients that load leaves it.", "pool", "region")
    paused: Values = _gauge("region_paused", "1 where an operator has paused the region.", "region")
    overrides: Values = _gauge("overrides", "What operators have set by hand.", "kind")
    unwritten: Values = _gauge(
        "unwritten",
        "What waits for a disk that refused: overrides in memory only, rows of the audit.",
        "what",
    )
    worst_case: Values = _gauge("failover_worst_case_seconds", "Failure to last right answer.", "pool")

    database_age: Values = _gauge("database_age_seconds", "Age of a geo database.", "kind")
    database_synthetic: Values = _gauge("database_synthetic", "1 where a geo database is made up.", "kind")

    alarms: Values = _gauge("alarms", "Alarms that hold.", "severity")
    alarms_left_out: Values = _gauge("alarms_left_out", "Alarms that hold and had no room.")
    alarms_raised: Values = _counter("alarms_raised", "Alarms raised.", "kind")
    alarm_messages: Values = _counter("alarm_messages", "Alarms told to a hook, or not.", "hook", "result")
    alarm_messages_waiting: Values = _gauge("alarm_messages_waiting", "Alarms not told yet.", "hook")

    reloads: Values = _counter("reloads", "Readings of the zone files, by how they ended.", "result")
    loaded: Values = _gauge("loaded_timestamp_seconds", "When the zones in force were read.")
    names: Values = _gauge("names", "Names served.", "zone")
    serial: Values = _gauge("zone_serial", "SOA serial.", "zone")
    transfers: Values = _counter(
        "transfers", "Zone transfers; current: the asker had the zone already.", "result"
    )
    transfers_refused: Values = _counter(
        "transfers_refused", "Transfers refused, and signed queries that could not be verified.", "reason"
    )
    transfers_running: Values = _gauge("transfers_running", "Zone transfers that are under way.")
    notifies: Values = _counter("notifies", "Announcements of changed zones, by how they ended.", "result")
    notifies_pending: Values = _gauge("notifies_pending", "Announcements not acknowledged yet.")
    state_errors: Values = _counter("state_errors", "Failed writes of the state file.")
    admin_requests: Values = _counter("admin_requests", "Requests to the admin API.", "status")
    admin_cut: Values = _counter("admin_cut", "Connections to the admin API that were ended.", "why")


def collect(samples: Samples) -> Iterable[Metric]:
    """The metric families of the samples, in the order above; a metric without values is left out.

    Raises ValueError where a key has another number of labels than its metric.
    """
    for about in fields(samples):
        values: Values = getattr(samples, about.name)
        if not values:
            continue
        family = about.metadata["family"](
            about.metadata["name"], about.metadata["says"], labels=about.metadata["labels"]
        )
        for labels, value in values.items():
            if len(labels) != len(about.metadata["labels"]):
                raise ValueError(f"{about.name} has the labels {about.metadata['labels']}, not {labels}")
            family.add_metric(labels, value)
        yield family


class _Once(Collector):
    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def collect(self) -> Iterable[Metric]:
        return collect(self._samples)

    def describe(self) -> Iterable[Metric]:
        return ()


def exposition(samples: Samples) -> bytes:
    """The samples and the process's own numbers in the Prometheus text format 0.0.4."""
    registry = CollectorRegistry()
    registry.register(_Once(samples))
    ProcessCollector(registry=registry)
    return generate_latest(registry)
