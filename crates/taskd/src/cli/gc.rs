//! `taskd gc`: what may go, and what became of it.

use taskd_api::v1;

use super::{args::GcArgs, failure::Done, here::Here};
use crate::render::gc;

/// `taskd gc`: 1 if something could not be removed.
pub(crate) async fn gc(here: &Here, args: GcArgs) -> Done {
    let client = here.client().await?;
    let request = v1::GcRequest {
        scope: here.scope(args.scope)?,
        dry_run: args.dry_run,
        older_ms: args.older,
    };
    let answer = client.gc(request).await?;
    here.skew(&client);
    if here.out.json {
        answer.items.iter().try_for_each(|it| here.out.object(&gc::json(it)))?;
    } else {
        here.out.print(&gc::picture(&answer.items, &here.scene()))?;
    }
    let failed = answer.items.iter().any(|it| it.fate() == v1::GcFate::Failed);
    Ok(u8::from(failed))
}
