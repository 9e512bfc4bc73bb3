//! What was spent: by plan and loop, by model, by day; and the budgets of the day.

use std::collections::BTreeMap;

use ratatui::{Frame, layout::Rect, style::Style, text::Line, widgets::Paragraph};
use taskd_model::{PlanView, Unit, Usage, format_micros, format_tokens};

use super::{columns, list::List, one_line, table};
use crate::{keys::Move, text::clean, words, world::World};

/// What a row is about.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum By {
    #[default]
    Plan,
    Model,
    Day,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    by: By,
    list: List,
    rows: usize,
}

impl Costs {
    pub(crate) fn command(&mut self, turn: Move) {
        if turn == Move::Right {
            self.by = match self.by {
                By::Plan => By::Model,
                By::Model => By::Day,
                By::Day => By::Plan,
            };
            self.list.at = 0;
        } else {
            self.list.turn(turn, self.rows);
        }
    }

    pub(crate) fn draw(&mut self, world: &World, frame: &mut Frame<'_>, area: Rect) {
        let theme = world.theme;
        let plans: Vec<&PlanView> =
            world.view.plans.values().filter(|it| world.has_project(it.project)).collect();
        let mut sum = Usage::default();
        plans.iter().for_each(|it| sum.add(&it.spent));
        let uncounted = plans.iter().any(|it| it.uncounted);
        if plans.is_empty() {
            one_line(frame, area, "nothing was spent yet", theme.dim());
            return;
        }
        let word = match self.by {
            By::Plan => "PLAN",
            By::Model => "MODEL",
            By::Day => "DAY",
        };
        let heading = [word, "", "IN", "OUT", "CACHED", "COST", "OF"].map(str::to_owned).to_vec();
        let mut rows = vec![heading];
        rows.extend(match self.by {
            By::Plan => by_plan(world, &plans),
            By::Model => summed(&plans, |model, _| clean(model)),
            By::Day => summed(&plans, |_, day| date(day)),
        });
        self.rows = rows.len() - 1;
        self.list.at = self.list.at.min(self.rows.saturating_sub(1));
        let lines = table::lines(&rows, 1, &[2, 3, 4, 5, 6], columns(area));
        let mut out = vec![Line::raw(format!(
            "in all {}, {} tokens{}",
            words::cost(sum.micros, uncounted),
            format_tokens(sum.tokens()),
            if uncounted { "; + is what nobody counted" } else { "" },
        ))];
        out.extend(days(world).into_iter().map(Line::raw));
        out.push(Line::raw(""));
        let mut lines = lines.into_iter();
        out.extend(lines.next().map(|it| Line::styled(it, theme.bold())));
        let above = u16::try_from(out.len()).unwrap_or(u16::MAX).min(area.height);
        let below = Rect { y: area.y + above, height: area.height - above, ..area };
        let seen = self.list.window(self.rows, below);
        let at = self.list.at;
        out.extend(lines.enumerate().take(seen.end).skip(seen.start).map(|(n, it)| {
            Line::styled(it, if n == at { theme.reversed() } else { Style::new() })
        }));
        frame.render_widget(Paragraph::new(out), area);
    }
}

fn by_plan(world: &World, plans: &[&PlanView]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    // The youngest is looked for most.
    for plan in plans.iter().rev() {
        let cost = words::cost(plan.spent.micros, plan.uncounted);
        let (id, title) = (plan.id.to_string(), clean(&plan.title));
        rows.push(row(id, title, &plan.spent, cost, format_micros(plan.budget_micros)));
        for it in world.view.loops_of(plan.id).filter(|_| !plan.single) {
            let cost = words::cost(it.spent.micros, it.uncounted);
            let of = format_micros(it.limits.budget_micros);
            rows.push(row(format!("  {}", clean(&it.name)), clean(&it.title), &it.spent, cost, of));
        }
    }
    rows
}

fn summed(plans: &[&PlanView], key: impl Fn(&str, u32) -> String) -> Vec<Vec<String>> {
    let mut sums: BTreeMap<String, Usage> = BTreeMap::new();
    for (model, day, usage) in plans.iter().flat_map(|it| it.ledger.rows()) {
        sums.entry(key(model, day)).or_default().add(usage);
    }
    let cell = |(key, it): (String, Usage)| {
        let cost = format_micros(it.micros);
        row(key, String::new(), &it, cost, String::new())
    };
    sums.into_iter().map(cell).collect()
}

fn row(key: String, title: String, it: &Usage, cost: String, of: String) -> Vec<String> {
    let tokens = [it.input, it.output, it.cache_read].map(format_tokens);
    let [input, output, cached] = tokens;
    vec![key, title, input, output, cached, cost, of]
}

/// The budgets of the day, a line each.
fn days(world: &World) -> Vec<String> {
    let line = |(of, day): (taskd_model::Purse, &taskd_model::DayView)| {
        let spent = day.spent_at(world.now);
        let parts = Unit::ALL.into_iter().filter(|unit| day.budget.get(*unit) > 0).map(|unit| {
            format!("{} of {}", unit.format(spent.get(unit)), unit.format(day.budget.get(unit)))
        });
        let parts = parts.collect::<Vec<_>>().join(", ");
        let closed = if day.closed.is_some() { "; closed until midnight UTC" } else { "" };
        format!("today {}: {parts}{closed}", clean(&world.view.purse_name(of)))
    };
    world.view.days().map(line).collect()
}

/// `2026-11-22`, from days since 1970-01-01: the calendar of the proleptic Gregorian rule.
fn date(day: u32) -> String {
    let z = u64::from(day) + 719_468;
    let (era, of_era) = (z / 146_097, z % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_have_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(59), "1970-03-01");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(20_088), "2024-12-31");
    }
}
