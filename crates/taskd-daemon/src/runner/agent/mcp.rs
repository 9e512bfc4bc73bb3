//! Tool servers of a loop type, handed to an agent that takes them. The agent starts and ends them;
//! what they do is between the two.

use std::ffi::OsString;

use taskd_model::Code;
use taskd_tools::agents::Preset;

use super::{Command, Job, Trouble};
use crate::{private::PrivateFile, runner::lock};

impl Job {
    /// Adds to a run what tells the agent of its servers, and the keys the person named for them. An
    /// agent that takes none is told nothing; the submission has said so. The file that names the
    /// servers, if it is told by one, is for the time of one run.
    pub(super) fn tell_of_servers(
        &self,
        preset: &Preset,
        command: &mut Command,
    ) -> Result<Option<PrivateFile>, Trouble> {
        let servers = self.spec_doc()?.loop_type.mcp;
        let Some(channel) = preset.mcp.as_ref().filter(|_| !servers.is_empty()) else {
            return Ok(None);
        };
        // Which of its own it has is a question of who pays, and is decided there.
        let own = [&preset.credential, &preset.login_variable];
        let kept: Vec<&str> = own.into_iter().flatten().map(String::as_str).collect();
        let held = lock(&self.ctx.credentials);
        let named = servers.values().flat_map(|it| &it.env);
        let named = named.filter(|it| !kept.contains(&it.as_str()));
        let named = named.filter_map(|it| Some((OsString::from(it), held.get(it)?.into())));
        command.env.extend(named);
        drop(held);
        let path = self.ctx.paths.run_dir().join(format!("servers-{}.json", self.order.effect.0.0));
        command.argv.extend(channel.arguments(&servers, &kept, &path));
        let Some(text) = channel.file(&servers, &kept) else { return Ok(None) };
        let file = PrivateFile::write(&path, &text).map_err(|it| {
            let doing = format!("writing {}", path.display());
            Trouble::of(Code::of_io(&it), &it).within(&doing)
        })?;
        Ok(Some(file))
    }
}
