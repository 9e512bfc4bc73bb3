//! Money and tokens, as they are typed.

use taskd_model::{parse_micros, parse_tokens};

/// What a budget is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    /// Micro-dollars.
    Money(u64),
    /// Tokens of all classes.
    Tokens(u64),
    /// No budget, where there need be none.
    None,
}

/// `$5` or `5`, `2Mtok`, `none`.
pub(super) fn parse_amount(text: &str) -> Result<Amount, String> {
    let word = text.trim();
    if word == "none" {
        return Ok(Amount::None);
    }
    let tokens = word.ends_with("tok") || word.ends_with("tokens");
    let read = if tokens {
        parse_tokens(word).map(Amount::Tokens)
    } else {
        parse_money(word).map(Amount::Money)
    };
    read.map_err(|_| format!("{word:?} is no amount; write `'$9'`, `2Mtok`, `500ktok` or `none`"))
}

/// `$5`, and `5` too: shells eat dollars.
pub(super) fn parse_money(text: &str) -> Result<u64, taskd_model::ParseUnitError> {
    parse_micros(text).or_else(|error| parse_micros(&format!("${text}")).map_err(|_| error))
}
