"""The outputs of a cell while an answer comes."""
