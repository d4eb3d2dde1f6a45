//! Which target a client's address belongs to: a choice that every instance makes alike.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::target::Target;

/// Places in a table: the larger one of the paper's two. Always the same one: another size leads
/// nearly every client elsewhere, so none may depend on how many targets there are.
const SIZE: u32 = 655_373;

/// Numbers of targets are 16 bits wide, and one of them means none. Targets beyond that many get
/// clients only when others cannot be reached, and one of them moves in when another leaves.
const TARGETS_MAX: usize = FREE as usize;

const FREE: u16 = u16::MAX;

/// A table that maps client addresses to targets (Eisenbud et al., "Maglev: A Fast and Reliable
/// Software Network Load Balancer", NSDI 2016, section 3.4), filled in another way that makes the
/// disruption of a departure the least there can be.
///
/// It follows from the targets' identities alone, whatever their order: instances and cores that
/// know the same targets agree on every client without talking to each other. When a target leaves,
/// its clients are spread over the others and nobody else's move; when one joins, all clients that
/// move are its own.
///
/// All hashes are fixed for good: instances of different releases share their clients too. They
/// keep nobody from choosing an address that leads to a certain target, as no hash could whose key
/// all instances know.
#[derive(Debug, PartialEq, Eq)]
pub struct Affinity {
    targets: Box<[Arc<Target>]>,
    /// Numbers of targets.
    table: Box<[u16]>,
}

impl Affinity {
    /// The table for these targets. Takes 35 to 60 ms: not for a core.
    pub fn of(mut targets: Vec<Arc<Target>>) -> Self {
        // Whoever's turn it is first takes the place: the order has to be everybody's.
        targets.sort_by(|a, b| identity(a).cmp(&identity(b)));
        targets.dedup_by(|a, b| identity(a) == identity(b));
        targets.truncate(TARGETS_MAX);
        let table = fill(&targets);
        Self { targets: targets.into(), table }
    }

    /// The targets that it maps to.
    pub fn targets(&self) -> &[Arc<Target>] {
        &self.targets
    }

    /// Whether this is the table for these targets, each of which is there once.
    pub fn is_for(&self, targets: &[Arc<Target>]) -> bool {
        let known = targets.iter().filter(|target| self.number_of(target).is_some()).count();
        known == self.targets.len() && known == targets.len().min(TARGETS_MAX)
    }

    /// The number of `target` among [`Affinity::targets`], if it is one of them.
    pub fn number_of(&self, target: &Target) -> Option<usize> {
        self.targets.binary_search_by(|it| identity(it).cmp(&identity(target))).ok()
    }

    /// The number of the client's target among [`Affinity::targets`]; none where there are none.
    pub fn choose(&self, client: ClientKey) -> Option<usize> {
        self.table.get(below(client.0, SIZE) as usize).map(|&number| usize::from(number))
    }
}

fn identity(target: &Target) -> (&str, SocketAddr) {
    (target.id.as_str(), target.address)
}

/// Each target in turn draws a place and takes it, if it is free.
///
/// In the paper it goes on until it finds a free one. Then all have the same number of places, but one
/// that leaves changes where the others stop, and so on. A place that belongs to whoever draws it
/// first belongs to the next one when that one leaves, and nothing else changes. The paper's orders,
/// in steps of one width, would not do: where two targets' steps are alike, one follows the other for
/// long and finds little left.
fn fill(targets: &[Arc<Target>]) -> Box<[u16]> {
    if targets.is_empty() {
        return Box::default();
    }
    let mut draws: Vec<_> = targets.iter().map(|it| Draws(TargetKey::of(it).0)).collect();
    let mut table = vec![FREE; SIZE as usize].into_boxed_slice();
    let mut free = table.len();
    loop {
        for (number, draws) in (0..).zip(&mut draws) {
            let place = &mut table[draws.next() as usize];
            if *place == FREE {
                *place = number;
                free -= 1;
                if free == 0 {
                    return table;
                }
            }
        }
    }
}

/// The places that a target draws: the outputs of `SplitMix64`, in which every place comes up sooner
/// or later.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u32 {
        let place = below(mix(self.0), SIZE);
        self.0 = self.0.wrapping_add(GOLDEN_GAMMA);
        place
    }
}

fn below(hash: u64, limit: u32) -> u32 {
    u32::try_from(hash % u64::from(limit)).expect("less than the limit")
}

/// What a client's choices follow from: its IP address, an IPv4-mapped IPv6 one (RFC 4291, 2.5.5.2)
/// taken as IPv4. Ports change with every connection and don't count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientKey(u64);

impl ClientKey {
    /// That of `address`.
    pub fn of(address: IpAddr) -> Self {
        Self(mix(hash_address(FNV_BASIS, address)))
    }

    /// How much this client prefers a target, should its first choice be out of reach: among all
    /// that are left the highest is the next one (Thaler and Ravishankar, "Using name-based mappings
    /// to increase hit rates", 1998). So a target's clients are spread over all others.
    pub fn preference(self, target: TargetKey) -> u64 {
        mix(self.0 ^ target.0)
    }
}

/// What a target's places follow from: its id and its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetKey(u64);

impl TargetKey {
    /// That of `target`.
    pub fn of(target: &Target) -> Self {
        // No id holds a 0xff byte: it is UTF-8. So ids and addresses can't run into each other.
        let hash = hash(hash(FNV_BASIS, target.id.as_str().as_bytes()), &[0xff]);
        let hash = hash_address(hash, target.address.ip());
        Self(mix(self::hash(hash, &target.address.port().to_be_bytes())))
    }
}

fn hash_address(state: u64, address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => hash(state, &address.octets()),
        IpAddr::V6(address) => hash(state, &address.octets()),
    }
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits (RFC 9923): a few lines, the same everywhere and for good. Its high bits change
/// little with the last bytes, which [`mix`] makes up for.
fn hash(state: u64, bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(state, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// What `SplitMix64` adds to its state each time: 2^64 divided by the golden ratio, made odd.
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of `SplitMix64` (Steele et al., "Fast splittable pseudorandom number
/// generators", 2014): every bit of `state` has a say in every bit of the result.
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(GOLDEN_GAMMA);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
