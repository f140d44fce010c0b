//! Holding a value to a compiled schema. Numbers are compared by all their digits.

use std::cell::Cell;
use std::collections::BTreeSet;

use tidegate_jq::{Decimal, Number, Object, Value, in_order, shown};
use tidegate_json::{escape, quoted};

use super::{Broken, Check, Node, Properties, Range, Schema, Type};

/// Schemas inside each other at one place: more than records are deep, so only one that refers to itself without end has more.
const NESTED_MAX: usize = 400;
/// Schemas, members and elements inside each other on the way to one place: as deep as the stack of a component allows.
const DEPTH_MAX: usize = 1_000;
/// Schemas that one record is held to, each as often as it is. `unevaluated*` beside `oneOf` holds a value to a schema twice at
/// each level, so a record could ask for 2 to the power of its depth.
const STEPS_MAX: u64 = 300_000;

/// What is left of the limits of one record.
pub(super) struct Budget {
    steps: Cell<u64>,
    is_too_deep: Cell<bool>,
    /// How many questions are under way whose answer is only yes or no: no place is written down for them.
    asking: Cell<usize>,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            steps: Cell::new(STEPS_MAX),
            is_too_deep: Cell::new(false),
            asking: Cell::new(0),
        }
    }

    /// What a limit that was reached says of the record, whatever the schemas made of it: under `not` nothing is a match.
    pub(super) fn broken(&self) -> Option<Broken> {
        let wants = if self.is_too_deep.get() {
            "is checked against a schema that refers to itself without end, or is nested too deeply for it"
        } else if self.steps.get() == 0 {
            "takes too many steps to check"
        } else {
            return None;
        };
        Some(Broken {
            at: String::new(),
            keyword: "$ref",
            wants: wants.to_owned(),
            is_out_of_steps: self.steps.get() == 0,
        })
    }
}

/// How a place was reached; written as a pointer only when something is wrong there.
pub(super) struct Crumb<'c> {
    step: Step<'c>,
    /// Schemas inside each other at this place.
    nested: usize,
    depth: usize,
    budget: &'c Budget,
}

enum Step<'c> {
    Root,
    Member(&'c Crumb<'c>, &'c str),
    Element(&'c Crumb<'c>, usize),
    /// The same place, in another schema.
    Again(&'c Crumb<'c>),
}

impl<'c> Crumb<'c> {
    pub(super) fn root(budget: &'c Budget) -> Self {
        Self {
            step: Step::Root,
            nested: 0,
            depth: 0,
            budget,
        }
    }

    fn member(&'c self, name: &'c str) -> Self {
        self.to(Step::Member(self, name), 0)
    }

    fn element(&'c self, index: usize) -> Self {
        self.to(Step::Element(self, index), 0)
    }

    /// One schema further in, at this place. None: that is too deep, or there were too many.
    fn again(&'c self) -> Option<Self> {
        let steps = self.budget.steps.get();
        self.budget.steps.set(steps.saturating_sub(1));
        if self.nested >= NESTED_MAX || self.depth >= DEPTH_MAX {
            self.budget.is_too_deep.set(true);
        }
        let goes_on = steps > 0 && !self.budget.is_too_deep.get();
        goes_on.then(|| self.to(Step::Again(self), self.nested + 1))
    }

    fn to(&self, step: Step<'c>, nested: usize) -> Self {
        Self {
            step,
            nested,
            depth: self.depth + 1,
            budget: self.budget,
        }
    }

    fn pointer(&self) -> String {
        match self.step {
            Step::Root => String::new(),
            Step::Member(before, name) => format!("{}/{}", before.pointer(), escape(name)),
            Step::Element(before, index) => format!("{}/{index}", before.pointer()),
            Step::Again(before) => before.pointer(),
        }
    }
}

impl Schema {
    pub(super) fn holds(&self, node: Node, value: &Value, at: &Crumb<'_>) -> Result<(), Broken> {
        let Some(again) = at.again() else {
            return broken(at, "$ref", "was not checked to its end");
        };
        self.nodes[node]
            .iter()
            .try_for_each(|check| self.one(check, value, &again))
    }

    fn is_held(&self, node: Node, value: &Value, at: &Crumb<'_>) -> bool {
        let asking = &at.budget.asking;
        asking.set(asking.get() + 1);
        let is_held = self.holds(node, value, at).is_ok();
        asking.set(asking.get() - 1);
        is_held
    }

