//! Which model answered, and what nobody said about it.

use super::*;

/// Proves MC-PROV-7: the model that answered is recorded where it is not the one that was asked; a
/// date behind its name makes no other one of it.
#[test]
fn the_model_that_answered_is_recorded() {
    for (asked, expected) in
        [("claude-haiku-4-5", None), ("claude-sonnet-4-5", Some("claude-haiku-4-5-20251001"))]
    {
        let mut world = World::new();
        let provider = Provider::new();
        world.start();
        world.env.insert("ANTHROPIC_API_KEY".to_owned(), SECRET.to_owned());
        world.env.insert("ANTHROPIC_BASE_URL".to_owned(), provider.url.clone());
        world.submit(&plan(&format!("anthropic/{asked}"), "Do it."));
        // The first request is never answered; the next life's is.
        provider.request();
        world.kill();
        world.start();
        world.until_status("p1.a", &[Status::Blocked]);
        world.taskd(&["resume", "p1.a"]).ok();
        provider.request();
        let ended = world.until_event("replied", |it| {
            matches!(&it.event, Event::EffectEnded { outcome: Outcome::Replied { .. }, .. })
        });
        let Event::EffectEnded { outcome: Outcome::Replied { by, .. }, .. } = &ended.event else {
            panic!("{ended}");
        };
        assert_eq!(by.as_deref(), expected);
        let told = world.taskd(&["events"]).ok();
        // As much of it as fits into a line.
        has(&told, &[if expected.is_some() { "replied by claude-haiku" } else { "replied, asks" }]);
    }
}
