//! What goes between the parent and the child process: one call, and one answer to it.
//!
//! A frame is its length in bytes (four bytes, the lowest first) and so many bytes of JSON. Behind a call comes the component,
//! compiled or to be compiled; behind the answer to `compile` what it was compiled to, up to the end. The descriptors of a call
//! come with its length: the socket for requests and the staging folder, where they are granted, in this order. On the socket
//! for requests both ends speak HTTP/2.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

use super::bindings::exports::tidegate::sync::job as raw;
use super::sighting::Sighting;
use crate::limits::{ANSWER_BYTES_MAX, CALL_BYTES_MAX, Limits};

/// By which this binary knows that it was started as a child.
pub const ARGUMENT: &str = "component-process";

/// Descriptors that come with a call, at the most.
const DESCRIPTORS: usize = 2;
const LENGTH_BYTES: usize = 4;

/// What the child does.
#[derive(Debug, Serialize, Deserialize)]
pub struct Call {
    pub function: Function,
    pub limits: Limits,
    /// The settings that the component declared, never a secret.
    pub environment: Vec<(String, String)>,
    /// How stand-ins for signatures begin; none where nothing is signed.
    pub signing_mark: Option<String>,
    /// What to do where it takes too much, in words.
    pub fetch_less: String,
    /// CPU time that it may use.
    pub cpu: Duration,
    /// Memory that it may use: its own, and what is held for it.
    pub memory_bytes: u64,
    /// Bytes that it may stage.
    pub staged_bytes_left: u64,
    /// Of the component, which follows.
    pub code_bytes: usize,
    /// Whether a socket for requests comes with the call.
    pub has_requests: bool,
    /// Whether the staging folder does.
    pub has_staging: bool,
}

/// Which function is called.
#[derive(Debug, Serialize, Deserialize)]
pub enum Function {
    /// Compiles the component.
    Compile,
    Describe,
    Run(raw::Request),
    /// Takes a first look at the source.
    Look,
}

/// What came of a call.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    pub came: Result<Said, Stopped>,
    pub used: Used,
}

impl Answer {
    /// There is no answer of the component's.
    pub fn stopped(why: Stopped) -> Self {
        Self {
            came: Err(why),
            used: Used::default(),
        }
    }
}

/// What the component said, as it came.
#[derive(Debug, Serialize, Deserialize)]
pub enum Said {
    Description(raw::Description),
    Report(raw::Report),
    Failure(raw::Failure),
    Sighting(Sighting),
    /// It has no function that takes a first look.
    NoLook,
    /// It is compiled; so many bytes follow.
    Compiled(u64),
}

/// Why there is no answer of the component's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stopped {
    /// It trapped, broke the contract or ran into another limit; in words.
    Failed(String),
    /// It is no valid component; in words.
    Invalid(String),
    /// There was no memory to compile or to load it.
    Memory,
    /// The wall around the child could not be put up; in words.
    Wall(String),
    /// The machine has no thread or descriptor for it now; in words.
    Scarce(String),
}

/// What a call used and did, beside its answer.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub struct Used {
    /// CPU time of the component, what is done for it included.
    pub cpu: Duration,
    /// The largest its memories and tables were, together.
    pub memory_peak_bytes: usize,
    /// The most entries that one of its tables had.
    pub table_peak_elements: usize,
    /// Bytes it staged: the largest its files were, together.
    pub staged_bytes: u64,
    /// Whether it wrote to staged files only at their ends. A process that a component took over may say so of other files; what was
    /// read of them meanwhile is then what the component staged at some time, and so can be any records, as all that it stages.
    pub staged_only_grew: bool,
}

