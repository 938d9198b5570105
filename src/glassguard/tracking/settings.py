"""Settings of MLflow."""

from pydantic import Field

from glassguard.settings import GivenPath, Strict


class Tracking(Strict):
    """MLflow: where the records of the stages go."""

    enabled: bool
    uri: str = Field(pattern=r"^(sqlite:///|https?://).+")
    artifacts: GivenPath
