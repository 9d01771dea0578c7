//! Pickles, read as data: nothing is imported, called or made.
//!
//! Specification: Python's `Lib/pickletools.py`, which describes each opcode. A pickle is a program for a machine with
//! a stack, whose last value on the stack is the object. This machine runs all opcodes of protocols 2 to 5, but where
//! Python's would look up a name, call something or make an instance, it only notes that ([`Node::Global`],
//! [`Node::Object`]). What such a note means is the caller's business; most mean nothing to it.
//!
//! Values refer to each other by number, so that loops (a list within itself) cost nothing.
//!
//! Limits, so that a hostile pickle costs no more than a few hundred MiB and less than a second: [`MAX_LEN`] bytes,
//! [`MAX_STEPS`] opcodes, [`MAX_NODES`] objects, and as many values on the stack, marks and memoised values. The
//! numbers are those of a model of some 100 000 tensors. Text opcodes of protocols 0 and 1 are refused, since no torch
//! has written them into an archive, and so are buffers that lie outside of the pickle. Numbers beyond 64 bits, floats,
//! byte strings, and strings of more than [`MAX_TEXT`] bytes are read over.

use std::collections::HashMap;

#[cfg(test)]
mod tests;

/// The longest pickle, in bytes.
pub const MAX_LEN: u64 = 64 << 20;

/// The largest number of opcodes.
pub const MAX_STEPS: usize = 1 << 23;

/// The largest number of containers, instances and names, and of values on the stack or in the memo.
pub const MAX_NODES: usize = 1 << 20;

/// The longest string that is kept, in bytes; names in a file system have 255 at most.
pub const MAX_TEXT: usize = 1024;

/// A Python value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// `None`
    None,
    /// `True`, `False`
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// A string: where it stands in the pickle.
    Text {
        /// Its first byte.
        start: u32,
        /// Its length in bytes.
        len: u32,
    },
    /// What has parts: a number for [`Pickle::node`].
    Node(u32),
    /// Something else, of which nothing is kept.
    Other,
}

/// A value that has parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A tuple; all in it was made before it.
    Tuple(Vec<Value>),
    /// A list or a set.
    List(Vec<Value>),
    /// A dictionary; of a key that stands twice the last counts.
    Dict(Vec<(Value, Value)>),
    /// Something that Python would import: module and name.
    Global(Value, Value),
    /// Something that lies outside of the pickle, under this id.
    Persistent(Value),
    /// What Python would get by a call.
    Object(Box<Object>),
}

/// What Python would get by a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What is called, a function or a class.
    pub callee: Value,
    /// Its arguments.
    pub arguments: Value,
    /// What `__setstate__` is called with, or the attributes.
    pub state: Value,
    /// Items that are put into it; the keys of those that are appended are their numbers.
    pub items: Vec<(Value, Value)>,
}

/// A pickle that was read.
#[derive(Debug)]
pub struct Pickle {
    bytes: Vec<u8>,
    nodes: Vec<Node>,
    /// The object that it is.
    pub root: Value,
}

/// Why a pickle cannot be read.
pub type Fault = &'static str;

const ENDS: Fault = "it ends within an opcode, or without STOP";
const UNDERFLOW: Fault = "an opcode wants more values than there are";
const MISPLACED: Fault = "an opcode wants a value of another type";
const TOO_MUCH: Fault = "it has more values than are read";

impl Pickle {
    /// Reads a pickle.
    ///
    /// # Errors
    /// The first thing that is wrong with it, or a limit of the module that it exceeds.
    pub fn load(bytes: Vec<u8>) -> Result<Pickle, Fault> {
        if bytes.len() as u64 > MAX_LEN {
            return Err(TOO_MUCH);
        }
        let mut machine = Machine {
            bytes: &bytes,
            at: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            nodes: Vec::new(),
        };
        for _ in 0..MAX_STEPS {
            if let Some(root) = machine.step()? {
                let nodes = machine.nodes;
                return Ok(Pickle { bytes, nodes, root });
            }
        }
        Err(TOO_MUCH)
    }

    /// What a value consists of, if it has parts.
    pub fn node(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Node(number) => self.nodes.get(number as usize),
            _ => None,
        }
    }

    /// A string.
    pub fn text(&self, value: Value) -> Option<&str> {
        let Value::Text { start, len } = value else { return None };
        std::str::from_utf8(self.bytes.get(start as usize..)?.get(..len as usize)?).ok()
    }

    /// Module and name of something that Python would import.
    pub fn global(&self, value: Value) -> Option<(&str, &str)> {
        match self.node(value)? {
            Node::Global(module, name) => Some((self.text(*module)?, self.text(*name)?)),
            _ => None,
        }
    }

    /// What stands in a tuple.
    pub fn tuple(&self, value: Value) -> Option<&[Value]> {
        match self.node(value)? {
            Node::Tuple(values) => Some(values),
            _ => None,
        }
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    /// Heights of the stack at which marks stand.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    nodes: Vec<Node>,
}

