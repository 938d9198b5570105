"""Download the pictures of a published collection, once for all experiments."""

from glassguard.configuration.sections import FetchPicturesSection
from glassguard.datasets.settings import Metrics
from glassguard.stages.paths import OutputPath


def run(config: FetchPicturesSection, *, listing: OutputPath, gone: OutputPath) -> Metrics:
    """Download the pictures, list them, and list which are gone with the reason."""
    return config.fetch.download(listing=listing, gone=gone)
