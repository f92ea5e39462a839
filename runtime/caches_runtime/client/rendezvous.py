"""Rendezvous hashing (highest random weight): which node a key belongs to, from nothing but the list of nodes."""

from collections.abc import Iterable

from xxhash import xxh3_64_intdigest


class Rendezvous:
    """Places keys on nodes. The order of the nodes does not matter; one more takes its share from all the others and moves nothing else.

    A look-up takes time in proportion to the number of nodes.
    """

    def __init__(self, nodes: Iterable[str]) -> None:
        """Raises ValueError for no node at all."""
        # Sorted, so that even equal scores, one in 2^64, have the same winner everywhere.
        self.nodes = tuple(sorted(set(nodes)))
        if not self.nodes:
            raise ValueError("there is no node to place keys on")
        self._seeds = [(xxh3_64_intdigest(node.encode()), node) for node in self.nodes]

    def node_of(self, key: bytes) -> str:
        """The node with the highest score: XXH3 (64 bits) of the key, seeded with that of the node's name."""
        best, winner = -1, ""
        for seed, node in self._seeds:
            if (score := xxh3_64_intdigest(key, seed)) > best:
                best, winner = score, node
        return winner
