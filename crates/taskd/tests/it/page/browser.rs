//! A real browser without a window, spoken with by its DevTools protocol over two pipes.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    sync::mpsc,
};

use serde_json::{Value, json};

use super::PATIENCE;
use crate::support::{World, is_here};

/// The program.
const CHROMIUM: &str = "chromium";

/// See above.
pub(crate) struct Browser {
    child: Child,
    tell: File,
    told: mpsc::Receiver<Value>,
    session: String,
    asked: u64,
    /// What went wrong in the page by its own account.
    pub(crate) complaints: Vec<String>,
}

impl Browser {
    /// Starts it in a world, with a page that is empty; nothing where it is not installed.
    pub(crate) fn new(world: &World, width: u32, height: u32) -> Option<Self> {
        if !is_here(CHROMIUM) {
            return None;
        }
        let pipe = |name: &str| {
            let path = world.dir.path().join(format!("browser-{name}"));
            let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
            nix::unistd::mkfifo(&path, mode).expect("a pipe can be made");
            path
        };
        let (input, output) = (pipe("in"), pipe("out"));
        #[expect(clippy::disallowed_methods, reason = "tests start real programs")]
        let mut command = Command::new("sh");
        command.args(["-c", r#"in=$1 out=$2; shift 2; exec "$@" 3<"$in" 4>"$out""#, "sh"]);
        command.args([&input, &output]).arg(CHROMIUM).args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-default-apps",
            "--disable-extensions",
            "--disable-sync",
            "--hide-scrollbars",
            "--no-default-browser-check",
            "--no-first-run",
            "--no-pings",
            "--remote-debugging-pipe",
        ]);
        command.arg(format!("--user-data-dir={}", world.dir.path().join("browser").display()));
        command.env_clear().envs(&world.env).current_dir(world.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("sh is installed");
        // Both open once it has opened the other side.
        let tell = File::options().write(true).open(&input).expect("ours");
        let mut said = BufReader::new(File::open(&output).expect("ours"));
        let (send, told) = mpsc::sync_channel(1024);
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            while let Ok(1..) = said.read_until(0, &mut bytes) {
                bytes.pop();
                let value = serde_json::from_slice(&bytes).expect("JSON");
                bytes.clear();
                if send.send(value).is_err() {
                    return;
                }
            }
        });
        let mut it =
            Self { child, tell, told, session: String::new(), asked: 0, complaints: Vec::new() };
        let target = it.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = it.call("Target.attachToTarget", &attach);
        session["sessionId"].as_str().expect("a session").clone_into(&mut it.session);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            it.call(&format!("{domain}.enable"), &json!({}));
        }
        it.resize(width, height);
        Some(it)
    }

    /// Calls a method and returns what it answers.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let mut message = json!({ "id": self.asked, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        self.tell.write_all(format!("{message}\0").as_bytes()).expect("it reads");
        loop {
            let said = self.told.recv_timeout(PATIENCE);
            let said = said.unwrap_or_else(|why| panic!("{method} {params}: {why}"));
            if said["id"] == self.asked {
                assert!(said["error"].is_null(), "{method} {params}: {said}");
                return said["result"].clone();
            }
            self.hear(&said);
        }
    }

    fn hear(&mut self, said: &Value) {
        let params = &said["params"];
        match said["method"].as_str() {
            Some("Runtime.exceptionThrown") => {
                self.complaints.push(params["exceptionDetails"].to_string());
            }
            // A refusal is an answer, and logged as an error of the network's.
            Some("Log.entryAdded") if params["entry"]["source"] != "network" => {
                self.complaints.push(params["entry"].to_string());
            }
            Some("Network.requestWillBeSent") => {
                let url = params["request"]["url"].as_str().unwrap_or_default();
                let own =
                    ["http://127.0.0.1:", "http://localhost:", "blob:http://127.0.0.1:", "data:"];
                if !own.iter().any(|it| url.starts_with(it)) && url != "about:blank" {
                    self.complaints.push(format!("it asked {url}"));
                }
            }
            _ => {}
        }
    }

    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let mobile = width < 500;
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile,
        });
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Opens an address.
    #[track_caller]
    pub(crate) fn open(&mut self, url: &str) {
        let went = self.call("Page.navigate", &json!({ "url": url }));
        assert!(went["errorText"].is_null(), "{url}: {went}");
    }

    /// What an expression comes to; a promise is waited for.
    #[track_caller]
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", &params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true in the page.
    #[track_caller]
    pub(crate) fn until(&mut self, expression: &str) {
        let patience = PATIENCE.as_millis() - 5_000;
        let look = format!(
            "new Promise(done => {{ const end = Date.now() + {patience}; const look = () => {{ \
             let is = false; try {{ is = Boolean({expression}); }} catch {{}} \
             if (is || Date.now() > end) done(is); else setTimeout(look, 10); }}; look(); }})"
        );
        if self.eval(&look) != true {
            let text = self.eval("document.body.innerText");
            panic!(
                "waited for {expression}:\n{}\n{:?}",
                text.as_str().unwrap_or_default(),
                self.complaints
            );
        }
    }

    /// Waits until the page says these words.
    #[track_caller]
    pub(crate) fn shows(&mut self, words: &str) {
        self.until(&format!("document.body.innerText.includes({})", json!(words)));
    }

    /// Presses keys, one after the other: a letter, or a name like `Enter`.
    pub(crate) fn keys(&mut self, keys: &[&str]) {
        for key in keys {
            let text = match *key {
                "Enter" => "\r",
                it if it.chars().count() == 1 => it,
                _ => "",
            };
            let code = match *key {
                "Enter" => 13,
                "Escape" => 27,
                "Tab" => 9,
                it => u32::from(it.to_uppercase().bytes().next().unwrap_or_default()),
            };
            let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
            let down = json!({
                "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code,
            });
            self.call("Input.dispatchKeyEvent", &down);
            let up = json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", &up);
        }
    }

    /// Clicks the first thing an expression finds, where it is.
    #[track_caller]
    pub(crate) fn click(&mut self, found: &str) {
        self.until(found);
        let place = self.eval(&format!(
            "(() => {{ const it = {found}; it.scrollIntoView({{ block: 'center' }}); \
             const r = it.getBoundingClientRect(); \
             return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    /// What the page's own thread has computed, in milliseconds.
    pub(crate) fn computed_ms(&mut self) -> f64 {
        let answer = self.call("Performance.getMetrics", &json!({}));
        let metrics = answer["metrics"].as_array().expect("a list");
        let found = metrics.iter().find(|it| it["name"] == "TaskDuration").expect("a figure");
        found["value"].as_f64().expect("seconds") * 1_000.0
    }

    /// What is seen, as PNG in base64.
    pub(crate) fn picture(&mut self) -> String {
        let it = self.call("Page.captureScreenshot", &json!({ "format": "png" }));
        it["data"].as_str().expect("a picture").to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends its own processes.
        self.tell.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0").ok();
        if std::thread::panicking() {
            self.child.kill().ok();
        }
        self.child.wait().ok();
    }
}
