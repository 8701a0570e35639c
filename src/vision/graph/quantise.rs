//! A network of convolutions in eight bits, from nothing but its own file.
//!
//! What leaves a convolution goes through a batch normalisation, which says how it is distributed: each
//! channel has a mean and a deviation. A step of a channel is chosen so that so many deviations fit into
//! eight bits; the weights of the next convolution take the step up, so that channels need not share one
//! (Nagel et al., Data-Free Quantization, 2019). The ranges come from the file and from no picture; how
//! many deviations fit, and where bytes begin, was chosen on the faces of the samples.

use std::collections::BTreeMap;

use super::{
    ATTRIBUTE_FLOAT, ATTRIBUTE_INTS, ATTRIBUTE_NAME, GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_NAME,
    GRAPH_NODE, GRAPH_OUTPUT, MODEL_GRAPH, MODEL_IR_VERSION, MODEL_OPSET, NODE_ATTRIBUTE,
    NODE_DOMAIN, NODE_INPUT, NODE_OP_TYPE, NODE_OUTPUT, NotOnnx, OPSET_DOMAIN, OPSET_VERSION,
    TENSOR_DIMS, TENSOR_NAME, TYPE_FLOAT, TYPE_INT8, TYPE_INT32, TYPE_INT64, TYPE_UINT8,
    VALUE_INFO_NAME, integer, integers, operation, put_tensor, values,
    wire::{all, close_field, fields, first, numbers, open_field, put_field, put_number},
};

/// The byte that stands for zero, in every channel.
const ZERO: u8 = 128;
/// The largest weight.
const MOST: f32 = 127.0;
/// Deviations that fit into eight bits. Chosen on 61 faces of the samples (of all people in them, also those
/// whom `eval` keeps apart), by what one layer's rounding
/// takes from the cosine with the unrounded embedding: 8 to 12 is best, as a few strong responses lie far
/// out; at 5 they cost 30 times as much.
const DEVIATIONS: f32 = 9.0;
/// How often the picture is halved before bytes begin, at the next time. Rounding these layers would take most
/// from pictures with little light (a cosine of 0.89 can be left instead of 0.98), and save a sixth of the time.
const HALVED: usize = 1;
/// Operations that are not ONNX's own.
const MICROSOFT: &[u8] = b"com.microsoft";
/// The first version in which `Max` takes bytes is 12.
const OPSET: u64 = 13;
const IR_VERSION: u64 = 8;

/// Makes a network whose later layers compute with bytes of one of convolutions that has a normalisation
/// and a `PRelu` after each, and one full product at its end: `SFace`'s form. Inputs and outputs stay.
///
/// Where a machine has no dot products of bytes, two products are added in 16 bits: neighbouring weights never
/// exceed 127 together, so no sum is cut there. `SFace` takes 6 ms instead of 14, and 10 MB instead of 37 (one
/// thread of a machine that has them, 2026-11). Of 61 faces of the samples, each also small, dim, dark and
/// blurred, embeddings keep a cosine of 0.98 and more with the unrounded (median 0.992 to 0.996). What else the
/// file might say (of groups, factors and types) its digest vouches for.
pub(in super::super) fn quantise(model: &[u8]) -> Result<Vec<u8>, NotOnnx> {
    let graph = first(model, MODEL_GRAPH).ok_or(NotOnnx)?;
    let mut chain = Chain::of(graph)?;
    // Nearly all of a file are weights of four bytes each.
    let mut made = Made::with_capacity(model.len() * 3 / 10);
    let (mut at, mut worth) = chain.head(&mut made)?;
    while chain.next_is(b"Conv") {
        (at, worth) = chain.layer(&worth)?.put(&at, &mut made);
    }
    chain.product(&at, &worth, &mut made)?;
    Ok(made.model(graph))
}

