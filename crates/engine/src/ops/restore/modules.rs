//! Modules whose data a backup holds, and whether a target has them.

use super::survey::Primary;
use crate::error::{Error, Kind};

/// Modules by the names of their value types, which are all that a file has (nine letters, Redis `src/module.c`).
const MODULES: [(&str, &[&str]); 12] = [
    ("ReJSON-RL", &["ReJSON", "json"]),
    ("MBbloom--", &["bf"]),
    ("MBbloomCF", &["bf"]),
    ("CMSk-TYPE", &["bf"]),
    ("TopK-TYPE", &["bf"]),
    ("TDIS-TYPE", &["bf"]),
    ("bloomfltr", &["bf"]),
    ("TSDB-TYPE", &["timeseries"]),
    ("ft_index0", &["search", "searchlight"]),
    ("trietype0", &["search", "searchlight"]),
    ("graphdata", &["graph"]),
    ("vectorset", &["vectorset"]),
];

/// An error for each module that a primary is without. A value type that is not known here is asked for only of
/// servers that have no module at all.
pub(super) fn missing_modules(types: &[String], primaries: &[Primary]) -> Vec<Error> {
    let mut errors = Vec::new();
    for primary in primaries {
        let Some(has) = &primary.modules else { continue };
        for name in types {
            let known = MODULES.iter().find(|(known, _)| known == name);
            let is_there = match known {
                Some((_, modules)) => modules.iter().any(|module| has.iter().any(|has| has == module)),
                None => !has.is_empty(),
            };
            if !is_there {
                let module = known.map_or("", |(_, modules)| modules[0]);
                errors.push(
                    Error::new(
                        Kind::Invalid,
                        "RESTORE_MODULE_MISSING",
                        format!("{} has no module for values of the type {name}", primary.node),
                    )
                    .hint(format!("load the module {module} there, or leave its keys out with --type")),
                );
            }
        }
    }
    errors
}
