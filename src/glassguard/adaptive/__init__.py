"""Attackers who know the defence, its parameters and its thresholds, and attack all of it."""
