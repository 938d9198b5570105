"""Adversarial eyeglasses against face recognition, and two ways to see through them."""

__version__ = "0.1.0"
