//! The inbox: everything that waits for a person, and what was answered lately, by whom, from where.
//!
//! It is a fold like the rest of the view: after each event about a loop, what that loop needs is
//! compared with what is open of it. So nothing can need a person and not be here. An item is named
//! by the event it came with. The first answer is kept.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::{
    Actor, Event, Limit, Limits, LoopId, QueueEnd, Reason, Record, Seq, Status, Time, Unit, Via,
};

use super::{Doing, LoopView, View, may_spend};

/// Items that no longer wait and are still shown, the last ones. The log has all of them.
pub const ANSWERED: usize = 100;

/// Most bytes of the line that says what an item is about.
const MAX_WHAT_BYTES: usize = 1_000;

/// What kind of word is wanted of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InboxKind {
    /// A plan, or another document, waits to be approved.
    Plan,
    /// Passed work waits to land.
    Landing,
    /// An agent asks whether it may do something.
    Permission,
    /// A loop asks something.
    Question,
    /// Money has run out.
    Budget,
    /// Conflicts were not solved.
    Conflict,
    /// A checkout or a pull request is in the way of landing.
    Held,
    /// Anything else it cannot go on with by itself.
    Blocked,
}

impl InboxKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Plan,
        Self::Landing,
        Self::Permission,
        Self::Question,
        Self::Budget,
        Self::Conflict,
        Self::Held,
        Self::Blocked,
    ];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Landing => "landing",
            Self::Permission => "permission",
            Self::Question => "question",
            Self::Budget => "budget",
            Self::Conflict => "conflict",
            Self::Held => "held",
            Self::Blocked => "blocked",
        }
    }

    /// It is answered with a choice or with words.
    #[must_use]
    pub fn is_asked(self) -> bool {
        matches!(self, Self::Permission | Self::Question)
    }
}

impl fmt::Display for InboxKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Something that waits for a person, or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxItem {
    /// The event it came with: `i57` is what it is called.
    pub id: Seq,
    /// What kind of word is wanted.
    pub kind: InboxKind,
    /// The loop that waits.
    pub loop_id: LoopId,
    /// What it is about, in one line of at most 1,000 bytes.
    pub what: String,
    /// What may be answered.
    pub choices: Vec<String>,
    /// Any words may be answered.
    pub free: bool,
    /// Since when it waits.
    pub since: Time,
    /// When its default is taken; nothing for one that waits as long as it takes.
    pub deadline: Option<Time>,
    /// What is answered then.
    pub default: Option<String>,
    /// The first answer; nothing for one that is open, or went away by itself.
    pub answer: Option<AnswerView>,
    /// Since when it waits no longer.
    pub closed_at: Option<Time>,
}

/// What was answered, by whom, from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerView {
    /// The user who did; nothing where the default was taken.
    pub uid: Option<u32>,
    /// From where, if the client said so.
    pub via: Option<Via>,
    /// What, in a few words.
    pub said: String,
    /// When.
    pub at: Time,
}

/// What waits, by loop, and what no longer does, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbox {
    /// What waits.
    pub open: BTreeMap<LoopId, Vec<InboxItem>>,
    /// What was answered or went away, at most [`ANSWERED`].
    pub answered: VecDeque<InboxItem>,
}

impl InboxItem {
    /// `i57`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("i{}", self.id)
    }

    /// Whether both ask the same of a person: a loop has one item of a kind, but many questions.
    fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind && (!self.kind.is_asked() || self.id == other.id)
    }
}

impl fmt::Display for AnswerView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.uid, self.via) {
            (None, _) => write!(f, "{}, by default", self.said),
            (Some(uid), None) => write!(f, "{}, by user {uid}", self.said),
            (Some(uid), Some(via)) => write!(f, "{}, by user {uid} from {via}", self.said),
        }
    }
}

impl Inbox {
    /// What waits, the oldest first.
    #[must_use]
    pub fn waiting(&self) -> Vec<&InboxItem> {
        let mut all: Vec<&InboxItem> = self.open.values().flatten().collect();
        all.sort_by_key(|it| it.id);
        all
    }

    /// An item by its number, open or not.
    #[must_use]
    pub fn find(&self, id: Seq) -> Option<&InboxItem> {
        let open = self.open.values().flatten().find(|it| it.id == id);
        open.or_else(|| self.answered.iter().find(|it| it.id == id))
    }

