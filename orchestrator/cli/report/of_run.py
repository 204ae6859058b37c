"""`probeplan run --report`: the page of the run that ends."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from orchestrator.output.safe_open import open_for_append
from orchestrator.plan.findings import PlanError, of_command_line
from orchestrator.run.report.result_keeper import MemoryResult

__all__ = ["RunReport"]

#: As many as LogDigest shows.
_RECORDS = 200


class RunReport:
    """The file of the page, opened before anything is attached, since that can fail, and since
    rights are given up then. What it has stays until the page is written; a new file of a run
    that fails is removed. Raises PlanError where it cannot be written.

    `keeper` keeps what the page shows, where no directory `out` does.
    """

    def __init__(self, path: str, out: str | os.PathLike[str] | None) -> None:
        self.path, self._out = path, out
        self.keeper = MemoryResult(_RECORDS) if out is None else None
        self._is_new = not os.path.lexists(path)
        self._is_written = False
        try:
            self._file: BinaryIO = os.fdopen(open_for_append(path), "wb", buffering=0)
        except OSError as error:
            message = f"the report {path!r} cannot be written: {error.strerror}"
            hint = "name a file that you may write: --report FILE.html"
            raise PlanError([of_command_line(message, hint)]) from None

    def write(self) -> str:
        """Write the page; returns why that failed, for people, and "" if it did not."""
        try:
            page = self._make_page()
            self._write_page(page.encode())
        except OSError as error:
            return error.strerror or str(error)
        except PlanError as error:  # the result could not be kept
            return "; ".join(finding.message for finding in error.findings)
        self._is_written = True
        return ""

    def _make_page(self) -> str:
        from orchestrator.cli.report.loading import load_kept, load_run  # once the run is over
        from orchestrator.html_report.run_page import make_run_page

        if self._out is not None:
            return make_run_page(load_run(os.fspath(self._out)))
        assert self.keeper is not None
        return make_run_page(load_kept(self.keeper))

    def _write_page(self, page: bytes) -> None:
        if stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            os.ftruncate(self._file.fileno(), 0)
        rest = memoryview(page)
        while rest:
            rest = rest[self._file.write(rest) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if self._is_new and not self._is_written:
            with suppress(OSError):
                Path(self.path).unlink()
