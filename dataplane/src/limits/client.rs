use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::cidrs::first_of;

/// Whom a limit per client counts together: an IPv4 address, or the /64 of an IPv6 address.
///
/// A /64 is the least a site is given (RFC 6177), and any host in it may take what addresses it
/// likes, a new one each day at that (RFC 8981): a limit per IPv6 address would limit nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Client(IpAddr);

const IPV6_PREFIX: u32 = 64;

impl Client {
    /// The one with this address; an IPv4-mapped address is IPv4.
    pub(super) fn at(address: IpAddr) -> Self {
        match address.to_canonical() {
            four @ IpAddr::V4(_) => Self(four),
            six @ IpAddr::V6(_) => Self(first_of(six, IPV6_PREFIX)),
        }
    }
}

/// How many connections each client has, over all cores. It grows with the clients that are
/// connected, and shrinks with them.
#[derive(Debug)]
pub(super) struct Clients {
    most: u32,
    /// Seeded: clients can't choose addresses that all belong to one shard.
    hasher: RandomState,
    shards: Box<[Shard]>,
}

/// So many cores can be at work at once without often waiting for each other.
const SHARDS: usize = 64;

/// A map with less room is not made smaller.
const CAPACITY_KEPT: usize = 64;

/// Some of the clients. On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard(Mutex<HashMap<Client, u32>>);

impl Clients {
    pub(super) fn new(most: NonZeroU32) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { most: most.get(), hasher: RandomState::new(), shards }
    }

    /// Counts one more connection of `client`; false if it has as many as it may.
    pub(super) fn enter(&self, client: Client) -> bool {
        let mut shard = self.shard(client);
        let count = shard.entry(client).or_default();
        let is_allowed = *count < self.most;
        *count += u32::from(is_allowed);
        is_allowed
    }

    /// One that had entered has ended.
    pub(super) fn leave(&self, client: Client) {
        let mut shard = self.shard(client);
        let Some(count) = shard.get_mut(&client) else {
            debug_assert!(false, "{client:?} leaves and was not there");
            return;
        };
        *count -= 1;
        if *count == 0 {
            shard.remove(&client);
            if shard.capacity() > CAPACITY_KEPT.max(shard.len() * 4) {
                let room = shard.len() * 2;
                shard.shrink_to(room);
            }
        }
    }

    fn shard(&self, client: Client) -> MutexGuard<'_, HashMap<Client, u32>> {
        let hash = self.hasher.hash_one(client);
        let number = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        // A panic would have ended the process.
        self.shards[number].0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn client(address: &str) -> Client {
        Client::at(address.parse().unwrap())
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
        assert_eq!(client("10.0.0.1"), client("::ffff:10.0.0.1"));
        assert_ne!(client("10.0.0.1"), client("10.0.0.2"));
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:0:0:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_ne!(client("0.0.0.0"), client("::"));
    }

    #[test]
    fn each_client_has_a_limit_of_its_own() {
        let clients = Clients::new(NonZeroU32::new(2).unwrap());
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(client);
        assert_eq!([(); 3].map(|()| clients.enter(one)), [true, true, false]);
        assert!(clients.enter(other));
        clients.leave(one);
        assert_eq!([(); 2].map(|()| clients.enter(one)), [true, false]);
    }

    #[test]
    fn clients_that_are_gone_leave_no_room_behind() {
        let clients = Clients::new(NonZeroU32::MIN);
        let all: Vec<_> = (0..100_000_u32).map(|n| Client::at(IpAddr::V4(n.into()))).collect();
        assert!(all.iter().all(|&client| clients.enter(client)));
        for &client in &all {
            clients.leave(client);
        }
        for shard in &clients.shards {
            let shard = shard.0.lock().unwrap();
            assert_eq!(shard.len(), 0);
            assert!(shard.capacity() <= CAPACITY_KEPT, "{}", shard.capacity());
        }
    }

    #[test]
    fn threads_together_never_exceed_it_and_reach_it() {
        const MOST: u32 = 3;
        let clients = Clients::new(NonZeroU32::new(MOST).unwrap());
        let (inside, peak) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5000 {
                        if clients.enter(client("10.0.0.1")) {
                            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                            peak.fetch_max(now, Ordering::SeqCst);
                            std::thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                            clients.leave(client("10.0.0.1"));
                        }
                    }
                });
            }
        });
        assert_eq!(peak.into_inner(), MOST);
        assert_eq!([(); 4].map(|()| clients.enter(client("10.0.0.1"))), [true, true, true, false]);
    }
}
