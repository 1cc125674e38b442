"""Who is told of alarms: each hook has a queue, is told of one at a time, in order, again where that fails.

How it is told is another's (`webhook`, `program`); what stays the same is here. Bounded are the queue, the
time and the number of attempts; what falls over is counted.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog

MAX_WAITING = 1000  # messages of one hook
ATTEMPTS = 10  # for one message: over four minutes of them
LONGEST = 60.0  # seconds between two attempts
PATIENCE = 12.0  # seconds for a test, the one that is being told included

log = structlog.get_logger("geodns.alarms")


class Message(NamedTuple):
    """What is told, as JSON; `id` is the same at each attempt."""

    id: str
    kind: str
    body: bytes


class Outcome(NamedTuple):
    """How an attempt ended, in a few words; `final`: another one would end in the same way."""

    ok: bool
    detail: str
    final: bool = False


Send = Callable[[Message], Awaitable[Outcome]]


class Hook:
    """`send` makes one attempt; it is cancelled after `timeout` seconds. `kinds`: empty for all. `chance`
    gives numbers from 0 to 1. `results` counts messages `delivered`, `failed` and those that `overflowed`,
    and attempts that were `retried`; `last` is what the last attempt found.
    """

    def __init__(
        self, name: str, send: Send, kinds: frozenset[str], timeout: float, chance: Callable[[], float]
    ) -> None:
        self.name = name
        self.results: Counter[str] = Counter(delivered=0, failed=0, overflowed=0, retried=0)
        self.last = ""
        self._send = send
        self._kinds = kinds
        self._timeout = timeout
        self._chance = chance
        self._waiting: deque[Message] = deque()
        self._under_way = False
        self._more = asyncio.Event()
        self._turn = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """How many messages are not told yet, or given up."""
        return len(self._waiting) + self._under_way

    def post(self, message: Message) -> None:
        """Tell this soon; where too many wait already the oldest of them is not told any more."""
        if self._kinds and message.kind not in self._kinds:
            return
        if len(self._waiting) == MAX_WAITING:
            self._waiting.popleft()
            self.results["overflowed"] += 1
        self._waiting.append(message)
        self._more.set()

    async def keep(self) -> None:
        """Tell what waits, for ever."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                self._under_way = True
                try:
                    await self._deliver(self._waiting.popleft())
                finally:
                    self._under_way = False

    async def test(self, message: Message) -> Outcome:
        """One attempt with a message of any kind, now; what came of it."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._attempt(message)
        except TimeoutError:
            return Outcome(False, "busy with another message")

    async def _deliver(self, message: Message) -> None:
        for number in range(ATTEMPTS):
            if number:
                self.results["retried"] += 1
                await asyncio.sleep(pause(number, self._chance()))
            outcome = await self._attempt(message)
            if outcome.ok:
                self.results["delivered"] += 1
                return
            log.warning("a hook was not told", hook=self.name, why=outcome.detail, attempt=number + 1)
            if outcome.final:
                break
        self.results["failed"] += 1
        log.error("a hook is not told any more", hook=self.name, message=message.id)

    async def _attempt(self, message: Message) -> Outcome:
        async with self._turn:
            try:
                async with asyncio.timeout(self._timeout):
                    outcome = await self._send(message)
            except TimeoutError:
                outcome = Outcome(False, f"timed out after {self._timeout:g} s")
            except Exception as error:  # what a stranger's server can trigger in us is this attempt's failure
                log.exception("a hook failed unexpectedly", hook=self.name)
                outcome = Outcome(False, f"unexpected {type(error).__name__}")
        self.last = outcome.detail
        return outcome


def pause(number: int, chance: float) -> float:
    """Seconds before another attempt after `number` that failed: twice as long each time, up to a bound, of
    which chance (0 to 1) takes up to a half.
    """
    return float(min(LONGEST, 2.0 ** (number - 1))) * (1 - chance / 2)
