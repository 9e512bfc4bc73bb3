//! `taskd flakes`: tests and gates that said both yes and no of the same tree.

use taskd_api::v1;

use super::{args::FlakesArgs, failure::Done, here::Here};
use crate::render::flakes::Flakes;

/// Most events that are looked at: the oldest.
const ALL: u32 = 0;

pub(crate) async fn flakes(here: &Here, args: FlakesArgs) -> Done {
    let client = here.client().await?;
    let view = here.view(&client, args.scope).await?;
    let kinds = vec!["gate_flaked".to_owned()];
    let request = v1::EventsRequest { from: 1, max: ALL, ids: Vec::new(), kinds };
    let mut events = client.events(request).await?;
    let mut flakes = Flakes::new(args.within);
    while let Some(event) = events.next().await? {
        if let Some(record) = event.record()? {
            flakes.take(&view, &record);
        }
    }
    let scene = here.scene();
    if here.out.json {
        here.out.object(&flakes.json(scene.now))?;
    } else {
        here.out.print(&flakes.picture(args.all, &scene))?;
    }
    Ok(0)
}
