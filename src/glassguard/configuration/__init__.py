"""The typed configuration of a study and the sections of it that stages read."""