/// Sends the length of a call, and its descriptors. The call itself is to follow, and the component.
pub fn send_descriptors(
    control: impl AsFd,
    length: u32,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors"));
    }
    let length = length.to_le_bytes();
    let sent = sendmsg(
        control,
        &[IoSlice::new(&length)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    if sent == LENGTH_BYTES {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// Takes a call with its descriptors.
pub fn receive(control: &mut UnixStream) -> io::Result<(Call, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut length = [0; LENGTH_BYTES];
    let received = recvmsg(
        &*control,
        &mut [IoSliceMut::new(&mut length)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL,
    )?;
    if received.bytes < LENGTH_BYTES {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let mut frame = vec![0; checked(length, CALL_BYTES_MAX)?];
    control.read_exact(&mut frame)?;
    Ok((parsed(&frame)?, descriptors))
}

/// Reads the component of a call.
pub fn read_code(control: &mut UnixStream, call: &Call) -> io::Result<Vec<u8>> {
    let mut code = vec![0; call.code_bytes];
    control.read_exact(&mut code)?;
    Ok(code)
}

/// Writes an answer. One that is too long becomes one that says so.
pub fn write_answer(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let mut frame = serde_json::to_vec(answer)?;
    if frame.len() > ANSWER_BYTES_MAX {
        let why = format!(
            "the component broke the contract: it returned {} bytes, and {ANSWER_BYTES_MAX} are allowed",
            frame.len()
        );
        frame = serde_json::to_vec(&Answer {
            came: Err(Stopped::Failed(why)),
            used: answer.used,
        })?;
    }
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&frame)
}

/// Reads an answer. `None`: the child ended without one. `Err`: what came is none, or it cannot be read.
pub async fn read_answer(control: &mut tokio::net::UnixStream) -> io::Result<Option<Answer>> {
    let mut length = [0; LENGTH_BYTES];
    match control.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut frame = Vec::new();
    let bytes = checked(length, ANSWER_BYTES_MAX)?;
    // Memory is taken as it comes, not as it is announced.
    let mut body = control.take(bytes as u64);
    body.read_to_end(&mut frame).await?;
    if frame.len() < bytes {
        return Ok(None);
    }
    parsed(&frame).map(Some)
}

/// The frame of a call, and its length.
pub fn encoded(call: &Call) -> io::Result<(u32, Vec<u8>)> {
    let frame = serde_json::to_vec(call)?;
    let length = u32::try_from(frame.len()).ok();
    match length.filter(|_| frame.len() <= CALL_BYTES_MAX) {
        Some(length) => Ok((length, frame)),
        None => Err(io::Error::other(format!(
            "a call of {} bytes, and {CALL_BYTES_MAX} are allowed",
            frame.len()
        ))),
    }
}

fn checked(length: [u8; LENGTH_BYTES], most: usize) -> io::Result<usize> {
    let length = u32::from_le_bytes(length) as usize;
    if length <= most {
        return Ok(length);
    }
    Err(io::Error::other(format!(
        "a frame of {length} bytes, and {most} are allowed"
    )))
}

fn parsed<T: DeserializeOwned>(frame: &[u8]) -> io::Result<T> {
    Ok(serde_json::from_slice(frame)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What the parent makes of these bytes of a child's, which ends behind them.
    fn read(bytes: &[u8]) -> io::Result<Option<Answer>> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let bytes = bytes.to_vec();
        std::thread::spawn(move || theirs.write_all(&bytes));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            read_answer(&mut tokio::net::UnixStream::from_std(ours).unwrap()).await
        })
    }

    fn framed(frame: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(frame.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend(frame);
        bytes
    }

    #[test]
    fn a_call_arrives_as_it_was_sent_with_its_descriptors() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let call = Call {
            function: Function::Look,
            limits: Limits::default(),
            environment: vec![("A".to_owned(), "ü".repeat(100_000))],
            signing_mark: Some("tidegate.m.".to_owned()),
            fetch_less: "less".to_owned(),
            cpu: Duration::from_millis(1500),
            memory_bytes: 7,
            staged_bytes_left: 8,
            code_bytes: 3,
            has_requests: false,
            has_staging: true,
        };
        let sent = std::thread::spawn(move || {
            let folder = std::fs::File::open(".").unwrap();
            let (length, frame) = encoded(&call).unwrap();
            send_descriptors(&ours, length, &[folder.as_fd()]).unwrap();
            ours.write_all(&frame).unwrap();
            ours.write_all(b"abc").unwrap();
            call
        });

        let (received, descriptors) = receive(&mut theirs).unwrap();

        assert_eq!(read_code(&mut theirs, &received).unwrap(), b"abc");
        assert_eq!(json!(received), json!(sent.join().unwrap()));
        assert_eq!(descriptors.len(), 1);
    }

    #[test]
    fn an_answer_that_is_cut_off_is_none() {
        let whole = framed(&serde_json::to_vec(&Answer::stopped(Stopped::Memory)).unwrap());

        assert!(read(&whole).unwrap().is_some());
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).unwrap().is_none(), "{end}");
        }
    }

    #[test]
    fn an_answer_that_is_too_long_is_refused_unread() {
        let length = u32::try_from(ANSWER_BYTES_MAX + 1).unwrap();

        let read = read(&length.to_le_bytes());

        let error = read.unwrap_err().to_string();
        assert!(error.contains("bytes, and 4194304 are allowed"), "{error}");
    }

    #[test]
    fn an_answer_that_is_too_long_becomes_one_that_says_so() {
        let answer = Answer {
            came: Ok(Said::Failure(raw::Failure::Settings(vec![
                raw::Problem {
                    setting: String::new(),
                    message: String::new(),
                };
                500_000
            ]))),
            used: Used::default(),
        };
        let mut bytes = Vec::new();

        write_answer(&mut bytes, &answer).unwrap();

        let came = read(&bytes).unwrap().unwrap().came.unwrap_err();
        assert!(matches!(came, Stopped::Failed(why) if why.contains("are allowed")));
    }

    proptest! {
        #[test]
        fn whatever_a_child_sends_is_an_answer_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
            let framed = read(&framed(&bytes));
            prop_assert!(framed.is_err(), "{framed:?}");
        }
    }
}
