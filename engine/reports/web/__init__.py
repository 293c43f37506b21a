"""The report as one HTML file that opens from disk: no network, no build step, no framework."""