    fn close(&mut self, mut item: InboxItem, at: Time) {
        item.closed_at = Some(at);
        if self.answered.len() == ANSWERED {
            self.answered.pop_front();
        }
        self.answered.push_back(item);
    }
}

/// The number of an item: `i57`, or `57`.
#[must_use]
pub fn inbox_number(text: &str) -> Option<Seq> {
    let digits = text.trim().strip_prefix('i').unwrap_or(text.trim());
    let plain = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    digits.parse().ok().filter(|_| plain).map(Seq)
}

impl View {
    /// Brings the inbox up to what an event says.
    pub(super) fn inbox_follows(&mut self, record: &Record) {
        if let Event::DaemonStarted { .. } = record.event {
            // What ran is lost, and its questions with it.
            let asked: Vec<LoopId> = self.inbox.open.keys().copied().collect();
            asked.into_iter().for_each(|id| self.inbox_of(id, record));
        }
        if let Some(id) = record.loop_id {
            self.inbox_of(id, record);
        }
    }

    /// Somebody is to be told of this, if anybody is told anything.
    pub(super) fn tell_of(&mut self, of: Seq) {
        if self.limits.as_ref().is_some_and(|it| it.notify) {
            self.untold.insert(of);
        }
    }

    /// Other limits hold; where nobody is told any more, what was to be told is not kept for later.
    pub(super) fn limits_set(&mut self, limits: &Limits) {
        if !limits.notify {
            self.untold.clear();
        }
        self.limits = Some(limits.clone());
    }

    fn inbox_of(&mut self, id: LoopId, record: &Record) {
        let Some(it) = self.loops.get(&id) else { return };
        let needs = it.needs_of_people(record.seq);
        let open = self.inbox.open.remove(&id).unwrap_or_default();
        if needs.is_empty() && open.is_empty() {
            return;
        }
        let answer = answer_in(record, it);
        let (mut stay, mut gone) = (Vec::new(), Vec::new());
        for mut item in open {
            let meant = answer.as_ref().filter(|(of, _)| of.is_none_or(|it| it == item.id));
            if let Some((_, answer)) = meant {
                item.answer.get_or_insert_with(|| answer.clone());
            }
            if needs.iter().any(|need| need.is_same(&item)) {
                stay.push(item);
            } else {
                gone.push(item);
            }
        }
        for need in needs {
            if !stay.iter().any(|item| item.is_same(&need)) {
                self.tell_of(need.id);
                stay.push(need);
            }
        }
        for item in gone {
            self.untold.remove(&item.id);
            self.inbox.close(item, record.at);
        }
        if !stay.is_empty() {
            self.inbox.open.insert(id, stay);
        }
    }

    /// The command that answers an item, as it is typed.
    #[must_use]
    pub fn answers(&self, item: &InboxItem) -> String {
        let (name, id) = (self.loop_name(item.loop_id), item.name());
        match item.kind {
            InboxKind::Plan => format!("taskd approve {id}"),
            InboxKind::Landing => format!("taskd land {id}"),
            InboxKind::Question if item.choices.is_empty() => format!("taskd answer {id} \"...\""),
            InboxKind::Permission | InboxKind::Question => format!("taskd answer {id} N"),
            InboxKind::Budget => {
                let of_plan = self
                    .loops
                    .get(&item.loop_id)
                    .is_some_and(|it| it.reason == Some(Reason::Limit(Limit::PlanBudget)));
                let of = if of_plan { item.loop_id.plan().to_string() } else { name };
                format!("taskd budget set {of} AMOUNT")
            }
            InboxKind::Held => format!("taskd sync {name}"),
            InboxKind::Conflict | InboxKind::Blocked => format!("taskd resume {name}"),
        }
    }
}

/// What a person's act means for what waits of the loop it is about; of one item, or of all.
fn answer_in(record: &Record, it: &LoopView) -> Option<(Option<Seq>, AnswerView)> {
    let (uid, via) = match record.actor {
        Actor::Person { uid, via } => (Some(uid), via),
        Actor::Core | Actor::Daemon | Actor::Runner => (None, None),
    };
    let question = if let Event::QuestionAnswered { effect, n, .. } = &record.event {
        Some(it.questions.iter().find(|it| it.effect == *effect && it.n == *n)?)
    } else {
        None
    };
    if uid.is_none() && question.is_none() {
        return None;
    }
    let said = match question {
        Some(question) => question.said.clone()?,
        None => said(&record.event)?,
    };
    Some((question.map(|it| it.id), AnswerView { uid, via, said, at: record.at }))
}

