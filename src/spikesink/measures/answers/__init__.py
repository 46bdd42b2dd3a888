"""How each group of questions is answered: ``answers(subject, settings)`` yields every question with its rows."""
