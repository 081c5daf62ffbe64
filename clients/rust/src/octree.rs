//! Octrees of materials, as the crossworld engine keeps them: the service's formats `bcf` and `csm`.

use std::fmt;

use crate::Point;

const MAGIC: [[u8; 4]; 2] = [*b"1FCB", *b"BCF1"];
const HEADER: usize = 12;
const DEEPEST: u32 = 32;

/// A cube of one material, 0 being empty space, or eight octants: number 4x + 2y + z of them lies towards +x, +y and +z.
///
/// The root is the models' cube, within ±0.5 in world units, unless the file was asked for with another origin or size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Octree {
    Solid(u8),
    Divided(Box<[Octree; 8]>),
}

/// A cube of one material that is not empty space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cube {
    /// Halvings of the root: the cube's edge is `0.5f32.powi(level)` of the root's.
    pub level: u32,
    /// Its place, counted in its own edges from the root's lowest corner on.
    pub at: [u32; 3],
    pub material: u8,
}

/// What was read is no octree; the text says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

impl std::error::Error for Malformed {}

fn malformed<T>(why: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(why.into()))
}

impl Octree {
    /// Reads a BCF file; the four bytes of its magic number may stand in either order.
    pub fn from_bcf(data: &[u8]) -> Result<Self, Malformed> {
        let header = data.get(..HEADER).ok_or_else(|| Malformed("the file is shorter than its header".into()))?;
        if !MAGIC.iter().any(|magic| header.starts_with(magic)) {
            return malformed("the file does not begin as a BCF file does");
        }
        if header[4] != 1 {
            return malformed(format!("version {} of BCF is not known", header[4]));
        }
        let root = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        // Every node has bytes of its own, so a file with more nodes than bytes has pointers that lead back.
        Nodes { data, left: data.len() }.read(u64::from(root), 0)
    }

    /// Reads CSM text; copies and mirrors of earlier parts (`<`, `/`, `^`, `|`) are not known here.
    pub fn from_csm(text: &str) -> Result<Self, Malformed> {
        let mut words = Words { text: text.as_bytes(), at: 0 };
        let mut root = Octree::Solid(0);
        while let Some(sign) = words.peek() {
            if sign != b'>' {
                return malformed(format!("{:?} is not known at the begin of a statement", sign as char));
            }
            words.at += 1;
            let mut place = &mut root;
            while let Some(octant) = words.octant() {
                place = place.octant_mut(octant);
            }
            *place = words.cube(0)?;
        }
        Ok(root)
    }

    /// The octree of voxel centres as `generate` and `Event::Coarse` give them, all of one material; None where they are
    /// no centres of a grid with a power of 2 of voxels a side, up to 1024, within ±0.5.
    pub fn from_points(points: &[Point], material: u8) -> Option<Self> {
        let place = |value: f32, depth: u32| (value + 0.5) * (1u32 << depth) as f32;
        let fits = |depth: u32| {
            let mut values = points.iter().flatten();
            values.all(|&value| value.abs() < 0.5 && (place(value, depth).fract() - 0.5).abs() < 0.01)
        };
        let depth = (0..=10).find(|&depth| fits(depth))?;
        let mut root = Octree::Solid(0);
        for point in points {
            let at = point.map(|value| place(value, depth) as u32);
            let mut cube = &mut root;
            for level in (0..depth).rev() {
                let [x, y, z] = at.map(|value| (value >> level & 1) as usize);
                cube = cube.octant_mut(4 * x + 2 * y + z);
            }
            *cube = Octree::Solid(material);
        }
        root.simplify();
        Some(root)
    }

    /// The most halvings from here to a cube of one material.
    pub fn depth(&self) -> u32 {
        match self {
            Octree::Solid(_) => 0,
            Octree::Divided(octants) => 1 + octants.iter().map(Octree::depth).max().unwrap_or(0),
        }
    }

    /// All cubes that are not empty space, in the order of the octants.
    pub fn cubes(&self) -> Vec<Cube> {
        let mut found = Vec::new();
        self.collect(0, [0; 3], &mut found);
        found
    }

    /// The material at a place of a grid with 2^`depth` places a side: 0 outside, and where parts are finer than the
    /// grid, that of the place's lowest corner.
    pub fn material(&self, depth: u32, at: [u32; 3]) -> u8 {
        if depth > 31 || at.iter().any(|&value| value >> depth != 0) {
            return 0;
        }
        let mut place = self;
        let mut level = depth;
        while let Octree::Divided(octants) = place {
            level = level.saturating_sub(1);
            let [x, y, z] = if depth == 0 { [0; 3] } else { at.map(|value| (value >> level & 1) as usize) };
            place = &octants[4 * x + 2 * y + z];
        }
        match place {
            Octree::Solid(material) => *material,
            Octree::Divided(_) => unreachable!("the loop ends at a cube of one material"),
        }
    }

