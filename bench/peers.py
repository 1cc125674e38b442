"""The servers that geodns is measured beside, each with one worker thread (gdnsd: as many as wanted) and the
same zone and database."""

from __future__ import annotations

from bench import data, machine
from bench.server import Server, version_of

SOA = f"ns1.{data.ZONE}. hostmaster.{data.ZONE}. 1 7200 1800 1209600 30"


def master(names: int) -> str:
    """The zone as a master file: each name has the default region's first address, steered nowhere."""
    default = next(r for r in data.REGIONS if r.id == data.DEFAULT_REGION).addresses[0]
    lines = [f"$ORIGIN {data.ZONE}.", f"@ {data.TTL} SOA {SOA}", *(f"@ NS {ns}" for ns in data.NAMESERVERS)]
    lines += [f"{ns} A {address}" for ns, address in data.NAMESERVERS.items()]
    lines += [f"{name} {data.TTL} A {default}" for name in data.names(names)]
    return "\n".join(lines) + "\n"


class Echo(Server):
    """Not a name server: what receiving and sending costs with nothing in between."""

    id = "echo"
    title = "recvmmsg echo (floor)"
    is_dns = False

    @classmethod
    def executable(cls) -> str:
        return str(machine.compiled("echo"))

    def prepare(self) -> None:
        """It has no configuration."""

    def command(self) -> list[str]:
        return [self.executable(), str(self.port)]

    def verify(self) -> None:
        """It does not steer."""


class Gdnsd(Server):
    """gdnsd: plugin geoip over plugin weighted."""

    id = "gdnsd"
    title = "gdnsd (geoip, weighted)"
    program = "gdnsd"
    package = "gdnsd"

    @classmethod
    def version(cls) -> str:
        return version_of(["dpkg-query", "-W", "-f", "gdnsd ${Version}", "gdnsd"])

    def prepare(self) -> None:
        zones = self.folder / "zones"
        zones.mkdir()
        (self.folder / "config").write_text(self._config())
        lines = [f"@ SOA {SOA}", *(f"@ NS {ns}" for ns in data.NAMESERVERS)]
        lines += [f"{ns} A {address}" for ns, address in data.NAMESERVERS.items()]
        lines += [f"{name} {data.TTL} DYNA geoip!web" for name in data.names(self.names)]
        (zones / data.ZONE).write_text("\n".join(lines) + "\n")

    def _config(self) -> str:
        weighted = "\n".join(
            f"    {r.id} => {{ "
            + ", ".join(
                f"e{i} => [{a}, {w}]" for i, (a, w) in enumerate(zip(r.addresses, data.WEIGHTS, strict=True))
            )
            + " }"
            for r in data.REGIONS
        )
        countries: dict[str, list[str]] = {}
        for country, region in data.BY_COUNTRY.items():
            countries.setdefault(data.COUNTRIES[country][0], []).append(f"{country} => {self._order(region)}")
        places = "\n".join(
            f"        {c} => {{ default => {self._order(region)} {' '.join(countries.get(c, []))} }}"
            for c, region in data.BY_CONTINENT.items()
        )
        return f"""options => {{
  listen => 127.0.0.1:{self.port}
  udp_threads => {self.threads}
  tcp_threads => 1
  run_dir => {self.folder}/run
  state_dir => {self.folder}/state
  edns_client_subnet => true
}}
plugins => {{
  weighted => {{
    service_types => up
    multi => false
{weighted}
  }}
  geoip => {{
    maps => {{
      world => {{
        geoip2_db => {self.mmdb}
        datacenters => {self._order(data.DEFAULT_REGION)}
        map => {{
          default => {self._order(data.DEFAULT_REGION)}
{places}
        }}
      }}
    }}
    resources => {{
      web => {{
        map => world
        dcmap => {{ {" ".join(f"{r.id} => %weighted!{r.id}" for r in data.REGIONS)} }}
      }}
    }}
  }}
}}
"""

    @staticmethod
    def _order(first: str) -> str:
        return f"[ {', '.join([first, *(r.id for r in data.REGIONS if r.id != first)])} ]"

    def command(self) -> list[str]:
        return [self.executable(), "-c", str(self.folder), "start"]


