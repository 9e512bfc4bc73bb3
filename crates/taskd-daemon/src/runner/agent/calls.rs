//! How deep a run is counted, and the way of its calls where that is by call.

use std::sync::Arc;

use taskd_model::{Code, Depth, Observation};
use taskd_tools::agents::Preset;

use super::super::{Job, Trouble};
use crate::gateway::{Registered, Run};

impl Job {
    /// Says how deep this run is counted, which is paid with that variable. By call, it is let into the
    /// gateway.
    pub(super) async fn calls(
        &self,
        preset: &Preset,
        paid_with: Option<&str>,
    ) -> Result<Option<Registered>, Trouble> {
        let key = paid_with.is_some() && paid_with == preset.credential.as_deref();
        let (depth, _) = preset.depth(key);
        let gateway = preset.gateway.as_ref().filter(|_| depth == Depth::ByCall);
        if self.reader().is_none() {
            self.tell(Observation::Counted(depth)).await;
        }
        let Some(gateway) = gateway else { return Ok(None) };
        let provider = self.ctx.models.catalog().provider(&gateway.provider);
        let takes = provider.and_then(|it| it.key_variable.as_deref());
        if takes != paid_with {
            let what = format!(
                "the preset {} sends its calls to {}, which is not paid with its credential; \
                 name the provider of models.toml that is",
                preset.name, gateway.provider
            );
            return Err(Trouble::new(Code::AgentPreset, what));
        }
        let reporter = Arc::clone(&self.reporter);
        let registered = Run::register(&self.ctx, self.order.effect, &gateway.provider, reporter);
        registered
            .map(Some)
            .map_err(|it| Trouble::of(Code::of_io(&it), &it).within("making a token for the agent"))
    }
}
