"""The admin API's client: finds the token, sends one request, turns every refusal into one line."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.client import HTTPException
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import typer

from geodns.cli.common import Output, port_from, settings_from, usual_config
from geodns.errors import GeodnsError

PATIENCE = 15.0  # seconds for a whole call
QUIET = 60.0  # seconds without a sign of life from a stream
MAX_LINE = 1024 * 1024
MAX_REPLY = 64 * 1024 * 1024


class NoServerError(GeodnsError):
    """Nothing answers at the URL."""


class Api:
    """One admin API. `call` prints a refusal's body where JSON is wanted, for whoever parses it."""

    def __init__(self, url: str | None, token_file: Path | None, output: Output) -> None:
        self._url = (url or _usual_url()).rstrip("/")
        self._token_file = token_file
        self._output = output
        parts = urlsplit(self._url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise typer.BadParameter(f"'{url}' is no URL such as http://127.0.0.1:8053", param_hint="--url")
        self._local = _is_loopback(parts.hostname)

    def call(
        self,
        method: str,
        path: str,
        content: Mapping[str, object] | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """The reply's body. Raises NoServerError, GeodnsError with what the server says."""
        return self._admitted(method, path, content, headers)[1]

    def _accepted(self) -> str:
        """The token that the server takes."""
        return self._admitted("GET", "/api/v1/status", None, {})[0]

    def _admitted(
        self, method: str, path: str, content: Mapping[str, object] | None, headers: Mapping[str, str]
    ) -> tuple[str, str]:
        """The token that was taken, and the reply's body."""
        refused = ""
        for source, token in self._tokens():
            status, body = self._send(method, path, content, token, headers)
            if status < 300:
                return token, body
            if status != 401:
                raise self._refusal(status, body)
            refused = f"the server at {self._url} does not accept the token of {source}"
        self._is_there()
        raise GeodnsError(
            f"{refused or 'no token found'}: name the server's token file by --token-file "
            "or GEODNS_TOKEN_FILE"
        )

    def _refusal(self, status: int, body: str) -> GeodnsError:
        if self._output is Output.JSON:
            typer.echo(body, nl=False)
        try:
            problem = json.loads(body)
            return GeodnsError(str(problem["detail"]))
        except (ValueError, KeyError, TypeError):
            return GeodnsError(f"{self._url} answers {status}: is it the admin API of geodns?")

    def _is_there(self) -> None:
        self._send("GET", "/healthz", None, "", {})

    def _send(
        self,
        method: str,
        path: str,
        content: Mapping[str, object] | None,
        token: str,
        more: Mapping[str, str],
    ) -> tuple[int, str]:
        data = None if content is None else json.dumps(content).encode()
        try:
            with self._opener().open(
                self._request(method, path, data, token, more), timeout=PATIENCE
            ) as reply:
                return reply.status, _text(reply.read(MAX_REPLY + 1))
        except urllib.error.HTTPError as error:
            return error.code, _text(error.read(MAX_REPLY + 1))
        except urllib.error.URLError as error:
            raise self._no_server(error.reason) from error
        except (OSError, HTTPException, ValueError) as error:
            raise self._no_server(error) from error

    def _request(
        self, method: str, path: str, data: bytes | None, token: str, more: Mapping[str, str]
    ) -> urllib.request.Request:
        headers = {"Authorization": f"Bearer {token}", **more} if token else {}
        return urllib.request.Request(  # noqa: S310 - the scheme is checked
            self._url + path, data, {**headers, "Content-Type": "application/json"}, method=method
        )

    def lines(self, path: str, headers: Mapping[str, str]) -> Iterator[str]:
        """A reply's lines as they come, for as long as they do. Raises what `call` does."""
        token = self._accepted()
        try:
            request = self._request("GET", path, None, token, headers)
            with self._opener().open(request, timeout=QUIET) as reply:
                while raw := reply.readline(MAX_LINE):
                    yield raw.decode("utf-8", "replace").rstrip("\n")
        except urllib.error.HTTPError as error:
            raise self._refusal(error.code, _text(error.read(MAX_REPLY + 1))) from error
        except urllib.error.URLError as error:
            raise self._no_server(error.reason) from error
        except (OSError, HTTPException, ValueError) as error:
            raise self._no_server(error) from error

    def _no_server(self, why: object) -> GeodnsError:
        if isinstance(why, ConnectionRefusedError):
            return NoServerError(
                f"no geodns answers at {self._url}: start one with `geodns serve` or `make demo`, "
                "or name another by --url"
            )
        text = getattr(why, "strerror", None) or str(why) or type(why).__name__
        return NoServerError(f"no answer from {self._url}: {text}")

    def _opener(self) -> urllib.request.OpenerDirector:
        """Without redirects, which would carry the token away; without a proxy to one's own machine."""
        handlers: list[Any] = [_NoRedirect()]
        if self._local:
            handlers.append(urllib.request.ProxyHandler({}))
        return urllib.request.build_opener(*handlers)

    def _tokens(self) -> Iterator[tuple[str, str]]:
        """The tokens to try. Only a named file's token leaves this machine."""
        named = self._token_file or os.environ.get("GEODNS_TOKEN_FILE")
        if named:
            yield str(named), _read_token(Path(named))
        elif self._local:
            for path in _usual_token_files():
                if path.exists():
                    yield str(path), _read_token(path)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _usual_url() -> str:
    """Where a server started here would listen: the settings' address, the port of ADMIN_PORT if set."""
    at = settings_from(None, {}).admin.listen
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(at.host, at.host)
    return f"http://{replace(at, host=host, port=port_from('ADMIN_PORT', at.port))}"


def _usual_token_files() -> Iterator[Path]:
    from geodns.demo.endpoints import control_path

    yield control_path().with_name("token")
    if usual_config() is None:
        yield Path("token")
    else:
        yield settings_from(None, {}).admin.token_file


def _read_token(path: Path) -> str:
    try:
        with path.open("rb") as file:
            token = file.read(600).decode("latin-1").strip()
    except OSError as error:
        raise GeodnsError(f"cannot read the token file {path}: {error.strerror or error}") from error
    if not token or not token.isascii() or not token.isprintable():
        raise GeodnsError(f"the token file {path} holds no token")
    return token


def _text(raw: bytes) -> str:
    if len(raw) > MAX_REPLY:
        raise GeodnsError("the reply is larger than this command takes (64 MiB)")
    return raw.decode("utf-8", "replace")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
