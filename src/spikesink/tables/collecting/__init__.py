"""From the files in runs' folders to tables: numbers of every run, of models in depth, and where runs come from."""
