"""The one error that a person is meant to read."""


class LookalikeError(Exception):
    """One sentence that says what is wrong, where, and what to do about it.

    Raised for bad input or a bad environment, never for a bug: running again
    without a change gives the same sentence.
    """


class UnreachableError(LookalikeError):
    """Something on the network could not be fetched: running again later may help."""


class KilledError(LookalikeError):
    """A process was killed from outside: running again later may help."""


class NotFoundError(LookalikeError):
    """What was asked for by name is not there."""


class UnusableError(LookalikeError):
    """What was given can't be used: it is of the wrong kind, size or shape."""
