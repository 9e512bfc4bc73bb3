//! What an interface does and what a model takes. What a model does not take is never sent and never
//! dropped in silence: a plan that asks for it is refused, or told that it is left out.

use taskd_model::{Param, Params};

use crate::Api;

/// What one model takes, and what its interface does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// How much it thinks can be said.
    pub thinking: bool,
    /// The highest temperature it takes, in thousandths; `None` if it takes none.
    pub max_temperature: Option<u16>,
    /// A temperature may be set while it thinks.
    pub both: bool,
    /// Its provider counts the tokens of a request without answering it.
    pub counts_tokens: bool,
}

/// What a provider's entry says against what its interface would have us believe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Takes {
    /// Its models take `thinking`.
    pub thinking: Option<bool>,
    /// Its models take `temperature`.
    pub temperature: Option<bool>,
}

impl Capabilities {
    /// Which of `params` the model does not take, and why.
    #[must_use]
    pub fn refused(&self, params: Params) -> Vec<(Param, &'static str)> {
        let mut refused = Vec::new();
        if params.thinking.is_some() && !self.thinking {
            refused.push((Param::Thinking, "it takes no `thinking`"));
        }
        if let Some(wanted) = params.temperature {
            let why = match self.max_temperature {
                None => Some("it takes no `temperature`"),
                Some(max) if max < wanted => Some("it takes no `temperature` above 1.0"),
                Some(_) if params.thinking.is_some() && self.thinking && !self.both => {
                    Some("it takes no `temperature` while it thinks")
                }
                Some(_) => None,
            };
            refused.extend(why.map(|why| (Param::Temperature, why)));
        }
        refused
    }

    /// These, as a provider's entry corrects them.
    pub(crate) fn corrected(self, takes: Takes) -> Self {
        let max_temperature = match takes.temperature {
            None => self.max_temperature,
            Some(false) => None,
            Some(true) => self.max_temperature.or(Some(Params::MAX_TEMPERATURE)),
        };
        Self { thinking: takes.thinking.unwrap_or(self.thinking), max_temperature, ..self }
    }
}

/// Names of what an interface may offer, in the order of [`capabilities`].
pub const CAPABILITIES: [&str; 9] = [
    "streaming",
    "tools",
    "system prompt",
    "caching",
    "thinking",
    "thinking carried back",
    "temperature",
    "token counting",
    "rate headers",
];

/// What our side of an interface does, in the order of [`CAPABILITIES`]. Which of its models take
/// what is said by [`Capabilities`].
#[must_use]
pub fn capabilities(api: Api) -> [bool; CAPABILITIES.len()] {
    match api {
        Api::AnthropicMessages | Api::OpenAiResponses => [true; CAPABILITIES.len()],
        Api::OpenAiChat => [true, true, true, true, true, false, true, false, true],
    }
}

#[cfg(test)]
mod tests {
    use taskd_model::Thinking;

    use super::*;

    #[test]
    fn what_is_not_taken_is_named_with_its_reason() {
        let all = Params { thinking: Some(Thinking::Low), temperature: Some(1_500) };
        let none = Capabilities::default();
        assert_eq!(none.refused(Params::default()), []);
        let both = [Param::Thinking, Param::Temperature];
        assert_eq!(none.refused(all).into_iter().map(|it| it.0).collect::<Vec<_>>(), both);
        let either = Capabilities {
            thinking: true,
            max_temperature: Some(2_000),
            ..Capabilities::default()
        };
        let why = "it takes no `temperature` while it thinks";
        assert_eq!(either.refused(all), [(Param::Temperature, why)]);
        assert_eq!(Capabilities { both: true, ..either }.refused(all), []);
        let low = Capabilities { max_temperature: Some(1_000), ..either };
        let why = "it takes no `temperature` above 1.0";
        assert_eq!(low.refused(all.without(Param::Thinking)), [(Param::Temperature, why)]);
    }

    #[test]
    fn an_entry_corrects_what_an_interface_promises() {
        let it =
            Capabilities { thinking: true, max_temperature: Some(1_000), ..Default::default() };
        let takes = |thinking, temperature| it.corrected(Takes { thinking, temperature });
        assert_eq!(takes(None, None), it);
        let less = takes(Some(false), Some(false));
        assert_eq!((less.thinking, less.max_temperature), (false, None));
        let more = Capabilities::default()
            .corrected(Takes { thinking: Some(true), temperature: Some(true) });
        assert_eq!((more.thinking, more.max_temperature), (true, Some(2_000)));
    }
}
