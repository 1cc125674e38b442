"""geodns beside NSD, Knot and BIND: the same random zones and queries, the answers section by section."""
