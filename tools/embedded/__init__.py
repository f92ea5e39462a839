"""A Kubernetes of our own on one Linux machine: what `tools/node` starts, stops and breaks."""

import common  # noqa: F401 - first, as it refuses a Python that can't read the modules here
