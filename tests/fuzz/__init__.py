"""Whatever a client sends: harnesses that libFuzzer (atheris) drives, and the seeds that it starts from.

A harness is a module with `target()`, which sets up and returns what judges one input; anything that it
raises is a finding. `python -m tests.fuzz` drives them, `tests/test_fuzz.py` replays every seed.
"""
