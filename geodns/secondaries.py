"""What secondaries get from a running server: transfers, signed replies, NOTIFY; by its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_network

import structlog
from dns.tsig import Key

from geodns.config.schema.settings import PeerForm, Settings
from geodns.config.secrets import tsig_secrets
from geodns.core.names import fold, from_text, to_text
from geodns.core.reception import Signed
from geodns.core.replay import Replay
from geodns.transfer.notify import Notifier
from geodns.transfer.outgoing import Contents, Transfers
from geodns.transfer.peers import Peer
from geodns.transfer.signed import SignedQueries
from geodns.transfer.tsig import Keyring

log = structlog.get_logger("geodns.transfer")


class Secondaries:
    """Brings the settings to the transfer room. Raises ConfigError where a key's secret is not to be had."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], clock: Callable[[], int]) -> None:
        forms = settings.transfer.keys
        secrets = tsig_secrets(forms, environ)
        keys = {name: Key(name, secrets[name], forms[name].algorithm) for name in forms}
        self.peers = tuple(_peer(form, keys) for form in settings.transfer.peers)
        payload, limit = settings.limits.udp_payload, settings.limits.transfers
        ring = Keyring(keys.values(), payload)
        self.transfers = Transfers(self.peers, ring, limit=limit, payload=payload, clock=clock)
        self.queries = SignedQueries(ring, payload)
        self.notifier = Notifier(self.peers)
        self._telling = False

    @property
    def zones(self) -> frozenset[bytes] | None:
        """The apexes of the zones that some peer may transfer, None: all."""
        named = [peer.zones for peer in self.peers]
        return None if None in named else frozenset().union(*(zones for zones in named if zones))

    def signed(self, replay: Replay) -> Signed:
        """What `replay` hands signed queries to."""
        return lambda arrival, start: self.queries.reply(arrival, start, replay.answer)

    def adopt(self, contents: Contents) -> None:
        """Transfer these zones from now on, and tell the peers of those whose serial is another."""
        before, self.transfers.contents = self.transfers.contents, contents
        missing = (self.zones or frozenset()) - contents.keys()
        if missing:
            log.warning("peers are named for zones that are not served", zones=sorted(map(to_text, missing)))
        for apex, content in contents.items():
            old = before.get(apex)
            if self._telling and content is not None and (old is None or old.serial != content.serial):
                self.notifier.announce(content)

    def begin(self) -> None:
        """Tell all peers of all zones: the server may have been away while they changed."""
        self._telling = True
        for content in self.transfers.contents.values():
            if content is not None:
                self.notifier.announce(content)


def _peer(form: PeerForm, keys: Mapping[str, Key]) -> Peer:
    return Peer(
        network=ip_network(form.address),
        key=None if form.key is None else keys[form.key],
        zones=frozenset(fold(from_text(zone)) for zone in form.zones) or None,
        notify=None if form.notify is None else (form.notify.host, form.notify.port),
    )
