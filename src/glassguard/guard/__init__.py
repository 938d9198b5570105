"""The guard: a recognition that never sees the eyes cannot be moved by what is painted there."""