/// The nodes of a graph in which each reads what the one before put out.
struct Chain<'a> {
    tensors: BTreeMap<&'a [u8], &'a [u8]>,
    nodes: std::vec::IntoIter<&'a [u8]>,
    /// What the next node reads.
    value: &'a [u8],
}

impl<'a> Chain<'a> {
    fn of(graph: &'a [u8]) -> Result<Self, NotOnnx> {
        let tensors: BTreeMap<&[u8], &[u8]> = all(graph, GRAPH_INITIALIZER)
            .filter_map(|tensor| Some((first(tensor, TENSOR_NAME)?, tensor)))
            .collect();
        let value = all(graph, GRAPH_INPUT)
            .filter_map(|input| first(input, VALUE_INFO_NAME))
            .find(|name| !tensors.contains_key(name))
            .ok_or(NotOnnx)?;
        let nodes: Vec<&[u8]> = all(graph, GRAPH_NODE).collect();
        Ok(Self { tensors, nodes: nodes.into_iter(), value })
    }

    fn next_is(&self, op: &[u8]) -> bool {
        let next = self.nodes.as_slice().first();
        next.and_then(|node| first(node, NODE_OP_TYPE)) == Some(op)
    }

    /// The next node, which has to be an `op`.
    fn take(&mut self, op: &[u8]) -> Result<&'a [u8], NotOnnx> {
        let follows = self.next_is(op);
        let node = self.nodes.next().filter(|_| follows).ok_or(NotOnnx)?;
        if first(node, NODE_INPUT) != Some(self.value) {
            return Err(NotOnnx);
        }
        self.value = first(node, NODE_OUTPUT).ok_or(NotOnnx)?;
        Ok(node)
    }

    /// The floats of a weight that `node` reads, by its place among the inputs, as they are stored, and their
    /// shape.
    fn stored(&self, node: &[u8], place: usize) -> Result<(&'a [[u8; 4]], Vec<usize>), NotOnnx> {
        let name = all(node, NODE_INPUT).nth(place).ok_or(NotOnnx)?;
        let tensor = self.tensors.get(name).ok_or(NotOnnx)?;
        let (raw, rest) = values(tensor).ok_or(NotOnnx)?.as_chunks::<4>();
        let dims: Option<Vec<usize>> =
            numbers(tensor, TENSOR_DIMS).into_iter().map(|dim| usize::try_from(dim).ok()).collect();
        let dims = dims.ok_or(NotOnnx)?;
        let size = dims.iter().try_fold(1usize, |size, dim| size.checked_mul(*dim));
        let is_whole = rest.is_empty() && !raw.is_empty() && size == Some(raw.len());
        is_whole.then_some((raw, dims)).ok_or(NotOnnx)
    }

    /// The same as floats.
    fn weight(&self, node: &[u8], place: usize) -> Result<(Vec<f32>, Vec<usize>), NotOnnx> {
        let (raw, dims) = self.stored(node, place)?;
        Ok((raw.iter().map(|v| f32::from_le_bytes(*v)).collect(), dims))
    }

    /// The layers that stay as they are, and their result in bytes, channels last: its name, and what a step
    /// of each channel is worth.
    fn head(&mut self, made: &mut Made) -> Result<(Vec<u8>, Vec<f32>), NotOnnx> {
        for op in [&b"Sub"[..], b"Mul"] {
            made.keep(self.take(op)?, &self.tensors);
        }
        let mut halved = 0;
        let mut normal = None;
        while !(halved == HALVED && self.halves_next()) {
            halved += usize::from(self.halves_next());
            made.keep(self.take(b"Conv")?, &self.tensors);
            let node = self.take(b"BatchNormalization")?;
            normal = Some(self.normal(node)?);
            made.keep(node, &self.tensors);
            made.keep(self.take(b"PRelu")?, &self.tensors);
        }
        let worth = normal.ok_or(NotOnnx)?.worth();
        let (zeros, channels) = (vec![ZERO; worth.len()], [worth.len()]);
        made.tensor(b"head/worth", TYPE_FLOAT, &channels, &bytes(&worth));
        made.tensor(b"head/zeros", TYPE_UINT8, &channels, &zeros);
        made.tensor(b"one", TYPE_FLOAT, &[], &1f32.to_le_bytes());
        made.tensor(b"zero", TYPE_UINT8, &[], &[ZERO]);
        made.tensor(b"weight-zero", TYPE_INT8, &[], &[0]);
        let inputs: [&[u8]; 3] = [self.value, b"head/worth", b"head/zeros"];
        made.node("QuantizeLinear", &inputs, b"head/planes", &[integer("axis", 1)]);
        let order = integers("perm", &[0, 2, 3, 1]);
        made.node("Transpose", &[b"head/planes"], b"head/bytes", &[order]);
        Ok((b"head/bytes".to_vec(), worth))
    }

    /// Whether the next node makes the picture half as large.
    fn halves_next(&self) -> bool {
        let mut attributes =
            self.nodes.as_slice().first().into_iter().flat_map(|node| all(node, NODE_ATTRIBUTE));
        attributes.any(|a| {
            first(a, ATTRIBUTE_NAME) == Some(b"strides") && numbers(a, ATTRIBUTE_INTS) == [2, 2]
        })
    }

    /// The next convolution with what follows it, reading channels whose steps are `worth` so much.
    fn layer(&mut self, worth: &[f32]) -> Result<Layer<'a>, NotOnnx> {
        let node = self.take(b"Conv")?;
        let attributes: Vec<&[u8]> = all(node, NODE_ATTRIBUTE).collect();
        let (weights, dims) = self.stored(node, 1)?;
        let [outputs, inputs, height, width] = dims[..] else { return Err(NotOnnx) };
        let has_no_bias = all(node, NODE_INPUT).count() == 2;
        let normal = self.take(b"BatchNormalization").and_then(|node| self.normal(node))?;
        let node = self.take(b"PRelu")?;
        let (slopes, _) = self.weight(node, 1)?;
        // Of each channel by itself, or of all of them and one pixel.
        let is_known = if inputs == 1 {
            worth.len() == outputs
        } else {
            worth.len() == inputs && (height, width) == (1, 1)
        };
        let all_agree = normal.mean.len() == outputs && slopes.len() == outputs;
        // The larger of x and ax is PRelu's value for slopes up to 1; below -1 it would leave its channel's
        // range.
        let are_less = slopes.iter().all(|slope| slope.abs() <= 1.0);
        (has_no_bias && is_known && all_agree && are_less).then_some(()).ok_or(NotOnnx)?;
        let steps = normal.worth();
        let scales = normal.scale.iter().zip(&steps).map(|(scale, step)| scale / step).collect();
        let bias = normal.shift.iter().zip(&steps).map(|(shift, step)| shift / step).collect();
        let (dims, reads) = ([outputs, inputs, height, width], worth.to_vec());
        let name = self.value;
        Ok(Layer { name, attributes, dims, weights, reads, scales, bias, slopes, worth: steps })
    }

    /// The full product at the end, after which nothing is rounded any more.
    fn product(&mut self, at: &[u8], worth: &[f32], made: &mut Made) -> Result<(), NotOnnx> {
        let before = self.take(b"BatchNormalization").and_then(|node| self.normal(node))?;
        self.take(b"Dropout")?;
        self.take(b"Flatten")?;
        let node = self.take(b"Gemm")?;
        let (weights, dims) = self.stored(node, 1)?;
        let (mut bias, _) = self.weight(node, 2)?;
        let after = self.take(b"BatchNormalization").and_then(|node| self.normal(node))?;
        let channels = worth.len();
        let [outputs, inputs] = dims[..] else { return Err(NotOnnx) };
        let agree = before.mean.len() == channels
            && inputs.is_multiple_of(channels)
            && [bias.len(), after.mean.len()] == [outputs; 2];
        agree.then_some(()).ok_or(NotOnnx)?;
        let mut rounded = Rounded::of(weights.len());
        let mut row = Vec::with_capacity(inputs);
        for (o, stored) in weights.chunks_exact(inputs).enumerate() {
            row.clear();
            for (c, area) in stored.chunks_exact(inputs / channels).enumerate() {
                let scale = before.scale[c] * worth[c] * after.scale[o];
                let mut sum = 0.0;
                for weight in area {
                    let weight = f32::from_le_bytes(*weight);
                    sum += weight;
                    row.push(weight * scale);
                }
                bias[o] += before.shift[c] * sum;
            }
            bias[o] = bias[o] * after.scale[o] + after.shift[o];
            rounded.push(&row, largest_pair(&row));
        }
        let Rounded { bytes: rows, scales } = rounded;
        let dims = [outputs, inputs];
        made.tensor(b"product/rows", TYPE_INT8, &dims, &rows);
        made.tensor(b"product/scale", TYPE_FLOAT, &[outputs], &bytes(&scales));
        made.tensor(b"product/bias", TYPE_FLOAT, &[outputs], &bytes(&bias));
        made.tensor(b"product/shape", TYPE_INT64, &[2], &[1i64, -1].map(i64::to_le_bytes).concat());
        // The weights are turned once, when the graph is opened.
        made.node(
            "Transpose",
            &[b"product/rows"],
            b"product/weights",
            &[integers("perm", &[1, 0])],
        );
        made.node("Transpose", &[at], b"product/planes", &[integers("perm", &[0, 3, 1, 2])]);
        made.node("Reshape", &[b"product/planes", b"product/shape"], b"product/flat", &[]);
        let factors: [&[u8]; 3] = [b"product/flat", b"product/weights", b"zero"];
        made.node("MatMulInteger", &factors, b"product/sums", &[]);
        made.node("Cast", &[b"product/sums"], b"product/floats", &[integer("to", TYPE_FLOAT)]);
        made.node("Mul", &[b"product/floats", b"product/scale"], b"product/scaled", &[]);
        made.node("Add", &[b"product/scaled", b"product/bias"], self.value, &[]);
        self.nodes.as_slice().is_empty().then_some(()).ok_or(NotOnnx)
    }

    fn normal(&self, node: &[u8]) -> Result<Normal, NotOnnx> {
        let weight = |place| self.weight(node, place).map(|(values, _)| values);
        let (deviation, mean) = (weight(1)?, weight(2)?);
        let (from, variance) = (weight(3)?, weight(4)?);
        let epsilon = all(node, NODE_ATTRIBUTE)
            .find(|a| first(a, ATTRIBUTE_NAME) == Some(b"epsilon"))
            .and_then(float)
            .ok_or(NotOnnx)?;
        let agree = [mean.len(), from.len(), variance.len()] == [deviation.len(); 3];
        agree.then_some(()).ok_or(NotOnnx)?;
        let scale: Vec<f32> =
            deviation.iter().zip(&variance).map(|(d, v)| d / (v + epsilon).sqrt()).collect();
        let shift = (0..mean.len()).map(|c| mean[c] - from[c] * scale[c]).collect();
        Ok(Normal { scale, shift, mean, deviation })
    }
}

