//! What is agreed before anything is sent (PS3.8, 7.1): who calls whom, which kinds of images, and how they are written.

use std::{collections::HashSet, net::IpAddr};

use decode::TRANSFER_SYNTAXES;
use dicom_ul::pdu::{
    AssociationAC, AssociationRJ, AssociationRJResult, AssociationRJServiceProviderASCEReason,
    AssociationRJServiceProviderPresentationReason, AssociationRJServiceUserReason, AssociationRJSource, AssociationRQ,
    PresentationContextProposed, PresentationContextResult, PresentationContextResultReason, UserVariableItem,
};

use crate::{
    event::{Event, What},
    line::MAX_PDU,
    title::{Node, heard},
};

/// The kind that is not an image, for C-ECHO.
pub const VERIFICATION: &str = "1.2.840.10008.1.1";
/// Kinds of images that are taken (PS3.4, table B.5-1): computed radiography, digital radiography for presentation and for
/// processing, secondary capture.
pub const IMAGES: [&str; 4] = [
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.7",
];

/// How the UIDs of all kinds of images begin that can be stored.
const STORED: &str = "1.2.840.10008.5.1.4.1.1.";

/// The only application context there is (PS3.7, A.2.1).
pub const APPLICATION: &str = "1.2.840.10008.3.1.1.1";
/// What is named where nothing is accepted; it means nothing.
const DEFAULT_SYNTAX: &str = "1.2.840.10008.1.2";
/// Names this program to others (PS3.7, D.3.3.2): made from a random UUID (PS3.5, B.2).
pub const IMPLEMENTATION: &str = "2.25.230095914793801877508656526521095208913";
/// The same for people.
pub const IMPLEMENTATION_NAME: &str = "PUMUA";

/// A kind of image and the transfer syntax in which it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    /// Number by which it is named from here on.
    pub(crate) id: u8,
    pub(crate) class: &'static str,
    pub(crate) syntax: &'static str,
}

/// What was agreed.
#[derive(Debug)]
pub(crate) struct Agreed {
    pub(crate) calling: String,
    pub(crate) contexts: Vec<Context>,
    /// Most bytes of a PDU that the other end takes; 0 for any.
    pub(crate) max_pdu: u32,
    pub(crate) answer: AssociationAC,
    /// Why no image will come, if none can.
    pub(crate) trouble: Option<Event>,
}

/// Why nothing is agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Nobody at this address may send.
    Stranger,
    /// There are as many associations as there may be.
    Busy,
    /// Somebody else is called.
    NotCalled { called: String, own: String },
    /// Somebody with another title may send from this address.
    NotNamed { calling: String },
    /// Another version of the protocol.
    Version,
    /// Something else than DICOM's messages would be sent.
    Application,
    /// Kinds of images have numbers that are even, or the same.
    Numbers,
}

impl Refused {
    /// What is noted of it.
    pub(crate) fn event(&self) -> Event {
        match self {
            Self::Stranger => What::Stranger.into(),
            Self::Busy => What::Busy.into(),
            Self::NotCalled { called, own } => Event::new(What::NotCalled, [called.clone(), own.clone(), own.clone()]),
            Self::NotNamed { calling } => Event::new(What::NotNamed, [calling.clone()]),
            Self::Version | Self::Application | Self::Numbers => What::Foreign.into(),
        }
    }

    /// What is answered.
    pub(crate) fn answer(&self) -> AssociationRJ {
        let user = AssociationRJSource::ServiceUser;
        let (result, source) = match self {
            Self::Busy => (
                AssociationRJResult::Transient,
                AssociationRJSource::ServiceProviderPresentation(
                    AssociationRJServiceProviderPresentationReason::LocalLimitExceeded,
                ),
            ),
            Self::Version => (
                AssociationRJResult::Permanent,
                AssociationRJSource::ServiceProviderASCE(
                    AssociationRJServiceProviderASCEReason::ProtocolVersionNotSupported,
                ),
            ),
            Self::Numbers => (
                AssociationRJResult::Permanent,
                AssociationRJSource::ServiceProviderASCE(AssociationRJServiceProviderASCEReason::NoReasonGiven),
            ),
            Self::NotCalled { .. } => {
                (AssociationRJResult::Permanent, user(AssociationRJServiceUserReason::CalledAETitleNotRecognized))
            }
            Self::Stranger | Self::NotNamed { .. } => {
                (AssociationRJResult::Permanent, user(AssociationRJServiceUserReason::CallingAETitleNotRecognized))
            }
            Self::Application => (
                AssociationRJResult::Permanent,
                user(AssociationRJServiceUserReason::ApplicationContextNameNotSupported),
            ),
        };
        AssociationRJ { result, source }
    }
}

