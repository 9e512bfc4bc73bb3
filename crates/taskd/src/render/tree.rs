//! `taskd ls --tree`: plans, what their documents name, and so on down.

use taskd_model::{LoopView, PlanState, PlanView, View};

use super::{
    Scene,
    ls::Show,
    table::Table,
    text::{clean, cut},
    words,
};

/// Names, with what they are moved to the right, are cut beyond this.
const NAME_MAX: usize = 32;
/// Documents go no deeper.
const DEPTH_MAX: usize = 8;

/// The picture.
pub(crate) fn tree(view: &View, scene: &Scene, show: Show) -> String {
    let mut table = Table::new(&["PLAN", "TYPE", "STATE", "COST"], 2, 3);
    let plans = view.plans.values().filter(|it| show.all || it.state != PlanState::Ended);
    for plan in plans {
        table.row(head(view, plan));
        for it in view.loops_of(plan.id).filter(|it| !plan.single && it.parent.is_none()) {
            add(&mut table, view, scene, (it, 1));
        }
    }
    if table.is_empty() {
        return "no plan is open.  ls --tree -a: all\n".to_owned();
    }
    table.draw(0, table.total(0).min(scene.width), scene.width).join("\n") + "\n"
}

fn head(view: &View, plan: &PlanView) -> Vec<String> {
    let spent = words::spent(&plan.spent, plan.uncounted);
    let state = match view.loops_of(plan.id).next_back().filter(|_| plan.single) {
        Some(it) => format!("{}, {}", clean(&plan.title), it.group()),
        None => format!("{}: {}", clean(&plan.title), words::landed(view, plan)),
    };
    vec![plan.id.to_string(), String::new(), state, spent]
}

/// A loop, and below it what its document named.
fn add(table: &mut Table, view: &View, scene: &Scene, (it, depth): (&LoopView, usize)) {
    let name = format!("{}{}", "  ".repeat(depth), clean(&it.name));
    table.row(vec![
        cut(&name, NAME_MAX),
        clean(&it.type_name),
        format!("{}: {}", it.group(), words::state(view, it, scene.now)),
        words::spent(&it.spent, it.uncounted),
    ]);
    if depth < DEPTH_MAX {
        for child in view.children(it) {
            add(table, view, scene, (child, depth + 1));
        }
    }
}
