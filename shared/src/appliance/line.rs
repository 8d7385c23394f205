//! The serial ports of a box and their speed.

/// Speed of a line in bits a second unless another is set, on both sides.
pub const DEFAULT_BAUD: u32 = 115_200;
/// The slowest line, in bits a second. On one of 600 a part of an image takes longer than the pause after which the box drops
/// it.
pub const SLOWEST_BAUD: u32 = 1200;

/// Bytes of images, models or answers that a line of so many bits a second carries in a second at least: ten bits a byte, of
/// which noise leaves a tenth. A line on which less arrives counts as stuck, or its host as idle.
pub const fn least_bytes_a_second(baud: u32) -> u64 {
    baud as u64 / 10 / 10
}

/// The serial port of the pin header, as the kernel of a card names it.
pub const PINS: &str = "/dev/ttyS1";
/// The same, as Raspberry Pi OS names it.
pub const PINS_OF_RASPBERRY_PI_OS: &str = "/dev/serial0";
/// The box as a USB device of its host.
pub const USB_DEVICE: &str = "/dev/ttyGS0";
/// A USB-serial adapter that is plugged into the box.
pub const USB_ADAPTER: &str = "/dev/ttyUSB0";
/// The console of an emulated machine.
pub const EMULATED: &str = "/dev/hvc0";
