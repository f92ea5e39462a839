"""How a migration can end early."""


class RefusedError(Exception):
    """Nothing more is done, because it can't work or could destroy data; says what to do."""


class UnfinishedError(Exception):
    """Time is up; says what was waited for. Another run goes on."""


class InterruptedMigrationError(Exception):
    """It was asked to end. Another run goes on."""


class StartOverError(Exception):
    """What was compared may not hold any more."""
