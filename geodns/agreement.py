"""What the settings say that clients are told and asked for (`core.terms`), and the secrets of cookies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_network

from geodns.config.schema.settings import Settings
from geodns.config.secrets import cookie_secrets
from geodns.core.cookies import SECRET, Cookies
from geodns.core.terms import Terms

LASTS = 86400.0  # seconds until a server that was given no secret makes its next one
_EVERYBODY = {"0.0.0.0/0", "::/0"}


class Agreement:
    """`terms` are in force. `chance(n)` gives n octets that nobody can guess; `now` is in seconds.

    Without `cookies.secrets` the server makes its own: a new one each day, and yesterday's is accepted still.
    Raises ConfigError where a secret cannot be had.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], chance: Callable[[int], bytes], now: float
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._chance = chance
        self._secrets: tuple[bytes, ...] = ()
        self._since = now
        self.terms = Terms()
        self.renew(now)

    def renew(self, now: float) -> bool:
        """Look for other secrets, or make one; whether `terms` are new.

        Raises ConfigError where they cannot be had any more; the old ones stay in force.
        """
        form = self._settings.cookies.secrets
        secrets = cookie_secrets(form, self._environ) if form else self._own(now)
        if secrets == self._secrets:
            return False
        self._secrets = secrets
        self.terms = _terms(self._settings, secrets)
        return True

    def _own(self, now: float) -> tuple[bytes, ...]:
        if self._secrets and now - self._since < LASTS:
            return self._secrets
        self._since = now
        return (self._chance(SECRET), *self._secrets[:1])


def _terms(settings: Settings, secrets: tuple[bytes, ...]) -> Terms:
    identity, policy, resolvers = settings.identity, settings.cookies.policy, settings.ecs.resolvers
    return Terms(
        version=_octets(identity.version),
        server=_octets(identity.server),
        nsid=_octets(identity.nsid),
        cookies=None if policy == "off" else Cookies(secrets, require=policy == "require"),
        resolvers=None if set(resolvers) >= _EVERYBODY else tuple(map(ip_network, resolvers)),
        idle=min(0xFFFF, round(settings.limits.tcp_idle * 10)),
        transfers=bool(settings.transfer.peers),
        states=settings.extended_errors.states,
    )


def _octets(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
