//! Lists: plain, as one ziplist, and as quicklists of packed nodes.

use super::{Role, between, count, elements, string, string_body};
use crate::{
    bytes::Bytes,
    fault::Reason,
    length::Lengths,
    packed::{Listpack, Ziplist},
    part::{Frame, Out, Visitor},
    text::{Text, Texts},
};

/// Containers of a quicklist node (`QUICKLIST_NODE_CONTAINER_*` in Redis `src/quicklist.h`).
pub(crate) const PLAIN_NODE: u64 = 1;
pub(crate) const PACKED_NODE: u64 = 2;

/// Type 1: one string per element.
pub(super) fn plain<B: Bytes, V: Visitor>(source: &mut B, out: &mut Out<'_, V>) -> Result<u64, Box<Reason>> {
    let elements = count(source, out)?;
    for _ in 0..elements {
        between(source, out)?;
        string(source, out, Role::Element)?;
    }
    Ok(elements)
}

/// Type 10: one ziplist.
pub(super) fn ziplist<B: Bytes, V: Visitor>(
    source: &mut B,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    elements(Ziplist::open(source.string()?)?, out)
}

/// Type 14: ziplists. Empty ones are skipped by servers.
pub(super) fn quicklist<B: Bytes, V: Visitor>(
    source: &mut B,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    let mut elements = 0;
    for _ in 0..count(source, out)? {
        elements += ziplist(source, out)?;
        out.frame(Frame::ListNode)?;
        between(source, out)?;
    }
    Ok(elements)
}

/// Type 18: nodes that are a listpack or one large element.
pub(super) fn quicklist2<B: Bytes, V: Visitor>(
    source: &mut B,
    out: &mut Out<'_, V>,
) -> Result<u64, Box<Reason>> {
    let mut found = 0;
    for _ in 0..count(source, out)? {
        found += match source.length()? {
            PLAIN_NODE => plain_node(source, out).map(|()| 1)?,
            PACKED_NODE => elements(Listpack::open(source.string()?)?, out)?,
            container => return Err(Reason::QuicklistContainer(container).into()),
        };
        out.frame(Frame::ListNode)?;
        between(source, out)?;
    }
    Ok(found)
}

/// One large element. Servers refuse one without a byte, which they would have packed.
fn plain_node<B: Bytes, V: Visitor>(source: &mut B, out: &mut Out<'_, V>) -> Result<(), Box<Reason>> {
    match source.text()? {
        Text::Plain(0) => Err(Reason::EmptyQuicklistNode.into()),
        text => string_body(source, out, Role::Element, text),
    }
}
