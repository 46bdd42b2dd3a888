"""Plain text as Markdown that shows it as it stands, also where GitHub reads more than CommonMark: $ as mathematics."""

import re

MARKUP = re.compile(
    r"""[\\`*~$|]                      # code, emphasis, deletion, mathematics, the next cell
    | (?<![^\W_])_ | _(?![^\W_])       # emphasis; an underscore inside a word is none
    | <(?=[A-Za-z/!?])                 # a tag, an address
    | &(?=\#?\w+;)                     # a character by its name
    | ](?=[(\[])                       # a link; brackets alone are none
    | ^\[(?=[^]]*]:)                   # where a line begins: what a link of that name leads to,
    | ^[#>+-](?=[#\s])                 # a heading, a quotation or a list
    """,
    re.VERBOSE,
)


def escaped(text: str) -> str:
    """Plain text on one line, with a backslash before whatever Markdown would read as markup."""
    return MARKUP.sub(r"\\\g<0>", " ".join(text.split("\n")))
