"""From collected tables to figures. A figure is data, one tidy table, and draw, the picture of that table.

The table is written as CSV beside the picture: what is drawn is what is saved.
"""
