//! The monitor on a real pseudo-terminal: what is on its screen, what its keys do to the daemon, and
//! that neither a kill nor a look from the middle loses or repeats anything.

mod acts;
mod live;
mod markdown;
mod screen;

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use nix::{
    fcntl::OFlag,
    pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt},
};
use taskd_model::Status;

use crate::support::World;
use screen::Screen;

/// Longest the screen may take to show something.
const PATIENCE: Duration = Duration::from_secs(60);

/// A monitor that runs in a terminal of its own.
pub(crate) struct Monitor {
    child: Child,
    keys: File,
    /// The terminal's other side, by which its size is set.
    side: OwnedFd,
    told: mpsc::Receiver<Vec<u8>>,
    pub(crate) screen: Screen,
}

/// Both sides of a pseudo-terminal. No program that another test starts meanwhile has them open: it
/// would hold the terminal open after the monitor is gone.
pub(crate) fn terminal() -> (PtyMaster, OwnedFd) {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = posix_openpt(flags).expect("a pseudo-terminal");
    grantpt(&master).expect("ours");
    unlockpt(&master).expect("ours");
    let name = ptsname_r(&master).expect("a name");
    // A file of the standard library is closed in what is started.
    let mut slave = File::options();
    slave.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits());
    (master, slave.open(name).expect("the other side").into())
}

fn set_size(side: &OwnedFd, columns: u16, rows: u16) {
    let side = Stdio::from(side.try_clone().expect("a handle"));
    let (columns, rows) = (columns.to_string(), rows.to_string());
    #[expect(clippy::disallowed_methods, reason = "tests start real programs")]
    let mut stty = Command::new("stty");
    let set = stty.args(["rows", &rows, "cols", &columns]).stdin(side).status();
    assert!(set.expect("stty is installed").success());
}

impl Monitor {
    /// Attaches one to the world's daemon.
    pub(crate) fn attach(world: &World, columns: u16, rows: u16) -> Self {
        Self::with(world, columns, rows, &["tui"])
    }

    /// The same by another command line.
    pub(crate) fn with(world: &World, columns: u16, rows: u16, args: &[&str]) -> Self {
        let (master, slave) = terminal();
        set_size(&slave, columns, rows);
        let side = || Stdio::from(slave.try_clone().expect("a handle"));
        let mut command = world.command(args);
        command.env("TERM", "xterm-256color");
        command.stdin(side()).stdout(side()).stderr(side());
        let child = command.spawn().expect("taskd runs");
        let mut master = File::from(master.as_fd().try_clone_to_owned().expect("a handle"));
        let keys = master.try_clone().expect("a handle");
        let (tell, told) = mpsc::sync_channel(1024);
        std::thread::spawn(move || {
            let mut bytes = [0; 16 << 10];
            while let Ok(n @ 1..) = master.read(&mut bytes) {
                if tell.send(bytes[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let screen = Screen::new(usize::from(columns), usize::from(rows));
        Self { child, keys, side: slave, told, screen }
    }

    /// Presses keys.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("keys");
    }

    /// Waits until the screen is as `seen` says, and returns what is on it.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, seen: impl Fn(&str) -> bool) -> String {
        loop {
            let text = self.screen.text();
            if seen(&text) {
                return text;
            }
            match self.told.recv_timeout(PATIENCE) {
                Ok(bytes) => self.screen.feed(&bytes),
                Err(error) => panic!("waited for: {what} ({error})\n{text}"),
            }
        }
    }

    /// Waits until these words are on the screen.
    #[track_caller]
    pub(crate) fn shows(&mut self, words: &str) -> String {
        self.until(words, |text| text.contains(words))
    }

    /// Another size of the terminal.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.screen = Screen::new(usize::from(columns), usize::from(rows));
        set_size(&self.side, columns, rows);
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGWINCH).expect("our child");
    }

    /// Detaches, and says whether it ended well.
    pub(crate) fn detach(mut self) -> Screen {
        self.keys("q");
        drop(self.side);
        // The terminal closes when the monitor is gone.
        while let Ok(bytes) = self.told.recv_timeout(PATIENCE) {
            self.screen.feed(&bytes);
        }
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}\n{}", self.screen.text());
        self.screen
    }
}

/// A plan whose agent does this.
pub(crate) fn plan(world: &World, script: &str, land: &str) -> String {
    let agent = format!("sh {}", world.aside("agent.sh", &format!("{script}\n")));
    format!(
        "---\nplan: Poem\nagent: {agent}\ngate: sh test.sh\nland: {land}\n---\n\
         ## spec poem: A poem\n\nWrite one.\n"
    )
}

/// A world with a loop that asks to land.
fn asking(script: &str) -> World {
    let mut world = World::new();
    world.start();
    world.submit(&plan(&world, script, "ask"));
    world
        .until("it asks to land", |view| view.loops.values().any(|it| it.approval_asked.is_some()));
    world
}

#[test]
fn the_monitor_shows_what_needs_you_and_detaches() {
    let world = asking("echo roses > poem.txt");
    let mut monitor = Monitor::attach(&world, 80, 24);
    let text =
        monitor.until("the loop", |text| text.contains("NEEDS YOU") && text.contains("poem"));
    assert!(text.contains("ready to land, +1 -0, gate green"), "{text}");
    let screen = monitor.detach();
    assert!(screen.coloured && !screen.mouse, "the mouse is given back");
    assert_eq!(world.row("p1.poem").status, Status::Running, "detaching changes nothing");
}

/// Proves MON-2: without colours nothing is coloured and all is said; the picture follows the size
/// of the terminal, down to one line; the mouse selects and opens.
#[test]
fn a_terminal_of_any_kind_will_do() {
    let world = asking("echo roses > poem.txt");
    let mut monitor = Monitor::with(&world, 80, 24, &["tui", "--no-color"]);
    monitor.shows("> ");
    monitor.shows("NEEDS YOU (1)");
    monitor.resize(20, 8);
    monitor.until("a small picture", |it| it.contains("[1 loops]") && it.contains("? help  q de"));
    monitor.resize(10, 2);
    monitor.shows("1 need yo");
    monitor.resize(100, 30);
    monitor.shows("p1  Poem  0 of 1 landed");
    monitor.keys("j");
    let text = monitor.shows("p1.poem  A poem");
    // A click on the row that is selected opens it.
    let row = text.lines().position(|it| it.contains("  poem ")).expect("a row") + 1;
    monitor.keys(&format!("\u{1b}[<0;8;{row}M\u{1b}[<0;8;{row}m"));
    monitor.shows("[talk]");
    assert!(!monitor.screen.coloured);
    monitor.detach();
}
