"""Masking an adversarial accessory by its saliency (Hayes 2018; blog 2019)."""
