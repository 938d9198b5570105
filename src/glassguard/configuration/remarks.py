"""Remarks on a valid study whose author may have meant something else."""

from glassguard.configuration.schema import Study
from glassguard.datasets.sources import folder


def remarks(study: Study) -> list[str]:
    """Lines about a study that runs as it is, and would run better with another value."""
    found = []
    if isinstance(study.data, folder.Pictures) and study.data.detector is None:
        found.append(
            "data.detector is not given: every picture is taken to be a tight, upright crop of a "
            "face; data.detector=yunet finds the faces"
        )
    for name, download in study.downloads.files.items():
        asked = study.backbone.weights == study.downloads.folder / download.file
        if asked and download.url.startswith("http://") and download.sha256 is None:
            found.append(
                f"backbone.weights={name} comes over http and has no digest to be checked against, "
                f"so another file may be sent in its place; downloads.files.{name}.sha256=DIGEST "
                "checks it"
            )
    return found
