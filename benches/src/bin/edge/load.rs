//! Whoever asks: one thread, connections that are kept open, one request at a time on each, and every answer checked.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use benches::answer::{self, differ_in_figures_alone};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::Fault;

/// Bytes of an answer: some headers and a line.
const MAX_ANSWER: usize = 16 * 1024;
/// What a server may take for any answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Looks, and never sleeps: to wake a sleeping core costs whoever does it some microseconds, which would be taken for
/// work of a server that is slower than the load, and not of one that keeps it awake.
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// How many answers came, in what time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
}

/// Connections to one server.
pub(crate) struct Load {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    request: Vec<u8>,
    /// What the server answered first: every other answer is this but for its figures.
    first: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    buffer: Box<[u8]>,
    filled: usize,
}

impl Load {
    /// Connects, and asks once.
    pub(crate) fn connect(address: SocketAddr, connections: usize, request: Vec<u8>) -> Result<Self, Fault> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let opened = (0..connections).map(|_| Connection::open(address)).collect::<Result<Vec<_>, _>>()?;
        let mut load = Self { epoll, connections: opened, request, first: Vec::new() };
        load.first = load.ask_once()?;
        for (place, connection) in (0_u64..).zip(&load.connections) {
            connection.stream.set_nonblocking(true)?;
            epoll::add(&load.epoll, &connection.stream, epoll::EventData::new_u64(place), epoll::EventFlags::IN)?;
        }
        Ok(load)
    }

    fn ask_once(&mut self) -> Result<Vec<u8>, Fault> {
        let connection = self.connections.first_mut().ok_or("no connection")?;
        connection.stream.write_all(&self.request)?;
        let body = loop {
            if let Some(body) = connection.receive(<[u8]>::to_vec)? {
                break body;
            }
        };
        let text = String::from_utf8_lossy(&body);
        if text.contains("\"errors\"") || !text.contains("\"apiCallsPerHour\":") {
            return Err(format!("answers {text}").into());
        }
        Ok(body)
    }

    /// Asks on every connection for so long, and waits for the last answers: whatever the server did in this time, it did
    /// for the requests that are counted.
    pub(crate) fn run(&mut self, stretch: Duration) -> Result<Run, Fault> {
        let start = now();
        let mut last = start;
        for connection in &mut self.connections {
            connection.send(&self.request)?;
        }
        let (mut requests, mut waiting) = (0, self.connections.len());
        let mut events = Vec::with_capacity(waiting);
        while waiting > 0 {
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&AT_ONCE))?;
            let now = now();
            if events.is_empty() && now - last > PATIENCE {
                return Err("does not answer any more".into());
            }
            if events.is_empty() {
                continue;
            }
            last = now;
            let is_over = now - start >= stretch;
            for event in &events {
                let connection =
                    usize::try_from(event.data.u64()).ok().and_then(|place| self.connections.get_mut(place));
                let connection = connection.ok_or("an event of no connection")?;
                let is_expected = connection.receive(|body| differ_in_figures_alone(&self.first, body))?;
                match is_expected {
                    None => continue,
                    Some(false) => return Err("answers something else than at first".into()),
                    Some(true) => requests += 1,
                }
                if is_over {
                    waiting -= 1;
                } else {
                    connection.send(&self.request)?;
                }
            }
        }
        Ok(Run { requests, elapsed: start.elapsed() })
    }
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self, Fault> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; MAX_ANSWER].into_boxed_slice(), filled: 0 })
    }

    /// A request is shorter than any socket's buffer, which is empty where nothing is under way.
    fn send(&mut self, request: &[u8]) -> Result<(), Fault> {
        Ok(self.stream.write_all(request)?)
    }

    /// Reads once, and gives the body of the answer where all of it has arrived.
    fn receive<T>(&mut self, of_body: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, Fault> {
        match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => return Err("closed a connection".into()),
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let Some(answer) = answer::read(&self.buffer[..self.filled])? else { return Ok(None) };
        if answer.status != 200 {
            return Err(format!("answers {}: {}", answer.status, String::from_utf8_lossy(answer.body)).into());
        }
        if answer.length != self.filled {
            return Err("answers more than it was asked".into());
        }
        let taken = of_body(answer.body);
        self.filled = 0;
        Ok(Some(taken))
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the system's clock")]
fn now() -> Instant {
    Instant::now()
}