/// A batch normalisation, of each channel.
struct Normal {
    /// What its input is multiplied with.
    scale: Vec<f32>,
    /// What is added then.
    shift: Vec<f32>,
    /// How what comes out is distributed.
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

impl Normal {
    /// What a step of each channel is worth, where bytes hold it.
    fn worth(&self) -> Vec<f32> {
        let largest = |(mean, deviation): (&f32, &f32)| mean.abs() + DEVIATIONS * deviation.abs();
        self.mean.iter().zip(&self.deviation).map(|c| largest(c).max(1e-6) / MOST).collect()
    }
}

/// A convolution with its normalisation and its `PRelu`.
struct Layer<'a> {
    /// What it puts out.
    name: &'a [u8],
    attributes: Vec<&'a [u8]>,
    /// Channels out, channels in, height, width.
    dims: [usize; 4],
    /// As they are stored: from values to values before the normalisation.
    weights: &'a [[u8; 4]],
    /// What a step of each channel that it reads is worth.
    reads: Vec<f32>,
    /// Steps of each channel that it puts out in such a value.
    scales: Vec<f32>,
    /// In steps of what it puts out.
    bias: Vec<f32>,
    /// Not above 1.
    slopes: Vec<f32>,
    /// What a step of what it puts out is worth.
    worth: Vec<f32>,
}

