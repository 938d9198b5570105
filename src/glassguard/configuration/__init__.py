"""The typed configuration of a study and the slices of it that stages read."""
