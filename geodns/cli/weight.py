"""`geodns weight SUBJECT WEIGHT`: the share of its clients that a region keeps, or an endpoint's weight."""

from __future__ import annotations

from typing import Annotated

import typer

from geodns.cli.changing import Planning, SubjectArgument, takes, tell

WeightArgument = Annotated[
    str, typer.Argument(metavar="WEIGHT", help="40% of a region's clients, or an endpoint's number.")
]


@takes(Planning)
def weight(subject: SubjectArgument, value: WeightArgument, asked: Planning) -> None:
    """Set a weight by hand. The clients that a region gives up go where they would go if it were down."""
    found = asked.put("weight", subject, value=value)
    if found is not None:
        tell(found, f"{subject} has weight {found['value']}", "it is lifted")
