"""Adversarial eyeglasses (Sharif et al. 2016), other accessories and their benign controls."""
