//! As much of RFC 6455 as a client needs that says little and hears short texts: a library's client would take as much
//! of the machine as the server that is measured.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a server sent.
pub(crate) enum Frame<'a> {
    Text(&'a [u8]),
    Ping(&'a [u8]),
    Close,
    Other,
}

/// One client's end.
pub(crate) struct Socket {
    stream: TcpStream,
    heard: Vec<u8>,
    used: usize,
}

impl Socket {
    /// Asks for a WebSocket on a connection.
    pub(crate) async fn open(mut stream: TcpStream) -> io::Result<Self> {
        let request = "GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut socket = Self { stream, heard: Vec::with_capacity(512), used: 0 };
        while !socket.heard.windows(4).any(|end| end == b"\r\n\r\n") {
            socket.hear().await?;
        }
        if !socket.heard.starts_with(b"HTTP/1.1 101") {
            return Err(io::Error::other(String::from_utf8_lossy(&socket.heard).into_owned()));
        }
        let end = socket.heard.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(0) + 4;
        socket.heard.drain(..end);
        Ok(socket)
    }

    async fn hear(&mut self) -> io::Result<()> {
        if self.stream.read_buf(&mut self.heard).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Says a text, masked with zeros as the protocol allows.
    pub(crate) async fn say(&mut self, text: &[u8]) -> io::Result<()> {
        self.send(0x81, text).await
    }

    pub(crate) async fn pong(&mut self, payload: &[u8]) -> io::Result<()> {
        self.send(0x8a, payload).await
    }

    async fn send(&mut self, first: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = vec![first];
        match u16::try_from(payload.len()) {
            Ok(short) if short < 126 => frame.push(0x80 | u8::try_from(short).unwrap_or(0)),
            Ok(longer) => {
                frame.push(0x80 + 126);
                frame.extend(longer.to_be_bytes());
            }
            Err(_) => return Err(io::ErrorKind::InvalidInput.into()),
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.stream.write_all(&frame).await
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> io::Result<Frame<'_>> {
        self.heard.drain(..std::mem::take(&mut self.used));
        let (start, end) = loop {
            if let Some(bounds) = bounds(&self.heard) {
                break bounds;
            }
            self.hear().await?;
        };
        while self.heard.len() < end {
            self.hear().await?;
        }
        self.used = end;
        let payload = &self.heard[start..end];
        Ok(match self.heard[0] & 0x0f {
            1 => Frame::Text(payload),
            8 => Frame::Close,
            9 => Frame::Ping(payload),
            _ => Frame::Other,
        })
    }
}

/// Where the payload of the first frame begins and ends, once its head is there.
fn bounds(heard: &[u8]) -> Option<(usize, usize)> {
    match heard.get(1)? & 0x7f {
        126 => {
            let length = u16::from_be_bytes(*heard.get(2..)?.first_chunk()?);
            Some((4, 4 + usize::from(length)))
        }
        127 => {
            let length = u64::from_be_bytes(*heard.get(2..)?.first_chunk()?);
            Some((10, 10 + usize::try_from(length).ok()?))
        }
        short => Some((2, 2 + usize::from(short))),
    }
}
