"""geodns beside NSD, Knot and BIND: the same random zones and queries, the answers section by section.

`make differential N=1000000 SEED=0` is the long run; a finding names the seed of its batch, and
`python -m tests.differential --zones SEED` prints that batch's zones. What counts as a difference, and
where the three are known to differ among themselves, stands in `judge`.
"""
