"""The version, and how this client names itself to servers."""

__version__ = "0.2.0"

USER_AGENT = f"runagent-python/{__version__}"
