//! Items of a request for an association, and of the answer, that the standard does not know are ignored (PS3.8, 9.3.1), so that
//! later versions may have others. `dicom-ul` takes them for errors: they are left out before it reads.

/// Kinds of PDUs that have items: a request for an association, and that it is agreed to.
const WITH_ITEMS: [u8; 2] = [0x01, 0x02];
/// Bytes before the items.
const HEAD: usize = 74;
/// Application context, user information.
const PLAIN: [u8; 2] = [0x10, 0x50];
/// Presentation contexts, proposed and agreed to: with so many bytes of their own, then items.
const CONTEXTS: [u8; 2] = [0x20, 0x21];
const CONTEXT_HEAD: usize = 4;
/// Abstract syntax, transfer syntax.
const SYNTAXES: [u8; 2] = [0x30, 0x40];

/// A PDU without the items that are not known. One whose lengths do not fit stays as it is from there on.
pub(super) fn known(mut pdu: Vec<u8>) -> Vec<u8> {
    if pdu.len() < HEAD || !WITH_ITEMS.contains(&pdu[0]) {
        return pdu;
    }
    let items = kept(&pdu[HEAD..], |kind, body| {
        if CONTEXTS.contains(&kind) {
            let (own, syntaxes) = body.split_at(CONTEXT_HEAD.min(body.len()));
            let syntax = |kind, body: &[u8]| SYNTAXES.contains(&kind).then(|| body.to_vec());
            return Some([own, &kept(syntaxes, syntax)].concat());
        }
        PLAIN.contains(&kind).then(|| body.to_vec())
    });
    pdu.truncate(HEAD);
    pdu.extend(items);
    let length = (pdu.len() - 6) as u32;
    pdu[2..6].copy_from_slice(&length.to_be_bytes());
    pdu
}

/// Items, each a kind, a byte without a meaning, a length and so many bytes; `which`: those of an item, if it is kept.
fn kept(mut items: &[u8], which: impl Fn(u8, &[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut all = Vec::with_capacity(items.len());
    while let Some((&[kind, other, high, low], rest)) = items.split_first_chunk() {
        let Some((body, behind)) = rest.split_at_checked(u16::from_be_bytes([high, low]).into()) else { break };
        if let Some(body) = which(kind, body) {
            // It is no longer than before.
            all.extend([kind, other]);
            all.extend((body.len() as u16).to_be_bytes());
            all.extend(body);
        }
        items = behind;
    }
    all.extend_from_slice(items);
    all
}

#[cfg(test)]
mod tests {
    use dicom_ul::pdu::{AssociationRQ, Pdu, PresentationContextProposed, UserVariableItem, read_pdu, write_pdu};

    use super::*;

    fn request() -> Pdu {
        let context = |id: u8| PresentationContextProposed {
            id,
            abstract_syntax: "1.2.840.10008.1.1".to_owned(),
            transfer_syntaxes: vec!["1.2.840.10008.1.2".to_owned(), "1.2.840.10008.1.2.1".to_owned()],
        };
        Pdu::AssociationRQ(AssociationRQ {
            protocol_version: 1,
            calling_ae_title: "CR1".to_owned(),
            called_ae_title: "PUMUA".to_owned(),
            application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
            presentation_contexts: vec![context(1), context(3)],
            user_variables: vec![UserVariableItem::MaxLength(16_384)],
        })
    }

    fn written(pdu: &Pdu) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Pdu> {
        read_pdu(bytes, 1 << 17, true).ok().flatten()
    }

    /// The bytes of a PDU with others put in at a place of it.
    fn with(pdu: &[u8], at: usize, others: &[u8]) -> Vec<u8> {
        let mut bytes = [&pdu[..at], others, &pdu[at..]].concat();
        let length = (bytes.len() - 6) as u32;
        bytes[2..6].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    #[test]
    fn items_that_are_not_known_are_ignored_wherever_they_stand() {
        let plain = written(&request());
        assert_eq!(known(plain.clone()), plain);
        let first = HEAD + plain[HEAD..].windows(2).position(|head| head == [0x20, 0]).unwrap();
        for (kind, length) in [(0x60_u8, 0_u16), (0x00, 5), (0xff, 3000), (0x30, 2)] {
            let body = vec![0x20_u8; length.into()];
            let item = [&[kind, 7][..], &length.to_be_bytes(), &body].concat();
            for at in [HEAD, first, plain.len()] {
                let strange = with(&plain, at, &item);
                assert!(read(&strange).is_none(), "dicom-ul ignores them itself: nobody needs this module");
                assert_eq!(read(&known(strange)), Some(request()), "{kind:02x} at {at}");
            }
        }
        // Within a context, behind its own bytes.
        let mut strange = with(&plain, first + 4 + CONTEXT_HEAD, &[0x77, 0, 0, 2, 1, 1]);
        let length = u16::from_be_bytes([strange[first + 2], strange[first + 3]]) + 6;
        strange[first + 2..first + 4].copy_from_slice(&length.to_be_bytes());
        assert!(read(&strange).is_none());
        assert_eq!(read(&known(strange)), Some(request()));
    }

    #[test]
    fn nor_do_strange_items_of_the_user_information_keep_anybody_out() {
        let plain = written(&request());
        let user = HEAD + plain[HEAD..].windows(2).position(|head| head == [0x50, 0]).unwrap();
        for (kind, length) in [(0x5f_u8, 0_u16), (0x5f, 5), (0xff, 3000), (0x10, 2)] {
            let item = [&[kind, 7][..], &length.to_be_bytes(), &vec![0x51_u8; length.into()]].concat();
            // Before the others and behind them.
            for at in [user + 4, plain.len()] {
                let mut strange = with(&plain, at, &item);
                let all = u16::from_be_bytes([strange[user + 2], strange[user + 3]]) + item.len() as u16;
                strange[user + 2..user + 4].copy_from_slice(&all.to_be_bytes());
                let Some(Pdu::AssociationRQ(heard)) = read(&known(strange)) else { panic!("{kind:02x} at {at}") };
                assert!(heard.user_variables.contains(&UserVariableItem::MaxLength(16_384)), "{kind:02x} at {at}");
                assert_eq!(heard.presentation_contexts.len(), 2);
            }
        }
    }

    #[test]
    fn what_is_damaged_stays_damaged_and_other_pdus_stay_as_they_are() {
        let plain = written(&request());
        for end in 0..plain.len() {
            let mut cut = plain[..end].to_vec();
            if end >= 6 {
                cut[2..6].copy_from_slice(&((end - 6) as u32).to_be_bytes());
            }
            assert_eq!(known(cut.clone()), cut, "{end}");
        }
        let data = [&[4, 0, 0, 0, 0, 100][..], &[0x60; 100]].concat();
        assert_eq!(known(data.clone()), data);
    }
}
