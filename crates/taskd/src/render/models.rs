//! `taskd models`: who can be called, what with, and what it costs.
//!
//! Credentials are told by the name of their variable: set here, held by the daemon, or neither.

use serde_json::{Value, json};
use taskd_api::v1;

use super::{Scene, json::SCHEMA_VERSION, table::Table, text::clean};

/// What the daemon said, and what our environment holds.
pub(crate) struct Seen<'a> {
    pub(crate) answer: &'a v1::ModelsResponse,
    /// A variable is set here.
    pub(crate) set: &'a dyn Fn(&str) -> bool,
}

/// The picture.
pub(crate) fn models(seen: &Seen<'_>, scene: &Scene) -> String {
    let mut blocks = vec![providers(seen, scene)];
    if !seen.answer.models.is_empty() {
        blocks.push(prices(&seen.answer.models, scene));
    }
    blocks.push(interfaces(&seen.answer.interfaces, scene));
    blocks.join("\n")
}

fn providers(seen: &Seen<'_>, scene: &Scene) -> String {
    let mut table = Table::new(&["PROVIDER", "INTERFACE", "CREDENTIAL", "URL"], 3, 4);
    for it in &seen.answer.providers {
        table.row(vec![
            clean(&it.name),
            clean(&it.interface),
            clean(&credential(seen, it)),
            clean(&url(seen, it)),
        ]);
    }
    drawn(&table, scene)
}

pub(super) fn credential(seen: &Seen<'_>, it: &v1::ProviderRow) -> String {
    let name = &it.key_variable;
    match (name.is_empty(), (seen.set)(name), it.key_held) {
        (true, ..) => "none needed".to_owned(),
        (false, true, _) => format!("{name} set"),
        (false, false, true) => format!("{name} held"),
        (false, false, false) if it.key_optional => format!("{name} optional"),
        (false, false, false) => format!("{name} not set"),
    }
}

/// Where it is, without the usual scheme; a variable that says another place is named, since its value may be private.
fn url(seen: &Seen<'_>, it: &v1::ProviderRow) -> String {
    let name = &it.url_variable;
    let elsewhere = !name.is_empty() && ((seen.set)(name) || it.url_held);
    let plain = it.url.strip_prefix("https://").unwrap_or(&it.url);
    if elsewhere { format!("{name} says") } else { plain.to_owned() }
}

fn prices(rows: &[v1::ModelRow], scene: &Scene) -> String {
    let heading = ["MODEL", "WINDOW", "REPLY", "IN", "OUT", "CACHE READ", "WRITE"];
    let mut table = Table::new(&heading, 0, 1);
    for it in rows {
        let price = it.price.as_ref();
        let dollars = |of: fn(&v1::PriceRow) -> u64| {
            price.map_or_else(|| "-".to_owned(), |it| dollars(of(it)))
        };
        table.row(vec![
            clean(&format!("{}/{}", it.provider, it.name)),
            it.window.map_or_else(|| "-".to_owned(), tokens),
            it.max_output.map_or_else(|| "-".to_owned(), tokens),
            dollars(|it| it.input),
            dollars(|it| it.output),
            dollars(|it| it.cache_read),
            dollars(|it| it.cache_write),
        ]);
    }
    let note = "today's prices per million tokens; what has none works and is not priced\n";
    drawn(&table, scene) + note
}

fn interfaces(rows: &[v1::InterfaceRow], scene: &Scene) -> String {
    let names = rows.iter().map(|it| it.name.to_uppercase());
    let heading: Vec<String> = std::iter::once("CAPABILITY".to_owned()).chain(names).collect();
    let heading: Vec<&str> = heading.iter().map(String::as_str).collect();
    let mut table = Table::new(&heading, 0, heading.len());
    let capabilities = rows.first().map(|it| it.capabilities.as_slice()).unwrap_or_default();
    for capability in capabilities {
        let of = |row: &v1::InterfaceRow| {
            let found = row.capabilities.iter().find(|it| it.name == capability.name);
            if found.is_some_and(|it| it.available) { "yes" } else { "n/a" }.to_owned()
        };
        table.row(std::iter::once(clean(&capability.name)).chain(rows.iter().map(of)).collect());
    }
    let note = "a model that does not take `thinking` or `temperature` is told at submission\n";
    drawn(&table, scene) + note
}

pub(super) fn drawn(table: &Table, scene: &Scene) -> String {
    table.draw(0, table.total(0).min(scene.width), scene.width).join("\n") + "\n"
}

/// `$3`, `$0.175`.
fn dollars(micros: u64) -> String {
    let (whole, part) = (micros / 1_000_000, micros % 1_000_000);
    let text = format!("${whole}.{part:06}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    match short.split_once('.') {
        Some((_, cents)) if cents.len() == 1 => format!("{short}0"),
        Some(_) | None => short.to_owned(),
    }
}

/// `8192`, `200k`, `1M`.
fn tokens(n: u32) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => format!("{}k", n / 1_000),
        _ => format!("{}M", n / 1_000_000),
    }
}

/// `models --json`: one object.
pub(crate) fn json(seen: &Seen<'_>) -> Value {
    let variable = |name: &str, held: bool| {
        (!name.is_empty())
            .then(|| json!({ "variable": name, "set": (seen.set)(name), "held": held }))
    };
    let providers = seen.answer.providers.iter().map(|it| {
        json!({
            "name": it.name,
            "interface": it.interface,
            "url": it.url,
            "url_variable": variable(&it.url_variable, it.url_held),
            "credential": variable(&it.key_variable, it.key_held),
            "credential_optional": it.key_optional,
            "models_of": (!it.models_of.is_empty()).then_some(&it.models_of),
        })
    });
    let models = seen.answer.models.iter().map(|it| {
        let price = it.price.as_ref().map(|it| {
            json!({
                "since": it.since,
                "input_micros": it.input,
                "output_micros": it.output,
                "cache_read_micros": it.cache_read,
                "cache_write_micros": it.cache_write,
            })
        });
        json!({
            "name": format!("{}/{}", it.provider, it.name),
            "window": it.window,
            "max_output": it.max_output,
            "price": price,
        })
    });
    let interfaces = seen.answer.interfaces.iter().map(|it| {
        let all = it.capabilities.iter();
        let all = all.map(|it| (it.name.replace(' ', "_"), Value::from(it.available)));
        json!({ "name": it.name, "capabilities": all.collect::<serde_json::Map<_, _>>() })
    });
    json!({
        "schema_version": SCHEMA_VERSION,
        "providers": providers.collect::<Vec<_>>(),
        "models": models.collect::<Vec<_>>(),
        "interfaces": interfaces.collect::<Vec<_>>(),
    })
}
