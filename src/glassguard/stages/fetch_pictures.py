"""Downloads the pictures of a published collection, once for all experiments."""

from glassguard.configuration.sections import FetchPicturesSection
from glassguard.stages.paths import OutputPath


def run(
    config: FetchPicturesSection, *, listing: OutputPath, gone: OutputPath
) -> dict[str, float | int | str]:
    """Download the pictures, list them, and say which are gone.

    Args:
        config: the section.
        listing: table to write, a row per picture that is there
            (:data:`glassguard.datasets.tables.LISTING_COLUMNS`).
        gone: table to write, a row per picture that is not there any more, with the reason.

    Returns:
        How many people and pictures there are.

    Raises:
        InputError: the pictures cannot be downloaded.
    """
    return config.fetch.download(listing=listing, gone=gone)
