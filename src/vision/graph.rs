//! Two edits of an ONNX file in memory, after its digest was checked: free the picture size, and
//! take weights off the inputs.
//!
//! ONNX is protobuf; both edits touch a handful of fields of `GraphProto`, so this walks the wire
//! format instead of carrying a full decoder. Field numbers are those of `onnx.proto3`.

/// Why a model file could not be read as ONNX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file is not valid ONNX")]
pub(super) struct NotOnnx;

const MODEL_GRAPH: u64 = 7;
const GRAPH_INITIALIZER: u64 = 5;
const GRAPH_INPUT: u64 = 11;
const GRAPH_OUTPUT: u64 = 12;
const GRAPH_VALUE_INFO: u64 = 13;
const VALUE_INFO_NAME: u64 = 1;
const VALUE_INFO_TYPE: u64 = 2;
const TENSOR_NAME: u64 = 8;
const TYPE_TENSOR: u64 = 1;
const TENSOR_TYPE_SHAPE: u64 = 2;
const SHAPE_DIM: u64 = 1;
const DIM_PARAM: u64 = 2;

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
    fields(message).filter_map(Result::ok).find(|f| f.number == number)?.payload
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
    fn a_cut_file_is_an_error() {
        let model = message(&[(MODEL_GRAPH, b"\x0a\x05abc")]);
        assert_eq!(drop_weight_inputs(&model[..model.len() - 1]), Err(NotOnnx));
    }
}
