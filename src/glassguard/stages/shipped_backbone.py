"""Take the convolutions that come with the package in place of pretraining."""

from glassguard.configuration.sections import ShippedBackboneSection
from glassguard.files.formats import write_json
from glassguard.recognizer.shipped_networks import network_bytes, network_record
from glassguard.stages.paths import OutputPath


def run(
    config: ShippedBackboneSection, *, backbone: OutputPath, metrics: OutputPath
) -> dict[str, float | int | str]:
    """Check the file's digest and copy it; the metrics are those of its training."""
    backbone.write_bytes(network_bytes(config.shipped, sha256=config.sha256))
    measured = network_record(config.shipped).metrics
    described = {
        **measured,
        "backbone": f"{measured['backbone']} (the shipped network {config.shipped})",
        "sha256": config.sha256,
    }
    write_json(described, metrics)
    return described
