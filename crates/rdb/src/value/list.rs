//! Lists: plain, as one ziplist, and as quicklists of packed nodes.

use std::io::BufRead;

use super::count_items;
use crate::{
    fault::Reason,
    packed::{Listpack, Ziplist},
    source::Source,
};

/// Containers of a quicklist node (`QUICKLIST_NODE_CONTAINER_*` in Redis `src/quicklist.h`).
const PLAIN_NODE: u64 = 1;
const PACKED_NODE: u64 = 2;

/// Type 1: one string per element.
pub(super) fn plain<R: BufRead>(source: &mut Source<R>) -> Result<u64, Box<Reason>> {
    let elements = source.length()?;
    for _ in 0..elements {
        source.skip_string()?;
    }
    Ok(elements)
}

/// Type 10: one ziplist.
pub(super) fn ziplist<R: BufRead>(source: &mut Source<R>) -> Result<u64, Box<Reason>> {
    count_items(Ziplist::open(source.string()?)?)
}

/// Type 14: ziplists. Empty ones are skipped by servers.
pub(super) fn quicklist<R: BufRead>(source: &mut Source<R>) -> Result<u64, Box<Reason>> {
    let mut elements = 0;
    for _ in 0..source.length()? {
        elements += ziplist(source)?;
    }
    Ok(elements)
}

/// Type 18: nodes that are a listpack or one large element.
pub(super) fn quicklist2<R: BufRead>(source: &mut Source<R>) -> Result<u64, Box<Reason>> {
    let mut elements = 0;
    for _ in 0..source.length()? {
        elements += match source.length()? {
            PLAIN_NODE => source.skip_string().map(|_| 1)?,
            PACKED_NODE => count_items(Listpack::open(source.string()?)?)?,
            container => return Err(Reason::QuicklistContainer(container).into()),
        };
    }
    Ok(elements)
}
