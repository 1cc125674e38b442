"""Both lanes over the same worlds and packets: `python -m tests.lanes --n 10000000 --seed 0`.

A world is files, places, terms and what happens meanwhile; each lane has it to itself. Every packet is put to
both, with the same client, size limit, chance and moment: the replies are the same octets, and in the end the
same was counted. Who classifies is Python in both, so scopes are the same, too.
"""
