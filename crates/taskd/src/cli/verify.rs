//! `taskd verify`: the steps of a proof as they are known, and one word at the end.

use taskd_api::{ApiError, codes, v1};

use super::{
    args::VerifyArgs,
    failure::{Done, Failure},
    here::Here,
    submit::environment,
    utf8,
};
use crate::render::verify::{Proof, line};

/// Exit code 0 if everything that was asked about is proven, otherwise 1.
pub(crate) async fn verify(here: &Here, args: VerifyArgs) -> Done {
    let client = here.client().await?;
    let repository = here.repository().map(|it| it.as_os_str().to_owned());
    let request = v1::VerifyRequest {
        id: args.id.clone(),
        repository: repository.map(utf8).transpose()?.unwrap_or_default(),
        recorded: args.recorded,
        environment: environment(),
        timeout_ms: args.timeout.unwrap_or(0),
    };
    let mut steps = client.verify(request).await?;
    here.skew(&client);
    let mut proof = Proof::default();
    loop {
        let step = tokio::select! {
            step = steps.next() => step?,
            _ = tokio::signal::ctrl_c() => return Err(Failure::Said(130)),
        };
        let Some(step) = step else { break };
        if !here.out.json {
            here.out.print(&line(&step, &proof, &here.scene()))?;
        }
        proof.take(step);
    }
    if proof.is_empty() {
        let what = format!("the daemon ended before it said anything of {}", args.id);
        return Err(ApiError::new(codes::UNREACHABLE, what).hint("taskd verify ID").into());
    }
    if here.out.json {
        here.out.object(&proof.json())?;
    } else {
        here.out.print(&proof.verdict(args.recorded))?;
    }
    Ok(u8::from(!proof.holds()))
}