impl Layer<'_> {
    /// Puts the layer's nodes, which read `at`; gives the name of what they put out, and its steps.
    fn put(self, at: &[u8], made: &mut Made) -> (Vec<u8>, Vec<f32>) {
        let [outputs, inputs, height, width] = self.dims;
        let named = |part: &str| [self.name, part.as_bytes()].concat();
        // Channels by themselves are not added in 16 bits.
        let span = if inputs == 1 { largest } else { largest_pair };
        let mut rounded = Rounded::of(self.weights.len());
        let mut row = Vec::with_capacity(inputs * height * width);
        for (o, stored) in self.weights.chunks_exact(inputs * height * width).enumerate() {
            row.clear();
            for (i, kernel) in stored.chunks_exact(height * width).enumerate() {
                let factor = self.scales[o] * self.reads[if inputs == 1 { o } else { i }];
                row.extend(kernel.iter().map(|weight| f32::from_le_bytes(*weight) * factor));
            }
            rounded.push(&row, span(&row));
        }
        let Rounded { bytes: weights, scales } = rounded;
        let bias: Vec<f32> = self.bias.iter().zip(&scales).map(|(b, s)| b / s).collect();
        let before = named("/before");
        let attributes: Vec<Vec<u8>> = self.attributes.iter().map(|a| a.to_vec()).collect();
        made.convolution((at, &before), &self.dims, (&weights, &scales, &bias), attributes);

        let weights: Vec<u8> = self.slopes.iter().map(|a| byte(MOST.copysign(*a))).collect();
        let scales: Vec<f32> = self.slopes.iter().map(|a| a.abs().max(1e-6) / MOST).collect();
        let sloped = named("/sloped");
        let attributes = vec![integer("group", outputs as u64), integers("kernel_shape", &[1, 1])];
        let (dims, bias) = ([outputs, 1, 1, 1], vec![0.0; outputs]);
        made.convolution((&before, &sloped), &dims, (&weights, &scales, &bias), attributes);
        made.node("Max", &[&before, &sloped], self.name, &[]);
        (self.name.to_vec(), self.worth)
    }
}

