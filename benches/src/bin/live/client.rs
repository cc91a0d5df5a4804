//! Those who watch.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::figures::microseconds;
use crate::frames::{Frame, Socket};

/// What is watched: the field in which the time of its recording stands.
const SUBSCRIBE: &str = r#"{"id":"1","type":"subscribe","payload":{"query":"subscription { usage { at cpu { coresUsed percent } ram { megabytesUsed percent } network { connections bytesSent } } }"}}"#;
/// What stands before the time.
const FIELD: &[u8] = b"\"connections\":";
/// Handshakes under way at once.
const AT_ONCE: usize = 64;
/// Bytes that the system keeps for one who never reads.
const STALLED_BUFFER: u32 = 4_096;

pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) subscribers: usize,
    /// How many of them never read.
    pub(crate) stalled: usize,
}

/// What they saw.
pub(crate) struct Outcome {
    /// From record to client, in microseconds.
    pub(crate) delays: Vec<u32>,
    /// The last value that each had, by subscriber; absent for those who do not read.
    pub(crate) last: Vec<Option<u64>>,
    /// How many were closed by the server.
    pub(crate) closed: usize,
}

#[derive(Default)]
struct Shared {
    counts: AtomicBool,
    subscribed: AtomicUsize,
    closed: AtomicUsize,
    delays: Mutex<Vec<u32>>,
}

/// The watchers, on one thread of their own.
pub(crate) struct Crowd {
    shared: Arc<Shared>,
    last: Arc<Vec<AtomicU64>>,
    stalled: usize,
    over: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Crowd {
    /// Connects everybody, and waits until each has its first value.
    pub(crate) fn gather(plan: Plan, tokens: &[String]) -> Self {
        let shared = Arc::new(Shared::default());
        let last: Arc<Vec<AtomicU64>> = Arc::new((0..plan.subscribers).map(|_| AtomicU64::new(0)).collect());
        let (over, until) = watch::channel(false);
        let (everybody, stalled) = (plan.subscribers, plan.stalled);
        let thread = {
            let (shared, last, tokens) = (Arc::clone(&shared), Arc::clone(&last), tokens.to_vec());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(watch_all(plan, tokens, shared, last, until));
            })
        };
        while shared.subscribed.load(Ordering::Acquire) < everybody {
            assert!(!thread.is_finished(), "not everybody could watch");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { shared, last, stalled, over, thread }
    }

    pub(crate) fn begin_to_count(&self) {
        self.shared.counts.store(true, Ordering::Release);
    }

    pub(crate) fn stop_counting(&self) {
        self.shared.counts.store(false, Ordering::Release);
    }

    pub(crate) fn dismiss(self) -> Outcome {
        let _ = self.over.send(true);
        self.thread.join().expect("the watchers end");
        let seen =
            |(number, value): (usize, &AtomicU64)| (number >= self.stalled).then(|| value.load(Ordering::Relaxed));
        Outcome {
            delays: std::mem::take(&mut self.shared.delays.lock()),
            last: self.last.iter().enumerate().map(seen).collect(),
            closed: self.shared.closed.load(Ordering::Relaxed),
        }
    }
}

async fn watch_all(
    plan: Plan,
    tokens: Vec<String>,
    shared: Arc<Shared>,
    last: Arc<Vec<AtomicU64>>,
    until: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = tokio::task::JoinSet::new();
    for number in 0..plan.subscribers {
        let place = Arc::clone(&places).acquire_owned().await.expect("it stays open");
        let stream = connect(plan.address, number < plan.stalled).await;
        let (token, shared, last) = (tokens[number % tokens.len()].clone(), Arc::clone(&shared), Arc::clone(&last));
        let (is_stalled, mut until) = (number < plan.stalled, until.clone());
        running.spawn(async move {
            let mut socket = Socket::open(stream).await.expect("a socket");
            let init = format!(r#"{{"type":"connection_init","payload":{{"authorization":"Bearer {token}"}}}}"#);
            socket.say(init.as_bytes()).await.expect("said");
            assert!(matches!(socket.next().await.expect("an answer"), Frame::Text(_)));
            socket.say(SUBSCRIBE.as_bytes()).await.expect("said");
            assert!(matches!(socket.next().await.expect("a value"), Frame::Text(_)));
            drop(place);
            shared.subscribed.fetch_add(1, Ordering::AcqRel);
            if is_stalled {
                // Nothing is read until the end: then what was closed meanwhile shows.
                let _ = until.wait_for(|over| *over).await;
            }
            let watching = watch(&mut socket, &shared, &last[number], is_stalled);
            tokio::select! {
                biased;
                () = watching => { shared.closed.fetch_add(1, Ordering::Relaxed); }
                () = settled(&mut until, is_stalled) => {}
            }
        });
    }
    while running.join_next().await.is_some() {}
}

/// Waits for the end; one who never read gets a moment to see what became of its connection.
async fn settled(until: &mut watch::Receiver<bool>, is_stalled: bool) {
    let _ = until.wait_for(|over| *over).await;
    if is_stalled {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn connect(address: SocketAddr, is_stalled: bool) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    if is_stalled {
        socket.set_recv_buffer_size(STALLED_BUFFER).expect("a small buffer");
    }
    let stream = socket.connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// Reads until the server ends the connection.
async fn watch(socket: &mut Socket, shared: &Shared, last: &AtomicU64, is_stalled: bool) {
    loop {
        let pinged = match socket.next().await {
            Ok(Frame::Text(text)) => {
                let now = microseconds();
                if let Some(recorded) = value(text).filter(|_| !is_stalled) {
                    last.store(recorded, Ordering::Relaxed);
                    if shared.counts.load(Ordering::Acquire) {
                        let delay = u32::try_from(now.saturating_sub(recorded)).unwrap_or(u32::MAX);
                        shared.delays.lock().push(delay);
                    }
                }
                continue;
            }
            Ok(Frame::Ping(payload)) => payload.to_vec(),
            Ok(Frame::Other) => continue,
            Ok(Frame::Close) | Err(_) => return,
        };
        if socket.pong(&pinged).await.is_err() {
            return;
        }
    }
}

fn value(text: &[u8]) -> Option<u64> {
    let start = text.windows(FIELD.len()).position(|window| window == FIELD)? + FIELD.len();
    let digits = text[start..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(None, |value: Option<u64>, digit| Some(value.unwrap_or(0) * 10 + u64::from(digit - b'0')))
}
