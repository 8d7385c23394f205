//! Messages ↔ payloads.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    frame::MAX_PAYLOAD,
    transport::{Transport, WindowFull},
};

/// Encodes a message and queues it.
pub(super) fn send(transport: &mut Transport, message: &impl Serialize) -> Result<(), WindowFull> {
    let mut buffer = [0; MAX_PAYLOAD];
    // Every message fits a payload: all fields are bounded by their types (`largest_messages_fit` tests it).
    let payload = postcard::to_slice(message, &mut buffer).map_err(|_| WindowFull)?;
    transport.send(payload)
}

/// Decodes a payload; `None` if it is not a message or has bytes left over.
pub(super) fn decode<M: DeserializeOwned>(payload: &[u8]) -> Option<M> {
    let (message, rest) = postcard::take_from_bytes(payload).ok()?;
    rest.is_empty().then_some(message)
}
