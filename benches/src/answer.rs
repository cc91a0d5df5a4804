//! One HTTP/1.1 answer, found in what has been read of a connection: enough to check every answer of a server under load,
//! and to take hardly any time of it.

use std::fmt;

/// A whole answer with a body of known length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: &'a [u8],
    /// The bytes of all of it.
    pub length: usize,
}

/// An answer that cannot be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// It does not begin as HTTP/1.1 does.
    Status,
    /// It does not say how long its body is.
    Length,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status => "an answer without a status",
            Self::Length => "an answer without a content-length",
        })
    }
}

impl std::error::Error for Malformed {}

/// The answer that the buffer begins with; absent where not all of it has arrived.
///
/// # Errors
/// Where it is no answer, or its length is not told.
pub fn read(buffer: &[u8]) -> Result<Option<Answer<'_>>, Malformed> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(end) = buffer.windows(END.len()).position(|window| window == END) else { return Ok(None) };
    let head = &buffer[..end];
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(status).ok_or(Malformed::Status)?;
    let length = lines.find_map(content_length).ok_or(Malformed::Length)?;
    let length = (end + END.len()).checked_add(length).ok_or(Malformed::Length)?;
    Ok(buffer.get(end + END.len()..length).map(|body| Answer { status, body, length }))
}

fn status(line: &[u8]) -> Option<u16> {
    let code = line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    str::from_utf8(code).ok()?.parse().ok()
}

fn content_length(line: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let (name, value) = line.split_at_checked(NAME.len())?;
    if !name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    str::from_utf8(value).ok()?.trim().parse().ok()
}

/// Whether two bodies are one but for the figures in them, which move on while a server is asked.
#[must_use]
pub fn differ_in_figures_alone(one: &[u8], other: &[u8]) -> bool {
    let is_text = |byte: &&u8| !byte.is_ascii_digit() && **byte != b'.';
    one == other || one.iter().filter(is_text).eq(other.iter().filter(is_text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1";

    #[test]
    fn an_answer_is_found_once_all_of_it_is_there() {
        let answer = read(WHOLE).unwrap().unwrap();
        assert_eq!((answer.status, answer.body), (200, &b"{}"[..]));
        assert_eq!(&WHOLE[answer.length..], b"HTTP/1.1");
        for length in 0..answer.length {
            assert_eq!(read(&WHOLE[..length]), Ok(None), "{length}");
        }
    }

    #[test]
    fn an_answer_of_unknown_length_is_refused() {
        assert_eq!(read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), Err(Malformed::Length));
        assert_eq!(read(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"), Err(Malformed::Length));
        assert_eq!(read(b"SSH-2.0-OpenSSH\r\n\r\n"), Err(Malformed::Status));
    }

    #[test]
    fn bodies_that_differ_in_a_word_are_told_apart() {
        assert!(differ_in_figures_alone(br#"{"calls":9}"#, br#"{"calls":10.5}"#));
        assert!(!differ_in_figures_alone(br#"{"calls":9}"#, br#"{"calls":null}"#));
        assert!(!differ_in_figures_alone(br#"{"calls":9}"#, br#"{"calls":9"#));
    }
}
