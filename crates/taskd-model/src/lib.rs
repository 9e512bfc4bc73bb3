//! The words of taskd: ids, statuses, effects, events, inputs, and the view clients fold.
//!
//! Nothing here decides anything, does IO, or knows the time.

mod circuit;
mod code;
mod disk;
mod docs;
mod effect;
mod event;
mod fault;
mod ids;
mod input;
mod letter;
mod limits;
mod params;
mod purse;
mod query;
mod status;
mod tally;
pub mod touches;
mod trace;
mod units;
mod usage;
mod view;

pub use circuit::CircuitChange;
pub use code::{Code, Entry, Reaction, Rpc, Tier};
pub use disk::{Disk, Room};
pub use docs::{
    AboveDoc, AgentDoc, ArtifactDoc, Format, GateDoc, GateSettings, InputDoc, InputKind,
    InputValue, McpDoc, Message, Part, PlanDoc, Reply, Request, ReviewDoc, Role, SpecDoc,
    StopReason, TemplateDoc, ToolDef, ToolResultDoc, TypeDoc, TypeLimits, decode_doc, encode_doc,
};
pub use effect::{
    AgentRun, CallWanted, Change, ContextUse, DefaultAnswer, Delta, Depth, Evidence, Failure,
    Found, GateFacts, GateProof, GateReport, Hold, IterationNote, MAX_FOUND_CHARS,
    NAMED_PATH_BYTES, NAMED_PATHS, Observation, Order, Outcome, Owner, PrepareMode, Question,
    QueueOp, RedRun, Relay, Remark, ReviewHead, Streak, Subject, Suspicion, Taken, Tampered,
    TestCounts, ToolCall, TurnRef, Unsaved, Verdict, Work, bounded_names, gate_digest,
};
pub use event::{
    Actor, Arranged, ChangeCause, DecodeError, DocumentHead, Event, KINDS, LandMode, LandPolicy,
    MAX_EVENT_BYTES, PlanHead, Priority, QueueEnd, Record, SpecHead, Via, Worker,
};
pub use fault::{BodyKind, Fault, causes};
pub use ids::{Digest, EffectId, LoopId, Oid, ParseIdError, PlanId, ProjectId, Seq, SpecId, Time};
pub use input::{Command, Input};
pub use letter::{
    Heard, Letter, LetterCounts, LetterKind, MAX_LETTER_BYTES, MAX_TOPIC_CHARS, Saying, Spoken,
    Unsent,
};
pub use limits::{Limits, LoopLimits, OnConflict};
pub use params::{Billing, Param, Params, Thinking, Unsupported};
pub use purse::{Amount, Purse, Unit, day_of, next_midnight};
pub use query::{Answer, Query, QueryEnd, SideCall};
pub use status::{InvalidTransition, Limit, Reason, Status};
pub use tally::{BOUNDS_MS, Counts, GateTally, LandingTally, Spread, Tally, TypeTally};
pub use trace::{ParseTraceError, Trace};
pub use units::{
    ParseUnitError, format_age_ms, format_bytes, format_clock_ms, format_duration_ms,
    format_micros, format_tokens, parse_bytes, parse_duration_ms, parse_micros, parse_tokens,
};
pub use usage::{Level, RateLevels, Usage};
pub use view::{
    ANSWERED, AnswerView, Base, BudgetView, ClosedView, ContextView, DayView, DocumentView, Doing,
    EffectKind, EffectView, GateView, Group, ITERATION_ROWS, Inbox, InboxItem, InboxKind,
    Integration, IterationRow, Landed, Ledger, Line, LoopView, NOTES, Note, PassedView, PlanState,
    PlanView, ProjectView, QuestionView, QueueEntry, QueuePhase, ResolveError, ReviewView, Spans,
    Target, TargetView, Totals, Trouble, View, WaitVerdict, format_readings, inbox_number,
    may_spend, nears, spent_of,
};
