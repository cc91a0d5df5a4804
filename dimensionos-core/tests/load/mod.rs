//! This program, started once more to be a load: it waits for a line, does what it is for, and tells by a line.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write, stdin};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};

/// Set for the program that is the load.
const IS_A_LOAD: &str = "DIMENSIONOS_TEST_LOAD";
/// A pair of interfaces that are joined, and a neighbour behind the other end that takes every datagram and says nothing.
/// Large frames, since each has a header that counts.
pub(super) const NAMESPACE: &str = "ip link add near mtu 9000 type veth peer name far mtu 9000 address 02:00:00:00:00:01 \
    && ip addr add 10.9.9.1/24 dev near && ip link set near up && ip link set far up \
    && ip neigh add 10.9.9.2 lladdr 02:00:00:00:00:01 dev near";
const NEIGHBOUR: &str = "10.9.9.2:9";

/// A load that runs until it is dropped.
pub(super) struct Load {
    process: Child,
    orders: ChildStdin,
    /// What it says comes by standard error: the test harness writes on standard output.
    answers: BufReader<ChildStderr>,
}

impl Load {
    /// Starts this program again for the one test of that name.
    pub(super) fn start(test: &str) -> Self {
        Self::spawn(Command::new(std::env::current_exe().unwrap()), test)
    }

    /// Starts it in a network namespace whose loopback is up, after those commands; or the reason why there is none.
    pub(super) fn start_in_a_network_of_its_own(test: &str, commands: &str) -> Result<Self, String> {
        let commands = if commands.is_empty() { "true" } else { commands };
        let script = format!("ip link set lo up && {{ {commands}; }} && exec \"$0\" \"$@\"");
        let namespaces: [&[&str]; 2] = [&["--net"], &["--map-root-user", "--net"]];
        for namespace in namespaces {
            let mut probe = Command::new("unshare");
            probe.args(namespace).args(["sh", "-c", &script, "true"]).stdout(Stdio::null()).stderr(Stdio::null());
            if probe.status().is_ok_and(|status| status.success()) {
                let mut command = Command::new("unshare");
                command.args(namespace).args(["sh", "-c", &script]).arg(std::env::current_exe().unwrap());
                return Ok(Self::spawn(command, test));
            }
        }
        Err("no network namespace can be made and set up here".to_owned())
    }

    fn spawn(mut command: Command, test: &str) -> Self {
        command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(IS_A_LOAD, "yes");
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (orders, answers) = (process.stdin.take().unwrap(), BufReader::new(process.stderr.take().unwrap()));
        Self { process, orders, answers }
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Lets it go on from where it waits.
    pub(super) fn go_on(&mut self) {
        self.orders.write_all(b"go\n").unwrap();
    }

    /// Waits until it says that word, and tells what it says with it.
    pub(super) fn expect(&mut self, word: &str) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let said = line.trim_end().strip_prefix(word);
        said.unwrap_or_else(|| panic!("{line:?} instead of {word}")).trim().to_owned()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether this program was started to be the load.
pub(super) fn is_a_load() -> bool {
    std::env::var_os(IS_A_LOAD).is_some()
}

/// Waits to be told to go on; ends with whoever would tell it.
pub(super) fn wait() {
    if stdin().lock().read_line(&mut String::new()).unwrap() == 0 {
        std::process::exit(0);
    }
}

/// Says a word and what belongs to it.
pub(super) fn say(words: &str) {
    eprintln!("{words}");
}

/// Uses so much processor time in all, by a clock of the kernel's that is not the one of the collectors: the run time of
/// this thread in nanoseconds.
pub(super) fn burn(microseconds: u64) {
    let used = || {
        let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        text.split(' ').next().unwrap().parse::<u64>().unwrap() / 1_000
    };
    while used() < microseconds {
        std::hint::black_box((0..10_000_u64).fold(0, |sum, number| sum ^ std::hint::black_box(number)));
    }
}

/// Memory of that size, each page of it written.
pub(super) fn hold(bytes: u64) -> Vec<u8> {
    std::hint::black_box(vec![1; usize::try_from(bytes).unwrap()])
}

/// Sends so many bytes from one socket to another by loopback, and waits until they are there.
pub(super) fn carry_over_loopback(bytes: u64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut far = listener.accept().unwrap().0;
    let received = std::thread::spawn(move || far.read_to_end(&mut Vec::new()).unwrap());
    near.write_all(&hold(bytes)).unwrap();
    drop(near);
    assert_eq!(received.join().unwrap() as u64, bytes);
}

/// Sends so many bytes to the neighbour of [`NAMESPACE`], in datagrams that fill a frame.
pub(super) fn carry_outward(bytes: u64) {
    const DATAGRAM: usize = 8_900;
    let socket = UdpSocket::bind("10.9.9.1:0").unwrap();
    let mut left = usize::try_from(bytes).unwrap();
    while left > 0 {
        let length = left.min(DATAGRAM);
        socket.send_to(&[0; DATAGRAM][..length], NEIGHBOUR).unwrap();
        left -= length;
    }
}

/// Microseconds in which any processor of this machine ran something, as `/proc/stat` has it: user, nice, system and
/// both kinds of interrupts.
pub(super) fn busy_microseconds() -> u64 {
    /// The kernel shows its users a hundredth of a second, whatever it counts in itself.
    const TICK: u64 = 10_000;
    let text = fs::read_to_string("/proc/stat").unwrap();
    let ticks: Vec<u64> = text.lines().next().unwrap().split_whitespace().skip(1).map(|n| n.parse().unwrap()).collect();
    [0, 1, 2, 5, 6].into_iter().map(|place: usize| ticks[place]).sum::<u64>() * TICK
}

/// Bytes of this machine's memory that a program which starts now could not have, as `/proc/meminfo` has it.
pub(super) fn unavailable_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
    };
    of("MemTotal:") - of("MemAvailable:")
}
