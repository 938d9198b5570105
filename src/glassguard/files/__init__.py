"""The files that a run leaves: their formats and where they lie."""
