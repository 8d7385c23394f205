//! Making a box, on the host, and the package of the host's own program for a clinic's computer:
//!
//! - [`image`]: the image of its memory card;
//! - [`bundle`]: what fills a slot of such a card, packed and signed, for boxes that run already;
//! - [`flash`]: writing that to a medium;
//! - [`signed_image`]: who vouches for it;
//! - [`checksum`] and [`bill`]: the digest and the bill of materials that lie beside either;
//! - [`package`]: a Debian package of the box, for a Raspberry Pi OS that runs already, and one for a clinic's computer;
//! - [`settings`]: the box's `box.toml`, written for either and read from somebody else;
//! - [`program`]: the box's program, compiled for its processor, and what that of a computer needs;
//! - [`model_for_box`]: the model that it is to judge by, tried before the box has it;
//! - [`site_file`]: settings of a clinic's own, for boxes that run already.
//!
//! Beside the sources lie the files that the packages carry (`package/`, `package/computer/`) and the rule that lets people open a box's port on USB
//! (`udev/`). Nothing here prints or asks; what fails is an error that says what to do.

pub mod bill;
pub mod bundle;
pub mod checksum;
pub mod flash;
pub mod image;
mod mbr;
pub mod model_for_box;
pub mod package;
pub mod program;
pub mod settings;
pub mod signed_image;
pub mod site_file;
