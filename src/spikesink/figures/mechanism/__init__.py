"""The figures of models that are analysed in depth."""