    fn one(&self, check: &Check, value: &Value, at: &Crumb<'_>) -> Result<(), Broken> {
        match (check, value) {
            (Check::Never, _) => broken(at, "false", "is not allowed"),
            (Check::Types(types), _) if !types.iter().any(|one| one.is_of(value)) => {
                let names: Vec<_> = types.iter().map(|one| one.name()).collect();
                broken(
                    at,
                    "type",
                    format!("is not of type {}: {}", names.join(" or "), brief(value)),
                )
            }
            (Check::OneOfValues(values), _) if !values.contains(value) => {
                let keyword = if values.len() == 1 { "const" } else { "enum" };
                broken(
                    at,
                    keyword,
                    format!("is not an allowed value: {}", brief(value)),
                )
            }
            (Check::Same(node), _) => self.holds(*node, value, at),
            (Check::All(nodes), _) => nodes
                .iter()
                .try_for_each(|node| self.holds(*node, value, at)),
            (Check::Any(nodes), _) if !nodes.iter().any(|node| self.is_held(*node, value, at)) => {
                broken(at, "anyOf", "matches none of the schemas")
            }
            (Check::One(nodes), _) => {
                let fits = nodes
                    .iter()
                    .filter(|node| self.is_held(**node, value, at))
                    .count();
                ensure(fits == 1, at, "oneOf", || {
                    format!("matches {fits} of the schemas, not one")
                })
            }
            (Check::Not(node), _) if self.is_held(*node, value, at) => {
                broken(at, "not", "matches a schema that it must not match")
            }
            (Check::If(condition, then, otherwise), _) => {
                let branch = if self.is_held(*condition, value, at) {
                    then
                } else {
                    otherwise
                };
                branch.map_or(Ok(()), |node| self.holds(node, value, at))
            }
            (_, Value::Number(number)) => of_number(check, number, at),
            (_, Value::Text(text)) => of_string(check, text, at),
            (_, Value::Array(values)) => self.of_array(check, values, value, at),
            (_, Value::Object(object)) => self.of_object(check, object, value, at),
            _ => Ok(()),
        }
    }

    fn of_array(
        &self,
        check: &Check,
        values: &[Value],
        value: &Value,
        at: &Crumb<'_>,
    ) -> Result<(), Broken> {
        match check {
            Check::Items(first, rest) => {
                for (index, value) in values.iter().enumerate() {
                    if let Some(node) = first.get(index).copied().or(*rest) {
                        self.holds(node, value, &at.element(index))?;
                    }
                }
                Ok(())
            }
            Check::ItemCount(range) => {
                range.holds(values.len(), at, ["minItems", "maxItems"], "elements")
            }
            Check::Unique => {
                let keyed = values.iter().map(|value| (value.clone(), Value::Null));
                let sorted = in_order(keyed.collect());
                let twice = sorted.windows(2).find(|two| two[0] == two[1]);
                twice.map_or(Ok(()), |two| {
                    broken(at, "uniqueItems", format!("has {} twice", brief(&two[0].0)))
                })
            }
            Check::Contains(node, range) => {
                let fits = |(index, value): &(usize, &Value)| {
                    self.is_held(*node, value, &at.element(*index))
                };
                let count = values.iter().enumerate().filter(fits).count();
                range.holds(
                    count,
                    at,
                    ["contains", "maxContains"],
                    "elements that match",
                )
            }
            Check::OtherItems(all, others) => {
                let mut seen = vec![false; values.len()];
                self.seen_items((*all, false), values, value, at, &mut seen);
                let mut unseen = values.iter().enumerate().filter(|(index, _)| !seen[*index]);
                unseen.try_for_each(|(index, value)| {
                    let held = self.holds(*others, value, &at.element(index));
                    held.map_err(|why| named(why, "unevaluatedItems"))
                })
            }
            _ => Ok(()),
        }
    }

