"""Hooks with real receivers and programs: in order, signed, again where it fails, bounded."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from alarm_support import HANG, SECRET, Receiver, documented, receivers, script
from probe_support import gone, listening, self_signed

from geodns.observe import hooks, program
from geodns.observe.hooks import ATTEMPTS, LONGEST, Hook, Message, Outcome, Send, pause
from geodns.observe.webhook import Poster, name_of, signed

Telling = Callable[..., Awaitable[Hook]]


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    yield from receivers()


@pytest.fixture
async def poster() -> AsyncIterator[Poster]:
    made = Poster(time.time)
    yield made
    await made.close()


@pytest.fixture
async def telling(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Telling]:
    """Makes hooks that tell what they were given; attempts follow each other at once."""
    monkeypatch.setattr(hooks, "LONGEST", 0.01)
    tasks = []

    async def make(send: Send, *kinds: str, within: float = 5.0) -> Hook:
        hook = Hook("the hook", send, frozenset(kinds), within, lambda: 0.5)
        tasks.append(asyncio.create_task(hook.keep()))
        return hook

    yield make
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def message(key: str = "a", kind: str = "region-out") -> Message:
    content = {"id": f"id of {key}", "event": "raised", "alarm": {"key": key, "kind": kind}}
    return Message(f"id of {key}", kind, json.dumps(content).encode())


async def idle(hook: Hook) -> dict[str, int]:
    """What came of all that the hook was given, by results that are not zero."""
    async with asyncio.timeout(10):
        while hook.waiting:  # noqa: ASYNC110 - it has no event for whoever tests it
            await asyncio.sleep(0.01)
    return {result: count for result, count in hook.results.items() if count}


async def test_a_message_is_signed_and_told_once(
    receiver: Callable[..., Receiver], poster: Poster, telling: Telling
) -> None:
    to = receiver()
    hook = await telling(poster.hook(f"{to.url}/path?with=query", SECRET))
    hook.post(message())
    assert await idle(hook) == {"delivered": 1}
    assert to.got == [(True, json.loads(message().body))]
    assert hook.last == "status 204"


async def test_only_who_knows_the_secret_can_sign(
    receiver: Callable[..., Receiver], poster: Poster, telling: Telling
) -> None:
    to = receiver()
    for secret in (None, b"another"):
        hook = await telling(poster.hook(to.url, secret))
        hook.post(message())
        await idle(hook)
    assert [genuine for genuine, _ in to.got] == [False, False]


def test_the_documented_check_refuses_what_was_changed_or_is_old() -> None:
    genuine, now = documented(), int(time.time())
    assert genuine(signed(SECRET, now, b"body"), b"body", SECRET)
    assert not genuine(signed(SECRET, now, b"body"), b"bodY", SECRET)
    assert not genuine(signed(SECRET, now - 301, b"body"), b"body", SECRET)
    later = signed(SECRET, now - 301, b"body") | {"Geodns-Timestamp": str(now)}
    assert not genuine(later, b"body", SECRET)
    assert not genuine({}, b"body", SECRET)


async def test_what_fails_is_tried_again_and_the_order_is_kept(
    receiver: Callable[..., Receiver], poster: Poster, telling: Telling
) -> None:
    to = receiver(503, 429)
    hook = await telling(poster.hook(to.url, SECRET))
    for key in "abc":
        hook.post(message(key))
    assert await idle(hook) == {"delivered": 3, "retried": 2}
    assert [content["alarm"]["key"] for _, content in to.got] == ["a", "a", "a", "b", "c"]


@pytest.mark.parametrize(
    ("status", "why"), [(302, "status 302: redirects are not followed"), (404, "status 404")]
)
async def test_what_would_be_answered_in_the_same_way_is_not_tried_again(
    receiver: Callable[..., Receiver], poster: Poster, telling: Telling, status: int, why: str
) -> None:
    to = receiver(status)
    hook = await telling(poster.hook(to.url, SECRET))
    hook.post(message())
    assert await idle(hook) == {"failed": 1}
    assert hook.last == why
    assert len(to.got) == 1, "a redirect leads nowhere"


async def test_whoever_hangs_is_given_up(
    receiver: Callable[..., Receiver], poster: Poster, telling: Telling
) -> None:
    to = receiver(HANG)
    hook = await telling(poster.hook(to.url, SECRET), within=0.3)
    hook.post(message())
    assert await idle(hook) == {"delivered": 1, "retried": 1}
    assert 0.25 < to.at[1] - to.at[0] < 3


async def test_whoever_never_answers_costs_so_many_attempts_and_no_more(
    poster: Poster, telling: Telling
) -> None:
    hook = await telling(poster.hook("http://127.0.0.1:1/", SECRET))
    hook.post(message("a"))
    hook.post(message("b"))
    assert await idle(hook) == {"failed": 2, "retried": 2 * (ATTEMPTS - 1)}
    assert "127.0.0.1" in hook.last


@pytest.mark.parametrize(
    "url", ["http://a..example/", f"http://{'x' * 64}.example/", "http://[fe80::1%25none]/"]
)
async def test_a_host_that_is_none_is_an_outcome(poster: Poster, url: str) -> None:
    assert not (await poster.hook(url, None)(message())).ok


async def test_only_a_certificate_that_somebody_vouches_for_will_do(
    tmp_path: Path, receiver: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    to = receiver(certificate=self_signed(tmp_path, "localhost"))
    told = []
    for authorities in (None, tmp_path / "cert.pem"):
        if authorities:
            monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
        poster = Poster(time.time)
        told.append(await poster.hook(to.url, SECRET)(message()))
        await poster.close()
    assert [outcome.ok for outcome in told] == [False, True]
    assert "self-signed certificate" in told[0].detail
    assert len(to.got) == 1


async def test_of_too_many_the_oldest_fall_over(monkeypatch: pytest.MonkeyPatch, telling: Telling) -> None:
    monkeypatch.setattr(hooks, "MAX_WAITING", 3)
    told: list[str] = []
    gate = asyncio.Event()

    async def send(one: Message) -> Outcome:
        await gate.wait()
        told.append(one.id)
        return Outcome(True, "")

    hook = await telling(send)
    hook.post(message("first"))
    await asyncio.sleep(0.05)  # it is under way
    for key in "abcde":
        hook.post(message(key))
    assert hook.waiting == 4
    gate.set()
    assert await idle(hook) == {"delivered": 4, "overflowed": 2}
    assert told == ["id of first", "id of c", "id of d", "id of e"]


async def test_a_hook_is_told_of_the_kinds_that_it_wants(telling: Telling) -> None:
    told: list[str] = []

    async def send(one: Message) -> Outcome:
        told.append(one.kind)
        return Outcome(True, "")

    hook = await telling(send, "pool-out", "region-out")
    for kind in ("database-old", "pool-out", "region-out"):
        hook.post(message(kind=kind))
    await idle(hook)
    assert told == ["pool-out", "region-out"]
    assert (await hook.test(message(kind="test"))).ok, "a test is for everybody"


async def test_a_test_waits_for_its_turn_but_not_for_long(
    monkeypatch: pytest.MonkeyPatch, telling: Telling
) -> None:
    monkeypatch.setattr(hooks, "PATIENCE", 0.1)
    at_once = []

    async def send(one: Message) -> Outcome:
        at_once.append(one)
        await asyncio.sleep(0.5)
        at_once.remove(one)
        return Outcome(True, str(len(at_once)))

    hook = await telling(send)
    hook.post(message())
    await asyncio.sleep(0.05)
    assert await hook.test(message()) == Outcome(False, "busy with another message")
    assert await idle(hook) == {"delivered": 1}


def test_pauses_grow_up_to_a_bound_and_chance_takes_up_to_a_half() -> None:
    assert [pause(number, 0.0) for number in range(1, 9)] == [1, 2, 4, 8, 16, 32, LONGEST, LONGEST]
    assert [pause(number, 1.0) for number in range(1, 4)] == [0.5, 1, 2]


def test_a_webhook_is_told_of_by_its_host() -> None:
    assert name_of("https://hooks.example.com/services/T000/secret") == "https://hooks.example.com"
    assert name_of("http://[::1]:8080/x") == "http://[::1]:8080"


async def test_a_program_gets_the_message_on_its_input(tmp_path: Path) -> None:
    page = script(tmp_path / "page", f'echo "$1"; cat > {tmp_path}/got; env > {tmp_path}/env')
    assert await program.hook([str(page), "$HOME; `id`"])(message()) == Outcome(
        True, "exit code 0: $HOME; `id`"
    )
    assert (tmp_path / "got").read_bytes() == message().body
    assert {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()} <= {
        "PATH", "LANG", "PWD", "_", "SHLVL", "OLDPWD",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("exit 3", "exit code 3"),
        ("exec 0<&-; echo no; exit 1", "exit code 1: no"),
        ("yes", "ended: it wrote more than 64 KiB: y"),
    ],
)
async def test_a_program_that_fails_says_why(tmp_path: Path, text: str, why: str) -> None:
    assert await program.hook([str(script(tmp_path / "page", text))])(message()) == Outcome(False, why)


async def test_a_program_that_there_is_not(tmp_path: Path) -> None:
    outcome = await program.hook([str(tmp_path / "none")])(message())
    assert outcome == Outcome(False, f"cannot run {tmp_path}/none: No such file or directory")


async def test_a_program_that_takes_too_long_is_killed_with_what_it_started(
    tmp_path: Path, telling: Telling
) -> None:
    page = script(tmp_path / "page", f"sleep 60 & echo $! > {tmp_path}/pid; wait")
    hook = await telling(program.hook([str(page)]), within=0.5)
    assert await hook.test(message()) == Outcome(False, "timed out after 0.5 s")
    pid = int((tmp_path / "pid").read_text())
    assert await gone(pid), "it goes on"


async def test_what_is_not_http_is_told_without_the_url(poster: Poster) -> None:
    async def chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with listening(chat) as port:
        outcome = await poster.hook(f"http://127.0.0.1:{port}/services/secret", None)(message())
    assert not outcome.ok
    assert outcome.detail.startswith("not HTTP: ")
    assert "secret" not in outcome.detail
