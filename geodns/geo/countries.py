"""Where countries are, roughly: for clients of whom a database tells no more than the country."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Country:
    """`code` ISO 3166-1 alpha-2 (and XK); `continent` AF AN AS EU NA OC SA; `at` latitude and longitude."""

    code: str
    name: str
    continent: str
    at: tuple[float, float]


@cache
def countries() -> Mapping[str, Country]:
    """Every country by its code, from data/countries.csv."""
    text = (files("geodns") / "data" / "countries.csv").read_text(encoding="utf-8")
    return {
        row["code"]: Country(
            row["code"], row["name"], row["continent"], (float(row["latitude"]), float(row["longitude"]))
        )
        for row in csv.DictReader(text.splitlines())
    }