    fn of_object(
        &self,
        check: &Check,
        object: &Object,
        value: &Value,
        at: &Crumb<'_>,
    ) -> Result<(), Broken> {
        let missing = |name: &&String| object.get(name).is_none();
        match check {
            Check::Properties(properties) => self.of_properties(properties, object, at),
            Check::Required(names) => match names.iter().find(missing) {
                Some(name) => broken(at, "required", format!("has no {}", quoted(name))),
                None => Ok(()),
            },
            Check::Needs(needs) => {
                for (name, others) in needs.iter().filter(|(name, _)| object.get(name).is_some()) {
                    if let Some(other) = others.iter().find(missing) {
                        let what = format!("has {} but no {}", quoted(name), quoted(other));
                        return broken(at, "dependentRequired", what);
                    }
                }
                Ok(())
            }
            Check::Implies(schemas) => {
                let mut there = schemas
                    .iter()
                    .filter(|(name, _)| object.get(name).is_some());
                there.try_for_each(|(_, node)| self.holds(*node, value, at))
            }
            Check::Names(node) => object.iter().try_for_each(|(name, _)| {
                self.holds(*node, &Value::Text(name.clone()), &at.member(name))
            }),
            Check::OtherNames(all, others) => {
                let mut seen = BTreeSet::new();
                self.seen_names((*all, false), object, value, at, &mut seen);
                let mut unseen = object.iter().filter(|(name, _)| !seen.contains(&**name));
                unseen.try_for_each(|(name, value)| {
                    let held = self.holds(*others, value, &at.member(name));
                    held.map_err(|why| named(why, "unevaluatedProperties"))
                })
            }
            Check::PropertyCount(range) => range.holds(
                object.len(),
                at,
                ["minProperties", "maxProperties"],
                "members",
            ),
            _ => Ok(()),
        }
    }

    fn of_properties(
        &self,
        properties: &Properties,
        object: &Object,
        at: &Crumb<'_>,
    ) -> Result<(), Broken> {
        for (name, value) in object.iter() {
            let at = at.member(name);
            let mut known = false;
            if let Some(node) = properties.named.get(&**name) {
                known = true;
                self.holds(*node, value, &at)?;
            }
            for (pattern, node) in &properties.patterns {
                if pattern.is_match(name) {
                    known = true;
                    self.holds(*node, value, &at)?;
                }
            }
            if let (false, Some(node)) = (known, properties.others) {
                self.holds(node, value, &at)
                    .map_err(|why| named(why, "additionalProperties"))?;
            }
        }
        Ok(())
    }

