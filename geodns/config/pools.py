"""Pools: every endpoint with its name, address or target, and check; every region known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from geodns.config.checks import NEED_PORT, Checks
from geodns.config.findings import Findings
from geodns.config.guards import Guards
from geodns.config.policies import NEAREST, Policies
from geodns.config.schema.guards import ShedForm
from geodns.config.schema.zones import BackupForm, EndpointForm, FailbackForm, PoolForm, PoolRegionForm
from geodns.config.tables import Entry, Tables
from geodns.config.yaml import Loc
from geodns.core import names
from geodns.core.compile.rdata import name as rdata_name
from geodns.model import AllDown, Check, Endpoint, Failback, Pick, Pool, PoolRegion, Shed


class Pools:
    """All pools of a folder; `built` lacks those that are broken."""

    def __init__(self, tables: Tables, policies: Policies, checks: Checks, findings: Findings) -> None:
        self.table = tables.pools
        self._tables = tables
        self._policies = policies
        self._checks = checks
        self._findings = findings
        self._guards = Guards(tables, findings)
        self.built: dict[str, Pool] = {}
        for entry in tables.pools.entries.values():
            if entry.form is not None:
                self.built[entry.id] = self._build(entry)

    def _build(self, entry: Entry) -> Pool:
        form: PoolForm = entry.form
        document = entry.document
        check = self._checks.of(form.check, entry, (*entry.loc, "check"))
        policy: str | None = NEAREST.id
        if form.policy is not None:
            policy = self._policies.look_up(
                form.policy, entry.zone, document.position((*entry.loc, "policy"))
            )
        regions = tuple(self._region(entry, name, region, check) for name, region in form.regions.items())
        endpoints = [endpoint for region in regions for endpoint in region.endpoints]
        down, backup = _all_down(form)
        pool = Pool(
            id=entry.id,
            policy=policy or NEAREST.id,
            regions=regions,
            targets=any(endpoint.target for region in form.regions.values() for endpoint in region.endpoints),
            pick=Pick(form.pick),
            answers=form.answers,
            when_all_down=down,
            backup=backup,
            panic=form.panic,
            shed=_shed(form),
            guards=self._guards.of(entry),
            failback=_failback(form),
            position=entry.position,
        )
        self._judge_names(endpoints)
        self._judge_targets(pool, entry, endpoints)
        if entry.whole:
            self._judge_families(pool)
            self._judge_panic(pool, entry)
            self._judge_shed(pool, entry)
        return pool

    def _region(self, entry: Entry, name: str, form: PoolRegionForm, check: Check | None) -> PoolRegion:
        loc: Loc = (*entry.loc, "regions", name)
        at = entry.document.key_position(loc)
        self._tables.regions.look_up(name, "", at, self._findings)
        made = (
            self._endpoint(entry, (*loc, "endpoints", number), endpoint, check)
            for number, endpoint in enumerate(form.endpoints)
        )
        endpoints = tuple(endpoint for endpoint in made if endpoint is not None)
        if entry.whole and form.minimum_healthy.count > len(form.endpoints):
            message = f"{form.minimum_healthy.count} of {len(form.endpoints)} endpoints can never be healthy"
            at = entry.document.position((*loc, "minimum_healthy"))
            self._findings.error("impossible-minimum", message, at)
        return PoolRegion(name, endpoints, form.minimum_healthy, form.capacity)

    def _endpoint(self, entry: Entry, loc: Loc, form: EndpointForm, check: Check | None) -> Endpoint | None:
        at = entry.document.position(loc)
        if bool(form.address) == bool(form.target):
            if entry.whole:
                what = "both" if form.address else "neither"
                message = f"an endpoint has an `address` or a `target`; this one has {what}"
                self._findings.error("bad-endpoint", message, at)
            return None
        where = self._addresses(entry, loc, form.address) if form.address else self._target(entry, loc, form)
        if where is None:
            return None
        own = check
        if form.check is not None:
            own = self._checks.of(form.check, entry, (*loc, "check"))
        for leaf in own.leaves() if own else ():
            if leaf.kind in NEED_PORT and leaf.port is None and form.port is None:
                hint = "give the check or the endpoint a `port`"
                message = f"a {leaf.kind} check needs a port, and neither has one"
                self._findings.error("no-port", message, at, hint)
        return Endpoint(
            name=form.name or where.name,
            ipv4=where.ipv4,
            ipv6=where.ipv6,
            target=where.target,
            weight=form.weight,
            tier=form.tier,
            port=form.port,
            probe=form.probe,
            check=own,
            position=at,
        )

    def _addresses(self, entry: Entry, loc: Loc, addresses: Sequence[str]) -> _Where | None:
        by_version = {ip_address(text).version: text for text in addresses}
        if len(by_version) < len(addresses):
            hint = "make each instance an endpoint of its own"
            at = entry.document.position((*loc, "address"))
            message = "an endpoint has at most one IPv4 and one IPv6 address"
            self._findings.error("too-many-addresses", message, at, hint)
            return None
        return _Where(addresses[0], by_version.get(4), by_version.get(6))

    def _target(self, entry: Entry, loc: Loc, form: EndpointForm) -> _Where | None:
        text = form.target or ""
        at = entry.document.position((*loc, "target"))
        try:
            if not entry.zone and not text.endswith("."):
                raise ValueError(f"'{text}' stands in no zone: end it with a dot")
            origin = names.from_text(entry.zone or ".", names.ROOT)
            wire = names.fold(rdata_name(text, origin))
        except ValueError as error:
            self._findings.error("bad-name", str(error), at)
            return None
        return _Where(text.removesuffix("."), target=wire)

    def _judge_names(self, endpoints: list[Endpoint]) -> None:
        seen: dict[str, Endpoint] = {}
        for endpoint in endpoints:
            first = seen.setdefault(endpoint.name, endpoint)
            if first is not endpoint:
                message = f"the pool already has an endpoint '{endpoint.name}', at {first.position}"
                hint = "give one of them another `name`"
                self._findings.error("duplicate-endpoint", message, endpoint.position, hint)

    def _judge_targets(self, pool: Pool, entry: Entry, endpoints: list[Endpoint]) -> None:
        if not pool.targets:
            return
        odd = next((endpoint for endpoint in endpoints if endpoint.target is None), None)
        if odd is not None:
            message = f"pool '{pool.id}' holds targets, so it cannot hold addresses"
            self._findings.error("mixed-pool", message, odd.position, "make two pools of it")
        if pool.answers != 1:
            at = entry.document.position((*entry.loc, "answers"))
            message = f"pool '{pool.id}' holds targets, and a name has only one CNAME"
            self._findings.error("many-cnames", message, at, "remove `answers`")
        if pool.backup:
            at = entry.document.position((*entry.loc, "when_all_down"))
            message = f"pool '{pool.id}' holds targets, so addresses cannot stand in for them"
            self._findings.error("mixed-pool", message, at)

    def _judge_families(self, pool: Pool) -> None:
        families = {region.region: _families(region.endpoints) for region in pool.regions}
        if len(set(families.values())) <= 1:
            return
        told = ", ".join(f"{region}: {' and '.join(held) or 'none'}" for region, held in families.items())
        message = f"the regions of pool '{pool.id}' differ in address families ({told})"
        hint = "a client sent to a region without its family gets no address"
        self._findings.warning("families-differ", message, pool.position, hint)

    def _judge_panic(self, pool: Pool, entry: Entry) -> None:
        """A pool that fails open below a share cannot do something else when nothing is up."""
        at = entry.document.position((*entry.loc, "panic"))
        if pool.panic is not None and pool.when_all_down is not AllDown.SERVE:
            message = f"below {pool.panic}% all is served as if it were up: `when_all_down` is never reached"
            self._findings.error("meaningless", message, at, "keep one of them")
        elif pool.panic is not None and not any(e.check for r in pool.regions for e in r.endpoints):
            message = "nothing here is checked, so that nothing is ever taken for down"
            self._findings.warning("meaningless", message, at, "give the pool a `check`")

    def _judge_shed(self, pool: Pool, entry: Entry) -> None:
        if pool.shed is not None and pool.shed.low >= pool.shed.high:
            message = f"shedding begins at {pool.shed.low}% and is to be over at {pool.shed.high}%"
            at = entry.document.position((*entry.loc, "shed"))
            self._findings.error("out-of-range", message, at, "`low` is less than `high`")


@dataclass(frozen=True, slots=True)
class _Where:
    name: str
    ipv4: str | None = None
    ipv6: str | None = None
    target: bytes | None = None


def _families(endpoints: Sequence[Endpoint]) -> tuple[str, ...]:
    held = (
        ("IPv4", any(e.ipv4 for e in endpoints)),
        ("IPv6", any(e.ipv6 for e in endpoints)),
    )
    return tuple(family for family, there in held if there)


def _failback(form: PoolForm) -> Failback:
    if isinstance(form.failback, FailbackForm):
        return Failback(after=form.failback.after or 0.0, ramp=form.failback.ramp or 0.0)
    return Failback(manual=form.failback == "manual")


def _all_down(form: PoolForm) -> tuple[AllDown, tuple[str, ...]]:
    if isinstance(form.when_all_down, BackupForm):
        return AllDown.BACKUP, tuple(dict.fromkeys(form.when_all_down.backup))
    return AllDown(form.when_all_down), ()


def _shed(form: PoolForm) -> Shed | None:
    shed = form.shed
    return Shed(shed.low, shed.high, shed.settle) if isinstance(shed, ShedForm) else None
