"""Break the core on purpose, one claim at a time, and see that a test fails: `python tests/mutate.py [WORD]`.

Each mutation is tried in a copy of the tree, so nothing here changes. With a WORD, only the mutations whose
claim holds it. Prints the rows of docs/mutations.md; ends with 1 if one survived, or no longer applies.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
TESTS = [
    "cases",
    "odds",
    "orders",
    "picks",
    "wire",
    "sheets",
    "scope",
    "replay",
    "cookies",
    "reception",
    "simulation",
]


class Mutation(NamedTuple):
    claim: str
    file: str
    old: str
    new: str


MUTATIONS = [
    Mutation(
        "a draw is strictly below its weight",
        "steer/picks.py",
        "return chance * total >> 32",
        "return min(total - 1, chance * (total + 1) >> 32)",
    ),
    Mutation(
        "weight 0 is a last resort, not an equal",
        "steer/odds.py",
        "return [(e, w) for e, w in weighed if w > 0] or weighed",
        "return [(e, w or 1) for e, w in weighed]",
    ),
    Mutation("the lowest tier serves first", "steer/odds.py", "lowest = min(e.tier", "lowest = max(e.tier"),
    Mutation(
        "a share of healthy endpoints is rounded up",
        "steer/odds.py",
        "-(-total * minimum.percent // 100)",
        "total * minimum.percent // 100",
    ),
    Mutation(
        "IPv4 decides where a region has any",
        "steer/odds.py",
        "return 4 if any(e.ipv4 is not None for e in region.endpoints) else 6",
        "return 6 if any(e.ipv6 is not None for e in region.endpoints) else 4",
    ),
    Mutation(
        "a paused region is not told, not even failing open",
        "steer/odds.py",
        "if site.paused:\n        dropped",
        "if site.paused and stage is Stage.AVAILABLE:\n        dropped",
    ),
    Mutation(
        "a paused endpoint is not told, not even failing open",
        "steer/odds.py",
        "_may(site, e, stage) and fit(site.health(e, family), stage)\n    ]",
        "fit(site.health(e, family), stage)\n    ]",
    ),
    Mutation(
        "the group behind takes what a region gives up, no more",
        "steer/odds.py",
        "left *= total * (WHOLE - share)",
        "left *= total * WHOLE",
    ),
    Mutation(
        "never probed is not told while somebody is up",
        "steer/odds.py",
        "case Stage.AVAILABLE | Stage.HELD | Stage.REDUCED:",
        "case Stage.AVAILABLE:",
    ),
    Mutation(
        "a makeshift answer heeds the recovery of the whole order",
        "steer/odds.py",
        "order[: index + 1] if stage is Stage.AVAILABLE else order",
        "order[: index + 1]",
    ),
    Mutation(
        "a split keeps its shares whatever its regions weigh",
        "steer/odds.py",
        "(site, e, w * share * (common // total))",
        "(site, e, w * share)",
    ),
    Mutation(
        "a fence keeps the implied nearest out",
        "steer/orders.py",
        "steps = rule.to if rule.fence else (*rule.to, Nearest())",
        "steps = (*rule.to, Nearest())",
    ),
    Mutation("{nearest: n} takes n", "steer/orders.py", "[:limit]:", "[:]:"),
    Mutation(
        "a rule that failed on its network was asked no more than that",
        "steer/orders.py",
        "return Uses(own=True, asn=False, geo=False)",
        "return Uses(own=False, asn=False, geo=False)",
    ),
    Mutation(
        "nearest asks for geography",
        "steer/orders.py",
        "asked = _merge(asked, Uses(own=False, asn=False, geo=True))",
        "pass",
    ),
    Mutation(
        "the narrowest block that was asked decides the scope",
        "compile/sheets.py",
        "return max(*blocks,",
        "return max(min(blocks),",
    ),
    Mutation(
        "no scope reaches into IPv4 addresses inside IPv6",
        "compile/sheets.py",
        "max(scope, plain(subnet)) if scope else 0",
        "scope",
    ),
    Mutation(
        "a sticky scope is at least a /24",
        "edns.py",
        "return 24 if subnet.family == 4 else max(56, plain(subnet))",
        "return 16 if subnet.family == 4 else max(48, plain(subnet))",
    ),
    Mutation(
        "scopes move along with an embedded IPv4",
        "replay.py",
        "scope + subnet.shift if scope else 0",
        "scope",
    ),
    Mutation(
        "a sticky split moves only the lost endpoint's clients",
        "compile/bodies.py",
        "split_slots(odds.split, named) if odds.split else",
        "",
    ),
    Mutation("the published hash", "steer/picks.py", "0xBF58476D1CE4E5B9", "0xBF58476D1CE4E5BB"),
    Mutation(
        "several answers are drawn without replacement",
        "unpacked.py",
        "        total -= weights[member]\n        weights[member] = 0\n",
        "",
    ),
    Mutation(
        "round-robin goes on from answer to answer",
        "unpacked.py",
        "tally[counter] = turn + 1",
        "tally[counter] = turn",
    ),
    Mutation(
        "turns follow the weights",
        "steer/picks.py",
        "            current[i] += w\n",
        "            current[i] += 1\n",
    ),
    Mutation(
        "the TTL is lowered to the moment of change, not under ttl_min",
        "unpacked.py",
        "max(set_.ttl_min, set_.change_at - now)",
        "max(1, set_.change_at - now)",
    ),
    Mutation(
        "the TTL of NODATA is lowered too, and never raised",
        "unpacked.py",
        "min(ttl, empty_ttl).to_bytes(4)",
        "ttl.to_bytes(4)",
    ),
    Mutation(
        "a verdict rebuilds every sheet of the pool",
        "compile/sheets.py",
        "if spec.pool not in touched:",
        "if spec.pool not in touched or index % 2:",
    ),
    Mutation(
        "a verdict that touches a pool reaches its sheets",
        "world.py",
        "frozenset(p for probe in health for p in world.pools_of.get(probe, ()))",
        "frozenset(p for probe in list(health)[:1] for p in world.pools_of.get(probe, ()))",
    ),
    Mutation(
        "an answer that does not fit is cut off whole",
        "replay.py",
        "if len(reply) > most:",
        "if len(reply) > STREAM:",
    ),
    Mutation(
        "a name is at most 255 octets",
        "wire.py",
        "while at < size and at - start < MAX_NAME:",
        "while at < size:",
    ),
    Mutation(
        "two OPT records are a format error", "wire.py", "if opt is not None or owner_end", "if owner_end"
    ),
    Mutation(
        "bits beyond the prefix make a Client Subnet malformed",
        "edns.py",
        "if address & ((1 << (bits - source)) - 1):",
        "if False:",
    ),
    Mutation(
        "what a client was told is not told to another one",
        "replay.py",
        "seen = known if known.key == hot.key else known.seen(hot.key)",
        "seen = known",
    ),
    Mutation(
        "a cookie is told to the source that it was made for",
        "replay.py",
        "if tail is None or (tail.owner and not tail.fits(client, now)):",
        "if tail is None:",
    ),
    Mutation(
        "a cookie is good for an hour",
        "cookies.py",
        "if not -AHEAD <= age <= LIFETIME:",
        "if not -AHEAD <= age:",
    ),
    Mutation(
        "what has no good cookie is not remembered",
        "reception.py",
        "if alone and not read.version and until:",
        "if alone and not read.version:",
    ),
    Mutation(
        "whatever lies below a cut gets the referral",
        "compile/build.py",
        "        if node.cut:\n            return ~self._referral(node, Body())\n",
        "",
    ),
    Mutation(
        "the question comes back as it was spelled",
        "replay.py",
        'reply = b"".join((packet[:2], heads[which], packet[12:end], body, opt))',
        'reply = b"".join((packet[:2], heads[which], packet[12:end].lower(), body, opt))',
    ),
    Mutation(
        "NODATA of a steered name is kept no longer than its record",
        "compile/build.py",
        "soa_.ttl if most is None else most",
        "soa_.ttl",
    ),
]


def copy(folder: Path) -> Path:
    tree = folder / "tree"
    kept = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*cache", "bench", "target", "synthetic")
    shutil.copytree(ROOT, tree, ignore=kept)
    return tree


def run(tree: Path, names: list[str]) -> str:
    """The first test that fails, or nothing."""
    files = [f"tests/test_{name}.py" for name in names]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *files]
    found = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    failed = re.search(r"^(?:FAILED|ERROR) tests/test_(.+?)(?: - .*)?$", found.stdout, re.MULTILINE)
    if failed and ".py::test_what_is_answered[" in failed[1]:
        return failed[1].replace(".py::test_what_is_answered[", ", ").removesuffix("]")
    if failed:
        return failed[1].replace(".py::", ", ")
    return "" if found.returncode == 0 else found.stdout[-300:] + found.stderr[-300:]


def main() -> int:
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = copy(Path(folder))
        for mutation in MUTATIONS:
            if word not in mutation.claim:
                continue
            path = tree / "geodns" / "core" / mutation.file
            whole = path.read_text("utf-8")
            if whole.count(mutation.old) < 1:
                caught = "DOES NOT APPLY ANY MORE"
            else:
                path.write_text(whole.replace(mutation.old, mutation.new, 1), "utf-8")
                caught = run(tree, TESTS) or "SURVIVED"
                path.write_text(whole, "utf-8")
            bad += caught in ("SURVIVED", "DOES NOT APPLY ANY MORE")
            print(f"| {mutation.claim} | `{mutation.file}` | {caught} |", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
