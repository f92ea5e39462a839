"""Serves the components to programs in any language, as the Pulumi package `caches`."""

import sys

from pulumi.provider import main
from pulumi_caches.provider import COMPONENTS, CachesProvider

if __name__ == "__main__":
    main(CachesProvider(COMPONENTS), sys.argv[1:])
