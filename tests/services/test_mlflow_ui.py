"""What somebody sees who opens ``make ui`` in a browser after a study."""

from pathlib import Path

import pytest
from browser import browsing
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow_server import serving
from tracked_study import new_store, write_seeds

from spikesink.tracking.store import default_uri
from spikesink.tracking.sync import sync

SIZE_INCHES, DPI = (4, 3), 100


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A synchronised study with a figure, beside its store."""
    folder = tmp_path_factory.mktemp("ui")
    new_store(folder / "results")
    study = write_seeds(folder / "results" / "tiny", {"baseline": [8.0, 12.0], "dyt": [2.0, None]})
    (study / "figures").mkdir()
    figure = Figure(SIZE_INCHES, DPI)
    figure.subplots().plot([0, 1])
    figure.savefig(study / "figures" / "norm_ablation.png")
    sync("tiny", study, default_uri(study.parent))
    return study


def test_variants_unfold_into_seeds_and_figures_are_seen(study):
    """Tags and files that are right in the store are worth nothing if the pages do not show them."""
    with serving(study.parents[1]) as server, browsing() as page:
        client = MlflowClient(tracking_uri=server.uri)
        experiment = client.get_experiment_by_name("tiny").experiment_id
        runs = {run.info.run_name: run.info.run_id for run in client.search_runs([experiment])}
        runs_page = f"{server.uri}/#/experiments/{experiment}/runs"

        page.goto(runs_page)
        for name in ("baseline", "dyt", "study"):
            page.get_by_role("link", name=name, exact=True).wait_for()
        assert page.get_by_role("link", name="dyt/seed").count() == 0
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name="dyt", exact=True))
        row.locator("button").first.click()
        for name in ("dyt/seed1", "dyt/seed2"):
            page.get_by_role("link", name=name).wait_for()
        assert page.get_by_role("link", name="baseline/seed").count() == 0

        page.goto(f"{runs_page}/{runs['dyt']}")
        page.get_by_text("Left out of means: seed 2: diverged.").first.wait_for()
        page.get_by_role("link", name="perplexity", exact=True).wait_for()

        page.goto(f"{runs_page}/{runs['study']}/artifacts/figures/norm_ablation.png")
        figure = page.locator("img[src^='blob:'], img[src*='norm_ablation.png']").first
        figure.wait_for()
        shape = figure.evaluate("image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])")
        assert shape == [size * DPI for size in SIZE_INCHES]
