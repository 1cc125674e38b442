"""geodns beside NSD, Knot and BIND: the same random zones and queries, the answers section by section.

`make differential N=1000000 SEED=0` is the long run; a finding names the seed of its batch, and
`python -m tests.differential --zones SEED` prints that batch's zones. A fourth voice is the `oracle`, a slow
reading of the RFCs. `judge` says what counts as a difference, `peers` where the three go their own ways, and
what exactly they say then. Packets that are no plain questions (`shapes`) are held against `protocol`, and
against the three with their `manners`.
"""
