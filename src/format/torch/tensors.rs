//! Which tensors a pickle holds.
//!
//! torch pickles a tensor as a call of a function of `torch._utils`:
//!
//! | function                       | arguments                                                                     |
//! |--------------------------------|-------------------------------------------------------------------------------|
//! | `_rebuild_tensor_v2`           | storage, offset, size, strides, requires_grad, hooks, perhaps metadata        |
//! | `_rebuild_tensor_v3`           | storage, offset, size, strides, requires_grad, hooks, dtype, perhaps metadata |
//! | `_rebuild_parameter`, `_rebuild_parameter_with_state` | such a tensor, and more                                |
//! | `_rebuild_from_type_v2` (of `torch._tensor`) | another such function, the class, its arguments, attributes     |
//!
//! Offset, size and strides count elements. The storage is a persistent id: `('storage', class, key, device, numel)`.
//! The class says the type of the elements; of storages without a type, the dtype does. The metadata is a dictionary
//! that says whether the tensor is a lazy conjugate (`conj`) or negative (`neg`): then its bytes are not its values.
//!
//! Tensors are sought in dictionaries, lists and tuples, whose keys and numbers are the groups and the name, and in
//! instances of any class: in the arguments that it is made with, by their numbers, in its attributes and its items by
//! their names. So they are found in named tuples and modules, those of TorchScript included. Keys that are neither
//! strings nor integers, truth values or `None` lead nowhere. What is reached on two ways is listed twice.

use std::collections::{HashMap, HashSet};

use super::element::{BYTE, Element, quantised};
use super::pickle::{Node, Pickle, Value};
use crate::format::Refusal;
use crate::layout::MAX_NDIM;

/// The deepest nesting in which tensors are sought.
pub(super) const MAX_DEPTH: usize = 64;

/// The most tensors that are listed, values that are looked at, and bytes of all paths together.
pub(super) const MAX_TENSORS: usize = 1 << 17;
pub(super) const MAX_VISITS: usize = 1 << 22;
pub(super) const MAX_NAMES: usize = 64 << 20;

/// So many wrappings of a tensor in another are unwrapped.
const MAX_WRAPPINGS: usize = 8;

/// So many entries of a tensor's metadata are looked at; there are two.
const MAX_METADATA: usize = 16;

/// A tensor as the pickle describes it. All counts are of elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tensor {
    pub(super) storage: Storage,
    pub(super) element: Element,
    pub(super) offset: u64,
    pub(super) shape: Vec<u64>,
    pub(super) strides: Vec<i64>,
}

/// A storage as the pickle describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    pub(super) key: String,
    pub(super) element: Element,
    pub(super) numel: u64,
}

/// What a pickle describes.
#[derive(Debug, Default)]
pub(super) struct Described {
    /// The tensors, each with the keys that lead to it.
    pub(super) tensors: Vec<(Vec<String>, Result<Tensor, Refusal>)>,
    /// Element types of the storages, by their keys; bytes where tensors differ about it.
    pub(super) storages: HashMap<String, Element>,
}

/// Whose parts are being looked at.
struct Frame {
    node: u32,
    next: usize,
    /// Whether the last component of the path is its own.
    named: bool,
}

/// What a value turns out to be.
enum Kind {
    Tensor(Result<Tensor, Refusal>),
    Parts(u32),
    Nothing,
}

