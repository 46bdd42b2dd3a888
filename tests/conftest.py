"""How the tests are shared out to the processes of ``pytest --numprocesses 2 --dist loadgroup``."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file stays together, for its fixtures; so do all tests of the finished study, whose making takes a minute."""
    for item in items:
        shares_study = {"finished", "checkout"} & set(getattr(item, "fixturenames", ()))
        item.add_marker(pytest.mark.xdist_group("finished study" if shares_study else item.path.stem))
