"""A benchmark from its first call to its last, or on from where an earlier session ended.

The limits are the sweep's own and stay the same objects throughout, so what one block learned about an
account (a pause, a rate) holds for the next; only the number of calls in flight is each block's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import anyio

from cache.offload import Inline, Offload, Threads
from cache.responses import ResponseCache, ResponseStore
from data.catalog import is_embedded
from data.codec import replace
from data.schema import ProviderSpec, Timing
from engine.accounts import Account, Pool
from engine.benching.caller import Desk
from engine.benching.folder import open_folder
from engine.benching.tap import Tap
from engine.benching.targets import Target
from engine.benching.till import Till
from engine.benching.work import Connected, Finished, Order, Work, World
from engine.bootstrap import transports_of
from engine.config import Loaded
from engine.keys import endpoint_of
from engine.purse import Terms, purse_for
from providers.spoken import spoken

SPARE_CONNECTIONS = 16


async def measure(order: Order, folder: Path, world: World) -> Finished:
    """One session. Raises AlignsweepError before anything is sent."""
    terms = replace(order.loaded.terms, ceiling=order.ceiling)
    _check_money(terms, order.targets, world.now_s)
    till = Till(terms, {target.key: target.price for target in order.targets})
    lane: Offload = Inline() if world.virtual else Threads("journal")
    async with AsyncExitStack() as stack:
        opened = open_folder(
            folder, order.loaded, order.settings, offload=lane, tell=_ignore, now_s=world.now_s
        )
        stack.push_async_callback(opened.aclose)
        till.restore(opened.benched.spent)
        desks, counts = _desks(order, world, stack)
        cache = _cache(world)
        if cache is not None:
            stack.push_async_callback(cache.aclose)
        session = Work(order, opened, till, desks, counts, world, cache)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(opened.journal.keep_durable)
            if world.cpu_s is not None:
                tasks.start_soon(session.watch.run)
            finished = await session.run()
            tasks.cancel_scope.cancel()
        await opened.journal.sync()
    return finished


def _cache(world: World) -> ResponseCache | None:
    if world.cache_path is None:
        return None
    epoch = world.now_s - asyncio.get_running_loop().time()
    lane: Offload = Inline() if world.virtual else Threads("cache")
    store = ResponseStore(world.cache_path)
    return ResponseCache(store, lane, lambda: epoch + asyncio.get_running_loop().time())


def _ignore(_: Timing) -> None:
    """Nothing is shown of a single attempt that waits for the disk."""


def _check_money(terms: Terms, targets: tuple[Target, ...], now_s: float) -> None:
    """Raises ConfigError where there is a ceiling and a price or a bound is missing."""
    parties = {t.key: (t.provider, t.party.model, t.party.max_tokens) for t in targets}
    purse_for(terms, parties, datetime.fromtimestamp(now_s, tz=UTC).date())


def _desks(
    order: Order,
    world: World,
    stack: AsyncExitStack,
) -> tuple[dict[str, Desk], Callable[[], tuple[int, int]]]:
    """A desk per provider; everything that can be wrong with a key or an address is found here."""
    settings = order.settings
    most = int(max(settings.levels)) if settings.load == "closed" else 1024
    endpoints = {}
    for target in order.targets:
        codec = spoken(target.provider)
        endpoints[target.provider.name] = (
            target,
            codec,
            endpoint_of(target.account, codec, world.env),
        )
    accounts = [target.account for target, _, _ in endpoints.values()]
    connected = world.connect(accounts, order.loaded, most + SPARE_CONNECTIONS)
    desks = {}
    for name, (target, codec, endpoint) in endpoints.items():
        pool = Pool(target.provider, codec)
        tap = Tap(connected.transports[target.account.name])
        account = Account(pool, target.account, endpoint, tap)
        pool.accounts.append(account)
        desks[name] = Desk(pool, account, tap)
    for transport in set(connected.transports.values()):
        stack.push_async_callback(transport.aclose)
    return desks, connected.counts


def reach(accounts: list[ProviderSpec], loaded: Loaded, connections: int) -> Connected:
    """Sockets for real providers, a simulator for each embedded one."""
    from providers.transport import AiohttpTransport, Connections

    counts = Connections()
    real = [spec for spec in accounts if not is_embedded(spec)]
    found = transports_of([spec for spec in accounts if is_embedded(spec)], loaded)
    if real:
        shared = AiohttpTransport(connections, counts)
        found |= {spec.name: shared for spec in real}
    return Connected(found, lambda: (counts.opened, counts.reused))
