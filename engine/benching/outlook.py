"""What a benchmark will send, cost and take, before it sends anything. Pure.

Calls: at least and at most, by the settings; a ladder that ends early sends less. Money at most: the
bytes of the longest prompts bound their tokens, max_tokens the answer's. Money probably: estimated prompt
tokens of the very questions, and an answer of `LIKELY_OUTPUT` tokens. Seconds: of the blocks alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from data.prices import cost, worst_case
from data.schema import Struct, Usage
from engine.accounts import Pool
from engine.benching.enough import ROUNDS
from engine.benching.prompts import Answers, Prompts
from engine.benching.settings import Settings
from engine.benching.targets import Target
from engine.config import Loaded
from engine.estimate import tokens_of
from engine.money import Amount
from providers.spoken import spoken

LIKELY_OUTPUT = 400
LOOKED_AT = 200
"""Prompts that are rendered to see how long they are."""


class Prospect(Struct, frozen=True, kw_only=True):
    """One target. Money in nano-units of the budget's currency; None: no price, or no bound."""

    target: str
    provider: str
    model: str
    least_calls: int
    most_calls: int
    likely_cost: int | None
    worst_cost: int | None
    """Of the most calls, each attempt's worst case once; retries come on top."""
    priced: bool


class Outlook(Struct, frozen=True, kw_only=True):
    """The whole benchmark."""

    targets: tuple[Prospect, ...]
    currency: str
    blocks: int
    least_s: float
    most_s: float
    questions: int
    wraps: bool
    """Some target may need more questions than there are: they come again, salted."""

    @property
    def worst_cost(self) -> int | None:
        """None: it is unknown for some target."""
        costs = [target.worst_cost for target in self.targets]
        return None if None in costs else sum(c for c in costs if c is not None)

    @property
    def likely_cost(self) -> int | None:
        """None: it is unknown for some target."""
        costs = [target.likely_cost for target in self.targets]
        return None if None in costs else sum(c for c in costs if c is not None)


def outlook(
    loaded: Loaded, settings: Settings, targets: Sequence[Target], answers: Answers
) -> Outlook:
    """What will be sent. No key is needed."""
    pools = {t.provider.name: Pool(t.provider, spoken(t.provider)) for t in targets}
    prompts = Prompts(loaded, answers, pools)
    questions = min(len(prompts.questions), settings.limit or len(prompts.questions))
    least, most = _calls(settings)
    blocks = len(settings.levels) * settings.repeats
    return Outlook(
        targets=tuple(_prospect(loaded, prompts, target, least, most) for target in targets),
        currency=loaded.terms.exchange.currency,
        blocks=blocks * len(targets),
        least_s=blocks * len(targets) * settings.min_seconds,
        most_s=blocks * len(targets) * settings.max_seconds,
        questions=questions,
        wraps=most > questions,
    )


def _calls(settings: Settings) -> tuple[int, int]:
    """Of one target: the places are filled once, then rounds are counted, and what is out is awaited."""
    if settings.load != "closed":
        least = most = 1.0
        for level in settings.levels:
            least += level / 60 * settings.min_seconds
            most += min(level / 60 * settings.max_seconds, settings.max_requests * 2)
        return int(least * settings.repeats), int(most * settings.repeats)
    counts = [
        (max(low, ROUNDS * int(level)) + 2 * int(level))
        for low in (settings.min_requests, settings.max_requests)
        for level in settings.levels
    ]
    half = len(settings.levels)
    return 1 + sum(counts[:half]) * settings.repeats, 1 + sum(counts[half:]) * settings.repeats


def _prospect(loaded: Loaded, prompts: Prompts, target: Target, least: int, most: int) -> Prospect:
    price, rates, cap = target.price, loaded.terms.exchange, target.party.max_tokens
    known = price is not None and rates.knows(price.currency)
    worst = likely = None
    if price is not None and known:
        step = max(1, len(prompts.questions) // LOOKED_AT)
        total = longest = seen = 0
        for index in range(0, len(prompts.questions), step):
            body = prompts.job(target, index).http.body
            longest = max(longest, len(body))
            total += tokens_of(len(body.decode("utf-8", "replace")), len(body), target.party.model)
            seen += 1
        output = LIKELY_OUTPUT if cap is None else min(LIKELY_OUTPUT, cap)
        each = cost(price, Usage(total // max(seen, 1), output))
        likely = rates.up(Amount(each * (least + most) // 2, price.currency))
        if cap is not None or not price.output_pico:
            worst = rates.up(Amount(worst_case(price, longest, cap, 0) * most, price.currency))
    return Prospect(
        target=target.name,
        provider=target.provider.name,
        model=target.party.model,
        least_calls=least,
        most_calls=most,
        likely_cost=likely,
        worst_cost=worst,
        priced=known,
    )
