"""Files of claims are read strictly, and those of this project say what they must."""

import re
from itertools import permutations
from pathlib import Path

import polars as pl
import pytest
import yaml
from fresh_python import loaded_by

from spikesink.claims.quantities import CLAIMABLE, DERIVED, LISTS
from spikesink.claims.reading import parse, read_claims
from spikesink.claims.vocabulary import BOUNDS, COMPARISONS, PRETRAINED, Claim
from spikesink.claims.words import expected
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
    assert claim.claim == "A statement (our bound)"
    assert expected(claim) == "dyt / baseline: below 0.5"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantity": "spikes"}, "quantity 'spikes' is not measured; did you mean 'spike'"),
        ({"relative_to": "median"}, "quantity 'median' is not measured"),
        (
            {"quantity": "parameters", "relative_to": "cosine_spike"},
            "'cosine_spike' and quantity 'parameters' are not of one table",
        ),
        ({"minus": "median"}, "quantity 'median' is not measured"),
        (
            {"quantity": "parameters", "minus": "cosine_spike"},
            "minus 'cosine_spike' and quantity 'parameters' are not of one table",
        ),
        ({"minus": "spike", "relative_to": "spike"}, "relative_to and minus exclude each other"),
        ({"minus": "spike_over_median"}, "compare: ratio with minus: a difference may be negative"),
        (
            {"quantity": "context_gain"},
            "compare: ratio of 'context_gain', which may be negative: use compare: difference",
        ),
        ({"coprimary": "retrieval_gain"}, "compare: ratio of 'retrieval_gain', which may be negative"),
        ({"headline": True}, "headline = true: unknown key"),
        ({"tier": "check"}, "a check is of the values of every run, compare: value"),
        ({"tier": "main"}, 'tier = "main": use one of'),
        ({"paper_bound": 0.4}, "paper_bound = 0.4: is no bound of this claim"),
        ({"coprimary": "spike"}, "coprimary = ['spike']: give other quantities"),
        ({"coprimary": "spike_over"}, "quantity 'spike_over' is not measured"),
        ({"compare": "correlation", "against": "perplexity"}, "at least four variants in of"),
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
        ({"presumes": ["planted", "other"]}, "presumes 'planted', which presumes another itself"),
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
        ({"claim": {}}, "'claim': unknown key; known keys: claims, variants, tier"),
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


@pytest.mark.parametrize(
    ("there", "accepted"),
    [
        ({}, True),
        ({"above": -1}, False),
        ({"of": "gelu"}, False),
        ({"quantity": "induction_gain"}, False),
    ],
)
def test_what_may_be_negative_has_a_ratio_to_what_a_claim_says_is_positive(there, accepted):
    claims = stated(quantity="context_gain", presumes="there")
    value = {"claim": "It is there", "quantity": "context_gain", "compare": "value", "of": "baseline", "above": 0}
    claims["claims"]["arXiv 2603.05498"]["Table 5"]["there"] = value | there
    if accepted:
        assert len(parse({"c": claims})) == 2
    else:
        with pytest.raises(InputError, match="or presume a claim that it is above 0 in baseline"):
            parse({"c": claims})


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


def planted(number: int, tier: str) -> dict:
    return {f"claim_{place}": GOOD | {"tier": tier, "below": 0.5 + place / 100} for place in range(number)}


def test_more_than_twenty_primary_claims_are_refused():
    """Holm's correction is over the primary claims: with many of them it leaves none."""
    parse({"c": {"claims": {"arXiv 1": {"a": planted(20, "primary")}}}})
    parse({"c": {"claims": {"arXiv 1": {"a": planted(21, "secondary")}}}})
    with pytest.raises(InputError, match="claim claim_20: is primary claim 21, and at most 20 may be"):
        parse({"c": {"claims": {"arXiv 1": {"a": planted(21, "primary")}}}})


def test_a_claim_that_tests_the_same_as_another_is_refused():
    again = {"claims": {"arXiv 2": {"Table 1": {"again": GOOD | {"claim": "In other words", "tier": "secondary"}}}}}
    with pytest.raises(InputError, match="d: claim again: tests the same as planted: keep one of them"):
        parse({"c": stated(), "d": again})


