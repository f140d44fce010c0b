//! Compiling keywords: each becomes a check, or the schema is refused.

use tidegate_jq::{Decimal, Number, Object, Value, shown};
use tidegate_json::{escape, quoted};

use super::{Check, Compiler, Node, Properties, Range, Type, pattern};

/// Keywords that say nothing about validity, those of OpenAPI among them; the names that are given are read before.
const ANNOTATIONS: &[&str] = &[
    "$anchor",
    "$comment",
    "$id",
    "$vocabulary",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "deprecated",
    "description",
    "discriminator",
    "example",
    "examples",
    "externalDocs",
    "format",
    "readOnly",
    "title",
    "writeOnly",
    "xml",
];
/// Drafts whose keywords mean here what they mean there; what changed between them is refused.
const DRAFTS: &[&str] = &["2020-12/schema", "2019-09/schema", "draft-07/schema"];

impl<'d> Compiler<'d> {
    pub(super) fn checks(&mut self, schema: &'d Object, at: &str) -> Result<Vec<Check>, String> {
        let mut checks = Vec::new();
        for (keyword, value) in schema.iter() {
            let check = self.check(keyword, value, schema, at);
            let wrong = |why: String| {
                // What is wrong further down says itself where.
                if why.starts_with("at `") {
                    why
                } else {
                    format!("at {}: {why}", quoted(&format!("{at}/{}", escape(keyword))))
                }
            };
            checks.extend(check.map_err(wrong)?);
        }
        // They ask what all others have looked at.
        let is_other =
            |check: &Check| matches!(check, Check::OtherNames(..) | Check::OtherItems(..));
        let (others, mut checks): (Vec<_>, Vec<_>) = checks.into_iter().partition(is_other);
        checks.extend(others);
        Ok(checks)
    }

    fn check(
        &mut self,
        keyword: &str,
        value: &'d Value,
        schema: &'d Object,
        at: &str,
    ) -> Result<Option<Check>, String> {
        Ok(Some(match keyword {
            "type" => Check::Types(types(value)?),
            "enum" => Check::OneOfValues(array(value)?.to_vec()),
            "const" => Check::OneOfValues(vec![value.clone()]),
            "multipleOf" => Check::MultipleOf(divisor(value)?),
            "minimum" => Check::AtLeast(number(value)?),
            "maximum" => Check::AtMost(number(value)?),
            "exclusiveMinimum" => Check::MoreThan(number(value)?),
            "exclusiveMaximum" => Check::LessThan(number(value)?),
            "minLength" => Check::Lengths(at_least(value)?),
            "maxLength" => Check::Lengths(at_most(value)?),
            "pattern" => Check::Pattern(pattern::compile(string(value)?)?),
            "minItems" => Check::ItemCount(at_least(value)?),
            "maxItems" => Check::ItemCount(at_most(value)?),
            "minProperties" => Check::PropertyCount(at_least(value)?),
            "maxProperties" => Check::PropertyCount(at_most(value)?),
            "uniqueItems" => match value {
                Value::Bool(true) => Check::Unique,
                Value::Bool(false) => return Ok(None),
                _ => return Err("is neither true nor false".to_owned()),
            },
            "required" => Check::Required(strings(value)?),
            "dependentRequired" => {
                let needs = object(value)?.iter();
                let needs = needs.map(|(name, others)| Ok((name.to_string(), strings(others)?)));
                Check::Needs(needs.collect::<Result<_, String>>()?)
            }
            "dependentSchemas" => Check::Implies(self.members(value, at, keyword)?),
            "prefixItems" => {
                let first = self.elements(value, at, keyword)?;
                let rest = schema.get("items").map(|_| self.below(at, "items"));
                Check::Items(first, rest.transpose()?)
            }
            "items" if schema.get("prefixItems").is_some() => return Ok(None),
            "items" if matches!(value, Value::Array(_)) => {
                return Err("an array of schemas is `prefixItems` now".to_owned());
            }
            "items" => Check::Items(Vec::new(), Some(self.below(at, keyword)?)),
            "contains" => {
                let count = |name: &str| schema.get(name).map(count).transpose();
                let range = Range {
                    least: count("minContains")?.or(Some(1)),
                    most: count("maxContains")?,
                };
                Check::Contains(self.below(at, keyword)?, range)
            }
            "minContains" | "maxContains" => {
                count(value)?;
                return Ok(None);
            }
            "properties" | "patternProperties" | "additionalProperties" => {
                return self.properties(keyword, schema, at);
            }
            "unevaluatedProperties" => Check::OtherNames(self.known[at], self.below(at, keyword)?),
            "unevaluatedItems" => Check::OtherItems(self.known[at], self.below(at, keyword)?),
            "nullable" if matches!(value, Value::Bool(false)) => return Ok(None),
            "nullable" => return Err(not_nullable(schema)),
            "propertyNames" => Check::Names(self.below(at, keyword)?),
            "allOf" => Check::All(self.elements(value, at, keyword)?),
            "anyOf" => Check::Any(self.elements(value, at, keyword)?),
            "oneOf" => Check::One(self.elements(value, at, keyword)?),
            "not" => Check::Not(self.below(at, keyword)?),
            "if" => {
                let mut branch =
                    |name: &str| schema.get(name).map(|_| self.below(at, name)).transpose();
                let (then, otherwise) = (branch("then")?, branch("else")?);
                Check::If(self.below(at, keyword)?, then, otherwise)
            }
            "then" | "else" => {
                self.below(at, keyword)?;
                return Ok(None);
            }
            "$ref" => {
                let pointer = self.names.find(string(value)?, at)?;
                Check::Same(self.node(&pointer)?)
            }
            "$defs" | "definitions" => {
                self.members(value, at, keyword)?;
                return Ok(None);
            }
            "$schema" => {
                let draft = string(value)?.trim_end_matches('#');
                if DRAFTS.iter().any(|known| draft.ends_with(known)) {
                    return Ok(None);
                }
                return Err(format!(
                    "{} is not supported: only draft 2020-12 is",
                    quoted(draft)
                ));
            }
            known if ANNOTATIONS.contains(&known) || known.starts_with("x-") => return Ok(None),
            _ => return Err("is not a supported keyword".to_owned()),
        }))
    }

