"""The published study as a stranger sees it: a clone draws everything anew, and its report opens in a real browser."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml
from browser import browsing
from matplotlib.image import imread
from playwright.sync_api import expect
from polars.testing import assert_frame_equal

from spikesink.figures.catalogue import ABLATION_FIGURES
from spikesink.workflow.published import damaged

ROOT = Path(__file__).parents[2]
PLACE = "results/published/nano"
PAGES = ["1. Overview", "2. Ablations", "3. Mechanism", "4. Claims", "5. Provenance"]
ROW = "tr:has(a[iconname=eye])"


def in_git(pattern: str = ".") -> list[str]:
    """Files of the checkout that git has or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """The checkout's files, after what `make published` runs for one study."""
    project = tmp_path_factory.mktemp("clone")
    for name in in_git():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, project / name)
    for arguments in (["published_nano"], ["published_nano", "--report", f"{PLACE}/report.html"]):
        command = [sys.executable, "-m", "snakemake", *arguments, "--cores", "2"]
        result = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=600)
        assert result.returncode == 0, result.stdout + result.stderr
    return project


@pytest.fixture(scope="module")
def report(clone):
    """The first page of the report, and what the browser complains about or fetches while tests use it."""
    complaints = []
    with browsing() as page:
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
        page.goto(f"file://{clone}/{PLACE}/report.html")
        page.get_by_text(PAGES[0]).wait_for()
        yield page, complaints


def test_nothing_published_is_damaged():
    assert damaged(ROOT / PLACE) == []


def test_the_tables_in_git_are_those_that_are_drawn(clone):
    """Equal up to the last digits, in which processors differ."""
    names = [name for name in in_git(PLACE) if name.endswith(".csv")]
    assert f"{PLACE}/claims.csv" in names and f"{PLACE}/tables/statistics.csv" in names
    for name in names:
        kept, drawn = (pl.read_csv(root / name, infer_schema_length=None) for root in (ROOT, clone))
        assert_frame_equal(kept, drawn, rel_tol=1e-6)


def test_the_pictures_in_git_are_those_that_are_drawn(clone):
    names = [name for name in in_git(PLACE) if name.endswith(".png")]
    assert names
    for name in names:
        kept, drawn = imread(ROOT / name), imread(clone / name)
        assert kept.shape == drawn.shape, name
        assert abs(kept - drawn).mean() < 1e-3, name


def test_the_report_has_its_pages_in_order(report):
    page, _ = report
    lines = page.locator("body").inner_text().splitlines()
    assert [line for line in lines if line in PAGES] == PAGES


def test_every_figure_and_table_opens_and_has_its_caption(report, clone):
    page, complaints = report
    manifest = json.loads((clone / PLACE / "manifest.json").read_text())
    ablations = yaml.safe_load((clone / PLACE / "study.yaml").read_text())["variants"]
    sections = [
        [PAGES[0]],
        *([PAGES[1], name] for name in ablations),
        *([name] for name in PAGES[2:]),
    ]
    opened, sources, captions = {}, {}, {}
    for section in sections:
        page.reload()
        source = None
        for heading in section:
            page.get_by_text(heading, exact=True).click()
        rows = page.locator(ROW)
        rows.first.wait_for()
        names = [" ".join([*section, *text.split()]) for text in rows.all_inner_texts()]
        for number, name in enumerate(names):
            rows.nth(number).locator("a[iconname=eye]").click()
            opened[name], source = shown(page, after=source)
            sources[name] = source
            rows.nth(number).locator("a[iconname=information-circle]").click()
            captions[name] = page.locator("body").inner_text().split("DESCRIPTION")[1].split("\nSIZE")[0]
            page.get_by_role("link", name=section[-1], exact=True).click()
            rows.first.wait_for()
    assert complaints == []
    # A figure that has come to show more than was measured when the study was published is left out.
    drawn = {path.stem for path in (clone / PLACE / "figures/mechanism").glob("*.png")}
    assert drawn <= {f"compared_{figure}" for figure in manifest["figures"]}
    assert len(opened) == 3 + (1 + len(ABLATION_FIGURES)) * len(ablations) + 1 + len(drawn) + 2
    assert len(set(sources.values())) == len(sources)
    assert [name for name, size in opened.items() if size < 300] == []
    assert [name for name, text in captions.items() if len(text) < 100] == []


def shown(page, after: str | None) -> tuple[int, str]:
    """How much there is to see, the width of a picture in pixels or the letters of a page, and where it is from.

    What was shown before, from ``after``, stays until something else is there, for ever if a click shows nothing.
    """
    content = page.locator("div.p-3 > img, iframe")
    if after is not None:
        expect(content).not_to_have_attribute("src", after, timeout=30_000)
    content.wait_for()
    source = content.get_attribute("src")
    if content.evaluate("content => content.tagName") == "IMG":
        return content.evaluate("picture => picture.decode().then(() => picture.naturalWidth)"), source
    frame = page.frames[-1]
    frame.locator("table").first.wait_for()
    return len(frame.locator("body").inner_text()), source
