//! What a command names by position: a job file, and generations by their numbers.

use crate::sink::generation_name::GenerationName;
use crate::units::counted;

/// The job file and the numbers of the generations. `Err`: what is given is neither.
pub fn places(what: &[String], most: usize) -> Result<(Option<&str>, Vec<u64>), String> {
    // A job file may be called `10-orders.toml`.
    let number = |text: &str| {
        let named = || GenerationName::parse(text).map(|name| name.number);
        text.parse().ok().or_else(named)
    };
    let (job, rest) = match what.split_first() {
        Some((first, rest)) if number(first).is_none() => (Some(first.as_str()), rest),
        _ => (None, what),
    };
    let numbers = rest.iter().map(|text| {
        number(text).ok_or_else(|| {
            format!(
                "`{}` is no generation: name it by its number, such as 42",
                text.escape_debug()
            )
        })
    });
    let numbers: Vec<u64> = numbers.collect::<Result<_, _>>()?;
    if numbers.len() > most {
        return Err(format!(
            "takes {} at most",
            counted(most as u64, "generation")
        ));
    }
    Ok((job, numbers))
}