    /// The schemas at the same place that a check leads to, where they count: those that the value is held to and fits.
    fn beside(&self, check: &Check, value: &Value, at: &Crumb<'_>) -> Vec<Node> {
        let fitting = |nodes: &[Node]| {
            let nodes = nodes.iter().copied();
            nodes
                .filter(|node| self.is_held(*node, value, at))
                .collect()
        };
        match (check, value) {
            (Check::Same(node), _) => vec![*node],
            (Check::All(nodes), _) => nodes.clone(),
            (Check::Any(nodes) | Check::One(nodes), _) => fitting(nodes),
            (Check::If(condition, then, otherwise), _) => {
                if self.is_held(*condition, value, at) {
                    std::iter::once(*condition).chain(*then).collect()
                } else {
                    otherwise.iter().copied().collect()
                }
            }
            (Check::Implies(schemas), Value::Object(object)) => {
                let there = schemas
                    .iter()
                    .filter(|(name, _)| object.get(name).is_some());
                there.map(|(_, node)| *node).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The members that the checks of a schema look at.
    fn seen_names<'v>(
        &self,
        (node, is_inner): (Node, bool),
        object: &'v Object,
        value: &Value,
        at: &Crumb<'_>,
        seen: &mut BTreeSet<&'v str>,
    ) {
        let Some(at) = &at.again() else {
            return;
        };
        let names = || object.iter().map(|(name, _)| &**name);
        for check in &self.nodes[node] {
            match check {
                Check::Properties(properties) => seen.extend(names().filter(|name| {
                    properties.others.is_some()
                        || properties.named.contains_key(*name)
                        || properties
                            .patterns
                            .iter()
                            .any(|(pattern, _)| pattern.is_match(name))
                })),
                // Of a schema further in: it has looked at all. The one that asks has not yet.
                Check::OtherNames(..) if is_inner => seen.extend(names()),
                _ => {}
            }
            for node in self.beside(check, value, at) {
                self.seen_names((node, true), object, value, at, seen);
            }
        }
    }

    /// The elements that the checks of a schema look at.
    fn seen_items(
        &self,
        (node, is_inner): (Node, bool),
        values: &[Value],
        value: &Value,
        at: &Crumb<'_>,
        seen: &mut [bool],
    ) {
        let Some(at) = &at.again() else {
            return;
        };
        for check in &self.nodes[node] {
            match check {
                Check::Items(_, Some(_)) => seen.fill(true),
                Check::Items(first, None) => {
                    let first = first.len().min(seen.len());
                    seen[..first].fill(true);
                }
                Check::Contains(node, _) => {
                    for (index, value) in values.iter().enumerate() {
                        seen[index] |= self.is_held(*node, value, &at.element(index));
                    }
                }
                Check::OtherItems(..) if is_inner => seen.fill(true),
                _ => {}
            }
            for node in self.beside(check, value, at) {
                self.seen_items((node, true), values, value, at, seen);
            }
        }
    }
}

/// A refusal by `false` is one by the keyword whose value that is.
fn named(why: Broken, keyword: &'static str) -> Broken {
    match why.keyword {
        "false" => Broken { keyword, ..why },
        _ => why,
    }
}

fn of_number(check: &Check, number: &Number, at: &Crumb<'_>) -> Result<(), Broken> {
    let text = |number: &Number| number.text().unwrap_or_default();
    let (fits, keyword, what, limit) = match check {
        Check::AtLeast(limit) => (number >= limit, "minimum", "less than", limit),
        Check::AtMost(limit) => (number <= limit, "maximum", "more than", limit),
        Check::MoreThan(limit) => (number > limit, "exclusiveMinimum", "not more than", limit),
        Check::LessThan(limit) => (number < limit, "exclusiveMaximum", "not less than", limit),
        Check::MultipleOf(divisor) => {
            let fits =
                Decimal::parse(&text(number)).is_multiple_of(&Decimal::parse(&text(divisor)));
            (fits, "multipleOf", "not a multiple of", divisor)
        }
        _ => return Ok(()),
    };
    ensure(fits, at, keyword, || {
        format!("is {}, {what} {}", quoted(&text(number)), text(limit))
    })
}

fn of_string(check: &Check, text: &str, at: &Crumb<'_>) -> Result<(), Broken> {
    match check {
        Check::Lengths(range) => range.holds(
            text.chars().count(),
            at,
            ["minLength", "maxLength"],
            "characters",
        ),
        Check::Pattern(pattern) if !pattern.is_match(text) => broken(
            at,
            "pattern",
            format!(
                "does not match {}: {}",
                quoted(pattern.as_str()),
                quoted(text)
            ),
        ),
        _ => Ok(()),
    }
}

impl Range {
    fn holds(
        &self,
        count: usize,
        at: &Crumb<'_>,
        keywords: [&'static str; 2],
        what: &str,
    ) -> Result<(), Broken> {
        let count = count as u64;
        if let Some(least) = self.least.filter(|least| count < *least) {
            return broken(
                at,
                keywords[0],
                format!("has {count} {what}, fewer than {least}"),
            );
        }
        if let Some(most) = self.most.filter(|most| count > *most) {
            return broken(
                at,
                keywords[1],
                format!("has {count} {what}, more than {most}"),
            );
        }
        Ok(())
    }
}

impl Type {
    fn is_of(self, value: &Value) -> bool {
        match value {
            Value::Null => self == Self::Null,
            Value::Bool(_) => self == Self::Boolean,
            Value::Number(number) => {
                let whole = || Decimal::parse(&number.text().unwrap_or_default()).is_whole();
                self == Self::Number || self == Self::Integer && whole()
            }
            Value::Text(_) => self == Self::String,
            Value::Array(_) => self == Self::Array,
            Value::Object(_) => self == Self::Object,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

fn brief(value: &Value) -> String {
    match value {
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => quoted(&shown(other)),
    }
}

fn broken(at: &Crumb<'_>, keyword: &'static str, wants: impl Into<String>) -> Result<(), Broken> {
    let is_asked = at.budget.asking.get() > 0;
    Err(Broken {
        at: if is_asked {
            String::new()
        } else {
            at.pointer()
        },
        keyword,
        wants: wants.into(),
        is_out_of_steps: false,
    })
}

fn ensure(
    holds: bool,
    at: &Crumb<'_>,
    keyword: &'static str,
    wants: impl FnOnce() -> String,
) -> Result<(), Broken> {
    if holds {
        Ok(())
    } else {
        broken(at, keyword, wants())
    }
}
