"""The settings of alarms: what is wrong with them is told with its place, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from geodns.cli import run
from geodns.config.secrets import exposed, webhook_secrets
from geodns.config.settings import MAX_WEBHOOKS, Settings, load_settings
from geodns.errors import ConfigError


def settings(folder: Path, text: str) -> Settings:
    (folder / "geodns.yaml").write_text(f"alarms:\n{text}\n")
    return load_settings(folder / "geodns.yaml", {}, {})


def test_webhooks_are_what_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    (tmp_path / "key").chmod(0o644)
    found = settings(
        tmp_path,
        "  certificate: 30d\n  timeout: 2s\n  command: [/bin/page, -x]\n  webhooks:\n"
        "    - {url: 'https://a.example/x?y=z', secret: {file: key}, kinds: region-out}\n"
        "    - {url: 'http://[::1]:8080'}",
    )
    assert (found.alarms.certificate, found.alarms.timeout) == (30 * 86400, 2.0)
    assert found.alarms.command == ["/bin/page", "-x"]
    first, second = found.alarms.webhooks
    assert (first.url, first.kinds, second.kinds) == ("https://a.example/x?y=z", ["region-out"], [])
    assert webhook_secrets(found.alarms.webhooks, {}) == [b"secret", None]
    assert [problem.code for problem in exposed(found)] == ["open-secret"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("  webhooks: [{url: ftp://a.example}]", "2:20: 'ftp://a.example' is no URL to send alarms to"),
        ("  webhooks: [{url: 'https://'}]", "2:20: 'https://' is no URL to send alarms to"),
        ("  webhooks: [{url: 'http://a:99999/'}]", "2:20: 'http://a:99999/' is no URL"),
        ("  webhooks: [{url: 'https://me:key@a.example'}]", "2:20: a secret does not stand here"),
        ("  webhooks: [{url: 'https://a.example', secret: s}]", "2:49: a secret does not stand here"),
        ("  webhooks: [{url: 'https://a.example', kinds: [fire]}]", "2:49: 'fire' is none of pool-failing"),
        ("  webhooks: [{secret: {env: S}}]", "2:14: .* 'url'"),
        ("  command: [page, -x]", "2:12: 'page' is no program: its whole path is needed"),
        ("  timeout: 1m", "2:12: '1m' is not between 0.1s and 10s"),
        ("  certificate: soon", "2:16: 'soon' is no duration"),
        (
            "  webhooks:\n" + "    - {url: 'http://a.example'}\n" * (MAX_WEBHOOKS + 1),
            f"2:3: there are more than {MAX_WEBHOOKS} webhooks",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"geodns.yaml:{told}"):
        settings(tmp_path, text)


def test_every_secret_that_is_not_to_be_had_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hooks = ", ".join(f"{{url: 'http://a', secret: {{{how}}}}}" for how in ("file: none", "env: NONE"))
    settings(tmp_path, f"  webhooks: [{hooks}]")
    (tmp_path / "zones").mkdir()
    (tmp_path / "zones" / "z.yaml").write_text("zone: z.test\nnameservers: {ns1: 192.0.2.53}\n")
    assert run(["check", str(tmp_path / "geodns.yaml")]) == 1
    assert capsys.readouterr().out.replace(f"{tmp_path}/", "").splitlines() == [
        "none: the secret cannot be read: No such file or directory",
        "NONE: the variable is not set, but geodns.yaml takes a secret from it",
        "2 errors, 0 warnings",
    ]
