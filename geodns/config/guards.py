"""Guards: the rules that a pool has of its own, its zone's, and those for all."""

from __future__ import annotations

from geodns.config.findings import Findings
from geodns.config.schema.guards import GuardForm
from geodns.config.tables import Entry, Tables
from geodns.config.yaml import Loc
from geodns.model import Guard


class Guards:
    """The guards of a folder, each checked once."""

    def __init__(self, tables: Tables, findings: Findings) -> None:
        self._tables = tables
        self._findings = findings
        self._built: list[tuple[str, Guard]] = []  # with the zone in whose pools it holds; empty: in all
        for entry in tables.guards.entries.values():
            if entry.form is not None:
                self._judge_id(entry)
                self._built.append((entry.zone, self._build(entry, entry.form, entry.loc)))

    def of(self, pool: Entry) -> tuple[Guard, ...]:
        """All that hold in a pool."""
        held = [guard for zone, guard in self._built if zone in ("", pool.zone)]
        if "guard" not in pool.form.model_fields_set:
            return tuple(held)
        loc: Loc = (*pool.loc, "guard")
        own = self._build(pool, pool.form.guard, loc)
        if pool.whole:
            self._judge_own(own, pool, loc)
        return (own, *held)

    def _build(self, entry: Entry, form: GuardForm, loc: Loc) -> Guard:
        for number, region in enumerate(form.never_pause_together):
            at = entry.document.position((*loc, "never_pause_together", number))
            self._tables.regions.look_up(region, "", at, self._findings)
        together = tuple(dict.fromkeys(form.never_pause_together))
        if entry.whole and len(together) == 1:
            message = "a region alone cannot be paused together with another"
            at = entry.document.position((*loc, "never_pause_together"))
            self._findings.error("bad-guard", message, at, "name at least two")
        if entry.whole and not form.model_fields_set:
            hint = "write at_least, never_pause_together or max_paused_capacity"
            at = entry.document.key_position(loc)
            self._findings.error("bad-guard", "the guard has no rule", at, hint)
        return Guard(entry.id, form.at_least or 0, together, form.max_paused_capacity)

    def _judge_id(self, entry: Entry) -> None:
        """A rule is overruled by a name, which must mean one."""
        pool = self._tables.pools.entries.get(entry.id)
        if pool is not None:
            message = f"the rules of '{entry.id}' could be meant or those of the pool at {pool.position}"
            self._findings.error("shadowed", message, entry.position, "rename one of them")

    def _judge_own(self, guard: Guard, pool: Entry, loc: Loc) -> None:
        held = pool.form.regions
        if guard.at_least > len(held):
            message = f"the pool has only {len(held)} of at least {guard.at_least} regions"
            at = pool.document.position((*loc, "at_least"))
            self._findings.error("impossible-minimum", message, at)
        for region in guard.never_together:
            if region not in held:
                at = pool.document.position((*loc, "never_pause_together"))
                self._findings.error("not-in-pool", f"the pool has no region '{region}'", at)
