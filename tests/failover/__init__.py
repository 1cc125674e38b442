"""Backends are killed, hung and restored while clients ask: how long until what geodns says is right again.

Real processes behind real probes, answers from the server itself and through unbound with its cache, under a
load of dnsperf. `python -m tests.failover` is the long run, tests/e2e/test_kills.py a short one.
"""
