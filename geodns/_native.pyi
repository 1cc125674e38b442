"""The border between Python and the native lane (native/src/border.rs): compiled data in, counters and replies out."""

LAYOUT: str
"""SHA-256 of `core/table.py` and this file, as they were when the library was built."""
SOURCES: str
"""SHA-256 of all that the library was built from."""