/// Agrees to what somebody at this address asks for, or not.
pub(crate) fn agree(request: AssociationRQ, node: &Node, peer: IpAddr) -> Result<Agreed, Refused> {
    if request.protocol_version & 1 == 0 {
        return Err(Refused::Version);
    }
    if heard_uid(&request.application_context_name) != APPLICATION {
        return Err(Refused::Application);
    }
    let (called, calling) = (heard(&request.called_ae_title), heard(&request.calling_ae_title));
    if called != node.title.as_str() {
        return Err(Refused::NotCalled { called, own: node.title.to_string() });
    }
    if !node.admits(peer, &calling) {
        return Err(Refused::NotNamed { calling });
    }
    let mut numbers = HashSet::new();
    if !request.presentation_contexts.iter().all(|proposed| proposed.id % 2 == 1 && numbers.insert(proposed.id)) {
        return Err(Refused::Numbers);
    }
    let mut contexts = Vec::new();
    let mut results = Vec::new();
    for proposed in &request.presentation_contexts {
        let (reason, syntax) = match choose(proposed) {
            Ok(context) => {
                contexts.push(context);
                (PresentationContextResultReason::Acceptance, context.syntax)
            }
            Err(reason) => (reason, DEFAULT_SYNTAX),
        };
        results.push(PresentationContextResult { id: proposed.id, reason, transfer_syntax: syntax.to_owned() });
    }
    let max_pdu = request.user_variables.iter().find_map(|variable| match variable {
        UserVariableItem::MaxLength(length) => Some(*length),
        _ => None,
    });
    let trouble = trouble(&request.presentation_contexts, &contexts);
    let trouble = trouble.map(|what| Event::new(what, [calling.clone()]));
    let answer = AssociationAC {
        protocol_version: 1,
        calling_ae_title: request.calling_ae_title,
        called_ae_title: request.called_ae_title,
        application_context_name: APPLICATION.to_owned(),
        presentation_contexts: results,
        user_variables: vec![
            UserVariableItem::MaxLength(MAX_PDU),
            UserVariableItem::ImplementationClassUID(IMPLEMENTATION.to_owned()),
            UserVariableItem::ImplementationVersionName(IMPLEMENTATION_NAME.to_owned()),
        ],
    };
    Ok(Agreed { calling, contexts, max_pdu: max_pdu.unwrap_or(0), answer, trouble })
}

fn heard_uid(uid: &str) -> &str {
    uid.trim_matches([' ', '\0'])
}

/// Of the transfer syntaxes that are offered for a kind of image, the one that is easiest to read.
fn choose(proposed: &PresentationContextProposed) -> Result<Context, PresentationContextResultReason> {
    let class = known(&proposed.abstract_syntax).ok_or(PresentationContextResultReason::AbstractSyntaxNotSupported)?;
    let offered = |syntax: &&str| proposed.transfer_syntaxes.iter().any(|other| heard_uid(other) == *syntax);
    let syntax = TRANSFER_SYNTAXES.into_iter().find(offered);
    let syntax = syntax.ok_or(PresentationContextResultReason::TransferSyntaxesNotSupported)?;
    Ok(Context { id: proposed.id, class, syntax })
}

fn known(class: &str) -> Option<&'static str> {
    IMAGES.into_iter().chain([VERIFICATION]).find(|known| *known == heard_uid(class))
}