/// Finds the tensors of a pickle; one that is the whole object is called `tensor`.
pub(super) fn find(pickle: &Pickle) -> Result<Described, Refusal> {
    let (mut path, mut frames, mut open): (Vec<String>, Vec<Frame>, HashSet<u32>) = Default::default();
    let (mut described, mut names) = (Described::default(), 0);
    let mut next = Some((None, pickle.root));
    let mut visits = 0;
    loop {
        visits += 1;
        if visits > MAX_VISITS || described.tensors.len() > MAX_TENSORS || names > MAX_NAMES {
            return Err(Refusal(
                "it has more than can be listed, or the same parts in too many places; save the tensors in several \
                 files"
                    .into(),
            ));
        }
        if let Some((name, value)) = next.take() {
            let named = name.is_some();
            path.extend(name);
            match kind(pickle, value) {
                // A part of itself is not entered again.
                Kind::Parts(node) if open.insert(node) => {
                    if frames.len() >= MAX_DEPTH {
                        return Err(Refusal(format!("it is nested more than {MAX_DEPTH} deep; save it flatter")));
                    }
                    frames.push(Frame { node, next: 0, named });
                    continue;
                }
                Kind::Tensor(tensor) => {
                    if let Ok(tensor) = &tensor {
                        names += tensor.storage.key.len();
                        note(&mut described.storages, tensor);
                    }
                    let path = if path.is_empty() { vec!["tensor".to_owned()] } else { path.clone() };
                    names += path.iter().map(|name| name.len() + size_of::<String>()).sum::<usize>();
                    described.tensors.push((path, tensor));
                }
                _ => {}
            }
            if named {
                path.pop();
            }
        }
        let Some(frame) = frames.last_mut() else { return Ok(described) };
        match part(pickle, frame.node, frame.next) {
            Some(found) => {
                frame.next += 1;
                next = found;
            }
            None => {
                open.remove(&frame.node);
                if frame.named {
                    path.pop();
                }
                frames.pop();
            }
        }
    }
}

/// Remembers what a tensor tells about its storage.
fn note(storages: &mut HashMap<String, Element>, tensor: &Tensor) {
    // A storage of bytes may hold anything, which the tensor knows.
    let element = if tensor.storage.element == BYTE { tensor.element } else { tensor.storage.element };
    storages
        .entry(tensor.storage.key.clone())
        .and_modify(|known| {
            if *known != element {
                *known = BYTE;
            }
        })
        .or_insert(element);
}

/// A part of a value, with its name: the inner nothing where it has none that we know. Nothing after the last.
fn part(pickle: &Pickle, node: u32, index: usize) -> Option<Option<(Option<String>, Value)>> {
    let keyed = |&(key, value): &(Value, Value)| name(pickle, key).map(|name| (Some(name), value));
    match pickle.node(Value::Node(node))? {
        Node::Tuple(values) | Node::List(values) => {
            values.get(index).map(|&value| Some((Some(index.to_string()), value)))
        }
        Node::Dict(items) => items.get(index).map(keyed),
        Node::Object(object) => match index {
            0 => Some(Some((None, object.arguments))),
            1 => Some(Some((None, object.state))),
            _ => object.items.get(index - 2).map(keyed),
        },
        Node::Global(..) | Node::Persistent(_) => None,
    }
}

/// The name of what has this key.
fn name(pickle: &Pickle, key: Value) -> Option<String> {
    match key {
        Value::Text { .. } => pickle.text(key).map(str::to_owned),
        Value::Int(number) => Some(number.to_string()),
        Value::Bool(true) => Some("True".into()),
        Value::Bool(false) => Some("False".into()),
        Value::None => Some("None".into()),
        Value::Node(_) | Value::Other => None,
    }
}

fn kind(pickle: &Pickle, value: Value) -> Kind {
    let (node, mut callee, mut arguments) = match (value, pickle.node(value)) {
        (Value::Node(node), Some(Node::Object(object))) => (node, object.callee, object.arguments),
        (Value::Node(node), Some(_)) => return Kind::Parts(node),
        _ => return Kind::Nothing,
    };
    for _ in 0..MAX_WRAPPINGS {
        let values = pickle.tuple(arguments).unwrap_or_default();
        match (pickle.global(callee), values) {
            (Some(("torch._tensor", "_rebuild_from_type_v2")), &[function, _, inner, ..]) => {
                (callee, arguments) = (function, inner);
            }
            (
                Some(
                    ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state")
                    | ("torch.jit._pickle", "restore_type_tag" | "build_tensorlist"),
                ),
                &[inner, ..],
            ) => match (inner, pickle.node(inner)) {
                (_, Some(Node::Object(object))) => (callee, arguments) = (object.callee, object.arguments),
                (Value::Node(inner), Some(_)) => return Kind::Parts(inner),
                _ => return Kind::Nothing,
            },
            (Some(("torch._utils", function)), values) => {
                return tensor(pickle, function, values).map_or(Kind::Parts(node), Kind::Tensor);
            }
            _ => break,
        }
    }
    Kind::Parts(node)
}

