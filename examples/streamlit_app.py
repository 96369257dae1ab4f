"""A chat with an agent in Streamlit.

To try it:

    pip install "/path/to/checkout[local]" streamlit
    streamlit run streamlit_app.py
"""

import os

import streamlit as st

from runagent import RunAgentClient, RunAgentError

AGENT = os.environ.get("AGENT", "demo")


@st.cache_resource
def agent() -> RunAgentClient:
    """Return the client that all sessions share."""
    return RunAgentClient(AGENT)


st.title(f"Chat with {AGENT}")
messages = st.session_state.setdefault("messages", [])
for role, text in messages:
    st.chat_message(role).write(text)

if query := st.chat_input("Ask the agent"):
    st.chat_message("user").write(query)
    messages.append(("user", query))
    stream = agent().run_generic_stream({"query": query})
    try:
        st.chat_message("assistant").write_stream(stream.chunks())
    except RunAgentError as error:
        st.error(error.message)
    finally:
        messages.append(("assistant", stream.text))
