"""Plots of a run, drawn with matplotlib where the extra `plots` is installed."""
