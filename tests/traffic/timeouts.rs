//! Peers and processes that are silent, slow or gone, and the time that they are given.

mod idle;
mod slow_peers;
mod stopped;
mod vanished;
