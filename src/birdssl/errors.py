"""Everything that birdssl raises on purpose, and the exit code that each kind ends with.

    BirdsslError            1   it failed
    ├── UsageError          2   the command line or a setting is wrong
    ├── NoInputError        4   nothing in the input matched
    ├── IncompatibleError   5   an artifact of the wrong kind or version, or settings that contradict it
    ├── UnavailableError    1   what is needed can't be had here, such as a download; a recipe goes on without it
    └── BadInput            1   one file or row can't be used; a stage turns it into a reject and goes on

A message says what was found, what was expected, and what to do, and it names the file.
"""


class BirdsslError(Exception):
    """Root of the errors that are meant for a person to read."""

    exit_code = 1


class UsageError(BirdsslError):
    """The command line or a setting is wrong."""

    exit_code = 2


class NoInputError(BirdsslError):
    """Nothing in the input matched."""

    exit_code = 4


class IncompatibleError(BirdsslError):
    """An artifact is of the wrong kind or version, or contradicts a setting."""

    exit_code = 5


class UnavailableError(BirdsslError):
    """Something from elsewhere can't be had here; a recipe leaves out what needs it, and goes on."""


class BadInput(BirdsslError):
    """One file or row is unusable; the rest goes on."""
