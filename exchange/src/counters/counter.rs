use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that one thread writes and anyone reads: a core, or the control plane's.
///
/// With a single writer, an add is a plain load and store: no instruction with a lock prefix on
/// the data path. Each field documents whether it is a gauge or a total.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one. Only the owning thread may call this.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `n`. Only the owning thread may call this.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes one off a gauge. Only the owning thread may call this.
    pub fn decrement(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(1), Relaxed);
    }

    /// Makes it `n`. Only the owning core may call this.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The value as last written; may lag behind by an instant.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
