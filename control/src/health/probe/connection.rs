use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};
use ureq_proto::BodyMode;
use ureq_proto::client::state::{RecvBody, RecvResponse};
use ureq_proto::client::{Call, RecvResponseResult};

use super::failure::CheckFlaw;
use super::obstacle::Obstacle;
use super::{head, protocol};

/// Largest head of an answer, in bytes.
pub(super) const MAX_HEAD_BYTES: usize = 16 << 10;

/// Of a body this much is read after what has decided. A connection that is closed with more on its
/// way is reset, which servers log as an error.
const MAX_REST_BYTES: usize = 1 << 20;

/// How long the rest of an answer is read once its result is known.
const LINGER: Duration = Duration::from_millis(200);

/// At least so much of an answer is read at a time, in bytes.
const PIECE_BYTES: usize = 2 << 10;

/// The connection of one check. Until `deadline` it waits for what the target says.
#[derive(Debug)]
pub(super) struct ProbeConnection<S> {
    stream: S,
    deadline: Instant,
    /// What has come and was not taken.
    received: Vec<u8>,
    has_ended: bool,
    /// None where no body follows, or not yet.
    body: Option<Call<RecvBody>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> ProbeConnection<S> {
    pub(super) fn new(stream: S, deadline: Instant) -> Self {
        Self { stream, deadline, received: Vec::new(), has_ended: false, body: None }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Obstacle> {
        let sent = timeout_at(self.deadline, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        });
        Ok(sent.await??)
    }

    /// The status of the answer. Its head is looked at only when it is whole, so that a line that
    /// is folded into the next, which the parser does not know, can be made one.
    pub(super) async fn receive_head(
        &mut self,
        mut call: Call<RecvResponse>,
    ) -> Result<u16, Obstacle> {
        loop {
            let end = self.receive_one_head().await?;
            head::unfold(&mut self.received[..end]);
            let (bytes, response) = call.try_response(&self.received[..end], false)?;
            self.received.drain(..bytes);
            if let Some(response) = response {
                if let Some(RecvResponseResult::RecvBody(body)) = call.proceed() {
                    self.body = Some(body);
                }
                return Ok(response.status().as_u16());
            }
            if bytes == 0 {
                return Err(CheckFlaw::Malformed("a head without an end".to_owned()).into());
            }
        }
    }

    /// Waits for a whole head: how many bytes it has.
    async fn receive_one_head(&mut self) -> Result<usize, Obstacle> {
        loop {
            protocol::recognise(&self.received).map_err(CheckFlaw::NotHttp)?;
            let end = head::end(&self.received);
            if end.unwrap_or(self.received.len()) > MAX_HEAD_BYTES {
                return Err(CheckFlaw::LongHead(MAX_HEAD_BYTES).into());
            }
            if let Some(end) = end {
                return Ok(end);
            }
            let had_begun = !self.received.is_empty();
            match self.read(self.deadline).await {
                Ok(0) => return Err(CheckFlaw::Cut.into()),
                Ok(_) => {}
                Err(Obstacle::TimedOut) if had_begun => return Err(Obstacle::SlowHead),
                Err(obstacle) => return Err(obstacle),
            }
        }
    }

    /// What comes next of the body, as much as there is room for: at least a byte, or it has ended.
    pub(super) async fn receive_body(&mut self, room: &mut [u8]) -> Result<usize, Obstacle> {
        self.receive_body_until(self.deadline, room).await
    }

    async fn receive_body_until(
        &mut self,
        deadline: Instant,
        room: &mut [u8],
    ) -> Result<usize, Obstacle> {
        loop {
            let Some(body) = &mut self.body else { return Ok(0) };
            let ends_by_itself = !matches!(body.body_mode(), BodyMode::CloseDelimited);
            if ends_by_itself && body.can_proceed() {
                return Ok(0);
            }
            let (taken, bytes) = body.read(&self.received, room)?;
            self.received.drain(..taken);
            if bytes > 0 {
                return Ok(bytes);
            }
            if taken > 0 {
                continue;
            }
            if self.has_ended {
                let is_whole = body.can_proceed() || body.is_ended_chunked();
                return if is_whole { Ok(0) } else { Err(CheckFlaw::Cut.into()) };
            }
            match self.read(deadline).await {
                Err(Obstacle::Io(error)) if is_end(&error) => self.has_ended = true,
                read => drop(read?),
            }
        }
    }

    /// Reads what is still to come, for a short time. How it ends changes nothing.
    pub(super) async fn read_rest(&mut self) {
        let deadline = self.deadline.min(Instant::now() + LINGER);
        let mut room = vec![0; PIECE_BYTES];
        let mut left = MAX_REST_BYTES;
        while let Ok(bytes) = self.receive_body_until(deadline, &mut room).await {
            left = left.saturating_sub(bytes);
            if bytes == 0 || left == 0 {
                return;
            }
        }
    }

    /// How many bytes have come; none at the end of the stream.
    async fn read(&mut self, deadline: Instant) -> Result<usize, Obstacle> {
        // Data that is always there would otherwise put off the deadline.
        if Instant::now() >= deadline {
            return Err(Obstacle::TimedOut);
        }
        self.received.reserve(PIECE_BYTES);
        let bytes = timeout_at(deadline, self.stream.read_buf(&mut self.received)).await??;
        self.has_ended = bytes == 0;
        Ok(bytes)
    }
}

/// Whether no more comes, and nothing is amiss where the body is over.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
