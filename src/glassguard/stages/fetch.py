"""Download a published file, once for all experiments."""

from glassguard.configuration.sections import FetchSection
from glassguard.datasets.downloads import download_published
from glassguard.stages.paths import OutputPath


def run(config: FetchSection, *, file: OutputPath) -> dict[str, float | int | str]:
    """Download the file and check its digest.

    Args:
        config: the section.
        file: where to put it.

    Returns:
        The address, the digest and the length.

    Raises:
        InputError: the file cannot be fetched or written, is too long, or is another one.
    """
    wanted = config.download
    return download_published(
        wanted.url, file, sha256=wanted.sha256, maximum_bytes=wanted.maximum_bytes
    )
