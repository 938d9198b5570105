"""The guard and all that a study saved, on pictures as they come."""
