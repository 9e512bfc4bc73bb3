//! What messages, and a person who steps in, do to the state.

use taskd_model::{Event, Letter, LetterCounts, LoopId, Seq, Spoken, Status, Time, Work};

use super::State;
use crate::engine::{LoopEngine, Next, ToolState};

impl State {
    /// Messages since the log began.
    pub(crate) fn letters(&self) -> LetterCounts {
        self.letters
    }

    /// A person, or another loop of its plan, says something to a loop.
    pub(super) fn said(&mut self, id: LoopId, event: &Event, since: (Time, Seq)) {
        if let Event::NoteAdded { note, now } = event {
            self.engine_mut(id).add_note(*note);
            if *now {
                self.interrupt(id, since);
            }
        }
        if let Event::Spoken { word } = event {
            self.spoken(id, word, since);
        }
    }

    fn spoken(&mut self, id: LoopId, word: &Spoken, since: (Time, Seq)) {
        let now = self.now;
        match word {
            Spoken::Told { letter } => self.deliver(id, letter),
            Spoken::Refused { .. } => {
                self.letters.refused += 1;
                self.engine_mut(id).talk.sender.was_refused(now);
            }
            Spoken::Muted { until } => {
                self.letters.mutes += 1;
                self.engine_mut(id).talk.sender.mute(*until);
            }
            Spoken::Query { query } => self.query_asked(id, query, since),
            Spoken::QueryEnded { query, from, end } => self.query_ended(id, *query, *from, end),
            Spoken::Stopped { by, index, .. } => self.stopped_by(id, *by, *index),
        }
    }

    /// A message waits for a loop from now on.
    fn deliver(&mut self, id: LoopId, letter: &Letter) {
        self.letters.sent += 1;
        let now = self.now;
        let sender = self.engine_mut(letter.from);
        // What goes to many was sent once.
        if sender.turn.sent.insert(letter.index) {
            sender.talk.sender.sent(now);
        }
        self.engine_mut(id).talk.mail.take(letter.clone());
    }

    /// A person steps in: the turn under way ends, and the next request tells what they said. At
    /// other times that is told anyway.
    fn interrupt(&mut self, id: LoopId, since: (Time, Seq)) {
        let engine = self.engine_mut(id);
        let in_turn = match engine.next {
            Next::Compose | Next::Call { .. } | Next::Tools | Next::Agent { .. } => true,
            Next::Accept | Next::Iterate | Next::Gate | Next::Land => false,
        };
        let works = engine.status == Status::Running && engine.ending.is_none();
        // What waits for an answer has nothing under way, and who reads its work is told nothing.
        let under_way = in_turn && engine.asking().is_none() && !engine.is_read();
        if !under_way || !works || engine.rewind.is_some() {
            return;
        }
        engine.end_turn_early(since);
        self.end_open(id, |work| match work {
            Work::Compose | Work::Call { .. } | Work::Tool { .. } | Work::Agent { .. } => true,
            Work::CheckBase { .. }
            | Work::Prepare { .. }
            | Work::AcceptBefore
            | Work::Save { .. }
            | Work::Relay(_)
            | Work::Answer(_)
            | Work::Gate
            | Work::Decompose { .. }
            | Work::Rebase { .. }
            | Work::BuildCandidate { .. }
            | Work::GateCandidate { .. }
            | Work::Publish { .. } => false,
        });
    }
}

impl LoopEngine {
    /// The turn is over as it is: a reply that is in the log stays, tools that have not ended have
    /// no result.
    fn end_turn_early(&mut self, since: (Time, Seq)) {
        for slot in &mut self.turn.tools {
            if !matches!(slot.state, ToolState::Done(_)) {
                slot.state = ToolState::Done(None);
            }
        }
        if self.turn.reply.is_some() {
            self.finish_turn(since, u32::MAX);
        }
        self.turn = crate::engine::Turn::default();
        self.sends = 0;
        self.refused_as_too_large = false;
        self.set_next(Next::Compose, since);
    }
}
