//! Four edits of an ONNX file in memory, after its digest was checked: leave the weights where they are,
//! free the picture size, take weights off the inputs, and spell out an activation that ONNX Runtime is
//! slow at.
//!
//! ONNX is protobuf; the edits touch a handful of fields of `GraphProto`, so this walks the wire
//! format instead of carrying a full decoder. Field numbers are those of `onnx.proto3`.

use std::collections::BTreeMap;

/// Why a model file could not be read as ONNX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file is not valid ONNX")]
pub(super) struct NotOnnx;

const MODEL_GRAPH: u64 = 7;
const GRAPH_NODE: u64 = 1;
const GRAPH_INITIALIZER: u64 = 5;
const GRAPH_INPUT: u64 = 11;
const GRAPH_OUTPUT: u64 = 12;
const GRAPH_VALUE_INFO: u64 = 13;
const VALUE_INFO_NAME: u64 = 1;
const VALUE_INFO_TYPE: u64 = 2;
const NODE_INPUT: u64 = 1;
const NODE_OUTPUT: u64 = 2;
const NODE_OP_TYPE: u64 = 4;
const NODE_ATTRIBUTE: u64 = 5;
const ATTRIBUTE_NAME: u64 = 1;
const ATTRIBUTE_INT: u64 = 3;
const ATTRIBUTE_INTS: u64 = 8;
const ATTRIBUTE_TYPE: u64 = 20;
/// `AttributeProto.AttributeType`.
const TYPE_INT: u64 = 2;
const TYPE_INTS: u64 = 7;
const TENSOR_DIMS: u64 = 1;
const TENSOR_DATA_TYPE: u64 = 2;
const TENSOR_FLOATS: u64 = 4;
const TENSOR_NAME: u64 = 8;
const TENSOR_RAW: u64 = 9;
const TENSOR_EXTERNAL_DATA: u64 = 13;
const TENSOR_DATA_LOCATION: u64 = 14;
/// `TensorProto.DataLocation`.
const LOCATION_EXTERNAL: u64 = 1;
const ENTRY_KEY: u64 = 1;
const ENTRY_VALUE: u64 = 2;
/// `TensorProto.DataType`.
const TYPE_FLOAT: u64 = 1;
const TYPE_TENSOR: u64 = 1;
const TENSOR_TYPE_SHAPE: u64 = 2;
const SHAPE_DIM: u64 = 1;
const DIM_PARAM: u64 = 2;

/// What the graph calls the file that its weights are in.
pub(super) const WEIGHTS: &str = "weights";

/// The graph without its large weights: it says where in `file`, under the name [`WEIGHTS`], each of
/// them lies. So they are not copied with every edit; ONNX Runtime copies them when it opens the graph.
pub(super) fn leave_weights(file: &[u8]) -> Result<Vec<u8>, NotOnnx> {
    nested(file, MODEL_GRAPH, &mut |graph| {
        rewrite(graph, &mut |field, tensor| {
            let values = if field == GRAPH_INITIALIZER { values(tensor) } else { None };
            let Some(values) = values.filter(|v| v.len() > SMALL) else { return Ok(Edit::Keep) };
            let mut named = rewrite(tensor, &mut |field, _| {
                let is_values = matches!(field, TENSOR_RAW | TENSOR_FLOATS);
                Ok(if is_values { Edit::Drop } else { Edit::Keep })
            })?;
            // Of a tensor in several pieces this is the first, and ONNX Runtime refuses its length.
            let offset = values.as_ptr().addr() - file.as_ptr().addr();
            for (key, value) in [
                ("location", WEIGHTS.to_owned()),
                ("offset", offset.to_string()),
                ("length", values.len().to_string()),
            ] {
                let mut entry = Vec::new();
                put_field(&mut entry, ENTRY_KEY, key.as_bytes());
                put_field(&mut entry, ENTRY_VALUE, value.as_bytes());
                put_field(&mut named, TENSOR_EXTERNAL_DATA, &entry);
            }
            put_number(&mut named, TENSOR_DATA_LOCATION, LOCATION_EXTERNAL);
            Ok(Edit::Replace(named))
        })
    })
}

