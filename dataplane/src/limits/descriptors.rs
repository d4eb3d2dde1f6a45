//! What descriptors are set aside for, so that clients find theirs.

/// Each core may have so many pipes, but no more than one for so many connections: bulk beyond that
/// is copied.
const PIPES_MAX: usize = 16;
const CONNECTIONS_PER_PIPE: usize = 64;

/// Accepts in flight at a listener while there is room for few connections: each brings one at most.
pub(crate) const SINGLE_ACCEPTS_MAX: usize = 4;

/// How many of the connections that there are descriptors for no client may take: pipes, and
/// accepts in flight.
pub(crate) fn descriptors_reserved(connections_max: usize, cores: usize, services: usize) -> usize {
    (pipes_max(connections_max, cores) + SINGLE_ACCEPTS_MAX * services) * cores
}

/// Pipes for each core. A pipe takes two descriptors, as a connection does.
pub(crate) fn pipes_max(connections_max: usize, cores: usize) -> usize {
    (connections_max / cores / CONNECTIONS_PER_PIPE).min(PIPES_MAX)
}
