"""DNS Cookies (RFC 7873) of the kind that all servers can make (RFC 9018): who has one is who he says he is.

A server cookie is a version, a time and a SipHash-2-4 of these, the client's cookie and its address under a
secret. Nothing is kept: whoever knows the secret can tell a good one, so servers that share an address share
the secret.
"""

from __future__ import annotations

from functools import lru_cache
from hmac import compare_digest
from ipaddress import ip_address
from typing import NamedTuple

from siphash24 import siphash24

CLIENT = 8  # octets of a client's cookie, which comes first
SIZES = (CLIENT, *range(16, 41))  # octets of the option (RFC 7873 §4)
SECRET = 16  # octets
LIFETIME = 3600  # seconds for which a server cookie is good (RFC 9018 §4.3)
RENEWED = 1800  # seconds after which another one is given
AHEAD = 300  # seconds by which another server's clock may be ahead
_VERSION = b"\1\0\0\0"


class Examined(NamedTuple):
    """What a cookie option comes to. `value` is the option to answer with, `state` what was brought along.

    `new`: only a client's cookie; `good`; `bad`: made under no secret of ours, for another address, or too
    long ago. `until` (Unix seconds): until then the same option gets the same answer, 0: not at all.
    """

    value: bytes
    state: str
    until: int


class Cookies:
    """`secrets` are of 16 octets: the first one makes cookies, all are accepted. Raises ValueError.

    `require`: over UDP a client that speaks of cookies is answered only with a good one (RFC 7873 §5.2.3).
    """

    def __init__(self, secrets: tuple[bytes, ...], *, require: bool = False) -> None:
        if not secrets or any(len(secret) != SECRET for secret in secrets):
            raise ValueError(f"a cookie's secret has {SECRET} octets")
        self.secrets = secrets
        self.require = require

    def examine(self, value: bytes, client: str, now: int) -> Examined | None:
        """Look at an option's value from a client's address; None where it is malformed."""
        if len(value) not in SIZES:
            return None
        address = _packed(client)
        theirs, made = value[:CLIENT], value[CLIENT : CLIENT + 8]
        for secret in self.secrets if len(value) == 24 and value[8] == 1 else ():
            if not compare_digest(value[16:], _hash(secret, theirs + made + address)):
                continue
            age = now - int.from_bytes(made[4:]) & 0xFFFFFFFF
            age -= (age & 0x80000000) << 1  # RFC 1982: the clock goes round
            if not -AHEAD <= age <= LIFETIME:
                break
            if age <= RENEWED and secret is self.secrets[0]:
                return Examined(value, "good", now + RENEWED - age + 1)
            return Examined(self._make(theirs, address, now), "good", 0)
        return Examined(self._make(theirs, address, now), "bad" if made else "new", 0)

    def _make(self, theirs: bytes, address: bytes, now: int) -> bytes:
        made = _VERSION + (now & 0xFFFFFFFF).to_bytes(4)
        return theirs + made + _hash(self.secrets[0], theirs + made + address)


@lru_cache(maxsize=1 << 14)
def _packed(client: str) -> bytes:
    return ip_address(client.partition("%")[0]).packed


def _hash(secret: bytes, data: bytes) -> bytes:
    found: bytes = siphash24(data, key=secret).digest()
    return found
