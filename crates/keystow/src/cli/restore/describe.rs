//! Plans and outcomes of restores, for people.

use std::fmt::Write as _;

use crate::api::{PlanRow, RestoreRow};
use crate::cli::output::{count, pairs, plain, size, yes_no};

/// What would happen, and why.
pub(super) fn describe_plan(plan: &PlanRow) -> String {
    let target = &plan.target;
    let server = format!("{} {}", target.server.engine, target.server.version);
    let primaries =
        if target.primaries == 1 { String::new() } else { format!(", {} primaries", target.primaries) };
    let parts = if plan.parts == 1 { "1 part".to_owned() } else { format!("{} parts", plan.parts) };
    let holds = match target.keys {
        0 => "nothing".to_owned(),
        keys => format!("{} keys", count(keys)),
    };
    let mut text = pairs([
        ("target", Some(format!("{}, {} {}{primaries}", target.url, target.topology, server.trim_end()))),
        ("holds now", Some(holds)),
        ("backup", Some(format!("{} keys, {}, {parts}, {}", count(plan.keys), size(plan.bytes), plan.magic))),
        ("functions", (plan.functions > 0).then(|| count(plan.functions))),
        ("modules", (!plan.modules.is_empty()).then(|| plan.modules.join(", "))),
        ("method", Some(format!("{}: {}", plan.method, plan.why))),
    ]);
    for (number, step) in plan.steps.iter().enumerate() {
        let _ = writeln!(text, "  {}. {}", number + 1, plain(step));
    }
    for warning in &plan.warnings {
        let _ = writeln!(text, "warning: {}", plain(warning));
    }
    for refusal in &plan.refusals {
        let _ = writeln!(text, "refused [{}]: {}", plain(&refusal.code), plain(&refusal.message));
        if let Some(hint) = &refusal.hint {
            let _ = writeln!(text, "  try: {}", plain(hint));
        }
    }
    text
}

/// What was done.
pub(in crate::cli) fn describe_restored(restored: &RestoreRow) -> String {
    let some = |number: u64| (number > 0).then(|| count(number));
    let mut text = pairs([
        ("method", Some(restored.method.clone())),
        ("complete", Some(yes_no(restored.complete))),
        ("target changed", (!restored.complete).then(|| yes_no(restored.changed))),
        ("restored", Some(format!("{} keys", count(restored.restored)))),
        ("skipped", some(restored.skipped)),
        ("left out", some(restored.left_out)),
        ("with expiry", some(restored.with_expiry)),
        ("expired", some(restored.expired)),
        ("functions", some(restored.functions)),
        ("keys before", Some(count(restored.keys_before))),
        ("keys after", Some(count(restored.keys_after))),
        ("took", Some(format!("{} ms", count(restored.took_ms)))),
    ]);
    for warning in &restored.warnings {
        let _ = writeln!(text, "warning: {}", plain(warning));
    }
    text
}