/// A model in the making: up to the graph, whose fields come in whatever order.
struct Made {
    model: Vec<u8>,
    /// Where the graph begins.
    graph: usize,
}

impl Made {
    fn with_capacity(bytes: usize) -> Self {
        let mut model = Vec::with_capacity(bytes);
        put_number(&mut model, MODEL_IR_VERSION, IR_VERSION);
        for (domain, version) in [(&b""[..], OPSET), (MICROSOFT, 1)] {
            let mut opset = Vec::new();
            put_field(&mut opset, OPSET_DOMAIN, domain);
            put_number(&mut opset, OPSET_VERSION, version);
            put_field(&mut model, MODEL_OPSET, &opset);
        }
        let graph = open_field(&mut model, MODEL_GRAPH);
        Self { model, graph }
    }

    fn tensor(&mut self, name: &[u8], kind: u64, dims: &[usize], values: &[u8]) {
        let dims: Vec<u64> = dims.iter().map(|dim| *dim as u64).collect();
        let tensor = open_field(&mut self.model, GRAPH_INITIALIZER);
        put_tensor(&mut self.model, name, &dims, kind, values);
        close_field(&mut self.model, tensor);
    }

    /// A node as it stands, with the weights that it reads.
    fn keep(&mut self, node: &[u8], tensors: &BTreeMap<&[u8], &[u8]>) {
        for tensor in all(node, NODE_INPUT).filter_map(|name| tensors.get(name)) {
            put_field(&mut self.model, GRAPH_INITIALIZER, tensor);
        }
        put_field(&mut self.model, GRAPH_NODE, node);
    }