/// Removes every graph input that is a weight, so that constants can be folded.
pub(super) fn drop_weight_inputs(model: &[u8]) -> Result<Vec<u8>, NotOnnx> {
    rewrite(model, &mut |field, graph| {
        if field != MODEL_GRAPH {
            return Ok(Edit::Keep);
        }
        let weights: Vec<&[u8]> = fields(graph)
            .filter_map(Result::ok)
            .filter(|f| f.number == GRAPH_INITIALIZER)
            .filter_map(|f| first(f.payload?, TENSOR_NAME))
            .collect();
        let edited = rewrite(graph, &mut |field, value| {
            let is_weight = field == GRAPH_INPUT
                && first(value, VALUE_INFO_NAME).is_some_and(|name| weights.contains(&name));
            Ok(if is_weight { Edit::Drop } else { Edit::Keep })
        })?;
        Ok(Edit::Replace(edited))
    })
}

/// Makes height and width of the inputs, and the row counts of the outputs, symbolic, and drops
/// the shapes that were inferred for the declared size.
pub(super) fn free_picture_size(model: &[u8]) -> Result<Vec<u8>, NotOnnx> {
    rewrite(model, &mut |field, graph| {
        if field != MODEL_GRAPH {
            return Ok(Edit::Keep);
        }
        let mut symbol = 0;
        let edited = rewrite(graph, &mut |field, value| match field {
            GRAPH_VALUE_INFO => Ok(Edit::Drop),
            GRAPH_INPUT => Ok(Edit::Replace(free_dims(value, &[2, 3], &mut symbol)?)),
            GRAPH_OUTPUT => Ok(Edit::Replace(free_dims(value, &[1], &mut symbol)?)),
            _ => Ok(Edit::Keep),
        })?;
        Ok(Edit::Replace(edited))
    })
}

/// Replaces `PRelu` by `Relu(x) + -a Relu(-x)`, the products as 1x1 convolutions of each channel by
/// itself. The same numbers come out: one of the two terms is always zero.
///
/// ONNX Runtime has no vector code for `PRelu` and leaves its blocked memory layout around each; it
/// has both for these. `SFace` then takes 14 ms instead of 31 (one thread, 2026-11).
pub(super) fn spell_out_prelu(model: &[u8]) -> Result<Vec<u8>, NotOnnx> {
    rewrite(model, &mut |field, graph| {
        if field != MODEL_GRAPH {
            return Ok(Edit::Keep);
        }
        let slopes = prelu_slopes(graph);
        let mut weights = Vec::new();
        let mut edited = rewrite(graph, &mut |field, value| match field {
            GRAPH_INITIALIZER => {
                let replaced = first(value, TENSOR_NAME).is_some_and(|n| slopes.contains_key(n));
                Ok(if replaced { Edit::Drop } else { Edit::Keep })
            }
            GRAPH_NODE if is_prelu(value) => {
                let (Some(x), Some(slope), Some(y)) = (
                    first(value, NODE_INPUT),
                    all(value, NODE_INPUT).nth(1),
                    first(value, NODE_OUTPUT),
                ) else {
                    return Err(NotOnnx);
                };
                let Some(slope) = slopes.get(slope) else { return Ok(Edit::Keep) };
                Ok(Edit::Splice(rectifiers(x, slope, y, &mut weights)))
            }
            _ => Ok(Edit::Keep),
        })?;
        edited.append(&mut weights);
        Ok(Edit::Replace(edited))
    })
}

fn is_prelu(node: &[u8]) -> bool {
    first(node, NODE_OP_TYPE) == Some(b"PRelu")
}

/// The slopes that nothing but `PRelu` uses, by name.
fn prelu_slopes(graph: &[u8]) -> BTreeMap<&[u8], Vec<f32>> {
    let mut slopes: BTreeMap<&[u8], Vec<f32>> = all(graph, GRAPH_INITIALIZER)
        .filter_map(|tensor| Some((first(tensor, TENSOR_NAME)?, floats(tensor)?)))
        .collect();
    let (prelu, other): (Vec<_>, Vec<_>) = all(graph, GRAPH_NODE).partition(|n| is_prelu(n));
    let used: Vec<_> = prelu.iter().filter_map(|n| all(n, NODE_INPUT).nth(1)).collect();
    slopes.retain(|name, _| used.contains(name));
    for name in other.iter().flat_map(|n| all(n, NODE_INPUT)) {
        slopes.remove(name);
    }
    slopes
}

