use std::rc::Rc;

use crate::selection::local_target::LocalTarget;

/// A connection that counts as one of its target's, from its connect until it is dropped.
#[derive(Debug)]
pub(crate) struct ActiveConnection(Rc<LocalTarget>);

impl ActiveConnection {
    pub(crate) fn open(target: Rc<LocalTarget>) -> Self {
        target.load().opened();
        Self(target)
    }

    pub(crate) fn target(&self) -> &Rc<LocalTarget> {
        &self.0
    }
}

impl Drop for ActiveConnection {
    fn drop(&mut self) {
        self.0.load().closed();
    }
}
