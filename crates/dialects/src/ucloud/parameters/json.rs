//! A JSON body as parameters: as texts to sign, and as values to read.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::canonical::Parameters;
use crate::vocabulary::Fault;

/// More values than any action has, nested ones included.
const MAX_NODES: usize = 1000;
/// Deeper than any action nests.
const MAX_DEPTH: usize = 16;
/// Longer than any name; with the other limits it bounds the dotted names.
const MAX_NAME_BYTES: usize = 256;
/// From here on JavaScript writes an exponent and Go does not: their signatures would differ.
const MAX_NUMBER: f64 = 1e21;

/// A JSON value, numbers and booleans as the text that stands for them in a signature.
enum Node {
    Null,
    Text(String),
    List(Vec<Node>),
    Object(BTreeMap<String, Node>),
}

/// Reads a body: the texts that are signed by outer name, and every single value by dotted name.
pub(super) fn read(body: &[u8]) -> Result<(Parameters, Parameters), Fault> {
    let broken = |what: &dyn fmt::Display| Fault::MalformedRequest(format!("the JSON body: {what}"));
    let left = Cell::new(MAX_NODES);
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let node = Reader { left: &left, depth: 0 }
        .deserialize(&mut deserializer)
        .and_then(|node| deserializer.end().map(|()| node))
        .map_err(|error| broken(&error))?;
    let Node::Object(members) = node else { return Err(broken(&"not an object")) };
    let (mut signed, mut values) = (Parameters::new(), Parameters::new());
    for (name, node) in members {
        let mut text = String::new();
        match node {
            // The whole entry is left out of the signature.
            Node::Null => continue,
            ref present => write_signed(present, &mut text),
        }
        spread(&name, node, &mut values).map_err(|twice| broken(&format!("{twice} is given twice")))?;
        signed.insert(name, text);
    }
    Ok((signed, values))
}

/// Elements one after the other without their index, entries by name without the outer one.
fn write_signed(node: &Node, text: &mut String) {
    match node {
        Node::Null => {}
        Node::Text(scalar) => text.push_str(scalar),
        Node::List(items) => items.iter().for_each(|item| write_signed(item, text)),
        Node::Object(members) => {
            for (name, member) in members.iter().filter(|(_, member)| !matches!(member, Node::Null)) {
                text.push_str(name);
                write_signed(member, text);
            }
        }
    }
}

/// Spreads a value over dotted names; fails with a name that is there already.
fn spread(name: &str, node: Node, values: &mut Parameters) -> Result<(), String> {
    match node {
        Node::Null => Ok(()),
        Node::Text(text) => match values.insert(name.to_owned(), text) {
            None => Ok(()),
            Some(_) => Err(name.to_owned()),
        },
        Node::List(items) => {
            let mut items = items.into_iter().enumerate();
            items.try_for_each(|(at, item)| spread(&format!("{name}.{at}"), item, values))
        }
        Node::Object(members) => {
            let mut members = members.into_iter();
            members.try_for_each(|(inner, member)| spread(&format!("{name}.{inner}"), member, values))
        }
    }
}

/// Reads a value within the limits, and refuses a name that an object has twice.
#[derive(Clone, Copy)]
struct Reader<'a> {
    left: &'a Cell<usize>,
    depth: usize,
}

impl Reader<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom("nested too deeply"));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| de::Error::custom("too many values"))?;
        self.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Text(value.to_string()))
    }

    /// Without an exponent and without an empty fraction: `42.0` is `42`.
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        if value.abs() >= MAX_NUMBER {
            return Err(E::custom("a number is too large"));
        }
        // Adding zero takes the sign off a negative one.
        Ok(Node::Text((value + 0.0).to_string()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let reader = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(reader)? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let reader = self.deeper()?;
        let mut object = BTreeMap::new();
        while let Some(name) = members.next_key::<String>()? {
            if name.len() > MAX_NAME_BYTES {
                return Err(de::Error::custom("a name is too long"));
            }
            let member = members.next_value_seed(reader)?;
            if object.contains_key(&name) {
                return Err(de::Error::custom(format_args!("{name} is given twice")));
            }
            object.insert(name, member);
        }
        Ok(Node::Object(object))
    }
}