    fn members(
        &mut self,
        value: &'d Value,
        at: &str,
        keyword: &str,
    ) -> Result<Vec<(String, Node)>, String> {
        let at = format!("{at}/{}", escape(keyword));
        let mut found = Vec::new();
        for (name, _) in object(value)?.iter() {
            found.push((name.to_string(), self.below(&at, name)?));
        }
        Ok(found)
    }

    fn elements(&mut self, value: &'d Value, at: &str, keyword: &str) -> Result<Vec<Node>, String> {
        let count = array(value)?.len();
        if count == 0 {
            return Err("has nothing in it".to_owned());
        }
        let at = format!("{at}/{keyword}");
        (0..count)
            .map(|index| self.below(&at, &index.to_string()))
            .collect()
    }

    /// The three keywords are one check, made at the first of them.
    fn properties(
        &mut self,
        keyword: &str,
        schema: &'d Object,
        at: &str,
    ) -> Result<Option<Check>, String> {
        let all = ["properties", "patternProperties", "additionalProperties"];
        let first = schema.iter().find(|(name, _)| all.contains(&&**name));
        if first.is_some_and(|(name, _)| &**name != keyword) {
            return Ok(None);
        }
        let mut properties = Properties::default();
        if let Some(named) = schema.get("properties") {
            for (name, node) in self.members(named, at, "properties")? {
                properties.named.insert(name, node);
            }
        }
        if let Some(patterns) = schema.get("patternProperties") {
            for (pattern, node) in self.members(patterns, at, "patternProperties")? {
                properties
                    .patterns
                    .push((pattern::compile(&pattern)?, node));
            }
        }
        if schema.get("additionalProperties").is_some() {
            properties.others = Some(self.below(at, "additionalProperties")?);
        }
        Ok(Some(Check::Properties(properties)))
    }
}

/// What to write in place of `nullable`.
fn not_nullable(schema: &Object) -> String {
    let kind = match schema.get("type") {
        Some(Value::Text(kind)) => kind,
        _ => "string",
    };
    let kind = shown(&Value::text(kind));
    format!("`nullable` belongs to OpenAPI 3.0; write `\"type\": [{kind}, \"null\"]`")
}

fn types(value: &Value) -> Result<Vec<Type>, String> {
    let one = std::slice::from_ref(value);
    let names = match value {
        Value::Array(names) => names,
        _ => one,
    };
    let types = names.iter().map(|name| match string(name)? {
        "null" => Ok(Type::Null),
        "boolean" => Ok(Type::Boolean),
        "integer" => Ok(Type::Integer),
        "number" => Ok(Type::Number),
        "string" => Ok(Type::String),
        "array" => Ok(Type::Array),
        "object" => Ok(Type::Object),
        other => Err(format!("{} is not a type", quoted(other))),
    });
    types.collect()
}

fn array(value: &Value) -> Result<&[Value], String> {
    match value {
        Value::Array(values) => Ok(values),
        other => Err(format!("is a {}, not an array", other.kind())),
    }
}

fn object(value: &Value) -> Result<&Object, String> {
    match value {
        Value::Object(object) => Ok(object),
        other => Err(format!("is a {}, not an object", other.kind())),
    }
}

fn string(value: &Value) -> Result<&str, String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(format!("is a {}, not a string", other.kind())),
    }
}

fn strings(value: &Value) -> Result<Vec<String>, String> {
    let texts = array(value)?
        .iter()
        .map(|text| string(text).map(str::to_owned));
    texts.collect()
}

fn number(value: &Value) -> Result<Number, String> {
    match value {
        Value::Number(number) => Ok(number.clone()),
        other => Err(format!("is a {}, not a number", other.kind())),
    }
}

fn divisor(value: &Value) -> Result<Number, String> {
    let number = number(value)?;
    let text = number.text().unwrap_or_default();
    if number <= Number::Int(0) || Decimal::parse(&text).digits.len() > 18 {
        return Err(format!(
            "{text} is not a number above 0 of at most 18 digits"
        ));
    }
    Ok(number)
}

fn count(value: &Value) -> Result<u64, String> {
    let count = match value {
        Value::Number(number) => number.as_int().and_then(|count| u64::try_from(count).ok()),
        _ => None,
    };
    count.ok_or_else(|| format!("{} is not a count", quoted(&shown(value))))
}

fn at_least(value: &Value) -> Result<Range, String> {
    let least = Some(count(value)?);
    Ok(Range { least, most: None })
}

fn at_most(value: &Value) -> Result<Range, String> {
    let most = Some(count(value)?);
    Ok(Range { least: None, most })
}
