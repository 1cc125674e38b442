"""Measurements of geodns beside other geographic name servers. `python -m bench --help`."""
