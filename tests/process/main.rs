//! The process, black box: what it is told, what it says, how it starts and ends.
#![allow(clippy::unwrap_used, reason = "this is test code, outside a test function too")]

#[path = "../support/mod.rs"]
mod support;

mod aliases;
mod check;
mod cli;
mod config;
mod log;
mod start;
