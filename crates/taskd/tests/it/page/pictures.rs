//! The pictures of the documentation: the list, the monitor and the page, from the running program.

use std::{fmt::Write as _, fs, path::PathBuf};

use super::{Served, browser::Browser};
use crate::{
    landing::{agent, until_landed, until_ready},
    support::{Door, World},
    tui::Monitor,
};

const PLAN: &str = "---\nplan: Rate limits for the public API\nagent: AGENT\ngate: sh test.sh\nland: LAND\n---\n\
    ## spec limiter: Token bucket per API key\n\nBurst 20, refill 100 a minute.\n\n\
    ## spec headers: Tell clients what is left\nneeds: limiter\n\nSend RateLimit headers.\n\n\
    ## spec docs: Describe the limits\n\nA page about them.\n\n\
    ## spec metrics: Count refusals\nneeds: headers, docs\n\nOne counter.\n";

/// Where `cargo xtask pictures` wants them; nowhere for a mere test.
const WANTED: &str = "TASKD_PICTURES";

/// Text as it stands in a terminal, as a drawing.
fn drawn(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let columns = lines.iter().map(|it| it.chars().count()).max().unwrap_or(0);
    let (width, height) = (columns * 8 + 24, lines.len() * 18 + 24);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n<rect width=\"100%\" height=\"100%\" rx=\"8\" \
         fill=\"#15181b\"/>\n<g fill=\"#e4e8eb\" font-family=\"ui-monospace, monospace\" \
         font-size=\"13\" xml:space=\"preserve\">\n"
    );
    for (n, line) in lines.iter().enumerate() {
        let line = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let (chars, y) = (line.chars().count(), n * 18 + 26);
        if chars > 0 {
            writeln!(out, "<text x=\"12\" y=\"{y}\">{line}</text>").expect("a string");
        }
    }
    out + "</g>\n</svg>\n"
}

/// Bytes that were sent as base64.
fn bytes(text: &str) -> Vec<u8> {
    let value = |it: u8| match it {
        b'A'..=b'Z' => it - b'A',
        b'a'..=b'z' => it - b'a' + 26,
        b'0'..=b'9' => it - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().take_while(|it| *it != b'=').map(value).collect();
    let mut out = Vec::new();
    for four in digits.chunks(4) {
        let all = four.iter().fold(0_u32, |all, it| all << 6 | u32::from(*it));
        let all = all << (6 * (4 - four.len()));
        out.extend(&all.to_be_bytes()[1..four.len()]);
    }
    out
}

/// Proves WEB-12: the pictures of the documentation are made from the running program, by one
/// command: the list and the monitor as drawings, the page as a browser shows it, wide and on a phone.
#[test]
fn pictures_are_made_of_the_program() {
    let kept = tempfile::tempdir().expect("a directory");
    let to = std::env::var_os(WANTED).map_or_else(|| kept.path().to_owned(), PathBuf::from);
    let mut world = World::new();
    world.env.insert("COLUMNS".to_owned(), "88".to_owned());
    let door = Door::new(&world, "docs");
    let body = format!(
        "case $TASKD_LOOP in *.docs) echo 'reading src/limit.rs'; echo 'writing docs/limits.md'; {} ;;\n\
         *) if [ $TASKD_ITERATION = 1 ]; then echo x > bad.txt; echo 'tests fail, I will look again'; \
         else rm -f bad.txt; seq 40 > limit-$TASKD_LOOP.txt; fi ;; esac",
        door.sh()
    );
    let run = agent(&world, "claude.sh", &body);
    world.start();
    let plan = PLAN.replace("AGENT", &run);
    world.submit(&plan.replace("LAND", "ask"));
    until_ready(&world, "p1.limiter");
    world.taskd(&["land", "p1.limiter"]).ok();
    until_landed(&world, "p1.limiter");
    until_ready(&world, "p1.headers");
    door.reached();
    let list = drawn(&world.taskd(&["ls"]).ok());
    assert!(list.contains("NEEDS YOU (1)") && list.contains("p1.headers"), "{list}");
    fs::create_dir_all(&to).expect("writable");
    fs::write(to.join("ls.svg"), list).expect("writable");
    let mut monitor = Monitor::attach(&world, 88, 24);
    let text =
        monitor.until("what is said", |it| it.contains("docs") && it.contains("NEEDS YOU (1)"));
    fs::write(to.join("tui.svg"), drawn(&text)).expect("writable");
    monitor.detach();
    let served = Served::closed(&world);
    if let Some(mut browser) = Browser::new(&world, 1000, 640) {
        browser.open(&served.url());
        browser.shows("NEEDS YOU (1)");
        browser.eval("location.hash = '#/plan/p1'");
        browser.until("document.querySelectorAll('.stint').length > 3");
        for (name, width, hash) in [("page", 1000, "#/plan/p1"), ("phone", 360, "#/inbox")] {
            browser.resize(width, 640);
            browser.eval(&format!("location.hash = '{hash}'"));
            browser.until("document.querySelector('.stint, .card')");
            let picture = bytes(&browser.picture());
            assert!(
                picture.starts_with(b"\x89PNG") && picture.len() < 200 << 10,
                "{}",
                picture.len()
            );
            fs::write(to.join(format!("{name}.png")), picture).expect("writable");
        }
    }
    door.open();
}