def test_the_tier_of_a_file_is_that_of_its_claims():
    assert parse({"c": stated() | {"tier": "secondary"}})[0].tier == "secondary"
    assert parse({"c": stated(tier="primary") | {"tier": "secondary"}})[0].tier == "primary"
    assert parse({"c": stated()})[0].tier == "exploratory"


@pytest.mark.parametrize(
    ("changes", "ours"),
    [
        ({}, True),
        ({"below": 1}, False),
        ({"below": 0.5, "paper_bound": 0.5}, False),
        ({"below": 0.5, "above": 0.1, "paper_bound": 0.5}, True),
        ({"quantity": "sink_ratio", "compare": "value", "below": None, "at_least": 100}, False),
        ({"quantity": "sink_ratio", "compare": "value", "below": None, "at_least": 90}, True),
        ({"quantity": "spike", "compare": "highest", "among": ["gelu"], "below": None, "tolerance": 0.1}, True),
    ],
)
def test_a_bound_that_the_paper_does_not_state_is_marked(changes, ours):
    assert parse({"c": stated(**changes)})[0].claim.endswith(" (our bound)") == ours


def project() -> tuple[Claim, ...]:
    return read_claims([ROOT / "workflow/claims"])


def test_every_bound_is_marked_as_ours_or_is_the_papers():
    for claim in project():
        bounds = {getattr(claim, key) for key in (*BOUNDS, "tolerance")} - {None, 0.0, 1.0}
        whole = {100.0} if CLAIMABLE[claim.quantity].unit.startswith("%") else set()
        assert bool(bounds - whole - set(claim.paper_bound)) == claim.claim.endswith("(our bound)"), claim.name


def test_the_primary_claims_are_a_few_of_both_papers():
    """They stand at the top of the page: what is claimed of the mechanism, of every ablation and of V-scale."""
    primary = [claim for claim in project() if claim.tier == "primary"]
    assert 15 <= len(primary) <= 20
    assert {claim.paper for claim in primary} == {"arXiv 2603.05498", "arXiv 2603.17771"}
    assert {CLAIMABLE[claim.quantity].table for claim in primary} == {"mechanism", BOTH}


def test_consequences_of_definitions_are_checks():
    checks = {claim.name for claim in project() if claim.tier == "check"}
    assert checks >= {
        "no_query_path",
        "normalised_bounded",
        "compress_bound",
        "value_gradient_lower_bound",
    }
    assert "silu_keeps_direction" not in checks, "of large inputs of both signs the cosine is the root of one half"
    assert "sink_logit_gap" not in checks, "one other key may hold a head's attention, however low the others' mean"


def no_change(claim: Claim) -> bool:
    """Whether a claim holds where a variant is like the baseline."""
    if claim.compare in ("ratio", "difference"):
        return claim.region.holds(1.0 if claim.compare == "ratio" else 0.0)
    return bool(claim.tolerance)


def test_what_stays_presumes_that_it_is_there_and_what_goes_does_not():
    there = {"sink_ratio": "baseline_has_sinks", "sink_rate_pct": "baseline_has_sinks", "spike": "baseline_has_spike"}
    for claim in project():
        if claim.compare in ("ratio", "difference") and claim.reference == "baseline":
            if no_change(claim) and claim.quantity in there:
                assert there[claim.quantity] in claim.presumes, claim.name
            if not no_change(claim):
                assert not set(claim.presumes) & set(there.values()), claim.name


def test_as_low_a_perplexity_is_bounded_on_one_side():
    for claim in project():
        if claim.quantity == "perplexity" and claim.compare == "ratio" and no_change(claim):
            assert claim.region.low == -float("inf"), f"{claim.name}: a lower perplexity is no failure"


def test_no_claim_follows_from_another():
    """Of two claims of one paper about the same numbers, one may not allow all that the other allows."""
    seen: dict[tuple, list[Claim]] = {}
    for claim in project():
        about = (
            claim.paper,
            claim.quantity,
            claim.compare,
            claim.of,
            claim.reference,
            claim.relative_to,
            claim.minus,
            claim.among,
        )
        seen.setdefault((*about, claim.against), []).append(claim)
    for claims in seen.values():
        for one, other in permutations(claims, 2):
            inner, outer = one.region, other.region
            assert not (inner.low >= outer.low and inner.high <= outer.high), (one.name, other.name)


