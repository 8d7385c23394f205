//! What a data set says it is, by its beginning: whoever takes one from a network asks before all of it has come.

use flate2::{Decompress, FlushDecompress};
use shared::verdict::Refusal;

use super::{
    elements::{Encoding, Head},
    file,
    header::text,
    syntax,
};

const SOP_CLASS: u32 = 0x0008_0016;
const SOP_INSTANCE: u32 = 0x0008_0018;

/// Most bytes of a deflated beginning.
const MAX_INFLATED: usize = 8 * 1024;

/// What a data set says it is an instance of. It may say neither, or later than its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// UID of the kind of image.
    pub class: Option<String>,
    /// UID of this image. It may lead to the patient.
    pub instance: Option<String>,
}

pub(crate) fn identity(beginning: &[u8], transfer_syntax: &str) -> Result<Identity, Refusal> {
    let inflated: Vec<u8>;
    let bytes = if transfer_syntax == syntax::DEFLATED {
        inflated = inflate(beginning)?;
        &inflated[..]
    } else {
        beginning
    };
    let encoding = if transfer_syntax == syntax::BIG_ENDIAN { Encoding::BIG } else { file::sniff(bytes)? };
    let (first, _) = Head::read(bytes, encoding)?;
    // The images that are judged have these elements first.
    if first.tag >> 16 != 8 {
        return Err(Refusal::Corrupt);
    }
    let mut found = Identity::default();
    let mut rest = bytes;
    while let Ok((head, behind)) = Head::read(rest, encoding)
        && head.tag <= SOP_INSTANCE
        && let Some((value, after)) = behind.split_at_checked(head.length as usize)
    {
        match head.tag {
            SOP_CLASS => found.class = text(value).map(str::to_owned),
            SOP_INSTANCE => found.instance = text(value).map(str::to_owned),
            _ => {}
        }
        rest = after;
    }
    Ok(found)
}

/// The first bytes of what is deflated.
fn inflate(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut beginning = vec![0; MAX_INFLATED];
    let mut inflate = Decompress::new(false);
    inflate.decompress(bytes, &mut beginning, FlushDecompress::None).map_err(|_| Refusal::Corrupt)?;
    beginning.truncate(inflate.total_out() as usize);
    Ok(beginning)
}
