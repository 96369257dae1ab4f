"""Parts of the chat: its outputs, the copies in the notebook, and the file that keeps it."""
