"""The numpy arrays of the reading side, by what their elements are."""

import numpy as np
import numpy.typing as npt

__all__ = ["BoolArray", "ByteArray", "IntArray", "U64Array"]

BoolArray = npt.NDArray[np.bool_]
#: Bytes in one row, or in rows of one length.
ByteArray = npt.NDArray[np.uint8]
#: Row numbers, offsets and lengths.
IntArray = npt.NDArray[np.int64]
#: Times (CLOCK_MONOTONIC, ns) and words of page headers.
U64Array = npt.NDArray[np.uint64]
