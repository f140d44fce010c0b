//! The types of the TypeScript template, which are written by hand, against the WIT: as jco names its types.

use std::collections::BTreeMap;
use std::path::Path;

use wit_parser::{Interface, Resolve, Type, TypeDefKind, TypeId};

const JOB: &str = include_str!("../../../host/templates/connector/ts/job.ts");
const WASI: &str = include_str!("../../../host/templates/connector/ts/wasi.d.ts");

/// A member: its name, whether it may be missing, its type.
type Member = (String, bool, String);

/// The interfaces, and what each tag of `Failure` comes with.
#[derive(Debug, Default, PartialEq)]
struct Types {
    interfaces: BTreeMap<String, Vec<Member>>,
    failures: BTreeMap<String, String>,
}

fn wit() -> Resolve {
    let mut resolve = Resolve::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    resolve.push_dir(folder).unwrap();
    resolve
}

fn job(resolve: &Resolve) -> &Interface {
    let all = resolve.interfaces.iter().map(|(_, interface)| interface);
    let mut named = all.filter(|interface| interface.name.as_deref() == Some("job"));
    named.next().unwrap()
}

/// `retry-after-seconds` as `retryAfterSeconds`.
fn camel(kebab: &str) -> String {
    let mut words = kebab.split('-');
    let first = words.next().unwrap().to_owned();
    words.fold(first, |name, word| name + &pascal(word))
}

/// `nothing-new` as `NothingNew`.
fn pascal(kebab: &str) -> String {
    let words = kebab.split('-').map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    });
    words.collect()
}

/// A type of the WIT in TypeScript, and whether it may be missing.
fn typescript(resolve: &Resolve, of: Type) -> (String, bool) {
    let text = match of {
        Type::Bool => "boolean".to_owned(),
        Type::String => "string".to_owned(),
        Type::U16 => "number".to_owned(),
        Type::U64 => "bigint".to_owned(),
        Type::Id(id) => match &resolve.types[id].kind {
            TypeDefKind::Option(inner) => return (typescript(resolve, *inner).0, true),
            TypeDefKind::List(inner) => format!("{}[]", typescript(resolve, *inner).0),
            TypeDefKind::Enum(cases) => {
                let names = cases.cases.iter().map(|case| format!("'{}'", case.name));
                names.collect::<Vec<_>>().join(" | ")
            }
            _ => named(resolve, id),
        },
        other => panic!("no rule for {other:?}: write one"),
    };
    (text, false)
}

fn named(resolve: &Resolve, id: TypeId) -> String {
    pascal(resolve.types[id].name.as_deref().unwrap())
}

fn of_the_wit(resolve: &Resolve) -> Types {
    let mut types = Types::default();
    for id in job(resolve).types.values().copied() {
        let name = named(resolve, id);
        let members = match &resolve.types[id].kind {
            TypeDefKind::Record(record) => {
                let fields = record.fields.iter().map(|field| {
                    let (text, is_optional) = typescript(resolve, field.ty);
                    (camel(&field.name), is_optional, text)
                });
                fields.collect()
            }
            TypeDefKind::Flags(flags) => {
                let flags = flags.flags.iter();
                let flags = flags.map(|flag| (camel(&flag.name), true, "boolean".to_owned()));
                flags.collect()
            }
            TypeDefKind::Variant(variant) => {
                assert_eq!(name, "Failure");
                types.failures = (variant.cases.iter())
                    .map(|case| (case.name.clone(), typescript(resolve, case.ty.unwrap()).0))
                    .collect();
                continue;
            }
            // Where it is used.
            TypeDefKind::Enum(_) => continue,
            other => panic!("no rule for {other:?}: write one"),
        };
        types.interfaces.insert(name, members);
    }
    types
}

fn of_the_template() -> Types {
    let mut types = Types::default();
    for text in JOB.split("export interface ").skip(1) {
        let (name, body) = text.split_once(" {\n").unwrap();
        let members = body.lines().take_while(|line| *line != "}").map(|line| {
            let (name, text) = line.trim().split_once(": ").unwrap();
            let (text, is_optional) = (text.trim_end_matches(';'), name.ends_with('?'));
            let text = text.strip_suffix(" | undefined").unwrap_or(text);
            (
                name.trim_end_matches('?').to_owned(),
                is_optional,
                text.to_owned(),
            )
        });
        types.interfaces.insert(name.to_owned(), members.collect());
    }
    let (_, failure) = JOB.split_once("export type Failure =\n").unwrap();
    for case in failure.lines() {
        let (tags, value) = case.split_once("; val: ").unwrap();
        let (_, tags) = tags.split_once("{ tag: ").unwrap();
        let value = value.split(" }").next().unwrap();
        for tag in tags.split(" | ") {
            let tag = tag.trim_matches('\'').to_owned();
            types.failures.insert(tag, value.to_owned());
        }
    }
    types
}

#[test]
fn the_types_of_a_job_are_those_of_the_wit() {
    let (wit, template) = (of_the_wit(&wit()), of_the_template());

    assert_eq!(template, wit);
    assert!(wit.interfaces.len() > 5 && wit.failures.len() > 5);
}

#[test]
fn what_is_declared_of_wasi_is_in_the_wit() {
    let resolve = wit();
    let mut functions = Vec::new();
    let mut interfaces = Vec::new();
    for (id, interface) in &resolve.interfaces {
        interfaces.extend(resolve.id_of(id));
        let names = interface.functions.keys();
        // `[method]descriptor.open-at`
        functions.extend(names.map(|name| camel(name.rsplit('.').next().unwrap())));
    }

    let modules: Vec<&str> = WASI.split("\ndeclare module '").skip(1).collect();
    assert!(modules.len() > 5);
    for module in modules {
        let (name, body) = module.split_once("' {\n").unwrap();
        assert!(interfaces.iter().any(|known| known == name), "{name}");
        let body = body.split("\n}\n").next().unwrap();
        let (before_the_last, _) = body.rsplit_once('(').unwrap();
        for before in before_the_last.split('(') {
            let mut words = before.rsplit(|c: char| !c.is_ascii_alphanumeric());
            let word = words.next().unwrap();
            let is_known = functions.iter().any(|known| known == word);
            assert!(is_known || word == "constructor", "{name}: {word}");
        }
    }
}
