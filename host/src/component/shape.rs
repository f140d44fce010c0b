//! What the parser alone tells of a component file, before any of it is compiled: that it is a component, what it imports,
//! and how large what it would build is.
//!
//! Core modules are counted and not looked into; whether the rest is valid is the compiler's to say.

use wasmparser::{
    BinaryReaderError, Chunk, ComponentAlias, ComponentExternalKind, ComponentInstance,
    ComponentOuterAliasKind, Instance, Parser, Payload,
};

use crate::limits::{IMPORT_CHARS_MAX, IMPORTS_LISTED_MAX, IMPORTS_NAMED_MAX, Limits};
use crate::outcome::{Failure, Outcome};

/// The interfaces of the world `connector`, without their versions: any WASI 0.2 release of them is served.
pub const GRANTED: [&str; 11] = [
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/types",
    "wasi:filesystem/preopens",
    "wasi:cli/environment",
    "wasi:cli/stderr",
    "wasi:http/types",
    "wasi:http/outgoing-handler",
];

/// What the world `signing-connector` has besides, without its version.
const SIGNER: &str = "tidegate:sync/signer";

/// The interfaces of the world `satisfied`, likewise: they are there for toolchains, and grant nothing.
pub const SATISFIED: [&str; 18] = [
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:sockets/instance-network",
    "wasi:sockets/network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// What every connector exports, without its version.
const JOB: &str = "tidegate:sync/job@";
/// The version that is served, and how those begin that are like it.
const SERVED: &str = "0.1.0";
const SERVED_LIKE: &str = "0.1.";

/// What a component file asks for, and whether it may be compiled.
pub struct Outline {
    /// What it imports at the top, in its order: the first of them, as far as it was read.
    pub imports: Vec<Import>,
    /// How many more there are.
    pub imports_more: usize,
    /// Core instances that it makes; none where it was not read to its end.
    pub core_instances: usize,
    /// `Err`: why it is not compiled, see [`check`].
    pub verdict: Result<(), Failure>,
}

/// One import of a component.
pub struct Import {
    /// The beginning of its name, in which nothing steers a terminal.
    pub name: String,
    /// `None`: it is not available.
    pub list: Option<List>,
}

/// Which list an import is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// [`GRANTED`].
    Granted,
    /// [`SIGNER`].
    Signing,
    /// [`SATISFIED`].
    Satisfied,
}

/// Refuses what is no component or cannot be read (78), what imports more than is granted (77), and what would grow beyond
/// every honest component (70).
pub fn check(bytes: &[u8], limits: &Limits) -> Result<(), Failure> {
    outline(bytes, limits).verdict
}

/// Reads a component file as [`check`] does, and lists what it imports.
pub fn outline(bytes: &[u8], limits: &Limits) -> Outline {
    let mut reader = Reader {
        limits,
        modules: 0,
        imports: Vec::new(),
        imports_more: 0,
        core_instances: 0,
        refused: Vec::new(),
        refused_more: 0,
        unserved: None,
        is_served: false,
        scopes: Vec::new(),
    };
    let verdict = reader.verdict(bytes);
    Outline {
        imports: reader.imports,
        imports_more: reader.imports_more,
        core_instances: reader.core_instances,
        verdict,
    }
}

/// A component's preamble: `\0asm`, version 13, layer 1 (the component model's binary format).
fn is_component(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm\x0d\0\x01\0")
}

/// The list that has this import, in one of the versions that are served.
fn list(import: &str) -> Option<List> {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    if interface == SIGNER {
        return version.starts_with(SERVED_LIKE).then_some(List::Signing);
    }
    if !version.starts_with("0.2.") {
        return None;
    }
    if GRANTED.contains(&interface) {
        return Some(List::Granted);
    }
    SATISFIED.contains(&interface).then_some(List::Satisfied)
}

