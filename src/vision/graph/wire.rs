//! Protobuf's wire format, as far as edits of an ONNX file touch it.

use super::NotOnnx;

/// Decides about a field by its number and payload.
pub(super) type Editor<'e> = dyn FnMut(u64, &[u8]) -> Result<Edit, NotOnnx> + 'e;

/// Makes a new payload of an old one.
pub(super) type Inner<'e> = dyn FnMut(&[u8]) -> Result<Vec<u8>, NotOnnx> + 'e;

pub(super) enum Edit {
    Keep,
    Drop,
    Replace(Vec<u8>),
    /// Whole fields, tags and all, in the place of one.
    Splice(Vec<u8>),
}

/// Copies a message, letting `edit` decide about each length-delimited field.
pub(super) fn rewrite(message: &[u8], edit: &mut Editor<'_>) -> Result<Vec<u8>, NotOnnx> {
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
pub(super) fn nested(
    message: &[u8],
    number: u64,
    inner: &mut Inner<'_>,
) -> Result<Vec<u8>, NotOnnx> {
    rewrite(message, &mut |field, payload| {
        if field == number { Ok(Edit::Replace(inner(payload)?)) } else { Ok(Edit::Keep) }
    })
}

pub(super) fn first(message: &[u8], number: u64) -> Option<&[u8]> {
    all(message, number).next()
}

pub(super) fn all(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    let wanted = fields(message).filter_map(Result::ok).filter(move |f| f.number == number);
    wanted.filter_map(|f| f.payload)
}

/// The numbers of every field `number`, packed or one by one; those that are none are left out.
pub(super) fn numbers(message: &[u8], number: u64) -> Vec<u64> {
    let mut found = Vec::new();
    for field in fields(message).filter_map(Result::ok).filter(|f| f.number == number) {
        let mut rest = field.payload.unwrap_or(field.raw);
        if field.payload.is_none() && varint(&mut rest).is_err() {
            continue;
        }
        while let (false, Ok(value)) = (rest.is_empty(), varint(&mut rest)) {
            found.push(value);
        }
    }
    found
}

/// One field of a message.
pub(super) struct Field<'a> {
    pub(super) number: u64,
    /// Tag and value as they stand.
    pub(super) raw: &'a [u8],
    /// The value of a length-delimited field.
    pub(super) payload: Option<&'a [u8]>,
}

pub(super) fn fields(mut message: &[u8]) -> impl Iterator<Item = Result<Field<'_>, NotOnnx>> {
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

pub(super) fn put_number(out: &mut Vec<u8>, number: u64, value: u64) {
    put_varint(out, number << 3);
    put_varint(out, value);
}

pub(super) fn put_field(out: &mut Vec<u8>, number: u64, payload: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, payload.len() as u64);
    out.extend_from_slice(payload);
}

/// Bytes that [`open_field`] leaves for a length: any below 32 GiB, which is longer than a file may be.
const LENGTH: usize = 5;

/// Begins a field whose payload is put behind it; [`close_field`] says how long that became. What lies in
/// between need not be made elsewhere and copied.
pub(super) fn open_field(out: &mut Vec<u8>, number: u64) -> usize {
    put_varint(out, number << 3 | 2);
    out.extend([0; LENGTH]);
    out.len()
}

/// Ends the field whose payload begins at `start`.
pub(super) fn close_field(out: &mut [u8], start: usize) {
    let mut length = (out.len() - start) as u64;
    // Of a number that is padded with zeros every byte but the last says that one follows.
    for (i, byte) in out[start - LENGTH..start].iter_mut().enumerate() {
        *byte = (length & 0x7f) as u8 | if i + 1 < LENGTH { 0x80 } else { 0 };
        length >>= 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_was_open_reads_as_any_other() {
        for length in [0, 1, 127, 128, 20_000] {
            let (mut opened, mut put) = (vec![], vec![]);
            let payload = vec![7; length];
            let start = open_field(&mut opened, 7);
            opened.extend(&payload);
            close_field(&mut opened, start);
            put_number(&mut opened, 1, 8);
            put_field(&mut put, 7, &payload);
            put_number(&mut put, 1, 8);
            for message in [&opened, &put] {
                assert_eq!(first(message, 7), Some(&payload[..]));
                assert_eq!(numbers(message, 1), [8]);
            }
        }
    }
}
