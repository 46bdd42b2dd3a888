"""Files of claims are read strictly, and those of this project say what they must."""

from pathlib import Path

import pytest
from fresh_python import loaded_by

from spikesink.claims.quantities import CLAIMABLE, DERIVED, LISTS
from spikesink.claims.reading import parse, read_claims
from spikesink.claims.verdict import expected
from spikesink.claims.vocabulary import COMPARISONS, PRETRAINED
from spikesink.quantities import BOTH
from spikesink.study.errors import InputError
from spikesink.study.resolve import load
from spikesink.tables.paper.rows import spike_rows

ROOT = Path(__file__).parents[2]
GOOD = {"claim": "A statement", "quantity": "spike", "compare": "ratio", "of": "dyt", "below": 0.5}


def stated(**changes) -> dict:
    keys = {key: value for key, value in (GOOD | changes).items() if value is not None}
    return {"claims": {"arXiv 2603.05498": {"Table 5": {"planted": keys}}}}


def test_a_claim_knows_where_it_stands():
    claim = parse({"c": stated()})[0]
    assert (claim.name, claim.source, claim.of, claim.reference) == (
        "planted",
        "arXiv 2603.05498 Table 5",
        ("dyt",),
        "baseline",
    )
    assert expected(claim) == "dyt / baseline: below 0.5"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantity": "spikes"}, "quantity 'spikes' is not measured; did you mean 'spike'"),
        ({"relative_to": "median"}, "quantity 'median' is not measured"),
        ({"relative_to": "cosine_spike"}, "'cosine_spike' and quantity 'spike' are not of one table"),
        ({"minus": "median"}, "quantity 'median' is not measured"),
        ({"minus": "cosine_spike"}, "minus 'cosine_spike' and quantity 'spike' are not of one table"),
        ({"minus": "spike", "relative_to": "spike"}, "relative_to and minus exclude each other"),
        ({"headline": "perhaps"}, 'headline = "perhaps"'),
        ({"of": "dty"}, "'dty' is no row of the papers and no variant of the study; did you mean 'dyt'"),
        ({"of": ["dyt", "nobody"]}, "'nobody' is no row"),
        ({"to": "nobody"}, "'nobody' is no row"),
        ({"compare": "ratoi"}, 'compare = "ratoi": use one of'),
        ({"compare": None}, "compare: missing"),
        ({"claim": None}, "claim: missing"),
        ({"belwo": 1}, "belwo = 1: unknown key; did you mean 'below'"),
        ({"below": "half"}, 'below = "half"'),
        ({"below": None}, "compare: ratio needs a bound"),
        ({"within": 3}, "within = 3.0 has no meaning with compare: ratio"),
        ({"compare": "value", "to": "gelu"}, "to = 'gelu' has no meaning with compare: value"),
        ({"compare": "increasing", "of": ["dyt", "gelu"]}, "below = 0.5 has no meaning with compare: increasing"),
        ({"compare": "increasing", "below": None}, "increasing needs at least two variants"),
        ({"compare": "highest", "below": None}, "highest needs one variant in of and at least one in among"),
        ({"compare": "highest", "below": None, "among": ["dyt"]}, "a variant stands twice"),
        ({"of": ["dyt", "dyt"]}, "a variant stands twice"),
        ({"of": []}, "name a variant"),
        ({"above": 0.5}, "no number is above 0.5 and below 0.5"),
        ({"needs": 2}, "needs = 2: the list has 1"),
        ({"compare": "difference", "below": None, "within": -1}, "within = -1: must be positive"),
        (
            {"compare": "lowest", "below": None, "among": ["gelu"], "tolerance": -1},
            "tolerance = -1: must not be negative",
        ),
        ({"of": "pretrained"}, "pretrained models have values of mechanism.csv alone"),
        ({"presumes": "other"}, "presumes 'other', which is no claim of these files"),
        ({"presumes": "planted"}, "presumes 'planted', which presumes another itself"),
        ({"name": "other"}, "name = 'other': follows from where the claim stands"),
    ],
)
def test_a_fault_is_one_line_that_names_the_claim_and_the_value(changes, message):
    with pytest.raises(InputError) as error:
        parse({"c": stated(**changes)})
    assert message in str(error.value)
    assert "claim planted" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "claims = None: give a mapping"),
        ({"claims": {}}, "holds no claims"),
        ({"claim": {}}, "'claim': unknown key; known keys: claims, variants"),
        ({"claims": {"paper": ["a"]}}, "paper = ['a']: give a mapping"),
        ({"claims": {"a": {"b": {"c": "text"}}}}, "claim c = 'text': give a mapping"),
        (stated() | {"variants": "dyt"}, "variants = 'dyt': give a list of names"),
        ({"claims": {"a": {"b": {"c": GOOD}, "d": {"c": GOOD}}}}, "claim 'c' stands under a b too: rename one"),
    ],
)
def test_a_file_of_another_form_is_refused(content, message):
    with pytest.raises(InputError) as error:
        parse({"c": content})
    assert message in str(error.value)


