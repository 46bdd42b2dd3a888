"""Tables as Markdown, LaTeX and HTML."""
