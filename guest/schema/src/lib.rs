//! JSON Schema: values are held to a schema of which nothing is passed over.
//!
#![doc = include_str!("../README.md")]

mod check;
mod keyword;
mod names;
mod pattern;

use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;
use tidegate_jq::{Number, Value, read};
use tidegate_json::{escape, quoted};

use self::check::{Budget, Crumb};
use self::names::Names;

/// Schemas within one.
const NODES_MAX: usize = 10_000;

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    nodes: Vec<Vec<Check>>,
}

/// Which schema within the one compiled.
type Node = usize;

/// One thing that a schema asks of a value.
#[derive(Debug)]
enum Check {
    Never,
    Types(Vec<Type>),
    OneOfValues(Vec<Value>),
    MultipleOf(Number),
    AtLeast(Number),
    AtMost(Number),
    MoreThan(Number),
    LessThan(Number),
    Lengths(Range),
    Pattern(Regex),
    Items(Vec<Node>, Option<Node>),
    ItemCount(Range),
    Unique,
    Contains(Node, Range),
    Properties(Properties),
    Required(Vec<String>),
    Needs(Vec<(String, Vec<String>)>),
    Implies(Vec<(String, Node)>),
    Names(Node),
    PropertyCount(Range),
    /// Of the members of an object that the checks of the first schema do not look at, each is held to the second.
    OtherNames(Node, Node),
    /// The same of the elements of an array.
    OtherItems(Node, Node),
    All(Vec<Node>),
    Any(Vec<Node>),
    One(Vec<Node>),
    Not(Node),
    If(Node, Option<Node>, Option<Node>),
    Same(Node),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

/// A count with its bounds, each with the keyword that sets it.
#[derive(Debug, Default)]
struct Range {
    least: Option<u64>,
    most: Option<u64>,
}

#[derive(Debug, Default)]
struct Properties {
    named: BTreeMap<String, Node>,
    patterns: Vec<(Regex, Node)>,
    others: Option<Node>,
}

/// Where a value breaks a schema, and by which keyword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The value's place in the record.
    pub at: String,
    /// The keyword of the schema.
    pub keyword: &'static str,
    /// What the keyword asks.
    pub wants: String,
    /// Whether the record was not checked to its end, because that takes too many steps.
    pub is_out_of_steps: bool,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = if self.at.is_empty() {
            "the record"
        } else {
            &self.at
        };
        write!(f, "{} {} (`{}`)", quoted(at), self.wants, self.keyword)
    }
}

impl Schema {
    /// Compiles the text of a schema. `Err` says at which place of it what is wrong.
    pub fn compile(text: &str) -> Result<Self, String> {
        let document = read(text)?;
        if !matches!(document, Value::Object(_) | Value::Bool(_)) {
            return Err(format!("is a {}, not a schema", document.kind()));
        }
        let mut compiler = Compiler {
            document: &document,
            names: Names::of(&document)?,
            nodes: Vec::new(),
            known: BTreeMap::new(),
        };
        compiler.node("")?;
        Ok(Self {
            nodes: compiler.nodes,
        })
    }

    /// Holds a record to the schema.
    pub fn check(&self, record: &Value) -> Result<(), Broken> {
        let budget = Budget::new();
        let held = self.holds(0, record, &Crumb::root(&budget));
        budget.broken().map_or(held, Err)
    }
}

struct Compiler<'d> {
    document: &'d Value,
    names: Names,
    nodes: Vec<Vec<Check>>,
    /// Schemas by the pointer to them, so that one that refers to itself is compiled once.
    known: BTreeMap<String, Node>,
}

impl<'d> Compiler<'d> {
    /// The schema at a place of the document.
    fn node(&mut self, at: &str) -> Result<Node, String> {
        if let Some(known) = self.known.get(at) {
            return Ok(*known);
        }
        let wrong = |what: String| {
            format!(
                "at {}: {what}",
                quoted(if at.is_empty() { "/" } else { at })
            )
        };
        let node = self.nodes.len();
        if node >= NODES_MAX {
            return Err(format!("has more than {NODES_MAX} schemas in it"));
        }
        self.nodes.push(Vec::new());
        self.known.insert(at.to_owned(), node);
        let schema = self
            .find(at)
            .ok_or_else(|| wrong("nothing is there".to_owned()))?;
        self.nodes[node] = match schema {
            Value::Bool(true) => Vec::new(),
            Value::Bool(false) => vec![Check::Never],
            Value::Object(schema) => self.checks(schema, at)?,
            other => return Err(wrong(format!("a {} is not a schema", other.kind()))),
        };
        Ok(node)
    }

    fn find(&self, at: &str) -> Option<&'d Value> {
        let mut value = self.document;
        for step in at.split('/').skip(1).map(unescape) {
            value = match value {
                Value::Object(object) => object.get(&step)?,
                Value::Array(values) => values.get(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// The schema that is the value of a keyword.
    fn below(&mut self, at: &str, step: &str) -> Result<Node, String> {
        self.node(&format!("{at}/{}", escape(step)))
    }
}

/// The step of a JSON Pointer that a text stands for.
fn unescape(text: &str) -> String {
    text.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests;
