"""The one error that a person is meant to read."""


class LookalikeError(Exception):
    """One sentence that says what is wrong, where, and what to do about it.

    Raised for bad input and bad surroundings, never for a bug: trying again
    without changing something gives the same sentence.
    """


class UnreachableError(LookalikeError):
    """Something on the network could not be had: trying again later may help."""


class KilledError(LookalikeError):
    """A process was killed from outside: trying again later may help."""
