"""A digest of the code that an entry point runs: when it changes, the entry point's results are computed again.

It covers the modules of this package that the entry point imports, directly or through others. Comments, docstrings,
formatting and the folders that modules lie in have no influence: moving a file, or rewriting a comment, reruns nothing.
Two literals at the top of a module leave it out:

AFFECTS_RESULTS = False   the module cannot change a result: it reports, keeps results safe, or only names things. What
                          only such modules import is left out too.
PART = "gates"            the module is a swappable part of the model; runs that do not have the part leave it out.
"""

from functools import cache

from spikesink.runs.module_facts import digest_of, facts, imports, literal


@cache
def code_digest(entry: str, without: frozenset[str] = frozenset(), without_parts: frozenset[str] = frozenset()) -> str:
    """Digest of ``entry`` (a module such as spikesink.training.__main__) and of all that it imports from this package.

    ``without`` names modules, and ``without_parts`` swappable parts, that this use of the entry does not run: they and
    what only they import are left out. Raises FileNotFoundError when ``entry`` is not a module of this package.

    Modules count by their content and not by their names. So that two names cannot be swapped unseen, every import
    counts with the content of the module that it is from.
    """
    digests = module_digests(entry, without, without_parts)
    lines = set()
    for module, digest in digests.items():
        taken = sorted(f"{each.name} {each.known_as} {digests.get(each.module, '')}" for each in imports(module))
        lines.add(f"{digest} {taken}\n")
    return digest_of("".join(sorted(lines)))


def module_digests(
    entry: str, without: frozenset[str] = frozenset(), without_parts: frozenset[str] = frozenset()
) -> dict[str, str]:
    """The modules that ``code_digest`` covers, sorted by name, and the digest of each one's own content."""
    seen: set[str] = set()
    waiting = [entry]
    while waiting:
        module = waiting.pop()
        if module in seen or module in without or not counts(module, without_parts):
            continue
        seen.add(module)
        waiting += {each.module for each in imports(module)} | packages_around(module)
    digests = {module: facts(module).meaning for module in sorted(seen)}
    return {module: digest for module, digest in digests.items() if digest}


def counts(module: str, without_parts: frozenset[str]) -> bool:
    """Whether the module can change a result of a run that does not have these parts."""
    return literal(module, "AFFECTS_RESULTS") is not False and literal(module, "PART") not in without_parts


def packages_around(module: str) -> set[str]:
    """The packages that Python runs before it runs the module."""
    return {module.rsplit(".", depth)[0] for depth in range(1, module.count(".") + 1)}
