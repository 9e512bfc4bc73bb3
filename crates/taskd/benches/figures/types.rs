//! Two hundred loop types read as each submission reads them: from their files, merged, checked.

use std::{
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use taskd_daemon::types;

use crate::{Sizes, stats, tell};

const TYPES: u32 = 200;
/// Types that extend each other, one after the other.
const CHAIN: u32 = 10;
const LINES: u32 = 40;
/// Types that are there without any file.
const BUILT_IN: usize = 4;

/// Times of whole readings; the files are in the page cache, as they are after the first.
pub(crate) fn run(sizes: &Sizes) {
    let place = tempfile::tempdir().expect("a temp dir");
    let folder = place.path().join(types::OF_PROJECT);
    fs::create_dir_all(&folder).expect("writable");
    for n in 0..TYPES {
        fs::write(folder.join(format!("t{n:03}.yaml")), text(n)).expect("writable");
    }
    for _ in 0..sizes.runs {
        let mut times: Vec<Duration> = (0..sizes.samples).map(|_| reading(place.path())).collect();
        tell("types.read", stats::ms(stats::median(&mut times)));
        tell("types.read.p99", stats::ms(stats::percentile(&mut times, 99)));
    }
}

fn reading(root: &std::path::Path) -> Duration {
    let began = Instant::now();
    let listing = types::look(&root.join("nobody"), Some(root), &[]);
    let took = began.elapsed();
    assert_eq!((listing.types.len(), listing.flaws.len()), (TYPES as usize + BUILT_IN, 0));
    took
}

fn text(n: u32) -> String {
    let parent =
        if n.is_multiple_of(CHAIN) { "ralph".to_owned() } else { format!("t{:03}", n - 1) };
    let mut text = format!(
        "extends: {parent}\ndescription: Type {n}\ngate: {{quick: cargo check, run: cargo test, \
         protect: [.github/**]}}\nlimits: {{iterations: 8, time: 2h, budget: $5}}\n\
         inputs:\n  module{n}: {{type: string, required: true}}\nprompt: |\n"
    );
    for line in 0..LINES {
        writeln!(text, "  Line {line} about {{{{ spec.title }}}} and {{{{ inputs.module{n} }}}}.")
            .expect("a string takes all");
    }
    text
}
