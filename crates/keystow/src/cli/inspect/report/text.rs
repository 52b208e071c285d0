//! The text form: what matters most first, on about one screen.

use super::{Counted, Figures, FiguresOfAll, KeyRow, SlotRow};
use crate::cli::output::{Name, count, grid, pairs, size};

/// Rows of what is only a detail here.
const DETAILS: usize = 5;

impl Figures {
    /// The text form.
    pub(in crate::cli::inspect) fn describe(&self) -> String {
        let mut tables = vec![self.head(), self.types(), self.prefixes(), self.biggest(), self.expiry()];
        if self.databases.len() > 1 {
            tables.push(self.databases());
        }
        tables.push(self.encodings());
        tables.extend(self.slots.all.as_deref().map(every_slot));
        tables.retain(|table| !table.is_empty());
        tables.join("\n")
    }

    fn head(&self) -> String {
        let all = &self.all;
        let writer = self.server.iter().map(|server| format!(", written by {server}"));
        let most = self.most_elements.first().filter(|key| key.elements > 1);
        let over = |keys: u64, what: String| (keys > 0).then(|| format!("{} over {what}", count(keys)));
        let large: Vec<String> = [
            over(self.large.keys_over_memory, size(self.large.memory_bytes)),
            over(self.large.keys_over_elements, format!("{} elements", count(self.large.elements))),
        ]
        .into_iter()
        .flatten()
        .collect();
        let fields = &self.expiring_fields;
        pairs([
            ("file", Some(self.name.clone())),
            ("format", Some(self.magic.clone() + &writer.collect::<String>())),
            ("keys", Some(format!("{}, {} of them expire", count(all.keys), count(all.with_expiry)))),
            ("memory", Some(format!("about {} in a server", size(all.memory_bytes)))),
            ("stored", Some(format!("{} of {}", size(all.stored_bytes), size(self.bytes)))),
            ("large", (!large.is_empty()).then(|| large.join(", "))),
            (
                "most elements",
                most.map(|key| format!("{} in {} ({})", count(key.elements), shown(&key.key), key.r#type)),
            ),
            ("slots", self.slots()),
            (
                "expiring fields",
                (fields.fields > 0)
                    .then(|| format!("{} in {} hashes", count(fields.fields), count(fields.hashes))),
            ),
            ("idle", self.idle_line()),
            ("frequency", self.frequency_line()),
            ("functions", (self.functions > 0).then(|| count(self.functions))),
            ("modules", (!self.modules.is_empty()).then(|| self.modules.join(", "))),
            (
                "empty keys",
                (self.empty_keys > 0).then(|| format!("{}, which servers leave out", count(self.empty_keys))),
            ),
            (
                "not compared",
                (self.not_compared.keys + self.not_compared.members > 0).then(|| {
                    let (keys, members) = (self.not_compared.keys, self.not_compared.members);
                    format!("{} keys and {} members, for standing twice", count(keys), count(members))
                }),
            ),
        ])
    }

    fn slots(&self) -> Option<String> {
        let skew = self.slots.skew?;
        let top: Vec<String> =
            (self.slots.top.iter().take(DETAILS)).map(|row| format!("{}", row.slot)).collect();
        Some(format!(
            "{} in use, the fullest holds {skew} times the mean; the fullest: {}",
            count(self.slots.used as u64),
            top.join(", ")
        ))
    }

    fn idle_line(&self) -> Option<String> {
        let rows = self.idle.as_ref()?.iter().map(|row| format!("{} {}", span(row.seconds), count(row.keys)));
        Some(rows.collect::<Vec<_>>().join(", "))
    }

    fn frequency_line(&self) -> Option<String> {
        let rows = self.frequency.as_ref()?.iter().map(|row| {
            let range = row.below.map_or_else(|| "more".to_owned(), |below| format!("below {below}"));
            format!("{range} {}", count(row.keys))
        });
        Some(rows.collect::<Vec<_>>().join(", "))
    }

    fn types(&self) -> String {
        let rows = self.types.iter().map(|row| self.row([row.r#type.to_owned()], &row.counted));
        grid(&["TYPE", "KEYS", "ELEMENTS", "STORED", "MEMORY", "SHARE"], rows.collect())
    }

    fn prefixes(&self) -> String {
        if self.prefixes.top.is_empty() {
            return String::new();
        }
        let top = self.prefixes.top.iter();
        let mut rows: Vec<_> =
            top.map(|row| self.row([format!("{}*", shown(&row.prefix))], &row.counted)).collect();
        for (name, counted) in [("(no prefix)", &self.prefixes.none), ("(others)", &self.prefixes.other)] {
            if counted.keys > 0 {
                rows.push(self.row([name.to_owned()], counted));
            }
        }
        let header = if self.prefixes.exact { "PREFIX" } else { "PREFIX (AT LEAST)" };
        grid(&[header, "KEYS", "ELEMENTS", "STORED", "MEMORY", "SHARE"], rows)
    }

    fn biggest(&self) -> String {
        let row = |key: &KeyRow| {
            let elements = count(key.elements);
            let kind = format!("{} {}", key.r#type, key.encoding);
            let (stored, memory) = (size(key.stored_bytes), size(key.memory_bytes));
            vec![shown(&key.key), key.db.to_string(), kind, elements, stored, memory]
        };
        if self.biggest.is_empty() {
            return String::new();
        }
        let header = ["BIGGEST KEYS", "DB", "TYPE", "ELEMENTS", "STORED", "MEMORY"];
        grid(&header, self.biggest.iter().map(row).collect())
    }

    fn expiry(&self) -> String {
        let fixed = [("never", &self.expiry.never), ("before the file was made", &self.expiry.expired)];
        let spans = self.expiry.within.iter().map(|row| (span(row.seconds), &row.counted));
        let rows = fixed.into_iter().map(|(name, counted)| (name.to_owned(), counted)).chain(spans);
        let rows = rows.filter(|(_, counted)| counted.keys > 0);
        let rows = rows.map(|(name, counted)| {
            vec![name, count(counted.keys), size(counted.memory_bytes), self.share(counted)]
        });
        grid(&["EXPIRES", "KEYS", "MEMORY", "SHARE"], rows.collect())
    }

    fn databases(&self) -> String {
        let mut largest: Vec<_> = self.databases.iter().collect();
        largest.sort_by_key(|row| (std::cmp::Reverse(row.counted.memory_bytes), row.db));
        let rows = largest.into_iter().take(DETAILS);
        let rows = rows.map(|row| self.row([row.db.to_string()], &row.counted));
        grid(&["DATABASE", "KEYS", "ELEMENTS", "STORED", "MEMORY", "SHARE"], rows.collect())
    }

    fn encodings(&self) -> String {
        let mut largest: Vec<_> = self.encodings.iter().collect();
        largest.sort_by_key(|row| std::cmp::Reverse(row.counted.memory_bytes));
        let rows = largest.into_iter().take(DETAILS);
        let rows = rows.map(|row| self.row([format!("{} {}", row.r#type, row.encoding)], &row.counted));
        grid(&["ENCODING", "KEYS", "ELEMENTS", "STORED", "MEMORY", "SHARE"], rows.collect())
    }

    fn row(&self, name: [String; 1], counted: &Counted) -> Vec<String> {
        let mut row = Vec::from(name);
        row.extend([
            count(counted.keys),
            count(counted.elements),
            size(counted.stored_bytes),
            size(counted.memory_bytes),
            self.share(counted),
        ]);
        row
    }

    /// Of the memory.
    fn share(&self, counted: &Counted) -> String {
        let percent = u128::from(counted.memory_bytes) * 100 / u128::from(self.all.memory_bytes.max(1));
        if percent == 0 && counted.memory_bytes > 0 { "<1 %".to_owned() } else { format!("{percent} %") }
    }
}

impl FiguresOfAll {
    /// The text form.
    pub(in crate::cli::inspect) fn describe(&self) -> String {
        self.parts.iter().map(Figures::describe).collect::<Vec<_>>().join("\n")
    }
}

fn every_slot(rows: &[SlotRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let rows = rows.iter().map(|row| vec![row.slot.to_string(), count(row.keys), size(row.memory_bytes)]);
    grid(&["SLOT", "KEYS", "MEMORY"], rows.collect())
}

/// A key or prefix on one line.
fn shown(name: &Name) -> String {
    const MOST: usize = 60;
    let text = match std::str::from_utf8(&name.0) {
        Ok(text) => text.to_owned(),
        Err(_) => name.0.escape_ascii().to_string(),
    };
    if text.chars().count() <= MOST {
        return text;
    }
    text.chars().take(MOST).chain(['…']).collect()
}

fn span(seconds: Option<u64>) -> String {
    match seconds {
        None => "later".to_owned(),
        Some(seconds) if seconds < 2 * 3600 => format!("within {} min", seconds / 60),
        Some(seconds) if seconds < 2 * 86_400 => format!("within {} h", seconds / 3600),
        Some(seconds) => format!("within {} days", seconds / 86_400),
    }
}
