"""Procedurally drawn faces: the data of the default experiment, not real people."""
