//! The list of all codes. It is the only one: the enum, the words and `docs/errors.md` are made
//! from it.

use super::{Entry, Reaction, Rpc, Tier};

/// Makes the enum and its table from one list, so that neither can lack a code.
macro_rules! catalogue {
    ($($code:ident $word:literal $tier:ident $reaction:ident $rpc:ident $exit:literal
        $what:literal $next:literal)*) => {
        /// A way something can go wrong. New ones are added, none changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = concat!($what, ".")] $code,)*
        }

        const ENTRIES: &[Entry] = &[$(Entry {
            code: Code::$code,
            word: $word,
            tier: Tier::$tier,
            reaction: Reaction::$reaction,
            rpc: Rpc::$rpc,
            exit: $exit,
            what: $what,
            next: $next,
        },)*];
    };
}

impl Code {
    /// All codes, in the order of the documentation.
    #[must_use]
    pub fn entries() -> &'static [Entry] {
        ENTRIES
    }

    /// Everything there is to say about it.
    #[must_use]
    pub fn entry(self) -> &'static Entry {
        // The list is the enum's own order.
        &ENTRIES[self as usize]
    }
}

catalogue! {
    // The model provider, while a call is made.
    RateLimited "rate_limited" RateLimit Waits ResourceExhausted 4
        "The provider says that too much was asked for"
        "nothing; `taskd queue` shows until when, and lower `[limits]` make it rarer"
    Overloaded "overloaded" Degrading Retries Unavailable 4
        "The provider has more to do than it can"
        "nothing; if it stays so, look at the provider's status page"
    ServerError "server_error" Degrading Retries Unavailable 4
        "The provider has a problem of its own"
        "nothing; if it stays so, look at the provider's status page"
    AuthFailed "auth_failed" UserFixable AsksForKey Unauthenticated 4
        "The provider does not accept the key"
        "export the right key, then `taskd resume ID` in that shell"
    PermissionDenied "permission_denied" UserFixable AsksForKey PermissionDenied 4
        "The provider accepts the key, but not for this"
        "give the key's account the right, or use another key, then `taskd resume ID`"
    QuotaExhausted "quota_exhausted" UserFixable AsksForKey ResourceExhausted 4
        "The account behind the key has no money or quota left"
        "pay, or raise its quota, at the provider, then `taskd resume ID`"
    CredentialMissing "credential_missing" UserFixable AsksForKey FailedPrecondition 4
        "The provider needs a key and the daemon was handed none"
        "export the variable that is named, then submit, or `taskd resume ID`, in that shell"
    ModelNotFound "model_not_found" UserFixable Asks NotFound 4
        "The provider has no such model, or not at this URL"
        "name another model in the plan; `taskd models` lists those that are known"
    InvalidRequest "invalid_request" Permanent Asks InvalidArgument 4
        "The provider refuses the request as it is"
        "look at the status and type that are named; use another model, or tell us"
    ContentRefused "content_refused" UserFixable Asks InvalidArgument 4
        "The provider's policy refuses what the request says"
        "word the task differently, then submit it again"
    ContextTooLarge "context_too_large" UserFixable AsksSmaller InvalidArgument 4
        "The request is larger than the model takes"
        "set the model's `window` in models.toml, split the task, or use a model with a larger window"
    Network "network" Transient Retries Unavailable 4
        "No connection to the provider could be made, or it broke before an answer"
        "nothing; if it stays so, look at the network and the URL"
    CertificateUntrusted "certificate_untrusted" UserFixable Asks Unavailable 4
        "The provider shows a certificate that is not trusted"
        "name your own authority with `ca_file` in models.toml, or look at the URL"
    TimeoutConnect "timeout_connect" Transient Retries DeadlineExceeded 4
        "No connection to the provider came about in time"
        "nothing; if it stays so, look at the network and the URL"
    TimeoutFirstEvent "timeout_first_event" Transient Retries DeadlineExceeded 4
        "The provider took the request and did not begin to answer in time"
        "nothing; if it stays so, look at the provider's status page"
    TimeoutIdle "timeout_idle" Transient Retries DeadlineExceeded 4
        "The reply stopped in the middle for too long"
        "nothing; if it stays so, look at the network"
    TimeoutTotal "timeout_total" Transient Retries DeadlineExceeded 4
        "The reply did not end in time"
        "nothing; if it stays so, ask for less in one task"
    StreamBroken "stream_broken" Transient Retries Unavailable 4
        "The connection ended before the reply did"
        "nothing; if it stays so, look at the network"
    StreamGarbled "stream_garbled" Transient Retries Unavailable 4
        "The stream is not what the provider's interface says"
        "nothing; if it stays so, check the URL and what is between you and it"
    NotAStream "not_a_stream" UserFixable Asks FailedPrecondition 4
        "A page or a document came where a stream of events was expected"
        "check the base URL, and whether a proxy wants you to sign in, then `taskd resume ID`"
    RequestInexpressible "request_inexpressible" Permanent Asks InvalidArgument 4
        "The request cannot be said in this provider's interface"
        "use another model for this task"
    ProviderSettings "provider_settings" UserFixable Asks FailedPrecondition 4
        "The provider is set up in a way that cannot work"
        "mend its entry in `models.toml`, or its variable, then `taskd resume ID`"
    ReplyTooLarge "reply_too_large" Permanent Asks ResourceExhausted 4
        "The reply grew past what one reply may hold and was cut off"
        "split the task, or use another model"
    CallOverCap "call_over_cap" UserFixable AsksForMoney ResourceExhausted 4
        "The call used up the money or the tokens that were left for it"
        "give its budget more with `taskd budget set`, then `taskd resume ID`"
    ModelUnknown "model_unknown" UserFixable Asks InvalidArgument 4
        "No provider goes by the name before the slash"
        "name the model as PROVIDER/MODEL; `taskd models` lists providers"

    // Scripts and recordings in place of a provider.
    ScriptNoReply "script_no_reply" UserFixable Asks FailedPrecondition 4
        "The script has nothing to say at this turn"
        "add the turn, or a `default`, to the script"
    ScriptPathRelative "script_path_relative" UserFixable Asks InvalidArgument 4
        "The path behind `scripted:` is not absolute"
        "write it from the root"
    ScriptUnreadable "script_unreadable" UserFixable Asks FailedPrecondition 4
        "The script of replies cannot be read"
        "look at the path and its permissions"
    ScriptInvalid "script_invalid" UserFixable Asks InvalidArgument 4
        "The file of replies is no script, or too large to be one"
        "mend it at the line that is named"
    RecordingUnusable "recording_unusable" UserFixable Asks FailedPrecondition 4
        "Recordings cannot be read or written where they should be"
        "look at the directory, then `taskd resume ID`"
    RecordingMissing "recording_missing" UserFixable Asks NotFound 4
        "Nothing was recorded for this call"
        "record again, or see where the nearest recording differs"

    // Programs: gates, agents, setup, commands.
    AgentNotRunnable "agent_not_runnable" UserFixable Asks FailedPrecondition 4
        "The agent's program is not there or cannot be run"
        "install it on the PATH the plan was submitted with, then `taskd resume ID`"
    AgentPrompt "agent_prompt" UserFixable Asks InvalidArgument 4
        "The prompt or session does not fit on the agent's command line"
        "use a preset that takes the prompt as a file or on stdin"
    AgentPreset "agent_preset" UserFixable Asks FailedPrecondition 4
        "The file that describes the agent is wrong"
        "correct it at the place that is named (`taskd agents ls`), then `taskd resume ID`"
    AgentFailedEarly "agent_failed_early" Transient Retries Unavailable 4
        "The agent ended with an error within half a minute and had changed nothing"
        "nothing at first; after three in a row mend what it says, then `taskd resume ID`"
    ReviewFailed "review_failed" Transient Retries Unavailable 4
        "The agent that is the second reader ended without saying what it finds"
        "nothing at first; after three in a row mend what it says, then `taskd resume ID`"
    AgentProtocol "agent_protocol" Transient Retries Unavailable 4
        "The agent does not speak the protocol its preset says it speaks"
        "nothing at first; after three in a row look at what is named and at the agent's preset"
    AgentLimit "agent_limit" RateLimit Waits ResourceExhausted 4
        "The agent says that its allowance is used up"
        "nothing; `taskd why ID` shows until when it waits"
    AgentNotAccepted "agent_not_accepted" UserFixable AsksForKey Unauthenticated 4
        "The agent is not logged in, or its key is not accepted"
        "log in (`taskd agents show NAME` says how it looks), or export its key, then `taskd resume ID`"
    AgentBilling "agent_billing" UserFixable Asks FailedPrecondition 4
        "Something else would pay for the agent than was declared"
        "make login, key and `billing` agree (`taskd agents show NAME`), then `taskd resume ID`"
    ProgramNotStarted "program_not_started" UserFixable Asks FailedPrecondition 4
        "A program could not be started"
        "look at the reason that is named, then `taskd resume ID`"
    SetupFailed "setup_failed" UserFixable Asks FailedPrecondition 4
        "A setup command failed in a fresh worktree"
        "make it work in a fresh checkout, then `taskd resume ID`"
    TemplateInvalid "template_invalid" UserFixable Asks InvalidArgument 4
        "A prompt cannot be rendered from its template"
        "mend the template of the loop type at the line that is named"
    ScratchBusy "scratch_busy" Transient Retries ResourceExhausted 4
        "All scratch checkouts of the project are in use"
        "nothing; one becomes free when a gate ends"

    // What is told of an agent's run, besides its end.
    AgentSilent "agent_silent" UserFixable Remarks DeadlineExceeded 4
        "The agent printed nothing and changed no file for `agent.idle`, and was ended"
        "look at `taskd logs ID`; raise `agent.idle` if it was at work"
    AgentFanOut "agent_fan_out" UserFixable Remarks ResourceExhausted 4
        "The agent and what it started were more processes than `agent.processes`, and were ended"
        "raise `agent.processes`, or tell it to use fewer helpers with `taskd steer`"
    AgentExit "agent_exit" UserFixable Remarks Aborted 4
        "The agent ended with an error by itself, and has changed files"
        "see what the gate says of them"
    AgentDidNothing "agent_did_nothing" UserFixable Remarks Aborted 4
        "The agent ended normally and has changed nothing"
        "look at what it said with `taskd logs ID`"
    AgentNotUnderstood "agent_not_understood" UserFixable Remarks FailedPrecondition 4
        "Nothing of what the agent printed was understood"
        "`taskd agents show NAME` says whether its version was tested"
    AgentUpdated "agent_updated" UserFixable Remarks Aborted 4
        "The agent's program changed, or went away, while it ran"
        "`taskd agents show NAME` says what is there now"
    AgentCommitted "agent_committed" UserFixable Remarks Aborted 4
        "The agent made commits of its own: they are kept, and its files count as they are"
        "look at the ref that is named, if you want them"
    AgentMovedHead "agent_moved_head" UserFixable Remarks Aborted 4
        "The agent left its worktree on a branch or another commit: it is back where it was"
        "look at the diff if that surprises you"
    AgentMadeBranch "agent_made_branch" UserFixable Remarks Aborted 4
        "The agent made a branch in your repository: its tip is kept, and it is gone"
        "look at the ref that is named, if you want it"
    AgentStashed "agent_stashed" UserFixable Remarks Aborted 4
        "The agent put files into your stash: they are kept elsewhere, and it is as it was"
        "look at the ref that is named, if you want them"
    AgentReplacedGit "agent_replaced_git" UserFixable Remarks Aborted 4
        "The agent replaced the `.git` of its worktree: it is put back"
        "look at what is kept beside the worktree, if you want it"
    RefsGone "refs_gone" UserFixable Remarks NotFound 4
        "Branches or tags went away while an agent ran; nothing tells who removed them"
        "bring back what you miss with the command that is named"
    AgentMovedRefs "agent_moved_refs" UserFixable Asks Aborted 4
        "An agent moved a branch of your repository, or what you have checked out"
        "undo it with the command that is named if it is not wanted, then `taskd resume ID`"
    GitSettingsChanged "git_settings_changed" UserFixable Asks Aborted 4
        "The repository's git configuration or hooks changed while an agent ran"
        "look at what is named and undo what you do not want, then `taskd resume ID`"

    // What a tool call of a model can be refused for.
    UnknownTool "unknown_tool" Data TellsModel InvalidArgument 1
        "The model asked for a tool that does not exist"
        "nothing"
    ToolNotAllowed "tool_not_allowed" Data TellsModel PermissionDenied 1
        "The model asked for a tool its loop may not use"
        "nothing; `tools:` of the loop type says which it may"
    BadArguments "bad_arguments" Data TellsModel InvalidArgument 1
        "The arguments of a tool call are not what the tool takes"
        "nothing"
    PathRefused "path_refused" Data TellsModel PermissionDenied 1
        "A tool call names a path outside its worktree, or through a link"
        "nothing"
    PathNotFound "path_not_found" Data TellsModel NotFound 1
        "A tool call names a file that is not there, or is of another kind"
        "nothing"
    FileTooLarge "file_too_large" Data TellsModel ResourceExhausted 1
        "A file or a result is larger than a tool takes"
        "nothing"
    StaleRead "stale_read" Data TellsModel FailedPrecondition 1
        "A tool call would change a file the model has not read as it is now"
        "nothing"
    EditNoMatch "edit_no_match" Data TellsModel FailedPrecondition 1
        "The text to replace is not in the file"
        "nothing"
    EditAmbiguous "edit_ambiguous" Data TellsModel FailedPrecondition 1
        "The text to replace is in the file more than once"
        "nothing"
    CommandFailed "command_failed" Data TellsModel Aborted 1
        "A command of the model ended with an error"
        "nothing"
    CommandNotFound "command_not_found" Data TellsModel NotFound 1
        "A command of the model does not exist (exit status 127)"
        "nothing; if it should exist, put it on the PATH and submit again"
    CommandNotExecutable "command_not_executable" Data TellsModel PermissionDenied 1
        "A command of the model may not be run (exit status 126)"
        "nothing"
    CommandKilled "command_killed" Data TellsModel Aborted 1
        "A command of the model was killed; 137 often means that memory ran out"
        "nothing; if memory runs out, let fewer loops run at once"
    CommandTimedOut "command_timed_out" Data TellsModel DeadlineExceeded 1
        "A command of the model did not end in its time"
        "nothing"
    ToolServer "tool_server" Data TellsModel Unavailable 1
        "A tool server of the loop type did not start, ended, or did not answer as MCP says"
        "nothing; if it stays so, run its command in the worktree, and mend `mcp:` of the loop type"

    // Repositories.
    NotARepository "not_a_repository" UserFixable Refuses FailedPrecondition 1
        "There is no git repository at or above the path"
        "run `git init` there, or name another path"
    RepositoryGone "repository_gone" UserFixable Asks FailedPrecondition 1
        "A repository is not where it was"
        "`taskd projects add` in its new place; or put it back, then `taskd resume ID`"
    RepositoryEmpty "repository_empty" UserFixable Refuses FailedPrecondition 1
        "The repository has no commit yet"
        "make a first commit"
    RepositoryFormat "repository_format" UserFixable Refuses FailedPrecondition 1
        "The repository uses a format of git that taskd cannot read"
        "use a clone of the format that is named"
    NoIdentity "no_identity" UserFixable Refuses FailedPrecondition 1
        "Git does not know in whose name to commit"
        "set `user.name` and `user.email` with `git config --global`"
    GitNameRefused "git_name_refused" UserFixable Refuses InvalidArgument 1
        "A branch, tag or worktree cannot have that name"
        "choose another name"
    WorktreeNotOurs "worktree_not_ours" UserFixable Asks FailedPrecondition 1
        "Something taskd did not make is where a worktree should be"
        "move it away or remove it, then `taskd resume ID`"
    WorktreeMissing "worktree_missing" UserFixable Asks FailedPrecondition 1
        "A worktree is not where it should be"
        "`taskd resume ID` makes it again"
    WorktreeUnsavable "worktree_unsavable" UserFixable Asks FailedPrecondition 1
        "Files of a worktree cannot be saved, so they are left alone"
        "make them readable, or remove them, then `taskd resume ID`"
    WorktreeUnsettled "worktree_unsettled" Transient Retries Aborted 1
        "Files of a worktree keep changing while they are set"
        "end what else writes there; it is tried again"
    RefRefused "ref_refused" Permanent Asks PermissionDenied 1
        "A ref is outside what taskd may write"
        "name a branch as the target"
    RefLocked "ref_locked" Transient Retries Aborted 1
        "Another git process holds a lock"
        "nothing; if no git runs, remove the lock file that is named"
    CheckoutBusy "checkout_busy" Transient Retries Aborted 1
        "A checkout of the target is in use by git"
        "end or finish what runs there; it is tried again"
    NotForward "not_forward" Permanent Asks FailedPrecondition 1
        "Landing would take commits away from a branch"
        "see who moved the branch, then `taskd resume ID`"
    BranchGone "branch_gone" UserFixable Asks NotFound 1
        "The target branch does not exist any more"
        "create it again, then `taskd resume ID`"
    PushFailed "push_failed" UserFixable Asks Unavailable 1
        "Work could not be pushed to the remote"
        "push something yourself to see why, then `taskd resume ID`"
    PullRequestFailed "pull_request_failed" UserFixable Asks FailedPrecondition 1
        "The command that opens a pull request failed, or printed no address"
        "set `land.pr_command` right, then `taskd resume ID`"
    NothingToLand "nothing_to_land" Permanent Asks FailedPrecondition 1
        "There is no work to bring to the target"
        "`taskd show ID` says what the loop has done"
    GitMissing "git_missing" UserFixable Asks FailedPrecondition 1
        "The git program cannot be started"
        "install git, then `taskd resume ID`"
    GitFailed "git_failed" Permanent Asks FailedPrecondition 1
        "Git refused a step"
        "look at what git said, mend it, then `taskd resume ID`"

    // The machine.
    DiskFull "disk_full" UserFixable RetriesResources ResourceExhausted 1
        "There is no room left on the disk"
        "make room, then `taskd resume ID`, or start the daemon again"
    FileDenied "file_denied" UserFixable Asks PermissionDenied 1
        "A file or directory may not be read or written"
        "make it accessible to the user the daemon runs as, then `taskd resume ID`"
    FileFailed "file_failed" Transient RetriesResources Internal 1
        "The system could not read or write a file"
        "look at the cause that is named, then `taskd resume ID`"
    MachineExhausted "machine_exhausted" Transient RetriesResources ResourceExhausted 1
        "The machine is out of memory or of file handles"
        "let fewer loops run at once, or raise the machine's limits"

    // The store.
    StoreLocked "store_locked" UserFixable StaysDown FailedPrecondition 1
        "Another process has the store open"
        "use that daemon, or stop it first"
    StoreNotOurs "store_not_ours" UserFixable StaysDown FailedPrecondition 1
        "The file where the store should be is no taskd database"
        "move it away, restore a backup, or name another state directory"
    StoreNewer "store_newer" UserFixable StaysDown FailedPrecondition 1
        "A newer taskd wrote the store"
        "use the newer taskd"
    StoreNetwork "store_network" UserFixable StaysDown FailedPrecondition 1
        "The state directory is on a network filesystem, where the log is not safe"
        "put it on a local disk"
    StoreDamaged "store_damaged" Permanent StaysDown DataLoss 1
        "The log or a blob is not what was written"
        "copy the state directory away, then restore the newest backup"
    StoreMigration "store_migration" Permanent StaysDown FailedPrecondition 1
        "Moving the store to a newer schema failed and was undone"
        "look at the cause, or go on with the older taskd"
    StoreFailed "store_failed" Transient RetriesResources Internal 1
        "The store could not do what it was asked"
        "look at the cause that is named; `taskd doctor`"

    // Requests.
    Invalid "invalid" UserFixable Refuses InvalidArgument 2
        "The request itself is wrong"
        "`taskd help COMMAND`"
    NotFound "not_found" UserFixable Refuses NotFound 5
        "There is no such thing"
        "`taskd ls -a`"
    Ambiguous "ambiguous" UserFixable Refuses FailedPrecondition 5
        "The id is short for several things"
        "write more of it"
    Refused "refused" UserFixable Refuses FailedPrecondition 1
        "It cannot be done as things are"
        "do what the hint says"
    NoSuchLoop "no_such_loop" UserFixable Refuses NotFound 5
        "There is no such loop"
        "`taskd ls -a`"
    NoSuchPlan "no_such_plan" UserFixable Refuses NotFound 5
        "There is no such plan"
        "`taskd ls -a`"
    NoSuchBucket "no_such_bucket" UserFixable Refuses NotFound 5
        "Nobody has called this model, or waits to"
        "`taskd queue` lists those there are"
    NoSuchProject "no_such_project" UserFixable Refuses NotFound 5
        "The repository is no project of this daemon"
        "`taskd projects ls`"
    PlanKnown "plan_known" UserFixable Refuses AlreadyExists 1
        "The same plan was submitted before"
        "look at it with `taskd ls -a`, or change the plan"
    PlanInvalid "plan_invalid" UserFixable Refuses InvalidArgument 1
        "The plan does not hold together, or is too large"
        "mend what is named, then submit it again"
    AlreadyOver "already_over" UserFixable Refuses FailedPrecondition 1
        "The loop or plan has ended"
        "submit the task again"
    Changed "changed" UserFixable Refuses Aborted 1
        "Something happened to the loop since the state that the request names"
        "look at it again, then decide again"
    NotWaiting "not_waiting" UserFixable Refuses FailedPrecondition 1
        "There is nothing to resume"
        "`taskd why ID`"
    NoQuestion "no_question" UserFixable Refuses FailedPrecondition 1
        "The question is not open: somebody answered it, or the run that asked is over"
        "`taskd show ID` lists what is open"
    NotPassed "not_passed" UserFixable Refuses FailedPrecondition 1
        "The work has not passed its gate"
        "`taskd wait ID`, then try again"
    NeverLands "never_lands" UserFixable Refuses FailedPrecondition 1
        "The plan says that its work never lands"
        "submit it with another `land:`"
    NobodyHears "nobody_hears" Data TellsModel FailedPrecondition 1
        "No other loop of the plan is there to hear the message"
        "nothing; the loop goes on without"
    MailboxFull "mailbox_full" Data TellsModel ResourceExhausted 1
        "The receiver of a message has not read those that wait for it"
        "nothing; it takes more once it has read them"
    QueryTimeout "query_timeout" Data TellsModel DeadlineExceeded 1
        "The loop that was asked did not answer in time"
        "nothing; the loop that asked goes on without"
    QueryFailed "query_failed" Data TellsModel Unavailable 1
        "The loop that was asked could not answer"
        "nothing; the loop that asked goes on without"
    Muted "muted" Data TellsModel ResourceExhausted 1
        "The loop sends too many messages and is not heard for a while"
        "nothing; `taskd steer` or `taskd stop` the loop if it goes on so"
    NothingToRewind "nothing_to_rewind" UserFixable Refuses FailedPrecondition 1
        "The loop has no earlier state of its work to go back to"
        "`taskd checkpoints ID` lists what there is"
    NothingToRetry "nothing_to_retry" UserFixable Refuses FailedPrecondition 1
        "The loop is not blocked, and has not failed or been stopped, so there is nothing to try again"
        "`taskd rewind ID` sends work back, `taskd show ID` says how it is"
    NotLanded "not_landed" UserFixable Refuses FailedPrecondition 1
        "The work is not on its target, so nothing of it can be undone there"
        "`taskd stop ID` ends it, `taskd rewind ID` takes its work back"
    NothingToUndo "nothing_to_undo" UserFixable Refuses FailedPrecondition 1
        "No commit of the loop is on the target any more, or none ever was"
        "`taskd show ID` says what landed and what undid it"
    UndoConflicts "undo_conflicts" UserFixable Refuses FailedPrecondition 1
        "Later commits changed what the landing changed, so it does not come off by itself"
        "revert it by hand, or submit a task that takes it out"
    NeedFailed "need_failed" UserFixable Refuses FailedPrecondition 1
        "It needs work that did not pass"
        "run that again first, or stop this"
    NoMoney "no_money" UserFixable Refuses ResourceExhausted 1
        "Its budget is used up, so it would be blocked again at once"
        "`taskd budget set`"
    ProjectBusy "project_busy" UserFixable Refuses FailedPrecondition 1
        "The project has open plans"
        "stop them first"
    Config "config" UserFixable Refuses FailedPrecondition 78
        "A configuration file is wrong"
        "mend it at the line that is named"
    Busy "busy" RateLimit Refuses ResourceExhausted 75
        "Too many ask at once"
        "try again in a moment"
    Denied "denied" UserFixable Refuses PermissionDenied 77
        "The peer may not do this"
        "do it as the user the daemon runs as"
    Unreachable "unreachable" UserFixable Refuses Unavailable 69
        "No daemon answers"
        "`taskd daemon start`"
    Skew "skew" UserFixable Refuses Internal 1
        "Client and daemon do not understand each other"
        "`taskd daemon restart`"
    Timeout "timeout" Transient Refuses DeadlineExceeded 124
        "It took too long"
        "`taskd why ID` says what is waited for"
    Internal "internal" Permanent EndsLoop Internal 1
        "A defect of taskd"
        "tell us, with `taskd daemon logs`"
    Unlisted "unlisted" Permanent Asks Internal 4
        "A code of a later taskd, which this one does not know"
        "use the newer taskd"
}
