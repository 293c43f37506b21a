"""What must hold of every performance, whatever was played: the two sides' books held against each other.

Each check yields a sentence for whatever is wrong. Their names:

    ended       it ended by itself, in time, as the scene says it must; its exit state says the same
    records     each trial has one last record or is owed; errors have the right class; scores are the
                judge's; lines are whole
    polite      attempts, told waits, pauses, calls in flight; nothing more after a stop
    paid once   no body with a good answer is asked again; only whole answers are cached
    money       tokens and amounts are those that the server told, the rest is marked as estimated
    attributed  each stored text is what was said to that very request
    in time     no exchange outlived its deadline by more than a second
    bounded     nothing was read beyond the bounds
    secret      no key in any file or message; no other host was asked; no cookie went back
    inert       what is said about it can be shown on any terminal
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from cache.responses import ResponseStore
from data.text import printable
from engine.retry import FLOOR_S
from engine.selftest import books
from engine.selftest.expected import LIMITED, OUTCOMES, UNREADABLE, most_requests, readings, stops
from engine.selftest.theatre import IN_FLIGHT, KEY, PRICE, Performance
from providers.hostile.breaking import SHORT_S
from providers.hostile.ledger import Exchange, by_body, most_in_flight
from providers.hostile.stage import score_of
from providers.transport import MAX_STREAM

Check: TypeAlias = Callable[[Performance], Iterator[str]]
EARLY_S = 0.02
"""How much earlier than told a request may seem to come: two clocks are read at two ends."""
UNHEARD_S = 0.25
"""Within this time a reply may not have been read yet by whoever sends at the same moment."""
LATE_S = 1.0
BUFFERED = 8 * 1024 * 1024
"""Bytes that are on their way between two sockets."""
LONGEST_MESSAGE = 1000


def ended(shown: Performance) -> Iterator[str]:
    """I8, I14: by itself, in time, with the right states, and it says so."""
    outcome = shown.outcome
    if outcome is None:
        yield f"the session ended badly: {shown.crash}"
        return
    states = books.endings(shown)
    for key, state in states.items():
        judge, model, _ = key
        if (judge or model) == shown.scene.model and not (judge and shown.scene.model != "judge"):
            wanted = shown.state
        else:
            wanted = _bystander(states, key)
        if state != wanted:
            yield f"{_named(key)} is {state}, not {wanted}"
    owed = {k: s for k, s in states.items() if s in ("pending", "failed") and _wanted(states, k)}
    failed = sum(state == "failed" for state in owed.values())
    if (outcome.failed, outcome.pending) != (failed, len(owed) - failed):
        yield f"it counts {outcome.failed} failed, {outcome.pending} pending; the journal {owed}"
    if outcome.state != ("partial" if owed else "complete"):
        yield f"it says {outcome.state} with {len(owed)} owed"


def records(shown: Performance) -> Iterator[str]:
    """I2, I3, I12: one last record a trial, nothing outside the plan, scores from verdicts only."""
    found = books.results(shown)
    for key in found.keys() - set(books.plan(shown)):
        yield f"{_named(key)} is in no plan"
    for key, lines in found.items():
        if len(lines) > 1:
            yield f"{_named(key)} has {len(lines)} last records"
    for number in books.broken_lines(shown.run / "journal.jsonl") if shown.lines else ():
        yield f"line {number} of the journal is not whole"
    for intent, settled in books.attempts(shown):
        if settled is None:
            yield f"intent {intent['id']} was never settled"
        elif books.played_to(shown, intent) and settled.get("error", "") not in readings(
            shown.scene
        ):
            yield f"it is read as {settled['error']}, not as {shown.scene.meets}"
    for line in (line for lines in found.values() for line in lines if line["kind"] == "judgment"):
        yield from _sound_score(shown, line)


def polite(shown: Performance) -> Iterator[str]:
    """I6: attempts, waits, pauses, places, stops."""
    heard = [each for each in shown.exchanges if each.model == shown.scene.model]
    for same in by_body(heard):
        if len(same) > most_requests(shown.scene, shown.mode):
            yield f"one body was sent {len(same)} times"
        yield from _waits(same)
    if most_in_flight(heard) > IN_FLIGHT:
        yield f"{most_in_flight(heard)} calls were in flight"
    if shown.scene.meets == LIMITED:
        yield from _pauses(heard)
    refusals = [each for each in heard if each.hostile and each.ended_s is not None]
    if stops(shown.scene) and refusals:
        first = min(each.ended_s or 0.0 for each in refusals)
        after = sum(each.came_s > first for each in heard)
        if after >= IN_FLIGHT:
            yield f"{after} more requests after the reply that stops it"


def paid_once(shown: Performance) -> Iterator[str]:
    """I4: a good answer is bought once; what is not whole is never cached."""
    for same in by_body(shown.exchanges):
        good = [n for n, each in enumerate(same) if _is_good(shown, each)]
        if good and good[0] < len(same) - 1:
            yield "a body with a good answer was sent again"
    path = shown.folder / "cache.sqlite"
    if path.exists():
        kept = sum(row.entries for row in ResponseStore(path, read_only=True).info())
        good_ones = sum(_is_cached(shown, each) for each in shown.exchanges)
        if kept != good_ones:
            yield f"{kept} replies are cached, {good_ones} are whole answers"


LOST = ("TransportError", "BadReply", None, "")
"""How attempts end that may have been billed."""


def money(shown: Performance) -> Iterator[str]:
    """I5: both books agree to the token and to the nano-dollar."""
    told = [each.usage for each in shown.exchanges if each.usage is not None]
    asked, said = sum(u.input_tokens for u in told), sum(u.output_tokens for u in told)
    settled = [line for _, line in books.attempts(shown) if line is not None]
    known = [line for line in settled if "usage" in line]
    ours = (
        sum(line["usage"].get("input_tokens", 0) for line in known),
        sum(line["usage"].get("output_tokens", 0) for line in known),
    )
    if ours != (asked, said):
        yield f"booked {ours} tokens, the server told {(asked, said)}"
    cost = sum(line.get("cost", 0) for line in known)
    if cost != asked * PRICE[0] + said * PRICE[1]:
        yield f"booked {cost} nano-dollars for {(asked, said)} tokens"
    lost = [line for line in settled if line.get("error") in LOST and "usage" not in line]
    free = [line for line in lost if not line.get("estimated")]
    unheard = max(0, len(settled) - len(shown.exchanges))  # those never left, and cost nothing
    for line in free[unheard:]:
        yield f"attempt {line['id']} tells no usage and is not marked as estimated"
    spent = shown.outcome.spent.total if shown.outcome else None
    if spent is not None and spent.booked != sum(line.get("cost", 0) for line in settled):
        yield f"the summary books {spent.booked}, the journal's lines something else"


def attributed(shown: Performance) -> Iterator[str]:
    """I7: every text was said, to the letter, to a request about that question."""
    for key, lines in books.results(shown).items():
        if lines[-1]["kind"] == "failure":
            continue
        judge, model, question = key
        replies = lines[-1]["asks"] if judge else [lines[-1]["response"]]
        asked = [
            each
            for each in shown.exchanges
            if each.model == (judge or model) and f"QST{question}QST" in each.words
        ]
        for reply in replies:
            text = reply["text"]
            if shown.state != "refused" and not any(_same(each.said, text) for each in asked):
                yield f"{_named(key)} holds a text that was never said to it"
        if judge:
            answers = books.results(shown).get(("", model, question), [])
            text = answers[-1]["response"]["text"] if answers else ""
            if not any(text in each.words or _escaped(text) for each in asked):
                yield f"{_named(key)} was made of another answer"


def in_time(shown: Performance) -> Iterator[str]:
    """I8: no exchange outlived its deadline."""
    for intent, settled in books.attempts(shown):
        limit = shown.scene.timeout_s if books.played_to(shown, intent) else 30.0
        if settled is not None and settled.get("latency_s", 0) > limit + LATE_S:
            yield f"attempt {intent['id']} took {settled['latency_s']:.1f} s of {limit:g}"


def bounded(shown: Performance) -> Iterator[str]:
    """I9: nothing was read beyond the bounds (where no deadline is the bound), or written without any."""
    for each in shown.exchanges:
        if each.sent > MAX_STREAM + BUFFERED and shown.scene.timeout_s > SHORT_S:
            yield f"{each.sent:,} bytes of one reply were taken"
    for line in shown.lines:
        if len(line.get("message", "")) > LONGEST_MESSAGE:
            yield f"a message of {len(line['message']):,} characters was recorded"


def secret(shown: Performance) -> Iterator[str]:
    """I10: the key is where it belongs, and nowhere else."""
    for path in (p for p in shown.folder.rglob("*") if p.is_file()):
        if found := leaked(path.read_bytes()):
            yield f"{path.relative_to(shown.folder)} holds the key ({found})"
    for path in (shown.run, shown.run / "journal.jsonl"):
        yield from _open_to_others(path)
    for each in shown.exchanges:
        head = each.head.lower()
        if head.count(KEY) != 1 or KEY in head.partition("\r\n")[0] or KEY.encode() in each.body:
            yield "a request carries the key where it does not belong"
        if "\r\ncookie:" in head:
            yield "a cookie was sent back"
    if any(f"/{shown.name}/" in told or KEY in told for told in shown.strangers):
        yield "another host was asked"


def inert(shown: Performance) -> Iterator[str]:
    """I11: what is said about it is visible text."""
    if shown.outcome is None:
        return
    told = [reason for reason, _ in shown.outcome.progress.errors]
    told += [f"{stop.name} {stop.message}" for stop in shown.outcome.stopped]
    told += [str(line["message"]) for line in shown.lines if "message" in line]
    for text in told:
        if text != printable(text):
            yield f"a message would be obeyed by a terminal: {printable(text, 60)}"


CHECKS: Mapping[str, Check] = {
    "ended": ended,
    "records": records,
    "polite": polite,
    "paid once": paid_once,
    "money": money,
    "attributed": attributed,
    "in time": in_time,
    "bounded": bounded,
    "secret": secret,
    "inert": inert,
}


def leaked(data: bytes, key: str = KEY) -> str:
    """In which form the key stands in these bytes; empty: in none."""
    plain = key.encode()
    forms = {
        "plain": plain,
        "base64": base64.b64encode(plain).rstrip(b"="),
        "URL-encoded": quote(key, safe="").encode(),
        "SHA-1": hashlib.sha1(plain, usedforsecurity=False).hexdigest().encode(),
        "its second half": plain[-16:],
        "eight bytes of it": plain[-8:],
    }
    return next((name for name, form in forms.items() if form in data), "")


# --- helpers -----------------------------------------------------------------------------------


def _named(key: books.Key) -> str:
    judge, model, question = key
    return f"{judge} on {model} {question}" if judge else f"{model} {question}"


def _wanted(states: Mapping[books.Key, str], key: books.Key) -> bool:
    """Is this trial owed at all? A judgment of an answer that was refused is not."""
    judge, model, question = key
    return not judge or states["", model, question] != "refused"


def _bystander(states: Mapping[books.Key, str], key: books.Key) -> str:
    """How a trial ends that nothing was played to."""
    if not key[0]:
        return "answered"
    judged = states["", key[1], key[2]] in ("answered", "truncated")
    return "judged" if judged else "pending"


def _sound_score(shown: Performance, line: books.Line) -> Iterator[str]:
    """The score is the one that the last reply gives, if it gives one."""
    verdict, said = line.get("verdict"), line["asks"][-1]["text"]
    by = [each for each in shown.exchanges if each.model == "judge" and _same(each.said, said)]
    if not by:
        return  # `attributed` says so
    wanted = score_of(by[-1]) if not by[-1].hostile else shown.scene.score
    given = verdict["score"] if verdict else None
    if given != wanted:
        yield f"the judge gave {wanted}, the record says {given}"


def _waits(same: list[Exchange]) -> Iterator[str]:
    """Between two exchanges of one body: the told time, and never no time at all."""
    for before, after in pairwise(same):
        if before.spoke_s is None or before.said is not None:
            continue  # a judge that is asked again need not be spared
        gap_s = after.came_s - before.spoke_s
        if gap_s < max(before.told_s, FLOOR_S) - EARLY_S:
            yield f"sent again after {gap_s:.3f} s, told were {before.told_s:g}"


def _pauses(heard: list[Exchange]) -> Iterator[str]:
    """A told wait is the whole account's: only what was on its way may still come."""
    for refusal in (each for each in heard if each.told_s and each.spoke_s is not None):
        since = refusal.spoke_s or 0.0
        early = [each.came_s - since for each in heard if each.came_s > since]
        soon = [gap_s for gap_s in early if UNHEARD_S < gap_s < refusal.told_s - EARLY_S]
        if soon:
            yield f"the account sent {soon[0]:.3f} s into a pause of {refusal.told_s:g} s"


def _is_good(shown: Performance, each: Exchange) -> bool:
    """Was this a reply after which nothing more may be asked?"""
    return each.said is not None and (not each.hostile or shown.scene.meets in OUTCOMES)


def _is_cached(shown: Performance, each: Exchange) -> bool:
    """Was it a whole answer (or a whole reply of a judge, be it of no use)?"""
    if each.said is None:
        return False
    return not each.hostile or shown.scene.meets in ("answered", "judged", UNREADABLE)


def _same(said: str | None, text: str) -> bool:
    return said is not None and said == text


def _escaped(text: str) -> bool:
    """Can this text not be compared as it stands in a request? (Lone surrogates are escaped there.)"""
    return any("\ud800" <= char <= "\udfff" for char in text)


def _open_to_others(path: Path) -> Iterator[str]:
    if path.exists() and path.stat().st_mode & 0o077:
        yield f"{path.name} can be read by others"
