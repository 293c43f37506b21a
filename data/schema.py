"""Every record of the project: the words all rooms share.

Rules: records are frozen and hold plain data; nothing here computes beyond its own fields, opens a
file or knows a clock. Units stand in names (`latency_s`, seconds). A field that an older file may
lack comes last and has a default; what a journal line or a rubric file looks like is decided here.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct as Struct  # noqa: PLC0414  (re-exported: the base of records everywhere)
from msgspec import field

QuestionId = int | str
Role = Literal["system", "user", "assistant"]
StopReason = Literal["stop", "length", "content_filter", "other"]
AnswerState = Literal["answered", "truncated", "refused"]
RefusedBy = Literal["", "provider", "model"]
ParsePolicy = Literal["robust", "compat", "opencompass"]
VerdictForm = Literal["text", "json_schema"]
"""How a judge is made to write its verdict: asked in the prompt, or held to a JSON schema."""
Choice = Literal["first+", "first", "tie", "second", "second+"]
"""Which of two candidates is better; + is much better."""

# --- a benchmark -------------------------------------------------------------------------------


class Message(Struct, frozen=True):
    """One turn of a conversation as a provider receives it."""

    role: Role
    content: str


class Evidence(Struct, frozen=True):
    """Where a reference answer comes from (AlignBench v1.1): a page and the words quoted from it."""

    url: str
    quote: str


class Question(Struct, frozen=True):
    """One item of a benchmark. `turns` has one user text per turn (most benchmarks: one)."""

    id: QuestionId
    category: str
    subcategory: str
    turns: tuple[str, ...]
    references: tuple[str, ...] = ()
    """One reference answer per turn; empty where the benchmark has none."""
    evidences: tuple[Evidence, ...] | None = None

    @property
    def text(self) -> str:
        """The first turn: all there is in a single-turn benchmark."""
        return self.turns[0]

    @property
    def reference(self) -> str:
        """The first turn's reference answer, or an empty text."""
        return self.references[0] if self.references else ""


class Benchmark(Struct, frozen=True):
    """A set of questions, in file order, with what its authors fixed about running it."""

    name: str
    title: str
    questions: tuple[Question, ...]
    sha256: str
    """Of the question file's bytes: results of different files are not comparable."""
    temperatures: dict[str, float] = {}
    """Generation temperature by category; the key "" is for categories not named."""
    groups: dict[str, tuple[str, ...]] = {}
    """Column groups of the table, such as 中文推理 = (数学计算, 逻辑推理); may be empty."""
    rubric: str = ""
    """The rubric this benchmark is judged with unless the sweep file says otherwise."""
    source: str = ""

    @property
    def categories(self) -> tuple[str, ...]:
        """Category names in the order in which they first appear."""
        return tuple(dict.fromkeys(q.category for q in self.questions))


class Rubric(Struct, frozen=True, kw_only=True):
    """How a judge is asked and how its verdict is read. See `data/rubric.py`, which interprets it."""

    name: str
    title: str = ""
    template: str
    """The user message, with placeholders that `data/rubric.py` lists."""
    fenced: bool = True
    """The candidate's text stands between delimiters that do not occur in it (not in imported prompts)."""
    dimension_line: str = "{number}. {name}: {definition}\n"
    definitions: dict[str, str]
    types: dict[str, tuple[str, ...]]
    """Type of question -> its dimensions, in prompt order."""
    subcategories: dict[str, str]
    """Subcategory -> type of question."""
    default_type: str = ""
    """For subcategories not listed; empty: a question of such a subcategory is refused."""
    score_key: str = "综合得分"
    score_aliases: tuple[str, ...] = ()
    low: float = 1
    high: float = 10
    closing: str = ""
    """A fixed closing marker (imported prompts); fenced rubrics derive theirs per answer."""
    opening: str = ""
    source: str = ""
    sha256: str = ""
    no_reference: str = ""
    """Stands in for the reference of a question that has none."""
    categories: dict[str, str] = {}
    """Category -> type, for subcategories that are not listed."""
    bracketed: bool = False
    """The verdict is a number in double brackets, [[7]], instead of an object."""
    no_evidence: str = ""
    """Stands in for the evidences of a question that has none."""
    labels: dict[str, Choice] = {}
    """What a judge writes -> the choice, where "first" is the answer shown first. Empty: pointwise."""
    system: str = ""
    """A system message before the user message (imported prompts); empty: none."""

    @property
    def pairwise(self) -> bool:
        """Does it compare two answers?"""
        return bool(self.labels)