impl<'a> Machine<'a> {
    /// Runs one opcode, and gives the object at the last one.
    fn step(&mut self) -> Result<Option<Value>, Fault> {
        let opcode = self.take(1)?[0];
        match opcode {
            b'.' => return self.pop().map(Some),
            // Protocol, frame.
            0x80 => {
                if self.take(1)?[0] > 5 {
                    return Err("it is of a protocol above 5");
                }
            }
            0x95 => {
                self.take(8)?;
            }
            // Atoms.
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'J' => {
                let number = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(number.into()))?;
            }
            b'K' => {
                let number = self.count(1)?;
                self.push(Value::Int(number as i64))?;
            }
            b'M' => {
                let number = self.count(2)?;
                self.push(Value::Int(number as i64))?;
            }
            0x8a | 0x8b => {
                let len = self.count(if opcode == 0x8a { 1 } else { 4 })?;
                let number = long(self.take(len)?);
                self.push(number)?;
            }
            b'G' => {
                self.take(8)?;
                self.push(Value::Other)?;
            }
            0x8c | b'U' => self.push_text(1)?,
            b'X' | b'T' => self.push_text(4)?,
            0x8d => self.push_text(8)?,
            b'C' => self.skip_bytes(1)?,
            b'B' => self.skip_bytes(4)?,
            0x8e | 0x96 => self.skip_bytes(8)?,
            // Of the registry of extensions nothing is known.
            0x82..=0x84 => {
                self.take(1 << (opcode - 0x82))?;
                self.push(Value::Other)?;
            }
            // The stack.
            b'(' => {
                if self.marks.len() >= MAX_NODES {
                    return Err(TOO_MUCH);
                }
                self.marks.push(self.stack.len());
            }
            b'0' if self.marks.last() == Some(&self.stack.len()) => {
                self.marks.pop();
            }
            b'0' => {
                self.pop()?;
            }
            b'1' => {
                self.pop_mark()?;
            }
            b'2' => {
                let top = self.top()?;
                self.push(top)?;
            }
            // The memo.
            b'q' => {
                let key = self.count(1)?;
                self.remember(key as u32)?;
            }
            b'r' => {
                let key = self.count(4)?;
                self.remember(key as u32)?;
            }
            0x94 => self.remember(self.memo.len() as u32)?,
            b'h' | b'j' => {
                let key = self.count(if opcode == b'h' { 1 } else { 4 })?;
                let value = *self.memo.get(&(key as u32)).ok_or("it recalls what it never memoised")?;
                self.push(value)?;
            }
            _ => self.build(opcode)?,
        }
        Ok(None)
    }

    /// Runs an opcode that makes something of other values.
    fn build(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            b')' => self.push_node(Node::Tuple(Vec::new())),
            0x85..=0x87 => {
                let values = self.pop_many(usize::from(opcode - 0x84))?;
                self.push_node(Node::Tuple(values))
            }
            b't' => {
                let values = self.pop_mark()?;
                self.push_node(Node::Tuple(values))
            }
            b']' | 0x8f => self.push_node(Node::List(Vec::new())),
            b'l' | 0x91 => {
                let values = self.pop_mark()?;
                self.push_node(Node::List(values))
            }
            b'a' => {
                let value = self.pop()?;
                self.append(vec![value])
            }
            b'e' | 0x90 => {
                let values = self.pop_mark()?;
                self.append(values)
            }
            b'}' => self.push_node(Node::Dict(Vec::new())),
            b'd' => {
                let values = self.pop_mark()?;
                let items = pairs(&values)?;
                self.push_node(Node::Dict(items))
            }
            b's' => {
                let values = self.pop_many(2)?;
                self.set_items(&values)
            }
            b'u' => {
                let values = self.pop_mark()?;
                self.set_items(&values)
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push_node(Node::Global(module, name))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                self.push_node(Node::Global(module, name))
            }
            b'Q' => {
                let id = self.pop()?;
                self.push_node(Node::Persistent(id))
            }
            // A call of a function, and two ways to call a class.
            b'R' | 0x81 => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                self.push_object(callee, arguments)
            }
            0x92 => {
                let (_keywords, arguments, callee) = (self.pop()?, self.pop()?, self.pop()?);
                self.push_object(callee, arguments)
            }
            b'o' => {
                let mut values = self.pop_mark()?;
                if values.is_empty() {
                    return Err(UNDERFLOW);
                }
                let arguments = values.split_off(1);
                self.push_node(Node::Tuple(arguments))?;
                let arguments = self.pop()?;
                self.push_object(values[0], arguments)
            }
            b'b' => {
                let state = self.pop()?;
                let top = self.top()?;
                // Attributes of other things (dictionaries have none) do not count.
                if let Some(Node::Object(object)) = self.node_mut(top) {
                    object.state = state;
                }
                Ok(())
            }
            b'F' | b'I' | b'L' | b'S' | b'V' | b'P' | b'p' | b'g' | b'i' => {
                Err("it is of protocol 0 or 1, which torch never wrote into an archive")
            }
            0x97 | 0x98 => Err("it refers to buffers outside of the archive"),
            _ => Err("it has an unknown opcode"),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..count)).ok_or(ENDS)?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.take(N)?.try_into().map_err(|_| ENDS)
    }

    /// A length or a small number, of so many bytes.
    fn count(&mut self, bytes: usize) -> Result<usize, Fault> {
        let number = self.take(bytes)?.iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        usize::try_from(number).map_err(|_| ENDS)
    }

    /// A string whose length takes so many bytes.
    fn push_text(&mut self, bytes: usize) -> Result<(), Fault> {
        let len = self.count(bytes)?;
        let start = self.at;
        self.take(len)?;
        if len > MAX_TEXT {
            return self.push(Value::Other);
        }
        // Both fit: the pickle is no longer than MAX_LEN.
        self.push(Value::Text { start: start as u32, len: len as u32 })
    }

    fn skip_bytes(&mut self, bytes: usize) -> Result<(), Fault> {
        let len = self.count(bytes)?;
        self.take(len)?;
        self.push(Value::Other)
    }

    /// Text to the end of the line.
    fn line(&mut self) -> Result<Value, Fault> {
        let start = self.at;
        let len = self.bytes.get(start..).and_then(|rest| rest.iter().position(|&byte| byte == b'\n')).ok_or(ENDS)?;
        self.at = start + len + 1;
        if len > MAX_TEXT {
            return Ok(Value::Other);
        }
        Ok(Value::Text { start: start as u32, len: len as u32 })
    }

    fn push(&mut self, value: Value) -> Result<(), Fault> {
        if self.stack.len() >= MAX_NODES {
            return Err(TOO_MUCH);
        }
        self.stack.push(value);
        Ok(())
    }

    fn push_node(&mut self, node: Node) -> Result<(), Fault> {
        if self.nodes.len() >= MAX_NODES {
            return Err(TOO_MUCH);
        }
        self.nodes.push(node);
        self.push(Value::Node(self.nodes.len() as u32 - 1))
    }

    fn push_object(&mut self, callee: Value, arguments: Value) -> Result<(), Fault> {
        self.push_node(Node::Object(Box::new(Object { callee, arguments, state: Value::None, items: Vec::new() })))
    }

    /// The height of the stack below which nothing may be taken.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Value, Fault> {
        if self.stack.len() <= self.floor() {
            return Err(UNDERFLOW);
        }
        self.stack.pop().ok_or(UNDERFLOW)
    }

    fn top(&self) -> Result<Value, Fault> {
        self.stack.get(self.floor()..).and_then(|values| values.last()).copied().ok_or(UNDERFLOW)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value>, Fault> {
        let start = self.stack.len().checked_sub(count).filter(|&start| start >= self.floor()).ok_or(UNDERFLOW)?;
        Ok(self.stack.split_off(start))
    }

    fn pop_mark(&mut self) -> Result<Vec<Value>, Fault> {
        let mark = self.marks.pop().ok_or("it has no mark where an opcode wants one")?;
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, key: u32) -> Result<(), Fault> {
        if self.memo.len() >= MAX_NODES {
            return Err(TOO_MUCH);
        }
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn node_mut(&mut self, value: Value) -> Option<&mut Node> {
        match value {
            Value::Node(number) => self.nodes.get_mut(number as usize),
            _ => None,
        }
    }

    fn append(&mut self, values: Vec<Value>) -> Result<(), Fault> {
        let top = self.top()?;
        match self.node_mut(top) {
            Some(Node::List(items)) => items.extend(values),
            Some(Node::Object(object)) => {
                let first = object.items.len() as i64;
                object.items.extend(values.into_iter().zip(first..).map(|(value, index)| (Value::Int(index), value)));
            }
            _ => return Err(MISPLACED),
        }
        Ok(())
    }

    fn set_items(&mut self, values: &[Value]) -> Result<(), Fault> {
        let items = pairs(values)?;
        let top = self.top()?;
        match self.node_mut(top) {
            Some(Node::Dict(known)) => known.extend(items),
            Some(Node::Object(object)) => object.items.extend(items),
            _ => return Err(MISPLACED),
        }
        Ok(())
    }
}

fn pairs(values: &[Value]) -> Result<Vec<(Value, Value)>, Fault> {
    if !values.len().is_multiple_of(2) {
        return Err(UNDERFLOW);
    }
    Ok(values.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

/// An integer in two's complement.
fn long(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Other;
    }
    let fill = if bytes.last().is_some_and(|&byte| byte >= 0x80) { 0xff } else { 0 };
    let mut number = [fill; 8];
    number[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(number))
}
