"""The drop-ins in docs/systemd.md are accepted by systemd, each with the unit that it names."""

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.units import copy_units, verify_instance

_PAGE = (ROOT / "docs" / "systemd.md").read_text()
_BLOCKS = re.findall(r"^```ini\n# /etc/systemd/system/(\S+)\n(.*?)^```$", _PAGE, re.M | re.S)


def test_every_drop_in_says_where_it_goes() -> None:
    assert len(_BLOCKS) == _PAGE.count("```ini") >= 6


@pytest.mark.parametrize(("path", "text"), _BLOCKS, ids=[path for path, _ in _BLOCKS])
def test_systemd_accepts_the_drop_in(path: str, text: str, tmp_path: Path) -> None:
    copy_units(tmp_path, {path: text})
    unit = path.partition(".d/")[0]
    template, instance = re.sub("@[^.]*", "@", unit), unit.partition("@")[2].partition(".")[0]
    assert verify_instance(tmp_path, template, instance or "opens") == (0, "")
