//! What an effect reports on the way, in one order, whoever reports it.

use taskd_model::{EffectId, Input, Observation};
use tokio::sync::Mutex;

use crate::driver::Handle;

/// Numbers the facts of one effect: they count only in their order.
#[derive(Debug)]
pub(crate) struct Reporter {
    handle: Handle,
    effect: EffectId,
    next: Mutex<u32>,
}

impl Reporter {
    pub(super) fn new(handle: Handle, effect: EffectId) -> Self {
        Self { handle, effect, next: Mutex::new(0) }
    }

    /// Reports a fact and waits until it is durable.
    pub(super) async fn observe(&self, fact: Observation) {
        let handed_in = {
            let mut next = self.next.lock().await;
            self.handle.hand_in(self.number(&mut next, fact)).await
        };
        if let Ok(durable) = handed_in {
            durable.await.ok();
        }
    }

    /// Reports a fact that nothing waits for.
    pub(crate) async fn tell(&self, fact: Observation) {
        let mut next = self.next.lock().await;
        // Only a daemon that ends does not take it.
        self.handle.tell(self.number(&mut next, fact)).await.ok();
    }

    fn number(&self, next: &mut u32, fact: Observation) -> Input {
        let index = *next;
        *next += 1;
        Input::Observed { effect: self.effect, index, fact }
    }
}
