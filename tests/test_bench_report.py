"""The bench's report says what was measured: goals reached and missed, what was left out, what was wrong."""

from __future__ import annotations

from typing import Any

import pytest

from bench import goals, machine, plot, report, threads
from bench.goals import NATIVE, PYTHON, Goal
from bench.results import MODES, POWERDNS, Results, Runs
from bench.workloads import KINDS, RATE, SIZES

COSTS = {
    "echo": (3.5, 3.5),
    "gdnsd": (5.0, 5.0),
    "knot": (8.0, 8.0),
    MODES[0]: (40.0, 40.0),
    MODES[1]: (22.0, 22.0),
    PYTHON: (10.0, 12.0),
    NATIVE: (4.0, 4.0),
}


def results(**others: tuple[float, float]) -> Results:
    """Two rounds of every kind and size at COSTS, in µs, or at those given by server."""
    runs = Runs(2)
    found = Results({"cpu": "a processor"}, peers=runs)
    for server, values in {**COSTS, **others}.items():
        found.servers[server] = {"title": server, "version": "1"}
        for number, cost in enumerate(values):
            for names in SIZES:
                about = {"round": number, "server": server, "names": names}
                runs.starts.append({**about, "ready_s": 1.5, "memory_mb": 20.0})
                for kind in KINDS:
                    row = {
                        "kind": kind.id,
                        "cpu_us": cost,
                        "lost": 0,
                        "sent": 9,
                        "stolen": 0.0,
                        "problem": "",
                    }
                    runs.rows.append({**about, **row, "rate": 0})
                    runs.rows.append({**about, **row, "rate": RATE, "p50_us": 30.0, "p99_us": 10 * cost})
    return found


def goal(found: Results, lane: str, what: str) -> Goal:
    return next(g for g in goals.of_lane(found, lane) if g.what == what)


class TestPeers:
    def test_shows_the_median_and_the_spread(self) -> None:
        cell = "**11.00** (10.00–12.00)"
        assert f"| {PYTHON} | {cell} | {cell} | {cell} |" in report.render(results())

    def test_shows_both_percentiles_and_the_start(self) -> None:
        text = report.render(results())
        assert "| gdnsd | 30 / 50 |" in text
        assert "| gdnsd | 1.50 s, 20 MiB |" in text

    def test_divides_by_the_cheaper_powerdns(self) -> None:
        found = results()
        assert found.peers is not None
        assert found.peers.ratio(PYTHON, POWERDNS, "plain", 1) == 0.5

    def test_says_what_was_left_out_lost_or_wrong(self) -> None:
        found = results()
        assert found.peers is not None
        found.skipped.append("Knot: knotd is not installed")
        row = next(r for r in found.peers.rows if r["server"] == "gdnsd")
        row |= {"lost": 3, "problem": "7 answers without a record"}
        text = report.render(found)
        assert "- left out: Knot: knotd is not installed" in text
        assert f"- gdnsd, {row['kind']}, 1 name, round 1: 3 of 9 queries lost" in text
        assert f"- gdnsd, {row['kind']}, 1 name, round 1: 7 answers without a record" in text
        assert report.problems(found) == ["7 answers without a record"]

    def test_a_server_that_fails_leaves_no_figures_behind(self) -> None:
        found = results()
        assert found.peers is not None
        found.peers.leave_out("gdnsd")
        assert "| gdnsd |" not in report.render(found)
        assert found.peers.ratio(PYTHON, "gdnsd", "plain", 1) is None

    def test_works_without_geodns(self) -> None:
        found = results()
        assert found.peers is not None
        for lane in (NATIVE, PYTHON):
            found.peers.leave_out(lane)
        assert "What is to be reached" not in report.render(found)

    def test_works_without_anything(self) -> None:
        assert "How it was measured" in report.render(Results({}))
        assert plot.draw(Results({})) is None

    def test_the_plot_shows_every_server_and_figure(self) -> None:
        drawn = plot.draw(results())
        assert drawn is not None
        assert b'href="http' not in drawn, "it loads nothing from anywhere"
        for shown in (*COSTS, "names that do not exist", "11.0", "40.0"):
            assert shown.encode() in drawn
        assert f"![CPU per answered query]({report.PLOT})" in report.render(results())