# --- one call ----------------------------------------------------------------------------------


class Draw(Struct, frozen=True):
    """Which of several independent answers to the same words this is: part of what is cached."""

    sample: int = 0
    repeat: int = 0
    ask: int = 0


class Request(Struct, frozen=True, kw_only=True):
    """All that changes the answer and nothing else: no keys, no timeouts, no limits."""

    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    parameters: dict[str, Any] = {}
    """Further wire parameters exactly as the sweep file gives them (top_p, stop, …)."""
    draw: Draw = Draw()
    thinking: str = ""
    """A state of the model's thinking, such as "on" or "off"; `data/sampling.py` puts it into the
    provider's own parameters before a codec sees the request. Empty: as the provider has it."""
    schema: dict[str, Any] = {}
    """A JSON schema that the provider is to hold the reply to, in its own way. Empty: free text."""


class Usage(Struct, frozen=True):
    """Tokens of one call, in one meaning for all providers.

    `input_tokens` includes `cached_tokens`; `output_tokens` includes `reasoning_tokens`.
    So cached <= input and reasoning <= output, always.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


class Response(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came back from one call that worked."""

    text: str
    stop_reason: StopReason = "stop"
    reasoning: str = ""
    """Thinking text, kept apart: no judge sees it and no score is read from it."""
    usage: Usage | None = None
    """None: the provider did not say (never zero)."""
    served_model: str = ""
    fingerprint: str = ""
    request_id: str = ""
    latency_s: float = 0.0
    """From sending to the last byte, of the attempt that worked."""
    ttft_s: float | None = None
    """Streams only: from sending to the first token of thinking or answer, whichever came first."""
    attempts: int = 1
    cached: bool = False
    simulated: bool = False
    refused_by: RefusedBy = ""
    """Whose refusal this is, if it is one: the provider's filter, or the model in its own words."""
    refusal_code: str = ""
    """What the provider calls its refusal: `1301`, `content_filter`, `data_inspection_failed`, …"""
    ttfa_s: float | None = None
    """Streams only: to the first token of the answer itself; equals ttft_s where nothing was thought."""
    last_token_s: float | None = None
    """Streams only: to the last token; what follows it is the usage and the end."""
    upstream: str = ""
    """Behind a gateway: who really answered."""
    raw_usage: dict[str, Any] = {}
    """The numbers of the provider's own usage object, under its own names: to work costs out anew."""
    flags: tuple[str, ...] = ()
    """What a careful reader would mention: counts that contradict each other, thinking cut oddly."""

    @property
    def state(self) -> AnswerState:
        """What kind of final record this is for a trial."""
        if self.stop_reason == "content_filter":
            return "refused"
        return "truncated" if self.stop_reason == "length" else "answered"


# --- the unit of work --------------------------------------------------------------------------


class Trial(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The unit of resuming: one answer to get, or one judgment to get.

    `candidates` names what is answered or judged as (model, sample), one for pointwise, two for pairs;
    `model` is the sweep file's name. An ask (of an unreadable verdict) and an attempt (one HTTP
    exchange) belong to records, not to the trial.
    """

    kind: Literal["answer", "judgment"]
    question_id: QuestionId
    candidates: tuple[tuple[str, int], ...]
    turn: int = 0
    judge: str = ""
    rubric: str = ""
    position: int = 0
    repeat: int = 0

    @property
    def model(self) -> str:
        """The (first) candidate's model, as the sweep file names it."""
        return self.candidates[0][0]

    @property
    def sample(self) -> int:
        """The (first) candidate's sample number."""
        return self.candidates[0][1]


VerdictSource = Literal["complete", "partial", "cut", "prose", "compat", "label", "opencompass"]


class Verdict(Struct, frozen=True, omit_defaults=True):
    """A score that a judge gave, read from the judge's own words.

    Of a comparison, `choice` is the verdict, and the score is what the first candidate wins by it: 1,
    0.5 or 0.
    """

    score: float
    dimensions: dict[str, float] = {}
    source: VerdictSource = "complete"
    """Where it stood: an object with all expected keys, one with a score key, one cut off, or prose."""
    flags: tuple[str, ...] = ()
    """What a careful reader would mention: "not integer", "alias 总分", "missing 创造性" …"""
    choice: Choice | None = None
    """In the order of the trial's candidates, whoever was shown first."""


