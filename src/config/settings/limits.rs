use std::num::{NonZeroU32, NonZeroUsize};

use dataplane::{Limits, Sources};

use crate::config::reader::Reader;
use crate::config::table as var;

/// Who may connect, and how many at a time.
pub(super) fn limits(read: &Reader<'_>) -> Option<Limits> {
    Some(Limits {
        allowed: read.value(&var::ALLOW_CIDRS)?,
        connections: connections(read)?,
        connections_per_client: NonZeroU32::new(read.value(&var::MAX_CONNECTIONS_PER_CLIENT)?),
    })
}

/// How many connections there may be at a time.
#[expect(clippy::option_option, reason = "bad and no limit are two different things")]
pub(crate) fn connections(read: &Reader<'_>) -> Option<Option<NonZeroUsize>> {
    let most = read.value(&var::MAX_CONNECTIONS)?;
    Some(most.and_then(|most| NonZeroUsize::new(usize::try_from(most).ok()?)))
}

/// Where connections to targets come from.
pub(crate) fn sources(read: &Reader<'_>) -> Option<Sources> {
    Some(Sources::new(&read.value(&var::SOURCE_ADDRESSES)?.unwrap_or_default()))
}
