"""Measures of a finished loop."""