/// All that may be imported, in words: packages with their interfaces.
fn available() -> String {
    let mut packages: Vec<(&str, Vec<&str>)> = Vec::new();
    for interface in GRANTED.into_iter().chain(SATISFIED).chain([SIGNER]) {
        let (package, name) = interface.split_once('/').expect("a package and a name");
        match packages.iter_mut().find(|(known, _)| *known == package) {
            Some((_, names)) => names.push(name),
            None => packages.push((package, vec![name])),
        }
    }
    let listed = packages.into_iter();
    let listed = listed.map(|(package, names)| format!("{package}/{{{}}}", names.join(",")));
    listed.collect::<Vec<_>>().join(", ")
}

/// Why a component was not read to its end.
enum Trouble {
    Unreadable(String),
    Excess(String),
    /// More core instances than a setting allows.
    Instances(usize),
}

impl From<BinaryReaderError> for Trouble {
    fn from(error: BinaryReaderError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// What one instance of a component comes to, with all the instances in it.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    core_instances: usize,
    instances: usize,
}

/// One component that is being read: what one instance of it comes to, and its index space of components.
#[derive(Default)]
struct Scope {
    size: Size,
    components: Vec<Size>,
}

struct Reader<'l> {
    limits: &'l Limits,
    modules: usize,
    /// What it imports at the top: the first of it.
    imports: Vec<Import>,
    imports_more: usize,
    core_instances: usize,
    /// What it imports at the top and is not granted; of each the beginning of its name, and the first few of them.
    refused: Vec<String>,
    refused_more: usize,
    /// The last export at the top that is `job` of a version that is not served.
    unserved: Option<String>,
    /// Whether it exports one that is.
    is_served: bool,
    /// The outermost component first.
    scopes: Vec<Scope>,
}

