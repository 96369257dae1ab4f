"""The line of a magic: words, options, and the question they ask."""
