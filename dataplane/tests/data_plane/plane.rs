//! A data plane between real sockets.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use dataplane::{CoreSetup, DataPlane, Listener, Settings};
use exchange::{
    CoreCounters, Counter, Eligibility, Entry, Publisher, Report, Reports, Routing,
    ServiceCounters, ServiceIndex, Target, TargetCounters, broadcast, reports,
};
use testkit::net::stream;
use testkit::wait::wait_until;

/// A data plane that accepts clients, and the other ends of its channels. Dropped, it is stopped,
/// and nothing may be left of it.
pub(crate) struct Plane {
    /// None: it was stopped.
    pub(crate) running: Option<DataPlane>,
    pub(crate) address: SocketAddr,
    pub(crate) reports: Reports,
    counters: Arc<[CoreCounters]>,
    publisher: Publisher,
}

impl Plane {
    /// All cores are on the first CPU.
    pub(crate) fn start(cores: usize, settings: &Settings) -> Self {
        let (publisher, subscribers) = broadcast(cores, 1).unwrap();
        let (reporters, reports) = reports(cores).unwrap();
        let counters: Arc<[CoreCounters]> = (0..cores).map(|_| CoreCounters::default()).collect();
        let address = free_address();
        let cores = subscribers.into_iter().zip(reporters).map(|(subscribers, reporter)| {
            let listeners = vec![Listener::bind(address).unwrap()];
            CoreSetup { cpu: 0, listeners, subscribers, reporter }
        });
        let mut running = DataPlane::start(settings, cores.collect(), &counters).unwrap();
        running.listen().unwrap();
        running.run();
        Self { running: Some(running), address, reports, counters, publisher }
    }

    /// A target for this plane, not eligible yet. Each is another one, even at the same address.
    pub(crate) fn entry(&self, address: SocketAddr) -> Entry {
        let counters = TargetCounters::new(self.counters.len());
        Entry::new(Arc::new(Target::at(address)), Arc::new(counters))
    }

    /// As [`Self::entry`], eligible.
    pub(crate) fn healthy(&self, address: SocketAddr) -> Entry {
        self.entry(address).with_eligibility(Eligibility::Full)
    }

    /// From now on these are the targets.
    pub(crate) fn publish(&self, entries: Vec<Entry>) {
        let routing = Routing::to(entries).with_admits(true);
        self.publisher.publish(ServiceIndex::default(), &Arc::new(routing.into()));
    }

    /// From now on there is none, and clients wait.
    pub(crate) fn hold(&self) {
        self.publisher.publish(ServiceIndex::default(), &Arc::default());
    }

    pub(crate) fn connect(&self) -> TcpStream {
        stream::connect(self.address).unwrap()
    }

    /// What a core has counted of itself.
    pub(crate) fn own(&self, number: usize) -> &CoreCounters {
        &self.counters[number]
    }

    /// What a core has counted of the service.
    pub(crate) fn core(&self, number: usize) -> &ServiceCounters {
        self.counters[number].of(ServiceIndex::default())
    }

    /// What all cores have counted.
    pub(crate) fn total(&self, counter: impl Fn(&ServiceCounters) -> &Counter) -> u64 {
        let services = self.counters.iter().flat_map(CoreCounters::services);
        services.map(|service| counter(service).get()).sum()
    }

    /// Waits for what a core has to say of a target.
    pub(crate) fn report(&self) -> Report {
        let mut report = None;
        wait_until("a report", || {
            report = self.reports.next();
            report.is_some()
        });
        report.unwrap()
    }

    /// Ends it, unless it has ended.
    pub(crate) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop_accepting();
            running.join();
        }
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.stop();
        if !std::thread::panicking() {
            assert_eq!(self.total(|count| &count.connections.active), 0);
            assert_eq!(self.total(|count| &count.preconnect.waiting), 0);
        }
    }
}

pub(crate) fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

/// An address that nobody listens on for now.
pub(crate) fn free_address() -> SocketAddr {
    listener().local_addr().unwrap()
}
