"""Which alarms hold, and what of them is new or over: no clock, no socket, nobody told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from core_support import Lab

from geodns.core.alarms import (
    CLEARED,
    DAY,
    MAX_HELD,
    RAISED,
    WELL,
    Alarm,
    Database,
    Facts,
    Limits,
    Severity,
    failing_kinds,
    found,
    homes_of,
    policies_of,
    state_of,
    turned,
)
from geodns.core.health import Health, Probe, Verdict
from geodns.core.overrides import PAUSE, WEIGHT, Override
from geodns.core.world import Lifted, Overridden, World
from geodns.model import Check

FACTS, LIMITS = Facts(), Limits()
NOW = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC
FILES = {
    "_shared.yaml": "regions: {south: {}, north: {}, west: {}}\n",
    "z.test.yaml": """\
zone: z.test
nameservers: {ns: 192.0.2.53}
policies:
  fenced:
    - {when: {country: CN}, to: [south, north], fence: true}
    - {to: west}
pools:
  web:
    check: {type: http}
    panic: 50%
    policy: fenced
    regions:
      south: [{name: s1, address: 192.0.2.1}, {name: s2, address: 192.0.2.2}]
      north: [{name: n1, address: 192.0.2.3}]
      west: [{name: w1, address: 192.0.2.4}, {name: w2, address: 192.0.2.5}]
  mail:
    check: {type: tcp, port: 25}
    when_all_down: nodata
    policy: fenced
    regions:
      south: 192.0.2.11
      west: 192.0.2.12
