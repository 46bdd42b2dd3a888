"""Figures of one ablation. Every module is a figure.

A module has PARTS, the collected tables it reads, CAPTION, COLUMNS, the columns of its data, ``data(parts, ablation)``,
one tidy table, and ``draw(data, style, width)``, the picture of that table.
"""
