"""Templates are checked once, when they are made, and cannot change afterwards but to nothing."""

from __future__ import annotations

import numpy as np
import pytest

from matcher.finger.template import Minutiae

GOOD = {
    "xy": np.array([[1.0, 2.0], [3.0, 4.0]]),
    "angle": np.array([0.0, 1.0]),
    "kind": np.array([1, 2]),
    "quality": np.array([0, 100]),
    "width": 10.0,
    "height": 10.0,
}


@pytest.mark.parametrize(
    "change",
    [
        {"xy": np.array([[1.0, 2.0], [10.0, 4.0]])},
        {"xy": np.array([[1.0, -1.0], [3.0, 4.0]])},
        {"xy": np.array([[1.0, np.nan], [3.0, 4.0]])},
        {"angle": np.array([0.0, 2 * np.pi])},
        {"angle": np.array([0.0, np.inf])},
        {"angle": np.array([0.0])},
        {"kind": np.array([1, 3])},
        {"quality": np.array([0, 101])},
        {"width": 0.0},
        {"height": float("nan")},
        {
            "xy": np.ones((256, 2)),
            "angle": np.zeros(256),
            "kind": np.zeros(256),
            "quality": np.zeros(256),
        },
    ],
)
def test_a_template_that_breaks_a_rule_is_never_made(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Minutiae(**(GOOD | change))


def test_a_template_is_a_copy_and_read_only() -> None:
    source = np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32)

    made = Minutiae(**(GOOD | {"xy": source}))
    source[0] = 9

    assert made.xy[0].tolist() == [1, 2]
    with pytest.raises(ValueError):
        made.xy[0] = 0


def test_a_destroyed_template_holds_nothing() -> None:
    made = Minutiae(**GOOD)
    arrays = (made.xy, made.angle, made.kind, made.quality)

    made.destroy()

    assert not any(array.any() for array in arrays)


def test_a_template_does_not_show_itself() -> None:
    assert "xy" not in repr(Minutiae(**GOOD))
