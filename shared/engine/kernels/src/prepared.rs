//! A layer with its weights packed, ready to run.

use std::hash::{Hash, Hasher};

use crate::{
    BLOCK,
    choice::Kernels,
    layer::{Filters, Layer, LayerError},
    layout::{Border, Layout, Shape},
    portable, winograd,
};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::{
    depthwise::Depthwise,
    direct::{Direct, Steps},
    winograd::Winograd,
};

impl Layer {
    /// The border that the layer needs around each of its inputs, of this shape. It is the same for all kernels.
    pub fn border(&self, input: Shape) -> Result<Border, LayerError> {
        let output = self.output(input)?;
        Ok(match self {
            Self::Convolution { inputs, filters, pool } if winograd::suits(filters, *inputs, output, *pool) => {
                winograd::border(filters.window.padding, input, output, *pool)
            }
            Self::Convolution { filters, .. } | Self::Depthwise(filters) => filters.window.padding,
            Self::MaxPool | Self::Add { .. } => Border::default(),
        })
    }

    /// The largest number of bytes that the packed weights take with any kernels.
    pub fn packed_bytes(&self, input: Shape) -> Result<usize, LayerError> {
        let output = self.output(input)?;
        let padded = |channels: usize| channels.next_multiple_of(BLOCK);
        Ok(match self {
            Self::Convolution { inputs, filters, pool } if winograd::suits(filters, *inputs, output, *pool) => {
                winograd::packed_bytes(*inputs, output.channels)
            }
            Self::Convolution { inputs, filters, .. } => {
                let [rows, columns] = filters.window.kernel;
                padded(output.channels) * rows * padded(columns * inputs)
            }
            Self::Depthwise(filters) => padded(output.channels) * filters.window.kernel.iter().product::<usize>() * 2,
            Self::MaxPool | Self::Add { .. } => 0,
        })
    }

    /// Packs the weights for maps at these places: the inputs (two for [`Layer::Add`]) and the output.
    pub fn prepare(&self, kernels: Kernels, inputs: &[Layout], output: Layout) -> Result<Prepared, LayerError> {
        if !kernels.run_here() {
            return Err(LayerError::Kernels);
        }
        let input = *inputs.first().ok_or(LayerError::Layout)?;
        let border = self.border(input.shape())?;
        let fits = |layout: &Layout| layout.shape() == input.shape() && layout.border().covers(border);
        if inputs.len() != self.inputs() || !inputs.iter().all(fits) || self.output(input.shape())? != output.shape() {
            return Err(LayerError::Layout);
        }
        let work = match self {
            Self::Convolution { filters, pool, .. } => convolution(kernels, filters, *pool, [input, output]),
            Self::Depthwise(filters) => depthwise(kernels, filters, [input, output]),
            Self::MaxPool => Work::MaxPool([input, output]),
            Self::Add { scales, output_scale, relu } => Work::Add {
                scales: *scales,
                output_scale: *output_scale,
                lowest: if *relu { 0.0 } else { -128.0 },
                layouts: [input, inputs[1], output],
            },
        };
        Ok(Prepared { inputs: inputs.to_vec(), output, work })
    }
}

fn convolution(kernels: Kernels, filters: &Filters, pool: bool, layouts: [Layout; 2]) -> Work {
    let inputs = layouts[0].shape().channels;
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    let fast = winograd::suits(filters, inputs, layouts[1].shape(), pool);
    match kernels {
        #[cfg(target_arch = "x86_64")]
        Kernels::Avx2 if fast => Work::Avx2Winograd(Winograd::pack(filters, pool, layouts, 2)),
        #[cfg(target_arch = "x86_64")]
        Kernels::Avx2 => {
            // Products of bytes are added by pairs in i16, which only values that are not negative leave in range. With a few
            // products, loops over chains cost more than they save.
            let steps = match filters.window.kernel[0] * filters.window.kernel[1] * inputs {
                _ if filters.signed_input => Steps::Pairs,
                ..32 => Steps::Single,
                32.. => Steps::Chained,
            };
            Work::Avx2Direct(Direct::pack(filters, pool, layouts, steps))
        }
        #[cfg(target_arch = "aarch64")]
        Kernels::Neon if fast => Work::NeonWinograd(Winograd::pack(filters, pool, layouts, 1)),
        #[cfg(target_arch = "aarch64")]
        Kernels::Neon => {
            // Instructions for 4 pixels × 16 channels, about: 20 for each product; or 49 for 4 products, with zeros that fill
            // up the last step of each row of the window, and 184. Two products of −128 do not fit i16 together.
            let [rows, columns] = filters.window.kernel;
            let padded = rows * (columns * inputs).next_multiple_of(16);
            let short = 20 * rows * columns * inputs < 49 * padded / 4 + 184;
            if short || filters.signed_input && filters.weights.contains(&i8::MIN) {
                Work::NeonByChannel(Depthwise::pack_all(filters, pool, layouts))
            } else {
                Work::NeonDirect(Direct::pack(filters, pool, layouts, Steps::Long))
            }
        }
        #[cfg(target_arch = "aarch64")]
        Kernels::DotProduct => Work::DotDirect(Direct::pack(filters, pool, layouts, Steps::Runs)),
        _ => Work::Portable { filters: filters.clone(), packed: portable::pack(filters, inputs), pool, layouts },
    }
}

