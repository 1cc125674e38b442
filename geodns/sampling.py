"""The query log: some of the queries, chosen by chance, with how they were answered."""

from __future__ import annotations

from collections.abc import Callable
from random import random
from typing import TYPE_CHECKING, TypeVar

import structlog

from geodns.core.querylog import Table, entry, question

if TYPE_CHECKING:
    from geodns.app import Server

log = structlog.get_logger("geodns")

Reply = TypeVar("Reply")
Answers = Callable[[bytes, str, int], Reply]


class QueryLog:
    """One query in `log.queries` makes a line, at most `limits.logged_queries` in a second.

    `left_out` counts those beyond.
    """

    def __init__(self, server: Server) -> None:
        self.left_out = 0
        self._server = server
        self._second = 0
        self._lines = 0

    def watch(self, transport: str, door: Answers[Reply]) -> Answers[Reply]:
        """The door as it is where nothing is logged, else one that looks at what goes through it."""
        one_in = self._server.settings.log.queries
        if not one_in:
            return door
        share = 1 / one_in

        def watched(packet: bytes, client: str, limit: int) -> Reply:
            reply = door(packet, client, limit)
            if random() < share:
                self.note(transport, packet, client, reply)
            return reply

        return watched

    def note(self, transport: str, packet: bytes, client: str, reply: object) -> None:
        """Show a query that was answered, if there is room for one more line."""
        try:
            self._note(transport, packet, client, reply)
        except Exception as error:  # what is wrong with the log keeps no reply back
            log.error("a query is not logged", exc_info=error)

    def _note(self, transport: str, packet: bytes, client: str, reply: object) -> None:
        server = self._server
        if server.now != self._second:
            self._second, self._lines = server.now, 0
        if self._lines >= server.settings.limits.logged_queries:
            self.left_out += 1
            return
        self._lines += 1
        if reply is None or isinstance(reply, bytes):
            table = Table(server.replay, server.sheets, server.reading.built.slots, server.geography.locate)
            log.info("query", transport=transport, **entry(table, packet, client, reply))
        else:
            log.info("query", transport=transport, **question(packet, client), transfer=True)
