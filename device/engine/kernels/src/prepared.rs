//! A layer with its weights packed, ready to run.

use crate::{
    choice::Kernels,
    depthwise::Depthwise,
    direct::{Direct, Steps},
    layer::{Filters, Layer, LayerError},
    layout::{Border, Layout, Shape},
    portable,
    winograd::{self, Winograd},
};

impl Layer {
    /// The border that the layer needs around each of its inputs, of this shape.
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

    /// Packs the weights for maps at these places: the inputs (two for [`Layer::Add`]) and the output.
    pub fn prepare(&self, kernels: Kernels, inputs: &[Layout], output: Layout) -> Result<Prepared, LayerError> {
        if !kernels.run_here() {
            return Err(LayerError::Kernels);
        }
        let input = *inputs.first().ok_or(LayerError::Input)?;
        let border = self.border(input.shape())?;
        let fits = |layout: &Layout| layout.shape() == input.shape() && layout.border().covers(border);
        if inputs.len() != self.inputs() || !inputs.iter().all(fits) || self.output(input.shape())? != output.shape() {
            return Err(LayerError::Input);
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
    let [from, to] = layouts;
    let inputs = from.shape().channels;
    let fast = winograd::suits(filters, inputs, to.shape(), pool);
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
        _ => Work::Portable { filters: filters.clone(), packed: portable::pack(filters, inputs), pool, layouts },
    }
}

fn depthwise(kernels: Kernels, filters: &Filters, layouts: [Layout; 2]) -> Work {
    match kernels {
        #[cfg(target_arch = "x86_64")]
        Kernels::Avx2 => Work::Avx2Depthwise(Depthwise::pack(filters, layouts)),
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
}

/// Memory that a layer works in.
#[derive(Clone, Debug)]
pub struct Scratch(Memory);

#[derive(Clone, Debug)]
enum Memory {
    None,
    Sums(Vec<i32>),
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
        }
    }

    /// The memory that [`Prepared::run`] works in.
    pub fn scratch(&self) -> Scratch {
        Scratch(match &self.work {
            Work::Portable { filters, .. } => Memory::Sums(vec![0; 4 * filters.bias.len()]),
            #[cfg(target_arch = "x86_64")]
            Work::Avx2Winograd(winograd) => Memory::Winograd(winograd.scratch()),
            _ => Memory::None,
        })
    }

    /// Computes the layer. Writes the map of the output, never its border.
    ///
    /// # Panics
    ///
    /// If a buffer is not as long as its layout says, or the scratch is another layer's.
    pub fn run(&self, inputs: &[&[i8]], output: &mut [i8], scratch: &mut Scratch) {
        let long = inputs.iter().zip(&self.inputs).all(|(input, layout)| input.len() == layout.len());
        assert!(inputs.len() == self.inputs.len() && long && output.len() == self.output.len(), "buffers of a layer");
        match (&self.work, &mut scratch.0) {
            (Work::Portable { filters, packed, pool, layouts }, Memory::Sums(sums)) => {
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
            _ => panic!("the scratch is another layer's"),
        }
    }
}
