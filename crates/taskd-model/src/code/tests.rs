//! The list of codes itself: words, and what is said about each.

use std::{collections::BTreeSet, io};

use super::{Code, Reaction, Tier};
use crate::Failure;

#[test]
fn words_are_unique_and_read_back() {
    let words: BTreeSet<_> = Code::entries().iter().map(|it| it.word).collect();
    assert_eq!(words.len(), Code::entries().len());
    for (n, it) in Code::entries().iter().enumerate() {
        assert_eq!(it.code as usize, n);
        assert_eq!(Code::parse(it.word), Some(it.code));
        let json = format!("\"{}\"", it.word);
        assert_eq!(serde_json::to_string(&it.code).unwrap(), json);
        assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), it.code);
        assert!(it.word.bytes().all(|it| it.is_ascii_lowercase() || it == b'_'), "{}", it.word);
    }
    assert_eq!(serde_json::from_str::<Code>("\"of_a_later_version\"").unwrap(), Code::Unlisted);
}

/// Proves AY-2.8: every code says what happened and what a person does next, in the voice of the rest.
#[test]
fn every_code_says_what_happened_and_what_next() {
    for it in Code::entries() {
        let begins = it.what.chars().next().is_some_and(char::is_uppercase);
        assert!(begins && !it.what.ends_with('.'), "{}: {:?}", it.word, it.what);
        assert!((12..=100).contains(&it.what.len()), "{}: {:?}", it.word, it.what);
        assert!(!it.next.ends_with('.') && it.next.len() <= 100, "{}: {:?}", it.word, it.next);
        assert!(!it.next.is_empty() && !it.reaction.to_string().is_empty(), "{}", it.word);
        // Whoever has to do something is told what; nothing is to be done only where taskd goes on.
        let goes_on = matches!(it.reaction, Reaction::Waits | Reaction::Retries)
            || it.reaction == Reaction::TellsModel;
        assert!(goes_on || !it.next.starts_with("nothing"), "{}", it.word);
        assert_eq!(it.tier == Tier::Data, it.reaction == Reaction::TellsModel, "{}", it.word);
        assert_ne!(it.exit, 0, "{}", it.word);
    }
}

/// What the core is told follows from the tier: what passes is asked for again, what a person must
/// mend is not.
#[test]
fn the_tier_decides_what_the_core_is_told() {
    for it in Code::entries() {
        let again = matches!(
            it.code.failure(None),
            Failure::Transient | Failure::RateLimited | Failure::Resources
        );
        match it.tier {
            Tier::Transient | Tier::Degrading => assert!(
                again || it.reaction == Reaction::Refuses,
                "{} is never tried again",
                it.word
            ),
            Tier::UserFixable | Tier::Permanent | Tier::Data => {
                assert!(!again || it.code == Code::DiskFull, "{} is tried again", it.word);
            }
            Tier::RateLimit => {}
        }
    }
    assert_eq!(Code::RateLimited.failure(Some(7)), Failure::NotBefore(7));
    assert_eq!(Code::RateLimited.failure(None), Failure::RateLimited);
    assert_eq!(Code::AuthFailed.failure(Some(7)), Failure::Auth);
    assert_eq!(Code::Overloaded.failure(Some(7)), Failure::NotBefore(7));
}

/// Proves S-1.4.1: what the system and commands say is told apart by number, whatever the path.
#[test]
fn errno_and_exit_status_decide() {
    let errno =
        "1 file_denied | 2 file_failed | 4 file_failed | 5 file_failed | 12 machine_exhausted
        | 13 file_denied | 17 file_failed | 20 file_failed | 21 file_failed | 23 machine_exhausted
        | 24 machine_exhausted | 27 disk_full | 28 disk_full | 30 file_denied | 32 file_failed
        | 122 disk_full";
    let exits =
        "1 command_failed | 2 command_failed | 100 command_failed | 126 command_not_executable
        | 127 command_not_found | 128 command_failed | 130 command_killed | 134 command_killed
        | 137 command_killed | 139 command_killed | 143 command_killed | 255 command_failed
        | -1 command_failed";
    let rows = |table: &'static str| {
        table.split('|').map(|it| {
            let (number, code) = it.trim().split_once(' ').expect("two words");
            (number.parse::<i32>().expect("a number"), code)
        })
    };
    for (number, code) in rows(errno) {
        let error = io::Error::from_raw_os_error(number);
        assert_eq!(Code::of_io(&error).as_str(), code, "{number}");
        // The number is kept where an error is wrapped with a path; the path says nothing.
        let named = io::Error::new(error.kind(), "writing /srv/500/429/not found");
        if !matches!(number, 23 | 24) {
            assert_eq!(Code::of_io(&named).as_str(), code, "{number}");
        }
    }
    for (number, code) in rows(exits) {
        assert_eq!(Code::of_exit(number).as_str(), code, "{number}");
    }
    assert_eq!(rows(errno).count() + rows(exits).count(), 29);
}
