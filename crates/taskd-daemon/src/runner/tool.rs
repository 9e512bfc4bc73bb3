//! Tools of native loops: file tools in this process, `run` under the supervisor. Whatever is wrong
//! with a call is a result the model can read; only what is wrong with us is a failure.

use taskd_model::{Code, DefaultAnswer, Digest, Outcome, Question, ToolResultDoc, Unsaved, Usage};
use taskd_tools::{
    files::{
        AskSpec, Limits, RECALL, ReadSet, ToolError, ToolOutput, Workspace, admit, ask_spec,
        execute_file_tool, reads, recall_spec, run_spec, talks,
    },
    supervise::How,
};

use super::{
    Job, Trouble, lock,
    mcp::is_served,
    programs::{Command, ending},
};

/// The tool that runs a command.
const RUN: &str = "run";
/// The tool that asks a person.
const ASK: &str = "ask";
/// Bytes of a command's output that the model is shown, from the beginning and from the end.
const SHOWN_HEAD_BYTES: usize = 8 << 10;
const SHOWN_TAIL_BYTES: usize = 24 << 10;

impl Job {
    pub(super) async fn tool(
        &self,
        _index: u16,
        name: &str,
        args: &Digest,
    ) -> Result<Outcome, Trouble> {
        let spec = self.spec_doc()?;
        let allow = spec.loop_type.tools.clone();
        let args = String::from_utf8_lossy(&self.ctx.blob(args)?).into_owned();
        let reads = reads(name);
        let is_file_tool = name != RUN && !is_served(name, &spec.loop_type.mcp);
        if name == ASK {
            return self.ask_person(&args, &allow);
        }
        if talks(name) {
            return self.done(self.talk_tool(name, &args, &allow).await?);
        }
        let output = if name == RUN {
            match self.run_tool(&args, &allow).await? {
                Some(output) => output,
                None => return self.cancelled_tool().await,
            }
        } else if is_served(name, &spec.loop_type.mcp) {
            match self.served_tool(&spec, name, &args).await? {
                Some(output) => output,
                None => return self.cancelled_tool().await,
            }
        } else if name == RECALL.name {
            self.recall_tool(&args)?
        } else {
            self.file_tool(name, args, allow).await?
        };
        let code = output.code;
        let result = ToolResultDoc {
            text: output.text,
            is_error: output.is_error,
            reads: output.reads_added,
            wrote: output.wrote,
        };
        let digest = self.put_doc(&result)?;
        let error = result.is_error;
        let (checkpoint, unsaved) = if reads {
            (None, None)
        } else if self.is_wanted() {
            // Beside the next call.
            (None, Some(if is_file_tool { Unsaved::Named } else { Unsaved::Any }))
        } else {
            // The loop ends or goes elsewhere, and asks for nothing any more.
            (Some(self.checkpoint(self.subject()?.checkpoint).await?.commit), None)
        };
        Ok(Outcome::ToolDone { result: digest, error, checkpoint, code, unsaved })
    }

    /// A tool that touches no file ended.
    fn done(&self, output: ToolOutput) -> Result<Outcome, Trouble> {
        let ToolOutput { text, is_error, code, .. } = output;
        let result = ToolResultDoc { text, is_error, reads: Vec::new(), wrote: Vec::new() };
        let result = self.put_doc(&result)?;
        Ok(Outcome::ToolDone { result, error: is_error, checkpoint: None, code, unsaved: None })
    }

    /// Asks a person. The tool is over at once; its result is the answer, whenever that comes.
    fn ask_person(&self, args: &str, allow: &[String]) -> Result<Outcome, Trouble> {
        let (asked, most) = (self.subject()?.questions, lock(&self.ctx.config).limits().questions);
        let spec = match admit(ASK, allow).and_then(|_| ask_spec(args)) {
            Ok(spec) => spec,
            Err(error) => return self.done(ToolOutput::error(&error)),
        };
        if most <= asked {
            let what = format!(
                "this loop has asked {asked} questions, and may ask no more; decide, and say what \
                 you decided"
            );
            return self.done(ToolOutput::error(&ToolError::BadArgument { what }));
        }
        let AskSpec { question: text, choices, default, deadline_ms } = spec;
        let default = default.map(|said| {
            let place = choices.iter().position(|it| *it == said);
            let choice = place.and_then(|it| u16::try_from(it).ok());
            let result =
                answer_doc(&format!("Nobody answered in time. Your default counts: {said}"));
            Ok::<_, Trouble>(DefaultAnswer { said, choice, result: self.put_doc(&result)? })
        });
        let default = default.transpose()?;
        Ok(Outcome::Asks { question: Box::new(Question { text, choices, default, deadline_ms }) })
    }

    async fn cancelled_tool(&self) -> Result<Outcome, Trouble> {
        let checkpoint = self.checkpoint(self.subject()?.checkpoint).await?.commit;
        Ok(Outcome::Cancelled { usage: Usage::default(), checkpoint: Some(checkpoint) })
    }

