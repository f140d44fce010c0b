//! What can be seen of the component before it runs.

use super::{Bench, Check, Needs, Proof, Wrong, failed};
use crate::component::shape::List;
use crate::outcome::Outcome;
use crate::units::counted;

pub const CHECKS: &[Check] = &[
    Check {
        name: "imports",
        needs: Needs::File,
        prove: imports,
    },
    Check {
        name: "size",
        needs: Needs::File,
        prove: size,
    },
    Check {
        name: "describe",
        needs: Needs::File,
        prove: describe,
    },
    Check {
        name: "versions",
        needs: Needs::Description,
        prove: versions,
    },
];

fn imports(bench: &Bench<'_>) -> Proof {
    let outline = &bench.subject.outline;
    let refused = outline
        .imports
        .iter()
        .filter(|import| import.list.is_none());
    let refused: Vec<&str> = refused.map(|import| import.name.as_str()).collect();
    if let [first, others @ ..] = refused.as_slice() {
        let more = match others.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        return Err(Wrong::Failed {
            why: format!("{first}{more} not available; see `tidegate inspect`"),
            run: (bench.subject.description.as_ref().err()).map(|refused| refused.message.clone()),
        });
    }
    let satisfied = outline.imports.iter();
    let satisfied = satisfied.filter(|import| import.list == Some(List::Satisfied));
    let nothing = match satisfied.count() {
        0 => String::new(),
        count => format!(", {count} of them grant nothing"),
    };
    let count = outline.imports.len() + outline.imports_more;
    let count = counted(count as u64, "interface");
    Ok(format!("{count}, all available{nothing}"))
}

fn size(bench: &Bench<'_>) -> Proof {
    if let Err(refused) = &bench.subject.description
        && refused.outcome == Outcome::ComponentFailed
        && bench.subject.outline.imports.is_empty()
    {
        return Err(failed(refused.message.clone()));
    }
    super::limits::margin(
        bench.subject.bytes as u64,
        bench.subject.limits.component_bytes,
        "the component file",
    )
}

fn describe(bench: &Bench<'_>) -> Proof {
    let described = bench.subject.description.as_ref();
    let known = described.map_err(|refused| match refused.outcome {
        Outcome::Denied => Wrong::Skipped("its imports are not available".to_owned()),
        _ => Wrong::Failed {
            why: "it cannot say what it is; `describe` has no grants, little time".to_owned(),
            run: Some(refused.message.clone()),
        },
    })?;
    let stages = bench.subject.stages();
    let mut words = vec![counted(known.settings.len() as u64, "setting")];
    for (is_staged, word) in [
        (stages.changes, "stages changes"),
        (stages.deletions, "stages deletions"),
        (!stages.changes, "every run stages all records"),
    ] {
        words.extend(is_staged.then(|| word.to_owned()));
    }
    Ok(words.join(", "))
}

fn versions(bench: &Bench<'_>) -> Proof {
    let Ok(known) = &bench.subject.description else {
        return Err(Wrong::Skipped("it cannot say what it is".to_owned()));
    };
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let core = known.version.split(['-', '+']).next().unwrap_or_default();
    if core.split('.').count() != 3 || !core.split('.').all(is_number) {
        return Err(failed(format!(
            "its version is `{}`; say it like 0.1.0",
            known.version
        )));
    }
    let mut wasi: Vec<&str> = (bench.subject.outline.imports.iter())
        .filter_map(|import| import.name.split_once('@'))
        .map(|(_, version)| version)
        .collect();
    wasi.sort_unstable();
    wasi.dedup();
    let wasi = wasi.join(", ");
    Ok(format!("{} {}, WASI {wasi}", known.name, known.version))
}
