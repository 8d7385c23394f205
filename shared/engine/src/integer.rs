//! The 8-bit operators, computed exactly with tract's f32 convolution.
//!
//! tract's own QLinearConv is correct but many times slower than its f32 convolution. A sum of products of 8-bit integers
//! is an integer, and f32 represents every integer up to 2^24: as long as no sum can leave that range, the f32
//! convolution of the same integers gives the exact sum in whatever order it adds. The importer proves the range for
//! each channel from the weights (`128 Σ|w| + |b| <= 2^24`) and otherwise keeps tract's own operator, which adds in i32.
//!
//! The sum is then brought to the output's scale as ONNX's reference and onnxruntime do: in f32,
//! `sum * ((x_scale * w_scale) / y_scale)`, limited to -128..=127, rounded half to even.

use tract_onnx::{
    Onnx,
    model::ParsingContext,
    tract_core::ops::cast::cast,
    tract_hir::{
        internal::*,
        ops::cnn::{Conv, PaddingSpec},
    },
};

use crate::onnx::pb::NodeProto;

/// The largest magnitude up to which f32 represents every integer.
const EXACT: u64 = 1 << 24;

/// tract's ONNX importer with this module's QLinearConv and QuantizeLinear.
pub(crate) fn importer() -> Onnx {
    let mut onnx = tract_onnx::onnx();
    onnx.op_register.insert("QLinearConv", q_linear_conv);
    onnx.op_register.insert("QuantizeLinear", quantize_linear);
    onnx
}

fn q_linear_conv(_: &ParsingContext<'_>, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let pads = node.get_attr_opt_tvec::<usize>("pads")?.unwrap_or_else(|| tvec!(0; 4));
    ensure!(pads.len() == 4, "QLinearConv needs four pads");
    ensure!(matches!(node.get_attr_opt::<&str>("auto_pad")?, None | Some("NOTSET")), "auto_pad is not supported");
    let float = Conv {
        padding: PaddingSpec::Explicit(pads[..2].into(), pads[2..].into()),
        kernel_shape: node.get_attr_opt_tvec("kernel_shape")?,
        strides: node.get_attr_opt_tvec("strides")?,
        dilations: node.get_attr_opt_tvec("dilations")?,
        group: node.get_attr_opt("group")?,
        bias_input: (node.input.len() == 9).then_some(2),
        ..Conv::default()
    };
    let integer = Conv {
        x_scale_input: Some(1),
        x_zero_point_input: Some(2),
        k_input: Some(3),
        k_scale_input: Some(4),
        k_zero_point_input: Some(5),
        y_scale_input: Some(6),
        y_zero_point_input: Some(7),
        bias_input: (node.input.len() == 9).then_some(8),
        ..float.clone()
    };
    Ok((expand(QLinearConv { float, integer }), vec![]))
}

fn quantize_linear(_: &ParsingContext<'_>, _: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    Ok((expand(QuantizeLinear), vec![]))
}

/// QLinearConv with int8 tensors and zero points of 0 (the file is checked for both).
#[derive(Debug, Clone)]
struct QLinearConv {
    /// The convolution of the integers, as f32: inputs x, w, b.
    float: Conv,
    /// tract's own operator, with the nine inputs of the standard.
    integer: Conv,
}

impl Expansion for QLinearConv {
    fn name(&self) -> StaticName {
        "QLinearConv".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        self.integer.rules(solver, inputs, outputs)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let constant = |index: usize| -> TractResult<&Arc<Tensor>> {
            let fact = model.outlet_fact(inputs[index])?;
            fact.konst.as_ref().context("an operand of QLinearConv is not constant")
        };
        let float = |index: usize| -> TractResult<Tensor> { Ok(constant(index)?.cast_to::<f32>()?.into_owned()) };
        let channels = constant(3)?.shape()[0];
        let bias = match self.integer.bias_input {
            Some(index) => constant(index)?.try_as_plain_ram()?.as_slice::<i32>()?.to_vec(),
            None => vec![0; channels],
        };
        ensure!(channels > 0 && bias.len() == channels, "QLinearConv needs one bias for each output channel");
        if !is_exact(constant(3)?.try_as_plain_ram()?.as_slice::<i8>()?, &bias) {
            return self.integer.wire(prefix, model, inputs);
        }
        let (weights, bias) = (float(3)?, self.integer.bias_input.map(float).transpose()?);
        let (x_scale, y_scale) = (constant(1)?.cast_to_scalar::<f32>()?, constant(6)?.cast_to_scalar::<f32>()?);
        let scales = float(4)?;
        let scales = scales.try_as_plain_ram()?;
        let scales = scales.as_slice::<f32>()?;
        let multiplier = |channel: usize| (x_scale * scales[channel % scales.len()]) / y_scale;
        let requantize = Requantize { multipliers: (0..channels).map(|c| multiplier(c).to_bits()).collect() };

        let mut operands = model.wire_node(format!("{prefix}.x"), cast(f32::datum_type()), &inputs[..1])?;
        operands.push(model.add_const(format!("{prefix}.w"), weights)?);
        if let Some(bias) = bias {
            operands.push(model.add_const(format!("{prefix}.b"), bias)?);
        }
        let sums = self.float.wire(&format!("{prefix}.sums"), model, &operands)?;
        model.wire_node(prefix, requantize, &sums)
    }
}

