"""What a valid study may not have meant, said before the first job."""

from glassguard.configuration.schema import FolderData, Study


def remarks(study: Study) -> list[str]:
    """Lines about a study that runs as it is, and would run better with another value."""
    if isinstance(study.data, FolderData) and study.data.detector is None:
        return [
            "data.detector is not given: every picture is taken to be a tight, upright crop of a "
            "face; data.detector=yunet finds the faces"
        ]
    return []
