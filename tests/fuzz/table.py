"""The table that the harnesses ask: everything that a zone can hold, and clients that differ by place."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from geodns.core.compile.ahead import sets_ahead
from geodns.core.cookies import Cookies
from geodns.core.terms import Terms
from geodns.model import Model
from tests.core_support import Lab, Places, read

NOW = 1_700_000_000
SHARED = """
regions: {south: {at: [23, 113]}, north: {at: [50, 8]}, west: {at: [45, -122]}}
checks: {up: {type: tcp, port: 80}}
"""
PLACES: Places = {
    "10.1.0.0/16": {"country": "CN", "asn": 4134},
    "10.2.0.0/16": {"country": "DE"},
    "2001:db8::/32": {"country": "CN"},
    "2001:db8:8000::/33": {"country": "DE"},
}
CLIENTS = ("198.18.0.1", "10.1.2.3", "10.2.3.4", "2001:db8::1", "2001:db8:8000::1", "::ffff:10.1.2.3")
_MANY = ", ".join(f"198.51.100.{i}" for i in range(60))
_LONG = ".".join(letter * 60 for letter in "abc")
ZONES = {
    "z.test.yaml": f"""
zone: z.test
ttl: 30
nameservers: {{ns: [192.0.2.53, "2001:db8::53"]}}
policies: {{p: [{{when: {{country: CN}}, to: {{south: 3, north: 1}}}}, {{to: nearest}}]}}
pools:
  web: {{policy: p, regions: {{south: [192.0.2.1, 192.0.2.2], north: ["2001:db8::1", 192.0.2.3]}}}}
  cdn: {{policy: p, regions: {{south: {{target: s.cdn.test.}}, north: {{target: n.cdn.test.}}}}}}
  many: {{policy: nearest, answers: all, regions: {{south: [{_MANY}]}}}}
  off: {{policy: nearest, regions: {{west: 192.0.2.5}}}}
  broken: {{policy: nearest, check: up, regions: {{south: 192.0.2.6}}}}
  doubtful: {{policy: nearest, check: up, answers: all, regions: {{south: [192.0.2.7, 192.0.2.8]}}}}
  six: {{policy: p, when_all_down: nodata, regions: {{south: "2001:db8::2"}}}}
records:
  "@": {{MX: 10 mail.z.test., TXT: [v=spf1 -all, {"x" * 200}], CAA: 0 issue "ca.test"}}
  www: {{steer: web}}
  img: {{steer: cdn}}
  many: {{steer: many}}
  six: {{steer: six}}
  off: {{steer: off}}
  broken: {{steer: broken}}
  doubtful: {{steer: doubtful}}
  stick: {{steer: {{pool: web, pick: sticky}}}}
  turns: {{steer: {{pool: web, pick: round-robin, answers: all}}}}
  two: {{steer: {{pool: many, answers: 2}}}}
  alias: {{CNAME: www}}
  a1: {{CNAME: a2}}
  a2: {{CNAME: a1}}
  mail: {{A: [{", ".join(f"203.0.113.{i}" for i in range(90))}]}}
  static: {{A: 192.0.2.9, TXT: [hello, world], HTTPS: 1 . alpn=h2, TYPE65280: \\# 2 c00c}}
  _sip._tcp: {{SRV: [10 5 5060 mail.z.test., 20 5 5060 www.far.test.]}}
  "*.w": {{A: 192.0.2.8, TXT: wild}}
  a.b.c.w: {{A: 192.0.2.7}}
  sub: {{NS: [ns.sub.z.test., ns.far.test.], DS: 1 8 2 {"00" * 32}}}
  ns.sub: {{A: 192.0.2.54}}
  moved: {{DNAME: w}}
  round: {{DNAME: moved}}
  self: {{DNAME: x.self.z.test.}}
  long: {{DNAME: {_LONG}.far.test.}}
  away: {{DNAME: d0.far.test.}}
  to-steered: {{DNAME: s.far.test.}}
""",
    "far.test.yaml": """
zone: far.test
ttl: 60
nameservers: {ns: 192.0.2.54}
records:
  www: {CNAME: www.z.test.}
  www.s: {CNAME: www.z.test.}
  img.s: {CNAME: img.z.test.}
  mail.s: {CNAME: mail.z.test.}
"""
    + "".join(f"  d{i}: {{DNAME: d{i + 1}}}\n" for i in range(10))
    + "  a.d10: {A: 192.0.2.3}\n",
}


STATE = {"paused": ["west"], "down": ["broken"], "doubt": {"doubtful/south/192.0.2.7": NOW + 25}}
TERMS = Terms(
    version=b"geodns",
    server=b"server",
    nsid=b"nsid",
    cookies=Cookies((bytes(range(16)), bytes(16))),
    idle=100,
    transfers=True,
    states=True,
)


@cache
def model() -> Model:
    with tempfile.TemporaryDirectory() as folder:
        return read(Path(folder), {"_shared.yaml": SHARED, **ZONES})


def lab(terms: Terms = TERMS) -> Lab:
    """An answering core over this table as it is put into service: it has never been asked anything."""
    found = Lab(model(), PLACES, terms=terms)
    for _ in sets_ahead(found.built.sheets, found.model.pools, found.model.policies):
        pass
    found.state(STATE)
    found.now = NOW
    return found
