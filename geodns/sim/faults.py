"""Faults, one a line: `region eu-west down at 60s for 5m`. The grammar is told in docs/simulate.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from geodns.core import duration
from geodns.errors import GeodnsError
from geodns.model import Model

_LINE = re.compile(
    r"(?:region (?P<region>\S+) (?:(?P<down>down)|flaps every (?P<every>[0-9][0-9a-z.]*)|"
    r"fails (?P<share>[0-9]{1,3})%)|(?P<prober>prober isolated)|clock steps (?P<step>[+-]?[0-9][0-9a-z.]*)) "
    r"at (?P<at>[0-9][0-9a-z.]*)(?: for (?P<lasts>[0-9][0-9a-z.]*))?"
)
_FORMS = (
    "write 'region R down at T for D', 'region R flaps every D at T for D', 'region R fails 30% at T for D', "
    "'prober isolated at T for D' or 'clock steps -30s at T'"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What fails from `at` until `until` (virtual seconds). No `region`: the prober, or the clock by `step`.

    `every`: seconds between going and coming; `share`: how much of what is sent to the region is lost.
    """

    at: float
    until: float
    region: str = ""
    share: float = 1.0
    every: float = 0.0
    step: float = 0.0

    @property
    def line(self) -> str:
        """The fault as `parse` reads it, to the millisecond."""
        if self.step:
            return f"clock steps {self.step:+.3f}s at {self.at:.3f}s"
        how = f"flaps every {self.every:.3f}s" if self.every else "down"
        how = how if self.share == 1 else f"fails {self.share:.0%}"
        what = f"region {self.region} {how}" if self.region else "prober isolated"
        return f"{what} at {self.at:.3f}s for {self.until - self.at:.3f}s"

    def loss(self, now: float) -> float:
        """The share that is lost at a moment."""
        if not self.at <= now < self.until or (self.every and (now - self.at) // self.every % 2):
            return 0.0
        return self.share


def parse(text: str, model: Model) -> Fault:
    """A fault from its line. Raises GeodnsError, which quotes the line."""
    found = _LINE.fullmatch(" ".join(text.split()))
    if found is None:
        raise GeodnsError(f"fault '{text}': {_FORMS}")
    part = found.groupdict()
    if part["region"] is not None and part["region"] not in model.regions:
        raise GeodnsError(f"fault '{text}': no region {part['region']}; there are {', '.join(model.regions)}")
    if (part["lasts"] is None) != (part["step"] is not None):
        raise GeodnsError(f"fault '{text}': {_FORMS}")
    if int(part["share"] or 100) > 100:
        raise GeodnsError(f"fault '{text}': no more than 100% can fail")
    try:
        at, lasts, every, step = (
            duration.parse(part[key].lstrip("+-")) if part[key] else 0.0
            for key in ("at", "lasts", "every", "step")
        )
    except duration.BadDurationError as error:
        raise GeodnsError(f"fault '{text}': {error}") from error
    if (part["every"] and not every) or (part["lasts"] and not lasts):
        raise GeodnsError(f"fault '{text}': a duration of 0 is none")
    step = -step if (part["step"] or "").startswith("-") else step
    share = int(part["share"] or 100) / 100
    return Fault(at, at + lasts, part["region"] or "", share, every, step)


def invent(chance: Random, regions: tuple[str, ...], length: float) -> tuple[Fault, ...]:
    """Some faults by chance, each over before the last third of the time begins."""
    found = []
    for _ in range(chance.randrange(1, 4)):
        at = round(chance.uniform(0, length / 3), 3)
        until = round(at + chance.uniform(0.3, 1) * length / 3, 3)
        region = chance.choice(regions)
        match chance.randrange(6):
            case 0:
                found.append(Fault(at, until, region, every=round(chance.uniform(1, 30), 3)))
            case 1:
                found.append(Fault(at, until, region, share=chance.randrange(1, 100) / 100))
            case 2:
                found.append(Fault(at, until))
            case 3:
                found.append(Fault(at, at, step=chance.choice((-30.0, 30.0, 3600.0))))
            case _:
                found.append(Fault(at, until, region))
    return tuple(found)
