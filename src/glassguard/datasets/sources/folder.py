"""A folder of photographs with one sub-folder per person."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field

from glassguard.datasets.folders import people_of_folder
from glassguard.datasets.pictures import GivenPeople
from glassguard.datasets.settings import PhotographData, RequiredRoot


class Pictures(PhotographData):
    """A folder of photographs with one sub-folder per person."""

    source: Literal["folder"]
    root: RequiredRoot = Field(description="folder with one sub-folder per person; required")

    @contextmanager
    def open_people(self, *, listing: Path | None, scratch: Path) -> Iterator[GivenPeople]:
        """See :meth:`PhotographData.open_people`."""
        yield people_of_folder(self.root, key="data.root")
