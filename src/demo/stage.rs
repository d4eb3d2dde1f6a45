use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::drain::drain;
use super::http::{self, Request, Response};
use super::target::Target;
use super::traffic::Traffic;

/// Everything the user can act on, by keys or by HTTP.
#[derive(Debug)]
pub(super) struct Stage {
    /// The servers behind the balancer.
    pub(super) targets: Vec<Arc<Target>>,
    /// The clients before it.
    pub(super) traffic: Arc<Traffic>,
    /// Where the balancer lets operators drain targets, if it does.
    pub(super) admin: Option<SocketAddr>,
    /// The next number is that of a target to drain.
    pub(super) is_choosing: AtomicBool,
}

impl Stage {
    /// Serves all targets, the traffic and the commands on a thread of their own: they must not
    /// take the balancer's time.
    ///
    /// # Errors
    /// When there is no thread or no runtime to be had.
    pub(super) fn start(
        self: &Arc<Self>,
        listeners: Vec<StdTcpListener>,
        commands: StdTcpListener,
    ) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stage = Arc::clone(self);
        let run = move || runtime.block_on(stage.run(listeners, commands));
        std::thread::Builder::new().name("demo".to_owned()).spawn(run)?;
        Ok(())
    }

    async fn run(self: Arc<Self>, listeners: Vec<StdTcpListener>, commands: StdTcpListener) {
        let mut tasks = JoinSet::new();
        for (target, listener) in self.targets.iter().zip(listeners) {
            tasks.spawn(Arc::clone(target).run(listener));
        }
        tasks.spawn(Arc::clone(&self.traffic).run());
        tasks.spawn(Arc::clone(&self).serve_commands(commands));
        while tasks.join_next().await.is_some() {}
    }

    async fn serve_commands(self: Arc<Self>, listener: StdTcpListener) {
        let listener =
            listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => return log::warn!("the demo takes no commands: {error}"),
        };
        loop {
            // One after the other: each is over at once, and a client that hangs hangs itself only.
            if let Ok((stream, _)) = listener.accept().await {
                let stage = Arc::clone(&self);
                tokio::spawn(async move {
                    let _ = http::serve(stream, |request| stage.answer(request)).await;
                });
            } else {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        }
    }

    fn answer(&self, request: &Request) -> Response {
        let ok = |body: String| Response { status: "200 OK", body };
        if request.method != "POST" {
            let body = "accepted: POST /traffic, /targets/{1-4}/kill, /targets/{1-4}/revive, \
                        /targets/{1-4}/drain, /targets/{1-4}/undrain\n";
            return Response { status: "405 Method Not Allowed", body: body.to_owned() };
        }
        if request.path == "/traffic" {
            let running = if self.traffic.toggle() { "on" } else { "off" };
            return ok(format!("traffic is {running}\n"));
        }
        let words: Vec<_> = request.path.trim_start_matches('/').split('/').collect();
        let found = match words.as_slice() {
            ["targets", number, wish] => number
                .parse()
                .ok()
                .and_then(|number| self.target(number))
                .map(|target| (target, *wish)),
            _ => None,
        };
        let unknown = Response { status: "404 Not Found", body: "no such command\n".to_owned() };
        let Some((target, wish)) = found else { return unknown };
        let number = target.number;
        match wish {
            "kill" => {
                target.set_alive(false);
                ok(format!("target {number} killed\n"))
            }
            "revive" => {
                target.set_alive(true);
                ok(format!("target {number} revived\n"))
            }
            "drain" | "undrain" => match self.drain(target, wish == "drain") {
                Ok(()) => ok(format!("target {number} {wish}ed\n")),
                Err(error) => Response { status: "502 Bad Gateway", body: error + "\n" },
            },
            _ => unknown,
        }
    }

    fn target(&self, number: usize) -> Option<&Arc<Target>> {
        self.targets.iter().find(|target| target.number == number)
    }

    fn drain(&self, target: &Target, drains: bool) -> Result<(), String> {
        let admin = self.admin.ok_or("ADMIN_PORT=0: the balancer takes no orders")?;
        drain(admin, target.address, drains)
    }

    /// What a key means: a number kills or revives that target or, after `d`, drains it or lets it
    /// be used again, as it `is_draining` now.
    pub(super) fn press(&self, key: u8, is_draining: impl Fn(SocketAddr) -> bool) {
        let was_choosing = self.is_choosing.swap(key == b'd', Relaxed);
        match key {
            b'1'..=b'9' => {
                let Some(target) = self.target(usize::from(key - b'0')) else { return };
                if !was_choosing {
                    target.set_alive(!target.is_alive());
                } else if let Err(error) = self.drain(target, !is_draining(target.address)) {
                    log::warn!("target {} cannot be drained: {error}", target.number);
                }
            }
            b't' => drop(self.traffic.toggle()),
            _ => {}
        }
    }
}
