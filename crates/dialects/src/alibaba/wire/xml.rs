//! An answer as XML, for callers of the older SDKs that did not ask for JSON.

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use serde_json::Value;

/// Writes an answer as XML. A list is its element repeated; the object around it, where there is
/// one, gives the second level.
pub(in crate::alibaba) fn write(root: &str, answer: &Value) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    let declaration = Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None));
    let written = writer.write_event(declaration).and_then(|()| element(&mut writer, root, answer));
    debug_assert!(written.is_ok(), "memory can always be written to");
    writer.into_inner()
}

fn element(writer: &mut Writer<Vec<u8>>, name: &str, value: &Value) -> std::io::Result<()> {
    if let Value::Array(items) = value {
        return items.iter().try_for_each(|item| element(writer, name, item));
    }
    writer.write_event(Event::Start(BytesStart::new(name)))?;
    match value {
        Value::Object(members) => {
            members.iter().try_for_each(|(name, member)| element(writer, name, member))?;
        }
        Value::String(text) => {
            let legal = text.replace(|letter: char| !is_xml(letter), "\u{fffd}");
            writer.write_event(Event::Text(BytesText::new(&legal)))?;
        }
        Value::Null | Value::Array(_) => {}
        scalar => writer.write_event(Event::Text(BytesText::new(&scalar.to_string())))?,
    }
    writer.write_event(Event::End(BytesEnd::new(name)))
}

/// The letters that XML 1.0 allows (section 2.2); others cannot even be escaped.
fn is_xml(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}
