"""
Looks at running caches, and says what of the best practices they miss: docs/best-practices.md.

gather.py finds out what is known of a cache (facts.py), from its servers (asking.py) and from the cluster (kubectl.py). The checks
are functions of that alone; checks.py is the list of them.
"""
