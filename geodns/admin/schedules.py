"""Times that come again, as cron writes them (`0 3 * * 6`), in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from geodns.errors import GeodnsError

MAX_TEXT = 100
FIELDS = 5


def upcoming(every: str, after: float) -> float | None:
    """The first moment after another one (Unix seconds); None where there is none in fifty years.

    Raises GeodnsError for what is no cron expression.
    """
    if len(every) > MAX_TEXT:
        raise GeodnsError(f"a schedule has at most {MAX_TEXT} characters")
    try:
        if len(every.split()) != FIELDS:  # a sixth one would be for seconds
            raise CronSimError("it has five fields")
        found = next(CronSim(every, datetime.fromtimestamp(after, UTC)), None)
    except CronSimError as error:
        raise GeodnsError(
            f"'{every}' is no schedule such as '0 3 * * 6' (minute, hour, day, month, weekday): {error}"
        ) from error
    return None if found is None else found.timestamp()
