"""What all tools share: what they say, where they keep things, how they wait, lock and build.

Only the standard library is used, because this runs before the virtual environment exists.
"""

import sys

PYTHON_MINIMUM = (3, 11)


def require_python(found=(sys.version_info[0], sys.version_info[1])):  # type: (tuple[int, int]) -> None
    """Ends the process for a Python that the tools and the components can't run on, with what to do."""
    if found < PYTHON_MINIMUM:
        sys.exit(
            "error: Python {0}.{1} is too old: {2}.{3} or newer is needed (`make PYTHON=python{2}.{3} …` names one)".format(
                *found, *PYTHON_MINIMUM
            )
        )


# Before any other module is imported, and in words of old: an older Python would end at its first sight of a newer syntax.
require_python()