fn depthwise(kernels: Kernels, filters: &Filters, layouts: [Layout; 2]) -> Work {
    match kernels {
        #[cfg(target_arch = "x86_64")]
        Kernels::Avx2 => Work::Avx2Depthwise(Depthwise::pack(filters, layouts)),
        #[cfg(target_arch = "aarch64")]
        Kernels::Neon | Kernels::DotProduct => Work::NeonDepthwise(Depthwise::pack(filters, layouts)),
        _ => Work::PortableDepthwise { filters: filters.clone(), layouts },
    }
}

/// A layer, ready to run. It is immutable and can serve several threads, each with a [`Scratch`] of its own.
#[derive(Clone, Debug)]
pub struct Prepared {
    inputs: Vec<Layout>,
    output: Layout,
    work: Work,
}

#[derive(Clone, Debug)]
enum Work {
    Portable {
        filters: Filters,
        packed: Vec<i8>,
        pool: bool,
        layouts: [Layout; 2],
    },
    PortableDepthwise {
        filters: Filters,
        layouts: [Layout; 2],
    },
    MaxPool([Layout; 2]),
    Add {
        scales: [f32; 2],
        output_scale: f32,
        lowest: f32,
        layouts: [Layout; 3],
    },
    #[cfg(target_arch = "x86_64")]
    Avx2Winograd(Winograd),
    #[cfg(target_arch = "x86_64")]
    Avx2Direct(Direct),
    #[cfg(target_arch = "x86_64")]
    Avx2Depthwise(Depthwise),
    #[cfg(target_arch = "aarch64")]
    NeonWinograd(Winograd),
    #[cfg(target_arch = "aarch64")]
    NeonDirect(Direct),
    #[cfg(target_arch = "aarch64")]
    NeonByChannel(Depthwise),
    #[cfg(target_arch = "aarch64")]
    NeonDepthwise(Depthwise),
    #[cfg(target_arch = "aarch64")]
    DotDirect(Direct),
}

/// All that the answers of a layer depend on, as it lies in memory: a checksum of it shows when a bit of that has changed.
impl Hash for Prepared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.inputs, self.output).hash(state);
        match &self.work {
            Work::Portable { filters, packed, pool, layouts } => (filters, packed, pool, layouts).hash(state),
            Work::PortableDepthwise { filters, layouts } => (filters, layouts).hash(state),
            Work::MaxPool(layouts) => layouts.hash(state),
            Work::Add { scales, output_scale, lowest, layouts } => {
                hash_reals(scales, state);
                hash_reals(&[*output_scale, *lowest], state);
                layouts.hash(state);
            }
            #[cfg(target_arch = "x86_64")]
            Work::Avx2Winograd(work) => work.hash(state),
            #[cfg(target_arch = "x86_64")]
            Work::Avx2Direct(work) => work.hash(state),
            #[cfg(target_arch = "x86_64")]
            Work::Avx2Depthwise(work) => work.hash(state),
            #[cfg(target_arch = "aarch64")]
            Work::NeonWinograd(work) => work.hash(state),
            #[cfg(target_arch = "aarch64")]
            Work::NeonDirect(work) | Work::DotDirect(work) => work.hash(state),
            #[cfg(target_arch = "aarch64")]
            Work::NeonByChannel(work) | Work::NeonDepthwise(work) => work.hash(state),
        }
    }
}

/// Real numbers as the bits that they are.
pub(crate) fn hash_reals<H: Hasher>(values: &[f32], state: &mut H) {
    values.iter().for_each(|value| value.to_bits().hash(state));
}

