"""How measures look inside a model: hooks, and attention statistics by chunks."""
