use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::harness::balancer::Balancer;
use crate::harness::stream::connect;
use crate::harness::{http, wait_until};

/// Clients that connect anew for each request, while targets are killed. Each must be taken and
/// answered, save that a target that is killed can't answer what it had already been asked.
#[derive(Default)]
pub(crate) struct Load {
    served: AtomicUsize,
    killing: AtomicBool,
    killed: AtomicBool,
    stop: AtomicBool,
}

impl Load {
    /// Runs `test` while so many threads are such clients.
    pub(crate) fn around(&self, balancer: &Balancer, threads: usize, test: impl FnOnce(&Self)) {
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let _stop = StopOnPanic(&self.stop);
                    self.request(balancer);
                });
            }
            let _stop = StopOnPanic(&self.stop);
            test(self);
            self.stop.store(true, Ordering::SeqCst);
        });
    }

    /// Kills a target.
    pub(crate) fn kill(&self, kill: impl FnOnce()) {
        self.killing.store(true, Ordering::SeqCst);
        kill();
        self.killed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn wait_for_served(&self, more: usize) {
        let served = self.served.load(Ordering::SeqCst);
        wait_until("clients are served", || self.served.load(Ordering::SeqCst) >= served + more);
    }

    fn request(&self, balancer: &Balancer) {
        while !self.stop.load(Ordering::SeqCst) {
            let after = self.killed.load(Ordering::SeqCst);
            let client = connect(balancer.address).expect("takes connections all the time");
            match http::Client(client).get("/") {
                Ok((status, _)) => {
                    assert_eq!(status, 200);
                    self.served.fetch_add(1, Ordering::SeqCst);
                }
                Err(error) => {
                    let excused = self.killing.load(Ordering::SeqCst) && !after;
                    assert!(excused, "a client saw: {error}; it came after the kill: {after}");
                }
            }
        }
    }
}

/// Nobody would tell the clients to stop, or notice that they have.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}