    async fn file_tool(
        &self,
        name: &str,
        args: String,
        allow: Vec<String>,
    ) -> Result<ToolOutput, Trouble> {
        let dir = self.worktree()?;
        let reads = self.read_set()?;
        let name = name.to_owned();
        self.blocking(move || {
            let workspace =
                Workspace::open(&dir).map_err(|it| Trouble::of(Code::WorktreeMissing, &it))?;
            let limits = Limits::default();
            Ok(execute_file_tool(&workspace, &name, &args, &allow, &reads, &limits))
        })
        .await
    }

    /// Gives back a turn of this iteration, or what a tool of it said, from what is stored.
    fn recall_tool(&self, args: &str) -> Result<ToolOutput, Trouble> {
        let asked = match recall_spec(args) {
            Ok(asked) => asked,
            Err(error) => return Ok(ToolOutput::error(&error)),
        };
        let turns = &self.subject()?.turns;
        let Some(turn) = asked.turn.checked_sub(1).and_then(|it| turns.get(it)) else {
            let there = match turns.len() {
                0 => "no turn of this iteration is over yet".to_owned(),
                n => format!("there are t1 to t{n}"),
            };
            return Ok(asked.unknown(&there));
        };
        let text = match asked.output {
            None => self.text(&turn.reply)?,
            Some(output) => match output.checked_sub(1).and_then(|it| turn.results.get(it)) {
                Some(Some(result)) => self.ctx.doc::<ToolResultDoc>(result)?.text,
                Some(None) => {
                    return Ok(asked.unknown("that tool was interrupted and said nothing"));
                }
                None => {
                    let (turn, outputs) = (asked.turn, turn.results.len());
                    return Ok(asked.unknown(&format!("t{turn} has {outputs} outputs")));
                }
            },
        };
        Ok(asked.page(&text).unwrap_or_else(|error| ToolOutput::error(&error)))
    }

    /// What this iteration has read, from the results in the log.
    fn read_set(&self) -> Result<ReadSet, Trouble> {
        let subject = self.subject()?;
        let earlier = subject.turns.iter().flat_map(|it| it.results.iter().flatten());
        let mut reads = ReadSet::default();
        for digest in earlier.chain(&subject.results) {
            let result: ToolResultDoc = self.ctx.doc(digest)?;
            reads.extend(result.reads);
        }
        Ok(reads)
    }

    /// Runs a command in the worktree; nothing if it was ended because nobody wants it any more.
    async fn run_tool(&self, args: &str, allow: &[String]) -> Result<Option<ToolOutput>, Trouble> {
        let asked = admit(RUN, allow).and_then(|_| run_spec(args));
        let asked = match asked {
            Ok(asked) => asked,
            Err(error) => return Ok(Some(ToolOutput::error(&error))),
        };
        let plan = self.plan_doc()?;
        let dir = self.worktree()?;
        let env = self.env(&plan, &dir)?;
        let command = Command::shell(&asked.command, dir, env, asked.timeout);
        let finished = self.run(command, self.lines_as_noise()).await;
        if !self.is_wanted() {
            return Ok(None);
        }
        let mut text = shown(&finished.output.text());
        let how = ending(&finished, asked.timeout);
        text.push_str(&match &how {
            None => "[exit 0]".to_owned(),
            Some(how) => format!("[{how}]"),
        });
        if 0 < finished.leftovers {
            text.push_str(&format!(" [{} processes it left were ended]", finished.leftovers));
        }
        let is_error = how.is_some();
        let code = code_of(&finished.how);
        Ok(Some(ToolOutput { text, is_error, reads_added: Vec::new(), wrote: Vec::new(), code }))
    }
}

/// What a model reads of an answer.
pub(crate) fn answer_doc(text: &str) -> ToolResultDoc {
    ToolResultDoc { text: text.to_owned(), is_error: false, reads: Vec::new(), wrote: Vec::new() }
}

/// The word for how a command ended, if not with 0.
fn code_of(how: &How) -> Option<Code> {
    match how {
        How::Exited(0) => None,
        How::Exited(status) => Some(Code::of_exit(*status)),
        How::Signalled(_) | How::Ended | How::Lost => Some(Code::CommandKilled),
        How::NotStarted { .. } => Some(Code::ProgramNotStarted),
        How::TimedOut | How::Idle => Some(Code::CommandTimedOut),
    }
}

/// The beginning and the end of what a command printed.
pub(super) fn shown(text: &str) -> String {
    let mut out = if text.len() <= SHOWN_HEAD_BYTES + SHOWN_TAIL_BYTES {
        text.to_owned()
    } else {
        let head = floor(text, SHOWN_HEAD_BYTES);
        let tail = floor(text, text.len() - SHOWN_TAIL_BYTES);
        format!("{}\n[… {} bytes left out …]\n{}", &text[..head], tail - head, &text[tail..])
    };
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
