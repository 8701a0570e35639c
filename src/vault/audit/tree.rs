//! The Merkle tree of RFC 6962 over the lines of a log: one hash that stands for all of them, and
//! short proofs that a line is among them.
//!
//! Pure mathematics: no file, no key, no clock.

use sha2::{Digest as _, Sha256};

use super::super::Digest;

/// Before the bytes of a leaf, RFC 6962 section 2.1: no leaf can pass for a node.
const LEAF: u8 = 0;
/// Before the two children of a node.
const NODE: u8 = 1;

/// The hash of one line.
pub(super) fn leaf(line: &[u8]) -> Digest {
    let mut hash = Sha256::new();
    hash.update([LEAF]);
    hash.update(line);
    Digest::from_bytes(hash.finalize().into())
}

fn node(left: Digest, right: Digest) -> Digest {
    let mut hash = Sha256::new();
    hash.update([NODE]);
    hash.update(left.as_bytes());
    hash.update(right.as_bytes());
    Digest::from_bytes(hash.finalize().into())
}

/// A tree that grows at its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    leaves: Vec<Digest>,
    /// Roots of the complete subtrees from left to right: one per bit of the size.
    peaks: Vec<Digest>,
}

impl Tree {
    /// Adds a leaf.
    pub(super) fn push(&mut self, leaf: Digest) {
        let mut right = leaf;
        // As many subtrees become one as the size has trailing ones.
        for _ in 0..self.leaves.len().trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                right = node(left, right);
            }
        }
        self.peaks.push(right);
        self.leaves.push(leaf);
    }

    /// Number of leaves.
    pub(super) fn len(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// The root.
    pub(super) fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev().copied();
        let last = peaks.next().unwrap_or_else(|| Digest::of(b""));
        peaks.fold(last, |right, left| node(left, right))
    }

    /// The root as it was when the tree had `size` leaves; `None` where it never had.
    pub(super) fn root_at(&self, size: u64) -> Option<Digest> {
        let size = usize::try_from(size).ok()?;
        Some(root_of(self.leaves.get(..size)?))
    }

    /// The hashes that lead from leaf `index`, counted from 0, to the root; `None` where there is
    /// no such leaf. RFC 6962 section 2.1.1.
    pub(super) fn inclusion(&self, index: u64) -> Option<Vec<Digest>> {
        let index = usize::try_from(index).ok()?;
        self.leaves.get(index)?;
        let mut path = Vec::new();
        let (mut from, mut to) = (0, self.leaves.len());
        while to - from > 1 {
            let split = from + left_size(to - from);
            if index < split {
                path.push(root_of(&self.leaves[split..to]));
                to = split;
            } else {
                path.push(root_of(&self.leaves[from..split]));
                from = split;
            }
        }
        path.reverse();
        Some(path)
    }
}

/// The largest power of two below `size`, which is at least 2.
fn left_size(size: usize) -> usize {
    1 << (size - 1).ilog2()
}

fn root_of(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(left_size(leaves.len()));
            node(root_of(left), root_of(right))
        }
    }
}

/// The root of the tree of `size` leaves that has `leaf` at `index`, counted from 0, if `path` is a
/// proof of it. RFC 9162 section 2.1.3.2.
pub(super) fn root_from(leaf: Digest, index: u64, size: u64, path: &[Digest]) -> Option<Digest> {
    if index >= size {
        return None;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            hash = node(*sibling, hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(hash, *sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The leaves and roots that implementations of RFC 6962 test themselves with.
    #[test]
    fn roots_are_those_of_the_reference() {
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Tree::default();
        assert_eq!(tree.root(), Digest::of(b""));
        for (line, root) in leaves.iter().zip(roots) {
            tree.push(leaf(line));
            assert_eq!(tree.root().to_string(), root, "{} leaves", tree.len());
            assert_eq!(tree.root_at(tree.len()), Some(tree.root()));
        }
        assert_eq!(tree.root_at(3).unwrap().to_string(), roots[2]);
        assert_eq!(tree.root_at(9), None);
    }

    fn tree(size: u64) -> Tree {
        let mut tree = Tree::default();
        for n in 0..size {
            tree.push(leaf(&n.to_be_bytes()));
        }
        tree
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_leaf_has_a_proof_and_nothing_else_has(
            size in 1u64..200,
            at: prop::sample::Index,
            other: prop::sample::Index,
            flip: prop::sample::Index,
        ) {
            let tree = tree(size);
            let index = at.index(usize::try_from(size).unwrap()) as u64;
            let path = tree.inclusion(index).unwrap();
            let own = leaf(&index.to_be_bytes());
            let root = tree.root();
            prop_assert_eq!(root_from(own, index, size, &path), Some(root));
            prop_assert_ne!(root_from(leaf(b"x"), index, size, &path), Some(root));
            let elsewhere = other.index(usize::try_from(size).unwrap()) as u64;
            if elsewhere != index {
                prop_assert_ne!(root_from(own, elsewhere, size, &path), Some(root));
            }
            if !path.is_empty() {
                let mut altered = path.clone();
                altered[flip.index(path.len())] = leaf(b"y");
                prop_assert_ne!(root_from(own, index, size, &altered), Some(root));
                prop_assert_ne!(root_from(own, index, size, &path[1..]), Some(root));
            }
            prop_assert_ne!(root_from(own, index, size, &[&path[..], &[own]].concat()), Some(root));
            prop_assert_eq!(tree.inclusion(size), None);
        }
    }
}