/// True if no sum of any channel, nor any part of it, can leave the range in which f32 is exact. There is one bias for each
/// output channel.
pub(crate) fn is_exact(weights: &[i8], bias: &[i32]) -> bool {
    let filter = weights.len() / bias.len().max(1);
    weights.chunks_exact(filter.max(1)).zip(bias).all(|(filter, &bias)| {
        let sum: u64 = filter.iter().map(|&w| u64::from(w.unsigned_abs())).sum();
        128 * sum + u64::from(bias.unsigned_abs()) <= EXACT
    })
}

/// Sums `[N, C, H, W]` in f32 → int8, each channel by its multiplier.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Requantize {
    /// f32, as bits: an operator must be `Eq`.
    multipliers: Vec<u32>,
}

impl Op for Requantize {
    fn name(&self) -> StaticName {
        "Requantize".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Requantize {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext<'_>, mut inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let sums = inputs.pop().context("Requantize has one input")?;
        let plane = sums.shape()[2..].iter().product::<usize>().max(1);
        let mut output = Tensor::zero::<i8>(sums.shape())?;
        let sums = sums.try_as_plain_ram()?;
        let mut plain = output.try_as_plain_ram_mut()?;
        let planes =
            plain.as_slice_mut::<i8>()?.chunks_exact_mut(plane).zip(sums.as_slice::<f32>()?.chunks_exact(plane));
        for ((output, sums), &multiplier) in planes.zip(self.multipliers.iter().cycle()) {
            let multiplier = f32::from_bits(multiplier);
            for (y, &sum) in output.iter_mut().zip(sums) {
                *y = saturate(sum * multiplier);
            }
        }
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for Requantize {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs[0].rank() >= 2 && inputs[0].shape[1] == self.multipliers.len().to_dim());
        Ok(tvec!(i8::fact(inputs[0].shape.clone())))
    }

    as_op!();
}

/// QuantizeLinear of one value: to int8, with a zero point of 0.
pub(crate) fn quantize(value: f32, scale: f32) -> i8 {
    saturate(value / scale)
}

/// Rounds half to even and limits to -128..=127.
///
/// Adding 1.5 · 2^23 leaves no bits for a fraction, so that the addition rounds, and half to even at that; unlike
/// `round_ties_even` this is a vector instruction on every processor.
fn saturate(value: f32) -> i8 {
    const SHIFT: f32 = 12_582_912.0;
    ((value.clamp(-128.0, 127.0) + SHIFT) - SHIFT) as i8
}

/// QuantizeLinear to int8 with one scale and a zero point of 0 (the file is checked for both).
///
/// The standard divides by the scale; tract multiplies by its reciprocal, which can be the next integer.
#[derive(Debug, Clone)]
struct QuantizeLinear;

impl Expansion for QuantizeLinear {
    fn name(&self) -> StaticName {
        "QuantizeLinear".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 3)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, i8::datum_type())?;
        solver.equals(&inputs[0].shape, &outputs[0].shape)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let scale = model.outlet_fact(inputs[1])?.konst.as_ref().context("the scale is not constant")?;
        let scale = scale.cast_to_scalar::<f32>()?.to_bits();
        model.wire_node(prefix, Quantize { scale }, &inputs[..1])
    }
}

/// f32 → int8.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Quantize {
    /// f32, as bits: an operator must be `Eq`.
    scale: u32,
}

impl Op for Quantize {
    fn name(&self) -> StaticName {
        "Quantize".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Quantize {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext<'_>, mut inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let values = inputs.pop().context("Quantize has one input")?;
        let scale = f32::from_bits(self.scale);
        let mut output = Tensor::zero::<i8>(values.shape())?;
        let values = values.try_as_plain_ram()?;
        for (y, &x) in output.try_as_plain_ram_mut()?.as_slice_mut::<i8>()?.iter_mut().zip(values.as_slice::<f32>()?) {
            *y = quantize(x, scale);
        }
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for Quantize {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(i8::fact(inputs[0].shape.clone())))
    }

    as_op!();
}
