"""The private names of httpx2 and httpcore2 that the package touches are still there."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from runagent import network


@pytest.mark.parametrize(
    ("kind", "backend"),
    [(httpx2.Client, "_BlockingBackend"), (httpx2.AsyncClient, "_AsyncBackend")],
)
@pytest.mark.parametrize("proxy", [None, "http://localhost:9"])
def test_every_transport_connects_through_the_packages_own_backend(
    kind: Any, backend: str, proxy: str | None
) -> None:
    """httpx2 hands no network backend on to httpcore2, so it is put there by private names.

    Without it no call ends in time, and nothing can be interrupted.
    """
    client = kind(proxy=proxy, trust_env=False)
    network.use_own_backends(client)
    network.use_own_backends(client)  # as for each call of a client of the user's own
    transports = [client._transport, *client._mounts.values()]
    assert len(transports) == (1 if proxy is None else 2)
    for transport in transports:
        found = transport._pool._network_backend
        assert type(found) is getattr(network, backend)
        assert type(found._backend) is not type(found)
