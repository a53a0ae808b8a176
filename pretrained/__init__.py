"""Weights and their records (models.toml); read by stylecine.weights."""