def test_a_variant_of_the_study_or_of_the_file_may_be_named():
    assert parse({"c": stated(of="mine")}, study=["mine"])[0].of == ("mine",)
    assert parse({"c": stated(of="mine") | {"variants": ["mine"]}})[0].of == ("mine",)


def test_claims_of_several_files_stand_in_the_order_of_the_files(tmp_path):
    """claims.csv keeps this order, and a claim may presume one of another file."""
    for name, claim in {"b.yaml": "of: dyt, presumes: first", "a.yaml": "of: baseline"}.items():
        place = "first" if name == "a.yaml" else "second"
        (tmp_path / name).write_text(
            f"claims: {{p: {{q: {{{place}: {{claim: S, quantity: spike, compare: value, at_least: 1, {claim}}}}}}}}}\n"
        )
    assert [claim.name for claim in read_claims([tmp_path])] == ["first", "second"]
    assert [claim.name for claim in read_claims([tmp_path / "a.yaml"])] == ["first"]
    with pytest.raises(InputError, match=r"b\.yaml: claim second: presumes 'first', which is no claim of these files"):
        read_claims([tmp_path / "b.yaml"])
    (tmp_path / "c.yaml").write_text((tmp_path / "a.yaml").read_text())
    with pytest.raises(InputError, match=r"c\.yaml: claim 'first' stands under p q too: rename one"):
        read_claims([tmp_path])
    with pytest.raises(InputError, match="no file holds claims"):
        read_claims([])


def test_the_projects_claims_are_many_and_use_the_whole_vocabulary():
    claims = read_claims([ROOT / "workflow/claims"])
    assert len(claims) >= 40
    assert {claim.compare for claim in claims} == set(COMPARISONS)
    assert {claim.paper for claim in claims} >= {"arXiv 2603.05498", "arXiv 2603.17771"}
    assert len({claim.claim for claim in claims}) == len(claims), "every statement says what it is about"


def test_the_headlines_are_a_few_of_both_papers():
    """They stand at the top of the page: what is claimed of the mechanism, of every ablation and of V-scale."""
    headlines = [claim for claim in read_claims([ROOT / "workflow/claims"]) if claim.headline]
    assert 15 <= len(headlines) <= 20
    assert {claim.paper for claim in headlines} == {"arXiv 2603.05498", "arXiv 2603.17771"}
    assert {CLAIMABLE[claim.quantity].table for claim in headlines} == {"mechanism", "runs"}


def test_every_row_of_the_papers_tables_has_claims_for_sinks_and_spike():
    claims = read_claims([ROOT / "workflow/claims"])
    for quantity in ("sink_ratio", "spike"):
        spoken_of = {claim.of for claim in claims if claim.quantity == quantity and claim.reference == "baseline"}
        assert {(row,) for row in spike_rows() if row != "baseline"} <= spoken_of


def test_the_papers_own_numbers_fulfil_every_claim_about_a_row():
    """Judged by the papers' tables as one seed, nothing that they hold may come out as not reproduced."""
    from planted_runs import planted_runs

    from spikesink.claims.observations import observe
    from spikesink.claims.verdict import judge

    columns = {"perplexity": "paper_perplexity", "sink_ratio": "paper_sink_ratio", "spike": "paper_spike"}
    claims = [
        claim
        for claim in read_claims([ROOT / "workflow/claims"])
        if claim.quantity in columns and "2603.05498" in claim.source
    ]
    assert len(claims) > 100
    for claim in claims:
        values = {name: [row[columns[claim.quantity]]] for name, row in spike_rows().items()}
        finding = judge(claim, observe(planted_runs(values, claim.quantity)))
        assert finding.verdict == "reproduced", finding


@pytest.mark.parametrize("scales", [["7b"], ["nano_full"], ["nano"]])
def test_claims_speak_of_variants_that_studies_have(scales):
    """Of the scales with every row; the default study has some of them."""
    study = load([ROOT / f"workflow/scales/{scale}.yaml" for scale in scales], ROOT / "config.yaml")
    names = {run.stands_for or run.variant for run in study.runs} | {PRETRAINED}
    spoken_of = {name for claim in read_claims([ROOT / "workflow/claims"]) for name in claim.variants}
    if scales == ["nano"]:
        assert len(names & spoken_of) > 15
    else:
        assert spoken_of <= names


def test_the_quantities_of_the_mechanism_are_the_columns_of_its_table():
    header = (ROOT / "results/published/nano/tables/mechanism.csv").read_text().splitlines()[0].split(",")
    of_mechanism = {name for name in CLAIMABLE if CLAIMABLE[name].table in ("mechanism", BOTH)} - set(DERIVED)
    assert {*of_mechanism, *LISTS, "model", "measured"} >= set(header), "a study published earlier may lack columns"


def test_the_ledger_needs_no_torch():
    heavy = ("pandas", "torch", "matplotlib", "scipy.stats")
    assert loaded_by("spikesink.claims.__main__", heavy) == []
