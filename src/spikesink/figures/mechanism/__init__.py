"""Figures that compare models analysed in depth. Every module is a figure.

A module has QUESTIONS, the measures it reads, CAPTION, COLUMNS, the columns of its data, ``data(models)``, one tidy
table from the answers by model and question, and ``draw(data, style, width)``, the picture of that table.
"""
