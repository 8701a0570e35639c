//! Edits of an ONNX file in memory, after its digest was checked: leave the weights where they are, free
//! the picture size, take weights off the inputs, say otherwise what ONNX Runtime is slow at, and compute
//! with bytes.
//!
//! ONNX is protobuf; the edits touch a handful of fields of `GraphProto`, so this walks the wire
//! format instead of carrying a full decoder. Field numbers are those of `onnx.proto3`.

mod heads;
mod quantise;
mod wire;

use std::collections::BTreeMap;

use self::wire::{Edit, all, fields, first, nested, put_field, put_number, rewrite};
pub(super) use self::{heads::join_heads, quantise::quantise};

/// Why a model file could not be read as ONNX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file is not valid ONNX")]
pub(super) struct NotOnnx;

const MODEL_IR_VERSION: u64 = 1;
const MODEL_GRAPH: u64 = 7;
const MODEL_OPSET: u64 = 8;
const OPSET_DOMAIN: u64 = 1;
const OPSET_VERSION: u64 = 2;
const GRAPH_NODE: u64 = 1;
const GRAPH_NAME: u64 = 2;
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
const NODE_DOMAIN: u64 = 7;
const ATTRIBUTE_NAME: u64 = 1;
const ATTRIBUTE_FLOAT: u64 = 2;
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
const TYPE_UINT8: u64 = 2;
const TYPE_INT8: u64 = 3;
const TYPE_INT32: u64 = 6;
const TYPE_INT64: u64 = 7;
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

/// Replaces `PRelu` by `x + (1 - a) Relu(-x)`, the products as 1x1 convolutions of each channel by
/// itself. The same numbers come out but for their last bit.
///
/// ONNX Runtime has no vector code for `PRelu` and leaves its blocked memory layout around each; it
/// has both for these. `SFace`, otherwise as it is, then takes 14 ms instead of 31 (one thread, 2026-11).
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
    let (turn, scale) = (named("/minus-one"), named("/one-less-slope"));
    let channels = slope.len() as u64;
    let less: Vec<f32> = slope.iter().map(|a| 1.0 - a).collect();
    let mut put = |name: &[u8], values: &[f32]| {
        put_field(weights, GRAPH_INITIALIZER, &tensor(name, &[channels, 1, 1, 1], values));
    };
    put(&turn, &vec![-1.0; slope.len()]);
    put(&scale, &less);
    let each = [integer("group", channels), integers("kernel_shape", &[1, 1])];
    let (turned, negative, scaled) = (named("/turned"), named("/negative"), named("/scaled"));
    let mut nodes = Vec::new();
    let mut put = |op: &str, inputs: &[&[u8]], output: &[u8], attributes: &[Vec<u8>]| {
        put_field(&mut nodes, GRAPH_NODE, &operation(op, inputs, &[output], attributes));
    };
    put("Conv", &[x, &turn], &turned, &each);
    put("Relu", &[&turned], &negative, &[]);
    put("Conv", &[&negative, &scale], &scaled, &each);
    put("Add", &[x, &scaled], y, &[]);
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

/// A float tensor.
fn tensor(name: &[u8], dims: &[u64], values: &[f32]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let mut tensor = Vec::with_capacity(raw.len() + 64);
    put_tensor(&mut tensor, name, dims, TYPE_FLOAT, &raw);
    tensor
}

/// Puts the fields of a tensor of any type, its values in the order and form that ONNX stores.
fn put_tensor(out: &mut Vec<u8>, name: &[u8], dims: &[u64], kind: u64, raw: &[u8]) {
    for dim in dims {
        put_number(out, TENSOR_DIMS, *dim);
    }
    put_number(out, TENSOR_DATA_TYPE, kind);
    put_field(out, TENSOR_NAME, name);
    put_field(out, TENSOR_RAW, raw);
}

/// A node.
fn operation(op: &str, inputs: &[&[u8]], outputs: &[&[u8]], attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut node = Vec::new();
    for input in inputs {
        put_field(&mut node, NODE_INPUT, input);
    }
    for output in outputs {
        put_field(&mut node, NODE_OUTPUT, output);
    }
    put_field(&mut node, NODE_OP_TYPE, op.as_bytes());
    for attribute in attributes {
        put_field(&mut node, NODE_ATTRIBUTE, attribute);
    }
    node
}

/// An attribute that is a number.
fn integer(name: &str, value: u64) -> Vec<u8> {
    let mut attribute = Vec::new();
    put_field(&mut attribute, ATTRIBUTE_NAME, name.as_bytes());
    put_number(&mut attribute, ATTRIBUTE_INT, value);
    put_number(&mut attribute, ATTRIBUTE_TYPE, TYPE_INT);
    attribute
}

/// An attribute that is several numbers.
fn integers(name: &str, values: &[u64]) -> Vec<u8> {
    let mut attribute = Vec::new();
    put_field(&mut attribute, ATTRIBUTE_NAME, name.as_bytes());
    for value in values {
        put_number(&mut attribute, ATTRIBUTE_INTS, *value);
    }
    put_number(&mut attribute, ATTRIBUTE_TYPE, TYPE_INTS);
    attribute
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
    fn a_prelu_becomes_four_operations_and_two_weights() {
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
        assert_eq!(operations, [&b"Conv"[..], b"Relu", b"Conv", b"Add"]);
        let last = all(graph, GRAPH_NODE).last().unwrap();
        assert_eq!(first(last, NODE_OUTPUT), Some(&b"y"[..]));
        let weights: Vec<_> = all(graph, GRAPH_INITIALIZER).map(floats).collect();
        assert_eq!(weights, [vec![-1.0], vec![0.75]].map(Some));
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