class Knot(Server):
    """Knot DNS with mod-geoip in geodb mode; names that no rule matches fall back to the zone's own data."""

    id = "knot"
    title = "Knot (mod-geoip)"
    program = "knotd"
    package = "knot knot-module-geoip"

    @classmethod
    def version(cls) -> str:
        return version_of([cls.executable(), "-V"])

    def prepare(self) -> None:
        (self.folder / "zone").write_text(master(self.names))
        (self.folder / "geo").write_text("".join(self._geo()))
        (self.folder / "knot.conf").write_text(f"""server:
    rundir: {self.folder}
    listen: 127.0.0.1@{self.port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    edns-client-subnet: on
database:
    storage: {self.folder}/db
log:
  - target: stderr
    any: warning
mod-geoip:
  - id: world
    config-file: {self.folder}/geo
    ttl: {data.TTL}
    mode: geodb
    geodb-file: {self.mmdb}
    geodb-key: [continent/code, country/iso_code]
zone:
  - domain: {data.ZONE}
    file: {self.folder}/zone
    zonefile-load: whole
    journal-content: none
    module: mod-geoip/world
""")

    def _geo(self) -> list[str]:
        addresses = {r.id: r.addresses[0] for r in data.REGIONS}
        rules = "".join(
            f'  - geo: "{data.COUNTRIES[c][0]};{c}"\n    A: {addresses[region]}\n'
            for c, region in data.BY_COUNTRY.items()
        )
        rules += "".join(f'  - geo: "{c};*"\n    A: {addresses[r]}\n' for c, r in data.BY_CONTINENT.items())
        return [f"{name}.{data.ZONE}.:\n{rules}" for name in data.names(self.names)]

    def command(self) -> list[str]:
        return [self.executable(), "-c", str(self.folder / "knot.conf")]


class Nsd(Server):
    """NSD: the same names with one address each, the same for everybody."""

    id = "nsd"
    title = "NSD (static floor)"
    program = "nsd"
    package = "nsd"
    steers = False

    @classmethod
    def version(cls) -> str:
        return version_of([cls.executable(), "-v"])

    def prepare(self) -> None:
        (self.folder / "zone").write_text(master(self.names))
        (self.folder / "nsd.conf").write_text(f"""server:
    ip-address: 127.0.0.1@{self.port}
    server-count: 1
    username: ""
    database: ""
    zonesdir: "{self.folder}"
    pidfile: "{self.folder}/pid"
    xfrdfile: "{self.folder}/xfrd"
    xfrdir: "{self.folder}"
    zonelistfile: "{self.folder}/zonelist"
    minimal-responses: yes
    rrl-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: {data.ZONE}
    zonefile: zone
""")

    def command(self) -> list[str]:
        return [self.executable(), "-d", "-c", str(self.folder / "nsd.conf")]


class PowerDns(Server):
    """PowerDNS with the geoip backend, its packet and query caches off: the backend is what is compared."""

    id = "powerdns"
    title = "PowerDNS (geoip, caches off)"
    program = "pdns_server"
    package = "pdns-server pdns-backend-geoip"
    caches = "cache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\n"

    @classmethod
    def version(cls) -> str:
        return (
            version_of([cls.executable(), "--version"]).partition("PowerDNS")[2].partition("(C)")[0].strip()
        )

    def prepare(self) -> None:
        (self.folder / "zones.yaml").write_text("\n".join(self._zone()) + "\n")
        (self.folder / "pdns.conf").write_text(
            f"""launch=geoip
geoip-zones-file={self.folder}/zones.yaml
geoip-database-files=mmdb:{self.mmdb}
edns-subnet-processing=yes
local-address=127.0.0.1
local-port={self.port}
socket-dir={self.folder}
receiver-threads=1
distributor-threads=1
retrieval-threads=1
signing-threads=1
daemon=no
guardian=no
disable-syslog=yes
write-pid=no
loglevel=3
security-poll-suffix=
{self.caches}"""
        )

    def _zone(self) -> list[str]:
        """A service expands to the first of its names that has records.

        Every country is listed, so that the first one hits: no expansion is done twice.
        """
        lines = [
            "domains:",
            f"- domain: {data.ZONE}",
            f"  ttl: {data.TTL}",
            "  records:",
            f"    {data.ZONE}:",
        ]
        lines.append(f"      - soa: {SOA}".replace(". ", " "))
        lines += [f"      - ns: {ns}.{data.ZONE}" for ns in data.NAMESERVERS]
        for ns, address in data.NAMESERVERS.items():
            lines += [f"    {ns}.{data.ZONE}:", f"      - a: {address}"]
        targets = {country.lower(): data.region_of(country) for country in data.COUNTRIES}
        for label, region in {**targets, "default": data.region_of("DE")}.items():
            lines.append(f"    {label}.web.{data.ZONE}:")
            for address, weight in zip(region.addresses, data.WEIGHTS, strict=True):
                lines += ["      - a:", f"          content: {address}", f"          weight: {weight}"]
        lines.append("  services:")
        expansions = f"'%cc.web.{data.ZONE}', 'default.web.{data.ZONE}'"
        return lines + [f"    {name}.{data.ZONE}: [ {expansions} ]" for name in data.names(self.names)]

    def command(self) -> list[str]:
        return [self.executable(), f"--config-dir={self.folder}"]


class PowerDnsCached(PowerDns):
    """The same with its default caches: within their 20 s it hands out one draw again and again."""

    id = "powerdns-cached"
    title = "PowerDNS (geoip, default caches)"
    caches = ""
