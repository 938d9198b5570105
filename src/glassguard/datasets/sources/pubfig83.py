"""PubFig83 (Pinto et al. 2011): crops of 83 public figures."""

import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

from pydantic import Field

from glassguard.datasets import layouts
from glassguard.datasets.pictures import GivenPeople
from glassguard.datasets.settings import PhotographData, RequiredRoot

_PATH = re.compile(r"(?:^|/)([^/]+)/\d+\.(?i:jpe?g)$")


class Pictures(PhotographData):
    """PubFig83, as a folder or archive."""

    source: Literal["pubfig83"]
    root: RequiredRoot = Field(description="folder or archive of PubFig83; required")

    def open_people(
        self, *, listing: Path | None, scratch: Path
    ) -> AbstractContextManager[GivenPeople]:
        """See :meth:`PhotographData.open_people`."""
        return layouts.open_people(
            self.root, scratch=scratch, layout="pubfig83/NAME/1.jpg", path_of=_PATH
        )
