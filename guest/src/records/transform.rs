//! TRANSFORM: what a jq program makes of a record.
//!
//! A program is compiled once a run. What becomes of the outputs of a record is `taker`'s job.

use tidegate_jq::{Jq, Names, RunError, Value, write};

/// Outputs of one record.
pub const OUTPUTS_MAX: u64 = 10_000;
/// Bytes of all outputs of one record.
pub const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Records of one run that may take more steps than a program has. At a good part of a second each, the run would otherwise
/// go on until CPU_LIMIT ends it, which says nothing about the program.
pub const OUT_OF_STEPS_MAX: u64 = 10;

/// A TRANSFORM that is not `.`.
#[derive(Debug)]
pub struct Transform(Jq);

/// What one record became: its outputs as lines of JSON.
#[derive(Debug, Default)]
pub struct Outputs {
    lines: Vec<u8>,
    ends: Vec<usize>,
    objects: Vec<bool>,
}

impl Transform {
    /// Compiles a program that may use these variables; `None` for one that does nothing, `.`. `Err` says where it is wrong and
    /// what with.
    pub fn compile(program: &str, variables: &[&str]) -> Result<Option<Self>, String> {
        if program.trim() == "." {
            return Ok(None);
        }
        Jq::compile_with(program, variables).map(Self).map(Some)
    }

    /// Reads a record as far as the program looks at it. `Err` says why that has no single meaning.
    pub fn read(&self, record: &str, names: &mut Names) -> Result<Value, String> {
        self.0.read(record, names)
    }

    /// Puts what `record` becomes into `outputs`, which is emptied first, where the variables have these `values`. `Err` says why
    /// it becomes nothing.
    pub fn apply(
        &self,
        record: Value,
        values: &[Value],
        outputs: &mut Outputs,
    ) -> Result<(), RunError> {
        outputs.clear();
        let mut take = |value| outputs.push(&value);
        self.0.run_with(record, values, &mut take)
    }
}

impl Outputs {
    fn clear(&mut self) {
        self.lines.clear();
        self.ends.clear();
        self.objects.clear();
    }

    fn push(&mut self, value: &Value) -> Result<(), String> {
        if self.ends.len() as u64 >= OUTPUTS_MAX {
            return Err(format!("has more than {OUTPUTS_MAX} outputs"));
        }
        write(value, &mut self.lines).map_err(|why| format!("an output {why}"))?;
        if self.lines.len() > OUTPUT_BYTES_MAX {
            return Err(format!("has more than {OUTPUT_BYTES_MAX} bytes of output"));
        }
        self.ends.push(self.lines.len());
        self.objects.push(matches!(value, Value::Object(_)));
        Ok(())
    }

    /// The outputs in their order, each with whether it is an object.
    pub fn iter(&self) -> impl Iterator<Item = (&str, bool)> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let spans = starts.zip(&self.ends).zip(&self.objects);
        spans.map(|((start, end), object)| {
            let line = std::str::from_utf8(&self.lines[start..*end]);
            (line.expect("JSON is written as UTF-8"), *object)
        })
    }
}

#[cfg(test)]
mod tests;
