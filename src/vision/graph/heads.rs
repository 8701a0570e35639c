//! Heads that read the same values, as one.

use std::collections::BTreeMap;

use super::{
    ATTRIBUTE_INT, ATTRIBUTE_NAME, GRAPH_INITIALIZER, GRAPH_NODE, GRAPH_OUTPUT, MODEL_GRAPH,
    NODE_ATTRIBUTE, NODE_INPUT, NODE_OP_TYPE, NODE_OUTPUT, NotOnnx, TENSOR_DIMS, TENSOR_NAME,
    VALUE_INFO_NAME, floats, integer, integers, operation, tensor,
    wire::{Edit, all, first, nested, numbers, put_field, rewrite},
};

/// Makes one of heads that read the same values and are otherwise alike: a convolution, and after it
/// one of each channel by itself. What comes out is split as it was; the same numbers.
///
/// ONNX Runtime computes convolutions in blocks of 16 channels. The four heads of each of `YuNet`'s
/// strides have 1, 1, 4 and 10: joined, a look takes 6 to 10% less time (one thread, 2026-11).
pub(in super::super) fn join_heads(model: &[u8]) -> Result<Vec<u8>, NotOnnx> {
    nested(model, MODEL_GRAPH, &mut |graph| {
        let groups: Vec<Vec<Head<'_>>> =
            alike(graph).into_values().filter(|heads| heads.len() > 1).collect();
        let mut weights = Vec::new();
        // By what a node puts out: what comes in its place. The first of a group is where what they read is
        // known, and nothing of theirs was read yet.
        let mut places: BTreeMap<&[u8], Edit> = BTreeMap::new();
        for heads in &groups {
            for conv in heads.iter().flat_map(|head| [&head.mix, &head.each]) {
                places.insert(conv.output, Edit::Drop);
            }
            let nodes = joined(heads, &mut weights).ok_or(NotOnnx)?;
            places.insert(heads[0].mix.output, Edit::Splice(nodes));
        }
        let mut edited = rewrite(graph, &mut |field, node| {
            let output = first(node, NODE_OUTPUT).filter(|_| field == GRAPH_NODE);
            Ok(output.and_then(|output| places.remove(output)).unwrap_or(Edit::Keep))
        })?;
        edited.append(&mut weights);
        Ok(edited)
    })
}

/// A convolution that mixes all channels, and the one that reads it, of each channel by itself.
struct Head<'a> {
    mix: Conv<'a>,
    each: Conv<'a>,
}

/// A convolution with small weights and a bias.
struct Conv<'a> {
    input: &'a [u8],
    output: &'a [u8],
    dims: Vec<u64>,
    weights: Vec<f32>,
    bias: Vec<f32>,
    groups: u64,
    /// Its other attributes, as they stand.
    rest: Vec<&'a [u8]>,
}

