"""The one exception that stands for bad input."""


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is one line that names the file or key, what is wrong, and what is allowed.
    The command line prints it without a traceback and exits with status 2.
    """
