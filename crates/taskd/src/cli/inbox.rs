//! `taskd inbox`: everything that waits for a person.

use taskd_api::{ApiError, codes};
use taskd_model::inbox_number;

use super::{
    args::InboxArgs,
    failure::{Done, Failure},
    here::Here,
};
use crate::render::inbox;

/// Lists what waits, or shows one item.
pub(crate) async fn inbox(here: &Here, args: InboxArgs) -> Done {
    let client = here.client().await?;
    let scene = here.scene();
    if let Some(id) = args.id {
        // Named by itself it may be of any project.
        let view = client.view("").await?;
        here.skew(&client);
        let item = inbox_number(&id).and_then(|it| view.inbox.find(it)).ok_or_else(|| {
            let shown: String = id.chars().take(60).collect();
            let what = format!("there is nothing called {shown:?} in the inbox");
            Failure::Api(ApiError::new(codes::NOT_FOUND, what).hint("taskd inbox -a"))
        })?;
        if here.out.json {
            here.out.object(&inbox::json(&view, std::iter::once(item)))?;
        } else {
            here.out.print(&inbox::item(&view, item, &scene))?;
        }
        return Ok(0);
    }
    let view = here.view(&client, args.scope).await?;
    if here.out.json {
        let waiting = view.inbox.waiting().into_iter();
        let answered = view.inbox.answered.iter().filter(|_| args.all);
        here.out.object(&inbox::json(&view, waiting.chain(answered)))?;
    } else if here.out.quiet {
        let names = view.inbox.waiting().into_iter().map(|it| it.name() + "\n");
        here.out.print(&names.collect::<String>())?;
    } else {
        here.out.print(&inbox::inbox(&view, args.all, &scene))?;
    }
    Ok(0)
}
