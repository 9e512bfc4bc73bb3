//! Every figure: what it is, how it is taken, what it should be, and why it is not.

/// Figures that are taken together.
pub(super) struct Group {
    pub(super) title: &'static str,
    /// How it is measured.
    pub(super) how: &'static str,
    pub(super) rows: &'static [Row],
}

/// One figure.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// As the measuring program calls it.
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) unit: &'static str,
    pub(super) target: Option<Target>,
    /// Why the target is missed, where it is known to be.
    pub(super) miss: &'static str,
}

/// What a figure should be.
#[derive(Clone, Copy)]
pub(super) enum Target {
    AtLeast(f64),
    Below(f64),
    None,
}

use Target::{AtLeast, Below};

const UNKNOWN: &str = "nobody has looked into it yet.";

/// The same row with the reason why it misses its target.
const fn because(row: Row, miss: &'static str) -> Row {
    Row { miss, ..row }
}

const fn row(
    name: &'static str,
    what: &'static str,
    unit: &'static str,
    target: Option<Target>,
) -> Row {
    Row { name, what, unit, target, miss: UNKNOWN }
}

pub(super) const GROUPS: &[Group] = &[
    Group {
        title: "Durable events",
        how: "The real daemon with 100 loops in its state, over its socket, 64 connections with one \
            call in flight each, for ten seconds; events are counted in the log. The driver cannot \
            be reached from outside its crate; `a whole plan` is the nearest thing: one call notes \
            100 loops, and the daemon hands its driver one note after the other, each when the one \
            before is durable, so 64 inputs are in flight and the calls cost next to nothing. The \
            other two make one call for each input: pausing or resuming a loop (two events), and a \
            note (its text is made durable first, then the event). The times are those of the call \
            at a steady 1,000 events a second; a call that is late counts from when it was due.",
        rows: &[
            row("durable.plan.rate", "64 writers, a whole plan", "/s", Some(AtLeast(10_000.0))),
            row(
                "durable.pause.rate",
                "64 writers, pause and resume",
                "/s",
                Some(AtLeast(10_000.0)),
            ),
            because(
                row("durable.note.rate", "64 writers, notes", "/s", Some(AtLeast(10_000.0))),
                "each is a call, a blob and one event, and the text is made durable with the \
                 event; processor time of 64 calls at once on two cores probably limits it \
                 (pauses are twice as many events a call). It was not profiled.",
            ),
            row("store.rate", "the store alone, 64 appenders", "/s", None),
            row("durable.pause.p99", "pause and resume at 1,000/s, p99", "ms", Some(Below(10.0))),
            row("durable.pause.p50", "pause and resume at 1,000/s, median", "ms", None),
            because(
                row(
                    "durable.pause.p99.many",
                    "the same with 1,000 loops, p99",
                    "ms",
                    Some(Below(10.0)),
                ),
                "an earlier run (commit cea9a8e20815) had 6.3 ms; single waits of up to half a \
                 second fall into these runs, also with 100 loops. The disk was busy with the \
                 deletion of large folders shortly before, and the driver writes its snapshots \
                 itself, which takes longer with more loops. Which of the two it is was not \
                 found out.",
            ),
            row("durable.pause.p50.many", "the same with 1,000 loops, median", "ms", None),
            row("durable.note.p99", "notes at 1,000/s, p99", "ms", Some(Below(10.0))),
            row("durable.note.p50", "notes at 1,000/s, median", "ms", None),
        ],
    },
    Group {
        title: "One input",
        how: "`Coordinator::handle` in this process, without disk, in a state where every loop is at \
            work: for 100 loops spread over all, the end of preparing the worktree, then the end \
            of composing the request, each of which starts the next effect. A run is the median of \
            these 200 inputs without the first 20.",
        rows: &[
            row("decide.100", "100 loops", "µs", Some(Below(20.0))),
            row("decide.1000", "1,000 loops", "µs", Some(Below(20.0))),
            row("decide.10000", "10,000 loops", "µs", Some(Below(20.0))),
            row("decide.growth", "10,000 loops against 100", "×", Some(Below(2.0))),
        ],
    },
    Group {
        title: "One admission",
        how: "`Coordinator::handle` in this process again, with 2,200 loops of 22 plans that all have \
            a request and wait for a cell of the rate; one is free each millisecond. Timed is the \
            tick that admits a call, 200 times, so that 2,000 wait at least: whose turn it is, what \
            it may cost, the event, and the deadline of the next.",
        rows: &[
            row("admission.2000", "2,000 calls waiting, median", "µs", Some(Below(20.0))),
            row("admission.2000.p99", "2,000 calls waiting, p99", "µs", None),
        ],
    },
    Group {
        title: "Memory and rest",
        how: "Resident memory is `VmRSS` of the daemon, the peak `VmHWM`; megabytes are 10⁶ bytes. \
            Parked: 1,000 paused loops of one plan that is released. Native: 300 loops in worktrees \
            of their own, each calling the scripted model, which takes four seconds for a reply \
            that asks to read a file; the most that was seen in twenty seconds. Idle: 100 loops \
            that have passed their gate and wait for a person's yes; processor time from \
            `/proc/<pid>/stat` over ten seconds, processes from `/proc/<pid>/task/*/children` every \
            quarter of a second, and events of the log, of which every program and every call of a \
            model would be one.",
        rows: &[
            row("parked.memory", "1,000 parked loops", "MB", Some(Below(150.0))),
            row("parked.peak", "1,000 parked loops, peak", "MB", None),
            row("native.memory", "300 native loops", "MB", Some(Below(300.0))),
            row("native.peak", "300 native loops, peak since the start", "MB", None),
            row("native.events", "300 native loops, events", "/s", None),
            row("native.cpu", "300 native loops, of one core", "%", None),
            row("idle.cpu", "100 idle loops, of one core", "%", Some(Below(1.0))),
            row("idle.processes", "100 idle loops, processes", "", Some(Target::None)),
            row("idle.events", "100 idle loops, events in ten seconds", "", Some(Target::None)),
            row("idle.memory", "100 idle loops, memory", "MB", None),
        ],
    },
    Group {
        title: "Answers",
        how: "The 1,000 parked loops again, 200 times in a row each: `taskd ls` is the whole \
            process, its output read through a pipe; the call is `GetView` over an open connection, \
            decoded. Ready: from starting the process to the answer of a first `Status`, with no \
            store there yet. History: 1,000 paused loops and a million events written through the \
            daemon, which took its own snapshots; then `kill -9` in the middle of writing more, and \
            the time from starting it again to the answer of `Status`, with the files in the page \
            cache.",
        rows: &[
            because(
                row("ls.command.p99", "`taskd ls`, p99", "ms", Some(Below(20.0))),
                "the run before this one (commit dbd23d719534) had 15.5 ms. The processor was slower \
                 this time: one input and one admission took a third longer too, whose code hardly \
                 changed. The view has also grown by what is known of agents. Which of the two it \
                 is was not profiled.",
            ),
            row("ls.command.p50", "`taskd ls`, median", "ms", None),
            row("ls.call.p99", "its call alone, p99", "ms", Some(Below(20.0))),
            row("ls.call.p50", "its call alone, median", "ms", None),
            row("ready", "ready on an empty store", "ms", Some(Below(100.0))),
            row("history.restart", "serving after `kill -9`", "ms", Some(Below(2_000.0))),
            row("history.events", "events in that history", "", None),
            row("history.rate", "how fast it was written", "/s", None),
            row("history.store", "its store", "MB", None),
            row("history.memory", "memory after the start", "MB", None),
        ],
    },
    Group {
        title: "From a tool to the next request",
        how: "100 native loops at work, each turn a word at once, two seconds of silence, and a \
            call of `read`. The scripted model sends the word the moment a request reaches it, so \
            the word's arrival at a client that watches is the request on the wire and the way to \
            the client. `From the tool's start` begins when the client sees that the tool was \
            started, so it holds the tool itself and everything after it: an upper bound, and what \
            the target is held against. `From its durable end` begins when the client sees the \
            tool's end, `by the log` counts between the events of the tool's end and of the call's \
            start, in whole milliseconds. Each run is the median of twenty seconds.",
        rows: &[
            because(
                row("turnaround.whole", "from the tool's start, median", "ms", Some(Below(5.0))),
                "it is an upper bound: it holds the tool itself and the way of two events to the \
                 client, which shares two cores with the daemon and its 100 loops. The two waits \
                 for the disk that are left (the tool's result, then the composed request) cannot \
                 be had for less; where the rest goes was not profiled.",
            ),
            row("turnaround.whole.p99", "from the tool's start, p99", "ms", None),
            row("turnaround.seen", "from its durable end, median", "ms", None),
            row("turnaround.log", "by the log, median", "ms", None),
        ],
    },
    Group {
        title: "At a provider",
        how: "The real daemon with a provider of the tests on loopback: hand-written bytes of \
            Anthropic's interface, one thread for each connection, times taken at its sockets. It \
            refuses as providers do, with token buckets that hold a minute's worth, and says in its \
            headers what is left. 50 loops, each turn 300 ms and a call of `read`; three seconds' \
            worth is left at first. Share of the allowance: what was taken in ten seconds from when \
            that is gone, against what came in; once with 1,200 requests a minute and once with \
            3 million input tokens a minute. Refused: 429s of all requests of both, the beginning \
            counted. Second wave: all 50 first calls are refused at the same moment with \
            `retry-after: 1`, no other header, and nothing is left; 429s of the requests of \
            the next seven seconds. To \
            the next request: 100 loops whose reply calls `read` at once and ends 1.5 s later, so \
            that the result is there before; from the reply's last byte to the next request's first. \
            A word: 20 replies at once with a word every 50 ms, from just before it is written to \
            the client that watches. Three runs.",
        rows: &[
            row("provider.allowance", "share of the requests allowed", "%", Some(AtLeast(95.0))),
            row(
                "provider.allowance.tokens",
                "share of the tokens allowed",
                "%",
                Some(AtLeast(95.0)),
            ),
            row("provider.refused", "requests refused", "%", Some(Below(1.0))),
            row("provider.second_wave", "refused again", "%", Some(Below(2.0))),
            because(
                row("provider.turnaround", "to the next request, median", "ms", Some(Below(3.0))),
                "between the two stand two waits for the disk, the end of the reply's stream, and \
                 the writing of a request that grows with every turn; server, daemon and client \
                 share two cores. It was not profiled.",
            ),
            row("provider.turnaround.p99", "to the next request, p99", "ms", None),
            row("provider.delta", "a word to the client, median", "ms", Some(Below(10.0))),
            row("provider.delta.p99", "a word to the client, p99", "ms", Some(Below(10.0))),
        ],
    },
    Group {
        title: "Agents' calls through the daemon",
        how: "One run of an agent whose calls go through the daemon, a request of 20 kB, and the same \
            provider, which answers at once. Over kept connections the same call is made straight and \
            through the daemon, in turn, 200 times each; added is the difference of the two medians, \
            and of the two 99th percentiles, from the request to the first byte of the answer. Held: \
            20 answers of 8 MB each, sent as fast as they are taken, that nobody reads; what the \
            daemon's memory grew by, for each.",
        rows: &[
            row("gateway.added", "added to the first byte, median", "ms", Some(Below(2.0))),
            row("gateway.added.p99", "added to the first byte, p99", "ms", None),
            because(
                row("gateway.held", "held of an answer nobody reads", "KiB", Some(Below(64.0))),
                "hyper's HTTP/1 client reads up to 417,792 bytes at a time, and reqwest gives no way \
                 to say less; that the rest is a few such pieces and what was parsed of them is \
                 likely, and was not profiled. The words of a model come in far smaller pieces. \
                 Over HTTP/2 the window is 64 kB.",
            ),
        ],
    },
    Group {
        title: "Tools while the reply streams",
        how: "One loop at the same provider. Its replies take a second and call `grep` ten times, \
            every 90 ms, on so much text that one call alone takes 100 ms; that is processor \
            time, so two cores do not run ten at once. Ours is a turn from its request to the next \
            one, at the provider. One after the other: the reply and ten reads (computed). The best \
            there can be: the reply's end, or 100 ms after the last call was written, whichever is \
            later (computed from the provider's times). Efficiency is the best by ours. Three runs \
            of ten turns, the median of each.",
        rows: &[
            row("overlap.efficiency", "the best by ours", "%", Some(AtLeast(95.0))),
            row("overlap.ours", "ours", "ms", None),
            row("overlap.ideal", "the best there can be", "ms", None),
            row("overlap.sequential", "one after the other", "ms", None),
            row("overlap.read", "one read alone", "ms", None),
        ],
    },
    Group {
        title: "Agents that speak ACP",
        how: "The real daemon with one loop whose gate is always red, and an agent that answers \
            each request at once: a shell script. A run is from the event that starts it to the \
            event of its end, by the log's own clock in whole milliseconds, with the checkpoint of \
            its tree. With a start: process, supervisor, handshake, and its end, each time. In a \
            live process: a session and a prompt. The first run is left out. A real program's own \
            start, for most of them half a second or more, comes on top of the first figure.",
        rows: &[
            row("acp.start", "a run with a start of its own, median", "ms", None),
            row("acp.live", "a run in a live process, median", "ms", None),
        ],
    },
    Group {
        title: "External agents",
        how: "A shell script that reads its prompt, sleeps for 0.2 s and writes a file, forty times \
            bare and forty iterations under taskd. Wall: the median of the times between the events \
            of a run's beginning and end (whole milliseconds), less the bare median; it holds the \
            supervisor's start, the prompt's file, and the checkpoint of the tree. Processor time: \
            of the daemon and all it started, for each whole iteration, so with its prompt, a gate \
            that is one `test`, and the log, less the bare program's. Memory is `Pss`, each \
            process's share of what it shares: of the daemon and everything below it while so many \
            scripts sleep, less the daemon before and the scripts' own, for each; and eight of them \
            with the daemon and all, less eight bare ones.",
        rows: &[
            row("agents.wall", "wall time around a run", "ms", Some(Below(50.0))),
            row("agents.cpu", "processor time around an iteration", "ms", Some(Below(30.0))),
            row("agents.bare.wall", "the bare program", "ms", None),
            row("agents.bare.cpu", "the bare program, processor time", "ms", None),
            row("agents.memory.each", "memory for each running agent", "MB", Some(Below(3.0))),
            row(
                "agents.memory.eight",
                "eight at once, more than eight bare",
                "MB",
                Some(Below(40.0)),
            ),
        ],
    },
    Group {
        title: "Projects at rest",
        how: "Twenty projects that the daemon knows and in which nothing happens: of ten files each, \
            then of 10,000. Processor time from `/proc/<pid>/stat` over ten seconds, processes from \
            `/proc/<pid>/task/*/children` every quarter of a second, memory is `VmRSS` at the end.",
        rows: &[
            row("projects.cpu.small", "small ones, of one core", "%", Some(Below(1.0))),
            row("projects.cpu.large", "large ones, of one core", "%", Some(Below(1.0))),
            row("projects.processes.small", "small ones, processes", "", Some(Target::None)),
            row("projects.processes.large", "large ones, processes", "", Some(Target::None)),
            row("projects.memory.small", "memory with small ones", "MB", None),
            row("projects.memory.large", "memory with large ones", "MB", None),
        ],
    },
    Group {
        title: "Loop types",
        how: "Two hundred files of about two kilobytes in a project's folder, ten of which extend each \
            other; a reading is what each submission does: all of them read, merged, their templates \
            checked. Here each is written down whole as well, as `taskd types show` does.",
        rows: &[
            row("types.read", "200 loop types read, median", "ms", Some(Below(100.0))),
            row("types.read.p99", "the same, p99", "ms", None),
        ],
    },
    Group {
        title: "A large plan",
        how: "A thousand specs, nearly each of which needs three others. Accepted: the call that hands \
            the plan file in, to its durable end, at a daemon that starts nothing meanwhile. Done: \
            `Coordinator::handle` in this process, for those inputs by which a spec's work comes where \
            others may start from it, with all that follows at once.",
        rows: &[
            row("plans.accepted", "the plan accepted", "ms", Some(Below(200.0))),
            row("plans.needs", "needs in it", "", None),
            row("plans.completed", "one spec done, median", "µs", Some(Below(1000.0))),
            row("plans.completed.p99", "one spec done, p99", "µs", Some(Below(1000.0))),
        ],
    },
    Group {
        title: "Loops that talk",
        how: "A hundred loops of a plan, each of which sends a hundred messages a second from its \
            tools, and one more that never reads; each message is handed to `Coordinator::handle` in \
            this process when it is due, with the end of the tool and of the turn after it. \
            Delivered: from when it was due to when it is in its receiver's mailbox, or refused; what \
            the log adds to that is told under durable events.",
        rows: &[
            row("messages.rate", "messages to loops that read", "/s", None),
            row("messages.delivered", "delivered, median", "ms", Some(Below(5.0))),
            row("messages.delivered.p99", "delivered, p99", "ms", None),
            row("messages.refused", "refused, because one never reads", "", None),
        ],
    },
    Group {
        title: "The monitor",
        how: "A thousand loops at work on a screen of 160 by 50, and 2,000 events and noise a second, \
            decoded, folded and drawn as the monitor does, in the thread that is measured; the view \
            is a daemon's, what comes is made here, and the pictures are written for a terminal and let go. A key every \
            50 ms moves the selection. Times are from when a key or an event was due to the end of \
            the picture that has it; the way through the socket and the terminal is not in them.",
        rows: &[
            row("monitor.frames", "pictures a second", "/s", Some(AtLeast(59.0))),
            row("monitor.processor", "of one core", "%", Some(Below(30.0))),
            row("monitor.key.p99", "from key to picture, p99", "ms", Some(Below(50.0))),
            row("monitor.event.p99", "from event to picture, p99", "ms", Some(Below(100.0))),
        ],
    },
    Group {
        title: "Readers",
        how: "With a thousand paused loops: 24 commands that only read, each twenty times as a whole \
            process, and the command whose median is the worst; what fish asks at the Tab key, with \
            an id half written; `taskd prompt`. With a hundred loops at work: most of the daemon's \
            memory in ten seconds while a hundred watch everything with its noise, less the most \
            while one does; and a note, from when the daemon has answered that it is durable until \
            that one has it, alone and while another takes four items a second, which is about a \
            kilobyte.",
        rows: &[
            row("reading.p50", "a reading command, median of all", "ms", None),
            row("reading.slowest", "the slowest, its median", "ms", Some(Below(30.0))),
            row("reading.complete", "completion, p99", "ms", Some(Below(100.0))),
            row("reading.prompt", "`taskd prompt`, p99", "ms", Some(Below(10.0))),
            row("watch.memory", "memory for a hundred that watch", "MB", Some(Below(50.0))),
            row("watch.alone", "an event to who watches, p99", "ms", None),
            row("watch.beside", "the same beside a slow one, p99", "ms", None),
        ],
    },
    Group {
        title: "The page",
        how: "Chromium without a window beside a daemon with a thousand loops, 999 of which wait, as a \
            test of the page does it: from a reload until its loops are shown and it takes keys, \
            looked at every ten milliseconds; and what the page's thread and the program that \
            serves it computed until then.",
        rows: &[
            row("page.usable", "from a reload until it can be used", "ms", Some(Below(1_000.0))),
            row("page.computed", "computed for that", "ms", None),
        ],
    },
    Group {
        title: "A repository of 50,000 files",
        how: "2,500 directories of 20 files of one to four kilobytes, written by `git fast-import`, so \
            packed; no daemon, the same calls it makes. Cold: a worktree made from nothing, beside \
            `git worktree add`, in turns. Spare: one taken from the pool that was made one commit \
            away. After a file tool: a checkpoint that is told the file. After a command: one that \
            looks at every file, beside `git status` after the same change. Rebase: 50 loops with \
            a file of their own each, onto a commit that changes ten others, four at a time, from \
            the first to the last; the daemon's checkpoint before it is not in it.",
        rows: &[
            row("trees.pool", "a worktree from a spare", "ms", Some(Below(200.0))),
            row("trees.cold", "a worktree from nothing", "ms", None),
            row("trees.cold.git", "`git worktree add`", "ms", None),
            row("trees.cold.beside", "ours by git's", "×", Some(Below(1.0))),
            row("trees.checkpoint.file", "a checkpoint after a file tool", "ms", Some(Below(30.0))),
            row("trees.checkpoint.run", "a checkpoint after a command", "ms", None),
            row("trees.status", "`git status`", "ms", None),
            row("trees.checkpoint.run.beside", "ours by git's", "×", Some(Below(1.0))),
            row("trees.rebase", "50 loops rebased", "s", Some(Below(10.0))),
        ],
    },
];
