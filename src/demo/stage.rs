use std::net::TcpListener as StdTcpListener;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

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
        if request.method != "POST" {
            let body = "accepted: POST /targets/{1-4}/kill, /targets/{1-4}/revive, /traffic\n";
            return Response { status: "405 Method Not Allowed", body: body.to_owned() };
        }
        if request.path == "/traffic" {
            let running = if self.traffic.toggle() { "on" } else { "off" };
            return Response { status: "200 OK", body: format!("traffic is {running}\n") };
        }
        let words: Vec<_> = request.path.trim_start_matches('/').split('/').collect();
        let target = |number: &str| {
            let number: usize = number.parse().ok()?;
            self.targets.iter().find(|target| target.number == number)
        };
        let done = match words.as_slice() {
            ["targets", number, "kill"] => target(number).map(|target| (target, false)),
            ["targets", number, "revive"] => target(number).map(|target| (target, true)),
            _ => None,
        };
        let Some((target, alive)) = done else {
            return Response { status: "404 Not Found", body: "no such command\n".to_owned() };
        };
        target.set_alive(alive);
        let state = if alive { "revived" } else { "killed" };
        Response { status: "200 OK", body: format!("target {} {state}\n", target.number) }
    }

    /// Kills or revives the target with that number, if there is one.
    pub(super) fn toggle(&self, number: usize) {
        if let Some(target) = self.targets.iter().find(|target| target.number == number) {
            target.set_alive(!target.is_alive());
        }
    }
}
