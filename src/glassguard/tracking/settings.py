"""Settings of MLflow."""

from pydantic import Field

from glassguard.settings import GivenPath, Strict


class Tracking(Strict):
    """MLflow: where the records of the stages go."""

    enabled: bool = Field(description="whether MLflow is brought up to date after a run")
    uri: str = Field(
        pattern=r"^(sqlite:///|https?://).+", description="a database, or the address of a server"
    )
    artifacts: GivenPath = Field(description="folder for files; a server has its own")
