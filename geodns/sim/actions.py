"""What operators do meanwhile, one a line: `pause eu-west at 2m for 10m`. Told in docs/simulate.md."""

from __future__ import annotations

import re
from dataclasses import dataclass

from geodns.core.overrides import DOWN, FORCE, PAUSE, UP, WEIGHT, Override, value_text
from geodns.core.verbs import Change, read_weight, require
from geodns.core.world import World
from geodns.errors import GeodnsError
from geodns.sim import faults
from geodns.sim.faults import TIME, Fault, seconds, written

VERBS = ("pause", "resume", "weight", "force", "lift")
_LINE = re.compile(
    rf"(?:(?P<verb>pause|resume) (?P<on>\S+)|weight (?P<weighed>\S+) (?P<weight>\S+)|"
    rf"force (?P<forced>\S+) (?P<verdict>up|down)|lift (?P<kind>pause|weight|force) (?P<lifted>\S+)) "
    rf"at (?P<at>{TIME})(?: for (?P<lasts>{TIME}))?(?P<anyway> anyway)?"
)
FORMS = (
    "'pause S at T for D', 'resume S at T', 'weight S 40% at T', 'force S down at T' or 'lift weight S at T'"
)


@dataclass(frozen=True, slots=True)
class Action:
    """A change that is made at a moment, and taken back after `lasts` seconds if that is not 0.

    `anyway`: whatever rules that breaks (all of them are overruled).
    """

    at: float
    change: Change
    lasts: float = 0.0
    anyway: bool = False

    @property
    def text(self) -> str:
        """The action as `parse` reads it, to the millisecond."""
        change = self.change
        if change.lift:
            verb = f"{'resume' if change.kind == PAUSE else f'lift {change.kind}'} {change.subject}"
        else:
            override = Override(change.kind, change.subject, "", "", 0.0, None, change.value)
            verb = " ".join(filter(None, (change.kind, change.subject, value_text(override))))
        lasts = f" for {written(self.lasts)}" if self.lasts else ""
        return f"{verb} at {written(self.at)}{lasts}{' anyway' if self.anyway else ''}"


def event(text: str, world: World) -> Fault | Action:
    """A fault or an action from its line. Raises GeodnsError."""
    return parse(text, world) if text.strip().partition(" ")[0] in VERBS else faults.parse(text, world)


def parse(text: str, world: World) -> Action:
    """An action from its line. Raises GeodnsError, which says what is wrong with the line."""
    found = _LINE.fullmatch(" ".join(text.split()))
    if found is None:
        raise GeodnsError(f"'{text}' is no action: write {FORMS}")
    part = found.groupdict()
    change = _change(part)
    require(world, change.subject)
    if change.lift and part["lasts"]:
        raise GeodnsError(f"'{text}': what is lifted has no duration")
    at, lasts = (seconds(part[key], text) for key in ("at", "lasts"))
    if part["lasts"] and not lasts:
        raise GeodnsError(f"'{text}': a duration of 0 is none")
    return Action(at, change, lasts, bool(part["anyway"]))


def _change(part: dict[str, str | None]) -> Change:
    if part["weighed"]:
        return Change(WEIGHT, part["weighed"], value=read_weight(part["weighed"], part["weight"] or ""))
    if part["forced"]:
        return Change(FORCE, part["forced"], value=UP if part["verdict"] == "up" else DOWN)
    if part["lifted"]:
        return Change(part["kind"] or "", part["lifted"], lift=True)
    return Change(PAUSE, part["on"] or "", lift=part["verb"] == "resume")