/// The operations that give `y` for a `PRelu` of `x`; their weights are added to `weights`.
fn rectifiers(x: &[u8], slope: &[f32], y: &[u8], weights: &mut Vec<u8>) -> Vec<u8> {
    let named = |part: &str| [y, part.as_bytes()].concat();
    let (turn, scale) = (named("/minus-one"), named("/minus-slope"));
    let minus: Vec<f32> = slope.iter().map(|a| -a).collect();
    put_field(weights, GRAPH_INITIALIZER, &kernel(&turn, &vec![-1.0; minus.len()]));
    put_field(weights, GRAPH_INITIALIZER, &kernel(&scale, &minus));
    let each = each_channel(minus.len());
    let (positive, turned) = (named("/positive"), named("/turned"));
    let (negative, scaled) = (named("/negative"), named("/scaled"));
    let mut nodes = Vec::new();
    let mut put = |op: &str, inputs: [&[u8]; 2], output: &[u8], attributes: &[u8]| {
        put_field(&mut nodes, GRAPH_NODE, &operation(op, inputs, output, attributes));
    };
    put("Relu", [x, &[]], &positive, &[]);
    put("Conv", [x, &turn], &turned, &each);
    put("Relu", [&turned, &[]], &negative, &[]);
    put("Conv", [&negative, &scale], &scaled, &each);
    put("Add", [&positive, &scaled], y, &[]);
    nodes
}

/// The values of a tensor: raw, or as packed floats, which are the same bytes.
fn values(tensor: &[u8]) -> Option<&[u8]> {
    first(tensor, TENSOR_RAW).or_else(|| first(tensor, TENSOR_FLOATS))
}

/// Most bytes of a small tensor. No network in use has more channels in one place than it has floats.
const SMALL: usize = 4 * 4096;

/// The values of a small float tensor with one value for each channel; `None` for all others.
fn floats(tensor: &[u8]) -> Option<Vec<f32>> {
    let raw = values(tensor)?;
    let mut float = Vec::new();
    put_number(&mut float, TENSOR_DATA_TYPE, TYPE_FLOAT);
    let is_float = fields(tensor).filter_map(Result::ok).any(|f| f.raw == float);
    let (values, rest) = raw.as_chunks::<4>();
    let usable = is_float && rest.is_empty() && (1..=SMALL).contains(&raw.len());
    usable.then(|| values.iter().map(|v| f32::from_le_bytes(*v)).collect())
}

/// A float tensor of shape channels x 1 x 1 x 1.
fn kernel(name: &[u8], values: &[f32]) -> Vec<u8> {
    let mut tensor = Vec::new();
    for dim in [values.len() as u64, 1, 1, 1] {
        put_number(&mut tensor, TENSOR_DIMS, dim);
    }
    put_number(&mut tensor, TENSOR_DATA_TYPE, TYPE_FLOAT);
    put_field(&mut tensor, TENSOR_NAME, name);
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    put_field(&mut tensor, TENSOR_RAW, &raw);
    tensor
}

/// A node; an input without a name is none.
fn operation(op: &str, inputs: [&[u8]; 2], output: &[u8], attributes: &[u8]) -> Vec<u8> {
    let mut node = Vec::new();
    for input in inputs.into_iter().filter(|name| !name.is_empty()) {
        put_field(&mut node, NODE_INPUT, input);
    }
    put_field(&mut node, NODE_OUTPUT, output);
    put_field(&mut node, NODE_OP_TYPE, op.as_bytes());
    node.extend_from_slice(attributes);
    node
}

/// The attributes of a 1x1 convolution of each of `channels` by itself.
fn each_channel(channels: usize) -> Vec<u8> {
    let mut group = Vec::new();
    put_field(&mut group, ATTRIBUTE_NAME, b"group");
    put_number(&mut group, ATTRIBUTE_INT, channels as u64);
    put_number(&mut group, ATTRIBUTE_TYPE, TYPE_INT);
    let mut shape = Vec::new();
    put_field(&mut shape, ATTRIBUTE_NAME, b"kernel_shape");
    put_number(&mut shape, ATTRIBUTE_INTS, 1);
    put_number(&mut shape, ATTRIBUTE_INTS, 1);
    put_number(&mut shape, ATTRIBUTE_TYPE, TYPE_INTS);
    let mut attributes = Vec::new();
    put_field(&mut attributes, NODE_ATTRIBUTE, &group);
    put_field(&mut attributes, NODE_ATTRIBUTE, &shape);
    attributes
}

