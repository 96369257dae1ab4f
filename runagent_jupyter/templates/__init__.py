"""Data of the notebook in a question: `{{ }}`, and the limits of what it may reach."""
