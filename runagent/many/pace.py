"""The pace of a batch: when its next request may be sent. No I/O; the clock is an argument."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

from runagent.many.limits import Limits
from runagent.many.quota import Quota
from runagent.many.search import FIRST_REQUESTS, Search

Verdict = Literal["accepted", "limited", "unavailable"]
"""The answer of a server to one request, as far as the pace is concerned.

- `"accepted"`: it took the request, whether the agent succeeded or not.
- `"limited"`: it refused the request because of a rate limit.
- `"unavailable"`: it could not be reached, or says that it serves nobody for now.
"""

STATED = (0.98, 0.96, 0.94)
"""The parts of a stated limit that are used, one after the other if the server still refuses."""

LASTING = 300
"""Accepted requests after which a refusal in spite of a stated limit no longer counts."""

BOLDNESS = 5
"""The factor of the pace at the start where headers state what is left of a limit."""

FIRST_BURST = 4
"""Requests that are sent at once at the start."""

CATCH_UP = 0.05
"""Seconds of requests that may be sent at once after a delay of this process."""

SHORTEST_PAUSE = 0.1
"""Seconds before the first request that asks whether a rate limit is still met."""

LONGEST_FIRST_PAUSE = 1.0
"""Seconds before that first request, at most. It is longer the slower the pace is."""

PATIENCE = 1.5
"""The factor from one pause between such requests to the next."""

LONG_PAUSE = 5.0
"""Seconds: in a shorter pause, it matters that a server asks for whole seconds."""

LONGEST_PAUSE = 300.0
"""Seconds between two such requests, at most."""

SEVERAL = 4
"""Requests in the time that a server asks to wait, from which on it says when the limit opens. A
shorter time may be that of the next request alone, as for a bucket."""

REFUSED = 3
"""Requests refused in a row that close the gate, if the server does not say how long."""

OUTAGE = 3
"""Requests in a row that find the server unavailable before the batch pauses."""

FIRST_OUTAGE_PAUSE = 0.5
"""Seconds before the first request that asks whether the server is back."""

LONGEST_OUTAGE_PAUSE = 30.0
"""Seconds between two such requests, at most."""


@dataclass(eq=False, slots=True)
class Ticket:
    """One request that was sent.

    Attributes:
        sent: When it was sent.
        epoch: How often the gate had been closed or opened before.
    """

    sent: float
    epoch: int


class Pace:
    """Decides when requests are sent, from the answers to those before.

    There is one gate for all requests. A rate limit that is met closes it for as long as the
    server asks; if it does not ask, single requests find out when it opens. So does an outage.
    While it is open, requests leave it evenly, at the pace that the user states, that the headers
    of the server allow, or that `Search` has found: the lowest of these.

    All times are seconds of one monotonic clock.

    Attributes:
        max_concurrency: Requests under way at the same time, at most.
        under_way: Requests under way.
        latency: Seconds that an answer takes, on average of the last ones; `None` before the first.
        closed_for: Why the gate is closed; `None` while it is open.
        closed_since: When it was closed.
        accepted: Requests that the server has taken.
    """

    def __init__(
        self,
        now: float,
        *,
        rate: float | None = None,
        max_concurrency: int = 100,
        remembered: float | None = None,
    ) -> None:
        """Start with what is known.

        Args:
            now: The time.
            rate: Requests per second that the user states, `None` to find the pace.
            max_concurrency: Requests under way at the same time, at most.
            remembered: The pace that an earlier run has found, `None` if there was none.
        """
        self.max_concurrency = max_concurrency
        self.under_way = 0
        self.latency: float | None = None
        self.closed_for: Verdict | None = None
        self.closed_since = now
        self.accepted = 0
        self._rate = math.inf if rate is None else rate
        self._search = Search(now, math.inf if rate is not None else remembered)
        self._limits = Limits()
        self._refusals: deque[int] = deque(maxlen=len(STATED) - 1)
        # The first few leave at once: nobody's limit is that low, and a short batch is soon done.
        self._next = now if self.is_stated else now - FIRST_BURST / self.pace(now)
        self._epoch = 0
        self._open_at = now
        self._pause = 0.0
        self._met: float | None = None
        self._run = 0
        self._run_began = now
        self._last_refused = now
        self._rounded = False
        self._asked = now
        self._hinted = self._believed = False
        self._unavailable = 0

    @property
    def is_stated(self) -> bool:
        """Whether the user or the server states the limit."""
        return math.isfinite(self._rate) or self._limits.is_known

    def pace(self, now: float) -> float:
        """Return the requests per second at which the gate lets them through."""
        part = STATED[min(len(self._refusals), len(STATED) - 1)]
        stated = part * min(self._rate, self._limits.pace(now))
        if self._search.ramping:
            # Carefully, as there may be a limit that the server does not state.
            if stated < math.inf:
                return min(stated, BOLDNESS * self._search.pace)
            bold = min(BOLDNESS * self._search.pace, self._limits.plausible(now))
            return max(bold, self._search.pace)
        return min(stated, self._search.pace)

    @property
    def found(self) -> float | None:
        """The pace that was found, which the next run may begin with; `None` if it was not."""
        pace = self._search.pace
        return pace if math.isfinite(pace) and not self._search.ramping else None

    def waits_for(self, now: float) -> Verdict | None:
        """Return why nothing is sent now, `None` if it is only for the pace."""
        if self.closed_for is None and self._limits.full_until(now) > now:
            return "limited"
        return self.closed_for

    def opens_at(self, now: float) -> float:
        """Return when a request may be sent again to a server that takes none, `now` at once."""
        return max(now, self._open_at if self.closed_for else self._limits.full_until(now))

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may be sent, zero for now.

        `math.inf` means after the next answer.
        """
        if self.under_way >= self.max_concurrency:
            return math.inf
        if self.latency is None and not self.is_stated and self.under_way >= FIRST_REQUESTS:
            return math.inf
        if self.closed_for is not None and not self._opens_by_itself:
            return max(0.0, self._open_at - now)
        opens = self._open_at if self.closed_for is not None else now
        return max(0.0, self._next - now, opens - now, self._limits.full_until(now) - now)

    @property
    def _opens_by_itself(self) -> bool:
        """Whether the gate opens when the server has said, without a request that asks first."""
        return self._hinted and self._believed

    def sent(self, now: float) -> Ticket:
        """Take note that a request is sent; return its ticket, which goes to `answered`."""
        ticket = Ticket(now, self._epoch)
        self.under_way += 1
        if self.closed_for is not None and not self._opens_by_itself:
            self._open_at = now + self._pause
            longest = LONGEST_PAUSE if self.closed_for == "limited" else LONGEST_OUTAGE_PAUSE
            self._pause = min(PATIENCE * self._pause, longest)
        pace = self.pace(now)
        step = 1 / pace if pace < math.inf else 0.0
        if self.latency is not None:
            self._next = max(self._next, now - CATCH_UP)
        self._next += step
        self._search.sent()
        self._limits.sent()
        return ticket

    def dropped(self) -> None:
        """Take note that a request under way was given up, so that there is no answer to it."""
        self.under_way -= 1

    def answered(
        self,
        ticket: Ticket,
        now: float,
        verdict: Verdict,
        quotas: tuple[Quota, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        """Take note of the answer to a request.

        Args:
            ticket: The ticket of the request.
            now: The time.
            verdict: What the answer means for the pace.
            quotas: The limits that the answer states.
            retry_after: Seconds that the server asks to wait, `None` if it does not.
        """
        self.under_way -= 1
        took = now - ticket.sent
        if quotas:
            self._limits.answered(quotas, now, self.under_way, took)
            if self._limits.is_known and self._search.ramping:
                self._search.stop()
            elif not self._limits.is_known and math.isinf(min(self._rate, self._search.pace)):
                self._search = Search(now, None)
        if verdict == "unavailable":
            self._found_unavailable(now, retry_after)
            return
        self._unavailable = 0
        if self.latency is None:
            self.latency = took
            self._search.first_answer(took)
        if verdict == "limited":
            self._limited(ticket, now, retry_after)
            return
        self.latency += 0.1 * (took - self.latency)
        self.accepted += 1
        if self._refusals and self.accepted - self._refusals[0] > LASTING:
            self._refusals.popleft()
        self._run = 0
        if ticket.epoch == self._epoch:
            if self.closed_for == "unavailable":
                self._reopen()
            elif self._met is not None:
                self._believed = self._hinted or self._believed
                self._settle(self._met, ticket.sent, now)
        self._search.accepted(ticket.sent, now, self.latency)

    def _limited(self, ticket: Ticket, now: float, retry_after: float | None) -> None:
        self._last_refused = max(self._last_refused, ticket.sent)
        if self._run == 0:
            self._run_began = ticket.sent
        self._run += 1
        if self._met is None and (ticket.epoch == self._epoch or self._run >= REFUSED):
            self._met = self._run_began
            self._epoch += 1
            self._search.refused()
        if self._met is None:
            return  # sent before the gate was opened by a later request
        if self.closed_for is not None and ticket.epoch == self._epoch:
            self._believed = False  # it was to be open by now
        if retry_after is not None and retry_after > 0:
            self._close("limited", now)
            self._hinted = retry_after * self.pace(now) > SEVERAL
            self._rounded = retry_after == int(retry_after)
            if self._rounded:  # upwards; the next request may be as long on its way as this one
                retry_after = max(0.0, retry_after - (now - ticket.sent))
            self._asked = max(self._asked, now + retry_after)
            self._open_at = self._next = self._asked
        elif (
            self._run >= REFUSED
            and self.closed_for is None
            # With a long latency, the limit may be open again by the time that this is known.
            and ticket.sent - self._run_began >= 0.3 * (self.latency or 0.0)
        ):
            self._close("limited", now)
            self._open_at = max(now, self._run_began + self._pause)

    def _close(self, why: Verdict, now: float) -> None:
        if self.closed_for is not None:
            return
        self.closed_for, self.closed_since = why, now
        self._epoch += 1
        self._rounded = self._hinted = False
        latency = self.latency or 0.0
        self._pause = max(
            SHORTEST_PAUSE, min(8 / self.pace(now), LONGEST_FIRST_PAUSE), 0.5 * latency
        )
        self._open_at = now

    def _reopen(self) -> None:
        self.closed_for = None
        self._epoch += 1

    def _settle(self, met: float, sent: float, now: float) -> None:
        """Go on after a rate limit was met, as a request sent since then was accepted."""
        low = self._last_refused
        high = max(low, sent) if self.closed_for is not None else low
        shut = high - met
        if self._rounded and shut < LONG_PAUSE:  # to whole seconds, upwards
            shut = low - met
            high = low + 0.3 * (high - low)
        self._met = None
        self._next = max(self._next, now)
        self._limits.refused()
        if self.is_stated and len(self._refusals) < len(STATED) - 1:
            self._refusals.append(self.accepted)
        else:
            if math.isinf(self._search.pace):
                self._search.pace = self.pace(now)
            cost = now - self.closed_since if self.closed_for is not None else 0.0
            self._search.settle(met, low, high, now, shut, cost)
        self._reopen()

    def _found_unavailable(self, now: float, retry_after: float | None) -> None:
        self._unavailable += 1
        if self._unavailable >= OUTAGE and self.closed_for is None:
            self._close("unavailable", now)
            self._pause = FIRST_OUTAGE_PAUSE
            self._open_at = now + self._pause
        if retry_after is not None and self.closed_for is not None:
            self._open_at = max(self._open_at, now + retry_after)
