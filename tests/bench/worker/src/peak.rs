//! What one core can do at most: loops that touch registers only.

use protocol::Failure;

/// Answers each line of input by the figures of one measurement: `NAME MULTIPLY-ACCUMULATES NANOSECONDS` for each loop.
#[cfg(target_arch = "x86_64")]
pub(crate) fn serve() -> Result<(), Failure> {
    use std::io::{BufRead, Write};

    if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
        return Err("the processor has no AVX2 and FMA: no peak is known for it".into());
    }
    for line in std::io::stdin().lock().lines() {
        line?;
        let figures: Vec<String> = x86::LOOPS
            .iter()
            .map(|one| {
                let start = std::time::Instant::now();
                (one.run)(x86::TURNS);
                let macs = x86::TURNS * one.macs;
                format!("{} {macs} {}", one.name, start.elapsed().as_nanos())
            })
            .collect();
        let mut answers = std::io::stdout().lock();
        writeln!(answers, "{}", figures.join(" "))?;
        answers.flush()?;
    }
    Ok(())
}

/// No loop is written for this processor.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn serve() -> Result<(), Failure> {
    Err("no peak is known for this processor".into())
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;

    /// Turns of a loop in one measurement: about a millisecond.
    pub(super) const TURNS: u64 = 400_000;

    pub(super) struct Loop {
        pub(super) name: &'static str,
        /// Multiply-accumulates of one turn.
        pub(super) macs: u64,
        pub(super) run: fn(u64),
    }

    pub(super) const LOOPS: [Loop; 4] = [
        // Unsigned by signed bytes, exact for every pair that does not saturate: 32 in three instructions.
        Loop { name: "int8", macs: 8 * 32, run: int8 },
        // The same, exact only where the sum of eight products fits 16 bits: 128 in nine instructions.
        Loop { name: "int8-chains", macs: 4 * 128, run: int8_chains },
        // 16-bit integers: 16 in two instructions.
        Loop { name: "int16", macs: 8 * 16, run: int16 },
        // f32: 8 in one instruction.
        Loop { name: "f32", macs: 10 * 8, run: f32 },
    ];

    // Four to ten independent sums in each loop: the latency of one is hidden by the others.

    #[expect(unsafe_code, reason = "a measured instruction sequence must not be rearranged by the compiler")]
    fn int8(turns: u64) {
        // SAFETY: `serve` has checked for AVX2; only the registers named are written, memory is not touched.
        unsafe {
            asm!(
                "vpxor ymm0, ymm0, ymm0", "vpxor ymm1, ymm1, ymm1", "vpxor ymm2, ymm2, ymm2", "vpxor ymm3, ymm3, ymm3",
                "vpxor ymm4, ymm4, ymm4", "vpxor ymm5, ymm5, ymm5", "vpxor ymm6, ymm6, ymm6", "vpxor ymm7, ymm7, ymm7",
                "vpxor ymm13, ymm13, ymm13", "vpxor ymm14, ymm14, ymm14", "vpxor ymm15, ymm15, ymm15",
                ".p2align 5",
                "2:",
                "vpmaddubsw ymm8, ymm14, ymm15", "vpmaddwd ymm8, ymm8, ymm13", "vpaddd ymm0, ymm0, ymm8",
                "vpmaddubsw ymm9, ymm14, ymm15", "vpmaddwd ymm9, ymm9, ymm13", "vpaddd ymm1, ymm1, ymm9",
                "vpmaddubsw ymm10, ymm14, ymm15", "vpmaddwd ymm10, ymm10, ymm13", "vpaddd ymm2, ymm2, ymm10",
                "vpmaddubsw ymm11, ymm14, ymm15", "vpmaddwd ymm11, ymm11, ymm13", "vpaddd ymm3, ymm3, ymm11",
                "vpmaddubsw ymm8, ymm14, ymm15", "vpmaddwd ymm8, ymm8, ymm13", "vpaddd ymm4, ymm4, ymm8",
                "vpmaddubsw ymm9, ymm14, ymm15", "vpmaddwd ymm9, ymm9, ymm13", "vpaddd ymm5, ymm5, ymm9",
                "vpmaddubsw ymm10, ymm14, ymm15", "vpmaddwd ymm10, ymm10, ymm13", "vpaddd ymm6, ymm6, ymm10",
                "vpmaddubsw ymm11, ymm14, ymm15", "vpmaddwd ymm11, ymm11, ymm13", "vpaddd ymm7, ymm7, ymm11",
                "dec {turns}",
                "jnz 2b",
                turns = inout(reg) turns => _,
                out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
                out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
                out("ymm13") _, out("ymm14") _, out("ymm15") _,
                options(nomem, nostack),
            );
        }
    }

    #[expect(unsafe_code, reason = "a measured instruction sequence must not be rearranged by the compiler")]
    fn int8_chains(turns: u64) {
        // SAFETY: `serve` has checked for AVX2; only the registers named are written, memory is not touched.
        unsafe {
            asm!(
                "vpxor ymm0, ymm0, ymm0", "vpxor ymm1, ymm1, ymm1", "vpxor ymm2, ymm2, ymm2", "vpxor ymm3, ymm3, ymm3",
                "vpxor ymm13, ymm13, ymm13", "vpxor ymm14, ymm14, ymm14", "vpxor ymm15, ymm15, ymm15",
                ".p2align 5",
                "2:",
                "vpmaddubsw ymm4, ymm14, ymm15", "vpmaddubsw ymm8, ymm14, ymm15", "vpaddw ymm4, ymm4, ymm8",
                "vpmaddubsw ymm8, ymm14, ymm15", "vpaddw ymm4, ymm4, ymm8",
                "vpmaddubsw ymm8, ymm14, ymm15", "vpaddw ymm4, ymm4, ymm8",
                "vpmaddwd ymm4, ymm4, ymm13", "vpaddd ymm0, ymm0, ymm4",
                "vpmaddubsw ymm5, ymm14, ymm15", "vpmaddubsw ymm9, ymm14, ymm15", "vpaddw ymm5, ymm5, ymm9",
                "vpmaddubsw ymm9, ymm14, ymm15", "vpaddw ymm5, ymm5, ymm9",
                "vpmaddubsw ymm9, ymm14, ymm15", "vpaddw ymm5, ymm5, ymm9",
                "vpmaddwd ymm5, ymm5, ymm13", "vpaddd ymm1, ymm1, ymm5",
                "vpmaddubsw ymm6, ymm14, ymm15", "vpmaddubsw ymm10, ymm14, ymm15", "vpaddw ymm6, ymm6, ymm10",
                "vpmaddubsw ymm10, ymm14, ymm15", "vpaddw ymm6, ymm6, ymm10",
                "vpmaddubsw ymm10, ymm14, ymm15", "vpaddw ymm6, ymm6, ymm10",
                "vpmaddwd ymm6, ymm6, ymm13", "vpaddd ymm2, ymm2, ymm6",
                "vpmaddubsw ymm7, ymm14, ymm15", "vpmaddubsw ymm11, ymm14, ymm15", "vpaddw ymm7, ymm7, ymm11",
                "vpmaddubsw ymm11, ymm14, ymm15", "vpaddw ymm7, ymm7, ymm11",
                "vpmaddubsw ymm11, ymm14, ymm15", "vpaddw ymm7, ymm7, ymm11",
                "vpmaddwd ymm7, ymm7, ymm13", "vpaddd ymm3, ymm3, ymm7",
                "dec {turns}",
                "jnz 2b",
                turns = inout(reg) turns => _,
                out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
                out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
                out("ymm13") _, out("ymm14") _, out("ymm15") _,
                options(nomem, nostack),
            );
        }
    }

    #[expect(unsafe_code, reason = "a measured instruction sequence must not be rearranged by the compiler")]
    fn int16(turns: u64) {
        // SAFETY: `serve` has checked for AVX2; only the registers named are written, memory is not touched.
        unsafe {
            asm!(
                "vpxor ymm0, ymm0, ymm0", "vpxor ymm1, ymm1, ymm1", "vpxor ymm2, ymm2, ymm2", "vpxor ymm3, ymm3, ymm3",
                "vpxor ymm4, ymm4, ymm4", "vpxor ymm5, ymm5, ymm5", "vpxor ymm6, ymm6, ymm6", "vpxor ymm7, ymm7, ymm7",
                "vpxor ymm14, ymm14, ymm14", "vpxor ymm15, ymm15, ymm15",
                ".p2align 5",
                "2:",
                "vpmaddwd ymm8, ymm14, ymm15", "vpaddd ymm0, ymm0, ymm8",
                "vpmaddwd ymm9, ymm14, ymm15", "vpaddd ymm1, ymm1, ymm9",
                "vpmaddwd ymm10, ymm14, ymm15", "vpaddd ymm2, ymm2, ymm10",
                "vpmaddwd ymm11, ymm14, ymm15", "vpaddd ymm3, ymm3, ymm11",
                "vpmaddwd ymm8, ymm14, ymm15", "vpaddd ymm4, ymm4, ymm8",
                "vpmaddwd ymm9, ymm14, ymm15", "vpaddd ymm5, ymm5, ymm9",
                "vpmaddwd ymm10, ymm14, ymm15", "vpaddd ymm6, ymm6, ymm10",
                "vpmaddwd ymm11, ymm14, ymm15", "vpaddd ymm7, ymm7, ymm11",
                "dec {turns}",
                "jnz 2b",
                turns = inout(reg) turns => _,
                out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
                out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
                out("ymm14") _, out("ymm15") _,
                options(nomem, nostack),
            );
        }
    }

    #[expect(unsafe_code, reason = "a measured instruction sequence must not be rearranged by the compiler")]
    fn f32(turns: u64) {
        // SAFETY: `serve` has checked for AVX2 and FMA; only the registers named are written, memory is not touched.
        unsafe {
            asm!(
                "vpxor ymm0, ymm0, ymm0", "vpxor ymm1, ymm1, ymm1", "vpxor ymm2, ymm2, ymm2", "vpxor ymm3, ymm3, ymm3",
                "vpxor ymm4, ymm4, ymm4", "vpxor ymm5, ymm5, ymm5", "vpxor ymm6, ymm6, ymm6", "vpxor ymm7, ymm7, ymm7",
                "vpxor ymm8, ymm8, ymm8", "vpxor ymm9, ymm9, ymm9", "vpxor ymm14, ymm14, ymm14",
                "vpxor ymm15, ymm15, ymm15",
                ".p2align 5",
                "2:",
                "vfmadd231ps ymm0, ymm14, ymm15", "vfmadd231ps ymm1, ymm14, ymm15", "vfmadd231ps ymm2, ymm14, ymm15",
                "vfmadd231ps ymm3, ymm14, ymm15", "vfmadd231ps ymm4, ymm14, ymm15", "vfmadd231ps ymm5, ymm14, ymm15",
                "vfmadd231ps ymm6, ymm14, ymm15", "vfmadd231ps ymm7, ymm14, ymm15", "vfmadd231ps ymm8, ymm14, ymm15",
                "vfmadd231ps ymm9, ymm14, ymm15",
                "dec {turns}",
                "jnz 2b",
                turns = inout(reg) turns => _,
                out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
                out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm14") _, out("ymm15") _,
                options(nomem, nostack),
            );
        }
    }
}
