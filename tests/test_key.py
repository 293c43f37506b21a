"""What counts as the same call."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from cache.key import cache_key
from data.schema import Draw

BODY = b'{"model":"m","messages":[]}'
CALL = ("https://api.example.com/v1", "/chat/completions", BODY, Draw(1, 2, 3))

DRAWS = st.builds(Draw, *[st.integers(0, 1000)] * 3)
CALLS = st.tuples(st.text(max_size=5), st.text(max_size=5), st.binary(max_size=5), DRAWS)


def test_the_key_of_a_known_call_never_changes() -> None:
    """Another key for it would throw away everybody's cache: if this fails, it had better be meant."""
    assert (
        cache_key(*CALL).hex() == "f464490c64f61b35202652b57b32fc0629ccc54bbdbfb42e91cd6e25046e5e42"
    )


def test_a_key_is_the_digest_of_its_parts_each_behind_its_length() -> None:
    """Spelt out byte for byte, so that another program could compute it."""
    spelt = b""
    for part in (b"https://api.example.com/v1", b"/chat/completions", b"1.2.3", BODY):
        spelt += len(part).to_bytes(8, "big") + part
    assert cache_key(*CALL) == hashlib.sha256(spelt).digest()


@given(CALLS, CALLS)
def test_two_calls_share_a_key_only_if_they_are_the_same_call(
    one: tuple[str, str, bytes, Draw], other: tuple[str, str, bytes, Draw]
) -> None:
    """Identity, path, body and draw all count."""
    assert (cache_key(*one) == cache_key(*other)) == (one == other)


@given(st.text(max_size=8), st.text(max_size=8), st.integers(0, 8))
def test_moving_bytes_from_one_part_to_the_next_gives_another_key(
    identity: str, path: str, cut: int
) -> None:
    """No part can run over into its neighbour."""
    whole = identity + path
    shifted = (whole[:cut], whole[cut:])
    same = shifted == (identity, path)
    assert (cache_key(identity, path, b"", Draw()) == cache_key(*shifted, b"", Draw())) == same


@given(DRAWS, DRAWS)
def test_each_sample_repeat_and_ask_is_a_draw_of_its_own(one: Draw, other: Draw) -> None:
    """So `samples = 5` buys five answers, and an unreadable verdict never answers its own re-ask."""
    keys = {cache_key("i", "/p", BODY, one), cache_key("i", "/p", BODY, other)}
    assert len(keys) == (1 if one == other else 2)


def test_a_simulator_and_the_real_thing_never_meet() -> None:
    """Not even with the same words, at the same path."""
    real = cache_key("http://localhost:8000/v1", "/chat/completions", BODY, Draw())
    assert cache_key("simulated:0", "/chat/completions", BODY, Draw()) != real
    assert cache_key("simulated:1", "/chat/completions", BODY, Draw()) != real
