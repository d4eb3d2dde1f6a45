//! Which core takes a client, and which target it gets.

mod affinity;
mod balancing;
mod cores;
mod failing_fast;
mod rebalance;
mod zones;
