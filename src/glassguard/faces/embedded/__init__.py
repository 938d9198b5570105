"""Procedurally drawn faces: the data of the default experiment, not real people."""

from glassguard.faces.embedded.identity import Identity, draw_identity
from glassguard.faces.embedded.population import render_person
from glassguard.faces.embedded.rendering import render_face

__all__ = ["Identity", "draw_identity", "render_face", "render_person"]
