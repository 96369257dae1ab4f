"""The parts of the site that are made from the code. Only `directive` needs Sphinx."""
