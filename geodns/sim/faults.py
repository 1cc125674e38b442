"""Faults, one a line: `region eu-west down at 60s for 5m`. The grammar is told in docs/simulate.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from geodns.core import duration
from geodns.core.overrides import Subject
from geodns.core.place import Place
from geodns.core.verbs import require
from geodns.core.world import World
from geodns.errors import GeodnsError

MOST_FLAPS = 10_000  # comings and goings of one fault
TIME = r"[0-9][0-9a-z.]*"
_LINE = re.compile(
    rf"(?:region (?P<subject>\S+) "
    rf"(?:(?P<down>down)|flaps every (?P<every>{TIME})|"
    rf"fails (?P<share>[0-9]{{1,3}})%|dies over (?P<rising>{TIME}))"
    rf"(?: from (?:line (?P<line>\S+)|AS(?P<asn>[0-9]{{1,10}})))?|"
    rf"(?P<prober>prober isolated)|clock steps (?P<step>[+-]?{TIME})) "
    rf"at (?P<at>{TIME})(?: for (?P<lasts>{TIME}))?"
)
FORMS = (
    "region R down at T for D",
    "region R flaps every D at T for D",
    "region R fails 30% at T for D",
    "region R dies over D at T for D",
    "prober isolated at T for D",
    "clock steps -30s at T",
)


def within(subject: str, endpoint: Subject) -> bool:
    """Whether a region, a pool's region or an endpoint, as written, is or holds an endpoint."""
    parts = Subject.parse(subject)
    return all(part in ("", mine) for part, mine in zip(parts, endpoint, strict=True))


@dataclass(frozen=True, slots=True)
class Fault:
    """What fails from `at` until `until` (virtual seconds). No `subject`: the prober, or the clock by `step`.

    `subject` is a region, one pool in it, or one endpoint, as in core.overrides. `share`: how much of what is
    sent there is lost, once it has risen evenly for `rising` seconds. `every`: seconds between going and
    coming. `line`, `asn`: only clients of that carrier lose it, and no probe does.
    """

    at: float
    until: float
    subject: str = ""
    share: float = 1.0
    every: float = 0.0
    rising: float = 0.0
    step: float = 0.0
    line: str = ""
    asn: int = 0

    @property
    def text(self) -> str:
        """The fault as `parse` reads it, to the millisecond."""
        if self.step:
            return (
                f"clock steps {'+' if self.step > 0 else '-'}{written(abs(self.step))} at {written(self.at)}"
            )
        how = f"fails {self.share:.0%}" if self.share < 1 else "down"
        how = f"flaps every {written(self.every)}" if self.every else how
        how = f"dies over {written(self.rising)}" if self.rising else how
        what = f"region {self.subject} {how}{self._whom}" if self.subject else "prober isolated"
        return f"{what} at {written(self.at)} for {written(self.until - self.at)}"

    @property
    def _whom(self) -> str:
        return f" from line {self.line}" if self.line else f" from AS{self.asn}" if self.asn else ""

    @property
    def partial(self) -> bool:
        """Whether it is some carrier's clients only who lose what probes reach."""
        return bool(self.line or self.asn)

    def holds(self, endpoint: Subject) -> bool:
        return bool(self.subject) and within(self.subject, endpoint)

    def concerns(self, place: Place) -> bool:
        """Whether clients of a place lose what the fault holds."""
        return not self.partial or self.line in place.lines or (self.asn != 0 and self.asn == place.asn)

    def loss(self, now: float) -> float:
        """The share that is lost at a moment."""
        if not self.at <= now < self.until or (self.every and self._phase(now) % 2):
            return 0.0
        return self.share * min(1.0, (now - self.at) / self.rising) if self.rising else self.share

    def lasts(self, now: float) -> float:
        """Until when all is lost as it is at a moment; that moment where it is not."""
        if self.loss(now) < 1:
            return now
        return min(self.at + (self._phase(now) + 1) * self.every, self.until) if self.every else self.until

    def _phase(self, now: float) -> int:
        """How often a flapping fault has gone or come; at the edge it has."""
        return int((now - self.at) / self.every + 1e-9)

    def edges(self) -> list[float]:
        """When it begins and ends to be felt, or to be felt whole."""
        inner = [self.at + self.rising] if self.rising else []
        if self.every:
            inner = [self.at + self.every * i for i in range(1, int((self.until - self.at) / self.every) + 1)]
        return [self.at, *(at for at in inner if at < self.until), self.until]


def parse(text: str, world: World) -> Fault:
    """A fault from its line. Raises GeodnsError, which says what is wrong with the line."""
    found = _LINE.fullmatch(" ".join(text.split()))
    if found is None:
        raise GeodnsError(f"'{text}' is no fault: write {_listed()}")
    part = found.groupdict()
    if part["subject"] is not None:
        require(world, part["subject"])
    if (part["lasts"] is None) != (part["step"] is not None):
        raise GeodnsError(f"'{text}' is no fault: write {_listed()}")
    if int(part["share"] or 100) > 100:
        raise GeodnsError(f"'{text}': no more than 100% can fail")
    at, lasts, every, rising, step = (
        seconds(part[key], text) for key in ("at", "lasts", "every", "rising", "step")
    )
    if not all(value for key, value in (("every", every), ("lasts", lasts), ("rising", rising)) if part[key]):
        raise GeodnsError(f"'{text}': a duration of 0 is none")
    if every and lasts / every > MOST_FLAPS:
        raise GeodnsError(f"'{text}': more than {MOST_FLAPS} comings and goings")
    step = -step if (part["step"] or "").startswith("-") else step
    share = int(part["share"] or 100) / 100
    subject, line, asn = part["subject"] or "", part["line"] or "", int(part["asn"] or 0)
    return Fault(at, at + lasts, subject, share, every, rising, step, line, asn)


def _listed() -> str:
    return ", ".join(f"'{form}'" for form in FORMS[:-1]) + f" or '{FORMS[-1]}'"


def seconds(text: str | None, line: str) -> float:
    """A duration that stands in a line, 0 where there is none. Raises GeodnsError."""
    try:
        return duration.parse(text.lstrip("+-")) if text else 0.0
    except duration.BadDurationError as error:
        raise GeodnsError(f"'{line}': {error}") from error


def written(seconds: float) -> str:
    """Seconds as `seconds` reads them, to the millisecond."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def invent(chance: Random, subjects: tuple[str, ...], length: float) -> tuple[Fault, ...]:
    """Some faults by chance, each over before the last third of the time begins."""
    found = []
    for _ in range(chance.randrange(1, 4)):
        at = round(chance.uniform(0, length / 3), 3)
        until = round(at + chance.uniform(0.3, 1) * length / 3, 3)
        subject = chance.choice(subjects)
        match chance.randrange(7):
            case 0:
                found.append(Fault(at, until, subject, every=round(chance.uniform(1, 30), 3)))
            case 1:
                found.append(Fault(at, until, subject, share=chance.randrange(1, 100) / 100))
            case 2:
                found.append(Fault(at, until))
            case 3:
                found.append(Fault(at, at, step=chance.choice((-30.0, 30.0, 3600.0))))
            case 4:
                rising = round(chance.uniform(0.1, 0.9) * (until - at), 3)
                found.append(Fault(at, until, subject, rising=rising))
            case _:
                found.append(Fault(at, until, subject))
    return tuple(found)