def test_every_claim_about_a_spike_is_about_its_relative_size_too():
    """A spike that grows with all other activations is no larger spike."""
    for claim in project():
        if claim.quantity == "spike":
            assert "spike_over_median" in claim.coprimary, claim.name


def test_every_variant_beyond_the_papers_has_a_claim():
    spoken_of = {name for claim in project() for name in claim.variants}
    for path in sorted((ROOT / "workflow/ablations").glob("*.yaml")):
        for name, variant in yaml.safe_load(path.read_text()).items():
            assert variant.get("stands_for", name) in spoken_of, f"{path.name}: {name}"


def test_every_row_of_the_papers_tables_has_claims_for_sinks_spike_and_perplexity():
    claims = read_claims([ROOT / "workflow/claims"])
    for quantity in ("sink_ratio", "spike", "perplexity"):
        spoken_of = {row for claim in claims if claim.quantity == quantity for row in claim.of}
        assert {row for row in spike_rows() if row != "baseline"} <= spoken_of


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
        table = planted_runs(values, claim.quantity)
        if claim.against:
            others = [row[columns[claim.against]] for row in spike_rows().values()]
            table = table.with_columns(pl.Series(claim.against, others))
        finding = judge(claim, observe(table))
        assert finding.verdict == "reproduced", finding
        shares = [float(share) for share in re.findall(r"(-?\d+) %", finding.effect)]
        assert all(share == 100 for share in shares), "the paper's effect is all of the paper's effect"


@pytest.mark.parametrize(("ours", "share"), [(33.55, "100 %"), (22.84, "0 %"), (22.84**2 / 33.55, "-100 %")])
def test_a_cost_that_is_not_there_is_no_part_of_the_papers(ours, share):
    """Static INT8 takes the paper's perplexity from 22.84 to 33.55, by 47 %; without a cost the quotient is still 1."""
    from planted_runs import planted_runs

    from spikesink.claims.observations import observe
    from spikesink.claims.verdict import judge

    claims = {claim.name: claim for claim in read_claims([ROOT / "workflow/claims"])}
    runs = planted_runs({"baseline": [ours]}, "int8_static_per_tensor")
    runs = runs.with_columns(int8_full_precision=pl.lit(22.84))
    assert judge(claims["int8_static_hurts"], observe(runs)).effect == share


@pytest.mark.parametrize("scales", [["7b"], ["nano_full"], ["nano"]])
def test_claims_speak_of_variants_that_studies_have(scales):
    """Of the scales with every row, or of a file of ablations; the default study has some of them."""
    study = load([ROOT / f"workflow/scales/{scale}.yaml" for scale in scales], ROOT / "config.yaml")
    names = {run.stands_for or run.variant for run in study.runs} | {PRETRAINED}
    spoken_of = {name for claim in read_claims([ROOT / "workflow/claims"]) for name in claim.variants}
    if scales == ["nano"]:
        assert len(names & spoken_of) == 7
    else:
        files = [yaml.safe_load(path.read_text()) for path in (ROOT / "workflow/ablations").glob("*.yaml")]
        names |= {variant.get("stands_for") or name for file in files for name, variant in file.items()}
        assert spoken_of <= names


def test_the_quantities_of_the_mechanism_are_the_columns_of_its_table():
    header = (ROOT / "results/published/nano/tables/mechanism.csv").read_text().splitlines()[0].split(",")
    of_mechanism = {name for name in CLAIMABLE if CLAIMABLE[name].table in ("mechanism", BOTH)} - set(DERIVED)
    assert {*of_mechanism, *LISTS, "model", "measured"} >= set(header), "a study published earlier may lack columns"


def test_the_ledger_needs_no_torch():
    heavy = ("pandas", "torch", "matplotlib", "scipy.stats")
    assert loaded_by("spikesink.claims.__main__", heavy) == []