fn free_dims(value_info: &[u8], which: &[usize], symbol: &mut u32) -> Result<Vec<u8>, NotOnnx> {
    nested(value_info, VALUE_INFO_TYPE, &mut |ty| {
        nested(ty, TYPE_TENSOR, &mut |tensor| {
            nested(tensor, TENSOR_TYPE_SHAPE, &mut |shape| {
                let mut index = 0;
                rewrite(shape, &mut |field, _| {
                    if field != SHAPE_DIM {
                        return Ok(Edit::Keep);
                    }
                    let free = which.contains(&index);
                    index += 1;
                    if !free {
                        return Ok(Edit::Keep);
                    }
                    *symbol += 1;
                    let mut dim = Vec::new();
                    put_field(&mut dim, DIM_PARAM, format!("free{symbol}").as_bytes());
                    Ok(Edit::Replace(dim))
                })
            })
        })
    })
}

/// Decides about a field by its number and payload.
type Editor<'e> = dyn FnMut(u64, &[u8]) -> Result<Edit, NotOnnx> + 'e;

/// Makes a new payload of an old one.
type Inner<'e> = dyn FnMut(&[u8]) -> Result<Vec<u8>, NotOnnx> + 'e;

enum Edit {
    Keep,
    Drop,
    Replace(Vec<u8>),
    /// Whole fields, tags and all, in the place of one.
    Splice(Vec<u8>),
}

/// Copies a message, letting `edit` decide about each length-delimited field.
fn rewrite(message: &[u8], edit: &mut Editor<'_>) -> Result<Vec<u8>, NotOnnx> {
    let mut out = Vec::with_capacity(message.len());
    for field in fields(message) {
        let field = field?;
        let edit = match field.payload {
            Some(payload) => edit(field.number, payload)?,
            None => Edit::Keep,
        };
        match edit {
            Edit::Keep => out.extend_from_slice(field.raw),
            Edit::Drop => {}
            Edit::Replace(payload) => put_field(&mut out, field.number, &payload),
            Edit::Splice(fields) => out.extend_from_slice(&fields),
        }
    }
    Ok(out)
}

/// Rewrites the payload of every field `number`.
fn nested(message: &[u8], number: u64, inner: &mut Inner<'_>) -> Result<Vec<u8>, NotOnnx> {
    rewrite(message, &mut |field, payload| {
        if field == number { Ok(Edit::Replace(inner(payload)?)) } else { Ok(Edit::Keep) }
    })
}

fn first(message: &[u8], number: u64) -> Option<&[u8]> {
    all(message, number).next()
}

fn all(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    let wanted = fields(message).filter_map(Result::ok).filter(move |f| f.number == number);
    wanted.filter_map(|f| f.payload)
}

struct Field<'a> {
    number: u64,
    /// Tag and value as they stand.
    raw: &'a [u8],
    /// The value of a length-delimited field.
    payload: Option<&'a [u8]>,
}

fn fields(mut message: &[u8]) -> impl Iterator<Item = Result<Field<'_>, NotOnnx>> {
    std::iter::from_fn(move || {
        if message.is_empty() {
            return None;
        }
        let field = next_field(&mut message);
        if field.is_err() {
            message = &[];
        }
        Some(field)
    })
}

fn next_field<'a>(message: &mut &'a [u8]) -> Result<Field<'a>, NotOnnx> {
    let start = *message;
    let mut rest = start;
    let tag = varint(&mut rest)?;
    let mut payload = None;
    let skip = match tag & 7 {
        0 => {
            varint(&mut rest)?;
            0
        }
        1 => 8,
        5 => 4,
        2 => {
            let length = usize::try_from(varint(&mut rest)?).map_err(|_| NotOnnx)?;
            payload = Some(rest.get(..length).ok_or(NotOnnx)?);
            length
        }
        _ => return Err(NotOnnx),
    };
    rest = rest.get(skip..).ok_or(NotOnnx)?;
    *message = rest;
    Ok(Field { number: tag >> 3, raw: &start[..start.len() - rest.len()], payload })
}

fn varint(bytes: &mut &[u8]) -> Result<u64, NotOnnx> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(NotOnnx)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(NotOnnx)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

fn put_number(out: &mut Vec<u8>, number: u64, value: u64) {
    put_varint(out, number << 3);
    put_varint(out, value);
}

