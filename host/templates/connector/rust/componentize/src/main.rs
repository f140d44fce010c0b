//! `componentize MODULE COMPONENT`: makes a component of a module that was built with wit-bindgen.

fn main() -> anyhow::Result<()> {
    let mut paths = std::env::args().skip(1);
    let (Some(module), Some(component)) = (paths.next(), paths.next()) else {
        anyhow::bail!("usage: componentize MODULE COMPONENT");
    };
    let module = std::fs::read(module)?;
    let encoded = wit_component::ComponentEncoder::default()
        .module(&module)?
        .validate(true)
        .encode()?;
    std::fs::write(component, encoded)?;
    Ok(())
}
