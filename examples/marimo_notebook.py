# A notebook of marimo that asks an agent: in its chat, in a cell, in Markdown, and in the widget.
#
#     pip install "/path/to/checkout[jupyter,local]" marimo
#     marimo edit marimo_notebook.py

import marimo

__generated_with = "0.25.2"

app = marimo.App()


@app.cell
def _():
    import os

    import marimo as mo

    from runagent import RunAgentClient
    from runagent_jupyter import AgentWidget
    from runagent_jupyter.marimo import model

    AGENT = os.environ.get("AGENT", "demo")
    return AGENT, AgentWidget, RunAgentClient, mo, model


@app.cell
def _(AGENT, mo, model):
    chat = mo.ui.chat(model(AGENT))
    chat
    return (chat,)


@app.cell
def _(chat, mo):
    mo.plain_text(f"{len(chat.value)} messages")
    return


@app.cell
def _(AGENT, RunAgentClient):
    # It shows itself while it streams.
    stream = RunAgentClient(AGENT).run_generic_stream({"query": "Hello"})
    stream
    return (stream,)


@app.cell
def _(mo, stream):
    mo.md(f"""
    ## The same answer in Markdown

    {mo.as_html(stream)}
    """)
    return


@app.cell
def _(AGENT, AgentWidget, mo):
    widget = mo.ui.anywidget(AgentWidget(AGENT))
    widget
    return (widget,)


@app.cell
def _(mo, widget):
    mo.plain_text(f"{len(widget.value['turns'])} turns")
    return


if __name__ == "__main__":
    app.run()
