"""Secrets come from a file or the environment, never from geodns.yaml; what is wrong is one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from geodns.config.schema.settings import SecretForm
from geodns.config.secrets import MAX_SECRET, exposed, read_secret
from geodns.config.settings import load_settings
from geodns.errors import ConfigError


def in_file(path: Path, content: bytes = b"secret\n", mode: int = 0o600) -> SecretForm:
    path.write_bytes(content)
    path.chmod(mode)
    return SecretForm.model_validate({"file": path})


def test_a_secret_is_what_the_file_or_the_variable_holds_without_white_space(tmp_path: Path) -> None:
    assert read_secret(in_file(tmp_path / "key", b" one\ntwo \n"), {}) == b"one\ntwo"
    assert read_secret(SecretForm.model_validate({"env": "KEY"}), {"KEY": "secret\n"}) == b"secret"


def test_what_is_no_secret_is_told_in_one_line_with_its_source(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    wrong = [
        (in_file(tmp_path / "empty", b" \n"), "empty: holds no secret"),
        (in_file(tmp_path / "long", bytes(MAX_SECRET + 1)), "long: holds more than the 4096 octets"),
        (SecretForm.model_validate({"file": tmp_path / "none"}), "none: .* No such file"),
        (SecretForm.model_validate({"file": tmp_path}), "cannot be read: it is no file"),
        (SecretForm.model_validate({"file": tmp_path / "pipe"}), "cannot be read: it is no file"),
        (SecretForm.model_validate({"file": tmp_path / "a\0b"}), "cannot be read: embedded null"),
        (SecretForm.model_validate({"env": "KEY"}), "^KEY: the variable is not set"),
    ]
    for form, told in wrong:
        with pytest.raises(ConfigError, match=told) as raised:
            read_secret(form, {"OTHER": "x"})
        assert "\n" not in str(raised.value)


def test_files_that_everybody_can_read_are_warned_of(tmp_path: Path) -> None:
    in_file(tmp_path / "mine", mode=0o640)
    in_file(tmp_path / "open", mode=0o644)
    keys = ", ".join(f"{name}: {{secret: {{file: {name}}}}}" for name in ("mine", "open", "none"))
    path = tmp_path / "geodns.yaml"
    path.write_text(
        f"cookies: {{secrets: {{file: open}}}}\ntransfer: {{keys: {{{keys}, var: {{secret: {{env: V}}}}}}}}"
    )
    (warning,) = exposed(load_settings(path, {}, {}))
    told = "every user of this machine can read this secret"
    assert str(warning) == f"{tmp_path}/open: warning: {told} (chmod o-rwx {tmp_path}/open)"
