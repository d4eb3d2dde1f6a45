use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A directory of its own, gone afterwards.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("scratch-{}-{number}", process::id()));
        fs::create_dir_all(&path).expect("the build directory can be written to");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file as editors and deployment tools do: never half of it to be seen.
    pub(crate) fn replace(&self, name: &str, text: &str) {
        let new = self.path("new");
        fs::write(&new, text).expect("the directory can be written to");
        fs::rename(new, self.path(name)).expect("both are in one directory");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind, it would do no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}
