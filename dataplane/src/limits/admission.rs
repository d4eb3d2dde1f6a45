use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use exchange::Rejection;

use super::Limits;
use super::cidrs::Cidrs;
use super::client::{Client, Clients};

/// Decides which clients are let in, for all cores together.
///
/// Cores write to the same memory here only where the limit in question is set, and only when a
/// connection begins or ends.
#[derive(Debug)]
pub(crate) struct Admission {
    allowed: Option<Cidrs>,
    clients: Option<Clients>,
    connections: Option<Connections>,
}

/// A connection's place within the limits. Dropped, it is given back.
#[derive(Debug)]
#[must_use = "dropping it gives the place back"]
pub(crate) struct Permit {
    /// `None` where nothing is counted.
    held: Option<Box<Held>>,
}

impl Permit {
    /// Whether there is anything to give back.
    pub(crate) fn is_counted(&self) -> bool {
        self.held.is_some()
    }
}

#[derive(Debug)]
struct Held {
    admission: Arc<Admission>,
    client: Option<Client>,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            allowed: limits.allowed.clone(),
            clients: limits.connections_per_client.map(Clients::new),
            connections: limits.connections.map(|most| Connections::new(most.get())),
        }
    }

    /// Whether a decision depends on the client's address.
    pub(crate) fn needs_address(&self) -> bool {
        self.allowed.is_some() || self.clients.is_some()
    }

    /// Lets a client in, or says why not. `client` may be `None` unless
    /// [`Admission::needs_address`].
    ///
    /// # Errors
    /// The first of: its address is not allowed, it has too many connections, there are too many
    /// in all. So what one client has too many of is told apart from what all have.
    pub(crate) fn admit(self: &Arc<Self>, client: Option<IpAddr>) -> Result<Permit, Rejection> {
        if let Some(allowed) = &self.allowed
            && !client.is_some_and(|client| allowed.contains(client))
        {
            return Err(Rejection::NotAllowed);
        }
        self.enter(client)
    }

    /// As [`Admission::admit`], but whoever it is may connect.
    ///
    /// # Errors
    /// The first of: it has too many connections, there are too many in all.
    pub(crate) fn enter(self: &Arc<Self>, client: Option<IpAddr>) -> Result<Permit, Rejection> {
        let mut client = client.map(Client::at);
        if let Some(clients) = &self.clients {
            if !client.is_some_and(|client| clients.enter(client)) {
                return Err(Rejection::MaxConnectionsPerClient);
            }
        } else {
            client = None;
        }
        if let Some(connections) = &self.connections
            && !connections.enter()
        {
            self.leave(client);
            return Err(Rejection::MaxConnections);
        }
        let is_counted = self.clients.is_some() || self.connections.is_some();
        let held = is_counted.then(|| Box::new(Held { admission: Arc::clone(self), client }));
        Ok(Permit { held })
    }

    fn leave(&self, client: Option<Client>) {
        if let (Some(clients), Some(client)) = (&self.clients, client) {
            clients.leave(client);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.admission.leave(self.client);
        if let Some(connections) = &self.admission.connections {
            connections.leave();
        }
    }
}

/// All connections there are, over all cores.
#[derive(Debug)]
struct Connections {
    most: usize,
    count: AtomicUsize,
}

impl Connections {
    fn new(most: usize) -> Self {
        Self { most, count: AtomicUsize::new(0) }
    }

    /// Compares before it adds: an addition that is taken back could turn another client away.
    fn enter(&self) -> bool {
        let next = |count| (count < self.most).then_some(count + 1);
        self.count.fetch_update(Relaxed, Relaxed, next).is_ok()
    }

    fn leave(&self) {
        self.count.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroUsize};

    use super::*;

    fn admission(limits: &Limits) -> Arc<Admission> {
        Arc::new(Admission::new(limits))
    }

    fn ask(admission: &Arc<Admission>, client: &str) -> Result<Permit, Rejection> {
        admission.admit(Some(client.parse().unwrap()))
    }

    #[test]
    fn without_limits_everybody_gets_in_and_nothing_is_kept() {
        let admission = admission(&Limits::default());
        assert!(!admission.needs_address());
        let permit = admission.admit(None).unwrap();
        assert!(!permit.is_counted());
        assert_eq!(Arc::strong_count(&admission), 1);
        assert!(size_of::<Permit>() <= 8);
    }

    #[test]
    fn each_limit_turns_clients_away_for_its_own_reason() {
        let admission = admission(&Limits {
            allowed: Some("10.0.0.0/8".parse().unwrap()),
            connections: NonZeroUsize::new(3),
            connections_per_client: NonZeroU32::new(2),
        });
        assert!(admission.needs_address());
        let first = ask(&admission, "10.0.0.1").unwrap();
        let _second = ask(&admission, "::ffff:10.0.0.1").unwrap();
        let refused = |client| ask(&admission, client).unwrap_err();
        assert_eq!(refused("10.0.0.1"), Rejection::MaxConnectionsPerClient);
        let _third = ask(&admission, "10.0.0.2").unwrap();
        assert_eq!(refused("10.0.0.2"), Rejection::MaxConnections);
        assert_eq!(refused("10.0.0.1"), Rejection::MaxConnectionsPerClient);
        assert_eq!(refused("11.0.0.1"), Rejection::NotAllowed);
        assert_eq!(admission.admit(None).unwrap_err(), Rejection::NotAllowed);
        drop(first);
        // What was turned away for the total had not been counted for the client.
        let _fourth = ask(&admission, "10.0.0.2").unwrap();
        assert_eq!(refused("10.0.0.3"), Rejection::MaxConnections);
    }

    #[test]
    fn the_total_is_exact_over_threads() {
        const MOST: usize = 4;
        let admission =
            admission(&Limits { connections: NonZeroUsize::new(MOST), ..Limits::default() });
        let (inside, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5000 {
                        let Ok(permit) = admission.admit(None) else { continue };
                        peak.fetch_max(inside.fetch_add(1, Relaxed) + 1, Relaxed);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Relaxed);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(peak.into_inner(), MOST);
        let permits: Vec<_> = (0..MOST).map(|_| admission.admit(None).unwrap()).collect();
        assert_eq!(admission.admit(None).unwrap_err(), Rejection::MaxConnections);
        drop(permits);
    }
}
