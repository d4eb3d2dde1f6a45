use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use dataplane::Listener;

use crate::config::Problem;
use crate::sockets::{admin_problem, bound, client_problem, port_has_users, shared_problem};

/// Whoever listens has this long to stop: the kernel takes a moment to close the sockets of a process
/// that was killed.
const END_PATIENCE: Duration = Duration::from_millis(500);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Whether an address can be bound to, found out by doing so for a moment.
#[derive(Debug)]
pub(super) enum Availability {
    /// Nobody listens there.
    Free,
    /// Another process of this user listens there, and would share it.
    Shared,
    /// A process listens there that does not share it, or not with this user.
    Taken(Problem),
    /// It cannot be bound to for another reason.
    Unusable(Problem),
}

impl Availability {
    /// Of the address where clients would connect.
    pub(super) fn of_client(address: SocketAddr) -> Self {
        match Listener::bind(address) {
            Ok(_) if port_has_users(address) => Self::Shared,
            Ok(_) => Self::Free,
            Err(error) => Self::refused(&error, client_problem(address, &error)),
        }
    }

    /// As [`Self::of_client`], for a process that does not want to share it.
    pub(super) fn of_client_alone(address: SocketAddr) -> Self {
        let began = Instant::now();
        loop {
            match Self::of_client(address) {
                Self::Shared if began.elapsed() < END_PATIENCE => thread::sleep(LOOK_AGAIN),
                Self::Shared => return Self::Taken(shared_problem(address)),
                other => return other,
            }
        }
    }

    /// Of the address of the admin server, which is never shared.
    pub(super) fn of_admin(address: SocketAddr) -> Self {
        match bound(address) {
            Ok(_) => Self::Free,
            Err(error) => Self::refused(&error, admin_problem(address, &error)),
        }
    }

    fn refused(error: &io::Error, problem: Problem) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::Taken(problem),
            _ => Self::Unusable(problem),
        }
    }
}
