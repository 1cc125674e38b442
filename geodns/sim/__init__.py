"""A world on a virtual clock: clients, resolvers and faults around the real verdicts and the real answers."""