impl Reader<'_> {
    fn verdict(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if !is_component(bytes) {
            return Err(Failure::new(
                Outcome::Settings,
                "the component file is not a WebAssembly component; check its path, build one for wasm32-wasip2, or use `wasm-tools component new`",
            ));
        }
        let read = self.component(Parser::new(0), bytes);
        // More than one thing may be wrong with it: what it asks for is the first that its owner should hear of.
        self.refuse_imports()?;
        self.refuse_version()?;
        read.map(|size| self.core_instances = size.core_instances)
            .map_err(|trouble| match trouble {
            Trouble::Unreadable(error) => Failure::new(
                Outcome::Settings,
                format!("the component file is damaged or cut off: {error}; copy or build it again"),
            ),
            Trouble::Instances(most) => Failure::new(
                Outcome::ComponentFailed,
                format!("host refused the component before compiling it: it would make more than {most} core instances (`INSTANCE_LIMIT`); raise it, or use another component"),
            ),
            Trouble::Excess(what) => Failure::new(
                Outcome::ComponentFailed,
                format!("host refused the component before compiling it: {what}; the limit is fixed: use another component"),
            ),
        })
    }

    /// Reads one component to its end.
    fn component(&mut self, mut parser: Parser, bytes: &[u8]) -> Result<Size, Trouble> {
        if self.scopes.len() >= self.limits.component_depth {
            return Err(Trouble::Excess(format!(
                "it nests components more than {} deep",
                self.limits.component_depth
            )));
        }
        self.scopes.push(Scope::default());
        let mut rest = bytes;
        loop {
            let Chunk::Parsed { consumed, payload } = parser.parse(rest, true)? else {
                unreachable!("there is no more to come, and the parser was told so");
            };
            rest = &rest[consumed..];
            match payload {
                Payload::ModuleSection {
                    unchecked_range, ..
                } => {
                    rest = &rest[unchecked_range.len().min(rest.len())..];
                    self.modules += 1;
                    if self.modules > self.limits.component_modules {
                        return Err(Trouble::Excess(format!(
                            "it has more than {} core modules",
                            self.limits.component_modules
                        )));
                    }
                }
                Payload::ComponentSection {
                    parser,
                    unchecked_range,
                } => {
                    let (inner, after) = rest.split_at(unchecked_range.len().min(rest.len()));
                    let size = self.component(parser, inner)?;
                    rest = after;
                    self.add(size)?;
                }
                Payload::End(_) => {
                    return Ok(self.scopes.pop().expect("pushed above").size);
                }
                section => self.section(section)?,
            }
        }
    }

    fn section(&mut self, section: Payload<'_>) -> Result<(), Trouble> {
        match section {
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    let import = import?;
                    let name = import.name.name;
                    if self.scopes.len() == 1 {
                        self.import(name);
                    }
                    refuse_component_as_value(import.ty.kind())?;
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    self.alias(&alias?)?;
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if self.scopes.len() == 1 {
                        self.export(export.name.name);
                    }
                    if export.kind == ComponentExternalKind::Component {
                        let size = self.known(0, export.index)?;
                        self.add(size)?;
                    }
                }
            }
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    if matches!(instance?, Instance::Instantiate { .. }) {
                        self.here().size.core_instances += 1;
                        self.refuse_many()?;
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    if let ComponentInstance::Instantiate {
                        component_index, ..
                    } = instance?
                    {
                        let inner = self.known(0, component_index)?;
                        let size = &mut self.here().size;
                        size.core_instances += inner.core_instances;
                        size.instances += inner.instances + 1;
                        self.refuse_many()?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) -> Result<(), Trouble> {
        match *alias {
            ComponentAlias::InstanceExport { kind, .. } => refuse_component_as_value(kind),
            ComponentAlias::Outer {
                kind: ComponentOuterAliasKind::Component,
                count,
                index,
            } => {
                let size = self.known(count, index)?;
                self.add(size)
            }
            _ => Ok(()),
        }
    }

    /// One component more that has an index here.
    fn add(&mut self, size: Size) -> Result<(), Trouble> {
        let most = self.limits.component_indices;
        let components = &mut self.here().components;
        if components.len() >= most {
            return Err(Trouble::Excess(format!(
                "it names more than {most} components"
            )));
        }
        components.push(size);
        Ok(())
    }

    /// The size of the component with this index, in this component or so many outside of it.
    fn known(&self, outwards: u32, index: u32) -> Result<Size, Trouble> {
        let scope = usize::try_from(outwards)
            .ok()
            .and_then(|outwards| self.scopes.len().checked_sub(outwards + 1))
            .and_then(|at| self.scopes.get(at));
        let size = scope.and_then(|scope| scope.components.get(usize::try_from(index).ok()?));
        size.copied().ok_or_else(|| {
            Trouble::Unreadable(format!("it has no component {index} where it names one"))
        })
    }

    fn refuse_many(&self) -> Result<(), Trouble> {
        let Some(Scope { size, .. }) = self.scopes.last() else {
            return Ok(());
        };
        if size.core_instances > self.limits.instances {
            return Err(Trouble::Instances(self.limits.instances));
        }
        let most = self.limits.component_instances;
        if size.instances > most {
            return Err(Trouble::Excess(format!(
                "it would make more than {most} component instances"
            )));
        }
        Ok(())
    }

    fn import(&mut self, name: &str) {
        let list = list(name);
        let shown: String = name.chars().take(IMPORT_CHARS_MAX).collect();
        let shown = shown.escape_debug().to_string();
        if list.is_none() && self.refused.len() == IMPORTS_NAMED_MAX {
            self.refused_more += 1;
        } else if list.is_none() {
            self.refused.push(format!("`{shown}`"));
        }
        if self.imports.len() == IMPORTS_LISTED_MAX {
            self.imports_more += 1;
        } else {
            self.imports.push(Import { name: shown, list });
        }
    }

    fn export(&mut self, name: &str) {
        let version = name.strip_prefix(JOB);
        if version.is_some_and(|version| version.starts_with(SERVED_LIKE)) {
            self.is_served = true;
        } else if version.is_some() {
            let shown: String = name.chars().take(IMPORT_CHARS_MAX).collect();
            self.unserved = Some(shown.escape_debug().to_string());
        }
    }

    fn refuse_version(&self) -> Result<(), Failure> {
        let Some(unserved) = self.unserved.as_ref().filter(|_| !self.is_served) else {
            return Ok(());
        };
        Err(Failure::new(
            Outcome::Settings,
            format!(
                "host refused the component before compiling it: it exports `{unserved}`, and this tidegate serves `{JOB}{SERVED}`; build it with the WIT that `tidegate wit` prints, or use another tidegate"
            ),
        ))
    }

    fn refuse_imports(&self) -> Result<(), Failure> {
        if self.refused.is_empty() {
            return Ok(());
        }
        let more = match self.refused_more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Err(Failure::new(
            Outcome::Denied,
            format!(
                "host refused the component before compiling it: it imports {}{more}; only these interfaces are available: {}; use a component without these imports",
                self.refused.join(", "),
                available()
            ),
        ))
    }

    fn here(&mut self) -> &mut Scope {
        self.scopes.last_mut().expect("a component is being read")
    }
}