/// Memory that a layer works in.
#[derive(Clone, Debug)]
pub struct Scratch(Memory);

#[derive(Clone, Debug)]
enum Memory {
    None,
    Sums(Vec<i32>),
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    Winograd(winograd::Scratch),
}

impl Prepared {
    /// The places of the inputs.
    pub fn inputs(&self) -> &[Layout] {
        &self.inputs
    }

    /// The place of the output.
    pub fn output(&self) -> Layout {
        self.output
    }

    /// Name of the algorithm.
    pub fn algorithm(&self) -> &'static str {
        match &self.work {
            Work::Portable { .. } | Work::PortableDepthwise { .. } | Work::MaxPool(_) | Work::Add { .. } => "portable",
            #[cfg(target_arch = "x86_64")]
            Work::Avx2Winograd(_) => "winograd",
            #[cfg(target_arch = "x86_64")]
            Work::Avx2Direct(_) | Work::Avx2Depthwise(_) => "direct",
            #[cfg(target_arch = "aarch64")]
            Work::NeonWinograd(_) => "winograd",
            #[cfg(target_arch = "aarch64")]
            Work::NeonDirect(_) | Work::NeonByChannel(_) | Work::NeonDepthwise(_) | Work::DotDirect(_) => "direct",
        }
    }

    /// The memory that [`Prepared::run`] works in.
    pub fn scratch(&self) -> Scratch {
        Scratch(match &self.work {
            Work::Portable { filters, .. } => Memory::Sums(vec![0; 4 * filters.bias.len()]),
            #[cfg(target_arch = "x86_64")]
            Work::Avx2Winograd(winograd) => Memory::Winograd(winograd.scratch()),
            #[cfg(target_arch = "aarch64")]
            Work::NeonWinograd(winograd) => Memory::Winograd(winograd.scratch()),
            _ => Memory::None,
        })
    }

    /// Computes the layer. Writes the map of the output, never its border.
    ///
    /// # Panics
    ///
    /// If a buffer is not as long as its layout says, or the scratch does not fit the layer.
    pub fn run(&self, inputs: &[&[i8]], output: &mut [i8], scratch: &mut Scratch) {
        let long = inputs.iter().zip(&self.inputs).all(|(input, layout)| input.len() == layout.len());
        assert!(inputs.len() == self.inputs.len() && long && output.len() == self.output.len(), "buffers of a layer");
        match (&self.work, &mut scratch.0) {
            (Work::Portable { filters, packed, pool, layouts }, Memory::Sums(sums))
                if sums.len() == 4 * filters.bias.len() =>
            {
                portable::convolution(filters, packed, *pool, *layouts, inputs[0], output, sums);
            }
            (Work::PortableDepthwise { filters, layouts }, _) => {
                portable::depthwise(filters, *layouts, inputs[0], output);
            }
            (Work::MaxPool(layouts), _) => portable::max_pool(*layouts, inputs[0], output),
            (Work::Add { scales, output_scale, lowest, layouts }, _) => {
                portable::add(*scales, *output_scale, *lowest, *layouts, [inputs[0], inputs[1]], output);
            }
            #[cfg(target_arch = "x86_64")]
            (Work::Avx2Winograd(work), Memory::Winograd(scratch)) => {
                crate::x86::winograd(work, inputs[0], output, scratch);
            }
            #[cfg(target_arch = "x86_64")]
            (Work::Avx2Direct(work), _) => crate::x86::direct(work, inputs[0], output),
            #[cfg(target_arch = "x86_64")]
            (Work::Avx2Depthwise(work), _) => crate::x86::depthwise(work, inputs[0], output),
            #[cfg(target_arch = "aarch64")]
            (Work::NeonWinograd(work), Memory::Winograd(scratch)) => {
                crate::arm::winograd(work, inputs[0], output, scratch);
            }
            #[cfg(target_arch = "aarch64")]
            (Work::NeonDirect(work), _) => crate::arm::direct(work, inputs[0], output),
            #[cfg(target_arch = "aarch64")]
            (Work::NeonByChannel(work), _) => crate::arm::by_channel(work, inputs[0], output),
            #[cfg(target_arch = "aarch64")]
            (Work::NeonDepthwise(work), _) => crate::arm::depthwise(work, inputs[0], output),
            #[cfg(target_arch = "aarch64")]
            (Work::DotDirect(work), _) => crate::arm::dot(work, inputs[0], output),
            _ => panic!("the scratch does not fit the layer"),
        }
    }
}
