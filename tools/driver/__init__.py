"""What `make up` and its siblings do: Python environment, engine, cluster, stack, proof."""

import common  # noqa: F401 - first, as it refuses a Python that can't read the modules here