    fn node(&mut self, op: &str, inputs: &[&[u8]], output: &[u8], attributes: &[Vec<u8>]) {
        put_field(&mut self.model, GRAPH_NODE, &operation(op, inputs, &[output], attributes));
    }

    /// A convolution of bytes, channels last, with the weights as bytes, what one of each row is worth, and
    /// the bias in the same.
    fn convolution(
        &mut self,
        (input, output): (&[u8], &[u8]),
        dims: &[usize; 4],
        (weights, scales, bias): (&[u8], &[f32], &[f32]),
        mut attributes: Vec<Vec<u8>>,
    ) {
        let named = |part: &str| [output, part.as_bytes()].concat();
        let (kernel, scale, added) = (named("/kernel"), named("/scale"), named("/bias"));
        let bias: Vec<u8> = bias.iter().flat_map(|bias| whole(*bias).to_le_bytes()).collect();
        self.tensor(&kernel, TYPE_INT8, dims, weights);
        self.tensor(&scale, TYPE_FLOAT, &dims[..1], &bytes(scales));
        self.tensor(&added, TYPE_INT32, &dims[..1], &bias);
        attributes.push(integer("channels_last", 1));
        let inputs: [&[u8]; 9] =
            [input, b"one", b"zero", &kernel, &scale, b"weight-zero", b"one", b"zero", &added];
        let mut node = operation("QLinearConv", &inputs, &[output], &attributes);
        put_field(&mut node, NODE_DOMAIN, MICROSOFT);
        put_field(&mut self.model, GRAPH_NODE, &node);
    }

    /// The model, with inputs and outputs of `graph`.
    fn model(self, graph: &[u8]) -> Vec<u8> {
        let Self { mut model, graph: start } = self;
        put_field(&mut model, GRAPH_NAME, b"quantised");
        let weights: Vec<&[u8]> =
            all(graph, GRAPH_INITIALIZER).filter_map(|tensor| first(tensor, TENSOR_NAME)).collect();
        for number in [GRAPH_INPUT, GRAPH_OUTPUT] {
            for value in all(graph, number) {
                if first(value, VALUE_INFO_NAME).is_some_and(|name| !weights.contains(&name)) {
                    put_field(&mut model, number, value);
                }
            }
        }
        close_field(&mut model, start);
        model
    }
}

/// Rows of weights as signed bytes, and what one of each row is worth.
struct Rounded {
    bytes: Vec<u8>,
    scales: Vec<f32>,
}

impl Rounded {
    /// Memory for so many weights.
    fn of(weights: usize) -> Self {
        Self { bytes: Vec::with_capacity(weights), scales: Vec::new() }
    }

    /// Adds a row; `span` becomes [`MOST`].
    fn push(&mut self, row: &[f32], span: f32) {
        let scale = span.max(1e-12) / MOST;
        let steps = scale.recip();
        self.bytes.extend(row.iter().map(|weight| byte(weight * steps)));
        self.scales.push(scale);
    }
}

fn largest(row: &[f32]) -> f32 {
    row.iter().fold(0.0, |most, weight| most.max(weight.abs()))
}

/// The most that two neighbours are together. Where it becomes [`MOST`], two products with a byte fit into
/// 16 bits, rounding included (255 * 128 = 32640).
fn largest_pair(row: &[f32]) -> f32 {
    row.chunks(2).map(|pair| pair.iter().map(|weight| weight.abs()).sum()).fold(0.0, f32::max)
}

