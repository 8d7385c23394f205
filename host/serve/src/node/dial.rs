//! Calls another node: an association of our own, over which answers go out (PS3.8, 7.1; PS3.7, 9.1.1).

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use dicom_ul::pdu::{
    AbortRQServiceProviderReason, AssociationAC, AssociationRJ, AssociationRJResult, AssociationRJServiceUserReason,
    AssociationRJSource, AssociationRQ, PDataValue, PDataValueType, Pdu, PresentationContextProposed,
    PresentationContextResultReason, UserVariableItem, write_pdu,
};

use ::node::{APPLICATION, End, IMPLEMENTATION, IMPLEMENTATION_NAME, Line, MAX_COMMAND, MAX_PDU, Title, padded};

use crate::{outbox::Trouble, stop::Stop};

/// Kinds of instances that go out: Secondary Capture, Comprehensive SR.
pub(crate) const CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";
pub(crate) const REPORT: &str = "1.2.840.10008.5.1.4.1.1.88.33";
/// How they are written: with the letters of each value representation, or without. Every archive takes the second one.
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Least length of a message part that an archive may ask for, in bytes: none asks for less.
const LEAST_PDU: u32 = 1024;
/// How long a PDU may take to be taken, and an answer to begin.
const PDU: Duration = Duration::from_secs(if cfg!(test) { 5 } else { 30 });
/// How long the end of an association may take.
const RELEASE: Duration = Duration::from_secs(5);
/// How often it is asked whether all is to end.
const TICK: Duration = Duration::from_millis(200);
/// Bytes before each part of a message in a PDU.
const PART_HEAD: usize = 6;

/// Connects, unless all is to end before.
pub(crate) fn connect(address: SocketAddr, stop: &Stop) -> Result<TcpStream, Trouble> {
    let (sender, connected) = channel();
    // On a thread of its own, which ends by itself: nothing breaks off what the system waits for.
    let dial = move || {
        let _ = sender.send(TcpStream::connect_timeout(&address, CONNECT));
    };
    thread::Builder::new().name("pacs-connect".to_owned()).spawn(dial).map_err(|_| Trouble::Unreachable)?;
    loop {
        match connected.recv_timeout(TICK) {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(RecvTimeoutError::Timeout) if !stop.asked() => {}
            Ok(Err(_)) | Err(_) => return Err(Trouble::Unreachable),
        }
    }
}

/// A kind of instance and how it is written, by its number in an association.
#[derive(Clone, Copy)]
struct Context {
    id: u8,
    class: &'static str,
    syntax: &'static str,
}

/// All that is proposed for these kinds, the preferred way of writing first.
fn contexts(classes: &[&'static str]) -> Vec<Context> {
    let all = classes.iter().flat_map(|&class| [EXPLICIT, IMPLICIT].map(|syntax| (class, syntax)));
    all.zip((1..).step_by(2)).map(|((class, syntax), id)| Context { id, class, syntax }).collect()
}

/// An association with another node.
pub(crate) struct Call<'a> {
    stream: &'a TcpStream,
    line: Line<'a>,
    stop: &'a Stop,
    /// What the other end takes of what was proposed.
    contexts: Vec<Context>,
    /// Most bytes of a PDU that the other end takes.
    most: usize,
    /// Number of the last command.
    message: u16,
}

