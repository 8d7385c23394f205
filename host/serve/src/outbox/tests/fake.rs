//! An archive that answers as it is told.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use dicom_ul::pdu::{
    AssociationAC, AssociationRJ, AssociationRJResult, AssociationRJServiceUserReason, AssociationRJSource, PDataValue,
    PDataValueType, Pdu, PresentationContextResult, PresentationContextResultReason, UserVariableItem, read_pdu,
    write_pdu,
};

use super::{EXPLICIT, dial};

/// An image that has arrived: its UID as announced, and its data set.
pub(super) type Arrived = (String, Vec<u8>);

/// How associations are answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Takes,
    /// Only without the letters of representations, and in small PDUs.
    TakesImplicit,
    /// Nothing but captures.
    TakesNoReports,
    RejectsCaller,
    TakesNothing,
    /// Something else is there.
    SaysOther,
}

/// An archive that answers as it is told.
#[derive(Clone)]
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    /// Statuses of the next answers; of those after them, success.
    statuses: Arc<Mutex<VecDeque<u16>>>,
    pub(super) releases: Arc<Mutex<usize>>,
}

impl Fake {
    pub(super) fn new(manner: Manner, statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let statuses = Arc::new(Mutex::new(statuses.iter().copied().collect()));
        let address = listener.local_addr().unwrap();
        let this = Self { address, arrived: Arc::default(), statuses, releases: Arc::default() };
        let served = this.clone();
        // It ends with the test.
        thread::spawn(move || {
            for stream in listener.incoming() {
                served.serve(stream.unwrap(), manner);
            }
        });
        this
    }

    pub(super) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    fn serve(&self, mut stream: TcpStream, manner: Manner) {
        let Some(Pdu::AssociationRQ(request)) = next(&mut stream) else { return };
        assert_eq!((request.calling_ae_title.as_str(), request.called_ae_title.as_str()), ("PUMUA", "PACS"));
        let rejected = AssociationRJ {
            result: AssociationRJResult::Permanent,
            source: AssociationRJSource::ServiceUser(AssociationRJServiceUserReason::CallingAETitleNotRecognized),
        };
        let results = request.presentation_contexts.iter().map(|it| {
            let is_taken = match manner {
                Manner::Takes => true,
                Manner::TakesImplicit => it.transfer_syntaxes != [EXPLICIT],
                Manner::TakesNoReports => it.abstract_syntax == dial::CAPTURE,
                _ => false,
            };
            let reason = if is_taken {
                PresentationContextResultReason::Acceptance
            } else {
                PresentationContextResultReason::AbstractSyntaxNotSupported
            };
            PresentationContextResult { id: it.id, reason, transfer_syntax: it.transfer_syntaxes[0].clone() }
        });
        let most = if manner == Manner::TakesImplicit { 1024 } else { 16_384 };
        let agreed = AssociationAC {
            protocol_version: 1,
            calling_ae_title: request.calling_ae_title.clone(),
            called_ae_title: request.called_ae_title.clone(),
            application_context_name: request.application_context_name.clone(),
            presentation_contexts: results.collect(),
            user_variables: vec![UserVariableItem::MaxLength(most)],
        };
        match manner {
            Manner::RejectsCaller => return say(&mut stream, &Pdu::AssociationRJ(rejected)),
            Manner::SaysOther => return stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap(),
            _ => say(&mut stream, &Pdu::AssociationAC(agreed)),
        }
        let (mut command, mut data) = (Vec::new(), Vec::new());
        while let Some(pdu) = next(&mut stream) {
            let parts = match pdu {
                Pdu::PData { data } => data,
                Pdu::ReleaseRQ => {
                    *self.releases.lock().unwrap() += 1;
                    return say(&mut stream, &Pdu::ReleaseRP);
                }
                _ => return,
            };
            for part in parts {
                assert!(part.data.len() + 6 <= most as usize && part.data.len() % 2 == 0);
                match part.value_type {
                    PDataValueType::Command => command.extend(part.data),
                    PDataValueType::Data => {
                        data.extend(part.data);
                        if part.is_last {
                            let status = self.statuses.lock().unwrap().pop_front().unwrap_or(0);
                            let uid = at(&command, 0x1000);
                            let uid = String::from_utf8(uid).unwrap().trim_matches('\0').to_owned();
                            self.arrived.lock().unwrap().push((uid, data.clone()));
                            let bytes = answered(&at(&command, 0x0110), status);
                            let value_type = PDataValueType::Command;
                            let presentation_context_id = part.presentation_context_id;
                            let value = PDataValue { presentation_context_id, value_type, is_last: true, data: bytes };
                            say(&mut stream, &Pdu::PData { data: vec![value] });
                            (command, data) = (Vec::new(), Vec::new());
                        }
                    }
                }
            }
        }
    }
}

fn next(stream: &mut TcpStream) -> Option<Pdu> {
    let mut bytes = vec![0; 6];
    stream.read_exact(&mut bytes).ok()?;
    let length = u32::from_be_bytes(bytes[2..6].try_into().unwrap());
    bytes.resize(6 + length as usize, 0);
    stream.read_exact(&mut bytes[6..]).ok()?;
    read_pdu(bytes.as_slice(), 1 << 20, true).unwrap()
}

fn say(stream: &mut TcpStream, pdu: &Pdu) {
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, pdu).unwrap();
    // The other end may have ended.
    let _ = stream.write_all(&bytes);
}

/// A value of a command.
fn at(mut bytes: &[u8], element: u16) -> Vec<u8> {
    while !bytes.is_empty() {
        let length = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
        if u16::from_le_bytes([bytes[2], bytes[3]]) == element {
            return bytes[8..8 + length].to_vec();
        }
        bytes = &bytes[8 + length..];
    }
    Vec::new()
}

fn answered(message: &[u8], status: u16) -> Vec<u8> {
    let all: [(u16, &[u8]); 4] =
        [(0x0100, &0x8001_u16.to_le_bytes()), (0x0120, message), (0x0800, &[1, 1]), (0x0900, &status.to_le_bytes())];
    let put = |(number, value): &(u16, &[u8])| {
        [&[0, 0][..], &number.to_le_bytes(), &(value.len() as u32).to_le_bytes(), value].concat()
    };
    all.iter().flat_map(put).collect()
}
