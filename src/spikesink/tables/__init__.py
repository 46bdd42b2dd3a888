"""Measures in, tables out: collect a study's runs, list them, compare every ablation with the paper."""