/// An act on a whole loop that answers what it waits for.
#[expect(clippy::wildcard_enum_match_arm, reason = "named are those that answer something")]
fn said(event: &Event) -> Option<String> {
    Some(match event {
        Event::Approved => "approved".to_owned(),
        Event::Rejected { .. } => "sent back".to_owned(),
        Event::ResumeAsked => "resumed".to_owned(),
        Event::StopAsked => "stopped".to_owned(),
        Event::SyncAsked => "to land beside the changes".to_owned(),
        Event::Rewound { .. } => "rewound".to_owned(),
        Event::BudgetSet { of, micros } => may_spend(*of, Unit::Micros, *micros),
        Event::TokensSet { of, tokens } => may_spend(*of, Unit::Tokens, *tokens),
        Event::QueueLeft { end: QueueEnd::Done { .. }, .. } => "landed".to_owned(),
        _ => return None,
    })
}

impl LoopView {
    /// Everything a person is waited for, as it would be new at `seq`.
    fn needs_of_people(&self, seq: Seq) -> Vec<InboxItem> {
        if self.status.is_over() {
            return Vec::new();
        }
        let new = |kind, what: String| InboxItem {
            id: seq,
            kind,
            loop_id: self.id,
            what: bounded(&what),
            choices: Vec::new(),
            free: false,
            since: self.last_sign,
            deadline: None,
            default: None,
            answer: None,
            closed_at: None,
        };
        let asked = self.open_questions().map(|it| InboxItem {
            id: it.id,
            choices: it.choices.clone(),
            free: it.free,
            since: it.at,
            deadline: it.deadline.filter(|_| it.default.is_some()),
            default: it.default.clone(),
            ..if it.free {
                new(InboxKind::Question, it.text.clone())
            } else {
                new(InboxKind::Permission, format!("may it {}?", it.text))
            }
        });
        let mut needs: Vec<InboxItem> = asked.collect();
        if self.status == Status::Blocked {
            needs.push(new(self.blocked_kind(), self.blocked_what()));
        } else if matches!(self.status, Status::Running | Status::Rebasing) {
            if self.doing == Doing::ReadyToLand {
                let kind = if self.writes { InboxKind::Plan } else { InboxKind::Landing };
                needs.push(new(kind, self.ready_what()));
            } else if let Doing::Held(why) = &self.doing {
                needs.push(new(InboxKind::Held, why.clone()));
            }
        }
        needs
    }

    fn blocked_kind(&self) -> InboxKind {
        match &self.reason {
            Some(Reason::Conflict) => InboxKind::Conflict,
            Some(Reason::Limit(Limit::Budget | Limit::PlanBudget)) => InboxKind::Budget,
            Some(_) | None => InboxKind::Blocked,
        }
    }

    fn blocked_what(&self) -> String {
        let reason = self.reason.as_ref().map_or_else(|| "blocked".to_owned(), ToString::to_string);
        match &self.trouble {
            Some(it) if !reason.contains(&it.message) => format!("{reason}: {}", it.message),
            Some(_) | None => reason,
        }
    }

    fn ready_what(&self) -> String {
        if let Some(suspicion) = &self.suspicion {
            return format!("it {suspicion}");
        }
        if self.writes {
            let gate = self.gate.as_ref().map(|it| it.summary.clone());
            return gate.unwrap_or_else(|| "its document is right".to_owned());
        }
        let (added, removed) = (self.change.added, self.change.removed);
        match &self.passed {
            Some(it) => match it.tests {
                Some(n) => format!("+{added} -{removed}, gate green, tests: {n}"),
                None => format!("+{added} -{removed}, gate green"),
            },
            None => format!("+{added} -{removed}, no gate"),
        }
    }
}

/// One line of at most so many bytes.
fn bounded(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    let end = text.floor_char_boundary(MAX_WHAT_BYTES);
    text[..end].to_owned()
}
