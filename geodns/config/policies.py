"""Policies: rules in order, every name in them known, none that can never decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from geodns.config.checks import Powers
from geodns.config.findings import Findings, did_you_mean
from geodns.config.reach import contradicts, covers
from geodns.config.schema.zones import RuleForm, WhenForm
from geodns.config.tables import Entry, Tables
from geodns.config.yaml import Loc
from geodns.errors import Position
from geodns.model import Line, Nearest, Policy, Pool, Rule, Split, When

NEAREST = Policy("nearest", (Rule(When(), (Nearest(),)),))


@dataclass(frozen=True, slots=True)
class Known:
    """What others know: ids of the lines that ship with geodns, names of cities (None: not known), and what
    the settings let checks do (None: all).
    """

    lines: frozenset[str] = frozenset()
    cities: frozenset[str] | None = None
    powers: Powers | None = None


def build_lines(tables: Tables) -> Mapping[str, Line]:
    lines = {}
    for entry in tables.lines.entries.values():
        if entry.form is not None:
            form = entry.form
            networks = tuple(dict.fromkeys(form.networks))
            lines[entry.id] = Line(entry.id, form.title, frozenset(form.asns), networks, entry.position)
    return lines


class Policies:
    """All policies of a folder, the built-in `nearest` among them."""

    def __init__(self, tables: Tables, known: Known | None, findings: Findings) -> None:
        self._tables = tables
        self._known = known
        self._findings = findings
        self._judged: set[tuple[str, str]] = set()
        self.built: dict[str, Policy] = {NEAREST.id: NEAREST}
        for entry in tables.policies.entries.values():
            if entry.form is not None:
                self.built[entry.id] = self._build(entry)

    def look_up(self, name: str, zone: str, at: Position) -> str | None:
        """The id of the policy that `name` means, or None after telling."""
        if name == NEAREST.id:
            return name
        entry = self._tables.policies.look_up(name, zone, at, self._findings)
        return entry.id if entry else None

    def judge(self, policy: Policy, pool: Pool, at: Position) -> None:
        """Warn, once a pair, of rules that name only regions that the pool lacks."""
        if (policy.id, pool.id) in self._judged:
            return
        self._judged.add((policy.id, pool.id))
        held = {region.region for region in pool.regions}
        for number, rule in enumerate(policy.rules, 1):
            named = [region for step in rule.to if isinstance(step, Split) for region, _ in step.shares]
            if len(named) < len(rule.to) or held & set(named):
                continue
            message = f"rule {number} of policy '{policy.id}' names only regions that pool '{pool.id}' lacks"
            outcome = (
                "it has no answer, for it is fenced" if rule.fence else "the nearest region answers instead"
            )
            if all(isinstance(step, Split) for step in rule.to):
                self._findings.warning("empty-rule", f"{message}: {outcome}", at, f"see {rule.position}")

    def _build(self, entry: Entry) -> Policy:
        rules = tuple(self._rule(entry, number, form) for number, form in enumerate(entry.form))
        if entry.whole:
            self._judge_order(entry, rules)
        return Policy(entry.id, rules, entry.position)

    def _rule(self, entry: Entry, number: int, form: RuleForm) -> Rule:
        loc: Loc = (*entry.loc, number)
        when = self._when(entry, (*loc, "when"), form.when)
        for place, step in enumerate(form.to):
            if isinstance(step, Split):
                self._regions(entry, (*loc, "to", place), step)
        rule = Rule(when, tuple(form.to), form.fence, entry.document.position(loc))
        conflict = contradicts(when)
        if conflict:
            message = f"this rule can never match: {conflict}"
            self._findings.error("unreachable", message, rule.position)
        return rule

    def _regions(self, entry: Entry, loc: Loc, step: Split) -> None:
        for region, _ in step.shares:
            at = entry.document.key_position((*loc, region))
            self._tables.regions.look_up(region, "", at, self._findings)

    def _when(self, entry: Entry, loc: Loc, form: WhenForm) -> When:
        for number, city in enumerate(form.city):
            if self._known and self._known.cities is not None and city not in self._known.cities:
                at = entry.document.position((*loc, "city", number))
                self._findings.warning("unknown-city", f"no database knows the city '{city}'", at)
        return When(
            networks=_once(form.network),
            lines=_once([self._line(entry, (*loc, "line", n), line) for n, line in enumerate(form.line)]),
            asns=tuple(dict.fromkeys(form.asn)),
            cities=_once(form.city),
            subdivisions=_once(form.subdivision),
            countries=_once(form.country),
            continents=_once(form.continent),
        )

    def _line(self, entry: Entry, loc: Loc, name: str) -> str:
        found = self._tables.lines.find(name, entry.zone)
        if found is not None:
            return found.id
        if self._known is not None and name not in self._known.lines:
            names = {*self._tables.lines.names(entry.zone), *self._known.lines}
            hint = did_you_mean(name, names)
            self._findings.error(
                "unknown-line", f"there is no line '{name}'", entry.document.position(loc), hint
            )
        return name

    def _judge_order(self, entry: Entry, rules: tuple[Rule, ...]) -> None:
        for number, rule in enumerate(rules):
            first = next((n for n in range(number) if covers(rules[n].when, rule.when)), None)
            if first is not None:
                message = f"this rule is never reached: rule {first + 1} matches all that it matches"
                self._findings.error("unreachable", message, rule.position, "move it up, or remove it")
        if not any(rule.when == When() for rule in rules):
            hint = "end it with a rule without `when`, such as {to: nearest}"
            message = f"policy '{entry.id}' has no rule for everybody else"
            self._findings.error("no-catch-all", message, entry.position, hint)


def _once(values: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