fn put_field(out: &mut Vec<u8>, number: u64, payload: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, payload.len() as u64);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(parts: &[(u64, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, payload) in parts {
            put_field(&mut out, *number, payload);
        }
        out
    }

    #[test]
    fn only_weights_leave_the_inputs() {
        let picture = message(&[(VALUE_INFO_NAME, b"data")]);
        let weight = message(&[(VALUE_INFO_NAME, b"w")]);
        let tensor = message(&[(TENSOR_NAME, b"w")]);
        let graph = message(&[
            (GRAPH_INITIALIZER, &tensor),
            (GRAPH_INPUT, &picture),
            (GRAPH_INPUT, &weight),
        ]);
        let model = message(&[(MODEL_GRAPH, &graph)]);
        let wanted = message(&[(GRAPH_INITIALIZER, &tensor), (GRAPH_INPUT, &picture)]);
        assert_eq!(drop_weight_inputs(&model), Ok(message(&[(MODEL_GRAPH, &wanted)])));
    }

    #[test]
    fn a_prelu_becomes_five_operations_and_two_weights() {
        let mut slope = message(&[(TENSOR_NAME, b"a"), (TENSOR_RAW, &0.25f32.to_le_bytes())]);
        let node = |op: &[u8]| {
            message(&[
                (NODE_INPUT, b"x"),
                (NODE_INPUT, b"a"),
                (NODE_OUTPUT, b"y"),
                (NODE_OP_TYPE, op),
            ])
        };
        let model = |slope: &[u8], op: &[u8]| {
            let graph = message(&[(GRAPH_NODE, &node(op)), (GRAPH_INITIALIZER, slope)]);
            message(&[(MODEL_GRAPH, &graph)])
        };
        // Without a type the slopes are not known to be floats, and everything stays.
        let untyped = model(&slope, b"PRelu");
        assert_eq!(spell_out_prelu(&untyped), Ok(untyped));
        put_number(&mut slope, TENSOR_DATA_TYPE, TYPE_FLOAT);
        let other = model(&slope, b"Mul");
        assert_eq!(spell_out_prelu(&other), Ok(other));
        let edited = spell_out_prelu(&model(&slope, b"PRelu")).unwrap();
        let graph = first(&edited, MODEL_GRAPH).unwrap();
        let operations: Vec<_> =
            all(graph, GRAPH_NODE).map(|node| first(node, NODE_OP_TYPE).unwrap()).collect();
        assert_eq!(operations, [&b"Relu"[..], b"Conv", b"Relu", b"Conv", b"Add"]);
        let last = all(graph, GRAPH_NODE).last().unwrap();
        assert_eq!(first(last, NODE_OUTPUT), Some(&b"y"[..]));
        let weights: Vec<_> = all(graph, GRAPH_INITIALIZER).map(floats).collect();
        assert_eq!(weights, [vec![-1.0], vec![-0.25]].map(Some));
    }

    #[test]
    fn a_large_weight_stays_in_the_file() {
        let large: Vec<u8> = (0..=250).cycle().take(SMALL + 1).collect();
        for form in [TENSOR_RAW, TENSOR_FLOATS] {
            let [small_tensor, large_tensor] = [&large[..SMALL], &large]
                .map(|raw| message(&[(TENSOR_NAME, b"w"), (form, raw), (TENSOR_DIMS, b"\x07")]));
            let graph =
                message(&[(GRAPH_INITIALIZER, &small_tensor), (GRAPH_INITIALIZER, &large_tensor)]);
            let file = message(&[(MODEL_GRAPH, &graph)]);
            let left = leave_weights(&file).unwrap();
            let tensors: Vec<_> =
                all(first(&left, MODEL_GRAPH).unwrap(), GRAPH_INITIALIZER).collect();
            assert_eq!(tensors[0], small_tensor);
            assert_eq!(values(tensors[1]), None);
            assert_eq!(first(tensors[1], TENSOR_DIMS), Some(&b"\x07"[..]));
            let said: Vec<_> = all(tensors[1], TENSOR_EXTERNAL_DATA)
                .map(|entry| std::str::from_utf8(first(entry, ENTRY_VALUE).unwrap()).unwrap())
                .collect();
            let place: [usize; 2] = [1, 2].map(|i| said[i].parse().unwrap());
            assert_eq!((said[0], &file[place[0]..][..place[1]]), (WEIGHTS, &large[..]));
            assert_eq!(leave_weights(&file[..file.len() - 1]), Err(NotOnnx));
        }
    }

    #[test]
    fn a_cut_file_is_an_error() {
        let model = message(&[(MODEL_GRAPH, b"\x0a\x05abc")]);
        assert_eq!(drop_weight_inputs(&model[..model.len() - 1]), Err(NotOnnx));
    }
}
