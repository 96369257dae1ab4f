"""`--each`: an answer for each row of a table."""
