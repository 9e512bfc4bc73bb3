//! What a client makes of servers, good and bad; the server is text.

use tokio::io::AsyncWriteExt as _;

use super::*;

/// Answers are said before they are asked for: ids count from 1.
async fn after<T>(
    said: &str,
    ask: impl AsyncFnOnce(&mut Client<Vec<u8>>) -> Result<T, Fault>,
) -> (Result<T, Fault>, String) {
    let (mut ear, client) = ear();
    let mut client = client(Vec::new());
    ear.hear(said.as_bytes());
    let got = ask(&mut client).await;
    client.writer.flush().await.unwrap();
    (got, String::from_utf8(client.writer).unwrap())
}

fn ok(id: u64, result: &Value) -> String {
    line(&reply(&id.into(), Ok(result.clone())))
}

#[tokio::test]
async fn the_handshake_takes_a_version_we_speak() {
    let hello = async |it: &mut Client<Vec<u8>>| it.hello("taskd", "1").await;
    let (got, said) = after(&ok(1, &json!({ "protocolVersion": "2025-06-18" })), hello).await;
    assert_eq!(got, Ok(()));
    assert!(said.contains("\"initialize\"") && said.ends_with("\"params\":{}}\n"), "{said}");
    let (got, _) = after(&ok(1, &json!({ "protocolVersion": "1999\u{1b}" })), hello).await;
    assert_eq!(got, Err(Fault::Version("1999".into())));
    let (got, _) = after(&ok(1, &json!({})), hello).await;
    assert_eq!(got, Err(Fault::Answer("initialize")));
}

#[tokio::test]
async fn pages_are_read_until_there_are_enough() {
    let tool = |n: u32| json!({ "name": format!("t{n}"), "inputSchema": { "type": "object" } });
    let pages = ok(1, &json!({ "tools": [tool(1), { "name": 7 }], "nextCursor": "c" }))
        + &ok(2, &json!({ "tools": [tool(2), tool(3)], "nextCursor": "d" }));
    let (got, said) = after(&pages, async |it| it.tools(2).await).await;
    let names: Vec<String> = got.unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["t1", "t2"]);
    assert!(said.contains("\"cursor\":\"c\""), "{said}");
}

#[tokio::test]
async fn noise_and_questions_of_a_server_are_in_nobodys_way() {
    let said = "Listening on stdio\n".to_owned()
        + &line(&notification("notifications/message", &json!({})))
        + &line(&request(9, "sampling/createMessage", &json!({})))
        + &line(&request(10, "ping", &json!({})))
        + &ok(77, &json!({}))
        + &ok(
            1,
            &json!({ "content": [
            { "type": "text", "text": "a" },
            { "type": "image", "data": "AAAA", "mimeType": "image/png" },
        ], "isError": true }),
        );
    let (got, wrote) = after(&said, async |it| it.call("x", Map::new()).await).await;
    let text = "a\n[image, 4 bytes, is not shown]".to_owned();
    assert_eq!(got, Ok(Called { text, is_error: true }));
    assert!(wrote.contains("-32601") && wrote.contains("\"id\":10,"), "{wrote}");
}

#[tokio::test]
async fn a_server_that_floods_or_babbles_is_given_up() {
    let call = async |it: &mut Client<Vec<u8>>| it.call("x", Map::new()).await;
    let (got, _) = after(&"x".repeat(MAX_MESSAGE_BYTES + 1), call).await;
    assert_eq!(got, Err(Fault::TooLong));
    let (got, _) = after(&"babble\n".repeat(200), call).await;
    assert_eq!(got, Err(Fault::Stray));
    let big = format!("\"{}\"\n", "x".repeat(MAX_MESSAGE_BYTES - 10)).repeat(5);
    let (got, _) = after(&big, call).await;
    assert_eq!(got, Err(Fault::Flood));
    // Short lines cost more than their bytes.
    let (mut ear, client) = ear();
    let client: Client<Vec<u8>> = client(Vec::new());
    (0..1_000).for_each(|_| ear.hear(&b"x\n".repeat(1_000)));
    let kept = |ear: &Ear| ear.mailbox.0.lock().unwrap().waiting.len();
    assert!(kept(&ear) < 300_000, "{}", kept(&ear));
    // Nothing is kept for nobody.
    let (before, mailbox) = (kept(&ear), Arc::downgrade(&client.mailbox));
    drop(client);
    mailbox.upgrade().unwrap().0.lock().unwrap().fault = None;
    ear.hear(b"{}\n");
    assert_eq!(kept(&ear), before);
    let error = line(&reply(&1.into(), Err(RpcError::unknown("x"))));
    let (got, _) = after(&error, call).await;
    assert!(matches!(got, Err(Fault::Refused(it)) if it.code == -32_601));
}
