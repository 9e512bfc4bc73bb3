//! The monitor on a real pseudo-terminal: it attaches, shows, and detaches.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::Stdio,
    sync::mpsc,
    time::Duration,
};

use nix::pty::{Winsize, openpty};
use taskd_model::Status;

use crate::support::World;

/// Longest the screen may take to show something.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn the_monitor_shows_what_needs_you_and_detaches() {
    let mut world = World::new();
    world.start();
    let plan = "---\nplan: Poem\ngate: sh test.sh\nland: ask\n---\n\
        ## spec poem: A poem\nagent: echo roses > poem.txt\n";
    world.submit(plan);
    world
        .until("it asks to land", |view| view.loops.values().any(|it| it.approval_asked.is_some()));

    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(&size, None).expect("a pseudo-terminal");
    let side = || Stdio::from(terminal.slave.try_clone().expect("a handle"));
    let mut command = world.command(&["tui"]);
    command.env("TERM", "xterm-256color").stdin(side()).stdout(side()).stderr(side());
    let mut monitor = command.spawn().expect("taskd runs");
    drop((command, terminal.slave));

    let mut keys = File::from(terminal.master.try_clone().expect("a handle"));
    let mut screen = File::from(terminal.master);
    let (tell, told) = mpsc::sync_channel(64);
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = screen.read(&mut bytes) {
            if tell.send(String::from_utf8_lossy(&bytes[..n]).into_owned()).is_err() {
                return;
            }
        }
    });
    let mut seen = String::new();
    while !(seen.contains("NEEDS YOU") && seen.contains("poem")) {
        seen.push_str(&told.recv_timeout(PATIENCE).expect("it draws"));
    }
    keys.write_all(b"q").expect("a key");
    // The screen closes when the monitor is gone.
    while told.recv_timeout(PATIENCE).is_ok() {}
    assert!(monitor.wait().expect("it ends").success(), "{seen}");
    assert_eq!(world.row("p1.poem").status, Status::Running, "detaching changes nothing");
}
