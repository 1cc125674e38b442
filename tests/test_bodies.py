"""What dnslib packs for the table is, octet for octet, what RFC 1035 §4.1.3 says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from geodns.core import wire
from geodns.core.compile.bodies import QNAME, record

OWNERS = st.lists(st.binary(min_size=1, max_size=20), max_size=10).map(
    lambda parts: b"".join(bytes([len(p)]) + p for p in parts) + b"\0"
)


@given(
    st.just(QNAME) | OWNERS,
    st.integers(1, 65535).filter(lambda t: t != wire.OPT),
    st.integers(0, 604800),
    st.binary(max_size=600),
)
def test_a_record_is_owner_type_class_ttl_and_rdata(owner: bytes, rtype: int, ttl: int, rdata: bytes) -> None:
    assert record(owner, rtype, ttl, rdata) == wire.record(owner, rtype, ttl, rdata)
