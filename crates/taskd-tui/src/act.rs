//! What the daemon is asked to do, and what is said about its answer.

use taskd_api::{
    ApiError,
    v1::{ActResponse, Verb},
};

use crate::{rows::Subject, words, world::World};

/// Something the daemon is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// What.
    pub what: What,
    /// With which loop or plan, or item of the inbox.
    pub name: String,
    /// What is said with it; may be empty.
    pub text: String,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A verb.
    Verb(Verb),
    /// Back to this state.
    Rewind(String),
}

impl Act {
    /// An act without words.
    #[must_use]
    pub fn new(verb: Verb, name: impl Into<String>) -> Self {
        Self::saying(verb, name, "")
    }

    /// An act with words.
    #[must_use]
    pub fn saying(verb: Verb, name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { what: What::Verb(verb), name: name.into(), text: text.into() }
    }

    pub(crate) fn word(&self) -> &'static str {
        let verb = match &self.what {
            What::Rewind(_) => return "rewind",
            What::Verb(verb) => *verb,
        };
        match verb {
            Verb::Pause => "pause",
            Verb::Resume => "resume",
            Verb::Stop => "stop",
            Verb::Land => "land",
            Verb::Reject => "send back",
            Verb::Note => "tell",
            Verb::Answer => "answer",
            Verb::Hold => "hold",
            Verb::Release => "release",
            Verb::Move => "move",
            Verb::Retry => "retry",
            Verb::Unspecified
            | Verb::Park
            | Verb::Unpark
            | Verb::Forget
            | Verb::Budget
            | Verb::Sync
            | Verb::Branch
            | Verb::Reset => "act on",
        }
    }
}

/// What to ask a person before this is done, if anything.
pub(crate) fn question(world: &World, verb: Verb, subject: Subject) -> Option<String> {
    let plan = world.view.plans.get(&subject.plan())?;
    let name = subject.name(&world.view);
    let of_plan = matches!(subject, Subject::Plan(..));
    match verb {
        Verb::Land if of_plan => {
            Some(format!("Land all of {name} that passed on {}?", plan.target))
        }
        Verb::Land => {
            let it = world.loop_of(Some(subject))?;
            if it.writes {
                return Some(format!("Approve the document of {name}?"));
            }
            Some(format!("Land {name} on {}?  {}", plan.target, words::work(it)))
        }
        Verb::Stop if of_plan => Some(format!("Stop all loops of {name}?  Their work is kept.")),
        Verb::Stop => Some(format!("Stop {name}?  Its work is kept.")),
        Verb::Unspecified
        | Verb::Pause
        | Verb::Resume
        | Verb::Reject
        | Verb::Note
        | Verb::Park
        | Verb::Unpark
        | Verb::Forget
        | Verb::Budget
        | Verb::Answer
        | Verb::Hold
        | Verb::Release
        | Verb::Move
        | Verb::Sync
        | Verb::Branch
        | Verb::Retry
        | Verb::Reset => None,
    }
}

/// One line about an answer: the refusal if there is one, and how many things were done.
pub(crate) fn told(act: &Act, answer: &ActResponse) -> String {
    let done = answer.results.iter().filter(|it| it.done).count();
    let refusal = answer.results.iter().find_map(|it| Some((it, it.error.as_ref()?)));
    let others = match (done, answer.results.len()) {
        (_, 0 | 1) => String::new(),
        (done, all) => format!("{} {}: {done} of {all} done; ", act.word(), act.name),
    };
    match (refusal, answer.results.first()) {
        (Some((it, why)), _) => {
            format!("{others}{}", refused(named(&it.name, &it.id), &why.message, &why.hint))
        }
        (None, Some(it)) => format!("{others}{}: {}", named(&it.name, &it.id), it.message),
        (None, None) => format!("{} {}: nothing to do", act.word(), act.name),
    }
}

/// One line about a refusal, with what to do next.
pub(crate) fn not_done(name: &str, error: &ApiError) -> String {
    refused(name, &error.message, &error.hint)
}

fn named<'a>(name: &'a str, id: &'a str) -> &'a str {
    if name.is_empty() { id } else { name }
}

fn refused(name: &str, message: &str, hint: &str) -> String {
    let next = if hint.is_empty() { String::new() } else { format!("; next: {hint}") };
    format!("{name}: {message}{next}")
}
