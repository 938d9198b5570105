"""Download a published file, once for all experiments."""

from glassguard.configuration.sections import FetchSection
from glassguard.datasets.downloads import download_published
from glassguard.datasets.settings import Metrics
from glassguard.stages.paths import OutputPath


def run(config: FetchSection, *, file: OutputPath) -> Metrics:
    """Download the file and check its digest; returns address, digest and length."""
    wanted = config.download
    return download_published(
        wanted.url, file, sha256=wanted.sha256, maximum_bytes=wanted.maximum_bytes
    )
