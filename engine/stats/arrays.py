"""The array types that the files of this folder hand to each other (NaN is "no score"), and one sum."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def summed(places: Ints, amounts: Floats, size: int) -> Floats:
    """`amounts` added up by place, `size` places."""
    found = np.zeros(size)
    found += np.bincount(places, amounts, size)
    return found
