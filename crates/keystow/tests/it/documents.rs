//! The documents say what the program does.

use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let whole = std::fs::read_to_string(&path).unwrap();
            text.push_str(whole.split("#[cfg(test)]").next().unwrap());
        }
    }
}

/// Every code in the sources: an upper-case word in quotes where an error is made.
fn codes() -> BTreeSet<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut text = String::new();
    for name in ["engine/src", "keystow/src"] {
        sources(&crates.join(name), &mut text);
    }
    let is_code = |word: &str| word.len() > 3 && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let makers = ["Error::new(", "Failure::new(", "refused(", "code: \"", "Error { code: "];
    let mut found = BTreeSet::new();
    for maker in makers {
        for piece in text.split(maker).skip(1) {
            let quoted = if maker.ends_with('"') { piece.split('"').next() } else { piece.split('"').nth(1) };
            found.extend(quoted.filter(|word| is_code(word)).map(str::to_owned));
        }
    }
    found.extend(in_tuples(&text).filter(|word| is_code(word) && word.contains('_')).map(str::to_owned));
    found
}

/// What stands in quotes in a tuple: first, or behind a kind or an exit code.
fn in_tuples(text: &str) -> impl Iterator<Item = &str> {
    let first = text.split(" (\"").skip(1).filter_map(|piece| piece.split_once("\",")).map(|(word, _)| word);
    let behind = ["(Exit::", "(Kind::"].into_iter().flat_map(|kind| text.split(kind).skip(1));
    let behind = behind.filter_map(|piece| {
        let (kind, rest) = piece.split_once(", \"")?;
        kind.bytes().all(|b| b.is_ascii_alphabetic()).then(|| rest.split('"').next())?
    });
    first.chain(behind)
}

#[test]
fn every_error_code_is_explained() {
    let page = read("docs/operate/errors.md");
    let missing: Vec<_> = codes().into_iter().filter(|code| !page.contains(&format!("`{code}`"))).collect();
    for seen in ["SPACE_GUARD", "BACKUP_FAILED", "OBJECT_MISSING"] {
        assert!(codes().contains(seen), "{seen} is not found in {:?}", codes());
    }
    assert!(missing.is_empty(), "docs/operate/errors.md does not explain {missing:?}");
}

#[test]
fn every_setting_is_explained() {
    let page = read("docs/operate/configuration.md");
    // Sections that an operator may name are shown with a star.
    let settings = crate::lab::run(&["config", "show", "--json"]).json();
    assert!(settings.as_array().unwrap().iter().any(|setting| setting["name"] == "networks.*.cidrs"));
    for setting in settings.as_array().unwrap() {
        let name = setting["name"].as_str().unwrap();
        assert!(page.contains(&format!("`{name}`")), "docs/operate/configuration.md does not explain {name}");
    }
}
