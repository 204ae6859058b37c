"""Names of block devices, from sysfs."""

from functools import cache
from pathlib import Path

_BLOCK = Path("/sys/dev/block")
_MINOR_BITS = 20  # include/linux/kdev_t.h: the kernel's own dev_t, not what stat() gives


@cache
def device_name(number: int, block: Path = _BLOCK) -> str:
    """The name of a block device by its dev_t; `MAJOR:MINOR` where there is no such device."""
    text = f"{number >> _MINOR_BITS}:{number & (1 << _MINOR_BITS) - 1}"
    try:
        return (block / text).readlink().name.replace("!", "/")
    except OSError:
        return text
