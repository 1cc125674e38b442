"""The README, docs/api.md and docs/operate.md run: commands against a demo, zones through `geodns check`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import dns.name
import dns.rdatatype
import dns.zone
import pytest
from demo_support import Demo, demo
from readme_support import ROOT, Block, Plain, addresses, blocks

from geodns.config.settings import load_settings

README = blocks(ROOT / "README.md")
BLOCKS = [*README, *blocks(ROOT / "docs" / "api.md"), *blocks(ROOT / "docs" / "operate.md")]
KINDS = {"console": "run", "text": "heard", "yaml": "checked", "zone": "compared", "sh": "left out"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("readme")) as started:
        yield started


@pytest.fixture(scope="module")
def plain() -> Plain:
    return Plain(addresses((ROOT / "zones" / "gslb.example.com.yaml").read_text()))


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_is_of_a_kind_that_is_tried(block: Block) -> None:
    assert block.kind in KINDS, f"say which language {block} is in"
    if block.kind == "sh":
        assert block.comment.startswith("not run: "), f"{block} is not tried and does not say why"
    if block.kind == "text":
        assert block.comment == "said by the demo"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.kind in ("console", "text")], ids=str)
def test_the_commands_say_what_the_readme_says(
    running: Demo, plain: Plain, block: Block, required: Callable[[str], str]
) -> None:
    """In the order of the README: what one command does the next one sees."""
    for tool in ("dig", "curl"):
        required(tool)
    if block.kind == "text":
        for line in block.text.splitlines():
            running.wait_until(lambda said, line=line: plain(line) in map(plain, said.splitlines()))
        return
    for command, expected in block.commands():
        done = running.shell(_at_its_ports(command, running))
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert plain.matches(expected, done.stdout.splitlines()), f"{command}\n{done.stdout}"


def _at_its_ports(command: str, running: Demo) -> str:
    """The documents show the demo's usual ports, and its token in a variable."""
    moved = command.replace("-p 5300", f"-p {running.dns_port}").replace(":8053", f":{running.admin_port}")
    return f"TOKEN={running.token()} && {moved}"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.kind == "yaml"], ids=str)
def test_the_files_are_what_geodns_reads(block: Block, running: Demo, tmp_path: Path) -> None:
    assert block.file_name, f"{block}: begin with a comment that names the file"
    path = tmp_path / block.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text)
    if path.name == "geodns.yaml":
        load_settings(path, {}, {})
        return
    assert len(block.text.splitlines()) <= 21, "twenty lines and the name of the file"
    done = running.shell(f"geodns check {path.parent}")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "0 errors, 0 warnings"), done.stdout


def test_the_delegation_is_that_of_the_demos_zone(running: Demo) -> None:
    (block,) = [b for b in README if b.kind == "zone"]
    parent = dns.zone.from_text(f"@ 60 IN SOA . . 1 1 1 1 1\n@ 60 IN NS .\n{block.text}", "example.com.")
    told = {
        f"{name}.example.com. {dns.rdatatype.to_text(data.rdtype)} {data.to_text(parent.origin, False)}"
        for name, _, data in parent.iterate_rdatas()
        if name != dns.name.empty
    }
    served = set()
    for name, rtype in (("gslb", "NS"), ("ns1.gslb", "A"), ("ns1.gslb", "AAAA"), ("ns2.gslb", "A")):
        for line in running.shell(f"geodns ask {name}.example.com {rtype}").stdout.splitlines()[1:]:
            owner, _, kind, data = line.split()
            served.add(f"{owner} {kind} {data}")
    assert told == served
