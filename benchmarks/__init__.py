"""Figures that the documentation quotes, each with its command. Results lie in results/ as JSON."""
