"""Every source of pictures: the modules of :mod:`glassguard.datasets.sources`, by their names."""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Union

from glassguard.datasets import sources
from glassguard.datasets.settings import PhotographData
from glassguard.datasets.sources import embedded

MODULES = {
    module.name: import_module(f"{sources.__name__}.{module.name}")
    for module in iter_modules(sources.__path__)
}

if TYPE_CHECKING:
    Data = PhotographData | embedded.Pictures
else:
    Data = Union[tuple(module.Pictures for module in MODULES.values())]  # noqa: UP007
"""Where the study's faces come from, told apart by ``source``."""
