"""What a dry run predicts, as the API tells it."""

from __future__ import annotations

from geodns.admin.body import stamp
from geodns.admin.control import Basis, Prediction
from geodns.core.prediction import Shift

MAX_SHIFTS = 20  # pairs of pool and policy that are told


def predicted(prediction: Prediction) -> dict[str, object]:
    since, until = prediction.window
    return {
        "by_addresses": _basis(prediction.networks),
        "by_queries": {"since": stamp(since), "until": stamp(until), **_basis(prediction.queries)},
    }


def _basis(basis: Basis) -> dict[str, object]:
    return {
        "weighed": round(basis.weight),
        "pools": [_shift(shift) for shift in basis.shifts[:MAX_SHIFTS]],
        "left_off": basis.left_off + max(0, len(basis.shifts) - MAX_SHIFTS),
    }


def _shift(shift: Shift) -> dict[str, object]:
    return {
        "pool": shift.pool,
        "policy": shift.policy,
        "weighed": round(shift.weight),
        "moved": round(shift.moved, 4),
        "moves": [
            {"from": whence or None, "to": to or None, "share": round(share, 4)}
            for whence, to, share in shift.moves
        ],
        "regions": [
            {
                "region": change.region or None,
                "before": round(change.before, 4),
                "after": round(change.after, 4),
                "load_before": change.load_before,
                "load_after": None if change.load_after is None else round(change.load_after, 1),
                "capacity": change.capacity,
            }
            for change in shift.regions
        ],
    }