/// What instances of a component that comes from elsewhere would come to is not known here; no toolchain needs that.
fn refuse_component_as_value(kind: ComponentExternalKind) -> Result<(), Trouble> {
    if kind == ComponentExternalKind::Component {
        return Err(Trouble::Excess(
            "it passes components from one to another".to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(wat: &str) -> Result<(), Failure> {
        check(&wat::parse_str(wat).unwrap(), &Limits::default())
    }

    fn refused(wat: &str) -> String {
        let failure = checked(wat).unwrap_err();
        assert_eq!(failure.outcome, Outcome::ComponentFailed, "{failure}");
        failure.message
    }

    #[test]
    fn the_built_in_component_has_an_honest_shape() {
        check(crate::run::setup::BUILT_IN, &Limits::default()).unwrap();
    }

    #[test]
    fn what_is_no_component_or_is_torn_is_78() {
        let core = wat::parse_str("(module)").unwrap();
        let torn = &crate::run::setup::BUILT_IN[..1_000];

        for bytes in [&core[..], torn, b"", b"\0asm"] {
            let failure = check(bytes, &Limits::default()).unwrap_err();
            assert_eq!(failure.outcome, Outcome::Settings, "{failure}");
        }
    }

    #[test]
    fn the_lists_are_those_of_the_wit() {
        let wit = include_str!("../../../wit/world.wit");
        let imports = |world: &str| -> Vec<&str> {
            let (_, body) = wit.split_once(&format!("world {world} {{")).unwrap();
            let (body, _) = body.split_once("\n}").unwrap();
            let lines = body.lines().map(str::trim);
            let imports = lines.filter_map(|line| line.strip_prefix("import "));
            imports
                .map(|import| import.split_once('@').unwrap().0)
                .collect()
        };

        assert_eq!(imports("connector"), GRANTED);
        assert_eq!(imports("satisfied"), SATISFIED);
        assert!(wit.contains("world signing-connector {\n  include connector;\n"));
        assert!(wit.contains("\n  import signer;\n"));
    }

    #[test]
    fn any_release_of_wasi_0_2_is_served_and_no_other() {
        for interface in GRANTED.into_iter().chain(SATISFIED) {
            for version in ["0.2.0", "0.2.3", "0.2.8", "0.2.12"] {
                let wat = format!(r#"(component (import "{interface}@{version}" (instance)))"#);
                checked(&wat).unwrap();
            }
            for version in ["", "@0.3.0", "@0.2", "@0.20.0"] {
                assert_eq!(list(&format!("{interface}{version}")), None);
            }
        }
    }

    #[test]
    fn the_signer_is_served_in_the_versions_of_the_contract() {
        for version in ["0.1.0", "0.1.7"] {
            assert_eq!(list(&format!("{SIGNER}@{version}")), Some(List::Signing));
        }
        for version in ["", "@0.2.0", "@0.2.12", "@1.0.0"] {
            assert_eq!(list(&format!("{SIGNER}{version}")), None);
        }
    }

    #[test]
    fn a_refusal_names_all_that_is_available() {
        let failure = checked(r#"(component (import "wasi:random/other@0.2.0" (func)))"#);
        let message = failure.unwrap_err().message;

        for interface in GRANTED.into_iter().chain(SATISFIED).chain([SIGNER]) {
            let (package, name) = interface.split_once('/').unwrap();
            let (_, listed) = message.split_once(&format!("{package}/{{")).unwrap();
            let (listed, _) = listed.split_once('}').unwrap();
            assert!(
                listed.split(',').any(|known| known == name),
                "{interface}: {message}"
            );
        }
    }

    #[test]
    fn a_version_of_the_contract_that_is_not_served_is_refused_and_the_one_that_is_named() {
        let exporting = |name: &str| {
            let job = "(component $c) (instance $i (instantiate $c))";
            checked(&format!(
                r#"(component {job} (export "{name}" (instance $i)))"#
            ))
        };
        exporting("tidegate:sync/job@0.1.0").unwrap();
        exporting("tidegate:sync/probe@0.3.0").unwrap();
        for both in [["0.1.0", "0.2.0"], ["0.2.0", "0.1.0"]] {
            let exports = both
                .map(|version| format!(r#"(export "tidegate:sync/job@{version}" (instance $i))"#));
            let job = "(component $c) (instance $i (instantiate $c))";
            checked(&format!("(component {job} {})", exports.concat())).unwrap();
        }

        let failure = exporting("tidegate:sync/job@0.2.0").unwrap_err();

        assert_eq!(failure.outcome, Outcome::Settings);
        let told = "it exports `tidegate:sync/job@0.2.0`, and this tidegate serves `tidegate:sync/job@0.1.0`";
        assert!(failure.message.contains(told), "{failure}");
        let wit = include_str!("../../../wit/job.wit");
        assert!(wit.starts_with(&format!("package tidegate:sync@{SERVED};")));
    }

    #[test]
    fn an_import_of_a_nested_component_is_its_parents_business() {
        checked(r#"(component (component (import "anything" (func))))"#).unwrap();

        let failure = checked(r#"(component (import "anything" (func)))"#).unwrap_err();

        assert_eq!(failure.outcome, Outcome::Denied);
        assert!(failure.message.contains("`anything`"), "{failure}");
    }

    #[test]
    fn what_is_imported_is_told_before_what_is_too_large() {
        let deep = format!("{}{}", "(component ".repeat(20), ")".repeat(20));
        let wat = format!(r#"(component (import "anything" (func)) {deep})"#);

        assert_eq!(checked(&wat).unwrap_err().outcome, Outcome::Denied);
    }

    #[test]
    fn deep_nesting_is_refused() {
        let nested = |depth: usize| format!("{}{}", "(component ".repeat(depth), ")".repeat(depth));

        checked(&nested(8)).unwrap();

        assert!(refused(&nested(9)).contains("more than 8 deep"));
    }

    #[test]
    fn many_core_modules_are_refused() {
        let modules = |count: usize| format!("(component {})", "(core module)".repeat(count));

        checked(&modules(200)).unwrap();

        assert!(refused(&modules(201)).contains("more than 200 core modules"));
    }

    #[test]
    fn instances_are_counted_as_often_as_they_would_be_made() {
        let twice = |inner: &str| {
            format!(
                "(component $c {inner}) (instance (instantiate $c)) (instance (instantiate $c))"
            )
        };
        let laughs = |depth: usize, cores: usize| {
            let cores = "(core instance (instantiate $m))".repeat(cores);
            let core = format!("(core module $m) {cores}");
            let wat = (0..depth).fold(core, |inner, _| twice(&inner));
            format!("(component {wat})")
        };

        checked(&laughs(6, 2)).unwrap();

        assert!(refused(&laughs(6, 3)).contains("more than 128 core instances (`INSTANCE_LIMIT`)"));
    }

    #[test]
    fn instances_of_components_are_counted_too_also_through_an_alias() {
        let wat = format!(
            "(component (component $empty) (component $many (alias outer 1 $empty (component $e)) {}) {})",
            "(instance (instantiate $e))".repeat(20),
            "(instance (instantiate $many))".repeat(10),
        );

        assert!(refused(&wat).contains("more than 200 component instances"));
    }

    #[test]
    fn components_that_come_from_elsewhere_are_refused() {
        let wat = r#"(component (component (import "a" (component))))"#;

        assert!(refused(wat).contains("passes components"));
    }
}
