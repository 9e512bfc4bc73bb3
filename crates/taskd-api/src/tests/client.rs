//! Calls and their errors.

use std::time::Duration;

use super::{Fake, view};
use crate::{ApiError, Client, codes, v1};

#[tokio::test]
async fn calls_are_answered_and_the_version_is_noted() {
    let fake = Fake { version: Some("9.9.9"), ..Fake::default() };
    let daemon = fake.serve();
    let client = Client::connect(&daemon.socket).await.unwrap();
    assert_eq!(client.skew(), None, "nothing was heard yet");
    assert_eq!(client.status(v1::StatusRequest {}).await.unwrap().pid, 42);
    assert_eq!(client.server_version(), Some("9.9.9"));
    assert!(client.skew().unwrap().contains("daemon is taskd 9.9.9"));
    assert_eq!(client.view("").await.unwrap(), view::everything());
}

#[tokio::test]
async fn an_error_arrives_as_it_was_raised() {
    let daemon = Fake::default().serve();
    let client = Client::connect(&daemon.socket).await.unwrap();
    let error = client.show(v1::ShowRequest { id: "p9".to_owned(), at: None }).await.unwrap_err();
    let raised = ApiError::new(codes::NOT_FOUND, "there is no \"p9\"").hint("taskd ls");
    assert_eq!(error, raised);
    assert_eq!(error.exit, 5);
}

#[tokio::test]
async fn an_older_daemon_does_not_know_a_request() {
    let daemon = Fake::default().serve();
    let client = Client::connect(&daemon.socket).await.unwrap();
    let error = client.doctor(v1::DoctorRequest::default()).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.exit), (codes::SKEW.as_str(), 1));
}

#[tokio::test]
async fn no_daemon_is_exit_69_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let error = Client::connect(dir.path().join("none")).await.unwrap_err();
    assert!(error.is_unreachable());
    assert_eq!((error.exit, error.hint.as_str()), (69, "taskd daemon start"));
    assert!(error.message.contains("none: No such file"), "{}", error.message);
    assert!(!error.message.contains('\n'));
}

#[tokio::test]
async fn a_daemon_that_went_away_is_unreachable() {
    let daemon = Fake::default().serve();
    let client = Client::connect(&daemon.socket).await.unwrap();
    client.status(v1::StatusRequest {}).await.unwrap();
    drop(daemon);
    // Its connections may still be closing when the first call is made.
    let failing = async {
        loop {
            if let Err(error) = client.status(v1::StatusRequest {}).await {
                return error;
            }
            tokio::task::yield_now().await;
        }
    };
    let error = tokio::time::timeout(Duration::from_secs(10), failing).await.unwrap();
    assert_eq!(error.exit, 69, "{error:?}");
}

#[tokio::test]
async fn events_are_streamed() {
    let daemon = Fake::default().serve();
    let client = Client::connect(&daemon.socket).await.unwrap();
    let mut events = client.events(v1::EventsRequest::default()).await.unwrap();
    let mut seqs = Vec::new();
    while let Some(event) = events.next().await.unwrap() {
        seqs.push(event.record().unwrap().unwrap().seq.0);
    }
    assert_eq!(seqs, [1, 2, 3]);
}

#[test]
fn events_of_a_newer_daemon_are_skipped_and_others_are_errors() {
    let event = |json: &str| v1::Event { seq: 5, json: json.to_owned() };
    let newer = r#"{"seq":5,"at":1,"v":1,"actor":"core","kind":"moon_landed","data":{}}"#;
    assert_eq!(event(newer).record(), Ok(None));
    assert_eq!(event("{}").record().unwrap_err().code, codes::SKEW);
}

#[test]
fn every_word_has_an_exit_code() {
    let exits = [
        codes::INVALID,
        codes::NOT_FOUND,
        codes::AMBIGUOUS,
        codes::REFUSED,
        codes::BUSY,
        codes::DENIED,
        codes::CONFIG,
        codes::INTERNAL,
        codes::UNREACHABLE,
        codes::TIMEOUT,
    ]
    .map(|code| ApiError::new(code, "").exit);
    assert_eq!(exits, [2, 5, 5, 1, 75, 77, 78, 1, 69, 124]);
}

#[test]
fn the_descriptors_name_the_service() {
    use prost::Message;
    let set = prost_types::FileDescriptorSet::decode(crate::FILE_DESCRIPTOR_SET).unwrap();
    let services = set.file.iter().flat_map(|it| &it.service);
    let methods: Vec<&str> = services.flat_map(|it| &it.method).map(|it| it.name()).collect();
    assert_eq!(methods.len(), 27, "{methods:?}");
}
