use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use super::address::unique;
use super::port::Port;
use crate::process::Process;
use crate::process::usage::check_program;
use crate::scratch::Scratch;
use crate::wait::wait_until;

const PROGRAM: &str = "/usr/sbin/dnsmasq";

/// A real name server at an address of its own. It knows of nothing but the records it is told of,
/// all below `test`.
#[derive(Debug)]
pub struct Dnsmasq {
    /// Where it answers.
    pub address: SocketAddr,
    directory: Scratch,
    process: Option<Process>,
    _port: Port,
}

impl Dnsmasq {
    /// Whether there is one to be run; else why not.
    pub fn check() -> Result<(), String> {
        check_program(PROGRAM)
    }

    /// Starts one with these lines of its configuration (dnsmasq(8)), and waits until it answers.
    pub fn start(records: &str) -> Self {
        let port = Port::free();
        let address = SocketAddr::new(unique(), port.number());
        let mut server = Self { address, directory: Scratch::new(), process: None, _port: port };
        server.restart(records);
        server
    }

    /// Starts it anew with other records.
    pub fn restart(&mut self, records: &str) {
        self.kill();
        let (ip, port) = (self.address.ip(), self.address.port());
        let configuration = format!(
            "keep-in-foreground\nno-resolv\nno-hosts\npid-file\nuser=root\nlocal=/test/\n\
             bind-interfaces\nlisten-address={ip}\nport={port}\nlocal-ttl=1\n{records}\n"
        );
        let path = self.directory.write("dnsmasq.conf", &configuration);
        let argument = format!("--conf-file={}", path.display());
        self.process = Some(Process::spawn(Command::new(PROGRAM).arg(argument)));
        wait_until("dnsmasq answers", || TcpStream::connect(self.address).is_ok());
    }

    /// Ends it, as `kill -9` does.
    pub fn kill(&mut self) {
        self.process = None;
    }
}
