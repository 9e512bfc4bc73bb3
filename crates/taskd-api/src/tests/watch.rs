//! A watch across losses of its connection.

use taskd_model::{Actor, Event, Record, Seq, Time, View};
use tonic::Status;

use super::{Fake, Script};
use crate::{
    ApiError, Client, Watch, Watched, codes,
    v1::{self, watch_item::Item},
};

pub(super) fn event(seq: u64) -> v1::Event {
    let record = Record {
        seq: Seq(seq),
        at: Time(seq),
        shard: 0,
        project: None,
        loop_id: None,
        v: 1,
        cause: None,
        actor: Actor::Core,
        event: Event::WorkParked,
    };
    (&record).into()
}

fn item(item: Item, cursor: u64) -> Result<v1::WatchItem, Status> {
    let cursor = if cursor == 0 { String::new() } else { format!("c{cursor}") };
    Ok(v1::WatchItem { item: Some(item), cursor })
}

fn told(seq: u64) -> Result<v1::WatchItem, Status> {
    item(Item::Event(event(seq)), seq)
}

fn view_at(seq: u64) -> Result<v1::WatchItem, Status> {
    let view = View { seq: Seq(seq), ..View::default() };
    item(Item::View((&view).into()), seq)
}

/// Everything a watch yields, a word each, and the cursors it asked with.
async fn watched(ids: &[&str], scripts: Vec<Script>) -> (Vec<String>, Vec<String>) {
    let fake = Fake::default();
    *fake.watches.lock().unwrap() = scripts;
    let cursors = fake.cursors.clone();
    let daemon = fake.serve();
    let client = Client::connect(&daemon.socket).await.unwrap();
    let ids = ids.iter().map(|it| (*it).to_owned()).collect();
    let mut watch = client.watch(ids, true);
    let mut words = Vec::new();
    while let Some(it) = watch.next().await {
        words.push(word(&it));
    }
    let cursors = cursors.lock().unwrap().clone();
    (words, cursors)
}

fn word(it: &Watched) -> String {
    match it {
        Watched::Connected { .. } => "connected".to_owned(),
        Watched::View(view) => format!("view {}", view.seq),
        Watched::Event(record) => format!("event {}", record.seq),
        Watched::Unknown { seq } => format!("unknown {seq}"),
        Watched::Delta { name, delta, .. } => format!("{name} {delta:?}"),
        Watched::Heartbeat { head, .. } => format!("heartbeat {head}"),
        Watched::Disconnected { attempt, .. } => format!("lost {attempt}"),
        Watched::Ended(error) => format!("ended {}", error.code),
    }
}

#[tokio::test]
async fn it_goes_on_without_gap_or_repetition() {
    let cut = || Err(Status::unavailable("the daemon restarts"));
    let (words, cursors) = watched(
        &[],
        vec![
            vec![view_at(7), told(8), told(9), cut()],
            vec![told(9), told(10)],
            vec![told(10), told(11)],
        ],
    )
    .await;
    let first = ["connected", "view 7", "event 8", "event 9", "lost 1"];
    let second = ["connected", "event 10", "lost 1"];
    let third = ["connected", "event 11", "lost 1", "ended denied"];
    assert_eq!(words, [first.as_slice(), &second, &third].concat());
    assert_eq!(cursors, ["", "c9", "c10", "c11"]);
}

#[tokio::test]
async fn after_a_gap_it_takes_the_view_anew() {
    let (words, cursors) =
        watched(&[], vec![vec![view_at(7), told(9)], vec![view_at(9), told(10)]]).await;
    let first = ["connected", "view 7", "lost 1"];
    let second = ["connected", "view 9", "event 10", "lost 1", "ended denied"];
    assert_eq!(words, [first.as_slice(), &second].concat());
    assert_eq!(cursors, ["", "", "c10"]);
}

#[tokio::test]
async fn with_a_filter_gaps_are_what_was_asked_for() {
    let (words, _) = watched(&["p7"], vec![vec![view_at(7), told(9), told(30), told(30)]]).await;
    let rest = ["lost 1", "ended denied"];
    assert_eq!(
        words,
        ["connected", "view 7", "event 9", "event 30"]
            .iter()
            .chain(&rest)
            .copied()
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn noise_and_heartbeats_pass_and_what_is_newer_is_named() {
    let what = Some(v1::delta::What::Line("ok".to_owned()));
    let delta = v1::Delta { name: "p7".to_owned(), effect: 3, what };
    let newer = r#"{"seq":8,"at":1,"v":1,"actor":"core","kind":"moon_landed","data":{}}"#;
    let newer = v1::Event { seq: 8, json: newer.to_owned() };
    let (words, cursors) = watched(
        &[],
        vec![vec![
            view_at(7),
            item(Item::Delta(delta), 0),
            item(Item::Heartbeat(v1::Heartbeat { at: 1, head: 7 }), 0),
            item(Item::Event(newer), 8),
            Ok(v1::WatchItem::default()),
            told(9),
        ]],
    )
    .await;
    let said = ["connected", "view 7", "p7 Line(\"ok\")", "heartbeat 7", "unknown 8", "event 9"];
    assert_eq!(words[..6], said);
    assert_eq!(cursors, ["", "c9"]);
}

#[tokio::test]
async fn it_waits_for_a_daemon_that_is_not_there_yet() {
    let dir = tempfile::tempdir().unwrap();
    let mut watch = Watch::new(dir.path().join("none"), Vec::new(), false);
    for attempt in 1..=2 {
        let Some(Watched::Disconnected { error, attempt: n }) = watch.next().await else {
            panic!("nobody is there");
        };
        assert_eq!((error.exit, n), (69, attempt));
    }
}

#[tokio::test]
async fn it_ends_when_asking_again_is_of_no_use() {
    let refused = ApiError::new(codes::NOT_FOUND, "there is no p9");
    let (words, _) = watched(&["p9"], vec![vec![Err(refused.into())]]).await;
    assert_eq!(words, ["connected", "ended not_found"]);
}
