"""Adversarial eyeglasses (Sharif et al. 2016) and their benign controls."""
