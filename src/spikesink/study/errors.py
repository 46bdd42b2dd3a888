"""Errors that the user can fix. Each message is one line that names what was found and what to do."""

import re

AFFECTS_RESULTS = False

LONGEST = 1200
"""Letters of a message: the middle of a longer one, a long key or a list of names, is left out."""

LOGIN = re.compile(r"(?:(?<=http://)|(?<=https://))[^/@\s]+@|(?<=://)[^/@:\s]*:\S*@")
"""User and password before the machine of an address, or what stands there alone in a web address: a token."""
SECRET = r"(?:pass|pwd|token(?!iz)|secret|signature|credential|api_?key)"
PARAMETER = re.compile(rf"([?&;][^=&;\s]*{SECRET}[^=&;\s]*=)[^&;\s]+", re.I)
"""A parameter of an address whose name says that its value is secret."""


def without_secrets(text: str) -> str:
    """``text`` with the logins and the secret parameters of every address in it masked."""
    return PARAMETER.sub(r"\1***", LOGIN.sub("***@", text))


def one_line(message: str) -> str:
    """A message as one line without secrets, whatever names and values it quotes; a line break is written as \\n."""
    line = "".join(map(printable, without_secrets(message)))
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"


class OneLineError(ValueError):
    """Its message is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def printable(letter: str) -> str:
    """The letter, or its escape where a terminal does not print it."""
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


class ConfigError(OneLineError):
    """A config that cannot be run. The message says key, value, remedy."""


class InputError(OneLineError):
    """An input that cannot be used. The message says file, fault, remedy."""


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its type where it says nothing: for a message of one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
