//! Files that a test writes.

use std::fs;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A directory of its own, gone afterwards.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty one, below the directory for temporary files.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("stateless-load-balancer-test-{}-{number}", process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the directory for temporary files can be written to");
        Self(path)
    }

    /// Where the file of that name is, or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file in place; its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("the directory can be written to");
        path
    }

    /// Writes a file as editors and deployment tools do: never half of it to be seen.
    pub fn replace(&self, name: &str, text: &str) {
        let new = self.write("new", text);
        fs::rename(new, self.path(name)).expect("both are in one directory");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind, it would do no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}
