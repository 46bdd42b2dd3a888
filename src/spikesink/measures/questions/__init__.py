"""One module per question: a model and held-out tokens in, tidy rows out."""