# --- lines of the journal ----------------------------------------------------------------------
# Each is one JSON object a line, told apart by "kind"; `cache/journal.py` adds the crc.


class Header(Struct, frozen=True, kw_only=True, tag="header", tag_field="kind"):
    """The first line: what this run is."""

    format: int
    run_id: str
    digest: str
    created_s: float
    """Seconds since the epoch."""
    engine: str
    sweep: Sweep


class Intent(Struct, frozen=True, tag="intent", tag_field="kind", omit_defaults=True):
    """Written before the first byte of a request goes out. Without a Settled it is possibly billed."""

    id: int
    trial: Trial
    account: str
    t_s: float
    """Seconds since the epoch."""
    attempt: int = 1
    ask: int = 0
    reserve: int | None = None
    """The worst case of this attempt, in nano-units of the budget's currency; None: unknown price."""
    input_tokens: int = 0
    """What the account's token limits hold for it; 0: it has none."""
    output_tokens: int = 0
    currency: str = ""
    """Of `reserve`; empty: the budget's."""


class Settled(Struct, frozen=True, tag="settled", tag_field="kind", omit_defaults=True):
    """What became of an Intent: usage if the provider said, or the error."""

    id: int
    latency_s: float = 0.0
    usage: Usage | None = None
    error: str = ""
    """An error kind of `data/errors.py`; empty: a reply was read."""
    message: str = ""
    cost: int | None = None
    """Nano-units of `currency`; None: unknown."""
    currency: str = ""
    estimated: bool = False
    """The worst case was booked, because nobody said what was billed."""
    told_s: float | None = None
    """The wait that a 429 asked for, in seconds from its arrival."""


class Answer(Struct, frozen=True, kw_only=True, tag="answer", tag_field="kind", omit_defaults=True):
    """A model's answer: final, whatever its state."""

    trial: Trial
    response: Response
    state: AnswerState = "answered"
    origin: str = ""
    """Where an imported answer came from; empty: this run asked for it."""


class Judgment(
    Struct, frozen=True, kw_only=True, tag="judgment", tag_field="kind", omit_defaults=True
):
    """A judge's verdict on an answer. `verdict` None: unreadable after all asks, never a zero."""

    trial: Trial
    asks: tuple[Response, ...]
    """Every reply, in order; the last one was read (or they ran out)."""
    verdict: Verdict | None = None
    compat: float = -1.0
    """The score upstream's own parser reads from the first ask (-1: none)."""


class Failure(
    Struct, frozen=True, kw_only=True, tag="failure", tag_field="kind", omit_defaults=True
):
    """A trial that ended in an error. A later line of the same trial supersedes it."""

    trial: Trial
    error: str
    message: str
    attempts: int = 1
    asks: tuple[Response, ...] = ()


class Amended(Struct, frozen=True, tag="amended", tag_field="kind"):
    """The sweep grew, or something that is not its identity changed, at this point of the run."""

    digest: str
    t_s: float
    changes: tuple[str, ...]
    sweep: Sweep


class Synced(Struct, frozen=True, tag="synced", tag_field="kind"):
    """All bytes before `offset` were durable when this line was written."""

    offset: int


class Limit(Struct, frozen=True, tag="limit", tag_field="kind"):
    """A limit of an account changed, and why."""

    account: str
    name: str
    value: float
    source: str
    t_s: float


# A benchmark's journal (`alignsweep bench`) has these lines besides headers, intents, settled and limits.

LoadKind = Literal["closed", "constant", "poisson"]
CallEnd = Literal["", "useful", "refused", "unreadable", "failed"]


class Bench(Struct, frozen=True, kw_only=True, tag="bench", tag_field="kind"):
    """The second line: what is measured, and how. `settings` is what was asked for, as plain data."""

    settings: dict[str, Any]