records: {www: {steer: web}, mx: {steer: mail}}
""",
}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab.of(tmp_path, FILES)
    steered = {("z.test/web", "z.test/fenced"): ("www.z.test",), ("z.test/mail", "z.test/fenced"): ("mx",)}
    lab.world = replace(lab.world, steered=steered)
    return lab


def holding(
    world: World, facts: Facts = FACTS, limits: Limits = LIMITS, now: float = NOW
) -> dict[str, Alarm]:
    policies = policies_of(world)
    states = {id_: state_of(world, pool, policies.get(id_, ())) for id_, pool in world.pools.items()}
    states = {id_: state for id_, state in states.items() if state != WELL}
    return {alarm.key: alarm for alarm in found(world, states, homes_of(world), facts, limits, now)}


@pytest.mark.parametrize(
    ("state", "keys"),
    [
        ({}, set()),
        ({"down": ["web/south/s1"]}, set()),
        ({"down": ["web/south"]}, {"region-out:south"}),
        (
            {"down": ["web/south", "mail/south"]},
            {"region-out:south", "pool-failing-open:z.test/mail:z.test/fenced"},
        ),
        (
            {"down": ["web/south", "web/north"]},
            {"pool-failing-open:z.test/web", "region-out:south", "region-out:north"},
        ),
        ({"down": ["mail"]}, {"pool-out:z.test/mail", "region-out:south", "region-out:west"}),
        (
            {"down": ["web"]},
            {"pool-failing-open:z.test/web", "region-out:south", "region-out:north", "region-out:west"},
        ),
        ({"paused": ["south"]}, {"pool-failing-open:z.test/mail:z.test/fenced"}),
        ({"paused": ["south", "west"]}, {"pool-out:z.test/mail"}),
        (
            {"paused": ["south:z.test/mail"], "down": ["mail/west"]},
            {"pool-out:z.test/mail", "region-out:west"},
        ),
        ({"force": {"north": "down"}}, {"region-out:north"}),
    ],
)  # fmt: skip
def test_what_pools_and_regions_come_to(lab: Lab, state: Mapping[str, Any], keys: set[str]) -> None:
    lab.state(state)
    assert set(holding(lab.world)) == keys


def test_a_region_is_out_where_it_is_not_paused(lab: Lab) -> None:
    lab.state({"down": ["web/south"]})
    partly = holding(lab.world)["region-out:south"]
    assert partly.severity is Severity.WARNING
    assert partly.text == "region south cannot serve in 1 of its 2 pools: too little is healthy in z.test/web"
    lab.state({"down": ["web/south"], "paused": ["south:z.test/mail"]})
    wholly = holding(lab.world)["region-out:south"]
    assert wholly.severity is Severity.CRITICAL
    assert wholly.text == "region south cannot serve: too little is healthy in z.test/web"


def test_the_breaker_is_told_from_a_pool_without_any_region(lab: Lab) -> None:
    lab.state({"down": ["web/south", "web/north"]})
    told = [holding(lab.world)["pool-failing-open:z.test/web"].text]
    lab.state({"down": ["web"]})
    told.append(holding(lab.world)["pool-failing-open:z.test/web"].text)
    assert told == [
        "pool z.test/web fails open: too little is healthy: health is ignored",
        "pool z.test/web fails open: too little is healthy: health is ignored",
    ]
    lab.state({"down": ["mail"]})
    text = "pool z.test/mail is out: no region is available: clients are told nothing"
    assert holding(lab.world)["pool-out:z.test/mail"].text == text


def test_the_rule_that_leads_nowhere_is_named(lab: Lab) -> None:
    lab.state({"down": ["mail/south"]})
    alarm = holding(lab.world)["pool-failing-open:z.test/mail:z.test/fenced"]
    assert alarm.subject == "z.test/mail"
    assert alarm.text.startswith("rule 1 of policy z.test/fenced leads to no region of pool z.test/mail")


def test_all_checks_of_a_kind_fail_where_there_are_enough(lab: Lab) -> None:
    kinds = {"http": 2, "tcp": 3, "icmp": 1, "dns": 2}
    verdicts = {
        "http": (Verdict.DOWN, Verdict.DOWN),
        "tcp": (Verdict.DOWN, Verdict.DOWN, Verdict.UNKNOWN),
        "icmp": (Verdict.DOWN,),
        "dns": (Verdict.DOWN,),  # the other one was never heard of
    }
    health = {
        Probe(Check(kind), f"192.0.2.{number}", 80): Health(verdict)
        for kind, all_ in verdicts.items()
        for number, verdict in enumerate(all_)
    }
    assert failing_kinds(health, kinds) == {"http": 2}
    alarm = holding(lab.world, Facts(failing={"http": 2}))["checks-failing:http"]
    assert alarm.text == "all 2 checks of the kind http fail"


def test_what_is_known_beside_the_world(lab: Lab) -> None:
    facts = Facts(
        suspected=True,
        databases=(Database("city", 31 * DAY, False), Database("asn", 30 * DAY, True)),
        refused={"zones": "z.test.yaml:1:1: no zone"},
        unwritten={"audit": "the disk is full"},
    )
    alarms = holding(lab.world, facts)
    assert set(alarms) == {
        "prober-suspected:prober",
        "database-old:city",
        "database-synthetic:databases",
        "reload-refused:zones",
        "state-not-written:audit",
    }
    assert alarms["database-old:city"].text == "the city database is 31 days old"
    assert "z.test.yaml:1:1: no zone" in alarms["reload-refused:zones"].text
    assert "the disk is full" in alarms["state-not-written:audit"].text


def test_a_certificate_is_told_of_before_and_after_its_end(lab: Lab) -> None:
    probe = Probe(Check("https", host="www.example.com"), "192.0.2.1", 443)
    key = f"certificate-ends:{probe.id}"
    facts = Facts(certificates={probe: NOW + DAY})
    before, after = (holding(lab.world, facts, now=now)[key] for now in (NOW, NOW + DAY))
    of = "the certificate of 192.0.2.1:443 for www.example.com"
    assert (before.severity, before.text) == ("warning", f"{of} ends at 2023-11-15 22:13:20 UTC")
    assert (after.severity, after.text) == ("critical", f"{of} has ended at 2023-11-15 22:13:20 UTC")


@pytest.mark.parametrize(
    ("since", "until", "told"),
    [
        (NOW - 3600, NOW + 300, True),
        (NOW - 3600, NOW + 301, False),
        (NOW - 3600, None, False),
        (NOW - 60, NOW + 240, False),  # whoever sets five minutes knows that they end
        (NOW - 60, NOW + 241, True),
    ],
)
def test_an_override_is_told_of_before_its_end(
    lab: Lab, since: float, until: float | None, told: bool
) -> None:
    lab.take(Overridden(Override(WEIGHT, "south", "a slow disk", "kim", since, until, 40)))
    alarm = holding(lab.world).get("override-ends:weight:south")
    assert bool(alarm) is told
    if alarm:
        assert alarm.text.startswith("weight 40% of south ends at 2023-11-14 22:1")
        assert alarm.text.endswith("UTC (kim: a slow disk)")
    lab.take(Lifted(WEIGHT, "south"))
    assert "override-ends:weight:south" not in holding(lab.world)


def test_two_overrides_of_a_subject_are_two_alarms(lab: Lab) -> None:
    for kind in (PAUSE, WEIGHT):
        lab.take(Overridden(Override(kind, "north", "why", "kim", NOW - DAY, NOW + 60, 40)))
    assert {key for key in holding(lab.world) if key.startswith("override")} == {
        "override-ends:pause:north",
        "override-ends:weight:north",
    }


def an_alarm(key: str, severity: Severity = Severity.WARNING, text: str = "") -> Alarm:
    return Alarm(key, "kind", "subject", severity, text)


def test_what_begins_is_raised_and_what_ends_is_cleared_once() -> None:
    held, transitions, _ = turned({}, [an_alarm("a"), an_alarm("b")], 1.0)
    assert [(t.event, t.alarm.key, t.alarm.since, t.at) for t in transitions] == [
        (RAISED, "a", 1.0, 1.0),
        (RAISED, "b", 1.0, 1.0),
    ]
    held, transitions, _ = turned(held, [an_alarm("b", text="worse")], 2.0)
    assert [(t.event, t.alarm.key, t.alarm.since, t.at) for t in transitions] == [(CLEARED, "a", 1.0, 2.0)]
    assert held["b"].text == "worse", "what is shown is how it is now"
    assert turned(held, [an_alarm("b")], 3.0).transitions == ()
    assert [t.event for t in turned(held, [], 4.0).transitions] == [CLEARED]


def test_what_becomes_critical_is_raised_again_and_what_becomes_less_is_not() -> None:
    critical = an_alarm("a", Severity.CRITICAL)
    held = turned({}, [an_alarm("a")], 1.0).held
    held, transitions, _ = turned(held, [critical], 2.0)
    assert [(t.event, t.alarm.severity, t.alarm.since) for t in transitions] == [(RAISED, "critical", 1.0)]
    held, transitions, _ = turned(held, [an_alarm("a")], 3.0)
    assert transitions == ()
    assert len(turned(held, [critical], 4.0).transitions) == 1


def test_what_is_held_is_bounded_and_the_rest_is_counted() -> None:
    many = [an_alarm(str(number)) for number in range(MAX_HELD + 5)]
    grave = an_alarm("grave", Severity.CRITICAL)
    held, transitions, left_out = turned({}, [*many, grave], 1.0)
    assert len(held) == len(transitions) == MAX_HELD
    assert (left_out, "grave" in held) == (6, True)
    _, transitions, left_out = turned(held, [*many[5:], grave], 2.0)
    assert (left_out, [t.event for t in transitions].count(RAISED)) == (1, 5), "room is taken by others"
