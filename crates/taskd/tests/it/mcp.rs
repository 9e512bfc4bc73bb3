//! MCP, both ways, through the real programs. What is said is written by hand here: these tests share
//! no code with the product's own reading and writing of messages.

mod handed;
mod http;
mod offered;
mod serving;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use serde_json::{Value, json};

use crate::support::World;

/// `taskd mcp`, spoken with line by line.
struct Talk {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    asked: u64,
    /// Messages nobody had asked for, as they came.
    told: Vec<Value>,
}

impl Talk {
    fn new(world: &World, args: &[&str]) -> Self {
        let mut command = world.command(&[&["mcp"], args].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("taskd runs");
        let to = child.stdin.take().expect("piped");
        let from = BufReader::new(child.stdout.take().expect("piped"));
        let mut talk = Self { child, to, from, asked: 0, told: Vec::new() };
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"}});
        let hello = talk.ask("initialize", &hello);
        assert_eq!(hello["protocolVersion"], "2025-06-18");
        assert_eq!(hello["serverInfo"]["name"], "taskd");
        talk.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        talk
    }

    fn say(&mut self, line: &str) {
        self.to.write_all(format!("{line}\n").as_bytes()).expect("it reads");
    }

    #[track_caller]
    fn hear(&mut self) -> Value {
        let mut line = String::new();
        let n = self.from.read_line(&mut line).expect("readable");
        assert_ne!(n, 0, "it ended");
        serde_json::from_str(&line).expect("a line is a message")
    }

    /// Asks, and gives the result; what comes before it is kept.
    #[track_caller]
    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.say(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#
        ));
        loop {
            let heard = self.hear();
            if heard["id"] == id {
                assert_eq!(heard["jsonrpc"], "2.0");
                assert!(heard["error"].is_null(), "{heard}");
                return heard["result"].clone();
            }
            self.told.push(heard);
        }
    }

    /// Calls a tool: its text, its object, and whether it is an error.
    #[track_caller]
    fn call(&mut self, name: &str, args: &Value) -> (String, Value, bool) {
        let result = self.ask("tools/call", &json!({"name": name, "arguments": args}));
        let text = result["content"][0]["text"].as_str().expect("a text").to_owned();
        let is_error = result["isError"].as_bool().expect("a flag");
        (text, result["structuredContent"].clone(), is_error)
    }

    /// The object of a call that goes well.
    #[track_caller]
    fn ok(&mut self, name: &str, args: &Value) -> Value {
        let (text, object, is_error) = self.call(name, args);
        assert!(!is_error, "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), object);
        object
    }

    fn tools(&mut self) -> Vec<String> {
        let listed = self.ask("tools/list", &json!({}));
        let listed = listed["tools"].as_array().expect("a list").iter();
        listed.map(|it| it["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// It ends when nobody speaks any more.
    fn end(mut self) {
        drop(self.to);
        assert!(self.child.wait().expect("it ends").success());
    }
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
}
