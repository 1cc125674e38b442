"""ISO 3166-1 countries and their continents, from the table that ships with geodns."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources

CONTINENTS = ("AF", "AN", "AS", "EU", "NA", "OC", "SA")


@cache
def countries() -> Mapping[str, str]:
    """Country code to continent code."""
    table = resources.files("geodns").joinpath("data", "countries.csv").read_text("utf-8")
    return {row["code"]: row["continent"] for row in csv.DictReader(table.splitlines())}
