"""The folder of a report: it is there whole, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bench_kit.errors import BenchError

from ..step import Result
from . import advice
from .charts import charts
from .page import advice_of, page
from .points import point_of


class Folder:
    """Made under another name beside `destination`, and moved there when all of it is written."""

    def __init__(self, destination: Path):
        self._destination = destination
        try:
            self._partial = Path(tempfile.mkdtemp(
                prefix=f".{destination.name}.partial-", dir=destination.parent
            ))
        except OSError as error:
            raise BenchError(f"--output {destination}: {error.strerror}")

    def write(self, about: Mapping[str, str], asked: Mapping[str, object],
              results: Sequence[Result]) -> Path:
        """Writes everything and moves it; returns the page's path. Raises BenchError."""
        pictures = charts(results)
        content = {
            "about": dict(about),
            "asked": dict(asked),
            "runs": [
                {**asdict(result), "limit": advice.limit(point_of(result))} for result in results
            ],
            "advice": advice_of(results),
        }
        files = {
            **pictures,
            "results.json": json.dumps(content, indent=1) + "\n",
            "report.md": page(about, results, list(pictures)),
        }
        try:
            for name, text in files.items():
                (self._partial / name).write_text(text, encoding="utf-8")
            os.chmod(self._partial, 0o755)  # mkdtemp lets only us in
            os.rename(self._partial, self._destination)
        except OSError as error:
            raise BenchError(f"--output {self._destination}: {error.strerror}")
        return self._destination / "report.md"

    def discard(self) -> None:
        """Removes what was not moved."""
        shutil.rmtree(self._partial, ignore_errors=True)
