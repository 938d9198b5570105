"""Which of a stage's parameters are files that it makes."""

from pathlib import Path
from typing import Annotated

WRITTEN = "written by the stage"
OutputPath = Annotated[Path, WRITTEN]
"""A file or folder that a stage makes; the command line makes the folder that it lies in."""