/// What heads have to have in common: what they read, and how.
type Likeness<'a> = (&'a [u8], [Vec<&'a [u8]>; 2], [Vec<u64>; 2]);

/// The heads of a graph whose values nothing else reads in between, by what they have in common.
fn alike(graph: &[u8]) -> BTreeMap<Likeness<'_>, Vec<Head<'_>>> {
    let tensors: BTreeMap<&[u8], &[u8]> = all(graph, GRAPH_INITIALIZER)
        .filter_map(|tensor| Some((first(tensor, TENSOR_NAME)?, tensor)))
        .collect();
    let mut readers: BTreeMap<&[u8], Vec<Option<&[u8]>>> = BTreeMap::new();
    for node in all(graph, GRAPH_NODE) {
        for input in all(node, NODE_INPUT) {
            readers.entry(input).or_default().push(Some(node));
        }
    }
    for output in all(graph, GRAPH_OUTPUT).filter_map(|value| first(value, VALUE_INFO_NAME)) {
        readers.entry(output).or_default().push(None);
    }
    let mut found: BTreeMap<Likeness<'_>, Vec<Head<'_>>> = BTreeMap::new();
    for node in all(graph, GRAPH_NODE) {
        let Some(mix) = Conv::read(node, &tensors).filter(|mix| mix.groups == 1) else { continue };
        let Some([Some(reader)]) = readers.get(mix.output).map(Vec::as_slice) else { continue };
        let own =
            |each: &Conv<'_>| each.groups == mix.dims[0] && each.dims[..2] == [each.groups, 1];
        let Some(each) = Conv::read(reader, &tensors).filter(own) else { continue };
        let rest = [mix.rest.clone(), each.rest.clone()];
        let dims = [&mix, &each].map(|conv| conv.dims[1..].to_vec());
        found.entry((mix.input, rest, dims)).or_default().push(Head { mix, each });
    }
    found
}

impl<'a> Conv<'a> {
    fn read(node: &'a [u8], tensors: &BTreeMap<&[u8], &[u8]>) -> Option<Self> {
        let inputs: Vec<&[u8]> = all(node, NODE_INPUT).collect();
        let [input, weights, bias] = inputs[..] else { return None };
        let (weights, bias) = (tensors.get(weights)?, tensors.get(bias)?);
        let dims = numbers(weights, TENSOR_DIMS);
        let is_group = |a: &&[u8]| first(a, ATTRIBUTE_NAME) == Some(b"group");
        let (groups, rest): (Vec<_>, Vec<_>) = all(node, NODE_ATTRIBUTE).partition(is_group);
        let groups = groups.first().and_then(|a| numbers(a, ATTRIBUTE_INT).first().copied());
        let conv = Self {
            input,
            output: first(node, NODE_OUTPUT)?,
            weights: floats(weights)?,
            bias: floats(bias)?,
            groups: groups.unwrap_or(1),
            rest,
            dims,
        };
        let is_conv = first(node, NODE_OP_TYPE) == Some(b"Conv") && conv.dims.len() == 4;
        (is_conv && conv.bias.len() as u64 == conv.dims[0]).then_some(conv)
    }
}

/// The nodes that do what `heads` do; their weights are added to `weights`. None without a head.
fn joined(heads: &[Head<'_>], weights: &mut Vec<u8>) -> Option<Vec<u8>> {
    let first = &heads.first()?.mix;
    let named = |part: &str| [first.output, part.as_bytes()].concat();
    let (mixed, apart) = (named("/mixed"), named("/apart"));
    let mixing: Vec<&Conv<'_>> = heads.iter().map(|head| &head.mix).collect();
    let each: Vec<&Conv<'_>> = heads.iter().map(|head| &head.each).collect();
    let channels: Vec<u64> = each.iter().map(|conv| conv.groups).collect();
    let outputs: Vec<&[u8]> = each.iter().map(|conv| conv.output).collect();
    let split = [integer("axis", 1), integers("split", &channels)];
    let nodes = [
        side_by_side(&mixing, 1, (first.input, &mixed), weights)?,
        side_by_side(&each, channels.iter().sum(), (&mixed, &apart), weights)?,
        operation("Split", &[&apart], &outputs, &split),
    ];
    let mut placed = Vec::new();
    for node in &nodes {
        put_field(&mut placed, GRAPH_NODE, node);
    }
    Some(placed)
}

/// One convolution whose channels are those of all `convs`.
fn side_by_side(
    convs: &[&Conv<'_>],
    groups: u64,
    (input, output): (&[u8], &[u8]),
    weights: &mut Vec<u8>,
) -> Option<Vec<u8>> {
    let first = convs.first()?;
    let named = |part: &str| [output, part.as_bytes()].concat();
    let (kernel, bias) = (named("/kernel"), named("/bias"));
    let channels = convs.iter().map(|conv| conv.dims[0]).sum();
    let dims = [&[channels], &first.dims[1..]].concat();
    let kernels: Vec<f32> = convs.iter().flat_map(|conv| conv.weights.iter().copied()).collect();
    let biases: Vec<f32> = convs.iter().flat_map(|conv| conv.bias.iter().copied()).collect();
    put_field(weights, GRAPH_INITIALIZER, &tensor(&kernel, &dims, &kernels));
    put_field(weights, GRAPH_INITIALIZER, &tensor(&bias, &[channels], &biases));
    let mut attributes = vec![integer("group", groups)];
    attributes.extend(first.rest.iter().map(|attribute| attribute.to_vec()));
    Some(operation("Conv", &[input, &kernel, &bias], &[output], &attributes))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{TENSOR_RAW, wire::put_number},
        *,
    };

    const NAMES: [&str; 3] = ["class", "box", "marks"];

    /// A graph of heads with so many channels that all read `x`, and something that reads them.
    fn graph(channels: &[u64], also: &[Vec<u8>]) -> Vec<u8> {
        let mut graph = Vec::new();
        for (name, &channels) in NAMES.iter().zip(channels) {
            let named = |part: &str| format!("{name}/{part}").into_bytes();
            let size = usize::try_from(channels).unwrap();
            for (part, dims) in [("mix", [channels, 2, 1, 1]), ("each", [channels, 1, 3, 3])] {
                let input = if part == "mix" { b"x".to_vec() } else { named("mix") };
                let (kernel, bias) = (named(&format!("{part}-k")), named(&format!("{part}-b")));
                let count = usize::try_from(dims.iter().product::<u64>()).unwrap();
                let values: Vec<f32> = (0..count).map(|i| i as f32).collect();
                put_field(&mut graph, GRAPH_INITIALIZER, &tensor(&kernel, &dims, &values));
                let values = vec![channels as f32; size];
                put_field(&mut graph, GRAPH_INITIALIZER, &tensor(&bias, &[channels], &values));
                let groups = if part == "mix" { 1 } else { channels };
                let attributes = [integer("group", groups), integers("kernel_shape", &dims[2..])];
                let output = named(part);
                let node = operation("Conv", &[&input, &kernel, &bias], &[&output], &attributes);
                put_field(&mut graph, GRAPH_NODE, &node);
            }
        }
        for node in also {
            put_field(&mut graph, GRAPH_NODE, node);
        }
        let mut model = Vec::new();
        put_field(&mut model, MODEL_GRAPH, &graph);
        model
    }

    #[test]
    fn heads_that_read_the_same_become_one_whose_channels_are_split() {
        let reader = operation("Sigmoid", &[b"class/each"], &[b"y"], &[]);
        let model = join_heads(&graph(&[1, 4, 10], std::slice::from_ref(&reader))).unwrap();
        let graph = first(&model, MODEL_GRAPH).unwrap();
        let nodes: Vec<_> = all(graph, GRAPH_NODE).collect();
        let operations: Vec<_> = nodes.iter().map(|n| first(n, NODE_OP_TYPE).unwrap()).collect();
        assert_eq!(operations, [&b"Conv"[..], b"Conv", b"Split", b"Sigmoid"]);
        assert_eq!(first(nodes[0], NODE_INPUT), Some(&b"x"[..]));
        let outputs: Vec<_> = all(nodes[2], NODE_OUTPUT).collect();
        assert_eq!(outputs, [&b"class/each"[..], b"box/each", b"marks/each"]);
        let added: Vec<_> = all(graph, GRAPH_INITIALIZER).skip(12).collect();
        let dims: Vec<_> = added.iter().map(|tensor| numbers(tensor, TENSOR_DIMS)).collect();
        assert_eq!(dims, [vec![15, 2, 1, 1], vec![15], vec![15, 1, 3, 3], vec![15]]);
        let biases = floats(added[1]).unwrap();
        assert_eq!((biases[0], biases[1], biases[5]), (1.0, 4.0, 10.0));
        assert_eq!(nodes[3], reader);
    }

    #[test]
    fn what_is_read_in_between_or_stands_alone_stays() {
        let alone = graph(&[4], &[]);
        assert_eq!(join_heads(&alone), Ok(alone));
        let reader = operation("Relu", &[b"box/mix"], &[b"y"], &[]);
        let read = graph(&[1, 4], &[reader]);
        assert_eq!(join_heads(&read), Ok(read));
    }

    #[test]
    fn numbers_are_read_packed_and_one_by_one() {
        let mut message = Vec::new();
        put_number(&mut message, TENSOR_DIMS, 300);
        put_field(&mut message, TENSOR_DIMS, &[0x80, 0x01, 7]);
        put_field(&mut message, TENSOR_RAW, &[9]);
        assert_eq!(numbers(&message, TENSOR_DIMS), [300, 128, 7]);
    }
}
