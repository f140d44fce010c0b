//! The known name that an unknown one may mean.

/// The known name that is at most two letters away, whatever their case.
pub fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let name = name.to_ascii_lowercase();
    let near = known.map(|known| (distance(&name, &known.to_ascii_lowercase()), known));
    let nearest = near.filter(|(distance, _)| *distance <= 2).min();
    nearest.map(|(_, known)| known)
}

/// How many letters have to be added, removed or replaced.
fn distance(one: &str, other: &str) -> usize {
    let other = other.as_bytes();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, byte) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, known) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(byte != *known);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}
