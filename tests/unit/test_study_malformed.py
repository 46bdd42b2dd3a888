"""Faulty configs, many and of all kinds: each is refused with one line, and no later job refuses what was accepted."""

from collections import Counter

from malformed import WHOLE_FILES, malformed
from malformed_outcome import outcome_of

NUMBER = 200


def test_no_config_ends_in_a_traceback_or_is_refused_too_late(tmp_path):
    """benchmarks/malformed_configs.py does the same with thousands."""
    found = Counter()
    for content in malformed(seed=16, number=NUMBER):
        outcome = outcome_of(content, tmp_path)
        assert outcome.fault is None, content[:2000]
        found["refused" if outcome.refusal else "accepted"] += 1
    assert min(found.values()) > NUMBER / 10, "the generator makes both kinds"


def test_files_that_are_no_config_are_refused_by_line_or_reason(tmp_path):
    refusals = [outcome_of(content, tmp_path).refusal for content in WHOLE_FILES]
    accepted = [content for content, refusal in zip(WHOLE_FILES, refusals, strict=True) if refusal is None]
    assert accepted == ["study: x".encode("utf-8-sig")]