class Timing(Struct, frozen=True, kw_only=True, tag="timing", tag_field="kind", omit_defaults=True):
    """One attempt, timed. The first five times are seconds since its block began; then since `sent_s`."""

    id: int
    """Its Intent's."""
    block: int
    target: str
    question_id: QuestionId
    call: int
    """Number of the call within its block: one answer or verdict, with all attempts and asks for it."""
    ask: int = 0
    attempt: int = 1
    intended_s: float
    """When the call was meant to begin: by the schedule, or when its place became free."""
    asked_s: float
    """When the limits were asked for leave,"""
    admitted_s: float
    """and gave it."""
    sent_s: float
    done_s: float
    """Last byte of the reply, or the error."""
    first_byte_s: float | None = None
    ttft_s: float | None = None
    ttfa_s: float | None = None
    last_token_s: float | None = None
    arrivals: tuple[int, ...] = ()
    """Between reads of a stream's body, from first to last token: ten-thousandths of a second."""
    status: int = 0
    """HTTP; 0: no reply came."""
    error: str = ""
    told_s: float | None = None
    """Retry-After, in seconds."""
    timed_out: bool = False
    usage: Usage | None = None
    characters: int = 0
    stop: str = ""
    served_model: str = ""
    cost: int | None = None
    """Nano-units of `currency`; None: unknown."""
    currency: str = ""
    estimated: bool = False
    cold: int | None = None
    """What it would cost had nothing come from the provider's prompt cache."""
    hot: int | None = None
    """… had all of the prompt."""
    end: CallEnd = ""
    """What the whole call came to, on its last attempt."""
    salted: bool = False
    score: float | None = None
    """Of a judge's verdict that could be read."""


class Block(Struct, frozen=True, kw_only=True, tag="block", tag_field="kind", omit_defaults=True):
    """A stretch of one load on one target, over and whole. Times are seconds since it began."""

    number: int
    target: str
    load: LoadKind
    level: float
    """Calls in flight, or calls a minute."""
    repeat: int = 0
    began_s: float
    """Seconds since the epoch."""
    window: tuple[float, float] | None = None
    """The steady part that is counted; None: it was never reached."""
    ended_s: float
    """When the last call was over."""
    why: str
    """Why no further call was begun: precise, count, time, errors, money, limited."""
    lag_p99_s: float | None = None
    """How late the event loop woke up."""
    cpu: float | None = None
    """Share of one core that this process used."""
    opened: int = 0
    reused: int = 0
    """Connections."""


Record = (
    Header
    | Intent
    | Settled
    | Answer
    | Judgment
    | Failure
    | Amended
    | Synced
    | Limit
    | Bench
    | Timing
    | Block
)
Result = Answer | Judgment | Failure

# --- a sweep, resolved -------------------------------------------------------------------------


class AccountSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of several accounts of a provider. What is None (or empty) is as the provider has it."""

    base_url: str = ""
    api_key_env: str = ""
    api_key_file: str = ""
    rpm: float | None = None
    tpm: float | None = None
    input_tpm: float | None = None
    output_tpm: float | None = None
    rpd: float | None = None
    concurrency: int | None = None


class SamplingRule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How requests to some models are put in a provider's own way. See `data/sampling.py`.

    All rules that fit are taken together; where two speak of the same parameter, the later one counts.
    """

    models: tuple[str, ...] = ()
    """Globs of model ids, in small letters; empty: all models."""
    thinks: str = ""
    """Only for requests in this state of thinking; empty: in any."""
    keep: tuple[str, ...] = ()
    """Parameters of which earlier rules have said nothing, after all."""
    drop: tuple[str, ...] = ()
    rename: dict[str, str] = {}
    fix: dict[str, Any] = {}
    minimum: dict[str, float] = {}
    maximum: dict[str, float] = {}
    at_zero: dict[str, Any] = {}
    """What stands for temperature 0 where it is said in other words."""
    add: dict[str, Any] = {}
    """Parameters that always go along."""
    thinking: dict[str, dict[str, Any]] | None = None
    """State of thinking -> the parameters that ask for it. None: nothing is said."""
    thinking_default: str = ""
    """The state that is asked for where the sweep file names none."""
    why: str = ""
    source: str = ""


class ErrorRule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an error reply means. All keys that are given must fit. See `providers/outcomes.py`."""

    means: str
    """A class of `data/errors.py`, or "refused"."""
    code: tuple[str, ...] = ()
    """Globs, in small letters, of a code in the body, alone or as `member=code`."""
    says: str = ""
    """A regular expression searched in the provider's words, whatever the case."""
    status: tuple[int, ...] = ()


class ProviderSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A provider: where it is, how it speaks, what it allows. Holds the NAME of a key, never a key.

    It is one account, unless `accounts` names several that share its work.
    """

    name: str
    api: str
    base_url: str
    api_key_env: str = ""
    api_key_file: str = ""
    rpm: float | None = None
    """Requests per minute; None: unlimited."""
    tpm: float | None = None
    """Tokens per minute, input and output together."""
    input_tpm: float | None = None
    output_tpm: float | None = None
    rpd: float | None = None
    """Requests per day (any 24 hours)."""
    concurrency: int = 16
    """Requests in flight at once."""
    timeout_s: float = 300.0
    """Total time of one attempt."""
    cache_identity: str = ""
    simulated: bool = False
    headers: dict[str, str] = {}
    options: dict[str, Any] = {}
    """For the embedded simulator: its seed, latency, faults."""
    accounts: tuple[AccountSpec, ...] = ()
    """Several keys or endpoints with the same answers; limits are those of each account."""
    stream: bool = False
    """Ask for replies as streams: shows when the first token came, and keeps long calls alive."""
    path: str = ""
    """Instead of the codec's own; `{model}` stands for the model's id."""
    query: dict[str, str] = {}
    auth: str = ""
    """`bearer`, or the name of the header that carries the key; empty: as the api has it."""
    errors: str = ""
    """Whose error codes it answers with: a name of `data/outcomes.toml`."""
    rules: tuple[ErrorRule, ...] = ()
    """What its errors mean, before anything that file says."""
    sampling: tuple[SamplingRule, ...] = ()
    ca_file: str = ""
    """PEM: the only authorities whose certificates are believed; empty: the system's."""
    proxy: str = ""
    """`environment`, or http://host:port; empty: none."""


class ModelSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model under test."""

    name: str
    provider: str
    model: str
    max_tokens: int | None = None
    temperature: float | Literal["default"] | None = None
    """None: by category, as the benchmark has it. "default": none is sent."""
    system: str = ""
    parameters: dict[str, Any] = {}
    retry_max_tokens: int | None = None
    """An answer that was cut is asked for once more with this; None: it stays cut."""
    thinking: str = ""


class EscalateRule(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    rename={"judges": "from"},
):
    """When a judge is asked: where the verdicts of others leave a doubt. See `engine/escalation.py`."""

    judges: tuple[str, ...]
    """The judges that are asked about everything; `from` in files."""
    disagree: float | None = None
    """Ask where their scores of an answer are this far apart, or farther. None: however far."""
    rank: bool = False
    """Ask where it could change the order of two neighbouring models."""


class JudgeSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A judge: just another model, with a rubric."""

    name: str
    provider: str
    model: str
    rubric: str
    parse: ParsePolicy = "robust"
    max_tokens: int | None = None
    temperature: float | Literal["default"] | None = 0.0
    """None or "default": none is sent."""
    system: str = ""
    parameters: dict[str, Any] = {}
    retry_max_tokens: int | None = None
    """A reply that was cut before its verdict is asked for again with this."""
    pairwise: bool = False
    """As its rubric has it: two answers are compared."""
    baseline: str = ""
    """Pairwise: the model that everybody is compared with; empty: all with all."""
    positions: Literal["both", "one"] = "both"
    """Pairwise: each pair in both orders, or in one that the content decides."""
    thinking: str = ""
    escalate: EscalateRule | None = None
    """None: it is asked about everything."""
    verdict: VerdictForm = "text"


class Sweep(Struct, frozen=True, kw_only=True):
    """A sweep file with everything filled in. `engine/identity.py` says what of it decides results."""

    name: str
    benchmark: str
    benchmark_sha256: str
    rubric_sha256: dict[str, str]
    temperatures: dict[str, float]
    models: tuple[ModelSpec, ...]
    judges: tuple[JudgeSpec, ...]
    providers: tuple[ProviderSpec, ...]
    samples: int = 1
    repeats: int = 1
    seed: int = 0
    send_seed: bool = False
    asks: int = field(default=3)
    """How often an unreadable verdict is asked for, the first time included."""
    attempts: int = 5
    """HTTP exchanges at most per ask."""
    deadline_s: float | None = None
    """Seconds from a trial's first attempt after which it is given up; None: no such bound."""
    hedge: bool = False
    """Send a second copy of the last stragglers (engine/hedging.py)."""