/// The nearest whole number.
#[expect(clippy::cast_possible_truncation, reason = "a bias beyond 32 bits stays at their end")]
fn whole(value: f32) -> i32 {
    (value + 0.5f32.copysign(value)) as i32
}

/// The nearest whole number as a signed byte; never -128, which has no opposite.
#[expect(clippy::cast_possible_truncation, reason = "clamped")]
fn byte(value: f32) -> u8 {
    (whole(value).clamp(-127, 127) as i8).cast_unsigned()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The value of an attribute that is a float.
fn float(attribute: &[u8]) -> Option<f32> {
    let field = fields(attribute).filter_map(Result::ok).find(|f| f.number == ATTRIBUTE_FLOAT)?;
    field.raw.last_chunk::<4>().map(|value| f32::from_le_bytes(*value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::TENSOR_DATA_TYPE, *};

    proptest! {
        #[test]
        fn no_two_products_with_a_byte_leave_sixteen_bits(
            rows in prop::collection::vec(prop::collection::vec(-1e3f32..1e3, 7), 1..4),
        ) {
            let mut rounded = Rounded::of(0);
            for row in &rows {
                rounded.push(row, largest_pair(row));
            }
            for (bytes, (row, scale)) in
                rounded.bytes.chunks(7).zip(rows.iter().zip(&rounded.scales))
            {
                let back: Vec<i32> = bytes.iter().map(|b| i32::from(b.cast_signed())).collect();
                for pair in back.chunks(2) {
                    let sum: i32 = pair.iter().map(|weight| weight.abs() * 255).sum();
                    prop_assert!(sum <= i32::from(i16::MAX));
                }
                for (weight, back) in row.iter().zip(back) {
                    let error = (back as f32 * scale - weight).abs();
                    prop_assert!(error <= 0.501 * scale, "{weight} became {back} of {scale}");
                }
            }
        }
    }

    #[test]
    fn no_weights_of_the_recogniser_leave_sixteen_bits() {
        let file =
            concat!(env!("CARGO_MANIFEST_DIR"), "/models/face_recognition_sface_2021dec.onnx");
        let made = quantise(&std::fs::read(file).expect("`make setup` was run")).expect("its form");
        let mut rows = 0;
        for tensor in all(first(&made, MODEL_GRAPH).expect("a graph"), GRAPH_INITIALIZER) {
            let dims = numbers(tensor, TENSOR_DIMS);
            let is_of_bytes = numbers(tensor, TENSOR_DATA_TYPE) == [TYPE_INT8] && !dims.is_empty();
            // Of channels by themselves the sum has 32 bits.
            if !is_of_bytes || dims.get(1) == Some(&1) {
                continue;
            }
            let weights = values(tensor).expect("values");
            for row in weights.chunks(weights.len() / usize::try_from(dims[0]).expect("a length")) {
                for pair in row.chunks(2) {
                    let sum: i32 =
                        pair.iter().map(|w| i32::from(w.cast_signed()).abs() * 255).sum();
                    assert!(sum <= i32::from(i16::MAX), "{pair:?}");
                }
                rows += 1;
            }
        }
        // Ten convolutions of all channels, and the product.
        assert_eq!(rows, 256 + 256 + 6 * 512 + 2 * 1024 + 128);
    }

    #[test]
    fn a_graph_of_another_form_is_refused() {
        let mut graph = Vec::new();
        let mut input = Vec::new();
        put_field(&mut input, VALUE_INFO_NAME, b"data");
        put_field(&mut graph, GRAPH_INPUT, &input);
        let node = operation("Relu", &[b"data"], &[b"y"], &[]);
        put_field(&mut graph, GRAPH_NODE, &node);
        let mut model = Vec::new();
        put_field(&mut model, MODEL_GRAPH, &graph);
        assert_eq!(quantise(&model), Err(NotOnnx));
        assert_eq!(quantise(&model[..model.len() - 1]), Err(NotOnnx));
        assert_eq!(quantise(&[]), Err(NotOnnx));
    }
}
