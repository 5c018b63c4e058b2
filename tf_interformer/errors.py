"""The base of the errors that a user can mend."""


class UserError(ValueError):
    """What is wrong with what a user gave; the message names the file, field and value, and says what to do."""
