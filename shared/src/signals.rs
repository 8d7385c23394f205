//! Signals that a program is to leave alone.
//!
//! `nohup` starts a program that does not hear SIGHUP, and a shell without job control one in the background that hears no
//! SIGINT: they are ignored from the start, and a handler would end that.

/// Whether a process ignores a signal, by the text of its `/proc/PID/status`; `false` where that does not say.
pub fn is_ignored(status: &str, signal: u32) -> bool {
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    let bit = signal.checked_sub(1).and_then(|bit| 1_u64.checked_shl(bit)).unwrap_or(0);
    mask.is_some_and(|mask| mask & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_has_a_bit_for_each_signal() {
        let status = "Name:\tx\nSigQ:\t0/1\nSigIgn:\t0000000000001003\nSigCgt:\tffffffffffffffff\n";
        let ignored = (0..=70).filter(|&signal| is_ignored(status, signal));
        assert!(ignored.eq([1, 2, 13]));
        for status in ["", "SigIgn:\tx\n", "SigIgn:\n"] {
            assert!(!is_ignored(status, 1));
        }
    }
}