impl<'a> Call<'a> {
    /// Asks for an association, and for nothing but that instances of these kinds may be sent.
    pub(crate) fn open(
        stream: &'a TcpStream,
        stop: &'a Stop,
        calling: &Title,
        called: &Title,
        classes: &[&'static str],
    ) -> Result<Self, Trouble> {
        let (line, contexts, most) = (Line::new(stream, stop), contexts(classes), MAX_PDU as usize);
        let call = Self { stream, line, stop, contexts, most, message: 0 };
        call.write(&Pdu::AssociationRQ(request(calling, called, &call.contexts)))?;
        match call.line.read(Instant::now() + PDU) {
            Ok(Pdu::AssociationAC(answer)) => call.agreed(&answer),
            Ok(Pdu::AssociationRJ(answer)) => Err(rejected(&answer)),
            Ok(Pdu::AbortRQ { .. }) => Err(Trouble::Cut),
            Ok(_) => Err(Trouble::Foreign),
            Err(end) => Err(ended(end)),
        }
    }

    fn agreed(mut self, answer: &AssociationAC) -> Result<Self, Trouble> {
        for variable in &answer.user_variables {
            match variable {
                // In parts of a few bytes an image would take for ever.
                UserVariableItem::MaxLength(1..LEAST_PDU) => {
                    self.release();
                    return Err(Trouble::Foreign);
                }
                UserVariableItem::MaxLength(most @ LEAST_PDU..) => self.most = (*most).min(MAX_PDU) as usize,
                _ => {}
            }
        }
        self.contexts.retain(|proposed| {
            answer.presentation_contexts.iter().any(|it| {
                it.id == proposed.id
                    && it.reason == PresentationContextResultReason::Acceptance
                    && it.transfer_syntax.trim_end_matches(['\0', ' ']) == proposed.syntax
            })
        });
        Ok(self)
    }

    /// What is taken of a kind.
    fn context(&self, class: &str) -> Option<Context> {
        self.contexts.iter().find(|it| it.class == class).copied()
    }

    /// Whether instances of any kind are taken.
    pub(crate) fn takes_any(&self) -> bool {
        !self.contexts.is_empty()
    }

    /// Whether instances of a kind are written with the letters of each value representation; `None` if they are not taken.
    pub(crate) fn is_explicit(&self, class: &str) -> Option<bool> {
        self.context(class).map(|it| it.syntax == EXPLICIT)
    }

    /// Sends an instance of a kind that is taken, and gives the status with which it is answered (PS3.4, table B.2-1).
    pub(crate) fn store(&mut self, class: &str, instance: &str, data_set: &[u8]) -> Result<u16, Trouble> {
        let context = self.context(class).ok_or(Trouble::Foreign)?.id;
        self.message = self.message.wrapping_add(1);
        self.send(context, &PDataValueType::Command, &store_command(self.message, class, instance))?;
        self.send(context, &PDataValueType::Data, data_set)?;
        let answer = self.answer(context)?;
        status(&answer, self.message).ok_or(Trouble::Foreign)
    }

    fn send(&self, context: u8, value_type: &PDataValueType, bytes: &[u8]) -> Result<(), Trouble> {
        // Parts have even lengths.
        let mut parts = bytes.chunks((self.most.saturating_sub(PART_HEAD) & !1).max(2)).peekable();
        while let Some(part) = parts.next() {
            let (value_type, data, is_last) = (value_type.clone(), part.to_vec(), parts.peek().is_none());
            let value = PDataValue { presentation_context_id: context, value_type, is_last, data };
            self.write(&Pdu::PData { data: vec![value] })?;
        }
        Ok(())
    }

    /// The answer to a command, put together.
    fn answer(&self, context: u8) -> Result<Vec<u8>, Trouble> {
        let (mut bytes, until) = (Vec::new(), Instant::now() + PDU);
        loop {
            let parts = match self.line.read(until) {
                Ok(Pdu::PData { data }) if !data.is_empty() => data,
                Ok(Pdu::AbortRQ { .. } | Pdu::ReleaseRQ) => return Err(Trouble::Cut),
                Ok(_) => return Err(Trouble::Foreign),
                Err(end) => return Err(ended(end)),
            };
            for part in parts {
                bytes.extend_from_slice(&part.data);
                let is_of_it = part.value_type == PDataValueType::Command && part.presentation_context_id == context;
                if !is_of_it || bytes.len() > MAX_COMMAND {
                    return Err(Trouble::Foreign);
                }
                if part.is_last {
                    return Ok(bytes);
                }
            }
        }
    }

    fn write(&self, pdu: &Pdu) -> Result<(), Trouble> {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).map_err(|_| Trouble::Foreign)?;
        let (mut left, mut stream, until) = (bytes.as_slice(), self.stream, Instant::now() + PDU);
        while !left.is_empty() {
            if self.stop.asked() {
                return Err(Trouble::Cut);
            }
            if Instant::now() >= until {
                return Err(Trouble::Silent);
            }
            stream.set_write_timeout(Some(TICK)).map_err(|_| Trouble::Cut)?;
            match stream.write(left) {
                Ok(0) => return Err(Trouble::Cut),
                Ok(written) => left = &left[written..],
                Err(error) if passes(&error) => {}
                Err(_) => return Err(Trouble::Cut),
            }
        }
        Ok(())
    }

    /// Ends the association as it should.
    pub(crate) fn release(self) {
        let is_released = self.write(&Pdu::ReleaseRQ).is_ok() && self.line.read(Instant::now() + RELEASE).is_ok();
        if is_released {
            self.line.close();
        }
    }

    /// Ends the association in the middle.
    pub(crate) fn abort(self) {
        self.line.abort(AbortRQServiceProviderReason::ReasonNotSpecified);
    }
}

fn request(calling: &Title, called: &Title, contexts: &[Context]) -> AssociationRQ {
    let contexts = contexts.iter().map(|it| PresentationContextProposed {
        id: it.id,
        abstract_syntax: it.class.to_owned(),
        transfer_syntaxes: vec![it.syntax.to_owned()],
    });
    AssociationRQ {
        protocol_version: 1,
        calling_ae_title: calling.to_string(),
        called_ae_title: called.to_string(),
        application_context_name: APPLICATION.to_owned(),
        presentation_contexts: contexts.collect(),
        user_variables: vec![
            UserVariableItem::MaxLength(MAX_PDU),
            UserVariableItem::ImplementationClassUID(IMPLEMENTATION.to_owned()),
            UserVariableItem::ImplementationVersionName(IMPLEMENTATION_NAME.to_owned()),
        ],
    }
}