/// Why no image can come, though some are offered. Archives offer much else with C-ECHO: commitment, worklists, queries.
fn trouble(offered: &[PresentationContextProposed], contexts: &[Context]) -> Option<What> {
    let mut images = offered.iter().filter(|it| heard_uid(&it.abstract_syntax).starts_with(STORED)).peekable();
    images.peek()?;
    if contexts.iter().any(|context| context.class != VERIFICATION) {
        return None;
    }
    let is_known = images.any(|it| known(&it.abstract_syntax).is_some());
    Some(if is_known { What::NoSyntax } else { What::NoKind })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "1.2.840.10008.1.2.1";
    const JPEG_LS: &str = "1.2.840.10008.1.2.4.80";

    fn node() -> Node {
        let peers = vec!["127.0.0.1=CR1".parse().unwrap()];
        Node { listen: "127.0.0.1:0".parse().unwrap(), title: "PUMUA".parse().unwrap(), peers }
    }

    fn request(offered: &[(&str, &[&str])]) -> AssociationRQ {
        let contexts = offered.iter().enumerate().map(|(n, (class, syntaxes))| PresentationContextProposed {
            id: 2 * n as u8 + 1,
            abstract_syntax: (*class).to_owned(),
            transfer_syntaxes: syntaxes.iter().map(|&syntax| syntax.to_owned()).collect(),
        });
        AssociationRQ {
            protocol_version: 1,
            calling_ae_title: "CR1".to_owned(),
            called_ae_title: "PUMUA".to_owned(),
            application_context_name: APPLICATION.to_owned(),
            presentation_contexts: contexts.collect(),
            user_variables: vec![UserVariableItem::MaxLength(16_384)],
        }
    }

    fn asked(request: AssociationRQ) -> Result<Agreed, Refused> {
        agree(request, &node(), [127, 0, 0, 1].into())
    }

    #[test]
    fn the_syntax_that_is_easiest_to_read_is_taken_of_kinds_that_are_judged() {
        let [cr, .., capture] = IMAGES;
        let agreed = asked(request(&[
            (VERIFICATION, &[DEFAULT_SYNTAX]),
            (cr, &["1.2.840.10008.1.2.4.70", PLAIN, DEFAULT_SYNTAX]),
            (capture, &[JPEG_LS, "1.2.840.10008.1.2.5"]),
            (cr, &[JPEG_LS]),
            ("1.2.840.10008.5.1.4.1.1.2", &[PLAIN]),
        ]));
        let agreed = agreed.unwrap();
        let contexts: Vec<_> = agreed.contexts.iter().map(|it| (it.id, it.class, it.syntax)).collect();
        let run_lengths = "1.2.840.10008.1.2.5";
        assert_eq!(contexts, [(1, VERIFICATION, DEFAULT_SYNTAX), (3, cr, PLAIN), (5, capture, run_lengths)]);
        let reasons: Vec<_> = agreed.answer.presentation_contexts.iter().map(|it| it.reason.clone() as u8).collect();
        assert_eq!((reasons, agreed.trouble, agreed.max_pdu), (vec![0, 0, 0, 4, 3], None, 16_384));
    }

    #[test]
    fn where_no_image_can_come_it_is_told_why() {
        let trouble = |offered: &[(&str, &[&str])]| asked(request(offered)).unwrap().trouble.map(|event| event.what);
        assert_eq!(trouble(&[(VERIFICATION, &[PLAIN])]), None);
        assert_eq!(trouble(&[(VERIFICATION, &[PLAIN]), (IMAGES[0], &[JPEG_LS])]), Some(What::NoSyntax));
        assert_eq!(trouble(&[("1.2.840.10008.5.1.4.1.1.2", &[PLAIN])]), Some(What::NoKind));
        // Storage commitment, a worklist, procedure steps, a query.
        let others = ["1.20.1", "5.1.4.31", "3.1.2.3.3", "5.1.4.1.2.2.1"].map(|uid| format!("1.2.840.10008.{uid}"));
        for other in &others {
            assert_eq!(trouble(&[(VERIFICATION, &[PLAIN]), (other, &[PLAIN])]), None, "{other}");
        }
        let all: [(&str, &[&str]); 3] =
            [(VERIFICATION, &[PLAIN]), (&others[0], &[PLAIN]), ("1.2.840.10008.5.1.4.1.1.2", &[PLAIN])];
        assert_eq!(trouble(&all), Some(What::NoKind));
    }

    #[test]
    fn whoever_calls_somebody_else_or_is_somebody_else_is_refused() {
        let refused = |change: &dyn Fn(&mut AssociationRQ)| {
            let mut request = request(&[(VERIFICATION, &[PLAIN])]);
            change(&mut request);
            asked(request).map(|_| ()).unwrap_err()
        };
        let not_called = refused(&|it| it.called_ae_title = "PACS1".to_owned());
        assert_eq!(not_called, Refused::NotCalled { called: "PACS1".to_owned(), own: "PUMUA".to_owned() });
        let not_named = refused(&|it| it.calling_ae_title = "CT1".to_owned());
        assert_eq!(not_named, Refused::NotNamed { calling: "CT1".to_owned() });
        assert_eq!(refused(&|it| it.protocol_version = 2), Refused::Version);
        assert_eq!(refused(&|it| it.application_context_name = "1.2".to_owned()), Refused::Application);
        for ids in [[0, 1], [1, 2], [3, 3], [255, 254]] {
            let twice = refused(&|it| {
                it.presentation_contexts.extend_from_within(..);
                it.presentation_contexts.iter_mut().zip(ids).for_each(|(proposed, id)| proposed.id = id);
            });
            assert_eq!(twice, Refused::Numbers, "{ids:?}");
        }
        // Some fill titles up with zeros.
        let mut padded = request(&[(VERIFICATION, &[PLAIN])]);
        padded.called_ae_title = "PUMUA\0\0".to_owned();
        assert!(asked(padded).is_ok());
    }
}