    fn collect(&self, level: u32, at: [u32; 3], found: &mut Vec<Cube>) {
        match self {
            Octree::Solid(0) => {}
            Octree::Solid(material) => found.push(Cube { level, at, material: *material }),
            Octree::Divided(octants) => {
                for (number, octant) in octants.iter().enumerate() {
                    let step = [number >> 2, number >> 1 & 1, number & 1];
                    let inner = [0, 1, 2].map(|axis| 2 * at[axis] + step[axis] as u32);
                    octant.collect(level + 1, inner, found);
                }
            }
        }
    }

    fn octant_mut(&mut self, number: usize) -> &mut Octree {
        if let Octree::Solid(material) = *self {
            *self = Octree::Divided(Box::new(std::array::from_fn(|_| Octree::Solid(material))));
        }
        match self {
            Octree::Divided(octants) => &mut octants[number],
            Octree::Solid(_) => unreachable!("it has just been divided"),
        }
    }

    /// Makes one cube of eight octants of one material.
    fn simplify(&mut self) {
        if let Octree::Divided(octants) = self {
            octants.iter_mut().for_each(Octree::simplify);
            if let Octree::Solid(material) = octants[0] {
                if octants.iter().all(|octant| *octant == Octree::Solid(material)) {
                    *self = Octree::Solid(material);
                }
            }
        }
    }
}

struct Nodes<'a> {
    data: &'a [u8],
    left: usize,
}

impl Nodes<'_> {
    fn read(&mut self, offset: u64, depth: u32) -> Result<Octree, Malformed> {
        self.left = match self.left.checked_sub(1) {
            Some(left) if depth <= DEEPEST => left,
            _ => return malformed("the pointers of the file lead back"),
        };
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let node = self.data.get(at..).filter(|node| !node.is_empty());
        let node = node.ok_or_else(|| Malformed(format!("a pointer leads to byte {offset}, after the end")))?;
        let part = |from: usize, length: usize| {
            node.get(from..from + length).ok_or_else(|| Malformed(format!("the node at byte {offset} is cut off")))
        };
        match node[0] {
            material @ 0..=0x7F => Ok(Octree::Solid(material)),
            0x80..=0x8F => Ok(Octree::Solid(part(1, 1)?[0])),
            0x90..=0x9F => {
                let materials = part(1, 8)?;
                Ok(Octree::Divided(Box::new(std::array::from_fn(|octant| Octree::Solid(materials[octant])))))
            }
            kind @ 0xA0..=0xA3 => {
                let size = 1 << (kind - 0xA0);
                let pointers = part(1, 8 * size)?;
                let mut octants: [Octree; 8] = std::array::from_fn(|_| Octree::Solid(0));
                for (octant, pointer) in octants.iter_mut().zip(pointers.chunks(size)) {
                    let mut bytes = [0; 8];
                    bytes[..size].copy_from_slice(pointer);
                    *octant = self.read(u64::from_le_bytes(bytes), depth + 1)?;
                }
                Ok(Octree::Divided(Box::new(octants)))
            }
            kind => malformed(format!("the node at byte {offset} is of the unknown kind {kind:#04x}")),
        }
    }
}

struct Words<'a> {
    text: &'a [u8],
    at: usize,
}

impl Words<'_> {
    /// The next sign after blanks and comments.
    fn peek(&mut self) -> Option<u8> {
        while let Some(&sign) = self.text.get(self.at) {
            match sign {
                b'#' => self.at += self.text[self.at..].iter().take_while(|&&sign| sign != b'\n').count(),
                _ if sign.is_ascii_whitespace() => self.at += 1,
                _ => return Some(sign),
            }
        }
        None
    }

    fn octant(&mut self) -> Option<usize> {
        let octant = self.text.get(self.at)?.checked_sub(b'a').filter(|&octant| octant < 8)?;
        self.at += 1;
        Some(usize::from(octant))
    }

    fn cube(&mut self, depth: u32) -> Result<Octree, Malformed> {
        match self.peek() {
            Some(b'[') if depth < DEEPEST => {
                self.at += 1;
                let mut octants: [Octree; 8] = std::array::from_fn(|_| Octree::Solid(0));
                for octant in &mut octants {
                    *octant = self.cube(depth + 1)?;
                }
                if self.peek() != Some(b']') {
                    return malformed("a cube has eight octants between brackets");
                }
                self.at += 1;
                Ok(Octree::Divided(Box::new(octants)))
            }
            Some(b'0'..=b'9') => {
                let digits = self.text[self.at..].iter().take_while(|sign| sign.is_ascii_digit()).count();
                let word = std::str::from_utf8(&self.text[self.at..self.at + digits]).unwrap_or_default();
                self.at += digits;
                match word.parse() {
                    Ok(material) => Ok(Octree::Solid(material)),
                    Err(_) => malformed(format!("{word} is no material from 0 to 255")),
                }
            }
            Some(sign) => malformed(format!("{:?} is not known where a cube should be", sign as char)),
            None => malformed("the text ends where a cube should be"),
        }
    }
}
