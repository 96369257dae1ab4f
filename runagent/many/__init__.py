"""Many inputs: one pace, a journal, and an answer or an error for each row."""