/// Why an association was not agreed to.
fn rejected(answer: &AssociationRJ) -> Trouble {
    match (&answer.result, &answer.source) {
        (_, AssociationRJSource::ServiceUser(AssociationRJServiceUserReason::CallingAETitleNotRecognized)) => {
            Trouble::OwnTitle
        }
        (_, AssociationRJSource::ServiceUser(AssociationRJServiceUserReason::CalledAETitleNotRecognized)) => {
            Trouble::ItsTitle
        }
        (AssociationRJResult::Transient, _) | (_, AssociationRJSource::ServiceProviderPresentation(_)) => Trouble::Busy,
        _ => Trouble::Rejected,
    }
}

/// Why nothing was answered.
fn ended(end: End) -> Trouble {
    match end {
        End::Slow | End::Idle => Trouble::Silent,
        End::Malformed | End::TooMuch => Trouble::Foreign,
        End::Released | End::Aborted | End::Gone | End::Unheard | End::Stopped => Trouble::Cut,
    }
}

/// Whether an error only says that nothing was taken yet.
fn passes(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// The command that announces an instance (PS3.7, 9.3.1.1): in implicit representation and little endian.
fn store_command(message: u16, class: &str, instance: &str) -> Vec<u8> {
    let elements: [(u16, Vec<u8>); 6] = [
        (0x0002, padded(class, 0)),
        (0x0100, 1_u16.to_le_bytes().to_vec()),
        (0x0110, message.to_le_bytes().to_vec()),
        // Of medium priority, and a data set follows.
        (0x0700, 0_u16.to_le_bytes().to_vec()),
        (0x0800, 1_u16.to_le_bytes().to_vec()),
        (0x1000, padded(instance, 0)),
    ];
    let put = |mut bytes: Vec<u8>, (number, value): &(u16, Vec<u8>)| {
        bytes.extend([0, 0]);
        bytes.extend(number.to_le_bytes());
        bytes.extend((value.len() as u32).to_le_bytes());
        bytes.extend(value);
        bytes
    };
    let rest = elements.iter().fold(Vec::new(), put);
    let length = put(Vec::new(), &(0, (rest.len() as u32).to_le_bytes().to_vec()));
    [length, rest].concat()
}

/// The status in the answer to a command that announced an instance.
fn status(mut bytes: &[u8], message: u16) -> Option<u16> {
    let (mut field, mut answered, mut status) = (None, None, None);
    while !bytes.is_empty() {
        let (&[0, 0, e0, e1, l0, l1, l2, l3], rest) = bytes.split_first_chunk()? else { return None };
        let value;
        (value, bytes) = rest.split_at_checked(u32::from_le_bytes([l0, l1, l2, l3]) as usize)?;
        let number = value.first_chunk().map(|&two| u16::from_le_bytes(two));
        match u16::from_le_bytes([e0, e1]) {
            0x0100 => field = number,
            0x0120 => answered = number,
            0x0900 => status = number,
            _ => {}
        }
    }
    if (field, answered) == (Some(0x8001), Some(message)) { status } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::node::{Command, Status};

    #[test]
    fn a_command_is_what_our_own_node_understands_and_so_is_its_answer() {
        let command = store_command(7, CAPTURE, "2.25.12");
        assert_eq!(command[8..12], (command.len() as u32 - 12).to_le_bytes());
        let read = Command::read(&command).unwrap();
        assert_eq!((read.class.as_str(), read.instance.as_str(), read.has_data), (CAPTURE, "2.25.12", true));
        for answered in [Status::Success, Status::NoRoom("full"), Status::NotSupported] {
            let answer = read.answer(answered);
            assert_eq!(status(&answer, 7), Some(answered.code()));
            assert_eq!(status(&answer, 8), None, "to another command");
            for end in 0..answer.len() {
                let _ = status(&answer[..end], 7);
            }
        }
        assert_eq!((status(&command, 7), status(&[], 7)), (None, None));
    }

    #[test]
    fn each_kind_is_proposed_in_both_ways_under_odd_numbers() {
        let all: Vec<_> = contexts(&[CAPTURE, REPORT]).iter().map(|it| (it.id, it.class, it.syntax)).collect();
        assert_eq!(all, [(1, CAPTURE, EXPLICIT), (3, CAPTURE, IMPLICIT), (5, REPORT, EXPLICIT), (7, REPORT, IMPLICIT)]);
    }

    #[test]
    fn whoever_rejects_us_is_understood() {
        let permanent = |reason| {
            let source = AssociationRJSource::ServiceUser(reason);
            rejected(&AssociationRJ { result: AssociationRJResult::Permanent, source })
        };
        assert_eq!(permanent(AssociationRJServiceUserReason::CallingAETitleNotRecognized), Trouble::OwnTitle);
        assert_eq!(permanent(AssociationRJServiceUserReason::CalledAETitleNotRecognized), Trouble::ItsTitle);
        assert_eq!(permanent(AssociationRJServiceUserReason::NoReasonGiven), Trouble::Rejected);
        let source = AssociationRJSource::ServiceUser(AssociationRJServiceUserReason::NoReasonGiven);
        let busy = AssociationRJ { result: AssociationRJResult::Transient, source };
        assert_eq!(rejected(&busy), Trouble::Busy);
    }
}