class TestGoals:
    """A lane's goals with what it missed, each at the sizes where it did."""

    def test_a_goal_is_reached_at_its_limit(self) -> None:
        assert "reached" in goal(results(gdnsd=(4.0, 4.0)), NATIVE, "CPU, plain ÷ gdnsd").verdict()

    def test_what_is_missed_is_told_with_its_size(self) -> None:
        found = results()
        assert found.peers is not None
        for row in found.peers.rows:
            if (row["server"], row["names"]) == (NATIVE, 100_000):
                row["cpu_us"] = 4.9
        missed = goal(found, NATIVE, "CPU, Client Subnet IPv4 ÷ gdnsd")
        assert missed.missed() == {"100,000 names": pytest.approx(0.98)}
        text = report.render(found)
        assert "0.80 / 0.80 / **0.98** (1 name / 1,000 names / 100,000 names)" in text
        assert f"- {'geodns (native lane)'}: CPU, Client Subnet IPv4 ÷ gdnsd, 100,000 names: 0.98" in text

    def test_a_limit_below_the_echo_is_called_so(self) -> None:
        """Whoever receives and sends as the echo does cannot reach it."""
        text = report.render(results(echo=(3.9, 3.9), knot=(4.5, 4.5)))
        assert "CPU, plain ÷ Knot, 1 name: 0.89, to be ≤ 0.80 (below the echo)" in text
        assert "(below the echo)" not in report.render(results(knot=(4.5, 4.5)))

    def test_the_limits_are_those_that_were_asked_for(self) -> None:
        found = results()
        limits = {g.what: g.limit for g in goals.of_lane(found, NATIVE)}
        assert limits["CPU, plain ÷ gdnsd"] == 1.0
        assert limits["CPU, Client Subnet IPv4 ÷ gdnsd"] == limits["CPU, Client Subnet IPv6 ÷ gdnsd"] == 0.95
        assert limits["CPU, plain ÷ echo"] == 1.2
        assert limits["CPU, plain ÷ Knot"] == 0.8
        assert limits["CPU, plain ÷ PowerDNS"] == 0.25
        assert limits["CPU, names that do not exist ÷ plain"] == 1.1
        assert limits["p99 at 20,000 a second, plain ÷ gdnsd"] == 1.0
        python = {g.what: g.limit for g in goals.of_lane(found, PYTHON)}
        assert python["CPU, plain ÷ gdnsd"] == python["CPU, random case ÷ gdnsd"] == 2.2
        assert python["CPU, Client Subnet IPv4 ÷ gdnsd"] == 2.6
        assert python["CPU, plain ÷ PowerDNS"] == python["CPU, Client Subnet IPv4 ÷ PowerDNS"] == 0.6
        assert python["CPU, names that do not exist ÷ plain"] == 1.5

    @pytest.mark.parametrize(
        ("counted", "missed"),
        [
            ({}, set()),
            ({"lost": 1}, {"lost"}),
            ({"mixed": 2}, {"mixed answers"}),
            ({"records": 199}, {"answers that were errors or incomplete"}),
            ({"errors": 1}, {"answers that were errors or incomplete"}),
        ],
    )
    def test_reloads_lose_and_mix_nothing(self, counted: dict[str, int], missed: set[str]) -> None:
        found = results()
        found.reload[NATIVE] = {**RELOADS, **counted}
        told = {g.what.partition(",")[0] for g in goals.of_lane(found, NATIVE) if g.missed()}
        assert told == missed
        assert "1,000 reloads under full load" in report.render(found)

    def test_flatness_is_a_servers_own(self) -> None:
        found = results()
        found.scale = {NATIVE: scaled(4.0, 6.0), "gdnsd": scaled(4.0, 4.4)}
        flat = goal(found, NATIVE, "CPU at 1,000,000 names ÷ at 1,000, plain")
        assert (flat.limit, flat.missed()) == (1.4, {"": 1.5})
        text = report.render(found)
        assert "| gdnsd | 4.40 (× 1.10) |" in text
        assert f"{NATIVE}: 5.00 s of the 20.00 s are YAML (25%)" in text

    @pytest.mark.parametrize("cores", [(0, 1), (0, 1, 2)])
    def test_two_threads_are_judged_where_they_have_room(
        self, monkeypatch: pytest.MonkeyPatch, cores: tuple[int, ...]
    ) -> None:
        monkeypatch.setattr(machine, "all_cores", lambda: cores)
        found = results()
        one = {"qps": 300_000.0, "cpu_us": 3.0, "second": 0.0, "idle": 0.1}
        found.threads[NATIVE] = {"1": one, "2": {**one, "qps": 450_000.0, "second": 0.5}}
        told = [g for g in goals.of_lane(found, NATIVE) if g.least]
        assert [g.missed() for g in told] == ([{"": 1.5}] if threads.room() else [])
        cannot = "cannot be measured here" in report.render(found)
        assert cannot is not threads.room()


RELOADS: dict[str, Any] = {
    "reloads": 1_000,
    "answered": 100,
    "records": 200,
    "lost": 0,
    "mixed": 0,
    "wrong": 0,
    "errors": 0,
    "turns": 1_000,
    "seconds": 1.0,
    "seconds_median": 0.3,
    "seconds_max": 0.5,
    "worst_p99_us": 900.0,
}


def scaled(few: float, many: float) -> dict[str, Any]:
    memory = {"memory_mb": 10.0, "peak_mb": 20.0}
    costs = [{"plain": [cost], "ecs4": [cost]} for cost in (few, many)]
    return {
        "names": 1_000_000,
        "few": {"ready_s": 0.5, **memory, "cpu_us": costs[0]},
        "many": {"ready_s": 20.0, **memory, "cpu_us": costs[1]},
        "yaml": {"seconds": 5.0, "memory_mb": 900.0},
    }
