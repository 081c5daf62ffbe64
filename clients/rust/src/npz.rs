//! Shapes from NumPy's files, which are a ninth of the size of JSON and far faster to read.

use std::collections::HashMap;
use std::io::Read;

use flate2::read::DeflateDecoder;

use crate::{Point, Shape};

/// What `Accept` says: services that are older, and do not know npz, send JSON.
pub(crate) const ACCEPT: &str = "application/x-npz, application/json;q=0.5";
const ENTRY: &[u8] = b"PK\x03\x04";
const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
const DEFLATED: usize = 8;

/// Whether an answer is such a file.
pub(crate) fn is_npz(body: &[u8]) -> bool {
    body.starts_with(ENTRY)
}

/// The shape in a file; None where it is not one that the service writes.
pub(crate) fn shape_of(body: &[u8]) -> Option<Shape> {
    let arrays = arrays_of(body)?;
    let (coarse_xyz, coarse_normal) = stage(&arrays, "coarse")?;
    let fine = if arrays.contains_key("fine_ijk.npy") { Some(stage(&arrays, "fine")?) } else { None };
    let (fine_xyz, fine_normal) = fine.unzip();
    Some(Shape { coarse_xyz, coarse_normal, fine_xyz, fine_normal })
}

/// Positions and normals of a stage.
fn stage(arrays: &HashMap<String, Vec<u8>>, name: &str) -> Option<(Vec<Point>, Vec<Point>)> {
    let array = |what: &str, kind: &str| numbers(arrays.get(&format!("{name}_{what}.npy"))?, kind);
    let size = f64::from_le_bytes(array("voxel_size", "'<f8'")?.0.try_into().ok()?);
    let ijk = rows(array("ijk", "'<i2'")?, |bytes| {
        ((f64::from(i16::from_le_bytes(bytes)) + 0.5) * size) as f32 // as the service computes it for JSON
    })?;
    let normal = rows(array("normal", "'<f2'")?, |bytes| half(u16::from_le_bytes(bytes)))?;
    (ijk.len() == normal.len()).then_some((ijk, normal))
}

/// Rows of three numbers of two bytes, which lie one row after the other or one column after the other.
fn rows((data, by_columns): (&[u8], bool), number: impl Fn([u8; 2]) -> f32) -> Option<Vec<Point>> {
    let count = data.len() / 6;
    let at = |row: usize, column: usize| {
        let place = 2 * if by_columns { column * count + row } else { row * 3 + column };
        number([data[place], data[place + 1]])
    };
    (data.len() % 6 == 0).then(|| (0..count).map(|row| [0, 1, 2].map(|column| at(row, column))).collect())
}

/// The bytes of an array of a type, and whether they are ordered by columns.
fn numbers<'a>(file: &'a [u8], kind: &str) -> Option<(&'a [u8], bool)> {
    let length = usize::from(u16::from_le_bytes(file.strip_prefix(MAGIC)?.get(..2)?.try_into().ok()?));
    let start = MAGIC.len() + 2;
    let head = std::str::from_utf8(file.get(start..start + length)?).ok()?;
    let by_columns = head.contains("'fortran_order': True");
    head.contains(&format!("'descr': {kind}")).then(|| (&file[start + length..], by_columns))
}

/// The files of a ZIP that was written in one go, by their names.
fn arrays_of(mut rest: &[u8]) -> Option<HashMap<String, Vec<u8>>> {
    let mut arrays = HashMap::new();
    while let Some(entry) = rest.strip_prefix(ENTRY) {
        let field = |place: usize, bytes: usize| {
            let number = entry.get(place..place + bytes)?.iter().rev();
            Some(number.fold(0usize, |sum, byte| sum << 8 | usize::from(*byte)))
        };
        let (flags, method, packed, length) = (field(2, 2)?, field(4, 2)?, field(14, 4)?, field(18, 4)?);
        let (name_length, extra_length) = (field(22, 2)?, field(24, 2)?);
        if flags & 0b1000 != 0 {
            return None; // its sizes would stand behind it
        }
        let name = String::from_utf8(entry.get(26..26 + name_length)?.to_vec()).ok()?;
        let start = 26 + name_length + extra_length;
        let content = entry.get(start..start.checked_add(packed)?)?;
        let mut array = Vec::new();
        match method {
            0 => array.extend_from_slice(content),
            DEFLATED => {
                DeflateDecoder::new(content).take(length as u64).read_to_end(&mut array).ok()?;
            }
            _ => return None,
        }
        if array.len() != length {
            return None;
        }
        arrays.insert(name, array);
        rest = &entry[start + packed..];
    }
    Some(arrays)
}

/// A number of 16 bits as IEEE 754 has it.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        0x1f => sign * if fraction == 0.0 { f32::INFINITY } else { f32::NAN },
        _ => sign * (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn halves_are_the_numbers_that_they_stand_for() {
        let known = [(0x0000, 0.0), (0x3c00, 1.0), (0xc000, -2.0), (0x3555, 0.333_251_95), (0x0001, 5.960_464_5e-8)];
        for (bits, number) in known {
            assert_eq!(half(bits), number);
        }
        assert_eq!(half(0xfc00), f32::NEG_INFINITY);
        assert!(half(0x7e00).is_nan());
    }
}
