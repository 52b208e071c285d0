//! The table of rooms in ARCHITECTURE.md is true: no source file imports what its room may not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Room → what it may import.
type Rooms = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The names in backquotes of a table cell.
fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn rooms() -> Rooms {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let table = text.split("| room | may import |").nth(1).expect("ARCHITECTURE.md has the table of rooms");
    table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            (names(cells[1]).into_iter().next().expect("a room's name"), names(cells[2]))
        })
        .collect()
}

/// The longest room that a path is in.
fn room_of<'a>(rooms: &'a Rooms, path: &str) -> Option<&'a str> {
    let holds = |room: &str| path == room || path.starts_with(&format!("{room}::"));
    rooms.keys().filter(|room| holds(room)).max_by_key(|room| room.len()).map(String::as_str)
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// `crates/engine/src/ops/list.rs` is the module `engine::ops::list`.
fn module_of(krate: &str, relative: &Path) -> String {
    let mut names = vec![krate.to_owned()];
    names.extend(relative.with_extension("").iter().map(|name| name.to_string_lossy().into_owned()));
    if matches!(names.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        names.pop();
    }
    names.join("::")
}

/// The full paths of ours that a file names, in `use` lines and in expressions, without its tests.
fn imports(text: &str, module: &str) -> BTreeSet<String> {
    let krate = module.split("::").next().unwrap();
    let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
    let lines: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = lines.join("\n");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("::") {
        let head = code[..at].rsplit(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next().unwrap();
        let base = match head {
            "crate" => krate.to_owned(),
            "super" => parent(module),
            "super::super" => parent(&parent(module)),
            "self" => module.to_owned(),
            other => match other.strip_prefix("keystow_") {
                Some(name @ ("rdb" | "dialects" | "engine")) => name.to_owned(),
                _ => continue,
            },
        };
        for tail in tails(&code[at + 2..]) {
            found.insert(format!("{base}::{tail}"));
        }
    }
    found
}

fn parent(module: &str) -> String {
    module.rsplit_once("::").map_or(module, |(above, _)| above).to_owned()
}

/// The paths behind a `::`, with one level of braces opened.
fn tails(rest: &str) -> Vec<String> {
    let word = |text: &str| {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect::<String>()
    };
    if let Some(list) = rest.strip_prefix('{') {
        let inside = list.split('}').next().unwrap();
        return inside.split(',').map(|item| word(item.trim())).filter(|item| !item.is_empty()).collect();
    }
    vec![word(rest)]
}

/// Every forbidden import of a source text.
fn violations(rooms: &Rooms, module: &str, text: &str) -> Vec<String> {
    let here = room_of(rooms, module).unwrap_or_else(|| panic!("{module} is in no room of ARCHITECTURE.md"));
    imports(text, module)
        .into_iter()
        .filter_map(|import| {
            let there = room_of(rooms, &import)?;
            // A crate's own root re-exports its rooms' types; naming them through it is naming the root.
            let allowed = there == here || rooms[here].contains(there) || allowed_crate(rooms, here, there);
            (!allowed).then(|| format!("{module} ({here}) imports {import} ({there})"))
        })
        .collect()
}

/// A room that may import a whole other crate may import its rooms.
fn allowed_crate(rooms: &Rooms, here: &str, there: &str) -> bool {
    let (own, other) = (here.split("::").next().unwrap(), there.split("::").next().unwrap());
    own != other && rooms[here].contains(other)
}

#[test]
fn no_file_imports_what_its_room_may_not() {
    let rooms = rooms();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for krate in ["rdb", "dialects", "engine", "keystow"] {
        let folder = root().join("crates").join(krate).join("src");
        let mut files = Vec::new();
        sources(&folder, &mut files);
        for file in files {
            let relative = file.strip_prefix(&folder).unwrap();
            let name = relative.file_stem().unwrap().to_string_lossy().into_owned();
            if matches!(name.as_str(), "tests" | "contract") {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            wrong.extend(violations(&rooms, &module_of(krate, relative), &text));
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} files were read");
    assert!(wrong.is_empty(), "forbidden imports:\n{}", wrong.join("\n"));
}

#[test]
fn every_room_exists() {
    for room in rooms().keys() {
        let mut names = room.split("::");
        let krate = root().join("crates").join(names.next().unwrap()).join("src");
        let path = names.fold(krate, |path, name| path.join(name));
        assert!(path.is_dir() || path.with_extension("rs").is_file(), "{room} is drawn, but does not stand");
    }
}

#[test]
fn a_forbidden_import_is_found() {
    let rooms = rooms();
    let text =
        "use crate::catalog::Catalog;\nuse crate::model::{Job, Page};\nfn f() { crate::vault::open(); }";
    let wrong = violations(&rooms, "engine::links", text);
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(violations(&rooms, "engine::ops::list", text).is_empty());
    let vendor = "use crate::tencent_v3::sign;\nuse super::super::tencent_v3::wire;";
    assert_eq!(violations(&rooms, "dialects::alibaba::mod", vendor).len(), 2);
    let outside = "use keystow_engine::ops::Engine;";
    assert_eq!(violations(&rooms, "dialects::alibaba", outside).len(), 1);
    assert!(violations(&rooms, "keystow::http::native", outside).is_empty());
}

#[test]
fn a_comment_or_a_test_is_no_import() {
    let rooms = rooms();
    let text = "// crate::catalog::X\n/// [`crate::catalog::X`]\n\n#[cfg(test)]\nmod tests {\n use crate::catalog::X;\n}";
    assert!(violations(&rooms, "engine::links", text).is_empty());
}
