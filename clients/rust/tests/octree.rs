//! Octrees: read from the service's files and from points, and what is no octree is told.

use xcube_client::{Cube, Malformed, Octree};

/// A BCF file of the nodes that follow its header.
fn bcf(nodes: &[u8]) -> Vec<u8> {
    [b"1FCB".as_slice(), &[1, 0, 0, 0, 12, 0, 0, 0], nodes].concat()
}

fn solid<const N: usize>(materials: [u8; N]) -> [Octree; N] {
    materials.map(Octree::Solid)
}

#[test]
fn every_kind_of_node_is_read() {
    let leaves = [0x90, 1, 2, 3, 4, 5, 6, 7, 200];
    let divided = Octree::Divided(Box::new(solid([1, 2, 3, 4, 5, 6, 7, 200])));
    assert_eq!(Octree::from_bcf(&bcf(&[42])), Ok(Octree::Solid(42)));
    assert_eq!(Octree::from_bcf(&bcf(&[0x80, 255])), Ok(Octree::Solid(255)));
    assert_eq!(Octree::from_bcf(&bcf(&leaves)), Ok(divided.clone()));
    for size in [1usize, 2, 4, 8] {
        let first = (12 + 1 + 8 * size) as u64;
        let mut nodes = vec![0xA0 + size.trailing_zeros() as u8];
        for octant in 0..8u64 {
            nodes.extend_from_slice(&(first + octant.min(2)).to_le_bytes()[..size]);
        }
        nodes.extend_from_slice(&[9, 0]);
        nodes.extend_from_slice(&leaves);
        let mut octants = [(); 8].map(|()| divided.clone());
        octants[0] = Octree::Solid(9);
        octants[1] = Octree::Solid(0);
        assert_eq!(Octree::from_bcf(&bcf(&nodes)), Ok(Octree::Divided(Box::new(octants))));
    }
    let documented = [b"BCF1".as_slice(), &bcf(&[42])[4..]].concat();
    assert_eq!(Octree::from_bcf(&documented), Ok(Octree::Solid(42)));
}

#[test]
fn what_is_no_bcf_file_is_told() {
    let back = bcf(&[0xA0, 12, 12, 12, 12, 12, 12, 12, 12]);
    let cases: [(&[u8], &str); 7] = [
        (b"1FCB", "shorter than its header"),
        (b"GIF89a......", "does not begin as"),
        (&[&b"1FCB"[..], &[2, 0, 0, 0, 12, 0, 0, 0, 1]].concat(), "version 2"),
        (&bcf(&[]), "byte 12, after the end"),
        (&bcf(&[0x90, 1]), "byte 12 is cut off"),
        (&bcf(&[0xB0]), "unknown kind 0xb0"),
        (&back, "lead back"),
    ];
    for (data, words) in cases {
        let Err(Malformed(why)) = Octree::from_bcf(data) else { panic!("{words}") };
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn csm_is_read_with_comments_and_later_statements_over_earlier_ones() {
    let tree =
        Octree::from_csm("# two\n>a [1 2 3 4 5 6 7 8] >h 200\n>ab [0 0 0 0 0 0 0[9 9 9 9 9 9 9 9]] # end").unwrap();
    assert_eq!(tree.material(1, [1, 1, 1]), 200);
    assert_eq!(tree.material(2, [0, 0, 0]), 1);
    assert_eq!(tree.material(4, [3, 3, 7]), 9);
    assert_eq!(tree.material(4, [2, 2, 2]), 1);
    assert_eq!(tree.material(1, [0, 0, 1]), 0);
    assert_eq!(Octree::from_csm(" \n"), Ok(Octree::Solid(0)));
    let deep = format!(">a {}", "[".repeat(100_000));
    for (text, words) in [
        (">a 256", "256 is no material"),
        (">a [1 2 3 4 5 6 7]", "']' is not known"),
        (">a [1 2 3 4 5 6 7 8 9]", "eight octants"),
        (">a [1 2", "the text ends"),
        (">a 1 | >b <a", "'|' is not known"),
        (&deep, "'[' is not known"),
    ] {
        let Err(Malformed(why)) = Octree::from_csm(text) else { panic!("{words}") };
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn points_become_an_octree_with_whole_cubes_as_one() {
    let lower: Vec<[f32; 3]> = [-0.375, -0.125, 0.125, 0.375]
        .iter()
        .flat_map(|&x| [-0.375, -0.125].map(|y| (x, y)))
        .flat_map(|(x, y)| [-0.375, -0.125, 0.125, 0.375].map(|z| [x, y, z]))
        .collect();
    let tree = Octree::from_points(&lower, 7).unwrap();
    assert_eq!(tree, Octree::Divided(Box::new(solid([7, 7, 0, 0, 7, 7, 0, 0]))));
    assert_eq!(tree.depth(), 1);
    let one = Octree::from_points(&[[0.484_375, -0.484_375, 0.015_625]], 3).unwrap();
    assert_eq!(one.cubes(), [Cube { level: 5, at: [31, 0, 16], material: 3 }]);
    assert_eq!(one.material(5, [31, 0, 16]), 3);
    assert_eq!(one.material(5, [31, 0, 32]), 0);
    assert_eq!(Octree::from_points(&[[0.1, 0.2, 0.3]], 1), None);
    assert_eq!(Octree::from_points(&[[1.5, 0.0, 0.0]], 1), None);
}
