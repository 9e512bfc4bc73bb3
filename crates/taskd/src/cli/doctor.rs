//! `taskd doctor`: what may be wrong, what that leads to and what to do next; `--fix` does what is
//! safe.
//!
//! The daemon says what it sees, if it answers. What can be seen without it is looked at here, so
//! that a daemon that does not start can be helped too.

mod local;

use taskd_api::{codes, v1};

use super::{
    failure::{Done, Failure},
    here::{Here, scene},
    out::Out,
    utf8,
};
use crate::render::{self, doctor::Row};

/// One thing that was looked at, and how it could be mended without harm to anything.
pub(crate) struct Finding {
    row: v1::CheckRow,
    mend: Option<Mend>,
}

/// Mends something and says what it did.
type Mend = Box<dyn FnOnce() -> anyhow::Result<String>>;

impl From<v1::CheckRow> for Finding {
    fn from(row: v1::CheckRow) -> Self {
        Self { row, mend: None }
    }
}

impl Finding {
    fn mended_by(self, mend: impl FnOnce() -> anyhow::Result<String> + 'static) -> Self {
        Self { mend: Some(Box::new(mend)), ..self }
    }

    /// What is to be said of it. What cannot be mended after all stays as it was found.
    pub(crate) fn told(self, fix: bool) -> Row {
        let Self { mut row, mend } = self;
        let Some(mend) = mend.filter(|_| fix) else {
            return Row { check: row, fixed: false };
        };
        match mend() {
            Ok(done) => {
                let state = v1::CheckState::Ok.into();
                let check = v1::CheckRow { state, detail: done, hint: String::new(), ..row };
                Row { check, fixed: true }
            }
            Err(failure) => {
                row.detail = format!("{}; it could not be mended: {failure:#}", row.detail);
                Row { check: row, fixed: false }
            }
        }
    }
}

/// `taskd doctor`. The exit code tells the worst: 0 for well and for warnings, 1 for what has failed,
/// 69 where no daemon answers.
pub(crate) async fn doctor(here: &Here, fix: bool) -> Done {
    if fix {
        here.only_here("taskd doctor --fix")?;
    }
    let (findings, no_daemon) = look(here).await?;
    let rows: Vec<Row> = findings.into_iter().map(|it| it.told(fix)).collect();
    print(&here.out, &rows)?;
    let failed = rows.iter().any(|it| it.check.state() == v1::CheckState::Failed);
    Ok(no_daemon.unwrap_or(if failed { taskd_api::exit::FAILED } else { 0 }))
}

/// Everything that is looked at, and the exit code where no daemon answers.
pub(crate) async fn look(here: &Here) -> Result<(Vec<Finding>, Option<u8>), Failure> {
    let (mut findings, no_daemon) = match here.client().await {
        Ok(client) => {
            let repository = here.repository().map(|it| it.as_os_str().to_owned());
            let repository = repository.map(utf8).transpose()?.unwrap_or_default();
            let checks = client.doctor(v1::DoctorRequest { repository }).await?.checks;
            // Its version comes with an answer.
            let mut rows = vec![version(&client)];
            rows.extend(checks);
            rows.push(local::models(&client.providers().await?));
            (rows.into_iter().map(Finding::from).collect::<Vec<_>>(), None)
        }
        Err(Failure::Api(error)) if error.code == codes::UNREACHABLE => {
            let state = v1::CheckState::Failed;
            let why = "no loop goes on, and commands that ask it fail";
            let row = check("daemon", "daemon", state, &error.message, (why, &error.hint));
            (vec![row.into()], Some(error.exit))
        }
        Err(other) => return Err(other),
    };
    if !here.is_elsewhere() {
        findings.extend(local::findings(here, no_daemon.is_none())?);
        findings.extend(super::agents::checks(here).await?.into_iter().map(Finding::from));
    }
    Ok((findings, no_daemon))
}

/// `taskd doctor --hermetic`: nothing of the person's is looked at, so there is no [`Here`].
pub(crate) async fn hermetic(out: &Out) -> Done {
    let rows = crate::demo::hermetic::run().await;
    let rows: Vec<Row> = rows.into_iter().map(|check| Row { check, fixed: false }).collect();
    print(out, &rows)?;
    let failed = rows.iter().any(|it| it.check.state() == v1::CheckState::Failed);
    Ok(if failed { taskd_api::exit::FAILED } else { 0 })
}

fn print(out: &Out, rows: &[Row]) -> Result<(), Failure> {
    if out.json {
        return rows.iter().try_for_each(|it| out.object(&render::doctor::json(it)));
    }
    out.print(&render::doctor::checks(rows, &scene(out)))
}

/// Whether client and daemon are of one version.
fn version(client: &taskd_api::Client) -> v1::CheckRow {
    let version = client.server_version().unwrap_or("of an unknown version");
    let said = format!("taskd {version} answers");
    match client.skew() {
        Some(_) => {
            let detail = format!("{said}, and this is {}", env!("CARGO_PKG_VERSION"));
            let why = "what one of them knows the other may not";
            let state = v1::CheckState::Warning;
            check("daemon", "daemon", state, &detail, (why, "taskd daemon restart"))
        }
        None => well("daemon", "daemon", &said),
    }
}

/// What is well.
fn well(code: &str, name: &str, detail: &str) -> v1::CheckRow {
    check(code, name, v1::CheckState::Ok, detail, ("", ""))
}

/// What was looked at: a word for programs, a name for people, what was seen, what that leads to and
/// what to do next.
pub(super) fn check(
    code: &str,
    name: &str,
    state: v1::CheckState,
    detail: &str,
    (why, hint): (&str, &str),
) -> v1::CheckRow {
    v1::CheckRow {
        name: name.to_owned(),
        state: state.into(),
        detail: detail.to_owned(),
        hint: hint.to_owned(),
        code: code.to_owned(),
        why: why.to_owned(),
    }
}