/// The tensor that a function of `torch._utils` makes of these, if it makes one.
fn tensor(pickle: &Pickle, function: &str, values: &[Value]) -> Option<Result<Tensor, Refusal>> {
    let (dtype, metadata) = match (function, values) {
        ("_rebuild_tensor_v2", &[_, _, _, _, _, _]) => (None, Value::None),
        ("_rebuild_tensor_v2", &[_, _, _, _, _, _, metadata]) => (None, metadata),
        ("_rebuild_tensor_v3", &[_, _, _, _, _, _, dtype]) => (Some(dtype), Value::None),
        ("_rebuild_tensor_v3", &[_, _, _, _, _, _, dtype, metadata]) => (Some(dtype), metadata),
        ("_rebuild_tensor_v2" | "_rebuild_tensor_v3", _) => return Some(Err(malformed("has other arguments"))),
        ("_rebuild_qtensor", _) => return Some(Err(quantised())),
        ("_rebuild_meta_tensor_no_storage", _) => {
            return Some(Err(Refusal(
                "it is on the meta device, which keeps no elements; save it from another".into(),
            )));
        }
        _ => return None,
    };
    let &[storage, offset, size, strides, ..] = values else {
        return Some(Err(malformed("has too few arguments")));
    };
    Some(strided(pickle, [storage, offset, size, strides], dtype, metadata))
}

fn strided(
    pickle: &Pickle,
    [storage, offset, size, strides]: [Value; 4],
    dtype: Option<Value>,
    metadata: Value,
) -> Result<Tensor, Refusal> {
    if let Some(Node::Dict(items)) = pickle.node(metadata)
        && let Some((key, _)) = items.iter().take(MAX_METADATA).find(|(_, value)| *value != Value::Bool(false))
    {
        let what = match pickle.text(*key) {
            Some("conj") => "the conjugate of what is stored; save tensor.resolve_conj()",
            Some("neg") => "the negative of what is stored; save tensor.resolve_neg()",
            _ => "marked in a way that is not known",
        };
        return Err(Refusal(format!("it is {what}; its bytes are in storage/")));
    }
    let storage = self::storage(pickle, storage)?;
    let element = match dtype {
        None => storage.element,
        Some(dtype) => match pickle.global(dtype) {
            Some(("torch", dtype)) => Element::of_dtype(dtype)?,
            _ => return Err(malformed("has no dtype where one belongs")),
        },
    };
    let Value::Int(offset) = offset else { return Err(malformed("has an offset that is no integer")) };
    let offset = u64::try_from(offset).map_err(|_| malformed("has a negative offset"))?;
    let integers = |value: Value| -> Option<Vec<i64>> {
        let integer = |value: &Value| if let Value::Int(number) = value { Some(*number) } else { None };
        pickle.tuple(value).filter(|values| values.len() <= MAX_NDIM)?.iter().map(integer).collect()
    };
    let (Some(shape), Some(strides)) = (integers(size), integers(strides)) else {
        return Err(malformed("has a size or strides that are no tuples of at most 64 integers"));
    };
    let shape: Result<Vec<u64>, _> = shape.into_iter().map(u64::try_from).collect();
    let shape = shape.map_err(|_| malformed("has an axis of negative length"))?;
    if shape.len() != strides.len() {
        return Err(malformed("has not as many strides as axes"));
    }
    Ok(Tensor { storage, element, offset, shape, strides })
}

/// The storage that a persistent id names.
fn storage(pickle: &Pickle, value: Value) -> Result<Storage, Refusal> {
    let no_storage = || malformed("has no storage that is known");
    let Some(&Node::Persistent(id)) = pickle.node(value) else { return Err(no_storage()) };
    let Some(&[tag, class, key, _device, Value::Int(numel), ..]) = pickle.tuple(id) else { return Err(no_storage()) };
    let (Some("storage"), Some(key), Some((_, class))) = (pickle.text(tag), pickle.text(key), pickle.global(class))
    else {
        return Err(no_storage());
    };
    let numel = u64::try_from(numel).map_err(|_| malformed("has a storage of negative length"))?;
    Ok(Storage { key: key.to_owned(), element: Element::of_storage(class)?, numel })
}

fn malformed(what: &str) -> Refusal {
    Refusal(format!("the pickle describes a tensor that {what}; it is damaged, or younger than afbfs: save it again"))
}
