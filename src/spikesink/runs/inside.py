"""Names of files that were read from a file: they stay inside their folder."""

from pathlib import Path, PurePosixPath

from spikesink.study.errors import InputError

AFFECTS_RESULTS = False


def inside(folder: Path, name: object, source: str | Path) -> Path:
    """The path of the file ``name`` in ``folder``. ``source`` is the file that names it.

    Raises InputError for what is no name of a file, and for one that leads out of the folder: an absolute one, one with
    a step upwards or a backslash, one through a link to another folder. The file itself may be a link.
    """
    fault = (
        f"{source}: names a file outside its folder, {str(name)[:200]!r}: bring {Path(source).name} back or delete it"
    )
    if not isinstance(name, str) or not name or not name.isprintable() or "\\" in name:
        raise InputError(fault)
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or not parts.parts:
        raise InputError(fault)
    path = Path(folder) / parts
    if not path.parent.resolve().is_relative_to(Path(folder).resolve()):
        raise InputError(fault)
    return path
