//! Settings of a server, read and written.

use super::connection::{Connection, Reply};
use crate::error::{Error, Kind, Result};

/// A setting's value; `None` where the server does not know it.
pub fn read_setting(connection: &mut Connection, name: &str) -> Result<Option<String>> {
    let reply = connection.call(&[b"CONFIG", b"GET", name.as_bytes()])?;
    if let Reply::Error(text) = &reply {
        return Err(denied(connection, "read", name, text));
    }
    Ok(reply.elements().get(1).and_then(Reply::text))
}

/// Sets a setting.
pub fn write_setting(connection: &mut Connection, name: &str, value: &[u8]) -> Result<()> {
    match connection.call(&[b"CONFIG", b"SET", name.as_bytes(), value])? {
        Reply::Error(text) => Err(denied(connection, "set", name, &text)),
        _ => Ok(()),
    }
}

fn denied(connection: &Connection, verb: &str, name: &str, text: &str) -> Error {
    let text: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
    let message = format!("{} does not let this user {verb} {name}", connection.node());
    Error::new(Kind::Denied, "SOURCE_CONFIG_DENIED", message)
        .because(text)
        .hint("give the user +config|get and +config|set")
}
