"""How a program ends that was asked to."""


class Interrupted(Exception):
    """The process was asked to stop; what it has done so far is saved.

    Example:

    >>> str(Interrupted("stopped by signal 15"))
    'stopped by signal 15'
    """
