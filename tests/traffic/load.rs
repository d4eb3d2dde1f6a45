use std::io::ErrorKind;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use testkit::balancer::Balancer;
use testkit::http;
use testkit::net::stream::connect;
use testkit::wait::wait_until;

/// Clients that connect anew for each request, while targets are killed. Each must be taken and
/// answered, save that a target that is killed can't answer what it had already been asked.
#[derive(Default)]
pub(crate) struct Load {
    /// How long each client does nothing after a request.
    pause: Duration,
    served: Mutex<Vec<Served>>,
    /// Read during each request.
    asking: RwLock<()>,
    killing: AtomicBool,
    killed: AtomicBool,
    stop: AtomicBool,
}

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served {
    pub(crate) by: SocketAddr,
    /// When the answer was there.
    pub(crate) at: Instant,
    pub(crate) took: Duration,
}

impl Load {
    /// Each client does nothing for so long after each request.
    pub(crate) fn with_pauses(pause: Duration) -> Self {
        Self { pause, ..Self::default() }
    }

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

    /// Does something at an instant at which no client is connected; they go on at once.
    pub(crate) fn between_requests(&self, work: impl FnOnce()) {
        let _nobody_asks = self.asking.write().unwrap();
        work();
    }

    pub(crate) fn wait_for_served(&self, more: usize) {
        let count = || self.served.lock().unwrap().len();
        let before = count();
        wait_until("clients are served", || count() >= before + more);
    }

    /// All so far, in about the order of their ends.
    pub(crate) fn served(&self) -> Vec<Served> {
        self.served.lock().unwrap().clone()
    }

    /// The part of the clients at that time that a target served.
    pub(crate) fn share(&self, target: SocketAddr, time: &Range<Instant>) -> f64 {
        let [mut all, mut of_target] = [0, 0];
        for served in self.served().iter().filter(|served| time.contains(&served.at)) {
            all += 1;
            of_target += i32::from(served.by == target);
        }
        f64::from(of_target) / f64::from(all)
    }

    fn request(&self, balancer: &Balancer) {
        while !self.stop.load(Ordering::SeqCst) {
            let after = self.killed.load(Ordering::SeqCst);
            let asking = self.asking.read().unwrap();
            let begun = Instant::now();
            // A target's reset may come before connect(2) has returned; nothing else may be in its way.
            let client = connect(balancer.address).inspect_err(|error| {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it takes connections");
            });
            match client.and_then(|client| http::Client(client).get("/")) {
                Ok(answer) => {
                    assert_eq!(answer.status, 200);
                    let by = answer.body.parse().unwrap();
                    let at = Instant::now();
                    self.served.lock().unwrap().push(Served { by, at, took: at - begun });
                }
                Err(error) => {
                    let excused = self.killing.load(Ordering::SeqCst) && !after;
                    assert!(excused, "a client saw: {error}; it came after the kill: {after}");
                }
            }
            drop(asking);
            thread::sleep(self.pause);
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
